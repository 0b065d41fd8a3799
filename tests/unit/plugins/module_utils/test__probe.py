# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import http.client
import io
import tarfile
import time
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _probe
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._http import FetchError, Response
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror
from ansible_collections.quickpull.registry.plugins.module_utils._probe import Job, run
from ansible_collections.quickpull.registry.plugins.module_utils._probe_verdict import (
    STATES,
    STEPS,
    blame,
    judge_blob,
    judge_manifest,
    judge_ping,
    layer_problem,
)
from ansible_collections.quickpull.registry.plugins.module_utils._probe_visit import Settings
from ansible_collections.quickpull.registry.plugins.module_utils._registry import Platform, parse_image
from ansible_collections.quickpull.registry.tests.unit.plugins.small_registry import LAYER, Answer, Asked, Content, Handler, Server, layer

NEW = Content((layer(300),), created='2024-05-01T00:00:00Z')
OLD = Content((layer(300, 1),), created='2023-05-01T00:00:00Z')
SETTINGS = Settings((parse_image('nginx', 'docker.io'),), Platform('linux', 'amd64'), connect_seconds=0.5)
SILENT = Answer(raw=[b''], hang=True)

Start = t.Callable[[Handler], Server]


@pytest.fixture
def start() -> t.Iterator[Start]:
    """Start servers that end with the test."""
    started: list[Server] = []

    def begin(handler: Handler) -> Server:
        started.append(Server(handler))
        return started[-1]

    yield begin
    for server in started:
        server.close()


def probe(urls: t.Sequence[str], *, depth: str = 'blob', **job: t.Any) -> dict[str, t.Any]:
    settings = dataclasses.replace(SETTINGS, depth=depth)
    return run(Job(tuple(Mirror(url=url) for url in urls), settings, **{'deadline': 5.0, **job}))


def states(found: t.Mapping[str, t.Any]) -> list[str]:
    return [result['state'] for result in found['results']]


def test_results_come_in_the_order_given_and_each_mirror_is_asked_once(start: Start) -> None:
    good, old = start(NEW.serve), start(lambda asked: Answer(500))
    urls = [old.url, good.url, f'{good.url}/', old.url]
    found = probe(urls)
    assert [result['url'] for result in found['results']] == urls
    assert states(found) == ['server_error', 'ok', 'ok', 'server_error']
    assert len(good.log) == 6
    assert len(old.log) == 1
    assert found['upstream'] is None
    assert 0 < found['elapsed'] < 5


def test_no_mirrors() -> None:
    assert probe([])['results'] == []


def test_the_time_is_that_of_the_slowest_not_the_sum(start: Start) -> None:
    urls = [start(lambda asked: SILENT).url for _number in range(20)] + [start(NEW.serve).url]
    begun = time.monotonic()
    found = probe(urls, deadline=0.6)
    assert time.monotonic() - begun < 1.5
    assert states(found) == ['timeout'] * 20 + ['ok']
    assert {result['failed_at'] for result in found['results'][:20]} == {'ping'}


def test_with_little_concurrency_a_hanging_mirror_leaves_time_for_the_others(start: Start) -> None:
    urls = [start(lambda asked: SILENT).url, start(NEW.serve).url]
    assert states(probe(urls, deadline=1.0, concurrency=1)) == ['timeout', 'ok']


