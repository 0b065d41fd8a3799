# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which files containers/image needs for the mirrors of some upstreams: a drop-in each, and the certificates of their mirrors.

All lie beside each other: registries.conf, registries.conf.d, and certs.d with a directory for each host and port.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils import _hub_logins, _io, _owned_files
from ansible_collections.quickpull.registry.plugins.module_utils import _registries_conf as conf
from ansible_collections.quickpull.registry.plugins.module_utils._certs_dir import Files, certs_of
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, shown_url
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import Content, Record
from ansible_collections.quickpull.registry.plugins.module_utils._registries_conf import Conf, MirrorEntry
from ansible_collections.quickpull.registry.plugins.module_utils._root import below
from ansible_collections.quickpull.registry.plugins.module_utils._systemd import read_small

KIND = 'registries_conf'
CERTS_DIR = 'certs.d'

_USER_CONFIG = '.config/containers'


@dataclass(frozen=True)
class LeftOut:
    """A mirror (``mirror``) or a whole upstream that was left out. ``path``: the file in the way. ``because`` is a full sentence."""

    upstream: str
    mirror: str
    path: str
    because: str


@dataclass(frozen=True)
class Hidden:
    """A user whose own file hides ours from him."""

    user: str
    path: str


@dataclass(frozen=True)
class Wanted:
    """What the files are to be.

    :ivar expected: the mirrors that a client must then read, by upstream.
    :ivar upstreams: of which upstream each path is; several upstreams may need one certificate.
    :ivar notes: sentences on files of others that could not be understood, or count for some of the images.
    """

    files: _owned_files.Plan
    expected: t.Mapping[str, t.Tuple[MirrorEntry, ...]]
    upstreams: t.Mapping[str, str]
    left_out: t.Tuple[LeftOut, ...]
    notes: t.Tuple[str, ...]


@dataclass
class _Work:
    """What :func:`plan` gathers on its way."""

    record: Record
    owner: str
    directory: str
    overwrite: bool
    system: str = ''
    wanted: t.Dict[str, t.Optional[Content]] = field(default_factory=dict)
    upstreams: t.Dict[str, str] = field(default_factory=dict)
    expected: t.Dict[str, t.Tuple[MirrorEntry, ...]] = field(default_factory=dict)
    left_out: t.List[LeftOut] = field(default_factory=list)

    @property
    def certs(self) -> str:
        return os.path.join(os.path.dirname(self.directory), CERTS_DIR)

    def in_the_way(self, path: str, content: Content) -> str:
        """The sentence why the file of somebody else at ``path`` cannot be ours; empty where it can, or holds the same."""
        return _owned_files.in_the_way(self.record, self.owner, path, content, self.overwrite)


def plan(
    record: Record,
    owner: str,
    directory: str,
    upstreams: t.Mapping[str, t.Sequence[Mirror]] | None,
    *,
    overwrite: bool = False,
    system: str = '',
) -> Wanted:
    """Compute what changes.

    :param system: the directory of everybody's drop-ins where ``directory`` is a user's own. They are read first, unless the user has a registries.conf.
    :param upstreams: mirrors by upstream; none of them takes ours away, and an upstream that is not named stays as it is. None takes all of
        this owner's away.
    :raises ConfigError: for a file that cannot be read, for certificates that are missing, and where no drop-in can count.
    """
    work = _Work(record, owner, directory, overwrite, system)
    if upstreams is None:
        upstreams = dict.fromkeys(_written(work), ())
    before, dropins = _others(work)
    if any(upstreams.values()):
        conf.check_formats(dropins)
    for upstream, mirrors in upstreams.items():
        _plan_upstream(work, upstream, mirrors, before, dropins)
    _plan_stale_certs(work)
    files = _owned_files.plan(record, owner, work.wanted, overwrite=overwrite)
    for left in files.left:
        upstream = work.upstreams.get(left.path, '')
        work.expected.pop(upstream, None)
        work.left_out.append(LeftOut(upstream, '', left.path, left.because))
    return Wanted(files, work.expected, work.upstreams, tuple(work.left_out), tuple(_notes(work.expected, [*before, *dropins])))


def _written(work: _Work) -> t.List[str]:
    """Upstreams of which this owner has a drop-in; one that no record knows is everybody's."""
    found = []
    for path in _dropins(work.directory):
        entry = work.record.get(path)
        upstream = conf.upstream_of(os.path.basename(path))
        if upstream and (entry.owner == work.owner if entry else _owned_files.is_ours(_io.read_file(path).data)):
            found.append(upstream)
    # A drop-in that somebody deleted leaves a row in the record, and certificates.
    found += [conf.upstream_of(os.path.basename(path)) for path, entry in work.record.items()
              if entry.owner == work.owner and os.path.dirname(path) == work.directory]
    return [upstream for upstream in dict.fromkeys(found) if upstream]


