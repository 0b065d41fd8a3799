# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which users were given files in their homes, so that a run that names them no more can still take those away."""

from __future__ import annotations

import json
import os
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _io
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

PODMAN = 'podman'
BUILDKIT = 'buildkit'


def recall(state: State) -> t.Dict[str, t.List[str]]:
    """Users by what reads their files. Nothing for whoever may not read the record, or where it is damaged."""
    try:
        told = json.loads(_io.read_file(state.users).data or b'{}')
        return {str(reader): sorted(map(str, users)) for reader, users in told.items() if users}
    except (ConfigError, ValueError, TypeError, AttributeError):
        return {}


def remember(state: State, reader: str, user: str, has_files: bool) -> None:
    """Note that a user has files of ours, or has none any more. Only root keeps the record: where a user runs, it is the user's own business.

    :raises ConfigError: when it cannot be written.
    """
    if os.geteuid() != 0:
        return
    with _io.locked(state):
        before = recall(state)
        users = {*before.get(reader, ()), user} if has_files else {*before.get(reader, ())} - {user}
        after = {**before, reader: sorted(users)}
        after = {name: names for name, names in after.items() if names}
        if after == before:
            return
        if after:
            _io.write_private(state.users, (json.dumps(after, indent=1) + '\n').encode(), root=state.root)
        else:
            _io.delete_file(state.users)
