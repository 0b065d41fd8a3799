# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the running CRI-O has read our drop-ins for registries, of which it tells nothing but a line in its log.

It reads them when it starts and when it is reloaded. So what was proved is kept: the start of the process, and what our drop-ins held then. A process
that began after our files were written has read them as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import typing as t
from dataclasses import asdict, dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils import _io, _owned_files, _snapshot
from ansible_collections.quickpull.registry.plugins.module_utils._engines.crio import Crio
from ansible_collections.quickpull.registry.plugins.module_utils._plan import NONE, RELOAD, Plan
from ansible_collections.quickpull.registry.plugins.module_utils._registries_plan import KIND
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

ENGINE = 'crio'
KEY = 'registries'

_FORMAT = 1


@dataclass(frozen=True)
class Read:
    """What CRI-O was proved to have read: by which ``start`` of it, and our drop-ins then (SHA-256 by path)."""

    start: str = ''
    files: t.Mapping[str, str] = field(default_factory=dict)


def load(state: State) -> Read:
    """What was proved last; nothing where the record is missing or not understood, which costs a reload at worst."""
    data = _io.read_file(state.applied(ENGINE)).data
    try:
        raw = json.loads(data or b'{}')
        return Read(str(raw['start']), {str(path): str(found) for path, found in raw['files'].items()}) if raw.get('format') == _FORMAT else Read()
    except (ValueError, KeyError, TypeError, AttributeError):
        return Read()


def ours(state: State) -> dict[str, str]:
    """Our drop-ins as they are: SHA-256 by path."""
    found = {}
    for path in _owned_files.load(state, KIND):
        data = _io.read_file(path).data if path.endswith('.conf') else None
        if data is not None:
            found[path] = hashlib.sha256(data).hexdigest()
    return found


def plan(found: Crio, state: State) -> Plan:
    """A reload where the running process has not read what our drop-ins hold."""
    if not found.running:
        return Plan()
    aside = _snapshot.load(state, ENGINE, _snapshot.PROVED)
    changed = {entry.path for entry in aside.files} if aside else set()
    return Plan() if _has_read(found, load(state), ours(state), changed) else predicted_plan(found)


def predicted_plan(found: Crio) -> Plan:
    """What a running CRI-O needs once our drop-ins change."""
    if not found.running:
        return Plan()
    return Plan(RELOAD, reload_keys=(KEY,), reasons=('CRI-O reads registries.conf.d when it starts or is reloaded.',))


def _has_read(found: Crio, read: Read, now: t.Mapping[str, str], changed: t.Collection[str]) -> bool:
    if read.start == found.start_id:
        return dict(read.files) == dict(now)
    # What was taken away leaves no file to look at, but its directory.
    gone = {os.path.dirname(path) for path in (*read.files, *changed) if path not in now}
    times = [os.stat(path).st_ctime for path in now] + [os.stat(path).st_mtime for path in gone if os.path.isdir(path)]
    return all(found.started_at is not None and time < found.started_at for time in times)


def proved(state: State, start: str) -> None:
    """Remember that the process of this start has read our drop-ins as they are."""
    now = ours(state)
    if now:
        _io.write_private(state.applied(ENGINE), json.dumps({'format': _FORMAT, **asdict(Read(start, now))}, indent=1).encode(), root=state.root)
    else:
        _io.delete_file(state.applied(ENGINE))
    _snapshot.drop(state, ENGINE, _snapshot.PROVED)


def keep_proved(state: State, found: Crio, paths: t.Iterable[str]) -> None:
    """Put drop-ins aside before they are changed, as CRI-O was proved to have read them last: what was put aside before stays."""
    if not found.running:
        return
    if plan(found, state).action == NONE:  # what was put aside before has come into force since, by a start of its own
        _snapshot.drop(state, ENGINE, _snapshot.PROVED)
    _snapshot.save_once(state, ENGINE, _snapshot.PROVED, paths)
