# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A whole run over a file: what is refused, what is written and in which order, what is left behind."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import random
import signal
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _daemon_config, _io, _ownership, _tombstones
from ansible_collections.quickpull.registry.plugins.module_utils._daemon_config import Options, Outcome, configure
from ansible_collections.quickpull.registry.plugins.module_utils._docker_flags import Flag
from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DockerDaemon, reported
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

SECRET = 'http://acme:s3cret@proxy.lan:3128'


@dataclasses.dataclass
class Host:
    """A file in a directory, the state beside it, and a daemon that is told of."""

    folder: Path
    daemon: DockerDaemon = dataclasses.field(default_factory=lambda: DockerDaemon(installed=False))

    @property
    def path(self) -> Path:
        return self.folder / 'etc' / 'docker' / 'daemon.json'

    @property
    def state(self) -> State:
        return State(str(self.folder / 'state'))

    def put(self, content: t.Any) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(content if isinstance(content, bytes) else json.dumps(content, indent=2).encode())

    def run(self, *, check_mode: bool = False, **asked: t.Any) -> Outcome:
        return configure(Options(str(self.path), **asked), self.state, self.daemon, check_mode=check_mode)

    def runs(self, version: str = '26.1.5', **how: t.Any) -> Host:
        """With a daemon that has run for a minute."""
        told = reported(how.pop('info', {'RegistryConfig': {}}))
        self.daemon = DockerDaemon(
            installed=True, version=version, binary_version=version, active_state='active', main_pid=1, start_id='boot:1', reported=told,
            started_at=time.time() - 60, config_path=str(self.path), daemon_config_path=str(self.path), **how,
        )
        return self

    def tree(self) -> dict[str, tuple[bytes, int]]:
        """All files below the folder, with their modes."""
        files = [Path(folder) / name for folder, _dirs, names in os.walk(self.folder) for name in names]
        return {str(file.relative_to(self.folder)): (file.read_bytes(), file.stat().st_mode & 0o777) for file in files if not file.is_symlink()}

    def folders(self) -> set[str]:
        return {str(Path(folder).relative_to(self.folder)) for folder, _dirs, _names in os.walk(self.folder)}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / 'etc').mkdir()
    return Host(tmp_path)


ASKED: dict[str, t.Any] = {'registry_mirrors': ['https://a', {'url': 'https://b'}], 'settings': {'log-opts': {'max-file': '3'}}}


def test_from_nothing_and_back(host: Host) -> None:
    first = host.run(**ASKED)
    assert (first.changed, first.mirrors, first.plan.action, first.backup_file) == (True, ('https://a', 'https://b'), 'none', '')
    assert host.path.stat().st_mode & 0o777 == 0o644
    assert any('There is no Docker daemon' in warning for warning in first.warnings)
    tree = host.tree()
    assert not host.run(**ASKED).changed
    assert host.tree() == tree
    gone = host.run(present=False)
    assert (gone.changed, gone.diff['after']) == (True, '')
    assert not host.path.parent.exists(), 'the directory was ours too'
    assert _ownership.load(host.state, str(host.path)) == _ownership.Record(str(host.path))
    assert not host.run(present=False).changed


def test_check_mode_says_what_a_run_does_and_writes_nothing(host: Host) -> None:
    host.put({'registry-mirrors': ['https://f'], 'debug': True})
    host.runs()
    before, folders = host.tree(), host.folders()
    said = host.run(check_mode=True, **ASKED)
    assert (host.tree(), host.folders()) == (before, folders)
    done = host.run(**ASKED)
    assert dataclasses.replace(said, backup_file=done.backup_file) == done
    assert Path(done.backup_file).read_bytes() == before['etc/docker/daemon.json'][0]
    assert done.plan.action in ('reload', 'restart')
    again, real = host.run(check_mode=True, **ASKED), host.run(**ASKED)
    assert again == real
    assert not real.changed
    assert real.plan == done.plan


def test_what_an_earlier_run_wrote_is_still_in_the_plan(host: Host) -> None:
    host.put({})
    os.utime(host.path, (0, 0))
    host.runs()
    assert host.run(registry_mirrors=['https://a']).plan.reload_keys == ('registry-mirrors',)
    assert host.run(registry_mirrors=['https://a']).plan.reload_keys == ('registry-mirrors',)


def test_taking_away_from_a_running_daemon_waits_for_the_proof(host: Host) -> None:
    host.run(registry_mirrors=['https://a'])
    host.runs(info={'RegistryConfig': {'Mirrors': ['https://a/']}})
    gone = host.run(present=False)
    assert json.loads(host.path.read_bytes()) == {'registry-mirrors': []}
    assert (gone.changed, gone.plan.action) == (True, 'reload')
    assert not host.run(present=False).changed
    assert _tombstones.finish(host.state, str(host.path), keep_file=False) == ['/registry-mirrors']
    assert not host.path.parent.exists()


