# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""registries.conf as containers/image reads it (Podman, Buildah, Skopeo, CRI-O): our drop-ins, and what others wrote. Nothing here reads a file.

registries.conf is read first, then the ``*.conf`` of registries.conf.d in the order of their bytes, hidden ones too. A ``[[registry]]``
replaces a whole earlier one of the same prefix.
"""

from __future__ import annotations

import re
import typing as t
import urllib.parse
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, host_in_image, shown_url
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import FIRST_LINE
from ansible_collections.quickpull.registry.plugins.module_utils._toml import NotUnderstoodError, loads, quote

DOCKER_HUB = 'docker.io'
MAIN_FILE = 'registries.conf'
DROPIN_DIR = 'registries.conf.d'
SUFFIX = '.conf'

# Podman's words for trust: what a mirror of `content` serves is verified by the digest that was asked for.
PULL_FROM_MIRROR = {'content': 'digest-only', 'resolve': 'all'}

_PREFIX = '500-quickpull-'
_LAST_PREFIX = 'zz-quickpull-'
_MAX_NAME = 200
_HUB_ALIASES = ('index.docker.io', 'registry-1.docker.io', 'registry.hub.docker.com')

# distribution/reference: the grammar of an image's name. What is outside of it in a location makes every pull of the upstream fail.
_LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?'
_HOST = re.compile(rf'{_LABEL}(?:\.{_LABEL})*(?::[0-9]+)?\Z')
_PATH = re.compile(r'(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*\Z')
_API = '/v2'


@dataclass(frozen=True)
class MirrorEntry:
    """One ``[[registry.mirror]]``."""

    location: str
    insecure: bool
    pull_from_mirror: str

    @property
    def host(self) -> str:
        """The host and port, which also name the directory of its certificates."""
        return self.location.partition('/')[0]


@dataclass(frozen=True)
class Conf:
    """What a file says of registries.

    :ivar prefixes: of which upstreams it has an entry.
    :ivar hosts: of the mirrors in it.
    :ivar old_format: it is in version 1 (``[registries.search]``).
    :ivar problem: why it is not understood; then nothing else is known.
    """

    path: str
    prefixes: t.Tuple[str, ...] = ()
    hosts: t.Tuple[str, ...] = ()
    old_format: bool = False
    problem: str = ''

    @property
    def name(self) -> str:
        return self.path.rpartition('/')[2]


@dataclass(frozen=True)
class Place:
    """Where the drop-in of an upstream goes; ``because`` is the sentence why it goes nowhere, and ``path`` then the file in the way."""

    name: str
    because: str = ''
    path: str = ''


def check_upstream(upstream: str) -> None:
    """Raises ConfigError for what is no name of a registry, or not the one that images carry."""
    host, slash, path = upstream.partition('/')
    if host in _HUB_ALIASES:
        raise ConfigError(f'upstreams: images of {upstream} carry the name {DOCKER_HUB} here; write {DOCKER_HUB}.', key='upstreams')
    named = '.' in host or ':' in host or host == 'localhost'
    if not (named and host == host.lower() and _HOST.match(host) and _PATH.match(slash + path)):
        raise ConfigError(
            f'upstreams: {shown_url(upstream)!r} is no registry; write the host as images name it, in small letters and without a scheme, such as '
            f'{DOCKER_HUB}, registry.lan:5000 or quay.io/team.',
            key='upstreams',
        )
    if len(file_name(upstream)) > _MAX_NAME:
        raise ConfigError(f'upstreams: {upstream!r} is too long for the name of a file.', key='upstreams')


def mirror_entry(mirror: Mirror) -> MirrorEntry:
    """How a mirror is written here. Raises ConfigError, as a sentence, for one that these clients cannot use."""
    shown = shown_url(mirror.url)
    if mirror.headers:
        raise ConfigError(f'{shown} wants headers, which registries.conf cannot send; it is left out.')
    host, path = host_in_image(mirror.url), _repository_path(mirror.url)
    plain = mirror.url.lower().startswith('http://')
    if not _HOST.match(host):
        raise ConfigError(f'{shown} has the host {host}, which cannot stand in the name of an image and would fail every pull; it is left out.')
    if path is None:
        raise ConfigError(
            f'{shown} has a path before /v2/, where these clients never ask; it is left out. For a mirror that is a project of its registry '
            f'write http(s)://HOST/v2/PROJECT.'
        )
    if not _PATH.match(path):
        raise ConfigError(f'{shown} has the path {path}, which cannot stand in the name of an image and would fail every pull; it is left out.')
    return MirrorEntry(host + path, plain or mirror.insecure, PULL_FROM_MIRROR[mirror.trust])


def _repository_path(url: str) -> str | None:
    """What stands behind ``/v2`` in the URL, which is where the client puts the path of a location; None for a path that is elsewhere."""
    path = '/' + url.partition('://')[2].partition('/')[2].rstrip('/')
    if path == '/':
        return ''
    return path[len(_API):] if path.startswith(_API + '/') else None


def render(upstream: str, mirrors: t.Sequence[MirrorEntry]) -> str:
    """The text of an upstream's drop-in."""
    lines = [FIRST_LINE, '[[registry]]', f'prefix = {quote(upstream)}', f'location = {quote(upstream)}']
    for mirror in mirrors:
        lines += ['', '[[registry.mirror]]', f'location = {quote(mirror.location)}']
        lines += ['insecure = true'] if mirror.insecure else []
        lines.append(f'pull-from-mirror = {quote(mirror.pull_from_mirror)}')
    return '\n'.join(lines) + '\n'


