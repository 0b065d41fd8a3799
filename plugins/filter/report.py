# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that render what was probed and done."""

from __future__ import annotations

import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _report
from ansible_collections.quickpull.registry.plugins.module_utils._plain import plain
from ansible_collections.quickpull.registry.plugins.plugin_utils._filter import as_filter


def access_report(data: t.Any, width: int = _report.WIDTH) -> str:
    """The report as text."""
    return _report.render(plain(data), max(int(width), 60))


def access_report_data(data: t.Any) -> dict[str, t.Any]:
    """The report as data."""
    return _report.as_data(plain(data))


class FilterModule:
    """Filters that render what was probed and done."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Their names in playbooks."""
        return {'access_report': as_filter(access_report), 'access_report_data': as_filter(access_report_data)}
