# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""hosts_toml and engine_apply against containerd 1.6, 1.7 and 2.1 through the CRI, and against Docker with the containerd image store."""

from __future__ import annotations

import json
import re
import typing as t

import grpc
import pytest

from lab import cri
from lab.api import Host, Lab, PlaybookRun

UPSTREAMS = ('docker.io', 'quay.io')
CONFIG = '/etc/containerd/config.toml'
CERTS_D = '/etc/containerd/certs.d'
TREE = 'cd /etc; find containerd docker -printf "%p %y %m %u %s %l\\n" | sort; cat containerd/config.toml'
MODULES = ('hosts_toml', 'engine_apply')

Results = t.Dict[str, t.Dict[str, t.Any]]


def play(*tasks: t.Mapping[str, t.Any]) -> str:
    return json.dumps([{'hosts': 'docker_hosts', 'gather_facts': False, 'tasks': list(tasks)}], indent=1)


def write(**options: t.Any) -> dict[str, t.Any]:
    return {'quickpull.registry.hosts_toml': options, 'ignore_errors': True}


def restart(**options: t.Any) -> dict[str, t.Any]:
    return {'quickpull.registry.engine_apply': {'engine': 'containerd', **options}, 'ignore_errors': True}


def result(run: PlaybookRun, host: Host, action: str) -> dict[str, t.Any]:
    (found,) = run.of(action=action, host=host.name)
    return {'msg': '', **found.result, 'failed': found.status == 'failed'}


def mirrors_of(lab: Lab, *names: str) -> dict[str, list[str]]:
    return {upstream: lab.urls(*names) for upstream in UPSTREAMS}


def containerd_pid(host: Host) -> str:
    return host.out('systemctl show -p MainPID --value containerd')


def pull(host: Host, *images: str) -> None:
    """Through the CRI, with nothing kept of before."""
    cri.cold(host)
    with cri.connect(host) as client:
        for image in images:
            client.pull(image)


def asked(lab: Lab, name: str, since: float, host: Host) -> list[str]:
    return [line['path'] for line in lab.access_log(name, since, client=host)]


@pytest.fixture(scope='module', autouse=True)
def as_new(lab: Lab) -> t.Iterator[None]:
    lab.everywhere(Host.reset)
    yield
    lab.everywhere(Host.reset)


@pytest.fixture
def host(lab: Lab) -> t.Iterator[Host]:
    """One host as new."""
    found = lab.hosts['lab-trixie']
    found.reset()
    yield found
    found.reset()


# From nothing to mirrors of two upstreams, and back

@pytest.fixture(scope='module')
def story(lab: Lab) -> dict[str, t.Any]:
    """Foreseen, done, again: what the modules said, and what the hosts were before and between."""
    lab.everywhere(Host.start_container)
    before = {name: host.out(TREE) for name, host in lab.hosts.items()}
    pids = {name: (host.dockerd_pid(), host.container_pids()) for name, host in lab.hosts.items()}
    upstreams = mirrors_of(lab, 'good-a', 'good-b')
    tasks = play(write(upstreams=upstreams), restart())
    told = {'before': before, 'pids': pids}
    told['foreseen'] = lab.playbook(tasks, check=True, diff=True)
    assert {name: host.out(TREE) for name, host in lab.hosts.items()} == before
    told['done'] = lab.playbook(tasks, diff=True)
    told['between'] = {name: containerd_pid(host) for name, host in lab.hosts.items()}
    told['again'] = lab.playbook(tasks)
    return told


def test_a_run_is_foreseen_and_a_second_one_changes_nothing(lab: Lab, story: dict[str, t.Any]) -> None:
    for host in lab.hosts.values():
        foreseen, done, again = (result(story[step], host, 'hosts_toml') for step in ('foreseen', 'done', 'again'))
        assert done['changed'] and not again['changed']
        for key in ('changed', 'files', 'left_out', 'config', 'plan', 'directory', 'diff'):
            assert foreseen[key] == done[key], key
        assert done['plan']['action'] == 'restart' and not done['plan']['blockers']
        assert again['plan']['action'] == 'none'
        applied = result(story['done'], host, 'engine_apply')
        assert (applied['changed'], applied['action'], applied['pending']) == (True, 'restart', [])
        assert not result(story['again'], host, 'engine_apply')['changed']
        assert containerd_pid(host) == story['between'][host.name]


