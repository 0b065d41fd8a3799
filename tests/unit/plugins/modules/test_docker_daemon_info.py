# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.quickpull.registry.plugins.module_utils._engines import docker
from ansible_collections.quickpull.registry.plugins.modules import docker_daemon_info

SAID = docker.reported({'RegistryConfig': {'Mirrors': ['http://a/']}, 'LiveRestoreEnabled': True})
RUNNING = docker.DockerDaemon(installed=True, version='28.5.2', active_state='active', main_pid=7, reported=SAID, via='socket')


def ask(daemon: docker.DockerDaemon, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, t.Any]:
    monkeypatch.setattr(docker, 'inspect', lambda **_options: daemon)
    with patch_module_args({}), pytest.raises(SystemExit) as ended:
        docker_daemon_info.main()
    assert ended.value.code == 0
    return t.cast('dict[str, t.Any]', json.loads(capsys.readouterr().out))


def test_a_running_daemon(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(RUNNING, monkeypatch, capsys)
    assert (found['changed'], found['running'], found['mirrors'], found['live_restore'], found['via']) == (False, True, ['http://a/'], True, 'socket')


@pytest.mark.parametrize('installed', [True, False])
def test_a_daemon_that_does_not_run_is_no_error(installed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(docker.DockerDaemon(installed=installed, active_state='inactive'), monkeypatch, capsys)
    assert (found['installed'], found['running'], found['mirrors']) == (installed, False, None)
