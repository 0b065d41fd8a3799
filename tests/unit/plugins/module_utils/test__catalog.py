# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _catalog
from ansible_collections.quickpull.registry.plugins.module_utils._catalog import ENTRIES, Entry, Evidence, advice, as_mirror, as_row, find
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import parse_mirror

LAPSED = Entry('mirror.lapsed.example', 'docker.io', 'lapsed', (Evidence('whois', '2026-01-02', 'registration ended, sold on'),))
MADE_UP = (*ENTRIES, LAPSED)


@pytest.mark.parametrize('entry', ENTRIES, ids=[entry.host for entry in ENTRIES])
def test_rows_are_sound(entry: Entry) -> None:
    assert entry.state in _catalog.STATES
    assert set(entry.reachable_from) <= set(_catalog.PLACES)
    assert set(entry.restrictions) <= set(_catalog.RESTRICTIONS)
    assert entry.evidence
    for one in entry.evidence:
        assert one.source
        assert re.fullmatch(r'20\d\d(-\d\d(-\d\d)?)?', one.date)
        assert one.text
        assert not one.text.endswith('.')
    assert entry.host == entry.host.lower()
    if entry.state == 'restricted':
        assert entry.reachable_from or entry.restrictions
    if '*' not in entry.host:
        url = entry.url({entry.parameter: 'abc1'} if entry.parameter else {})
        parse_mirror(url)
        assert entry.covers(url[len('https://') :])


def test_no_host_twice() -> None:
    assert len({entry.host for entry in ENTRIES}) == len(ENTRIES)


def test_no_report_says_that_a_domain_lapsed() -> None:
    assert [entry.host for entry in ENTRIES if entry.state == 'lapsed'] == []


ADVICE: list[tuple[str, str, str, str]] = [
    (
        'https://HUB-mirror.c.163.com/',
        'docker.io',
        'warn',
        'reported gone. [2023-09, a list published in an article] dead. [2026-07-10, docker_practice] closed.',
    ),
    ('http://mirror.baidubce.com:80', '', 'warn', '[2024-12-13, report of a user] no such host.'),
    ('https://a1b2.mirror.aliyuncs.com', 'docker.io', 'warn', 'limits (from alibaba cloud only, stale)'),
    ('https://a.b.mirror.aliyuncs.com', 'docker.io', 'ok', ''),
    ('https://registry.cn-hangzhou.aliyuncs.com', 'docker.io', 'warn', 'no mirror of docker.io: it serves its own content'),
    ('https://gcr.io', 'docker.io', 'warn', 'no mirror of docker.io'),
    ('https://mirror.gcr.io', 'docker.io', 'warn', 'blocked in mainland China'),
    ('https://docker.m.daocloud.io', 'docker.io', 'warn', 'limits (allow list, rate limit)'),
    ('https://quay.m.daocloud.io', 'docker.io', 'warn', 'is known as a mirror of quay.io, not of docker.io'),
    ('https://quay.m.daocloud.io', '', 'warn', 'limits'),
    ('https://docker.1panel.live', 'docker.io', 'ok', 'mainland China only'),
    ('http://cache.lan:5000', 'docker.io', 'ok', ''),
    ('https://evil-hub-mirror.c.163.com', 'docker.io', 'ok', ''),
    ('https://hubxrat.dev', 'docker.io', 'ok', ''),
    ('https://bob:s3cret@gcr.io', 'docker.io', 'warn', 'https://xxxxx:xxxxx@gcr.io'),
    ('https://mirror.lapsed.example/', 'docker.io', 'refuse', 'the registration of this domain lapsed'),
    ('no url', 'docker.io', 'ok', ''),
]


@pytest.mark.parametrize(('url', 'upstream', 'kind', 'words'), ADVICE)
def test_advice(url: str, upstream: str, kind: str, words: str) -> None:
    one = advice(url, upstream, MADE_UP)
    assert one.kind == kind
    assert words in one.text
    assert words or not one.text
    assert 's3cret' not in one.text


def test_reports_stand_in_the_order_of_their_dates() -> None:
    dates = re.findall(r'\[(20[\d-]+),', advice('https://x.mirror.aliyuncs.com').text)
    assert dates == sorted(dates)
    assert len(dates) == 4


