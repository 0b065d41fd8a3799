# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random
import typing as t
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import normalise_url
from ansible_collections.quickpull.registry.plugins.module_utils._select import ORDERS, Policy, parse_policy, select, select_urls

Result = t.Dict[str, t.Any]

MB = 1_000_000
A, B, C, D = 'https://a.example', 'https://b.example', 'https://c.example', 'https://d.example'


def probed(url: str, latency: float | None, rate: float | None = None, state: str = 'ok') -> Result:
    return {'url': url, 'ok': state == 'ok', 'state': state, 'reason': f'is {state}', 'latency_ms': latency, 'throughput_bps': rate}


# ---- plain cases


def test_nothing_in_force_takes_the_best_in_order() -> None:
    results = [probed(A, 300), probed(B, 100), probed(C, 200), probed(D, 400)]
    assert select_urls(results) == [B, C, A]


def test_only_ok_mirrors() -> None:
    results = [probed(A, 1, state='stale'), probed(B, 100), probed(C, None, state='timeout')]
    selection = select(results)
    assert [one.url for one in selection.chosen] == [B]
    assert [(one.url, one.reason) for one in selection.left_out] == [(A, 'is stale'), (C, 'is timeout')]


def test_an_ok_that_contradicts_its_state_is_not_ok() -> None:
    assert select_urls([{'url': A, 'ok': True, 'state': 'corrupt'}, {'url': B, 'ok': False, 'state': 'ok'}, {'url': C, 'ok': 'yes'}]) == []


def test_a_dead_mirror_in_force_goes() -> None:
    assert select_urls([probed(A, None, state='unreachable'), probed(B, 100)], current=[A, B]) == [B]


def test_a_mirror_in_force_that_was_not_probed_is_passed_over() -> None:
    assert select_urls([probed(B, 100)], current=['https://foreign.example', B]) == [B]


def test_none_ok_gives_none() -> None:
    assert select_urls([probed(A, 5, state='missing')], current=[A]) == []
    assert select_urls([]) == []


def test_the_same_mirror_twice_is_chosen_once_as_first_spelt() -> None:
    assert select_urls([probed('https://A.example:443', 5), probed(A + '/', 5), probed(B, 9)]) == ['https://A.example:443', B]


def test_current_is_compared_normalised() -> None:
    results = [probed(A, 110), probed(B, 100)]
    assert select_urls(results, current=['https://A.EXAMPLE:443/', B + '/']) == [A, B]


def test_slow_ones_rank_last() -> None:
    results = [probed(A, 5, 200_000), probed(B, 400, 50 * MB), probed(C, 100, 10 * MB)]
    assert select_urls(results) == [B, C, A]


# ---- the challenger


CHALLENGES: list[tuple[str, Result, Result, dict[str, t.Any], bool]] = [
    ('half the latency', probed(A, 400), probed(B, 200), {}, True),
    ('40 % better', probed(A, 400), probed(B, 240), {}, True),
    ('40 % better in rate', probed(A, 0, MB), probed(B, 0, 1.7 * MB), {}, True),
    ('40 % better in both', probed(A, 1000, MB), probed(B, 600, 1.7 * MB), {}, True),
    ('ten times the rate of one that is fast enough', probed(A, 5, 4 * MB), probed(B, 5, 400 * MB), {}, False),
    ('the same, and more is asked of fast', probed(A, 5, 4 * MB), probed(B, 5, 400 * MB), {'fast_enough_bps': 50 * MB}, True),
    ('half the latency, and both fast enough', probed(A, 400, 50 * MB), probed(B, 40, 90 * MB), {}, True),
    ('a little too slow against fast', probed(A, 5, 2.5 * MB), probed(B, 5, 400 * MB), {}, False),
    ('far too slow against fast', probed(A, 5, 1.5 * MB), probed(B, 5, 400 * MB), {}, True),
    ('25 % better', probed(A, 400), probed(B, 300), {}, False),
    ('32 % better, which noise explains', probed(A, 400), probed(B, 272), {}, False),
    ('32 % better, and measurements are exact', probed(A, 400), probed(B, 272), {'noise': 0}, True),
    ('a tenth, but 45 ms only', probed(A, 50), probed(B, 5), {}, False),
    ('a tenth, and 45 ms suffice', probed(A, 50), probed(B, 5), {'challenger_margin_ms': 40}, True),
    ('half, and more is asked', probed(A, 400), probed(B, 200), {'challenger_margin': 0.6}, False),
    ('slower', probed(A, 100), probed(B, 400), {}, False),
    ('equal', probed(A, 100), probed(B, 100), {'noise': 0, 'challenger_margin': 0, 'challenger_margin_ms': 0}, False),
    ('barely better, all margins off', probed(A, 100), probed(B, 99), {'noise': 0, 'challenger_margin': 0, 'challenger_margin_ms': 0}, True),
    ('far better in rate, judged by latency', probed(A, 10, MB), probed(B, 10, 90 * MB), {'order_by': 'latency'}, False),
    ('far better in latency, judged by rate', probed(A, 900, MB), probed(B, 10, MB), {'order_by': 'throughput'}, False),
]


