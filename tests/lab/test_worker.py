# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Worker of the role registry_worker under workerd, on the lab's bridge, and real clients: what their pulls ask of the upstream is in its log."""

from __future__ import annotations

import contextlib
import ipaddress
import typing as t

import pytest
from worker import runtime
from worker.conformance import CASES, Case, Target

from lab.api import Host, Lab
from lab.containers import HUB_LOGIN
from lab.mirrors import WORKER_NAMES, names
from lab.test_cache import HUB_IMAGE, QUAY_IMAGE, pull_by_all, pull_by_cri, pull_by_docker, pull_by_podman

UPSTREAMS = {
    'docker.io': {'url': 'https://registry-1.docker.io'},
    'quay.io': {'url': 'https://quay.io'},
    'redirect.lab': {'url': 'http://good-redirect.lab:8106'},
}
DOCKER, QUAY = WORKER_NAMES
CLIENT = ('ci', 'wörker:pass')


@pytest.fixture(scope='module')
def gateway(lab: Lab) -> str:
    """This machine on the lab's bridge, where the Worker listens and asks from."""
    return str(ipaddress.ip_network(lab.facts['subnet'])[1])


class Run(t.Protocol):
    def __call__(self, *, port: int = 0, upstreams: t.Mapping[str, t.Any] | None = None, **secrets: t.Any) -> contextlib.AbstractContextManager[runtime.Worker]:
        """A Worker, for as long as the block lasts."""


@pytest.fixture(scope='module')
def run(lab: Lab, gateway: str) -> Run:
    def one(*, port: int = 0, upstreams: t.Mapping[str, t.Any] | None = None, **secrets: t.Any) -> contextlib.AbstractContextManager[runtime.Worker]:
        hosts = dict(zip(WORKER_NAMES, UPSTREAMS))
        settings = {'hosts': hosts, 'upstreams': {**UPSTREAMS, **(upstreams or {})}, 'allow': [], 'cache_blobs': True, 'default': ''}
        known = names(lab.facts['services']['address'], gateway)
        pki = lab.place.pki
        certificate = (pki / 'worker.crt', pki / 'worker.key')
        return runtime.running(settings, address=gateway, port=port, certificate=certificate, authority=pki / 'ca.crt', names=known, **secrets)

    return one


@pytest.fixture(scope='module')
def port(lab: Lab, run: Run) -> int:
    """Where the Worker is. Its clients are given it as the mirror of two registries, by the collection itself, which probes it before."""
    lab.everywhere(Host.reset)
    with run() as worker:
        lines = ''.join(f'{worker.address} {name}\n' for name in WORKER_NAMES)
        lab.everywhere(lambda host: host.run('cat >> /etc/hosts', stdin=lines))
        url = f'https://{DOCKER}:{worker.port}'
        variables = {
            'registry_access_engines': ['docker', 'containerd', 'podman'], 'registry_access_probe_images': [HUB_IMAGE, QUAY_IMAGE],
            'registry_access_probe_deadline': 15, 'registry_access_mirrors': {'docker.io': [url], 'quay.io': [f'{url}/v2/quay.io']},
        }  # fmt: skip
        done = lab.playbook('playbooks/site.yml', extra_vars=variables).ok()
        for host in lab.hosts.values():
            assert host.mirrors_in_force() == [f'{url}/'], done.stdout
        return worker.port


@pytest.fixture(scope='module', autouse=True)
def as_before(lab: Lab) -> t.Iterator[None]:
    yield
    lab.everywhere(Host.reset)


@pytest.fixture
def passing(run: Run, port: int) -> t.Iterator[runtime.Worker]:
    """Without a login of its own."""
    with run(port=port) as worker:
        yield worker


def upstream_log(lab: Lab, since: float, what: str = '/v2/') -> list[dict[str, t.Any]]:
    return [line for line in lab.access_log('hub', since) if what in line['path']]


def test_real_clients_pull_and_the_second_has_its_blobs_from_the_cache(lab: Lab, passing: runtime.Worker) -> None:
    """Docker, containerd through its CRI, and Podman, of two registries; nobody but the Worker asks the upstreams, token server included."""
    first, *others = lab.hosts.values()
    since = lab.mark()
    pull_by_all(first)
    asked = lab.access_log('hub', since)
    assert {line['client'] for line in asked} == {passing.address}
    assert [line for line in asked if line['method'] == 'GET' and '/blobs/' in line['path']]
    assert {line['host'] for line in asked} == {'registry-1.docker.io', 'auth.docker.io', 'quay.io'}
    since = lab.mark()
    lab.everywhere(lambda host: pull_by_all(host) if host in others else None)
    asked = lab.access_log('hub', since)
    assert asked and {line['client'] for line in asked} == {passing.address}
    assert [line for line in asked if line['method'] == 'GET' and ('/blobs/' in line['path'] or '/manifests/sha256' in line['path'])] == []


def test_real_clients_pull_by_the_workers_own_name(lab: Lab, passing: runtime.Worker) -> None:
    at = f'{DOCKER}:{passing.port}'

    images = [
        f'{at}/busybox', f'{at}/library/busybox', f'{at}/quay.io/library/busybox', f'{at}/redirect.lab/library/nginx',
        f'{QUAY}:{passing.port}/library/busybox',
    ]  # fmt: skip

    def pull(host: Host) -> None:
        for image in images:
            host.cold()
            host.run(['docker', 'pull', '-q', image])
            host.run(['podman', 'pull', '-q', image])
        host.run(['ctr', '-n', 'k8s.io', 'images', 'pull', f'{at}/library/nginx:latest'])

    since = lab.mark()
    lab.everywhere(pull)
    assert {line['client'] for line in lab.access_log('hub', since)} == {passing.address}
    stored = lab.access_log('cdn', since)
    assert stored and {(line['client'], line['authorization']) for line in stored} == {(passing.address, False)}


