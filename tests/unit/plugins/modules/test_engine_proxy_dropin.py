# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.quickpull.registry.plugins.module_utils import _dropin, _in_force, _snapshot, _systemd
from ansible_collections.quickpull.registry.plugins.module_utils._engines import containerd, docker
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._plan import DROPIN, Plan, as_dict
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.modules import engine_proxy_dropin
from ansible_collections.quickpull.registry.tests.unit.plugins.fake_module import FakeModule

LATER = 4_000_000_000.0
PROXY = 'http://user:s3cret@proxy.lan:3128'


DEFAULTS: dict[str, t.Any] = {'engine': 'docker', 'path': None, 'proxies': None, 'state': 'present'}


class Place:
    """A folder for the drop-in, a daemon of our choice, and the module's ``run``."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = root / 'docker.service.d' / _dropin.FILE_NAME
        self.state = State(str(root / 'state'))
        self.config = root / 'docker' / 'daemon.json'
        self.paths: dict[str, t.Any] = {'config_path': str(self.config), 'daemon_config_path': str(self.config)}
        self.daemon = docker.DockerDaemon(installed=True, version='20.10.24', unit='docker.service', **self.paths)
        self.host = docker.Host(root=str(root))
        self.warnings: list[str] = []
        self.no_log: set[str] = set()
        monkeypatch.setattr(docker, 'inspect', lambda **_options: self.daemon)

    def run(self, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        module = FakeModule(check, {**DEFAULTS, 'path': str(self.path), **params})
        result = engine_proxy_dropin.run(t.cast(t.Any, module), engine_proxy_dropin.Hosts(docker=self.host), self.state)
        self.warnings = module.warnings
        self.no_log = module.no_log_values
        return result

    def running(self, environ: dict[str, str] | None = None, *, version: str = '20.10.24', containers: int = 0) -> None:
        self.daemon = docker.DockerDaemon(
            installed=True, version=version, unit='docker.service', active_state='active', main_pid=7, start_id='boot:1:7', started_at=LATER,
            reported=docker.reported({'LiveRestoreEnabled': False}), containers_running=containers, environ=environ or {}, **self.paths,
        )

    def write(self, **config: t.Any) -> None:
        self.config.parent.mkdir(exist_ok=True)
        self.config.write_text(json.dumps(config))

    def proved(self) -> dict[str, bytes | None]:
        """The ``proved`` snapshot: content by path."""
        snapshot = _snapshot.load(self.state, 'docker', 'proved')
        return {entry.path: entry.data for entry in snapshot.files} if snapshot else {}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def proxies(http: str | None = None, https: str | None = None, no_proxy: list[str] | None = None) -> dict[str, t.Any]:
    return {'http_proxy': http, 'https_proxy': https, 'no_proxy': no_proxy}


def test_written_once_and_taken_away_with_its_directory(place: Place) -> None:
    first = place.run(proxies=proxies(https='http://p:1', no_proxy=['a']))
    assert (first['changed'], first['daemon_reload'], first['plan']) == (True, True, as_dict(Plan()))
    assert first['variables'] == {'HTTPS_PROXY': 'http://p:1', 'NO_PROXY': 'a'}
    assert place.path.stat().st_mode & 0o777 == 0o644
    assert not place.run(proxies=proxies(https='http://p:1', no_proxy=['a']))['changed']
    gone = place.run(state='absent')
    assert (gone['changed'], gone['variables']) == (True, {})
    assert not place.path.parent.exists()
    assert not place.run(state='absent')['changed']


def test_a_directory_that_was_there_stays(place: Place) -> None:
    place.path.parent.mkdir()
    place.run(proxies=proxies(https='http://p:1'))
    place.run(proxies={})
    assert list(place.path.parent.iterdir()) == []


def test_our_directory_stays_when_others_moved_in(place: Place) -> None:
    place.run(proxies=proxies(https='http://p:1'))
    place.run(proxies=proxies(https='http://p:2'))
    other = place.path.parent / 'other.conf'
    other.write_text('')
    place.run(state='absent')
    assert list(place.path.parent.iterdir()) == [other]


@pytest.mark.parametrize('given', [{'proxies': proxies(https='http://p:1')}, {'state': 'absent'}])
def test_check_mode_says_the_same_and_writes_nothing(place: Place, given: dict[str, t.Any]) -> None:
    if 'state' in given:
        place.run(proxies=proxies(https='http://p:2'))
    before = place.path.read_bytes() if place.path.exists() else None
    foreseen = place.run(check=True, **given)
    assert (place.path.read_bytes() if place.path.exists() else None) == before
    assert place.run(**given) == foreseen


def test_check_mode_makes_no_state(place: Place) -> None:
    place.run(check=True, proxies=proxies(https='http://p:1'))
    assert not Path(place.state.root).exists()


def test_a_password_is_private_and_shown_nowhere(place: Place) -> None:
    found = place.run(proxies=proxies(https='http://p:1'))
    found = place.run(proxies=proxies(https=PROXY))
    assert place.path.stat().st_mode & 0o777 == 0o600
    assert 's3cret' in place.path.read_text()
    assert 's3cret' not in json.dumps(found)
    assert place.no_log == {PROXY}
    changed = place.run(proxies=proxies(https=PROXY.replace('s3cret', 'n3w')))
    assert changed['changed']
    assert 'which is not shown' in changed['diff']['after']
    assert 's3cret' not in json.dumps(changed)
    place.run(proxies=proxies(https='http://p:1'))
    assert place.path.stat().st_mode & 0o777 == 0o644


def test_a_mode_that_shows_a_password_is_put_right(place: Place) -> None:
    place.run(proxies=proxies(https=PROXY))
    place.path.chmod(0o644)
    assert place.run(proxies=proxies(https=PROXY))['changed']
    assert place.path.stat().st_mode & 0o777 == 0o600


def test_a_stricter_mode_of_the_operator_stays(place: Place) -> None:
    place.run(proxies=proxies(https='http://p:1'))
    place.path.chmod(0o640)
    assert not place.run(proxies=proxies(https='http://p:1'))['changed']
    place.run(proxies=proxies(https='http://p:2'))
    assert place.path.stat().st_mode & 0o777 == 0o640


def test_the_plan_is_about_the_running_daemon(place: Place) -> None:
    place.running()
    given = proxies(https=PROXY)
    assert place.run(proxies=given)['plan']['action'] == 'restart'
    again = place.run(proxies=given)
    assert (again['changed'], again['plan']['action']) == (False, 'restart')
    place.running({'HTTPS_PROXY': PROXY, docker.DROPIN_MARKER: 'HTTPS_PROXY'})
    assert place.run(proxies=given)['plan'] == as_dict(Plan())
    assert place.run(state='absent')['plan']['action'] == 'restart'
    assert place.run(state='absent')['plan']['action'] == 'restart', 'still not restarted'


def test_the_plan_tells_what_a_restart_would_cost(place: Place) -> None:
    place.write(**{'log-level': 'debug'})
    place.running(containers=2)
    foreseen = place.run(check=True, proxies=proxies(https='http://p:1'))
    plan = place.run(proxies=proxies(https='http://p:1'))['plan']
    assert plan == foreseen['plan']
    assert (plan['action'], plan['restart_keys'], plan['blockers']) == ('restart', [DROPIN], ['live_restore'])
    assert plan['blocked_because'] == ['live-restore is off and 2 container(s) run: a restart stops them.']
    assert plan['reasons'] == ['The running daemon has no HTTPS_PROXY yet.']


def test_containers_are_looked_at_for_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, t.Any]] = []

    def inspect(**options: t.Any) -> docker.DockerDaemon:
        asked.append(options)
        return place.daemon

    monkeypatch.setattr(docker, 'inspect', inspect)
    place.run(proxies=proxies(https='http://p:1'))
    assert asked[0].get('with_containers', True) is True


@pytest.mark.parametrize('text', ['{', '[]'])
def test_a_daemon_json_that_is_none_is_not_its_business(place: Place, text: str) -> None:
    place.write()
    place.config.write_text(text)
    place.running()
    assert place.run(proxies=proxies(https='http://p:1'))['plan']['restart_keys'] == [DROPIN]


def test_what_is_returned_is_documented(place: Place) -> None:
    documented = yaml.safe_load(engine_proxy_dropin.RETURN)
    found = place.run(proxies=proxies(https='http://p:1'))
    assert set(found) - {'changed', 'diff'} == set(documented)
    assert set(found['plan']) == set(documented['plan']['contains'])


def test_what_was_proved_is_put_aside_before_the_first_write(place: Place) -> None:
    place.write(debug=True)
    place.running()
    place.run(proxies=proxies(https='http://p:1'))
    assert place.proved()[str(place.path)] is None
    assert json.loads(place.proved()[str(place.config)] or b'') == {'debug': True}
    place.run(proxies=proxies(https='http://p:2'))
    assert place.proved()[str(place.path)] is None, 'the first one was never in force'


def test_a_dropin_in_force_is_what_was_proved(place: Place) -> None:
    place.running()
    place.run(proxies=proxies(https='http://p:1'))
    first = place.path.read_bytes()
    place.running({'HTTPS_PROXY': 'http://p:1', docker.DROPIN_MARKER: 'HTTPS_PROXY'})
    place.run(proxies=proxies(https='http://p:2'))
    assert place.proved()[str(place.path)] == first


def test_a_daemon_json_that_nobody_proved_is_not_called_so(place: Place) -> None:
    place.running()
    place.write(debug=True)
    place.daemon = dataclasses.replace(place.daemon, started_at=1.0)
    place.run(proxies=proxies(https='http://p:1'))
    assert place.proved()[str(place.path)] is None
    assert str(place.config) not in place.proved()


def test_writing_daemon_json_afterwards_does_not_call_the_dropin_proved(place: Place) -> None:
    place.write(debug=True)
    place.running()
    place.run(proxies=proxies(https='http://p:1'))
    paths = [str(place.config), str(place.path), place.state.ownership(str(place.config))]
    _in_force.before_write(place.state, place.daemon, str(place.config), {'debug': True}, {'debug': False}, paths)
    assert place.proved()[str(place.path)] is None
    assert json.loads(place.proved()[str(place.config)] or b'') == {'debug': True}


def test_check_mode_and_stopped_daemons_prove_nothing(place: Place) -> None:
    place.run(proxies=proxies(https='http://p:1'))
    place.running()
    place.run(check=True, proxies=proxies(https='http://p:2'))
    assert place.proved() == {}


def test_a_conflict_is_reported_and_the_rest_applied(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = _systemd.Origin('drop-in', '/etc/systemd/system/docker.service.d/user.conf')
    theirs = _systemd.UnitFiles(environment={'HTTP_PROXY': _systemd.Variable('http://u:s3cret@theirs', origin)})
    monkeypatch.setattr(_dropin, 'others', lambda *_arguments: theirs)
    found = place.run(proxies=proxies('http://ours', 'http://ours'))
    assert found['variables'] == {'HTTPS_PROXY': 'http://ours'}
    assert [(one['variable'], one['path']) for one in found['conflicts']] == [('HTTP_PROXY', origin.path)]
    assert place.warnings == [found['conflicts'][0]['because']]
    assert 's3cret' not in json.dumps(found)


def test_newer_dockers_are_pointed_to_daemon_json(place: Place) -> None:
    place.running(version='26.1.5')
    place.run(proxies=proxies(https='http://p:1'))
    assert 'daemon.json' in place.warnings[0]
    place.run(state='absent')
    assert place.warnings == []


def test_no_proxy_that_never_matches_is_told(place: Place) -> None:
    place.run(proxies=proxies(https='http://p:1', no_proxy=['a.*.b']))
    assert 'never matches' in place.warnings[0]


def test_no_daemon_is_a_warning(place: Place) -> None:
    place.daemon = docker.DockerDaemon(installed=False)
    assert place.run(proxies=proxies(https='http://p:1'))['changed']
    assert 'no Docker daemon' in place.warnings[0]


def test_the_state_before_is_kept_for_a_roll_back(place: Place) -> None:
    place.run(proxies=proxies(https='http://p:1'))
    assert json.loads(Path(place.state.snapshot('docker', 'original')).read_text())['files'] == [{'path': str(place.path), 'data': None}]


@pytest.mark.parametrize('text', ['[Service]\n', '\xff'])
def test_a_file_of_somebody_else_is_an_error(place: Place, text: str) -> None:
    place.path.parent.mkdir()
    place.path.write_bytes(text.encode('latin-1'))
    with pytest.raises(ConfigError, match=_dropin.FILE_NAME):
        place.run(proxies=proxies(https='http://p:1'))
    assert place.path.read_bytes() == text.encode('latin-1')


def test_the_place_of_containerds_cannot_be_chosen(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containerd, 'inspect', lambda _host: containerd.Containerd(installed=True))
    with pytest.raises(ConfigError, match='leave path out'):
        place.run(engine='containerd', proxies=proxies(https='http://p:1'))
    assert not place.path.exists()
