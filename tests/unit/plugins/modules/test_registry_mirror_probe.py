# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import typing as t

import pytest
import yaml
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

from ansible_collections.quickpull.registry.plugins.module_utils._docker_api import DockerUnavailable
from ansible_collections.quickpull.registry.plugins.module_utils._engines import docker
from ansible_collections.quickpull.registry.plugins.module_utils._probe_verdict import STATES, STEPS
from ansible_collections.quickpull.registry.plugins.modules import registry_mirror_probe
from ansible_collections.quickpull.registry.tests.unit.plugins.small_registry import Answer, Asked, Content, Server, layer

CONTENT = Content((layer(300),))
SECRETS = ('hush-proxy', 'hush-header')


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the module writes to the system's log."""
    lines: list[str] = []
    monkeypatch.setattr(basic.AnsibleModule, 'log', lambda self, msg, log_args=None: lines.append(str(msg)))
    return lines


def call(capsys: pytest.CaptureFixture[str], **params: t.Any) -> dict[str, t.Any]:
    with patch_module_args({'deadline': 5, 'check_upstream': False, 'platform': 'linux/amd64', **params}), pytest.raises(SystemExit):
        registry_mirror_probe.main()
    return t.cast('dict[str, t.Any]', json.loads(capsys.readouterr().out))


def test_bad_mirrors_are_results_and_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = Server(CONTENT.serve), Server(lambda asked: Answer(500))
    found = call(capsys, mirrors=[bad.url, {'url': good.url, 'third_party': True}], images=['nginx'])
    assert found['changed'] is False
    assert [one['state'] for one in found['results']] == ['server_error', 'ok']
    assert found['results'][1]['digest'] == CONTENT.digest
    documented = yaml.safe_load(registry_mirror_probe.RETURN)
    assert set(found['results'][1]) | {'pull'} == set(documented['results']['contains'])
    assert set(documented) <= set(found)


def test_bad_input_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    found = call(capsys, mirrors=['https://m.lan', {'url': 'https://n.lan', 'speed': 1}])
    assert found['failed']
    assert 'mirrors[1]' in found['msg']
    assert 'speed' in found['msg']


def test_secrets_are_shown_nowhere(capsys: pytest.CaptureFixture[str], logged: list[str]) -> None:
    def strict(asked: Asked) -> Answer:
        return CONTENT.serve(asked) if asked.header('X-Key') == SECRETS[1] else Answer(403)

    server = Server(strict)
    found = call(capsys, mirrors=[{'url': server.url, 'headers': {'X-Key': SECRETS[1]}}], images=['nginx'], proxy=f'http://user:{SECRETS[0]}@p:1')
    assert found['results'][0]['state'] == 'ok'
    assert logged
    for secret in SECRETS:
        assert secret not in json.dumps(found)
        assert secret not in ''.join(logged)


def test_an_entry_of_no_proxy_that_never_matches_gets_a_warning(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr(basic.AnsibleModule, 'warn', lambda self, text, **_more: warned.append(text))
    call(capsys, mirrors=[], proxy='http://p:1', no_proxy=['a.*.b'])
    assert len(warned) == 1
    assert 'a.*.b' in warned[0]


def test_docker_is_not_started_for_a_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, 'inspect', lambda **_options: docker.DockerDaemon(installed=True, active_state='inactive'))
    with pytest.raises(DockerUnavailable, match='does not run'):
        registry_mirror_probe.connect_docker()


def test_every_state_and_step_is_documented() -> None:
    said = yaml.safe_load(registry_mirror_probe.RETURN)['results']['contains']
    state, failed_at = ' '.join(said['state']['description']), ' '.join(said['failed_at']['description'])
    assert [one for one in STATES if one != 'ok' and f'V({one})' not in state] == []
    assert [step for step in STEPS if f'V({step})' not in failed_at] == []
