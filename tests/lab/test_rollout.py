# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet's rollout: waves that stop where a host fails, restarts that are finished later, and all of it taken away again."""

from __future__ import annotations

import json
import shutil
import typing as t
from pathlib import Path

import pytest

from lab.api import Host, Lab, PlaybookRun
from lab.registries import BASIC, LOGINS

CANARY, SECOND, THIRD = 'lab-trixie', 'lab-bookworm', 'lab-forky'
GONE = 'lab-gone'
GOOD_A = ['http://good-a.lab:8101/']
PROXY = 'http://proxy.lab:3128'
STATE = '/var/lib/quickpull.registry'

# Each file, folder and link with mode and owner, and what is in it. What the daemons write themselves is no trace of ours.
TREE = (
    'find /etc /root /home -xdev '
    r'\( -name key.json -o -path /etc/.pwd.lock -o -path "*/.ansible" -o -path "*/.cache" -o -path "*/.ssh" -o -path /etc/mtab \) -prune '
    r"-o -printf '%p %y %m %U:%G %l ' \( -type f -exec sha256sum {} \; -o -printf '\n' \) 2>/dev/null | sort"
)


def tree(host: Host) -> list[str]:
    return host.out(TREE).splitlines()


def fleet(lab: Lab, folder: Path, variables: dict[str, t.Any], host_vars: dict[str, dict[str, t.Any]] | None = None, gone: bool = False) -> Path:
    """An inventory whose variables are where users have them, in group_vars and host_vars; perhaps with a host that nobody reaches."""
    shutil.copy(lab.place.inventory, folder / 'hosts.yml')
    if gone:
        (folder / 'last.yml').write_text(json.dumps({'docker_hosts': {'hosts': {GONE: {'ansible_host': '127.0.0.9', 'ansible_port': 9}}}}))
    for name, given in {'group_vars/all': variables, **{f'host_vars/{host}': given for host, given in (host_vars or {}).items()}}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f'{name}.yml').write_text(json.dumps(given))
    return folder


def report(path: Path) -> dict[str, t.Any]:
    told: dict[str, t.Any] = json.loads(path.read_text())
    assert path.with_suffix('.txt').read_text()
    return told


def variables(lab: Lab, path: Path, **more: t.Any) -> dict[str, t.Any]:
    return {
        'registry_access_mirrors': {upstream: lab.urls('good-a') for upstream in ('docker.io', 'quay.io')},
        'registry_access_engines': ['docker', 'containerd', 'podman'],
        'registry_access_proxies': {'http_proxy': PROXY},
        'registry_access_auths': [{'registry': BASIC, 'username': 'acme', 'password': LOGINS['acme']}],
        'registry_access_probe_images': ['library/busybox:latest', 'quay.io/library/busybox:latest'],
        'registry_access_probe_deadline': 6,
        'registry_access_waves': ['100%'],
        'registry_access_canaries': CANARY,
        'registry_access_report_path': str(path),
        **more,
    }


class Rollout(t.NamedTuple):
    """One run, and what it was about."""

    run: PlaybookRun
    report: dict[str, t.Any]
    before: dict[str, list[str]]
    after: dict[str, list[str]]
    since: float


def roll_out(lab: Lab, folder: Path, playbook: str = 'site', gone: bool = False, host_vars: t.Any = None, limit: str = '', **more: t.Any) -> Rollout:
    path = folder / 'report.json'
    inventory = fleet(lab, folder, variables(lab, path, **more), host_vars, gone)
    before, since = lab.everywhere(tree), lab.mark()
    run = lab.playbook(f'playbooks/{playbook}.yml', inventory=inventory, limit=limit, timeout=600)
    return Rollout(run, report(path), before, lab.everywhere(tree), since)


