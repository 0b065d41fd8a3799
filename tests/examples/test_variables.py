# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles warn of variables that look misspelt: their own condition, run by Ansible on a controller."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.parent.parent for path in ROOT.glob('roles/*/tasks/main.yml'))
PLAYBOOKS = ['registry_access_hosts', 'registry_rollback_run']
MISSPELT = {
    'registry_access_mirorrs': 'registry_access_mirrors',
    'registry_acess_mirrors': 'registry_access_mirrors',
    'registry_workers_name': 'registry_worker_name',
    'pull_trough_cache_upstreams': 'pull_through_cache_upstreams',
    'pull_through_cache_upstream': 'pull_through_cache_upstreams',
    'registry_access_canary': 'registry_access_canaries',
    'registry_access_host': 'registry_access_hosts',
}
# What other roles have, and what people make up for themselves.
OTHERS = """registry_password registry_username registry_url registry_host registry_port registry_mirrors registry_proxy registry_access
    registry_access_mirrors_eu registry_cache_size registry_worker_count_of_mine registry_state registry_name
    pull_policy pull_secret pull_through pull_images pull_timeout""".split()


def names_of(role: Path) -> list[str]:
    return list(yaml.safe_load((role / 'defaults/main.yml').read_text(encoding='utf-8')))


def condition(role: Path) -> t.Any:
    """What the role asserts of the names of variables."""
    listed = yaml.safe_load((role / 'tasks/main.yml').read_text(encoding='utf-8'))
    tasks = [one for task in listed for one in task.get('block', [task])]
    that = [text for task in tasks for text in [task.get('ansible.builtin.assert', {}).get('that', [])]]
    found = [text for texts in that for text in (texts if isinstance(texts, list) else [texts]) if 'variables_are_known' in text]
    assert len(found) == 1, role
    return found[0]


def test_a_warning_for_each_slip_and_none_for_others(tmp_path: Path) -> None:
    # As each role has them: what Ansible reads with a lookup it takes for no template.
    specs = {f'__{role.name}_specs': f"{{{{ lookup('ansible.builtin.file', '{role}/meta/argument_specs.yml') | from_yaml }}}}" for role in ROLES}
    given = dict.fromkeys([*MISSPELT, *OTHERS, *PLAYBOOKS, *(name for role in ROLES for name in names_of(role))], '')
    tasks = [{'name': role.name, 'ansible.builtin.assert': {'that': condition(role)}} for role in ROLES]
    playbook = tmp_path / 'variables.yml'
    play = {'hosts': 'localhost', 'connection': 'local', 'gather_facts': False, 'vars': {**given, **specs}, 'tasks': tasks}
    playbook.write_text(yaml.safe_dump([play]), encoding='utf-8')
    environment = {**os.environ, 'ANSIBLE_LOCALHOST_WARNING': 'false', 'ANSIBLE_NOCOLOR': 'true', 'COLUMNS': '400'}
    command = [sys.executable, '-m', 'ansible', 'playbook', '-i', 'localhost,', str(playbook)]
    ran = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = re.findall(r'(\w+) is no variable of this collection, and does nothing\. Is (\w+) meant\?', ' '.join(ran.stderr.split()))
    assert sorted(told) == sorted(MISSPELT.items())
