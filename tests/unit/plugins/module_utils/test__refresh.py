# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One refresh after the other, with mirrors and engines that the test makes up; the real ones are tried on the lab (test_refresh.py)."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import time
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.quickpull.registry.plugins.module_utils import (
    _journal,
    _owned_files,
    _refresh,
    _refresh_choice,
    _refresh_engines,
    _refresh_metrics,
    _refresh_report,
)
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import normalise_url
from ansible_collections.quickpull.registry.plugins.module_utils._probe import Job
from ansible_collections.quickpull.registry.plugins.module_utils._refresh_engines import Done, Work
from ansible_collections.quickpull.registry.plugins.module_utils._refresh_settings import Settings, choice_key, parse, request_key, standing
from ansible_collections.quickpull.registry.plugins.module_utils._refresh_share import Shared
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

A, B, C = (f'https://{name}.example' for name in 'abc')
HUB = 'docker.io'
RAW = {'mirrors': {HUB: [A, B, C]}, 'policy': {'max': 2, 'order_by': 'listed'}, 'interval': '10m'}


class Site:
    """A host with containerd, mirrors that serve or not, and a clock."""

    def __init__(self, root: Path, raw: t.Mapping[str, t.Any] | None = None, in_force: t.Sequence[str] = (A, B)) -> None:
        self.state = State(str(root / 'state'))
        self.settings: Settings = parse({**RAW, **(raw or {})})
        self.mirrors = list(in_force)
        self.dead: set[str] = set()
        self.blinks: dict[str, int] = {}
        self.asked: list[list[str]] = []
        self.shared: Shared | None = None
        self.time = 1_800_000_000.0
        self.fails, self.latency, self.waits = '', 10.0, ''
        self.meanwhile: t.Callable[[], None] = lambda: None
        self.host = _refresh.Host(
            facts=lambda _state: self.facts(), probe=self.probe, ask=lambda *_all: self.shared, apply=self.apply, pending=lambda _work: {},
            busy=lambda _state: self.waits,
            now=lambda: self.time, sleep=self.sleep, offered=str(root / 'run' / 'probes.json'),
        )  # fmt: skip

    def facts(self) -> dict[str, t.Any]:
        return {'engines': {'containerd': {'version': '2.1.4', 'mirrors': {HUB: list(self.mirrors)}, 'for_docker_alone': False}}}

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def probe(self, job: Job) -> dict[str, t.Any]:
        urls = [mirror.url for mirror in job.mirrors]
        self.asked.append(urls)
        self.meanwhile()
        return {'results': [self.result(url) for url in urls]}

    def result(self, url: str) -> dict[str, t.Any]:
        blinks = self.blinks.get(url, 0)
        self.blinks[url] = max(0, blinks - 1)
        serves = url not in self.dead and not blinks
        return {'url': url, 'ok': serves, 'state': 'ok' if serves else 'unreachable', 'reason': '', 'latency_ms': self.latency if serves else None}

    def apply(self, work: Work) -> list[Done]:
        """What the engines' steps do with containerd, without its files."""
        choice = _refresh_engines._chosen(work, 'containerd', work.engines['containerd']['mirrors'])
        if self.fails:
            return [Done('containerd', '', error=self.fails)]
        if HUB not in choice['upstreams']:
            return []
        before, self.mirrors = self.mirrors, [one['url'] for one in choice['upstreams'][HUB]]
        because = work.steady.because[('containerd', HUB)]
        return [Done('containerd', HUB, tuple(before), tuple(self.mirrors), before != self.mirrors, because)]

    def refresh(self) -> dict[str, t.Any]:
        self.time += 600
        self.asked.clear()
        return _refresh.run(self.settings, self.state, self.host)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_mirrors_that_serve_stay(site: Site) -> None:
    report = site.refresh()
    assert site.mirrors == [A, B]
    assert (report['engines'][0]['changed'], report['engines'][0]['because'], report['chosen']) == (False, '', 0.0)
    assert json.loads(Path(_refresh_report.report_path(site.state)).read_text()) == report


