# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils._docker_api import DockerApiError, DockerUnavailable, PullTimeout
from ansible_collections.quickpull.registry.plugins.module_utils._http import Deadline
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror
from ansible_collections.quickpull.registry.plugins.module_utils._probe_pull import Puller, obstacle, reference
from ansible_collections.quickpull.registry.plugins.module_utils._registry import Image, parse_image

NGINX = parse_image('nginx', 'docker.io')
DIGEST = 'sha256:' + 'a' * 64


class FakeDocker:
    """A daemon that remembers what was asked of it."""

    def __init__(self, *, there: bool = False, error: Exception | None = None, remove_error: Exception | None = None) -> None:
        self.there, self.error, self.remove_error = there, error, remove_error
        self.calls: list[str] = []

    def image_exists(self, ref: str) -> bool:
        self.calls.append(f'exists {ref}')
        return self.there

    def remove_image(self, ref: str) -> None:
        self.calls.append(f'remove {ref}')
        if self.remove_error:
            raise self.remove_error

    def pull(self, ref: str, deadline: float) -> None:
        assert 0 < deadline <= 5
        self.calls.append(f'pull {ref}')
        if self.error:
            raise self.error


def pull(docker: FakeDocker, url: str = 'https://mirror.example.com', insecure: tuple[str, ...] = ()) -> dict[str, t.Any]:
    return Puller(lambda: (docker, insecure))(Mirror(url=url), NGINX, Deadline(5))


def test_the_image_goes_again() -> None:
    docker = FakeDocker()
    outcome = pull(docker)
    assert outcome['state'] == 'ok'
    assert outcome['seconds'] >= 0
    assert docker.calls == [f'{what} mirror.example.com/library/nginx:latest' for what in ('exists', 'pull', 'remove')]


def test_an_image_that_was_there_before_stays() -> None:
    docker = FakeDocker(there=True)
    assert pull(docker)['state'] == 'ok'
    assert 'remove' not in ' '.join(docker.calls)


def test_an_image_that_cannot_be_removed_is_told() -> None:
    outcome = pull(FakeDocker(remove_error=DockerApiError('in use')))
    assert outcome['state'] == 'ok'
    assert 'in use' in outcome['reason']


@pytest.mark.parametrize(
    'error, verdict',
    [
        (PullTimeout('5 s'), 'timeout'),
        (DockerApiError('toomanyrequests: slow down'), 'rate_limited'),
        (DockerApiError('Get "https://m/v2/": x509: certificate signed by unknown authority'), 'tls_error'),
        (DockerApiError('http: server gave HTTP response to HTTPS client'), 'tls_error'),
        (DockerApiError('Get "https://m/v2/": dial tcp 10.0.0.1:443: i/o timeout'), 'timeout'),
        (DockerApiError('dial tcp: lookup m: no such host'), 'unreachable'),
        (DockerApiError('unauthorized: authentication required'), 'auth_failed'),
        (DockerApiError('pull access denied for m/library/nginx'), 'denied'),
        (DockerApiError('manifest for m/library/nginx:latest not found: manifest unknown'), 'missing'),
        (DockerApiError('filesystem layer verification failed for digest sha256:aa'), 'corrupt'),
        (DockerApiError('received unexpected HTTP status: 500 Internal Server Error'), 'server_error'),
        (DockerApiError('something else'), 'blob_unreachable'),
    ],
)
def test_failed_pulls(error: Exception, verdict: str) -> None:
    docker = FakeDocker(error=error)
    outcome = pull(docker)
    assert (outcome['state'], outcome['verdict']) == ('failed', verdict)
    assert outcome['reason'].endswith('.')
    assert 'remove' not in ' '.join(docker.calls)


def test_no_docker_no_pull() -> None:
    def absent() -> t.Any:
        raise DockerUnavailable('Docker does not run here.')

    outcome = Puller(absent)(Mirror(url='https://m.lan'), NGINX, Deadline(5))
    assert (outcome['state'], outcome['reason']) == ('not_applicable', 'Docker does not run here.')


def test_pulls_take_turns() -> None:
    puller = Puller(lambda: (FakeDocker(), ()))
    with puller._turn:
        outcome = puller(Mirror(url='https://m.lan'), NGINX, Deadline(0.05))
    assert (outcome['state'], outcome['verdict']) == ('failed', 'timeout')


@pytest.mark.parametrize(
    'url, image, ref',
    [
        ('https://m.lan', NGINX, 'm.lan/library/nginx:latest'),
        ('https://m.lan/', parse_image(f'a/b@{DIGEST}', 'docker.io'), f'm.lan/a/b@{DIGEST}'),
        ('https://m.lan:5000', NGINX, 'm.lan:5000/library/nginx:latest'),
        ('https://cache', NGINX, 'cache:443/library/nginx:latest'),
        ('http://m.lan', NGINX, 'm.lan:80/library/nginx:latest'),
        ('http://127.0.0.1:5000', NGINX, '127.0.0.1:5000/library/nginx:latest'),
    ],
)
def test_reference(url: str, image: Image, ref: str) -> None:
    assert reference(Mirror(url=url), image) == ref


@pytest.mark.parametrize(
    'mirror, insecure, word',
    [
        (Mirror(url='https://m.lan'), (), ''),
        (Mirror(url='https://m.lan/hub'), (), 'path'),
        (Mirror(url='https://[fd00::1]:5000'), (), 'IPv6'),
        (Mirror(url='https://m.lan', headers={'X': 'y'}), (), 'headers'),
        (Mirror(url='https://m.lan', ca_path='/x.pem'), (), 'certificates'),
        (Mirror(url='http://m.lan:5000'), (), 'insecure-registries'),
        (Mirror(url='https://m.lan:5000', insecure=True), (), 'insecure-registries'),
        (Mirror(url='http://m.lan:5000'), ('m.lan:5000',), ''),
        (Mirror(url='http://m.lan:5000'), ('10.0.0.0/8',), 'insecure-registries'),
        (Mirror(url='http://10.1.2.3:5000'), ('::1/128', '10.0.0.0/8'), ''),
        (Mirror(url='http://127.0.0.1:5000'), (), ''),
        (Mirror(url='http://localhost:5000'), (), ''),
    ],
)
def test_obstacle(mirror: Mirror, insecure: tuple[str, ...], word: str) -> None:
    found = obstacle(mirror, insecure)
    assert word in found
    assert bool(found) is bool(word)
    assert Puller(lambda: (FakeDocker(), insecure))(mirror, NGINX, Deadline(5))['state'] == ('not_applicable' if word else 'ok')
