# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Docker on this host is, how it runs, and what it says of itself."""
from __future__ import annotations

import dataclasses
import json
import os
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _docker_api, _docker_flags, _hub_logins, _procfs, _systemd
from ansible_collections.quickpull.registry.plugins.module_utils._docker_flags import Flag
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_url
from ansible_collections.quickpull.registry.plugins.module_utils._root import below
from ansible_collections.quickpull.registry.plugins.module_utils._version import parse_version

UNIT = 'docker.service'
SOCKET_UNIT = 'docker.socket'
SNAP_UNIT = 'snap.docker.dockerd.service'
CONFIG_PATH = '/etc/docker/daemon.json'
SNAP_CONFIG_PATH = '/var/snap/docker/current/config/daemon.json'
PID_FILE = '/run/docker.pid'

#: Our proxy drop-in names in this variable of the daemon what it set, so the running daemon itself tells which of its proxies are ours.
DROPIN_MARKER = 'QUICKPULL_REGISTRY_PROXY'

#: What Go looks at (golang.org/x/net/http/httpproxy): upper case first, lower case where that is empty.
PROXY_NAMES = ('HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy')

_ANY_ADDRESS = ('', '0.0.0.0', '[::]')  # noqa: S104 - to recognise it

_BINARIES = ('/usr/bin/dockerd', '/usr/sbin/dockerd', '/usr/local/bin/dockerd', '/usr/local/sbin/dockerd', '/bin/dockerd', '/opt/bin/dockerd')
_SNAP_BINARY = '/snap/docker/current/bin/dockerd'
_CLIENTS = ('/usr/bin/docker', '/usr/local/bin/docker', '/bin/docker')

# What stops or restarts a unit together with docker.service (systemd, core/unit-dependency-atom.c: UNIT_ATOM_PROPAGATE_STOP).
_STOPS_WITH = ('RequiredBy', 'RequisiteOf', 'BoundBy', 'ConsistsOf', 'PropagatesStopTo')
_PROPERTIES = (
    'LoadState', 'ActiveState', 'SubState', 'UnitFileState', 'NeedDaemonReload', 'MainPID', 'FragmentPath', 'DropInPaths',
    'ExecMainStartTimestamp', 'Listen',
) + _STOPS_WITH


@dataclasses.dataclass(frozen=True)
class Host:
    """The ways in which :func:`inspect` reaches the host. Tests put their own in their place."""

    root: str = '/'
    run: _systemd.Runner = _systemd.run
    connect: t.Callable[..., _docker_api.DockerApi] = _docker_api.connect
    docker_config: t.Optional[str] = None

    def path(self, path: str) -> str:
        """Return where ``path`` of the host lies for this process."""
        return below(self.root, path)