# (content, what is asked, in the error)
BAD: list[t.Any] = [
    (b'{"a": 1,}', ASKED, 'line 1, column 8'),
    (b'[]', ASKED, 'holds a list'),
    (b'\xff{}', ASKED, 'not UTF-8'),
    (b'{"debug": true, "debug": false}', ASKED, 'stands twice'),
    (b'{} // mirrors', ASKED, 'comments are not allowed'),
    ({'registry-mirorrs': []}, {'registry_mirrors': []}, 'registry-mirorrs is no key that Docker knows.*Take it out of the file'),
    ({}, {'settings': {'unheard-of': 1}}, 'unheard-of is no key that Docker knows.*Take it out of settings'),
    ({'hosts': ['fd://']}, ASKED, 'hosts is also given by the flag --host'),
    ({}, {'settings': {'registry-mirrors': []}}, 'settings: registry-mirrors has an option of its own, registry_mirrors'),
    ({}, {'settings': {'proxies': {}}}, 'settings: proxies has an option of its own'),
    ({}, {'settings': {'log-opts': {'max-file': 3}}}, 'settings: log-opts must be'),
    ({}, {'settings': {'mtu': float('nan')}}, 'settings: a value cannot be written as JSON'),
    ({}, {'registry_mirrors': ['https://u:s3cret@m']}, 'user or password'),
    ({}, {'registry_mirrors': ['https://m?s3cret=1']}, 'a query or a fragment'),
    ({}, {'registry_mirrors': ['cache.lan:5000']}, 'scheme'),
    ({}, {'registry_mirrors': ['https://a b']}, 'space'),
    ({}, {'registry_mirrors': ['https://bücher.example']}, 'punycode'),
    ({}, {'registry_mirrors': ['https://2001:db8::1']}, 'IPv6'),
    ({}, {'registry_mirrors': [{'url': 'https://m', 'pirority': 1}]}, "unknown key 'pirority'"),
    ({}, {'registry_mirrors': [1]}, 'URL or a dict'),
    ({}, {'insecure_registries': ['http://m']}, 'is no registry'),
    ({}, {'proxies': {'http_proxy': 'ftp://u:s3cret@p'}}, 'scheme'),
    ({}, {'proxies': {'http_proxy': 'http://u:s3cret@'}}, 'no host'),
]


@pytest.mark.parametrize(('content', 'asked', 'message'), BAD)
@pytest.mark.parametrize('check_mode', [True, False], ids=['check', 'run'])
def test_bad_input_gets_a_clear_error_and_loses_nothing(host: Host, content: t.Any, asked: dict[str, t.Any], message: str, check_mode: bool) -> None:
    host.put(content)
    host.runs('20.10.24', flags=(Flag('host', 'hosts', ('fd://',), 'unit', '/lib/systemd/system/docker.service'),))
    before = host.tree()
    with pytest.raises(ConfigError, match=message) as caught:
        host.run(check_mode=check_mode, **asked)
    assert 's3cret' not in str(caught.value)
    assert {name: one for name, one in host.tree().items() if name != 'state/lock'} == before


@pytest.mark.parametrize(
    ('version', 'asked', 'message'),
    [
        ('20.10.24', {'proxies': {'https_proxy': SECRET}}, 'Docker knows proxies since 23.0.*engine_proxy_dropin'),
        ('24.0.9', {'registry_mirrors': ['https://m/hub']}, 'path'),
        ('27.5.1', {'settings': {'bip6': '::1'}}, 'since 28.0'),
    ],
)
def test_rules_of_versions_refuse_or_warn_where_the_version_is_not_known(host: Host, version: str, asked: dict[str, t.Any], message: str) -> None:
    host.runs(version)
    with pytest.raises(ConfigError, match=message):
        host.run(**asked)
    assert not host.path.exists()
    host.daemon = dataclasses.replace(host.daemon, version='HEAD', binary_version=None)
    assert host.run(**asked).changed
    host.runs(version)
    host.run(validate='never', **asked)
    assert host.path.exists()


def test_always_fails_where_dockerd_cannot_be_asked(host: Host) -> None:
    with pytest.raises(ConfigError, match=r'cannot be validated \(validate: always\): there is no dockerd'):
        host.run(validate='always', **ASKED)


def test_dockerd_has_the_last_word_and_taking_out_is_never_refused(host: Host) -> None:
    refusing = host.folder / 'dockerd'
    refusing.write_text('#!/bin/sh\necho "it dislikes this"\nexit 1\n')
    refusing.chmod(0o755)
    host.runs()
    host.run(**ASKED)
    host.runs(binary=str(refusing))
    with pytest.raises(ConfigError, match=r'dockerd would not start with it, so nothing was written\. It says: it dislikes this'):
        host.run(settings={'debug': True})
    host.put({**json.loads(host.path.read_bytes()), 'unheard-of': 1})
    gone = host.run(present=False)
    assert json.loads(host.path.read_bytes()) == {'unheard-of': 1}
    assert any('unheard-of is no key' in warning for warning in gone.warnings)


