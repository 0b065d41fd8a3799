# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for one probe that serves many hosts."""

from __future__ import annotations

import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._sharing import (
    direct_no_proxy,
    probe_representative,
    probe_request_key,
    shared_probe,
    shared_probes,
)
from ansible_collections.quickpull.registry.plugins.plugin_utils._filter import as_filter


class FilterModule:
    """Filters for one probe that serves many hosts."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Their names in playbooks."""
        return {
            'direct_no_proxy': as_filter(direct_no_proxy),
            'probe_representative': as_filter(probe_representative),
            'probe_request_key': as_filter(probe_request_key),
            'shared_probe': as_filter(shared_probe),
            'shared_probes': as_filter(shared_probes),
        }
