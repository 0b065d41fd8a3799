# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rollback.yml on hosts with Docker, containerd, Podman, BuildKit and logins: what was there before a run is there again, to the byte."""

from __future__ import annotations

import json
import typing as t

import pytest

from lab.api import Host, Lab, PlaybookRun

SECRETS = ('first-secret-pw', 'second-secret-pw', 'ZGVwbG95OmZpcnN0LXNlY3JldC1wdw==', 'ZGVwbG95OnNlY29uZC1zZWNyZXQtcHc=')
TREE = (
    'at="/etc /root /home"; find $at -path /root/.ansible -prune -o -printf "%p %y %m %U %G %l\\n" | sort; '
    'find $at -path /root/.ansible -prune -o -type f -print | sort | xargs -d "\\n" sha256sum'
)
FOREIGN = '{\n  "log-level": "info",\n  "debug": false\n}\n'
HOSTS_TOML = '/etc/containerd/certs.d/quay.io/hosts.toml'


@pytest.fixture(scope='module', name='lab')
def two_hosts(lab: Lab) -> Lab:
    """The oldest and the newest of each engine."""
    return lab.only('lab-bookworm', 'lab-forky')


def site(lab: Lab, mirror: str, password: str, **more: t.Any) -> PlaybookRun:
    """One run of site.yml with this mirror and this password."""
    url = lab.mirror(mirror).url
    variables = {
        'registry_access_engines': ['docker', 'containerd', 'podman'],
        'registry_access_mirrors': {'docker.io': [url], 'quay.io': [url]},
        'registry_access_probe': False,
        'registry_access_podman_users': ['alice'],
        'registry_access_buildkit_users': ['alice'],
        'registry_access_auth_verify': 'never',
        'registry_access_auths': [
            {'registry': 'registry.team.lab', 'username': 'deploy', 'password': password},
            {'registry': 'registry.team.lab', 'username': 'deploy', 'password': password, 'user': 'alice'},
        ],
    }
    return lab.playbook('playbooks/site.yml', extra_vars=variables, timeout=900, **more)


def rollback(lab: Lab, run: str = '', **more: t.Any) -> PlaybookRun:
    return lab.playbook('playbooks/rollback.yml', extra_vars={'registry_rollback_run': run} if run else {}, timeout=900, **more)


def trees(lab: Lab) -> dict[str, str]:
    return lab.everywhere(lambda host: host.out(TREE))


def pids(lab: Lab) -> dict[str, t.Any]:
    return lab.everywhere(lambda host: (host.dockerd_pid(), host.container_pids()))


def remembered(lab: Lab) -> dict[str, list[str]]:
    """Ids of the runs on each host, the oldest first."""
    return lab.everywhere(lambda host: [name.split('.', 1)[1] for name in sorted(host.out('ls /var/lib/quickpull.registry/journal').split())])


def result_of(run: PlaybookRun, host: Host | str) -> dict[str, t.Any]:
    name = host if isinstance(host, str) else host.name
    return run.of(task='Put back what the run changed', host=name)[0].result


def prepare(host: Host) -> None:
    """A host that somebody has set up before."""
    # Debian 14's smallest system has no useradd.
    host.run('echo alice:x:4321:4321::/home/alice:/bin/sh >> /etc/passwd; mkdir -p /home/alice; chown 4321:4321 /home/alice')
    host.put('/etc/docker/daemon.json', FOREIGN, 0o640)
    host.run('systemctl reload docker')
    host.put('/root/.docker/config.json', '{"auths": {"other.lab": {"auth": "b3RoZXI6b3RoZXI="}}}', 0o644)
    host.run('chmod 755 /root/.docker')
    host.start_container()


@pytest.fixture(scope='module')
def story(lab: Lab) -> t.Iterator[dict[str, t.Any]]:
    lab.everywhere(Host.reset)
    lab.everywhere(prepare)
    told: dict[str, t.Any] = {'trees': [trees(lab)], 'pids': pids(lab), 'runs': []}
    for mirror, password in (('good-a', SECRETS[0]), ('good-b', SECRETS[1])):
        told['runs'].append(site(lab, mirror, password, diff=True).ok())
        told['trees'].append(trees(lab))
    told['pids after'] = pids(lab)
    told['remembered'] = remembered(lab)
    told['foreseen'] = rollback(lab, check=True, diff=True).ok()
    told['trees'].append(trees(lab))
    told['back'] = rollback(lab, diff=True).ok()
    told['trees'].append(trees(lab))
    told['mirrors'] = lab.everywhere(Host.mirrors_in_force)
    told['again'] = rollback(lab).ok()
    told['trees'].append(trees(lab))
    yield told
    lab.everywhere(Host.reset)


def test_a_run_of_the_role_is_one_run_on_all_hosts(lab: Lab, story: dict[str, t.Any]) -> None:
    runs = story['remembered']
    assert len({tuple(ids) for ids in runs.values()}) == 1, runs
    assert len(next(iter(runs.values()))) == 2
    assert all(ident.endswith('-site') for ident in next(iter(runs.values())))


