# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restart, proof and roll-back on a service that is imitated."""

from __future__ import annotations

import dataclasses
import json
import typing as t

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._plan import Plan
from ansible_collections.quickpull.registry.plugins.module_utils._service_apply import Clock, Options, Outcome, apply
from ansible_collections.quickpull.registry.plugins.module_utils._systemd import Result

RESTART = Plan('restart', restart_keys=('config_path',))
BLOCKED = Plan('restart', restart_keys=('config_path',), blockers=('kill_mode',), blocked_because=('It would stop containers.',))


class FakeService:
    """A service that takes a second to start. ``good``: with what is written it comes up as wanted. ``crashes``: else it ends at once."""

    unit = 'engine.service'

    def __init__(self, plan: Plan = RESTART, *, good: bool = True, crashes: bool = False, ours: bool = True, good_before: bool = True) -> None:
        self.needs, self.good, self.crashes, self.ours, self.good_before = plan, good, crashes, ours, good_before
        self.time = 100.0
        self.starts, self.started_at = 1, 0.0
        self.did: list[str] = []
        self.refuses = ''
        self.stuck: ConfigError | None = None
        self.clock = Clock(lambda: self.time, lambda: self.time + 1e9, self.sleep, self.systemctl)

    def sleep(self, seconds: float) -> None:
        assert self.time < 1000, 'it waits without an end'
        self.time += seconds

    def systemctl(self, *args: str, timeout: float = 30) -> Result:
        self.did.append(' '.join(args))
        if 'restart' in args:
            if self.refuses:
                return Result(1, '', f'Warning: x\n{self.refuses}\n')
            self.starts, self.started_at = self.starts + 1, self.time + 1
        return Result(0)

    def plan(self) -> Plan:
        return self.needs

    def start_id(self) -> str | None:
        if self.time < self.started_at:
            return str(self.starts - 1)  # --no-block: the old one is still there
        return str(self.starts) if self.good or not self.crashes else None

    def failures(self, started_before: str | None) -> list[str]:
        if self.start_id() in (None, started_before):
            return ['It has not started.']
        return [] if self.good else ['Its CRI has failed.']

    def alive(self) -> bool:
        return self.start_id() is not None and (self.good or not self.crashes)

    def proved(self) -> None:
        self.did.append('proved')

    def put_back(self) -> list[str]:
        self.did.append('put back')
        if self.stuck:
            raise self.stuck
        self.good = self.good or (self.ours and self.good_before)
        return ['/etc/engine.toml'] if self.ours else []

    def says(self, since: float) -> str:
        assert since == 1e9 + 100
        return 'level=fatal'

    def apply(self, check_mode: bool = False, **options: t.Any) -> Outcome:
        return apply(self, Options(**options), check_mode=check_mode, clock=self.clock)


START = ['daemon-reload', 'reset-failed engine.service', '--no-block restart engine.service']

QUIET: list[tuple[Plan, dict[str, t.Any], Outcome]] = [
    (Plan(), {}, Outcome()),
    (Plan(), {'restart': 'always'}, Outcome()),
    (RESTART, {'restart': 'never'}, Outcome(pending=['Restarts are not allowed (restart: never).'], plan=RESTART)),
    (BLOCKED, {}, Outcome(pending=['It would stop containers.'], plan=BLOCKED)),
    (BLOCKED, {'check_mode': True}, Outcome(pending=['It would stop containers.'], plan=BLOCKED)),
    (RESTART, {'check_mode': True}, Outcome(True, 'restart', plan=RESTART)),
    (BLOCKED, {'check_mode': True, 'restart': 'always'}, Outcome(True, 'restart', plan=BLOCKED)),
]


@pytest.mark.parametrize('plan, options, expected', QUIET)
def test_nothing_is_touched(plan: Plan, options: dict[str, t.Any], expected: Outcome) -> None:
    service = FakeService(plan)
    assert service.apply(**options) == expected
    assert service.did == []


@pytest.mark.parametrize('plan, options', [(RESTART, {}), (BLOCKED, {'restart': 'always'})])
def test_restarted_and_proved(plan: Plan, options: dict[str, t.Any]) -> None:
    service = FakeService(plan)
    found = service.apply(**options)
    assert found == Outcome(True, 'restart', proved=True, plan=plan)
    assert service.did == [*START, 'proved']
    assert service.time < 102
    plain = json.loads(json.dumps(found.as_dict()))
    assert (plain['changed'], plain['action'], plain['pending'], plain['plan']['restart_keys']) == (True, 'restart', [], ['config_path'])


def failure(service: FakeService, **options: t.Any) -> str:
    with pytest.raises(ConfigError) as info:
        service.apply(**options)
    assert 'proved' not in service.did
    return str(info.value)


def test_one_that_never_comes_up_is_put_back_and_runs_again() -> None:
    service = FakeService(good=False)
    told = failure(service, timeout=20.0)
    assert told == (
        'engine.service did not come up as wanted within 20 s: Its CRI has failed. It says: level=fatal Put back as before: /etc/engine.toml. It runs again.'
    )
    assert service.did == [*START, 'put back', *START]
    assert 121 < service.time < 123, 'the timeout, and the second start, which is not taken for the first'


def test_one_that_stays_down_is_not_waited_for_to_the_end() -> None:
    service = FakeService(good=False, crashes=True)
    assert 'It has not started.' in failure(service, timeout=600.0)
    assert service.time < 110


