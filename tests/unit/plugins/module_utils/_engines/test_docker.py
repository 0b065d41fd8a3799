# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _systemd
from ansible_collections.quickpull.registry.plugins.module_utils._docker_api import Container, DockerApi, DockerUnavailable
from ansible_collections.quickpull.registry.plugins.module_utils._docker_flags import Flag
from ansible_collections.quickpull.registry.plugins.module_utils._engines import docker

UNIT_TEXT = '[Service]\nEnvironmentFile=-/etc/default/docker\nExecStart=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS\n'
PID = 812


class FakeApi:
    """Answers as dockerd does; ``fails`` makes it a daemon that hangs."""

    via = 'socket'

    def __init__(self, info: t.Mapping[str, t.Any] | None = None, containers: t.Sequence[Container] = (), fails: bool = False) -> None:
        self._info = {'ServerVersion': '26.1.5', **(info or {})}
        self._containers = list(containers)
        self._fails = fails
        self.closed = False

    def info(self) -> dict[str, t.Any]:
        if self._fails:
            raise DockerUnavailable('The Docker daemon did not answer at unix:///x: timed out.')
        return dict(self._info)

    def containers(self) -> list[Container]:
        return self._containers

    def close(self) -> None:
        self.closed = True


class FakeHost:
    """A host in a folder: files, units as systemctl shows them, a process, an API."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.units: dict[str, dict[str, str]] = {'docker.service': {'LoadState': 'not-found', 'ActiveState': 'inactive'}, 'docker.socket': {}}
        self.commands: list[tuple[str, ...]] = []
        self.connected: list[str] = []
        self.api = FakeApi()
        self.booted = True
        self.dockerd_version = 'Docker version 26.1.5+dfsg1, build a72d7cd\n'

    def put(self, path: str, text: str = '', mode: int = 0o644) -> Path:
        target = self.root / path.lstrip('/')
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
        return target

    def install(self, **properties: str) -> None:
        self.put('/usr/sbin/dockerd', 'ELF')
        self.put('/lib/systemd/system/docker.service', UNIT_TEXT)
        self.units['docker.service'] = {
            'LoadState': 'loaded',
            'ActiveState': 'inactive',
            'SubState': 'dead',
            'UnitFileState': 'enabled',
            'FragmentPath': '/lib/systemd/system/docker.service',
            **properties,
        }
        self.units['docker.socket'] = {'ActiveState': 'active', 'Listen': '/run/docker.sock (Stream)'}

    def start(self, argv: t.Sequence[str] = ('/usr/sbin/dockerd', '-H', 'fd://'), environ: str = '', **properties: str) -> None:
        self.install(**{'ActiveState': 'active', 'SubState': 'running', 'MainPID': str(PID), **properties})
        self.process(argv, environ)

    def process(self, argv: t.Sequence[str], environ: str = '') -> None:
        folder = self.root / 'proc' / str(PID)
        folder.mkdir(parents=True)
        (folder / 'cmdline').write_text('\0'.join(argv) + '\0')
        (folder / 'environ').write_text(environ)
        (folder / 'stat').write_text(f'{PID} (dockerd) S ' + ' '.join(str(number) for number in range(4, 40)))
        (folder / 'exe').symlink_to(self.root / 'usr/sbin/dockerd')

    def run(self, command: t.Sequence[str], _timeout: float) -> _systemd.Result:
        self.commands.append(tuple(command))
        if command[0] != 'systemctl':
            return _systemd.Result(0, self.dockerd_version)
        if not self.booted:
            return _systemd.Result(1, '', 'System has not been booted with systemd as init system')
        names = command[command.index('--') + 1:]
        blocks = ('\n'.join(f'{key}={value}' for key, value in {'Id': name, **self.units.get(name, {})}.items()) for name in names)
        return _systemd.Result(0, '\n\n'.join(blocks) + '\n')

    def connect(self, base: str) -> DockerApi:
        self.connected.append(base)
        return t.cast(DockerApi, self.api)

    def inspect(self, **options: t.Any) -> docker.DockerDaemon:
        return docker.inspect(host=docker.Host(root=str(self.root), run=self.run, connect=self.connect), **options)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    # The link in the fake /proc holds a path of this machine; the code would look for it below the root.
    monkeypatch.setattr('ansible_collections.quickpull.registry.plugins.module_utils._procfs.below', lambda _root, path: path)
    return FakeHost(tmp_path)


def test_nothing_installed(host: FakeHost) -> None:
    found = host.inspect()
    assert not found.installed
    assert (found.flavour, found.version, found.binary, found.active_state, found.unit) == ('native', None, None, 'inactive', '')
    assert host.connected == []


def test_a_running_daemon(host: FakeHost) -> None:
    host.start(argv=('/usr/sbin/dockerd', '-H', 'fd://', '--registry-mirror=http://a'), environ='HTTP_PROXY=http://p\0PATH=/bin\0no_proxy=x\0')
    host.put('/etc/default/docker', 'DOCKER_OPTS="--registry-mirror=http://a"\n')
    found = host.inspect()
    assert found.installed
    assert found.running
    assert (found.version, found.binary_version, found.version_tuple) == ('26.1.5', '26.1.5', (26, 1, 5))
    assert found.flags == (
        Flag('host', 'hosts', ('fd://',), 'unit', '/lib/systemd/system/docker.service'),
        Flag('registry-mirror', 'registry-mirrors', ('http://a',), 'EnvironmentFile', '/etc/default/docker'),
    )
    assert found.environ == {'HTTP_PROXY': 'http://p', 'no_proxy': 'x'}
    assert (found.start_id, found.main_pid, found.via, found.unit) == (f':22:{PID}', PID, 'socket', 'docker.service')
    assert not found.binary_replaced
    assert host.connected == [f'unix://{host.root}/run/docker.sock']
    assert host.api.closed
    assert len(host.commands) == 1, 'one systemctl is all it costs'


def test_a_stopped_daemon_is_not_touched_even_with_its_socket_listening(host: FakeHost) -> None:
    host.install()
    host.put('/etc/default/docker', 'DOCKER_OPTS=--debug\n')
    found = host.inspect()
    assert not found.running
    assert (found.active_state, found.version, found.start_id, found.reported) == ('inactive', '26.1.5+dfsg1', None, None)
    assert [(flag.name, flag.source) for flag in found.flags] == [('host', 'unit'), ('debug', 'EnvironmentFile')]
    assert found.argv == ('/usr/sbin/dockerd', '-H', 'fd://', '--debug')
    assert host.connected == []


@pytest.mark.parametrize('state', ['activating', 'deactivating', 'failed'])
def test_an_unstable_service_is_not_asked(host: FakeHost, state: str) -> None:
    host.start(ActiveState=state)
    found = host.inspect()
    assert (found.running, found.active_state) == (False, state)
    assert host.connected == []


def test_masked(host: FakeHost) -> None:
    host.install(LoadState='masked', UnitFileState='', FragmentPath='')
    assert host.inspect().unit_file_state == 'masked'


def test_a_daemon_that_hangs(host: FakeHost) -> None:
    host.start()
    host.api = FakeApi(fails=True)
    found = host.inspect()
    assert found.running
    assert found.reported is None
    assert 'did not answer' in found.api_error
    assert found.version == '26.1.5+dfsg1'


def test_flags_of_the_next_start_are_told_apart(host: FakeHost) -> None:
    host.start()
    host.put('/etc/systemd/system/docker.service.d/mine.conf', '[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// --registry-mirror=http://new\n')
    found = host.inspect()
    assert [(flag.name, flag.source) for flag in found.flags] == [('host', 'drop-in')]
    assert [(flag.name, flag.values) for flag in found.unit_flags] == [('host', ('fd://',)), ('registry-mirror', ('http://new',))]


def test_a_drop_in_that_systemd_has_not_seen_needs_a_daemon_reload(host: FakeHost) -> None:
    host.start()
    assert not host.inspect().need_daemon_reload
    path = '/etc/systemd/system/docker.service.d/new.conf'
    host.put(path, '[Service]\n')
    assert host.inspect().need_daemon_reload
    host.units['docker.service']['DropInPaths'] = path
    assert not host.inspect().need_daemon_reload
    (host.root / path.lstrip('/')).unlink()
    assert host.inspect().need_daemon_reload
    host.units['docker.service'].update(DropInPaths='', NeedDaemonReload='yes')
    assert host.inspect().need_daemon_reload


CONFIG_FILES: list[tuple[tuple[str, ...], str]] = [
    ((), '/etc/docker/daemon.json'),
    (('--config-file=/srv/d.json',), '/srv/d.json'),
    (('--config-file', 'etc/d.json'), '/etc/d.json'),
]


@pytest.mark.parametrize('flags, path', CONFIG_FILES)
def test_config_path(host: FakeHost, flags: tuple[str, ...], path: str) -> None:
    host.start(argv=('/usr/sbin/dockerd', *flags))
    assert host.inspect().config_path == path
    found = host.inspect(config_path='/other.json')
    assert (found.config_path, found.daemon_config_path) == ('/other.json', path)


def test_containers(host: FakeHost) -> None:
    host.start()
    host.api = FakeApi({'ContainersRunning': 9}, [Container('1', 'job', 'no', False), Container('2', 'web', 'always', False)])
    found = host.inspect()
    assert (found.containers_running, found.containers_lost) == (2, ('job',))
    assert host.inspect(with_containers=False).containers_running == 9


def test_dependents_that_are_active(host: FakeHost) -> None:
    host.start(RequiredBy='docker.socket app.service', BoundBy='idle.service', ConsistsOf='part.service', PropagatesStopTo='app.service')
    host.units.update({'app.service': {'ActiveState': 'active'}, 'idle.service': {'ActiveState': 'inactive'}, 'part.service': {'ActiveState': 'activating'}})
    assert host.inspect().dependents == ('app.service', 'part.service')
    assert len(host.commands) == 2


def test_a_replaced_binary(host: FakeHost) -> None:
    host.start()
    binary = host.root / 'usr/sbin/dockerd'
    os.rename(binary, str(binary) + '.old')
    host.put('/usr/sbin/dockerd', 'ELF2')
    link = host.root / f'proc/{PID}/exe'
    link.unlink()
    link.symlink_to('/usr/sbin/dockerd (deleted)')
    host.dockerd_version = 'Docker version 28.5.2, build x\n'
    found = host.inspect()
    assert found.binary_replaced
    assert (found.version, found.binary_version) == ('26.1.5', '28.5.2')


def test_a_unit_that_names_another_binary_than_the_one_that_runs(host: FakeHost) -> None:
    host.start()
    host.put('/opt/docker/dockerd', 'ELF2')
    host.put('/etc/systemd/system/docker.service.d/x.conf', '[Service]\nExecStart=\nExecStart=/opt/docker/dockerd\n')
    found = host.inspect()
    assert found.binary_replaced
    assert found.binary == '/opt/docker/dockerd'


def test_outside_systemd(host: FakeHost) -> None:
    host.booted = False
    host.put('/usr/sbin/dockerd')
    host.put('/run/docker.pid', f'{PID}\n')
    host.process(('dockerd', '--bridge=none'))
    found = host.inspect()
    assert (found.unit, found.active_state, found.sub_state, found.running) == ('', 'active', 'outside systemd', True)
    assert [(flag.name, flag.source) for flag in found.flags] == [('bridge', 'command line')]


@pytest.mark.parametrize('text', ['', 'x', '99999999999999999999', '999'])
def test_a_pid_file_of_nobody(host: FakeHost, text: str) -> None:
    host.put('/run/docker.pid', text)
    assert host.inspect().main_pid == 0


def test_an_image_being_built_has_files_and_no_systemd(host: FakeHost) -> None:
    host.install()
    host.booted = False
    found = host.inspect()
    assert (found.installed, found.unit, found.active_state, found.running) == (True, 'docker.service', 'inactive', False)
    assert found.unit_flags[0].name == 'host'


def test_snap(host: FakeHost) -> None:
    host.put('/snap/bin/docker')
    host.put('/snap/docker/current/bin/dockerd')
    host.units[docker.SNAP_UNIT] = {'LoadState': 'loaded', 'ActiveState': 'inactive', 'UnitFileState': 'enabled'}
    found = host.inspect()
    assert (found.installed, found.flavour, found.unit, found.config_path) == (True, 'snap', docker.SNAP_UNIT, docker.SNAP_CONFIG_PATH)
    assert found.binary == '/snap/docker/current/bin/dockerd'


def test_a_running_native_docker_beside_a_snap(host: FakeHost) -> None:
    host.put('/snap/bin/docker')
    host.start()
    host.units[docker.SNAP_UNIT] = {'LoadState': 'loaded', 'ActiveState': 'inactive'}
    assert host.inspect().flavour == 'native'


def test_podman_docker_as_a_script(host: FakeHost) -> None:
    host.put('/usr/bin/docker', '#!/bin/sh\nexec /usr/bin/podman "$@"\n', 0o755)
    found = host.inspect()
    assert (found.installed, found.flavour) == (False, 'podman-docker')


def test_podman_docker_as_a_link(host: FakeHost) -> None:
    podman = host.put('/usr/bin/podman')
    (host.root / 'usr/bin/docker').symlink_to(podman)
    assert host.inspect().flavour == 'podman-docker'


def test_a_client_alone_is_no_engine(host: FakeHost) -> None:
    host.put('/usr/bin/docker', '\x7fELF')
    found = host.inspect()
    assert (found.installed, found.flavour) == (False, 'native')


def test_rootless(host: FakeHost) -> None:
    host.install(UnitFileState='disabled')
    host.put('/etc/passwd', 'ci:x:1000:1000::/home/ci:/bin/sh\n')
    assert host.inspect().flavour == 'native'
    host.put('/home/ci/.config/systemd/user/docker.service', '[Service]\n')
    assert host.inspect().flavour == 'rootless'


def test_a_system_daemon_counts_though_a_user_has_one_too(host: FakeHost) -> None:
    host.start()
    host.put('/home/ci/.config/systemd/user/docker.service', '[Service]\n')
    assert host.inspect().flavour == 'native'


FD = Flag('host', 'hosts', ('fd://',), 'unit', '')
TCP = Flag('host', 'hosts', ('tcp://0.0.0.0:2375',), 'unit', '')
BASES: list[tuple[list[Flag], list[str], str, str]] = [
    ([], [], '', 'unix:///var/run/docker.sock'),
    ([FD], [], '/run/docker.sock (Stream)', 'unix:///run/docker.sock'),
    ([FD], [], '[::]:2375 (Stream)\n/srv/d.sock (Stream)', 'unix:///srv/d.sock'),
    ([FD], [], '', 'unix:///var/run/docker.sock'),
    ([TCP, Flag('host', 'hosts', ('unix:///srv/d.sock',), 'unit', '')], [], '', 'unix:///srv/d.sock'),
    ([Flag('host', 'hosts', ('unix://',), 'unit', '')], [], '', 'unix:///var/run/docker.sock'),
    ([], ['tcp://127.0.0.1:1', 'unix:///srv/d.sock'], '', 'unix:///srv/d.sock'),
    ([TCP], [], '', 'tcp://127.0.0.1:2375'),
    ([TCP, Flag('tlsverify', 'tlsverify', ('true',), 'unit', '')], [], '', ''),
]


@pytest.mark.parametrize('flags, hosts, listen, base', BASES)
def test_api_base(flags: list[Flag], hosts: list[str], listen: str, base: str) -> None:
    assert docker.api_base(flags, hosts, listen) == base


def test_hosts_of_daemon_json(host: FakeHost) -> None:
    host.start(argv=('/usr/sbin/dockerd',))
    host.put('/etc/docker/daemon.json', '\ufeff{"hosts": ["unix:///srv/d.sock"]}')
    assert host.inspect().api_base == 'unix:///srv/d.sock'
    host.put('/etc/docker/daemon.json', '{broken')
    assert host.inspect().api_base == 'unix:///var/run/docker.sock'


INFO = {
    'RegistryConfig': {
        'Mirrors': ['http://a/'],
        'InsecureRegistryCIDRs': ['::1/128', '127.0.0.0/8'],
        'IndexConfigs': {'docker.io': {'Secure': True}, 'cache.lan:5000': {'Secure': False}},
    },
    'HttpProxy': 'http://xxxxx:xxxxx@p:1',
    'LiveRestoreEnabled': True,
    'DriverStatus': [['driver-type', 'io.containerd.snapshotter.v1']],
    'Swarm': {'LocalNodeState': 'active'},
}


def test_reported() -> None:
    found = docker.reported(INFO)
    assert found.mirrors == ('http://a/',)
    assert found.insecure_registries == ('::1/128', '127.0.0.0/8', 'cache.lan:5000')
    assert (found.http_proxy, found.https_proxy, found.live_restore, found.image_store, found.swarm_active) == (
        'http://xxxxx:xxxxx@p:1',
        '',
        True,
        'containerd',
        True,
    )


@pytest.mark.parametrize(
    'raw, masked',
    [
        ('http://user:50%s3cret@proxy:3128', 'http://xxxxx:xxxxx@proxy:3128'),
        ('user:s3cret@proxy:3128', 'xxxxx:xxxxx@proxy:3128'),
        ('http://xxxxx:xxxxx@proxy:3128', 'http://xxxxx:xxxxx@proxy:3128'),
    ],
)
def test_what_dockerd_could_not_mask_is_masked(raw: str, masked: str) -> None:
    found = docker.reported({'HttpProxy': raw, 'HttpsProxy': raw, 'Driver': 'overlay2'})
    assert (found.http_proxy, found.https_proxy) == (masked, masked)
    assert found.raw == {'HttpProxy': masked, 'HttpsProxy': masked, 'Driver': 'overlay2'}


EMPTY: list[dict[str, t.Any]] = [
    {},
    {'RegistryConfig': None, 'Swarm': None, 'DriverStatus': None},
    {'RegistryConfig': {'Mirrors': None, 'IndexConfigs': None}, 'Swarm': {'LocalNodeState': 'inactive'}, 'DriverStatus': [['Backing', 'extfs']]},
]


@pytest.mark.parametrize('info', EMPTY)
def test_reported_of_nothing(info: dict[str, t.Any]) -> None:
    found = docker.reported(info)
    assert (found.mirrors, found.insecure_registries, found.swarm_active, found.image_store) == ((), (), False, 'graphdriver')


def test_secrets_are_not_in_the_representation(host: FakeHost) -> None:
    host.start(argv=('/usr/sbin/dockerd', '--http-proxy=http://u:s3cret@p'), environ='HTTPS_PROXY=http://u:s3cret@p\0')
    assert 's3cret' not in repr(host.inspect())
