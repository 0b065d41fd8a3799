# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was there before each change, so that a whole run can be taken back later.

One directory for each run below ``journal`` in the state directory, and in it a file for each path that changed: its former content, mode and owner,
and hashes of what was written since. An entry is on disk before its file changes, so a crash between the two is harmless: the path then still shows
what was there before. All is 0600 in directories of 0700, since former contents may hold passwords.

What the environment variable :data:`ENVIRON` names is one run. Without it all that one process does is a run; :data:`OFF` in it keeps no journal.
Nothing here uses _io, which calls :func:`note` before it changes anything.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import time
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

ENVIRON = 'QUICKPULL_REGISTRY_RUN'
OFF = 'none'
#: So many runs are kept that somebody asked for, and what a host's own refresh changed after the oldest of them. Refreshes with nothing in between are
#: one run: so they push nothing out, however many there are.
KEEP = 10
#: What the id of a run ends in that a host began by itself.
REFRESH = '-refresh'
# One run may write a path any number of times. So many contents of ours are told apart in each step, and so many steps are kept: the first, which has
# what was there before, and the last ones. A content that went out counts as somebody else's edit, which is never lost.
_MARKS = 50
_STEPS = 10

FILE = 'file'
DIRECTORY = 'dir'
NOTHING = ''

_FORMAT = 1
_MAX_BYTES = 8 * 1024 * 1024
_ID = re.compile(r'^[A-Za-z0-9][A-Za-z0-9._-]{0,80}$')
_UNDONE, _ENDED = 'undone', 'ended'
_OLD = '.old-'
# Of the state directory, what says whose the files are; all else there tells of the running engines, and is not put back.
_RECORDS = ('ownership/', 'files/', 'users.json', 'docker/strangers.json')
_USER_STATE = '/.local/state/quickpull.registry/'


@dataclass(frozen=True)
class Look:
    """A path at one moment. ``kind``: :data:`FILE`, :data:`DIRECTORY` or :data:`NOTHING`; ``data``: of a file alone."""

    kind: str = NOTHING
    data: bytes = field(default=b'', repr=False)
    mode: int = -1
    uid: int = -1
    gid: int = -1

    @property
    def digest(self) -> str:
        return digest(self.kind, self.data)


@dataclass(frozen=True)
class Mark:
    """What we left at a path: which content, and which mode and owner where those are known (else -1)."""

    digest: str
    mode: int = -1
    uid: int = -1
    gid: int = -1


@dataclass(frozen=True)
class Step:
    """A path before our first write, and all that we wrote then without anybody else's edit in between.

    :ivar after: of a JSON file the shape of the last content, which has hashes and no values; it is what tells our part from what somebody edits later.
    :ivar parents: the directories above as (path, mode, uid, gid), outermost first.
    """

    before: Look
    wrote: tuple[Mark, ...]
    after: bytes | None = field(default=None, repr=False)
    parents: tuple[tuple[str, int, int, int], ...] = ()


@dataclass(frozen=True)
class Entry:
    """One path in one run.

    :ivar user: who changed it, where that was not root; only as this user may it be put back.
    :ivar record: it is one of our own records, and goes with the files that it speaks of.
    """

    path: str
    user: int | None
    record: bool
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Run:
    """One run on this host. ``number`` orders them; an id may have several numbers when another run came in between.

    :ivar ended: it told that it came to its end, see :func:`mark_ended`; most kinds of runs never do.
    """

    number: int
    id: str
    folder: str
    undone: bool
    ended: bool = False

    def entries(self) -> list[Entry]:
        """What it changed, by path. Raises ConfigError where the journal cannot be read."""
        found = [_load(os.path.join(self.folder, name)) for name in sorted(os.listdir(self.folder)) if name.endswith('.json')]
        return sorted(found, key=lambda entry: entry.path)


def digest(kind: str, data: bytes = b'') -> str:
    """What tells contents apart; ``dir`` for a directory, empty for nothing."""
    return hashlib.sha256(data).hexdigest() if kind == FILE else kind


