# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _logins
from ansible_collections.quickpull.registry.plugins.module_utils._as_user import account
from ansible_collections.quickpull.registry.plugins.module_utils._auth_file import CONTAINERS, DOCKER
from ansible_collections.quickpull.registry.plugins.module_utils._logins import Target
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.modules import registry_auth
from ansible_collections.quickpull.registry.tests.unit.plugins.fake_module import FakeModule
from ansible_collections.quickpull.registry.tests.unit.plugins.small_registry import Answer, Server

ME = account(None)
MINE = {form: _logins.default_path(ME, form) for form in (DOCKER, CONTAINERS)}
PROXIES = {'client_proxies': {'https_proxy': 'http://proxy.lan:3128', 'no_proxy': None}}


def targets(*auths: t.Mapping[str, t.Any], **params: t.Any) -> list[Target]:
    """The files of a task, as Ansible hands over its options."""
    unsaid = {'username': 'acme', 'password': 'pw', **dict.fromkeys(('identity_token', 'user', 'format', 'config_path', 'helper'))}
    items = [{**unsaid, 'registry': 'quay.io', 'state': 'present', 'insecure': False, **auth} for auth in auths]
    return registry_auth.targets_of({'user': None, 'format': DOCKER, 'config_path': None, 'exclusive': False, 'client_proxies': None, 'auths': items, **params})


def test_exclusive_without_logins_removes_none() -> None:
    assert targets(exclusive=True) == []
    assert targets(exclusive=True, format=CONTAINERS) == []
    (proxied,) = targets(exclusive=True, **PROXIES)
    assert (proxied.path, proxied.exclusive, proxied.proxies) == (MINE[DOCKER], False, {'https_proxy': 'http://proxy.lan:3128'})


@pytest.mark.parametrize('said, path', [({'user': str(os.geteuid())}, MINE[DOCKER]), ({'config_path': '/srv/config.json'}, '/srv/config.json')])
def test_exclusive_without_logins_means_a_file_that_the_task_names(said: dict[str, t.Any], path: str) -> None:
    (alone,) = targets(exclusive=True, **said)
    assert (alone.path, alone.exclusive, alone.proxies) == (path, True, None)
    (both,) = targets(exclusive=True, **said, **PROXIES)
    assert (both.path, both.exclusive, bool(both.proxies)) == (path, True, True)
    assert targets(**said) == []


def test_exclusive_is_for_the_files_that_logins_name() -> None:
    found = targets({'format': CONTAINERS}, exclusive=True, **PROXIES)
    assert [(one.path, one.exclusive, bool(one.proxies)) for one in found] == [(MINE[CONTAINERS], True, False), (MINE[DOCKER], False, True)]


@pytest.mark.parametrize(
    'auths, params, where',
    [
        ([{}], {}, [MINE[DOCKER]]),
        ([{'config_path': '/srv/a.json'}, {'config_path': '/srv/b.json'}], {}, ['/srv/a.json', '/srv/b.json']),
        ([{'format': CONTAINERS}], {}, [MINE[DOCKER]]),
        ([{}], {'format': CONTAINERS}, [MINE[DOCKER]]),
        ([], {'format': CONTAINERS}, [MINE[DOCKER]]),
        ([], {'config_path': '/srv/c.json'}, ['/srv/c.json']),
        ([{'format': CONTAINERS, 'config_path': '/srv/a.json'}], {'config_path': '/srv/c.json'}, ['/srv/c.json']),
        ([{}], {'format': CONTAINERS, 'config_path': '/srv/auth.json'}, [MINE[DOCKER]]),
        ([{'format': CONTAINERS}], {'config_path': '/srv/auth.json'}, [MINE[DOCKER]]),
        ([{'format': CONTAINERS, 'config_path': MINE[DOCKER]}], {}, [MINE[DOCKER]]),
    ],
)
def test_proxies_go_into_a_file_that_dockers_client_reads(auths: list[dict[str, t.Any]], params: dict[str, t.Any], where: list[str]) -> None:
    found = targets(*auths, **params, **PROXIES)
    assert [one.path for one in found if one.proxies] == where
    assert len({one.path for one in found}) == len(found)


class Failed(Exception):
    """What a module fails with."""

    def __init__(self, **result: t.Any) -> None:
        super().__init__(result['msg'])
        self.result = result


class Module(FakeModule):
    """One that may fail."""

    def fail_json(self, **result: t.Any) -> t.NoReturn:
        raise Failed(**result)


@pytest.mark.parametrize('check', [True, False])
def test_a_refused_login_is_told_with_what_the_others_are(tmp_path: Path, check: bool) -> None:
    """An audit wants to know all that is wrong, and a registry that refuses one login says nothing of the others."""
    server = Server(lambda asked: Answer(401, b'', {'WWW-Authenticate': 'Basic realm="x"'}))
    taken = Server(lambda asked: Answer(200 if asked.header('Authorization') else 401, b'{}', {'WWW-Authenticate': 'Basic realm="x"'}))
    path = tmp_path / 'config.json'
    item = {'username': 'acme', 'password': 'the-password', 'state': 'present', 'insecure': False, 'config_path': str(path)}
    unsaid = dict.fromkeys(('identity_token', 'user', 'format', 'helper'))
    params: dict[str, t.Any] = {
        'auths': [{**unsaid, **item, 'registry': one.url} for one in (server, taken)],
        **dict.fromkeys(('user', 'config_path', 'client_proxies', 'proxy', 'ca_path')),
        'format': DOCKER,
        'verify': 'always',
        'verify_in_check_mode': True,
        'exclusive': False,
        'no_proxy': [],
        'deadline': 5,
        'rate_limit': 'never',
    }
    with pytest.raises(Failed) as caught:
        registry_auth.run(t.cast(t.Any, Module(check, params)), State(str(tmp_path / 'state')))
    server.close()
    taken.close()
    result = caught.value.result
    assert result['changed'] is False
    assert [(one['verified'], one['changed'], one['path']) for one in result['logins']] == [('refused', True, str(path)), ('verified', True, str(path))]
    assert 'refuses the login of acme' in result['logins'][0]['reason']
    assert 'the-password' not in json.dumps(result)
    assert not path.exists()
