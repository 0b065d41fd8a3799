# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as proved, and what is told when it is not."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DockerDaemon, Reported
from ansible_collections.quickpull.registry.plugins.module_utils._proof import as_dict, prove

M = 'http://m.lan:5000/'
BARE = Reported((), ('127.0.0.0/8',), '', '', '', False, 'graphdriver', {'Mirrors': None, 'IndexConfigs': {}}, False, {})


def daemon(said: t.Optional[Reported], start_id: str = 'boot:1', **changes: t.Any) -> DockerDaemon:
    return DockerDaemon(True, version='26.1.5', start_id=start_id, main_pid=1, active_state='active', reported=said, **changes)


def said(**changes: t.Any) -> Reported:
    return dataclasses.replace(BARE, **changes)


@dataclasses.dataclass(frozen=True)
class Case:
    """``failures``: a word of each failure, in order; none when it is proved."""

    name: str
    config: dict[str, t.Any]
    before: dict[str, t.Any]
    after: dict[str, t.Any]
    failures: t.Sequence[str] = ()
    action: str = 'reload'
    changed: t.Sequence[str] = ()
    started_anew: bool = False


CASES = [
    Case('mirrors arrived', {'registry-mirrors': ['http://m.lan:5000']}, {}, {'mirrors': (M,)}),
    Case('mirrors did not arrive', {'registry-mirrors': ['http://m.lan:5000']}, {}, {}, ['registry-mirrors: the daemon has none']),
    Case('order counts', {'registry-mirrors': ['http://a', 'http://b']}, {}, {'mirrors': ('http://b/', 'http://a/')}, ['registry-mirrors']),
    Case('a reload keeps what is gone from the file', {}, {'mirrors': (M,)}, {'mirrors': (M,)}),
    Case('null makes a reload forget', {'registry-mirrors': None}, {'mirrors': (M,)}, {}),
    Case('null did not', {'insecure-registries': None}, {'insecure_registries': ('b:5000',)}, {'insecure_registries': ('b:5000',)}, ['insecure-registries']),
    Case('a restart does not', {}, {'mirrors': (M,)}, {'mirrors': (M,)}, ['registry-mirrors'], action='restart'),
    Case('a restart with the mirrors', {'registry-mirrors': [M]}, {}, {'mirrors': (M,)}, action='restart'),
    Case(
        'insecure registries got lost (moby#45552)', {'registry-mirrors': [M], 'insecure-registries': ['b:5000']},
        {'insecure_registries': ('127.0.0.0/8', 'b:5000')}, {'mirrors': (M,)}, ['insecure-registries: the daemon has none and should have b:5000'],
    ),
    Case('insecure registries of a flag got lost', {'registry-mirrors': [M]}, {'insecure_registries': ('b:5000',)}, {'mirrors': (M,)}, ['insecure-registries']),
    Case('live-restore', {'live-restore': True}, {}, {}, ['live-restore: the daemon has false and should have true']),
    Case('a reload changes no proxy', {'proxies': {'http-proxy': 'http://p:1'}}, {}, {}),
    Case('a proxy changed on its own', {}, {'http_proxy': 'http://p:1'}, {}, ['proxies.http-proxy']),
    Case('a restart brings the proxy', {'proxies': {'http-proxy': 'http://u:s3cret@p:1'}}, {}, {'http_proxy': 'http://xxxxx:xxxxx@p:1'}, action='restart'),
    Case('another proxy', {'proxies': {'http-proxy': 'http://u:s3cret@p:1'}}, {}, {'http_proxy': 'http://xxxxx:xxxxx@q:1'}, ['http-proxy'], action='restart'),
    Case(
        'something else changed', {}, {}, {'registry_config': {'Mirrors': [], 'IndexConfigs': {}, 'AllowNondistributableArtifactsCIDRs': ['10.0.0.0/8']}},
        ['AllowNondistributableArtifactsCIDRs changed'],
    ),
    Case(
        'something else was asked to change', {}, {}, {'registry_config': {'AllowNondistributableArtifactsCIDRs': ['10.0.0.0/8']}},
        changed=['allow-nondistributable-artifacts'],
    ),
    Case('null and empty are the same', {}, {'registry_config': {'X': None}}, {'registry_config': {'X': []}}),
    Case(
        'the Hub has other mirrors than it says', {}, {}, {'registry_config': {'Mirrors': [M], 'IndexConfigs': {'docker.io': {'Mirrors': []}}}},
        ['IndexConfigs of docker.io'],
    ),
    Case('started anew by a reload', {}, {}, {}, ['has been started anew'], started_anew=True),
]


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_cases(case: Case) -> None:
    after = daemon(said(**case.after), 'boot:2' if case.started_anew or case.action == 'restart' else 'boot:1')
    proof = prove(case.config, daemon(said(**case.before)), after, case.action, case.changed)
    assert proof.ok is not bool(case.failures)
    assert len(proof.failures) == len(case.failures)
    for word, failure in zip(case.failures, proof.failures):
        assert word in failure
        assert 's3cret' not in failure


def test_a_silent_daemon_proves_nothing() -> None:
    proof = prove({}, daemon(BARE), daemon(None, api_error='No answer.'), 'restart', ())
    assert (proof.ok, proof.failures) == (False, ('The daemon does not answer: No answer.',))


def test_a_daemon_that_was_down_before_is_proved_by_its_file_alone() -> None:
    assert prove({'registry-mirrors': [M]}, daemon(None), daemon(said(mirrors=(M,))), 'restart', ()).ok


def test_the_drop_in_is_part_of_the_proof() -> None:
    after = daemon(BARE, environ={'HTTP_PROXY': 'http://u:s3cret@p:1'})
    assert prove({}, daemon(BARE), dataclasses.replace(after, version='20.10.24'), 'restart', (), {'HTTP_PROXY': 'http://u:s3cret@p:1', 'NO_PROXY': ''}).ok
    failed = prove({}, daemon(BARE), dataclasses.replace(after, version='20.10.24'), 'restart', (), {'HTTP_PROXY': 'http://u:other@p:1'})
    assert failed.failures == ('HTTP_PROXY: the running daemon has another value than the drop-in.',)


def test_as_dict_is_plain() -> None:
    plain = as_dict(prove({}, daemon(BARE), daemon(said(mirrors=(M,), insecure_registries=('127.0.0.0/8', 'b'))), 'restart', ()))
    assert plain['insecure_registries'] == ['b']
    assert plain['proxies'] == {'http_proxy': '', 'https_proxy': '', 'no_proxy': ''}
    assert not any(isinstance(value, tuple) for value in plain.values())
