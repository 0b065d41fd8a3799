# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The service of K3s or RKE2 as an apply sees it: registries.yaml counts from its next start on.

What was there at its last start is put aside before the file changes, so that this also tells whether it has changed since.
"""

from __future__ import annotations

import os
from dataclasses import replace

from ansible_collections.quickpull.registry.plugins.module_utils import _io, _k3s_registries, _owned_files, _service_facts, _snapshot, _systemd
from ansible_collections.quickpull.registry.plugins.module_utils._engines import k3s
from ansible_collections.quickpull.registry.plugins.module_utils._engines.k3s import Host, K3s
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text
from ansible_collections.quickpull.registry.plugins.module_utils._plan import NONE, Plan
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

KEY = 'registries.yaml'

_SAID = ('level=fatal', 'level=error')


def keep(state: State, found: K3s, host: Host) -> None:
    """Put the file aside before it is changed, as it was at the last start: what was put aside before stays."""
    if not found.running:
        return
    if plan(state, found).action == NONE:  # what was put aside before has come into force since, by a start of its own
        _snapshot.drop(state, found.name, _snapshot.PROVED)
    _snapshot.save_once(state, found.name, _snapshot.PROVED, [host.path(found.registries_path)])


def plan(state: State, found: K3s) -> Plan:
    """A restart where our file has changed since the process was started."""
    if not found.running or _snapshot.load(state, found.name, _snapshot.PROVED) is None:
        return Plan()
    changed = os.stat(state.snapshot(found.name, _snapshot.PROVED)).st_mtime
    if found.started_at is not None and found.started_at > changed:
        return Plan()
    return predicted_plan(found)


def predicted_plan(found: K3s) -> Plan:
    """What a running one needs once its file has changed."""
    if not found.running:
        return Plan()
    made = _service_facts.restart_plan(found, found.name, (KEY,), (f'{found.name} reads {KEY} when it starts alone.',))
    if found.role != k3s.SERVER or made.action == NONE:
        return made
    why = f'{found.unit} is a server: a restart interrupts the API of the cluster, and etcd with it where that is on this host.'
    return replace(made, blockers=(*made.blockers, 'server'), blocked_because=(*made.blocked_because, why))


class K3sService:
    """Implements :class:`_service_apply.Service`."""

    def __init__(self, name: str, state: State, host: Host | None = None) -> None:
        self.name, self.state = name, state
        self.host = host or Host()
        self._unit = ''

    @property
    def unit(self) -> str:
        if not self._unit:
            self._unit = self.look().unit or k3s.UNITS[self.name][0][0]
        return self._unit

    def look(self) -> K3s:
        return k3s.inspect(self.name, self.host)

    def plan(self) -> Plan:
        return plan(self.state, self.look())

    def failures(self, started_before: str | None) -> list[str]:
        found = self.look()
        if not found.running or found.start_id in (None, started_before):
            return ['It has not started.']
        unanswered = k3s.cri_error(self.host)
        if unanswered:
            return [unanswered]
        given = k3s.given_to_containerd(found, self.host)
        missing = [url for url in self._endpoints(found) if _k3s_registries.host_of(url) not in given]
        return [f'It gave its containerd nothing of {", ".join(missing)}.'] if missing else []

    def _endpoints(self, found: K3s) -> list[str]:
        text = _io.read_text(self.host.path(found.registries_path)) or ''
        if not text.startswith(_owned_files.FIRST_LINE):
            return []
        return [url for urls in _k3s_registries.parse_ours(text).endpoints.values() for url in urls]

    def start_id(self) -> str | None:
        return _service_facts.start_id(self.host, self.unit)

    def alive(self) -> bool:
        return self.look().running and not k3s.cri_error(self.host)

    def proved(self) -> None:
        with _io.locked(self.state):
            _snapshot.drop(self.state, self.name, _snapshot.PROVED)

    def put_back(self) -> list[str]:
        with _io.locked(self.state):
            return _snapshot.put_back(self.state, self.name)

    def says(self, since: float) -> str:
        lines = [line for line in _systemd.journal(self.unit, since, runner=self.host.run) if any(part in line.lower() for part in _SAID)]
        return mask_text(lines[-1])[:600] if lines else ''
