# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _access, _report
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError


@pytest.mark.parametrize(
    'run_tags, skip_tags, expected',
    [
        (['all'], [], ['mirrors', 'proxies', 'settings', 'auths']),
        (['my-own-tag'], [], ['mirrors', 'proxies', 'settings', 'auths']),
        (['mirrors'], [], ['mirrors']),
        (['proxies', 'apply'], [], ['proxies']),
        (['all'], ['proxies'], ['mirrors', 'settings', 'auths']),
        (['mirrors', 'proxies'], ['mirrors'], ['proxies']),
        (['refresh'], [], ['refresh']),
        (['auths', 'refresh'], [], ['auths', 'refresh']),
        (['all'], ['refresh'], ['mirrors', 'proxies', 'settings', 'auths']),
    ],
)
def test_parts_in_run(run_tags: list[str], skip_tags: list[str], expected: list[str]) -> None:
    assert _access.parts_in_run(run_tags, skip_tags) == expected


@pytest.mark.parametrize(
    'mirrors, message',
    [
        (['https://a.example'], 'a dict of upstreams is expected'),
        ({'docker.io': 'https://a.example'}, 'takes a list'),
        ({'docker.io': [{'url': 'https://a.example', 'colour': 'red'}]}, "unknown key 'colour'"),
        ({'docker.io': ['a.example']}, 'no scheme'),
        ({'docker.io': ['https://me:secret@a.example']}, 'user or password'),
    ],
)
def test_candidates_refuse(mirrors: t.Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        _access.candidates(mirrors, 'docker.io')
    assert 'secret' not in str(caught.value)


def test_candidates_from_the_catalogue_stand_behind_and_belong_to_their_upstream() -> None:
    rows = [{'url': 'https://b.example', 'upstream': 'docker.io'}, {'url': 'https://q.example', 'upstream': 'quay.io'}]
    listed = _access.candidates({'docker.io': ['https://a.example']}, 'docker.io', rows)
    assert listed == ['https://a.example', {'url': 'https://b.example', 'trust': 'content', 'third_party': True}]
    assert _access.candidates(None, 'docker.io') == []


@pytest.mark.parametrize(
    'mirrors, managed',
    [
        (None, False),
        ({}, True),
        ({'docker.io': []}, True),
        ({'quay.io': ['https://q.example']}, False),
        ({'docker.io': ['https://a.example']}, True),
    ],
)
def test_left_out_is_left_alone_and_empty_takes_away(mirrors: dict[str, t.Any] | None, managed: bool) -> None:
    assert _access.is_managed(mirrors, _access.candidates(mirrors, 'docker.io')) is managed


def test_images_belong_to_their_upstream() -> None:
    images = ['nginx', 'library/busybox:1', 'quay.io/prometheus/busybox:latest', 'docker.io/library/alpine', 'localhost/x', 'cache.lan:5000/y']
    assert _access.images_of(images, 'docker.io') == ['nginx', 'library/busybox:1', 'library/alpine']
    assert _access.images_of(images, 'quay.io') == ['prometheus/busybox:latest']
    assert _access.registries_of(images) == ['docker.io', 'quay.io', 'localhost', 'cache.lan:5000']


GOOD = {'url': 'https://good.example', 'ok': True, 'state': 'ok', 'latency_ms': 10, 'throughput_bps': 1e7}
DEAD = {'url': 'https://dead.example', 'ok': False, 'state': 'timeout', 'reason': 'nothing came back'}
LISTED = ['https://dead.example', {'url': 'https://good.example', 'third_party': True}]


def test_choose_takes_what_serves_and_keeps_what_the_user_said_of_it() -> None:
    choice = _access.choose(LISTED, [DEAD, GOOD])
    assert choice == {
        'mirrors': [{'url': 'https://good.example', 'third_party': True}],
        'alive': True,
        'reasons': ['https://dead.example: nothing came back'],
        'unusable': [],
    }


@pytest.mark.parametrize('results', [[], [DEAD]])
def test_choose_without_a_living_mirror_says_so(results: list[dict[str, t.Any]]) -> None:
    choice = _access.choose(LISTED, results)
    assert choice['alive'] is False
    assert choice['reasons']


def test_choose_without_probing_takes_the_list() -> None:
    assert [mirror['url'] for mirror in _access.choose(LISTED, None)['mirrors']] == ['https://dead.example', 'https://good.example']


def test_choose_with_nothing_listed_is_no_outage() -> None:
    assert _access.choose([], []) == {'mirrors': [], 'alive': True, 'reasons': [], 'unusable': []}


RELOAD, RESTART = 'Reload Docker for registry_access', 'Restart Docker for registry_access'


def plan(action: str, *, blockers: tuple[str, ...] = (), reload_keys: tuple[str, ...] = ()) -> dict[str, t.Any]:
    return {
        'plan': {
            'action': action,
            'reasons': [f'because of {action}'],
            'reload_keys': list(reload_keys),
            'blockers': list(blockers),
            'blocked_because': [f'{name} stands in the way' for name in blockers],
        }
    }


@pytest.mark.parametrize(
    'written, restart, first, handler, pending',
    [
        ([plan('none'), {}], 'auto', False, '', []),
        ([{'skipped': True}, plan('reload')], 'never', False, RELOAD, []),
        ([plan('restart')], 'auto', False, RESTART, []),
        ([plan('restart', blockers=('swarm',))], 'auto', False, '', ['swarm stands in the way']),
        ([plan('restart', blockers=('swarm',), reload_keys=('registry-mirrors',))], 'auto', False, RELOAD, ['swarm stands in the way']),
        ([plan('restart', blockers=('swarm',))], 'always', False, RESTART, []),
        ([plan('restart')], 'never', False, '', ['Restarts are not allowed (restart: never).']),
        ([plan('restart', blockers=('live_restore',))], 'auto', True, RESTART, []),
        ([plan('reload'), plan('restart', blockers=('dependents',))], 'auto', False, '', ['dependents stands in the way']),
        ([{}, {'skipped': True}], 'auto', False, '', []),
        ([plan('none'), {'plan': {'action': 'none', 'interrupted': True}}], 'never', False, RESTART, []),
    ],
)
def test_next_step(written: list[dict[str, t.Any]], restart: str, first: bool, handler: str, pending: list[str]) -> None:
    step = _access.next_step(written, restart, first)
    assert (step['handler'], step['pending']) == (handler, pending)


@pytest.mark.parametrize(
    'auths, expected',
    [
        ([], False),
        ([{'registry': 'quay.io'}], False),
        ([{'registry': 'docker.io'}], True),
        ([{'registry': 'https://index.docker.io/v1/'}], True),
        ([{'registry': 'docker.io', 'state': 'absent'}], False),
    ],
)
def test_gives_hub_login(auths: list[dict[str, str]], expected: bool) -> None:
    assert _access.gives_hub_login(auths) is expected


PROXIES = {'http_proxy': 'http://proxy.example:3128', 'no_proxy': ['*.cn']}
CACHE, FAR = 'http://cache.example:5000', 'http://far.example'


@pytest.mark.parametrize(
    'results, in_force, joined',
    [
        ([{'url': CACHE, 'ok': True, 'route': 'direct'}, {'url': FAR, 'ok': True, 'route': 'proxy'}], '', ['cache.example']),
        ([{'url': CACHE, 'ok': False, 'route': 'direct'}, {'url': FAR, 'ok': True, 'route': 'proxy'}], '', []),
        ([{'url': CACHE, 'ok': False, 'route': 'direct'}, {'url': FAR, 'ok': False}], '*.cn,cache.example', ['cache.example']),
        ([{'url': CACHE, 'ok': True, 'route': 'proxy'}], '*.cn,cache.example', []),
        ([], '*.cn, cache.example', ['cache.example']),
    ],
    ids=['reached directly', 'not reached', 'an outage changes nothing', 'now behind the proxy', 'not probed'],
)
def test_mirrors_reached_without_the_proxy_join_no_proxy(results: list[dict[str, t.Any]], in_force: str, joined: list[str]) -> None:
    wanted = _access.proxies_with_direct(PROXIES, [{'url': CACHE}, FAR], results, in_force)
    assert wanted == {'http_proxy': 'http://proxy.example:3128', 'no_proxy': ['*.cn', *joined]}


def test_no_proxies_stay_none() -> None:
    assert _access.proxies_with_direct({}, [CACHE]) == {}


def test_summary_tells_hosts_apart() -> None:
    told = _access.summary({'a': {}, 'b': {'__registry_access_engines': {'engines': {}}}, 'c': {'__registry_access_engines': {'unreachable': True}}})
    assert [told['hosts'][host]['skipped'] for host in ('a', 'b', 'c')] == ['not reached', 'no engine', 'unreachable']


def test_summary_of_a_rollout_tells_who_failed_and_who_was_not_begun() -> None:
    lost = {'__registry_access_engines': {'unreachable': True, 'msg': 'No route.'}, '__registry_access_failed': {'failed': True, 'msg': 'No route.'}}
    told = _access.summary({
        'wrong': {'__registry_access_failed': {'failed': True, 'msg': 'A variable is wrong.'}},
        'later': {'__registry_access_held_back': {'because': ['wrong']}, '__registry_access_failed': {}},
        'lost': lost,
        'midway': {'__registry_access_engines': ENGINES, '__registry_access_config': {'unreachable': True, 'msg': 'Timed out.'}},
        'well': {'__registry_access_engines': ENGINES, '__registry_access_failed': {}, '__registry_access_held_back': {}},
    })
    report = _report.as_data(told)
    assert report['hosts']['wrong']['failures'] == ['A variable is wrong.']
    assert report['hosts']['midway']['failures'] == ['The host could not be reached any more: Timed out.']
    assert report['hosts']['lost']['warnings'] == ['Unreachable: No route.']
    assert {name: count for name, count in report['summary'].items() if count} == {'hosts': 5, 'hosts_failed': 2, 'hosts_unreachable': 1, 'hosts_held_back': 1}
    assert _report.render(told).endswith('5 hosts, 2 failed, 1 unreachable, 1 held back.')


def test_summary_of_a_run_that_only_probed_tells_the_hosts_that_it_lost() -> None:
    probe = {'site': '', 'of': 'docker.io', 'elapsed': 2, 'results': []}
    told = _access.summary({
        'well': {'__registry_access_failed': {}, '__registry_access_probes': {'key': probe}},
        'asked by nobody': {'__registry_access_failed': {}},
        'lost': {'__registry_access_failed': {'unreachable': True, 'msg': 'No route.'}},
        'broken': {'__registry_access_failed': {'failed': True, 'msg': 'There is no Python.'}},
    })
    report = _report.as_data(told)
    assert list(report['hosts']) == ['lost', 'broken']
    assert (report['hosts']['lost']['skipped'], report['hosts']['lost']['warnings']) == ('unreachable', ['Unreachable: No route.'])
    assert report['hosts']['broken']['failures'] == ['There is no Python.']
    assert {name: count for name, count in report['summary'].items() if count} == {'hosts': 2, 'hosts_failed': 1, 'hosts_unreachable': 1}


def test_summary_of_a_run_that_only_finishes() -> None:
    seen = {'__registry_access_engines': ENGINES}
    docker = {'plan': {'action': 'restart', 'restart_keys': ['proxies.http-proxy']}, 'applied': 'none', 'pending': True, 'pending_because': ['Swarm is on.']}
    told = _access.summary({
        'waits': {**seen, '__registry_access_apply': docker, '__registry_access_containerd_apply': {'pending': ['It would stop.']}},
        'said': {**seen, '__registry_access_containerd_pending': {'msg': ['Pending: x.']}, '__registry_access_containerd_apply': {'pending': ['Not twice.']}},
        'nothing': {**seen, '__registry_access_k3s_apply': {'skipped': True}},
    })
    hosts = _report.as_data(told)['hosts']
    assert told['hosts']['waits']['plan']['action'] == 'restart'
    assert hosts['waits']['pending'] == ['Docker: Swarm is on.', 'containerd: It would stop.']
    assert (hosts['said']['pending'], hosts['nothing']['pending']) == (['Pending: x.'], [])
    rke2 = {'__registry_access_engines': {'engines': {'rke2': {'version': '1.30'}}}, '__registry_access_k3s_apply': {'pending': ['It is a server.']}}
    host = _report.as_data(_access.summary({'a': rke2}))['hosts']['a']
    assert (host['pending'], host['engines'][0]['pending']) == (['RKE2: It is a server.'], ['RKE2: It is a server.'])


def test_the_report_of_a_removal_tells_what_stays() -> None:
    logins = [{'path': '/root/.docker/config.json', 'user': 'root', 'registries': ['docker.io', 'quay.io']}]
    sentence = 'The login at docker.io of root stays in /root/.docker/config.json: a removal takes away those alone that registry_access_auths names.'
    named = {'logins': [{'registry': 'quay.io', 'user': 'root', 'state': 'absent', 'changed': True}]}
    record = {'told': ['The record of this host stays.'], 'logins': logins}
    told = _access.summary({
        'some': {'__registry_access_engines': ENGINES, '__registry_access_record': record, '__registry_access_logins': named},
        'none': {'__registry_access_engines': ENGINES, '__registry_access_record': {'logins': logins[:0]}},
        'all': {'__registry_access_engines': ENGINES, '__registry_access_record': {'logins': logins}},
    })
    warnings = {name: host['warnings'] for name, host in told['hosts'].items()}
    assert warnings['some'] == ['The record of this host stays.', sentence]
    assert warnings['none'] == []
    assert warnings['all'][0].startswith('The logins at docker.io, quay.io of root stay in /root/.docker/config.json')


@pytest.mark.parametrize('task', ['__registry_access_none_serves', '__registry_access_kept', '__registry_access_config', '__registry_access_apply'])
def test_a_host_that_failed_is_told_as_failed(task: str) -> None:
    told = _access.summary({'a': {'__registry_access_engines': ENGINES, task: {'failed': True, 'msg': 'Task failed.'}}})
    host = _report.as_data(told)['hosts']['a']
    assert (host['failed'], host['failures'], host['warnings'], host['after']) == (True, ['Task failed.'], [], ['http://old/'])


def test_two_probes_of_equal_mirrors_lead_to_the_same_choice() -> None:
    listed = ['https://a.example', 'https://b.example', 'https://c.example']

    def measured(*latencies: float) -> list[dict[str, t.Any]]:
        return [{'url': url, 'ok': True, 'state': 'ok', 'latency_ms': latency, 'throughput_bps': 1e8} for url, latency in zip(listed, latencies)]

    checked = _access.choose(listed, measured(100, 81, 450))
    assert [mirror['url'] for mirror in checked['mirrors']] == listed
    assert _access.choose(listed, measured(85, 99, 450)) == checked
    assert [mirror['url'] for mirror in _access.choose(listed, measured(450, 100, 90))['mirrors']] == [listed[1], listed[2], listed[0]]


def test_a_docker_that_takes_no_paths_takes_the_rest() -> None:
    listed = ['https://a.example/hub/', 'https://b.example']
    results = [{'url': url, 'ok': True, 'state': 'ok', 'latency_ms': 10, 'throughput_bps': 1e8} for url in listed]
    for seen in (results, None):
        choice = _access.choose(listed, seen, limits=_access.Limits(paths=False))
        assert [mirror['url'] for mirror in choice['mirrors']] == ['https://b.example']
        assert choice['unusable'] == ['https://a.example/hub/: has a path, which Docker takes since 25.0 only.']
    assert _access.choose(listed[:1], results[:1], limits=_access.Limits(paths=False))['alive'] is False


def test_mirrors_that_are_never_written_take_no_place() -> None:
    """Three fast ones that Docker does not get must not push out the one that serves, nor count as a living mirror."""
    own = 'http://cache.example:5000'
    fast: list[t.Any] = [{'url': f'https://fast{number}.example', 'trust': 'content'} for number in range(3)]
    results = [{'url': raw['url'], 'ok': True, 'state': 'ok', 'latency_ms': 1, 'throughput_bps': 1e9} for raw in fast]
    slow = {'url': own, 'ok': True, 'state': 'ok', 'latency_ms': 900, 'throughput_bps': 1e5}
    choice = _access.choose([*fast, own], [*results, slow])
    assert (choice['mirrors'][0], choice['alive'], len(choice['unusable'])) == ({'url': own}, True, 3)
    assert _access.choose(fast, results)['alive'] is False


def test_a_stranger_takes_no_place_where_a_login_would_leak() -> None:
    listed = [{'url': 'https://stranger.example', 'third_party': True}]
    results = [{'url': 'https://stranger.example', 'ok': True, 'state': 'ok', 'latency_ms': 1, 'throughput_bps': 1e9}]
    leaking = {'image_store': 'graphdriver', 'hub_logins': ['/root/.docker/config.json']}
    assert _access.choose(listed, results, limits=_access.limits_of(leaking))['alive'] is False
    assert _access.choose(listed, results, limits=_access.limits_of(leaking, 'allow'))['alive'] is True
    assert _access.choose(listed, results, limits=_access.limits_of({**leaking, 'image_store': 'containerd'}))['alive'] is True
    with pytest.raises(ConfigError, match='42022'):
        _access.choose(listed, results, limits=_access.limits_of(leaking, 'fail'))


@pytest.mark.parametrize('store, takes', [('graphdriver', False), ('', False), ('containerd', True)])
def test_a_challenge_after_the_ping_is_for_the_containerd_store_alone(store: str, takes: bool) -> None:
    results = [{**GOOD, 'notes': ['late_challenge']}]
    choice = _access.choose([GOOD['url']], results, limits=_access.limits_of({'image_store': store}))
    assert (choice['alive'], choice['mirrors'] == [{'url': GOOD['url']}]) == (takes, takes)
    assert len(choice['unusable']) == (0 if takes else 1)
    assert all('asks for a token' in sentence for sentence in choice['unusable'])


@pytest.mark.parametrize(
    'parts, state, expected',
    [
        (['mirrors', 'proxies', 'settings'], 'present', {'state': 'present', 'registry_mirrors': ['m'], 'proxies': {}}),
        (['proxies'], 'present', {'state': 'present', 'proxies': {}}),
        (['settings'], 'present', {'state': 'present'}),
        (['mirrors', 'proxies', 'settings'], 'absent', {'state': 'absent'}),
        (['mirrors'], 'absent', {'state': 'present', 'registry_mirrors': [], 'insecure_registries': []}),
    ],
)
def test_wanted_names_what_the_run_is_about(parts: list[str], state: str, expected: dict[str, t.Any]) -> None:
    assert _access.wanted(parts, state, registry_mirrors=['m'], insecure_registries=None, proxies={}, settings=None) == expected


ENGINES = {'engines': {'docker': {'version': '26.1.5', 'registry_mirrors': ['http://old/']}}}


@pytest.mark.parametrize(
    'variables, after, pending',
    [
        ({'__registry_access_config': {'registry_mirrors': []}, '__registry_access_apply': {'proof': {'ok': True, 'mirrors': []}}}, [], []),
        ({'__registry_access_config': {'registry_mirrors': ['http://new']}, '__registry_access_apply': {'failed': True}}, ['http://old/'], []),
        ({'__registry_access_config': {'skipped': True}}, ['http://old/'], []),
        ({'__registry_access_config': {'registry_mirrors': []}}, [], []),
        ({'__registry_access_pending': {'msg': ['Pending.', 'Swarm.']}}, ['http://old/'], ['Pending.', 'Swarm.']),
        ({'__registry_access_pending': {'skipped': True, 'msg': ['x']}}, ['http://old/'], []),
    ],
)
def test_summary_says_what_is_in_force(variables: dict[str, t.Any], after: list[str], pending: list[str]) -> None:
    host = _access.summary({'a': {'__registry_access_engines': ENGINES, **variables}})['hosts']['a']
    assert (host['before'], host['after'], host['pending']) == (['http://old/'], after, pending)


HUB_LOGIN = {'registry': 'https://index.docker.io/v1/', 'username': 'a', 'password': 'b'}
STRANGER: dict[str, t.Any] = {'url': 'https://stranger.example', 'third_party': True}


@pytest.mark.parametrize(
    'auths, docker, in_force, policy, waits',
    [
        ([HUB_LOGIN], {'image_store': 'graphdriver', 'registry_mirrors': ['https://stranger.example/']}, None, 'drop', True),
        ([HUB_LOGIN], {'image_store': 'graphdriver', 'registry_mirrors': ['https://stranger.example/']}, [], 'drop', False),
        ([HUB_LOGIN], {'image_store': 'graphdriver', 'registry_mirrors': []}, ['https://stranger.example/'], 'fail', True),
        ([HUB_LOGIN], {'image_store': None, 'registry_mirrors': ['https://stranger.example/']}, None, 'drop', True),
        ([HUB_LOGIN], {'image_store': 'containerd', 'registry_mirrors': ['https://stranger.example/']}, None, 'drop', False),
        ([HUB_LOGIN], {'image_store': 'graphdriver', 'registry_mirrors': ['https://stranger.example/']}, None, 'allow', False),
        ([HUB_LOGIN], {'image_store': 'graphdriver', 'registry_mirrors': ['https://own.example/']}, None, 'drop', False),
        ([{**HUB_LOGIN, 'format': 'containers'}], {'image_store': 'graphdriver', 'registry_mirrors': ['https://stranger.example/']}, None, 'drop', False),
        ([{**HUB_LOGIN, 'state': 'absent'}], {'image_store': 'graphdriver', 'registry_mirrors': ['https://stranger.example/']}, None, 'drop', False),
        ([{'registry': 'quay.io'}], {'image_store': 'graphdriver', 'registry_mirrors': ['https://stranger.example/']}, None, 'drop', False),
        ([HUB_LOGIN], {'image_store': 'graphdriver', 'registry_mirrors': ['https://docker.m.daocloud.io/']}, None, 'drop', True),
        ([HUB_LOGIN], {'registry_mirrors': ['https://a.run/'], 'third_party_mirrors': ['https://a.run/']}, None, 'drop', True),
        ([HUB_LOGIN], {'registry_mirrors': ['https://own.example/'], 'third_party_mirrors': ['https://own.example/']}, None, 'drop', False),
        ([HUB_LOGIN], {}, None, 'drop', False),
        ([HUB_LOGIN], {'registry_mirrors': None}, None, 'drop', False),
    ],
)
def test_a_login_waits_while_a_stranger_would_get_it(
    auths: list[dict[str, t.Any]], docker: dict[str, t.Any], in_force: list[str] | None, policy: str, waits: bool
) -> None:
    told = _access.login_leak(auths, docker, [STRANGER, 'https://own.example'], in_force, policy)
    assert bool(told) is waits
    assert not waits or '42022' in told


@pytest.mark.parametrize(
    'limit, hosts, warns',
    [
        (None, 100, False),
        ({'limit': 100, 'remaining': 99, 'window_seconds': 21600, 'source': ''}, 3, False),
        ({'limit': 100, 'remaining': 99, 'window_seconds': 21600, 'source': ''}, 20, True),
        ({'limit': 200, 'remaining': 20, 'window_seconds': 21600, 'source': '192.0.2.7'}, 1, True),
    ],
)
def test_few_pulls_for_many_hosts(limit: dict[str, t.Any] | None, hosts: int, warns: bool) -> None:
    assert bool(_access.rate_limit_warning(limit, hosts)) is warns


def test_all_logins_go_with_the_role() -> None:
    assert _access.logins_wanted([HUB_LOGIN], 'present') == [HUB_LOGIN]
    assert _access.logins_wanted([HUB_LOGIN], 'absent') == [{**HUB_LOGIN, 'state': 'absent'}]
    assert _access.logins_wanted([HUB_LOGIN, {'registry': 'quay.io'}], 'present', 'because') == [{'registry': 'quay.io'}]
    assert _access.client_proxies_wanted({'http_proxy': 'x', 'no_proxy': ['y']}) == {'http_proxy': 'x', 'no_proxy': ['y']}
    assert _access.client_proxies_wanted({'http_proxy': 'x', 'no_proxy': ['y']}, 'absent') == {'http_proxy': '', 'no_proxy': []}


@pytest.mark.parametrize(
    'written, applied, check_mode, expected',
    [
        ([{'registry_mirrors': ['new']}], {'proof': {'mirrors': ['proved']}}, False, ['proved']),
        ([{'registry_mirrors': ['new']}], {'proof': {}}, True, ['new']),
        ([{'registry_mirrors': ['new']}], {'proof': {}}, False, None),
        ([{'registry_mirrors': ['new']}], {}, True, None),
        ([{}], {}, False, None),
    ],
)
def test_mirrors_after_the_apply(written: list[dict[str, t.Any]], applied: dict[str, t.Any], check_mode: bool, expected: list[str] | None) -> None:
    assert _access.mirrors_by_now(written, applied, check_mode) == expected


# Engines beside Docker, and upstreams beside Docker Hub

FOUND = {'docker': {}, 'containerd': {'for_docker_alone': True}, 'podman': {}}


@pytest.mark.parametrize(
    'wanted, looked, configured, absent',
    [
        ('auto', FOUND, ['docker', 'podman'], []),
        ('auto', {**FOUND, 'containerd': {'for_docker_alone': False}}, ['docker', 'containerd', 'podman'], []),
        ('auto', {}, [], []),
        (['podman', 'containerd'], FOUND, ['containerd', 'podman'], []),
        ('containerd', FOUND, ['containerd'], []),
        (['docker', 'podman'], {'podman': {}}, ['podman'], ['docker']),
        ([], FOUND, [], []),
    ],
)
def test_which_engines_are_configured(wanted: t.Any, looked: dict[str, t.Any], configured: list[str], absent: list[str]) -> None:
    assert _access.engines_here(wanted, looked) == {'configured': configured, 'absent': absent}


def test_an_engine_that_nobody_knows() -> None:
    with pytest.raises(ConfigError, match='dokcer is not known'):
        _access.engines_here(['dokcer'], {})


@pytest.mark.parametrize(
    'parts, together',
    [
        ([None, None, None], None),
        ([None, {}, None], {}),
        ([{'docker.io': ['a']}, None, {'docker.io': ['b'], 'quay.io': ['c']}], {'docker.io': ['a', 'b'], 'quay.io': ['c']}),
        ([{'quay.io': ['c']}, {'quay.io': []}], {'quay.io': ['c']}),
    ],
)
def test_mirrors_of_host_site_and_all_add_up(parts: list[t.Any], together: t.Any) -> None:
    assert _access.added_up(*parts) == together


@pytest.mark.parametrize('wrong', [{'docker.io': 'http://a'}, {'docker.io': None}, ['http://a']])
def test_what_cannot_be_added_up(wrong: t.Any) -> None:
    with pytest.raises(ConfigError, match='registry_access_mirrors'):
        _access.added_up(None, wrong)


BY_UPSTREAM = {'docker.io': [CACHE], 'quay.io': [FAR, CACHE], 'ghcr.io': []}


@pytest.mark.parametrize(
    'engines, docker, upstreams',
    [
        (['podman'], {}, ['quay.io']),
        (['docker', 'containerd'], {}, ['quay.io']),
        (['docker'], {'reads_hosts_toml': True}, ['quay.io']),
        (['docker'], {'reads_hosts_toml': False}, []),
        ([], {}, []),
    ],
)
def test_which_other_upstreams_are_probed(engines: list[str], docker: dict[str, t.Any], upstreams: list[str]) -> None:
    assert _access.other_upstreams(BY_UPSTREAM, engines, docker) == upstreams


def serves(url: str, latency: float = 5.0) -> dict[str, t.Any]:
    return {'url': url, 'ok': True, 'state': 'ok', 'latency_ms': latency, 'throughput_bps': 1e7, 'reason': ''}


def dead(url: str) -> dict[str, t.Any]:
    return {'url': url, 'ok': False, 'state': 'unreachable', 'reason': 'Nobody there.'}


def test_each_upstream_is_chosen_by_its_own_probe() -> None:
    results = {'docker.io': [dead(CACHE)], 'quay.io': [dead(FAR), serves(CACHE)]}
    found = _access.choose_upstreams(BY_UPSTREAM, results)
    assert found['upstreams'] == {'quay.io': [{'url': CACHE}], 'ghcr.io': []}
    assert (found['write'], found['unserved']) == (True, ['docker.io'])
    assert len(found['reasons']) == 2 and all('Nobody there' in reason for reason in found['reasons'])


def test_an_outage_empties_nothing() -> None:
    found = _access.choose_upstreams({'docker.io': [CACHE]}, {'docker.io': [dead(CACHE)]})
    assert (found['write'], found['upstreams'], found['unserved']) == (False, {}, ['docker.io'])
    assert not _access.choose_upstreams({'docker.io': [CACHE]}, {})['write'], 'nor does a probe that was not run'


def test_what_is_empty_takes_away_and_what_is_left_out_leaves_alone() -> None:
    assert _access.choose_upstreams({}, {}) == {'write': True, 'upstreams': {}, 'unserved': [], 'reasons': []}
    assert _access.choose_upstreams(None, {})['write'] is False
    assert _access.choose_upstreams(BY_UPSTREAM, None, without=['docker.io'])['upstreams'] == {'quay.io': [{'url': FAR}, {'url': CACHE}], 'ghcr.io': []}
    assert _access.choose_upstreams({'docker.io': [CACHE]}, None, without=['docker.io'])['write'] is False


def test_what_an_engine_has_keeps_its_place() -> None:
    results = {'quay.io': [serves(FAR, 10), serves(CACHE, 9)]}
    found = _access.choose_upstreams({'quay.io': [FAR, CACHE]}, results, {'quay.io': [CACHE, FAR]})
    assert [one['url'] for one in found['upstreams']['quay.io']] == [CACHE, FAR]


def test_the_report_tells_what_each_engine_has() -> None:
    looked = {'engines': {'podman': {'version': '5.4.2', 'mirrors': {'quay.io': ['http://old']}}, 'containerd': {'version': '1.7', 'for_docker_alone': False}}}
    told = _access.summary({
        'a': {
            '__registry_access_engines': looked,
            '__registry_access_podman_written': {
                'files': [
                    {'upstream': 'quay.io', 'mirrors': [CACHE], 'changed': True},
                    {'upstream': 'quay.io', 'mirrors': None, 'changed': True},
                ],
                'validated_by': 'podman',
                'left_out': [{'because': 'This one not.'}],
            },
            '__registry_access_containerd_written': {'files': [{'upstream': 'docker.io', 'mirrors': [CACHE], 'changed': True}], 'left_out': ['Nor that.']},
            '__registry_access_containerd_apply': {'changed': True, 'proved': True, 'action': 'restart'},
            '__registry_access_logins': {'logins': [{'registry': 'quay.io', 'username': 'a', 'user': 'bob', 'state': 'present', 'changed': True}]},
        }
    })['hosts']['a']
    assert told['upstreams'] == [
        {'engine': 'containerd 1.7', 'upstream': 'docker.io', 'before': [], 'after': [CACHE], 'proof': 'restarted, proved'},
        {'engine': 'Podman 5.4.2', 'upstream': 'quay.io', 'before': ['http://old'], 'after': [CACHE], 'proof': 'read by podman'},
    ]
    assert told['warnings'] == ['Nor that.', 'This one not.']
    assert told['logins'] == ['a at quay.io, for bob: logged in.']


def engines_of(found: dict[str, t.Any], **left: t.Any) -> list[tuple[t.Any, ...]]:
    told = _access.summary({'a': {'__registry_access_engines': {'engines': found}, **{f'__registry_access_{name}': value for name, value in left.items()}}})
    engines = _report.as_data(told)['hosts']['a']['engines']
    return [(one['engine'], one['version'], one['plan'], one['applied'], one['proved'], one['pending']) for one in engines]


WAS = 'http://old/'
NEEDS_RESTART: dict[str, t.Any] = {'action': 'restart', 'reasons': ['It reads that when it starts.']}


def test_the_report_tells_of_each_engine_what_became_of_its_plan() -> None:
    found = {
        'k3s': {'version': '1.30'}, 'podman': {'version': '5.4.2'}, 'crio': {'version': '1.34.1'}, 'containerd': {'version': '1.7.24'},
        'docker': {'version': '26.1.5', 'registry_mirrors': []},
    }  # fmt: skip
    assert engines_of(
        found,
        config={'plan': {'action': 'reload'}},
        apply={'applied': 'reload', 'proof': {'ok': True}},
        containerd_written={'plan': NEEDS_RESTART},
        containerd_apply={'changed': True, 'action': 'restart', 'proved': True, 'pending': [], 'plan': NEEDS_RESTART},
        podman_written={'plan': {'action': 'reload'}},
        crio_apply={'changed': True, 'action': 'reload', 'proved': False, 'pending': []},
        k3s_apply={'changed': False, 'action': 'none', 'proved': False, 'pending': ['It is a server.'], 'plan': NEEDS_RESTART},
    ) == [
        ('Docker', '26.1.5', 'reload', 'reload', True, []),
        ('containerd', '1.7.24', 'restart', 'restart', True, []),
        ('Podman', '5.4.2', '', '', None, []),
        ('CRI-O', '1.34.1', 'reload', 'reload', False, []),
        ('K3s', '1.30', 'restart', 'none', None, ['K3s: It is a server.']),
    ]


def test_an_engine_that_failed_was_not_proved() -> None:
    docker, containerd = engines_of({'containerd': {'version': '2.0'}, 'docker': {}}, apply={'failed': True}, containerd_apply={'unreachable': True})
    assert (docker[3:5], containerd[3:5]) == (('', False), ('', False))


def test_engines_that_nobody_pulls_through_are_left_out() -> None:
    aside = {'docker': {'version': '28'}, 'containerd': {'version': '1.7', 'for_docker_alone': True}, 'podman': {'version': ''}, 'crio': {'version': '1.34'}}
    assert [one[0] for one in engines_of(aside)] == ['Docker', 'CRI-O']
    assert [one[0] for one in engines_of(aside, containerd_written={'plan': {'action': 'none'}})] == ['Docker', 'containerd', 'CRI-O']
    assert [one[0] for one in engines_of({'rke2': {'version': '1'}}, k3s_apply={'action': 'none'}, containerd_apply={'skipped': True})] == ['RKE2']


def test_a_host_without_docker_is_told_by_what_it_has() -> None:
    variables = {
        '__registry_access_engines': {'engines': {'containerd': {'version': '1.7.24'}}},
        '__registry_access_containerd_written': {'plan': NEEDS_RESTART, 'files': []},
        '__registry_access_containerd_apply': {'changed': True, 'action': 'restart', 'proved': True, 'plan': NEEDS_RESTART},
    }
    report = _report.as_data(_access.summary({'a': variables}))
    assert report['summary']['hosts_proved'] == 1
    host = report['hosts']['a']
    assert (host['plan'], host['plan_reasons'], host['applied'], host['proved']) == ('restart', NEEDS_RESTART['reasons'], 'restart', True)
    assert _report.proof_words(host) == ['restarted, proved']


def test_in_check_mode_the_report_says_what_would_be_done() -> None:
    files = [{'upstream': 'quay.io', 'mirrors': [CACHE], 'changed': True}]
    variables = {
        '__registry_access_engines': {'engines': {'docker': {'version': '28', 'registry_mirrors': []}, 'k3s': {'version': '1'}, 'podman': {'version': '5'}}},
        '__registry_access_config': {'plan': {'action': 'reload'}, 'registry_mirrors': [CACHE]},
        '__registry_access_apply': {'applied': 'reload', 'proof': {}},
        '__registry_access_k3s_written': {'plan': NEEDS_RESTART, 'files': files},
        '__registry_access_k3s_apply': {'changed': True, 'action': 'restart', 'proved': False},
        '__registry_access_podman_written': {'files': files, 'validated_by': 'podman'},
        '__registry_access_logins': {'logins': [{'registry': 'quay.io', 'state': 'present', 'changed': True}]},
    }
    told = _access.summary({'a': variables}, check_mode=True)
    host = told['hosts']['a']
    assert [one['proof'] for one in host['upstreams']] == ['would be written', 'would restart']
    assert host['logins'] == ['quay.io, for root: would be logged in.']
    report = _report.as_data(told)
    assert (report['check_mode'], report['hosts']['a']['applied'], report['summary']['hosts_proved']) == (True, '', 0)
    assert _report.proof_words(report['hosts']['a']) == ['would restart']


@pytest.mark.parametrize('apply, docker, k3s', [
    ({'applied': 'none', 'action': 'none', 'changed': False}, [WAS], [WAS]),
    ({'applied': 'reload', 'proof': {'ok': True, 'mirrors': [CACHE]}, 'action': 'restart', 'changed': True, 'proved': True}, [CACHE], None),
    ({}, [WAS], [WAS]),
])  # fmt: skip
def test_what_waits_for_its_daemon_is_not_in_force(apply: dict[str, t.Any], docker: list[str], k3s: list[str] | None) -> None:
    variables = {
        '__registry_access_engines': {'engines': {'docker': {'registry_mirrors': [WAS]}, 'k3s': {'mirrors': {'quay.io': [WAS]}}, 'podman': {'version': '5'}}},
        '__registry_access_config': {'plan': {'action': 'reload'}, 'registry_mirrors': [CACHE]},
        '__registry_access_apply': apply,
        '__registry_access_k3s_written': {'plan': NEEDS_RESTART, 'files': [{'upstream': 'quay.io', 'mirrors': [CACHE], 'changed': True}]},
        '__registry_access_k3s_apply': apply,
        # The plan is for a CRI-O; Podman reads them at once.
        '__registry_access_podman_written': {'plan': {'action': 'reload'}, 'files': [{'upstream': 'quay.io', 'mirrors': [CACHE], 'changed': True}]},
    }
    host = _access.summary({'a': variables})['hosts']['a']
    assert host['in_force'] == docker
    assert [one.get('in_force') for one in host['upstreams']] == [None, k3s]


def test_a_login_that_was_refused_is_told_as_no_login_that_was_written() -> None:
    refused = {'failed': True, 'msg': 'quay.io refuses the login of a.', 'logins': [{'registry': 'quay.io', 'state': 'present', 'changed': True}]}
    told = _access.summary({'a': {'__registry_access_engines': {'engines': {}}, '__registry_access_logins': refused}})['hosts']['a']
    assert told['logins'] == []
    assert told['apply']['msg'] == 'quay.io refuses the login of a.'


def test_the_report_tells_of_crio_what_became_of_its_reload() -> None:
    looked = {'engines': {'podman': {'version': '', 'mirrors': {'quay.io': ['http://old']}}, 'crio': {'version': '1.34.1'}}}
    written = {'files': [{'upstream': 'quay.io', 'mirrors': [CACHE], 'changed': True}]}
    for apply, proof in (({'changed': True, 'proved': True, 'action': 'reload'}, 'reloaded, proved'), ({'changed': True, 'action': 'reload'}, 'a reload'),
                         ({'failed': True}, 'FAILED'), ({}, 'written')):
        variables = {'__registry_access_engines': looked, '__registry_access_podman_written': written, '__registry_access_crio_apply': apply}
        assert _access.summary({'a': variables})['hosts']['a']['upstreams'] == [
            {'engine': 'CRI-O 1.34.1', 'upstream': 'quay.io', 'before': ['http://old'], 'after': [CACHE], 'proof': proof}
        ]


def test_a_project_of_a_registry_is_none_of_dockers_mirrors() -> None:
    project = 'https://harbor.example/v2/hub'
    found = _access.choose([project, CACHE], [serves(project), serves(CACHE)])
    assert [one['url'] for one in found['mirrors']] == [CACHE]
    assert 'project' in found['unusable'][0]


def test_where_only_strangers_serve_the_ways_out_are_told() -> None:
    limits = _access.Limits(image_store='graphdriver', hub_login=True)
    found = _access.choose([STRANGER], [serves(STRANGER['url'])], limits=limits)
    assert not found['alive']
    assert any('Three ways out' in reason for reason in found['reasons'])


def test_docker_is_given_no_mirror_that_wants_headers() -> None:
    headed: dict[str, t.Any] = {'url': 'https://worker.example', 'headers': {'Authorization': 'Basic x'}}
    for results in (None, [serves(headed['url'], 1), serves(CACHE, 60)]):
        found = _access.choose([headed, CACHE], results)
        assert [one['url'] for one in found['mirrors']] == [CACHE] and found['alive']
        assert found['unusable'] == ['https://worker.example: wants headers, such as a login of its own, which Docker sends no registry-mirror.']
        assert not _access.choose([headed], results and results[:1])['alive']


def test_what_podman_cannot_use_takes_no_place_of_what_serves() -> None:
    """Those with a path or headers are handed on behind, for the module to say why they are left out."""
    below = 'https://fast.example/hub'
    headed: dict[str, t.Any] = {'url': 'https://faster.example', 'headers': {'a': 'b'}}
    listed = {'quay.io': [below, headed, FAR, CACHE]}
    results = {'quay.io': [serves(below, 1), serves(headed['url'], 1), serves(FAR, 50), serves(CACHE, 60)]}
    found = _access.choose_upstreams(listed, results, policy={'max': 2}, engine='podman')
    assert [one['url'] for one in found['upstreams']['quay.io']] == [FAR, CACHE, below, headed['url']]
    alone = _access.choose_upstreams({'quay.io': [below]}, {'quay.io': [serves(below)]}, engine='podman')
    assert (alone['unserved'], [one['url'] for one in alone['upstreams']['quay.io']]) == ([], [below])
    assert [one['url'] for one in _access.choose_upstreams(listed, results, policy={'max': 1})['upstreams']['quay.io']] == [below]


@pytest.mark.parametrize('engine', ['k3s', 'buildkit'])
def test_where_every_mirror_says_what_a_tag_means_one_of_content_takes_no_place(engine: str) -> None:
    content = {'url': 'https://fast.example', 'trust': 'content'}
    results = {'quay.io': [serves(content['url'], 1), serves(FAR, 50)]}
    found = _access.choose_upstreams({'quay.io': [content, FAR]}, results, policy={'max': 1}, engine=engine)
    assert [one['url'] for one in found['upstreams']['quay.io']] == [FAR, content['url']]
    none = _access.choose_upstreams({'quay.io': [content]}, results, engine=engine)
    assert (none['write'], none['unserved'], [one['url'] for one in none['upstreams']['quay.io']]) == (True, [], [content['url']])


def test_podman_knows_a_mirror_by_its_location() -> None:
    insecure: dict[str, t.Any] = {'url': 'https://self-signed.example:8443', 'insecure': True}
    results = {'quay.io': [serves(FAR, 10), serves(insecure['url'], 9)]}
    found = _access.choose_upstreams({'quay.io': [FAR, insecure]}, results, {'quay.io': ['http://self-signed.example:8443', FAR]}, engine='podman')
    assert [one['url'] for one in found['upstreams']['quay.io']] == [insecure['url'], FAR]


def test_summary_has_a_row_for_each_user_who_was_given_files() -> None:
    def result(user: str, changed: bool, **more: t.Any) -> dict[str, t.Any]:
        files = [{'upstream': 'quay.io', 'path': f'/home/{user}/f', 'mirrors': ['a.lan'], 'changed': changed}]
        return {'ansible_loop_var': '__registry_access_user', '__registry_access_user': user, 'changed': changed, 'files': files, **more}

    looked = {'engines': {'podman': {'version': '5.4.2'}}}
    left = {
        '__registry_access_engines': looked,
        '__registry_access_podman_written_for_users': {'results': [result('alice', True, validated_by='podman')]},
        '__registry_access_buildkit_written': {
            'results': [result('ci', False, left_out=['left'], warnings=['old core']), {**result('bob', True), 'skipped': True}], 'warnings': ['new core'],
        },
    }  # fmt: skip
    host = _access.summary({'h': left})['hosts']['h']
    assert [(row['engine'], row['before'], row['after'], row['proof']) for row in host['upstreams']] == [
        ('Podman of alice', [], ['a.lan'], 'read by podman'),
        ('BuildKit of ci', ['a.lan'], ['a.lan'], 'nothing to do'),
    ]
    assert host['warnings'] == ['old core', 'new core', 'left']


def test_summary_of_a_host_where_only_a_user_was_given_files() -> None:
    def summary(**written: t.Any) -> t.Any:
        return _access.summary({'h': {'__registry_access_engines': {'engines': {}}, '__registry_access_buildkit_written': written}})['hosts']['h']

    row = {'ansible_loop_var': 'u', 'u': 'ci', 'changed': True, 'files': [{'upstream': 'quay.io', 'path': '/f', 'mirrors': ['a.lan'], 'changed': True}]}
    assert [one['engine'] for one in summary(results=[row])['upstreams']] == ['BuildKit of ci']
    failed = summary(failed=True, msg='One or more items failed', results=[row, {'ansible_loop_var': 'u', 'u': 'bob', 'failed': True, 'msg': 'no such user.'}])
    assert failed['apply']['msg'] == 'bob: no such user.'


MINE = {'url': 'https://m.lan', 'ca_path': '/ca.pem'}


@pytest.mark.parametrize('mirrors, ours, state, write', [
    (None, [], 'present', False),
    (None, ['/x'], 'present', False),  # where the mirrors stay, so do their certificates
    (['http://m.lan', {**MINE, 'url': 'http://m.lan:1'}], [], 'present', False),
    ([], ['/x'], 'present', True),
    ([MINE], [], 'present', True),
    ([MINE], [], 'absent', False),
    (None, ['/x'], 'absent', True),
])
def test_certificates_of_dockers_mirrors(mirrors: t.Any, ours: list[str], state: str, write: bool) -> None:
    found = _access.docker_certs(mirrors, {'mirror_certs': ours}, state)
    assert found == {'write': write, 'mirrors': [] if state == 'absent' else mirrors or []}


@pytest.mark.parametrize('name, words', [
    ('dockerio', "registry_access_mirrors: 'dockerio' is no registry"),
    ('registry-1.docker.io', 'registry_access_mirrors: images of registry-1.docker.io carry the name docker.io here'),
    ('https://quay.io', "registry_access_mirrors: 'https://quay.io' is no registry"),
])  # fmt: skip
def test_a_name_that_is_no_registry_is_told_before_anything_is_done(name: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _access.added_up({name: ['https://a.lan']})
    assert words in str(caught.value)


def test_caches_of_ones_own_come_first_where_they_serve() -> None:
    """A cold cache is slower than a mirror that has the image, and stays in front all the same."""
    fast, listed = serves(FAR, 1), [CACHE, FAR]
    slow = {**serves(CACHE, 900), 'throughput_bps': 1000}
    assert [one['url'] for one in _access.choose(listed, [slow, fast])['mirrors']] == [FAR, CACHE]
    assert [one['url'] for one in _access.choose(listed, [slow, fast], [FAR], own=[CACHE])['mirrors']] == [CACHE, FAR]
    assert [one['url'] for one in _access.choose(listed, [dead(CACHE), fast], own=[CACHE])['mirrors']] == [FAR]
    cut = _access.choose(listed, [slow, fast], policy={'max': 1}, own=[CACHE])
    assert [one['url'] for one in cut['mirrors']] == [CACHE]
    assert cut['reasons'] == [f'{FAR}: caches of your own come first, and max is 1']
    found = _access.choose_upstreams({'quay.io': listed}, {'quay.io': [slow, fast]}, {'quay.io': [FAR]}, own={'quay.io': [CACHE]})
    assert [one['url'] for one in found['upstreams']['quay.io']] == [CACHE, FAR]


def test_what_the_host_chose_by_itself_stands_whatever_the_probe_says() -> None:
    a, b, c = (f'http://{name}.lan' for name in 'abc')
    by_host = [f'{b}/', c, 'http://x.lan']
    found = _access.choose([a, {'url': b, 'third_party': True}, c], [serves(a), dead(b), serves(c)], [a], {'max': 1}, as_host_chose=by_host)
    assert (found['mirrors'], found['alive'], found['reasons']) == ([{'url': b, 'third_party': True}, {'url': c}], True, [])
    assert _access.choose([a, b], None, as_host_chose=[b])['mirrors'] == [{'url': b}], 'nor does it matter that nothing is probed'
    assert _access.choose([a, b], [serves(a), dead(b)], as_host_chose=['http://x.lan'])['mirrors'] == [{'url': a}], 'none of it is wanted any more'


def test_what_the_host_chose_by_itself_gets_no_mirror_past_what_docker_cannot_take() -> None:
    stranger = {'url': 'http://b.lan', 'third_party': True}
    limits = _access.limits_of({'hub_logins': ['docker.io'], 'image_store': 'overlay2'})
    found = _access.choose(['http://a.lan', stranger], [serves('http://a.lan')], limits=limits, as_host_chose=['http://b.lan', 'http://a.lan'])
    assert [one['url'] for one in found['mirrors']] == ['http://a.lan', 'http://b.lan'], 'the module leaves it out, and says why'
    assert _access.choose(['http://a.lan', stranger], [serves('http://a.lan')], limits=limits, as_host_chose=['http://b.lan'])['alive']


@pytest.mark.parametrize('engine, named', [('', ['http://far.lan/', 'https://cache.lan']), ('podman', ['http://far.lan:80', 'https://cache.lan'])])
def test_what_the_host_chose_of_each_upstream_stands(engine: str, named: list[str]) -> None:
    far, cache = 'http://far.lan', 'https://cache.lan'
    listed = {'quay.io': [cache, far], 'ghcr.io': [cache, far]}
    results = {name: [serves(cache), dead(far)] for name in listed}
    found = _access.choose_upstreams(listed, results, engine=engine, as_host_chose={'quay.io': named})
    assert found['upstreams'] == {'quay.io': [{'url': far}, {'url': cache}], 'ghcr.io': [{'url': cache}]}
    assert (found['unserved'], len(found['reasons'])) == ([], 1)
    assert _access.choose_upstreams({'quay.io': [far]}, {}, engine=engine, as_host_chose={'quay.io': ['http://x.lan']})['unserved'] == ['quay.io']


def test_the_report_says_that_it_is_the_hosts_own_choice_and_of_when() -> None:
    refresh = {'installed': True, 'checked_at': '2026-11-29T02:00:00Z', 'because': 'a is dead.', 'mirrors': {}}
    left = {'__registry_access_engines': {'engines': {'docker': {'version': '28', 'registry_mirrors': []}}, 'refresh': refresh}}
    stands: list[dict[str, t.Any]] = [{'of': '2026-11-29T02:00:00Z', 'engines': {'docker': {}}}, {}]
    told = [_access.summary({'a': {**left, '__registry_access_as_host_chose': one}})['hosts']['a']['refresh']['because'] for one in stands]
    assert told == ['The mirrors of docker are the choice that this host made by itself at 2026-11-29T02:00:00Z. a is dead.', 'a is dead.']


def test_a_step_that_fails_behind_dockers_reload_takes_nothing_back_from_it() -> None:
    plan = {'action': 'reload', 'reasons': ['registry-mirrors changed']}
    proof = {'ok': True, 'mirrors': ['http://b.lan/'], 'containers_before': 2, 'containers_kept': 2, 'failures': []}
    left = {
        '__registry_access_engines': {'engines': {'docker': {'version': '26.1.5', 'registry_mirrors': ['http://a.lan/']}}},
        '__registry_access_config': {'registry_mirrors': ['http://b.lan'], 'plan': plan},
        '__registry_access_apply': {'changed': True, 'applied': 'reload', 'plan': plan, 'proof': proof},
        '__registry_access_refresh': {'failed': True, 'msg': 'interval: 5 seconds are less than the least, 30.'},
    }
    data = _report.as_data(_access.summary({'h': left}))
    host = data['hosts']['h']
    assert (host['before'], host['after'], host['applied'], host['proved']) == (['http://a.lan/'], ['http://b.lan/'], 'reload', True)
    assert (host['failed'], host['failures'], host['containers_kept']) == (True, ['interval: 5 seconds are less than the least, 30.'], 2)
    words = _report.render_data(data)
    assert '-> http://b.lan' in words and 'FAILED' in words and 'reloaded' in words


def test_of_a_host_that_chooses_by_itself_the_last_change_is_told_where_the_last_look_changed_nothing() -> None:
    told = {'installed': True, 'checked_at': '2026-11-29T08:10:00Z', 'because': '', 'last_change': '2026-11-29T08:00:00Z, docker.io: gone.', 'mirrors': {}}
    assert _access._refresh_summary(told)['because'] == '2026-11-29T08:00:00Z, docker.io: gone.'
    assert _access._refresh_summary({**told, 'because': 'A new reason.'})['because'] == 'A new reason.'
