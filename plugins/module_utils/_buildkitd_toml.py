# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""buildkitd.toml: the mirrors of BuildKit's own builders, which look at no daemon.json.

The file knows no drop-ins and may hold much of somebody else's, so ours is a block of tables between two comments at its end, one for each owner.
What is outside of it stays byte for byte.

Source: BuildKit, util/resolver/resolver.go and util/resolver/config/config.go. Its traps: each mirror may say what a tag means; a mirror's
scheme and certificates are in a table of the mirror's own host; and the path of a mirror goes behind /v2/.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils import _toml
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, shown_url
from ansible_collections.quickpull.registry.plugins.module_utils._registries_conf import mirror_entry

#: What says of a host how it is reached. The rest of its table is none of our business.
SETTINGS = ('http', 'insecure', 'ca', 'keypair')

_BEGIN = '# Begin of what quickpull.registry wrote for {}; what is changed here by hand is overwritten.'
_END = '# End of what quickpull.registry wrote for {}.'
# What the first of the two lines says of the file as it was, so that it becomes that again.
_NO_LINE_END = ' [no line end before]'
_WAS_EMPTY = ' [empty before]'
_OWNER = re.compile(r'[A-Za-z0-9._-]+\Z')

Table = t.Dict[str, t.Any]


@dataclass(frozen=True)
class Registries:
    """``mirrors`` by upstream, as HOST[:PORT][/PATH] in their order; ``hosts``: the :data:`SETTINGS` of mirrors' hosts that need some."""

    mirrors: t.Mapping[str, t.Sequence[str]] = field(default_factory=dict)
    hosts: t.Mapping[str, Table] = field(default_factory=dict)


@dataclass(frozen=True)
class Translated:
    """What the mirrors are in a buildkitd.toml, and a sentence for each that cannot be there."""

    registries: Registries
    left_out: t.Tuple[str, ...] = ()


def location_of(mirror: Mirror) -> str:
    """A mirror as it is listed. Raises ConfigError, as a sentence, for one that BuildKit cannot use or should not be given."""
    if mirror.trust == 'content':
        raise ConfigError(f'{shown_url(mirror.url)}: BuildKit lets each of its mirrors say what a tag means, and this one is trusted with content alone.')
    if mirror.headers:
        raise ConfigError(f'{shown_url(mirror.url)} wants headers, which BuildKit does not send; it is left out.')
    return mirror_entry(mirror).location


def translate(upstreams: t.Mapping[str, t.Sequence[Mirror]]) -> Translated:
    """Mirrors as BuildKit has them. Upstreams without mirrors stay, with none.

    :raises ConfigError: where two mirrors on one host are to be reached in different ways.
    """
    mirrors: t.Dict[str, t.List[str]] = {}
    hosts: t.Dict[str, Table] = {}
    left_out = []
    for upstream, listed in upstreams.items():
        locations = mirrors.setdefault(upstream, [])
        for mirror in listed:
            try:
                location = location_of(mirror)
            except ConfigError as exc:
                left_out.append(str(exc))
                continue
            settings = _settings(mirror)
            if hosts.setdefault(_host(location), settings) != settings:
                raise ConfigError(f'{_host(location)}: mirrors on one host are reached in different ways, and BuildKit has room for one alone.', key=upstream)
            if location not in locations:
                locations.append(location)
    return Translated(Registries(mirrors, hosts), tuple(left_out))


def _host(location: str) -> str:
    return location.partition('/')[0]


def _settings(mirror: Mirror) -> Table:
    if mirror.url.lower().startswith('http://'):
        return {'http': True}
    settings: Table = {}
    if mirror.insecure:
        settings['insecure'] = True
    if mirror.ca_path:
        settings['ca'] = [mirror.ca_path]
    if mirror.client_cert:
        settings['keypair'] = [{'key': mirror.client_key or mirror.client_cert, 'cert': mirror.client_cert}]
    return settings


