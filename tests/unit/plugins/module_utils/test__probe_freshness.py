# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils._probe_freshness import find_references, judge_age, lacking_dates, usable
from ansible_collections.quickpull.registry.plugins.module_utils._probe_verdict import Finding
from ansible_collections.quickpull.registry.plugins.module_utils._registry import Image, parse_image

NOW = 1_750_000_000.0  # 2025-06-15
DAY = 86400.0
NAME = 'nginx'
IMAGES = (parse_image(NAME, 'docker.io'),)

OLD, NEW, RECENT = '2023-01-01T00:00:00Z', '2025-05-01T00:00:00Z', '2025-06-15T10:00:00Z'
ZERO, EPOCH, FUTURE = '0001-01-01T00:00:00Z', '1970-01-01T00:00:00Z', '2031-01-01T00:00:00Z'

Served = tuple[str, 'str | None']


def finding(digest: str, created: str | None, *, platform: str | None = None, state: str = 'ok') -> Finding:
    return Finding('http://x', state=state, images={NAME: {'digest': digest, 'platform_digest': platform or f'p{digest}', 'created': created}})


def judged(served: list[Served], upstream: Served | None = None, expected: str = '') -> tuple[list[str], str]:
    """For each mirror its state, or `ok` with its notes; and where the reference came from."""
    findings = [finding(*one) for one in served]
    references = find_references(IMAGES, findings, finding(*upstream) if upstream else None, {NAME: expected} if expected else {}, NOW)
    for one in findings:
        judge_age(one, references, DAY, NOW)
    return [' '.join([one.state, *one.notes]) for one in findings], references[NAME].source if references else ''


AGE_DATA: list[tuple[list[Served], Served | None, str, list[str], str]] = [
    # All alike.
    ([('a', NEW), ('a', NEW)], None, '', ['ok', 'ok'], 'newest'),
    # The newest one decides, however many serve the old one.
    ([('a', OLD), ('a', OLD), ('b', NEW)], None, '', ['stale', 'stale', 'ok'], 'newest'),
    # The newest one is no day old: caches may keep the one before.
    ([('a', OLD), ('b', RECENT)], None, '', ['ok digest_differs', 'ok'], 'newest'),
    # The upstream beats the newest date.
    ([('a', OLD), ('b', NEW)], ('a', None), '', ['ok', 'stale'], 'upstream'),
    ([('a', OLD), ('a', OLD)], ('b', NEW), '', ['stale', 'stale'], 'upstream'),
    ([('a', OLD), ('b', RECENT)], ('b', None), '', ['ok digest_differs', 'ok'], 'upstream'),
    # The upstream's digest is known, its date is not.
    ([('a', OLD)], ('b', None), '', ['ok digest_differs age_unknown'], 'upstream'),
    # What is expected beats both.
    ([('a', OLD), ('b', NEW)], ('b', NEW), 'a', ['ok', 'stale'], 'expected'),
    ([('a', OLD)], None, 'b', ['ok digest_differs age_unknown'], 'expected'),
    ([('a', OLD), ('c', OLD)], ('b', NEW), 'b', ['stale', 'stale'], 'expected'),
    # Dates that say nothing.
    ([('a', ZERO), ('b', EPOCH)], None, '', ['ok', 'ok'], ''),
    ([('a', None), ('b', NEW)], None, '', ['ok digest_differs age_unknown', 'ok'], 'newest'),
    ([('a', FUTURE), ('b', NEW)], None, '', ['ok digest_differs age_unknown', 'ok'], 'newest'),
    ([('a', EPOCH)], ('b', EPOCH), '', ['ok digest_differs age_unknown'], 'upstream'),
    ([('a', EPOCH)], ('b', NEW), '', ['stale'], 'upstream'),
    # Built at the same moment: none is older than the other.
    ([('a', NEW), ('b', NEW)], None, '', ['ok', 'ok digest_differs'], 'newest'),
]


@pytest.mark.parametrize('served, upstream, expected, verdicts, source', AGE_DATA)
def test_age(served: list[Served], upstream: Served | None, expected: str, verdicts: list[str], source: str) -> None:
    assert judged(served, upstream, expected) == (verdicts, source)


