# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the running dockerd has in force, as far as it can be known.

dockerd tells a few settings in ``GET /info`` and keeps the rest to itself. Two things tell the rest:

* The baseline: a configuration file that has not been touched since the daemon started is in force as it stands.
* The record ``applied.json``: when the file is about to change, or a change was proved, the values in force are noted
  as keyed hashes (HMAC-SHA256), so that the record holds no secret. It counts for one process of the daemon only.

Values are addressed by JSON pointers (RFC 6901) of their leaves: ``/log-opts/max-size``. A list is one leaf.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.quickpull.registry.plugins.module_utils import _dropin, _snapshot
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._io import read_file, write_private
from ansible_collections.quickpull.registry.plugins.module_utils._json_text import pointer
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

if t.TYPE_CHECKING:
    from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DockerDaemon

ENGINE = 'docker'

SAME = 'same'
DIFFERS = 'differs'
UNKNOWN = 'unknown'

# Stands for "there was no such key". Cannot be the hex digest of a value.
ABSENT = 'absent'

_FORMAT = 1


def flatten(config: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The leaves of a configuration by their JSON pointers. An empty object says nothing to dockerd, so it is no leaf."""
    leaves: dict[str, t.Any] = {}

    def walk(value: t.Any, parts: tuple[str, ...]) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, (*parts, key))
        else:
            leaves[pointer(*parts)] = value

    walk(dict(config), ())
    return leaves


@dataclass(frozen=True)
class InForce:
    """What is known of the values in force.

    :ivar hashes: keyed hash of the value in force, or :data:`ABSENT`, by JSON pointer.
    :ivar complete: a pointer that is not in ``hashes`` has no value in the daemon.
    :ivar written: pointers that this collection changed in the file and that were not proved since: they are ours to
        apply even when they are gone from the file and the ownership record.
    :ivar accepted: keyed hash of the content of the file that the daemon has last read without a complaint.
    :ivar key: of the hashes.
    """

    hashes: t.Mapping[str, str] = field(default_factory=dict)
    complete: bool = False
    written: frozenset[str] = frozenset()
    key: bytes = b''
    accepted: str = ''

    def state_of(self, where: str, present: bool, value: t.Any = None) -> str:
        """:data:`SAME`, :data:`DIFFERS` or :data:`UNKNOWN`: what is in the file, against what is in force."""
        known = self.hashes.get(where, ABSENT if self.complete else None)
        if known is None:
            return UNKNOWN
        now = hash_value(self.key, value) if present else ABSENT
        return SAME if now == known else DIFFERS


def _text(value: t.Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(',', ':'), ensure_ascii=True)


def hash_value(key: bytes, value: t.Any) -> str:
    """Keyed hash of a JSON value; the order of an object's keys does not matter, that of a list does."""
    return hmac.new(key, _text(value).encode('ascii'), hashlib.sha256).hexdigest()


def in_force_from(config: t.Mapping[str, t.Any], key: bytes, written: t.Iterable[str] = ()) -> InForce:
    """Everything in ``config`` is in force, and nothing else."""
    return InForce({where: hash_value(key, value) for where, value in flatten(config).items()}, True, frozenset(written), key)


def _times(path: str) -> list[float]:
    """When the file, or the place where a file would be, was last touched (epoch seconds); a link and its target both count."""
    times = []
    for stat in (os.lstat, os.stat):
        try:
            info = stat(path)
        except OSError:
            continue
        times.append(max(info.st_ctime, info.st_mtime))
    return times


def untouched_since(path: str, started_at: float | None) -> bool:
    """Whether the daemon that started then (epoch seconds) has read the file as it is now.

    For a file that is not there, its directory must be as old: a file may have been removed from it since. ``started_at`` is
    never later than the real start, so an equal time is one too late.
    """
    if started_at is None:
        return False
    times = _times(path)
    if not os.path.exists(path):
        folder = os.path.dirname(os.path.abspath(path))
        while not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        times += _times(folder)
    return bool(times) and max(times) < started_at


def hash_key(state: State, *, create: bool) -> bytes:
    """The host's key for hashes. Without one and without ``create``: a key for this run alone.

    :raises ConfigError: when it cannot be read or written.
    """
    data = read_file(state.hash_key).data
    if data is not None and len(data) >= 32:
        return data
    fresh = os.urandom(32)
    if create:
        write_private(state.hash_key, fresh, root=state.root)
    return fresh


def _load_record(state: State, daemon: DockerDaemon, path: str, key: bytes) -> InForce | None:
    """The record, None when there is none for this process of the daemon and this file."""
    data = read_file(state.applied(ENGINE)).data
    if data is None or daemon.start_id is None:
        return None
    try:
        raw = json.loads(data.decode('utf-8'))
        if raw['format'] != _FORMAT or raw['start_id'] != daemon.start_id or raw['config_path'] != os.path.realpath(path):
            return None
        hashes = {str(where): str(value) for where, value in raw['keys'].items()}
        return InForce(hashes, raw['complete'] is True, frozenset(str(where) for where in raw['written']), key, str(raw.get('accepted', '')))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def record(state: State, daemon: DockerDaemon, path: str, known: InForce) -> None:
    """Write the record for this process of the daemon.

    :raises ConfigError: when it cannot be written.
    """
    raw = {
        'format': _FORMAT,
        'start_id': daemon.start_id,
        'config_path': os.path.realpath(path),
        'complete': known.complete,
        'keys': dict(sorted(known.hashes.items())),
        'written': sorted(known.written),
        'accepted': known.accepted,
    }
    write_private(state.applied(ENGINE), json.dumps(raw, indent=1).encode(), root=state.root)


def in_force(state: State, daemon: DockerDaemon, path: str, config: t.Mapping[str, t.Any] | None, key: bytes | None = None) -> InForce:
    """What is known of the running daemon's values. Writes nothing.

    :param path: of daemon.json.
    :param config: what the file holds now; None when there is no file or it cannot be understood.
    :param key: of the hashes, by default the host's.
    :raises ConfigError: when the state directory cannot be read.
    """
    key = key or hash_key(state, create=False)
    if daemon.start_id is None:
        return InForce(key=key)
    if untouched_since(path, daemon.started_at):
        return in_force_from(config or {}, key)
    return _load_record(state, daemon, path, key) or InForce(key=key)


def in_force_after_write(
    state: State,
    daemon: DockerDaemon,
    path: str,
    old_config: t.Mapping[str, t.Any] | None,
    new_config: t.Mapping[str, t.Any] | None,
) -> InForce:
    """What will be known once the file was changed from the one to the other. Writes nothing.

    This is what a plan for the new content must be made from, in check mode as well: values that change now are known
    afterwards (see :func:`before_write`), although :func:`in_force` does not know them before.
    """
    return _noted(state, daemon, path, old_config, new_config, hash_key(state, create=False))


def _noted(
    state: State,
    daemon: DockerDaemon,
    path: str,
    old_config: t.Mapping[str, t.Any] | None,
    new_config: t.Mapping[str, t.Any] | None,
    key: bytes,
) -> InForce:
    if daemon.start_id is None:
        return InForce(key=key)
    old, new = flatten(old_config or {}), flatten(new_config or {})
    # Not `!=`: for Python 1, 1.0 and True are equal.
    changed = {where for where in {*old, *new} if where not in old or where not in new or _text(old[where]) != _text(new[where])}
    known = in_force(state, daemon, path, old_config, key)
    hashes = dict(known.hashes)
    if not known.complete:
        for where in sorted(changed):
            hashes.setdefault(where, hash_value(key, old[where]) if where in old else ABSENT)
    return replace(known, hashes=hashes, written=known.written | changed)


def _holds_dropin(daemon: DockerDaemon, path: str) -> bool:
    """Whether the daemon runs with what our drop-in at ``path`` says. How old the file is does not tell that: systemd reads it apart."""
    try:
        return _dropin.held(_dropin.read(path), daemon)
    except ConfigError:  # not ours, so that it is not ours to put back either
        return False


def keep_proved(state: State, daemon: DockerDaemon, path: str, snapshot_paths: t.Iterable[str]) -> None:
    """Put aside, as the ``proved`` snapshot, those files that the daemon is known to have come up with.

    To be called right before one of them is written. daemon.json and its ownership record are taken while daemon.json is still
    the one that the daemon started with, a drop-in while the daemon has in its environment just what it sets. A file of which
    that is not true, because another task has written it already, keeps what the snapshot says of it, or is left out of it.

    :param path: of daemon.json.
    :param snapshot_paths: daemon.json, its ownership record, and drop-ins of ours.
    :raises ConfigError: when the state directory cannot be written.
    """
    if daemon.start_id is None:
        return
    paths = list(dict.fromkeys(snapshot_paths))
    config = {path, state.ownership(path)}
    untouched = untouched_since(path, daemon.started_at)
    unproved = [one for one in paths if not (untouched if one in config else _holds_dropin(daemon, one))]
    if len(unproved) < len(paths):
        _snapshot.save(state, ENGINE, _snapshot.PROVED, paths, keep=unproved)


def before_write(
    state: State,
    daemon: DockerDaemon,
    path: str,
    old_config: t.Mapping[str, t.Any] | None,
    new_config: t.Mapping[str, t.Any] | None,
    snapshot_paths: t.Iterable[str] = (),
) -> InForce:
    """Note what is in force while it is still known: to be called right before daemon.json is written (never in check mode).

    Does nothing when the daemon is not running: it will read the file when it starts. While the file is still the one
    that the daemon started with, the whole of it is noted. Otherwise the old value of each leaf that changes now is noted,
    so that the change is seen later. What the daemon came up with is put aside, see :func:`keep_proved`.

    :param path: of daemon.json.
    :param old_config: what the file holds now, None for no file.
    :param new_config: what it will hold, None when it will be deleted.
    :param snapshot_paths: the files of the ``proved`` snapshot: daemon.json, our drop-in, the ownership records; best
        given by :func:`_snapshot.docker_paths`.
    :returns: what to make the plan from.
    :raises ConfigError: when the state directory cannot be written.
    """
    if daemon.start_id is None:
        return InForce()
    known = _noted(state, daemon, path, old_config, new_config, hash_key(state, create=True))
    keep_proved(state, daemon, path, snapshot_paths)
    record(state, daemon, path, known)
    return known
