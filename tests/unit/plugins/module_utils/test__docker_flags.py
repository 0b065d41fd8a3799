# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils._docker_flags import (
    BOOLEAN_FLAGS,
    Flag,
    flags_in_force,
    flags_of_unit,
    key_of,
    masked_values,
    parse_argv,
)
from ansible_collections.quickpull.registry.plugins.module_utils._systemd import Origin, Word

UNIT = Origin('unit', '/lib/systemd/system/docker.service')
FILE = Origin('EnvironmentFile', '/etc/default/docker')

ARGVS: list[tuple[str, list[tuple[str, str]]]] = [
    ('dockerd', []),
    ('dockerd -H fd:// --containerd=/run/c.sock', [('host', 'fd://'), ('containerd', '/run/c.sock')]),
    ('dockerd -Hfd:// -H=tcp://:1', [('host', 'fd://'), ('host', 'tcp://:1')]),
    ('dockerd -D -l debug', [('debug', 'true'), ('log-level', 'debug')]),
    ('dockerd -DH fd://', [('debug', 'true'), ('host', 'fd://')]),
    ('dockerd --debug false --ipv6', [('debug', 'true'), ('ipv6', 'true')]),
    ('dockerd --live-restore=false --icc', [('live-restore', 'false'), ('icc', 'true')]),
    ('dockerd --registry-mirror http://a --registry-mirror=http://b=c', [('registry-mirror', 'http://a'), ('registry-mirror', 'http://b=c')]),
    ('dockerd -s overlay2 -b none -G docker', [('storage-driver', 'overlay2'), ('bridge', 'none'), ('group', 'docker')]),
    ('dockerd -- --debug', []),
    ('dockerd stray --mtu', []),
    ('dockerd -', []),
]


@pytest.mark.parametrize('argv, flags', ARGVS)
def test_parse_argv(argv: str, flags: list[tuple[str, str]]) -> None:
    assert [(name, value) for name, value, _at in parse_argv(argv.split())] == flags


@given(st.lists(st.text(max_size=8), max_size=8))
def test_any_command_line_is_read(words: t.List[str]) -> None:
    assert all(0 < at <= len(words) for _name, _value, at in parse_argv(['dockerd'] + words))


KEYS = {
    'registry-mirror': 'registry-mirrors',
    'insecure-registry': 'insecure-registries',
    'host': 'hosts',
    'label': 'labels',
    'log-opt': 'log-opts',
    'dns': 'dns',
    'dns-opt': 'dns-opts',
    'add-runtime': 'runtimes',
    'default-ulimit': 'default-ulimits',
    'http-proxy': 'proxies.http-proxy',
    'config-file': '',
    'data-root': 'data-root',
    'debug': 'debug',
}


@pytest.mark.parametrize('name, key', KEYS.items())
def test_key_of(name: str, key: str) -> None:
    assert key_of(name) == key


def unit_words(*words: tuple[str, Origin]) -> list[Word]:
    return [Word(text, origin) for text, origin in words]


def test_a_flag_of_a_running_daemon_is_found_in_its_file() -> None:
    unit = flags_of_unit(
        unit_words(('/usr/sbin/dockerd', UNIT), ('-H', UNIT), ('fd://', UNIT), ('--registry-mirror=http://a', FILE), ('--registry-mirror=http://b', FILE))
    )
    argv = ['/usr/sbin/dockerd', '-H', 'fd://', '--registry-mirror=http://a', '--registry-mirror=http://b', '--debug']
    assert flags_in_force(argv, unit) == [
        Flag('host', 'hosts', ('fd://',), 'unit', UNIT.path),
        Flag('registry-mirror', 'registry-mirrors', ('http://a', 'http://b'), 'EnvironmentFile', FILE.path),
        Flag('debug', 'debug', ('true',), 'command line', ''),
    ]


def test_what_a_file_says_now_is_not_what_runs() -> None:
    unit = flags_of_unit(unit_words(('/usr/sbin/dockerd', UNIT), ('--registry-mirror=http://new', FILE)))
    assert [(flag.values, flag.source) for flag in flags_in_force(['dockerd', '--registry-mirror=http://old'], unit)] == [(('http://old',), 'command line')]
    assert flags_in_force(['dockerd'], unit) == []


def test_the_same_flag_from_two_files_is_two() -> None:
    unit = flags_of_unit(unit_words(('dockerd', UNIT), ('--label=a', UNIT), ('--label=a', FILE)))
    found = flags_in_force(['dockerd', '--label=a', '--label=a', '--label=a'], unit)
    assert [(flag.values, flag.source) for flag in found] == [(('a',), 'unit'), (('a',), 'EnvironmentFile'), (('a',), 'command line')]


WRAPPERS: list[list[str]] = [
    ['/bin/sh', '-c', 'exec /usr/bin/dockerd --debug'],
    ['/usr/bin/nice', '-n', '5', '/usr/bin/dockerd', '--debug'],
]


@pytest.mark.parametrize('words', WRAPPERS)
def test_a_wrapper_is_looked_through(words: list[str]) -> None:
    assert [flag.name for flag in flags_of_unit([Word(word, UNIT) for word in words])] == ['debug']


def test_no_command_no_flags() -> None:
    assert flags_of_unit([]) == []
    assert flags_of_unit([Word('/bin/true', UNIT), Word('-D', UNIT)]) == []


SECRETS: list[tuple[str, str, str]] = [
    ('http-proxy', 'http://user:s3cret@proxy:1', 'http://xxxxx:xxxxx@proxy:1'),
    ('log-opt', 'splunk-token=s3cret', 'splunk-token=***'),
    ('log-opt', 'splunk-url=https://user:s3cret@splunk', 'splunk-url=https://xxxxx:xxxxx@splunk'),
    ('registry-mirror', 'https://user:s3cret@mirror/?token=1', 'https://xxxxx:xxxxx@mirror/?token=1'),
    ('label', 'a=b', 'a=b'),
    ('host', 'unix:///run/docker.sock', 'unix:///run/docker.sock'),
]


@pytest.mark.parametrize('name, value, shown', SECRETS)
def test_masked_values(name: str, value: str, shown: str) -> None:
    flag = Flag(name, key_of(name), (value,), 'command line', '')
    assert masked_values(flag) == [shown]
    assert 's3cret' not in repr(flag)


def test_short_flags_are_not_mistaken_for_values() -> None:
    assert 'host' not in BOOLEAN_FLAGS
