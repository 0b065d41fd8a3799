# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for a rollout in waves. What they do lives in module_utils/_rollout.py."""

from __future__ import annotations

import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _access, _rollout
from ansible_collections.quickpull.registry.plugins.module_utils._plain import plain
from ansible_collections.quickpull.registry.plugins.plugin_utils._filter import as_filter

_PLAN = '__registry_access_plan'


@as_filter
def access_waves(hosts: t.Any, sizes: t.Any = (), canaries: t.Any = (), groups: t.Any = None) -> list[list[str]]:
    """The hosts in the waves in which they go."""
    return _rollout.waves_of(plain(hosts), plain(sizes), plain(canaries), plain(groups))


@as_filter
def access_planned(hostvars: t.Any, hosts: t.Any) -> list[list[str]]:
    """The waves that were planned for these hosts."""
    names = [str(host) for host in hosts]
    plans = [plain(hostvars[host][_PLAN]) for host in names if host in hostvars and _PLAN in hostvars[host]]
    return _rollout.planned(plans, set(names))


@as_filter
def access_failures(hostvars: t.Any, hosts: t.Any, before: str = '') -> dict[str, str]:
    """Why each of these hosts that failed did."""
    hosts = _rollout.before(plain(hosts), str(before)) if before else hosts
    left = {str(host): {name: plain(hostvars[host][name]) for name in _access.LEFT_BY_ROLE if name in hostvars[host]} for host in hosts}
    return {host: reason for host, reason in ((host, _rollout.failure_of(variables)) for host, variables in left.items()) if reason}


class FilterModule:
    """Filters for a rollout in waves."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Their names in playbooks."""
        return {'access_waves': access_waves, 'access_planned': access_planned, 'access_failures': access_failures}
