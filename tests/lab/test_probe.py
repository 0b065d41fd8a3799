# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""registry_mirror_probe on real hosts, against every mirror of the lab; what the mirrors' own access logs say counts."""

from __future__ import annotations

import json
import time
import typing as t

import pytest

from lab.api import Host, Lab
from lab.mirrors import BAD, GOOD, MIRRORS, Mirror

# Enough for every good mirror on a busy machine. Mirrors that hang cost all of it.
DEADLINE = 12
PROXY = 'http://proxy.lab:3128'
LOGIN_PROXY = 'http://proxyuser:lab%3Aproxy%40pass@proxy.lab:3129'
DROPPED = [mirror for mirror in BAD if mirror.name.startswith('dropped')]

Found = t.Dict[str, t.Any]


def play(options: t.Mapping[str, t.Any], hosts: str, **keywords: t.Any) -> str:
    """A play of one task, as YAML (JSON is YAML)."""
    task = {'quickpull.registry.registry_mirror_probe': dict(options)}
    return json.dumps([{'hosts': hosts, 'gather_facts': False, 'tasks': [{**task, **keywords}]}], indent=1)


def probe(lab: Lab, hosts: t.Iterable[Host], mirrors: t.Sequence[Mirror], *, check: bool = False, environment: t.Any = None, **options: t.Any) -> list[Found]:
    """The module's result on each host."""
    names = [host.name for host in hosts]
    asked = {'mirrors': [mirror.url for mirror in mirrors], 'images': ['nginx'], 'deadline': DEADLINE, **options}
    run = lab.playbook(play(asked, ':'.join(names), environment=environment or {}), check=check).ok()
    results = [run.result(action='registry_mirror_probe', host=name) for name in names]
    for found in results:
        assert [one['url'] for one in found['results']] == asked['mirrors']
    return results


def verdicts(found: Found, mirrors: t.Sequence[Mirror]) -> dict[str, tuple[str, str]]:
    return {mirror.name: (one['state'], one['failed_at'] or '') for mirror, one in zip(mirrors, found['results'])}


@pytest.mark.parametrize('turn', [1, 2, 3])
def test_every_mirror_gets_the_right_state_on_every_host(lab: Lab, turn: int) -> None:
    expected = {mirror.name: (mirror.state, mirror.failed_at) for mirror in MIRRORS}
    started = lab.mark()
    for host, found in zip(lab.hosts.values(), probe(lab, lab.hosts.values(), MIRRORS)):
        assert verdicts(found, MIRRORS) == expected, f'{host.name}, turn {turn}'
        assert found['changed'] is False
        assert found['reference']['nginx']['digest'] == lab.images['library/nginx']['digest']
        assert found['elapsed'] < DEADLINE + 1
        for mirror, one in zip(MIRRORS, found['results']):
            log = lab.access_log(mirror.name, started, client=host)
            assert one['requests'] <= 8
            assert not any(line['user'] for line in log), f'credentials for {mirror.name}'
            if mirror in GOOD:
                assert len(log) == one['requests'], mirror.name
                assert one['digest'] == lab.images['library/nginx']['digest']
                assert one['throughput_bps'] > 0
        speeds = {mirror.name: one['throughput_bps'] for mirror, one in zip(MIRRORS, found['results']) if one['ok']}
        assert min(speeds, key=lambda name: float(speeds[name])) == 'slow'


def test_the_slow_mirror_is_chosen_last(lab: Lab, host: Host) -> None:
    task = {'mirrors': [mirror.url for mirror in GOOD], 'images': ['nginx'], 'deadline': DEADLINE}
    chosen = json.loads(play(task, host.name))
    chosen[0]['tasks'][0]['register'] = 'probe'
    chosen[0]['tasks'].append({'ansible.builtin.debug': {'msg': "{{ probe.results | quickpull.registry.select_mirrors(policy={'max': 99}) }}"}})
    run = lab.playbook(json.dumps(chosen, indent=1)).ok()
    order = run.result(action='debug', host=host.name)['msg']
    assert sorted(order) == sorted(mirror.url for mirror in GOOD)
    assert order[-1] == lab.mirror('slow').url


