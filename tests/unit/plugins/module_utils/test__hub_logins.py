# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils._hub_logins import find_hub_logins, has_hub_login, homes, is_hub

HUB = 'https://index.docker.io/v1/'
AUTH = {'auth': 'dTpw'}

KEYS: list[tuple[str, bool]] = [
    (HUB, True),
    ('https://index.docker.io/v1/access-token', True),
    ('docker.io', True),
    ('index.docker.io', True),
    ('registry-1.docker.io', True),
    ('https://registry-1.docker.io', True),
    ('registry-1.docker.io:443', True),
    ('http://Docker.IO/v2/', True),
    ('docker.io.evil.example', False),
    ('quay.io', False),
    ('cache.lan:5000/docker.io', False),
    ('', False),
]


@pytest.mark.parametrize('key, hub', KEYS)
def test_is_hub(key: str, hub: bool) -> None:
    assert is_hub(key) is hub


CONFIGS: list[tuple[t.Any, bool]] = [
    ({'auths': {HUB: AUTH}}, True),
    ({'auths': {HUB: {'identitytoken': 't'}}}, True),
    ({'auths': {HUB: {}}}, False),
    ({'auths': {HUB: {}}, 'credsStore': 'pass'}, True),
    ({'credsStore': 'pass'}, True),
    ({'credHelpers': {'index.docker.io': 'pass'}}, True),
    ({'credHelpers': {'quay.io': 'pass'}}, False),
    ({'auths': {'quay.io': AUTH}}, False),
    ({'auths': {HUB: 'nonsense'}, 'credHelpers': 3}, False),
    ({'auths': []}, False),
    ({'proxies': {}}, False),
    ([], False),
    (None, False),
]


@pytest.mark.parametrize('config, found', CONFIGS)
def test_has_hub_login(config: t.Any, found: bool) -> None:
    assert has_hub_login(config) is found


JSON = st.recursive(st.none() | st.booleans() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner), max_leaves=5)


@given(st.dictionaries(st.sampled_from(['auths', 'credHelpers', 'credsStore', 'x']), JSON))
def test_any_config_is_judged(config: t.Dict[str, t.Any]) -> None:
    assert has_hub_login(config) in (True, False)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / 'etc').mkdir()
    (tmp_path / 'etc/passwd').write_text(
        'root:x:0:0::/root:/bin/bash\nnobody:x:65534:65534::/nonexistent:/bin/false\nci:x:1000:1000::/var/lib/ci/:/bin/sh\nbroken\n'
    )
    return tmp_path


def login(host: Path, folder: str, content: str | bytes) -> Path:
    path = host / folder.lstrip('/') / 'config.json'
    path.parent.mkdir(parents=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_homes(host: Path) -> None:
    (host / 'home/ldap').mkdir(parents=True)
    assert homes(str(host)) == ['/root', '/var/lib/ci', '/home/ldap']


def test_logins_of_root_users_and_docker_config(host: Path) -> None:
    text = json.dumps({'auths': {HUB: AUTH}})
    login(host, '/root/.docker', '\ufeff' + text)
    login(host, '/var/lib/ci/.docker', text)
    login(host, '/home/ldap/.docker', text)
    login(host, '/home/none/.docker', json.dumps({'auths': {'quay.io': AUTH}}))
    login(host, '/opt/ci', text)
    login(host, '/srv/all', text)
    (host / 'etc/environment').write_text('DOCKER_CONFIG="/srv/all"\n')
    assert find_hub_logins(str(host), docker_config='/opt/ci') == [
        '/home/ldap/.docker/config.json',
        '/opt/ci/config.json',
        '/root/.docker/config.json',
        '/srv/all/config.json',
        '/var/lib/ci/.docker/config.json',
    ]


def test_a_link_is_followed_as_the_client_does(host: Path) -> None:
    target = login(host, '/root/dotfiles', json.dumps({'auths': {HUB: AUTH}}))
    (host / 'root/.docker').mkdir()
    (host / 'root/.docker/config.json').symlink_to(target)
    assert find_hub_logins(str(host)) == ['/root/.docker/config.json']


@pytest.mark.parametrize('content', [b'', b'{', b'\xff\xfe', b'[' * 100000, b'[]', b' ' * (1024 * 1024 + 2)])
def test_nonsense_is_no_login(host: Path, content: bytes) -> None:
    login(host, '/root/.docker', content)
    assert find_hub_logins(str(host)) == []


def test_pipes_devices_directories_and_dangling_links_are_not_opened(host: Path) -> None:
    for home in ('pipe', 'device', 'folder', 'dangling'):
        (host / 'home' / home / '.docker').mkdir(parents=True)
    os.mkfifo(host / 'home/pipe/.docker/config.json')
    (host / 'home/device/.docker/config.json').symlink_to('/dev/zero')
    (host / 'home/folder/.docker/config.json').mkdir()
    (host / 'home/dangling/.docker/config.json').symlink_to('/no/such/file')
    assert find_hub_logins(str(host)) == []
