# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about K3s and RKE2 as plain data for people."""

from __future__ import annotations

import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _io, _k3s_registries, _service_report
from ansible_collections.quickpull.registry.plugins.module_utils._engines.k3s import Host, K3s
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import FIRST_LINE


def engine(found: K3s, host: Host) -> dict[str, t.Any]:
    """Return what container_engine_info says of it; ``mirrors`` are those of our own file alone."""
    try:
        text = _io.read_text(host.path(found.registries_path)) or ''
    except ConfigError:
        text = ''
    ours = _k3s_registries.parse_ours(text) if text.startswith(FIRST_LINE) else _k3s_registries.Registries()
    return {
        **_service_report.service(found),
        'role': found.role,
        'registries_path': found.registries_path,
        'mirrors': {upstream: list(urls) for upstream, urls in ours.endpoints.items()},
    }
