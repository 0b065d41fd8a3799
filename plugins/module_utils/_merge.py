# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Merging what an owner asks for into daemon.json, and taking it out again. Pure: text and record in, text and record out.

Two kinds of things are merged:

* Lists of registries and hosts, entry by entry: ours in front, in the order asked for; what other owners brought keeps its
  place; foreign entries follow in their order.
* All other values ("leaves"): objects are walked into, everything else replaces what was there, which is remembered.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils._daemon_keys import KNOWN_KEYS
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._json_text import ABSENT, Document, dumps, pointer, pointer_parts, same_value
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import normalise_url
from ansible_collections.quickpull.registry.plugins.module_utils._ownership import Claim, Entries, Leaf, Record

MIRRORS = '/registry-mirrors'
INSECURE = '/insecure-registries'
NO_PROXY = '/proxies/no-proxy'
LISTS = (MIRRORS, INSECURE, NO_PROXY)

_PROXIES = '/proxies/'


@dataclass(frozen=True)
class Request:
    """What one owner asks for in one run.

    :ivar lists: by JSON pointer; a list that is not mentioned is not managed, an empty one gives back what is ours.
    :ivar leaves: values by JSON pointer; none is an object.
    :ivar settings: the leaves outside of ``proxies`` are managed: what is ours and is not asked for any more is given back.
    :ivar proxies: likewise inside of ``proxies``.
    :ivar exclusive: the lists given become exactly what is given.
    """

    owner: str
    lists: t.Mapping[str, t.Sequence[str]] = field(default_factory=dict)
    leaves: t.Mapping[str, t.Any] = field(default_factory=dict)
    settings: bool = False
    proxies: bool = False
    exclusive: bool = False

    def manages(self, where: str) -> bool:
        return self.proxies if where.startswith(_PROXIES) else self.settings


@dataclass(frozen=True)
class Daemon:
    """What matters of the daemon here.

    :ivar running: it reads this file and runs, so tombstones stay until they are proved.
    :ivar holds: top-level keys (JSON pointers) whose value in force a reload would keep when the key is deleted.
    :ivar keep_file: the file is named by ``--config-file``, so dockerd does not start without it.
    """

    running: bool = False
    holds: frozenset[str] = frozenset()
    keep_file: bool = False


@dataclass(frozen=True)
class Result:
    """What :func:`merge` found.

    :ivar data: the bytes the file must have, None for no file.
    :ivar value: their meaning.
    :ivar record: to be saved once the file is written.
    :ivar foreign_changes: sentences about what others did to what is ours, without values.
    """

    data: bytes | None
    value: dict[str, t.Any]
    record: Record
    foreign_changes: tuple[str, ...] = ()


def shown(where: str) -> str:
    """``/log-opts/max-size`` as a person writes it: ``log-opts.max-size``."""
    return '.'.join(pointer_parts(where))


