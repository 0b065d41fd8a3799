# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on real hosts: playbooks/site.yml and the role in other people's plays."""

from __future__ import annotations

import json
import subprocess
import time
import typing as t
from pathlib import Path

import jsonschema
import pytest

from lab.api import Host, Lab, PlaybookRun
from lab.config import ROOT

DAEMON_JSON = '/etc/docker/daemon.json'
FOREIGN = '{\n  "log-opts": {"max-size": "10m"},\n  "registry-mirrors": ["http://dropped.lab:8201"]\n}\n'


def site(lab: Lab, *names: str, **more: t.Any) -> PlaybookRun:
    """Run site.yml with these mirrors of the lab, for Docker alone: test_engines.py is about the others."""
    given = more.pop('extra_vars', {})
    variables = {
        'registry_access_mirrors': {'docker.io': lab.urls(*names)},
        'registry_access_engines': ['docker'],
        'registry_access_probe_deadline': 6,
        **given,
    }
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


def in_force(lab: Lab) -> dict[str, list[str]]:
    return lab.everywhere(lambda host: host.mirrors_in_force())


def on_all(lab: Lab, value: t.Any) -> dict[str, t.Any]:
    """What is expected of every host."""
    return dict.fromkeys(lab.hosts, value)


def logging_driver(host: Host) -> str:
    return host.out("docker info --format '{{.LoggingDriver}}'")


def http_proxy(host: Host) -> str:
    return host.out("docker info --format '{{.HTTPProxy}}'")


@pytest.fixture
def fresh(lab: Lab) -> Lab:
    """All hosts as new."""
    return as_new(lab)


# Each host more costs a run two seconds, so these are for what no version of Docker decides.


@pytest.fixture
def one(lab: Lab) -> Lab:
    """One host, as new."""
    return as_new(lab.only('lab-trixie'))


@pytest.fixture
def two(lab: Lab) -> Lab:
    """As new, one with proxies in daemon.json and one that takes them by a drop-in."""
    return as_new(lab.only('lab-bookworm', 'lab-trixie'))


def as_new(lab: Lab) -> Lab:
    lab.everywhere(lambda host: host.reset())
    return lab


GOOD_A = ['http://good-a.lab:8101/']


def test_from_nothing_to_mirrors_and_back_to_nothing(fresh: Lab) -> None:
    lab = fresh
    lab.everywhere(lambda host: host.start_container())
    before = lab.everywhere(processes)
    site(lab, 'good-a').ok()
    assert in_force(lab) == on_all(lab, GOOD_A)
    run = lab.playbook('playbooks/site.yml', extra_vars={'registry_access_mirrors': {}}).ok()
    assert all(run.changed(name) for name in lab.hosts)
    assert in_force(lab) == on_all(lab, [])
    assert not any(host.exists(DAEMON_JSON) for host in lab.hosts.values())
    assert lab.everywhere(processes) == before


def test_a_dead_network_empties_nothing(one: Lab) -> None:
    lab = one
    site(lab, 'good-a', 'good-b').ok()
    before = lab.everywhere(lambda host: host.get(DAEMON_JSON))
    kept = site(lab, 'refused', 'dropped', extra_vars={'registry_access_probe_deadline': 2}).ok()
    assert kept.changed() == 0
    assert 'left as they are' in kept.stdout
    failed = site(lab, 'refused', extra_vars={'registry_access_when_no_mirror': 'fail', 'registry_access_probe_deadline': 2})
    assert failed.rc != 0
    assert lab.everywhere(lambda host: host.get(DAEMON_JSON)) == before


# The form with `roles:` is the Molecule scenario own_handler.
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
AS_INCLUDE = """pre_tasks:
    - name: Configure
      ansible.builtin.include_role:
        name: quickpull.registry.registry_access"""
AS_IMPORT = AS_INCLUDE.replace('include_role', 'import_role')


