# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration files that are wholly ours, one for an upstream, such as hosts.toml and drop-ins.

What stood there before is kept, and is put back when ours goes; so are the directories that were missing. A file is ours when it begins with
:data:`FIRST_LINE`, or still holds what the record says that we wrote. One record for each kind of file, in the state directory (0600, since files
may hold secrets); it is written before the files, so a crash between the two is harmless.

A file that begins with our line and was edited all the same is written anew, as the line says. Where it goes, what it held is kept in the state directory,
since nothing of the host's is lost. :func:`edits` tells of both.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils import _io
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._io import FileState
from ansible_collections.quickpull.registry.plugins.module_utils._state import State, escape_path

FIRST_LINE = '# Written by quickpull.registry; what is changed here by hand is overwritten.'

# In the sentence of a file of ours that somebody else wrote anew; _drift.py tells by it such a file from one that never was ours.
REPLACED = 'was replaced by somebody since this collection wrote it'
# In that of one that somebody edited below our first line.
EDITED = 'was edited by somebody since this collection wrote it'

_FORMAT = 1


@dataclass(frozen=True)
class Content:
    """What a file is to hold. ``secret``: only root may read it."""

    text: str = field(repr=False)
    secret: bool = False

    @property
    def mode(self) -> int:
        return 0o600 if self.secret else 0o644


@dataclass(frozen=True)
class Change:
    """One file before and after. ``after`` is None for a file that goes; ``restored``: what was there before ours comes back; ``edited``: somebody edited it
    since we wrote it."""

    path: str
    before: FileState = field(repr=False)
    after: bytes | None = field(repr=False)
    mode: int = 0o644
    restored: bool = False
    edited: bool = False

    @property
    def keeps(self) -> bool:
        """Whether what it held has to be kept elsewhere."""
        return self.edited and (self.after is None or self.restored)

    def texts(self) -> tuple[str, str]:
        """Before and after as text; empty for no file. May hold secrets."""
        return (self.before.data or b'').decode('utf-8', 'replace'), (self.after or b'').decode('utf-8', 'replace')


@dataclass(frozen=True)
class Left:
    """A file that was left as it is. ``because`` is a full sentence."""

    path: str
    because: str


@dataclass(frozen=True)
class Plan:
    """What :func:`apply` does: the files that change, and the record then. ``kept``: files of ours that are as they should be."""

    changes: tuple[Change, ...]
    left: tuple[Left, ...]
    kept: tuple[str, ...]
    record: Record = field(repr=False)


@dataclass(frozen=True)
class Entry:
    """One file in the record.

    :ivar before: text of what was there before our first write (bytes that are no UTF-8 as surrogates), None for no file.
    :ivar hashes: SHA-256 of what we wrote; two of them only between the write of the record and that of the file.
    """

    owner: str
    before: str | None = field(repr=False)
    mode: int
    made_dirs: tuple[str, ...]
    hashes: tuple[str, ...]


Record = t.Dict[str, Entry]