def test_docker_and_its_containers_live_on(lab: Lab, story: dict[str, t.Any]) -> None:
    assert {name: (host.dockerd_pid(), host.container_pids()) for name, host in lab.hosts.items()} == story['pids']
    lab.everywhere(lambda host: host.run('docker exec keep true'))


def test_only_one_key_of_the_configuration_changed(lab: Lab, story: dict[str, t.Any]) -> None:
    for host in lab.hosts.values():
        old, new = story['before'][host.name].splitlines(), host.get(CONFIG).splitlines()
        assert [line for line in old[-9:] if line not in new] == []
        assert [line.strip() for line in new if 'config_path' in line] == [f'config_path = "{CERTS_D}"']
        assert host.out('stat -c "%a %U" /etc/containerd/certs.d/quay.io/hosts.toml') == '644 root'


@pytest.mark.parametrize('upstream', UPSTREAMS)
def test_the_cri_pulls_from_the_first_mirror(lab: Lab, story: dict[str, t.Any], upstream: str) -> None:
    for host in lab.hosts.values():
        since = lab.mark()
        pull(host, f'{upstream}/library/nginx:latest')
        paths = asked(lab, 'good-a', since, host)
        assert [path for path in paths if '/blobs/' in path] and [path for path in paths if '/manifests/latest' in path], host.name
        assert all(f'ns={upstream}' in path for path in paths if '/manifests/' in path)
        assert asked(lab, 'good-b', since, host) == asked(lab, 'hub', since, host) == []


def test_ctr_pulls_from_it_too(lab: Lab, story: dict[str, t.Any]) -> None:
    for host in lab.hosts.values():
        cri.cold(host)
        since = lab.mark()
        host.run(f'ctr images pull --hosts-dir {CERTS_D} quay.io/library/busybox:latest >/dev/null && ctr images rm --sync quay.io/library/busybox:latest')
        assert asked(lab, 'good-a', since, host), host.name


def test_the_next_mirror_when_the_first_is_gone_without_a_restart(lab: Lab, story: dict[str, t.Any]) -> None:
    run = lab.playbook(play(write(upstreams=mirrors_of(lab, 'refused', 'good-b')), restart()))
    for host in lab.hosts.values():
        assert result(run, host, 'hosts_toml')['changed']
        assert not result(run, host, 'engine_apply')['changed']
        assert containerd_pid(host) == story['between'][host.name]
        since = lab.mark()
        pull(host, *(f'{upstream}/library/busybox:latest' for upstream in UPSTREAMS))
        assert asked(lab, 'good-b', since, host)
        assert asked(lab, 'hub', since, host) == []


def test_all_dead_means_the_upstream_itself(lab: Lab, story: dict[str, t.Any]) -> None:
    lab.playbook(play(write(upstreams=mirrors_of(lab, 'refused')))).ok()
    for host in lab.hosts.values():
        since = lab.mark()
        pull(host, 'quay.io/library/busybox:latest')
        assert 'quay.io' in {line['host'] for line in lab.access_log('hub', since, client=host)}


def test_a_mirror_trusted_with_content_alone_does_not_say_what_a_tag_is(lab: Lab, story: dict[str, t.Any]) -> None:
    content = [{'url': lab.mirror('good-a').url, 'trust': 'content'}]
    run = lab.playbook(play(write(upstreams={'quay.io': content}))).ok()
    for host in lab.hosts.values():
        assert result(run, host, 'hosts_toml')['tags_from_upstream'] == ['quay.io']
        since = lab.mark()
        pull(host, 'quay.io/library/nginx:latest')
        at_mirror, at_upstream = asked(lab, 'good-a', since, host), asked(lab, 'hub', since, host)
        assert [path for path in at_mirror if '/blobs/' in path]
        assert not [path for path in at_mirror if '/manifests/latest' in path]
        assert [path for path in at_upstream if '/manifests/latest' in path]
        assert not [path for path in at_upstream if '/blobs/' in path]