@pytest.mark.parametrize('section', [AS_INCLUDE, AS_IMPORT], ids=['include_role', 'import_role'])
def test_tasks_after_the_role_pull_by_the_new_way(one: Lab, section: str) -> None:
    lab = one
    lab.everywhere(lambda host: host.start_container())
    before = lab.everywhere(processes)
    since = lab.mark()
    lab.playbook(
        OWN_HANDLER.replace('{section}', section),
        extra_vars={'registry_access_mirrors': {'docker.io': lab.urls('refused', 'good-b')}, 'registry_access_probe_deadline': 4},
    ).ok()
    for host in lab.hosts.values():
        asked = [line['path'] for line in lab.access_log('good-b', since, client=host) if line['agent'].startswith('docker/')]
        assert any('/library/nginx/blobs/' in path for path in asked), host.name
    assert lab.everywhere(processes) == before


@pytest.mark.parametrize('section', [AS_INCLUDE, AS_IMPORT], ids=['include_role', 'import_role'])
def test_a_handler_of_ones_own_is_reached_by_its_name(lab: Lab, section: str) -> None:
    """Where a loaded role has a handler of the same name, a bare notify would reach that one, without a word."""
    own = OWN_HANDLER.replace('{section}', section).replace('ansible.builtin.fail:', 'ansible.builtin.debug:').replace('ran in place of', 'ran beside')
    own = own.replace('ansible.builtin.command: docker pull nginx', 'ansible.builtin.command: "true"\n      notify: Restart Docker')
    run = lab.playbook(own, limit='lab-trixie', extra_vars={'registry_access_mirrors': {}}).ok()
    assert 'The handler of the play ran beside' in run.stdout


def test_what_the_command_line_says_in_words_is_understood(one: Lab) -> None:
    lab = one
    site(lab, 'refused', arguments=['-e', 'registry_access_probe=false']).ok()
    before = in_force(lab)
    assert before == on_all(lab, [f'{url}/' for url in lab.urls('refused')])
    site(lab, 'good-a', arguments=['--skip-tags', 'probe'], extra_vars={'registry_access_when_no_mirror': 'fail'}).ok()
    assert in_force(lab) == before


def test_live_restore_lets_a_restart_pass_without_stopping_a_container(two: Lab) -> None:
    lab = two
    lab.everywhere(lambda host: host.start_container('adhoc', restart='no'))
    before = lab.everywhere(processes)
    site(lab, 'good-a', extra_vars={'registry_access_docker_settings': {'log-driver': 'local'}, 'registry_access_live_restore_first': True}).ok()
    assert all(host.dockerd_pid() != before[name][0] for name, host in lab.hosts.items())
    assert lab.everywhere(lambda host: host.container_pids()) == {name: pids for name, (_daemon, pids) in before.items()}
    assert lab.everywhere(logging_driver) == on_all(lab, 'local')


def test_proxies_are_used_by_the_daemon_and_direct_mirrors_go_round_them(fresh: Lab) -> None:
    lab = fresh
    url = 'http://proxyuser:lab%3Aproxy%40pass@proxy.lab:3129'
    proxies = {'registry_access_proxies': {'http_proxy': url, 'https_proxy': url}}
    run = site(lab, 'good-a', extra_vars=proxies, arguments=['-vvv', '--diff']).ok()
    for secret in ('lab%3Aproxy%40pass', 'lab:proxy@pass'):
        assert secret not in run.stdout + run.stderr
        assert not any(secret in host.run('journalctl --no-pager').stdout for host in lab.hosts.values())
    for host in lab.hosts.values():
        assert pulled_through(lab, host, 'good-a')
        told = json.loads(host.out("docker info --format '{{json .}}'"))
        assert told['HttpProxy'] == 'http://xxxxx:xxxxx@proxy.lab:3129'
        assert 'good-a.lab' in told['NoProxy']
    again = site(lab, 'good-a', extra_vars=proxies).ok()
    assert again.changed() == 0
    assert all(len(again.executions(name)) <= 5 for name in lab.hosts)
    changed = {'registry_access_proxies': dict.fromkeys(('http_proxy', 'https_proxy'), 'http://proxyuser:other@proxy.lab:3129')}
    other = site(lab, 'good-a', extra_vars=changed).ok()
    assert all(other.changed(name) for name in lab.hosts)
    since = lab.mark()
    lab.everywhere(lambda host: host.run('docker pull registry-1.docker.io/library/busybox', check=False))
    assert {line['client'] for line in lab.access_log('proxy', since)} == {host.address for host in lab.hosts.values()}


