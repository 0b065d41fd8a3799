# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _report_history
from ansible_collections.quickpull.registry.plugins.module_utils._report import as_data
from ansible_collections.quickpull.registry.plugins.module_utils._report_history import POINTS, carried, points_of

A, B = 'http://a.lab:5000', 'https://b.example.com'


def result(url: str, latency: float | None = 5, state: str = 'ok') -> dict[str, t.Any]:
    return {'url': url, 'ok': state == 'ok', 'state': state, 'latency_ms': latency, 'throughput_bps': 1000 if latency else None}


def run(number: int, former: str, *results: dict[str, t.Any], site: str = '', host: str = 'web1', upstream: str = 'docker.io') -> dict[str, t.Any]:
    """The report of the run of a minute, as it is written."""
    probes = [{'upstream': upstream, 'site': site, 'host': host, 'results': list(results)}] if results else []
    return carried(as_data({'probes': probes}, f'2026-11-29T{number // 60:02}:{number % 60:02}:00Z'), former)


def latencies(report: t.Mapping[str, t.Any], at: int = 0) -> list[t.Any]:
    return [point['latency_ms'] for point in report['probes'][0]['mirrors'][at]['history']]


def test_each_run_adds_a_point_and_the_last_thirty_stay() -> None:
    text = ''
    for number in range(POINTS + 5):
        report = run(number, text, result(A, number + 1.0))
        text = json.dumps(report)
        assert latencies(report) == [one + 1.0 for one in range(number + 1)][-POINTS:]
    assert report['probes'][0]['mirrors'][0]['history'][-1] == {'time': report['generated_at'], 'state': 'ok', 'latency_ms': 35.0, 'throughput_bps': 1000}


def test_who_probed_and_how_a_url_is_spelt_make_no_other_series() -> None:
    former = json.dumps(run(1, '', result('http://A.lab:5000/')))
    assert len(latencies(run(2, former, result(A), host='web9'))) == 2


@pytest.mark.parametrize('changed', [{'site': 'berlin'}, {'upstream': 'quay.io'}])
def test_sites_and_upstreams_have_series_of_their_own(changed: dict[str, str]) -> None:
    former = json.dumps(run(1, '', result(A)))
    report = run(2, former, result(A), **changed)
    assert len(latencies(report)) == 1
    assert [(one['upstream'], one['site'], one['url'], len(one['history'])) for one in report['earlier']] == [('docker.io', '', A + '/', 1)]


def fleet(number: int, former: str, *probes: tuple[str, str, float], site: str = '') -> tuple[dict[str, t.Any], str]:
    """The report of a run with probes of one site, each with its host, its view and what it saw; and its text."""
    data = {'probes': [{'upstream': 'docker.io', 'site': site, 'host': host, 'view': view, 'results': [result(A, ms)]} for host, view, ms in probes]}
    report = carried(as_data(data, f'2026-11-29T00:{number:02}:00Z'), former)
    return report, json.dumps(report)


def pasts(report: t.Mapping[str, t.Any]) -> list[list[t.Any]]:
    return [[point['latency_ms'] for point in probe['mirrors'][0]['history']] for probe in report['probes']]


@pytest.mark.parametrize('site', ['', 'berlin'])
def test_probes_of_one_site_that_go_by_other_ways_have_series_of_their_own(site: str) -> None:
    dummy, text = fleet(1, '', ('h1', 'direct', 1), ('h2', 'proxy', 50), site=site)
    report, text = fleet(2, text, ('h9', 'direct', 2), ('h2', 'proxy', 51), site=site)
    assert pasts(report) == [[1, 2], [50, 51]]
    report, text = fleet(3, text, ('h2', 'proxy', 52), site=site)  # with --limit
    assert pasts(report) == [[50, 51, 52]]
    report, text = fleet(4, text, ('h1', 'direct', 3), ('h2', 'proxy', 53), site=site)
    assert pasts(report) == [[1, 2, 3], [50, 51, 52, 53]]
    assert report['earlier'] == []


def test_where_probes_went_by_the_same_way_the_host_tells_them_apart() -> None:
    dummy, text = fleet(1, '', ('h1', 'v', 1), ('h2', 'v', 50))
    report, text = fleet(2, text, ('h1', 'v', 2), ('h2', 'v', 51))
    assert pasts(report) == [[1, 2], [50, 51]]
    report, text = fleet(3, text, ('h2', 'v', 52))
    assert pasts(report) == [[50, 51, 52]]
    report, text = fleet(4, text, ('h8', 'v', 3), ('h2', 'v', 53))
    assert pasts(report) == [[1, 2, 3], [50, 51, 52, 53]]
    assert carried(report)['probes'] == report['probes']


def without_view(text: str) -> str:
    old = json.loads(text)
    for one in (*old['probes'], *old['earlier']):
        one.pop('view', None)
    return json.dumps(old)


def test_a_file_of_before_views_is_carried_on_by_the_first_probe_of_its_site() -> None:
    old = without_view(json.dumps(run(1, '', result(A, 1))))
    report, text = fleet(2, old, ('h1', 'direct', 2), ('h2', 'proxy', 51))
    assert pasts(report) == [[1, 2], [51]]
    # What a view has is no other's, though it is not probed.
    report, text = fleet(3, text, ('h3', 'third', 7))
    assert pasts(report) == [[7]]
    report, text = fleet(4, text, ('h1', 'direct', 3), ('h2', 'proxy', 52))
    assert pasts(report) == [[1, 2, 3], [51, 52]]
    # One that nobody has probed since stays one of before views.
    waits = json.dumps(run(3, old))
    assert pasts(fleet(4, waits, ('h1', 'direct', 2))[0]) == [[1, 2]]


