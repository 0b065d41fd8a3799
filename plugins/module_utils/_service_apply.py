# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restarting or reloading an engine's service through systemd: where it is allowed, with a proof, and with the way back when the proof fails.

How Docker is applied is a matter of its own (_docker_apply), since it reloads, and tells what it has in force. The others have this in common.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils import _systemd
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._plan import NONE, RELOAD, Plan, as_dict, restart_allowed

# Between two looks at a service that starts.
_PAUSE = 0.2
# A unit that fails is started again by systemd after a while (Restart=); so long it may be down before it counts as failed.
_GRACE = 6.0
# So long a service that does not tell of a reload that went well is listened to for one that did not.
_LISTEN = 4.0


class Service(t.Protocol):
    """One engine's service, as an apply needs it."""

    @property
    def unit(self) -> str:
        """The systemd unit."""

    def plan(self) -> Plan:
        """What the running service needs for what is written."""

    def failures(self, started_before: str | None) -> list[str]:
        """Why the service is not as its files want it, a sentence each; empty once that is proved.

        :param started_before: the start that is to be over.
        """

    def start_id(self) -> str | None:
        """What no other start of the service has; None while it does not run."""

    def alive(self) -> bool:
        """Whether it runs and answers, whatever its configuration."""

    def proved(self) -> None:
        """Remember that what is written is in force."""

    def put_back(self) -> list[str]:
        """Put back the files as they were before us. Returns their paths."""

    def says(self, since: float) -> str:
        """The last thing it said of a failure in its journal, since then (epoch seconds); empty for nothing."""


class Reloadable(Service, t.Protocol):
    """A service that takes some changes by a reload, of which systemctl's exit code tells nothing."""

    def reloaded(self, since: float) -> str | None:
        """What became of a reload since then (epoch seconds): empty when it was taken, else why it was not; None while it is not known."""

    def heard(self, since: float) -> bool:
        """Whether it said anything at all since then; where nobody keeps its log, it cannot be believed to have refused."""

    def quiet(self) -> bool:
        """Whether it does not tell of a reload that went well."""

    def put_back_reloaded(self) -> list[str]:
        """Put back the files that a reload is about. Returns their paths."""

    def read(self) -> None:
        """Remember that it has read what a reload is about."""


@dataclass(frozen=True)
class Options:
    """``restart``: auto, never or always. ``timeout``: seconds for the service to come up and to answer."""

    restart: str = 'auto'
    rollback: bool = True
    timeout: float = 60.0


@dataclass(frozen=True)
class Clock:
    """Time, and systemctl. Tests put their own in their place."""

    monotonic: t.Callable[[], float] = time.monotonic
    now: t.Callable[[], float] = time.time
    sleep: t.Callable[[float], None] = time.sleep
    systemctl: t.Callable[..., _systemd.Result] = _systemd.systemctl


@dataclass
class Outcome:
    """What was done.

    :ivar action: what was, or in check mode would be, done. ``proved``: the service then came up as wanted.
    :ivar pending: why a restart has to wait, one sentence each.
    """

    changed: bool = False
    action: str = NONE
    proved: bool = False
    pending: list[str] = field(default_factory=list)
    plan: Plan = field(default_factory=Plan)

    def as_dict(self) -> dict[str, t.Any]:
        return {**vars(self), 'plan': as_dict(self.plan)}


def apply(service: Service, options: Options, *, check_mode: bool = False, clock: Clock | None = None) -> Outcome:
    """Bring into force what is written.

    :raises ConfigError: when the service did not come up as wanted. It names what was put back, and whether the service runs again.
    """
    clock = clock or Clock()
    foreseen = foresee(service.plan(), options)
    if check_mode or not foreseen.changed:
        return foreseen
    if foreseen.action == RELOAD:
        return _reload(t.cast(Reloadable, service), foreseen, options, clock)
    before, since = service.start_id(), clock.now()
    refused = _start(service.unit, clock)
    failures = [refused] if refused else _wait(lambda: service.failures(before), service, options.timeout, clock)
    if failures:
        _roll_back(service, options, clock, failures, since)
    service.proved()
    foreseen.proved = True
    return foreseen


