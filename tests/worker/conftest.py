# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import typing as t

import pytest

from worker import runtime
from worker.internet import Hub, Images, Internet

SETTINGS: dict[str, t.Any] = {
    'hosts': {'docker.example.com': 'docker.io', 'quay.example.com': 'quay.io', 'k8s.example.com': 'registry.k8s.io',
              'bad.example.com': 'bad.example'},
    'upstreams': {
        'docker.io': {'url': 'https://registry-1.docker.io'},
        'quay.io': {'url': 'https://quay.io'},
        'registry.k8s.io': {'url': 'https://registry.k8s.io'},
        'bad.example': {'url': 'https://bad.example'},
    },
    'allow': [],
    'cache_blobs': True,
    'default': 'docker.io',
}

HOST = 'name.account.workers.dev'


class Start(t.Protocol):
    def __call__(self, changed: t.Mapping[str, t.Any] | None = None, **secrets: t.Any) -> runtime.Worker:
        """Another Worker, for this test or module."""


@pytest.fixture(scope='module')
def internet(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Internet]:
    """Registries by the names that they have outside."""
    found = Internet(tmp_path_factory.mktemp('internet'))
    yield found
    found.close()


@pytest.fixture(autouse=True)
def clean(internet: Internet, hub: Hub) -> None:
    """Each test sees what it asked itself."""
    internet.seen.clear()


@pytest.fixture(scope='module')
def hub(internet: Internet) -> Hub:
    quay, k8s = Images('team/app'), Images('images/pause')
    internet.hosts['quay.io'] = quay.serve
    internet.hosts['registry.k8s.io'] = lambda request, path: request.redirect(f'https://us-west2-docker.pkg.dev{path.replace("/v2/", "/v2/images/")}')
    internet.hosts['us-west2-docker.pkg.dev'] = k8s.serve
    return Hub(internet, 'library/busybox', 'team/app')


@pytest.fixture(scope='module')
def start(internet: Internet) -> t.Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def one(changed: t.Mapping[str, t.Any] | None = None, **secrets: t.Any) -> runtime.Worker:
            found = stack.enter_context(runtime.running({**SETTINGS, **(changed or {})}, internet=internet.address, **secrets))
            found.host = HOST
            return found

        yield one


@pytest.fixture(scope='module')
def passing(start: Start) -> runtime.Worker:
    """Without any login: clients fetch their tokens through it."""
    return start()


@pytest.fixture(scope='module')
def own(start: Start) -> runtime.Worker:
    """With a login at the Hub, for anybody."""
    return start(UPSTREAM_LOGINS={'docker.io': {'username': 'acme', 'password': 'hub-secret'}})


@pytest.fixture(scope='module')
def locked(start: Start) -> runtime.Worker:
    """For clients with a login, and with none at the Hub."""
    return start(CLIENT_LOGINS={'ci': 'pässwörd:with colon', 'other': 'x'})
