# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files: what survives a replacement, a crash, a full disk and another writer."""

from __future__ import annotations

import dataclasses
import errno
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _io
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ChangedMeanwhileError, ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._state import State, escape_path

COLLECTIONS = str(Path(_io.__file__).parents[5])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_owner_mode_and_symlink_survive(tmp_path: Path) -> None:
    target = tmp_path / 'real' / 'daemon.json'
    target.parent.mkdir()
    target.write_bytes(b'old')
    target.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(target, 12345, 12346)
    owner = target.stat()
    link = tmp_path / 'daemon.json'
    link.symlink_to('real/daemon.json')
    _io.write_atomic(str(link), b'new')
    info = target.stat()
    assert link.is_symlink()
    assert target.read_bytes() == b'new'
    assert (info.st_mode & 0o777, info.st_uid, info.st_gid) == (0o640, owner.st_uid, owner.st_gid)
    assert names(target.parent) == ['daemon.json']


def test_mode_of_a_new_file_is_not_the_umasks(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        _io.write_atomic(str(tmp_path / 'a'), b'')
        _io.write_atomic(str(tmp_path / 'b'), b'', default_mode=0o600)
    finally:
        os.umask(old)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in 'ab'] == [0o644, 0o600]


def test_labels_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'daemon.json'
    path.write_bytes(b'')
    labels: dict[tuple[bool, str], bytes] = {(True, 'security.selinux'): b'system_u:object_r:container_config_t:s0'}

    def getxattr(where: str | int, name: str) -> bytes:
        try:
            return labels[isinstance(where, str), name]
        except KeyError:
            raise OSError(errno.ENODATA, 'No data') from None

    monkeypatch.setattr(os, 'getxattr', getxattr)
    monkeypatch.setattr(os, 'setxattr', lambda where, name, value: labels.update({(isinstance(where, str), name): value}))
    _io.write_atomic(str(path), b'new')
    assert labels[False, 'security.selinux'] == b'system_u:object_r:container_config_t:s0'


def make_directory(path: Path) -> None:
    path.mkdir()


def make_dangling(path: Path) -> None:
    path.symlink_to('nowhere')