@pytest.mark.parametrize('name, more', [('good-tls', {'ca_path': '/usr/local/share/ca-certificates/quickpull-lab.crt'}), ('good-path', {})])
def test_mirrors_with_an_authority_or_a_path(lab: Lab, story: dict[str, t.Any], name: str, more: dict[str, str]) -> None:
    mirror = {'url': lab.mirror(name).url, **more}
    lab.playbook(play(write(upstreams={'quay.io': [mirror]}))).ok()
    for host in lab.hosts.values():
        since = lab.mark()
        pull(host, 'quay.io/library/busybox:latest')
        assert asked(lab, name, since, host)
        assert asked(lab, 'hub', since, host) == []


def test_headers_are_sent_and_shown_nowhere(lab: Lab, story: dict[str, t.Any]) -> None:
    secret = 'bGFiOnNlY3JldC1pbi1hLWhlYWRlcg=='
    mirror = {'url': lab.mirror('good-a').url, 'headers': {'authorization': f'Basic {secret}'}}
    run = lab.playbook(play(write(upstreams={'quay.io': [mirror]})), diff=True, arguments=['-vvvv']).ok()
    assert secret not in run.stdout + run.stderr
    for host in lab.hosts.values():
        assert host.out(f'stat -c %a {CERTS_D}/quay.io/hosts.toml') == '600'
        since = lab.mark()
        pull(host, 'quay.io/library/busybox:latest')
        assert {line['user'] for line in lab.access_log('good-a', since, client=host)} == {'lab'}
        assert host.run(f'journalctl -o export --no-pager | grep -c {secret}', check=False).stdout.strip() == '0'


def test_taking_away_one_upstream_and_then_all_leaves_nothing(lab: Lab, story: dict[str, t.Any]) -> None:
    lab.playbook(play(write(upstreams={'quay.io': []}))).ok()
    for host in lab.hosts.values():
        assert host.out(f'ls {CERTS_D}') == 'docker.io'
        assert 'config_path' in host.get(CONFIG)
    foreseen, done, again = (lab.playbook(play(write(state='absent')), check=check).ok().changed() for check in (True, False, False))
    assert (foreseen, done, again) == (3, 3, 0)
    assert {name: host.out(TREE) for name, host in lab.hosts.items()} == story['before']
    state = 'find /var/lib/quickpull.registry -name journal -prune -o -type f -print'  # the journal outlives what it tells of
    assert lab.everywhere(lambda host: host.out(state)) == dict.fromkeys(lab.hosts, '/var/lib/quickpull.registry/lock')
    for host in lab.hosts.values():
        since = lab.mark()
        pull(host, 'quay.io/library/busybox:latest')
        assert asked(lab, 'hub', since, host)


# What others have

THEIRS = 'server = "https://quay.io" # theirs\n'


def test_a_foreign_file_is_left_alone_unless_told_otherwise(lab: Lab, host: Host) -> None:
    path = f'{CERTS_D}/quay.io/hosts.toml'
    host.put(path, THEIRS, 0o640)
    before = host.out(TREE)
    upstreams = {'quay.io': lab.urls('good-a')}
    left = result(lab.playbook(play(write(upstreams=upstreams)), limit=host.name), host, 'hosts_toml')
    assert not left['changed']
    assert path in left['left_out'][0] and 'overwrite' in left['left_out'][0]
    assert host.out(TREE) == before
    assert result(lab.playbook(play(write(upstreams=upstreams, overwrite=True)), limit=host.name), host, 'hosts_toml')['changed']
    assert 'good-a' in host.get(path)
    lab.playbook(play(write(state='absent')), limit=host.name).ok()
    assert host.get(path) == THEIRS
    assert host.out(TREE) == before


def test_certificates_that_lie_beside_are_still_used(lab: Lab, host: Host) -> None:
    host.run(f'mkdir -p {CERTS_D}/quay.io; cp /usr/local/share/ca-certificates/quickpull-lab.crt {CERTS_D}/quay.io/own.crt')
    lab.playbook(play(write(upstreams={'quay.io': lab.urls('refused')}), restart()), limit=host.name).ok()
    host.run('rm -f /etc/ssl/certs/*; systemctl restart containerd')
    pull(host, 'quay.io/library/busybox:latest')


