# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks that go out in waves, with a role that only tells and fails as it is asked: what Ansible itself makes of failures, handlers and plans."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# Rescues of handlers differ between versions: the oldest and the newest are asked too, where tests/run.py has installed them.
CORES = {'here': Path(sys.executable), **{path.name: path / 'bin' / 'python' for path in sorted(ROOT.glob('.cache/core-*'))}}
EACH_CORE = pytest.mark.parametrize('core', sorted(CORES), indirect=True)
HANDLERS = yaml.safe_load((ROOT / 'roles/registry_access/handlers/main.yml').read_text(encoding='utf-8'))
TELLS = {
    'main': [
        {'ansible.builtin.debug': {'msg': "TOUCH {{ inventory_hostname }} {{ registry_access_state | default('present') }}"}},
        {'ansible.builtin.debug': {'msg': 'asks'}, 'changed_when': True, 'notify': 'Apply'},
        {
            'ansible.builtin.ping': {},
            'register': '__registry_access_config',
            'vars': {'ansible_connection': 'ssh', 'ansible_host': '127.0.0.1', 'ansible_port': 1},
            'when': "inventory_hostname == task_loses | default('')",
        },
        {'ansible.builtin.fail': {'msg': 'a task failed'}, 'when': 'inventory_hostname in task_fails | default([])'},
        {'ansible.builtin.meta': 'flush_handlers', 'when': "registry_access_apply | default('now') == 'now'"},
    ],
    'forget': [{'ansible.builtin.debug': {'msg': 'FORGET {{ inventory_hostname }}'}}],
    'finish': [{'ansible.builtin.debug': {'msg': 'FINISH {{ inventory_hostname }}'}}],
}
TELLS_LATE = [
    {
        'name': 'Apply',
        'ansible.builtin.assert': {
            'that': 'inventory_hostname not in handler_fails | default([])',
            'fail_msg': 'APPLY failed',
            'success_msg': 'APPLY {{ inventory_hostname }}',
        },
        'register': '__registry_access_apply',
        **{key: HANDLERS[0][key] for key in ('when',) if key in HANDLERS[0]},
    }
]


class Ran(t.NamedTuple):
    rc: int
    text: str

    def said(self, word: str) -> list[str]:
        """What the role said, in order."""
        return re.findall(rf'"msg": "{word} ([^"]*)"', self.text)

    def told(self, word: str) -> list[str]:
        """The same in no order: Ansible takes the answers of a wave as they come."""
        return sorted(self.said(word))


@pytest.fixture
def core(request: pytest.FixtureRequest) -> Path:
    return CORES[getattr(request, 'param', 'here')]


@pytest.fixture
def ansible(core: Path, tmp_path: Path) -> t.Callable[..., Ran]:
    """With a role that only tells."""
    role = tmp_path / 'ansible_collections/quickpull/registry/roles/registry_access'
    for folder in ('tasks', 'handlers'):
        (role / folder).mkdir(parents=True)
    for name, tasks in TELLS.items():
        (role / f'tasks/{name}.yml').write_text(yaml.safe_dump(tasks), encoding='utf-8')
    (role / 'handlers/main.yml').write_text(yaml.safe_dump(TELLS_LATE), encoding='utf-8')
    return runner(core, tmp_path, 'plugins', 'playbooks', 'meta', 'galaxy.yml')


@pytest.fixture
def whole(core: Path, tmp_path: Path) -> t.Callable[..., Ran]:
    """With the role as it is."""
    return runner(core, tmp_path, 'plugins', 'playbooks', 'roles', 'meta', 'galaxy.yml')


def runner(core: Path, tmp_path: Path, *linked: str) -> t.Callable[..., Ran]:
    collection = tmp_path / 'ansible_collections/quickpull/registry'
    collection.mkdir(parents=True, exist_ok=True)
    for name in linked:
        (collection / name).symlink_to(ROOT / name)

    def run(*plays: t.Mapping[str, t.Any], hosts: str = 'a b c d', config: str = '', check: bool = False, **variables: t.Any) -> Ran:
        (tmp_path / 'plays.yml').write_text(yaml.safe_dump(list(plays)), encoding='utf-8')
        (tmp_path / 'ansible.cfg').write_text(f'[defaults]\n{config}\n', encoding='utf-8')
        lines = hosts.splitlines() if '=' in hosts else [f'{host} ansible_connection=local' for host in hosts.split()]
        (tmp_path / 'hosts').write_text('\n'.join(['[web]', *lines, '[retired]', '']), encoding='utf-8')
        environment = {
            **os.environ,
            'ANSIBLE_COLLECTIONS_PATH': str(tmp_path),
            'ANSIBLE_CONFIG': str(tmp_path / 'ansible.cfg'),
            'ANSIBLE_STDOUT_CALLBACK': 'ansible.builtin.default',
            'ANSIBLE_NOCOLOR': 'true',
        }
        given = {'registry_access_report_path': '', 'ansible_become': False, 'ansible_python_interpreter': sys.executable, **variables}
        options = ['-i', str(tmp_path / 'hosts'), '-e', json.dumps(given), *['--check'] * check]
        command = [str(core), '-m', 'ansible', 'playbook', *options, str(tmp_path / 'plays.yml')]
        ran = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        return Ran(ran.returncode, ran.stdout + ran.stderr)

    return run