def _dropins(directory: str) -> t.List[str]:
    """What the client reads there, in its order: no directories, and hidden files too."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise _io.explain(exc, directory, 'read') from exc
    paths = [os.path.join(directory, name) for name in sorted(names, key=os.fsencode) if name.endswith(conf.SUFFIX)]
    return [path for path in paths if os.path.isfile(path)]


def _others(work: _Work) -> t.Tuple[t.List[Conf], t.List[Conf]]:
    """What others wrote: that which is read before the drop-ins beside ours, and those."""
    main = _main_of(work.directory)
    before = [main] if main else []
    if work.system and not main:
        system_main = _main_of(work.system)
        before = [system_main] if system_main else []
        before += [conf.read_conf(path, data) for path, data in _read_all(work.system).items() if not _owned_files.is_ours(data)]
    dropins = []
    for path, data in _read_all(work.directory).items():
        entry = work.record.get(path)
        if not (_owned_files.is_ours(data, entry) and (entry is None or entry.owner == work.owner)):
            dropins.append(conf.read_conf(path, data))
    return before, dropins


def _main_of(directory: str) -> t.Optional[Conf]:
    place = os.path.join(os.path.dirname(directory), conf.MAIN_FILE)
    data = _io.read_file(place).data
    return None if data is None else conf.read_conf(place, data)


def _read_all(directory: str) -> t.Dict[str, bytes]:
    read = {path: _io.read_file(path).data for path in _dropins(directory)}
    return {path: data for path, data in read.items() if data is not None}


def _notes(expected: t.Iterable[str], others: t.Sequence[Conf]) -> t.List[str]:
    found = []
    for upstream in expected:
        for one in others:
            parts = [prefix for prefix in one.prefixes if prefix.startswith(upstream + '/')]
            if parts:
                found.append(f'{one.path} has entries of its own for a part of {upstream}, which count there instead of ours: {", ".join(parts)}.')
            elif one.problem:
                found.append(f'{one.path} is not understood ({one.problem}), so it is not known whether it has an entry for {upstream}.')
    return found


def _plan_upstream(work: _Work, upstream: str, mirrors: t.Sequence[Mirror], before: t.Sequence[Conf], dropins: t.Sequence[Conf]) -> None:
    entries, certs = _entries(work, upstream, mirrors)
    names = {conf.file_name(upstream, last=last): os.path.join(work.directory, conf.file_name(upstream, last=last)) for last in (False, True)}
    name = ''
    if entries:
        # One of the very name of ours is looked at as a file, not as an entry.
        place = conf.place(upstream, before, [one for one in dropins if one.name != conf.file_name(upstream)], work.overwrite)
        if not place.name:
            work.left_out.append(LeftOut(upstream, '', place.path, place.because))
            return
        name = place.name
        content = Content(conf.render(upstream, entries))
        because = work.in_the_way(names[name], content)
        if because:
            work.left_out.append(LeftOut(upstream, '', names[name], because))
            return
        _want_certs(work, upstream, certs)
        work.wanted[names[name]] = content
        work.expected[upstream] = tuple(entries)
    work.upstreams.update(dict.fromkeys(names.values(), upstream))
    for other, path in names.items():
        entry = work.record.get(path)
        if other != name and (entry.owner == work.owner if entry else _owned_files.is_ours(_io.read_file(path).data)):
            work.wanted[path] = None


def _entries(work: _Work, upstream: str, mirrors: t.Sequence[Mirror]) -> t.Tuple[t.List[MirrorEntry], Files]:
    """The mirrors that can be had, and their certificates."""
    entries: t.List[MirrorEntry] = []
    certs: Files = {}
    for mirror in mirrors:
        shown = shown_url(mirror.url)
        try:
            entry = conf.mirror_entry(mirror)
        except ConfigError as exc:
            work.left_out.append(LeftOut(upstream, shown, '', str(exc)))
            continue
        files = certs_of(os.path.join(work.certs, entry.host), mirror)
        blocked = [(path, because) for path, because in ((path, work.in_the_way(path, content)) for path, content in files.items()) if because]
        if blocked:
            work.left_out.append(LeftOut(upstream, shown, blocked[0][0], f'{shown} is left out: {blocked[0][1]}'))
            continue
        if entry not in entries:
            entries.append(entry)
        certs.update(files)
    return entries, certs


def _want_certs(work: _Work, upstream: str, certs: Files) -> None:
    for path, content in certs.items():
        before = work.wanted.get(path)
        if before is not None and before != content:
            raise ConfigError(
                f'upstreams: {os.path.basename(os.path.dirname(path))} has two different files for {path}, one of them for {upstream}; '
                'these clients know one for each host and port.', path=path, key='upstreams'
            )
        work.upstreams.setdefault(path, upstream)
        if not _owned_files.found_there(work.record, path, content):
            work.wanted[path] = content


def _plan_stale_certs(work: _Work) -> None:
    """Certificates of ours go with the last drop-in that needs them; a drop-in that this run leaves alone still does."""
    kept = [
        conf.read_conf(path, _io.read_file(path).data or b'')
        for path in _dropins(work.directory) if path not in work.wanted and conf.upstream_of(os.path.basename(path))
    ]
    needed = {host for one in kept for host in one.hosts}
    for path, entry in work.record.items():
        folder = os.path.dirname(path)
        if entry.owner == work.owner and os.path.dirname(folder) == work.certs and path not in work.wanted and os.path.basename(folder) not in needed:
            work.wanted[path] = None


def mirrors_at(wanted: Wanted, path: str) -> t.Optional[t.List[str]]:
    """The mirrors in one of the files; None for one that is no drop-in."""
    upstream = conf.upstream_of(os.path.basename(path))
    return [conf.url_of(one.location, one.insecure) for one in wanted.expected.get(upstream, ())] if upstream else None


def mirrors_in(directory: str) -> t.Dict[str, t.List[str]]:
    """The mirrors in our drop-ins below a directory, by upstream."""
    found = {}
    try:
        paths = _dropins(directory)
    except ConfigError:
        return {}
    for path in paths:
        upstream = conf.upstream_of(os.path.basename(path))
        mirrors = conf.mirrors_of(read_small(path) or '') if upstream else []
        if mirrors:
            found[upstream] = mirrors
    return found


def candidate(directory: str, wanted: Wanted) -> t.Dict[str, bytes]:
    """What a client would read after the change: ``registries.conf`` and ``registries.conf.d/NAME``."""
    changes = {change.path: change.after for change in wanted.files.changes if os.path.dirname(change.path) == directory}
    now = {**{path: _io.read_file(path).data for path in _dropins(directory)}, **changes}
    dropins = {f'{conf.DROPIN_DIR}/{os.path.basename(path)}': data for path, data in now.items() if data is not None}
    return {conf.MAIN_FILE: _io.read_file(os.path.join(os.path.dirname(directory), conf.MAIN_FILE)).data or b'', **dropins}


def hidden_for(expected: t.Mapping[str, t.Sequence[MirrorEntry]], root: str = '/') -> t.List[Hidden]:
    """Users for whom ours do not count: whose own registries.conf hides the system's, or whose own drop-in has an entry for the same upstream.

    An upstream of which the last word of a user's own files is ours too, with the mirrors that are ``expected``, is not hidden.
    """
    found = []
    for home in _hub_logins.homes(root):
        folder = below(root, f'{home}/{_USER_CONFIG}')
        own = _own_dropins(os.path.join(folder, conf.DROPIN_DIR))
        last = {prefix: path for path, data in own.items() for prefix in conf.read_conf(path, data).prefixes}
        missing = {upstream for upstream, mirrors in expected.items()
                   if upstream not in last or own[last[upstream]] != conf.render(upstream, mirrors).encode()}
        main = os.path.join(folder, conf.MAIN_FILE)
        paths = [main] if missing - set(last) and os.path.exists(main) else []
        paths += [path for path in own if path in {last.get(upstream) for upstream in missing}]
        found += [Hidden(_user(home, root), path if root in ('', '/') else path[len(root.rstrip('/')):]) for path in paths]
    return found


def _own_dropins(folder: str) -> t.Dict[str, bytes]:
    """What is in a user's drop-ins, in their order; of what is no regular file nothing is read."""
    try:
        paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(conf.SUFFIX)]
    except OSError:
        return {}
    read = {path: _hub_logins.read_regular(path) for path in paths}
    return {path: data for path, data in read.items() if data is not None}


def _user(home: str, root: str) -> str:
    for line in (read_small(below(root, '/etc/passwd')) or '').splitlines():
        fields = line.split(':')
        if len(fields) >= 7 and fields[5].rstrip('/') == home:
            return fields[0]
    return os.path.basename(home)
