# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which certificates Docker needs for its registry-mirrors: copies in certs.d/HOST[:PORT].

Measured on Docker 20.10, 26.1 and 28.5: with the older image store dockerd reads that directory at each pull. A certificate without its key, or a key
without its certificate, fails every pull, also from elsewhere. With the containerd image store (28.5) it does not look there for registry-mirrors.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils import _hosts_toml, _owned_files
from ansible_collections.quickpull.registry.plugins.module_utils._certs_dir import certs_of
from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DockerDaemon
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, shown_url
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import Content, Record
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

DIRECTORY = _hosts_toml.DIRECTORIES[_hosts_toml.DOCKER]
# Docker's hosts.toml lie in the same directories, and whoever goes last takes those away: so both share one record.
KIND = f'hosts-toml-{_hosts_toml.DOCKER}'


@dataclass(frozen=True)
class LeftOut:
    """A mirror whose certificates were left out. ``path``: the file in the way. ``because`` is a full sentence."""

    mirror: str
    path: str
    because: str


@dataclass(frozen=True)
class Wanted:
    """What the files are to be. ``mirrors``: of which mirror each path is."""

    files: _owned_files.Plan
    mirrors: t.Mapping[str, str]
    left_out: t.Tuple[LeftOut, ...]


def written(record: Record, owner: str) -> t.List[str]:
    """Paths of the certificates that an owner wrote."""
    return sorted(path for path, entry in record.items() if entry.owner == owner and os.path.basename(path) != _hosts_toml.FILE_NAME)


def all_written(state: State) -> t.List[str]:
    """Paths of the certificates that any owner wrote; none where the record cannot be read."""
    try:
        return sorted(path for path in _owned_files.load(state, KIND) if os.path.basename(path) != _hosts_toml.FILE_NAME)
    except ConfigError:
        return []


def folder_of(directory: str, mirror: Mirror) -> str:
    """The directory of a mirror: dockerd takes the host and port as they are written in daemon.json."""
    return os.path.join(directory, mirror.url.partition('://')[2].partition('/')[0])


def plan(record: Record, owner: str, directory: str, mirrors: t.Sequence[Mirror], *, overwrite: bool = False) -> Wanted:
    """Compute what changes; certificates of this owner that no mirror needs go.

    :raises ConfigError: for a file that cannot be read, for a certificate that is missing, and for two of one place.
    """
    wanted: t.Dict[str, t.Optional[Content]] = dict.fromkeys(written(record, owner))
    origin: t.Dict[str, str] = {}
    contents: t.Dict[str, Content] = {}
    left_out: t.List[LeftOut] = []
    for mirror in mirrors:
        shown = shown_url(mirror.url)
        files = certs_of(folder_of(directory, mirror), mirror)
        found = [(path, _owned_files.in_the_way(record, owner, path, content, overwrite)) for path, content in files.items()]
        blocked = [(path, because) for path, because in found if because]
        if blocked:
            left_out.append(LeftOut(shown, blocked[0][0], f'The certificates of {shown} are left out: {blocked[0][1]}'))
            for path in files:
                wanted.pop(path, None)  # of such a mirror all stays as it is
            continue
        for path, content in files.items():
            origin.setdefault(path, shown)
            if contents.setdefault(path, content) != content:
                raise ConfigError(f'mirrors: {origin[path]} and {shown} have two different files for {path}; Docker knows one for each host and port.',
                                  path=path, key='mirrors')
            if not _owned_files.found_there(record, path, content):
                wanted[path] = content
    return Wanted(_owned_files.plan(record, owner, wanted, overwrite=overwrite), origin, tuple(left_out))


def not_read(daemon: DockerDaemon) -> bool:
    """Whether this Docker is known not to look there for its registry-mirrors."""
    return daemon.reported is not None and daemon.reported.image_store == 'containerd'