TABLES = '\n[plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]\n  endpoint = ["http://old.lab:5000"]\n'


def test_mirrors_in_tables_are_reported_and_the_cri_lives(lab: Lab, host: Host) -> None:
    host.put(CONFIG, host.get(CONFIG) + TABLES)
    host.run('systemctl restart containerd')
    text = host.get(CONFIG)
    found = result(lab.playbook(play(write(upstreams=mirrors_of(lab, 'good-a')), restart()), limit=host.name), host, 'hosts_toml')
    assert 'mirrors of docker.io' in found['config']['because'] and 'registry_access_mirrors' in found['config']['because']
    assert host.get(CONFIG) == text
    assert host.exists(f'{CERTS_D}/docker.io/hosts.toml')
    with cri.connect(host) as client:
        client.version()


def test_a_config_path_of_others_is_used_and_stays(lab: Lab, host: Host) -> None:
    theirs = '\n[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/srv/hosts:/etc/other"\n'
    host.put(CONFIG, host.get(CONFIG) + theirs)
    host.run('systemctl restart containerd')
    text, pid = host.get(CONFIG), containerd_pid(host)
    found = result(lab.playbook(play(write(upstreams=mirrors_of(lab, 'good-a')), restart()), limit=host.name), host, 'hosts_toml')
    assert found['directory'] == '/srv/hosts'
    assert found['plan']['action'] == 'none'
    since = lab.mark()
    pull(host, 'docker.io/library/busybox:latest')
    assert asked(lab, 'good-a', since, host)
    lab.playbook(play(write(state='absent')), limit=host.name).ok()
    assert (host.get(CONFIG), containerd_pid(host)) == (text, pid)
    assert not host.exists('/srv/hosts')


def test_a_disabled_cri_is_left_alone(lab: Lab, host: Host) -> None:
    host.put(CONFIG, 'disabled_plugins = ["cri"]\n')
    host.run('systemctl restart containerd')
    found = result(lab.playbook(play(write(upstreams=mirrors_of(lab, 'good-a')), restart()), limit=host.name), host, 'hosts_toml')
    assert 'disables the CRI plugin' in found['config']['because']
    assert host.get(CONFIG) == 'disabled_plugins = ["cri"]\n'


def test_no_configuration_at_all(lab: Lab) -> None:
    lab.everywhere(lambda host: host.run('rm -r /etc/containerd; systemctl restart containerd'))
    lab.playbook(play(write(upstreams=mirrors_of(lab, 'good-a')), restart())).ok()
    for host in lab.hosts.values():
        since = lab.mark()
        pull(host, 'quay.io/library/busybox:latest')
        assert asked(lab, 'good-a', since, host), host.name
    lab.playbook(play(write(state='absent'))).ok()
    assert lab.everywhere(lambda host: host.exists('/etc/containerd')) == dict.fromkeys(lab.hosts, False)
    lab.everywhere(Host.reset)


def test_somebody_edited_the_file_since(lab: Lab, host: Host) -> None:
    before = host.get(CONFIG)
    lab.playbook(play(write(upstreams=mirrors_of(lab, 'good-a'))), limit=host.name).ok()
    host.put(CONFIG, '# on top\n' + host.get(CONFIG) + '[debug]\n  level = "info"\n')
    lab.playbook(play(write(state='absent')), limit=host.name).ok()
    assert [line for line in host.get(CONFIG).splitlines() if line] == [
        '# on top', *(line for line in before.splitlines() if line), '[debug]', '  level = "info"',
    ]


LIST = '/etc/own:/etc/containerd/certs.d'
DEFAULT_LIST = '/etc/containerd/certs.d:/etc/docker/certs.d'
OLD_TABLE = 'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "%s"\n'
NEW_TABLE = 'version = 3\n[plugins."io.containerd.cri.v1.images"]\n%s[plugins."io.containerd.cri.v1.images".registry]\n  config_path = "%s"\n'


