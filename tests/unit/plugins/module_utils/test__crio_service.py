# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CRI-O needs, how it is proved, and what is put back: with files of our own and a CRI-O that is what we say."""

from __future__ import annotations

import dataclasses
import os
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _crio_conf, _crio_registries, _owned_files, _service_facts, _snapshot
from ansible_collections.quickpull.registry.plugins.module_utils._crio_service import CrioService, keep_for_start
from ansible_collections.quickpull.registry.plugins.module_utils._engines import crio
from ansible_collections.quickpull.registry.plugins.module_utils._engines.crio import Crio, Host, Setting
from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DROPIN_MARKER
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import Content
from ansible_collections.quickpull.registry.plugins.module_utils._plan import Plan
from ansible_collections.quickpull.registry.plugins.module_utils._registries_plan import KIND
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.module_utils._systemd import Result

APPLIED = 'time="x" level=info msg="Applied new registry configuration: []"\n'
REFUSED = 'time="x" level=error msg="Unable to reload configuration: system registries reload failed: toml: http://u:s3cret@x"\n'


class Place:
    """Drop-ins in a folder, and a CRI-O that runs since the year 2030 unless it is said otherwise."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.state = root, State(str(root / 'state'))
        self.folder = root / 'registries.conf.d'
        self.folder.mkdir()
        self.journal = ''
        self.found = Crio(
            True, '1.34.1', unit='crio.service', kill_mode='process', active_state='active', main_pid=7, start_id='2', started_at=2e9,
            config_dir=str(root / 'crio.conf.d'), auth_file_in_force='',
        )  # fmt: skip
        self.service = CrioService(self.state, Host(run=lambda _command, _timeout: Result(0, self.journal)))
        monkeypatch.setattr(crio, 'inspect', lambda _host: self.found)
        monkeypatch.setattr(_service_facts, 'start_id', lambda _host, _unit: self.found.start_id)

    def now(self, **changes: t.Any) -> None:
        self.found = dataclasses.replace(self.found, **changes)

    def write(self, text: str | None, name: str = '500.conf') -> None:
        """As registries_conf does."""
        path = str(self.folder / name)
        _crio_registries.keep_proved(self.state, self.found, [path])
        record = _owned_files.load(self.state, KIND)
        _owned_files.apply(self.state, KIND, _owned_files.plan(record, 'a', {path: Content(text) if text else None}))

    @property
    def action(self) -> str:
        return self.service.plan().action


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_a_reload_is_needed_until_it_is_proved(place: Place) -> None:
    assert place.service.plan() == Plan()
    place.now(started_at=1.0)
    place.write('a')
    assert place.service.plan() == _crio_registries.predicted_plan(place.found)
    place.service.read()
    assert place.action == 'none'
    place.write('b')
    assert place.action == 'reload'
    place.service.read()
    place.write(None)
    assert place.action == 'reload'
    place.service.read()
    assert place.action == 'none'
    assert not Path(place.state.applied('crio')).exists()


def test_a_process_that_was_started_since_has_read_them(place: Place) -> None:
    place.write('a')
    assert place.action == 'none'
    place.now(started_at=1.0)
    assert place.action == 'reload'
    place.service.read()
    place.now(start_id='3')
    assert place.action == 'reload', 'another start, of which nothing is known'
    place.now(started_at=2e9)
    assert place.action == 'none'


@pytest.mark.parametrize('read', [True, False])
def test_what_was_taken_away_from_a_process_that_has_it(place: Place, read: bool) -> None:
    place.write('a')
    if read:
        place.service.read()
    place.now(start_id='3', started_at=time.time() - 5)
    os.utime(place.folder, (1, 1))
    place.write(None)
    assert place.action == 'reload'
    place.now(started_at=2e9)
    assert place.action == 'none'


def test_one_that_does_not_run_needs_nothing(place: Place) -> None:
    place.now(active_state='inactive', main_pid=0, start_id=None, started_at=None)
    place.write('a')
    assert place.service.plan() == _crio_registries.predicted_plan(place.found) == Plan()
    assert _snapshot.load(place.state, 'crio', 'proved') is None


@pytest.mark.parametrize('text', ['[', '{"format": 9}', '{"format": 1}', '[]', '{"format": 1, "start": "2", "files": []}'])
def test_a_record_that_cannot_be_read_costs_a_reload(place: Place, text: str) -> None:
    place.now(started_at=1.0)
    place.write('a')
    place.service.read()
    Path(place.state.applied('crio')).write_text(text)
    assert place.action == 'reload'


def test_what_the_log_says(place: Place) -> None:
    assert place.service.reloaded(0) is None
    place.journal = APPLIED
    assert place.service.reloaded(0) == ''
    place.journal = APPLIED + 'time="x" level=error msg="Unable to reload configuration: unable to reload apparmor_profile: x"\n'
    assert place.service.reloaded(0) == '', 'what comes behind the registries is none of ours'
    place.journal = REFUSED
    assert 'toml: http://' in (place.service.reloaded(0) or '')
    assert 's3cret' not in (place.service.reloaded(0) or '')


def test_put_back_as_it_was_read_last(place: Place) -> None:
    place.now(started_at=1.0)
    place.write('a')
    place.service.read()
    text = (place.folder / '500.conf').read_text()
    place.write('b')
    place.write('c')
    assert place.service.put_back_reloaded() == [str(place.folder / '500.conf')]
    assert (place.folder / '500.conf').read_text() == text
    assert place.service.put_back_reloaded() == []


def test_what_came_into_force_by_a_start_of_its_own_is_what_is_put_back(place: Place) -> None:
    place.now(started_at=1.0)
    place.write('a')
    place.service.read()
    place.write('b')
    place.now(start_id='3', started_at=2e9)
    text = (place.folder / '500.conf').read_text()
    place.now(started_at=2e9)
    place.write('c')
    assert place.service.put_back_reloaded() == [str(place.folder / '500.conf')]
    assert (place.folder / '500.conf').read_text() == text
    drop_in = place.root / 'x.conf'
    for value in ('1', '2'):
        keep_for_start(place.state, place.service.host, place.found, [str(drop_in)])
        drop_in.write_text(value)
    assert place.service.put_back() == [str(drop_in)]
    assert drop_in.read_text() == '1'


def test_whether_its_log_is_kept_at_all(place: Place) -> None:
    assert not place.service.heard(0)
    place.journal = 'level=info msg="Reloading configuration"\n'
    assert place.service.heard(0) and place.service.reloaded(0) is None


def test_proxies_and_logins_need_a_start_and_mirrors_do_not(place: Place) -> None:
    drop_in = str(Path(place.found.config_dir) / '50-quickpull.conf')
    place.now(started_at=1.0, auth_file=Setting('/auth.json', drop_in))
    place.write('a')
    plan = place.service.plan()
    assert (plan.action, plan.restart_keys, plan.reload_keys, plan.blockers) == ('restart', ('global_auth_file',), ('registries',), ())
    assert place.service.failures('1') == ['The running CRI-O has global_auth_file = "", not "/auth.json", and reads it when it starts alone.']
    place.service.read()
    assert place.service.plan().reload_keys == ()
    place.now(auth_file_in_force='/auth.json')
    assert place.service.plan() == Plan()
    place.now(auth_file=Setting('/theirs', '/etc/crio/crio.conf'))
    assert place.service.plan() == Plan(), 'what others changed and did not apply is theirs'
    _snapshot.save_once(place.state, 'crio-start', 'proved', [drop_in])
    assert place.service.plan().restart_keys == ('global_auth_file',)
    place.now(auth_file_in_force='/theirs')
    place.service.proved()
    assert _snapshot.load(place.state, 'crio-start', 'proved') is None


FAILURES: list[tuple[dict[str, t.Any], list[str]]] = [
    ({}, []),
    ({'start_id': '1'}, ['It has not started.']),
    ({'active_state': 'failed'}, ['It has not started.']),
    ({'error': 'It does not answer.'}, ['It does not answer.']),
    ({'environ': {DROPIN_MARKER: 'HTTP_PROXY', 'HTTP_PROXY': 'x'}}, ['The running daemon still has HTTP_PROXY, which the drop-in no longer sets.']),
]


@pytest.mark.parametrize('changes, told', FAILURES)
def test_a_start_is_proved_by_its_own_word(place: Place, changes: dict[str, t.Any], told: list[str]) -> None:
    place.now(**changes)
    assert place.service.failures('1') == told
    assert place.service.alive() == (told in ([], FAILURES[1][1], FAILURES[4][1]) and place.found.running)


def test_the_last_words_of_one_that_failed(place: Place) -> None:
    assert place.service.says(0) == ''
    place.journal = 'level=info msg=x\nlevel=fatal msg="bad http://u:s3cret@h"\nStopped.\n'
    assert place.service.says(0).startswith('level=fatal msg="bad http://')
    assert 's3cret' not in place.service.says(0)


AUTH = '/etc/crio/auth.json'


def plan_of(place: Place, wanted: str, theirs: str = '', **changes: t.Any) -> _crio_conf.Wanted:
    folder = Path(place.found.config_dir)
    folder.mkdir(exist_ok=True)
    if theirs:
        (folder / '10-site.conf').write_text(theirs)
    return _crio_conf.plan({}, 'a', dataclasses.replace(place.found, **changes), wanted, Host())


def test_the_drop_in_with_the_file_of_logins(place: Place) -> None:
    found = plan_of(place, AUTH)
    assert (found.path, found.left) == (f'{place.found.config_dir}/50-quickpull.conf', '')
    assert found.files.changes[0].texts()[1].endswith(f'[crio.image]\nglobal_auth_file = "{AUTH}"\n')
    assert plan_of(place, '').files.changes == ()


def test_what_others_say_is_theirs(place: Place) -> None:
    assert '10-site.conf already sets' in plan_of(place, AUTH, '[crio.image]\nglobal_auth_file = "/site"\n').left
    same = plan_of(place, AUTH, f'[crio.image]\nglobal_auth_file = "{AUTH}"\n')
    assert (same.left, same.files.changes) == ('', ())
    assert 'starts CRI-O with' in plan_of(place, AUTH, '[crio.image]\n', auth_file=Setting('/flag')).left
    with pytest.raises(ConfigError, match='no absolute path'):
        plan_of(place, 'auth.json')
    with pytest.raises(ConfigError, match=r'10-site\.conf'):
        plan_of(place, AUTH, '[')
    assert plan_of(place, '', '[').files.changes == ()