def load(state: State, kind: str) -> Record:
    """The record of one kind of file, by path. Raises ConfigError when it cannot be understood."""
    place = state.files(kind)
    data = _io.read_file(place).data
    if data is None:
        return {}
    try:
        raw = json.loads(data)
        if raw['format'] != _FORMAT:
            raise ValueError(raw['format'])
        return {path: Entry(**{**one, 'made_dirs': tuple(one['made_dirs']), 'hashes': tuple(one['hashes'])}) for path, one in raw['files'].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ConfigError(f'The record {place} cannot be understood. Remove it, and files that others had changed count as not ours.', path=place) from exc


def _save(state: State, kind: str, record: Record) -> None:
    place = state.files(kind)
    if not record:
        _io.delete_file(place)
        return
    raw = {'format': _FORMAT, 'files': {path: dataclasses.asdict(entry) for path, entry in sorted(record.items())}}
    _io.write_private(place, (json.dumps(raw, indent=1) + '\n').encode(), root=state.root)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_ours(data: bytes | None, entry: Entry | None = None) -> bool:
    """Whether these bytes of a file are ours; ``entry`` is its entry in the record."""
    if data is None:
        return False
    return data.startswith(FIRST_LINE.encode() + b'\n') or (entry is not None and _hash(data) in entry.hashes)


def _is_edited(data: bytes | None, entry: Entry | None) -> bool:
    """Whether a file of ours is not as we wrote it, as far as that is known."""
    return is_ours(data, entry) and entry is not None and _hash(data or b'') not in entry.hashes


def in_the_way(record: Record, owner: str, path: str, content: Content, overwrite: bool = False) -> str:
    """The sentence why the file of somebody else at ``path`` cannot be ours; empty where it can, or holds the same."""
    found, entry = _io.read_file(path), record.get(path)
    if not found.exists or found.data == content.text.encode():
        return ''
    if is_ours(found.data, entry):
        return f'{path} belongs to another owner here, {entry.owner}.' if entry and entry.owner != owner else ''
    whose = REPLACED if entry else 'was not written by this collection'
    return '' if overwrite else f'{path} {whose} and holds something else; move it away, or allow with overwrite.'


def found_there(record: Record, path: str, content: Content) -> bool:
    """Whether somebody else put just this there: a value that was found there is never ours."""
    found = _io.read_file(path)
    return found.data == content.text.encode() and not is_ours(found.data, record.get(path))


def plan(record: Record, owner: str, wanted: t.Mapping[str, Content | None], *, overwrite: bool = False) -> Plan:
    """Compare files with what ``owner`` wants of them; None wants them gone. Files that are not named are nobody's business.

    :param overwrite: replace files that are not ours, too; they come back when ours goes.
    :raises ConfigError: for a path that cannot be read.
    """
    changes: list[Change] = []
    left: list[Left] = []
    kept: list[str] = []
    after = dict(record)
    made_before = {made for entry in record.values() for made in entry.made_dirs}
    for path, content in wanted.items():
        found = _io.read_file(path)
        entry = record.get(path)
        if entry and entry.owner != owner and is_ours(found.data, entry):
            if content is not None:
                left.append(Left(path, f'{path} belongs to another owner here, {entry.owner}; use one owner for both, or leave it to one of them.'))
        elif content is None:
            _plan_absent(path, found, entry, after, changes, left)
        else:
            _plan_present(path, found, entry, content, owner, overwrite, made_before, after, changes, left, kept)
    return Plan(tuple(changes), tuple(left), tuple(kept), after)


def _plan_absent(path: str, found: FileState, entry: Entry | None, after: Record, changes: list[Change], left: list[Left]) -> None:
    after.pop(path, None)
    if not is_ours(found.data, entry):
        if entry and found.exists:
            left.append(Left(path, f'{path} {REPLACED}, and is left as it is.'))
        return
    before = entry.before if entry else None
    data = None if before is None else before.encode('utf-8', 'surrogateescape')
    changes.append(Change(path, found, data, entry.mode if entry else 0o644, restored=data is not None, edited=_is_edited(found.data, entry)))


def _plan_present(
    path: str,
    found: FileState,
    entry: Entry | None,
    content: Content,
    owner: str,
    overwrite: bool,
    made_before: t.Collection[str],
    after: Record,
    changes: list[Change],
    left: list[Left],
    kept: list[str],
) -> None:
    data = content.text.encode()
    ours = is_ours(found.data, entry)
    if found.exists and not ours and not overwrite:
        after.pop(path, None)
        whose = REPLACED if entry else 'was not written by this collection'
        left.append(Left(path, f'{path} {whose} and is left alone; move it away, or allow with overwrite that it is replaced.'))
        return
    known = entry if entry and ours else None
    theirs = found.data.decode('utf-8', 'surrogateescape') if found.data is not None and not ours else None
    made = known.made_dirs if known else _made_dirs(path, made_before)
    after[path] = Entry(owner, known.before if known else theirs, known.mode if known else found.mode or 0o644, made, (_hash(data),))
    # Of a file without secrets the mode is the operator's to choose.
    mode = content.mode if content.secret or not ours else found.mode
    if found.data == data and (not content.secret or found.mode == content.mode):
        kept.append(path)
    else:
        changes.append(Change(path, found, data, mode, edited=_is_edited(found.data, entry)))


def _made_dirs(path: str, made_before: t.Collection[str]) -> tuple[str, ...]:
    """The directories above ``path`` that go with the last of our files: those still to be made, and those made for other files of ours."""
    missing = _io.missing_dirs(os.path.dirname(path))
    return tuple(sorted({*missing, *(made for made in made_before if path.startswith(made + os.sep))}, key=len))


def apply(state: State, kind: str, planned: Plan) -> None:
    """Write what was planned: the record, then the files, then the record without what no longer counts.

    :raises ConfigError: when something cannot be written; files written before that stay, and the record knows them.
    """
    before = load(state, kind)
    if not planned.changes:
        if planned.record != before:
            _leave_all_dirs(before, planned.record)
            _save(state, kind, planned.record)
        return
    both = {**before, **planned.record}
    for path, entry in planned.record.items():
        if path in before:
            both[path] = dataclasses.replace(entry, hashes=tuple(dict.fromkeys([*entry.hashes, *before[path].hashes])))
    _save(state, kind, both)
    for change in planned.changes:
        if change.keeps:
            _io.write_private(_kept_in(state, change), change.before.data or b'', root=state.root)
        _write(change, both.get(change.path))
    _leave_all_dirs(before, planned.record)
    _save(state, kind, planned.record)


def edits(state: State, planned: Plan) -> list[str]:
    """A sentence for each file that somebody edited and that is written anew or goes all the same, before and after :func:`apply`."""
    found = []
    for change in planned.changes:
        if change.keeps:
            found.append(f'{change.path} {EDITED}. It goes, since it is wholly of this collection; what it held is kept in {_kept_in(state, change)}.')
        elif change.edited:
            found.append(f'{change.path} {EDITED}, and is written anew, as its first line says.')
    return found


def _kept_in(state: State, change: Change) -> str:
    """Where an edited file is kept: a name of its own, or that which has the very same already."""
    name, number = os.path.join(state.edited, escape_path(change.path)), 1
    place = name
    while _io.read_file(place).data not in (None, change.before.data):
        number += 1
        place = f'{name}.{number}'
    return place


def _write(change: Change, entry: Entry | None) -> None:
    if change.after is None:
        _io.delete_file(change.path, expect=change.before)
        _leave_dirs(entry)
        return
    _io.make_dirs(os.path.dirname(change.path))
    like = dataclasses.replace(change.before, mode=change.mode) if change.before.exists else change.before
    _io.write_atomic(change.path, change.after, like=_io.as_own(like), default_mode=change.mode, expect=change.before)


def _leave_all_dirs(before: Record, after: Record) -> None:
    """Also those of a file that a crash kept from being written, and of one that went before another in the same directory."""
    for path, entry in before.items():
        if path not in after:
            _leave_dirs(entry)


def _leave_dirs(entry: Entry | None) -> None:
    for made in reversed(entry.made_dirs if entry else ()):
        with contextlib.suppress(OSError):  # somebody else moved in
            os.rmdir(made)


def undo(state: State, kind: str, planned: Plan, before: Record) -> None:
    """Put back what :func:`apply` changed, as it was found, and the record as it was ``before``."""
    for change in planned.changes:
        if change.keeps:
            _io.delete_file(_kept_in(state, change))
        if change.before.data is None:
            _io.delete_file(change.path)
            _leave_dirs(planned.record.get(change.path))
        else:
            _io.make_dirs(os.path.dirname(change.path))
            _io.write_atomic(change.path, change.before.data, like=_io.as_own(change.before), default_mode=change.before.mode)
    _save(state, kind, before)