def test_a_password_is_masked_and_kept_from_others(host: Host) -> None:
    host.runs()
    first = host.run(proxies={'https_proxy': SECRET, 'no_proxy': ['a.*.b', '.cn,.cn']})
    assert host.path.stat().st_mode & 0o777 == 0o600
    assert json.loads(host.path.read_bytes())['proxies'] == {'https-proxy': SECRET, 'no-proxy': 'a.*.b,.cn'}
    assert any("'a.*.b' never matches" in warning for warning in first.warnings)
    second = host.run(proxies={'https_proxy': SECRET.replace('s3cret', 'an0ther'), 'no_proxy': ['.cn']})
    assert second.changed
    assert second.diff['before'] != second.diff['after']
    assert 's3cret' not in repr([first, second])
    assert 'an0ther' not in repr([first, second])
    for name, (data, mode) in host.tree().items():
        assert b's3cret' not in data or mode == 0o600, name
    host.path.chmod(0o640)
    third = host.run(proxies={'https_proxy': SECRET})
    assert any('can be read by others' in warning for warning in third.warnings)
    assert host.path.stat().st_mode & 0o777 == 0o640, 'the mode of a file that is there is not ours to change'


def test_a_file_of_ours_that_gets_a_password_is_closed_to_others(host: Host) -> None:
    host.runs()
    host.run(settings={'debug': True})
    done = host.run(proxies={'https_proxy': SECRET})
    assert host.path.stat().st_mode & 0o777 == 0o600
    assert not [warning for warning in done.warnings if 'read by others' in warning]


def test_an_owner_has_a_name(host: Host) -> None:
    with pytest.raises(ConfigError, match='owner: a name is needed'):
        host.run(owner='', **ASKED)


def test_a_symlink_stays(host: Host) -> None:
    target = host.folder / 'elsewhere.json'
    target.write_bytes(b'{}\n')
    target.chmod(0o640)
    host.path.parent.mkdir()
    host.path.symlink_to(target)
    host.run(**ASKED)
    assert host.path.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    host.run(present=False)
    assert target.read_bytes() == b'{}\n'


@pytest.mark.parametrize(('kind', 'message'), [('directory', 'is a directory'), ('dangling', 'which does not exist')])
def test_what_is_no_file_is_refused(host: Host, kind: str, message: str) -> None:
    host.path.parent.mkdir()
    if kind == 'directory':
        host.path.mkdir()
    else:
        host.path.symlink_to('nowhere')
    with pytest.raises(ConfigError, match=message):
        host.run(**ASKED)


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize('state_too', [False, True])
def test_a_full_or_read_only_file_system_loses_nothing(host: Host, monkeypatch: pytest.MonkeyPatch, number: int, state_too: bool) -> None:
    host.put({'debug': True})
    before = host.path.read_bytes()
    real = _io.make_temp

    def full(target: str) -> tuple[int, str]:
        if state_too or '/etc/' in target:
            raise OSError(number, os.strerror(number))
        return real(target)

    with monkeypatch.context() as patched:
        patched.setattr(_io, 'make_temp', full)
        with pytest.raises(ConfigError, match='full' if number == errno.ENOSPC else 'read-only'):
            host.run(**ASKED)
    assert host.path.read_bytes() == before
    assert os.listdir(host.path.parent) == ['daemon.json']
    host.run(**ASKED)
    host.run(present=False)
    assert host.path.read_bytes() == before