def test_warnings_and_refusals() -> None:
    urls = ['http://cache.lan:5000', 'https://hub.rat.dev', 'https://mirror.lapsed.example', 'https://docker.1ms.run']
    assert len(_catalog.catalog_warnings(urls, 'docker.io', MADE_UP)) == 1
    assert [one['url'] for one in _catalog.refused(urls, entries=MADE_UP)] == ['https://mirror.lapsed.example']
    assert 'sold on' in _catalog.refused(urls, entries=MADE_UP)[0]['reason']
    assert _catalog.refused(urls, allow=['mirror.lapsed.example'], entries=MADE_UP) == []
    assert _catalog.refused(urls, allow=['https://Mirror.lapsed.example:443/'], entries=MADE_UP) == []
    assert len(_catalog.refused(urls, allow=['lapsed.example'], entries=MADE_UP)) == 1
    assert _catalog.refused(urls) == []


def hosts(*terms: str, **options: t.Any) -> list[str]:
    return [entry.host for entry in find(terms, entries=MADE_UP, **options)]


def test_find_by_upstream_and_state() -> None:
    assert 'docker.1ms.run' in hosts('docker.io')
    assert hosts('quay.io') == []
    assert hosts('quay.io', states=['candidate', 'restricted']) == ['quay.m.daocloud.io']
    assert hosts('registry.k8s.io', 'gcr.io', states=['restricted']) == ['gcr.m.daocloud.io', 'k8s.m.daocloud.io']
    assert len(hosts(states=_catalog.STATES, parameters={'aliyun_id': 'x'})) == len(MADE_UP)


def test_find_by_place_and_restriction() -> None:
    assert 'docker.1panel.live' in hosts('docker.io', reachable_from=['mainland'])
    assert 'docker.1panel.live' not in hosts('docker.io', reachable_from=['elsewhere'])
    assert hosts('docker.io', states=['restricted'], reachable_from=['elsewhere']) == ['docker.m.daocloud.io', 'mirror.gcr.io']
    assert 'mirror.houlang.cloud' in hosts('docker.io')
    assert 'mirror.houlang.cloud' not in hosts('docker.io', without=['token'])


def test_a_host_is_found_by_its_name_whatever_its_state() -> None:
    assert hosts('hub.rat.dev', 'https://Docker.m.daocloud.io/') == ['docker.m.daocloud.io', 'hub.rat.dev']
    with pytest.raises(ConfigError, match=r'registration of this domain lapsed.* Add lapsed to state'):
        hosts('mirror.lapsed.example')
    assert hosts('mirror.lapsed.example', states=['lapsed']) == ['mirror.lapsed.example']
    with pytest.raises(ConfigError, match=r'cache\.lan.* is not in the catalogue.* an upstream: docker\.io, gcr\.io, ghcr\.io, quay\.io'):
        hosts('cache.lan')


def test_parameters() -> None:
    name = '{aliyun_id}.mirror.aliyuncs.com'
    assert name not in hosts('docker.io', states=['restricted'])
    entries = find(['docker.io'], ['restricted'], ['alibaba_cloud'], ['allow_list'], {'aliyun_id': 'A1b2'})
    assert [as_mirror(entry, {'aliyun_id': 'A1b2'}) for entry in entries] == [
        {'url': 'https://a1b2.mirror.aliyuncs.com', 'trust': 'content', 'third_party': True}
    ]
    with pytest.raises(ConfigError, match=r'one host for each account. Give parameters: {aliyun_id: YOURS}'):
        as_mirror(find([name])[0])
    with pytest.raises(ConfigError, match='as in the name of a host'):
        as_mirror(find([name])[0], {'aliyun_id': 'a.b/c'})
    with pytest.raises(ConfigError, match=r"'tencent_id' is no parameter of the catalogue. Known: aliyun_id"):
        find(['docker.io'], parameters={'tencent_id': 'x'})


def test_rows() -> None:
    row = as_row(find(['docker.1ms.run'])[0])
    assert row['url'] == 'https://docker.1ms.run'
    assert row['evidence'][1] == {'source': 'github.com/dongyubin/DockerHub', 'date': '2026-06-13', 'text': 'works'}
    assert as_row(find(['docker.io'], ['not_a_mirror'])[0])['url'] == ''
    aliyun = next(entry for entry in ENTRIES if entry.parameter)
    assert as_row(aliyun)['url'] == ''
    assert as_row(aliyun, {'aliyun_id': 'x1'})['url'] == 'https://x1.mirror.aliyuncs.com'


def test_a_mirror_may_be_asked_to_resolve_tags_on_demand_only() -> None:
    entry = find(['docker.1ms.run'])[0]
    assert parse_mirror(as_mirror(entry)).trust == 'content'
    assert parse_mirror(as_mirror(entry, trust='resolve')).trust == 'resolve'
    assert parse_mirror(as_mirror(entry)).third_party is True
