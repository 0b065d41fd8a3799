# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Docker on this host is, how it runs, and what it says of itself."""
from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._version import parse_version

UNIT = 'docker.service'
SOCKET_UNIT = 'docker.socket'
CONFIG_PATH = '/etc/docker/daemon.json'


@dataclasses.dataclass(frozen=True)
class Flag:
    """A flag of dockerd.

    ``name`` is the long name without dashes (``registry-mirror``), ``key`` the name that daemon.json has for the same thing
    (``registry-mirrors``): the two together keep dockerd from starting. ``--http-proxy``, ``--https-proxy`` and ``--no-proxy`` have
    ``proxies.http-proxy`` and so on, because dockerd compares inside ``proxies``. ``key`` is empty where daemon.json has no such key
    (``config-file``, ``validate``). ``values`` holds each value given, ``('true',)`` for a bare boolean.

    ``source`` is ``unit``, ``drop-in``, ``EnvironmentFile`` or ``command line`` (in the running daemon's arguments, but in no file
    that could have put it there); ``path`` is the file, empty for ``command line``. A flag given in two places is two Flags.
    """

    name: str
    key: str
    values: t.Tuple[str, ...]
    source: str
    path: str


@dataclasses.dataclass(frozen=True)
class Reported:
    """What ``GET /info`` tells, in one shape for all versions.

    ``mirrors`` end with ``/`` as dockerd writes them; ``insecure_registries`` holds the CIDRs and the names of indexes that are not
    secure, so also the implicit ``127.0.0.0/8`` and ``::1/128``; user and password of ``http_proxy`` and ``https_proxy`` are masked by dockerd
    (``xxxxx:xxxxx``). ``image_store`` is ``graphdriver`` or ``containerd``. ``registry_config`` is the whole of ``RegistryConfig`` (compare it before and after a reload).
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
    :ivar active_state: systemd's ``ActiveState``; ``active`` also for a daemon that runs outside systemd. ``sub_state``, ``unit_file_state`` (``masked``...) likewise.
    :ivar need_daemon_reload: unit files on disk differ from those systemd has loaded.
    :ivar main_pid: of dockerd, 0 when it does not run.
    :ivar start_id: boot id and process start ticks: changes if and only if dockerd was started anew. None when it does not run.
    :ivar started_at: epoch seconds of the start, never later than the real one: see :func:`_procfs.started_at`. So a file whose ctime is older was there when dockerd started.
    :ivar config_path: what ``inspect`` was given, else ``daemon_config_path``.
    :ivar daemon_config_path: the file that the daemon reads: ``--config-file``, else the default of its flavour.
    :ivar flags: in force: those of the running daemon, else those that the unit would give it. ``unit_flags`` are those of the next start (after a daemon-reload). A key must clash with neither.
    :ivar argv: of the running daemon, else what the unit would run. May hold secrets.
    :ivar environ: proxy variables of the running daemon (upper and lower case), from /proc/PID/environ, and our drop-in's own marker. Holds secrets.
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


def inspect(config_path: t.Optional[str] = None, *, with_containers: bool = True, with_logins: bool = True) -> DockerDaemon:
    """Look at Docker on this host. Starts nothing and changes nothing."""
    raise NotImplementedError
