# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.callback.progress import lines
from ansible_collections.quickpull.registry.plugins.module_utils import _docker_apply, _service_apply
from ansible_collections.quickpull.registry.plugins.module_utils._plan import Plan
from ansible_collections.quickpull.registry.plugins.module_utils._proof import Proof
from ansible_collections.quickpull.registry.plugins.modules import docker_daemon_apply

PREFIX = 'quickpull.registry.'
PROBED = {
    'invocation': {'module_args': {'upstream': 'quay.io'}},
    'results': [
        {'url': 'http://me:secret@good.lab', 'ok': True, 'state': 'ok', 'reason': 'All is well.', 'latency_ms': 2.1, 'throughput_bps': 85_234_567},
        {'url': 'http://bad.lab', 'ok': False, 'state': 'timeout', 'reason': 'Nothing came from http://me:secret@x.lab.\x1b[2J\n', 'latency_ms': None},
    ],
}
RESTART = Plan('restart', restart_keys=('config_path',))
WAITS = ['It would stop containers.']


def service(engine: str, **outcome: t.Any) -> dict[str, t.Any]:
    """What engine_apply returns, as a callback gets it."""
    return {**_service_apply.Outcome(**outcome).as_dict(), 'invocation': {'module_args': {'engine': engine}}}


def docker(proof: bool | None = None, **outcome: t.Any) -> dict[str, t.Any]:
    """What docker_daemon_apply returns."""
    return docker_daemon_apply.as_result(_docker_apply.Outcome(proof=None if proof is None else Proof(proof), **outcome))


def test_a_line_for_each_mirror() -> None:
    assert lines('quickpull.registry.registry_mirror_probe', 'web1', PROBED) == [
        '  web1: quay.io http://xxxxx:xxxxx@good.lab ok 2.1 ms 85.2 MB/s',
        '  web1: quay.io http://bad.lab timeout Nothing came from http://xxxxx:xxxxx@x.lab. [2J',
    ]


@pytest.mark.parametrize('action, said, told', [
    ('docker_daemon_apply', docker(applied='reload', proof=True), ['  web1: reload, proved']),
    ('docker_daemon_apply', docker(applied='restart', proof=True), ['  web1: restart, proved']),
    ('docker_daemon_apply', docker(applied='none'), []),
    ('docker_daemon_apply', docker(applied='reload', proof=True, pending=True, pending_because=tuple(WAITS)),
     ['  web1: reload, proved', '  web1: restart pending: It would stop containers.']),
    ('docker_daemon_apply', {'applied': 'none', 'proof': {'ok': True}}, []),
    ('engine_apply', service('containerd', changed=True, action='restart', proved=True, plan=RESTART), ['  web1: containerd restart, proved']),
    ('engine_apply', service('crio', changed=True, action='reload'), ['  web1: CRI-O reload, not proved']),
    ('engine_apply', service('rke2', pending=WAITS, plan=RESTART), ['  web1: RKE2 restart pending: It would stop containers.']),
    ('engine_apply', service('k3s'), []),
    ('registry_mirror_probe', {}, []),
    ('docker_daemon_config', {'results': [{'url': 'http://a.lab'}], 'applied': 'reload'}, []),
])  # fmt: skip
def test_what_is_told_of_other_results(action: str, said: dict[str, t.Any], told: list[str]) -> None:
    assert lines(f'{PREFIX}{action}', 'web1', said) == told


@pytest.mark.parametrize('action, said, told', [
    ('docker_daemon_apply', docker(applied='reload'), ['  web1: would reload']),
    ('docker_daemon_apply', docker(pending=True, pending_because=tuple(WAITS)), ['  web1: restart pending: It would stop containers.']),
    ('engine_apply', service('k3s', changed=True, action='restart', plan=RESTART), ['  web1: K3s would restart']),
])  # fmt: skip
def test_in_check_mode_nothing_was_done(action: str, said: dict[str, t.Any], told: list[str]) -> None:
    assert lines(f'{PREFIX}{action}', 'web1', said, check_mode=True) == told


@pytest.mark.parametrize('action, said, told', [
    ('docker_daemon_apply', {**docker(applied='restart', rolled_back=True), 'msg': 'Docker did not take\nits configuration.'},
     '  web1: restart FAILED, rolled back: Docker did not take its configuration.'),
    ('docker_daemon_apply', {**docker(), 'msg': 'No daemon.'}, '  web1: apply FAILED: No daemon.'),
    ('docker_daemon_apply', {'msg': 'No answer from http://me:secret@x.lab.'}, '  web1: apply FAILED: No answer from http://xxxxx:xxxxx@x.lab.'),
    ('engine_apply', {'msg': 'It did not come up.', 'invocation': {'module_args': {'engine': 'crio'}}}, '  web1: CRI-O apply FAILED: It did not come up.'),
    ('registry_mirror_probe', {'msg': 'No.', 'invocation': {'module_args': {'upstream': 'quay.io'}}}, '  web1: quay.io probe FAILED: No.'),
])  # fmt: skip
def test_a_failure_is_told(action: str, said: dict[str, t.Any], told: str) -> None:
    assert lines(f'{PREFIX}{action}', 'web1', said, ended='failed') == [told]
    assert lines(f'{PREFIX}{action}', 'web1', said, ended='failed', ignored=True) == [told.replace('FAILED', 'failed (ignored)')]
    assert lines(f'{PREFIX}docker_daemon_config', 'web1', said, ended='failed') == []