@dataclasses.dataclass(frozen=True)
class Reported:
    """What ``GET /info`` tells, in one shape for all versions.

    ``mirrors`` end with ``/`` as dockerd writes them; ``insecure_registries`` holds the CIDRs and the names of indexes that are not
    secure, so also the implicit ``127.0.0.0/8`` and ``::1/128``; user and password of ``http_proxy`` and ``https_proxy`` are masked
    (``xxxxx:xxxxx``), by dockerd or by us, in ``raw`` as well. ``image_store`` is ``graphdriver`` or ``containerd``. ``registry_config`` is the whole of
    ``RegistryConfig`` (compare it before and after a reload).
    """

    mirrors: t.Tuple[str, ...]
    insecure_registries: t.Tuple[str, ...]
    http_proxy: str
    https_proxy: str
    no_proxy: str
    live_restore: bool
    image_store: str
    registry_config: t.Mapping[str, t.Any]
    swarm_active: bool
    raw: t.Mapping[str, t.Any] = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class DockerDaemon:
    """One Docker daemon: the system's own, whether it runs or not.

    :ivar installed: there is a dockerd, whatever its flavour. ``False`` for ``podman-docker``, which has none.
    :ivar flavour: ``native``, ``snap``, ``podman-docker`` or ``rootless`` (only daemons of users, none of the system).
    :ivar version: of the running daemon, else of the binary; ``version_tuple`` is the same for comparing, None when not understood.
    :ivar binary_version: of the binary on disk, which is what the next start runs.
    :ivar binary: path of dockerd on disk; None when there is none.
    :ivar binary_replaced: the binary on disk is not the one that runs (after an upgrade).
    :ivar unit: ``docker.service`` or snap's; empty when no systemd unit runs it.
    :ivar active_state: systemd's ``ActiveState``; ``active`` also for a daemon that runs outside systemd. ``sub_state`` and
        ``unit_file_state`` (``masked``...) likewise.
    :ivar need_daemon_reload: unit files on disk differ from those systemd has loaded.
    :ivar main_pid: of dockerd, 0 when it does not run.
    :ivar start_id: boot id and process start ticks: changes if and only if dockerd was started anew. None when it does not run.
    :ivar started_at: epoch seconds of the start, never later than the real one: see :func:`_procfs.started_at`. So a file whose ctime
        is older was there when dockerd started.
    :ivar config_path: what ``inspect`` was given, else ``daemon_config_path``.
    :ivar daemon_config_path: the file that the daemon reads: ``--config-file``, else the default of its flavour.
    :ivar flags: in force: those of the running daemon, else those that the unit would give it. ``unit_flags`` are those of the next
        start (after a daemon-reload). A key must clash with neither.
    :ivar argv: of the running daemon, else what the unit would run. May hold secrets.
    :ivar environ: proxy variables of the running daemon (upper and lower case), from /proc/PID/environ, and our drop-in's own marker.
        Holds secrets.
    :ivar reported: None when it does not run or does not answer; ``api_error`` then says why in a sentence.
    :ivar containers_running: how many run, paused ones included.
    :ivar containers_lost: names of those that would not surely come back after a restart without live-restore.
    :ivar dependents: active units that stop with docker.service (in its RequiredBy, BoundBy or ConsistsOf), docker.socket left out.
    :ivar hub_logins: client config files that hold a login to Docker Hub, or a credential store or helper that covers it.
    :ivar via: ``sdk``, ``socket`` or empty: how ``reported`` was had.
    """

    installed: bool
    flavour: str = 'native'
    version: t.Optional[str] = None
    binary_version: t.Optional[str] = None
    binary: t.Optional[str] = None
    binary_replaced: bool = False
    unit: str = ''
    active_state: str = ''
    sub_state: str = ''
    unit_file_state: str = ''
    need_daemon_reload: bool = False
    main_pid: int = 0
    start_id: t.Optional[str] = None
    started_at: t.Optional[float] = None
    config_path: str = CONFIG_PATH
    daemon_config_path: str = CONFIG_PATH
    flags: t.Tuple[Flag, ...] = ()
    unit_flags: t.Tuple[Flag, ...] = ()
    argv: t.Tuple[str, ...] = dataclasses.field(default=(), repr=False)
    environ: t.Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    reported: t.Optional[Reported] = None
    api_error: str = ''
    api_base: str = ''
    containers_running: int = 0
    containers_lost: t.Tuple[str, ...] = ()
    dependents: t.Tuple[str, ...] = ()
    hub_logins: t.Tuple[str, ...] = ()
    via: str = ''

    @property
    def version_tuple(self) -> t.Optional[t.Tuple[int, ...]]:
        return parse_version(self.version)

    @property
    def running(self) -> bool:
        """Whether the daemon is up and stable (``active`` or ``reloading``): only then may anybody connect to its socket."""
        return self.active_state in ('active', 'reloading') and self.main_pid > 0


@dataclasses.dataclass(frozen=True)
class _Service:
    """The unit that is looked at: what systemd says of it and of docker.socket (empty without systemd), and its files."""

    unit: str
    says: t.Mapping[str, str]
    socket_says: t.Mapping[str, str]
    files: _systemd.UnitFiles

    @property
    def there(self) -> bool:
        return bool(self.files.fragment) or self.says.get('LoadState', 'not-found') != 'not-found'


@dataclasses.dataclass(frozen=True)
class _Process:
    """The running dockerd; ``pid`` 0: there is none."""

    pid: int = 0
    by_systemd: bool = False
    argv: t.Tuple[str, ...] = ()
    executable: str = ''
    on_disk: bool = True


