# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole files of ours come and go; what stood there before comes back."""

from __future__ import annotations

import contextlib
import os
import tempfile
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _io, _owned_files
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ChangedMeanwhileError, ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import EDITED, FIRST_LINE, REPLACED, Content, Plan
from ansible_collections.quickpull.registry.plugins.module_utils._state import State, escape_path

KIND = 'test'
OWNER = 'registry_access'
OURS = FIRST_LINE + '\nours\n'

NAMES = ('one.conf', 'sub/two.conf', 'sub/deep/three.conf')
Tree = t.Dict[str, t.Tuple[int, t.Optional[bytes]]]

# What stands there before: nothing, or a file of somebody else's with any bytes and a mode of its own.
BEFORE = st.dictionaries(st.sampled_from(NAMES), st.tuples(st.binary(max_size=20), st.sampled_from((0o600, 0o644, 0o640))))
# What is wanted: with our first line or without (as a certificate), secret or not.
CONTENTS = st.builds(Content, text=st.one_of(st.text(max_size=20), st.just(OURS), st.text(max_size=9).map(OURS.__add__)), secret=st.booleans())
# In any order.
WANTED = st.lists(st.tuples(st.sampled_from(NAMES), st.one_of(CONTENTS, st.none())), max_size=4).map(dict)


class Place:
    """A folder of files, and the state directory beside it."""

    def __init__(self, root: str) -> None:
        self.root = Path(root)
        self.folder = self.root / 'etc'
        self.folder.mkdir()
        self.state = State(str(self.root / 'state'))

    def put(self, name: str, data: bytes, mode: int = 0o644) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(mode)
        return path

    def tree(self) -> Tree:
        paths = sorted(self.folder.rglob('*'))
        return {str(path.relative_to(self.folder)): (path.stat().st_mode & 0o777, None if path.is_dir() else path.read_bytes()) for path in paths}

    def plan(self, wanted: t.Mapping[str, Content | None], *, owner: str = OWNER, overwrite: bool = False) -> Plan:
        record = _owned_files.load(self.state, KIND)
        return _owned_files.plan(record, owner, {str(self.folder / name): content for name, content in wanted.items()}, overwrite=overwrite)

    def apply(self, wanted: t.Mapping[str, Content | None], *, owner: str = OWNER, overwrite: bool = False) -> Plan:
        planned = self.plan(wanted, owner=owner, overwrite=overwrite)
        _owned_files.apply(self.state, KIND, planned)
        return planned

    def remove(self, owner: str = OWNER) -> Plan:
        return self.apply(dict.fromkeys(NAMES), owner=owner)


@contextlib.contextmanager
def a_place(before: t.Mapping[str, tuple[bytes, int]] | None = None) -> t.Iterator[Place]:
    """One for each example of hypothesis, which a fixture is not."""
    with tempfile.TemporaryDirectory() as root:
        place = Place(root)
        for name, (data, mode) in (before or {}).items():
            if not data.startswith(FIRST_LINE.encode()):
                place.put(name, data, mode)
        yield place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(str(tmp_path))


@given(BEFORE, WANTED, WANTED)
def test_written_and_taken_away_leaves_the_tree_as_it_was(before: t.Any, wanted: t.Any, then: t.Any) -> None:
    with a_place(before) as place:
        tree = place.tree()
        place.apply(wanted, overwrite=True)
        place.apply(then, overwrite=True)
        place.remove()
        assert place.tree() == tree
        assert not os.path.exists(place.state.files(KIND))


@given(BEFORE, WANTED, st.booleans())
def test_a_second_run_plans_nothing(before: t.Any, wanted: t.Any, overwrite: bool) -> None:
    with a_place(before) as place:
        place.apply(wanted, overwrite=overwrite)
        tree, record = place.tree(), _owned_files.load(place.state, KIND)
        again = place.apply(wanted, overwrite=overwrite)
        assert again.changes == ()
        assert (place.tree(), _owned_files.load(place.state, KIND)) == (tree, record)


@given(BEFORE, WANTED)
def test_a_file_of_somebody_else_is_never_overwritten_unasked(before: t.Any, wanted: t.Any) -> None:
    with a_place(before) as place:
        tree = place.tree()
        planned = place.apply(wanted)
        after = place.tree()
        assert {name: after[name] for name in tree} == tree
        foreign = {name for name, content in wanted.items() if content is not None and name in tree}
        assert {left.path for left in planned.left} == {str(place.folder / name) for name in foreign}
        assert all(left.because.startswith(left.path) and left.because.endswith('.') for left in planned.left)


