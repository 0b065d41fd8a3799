# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""site.yml on hosts with every engine: Docker 20.10, 26.1 and 28.5, containerd 1.6, 1.7 and 2.1, Podman 4.3, 5.4 and 5.8, and Skopeo.

Each pull starts from a cold store and is proved by the access log of the mirror that served it.
"""

from __future__ import annotations

import json
import typing as t

import pytest

from lab import cri
from lab.api import Host, Lab, PlaybookRun

UPSTREAMS = ('docker.io', 'quay.io')
ENGINES = ('docker', 'containerd', 'podman')
TREE = (
    'cd /etc; find containerd docker containers -printf "%p %y %m %U %G %s %l\\n" | sort; cat containerd/config.toml; '
    'for at in docker/daemon.json containers/registries.conf; do [ ! -e $at ] || cat $at; done'
)
# The one with hosts.toml on the containerd store is the third; on the others Docker has mirrors of Docker Hub alone.
NEW_DOCKER = 'lab-forky'


def site(lab: Lab, mirrors: t.Mapping[str, t.Any] | None, *, engines: t.Any = ENGINES, **more: t.Any) -> PlaybookRun:
    """Run site.yml with these mirrors."""
    variables = {
        'registry_access_engines': engines if isinstance(engines, str) else list(engines),
        'registry_access_probe_images': ['library/busybox:latest', 'quay.io/library/busybox:latest'],
        'registry_access_probe_deadline': 6,
        **({} if mirrors is None else {'registry_access_mirrors': mirrors}),
        **more.pop('extra_vars', {}),
    }
    return lab.playbook('playbooks/site.yml', extra_vars=variables, **more)


def both(lab: Lab, *names: str) -> dict[str, list[str]]:
    return {upstream: lab.urls(*names) for upstream in UPSTREAMS}


def asked(lab: Lab, name: str, since: float, host: Host) -> list[str]:
    return [line['path'] for line in lab.access_log(name, since, client=host)]


# One pull by each engine, nothing kept of before.

def pull_by_docker(host: Host, image: str) -> None:
    host.cold()
    host.run(f'docker pull -q {image}')


def cold_containerd(host: Host) -> None:
    """Namespaces share what containerd keeps."""
    host.cold()
    cri.cold(host)
    host.run('for at in $(ctr content ls -q); do ctr content rm "$at" >/dev/null; done')


def pull_by_cri(host: Host, image: str) -> None:
    cold_containerd(host)
    with cri.connect(host) as client:
        client.pull(image)


def pull_by_ctr(host: Host, image: str) -> None:
    cold_containerd(host)
    host.run(f'ctr images pull --hosts-dir /etc/containerd/certs.d {image} >/dev/null && ctr images rm --sync {image} >/dev/null')


def pull_by_podman(host: Host, image: str) -> None:
    host.run(f'podman rmi -af >/dev/null 2>&1; podman pull -q {image}')


def pull_by_skopeo(host: Host, image: str) -> None:
    host.run(f'rm -rf /tmp/skopeo; skopeo copy -q docker://{image} dir:/tmp/skopeo')


WAYS: dict[str, t.Callable[[Host, str], None]] = {
    'docker': pull_by_docker, 'CRI': pull_by_cri, 'ctr': pull_by_ctr, 'podman': pull_by_podman, 'skopeo': pull_by_skopeo,
}  # fmt: skip


@pytest.fixture(scope='module', autouse=True)
def as_new(lab: Lab) -> t.Iterator[None]:
    lab.everywhere(Host.reset)
    new = lab.hosts[NEW_DOCKER]
    new.put('/etc/docker/daemon.json', '{"features": {"containerd-snapshotter": true}}')
    new.run('systemctl restart docker')
    lab.everywhere(Host.start_container)
    yield
    lab.everywhere(Host.reset)


@pytest.fixture(scope='module')
def story(lab: Lab) -> dict[str, t.Any]:
    """Foreseen, done, again."""
    told: dict[str, t.Any] = {'before': lab.everywhere(lambda host: host.out(TREE))}
    told['pids'] = lab.everywhere(lambda host: (host.dockerd_pid(), host.container_pids()))
    mirrors = both(lab, 'refused', 'good-a', 'good-b')
    told['foreseen'] = site(lab, mirrors, check=True, diff=True).ok()
    assert lab.everywhere(lambda host: host.out(TREE)) == told['before'], 'check mode wrote something'
    told['done'] = site(lab, mirrors, diff=True).ok()
    told['again'] = site(lab, mirrors).ok()
    return told


def test_check_mode_foresees_the_run_and_a_second_one_changes_nothing(lab: Lab, story: dict[str, t.Any]) -> None:
    changes = {step: {(one.host, one.task) for one in story[step].tasks if one.changed} for step in ('foreseen', 'done', 'again')}
    assert changes['foreseen'] == changes['done']
    assert changes['again'] == set()
    assert {task.rpartition(' : ')[2] for _host, task in changes['done']} >= {
        'Merge mirrors, proxies and settings into daemon.json', 'Write the mirrors of each registry for containerd',
        'Write the mirrors of each registry for Podman, Buildah, Skopeo and CRI-O', 'Restart containerd for registry_access',
    }  # fmt: skip


def test_no_container_stopped(lab: Lab, story: dict[str, t.Any]) -> None:
    assert lab.everywhere(lambda host: (host.dockerd_pid(), host.container_pids())) == story['pids']


def test_the_report_tells_of_every_engine(lab: Lab, story: dict[str, t.Any]) -> None:
    text = story['done'].stdout
    for part in ('Podman 4.3.1', 'Podman 5.8.6', 'containerd 1.6.20', 'containerd 2.1.9', 'restarted, proved', 'read by podman', 'Mirrors of quay.io'):
        assert part in text, part
    assert 'has mirrors of docker.io alone here' in text


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize('upstream', UPSTREAMS)
def test_every_engine_pulls_from_the_first_mirror_that_serves(lab: Lab, story: dict[str, t.Any], way: str, upstream: str) -> None:
    for host in lab.hosts.values():
        direct = way == 'docker' and upstream != 'docker.io' and host.name != NEW_DOCKER
        since = lab.mark()
        WAYS[way](host, f'{upstream}/library/nginx:latest')
        served = asked(lab, 'hub' if direct else 'good-a', since, host)
        assert [path for path in served if '/blobs/' in path], f'{host.name}, {way}'
        if not direct:
            assert asked(lab, 'good-b', since, host) == [], f'{host.name}, {way}'
            # dockerd asks the Hub for a token in advance.
            assert not [path for path in asked(lab, 'hub', since, host) if path.startswith('/v2/library')], f'{host.name}, {way}'


def test_a_dead_mirror_is_replaced_and_nothing_restarts(lab: Lab, story: dict[str, t.Any]) -> None:
    pids = lab.everywhere(lambda host: host.out('systemctl show -p MainPID --value containerd docker'))
    # good-a is gone: what is written now has good-b alone.
    site(lab, both(lab, 'refused', 'good-b')).ok()
    assert lab.everywhere(lambda host: host.out('systemctl show -p MainPID --value containerd docker')) == pids
    for host in lab.hosts.values():
        for way, pull in WAYS.items():
            since = lab.mark()
            pull(host, 'docker.io/library/busybox:latest')
            assert asked(lab, 'good-b', since, host), f'{host.name}, {way}'


def test_an_outage_leaves_every_engine_as_it_is(lab: Lab, story: dict[str, t.Any]) -> None:
    before = lab.everywhere(lambda host: host.out(TREE))
    run = site(lab, both(lab, 'refused', 'always-404')).ok()
    assert run.changed() == 0
    assert lab.everywhere(lambda host: host.out(TREE)) == before
    assert 'left as they are' in run.stdout


def test_one_upstream_goes_and_the_other_stays(lab: Lab, story: dict[str, t.Any]) -> None:
    site(lab, {'quay.io': []}).ok()
    for host in lab.hosts.values():
        assert host.out('ls /etc/containerd/certs.d') == 'docker.io'
        assert 'quay' not in host.out('ls /etc/containers/registries.conf.d')
        assert host.out('ls /etc/containers/registries.conf.d | grep -c quickpull') == '1'
        assert host.mirrors_in_force()


def test_absent_gives_back_the_file_system_as_it_was(lab: Lab, story: dict[str, t.Any]) -> None:
    foreseen, done, again = (site(lab, None, check=check, extra_vars={'registry_access_state': 'absent'}).ok().changed() for check in (True, False, False))
    assert foreseen == done > 0
    assert again == 0
    assert lab.everywhere(lambda host: host.out(TREE)) == story['before']
    assert lab.everywhere(lambda host: (host.dockerd_pid(), host.container_pids())) == story['pids']
    host = lab.hosts['lab-trixie']
    for way, pull in WAYS.items():
        since = lab.mark()
        pull(host, 'docker.io/library/busybox:latest')
        assert asked(lab, 'hub', since, host), way


def test_auto_leaves_a_containerd_that_only_docker_uses(lab: Lab) -> None:
    host = lab.hosts['lab-trixie']
    host.put('/etc/crictl.yaml', 'runtime-endpoint: unix:///run/containerd/containerd.sock\n')
    site(lab, both(lab, 'good-a'), engines='auto').ok()
    assert lab.everywhere(lambda each: each.exists('/etc/containerd/certs.d')) == {**dict.fromkeys(lab.hosts, False), host.name: True}
    assert all(lab.everywhere(lambda each: each.exists('/etc/containers/registries.conf.d/500-quickpull-quay.io.conf')).values())
    site(lab, {}, engines='auto').ok()
    assert not host.exists('/etc/containerd/certs.d')


def test_mirrors_of_host_and_site_come_before_the_common_ones(lab: Lab) -> None:
    more = {'registry_access_probe': False, 'registry_access_site_mirrors': {'quay.io': lab.urls('good-b')},
            'registry_access_host_mirrors': {'quay.io': lab.urls('good-project')}}
    site(lab, {'quay.io': lab.urls('good-a', 'good-b')}, engines=['podman', 'containerd'], extra_vars=more).ok()
    host = lab.hosts['lab-forky']
    text = host.get('/etc/containerd/certs.d/quay.io/hosts.toml')
    places = [text.index(f'{name}.lab') for name in ('good-project', 'good-b', 'good-a')]
    assert places == sorted(places)
    assert text.count('[host') == 3
    for way in ('CRI', 'podman'):
        since = lab.mark()
        WAYS[way](host, 'quay.io/library/busybox:latest')
        # Podman tries TLS first, which leaves a line without a path.
        assert all(path in ('', '/v2/') or path.startswith('/v2/hub/library/busybox/') for path in asked(lab, 'good-project', since, host))
        assert [path for path in asked(lab, 'good-project', since, host) if '/manifests/' in path], way
    site(lab, {}, engines=['podman', 'containerd']).ok()


def test_an_engine_that_is_not_there(lab: Lab) -> None:
    host = lab.hosts['lab-bookworm']
    host.run('chmod 0 /usr/bin/podman /usr/bin/skopeo')
    run = site(lab, both(lab, 'good-a'), engines=['podman'], limit=host.name).ok()
    assert 'Not on this host: podman' in run.stdout
    assert site(lab, both(lab, 'good-a'), engines=['pdoman'], limit=host.name).rc != 0
    host.run('chmod 755 /usr/bin/podman /usr/bin/skopeo')


def test_a_foreign_dropin_is_told_in_the_report(lab: Lab) -> None:
    host = lab.hosts['lab-forky']
    path = '/etc/containers/registries.conf.d/900-own.conf'
    host.put(path, '[[registry]]\nprefix = "quay.io"\nlocation = "quay.io"\n')
    run = site(lab, both(lab, 'good-a'), engines=['podman'], limit=host.name, arguments=['-e', json.dumps({'registry_access_probe': False})]).ok()
    assert '900-own.conf' in run.stdout[run.stdout.index('Warnings'):].replace('\n', ' ')
    host.run(f'rm {path}')


def test_docker_28_with_the_older_store_has_mirrors_of_the_hub_alone(lab: Lab) -> None:
    host = lab.hosts[NEW_DOCKER]
    host.reset()
    run = site(lab, both(lab, 'good-a'), engines=['docker'], limit=host.name).ok()
    assert 'has mirrors of docker.io alone here' in run.stdout
    assert not host.exists('/etc/docker/certs.d')
    # Not for want of the file: this store does not look at one.
    host.put('/etc/docker/certs.d/quay.io/hosts.toml', f'[host."{lab.mirror("good-a").url}"]\ncapabilities = ["pull", "resolve"]\n')
    for upstream, server in (('docker.io', 'good-a'), ('quay.io', 'hub')):
        since = lab.mark()
        pull_by_docker(host, f'{upstream}/library/busybox:latest')
        assert [path for path in asked(lab, server, since, host) if '/blobs/' in path], upstream
    assert not [path for path in asked(lab, 'good-a', since, host) if '/blobs/' in path]


PROXY = 'http://proxyuser:lab%3Aproxy%40pass@proxy.lab:3129'


def test_containerd_pulls_through_the_proxy_and_from_what_is_reached_directly(lab: Lab) -> None:
    hosts = list(lab.hosts.values())
    proxies = {'registry_access_proxies': {'http_proxy': PROXY, 'https_proxy': PROXY, 'no_proxy': ['good-b.lab']}}
    how: dict[str, t.Any] = {'engines': ['containerd'], 'extra_vars': {'registry_access_probe': False, **proxies}}
    foreseen, done, again = (site(lab, {'quay.io': lab.urls('good-b')}, check=check, **how).ok() for check in (True, False, False))
    assert foreseen.changed() == done.changed() > 0
    assert again.changed() == 0
    assert 'lab%3Aproxy' not in done.stdout
    since = lab.mark()
    for host in hosts:
        pull_by_cri(host, 'docker.io/library/busybox:latest')
        pull_by_cri(host, 'quay.io/library/nginx:latest')
        assert asked(lab, 'hub', since, host) == [], f'{host.name} asked it directly'
        assert [path for path in asked(lab, 'good-b', since, host) if '/blobs/' in path], host.name
    assert site(lab, None, engines=['containerd'], extra_vars={'registry_access_state': 'absent'}).ok().changed() > 0
    for host in hosts:
        # squid tells of a connection when it ends: at the latest by this restart.
        told = {line['path'] for line in lab.access_log('proxy', since, client=host)}
        assert any('registry-1.docker.io' in path for path in told), host.name
        assert not any('good-b' in path for path in told), host.name
        assert not host.exists('/etc/systemd/system/containerd.service.d')
        assert 'PROXY' not in host.out('tr "\\0" "\\n" < /proc/$(systemctl show -p MainPID --value containerd)/environ')
