# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known to be in force: the baseline, the record, and what a write notes."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _snapshot
from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DockerDaemon
from ansible_collections.quickpull.registry.plugins.module_utils._in_force import (
    ABSENT,
    DIFFERS,
    SAME,
    UNKNOWN,
    InForce,
    before_write,
    flatten,
    hash_key,
    hash_value,
    in_force,
    in_force_after_write,
    in_force_from,
    record,
    untouched_since,
)
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

LATER = 4_000_000_000.0


class Host:
    """A daemon.json, a state directory, and a daemon that has read the file or not."""

    def __init__(self, root: pathlib.Path) -> None:
        self.state = State(str(root / 'state'))
        self.folder = root / 'etc'
        self.folder.mkdir()
        self.path = self.folder / 'daemon.json'

    def write(self, config: t.Any) -> None:
        self.path.write_text(json.dumps(config))

    def daemon(self, *, started_at: float = 0.0, start_id: t.Optional[str] = 'boot:1:7') -> DockerDaemon:
        return DockerDaemon(True, start_id=start_id, started_at=started_at, main_pid=7, active_state='active')


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path)


def states(known: InForce, config: dict[str, t.Any], *wheres: str) -> list[str]:
    leaves = flatten(config)
    return [known.state_of(where, where in leaves, leaves.get(where)) for where in wheres]


def test_flatten() -> None:
    config = {'a': 1, 'b': {'c': [1, {'d': 2}], 'e/f': {'~': None}}, 'empty': {}}
    assert flatten(config) == {'/a': 1, '/b/c': [1, {'d': 2}], '/b/e~1f/~0': None}
    assert flatten({}) == {}


@pytest.mark.parametrize(
    ('present', 'value', 'complete', 'expected'),
    [(True, 1, False, SAME), (True, 2, False, DIFFERS), (True, True, False, DIFFERS), (False, None, False, DIFFERS)],
)
def test_state_of_known(present: bool, value: t.Any, complete: bool, expected: str) -> None:
    assert InForce({'/a': hash_value(b'k', 1)}, complete, frozenset(), b'k').state_of('/a', present, value) == expected


@pytest.mark.parametrize(
    ('hashes', 'complete', 'present', 'expected'),
    [
        ({}, True, False, SAME), ({}, True, True, DIFFERS), ({}, False, True, UNKNOWN), ({}, False, False, UNKNOWN),
        ({'/a': ABSENT}, False, True, DIFFERS), ({'/a': ABSENT}, False, False, SAME),
    ],
)
def test_state_of_absent(hashes: dict[str, str], complete: bool, present: bool, expected: str) -> None:
    assert InForce(hashes, complete, frozenset(), b'k').state_of('/a', present, 1) == expected


def test_a_file_as_old_as_the_daemon_is_in_force(host: Host) -> None:
    host.write({'debug': True})
    known = in_force(host.state, host.daemon(started_at=LATER), str(host.path), {'debug': True})
    assert known.complete
    assert states(known, {'debug': True, 'bip': 'x'}, '/debug', '/bip') == [SAME, DIFFERS]


def test_a_file_written_since_says_nothing(host: Host) -> None:
    host.write({'debug': True})
    known = in_force(host.state, host.daemon(), str(host.path), {'debug': True})
    assert (known.complete, dict(known.hashes)) == (False, {})


@pytest.mark.parametrize('started_at', [None, 0.0])
def test_untouched_needs_a_later_start(host: Host, started_at: t.Optional[float]) -> None:
    host.write({})
    assert not untouched_since(str(host.path), started_at)


def test_an_old_mtime_does_not_hide_a_new_file(host: Host) -> None:
    host.write({})
    os.utime(host.path, (1, 1))
    assert not untouched_since(str(host.path), os.stat(host.path).st_ctime - 1)


def test_a_link_counts_as_much_as_its_target(host: Host) -> None:
    target = host.folder / 'real.json'
    target.write_text('{}')
    host.path.symlink_to(target)
    os.utime(host.path, (LATER + 5, LATER + 5), follow_symlinks=False)
    assert not untouched_since(str(host.path), LATER)
    assert untouched_since(str(target), LATER)


def test_no_file_is_in_force_when_its_directory_is_old(host: Host) -> None:
    assert untouched_since(str(host.path), LATER)
    assert untouched_since(str(host.folder / 'no' / 'such' / 'daemon.json'), LATER)
    os.utime(host.folder, (LATER + 5, LATER + 5))
    assert not untouched_since(str(host.path), LATER)