def inspect(
    config_path: t.Optional[str] = None,
    *,
    with_containers: bool = True,
    with_logins: bool = True,
    host: t.Optional[Host] = None,
) -> DockerDaemon:
    """Look at Docker on this host. Starts nothing, changes nothing, and raises for nothing that it finds.

    ``config_path`` only becomes the result's ``config_path``. ``with_containers`` asks for each running container (one request each),
    ``with_logins`` looks through the homes. The API is asked only when the service is active, since with socket activation a
    connection starts it.
    """
    host = host or Host()
    service = _find_service(host)
    process = _find_process(host, service)
    binary = _find_binary(host, service, process)
    unit_flags = tuple(_docker_flags.flags_of_unit(service.files.exec_start))
    argv = process.argv or tuple(word.text for word in service.files.exec_start)
    flags = tuple(_docker_flags.flags_in_force(process.argv, unit_flags)) if process.argv else unit_flags
    flavour = _flavour(host, service, process, binary)
    read_by_daemon = _config_path(flags, flavour)
    daemon = DockerDaemon(
        installed=flavour != 'podman-docker' and bool(binary or process.pid),
        flavour=flavour,
        binary=binary,
        binary_replaced=_replaced(host, service, process),
        unit=service.unit if service.there and (process.by_systemd or not process.pid) else '',
        need_daemon_reload=_needs_daemon_reload(host, service),
        main_pid=process.pid,
        config_path=config_path or read_by_daemon,
        daemon_config_path=read_by_daemon,
        flags=flags,
        unit_flags=unit_flags,
        argv=argv,
        dependents=_dependents(host, service) if process.pid else (),
        hub_logins=tuple(_hub_logins.find_hub_logins(host.root, host.docker_config)) if with_logins else (),
    )
    daemon = dataclasses.replace(daemon, **_states(service, process), **_start(host, service, process))
    if daemon.running:
        daemon = _ask_api(daemon, host, service, with_containers)
    return _with_versions(daemon, host)


def _find_service(host: Host) -> _Service:
    units = [UNIT, SOCKET_UNIT]
    if os.path.exists(host.path('/var/snap/docker')) or os.path.exists(host.path('/snap/bin/docker')):
        units.append(SNAP_UNIT)
    says = _systemd.show_many(units, _PROPERTIES, runner=host.run)
    native = _service(host, UNIT, says)
    if SNAP_UNIT not in units or (native.there and native.says.get('ActiveState') == 'active'):
        return native
    snap = _service(host, SNAP_UNIT, says)
    snap_counts = snap.there and (not native.there or snap.says.get('ActiveState') == 'active')
    return snap if snap_counts else native


def _service(host: Host, unit: str, says: t.Mapping[str, t.Mapping[str, str]]) -> _Service:
    mine = says.get(unit, {})
    files = _systemd.unit_files(unit, fragment=mine.get('FragmentPath', ''), drop_ins=mine.get('DropInPaths', '').split(), root=host.root)
    return _Service(unit, mine, says.get(SOCKET_UNIT, {}), files)


def _needs_daemon_reload(host: Host, service: _Service) -> bool:
    """Whether systemd has loaded something else than what lies on disk.

    ``NeedDaemonReload`` alone is not enough: systemd 252 does not see the first drop-in in a new directory (measured), because it
    looks only into directories that it knew at its last reload.
    """
    if service.says.get('NeedDaemonReload') == 'yes':
        return True
    loaded = service.says.get('DropInPaths', '')
    if service.says.get('LoadState') != 'loaded' or '[unprintable]' in loaded:
        return False
    known = {os.path.realpath(host.path(path)) for path in loaded.split()}
    on_disk = {os.path.realpath(host.path(path)) for path in service.files.drop_ins if f'/{service.unit}.d/' in path}
    return bool(on_disk - known) or any(not os.path.exists(path) for path in known)


def _find_process(host: Host, service: _Service) -> _Process:
    """Find the running dockerd: the unit's main process, else the one in dockerd's pid file (a wrapper, or no systemd at all)."""
    main = int(service.says.get('MainPID') or 0)
    for pid, by_systemd in ((main, True), (_pid_in_file(host), bool(main))):
        argv = _procfs.cmdline(pid, host.root) if pid else ()
        if argv and _docker_flags.is_dockerd(argv[0]):
            executable, on_disk = _procfs.executable(pid, host.root)
            return _Process(pid, by_systemd, argv, executable, on_disk)
    return _Process()


def _pid_in_file(host: Host) -> int:
    text = (_systemd.read_small(host.path(PID_FILE)) or '').strip()
    return int(text) if text.isdigit() and len(text) < 10 else 0


def _find_binary(host: Host, service: _Service, process: _Process) -> t.Optional[str]:
    """Return the dockerd that the next start would run, as far as it is there."""
    wanted = [word.text for word in service.files.exec_start if word.text.startswith('/') and _docker_flags.is_dockerd(word.text)][:1]
    snap = [_SNAP_BINARY] if service.unit == SNAP_UNIT else []
    running = [process.executable] if process.executable else []
    for path in wanted + snap + running + list(_BINARIES):
        if os.path.isfile(host.path(path)):
            return path
    return None


