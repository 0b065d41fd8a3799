# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what each task did as a line of JSON to the file named by LAB_RESULTS: results as data, whatever is printed."""
from __future__ import annotations

import json
import os
import typing as t

from ansible import constants
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: lab_results
type: notification
short_description: Task results as lines of JSON
description:
  - Writes one line of JSON for each result of a task, and one for the statistics at the end.
requirements:
  - The environment variable E(LAB_RESULTS) names the file.
  - With E(LAB_PAYLOADS), a folder, modules that were packed for hosts once are taken from there by later runs. Packing is half of what a module costs the
    controller.
"""


class CallbackModule(CallbackBase):
    """Notification callback of the lab's playbook runs."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'notification'
    CALLBACK_NAME = 'lab_results'
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        """Before any module is packed, the folder in which this run would keep them becomes the common one."""
        payloads = os.environ.get('LAB_PAYLOADS')
        if payloads:
            os.makedirs(payloads, exist_ok=True)
            kept = os.path.join(constants.DEFAULT_LOCAL_TMP, 'ansiballz_cache')  # type: ignore[attr-defined]
            os.symlink(payloads, kept)

    def _write(self, row: t.Mapping[str, t.Any]) -> None:
        with open(os.environ['LAB_RESULTS'], 'a', encoding='utf-8') as results:
            results.write(json.dumps(row, default=str) + '\n')

    def _task(self, result: t.Any, status: str) -> None:
        said = result._result
        self._write({'host': result._host.get_name(), 'task': result._task.get_name(), 'action': result._task.action, 'status': status,
                     'changed': bool(said.get('changed')), 'result': dict(said)})

    def v2_runner_on_ok(self, result: t.Any) -> None:
        self._task(result, 'ok')

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        self._task(result, 'failed')

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        self._task(result, 'skipped')

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        self._task(result, 'unreachable')

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        self._write({'stats': {host: stats.summarize(host) for host in stats.processed}})