def make_loop(path: Path) -> None:
    path.symlink_to(path.name)


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_huge(path: Path) -> None:
    with path.open('wb') as handle:
        handle.truncate(_io.MAX_BYTES + 1)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (make_directory, 'is a directory'),
        (make_dangling, 'is a symlink to .*nowhere, which does not exist'),
        (make_loop, 'symlinks go round in a circle'),
        (make_fifo, 'is not a regular file'),
        (make_huge, 'more than 8 MiB'),
    ],
)
def test_what_is_no_file_is_refused(tmp_path: Path, make: object, message: str) -> None:
    path = tmp_path / 'daemon.json'
    make(path)  # type: ignore[operator]
    with pytest.raises(ConfigError, match=message):
        _io.read_file(str(path))
    with pytest.raises(ConfigError, match=message):
        _io.write_atomic(str(path), b'x')
    assert names(tmp_path) == ['daemon.json']


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EBUSY])
@pytest.mark.parametrize('call', ['fsync', 'replace', 'fchmod', 'mkstemp'])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    path = tmp_path / 'daemon.json'
    path.write_bytes(b'old')

    def fail(*_args: object, **_kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(_io.tempfile if call == 'mkstemp' else os, call, fail)
    with pytest.raises(ConfigError, match=f'Cannot write {path}: '):
        _io.write_atomic(str(path), b'new')
    assert path.read_bytes() == b'old'
    assert names(tmp_path) == ['daemon.json']


def test_another_writer_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / 'daemon.json'
    path.write_bytes(b'old')
    seen = _io.read_file(str(path))
    path.write_bytes(b'2nd')
    os.utime(path, ns=(0, seen.file_id.mtime_ns if seen.file_id else 0))
    with pytest.raises(ChangedMeanwhileError):
        _io.write_atomic(str(path), b'new', expect=seen)
    with pytest.raises(ChangedMeanwhileError):
        _io.delete_file(str(path), expect=seen)
    assert path.read_bytes() == b'2nd'
    assert names(tmp_path) == ['daemon.json']


def test_a_file_that_appeared_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / 'daemon.json'
    seen = _io.read_file(str(path))
    path.write_bytes(b'')
    with pytest.raises(ChangedMeanwhileError):
        _io.write_atomic(str(path), b'new', expect=seen)


def test_temporary_files_of_dead_runs_go_and_those_of_live_ones_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen(['true'])
    dead.wait()
    path = tmp_path / 'daemon.json'
    for name in (f'.daemon.json.quickpull-{dead.pid}-x~', '.daemon.json.quickpull-1-x~', '.other.json.quickpull-9-x~', '.daemon.json.quickpull.bak'):
        (tmp_path / name).write_bytes(b'')
    _io.write_atomic(str(path), b'new')
    assert names(tmp_path) == ['.daemon.json.quickpull-1-x~', '.daemon.json.quickpull.bak', '.other.json.quickpull-9-x~', 'daemon.json']


WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.quickpull.registry.plugins.module_utils._io import write_atomic
print('ready', flush=True)
while True:
    for data in (b'a' * 100_000, b'b' * 70_000):
        write_atomic(sys.argv[2], data)
"""


def test_kill_9_at_any_moment_leaves_the_old_bytes_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / 'daemon.json'
    whole = {b'a' * 100_000, b'b' * 70_000}
    for dummy in range(6):
        with subprocess.Popen([sys.executable, '-c', WRITER, COLLECTIONS, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b'ready\n'
            time.sleep(random.uniform(0.001, 0.02))
            writer.send_signal(signal.SIGKILL)
        assert not path.exists() or path.read_bytes() in whole
    _io.write_atomic(str(path), b'last')
    assert names(tmp_path) == ['daemon.json']


def test_backups_are_private_and_few(tmp_path: Path) -> None:
    state = State(str(tmp_path / 'state'))
    path, other = tmp_path / 'daemon.json', tmp_path / 'other.json'
    other.write_bytes(b'other')
    path.write_bytes(b'secret')
    assert _io.backup(str(tmp_path / 'missing'), state) is None
    kept = _io.backup(str(other), state)
    made = [_io.backup(str(path), state, keep=3) for dummy in range(5)]
    assert sorted(os.listdir(state.backups)) == sorted(os.path.basename(one) for one in [kept, *made[2:]] if one)
    copy = Path(str(made[-1]))
    assert copy.read_bytes() == b'secret'
    assert copy.stat().st_mode & 0o777 == 0o600
    assert copy.parent.stat().st_mode & 0o777 == 0o700
    assert Path(state.root).stat().st_mode & 0o777 == 0o700


def _hold(root: str, ready: object, done: object) -> None:
    with _io.locked(State(root)):
        ready.set()  # type: ignore[attr-defined]
        done.wait(10)  # type: ignore[attr-defined]


def test_one_run_at_a_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context('fork')
    ready, done = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(str(tmp_path / 'state'), ready, done))
    holder.start()
    assert ready.wait(10)
    state = State(str(tmp_path / 'state'))
    with pytest.raises(ConfigError, match='Another run'), _io.locked(state, timeout=0.05):
        pass
    threading.Timer(0.05, done.set).start()
    with _io.locked(state, timeout=10):
        pass
    holder.join(10)


def test_a_killed_run_holds_no_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context('fork')
    ready, done = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(str(tmp_path / 'state'), ready, done))
    holder.start()
    assert ready.wait(10)
    holder.kill()
    holder.join(10)
    with _io.locked(State(str(tmp_path / 'state')), timeout=0.5):
        pass


def test_directories_that_were_made_are_told(tmp_path: Path) -> None:
    folder = tmp_path / 'a' / 'b'
    assert _io.missing_dirs(str(folder)) == [str(tmp_path / 'a'), str(folder)]
    assert _io.make_dirs(str(folder), 0o711) == [str(tmp_path / 'a'), str(folder)]
    assert folder.stat().st_mode & 0o777 == 0o711
    assert _io.make_dirs(str(folder)) == []
    (tmp_path / 'file').write_bytes(b'')
    with pytest.raises(ConfigError):
        _io.make_dirs(str(tmp_path / 'file' / 'x'))


def test_names_of_records_are_told_apart_and_fit(tmp_path: Path) -> None:
    link = tmp_path / 'link.json'
    link.symlink_to('daemon.json')
    assert escape_path(str(link)) == escape_path(str(tmp_path / 'daemon.json'))
    assert escape_path('/etc/docker/daemon.json') == '%2Fetc%2Fdocker%2Fdaemon.json'
    assert escape_path('/a/b') != escape_path('/a%2Fb')
    long = [escape_path(f'/{"x" * 300}/{one}/{"y" * 200}') for one in 'ab']
    assert len(set(long)) == 2
    assert max(map(len, long)) < 200


def test_a_user_writes_what_root_left_as_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / 'a'
    file.write_text('x')
    before = dataclasses.replace(_io.read_file(str(file)), uid=0, gid=0, mode=0o640)
    monkeypatch.setattr(os, 'geteuid', lambda: 1234)
    monkeypatch.setattr(os, 'getegid', lambda: 1235)
    monkeypatch.setattr(os, 'getgroups', lambda: [7])
    assert _io.as_own(before) == dataclasses.replace(before, uid=1234, gid=1235)
    assert _io.as_own(dataclasses.replace(before, gid=7)).gid == 7
    assert _io.as_own(_io.read_file(str(tmp_path / 'none'))).exists is False
    monkeypatch.setattr(os, 'geteuid', lambda: 0)
    assert _io.as_own(before) == before
