# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running commands on this machine."""
from __future__ import annotations

import subprocess
import sys
import time
import typing as t

from lab.config import LabError


def say(text: str) -> None:
    """One line for the person who waits."""
    print(f'lab: {text}', file=sys.stderr, flush=True)


def run(command: t.Sequence[str], *, check: bool = True, timeout: float = 600, stdin: t.Any = None, stdout: t.Any = subprocess.PIPE,
        text: str | None = None, cwd: str | None = None, env: t.Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command, its output as text.

    Raises LabError with the command's own words when it fails and ``check`` is set.
    """
    given: dict[str, t.Any] = {'input': text} if text is not None else {'stdin': stdin if stdin is not None else subprocess.DEVNULL}
    done = subprocess.run(command, check=False, timeout=timeout, stdout=stdout, stderr=subprocess.PIPE, encoding='utf-8', errors='replace',
                          cwd=cwd, env=env, **given)
    if check and done.returncode != 0:
        raise LabError(f'{" ".join(command)[:300]}: exit code {done.returncode}\n{(done.stdout or "")[-1500:]}{done.stderr[-1500:]}'.rstrip())
    return done


# What docker exec says, now and then, of a container whose own systemd moves processes about while it starts.
NOT_ENTERED = 'OCI runtime exec failed'


def docker_exec(*arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """``docker exec``, tried again where the container could not be entered, so that nothing was run in it."""
    for turn in range(5):
        done = docker('exec', *arguments, check=False, timeout=timeout)
        if done.returncode != 126 or NOT_ENTERED not in done.stderr:
            break
        time.sleep(0.5 * (turn + 1))
    if done.returncode != 0:
        raise LabError(f'docker exec {" ".join(arguments)[:300]}: exit code {done.returncode}\n{done.stdout[-1500:]}{done.stderr[-1500:]}'.rstrip())
    return done


def docker(*arguments: str, check: bool = True, timeout: float = 600, stdin: t.Any = None, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """The docker command of this machine."""
    return run(('docker',) + arguments, check=check, timeout=timeout, stdin=stdin, text=text)