SITE = {'import_playbook': 'quickpull.registry.site'}
REMOVE = {'import_playbook': 'quickpull.registry.remove'}


@EACH_CORE
def test_a_handler_that_fails_holds_later_waves_back(ansible: t.Callable[..., Ran]) -> None:
    ran = ansible(SITE, handler_fails=['b'], registry_access_waves=[1, 1, 2])
    assert ran.said('TOUCH') == ['a present', 'b present'], ran.text
    assert ran.rc == 2, ran.text
    assert 'Print the report' in ran.text


@EACH_CORE
@pytest.mark.parametrize('playbook', [SITE, REMOVE], ids=['site', 'remove'])
def test_a_handler_that_fails_in_the_only_wave_fails_the_run(ansible: t.Callable[..., Ran], playbook: dict[str, str]) -> None:
    ran = ansible(playbook, handler_fails=['b'])
    assert ran.rc == 2, ran.text
    assert 'Print the report' in ran.text


@EACH_CORE
def test_a_host_that_failed_applies_nothing(ansible: t.Callable[..., Ran]) -> None:
    """Ansible runs what a rescued host was notified of when the batch ends."""
    ran = ansible(SITE, task_fails=['a'], registry_access_apply='end_of_play', hosts='a b')
    assert ran.said('APPLY') == ['b'], ran.text
    assert ran.rc == 2
    assert 'Print the report' in ran.text


@EACH_CORE
def test_there_is_a_report_when_the_handlers_of_all_hosts_fail(ansible: t.Callable[..., Ran]) -> None:
    ran = ansible(SITE, handler_fails=['a', 'b', 'c', 'd'])
    assert ran.rc == 2, ran.text
    assert 'Print the report' in ran.text


@EACH_CORE
def test_a_second_playbook_leaves_the_hosts_of_the_first_alone(ansible: t.Callable[..., Ran]) -> None:
    ran = ansible(SITE, {**REMOVE, 'vars': {'registry_access_hosts': 'retired'}})
    assert ran.told('TOUCH') == [f'{host} present' for host in 'abcd'], ran.text
    assert (ran.rc, ran.said('FORGET')) == (0, [])


def test_a_second_playbook_for_a_host_that_failed_takes_no_other(ansible: t.Callable[..., Ran]) -> None:
    ran = ansible(SITE, {**REMOVE, 'vars': {'registry_access_hosts': 'a'}}, task_fails=['a'])
    assert ran.told('TOUCH') == [f'{host} present' for host in 'abcd'], ran.text
    assert (ran.rc, ran.said('FORGET')) == (2, [])


def test_a_second_playbook_has_waves_of_its_own(ansible: t.Callable[..., Ran]) -> None:
    ran = ansible(SITE, {**REMOVE, 'vars': {'registry_access_hosts': 'c:d'}}, registry_access_waves=[1])
    assert ran.said('FORGET') == ['c', 'd'], ran.text
    assert ran.rc == 0


@pytest.mark.parametrize('hosts', ['127.0.0.1 b', '::1', 'b localhost'])
def test_the_machine_itself_may_be_in_the_inventory(ansible: t.Callable[..., Ran], hosts: str) -> None:
    ran = ansible(SITE, REMOVE, hosts=hosts, registry_access_waves=[1])
    assert ran.said('TOUCH') == [f'{host} {state}' for state in ('present', 'absent') for host in hosts.split()], ran.text
    assert ran.rc == 0


def test_no_hosts_in_a_wave_is_refused_and_not_taken_for_all(ansible: t.Callable[..., Ran]) -> None:
    ran = ansible(SITE, registry_access_waves=0)
    assert (ran.rc, ran.said('TOUCH')) == (2, []), ran.text
    assert 'is no size of a wave' in ran.text


