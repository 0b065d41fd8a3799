# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Doing work in a user's home as that user, and keeping root's hands off what users control.

A file in a home is in its owner's hands: it can be a link to anything, and be swapped between two looks at it. Work there is done by a
child process that is that user and nobody else, so that what the user could not do, the work cannot do either.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import select
import signal
import socket
import stat
import tempfile
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils import _journal
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError

MAX_ANSWER = 16 * 1024 * 1024
# Enough for some helpers that take all of their time.
SECONDS = 300.0
_MAX_LINKS = 40
_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'


@dataclass(frozen=True)
class Account:
    """A user of this host."""

    name: str
    uid: int
    gid: int
    home: str

    def environ(self) -> dict[str, str]:
        """What a program of this user needs, and nothing of root's."""
        environ = {'HOME': self.home, 'USER': self.name, 'LOGNAME': self.name, 'PATH': os.environ.get('PATH') or _PATH, 'LC_ALL': 'C.UTF-8'}
        runtime = f'/run/user/{self.uid}'
        if os.path.isdir(runtime):
            environ['XDG_RUNTIME_DIR'] = runtime
        return environ


def account(name: str | None) -> Account:
    """The user of this name or number; without one, whoever this process is.

    :raises ConfigError: when there is no such user.
    """
    try:
        if name is None:
            found = pwd.getpwuid(os.geteuid())
        else:
            found = pwd.getpwuid(int(name)) if name.isascii() and name.isdigit() else pwd.getpwnam(name)
    except (KeyError, OverflowError, ValueError):
        raise ConfigError(f'user: there is no user {name if name is not None else os.geteuid()} on this host.', key='user') from None
    return Account(found.pw_name, found.pw_uid, found.pw_gid, found.pw_dir)


def missing_users(names: t.Iterable[str]) -> list[str]:
    """Those who are no users of this host."""
    missing = []
    for name in names:
        try:
            account(str(name))
        except ConfigError:
            missing.append(str(name))
    return missing


def run_as(who: Account, work: t.Callable[[], t.Any]) -> t.Any:
    """The result of ``work``, done by a process of this user. It has to be what JSON can say.

    :raises ConfigError: raised by the work, or when this process may not become that user.
    """
    if who.uid == os.geteuid():
        return work()
    if os.geteuid() != 0:
        raise ConfigError(f'user: only root can work in the home of {who.name}; run with become: true.', key='user')
    reading, writing = os.pipe()
    # The journal is root's: the child has what it is about to change written down by this process, and waits for that.
    ours, theirs = socket.socketpair() if _journal.is_kept() else (None, None)
    child = os.fork()
    if child == 0:
        if ours and theirs:
            ours.close()
            _have_noted(theirs)
        _child(who, work, reading, writing)
    os.close(writing)
    if theirs:
        theirs.close()
    try:
        answer = _read(reading, time.monotonic() + SECONDS, ours, who.uid)
    except TimeoutError:
        raise ConfigError(f'The process that worked as {who.name} did not end within {SECONDS:g} s and was stopped.') from None
    finally:
        if ours:
            ours.close()
        # The user may send it signals, and could keep it, and so root, for ever.
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    return _result(who, answer, status)


def _have_noted(to: socket.socket) -> None:
    """In the child: changes are told through a socket, a line each, and each is answered by a line."""
    to.settimeout(SECONDS)
    stream = to.makefile('rb')

    def ask(line: bytes) -> bytes:
        to.sendall(line + b'\n')
        return stream.readline()

    _journal.tell_to(ask)


def _read(descriptor: int, until: float, notes: socket.socket | None = None, uid: int = -1) -> bytes:
    """All that comes until the other end is closed; what comes as ``notes`` meanwhile is written into the journal. Raises TimeoutError."""
    answer, told = b'', b''
    with os.fdopen(descriptor, 'rb', buffering=0) as stream:
        while len(answer) < MAX_ANSWER:
            waiting = [stream.fileno(), notes.fileno()] if notes else [stream.fileno()]
            ready = select.select(waiting, [], [], max(0.0, until - time.monotonic()))[0]
            if not ready:
                raise TimeoutError
            if notes and notes.fileno() in ready:
                part = notes.recv(65536)
                told += part
                if not part or len(told) > 4 * MAX_ANSWER:
                    notes = None
                    continue
                while b'\n' in told:
                    line, _newline, told = told.partition(b'\n')
                    notes.sendall(_journal.answer(line, uid))
            if stream.fileno() not in ready:
                continue
            data = stream.read(65536)
            if not data:
                break
            answer += data
    return answer


