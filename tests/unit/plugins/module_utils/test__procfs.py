# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _procfs


def process(root: Path, pid: int, **files: bytes) -> str:
    folder = root / 'proc' / str(pid)
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return str(root)


def test_cmdline_and_environ(tmp_path: Path) -> None:
    root = process(tmp_path, 7, cmdline=b'dockerd\0-H\0\0', environ=b'A=1\0A=2\0B=x=y\0broken\0')
    assert _procfs.cmdline(7, root) == ('dockerd', '-H')
    assert _procfs.environ(7, root) == {'A': '1', 'B': 'x=y'}
    assert _procfs.cmdline(8, root) == ()
    assert _procfs.environ(8, root) == {}


def test_a_name_with_brackets_does_not_shift_the_start(tmp_path: Path) -> None:
    root = process(tmp_path, 7, stat=b'7 (a) b (c)) S ' + b' '.join(str(number).encode() for number in range(4, 40)))
    assert _procfs.start_ticks(7, root) == 22
    assert _procfs.start_ticks(8, root) is None
    assert _procfs.start_id(8, root) is None


def test_start_id_is_of_boot_and_process(tmp_path: Path) -> None:
    root = process(tmp_path, 7, stat=b'7 (dockerd) S ' + b' '.join(str(number).encode() for number in range(4, 40)))
    (tmp_path / 'proc/sys/kernel/random').mkdir(parents=True)
    (tmp_path / 'proc/sys/kernel/random/boot_id').write_text('abc-def\n')
    assert _procfs.start_id(7, root) == 'abc-def:22:7'


def test_executable_moved_replaced_or_gone(tmp_path: Path) -> None:
    program = tmp_path / 'usr/sbin/dockerd'
    program.parent.mkdir(parents=True)
    program.write_text('one')
    root = process(tmp_path, 7)
    link = tmp_path / 'proc/7/exe'
    assert _procfs.executable(7, root) == ('', True)
    link.symlink_to(program)
    assert _procfs.executable(7, root)[0] == str(program)
    link.unlink()
    link.symlink_to('/usr/sbin/dockerd (deleted)')
    assert _procfs.executable(7, root) == ('/usr/sbin/dockerd', False)


def test_our_own_process() -> None:
    pid = os.getpid()
    path, on_disk = _procfs.executable(pid)
    assert (path, on_disk) == (os.path.realpath(sys.executable), True)
    assert _procfs.cmdline(pid)


def test_a_real_start_is_bracketed() -> None:
    before = time.time()
    child = subprocess.Popen(['sleep', '60'])
    after = time.time()
    try:
        ticks = _procfs.start_ticks(child.pid)
        assert ticks is not None
        assert before - 0.03 <= _procfs.started_at(ticks) <= after
    finally:
        child.kill()
        child.wait()


TIMES: list[tuple[str, float | None]] = [
    ('Mon 2025-11-24 13:12:00.250000 UTC', 1763989920.25),
    ('Mon 2025-11-24 13:12:00 UTC', 1763989920.0),
    ('Mon 2025-11-24 13:12:00 CET', None),
    ('n/a', None),
    ('', None),
]


@pytest.mark.parametrize('text, seconds', TIMES)
def test_parse_systemd_time(text: str, seconds: float | None) -> None:
    assert _procfs.parse_systemd_time(text) == seconds


NOW = 1763990000.0
UPTIME = 1000.0
STARTS: list[tuple[str, str, float]] = [
    ('same clock', 'Mon 2025-11-24 13:12:00.003000 UTC', 1763989919.99),
    ('clock set forward since', 'Mon 2025-11-24 12:12:00.000000 UTC', 1763986320.0),
    ('clock set back since', 'Mon 2025-11-24 14:12:00.000000 UTC', 1763989919.99),
    ('systemd tells no time', '', 1763989919.99),
]


@pytest.mark.parametrize('text, expected', [row[1:] for row in STARTS], ids=[row[0] for row in STARTS])
def test_the_earlier_of_two_clocks_counts(text: str, expected: float) -> None:
    assert _procfs.started_at(92000, text, now=NOW, since_boot=UPTIME, ticks_per_second=100) == pytest.approx(expected, abs=1e-6)


@given(start=st.floats(0, 1e6), age=st.floats(0, 1e6), boot=st.floats(1e9, 2e9), lag=st.floats(0, 0.01))
def test_a_file_written_after_the_start_is_never_older(start: float, age: float, boot: float, lag: float) -> None:
    """The kernel's file times lag by up to a tick, and its start times are rounded down to one."""
    ticks = int(start * 100)
    ctime = boot + start - lag
    found = _procfs.started_at(ticks, now=boot + start + age, since_boot=start + age, ticks_per_second=100)
    assert found <= ctime + 1e-5
    assert found >= boot + start - 0.0201


def test_pids_of_a_name(tmp_path: Path) -> None:
    root = process(tmp_path, 7, comm=b'dockerd\n')
    process(tmp_path, 8, comm=b'bash\n')
    (tmp_path / 'proc/self').mkdir()
    assert _procfs.pids_of('dockerd', root) == [(7, os.getuid())]
    assert _procfs.pids_of('dockerd', str(tmp_path / 'nowhere')) == []


def test_same_file(tmp_path: Path) -> None:
    one = tmp_path / 'one'
    one.write_text('')
    other: t.Any = tmp_path / 'other'
    os.link(one, other)
    assert _procfs.same_file(str(one), str(other))
    assert not _procfs.same_file(str(one), str(tmp_path / 'none'))
