# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carrying out a migration of containerd's tables: asked beforehand, written, proved by the CRI, and put back when that fails."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import os
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _containerd_config, _containerd_registry, _io, _owned_files, _service_facts, _snapshot
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_migration import Migration, migrate, tables_in
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_service import ContainerdService
from ansible_collections.quickpull.registry.plugins.module_utils._engines.containerd import Containerd, Host
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._plan import Plan
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

#: Under which name what was there before is put aside.
SET = 'containerd-migration'


def plan(found: Containerd, directory: str, host: Host) -> Migration | None:
    """What is to be done on this host; None where there are no tables.

    :raises ConfigError: where they cannot be translated, where others' files are in the way, or where containerd would make anything else of the
        new text than was meant.
    """
    if found.registry is None:
        raise ConfigError(found.config_error or f'{found.config_path} cannot be understood.', path=found.config_path)
    place = host.path(found.config_path)
    source = _io.read_file(place)
    migration = migrate(_io.text_of(source) or '', found.dump, directory, found.config_path)
    if migration is None:
        return None
    if found.registry.config_path not in ('', directory):
        raise ConfigError(
            f'{found.config_path} has config_path = "{found.registry.config_path}" beside the tables, with which the CRI does not start. Take one of them out.',
            path=found.config_path,
        )
    kept = [path for path in migration.files if _owned_files.is_ours(_io.read_file(host.path(path)).data)]
    files = {path: wanted for path, wanted in migration.files.items() if path not in kept}
    for path, wanted in files.items():
        if (_io.read_text(host.path(path)) or wanted) != wanted:
            raise ConfigError(f'{path} is there already, and not what the tables say. Move it away, and run again.', path=path)
    _check(found, migration.text, directory, host)
    return dataclasses.replace(migration, source=source, files=files, kept=tuple(kept))


def _check(found: Containerd, text: str, directory: str, host: Host) -> None:
    dump = _containerd_registry.dump_of_text(found, text, host)
    registry = _containerd_config.registry_of(dump)
    mirrors, tls = tables_in(dump)
    if mirrors or tls:
        imports = ', '.join(one for one in dump.get('imports') or () if one != found.config_path)
        raise ConfigError(
            f'{found.config_path}: another file holds such tables too: {", ".join([*mirrors, *tls])} ({imports or "by an import"}). Move them into this file.',
            path=found.config_path,
        )
    if registry.config_path != directory or _rest(dump) != _rest(found.dump):
        raise ConfigError(
            f'{found.config_path}: containerd {found.version} would make something else of the file than was meant, so nothing was written. Migrate by hand.',
            path=found.config_path,
        )


def _rest(dump: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A dump without what the migration is about. Whether the CRI pulls by itself follows from the tables, so that may differ as well."""
    rest = copy.deepcopy(_containerd_config.without_config_path(dump))
    for plugin in (rest.get('plugins') or {}).values():
        registry = plugin.get('registry') if isinstance(plugin, dict) else None
        if isinstance(registry, dict):
            registry.pop('mirrors', None)
            configs = registry.pop('configs', None) or {}
            registry['logins'] = {name: one['auth'] for name, one in configs.items() if isinstance(one, dict) and one.get('auth')}
        if isinstance(plugin, dict):
            plugin.pop('use_local_image_pull', None)
    return rest


def write(state: State, found: Containerd, migration: Migration, host: Host) -> None:
    """Put aside what is there, then write: the files first, which mean nothing as long as config.toml does not name them.

    :raises ConfigError: when it cannot be written, or config.toml was changed since it was read. Then all is as it was.
    """
    config = host.path(found.config_path)
    paths = {host.path(path): text for path, text in migration.files.items()}
    with _io.locked(state):
        known = _snapshot.load(state, SET, _snapshot.PROVED)
        before = known.file(config) if known else None
        if before and migration.source and before.data != migration.source.data:
            _forget(state)  # of an earlier migration; what is there by now is what is to come back
        _snapshot.save_once(state, SET, _snapshot.PROVED, [config, *paths])
        _io.write_private(state.applied(SET), _hash(migration.text.encode()).encode(), root=state.root)
        try:
            for path, text in paths.items():
                _io.make_dirs(os.path.dirname(path))
                _io.write_atomic(path, text.encode())
            _io.write_atomic(config, migration.text.encode(), like=migration.source, expect=migration.source)
        except ConfigError:
            # config.toml itself is as it was: it is written last.
            _take_back(state, list(paths))
            raise


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _take_back(state: State, paths: t.Sequence[str]) -> None:
    """The new files go again, without a look at config.toml."""
    snapshot = _snapshot.load(state, SET, _snapshot.PROVED)
    if snapshot:
        _snapshot.restore(dataclasses.replace(snapshot, files=tuple(entry for entry in snapshot.files if entry.path in paths)))
    for path in paths:
        _remove_empty(os.path.dirname(path))
    _forget(state)


def _forget(state: State) -> None:
    _snapshot.drop(state, SET, _snapshot.PROVED)
    _io.delete_file(state.applied(SET))


class MigrationService(ContainerdService):
    """containerd with the new files in place. Its one plan is a restart, as long as it has not been started since."""

    def __init__(self, state: State, directory: str, host: Host | None = None) -> None:
        super().__init__(state, host)
        self.directory = directory

    def plan(self) -> Plan:
        found = self.look()
        if not found.running or self._came_into_force(found):
            return Plan()
        return _service_facts.restart_plan(found, 'containerd', ('config_path',), ('containerd reads config.toml only when it starts.',))

    def _came_into_force(self, found: Containerd) -> bool:
        """Whether a start since it was written has it in force: an earlier run died, and the host was started anew."""
        place = self.state.snapshot(SET, _snapshot.PROVED)
        if not os.path.exists(place) or found.started_at is None or found.started_at <= os.stat(place).st_mtime:
            return False
        return not self.failures(None)

    def failures(self, started_before: str | None) -> list[str]:
        found = self.look()
        if not found.running or found.start_id in (None, started_before):
            return ['It has not started.']
        if found.cri_error:
            return [found.cri_error]
        if found.cri_config_path not in (None, self.directory):
            return [f'Its CRI has config_path = "{found.cri_config_path}" in force.']
        return []

    def proved(self) -> None:
        with _io.locked(self.state):
            _forget(self.state)

    def put_back(self) -> list[str]:
        with _io.locked(self.state):
            written = (_io.read_text(self.state.applied(SET)) or '').strip()
            now = _io.read_file(self.host.path(self.look().config_path)).data or b''
            if _hash(now) != written:
                _forget(self.state)  # somebody edited it since: it is theirs by now
                return []
            snapshot = _snapshot.load(self.state, SET, _snapshot.PROVED)
            paths = _snapshot.put_back(self.state, SET)
            _forget(self.state)
            for entry in snapshot.files if snapshot else ():
                _remove_empty(os.path.dirname(entry.path))
        return paths


def _remove_empty(folder: str) -> None:
    """A directory with nothing in it would hide the one for all others; what is above it goes as well where it is empty then."""
    for path in (folder, os.path.dirname(folder)):
        if os.path.basename(path) in ('containerd', 'etc', '') or not os.path.isdir(path) or os.listdir(path):
            return
        os.rmdir(path)