def _replaced(host: Host, service: _Service, process: _Process) -> bool:
    """Whether the next start would run another file than the one that runs now."""
    if not process.pid or not process.executable:
        return False
    if not process.on_disk:
        return True
    first = service.files.exec_start[0].text if service.files.exec_start else ''
    if not process.by_systemd or not (_docker_flags.is_dockerd(first) and first.startswith('/')):
        return False
    return not _procfs.same_file(os.path.join(host.root, 'proc', str(process.pid), 'exe'), host.path(first))


def _flavour(host: Host, service: _Service, process: _Process, binary: t.Optional[str]) -> str:
    if service.unit == SNAP_UNIT or process.executable.startswith('/snap/'):
        return 'snap'
    if process.pid:
        return 'native'
    if binary is None and _client_is_podman(host):
        return 'podman-docker'
    enabled = service.says.get('UnitFileState', '').startswith('enabled')
    return 'rootless' if not enabled and _rootless(host) else 'native'


def _client_is_podman(host: Host) -> bool:
    """Whether ``docker`` is Podman's stand-in: a link to podman, or the short script that calls it."""
    for path in map(host.path, _CLIENTS):
        if os.path.basename(os.path.realpath(path)) == 'podman':
            return True
        try:
            with open(path, 'rb') as file:
                start = file.read(4096)
        except OSError:
            continue
        if start.startswith(b'#!') and b'podman' in start:
            return True
    return False


def _rootless(host: Host) -> bool:
    """Whether users run a Docker of their own: a dockerd that is not root's, or a user unit that dockerd-rootless-setuptool.sh wrote."""
    if any(uid for _pid, uid in _procfs.pids_of('dockerd', host.root)):
        return True
    return any(os.path.isfile(host.path(f'{home}/.config/systemd/user/{UNIT}')) for home in _hub_logins.homes(host.root))


def _config_path(flags: t.Sequence[Flag], flavour: str) -> str:
    default = SNAP_CONFIG_PATH if flavour == 'snap' else CONFIG_PATH
    given = [value for flag in flags if flag.name == 'config-file' for value in flag.values]
    # A relative path is relative to the service's working directory, which is /.
    return os.path.join('/', given[-1]) if given else default


def _states(service: _Service, process: _Process) -> t.Dict[str, t.Any]:
    enabled = service.says.get('UnitFileState', '')
    if service.files.masked or service.says.get('LoadState') == 'masked':
        enabled = 'masked'
    if process.pid and not process.by_systemd:
        return {'active_state': 'active', 'sub_state': 'outside systemd', 'unit_file_state': enabled}
    if not service.there:
        return {'active_state': 'inactive', 'sub_state': '', 'unit_file_state': enabled}
    return {
        'active_state': service.says.get('ActiveState', 'inactive'),
        'sub_state': service.says.get('SubState', ''),
        'unit_file_state': enabled,
    }


def _start(host: Host, service: _Service, process: _Process) -> t.Dict[str, t.Any]:
    if not process.pid:
        return {}
    ticks = _procfs.start_ticks(process.pid, host.root)
    noted = service.says.get('ExecMainStartTimestamp', '') if process.by_systemd else ''
    environ = _procfs.environ(process.pid, host.root)
    return {
        'start_id': _procfs.start_id(process.pid, host.root),
        'started_at': None if ticks is None else _procfs.started_at(ticks, noted),
        'environ': {name: environ[name] for name in PROXY_NAMES + (DROPIN_MARKER,) if name in environ},
    }


def _dependents(host: Host, service: _Service) -> t.Tuple[str, ...]:
    names = {name for prop in _STOPS_WITH for name in service.says.get(prop, '').split()} - {SOCKET_UNIT, service.unit}
    if not names:
        return ()
    states = _systemd.show_many(sorted(names), ('ActiveState',), runner=host.run)
    idle = ('inactive', 'failed')
    return tuple(name for name in sorted(names) if states.get(name, {}).get('ActiveState', 'unknown') not in idle)


# -- the API


def api_base(flags: t.Sequence[Flag], config_hosts: t.Sequence[str], listen: str = '') -> str:
    """Return where the daemon's API is reached: its unix socket, else a plain TCP address, else an empty string (TLS only).

    ``listen`` is docker.socket's ``Listen`` (``/run/docker.sock (Stream)``), which counts for ``-H fd://``.
    """
    given = [value for flag in flags if flag.name == 'host' for value in flag.values] or list(config_hosts)
    activated = [line.split(' ')[0] for line in listen.splitlines() if line.startswith('/')]
    for address in given or ['unix://']:
        scheme, _sep, rest = address.partition('://')
        if scheme == 'unix':
            return f'unix://{rest}' if rest.startswith('/') else _docker_api.DEFAULT_BASE
        if scheme == 'fd':
            return f'unix://{activated[0]}' if activated else _docker_api.DEFAULT_BASE
    if any(flag.name in ('tls', 'tlsverify') for flag in flags):
        return ''
    for address in given:
        scheme, _sep, rest = address.partition('://')
        if scheme == 'tcp' or '://' not in address:
            name, _colon, port = (rest or address).rpartition(':')
            return f'tcp://{"127.0.0.1" if name in _ANY_ADDRESS else name}:{port or "2375"}'
    return ''


