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
  - Prints a line as well where a restart has to wait, where a probe, a reload or a restart failed, and where the host was lost meanwhile. In check mode it
    says what would be done.
  - Prints nothing of other tasks, nothing of tasks with C(no_log), and nothing while a probe is under way, which takes C(registry_access_probe_deadline)
    seconds at most.
  - Users and passwords in URLs are masked.
requirements:
  - It is enabled, for example by the environment variable C(ANSIBLE_CALLBACKS_ENABLED=quickpull.registry.progress).
author:
  - quickpull.registry contributors (@quickpull)
"""

import typing as t
import unicodedata

from ansible.plugins.callback import CallbackBase

from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text, mask_url
from ansible_collections.quickpull.registry.plugins.module_utils._report import latency, rate, wrap

_PREFIX = 'quickpull.registry.'
_WIDTH = 200
_PROBE = 'registry_mirror_probe'
_DOCKER = 'docker_daemon_apply'
_ENGINE = 'engine_apply'
_NAMES = {'containerd': 'containerd', 'crio': 'CRI-O', 'k3s': 'K3s', 'rke2': 'RKE2'}
# Control and format characters, which move the cursor or turn the direction of writing; line separators; what no terminal can be sent.
_UNSEEN = ('Cc', 'Cf', 'Cs', 'Zl', 'Zp')


class CallbackModule(CallbackBase):
    """Notification callback that follows probes and applies."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'notification'
    CALLBACK_NAME = 'quickpull.registry.progress'
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """A task of a host went well."""
        self._tell(result, 'ok')

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        """A task of a host failed."""
        self._tell(result, 'failed', ignore_errors)

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        """A host was lost."""
        self._tell(result, 'unreachable', result._task.ignore_unreachable)

    def v2_runner_item_on_ok(self, result: t.Any) -> None:
        """An item of a loop went well."""
        self._tell(result, 'ok')

    def v2_runner_item_on_failed(self, result: t.Any) -> None:
        """An item of a loop failed, or its host was lost at it."""
        self._tell(result, 'failed', result._task.ignore_errors)

    def _tell(self, result: t.Any, ended: str, ignored: t.Any = False) -> None:
        task = result._task
        if task.no_log is True:
            return
        # Where a play has `collections`, the action is the bare name.
        action = str(task.resolved_action or task.action)
        for line in lines(action, result._host.get_name(), result._result, ended=ended, check_mode=task.check_mode is True, ignored=ignored is True):
            self._display.display(line)


def lines(
    action: str, host: str, said: t.Mapping[str, t.Any], *, ended: str = 'ok', check_mode: bool = False, ignored: bool = False
) -> list[str]:
    """What is told of a task's result; nothing of most.

    :param said: the result, of a loop that of one item.
    :param ended: ``ok``, ``failed`` or ``unreachable``.
    :param ignored: whether the play goes on all the same.
    """
    name = action[len(_PREFIX) :] if action.startswith(_PREFIX) else ''
    if name not in (_PROBE, _DOCKER, _ENGINE) or 'censored' in said or said.get('_ansible_no_log') or _is_loop(said):
        return []
    if ended == 'unreachable' or said.get('unreachable'):
        found = [f'{"unreachable (ignored)" if ignored else "UNREACHABLE"}: {mask_text(str(said.get("msg", "")))}']
    elif ended == 'failed':
        found = [_failure(name, said, 'failed (ignored)' if ignored else 'FAILED')]
    elif name == _PROBE:
        # The result itself does not say of which upstream the mirrors are; how the module was called does.
        found = [_mirror(str(_asked(said).get('upstream') or ''), one) for one in said.get('results') or []]
    else:
        found = _applied(name, said, check_mode)
    return ['  ' + wrap(_seen(f'{host}: {line}'), _WIDTH)[0] for line in found]


def _is_loop(said: t.Mapping[str, t.Any]) -> bool:
    """Whether it is the whole of a loop, of which each item was told by itself."""
    results = said.get('results')
    return isinstance(results, list) and any(isinstance(one, dict) and 'ansible_loop_var' in one for one in results)


def _asked(said: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    """The module's parameters."""
    return (said.get('invocation') or {}).get('module_args') or {}


def _engine(name: str, said: t.Mapping[str, t.Any]) -> str:
    """The engine with a blank behind it; Docker, of which hosts have one at most, goes without."""
    asked = str(_asked(said).get('engine') or '')
    return f'{_NAMES.get(asked, asked)} ' if name == _ENGINE and asked else ''


def _mirror(upstream: str, one: t.Mapping[str, t.Any]) -> str:
    figures = [latency(one.get('latency_ms')), rate(one.get('throughput_bps'))]
    why = '' if one.get('ok') is True else str(one.get('reason') or '')
    words = [upstream, mask_url(str(one.get('url', ''))), str(one.get('state') or '?'), *figures, mask_text(why)]
    return '  '.join(word for word in words if word)


def _applied(name: str, said: t.Mapping[str, t.Any], check_mode: bool) -> list[str]:
    """What was done, or would be, and what has to wait."""
    engine, found = _engine(name, said), []
    if name == _DOCKER:
        action, proved = said.get('applied'), (said.get('proof') or {}).get('ok') is True
        waits = said.get('pending_because') if said.get('pending') else ()
    else:
        action, proved, waits = said.get('action'), said.get('proved') is True, said.get('pending')
    if action in ('reload', 'restart'):
        found.append(f'{engine}would {action}' if check_mode else f'{engine}{action}, {"proved" if proved else "not proved"}')
    if waits:
        found.append(f'{engine}restart pending: {mask_text(" ".join(map(str, waits)))}')
    return found


def _failure(name: str, said: t.Mapping[str, t.Any], word: str) -> str:
    if name == _PROBE:
        what = f'{_asked(said).get("upstream") or ""} probe'
    else:
        action = said.get('applied')
        what = _engine(name, said) + (str(action) if action in ('reload', 'restart') else 'apply')
    back = ', rolled back' if said.get('rolled_back') is True else ''
    return f'{what} {word}{back}: {mask_text(str(said.get("msg", "")))}'


def _seen(text: str) -> str:
    """The text without what would do something to the terminal: much of it comes from outside."""
    return ''.join(' ' if unicodedata.category(letter) in _UNSEEN else letter for letter in text)
