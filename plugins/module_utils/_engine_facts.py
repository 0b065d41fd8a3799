# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All engines of a host, as container_engine_info tells of them."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import (
    _as_user,
    _containerd_report,
    _crio_report,
    _docker_certs,
    _docker_report,
    _k3s_report,
    _refresh_report,
    _registries_plan,
    _strangers,
    _users,
)
from ansible_collections.quickpull.registry.plugins.module_utils._engines import containerd, crio, docker, k3s, podman
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


@dataclasses.dataclass(frozen=True)
class Hosts:
    """The ways to reach the host's engines. Tests put their own in their place."""

    docker: docker.Host = dataclasses.field(default_factory=lambda: docker.Host(docker_config=os.environ.get('DOCKER_CONFIG')))
    containerd: containerd.Host = dataclasses.field(default_factory=containerd.Host)
    podman: podman.Host = dataclasses.field(default_factory=podman.Host)
    crio: crio.Host = dataclasses.field(default_factory=crio.Host)
    k3s: k3s.Host = dataclasses.field(default_factory=k3s.Host)


def facts(hosts: Hosts, state: State) -> dict[str, t.Any]:
    """What this module returns."""
    engines: dict[str, t.Any] = {}
    daemon = docker.inspect(host=hosts.docker)
    if daemon.installed:
        engines['docker'] = _docker_report.engine(daemon, hosts.docker.root, _strangers.recall(state), _docker_certs.all_written(state))
    found = containerd.inspect(hosts.containerd, briefly_for_docker=True)
    if found.installed:
        engines['containerd'] = _containerd_report.engine(found, hosts.containerd)
    tools = podman.inspect(hosts.podman)
    if tools.any:
        there = {name: path for name, path in dataclasses.asdict(tools).items() if path and name != 'version'}
        mirrors = _registries_plan.mirrors_in(hosts.podman.path(podman.DIRECTORY))
        engines['podman'] = {'version': tools.version, 'tools': there, 'mirrors': mirrors}
    cri_o = crio.inspect(hosts.crio) if tools.crio else crio.Crio(installed=False)
    if cri_o.installed:
        engines['crio'] = _crio_report.engine(cri_o, state)
    for name in k3s.NAMES:
        rancher = k3s.inspect(name, hosts.k3s)
        if rancher.installed:
            engines[name] = _k3s_report.engine(rancher, hosts.k3s)
    notes = _docker_report.notes(daemon) + _containerd_report.notes(found) + _crio_report.notes(cri_o)
    return {
        'installed': sorted(engines),
        'engines': engines,
        'notes': notes,
        'users_with_files': users_with_files(state),
        'refresh': _refresh_report.facts(state, hosts.docker.root),
    }


def users_with_files(state: State) -> dict[str, list[str]]:
    """Those of the record who are still users of this host."""
    recalled = _users.recall(state)
    gone = set(_as_user.missing_users(name for names in recalled.values() for name in names))
    return {reader: [name for name in names if name not in gone] for reader, names in recalled.items()}
