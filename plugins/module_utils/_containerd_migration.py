# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables `mirrors` and `configs.HOST.tls` of containerd's config.toml, turned into hosts.toml files that mean the same.

What the tables mean is told by containerd, internal/cri/server/images/image_pull.go (registryHosts, registryEndpoints): of `mirrors` the upstream's own table
counts, else that of `*`; endpoints are asked in order for everything, then the upstream itself, unless an endpoint is that; an endpoint without a path has
its API at /v2, one with a path just there; TLS is looked up by the host and port of the endpoint. Logins (`configs.HOST.auth`) go together with
`config_path` and stay where they are.

Pure: texts and values in, texts out.
"""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ansible_collections.quickpull.registry.plugins.module_utils import _containerd_config, _toml
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._hosts_toml import DEFAULT_DIRECTORY, FILE_NAME, SERVERS
from ansible_collections.quickpull.registry.plugins.module_utils._io import FileState
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_url
from ansible_collections.quickpull.registry.plugins.module_utils._toml import Statement, quote

FIRST_LINE = '# Written by quickpull.registry from the tables of config.toml that were here before; from now on it is yours.'

_TLS_KEYS = ('ca_file', 'cert_file', 'key_file', 'insecure_skip_verify')
_ANY = '*'


@dataclass(frozen=True)
class Migration:
    """What becomes of the tables.

    :ivar text: config.toml without them, and with ``config_path``.
    :ivar files: the hosts.toml files, by path.
    :ivar endpoints: for people: the endpoints by upstream, without passwords.
    :ivar source: config.toml as it was read for this.
    :ivar kept: files of this collection that are there already, and count from now on instead of the tables.
    """

    text: str = field(repr=False)
    files: t.Mapping[str, str]
    endpoints: t.Mapping[str, t.Sequence[str]]
    source: FileState | None = field(default=None, repr=False)
    kept: t.Sequence[str] = ()


def tables_in(dump: t.Mapping[str, t.Any]) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """``mirrors`` by upstream and TLS by host, as ``containerd config dump`` has them."""
    registry = _containerd_config.registry_table(dump)
    tls = {host: config['tls'] for host, config in (registry.get('configs') or {}).items() if isinstance(config, dict) and config.get('tls')}
    return dict(registry.get('mirrors') or {}), tls


def migrate(text: str, dump: t.Mapping[str, t.Any], directory: str, path: str) -> Migration | None:
    """Translate; None where there are no such tables.

    :param text: of config.toml, at ``path``.
    :param dump: what containerd makes of it.
    :param directory: where hosts.toml files are to lie.
    :raises ConfigError: for what has no counterpart, and for tables that cannot be taken out of the text.
    """
    mirrors, tls = tables_in(dump)
    if not mirrors and not tls:
        return None
    endpoints = {upstream: _endpoints(upstream, table, path) for upstream, table in mirrors.items()}
    files = {}
    # A host with TLS of its own may be pulled from by its name, also where it is a mirror of another.
    for upstream in dict.fromkeys([*endpoints, *map(_upstream_of, tls)]):
        listed = endpoints.get(upstream, endpoints.get(_ANY, ()))
        name = DEFAULT_DIRECTORY if upstream == _ANY else upstream
        files[os.path.join(directory, name, FILE_NAME)] = _render(upstream, listed, {host: _tls(host, table, path) for host, table in tls.items()})
    shown = {upstream: [mask_url(url) for url in urls] for upstream, urls in endpoints.items()}
    return Migration(_containerd_config.with_config_path(without_tables(text, path), directory, path), files, shown)


def _endpoints(upstream: str, table: t.Any, path: str) -> tuple[str, ...]:
    where = f'{path}: the mirrors of {upstream!r}'
    other = sorted(set(table) - {'endpoint'}) if isinstance(table, dict) else ['(no table)']
    if other:
        raise ConfigError(f'{where} hold {", ".join(other)}, which hosts.toml has nothing for. Take it out, or migrate by hand.', path=path)
    found = table.get('endpoint') or []
    for url in found if isinstance(found, list) else [found]:
        parts = urlsplit(str(url))
        if parts.scheme not in ('http', 'https') or not parts.netloc or '@' in parts.netloc or parts.query or parts.fragment:
            raise ConfigError(f'{where}: {mask_url(str(url))!r} is no URL that hosts.toml takes. Correct it, or migrate by hand.', path=path)
    return tuple(str(url) for url in found)


def _upstream_of(host: str) -> str:
    """The upstream whose registry answers at a host and port."""
    return next((upstream for upstream, server in SERVERS.items() if urlsplit(server).netloc == host), host)


def _scheme(upstream: str) -> str:
    """containerd reaches a registry on the host itself without TLS unless it is told otherwise."""
    host = upstream.rpartition(':')[0] if re.search(r':\d+\Z', upstream) else upstream
    return 'http' if host == 'localhost' or host.startswith('127.') else 'https'


def _tls(host: str, table: t.Mapping[str, t.Any], path: str) -> list[str]:
    """The lines for a host's TLS."""
    other = sorted(key for key, value in table.items() if value and key not in _TLS_KEYS)
    if other:
        raise ConfigError(f'{path}: configs.{host}.tls holds {", ".join(other)}, which hosts.toml has nothing for. Migrate by hand.', path=path)
    lines = [f'ca = {quote(str(table["ca_file"]))}'] if table.get('ca_file') else []
    if table.get('cert_file'):
        key = table.get('key_file')
        lines.append(f'client = [[{quote(str(table["cert_file"]))}, {quote(str(key))}]]' if key else f'client = {quote(str(table["cert_file"]))}')
    return lines + (['skip_verify = true'] if table.get('insecure_skip_verify') else [])


