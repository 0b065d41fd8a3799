# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reload, restart, roll-back and healing on a dockerd that is imitated, with a kill at every step.

What real daemons do is tested in tests/lab/test_apply.py; here it is the order of things that counts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _daemon_config, _docker_apply, _dropin, _in_force, _intent, _snapshot
from ansible_collections.quickpull.registry.plugins.module_utils._docker_apply import ApplyFailed, Options, Outcome, apply
from ansible_collections.quickpull.registry.plugins.module_utils._docker_host import DockerHost, message_of, refusal_in, reloaded_in
from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DROPIN_MARKER, DockerDaemon, Reported
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_url
from ansible_collections.quickpull.registry.plugins.module_utils._plan import by_reload, wanted_insecure, wanted_mirrors
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.module_utils._systemd import UnitFiles
from ansible_collections.quickpull.registry.plugins.modules import engine_proxy_dropin

GOOD, OTHER = 'http://good.lan:5000', 'http://other.lan:5000'
LOOPBACK = ('127.0.0.0/8', '::1/128')


class Killed(BaseException):
    """kill -9."""


class FakeHost(DockerHost):
    """A dockerd that reads its file when it starts and when it is told to, and a systemd that starts it.

    ``bogus`` in the file is refused always, ``bip`` only at a start. ``kill_at`` counts every step that changes something or
    asks something, writes to the disk included.
    """

    def __init__(self, root: pathlib.Path) -> None:
        super().__init__(str(root / 'etc' / 'daemon.json'))
        self.path = root / 'etc' / 'daemon.json'
        self.path.parent.mkdir()
        self.state = State(str(root / 'state'))
        self.clock = 1000.0
        self.config: dict[str, t.Any] = {}
        self.read_at_start: t.Any = None
        self.starts = 0
        self.active = 'inactive'
        self.pids: dict[str, int] = {}
        self.log: list[tuple[float, str]] = []
        self.actions: list[str] = []
        self.steps = 0
        self.kill_at = 0
        self.version = '26.1.5'
        self.silent = False
        self.deaf = False
        self.extra: dict[str, t.Any] = {}
        self.swap_registry_config = False
        self.dropin = root / 'docker.service.d' / _dropin.FILE_NAME
        self.environ: dict[str, str] = {}

    def tick(self) -> None:
        self.clock += 0.01
        self.steps += 1
        if self.steps == self.kill_at:
            raise Killed

    # -- what a person does

    def write(self, config: t.Any) -> None:
        self.path.write_text(config if isinstance(config, str) else json.dumps(config))

    def file(self) -> dict[str, t.Any]:
        return json.loads(self.path.read_text() or '{}') if self.path.exists() else {}

    def fingerprint(self) -> t.Any:
        return (self.path.stat().st_ino, self.path.stat().st_ctime_ns, self.path.read_bytes()) if self.path.exists() else None

    def boot(self, *containers: str) -> None:
        self.begin()
        self.pids = {name: 100 + number for number, name in enumerate(containers)}
        self.actions.clear()

    def ask(self, **options: t.Any) -> _daemon_config.Outcome:
        """What docker_daemon_config does."""
        chosen = _daemon_config.Options(str(self.path), validate='never', backup=False, **options)
        return _daemon_config.configure(chosen, self.state, self.look(), check_mode=False)

    def give(self, **proxies: str) -> None:
        """What engine_proxy_dropin does."""
        daemon = self.look()
        change, _expected = engine_proxy_dropin.plan_change(str(self.dropin), proxies, daemon, str(self.path.parent))
        engine_proxy_dropin.keep_for_rollback(change, self.state, daemon)
        engine_proxy_dropin.apply_change(change)

    def apply(self, **options: t.Any) -> Outcome:
        return apply(self, self.state, Options(**options))

    def predict(self, **options: t.Any) -> Outcome:
        return apply(self, self.state, Options(check_mode=True, **options))

    # -- dockerd

    def say(self, level: str, text: str) -> None:
        if level == 'error' or not self.silent:
            self.log.append((self.clock, f'time="x" level={level} msg="{text}"'))

    def begin(self) -> None:
        self.clock += 0.3
        config = self.file()
        if 'bogus' in config or 'bip' in config:
            self.active = 'failed'
            self.say('error', 'unable to configure the Docker daemon with file: bogus')
            return
        if not config.get('live-restore'):
            self.pids = {}  # containers that outlived the daemon are stopped by one that starts without live-restore
        self.config, self.read_at_start = config, self.fingerprint()
        self.environ = self.dropin_environ(DockerDaemon(True))
        if self.environ:
            self.environ[DROPIN_MARKER] = ','.join(self.environ)
        self.starts += 1
        self.active = 'active'

    def end(self) -> None:
        if not self.config.get('live-restore'):
            self.pids = {}
        self.active = 'inactive'

    def reread(self) -> None:
        config = self.file()
        if 'bogus' in config:
            self.say('error', 'Error reloading configuration: bogus')
            return
        keys = {*config, *self.config}
        for key in keys:
            if by_reload(f'/{key}', key in config):
                self.config = {name: value for name, value in self.config.items() if name != key}
                if key in config:
                    self.config[key] = config[key]
        self.say('info', 'Reloaded configuration: {}')

    def reported(self) -> Reported:
        config = self.config
        proxies = {key: mask_url(config.get('proxies', {}).get(key, '')) for key in ('http-proxy', 'https-proxy', 'no-proxy')}
        mirrors = wanted_mirrors(config.get('registry-mirrors', ()))
        registries = {'Mirrors': list(mirrors), 'Other': self.starts if self.swap_registry_config else 0}
        return Reported(
            mirrors, (*LOOPBACK, *sorted(wanted_insecure(config.get('insecure-registries', ())))), proxies['http-proxy'], proxies['https-proxy'],
            proxies['no-proxy'], config.get('live-restore', False), 'graphdriver', registries, False, {},
        )

    # -- what DockerHost does

    def look(self, *, whole: bool = False) -> DockerDaemon:
        self.tick()
        up = self.active == 'active'
        values: dict[str, t.Any] = {
            'installed': True, 'version': self.version, 'unit': 'docker.service', 'active_state': self.active, 'main_pid': 500 + self.starts if up else 0,
            'start_id': f'boot:{self.starts}' if up else None, 'started_at': 1.0 if up else None, 'config_path': str(self.path),
            'daemon_config_path': str(self.path), 'reported': self.reported() if up else None, 'containers_running': len(self.pids) if up and whole else 0,
            'api_base': 'unix:///x', 'via': 'socket', 'environ': self.environ,
        }
        return DockerDaemon(**{**values, **self.extra})

    def containers(self, daemon: DockerDaemon) -> dict[str, tuple[str, int]]:
        return {name: (name, pid) for name, pid in self.pids.items()}

    def dropin_environ(self, daemon: DockerDaemon) -> dict[str, str]:
        return _dropin.expected_environ(_dropin.parse(_dropin.read(str(self.dropin))), daemon, UnitFiles())

    def hangup(self, daemon: DockerDaemon) -> str:
        self.tick()
        self.actions.append('reload')
        if not self.deaf:
            self.reread()
        return ''

    def start(self, daemon: DockerDaemon, verb: str) -> str:
        self.tick()
        self.actions.append(verb)
        if self.active == 'active':
            self.end()
            self.tick()  # a kill while the daemon is down: systemd goes on without us, see `settle`
        self.begin()
        return ''

    def daemon_reload(self) -> None:
        self.actions.append('daemon-reload')

    def journal(self, daemon: DockerDaemon, since: float) -> list[str]:
        return [line for when, line in self.log if when >= since]

    def now(self) -> float:
        return self.clock

    def monotonic(self) -> float:
        return self.clock

    def sleep(self, seconds: float) -> None:
        self.clock += seconds


