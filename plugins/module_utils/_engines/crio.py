# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CRI-O on this host is, how it runs, and what it says of its own configuration.

Sources: cri-o, cmd/crio/main.go and pkg/config (crio.conf, then every file below crio.conf.d in the order of its name), server/inspect.go
(``/config`` over HTTP on the same socket as the CRI).
"""

from __future__ import annotations

import http.client
import os
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.quickpull.registry.plugins.module_utils import _io, _service_facts, _systemd, _toml
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._root import below
from ansible_collections.quickpull.registry.plugins.module_utils._service_facts import Service
from ansible_collections.quickpull.registry.plugins.module_utils._unix_http import UnixConnection

UNIT = 'crio.service'
OTHER_UNIT = 'cri-o.service'
CONFIG_PATH = '/etc/crio/crio.conf'
CONFIG_DIR = '/etc/crio/crio.conf.d'
SOCKET = '/var/run/crio/crio.sock'

_BINARIES = ('/usr/bin/crio', '/usr/local/bin/crio', '/usr/sbin/crio', '/bin/crio', '/opt/bin/crio')
_SECONDS = 5.0
# Flags that count here, and the variables that stand for them where they are not given (internal/criocli: EnvVars). Both beat files.
_VARIABLES = {
    'config': 'CONTAINER_CONFIG',
    'config-dir': 'CONTAINER_CONFIG_DIR',
    'global-auth-file': 'CONTAINER_GLOBAL_AUTH_FILE',
    'listen': 'CONTAINER_LISTEN',
    'log': 'CONTAINER_LOG',
    'log-filter': 'CONTAINER_LOG_FILTER',
    'log-level': 'CONTAINER_LOG_LEVEL',
}
_SHORT = {'config': 'c', 'config-dir': 'd', 'log-level': 'l'}
# Where one of these is in force, a line of level info is not written.
_QUIET = ('warn', 'warning', 'error', 'fatal', 'panic')

Asker = t.Callable[[str], t.Dict[str, t.Any]]


def ask(socket: str) -> dict[str, t.Any]:
    """The configuration that the running CRI-O has in force. Raises ConfigError when it does not answer."""
    connection = UnixConnection(socket, _SECONDS)
    try:
        connection.request('GET', '/config')
        answer = connection.getresponse()
        body = answer.read(_io.MAX_BYTES).decode('utf-8', 'replace')
    except (OSError, http.client.HTTPException) as exc:
        raise ConfigError(f'CRI-O does not answer at {socket}: {str(exc) or type(exc).__name__}.') from exc
    finally:
        connection.close()
    if answer.status != 200:
        raise ConfigError(f'CRI-O answers {answer.status} at {socket}.')
    return _toml.read(body, f'{socket} (/config)')


@dataclass(frozen=True)
class Host:
    """The ways in which :func:`inspect` reaches the host. Tests put their own in their place."""

    root: str = '/'
    run: _systemd.Runner = _systemd.run
    ask: Asker = ask

    def path(self, path: str) -> str:
        """Return where ``path`` of the host lies for this process."""
        return below(self.root, path)


@dataclass(frozen=True)
class Setting:
    """A value of crio.conf, and the file that has the last word on it; empty for neither."""

    value: str = ''
    path: str = ''


@dataclass(frozen=True)
class Crio(Service):
    """The system's CRI-O.

    :ivar config_path: crio.conf, ``config_dir`` its drop-ins.
    :ivar auth_file: ``global_auth_file`` at the next start; a flag or variable of the unit has ``path`` empty and a value.
    :ivar auto_reload: it reads drop-ins for registries by itself when they change (``auto_reload_registries``, since 1.30).
    :ivar config_error: why a file of the configuration cannot be understood, in a sentence.
    :ivar auth_file_in_force: what the running process has; None when it did not tell, for which ``error`` has the reason.
    :ivar quiet: its log in the journal has no lines of level info: by its level, by a filter, or because it goes to a file.
    """

    config_path: str = CONFIG_PATH
    config_dir: str = CONFIG_DIR
    socket: str = SOCKET
    auth_file: Setting = Setting()
    auto_reload: bool = False
    config_error: str = ''
    auth_file_in_force: str | None = None
    error: str = ''
    quiet: bool = False


def inspect(host: Host | None = None) -> Crio:
    """Look at CRI-O on this host. Starts nothing, changes nothing, and raises for nothing that it finds."""
    host = host or Host()
    variables = tuple(_VARIABLES.values())
    facts = _service_facts.look(host, UNIT, 'crio', _BINARIES, variables)
    if not facts['installed'] or not facts['unit']:
        other = _service_facts.look(host, OTHER_UNIT, 'crio', _BINARIES, variables)
        facts = other if other.get('unit') else facts
    if not facts['installed']:
        return Crio(installed=False)
    found = Crio(**facts)
    found = replace(found, config_path=_option(found, 'config') or CONFIG_PATH, config_dir=_option(found, 'config-dir') or CONFIG_DIR)
    return _asked(_configured(found, host), host)


def _option(found: Crio, name: str, *, running: bool = False) -> str:
    """What the command line or the environment says of an option, at the next start or of the process that runs; empty for nothing."""
    argv, environ = (found.argv, found.environ) if running and found.argv else (found.next_argv, found.next_environ)
    return _service_facts.flag(argv, name, *filter(None, (_SHORT.get(name),))) or environ.get(_VARIABLES[name], '')


def settings_in(found: Crio, host: Host, *, without: str = '') -> dict[str, t.Dict[str, Setting]]:
    """What the files say, by table and key; of several the last counts. ``without``: a file that is passed over.

    :raises ConfigError: for a file that cannot be understood.
    """
    says: t.Dict[str, t.Dict[str, Setting]] = {}
    for path in _files(found, host):
        if path == without:
            continue
        tables = _toml.read(_io.read_text(host.path(path)) or '', path).get('crio') or {}
        for table, keys in tables.items() if isinstance(tables, dict) else ():
            for key, value in keys.items() if isinstance(keys, dict) else ():
                if isinstance(value, (str, bool)):
                    says.setdefault(table, {})[key] = Setting(str(value).lower() if isinstance(value, bool) else value, path)
    return says


def _files(found: Crio, host: Host) -> list[str]:
    """crio.conf, and all files below the directory of drop-ins, whatever their names."""
    own = [found.config_path] if os.path.isfile(host.path(found.config_path)) else []
    return own + _walk(found.config_dir, host)


def _walk(folder: str, host: Host) -> list[str]:
    """All files below a directory in the order of Go's filepath.Walk: by name, a directory with what is in it at its place."""
    try:
        names = sorted(os.listdir(host.path(folder)))
    except OSError:
        return []
    paths = [os.path.join(folder, name) for name in names]
    return [one for path in paths for one in (_walk(path, host) if _is_directory(host.path(path)) else [path])]