def test_a_login_at_the_hub_goes_through(lab: Lab, passing: runtime.Worker) -> None:
    """The pull counts for who has the login, and not for the addresses that all Workers share."""
    at = f'{DOCKER}:{passing.port}'

    def pull(host: Host) -> None:
        for program in ('docker', 'podman'):
            host.run([program, 'login', '-u', HUB_LOGIN['user'], '--password-stdin', at], stdin=HUB_LOGIN['password'])
            refused = host.run([program, 'login', '-u', HUB_LOGIN['user'], '--password-stdin', at], stdin='wrong', check=False)
            assert refused.returncode != 0
            host.run([program, 'login', '-u', HUB_LOGIN['user'], '--password-stdin', at], stdin=HUB_LOGIN['password'])
            host.cold()
            host.run([program, 'pull', '-q', f'{at}/library/fresh'])
        host.run(['ctr', '-n', 'k8s.io', 'images', 'pull', '--user', f'{HUB_LOGIN["user"]}:{HUB_LOGIN["password"]}', f'{at}/library/fresh:latest'])

    since = lab.mark()
    lab.everywhere(pull)
    tokens = [line for line in upstream_log(lab, since, '/token?') if 'library%2Ffresh' in line['path'] or 'library/fresh' in line['path']]
    assert {(line['client'], line['user']) for line in tokens} == {(passing.address, HUB_LOGIN['user'])}
    lab.everywhere(lambda host: host.run(f'docker logout {at}; podman logout {at}'))


def test_the_logins_of_its_own(lab: Lab, run: Run, port: int, gateway: str) -> None:
    """Whom it does not know pulls from the registry itself; the upstream sees the Worker's login, and never a client's."""
    at = f'{DOCKER}:{port}'
    login = {'docker.io': {'username': HUB_LOGIN['user'], 'password': HUB_LOGIN['password']}}

    def pull(host: Host) -> None:
        refused = host.run(['docker', 'pull', '-q', f'{at}/library/busybox'], check=False)
        assert refused.returncode != 0
        for program in ('docker', 'podman'):
            assert host.run([program, 'login', '-u', CLIENT[0], '--password-stdin', at], stdin='wrong', check=False).returncode != 0
            host.run([program, 'login', '-u', CLIENT[0], '--password-stdin', at], stdin=CLIENT[1])
            host.cold()
            host.run([program, 'pull', '-q', f'{at}/library/busybox'])
        host.run(['ctr', '-n', 'k8s.io', 'images', 'pull', '--user', ':'.join(CLIENT), f'{at}/library/busybox:latest'])

    with run(port=port, CLIENT_LOGINS=dict([CLIENT]), UPSTREAM_LOGINS=login):
        since = lab.mark()
        lab.everywhere(pull)
        log = lab.access_log('hub', since)
        assert {line['client'] for line in log} == {gateway}
        assert {line['user'] for line in log if line['path'].startswith('/token')} == {HUB_LOGIN['user']}
        since = lab.mark()
        host = lab.hosts['lab-trixie']
        host.run(f'docker logout {at}; podman logout {at}')
        pull_by_docker(host)
        assert {line['client'] for line in upstream_log(lab, since, '/blobs/')} == {host.address}


@pytest.mark.parametrize('upstream', ['http://always-429.lab:8224', 'http://refused.lab:8999'])
def test_clients_go_on_when_the_upstream_has_had_enough_or_is_not_there(lab: Lab, run: Run, port: int, upstream: str) -> None:
    def pull(host: Host) -> None:
        pull_by_docker(host)
        pull_by_cri(host, HUB_IMAGE)
        if '429' not in upstream:  # Podman waits as long as Retry-After says, several times
            pull_by_podman(host, HUB_IMAGE)

    with run(port=port, upstreams={'docker.io': {'url': upstream}}):
        since = lab.mark()
        lab.everywhere(pull)
        assert {line['client'] for line in lab.access_log('hub', since)} == {host.address for host in lab.hosts.values()}
        assert '429' not in upstream or lab.access_log('always-429', since)


@pytest.fixture(scope='module')
def target(lab: Lab, run: Run) -> t.Iterator[Target]:
    """A real image in the distribution registry, behind the Hub's token server."""
    with run(UPSTREAM_LOGINS={'docker.io': {'username': HUB_LOGIN['user'], 'password': HUB_LOGIN['password']}}) as worker:
        image = lab.images['library/busybox']
        one, *dummy = image['platforms'].values()
        worker.host = f'{DOCKER}:{worker.port}'
        yield Target(worker, 'library/busybox', image['digest'], one['digest'], one['layers'][0]['digest'], one['layers'][0]['size'], newer=False)


@pytest.mark.parametrize('case', CASES, ids=[f'{number} {name}' for number, name, dummy in CASES])
def test_the_specification_with_the_distribution_registry_behind(target: Target, case: Case) -> None:
    case[2](target)
