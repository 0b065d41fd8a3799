# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What containerd on this host is, how it runs, and what its CRI says of itself."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.quickpull.registry.plugins.module_utils import _containerd_config, _cri, _procfs, _systemd, _toml
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_config import CONFIG_PATH, Registry
from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DROPIN_MARKER, PROXY_NAMES
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._root import below
from ansible_collections.quickpull.registry.plugins.module_utils._version import parse_version

UNIT = 'containerd.service'

_BINARIES = ('/usr/bin/containerd', '/usr/local/bin/containerd', '/usr/sbin/containerd', '/bin/containerd', '/opt/bin/containerd')
# Who uses containerd for itself; on a host with none of them, it is there for Docker alone.
_USERS = {
    'kubelet': ('/usr/bin/kubelet', '/usr/local/bin/kubelet', '/var/lib/kubelet/config.yaml', '/opt/bin/kubelet'),
    'nerdctl': ('/usr/bin/nerdctl', '/usr/local/bin/nerdctl'),
    'crictl': ('/etc/crictl.yaml',),
}
_DOCKER = ('/usr/bin/dockerd', '/usr/sbin/dockerd', '/usr/local/bin/dockerd')
# What stops or restarts a unit together with containerd (systemd, core/unit-dependency-atom.c: UNIT_ATOM_PROPAGATE_STOP).
_STOPS_WITH = ('RequiredBy', 'RequisiteOf', 'BoundBy', 'ConsistsOf', 'PropagatesStopTo')
_PROPERTIES = (
    'LoadState', 'ActiveState', 'SubState', 'UnitFileState', 'NeedDaemonReload', 'MainPID', 'KillMode', 'FragmentPath', 'DropInPaths', 'ExecMainStartTimestamp',
)  # fmt: skip
_VERSION = re.compile(r'\bv?(\d+\.\d+\.\d+\S*)')
_DUMP_SECONDS = 20.0

Asker = t.Callable[[str], t.Dict[str, t.Any]]


@dataclass(frozen=True)
class Host:
    """The ways in which :func:`inspect` reaches the host. Tests put their own in their place."""

    root: str = '/'
    run: _systemd.Runner = _systemd.run
    ask_cri: Asker = _cri.config_in_force

    def path(self, path: str) -> str:
        """Return where ``path`` of the host lies for this process."""
        return below(self.root, path)


@dataclass(frozen=True)
class Containerd:
    """The system's containerd, whether it runs or not.

    :ivar version: of the binary on disk, which is what the next start runs; ``version_tuple`` is the same for comparing.
    :ivar binary_replaced: the binary on disk is not the one that runs.
    :ivar unit: ``containerd.service``; empty when no such unit is there (containerd inside k3s, or started by Docker itself).
    :ivar started_at: epoch seconds, never later than the real start; None when it does not run.
    :ivar config_path: of config.toml. ``address`` of its socket.
    :ivar registry: what the CRI will do at the next start; None where containerd does not understand its configuration, which
        ``config_error`` then tells in its own words.
    :ivar cri_config_path: what the running CRI has in force; None when it does not tell (2.0 and later). ``cri_error``: why the CRI did
        not answer, empty when it did, or was not asked because containerd does not run.
    :ivar used_by: who uses containerd for itself, among ``kubelet``, ``nerdctl``, ``crictl``; ``docker`` is among them where there is a dockerd.
    :ivar dependents: active units that stop together with it.
    :ivar kill_mode: of the unit; with anything but ``process`` a restart stops containers.
    :ivar environ: proxy variables of the running process, and our drop-in's own marker. Holds secrets.
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
    config_path: str = CONFIG_PATH
    address: str = _cri.SOCKET
    registry: Registry | None = None
    dump: t.Mapping[str, t.Any] = field(default_factory=dict, repr=False)
    config_error: str = ''
    cri_config_path: str | None = None
    cri_error: str = ''
    used_by: tuple[str, ...] = ()
    dependents: tuple[str, ...] = ()
    kill_mode: str = ''
    need_daemon_reload: bool = False
    environ: t.Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def version_tuple(self) -> tuple[int, ...] | None:
        return parse_version(self.version)

    @property
    def running(self) -> bool:
        return self.active_state in ('active', 'reloading') and self.main_pid > 0

    @property
    def for_docker_alone(self) -> bool:
        """Whether it is there only because Docker needs it, so that nobody pulls through its CRI."""
        return self.used_by == ('docker',)


def inspect(host: Host | None = None, *, briefly_for_docker: bool = False) -> Containerd:
    """Look at containerd on this host. Starts nothing, changes nothing, and raises for nothing that it finds.

    :param briefly_for_docker: where it is there for Docker alone, do without its configuration and without asking its CRI.
    """
    host = host or Host()
    says = _systemd.show_many((UNIT,), (*_PROPERTIES, *_STOPS_WITH), runner=host.run).get(UNIT, {})
    files = _systemd.unit_files(UNIT, fragment=says.get('FragmentPath', ''), drop_ins=says.get('DropInPaths', '').split(), root=host.root)
    pid = int(says.get('MainPID') or 0)
    argv = _procfs.cmdline(pid, host.root) if pid else ()
    start = tuple(word.text for word in files.exec_start)
    if not start or os.path.basename(start[0]) != 'containerd':  # a script of somebody's, or no unit
        start = argv
    binary = next((path for path in (*start[:1], *argv[:1], *_BINARIES) if path.startswith('/') and os.path.isfile(host.path(path))), None)
    if binary is None:
        return Containerd(installed=False)
    there = bool(files.fragment) or says.get('LoadState', 'not-found') not in ('not-found', '')
    found = Containerd(
        installed=True,
        binary=binary,
        version=_version(host, binary),
        binary_replaced=bool(pid) and _replaced(host, pid, start),
        unit=UNIT if there else '',
        active_state=says.get('ActiveState', 'inactive') if there else 'inactive',
        sub_state=says.get('SubState', ''),
        unit_file_state='masked' if files.masked else says.get('UnitFileState', ''),
        main_pid=pid,
        config_path=os.path.join('/', _flag(start, 'config', 'c') or CONFIG_PATH),
        address=_flag(argv or start, 'address', 'a'),
        used_by=_used_by(host),
        dependents=_dependents(host, says) if pid else (),
        kill_mode=says.get('KillMode', ''),
        need_daemon_reload=says.get('NeedDaemonReload') == 'yes',
    )
    if briefly_for_docker and found.for_docker_alone:
        return _addressed(_started(found, host, says))
    return _asked(_addressed(_configured(_started(found, host, says), host)), host)


def start_id(host: Host) -> str | None:
    """What no other start of it has, as :func:`inspect` tells it; None while it does not run."""
    pid = int(_systemd.show(UNIT, 'MainPID', runner=host.run).get('MainPID') or 0)
    return _procfs.start_id(pid, host.root) if pid else None


def _replaced(host: Host, pid: int, start: t.Sequence[str]) -> bool:
    """Whether the next start would run another file than the one that runs now."""
    running, on_disk = _procfs.executable(pid, host.root)
    if not running or not on_disk or not start or not start[0].startswith('/'):
        return not on_disk
    return not _procfs.same_file(os.path.join(host.root, 'proc', str(pid), 'exe'), host.path(start[0]))


def _version(host: Host, binary: str) -> str | None:
    told = host.run((host.path(binary), '--version'), 10.0)
    match = _VERSION.search(told.stdout) if told.rc == 0 else None
    return match.group(1) if match else None


def _flag(argv: t.Sequence[str], *names: str) -> str:
    """The value of a flag, spelled with one dash or two, as Go's flag package takes them."""
    for number, word in enumerate(argv):
        name, equals, value = word.partition('=')
        if name.startswith('-') and name[1 + name.startswith('--') :] in names:
            return value if equals else argv[number + 1] if number + 1 < len(argv) else ''
    return ''


