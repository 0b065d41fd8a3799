# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about containerd as plain data for people."""

from __future__ import annotations

import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _containerd_registry, _hosts_toml, _service_report
from ansible_collections.quickpull.registry.plugins.module_utils._engines.containerd import Containerd, Host
from ansible_collections.quickpull.registry.plugins.module_utils._hosts_toml import CONTAINERD, DIRECTORIES


def engine(found: Containerd, host: Host | None = None) -> dict[str, t.Any]:
    """Return what container_engine_info says of containerd."""
    host = host or Host()
    registry = found.registry
    directory = _containerd_registry.directory_of(found, DIRECTORIES[CONTAINERD])
    return {
        **_service_report.service(found),
        'config_path': found.config_path,
        'hosts_directory': directory,
        'mirrors': _hosts_toml.mirrors_in(host.path(directory)),
        'cri_enabled': registry.enabled if registry else None,
        'cri_reads': registry.config_path if registry else None,
        'cri_error': found.cri_error,
        'used_by': list(found.used_by),
        'for_docker_alone': found.for_docker_alone,
    }


def notes(found: Containerd) -> list[str]:
    """Return a sentence for what an operator should know of it."""
    unread = (
        f'{found.config_path}: config_path is a list of directories, of which containerd {found.version} reads nothing when it pulls for the CRI '
        '(containerd#12808). With one directory alone, or use_local_image_pull = true, it would.'
        if _containerd_registry.list_unread(found)
        else ''
    )
    return [sentence for sentence in (found.config_error, found.cri_error, unread) if sentence]