def shape(value: t.Any) -> t.Any:
    """A JSON value with hashes in place of what is no object or list: enough to tell whether a value is this one, and no secret."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    text = [json.dumps(one, sort_keys=True) for one in (value if isinstance(value, list) else [value])]
    hashes = [hashlib.sha256(one.encode()).hexdigest() for one in text]
    return hashes if isinstance(value, list) else hashes[0]


def shape_of(data: bytes) -> bytes | None:
    """The shape of a file that holds an object, as JSON; None for any other."""
    try:
        value = json.loads(data.decode('utf-8-sig'))
    except ValueError:
        return None
    return json.dumps(shape(value)).encode() if isinstance(value, dict) else None


def look(path: str) -> Look:
    """What is at a path now. A link, or what is neither file nor directory, is told as a kind of its own."""
    try:
        info = os.lstat(path)
        if stat.S_ISDIR(info.st_mode):
            return Look(DIRECTORY, b'', stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid)
        if not stat.S_ISREG(info.st_mode):
            return Look('other')
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        with os.fdopen(fd, 'rb') as handle:
            return Look(FILE, handle.read(_MAX_BYTES + 1), stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid)
    except (FileNotFoundError, NotADirectoryError):
        return Look()
    except OSError as exc:
        raise ConfigError(f'Cannot read {path}: {exc.strerror or exc}.', path=path) from exc


def parents_of(path: str) -> tuple[tuple[str, int, int, int], ...]:
    """The directories above a path that exist, outermost first."""
    found: list[tuple[str, int, int, int]] = []
    folder = os.path.dirname(path)
    while folder not in ('', '/'):
        with contextlib.suppress(OSError):
            info = os.stat(folder)
            found.insert(0, (folder, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid))
        folder = os.path.dirname(folder)
    return tuple(found)


# --- the pure part: steps in, what is to be there out ----------------------------------------------------------------


def added(
    steps: t.Sequence[Step], before: Look, mark: Mark, after: bytes | None = None, parents: t.Iterable[tuple[str, int, int, int]] = ()
) -> tuple[Step, ...]:
    """The steps with one more change. Somebody else's edit since the last one begins a new step."""
    if steps and (_match(before, steps[-1].wrote) or before.digest == steps[-1].before.digest):
        last = steps[-1]
        marks = tuple(one for one in last.wrote if one != mark)
        return (*steps[:-1], replace(last, wrote=(*marks[-_MARKS + 1 :], mark), after=after))
    return (*steps[:1], *steps[1:][-_STEPS + 2 :], Step(before, (mark,), after, tuple(parents)))


def _match(now: Look, marks: t.Sequence[Mark]) -> Mark | None:
    same = [mark for mark in marks if mark.digest == now.digest]
    exact = [mark for mark in same if mark.mode in (-1, now.mode)]
    found = exact or same
    return found[-1] if found else None


def taken_back(now: Look, step: Step) -> Look | None:
    """What was there before a step; None where somebody else changed it since. Mode and owner that somebody else gave it stay,
    but nobody may read a former content who might not before."""
    mark = _match(now, step.wrote)
    if mark is None:
        return now if now.digest == step.before.digest else None
    before = step.before
    if now.kind == NOTHING or before.kind == NOTHING:
        return before

    def kept(then: int, left: int, by_now: int) -> int:
        return then if left in (-1, by_now) else by_now

    mode = kept(before.mode, mark.mode, now.mode)
    if before.kind == FILE and before.digest != now.digest:
        mode &= before.mode  # who let others read what we wrote did not let them read what was there before, which may be a secret
    return replace(
        before,
        mode=mode,
        uid=kept(before.uid, mark.uid, now.uid),
        gid=kept(before.gid, mark.gid, now.gid),
    )


# --- on disk -----------------------------------------------------------------------------------------------------------


def _from_bytes(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode('ascii')


def _to_bytes(text: t.Any) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)


