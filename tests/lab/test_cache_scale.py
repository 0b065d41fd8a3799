# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two caches that share a bucket and a Redis, and go on to one another. The bucket is moto's, on the machine of the lab."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request

import pytest

from lab import network
from lab.api import Host, Lab, PlaybookRun
from lab.mirrors import REDIS_PASSWORD, REDIS_PORT
from lab.test_cache import BIG, INDEX, MANIFEST, PLAIN, PORT, asked, digest_of, fetch, layer_of, status

PLAY = '- hosts: lab-bookworm:lab-trixie\n  gather_facts: false\n  roles: [quickpull.registry.pull_through_cache]\n'
UPSTREAMS = [{'name': 'docker.io', 'redis_db': 0}, {'name': 'quay.io', 'redis_db': 1}]
KEYS = {'access_key': "lab's: key", 'secret_key': 'lab"s secret'}


class Bucket:
    """An S3 that can be stopped; what it had is gone then."""

    def __init__(self, lab: Lab) -> None:
        self.address = network.address(lab.facts['subnet'], 1)
        with socket.create_server((self.address, 0)) as free:
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def settings(self) -> dict[str, str]:
        return {'bucket': 'images', 'endpoint': f'http://{self.address}:{self.port}', **KEYS}

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'moto.server', '-H', self.address, '-p', str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )  # fmt: skip
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(urllib.request.Request(f'{self.settings["endpoint"]}/images', method='PUT'), timeout=10).close()
                return
            assert time.monotonic() < end and self.process.poll() is None
            time.sleep(0.2)

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def keys(self, prefix: str) -> list[str]:
        query = urllib.parse.urlencode({'list-type': 2, 'prefix': prefix})
        with urllib.request.urlopen(f'{self.settings["endpoint"]}/images?{query}', timeout=10) as answer:
            return [part.partition('</Key>')[0] for part in answer.read().decode().split('<Key>')[1:]]


def run_role(lab: Lab, bucket: Bucket, *, check: bool = False, **variables: t.Any) -> PlaybookRun:
    addresses = [lab.hosts[name].address for name in ('lab-bookworm', 'lab-trixie')]
    given = {
        **PLAIN, 'packages': [], 'upstreams': UPSTREAMS, 's3': bucket.settings, 'redis': {'address': f'redis.lab:{REDIS_PORT}', 'password': REDIS_PASSWORD},
        'replicas': [f'http://{address}:{PORT}' for address in addresses], **variables,
    }  # fmt: skip
    here = lab.only('lab-bookworm', 'lab-trixie')
    return here.playbook(PLAY, extra_vars={f'pull_through_cache_{name}': value for name, value in given.items()}, check=check)


@pytest.fixture(scope='module')
def bucket(lab: Lab) -> t.Iterator[Bucket]:
    one = Bucket(lab)
    yield one
    one.stop()


@pytest.fixture(scope='module')
def caches(lab: Lab, bucket: Bucket) -> t.Iterator[tuple[Host, Host]]:
    lab.everywhere(Host.reset)
    ask_redis(lab, 'FLUSHALL')
    run = run_role(lab, bucket).ok()
    assert KEYS['secret_key'] not in run.stdout and REDIS_PASSWORD not in run.stdout
    yield lab.hosts['lab-bookworm'], lab.hosts['lab-trixie']
    lab.everywhere(Host.reset)


def ask_redis(lab: Lab, *commands: str) -> list[str]:
    """Each answer of a line, in the protocol of Redis."""
    with socket.create_connection((lab.facts['services']['address'], REDIS_PORT), timeout=10) as connection, connection.makefile('rb') as answers:
        found = []
        for words in (['AUTH', REDIS_PASSWORD], *(command.split() for command in commands)):
            connection.sendall(b''.join([b'*%d\r\n' % len(words), *(b'$%d\r\n%s\r\n' % (len(word.encode()), word.encode()) for word in words)]))
            found.append(answers.readline().decode().strip())
        return found[1:]


def empty(*hosts: Host) -> None:
    """Let fronts forget what they have, so that the instances are asked."""
    for host in hosts:
        host.run('systemctl stop quickpull-cache-front; rm -rf /var/cache/quickpull-cache/blobs; systemctl start quickpull-cache-front')
        wait_for_front(host)


def wait_for_front(host: Host) -> None:
    wait_for(lambda: host.run(f'curl -sko /dev/null http://127.0.0.1:{PORT}/-/health', check=False).returncode == 0)


def wait_for(what: t.Callable[[], t.Any], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)


