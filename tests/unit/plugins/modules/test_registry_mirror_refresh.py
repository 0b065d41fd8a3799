# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.quickpull.registry.plugins.module_utils import (
    _io,
    _journal,
    _refresh_install,
    _refresh_report,
    _refresh_settings,
    _refresh_units,
    _systemd,
)
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._refresh_units import OFFER, SERVICE, TIMER
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.modules import registry_mirror_refresh
from ansible_collections.quickpull.registry.tests.unit.plugins.fake_module import FakeModule

MIRRORS = {'docker.io': ['http://cache.lan:5000', {'url': 'https://mirror.example', 'headers': {'authorization': 'Basic s3cret'}}]}
SETTINGS: dict[str, t.Any] = {'mirrors': MIRRORS, 'interval': '10m', 'query': ''}
PROGRAM = 'usr/local/lib/quickpull.registry'


class Place:
    """A host in a folder, its systemd a table."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = State(str(root / 'var/lib/quickpull.registry'))
        self.units: dict[str, str] = {}
        self.commands: list[str] = []
        self.refuses = ''
        (root / 'usr/local/lib').mkdir(parents=True)
        (root / 'etc/systemd/system').mkdir(parents=True)

    def systemd(self, command: t.Sequence[str], _timeout: float) -> _systemd.Result:
        verb, *rest = [word for word in command[1:] if not word.startswith('--no-')]
        if verb == 'show':
            state = self.units.get(rest[-1], '')
            return _systemd.Result(0, f'LoadState=loaded\nActiveState={"active" if state else "inactive"}\nUnitFileState={state or "disabled"}\n')
        self.commands.append(' '.join([verb, *(word for word in rest if word != '--now')]))
        if self.refuses and verb == self.refuses:
            return _systemd.Result(1, '', 'Failed: no.')
        if verb == 'enable':
            self.units[rest[-1]] = 'enabled'
        if verb == 'disable':
            self.units.pop(rest[-1], None)
        return _systemd.Result(0)

    def run(self, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        self.commands.clear()
        given = {'settings': SETTINGS, 'jitter': None, 'offer': '', 'chosen': None, 'owner': 'registry_access', 'state': 'present', **params}
        host = _refresh_units.Host(str(self.root), self.systemd)
        return registry_mirror_refresh.run(t.cast(t.Any, FakeModule(check, given)), self.state, host)

    def files(self) -> dict[str, str]:
        found = (path for path in self.root.rglob('*') if path.is_file() and 'var/lib' not in str(path))
        return {str(path.relative_to(self.root)): path.read_text() for path in found}

    def unit(self, name: str) -> configparser.ConfigParser:
        parsed = configparser.ConfigParser(interpolation=None, delimiters=('=',), strict=False)
        parsed.optionxform = str  # type: ignore[assignment,method-assign]
        parsed.read(self.root / 'etc/systemd/system' / name)
        return parsed


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """With a program of one file, since to write all of it takes a while."""
    monkeypatch.setattr(_refresh_install, 'sources', lambda: {'ansible_collections/program.py': '# the program\n'})
    return Place(tmp_path)


def test_it_is_put_there_and_a_second_run_changes_nothing(place: Place) -> None:
    before = sorted(map(str, place.root.rglob('*')))
    foreseen = place.run(check=True)
    assert (sorted(map(str, place.root.rglob('*'))), place.commands) == (before, [])
    done = place.run()
    assert (done['files'], done['did']) == (foreseen['files'], foreseen['did'])
    assert place.commands == ['daemon-reload', f'enable {TIMER}']
    assert oct((place.root / 'etc/quickpull.registry/refresh.json').stat().st_mode & 0o777) == '0o600'
    assert not place.run()['changed']
    assert place.commands == []


def test_absent_leaves_nothing(place: Place) -> None:
    before = sorted(map(str, place.root.rglob('*')))
    place.run(offer='8377')
    for path in (_refresh_report.memory_path(place.state), _refresh_report.report_path(place.state)):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text('{}')
    (place.root / 'run/quickpull.registry').mkdir(parents=True)
    foreseen, done = place.run(check=True, state='absent'), place.run(state='absent')
    assert (foreseen['files'], foreseen['did']) == (done['files'], done['did'])
    assert place.commands == [f'disable {TIMER}', f'disable {OFFER}', f'stop {SERVICE}', 'daemon-reload']
    left = [one for one in sorted(map(str, place.root.rglob('*'))) if one not in before and 'var' not in one and not one.endswith('/run')]
    assert left == []
    assert not os.path.exists(os.path.dirname(_refresh_report.memory_path(place.state)))
    assert not place.run(state='absent')['changed']


def test_units_follow_files_that_a_roll_back_takes_away_and_brings_back(place: Place) -> None:
    place.run(offer='8377')
    units = place.root / 'etc/systemd/system'
    kept = {path: path.read_text() for path in units.iterdir()}
    host = _refresh_units.Host(str(place.root), place.systemd)
    place.commands.clear()
    _refresh_units.before_files_go(host, [f'/etc/systemd/system/{path.name}' for path in kept])
    for path in kept:
        path.unlink()
    _refresh_units.after_files_came(host)
    assert place.commands == [f'disable {TIMER}', f'disable {OFFER}', f'stop {SERVICE}', 'daemon-reload']
    for path, text in kept.items():
        path.write_text(text)
    _refresh_units.after_files_came(host)
    assert place.units == {TIMER: 'enabled', OFFER: 'enabled'}
    _refresh_units.after_files_came(host)
    assert place.commands[-2:] == [f'restart {TIMER}', f'restart {OFFER}']
    assert _refresh_units.is_ours('/etc/quickpull.registry/refresh.json')
    assert not _refresh_units.is_ours('/etc/docker/daemon.json')


def test_the_interval_is_the_longest_time_and_jitter_comes_off_it(place: Place) -> None:
    place.run()
    timer = place.unit(TIMER)['Timer']
    assert (timer['OnUnitActiveSec'], timer['RandomizedDelaySec'], timer['AccuracySec']) == ('480', '120', '1s')
    place.run(jitter=0)
    assert place.commands == [f'stop {SERVICE}', 'daemon-reload', f'restart {TIMER}']
    assert place.unit(TIMER)['Timer']['OnUnitActiveSec'] == '600'


def test_a_host_that_offers_has_a_service_without_rights(place: Place) -> None:
    assert place.run(offer='127.0.0.1:8377')['did'] == [f'{TIMER} is enabled and started.', f'{OFFER} is enabled and started.']
    service = place.unit(OFFER)['Service']
    assert service['ExecStart'].endswith('refresh.py offer 127.0.0.1:8377')
    assert (service['DynamicUser'], service['CapabilityBoundingSet']) == ('yes', '')
    place.run(offer='80')
    assert place.unit(OFFER)['Service']['CapabilityBoundingSet'] == 'CAP_NET_BIND_SERVICE'
    assert place.run(offer='')['did'] == [f'{OFFER} is stopped and disabled.']
    assert not (place.root / 'etc/systemd/system' / OFFER).exists()


def test_another_owner_neither_changes_nor_removes_it(place: Place) -> None:
    place.run()
    before = place.files()
    assert not place.run(owner='other', state='absent')['changed']
    with pytest.raises(ConfigError, match='belongs to another owner'):
        place.run(owner='other')
    assert (place.files(), place.commands, place.units) == (before, [], {TIMER: 'enabled'})


def test_metrics_go_with_it_and_with_their_path(place: Place) -> None:
    first, second, theirs = (place.root / f'var/{name}.prom' for name in ('first', 'second', 'theirs'))
    for path in (first, second):
        path.parent.mkdir(exist_ok=True)
        path.write_text('# HELP quickpull_registry_mirror_up x\n')
    theirs.write_text('# HELP other x\n')
    place.run(settings={**SETTINGS, 'metrics_path': '/var/first.prom'})
    place.run(settings={**SETTINGS, 'metrics_path': '/var/second.prom'})
    assert (first.exists(), second.exists()) == (False, True)
    place.run(settings={**SETTINGS, 'metrics_path': '/var/theirs.prom'})
    place.run(state='absent')
    assert (second.exists(), theirs.exists()) == (False, True)


def test_metrics_go_with_a_refresh_that_is_rolled_back_and_with_their_path(place: Place) -> None:
    first, theirs = (place.root / f'var/{name}.prom' for name in ('first', 'theirs'))
    settings = place.root / 'etc/quickpull.registry/refresh.json'
    host = _refresh_units.Host(str(place.root), place.systemd)
    for path in (first, theirs):
        path.parent.mkdir(exist_ok=True)
    theirs.write_text('# HELP other x\n')
    for now, then, goes in (('first', 'first', False), ('first', 'second', True), ('first', '', True), ('theirs', '', False)):
        first.write_text('# HELP quickpull_registry_mirror_up x\n')
        place.run(settings={**SETTINGS, 'metrics_path': f'/var/{now}.prom'})
        text = settings.read_text()
        metrics = _refresh_units.before_files_go(host, [])
        settings.write_text(text.replace(f'/var/{now}.prom', f'/var/{then}.prom')) if then else settings.unlink()
        _refresh_units.after_files_came(host, metrics)
        assert (first.exists(), theirs.exists()) == (not goes, True)
        settings.unlink(missing_ok=True)


def test_the_program_is_told_in_one_line(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_refresh_install, 'sources', lambda: {f'ansible_collections/p{number}.py': '# x\n' for number in range(3)})
    for state, sides in (('present', (False, True)), ('absent', (True, False))):
        told = place.run(state=state)
        (program,) = [one for one in told['diff'] if 'quickpull.registry' in one['before_header'] and not one['before_header'].endswith('.json')]
        files = sum(f'/{PROGRAM}/' in path for path in told['files'])
        assert files > 4
        assert [f"the refresh's program, {files} files" in program[side] for side in ('before', 'after')] == list(sides)
        assert len(told['diff']) == len(told['files']) - files + 1


def test_the_end_of_a_run_of_the_role_is_noted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('QUICKPULL_REGISTRY_RUN', '20261129T010000.000001Z-site')
    place.run(check=True)
    assert _journal.runs(place.state) == []
    place.run()
    assert [(run.id, run.ended) for run in _journal.runs(place.state)] == [('20261129T010000.000001Z-site', True)]
    monkeypatch.setenv('QUICKPULL_REGISTRY_RUN', '20261129T020000.000001Z-site')
    assert not place.run()['changed']
    assert len(_journal.runs(place.state)) == 1  # the second run changed nothing, so there is nothing to wait for
    # A removal of another owner's, which leaves this refresh, is over with it as well.
    monkeypatch.setenv('QUICKPULL_REGISTRY_RUN', '20261129T030000.000001Z-remove')
    with _io.locked(place.state):
        _io.write_atomic(str(place.root / 'var/x'), b'')
    place.run(state='absent', owner='other')
    assert [(run.id, run.ended) for run in _journal.runs(place.state)][1:] == [('20261129T030000.000001Z-remove', True)]


def test_the_systems_python_is_preferred_where_it_will_do(place: Place) -> None:
    (place.root / 'usr/bin').mkdir()
    (place.root / 'usr/bin/python3').touch()
    answers = {'/usr/bin/python3': 0}
    host = _refresh_units.Host(str(place.root), lambda command, _timeout: _systemd.Result(answers[command[0]]))
    assert _refresh_install.interpreter('/opt/venv/bin/python', host) == '/usr/bin/python3'
    answers['/usr/bin/python3'] = 1
    assert _refresh_install.interpreter('/opt/venv/bin/python', host) == '/opt/venv/bin/python'


def test_homes_are_for_reading_but_where_users_have_files(place: Place) -> None:
    place.run()
    assert place.unit(SERVICE)['Service']['ProtectHome'] == 'read-only'
    place.run(settings={**SETTINGS, 'podman_users': ['alice']})
    assert 'ProtectHome' not in place.unit(SERVICE)['Service']


def test_no_secret_is_shown(place: Place) -> None:
    result = place.run()
    assert 's3cret' not in str(result)
    assert 's3cret' in (place.root / 'etc/quickpull.registry/refresh.json').read_text()
    other = {**MIRRORS['docker.io'][1], 'headers': {'authorization': 'other'}}  # type: ignore[dict-item]
    result = place.run(settings={**SETTINGS, 'mirrors': {'docker.io': [other]}})
    assert [one['after'] for one in result['diff']] == ['(not shown, changed)\n']


@pytest.mark.parametrize('name', ['etc/systemd/system/registry_access_refresh.timer', f'{PROGRAM}/refresh.py'])
def test_a_file_of_somebody_else_is_left_and_nothing_is_written(place: Place, name: str) -> None:
    path = place.root / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('theirs\n')
    before = place.files()
    with pytest.raises(ConfigError, match='was not written by this collection'):
        place.run()
    assert (place.files(), place.commands) == (before, [])


def test_what_systemd_refuses_is_told_and_done_by_the_next_run(place: Place) -> None:
    place.refuses = 'enable'
    with pytest.raises(ConfigError, match='Failed: no'):
        place.run()
    place.refuses = ''
    assert place.run()['did'] == [f'{TIMER} is enabled and started.']


@pytest.mark.parametrize('change, told', [
    ({'interval': '5s'}, 'interval: 5 seconds'),
    ({'interval': 'soon'}, "interval: 'soon' is no duration"),
    ({'mirrors': {'docker.io': ['ftp://x']}}, 'mirrors.docker.io'),
    ({'mirrors': {'docker.io': 'http://x.lan'}}, 'docker.io takes a list'),
    ({'policy': {'best': 1}}, 'policy: unknown key'),
    ({'steadiness': {'proven': 0}}, 'steadiness.proven'),
    ({'steadiness': {'proved': 1}}, 'steadiness.proved is not known'),
    ({'asking': {'images': ['x y']}}, ''),
    ({'asking': {'speed': 1}}, 'asking.speed is not known'),
    ({'ask': ['leader']}, 'ask'),
    ({'metrics_path': 'x.prom'}, 'no absolute path'),
    ({'metrics_path': '/var/lib/nosuffix.txt'}, 'does not end with .prom'),
    ({'metrics_path': '/var/lib/prom'}, 'does not end with .prom'),
    ({'metrics_path': '/tmp/x.prom'}, 'PrivateTmp in its unit'),
    ({'metrics_path': '//var/lib/../tmp/a/x.prom'}, 'PrivateTmp in its unit'),
    ({'metrics_path': '/root/x.prom'}, 'ProtectHome in its unit'),
    ({'metrics_path': '/home/me/x.prom'}, 'ProtectHome in its unit'),
    ({'metrics_path': '/var/run/user/1000/x.prom'}, 'ProtectHome in its unit'),
    ({'metrics_path': '/usr/local/share/x.prom'}, 'ProtectSystem in its unit'),
    ({'unknown': 1}, 'unknown is not known'),
])  # fmt: skip
def test_settings_that_make_no_sense_are_told_before_anything_is_written(place: Place, change: dict[str, t.Any], told: str) -> None:
    before = place.files()
    with pytest.raises(ConfigError) as info:
        place.run(settings={**SETTINGS, **change})
    assert told in str(info.value)
    assert place.files() == before


@pytest.mark.parametrize('users', [[], ['me']])
def test_metrics_are_refused_where_the_unit_has_the_line_that_keeps_them_away(place: Place, users: list[str]) -> None:
    unit = place.root / 'etc/systemd/system' / SERVICE
    place.run(settings={**SETTINGS, 'podman_users': users})
    for folder, line in _refresh_install._OUT_OF_REACH.items():
        settings = {**SETTINGS, 'podman_users': users, 'metrics_path': f'{folder}/x.prom'}
        if users and line == 'ProtectHome':  # it writes into homes
            assert line not in unit.read_text()
            place.run(settings=settings)
        else:
            assert f'\n{line}=' in unit.read_text()
            with pytest.raises(ConfigError, match=f'{line} in its unit'):
                place.run(settings=settings)


@pytest.mark.parametrize('path', ['/tmpfs/x.prom', '/var/lib/tmp/x.prom', '/srv/home/x.prom', '/run/x.prom'])
def test_metrics_may_lie_elsewhere(place: Place, path: str) -> None:
    assert place.run(settings={**SETTINGS, 'metrics_path': path})['changed']


@pytest.mark.parametrize('options', [{'jitter': 301}, {'jitter': -1}, {'offer': 'x'}])
def test_options_that_make_no_sense(place: Place, options: dict[str, t.Any]) -> None:
    with pytest.raises(ConfigError):
        place.run(**options)


def test_the_settings_file_is_read_as_it_was_written(place: Place) -> None:
    place.run()
    text = (place.root / 'etc/quickpull.registry/refresh.json').read_text()
    assert _refresh_settings.load(text) == _refresh_settings.parse(SETTINGS)
    with pytest.raises(ConfigError, match='is not JSON'):
        _refresh_settings.load('{')


@pytest.mark.parametrize('python', sorted({sys.executable, *map(str, Path(__file__).parents[4].joinpath('.cache/pythons').glob('python3.8'))}))
def test_the_program_runs_by_itself(tmp_path: Path, python: str) -> None:
    """With nothing but the files that were put there, not even site-packages."""
    place = Place(tmp_path)
    place.run()
    program = place.root / PROGRAM / 'refresh.py'

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([python, '-I', '-S', '-B', str(program), *words], capture_output=True, encoding='utf-8', check=False, cwd='/')

    usage = run('nonsense')
    assert (usage.returncode, usage.stderr.partition(' run')[0]) == (2, 'Use: refresh.py')
    missing = run('run', str(place.root / 'nothing.json'))
    assert (missing.returncode, missing.stderr.split(': ')[0]) == (1, 'Error')
    broken = place.root / 'broken.json'
    broken.write_text(json.dumps({'mirrors': {}, 'interval': 1}))
    assert 'less than the least' in run('run', str(broken)).stderr


def test_documented_settings_are_those_that_are_understood() -> None:
    documented = set(yaml.safe_load(registry_mirror_refresh.DOCUMENTATION)['options']['settings']['suboptions'])
    assert documented == set(_refresh_settings.Settings.__dataclass_fields__)


A, B = ('https://a.example', 'https://b.example')


@pytest.mark.parametrize('chosen, stays', [
    (None, True), ({'docker': {'docker.io': [B]}}, True), ({'docker': {'docker.io': [A]}}, False), ({}, False),
])  # fmt: skip
def test_a_choice_that_the_run_did_not_go_by_counts_no_more(place: Place, chosen: t.Any, stays: bool) -> None:
    """The host decided for B while the run was on its way."""
    engine = {'engine': 'docker', 'upstream': 'docker.io', 'mirrors': [B], 'because': '', 'waits': ''}
    results = {'docker.io': [{'url': B, 'ok': True}]}
    report = {'version': _refresh_report.VERSION, 'checked': 5.0, 'decided': 5.0, 'engines': [engine], 'results': results}
    path = Path(_refresh_report.report_path(place.state))
    path.parent.mkdir(parents=True)
    path.write_bytes(_refresh_report.dump(report))
    place.run(chosen=chosen, check=True)
    assert path.read_bytes() == _refresh_report.dump(report)
    place.run(chosen=chosen)
    assert (_refresh_report.facts(place.state)['age'] is not None) == stays
    assert _refresh_report.load(place.state)['results'] == results
