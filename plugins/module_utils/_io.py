# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading and writing files so that a crash, a full disk or another writer loses nothing."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.quickpull.registry.plugins.module_utils import _journal
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ChangedMeanwhileError, ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._state import State, escape_path

# No configuration file of an engine is anywhere near this; a device or a log at the path must not fill the memory.
MAX_BYTES = 8 * 1024 * 1024

_WAYS_OUT = {
    errno.ENOSPC: 'the file system is full; make room and run again',
    errno.EDQUOT: 'the disk quota is used up; make room and run again',
    errno.EROFS: 'the file system is read-only; remount it writable, or choose another path',
    errno.EACCES: 'permission denied; run with become: true',
    errno.EPERM: 'the operation is not permitted; run with become: true, and look for an immutable flag with lsattr',
    errno.EBUSY: 'it is a mount point of its own, which cannot be replaced atomically; mount its directory instead',
    errno.ELOOP: 'its symlinks go round in a circle; point the symlink at a file',
    errno.ENOTDIR: 'a part of the path is not a directory',
    errno.EISDIR: 'a directory is there; move it away, or choose another path',
}

# The attributes of a file that survive its replacement: the SELinux label and POSIX access lists.
_XATTRS = ('security.selinux', 'system.posix_acl_access')


@dataclass(frozen=True)
class FileId:
    """Tells whether a path still shows the same bytes as when it was read.

    ``ctime_ns`` catches what keeps size and mtime: it cannot be set by a program.
    """

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True)
class FileState:
    """A file as it was read.

    :ivar path: as given; ``target`` is the same with symlinks followed, and is what gets replaced.
    :ivar data: the bytes, or None when there is no file.
    """

    path: str
    target: str
    data: bytes | None = None
    file_id: FileId | None = None
    mode: int = 0
    uid: int = -1
    gid: int = -1

    @property
    def exists(self) -> bool:
        return self.data is not None


def explain(exc: OSError, path: str, doing: str) -> ConfigError:
    """The sentence for an operating system error while ``doing`` ("read", "write") something to ``path``."""
    way_out = _WAYS_OUT.get(exc.errno or 0) or (exc.strerror or str(exc))
    return ConfigError(f'Cannot {doing} {path}: {way_out}.', path=path)


def _file_id(info: os.stat_result) -> FileId:
    return FileId(info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def _check_kind(path: str, info: os.stat_result) -> None:
    if stat.S_ISDIR(info.st_mode):
        raise ConfigError(f'{path} is a directory, not a file; move it away, or choose another path.', path=path)
    if not stat.S_ISREG(info.st_mode):
        raise ConfigError(f'{path} is not a regular file; move it away, or choose another path.', path=path)


def read_file(path: str) -> FileState:
    """Read a file, following symlinks.

    :raises ConfigError: for a directory, a dangling symlink, a special file, or when it cannot be read.
    """
    target = os.path.realpath(path)
    try:
        # O_NONBLOCK: opening a FIFO that somebody left here must not hang.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        if os.path.islink(path):
            raise ConfigError(
                f'{path} is a symlink to {target}, which does not exist; create the target, or remove the symlink.', path=path
            ) from None
        return FileState(path=path, target=target)
    except OSError as exc:
        raise explain(exc, path, 'read') from exc
    info = os.fstat(fd)
    try:
        _check_kind(path, info)
        handle = os.fdopen(fd, 'rb')
    except BaseException:  # fdopen refuses a directory, and leaves the descriptor open
        os.close(fd)
        raise
    with handle:
        try:
            data = handle.read(MAX_BYTES + 1)
        except OSError as exc:
            raise explain(exc, path, 'read') from exc
    if len(data) > MAX_BYTES:
        raise ConfigError(f'{path} has more than {MAX_BYTES // 1024 // 1024} MiB; this is not a configuration file.', path=path)
    return FileState(path, target, data, _file_id(info), stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid)


def read_text(path: str) -> str | None:
    """The text of a UTF-8 file, None when it does not exist.

    :raises ConfigError: see :func:`read_file`; also when it is not UTF-8.
    """
    return text_of(read_file(path))


def text_of(file: FileState) -> str | None:
    """The text of a file as it was read, None for no file. Raises ConfigError when it is not UTF-8."""
    try:
        return None if file.data is None else file.data.decode('utf-8')
    except UnicodeDecodeError as exc:
        raise ConfigError(f'{file.path} is not UTF-8 (byte {exc.start}).', path=file.path) from exc


def same_content(before: FileState) -> bool:
    """Whether the path still shows what was read."""
    now = read_file(before.path)
    return now.target == before.target and now.file_id == before.file_id and now.data == before.data


def _temp_prefix(target: str) -> str:
    # Hidden and ending in `~`: no engine reads such a name (CRI-O reads hidden *.conf, so a suffix is needed too).
    return f'.{os.path.basename(target)}.quickpull-'


def make_temp(target: str) -> tuple[int, str]:
    """An empty 0600 file beside ``target`` as (descriptor, path); its name carries our process id."""
    return tempfile.mkstemp(prefix=f'{_temp_prefix(target)}{os.getpid()}-', suffix='~', dir=os.path.dirname(target))


def clean_temps(target: str) -> list[str]:
    """Remove temporary files beside ``target`` that a killed run left behind; returns their paths."""
    folder, prefix = os.path.dirname(target), _temp_prefix(target)
    removed = []
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    for name in names:
        if not (name.startswith(prefix) and name.endswith('~')):
            continue
        owner = name[len(prefix):].split('-', 1)[0]
        if owner.isdigit() and int(owner) != os.getpid() and os.path.exists(f'/proc/{owner}/cmdline'):
            continue
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(folder, name))
            removed.append(os.path.join(folder, name))
    return removed


