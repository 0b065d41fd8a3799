# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _as_user, _io, _journal, _owned_files, _ownership, _refresh_units, _snapshot, _users
from ansible_collections.quickpull.registry.plugins.module_utils._dropin import default_path
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import Content
from ansible_collections.quickpull.registry.plugins.module_utils._ownership import Claim, Entries, Leaf, Record
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.modules import access_record
from ansible_collections.quickpull.registry.tests.unit.plugins.fake_module import FakeModule


class Place:
    """A host in a folder, and the module's ``run``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = State(str(root / 'state'))
        self.etc = root / 'etc'
        self.etc.mkdir()

    def run(self, state: str = 'absent', *, check: bool = False, owner: str = 'registry_access', waits: t.Sequence[str] = ()) -> dict[str, t.Any]:
        module = FakeModule(check, {'owner': owner, 'state': state, 'waits': list(waits)})
        return access_record.run(t.cast(t.Any, module), self.state, str(self.root))

    def write(self, name: str, owner: str = 'registry_access', kind: str = 'podman-proxies') -> Path:
        """A file that is wholly an owner's."""
        path = self.etc / name
        planned = _owned_files.plan(_owned_files.load(self.state, kind), owner, {str(path): Content(f'{_owned_files.FIRST_LINE}\nours\n')}, overwrite=True)
        _owned_files.apply(self.state, kind, planned)
        return path

    def values(self, *owners: str, tombstones: t.Sequence[str] = ()) -> str:
        """A record of values in daemon.json."""
        path = str(self.etc / 'daemon.json')
        lists = {'/registry-mirrors': Entries(None, None, {owner: Claim(['http://a.lan']) for owner in owners})}
        leaves = {'/debug': Leaf(None, {owner: ['true'] for owner in owners})}
        busy = bool(owners)
        _ownership.save(self.state, Record(path, lists=lists if busy else {}, leaves=leaves if busy else {}, tombstones=list(tombstones)))
        return path

    def tree(self) -> dict[str, bytes | None]:
        return {str(at.relative_to(self.root)): at.read_bytes() if at.is_file() else None for at in sorted(self.root.rglob('*')) if at.name != 'lock'}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def worth_nothing(place: Place) -> None:
    """What the other modules leave behind once all is given back."""
    (place.etc / 'daemon.json').write_text('{}')
    _io.backup(str(place.etc / 'daemon.json'), place.state)
    _snapshot.save(place.state, 'docker', _snapshot.PROVED, [str(place.etc / 'daemon.json')])
    for path in (place.state.applied('docker'), place.state.strangers('docker'), place.state.hash_key):
        _io.write_private(path, b'[]', root=place.state.root)


def test_a_host_without_a_record_has_nothing_to_lose(place: Place) -> None:
    for check in (True, False):
        found = place.run(check=check)
        assert (found['changed'], found['gone'], found['left'], found['told']) == (False, True, [], [])
    assert place.tree() == {'etc': None}


def test_what_is_worth_nothing_goes_with_its_directory(place: Place) -> None:
    worth_nothing(place)
    before = place.tree()
    foreseen = place.run(check=True)
    assert place.tree() == before
    done = place.run()
    assert foreseen == done
    assert (done['changed'], done['gone'], done['told']) == (True, True, [])
    assert place.tree() == {'etc': None, 'etc/daemon.json': b'{}'}
    again = place.run()
    assert (again['changed'], again['gone']) == (False, True)


def test_a_lock_alone_is_no_change(place: Place) -> None:
    with _io.locked(place.state):
        pass
    found = place.run()
    assert (found['changed'], found['gone'], Path(place.state.root).exists()) == (False, True, False)


def test_what_waits_keeps_everything(place: Place) -> None:
    worth_nothing(place)
    before = place.tree()
    for check in (True, False):
        found = place.run(waits=['A restart waits.'], check=check)
        assert (found['changed'], found['gone'], found['told']) == (False, False, ['The record of this host stays as long as a change waits: A restart waits.'])
    assert place.tree() == before