def as_plain(one: Look) -> dict[str, t.Any]:
    """For JSON."""
    return {'kind': one.kind, 'data': _from_bytes(one.data), 'mode': one.mode, 'uid': one.uid, 'gid': one.gid}


def from_plain(raw: t.Mapping[str, t.Any]) -> Look:
    return Look(str(raw['kind']), _to_bytes(raw['data']) or b'', int(raw['mode']), int(raw['uid']), int(raw['gid']))


def _encode(entry: Entry) -> bytes:
    steps = [
        {
            'before': as_plain(step.before),
            'wrote': [[mark.digest, mark.mode, mark.uid, mark.gid] for mark in step.wrote],
            'after': _from_bytes(step.after),
            'parents': step.parents,
        }
        for step in entry.steps
    ]
    return json.dumps({'format': _FORMAT, 'path': entry.path, 'user': entry.user, 'record': entry.record, 'steps': steps}).encode()


def _load(place: str) -> Entry:
    try:
        with open(place, 'rb') as handle:
            raw = json.loads(handle.read())
        if raw['format'] != _FORMAT:
            raise ValueError(raw['format'])
        steps = tuple(
            Step(
                from_plain(one['before']),
                tuple(Mark(str(mark[0]), *map(int, mark[1:])) for mark in one['wrote']),
                _to_bytes(one['after']),
                tuple((str(above[0]), int(above[1]), int(above[2]), int(above[3])) for above in one['parents']),
            )
            for one in raw['steps']
        )
        return Entry(str(raw['path']), raw['user'], bool(raw['record']), steps)
    except OSError as exc:
        raise ConfigError(f'Cannot read {place}: {exc.strerror or exc}.', path=place) from exc
    except (ValueError, KeyError, TypeError, IndexError, binascii.Error) as exc:
        raise ConfigError(f'{place} cannot be understood, so this run cannot be rolled back. Remove it, and that one path stays as it is.', path=place) from exc


def _put(place: str, data: bytes) -> None:
    """Write a file of the journal, whole or not at all."""
    folder = os.path.dirname(place)
    temp = ''
    try:
        fd, temp = tempfile.mkstemp(prefix='.new-', suffix='~', dir=folder)
        with os.fdopen(fd, 'wb') as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temp, place)
        temp = ''
        above = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(OSError):  # some file systems refuse this for directories
                os.fsync(above)
        finally:
            os.close(above)
    except OSError as exc:
        raise ConfigError(f'Cannot write {place}, where the former state is kept: {exc.strerror or exc}. Nothing was changed.', path=place) from exc
    finally:
        if temp:
            with contextlib.suppress(OSError):
                os.unlink(temp)


def runs(state: State) -> list[Run]:
    """The runs that are remembered, the oldest first."""
    try:
        names = os.listdir(state.journal)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as exc:
        raise ConfigError(f'Cannot read {state.journal}: {exc.strerror or exc}; run with become: true.', path=state.journal) from exc
    found = []
    for name in names:
        number, dot, ident = name.partition('.')
        if number.isdigit() and dot and ident:
            folder = os.path.join(state.journal, name)
            undone, ended = (os.path.exists(os.path.join(folder, mark)) for mark in (_UNDONE, _ENDED))
            found.append(Run(int(number), ident, folder, undone, ended))
    return sorted(found, key=lambda run: run.number)


def mark_undone(run: Run) -> None:
    """Remember that a run was taken back."""
    _put(os.path.join(run.folder, _UNDONE), b'')


def mark_ended(state: State, ident: str) -> None:
    """Remember that the run of this id came to its end. Nothing is written where it changed nothing, or has said so before."""
    for run in runs(state):
        if run.id == ident and not run.ended:
            _put(os.path.join(run.folder, _ENDED), b'')


def stamp(now: float | None = None) -> str:
    """A moment as run ids begin with, in UTC: ``20261129T013000.123456Z``."""
    now = time.time() if now is None else now
    return time.strftime('%Y%m%dT%H%M%S', time.gmtime(now)) + f'.{int(now * 1000000) % 1000000:06d}Z'


