# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CRI-O's service as an apply sees it.

A reload is proved by its log alone: ``systemctl reload`` ends well whatever the files hold, and what was not taken then keeps CRI-O from starting the
next time (measured on 1.30, 1.34 and 1.37). A restart is proved by its own word for what it has in force, and by its environment.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.quickpull.registry.plugins.module_utils import _crio_conf, _crio_registries, _dropin, _io, _service_facts, _snapshot, _systemd
from ansible_collections.quickpull.registry.plugins.module_utils._crio_conf import START
from ansible_collections.quickpull.registry.plugins.module_utils._engines import crio
from ansible_collections.quickpull.registry.plugins.module_utils._engines.crio import Crio, Host
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text
from ansible_collections.quickpull.registry.plugins.module_utils._plan import DROPIN, NONE, Plan
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

# cri-o, pkg/config/reload.go and cmd/crio/main.go
_APPLIED = 'applied new registry configuration'
_REFUSED = ('unable to reload configuration', 'registries reload failed')
_FATAL = ('level=fatal', 'level=error', 'crio: ')


def keep_for_start(state: State, host: Host, found: Crio, paths: t.Sequence[str]) -> None:
    """Put files that are read at a start aside before they are changed, as they were proved last: what waits for a start since then stays."""
    if not found.running:
        return
    if CrioService(state, host).start_plan(found).action == NONE:
        _snapshot.drop(state, START, _snapshot.PROVED)
    _snapshot.save_once(state, START, _snapshot.PROVED, paths)


class CrioService:
    """Implements :class:`_service_apply.Reloadable`."""

    def __init__(self, state: State, host: Host | None = None) -> None:
        self.state = state
        self.host = host or Host()
        self._unit = ''

    @property
    def unit(self) -> str:
        if not self._unit:
            self._unit = self.look().unit or crio.UNIT
        return self._unit

    def look(self) -> Crio:
        return crio.inspect(self.host)

    def plan(self) -> Plan:
        found = self.look()
        by_reload = _crio_registries.plan(found, self.state)
        by_start = self.start_plan(found)
        if by_start.action == NONE:
            return by_reload
        return replace(by_start, reload_keys=by_reload.reload_keys, reasons=by_reload.reasons + by_start.reasons)

    def start_plan(self, found: Crio) -> Plan:
        """What of it needs a restart."""
        if not found.running:
            return Plan()
        reasons = {DROPIN: _dropin.restart_reasons(self._proxies(found), found), _crio_conf.KEY: _crio_conf.restart_reasons(found, self.state)}
        keys = [key for key, told in reasons.items() if told]
        return _service_facts.restart_plan(found, 'CRI-O', keys, [reason for told in reasons.values() for reason in told])

    def _proxies(self, found: Crio) -> dict[str, str]:
        """What our drop-in gives the process; what it used to give is empty."""
        return _dropin.dropin_environ(_dropin.default_path(found.unit or crio.UNIT), found, self.host.root)

    def failures(self, started_before: str | None) -> list[str]:
        found = self.look()
        if not found.running or found.start_id in (None, started_before):
            return ['It has not started.']
        if found.error:
            return [found.error]
        return _dropin.restart_reasons(self._proxies(found), found) or _crio_conf.restart_reasons(found, self.state)

    def start_id(self) -> str | None:
        return _service_facts.start_id(self.host, self.unit)

    def alive(self) -> bool:
        found = self.look()
        return found.running and not found.error

    def reloaded(self, since: float) -> str | None:
        for line in _systemd.journal(self.unit, since, runner=self.host.run):
            if _APPLIED in line.lower():
                return ''  # what fails behind this (profiles, runtimes) is told as a refusal too, and is none of ours
            if any(part in line.lower() for part in _REFUSED):
                return mask_text(line)[:600]
        return None

    def heard(self, since: float) -> bool:
        return bool(_systemd.journal(self.unit, since, runner=self.host.run))

    def quiet(self) -> bool:
        return self.look().quiet

    def read(self) -> None:
        with _io.locked(self.state):
            _crio_registries.proved(self.state, self.start_id() or '')

    def proved(self) -> None:
        """A start reads everything."""
        with _io.locked(self.state):
            _crio_registries.proved(self.state, self.start_id() or '')
            _snapshot.drop(self.state, START, _snapshot.PROVED)

    def put_back_reloaded(self) -> list[str]:
        with _io.locked(self.state):
            return _snapshot.put_back(self.state, _crio_registries.ENGINE)

    def put_back(self) -> list[str]:
        with _io.locked(self.state):
            return _snapshot.put_back(self.state, START) + _snapshot.put_back(self.state, _crio_registries.ENGINE)

    def says(self, since: float) -> str:
        lines = [line for line in _systemd.journal(self.unit, since, runner=self.host.run) if any(part in line.lower() for part in _FATAL)]
        return mask_text(lines[-1])[:600] if lines else ''