def test_24_candidates_of_which_6_drop_every_packet(lab: Lab, host: Host) -> None:
    others = [mirror for mirror in MIRRORS if mirror not in DROPPED and mirror.name not in ('hang', 'trickle', 'blob-hang')]
    candidates = (DROPPED + others)[:24]
    assert len(DROPPED) == 6
    begun = time.monotonic()
    probe(lab, [host], [])
    ansible = time.monotonic() - begun
    begun = time.monotonic()
    found = probe(lab, [host], candidates, deadline=5)[0]
    whole = time.monotonic() - begun
    assert found['elapsed'] < 5.5
    assert [one['state'] for one in found['results'][:6]] == ['timeout'] * 6
    # The exit is not held up either: the rest is what ansible costs without any mirror, which varies on a busy machine.
    assert whole - ansible < 5.5 + 4


def test_whatever_a_mirror_does_the_module_ends_in_time(lab: Lab, host: Host) -> None:
    names = ('hang', 'trickle', 'blob-hang', 'endless-headers', 'endless-body', 'redirect-loop', 'dropped')
    for deadline in (1, 2.5):
        found = probe(lab, [host], [lab.mirror(name) for name in names], deadline=deadline, check_upstream=False)[0]
        assert found['elapsed'] < deadline + 0.5
        assert not any(one['ok'] for one in found['results'])


def test_without_the_upstream_the_newest_image_decides(lab: Lab, host: Host) -> None:
    mirrors = [lab.mirror(name) for name in ('stale', 'good-a')]
    started = lab.mark()
    found = probe(lab, [host], mirrors, check_upstream=False)[0]
    assert verdicts(found, mirrors) == {'stale': ('stale', 'manifest'), 'good-a': ('ok', '')}
    assert found['reference']['nginx']['source'] == 'newest'
    assert found['upstream'] is None
    assert lab.access_log('hub', started, client=host) == []
    # Alone nobody can tell, unless the digest is expected or the upstream answers.
    assert probe(lab, [host], mirrors[:1], check_upstream=False)[0]['results'][0]['state'] == 'ok'
    assert probe(lab, [host], mirrors[:1])[0]['results'][0]['state'] == 'stale'


def test_the_upstream_gets_nothing_that_counts_as_a_pull(lab: Lab, host: Host) -> None:
    started = lab.mark()
    found = probe(lab, [host], [lab.mirror('good-a'), lab.mirror('stale')], images=['nginx', 'busybox'])[0]
    assert found['upstream']['ok']
    asked = [line for line in lab.access_log('hub', started, client=host) if '/manifests/' in line['path'] or '/blobs/' in line['path']]
    assert asked
    assert {line['method'] for line in asked} == {'HEAD'}


def test_a_large_layer_is_sampled(lab: Lab, host: Host) -> None:
    mirrors = [lab.mirror(name) for name in ('good-a', 'no-range', 'good-redirect', 'slow', 'corrupt-blob')]
    started = lab.mark()
    found = probe(lab, [host], mirrors, images=['library/big'])[0]
    states = verdicts(found, mirrors)
    assert states.pop('corrupt-blob') == ('corrupt', 'blob')
    assert set(states.values()) == {('ok', '')}
    sent = sum(int(line['bytes']) for line in lab.access_log('good-a', started, client=host) if '/blobs/' in line['path'])
    assert sent < 2 << 20


def test_tokens_stay_with_the_mirror(lab: Lab, host: Host) -> None:
    started = lab.mark()
    found = probe(lab, [host], [lab.mirror('good-token'), lab.mirror('good-redirect'), lab.mirror('late-token')])[0]
    assert all(one['ok'] for one in found['results'])
    assert any(line['authorization'] for line in lab.access_log('good-token', started, client=host))
    cdn = lab.access_log('cdn', started, client=host)
    assert cdn
    assert not any(line['authorization'] for line in cdn)


def test_further_images_cost_little(lab: Lab, host: Host) -> None:
    started = lab.mark()
    found = probe(lab, [host], [lab.mirror('good-a'), lab.mirror('good-token')], images=['nginx', 'busybox', 'library/big'])[0]
    for name, one in zip(('good-a', 'good-token'), found['results']):
        assert one['ok']
        assert one['requests'] == len(lab.access_log(name, started, client=host)) <= 14
        assert {image: facts['digest'] for image, facts in one['images'].items()} == {
            'nginx': lab.images['library/nginx']['digest'],
            'busybox': lab.images['library/busybox']['digest'],
            'library/big': lab.images['library/big']['digest'],
        }


