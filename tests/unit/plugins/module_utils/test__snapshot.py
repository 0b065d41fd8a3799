# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is put aside comes back as it was."""

from __future__ import annotations

import os
import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _dropin, _snapshot
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


@pytest.fixture
def state(tmp_path: pathlib.Path) -> State:
    return State(str(tmp_path / 'state'))


def load(state: State, name: str = 'proved') -> _snapshot.Snapshot:
    snapshot = _snapshot.load(state, 'docker', name)
    assert snapshot is not None
    return snapshot


def test_round_trip(tmp_path: pathlib.Path, state: State) -> None:
    config, record, absent = tmp_path / 'daemon.json', tmp_path / 'record', tmp_path / 'drop-in.conf'
    config.write_bytes(b'\xef\xbb\xbf{}\r\n')
    config.chmod(0o640)
    record.write_bytes(b'\x00\xff')
    _snapshot.save(state, 'docker', 'proved', [str(config), str(record), str(absent), str(config)])

    config.write_text('{"bad": 1}')
    config.chmod(0o644)
    record.unlink()
    absent.write_text('new')

    assert _snapshot.restore(load(state)) == [str(config), str(record), str(absent)]
    assert config.read_bytes() == b'\xef\xbb\xbf{}\r\n'
    assert os.stat(config).st_mode & 0o777 == 0o640
    assert record.read_bytes() == b'\x00\xff'
    assert not absent.exists()
    assert _snapshot.restore(load(state)) == []


def test_a_directory_that_is_gone_is_made_again(tmp_path: pathlib.Path, state: State) -> None:
    path = tmp_path / 'a' / 'b'
    path.parent.mkdir()
    path.write_text('x')
    _snapshot.save(state, 'docker', 'proved', [str(path)])
    path.unlink()
    path.parent.rmdir()
    _snapshot.restore(load(state))
    assert path.read_text() == 'x'


@pytest.mark.parametrize(('made', 'others', 'stays'), [(True, False, False), (True, True, True), (False, False, True)])
def test_a_dropin_goes_with_the_directory_that_it_made(tmp_path: pathlib.Path, state: State, made: bool, others: bool, stays: bool) -> None:
    path = tmp_path / 'docker.service.d' / _dropin.FILE_NAME
    _snapshot.save(state, 'docker', 'proved', [str(path)])
    path.parent.mkdir()
    path.write_text(_dropin.render({'HTTPS_PROXY': 'http://p:1'}, made_directory=made))
    if others:
        (path.parent / 'theirs.conf').touch()
    assert _snapshot.restore(load(state)) == [str(path)]
    assert not path.exists()
    assert path.parent.exists() is stays


def test_a_link_stays_and_its_target_is_written(tmp_path: pathlib.Path, state: State) -> None:
    target, link = tmp_path / 'real', tmp_path / 'link'
    target.write_text('old')
    link.symlink_to(target)
    _snapshot.save(state, 'docker', 'proved', [str(link)])
    target.write_text('new')
    assert load(state).file(str(target)) is not None
    _snapshot.restore(load(state))
    assert link.is_symlink()
    assert target.read_text() == 'old'


def test_save_once_keeps_the_first_content_of_each_path(tmp_path: pathlib.Path, state: State) -> None:
    one, two = tmp_path / 'one', tmp_path / 'two'
    one.write_text('first')
    assert _snapshot.save_once(state, 'docker', 'original', [str(one)])
    one.write_text('second')
    two.write_text('two')
    assert _snapshot.save_once(state, 'docker', 'original', [str(one), str(two)])
    assert not _snapshot.save_once(state, 'docker', 'original', [str(two), str(one)])
    assert [entry.data for entry in load(state, 'original').files] == [b'first', b'two']


def test_save_replaces(tmp_path: pathlib.Path, state: State) -> None:
    path = tmp_path / 'one'
    for text in ('first', 'second'):
        path.write_text(text)
        _snapshot.save(state, 'docker', 'proved', [str(path)])
    assert [entry.data for entry in load(state).files] == [b'second']


def test_save_keeps_what_it_is_told_to(tmp_path: pathlib.Path, state: State) -> None:
    one, two, three = (tmp_path / name for name in ('one', 'two', 'three'))
    for path in (one, two):
        path.write_text('before')
        _snapshot.save(state, 'docker', 'proved', [str(one), str(two)])
    for path in (one, two, three):
        path.write_text('after')
    _snapshot.save(state, 'docker', 'proved', [str(one), str(two), str(three)], keep=[str(one), str(three)])
    assert [(entry.path, entry.data) for entry in load(state).files] == [(str(one), b'before'), (str(two), b'after')]


def test_a_snapshot_is_private(tmp_path: pathlib.Path, state: State) -> None:
    _snapshot.save(state, 'docker', 'proved', [str(tmp_path / 'x')])
    assert os.stat(state.snapshot('docker', 'proved')).st_mode & 0o777 == 0o600


def test_drop(tmp_path: pathlib.Path, state: State) -> None:
    _snapshot.save(state, 'docker', 'proved', [str(tmp_path / 'x')])
    for _again in range(2):
        _snapshot.drop(state, 'docker', 'proved')
    assert _snapshot.load(state, 'docker', 'proved') is None


@pytest.mark.parametrize('text', ['', 'x', '[]', '{"format": 2, "files": []}', '{"format": 1}', '{"format": 1, "files": [{"path": "/x", "data": "?"}]}'])
def test_a_broken_snapshot_is_none(state: State, text: str) -> None:
    path = pathlib.Path(state.snapshot('docker', 'proved'))
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert _snapshot.load(state, 'docker', 'proved') is None


def test_what_is_no_file_is_refused(tmp_path: pathlib.Path, state: State) -> None:
    with pytest.raises(ConfigError, match='is a directory'):
        _snapshot.save(state, 'docker', 'proved', [str(tmp_path)])


@settings(max_examples=settings().max_examples * 3 // 10)
@given(st.lists(st.tuples(st.sampled_from('abc'), st.none() | st.binary(max_size=8)), max_size=6))
def test_whatever_happens_in_between(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, bytes | None]]) -> None:
    folder = tmp_path_factory.mktemp('files')
    state = State(str(folder / 'state'))
    (folder / 'a').write_bytes(b'A')
    (folder / 'b').write_bytes(b'')
    paths = [str(folder / name) for name in 'abc']
    _snapshot.save(state, 'docker', 'proved', paths)
    for name, data in changes:
        if data is None:
            (folder / name).unlink(missing_ok=True)
        else:
            (folder / name).write_bytes(data)
    _snapshot.restore(load(state))
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == {'a': b'A', 'b': b''}
