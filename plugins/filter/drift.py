# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbook audit.yml tells. The knowledge is in module_utils/_drift.py."""

from __future__ import annotations

import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _drift
from ansible_collections.quickpull.registry.plugins.module_utils._plain import plain
from ansible_collections.quickpull.registry.plugins.plugin_utils._filter import as_filter


@as_filter
def access_drift(hostvars: t.Any, hosts: t.Any, kinds: t.Any = _drift.COUNTED) -> dict[str, t.Any]:
    """What has drifted on each of these hosts."""
    return _drift.audit({str(host): _left(hostvars[host]) if host in hostvars else {} for host in hosts}, plain(kinds))


def _left(variables: t.Any) -> dict[str, t.Any]:
    """Only the role's own results are read: other variables may be secret, or fail to template."""
    return {name: plain(variables[name]) for name in _drift.READ if name in variables}


@as_filter
def access_drift_report(found: t.Any, width: int = _drift.WIDTH) -> str:
    """The report of an audit as text."""
    return _drift.render(plain(found), max(int(width), 60))


@as_filter
def access_drift_data(report: t.Any, found: t.Any) -> dict[str, t.Any]:
    """The report as data, with what has drifted."""
    return _drift.merged(plain(report), plain(found))


@as_filter
def access_drifted(found: t.Any, host: str) -> list[str]:
    """What counts as drift on a host, in sentences."""
    # Of a large fleet, one host's findings alone are made plain.
    return _drift.drifted(plain(found[host])) if host in found else []


class FilterModule:
    """Filters of the playbook audit.yml."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Their names in playbooks."""
        return {
            'access_drift': access_drift,
            'access_drift_data': access_drift_data,
            'access_drift_report': access_drift_report,
            'access_drifted': access_drifted,
        }
