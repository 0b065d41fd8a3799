# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about Docker as plain data for people: named the same everywhere, and without a secret in them."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _dropin, _hosts_toml
from ansible_collections.quickpull.registry.plugins.module_utils._daemon_keys import KNOWN_KEYS
from ansible_collections.quickpull.registry.plugins.module_utils._docker_flags import Flag, is_secret_name, masked_values
from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import PROXY_NAMES, DockerDaemon
from ansible_collections.quickpull.registry.plugins.module_utils._mask import MASKED_SECRET, mask_url
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import DOCKER_MIRROR_PATH_SINCE
from ansible_collections.quickpull.registry.plugins.module_utils._root import below
from ansible_collections.quickpull.registry.plugins.module_utils._systemd import read_small

_NOTES = {
    'podman-docker': 'The command docker is Podman on this host; there is no Docker daemon.',
    'rootless': 'Docker runs rootless for single users on this host; there is no system-wide daemon that this collection could configure.',
    'snap': 'Docker is installed as a snap; its configuration file and its service have places of their own.',
}


def notes(daemon: DockerDaemon) -> t.List[str]:
    """Return a sentence for a kind of Docker that an operator should know of; none for an ordinary one or none at all."""
    found = [_NOTES[daemon.flavour]] if daemon.flavour in _NOTES else []
    if daemon.api_error:
        found.append(daemon.api_error)
    return found


def flags(found: t.Iterable[Flag]) -> t.List[t.Dict[str, t.Any]]:
    """Return flags, their secrets masked."""
    return [
        {'name': flag.name, 'key': flag.key, 'values': masked_values(flag), 'source': flag.source, 'path': flag.path} for flag in found
    ]


def proxies(daemon: DockerDaemon) -> t.Dict[str, str]:
    """Return the proxies that the daemon uses, user and password masked: what it says itself, else what it was started with."""
    said = daemon.reported
    if said is not None:
        found = {'http_proxy': said.http_proxy, 'https_proxy': said.https_proxy, 'no_proxy': said.no_proxy}
    else:
        found = {name.lower(): daemon.environ.get(name) or daemon.environ.get(name.lower(), '') for name in PROXY_NAMES[:3]}
    return {name: value if name == 'no_proxy' else mask_url(value) for name, value in found.items()}


def service(daemon: DockerDaemon) -> t.Dict[str, t.Any]:
    """Return what is known of the daemon's unit and process."""
    return {
        'unit': daemon.unit,
        'active_state': daemon.active_state,
        'sub_state': daemon.sub_state,
        'unit_file_state': daemon.unit_file_state,
        'need_daemon_reload': daemon.need_daemon_reload,
        'main_pid': daemon.main_pid,
        'started_at': daemon.started_at,
    }


def engine(daemon: DockerDaemon, root: str = '/', strangers: t.Iterable[str] = (), certs: t.Iterable[str] = ()) -> t.Dict[str, t.Any]:
    """Return what container_engine_info says of Docker.

    :param strangers: mirrors that are known to belong to third parties.
    :param certs: certificates of mirrors that this collection wrote.
    """
    said = daemon.reported
    return {
        'flavour': daemon.flavour,
        'version': daemon.version,
        'binary': daemon.binary,
        'binary_version': daemon.binary_version,
        'binary_replaced': daemon.binary_replaced,
        'running': daemon.running,
        'service': service(daemon),
        'config_path': daemon.daemon_config_path,
        'proxies_in_config': daemon.version_tuple is None or daemon.version_tuple >= KNOWN_KEYS['proxies'].since,
        'proxies': proxies(daemon) if daemon.main_pid else {},
        'proxy_dropin': _dropin.found_at(daemon.unit, root),
        'mirror_paths': daemon.version_tuple is None or daemon.version_tuple[:2] >= DOCKER_MIRROR_PATH_SINCE,
        'registry_mirrors': list(said.mirrors) if said else [],
        'reads_hosts_toml': not _hosts_toml.docker_reads_not(daemon),
        'mirrors': _hosts_toml.mirrors_in(below(root, _hosts_toml.DIRECTORIES[_hosts_toml.DOCKER])),
        'third_party_mirrors': list(strangers),
        'mirror_certs': list(certs),
        'flags': flags(daemon.flags),
        'flags_at_next_start': flags(daemon.unit_flags),
        'image_store': said.image_store if said else None,
        'live_restore': said.live_restore if said else None,
        'swarm_active': said.swarm_active if said else None,
        'containers_running': daemon.containers_running,
        'containers_lost_by_restart': list(daemon.containers_lost),
        'dependents': list(daemon.dependents),
        'hub_logins': list(daemon.hub_logins),
        'via': daemon.via,
    }


def daemon_info(daemon: DockerDaemon, root: str = '/') -> t.Dict[str, t.Any]:
    """Return what docker_daemon_info says; what only a running daemon can tell is None while it does not run."""
    said = daemon.reported
    raw = said.raw if said else {}
    return {
        'installed': daemon.installed,
        'flavour': daemon.flavour,
        'running': daemon.running,
        'version': daemon.version,
        'via': daemon.via,
        'mirrors': list(said.mirrors) if said else None,
        'insecure_registries': list(said.insecure_registries) if said else None,
        'proxies': proxies(daemon) if daemon.main_pid else None,
        'image_store': said.image_store if said else None,
        'storage_driver': raw.get('Driver'),
        'data_root': raw.get('DockerRootDir'),
        'live_restore': said.live_restore if said else None,
        'swarm_active': said.swarm_active if said else None,
        'containers_running': daemon.containers_running,
        'service': service(daemon),
        'config_path': daemon.daemon_config_path,
        'config': read_config(daemon.daemon_config_path, root),
    }


def read_config(path: str, root: str = '/') -> t.Optional[t.Dict[str, t.Any]]:
    """Return daemon.json with secrets masked; empty where there is none, None where it is no JSON object."""
    text = read_small(below(root, path))
    try:
        config = json.loads((text or '').lstrip('\ufeff').strip() or '{}')
    except (ValueError, RecursionError):
        return None
    return t.cast('t.Dict[str, t.Any]', _masked(config)) if isinstance(config, dict) else None


def _masked(value: t.Any, name: str = '') -> t.Any:
    if isinstance(value, dict):
        return {key: _masked(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, name) for inner in value]
    if isinstance(value, str):
        return MASKED_SECRET if is_secret_name(name) else mask_url(value)
    return value