def leaves_of(settings: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What a nested dict asks for, by JSON pointer; null and an empty dict ask for nothing."""
    found: dict[str, t.Any] = {}

    def walk(value: t.Any, parts: tuple[str, ...]) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, (*parts, str(key)))
        elif value is not None:
            found[pointer(*parts)] = value

    walk(dict(settings), ())
    return found


def entry_name(where: str, entry: str) -> str:
    """What two spellings of the same entry have in common."""
    if where == MIRRORS:
        try:
            return normalise_url(entry)
        except ValueError:
            return entry
    return entry.strip().lower()


def read_list(document: Document, where: str) -> list[str] | None:
    """A list of the file, None when the key is not there (or null, which dockerd takes for the same).

    :raises ConfigError: when something else is there.
    """
    value = document.get(where)
    if value is ABSENT or value is None:
        return None
    if where == NO_PROXY and isinstance(value, str):
        return [entry.strip() for entry in value.split(',') if entry.strip()]
    if where != NO_PROXY and isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return list(value)
    expected = 'a string with commas' if where == NO_PROXY else 'a list of strings'
    raise ConfigError(f'{document.path}: {shown(where)} is not {expected}; correct it and run again.', path=document.path, key=shown(where))


def _is(value: t.Any, source: str | None) -> bool:
    """Whether a value of the file is what a source text of the record says; None stands for no such key."""
    if value is ABSENT or source is None:
        return value is ABSENT and source is None
    return same_value(value, json.loads(source))


class _Merge:
    def __init__(self, data: bytes | None, path: str, record: Record, request: Request, daemon: Daemon) -> None:
        self.data = data
        self.document = Document.parse(data or b'', path)
        self.record = record
        self.request = request
        self.daemon = daemon
        self.foreign: list[str] = []

    # Leaves

    def owned_by_any(self, leaf: Leaf, value: t.Any) -> bool:
        return any(_is(value, text) for texts in leaf.owners.values() for text in texts)

    def release_leaf(self, where: str) -> None:
        leaf, owner = self.record.leaves[where], self.request.owner
        value = self.document.get(where)
        mine = leaf.owners.pop(owner)
        if any(_is(value, text) for text in mine):
            if leaf.owners:
                text = list(leaf.owners.values())[-1][0]
                self.document = self.document.set(where, json.loads(text), text)
            elif leaf.before is not None:
                self.document = self.document.set(where, json.loads(leaf.before), leaf.before)
            else:
                self.drop(where)
        elif not _is(value, leaf.before) and not self.owned_by_any(leaf, value):
            self.foreign.append(f'{shown(where)} was changed by somebody else since; it is left as it is.')
        if not leaf.owners:
            del self.record.leaves[where]

    def ask_leaf(self, where: str, wanted: t.Any) -> None:
        value, owner = self.document.get(where), self.request.owner
        leaf = self.record.leaves.get(where)
        text = dumps(wanted)
        if where in self.record.tombstones:
            # The empty value that stands there is ours; before it there was nothing.
            self.record.tombstones.remove(where)
            leaf = self.record.leaves[where] = Leaf(None, {owner: [dumps(value)]})
        if same_value(value, wanted):
            self.keep_leaf(where, leaf, value, text)
            return
        if leaf is None:
            leaf = self.record.leaves[where] = Leaf(self.document.source(where))
        elif not _is(value, leaf.before) and not self.owned_by_any(leaf, value):
            self.foreign.append(f'{shown(where)} was changed by somebody else since; it is set again.')
            leaf.before = self.document.source(where)
        elif value is not ABSENT and not any(_is(value, one) for one in leaf.owners.get(owner, ())) and leaf.owners.keys() - {owner}:
            others = ', '.join(sorted(leaf.owners.keys() - {owner}))
            self.foreign.append(f'{shown(where)} is asked for by {others} too, with another value; that of {owner} is written.')
        leaf.owners.pop(owner, None)
        leaf.owners[owner] = [text]
        self.make_room(where)
        self.document = self.document.set(where, wanted)

    def keep_leaf(self, where: str, leaf: Leaf | None, value: t.Any, text: str) -> None:
        """The value is there. It is ours when we, or another owner, wrote it, and otherwise it stays foreign."""
        owner = self.request.owner
        if leaf is None:
            return
        if self.owned_by_any(leaf, value):
            leaf.owners[owner] = [text]
            return
        leaf.owners.pop(owner, None)
        if not leaf.owners:
            del self.record.leaves[where]

    def make_room(self, where: str) -> None:
        """Note the objects that will be made around a leaf, so that they go with it."""
        parts = pointer_parts(where)
        for depth in range(1, len(parts)):
            around = pointer(*parts[:depth])
            value = self.document.get(around)
            if value is ABSENT or value is None:
                self.record.made.setdefault(around, self.document.source(around))
            if value is None:
                self.document = self.document.set(around, {})

    def tidy(self) -> None:
        """Take away the objects that we made and that are empty now, the innermost first."""
        for around in sorted(self.record.made, key=len, reverse=True):
            inside = around + '/'
            if any(where.startswith(inside) for where in [*self.record.leaves, *self.record.lists]):
                continue
            before = self.record.made.pop(around)
            if same_value(self.document.get(around), {}):
                self.document = self.document.remove(around) if before is None else self.document.set(around, json.loads(before), before)

    def drop(self, where: str) -> None:
        """Delete a key, or empty it while a running daemon must be made to forget it."""
        parts = pointer_parts(where)
        known = KNOWN_KEYS.get(parts[0]) if len(parts) == 1 else None
        if known is None or known.cleared is None or where not in self.daemon.holds:
            self.document = self.document.remove(where)
            return
        self.document = self.document.set(where, known.cleared)
        if where not in self.record.tombstones:
            self.record.tombstones.append(where)

    # Lists

    def write_list(self, where: str, now: list[str] | None, wanted: list[str]) -> None:
        if wanted == (now or []):
            return
        value: t.Any = ','.join(wanted) if where == NO_PROXY else wanted
        if not self.document.node(where):
            self.make_room(where)
        self.document = self.document.set(where, value)

    def ask_list(self, where: str, asked: t.Sequence[str]) -> None:
        now = read_list(self.document, where)
        entries = self.record.lists.get(where)
        if not asked and not self.request.exclusive:
            if entries is not None and self.request.owner in entries.owners:
                self.release_list(where, now or [], entries)
            return
        if entries is None:
            entries = Entries(None) if where in self.record.tombstones else Entries(now, self.document.source(where))
        wanted, claim = _place(where, now or [], asked, entries, self.request)
        entries.owners.pop(self.request.owner, None)
        if claim:
            entries.owners[self.request.owner] = claim
        _only_there(where, entries, wanted)
        self.record.lists.pop(where, None)
        if entries.owners:
            self.record.lists[where] = entries
        self.store(where, now, wanted, entries)

    def release_list(self, where: str, now: list[str], entries: Entries) -> None:
        claim = entries.owners.pop(self.request.owner)
        wanted = _without(where, now, claim, entries)
        if not entries.owners:
            del self.record.lists[where]
        self.store(where, now, wanted, entries)

    def store(self, where: str, now: list[str] | None, wanted: list[str], entries: Entries) -> None:
        if not wanted and entries.before is None and not entries.owners:
            self.give_back_nothing(where, entries)
        elif wanted == entries.before and entries.source is not None and not entries.owners:
            self.document = self.document.set(where, json.loads(entries.source), entries.source)
        else:
            self.write_list(where, now, wanted)

    def give_back_nothing(self, where: str, entries: Entries) -> None:
        """There was no list: no key (then it goes), or null (then that stands there again, and makes dockerd forget the list as well)."""
        if self.document.node(where) is None:
            return
        if entries.source is None:
            self.drop(where)
        else:
            self.document = self.document.set(where, json.loads(entries.source), entries.source)

    # The whole

    def prune(self) -> None:
        """Ours = record ∩ file. What a crash left in the record without the file goes."""
        self.record.tombstones = [where for where in self.record.tombstones if _is_cleared(self.document, where)]
        for where, leaf in list(self.record.leaves.items()):
            value = self.document.get(where)
            if (_is(value, leaf.before) or where in self.record.tombstones) and not self.owned_by_any(leaf, value):
                del self.record.leaves[where]
        for where, entries in list(self.record.lists.items()):
            _only_there(where, entries, read_list(self.document, where) or [])
            if not entries.owners:
                del self.record.lists[where]

    def run(self) -> None:
        self.prune()
        if not self.record.busy:
            self.record.original = None if self.data is None else self.data.decode('utf-8')
        asked = self.request.leaves
        for where in [one for one, leaf in self.record.leaves.items() if self.request.owner in leaf.owners]:
            if self.request.manages(where) and where not in asked:
                self.release_leaf(where)
        for where, wanted in asked.items():
            self.ask_leaf(where, wanted)
        for where, entries in self.request.lists.items():
            self.ask_list(where, entries)
        self.tidy()
        self.bury({*asked, *(where for where, entries in self.request.lists.items() if entries)})

    def bury(self, asked: t.Collection[str]) -> None:
        """Tombstones end when somebody asks for the key again, and at once when no daemon runs."""
        for where in list(self.record.tombstones):
            if where in asked or where in self.record.leaves or where in self.record.lists:
                self.record.tombstones.remove(where)
            elif not self.daemon.running:
                self.document = self.document.remove(where)
                self.record.tombstones.remove(where)


def _is_cleared(document: Document, where: str) -> bool:
    known = KNOWN_KEYS.get(pointer_parts(where)[0])
    return known is not None and same_value(document.get(where), known.cleared)


def _only_there(where: str, entries: Entries, now: t.Iterable[str]) -> None:
    """Forget the claims to entries that are not in the list (any more)."""
    there = {entry_name(where, entry) for entry in now}
    for owner, claim in list(entries.owners.items()):
        claim.ours = [entry for entry in claim.ours if entry_name(where, entry) in there]
        claim.adopted = [entry for entry in claim.adopted if entry_name(where, entry) in there]
        if not claim:
            del entries.owners[owner]


def _unique(where: str, entries: t.Iterable[str]) -> list[str]:
    found: dict[str, str] = {}
    for entry in entries:
        found.setdefault(entry_name(where, entry), entry)
    return list(found.values())


def _place(where: str, now: list[str], asked: t.Sequence[str], entries: Entries, request: Request) -> tuple[list[str], Claim]:
    """The list as it must be, and what of it is whose.

    :param now: what the file holds.
    """

    def name(entry: str) -> str:
        return entry_name(where, entry)

    mine = entries.owners.get(request.owner, Claim())
    others = [claim for owner, claim in entries.owners.items() if owner != request.owner]
    brought = {name(entry) for claim in others for entry in claim.ours}
    claimed = brought | {name(entry) for claim in others for entry in claim.adopted}
    there = {name(entry): entry for entry in reversed(now)}
    spelling = {**{name(entry): entry for entry in mine.taken}, **there}
    block = [spelling.get(name(entry), entry) for entry in _unique(where, asked)]
    in_block = {name(entry) for entry in block}
    were_mine = {name(entry) for entry in mine.ours}
    was_taken = {name(entry) for claim in [mine, *others] for entry in claim.taken}
    ours = [entry for entry in block if name(entry) in were_mine | brought or name(entry) not in there.keys() | was_taken]
    adopted = [entry for entry in block if entry not in ours]

    # The first of two equal entries is the one that moves into the block, a second one stays foreign.
    rest, moved = [], set()
    for entry in now:
        one = name(entry)
        if one in in_block and one not in moved:
            moved.add(one)
        elif one not in were_mine or one in brought:
            rest.append(entry)
    if request.exclusive:
        # What other owners brought is not given back by us: they bring it again when they run.
        taken = [*mine.taken, *(entry for entry in rest if name(entry) not in brought | was_taken)]
        return block, Claim(ours, adopted, [entry for entry in taken if name(entry) not in in_block])

    back = [entry for entry in mine.taken if name(entry) not in in_block | {name(one) for one in rest}]
    claim = Claim(ours, adopted)
    kept = [entry for entry in now if name(entry) in in_block or entry in rest]
    let_go = {name(entry) for entry in mine.adopted} - in_block
    if not back and not let_go and _in_front(kept, block, in_block, claimed, name):
        return kept, claim
    managed = [entry for entry in rest if name(entry) in claimed]
    foreign = [entry for entry in rest if name(entry) not in claimed] + back
    if back or let_go:
        foreign = _in_old_order(where, foreign, entries, claimed | in_block)
    anchors = were_mine | {name(entry) for entry in mine.adopted}
    first = next((index for index, entry in enumerate(now) if name(entry) in in_block & anchors), 0)
    before = sum(1 for entry in now[:first] if name(entry) in claimed and name(entry) not in in_block)
    return [*managed[:before], *block, *managed[before:], *foreign], claim


def _in_front(kept: list[str], block: list[str], in_block: set[str], claimed: set[str], name: t.Callable[[str], str]) -> bool:
    """Whether the block stands there in its order with nothing but other owners' entries between and before."""
    if not block:
        return True
    waiting = [name(entry) for entry in block]
    for entry in kept:
        one = name(entry)
        if waiting and one == waiting[0]:
            waiting.pop(0)
            if not waiting:
                return True
        elif one in in_block or one not in claimed:
            return False
    return False


def _without(where: str, now: list[str], claim: Claim, entries: Entries) -> list[str]:
    """The list after an owner left; ``entries`` holds the owners that stay."""

    def name(entry: str) -> str:
        return entry_name(where, entry)

    brought = {name(entry) for one in entries.owners.values() for entry in one.ours}
    claimed = brought | {name(entry) for one in entries.owners.values() for entry in one.adopted}
    going = {name(entry) for entry in claim.ours} - brought
    left = [entry for entry in now if name(entry) not in going]
    there = {name(entry) for entry in left}
    left += [entry for entry in claim.taken if name(entry) not in there]
    if not (claim.adopted or claim.taken):
        return left
    # We moved foreign entries.
    managed = [entry for entry in left if name(entry) in claimed]
    foreign = [entry for entry in left if name(entry) not in claimed]
    return [*managed, *_in_old_order(where, foreign, entries, claimed)]


def _in_old_order(where: str, foreign: list[str], entries: Entries, claimed: t.Collection[str]) -> list[str]:
    """Foreign entries as they stood before the first owner, or as they are when somebody brought or took some since."""
    before = [entry for entry in entries.before or [] if entry_name(where, entry) not in claimed]
    same = {entry_name(where, entry) for entry in foreign} == {entry_name(where, entry) for entry in before}
    return before if same else foreign


def merge(data: bytes | None, path: str, record: Record, request: Request, daemon: Daemon) -> Result:
    """Work out file and record after a run.

    :param data: the bytes of the file, None when there is none.
    :raises ConfigError: when the file is not valid, or what is asked for cannot be put into it.
    """
    work = _Merge(data, path, record.copy(), request, daemon)
    work.run()
    return _finish(data, work.document, work.record, daemon, tuple(work.foreign))


def _finish(data: bytes | None, document: Document, record: Record, daemon: Daemon, foreign: tuple[str, ...]) -> Result:
    """Leave the file byte for byte as it was found once nothing in it is ours and nobody changed its meaning."""
    new: bytes | None = document.to_bytes()
    if data is None and not document.value:
        new = None
    elif not record.busy and new != data:
        new = _as_found(document, record, daemon)
    if not record.busy:
        record = Record(record.path, made_dirs=record.made_dirs if new is None else [])
    return Result(new, document.value, record, foreign)


def _as_found(document: Document, record: Record, daemon: Daemon) -> bytes | None:
    if record.original is None:
        return None if not document.value and not daemon.keep_file else document.to_bytes()
    original = Document.parse(record.original.encode('utf-8'), document.path)
    unchanged = dumps(original.value) == dumps(document.value)
    return original.to_bytes() if unchanged else document.to_bytes()


def clear(data: bytes | None, path: str, record: Record, daemon: Daemon) -> Result:
    """Delete the keys that wait for it, after it was proved that the daemon forgot them.

    :raises ConfigError: when the file is not valid.
    """
    nobody = Request(owner='')
    return merge(data, path, record, nobody, Daemon(running=False, holds=frozenset(), keep_file=daemon.keep_file))
