# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One id for all that one ansible-playbook does, on every host and in every wave.

Ansible forks a process for each task and host. Whatever is imported before, as the filters are that a task's name needs, they share; so the moment of
the import is the same in all of them.
"""

from __future__ import annotations

import multiprocessing
import os
import time

from ansible_collections.quickpull.registry.plugins.module_utils import _journal

_IMPORTED_BY = os.getpid()
_STAMP = _journal.stamp()


def run_id(kind: str) -> str:
    """The id of this run, ``kind`` behind its time."""
    parent = multiprocessing.parent_process()
    if parent is None or os.getpid() != _IMPORTED_BY:
        return f'{_STAMP}-{kind}'
    # Imported by a process for one task alone: what they share is the day, and who forked them.
    return f'{time.strftime("%Y%m%d", time.gmtime())}T000000.{(parent.pid or 0) % 1000000:06d}Z-{kind}'
