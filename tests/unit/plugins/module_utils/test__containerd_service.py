# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _containerd_registry, _service_facts, _snapshot, _systemd
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_config import Registry
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_registry import Record
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_service import ContainerdService
from ansible_collections.quickpull.registry.plugins.module_utils._engines import containerd
from ansible_collections.quickpull.registry.plugins.module_utils._engines.containerd import Containerd, Host
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._plan import Plan
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

DIRECTORY = '/etc/containerd/certs.d'
BEFORE = 'version = 2\n'
KEY = f'[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "{DIRECTORY}"\n'


class Place:
    """A config.toml with our key in it, its record, and a containerd of our choice."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = root / 'config.toml'
        self.path.write_text(BEFORE + KEY)
        self.state = State(str(root / 'state'))
        self.record = Record(str(self.path), ('a',), DIRECTORY, BEFORE, BEFORE + KEY)
        self.journal = ''
        self.service = ContainerdService(self.state, host=Host(run=self.run))
        self.found = Containerd(
            True, '1.7.27', unit='containerd.service', kill_mode='process', active_state='active', main_pid=7, start_id='2', started_at=4e9,
            config_path=str(self.path), registry=Registry(config_path=DIRECTORY), cri_config_path=DIRECTORY,
        )  # fmt: skip
        monkeypatch.setattr(containerd, 'inspect', lambda _host: self.found)
        monkeypatch.setattr(_service_facts, 'start_id', lambda _host, _unit: self.found.start_id)

    def run(self, command: t.Sequence[str], _timeout: float) -> _systemd.Result:
        assert command[0] == 'journalctl'
        return _systemd.Result(0, self.journal)

    def save(self) -> None:
        _containerd_registry.save(self.state, self.record)

    def now(self, **changes: t.Any) -> None:
        self.found = dataclasses.replace(self.found, **changes)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_plan_is_about_our_key_alone(place: Place) -> None:
    place.now(cri_config_path='')
    assert place.service.plan() == Plan()
    place.save()
    plan = place.service.plan()
    assert (plan.action, plan.restart_keys, plan.blockers) == ('restart', ('config_path',), ())
    place.now(cri_config_path=DIRECTORY)
    assert place.service.plan() == Plan()


FAILURES: list[tuple[dict[str, t.Any], str]] = [
    ({}, ''),
    ({'cri_config_path': f'/x:{DIRECTORY}/'}, ''),
    ({'cri_config_path': None}, ''),
    ({'start_id': '1'}, 'It has not started.'),
    ({'start_id': None}, 'It has not started.'),
    ({'active_state': 'activating'}, 'It has not started.'),
    ({'main_pid': 0}, 'It has not started.'),
    ({'cri_error': 'There is no CRI.'}, 'There is no CRI.'),
    ({'cri_config_path': '/x'}, f'Its CRI has config_path = "/x" in force, not "{DIRECTORY}".'),
    ({'cri_config_path': None, 'registry': Registry(config_path='/x')}, f'no longer holds config_path = "{DIRECTORY}".'),
    ({'cri_config_path': None, 'registry': None, 'config_error': 'It says no.'}, 'It says no.'),
]


@pytest.mark.parametrize('changes, because', FAILURES)
def test_failures(place: Place, changes: dict[str, t.Any], because: str) -> None:
    place.save()
    place.now(**changes)
    found = place.service.failures('1')
    assert len(found) == bool(because)
    assert because in ' '.join(found)


@pytest.mark.parametrize('changes, alive', [({}, True), ({'cri_error': 'x'}, False), ({'active_state': 'failed'}, False), ({'cri_config_path': '/x'}, True)])
def test_alive(place: Place, changes: dict[str, t.Any], alive: bool) -> None:
    place.now(**changes)
    assert place.service.alive() is alive


def test_what_was_proved_needs_no_restart_where_the_cri_does_not_tell(place: Place) -> None:
    place.save()
    place.now(cri_config_path=None, started_at=1.0)
    assert place.service.plan().action == 'restart'
    place.service.proved()
    assert place.service.plan() == Plan()
    place.now(start_id='3')
    assert place.service.plan().action == 'restart'


def test_proof_of_nothing_leaves_no_record(place: Place) -> None:
    place.service.proved()
    assert not os.path.exists(place.state.files('containerd-config'))


def test_put_back(place: Place) -> None:
    place.save()
    assert place.service.put_back() == [str(place.path)]
    assert place.path.read_text() == BEFORE
    assert place.service.put_back() == []
    assert _containerd_registry.load(place.state) == Record()


def test_proxies_that_were_not_proved_are_put_back_too(place: Place, tmp_path: Path) -> None:
    drop_in = tmp_path / 'proxy.conf'
    drop_in.write_text('old')
    for text in ('new', 'newer'):
        _snapshot.save_once(place.state, containerd.ENGINE, _snapshot.PROVED, [str(drop_in)])
        drop_in.write_text(text)
    assert place.service.put_back() == [str(drop_in)]
    assert drop_in.read_text() == 'old'
    _snapshot.save_once(place.state, containerd.ENGINE, _snapshot.PROVED, [str(drop_in)])
    place.service.proved()
    assert place.service.put_back() == []


def test_put_back_leaves_what_others_wrote_since(place: Place) -> None:
    place.save()
    place.path.write_text(BEFORE + '# theirs\n' + KEY + '[debug]\n')
    assert place.service.put_back() == [str(place.path)]
    assert [line for line in ('# theirs', '[debug]', 'version = 2') if line not in place.path.read_text()] == []
    assert 'config_path' not in place.path.read_text()


@pytest.mark.parametrize('ours, text', [(False, BEFORE + KEY), (True, BEFORE)])
def test_nothing_of_ours_to_put_back(place: Place, ours: bool, text: str) -> None:
    if ours:
        place.save()
    place.path.write_text(text)
    assert place.service.put_back() == []
    assert place.path.read_text() == text


def test_a_file_that_cannot_be_put_back_is_an_error(place: Place) -> None:
    place.save()
    place.path.write_text('[broken')
    with pytest.raises(ConfigError, match=r'config\.toml is not valid TOML: line 1'):
        place.service.put_back()


SAID = [
    ('', ''),
    ('level=info msg=starting\n', ''),
    ('level=fatal msg=old\nlevel=warning msg="failed to load plugin" error="x"\nlevel=info msg=done\n', 'level=warning msg="failed to load plugin" error="x"'),
    ('containerd: invalid http://user:s3cret@p:1\n', 'containerd: invalid http://xxxxx:xxxxx@p:1'),
    ('level=FATAL ' + 'x' * 1000, 'level=FATAL ' + 'x' * 588),
]


@pytest.mark.parametrize('journal, said', SAID)
def test_what_it_said_last_of_a_failure(place: Place, journal: str, said: str) -> None:
    place.journal = journal
    assert place.service.says(1.0) == said