def fake(root: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    host = FakeHost(root)
    monkeypatch.setattr(_snapshot, 'default_path', lambda unit: str(host.dropin))
    monkeypatch.setattr(_in_force, 'untouched_since', lambda path, started_at: started_at is not None and host.fingerprint() == host.read_at_start)
    replace, unlink = os.replace, os.unlink

    def counted(original: t.Callable[..., None]) -> t.Callable[..., None]:
        def call(*arguments: t.Any, **named: t.Any) -> None:
            host.tick()
            original(*arguments, **named)
            host.tick()

        return call

    monkeypatch.setattr(os, 'fsync', lambda descriptor: None)  # no power cut here, and it is slow
    monkeypatch.setattr(os, 'replace', counted(replace))
    monkeypatch.setattr(os, 'unlink', counted(unlink))
    return host


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    return fake(tmp_path, monkeypatch)


def nothing_left(host: FakeHost) -> bool:
    return _intent.load(host.state, 'docker') is None and _snapshot.load(host.state, 'docker', 'live_restore') is None


def at_rest(host: FakeHost) -> bool:
    """Docker is up, holds what the file says, and a further run does nothing."""
    starts, actions = host.starts, len(host.actions)
    again = host.apply(restart='always')
    quiet = (again.changed, again.applied, again.pending, again.plan.unknown_keys) == (False, 'none', False, ())
    return quiet and nothing_left(host) and host.active == 'active' and host.config == host.file() and (starts, actions) == (host.starts, len(host.actions))


def test_nothing_to_do(host: FakeHost) -> None:
    host.write({'registry-mirrors': [GOOD]})
    host.boot()
    outcome = host.apply()
    assert (outcome.changed, outcome.applied, host.actions, outcome.proof) == (False, 'none', [], None)
    assert not os.path.exists(host.state.applied('docker'))


def test_docker_absent(host: FakeHost) -> None:
    host.extra = {'installed': False, 'start_id': None, 'main_pid': 0}
    assert host.apply().applied == 'none'


def test_reload(host: FakeHost) -> None:
    host.boot('keep')
    written = host.ask(registry_mirrors=[GOOD], settings={'labels': ['a=b']})
    predicted = host.predict()
    assert host.actions == []
    outcome = host.apply()
    assert outcome.plan == written.plan == predicted.plan
    assert (outcome.applied, outcome.changed, host.actions) == (predicted.applied, predicted.changed, ['reload']) == ('reload', True, ['reload'])
    assert outcome.proof is not None
    assert (outcome.proof.ok, outcome.proof.mirrors, outcome.proof.containers_kept) == (True, (GOOD + '/',), 1)
    assert host.starts == 1
    assert at_rest(host)


def test_a_reload_is_believed_without_the_log(host: FakeHost) -> None:
    host.silent = True
    host.boot()
    host.ask(settings={'labels': ['a=b']})
    assert host.apply().applied == 'reload'
    assert at_rest(host)


def test_a_reload_that_does_nothing_is_no_proof(host: FakeHost) -> None:
    host.boot()
    host.ask(registry_mirrors=[GOOD])
    host.deaf = True
    before = host.clock
    with pytest.raises(ApplyFailed, match=r'registry-mirrors: the daemon has none and should have http://good\.lan:5000/'):
        host.apply()
    assert host.clock - before < 2 * _docker_apply.RELOAD_SECONDS + 5
    assert host.file() == {}


def test_something_else_that_changes_is_a_failure(host: FakeHost) -> None:
    host.swap_registry_config = True
    host.boot()
    host.ask(settings={'log-level': 'debug'})
    with pytest.raises(ApplyFailed, match=r'RegistryConfig\.Other changed'):
        host.apply()


def test_restart(host: FakeHost) -> None:
    host.boot()
    host.ask(settings={'log-level': 'debug'}, registry_mirrors=[GOOD])
    predicted = host.predict()
    outcome = host.apply()
    assert (predicted.applied, predicted.changed) == (outcome.applied, outcome.changed) == ('restart', True)
    # The file is tried by a reload before anything is stopped for it.
    assert host.actions == ['reload', 'restart']
    assert outcome.before is not None
    assert outcome.after is not None
    assert outcome.before.main_pid != outcome.after.main_pid
    assert at_rest(host)


def test_a_restart_that_is_not_safe_waits(host: FakeHost) -> None:
    host.boot('keep')
    host.ask(settings={'log-level': 'debug'}, registry_mirrors=[GOOD])
    predicted = host.predict()
    first = host.apply()
    assert (first.applied, first.changed, first.pending) == (predicted.applied, predicted.changed, predicted.pending) == ('reload', True, True)
    assert first.pending_because == predicted.pending_because == ('live-restore is off and 1 container(s) run: a restart stops them.',)
    actions = list(host.actions)
    for options in ({}, {'restart': 'never'}):
        again = host.apply(**options)
        assert (again.applied, again.changed, again.pending) == ('none', False, True)
    assert host.actions == actions
    assert host.apply(restart='always').applied == 'restart'
    assert at_rest(host)


def test_what_waits_is_tried_once(host: FakeHost) -> None:
    host.boot('keep')
    host.ask(settings={'log-level': 'debug'})
    for _again in range(3):
        outcome = host.apply()
        assert (outcome.applied, outcome.changed, outcome.pending) == ('none', False, True)
    assert host.actions == ['reload']


@pytest.mark.parametrize('known', [True, False])
def test_what_waits_is_not_tried_at_the_cost_of_others(host: FakeHost, known: bool) -> None:
    host.write({'shutdown-timeout': 3})
    host.boot('keep')
    if known:
        host.ask(settings={'log-level': 'debug'})
        host.write({**host.file(), 'shutdown-timeout': 9})
    else:
        host.write({'shutdown-timeout': 9})
        host.ask(settings={'log-level': 'debug'})
    for _again in range(2):
        outcome = host.apply()
        assert (outcome.applied, outcome.changed, outcome.pending) == ('none', False, True)
        assert host.predict().applied == 'none'
    assert (host.actions, host.config['shutdown-timeout']) == ([], 3)
    assert nothing_left(host)
    assert host.apply(restart='always').applied == 'restart'
    assert host.config['shutdown-timeout'] == 9


def test_what_we_do_not_know_of_our_own_is_tried(host: FakeHost) -> None:
    host.write({})
    host.boot('keep')
    host.ask(settings={'shutdown-timeout': 9})
    host.apply()
    host.ask(settings={'shutdown-timeout': 9, 'log-level': 'debug'})
    pathlib.Path(host.state.applied('docker')).unlink()
    host.ask(settings={'shutdown-timeout': 9, 'log-level': 'info'})
    before = list(host.actions)
    assert host.apply().pending
    assert host.actions == [*before, 'reload']


def test_live_restore_first(host: FakeHost) -> None:
    text = '{\n  "debug":true }\n'
    host.write(text)
    host.boot('keep')
    host.ask(settings={'log-level': 'debug'})
    written = host.path.read_text()
    assert host.predict(live_restore_first=True).applied == 'restart'
    outcome = host.apply(live_restore_first=True)
    assert outcome.proof is not None
    assert (outcome.applied, outcome.proof.containers_kept, outcome.proof.live_restore) == ('restart', 1, False)
    assert host.path.read_text() == written
    assert 'live-restore' not in host.config or host.config['live-restore'] is False
    host.config.pop('live-restore')
    assert host.pids
    assert at_rest(host)


def test_live_restore_asked_for_comes_first(host: FakeHost) -> None:
    host.boot('keep')
    host.ask(settings={'log-level': 'debug', 'live-restore': True})
    assert host.predict().applied == 'restart'
    assert host.apply().applied == 'restart'
    assert host.pids == {'keep': 100}
    assert at_rest(host)


@pytest.mark.parametrize('restart', ['auto', 'always', 'never'])
@pytest.mark.parametrize('containers', [(), ('keep',)])
def test_what_is_refused_is_put_back_while_all_runs(host: FakeHost, restart: str, containers: tuple[str, ...]) -> None:
    host.write('{"debug": true}')
    host.boot(*containers)
    host.ask(settings={'bogus': 1})
    with pytest.raises(ApplyFailed, match='Docker did not take its configuration: Error reloading configuration: bogus') as failure:
        host.apply(restart=restart)
    outcome = failure.value.outcome
    assert (outcome.rolled_back, outcome.changed, outcome.pending) == (True, True, False)
    assert json.loads(pathlib.Path(outcome.rejected_file).read_text())['bogus'] == 1
    assert os.stat(outcome.rejected_file).st_mode & 0o777 == 0o600
    assert host.path.read_text() == '{"debug": true}'
    assert (host.starts, set(host.pids)) == (1, set(containers))
    assert at_rest(host)


def test_what_does_not_start_is_put_back(host: FakeHost) -> None:
    host.boot()
    host.ask(registry_mirrors=[GOOD])
    host.apply()
    text = host.path.read_text()
    host.ask(settings={'bip': 'x'}, owner='careless')
    with pytest.raises(ApplyFailed, match='proved last was put back'):
        host.apply()
    assert host.path.read_text() == text
    assert host.starts == 2
    assert at_rest(host)


def test_live_restore_keeps_containers_through_a_rollback(host: FakeHost) -> None:
    host.boot('keep')
    host.ask(settings={'bip': 'x'})
    with pytest.raises(ApplyFailed, match='put back'):
        host.apply(live_restore_first=True)
    assert host.pids == {'keep': 100}
    assert host.config.get('live-restore', False) is False
    host.config.pop('live-restore', None)
    assert at_rest(host)


@pytest.mark.parametrize('bad', ['bogus', 'bip'])
@pytest.mark.parametrize('earlier', [None, 'http://old:1'])
@pytest.mark.parametrize('dropin_first', [True, False])
def test_a_dropin_that_was_not_proved_is_taken_back_too(host: FakeHost, bad: str, earlier: str | None, dropin_first: bool) -> None:
    host.version = '20.10.24'
    host.boot()
    if earlier:
        host.give(HTTPS_PROXY=earlier)
        assert host.apply().applied == 'restart'
    before = host.dropin.read_text() if host.dropin.exists() else None
    steps = [lambda: host.give(HTTPS_PROXY='http://new:1'), lambda: host.ask(settings={bad: 'x'})]
    for step in steps if dropin_first else reversed(steps):
        step()
    with pytest.raises(ApplyFailed, match='that was proved last was put back'):
        host.apply()
    assert (host.dropin.read_text() if host.dropin.exists() else None) == before
    assert host.environ.get('HTTPS_PROXY') == earlier
    assert 'daemon-reload' in host.actions
    assert at_rest(host)


def test_a_dropin_alone_that_keeps_docker_from_starting(host: FakeHost) -> None:
    host.version = '20.10.24'
    host.boot()
    host.give(HTTPS_PROXY='http://new:1')
    host.write({'bip': 'x'})  # somebody else's
    with pytest.raises(ApplyFailed, match='put back'):
        host.apply()
    assert not host.dropin.exists()


def test_rollback_can_be_switched_off(host: FakeHost) -> None:
    host.boot()
    host.ask(settings={'bogus': 1})
    with pytest.raises(ApplyFailed, match=r'Nothing was put back \(rollback: false\)') as failure:
        host.apply(rollback=False)
    assert not failure.value.outcome.rolled_back
    assert host.file() == {'bogus': 1}
    assert nothing_left(host)


def test_a_rollback_that_fails_says_what_to_do(host: FakeHost) -> None:
    host.boot()
    host.ask(registry_mirrors=[GOOD])
    host.ask(settings={'bip': 'x'})
    for name in ('proved', 'original'):
        snapshot = pathlib.Path(host.state.snapshot('docker', name))
        raw = json.loads(snapshot.read_text())
        raw['files'][0].update(data='eyJiaXAiOiAieSJ9', mode=420, uid=0, gid=0)  # {"bip": "y"}
        snapshot.write_text(json.dumps(raw))
    with pytest.raises(ApplyFailed, match=r'does not hold that either.*journalctl -u docker\.service.*systemctl start docker\.service'):
        host.apply()


def test_no_snapshot(host: FakeHost) -> None:
    host.boot()
    host.ask(settings={'bogus': 1})
    for name in ('proved', 'original'):
        _snapshot.drop(host.state, 'docker', name)
    with pytest.raises(ApplyFailed, match='No earlier configuration is known'):
        host.apply()


def test_an_unreadable_file_is_not_touched(host: FakeHost) -> None:
    host.boot()
    host.write('{broken')
    with pytest.raises(ConfigError, match=r'daemon\.json'):
        host.apply()
    assert (host.path.read_text(), host.actions) == ('{broken', [])


def test_a_stopped_daemon_stays_stopped(host: FakeHost) -> None:
    host.ask(settings={'log-level': 'debug'})
    for restart in ('auto', 'always'):
        outcome = host.apply(restart=restart)
        assert (outcome.changed, outcome.applied, host.actions) == (False, 'none', [])
    assert host.active == 'inactive'


def test_not_run_by_systemd(host: FakeHost) -> None:
    host.extra = {'unit': ''}
    host.boot()
    host.ask(settings={'log-level': 'debug'}, registry_mirrors=[GOOD])
    outcome = host.apply(restart='always')
    assert (outcome.applied, outcome.pending_because) == ('reload', ('dockerd is not run by systemd: restart it the way it is started.',))


def test_masked(host: FakeHost) -> None:
    host.extra = {'unit_file_state': 'masked'}
    host.boot()
    host.ask(settings={'log-level': 'debug'})
    outcome = host.apply(restart='always')
    assert (outcome.applied, outcome.pending) == ('none', True)
    assert 'systemctl unmask docker.service' in outcome.pending_because[0]


def test_no_trial_where_a_reload_would_lose_something(host: FakeHost) -> None:
    host.version = '23.0.5'
    host.write({'registry-mirrors': [GOOD], 'insecure-registries': ['b:5000']})
    host.boot('keep')
    host.ask(settings={'log-level': 'debug'})
    assert host.apply().pending
    assert host.actions == []


def test_removal_leaves_nothing_behind(host: FakeHost) -> None:
    host.boot()
    host.ask(registry_mirrors=[GOOD], settings={'labels': ['a=b']})
    host.apply()
    host.ask(present=False)
    assert host.file() == {'registry-mirrors': [], 'labels': []}
    assert host.predict().changed
    outcome = host.apply()
    assert (outcome.applied, outcome.changed) == ('reload', True)
    assert not host.path.exists()
    host.config = {}
    assert at_rest(host)


def test_a_waiting_tombstone_is_finished_although_nothing_else_is_to_do(host: FakeHost) -> None:
    host.boot()
    host.ask(registry_mirrors=[GOOD])
    host.apply()
    host.ask(present=False)
    host.reread()  # somebody else reloaded
    assert host.predict().changed
    outcome = host.apply()
    assert (outcome.applied, outcome.changed, host.path.exists()) == ('none', True, False)


def test_a_tombstone_that_waits_for_a_restart_stays(host: FakeHost) -> None:
    host.version = '23.0.5'
    host.write({'insecure-registries': ['b:5000']})
    host.boot('keep')
    host.ask(registry_mirrors=[GOOD])
    host.apply(restart='always')
    host.pids = {'keep': 1}
    host.ask(present=False)
    outcome = host.apply()
    assert (outcome.pending, host.file()['registry-mirrors']) == (True, [])


def test_foreign_changes_are_taken_along_and_kept_out_of_the_snapshot(host: FakeHost) -> None:
    host.write({})
    host.boot()
    host.write({'log-level': 'debug', 'labels': ['x=y']})
    host.ask(registry_mirrors=[GOOD])
    outcome = host.apply()
    assert outcome.applied == 'reload'
    assert host.config['labels'] == ['x=y']
    assert host.file().keys() == {'log-level', 'labels', 'registry-mirrors'}


# -- kills


def upset(host: FakeHost) -> None:
    """Systemd does to the end what it was told before the kill."""
    if host.active == 'inactive' and host.starts:
        host.begin()


def killed_at(host: FakeHost, step: int, **options: t.Any) -> bool:
    """Apply, and die at a step. Returns whether it came to that."""
    host.kill_at = host.steps + step
    try:
        host.apply(**options)
    except Killed:
        return True
    except ApplyFailed:
        pass
    finally:
        host.kill_at = 0
    return False


@pytest.mark.parametrize('gone_on', [True, False])
@pytest.mark.parametrize(
    ('containers', 'options'), [(('keep',), {'restart': 'always'}), (('keep',), {'live_restore_first': True}), (('keep',), {}), ((), {})], ids=str
)
def test_whatever_step_it_dies_at_the_next_run_heals(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, containers: tuple[str, ...], gone_on: bool, options: dict[str, t.Any]
) -> None:
    died = 0
    for step in range(1, 400):
        folder = tmp_path / str(step)
        folder.mkdir()
        with monkeypatch.context() as patch:
            host = fake(folder, patch)
            host.write({'debug': True})
            host.boot(*containers)
            host.ask(registry_mirrors=[GOOD], settings={'log-level': 'debug'})
            if not killed_at(host, step, **options):
                break
            died += 1
            if gone_on:
                upset(host)
            outcome = host.apply(**options)
            assert host.active == 'active', step
            assert nothing_left(host), step
            wanted = {'debug': True, 'registry-mirrors': [GOOD], 'log-level': 'debug'}
            assert host.file() == wanted, step
            assert outcome.pending or {**host.config, 'live-restore': False} == {**wanted, 'live-restore': False}, step
            again = host.apply(**options)
            assert (again.changed, again.applied, again.plan.unknown_keys) == (False, 'none', ()), step
    else:
        raise AssertionError('it never came to an end')
    assert died > 8


@pytest.mark.parametrize('gone_on', [True, False])
@pytest.mark.parametrize('bad', ['bogus', 'bip'])
def test_whatever_step_a_rollback_dies_at_the_next_run_finishes_it(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, bad: str, gone_on: bool) -> None:
    died = 0
    for step in range(1, 400):
        folder = tmp_path / str(step)
        folder.mkdir()
        with monkeypatch.context() as patch:
            host = fake(folder, patch)
            host.boot()
            host.ask(registry_mirrors=[GOOD])
            host.apply()
            text = host.path.read_text()
            host.ask(owner='careless', settings={bad: 'x'}, registry_mirrors=[OTHER])
            if not killed_at(host, step):
                break
            died += 1
            if gone_on:
                upset(host)
            for _twice in range(2):
                with contextlib.suppress(ApplyFailed):
                    host.apply()
            assert host.path.read_text() == text, step
            assert at_rest(host), step
    else:
        raise AssertionError('it never came to an end')
    assert died > 8


def test_healing_is_told_and_predicted(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host.boot()
    host.ask(settings={'log-level': 'debug'})
    host.active = 'inactive'
    _intent.declare(host.state, 'docker', _intent.Intent('restart', str(host.path), was_active=True))
    assert not host.predict().healed  # its process lives
    monkeypatch.setattr(_intent, 'start_ticks', lambda pid: -1)
    predicted, outcome = host.predict(), host.apply()
    assert (predicted.healed, predicted.changed, predicted.applied) == (outcome.healed, outcome.changed, outcome.applied) == (True, True, 'restart')
    assert 'killed' in outcome.warnings[0]
    assert at_rest(host)


@pytest.mark.parametrize('text', ['', '{', '{"what": 1}'])
def test_an_intent_that_cannot_be_read_is_that_of_a_dead_run(host: FakeHost, text: str) -> None:
    host.boot()
    path = pathlib.Path(host.state.intent('docker'))
    path.parent.mkdir(parents=True)
    path.write_text(text)
    host.active = 'failed'
    assert host.apply().healed
    assert at_rest(host)


changes = st.fixed_dictionaries(
    {},
    optional={
        'registry_mirrors': st.lists(st.sampled_from([GOOD, OTHER]), unique=True),
        'insecure_registries': st.lists(st.sampled_from(['a:5000', '10.0.0.0/8']), unique=True),
        'settings': st.fixed_dictionaries(
            {}, optional={'labels': st.just(['a=b']), 'log-level': st.sampled_from(['debug', 'warn']), 'debug': st.booleans(), 'live-restore': st.booleans()}
        ),
        'proxies': st.fixed_dictionaries({}, optional={'http_proxy': st.sampled_from(['http://p:1', 'http://u:a@p:1', 'http://u:b@p:1'])}),
    },
)


@given(st.lists(changes, min_size=1, max_size=4), st.booleans())
def test_after_any_changes_all_is_in_force(tmp_path_factory: pytest.TempPathFactory, steps: list[dict[str, t.Any]], each: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        host = fake(tmp_path_factory.mktemp('host'), patch)
        host.write({'debug': True, 'mtu': 1400})
        host.boot('keep')
        for options in steps:
            host.ask(**options)
            if each:
                host.apply(restart='always')
        host.apply(restart='always')
        assert meaning(host.config) == meaning(host.file())
        assert nothing_left(host)
        again = host.apply(restart='always')
        assert (again.changed, again.applied, again.plan.unknown_keys) == (False, 'none', ())
        assert not host.ask(**steps[-1]).changed


def meaning(config: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A configuration as dockerd takes it: an empty value is none, and the order of insecure registries tells nothing."""
    return {key: sorted(value) if key == 'insecure-registries' else value for key, value in config.items() if value}


@pytest.mark.parametrize(
    ('line', 'refusal'),
    [
        (
            'time="x" level=error msg="Error reconfiguring the daemon: invalid mirror: \\"http://x/y\\""',
            'Error reconfiguring the daemon: invalid mirror: "http://x/y".',
        ),
        (
            'time="x" level=error msg="Error reloading configuration" error="unable to configure the Docker daemon with file /f: no"',
            'Error reloading configuration: unable to configure the Docker daemon with file /f: no.',
        ),
        ('unable to configure the Docker daemon with file /f: no', 'unable to configure the Docker daemon with file /f: no.'),
        ('failed to start daemon: Error initializing network controller', 'failed to start daemon: Error initializing network controller.'),
        ('time="x" level=info msg="Reloaded configuration: {}"', ''),
        ('', ''),
    ],
)
def test_refusals(line: str, refusal: str) -> None:
    assert refusal_in([line]) == refusal


def test_log_lines() -> None:
    assert reloaded_in(['time="x" level=info msg="Reloaded configuration: {}"'])
    assert not reloaded_in(['time="x" level=info msg="Got signal to reload configuration"'])
    assert message_of('plain') == 'plain'


def test_every_field_of_an_outcome_has_a_default() -> None:
    assert dataclasses.asdict(Outcome())['applied'] == 'none'


@pytest.mark.parametrize('stopped', [False, True])
def test_a_daemon_that_others_restart_or_stop_is_left_where_it_may_not_be_started(host: FakeHost, monkeypatch: pytest.MonkeyPatch, stopped: bool) -> None:
    host.write({'debug': True})
    host.boot('web')
    host.ask(registry_mirrors=['http://a.lan:5000'])
    hangup = host.hangup

    def meanwhile(daemon: t.Any) -> str:
        hangup(daemon)
        if stopped:
            host.active = 'inactive'
        else:
            host.begin()
        return ''

    monkeypatch.setattr(host, 'hangup', meanwhile)
    with pytest.raises(ApplyFailed, match='restarted or stopped by somebody'):
        apply(host, host.state, Options(str(host.path), restart='never', start=False))
    assert 'restart' not in host.actions and 'start' not in host.actions
    assert host.file() == {'debug': True, 'registry-mirrors': ['http://a.lan:5000']}
    assert _intent.load(host.state, 'docker') is None


def test_what_a_dead_run_left_is_finished_only_where_docker_may_be_started_or_runs(host: FakeHost) -> None:
    host.boot()
    host.ask(registry_mirrors=['http://a.lan:5000'])
    _intent.declare(host.state, 'docker', _intent.Intent(_intent.RESTARTING, str(host.path), was_active=True, start_id='gone'))
    host.active = 'inactive'
    options = Options(str(host.path), restart='never', start=False)
    with pytest.raises(ConfigError, match='Run the role again'):
        apply(host, host.state, options)
    assert host.actions == []
    host.begin()
    host.actions.clear()
    assert apply(host, host.state, options).applied in ('reload', 'none')
    assert 'restart' not in host.actions