def foresee(plan: Plan, options: Options) -> Outcome:
    """What will be done about a plan."""
    if plan.action == NONE:
        return Outcome(plan=plan)
    if plan.action == RELOAD:
        return Outcome(True, RELOAD, plan=plan)
    permission = restart_allowed(plan, options.restart)
    if not permission.allowed:
        # What a reload can do is done meanwhile.
        action = RELOAD if plan.reload_keys else NONE
        return Outcome(action == RELOAD, action, pending=list(permission.because), plan=plan)
    return Outcome(True, plan.action, plan=plan)


def _reload(service: Reloadable, foreseen: Outcome, options: Options, clock: Clock) -> Outcome:
    """Reload, and listen to what the service says of it."""
    since = clock.now()
    said = _listen(service, since, options.timeout, clock)
    if said:
        what = f'{service.unit} did not take its configuration when it was reloaded: {said}'
        if not options.rollback:
            raise ConfigError(f'{what} Nothing was put back (rollback: false).', key=service.unit)
        try:
            paths = service.put_back_reloaded()
        except ConfigError as exc:
            raise ConfigError(f'{what} It could not be put back: {exc}', key=service.unit) from exc
        if not paths:
            raise ConfigError(f'{what} It goes on with the old one. Nothing of this collection was changed since that was read.', key=service.unit)
        again = _listen(service, clock.now(), options.timeout, clock)
        state = f'It does not take that either, so another file is the cause: {again} Mend it, or the next start fails.' if again else 'It goes on as before.'
        raise ConfigError(f'{what} Put back as before: {", ".join(paths)}. {state}', key=service.unit)
    service.read()
    foreseen.proved = said is not None
    return foreseen


def _listen(service: Reloadable, since: float, timeout: float, clock: Clock) -> str | None:
    """Reload and wait for a word. Empty when it was taken, None when a quiet service did not complain, else why it was not taken."""
    told = clock.systemctl('reload', service.unit, timeout=timeout)
    if told.rc:
        lines = (told.stderr or told.stdout).strip().splitlines() or [f'exit code {told.rc}']
        return f'systemctl did not reload it: {lines[-1]}'
    quiet = service.quiet()
    end = clock.monotonic() + (_LISTEN if quiet else timeout)
    while True:
        said = service.reloaded(since)
        if said is not None:
            return said
        if clock.monotonic() >= end:
            return None if quiet or not service.heard(since) else f'it said nothing of it within {timeout:g} s.'
        clock.sleep(_PAUSE)


def _start(unit: str, clock: Clock) -> str:
    """Have it restarted. Returns why systemd refused to, in a sentence; empty when it did not."""
    clock.systemctl('daemon-reload', timeout=90)
    clock.systemctl('reset-failed', unit)
    told = clock.systemctl('--no-block', 'restart', unit)
    said = (told.stderr or told.stdout).strip().splitlines() or [f'exit code {told.rc}']
    return f'systemctl did not restart it: {said[-1]}' if told.rc else ''


def _wait(failures: t.Callable[[], list[str]], service: Service, timeout: float, clock: Clock) -> list[str]:
    """Look until nothing is wrong any more, or the time is over. A service that stays down is not waited for to the end."""
    began = clock.monotonic()
    up = began
    while True:
        found = failures()
        now = clock.monotonic()
        if not found or now - began >= timeout:
            return found
        if service.start_id():
            up = now
        elif now - up >= _GRACE:
            return found
        clock.sleep(_PAUSE)


def _roll_back(service: Service, options: Options, clock: Clock, failures: list[str], since: float) -> t.NoReturn:
    said = service.says(since)
    what = f'{service.unit} did not come up as wanted within {options.timeout:g} s: {" ".join(failures)}' + (f' It says: {said}' if said else '')
    if not options.rollback:
        raise ConfigError(f'{what} Nothing was put back (rollback: false).', key=service.unit)
    try:
        paths = service.put_back()
    except ConfigError as exc:
        raise ConfigError(f'{what} It could not be put back: {exc}', key=service.unit) from exc
    if not paths:
        raise ConfigError(f'{what} Nothing was put back, because what this collection wrote was proved before, or is not what is wrong.', key=service.unit)
    before = service.start_id()
    refused = _start(service.unit, clock)

    def down() -> list[str]:
        again = bool(refused) or service.start_id() not in (None, before)
        return [] if again and service.alive() else ['It does not run.']

    failed = _wait(down, service, options.timeout, clock)
    state = f'It does not run again even so: look at journalctl -u {service.unit}' if failed else 'It runs as before' if refused else 'It runs again'
    raise ConfigError(f'{what} Put back as before: {", ".join(paths)}. {state}.', key=service.unit)
