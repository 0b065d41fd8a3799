# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an apply is about to do to a daemon: written before, removed after, so that a killed run is seen by the next one."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass

from ansible_collections.quickpull.registry.plugins.module_utils._io import read_file, write_private
from ansible_collections.quickpull.registry.plugins.module_utils._procfs import start_ticks
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

RELOADING = 'reload'
RESTARTING = 'restart'
ROLLING_BACK = 'rollback'


@dataclass(frozen=True)
class Intent:
    """One apply under way.

    :ivar what: ``reload``, ``restart`` or ``rollback``.
    :ivar config_path: daemon.json.
    :ivar was_active: the daemon ran before, so it must run after.
    :ivar start_id: of the daemon before (see DockerDaemon), empty when it did not run.
    :ivar content: keyed hash of the file that is being brought into force.
    :ivar pid: of the process that does it; ``start_ticks`` tells it from a later process with the same number.
    :ivar time: epoch seconds.
    """

    what: str
    config_path: str
    was_active: bool
    start_id: str = ''
    content: str = ''
    pid: int = 0
    start_ticks: int = 0
    time: float = 0.0

    @property
    def alive(self) -> bool:
        """Whether the process that wrote it still runs."""
        return self.pid > 0 and start_ticks(self.pid) == self.start_ticks


def declare(state: State, engine: str, intent: Intent) -> Intent:
    """Write down what this process is about to do.

    :raises ConfigError: when it cannot be written.
    """
    pid = os.getpid()
    mine = Intent(
        what=intent.what,
        config_path=intent.config_path,
        was_active=intent.was_active,
        start_id=intent.start_id,
        content=intent.content,
        pid=pid,
        start_ticks=start_ticks(pid) or 0,
        time=time.time(),
    )
    write_private(state.intent(engine), json.dumps(asdict(mine)).encode(), root=state.root)
    return mine


def load(state: State, engine: str) -> Intent | None:
    """The intent on disk, None when there is none. One that cannot be understood counts as one of a dead process."""
    data = read_file(state.intent(engine)).data
    if data is None:
        return None
    try:
        raw = json.loads(data.decode('utf-8'))
        return Intent(
            what=str(raw['what']),
            config_path=str(raw['config_path']),
            was_active=raw['was_active'] is True,
            start_id=str(raw['start_id']),
            content=str(raw['content']),
            pid=int(raw['pid']),
            start_ticks=int(raw['start_ticks']),
            time=float(raw['time']),
        )
    except (ValueError, KeyError, TypeError):
        return Intent(what=RESTARTING, config_path='', was_active=True)


def interrupted(state: State, engine: str) -> bool:
    """Whether a run died while it applied a change, and nobody has looked after it since."""
    intent = load(state, engine)
    return intent is not None and not intent.alive


def clear(state: State, engine: str) -> None:
    """All is done, or put back."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(state.intent(engine))
