# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role pull_through_cache on a host of its own, and real clients on the others: what their pulls ask of the upstream is in its log."""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import json
import time
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from lab import cri
from lab.api import Host, Lab, PlaybookRun
from lab.containers import HUB_LOGIN

PLAY = '- hosts: lab-bookworm\n  gather_facts: false\n  roles: [quickpull.registry.pull_through_cache]\n'
PORT = 5000
PLAIN = {'upstreams': ['docker.io', 'quay.io'], 'size': '2g', 'store_size': '1g'}
PROXY = 'http://proxyuser:lab%3Aproxy%40pass@proxy.lab:3129'
HUB_IMAGE, QUAY_IMAGE, BIG = 'docker.io/library/busybox:latest', 'quay.io/library/busybox:latest', 'library/big'
INDEX = 'application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json'
MANIFEST = 'application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json'


# What the cache was last told beside PLAIN; the key `unknown` when that run failed.
told: dict[str, t.Any] = {}


def run_role(lab: Lab, *, check: bool = False, **variables: t.Any) -> PlaybookRun:
    given = {**PLAIN, 'packages': [], **variables}
    run = lab.only('lab-bookworm').playbook(PLAY, extra_vars={f'pull_through_cache_{name}': value for name, value in given.items()}, check=check)
    if not check:
        told.clear()
        told.update(variables if run.rc == 0 else {'unknown': True})
    return run


@pytest.fixture(scope='module')
def cache(lab: Lab) -> t.Iterator[Host]:
    """The host that is the cache; the others are its clients."""
    lab.everywhere(Host.reset)
    here = lab.hosts['lab-bookworm']
    foreseen = run_role(lab, check=True).ok()  # on a host that has nothing of it yet
    assert foreseen.changed() > 0 and not here.exists('/etc/quickpull-cache') and not here.exists('/etc/systemd/system/quickpull-cache-front.service')
    run_role(lab).ok()
    yield lab.hosts['lab-bookworm']
    lab.everywhere(Host.reset)


@pytest.fixture
def plain(lab: Lab, cache: Host) -> None:
    """The cache as it was at first, whatever the tests before have made of it."""
    if told:
        run_role(lab).ok()
        wait(cache)


def run_site(here: Lab, folder: Path, **cache_variables: t.Any) -> PlaybookRun:
    """Hosts become clients of the cache because it is in the inventory."""
    variables = {
        'registry_access_engines': ['docker', 'containerd', 'podman'], 'registry_access_probe_images': [HUB_IMAGE, QUAY_IMAGE],
        'registry_access_probe_deadline': 10,
    }  # fmt: skip
    given = {'pull_through_cache_upstreams': ['docker.io', 'quay.io'], **{f'pull_through_cache_{name}': value for name, value in cache_variables.items()}}
    inventory = folder / 'hosts.yml'
    inventory.write_text(f'{here.place.inventory.read_text()}registry_caches: {json.dumps({"hosts": {"lab-bookworm": given}})}\n')
    return here.playbook('playbooks/site.yml', inventory=inventory, extra_vars=variables).ok()


@pytest.fixture(scope='module')
def clients(lab: Lab, cache: Host, tmp_path_factory: pytest.TempPathFactory) -> list[Host]:
    """Each with Docker, containerd and Podman that pull through the cache."""
    here = lab.only('lab-trixie', 'lab-forky')
    run_site(here, tmp_path_factory.mktemp('inventory'))
    return list(here.hosts.values())


def asked(lab: Lab, since: float, what: str = '') -> list[str]:
    """What the upstreams answered to anybody."""
    return [line['path'] for line in lab.access_log('hub', since) if what in line['path'] and '/v2/' in line['path'] and line['path'] != '/v2/']