def test_a_strangers_mirror_is_left_out_where_the_hubs_login_would_leak(one: Lab) -> None:
    lab = one
    login = json.dumps({'auths': {'https://index.docker.io/v1/': {'auth': 'YWNtZTpsYWItaHViLXBhc3N3b3Jk'}}})
    lab.everywhere(lambda host: host.put('/root/.docker/config.json', login, 0o600))
    mirrors = [{'url': 'http://good-a.lab:8101', 'third_party': True}, 'http://good-b.lab:8102']
    run = site(lab, extra_vars={'registry_access_mirrors': {'docker.io': mirrors}}).ok()
    assert in_force(lab) == on_all(lab, ['http://good-b.lab:8102/'])
    assert 'moby#42022' in run.stdout + run.stderr
    kept = site(lab, extra_vars={'registry_access_mirrors': {'docker.io': mirrors[:1]}}).ok()
    assert kept.changed() == 0
    assert in_force(lab) == on_all(lab, ['http://good-b.lab:8102/']), 'a mirror that is not written empties nothing'


SERIAL = """
- hosts: docker_hosts
  gather_facts: false
  serial: 1
  roles: [quickpull.registry.registry_access]
"""


@pytest.mark.parametrize(
    'scope, site_name, probes',
    [('play', '', 1), ('site', "{{ 'east' if inventory_hostname == 'lab-forky' else 'west' }}", 2), ('host', '', 3)],
    ids=['play', 'site', 'host'],
)
def test_batches_share_a_probe_and_sites_do_not(fresh: Lab, scope: str, site_name: str, probes: int) -> None:
    run = fresh.playbook(
        SERIAL,
        extra_vars={
            'registry_access_mirrors': {'docker.io': fresh.urls('good-a')},
            'registry_access_probe_deadline': 4,
            'registry_access_probe_scope': scope,
            'registry_access_site': site_name,
        },
    ).ok()
    assert len([task for task in run.of(action='registry_mirror_probe') if task.status == 'ok']) == probes
    assert in_force(fresh) == on_all(fresh, GOOD_A)


def test_another_host_stands_in_for_one_that_cannot_probe(fresh: Lab) -> None:
    lab = fresh
    first, second, _third = lab.hosts
    lab.everywhere(lambda host: host.run('cp /etc/ssl/certs/ca-certificates.crt /root/ca.pem'))
    lab.hosts[first].run('rm /root/ca.pem')
    run = lab.playbook(
        SERIAL.replace('serial: 1', 'serial: 3'),
        extra_vars={'registry_access_mirrors': {'docker.io': lab.urls('good-tls')}, 'registry_access_probe_ca_path': '/root/ca.pem'},
    ).ok()
    assert [task.host for task in run.of(action='registry_mirror_probe') if task.status == 'ok'] == [second]
    assert in_force(lab) == on_all(lab, ['https://good-tls.lab:8103/'])


def test_a_mistake_in_what_is_probed_is_an_error(lab: Lab) -> None:
    run = site(lab, 'good-a', extra_vars={'registry_access_probe_images': ['Not A Name']})
    assert run.rc != 0
    assert 'Not A Name' in run.stdout
    assert run.changed() == 0


def test_tags_narrow_a_run(two: Lab) -> None:
    lab = two
    proxies = {'registry_access_proxies': {'http_proxy': 'http://proxy.lab:3128'}}
    site(lab, 'good-a', tags='probe', extra_vars=proxies).ok()
    assert not any(host.exists(DAEMON_JSON) for host in lab.hosts.values())
    site(lab, 'good-a', arguments=['--skip-tags', 'proxies'], extra_vars=proxies).ok()
    assert in_force(lab) == on_all(lab, GOOD_A)
    assert lab.everywhere(http_proxy) == on_all(lab, '')
    site(lab, 'good-b', tags='proxies', extra_vars=proxies).ok()
    assert lab.everywhere(http_proxy) == on_all(lab, 'http://proxy.lab:3128')
    assert in_force(lab) == on_all(lab, GOOD_A)
    site(lab, 'good-a', tags='mirrors', extra_vars={**proxies, 'registry_access_state': 'absent'}).ok()
    assert in_force(lab) == on_all(lab, [])
    assert lab.everywhere(http_proxy) == on_all(lab, 'http://proxy.lab:3128')


