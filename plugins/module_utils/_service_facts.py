# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is alike of every engine that is one program in one systemd unit: the unit, its process, and what a restart would stop."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils import _procfs, _systemd
from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DROPIN_MARKER, PROXY_NAMES
from ansible_collections.quickpull.registry.plugins.module_utils._plan import DROPIN, RESTART, Plan
from ansible_collections.quickpull.registry.plugins.module_utils._root import below
from ansible_collections.quickpull.registry.plugins.module_utils._version import parse_version

# What stops or restarts a unit together with another (systemd, core/unit-dependency-atom.c: UNIT_ATOM_PROPAGATE_STOP).
_STOPS_WITH = ('RequiredBy', 'RequisiteOf', 'BoundBy', 'ConsistsOf', 'PropagatesStopTo')
_PROPERTIES = (
    'LoadState', 'ActiveState', 'SubState', 'UnitFileState', 'NeedDaemonReload', 'MainPID', 'KillMode', 'FragmentPath', 'DropInPaths', 'ExecMainStartTimestamp',
)  # fmt: skip
_VERSION = re.compile(r'\bv?(\d+\.\d+\.\d+\S*)')


class Reach(t.Protocol):
    """How a host is reached: below which root its files lie, and who runs commands."""

    @property
    def root(self) -> str: ...

    @property
    def run(self) -> _systemd.Runner: ...


@dataclass(frozen=True)
class Service:
    """An engine's program, its unit and its process, whether it runs or not.

    :ivar version: of the binary on disk, which is what the next start runs; ``version_tuple`` is the same for comparing.
    :ivar binary_replaced: the binary on disk is not the one that runs.
    :ivar unit: empty when there is none.
    :ivar started_at: epoch seconds, never later than the real start; None when it does not run.
    :ivar start_id: what no other start has; None when it does not run.
    :ivar argv: the command line of the process, ``next_argv`` that of the next start as far as the unit tells.
    :ivar dependents: active units that stop together with it.
    :ivar kill_mode: of the unit; with anything but ``process`` a restart stops containers.
    :ivar environ: proxy variables of the running process, our drop-in's own marker, and variables that were asked for. Holds secrets.
    :ivar next_environ: variables that were asked for, at the next start as far as the unit tells.
    """

    installed: bool
    version: str | None = None
    binary: str | None = None
    binary_replaced: bool = False
    unit: str = ''
    active_state: str = 'inactive'
    sub_state: str = ''
    unit_file_state: str = ''
    main_pid: int = 0
    start_id: str | None = None
    started_at: float | None = None
    argv: tuple[str, ...] = field(default=(), repr=False)
    next_argv: tuple[str, ...] = field(default=(), repr=False)
    dependents: tuple[str, ...] = ()
    kill_mode: str = ''
    need_daemon_reload: bool = False
    environ: t.Mapping[str, str] = field(default_factory=dict, repr=False)
    next_environ: t.Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def version_tuple(self) -> tuple[int, ...] | None:
        return parse_version(self.version)

    @property
    def running(self) -> bool:
        return self.active_state in ('active', 'reloading') and self.main_pid > 0


def look(host: Reach, unit: str, program: str, binaries: t.Sequence[str], variables: t.Sequence[str] = ()) -> dict[str, t.Any]:
    """The fields of :class:`Service`, for whichever engine's own description. Starts nothing but ``PROGRAM --version``, and raises for nothing.

    :param program: the name of the program.
    :param binaries: where it may lie when neither the unit nor a process tells.
    :param variables: of its environment, besides those of proxies.
    """
    says = _systemd.show_many((unit,), (*_PROPERTIES, *_STOPS_WITH), runner=host.run).get(unit, {})
    files = _systemd.unit_files(unit, fragment=says.get('FragmentPath', ''), drop_ins=says.get('DropInPaths', '').split(), root=host.root)
    pid = int(says.get('MainPID') or 0)
    argv = _procfs.cmdline(pid, host.root) if pid else ()
    start = tuple(word.text for word in files.exec_start)
    if not start or os.path.basename(start[0]) != program:  # a script of somebody's, or no unit
        start = argv
    binary = next((path for path in (*start[:1], *argv[:1], *binaries) if path.startswith('/') and os.path.isfile(below(host.root, path))), None)
    if binary is None:
        return {'installed': False}
    there = bool(files.fragment) or says.get('LoadState', 'not-found') not in ('not-found', '')
    return {
        'installed': True,
        'binary': binary,
        'version': _version(host, binary),
        'binary_replaced': bool(pid) and _replaced(host, pid, start),
        'unit': unit if there else '',
        'active_state': says.get('ActiveState', 'inactive') if there else 'inactive',
        'sub_state': says.get('SubState', ''),
        'unit_file_state': 'masked' if files.masked else says.get('UnitFileState', ''),
        'main_pid': pid,
        'argv': argv,
        'next_argv': start,
        'dependents': _dependents(host, unit, says) if pid else (),
        'kill_mode': says.get('KillMode', ''),
        'need_daemon_reload': says.get('NeedDaemonReload') == 'yes',
        'next_environ': {name: files.environment[name].value for name in variables if name in files.environment},
        **_started(host, pid, says, variables),
    }


