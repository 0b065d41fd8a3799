# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ctypes
import os
import signal
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _as_user
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError

ME = os.geteuid()
root_only = pytest.mark.skipif(ME != 0, reason='only root can become somebody else')


def test_the_process_itself_does_its_own_work() -> None:
    assert _as_user.run_as(_as_user.account(None), os.getpid) == os.getpid()


@pytest.mark.parametrize('name', ['no-such-user', '4294967294', '99999999999999999999999'])
def test_a_user_that_is_not_there(name: str) -> None:
    with pytest.raises(ConfigError, match=f'there is no user {name}'):
        _as_user.account(name)


def nobody() -> _as_user.Account:
    return _as_user.account('nobody')


@root_only
def test_a_child_is_the_user_and_nobody_else() -> None:
    who = nobody()
    told = _as_user.run_as(who, lambda: [os.getpid(), *os.getresuid(), *os.getresgid(), os.getgroups()])
    assert told[0] != os.getpid()
    assert told[1:] == [who.uid] * 3 + [who.gid] * 3 + [[who.gid]]
    assert os.geteuid() == 0


@root_only
def test_the_user_cannot_look_into_the_child() -> None:
    """Its memory holds the secrets of others; a process that is not dumpable cannot be traced by its own user (prctl(2))."""
    get_dumpable = 3
    assert ctypes.CDLL(None).prctl(get_dumpable, 0, 0, 0, 0) == 1
    assert _as_user.run_as(nobody(), lambda: ctypes.CDLL(None).prctl(get_dumpable, 0, 0, 0, 0)) != 1


@root_only
def test_what_the_user_cannot_do_the_work_cannot(tmp_path: Path) -> None:
    secret = tmp_path / 'secret'
    secret.write_text('x')
    secret.chmod(0o600)

    def read() -> str:
        try:
            return secret.read_text()
        except PermissionError:
            raise ConfigError('no', path='p', key='k') from None

    with pytest.raises(ConfigError, match=r'^no$') as caught:
        _as_user.run_as(nobody(), read)
    assert (caught.value.path, caught.value.key) == ('p', 'k')


@root_only
@pytest.mark.parametrize('work', [lambda: int('x'), lambda: os._exit(3), lambda: os.kill(os.getpid(), 9), object])
def test_a_child_that_dies_is_told_of_without_its_words(work: t.Callable[[], t.Any]) -> None:
    with pytest.raises(ConfigError, match='worked as nobody ended without a result'):
        _as_user.run_as(nobody(), work)


def test_a_large_answer_comes_whole() -> None:
    if ME == 0:
        assert len(_as_user.run_as(nobody(), lambda: 'x' * 1_000_000)) == 1_000_000


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """pytest's own folders lie in /tmp, which is sticky, and belong to this user alone."""
    tmp_path.chmod(0o755)
    return tmp_path


def check(path: Path) -> None:
    _as_user.check_hands(str(path), ME)


def test_ones_own_path_is_fine_whether_it_is_there_or_not(place: Path) -> None:
    (place / 'a').mkdir()
    (place / 'a' / 'config.json').write_text('{}')
    (place / 'link').symlink_to('a/config.json')
    (place / 'far').symlink_to(place / 'a')
    for path in (place / 'a' / 'config.json', place / 'link', place / 'far' / 'config.json', place / 'b' / 'c', place / 'far' / '..' / 'a'):
        check(path)


@pytest.mark.parametrize('mode', [0o777, 0o757])
def test_a_directory_that_others_can_write_is_refused(place: Path, mode: int) -> None:
    (place / 'open').mkdir()
    (place / 'open').chmod(mode)
    (place / 'link').symlink_to('open/config.json')
    for path in (place / 'open' / 'config.json', place / 'open', place / 'link', place / 'open' / '..' / 'x'):
        with pytest.raises(ConfigError, match='can be written by others'):
            check(path)


def test_a_link_that_goes_round(place: Path) -> None:
    (place / 'a').symlink_to('b')
    (place / 'b').symlink_to('a')
    with pytest.raises(ConfigError, match='circle'):
        check(place / 'a')


@root_only
def test_what_belongs_to_somebody_else(place: Path) -> None:
    who = nobody()
    (place / 'home').mkdir()
    os.chown(place / 'home', who.uid, who.gid)
    (place / 'link').symlink_to('x')
    os.lchown(place / 'link', who.uid, who.gid)
    (place / 'mine').symlink_to('home/config.json')
    for path in (place / 'home' / 'config.json', place / 'link', place / 'mine'):
        with pytest.raises(ConfigError, match=r'user: nobody'):
            check(path)
    (place / 'theirs').write_text('{}')
    os.chown(place / 'theirs', who.uid, who.gid)
    check(place / 'theirs')
    (place / 'sticky').mkdir()
    (place / 'sticky').chmod(0o1777)
    check(place / 'sticky' / 'new')
    (place / 'sticky' / 'theirs').write_text('{}')
    os.chown(place / 'sticky' / 'theirs', who.uid, who.gid)
    with pytest.raises(ConfigError, match=r'user: nobody'):
        check(place / 'sticky' / 'theirs')


@root_only
def test_a_user_who_stops_the_work_does_not_keep_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_as_user, 'SECONDS', 0.3)
    with pytest.raises(ConfigError, match='did not end within'):
        _as_user.run_as(nobody(), lambda: os.kill(os.getpid(), signal.SIGSTOP))