def merged(before: Registries, after: Registries) -> Registries:
    """What is to be in our block: ``after``, and of ``before`` the upstreams that it does not name; one without mirrors goes.

    :raises ConfigError: where a host of both is to be reached in different ways.
    """
    staying = {name: listed for name, listed in before.mirrors.items() if name not in after.mirrors}
    mirrors = {name: list(listed) for name, listed in {**staying, **after.mirrors}.items() if listed}
    mirrors = {name: mirrors[name] for name in [*before.mirrors, *after.mirrors] if name in mirrors}
    old, new = (dict.fromkeys(_host(one) for listed in part.values() for one in listed) for part in (staying, after.mirrors))
    for host in old:
        if host in new and before.hosts.get(host, {}) != after.hosts.get(host, {}):
            raise ConfigError(
                f'{host} is a mirror of {", ".join(staying)} too and reached in another way there; name all of these registries in one run.', key=host
            )
    hosts = {**{host: before.hosts.get(host, {}) for host in old}, **{host: after.hosts.get(host, {}) for host in new}}
    return Registries(mirrors, {host: settings for host, settings in hosts.items() if settings})


def beside(registries: Registries, theirs: t.Mapping[str, Table], path: str) -> Translated:
    """What of ours can stand in one file with tables of somebody else's: a table that is there cannot be there twice."""
    left_out = []
    mirrors: t.Dict[str, t.List[str]] = {}
    for upstream, listed in registries.mirrors.items():
        if upstream in theirs:
            left_out.append(f'{path} has a table of somebody else for {upstream}, which is left as it is; take it out, and the mirrors are written.')
            continue
        mirrors[upstream] = []
        for location in listed:
            host = _host(location)
            wanted = registries.hosts.get(host, {})
            if host in theirs and reached_by(theirs[host]) != wanted:
                left_out.append(f'{location} is left out: {path} has a table of somebody else for {host}, which says something else of how it is reached.')
            else:
                mirrors[upstream].append(location)
    hosts = {host: settings for host, settings in registries.hosts.items() if host not in theirs}
    return Translated(merged(Registries(), Registries(mirrors, hosts)), tuple(left_out))


def reached_by(table: t.Any) -> Table:
    """The settings of a host in its table."""
    if not isinstance(table, dict):
        return {}
    fits: t.Dict[str, t.Callable[[t.Any], bool]] = {
        'http': lambda value: value is True, 'insecure': lambda value: value is True, 'ca': lambda value: bool(value) and _are_texts(value),
        'keypair': lambda value: isinstance(value, list) and bool(value) and all(map(_is_pair, value)),
    }  # fmt: skip
    return {key: table[key] for key in SETTINGS if key in table and fits[key](table[key])}


def render(registries: Registries) -> str:
    """The tables; empty for none."""
    tables = []
    for name in dict.fromkeys([*registries.mirrors, *registries.hosts]):
        settings = registries.hosts.get(name, {})
        header = f'registry.{_toml.quote(name)}'
        lines = [f'[{header}]']
        if name in registries.mirrors:
            lines.append(f'mirrors = {_texts(registries.mirrors[name])}')
        lines += [f'{key} = true' for key in ('http', 'insecure') if settings.get(key)]
        if settings.get('ca'):
            lines.append(f'ca = {_texts(settings["ca"])}')
        for pair in settings.get('keypair', ()):
            lines += [f'[[{header}.keypair]]', f'key = {_toml.quote(pair["key"])}', f'cert = {_toml.quote(pair["cert"])}']
        tables.append('\n'.join(lines) + '\n')
    return '\n'.join(tables)


def _texts(values: t.Iterable[str]) -> str:
    return f'[{", ".join(map(_toml.quote, values))}]'


def tables_of(text: str, path: str = '') -> t.Dict[str, Table]:
    """The table of each registry in a file, by its host. Go reads names of tables in capitals as well.

    :raises ConfigError: for a file that is not understood.
    """
    found: t.Any = next((value for key, value in _toml.read(text, path).items() if key.lower() == 'registry'), {})
    if not isinstance(found, dict) or not all(isinstance(table, dict) for table in found.values()):
        raise ConfigError(f'{path}: registry is expected to be a table for each host, [registry."HOST"], and is something else.', path=path, key='registry')
    return {host: {key.lower(): value for key, value in table.items()} for host, table in found.items()}


