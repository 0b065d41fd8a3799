# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report's filters read and write on the controller."""

from __future__ import annotations

import datetime
import json
import os.path
import stat
import typing as t
from pathlib import Path

from ansible_collections.quickpull.registry.plugins.module_utils import _drift, _report, _report_markdown, _report_page
from ansible_collections.quickpull.registry.plugins.module_utils._report_history import carried

# Beside the playbooks, because what Python cannot import has no place in module_utils.
ASSETS = Path(__file__).resolve().parents[2] / 'playbooks' / 'files' / 'report'
KINDS = ('.html', '.md', '.txt')
_NEW = '0644'
_LONGEST = 64 * 1024 * 1024  # of a former report; ours are a tenth of that at most


def now() -> str:
    """This moment in UTC, as reports have it."""
    return datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')


def page_of(report: t.Mapping[str, t.Any]) -> str:
    """The page of a report, with the files of :data:`ASSETS`."""
    return _report_page.page(report, {name: (ASSETS / name).read_text(encoding='utf-8') for name in _report_page.ASSETS})


def paths_of(path: str) -> dict[str, str]:
    """Where the report's files are, by kind. The JSON is at the path itself, unless that ends like one of the others."""
    base, ending = os.path.splitext(path)
    return {'.json': f'{base}.json' if ending in KINDS else path, **{kind: base + kind for kind in KINDS}}


def files_of(data: t.Mapping[str, t.Any], path: str, found: t.Mapping[str, t.Sequence[t.Mapping[str, t.Any]]] | None = None) -> list[dict[str, str]]:
    """Each file of the report with its ``path``, ``content`` and ``mode``; what former runs saw comes from the JSON that is there.

    :param data: as :func:`_report.as_data` takes it.
    :param found: what :func:`_drift.audit` returned. None where the run was no audit; of one, the text is what the audit prints.
    """
    paths = paths_of(path)
    report = _report.as_data(data, now())
    report = carried(report if found is None else _drift.merged(report, found), former(paths['.json']))
    texts = {
        '.json': json.dumps(report, ensure_ascii=False, indent=2, sort_keys=True) + '\n',
        '.txt': (_report.render_data(report) if found is None else _drift.render(found)) + '\n',
        '.md': _report_markdown.render_data(report),
        '.html': page_of(report),
    }
    return [{'path': paths[kind], 'content': text.encode('utf-8', 'replace').decode('utf-8'), 'mode': mode_of(paths[kind])} for kind, text in texts.items()]


def mode_of(path: str) -> str:
    """The mode that a file has, in octal; of one that is not there yet that of files for all to read, since whoever reads it is often not who runs this."""
    try:
        there = os.stat(path).st_mode
    except (OSError, ValueError):
        return _NEW
    # With a zero in front it is never taken for a decimal number.
    return f'0{stat.S_IMODE(there):03o}' if stat.S_ISREG(there) else _NEW


def former(path: str) -> str:
    """The text of the report that is at a path, '' where there is none that can be read."""
    try:
        file = Path(path)
        return file.read_text(encoding='utf-8') if file.is_file() and file.stat().st_size <= _LONGEST else ''
    except (OSError, ValueError):
        return ''
