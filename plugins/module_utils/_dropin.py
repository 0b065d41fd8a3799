# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The systemd drop-in that gives an engine's service its proxies.

The file is wholly ours and holds no more than ``Environment=`` lines. What somebody else's file says about a variable is theirs: that
variable is left out of ours. The name begins with ``00-``, so a drop-in that somebody adds later is read after ours and wins.

Beside the proxies it sets one variable that names them (``DROPIN_MARKER``). Thereby the running daemon's own environment tells which
proxies it has from us, also after the file is gone, and no record has to be kept that could be wrong.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DROPIN_MARKER, UNIT
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._io import read_text
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_url
from ansible_collections.quickpull.registry.plugins.module_utils._no_proxy import check_proxy, join_no_proxy
from ansible_collections.quickpull.registry.plugins.module_utils._root import below
from ansible_collections.quickpull.registry.plugins.module_utils._systemd import (
    UnitFiles,
    Variable,
    expand_specifiers,
    quote_assignment,
    read_unit,
    split_words,
    unit_files,
)

FILE_NAME = '00-quickpull-proxy.conf'
NAMES = ('HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY')

_FIRST_LINE = '# Written by quickpull.registry; what is changed here by hand is overwritten.'
_MADE_DIRECTORY = '# It also made this directory.'


class Engine(t.Protocol):
    """What is asked of an engine here, as Docker's and containerd's descriptions have it.

    ``environ``: the proxy variables of its running process, and :data:`DROPIN_MARKER`.
    """

    @property
    def unit(self) -> str: ...

    @property
    def main_pid(self) -> int: ...

    @property
    def environ(self) -> t.Mapping[str, str]: ...


@dataclasses.dataclass(frozen=True)
class Conflict:
    """A variable that another file rules over. ``because`` is a full sentence without secrets."""

    variable: str
    path: str
    because: str


@dataclasses.dataclass(frozen=True)
class Desired:
    """What our drop-in should hold: ``variables`` (with secrets), and what was left to others.

    ``conflicts`` are those that others set to something else, ``satisfied`` the names that others set to just what is asked.
    """

    variables: t.Mapping[str, str] = dataclasses.field(repr=False)
    conflicts: t.Tuple[Conflict, ...] = ()
    satisfied: t.Tuple[str, ...] = ()


def default_path(unit: str = UNIT) -> str:
    """Return where the drop-in of a service lies."""
    return f'/etc/systemd/system/{unit or UNIT}.d/{FILE_NAME}'


def wanted_variables(http_proxy: str | None, https_proxy: str | None, no_proxy: t.Iterable[str] | None) -> t.Dict[str, str]:
    """Return the variables that an engine needs for these proxies; what is empty is left out.

    Raises ConfigError for a proxy that no engine could use, or that cannot be written into a unit file.
    """
    wanted: t.Dict[str, str] = {}
    for key, name, value in (('http_proxy', 'HTTP_PROXY', http_proxy), ('https_proxy', 'HTTPS_PROXY', https_proxy)):
        if value:
            check_proxy(value, f'proxies.{key}')
            wanted[name] = value
    entries = join_no_proxy(list(no_proxy or ()))
    if entries:
        wanted['NO_PROXY'] = ','.join(entries)
    for name, value in wanted.items():
        try:
            quote_assignment(name, value)
        except ValueError:
            raise ConfigError(f'proxies.{name.lower()} holds a control character; remove it.', key=f'proxies.{name.lower()}') from None
    return wanted


def masked(variables: t.Mapping[str, str]) -> t.Dict[str, str]:
    """Return the variables with user and password hidden."""
    return {name: value if name == 'NO_PROXY' else mask_url(value) for name, value in variables.items()}


def has_secret(variables: t.Mapping[str, str]) -> bool:
    """Whether a user or password is among them, so that only root may read the file."""
    return masked(variables) != dict(variables)


def secrets(values: t.Iterable[str | None]) -> t.Set[str]:
    """Return those proxies that have a user or password in them: texts that may appear nowhere, not even among a module's arguments."""
    return {value for value in values if value and mask_url(value) != value}


def render(variables: t.Mapping[str, str], *, made_directory: bool = False) -> str:
    """Return the text of the drop-in; empty where there is nothing to set."""
    names = [name for name in NAMES if name in variables]
    if not names:
        return ''
    lines = [_FIRST_LINE] + ([_MADE_DIRECTORY] if made_directory else []) + ['[Service]']
    lines += ['Environment=' + quote_assignment(name, variables[name]) for name in names]
    lines.append('Environment=' + quote_assignment(DROPIN_MARKER, ','.join(names)))
    return '\n'.join(lines) + '\n'


def parse(text: str) -> t.Dict[str, str]:
    """Return the proxies that the text of a drop-in of ours sets, as systemd would understand it."""
    found: t.Dict[str, str] = {}
    for section, key, value in read_unit(text):
        if section == 'Service' and key == 'Environment':
            for word in split_words(value):
                name, sep, content = expand_specifiers(word, UNIT).partition('=')
                if sep and name in NAMES:
                    found[name] = content
    return found