@pytest.mark.parametrize('check', [True, False])
def test_what_another_owner_has_keeps_everything_and_is_told(place: Place, check: bool) -> None:
    worth_nothing(place)
    other = place.write('other.conf', 'other_team')
    daemon = place.values('other_team', 'third')
    before = place.tree()
    found = place.run(check=check)
    assert place.tree() == before
    assert (found['changed'], found['gone']) == (False, False)
    assert {(one['path'], one['kind'], tuple(one['owners'])) for one in found['left']} == {
        (str(other), 'podman-proxies', ('other_team',)), (daemon, 'ownership', ('other_team', 'third')),
    }  # fmt: skip
    assert f'{daemon} has something of other_team, third on record.' in found['told']


def test_files_of_an_engine_that_is_gone_go_and_what_was_there_comes_back(place: Place) -> None:
    (place.etc / 'before.conf').write_text('theirs')
    kept, ours, other = place.write('before.conf'), place.write('sub/ours.conf', kind='hosts-toml-containerd'), place.write('other.conf', 'other_team')
    cache = place.write('cache.yml', kind='cache')
    foreseen = place.run(check=True)
    done = place.run()
    assert foreseen['files'] == done['files'] == [str(ours), str(kept)]
    assert done['changed']
    assert kept.read_text() == 'theirs'
    assert (ours.exists(), ours.parent.exists(), other.exists(), cache.exists()) == (False, False, True, True)
    assert {one['path'] for one in done['left']} == {str(other), str(cache)}
    assert not place.run()['changed']


def test_what_somebody_replaced_stays_and_is_told(place: Place) -> None:
    path = place.write('a.conf')
    path.write_text('theirs')
    for check in (True, False):
        found = place.run(check=check)
        assert (found['changed'], found['gone'], found['files']) == (True, True, [])
        assert [str(path) in sentence and 'replaced by somebody' in sentence for sentence in found['told']] == [True]
    assert path.read_text() == 'theirs'
    again = place.run()
    assert (again['changed'], again['told']) == (False, [])


def test_the_program_of_the_refresh_is_told_in_one_sentence(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_refresh_units, 'DIRECTORY', f'{place.etc}/lib')
    for number in range(3):
        place.write(f'lib/p{number}.py', kind='refresh')
    unit = place.write('x.timer', kind='refresh')
    for check in (True, False):
        told = place.run(owner='nobody_knows', check=check)['told']
        assert told == [
            f"On record for registry_access: the refresh's program, 3 files below {place.etc}/lib.",
            f'{unit} has something of registry_access on record.',
        ]


def test_logins_that_runs_wrote_and_that_are_there_still_are_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place.etc / 'config.json'
    path.write_text('{"auths": {"theirs.lan": {"auth": "c2VjcmV0"}}}')
    auths: dict[str, t.Any] = {name: {'auth': 'c2VjcmV0'} for name in ('theirs.lan', 'https://index.docker.io/v1/', 'gone.lan')}
    monkeypatch.setenv(_journal.ENVIRON, '20260101T000000.000000Z-site')
    with _io.locked(place.state):
        _io.write_atomic(str(path), json.dumps({'auths': auths}).encode())
        _io.write_atomic(str(place.etc / 'other.json'), b'{"auths": 1}')
    path.write_text(json.dumps({'auths': {**auths, 'gone.lan': {}}}))
    foreseen, done = place.run(check=True), place.run()
    assert foreseen['logins'] == done['logins'] == [{'path': str(path), 'user': 'root', 'registries': ['docker.io']}]
    assert done['gone'] and 'c2VjcmV0' not in str(done)
    assert place.run()['logins'] == []


def test_what_somebody_edited_is_kept_and_told_again(place: Place) -> None:
    path = place.write('a.conf')
    path.write_text(path.read_text() + '# mine\n')
    foreseen, done = place.run(check=True), place.run()
    assert (foreseen['gone'], foreseen['files']) == (done['gone'], done['files']) == (False, [str(path)])
    (kept,) = done['unknown']
    assert Path(kept).read_text().endswith('# mine\n')
    assert f'{path} was edited by somebody' in done['told'][0] and kept in done['told'][0]
    again = place.run()
    assert (again['changed'], again['told']) == (False, [f'{kept} holds what somebody edited in a file that is gone, and stays until you delete it.'])
    os.unlink(kept)
    assert place.run()['gone']