@pytest.mark.parametrize(('name', 'holder', 'challenger', 'policy', 'overtakes'), CHALLENGES, ids=[case[0] for case in CHALLENGES])
def test_challenge(name: str, holder: Result, challenger: Result, policy: dict[str, t.Any], overtakes: bool) -> None:
    rules = parse_policy({'max': 1, **policy})
    assert select_urls([holder, challenger], current=[A], policy=rules) == ([B] if overtakes else [A])
    # Where there is room for both, the same relation says which comes first.
    rules = parse_policy({'max': 2, **policy})
    assert select_urls([challenger, holder], current=[A], policy=rules) == ([B, A] if overtakes else [A, B])


def test_a_challenger_takes_the_place_of_the_dearest_even_behind_one_it_cannot_pass() -> None:
    results = [probed(A, 5000), probed(B, 4000), probed(C, 2700)]
    assert select_urls(results, current=[A, B], policy=Policy(max=2)) == [B, C]


def test_a_free_place_needs_no_margin() -> None:
    assert select_urls([probed(A, 100), probed(B, 99), probed(C, 400)], current=[A], policy=Policy(max=3)) == [A, B, C]


def test_a_lower_max_cuts_from_the_end() -> None:
    assert select_urls([probed(A, 100), probed(B, 99), probed(C, 98)], current=[A, B, C], policy=Policy(max=2)) == [A, B]


def test_no_max() -> None:
    results = [probed(f'https://m{number}.example', 100 + number) for number in range(9)]
    assert select_urls(results, policy=parse_policy({'max': None})) == [result['url'] for result in results]


def test_listed_order_ignores_measurements() -> None:
    results = [probed(A, 900, MB), probed(B, 5, 90 * MB), probed(C, 1, state='denied'), probed(D, 1)]
    rules = Policy(max=2, order_by='listed')
    assert select_urls(results, policy=rules) == [A, B]
    assert select_urls(results, current=[D, B], policy=rules) == [A, B]


# ---- limits and unknown measurements


def test_limits() -> None:
    results = [probed(A, 300, 10 * MB), probed(B, 100, MB), probed(C, 100, 10 * MB)]
    selection = select(results, policy=Policy(max_latency_ms=200, min_throughput_bps=5 * MB))
    assert [one.url for one in selection.chosen] == [C]
    assert [(one.url, one.reason) for one in selection.left_out] == [
        (A, 'its latency is 300 ms, max_latency_ms is 200'),
        (B, 'its throughput is 1000000 bytes/s, min_throughput_bps is 5000000'),
    ]


def test_a_value_at_the_limit_is_within() -> None:
    assert select_urls([probed(A, 200, 5 * MB)], policy=Policy(max_latency_ms=200, min_throughput_bps=5 * MB)) == [A]


def test_an_unknown_measurement_is_no_breach_of_a_limit() -> None:
    assert select_urls([probed(A, None, None)], policy=Policy(max_latency_ms=200, min_throughput_bps=5 * MB)) == [A]


def test_near_a_limit_the_one_in_force_stays_and_a_newcomer_waits() -> None:
    rules = Policy(max_latency_ms=100)
    selection = select([probed(A, 115), probed(B, 90), probed(C, 70), probed(D, 121)], current=[A, D], policy=rules)
    assert [one.url for one in selection.chosen] == [A, C]
    assert 'a newcomer must keep clear of by the 20%' in selection.left_out[0].reason
    assert selection.left_out[1].url == D


def test_the_plain_limit_counts_when_nobody_in_force_meets_it() -> None:
    assert select_urls([probed(A, 300), probed(B, 90)], current=[A], policy=Policy(max_latency_ms=100)) == [B]


def test_unknown_counts_as_the_worst_known() -> None:
    assert select_urls([probed(A, 10, None), probed(B, 100, 10 * MB), probed(C, 100, MB)]) == [B, A, C]
    assert select_urls([probed(A, None), probed(B, 100), probed(C, 900)]) == [B, A, C]


