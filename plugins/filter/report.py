# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that render what was probed and done."""

from __future__ import annotations

import typing as t

from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.quickpull.registry.plugins.module_utils import _report, _report_markdown, _rollback_report
from ansible_collections.quickpull.registry.plugins.module_utils._plain import plain
from ansible_collections.quickpull.registry.plugins.plugin_utils import _report_files
from ansible_collections.quickpull.registry.plugins.plugin_utils._filter import as_filter


def access_report(data: t.Any, width: int = _report.WIDTH) -> str:
    """The report as text."""
    return _report.render(plain(data), max(int(width), 60))


def access_report_data(data: t.Any) -> dict[str, t.Any]:
    """The report as data."""
    return _report.as_data(plain(data), _report_files.now())


def access_report_markdown(data: t.Any) -> str:
    """The report as Markdown."""
    return _report_markdown.render_data(_report.as_data(plain(data), _report_files.now()))


def access_report_page(data: t.Any) -> str:
    """The report as one HTML file."""
    return _report_files.page_of(_report.as_data(plain(data), _report_files.now()))


def access_report_files(data: t.Any, path: str, drift: t.Any = None) -> list[dict[str, str]]:
    """The report in all its forms, each with the path and the mode of its file."""
    # The loop that writes them would take braces in what a mirror said for a template, before ansible-core 2.19.
    return wrap_var(_report_files.files_of(plain(data), str(path), plain(drift)))


_FOUND = '__registry_rollback_found'
_DONE = '__registry_rollback_done'
_FAILED = '__registry_rollback_failed'
_APPLIED = ('__registry_rollback_docker', '__registry_rollback_engines')


def rollback_last_run(hostvars: t.Any, hosts: t.Any, run: str = '') -> str:
    """The id of the newest run of the role that any of the hosts remembers; that of one run, where any of them remembers it."""
    return _rollback_report.last_run({str(host): plain(hostvars[host].get(_FOUND) or {}) for host in hosts if host in hostvars}, str(run))


def _lost(result: t.Mapping[str, t.Any]) -> str:
    return f'it was lost on the way, and may be put back in part alone. Run this once more. {result.get("msg") or ""}'.rstrip()


def rollback_report(hostvars: t.Any, hosts: t.Any, run: str, check_mode: bool = False) -> list[str]:
    """What a roll-back did, or would do, as lines."""
    told = {}
    for host in hosts:
        if host not in hostvars:
            continue
        left = hostvars[host]
        applied = [plain(left[name]) for name in _APPLIED if name in left]
        result = plain(left[_DONE]) if _DONE in left else {}
        steps = [one for step in applied for one in (step.get('results') or [step])]
        # Ansible keeps it of a host that it lost, too.
        lost = next((one for one in (*applied, *steps, result) if one.get('unreachable')), None)
        told[str(host)] = {
            'result': result,
            'applied': steps,
            'failed': plain(left[_FAILED]) if _FAILED in left else _lost(lost) if lost else '' if _DONE in left else 'it was not reached.',
        }
    return _rollback_report.report(told, str(run), bool(check_mode))


class FilterModule:
    """Filters that render what was probed and done."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Their names in playbooks."""
        offered = (access_report, access_report_data, access_report_files, access_report_markdown, access_report_page, rollback_last_run, rollback_report)
        return {function.__name__: as_filter(function) for function in offered}
