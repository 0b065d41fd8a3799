# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run something to its end, whatever becomes of the connection and of the process that waits for it."""

from __future__ import annotations

import json
import os
import signal
import traceback
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError


class DetachedError(RuntimeError):
    """The work ended without a result. The text is a traceback, or says which signal killed it."""


def run_detached(work: t.Callable[[], t.Any]) -> t.Any:
    """Do ``work`` in a child with a session of its own, and return what it returns (must be JSON).

    A session of its own, because ignoring SIGHUP is not enough: with ``become``, sudo whose terminal went away sends its
    command's process group a SIGTERM and then a SIGKILL (sudo, exec_monitor.c, terminate_command). All modules must be
    imported before: the archive that Ansible runs a module from is removed when the connection ends.

    :raises DetachedError: when the work raised, or was killed.
    """
    for name in ('SIGHUP', 'SIGPIPE'):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _child(work, writer)
    os.close(writer)
    with os.fdopen(reader, 'rb') as pipe:
        answer = pipe.read()
    _pid, status = os.waitpid(child, 0)
    if not answer:
        raise DetachedError(f'it was killed by signal {status & 0x7F}' if status & 0x7F else 'it ended without a word')
    result = json.loads(answer.decode('utf-8'))
    if 'error' in result:
        raise DetachedError(result['error'])
    return result['value']


def finish_detached(work: t.Callable[[], t.Mapping[str, t.Any]], what: str) -> dict[str, t.Any]:
    """As :func:`run_detached`, for work on a service that may fail by a sentence.

    :param what: the service, in words.
    :raises ConfigError: what the work raised of this kind, and when it ended without a result.
    """

    def told() -> t.Mapping[str, t.Any]:
        try:
            return work()
        except ConfigError as exc:
            return {'failed': str(exc)}

    try:
        done = t.cast('dict[str, t.Any]', run_detached(told))
    except DetachedError as exc:
        raise ConfigError(f'The work on {what} did not end: {exc}. Run again, and it is finished.') from exc
    if 'failed' in done:
        raise ConfigError(done['failed'])
    return done


def _child(work: t.Callable[[], t.Any], writer: int) -> t.NoReturn:
    try:
        os.setsid()
        _let_go_of_the_connection()
        try:
            answer = {'value': work()}
        except BaseException:  # noqa: BLE001 - the parent shows it
            answer = {'error': traceback.format_exc()}
        with os.fdopen(writer, 'wb') as pipe:
            pipe.write(json.dumps(answer).encode())
    finally:
        # Not sys.exit: what the parent has registered to run at its end is not the child's to run.
        os._exit(0)


def _let_go_of_the_connection() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