def test_an_earlier_directory_of_config_path_comes_first(lab: Lab) -> None:
    """Its `_default` too, before the very file of the upstream in a later one."""
    def config(host: Host) -> None:
        local = '  use_local_image_pull = true\n'
        host.put(CONFIG, NEW_TABLE % (local, LIST) if host.name == 'lab-forky' else OLD_TABLE % LIST)
        host.run('systemctl restart containerd')
        host.put('/etc/own/_default/hosts.toml', f'[host."{lab.mirror("good-b").url}"]\n  capabilities = ["pull", "resolve"]\n')

    lab.everywhere(config)
    run = lab.playbook(play(write(upstreams={'quay.io': lab.urls('good-a')}))).ok()
    since = lab.mark()
    for host in lab.hosts.values():
        assert '/etc/own/_default comes before the file of quay.io' in result(run, host, 'hosts_toml')['warnings'][0], host.name
        pull(host, 'quay.io/library/busybox:latest')
        assert asked(lab, 'good-b', since, host), host.name
        assert not asked(lab, 'good-a', since, host), host.name
    lab.everywhere(Host.reset)


def test_a_list_of_directories_that_containerd_does_not_read(lab: Lab) -> None:
    """containerd#12808: by the transfer service of 2.1, that is, by default, a list is the name of one directory that is not there."""
    host = lab.hosts['lab-forky']
    tasks = play(write(upstreams={'quay.io': lab.urls('good-a')}), restart())
    host.put(CONFIG, NEW_TABLE % ('', LIST))
    host.run('systemctl restart containerd')
    since = lab.mark()
    told = result(lab.playbook(tasks, limit=host.name).ok(), host, 'hosts_toml')
    pull(host, 'quay.io/library/busybox:latest')
    assert asked(lab, 'hub', since, host) and not asked(lab, 'good-a', since, host)
    assert 'containerd#12808' in told['config']['because']
    lab.playbook(play(write(state='absent')), limit=host.name).ok()
    theirs = NEW_TABLE % ('', DEFAULT_LIST)
    host.put(CONFIG, theirs)
    host.run('systemctl restart containerd')
    run = lab.playbook(tasks, limit=host.name).ok()
    assert result(run, host, 'engine_apply')['action'] == 'restart'
    since = lab.mark()
    pull(host, 'quay.io/library/busybox:latest')
    assert asked(lab, 'good-a', since, host) and not asked(lab, 'hub', since, host)
    assert lab.playbook(tasks, limit=host.name).ok().changed() == 0
    lab.playbook(play(write(state='absent')), limit=host.name).ok()
    assert host.get(CONFIG) == theirs
    host.reset()


# When it goes wrong

def test_a_cri_that_does_not_come_up_is_put_back(lab: Lab) -> None:
    """What others wrote meanwhile does not go together with our key: systemd calls containerd active, and its CRI is gone."""
    lab.playbook(play(write(upstreams=mirrors_of(lab, 'good-a')))).ok()
    hosts = [lab.hosts['lab-bookworm'], lab.hosts['lab-trixie'], lab.hosts['lab-forky']]
    for host in hosts:
        host.put(CONFIG, host.get(CONFIG) + TABLES)
    run = lab.playbook(play(restart(timeout=8)))
    for host in hosts:
        failed = result(run, host, 'engine_apply')
        assert failed['failed'], host.name
        assert 'no CRI' in failed['msg'] and f'Put back as before: {CONFIG}' in failed['msg'] and 'It runs again' in failed['msg'], failed['msg']
        assert re.search(r'mirrors.*cannot be set|config_path', failed['msg'])
        assert 'config_path' not in host.get(CONFIG) and 'old.lab' in host.get(CONFIG)
        with cri.connect(host) as client:
            client.version()
    lab.everywhere(Host.reset)


def test_nothing_is_put_back_when_that_is_not_wanted(lab: Lab, host: Host) -> None:
    lab.playbook(play(write(upstreams=mirrors_of(lab, 'good-a'))), limit=host.name).ok()
    host.put(CONFIG, host.get(CONFIG) + TABLES)
    failed = result(lab.playbook(play(restart(timeout=5, rollback=False)), limit=host.name), host, 'engine_apply')
    assert failed['failed'] and 'Nothing was put back' in failed['msg']
    with cri.connect(host) as client, pytest.raises(grpc.RpcError):
        client.version()


