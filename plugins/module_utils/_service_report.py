# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about an engine's unit and process as plain data for people."""

from __future__ import annotations

import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _dropin
from ansible_collections.quickpull.registry.plugins.module_utils._service_facts import Service


def service(found: Service) -> dict[str, t.Any]:
    """What container_engine_info says of every such engine."""
    return {
        'version': found.version,
        'binary': found.binary,
        'binary_replaced': found.binary_replaced,
        'running': found.running,
        'service': {
            'unit': found.unit,
            'active_state': found.active_state,
            'sub_state': found.sub_state,
            'unit_file_state': found.unit_file_state,
            'main_pid': found.main_pid,
            'started_at': found.started_at,
            'kill_mode': found.kill_mode,
        },
        'proxies': _dropin.masked({name: found.environ[name] for name in _dropin.NAMES if name in found.environ}),
        'no_proxy': found.environ.get('NO_PROXY') or found.environ.get('no_proxy', ''),
        'dependents': list(found.dependents),
    }