def _used_by(host: Host) -> tuple[str, ...]:
    own = [name for name, paths in _USERS.items() if any(os.path.exists(host.path(path)) for path in paths)]
    docker = ['docker'] if any(os.path.exists(host.path(path)) for path in _DOCKER) else []
    return tuple(own + docker)


def _dependents(host: Host, says: t.Mapping[str, str]) -> tuple[str, ...]:
    names = sorted({name for prop in _STOPS_WITH for name in says.get(prop, '').split()} - {UNIT})
    states = _systemd.show_many(names, ('ActiveState',), runner=host.run) if names else {}
    return tuple(name for name in names if states.get(name, {}).get('ActiveState', 'unknown') not in ('inactive', 'failed'))


def _started(found: Containerd, host: Host, says: t.Mapping[str, str]) -> Containerd:
    ticks = _procfs.start_ticks(found.main_pid, host.root) if found.main_pid else None
    if ticks is None:
        return found
    at = _procfs.started_at(ticks, says.get('ExecMainStartTimestamp', ''))
    environ = _procfs.environ(found.main_pid, host.root)
    known = {name: environ[name] for name in (*PROXY_NAMES, DROPIN_MARKER) if name in environ}
    return replace(found, start_id=_procfs.start_id(found.main_pid, host.root), started_at=at, environ=known)


def _configured(found: Containerd, host: Host) -> Containerd:
    try:
        dump = dump_of(found, found.config_path, host)
    except ConfigError as exc:
        return replace(found, config_error=str(exc))
    return replace(found, dump=dump, registry=_containerd_config.registry_of(dump))


def _addressed(found: Containerd) -> Containerd:
    """With the address of its socket: what the command line says wins over what config.toml says."""
    return found if found.address else replace(found, address=str((found.dump.get('grpc') or {}).get('address') or _cri.SOCKET))


def dump_of(found: Containerd, path: str, host: Host | None = None) -> dict[str, t.Any]:
    """What containerd makes of a configuration file, with its defaults and imports. Raises ConfigError with its own words when it refuses it."""
    host = host or Host()
    there = os.path.exists(host.path(path))
    command = (host.path(found.binary or 'containerd'), *(('--config', host.path(path)) if there else ('--config', os.devnull)), 'config', 'dump')
    told = host.run(command, _DUMP_SECONDS)
    if told.rc != 0:
        lines = (told.stderr or told.stdout).strip().splitlines() or [f'exit code {told.rc}']
        raise ConfigError(f'{path}: containerd does not understand it. It says: {lines[-1][:500]}', path=path)
    return _toml.read(told.stdout, f'{path} (containerd config dump)')


def _asked(found: Containerd, host: Host) -> Containerd:
    if not found.running or (found.registry is not None and not found.registry.enabled):
        return found
    try:
        config = host.ask_cri(host.path(found.address))
    except _cri.CriUnavailable as exc:
        return replace(found, cri_error=str(exc))
    return replace(found, cri_config_path=_cri.config_path_of(config))
