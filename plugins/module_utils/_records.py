# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All that a host has on record, whoever's it is, and how the state directory goes once nothing is.

Each module keeps the records of its own files. Here they are only read, and as far as a record of files of ours goes, cleared for an owner whose engine is
not on the host any more. What is not understood, or not known, stays and is told.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils import _as_user, _io, _journal, _owned_files, _ownership, _refresh_units, _rollback
from ansible_collections.quickpull.registry.plugins.module_utils._dropin import default_path
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._hub_logins import is_hub
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

# Files of the role pull_through_cache. They have a way out of their own.
_CACHE = 'cache'
_UNITS = ('docker.service', 'containerd.service', 'crio.service')
# What lies in the folder of an engine, and is worth nothing once no file is on record.
_OF_ENGINES = re.compile(r'applied\.json|strangers\.json|(proved|original)\.snapshot\.json')
# Folders of what is worth nothing either: former contents, and what a host's own refresh remembers and saw.
_WORTHLESS = ('backups', 'journal', 'refresh')
_TEMPORARY = re.compile(r'.*~')


@dataclass(frozen=True)
class Entry:
    """Something on record.

    :ivar path: the file that it is about, or for users the record itself.
    :ivar kind: the name of the record.
    :ivar owners: for whom; none for what is nobody's any more, and waits to be finished.
    """

    path: str
    kind: str
    owners: tuple[str, ...] = ()
    because: str = ''


@dataclass(frozen=True)
class Found:
    """What :func:`look` found.

    :ivar files: files in the state directory that may go once nothing is on record.
    :ivar unknown: files there that are none of this collection's, as far as it knows.
    """

    entries: tuple[Entry, ...] = ()
    files: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def look(state: State, root: str = '/') -> Found:
    """Read all records. The lock is not among the files: whoever looks may have made it.

    :param root: where the host's own files begin; for tests.
    :raises ConfigError: for a file that cannot be read.
    """
    entries: list[Entry] = []
    files: list[str] = []
    unknown: list[str] = []
    for path in _all_files(state.root):
        folder, name = os.path.split(os.path.relpath(path, state.root))
        if path == state.lock:
            continue
        if os.path.islink(path):
            unknown.append(path)
        elif folder.split(os.sep)[0] in _WORTHLESS or path == state.hash_key or _TEMPORARY.fullmatch(name) or (folder and _OF_ENGINES.fullmatch(name)):
            files.append(path)
        elif folder in ('ownership', 'files') or path == state.users or name == os.path.basename(state.intent('')):
            read = _read(path, folder, name)
            entries += read
            files += [] if read else [path]
        else:
            unknown.append(path)
    for unit in _UNITS:
        dropin = os.path.join(root, default_path(unit).lstrip('/'))
        if _owned_files.is_ours(_io.read_file(dropin).data):
            because = f'The proxies of {unit} are still there, in {dropin}. They go with a run that configures that engine.'
            entries.append(Entry(dropin, 'proxies', because=because))
    return Found(tuple(entries), tuple(files), tuple(unknown))


def _all_files(root: str) -> list[str]:
    found = [os.path.join(folder, name) for folder, _folders, names in os.walk(root) for name in names]
    links = [os.path.join(folder, name) for folder, folders, _names in os.walk(root) for name in folders if os.path.islink(os.path.join(folder, name))]
    return sorted(found + links)


def _read(path: str, folder: str, name: str) -> list[Entry]:
    """The entries of one record."""
    kind = name[: -len('.json')] if folder == 'files' else folder or name[: -len('.json')]
    try:
        raw = json.loads(_io.read_file(path).data or b'')
        if folder == 'ownership':
            return _of_values(raw)
        if folder == 'files' and 'files' in raw:
            return [Entry(at, kind, (str(one['owner']),)) for at, one in raw['files'].items()]
        if folder == 'files':
            return [Entry(str(raw['path']), kind, tuple(map(str, raw['owners'])))]
        if name == 'users.json':
            # Whoever is no user of this host any more cannot be given anything back, and must not keep backups with old passwords here for ever.
            gone = _as_user.missing_users(str(user) for users in raw.values() for user in users)
            still = [(reader, user) for reader, users in raw.items() for user in users if str(user) not in gone]
            return [Entry(path, reader, because=f'The user {user} still has files of ours.') for reader, user in still]
    except (ValueError, KeyError, TypeError, AttributeError):
        return [Entry(path, kind, because=f'The record {path} cannot be understood.')]
    return [Entry(path, kind, because='An earlier run was interrupted while it applied a change. The next run of the role puts that right.')]


def _of_values(raw: t.Any) -> list[Entry]:
    """Of a file of which values are ours."""
    held = [*raw['leaves'].values(), *raw['lists'].values()]
    owners = tuple(sorted({str(owner) for one in held for owner in one['owners']}))
    if owners:
        return [Entry(str(raw['path']), 'ownership', owners)]
    because = 'A running daemon has yet to forget what was taken away.'
    return [Entry(str(raw['path']), 'ownership', because=because)] if raw['tombstones'] else []


def give_back_files(state: State, owner: str, check_mode: bool = False) -> tuple[list[str], list[str], list[str]]:
    """Take away files that are wholly this owner's and still on record, as those of an engine that is gone. What was there before comes back.

    :returns: their paths, a sentence for each that stays, since somebody replaced it, and one for each that somebody edited and that goes all the same.
    :raises ConfigError: when one cannot be written.
    """
    folder = os.path.join(state.root, 'files')
    changed: list[str] = []
    left: list[str] = []
    edited: list[str] = []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        kind = name[: -len('.json')]
        with contextlib.suppress(ConfigError):  # a record of another form, or one that cannot be understood, is told by look()
            record = _owned_files.load(state, kind)
            mine = [path for path, entry in record.items() if entry.owner == owner]
            if mine and kind != _CACHE:
                planned = _owned_files.plan(record, owner, dict.fromkeys(mine))
                edited += _owned_files.edits(state, planned)
                if not check_mode:
                    _owned_files.apply(state, kind, planned)
                changed += [change.path for change in planned.changes]
                left += [one.because for one in planned.left]
    return changed, left, edited