def fsync_dir(folder: str) -> None:
    """Make a rename in ``folder`` survive a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as exc:  # some network and overlay file systems refuse this for directories
        if exc.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def _copy_xattrs(source: str, fd: int) -> None:
    for name in _XATTRS:
        try:
            value = os.getxattr(source, name)
        except OSError:
            continue
        try:
            if os.getxattr(fd, name) == value:
                continue
        except OSError:
            pass
        os.setxattr(fd, name, value)


def _dress(fd: int, like: FileState | None, default_mode: int) -> None:
    """Give the temporary file owner, mode and labels of the file it will replace."""
    if like is None or not like.exists:
        os.fchmod(fd, default_mode)
        return
    info = os.fstat(fd)
    if (info.st_uid, info.st_gid) != (like.uid, like.gid):
        os.fchown(fd, like.uid, like.gid)
    # After chown, which clears the setuid bits; before the access list, which rewrites the group bits.
    os.fchmod(fd, like.mode)
    _copy_xattrs(like.target, fd)


def as_own(before: FileState) -> FileState:
    """A file's state, for :func:`write_atomic`, as it becomes when a user without root writes it: nobody but root may give a file away."""
    if not before.exists or os.geteuid() == 0:
        return before
    groups = {os.getegid(), *os.getgroups()}
    return replace(before, uid=os.geteuid(), gid=before.gid if before.gid in groups else os.getegid())


def write_atomic(
    path: str,
    data: bytes,
    *,
    like: FileState | None = None,
    default_mode: int = 0o644,
    expect: FileState | None = None,
) -> None:
    """Replace a file, or create it, in one step: after a crash at any moment the old bytes or the new ones are there.

    Writes through a symlink to its target. The directory must exist.

    :param like: whose owner, mode and labels the new file gets; by default those of the file that is there.
    :param default_mode: of a file that is new.
    :param expect: what was read before; when the path shows something else by now, nothing is written.
    :raises ChangedMeanwhileError: see ``expect``.
    :raises ConfigError: when it cannot be written; the old file is intact and no temporary file is left.
    """
    before = like or expect or read_file(path)
    target = before.target if before.path == path else os.path.realpath(path)
    _note_write(target, data, before, default_mode)
    clean_temps(target)
    temp = ''
    try:
        fd, temp = make_temp(target)
        with os.fdopen(fd, 'wb') as handle:
            handle.write(data)
            handle.flush()
            _dress(handle.fileno(), before, default_mode)
            os.fsync(handle.fileno())
        if expect is not None and not same_content(expect):
            raise ChangedMeanwhileError(f'{path} was changed by somebody else while it was being edited; run again.', path=path)
        os.replace(temp, target)
        temp = ''
        fsync_dir(os.path.dirname(target))
    except OSError as exc:
        raise explain(exc, path, 'write') from exc
    finally:
        if temp:
            with contextlib.suppress(OSError):
                os.unlink(temp)


def _note_write(target: str, data: bytes | None, like: FileState, default_mode: int) -> None:
    """Have the former state kept, before anything changes. ``data`` is None where the mode alone does."""
    if like.exists:
        _journal.note(target, _journal.FILE, data, like.mode, like.uid, like.gid)
    else:
        _journal.note(target, _journal.FILE, data, default_mode)