def test_through_a_proxy(lab: Lab, host: Host) -> None:
    names = ('good-a', 'good-tls', 'good-redirect', 'refused', 'https-on-http', 'html', 'blob-403', 'stale')
    mirrors = [lab.mirror(name) for name in names]
    started = lab.mark()
    found = probe(lab, [host], mirrors, proxy=PROXY)[0]
    assert {one['route'] for one in found['results']} == {'proxy'}
    assert {name: verdict[0] for name, verdict in verdicts(found, mirrors).items()} == {mirror.name: mirror.state for mirror in mirrors}
    assert lab.access_log('good-a', started, client=host) == []
    # By Go's rules, and for where it redirects as well.
    direct = probe(lab, [host], mirrors[:3], proxy=PROXY, no_proxy=['.lab'])[0]
    assert {one['route'] for one in direct['results']} == {'direct'}
    # In the local network directly first; what cannot be reached so goes through the proxy and fails there.
    near = probe(lab, [host], [lab.mirror('good-a'), lab.mirror('refused')], proxy=PROXY, prefer_direct=True)[0]
    assert [one['route'] for one in near['results']] == ['direct', 'proxy']


def test_a_proxy_with_a_password(lab: Lab, host: Host) -> None:
    mirrors = [lab.mirror('good-a'), lab.mirror('good-tls')]
    task = {'mirrors': [mirror.url for mirror in mirrors], 'images': ['nginx'], 'deadline': DEADLINE, 'proxy': LOGIN_PROXY}
    started = lab.mark()
    run = lab.playbook(play(task, host.name)).ok()
    found = run.result(action='registry_mirror_probe', host=host.name)
    assert [(one['state'], one['route']) for one in found['results']] == [('ok', 'proxy')] * 2
    for secret in ('lab:proxy@pass', 'lab%3Aproxy%40pass'):
        assert secret not in json.dumps(found)
        assert secret not in run.stdout
    journal = host.out(['journalctl', '--no-pager', '-q', f'--since=@{int(started) - 1}'])
    assert 'proxy@pass' not in journal
    assert 'proxy%40pass' not in journal
    wrong = probe(lab, [host], mirrors, proxy=LOGIN_PROXY.replace('pass', 'guess'))[0]
    assert [one['state'] for one in wrong['results']] == ['unreachable'] * 2
    assert all('407' in one['reason'] for one in wrong['results'])


def test_the_proxies_of_the_environment_are_ignored(lab: Lab, host: Host) -> None:
    environment = dict.fromkeys(('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'), 'http://127.0.0.1:1')
    found = probe(lab, [host], [lab.mirror('good-a'), lab.mirror('good-tls')], environment=environment)[0]
    assert all(one['ok'] and one['route'] == 'direct' for one in found['results'])


def test_pull(lab: Lab, host: Host) -> None:
    mirrors = [lab.mirror(name) for name in ('good-tls', 'good-a', 'good-path', 'html')]
    host.cold()
    started = lab.mark()
    tls, plain, path, bad = probe(lab, [host], mirrors, depth='pull')[0]['results']
    assert (tls['state'], tls['pull']['state']) == ('ok', 'ok')
    assert tls['pull']['seconds'] > 0
    assert any('docker' in line['agent'].lower() for line in lab.access_log('good-tls', started, client=host))
    for one in (plain, path):
        assert (one['state'], one['pull']['state'], one['pull']['seconds']) == ('ok', 'not_applicable', None)
    assert 'pull' not in bad
    assert 'nginx' not in host.out(['docker', 'images'])


def test_pull_leaves_an_image_that_was_there_and_pulls_nothing_in_check_mode(lab: Lab, host: Host) -> None:
    mirror = lab.mirror('good-tls')
    host.cold()
    started = lab.mark()
    assert 'pull' not in probe(lab, [host], [mirror], depth='pull', check=True)[0]['results'][0]
    assert not any('docker' in line['agent'].lower() for line in lab.access_log('good-tls', started, client=host))
    name = f'{mirror.host}:{mirror.port}/library/nginx:latest'
    host.run(['docker', 'pull', '-q', name])
    assert probe(lab, [host], [mirror], depth='pull')[0]['results'][0]['pull']['state'] == 'ok'
    host.run(['docker', 'image', 'inspect', name])
    host.cold()


def test_a_host_without_docker_running_can_probe(lab: Lab, host: Host) -> None:
    host.run(['systemctl', 'stop', 'docker.socket', 'docker.service'])
    try:
        one = probe(lab, [host], [lab.mirror('good-tls')], depth='pull')[0]['results'][0]
        assert (one['state'], one['pull']['state']) == ('ok', 'not_applicable')
        assert host.run(['systemctl', 'is-active', 'docker.service'], check=False).stdout.strip() == 'inactive'
    finally:
        host.run(['systemctl', 'start', 'docker.socket', 'docker.service'])
