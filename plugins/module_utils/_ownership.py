# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who asked for what in a configuration file, and what was there before.

One record a file, in the state directory. It is written before the file, and on reading only what the file still holds
counts (ours = record ∩ file), so a crash between the two writes is harmless. The record may hold a proxy's password and
is 0600 like all of the state directory.
"""

from __future__ import annotations

import copy
import json
import os
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._io import delete_file, read_file, write_private
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

_FORMAT = 1


@dataclass
class Leaf:
    """One value that is not merged any further, by its JSON pointer.

    :ivar before: source text of what was there before the first owner, None for nothing.
    :ivar owners: for each owner the source texts of what it asked for; the owner that wrote last comes last. There is more
        than one text only between the write of the record and that of the file.
    """

    before: str | None
    owners: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Claim:
    """One owner's part of a list.

    :ivar ours: entries that this owner brought.
    :ivar adopted: entries that it asked for and that were there already: moved, and never taken away.
    :ivar taken: entries of others that ``exclusive`` took away, to be given back.
    """

    ours: list[str] = field(default_factory=list)
    adopted: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.ours or self.adopted or self.taken)


@dataclass
class Entries:
    """A list that is merged entry by entry.

    :ivar before: what was there before the first owner, None for no key and for null; ``source`` is its text, None for no key.
    """

    before: list[str] | None
    source: str | None = None
    owners: dict[str, Claim] = field(default_factory=dict)


@dataclass
class Record:
    """All of one file.

    :ivar original: the file's text before our first write, None when there was no file. Means something only while
        :attr:`busy`.
    :ivar made_dirs: directories that we made for the file, outermost first.
    :ivar made: objects that we made around leaves, with the source text that was there before (``null``), or None.
    :ivar tombstones: keys that hold an empty value only so that a running daemon forgets what it has in force; they are
        deleted once that is proved.
    """

    path: str
    original: str | None = None
    made_dirs: list[str] = field(default_factory=list)
    leaves: dict[str, Leaf] = field(default_factory=dict)
    lists: dict[str, Entries] = field(default_factory=dict)
    made: dict[str, str | None] = field(default_factory=dict)
    tombstones: list[str] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        """Whether anything in the file is anybody's, or waits to be deleted."""
        return bool(self.leaves or self.lists or self.tombstones)

    @property
    def owners(self) -> set[str]:
        found = {owner for leaf in self.leaves.values() for owner in leaf.owners}
        return found | {owner for entries in self.lists.values() for owner in entries.owners}

    def copy(self) -> Record:
        return copy.deepcopy(self)

    def keys(self) -> set[str]:
        """JSON pointers of all that is anybody's."""
        lists = {where for where, entries in self.lists.items() if any(claim.ours or claim.taken for claim in entries.owners.values())}
        return {*self.leaves, *lists, *self.tombstones}


def _merged(new: t.Iterable[str], old: t.Iterable[str]) -> list[str]:
    """Both, those of ``new`` first; what stands twice in one of them (a foreign duplicate) still does."""
    first = list(new)
    return [*first, *(entry for entry in old if entry not in first)]


def _either_claim(new: Claim | None, old: Claim | None) -> Claim:
    one, other = new or Claim(), old or Claim()
    return Claim(_merged(one.ours, other.ours), _merged(one.adopted, other.adopted), _merged(one.taken, other.taken))


def either(old: Record, new: Record) -> Record:
    """The record that is right for the file as it is and for the file as it will be.

    It stands on disk while the file is being replaced.
    """
    both = new.copy()
    if old.busy:
        both.original = old.original
    both.made_dirs = _merged(new.made_dirs, old.made_dirs)
    both.made = {**old.made, **new.made}
    both.tombstones = _merged(new.tombstones, old.tombstones)
    for where, leaf in old.leaves.items():
        mine = both.leaves.setdefault(where, Leaf(leaf.before))
        for owner, texts in leaf.owners.items():
            mine.owners[owner] = _merged(mine.owners.get(owner, []), texts)
    for where, entries in old.lists.items():
        own = both.lists.setdefault(where, Entries(entries.before, entries.source))
        for owner, claim in entries.owners.items():
            own.owners[owner] = _either_claim(own.owners.get(owner), claim)
    return both


def _decode(raw: t.Any) -> Record:
    if raw['format'] != _FORMAT:
        raise ValueError(f'format {raw["format"]!r}')
    leaves = {where: Leaf(one['before'], {owner: list(texts) for owner, texts in one['owners'].items()}) for where, one in raw['leaves'].items()}
    lists = {
        where: Entries(one['before'], one['source'], {owner: Claim(**claim) for owner, claim in one['owners'].items()})
        for where, one in raw['lists'].items()
    }
    return Record(raw['path'], raw['original'], list(raw['made_dirs']), leaves, lists, dict(raw['made']), list(raw['tombstones']))


def encode(record: Record) -> bytes:
    """The bytes of a record, the same for the same record."""
    leaves = {where: vars(leaf) for where, leaf in record.leaves.items()}
    lists = {
        where: {**vars(entries), 'owners': {owner: vars(claim) for owner, claim in entries.owners.items()}}
        for where, entries in record.lists.items()
    }
    raw = {**vars(record), 'format': _FORMAT, 'leaves': leaves, 'lists': lists}
    return (json.dumps(raw, indent=1) + '\n').encode()


def load(state: State, path: str) -> Record:
    """The record of a file; an empty one when there is none.

    :raises ConfigError: when it cannot be read or understood.
    """
    place = state.ownership(path)
    data = read_file(place).data
    if data is None:
        return Record(os.path.realpath(path))
    return decode(data, path, place)


def decode(data: bytes, path: str, place: str) -> Record:
    """The record of the file at ``path`` from the bytes that are, or were, at ``place``. Raises ConfigError when they cannot be understood."""
    try:
        return _decode(json.loads(data.decode('utf-8')))
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ConfigError(
            f'The ownership record {place} of {path} cannot be understood. Remove it, and all that {path} holds now counts as not ours.', path=place
        ) from exc


def save(state: State, record: Record) -> None:
    """Write the record, or remove it when it says nothing; writes only what differs.

    :raises ConfigError: when the state directory cannot be written.
    """
    place = state.ownership(record.path)
    if not (record.busy or record.made_dirs):
        delete_file(place)
        return
    data = encode(record)
    if read_file(place).data != data:
        write_private(place, data, root=state.root)


def owned_keys(state: State, path: str) -> set[str]:
    """JSON pointers of everything in the file that is ours, all owners together; a list that is merged counts as one.

    :raises ConfigError: see :func:`load`.
    """
    return load(state, path).keys()


def remove_dirs(record: Record) -> None:
    """Remove the directories that we made for a file that is gone, as far as they are empty, and forget them."""
    for made in reversed(record.made_dirs):
        try:
            os.rmdir(made)
        except FileNotFoundError:  # somebody was quicker
            continue
        except OSError:  # somebody else has a file there by now
            break
    record.made_dirs = []
