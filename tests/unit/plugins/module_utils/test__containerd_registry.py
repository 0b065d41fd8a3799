# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one key in config.toml with a containerd that reads what is written; real ones are asked in tests/lab/test_hosts_toml.py."""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _containerd_config, _io, _service_facts, _systemd
from ansible_collections.quickpull.registry.plugins.module_utils import _containerd_registry as registry
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_config import Registry
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_registry import Record
from ansible_collections.quickpull.registry.plugins.module_utils._engines.containerd import Containerd, Host
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ChangedMeanwhileError, ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._plan import Plan
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.tests.unit.plugins.small_containerd import dump_of, printed

DIRECTORY = '/etc/containerd/certs.d'
TABLE = 'plugins."io.containerd.grpc.v1.cri".registry'
THEIRS = 'version = 2 # ours is here\n[plugins."io.containerd.grpc.v1.cri"]\n  sandbox_image = "pause"\n'
LATER, EARLIER = 4_000_000_000.0, 1.0


class Place:
    """A config.toml in a folder, a containerd that takes it as it is, and the owners that ask for the key."""

    def __init__(self, root: Path) -> None:
        self.path = root / 'containerd' / 'config.toml'
        self.state = State(str(root / 'state'))
        self.host = Host(run=self.run)
        self.refuses = ''
        self.adds = ''
        self.dumped: list[str] = []

    def run(self, command: t.Sequence[str], _timeout: float) -> _systemd.Result:
        self.dumped.append(command[2])
        if self.refuses:
            return _systemd.Result(1, '', f'{self.refuses}: {command[2]}')
        return _systemd.Result(0, printed(dump_of(Path(command[2]).read_bytes())) + self.adds)

    def write(self, text: str) -> None:
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_bytes(text.encode())

    def text(self) -> str | None:
        return self.path.read_bytes().decode() if self.path.exists() else None

    def found(self, **changes: t.Any) -> Containerd:
        dump = dump_of((self.text() or '').encode())
        base = Containerd(True, '1.7.27', '/usr/bin/containerd', config_path=str(self.path), dump=dump, registry=_containerd_config.registry_of(dump))
        return dataclasses.replace(base, **changes)

    def present(self, owner: str = 'a', directory: str = DIRECTORY) -> bool:
        change = registry.plan_present(self.state, owner, self.found(), directory, self.host)
        registry.write(self.state, change)
        return change.changed

    def absent(self, owner: str = 'a') -> bool:
        change = registry.plan_absent(self.state, owner, self.found(), self.host)
        registry.write(self.state, change)
        return change.changed

    def in_file(self) -> str:
        return self.found().registry.config_path  # type: ignore[union-attr]

    def record(self) -> Record:
        return registry.load(self.state)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


FILES = {
    'none': None,
    'empty': '',
    'theirs': THEIRS,
    'no newline at its end': THEIRS.rstrip(),
    'CRLF': THEIRS.replace('\n', '\r\n'),
    'their table': f'version = 2\n[{TABLE}]\n',
    'their table with CRLF': f'version = 2\r\n[{TABLE}]\r\n[debug]\r\n',
    'their key': f'version = 2\n[{TABLE}]\n  config_path = "" # nowhere\n',
    'not ASCII': '# 配置\nversion = 2\n',
}


@pytest.mark.parametrize('text', FILES.values(), ids=FILES)
def test_there_and_back(place: Place, text: str | None) -> None:
    if text is not None:
        place.write(text)
    assert place.present()
    assert place.in_file() == DIRECTORY
    assert not place.present(), 'a second time'
    assert place.absent()
    assert place.text() == text
    assert place.path.parent.exists() is (text is not None)
    assert not place.absent()
    assert place.record() == Record()


@pytest.mark.parametrize('text', FILES.values(), ids=FILES)
def test_back_when_somebody_edited_it_since(place: Place, text: str | None) -> None:
    if text is not None:
        place.write(text)
    place.present()
    place.write((place.text() or '') + '\n[debug2]\nlevel = "info"\n')
    place.absent()
    assert 'config_path' not in (place.text() or '') or 'nowhere' in (text or '')
    assert [line for line in (text or '').split() if line not in (place.text() or '')] == []
    assert place.found().dump['debug2'] == {'level': 'info'}