def test_the_journal_is_for_root_alone(lab: Lab, story: dict[str, t.Any]) -> None:
    for host in lab.hosts.values():
        assert host.out('find /var/lib/quickpull.registry/journal -perm /077') == ''


def test_check_mode_changes_nothing_and_foresees_it(lab: Lab, story: dict[str, t.Any]) -> None:
    assert story['trees'][3] == story['trees'][2]
    for host in lab.hosts:
        assert result_of(story['foreseen'], host)['put_back'] == result_of(story['back'], host)['put_back']
        assert result_of(story['foreseen'], host)['engines']['docker']['action'] == 'reload'
    changes = [{(one.host, one.task) for one in story[step].tasks if one.changed} for step in ('foreseen', 'back')]
    assert changes[0] == changes[1]


def test_the_trees_are_as_the_first_run_left_them(lab: Lab, story: dict[str, t.Any]) -> None:
    assert story['trees'][2] != story['trees'][1]
    for host in lab.hosts:
        assert story['trees'][4][host].splitlines() == story['trees'][1][host].splitlines()
        assert result_of(story['back'], host)['left'] == []


def test_the_daemons_hold_it_after_a_reload_alone(lab: Lab, story: dict[str, t.Any]) -> None:
    good = lab.mirror('good-a').url
    assert story['mirrors'] == {host: [f'{good}/'] for host in lab.hosts}
    assert pids(lab) == story['pids'] == story['pids after']
    for host in lab.hosts:
        assert story['back'].result(action='docker_daemon_apply', host=host)['applied'] == 'reload'


def test_once_more_changes_nothing_and_goes_no_further(lab: Lab, story: dict[str, t.Any]) -> None:
    assert [one for one in story['again'].tasks if one.changed] == []
    assert story['trees'][5] == story['trees'][4]
    assert 'all is as it was before already' in story['again'].stdout
    assert remembered(lab) == story['remembered'], 'taking back is no run of its own'


def test_no_secret_is_shown(story: dict[str, t.Any]) -> None:
    for run in (story['foreseen'], story['back'], story['again']):
        told = run.stdout + run.stderr + json.dumps([one.result for one in run.tasks])
        assert not [secret for secret in SECRETS if secret in told]
    assert 'registry.team.lab' in story['back'].stdout


def test_back_to_before_the_first_run_and_on_with_a_third(lab: Lab, story: dict[str, t.Any]) -> None:
    """Then somebody edits two files, and the third run is taken back around that."""
    first = story['remembered'][next(iter(lab.hosts))][0]
    back = rollback(lab, first).ok()
    assert [result_of(back, host)['left'] for host in lab.hosts] == [[], []]
    now = trees(lab)
    for host in lab.hosts:
        assert now[host].splitlines() == story['trees'][0][host].splitlines()
    assert lab.everywhere(Host.mirrors_in_force) == {host: [] for host in lab.hosts}
    assert pids(lab) == story['pids']

    site(lab, 'good-b', SECRETS[0]).ok()
    good = lab.mirror('good-b').url
    assert lab.everywhere(Host.mirrors_in_force) == {host: [f'{good}/'] for host in lab.hosts}
    edited, other = list(lab.hosts.values())[:2]
    config = json.loads(edited.get('/etc/docker/daemon.json'))
    config['labels'] = ['of=others']
    config['registry-mirrors'].append('http://theirs.lan')
    edited.put('/etc/docker/daemon.json', json.dumps(config, indent=2), 0o640)
    edited.run(f'echo "# of others" >> {HOSTS_TOML}')
    theirs = edited.get(HOSTS_TOML)

    back = rollback(lab).ok()
    assert json.loads(edited.get('/etc/docker/daemon.json')) == {**json.loads(FOREIGN), 'labels': ['of=others'], 'registry-mirrors': ['http://theirs.lan']}
    assert edited.mirrors_in_force() == ['http://theirs.lan/']
    assert edited.get(HOSTS_TOML) == theirs
    assert {one['path'] for one in result_of(back, edited)['left']} >= {'/etc/docker/daemon.json', HOSTS_TOML}
    assert f'left: {HOSTS_TOML} was edited by somebody else since' in back.stdout
    assert trees(lab)[other.name].splitlines() == story['trees'][0][other.name].splitlines()
    again = rollback(lab).ok()
    assert [one for one in again.tasks if one.changed] == []
    assert HOSTS_TOML in again.stdout, 'what is left is told again'
    # The record still knows whose the file is, and of daemon.json that nothing in it is ours.
    assert HOSTS_TOML in edited.get('/var/lib/quickpull.registry/files/hosts-toml-containerd.json')
    assert not edited.exists('/var/lib/quickpull.registry/ownership/%2Fetc%2Fdocker%2Fdaemon.json.json')

    site(lab, 'good-a', SECRETS[0]).ok()
    now = trees(lab)
    back = rollback(lab, first).ok()
    assert [one for one in back.tasks if one.changed] == []
    assert trees(lab) == now
    assert f'{first} was taken back before; what later runs wrote stays.' in back.stdout
    assert 'somebody else' not in back.stdout
