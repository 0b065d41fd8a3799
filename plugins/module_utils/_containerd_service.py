# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""containerd's service as an apply sees it: proved by its CRI, since systemd calls it active while the CRI has failed."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.quickpull.registry.plugins.module_utils import _containerd_registry, _dropin, _io, _service_facts, _snapshot, _systemd
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_registry import Record
from ansible_collections.quickpull.registry.plugins.module_utils._engines import containerd
from ansible_collections.quickpull.registry.plugins.module_utils._engines.containerd import Containerd, Host
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text
from ansible_collections.quickpull.registry.plugins.module_utils._plan import NONE, Plan
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

_SAID = ('failed to load plugin', 'invalid plugin config', 'failed to load toml', 'level=fatal', 'containerd: ')


class ContainerdService:
    """Implements :class:`_service_apply.Service`."""

    def __init__(self, state: State, host: Host | None = None) -> None:
        self.state = state
        self.host = host or Host()

    @property
    def unit(self) -> str:
        return containerd.UNIT

    def look(self) -> Containerd:
        return containerd.inspect(self.host)

    def plan(self) -> Plan:
        found, record = self.look(), _containerd_registry.load(self.state)
        for_files = _containerd_registry.make_plan(found, record.directory, record) if record.ours else Plan()
        for_proxies = _service_facts.proxies_plan(found, 'containerd', _dropin.restart_reasons(self._proxies(found), found))
        if for_files.action == for_proxies.action:
            keys, reasons = for_files.restart_keys + for_proxies.restart_keys, for_files.reasons + for_proxies.reasons
            return replace(for_files, restart_keys=keys, reasons=reasons)
        return for_proxies if for_files.action == NONE else for_files

    def _proxies(self, found: Containerd) -> dict[str, str]:
        """What our drop-in gives the process; what it used to give is empty."""
        return _dropin.dropin_environ(_dropin.default_path(found.unit or containerd.UNIT), found, self.host.root)

    def failures(self, started_before: str | None) -> list[str]:
        found, record = self.look(), _containerd_registry.load(self.state)
        if not found.running or found.start_id in (None, started_before):
            return ['It has not started.']
        if found.cri_error:
            return [found.cri_error]
        return _dropin.restart_reasons(self._proxies(found), found) or (self._config_failures(found, record) if record.ours else [])

    def _config_failures(self, found: Containerd, record: Record) -> list[str]:
        if found.cri_config_path is not None and record.directory not in _containerd_registry.directories(found.cri_config_path):
            return [f'Its CRI has config_path = "{found.cri_config_path}" in force, not "{record.directory}".']
        if found.registry is None or record.directory not in _containerd_registry.directories(found.registry.config_path):
            return [found.config_error or f'{found.config_path} no longer holds config_path = "{record.directory}".']
        return []

    def start_id(self) -> str | None:
        return _service_facts.start_id(self.host, containerd.UNIT)  # asked for often while it starts

    def alive(self) -> bool:
        found = self.look()
        return found.running and not found.cri_error

    def proved(self) -> None:
        with _io.locked(self.state):
            record = _containerd_registry.load(self.state)
            _containerd_registry.save(self.state, replace(record, proved=self.start_id() or ''))
            _snapshot.drop(self.state, containerd.ENGINE, _snapshot.PROVED)

    def put_back(self) -> list[str]:
        with _io.locked(self.state):
            proxies = _snapshot.put_back(self.state, containerd.ENGINE)
            record = _containerd_registry.load(self.state)
            # What was proved before is not what went wrong now.
            if not record.ours or record.proved:
                return proxies
            change = _containerd_registry.plan_back(record, self.look())
            if not change.changed:
                return proxies
            _containerd_registry.write(self.state, change)
        return [*proxies, change.file.path]

    def says(self, since: float) -> str:
        lines = _systemd.journal(self.unit, since, runner=self.host.run)
        found = [line for line in lines if any(part in line.lower() for part in _SAID)]
        return mask_text(found[-1])[:600] if found else ''
