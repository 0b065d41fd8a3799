# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A choice over many probes. Some series are made up, with a seed. One is recorded: what a busy machine measured of the lab's good mirrors, a thousand times
(tests/lab/record_probes.py). They are all equally near, so what differs is noise alone."""

from __future__ import annotations

import json
import random
import typing as t
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils._select import Policy
from ansible_collections.quickpull.registry.plugins.module_utils._stability import Decision, Memory, Steadiness, decide, due, dump, further, load

A, B, C, D = (f'https://{name}.example' for name in 'abcd')
RULES = Steadiness()
# None: it does not serve.
Round = t.Mapping[str, t.Optional[float]]


def results(latencies: Round, rates: t.Mapping[str, float] | None = None) -> list[dict[str, t.Any]]:
    return [{'url': url, 'ok': ms is not None, 'state': 'ok' if ms is not None else 'timeout', 'latency_ms': ms, 'throughput_bps': (rates or {}).get(url, 50e6)}
            for url, ms in latencies.items()]


class Site:
    """Probes, one after the other, as a timer would make them."""

    def __init__(self, in_force: t.Sequence[str] = (), policy: Policy | None = None) -> None:
        self.memory, self.mirrors, self.policy = Memory(), tuple(in_force), policy or Policy(max=2)
        self.changes = 0

    def probe(self, latencies: Round, rates: t.Mapping[str, float] | None = None) -> Decision:
        asked = due(self.memory, list(latencies), self.mirrors)
        asked += further(list(latencies), results({url: latencies[url] for url in asked}, rates))
        decision = decide(self.memory, results({url: latencies[url] for url in asked}, rates), self.mirrors, self.policy)
        self.memory, self.mirrors = decision.memory, decision.mirrors
        self.changes += decision.changed
        return decision


def test_the_first_probe_chooses_and_the_next_ones_keep() -> None:
    site = Site()
    assert site.probe({A: 10.0, B: 300.0, C: 900.0}).mirrors == (A, B)
    assert not site.probe({A: 11.0, B: 290.0, C: 900.0}).changed


def test_a_mirror_in_force_that_fails_is_passed_over_at_once() -> None:
    site = Site()
    for _round in range(3):
        site.probe({A: 10.0, B: 300.0, C: 900.0})
    told = site.probe({A: None, B: 300.0, C: 900.0})
    assert (told.mirrors, told.changed, told.because) == ((B, C), True, f'{A} does not serve any more.')


def test_one_that_comes_back_has_to_serve_for_a_while_and_then_to_be_wanted_for_a_while() -> None:
    site = Site(policy=Policy(max=3))
    site.probe({A: 10.0, B: 300.0, C: 900.0})
    site.probe({A: None, B: 300.0, C: 900.0})
    seen = [site.probe({A: 10.0, B: 300.0, C: 900.0}).mirrors for _round in range(9)]
    assert seen[:2] == [(B, C)] * 2  # it served once, and twice
    assert seen[2] == (B, C, A)  # behind the others, where it harms nobody
    assert seen[-1] == (A, B, C)
    assert site.changes == 4


def test_nothing_serves_and_nothing_changes() -> None:
    site = Site()
    site.probe({A: 10.0, B: 300.0})
    before = site.memory
    for _interval in range(3):
        told = site.probe({A: None, B: None})
        assert (told.mirrors, told.changed) == ((A, B), False)
    assert site.memory == before  # so that nobody has to prove himself again after it
    assert not site.probe({A: 10.0, B: 300.0}).changed
    assert not decide(site.memory, [], (A, B)).changed


def test_all_in_force_fail_and_another_serves() -> None:
    site = Site()
    site.probe({A: 10.0, B: 300.0, C: None})
    assert site.probe({A: None, B: None, C: 900.0}).mirrors == (C,)


def test_a_better_one_is_wanted_several_times_in_a_row() -> None:
    site = Site(policy=Policy(max=1))
    site.probe({A: 900.0})
    told = [site.probe({A: 900.0, B: 10.0}) for _round in range(4)]
    assert [one.changed for one in told] == [False, False, True, False]
    assert told[1].because == f'2 of 3 probes in a row found that {B} would be better.'
    assert told[2].mirrors == (B,)


def test_one_that_fails_is_asked_the_less_the_longer_it_fails() -> None:
    site, rounds = Site(), []
    for number in range(64):
        if B in due(site.memory, [A, B], site.mirrors):
            rounds.append(number)
        site.probe({A: 10.0, B: None})
    assert rounds == [0, 1, 3, 7, 15, 31, 47, 63]


def test_one_in_force_is_always_asked_and_else_nothing_is_said_of_it() -> None:
    memory = decide(Memory(), results({A: 10.0, B: None}), ()).memory
    assert due(memory, [A, B], [B]) == [A, B]
    told = decide(memory, results({A: 10.0}), [B])
    assert (told.mirrors, told.changed) == ((B,), False)


# --- a thousand probes ------------------------------------------------------------------------------------------------


def around(rng: random.Random, ms: float, share: float) -> float:
    return ms * rng.uniform(1 - share, 1 + share)


@pytest.mark.parametrize('seed', range(2))
def test_noise_changes_nothing_in_a_thousand_probes(seed: int) -> None:
    rng, site = random.Random(seed), Site(policy=Policy(max=2))
    for _round in range(1000):
        site.probe({A: around(rng, 40, 0.2), B: around(rng, 45, 0.2), C: around(rng, 50, 0.2), D: around(rng, 60, 0.2)})
    assert site.changes == 1


@pytest.mark.parametrize('seed', range(2))
def test_spikes_change_nothing_in_a_thousand_probes(seed: int) -> None:
    """One measurement in ten is up to thirty times too long, as where a host is busy."""
    rng, site = random.Random(seed), Site(policy=Policy(max=2))

    def one(ms: float) -> float:
        return around(rng, ms, 0.2) * (rng.uniform(3, 30) if rng.random() < 0.1 else 1)

    site.probe({A: 40.0, B: 45.0, C: 50.0})
    for _round in range(1000):
        site.probe({A: one(40), B: one(45), C: one(50), D: one(60)})
    assert site.changes == 1


def test_one_that_comes_and_goes_comes_once_at_most() -> None:
    """It is the best one while it is there, which is every other probe."""
    site = Site(policy=Policy(max=2))
    for number in range(1000):
        site.probe({A: 5.0 if number % 2 else None, B: 300.0, C: 400.0})
    assert site.changes == 1 and A not in site.mirrors


def test_a_mirror_that_is_in_force_and_comes_and_goes_leaves_once() -> None:
    site = Site(policy=Policy(max=2))
    for number in range(1000):
        site.probe({A: None if number % 2 else 5.0, B: 300.0, C: 400.0})
    assert site.changes == 2 and site.mirrors == (B, C)


@pytest.mark.parametrize('seed', range(1))
def test_what_becomes_worse_for_good_is_left_once(seed: int) -> None:
    rng, site = random.Random(seed), Site(policy=Policy(max=1))
    for number in range(1000):
        drift = 40 + max(0, number - 300) * 2.0
        site.probe({A: around(rng, drift, 0.2), B: around(rng, 400, 0.2)})
    assert site.changes == 2 and site.mirrors == (B,)


@pytest.mark.parametrize('seed', range(1))
def test_days_and_nights_move_a_choice_no_more_than_twice_a_day(seed: int) -> None:
    """In the evening one way is slow; a probe each five minutes, for three and a half days."""
    rng, site = random.Random(seed), Site(policy=Policy(max=1))
    for number in range(1000):
        evening = (number % 288) > 220
        site.probe({A: around(rng, 600 if evening else 30, 0.2), B: around(rng, 150, 0.2)})
    assert site.changes <= 1 + 2 * 4


# --- a thousand probes that were made ---------------------------------------------------------------------------------

RECORDED = json.loads((Path(__file__).parent / 'recorded_probes.json').read_text(encoding='utf-8'))
NAMES = tuple(f'http://{name}.lab' for name in RECORDED['mirrors'])


def recorded() -> t.Iterator[tuple[dict[str, float | None], dict[str, float]]]:
    """Latencies and rates, probe by probe."""
    for one in RECORDED['rounds']:
        seen = dict(zip(NAMES, one))
        yield {url: said and said[0] for url, said in seen.items()}, {url: said[1] for url, said in seen.items() if said}


def test_the_recording_is_what_it_is_said_to_be() -> None:
    """A thousand probes, of which a choice without memory would be another one nearly each time."""
    fastest = [min((ms, url) for url, ms in latencies.items() if ms is not None)[1] for latencies, _rates in recorded()]
    assert len(fastest) == 1000
    assert sum(one != other for one, other in zip(fastest, fastest[1:])) > 500


@pytest.mark.parametrize('order_by', ['estimated', 'latency', 'throughput', 'listed'])
def test_the_recorded_noise_moves_nothing(order_by: str) -> None:
    site = Site(policy=Policy(max=2, order_by=order_by))
    for latencies, rates in recorded():
        site.probe(latencies, rates)
    assert site.changes == 1


def test_in_the_recorded_noise_one_that_fails_leaves_and_comes_back_once() -> None:
    site = Site(policy=Policy(max=2, order_by='listed'))
    for number, (latencies, rates) in enumerate(recorded()):
        down = {NAMES[0]: None} if 300 <= number < 400 else {}
        site.probe({**latencies, **down}, rates)
        assert (NAMES[0] in site.mirrors) or number >= 300
    assert (site.changes, site.mirrors) == (3, NAMES[:2])


ROUNDS = st.lists(st.fixed_dictionaries({url: st.one_of(st.none(), st.floats(1, 2000)) for url in (A, B, C)}), max_size=30)


@given(ROUNDS)
def test_laws(rounds: list[Round]) -> None:
    site = Site(policy=Policy(max=2))
    for one in rounds:
        before = site.mirrors
        told = site.probe(one)
        # A choice once made is never emptied, holds no mirror twice, and no more than it may.
        assert told.mirrors or not before
        assert len(set(told.mirrors)) == len(told.mirrors) <= 2
        # Where anything serves, what failed is not among it; where nothing does, nothing changes.
        serves = {url for url, ms in one.items() if ms is not None}
        if serves:
            assert all(url in serves for url in told.mirrors if url in before)
        if not any(one[url] is not None for url in one):
            assert told.mirrors == before
        assert told.changed == (told.mirrors != before)
        assert bool(told.because) >= told.changed


@given(ROUNDS)
def test_the_memory_comes_back_from_its_file(rounds: list[Round]) -> None:
    site = Site()
    for one in rounds:
        site.probe(one)
    assert load(dump(site.memory)) == site.memory


@pytest.mark.parametrize('text', [
    '', '[]', 'null', '{}', '{"version": 2, "probes": 1, "mirrors": {}, "change": [], "wanted": 0}', '{"version": 1}',
    '{"version": 1, "probes": 1, "mirrors": {"a": {"served": 1}}, "change": [], "wanted": 0}',
    '{"version": 1, "probes": 1, "mirrors": {"a": {"latencies": ["x"], "throughputs": []}}, "change": [], "wanted": 0}',
    '{"version": 1, "probes": 1, "mirrors": {"a": {"latencies": [], "throughputs": [], "color": 1}}, "change": [], "wanted": 0}',
    '{"version": 1, "probes": 1, "mirrors": [], "change": [], "wanted": 0}',
])  # fmt: skip
def test_a_file_that_cannot_be_understood_is_none(text: str) -> None:
    assert load(text) == Memory()


@settings(max_examples=settings().max_examples // 4)
@given(ROUNDS)
def test_what_serves_and_is_asked_the_same_way_ends_in_peace(rounds: list[Round]) -> None:
    site = Site(policy=Policy(max=2))
    for one in rounds:
        site.probe(one)
    for _round in range(40):  # one that failed is asked after 16 again
        site.probe({A: 10.0, B: 100.0, C: 1000.0})
    before = site.changes
    for _round in range(10):
        site.probe({A: 10.0, B: 100.0, C: 1000.0})
    assert site.changes == before