def test_the_last_of_two_owners_takes_it_away(place: Place) -> None:
    place.write(THEIRS)
    place.present('a')
    place.present('b')
    assert place.record().owners == ('a', 'b')
    assert not place.absent('a')
    assert not place.absent('c')
    assert place.in_file() == DIRECTORY
    assert place.absent('b')
    assert place.text() == THEIRS


def test_owners_are_not_forgotten_when_somebody_took_the_key_out(place: Place) -> None:
    place.write(THEIRS)
    place.present('a')
    place.write(THEIRS)
    assert place.present('b')
    assert place.record().owners == ('a', 'b')


@pytest.mark.parametrize('value', [DIRECTORY, f'/x:{DIRECTORY}/', f'{DIRECTORY}//:/x', '/etc/./containerd/certs.d'])
def test_a_key_of_others_that_names_the_directory_stays(place: Place, value: str) -> None:
    text = f'version = 2\n[{TABLE}]\nconfig_path = "{value}"\n'
    place.write(text)
    assert registry.why_not(place.found(), DIRECTORY, ours=False) == ''
    assert not place.present()
    assert not place.absent()
    assert (place.text(), place.record()) == (text, Record())


WHERE: list[tuple[str, str]] = [
    ('', DIRECTORY),
    (DIRECTORY, DIRECTORY),
    ('/srv/hosts', '/srv/hosts'),
    ('/srv/hosts/:/other', '/srv/hosts'),
    (f'/other:{DIRECTORY}/', DIRECTORY),
    (':', DIRECTORY),
]


@pytest.mark.parametrize('value, directory', WHERE)
def test_where_files_go(place: Place, value: str, directory: str) -> None:
    assert registry.directory_of(place.found(registry=Registry(config_path=value)), DIRECTORY) == directory
    assert registry.directory_of(place.found(registry=None), DIRECTORY) == DIRECTORY


REASONS: list[tuple[Registry | None, str]] = [
    (Registry(), ''),
    (Registry(config_path=f'/x:{DIRECTORY}'), ''),
    (Registry(config_path='/x'), 'already has config_path = "/x", which stays'),
    (Registry(enabled=False), 'disables the CRI plugin'),
    (Registry(mirrors=('docker.io', 'quay.io')), 'mirrors of docker.io, quay.io, with which'),
    (Registry(mirrors=('docker.io',), configs=('x.lan',)), 'mirrors of docker.io and TLS of x.lan, with which'),
    (None, 'it says no'),
]


@pytest.mark.parametrize('known, because', REASONS)
def test_why_not(place: Place, known: Registry | None, because: str) -> None:
    told = registry.why_not(place.found(registry=known, config_error='it says no' if known is None else ''), DIRECTORY, ours=False)
    assert because in told
    assert bool(told) is bool(because)


def test_what_containerd_refuses_is_not_written(place: Place) -> None:
    place.write(THEIRS)
    place.refuses = 'containerd: failed to load'
    with pytest.raises(ConfigError, match='does not understand it') as info:
        place.present()
    assert 'quickpull' not in str(info.value), 'the name of a temporary file tells nobody anything'
    assert f'failed to load: {place.path}' in str(info.value)
    assert (place.text(), os.listdir(place.path.parent), place.record()) == (THEIRS, ['config.toml'], Record())


def test_what_containerd_takes_for_something_else_is_not_written(place: Place) -> None:
    place.write(THEIRS)
    place.adds = '[more]\n'
    with pytest.raises(ConfigError, match=r'config_path = "/etc/containerd/certs\.d" alone.*Add that line by hand'):
        place.present()
    place.adds = ''
    place.present()
    place.write((place.text() or '') + '# more\n')
    place.adds = '[more]\n'
    with pytest.raises(ConfigError, match=r'than config_path alone.*Take config_path out by hand'):
        place.absent()
    assert os.listdir(place.path.parent) == ['config.toml']


def test_it_is_asked_about_a_file_that_lies_beside(place: Place) -> None:
    place.write(THEIRS)
    place.present()
    assert [os.path.dirname(path) for path in place.dumped] == [str(place.path.parent)]


