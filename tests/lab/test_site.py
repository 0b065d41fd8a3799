# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on real hosts: playbooks/site.yml and the role in other people's plays."""

from __future__ import annotations

import json
import typing as t

import pytest

from lab.api import Host, Lab, PlaybookRun

DAEMON_JSON = '/etc/docker/daemon.json'
FOREIGN = '{\n  "log-opts": {"max-size": "10m"},\n  "registry-mirrors": ["http://dropped.lab:8201"]\n}\n'


def site(lab: Lab, *names: str, **more: t.Any) -> PlaybookRun:
    """Run site.yml with these mirrors of the lab."""
    given = more.pop('extra_vars', {})
    variables = {'registry_access_mirrors': {'docker.io': lab.urls(*names)}, 'registry_access_probe_deadline': 6, **given}
    return lab.playbook('playbooks/site.yml', extra_vars=variables, **more)


def processes(host: Host) -> tuple[int, dict[str, int]]:
    return host.dockerd_pid(), host.container_pids()


def pulled_through(lab: Lab, host: Host, mirror: str, image: str = 'nginx') -> bool:
    """Whether a pull with a cold store asks this mirror for the layers, by its own access log."""
    host.run(f'docker image rm -f {image} >/dev/null 2>&1; true')
    host.cold()
    since = lab.mark()
    host.run(['docker', 'pull', image])
    return any('/blobs/' in line['path'] for line in lab.access_log(mirror, since, client=host))


@pytest.fixture(scope='module')
def first_run(lab: Lab) -> dict[str, t.Any]:
    """Check mode, the run, and the run again, on fresh hosts that somebody configured; all three are looked at below."""
    for host in lab.hosts.values():
        host.reset()
        host.put(DAEMON_JSON, FOREIGN)
        host.run('systemctl reload docker')
        host.start_container()
    before = {name: processes(host) for name, host in lab.hosts.items()}
    names = ('dropped', 'html', 'stale', 'always-403', 'good-a', 'good-token')
    predicted = site(lab, *names, check=True, diff=True).ok()
    untouched = {name: host.get(DAEMON_JSON) for name, host in lab.hosts.items()}
    done = site(lab, *names, diff=True).ok()
    again = site(lab, *names).ok()
    return {'before': before, 'predicted': predicted, 'untouched': untouched, 'done': done, 'again': again}


def test_mirrors_are_in_force_and_nothing_was_restarted(lab: Lab, host: Host, first_run: dict[str, t.Any]) -> None:
    in_force = host.mirrors_in_force()
    assert set(in_force[:2]) == {f'{url}/' for url in lab.urls('good-a', 'good-token')}
    assert in_force[2:] == ['http://dropped.lab:8201/']
    assert processes(host) == first_run['before'][host.name]


def test_foreign_keys_survive_as_they_were_written(host: Host, first_run: dict[str, t.Any]) -> None:
    assert '"log-opts": {"max-size": "10m"}' in host.get(DAEMON_JSON)


def test_a_second_run_changes_nothing(host: Host, first_run: dict[str, t.Any]) -> None:
    assert first_run['again'].changed(host.name) == 0


def test_a_run_without_change_costs_four_executions_at_most(host: Host, first_run: dict[str, t.Any]) -> None:
    executions = first_run['again'].executions(host.name)
    assert 0 < len(executions) <= 4
    assert not [name for name in executions if name.endswith(('setup', 'gather_facts'))]


def test_one_host_probed_for_all(first_run: dict[str, t.Any]) -> None:
    probed = [task for task in first_run['done'].of(action='registry_mirror_probe') if task.status != 'skipped']
    assert len(probed) == 1


def test_check_mode_touches_nothing(host: Host, first_run: dict[str, t.Any]) -> None:
    assert first_run['untouched'][host.name] == FOREIGN


def test_check_mode_says_what_the_run_then_did(host: Host, first_run: dict[str, t.Any]) -> None:
    predicted, done = first_run['predicted'], first_run['done']
    assert [(task.task, task.changed) for task in predicted.of(host=host.name)] == [(task.task, task.changed) for task in done.of(host=host.name)]
    said, did = (run.result(action='docker_daemon_config', host=host.name) for run in (predicted, done))
    for key in ('changed', 'diff', 'plan', 'registry_mirrors', 'left_out'):
        assert said[key] == did[key], key