def test_tags_that_are_skipped_leave_the_other_parts_whole(one: Lab) -> None:
    lab = one
    given = {'registry_access_proxies': {'http_proxy': 'http://proxy.lab:3128'}, 'registry_access_docker_settings': {'max-concurrent-downloads': 7}}
    settings = on_all(lab, True)

    def has_settings(host: Host) -> bool:
        return host.exists(DAEMON_JSON) and 'max-concurrent-downloads' in host.out(f'cat {DAEMON_JSON}')

    site(lab, 'good-a', arguments=['--skip-tags', 'mirrors,proxies'], extra_vars=given).ok()
    assert (in_force(lab), lab.everywhere(http_proxy), lab.everywhere(has_settings)) == (on_all(lab, []), on_all(lab, ''), settings)
    site(lab, 'good-a', arguments=['--skip-tags', 'mirrors,settings'], extra_vars={**given, 'registry_access_docker_settings': {}}).ok()
    assert (in_force(lab), lab.everywhere(has_settings)) == (on_all(lab, []), settings)
    assert lab.everywhere(http_proxy) == on_all(lab, 'http://proxy.lab:3128')
    site(lab, 'good-a', arguments=['--skip-tags', 'settings'], extra_vars={**given, 'registry_access_docker_settings': {}}).ok()
    assert (in_force(lab), lab.everywhere(has_settings)) == (on_all(lab, GOOD_A), settings)


def test_a_mirror_that_asks_for_a_token_too_late_is_left_to_the_store_that_manages(fresh: Lab) -> None:
    lab = fresh
    forky = lab.hosts['lab-forky']
    forky.put(DAEMON_JSON, '{"features": {"containerd-snapshotter": true}}')
    forky.run('systemctl restart docker')
    run = site(lab, 'late-token', 'good-a').ok()
    late = lab.urls('late-token')[0] + '/'
    assert {name: late in found for name, found in in_force(lab).items()} == {**on_all(lab, False), 'lab-forky': True}
    assert 'asks for a token at the manifest' in run.stdout


@pytest.mark.parametrize(
    'mistake, told',
    [
        ({'registry_access_mirror_policy': {'max': 'many'}}, 'registry_access_mirror_policy'),
        ({'registry_access_mirror_query': '[?ok =='}, 'registry_access_mirror_query: the expression does not parse'),
    ],
)
def test_a_mistake_in_the_rules_is_told_before_a_mirror_is_asked(lab: Lab, mistake: dict[str, t.Any], told: str) -> None:
    started = lab.mark()
    run = site(lab, 'good-a', extra_vars=mistake)
    assert run.rc != 0
    assert told in run.stdout
    assert not lab.access_log('good-a', started)


def test_a_restart_that_waits_is_told_and_finished_by_the_tag_apply(two: Lab) -> None:
    """Proxies take a restart in every version, by daemon.json or by a drop-in. (key.json is 20.10's own.)"""
    lab = two
    lab.everywhere(lambda host: host.start_container('adhoc', restart='no'))
    before = lab.everywhere(processes)
    proxies = {'registry_access_proxies': {'http_proxy': 'http://proxy.lab:3128'}}
    first = site(lab, 'good-a', extra_vars=proxies).ok()
    assert in_force(lab) == on_all(lab, GOOD_A), 'what a reload can do is done'
    again = site(lab, 'good-a', extra_vars=proxies).ok()
    assert again.changed() == 0
    for run in (first, again):
        assert f'{len(lab.hosts)} pending' in run.stdout
    assert site(lab, 'good-a', tags='apply', extra_vars=proxies).ok().changed() == 0
    assert lab.everywhere(processes) == before
    allowed = {**proxies, 'registry_access_restart': 'always'}
    assert site(lab, 'good-a', tags='apply', extra_vars=allowed, check=True).ok().changed() == len(lab.hosts)
    assert lab.everywhere(http_proxy) == on_all(lab, '')
    site(lab, 'good-a', tags='apply', extra_vars=allowed).ok()
    assert lab.everywhere(http_proxy) == on_all(lab, 'http://proxy.lab:3128')
    assert site(lab, 'good-a', tags='apply', extra_vars=allowed).ok().changed() == 0
    site(lab, 'good-a', extra_vars={**allowed, 'registry_access_state': 'absent'}).ok()
    assert lab.everywhere(http_proxy) == on_all(lab, '')
    left = lab.everywhere(lambda host: host.out('find /etc/docker /etc/systemd/system/docker.service.d -type f ! -name key.json 2>/dev/null || true'))
    assert left == on_all(lab, '')


