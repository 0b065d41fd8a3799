# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""K3s and RKE2, which bring a containerd of their own: what is installed, as server or as agent, and what its containerd was given.

Sources: k3s-io/k3s, pkg/agent/containerd/config.go (registries.yaml is read when the agent starts, and becomes hosts.toml files, in older ones
tables of config.toml), and install.sh (units, KillMode=process). RKE2's own were not looked at.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils import _cri, _io, _service_facts, _systemd
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._root import below
from ansible_collections.quickpull.registry.plugins.module_utils._service_facts import Service

NAMES = ('k3s', 'rke2')
SERVER, AGENT = 'server', 'agent'
# By name, its units and what each is.
UNITS = {
    'k3s': (('k3s.service', SERVER), ('k3s-agent.service', AGENT)),
    'rke2': (('rke2-server.service', SERVER), ('rke2-agent.service', AGENT)),
}
_FOLDERS = ('/usr/local/bin', '/opt/{0}/bin', '/usr/bin', '/opt/bin')
_SOCKET = '/run/k3s/containerd/containerd.sock'  # RKE2's as well

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
class K3s(Service):
    """One of the two.

    :ivar name: ``k3s`` or ``rke2``. ``role``: ``server`` or ``agent``.
    :ivar data_dir: where it keeps its data.
    """

    name: str = 'k3s'
    role: str = SERVER
    data_dir: str = '/var/lib/rancher/k3s'

    @property
    def registries_path(self) -> str:
        return f'/etc/rancher/{self.name}/registries.yaml'

    @property
    def containerd_dir(self) -> str:
        """Where it keeps what it makes for its containerd."""
        return os.path.join(self.data_dir, 'agent', 'etc', 'containerd')


def inspect(name: str, host: Host | None = None) -> K3s:
    """Look at one of them on this host. Starts nothing but ``NAME --version``, changes nothing, and raises for nothing that it finds."""
    host = host or Host()
    binaries = [f'{folder.format(name)}/{name}' for folder in _FOLDERS]
    found = K3s(installed=False, name=name)
    for unit, role in UNITS[name]:
        facts = _service_facts.look(host, unit, name, binaries)
        if not facts['installed']:
            continue
        # It unpacks itself, and runs from there: that another file runs than the one on disk means nothing.
        data_dir = _service_facts.flag(facts['next_argv'], 'data-dir', 'd') or f'/var/lib/rancher/{name}'
        one = K3s(**{**facts, 'binary_replaced': False}, name=name, role=role, data_dir=data_dir)
        if one.running:
            return one
        if not found.unit:
            found = one
    return found


def given_to_containerd(found: K3s, host: Host | None = None) -> str:
    """The text of all that it has made of the registries for its containerd; empty for none."""
    host = host or Host()
    folder = host.path(os.path.join(found.containerd_dir, 'certs.d'))
    paths = [os.path.join(base, name) for base, _dirs, files in os.walk(folder) for name in files if name == 'hosts.toml']
    paths.append(host.path(os.path.join(found.containerd_dir, 'config.toml')))
    texts = []
    for path in sorted(paths):
        try:
            texts.append(_io.read_text(path) or '')
        except ConfigError:
            continue
    return '\n'.join(texts)


def cri_error(host: Host | None = None) -> str:
    """Why the CRI of its containerd does not answer; empty when it does."""
    host = host or Host()
    try:
        host.ask_cri(host.path(_SOCKET))
    except _cri.CriUnavailable as exc:
        return str(exc)
    return ''