@pytest.mark.parametrize('value', [True, 'fast', float('nan'), float('inf'), -1, [], 0])
def test_what_measures_nothing_is_unknown(value: t.Any) -> None:
    assert select_urls([probed(A, 10, value), probed(B, 10, MB), probed(C, 10, 2 * MB)]) == [C, A, B]


def test_words() -> None:
    selection = select([probed(A, 100, 8 * MB), probed(B, 200, 8 * MB), probed(C, 300, 8 * MB)], current=[B], policy=Policy(max=2))
    assert [one.why for one in selection.chosen] == [
        'in force and still ok: 1249 ms for a layer of 8 MiB',
        'new beside those in force: 1149 ms for a layer of 8 MiB',
    ]
    assert [one.kept for one in selection.chosen] == [True, False]
    assert [one.reason for one in selection.left_out] == ['ok, but not clearly better than the ones chosen (at most 2): 1349 ms for a layer of 8 MiB']


# ---- laws


latencies = st.one_of(st.none(), st.integers(1, 5000))
rates = st.one_of(st.none(), st.integers(50_000, 200 * MB))


@st.composite
def probes(draw: st.DrawFn, states: t.Sequence[str] = ('ok', 'ok', 'ok', 'stale', 'timeout')) -> list[Result]:
    count = draw(st.integers(0, 8))
    return [probed(f'https://m{number}.example', draw(latencies), draw(rates), draw(st.sampled_from(states))) for number in range(count)]


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    return Policy(
        max=draw(st.one_of(st.none(), st.integers(1, 5))),
        order_by=draw(st.sampled_from(ORDERS)),
        max_latency_ms=draw(st.one_of(st.none(), st.integers(1, 5000))),
        min_throughput_bps=draw(st.one_of(st.none(), st.integers(1, 100 * MB))),
    )


def subset(data: st.DataObject, results: list[Result]) -> list[str]:
    urls = [result['url'] + '/' for result in results] + ['https://foreign.example']
    order: list[str] = data.draw(st.permutations(urls))
    return order[: data.draw(st.integers(0, len(urls)))]


@given(probes(), policies(), st.data())
def test_law_only_ok_no_duplicates_at_most_max(results: list[Result], rules: Policy, data: st.DataObject) -> None:
    current = subset(data, results)
    selection = select(results, current, rules)
    chosen = [one.url for one in selection.chosen]
    ok = {result['url'] for result in results if result['ok']}
    assert set(chosen) <= ok
    assert len({normalise_url(url) for url in chosen}) == len(chosen)
    assert rules.max is None or len(chosen) <= rules.max
    assert sorted(chosen + [one.url for one in selection.left_out]) == sorted(result['url'] for result in results)


@given(probes(), policies(), st.data())
def test_law_a_second_run_changes_nothing(results: list[Result], rules: Policy, data: st.DataObject) -> None:
    once = select_urls(results, subset(data, results), rules)
    assert select_urls(results, once, rules) == once


@given(probes(), policies(), st.data())
def test_law_the_order_of_results_is_a_tie_break_only(results: list[Result], rules: Policy, data: st.DataObject) -> None:
    if rules.order_by == 'listed':
        return
    current = subset(data, results)
    shuffled = data.draw(st.permutations(results))
    one, other = select(results, current, rules), select(shuffled, current, rules)
    assert sorted(choice.cost_ms or 0 for choice in one.chosen) == sorted(choice.cost_ms or 0 for choice in other.chosen)
    costs = [choice.cost_ms for choice in select(results, (), Policy(max=None, order_by=rules.order_by)).chosen]
    if len(set(costs)) == len(costs):
        assert one.chosen == other.chosen


@given(probes(states=['ok']), policies(), st.data())
def test_law_who_is_ok_keeps_its_place_unless_someone_is_clearly_better(results: list[Result], rules: Policy, data: st.DataObject) -> None:
    """With measurements that are all alike nobody moves, whatever is in force."""
    for result in results:
        result['latency_ms'], result['throughput_bps'] = data.draw(st.integers(100, 120)), 10 * MB
    rules = Policy(max=rules.max)
    current = [url for url in subset(data, results) if 'foreign' not in url]
    expected = [normalise_url(url) for url in current][: rules.max]
    assert [normalise_url(url) for url in select_urls(results, current, rules)][: len(expected)] == expected


def noisy(results: list[Result], draw: t.Callable[[], float]) -> list[Result]:
    changed = []
    for result in results:
        latency, rate = result['latency_ms'], result['throughput_bps']
        changed.append(
            {
                **result,
                'latency_ms': None if latency is None else round(latency * (1 + draw())),
                'throughput_bps': None if rate is None else round(rate * (1 + draw())),
            }
        )
    return changed


