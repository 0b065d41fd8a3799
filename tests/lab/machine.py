# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab needs of this machine, and how it is left as it was found: packages, a Docker, kernel settings."""
from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

from lab.config import LabError
from lab.process import docker, run, say

# Shared by all labs of this machine; gone after a reboot, as are the things it remembers.
RUN_DIR = Path('/run/quickpull-lab') if os.geteuid() == 0 else Path(tempfile.gettempdir()) / f'quickpull-lab-{os.geteuid()}'
DOCKERD = RUN_DIR / 'dockerd.json'
SYSCTLS = RUN_DIR / 'sysctls.json'

NEEDED = {'mmdebstrap': 'mmdebstrap', 'zstd': 'zstd', 'ssh': 'openssh-client', 'openssl': 'openssl'}    # command -> Debian package

# systemd and dockerd in the hosts raise machine-wide limits. These directories are compared and put back; what counts or names things
# by itself is left alone.
KERNEL_SETTINGS = ('fs', 'kernel', 'vm')
VOLATILE = ('kernel/random/', 'kernel/ns_last_pid', 'fs/dentry-state', 'fs/file-nr', 'fs/inode-', 'fs/aio-nr', 'kernel/pty/nr', 'fs/quota/', 'kernel/tainted',
            'kernel/hostname', 'kernel/domainname', 'kernel/sched_domain', 'vm/drop_caches', 'vm/compact_memory', 'vm/stat_refresh', 'fs/binfmt_misc/')