def test_waves_and_the_report_are_the_same_with_another_strategy(ansible: t.Callable[..., Ran]) -> None:
    ran = ansible(SITE, config='strategy = free', registry_access_waves=[1, 3], task_fails=['a'])
    assert ran.said('TOUCH') == ['a present'], ran.text
    assert (ran.rc, ran.text.count('1 failed, 3 held back.')) == (2, 1), ran.text


def test_removal_takes_no_login_away_that_is_not_named(ansible: t.Callable[..., Ran]) -> None:
    tasks = yaml.safe_load((ROOT / 'roles/registry_access/tasks/auths.yml').read_text(encoding='utf-8'))
    (exclusive,) = [task['quickpull.registry.registry_auth']['exclusive'] for task in tasks if 'quickpull.registry.registry_auth' in task]
    shown = {'ansible.builtin.debug': {'msg': f'EXCLUSIVE {{{{ registry_access_state }}}} {exclusive}'}}
    plays = [{'hosts': 'a', 'gather_facts': False, 'vars': {'registry_access_state': state}, 'tasks': [shown]} for state in ('present', 'absent')]
    ran = ansible(*plays, hosts='a', registry_access_auth_exclusive=True, __registry_access_leak='')
    assert ran.said('EXCLUSIVE') == ['present True', 'absent False'], ran.text


def test_a_run_that_no_host_remembers_is_no_roll_back(ansible: t.Callable[..., Ran]) -> None:
    ran = ansible({'import_playbook': 'quickpull.registry.rollback'}, hosts='a', registry_rollback_run='20260101T000000.000000Z-mistyped', check=True)
    assert ran.rc == 2, ran.text
    assert 'No host remembers the run 20260101T000000.000000Z-mistyped, so nothing was rolled back.' in ran.text


def test_a_host_that_is_lost_at_the_probe_leaves_it_to_another(ansible: t.Callable[..., Ran]) -> None:
    specs = yaml.safe_load((ROOT / 'roles/registry_access/defaults/main.yml').read_text(encoding='utf-8'))
    given = {name: value for name, value in specs.items() if name.startswith('registry_access_probe') or name == 'registry_access_allow_lapsed'}
    given.update(__registry_access_upstream='docker.io', __registry_access_probe_key='key', __registry_access_candidates=[])
    given.update(__registry_access_probe_request={'images': [], 'site': ''}, __registry_access_probe_view='view')
    # Nobody answers at this port.
    given.update(ansible_connection='ssh', ansible_host='127.0.0.1', ansible_port=1)
    tasks = [
        {'ansible.builtin.set_fact': {'__registry_access_probe_ready': 'key', '__registry_access_probe_failed': ''}},
        {'ansible.builtin.include_tasks': str(ROOT / 'roles/registry_access/tasks/probe_here.yml')},
        {'ansible.builtin.debug': {'msg': "READY '{{ __registry_access_probe_ready }}' {{ __registry_access_probes | default('none') }}"}},
    ]
    ran = ansible({'hosts': 'a', 'gather_facts': False, 'ignore_unreachable': True, 'vars': given, 'tasks': tasks}, hosts='a')
    assert ran.said('READY') == ["'' none"], ran.text


# Defaults of the role, which audit.yml takes from it.
AUDITS = {'registry_access_audit_kinds': 'file, unreachable', 'registry_access_audit_fails': True}


@pytest.mark.parametrize('name', ['site', 'finish', 'remove', 'audit'])
def test_each_playbook_carries_on_what_is_at_the_path(ansible: t.Callable[..., Ran], tmp_path: Path, name: str) -> None:
    point = {'time': '2026-11-28T00:00:00Z', 'state': 'ok', 'latency_ms': 2, 'throughput_bps': None}
    series = {'upstream': 'docker.io', 'site': '', 'url': 'http://a.lab', 'history': [point]}
    seen = tmp_path / 'seen.json'
    seen.write_text(json.dumps({'schema_version': 1, 'earlier': [series]}), encoding='utf-8')
    seen.chmod(0o600)
    ran = ansible({'import_playbook': f'quickpull.registry.{name}'}, hosts='a b', registry_access_report_path=str(tmp_path / 'seen.html'), **AUDITS)
    assert ran.rc == 0, ran.text
    assert [one['history'] for one in probed(tmp_path)['earlier']] == [[point]]
    assert seen.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize('name, told', [('audit', 'No drift on 2 hosts.'), ('rollback', 'No host remembers a run that could be rolled back.')])