def test_a_host_that_was_lost_is_told() -> None:
    said = {'unreachable': True, 'msg': 'Connection\x07 refused'}
    assert lines(f'{PREFIX}engine_apply', 'web1', said, ended='unreachable') == ['  web1: UNREACHABLE: Connection refused']
    assert lines(f'{PREFIX}engine_apply', 'web1', said, ended='failed') == ['  web1: UNREACHABLE: Connection refused'], 'an item of a loop'
    assert lines(f'{PREFIX}engine_apply', 'web1', said, ended='unreachable', ignored=True) == ['  web1: unreachable (ignored): Connection refused']


def test_what_no_log_hides_is_not_told() -> None:
    assert lines(f'{PREFIX}registry_mirror_probe', 'web1', {**PROBED, 'censored': 'the output has been hidden'}) == []
    assert lines(f'{PREFIX}registry_mirror_probe', 'web1', {**PROBED, '_ansible_no_log': True}) == []


def test_of_a_loop_each_item_is_told_and_not_the_whole() -> None:
    item = {**PROBED, 'item': 'quay.io', 'ansible_loop_var': 'item'}
    assert len(lines(f'{PREFIX}registry_mirror_probe', 'web1', item)) == 2
    assert lines(f'{PREFIX}registry_mirror_probe', 'web1', {'results': [item, item]}) == []
    assert lines(f'{PREFIX}registry_mirror_probe', 'web1', {'results': [item], 'msg': 'One or more items failed'}, ended='failed') == []


@pytest.mark.parametrize('letter', ['\x00', '\x1b', '\x9b', '\u061c', '\u200e', '\u200f', '\u202e', '\u2028', '\u2066', '\ufeff', '\ud800', '\U000e0041'])
def test_what_moves_the_cursor_or_turns_the_writing_stays_away(letter: str) -> None:
    said = {'results': [{'url': f'http://{letter}a.lab', 'ok': False, 'state': letter, 'reason': f'No{letter}.'}], 'msg': f'a{letter}b'}
    for ended in ('ok', 'failed', 'unreachable'):
        told = lines(f'{PREFIX}registry_mirror_probe', f'web{letter}1', said, ended=ended)
        assert told and letter not in ''.join(told)


def test_tasks_of_others_are_none_of_its_business() -> None:
    assert lines('somebody.else.registry_mirror_probe', 'web1', PROBED) == []


PLAY = """
- hosts: localhost
  gather_facts: false
  collections: [quickpull.registry]
  vars:
    wanted: {action: restart, restart_keys: [config_path], reasons: [No.]}
  tasks:
    - engine_apply: &apply {engine: containerd, planned: "{{ wanted }}", restart: always}
      check_mode: true
    - quickpull.registry.engine_apply: {<<: *apply, engine: "{{ item }}"}
      check_mode: true
      loop: [crio, k3s]
    - quickpull.registry.engine_apply: {<<: *apply, engine: rke2}
      check_mode: true
      no_log: true
    - quickpull.registry.engine_apply: {<<: *apply, timeout: 0}
      ignore_errors: true
    - quickpull.registry.engine_apply: {<<: *apply, engine: "{{ item }}", timeout: 0}
      loop: [k3s]
      ignore_errors: true
    - quickpull.registry.engine_apply: {<<: *apply, engine: crio, timeout: 0}
"""


def test_ansible_hands_over_what_is_told(tmp_path: Path) -> None:
    play = tmp_path / 'play.yml'
    play.write_text(PLAY, encoding='utf-8')
    env = {**os.environ, 'ANSIBLE_CALLBACKS_ENABLED': f'{PREFIX}progress', 'ANSIBLE_NOCOLOR': '1', 'ANSIBLE_LOCALHOST_WARNING': 'false',
           'ANSIBLE_INVENTORY_UNPARSED_WARNING': 'false'}  # fmt: skip
    command = [sys.executable, '-m', 'ansible', 'playbook', '-c', 'local', '-e', f'ansible_python_interpreter={sys.executable}', str(play)]
    said = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    refused = 'timeout must be 1 or more: seconds that the service has to come up.'
    assert [line for line in said.stdout.splitlines() if line.startswith('  localhost: ')] == [
        '  localhost: containerd would restart',
        '  localhost: CRI-O would restart',
        '  localhost: K3s would restart',
        f'  localhost: containerd apply failed (ignored): {refused}',
        f'  localhost: K3s apply failed (ignored): {refused}',
        f'  localhost: CRI-O apply FAILED: {refused}',
    ], said.stdout + said.stderr
