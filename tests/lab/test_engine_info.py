# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What container_engine_info and docker_daemon_info say of real daemons, held against what those really do."""

from __future__ import annotations

import json
import typing as t

import pytest

from lab.api import Host, Lab

BOTH = """---
- hosts: docker_hosts
  gather_facts: false
  tasks:
    - quickpull.registry.container_engine_info:
    - quickpull.registry.docker_daemon_info:
"""
MIRROR = 'http://mirror.example:5000'
HUB_LOGIN = json.dumps({'auths': {'https://index.docker.io/v1/': {'auth': 'bGFiOnMzY3JldA=='}}})
DROP_IN = """[Service]
Environment=HTTPS_PROXY=http://lab:s3cret@proxy.lab:3128
ExecStart=
ExecStart=/usr/sbin/dockerd -H fd:// --config-file=/srv/docker.json $DOCKER_OPTS -l info
"""
DEPENDENT = '[Unit]\nRequires=docker.service\nAfter=docker.service\n[Service]\nExecStart=/bin/sleep infinity\n'

Found = t.Dict[str, t.Dict[str, t.Any]]


def look(lab: Lab) -> tuple[Found, Found]:
    """Run both modules on all hosts. Returns the whole results of both, by host."""
    run = lab.playbook(BOTH, arguments=['-vvv']).ok()
    assert 's3cret' not in run.stdout
    assert run.changed() == 0
    engine, daemon = (
        {name: run.result(action=action, host=name) for name in lab.hosts} for action in ('container_engine_info', 'docker_daemon_info')
    )
    return engine, daemon


def restart(host: Host) -> None:
    host.run('systemctl reset-failed docker.service docker.socket; systemctl daemon-reload; systemctl restart docker')


@pytest.fixture(scope='module', autouse=True)
def as_new(lab: Lab) -> t.Iterator[None]:
    """Hosts as new, before and after."""
    lab.everywhere(Host.reset)
    yield
    lab.everywhere(Host.reset)


def furnish(host: Host) -> None:
    """A host with a history: flags from three places, live-restore, logins, containers of each kind, a unit that needs Docker."""
    host.put('/etc/default/docker', f'DOCKER_OPTS="--registry-mirror={MIRROR} --label=room=\'a b\'"\n')
    host.put('/etc/systemd/system/docker.service.d/mine.conf', DROP_IN)
    host.put('/srv/docker.json', '{"live-restore": true, "insecure-registries": ["cache.example:5000"]}')
    host.put('/etc/systemd/system/billing.service', DEPENDENT)
    host.put('/etc/systemd/system/idle.service', DEPENDENT)
    host.run('systemctl enable -q billing idle')
    restart(host)
    host.run('systemctl start billing')
    host.run('echo ci:x:1000:1000::/srv/ci:/bin/sh >> /etc/passwd; mkdir -p /srv/ci/.docker && mkfifo /srv/ci/.docker/config.json')
    host.put('/root/.docker/config.json', HUB_LOGIN)
    host.load_busybox()
    # sleep as the first process of a container does not heed SIGTERM, and ten seconds each are long.
    run = 'docker run -d --stop-signal KILL'
    host.run(f'for policy in no always unless-stopped on-failure; do {run} --restart $policy --name $policy busybox sleep 1d; done')
    host.run(f'{run} --rm --name removed busybox sleep 1d')
    host.run('docker run --name ended busybox true')


@pytest.fixture(scope='module')
def busy(lab: Lab) -> tuple[Found, Found]:
    lab.everywhere(furnish)
    return look(lab)


def test_flags_and_where_they_come_from(host: Host, busy: tuple[Found, Found]) -> None:
    docker = busy[0][host.name]['engines']['docker']
    flags = [(flag['name'], flag['key'], flag['values'], flag['source'], flag['path']) for flag in docker['flags']]
    drop_in = '/etc/systemd/system/docker.service.d/mine.conf'
    assert flags == [
        ('host', 'hosts', ['fd://'], 'drop-in', drop_in),
        ('config-file', '', ['/srv/docker.json'], 'drop-in', drop_in),
        ('registry-mirror', 'registry-mirrors', [MIRROR], 'EnvironmentFile', '/etc/default/docker'),
        ('label', 'labels', ['room=a b'], 'EnvironmentFile', '/etc/default/docker'),
        ('log-level', 'log-level', ['info'], 'drop-in', drop_in),
    ]
    assert docker['flags_at_next_start'] == docker['flags']
    assert docker['config_path'] == '/srv/docker.json'


def test_the_engine(host: Host, busy: tuple[Found, Found]) -> None:
    found = busy[0][host.name]
    docker = found['engines']['docker']
    assert (found['installed'], found['notes'], docker['flavour']) == (['containerd', 'docker', 'podman'], [], 'native')
    assert docker['version'] == docker['binary_version'] == host.out("docker version --format '{{.Server.Version}}'")
    assert (docker['binary'], docker['binary_replaced'], docker['live_restore'], docker['swarm_active']) == ('/usr/sbin/dockerd', False, True, False)
    assert docker['service']['main_pid'] == host.dockerd_pid()
    assert docker['via'] == ('sdk' if host.facts['sdk'] else 'socket')
    assert docker['dependents'] == ['billing.service']
    assert docker['hub_logins'] == ['/root/.docker/config.json']
    assert docker['containers_running'] == 5
    assert docker['containers_lost_by_restart'] == ['no', 'on-failure', 'removed']


def test_the_daemon(host: Host, busy: tuple[Found, Found]) -> None:
    found = busy[1][host.name]
    assert (found['running'], found['mirrors'], found['live_restore']) == (True, [f'{MIRROR}/'], True)
    assert {'cache.example:5000', '127.0.0.0/8'} <= set(found['insecure_registries'])
    assert found['proxies'] == {'http_proxy': '', 'https_proxy': 'http://xxxxx:xxxxx@proxy.lab:3128', 'no_proxy': ''}
    assert found['config'] == {'live-restore': True, 'insecure-registries': ['cache.example:5000']}