@pytest.fixture(scope='module')
def stopped(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Rollout:
    """A rollout whose canary is given a key that its Docker refuses."""
    lab.everywhere(lambda host: host.reset())
    lab.everywhere(lambda host: host.start_container(restart='no'))
    refused = {'registry_access_docker_settings': {'bogus': 1}, 'registry_access_validate': 'never'}
    return roll_out(lab, tmp_path_factory.mktemp('stopped'), host_vars={CANARY: refused})


@pytest.fixture(scope='module')
def well(lab: Lab, stopped: Rollout, tmp_path_factory: pytest.TempPathFactory) -> Rollout:
    """The same with the key taken out, and with one more canary, that is switched off, and allowed to be."""
    canaries: dict[str, t.Any] = {'registry_access_canaries': [GONE, CANARY], 'registry_access_tolerated_failures': 1}
    return roll_out(lab, tmp_path_factory.mktemp('well'), gone=True, **canaries)


def skipped(rollout: Rollout) -> dict[str, str]:
    return {name: host['skipped'] for name, host in rollout.report['hosts'].items()}


def test_a_canary_that_fails_stops_the_rollout(stopped: Rollout) -> None:
    assert stopped.run.rc != 0
    canary = stopped.report['hosts'][CANARY]
    assert (canary['failed'], canary['rolled_back']) == (True, True)
    assert 'bogus' in canary['failures'][0]
    assert {name: stats['failures'] for name, stats in stopped.run.stats.items()} == {CANARY: 1, SECOND: 0, THIRD: 0}


def test_hosts_of_later_waves_are_as_they_were(lab: Lab, stopped: Rollout) -> None:
    for name in (SECOND, THIRD):
        assert stopped.after[name] == stopped.before[name]
        assert set(stopped.run.executions(name)) <= {'ansible.builtin.copy'}, 'nothing but the report, which is written here'
        assert not lab.hosts[name].exists(STATE)


def test_the_report_names_the_hosts_that_were_not_begun(stopped: Rollout) -> None:
    assert skipped(stopped) == {CANARY: '', **dict.fromkeys((SECOND, THIRD), 'held back, since hosts of an earlier wave failed')}
    assert stopped.report['summary']['hosts_held_back'] == 2
    assert '1 failed, 2 held back.' in stopped.run.stdout


def test_waves_in_which_all_is_well_touch_every_host_in_order(lab: Lab, well: Rollout) -> None:
    order = [task.host for task in well.run.of(action='docker_daemon_config') if task.status != 'skipped']
    assert order[0] == CANARY
    assert sorted(order) == sorted(lab.hosts)
    assert lab.everywhere(Host.mirrors_in_force) == dict.fromkeys(lab.hosts, GOOD_A)


def test_the_waves_share_a_probe(lab: Lab, well: Rollout) -> None:
    assert [task.host for task in well.run.of(action='registry_mirror_probe') if task.status == 'ok'] == [CANARY, CANARY], 'one for each registry'
    asked = {line['client'] for line in lab.access_log('good-a', well.since)}
    assert asked == {lab.hosts[CANARY].address}


def test_a_host_that_is_not_there_is_told_and_fails_the_run(well: Rollout) -> None:
    assert well.run.rc != 0
    assert skipped(well)[GONE] == 'unreachable'
    assert well.report['summary']['hosts_unreachable'] == 1
    assert well.run.stats[GONE]['failures'] == 1
    assert {name for name, stats in well.run.stats.items() if stats['failures'] or stats['unreachable']} == {GONE}


def test_there_is_a_report_when_no_host_of_a_wave_can_be_reached(lab: Lab, tmp_path: Path) -> None:
    """Ansible would end the playbook there. No later wave begins: nobody knows what became of that host."""
    found = roll_out(lab, tmp_path, gone=True, limit=f'{GONE},{SECOND}', registry_access_canaries=[GONE])
    assert found.run.rc != 0
    assert skipped(found) == {GONE: 'unreachable', SECOND: 'held back, since hosts of an earlier wave failed'}
    assert found.after == found.before


# From here on the restart for the proxies, which stops a container, waits on every host.


def http_proxy(host: Host) -> str:
    return host.out("docker info --format '{{.HTTPProxy}}'")


def test_finish_finishes_what_waits_with_permission_and_tells_what_still_does(lab: Lab, well: Rollout, tmp_path: Path) -> None:
    assert sorted(name for name, host in well.report['hosts'].items() if host['pending']) == sorted(lab.hosts)
    second = lab.hosts[SECOND]
    before = second.dockerd_pid(), second.container_pids()
    allowed = {'registry_access_restart': 'always'}
    done = roll_out(lab, tmp_path, 'finish', host_vars={CANARY: allowed, THIRD: allowed})
    assert [task.host for task in done.run.ok().of(action='docker_daemon_apply') if task.changed] == [CANARY, THIRD]
    assert [name for name, host in done.report['hosts'].items() if host['pending']] == [SECOND]
    assert done.report['summary']['hosts_proved'] == 2
    assert lab.everywhere(http_proxy) == {CANARY: PROXY, SECOND: '', THIRD: PROXY}
    assert (second.dockerd_pid(), second.container_pids()) == before
    assert not done.run.of(action='registry_mirror_probe')
    assert done.after == done.before, 'no file is written'


HOSTS_TOML = '/etc/containerd/certs.d/quay.io/hosts.toml'
DAEMON_JSON = '/etc/docker/daemon.json'
AT_ONCE: dict[str, t.Any] = {'registry_access_waves': [], 'registry_access_canaries': []}
THEIRS = 'server = "https://quay.io"\n'


@pytest.fixture(scope='module')
def removed(lab: Lab, well: Rollout, tmp_path_factory: pytest.TempPathFactory) -> Rollout:
    """All is taken away, by variables that say nothing of most of it any more; on one host somebody edited files since."""
    edited = lab.hosts[THIRD]
    edited.put(HOSTS_TOML, THEIRS)
    edited.put(DAEMON_JSON, edited.get(DAEMON_JSON).replace('"http://good-a.lab:8101"', '"http://good-a.lab:8101", "http://own.lab"'))
    other = {'docker.io': ['http://other.lab']}
    less: dict[str, t.Any] = {**AT_ONCE, 'registry_access_engines': ['docker'], 'registry_access_mirrors': other, 'registry_access_proxies': {}}
    return roll_out(lab, tmp_path_factory.mktemp('removed'), 'remove', registry_access_restart='always', **less)


def test_a_host_is_as_before_the_first_run(lab: Lab, stopped: Rollout, removed: Rollout) -> None:
    removed.run.ok()
    for name in (CANARY, SECOND):
        after = [line for line in removed.after[name] if not line.startswith('/root/.docker')]
        assert after == stopped.before[name], name
        assert BASIC not in lab.hosts[name].get('/root/.docker/config.json'), 'logins are on no record: the file stays without it'
    assert not any(lab.everywhere(lambda host: host.exists(STATE)).values())
    assert lab.everywhere(http_proxy) == dict.fromkeys(lab.hosts, '')
    assert lab.everywhere(Host.mirrors_in_force) == {CANARY: [], SECOND: [], THIRD: ['http://own.lab/']}


def test_what_somebody_edited_survives_and_is_told(lab: Lab, stopped: Rollout, removed: Rollout) -> None:
    edited = lab.hosts[THIRD]
    assert edited.get(HOSTS_TOML) == THEIRS
    assert json.loads(edited.get(DAEMON_JSON)) == {'registry-mirrors': ['http://own.lab']}
    new = {line.split()[0] for line in set(removed.after[THIRD]) - set(stopped.before[THIRD]) if not line.startswith('/root/.docker')}
    assert new - {'/etc', '/etc/containerd', '/etc/docker'} == {'/etc/containerd/certs.d', '/etc/containerd/certs.d/quay.io', HOSTS_TOML, DAEMON_JSON}
    assert any(HOSTS_TOML in sentence for sentence in removed.report['hosts'][THIRD]['warnings'])


def test_a_second_removal_changes_nothing(lab: Lab, removed: Rollout, tmp_path: Path) -> None:
    again = roll_out(lab, tmp_path, 'remove', **AT_ONCE)
    assert again.run.ok().changed() == 0
    assert again.after == again.before
    assert not any(lab.everywhere(lambda host: host.exists(STATE)).values())
