# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.quickpull.registry.plugins.filter.selection import FilterModule

FILTERS = FilterModule().filters()
select_mirrors = FILTERS['select_mirrors']
A, B, C = 'https://a.example', 'https://b.example', 'https://c.example'
RESULTS = [
    {'url': A, 'ok': True, 'state': 'ok', 'latency_ms': 300},
    {'url': B, 'ok': True, 'state': 'ok', 'latency_ms': 290},
    {'url': C, 'ok': False, 'state': 'stale', 'reason': 'is old'},
]


def test_the_whole_return_value_of_a_probe_does_as_well() -> None:
    assert select_mirrors({'results': RESULTS, 'changed': False}) == select_mirrors(RESULTS) == [B, A]


def test_current_policy_and_expression_are_heeded() -> None:
    assert select_mirrors(RESULTS, [A]) == [A, B]
    assert select_mirrors(RESULTS, current=[A], policy={'max': 1}) == [A]
    assert select_mirrors(RESULTS, [A], {'max': 1}, '[?latency_ms < `295`]') == [B]
    assert select_mirrors(RESULTS, policy={'order_by': 'listed'}, jmespath='reverse(@)') == [B, A]
    assert select_mirrors(RESULTS, None, None, None) == [B, A]


def test_an_expression_cannot_make_a_bad_mirror_good() -> None:
    assert select_mirrors(RESULTS, jmespath='[].{url: url, ok: `true`, state: `"ok"`}') == [B, A]


def test_explain_selection() -> None:
    told = FILTERS['explain_selection'](RESULTS, policy={'max': 1})
    assert told['chosen'] == [{'url': B, 'why': 'among the best: 290 ms for a layer of 8 MiB', 'kept': False, 'cost_ms': 290.0}]
    assert told['left_out'][0] == {'url': C, 'reason': 'is old'}
    assert told['left_out'][1]['url'] == A


BAD: list[tuple[tuple[t.Any, ...], str]] = [
    (('text',), 'the results of registry_mirror_probe are expected'),
    ((RESULTS, [], {'mx': 1}), "policy: unknown key 'mx'"),
    ((RESULTS, [], {}, '[?'), 'jmespath: the expression does not parse'),
    (([{'ok': True}],), r'results\[0\]'),
]


@pytest.mark.parametrize(('arguments', 'words'), BAD)
def test_errors_are_errors_of_a_filter(arguments: tuple[t.Any, ...], words: str) -> None:
    with pytest.raises(AnsibleFilterError, match=words):
        select_mirrors(*arguments)