def read(path: str) -> str:
    """Return the text of our drop-in, empty when it is not there. Raises ConfigError when the file at ``path`` is somebody else's."""
    if os.path.islink(path) and os.readlink(path) == '/dev/null':
        raise ConfigError(
            f'{path} is a link to /dev/null: somebody masked this drop-in; remove the link, or set the proxies in another way.', path=path
        )
    text = read_text(path) or ''
    if text.strip() and not text.startswith(_FIRST_LINE):
        raise ConfigError(
            f'{path} was not written by quickpull.registry and is left alone; name another file in path, or move this one away.', path=path
        )
    return text


def made_directory(text: str) -> bool:
    """Whether the drop-in was the first file in its directory, so that the directory goes with it."""
    return _MADE_DIRECTORY in text.splitlines()[:3]


def leave_directory(path: str, text: str) -> None:
    """Remove the directory of a drop-in that was removed, where the drop-in with this text had made it and nobody else moved in."""
    if made_directory(text):
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(path))


def others(path: str, daemon: Engine, root: str = '/') -> UnitFiles:
    """Return the service's files without our drop-in at ``path``."""
    return unit_files(daemon.unit or UNIT, root=root, ignore=path)


def desired(wanted: t.Mapping[str, str], path: str, theirs: UnitFiles) -> Desired:
    """Leave to others what they set: see the module's text."""
    kept: t.Dict[str, str] = {}
    found: t.List[Conflict] = []
    satisfied: t.List[str] = []
    for name, value in wanted.items():
        their = theirs.environment.get(name) or theirs.environment.get(name.lower())
        conflict = _ruled_by_others(name, path, theirs) if their is None else _set_by_others(name, value, their)
        if conflict is not None:
            found.append(conflict)
        elif their is not None:
            satisfied.append(name)
        else:
            kept[name] = value
    return Desired(kept, tuple(found), tuple(satisfied))


def _set_by_others(name: str, value: str, their: Variable) -> Conflict | None:
    if _covers(name, their.value, value):
        return None
    return Conflict(name, their.origin.path, f'{their.origin.path} sets {name} to something else; it is left to that file.')


def _covers(name: str, theirs: str, ours: str) -> bool:
    if name != 'NO_PROXY':
        return theirs == ours
    return set(join_no_proxy([ours])) <= set(join_no_proxy([theirs]))


def _ruled_by_others(name: str, path: str, theirs: UnitFiles) -> Conflict | None:
    if name in theirs.unset:
        file = theirs.unset[name].path
        return Conflict(name, file, f'{file} takes {name} away with UnsetEnvironment=; it is left to that file.')
    for file in theirs.resets:
        if os.path.basename(file) > os.path.basename(path):
            return Conflict(name, file, f'{file} clears what files before it set (Environment= without a value); {name} is left to that file.')
    return None


def expected_environ(variables: t.Mapping[str, str], daemon: Engine, theirs: UnitFiles) -> t.Dict[str, str]:
    """Return what the running daemon must have been started with to be at one with a drop-in that holds ``variables``.

    Empty text stands for a variable that it has from an earlier drop-in of ours and should have no more. Variables that others
    set are not in it: whether those are in force is not ours to judge.
    """
    expected = dict(variables)
    for name in daemon.environ.get(DROPIN_MARKER, '').split(','):
        their = theirs.environment.get(name)
        if name in NAMES and name not in expected and (their is None or their.value != daemon.environ.get(name, '')):
            expected[name] = '' if their is None else their.value
    return expected


def dropin_environ(path: str, daemon: Engine, root: str = '/') -> t.Dict[str, str]:
    """Return :func:`expected_environ` for the drop-in as it lies on disk at ``path`` (below ``root``).

    Raises ConfigError when the file cannot be read or is somebody else's.
    """
    return expected_environ(parse(read(below(root, path))), daemon, others(path, daemon, root))


def restart_reasons(expected: t.Mapping[str, str], daemon: Engine) -> t.List[str]:
    """Return a sentence for each proxy variable of the running daemon that is not as ``expected``; none when it does not run.

    Values are compared as they are, so a changed password is seen; it is not shown.
    """
    if not daemon.main_pid:
        return []
    sentences = []
    for name, value in expected.items():
        now = daemon.environ.get(name, '')
        if now == value:
            continue
        if not value:
            sentences.append(f'The running daemon still has {name}, which the drop-in no longer sets.')
        elif not now:
            sentences.append(f'The running daemon has no {name} yet.')
        else:
            sentences.append(f'The running daemon has another {name} than the drop-in.')
    return sentences


def dropin_in_force(path: str, daemon: Engine, root: str = '/') -> bool:
    """Whether a running daemon has what the drop-in at ``path`` says (nothing, where there is no such file)."""
    return not restart_reasons(dropin_environ(path, daemon, root), daemon)


def held(text: str, daemon: Engine) -> bool:
    """Whether the running daemon was started with just what a drop-in of ours with this text sets; empty text for no drop-in."""
    variables = parse(text)
    named = {name for name in daemon.environ.get(DROPIN_MARKER, '').split(',') if name}
    return named == set(variables) and all(daemon.environ.get(name) == value for name, value in variables.items())


def found_at(unit: str = UNIT, root: str = '/') -> str:
    """Return the path of a service's drop-in below ``root`` where there is one of ours, else an empty text."""
    path = default_path(unit)
    try:
        return path if read(below(root, path)) else ''
    except ConfigError:  # somebody else's
        return ''
