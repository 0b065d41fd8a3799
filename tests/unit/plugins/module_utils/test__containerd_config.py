# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
import tomllib

from ansible_collections.quickpull.registry.plugins.module_utils import _containerd_config as config
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_config import Registry
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError

DIRECTORY = '/etc/containerd/certs.d'
DEBIAN = '''version = 2

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
  [plugins."io.containerd.internal.v1.opt"]
    path = "/var/lib/containerd"
'''
EMPTY_KEY = '''version = 2
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "" # theirs
  [plugins."io.containerd.grpc.v1.cri".registry.headers]
'''
NO_KEY = '''version = 3
[plugins]
  [plugins."io.containerd.cri.v1.images"]
    [plugins."io.containerd.cri.v1.images".registry] # ours to fill
[debug]
level = "info"'''
FILES = {
    'debian': (DEBIAN, 'io.containerd.grpc.v1.cri'),
    'empty key': (EMPTY_KEY, 'io.containerd.grpc.v1.cri'),
    'no key': (NO_KEY, 'io.containerd.cri.v1.images'),
    'version 1': ('oom_score = -999\n', 'cri'),
    'nothing': ('', 'cri'),
    'new for 1.x': (config.new_file(1), 'io.containerd.grpc.v1.cri'),
    'new for 2.x': (config.new_file(2), 'io.containerd.cri.v1.images'),
    'version 4': ('version = 4', 'io.containerd.cri.v1.images'),
    'dotted': ('version = 2\nplugins."io.containerd.grpc.v1.cri".sandbox_image = "x"\n', 'io.containerd.grpc.v1.cri'),
    'literal quotes': ("version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\n  config_path = '/old'\n", 'io.containerd.grpc.v1.cri'),
}


@pytest.mark.parametrize('name', FILES)
def test_one_key_is_put_in_and_all_else_stays(name: str) -> None:
    text, plugin = FILES[name]
    after = config.with_config_path(text, DIRECTORY)
    parsed = tomllib.loads(after)
    assert parsed['plugins'][plugin]['registry']['config_path'] == DIRECTORY
    assert config.without_config_path(parsed).get('plugins', {}).get(plugin, {}).get('registry', {}) == {
        key: value for key, value in tomllib.loads(text).get('plugins', {}).get(plugin, {}).get('registry', {}).items() if key != 'config_path'
    }
    assert [line for line in text.splitlines() if 'config_path' not in line and line not in after] == []
    assert '# theirs' not in text or '# theirs' in after
    assert config.with_config_path(after, DIRECTORY) == after


@pytest.mark.parametrize('name', FILES)
@pytest.mark.parametrize('edit', ['', '\n# somebody was here\n', '\n[debug2]\n  level = "debug"\n'])
def test_it_is_taken_out_again_whatever_others_added(name: str, edit: str) -> None:
    text = FILES[name][0]
    before = config.value_before(text)
    after = config.without_ours(config.with_config_path(text, DIRECTORY) + edit, DIRECTORY, before)
    assert after.split() == (text + edit).split()
    assert config.without_ours(after, DIRECTORY, before) == after


def test_a_table_in_one_line_is_left_to_people() -> None:
    for text in (
        'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nregistry = {config_path = ""}\n',
        'version = 2\nplugins = {}\n',
    ):
        with pytest.raises(ConfigError, match=r'in one line.*by hand'):
            config.with_config_path(text, DIRECTORY)


@pytest.mark.parametrize(
    'dump, expected',
    [
        ({}, Registry()),
        ({'plugins': {'io.containerd.grpc.v1.cri': {'registry': {'config_path': '', 'mirrors': {}, 'configs': {}}}}}, Registry()),
        (
            {'plugins': {'io.containerd.grpc.v1.cri': {'registry': {'mirrors': {'docker.io': {'endpoint': []}}, 'configs': {'x': {'tls': {}}}}}}},
            Registry(mirrors=('docker.io',), configs=('x',)),
        ),
        (
            {'plugins': {'io.containerd.grpc.v1.cri': {'registry': {'configs': {'x': {'auth': {'username': 'u'}}}, 'auths': {'y': {}}}}}},
            Registry(),
        ),
        ({'plugins': {'io.containerd.cri.v1.images': {'registry': {'config_path': '/x'}}}}, Registry(config_path='/x')),
        ({'disabled_plugins': ['cri']}, Registry(enabled=False)),
        ({'disabled_plugins': ['io.containerd.grpc.v1.cri']}, Registry(enabled=False)),
    ],
)
def test_what_a_dump_says(dump: t.Mapping[str, t.Any], expected: Registry) -> None:
    assert config.registry_of(dump) == expected
