# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens pages in Debian's Chromium, without a window, and tells what was seen there.

playwright-core and axe-core come from npm, in the versions of package-lock.json, into ``.cache/browser``; Node as tests/worker has it. Chromium is the
machine's own, or is installed by apt where root runs the tests.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import shutil
import subprocess
import typing as t
from pathlib import Path

from worker.runtime import node

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
INSTALLED = ROOT / '.cache' / 'browser'
SHOTS = ROOT / '.cache' / 'page'
NAMES = ('chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome')
# Without a font that has Chinese letters the screenshots show boxes.
PACKAGES = ('chromium', 'fonts-noto-cjk')


class Missing(Exception):
    """There is no browser on this machine, nor a way to have one: why, in a sentence."""


@dataclasses.dataclass(frozen=True)
class Visit:
    """A page that is opened. ``steps``: ``('click', selector)``, ``('fill', selector, text)``, ``('press', selector, key)``, ``('ask', expression)``."""

    page: Path
    width: int = 1280
    theme: str = 'light'
    locale: str = 'en-US'
    script: bool = True
    steps: t.Sequence[tuple[str, ...]] = ()
    axe: bool = False
    screenshot: str = ''  # the name of a PNG in SHOTS
    full: bool = True


@dataclasses.dataclass(frozen=True)
class Seen:
    """What was seen on a visit. ``opened_ms``: from the call to the second frame after everything was drawn."""

    console: list[str]
    errors: list[str]
    requests: list[str]
    answers: list[t.Any]
    axe: list[dict[str, t.Any]]
    opened_ms: float
    axe_passes: int = 0


def chromium() -> str:
    """The program, installed if need be; apt is never allowed to remove anything.

    :raises Missing: when there is none.
    """
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found:
        return found
    if os.geteuid() != 0 or not shutil.which('apt-get'):
        raise Missing('There is no Chromium on this machine, and only root on Debian or Ubuntu can have it installed.')
    install = ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', '--no-remove', *PACKAGES]
    env = {**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'}
    for command in (install, ['apt-get', 'update', '-qq'], install):
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        found = shutil.which('chromium')
        if found:
            return found
    raise Missing(f'apt-get could not install Chromium: {done.stderr.strip()[-300:]}')


def install() -> str:
    """Node, with what drives the browser installed. Several test processes may want this at once."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    with (INSTALLED / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        program, npm = node()
        wanted = (HERE / 'package-lock.json').read_bytes()
        stamp = INSTALLED / 'installed.json'
        if not stamp.exists() or stamp.read_bytes() != wanted:
            for name in ('package.json', 'package-lock.json'):
                shutil.copy(HERE / name, INSTALLED / name)
            subprocess.run([*npm, 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], cwd=INSTALLED, check=True)
            stamp.write_bytes(wanted)
    return program


def look(*visits: Visit) -> list[Seen]:
    """Visit pages, one after the other, each with a storage of its own."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    asked = [
        {**dataclasses.asdict(visit), 'page': str(visit.page), 'screenshot': visit.screenshot and str(SHOTS / f'{visit.screenshot}.png')} for visit in visits
    ]
    job = SHOTS / f'job-{os.getpid()}.json'
    job.write_text(json.dumps({'installed': str(INSTALLED), 'chromium': chromium(), 'visits': asked}), encoding='utf-8')
    try:
        done = subprocess.run([install(), str(HERE / 'drive.mjs'), str(job)], capture_output=True, text=True, timeout=300, check=False)
    finally:
        job.unlink()
    if done.returncode != 0:
        raise AssertionError(f'{done.stdout[-500:]}\n{done.stderr[-3000:]}')
    return [Seen(**one) for one in json.loads(done.stdout)]