def check_room(text: str, path: str) -> None:
    """Raises ConfigError for a file in which all registries are one value in braces, since TOML lets nobody add to those."""
    try:
        # What our own parser takes for understood can still be a table in braces.
        closed = _toml.tomllib is None and any(one.key and one.path == ('registry',) for one in _toml.statements(text, path))
        _toml.loads(f'{text}\n[registry."quickpull.invalid"]\n')
    except _toml.NotUnderstoodError:
        closed = True
    if closed:
        raise ConfigError(f'{path}: registry is a table in braces, which cannot be added to; write it as [registry."HOST"].', path=path, key='registry')


def parse(tables: t.Mapping[str, Table]) -> Registries:
    """Tables as :func:`render` writes them; what somebody made of ours that has another form is left out."""
    mirrors = {name: table['mirrors'] for name, table in tables.items() if _are_texts(table.get('mirrors'))}
    return Registries(mirrors, {name: settings for name, table in tables.items() if (settings := reached_by(table))})


def _are_texts(value: t.Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_pair(value: t.Any) -> bool:
    return isinstance(value, dict) and set(value) == {'key', 'cert'} and _are_texts(list(value.values()))


@dataclass(frozen=True)
class Parted:
    """A file's text: ``before`` and ``behind`` our block, and ``block``, empty where there is none; ``exists``: whether there is a file at all."""

    before: str = ''
    block: str = ''
    behind: str = ''
    exists: bool = True

    @property
    def note(self) -> str:
        """What the first line of the block says of the file as it was, or has to say."""
        if self.block:
            first = self.block.partition('\n')[0]
            return next((note for note in (_NO_LINE_END, _WAS_EMPTY) if first.endswith(note)), '')
        if self.before and not self.before.endswith('\n'):
            return _NO_LINE_END
        return _WAS_EMPTY if self.exists and not self.before else ''

    @property
    def theirs(self) -> t.Optional[str]:
        """The file without ours, as it was before; None for no file."""
        if not self.block:
            return self.before if self.exists else None
        added = self.note == _NO_LINE_END and self.before.endswith('\n')
        rest = (self.before[:-1] if added else self.before) + ('\n' if added and self.behind else '') + self.behind
        return rest if rest or self.note == _WAS_EMPTY else None


def part(text: t.Optional[str], owner: str, path: str = '') -> Parted:
    """Find the block of an owner. Raises ConfigError for one that somebody cut in two, and for an owner that cannot be named in a comment."""
    if not _OWNER.match(owner):
        raise ConfigError(f'owner: {owner!r} cannot be named in a file; use letters, digits, dots, dashes and underscores.', key='owner')
    if text is None:
        return Parted(exists=False)
    begin = re.search(rf'^{re.escape(_BEGIN.format(owner))}(?: \[[a-z ]+\])?\r?$', text, re.MULTILINE)
    end = re.search(rf'^{re.escape(_END.format(owner))}\r?(?:\n|\Z)', text, re.MULTILINE)
    if not begin and not end:
        return Parted(text)
    if not begin or not end or end.start() < begin.end():
        raise ConfigError(f'{path}: of the two lines around what this collection wrote for {owner} one is missing; take the rest of it out by hand.', path=path)
    return Parted(text[: begin.start()], text[begin.start() : end.end()], text[end.end() :])


def put_in(parted: Parted, owner: str, tables: str) -> t.Optional[str]:
    """The file's text with these tables as our block, in its place; without tables as it was before, None for no file."""
    if not tables:
        return parted.theirs
    block = f'{_BEGIN.format(owner)}{parted.note}\n{tables}{_END.format(owner)}\n'
    if parted.block:
        return parted.before + block + parted.behind
    return parted.before + ('\n' if parted.note == _NO_LINE_END else '') + block
