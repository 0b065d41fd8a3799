# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _cri, _service_facts, _systemd
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_config import Registry
from ansible_collections.quickpull.registry.plugins.module_utils._engines import containerd

BINARY, CONFIG, SOCKET = '/usr/bin/containerd', '/etc/containerd/config.toml', '/run/containerd/containerd.sock'
PID = 812
VERSION = 'containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3\n'
REGISTRY = '[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/containerd/certs.d"\n'


class FakeHost:
    """A host in a folder: files, units as systemctl shows them, a process, a containerd that prints its configuration, a CRI."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.units: dict[str, dict[str, str]] = {'containerd.service': {'LoadState': 'not-found', 'ActiveState': 'inactive'}}
        self.version = _systemd.Result(0, VERSION)
        self.dump = _systemd.Result(0, 'version = 2\n')
        self.config: dict[str, t.Any] | None = {'registry': {'configPath': ''}}
        self.asked: list[str] = []
        self.commands: list[tuple[str, ...]] = []
        self.booted = True

    def put(self, path: str, text: str = '') -> Path:
        target = self.root / path.lstrip('/')
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def install(self, start: str = BINARY, **properties: str) -> None:
        self.put(BINARY, 'ELF')
        self.put('/lib/systemd/system/containerd.service', f'[Service]\nExecStart={start}\nKillMode=process\n')
        loaded = {'LoadState': 'loaded', 'ActiveState': 'inactive', 'SubState': 'dead', 'UnitFileState': 'enabled', 'KillMode': 'process'}
        self.units['containerd.service'] = {**loaded, 'FragmentPath': '/lib/systemd/system/containerd.service', **properties}

    def start(self, *flags: str, environ: str = '', start: str = '', **properties: str) -> None:
        self.install(start or ' '.join((BINARY, *flags)), **{'ActiveState': 'active', 'SubState': 'running', 'MainPID': str(PID), **properties})
        folder = self.root / 'proc' / str(PID)
        folder.mkdir(parents=True)
        (folder / 'cmdline').write_text('\0'.join((BINARY, *flags)) + '\0')
        (folder / 'environ').write_text(environ)
        (folder / 'stat').write_text(f'{PID} (containerd) S ' + ' '.join(str(number) for number in range(4, 40)))
        (folder / 'exe').symlink_to(self.root / BINARY.lstrip('/'))

    def run(self, command: t.Sequence[str], _timeout: float) -> _systemd.Result:
        self.commands.append(tuple(part.replace(str(self.root), '') for part in command))
        if command[0] == 'systemctl':
            if not self.booted:
                return _systemd.Result(1, '', 'System has not been booted with systemd as init system')
            names = command[command.index('--') + 1 :]
            blocks = ('\n'.join(f'{key}={value}' for key, value in {'Id': name, **self.units.get(name, {})}.items()) for name in names)
            return _systemd.Result(0, '\n\n'.join(blocks) + '\n')
        return self.version if command[-1] == '--version' else self.dump

    def ask(self, path: str) -> dict[str, t.Any]:
        self.asked.append(path.replace(str(self.root), ''))
        if self.config is None:
            raise _cri.CriUnavailable('The CRI cannot be asked.')
        return self.config

    def inspect(self, **options: t.Any) -> containerd.Containerd:
        return containerd.inspect(containerd.Host(root=str(self.root), run=self.run, ask_cri=self.ask), **options)

    def dumped(self) -> list[str]:
        """The files that containerd was asked about."""
        return [command[2] for command in self.commands if command[-1] == 'dump']


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    # The link in the fake /proc holds a path of this machine; the code would look for it below the root.
    monkeypatch.setattr('ansible_collections.quickpull.registry.plugins.module_utils._procfs.below', lambda _root, path: path)
    return FakeHost(tmp_path)


@pytest.mark.parametrize('booted', [True, False])
def test_nothing_installed(host: FakeHost, booted: bool) -> None:
    host.booted = booted
    assert host.inspect() == containerd.Containerd(installed=False)
    assert (host.asked, host.dumped()) == ([], [])


def test_stopped(host: FakeHost) -> None:
    host.install(start=f'{BINARY} --config=/srv/c.toml')
    found = host.inspect()
    assert (found.installed, found.running, found.version, found.version_tuple) == (True, False, '1.6.20~ds1', (1, 6, 20))
    assert (found.unit, found.active_state, found.kill_mode, found.start_id, found.config_path) == (containerd.UNIT, 'inactive', 'process', None, '/srv/c.toml')
    assert (found.registry, found.cri_config_path, found.cri_error) == (Registry(), None, '')
    assert host.asked == []


def test_running(host: FakeHost) -> None:
    host.start(environ='HTTPS_PROXY=http://p\0PATH=/bin\0')
    host.put(CONFIG)
    host.dump = _systemd.Result(0, REGISTRY)
    host.config = {'registry': {'configPath': '/other'}}
    found = host.inspect()
    assert found.running
    assert (found.binary, found.config_path, found.address, found.start_id) == (BINARY, CONFIG, SOCKET, f':22:{PID}')
    assert (found.registry, found.cri_config_path) == (Registry(config_path='/etc/containerd/certs.d'), '/other')
    assert (found.environ, found.binary_replaced, found.started_at is not None) == ({'HTTPS_PROXY': 'http://p'}, False, True)
    assert (host.asked, host.dumped()) == ([SOCKET], [CONFIG])
    assert 'http://p' not in repr(found)


def test_a_configuration_that_is_not_there_is_the_default(host: FakeHost) -> None:
    host.start()
    host.inspect()
    assert host.dumped() == [os.devnull]


FLAGS: list[tuple[tuple[str, ...], str, str]] = [
    ((), CONFIG, SOCKET),
    (('--config=/a.toml',), '/a.toml', SOCKET),
    (('--config', '/a.toml', '--address=/a.sock'), '/a.toml', '/a.sock'),
    (('-c', '/a.toml', '-a', '/a.sock'), '/a.toml', '/a.sock'),
    (('-c=/a.toml',), '/a.toml', SOCKET),
    (('-config=/a.toml',), '/a.toml', SOCKET),
    (('--log-level', 'config', '--root=/c'), CONFIG, SOCKET),
    (('-c', 'etc/a.toml'), '/etc/a.toml', SOCKET),
    (('--config',), CONFIG, SOCKET),
]


@pytest.mark.parametrize('flags, config, address', FLAGS)
def test_flags(host: FakeHost, flags: tuple[str, ...], config: str, address: str) -> None:
    host.start(*flags)
    found = host.inspect()
    assert (found.config_path, found.address) == (config, address)
    assert host.asked == [address]


@pytest.mark.parametrize('flags, address', [((), '/srv/c.sock'), (('-a', '/a.sock'), '/a.sock')])
def test_the_socket_that_config_toml_names(host: FakeHost, flags: tuple[str, ...], address: str) -> None:
    host.start(*flags)
    host.dump = _systemd.Result(0, '[grpc]\naddress = "/srv/c.sock"\n')
    assert host.inspect().address == address
    assert host.asked == [address]


def test_the_next_start_reads_what_the_unit_names_by_now(host: FakeHost) -> None:
    host.start('--config=/old.toml', start=f'{BINARY} --config=/new.toml')
    assert host.inspect().config_path == '/new.toml'


def test_a_script_that_starts_it_tells_nothing(host: FakeHost) -> None:
    host.start('-c', '/a.toml', start='/usr/local/sbin/start-it -c /b.toml')
    found = host.inspect()
    assert (found.binary, found.config_path, found.binary_replaced) == (BINARY, '/a.toml', False)


VERSIONS = [
    (VERSION, '1.6.20~ds1'),
    ('containerd containerd.io 1.7.27 05044ec0a9a75232cad458027ca83437aae3f4da\n', '1.7.27'),
    ('containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7193e4\n', '2.1.4'),
    ('containerd github.com/containerd/containerd/v2 v2.2.0-rc.1 abc\n', '2.2.0-rc.1'),
    ('containerd github.com/containerd/containerd/v2 9f2b1d4.m\n', None),
    ('', None),
]


@pytest.mark.parametrize('line, version', VERSIONS)
def test_version(host: FakeHost, line: str, version: str | None) -> None:
    host.install()
    host.version = _systemd.Result(0, line)
    assert host.inspect().version == version
    host.version = _systemd.Result(1, line)
    assert host.inspect().version is None


def test_a_replaced_binary(host: FakeHost) -> None:
    host.start()
    os.rename(host.root / BINARY.lstrip('/'), host.root / 'old')
    host.put(BINARY, 'ELF2')
    link = host.root / f'proc/{PID}/exe'
    link.unlink()
    link.symlink_to(f'{BINARY} (deleted)')
    assert host.inspect().binary_replaced


def test_a_unit_that_names_another_binary_than_the_one_that_runs(host: FakeHost) -> None:
    host.start(start='/opt/bin/containerd')
    host.put('/opt/bin/containerd', 'ELF2')
    found = host.inspect()
    assert (found.binary_replaced, found.binary) == (True, '/opt/bin/containerd')


@pytest.mark.parametrize(
    'told, says',
    [
        (_systemd.Result(1, '', 'containerd: \ncontainerd: failed to load TOML: (2, 3)\n'), 'failed to load TOML: (2, 3)'),
        (_systemd.Result(3), 'exit code 3'),
        (_systemd.Result(124, '', 'it did not finish'), 'did not finish'),
        (_systemd.Result(0, 'version = '), 'is not valid TOML'),
    ],
)
def test_a_configuration_that_containerd_refuses(host: FakeHost, told: _systemd.Result, says: str) -> None:
    host.start()
    host.put(CONFIG)
    host.dump = told
    found = host.inspect()
    assert found.registry is None
    assert says in found.config_error
    assert CONFIG in found.config_error
    assert found.cri_config_path == '', 'the running one is asked all the same'


def test_a_cri_that_does_not_answer(host: FakeHost) -> None:
    host.start()
    host.config = None
    found = host.inspect()
    assert (found.running, found.cri_config_path, found.cri_error) == (True, None, 'The CRI cannot be asked.')


def test_a_disabled_cri_is_not_asked(host: FakeHost) -> None:
    host.start()
    host.dump = _systemd.Result(0, 'disabled_plugins = ["cri"]\n')
    found = host.inspect()
    assert (found.registry, found.cri_error, host.asked) == (Registry(enabled=False), '', [])


@pytest.mark.parametrize('state, running', [('active', True), ('reloading', True), ('activating', False), ('deactivating', False), ('failed', False)])
def test_only_a_stable_service_is_asked(host: FakeHost, state: str, running: bool) -> None:
    host.start(ActiveState=state)
    assert host.inspect().running is running
    assert bool(host.asked) is running


USERS: list[tuple[list[str], tuple[str, ...], bool]] = [
    ([], (), False),
    (['/usr/sbin/dockerd'], ('docker',), True),
    (['/usr/bin/dockerd', '/usr/bin/kubelet'], ('kubelet', 'docker'), False),
    (['/var/lib/kubelet/config.yaml', '/usr/local/bin/nerdctl', '/etc/crictl.yaml'], ('kubelet', 'nerdctl', 'crictl'), False),
]


@pytest.mark.parametrize('files, users, alone', USERS)
def test_who_uses_it(host: FakeHost, files: list[str], users: tuple[str, ...], alone: bool) -> None:
    host.install()
    for path in files:
        host.put(path)
    found = host.inspect()
    assert (found.used_by, found.for_docker_alone) == (users, alone)


@pytest.mark.parametrize('files, briefly', [(['/usr/bin/dockerd'], True), (['/usr/bin/dockerd', '/etc/crictl.yaml'], False)])
def test_briefly_where_it_is_there_for_docker_alone(host: FakeHost, files: list[str], briefly: bool) -> None:
    host.start()
    for path in files:
        host.put(path)
    found = host.inspect(briefly_for_docker=True)
    assert (found.running, found.address, found.registry is None) == (True, SOCKET, briefly)
    assert (bool(host.asked), bool(host.dumped())) == (not briefly, not briefly)
    assert found.start_id, 'how it was started is looked at all the same, for what it has of proxies'


def test_dependents_that_are_active(host: FakeHost) -> None:
    host.start(RequiredBy='kubelet.service idle.service', BoundBy='part.service', ConsistsOf='containerd.service', PropagatesStopTo='gone.service')
    states = {'kubelet': 'active', 'idle': 'inactive', 'part': 'activating', 'gone': 'failed'}
    host.units.update({f'{name}.service': {'ActiveState': state} for name, state in states.items()})
    assert host.inspect().dependents == ('kubelet.service', 'part.service')


def test_masked(host: FakeHost) -> None:
    host.install(LoadState='masked', FragmentPath='')
    (host.root / 'etc/systemd/system').mkdir(parents=True)
    (host.root / 'etc/systemd/system/containerd.service').symlink_to('/dev/null')
    assert host.inspect().unit_file_state == 'masked'


def test_without_systemd_its_files_are_seen_and_nothing_is_asked(host: FakeHost) -> None:
    host.start()
    host.booted = False
    found = host.inspect()
    assert (found.installed, found.running, found.unit, found.config_path) == (True, False, containerd.UNIT, CONFIG)
    assert host.asked == []


def test_without_a_unit(host: FakeHost) -> None:
    host.put('/usr/local/bin/containerd')
    found = host.inspect()
    assert (found.installed, found.binary, found.unit, found.running) == (True, '/usr/local/bin/containerd', '', False)


def test_a_start_is_told_without_asking_for_all_else(host: FakeHost) -> None:
    assert _service_facts.start_id(containerd.Host(root=str(host.root), run=host.run), containerd.UNIT) is None
    host.start()
    assert _service_facts.start_id(containerd.Host(root=str(host.root), run=host.run), containerd.UNIT) == host.inspect().start_id == f':22:{PID}'
    host.booted = False
    assert _service_facts.start_id(containerd.Host(root=str(host.root), run=host.run), containerd.UNIT) is None