def test_what_is_told_of_all_hosts_is_told_once(ansible: t.Callable[..., Ran], name: str, told: str) -> None:
    ran = ansible({'import_playbook': f'quickpull.registry.{name}'}, hosts='a b', config='strategy = free', check=True, **AUDITS)
    assert (ran.rc, ran.text.count(told)) == (0, 1), ran.text
    assert ran.text.count('"msg": [') == 1, ran.text


@pytest.mark.parametrize('hosts', ['a', 'a b'])
def test_an_audit_tells_hosts_that_it_lost_on_the_way(ansible: t.Callable[..., Ran], tmp_path: Path, hosts: str) -> None:
    given = {'registry_access_report_path': str(tmp_path / 'seen.json'), 'task_loses': 'a', **AUDITS}
    ran = ansible({'import_playbook': 'quickpull.registry.audit'}, hosts=hosts, **given)
    (sentence,) = probed(tmp_path)['hosts']['a']['drift']
    assert sentence.startswith('It was lost while it was looked at: ')
    assert re.findall(r'^(\w+) .*failed=1', ran.text, re.MULTILINE) == ['a'], ran.text
    assert ran.rc != 0


# Nobody answers at this port.
LOST = 'ansible_host=127.0.0.1 ansible_port=1'
LOCAL = 'ansible_connection=local'
PROBE = {'import_playbook': 'quickpull.registry.probe'}
DEAD = {'docker.io': ['http://127.0.0.1:9', 'http://127.0.0.1:19']}


def probed(tmp_path: Path) -> dict[str, t.Any]:
    assert sorted(path.name for path in tmp_path.glob('seen.*')) == ['seen.html', 'seen.json', 'seen.md', 'seen.txt']
    report: dict[str, t.Any] = json.loads((tmp_path / 'seen.json').read_text(encoding='utf-8'))
    return report


def test_a_probe_tells_hosts_that_it_lost(whole: t.Callable[..., Ran], tmp_path: Path) -> None:
    # In one site another host stands in, in the next nobody can; what cannot run the probe is no better than what cannot be reached.
    hosts = [
        f'lost {LOST} registry_access_site=berlin',
        f'here {LOCAL} registry_access_site=berlin',
        f'away {LOST} registry_access_site=tokyo',
        f'broken {LOCAL} registry_access_site=oslo its_python=/nowhere/python',
    ]
    given = {'registry_access_probe_scope': 'site', 'registry_access_report_path': str(tmp_path / 'seen.json'), 'registry_access_mirrors': DEAD}
    ran = whole(PROBE, hosts='\n'.join(hosts), ansible_python_interpreter="{{ its_python | default('%s') }}" % sys.executable, **given)
    report = probed(tmp_path)
    assert ran.rc != 0, ran.text
    assert {name: host['skipped'] for name, host in report['hosts'].items()} == {'lost': 'unreachable', 'away': 'unreachable', 'broken': ''}
    assert all('Connection refused' in ' '.join(report['hosts'][name]['warnings']) for name in ('lost', 'away')), report['hosts']
    assert report['hosts']['broken']['failed']
    assert report['hosts']['broken']['failures']
    assert [(probe['host'], probe['site']) for probe in report['probes']] == [('here', 'berlin')]
    assert '0 of 2 mirrors ok, 3 hosts, 1 failed, 2 unreachable.' in ran.text
    assert re.findall(r'^(\w+) .*failed=1', ran.text, re.MULTILINE) == ['away', 'broken', 'lost']


def test_there_is_a_report_when_a_probe_can_reach_nobody(whole: t.Callable[..., Ran], tmp_path: Path) -> None:
    ran = whole(PROBE, hosts=f'a {LOST}\nb {LOST}', registry_access_mirrors=DEAD, registry_access_report_path=str(tmp_path / 'seen.json'))
    report = probed(tmp_path)
    assert ran.rc != 0, ran.text
    assert {name: host['skipped'] for name, host in report['hosts'].items()} == {'a': 'unreachable', 'b': 'unreachable'}
    assert report['probes'] == []
    assert '2 hosts, 2 unreachable.' in ran.text


def test_a_probe_that_lost_nobody_tells_of_mirrors_alone(whole: t.Callable[..., Ran], tmp_path: Path) -> None:
    both = {'registry_access_mirrors': DEAD, 'registry_access_report_path': str(tmp_path / 'seen.json'), 'registry_access_probe_scope': 'host'}
    ran = whole(PROBE, hosts='a b', config='strategy = free', **both)
    report = probed(tmp_path)
    assert (ran.rc, report['hosts']) == (0, {}), ran.text
    assert sorted(probe['host'] for probe in report['probes']) == ['a', 'b']
    assert ran.text.count('0 of 4 mirrors ok.') == 1
