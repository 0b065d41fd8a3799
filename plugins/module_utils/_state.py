# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a host keeps what the collection knows about it. Nothing here touches the disk except to resolve symlinks."""

from __future__ import annotations

import hashlib
import os
import urllib.parse
from dataclasses import dataclass

STATE_DIR = '/var/lib/quickpull.registry'

# A file name may have 255 bytes on the usual file systems; suffixes for backups and temporary files come on top.
_MAX_NAME = 180


def escape_path(path: str) -> str:
    """One file name for an absolute path, different for different files and readable by a person.

    Symlinks are resolved: the record belongs to the file that is written, whatever name led to it.
    """
    real = os.path.realpath(path)
    name = urllib.parse.quote(real, safe='')
    if len(name) > _MAX_NAME:
        name = f'{name[-100:]}.{hashlib.sha256(real.encode()).hexdigest()[:16]}'
    return name


@dataclass(frozen=True)
class State:
    """All paths below one root (mode 0700)."""

    root: str = STATE_DIR

    def ownership(self, path: str) -> str:
        """Record of who owns what in the file ``path``."""
        return os.path.join(self.root, 'ownership', escape_path(path) + '.json')

    def files(self, kind: str) -> str:
        """Record of the files of one kind that are wholly ours."""
        return os.path.join(self.root, 'files', kind + '.json')

    @property
    def users(self) -> str:
        """Which users were given files in their homes, by what reads them."""
        return os.path.join(self.root, 'users.json')

    def strangers(self, engine: str) -> str:
        """Which of the engine's mirrors belong to third parties."""
        return os.path.join(self.root, engine, 'strangers.json')

    @property
    def edited(self) -> str:
        """What somebody edited in files that were wholly ours and are gone."""
        return os.path.join(self.root, 'edited')

    @property
    def backups(self) -> str:
        return os.path.join(self.root, 'backups')

    @property
    def journal(self) -> str:
        """What was there before each run's changes."""
        return os.path.join(self.root, 'journal')

    @property
    def lock(self) -> str:
        return os.path.join(self.root, 'lock')

    def applied(self, engine: str) -> str:
        """What the running engine has in force, as far as known."""
        return os.path.join(self.root, engine, 'applied.json')

    def intent(self, engine: str) -> str:
        """Exists while an apply is under way."""
        return os.path.join(self.root, engine, 'applying.json')

    def snapshot(self, engine: str, name: str) -> str:
        """A set of files as it was ``proved`` last, or ``original`` before our first write."""
        return os.path.join(self.root, engine, f'{name}.snapshot.json')

    @property
    def hash_key(self) -> str:
        """32 random bytes (0600) for the keyed hashes in the applied record."""
        return os.path.join(self.root, 'hash.key')
