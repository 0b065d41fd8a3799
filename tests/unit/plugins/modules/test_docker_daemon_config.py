# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module as Ansible runs it: options in, a result out, and no secret in either the result or the system log."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

from ansible_collections.quickpull.registry.plugins.module_utils._engines import docker
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.modules import docker_daemon_config

Call = t.Callable[..., t.Dict[str, t.Any]]

SECRETS = ('s3cret', 'Zm9vOmJhcg', 'tok-tok')
ASKED: dict[str, t.Any] = {
    'registry_mirrors': ['https://plain.example', {'url': 'https://headed.example', 'headers': {'Authorization': 'Basic Zm9vOmJhcg=='}}],
    'proxies': {'http_proxy': 'http://acme:s3cret@proxy.example:1', 'https_proxy': 'http://open.example:2', 'no_proxy': ['.cn']},
    'settings': {'log-driver': 'splunk', 'log-opts': {'splunk-token': 'tok-tok'}},
}


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes to the system log."""
    lines: list[str] = []
    monkeypatch.setattr(basic.AnsibleModule, 'log', lambda _self, msg, log_args=None: lines.append(f'{msg} {log_args}'))
    return lines


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], logged: list[str]) -> Call:
    """Run the module on a file in a temporary folder, with no Docker on the host."""
    monkeypatch.setattr(docker, 'inspect', lambda *_args, **_options: docker.DockerDaemon(installed=False))
    monkeypatch.setattr(docker_daemon_config, 'State', lambda: State(str(tmp_path / 'state')))

    def run(code: int = 0, **args: t.Any) -> dict[str, t.Any]:
        with patch_module_args({'path': str(tmp_path / 'daemon.json'), **args}), pytest.raises(SystemExit) as ended:
            docker_daemon_config.main()
        assert ended.value.code == code
        return t.cast('dict[str, t.Any]', json.loads(capsys.readouterr().out))

    return run


def test_no_secret_is_shown_and_what_is_none_is(call: Call, logged: list[str], tmp_path: Path) -> None:
    for result in (call(**ASKED, _ansible_check_mode=True), call(**ASKED), call(state='absent')):
        text = json.dumps(result)
        assert not [secret for secret in SECRETS if secret in text]
    shown = json.dumps(call(**ASKED))
    assert all(plain in shown for plain in ('https://plain.example', 'https://headed.example', 'http://open.example:2', '.cn', 'splunk'))
    assert logged
    assert not [secret for secret in SECRETS if secret in ' '.join(logged)]
    assert json.loads((tmp_path / 'daemon.json').read_bytes())['proxies']['http-proxy'] == ASKED['proxies']['http_proxy']


def test_no_secret_is_shown_in_an_error(call: Call) -> None:
    result = call(1, registry_mirrors=['https://acme:s3cret@m.example'])
    assert result['failed']
    assert 's3cret' not in json.dumps(result)
    assert 'https://xxxxx:xxxxx@m.example' in result['msg'] or 'm.example' in result['msg']


def test_check_mode_second_run_and_absence(call: Call, tmp_path: Path) -> None:
    said = call(**ASKED, _ansible_check_mode=True)
    assert not (tmp_path / 'daemon.json').exists()
    done = call(**ASKED)
    assert [said[name] for name in ('changed', 'diff', 'plan', 'left_out', 'registry_mirrors')] == [
        done[name] for name in ('changed', 'diff', 'plan', 'left_out', 'registry_mirrors')
    ]
    assert done['changed']
    assert not call(**ASKED)['changed']
    assert call(state='absent')['changed']
    assert not (tmp_path / 'daemon.json').exists()


def test_warnings_reach_the_user(call: Call) -> None:
    warnings = ' '.join(str(one) for one in call(proxies={'no_proxy': ['a.*.b']}, registry_mirrors=['https://m/x'])['warnings'])
    assert all(part in warnings for part in ("'a.*.b' never matches", 'no Docker daemon', 'version here is not known'))


def test_what_others_changed_is_told(call: Call, tmp_path: Path) -> None:
    call(settings={'mtu': 1400})
    (tmp_path / 'daemon.json').write_text('{"mtu": 1450}')
    result = call(state='absent')
    assert result['foreign_changes'] == ['mtu was changed by somebody else since; it is left as it is.']
    assert not result['changed']


def test_the_documentation_names_just_what_is_returned(call: Call) -> None:
    documented = yaml.safe_load(docker_daemon_config.RETURN)
    result = call(registry_mirrors=[{'url': 'https://c', 'trust': 'content'}])
    ansibles_own = {'changed', 'diff', 'invocation', 'warnings', 'deprecations', 'uid', 'gid', 'owner', 'group', 'mode', 'state', 'size', 'secontext'}
    assert result.keys() - ansibles_own == documented.keys()
    assert result['plan'].keys() == documented['plan']['contains'].keys()
    assert result['daemon'].keys() == documented['daemon']['contains'].keys()
    assert [one.keys() for one in result['left_out']] == [documented['left_out']['contains'].keys()]
