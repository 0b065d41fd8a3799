# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that goes on without the one who waits for it. In processes of their own: signals and sessions are the process's."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import typing as t

import pytest

PROGRAM = """
import json, os, signal, sys, time
sys.path.insert(0, {path!r})
from ansible_collections.quickpull.registry.plugins.module_utils._detached import DetachedError, finish_detached, run_detached
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
{body}
"""


def python(body: str) -> subprocess.Popen[bytes]:
    path = next(entry for entry in sys.path if os.path.isdir(os.path.join(entry, 'ansible_collections', 'quickpull')))
    return subprocess.Popen(
        [sys.executable, '-c', PROGRAM.format(path=path, body=body)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def result(body: str) -> t.Any:
    process = python(body)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err.decode()
    return json.loads(out)


def test_what_it_returns_comes_back() -> None:
    assert result('print(json.dumps(run_detached(lambda: {"a": [1, "\\u00e4" * 100000]})))') == {'a': [1, 'ä' * 100000]}


def test_it_has_a_session_of_its_own_and_hears_no_hangup() -> None:
    body = """
def work():
    os.kill(os.getpid(), signal.SIGHUP)
    print('to nobody', flush=True)
    os.write(2, b'to nobody')
    return [os.getsid(0), os.getpid()]
print(json.dumps([os.getsid(0), *run_detached(work)]))
"""
    session, child_session, child = result(body)
    assert child_session == child != session


@pytest.mark.parametrize(
    ('work', 'word'),
    [
        ('1 / 0', 'ZeroDivisionError'),
        ('os.kill(os.getpid(), signal.SIGKILL)', 'killed by signal 9'),
        ('os._exit(3)', 'ended without a word'),
        ('sys.exit(1)', 'SystemExit'),
    ],
)
def test_what_goes_wrong_is_told(work: str, word: str) -> None:
    body = f"""
try:
    run_detached(lambda: {work})
except DetachedError as exc:
    print(json.dumps(str(exc)))
"""
    assert word in result(body)


def test_a_sentence_to_fail_with_comes_back_as_it_was_raised() -> None:
    body = """
told = []
for work in (lambda: 1 / 0, lambda: raises(), lambda: {'a': 1}):
    try:
        told.append(finish_detached(work, 'a.service'))
    except ConfigError as exc:
        told.append(str(exc))
print(json.dumps(told))
"""
    ended, raised, done = result(f"def raises():\n    raise ConfigError('It did not come up.')\n{body}")
    assert ended.startswith('The work on a.service did not end: ') and ended.endswith('Run again, and it is finished.')
    assert (raised, done) == ('It did not come up.', {'a': 1})


def test_it_goes_on_when_the_waiting_process_and_its_group_are_killed(tmp_path: pathlib.Path) -> None:
    done, started = tmp_path / 'done', tmp_path / 'started'
    os.mkfifo(started)
    os.mkfifo(done)
    body = f"""
def work():
    open({str(started)!r}, 'w').close()
    with open({str(done)!r}, 'w') as pipe:
        pipe.write('done')
run_detached(work)
"""
    process = python(body)
    started.read_text()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert done.read_text() == 'done'