def test_one_that_dies_is_asked_twice_and_then_passed_over_at_once(site: Site) -> None:
    site.refresh()
    site.dead.add(A)
    report = site.refresh()
    assert site.asked == [[A, B, C], [A]]
    assert site.mirrors == [B, C]
    assert report['chosen'] == report['checked']
    assert _refresh_report.sentences(report) == [
        f'docker.io: 2 of 3 mirrors serve; not: {A} (unreachable).',
        f'containerd: docker.io: {A}, {B} -> {B}, {C}. {A} does not serve any more.',
    ]


def test_one_that_only_blinked_is_no_reason(site: Site) -> None:
    site.refresh()
    site.blinks[A] = 1
    report = site.refresh()
    assert site.mirrors == [A, B]
    assert [one['ok'] for one in report['results'][HUB]] == [True, True, True]


def test_an_outage_changes_nothing_and_asks_everybody(site: Site) -> None:
    site.refresh()
    site.dead |= {A, B, C}
    for _round in range(3):
        report = site.refresh()
        assert site.mirrors == [A, B]
        assert report['engines'][0]['because'] == 'No mirror serves, so the choice stays as it is.'
    assert {url for urls in site.asked for url in urls} == {A, B, C}
    site.dead.clear()
    assert not site.refresh()['engines'][0]['changed']


def test_one_that_comes_back_is_taken_once(site: Site) -> None:
    site.refresh()
    site.dead.add(A)
    site.refresh()
    site.dead.clear()
    changes = [number for number in range(12) if site.refresh()['engines'][0]['changed']]
    assert len(changes) == 1 and changes[0] >= 4
    assert site.mirrors == [A, B]


def test_what_goes_on_failing_is_asked_less_and_less(site: Site) -> None:
    site.dead.add(C)
    site.refresh()
    asked = 0
    for _round in range(32):
        site.refresh()
        asked += any(C in urls for urls in site.asked)
    assert 3 <= asked <= 8


def test_of_one_that_was_not_asked_it_is_told_when_it_last_was(site: Site) -> None:
    site.dead.add(C)
    site.refresh()
    when = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(site.time))
    seen = site.time
    told = []
    for _round in range(4):
        report = site.refresh()
        if not any(C in urls for urls in site.asked):
            told.append(_refresh_report.sentences(report)[0])
            one = next(one for one in report['results'][HUB] if one['url'] == C)
            assert one['asked'] == seen
            line = next(line for line in _refresh_metrics.render(report).splitlines() if 'mirror_probe_timestamp' in line and f'mirror="{C}"' in line)
            assert line.endswith(f' {seen:.10g}')
        else:
            seen, when = site.time, time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(site.time))
            assert f'{C} (unreachable)' in _refresh_report.sentences(report)[0]
    assert told and told[-1].endswith(f'not: {C} (unreachable at {when}, not asked since).')


def test_the_last_change_is_told_for_as_long_as_nothing_newer_is(site: Site) -> None:
    assert _refresh_report.facts(site.state)['last_change'] == ''
    site.dead.add(A)
    when = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(site.refresh()['checked']))
    for _round in range(3):
        site.refresh()
    assert _refresh_report.facts(site.state)['last_change'] == f'{when}, {HUB}: {A} does not serve any more.'


def test_a_host_without_mirrors_in_use_takes_what_serves(tmp_path: Path) -> None:
    site = Site(tmp_path, in_force=())
    site.dead.add(A)
    site.refresh()
    assert site.mirrors == [B, C]


# -- one host for many


def shared(site: Site, *dead: str, age: float = 10.0, **raw: t.Any) -> Shared:
    settings = parse({**RAW, **raw})
    results = [{'url': url, 'ok': url not in dead, 'state': 'ok' if url not in dead else 'timeout', 'latency_ms': 5.0} for url in (A, B, C)]
    return Shared('http://leader.lan:8377', site.time + 600 - age, {request_key(settings, HUB): results})


def test_what_another_host_found_is_believed_and_counts_once(tmp_path: Path) -> None:
    site = Site(tmp_path, {'ask': ['http://leader.lan:8377']})
    site.shared = shared(site, A)
    report = site.refresh()
    assert site.asked == []
    assert site.mirrors == [B, C]
    assert report['source'] == {HUB: 'http://leader.lan:8377'}
    site.time -= 600
    again = site.refresh()
    assert (site.asked, again['engines'][0]['changed'], site.mirrors) == ([], False, [B, C])
    assert again['chosen'] == report['chosen']
    offered = json.loads(Path(site.host.offered).read_text())
    assert offered['probed_at'] == report['probed'] < report['checked']


