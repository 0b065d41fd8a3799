# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The refresh put on a host: its program, its settings, its units, and all of it taken away again.

The program is these very modules, as plain files that an operator can read: those that :mod:`_refresh_program` needs, found by their imports.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils import (
    _io,
    _owned_files,
    _refresh_program,
    _refresh_report,
    _refresh_settings,
    _refresh_share,
    _refresh_units,
)
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import FIRST_LINE, Content
from ansible_collections.quickpull.registry.plugins.module_utils._refresh_units import DIRECTORY, OFFER, SERVICE, TIMER, UNIT_DIR, Host
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

KIND = 'refresh'

_PYTHON = '/usr/bin/python3'
_PACKAGE = 'ansible_collections.quickpull.registry.plugins.module_utils'

# An import of this package, in one line or in several; read by a pattern, since a parser takes a second for all of them.
_IMPORT = re.compile(rf'^[ \t]*from ({re.escape(_PACKAGE)}[\w.]*) import (\([^)]*\)|[^\n]*)', re.MULTILINE)
_NAME = re.compile(r'(?<!as )\b([a-z_]\w*)(?=\s*(?:,|\)|$| as ))', re.MULTILINE)

_START = f"""{FIRST_LINE}
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from {_PACKAGE}._refresh_program import main

sys.exit(main(sys.argv[1:]))
"""

# What both services have in common.
_HARDENED = """NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
"""

_SERVICE = """{first}
[Unit]
Description=Choose the registry mirrors of this host anew
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
ExecStart={python} -I -X pycache_prefix=/var/cache/quickpull.registry {directory}/refresh.py run
# It waits for mirrors that do not answer, and for engines that are reloaded.
TimeoutStartSec=15min
# A run of the role ends one that is under way, which is no failure.
SuccessExitStatus=SIGTERM
Nice=10
# Other hosts are shown what it found.
RuntimeDirectory=quickpull.registry
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=yes
# Not its source, but what Python makes of it, which halves what a refresh costs.
CacheDirectory=quickpull.registry
CacheDirectoryMode=0700
# It writes below /etc, where a file of an engine may be a link to anywhere in /etc, /var or /srv, and reads what runs on this host.
ProtectSystem=yes
{home}CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_KILL CAP_SETGID CAP_SETUID CAP_SYS_PTRACE
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
{hardened}"""

_TIMER = """{first}
[Unit]
Description=Choose the registry mirrors of this host anew, every {interval:g} seconds at the latest

[Timer]
OnActiveSec={least:g}
OnUnitActiveSec={least:g}
# So that the hosts of a fleet do not all ask at once.
RandomizedDelaySec={jitter:g}
AccuracySec=1s

[Install]
WantedBy=timers.target
"""

_OFFER = """{first}
[Unit]
Description=Show other hosts which registry mirrors serve this one
After=network-online.target
Wants=network-online.target

[Service]
# Started is what runs as its own user; systemd before 240 does not know this and is content with the fork.
Type=exec
ExecStart={python} -I -B {directory}/refresh.py offer {address}
Restart=always
RestartSec=5
DynamicUser=yes
TasksMax=64
ProtectSystem=strict
ProtectHome=yes
CapabilityBoundingSet={low_port}
RestrictAddressFamilies=AF_INET AF_INET6
{hardened}
[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Wish:
    """What is wanted of a host.

    :ivar settings: as :func:`_refresh_settings.parse` takes them; None where the refresh is to be gone.
    :ivar jitter: seconds by which a refresh may come earlier than the interval says.
    :ivar offer: address and port where other hosts may ask, empty for none.
    :ivar python: the interpreter that runs the program.
    """

    owner: str
    settings: t.Mapping[str, t.Any] | None = field(repr=False)
    jitter: float = 0.0
    offer: str = ''
    python: str = '/usr/bin/python3'


@dataclass(frozen=True)
class Outcome:
    """``changed``: whether anything was, or would be. ``did``: what was done about the units, a sentence each."""

    changed: bool
    files: _owned_files.Plan = field(repr=False)
    did: tuple[str, ...] = ()


def sources(entry: str = _refresh_program.__name__) -> dict[str, str]:
    """The text of a module of this package and of all others that it needs, by their paths below a folder of ``sys.path``."""
    found: dict[str, str] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        spec = importlib.util.find_spec(name)
        is_package = spec is not None and spec.submodule_search_locations is not None
        path = name.replace('.', '/') + ('/__init__.py' if is_package else '.py')
        if spec is None or path in found:
            continue
        found[path] = t.cast(t.Any, spec.loader).get_source(name) or ''
        for module, names in _IMPORT.findall(found[path]):
            # All that is imported from a package of ours are its modules.
            of_package = module in (_PACKAGE, f'{_PACKAGE}._engines')
            waiting += [f'{module}.{one}' for one in _NAME.findall(names)] if of_package else [module]
    return dict(sorted(found.items()))


def files_of(wish: Wish, host: Host) -> dict[str, Content | None]:
    """All files of the refresh; None for those that are to be gone. Raises ConfigError for settings that make no sense."""
    if wish.settings is None:
        return {}
    settings = _refresh_settings.parse(wish.settings)
    if not 0 <= wish.jitter <= settings.interval / 2:
        raise ConfigError(f'jitter: {wish.jitter:g} seconds are not between 0 and half of the interval, {settings.interval / 2:g}.', key='jitter')
    address = ''
    if wish.offer:
        name, port = _refresh_share.parse_address(wish.offer)
        address = f'[{name}]:{port}' if ':' in name else f'{name}:{port}'
    home = '' if settings.podman_users else 'ProtectHome=read-only\n'
    common = {'first': FIRST_LINE, 'python': wish.python, 'directory': DIRECTORY, 'hardened': _HARDENED}
    texts = sources()
    # Another package of the name that lies elsewhere would hide folders without these.
    folders = {path.rpartition('/')[0] for path in texts}
    packages = {f'{folder}/__init__.py' for one in folders for folder in _and_above(one)}
    wanted: dict[str, Content | None] = {f'{DIRECTORY}/{path}': Content(texts.get(path, '')) for path in sorted({*texts, *packages})}
    wanted[f'{DIRECTORY}/refresh.py'] = Content(_START)
    wanted[_refresh_settings.PATH] = Content(json.dumps(dict(wish.settings), indent=1, sort_keys=True) + '\n', secret=True)
    wanted[f'{UNIT_DIR}/{SERVICE}'] = Content(_SERVICE.format(home=home, **common))
    timer = _TIMER.format(first=FIRST_LINE, interval=settings.interval, least=settings.interval - wish.jitter, jitter=wish.jitter)
    wanted[f'{UNIT_DIR}/{TIMER}'] = Content(timer)
    low_port = 'CAP_NET_BIND_SERVICE' if wish.offer and int(address.rpartition(':')[2]) < 1024 else ''
    wanted[f'{UNIT_DIR}/{OFFER}'] = Content(_OFFER.format(address=address, low_port=low_port, **common)) if wish.offer else None
    return {host.path(path): content for path, content in wanted.items()}


def _and_above(folder: str) -> list[str]:
    parts = folder.split('/')
    return ['/'.join(parts[:length]) for length in range(1, len(parts) + 1)]


def interpreter(own: str, host: Host) -> str:
    """The Python for the units: the system's where it will do, since it outlives an upgrade, else the one that runs this."""
    if os.path.exists(host.path(_PYTHON)):
        told = host.run((_PYTHON, '-I', '-c', 'import sys; sys.exit(sys.version_info < (3, 8))'), 20.0)
        if told.rc == 0:
            return _PYTHON
    return own or _PYTHON


