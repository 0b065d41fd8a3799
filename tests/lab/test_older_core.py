# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks under the oldest ansible-core that the collection names. Its templates make other values: null becomes an empty text, a number a text."""

from __future__ import annotations

import json
import subprocess
import typing as t
from pathlib import Path

import pytest

from lab.api import Host, Lab, PlaybookRun
from lab.config import ROOT

CORE = 'core-2.17'
NAME = 'lab-trixie'
FILES = '/etc/docker /etc/containers /etc/containerd /etc/systemd /root /usr/local'
TREE = f'find {FILES} -type f | sort | xargs -d "\\n" sha256sum'


@pytest.fixture(scope='module', autouse=True)
def older_core() -> t.Iterator[None]:
    made = subprocess.run([str(ROOT / 'tests/venv.sh'), CORE, 'core-2-17', '3.10', '3.12'], capture_output=True, encoding='utf-8', check=False)
    if made.returncode == 3:
        pytest.skip('no Python from 3.10 to 3.12 on this machine')
    assert made.returncode == 0, made.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('QUICKPULL_LAB_CORE', CORE)
        yield


def play(lab: Lab, playbook: str, more: t.Mapping[str, t.Any] | None = None, **how: t.Any) -> PlaybookRun:
    variables = {
        'registry_access_mirrors': {'docker.io': lab.urls('good-a', 'always-500', 'good-b'), 'quay.io': lab.urls('good-b')},
        'registry_access_probe_images': ['library/busybox:latest', 'quay.io/library/busybox:latest'],
        'registry_access_probe_deadline': 5,
        'registry_access_insecure_registries': ['10.9.0.0/24'],
        'registry_access_docker_settings': {'max-concurrent-downloads': 4},
        'registry_access_refresh': True,
        **(more or {}),
    }
    return lab.playbook(f'playbooks/{playbook}.yml', limit=NAME, extra_vars=variables, **how)


@pytest.fixture(scope='module')
def host(lab: Lab) -> t.Iterator[Host]:
    host = lab.hosts[NAME]
    host.reset()
    yield host
    host.reset()


def test_a_run_that_names_nothing_changes_nothing(lab: Lab, host: Host) -> None:
    before = host.out(TREE)
    assert lab.playbook('playbooks/site.yml', limit=NAME).ok().changed() == 0
    assert host.out(TREE) == before


def test_the_role_configures_audits_and_takes_away(lab: Lab, host: Host, tmp_path: Path) -> None:
    before, pid = host.out(TREE), host.dockerd_pid()
    report = tmp_path / 'report.json'
    assert play(lab, 'site', check=True).ok().changed() > 0
    assert host.out(TREE) == before
    play(lab, 'site', {'registry_access_report_path': str(report)}).ok()
    assert [url.rstrip('/') for url in host.mirrors_in_force()] == lab.urls('good-a', 'good-b')
    assert json.loads(host.get('/etc/docker/daemon.json'))['max-concurrent-downloads'] == 4
    assert lab.urls('good-b')[0].rpartition('/')[2] in host.out("podman info --format '{{json .Registries}}'")
    told = json.loads(report.read_text())['hosts'][NAME]
    assert (told['applied'], told['proved'], told['failed']) == ('reload', True, False)
    assert host.run('systemctl start registry_access_refresh.service', check=False).returncode == 0
    assert play(lab, 'site').ok().changed() == 0
    play(lab, 'audit').ok()
    host.run("sed -i 's/4/5/' /etc/docker/daemon.json")
    assert play(lab, 'audit').rc == 2
    host.run("sed -i 's/5/4/' /etc/docker/daemon.json")
    play(lab, 'remove', {'registry_access_mirrors': {}, 'registry_access_refresh': False}).ok()
    assert host.mirrors_in_force() == []
    assert host.out(TREE) == before
    assert host.dockerd_pid() == pid