@pytest.mark.parametrize('drop_in, blocker', [('[Service]\nKillMode=mixed\n', 'kill_mode'), ('', 'dependents')])
def test_a_restart_that_would_stop_something_waits(lab: Lab, host: Host, drop_in: str, blocker: str) -> None:
    if drop_in:
        host.put('/etc/systemd/system/containerd.service.d/kill.conf', drop_in)
    else:
        host.put('/etc/systemd/system/billing.service', '[Unit]\nRequires=containerd.service\n[Service]\nExecStart=/bin/sleep 1d\n')
    host.run('systemctl daemon-reload; [ ! -e /etc/systemd/system/billing.service ] || systemctl start billing')
    pid = containerd_pid(host)
    run = lab.playbook(play(write(upstreams=mirrors_of(lab, 'good-a')), restart()), limit=host.name).ok()
    assert result(run, host, 'hosts_toml')['plan']['blockers'] == [blocker]
    assert result(run, host, 'engine_apply')['pending']
    assert containerd_pid(host) == pid
    done = result(lab.playbook(play(restart(restart='always')), limit=host.name), host, 'engine_apply')
    assert done['changed'] and containerd_pid(host) != pid
    assert result(lab.playbook(play(write(upstreams=mirrors_of(lab, 'good-a'))), limit=host.name), host, 'hosts_toml')['plan']['action'] == 'none'


def test_a_stopped_containerd_stays_stopped(lab: Lab, host: Host) -> None:
    host.run('systemctl stop docker docker.socket containerd')
    run = lab.playbook(play(write(upstreams=mirrors_of(lab, 'good-a')), restart()), limit=host.name).ok()
    assert result(run, host, 'hosts_toml')['plan']['action'] == 'none'
    assert host.out('systemctl is-active containerd || true') == 'inactive'


def test_a_configuration_that_containerd_refuses_is_not_touched(lab: Lab, host: Host) -> None:
    broken = 'version = 2\n[plugins\n'
    host.put(CONFIG, broken)
    run = lab.playbook(play(write(upstreams=mirrors_of(lab, 'good-a'))), limit=host.name)
    found = result(run, host, 'hosts_toml')
    assert 'containerd does not understand it' in found['config']['because']
    assert host.get(CONFIG) == broken


@pytest.mark.parametrize('options, told', [
    ({'upstreams': {'quay': []}}, 'is not the name of a registry'),
    ({'upstreams': {'quay.io': ['ftp://x']}}, "upstreams['quay.io'][0]"),
    ({'upstreams': {'quay.io': 'http://x'}}, 'a list of mirrors'),
    ({}, 'upstreams'),
])
def test_what_makes_no_sense_is_refused(lab: Lab, options: dict[str, t.Any], told: str) -> None:
    host = lab.hosts['lab-forky']
    found = result(lab.playbook(play(write(**options)), limit=host.name), host, 'hosts_toml')
    assert found['failed'] and told in found['msg']
    assert not host.exists(CERTS_D)


# Docker

def test_docker_with_the_containerd_image_store_reads_them(lab: Lab) -> None:
    new, old = lab.hosts['lab-forky'], lab.hosts['lab-trixie']
    new.put('/etc/docker/daemon.json', '{"features": {"containerd-snapshotter": true}}')
    new.run('systemctl restart docker')
    before = new.out(TREE)
    tasks = play(write(engine='docker', upstreams={'quay.io': lab.urls('good-a')}))
    run = lab.playbook(tasks).ok()
    assert result(run, new, 'hosts_toml').get('warnings', []) == []
    assert 'that came with 28.0' in result(run, old, 'hosts_toml')['warnings'][0]
    since = lab.mark()
    new.run('docker pull -q quay.io/library/nginx:latest')
    assert [path for path in asked(lab, 'good-a', since, new) if '/blobs/' in path]
    assert asked(lab, 'hub', since, new) == []
    assert lab.playbook(tasks).ok().changed() == 0
    lab.playbook(play(write(engine='docker', state='absent'))).ok()
    assert new.out(TREE) == before
    lab.everywhere(Host.reset)