def test_a_mirror_in_use_that_the_other_host_did_not_ask_is_asked_here(tmp_path: Path) -> None:
    site = Site(tmp_path, {'ask': ['http://leader.lan:8377']})
    found = shared(site)
    key = next(iter(found.upstreams))
    site.shared = Shared(found.source, found.probed_at, {key: [one for one in found.upstreams[key] if one['url'] != B]})
    site.refresh()
    assert site.asked == [[B]]
    assert site.mirrors == [A, B]


def test_results_for_another_question_are_not_believed(tmp_path: Path) -> None:
    site = Site(tmp_path, {'ask': ['http://leader.lan:8377']})
    site.shared = shared(site, A, asking={'images': ['library/other:1']})
    report = site.refresh()
    assert site.asked == [[A, B, C]]
    assert report['source'] == {HUB: ''}


def test_a_host_that_sees_none_serve_is_not_believed(tmp_path: Path) -> None:
    site = Site(tmp_path, {'ask': ['http://leader.lan:8377']})
    site.shared = shared(site, A, B, C)
    site.dead.add(A)
    report = site.refresh()
    assert (report['source'], site.mirrors) == ({HUB: ''}, [B, C])


def test_mirrors_that_are_not_listed_are_not_taken_over(tmp_path: Path) -> None:
    site = Site(tmp_path, {'ask': ['http://leader.lan:8377']})
    found = shared(site, A)
    (key, results) = next(iter(found.upstreams.items()))
    site.shared = Shared(found.source, found.probed_at, {key: [*results, {'url': 'http://evil.example', 'ok': True, 'state': 'ok', 'latency_ms': 0.1}]})
    assert 'evil' not in str(site.refresh())
    assert site.mirrors == [B, C]


def test_results_that_stand_still_are_not_believed_for_longer_than_an_interval(tmp_path: Path) -> None:
    site = Site(tmp_path, {'ask': ['http://leader.lan:8377']})
    site.shared = shared(site)
    site.refresh()
    assert site.asked == []
    site.refresh()
    assert site.asked == [[A, B, C]]


# -- others at work


def test_while_the_role_runs_nothing_is_changed_and_nothing_is_learned_of_it_twice(site: Site) -> None:
    site.dead.add(A)
    site.waits = 'A run of the role is under way on this host, so nothing is changed now.'
    report = site.refresh()
    assert site.mirrors == [A, B]
    assert _refresh_report.sentences(report)[-1] == site.waits
    site.waits = ''
    site.refresh()
    assert site.mirrors == [B, C]


def test_a_removal_is_waited_for_until_it_is_done_or_it_would_be_undone_on_the_way(site: Site) -> None:
    for number, kind, waits in ((1, 'remove', True), (2, 'alone', False)):
        (Path(site.state.journal) / f'{number:06d}.20261129T010000Z-{kind}').mkdir(parents=True)
        assert (_refresh.busy(site.state) != '') == waits
        _journal.mark_ended(site.state, f'20261129T010000Z-{kind}')
        assert _refresh.busy(site.state) == ''


