# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a roll-back means for the engines: what has to be put aside before their files change, and what a running one needs then.

daemon.json is written here and not with the other files, since a running dockerd keeps some values in force when their key is merely gone: such a key
stays with an empty value until docker_daemon_apply has proved that it is forgotten, just as when it is taken out by docker_daemon_config.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils import (
    _crio_conf,
    _crio_registries,
    _docker_apply,
    _dropin,
    _in_force,
    _k3s_service,
    _ownership,
    _rollback,
    _service_facts,
    _snapshot,
)
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_config import CONFIG_PATH
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_service import ContainerdService
from ansible_collections.quickpull.registry.plugins.module_utils._crio_service import CrioService, keep_for_start
from ansible_collections.quickpull.registry.plugins.module_utils._daemon_config import merge_daemon, reads
from ansible_collections.quickpull.registry.plugins.module_utils._daemon_keys import KNOWN_KEYS
from ansible_collections.quickpull.registry.plugins.module_utils._docker_host import DockerHost
from ansible_collections.quickpull.registry.plugins.module_utils._engines import containerd, crio, docker, k3s
from ansible_collections.quickpull.registry.plugins.module_utils._journal import FILE, NOTHING, Look
from ansible_collections.quickpull.registry.plugins.module_utils._json_text import Document, pointer_parts
from ansible_collections.quickpull.registry.plugins.module_utils._k3s_service import K3sService
from ansible_collections.quickpull.registry.plugins.module_utils._ownership import Record
from ansible_collections.quickpull.registry.plugins.module_utils._plan import DROPIN, NONE, Plan, as_dict, make_plan
from ansible_collections.quickpull.registry.plugins.module_utils._rollback import Item
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

DOCKER = 'docker'
CONTAINERD = 'containerd'
CRIO = 'crio'

# By what the path of a file holds. What no engine's service reads (logins, Podman's own files, hosts.toml, builders) is not among them.
_PLACES = (
    ('/etc/systemd/system/containerd.service.d/', CONTAINERD),
    ('/etc/systemd/system/crio.service.d/', CRIO),
    ('/etc/systemd/system/cri-o.service.d/', CRIO),
    ('/etc/containers/registries.conf.d/', CRIO),
    ('/etc/crio/', CRIO),
    ('/etc/rancher/k3s/', 'k3s'),
    ('/etc/rancher/rke2/', 'rke2'),
)


@dataclass(frozen=True)
class Hosts:
    """The ways to reach the host's engines. Tests put their own in their place."""

    docker: docker.Host = field(default_factory=docker.Host)
    containerd: containerd.Host = field(default_factory=containerd.Host)
    crio: crio.Host = field(default_factory=crio.Host)
    k3s: k3s.Host = field(default_factory=k3s.Host)


@dataclass
class Concerned:
    """The engines that a roll-back is about, and their files."""

    files: dict[str, list[Item]] = field(default_factory=dict)
    daemon_json: list[Item] = field(default_factory=list)


def engine_of(path: str) -> str:
    """Whose service reads a file; empty for nobody's."""
    if path == CONFIG_PATH:
        return CONTAINERD
    if path.startswith('/etc/systemd/system/') and 'docker' in path:
        return DOCKER
    return next((name for place, name in _PLACES if path.startswith(place)), '')


def record_path(state: State, path: str) -> str:
    """Where the ownership record of a file is, as the journal names it."""
    return os.path.realpath(state.ownership(path))


def sort_out(state: State, planned: _rollback.Plan) -> Concerned:
    """Whose files change. daemon.json is the file that an ownership record speaks of."""
    told = {item.path for item in planned.records}
    found = Concerned()
    for item in planned.files:
        record = record_path(state, item.path)
        is_daemon_json = item.user is None and FILE in (item.now.kind, item.target.kind) and (os.path.exists(record) or record in told)
        if is_daemon_json:
            found.daemon_json.append(item)
        name = DOCKER if is_daemon_json else engine_of(item.path)
        if name and item.changed:
            found.files.setdefault(name, []).append(item)
    return found