@given(BEFORE, WANTED, WANTED, st.integers(0, 6))
def test_a_crash_at_any_write_is_harmless(before: t.Any, wanted: t.Any, then: t.Any, steps: int) -> None:
    """After any number of writes to the disk: the next run brings all to what it wants, and taking away restores the tree."""
    with a_place(before) as place:
        tree = place.tree()
        place.apply(wanted, overwrite=True)
        with crash_after(steps):
            place.apply(then, overwrite=True)
        place.apply(then, overwrite=True)
        for name, content in then.items():
            if content is not None:
                assert (place.folder / name).read_bytes() == content.text.encode()
        place.remove()
        assert place.tree() == tree


@given(BEFORE, WANTED, st.integers(0, 6))
def test_taking_away_after_a_crash_restores_the_tree(before: t.Any, wanted: t.Any, steps: int) -> None:
    with a_place(before) as place:
        tree = place.tree()
        with crash_after(steps):
            place.apply(wanted, overwrite=True)
        place.remove()
        assert place.tree() == tree


@contextlib.contextmanager
def crash_after(steps: int) -> t.Iterator[None]:
    """Let so many files be written or deleted, then die."""
    left = [steps]

    def counted(function: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def call(*arguments: t.Any, **options: t.Any) -> t.Any:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return function(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(_io, 'write_atomic', counted(_io.write_atomic))
        patch.setattr(_io, 'delete_file', counted(_io.delete_file))
        yield


@given(BEFORE, WANTED, WANTED)
def test_undo_is_the_tree_and_the_record_before(before: t.Any, wanted: t.Any, then: t.Any) -> None:
    with a_place(before) as place:
        place.apply(wanted, overwrite=True)
        tree, record = place.tree(), _owned_files.load(place.state, KIND)
        planned = place.apply(then, overwrite=True)
        _owned_files.undo(place.state, KIND, planned, record)
        assert (place.tree(), _owned_files.load(place.state, KIND)) == (tree, record)


def test_a_directory_goes_with_the_last_of_ours_whichever_that_is(place: Place) -> None:
    place.apply({'sub/deep/three.conf': Content(OURS)})
    place.apply({'sub/deep/three.conf': None, 'sub/two.conf': Content(OURS)})
    assert sorted(place.tree()) == ['sub', 'sub/two.conf']
    place.remove()
    assert place.tree() == {}


def test_modes(place: Place) -> None:
    place.apply({'one.conf': Content(OURS), 'sub/two.conf': Content('key', secret=True)})
    assert {name: mode for name, (mode, _data) in place.tree().items()} == {'one.conf': 0o644, 'sub': 0o755, 'sub/two.conf': 0o600}
    assert os.stat(place.state.files(KIND)).st_mode & 0o777 == 0o600
    # Of a file without secrets the mode is the operator's to choose; a secret that others can read is a change.
    (place.folder / 'one.conf').chmod(0o640)
    (place.folder / 'sub/two.conf').chmod(0o644)
    again = place.apply({'one.conf': Content(OURS), 'sub/two.conf': Content('key', secret=True)})
    assert [change.path for change in again.changes] == [str(place.folder / 'sub/two.conf')]
    place.apply({'one.conf': Content(OURS + 'more')})
    assert (place.folder / 'one.conf').stat().st_mode & 0o777 == 0o640


def test_a_directory_stays_when_others_moved_in(place: Place) -> None:
    place.apply({'sub/deep/three.conf': Content(OURS)})
    other = place.put('sub/other', b'')
    place.remove()
    assert place.tree() == {'sub': (0o755, None), 'sub/other': (0o644, b'')}
    assert other.exists()


def test_owners(place: Place) -> None:
    place.apply({'one.conf': Content(OURS)}, owner='one')
    planned = place.apply({'one.conf': Content(OURS + 'other')}, owner='two', overwrite=True)
    assert planned.changes == ()
    assert 'belongs to another owner here, one' in planned.left[0].because
    assert place.remove(owner='two').changes == ()
    assert place.remove(owner='one').changes


def test_a_file_that_somebody_replaced_since_is_his(place: Place) -> None:
    place.apply({'one.conf': Content(OURS), 'sub/two.conf': Content('certificate')})
    place.put('one.conf', b'theirs')
    place.put('sub/two.conf', b'theirs')
    (left,) = place.plan({'one.conf': Content(OURS)}).left
    record, path = _owned_files.load(place.state, KIND), str(place.folder / 'one.conf')
    for because in (left.because, _owned_files.in_the_way(record, OWNER, path, Content(OURS))):
        assert because.startswith(f'{path} {REPLACED} and ')
    assert 'was not written by this collection' in _owned_files.in_the_way({}, OWNER, path, Content(OURS))
    gone = place.remove()
    assert (gone.changes, len(gone.left)) == ((), 2)
    assert 'replaced by somebody' in gone.left[0].because
    assert not os.path.exists(place.state.files(KIND))


def test_a_file_that_was_edited_below_our_first_line_is_written_again(place: Place) -> None:
    place.apply({'one.conf': Content(OURS)})
    place.put('one.conf', (OURS + 'edited').encode())
    assert place.apply({'one.conf': Content(OURS)}).changes
    assert (place.folder / 'one.conf').read_text() == OURS


def test_an_edit_below_our_first_line_is_told_and_kept_where_the_file_goes(place: Place) -> None:
    theirs = place.put('sub/two.conf', b'before', 0o640)
    place.apply({'one.conf': Content(OURS), 'sub/two.conf': Content(OURS)}, overwrite=True)
    one = place.folder / 'one.conf'
    assert _owned_files.edits(place.state, place.plan({'one.conf': Content(OURS + 'new')})) == []
    one.write_text(OURS + '# mine\n')
    theirs.write_text(OURS + '# mine too\n')
    again = place.plan({'one.conf': Content(OURS)})
    assert _owned_files.edits(place.state, again) == [f'{one} {EDITED}, and is written anew, as its first line says.']
    kept = [os.path.join(place.state.edited, escape_path(str(path))) for path in (one, theirs)]
    for _twice in range(2):
        goes = place.plan(dict.fromkeys(NAMES))
        told = [f'{path} {EDITED}. It goes, since it is wholly of this collection; what it held is kept in {copy}.' for path, copy in zip((one, theirs), kept)]
        assert _owned_files.edits(place.state, goes) == told
        record = _owned_files.load(place.state, KIND)
        _owned_files.apply(place.state, KIND, goes)
        assert _owned_files.edits(place.state, goes) == told
        assert (one.exists(), theirs.read_bytes()) == (False, b'before')
        assert [Path(copy).read_text() for copy in kept] == [OURS + '# mine\n', OURS + '# mine too\n']
        assert os.stat(kept[0]).st_mode & 0o777 == 0o600
        if not _twice:
            _owned_files.undo(place.state, KIND, goes, record)
            assert (one.read_text(), os.path.exists(kept[0])) == (OURS + '# mine\n', False)
    # Another edit of the same file is kept beside it.
    place.apply({'one.conf': Content(OURS)})
    one.write_text(OURS + '# once more\n')
    place.remove()
    assert sorted(os.listdir(place.state.edited))[:2] == [os.path.basename(kept[0]), f'{os.path.basename(kept[0])}.2']


def test_ours_without_a_record_is_still_ours(place: Place) -> None:
    place.apply({'one.conf': Content(OURS)})
    os.unlink(place.state.files(KIND))
    assert place.apply({'one.conf': Content(OURS)}).changes == ()
    place.remove()
    assert place.tree() == {}


def test_a_change_shows_both_texts(place: Place) -> None:
    place.put('one.conf', b'\xff theirs')
    change = place.plan({'one.conf': Content(OURS)}, overwrite=True).changes[0]
    assert change.texts() == ('\ufffd theirs', OURS)
    place.apply({'one.conf': Content(OURS)}, overwrite=True)
    back = place.plan({'one.conf': None}).changes[0]
    assert (back.restored, back.texts()[0]) == (True, OURS)


def test_nothing_secret_is_in_a_repr(place: Place) -> None:
    planned = place.plan({'one.conf': Content('S3CRET', secret=True)})
    assert 'S3CRET' not in repr(planned) + repr(Content('S3CRET'))


def test_somebody_who_writes_in_between_is_not_overwritten(place: Place) -> None:
    planned = place.plan({'one.conf': Content(OURS)})
    place.put('one.conf', b'theirs')
    with pytest.raises(ChangedMeanwhileError):
        _owned_files.apply(place.state, KIND, planned)
    assert (place.folder / 'one.conf').read_bytes() == b'theirs'


@pytest.mark.parametrize('data', ['', '{', '[]', '{"format": 2, "files": {}}', '{"format": 1, "files": {"/a": {}}}', '{"format": 1, "files": []}'])
def test_a_record_that_cannot_be_understood_is_an_error(place: Place, data: str) -> None:
    place.apply({'one.conf': Content(OURS)})
    Path(place.state.files(KIND)).write_text(data)
    with pytest.raises(ConfigError, match='cannot be understood'):
        _owned_files.load(place.state, KIND)
