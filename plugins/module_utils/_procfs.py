# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running processes as /proc shows them."""
from __future__ import annotations

import calendar
import os
import re
import time
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._root import below

_MAX_FILE = 4 * 1024 * 1024
_SYSTEMD_TIME = re.compile(r'(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(\.\d+)? UTC\Z')

#: Seconds by which two readings of one clock may differ without the clock having been set.
_SAME_CLOCK = 0.05


def _read(path: str) -> bytes:
    """Return a file's bytes, or nothing where it cannot be read (the process may be gone by now)."""
    try:
        with open(path, 'rb') as file:
            return file.read(_MAX_FILE)
    except OSError:
        return b''


def cmdline(pid: int, root: str = '/') -> t.Tuple[str, ...]:
    """Return the arguments of a process; empty when it is gone or a kernel thread."""
    data = _read(os.path.join(root, 'proc', str(pid), 'cmdline'))
    return tuple(os.fsdecode(part) for part in data.rstrip(b'\0').split(b'\0')) if data else ()


def environ(pid: int, root: str = '/') -> t.Dict[str, str]:
    """Return the environment that a process was started with; where a name comes twice, the first one counts, as for getenv(3)."""
    found: t.Dict[str, str] = {}
    for part in _read(os.path.join(root, 'proc', str(pid), 'environ')).split(b'\0'):
        name, sep, value = os.fsdecode(part).partition('=')
        if sep:
            found.setdefault(name, value)
    return found


def executable(pid: int, root: str = '/') -> t.Tuple[str, bool]:
    """Return the path of a process's program, and whether the file at that path is still the one that runs.

    The kernel appends `` (deleted)`` once the file was unlinked; where it was moved or mounted over, device and inode differ.
    An empty path: it cannot be read, and nothing is known.
    """
    link = os.path.join(root, 'proc', str(pid), 'exe')
    try:
        path = os.readlink(link)
    except OSError:
        return '', True
    if path.endswith(' (deleted)'):
        return path[:-len(' (deleted)')], False
    return path, same_file(link, below(root, path))


def same_file(one: str, other: str) -> bool:
    """Whether both paths lead to the same file; a path that leads nowhere is not the same as anything."""
    try:
        first, second = os.stat(one), os.stat(other)
    except OSError:
        return False
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)


def start_ticks(pid: int, root: str = '/') -> t.Optional[int]:
    """Return field 22 of /proc/PID/stat: the start in clock ticks since boot (proc(5)). The name in field 2 may hold anything."""
    fields = _read(os.path.join(root, 'proc', str(pid), 'stat')).rpartition(b')')[2].split()
    try:
        return int(fields[19])
    except (IndexError, ValueError):
        return None


def start_id(pid: int, root: str = '/') -> t.Optional[str]:
    """Return what no other start of a process on this host has: the boot's id and the start in ticks."""
    ticks = start_ticks(pid, root)
    boot = _read(os.path.join(root, 'proc/sys/kernel/random/boot_id')).decode('ascii', 'replace').strip()
    return None if ticks is None else f'{boot}:{ticks}:{pid}'


def started_at(
    ticks: int,
    systemd_says: str = '',
    *,
    now: t.Optional[float] = None,
    since_boot: t.Optional[float] = None,
    ticks_per_second: t.Optional[int] = None,
) -> float:
    """Return when a process started, in epoch seconds, never later than it really did.

    /proc counts the start in ticks (10 ms) since boot, rounded down, so the wall clock less the time since boot plus the ticks is up
    to one tick early. That is right by today's clock. File times were written by the clock of their day, and a clock gets set: so the
    wall-clock time that systemd noted at the start (``ExecMainStartTimestamp`` as ``Day YYYY-MM-DD HH:MM:SS.ffffff UTC``) is
    compared, and where the two differ the earlier one counts. For who asks "is the file older than the daemon?" too early is the
    safe side: a file is then taken for newer than it is, and is looked at instead of trusted. The kernel stamps files with a clock that lags by
    up to one tick as well, hence one more tick is taken off.

    ``/proc/uptime`` is not used: it is imitated in some containers (lxcfs), while the kernel's clock is not.
    """
    # The wall clock is read first: being interrupted between the two then errs towards too early.
    now = time.time() if now is None else now
    if since_boot is None:
        since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    per_second = ticks_per_second or os.sysconf('SC_CLK_TCK')
    by_kernel = now - since_boot + (ticks - 1) / per_second
    by_systemd = parse_systemd_time(systemd_says)
    if by_systemd is None or abs(by_systemd - by_kernel) <= _SAME_CLOCK:
        return by_kernel
    return min(by_kernel, by_systemd)


def parse_systemd_time(text: str) -> t.Optional[float]:
    """Return epoch seconds of ``Mon 2025-11-24 13:12:00.123456 UTC``. None for other zones: their names are ambiguous."""
    match = _SYSTEMD_TIME.search(text.strip())
    if match is None:
        return None
    parts = [int(part) for part in match.groups()[:6]]
    try:
        whole = calendar.timegm((parts[0], parts[1], parts[2], parts[3], parts[4], parts[5], 0, 0, 0))
    except (ValueError, OverflowError):
        return None
    return whole + float(match.group(7) or 0)


def pids_of(name: str, root: str = '/') -> t.List[t.Tuple[int, int]]:
    """Return ``(pid, uid)`` of the processes whose command is ``name`` (at most 15 characters, as the kernel keeps it)."""
    found = []
    try:
        entries = [entry for entry in os.listdir(os.path.join(root, 'proc')) if entry.isdigit()]
    except OSError:
        return []
    for entry in entries:
        folder = os.path.join(root, 'proc', entry)
        if _read(os.path.join(folder, 'comm')).strip() == name.encode():
            try:
                found.append((int(entry), os.stat(folder).st_uid))
            except OSError:
                continue
    return sorted(found)
