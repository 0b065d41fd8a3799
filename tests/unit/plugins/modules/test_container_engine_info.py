# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.quickpull.registry.plugins.module_utils import _dropin, _engine_facts
from ansible_collections.quickpull.registry.plugins.module_utils._engines import containerd, crio, docker, k3s, podman
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.modules import container_engine_info, docker_daemon_info

DAEMONS: list[tuple[docker.DockerDaemon, list[str]]] = [
    (docker.DockerDaemon(installed=True, active_state='active', main_pid=7, started_at=1.5), ['docker']),
    (docker.DockerDaemon(installed=True, active_state='inactive'), ['docker']),
    (docker.DockerDaemon(installed=False), []),
    (docker.DockerDaemon(installed=False, flavour='podman-docker'), []),
]


@pytest.fixture(autouse=True)
def no_other_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the machine that runs the tests."""
    monkeypatch.setattr(containerd, 'inspect', lambda *_hosts, **_options: containerd.Containerd(installed=False))
    monkeypatch.setattr(podman, 'inspect', lambda *_hosts: podman.Tools())


def output(module: t.Any, capsys: pytest.CaptureFixture[str]) -> dict[str, t.Any]:
    with patch_module_args({}), pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0
    return t.cast('dict[str, t.Any]', json.loads(capsys.readouterr().out))


@pytest.mark.parametrize('daemon, installed', DAEMONS)
def test_engines(daemon: docker.DockerDaemon, installed: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(docker, 'inspect', lambda **_options: daemon)
    found = output(container_engine_info, capsys)
    assert (found['changed'], found['installed'], sorted(found['engines'])) == (False, installed, installed)


def test_a_proxy_dropin_of_ours_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, 'inspect', lambda **_options: DAEMONS[0][0])
    hosts = _engine_facts.Hosts(docker=docker.Host(root=str(tmp_path)))
    assert _engine_facts.facts(hosts, State(str(tmp_path / 'state')))['engines']['docker']['proxy_dropin'] == ''
    path = _dropin.default_path()
    full = tmp_path / path[1:]
    full.parent.mkdir(parents=True)
    full.write_text(_dropin.render({'HTTPS_PROXY': 'http://p:1'}))
    assert _engine_facts.facts(hosts, State(str(tmp_path / 'state')))['engines']['docker']['proxy_dropin'] == path


def keys(contains: dict[str, t.Any]) -> dict[str, t.Any]:
    return {name: keys(entry['contains']) if 'contains' in entry and entry['type'] == 'dict' else None for name, entry in contains.items()}


def shape(value: t.Any, like: t.Any) -> t.Any:
    return {name: shape(inner, (like or {}).get(name)) for name, inner in value.items()} if isinstance(value, dict) and like is not None else None


@pytest.mark.parametrize('module', [container_engine_info, docker_daemon_info], ids=['container_engine_info', 'docker_daemon_info'])
def test_the_documentation_names_just_what_is_returned(module: t.Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(docker, 'inspect', lambda **_options: DAEMONS[0][0])
    monkeypatch.setattr(containerd, 'inspect', lambda *_hosts, **_options: containerd.Containerd(installed=True))
    monkeypatch.setattr(podman, 'inspect', lambda *_hosts: podman.Tools(podman='/usr/bin/podman', crio='/usr/bin/crio'))
    monkeypatch.setattr(crio, 'inspect', lambda *_hosts: crio.Crio(installed=True))
    monkeypatch.setattr(k3s, 'inspect', lambda name, *_hosts: k3s.K3s(installed=True, name=name))
    found = {name: value for name, value in output(module, capsys).items() if name not in ('changed', 'invocation')}
    documented = keys(yaml.safe_load(module.RETURN))
    assert shape(found, documented) == documented


def test_users_who_are_gone_are_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = State(str(tmp_path / 'state'))
    Path(state.root).mkdir()
    Path(state.users).write_text('{"podman": ["root", "nobody-of-that-name"], "buildkit": ["nobody-of-that-name"]}')
    assert _engine_facts.users_with_files(state) == {'podman': ['root'], 'buildkit': []}