def begun(ident: str) -> str:
    """When a run began, as its id tells: ``2026-11-29T01:30:00Z``; empty where it does not tell."""
    found = re.match(r'^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(?:\.\d+)?Z', ident)
    return '{}-{}-{}T{}:{}:{}Z'.format(*found.groups()) if found else ''


# --- noting ------------------------------------------------------------------------------------------------------------

_Note = t.Tuple[str, Look, Mark, t.Optional[bytes], t.Tuple[t.Tuple[str, int, int, int], ...]]


class Recorder:
    """Writes what is noted into the run's directory, which is made with the first note."""

    def __init__(self, state: State, ident: str) -> None:
        self.state, self.ident = state, ident
        self._run: Run | None = None

    def add(self, what: _Note, user: int | None = None) -> None:
        path, before, mark, after, parents = what
        inside = self._inside(path)
        if inside is not None and not inside.startswith(_RECORDS):
            return
        place = os.path.join(self._folder(), _place_of(path))
        known = _load(place) if os.path.exists(place) else Entry(path, user, inside is not None or _USER_STATE in path, ())
        entry = replace(known, steps=added(known.steps, before, mark, after, parents))
        if entry != known:
            _put(place, _encode(entry))

    def _inside(self, path: str) -> str | None:
        """The path below the state directory, None elsewhere."""
        root = os.path.realpath(self.state.root)
        return path[len(root) + 1 :] if path == root or path.startswith(root + os.sep) else None

    def _folder(self) -> str:
        if self._run is None:
            known = runs(self.state)
            both_refresh = self.ident.endswith(REFRESH) and bool(known) and known[-1].id.endswith(REFRESH)
            if known and (known[-1].id == self.ident or both_refresh) and not known[-1].undone:
                self._run = known[-1]
                with contextlib.suppress(OSError):  # it goes on, as where a playbook applies the role twice
                    os.unlink(os.path.join(self._run.folder, _ENDED))
            else:
                self._run = self._begin(known)
        return self._run.folder

    def _begin(self, known: t.Sequence[Run]) -> Run:
        number = known[-1].number + 1 if known else 1
        folder = os.path.join(self.state.journal, f'{number:06d}.{self.ident}')
        try:
            os.makedirs(self.state.journal, 0o700, exist_ok=True)
            os.mkdir(folder, 0o700)
        except OSError as exc:
            raise ConfigError(f'Cannot make {folder}, where the former state is kept: {exc.strerror or exc}. Nothing was changed.', path=folder) from exc
        for old in _too_old([*known, Run(number, self.ident, folder, False)]):
            _drop(old.folder)
        _sweep(self.state.journal)
        return Run(number, self.ident, folder, False)


def _too_old(known: t.Sequence[Run]) -> t.Sequence[Run]:
    """Of the runs (the oldest first), those that are not kept."""
    asked_for = [index for index, run in enumerate(known) if not run.id.endswith(REFRESH)]
    return known[: asked_for[-KEEP]] if len(asked_for) > KEEP else ()


def _drop(folder: str) -> None:
    with contextlib.suppress(OSError):
        # Renamed first, so that no half of a run is ever taken for a whole one.
        os.rename(folder, os.path.join(os.path.dirname(folder), _OLD + os.path.basename(folder)))


def _sweep(journal: str) -> None:
    """Delete the runs that are dropped, and those of which an earlier process could not delete all: they hold old secrets."""
    with contextlib.suppress(OSError):
        for folder in [os.path.join(journal, name) for name in os.listdir(journal) if name.startswith(_OLD)]:
            shutil.rmtree(folder, ignore_errors=True)


class _Process:
    """What this process notes its changes with; None while nobody keeps a journal."""

    def __init__(self) -> None:
        self.note: t.Callable[[_Note], None] | None = None
        self.own_id = ''


_process = _Process()