def test_pulls_go_through_a_chosen_mirror(lab: Lab, host: Host, first_run: dict[str, t.Any]) -> None:
    chosen = host.mirrors_in_force()[0]
    name = next(mirror.name for mirror in lab.expected if f'{mirror.url}/' == chosen)
    assert pulled_through(lab, host, name)


def test_absent_gives_back_what_was_there(lab: Lab, host: Host, first_run: dict[str, t.Any]) -> None:
    before = processes(host)
    site(lab, 'good-a', limit=host.name, extra_vars={'registry_access_state': 'absent'}).ok()
    assert host.get(DAEMON_JSON) == FOREIGN
    assert host.mirrors_in_force() == ['http://dropped.lab:8201/']
    assert processes(host) == before
    assert site(lab, 'good-a', limit=host.name, extra_vars={'registry_access_state': 'absent'}).ok().changed(host.name) == 0


def test_from_nothing_to_mirrors_and_back_to_nothing(lab: Lab, host: Host) -> None:
    host.reset()
    host.start_container()
    before = processes(host)
    site(lab, 'good-a', limit=host.name).ok()
    assert host.mirrors_in_force() == ['http://good-a.lab:8101/']
    run = lab.playbook('playbooks/site.yml', limit=host.name, extra_vars={'registry_access_mirrors': {}}).ok()
    assert run.changed(host.name) > 0
    assert host.mirrors_in_force() == []
    assert not host.exists(DAEMON_JSON)
    assert processes(host) == before


def test_a_dead_network_empties_nothing(lab: Lab, host: Host) -> None:
    host.reset()
    site(lab, 'good-a', 'good-b', limit=host.name).ok()
    before = host.get(DAEMON_JSON)
    kept = site(lab, 'refused', 'dropped', limit=host.name, extra_vars={'registry_access_probe_deadline': 2}).ok()
    assert host.get(DAEMON_JSON) == before
    assert kept.changed(host.name) == 0
    assert 'left as they are' in kept.stdout
    failed = site(lab, 'refused', limit=host.name, extra_vars={'registry_access_when_no_mirror': 'fail', 'registry_access_probe_deadline': 2})
    assert failed.rc != 0
    assert host.get(DAEMON_JSON) == before


OWN_HANDLER = """
- hosts: docker_hosts
  gather_facts: false
  handlers:
    - name: Restart Docker
      ansible.builtin.fail:
        msg: The handler of the play ran in place of the role's.
  {section}
  tasks:
    - name: Pull by the new way
      ansible.builtin.command: docker pull nginx
"""
AS_ROLES = 'roles: [quickpull.registry.registry_access]'
AS_INCLUDE = """pre_tasks:
    - name: Configure
      ansible.builtin.include_role:
        name: quickpull.registry.registry_access"""
AS_IMPORT = AS_INCLUDE.replace('include_role', 'import_role')


@pytest.mark.parametrize('section', [AS_ROLES, AS_INCLUDE, AS_IMPORT], ids=['roles', 'include_role', 'import_role'])
def test_tasks_after_the_role_pull_by_the_new_way(lab: Lab, host: Host, section: str) -> None:
    host.reset()
    host.start_container()
    before = processes(host)
    since = lab.mark()
    lab.playbook(
        OWN_HANDLER.replace('{section}', section), limit=host.name,
        extra_vars={'registry_access_mirrors': {'docker.io': lab.urls('refused', 'good-b')}, 'registry_access_probe_deadline': 4},
    ).ok()
    assert any('/manifests/' in line['path'] for line in lab.access_log('good-b', since, client=host) if line['agent'].startswith('docker/'))
    assert processes(host) == before