def test_a_run_of_the_role_is_under_way_until_it_says_that_it_is_done(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(site.state.journal) / '000001.20261129T010000Z-site'
    assert _refresh.busy(site.state) == ''
    folder.mkdir(parents=True)
    assert _refresh.busy(site.state) != ''
    _journal.mark_ended(site.state, '20261129T010000Z-site')
    assert _refresh.busy(site.state) == ''
    (Path(site.state.journal) / '000002.20261129T020000Z-site').mkdir()
    assert _refresh.busy(site.state) != ''
    (Path(site.state.journal) / '000003.20261129T020001Z-refresh').mkdir()
    assert _refresh.busy(site.state) != ''
    # What a refresh remembers may be lost: that is no reason to wait.
    shutil.rmtree(Path(site.state.root) / 'refresh', ignore_errors=True)
    _journal.mark_ended(site.state, '20261129T020000Z-site')
    assert _refresh.busy(site.state) == ''
    (Path(site.state.journal) / '000002.20261129T020000Z-site' / 'ended').unlink()
    assert _refresh.busy(site.state) != ''
    long_ago = time.time() - 2000
    os.utime(Path(site.state.journal) / '000002.20261129T020000Z-site', (long_ago, long_ago))
    assert _refresh.busy(site.state) == ''


def test_mirrors_that_others_changed_during_the_probe_are_left(site: Site) -> None:
    site.dead.add(A)
    site.meanwhile = lambda: site.mirrors.__setitem__(slice(None), [C])
    site.refresh()
    assert site.mirrors == [C]


def test_an_engine_that_does_not_take_mirrors_of_an_upstream_has_no_say_in_whom_to_ask(site: Site) -> None:
    facts = site.facts
    others = {'docker': {'registry_mirrors': [], 'reads_hosts_toml': False}, 'k3s': {'mirrors': {}}, 'crio': {}, 'podman': {'version': '', 'mirrors': {}}}
    site.facts = lambda: {'engines': {**others, **facts()['engines']}}  # type: ignore[method-assign]
    site.dead.add(C)
    site.refresh()
    asked = 0
    for _round in range(32):
        site.refresh()
        asked += any(C in urls for urls in site.asked)
    assert 3 <= asked <= 8


# -- what the role makes of it


def told_of(site: Site, later: float = 0.0) -> dict[str, t.Any]:
    """What container_engine_info tells so many seconds after the last refresh."""
    root = Path(site.state.root).parent / 'root'
    (root / 'etc/quickpull.registry').mkdir(parents=True, exist_ok=True)
    (root / 'etc/quickpull.registry/refresh.json').touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_refresh_report.time, 'time', lambda: site.time + later)
        return _refresh_report.facts(site.state, str(root))


def test_the_choice_of_a_host_stands_where_it_was_made_lately_and_by_what_is_wanted_now(site: Site) -> None:
    assert standing(told_of(site), RAW) == {}, 'it has never looked'
    site.dead.add(A)
    report = site.refresh()
    of = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(report['checked']))
    assert standing(told_of(site), RAW) == {'of': of, 'engines': {'containerd': {HUB: [B, C]}}}
    # While one that is back has to prove itself, what is in use stands.
    site.dead.clear()
    site.refresh()
    assert standing(told_of(site), RAW)['engines'] == {'containerd': {HUB: [B, C]}}
    asked = {**RAW, 'interval': '1200', 'metrics_path': '/x.prom', 'podman_users': ['bob']}
    assert standing(told_of(site), asked) != {}, 'nothing of that is about which mirrors are chosen'
    for other in (
        {'mirrors': {HUB: [A, B]}}, {'mirrors': {HUB: [B, A, C]}}, {'mirrors': {HUB: [A, B, {'url': C, 'third_party': True}]}}, {'policy': {'max': 1}},
        {'own': {HUB: [A]}}, {'query': '[?ok]'}, {'asking': {'images': ['library/busybox:latest']}}, {'hub_login': True}, {'interval': 'never'},
    ):  # fmt: skip
        assert standing(told_of(site), {**RAW, **other}) == {}, other
    assert standing({**told_of(site), 'installed': False}, RAW) == {}
    assert standing({**told_of(site), 'errors': ['The disk is full.']}, RAW) == {}


def test_a_choice_gets_too_old(site: Site) -> None:
    site.refresh()
    assert standing(told_of(site, 1310), RAW) != {}
    assert standing(told_of(site, 1330), RAW) == {}, 'two intervals and a fifth'
    assert standing(told_of(site, 1201), RAW, 0) == {}
    assert standing(told_of(site, 1310), RAW, 120.0) != {}
    assert standing(told_of(site, -60), RAW) == {}, 'the clock was set back'


def test_a_refresh_that_waits_for_the_role_makes_no_old_choice_new(site: Site) -> None:
    site.refresh()
    site.waits = 'A run of the role is under way on this host, so nothing is changed now.'
    for _round in range(3):
        site.refresh()
    assert standing(told_of(site), RAW) == {}
    site.waits = ''
    site.refresh()
    assert standing(told_of(site), RAW) != {}