def mirrors_of(text: str) -> list[str]:
    """The URLs of the mirrors in a drop-in of ours, as an operator writes them; none where it is not understood."""
    try:
        entries = loads(text).get('registry') or [{}]
        return [url_of(str(mirror['location']), mirror.get('insecure') is True) for mirror in entries[0].get('mirror', [])]
    except (NotUnderstoodError, KeyError, TypeError, AttributeError):
        return []


def url_of(location: str, insecure: bool) -> str:
    """The URL of a mirror as an operator writes it, as far as a drop-in tells: an insecure one with a port may have TLS or none."""
    host, slash, path = location.partition('/')
    return f'http{"" if insecure and ":" in host else "s"}://{host}' + (f'{_API}/{path}' if slash else '')


def file_name(upstream: str, *, last: bool = False) -> str:
    """The drop-in's name; ``last``: one that is read after nearly all others."""
    return (_LAST_PREFIX if last else _PREFIX) + urllib.parse.quote(upstream, safe='') + SUFFIX


def upstream_of(name: str) -> str:
    """Which upstream a drop-in of this name of ours is for; empty for another name."""
    for prefix in (_PREFIX, _LAST_PREFIX):
        if name.startswith(prefix) and name.endswith(SUFFIX):
            return urllib.parse.unquote(name[len(prefix):-len(SUFFIX)])
    return ''


def read_conf(path: str, data: bytes) -> Conf:
    """Understand a registries.conf or a drop-in. Never raises."""
    try:
        found = _lower(loads(data.decode('utf-8')))
        if isinstance(found.get('registries'), dict):
            return Conf(path, _old_prefixes(found['registries']), old_format=True)
        registries = found.get('registry', [])
        prefixes = tuple(_location(one.get('prefix') or one['location']) for one in registries)
        hosts = tuple(_location(mirror['location']).partition('/')[0] for one in registries for mirror in one.get('mirror', []))
        return Conf(path, prefixes, hosts)
    except NotUnderstoodError as exc:
        return Conf(path, problem=str(exc))
    except UnicodeDecodeError as exc:
        return Conf(path, problem=f'byte {exc.start} is no UTF-8')
    except (KeyError, TypeError, AttributeError):
        return Conf(path, problem='an entry has no location, or something else than a text as its location or prefix')


def _lower(value: t.Any) -> t.Any:
    """Keys in small letters: the client's reader does not tell them from capitals."""
    if isinstance(value, dict):
        return {key.lower(): _lower(one) for key, one in value.items()}
    return [_lower(one) for one in value] if isinstance(value, list) else value


def _location(value: str) -> str:
    return value.rstrip('/')


def _old_prefixes(registries: t.Mapping[str, t.Any]) -> t.Tuple[str, ...]:
    """Version 1 makes entries of what it blocks and of what it calls insecure."""
    tables = [registries.get(name, {}) for name in ('block', 'insecure')]
    return tuple(dict.fromkeys(_location(one) for table in tables for one in table.get('registries', [])))


def check_formats(dropins: t.Iterable[Conf]) -> None:
    """Raises ConfigError for a drop-in in the format of version 1: with one of those, the client reads none and pulls nothing."""
    for conf in dropins:
        if conf.old_format:
            raise ConfigError(
                f'{conf.path} is in the old format ([registries.search] and the like), which is refused in a drop-in: no image at all can be pulled. '
                'Write it anew with [[registry]], or move it away.',
                path=conf.path,
            )


def place(upstream: str, before: t.Sequence[Conf], dropins: t.Iterable[Conf], overwrite: bool = False) -> Place:
    """Where the drop-in of an upstream goes, given the files of others.

    ``before`` is read before any drop-in beside ours. ``dropins`` holds none of ours, and none that has the very name of ours.
    """
    having = [conf for conf in dropins if upstream in conf.prefixes]
    name, last = file_name(upstream), file_name(upstream, last=True)
    later = [conf for conf in having if _later(conf.name, name)]
    earlier = [conf for conf in before if upstream in conf.prefixes] + [conf for conf in having if conf not in later]
    if later and not overwrite:
        return Place('', f'{later[-1].path} has an entry for {upstream} too and is read after ours, so it would replace it; take that entry out of it, '
                         'or allow with overwrite that ours is read last.', later[-1].path)
    if earlier and not overwrite:
        return Place('', f'{earlier[-1].path} has an entry for {upstream} already, which ours would replace as a whole; take that entry out of it, '
                         'or allow with overwrite that ours counts instead.', earlier[-1].path)
    if not later:
        return Place(name)
    latest = [conf for conf in later if _later(conf.name, last)]
    if latest:
        return Place('', f'{latest[-1].path} has an entry for {upstream} and is read even after {last}; give it another name, or take that entry out of it.',
                     latest[-1].path)
    return Place(last)


def _later(one: str, other: str) -> bool:
    return one.encode('utf-8', 'surrogateescape') > other.encode('utf-8', 'surrogateescape')
