# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waves of a rollout, and what counts as a failure in one."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _rollout
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError

HOSTS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j']
GROUPS = {'all': [*HOSTS, 'elsewhere'], 'canaries': ['j', 'b', 'elsewhere'], 'empty': []}


@pytest.mark.parametrize(
    'sizes, canaries, expected',
    [
        ([], [], [10]),
        (None, '', [10]),
        (3, [], [3, 3, 3, 1]),
        ('40%', [], [4, 4, 2]),
        ([1, '10%', '100%'], [], [1, 1, 8]),
        (['5%', '100%'], [], [1, 9]),
        ([1, '100%'], 'c', [1, 1, 8]),
        ([], ['c', 'h'], [2, 8]),
        ([], 'canaries', [2, 8]),
        ([], 'elsewhere', [10]),
        ([], 'empty', [10]),
        ([], 'all', [10]),
        ('7', [], [7, 3]),
    ],
)
def test_sizes_of_waves(sizes: t.Any, canaries: t.Any, expected: list[int]) -> None:
    assert [len(wave) for wave in _rollout.waves_of(HOSTS, sizes, canaries, GROUPS)] == expected


def test_canaries_go_first_in_the_order_of_the_hosts() -> None:
    assert _rollout.waves_of(HOSTS, ['50%'], ['canaries', 'a'], GROUPS)[0] == ['a', 'b', 'j']


@pytest.mark.parametrize('sizes', [0, -1, '0%', 'all', '', [''], [1, 'ten'], [True], [1.5], [[1]], {'a': 1}, '-5%'])
def test_a_size_that_makes_no_sense_is_named(sizes: t.Any) -> None:
    if sizes == '':
        assert _rollout.waves_of(HOSTS, sizes) == [HOSTS]
        return
    with pytest.raises(ConfigError, match=r'registry_access_waves: .* is no size of a wave'):
        _rollout.waves_of(HOSTS, sizes)


def test_a_canary_that_nobody_knows_is_named() -> None:
    with pytest.raises(ConfigError, match="registry_access_canaries: 'web1' is neither a host nor a group"):
        _rollout.waves_of(HOSTS, [], ['a', 'web1'], GROUPS)


SIZES = st.lists(st.one_of(st.integers(1, 12), st.integers(1, 150).map('{}%'.format)), max_size=4)


@given(st.integers(0, 12), SIZES, st.lists(st.sampled_from(HOSTS)))
def test_each_host_is_in_one_wave_and_no_wave_is_empty(number: int, sizes: list[t.Any], canaries: list[str]) -> None:
    hosts = HOSTS[:number]
    waves = _rollout.waves_of(hosts, sizes, canaries, GROUPS)
    assert sorted(host for wave in waves for host in wave) == hosts
    assert all(waves)
    assert all(wave == sorted(wave) for wave in waves)
    first = set(canaries) & set(hosts)
    assert not first or set(waves[0]) == first


@pytest.mark.parametrize(
    'variables, reason',
    [
        ({}, ''),
        ({'__registry_access_failed': {}}, ''),
        ({'__registry_access_config': {'failed': True, 'msg': 'rescued'}}, ''),
        ({'__registry_access_failed': {'failed': True, 'msg': 'No.'}}, 'No.'),
        ({'__registry_access_failed': {'failed': True, 'msg': ['No.', 'Not at all.']}}, 'No. Not at all.'),
        ({'__registry_access_failed': {'failed': True, 'msg': ''}}, 'It is not said why.'),
        ({'__registry_access_failed': {'failed': True, 'msg': ''}, '__registry_access_apply': {'failed': True, 'msg': 'Docker is gone.'}}, 'Docker is gone.'),
        ({'__registry_access_engines': {'unreachable': True, 'msg': 'refused'}}, 'The host could not be reached: refused'),
        ({'__registry_access_failed': {'failed': True, 'msg': 'x'}, '__registry_access_apply': {'unreachable': True}}, 'The host could not be reached: '),
    ],
)
def test_what_counts_as_a_failure(variables: dict[str, t.Any], reason: str) -> None:
    assert _rollout.failure_of(variables) == reason


def test_of_several_plans_the_newest_counts_and_of_that_the_hosts_that_are_meant() -> None:
    old, new = {'made': '9.5', 'waves': [['a', 'b', 'c']]}, {'made': '10.25', 'waves': [['a'], ['b'], ['c', 'd']]}
    assert _rollout.planned([old, new, old], {'a', 'c', 'd'}) == [['a'], ['c', 'd']]
    assert _rollout.planned([old, new], {'z'}) == []
    assert _rollout.planned([], {'a'}) == []


def test_the_hosts_before_a_wave() -> None:
    waves = [['a'], ['b', 'c'], ['d']]
    assert [_rollout.before(waves, host) for host in 'abcd'] == [[], ['a'], ['a'], ['a', 'b', 'c']]
    assert _rollout.before(waves, 'z') == []