def test_what_waits_is_no_choice_that_stands(site: Site) -> None:
    apply = site.apply
    site.host = dataclasses.replace(site.host, apply=lambda work: [dataclasses.replace(one, waits='By a restart alone.') for one in apply(work)])
    site.refresh()
    assert standing(told_of(site), RAW) == {}


def test_no_secret_goes_into_what_settings_are_told_apart_by() -> None:
    def key(password: str) -> str:
        mirror = {'url': A, 'headers': {'Authorization': password}}
        return choice_key(parse({'mirrors': {HUB: [mirror]}, 'own': {HUB: [mirror]}, 'asking': {'proxies': {'http_proxy': f'http://u:{password}@p:1'}}}))

    assert key('one') == key('another')


# -- what goes wrong


def test_one_upstream_that_cannot_be_probed_does_not_keep_the_others_from_theirs(site: Site) -> None:
    site.settings = parse({**RAW, 'mirrors': {HUB: [A, B, C], 'quay.io': ['https://q.example']}})
    probe = site.probe

    def fails(job: Job) -> dict[str, t.Any]:
        if job.mirrors[0].url == 'https://q.example':
            raise ConfigError('ca_path: /etc/ca.pem is not there.')
        return probe(job)

    site.host = dataclasses.replace(site.host, probe=fails)
    site.dead.add(A)
    report = site.refresh()
    assert site.mirrors == [B, C]
    assert report['errors'] == ['quay.io: ca_path: /etc/ca.pem is not there.']


def test_an_engine_that_fails_is_told_and_its_last_state_is_kept(site: Site) -> None:
    site.refresh()
    site.fails = 'The disk is full.'
    report = site.refresh()
    assert report['errors'] == ['containerd: The disk is full.']
    assert [one['mirrors'] for one in report['engines']] == [[A, B]]
    assert _refresh_report.sentences(report)[-1] == 'Error: containerd: The disk is full.'


@pytest.mark.parametrize('path', [_refresh_report.memory_path, _refresh_report.report_path])
def test_what_is_remembered_may_be_lost_or_broken(site: Site, path: t.Callable[[State], str]) -> None:
    site.refresh()
    for text in ('', '{', '[]', '{"version": 99}'):
        Path(path(site.state)).write_text(text)
        site.refresh()
        assert site.mirrors == [A, B]


def test_a_query_without_its_library_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_refresh, 'HAS_JMESPATH', False)
    with pytest.raises(ConfigError, match='python3-jmespath'):
        Site(tmp_path, {'query': '[?ok]'}).refresh()


def test_a_query_narrows_the_choice(tmp_path: Path) -> None:
    site = Site(tmp_path, {'query': f"[?url != '{A}']"})
    seen = []
    for _round in range(3):
        site.refresh()
        seen.append(list(site.mirrors))
    # What is in use and serves does not leave for a whim of a query.
    assert seen == [[A, B], [A, B], [B, C]]


def test_a_query_on_what_varies_moves_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path, {'query': '[?latency_ms < `100`]'})
    for number in range(12):
        site.latency = 99.0 if number % 2 else 101.0
        site.refresh()
        assert site.mirrors == [A, B]


def test_metrics_are_written_on_request(tmp_path: Path) -> None:
    path = tmp_path / 'metrics' / 'quickpull.prom'
    site = Site(tmp_path, {'metrics_path': str(path)})
    site.dead.add(C)
    site.refresh()
    text = path.read_text()
    assert 'quickpull_registry_mirror_up{upstream="docker.io",mirror="https://a.example"} 1\n' in text
    assert 'quickpull_registry_mirror_up{upstream="docker.io",mirror="https://c.example"} 0\n' in text
    assert 'quickpull_registry_mirror_in_use{engine="containerd",upstream="docker.io",mirror="https://b.example"} 1\n' in text
    assert 'quickpull_registry_pending_restart{engine="containerd"} 0\n' in text
    assert path.stat().st_mode & 0o777 == 0o644
    # One that is not asked, since it goes on failing, stays where it can be seen.
    for _round in range(6):
        site.refresh()
        assert 'mirror="https://c.example"} 0\n' in path.read_text()


