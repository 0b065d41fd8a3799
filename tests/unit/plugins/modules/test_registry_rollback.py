# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""daemon.json and its record put back under a Docker that runs, and what the module says of it."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.quickpull.registry.plugins.module_utils import _daemon_config, _docker_apply, _journal, _tombstones
from ansible_collections.quickpull.registry.plugins.module_utils._docker_host import DockerHost
from ansible_collections.quickpull.registry.plugins.module_utils._engines import docker
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._rollback_engines import Hosts
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.modules import registry_rollback
from ansible_collections.quickpull.registry.tests.unit.plugins.fake_module import FakeModule

MIRROR = 'http://m.lan:5000'
SECRET = 'http://u:s3cret@proxy.lan:1'


class Place:
    """One daemon.json, and the Docker that reads it."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.path = root / 'etc' / 'daemon.json'
        self.state = State(str(root / 'state'))
        self.in_force: tuple[str, ...] = ()
        patch.setattr(docker, 'inspect', lambda *_args, **_options: self.daemon())
        patch.setattr(_docker_apply, 'apply', lambda *_args: _docker_apply.Outcome())
        patch.delenv(_journal.ENVIRON, raising=False)
        self.patch = patch

    def daemon(self) -> docker.DockerDaemon:
        told = docker.Reported(self.in_force, (), '', '', '', False, 'graphdriver', {}, False, {})
        return docker.DockerDaemon(
            installed=True, version='28.5.2', active_state='active', main_pid=1, start_id='boot:1:1', started_at=1.0, unit='docker.service',
            config_path=str(self.path), daemon_config_path=str(self.path), reported=told,
        )  # fmt: skip

    def write(self, run: str, *mirrors: str, **more: t.Any) -> None:
        """As docker_daemon_config does, and docker_daemon_apply proves."""
        self.patch.setenv(_journal.ENVIRON, run)
        options = _daemon_config.Options(str(self.path), registry_mirrors=mirrors, validate='never', backup=False, **more)
        _daemon_config.configure(options, self.state, self.daemon(), check_mode=False)
        self.in_force = tuple(f'{mirror}/' for mirror in mirrors)

    def back(self, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        module = FakeModule(check, {'run': None, 'since': None, 'count': None, **params})
        return registry_rollback.run(t.cast('t.Any', module), self.state, Hosts(), DockerHost())

    def forget(self) -> None:
        """As docker_daemon_apply does once the daemon holds no mirror."""
        self.in_force = ()
        _tombstones.finish(self.state, str(self.path), keep_file=False)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(Path(os.path.realpath(tmp_path)), monkeypatch)


@pytest.mark.parametrize('before', [None, '{}', '{\n\t"debug": false\n}', '{"debug":false,\n "labels":[ ]}\n\n'])
def test_a_running_docker_is_made_to_forget_and_the_file_is_as_it_was(place: Place, before: str | None) -> None:
    if before is not None:
        place.path.parent.mkdir()
        place.path.write_text(before)
        place.path.chmod(0o640)
    place.write('run', MIRROR)
    foreseen, done = place.back(check=True), place.back()
    assert {**foreseen, 'engines': {}} == {**done, 'engines': {}}
    assert foreseen['engines']['docker']['action'] == 'reload'
    assert done['changed']
    assert done['put_back'] == [{'path': str(place.path), 'action': 'removed' if before is None else 'restored'}]
    assert json.loads(place.path.read_text())['registry-mirrors'] == []
    again = place.back()
    assert (again['changed'], again['put_back'], again['left']) == (False, [], [])
    place.forget()
    assert (place.path.read_text() if place.path.exists() else None) == before
    assert place.path.parent.exists() == (before is not None)
    assert before is None or place.path.stat().st_mode & 0o777 == 0o640
    assert not os.path.exists(place.state.ownership(str(place.path)))
    assert not place.back()['changed']


def test_back_to_an_earlier_run_and_the_record_with_it(place: Place) -> None:
    place.write('one', MIRROR)
    first, record = place.path.read_bytes(), Path(place.state.ownership(str(place.path))).read_bytes()
    place.write('two', 'http://other.lan', settings={'mtu': 1400})
    done = place.back()
    assert done['rolled_back'] == ['two']
    assert (place.path.read_bytes(), Path(place.state.ownership(str(place.path))).read_bytes()) == (first, record)
    assert not place.back()['changed']
    place.back(count=2)
    place.forget()
    assert not place.path.exists()


def test_what_somebody_added_stays(place: Place) -> None:
    place.write('run', MIRROR)
    value = json.loads(place.path.read_text())
    place.path.write_text(json.dumps({**value, 'registry-mirrors': [MIRROR, 'http://theirs.lan'], 'debug': True}))
    done = place.back()
    assert json.loads(place.path.read_text()) == {'registry-mirrors': ['http://theirs.lan'], 'debug': True}
    assert done['put_back'] == [{'path': str(place.path), 'action': 'merged'}]
    assert [one['path'] for one in done['left']] == [str(place.path)]
    merged = place.path.read_bytes()
    again = place.back()
    assert not again['changed']
    assert again['left']
    assert place.path.read_bytes() == merged


def test_no_secret_is_shown(place: Place) -> None:
    place.write('run', MIRROR, proxies={'http_proxy': SECRET})
    told = json.dumps([place.back(check=True), place.back()])
    assert 's3cret' not in told
    assert 'xxxxx:xxxxx' in told


def test_nothing_to_take_back(place: Place) -> None:
    assert place.back()['rolled_back'] == []
    place.write('run', MIRROR)
    for params in ({'count': 0}, {'run': 'unknown'}, {'since': '2999-01-01T00:00:00Z'}):
        told = place.back(**params)
        assert (told['changed'], told['rolled_back'], told['engines']) == (False, [], {})
        assert [(one['id'], one['files'], one['rolled_back']) for one in told['runs']] == [('run', 1, False)]
    for params in ({'count': -1}, {'since': 'yesterday'}):
        with pytest.raises(ConfigError, match=next(iter(params))):
            place.back(**params)


def test_the_documentation_names_just_what_is_returned(place: Place) -> None:
    place.write('run', MIRROR)
    told = place.back()
    assert told.keys() - {'changed', 'diff'} == yaml.safe_load(registry_rollback.RETURN).keys()