def test_a_folder_that_cannot_be_written_is_a_sentence(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write(THEIRS)

    def refuse(_target: str) -> t.NoReturn:
        raise OSError(30, 'Read-only file system')

    monkeypatch.setattr(_io, 'make_temp', refuse)
    with pytest.raises(ConfigError, match=r'config\.toml: the file system is read-only'):
        place.present()


@pytest.mark.parametrize('version, line', [('1.7.27', 'version = 2'), ('2.1.4', 'version = 3'), (None, 'version = 2')])
def test_a_new_file_speaks_the_language_of_its_containerd(place: Place, version: str | None, line: str) -> None:
    change = registry.plan_present(place.state, 'a', place.found(version=version), DIRECTORY, place.host)
    assert line in (change.after or '')


def test_mode_and_symlink_stay(place: Place, tmp_path: Path) -> None:
    place.write(THEIRS)
    real = tmp_path / 'real.toml'
    os.rename(place.path, real)
    real.chmod(0o640)
    place.path.symlink_to(real)
    place.present()
    assert place.path.is_symlink()
    assert (real.stat().st_mode & 0o777, DIRECTORY in real.read_text()) == (0o640, True)
    place.absent()
    assert (place.path.is_symlink(), real.read_text()) == (True, THEIRS)


def test_the_record_is_private_and_comes_first(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write(THEIRS)

    def crash(*_arguments: t.Any, **_options: t.Any) -> t.NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        change = registry.plan_present(place.state, 'a', place.found(), DIRECTORY, place.host)
        registry.save(place.state, change.record)
        patch.setattr(_io, 'write_atomic', crash)
        with pytest.raises(KeyboardInterrupt):
            registry.write(place.state, change)
    assert place.record().ours
    assert os.stat(place.state.files('containerd-config')).st_mode & 0o777 == 0o600
    assert not place.absent(), 'nothing was written, so nothing is ours in the file'
    assert (place.text(), place.record()) == (THEIRS, Record())


def interrupt(*_arguments: t.Any) -> t.NoReturn:
    raise KeyboardInterrupt


def test_a_crash_between_file_and_record_is_harmless(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write(THEIRS)
    place.present()
    with monkeypatch.context() as patch:
        patch.setattr(registry, 'save', interrupt)
        with pytest.raises(KeyboardInterrupt):
            place.absent()
    assert (place.text(), place.record().ours) == (THEIRS, True)
    assert not place.absent()
    assert place.record() == Record()


def test_somebody_writes_in_between(place: Place) -> None:
    place.write(THEIRS)
    change = registry.plan_present(place.state, 'a', place.found(), DIRECTORY, place.host)
    place.write('version = 2\n')
    with pytest.raises(ChangedMeanwhileError):
        registry.write(place.state, change)
    assert place.text() == 'version = 2\n'


@pytest.mark.parametrize('text', ['{', '[]', '{"format": 2}', '{"format": 1}', '{"format": 1, "owners": [], "made_dirs": [], "x": 1}', '\xff'])
def test_a_record_that_is_none(place: Place, text: str) -> None:
    path = Path(place.state.files('containerd-config'))
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode('latin-1'))
    with pytest.raises(ConfigError, match=r'cannot be understood\. Remove it'):
        place.record()


def test_a_file_that_is_no_text(place: Place) -> None:
    place.path.parent.mkdir()
    place.path.write_bytes(b'\xff')
    with pytest.raises(ConfigError, match=r'config\.toml is not UTF-8'):
        registry.plan_present(place.state, 'a', Containerd(True, config_path=str(place.path), registry=Registry()), DIRECTORY, place.host)


def test_secrets_of_the_file_are_not_in_a_repr(place: Place) -> None:
    place.write(THEIRS + '# s3cret\n')
    change = registry.plan_present(place.state, 'a', place.found(), DIRECTORY, place.host)
    assert 's3cret' not in repr(change) + repr(change.record)
    assert 's3cret' in json.dumps(dataclasses.asdict(change.record))


# What the running one needs

OURS = Record('/c', ('a',), DIRECTORY)
RUNS = {'active_state': 'active', 'main_pid': 7, 'start_id': 'boot:1:7', 'unit': 'containerd.service', 'kill_mode': 'process'}
THERE = {**RUNS, 'registry': Registry(config_path=DIRECTORY)}
NEEDS: list[tuple[str, dict[str, t.Any], Record, str]] = [
    ('stopped', {'registry': Registry(config_path=DIRECTORY)}, OURS, 'none'),
    ('not in the file', {**RUNS, 'cri_config_path': ''}, OURS, 'none'),
    ('elsewhere in the file', {**RUNS, 'registry': Registry(config_path='/x')}, OURS, 'none'),
    ('disabled', {**RUNS, 'registry': Registry(config_path=DIRECTORY, enabled=False)}, OURS, 'none'),
    ('not understood', {**RUNS, 'registry': None}, OURS, 'none'),
    ('told to be in force', {**THERE, 'cri_config_path': f'/x:{DIRECTORY}/'}, OURS, 'none'),
    ('told not to be', {**THERE, 'cri_config_path': '/x'}, OURS, 'restart'),
    ('told not to be, of others', {**THERE, 'cri_config_path': ''}, Record(), 'restart'),
    ('not told, proved', {**THERE, 'started_at': EARLIER}, dataclasses.replace(OURS, proved='boot:1:7'), 'none'),
    ('not told, proved of an earlier start', {**THERE, 'started_at': EARLIER}, dataclasses.replace(OURS, proved='boot:1:6'), 'restart'),
    ('not told, older than the start', {**THERE, 'started_at': LATER}, OURS, 'none'),
    ('not told, younger', {**THERE, 'started_at': EARLIER}, OURS, 'restart'),
    ('not told, of others', {**THERE, 'started_at': EARLIER}, Record(), 'none'),
    ('the CRI has failed', {**THERE, 'started_at': LATER, 'cri_error': 'No CRI.'}, OURS, 'restart'),
    ('the CRI of others has failed', {**THERE, 'started_at': LATER, 'cri_error': 'No CRI.'}, Record(), 'none'),
]


@pytest.mark.parametrize('found, record, action', [row[1:] for row in NEEDS], ids=[row[0] for row in NEEDS])
def test_plan(place: Place, found: dict[str, t.Any], record: Record, action: str) -> None:
    place.write(THEIRS)
    plan = registry.make_plan(place.found(**found), DIRECTORY, record)
    assert plan.action == action
    if action == 'restart':
        assert plan.restart_keys == ('config_path',)
        assert plan.reasons[0].startswith(found.get('cri_error', '')) and plan.reasons[0].endswith('only when it starts.')
        assert plan == registry.predicted_plan(place.found(**found), DIRECTORY)


def test_foreseen_for_a_key_that_is_not_written_yet(place: Place) -> None:
    assert registry.predicted_plan(place.found(), DIRECTORY) == Plan()
    assert registry.predicted_plan(place.found(**RUNS, cri_config_path=DIRECTORY), DIRECTORY) == Plan()
    assert registry.predicted_plan(place.found(**RUNS, cri_config_path=''), DIRECTORY).action == 'restart'


BLOCKED: list[tuple[dict[str, t.Any], list[str]]] = [
    ({}, []),
    ({'dependents': ('kubelet.service',)}, ['dependents']),
    ({'binary_replaced': True}, ['binary_replaced']),
    ({'kill_mode': 'mixed'}, ['kill_mode']),
    ({'unit': ''}, ['no_unit']),
]


@pytest.mark.parametrize('changes, names', BLOCKED)
def test_blockers(place: Place, changes: dict[str, t.Any], names: list[str]) -> None:
    found = _service_facts.blockers(place.found(**{**RUNS, **changes}), 'containerd')
    assert list(found) == names
    assert all(text.endswith('.') for text in found.values())


@given(st.lists(st.sampled_from(['+a', '+b', '-a', '-b']), max_size=8))
def test_whoever_comes_and_goes_in_whatever_order(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    place = Place(tmp_path_factory.mktemp('law'))
    place.write(THEIRS)
    owners: set[str] = set()
    for step in steps:
        if step[0] == '+':
            owners.add(step[1])
            place.present(step[1])
        else:
            owners.discard(step[1])
            place.absent(step[1])
        assert set(place.record().owners) == owners
        assert (place.in_file() == DIRECTORY) is bool(owners)
        if not owners:
            assert place.text() == THEIRS


def test_nothing_is_restarted_for_a_cri_that_is_dead_already(place: Place) -> None:
    found = place.found(**RUNS, cri_error='It has no CRI.')
    assert registry.why_not(found, DIRECTORY, ours=False) == 'It has no CRI. config_path is left out until it answers.'
    assert registry.why_not(found, DIRECTORY, ours=True) == ''


def test_what_a_killed_run_left_beside_the_file_goes(place: Place) -> None:
    place.write(THEIRS)
    left = place.path.parent / '.config.toml.quickpull-999999999-x~'
    left.write_text('password')
    place.present()
    assert not left.exists()