def _render(upstream: str, endpoints: t.Sequence[str], tls: t.Mapping[str, t.Sequence[str]]) -> str:
    lines = [FIRST_LINE]
    if upstream != _ANY:
        own = SERVERS.get(upstream, f'{_scheme(upstream)}://{upstream}')
        # An endpoint that is the upstream itself keeps the upstream from being asked in another way.
        server = next((url for url in endpoints if urlsplit(url).netloc == upstream), own)
        lines += [f'server = {quote(server)}', *(tls.get(urlsplit(server).netloc, ()) if server.startswith('https:') else ())]
    for url in endpoints:
        parts = urlsplit(url)
        own_path = parts.path.rstrip('/') not in ('', '/v2')
        lines += ['', f'[host.{quote(url if own_path else f"{parts.scheme}://{parts.netloc}")}]', '  capabilities = ["pull", "resolve"]']
        lines += ['  override_path = true'] if own_path else []
        # A host of http that has TLS beside it would be asked over https first.
        lines += [f'  {line}' for line in tls.get(parts.netloc, ())] if parts.scheme == 'https' else []
    return '\n'.join(lines) + '\n'


def without_tables(text: str, path: str) -> str:
    """The text without the tables, all else untouched. Raises ConfigError where they stand in one line with something else."""
    registry = _containerd_config.registry_path(text, path)
    goes = []
    for one in _toml.statements(text, path):
        if one.path[: len(registry)] == registry[: len(one.path)] and one.key and len(one.path) <= len(registry):
            raise ConfigError(f'{path} writes {".".join(one.path)} in one line. Write it as tables, and run again.', path=path)
        if one.path[: len(registry)] == registry and _is_of_tables(one, one.path[len(registry) :]):
            goes.append(one)
    for one in reversed(goes):
        start, end = text.rfind('\n', 0, one.start) + 1, text.find('\n', one.end)
        text = text[:start] + ('' if end < 0 else text[end + 1 :])
    return text


def _is_of_tables(one: Statement, below: t.Sequence[str]) -> bool:
    """Whether a statement, ``below`` the registry's table, belongs to ``mirrors`` or to TLS."""
    if not below or below[0] not in ('mirrors', 'configs'):
        return False
    if below[0] == 'mirrors':
        return True
    # The header of a host stays where logins may stand below it; an empty table means nothing.
    return len(below) > 2 and below[2] == 'tls'
