# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says what each probe saw, and how each apply went, as soon as a host is done with it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: notification
version_added: 0.1.0
short_description: Progress of a long run, by host and mirror
description:
  - Prints, as soon as a host's probe ends, a line for each mirror with its state, latency and throughput, and as soon as an engine was reloaded or restarted
    on a host, a line that says whether it was proved. Where many hosts work side by side, the report at the end of the playbooks comes much later.
  - Prints nothing of other tasks, and nothing while a probe is under way, which takes C(registry_access_probe_deadline) seconds at most.
  - Users and passwords in URLs are masked.
requirements:
  - It is enabled, for example by the environment variable C(ANSIBLE_CALLBACKS_ENABLED=quickpull.registry.progress).
author:
  - quickpull.registry contributors (@quickpull)
"""

import typing as t

from ansible.plugins.callback import CallbackBase

from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text, mask_url
from ansible_collections.quickpull.registry.plugins.module_utils._report import latency, rate, wrap

_PREFIX = 'quickpull.registry.'
_WIDTH = 200


class CallbackModule(CallbackBase):
    """Notification callback that follows probes and applies."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'notification'
    CALLBACK_NAME = 'quickpull.registry.progress'
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """A task of a host went well."""
        for line in lines(str(result._task.action), result._host.get_name(), result._result):
            self._display.display(line)


def lines(action: str, host: str, said: t.Mapping[str, t.Any]) -> list[str]:
    """What is told of a task's result; nothing of most."""
    name = action[len(_PREFIX) :] if action.startswith(_PREFIX) else ''
    if name == 'registry_mirror_probe':
        # The result itself does not say of which upstream the mirrors are; how the module was called does.
        asked = (said.get('invocation') or {}).get('module_args') or {}
        found = [_mirror(host, str(asked.get('upstream') or ''), one) for one in said.get('results') or []]
    elif name in ('docker_daemon_apply', 'engine_apply') and said.get('applied') in ('reload', 'restart'):
        proof = said.get('proof') or {}
        found = [f'{host}: {said["applied"]}{", proved" if proof.get("ok") is True else ""}']
    else:
        found = []
    # Control characters become spaces: what a mirror said must not move the cursor.
    return ['  ' + wrap(line, _WIDTH)[0] for line in found]


def _mirror(host: str, upstream: str, one: t.Mapping[str, t.Any]) -> str:
    figures = [latency(one.get('latency_ms')), rate(one.get('throughput_bps'))]
    why = '' if one.get('ok') is True else str(one.get('reason') or '')
    words = [f'{host}:', upstream, mask_url(str(one.get('url', ''))), str(one.get('state') or '?'), *figures, mask_text(why)]
    return '  '.join(word for word in words if word)