def _is_directory(path: str) -> bool:
    """A link to one is none for Go; CRI-O then tries to read it as a file, and does not start."""
    return os.path.isdir(path) and not os.path.islink(path)


def _configured(found: Crio, host: Host) -> Crio:
    try:
        says = settings_in(found, host)
    except ConfigError as exc:
        return replace(found, config_error=str(exc))
    image, given = says.get('image', {}), _option(found, 'global-auth-file')
    return replace(
        found,
        auth_file=Setting(given) if given else image.get('global_auth_file', Setting()),
        auto_reload=image.get('auto_reload_registries', Setting()).value == 'true',
        socket=_option(found, 'listen', running=True) or says.get('api', {}).get('listen', Setting()).value or SOCKET,
        quiet=_is_quiet({key: one.value for key, one in says.get('runtime', {}).items()}, found),
    )


def _asked(found: Crio, host: Host) -> Crio:
    if not found.running:
        return found
    try:
        tables = host.ask(host.path(found.socket)).get('crio') or {}
    except ConfigError as exc:
        return replace(found, error=str(exc))
    runtime = tables.get('runtime') or {}
    return replace(
        found,
        auth_file_in_force=str((tables.get('image') or {}).get('global_auth_file') or ''),
        quiet=_is_quiet(runtime, found) if runtime.get('log_level') else found.quiet,
    )


def _is_quiet(runtime: t.Mapping[str, t.Any], found: Crio) -> bool:
    given = {name: _option(found, name, running=True) for name in ('log', 'log-filter', 'log-level')}
    level = given['log-level'] or str(runtime.get('log_level') or '')
    return level.lower() in _QUIET or bool(given['log-filter'] or runtime.get('log_filter') or given['log'])
