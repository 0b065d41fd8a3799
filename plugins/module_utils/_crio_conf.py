# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The drop-in that tells CRI-O which file has its logins.

CRI-O takes the path when it starts, and reads the file at each pull (measured on 1.30, 1.34 and 1.37).
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils import _owned_files, _snapshot, _toml
from ansible_collections.quickpull.registry.plugins.module_utils._engines import crio
from ansible_collections.quickpull.registry.plugins.module_utils._engines.crio import Crio, Host
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import FIRST_LINE, Content
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

KIND = 'crio-conf'
KEY = 'global_auth_file'
FILE_NAME = '50-quickpull.conf'
#: What is written for a start of CRI-O, and put aside before that.
START = 'crio-start'


@dataclass(frozen=True)
class Wanted:
    """What the drop-in is to be.

    :ivar left: why it is left out, in a sentence; empty when it is not.
    :ivar value: what CRI-O is then told by all of its files together.
    """

    path: str
    files: _owned_files.Plan
    left: str = ''
    value: str = ''


def default_path(found: Crio) -> str:
    return os.path.join(found.config_dir, FILE_NAME)


def plan(record: _owned_files.Record, owner: str, found: Crio, auth_file: str, host: Host) -> Wanted:
    """Compute the drop-in; an empty ``auth_file`` takes it away.

    What somebody else says of the key is theirs, and so ours is left out then.

    :raises ConfigError: for a path that is none, or for a file of the configuration that cannot be understood.
    """
    path = host.path(default_path(found))
    if auth_file and not (auth_file.startswith('/') and auth_file.isprintable()):
        raise ConfigError(f'{KEY}: {auth_file!r} is no absolute path.', key=KEY)
    left, content = '', None
    try:
        said = crio.settings_in(found, host, without=default_path(found)).get('image', {}).get(KEY, crio.Setting())
    except ConfigError:
        if auth_file:
            raise
        said = crio.Setting()  # what others broke keeps ours from nothing when it goes
    value = said.value
    if found.auth_file.value and not found.auth_file.path:
        value = found.auth_file.value
    if auth_file:
        by_flag = found.auth_file.value if not found.auth_file.path else ''
        if by_flag:
            left = f'{found.unit} starts CRI-O with a {KEY} of its own, {by_flag}; that wins over files.'
        elif said.value and said.value != auth_file:
            left = f'{said.path} already sets {KEY} = "{said.value}"; it is left to that file.'
        elif not said.value:
            value = auth_file
            content = Content(f'{FIRST_LINE}\n[crio.image]\n{KEY} = {_toml.quote(auth_file)}\n')
    return Wanted(path, _owned_files.plan(record, owner, {path: content}), left, value)


def restart_reasons(found: Crio, state: State) -> list[str]:
    """Why the running CRI-O needs a restart for our drop-in to count, or to count no more; none when it does not run, or does not tell."""
    if found.auth_file_in_force is None or found.auth_file.value == found.auth_file_in_force:
        return []
    aside = _snapshot.load(state, START, _snapshot.PROVED)
    ours = found.auth_file.path == default_path(found)
    if not ours and not (aside and any(entry.path.endswith(f'/{FILE_NAME}') for entry in aside.files)):
        return []
    return [f'The running CRI-O has {KEY} = "{found.auth_file_in_force}", not "{found.auth_file.value}", and reads it when it starts alone.']


def predicted_reasons(found: Crio, wanted: Wanted) -> t.List[str]:
    """The same for a drop-in that is to change."""
    if found.auth_file_in_force is None or found.auth_file_in_force == wanted.value:
        return []
    return [f'CRI-O reads {KEY} when it starts alone.']