def test_a_host_without_docker_is_skipped_in_one_line(lab: Lab) -> None:
    host = lab.hosts['lab-trixie']
    host.reset()
    host.run('systemctl stop docker docker.socket; dpkg --remove --force-depends docker.io >/dev/null')
    run = site(lab, 'good-a', limit=host.name).ok()
    assert run.changed(host.name) == 0
    assert 'Not on this host: docker.' in run.stdout
    host.reset()


def test_a_stopped_docker_is_written_and_stays_stopped(fresh: Lab) -> None:
    lab = fresh
    lab.everywhere(lambda host: host.run('systemctl stop docker.socket docker.service'))
    site(lab, 'good-a').ok()
    assert lab.everywhere(lambda host: json.loads(host.get(DAEMON_JSON))) == on_all(lab, {'registry-mirrors': lab.urls('good-a')})
    assert lab.everywhere(lambda host: host.dockerd_pid()) == on_all(lab, 0)
    assert site(lab, 'good-a').ok().changed() == 0
    lab.everywhere(lambda host: host.run('systemctl start docker'))
    assert in_force(lab) == on_all(lab, GOOD_A)


def test_probe_playbook_changes_nothing_and_reports(fresh: Lab, tmp_path: Path) -> None:
    lab = fresh
    report = tmp_path / 'report.json'
    run = lab.playbook(
        'playbooks/probe.yml',
        extra_vars={
            'registry_access_mirrors': {'docker.io': lab.urls('good-a', 'html'), 'quay.io': lab.urls('good-b')},
            'registry_access_report_path': str(report),
        },
    ).ok()
    assert run.changed() == 0
    assert not any(host.exists(DAEMON_JSON) for host in lab.hosts.values())
    told = json.loads(report.read_text())
    states = {(probe['upstream'], mirror['url']): mirror['state'] for probe in told['probes'] for mirror in probe['mirrors']}
    assert states == {
        ('docker.io', lab.mirror('good-a').url): 'ok',
        ('docker.io', lab.mirror('html').url): 'not_a_registry',
        ('quay.io', lab.mirror('good-b').url): 'ok',
    }
    assert 'not_a_registry' in run.stdout
    jsonschema.validate(told, json.loads((ROOT / 'docs' / 'report.schema.json').read_text()), jsonschema.Draft202012Validator)
    page = report.with_suffix('.html').read_text()
    assert all(mirror['url'] in page and mirror['url'] in report.with_suffix('.md').read_text() for probe in told['probes'] for mirror in probe['mirrors'])


def test_a_run_that_is_killed_is_finished_by_the_next(two: Lab) -> None:
    """ansible-playbook dies by SIGKILL, at the latest while handlers run; Docker is up all the same, and the next run finishes."""
    lab = two
    lab.everywhere(lambda host: host.start_container('adhoc', restart='always'))
    asked = {'registry_access_docker_settings': {'log-driver': 'local'}, 'registry_access_restart': 'always'}

    def kill_in_the_restart(process: subprocess.Popen[bytes]) -> None:
        intents = '/var/lib/quickpull.registry/docker/applying.json'
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until:
            if any(host.exists(intents) for host in lab.hosts.values()):
                break
        process.kill()
        for host in lab.hosts.values():
            host.run('pkill -KILL -f "sshd: root@notty"', check=False)

    killed = site(lab, 'good-a', extra_vars=asked, before_wait=kill_in_the_restart)
    assert killed.rc != 0
    for host in lab.hosts.values():
        host.run('for turn in $(seq 60); do [ "$(systemctl is-active docker)" = active ] && exit 0; sleep 0.5; done; exit 1')
    site(lab, 'good-a', extra_vars=asked).ok()
    assert lab.everywhere(logging_driver) == on_all(lab, 'local')
    assert in_force(lab) == on_all(lab, GOOD_A)
    assert site(lab, 'good-a', extra_vars=asked).ok().changed() == 0