def test_a_visit_that_is_stuck_is_left_behind(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    real = _probe.Visit.run

    def stuck(visit: t.Any) -> None:
        if visit.mirror.url.endswith('/stuck'):
            visit.finding.step = 'blob'
            time.sleep(3)
        real(visit)

    monkeypatch.setattr(_probe.Visit, 'run', stuck)
    server = start(NEW.serve)
    begun = time.monotonic()
    found = probe([server.url, server.url + '/stuck'], deadline=0.4)
    assert time.monotonic() - begun < 1.4
    assert states(found) == ['ok', 'timeout']
    assert found['results'][1]['failed_at'] == 'blob'


def test_a_fault_of_ours_costs_one_verdict_and_not_all(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(visit: t.Any) -> None:
        raise KeyError('token=secret')

    server = start(NEW.serve)
    monkeypatch.setattr(_probe.Visit, 'run', broken)
    result = probe([server.url])['results'][0]
    assert (result['state'], result['ok']) == ('not_a_registry', False)
    assert 'secret' not in result['reason']


def test_a_file_that_cannot_be_used_is_an_error_of_the_user() -> None:
    with pytest.raises(ConfigError, match='ca_path'):
        run(Job((Mirror(url='https://127.0.0.1:1', ca_path='/no/such.pem'),), SETTINGS))


# What they serve, compared


def test_the_newest_is_the_reference_where_there_is_no_upstream(start: Start) -> None:
    urls = [start(OLD.serve).url, start(OLD.serve).url, start(NEW.serve).url]
    found = probe(urls)
    assert states(found) == ['stale', 'stale', 'ok']
    assert found['reference'] == {'nginx': {'digest': NEW.digest, 'source': 'newest', 'created': NEW.created}}


def test_a_head_of_the_upstream_is_enough_where_a_mirror_serves_the_same(start: Start) -> None:
    upstream = start(NEW.serve)
    found = probe([start(OLD.serve).url, start(NEW.serve).url], upstream=upstream.url)
    assert states(found) == ['stale', 'ok']
    assert found['reference']['nginx']['source'] == 'upstream'
    assert upstream.paths() == ['GET /v2/', 'HEAD /v2/library/nginx/manifests/latest']
    assert found['upstream']['requests'] == 2


def test_the_upstream_is_asked_for_the_date_where_nobody_else_knows_it(start: Start) -> None:
    upstream = start(NEW.serve)
    found = probe([start(OLD.serve).url], upstream=upstream.url)
    assert states(found) == ['stale']
    assert found['reference']['nginx'] == {'digest': NEW.digest, 'source': 'upstream', 'created': NEW.created}
    assert found['upstream']['requests'] == len(upstream.log)


def test_an_upstream_that_hangs_is_no_failure(start: Start) -> None:
    begun = time.monotonic()
    found = probe([start(NEW.serve).url], upstream=start(lambda asked: SILENT).url, deadline=0.5)
    assert time.monotonic() - begun < 1.2
    assert states(found) == ['ok']
    assert found['upstream']['state'] == 'timeout'
    assert found['reference']['nginx']['source'] == 'newest'


def test_an_expected_digest_needs_no_upstream(start: Start) -> None:
    upstream = start(NEW.serve)
    found = probe([start(OLD.serve).url, start(NEW.serve).url], upstream=upstream.url, expected={'nginx': NEW.digest})
    assert states(found) == ['stale', 'ok']
    assert upstream.log == []


@pytest.mark.parametrize('depth', ['ping', 'manifest'])
def test_shallow_probes_give_no_verdict_on_age(start: Start, depth: str) -> None:
    assert states(probe([start(OLD.serve).url, start(NEW.serve).url], depth=depth)) == ['ok', 'ok']


# The pull


@pytest.mark.parametrize(
    'outcome, state',
    [
        ({'state': 'ok', 'seconds': 1.0, 'reason': 'Good.'}, 'ok'),
        ({'state': 'not_applicable', 'seconds': None, 'reason': 'A path.'}, 'ok'),
        ({'state': 'failed', 'seconds': None, 'reason': 'Bad.', 'verdict': 'denied'}, 'denied'),
    ],
)
def test_pull(start: Start, outcome: dict[str, t.Any], state: str) -> None:
    settings = dataclasses.replace(SETTINGS, depth='pull', pull=lambda mirror, image, deadline: dict(outcome))
    result = run(Job((Mirror(url=start(NEW.serve).url),), settings))['results'][0]
    assert (result['state'], result['failed_at']) == (state, None if state == 'ok' else 'pull')
    assert result['pull'] == {key: value for key, value in outcome.items() if key != 'verdict'}


# Verdicts

KINDS = ('resolve', 'connect', 'tls', 'timeout', 'dropped', 'protocol', 'endless', 'loop', 'proxy')


@given(st.sampled_from(STEPS), st.sampled_from(KINDS), st.sampled_from(['resolve', 'connect', 'tls', 'request']), st.booleans())
def test_every_error_has_a_verdict(step: str, kind: str, phase: str, own: bool) -> None:
    stop = blame(step, FetchError(kind, 'it is so', phase=phase), own=own)
    assert stop.state in STATES
    assert stop.failed_at in STEPS
    assert str(stop)[0].isupper()
    assert str(stop).endswith('.')


def answer(status: int, body: bytes = b'', complete: bool = True, **headers: str) -> Response:
    message = http.client.HTTPMessage()
    for name, value in headers.items():
        message[name.replace('_', '-')] = value
    return Response('http://x/', status, message, body, complete, 0.0, 0.0)


@given(st.integers(100, 999), st.sampled_from([b'', b'{}', b'<html>', b'x']), st.booleans())
def test_every_status_has_a_verdict_or_is_fine(status: int, body: bytes, complete: bool) -> None:
    given_ = answer(status, body, complete)
    for stop in (*judge_ping(given_), judge_manifest('manifest', 'nginx', given_), judge_blob('blob', given_)):
        assert stop is None or (stop.state in STATES and stop.state != 'ok')
    if status != 200:
        assert judge_manifest('manifest', 'nginx', given_) is not None


# The first bytes of a layer


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as archive:
        archive.addfile(tarfile.TarInfo('x'))
    return buffer.getvalue()


PLAIN = LAYER.replace('+gzip', '')
BOMB = layer(0)[:2] + b'\x08' + layer(5_000_000)[3:]


@pytest.mark.parametrize(
    'sample, media_type, problem',
    [
        (layer(100_000), LAYER, ''),
        (layer(100_000)[:40], LAYER, ''),
        (layer(100_000)[:5000], 'application/vnd.docker.image.rootfs.diff.tar.gzip', ''),
        (BOMB, LAYER, ''),
        (tar(), PLAIN, ''),
        (b'\0' * 1024, PLAIN, ''),
        (b'\x28\xb5\x2f\xfd' + b'x' * 1000, LAYER.replace('gzip', 'zstd'), ''),
        (b'{}' * 1000, 'application/vnd.acme.chart.content.v1+json', ''),
        (b'garbage' * 100, LAYER + '+encrypted', ''),
        (tar(), LAYER, 'gzip'),
        (b'x' * 1000, 'application/vnd.docker.image.rootfs.diff.tar.gzip', 'gzip'),
        (b'<html>' * 100, LAYER, 'gzip'),
        (layer(100_000)[:10] + b'\xff' * 1000, LAYER, 'unpack'),
        (b'x' * 1000, PLAIN, 'tar'),
        (bytes(byte ^ 1 for byte in tar()), PLAIN, 'tar'),
    ],
)
def test_layer_problem(sample: bytes, media_type: str, problem: str) -> None:
    found = layer_problem(sample, media_type)
    assert problem in found
    assert bool(found) is bool(problem)


@given(st.binary(max_size=2000), st.sampled_from([LAYER, PLAIN, '', 'x']))
def test_no_bytes_break_layer_problem(sample: bytes, media_type: str) -> None:
    assert isinstance(layer_problem(sample, media_type), str)


def test_the_small_registry_is_a_registry() -> None:
    assert NEW.serve(Asked('GET', '/v2/x/manifests/other', {})).status == 404