def has_heard(host: Host, since: float) -> int:
    """How many requests for images the instance of Docker Hub has answered."""
    lines = host.out(f'journalctl -u quickpull-cache@docker.io --since=@{since:.3f} -o cat --no-pager').splitlines()
    return sum('response completed' in line and '/library/' in line for line in lines)


def test_a_second_run_changes_nothing(lab: Lab, bucket: Bucket, caches: tuple[Host, Host]) -> None:
    assert run_role(lab, bucket).ok().changed() == 0


def test_what_one_of_them_pulled_the_other_has(lab: Lab, bucket: Bucket, caches: tuple[Host, Host]) -> None:
    first, second = caches
    layer = layer_of(first, BIG)
    assert digest_of(first, f'/v2/{BIG}/blobs/{layer}') == layer
    # The link to a blob is the last that is written of it.
    wait_for(lambda: bucket.keys(f'quickpull-cache/docker.io/docker/registry/v2/repositories/{BIG}/_layers/sha256/{layer.partition(":")[2]}/link'))
    since = lab.mark()
    assert digest_of(second, f'/v2/{BIG}/blobs/{layer}') == layer
    assert asked(lab, since, '/blobs/') == []
    for host in caches:
        assert host.out('find /var/lib/quickpull-cache -type f') == ''
        assert host.out('stat -c %a /etc/quickpull-cache/docker.io.env') == '600'
        assert KEYS['secret_key'] not in host.out('cat /etc/quickpull-cache/*.yml; systemctl show "quickpull-cache@*"; ps ax -o args')
    keys, none = ask_redis(lab, 'DBSIZE', 'SELECT 1', 'DBSIZE')[0::2]
    assert int(keys.lstrip(':')) > 0 and none == ':0'  # nothing was asked of quay.io, which has a database of its own
    fetch(second, '/v2/quay.io/library/busybox/manifests/latest', f'{INDEX}, {MANIFEST}')
    assert bucket.keys('quickpull-cache/quay.io/docker/registry/v2/repositories/library/busybox/')


@pytest.mark.parametrize('how', ['FLUSHALL', 'SHUTDOWN NOSAVE'])
def test_redis_may_be_emptied_and_restarted(lab: Lab, caches: tuple[Host, Host], how: str) -> None:
    layer = layer_of(caches[0], BIG)
    assert digest_of(caches[0], f'/v2/{BIG}/blobs/{layer}') == layer

    def is_back() -> bool:
        with contextlib.suppress(OSError):
            return ask_redis(lab, 'PING') == ['+PONG']
        return False

    since = lab.mark()
    ask_redis(lab, how)  # one that is shut down comes back after a second, and has forgotten everything
    for _away_and_back in range(2):
        empty(*caches)
        for host in caches:
            assert digest_of(host, f'/v2/{BIG}/blobs/{layer}') == layer
        wait_for(is_back)
    assert asked(lab, since, '/blobs/') == []
    assert ask_redis(lab, 'DBSIZE') != [':0']  # so the instances have found it again


def test_one_whose_instance_is_down_goes_on_to_the_other_until_it_is_back(lab: Lab, caches: tuple[Host, Host]) -> None:
    first, second = caches
    client = lab.hosts['lab-forky']
    image = f'{first.address}:{PORT}/library/busybox'
    first.run('systemctl stop quickpull-cache@docker.io quickpull-cache@quay.io')
    try:
        empty(first, second)
        since = lab.mark()
        client.run(['podman', 'pull', '-q', '--tls-verify=false', image])
        assert has_heard(second, since) > 0
        assert status(first, '/v2/') == 200
        assert status(first, '/v2/library/no-such/manifests/latest') == 404
        layer = layer_of(first, BIG)
        assert digest_of(first, f'/v2/{BIG}/blobs/{layer}') == layer
        assert len(fetch(first, f'/v2/{BIG}/blobs/{layer}', INDEX, Range='bytes=0-99')) == 100
        assert digest_of(first, f'/v2/quay.io/{BIG}/blobs/{layer}') == layer
        assert status(first, f'/v2/{BIG}/blobs/{layer}', 'HEAD') == 200
        # Of two that are both without, neither sends on what the other has sent on.
        second.run('systemctl stop quickpull-cache@docker.io')
        empty(second)
        began = time.monotonic()
        assert status(first, '/v2/library/nginx/manifests/latest') == status(second, '/v2/library/nginx/manifests/latest') == 502
        assert time.monotonic() - began < 5
    finally:
        first.run('systemctl start quickpull-cache@docker.io quickpull-cache@quay.io')
        second.run('systemctl start quickpull-cache@docker.io')
    wait_for(lambda: first.run('curl -fso /dev/null http://127.0.0.1:5101/v2/', check=False).returncode == 0)
    since = lab.mark()
    client.run(f'podman rmi -af >/dev/null; podman pull -q --tls-verify=false {image}')
    assert has_heard(first, since) > 0 and has_heard(second, since) == 0