def test_a_restart_that_is_not_allowed_waits(lab: Lab, host: Host) -> None:
    host.reset()
    host.start_container('adhoc', restart='no')
    before = processes(host)
    asked = {'registry_access_docker_settings': {'max-concurrent-downloads': 4, 'log-driver': 'local'}}
    first = site(lab, 'good-a', limit=host.name, extra_vars=asked).ok()
    assert 'Pending' in first.stdout
    assert processes(host) == before
    assert host.mirrors_in_force() == ['http://good-a.lab:8101/'], 'what a reload can do is done'
    second = site(lab, 'good-a', limit=host.name, extra_vars=asked).ok()
    assert second.changed(host.name) == 0
    assert 'Pending' in second.stdout
    allowed = site(lab, 'good-a', limit=host.name, extra_vars={**asked, 'registry_access_restart': 'always'}).ok()
    assert allowed.changed(host.name) > 0
    assert host.dockerd_pid() != before[0]
    assert host.out("docker info --format '{{.LoggingDriver}}'") == 'local'
    assert site(lab, 'good-a', limit=host.name, extra_vars=asked).ok().changed(host.name) == 0


def test_live_restore_lets_a_restart_pass_without_stopping_a_container(lab: Lab, host: Host) -> None:
    host.reset()
    host.start_container('adhoc', restart='no')
    before = processes(host)
    asked = {'registry_access_docker_settings': {'log-driver': 'local'}, 'registry_access_live_restore_first': True}
    site(lab, 'good-a', limit=host.name, extra_vars=asked).ok()
    assert host.dockerd_pid() != before[0]
    assert host.container_pids() == before[1]
    assert host.out("docker info --format '{{.LoggingDriver}}'") == 'local'


def test_proxies_are_used_by_the_daemon_and_direct_mirrors_go_round_them(lab: Lab, host: Host) -> None:
    host.reset()
    proxies = {'http_proxy': 'http://proxyuser:lab%3Aproxy%40pass@proxy.lab:3129', 'https_proxy': 'http://proxyuser:lab%3Aproxy%40pass@proxy.lab:3129'}
    run = site(lab, 'good-a', limit=host.name, extra_vars={'registry_access_proxies': proxies}, arguments=['-vvv']).ok()
    assert 'lab%3Aproxy%40pass' not in run.stdout
    assert 'lab:proxy@pass' not in run.stdout
    assert pulled_through(lab, host, 'good-a')
    told = json.loads(host.out("docker info --format '{{json .}}'"))
    assert told['HttpProxy'] == 'http://xxxxx:xxxxx@proxy.lab:3129'
    assert 'good-a.lab' in told['NoProxy']
    host.run('docker image rm -f nginx; true')
    assert site(lab, 'good-a', limit=host.name, extra_vars={'registry_access_proxies': proxies}).ok().changed(host.name) == 0
    since = lab.mark()
    changed = dict.fromkeys(proxies, 'http://proxyuser:other@proxy.lab:3129')
    assert site(lab, 'good-a', limit=host.name, extra_vars={'registry_access_proxies': changed}).ok().changed(host.name) > 0
    host.run('docker pull registry-1.docker.io/library/busybox', check=False)
    assert lab.access_log('proxy', since), 'what is not direct goes through the proxy'


def test_a_strangers_mirror_is_left_out_where_the_hubs_login_would_leak(lab: Lab, host: Host) -> None:
    host.reset()
    host.put('/root/.docker/config.json', json.dumps({'auths': {'https://index.docker.io/v1/': {'auth': 'YWNtZTpsYWItaHViLXBhc3N3b3Jk'}}}), 0o600)
    mirrors = [{'url': 'http://good-a.lab:8101', 'third_party': True}, 'http://good-b.lab:8102']
    run = site(lab, limit=host.name, extra_vars={'registry_access_mirrors': {'docker.io': mirrors}}).ok()
    assert host.mirrors_in_force() == ['http://good-b.lab:8102/']
    assert 'moby#42022' in run.stdout + run.stderr


SERIAL = """
- hosts: docker_hosts
  gather_facts: false
  serial: 1
  roles: [quickpull.registry.registry_access]
"""


def test_batches_share_a_probe_and_sites_do_not(lab: Lab) -> None:
    for host in lab.hosts.values():
        host.reset()
    asked: dict[str, t.Any] = {'registry_access_mirrors': {'docker.io': lab.urls('good-a')}, 'registry_access_probe_deadline': 4}
    probes = {
        scope: len([task for task in lab.playbook(SERIAL, extra_vars={**asked, **more}).ok().of(action='registry_mirror_probe') if task.status == 'ok'])
        for scope, more in {
            'play': {},
            'site': {'registry_access_probe_scope': 'site', 'registry_access_site': "{{ 'east' if inventory_hostname == 'lab-forky' else 'west' }}"},
            'host': {'registry_access_probe_scope': 'host'},
        }.items()
    }
    assert probes == {'play': 1, 'site': 2, 'host': 3}