def test_those_said_to_survive_a_restart_do(lab: Lab, busy: tuple[Found, Found]) -> None:
    def without_live_restore(host: Host) -> None:
        # The reload comes first: a daemon that starts without live-restore and finds containers alive stops them as if by hand.
        host.put('/srv/docker.json', '{"live-restore": false}')
        host.run('systemctl reload docker')
        restart(host)

    lab.everywhere(without_live_restore)
    engine, _daemon = look(lab)
    for name, host in lab.hosts.items():
        running = set(host.container_pids())
        lost = set(busy[0][name]['engines']['docker']['containers_lost_by_restart'])
        assert {'always', 'unless-stopped'} <= running, name
        assert running - {'on-failure'} == {'always', 'unless-stopped'}, name
        assert running - lost == {'always', 'unless-stopped'}, name
        assert engine[name]['engines']['docker']['live_restore'] is False, name
    lab.everywhere(lambda host: host.run('docker rm -f $(docker ps -aq)'))


def test_what_is_written_and_not_loaded_yet(lab: Lab, busy: tuple[Found, Found]) -> None:
    lab.everywhere(lambda host: host.put('/etc/default/docker', 'DOCKER_OPTS=--ipv6=false\n'))
    engine, _daemon = look(lab)
    for name in lab.hosts:
        docker = engine[name]['engines']['docker']
        in_force = {flag['name']: flag['source'] for flag in docker['flags']}
        assert in_force['registry-mirror'] == 'command line', name
        assert 'ipv6' not in in_force, name
        assert {flag['name'] for flag in docker['flags_at_next_start']} == {'host', 'config-file', 'ipv6', 'log-level'}, name


def test_started_at_tells_older_files_from_newer_ones(lab: Lab, busy: tuple[Found, Found]) -> None:
    def around_a_restart(host: Host) -> None:
        host.put('/srv/before', '')
        restart(host)
        host.put('/srv/after', '')

    lab.everywhere(around_a_restart)
    first, _daemon = look(lab)
    again, _daemon = look(lab)
    for name, host in lab.hosts.items():
        before, after = map(float, host.out('stat -c %.9Z /srv/before /srv/after').split())
        started = first[name]['engines']['docker']['service']['started_at']
        assert before < started < after, name
        assert abs(again[name]['engines']['docker']['service']['started_at'] - started) < 0.01, name


def test_a_binary_that_was_replaced(lab: Lab, busy: tuple[Found, Found]) -> None:
    lab.everywhere(lambda host: host.run('cp /usr/sbin/dockerd /usr/sbin/dockerd.new && mv /usr/sbin/dockerd.new /usr/sbin/dockerd'))
    engine, _daemon = look(lab)
    assert [engine[name]['engines']['docker']['binary_replaced'] for name in lab.hosts] == [True] * 3
    lab.everywhere(restart)
    engine, _daemon = look(lab)
    assert [engine[name]['engines']['docker']['binary_replaced'] for name in lab.hosts] == [False] * 3


def test_swarm(lab: Lab, busy: tuple[Found, Found]) -> None:
    lab.everywhere(lambda host: host.run(f'docker swarm init --advertise-addr {host.address}'))
    engine, daemon = look(lab)
    for name in lab.hosts:
        assert engine[name]['engines']['docker']['swarm_active'] is True, name
        assert daemon[name]['swarm_active'] is True, name


def test_a_stopped_daemon_is_not_started_by_looking_at_it(lab: Lab, busy: tuple[Found, Found]) -> None:
    lab.everywhere(lambda host: host.run('docker swarm leave --force; systemctl stop docker.service 2>/dev/null; systemctl is-active docker.socket'))
    engine, daemon = look(lab)
    for name, host in lab.hosts.items():
        docker = engine[name]['engines']['docker']
        assert (docker['running'], docker['service']['active_state'], docker['live_restore'], docker['via']) == (False, 'inactive', None, ''), name
        assert docker['version'] in host.out('dockerd --version'), name
        assert [flag['name'] for flag in docker['flags']] == ['host', 'config-file', 'ipv6', 'log-level'], name
        assert (daemon[name]['running'], daemon[name]['mirrors']) == (False, None), name
        assert host.out('systemctl is-active docker.service || true') == 'inactive', name


def test_a_masked_unit(lab: Lab, busy: tuple[Found, Found]) -> None:
    lab.everywhere(lambda host: host.run('systemctl mask -q docker.service'))
    engine, _daemon = look(lab)
    for name in lab.hosts:
        assert engine[name]['engines']['docker']['service']['unit_file_state'] == 'masked', name
        assert 'docker' in engine[name]['installed'], name


def test_docker_removed_and_podmans_stand_in(lab: Lab, busy: tuple[Found, Found]) -> None:
    lab.everywhere(lambda host: host.run('systemctl unmask -q docker.service; dpkg --force-depends --purge docker.io; systemctl daemon-reload'))
    engine, daemon = look(lab)
    for name in lab.hosts:
        assert (engine[name]['installed'], engine[name]['notes']) == (['containerd', 'podman'], []), name
        assert (daemon[name]['installed'], daemon[name]['running']) == (False, False), name
    shim = '#!/bin/sh\nexec /usr/bin/podman "$@"\n'
    lab.everywhere(lambda host: host.put('/usr/bin/docker', shim, 0o755))
    engine, daemon = look(lab)
    for name in lab.hosts:
        assert daemon[name]['flavour'] == 'podman-docker', name
        assert 'Podman' in engine[name]['notes'][0], name