def test_the_same_platform_under_another_index_is_not_stale() -> None:
    mirror, upstream = finding('a', NEW, platform='p'), finding('b', NEW, platform='p')
    judge_age(mirror, find_references(IMAGES, [mirror], upstream, {}, NOW), DAY, NOW)
    assert (mirror.state, mirror.notes) == ('ok', ['digest_differs'])


def test_an_expected_digest_may_be_the_platforms() -> None:
    mirror = finding('a', NEW, platform='p')
    judge_age(mirror, find_references(IMAGES, [mirror], None, {NAME: 'p'}, NOW), DAY, NOW)
    assert (mirror.state, mirror.notes) == ('ok', [])


def test_a_stale_mirror_says_why() -> None:
    mirror = finding('a', OLD)
    judge_age(mirror, find_references(IMAGES, [mirror], finding('b', NEW), {}, NOW), DAY, NOW)
    assert mirror.failed_at == 'manifest'
    assert OLD in mirror.reason
    assert NEW in mirror.reason
    assert "upstream's" in mirror.reason


def test_what_a_bad_mirror_serves_is_no_reference() -> None:
    good, corrupt = finding('a', OLD), finding('b', NEW, state='corrupt')
    references = find_references(IMAGES, [good, corrupt], None, {}, NOW)
    judge_age(good, references, DAY, NOW)
    judge_age(corrupt, references, DAY, NOW)
    assert references[NAME].digest == 'a'
    assert (good.state, corrupt.state) == ('ok', 'corrupt')


def test_an_image_by_digest_cannot_be_stale() -> None:
    by_digest = Image(NAME, 'library/nginx', digest='sha256:' + '0' * 64)
    assert find_references([by_digest], [finding('a', OLD)], finding('b', NEW), {}, NOW) == {}


def test_the_upstream_is_asked_for_more_only_when_that_decides_something() -> None:
    def lacking(served: list[Served], upstream: Served) -> list[str]:
        findings = [finding(*one) for one in served]
        return lacking_dates(find_references(IMAGES, findings, finding(*upstream), {}, NOW), findings, NOW)

    assert lacking([('a', OLD)], ('b', None)) == [NAME]
    assert lacking([('a', OLD)], ('a', None)) == []
    assert lacking([('a', OLD), ('b', NEW)], ('b', None)) == []
    assert lacking([('a', OLD)], ('b', NEW)) == []


@pytest.mark.parametrize('created, says_something', [(OLD, True), (NEW, True), (ZERO, False), (EPOCH, False), (FUTURE, False), ('x', False), (None, False)])
def test_usable(created: str | None, says_something: bool) -> None:
    assert (usable(created, NOW) is not None) is says_something


DATES = st.sampled_from([OLD, NEW, RECENT, ZERO, EPOCH, FUTURE, None])
SERVED = st.lists(st.tuples(st.sampled_from('abc'), DATES), min_size=1, max_size=6)


@given(SERVED, st.randoms(use_true_random=False))
def test_neither_order_nor_majority_matters(served: list[Served], random: object) -> None:
    # One digest has one date.
    dates: dict[str, str | None] = {}
    served = [(digest, dates.setdefault(digest, created)) for digest, created in served]
    by_digest = dict(zip((digest for digest, _created in served), judged(served)[0]))
    shuffled = list(served)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    stale = {digest for digest, verdict in by_digest.items() if verdict == 'stale'}
    for more in (shuffled, served + served[:1] * 5):
        again = judged(more)[0]
        assert {digest for (digest, _created), verdict in zip(more, again) if verdict == 'stale'} == stale


@given(SERVED, st.one_of(st.none(), st.tuples(st.sampled_from('abc'), DATES)), st.sampled_from(['', 'a', 'b', 'd']))
def test_who_serves_the_reference_is_never_stale(served: list[Served], upstream: Served | None, expected: str) -> None:
    findings = [finding(*one) for one in served]
    references = find_references(IMAGES, findings, finding(*upstream) if upstream else None, {NAME: expected} if expected else {}, NOW)
    for one in findings:
        judge_age(one, references, DAY, NOW)
        if not references or one.images[NAME]['digest'] == references[NAME].digest:
            assert one.state == 'ok'
            assert one.notes == []
