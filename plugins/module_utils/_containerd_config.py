# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""containerd's config.toml, as far as it is about registries: what it says, and `config_path` put in with all else left as it is.

An imported file would be the gentler way, but before containerd 2.0 an import that speaks of a plugin replaces all that the main file says of it
(mergeConfig; 1.6.20 and 1.7.24 were seen to lose the CRI's sandbox image, 2.1.9 not). So one key is written into the file itself, and containerd is asked
before and after what it makes of it (`containerd config dump`): nothing but that key may differ.
"""

from __future__ import annotations

import copy
import difflib
import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils import _toml
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._toml import Statement, quote

CONFIG_PATH = '/etc/containerd/config.toml'
MARK = '# The next lines were written by quickpull.registry.'
MARK_KEY = '# The next line was written by quickpull.registry.'

_CRI_1 = 'io.containerd.grpc.v1.cri'
_IMAGES = 'io.containerd.cri.v1.images'
# The table that holds `registry`, by the version that a file says it is written in.
_PLUGINS = {1: 'cri', 2: _CRI_1}


@dataclass(frozen=True)
class Registry:
    """What containerd's CRI will do about registries when it starts next.

    :ivar config_path: where hosts.toml files are looked for; empty for nowhere.
    :ivar mirrors: upstreams that have mirrors in config.toml itself, ``configs`` the hosts that have TLS there. Neither goes together with
        ``config_path``: the CRI would not start (ValidatePluginConfig). Logins do, and stay in use.
    :ivar enabled: the CRI plugin is not disabled.
    :ivar pulls_locally: the CRI is told to pull by itself, and not through the transfer service.
    """

    config_path: str = ''
    mirrors: tuple[str, ...] = ()
    configs: tuple[str, ...] = ()
    enabled: bool = True
    pulls_locally: bool = False


def registry_of(dump: t.Mapping[str, t.Any]) -> Registry:
    """From what `containerd config dump` printed."""
    plugins = dump.get('plugins') or {}
    found = registry_table(dump)
    disabled = set(dump.get('disabled_plugins') or ())
    return Registry(
        config_path=str(found.get('config_path') or ''),
        mirrors=tuple(sorted(found.get('mirrors') or ())),
        configs=tuple(sorted(host for host, config in (found.get('configs') or {}).items() if 'tls' in config)),
        enabled=not disabled & {'cri', _CRI_1, _IMAGES},
        pulls_locally=(plugins.get(_IMAGES) or {}).get('use_local_image_pull') is True,
    )


def registry_table(dump: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The CRI's table `registry` in a dump, whichever name the plugin has there; without what is empty."""
    found: dict[str, t.Any] = {}
    for name in ('cri', _CRI_1, _IMAGES):
        registry = ((dump.get('plugins') or {}).get(name) or {}).get('registry') or {}
        found.update({key: value for key, value in registry.items() if value})
    return found


def registry_path(text: str, path: str = CONFIG_PATH) -> tuple[str, ...]:
    """Where that table stands in a config.toml, by the version that it is written in."""
    return ('plugins', _PLUGINS.get(version_of(text, path), _IMAGES), 'registry')


def without_config_path(dump: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A dump without `config_path` of the CRI's registry, and without the names of the files it came from: what an edit has to leave as it was."""
    rest = copy.deepcopy(dict(dump))
    rest.pop('imports', None)
    for name in ('cri', _CRI_1, _IMAGES):
        ((rest.get('plugins') or {}).get(name) or {}).get('registry', {}).pop('config_path', None)
    return rest


def version_of(text: str, path: str = CONFIG_PATH) -> int:
    """The version that a config.toml says it is written in; one that does not say is written in the first."""
    for one in _toml.statements(text, path):
        if one.path == ('version',) and one.value.isdigit():
            return int(one.value)
    return 1


def new_file(major: int) -> str:
    """The beginning of a config.toml where there was none."""
    return f'{MARK}\nversion = {3 if major >= 2 else 2}\n'


def with_config_path(text: str, directory: str, path: str = CONFIG_PATH) -> str:
    """The text with `config_path` set, all else untouched. Raises ConfigError where there is no safe place for it."""
    found = _toml.statements(text, path)
    table = registry_path(text, path)
    value = quote(directory)
    there = next((one for one in found if one.key and one.path == (*table, 'config_path')), None)
    if there:
        return text[: there.value_start] + value + text[there.end :]
    header = next((one for one in found if not one.key and not one.array and one.table == table), None)
    if header:
        end = text.find('\n', header.end)
        end = len(text) if end < 0 else end
        indent = text[text.rfind('\n', 0, header.start) + 1 : header.start]
        return f'{text[:end]}\n{indent}  {MARK_KEY}\n{indent}  config_path = {value}{text[end:]}'
    if any(one.key and one.path[: len(one.path)] == table[: len(one.path)] and len(one.path) <= len(table) for one in found):
        raise ConfigError(
            f'{path} writes {".".join(table)} in one line. Write it as a table, [{_header(table)}], and run again, or add this by hand: '
            f'config_path = {value}.',
            path=path,
        )
    gap = '' if not text or text.endswith('\n\n') else '\n' if text.endswith('\n') else '\n\n'
    return f'{text}{gap}{MARK}\n[{_header(table)}]\n  config_path = {value}\n'


def _header(table: t.Iterable[str]) -> str:
    return '.'.join(part if part.isalnum() else quote(part) for part in table)


def without_ours(text: str, directory: str, before: str | None, path: str = CONFIG_PATH) -> str:
    """The text without what :func:`with_config_path` wrote, where somebody else has edited the file since.

    :param before: the value's source text that was there before ours, None for none.
    """
    found = _toml.statements(text, path)
    ours = next((one for one in found if one.key[-1:] == ('config_path',) and one.table[-1:] == ('registry',) and one.value == quote(directory)), None)
    if ours is None:
        return text
    if before is not None:
        return text[: ours.value_start] + before + text[ours.end :]
    text = _cut(text, ours, MARK_KEY)
    # Our header goes as well where nothing was added below it.
    again = _toml.statements(text, path)
    header = next((one for one in again if not one.key and one.table == ours.table), None)
    alone = header is not None and not any(one.table == ours.table and one.key for one in again)
    return _cut(text, header, MARK) if header and alone and _mark_before(text, header, MARK) is not None else text


def _cut(text: str, one: Statement, mark: str) -> str:
    """The text without a statement's line, and without the mark above it."""
    start = text.rfind('\n', 0, one.start) + 1
    end = text.find('\n', one.end)
    above = _mark_before(text, one, mark)
    return text[: start if above is None else above] + ('' if end < 0 else text[end + 1 :])


def _mark_before(text: str, one: Statement, mark: str) -> int | None:
    start = text.rfind('\n', 0, one.start) + 1
    above = text.rfind('\n', 0, max(start - 1, 0)) + 1
    return above if text[above : max(start - 1, 0)].strip() == mark else None


def value_before(text: str, path: str = CONFIG_PATH) -> str | None:
    """The source text of the value that :func:`with_config_path` would replace; None where it would add one."""
    table = registry_path(text, path)
    return next((one.value for one in _toml.statements(text, path) if one.key and one.path == (*table, 'config_path')), None)


def lines_that_differ(before: str, after: str) -> tuple[str, str]:
    """The lines of each text that the other one has not: all else in a config.toml is nobody's business, and may be secret."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    changes = [one for one in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if one[0] != 'equal']
    return ''.join(line for one in changes for line in old[one[1] : one[2]]), ''.join(line for one in changes for line in new[one[3] : one[4]])
