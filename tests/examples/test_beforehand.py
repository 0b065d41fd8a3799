# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be told beforehand the role tells before it looks at a host: the role itself, run by Ansible on a controller."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LOOKS = 'Look at the container engines of this host'
REFRESHING = {'registry_access_refresh': True, 'registry_access_mirrors': {'docker.io': ['http://127.0.0.1:9']}}


def role(folder: Path, **variables: t.Any) -> subprocess.CompletedProcess[str]:
    """The role in check mode, on a host that cannot be reached: so it ends at the first task that needs one."""
    tasks = [{'ansible.builtin.import_role': {'name': 'quickpull.registry.registry_access'}}]
    (folder / 'play.yml').write_text(yaml.safe_dump([{'hosts': 'away', 'gather_facts': False, 'tasks': tasks}]), encoding='utf-8')
    # Nobody answers at this port.
    given = {'ansible_host': '127.0.0.1', 'ansible_port': 1, **variables}
    settings = {'ANSIBLE_STDOUT_CALLBACK': 'ansible.builtin.default', 'ANSIBLE_NOCOLOR': 'true', 'COLUMNS': '400'}
    command = [sys.executable, '-m', 'ansible', 'playbook', '-i', 'away,', '--check', '-e', json.dumps(given), 'play.yml']
    return subprocess.run(command, env={**os.environ, **settings}, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize('variables, told', [
    ({'registry_access_refresh_interval': '10 minutes'}, 'registry_access_refresh_interval: '),
    ({'registry_access_refresh_jitter': 301}, 'registry_access_refresh_jitter: '),
    ({'registry_access_refresh_offer': 99999}, 'registry_access_refresh_offer: '),
    ({'registry_access_metrics_path': '/tmp/x.prom'}, 'registry_access_metrics_path: '),
])  # fmt: skip
def test_what_a_host_is_to_choose_by_is_checked_before_it_is_looked_at(tmp_path: Path, variables: dict[str, t.Any], told: str) -> None:
    ran = role(tmp_path, **REFRESHING, **variables)
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert told in ran.stdout + ran.stderr
    assert LOOKS not in ran.stdout


@pytest.mark.parametrize('variables', [{**REFRESHING, 'registry_access_refresh_jitter': 60}, {'registry_access_refresh_interval': '5s'}])
def test_what_makes_sense_and_what_is_not_wanted_stops_nobody(tmp_path: Path, variables: dict[str, t.Any]) -> None:
    ran = role(tmp_path, **variables)
    assert LOOKS in ran.stdout, ran.stdout + ran.stderr


@pytest.mark.parametrize('options, goes', [
    (('--tags', 'refresh'), True), (('--tags', 'mirrors'), True), (('--tags', 'auths'), False), (('--skip-tags', 'refresh'), False), ((), True),
])  # fmt: skip
def test_the_refresh_goes_with_the_mirrors_or_by_itself(tmp_path: Path, options: tuple[str, ...], goes: bool) -> None:
    tasks = [{'ansible.builtin.import_tasks': str(ROOT / 'roles/registry_access/tasks/refresh.yml')}]
    (tmp_path / 'play.yml').write_text(yaml.safe_dump([{'hosts': 'away', 'tasks': tasks}]), encoding='utf-8')
    command = [sys.executable, '-m', 'ansible', 'playbook', '-i', 'away,', '--list-tasks', *options, 'play.yml']
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ('Let the host choose its mirrors by itself' in ran.stdout) == goes, ran.stdout