def test_a_write_notes_the_baseline_and_puts_it_aside(host: Host) -> None:
    host.write({'debug': True, 'bip': 'x'})
    daemon = host.daemon(started_at=LATER)
    old, new = {'debug': True, 'bip': 'x'}, {'debug': False, 'bip': 'x', 'mtu': 9}

    returned = before_write(host.state, daemon, str(host.path), old, new, [str(host.path)])
    host.write(new)
    os.utime(host.path, (LATER + 5, LATER + 5))

    known = in_force(host.state, daemon, str(host.path), new)
    assert known == returned
    assert known.complete
    assert known.written == {'/debug', '/mtu'}
    assert states(known, new, '/debug', '/bip', '/mtu', '/other') == [DIFFERS, SAME, DIFFERS, SAME]
    snapshot = _snapshot.load(host.state, 'docker', 'proved')
    assert snapshot is not None
    entry = snapshot.file(str(host.path))
    assert entry is not None
    assert json.loads(entry.data or b'') == old


def test_a_write_on_unknown_ground_notes_what_changes(host: Host) -> None:
    old, new = {'debug': True, 'bip': 'x'}, {'debug': False, 'bip': 'x', 'mtu': 9}
    host.write(old)
    before_write(host.state, host.daemon(), str(host.path), old, new, [str(host.path)])
    known = in_force(host.state, host.daemon(), str(host.path), new)
    assert not known.complete
    assert states(known, new, '/debug', '/bip', '/mtu') == [DIFFERS, UNKNOWN, DIFFERS]
    assert states(known, old, '/debug', '/mtu') == [SAME, SAME]
    assert _snapshot.load(host.state, 'docker', 'proved') is None


def test_a_second_write_keeps_what_the_first_noted(host: Host) -> None:
    host.write({'debug': True})
    before_write(host.state, host.daemon(), str(host.path), {'debug': True}, {'debug': False})
    before_write(host.state, host.daemon(), str(host.path), {'debug': False}, {'debug': True, 'mtu': 1})
    known = in_force(host.state, host.daemon(), str(host.path), None)
    assert states(known, {'debug': True}, '/debug', '/mtu') == [SAME, SAME]
    assert known.written == {'/debug', '/mtu'}


def test_a_record_of_another_process_does_not_count(host: Host) -> None:
    host.write({'debug': True})
    before_write(host.state, host.daemon(), str(host.path), {'debug': True}, {})
    assert dict(in_force(host.state, host.daemon(start_id='boot:2:8'), str(host.path), {}).hashes) == {}
    assert dict(in_force(host.state, host.daemon(), str(host.folder / 'other.json'), {}).hashes) == {}


def test_nothing_is_noted_for_a_daemon_that_does_not_run(host: Host) -> None:
    before_write(host.state, host.daemon(start_id=None), str(host.path), {}, {'debug': True}, [str(host.path)])
    assert not os.path.exists(host.state.root)


def test_looking_ahead_writes_nothing_and_tells_the_same(host: Host) -> None:
    host.write({'debug': True})
    ahead = in_force_after_write(host.state, host.daemon(), str(host.path), {'debug': True}, {'debug': False})
    assert not os.path.exists(host.state.root)
    really = before_write(host.state, host.daemon(), str(host.path), {'debug': True}, {'debug': False})
    assert (ahead.complete, ahead.written, set(ahead.hashes)) == (really.complete, really.written, set(really.hashes))
    assert states(ahead, {'debug': False}, '/debug') == states(really, {'debug': False}, '/debug') == [DIFFERS]


@pytest.mark.parametrize('text', ['', '[]', '{"format": 2}', '{"format": 1, "start_id": "boot:1:7"}', 'x'])
def test_a_broken_record_is_none(host: Host, text: str) -> None:
    path = pathlib.Path(host.state.applied('docker'))
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert dict(in_force(host.state, host.daemon(), str(host.path), {}).hashes) == {}


def test_the_record_holds_no_value_and_is_private(host: Host) -> None:
    config = {'proxies': {'http-proxy': 'http://u:hunter2@p:1'}}
    key = hash_key(host.state, create=True)
    record(host.state, host.daemon(), str(host.path), in_force_from(config, key))
    path = host.state.applied('docker')
    assert 'hunter2' not in pathlib.Path(path).read_text()
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(host.state.hash_key).st_mode & 0o777 == 0o600
    assert hash_key(host.state, create=True) == key


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=8
)


@given(st.dictionaries(st.text(max_size=3), json_values, max_size=4))
def test_everything_in_a_file_in_force_is_the_same(config: dict[str, t.Any]) -> None:
    known = in_force_from(config, b'k')
    for where, value in flatten(config).items():
        assert known.state_of(where, True, value) == SAME
        assert known.state_of(where, False) == DIFFERS
        assert dataclasses.replace(known, key=b'other').state_of(where, True, value) == DIFFERS