def _result(who: Account, answer: bytes, status: int) -> t.Any:
    try:
        told = json.loads(answer.decode('utf-8'))
    except ValueError:
        told = {}
    if 'result' in told:
        return told['result']
    if 'error' in told:
        raise ConfigError(told['error'], path=told.get('path', ''), key=told.get('key', ''))
    raise ConfigError(f'The process that worked as {who.name} ended without a result ({told.get("crash") or f"wait status {status}"}).')


def _child(who: Account, work: t.Callable[[], t.Any], reading: int, writing: int) -> t.NoReturn:
    """Never returns. Drops to the user before anything is opened; the kernel then keeps the user from tracing this process."""
    code = 1
    try:
        os.close(reading)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        os.chdir('/')
        os.umask(0o077)
        os.setgroups(os.getgrouplist(who.name, who.gid))
        os.setresgid(who.gid, who.gid, who.gid)
        os.setresuid(who.uid, who.uid, who.uid)
        # Root's own is remembered from before, and may be closed to this user.
        os.environ.pop('TMPDIR', None)
        tempfile.tempdir = None
        try:
            told: dict[str, t.Any] = {'result': work()}
        except ConfigError as exc:
            told = {'error': str(exc), 'path': exc.path, 'key': exc.key}
        _write(writing, json.dumps(told).encode())
        code = 0
    except BaseException as exc:  # noqa: BLE001
        # Of what nobody foresaw only the kind is told: its words could hold a secret.
        _write(writing, json.dumps({'crash': type(exc).__name__}).encode())
    finally:
        os._exit(code)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def check_hands(path: str, uid: int = 0) -> None:
    """Make sure that nobody but root, and the user ``uid``, can decide what a path leads to.

    :raises ConfigError: naming who else can, and the way out.
    """
    # Not normalised: behind a link, `..` leads elsewhere than the text suggests.
    todo = [part for part in os.path.join(os.getcwd(), path).split('/') if part not in ('', '.')]
    current, links, shared = '/', 0, False
    while todo:
        part = todo.pop(0)
        if part == '..':
            current = os.path.dirname(current)
            continue
        current = os.path.join(current, part)
        try:
            info = os.lstat(current)
        except FileNotFoundError:
            return
        except OSError as exc:
            raise ConfigError(f'Cannot look at {current}: {(exc.strerror or str(exc)).lower()}.', path=path) from None
        if stat.S_ISREG(info.st_mode) and not todo and not shared:
            return  # whoever owns the file: its place in the directory is not theirs to change
        if info.st_uid not in (0, uid):
            raise _foreign(path, current, f'belongs to {_name_of(info.st_uid)}', _name_of(info.st_uid))
        if stat.S_ISLNK(info.st_mode):
            links += 1
            if links > _MAX_LINKS:
                raise ConfigError(f'{path}: its symlinks go round in a circle; point the symlink at a file.', path=path)
            target = os.readlink(current)
            current = '/' if target.startswith('/') else os.path.dirname(current)
            todo = [one for one in target.split('/') if one and one != '.'] + todo
            continue
        # Root's group has no members but root; any other one may have.
        open_to_others = bool(info.st_mode & stat.S_IWOTH or (info.st_mode & stat.S_IWGRP and info.st_gid != 0))
        shared = open_to_others and stat.S_ISDIR(info.st_mode) and bool(info.st_mode & stat.S_ISVTX)
        if open_to_others and not shared:
            raise _foreign(path, current, 'can be written by others', 'its owner')


def _foreign(path: str, what: str, why: str, who: str) -> ConfigError:
    return ConfigError(
        f'{path} is not touched by root, because {what} {why}, who could lead root anywhere with a link. '
        f'Say user: {who}, so that it is done as that user, or take it out of their hands (chown, chmod).',
        path=path,
        key='config_path',
    )


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