def test_metrics_follow_no_link(tmp_path: Path) -> None:
    target, path = tmp_path / 'shadow', tmp_path / 'quickpull.prom'
    target.write_text('theirs')
    path.symlink_to(target)
    site = Site(tmp_path, {'metrics_path': str(path)})
    site.refresh()
    assert target.read_text() == 'theirs'
    assert not path.is_symlink()
    text = path.read_text()
    for line in text.splitlines():
        assert line.startswith(('# HELP quickpull_registry_', '# TYPE quickpull_registry_', 'quickpull_registry_'))
    names = [line.split()[2] for line in text.splitlines() if line.startswith('# TYPE')]
    assert len(names) == len(set(names))


def test_what_is_in_force_is_told_by_the_candidates_own_names() -> None:
    settings = parse({'mirrors': {HUB: [A + '/', 'http://Cache.lan:80']}})
    facts = {'engines': {
        'docker': {'registry_mirrors': ['http://cache.lan/', 'https://foreign.example/']},
        'podman': {'version': '5.4.2', 'mirrors': {HUB: ['https://cache.lan:80']}},
    }}  # fmt: skip
    found = _refresh_engines.in_force(settings, facts, HUB)
    assert {engine: [normalise_url(url) for url in urls] for engine, urls in found.items()} == {
        'docker': [normalise_url('http://cache.lan')], 'podman': [normalise_url('http://cache.lan')],
    }  # fmt: skip


def test_a_file_that_is_written_anew_with_the_same_mirrors_is_told_with_the_reason(site: Site) -> None:
    work = Work(site.settings, site.facts(), {}, _refresh_choice.load('', site.settings.steadiness), site.state)
    path = '/etc/containers/registries.conf.d/500-quickpull-docker.io.conf'
    edited = f'{path} {_owned_files.EDITED}, and is written anew, as its first line says.'
    anew = f'{path} was not as this collection writes it.'
    cases: list[tuple[bool, list[str], str]] = [(True, ['Podman says.', edited], edited), (True, [], anew), (False, [], '')]
    for changed, warnings, because in cases:
        told = {'files': [{'upstream': HUB, 'path': path, 'mirrors': [A], 'changed': changed}], 'warnings': warnings}
        (done,) = _refresh_engines._done(work, 'podman', {HUB: [A]}, told)
        assert (done.because, done.before, done.after) == (because, (A,), (A,))


def test_the_alerts_that_we_give_know_the_metrics() -> None:
    rules = yaml.safe_load((Path(__file__).parents[4] / 'docs/prometheus-alerts.yml').read_text(encoding='utf-8'))['groups'][0]['rules']
    named = {name for rule in rules for name in re.findall(r'quickpull_registry_(\w+)', rule['expr'])}
    assert named
    assert named <= set(_refresh_metrics._HELP)


def test_numbers_may_be_texts_as_templates_of_older_ansibles_make_them() -> None:
    settings = parse({**RAW, 'asking': {'deadline': '20.0'}, 'apply_timeout': '60.0'})
    assert (settings.asking.deadline, settings.apply_timeout) == (20.0, 60.0)
    for none in ('soon', 'nan', 'inf'):
        with pytest.raises(ConfigError, match=r'asking\.deadline: a number of seconds is expected'):
            parse({**RAW, 'asking': {'deadline': none}})


def test_a_refresh_that_found_no_mirror_that_serves_chose_none(site: Site) -> None:
    site.refresh()
    assert _refresh_report.facts(site.state)['chosen'] == {'containerd': {HUB: [A, B]}}
    site.dead.update((A, B, C))
    site.refresh()
    assert _refresh_report.facts(site.state)['chosen'] == {}


def test_a_run_that_goes_on_after_its_end_is_under_way_again(site: Site) -> None:
    """As where a playbook applies the role twice to a host."""
    for _turn in range(2):
        path = str(Path(site.state.root) / 'ownership' / 'x')
        _journal.Recorder(site.state, '20261129T010000Z-site').add((path, _journal.Look(), _journal.Mark('x'), None, ()))
        assert _refresh.busy(site.state) != ''
        _journal.mark_ended(site.state, '20261129T010000Z-site')
        assert _refresh.busy(site.state) == ''
