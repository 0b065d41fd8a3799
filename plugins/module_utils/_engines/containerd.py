# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What containerd on this host is, how it runs, and what its CRI says of itself."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.quickpull.registry.plugins.module_utils import _containerd_config, _cri, _service_facts, _systemd, _toml
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_config import CONFIG_PATH, Registry
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._root import below
from ansible_collections.quickpull.registry.plugins.module_utils._service_facts import Service

ENGINE = 'containerd'
UNIT = 'containerd.service'

_BINARIES = ('/usr/bin/containerd', '/usr/local/bin/containerd', '/usr/sbin/containerd', '/bin/containerd', '/opt/bin/containerd')
# Who uses containerd for itself; on a host with none of them, it is there for Docker alone.
_USERS = {
    'kubelet': ('/usr/bin/kubelet', '/usr/local/bin/kubelet', '/var/lib/kubelet/config.yaml', '/opt/bin/kubelet'),
    'nerdctl': ('/usr/bin/nerdctl', '/usr/local/bin/nerdctl'),
    'crictl': ('/etc/crictl.yaml',),
}
_DOCKER = ('/usr/bin/dockerd', '/usr/sbin/dockerd', '/usr/local/bin/dockerd')
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
class Containerd(Service):
    """The system's containerd. It has no unit inside k3s, or where Docker itself starts it.

    :ivar config_path: of config.toml. ``address`` of its socket.
    :ivar registry: what the CRI will do at the next start; None where containerd does not understand its configuration, which
        ``config_error`` then tells in its own words.
    :ivar cri_config_path: what the running CRI has in force; None when it does not tell (2.0 and later). ``cri_error``: why the CRI did
        not answer, empty when it did, or was not asked because containerd does not run.
    :ivar used_by: who uses containerd for itself, among ``kubelet``, ``nerdctl``, ``crictl``; ``docker`` is among them where there is a dockerd.
    """

    config_path: str = CONFIG_PATH
    address: str = _cri.SOCKET
    registry: Registry | None = None
    dump: t.Mapping[str, t.Any] = field(default_factory=dict, repr=False)
    config_error: str = ''
    cri_config_path: str | None = None
    cri_error: str = ''
    used_by: tuple[str, ...] = ()

    @property
    def for_docker_alone(self) -> bool:
        """Whether it is there only because Docker needs it, so that nobody pulls through its CRI."""
        return self.used_by == ('docker',)


def inspect(host: Host | None = None, *, briefly_for_docker: bool = False) -> Containerd:
    """Look at containerd on this host. Starts nothing, changes nothing, and raises for nothing that it finds.

    :param briefly_for_docker: where it is there for Docker alone, do without its configuration and without asking its CRI.
    """
    host = host or Host()
    facts = _service_facts.look(host, UNIT, 'containerd', _BINARIES)
    if not facts['installed']:
        return Containerd(installed=False)
    found = Containerd(
        **facts,
        config_path=os.path.join('/', _service_facts.flag(facts['next_argv'], 'config', 'c') or CONFIG_PATH),
        address=_service_facts.flag(facts['argv'] or facts['next_argv'], 'address', 'a'),
        used_by=_used_by(host),
    )
    if briefly_for_docker and found.for_docker_alone:
        return _addressed(found)
    return _asked(_addressed(_configured(found, host)), host)


def _used_by(host: Host) -> tuple[str, ...]:
    own = [name for name, paths in _USERS.items() if any(os.path.exists(host.path(path)) for path in paths)]
    docker = ['docker'] if any(os.path.exists(host.path(path)) for path in _DOCKER) else []
    return tuple(own + docker)


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
