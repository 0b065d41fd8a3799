# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets of files put aside together, so that they can be put back together.

A snapshot holds, for each path, the content with mode and owner, or the fact that no file was there. Configuration and
ownership records are in one snapshot, because a record that does not belong to its file would call ours what is not.

Two names are in use: ``proved`` is what the running daemon was last seen to have in force, ``original`` is what was
there before the first write of this collection.
"""

from __future__ import annotations

import base64
import json
import os
import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils._dropin import default_path, leave_directory
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._io import (
    FileState,
    delete_file,
    make_dirs,
    read_file,
    write_atomic,
    write_private,
)
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

PROVED = 'proved'
ORIGINAL = 'original'

_FORMAT = 1


@dataclass(frozen=True)
class SavedFile:
    """One path of a snapshot; ``data`` is None when no file was there."""

    path: str
    data: bytes | None = None
    mode: int = 0o644
    uid: int = -1
    gid: int = -1


@dataclass(frozen=True)
class Snapshot:
    """What :func:`load` found.

    :ivar name: ``proved`` or ``original``.
    :ivar files: in the order in which they were saved.
    """

    name: str
    files: tuple[SavedFile, ...]

    def file(self, path: str) -> SavedFile | None:
        """The entry for ``path``, None when the snapshot does not speak of it."""
        real = os.path.realpath(path)
        for entry in self.files:
            if os.path.realpath(entry.path) == real:
                return entry
        return None


def docker_paths(state: State, config_path: str, unit: str = '') -> list[str]:
    """The files that make up Docker's configuration as far as this collection writes it: those of a snapshot.

    :param config_path: daemon.json.
    :param unit: the systemd service, for its proxy drop-in; by default docker.service.
    """
    return [config_path, default_path(unit), state.ownership(config_path)]


def _capture(path: str) -> SavedFile:
    state = read_file(path)
    if state.data is None:
        return SavedFile(path)
    return SavedFile(path, state.data, state.mode, state.uid, state.gid)


def _encode(entry: SavedFile) -> dict[str, t.Any]:
    if entry.data is None:
        return {'path': entry.path, 'data': None}
    return {
        'path': entry.path,
        'data': base64.b64encode(entry.data).decode('ascii'),
        'mode': entry.mode,
        'uid': entry.uid,
        'gid': entry.gid,
    }


def _decode(raw: dict[str, t.Any]) -> SavedFile:
    if raw['data'] is None:
        return SavedFile(str(raw['path']))
    data = base64.b64decode(raw['data'], validate=True)
    return SavedFile(str(raw['path']), data, int(raw['mode']), int(raw['uid']), int(raw['gid']))


def save(state: State, engine: str, name: str, paths: t.Iterable[str], *, keep: t.Collection[str] = ()) -> None:
    """Put the files at ``paths`` aside under ``name``, in place of what was there under that name.

    :param engine: whose files they are; an engine may have several sets.
    :param name: :data:`PROVED` or :data:`ORIGINAL`.
    :param paths: files that may or may not exist; each must be a regular file, or a symlink to one.
    :param keep: those of ``paths`` that are not read: what was there of them under that name stays, be it nothing.
    :raises ConfigError: when a file cannot be read or the snapshot cannot be written.
    """
    known = load(state, engine, name) if keep else None
    entries = [(known.file(path) if known else None) if path in keep else _capture(path) for path in dict.fromkeys(paths)]
    files = [_encode(entry) for entry in entries if entry is not None]
    text = json.dumps({'format': _FORMAT, 'files': files}, indent=1)
    write_private(state.snapshot(engine, name), text.encode(), root=state.root)


def save_once(state: State, engine: str, name: str, paths: t.Iterable[str]) -> bool:
    """Like :func:`save`, but a path that the snapshot already speaks of keeps its first content; paths that are new are added.

    :returns: whether anything was added.
    :raises ConfigError: see :func:`save`.
    """
    known = load(state, engine, name)
    missing = [path for path in dict.fromkeys(paths) if known is None or known.file(path) is None]
    if not missing:
        return False
    files = [_encode(entry) for entry in (known.files if known else ())]
    files += [_encode(_capture(path)) for path in missing]
    text = json.dumps({'format': _FORMAT, 'files': files}, indent=1)
    write_private(state.snapshot(engine, name), text.encode(), root=state.root)
    return True


def load(state: State, engine: str, name: str) -> Snapshot | None:
    """Read a snapshot; None when there is none, or when it cannot be understood (it is then as good as none)."""
    data = read_file(state.snapshot(engine, name)).data
    if data is None:
        return None
    try:
        raw = json.loads(data.decode('utf-8'))
        if raw['format'] != _FORMAT:
            return None
        return Snapshot(name, tuple(_decode(entry) for entry in raw['files']))
    except (ValueError, KeyError, TypeError):
        return None


def drop(state: State, engine: str, name: str) -> None:
    """Remove a snapshot; that there is none is fine."""
    delete_file(state.snapshot(engine, name))


def _restore_one(entry: SavedFile) -> bool:
    now = read_file(entry.path)
    if entry.data is None:
        if now.exists:
            delete_file(entry.path)
            leave_directory(entry.path, (now.data or b'').decode('utf-8', 'replace'))
        return now.exists
    if now.data == entry.data and now.mode == entry.mode:
        return False
    make_dirs(os.path.dirname(now.target))
    like = FileState(now.path, now.target, entry.data, None, entry.mode, entry.uid, entry.gid)
    write_atomic(entry.path, entry.data, like=like)
    return True


def put_back(state: State, engine: str) -> list[str]:
    """Put back what was put aside as it was proved last, and forget it. Returns the paths that changed. Raises ConfigError as :func:`restore` does."""
    snapshot = load(state, engine, PROVED)
    paths = restore(snapshot) if snapshot else []
    drop(state, engine, PROVED)
    return paths


def restore(snapshot: Snapshot) -> list[str]:
    """Put all files of a snapshot back, each atomically; doing it twice is the same as doing it once.

    A path where no file was gets none, nor does the directory stay that a drop-in of ours made for itself. Symlinks stay: their target is what is written.

    :returns: the paths that changed.
    :raises ConfigError: when a file cannot be written; the files before it in the list have then been put back.
    """
    try:
        return [entry.path for entry in snapshot.files if _restore_one(entry)]
    except OSError as exc:
        raise ConfigError(f'Cannot put back the snapshot "{snapshot.name}": {exc}.') from exc
