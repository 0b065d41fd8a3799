# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys that stand in daemon.json with an empty value only so that a running dockerd forgets what it has in force.

They go once that is proved, and with them the file and its directories where those are ours.
"""

from __future__ import annotations

from ansible_collections.quickpull.registry.plugins.module_utils import _ownership
from ansible_collections.quickpull.registry.plugins.module_utils._io import delete_file, read_file, write_atomic
from ansible_collections.quickpull.registry.plugins.module_utils._merge import Daemon, clear
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


def waiting(state: State, path: str) -> list[str]:
    """JSON pointers of the keys that wait.

    :raises ConfigError: when the ownership record cannot be read.
    """
    return list(_ownership.load(state, path).tombstones)


def finish(state: State, path: str, *, keep_file: bool) -> list[str]:
    """Delete them from the file.

    :param keep_file: the file is named by ``--config-file``, so dockerd would not start without it.
    :returns: their JSON pointers.
    :raises ConfigError: when the file or the record cannot be read or written.
    """
    record = _ownership.load(state, path)
    if not record.tombstones:
        return []
    current = read_file(path)
    result = clear(current.data, path, record, Daemon(keep_file=keep_file))
    _ownership.save(state, _ownership.either(record, result.record))
    if result.data is None:
        delete_file(path, expect=current)
        _ownership.remove_dirs(result.record)
    elif result.data != current.data:
        write_atomic(path, result.data, like=current, expect=current)
    _ownership.save(state, result.record)
    return record.tombstones
