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

from ansible_collections.quickpull.registry.plugins.module_utils import _detached
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_service import ContainerdService
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._plan import Plan
from ansible_collections.quickpull.registry.plugins.module_utils._service_apply import Options, Outcome
from ansible_collections.quickpull.registry.plugins.modules import engine_apply as module

RESTART = Plan('restart', restart_keys=('config_path',))
FORESEEN = Outcome(True, 'restart', plan=RESTART)
WAITS = Outcome(pending=['It would stop containers.'], plan=RESTART)

Run = t.Callable[..., t.Dict[str, t.Any]]


class Calls:
    """What the work was called with: options and check mode, and how often in a session of its own."""

    def __init__(self) -> None:
        self.seen: list[tuple[Options, bool]] = []
        self.detached = 0


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], calls: Calls) -> Run:
    """Run ``main`` with what the work foresees and does (or raises), and with options."""

    def call(foreseen: t.Any, done: t.Any = None, **params: t.Any) -> dict[str, t.Any]:
        def work(service: object, options: Options, *, check_mode: bool) -> Outcome:
            assert isinstance(service, ContainerdService)
            calls.seen.append((options, check_mode))
            answer = foreseen if check_mode else done
            if isinstance(answer, Exception):
                raise answer
            return t.cast(Outcome, answer)

        def detached(what: t.Callable[[], t.Any]) -> t.Any:
            calls.detached += 1
            return json.loads(json.dumps(what()))

        monkeypatch.setattr(module, 'apply', work)
        monkeypatch.setattr(_detached, 'run_detached', detached)
        with patch_module_args({'engine': 'containerd', **params}), pytest.raises(SystemExit):
            module.main()
        return t.cast('dict[str, t.Any]', json.loads(capfd.readouterr().out))

    return call


def test_what_changes_something_is_done_in_a_session_of_its_own(run: Run, calls: Calls) -> None:
    result = run(FORESEEN, FORESEEN)
    assert (result['changed'], result['action'], result['pending'], result['plan']['restart_keys']) == (True, 'restart', [], ['config_path'])
    assert (calls.seen, calls.detached) == ([(Options(), True), (Options(), False)], 1)


@pytest.mark.parametrize('foreseen, params', [(Outcome(), {}), (WAITS, {}), (FORESEEN, {'_ansible_check_mode': True})])
def test_else_it_only_looks(run: Run, calls: Calls, foreseen: Outcome, params: dict[str, t.Any]) -> None:
    result = run(foreseen, **params)
    assert {name: result[name] for name in vars(foreseen)} == json.loads(json.dumps(foreseen.as_dict()))
    assert (calls.seen, calls.detached) == ([(Options(), True)], 0)


PLANNED = {'action': 'restart', 'restart_keys': ['config_path'], 'blockers': ['kill_mode'], 'blocked_because': ['It would stop containers.']}


@pytest.mark.parametrize(
    'planned, restart, changed, pending',
    [
        (PLANNED, 'auto', False, ['It would stop containers.']),
        (PLANNED, 'always', True, []),
        ({**PLANNED, 'blockers': []}, 'auto', True, []),
        ({'action': 'none'}, 'always', False, []),
    ],
)
def test_what_hosts_toml_would_write_is_foreseen(
    run: Run, calls: Calls, planned: dict[str, t.Any], restart: str, changed: bool, pending: list[str]
) -> None:
    result = run(Outcome(), planned=planned, restart=restart, _ansible_check_mode=True)
    assert (result['changed'], result['pending'], calls.seen) == (changed, pending, [])


def test_what_was_planned_means_nothing_in_a_run(run: Run, calls: Calls) -> None:
    assert not run(Outcome(), planned=PLANNED, restart='always')['changed']
    assert calls.seen == [(Options('always'), True)]


def test_options_arrive(run: Run, calls: Calls) -> None:
    run(FORESEEN, FORESEEN, restart='never', rollback=False, timeout=5)
    assert {options for options, _check_mode in calls.seen} == {Options('never', False, 5)}


@pytest.mark.parametrize('params', [{'engine': 'docker'}, {'restart': 'perhaps'}, {'timeout': 0}, {'timeout': 'nan'}])
def test_options_that_make_no_sense(run: Run, calls: Calls, params: dict[str, t.Any]) -> None:
    assert run(FORESEEN, FORESEEN, **params)['failed']
    assert calls.seen == []


def test_what_is_returned_is_documented(run: Run) -> None:
    result = run(FORESEEN, FORESEEN)
    assert set(result) - {'changed', 'invocation'} == set(yaml.safe_load(module.RETURN))


@pytest.mark.parametrize(
    'foreseen, done, told',
    [
        (ConfigError('The record cannot be understood.'), None, 'The record cannot be understood.'),
        (FORESEEN, ConfigError('It did not come up. It runs again.'), 'It did not come up. It runs again.'),
        (FORESEEN, _detached.DetachedError('it was killed by signal 9'), 'it was killed by signal 9. Run again, and it is finished.'),
    ],
)
def test_failures_are_sentences(run: Run, foreseen: t.Any, done: t.Any, told: str) -> None:
    result = run(foreseen, done)
    assert result['failed']
    assert result['msg'].endswith(told)
