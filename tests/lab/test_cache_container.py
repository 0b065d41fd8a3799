# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The instances of a cache as containers. There is no registry to have the official image from, so one is made of Debian's own program."""

from __future__ import annotations

import typing as t

import pytest

from lab.api import Host, Lab
from lab.containers import HUB_LOGIN
from lab.test_cache import BIG, INDEX, MANIFEST, PROXY, digest_of, fetch, forget, layer_of, run_role, status, wait

IMAGE = 'localhost/registry:2'
# A file system with a shell, the registry under the name that it has in the official image, and the libraries of both.
MAKE = r"""set -e
rm -rf /root/image; mkdir -p /root/image/usr/bin /root/image/etc/ssl /root/image/tmp; cd /root/image
cp -L /usr/bin/dash usr/bin/sh; cp -L /usr/bin/docker-registry usr/bin/registry; cp -rL /etc/ssl/certs etc/ssl/certs
for library in $(ldd /usr/bin/docker-registry /usr/bin/dash | grep -o '/[^ ]*\.so[^ ]*' | sort -u); do
  mkdir -p ".$(dirname "$library")"; cp -L "$library" ".$library"; done
ln -s usr/bin bin
tar -c . >/root/image.tar
"""
LOGIN = {'name': 'docker.io', 'username': HUB_LOGIN['user'], 'password': HUB_LOGIN['password'], 'proxy': PROXY}


@pytest.fixture(scope='module')
def cache(lab: Lab) -> t.Iterator[Host]:
    host = lab.hosts['lab-bookworm']
    host.reset()
    host.run(MAKE)
    yield host
    host.reset()


def settings(engine: str) -> dict[str, t.Any]:
    return {'container_engine': engine, 'container_image': IMAGE, 'upstreams': [LOGIN, 'quay.io'], 'rollback': False}


@pytest.mark.parametrize('engine', ['docker', 'podman'])
def test_it_serves_as_the_package_does(lab: Lab, cache: Host, engine: str) -> None:
    cache.run([engine, 'import', '/root/image.tar', IMAGE])
    run = run_role(lab, **settings(engine)).ok()
    assert HUB_LOGIN['password'] not in run.stdout + run.stderr
    wait(cache)
    forget(cache)
    since = lab.mark()
    fetch(cache, '/v2/library/busybox/manifests/latest', f'{INDEX}, {MANIFEST}')
    fetch(cache, '/v2/quay.io/library/busybox/manifests/latest', f'{INDEX}, {MANIFEST}')
    assert HUB_LOGIN['user'] in {line['user'] for line in lab.access_log('hub', since)}
    assert lab.access_log('proxy', since, client=cache)
    layer = layer_of(cache, BIG)
    assert digest_of(cache, f'/v2/{BIG}/blobs/{layer}') == layer
    assert sorted(cache.out(f'{engine} ps --format "{{{{.Names}}}}"').split()) == ['quickpull-cache-docker.io', 'quickpull-cache-quay.io']
    # The engine keeps no log; the unit has what the registry says all the same.
    assert cache.out(f'{engine} inspect -f "{{{{.HostConfig.LogConfig.Type}}}}" quickpull-cache-docker.io') == 'none'
    lines = cache.out(f'journalctl -u quickpull-cache@docker.io --since=@{since:.3f} -o cat --no-pager').splitlines()
    assert any('response completed' in line and '/library/busybox/manifests/' in line for line in lines)
    told = cache.out(f'{engine} inspect quickpull-cache-docker.io; ps ax -o args')
    assert HUB_LOGIN['password'] not in told and 'proxy%40pass' not in told
    assert cache.out('stat -c %U /var/lib/quickpull-cache/docker.io/docker') == 'quickpull-cache'
    assert run_role(lab, **settings(engine)).ok().changed() == 0
    cache.run(f'{engine} kill quickpull-cache-docker.io')
    wait(cache)
    cache.run('systemctl kill -s KILL quickpull-cache@docker.io')
    wait(cache)
    if engine == 'docker':
        cache.run('systemctl restart docker')  # which ends its containers
        wait(cache)


def test_an_image_that_cannot_be_had_leaves_the_old_service(lab: Lab, cache: Host) -> None:
    before = cache.out('sha256sum /etc/quickpull-cache/* /etc/systemd/system/quickpull-cache*')
    run = run_role(lab, **{**settings('docker'), 'container_image': 'nowhere.lab/registry:2'})
    assert run.rc != 0 and 'docker cannot pull nowhere.lab/registry:2' in ' '.join(run.stdout.split())
    assert status(cache, '/v2/') == 200
    assert cache.out('sha256sum /etc/quickpull-cache/* /etc/systemd/system/quickpull-cache*') == before


def test_back_to_the_package_and_away(lab: Lab, cache: Host) -> None:
    run_role(lab).ok()
    wait(cache)
    assert cache.out('podman ps -aq; docker ps -aq') == ''
    assert cache.out('ls /run/quickpull-cache-docker.io') == ''  # where the containers had their secrets
    run_role(lab, **settings('docker')).ok()
    run_role(lab, state='absent').ok()
    assert cache.out('docker ps -aq; podman ps -aq') == ''
    assert cache.out('ls -d /run/quickpull-cache* 2>/dev/null || true') == ''