def test_another_host_stands_in_for_one_that_cannot_probe(lab: Lab) -> None:
    for host in lab.hosts.values():
        host.reset()
    first, *others = lab.hosts.values()
    run = lab.playbook(
        SERIAL.replace('serial: 1', 'serial: 3'),
        extra_vars={
            'registry_access_mirrors': {'docker.io': lab.urls('good-a')},
            'registry_access_probe_ca_path': "{{ '/nonexistent' if inventory_hostname == '%s' else '' }}" % first.name,
        },
    )
    assert [task.host for task in run.of(action='registry_mirror_probe') if task.status == 'ok'] == [others[0].name]
    for host in others:
        assert host.mirrors_in_force() == ['http://good-a.lab:8101/']


def test_tags_narrow_a_run(lab: Lab, host: Host) -> None:
    host.reset()
    proxies = {'registry_access_proxies': {'http_proxy': 'http://proxy.lab:3128'}}
    site(lab, 'good-a', limit=host.name, tags='probe', extra_vars=proxies).ok()
    assert not host.exists(DAEMON_JSON)
    site(lab, 'good-a', limit=host.name, tags='mirrors', extra_vars=proxies).ok()
    assert host.mirrors_in_force() == ['http://good-a.lab:8101/']
    assert host.out("docker info --format '{{.HTTPProxy}}'") == ''
    site(lab, 'good-a', limit=host.name, tags='proxies', extra_vars=proxies).ok()
    assert host.out("docker info --format '{{.HTTPProxy}}'") == 'http://proxy.lab:3128'
    assert host.mirrors_in_force() == ['http://good-a.lab:8101/']


def test_the_tag_apply_finishes_what_was_written(lab: Lab, host: Host) -> None:
    host.reset()
    host.start_container('adhoc', restart='no')
    site(lab, 'good-a', limit=host.name, extra_vars={'registry_access_docker_settings': {'log-driver': 'local'}}).ok()
    assert host.out("docker info --format '{{.LoggingDriver}}'") == 'json-file'
    site(lab, 'good-a', limit=host.name, tags='apply', extra_vars={'registry_access_restart': 'always'}).ok()
    assert host.out("docker info --format '{{.LoggingDriver}}'") == 'local'


def test_a_host_without_docker_is_skipped_in_one_line(lab: Lab) -> None:
    host = lab.hosts['lab-trixie']
    host.reset()
    host.run('systemctl stop docker docker.socket; dpkg --remove --force-depends docker.io >/dev/null')
    run = site(lab, 'good-a', limit=host.name).ok()
    assert run.changed(host.name) == 0
    assert 'nothing to configure' in run.stdout
    host.reset()


def test_a_stopped_docker_is_written_and_stays_stopped(lab: Lab, host: Host) -> None:
    host.reset()
    host.run('systemctl stop docker.socket docker.service')
    run = site(lab, 'good-a', limit=host.name).ok()
    assert json.loads(host.get(DAEMON_JSON)) == {'registry-mirrors': lab.urls('good-a')}
    assert host.dockerd_pid() == 0
    assert site(lab, 'good-a', limit=host.name).ok().changed(host.name) == 0
    assert run.rc == 0
    host.run('systemctl start docker')
    assert host.mirrors_in_force() == ['http://good-a.lab:8101/']


def test_probe_playbook_changes_nothing_and_reports(lab: Lab, host: Host, tmp_path: t.Any) -> None:
    host.reset()
    report = tmp_path / 'report.json'
    run = lab.playbook(
        'playbooks/probe.yml', limit=host.name,
        extra_vars={'registry_access_mirrors': {'docker.io': lab.urls('good-a', 'html')}, 'registry_access_report_path': str(report)},
    ).ok()
    assert run.changed() == 0
    assert not host.exists(DAEMON_JSON)
    states = {result['url']: result['state'] for probe in json.loads(report.read_text())['probes'] for result in probe['results']}
    assert states == dict(zip(lab.urls('good-a', 'html'), ('ok', 'not_a_registry')))
    assert 'not_a_registry' in run.stdout
