# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run did is taken back, to the byte, by the journal that _io keeps; what somebody else did stays."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
import typing as t
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.filter.report import rollback_report
from ansible_collections.quickpull.registry.plugins.module_utils import _as_user, _io, _journal, _owned_files, _rollback
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._journal import FILE, Look, Mark, Step
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import Content
from ansible_collections.quickpull.registry.plugins.module_utils._rollback_report import diff_of, diffs_of, last_run, report
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

Tree = t.Dict[str, t.Tuple[int, t.Optional[bytes]]]

NAMES = ('a.toml', 'b.json', 'deep/er/c.toml', 'deep/d.conf')


class Place:
    """A tree, a state directory, and runs that write."""

    def __init__(self, root: str) -> None:
        self.root = Path(os.path.realpath(root))
        self.tree_root = self.root / 'etc'
        self.tree_root.mkdir()
        self.state = State(str(self.root / 'state'))

    def path(self, name: str) -> str:
        return str(self.tree_root / name)

    def put(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """As somebody else would."""
        path = self.tree_root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(mode)

    def tree(self) -> Tree:
        found = sorted(self.tree_root.rglob('*'))
        return {str(one.relative_to(self.tree_root)): (stat.S_IMODE(one.stat().st_mode), None if one.is_dir() else one.read_bytes()) for one in found}

    @contextlib.contextmanager
    def run(self, ident: str) -> t.Iterator[None]:
        with mock.patch.dict(os.environ, {_journal.ENVIRON: ident}), _io.locked(self.state):
            yield

    def back(self, **which: t.Any) -> list[_rollback.Item]:
        """Take runs back; what is left of them."""
        known = _journal.runs(self.state)
        chosen = _rollback.choose(known, **which)
        planned = _rollback.plan(chosen, _rollback.later(known, chosen))
        with _io.locked(self.state, journal=False):
            _rollback.write(planned.items)
        for run in planned.runs:
            _journal.mark_undone(run)
        return [item for item in planned.items if item.left]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(str(tmp_path))


@contextlib.contextmanager
def a_place(before: t.Mapping[str, tuple[bytes, int]]) -> t.Iterator[Place]:
    """One for each example of hypothesis, which a fixture is not."""
    with tempfile.TemporaryDirectory() as root:
        made = Place(root)
        for name, (data, mode) in before.items():
            made.put(name, data, mode)
        yield made


def write(place: Place, name: str, data: bytes, mode: int = 0o644) -> None:
    _io.make_dirs(os.path.dirname(place.path(name)))
    _io.write_atomic(place.path(name), data, default_mode=mode)


def remove(place: Place, name: str) -> None:
    """As modules do: the file, and the directories that are empty then."""
    _io.delete_file(place.path(name))
    for folder in (Path(place.path(name)).parent, Path(place.path(name)).parent.parent):
        if folder != place.tree_root and place.tree_root in folder.parents:
            with contextlib.suppress(OSError):
                folder.rmdir()


def change(place: Place, step: tuple[str, str, bytes, int]) -> None:
    what, name, data, mode = step
    if what == 'write':
        write(place, name, data, mode)
    elif what == 'remove':
        remove(place, name)
    elif os.path.exists(place.path(name)):
        _io.set_mode(place.path(name), mode)


BYTES = st.sampled_from([b'', b'one\n', b'two\n', b'{"a": 1}', b'{"a": [1, 2]}'])
MODES = st.sampled_from([0o600, 0o640, 0o644])
STEPS = st.tuples(st.sampled_from(['write', 'write', 'remove', 'mode']), st.sampled_from(NAMES), BYTES, MODES)
BEFORE = st.dictionaries(st.sampled_from(NAMES), st.tuples(BYTES, MODES), max_size=3)


# A directory that went, and came again with something else in it.
@example({'deep/er/c.toml': (b'', 0o600)}, [[('remove', 'deep/er/c.toml', b'', 0o600), ('write', 'deep/d.conf', b'', 0o600)]])
@settings(max_examples=settings().max_examples * 2 // 5)
@given(BEFORE, st.lists(st.lists(STEPS, max_size=4), min_size=1, max_size=3))
def test_taking_runs_back_leaves_what_was_there_before_each_of_them(before: dict[str, tuple[bytes, int]], runs: list[list[t.Any]]) -> None:
    with mock.patch.object(os, 'fsync'), a_place(before) as place:
        trees: list[tuple[str, Tree]] = []
        for number, steps in enumerate(runs):
            trees.append((f'run{number}', place.tree()))
            with place.run(f'run{number}'):
                for step in steps:
                    change(place, step)
        remembered = {run.id for run in _journal.runs(place.state)}
        for ident, tree in reversed(trees):
            if ident in remembered:
                assert place.back(run=ident) == []
            assert place.tree() == tree
            if ident in remembered:
                assert place.back(run=ident) == []
                assert place.tree() == tree, 'once more is nothing more'


@settings(max_examples=settings().max_examples * 3 // 10)
@given(BEFORE, st.lists(STEPS, min_size=1, max_size=5), st.sampled_from(NAMES))
def test_what_somebody_else_writes_survives(before: dict[str, tuple[bytes, int]], steps: list[t.Any], name: str) -> None:
    with mock.patch.object(os, 'fsync'), a_place(before) as place:
        was = place.tree()
        with place.run('run'):
            for step in steps:
                change(place, step)
        place.put(name, b'of somebody else')
        touched = name in {step[1] for step in steps if step[0] != 'mode'}
        left = place.back()
        now = place.tree()
        assert now[name][1] == b'of somebody else'
        others = {one: what for one, what in now.items() if what[1] is not None and one != name}
        assert others == {one: what for one, what in was.items() if what[1] is not None and one != name}
        assert {item.path for item in left} <= {place.path(name), *map(str, Path(place.path(name)).parents)}
        noted = {entry.path for run in _journal.runs(place.state) for entry in run.entries()}
        if touched and place.path(name) in noted:
            assert left


def test_a_run_that_was_killed_between_entry_and_file_is_taken_back(place: Place) -> None:
    place.put('a.toml', b'before')
    with place.run('run'):
        write(place, 'b.json', b'{}')
        real = os.replace

        def dies(source: str, to: str) -> None:
            if to == place.path('a.toml'):
                raise KeyboardInterrupt
            real(source, to)

        with mock.patch.object(os, 'replace', dies), contextlib.suppress(KeyboardInterrupt):
            write(place, 'a.toml', b'after')
    assert {os.path.basename(entry.path) for run in _journal.runs(place.state) for entry in run.entries()} == {'a.toml', 'b.json'}
    assert place.back() == []
    assert place.tree() == {'a.toml': (0o644, b'before')}


def test_nothing_is_written_where_the_former_state_cannot_be_kept(place: Place) -> None:
    place.put('a.toml', b'before')
    with place.run('run'), mock.patch.object(_journal, '_put', side_effect=ConfigError('full')), pytest.raises(ConfigError, match='full'):
        write(place, 'a.toml', b'after')
    assert place.tree()['a.toml'][1] == b'before'


def test_the_journal_is_for_root_alone_and_remembers_ten_runs(place: Place) -> None:
    for number in range(13):
        with place.run(f'run{number}'):
            write(place, 'a.toml', f'{number}'.encode(), 0o600)
    assert [run.id for run in _journal.runs(place.state)] == [f'run{number}' for number in range(3, 13)]
    assert len(os.listdir(place.state.journal)) == _journal.KEEP
    for folder, _folders, files in os.walk(place.state.journal):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        assert {stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) for name in files} <= {0o600}
    place.back(count=4)
    assert place.tree()['a.toml'][1] == b'8'


def test_what_an_earlier_process_could_not_delete_goes_with_the_next_run(place: Place) -> None:
    half = Path(place.state.journal) / '.old-000001.run'
    half.mkdir(parents=True)
    (half / 'x.json').write_bytes(b'old secret')
    with place.run('run'):
        write(place, 'a.toml', b'1')
    assert os.listdir(place.state.journal) == ['000001.run']


def test_the_runs_of_a_refresh_push_no_other_run_out(place: Place) -> None:
    # Refreshes that follow each other are one run: a limit for their number took the fleet's own runs with them.
    for ident in ('asked', *(f'{number}-refresh' for number in range(60)), 'last', '60-refresh'):
        with place.run(ident):
            write(place, 'a.toml', ident.encode())
    assert [run.id for run in _journal.runs(place.state)] == ['asked', '0-refresh', 'last', '60-refresh']
    place.back(run='last')
    assert place.tree()['a.toml'][1] == b'59-refresh'
    place.back(run='asked')
    assert place.tree() == {}


def test_a_refresh_after_a_roll_back_is_a_run_of_its_own(place: Place) -> None:
    for ident in ('asked', '1-refresh'):
        with place.run(ident):
            write(place, 'a.toml', ident.encode())
    place.back(run='1-refresh')
    with place.run('2-refresh'):
        write(place, 'a.toml', b'2')
    assert [(run.id, run.undone) for run in _journal.runs(place.state)] == [('asked', False), ('1-refresh', True), ('2-refresh', False)]
    place.back(run='asked')
    assert place.tree() == {}


def test_a_path_that_one_run_writes_without_end_stays_small_in_the_journal(place: Place) -> None:
    place.put('b.json', b'{"theirs": 0}')
    for number in range(120):
        with place.run(f'{number}-refresh'):
            write(place, 'b.json', b'{"theirs": 0, "ours": %d}' % number)
    for number in range(30):
        place.put('b.json', b'{"theirs": %d, "ours": 119}' % (number + 1))
        with place.run(f'{number}-refresh'):
            write(place, 'b.json', b'{"theirs": %d, "ours": 119, "more": %d}' % (number + 1, number))
    (run,) = _journal.runs(place.state)
    (entry,) = [one for one in run.entries() if one.path.endswith('b.json')]
    assert len(entry.steps) <= 10
    assert max(len(step.wrote) for step in entry.steps) <= 50
    place.back(run='0-refresh')
    assert json.loads(place.tree()['b.json'][1] or b'') == {'theirs': 30}


def test_no_journal_on_request_and_a_run_of_its_own_without_a_name(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with place.run(_journal.OFF):
        write(place, 'a.toml', b'1')
    assert _journal.runs(place.state) == []
    monkeypatch.delenv(_journal.ENVIRON, raising=False)
    for data in (b'2', b'3'):
        with _io.locked(place.state):
            write(place, 'a.toml', data)
    (alone,) = _journal.runs(place.state)
    assert alone.id.endswith('-alone') and _journal.begun(alone.id)
    place.back()
    assert place.tree()['a.toml'][1] == b'1'
    with pytest.raises(ConfigError, match='no id of a run'), place.run('../escape'):
        pass


def test_a_run_that_another_one_came_into_is_taken_back_from_its_beginning(place: Place) -> None:
    for ident, data in (('long', b'1'), ('refresh', b'2'), ('long', b'3')):
        with place.run(ident):
            write(place, 'a.toml', data)
    place.back(run='long')
    assert place.tree() == {}
    assert _rollback.choose(_journal.runs(place.state), run='unknown') == []
    assert _rollback.choose(_journal.runs(place.state), count=0) == []


def test_runs_since_a_moment(place: Place) -> None:
    for moment in (1000.0, 2000.0, 3000.0):
        with place.run(_journal.stamp(moment)):
            write(place, 'a.toml', str(moment).encode())
    chosen = _rollback.choose(_journal.runs(place.state), since=_journal.begun(_journal.stamp(2000.0)))
    assert [run.id for run in chosen] == [_journal.stamp(3000.0), _journal.stamp(2000.0)]


def test_mode_and_owner_that_somebody_gave_a_file_stay(place: Place) -> None:
    place.put('a.toml', b'before', 0o644)
    with place.run('run'):
        write(place, 'a.toml', b'after')
    os.chmod(place.path('a.toml'), 0o640)
    assert place.back() == []
    assert place.tree()['a.toml'] == (0o640, b'before')


def test_what_few_might_read_before_is_not_opened_to_others(place: Place) -> None:
    place.put('a.toml', b'secret', 0o600)
    with place.run('run'):
        write(place, 'a.toml', b'after')
    os.chmod(place.path('a.toml'), 0o644)
    assert place.back() == []
    assert place.tree()['a.toml'] == (0o600, b'secret')


def test_the_record_of_owned_files_keeps_what_is_left_and_forgets_the_rest(place: Place) -> None:
    paths = [place.path('a.toml'), place.path('b.toml')]

    def bring(ident: str, text: str) -> None:
        with place.run(ident):
            record = _owned_files.load(place.state, 'kind')
            _owned_files.apply(place.state, 'kind', _owned_files.plan(record, 'me', {path: Content(text) for path in paths}))

    bring('one', f'{_owned_files.FIRST_LINE}\n1\n')
    first = Path(place.state.files('kind')).read_bytes()
    bring('two', f'{_owned_files.FIRST_LINE}\n2\n')
    second = _owned_files.load(place.state, 'kind')
    place.put('b.toml', b'of somebody else')
    left = place.back()
    assert [item.path for item in left] == [paths[1]]
    record = _owned_files.load(place.state, 'kind')
    assert record[paths[1]] == second[paths[1]] and record[paths[0]] != second[paths[0]]
    place.put('b.toml', f'{_owned_files.FIRST_LINE}\n2\n'.encode())
    assert place.back() == []
    assert Path(place.state.files('kind')).read_bytes() == first


JSON = st.recursive(st.integers(0, 3) | st.sampled_from(['x', 'y']) | st.lists(st.integers(0, 4), max_size=3, unique=True),
                    lambda inner: st.dictionaries(st.sampled_from('abc'), inner, max_size=3), max_leaves=6)  # fmt: skip
OBJECTS = st.dictionaries(st.sampled_from('abcd'), JSON, max_size=4)


def merged(now: t.Any, wrote: t.Any, before: t.Any) -> tuple[t.Any, list[str]]:
    step = Step(Look(FILE, json.dumps(before).encode()), (Mark(''),), _journal.shape_of(json.dumps(wrote).encode()))
    found, conflicts = _rollback.without_ours('/x.json', Look(FILE, json.dumps(now).encode()), step)
    return None if found is None else json.loads(found.data), conflicts


@given(OBJECTS, OBJECTS)
def test_without_foreign_edits_the_merge_is_the_former_file(before: t.Any, wrote: t.Any) -> None:
    assert merged(wrote, wrote, before) == (before, [])


@given(OBJECTS, OBJECTS, JSON)
def test_a_foreign_key_beside_ours_stays(before: t.Any, wrote: t.Any, value: t.Any) -> None:
    assert merged({**wrote, 'theirs': value}, wrote, before) == ({**before, 'theirs': value}, [])


@pytest.mark.parametrize(
    ('now', 'wrote', 'before', 'after'),
    [
        ({'m': ['ours', 'theirs']}, {'m': ['ours']}, {}, {'m': ['theirs']}),
        ({'m': ['ours', 'old', 'theirs']}, {'m': ['ours', 'old']}, {'m': ['old']}, {'m': ['old', 'theirs']}),
        ({'m': ['new', 'theirs']}, {'m': ['new']}, {'m': ['former']}, {'m': ['former', 'theirs']}),
        ({'m': ['ours']}, {'m': ['ours', 'old']}, {'m': ['old']}, {'m': []}),
        ({'o': {'ours': 1, 'theirs': 2}}, {'o': {'ours': 1}}, {}, {'o': {'theirs': 2}}),
    ],
)
def test_lists_and_objects_that_both_edited(now: t.Any, wrote: t.Any, before: t.Any, after: t.Any) -> None:
    assert merged(now, wrote, before) == (after, [])


def test_a_key_that_both_changed_is_left_to_them() -> None:
    assert merged({'k': 3, 'l': 1}, {'k': 2, 'l': 1}, {'k': 1}) == ({'k': 3}, ['k'])
    assert merged({'k': 3}, {'k': 2}, {'k': 1}) == (None, ['k'])


@pytest.mark.skipif(os.geteuid() != 0, reason='becomes another user')
def test_what_a_user_changed_is_noted_by_root_and_put_back_by_the_user(place: Place) -> None:
    nobody = _as_user.account('nobody')
    for folder in (place.root, *place.root.parents[:-2]):
        if folder.stat().st_uid == 0 and str(folder).startswith(tempfile.gettempdir() + '/'):
            folder.chmod(0o755)
    place.tree_root.chmod(0o777)
    home = place.tree_root / 'home'
    home.mkdir()
    os.chown(home, nobody.uid, nobody.gid)

    def work() -> bool:
        write(place, 'home/new/config.json', b'{"secret": 1}', 0o600)
        return True

    with place.run('run'):
        assert _as_user.run_as(nobody, work)
    (run,) = _journal.runs(place.state)
    assert {(entry.path, entry.user) for entry in run.entries()} == {(f'{home}/new', nobody.uid), (f'{home}/new/config.json', nobody.uid)}
    assert os.stat(run.folder).st_uid == 0
    assert place.back() == []
    assert list(home.iterdir()) == []


def test_once_more_leaves_what_came_since_it_was_taken_back(place: Place) -> None:
    place.put('a.toml', b'a')
    place.put('b.json', b'b')
    for ident, name in (('S1', 'a.toml'), ('S2', 'a.toml')):
        with place.run(ident):
            write(place, name, ident.encode())
    assert place.back(run='S2') == []
    with place.run('T-alone'):
        write(place, 'b.json', b'theirs')
    assert place.back(run='S2') == []
    assert {name: data for name, (_mode, data) in place.tree().items()} == {'a.toml': b'S1', 'b.json': b'theirs'}
    assert place.back(run='S1') == []
    assert {name: data for name, (_mode, data) in place.tree().items()} == {'a.toml': b'a', 'b.json': b'b'}


@pytest.mark.parametrize('again', [b'other', b'X'])
def test_what_later_runs_wrote_is_nobody_elses_and_stays(place: Place, again: bytes) -> None:
    """Also where a later run wrote the very same, as the same site.yml does."""
    place.put('b.json', b'{"theirs": 1}')

    def bring(ident: str, data: bytes) -> None:
        with place.run(ident):
            write(place, 'deep/er/c.toml', data)
            write(place, 'b.json', json.dumps({'theirs': 1, 'ours': data.decode()}).encode())
            wanted = {place.path('deep/d.conf'): Content(f'{_owned_files.FIRST_LINE}\n{data!r}')}
            _owned_files.apply(place.state, 'kind', _owned_files.plan(_owned_files.load(place.state, 'kind'), 'me', wanted))

    bring('X', b'X')
    for _twice in range(2):
        assert place.back(run='X') == []
        assert place.tree() == {'b.json': (0o644, b'{"theirs": 1}')}
    bring('Y', b'Y')
    bring('Z', again)
    tree, record = place.tree(), Path(place.state.files('kind')).read_bytes()
    assert place.back(run='X') == []
    assert (place.tree(), Path(place.state.files('kind')).read_bytes()) == (tree, record)
    known = _journal.runs(place.state)
    assert [run.id for run in _rollback.later(known, _rollback.choose(known, run='X'))] == ['Z', 'Y']
    assert _rollback.later(known, _rollback.choose(known, run='Y')) == []
    assert place.back(run='Y') == []
    assert place.tree() == {'b.json': (0o644, b'{"theirs": 1}')}


def test_a_directory_that_a_later_run_has_something_in_is_not_told_as_others(place: Place) -> None:
    with place.run('X'):
        write(place, 'deep/d.conf', b'X')
    place.put('deep/theirs', b'')
    assert [item.path for item in place.back(run='X')] == [place.path('deep')]
    os.unlink(place.path('deep/theirs'))
    with place.run('Y'):
        write(place, 'deep/er/c.toml', b'Y')
    assert place.back(run='X') == []
    assert 'deep/er/c.toml' in place.tree()


@pytest.mark.parametrize('text', ['{\n\t"auths": {\n\t\t"r.lan": {"auth": "x"}\n\t}\n}', '{\n\t"auths": {}\n}', '{}\n'])
def test_a_file_of_ours_goes_though_its_client_wrote_it_anew(place: Place, text: str) -> None:
    with place.run('run'):
        write(place, 'deep/b.json', b'{"auths": {"r.lan": {"auth": "x"}}}', 0o600)
    place.put('deep/b.json', text.encode(), 0o600)
    assert place.back() == []
    assert place.tree() == {}
    assert place.back() == []


@pytest.mark.parametrize(
    'path, refused',
    [
        ('/usr/local/lib/quickpull.registry', False),
        ('/usr/local/lib/quickpull.registry/refresh.py', False),
        ('/usr/local/lib/quickpull.registry.other', True),
        ('/usr/local/lib/other', True),
        ('/etc/docker/daemon.json', False),
        ('/home/ann/.docker/config.json', True),
    ],
)
def test_the_program_of_the_refresh_goes_where_it_came_from(path: str, refused: bool) -> None:
    """Debian before 12 gives /usr/local to the group staff, and the program was put there all the same."""
    staff = mock.patch.object(_as_user, 'check_hands', side_effect=ConfigError('staff may'))
    with mock.patch.object(os, 'geteuid', return_value=0), staff, pytest.raises(ConfigError) if refused else contextlib.nullcontext():
        _rollback.check_hands(path)


def test_differences_show_no_secret() -> None:
    def item(path: str, before: str, after: str, mode: int = 0o644) -> _rollback.Item:
        return _rollback.Item(path, None, False, Look(FILE, before.encode(), mode), Look(FILE, after.encode(), mode))

    login = item('/root/.docker/config.json', '{"auths": {"r.lan": {"auth": "dXNlcjpzM2NyZXQ="}}}', '{}')
    proxy = item('/etc/docker/daemon.json', '{"proxies": {"http-proxy": "http://u:s3cret@p:1"}}', '{}')
    header = item('/etc/containerd/certs.d/r/hosts.toml', 'Authorization = "s3cret"', '', 0o600)
    # What is named by a variable may have any name; what is no daemon.json may hold secrets under any key.
    pull = item('/etc/crio/pull-secret.json', '{"auths": {"c.lan": {"auth": "dXNlcjpzM2NyZXQ="}}}', '{}', 0o600)
    refresh = item('/etc/quickpull.registry/refresh.json', '{"headers": {"Authorization": "Bearer s3cret"}}', '{}', 0o600)
    shown = json.dumps([diff_of(proxy, is_daemon_json=True), *(diff_of(one) for one in (login, proxy, header, pull, refresh))])
    assert 's3cret' not in shown and 'dXNlcjpzM2NyZXQ=' not in shown
    assert 'r.lan' in shown and 'c.lan' in shown and 'http-proxy' in shown


@pytest.mark.parametrize('name, rest', [('done', {}), ('docker', {'done': {'rolled_back': ['x']}}), ('engines', {'done': {'rolled_back': ['x']}})])
def test_a_host_that_was_lost_on_the_way_is_told_as_failed(name: str, rest: dict[str, t.Any]) -> None:
    lost: dict[str, t.Any] = {'unreachable': True, 'msg': 'no route', 'changed': False}
    left = {**rest, name: {'results': [lost]} if name == 'engines' else lost}
    lines = rollback_report({'a': {f'__registry_rollback_{key}': value for key, value in left.items()}}, ['a'], 'x')
    assert [line for line in lines if 'FAILED: it was lost' in line and 'no route' in line], lines
    assert not [line for line in lines if 'nothing is to be rolled back' in line]


def test_the_last_run_of_a_fleet_and_its_report() -> None:
    told = {
        'a': {'runs': [{'id': '20260103T000000.000000Z-refresh'}, {'id': '20260102T000000.000000Z-site'}]},
        'b': {'runs': [{'id': '20260101T000000.000000Z-site'}]},
        'c': {},
    }
    assert last_run(told) == '20260102T000000.000000Z-site'
    assert last_run({'c': {}}) == ''
    assert last_run({**told, 'd': {'runs': [{'id': '20260102T000000.000001Z-remove'}]}}) == '20260102T000000.000001Z-remove'
    assert last_run(told, '20260101T000000.000000Z-site') == '20260101T000000.000000Z-site'
    assert last_run(told, '20260101T000000.000000Z-stie') == ''
    assert 'No host remembers the run mistyped' in report({'a': {'result': told['a']}, 'c': {}}, 'mistyped')[0]
    lines = report(
        {
            'a': {
                'result': {'rolled_back': ['x'], 'put_back': [{'path': '/p', 'action': 'restored'}], 'left': [{'path': '/q', 'because': '/q was edited.'}]},
                'applied': [{'applied': 'reload', 'proof': {'ok': True}, 'pending_because': []}, {'engine': 'crio', 'action': 'none', 'pending': ['later']}],
            },
            'b': {'result': {'rolled_back': []}},
            'c': {'failed': 'no.'},
            'd': {'result': {'rolled_back': [], 'runs': [{'id': f'y{number}'} for number in range(10)]}},
        },
        'x',
    )
    text = '\n'.join(lines)
    for part in ('restored: /p', 'left: /q was edited.', 'docker: reload, proved', 'pending (crio): later',
                 'the run changed nothing here', 'FAILED: no.', 'so old'):
        assert part in text


SITES = [f'2026010{number}T000000.000000Z-site' for number in range(1, 5)]


def told_of(run: str, undone: t.Collection[str], **more: t.Any) -> dict[str, t.Any]:
    """What the module returns where it took nothing back, with all of :data:`SITES` remembered."""
    return {'rolled_back': [run], 'put_back': [], 'left': [], 'stays': [], **more,
            'runs': [{'id': ident, 'rolled_back': ident in undone} for ident in reversed(SITES)]}  # fmt: skip


def test_the_report_says_that_a_run_was_taken_back_before_and_which_to_name() -> None:
    x, y, z = SITES[1:]
    lines = report({'a': {'result': told_of(x, {x}, stays=[z, y])}, 'b': {'result': {'rolled_back': [], 'runs': []}}}, x)
    assert lines[0] == f'{x} was taken back before; what later runs wrote stays. To go further back name one of: {z}, {y}, {SITES[0]}.'
    assert lines[2] == '  nothing is to be rolled back: it was taken back here before, and what later runs wrote stays.'
    assert 'omebody else' not in '\n'.join(lines) and 'Rolled' not in '\n'.join(lines)
    again = report({'a': {'result': told_of(z, {z})}}, z)
    assert (again[0], again[2]) == (f'{z} was taken back before already.', '  nothing is to be rolled back: all is as it was before already.')
    # On a host that it was not reached on before, it is a roll-back.
    some = {'a': {'result': told_of(z, {z})}, 'b': {'result': told_of(z, (), put_back=[{'path': '/p', 'action': 'removed'}])}}
    assert report(some, z)[0] == f'Rolled back to what was there before {z}.'
    assert report({'a': {'failed': 'It cannot be read.'}}, z)[0] == f'No host was rolled back to what was there before {z}.'


def test_the_report_of_check_mode_says_what_would_be() -> None:
    x = SITES[0]
    put_back = [{'path': '/p', 'action': 'restored'}, {'path': '/q', 'action': 'removed'}]
    applied = [{'applied': 'reload', 'proof': {}}]
    hosts = {'a': {'result': told_of(x, (), put_back=put_back, left=[{'path': '/r', 'because': '/r was edited.'}]), 'applied': applied}}
    assert report(hosts, x, check_mode=True) == [
        f'Would be rolled back to what was there before {x}.', 'a:', '  would be restored: /p', '  would be removed: /q', '  would be left: /r was edited.',
        '  docker: would need a reload',
    ]  # fmt: skip
    removal = '20260109T000000.000000Z-remove'
    assert report({'a': {'result': told_of(removal, (), put_back=put_back)}}, removal)[0] == f'Rolled back to what was there before the removal {removal}.'


def test_the_program_of_the_refresh_is_one_line() -> None:
    paths = [f'/usr/local/lib/quickpull.registry/p{number}.py' for number in range(98)]
    put_back = [{'path': path, 'action': 'removed'} for path in [*paths, '/etc/docker/daemon.json']]
    lines = report({'a': {'result': told_of('x', (), put_back=put_back)}}, 'x')
    assert lines[2:] == ["  removed: the refresh's program, 98 files below /usr/local/lib/quickpull.registry", '  removed: /etc/docker/daemon.json']
    shown = diffs_of([_rollback.Item(path, None, False, Look(FILE, b'code'), Look()) for path in [*paths, '/etc/x']])
    assert [one['before'] for one in shown if one['before_header'] != '/etc/x'] == [
        "(the refresh's program, 98 files below /usr/local/lib/quickpull.registry)\n"
    ]
    assert [one['after'] for one in shown] == ['', '']
    assert len(shown) == 2