@contextlib.contextmanager
def in_use() -> t.Iterator[None]:
    """While a lab comes up, no other lab's end stops Docker."""
    RUN_DIR.mkdir(parents=True, exist_ok=True)
    with (RUN_DIR / 'lock').open('w') as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def alone() -> t.Iterator[bool]:
    """Whether no lab is coming up now, nor will while this is held."""
    RUN_DIR.mkdir(parents=True, exist_ok=True)
    with (RUN_DIR / 'lock').open('w') as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def install_missing(source: str) -> None:
    """apt-get what is not here; apt is never allowed to remove anything."""
    commands = NEEDED if source == 'mmdebstrap' else {name: NEEDED[name] for name in ('ssh', 'openssl')}
    packages = sorted(package for command, package in commands.items() if not shutil.which(command))
    if docker_answers() is None and not shutil.which('dockerd'):
        packages.append('docker.io')
        if not shutil.which('docker'):
            packages.append('docker-cli' if _apt_knows('docker-cli') else 'docker.io')
    if not packages:
        return
    wanted = ' '.join(sorted(set(packages)))
    if os.geteuid() != 0 or not shutil.which('apt-get'):
        raise LabError(f'The lab needs {wanted}. Install that, or run as root on Debian or Ubuntu.')
    say(f'installing {wanted}')
    install = ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', '--no-remove', *sorted(set(packages))]
    env = {**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'}
    if run(install, check=False, env=env).returncode != 0:
        run(['apt-get', 'update', '-qq'], env=env)
        run(install, env=env)


def _apt_knows(package: str) -> bool:
    done = run(['apt-cache', 'policy', package], check=False)
    return 'Candidate:' in done.stdout and 'Candidate: (none)' not in done.stdout


def docker_answers() -> str | None:
    """Version of the Docker that answers on this machine, None when there is none."""
    if not shutil.which('docker'):
        return None
    done = docker('version', '--format', '{{.Server.Version}}', check=False, timeout=20)
    return done.stdout.strip() if done.returncode == 0 and done.stdout.strip() else None


def ensure_docker() -> str:
    """The version of a working Docker; starts one when none answers. A Docker that works is used as it is."""
    version = docker_answers()
    if version:
        return version
    if os.geteuid() != 0 or not shutil.which('dockerd'):
        raise LabError('No Docker answers on this machine (docker version), and the lab may not start one: start it, or run as root.')
    if Path('/run/systemd/system').exists() and run(['systemctl', 'cat', 'docker.service'], check=False).returncode == 0:
        return _start_unit()
    log = RUN_DIR / 'dockerd.log'
    say('starting dockerd')
    with log.open('ab') as out:
        # Nothing of the machine's own network is touched: the lab's bridge has no way out, so it needs neither NAT nor forwarding.
        process = subprocess.Popen(['dockerd', '--iptables=false', '--ip6tables=false', '--ip-forward=false', '--ip-masq=false', '--bridge=none'],
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    DOCKERD.write_text(json.dumps({'pid': process.pid, 'start': _start_ticks(process.pid)}))
    for dummy in range(150):
        time.sleep(0.2)
        version = docker_answers()
        if version:
            return version
        if process.poll() is not None:
            break
    raise LabError(f'dockerd did not start; its log is {log}:\n' + log.read_text(errors='replace')[-2000:])


def _start_unit() -> str:
    say('starting docker.service')
    run(['systemctl', 'start', 'docker.service'])
    DOCKERD.write_text(json.dumps({'unit': 'docker.service'}))
    version = docker_answers()
    if not version:
        raise LabError('docker.service was started and does not answer: journalctl -u docker')
    return version


def stop_docker() -> bool:
    """Stop the dockerd that a lab started, unless somebody's containers are on it. Returns whether it was stopped."""
    try:
        record = json.loads(DOCKERD.read_text())
    except (OSError, ValueError):
        return False
    if 'pid' in record and _start_ticks(record['pid']) != record['start']:
        DOCKERD.unlink()
        return False
    if docker('ps', '-aq', check=False).stdout.strip():
        say('dockerd stays: there are other containers on it')
        return False
    if 'unit' in record:
        run(['systemctl', 'stop', 'docker.socket', 'docker.service'], check=False)
        DOCKERD.unlink()
        return True
    os.kill(record['pid'], signal.SIGTERM)
    for dummy in range(100):
        if _start_ticks(record['pid']) != record['start']:
            break
        time.sleep(0.1)
    DOCKERD.unlink()
    return True


def _start_ticks(pid: int) -> str | None:
    """Start time of a process, which tells it from a later one with the same number; None for none (a zombie is none)."""
    try:
        fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    except OSError:
        return None
    return None if fields[0] == 'Z' else fields[19]


def _settings() -> t.Iterator[Path]:
    for top in KERNEL_SETTINGS:
        for folder, dummy, names in os.walk(f'/proc/sys/{top}'):
            for name in names:
                path = Path(folder) / name
                if not str(path)[len('/proc/sys/'):].startswith(VOLATILE) and path.stat().st_mode & 0o200:
                    yield path


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return None


def raise_limits() -> None:
    """Remember the kernel's settings, then allow as many inotify instances as many systemd hosts need."""
    limit = Path('/proc/sys/fs/inotify/max_user_instances')
    if os.geteuid() != 0:
        if int(limit.read_text()) < 512:
            say(f'{limit} is {limit.read_text().strip()}: if hosts die at start, raise it to 2048')
        return
    if not SYSCTLS.exists():
        SYSCTLS.write_text(json.dumps({str(path): value for path in _settings() if (value := _read(path)) is not None}))
    if int(limit.read_text()) < 2048:
        limit.write_text('2048')


def restore_limits() -> list[str]:
    """Put back the kernel settings that differ from what was remembered; returns their names."""
    try:
        remembered: dict[str, str] = json.loads(SYSCTLS.read_text())
    except (OSError, ValueError):
        return []
    restored = []
    for name, value in remembered.items():
        if _read(Path(name)) != value:
            try:
                Path(name).write_text(value)
                restored.append(name)
            except OSError as exc:
                say(f'{name} could not be put back to {value.strip()}: {exc.strerror}')
    SYSCTLS.unlink()
    return restored


def cgroups() -> str:
    """'v2' or 'v1': what the hosts will find."""
    return 'v2' if Path('/sys/fs/cgroup/cgroup.controllers').exists() else 'v1'