def fetch(cache: Host, path: str, accept: str = '', **headers: str) -> bytes:
    request = urllib.request.Request(f'http://{cache.address}:{PORT}{path}', headers={'Accept': accept, **headers} if accept else headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        data: bytes = answer.read()
        return data


def digest_of(cache: Host, path: str) -> str:
    """Of what is answered, a piece at a time: a hundred answers at once would fill the memory."""
    found, size = hashlib.sha256(), 0
    with urllib.request.urlopen(f'http://{cache.address}:{PORT}{path}', timeout=120) as answer:
        while data := answer.read(1 << 18):
            found.update(data)
            size += len(data)
        if size != int(answer.headers['Content-Length']):
            raise EOFError(f'{size} bytes')
    return f'sha256:{found.hexdigest()}'


def status(cache: Host, path: str, method: str = 'GET', **headers: str) -> int:
    try:
        request = urllib.request.Request(f'http://{cache.address}:{PORT}{path}', method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as exc:
        return exc.code


def layer_of(cache: Host, repository: str) -> str:
    """The digest of an image's largest layer."""
    tree = json.loads(fetch(cache, f'/v2/{repository}/manifests/latest', f'{INDEX}, {MANIFEST}'))
    if 'manifests' in tree:
        tree = json.loads(fetch(cache, f'/v2/{repository}/manifests/{tree["manifests"][0]["digest"]}', MANIFEST))
    return str(max(tree['layers'], key=lambda one: int(one['size']))['digest'])


def forget(cache: Host) -> None:
    """Start with nothing stored."""
    cache.run('systemctl stop "quickpull-cache*"; rm -rf /var/lib/quickpull-cache/*/docker /var/cache/quickpull-cache/blobs; '
              'systemctl start quickpull-cache@docker.io quickpull-cache@quay.io quickpull-cache-front quickpull-cache-evict.timer')
    wait(cache)


def wait(cache: Host, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            ready = cache.run('curl -fso /dev/null http://127.0.0.1:5101/v2/ && curl -fso /dev/null http://127.0.0.1:5102/v2/', check=False)
            if ready.returncode == 0 and status(cache, '/-/health') == 200:
                return
        except OSError:
            pass
        assert time.monotonic() < end, cache.run('journalctl -u "quickpull-cache*" --no-pager | tail -20').stdout
        time.sleep(0.1)


def pull_by_docker(host: Host) -> None:
    host.run('docker image rm -f busybox >/dev/null 2>&1; true')
    host.cold()
    host.run(['docker', 'pull', '-q', HUB_IMAGE])


def pull_by_cri(host: Host, image: str) -> None:
    cri.cold(host)
    host.run('for at in $(ctr -n k8s.io content ls -q); do ctr -n k8s.io content rm "$at" >/dev/null; done')
    with cri.connect(host) as client:
        client.pull(image)


def pull_by_podman(host: Host, image: str) -> None:
    host.run('podman rmi -af >/dev/null 2>&1; true')
    host.run(['podman', 'pull', '-q', image])


def pull_by_all(host: Host) -> None:
    pull_by_docker(host)
    for image in (HUB_IMAGE, QUAY_IMAGE):
        pull_by_cri(host, image)
        pull_by_podman(host, image)


def test_a_second_run_changes_nothing(lab: Lab, cache: Host) -> None:
    assert run_role(lab).ok().changed() == 0


def test_the_first_pull_fills_and_the_others_ask_nobody_else(lab: Lab, cache: Host, clients: list[Host]) -> None:
    """Three engines on two hosts, of two registries: what one pulled, the others get while the upstreams hear nothing."""
    forget(cache)
    since = lab.mark()
    pull_by_all(clients[0])
    assert asked(lab, since, '/blobs/')
    assert {line['client'] for line in lab.access_log('hub', since)} == {cache.address}
    since = lab.mark()
    lab.everywhere(lambda host: pull_by_all(host) if host in clients else None)
    assert asked(lab, since) == []


@pytest.mark.parametrize('how', ['DROP', 'REJECT'])
def test_cut_off_from_its_upstreams_it_serves_what_it_has(lab: Lab, cache: Host, clients: list[Host], how: str) -> None:
    """Nor do its clients go around it, though they could."""
    pull_by_all(clients[0])
    upstream = cache.out('getent hosts registry-1.docker.io').split()[0]
    cache.run(f'iptables -I OUTPUT -d {upstream} -p tcp -j {how}')
    since = lab.mark()
    try:
        pull_by_all(clients[1])
        cache.run('systemctl kill -s KILL quickpull-cache@docker.io quickpull-cache@quay.io quickpull-cache-front')
        end = time.monotonic() + 20
        while cache.run('curl -fso /dev/null http://127.0.0.1:5000/-/health', check=False).returncode:
            assert time.monotonic() < end
            time.sleep(0.1)
        pull_by_all(clients[0])
    finally:
        cache.run(f'iptables -D OUTPUT -d {upstream} -p tcp -j {how}')
    assert asked(lab, since) == []
    wait(cache, 60)


def test_a_hundred_cold_pulls_at_once_reach_the_upstream_twice(lab: Lab, cache: Host) -> None:
    """Once for the clients and once for the registry's own copy; without the front each client would be a request more."""
    forget(cache)
    layer = layer_of(cache, BIG)
    since = lab.mark()
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        digests = set(pool.map(lambda _number: digest_of(cache, f'/v2/{BIG}/blobs/{layer}'), range(100)))
    assert digests == {layer}
    time.sleep(0.5)
    assert 1 <= len([line for line in lab.access_log('hub', since) if layer in line['path'] and line['method'] == 'GET']) <= 2


def test_killed_in_the_middle_of_a_pull_nothing_is_spoilt(lab: Lab, cache: Host) -> None:
    broken = 0
    for delay in (0.02, 0.1, 0.3):
        forget(cache)
        layer = layer_of(cache, BIG)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(digest_of, cache, f'/v2/{BIG}/blobs/{layer}') for _number in range(4)]
            time.sleep(delay)
            cache.run('systemctl kill -s KILL quickpull-cache@docker.io quickpull-cache-front')
        whole = [job.result() for job in jobs if not job.exception()]
        broken += len(jobs) - len(whole)
        wait(cache)
        after = [digest_of(cache, f'/v2/{BIG}/blobs/{layer}') for _number in range(2)]
        assert {*after, *whole} == {layer}
    assert broken > 0  # or nothing was tried
    assert cache.out('find /var/cache/quickpull-cache/blobs -name "*.*"') == ''  # of what was on its way


def test_a_power_cut_that_leaves_an_empty_state_keeps_nothing_from_starting(lab: Lab, cache: Host) -> None:
    state = '/var/lib/quickpull-cache/docker.io/scheduler-state.json'
    cache.run(f'systemctl stop quickpull-cache@docker.io; install -m 0600 -o quickpull-cache -g quickpull-cache /dev/null {state}')
    # Without what the unit does beforehand it would not start.
    alone = cache.run('set -a; . /etc/quickpull-cache/docker.io.env; timeout 10 setpriv --reuid=quickpull-cache --regid=quickpull-cache --clear-groups '
                      'docker-registry serve /etc/quickpull-cache/docker.io.yml', check=False)
    assert alone.returncode not in (0, 124) and cache.out(f'stat -c %s {state}') == '0', alone.stdout + alone.stderr
    cache.run('systemctl start quickpull-cache@docker.io')
    wait(cache)
    assert status(cache, '/v2/library/busybox/manifests/latest') == 200
    assert cache.out('systemctl show -p NRestarts --value quickpull-cache@docker.io') == '0'


def used(cache: Host, path: str) -> int:
    return int(cache.out(f'du -sb {path} 2>/dev/null | cut -f1') or 0)


def test_the_limits_are_kept_and_what_went_comes_again(lab: Lab, cache: Host) -> None:
    """The front's manager looks every few seconds, the timer every minute."""
    forget(cache)
    run_role(lab, size='40m', store_size='40m').ok()
    wait(cache)
    tree = json.loads(fetch(cache, f'/v2/{BIG}/manifests/latest', f'{INDEX}, {MANIFEST}'))
    layers = [str(one['digest']) for one in tree['layers'] if int(one['size']) > 1 << 24]
    assert len(layers) == 2  # of 32 MB each
    for layer in layers:
        fetch(cache, f'/v2/{BIG}/blobs/{layer}')
    end = time.monotonic() + 30
    while used(cache, '/var/cache/quickpull-cache/blobs') > 42 << 20:
        assert time.monotonic() < end
        time.sleep(0.5)
    end = time.monotonic() + 30
    while used(cache, '/var/lib/quickpull-cache/docker.io/docker/registry/v2/blobs') < 60 << 20:  # the registry stores behind the answer
        assert time.monotonic() < end
        time.sleep(0.5)
    pid = cache.out('systemctl show -p MainPID --value quickpull-cache@docker.io')
    links = 'ls -d /var/lib/quickpull-cache/docker.io/docker/registry/v2/repositories/library/big/_layers/sha256/* | wc -l'
    before = int(cache.out(links))
    cache.run('rm -f /run/quickpull-cache/swept; systemctl start quickpull-cache-evict.service')
    assert int(cache.out(links)) < before
    assert used(cache, '/var/lib/quickpull-cache/docker.io/docker/registry/v2/blobs') < 40 << 20
    cache.run('systemctl stop quickpull-cache-front; rm -rf /var/cache/quickpull-cache/blobs; systemctl start quickpull-cache-front')
    wait(cache)
    assert [digest_of(cache, f'/v2/{BIG}/blobs/{layer}') for layer in layers] == layers
    assert cache.out('systemctl show -p MainPID --value quickpull-cache@docker.io') == pid
    assert 'enabled' in cache.out('systemctl is-enabled quickpull-cache-evict.timer')


def test_a_full_disk_is_survived(lab: Lab, cache: Host, clients: list[Host]) -> None:
    """Others fill the disk to its last byte: blobs still arrive, though they are not stored, and clients pull; with room again it stores as before."""
    fill = 'dd if=/dev/zero of=/mnt/small/fill bs=64k oflag=append conv=notrunc 2>/dev/null; true'
    cache.run('systemctl stop "quickpull-cache*"; mkdir -p /mnt/small; mount -t tmpfs -o size=96m tmpfs /mnt/small; cd /mnt/small; mkdir lib cache; '
              'chown quickpull-cache lib cache; mount --bind lib /var/lib/quickpull-cache; mount --bind cache /var/cache/quickpull-cache')
    try:
        run_role(lab, size='40m', store_size='40m', reserve='8m').ok()
        wait(cache)
        pull_by_docker(clients[0])
        layer = layer_of(cache, BIG)
        for _again in range(3):  # what the cache takes away to make room, others take as well
            cache.run(fill)
            cache.run('systemctl start quickpull-cache-evict.service')
            time.sleep(1)
        pids = cache.out('systemctl show -p MainPID --value quickpull-cache-front quickpull-cache@docker.io')
        assert cache.exists('/run/quickpull-cache/full')
        assert int(cache.out('df --output=avail -B1 /mnt/small | tail -1')) < 2 << 20
        assert [digest_of(cache, f'/v2/{BIG}/blobs/{layer}') for _turn in range(2)] == [layer, layer]
        for client in clients:
            pull_by_docker(client)
            pull_by_podman(client, QUAY_IMAGE)
        cache.run('rm /mnt/small/fill; systemctl start quickpull-cache-evict.service')
        assert not cache.exists('/run/quickpull-cache/full')
        assert digest_of(cache, f'/v2/{BIG}/blobs/{layer}') == layer
        pull_by_all(clients[0])
        since = lab.mark()
        assert digest_of(cache, f'/v2/{BIG}/blobs/{layer}') == layer
        pull_by_all(clients[1])
        assert asked(lab, since) == []
        assert cache.out('systemctl show -p MainPID --value quickpull-cache-front quickpull-cache@docker.io') == pids
    finally:
        cache.run('systemctl stop "quickpull-cache*"; umount /var/cache/quickpull-cache /var/lib/quickpull-cache /mnt/small; rm -f /run/quickpull-cache/full')
        run_role(lab).ok()
        wait(cache)


@pytest.mark.usefixtures('plain')
def test_each_form_of_asking_finds_its_registry(lab: Lab, cache: Host) -> None:
    for path, host in (
        ('/v2/library/busybox/manifests/latest?ns=quay.io', ''),
        ('/v2/quay.io/library/busybox/manifests/latest', ''),
        ('/v2/library/busybox/manifests/latest', 'quay.io.cache.lan'),
    ):
        forget(cache)
        since = lab.mark()
        fetch(cache, path, f'{INDEX}, {MANIFEST}', **({'Host': host} if host else {}))
        assert {line['host'] for line in lab.access_log('hub', since) if '/manifests/' in line['path']} == {'quay.io'}, path


@pytest.mark.usefixtures('plain')
def test_what_one_registry_served_is_not_found_under_the_name_of_another(lab: Lab, cache: Host) -> None:
    """Though it gets the port that the former one had: here the images of quay.io, and those of two years ago."""
    forget(cache)
    quay = fetch(cache, '/v2/quay.io/library/busybox/manifests/latest', f'{INDEX}, {MANIFEST}')
    run_role(lab, upstreams=['docker.io']).ok()
    run_role(lab, upstreams=['docker.io', {'name': 'stale.lab:8237', 'url': lab.mirror('stale').url}]).ok()
    assert '"addr": "127.0.0.1:5102"' in cache.get('/etc/quickpull-cache/stale.lab_8237.yml')
    wait(cache)
    assert fetch(cache, '/v2/stale.lab:8237/library/busybox/manifests/latest', f'{INDEX}, {MANIFEST}') != quay
    run_role(lab, upstreams=['docker.io']).ok()  # so that the port is free again
    run_role(lab).ok()
    wait(cache)


def test_a_range_of_a_blob_is_that_range_cold_or_not(lab: Lab, cache: Host) -> None:
    """As clients ask that resume, or that fetch a layer in pieces at the same time."""
    forget(cache)
    layer = layer_of(cache, BIG)
    path = f'/v2/{BIG}/blobs/{layer}'

    def piece(number: int) -> tuple[int, str, bytes]:
        first = number << 20
        request = urllib.request.Request(f'http://{cache.address}:{PORT}{path}', headers={'Range': f'bytes={first}-{first + 999}'})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, str(answer.headers['Content-Range']).partition('/')[0], answer.read()

    since = lab.mark()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        cold = list(pool.map(piece, range(8)))
    whole = fetch(cache, path)
    for number, (code, told, data) in enumerate(cold):
        first = number << 20
        assert (code, told, data) == (206, f'bytes {first}-{first + 999}', whole[first : first + 1000])
    assert [piece(number) for number in range(8)] == cold
    time.sleep(0.5)
    assert 1 <= len([line for line in lab.access_log('hub', since) if layer in line['path'] and line['method'] == 'GET']) <= 2


def test_it_is_no_open_proxy(cache: Host) -> None:
    assert status(cache, '/v2/library/busybox/manifests/latest?ns=evil.example') == 404
    assert status(cache, '/v2/evil.example/library/busybox/manifests/latest') == 404
    assert status(cache, '/v2/library/busybox/blobs/uploads/', 'POST') == 405
    assert status(cache, '/other') == 404
    assert status(cache, '/-/health') == 200
    # What is decoded on the way could be a second request on the connection to the registry, whose answer the next client would get.
    second = 'x%20HTTP/1.1%0d%0aHost:%20x%0d%0a%0d%0aGET%20/v2/library/smuggled/manifests/latest'
    for path in (f'/v2/a/blobs/{second}', f'/v2/a/manifests/{second}', '/v2/a/blobs/sha256:ab%0a', '/v2/a/blobs/sha256:ab%3Fx=1', '/v2/a/tags/list%0a',
                 '/v2/a/b%20c/manifests/latest', '/v2/quay.io/%0d%0a/manifests/latest', '/v2/a/manifests/latest%00'):
        assert status(cache, path) in (400, 404), path
    assert cache.out('journalctl -u "quickpull-cache@*" --no-pager | grep -c -e smuggled -e /v2/a/ || true') == '0'  # none of it reached a registry
    assert status(cache, '/v2/library/busybox/tags/list?n=1') == 200


@pytest.mark.usefixtures('plain')
def test_it_tells_how_each_instance_is_and_its_figures_to_whom_they_are_meant_for(lab: Lab, cache: Host) -> None:
    own = f'http://127.0.0.1:{PORT}/-'
    assert 'registry_storage_action_seconds' in cache.out(f'curl -fs {own}/metrics/quay.io')
    assert status(cache, '/-/metrics/quay.io') == 403  # for a stranger
    run_role(lab, metrics_from=[f'{cache.address}/24']).ok()
    assert b'registry_storage_action_seconds' in fetch(cache, '/-/metrics/quay.io')
    assert status(cache, '/-/metrics/evil.example') == 404
    assert status(cache, '/-/health/quay.io') == 200
    cache.run('systemctl stop quickpull-cache@quay.io')
    try:
        assert status(cache, '/-/health/quay.io') == 502
        assert status(cache, '/-/health/docker.io') == 200 == status(cache, '/-/health')
    finally:
        run_role(lab).ok()  # which starts it
    assert status(cache, '/-/health/quay.io') == 200


def test_a_login_and_a_proxy_on_the_way_up_and_tls_and_logins_on_the_way_down(lab: Lab, cache: Host) -> None:
    cache.run('openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=cache.lab -addext subjectAltName=DNS:cache.lab '
              '-keyout /root/tls.key -out /root/tls.crt 2>/dev/null')
    password = 'S3CRET-\'" of #clients'
    run = run_role(
        lab, upstreams=[{'name': 'docker.io', 'username': HUB_LOGIN['user'], 'password': HUB_LOGIN['password'], 'proxy': PROXY}, 'quay.io'],
        certificate='/root/tls.crt', key='/root/tls.key', clients=[{'username': 'ci', 'password': password}],
    ).ok()  # fmt: skip
    assert not any(secret in run.stdout + run.stderr for secret in (HUB_LOGIN['password'], password, 'lab%3Aproxy'))
    cache.run('rm -rf /var/lib/quickpull-cache/*/docker; systemctl stop quickpull-cache-front; rm -rf /var/cache/quickpull-cache/blobs; '
              'systemctl start quickpull-cache-front; sleep 1')
    since = lab.mark()
    ask = f'curl -s -o /dev/null -w %{{http_code}} --cacert /root/tls.crt --resolve cache.lab:{PORT}:127.0.0.1 https://cache.lab:{PORT}'
    path = '/v2/library/busybox/manifests/latest'
    assert cache.out(f'{ask}{path}') == '401'
    assert cache.out(f'{ask}{path} -u ci:wrong') == '401'
    assert cache.run(['sh', '-c', f'{ask}{path} -u "ci:$(cat)"'], stdin=password).stdout == '200'
    assert cache.out(f'{ask}/-/health') == '200'
    assert HUB_LOGIN['user'] in {line['user'] for line in lab.access_log('hub', since)}  # at the token server; the address is the proxy's
    assert [line['user'] for line in lab.access_log('proxy', since, client=cache)]
    assert run_role(
        lab, upstreams=[{'name': 'docker.io', 'username': HUB_LOGIN['user'], 'password': HUB_LOGIN['password'], 'proxy': PROXY}, 'quay.io'],
        certificate='/root/tls.crt', key='/root/tls.key', clients=[{'username': 'ci', 'password': password}],
    ).ok().changed() == 0  # fmt: skip


def test_clients_log_in_as_the_documentation_says(lab: Lab, cache: Host) -> None:
    """Podman by a login at the cache's address, containerd by a header; neither goes around the cache, and the Hub hears of nobody else."""
    password = 'S3CRET of clients'
    run_role(lab, clients=[{'username': 'ci', 'password': password}]).ok()
    here, url = lab.only('lab-trixie'), f'http://{cache.address}:{PORT}'
    client = here.hosts['lab-trixie']
    client.reset()
    login = {'registry': f'{cache.address}:{PORT}', 'username': 'ci', 'password': password, 'format': 'containers', 'insecure': True}
    header = {'Authorization': f'Basic {base64.b64encode(f"ci:{password}".encode()).decode()}'}
    for variables, pull in (
        ({'registry_access_engines': ['podman'], 'registry_access_probe': False, 'registry_access_mirrors': {'docker.io': [url]},
          'registry_access_auths': [login]}, pull_by_podman),
        ({'registry_access_engines': ['containerd'], 'registry_access_mirrors': {'docker.io': [{'url': url, 'headers': header}]}}, pull_by_cri),
    ):  # fmt: skip
        run = here.playbook('playbooks/site.yml', extra_vars=variables).ok()
        assert password not in run.stdout + run.stderr
        since = lab.mark()
        pull(client, HUB_IMAGE)
        assert {line['client'] for line in lab.access_log('hub', since)} <= {cache.address}


def test_clients_trust_the_authority_of_the_cache_where_they_are_told_where_it_is(lab: Lab, cache: Host, clients: list[Host], tmp_path: Path) -> None:
    cache.run('openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=team -keyout /root/ca.key -out /root/ca.crt 2>/dev/null; '
              'openssl req -newkey rsa:2048 -nodes -subj /CN=cache -keyout /root/own.key -out /root/own.csr 2>/dev/null; '
              f'printf "subjectAltName=IP:{cache.address}\nauthorityKeyIdentifier=keyid\n" >/root/own.ext; '
              'openssl x509 -req -in /root/own.csr -CA /root/ca.crt -CAkey /root/ca.key -CAcreateserial -extfile /root/own.ext -out /root/own.crt 2>/dev/null')
    run_role(lab, certificate='/root/own.crt', key='/root/own.key').ok()
    client = clients[0]
    client.put('/etc/ssl/team.pem', cache.run('cat /root/ca.crt').stdout)
    own = {'certificate': '/root/own.crt', 'client_ca_path': '/etc/ssl/team.pem'}
    run_site(lab.only(client.name), tmp_path, **own)
    since = lab.mark()
    pull_by_all(client)
    assert {line['client'] for line in lab.access_log('hub', since)} <= {cache.address}
    assert run_site(lab.only(client.name), tmp_path, **own).changed() == 0


def test_it_listens_where_it_is_told_to_alone(lab: Lab, cache: Host) -> None:
    run_role(lab, address=cache.address).ok()
    assert status(cache, '/-/health') == 200
    assert cache.run(f'curl -fso /dev/null http://127.0.0.1:{PORT}/-/health', check=False).returncode != 0


@pytest.mark.usefixtures('plain')
def test_a_mistake_leaves_the_service_as_it_was(lab: Lab, cache: Host) -> None:
    before = cache.out('sha256sum /etc/quickpull-cache/*; systemctl show -p MainPID quickpull-cache-front quickpull-cache@docker.io')
    cache.run('openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=a -keyout /root/a.key -out /root/a.crt 2>/dev/null; '
              'openssl genrsa -out /root/b.key 2048 2>/dev/null')
    login = {'name': 'docker.io', 'username': 'acme', 'password': 'S3CRET-and-wrong'}
    mistakes: tuple[tuple[dict[str, t.Any], str], ...] = (
        ({'port': 22}, 'another program listens on 0.0.0.0:22'),
        ({'size': '9000t'}, 'is more than 90 % of the file system'),
        ({'size': 'much'}, 'is no size'),
        ({'certificate': '/root/a.crt', 'key': '/root/b.key'}, 'cannot be used'),
        ({'upstreams': [login, 'quay.io']}, 'refuses the login of acme'),
        ({'upstreams': ['docker.io', 'docker.io']}, 'named twice'),
        ({'upstreams': [{'name': 'docker.io', 'port': 5202}]}, 'taken by another program'),  # by the metrics of the other instance
        ({'upstreams': [{'name': 'docker.io', 'proxy': 'http://127.0.0.1:9'}, 'quay.io']}, 'cannot be reached as it is described now'),
    )
    tasks = [{'quickpull.registry.cache_config': {**PLAIN, **variables}, 'ignore_errors': True} for variables, _words in mistakes]
    run = lab.only('lab-bookworm').playbook(json.dumps([{'hosts': 'lab-bookworm', 'gather_facts': False, 'tasks': tasks}], indent=1)).ok()
    results = run.of(action='cache_config')
    assert len(results) == len(mistakes)
    for result, (_variables, words) in zip(results, mistakes):
        assert result.status == 'failed' and words in result.result['msg'], (words, result.result['msg'])
    assert 'S3CRET' not in run.stdout + run.stderr
    assert cache.out('sha256sum /etc/quickpull-cache/*; systemctl show -p MainPID quickpull-cache-front quickpull-cache@docker.io') == before


@pytest.mark.usefixtures('plain')
def test_what_does_not_come_up_is_put_back(lab: Lab, cache: Host) -> None:
    before = cache.out('sha256sum /etc/quickpull-cache/* /etc/systemd/system/quickpull-cache*')
    cache.run("printf '#!/bin/sh\\necho level=fatal it is no registry; exit 1\\n' >/usr/local/bin/no-registry; chmod 755 /usr/local/bin/no-registry")
    run = run_role(lab, registry_program='/usr/bin/env sh /usr/local/bin/no-registry', fresh_for=7, apply_timeout=8)
    words = ' '.join(run.stdout.split())
    assert run.rc != 0 and 'quickpull-cache@docker.io.service' in words and 'level=fatal it is no registry' in words and 'runs as before' in words, words
    assert cache.out('sha256sum /etc/quickpull-cache/* /etc/systemd/system/quickpull-cache*') == before
    wait(cache)
    fetch(cache, '/v2/library/busybox/manifests/latest', f'{INDEX}, {MANIFEST}')
    assert run_role(lab).ok().changed() == 0


@pytest.mark.usefixtures('plain')
def test_what_an_earlier_run_wrote_is_brought_into_force(lab: Lab, cache: Host) -> None:
    """That run died before it came to the services."""
    arguments = 'upstreams: [docker.io, quay.io], size: 2g, store_size: 1g, fresh_for: 11'
    play = f'- hosts: lab-bookworm\n  gather_facts: false\n  tasks: [{{quickpull.registry.cache_config: {{{arguments}}}}}]\n'
    lab.only('lab-bookworm').playbook(play).ok()
    before = fetch(cache, '/-/health')
    pids = cache.out('systemctl show -p MainPID --value quickpull-cache-front quickpull-cache@docker.io')
    assert run_role(lab, fresh_for=11).ok().changed() > 0
    assert fetch(cache, '/-/health') != before
    assert cache.out('systemctl show -p MainPID --value quickpull-cache-front quickpull-cache@docker.io') == pids
    assert run_role(lab, fresh_for=11).ok().changed() == 0


def test_an_upstream_less_and_then_nothing(lab: Lab, cache: Host) -> None:
    run_role(lab, upstreams=['docker.io']).ok()
    assert cache.run('systemctl is-active quickpull-cache@quay.io', check=False).stdout.strip() == 'inactive'
    assert status(cache, '/v2/library/busybox/manifests/latest?ns=quay.io') == 404
    assert status(cache, '/v2/') == 200
    run_role(lab, state='absent').ok()
    assert cache.run('ls -d /etc/quickpull-cache /run/quickpull-cache /etc/systemd/system/quickpull-cache*', check=False).stdout == ''
    assert cache.run('systemctl list-units --all --no-legend "quickpull-cache*"').stdout.strip() == ''
    assert run_role(lab, state='absent').ok().changed() == 0
