# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that an apply does to a host and asks of it, in one place, so that tests can put another in its stead."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._docker_api import DockerApiError, DockerUnavailable, connect
from ansible_collections.quickpull.registry.plugins.module_utils._dropin import default_path, dropin_environ
from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import SOCKET_UNIT, UNIT, DockerDaemon, inspect
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text
from ansible_collections.quickpull.registry.plugins.module_utils._systemd import Result, systemctl

# dockerd's log lines: time="…" level=error msg="…" error="…"
_MESSAGE = re.compile(r'\b(?:msg|error)="((?:[^"\\]|\\.)*)"')

# What dockerd writes when it refuses a file: at a reload or its start when it cannot make sense of it (daemon/config, Reload and
# getConflictFreeConfiguration), at a reload when a value is wrong (cmd/dockerd/daemon.go, reloadConfig), at its start likewise.
_REFUSALS = (
    'unable to configure the docker daemon',
    'error reloading configuration',
    'error reconfiguring the daemon',
    'failed to start daemon',
    'error starting daemon',
)
_LOADED = 'reloaded configuration'

# What is read of the journal at most; a daemon at log level debug writes some hundred bytes for each request.
JOURNAL_BYTES = 8 << 20
JOURNAL_SECONDS = 15.0


class DockerHost:
    """The host that the code runs on.

    :param path: of daemon.json, None for the one that dockerd reads.
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = path

    def look(self, *, whole: bool = False) -> DockerDaemon:
        """Docker as it is now; ``whole`` with its containers."""
        return inspect(self._path, with_containers=whole, with_logins=False)

    def containers(self, daemon: DockerDaemon) -> dict[str, tuple[str, int]]:
        """Name and process of each running container, by id; empty when the daemon does not answer."""
        if not daemon.running or not daemon.api_base:
            return {}
        api = connect(daemon.api_base)
        try:
            return {one.id: (one.name, one.pid) for one in api.containers()}
        except (DockerUnavailable, DockerApiError):
            return {}
        finally:
            api.close()

    def dropin_environ(self, daemon: DockerDaemon) -> dict[str, str]:
        """The proxy variables that our systemd drop-in gives the daemon, empty text for those that it used to give."""
        return dropin_environ(default_path(daemon.unit), daemon)

    def hangup(self, daemon: DockerDaemon) -> str:
        """Make dockerd read its file again; returns what went wrong, or an empty text. That it took the file is not said."""
        if daemon.unit:
            result = systemctl('reload', daemon.unit)
            if result.rc == 0:
                return ''
            # A unit without ExecReload=, as snap's.
            result = systemctl('kill', '--kill-who=main', '--signal=HUP', daemon.unit)
            return '' if result.rc == 0 else _last_line(result)
        try:
            os.kill(daemon.main_pid, signal.SIGHUP)
        except OSError as exc:
            return f'Cannot signal dockerd (process {daemon.main_pid}): {exc.strerror}.'
        return ''

    def start(self, daemon: DockerDaemon, verb: str) -> str:
        """Queue ``start`` or ``restart``; returns what went wrong, or an empty text.

        A start limit that was hit (three starts a minute) fails the socket as well, so both are reset first.
        """
        unit = daemon.unit or UNIT
        for name in (unit, SOCKET_UNIT) if unit == UNIT else (unit,):
            systemctl('reset-failed', name)  # fails for a unit that has not failed
        result = systemctl('--no-block', verb, unit)
        return '' if result.rc == 0 else _last_line(result)

    def daemon_reload(self) -> None:
        """Let systemd read changed unit files."""
        systemctl('daemon-reload', timeout=90)

    def journal(self, daemon: DockerDaemon, since: float) -> list[str]:
        """The daemon's own lines since then (epoch seconds), oldest first, secrets masked."""
        unit = daemon.unit or UNIT
        # Not --unit: the log driver journald lets dockerd itself send what containers print (_TRANSPORT=journal with CONTAINER_ID,
        # daemon/logger/journald), and that is under its unit as well. What it has to say for itself goes to its stdout or stderr.
        matches = (f'_SYSTEMD_UNIT={unit}', '_TRANSPORT=stdout')
        text = _first_bytes(('journalctl', '--no-pager', '--quiet', f'--since=@{since:.6f}', '--output=cat', *matches))
        return [mask_text(line) for line in text.splitlines() if line.strip()]

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def _first_bytes(command: t.Sequence[str]) -> str:
    """What a command writes, up to :data:`JOURNAL_BYTES` and for :data:`JOURNAL_SECONDS` at most; empty where there is no such command."""
    environ = {**os.environ, 'LC_ALL': 'C'}
    try:
        process = subprocess.Popen(list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ)
    except OSError:
        return ''
    alarm = threading.Timer(JOURNAL_SECONDS, process.kill)
    alarm.start()
    try:
        data = process.stdout.read(JOURNAL_BYTES) if process.stdout else b''
    finally:
        alarm.cancel()
        process.kill()
        process.communicate()
    return data.decode('utf-8', 'replace')


def _last_line(result: Result) -> str:
    lines = (result.stderr or result.stdout).strip().splitlines()
    return mask_text(lines[-1]) if lines else f'systemctl ended with {result.rc}'


def message_of(line: str) -> str:
    """What a log line of dockerd says, without time and level."""
    found = _MESSAGE.findall(line)
    return ': '.join(part.replace('\\"', '"').replace('\\\\', '\\') for part in found) if found else line.strip()


def refusal_in(lines: t.Iterable[str]) -> str:
    """The daemon's own words why it refuses its file; empty when it says nothing of the kind."""
    for line in lines:
        if any(text in line.lower() for text in _REFUSALS):
            return message_of(line).rstrip('.') + '.'
    return ''


def reloaded_in(lines: t.Iterable[str]) -> bool:
    """Whether the daemon says that it has read its file again (at log level info, which may be off)."""
    return any(_LOADED in line.lower() for line in lines)
