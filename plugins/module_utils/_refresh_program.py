# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program on a host that chooses its mirrors by itself. systemd runs it by a timer; see :mod:`_refresh_install`."""

from __future__ import annotations

import os
import sys
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _journal, _refresh, _refresh_report, _refresh_settings, _refresh_share
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._io import read_text
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

USAGE = 'Use: refresh.py run [SETTINGS] | refresh.py offer [ADDRESS:]PORT'


def main(argv: t.Sequence[str]) -> int:
    """``run`` refreshes once; ``offer`` shows other hosts what this one found. The exit code is 0 where all went well, also when no mirror serves."""
    try:
        if argv[:1] == ['run'] and len(argv) <= 2:
            return _run(argv[1] if len(argv) == 2 else _refresh_settings.PATH)
        if argv[:1] == ['offer'] and len(argv) == 2:
            _refresh_share.serve(argv[1])
    except ConfigError as exc:
        sys.stderr.write(f'Error: {exc}\n')
        return 1
    sys.stderr.write(USAGE + '\n')
    return 2


def _run_id(state: State) -> str:
    """The last run in the journal, where that was a refresh too: many of them are one run, or they would push those of the role out of it."""
    known = _journal.runs(state)
    if known and known[-1].id.endswith(_journal.REFRESH) and not known[-1].undone:
        return known[-1].id
    return _journal.stamp() + _journal.REFRESH


def _run(path: str) -> int:
    text = read_text(path)
    if text is None:
        raise ConfigError(f'{path} is not there. The role registry_access writes it, with registry_access_refresh.', path=path)
    # What the host does by itself is a run of its own for registry_rollback.
    os.environ[_journal.ENVIRON] = _run_id(State())
    report = _refresh.run(_refresh_settings.load(text, path), State())
    for line in _refresh_report.sentences(report):
        sys.stdout.write(line + '\n')
    return 1 if report['errors'] else 0