# --- before the files change -------------------------------------------------------------------------------------------


def put_aside(state: State, concerned: Concerned, hosts: Hosts) -> None:
    """Keep what is proved to work, so that an apply that fails can go back to it. Raises ConfigError."""
    for name, items in concerned.files.items():
        paths = [item.path for item in items]
        dropins = [path for path in paths if path.startswith('/etc/systemd/')]
        if name == DOCKER and dropins:
            daemon = docker.inspect(with_logins=False, host=hosts.docker)
            config = daemon.daemon_config_path
            _in_force.keep_proved(state, daemon, config, [*_snapshot.docker_paths(state, config, daemon.unit), *dropins])
        elif name == CONTAINERD and dropins and containerd.inspect(hosts.containerd).running:
            if ContainerdService(state, hosts.containerd).plan().action == NONE:
                _snapshot.drop(state, containerd.ENGINE, _snapshot.PROVED)
            _snapshot.save_once(state, containerd.ENGINE, _snapshot.PROVED, dropins)
        elif name == CRIO:
            found = crio.inspect(hosts.crio)
            by_reload = [path for path in paths if path.startswith('/etc/containers/')]
            at_start = [path for path in paths if path not in by_reload]
            if by_reload:
                _crio_registries.keep_proved(state, found, by_reload)
            if at_start:
                keep_for_start(state, hosts.crio, found, at_start)
        elif name in k3s.NAMES:
            _k3s_service.keep(state, k3s.inspect(name, hosts.k3s), hosts.k3s)


# --- daemon.json -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DaemonJson:
    """What is written of daemon.json at first, and what the daemon needs for it then."""

    item: Item
    record: Record
    value: t.Mapping[str, t.Any] = field(repr=False)
    old: t.Mapping[str, t.Any] | None = field(repr=False)
    daemon: docker.DockerDaemon = field(repr=False)


def daemon_json(state: State, item: Item, former: Look | None, host: docker.Host) -> DaemonJson:
    """Work out the file with the keys that a running dockerd has to be told to forget.

    :param former: what its ownership record is to be; None where that does not change.
    :raises ConfigError: when one of the two cannot be understood.
    """
    daemon = docker.inspect(item.path, host=host)
    held = merge_daemon(daemon, item.path)
    old = Document.parse(item.now.data, item.path).value if item.now.kind == FILE else None
    text = item.target.data if item.target.kind == FILE else None
    document = Document.parse(text or b'', item.path)
    known = _ownership.load(state, item.path)
    place = state.ownership(item.path)
    record = known if former is None else _ownership.decode(former.data, item.path, place) if former.kind == FILE else Record(known.path)
    if not record.busy:
        record = dataclasses.replace(record, original=None if text is None else text.decode('utf-8'), made_dirs=list(known.made_dirs) if text is None else [])
    buried = []
    for where in sorted(held.holds) if held.running else ():
        key = pointer_parts(where)[0]
        if key in (old or {}) and key not in document.value:
            document = document.set(where, KNOWN_KEYS[key].cleared)
            buried.append(where)
    record = dataclasses.replace(record, tombstones=[*record.tombstones, *(where for where in buried if where not in record.tombstones)])
    target = item.target
    if buried:
        like = item.target if item.target.kind == FILE else item.now
        target = dataclasses.replace(like, data=document.to_bytes())
    return DaemonJson(dataclasses.replace(item, target=target), record, document.value, old, daemon)


def write_daemon_json(state: State, wanted: DaemonJson) -> None:
    """The record for before and after, the file, the record. Raises ConfigError."""
    item, daemon = wanted.item, wanted.daemon
    known = _ownership.load(state, item.path)
    if item.changed:
        if reads(daemon, item.path):
            new = None if item.target.kind == NOTHING else wanted.value
            _in_force.before_write(state, daemon, item.path, wanted.old, new, _snapshot.docker_paths(state, item.path, daemon.unit))
        _ownership.save(state, _ownership.either(known, wanted.record))
        _rollback.write_file(item)
    if item.target.kind == NOTHING:
        _ownership.remove_dirs(wanted.record)
    _ownership.save(state, wanted.record)