def own_id() -> str:
    """The id of the run that this process belongs to. Raises ConfigError for one that cannot be a file's name."""
    given = os.environ.get(ENVIRON, '').strip()
    if given:
        if not _ID.match(given):
            raise ConfigError(f'{ENVIRON}: {given!r} is no id of a run; write letters, digits, dots, - and _ alone.', key=ENVIRON)
        return given
    if not _process.own_id:
        _process.own_id = stamp() + '-alone'
    return _process.own_id


@contextlib.contextmanager
def kept(state: State) -> t.Iterator[None]:
    """Keep a journal of what this process changes meanwhile, unless somebody keeps one already."""
    ident = own_id()
    if _process.note is not None or ident == OFF:
        yield
        return
    recorder = Recorder(state, ident)
    _process.note = recorder.add
    try:
        yield
    finally:
        _process.note = None


@contextlib.contextmanager
def not_kept() -> t.Iterator[None]:
    """Keep none meanwhile: for what takes changes back."""
    before, _process.note = _process.note, None
    try:
        yield
    finally:
        _process.note = before


def note(path: str, kind: str, data: bytes | None, mode: int = -1, uid: int = -1, gid: int = -1) -> None:
    """Tell what a path is going to be, before it is changed. Costs nothing where no journal is kept.

    :param path: with symlinks resolved.
    :param data: the content of a file that is to be; of one whose mode alone changes, None.
    :raises ConfigError: when it cannot be kept. The path must be left alone then.
    """
    if _process.note is None:
        return
    before = look(path)
    content = before.data if kind == FILE and data is None else data or b''
    after = shape_of(content) if kind == FILE and path.endswith('.json') else None
    _process.note((path, before, Mark(digest(kind, content), mode, uid, gid), after, parents_of(path)))


# --- for a process that is a user, and may not write the journal -------------------------------------------------------


def is_kept() -> bool:
    return _process.note is not None


def tell_to(ask: t.Callable[[bytes], bytes]) -> None:
    """From now on this process has its notes written by another one: ``ask`` sends a line, and returns the line that answers."""

    def told(what: _Note) -> None:
        path, before, mark, after, parents = what
        line = json.dumps([path, as_plain(before), [mark.digest, mark.mode, mark.uid, mark.gid], _from_bytes(after), parents])
        answer = json.loads(ask(line.encode()) or b'"the process that keeps the journal is gone"')
        if answer:
            raise ConfigError(str(answer), path=path)

    _process.note = told


def tell_nobody() -> None:
    _process.note = None


def answer(recorder_note: bytes, user: int) -> bytes:
    """Write what a process of a user told, in its name. Returns the line for it: empty text, or why it must not go on."""
    try:
        path, before, mark, after, parents = json.loads(recorder_note)
        above = tuple((str(one[0]), int(one[1]), int(one[2]), int(one[3])) for one in parents)
        what = (str(path), from_plain(before), Mark(str(mark[0]), *map(int, mark[1:])), _to_bytes(after), above)
        keeper = _process.note
        owner = getattr(keeper, '__self__', None)
        if isinstance(owner, Recorder):
            owner.add(what, user)
        return b'""\n'
    except ConfigError as exc:
        return json.dumps(str(exc)).encode() + b'\n'
    except (ValueError, KeyError, TypeError, IndexError):
        return b'"what was told of a change cannot be understood"\n'


def also_wrote(chosen: t.Iterable[Run], path: str, now: Look) -> None:
    """Count one more content of a path among those that we wrote: what stands there in the middle of taking runs back. Raises ConfigError.

    :param chosen: the newest first.
    """
    place = next((one for one in (os.path.join(run.folder, _place_of(path)) for run in chosen) if os.path.exists(one)), '')
    if not place:
        return
    entry = _load(place)
    last = entry.steps[-1]
    mark = Mark(now.digest, now.mode, now.uid, now.gid)
    if _match(now, last.wrote) is None:
        _put(place, _encode(replace(entry, steps=(*entry.steps[:-1], replace(last, wrote=(mark, *last.wrote))))))


def _place_of(path: str) -> str:
    return hashlib.sha256(path.encode('utf-8', 'surrogateescape')).hexdigest()[:40] + '.json'
