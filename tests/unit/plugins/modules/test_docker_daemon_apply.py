# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module around the work: options in, results and failures out."""

from __future__ import annotations

import json
import typing as t

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.quickpull.registry.plugins.module_utils._docker_apply import ApplyFailed, Options, Outcome
from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DockerDaemon
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._plan import Plan
from ansible_collections.quickpull.registry.plugins.module_utils._proof import Proof
from ansible_collections.quickpull.registry.plugins.modules import docker_daemon_apply as module


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> t.Callable[..., tuple[dict[str, t.Any], Options]]:
    """Run ``main`` with options, and with what the work answers (or raises)."""

    def call(answer: t.Any, **params: t.Any) -> tuple[dict[str, t.Any], Options]:
        seen: list[Options] = []

        def work(host: object, state: object, options: Options) -> Outcome:
            seen.append(options)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(module, 'apply', work)
        monkeypatch.setattr(module, 'run_detached', lambda work: json.loads(json.dumps(work())))
        with patch_module_args(params), pytest.raises(SystemExit):
            module.main()
        return json.loads(capfd.readouterr().out), seen[0] if seen else Options()

    return call


def outcome(**changes: t.Any) -> Outcome:
    daemon = DockerDaemon(True, version='28.5.2', main_pid=812, start_id='boot:1:812', via='socket')
    return Outcome(**{'before': daemon, 'after': daemon, 'proof': Proof(True), 'plan': Plan('reload', ('registry-mirrors',)), **changes})


def test_defaults(run: t.Callable[..., t.Any]) -> None:
    result, options = run(outcome())
    assert options == Options()
    assert result['changed'] is False
    assert result['daemon'] == {'pid_before': 812, 'pid_after': 812, 'start_id': 'boot:1:812', 'version': '28.5.2'}
    assert result['via'] == 'socket'


def test_options_arrive(run: t.Callable[..., t.Any]) -> None:
    params = {'path': '/x.json', 'restart': 'never', 'live_restore_first': True, 'timeout': 5, 'rollback': False, '_ansible_check_mode': True}
    _result, options = run(outcome(), **params)
    assert options == Options('/x.json', 'never', True, 5, False, True)


@pytest.mark.parametrize(('given', 'expected'), [({}, None), (None, None), ({'action': 'reload', 'reload_keys': ['a']}, Plan('reload', ('a',)))])
def test_a_plan_that_is_empty_is_none(run: t.Callable[..., t.Any], given: t.Any, expected: Plan | None) -> None:
    _result, options = run(outcome(), planned=given, _ansible_check_mode=True)
    assert options.planned == expected


def test_what_is_returned_is_documented(run: t.Callable[..., t.Any]) -> None:
    result, _options = run(outcome())
    documented = yaml.safe_load(module.RETURN)
    assert set(result) - {'changed', 'invocation', 'failed'} == set(documented)
    for name in ('plan', 'proof', 'daemon'):
        assert set(result[name]) == set(documented[name]['contains'])


def test_a_failure_tells_what_was_put_back(run: t.Callable[..., t.Any]) -> None:
    result, _options = run(ApplyFailed('It was refused.', outcome(changed=True, rolled_back=True, rejected_file='/b', warnings=['Mind this.'])))
    assert result['failed']
    assert (result['msg'], result['changed'], result['rolled_back'], result['rejected_file']) == ('It was refused.', True, True, '/b')
    assert 'Mind this.' in json.dumps(result['warnings'])


def test_an_error_is_a_sentence(run: t.Callable[..., t.Any]) -> None:
    result, _options = run(ConfigError('daemon.json is not JSON.'))
    assert (result['failed'], result['msg']) == (True, 'daemon.json is not JSON.')


def test_work_that_was_killed(run: t.Callable[..., t.Any], monkeypatch: pytest.MonkeyPatch) -> None:
    result, _options = run(module.DetachedError('it was killed by signal 9'))
    assert result['failed']
    assert 'killed by signal 9' in result['msg']
    assert 'Run again' in result['msg']


def test_a_timeout_of_nothing_is_refused(run: t.Callable[..., t.Any]) -> None:
    result, _options = run(outcome(), timeout=0)
    assert 'timeout must be 1 or more' in result['msg']