def foreseen_docker(state: State, wanted: DaemonJson) -> Plan:
    """What the daemon will need for it."""
    daemon, path = wanted.daemon, wanted.item.path
    if not reads(daemon, path):
        return Plan()
    new = None if wanted.item.target.kind == NOTHING else wanted.value
    known = _in_force.in_force_after_write(state, daemon, path, wanted.old, new)
    return make_plan(wanted.value, daemon, known, wanted.record.keys())


# --- what they need ----------------------------------------------------------------------------------------------------


def plans(state: State, concerned: Concerned, hosts: Hosts, docker_host: DockerHost) -> dict[str, dict[str, t.Any]]:
    """What each of the engines needs, once the files are written; of those that are not installed, nothing."""
    found: dict[str, dict[str, t.Any]] = {}
    for name in concerned.files:
        if name == DOCKER and not docker.inspect(with_logins=False, host=hosts.docker).installed:
            continue
        if name == DOCKER:
            found[name] = as_dict(_docker_apply.apply(docker_host, state, _docker_apply.Options(check_mode=True)).plan)
        elif name == CONTAINERD:
            found[name] = as_dict(ContainerdService(state, hosts.containerd).plan())
        elif name == CRIO and crio.inspect(hosts.crio).installed:
            found[name] = as_dict(CrioService(state, hosts.crio).plan())
        elif name in k3s.NAMES:
            found[name] = as_dict(K3sService(name, state, hosts.k3s).plan())
    return found


def foreseen(state: State, concerned: Concerned, daemon_jsons: t.Sequence[DaemonJson], hosts: Hosts) -> dict[str, dict[str, t.Any]]:
    """The same for check mode, where nothing is written."""
    found: dict[str, dict[str, t.Any]] = {}
    for name, items in concerned.files.items():
        if name == DOCKER:
            plan = next((foreseen_docker(state, one) for one in daemon_jsons if one.item.changed), Plan())
            daemon = docker.inspect(with_logins=False, host=hosts.docker)
            if not daemon.installed:
                continue
            reasons = _dropin_reasons(items, daemon, '/')
            if reasons and not plan.restart_keys:
                plan = dataclasses.replace(plan, action='restart', restart_keys=(DROPIN,), reasons=(*plan.reasons, *reasons))
        elif name == CONTAINERD:
            service = containerd.inspect(hosts.containerd)
            plan = _service_facts.proxies_plan(service, 'containerd', _dropin_reasons(items, service, hosts.containerd.root))
        elif name == CRIO:
            cri_o = crio.inspect(hosts.crio)
            if not cri_o.installed:
                continue
            reasons = _dropin_reasons(items, cri_o, hosts.crio.root)
            keys = [DROPIN] if reasons else []
            if any(item.path.startswith('/etc/crio/') for item in items):
                keys.append(_crio_conf.KEY)
                reasons.append(f'CRI-O reads {_crio_conf.KEY} when it starts alone.')
            plan = _service_facts.restart_plan(cri_o, 'CRI-O', keys, reasons) if keys and cri_o.running else Plan()
            if any(item.path.startswith('/etc/containers/') for item in items):
                by_reload = _crio_registries.predicted_plan(cri_o)
                plan = by_reload if plan.action == NONE else dataclasses.replace(plan, reload_keys=by_reload.reload_keys)
        else:
            plan = _k3s_service.predicted_plan(k3s.inspect(name, hosts.k3s))
        found[name] = as_dict(plan)
    return found


def _dropin_reasons(items: t.Sequence[Item], service: t.Any, root: str) -> list[str]:
    """Why a running service needs a restart once its drop-in is what it was."""
    reasons: list[str] = []
    for item in items:
        if item.path.startswith('/etc/systemd/'):
            text = item.target.data.decode('utf-8', 'replace') if item.target.kind == FILE else ''
            expected = _dropin.expected_environ(_dropin.parse(text), service, _dropin.others(item.path, service, root))
            reasons += _dropin.restart_reasons(expected, service)
    return reasons