@st.composite
def probes_near_limits(draw: st.DrawFn) -> tuple[list[Result], Policy]:
    """Limits that some mirror just meets or just misses, the place where a selection would flutter."""
    results: list[Result] = draw(probes())
    rules: Policy = draw(policies())
    coin = st.booleans()
    known_latencies = [result['latency_ms'] for result in results if result['latency_ms']]
    known_rates = [result['throughput_bps'] for result in results if result['throughput_bps']]
    if draw(coin) and known_latencies:
        rules = replace(rules, max_latency_ms=draw(st.sampled_from(known_latencies)) + draw(st.integers(-1, 1)))
    if draw(coin) and known_rates:
        rules = replace(rules, min_throughput_bps=draw(st.sampled_from(known_rates)) + draw(st.integers(-1, 1)))
    return results, rules


@given(probes_near_limits(), st.data())
def test_law_noise_at_its_worst_changes_nothing(case: tuple[list[Result], Policy], data: st.DataObject) -> None:
    results, rules = case
    chosen = select_urls(results, (), rules)
    assume(chosen)  # who has chosen nothing has nothing that could keep its place
    for _round in range(3):
        results_now = noisy(results, lambda: data.draw(st.sampled_from([-0.2, -0.2, 0.2, 0.2, 0.0, 0.1, -0.1])))
        assert select_urls(results_now, chosen, rules) == chosen


@settings(max_examples=settings().max_examples * 2 // 5)
@given(probes_near_limits(), st.integers(0, 2**32))
def test_law_a_hundred_rounds_of_noise_change_nothing(case: tuple[list[Result], Policy], seed: int) -> None:
    results, rules = case
    rng = random.Random(seed)
    chosen = select_urls(results, (), rules)
    assume(chosen)
    current = chosen
    for _round in range(100):
        current = select_urls(noisy(results, lambda: rng.uniform(-0.2, 0.2)), current, rules)
        assert current == chosen


@given(probes(states=['ok']), st.sampled_from(['estimated', 'latency']), st.integers(1, 4), st.data())
def test_law_a_much_better_challenger_gets_in_first(results: list[Result], order_by: str, most: int, data: st.DataObject) -> None:
    for result in results:
        result['latency_ms'] = data.draw(st.integers(200, 5000))
        result['throughput_bps'] = data.draw(st.integers(50_000, MB))
    rules = Policy(max=most, order_by=order_by)
    current = subset(data, results)
    star = probed('https://star.example', 20, 100 * MB)
    assert select_urls([*results, star], current, rules)[0] == star['url']


# ---- the policy


def test_policy_defaults() -> None:
    assert parse_policy(None) == parse_policy({}) == Policy()
    assert Policy().challenger_margin == 0.30
    assert Policy().challenger_margin_ms == 50


def test_policy_null_means_the_default_or_no_limit() -> None:
    rules = parse_policy({'order_by': None, 'max_latency_ms': None, 'noise': None})
    assert rules == Policy()


BAD_POLICIES: list[tuple[t.Any, str]] = [
    ([], 'policy: a dict is expected, not a list'),
    ('max', 'not a string'),
    ({'maximum': 3}, "policy: unknown key 'maximum'. Known are max, order_by"),
    ({'max': 0}, 'policy.max: a whole number of at least 1'),
    ({'max': 2.5}, 'policy.max: a whole number'),
    ({'max': True}, 'policy.max: a number is expected, not a boolean'),
    ({'max': '3'}, 'policy.max: a number is expected, not a string'),
    ({'max_latency_ms': -1}, 'at least 0'),
    ({'max_latency_ms': float('nan')}, 'a number is expected'),
    ({'min_throughput_bps': [1]}, 'not a list'),
    ({'order_by': 'speed'}, "policy.order_by: 'speed' is not known. Write one of estimated, latency, listed, throughput"),
    ({'order_by': 1}, 'policy.order_by'),
    ({'challenger_margin': 30}, 'a share from 0 to below 1 is expected (0.3 means 30 %)'),
    ({'noise': 1}, 'policy.noise: a share'),
    ({'layer_bytes': 0}, 'policy.layer_bytes'),
    ({'fast_enough_bps': 0}, 'policy.fast_enough_bps'),
]


@pytest.mark.parametrize(('raw', 'words'), BAD_POLICIES)
def test_policy_refuses(raw: t.Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_policy(raw)
    assert words in str(caught.value)


@pytest.mark.parametrize('results', [['https://a.example'], [{}], [{'url': None}], [{'url': ''}]])
def test_results_that_are_none(results: t.Any) -> None:
    with pytest.raises(ConfigError, match=r'results\[0\]: '):
        select(results)
