# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module on a folder, with a containerd that is what we say; what a real one makes of it is tried on the lab."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _containerd_config, _detached, _owned_files, _snapshot, _systemd
from ansible_collections.quickpull.registry.plugins.module_utils import _containerd_migrate_service as migrating
from ansible_collections.quickpull.registry.plugins.module_utils._engines import containerd
from ansible_collections.quickpull.registry.plugins.module_utils._engines.containerd import Containerd
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.modules import containerd_migrate as module
from ansible_collections.quickpull.registry.tests.unit.plugins.small_containerd import dump_of, printed

TABLES = 'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry.mirrors."quay.io"]\nendpoint = ["https://a.lan"]\n'


class Place:
    """A config.toml with such tables."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config, self.certs, self.state = root / 'config.toml', root / 'certs.d', State(str(root / 'state'))
        self.config.write_text(TABLES)
        self.facts: dict[str, t.Any] = {'version': '1.7.24', 'unit': 'containerd.service', 'kill_mode': 'process'}
        self.installed = True
        self.outcome: dict[str, t.Any] = {'proved': True}
        self.host = containerd.Host(run=lambda command, _timeout: _systemd.Result(0, printed(dump_of(Path(command[2]).read_bytes()))))
        monkeypatch.setattr(containerd, 'inspect', lambda _host: self.found())
        monkeypatch.setattr(_detached, 'run_detached', lambda _work: self.outcome)

    def found(self) -> Containerd:
        dump = dump_of(self.config.read_bytes())
        known = {'binary': '/usr/bin/containerd', 'config_path': str(self.config), 'dump': dump, 'registry': _containerd_config.registry_of(dump)}
        return Containerd(self.installed, **{**known, **self.facts})

    def running(self) -> None:
        self.facts.update(active_state='active', main_pid=7, start_id='2')

    def run(self, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        return module.run({'directory': str(self.certs), 'restart': 'auto', 'timeout': 60, **params}, check, self.host, self.state)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_one_that_does_not_run_is_written_for(place: Place) -> None:
    foreseen = place.run(check=True)
    assert place.config.read_text() == TABLES and not place.certs.exists()
    done = place.run()
    assert foreseen == done
    assert (done['changed'], done['action'], done['endpoints']) == (True, 'none', {'quay.io': ['https://a.lan']})
    assert [one['after_header'] for one in done['diff']] == [str(place.certs / 'quay.io' / 'hosts.toml'), str(place.config)]
    assert 'mirrors' not in place.config.read_text()
    assert _snapshot.load(place.state, 'containerd-migration', 'proved') is None
    again = place.run()
    assert (again['changed'], again['files'], again['diff']) == (False, [], [])


def test_one_that_runs_is_restarted_and_an_interrupted_run_is_finished(place: Place) -> None:
    place.running()
    done = place.run()
    assert (done['action'], done['proved']) == ('restart', True)
    # Nothing was really restarted, so what was put aside is still there, as after a run that died.
    assert (place.run(check=True)['changed'], place.run()['action']) == (True, 'restart')
    place.outcome = {'failed': 'It did not come up.'}
    with pytest.raises(ConfigError, match='did not come up'):
        place.run()


def test_one_that_came_into_force_by_itself_is_left(place: Place) -> None:
    place.running()
    place.run()
    place.facts.update(started_at=4e9, cri_config_path=str(place.certs))
    assert place.run(check=True)['changed'] is False
    assert place.run()['changed'] is False
    assert _snapshot.load(place.state, 'containerd-migration', 'proved') is None


def test_what_comes_back_is_what_was_there_last(place: Place) -> None:
    place.running()
    place.run()
    again = '# new\n' + TABLES
    place.config.write_text(again)
    place.run()
    service = migrating.MigrationService(place.state, str(place.certs), place.host)
    service.put_back()
    assert place.config.read_text() == again


def test_a_file_that_is_not_utf_8_is_named(place: Place) -> None:
    found = place.found()
    place.config.write_bytes(TABLES.encode() + b'# \xff\n')
    with pytest.raises(ConfigError, match='not UTF-8'):
        migrating.plan(found, str(place.certs), place.host)


def test_what_somebody_edited_since_is_not_put_back(place: Place) -> None:
    place.running()
    place.run()
    service = migrating.MigrationService(place.state, str(place.certs), place.host)
    edited = place.config.read_text() + '# mine\n'
    place.config.write_text(edited)
    assert service.put_back() == []
    assert place.config.read_text() == edited


def test_put_back_as_it_was(place: Place) -> None:
    place.running()
    place.run()
    service = migrating.MigrationService(place.state, str(place.certs), place.host)
    assert str(place.config) in service.put_back()
    assert place.config.read_text() == TABLES and not place.certs.exists()


def test_one_that_was_edited_while_containerd_was_asked_is_not_written(place: Place) -> None:
    found = place.found()
    migration = migrating.plan(found, str(place.certs), place.host)
    assert migration is not None
    place.config.write_text(TABLES + '# mine\n')
    with pytest.raises(ConfigError):
        migrating.write(place.state, found, migration, place.host)
    assert place.config.read_text() == TABLES + '# mine\n' and not place.certs.exists()
    assert _snapshot.load(place.state, 'containerd-migration', 'proved') is None


def test_where_it_may_not_be_restarted_nothing_is_written(place: Place) -> None:
    place.running()
    place.facts['kill_mode'] = 'mixed'
    told = place.run()
    assert (told['changed'], place.config.read_text(), place.certs.exists()) == (False, TABLES, False)
    assert 'KillMode=mixed' in told['pending'][0]


def test_what_is_in_the_way_is_named(place: Place) -> None:
    theirs = place.certs / 'quay.io' / 'hosts.toml'
    theirs.parent.mkdir(parents=True)
    theirs.write_text('# theirs\n')
    with pytest.raises(ConfigError, match='is there already'):
        place.run()
    theirs.unlink()
    place.config.write_text(TABLES + '[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/elsewhere"\n')
    with pytest.raises(ConfigError, match='beside the tables'):
        place.run()
    place.facts.update(registry=None, config_error='It is broken.')
    with pytest.raises(ConfigError, match=r'It is broken\.'):
        place.run()


def test_a_host_without_containerd(place: Place) -> None:
    place.installed = False
    assert not place.run()['changed']


def test_a_file_of_this_collection_stays_and_counts(place: Place) -> None:
    ours = place.certs / 'quay.io/hosts.toml'
    ours.parent.mkdir(parents=True)
    text = f'{_owned_files.FIRST_LINE}\nserver = "https://quay.io"\n'
    ours.write_text(text)
    done = place.run()
    assert (done['changed'], done['files'], done['kept']) == (True, [], [str(ours)])
    assert ours.read_text() == text and 'mirrors' not in place.config.read_text()