def test_a_host_that_is_down_costs_its_own_clients_alone(lab: Lab, caches: tuple[Host, Host]) -> None:
    first, second = caches
    second.run('systemctl stop "quickpull-cache*"')
    try:
        empty(first)
        assert status(first, '/v2/library/busybox/manifests/latest') == 200
        first.run('systemctl stop quickpull-cache@docker.io')
        empty(first)
        assert status(first, '/v2/library/busybox/manifests/latest') == 502
    finally:
        for host in caches:
            host.run('systemctl start quickpull-cache@docker.io quickpull-cache@quay.io quickpull-cache-front quickpull-cache-evict.timer')


def test_over_tls_the_other_has_to_be_who_it_says(lab: Lab, bucket: Bucket, caches: tuple[Host, Host]) -> None:
    """With a login of the clients, which is sent on."""
    first, second = caches
    for host in caches:
        for name in ('good-tls', 'wrong-name'):
            host.put(f'/root/{name}.crt', (host.place.pki / f'{name}.crt').read_text())
            host.put(f'/root/{name}.key', (host.place.pki / f'{name}.key').read_text(), 0o600)
        host.run(f'echo "{second.address} second.lab" >>/etc/hosts; sed "s/^.* good-tls.lab//" /etc/hosts >/root/hosts; cat /root/hosts >/etc/hosts; '
                 f'echo "{second.address} good-tls.lab" >>/etc/hosts')
    url = f'https://good-tls.lab:{PORT}'
    authority = '/usr/local/share/ca-certificates/quickpull-lab.crt'
    both: dict[str, t.Any] = {'certificate': '/root/good-tls.crt', 'key': '/root/good-tls.key', 'replicas': [url], 'replicas_ca_path': authority}
    login = 'Basic Y2k6bGFi'
    run_role(lab, bucket, clients=[{'username': 'ci', 'password': 'lab'}], **both).ok()
    first.run('systemctl stop quickpull-cache@docker.io')
    ask = f'curl -sk -o /dev/null -w "%{{http_code}}" https://127.0.0.1:{PORT}/v2/library/busybox/manifests/latest'
    empty(first)
    assert first.out(f'{ask} -H "Authorization: {login}"') == '200'
    assert first.out(ask) == '401'
    second.run('cat /root/wrong-name.crt >/root/good-tls.crt; cat /root/wrong-name.key >/root/good-tls.key; systemctl restart quickpull-cache-front')
    wait_for_front(second)
    assert first.out(f'{ask} -H "Authorization: {login}"') == '502'
    assert first.out('journalctl -u quickpull-cache-front -o cat --no-pager | grep -c "upstream SSL certificate does not match"') != '0'
    first.run('systemctl start quickpull-cache@docker.io')
    run_role(lab, bucket).ok()


def test_a_bucket_that_is_not_there_leaves_the_old_service(lab: Lab, bucket: Bucket, caches: tuple[Host, Host]) -> None:
    before = [host.out('sha256sum /etc/quickpull-cache/*.* /etc/systemd/system/quickpull-cache*') for host in caches]
    run = run_role(lab, bucket, s3={**bucket.settings, 'bucket': 'nobodys'})
    assert run.rc != 0 and f's3: the bucket {bucket.settings["endpoint"]}/nobodys is not there' in ' '.join(run.stdout.split())
    assert [host.out('sha256sum /etc/quickpull-cache/*.* /etc/systemd/system/quickpull-cache*') for host in caches] == before
    assert [status(host, '/v2/') for host in caches] == [200, 200]


def test_without_the_bucket_the_fronts_serve_what_they_have(lab: Lab, bucket: Bucket, caches: tuple[Host, Host]) -> None:
    first, _second = caches
    layer = layer_of(first, BIG)
    assert digest_of(first, f'/v2/{BIG}/blobs/{layer}') == layer
    bucket.stop()
    try:
        assert digest_of(first, f'/v2/{BIG}/blobs/{layer}') == layer
        tree = json.loads(fetch(first, f'/v2/{BIG}/manifests/latest', f'{INDEX}, {MANIFEST}'))
        assert tree['schemaVersion'] == 2
    finally:
        bucket.start()
        ask_redis(lab, 'FLUSHALL')  # since the bucket is a new one