def test_check_mode_takes_what_is_ours_for_given_back(place: Place) -> None:
    place.values('registry_access')
    assert place.run('present')['left'][0]['owners'] == ['registry_access']
    foreseen = place.run(check=True)
    assert (foreseen['changed'], foreseen['gone'], foreseen['left']) == (True, True, [])
    stays = place.run()
    assert (stays['changed'], stays['gone'], stays['told']) == (False, False, [f'{place.etc}/daemon.json has something of registry_access on record.'])


@pytest.mark.parametrize(
    'leave, because',
    [
        (lambda place: place.values(tombstones=['/registry-mirrors']), 'has yet to forget'),
        (lambda place: _users.remember(place.state, 'podman', 'bob', True), 'The user bob still has files of ours.'),
        (lambda place: _io.write_private(place.state.intent('docker'), b'{}', root=place.state.root), 'An earlier run was interrupted'),
        (lambda place: _io.write_private(place.state.files('k3s'), b'{', root=place.state.root), 'cannot be understood'),
        (lambda place: _io.write_private(place.state.ownership('/x'), b'[]', root=place.state.root), 'cannot be understood'),
    ],
    ids=['tombstone', 'user', 'interrupted', 'broken', 'another form'],
)
def test_what_is_not_finished_or_not_understood_stays(place: Place, monkeypatch: pytest.MonkeyPatch, leave: t.Callable[[Place], None], because: str) -> None:
    monkeypatch.setattr('os.geteuid', lambda: 0)
    monkeypatch.setattr(_as_user, 'missing_users', lambda names: [])
    leave(place)
    before = place.tree()
    found = place.run()
    assert (found['changed'], found['gone']) == (False, False)
    assert [because in sentence for sentence in found['told']] == [True]
    assert place.tree() == before


def test_a_user_who_is_gone_keeps_no_record(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('os.geteuid', lambda: 0)
    monkeypatch.setattr(_as_user, 'missing_users', lambda names: [name for name in names if name == 'ghost'])
    _users.remember(place.state, 'podman', 'bob', True)
    _users.remember(place.state, 'podman', 'ghost', True)
    assert place.run()['told'] == ['The user bob still has files of ours.']
    _users.remember(place.state, 'podman', 'bob', False)
    found = place.run()
    assert (found['gone'], found['told']) == (True, [])


def test_a_file_that_nobody_knows_stays_with_its_directory(place: Place) -> None:
    worth_nothing(place)
    mine = Path(place.state.root, 'docker', 'notes.txt')
    mine.write_text('mine')
    Path(place.state.root, 'link').symlink_to(place.etc)
    found = place.run()
    assert (found['changed'], found['gone']) == (True, False)
    assert found['unknown'] == [str(mine), str(Path(place.state.root, 'link'))]
    left = {name for name in place.tree() if name.startswith('state')}
    assert left == {'state', 'state/docker', 'state/docker/notes.txt', 'state/link'}
    assert place.etc.is_dir()
    assert not place.run()['changed']


def test_a_record_of_containerds_key_names_its_owners(place: Place) -> None:
    told = {'format': 1, 'path': '/etc/containerd/config.toml', 'owners': ['registry_access', 'other_team']}
    _io.write_private(place.state.files('containerd-config'), json.dumps(told).encode(), root=place.state.root)
    for check in (True, False):
        found = place.run(check=check)
        assert [(one['path'], one['owners']) for one in found['left']] == [('/etc/containerd/config.toml', ['registry_access', 'other_team'])]


def test_proxies_of_a_unit_without_an_engine_are_told(place: Place) -> None:
    dropin = place.root / default_path('containerd.service').lstrip('/')
    dropin.parent.mkdir(parents=True)
    dropin.write_text(f'{_owned_files.FIRST_LINE}\n[Service]\n')
    found = place.run()
    assert (found['changed'], found['gone']) == (False, True)
    assert [one['path'] for one in found['left']] == [str(dropin)]
    assert 'proxies of containerd.service' in found['told'][0]
    dropin.write_text('[Service]\n')
    assert place.run()['left'] == []


def test_to_look_changes_nothing(place: Place) -> None:
    worth_nothing(place)
    path = place.write('a.conf')
    before = place.tree()
    found = place.run('present')
    assert (found['changed'], found['told'], [one['path'] for one in found['left']]) == (False, [], [str(path)])
    assert place.tree() == before