def test_one_that_does_not_run_again_either() -> None:
    service = FakeService(good=False, crashes=True, good_before=False)
    assert failure(service).endswith('It does not run again even so: look at journalctl -u engine.service.')


def test_without_roll_back() -> None:
    service = FakeService(good=False)
    assert failure(service, rollback=False).endswith('Nothing was put back (rollback: false).')
    assert service.did == START


def test_nothing_of_ours_to_put_back() -> None:
    service = FakeService(good=False, ours=False)
    assert failure(service).endswith('was proved before, or is not what is wrong.')
    assert service.did == [*START, 'put back']


def test_what_cannot_be_put_back_does_not_hide_what_went_wrong() -> None:
    service = FakeService(good=False)
    service.stuck = ConfigError('Cannot write /etc/engine.toml: it is read-only.')
    told = failure(service)
    assert 'Its CRI has failed.' in told
    assert told.endswith('It could not be put back: Cannot write /etc/engine.toml: it is read-only.')


def test_systemd_refuses() -> None:
    service = FakeService()
    service.refuses = 'Failed to restart engine.service: Unit engine.service is masked.'
    told = failure(service, timeout=600.0)
    assert 'systemctl did not restart it: Failed to restart engine.service: Unit engine.service is masked.' in told
    assert told.endswith('Put back as before: /etc/engine.toml. It runs as before.')
    assert service.time < 101, 'nothing is waited for'


# A service that is reloaded

RELOAD = Plan('reload', reload_keys=('registries',))
BOTH = dataclasses.replace(BLOCKED, reload_keys=('registries',))


class FakeReloadable(FakeService):
    """``said``: what it says of each reload in turn, a second after it; None for nothing."""

    def __init__(self, plan: Plan, *said: str | None, quiet: bool = False, ours: bool = True) -> None:
        super().__init__(plan, ours=ours)
        self.said, self.is_quiet, self.reloads, self.at = said, quiet, 0, 0.0
        self.speaks = True

    def systemctl(self, *args: str, timeout: float = 30) -> Result:
        found = super().systemctl(*args, timeout=timeout)
        if 'reload' in args and not found.rc:
            self.reloads, self.at = self.reloads + 1, self.time
        return Result(1, '', self.refuses) if self.refuses else found

    def reloaded(self, since: float) -> str | None:
        assert since <= self.at + 1e9
        return self.said[self.reloads - 1] if self.time >= self.at + 1 else None

    def heard(self, since: float) -> bool:
        return self.speaks

    def quiet(self) -> bool:
        return self.is_quiet

    def read(self) -> None:
        self.did.append('read')

    def put_back_reloaded(self) -> list[str]:
        self.did.append('put back')
        return ['/etc/500.conf'] if self.ours else []


RELOADED = 'reload engine.service'


def test_a_reload_is_proved_by_what_it_says() -> None:
    service = FakeReloadable(RELOAD, '')
    assert service.apply() == Outcome(True, 'reload', proved=True, plan=RELOAD)
    assert service.did == [RELOADED, 'read']
    assert FakeReloadable(RELOAD).apply(check_mode=True) == Outcome(True, 'reload', plan=RELOAD)


def test_what_a_reload_can_do_is_done_while_a_restart_waits() -> None:
    service = FakeReloadable(BOTH, '')
    found = service.apply()
    assert (found.action, found.proved, found.pending) == ('reload', True, ['It would stop containers.'])
    assert service.did == [RELOADED, 'read']


def test_a_quiet_one_is_listened_to_and_proves_nothing() -> None:
    service = FakeReloadable(RELOAD, None, quiet=True)
    assert service.apply() == Outcome(True, 'reload', proved=False, plan=RELOAD)
    assert service.did == [RELOADED, 'read']
    assert 103 < service.time < 106


def test_where_nobody_keeps_its_log_it_cannot_have_refused() -> None:
    service = FakeReloadable(RELOAD, None)
    service.speaks = False
    assert service.apply(timeout=5.0) == Outcome(True, 'reload', proved=False, plan=RELOAD)
    assert service.did == [RELOADED, 'read']


REFUSED: list[tuple[tuple[str | None, ...], dict[str, t.Any], str, list[str]]] = [
    (('bad file', ''), {}, 'reloaded: bad file Put back as before: /etc/500.conf. It goes on as before.', [RELOADED, 'put back', RELOADED]),
    (('bad file', 'other file'), {}, 'so another file is the cause: other file Mend it', [RELOADED, 'put back', RELOADED]),
    (('bad file',), {'rollback': False}, 'bad file Nothing was put back (rollback: false).', [RELOADED]),
    ((None, ''), {'timeout': 5.0}, 'it said nothing of it within 5 s.', [RELOADED, 'put back', RELOADED]),
]


@pytest.mark.parametrize('said, options, told, did', REFUSED)
def test_one_that_does_not_take_it(said: tuple[str | None, ...], options: dict[str, t.Any], told: str, did: list[str]) -> None:
    service = FakeReloadable(RELOAD, *said)
    assert told in failure(service, **options)
    assert service.did == did


def test_one_that_has_nothing_of_ours_to_put_back() -> None:
    service = FakeReloadable(RELOAD, 'bad file', ours=False)
    assert 'Nothing of this collection was changed' in failure(service)
    service = FakeReloadable(RELOAD, '', ours=False)
    service.refuses = 'Job type reload is not applicable for unit engine.service.'
    assert 'systemctl did not reload it: Job type reload' in failure(service)