def test_another_writer_between_read_and_rename_is_not_overwritten(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.put({'debug': True})
    real = _io.same_content
    times: list[int] = []

    def meddle(seen: _io.FileState) -> bool:
        if len(times) < 2:
            times.append(1)
            host.put({'debug': True, 'mtu': 1400 + len(times)})
        return real(seen)

    monkeypatch.setattr(_io, 'same_content', meddle)
    host.run(registry_mirrors=['https://a'])
    assert json.loads(host.path.read_bytes()) == {'debug': True, 'mtu': 1402, 'registry-mirrors': ['https://a']}
    times.clear()
    monkeypatch.setattr(_daemon_config, '_TRIES', 1)
    with pytest.raises(ConfigError, match='changed by somebody else'):
        host.run(registry_mirrors=['https://b'])


def test_strangers_are_left_out_where_a_login_could_leak(host: Host) -> None:
    host.runs(hub_logins=('/root/.docker/config.json',))
    asked: dict[str, t.Any] = {'registry_mirrors': ['https://own', {'url': 'https://stranger', 'third_party': True}, {'url': 'https://c', 'trust': 'content'}]}
    done = host.run(**asked)
    assert done.mirrors == ('https://own',)
    assert [one.url for one in done.left_out] == ['https://c', 'https://stranger']
    with pytest.raises(ConfigError, match='stranger'):
        host.run(mirror_login_leak='fail', **asked)
    assert host.run(mirror_login_leak='allow', **asked).mirrors == ('https://own', 'https://stranger')
    assert host.run(**asked).mirrors == ('https://own',), 'a stranger goes when a login comes'


def test_a_stranger_that_somebody_else_wrote_is_told_to_be_there_still(host: Host) -> None:
    host.put({'registry-mirrors': ['https://stranger']})
    host.runs(hub_logins=('/root/.docker/config.json',))
    done = host.run(registry_mirrors=[{'url': 'https://stranger/', 'third_party': True}])
    assert (done.changed, done.mirrors) == (False, ('https://stranger',))
    assert any('all the same, because somebody else put it there' in warning for warning in done.warnings)


def test_a_file_that_the_daemon_does_not_read(host: Host) -> None:
    host.runs(flags=(Flag('debug', 'debug', ('true',), 'unit', '/u'),))
    host.daemon = dataclasses.replace(host.daemon, daemon_config_path='/srv/docker.json')
    done = host.run(settings={'debug': True})
    assert (done.changed, done.plan.action) == (True, 'none')
    assert any('reads /srv/docker.json' in warning for warning in done.warnings)


def test_one_run_at_a_time(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    real = _io.locked
    with _io.locked(host.state):
        monkeypatch.setattr(_io, 'locked', lambda state: real(state, timeout=0.01))
        with pytest.raises(ConfigError, match='Another run of quickpull'):
            host.run(**ASKED)
        assert host.run(check_mode=True, **ASKED).changed, 'check mode needs no lock'
    assert not host.path.exists()


class Crash(BaseException):
    """The end of a process, at a place of our choice."""


@pytest.mark.parametrize('original', [None, b'{\n  "debug": true,\n  "registry-mirrors": ["https://f"]\n}'], ids=['no file', 'a file'])
@pytest.mark.parametrize('crashing', ['ask', 'change', 'leave'])
def test_a_crash_between_any_two_steps_is_harmless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, original: bytes | None, crashing: str) -> None:
    """Each change on the disk in turn is the one that is not done any more."""
    runs: dict[str, dict[str, t.Any]] = {
        'ask': ASKED, 'change': {'registry_mirrors': ['https://c', 'https://f'], 'settings': {'mtu': 1400}, 'exclusive': True}, 'leave': {'present': False},
    }
    for steps in range(100):
        (tmp_path / str(steps) / 'etc').mkdir(parents=True)
        host = Host(tmp_path / str(steps))
        if original is not None:
            host.put(original)
        for name in list(runs)[:list(runs).index(crashing)]:
            host.run(**runs[name])
        left = [steps]

        def counted(call: t.Callable[..., t.Any], left: list[int]) -> t.Callable[..., t.Any]:
            def step(*args: t.Any, **how: t.Any) -> t.Any:
                if left[0] == 0:
                    raise Crash
                left[0] -= 1
                return call(*args, **how)
            return step

        with monkeypatch.context() as patched:
            for call in ('replace', 'unlink', 'mkdir', 'rmdir'):
                patched.setattr(os, call, counted(getattr(os, call), left))
            try:
                host.run(**runs[crashing])
            except Crash:
                pass
        host.run(present=False)
        assert (host.path.read_bytes() if host.path.exists() else None) == original, f'after {steps} steps'
        assert host.path.parent.exists() is (original is not None), f'after {steps} steps'
        if left[0]:
            assert steps > 3
            return
    pytest.fail('a run has no end')


def test_kill_9_at_any_moment_is_harmless(host: Host) -> None:
    """A process that asks and takes away in turn is killed again and again; then everything is taken out."""
    original = b'{\n  "debug": true,\n  "registry-mirrors": ["https://f"]\n}'
    host.put(original)
    for _round in range(8):
        child = os.fork()
        if child == 0:
            try:
                while True:
                    host.run(**ASKED)
                    host.run(registry_mirrors=['https://c', 'https://f'], settings={}, exclusive=True)
                    host.run(present=False)
            finally:
                os._exit(1)
        time.sleep(random.uniform(0.002, 0.03))
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL, 'it failed before it was killed'
        assert json.loads(host.path.read_bytes())['debug'] is True
    host.run(**ASKED)
    assert json.loads(host.path.read_bytes())['registry-mirrors'] == ['https://a', 'https://b', 'https://f']
    host.run(present=False)
    assert host.path.read_bytes() == original
    assert os.listdir(host.path.parent) == ['daemon.json']