@dataclass
class Outcome:
    """What :func:`forget` did, or would do.

    :ivar left: what is on record still.
    :ivar gone: whether the state directory is gone.
    :ivar replaced: a sentence for each file of ours that somebody replaced, and that stays, or edited, and that goes all the same.
    """

    changed: bool = False
    gone: bool = False
    files: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    left: list[Entry] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def forget(state: State, owner: str, waits: t.Sequence[str] = (), check_mode: bool = False, root: str = '/') -> Outcome:
    """Take the state directory away, unless something is on record, or waits.

    :param owner: whose files go where their engine is gone. In check mode all that this owner has on record counts as gone, since nothing was taken away.
    :param waits: why something has to be kept, as a restart that is not done yet. Then nothing goes.
    :raises ConfigError: when something cannot be read or deleted.
    """
    if not is_there(state):
        return Outcome(gone=True, left=list(look(state, root).entries))
    files, replaced, edited = give_back_files(state, owner, check_mode)
    outcome = Outcome(changed=bool(files or replaced), files=files, replaced=[*replaced, *([] if check_mode else edited)])
    found = look(state, root)
    outcome.unknown = list(found.unknown)
    outcome.left = [entry for entry in found.entries if not (check_mode and _is_of(entry, owner))]
    if outcome.left or waits:
        return outcome
    outcome.gone = not found.unknown and not edited
    outcome.changed = outcome.changed or bool(found.files) or len(outcome.left) < len(found.entries)
    if not check_mode:
        _delete(state, found)
        outcome.gone = not os.path.isdir(state.root)
    return outcome


def is_there(state: State) -> bool:
    """Whether the host has a state directory."""
    return os.path.isdir(state.root)


def sentences(outcome: Outcome) -> list[str]:
    """What is left, a sentence each; of the refresh's program one for all of its files."""
    program = [entry.owners for entry in outcome.left if _refresh_units.is_program(entry.path)]
    told = []
    for entry in outcome.left:
        owners = ', '.join(entry.owners) or 'nobody'
        if _refresh_units.is_program(entry.path):
            told.append(f'On record for {owners}: {_refresh_units.program_in_words(program.count(entry.owners))}.')
        else:
            told.append(entry.because or f'{entry.path} has something of {owners} on record.')
    kept = f'{os.sep}{os.path.basename(State().edited)}{os.sep}'
    edited = [f'{path} holds what somebody edited in a file that is gone, and stays until you delete it.' for path in outcome.unknown if kept in path]
    foreign = [f'{path} is none of the files of this collection, and stays.' for path in outcome.unknown if kept not in path]
    return [*outcome.replaced, *dict.fromkeys(told), *edited, *foreign]


def _is_of(entry: Entry, owner: str) -> bool:
    return not entry.owners or set(entry.owners) == {owner}


def _delete(state: State, found: Found) -> None:
    """The lock goes last. Folders stay where somebody else has a file in them."""
    for path in found.files:
        # A record of values may say nothing any more but which folders were made.
        if os.path.dirname(path) == os.path.dirname(state.ownership('/')):
            _ownership.remove_dirs(_ownership.load(state, json.loads(_io.read_file(path).data or b'')['path']))
        _io.delete_file(path)
    if not found.unknown:
        _io.delete_file(state.lock)
    for folder, _folders, _names in os.walk(state.root, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)


@dataclass(frozen=True)
class Logins:
    """Logins that a run wrote, and that are in the file still.

    :ivar user: the name of the user whose file it is.
    :ivar registries: as people call them.
    """

    path: str
    user: str
    registries: tuple[str, ...]


def logins_left(state: State) -> list[Logins]:
    """The logins that the remembered runs wrote and that are there still. They are on no record: the journal alone knows of them.

    :raises ConfigError: when a file cannot be looked at.
    """
    written: dict[tuple[int | None, str], dict[str, None]] = {}
    for run in _journal.runs(state):
        with contextlib.suppress(ConfigError):  # what cannot be understood keeps no record from going
            for entry in run.entries():
                keys = [key for step in entry.steps for key in _logins_of(step)]
                if keys:
                    written.setdefault((entry.user, entry.path), {}).update(dict.fromkeys(keys))
    found = []
    for (user, path), wrote in sorted(written.items(), key=lambda one: one[0][1]):
        now = _auths(_rollback.looks(user, [path]).get(path, _journal.Look()).data)
        names = dict.fromkeys('docker.io' if is_hub(key) else mask_text(key) for key in wrote if now.get(key))
        if names:
            found.append(Logins(path, _name_of(user), tuple(names)))
    return found


def _logins_of(step: _journal.Step) -> list[str]:
    """The keys below ``auths`` that a step wrote."""
    wrote, before = _auths(step.after or b''), _journal.shape(_auths(step.before.data))
    return [key for key, value in wrote.items() if value and value != before.get(key)]


def _auths(data: bytes) -> dict[str, t.Any]:
    try:
        auths = json.loads(data.decode('utf-8-sig'))['auths']
    except (ValueError, KeyError, TypeError):
        return {}
    return auths if isinstance(auths, dict) else {}


def _name_of(user: int | None) -> str:
    try:
        return pwd.getpwuid(user or 0).pw_name
    except KeyError:
        return str(user)
