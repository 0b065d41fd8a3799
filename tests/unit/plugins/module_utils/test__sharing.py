# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._sharing import (
    direct_no_proxy,
    mirror_urls,
    mirrors_for_daemon,
    probe_representative,
    probe_request_key,
    results_of,
    shared_probe,
)

A, B, C = 'https://a.example', 'https://b.example', 'http://10.0.0.5:5000'
PROXIES = {'http_proxy': 'http://proxy.lan:7890', 'https_proxy': 'http://proxy.lan:7890'}


class CountingVars(t.Dict[str, t.Any]):
    """Stands for hostvars: counts how often a host's variables are read, which is what costs time."""

    reads = 0

    def __getitem__(self, name: str) -> t.Any:
        self.reads += 1
        return super().__getitem__(name)


def test_results_of_takes_the_list_or_the_whole() -> None:
    assert results_of([{'url': A}]) == results_of({'results': [{'url': A}], 'changed': False}) == [{'url': A}]


@pytest.mark.parametrize('value', [None, 'text', {'changed': False}, ['https://a.example'], {'results': 'x'}])
def test_results_of_refuses(value: t.Any) -> None:
    with pytest.raises(ConfigError, match='the results of registry_mirror_probe are expected'):
        results_of(value)


def test_mirror_urls() -> None:
    assert mirror_urls([A, {'url': B, 'trust': 'content'}, 'https://A.example:443/']) == [A, B]
    assert mirror_urls(None) == []


def test_mirrors_for_daemon_keeps_what_the_user_said() -> None:
    mirrors = [A, {'url': B, 'third_party': True, 'ca_path': None}, {'url': A + '/', 'trust': 'content'}]
    assert mirrors_for_daemon(mirrors, ['https://B.example/', A, B]) == [{'url': B, 'third_party': True}, {'url': A}]
    assert mirrors_for_daemon(mirrors, []) == []


def test_mirrors_for_daemon_refuses_a_stranger_without_showing_its_password() -> None:
    with pytest.raises(ConfigError, match='none of the mirrors') as caught:
        mirrors_for_daemon([A], ['https://bob:s3cret@c.example'])
    assert 's3cret' not in str(caught.value)


NO_PROXY: list[tuple[str, t.Any, list[t.Any], list[dict[str, t.Any]], dict[str, t.Any], list[str]]] = [
    ('direct joins', ['*.cn'], [A, B], [{'url': A + '/', 'route': 'direct'}, {'url': B, 'route': 'proxy'}], PROXIES, ['*.cn', 'a.example']),
    ('only what is used', [], [B], [{'url': A, 'route': 'direct'}], PROXIES, []),
    ('covered already', ['a.example'], [A], [{'url': A, 'route': 'direct'}], PROXIES, ['a.example']),
    ('covered by its domain', ['.example'], [A], [{'url': A, 'route': 'direct'}], PROXIES, ['.example']),
    ('private address', [], [C], [], PROXIES, ['10.0.0.5']),
    ('private address covered', ['10.0.0.0/8'], [C], [], PROXIES, ['10.0.0.0/8']),
    ('private address reached by the proxy', [], [C], [{'url': C, 'route': 'proxy'}], PROXIES, []),
    ('private IPv6', [], ['http://[fd00::1]:5000'], [], PROXIES, ['fd00::1']),
    ('public address', [], ['http://8.8.8.8'], [], PROXIES, []),
    ('loopback needs no entry', [], ['http://127.0.0.1:5000'], [], PROXIES, []),
    ('no proxy at all', ['x.example'], [A, C], [{'url': A, 'route': 'direct'}], {}, ['x.example']),
    ('no proxy for this scheme', [], [A], [{'url': A, 'route': 'direct'}], {'http_proxy': 'http://proxy.lan:1'}, []),
    ('text and doubles', 'x.example, y.example,x.example', [], [], PROXIES, ['x.example', 'y.example']),
    ('none given', None, [{'url': A}], [{'url': A, 'route': 'direct'}], PROXIES, ['a.example']),
]