def start_id(host: Reach, unit: str) -> str | None:
    """What no other start of a unit has, as :func:`look` tells it; None while it does not run."""
    pid = int(_systemd.show(unit, 'MainPID', runner=host.run).get('MainPID') or 0)
    return _procfs.start_id(pid, host.root) if pid else None


def flag(argv: t.Sequence[str], *names: str) -> str:
    """The value of a flag, spelled with one dash or two, as Go's flag package takes them; of several the last, empty for none."""
    found = ''
    for number, word in enumerate(argv):
        name, equals, value = word.partition('=')
        if name.startswith('-') and name[1 + name.startswith('--') :] in names:
            found = value if equals else argv[number + 1] if number + 1 < len(argv) else ''
    return found


def blockers(found: Service, name: str) -> dict[str, str]:
    """Why a restart of an engine is not safe: a sentence for each reason."""
    why: dict[str, str] = {}
    if found.dependents:
        why['dependents'] = f'Active units stop together with {found.unit}: {", ".join(found.dependents)}.'
    if found.binary_replaced:
        why['binary_replaced'] = f'The {name} on disk is not the one that runs: a restart would be an upgrade.'
    if found.kill_mode != 'process':
        why['kill_mode'] = f'{found.unit} has KillMode={found.kill_mode}: a restart would stop the containers. With KillMode=process it would not.'
    if not found.unit:
        why['no_unit'] = f'{name} is not run by a unit of its own, so it is for whoever runs it to restart it.'
    return why


def restart_plan(found: Service, name: str, keys: t.Sequence[str], reasons: t.Sequence[str]) -> Plan:
    """A restart for these keys, with what speaks against it; no plan at all without a key."""
    if not keys:
        return Plan()
    blocked = blockers(found, name)
    return Plan(action=RESTART, restart_keys=tuple(keys), reasons=tuple(reasons), blockers=tuple(blocked), blocked_because=tuple(blocked.values()))


def proxies_plan(found: Service, name: str, reasons: t.Sequence[str]) -> Plan:
    """What a running engine needs for the proxies of a systemd drop-in; ``reasons`` as :func:`_dropin.restart_reasons` gives them."""
    return restart_plan(found, name, (DROPIN,) if found.running and reasons else (), reasons)


def _replaced(host: Reach, pid: int, start: t.Sequence[str]) -> bool:
    """Whether the next start would run another file than the one that runs now."""
    running, on_disk = _procfs.executable(pid, host.root)
    if not running or not on_disk or not start or not start[0].startswith('/'):
        return not on_disk
    return not _procfs.same_file(os.path.join(host.root, 'proc', str(pid), 'exe'), below(host.root, start[0]))


def _version(host: Reach, binary: str) -> str | None:
    told = host.run((below(host.root, binary), '--version'), 10.0)
    match = _VERSION.search(told.stdout) if told.rc == 0 else None
    return match.group(1) if match else None


def _dependents(host: Reach, unit: str, says: t.Mapping[str, str]) -> tuple[str, ...]:
    names = sorted({name for prop in _STOPS_WITH for name in says.get(prop, '').split()} - {unit})
    states = _systemd.show_many(names, ('ActiveState',), runner=host.run) if names else {}
    return tuple(name for name in names if states.get(name, {}).get('ActiveState', 'unknown') not in ('inactive', 'failed'))


def _started(host: Reach, pid: int, says: t.Mapping[str, str], variables: t.Sequence[str]) -> dict[str, t.Any]:
    ticks = _procfs.start_ticks(pid, host.root) if pid else None
    if ticks is None:
        return {}
    environ = _procfs.environ(pid, host.root)
    return {
        'start_id': _procfs.start_id(pid, host.root),
        'started_at': _procfs.started_at(ticks, says.get('ExecMainStartTimestamp', '')),
        'environ': {name: environ[name] for name in (*PROXY_NAMES, DROPIN_MARKER, *variables) if name in environ},
    }