def delete_file(path: str, *, expect: FileState | None = None) -> None:
    """Remove a file (behind a symlink: its target). That it is gone already is fine.

    :raises ChangedMeanwhileError: when the path shows something else than ``expect``.
    """
    if expect is not None and not same_content(expect):
        raise ChangedMeanwhileError(f'{path} was changed by somebody else while it was being edited; run again.', path=path)
    target = os.path.realpath(path)
    if os.path.lexists(target):
        _journal.note(target, _journal.NOTHING, None)
    try:
        os.unlink(target)
        fsync_dir(os.path.dirname(target))
    except FileNotFoundError:
        pass
    except OSError as exc:
        raise explain(exc, path, 'remove') from exc


def missing_dirs(folder: str) -> list[str]:
    """The directories that :func:`make_dirs` would make, outermost first."""
    missing: list[str] = []
    current = os.path.abspath(folder)
    while not os.path.isdir(current):
        missing.insert(0, current)
        current = os.path.dirname(current)
    return missing


def make_dirs(folder: str, mode: int = 0o755) -> list[str]:
    """Create a directory and its parents; returns those that were made, outermost first.

    The mode is set whatever the umask says.
    """
    made = []
    for one in missing_dirs(folder):
        _journal.note(os.path.realpath(one), _journal.DIRECTORY, None, mode)
        try:
            os.mkdir(one, mode)
            os.chmod(one, mode)
        except FileExistsError:
            if os.path.isdir(one):
                continue
            raise ConfigError(f'Cannot create the directory {one}: something else is there.', path=one) from None
        except OSError as exc:
            raise explain(exc, one, 'create the directory') from exc
        made.append(one)
    return made


def set_mode(path: str, mode: int) -> None:
    """Give a file or directory another mode. Raises ConfigError."""
    target = os.path.realpath(path)
    try:
        info = os.stat(target)
        kind = _journal.DIRECTORY if stat.S_ISDIR(info.st_mode) else _journal.FILE
        _journal.note(target, kind, None, mode, info.st_uid, info.st_gid)
        os.chmod(target, mode)
    except OSError as exc:
        raise explain(exc, path, 'change the mode of') from exc


def write_private(path: str, data: bytes, *, root: str) -> None:
    """Write a file of the state directory: 0600, in directories of 0700, atomically."""
    make_dirs(root, 0o700)
    make_dirs(os.path.dirname(path), 0o700)
    write_atomic(path, data, default_mode=0o600)


def backup(path: str, state: State, keep: int = 5) -> str | None:
    """Copy a file into the state directory (0600) and drop the oldest copies of the same file beyond ``keep``.

    :returns: the path of the copy, or None when there is no file to save.
    """
    current = read_file(path)
    if current.data is None:
        return None
    prefix = escape_path(path) + '.'
    now = time.time_ns()
    stamp = time.strftime('%Y%m%dT%H%M%S', time.gmtime(now // 10**9))
    copy = os.path.join(state.backups, f'{prefix}{stamp}.{now % 10**9:09d}')
    write_private(copy, current.data, root=state.root)
    copies = sorted(name for name in os.listdir(state.backups) if name.startswith(prefix) and not name.endswith('~'))
    for name in copies[:-keep]:
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(state.backups, name))
    return copy


@contextlib.contextmanager
def locked(state: State, timeout: float = 60.0, *, journal: bool = True) -> t.Iterator[None]:
    """Hold the host's lock: one run of the collection's modules writes at a time.

    The kernel drops the lock with the process that holds it, so a killed run blocks nobody.

    :param timeout: seconds to wait for another run.
    :param journal: keep what was there before each change meanwhile, so that registry_rollback can put it back.
    :raises ConfigError: when the lock cannot be had in time.
    """
    make_dirs(state.root, 0o700)
    try:
        fd = os.open(state.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise explain(exc, state.lock, 'open') from exc
    try:
        until = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as exc:
                if exc.errno not in (errno.EAGAIN, errno.EACCES, errno.EINTR):
                    raise explain(exc, state.lock, 'lock') from exc
                if time.monotonic() >= until:
                    raise ConfigError(
                        f'Another run of quickpull.registry has held {state.lock} for {timeout:g} s; wait until it ends and run again.',
                        path=state.lock,
                    ) from exc
            time.sleep(0.05)
        with _journal.kept(state) if journal else contextlib.nullcontext():
            yield
    finally:
        os.close(fd)