@pytest.mark.parametrize(('name', 'given', 'mirrors', 'results', 'proxies', 'expected'), NO_PROXY, ids=[case[0] for case in NO_PROXY])
def test_direct_no_proxy(
    name: str, given: t.Any, mirrors: list[t.Any], results: list[dict[str, t.Any]], proxies: dict[str, t.Any], expected: list[str]
) -> None:
    assert direct_no_proxy(given, mirrors, results, proxies) == expected
    assert direct_no_proxy(direct_no_proxy(given, mirrors, results, proxies), mirrors, results, proxies) == expected


REQUEST = {'upstream': 'docker.io', 'mirrors': [A, {'url': B, 'headers': {'X': 's3cret'}}], 'proxy': 'http://bob:s3cret@proxy.lan:1', 'deadline': 5}


def test_request_key_is_short_and_stable() -> None:
    key = probe_request_key(REQUEST)
    assert key == probe_request_key(dict(reversed(list(REQUEST.items()))))
    assert len(key) == 16
    assert int(key, 16) >= 0


@pytest.mark.parametrize('change', [{'deadline': 6}, {'mirrors': [A]}, {'upstream': 'quay.io'}, {'proxy': None}, {'site': 'berlin'}])
def test_request_key_tells_requests_apart(change: dict[str, t.Any]) -> None:
    assert probe_request_key({**REQUEST, **change}) != probe_request_key(REQUEST)


def test_request_key_holds_no_secret() -> None:
    other = {**REQUEST, 'mirrors': [A, {'url': B, 'headers': {'X': 'other'}}], 'proxy': 'http://alice:other@proxy.lan:1'}
    assert probe_request_key(other) == probe_request_key(REQUEST)
    with pytest.raises(ConfigError, match='a dict is expected'):
        probe_request_key([])


FOUND = {'results': [{'url': A, 'ok': True}], 'changed': False}
HELD: list[tuple[str, t.Any, bool]] = [
    ('by key', {'k1': FOUND}, True),
    ('names its key', {**FOUND, 'key': 'k1'}, True),
    ('loop over keys', {'results': [{**FOUND, 'item': 'k1'}]}, True),
    ('loop over dicts', {'results': [{**FOUND, 'item': {'key': 'k2'}}, {**FOUND, 'item': {'key': 'k1'}}]}, True),
    ('no mirrors were listed', {'k1': {'results': []}}, True),
    ('another key', {'k2': FOUND}, False),
    ('failed', {'k1': {**FOUND, 'failed': True}}, False),
    ('unreachable', {'k1': {'unreachable': True}}, False),
    ('skipped', {'results': [{'skipped': True, 'item': 'k1'}]}, False),
    ('without results', {'k1': {'msg': 'x'}}, False),
    ('results of something else', {'k1': {'results': ['x']}}, False),
    ('not a dict', ['k1'], False),
    ('empty', {}, False),
]


@pytest.mark.parametrize(('name', 'held', 'usable'), HELD, ids=[case[0] for case in HELD])
def test_shared_probe(name: str, held: t.Any, usable: bool) -> None:
    found = shared_probe({'h1': {'__registry_access_probes': held}}, ['h1'], 'k1')
    assert found.get('host', '') == ('h1' if usable else '')
    assert bool(found) == usable


def test_shared_probe_passes_over_and_stops_early() -> None:
    hostvars = CountingVars(h1={}, h2={'p': {'k': {'failed': True}}}, h3={'p': {'k': FOUND}}, h4={'p': {'k': FOUND}})
    assert shared_probe(hostvars, ['gone', 'h1', 'h2', 'h3', 'h4'], 'k', variable='p') == {**FOUND, 'host': 'h3'}
    assert hostvars.reads == 3
    assert shared_probe(hostvars, [], 'k') == {}


def test_probe_representative() -> None:
    hostvars = CountingVars(h1={'site': 'a'}, h2={'site': 'b'}, h3={'site': 'b'}, h4={})
    hosts = list(hostvars)
    assert probe_representative(hosts) == 'h1'
    assert probe_representative(hosts, skip=['h1']) == 'h2'
    assert probe_representative(hosts, hostvars, 'b', 'site') == 'h2'
    assert probe_representative(hosts, hostvars, 'b', 'site', ['h2']) == 'h3'
    assert probe_representative(hosts, hostvars, 'b', 'site', ['h2', 'h3']) == ''
    assert probe_representative(hosts, hostvars, '', 'site') == 'h4'
    assert probe_representative([]) == ''