def _hosts_in_config(host: Host, path: str) -> t.List[str]:
    """Return ``hosts`` of daemon.json, leniently: what is wrong with the file is for others to say."""
    try:
        config = json.loads((_systemd.read_small(host.path(path)) or '{}').lstrip('\ufeff') or '{}')
    except (ValueError, RecursionError):
        return []
    hosts = config.get('hosts') if isinstance(config, dict) else None
    return [str(one) for one in hosts] if isinstance(hosts, list) else []


def _ask_api(daemon: DockerDaemon, host: Host, service: _Service, with_containers: bool) -> DockerDaemon:
    base = api_base(daemon.flags, _hosts_in_config(host, daemon.daemon_config_path), service.socket_says.get('Listen', ''))
    if not base:
        return dataclasses.replace(daemon, api_error='The Docker daemon listens on no unix socket and no plain TCP port.')
    api = host.connect(base if host.root in ('', '/') else base.replace('unix://', f'unix://{host.root.rstrip("/")}'))
    try:
        info = api.info()
        containers = api.containers() if with_containers else None
    except (_docker_api.DockerUnavailable, _docker_api.DockerApiError) as exc:
        return dataclasses.replace(daemon, api_error=str(exc), api_base=base)
    finally:
        api.close()
    running = int(info.get('ContainersRunning') or 0) + int(info.get('ContainersPaused') or 0)
    return dataclasses.replace(
        daemon,
        version=str(info.get('ServerVersion') or '') or None,
        reported=reported(info),
        api_base=base,
        via=api.via,
        containers_running=running if containers is None else len(containers),
        containers_lost=tuple(one.name for one in containers or () if not one.comes_back),
    )


def reported(info: t.Mapping[str, t.Any]) -> Reported:
    """Put the answer of ``GET /info`` into one shape. What is missing or null counts as empty.

    dockerd tells a proxy with its password when Go cannot parse the URL, or finds no user in it (moby, daemon/config: MaskCredentials).
    So the proxies are masked here once more, also in ``raw``.
    """
    info = {**info, **{name: mask_url(info[name]) for name in ('HttpProxy', 'HttpsProxy') if isinstance(info.get(name), str)}}
    registry = info.get('RegistryConfig') or {}
    indexes = registry.get('IndexConfigs') or {}
    insecure = list(registry.get('InsecureRegistryCIDRs') or ())
    insecure += [name for name, index in sorted(indexes.items()) if isinstance(index, dict) and index.get('Secure') is False]
    state = str((info.get('Swarm') or {}).get('LocalNodeState') or 'inactive')
    status = [tuple(pair) for pair in info.get('DriverStatus') or () if isinstance(pair, (list, tuple))]
    return Reported(
        mirrors=tuple(registry.get('Mirrors') or ()),
        insecure_registries=tuple(insecure),
        http_proxy=str(info.get('HttpProxy') or ''),
        https_proxy=str(info.get('HttpsProxy') or ''),
        no_proxy=str(info.get('NoProxy') or ''),
        live_restore=bool(info.get('LiveRestoreEnabled')),
        image_store='containerd' if ('driver-type', 'io.containerd.snapshotter.v1') in status else 'graphdriver',
        registry_config=registry,
        swarm_active=state != 'inactive',
        raw=info,
    )


def _with_versions(daemon: DockerDaemon, host: Host) -> DockerDaemon:
    """Fill in the version of the binary on disk; it is run only where the daemon did not tell, or runs another one."""
    if daemon.version and not daemon.binary_replaced:
        return dataclasses.replace(daemon, binary_version=daemon.version)
    if daemon.binary is None:
        return daemon
    result = host.run((host.path(daemon.binary), '--version'), 10.0)
    words = result.stdout.split()
    found = words[words.index('version') + 1].rstrip(',') if result.rc == 0 and 'version' in words[:-1] else None
    running_unknown = daemon.main_pid and daemon.binary_replaced
    return dataclasses.replace(daemon, binary_version=found, version=daemon.version or (None if running_unknown else found))
