# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Podman's proxies: ``env`` of ``[engine]`` in a drop-in of containers.conf.

Measured on Podman 4.3, 5.4 and 5.8: the files are read in the order of :func:`files`, hidden ones too; a later ``env`` replaces an earlier one as a whole,
and ``{append=true}`` in it is an error for 4.3, which then does nothing at all. So ours is a whole list, which repeats what earlier files say. A file that
a user may not read fails every command of that user's. The environment of the caller wins.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils import _dropin, _io
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._no_proxy import join_no_proxy
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import FIRST_LINE, Content
from ansible_collections.quickpull.registry.plugins.module_utils._toml import NotUnderstoodError, loads, quote

KIND = 'podman-proxies'
DIRECTORY = '/etc/containers/containers.conf.d'
FILE_NAME = '500-quickpull-proxies.conf'
SHIPPED = '/usr/share/containers/containers.conf'

_MAIN_FILE = 'containers.conf'


@dataclass(frozen=True)
class Env:
    """What a file says of ``env``: NAME=VALUE in their order. ``appends``: it adds to earlier files instead of replacing them."""

    path: str
    variables: t.Tuple[str, ...] = field(default=(), repr=False)
    appends: bool = False


@dataclass(frozen=True)
class Wanted:
    """The file to be; None for none. ``ours`` is what it sets for us, with secrets, and ``conflicts`` what was left to others."""

    content: Content | None = field(repr=False)
    ours: t.Mapping[str, str] = field(repr=False)
    conflicts: t.Tuple[_dropin.Conflict, ...] = ()


def files(directory: str, shipped: str = SHIPPED) -> t.List[str]:
    """The system's files in the order in which Podman reads them; ours among them where it is there."""
    try:
        names = sorted((name for name in os.listdir(directory) if name.endswith('.conf')), key=os.fsencode)
    except FileNotFoundError:
        names = []
    except OSError as exc:
        raise _io.explain(exc, directory, 'read') from exc
    paths = [shipped, os.path.join(os.path.dirname(directory), _MAIN_FILE), *(os.path.join(directory, name) for name in names)]
    return [path for path in paths if os.path.isfile(path)]


def read_env(path: str, text: str) -> Env | None:
    """What a file says of ``env``; None where it says nothing. Raises ConfigError for one that Podman cannot read either."""
    try:
        engine = loads(text).get('engine')
    except NotUnderstoodError as exc:
        raise ConfigError(f'{path} is not understood ({exc}), so it is not known which proxies it has. Mend it, or move it away.', path=path) from exc
    found = engine.get('env') if isinstance(engine, dict) else None
    if not isinstance(found, list):
        return None
    appends = any(isinstance(one, dict) and one.get('append') is True for one in found)
    return Env(path, tuple(one for one in found if isinstance(one, str)), appends)


def plan(wanted: t.Mapping[str, str], place: str, others: t.Sequence[Env]) -> Wanted:
    """What ours at ``place`` is to hold, beside what other files say, in the order in which they are read."""
    if not wanted:
        return Wanted(None, {})
    name = os.fsencode(os.path.basename(place))
    in_place = os.path.dirname(place)
    later = [one for one in others if os.path.dirname(one.path) == in_place and os.fsencode(os.path.basename(one.path)) > name]
    before: t.List[str] = []
    origin: t.Dict[str, t.Tuple[str, str]] = {}
    for one in others:
        if not one.appends and one not in later:
            before, origin = [], {}
        before += () if one in later else one.variables
        origin.update({key: (value, one.path) for key, _sep, value in (text.partition('=') for text in one.variables)})
    hiding = next((one for one in reversed(later) if not one.appends), None)
    ours: t.Dict[str, str] = {}
    conflicts: t.List[_dropin.Conflict] = []
    for key, value in wanted.items():
        theirs, path = origin.get(key) or origin.get(key.lower()) or ('', '')
        if path and not _says_it(key, theirs, value):
            conflicts.append(_dropin.Conflict(key, path, f'{path} sets {key} for Podman to something else; it is left to that file.'))
        elif not path and hiding:
            conflicts.append(_dropin.Conflict(key, hiding.path, f'{hiding.path} has an env of its own and is read later, so it would hide {key}; '
                                                                'add the proxies there, or give that file an earlier name.'))
        elif not path:
            ours[key] = value
    if not ours:
        return Wanted(None, {}, tuple(conflicts))
    # Of one name the last value counts, so of what is said twice the last place is kept.
    once = reversed(list(dict.fromkeys(reversed(before))))
    lines = [FIRST_LINE, '[engine]', 'env = [', *(f'  {quote(text)},' for text in [*once, *(f'{key}={ours[key]}' for key in ours)]), ']']
    return Wanted(Content('\n'.join(lines) + '\n'), ours, tuple(conflicts))


def _says_it(name: str, theirs: str, ours: str) -> bool:
    return set(join_no_proxy([ours])) <= set(join_no_proxy([theirs])) if name == 'NO_PROXY' else theirs == ours


def shown(text: str) -> str:
    """A file of ours as it may be seen: of our proxies user and password are hidden, of what others set the value."""
    try:
        env = read_env('', text)
    except ConfigError:
        return '(a file that is no valid TOML)\n'
    if env is None:
        return '' if not text else '(a file without env)\n'
    pairs = [one.partition('=') for one in env.variables]
    return ''.join(f'{key}={_dropin.masked({key: value})[key] if key in _dropin.NAMES else "***"}\n' for key, _sep, value in pairs)
