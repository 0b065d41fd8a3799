# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _ownership
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._ownership import Claim, Entries, Leaf, Record
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

PATH = '/nowhere/docker/daemon.json'


def full() -> Record:
    return Record(
        PATH,
        original='{}',
        made_dirs=['/nowhere'],
        leaves={'/debug': Leaf(None, {'a': ['true']}), '/log-opts/max-size': Leaf('"1m"', {'a': ['"2m"'], 'b': ['"3m"']})},
        lists={
            '/registry-mirrors': Entries(['f'], '["f"]', {'a': Claim(['x'], ['f'], [])}),
            '/insecure-registries': Entries(None, None, {'b': Claim([], ['y'], [])}),
        },
        made={'/log-opts': None},
        tombstones=['/labels'],
    )


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    state = State(str(tmp_path / 'state'))
    _ownership.save(state, full())
    place = Path(state.ownership(PATH))
    assert _ownership.load(state, PATH) == full()
    assert place.stat().st_mode & 0o777 == 0o600
    before = place.stat()
    _ownership.save(state, full())
    assert place.stat() == before, 'the same record is not written again'


def test_what_is_anybodys() -> None:
    assert full().keys() == {'/debug', '/log-opts/max-size', '/registry-mirrors', '/labels'}
    assert full().owners == {'a', 'b'}


def test_an_empty_record_leaves_no_file(tmp_path: Path) -> None:
    state = State(str(tmp_path / 'state'))
    assert _ownership.load(state, PATH) == Record(PATH)
    assert _ownership.owned_keys(state, PATH) == set()
    _ownership.save(state, full())
    _ownership.save(state, Record(PATH))
    assert not Path(state.ownership(PATH)).exists()


@pytest.mark.parametrize('text', ['', '{', '[]', '{"format": 2}', '{"format": 1}', '{"format": 1, "path": "x", "leaves": [1]}', '\xff'])
def test_a_record_that_cannot_be_understood_is_named(tmp_path: Path, text: str) -> None:
    state = State(str(tmp_path))
    place = Path(state.ownership(PATH))
    place.parent.mkdir()
    place.write_bytes(text.encode('latin-1'))
    with pytest.raises(ConfigError, match=f'{place}.*Remove it'):
        _ownership.load(state, PATH)


def test_between_two_writes_both_are_ours() -> None:
    old = Record(PATH, 'old', [], {'/debug': Leaf('1', {'a': ['2']})}, {'/l': Entries(['f'], '["f"]', {'a': Claim(['x'], [], ['t', 't'])})})
    new = Record(PATH, 'new', ['/made'], {'/debug': Leaf('1', {'a': ['3'], 'b': ['4']})}, {'/l': Entries(['f'], '["f"]', {'b': Claim(['y'])})})
    both = _ownership.either(old, new)
    assert both.original == 'old'
    assert both.made_dirs == ['/made']
    assert both.leaves == {'/debug': Leaf('1', {'a': ['3', '2'], 'b': ['4']})}
    assert both.lists['/l'].owners == {'a': Claim(['x'], [], ['t', 't']), 'b': Claim(['y'])}
    assert _ownership.either(Record(PATH), new) == new
