# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking whole runs back by the journal: which files become what, and what somebody else edited since.

Nothing is decided by what is asked for today: a path is put back where it still shows what we wrote. In a JSON file that somebody edited since, our part
alone is taken out, key by key; any other file that somebody edited is left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils import _as_user, _io, _journal, _refresh_units
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._io import FileState
from ansible_collections.quickpull.registry.plugins.module_utils._journal import DIRECTORY, FILE, NOTHING, Look, Run, Step
from ansible_collections.quickpull.registry.plugins.module_utils._json_text import ABSENT, Document, pointer, same_value
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

#: What the runs of the role are called behind their time; a host's own refresh is another kind.
ROLE, REMOVAL = 'site', 'remove'

_Parents = t.Tuple[t.Tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class Item:
    """One path: what is there, what is to be there.

    :ivar user: the uid of who may do it, None for root.
    :ivar left: why it, or a part of it, stays as somebody else made it, in a sentence; else empty.
    :ivar stays: it is as a later run of ours left it, which is not taken back.
    """

    path: str
    user: int | None
    record: bool
    now: Look = field(repr=False)
    target: Look = field(repr=False)
    left: str = ''
    parents: _Parents = ()
    stays: bool = False

    @property
    def changed(self) -> bool:
        return self.now != self.target


@dataclass(frozen=True)
class Plan:
    """What taking runs back comes to. ``runs``: the newest first."""

    runs: tuple[Run, ...]
    items: tuple[Item, ...]

    @property
    def files(self) -> list[Item]:
        return [item for item in self.items if not item.record]

    @property
    def records(self) -> list[Item]:
        return [item for item in self.items if item.record]


# --- which runs --------------------------------------------------------------------------------------------------------


def choose(known: t.Sequence[Run], *, run: str = '', since: str = '', count: int = 1) -> list[Run]:
    """The runs to take back, the newest first: all from one of them on, since what came later stands on it.

    :param known: the oldest first.
    :param run: the id of the first of them. Where it was taken back already, those alone that were.
    :param since: a moment in UTC, as :func:`_journal.begun` writes it; the runs that began then or later.
    :param count: so many runs, where neither is given.
    """
    if run:
        named = [index for index, one in enumerate(known) if one.id == run]
        if named and all(known[index].undone for index in named):
            # What came since it was taken back does not stand on it, and is nobody's to take back with it.
            return [one for one in reversed(known[named[0] :]) if one.undone]
        first = next((index for index in named if not known[index].undone), len(known))
    elif since:
        first = next((index for index, one in enumerate(known) if (_journal.begun(one.id) or '') >= since), len(known))
    else:
        ids = list(dict.fromkeys(one.id for one in reversed(known)))[:count]
        first = next((index for index, one in enumerate(known) if one.id in ids), len(known))
    return list(reversed(known[first:]))


def later(known: t.Sequence[Run], chosen: t.Sequence[Run]) -> list[Run]:
    """The runs (the newest first) that came after those that are chosen and are not taken back with them, as :func:`choose` has it of a run that was taken
    back before. What they wrote stays."""
    first = min((run.number for run in chosen), default=None)
    return [run for run in reversed(known) if first is not None and run.number > first and run not in chosen]


# --- what becomes of a path --------------------------------------------------------------------------------------------


def unwound(path: str, now: Look, steps: t.Iterable[tuple[Step, bool]]) -> tuple[Look, str]:
    """What a path is to be once these steps are taken back (the newest first), and why it is not what it was; empty where it is.

    :param steps: with each, whether its run was taken back before: then what is there need not be what it wrote.
    """
    because, passed = '', False
    oldest = now
    for step, undone in steps:
        oldest = step.before
        before = _journal.taken_back(now, step)
        if before is None and undone:
            passed = True
            continue
        if before is None:
            merged, conflicts = without_ours(path, now, step)
            if merged is None:
                return now, _edited(path, now)
            before = merged
            if merged.kind != NOTHING:
                kept = f' They also changed {", ".join(conflicts)}, which is left to them.' if conflicts else ''
                because = f'{path} was edited by somebody else since. Their edits stay, and what was ours is as it was before.{kept}'
        now, passed = before, False
    return now, because or (_edited(path, now) if passed and now.digest != oldest.digest else '')


def _edited(path: str, now: Look) -> str:
    return f'{path} was {"removed" if now.kind == NOTHING else "edited"} by somebody else since, and is left as it is.'


def without_ours(path: str, now: Look, step: Step) -> tuple[Look | None, list[str]]:
    """A JSON file that somebody edited, with our change taken out of it and theirs kept, and the keys that both changed.

    None for what cannot be taken apart, and where all of it was changed by somebody else.
    """
    if now.kind != FILE or step.after is None or step.before.kind not in (FILE, NOTHING):
        return None, []
    try:
        document = Document.parse(now.data, path)
        wrote = json.loads(step.after)
        before = Document.parse(step.before.data, path)
    except (ConfigError, ValueError):
        return None, []
    conflicts: list[str] = []
    merged = _merged(document, wrote, before, (), conflicts)
    data = merged.to_bytes()
    if conflicts and data == now.data:
        return None, conflicts
    if step.before.kind == NOTHING and not merged.value and not conflicts:
        return step.before, []  # a client that only wrote it in its own way, as docker login and logout do, is no reason to keep it
    return dataclasses.replace(now, data=data), conflicts


def _merged(document: Document, wrote: t.Mapping[str, t.Any], before: Document, at: tuple[str, ...], conflicts: list[str]) -> Document:
    """The document with what differs between the two turned into what was there before, inside of the object ``at``.

    :param wrote: the shape of what we wrote there.
    """
    former = before.get(pointer(*at)) if at else before.value
    former = former if isinstance(former, dict) else {}
    for key in dict.fromkeys([*wrote, *former]):
        parts = (*at, key)
        where = pointer(*parts)
        ours, theirs, then = wrote.get(key, ABSENT), document.get(where), former.get(key, ABSENT)
        if _is(then, ours) or same_value(theirs, then):
            continue
        if _is(theirs, ours):
            document = _turned(document, where, then, before)
        elif isinstance(theirs, dict) and isinstance(ours, dict) and (then is ABSENT or isinstance(then, dict)):
            document = _merged(document, ours, before, parts, conflicts)
            if then is ABSENT and document.get(where) == {}:
                document = document.remove(where)
        elif isinstance(theirs, list) and isinstance(ours, (list, type(ABSENT))) and isinstance(then, (list, type(ABSENT))):
            entries = _list_of(theirs, [] if ours is ABSENT else ours, [] if then is ABSENT else then)
            document = _turned(document, where, ABSENT if not entries and then is ABSENT else entries, before)
        else:
            conflicts.append('.'.join(parts))
    return document


def _is(value: t.Any, ours: t.Any) -> bool:
    """Whether a value is what a shape was made of."""
    if value is ABSENT or ours is ABSENT:
        return value is ours
    return bool(_journal.shape(value) == ours)


def _list_of(theirs: t.Sequence[t.Any], ours: t.Sequence[t.Any], then: t.Sequence[t.Any]) -> list[t.Any]:
    """The former entries without those that somebody took out since, and then those that somebody put in."""
    kept = [entry for entry in then if entry in theirs or _journal.shape([entry])[0] not in ours]
    return kept + [entry for entry in theirs if _journal.shape([entry])[0] not in ours and entry not in kept]


def _turned(document: Document, where: str, value: t.Any, before: Document) -> Document:
    if value is ABSENT:
        return document.remove(where)
    source = before.source(where)
    return document.set(where, value, source if source is not None and same_value(before.get(where), value) else None)


def record_target(now: Look, then: Look, left: t.Collection[str]) -> Look:
    """What one of our records is to be: as it was, but of files that are left it says what it says now."""
    if not left:
        return then
    try:
        said, was = (json.loads(one.data) if one.kind == FILE else {} for one in (now, then))
        if 'files' in said or 'files' in was:
            files = {**was.get('files', {}), **{path: entry for path, entry in said.get('files', {}).items() if path in left}}
            for path in left:
                if path not in said.get('files', {}):
                    files.pop(path, None)
            if not files:
                return Look()
            data = (json.dumps({**(said or was), 'files': dict(sorted(files.items()))}, indent=1) + '\n').encode()
            return dataclasses.replace(then if then.kind == FILE else now, data=data)
        if 'path' in said or 'path' in was:
            return now if {said.get('path'), was.get('path')} & set(left) else then
    except (ValueError, TypeError, AttributeError):
        pass
    return now


# --- looking -----------------------------------------------------------------------------------------------------------


def plan(chosen: t.Sequence[Run], stays: t.Sequence[Run] = ()) -> Plan:
    """Compare the journal of these runs (the newest first) with what is there.

    :param stays: runs that are not to be taken back, though they came later: whatever they wrote is left, and is nobody else's edit.
    :raises ConfigError: when the journal or a path cannot be read.
    """
    steps: dict[str, list[tuple[Step, bool]]] = {}
    about: dict[str, tuple[int | None, bool]] = {}
    for run in chosen:
        for entry in run.entries():
            steps.setdefault(entry.path, []).extend((step, run.undone) for step in reversed(entry.steps))
            about.setdefault(entry.path, (entry.user, entry.record))
    by_later = {(entry.user, entry.path) for run in stays for entry in run.entries()}
    items: list[Item] = []
    for user in dict.fromkeys(user for user, _record in about.values()):
        paths = [path for path in steps if about[path][0] == user]
        seen = looks(user, paths)
        for path in paths:
            if path in seen and (user, path) in by_later:
                items.append(Item(path, user, about[path][1], seen[path], seen[path], '', steps[path][-1][0].parents, stays=True))
            elif path in seen:
                items.append(_item(path, user, about[path][1], seen[path], steps[path]))
            else:
                items.append(Item(path, user, about[path][1], Look(), Look(), f'{path} is left as it is: its user is not on this host any more.'))
    items = _folders_settled(items, {path for _user, path in by_later})
    if all(run.undone for run in chosen) and not any(item.changed for item in items):
        return Plan(tuple(chosen), tuple(items))  # an apply may have noted since that it is in force
    left = {(item.user, item.path) for item in items if item.left and not item.record and item.target == item.now}
    return Plan(
        tuple(chosen),
        tuple(
            _settled(item, {path for user, path in left if user == item.user}, steps[item.path])
            if item.record and not item.stays
            else item
            for item in items
        ),
    )


def _item(path: str, user: int | None, record: bool, now: Look, steps: t.Sequence[tuple[Step, bool]]) -> Item:
    parents = steps[-1][0].parents
    if record:
        return Item(path, user, record, now, now, '', parents)
    target, because = unwound(path, now, steps)
    if user is None and target != now:
        try:
            check_hands(path)
        except ConfigError as exc:
            target, because = now, str(exc)
    if target.kind not in (FILE, DIRECTORY, NOTHING):
        target, because = now, f'{path} was no file before, and is left as it is.'
    return Item(path, user, record, now, target, because, parents)


def _folders_settled(items: t.Sequence[Item], by_later: t.Collection[str] = ()) -> list[Item]:
    """A directory that we made goes with what is in it alone; where others have something in it by now, it stays and that is told."""
    targets = {item.path: item.target.kind for item in items}
    found = {item.path: item for item in items}
    for item in sorted(items, key=lambda one: one.path, reverse=True):
        if item.now.kind != DIRECTORY or item.target.kind != NOTHING:
            continue
        try:
            inside = [os.path.join(item.path, name) for name in os.listdir(item.path)]
        except OSError:
            inside = []
        if any(targets.get(path) != NOTHING and not (path in found and found[path].record) for path in inside):
            ours = all(path in (*found, *by_later) or any(one.startswith(f'{path}/') for one in (*found, *by_later)) for path in inside)
            because = '' if ours else f'{item.path} stays, since others have something in it by now.'
            found[item.path] = dataclasses.replace(item, target=item.now, left=because)
            targets[item.path] = DIRECTORY
    return [found[item.path] for item in items]


def _settled(item: Item, left: t.Collection[str], steps: t.Sequence[tuple[Step, bool]]) -> Item:
    """A record of ours: nobody edits it, so what was there before the first of the steps is what it is to be."""
    return dataclasses.replace(item, target=record_target(item.now, steps[-1][0].before, left))


def looks(user: int | None, paths: t.Sequence[str]) -> dict[str, Look]:
    """What is at these paths; nothing for a user who is gone."""
    if user is None:
        return {path: _journal.look(path) for path in paths}
    if _as_user.missing_users([str(user)]):
        return {}
    who = _as_user.account(str(user))
    told = _as_user.run_as(who, lambda: {path: _journal.as_plain(_journal.look(path)) for path in paths})
    return {path: _journal.from_plain(raw) for path, raw in told.items()}


# --- writing -----------------------------------------------------------------------------------------------------------


def write(items: t.Sequence[Item]) -> None:
    """Make the paths what they are to be: files first, then the directories, the innermost first. One that something is in stays.

    :raises ConfigError: when something cannot be written; what was put back before that stays so.
    """
    for user in dict.fromkeys(item.user for item in items):
        mine = [item for item in items if item.user == user and item.changed]
        if user is None or not mine:
            _write_all(mine)
        else:
            _as_user.run_as(_as_user.account(str(user)), functools.partial(_write_all, mine))


def _write_all(items: t.Sequence[Item]) -> None:
    with _journal.not_kept():
        folders = [item for item in items if DIRECTORY in (item.now.kind, item.target.kind)]
        for item in items:
            if item not in folders:
                write_file(item)
        for item in sorted(folders, key=lambda one: one.path, reverse=True):
            check_hands(item.path)
            if item.target.kind == DIRECTORY:
                _io.set_mode(item.path, item.target.mode)
            else:
                with contextlib.suppress(OSError):
                    os.rmdir(item.path)


def write_file(item: Item) -> None:
    """Put one file back. Raises ConfigError, also when it is not what it was when it was looked at."""
    check_hands(item.path)
    if _journal.look(item.path) != item.now:
        raise ConfigError(f'{item.path} was changed by somebody else while it was being put back; run again.', path=item.path)
    if item.target.kind == NOTHING:
        _io.delete_file(item.path)
        return
    make_parents(item)
    owner = item.target
    if os.geteuid() != 0:
        owner = dataclasses.replace(owner, uid=os.geteuid(), gid=os.getegid() if owner.gid not in {os.getegid(), *os.getgroups()} else owner.gid)
    like = FileState(item.path, item.path, item.target.data, None, owner.mode, owner.uid, owner.gid)
    _io.write_atomic(item.path, item.target.data, like=like)


def check_hands(path: str) -> None:
    """Raises ConfigError where root would follow what somebody else can turn into a link."""
    # Where the refresh's program is, root follows who may write /usr/local already, by running it. On Debian that may be the group staff.
    of_root = ('/etc/', '/var/lib/', f'{_refresh_units.DIRECTORY}/')
    if os.geteuid() == 0 and not f'{path}/'.startswith(of_root):
        _as_user.check_hands(path)


def make_parents(item: Item) -> None:
    """The directories above, as they were; those that nobody remembers as usual."""
    known = {path: (mode, uid, gid) for path, mode, uid, gid in item.parents}
    for folder in _io.make_dirs(os.path.dirname(item.path)):
        if folder in known:
            mode, uid, gid = known[folder]
            os.chmod(folder, mode)
            if os.geteuid() == 0:
                os.chown(folder, uid, gid)


def known_runs(state: State) -> list[dict[str, t.Any]]:
    """The runs that are remembered, the newest first, as people read them."""
    found: dict[str, dict[str, t.Any]] = {}
    for run in reversed(_journal.runs(state)):
        told = found.setdefault(run.id, {'id': run.id, 'began': _journal.begun(run.id), 'files': 0, 'rolled_back': True})
        told['files'] += sum(1 for entry in run.entries() if not entry.record and entry.steps[-1].wrote[-1].digest != DIRECTORY)
        told['rolled_back'] = told['rolled_back'] and run.undone
    return list(found.values())