def test_points_of_the_future_do_not_push_out_the_present() -> None:
    future = [{'time': f'2099-01-01T00:{number:02}:00Z', 'state': 'ok', 'latency_ms': 9, 'throughput_bps': None} for number in range(POINTS)]
    former = json.loads(json.dumps(run(1, '', result(A))))
    for odd in (future, [{**point, 'time': f'zzz{number}'} for number, point in enumerate(future)]):
        former['probes'][0]['mirrors'][0]['history'] += odd
        former['earlier'] = [{'upstream': 'quay.io', 'site': '', 'view': '', 'url': B, 'history': odd}]
        report = run(2, json.dumps(former), result(A, 6))
        assert latencies(report) == [5, 6]
        assert report['earlier'] == []
    data = {'probes': [{'results': [result(A, 7)], 'history': {A: future}}]}
    assert latencies(carried(as_data(data, '2026-11-29T00:00:00Z'))) == [7]


def test_a_clock_that_went_back_a_little_loses_nothing() -> None:
    former = json.dumps(run(8, '', result(A, 8)))
    assert latencies(run(1, former, result(A, 1))) == [1, 8]


def test_what_a_run_does_not_probe_waits_for_one_that_does() -> None:
    first = json.dumps(run(1, '', result(A), result(B, None, 'timeout')))
    second = json.dumps(run(2, first, result(B)))
    third = json.dumps(run(3, second))
    fourth = run(4, third, result(A, 7), result(B))
    assert latencies(fourth) == [5, 7]
    assert latencies(fourth, 1) == [None, 5, 5]
    assert fourth['earlier'] == []


def test_a_run_of_the_same_second_does_not_count_twice() -> None:
    first = json.dumps(run(1, '', result(A, 5)))
    assert latencies(run(1, first, result(A, 6))) == [6]


FORMER = json.dumps(run(1, '', result(A)))
ODD = '{"schema_version": 1, "probes": [{"mirrors": [3, {"url": [], "history": {"a": 1}}]}], "earlier": [[], {"history": [null, {"time": 3}]}]}'
BROKEN = ['', '{', 'null', '[]', '[' * 100_000, FORMER[:-9], FORMER.replace('"schema_version": 1', '"schema_version": 2'),
          '{"schema_version": 1, "probes": 7}', ODD]  # fmt: skip


@pytest.mark.parametrize('former', BROKEN, ids=range(len(BROKEN)))
def test_a_former_file_that_is_broken_or_of_another_version_is_as_good_as_none(former: str) -> None:
    assert run(2, former, result(A)) == run(2, '', result(A))


def test_numbers_that_json_cannot_have_are_dropped() -> None:
    point = {'time': '1', 'state': 'ok', 'latency_ms': float('nan'), 'throughput_bps': 10**400}
    assert points_of([point]) == [{'time': '1', 'state': 'ok', 'latency_ms': None, 'throughput_bps': None}]
    assert points_of([{**point, 'latency_ms': True, 'throughput_bps': '5'}])[0] == points_of([point])[0]


names = st.sampled_from(['time', 'state', 'latency_ms', 'schema_version', 'probes', 'earlier', 'mirrors', 'history', 'url', 'site', 'view', 'host'])
scalars = st.none() | st.booleans() | st.floats() | st.text(max_size=4)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=12)


@given(values)
def test_whatever_stood_in_the_file_the_report_is_one_that_the_next_run_can_read(former: t.Any) -> None:
    former = {**former, 'schema_version': 1} if isinstance(former, dict) else former
    report = run(5, json.dumps(former), result(A))
    assert report['generated_at'] in [point['time'] for point in report['probes'][0]['mirrors'][0]['history']]
    assert len(latencies(run(6, json.dumps(report), result(A)))) == min(len(latencies(report)) + 1, POINTS)
    json.dumps(report, allow_nan=False)


def test_all_series_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_report_history, 'POINTS_IN_ALL', 40)
    many = [result(f'http://m{number}.lab') for number in range(10)]
    text = ''
    for number in range(9):
        report = run(number, text, *many)
        text = json.dumps(report)
    assert [len(mirror['history']) for mirror in report['probes'][0]['mirrors']] == [4] * 10
    # Those that are not probed any more make room for those that are, the longest ago first.
    report = run(20, text, *many[:9], result('http://new.lab'))
    assert [len(mirror['history']) for mirror in report['probes'][0]['mirrors']] == [4] * 9 + [1]
    assert report['earlier'] == []


def test_history_that_somebody_else_gathered_is_taken_in() -> None:
    points = [{'time': '2026-11-28T00:00:00Z', 'state': 'stale', 'latency_ms': 3, 'throughput_bps': None}]
    data = {'probes': [{'upstream': 'docker.io', 'results': [result(A)], 'history': {A + '/': points}}]}
    report = carried(as_data(data, '2026-11-29T00:00:00Z'))
    assert [point['state'] for point in report['probes'][0]['mirrors'][0]['history']] == ['stale', 'ok']