def can_query(python: str, host: Host) -> bool:
    """Whether this Python has jmespath."""
    return host.run((python, '-I', '-c', 'import jmespath'), 20.0).rc == 0


def plan(wish: Wish, state: State, host: Host) -> _owned_files.Plan:
    """The files that change. Raises ConfigError, also where a file of somebody else is in the way."""
    record = _owned_files.load(state, KIND)
    wanted: dict[str, Content | None] = {path: None for path, entry in record.items() if entry.owner == wish.owner}
    wanted.update(files_of(wish, host))
    planned = _owned_files.plan(record, wish.owner, wanted)
    if planned.left and wish.settings is not None:
        raise ConfigError(' '.join(left.because for left in planned.left), path=planned.left[0].path)
    return planned


def install(wish: Wish, state: State, host: Host, *, check_mode: bool) -> Outcome:
    """Bring the files there, and the units to run, or take all of it away. Raises ConfigError."""
    planned = plan(wish, state, host)
    present = wish.settings is not None
    mine = [path for path, entry in _owned_files.load(state, KIND).items() if entry.owner == wish.owner]
    if not present and not mine:
        return Outcome(bool(planned.changes), planned)  # it is another owner's, or nobody's
    changed = {os.path.basename(change.path) for change in planned.changes}
    code = any(change.path.endswith('.py') for change in planned.changes)
    steps = _refresh_units.steps(host, present, bool(wish.offer), changed, code)
    if check_mode:
        return Outcome(bool(planned.changes or steps), planned, tuple(because for _args, because in steps))
    stops = [step for step in steps if step[0][0] == 'disable']
    for args, because in stops:  # before their files go
        _refresh_units.do(host, args, because)
    former, wanted = _refresh_units.metrics_path(host), str((wish.settings or {}).get('metrics_path') or '')
    with _io.locked(state):  # so that a refresh is not ended in the middle of a change
        if mine and planned.changes:
            _refresh_units.stop_service(host)
        _owned_files.apply(state, KIND, planned)
    if changed & {SERVICE, TIMER, OFFER}:
        _refresh_units.do(host, ('daemon-reload',), 'read the units')
    for args, because in steps:
        if (args, because) not in stops:
            _refresh_units.do(host, args, because)
    if former and former != wanted:
        _refresh_units.forget_metrics(host.path(former))
    if not present:
        _forget(state, host)
    return Outcome(bool(planned.changes or steps), planned, tuple(because for _args, because in steps))


def _forget(state: State, host: Host) -> None:
    """What the refresh remembered, and what it showed."""
    for path in (_refresh_report.memory_path(state), _refresh_report.report_path(state)):
        _io.delete_file(path)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(_refresh_report.memory_path(state)))
    _refresh_units.clear(host)
