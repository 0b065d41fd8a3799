# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module on a folder, with a CRI-O that is what we say."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _snapshot
from ansible_collections.quickpull.registry.plugins.module_utils._engines import crio
from ansible_collections.quickpull.registry.plugins.module_utils._engines.crio import Crio, Host, Setting
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.modules import crio_conf
from ansible_collections.quickpull.registry.tests.unit.plugins.fake_module import FakeModule

AUTH = '/etc/crio/auth.json'


class Place:
    """Where the drop-in goes; CRI-O reads it when it is looked at, and runs with ``in_force``."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = root / 'crio.conf.d'
        self.folder.mkdir()
        self.path = self.folder / '50-quickpull.conf'
        self.state = State(str(root / 'state'))
        self.crio = Crio(True, '1.34.1', unit='crio.service', kill_mode='process', active_state='active', main_pid=7, config_dir=str(self.folder))
        self.in_force = ''
        monkeypatch.setattr(crio, 'inspect', lambda _host: self.found())

    def found(self) -> Crio:
        said = crio.settings_in(self.crio, Host()).get('image', {}).get('global_auth_file', Setting())
        return dataclasses.replace(self.crio, auth_file=said, auth_file_in_force=self.in_force if self.crio.running else None)

    def run(self, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        self.module = FakeModule(check, {'global_auth_file': None, 'owner': 'a', 'state': 'present', **params})
        return crio_conf.run(t.cast(t.Any, self.module), Host(), self.state)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_written_once_and_taken_away(place: Place) -> None:
    foreseen, done, again = (place.run(check, global_auth_file=AUTH) for check in (True, False, False))
    assert {key: value for key, value in foreseen.items() if key != 'plan'} == {key: value for key, value in done.items() if key != 'plan'}
    assert [(one['changed'], one['plan']['action'], one['plan']['restart_keys']) for one in (foreseen, done, again)] == [
        (True, 'restart', ['global_auth_file']), (True, 'restart', ['global_auth_file']), (False, 'restart', ['global_auth_file']),
    ]  # fmt: skip
    place.in_force = AUTH
    assert place.run(global_auth_file=AUTH)['plan']['action'] == 'none'
    _snapshot.drop(place.state, 'crio-start', 'proved')
    assert [place.run(check, state='absent')['plan']['action'] for check in (True, False, False)] == ['restart'] * 3
    assert list(place.folder.iterdir()) == []


def test_what_others_say_stays(place: Place) -> None:
    (place.folder / '90-site.conf').write_text('[crio.image]\nglobal_auth_file = "/site"\n')
    found = place.run(global_auth_file=AUTH)
    assert (found['changed'], found['plan']['action'], len(found['left_out'])) == (False, 'none', 1)
    assert place.module.warnings == found['left_out']


def test_a_host_without_crio_is_told(place: Place) -> None:
    place.crio = dataclasses.replace(place.crio, installed=False, active_state='inactive', main_pid=0)
    found = place.run(global_auth_file=AUTH)
    assert (found['changed'], found['plan']['action']) == (True, 'none')
    assert 'There is no CRI-O' in place.module.warnings[0]
    assert _snapshot.load(place.state, 'crio-start', 'proved') is None
