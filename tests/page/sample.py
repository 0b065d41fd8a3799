# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports to draw: one as a small fleet gives it, one of hosts with several engines of which much failed, one of 500 hosts with 20 mirrors, one of mirrors
that mean harm.
"""

from __future__ import annotations

import random
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _report
from ansible_collections.quickpull.registry.plugins.module_utils._report_history import carried

NOW = '2026-11-29T01:30:00Z'
FAILURES = [
    ('unreachable', 'connect', 'No connection could be made: connection refused'),
    ('timeout', 'manifest', 'The manifest failed: nothing came for 5 seconds'),
    ('stale', 'manifest', 'Its image is 40 days old.'),
    ('not_a_registry', 'ping', 'It answers with a web page.'),
    ('rate_limited', 'manifest', 'It has had enough: 429 Too Many Requests.'),
    ('tls_error', 'tls', 'Its certificate has expired.'),
]


def result(url: str, chance: random.Random, fails: float, base_ms: float) -> dict[str, t.Any]:
    """What registry_mirror_probe might say of a mirror."""
    if chance.random() < fails:
        state, step, reason = chance.choice(FAILURES)
        return {'url': url, 'ok': False, 'state': state, 'failed_at': step, 'reason': reason, 'latency_ms': None, 'throughput_bps': None}
    latency = round(base_ms * chance.lognormvariate(0, 0.35), 1)
    notes = ['digest_differs'] if chance.random() < 0.1 else []
    rate = int(4e9 / base_ms * chance.lognormvariate(0, 0.3))
    return {'url': url, 'ok': True, 'state': 'ok', 'reason': 'All is well.', 'latency_ms': latency, 'throughput_bps': rate, 'notes': notes}


def history(url: str, chance: random.Random, fails: float, base_ms: float, points: int) -> list[dict[str, t.Any]]:
    """What former runs saw of it, one an hour."""
    return [{'time': f'2026-11-{1 + hour // 24:02}T{hour % 24:02}:30:00Z', **result(url, chance, fails, base_ms)} for hour in range(points)]


def probe(upstream: str, host: str, site: str, mirrors: t.Sequence[tuple[str, float, float]], chance: random.Random, points: int) -> dict[str, t.Any]:
    """A probe of mirrors, each with how often it fails and its latency."""
    return {
        'upstream': upstream,
        'host': host,
        'site': site,
        'elapsed': round(chance.uniform(1, 6), 3),
        'results': [result(url, chance, fails, base) for url, fails, base in mirrors],
        'history': {url: history(url, chance, fails, base, points) for url, fails, base in mirrors},
    }


def report(data: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return carried(_report.as_data(data, NOW))


def engine(name: str, version: str = '', plan: str = '', proved: bool | None = None, pending: t.Sequence[str] = ()) -> dict[str, t.Any]:
    """An engine of a host. Without a proof, true or false, its plan was not applied."""
    return {'engine': name, 'version': version, 'plan': plan, 'applied': '' if proved is None else plan, 'proved': proved, 'pending': list(pending)}


def fleet(check_mode: bool = False) -> dict[str, t.Any]:
    """Hosts with several engines, and some that failed, could not be reached or were held back; a mirror that fails in many ways."""
    urls = [f'https://m{number}.example.com/' for number in range(5)]
    faults: list[dict[str, t.Any]] = [
        {'state': 'timeout', 'failed_at': 'manifest', 'reason': 'The manifest failed: nothing came for 5 seconds'},
        {'state': 'tls_error', 'failed_at': 'tls', 'reason': 'Its certificate has expired.'},
        {'ok': True, 'state': 'ok', 'notes': ['digest_differs', 'budget_spent_at_blob: team/my_app:1']},
        {'ok': True, 'state': 'ok', 'notes': ['ping_odd'], 'warnings': ['It is a mirror of a_friend.']},
        {'state': 'rate_limited', 'failed_at': 'pull', 'reason': 'It has had enough.'},
        {'state': 'stale', 'failed_at': 'manifest', 'reason': 'Its image is 40 days old.'},
    ]
    probes = [
        {'upstream': 'docker.io', 'host': f'probe{number}', 'site': f'site-{number:02}', 'elapsed': 2, 'results': [
            {'url': 'https://a.example', 'ok': True, 'state': 'ok', 'latency_ms': 999.7 + 100 * number, 'throughput_bps': 999_960 + number},
            {'url': 'https://b.example', 'ok': False, **fault},
        ]}
        for number, fault in enumerate(faults)
    ]  # fmt: skip
    waits = ['Swarm is active, so a restart would stop its services.']
    docker = {'engine': 'Docker 26.1.5', 'before': urls, 'after': urls[::-1]}
    hosts: dict[str, dict[str, t.Any]] = {
        'all1': {**docker, 'plan': {'reasons': ['registry-mirrors changed.']}, 'drift': ['daemon.json is not as it was left.'],
                 'refresh': {'checked_at': NOW, 'because': 'm4 was slow.', 'mirrors': {'docker.io': urls[:1]}},
                 'apply': {'proof': {'ok': True, 'containers_before': 4, 'containers_kept': 4}}},
        'cri1': {'upstreams': [
            {'engine': 'CRI-O 1.30.4', 'upstream': 'quay.io', 'before': [], 'after': urls[:1], 'proof': 'written'},
            {'engine': 'Podman 5.4.2', 'upstream': 'quay.io', 'before': [], 'after': urls[:1], 'proof': 'read by podman'},
            {'engine': 'BuildKit of ann', 'upstream': 'quay.io', 'before': [], 'after': urls[:1], 'proof': 'a restart'},
        ]},
        'k3s1': {'pending': ['K3s: It is a server.']},
        'wait1': {**docker, 'apply': {'pending': True, 'pending_because': waits}},
        'broke1': {'apply': {'failed': True, 'msg': 'Its facts could not be had.'}},
        'broke2': {**docker, 'apply': {'failed': True, 'msg': 'dockerd refused the key foo.', 'rolled_back': True}},
        'lost1': {'skipped': _report.UNREACHABLE, 'warnings': ['Unreachable: Connection refused']},
        'held1': {'skipped': _report.HELD_BACK}, 'held2': {'skipped': _report.HELD_BACK},
        'none1': {'skipped': 'no engine'},
    }  # fmt: skip
    engines = {
        'all1': [engine('Docker', '26.1.5', 'reload', True), engine('containerd', '1.7.24', 'restart', False), engine('Podman', '5.4.2', 'none')],
        'cri1': [engine('Podman', '5.4.2', 'none'), engine('CRI-O', '1.30.4', 'reload', True)],
        'k3s1': [engine('K3s', 'v1.30.4+k3s1', 'restart', pending=['It is a server.'])],
        'wait1': [engine('Docker', '26.1.5', 'restart', pending=waits), engine('RKE2', '', 'reload', True)],
    }
    for name, listed in engines.items():
        hosts[name]['engines'] = listed
    return report({'check_mode': check_mode, 'probes': probes, 'hosts': hosts})


def five() -> dict[str, t.Any]:
    """The large fleet with five upstreams."""
    made = large()
    made['probes'] = [{**one, 'upstream': name} for name in ('docker.io', 'quay.io', 'ghcr.io', 'gcr.io', 'registry.k8s.io') for one in made['probes']]
    return made


def small() -> dict[str, t.Any]:
    """Three sites, two upstreams, twelve hosts, and one of each thing that can be said of a host."""
    chance = random.Random(6)
    hub = [('http://cache.lan:5000', 0.0, 2), ('https://docker.m.daocloud.io', 0.1, 60), ('https://mirror.gcr.io', 0.25, 180),
           ('https://hub.example.com/a/rather/long/path/to/a/proxy', 0.3, 300), ('https://dead.example.com', 1.0, 1)]
    quay = [('https://quay.m.daocloud.io', 0.1, 80), ('https://harbor.lan/v2/quay', 0.0, 4)]
    probes = [probe('docker.io', host, site, hub, chance, 24) for site, host in (('berlin', 'web1'), ('tokyo', 'db1'), ('上海', 'edge1'))]
    probes.append(probe('quay.io', 'web1', '', quay, chance, 30))
    good, old = ['http://cache.lan:5000/', 'https://docker.m.daocloud.io/'], ['https://dead.example.com/']
    proved = {'applied': 'reload', 'proof': {'ok': True, 'containers_before': 4, 'containers_kept': 4}}
    hosts: dict[str, dict[str, t.Any]] = {
        f'web{number}': {'engine': 'Docker 28.5.2', 'before': good, 'after': good, 'plan': {'action': 'none'}, 'apply': {'applied': 'none'}}
        for number in range(1, 7)
    }
    hosts['web2'].update(before=old, plan={'action': 'reload', 'reasons': ['registry-mirrors changed.']}, apply=proved)
    hosts['web3'].update(drift=['/etc/docker/daemon.json is not as it was left: registry-mirrors has one entry more.'])
    because = 'http://cache.lan:5000 failed three times.'
    hosts['web4'].update(refresh={'checked_at': '2026-11-29T01:10:00Z', 'because': because, 'mirrors': {'docker.io': good[1:]}})
    hosts['db1'] = {
        'engine': 'Docker 26.1.5', 'before': old, 'after': good, 'plan': {'action': 'restart', 'reasons': ['The proxy changed.']},
        'apply': {'applied': 'none', 'pending': True, 'pending_because': ['Swarm is active, so a restart would stop its services.']},
        'warnings': ['Docker Hub allows 12 more pulls for 12 hosts.'],
    }  # fmt: skip
    hosts['db2'] = {'engine': 'Docker 20.10.24', 'before': old, 'after': old, 'plan': {'action': 'reload'},
                    'apply': {'failed': True, 'msg': 'dockerd refused the key foo.', 'rolled_back': True}}  # fmt: skip
    hosts['edge1'] = {
        'plan': {'action': 'none'}, 'logins': ['acme at quay.io, for root: logged in.'],
        'upstreams': [
            {'engine': 'containerd 1.7.24', 'upstream': 'docker.io', 'before': [], 'after': good, 'proof': 'proved'},
            {'engine': 'Podman 5.4.2', 'upstream': 'quay.io', 'before': ['https://harbor.lan/v2/quay'], 'after': ['https://harbor.lan/v2/quay'],
             'proof': 'nothing to do'},
        ],
    }  # fmt: skip
    hosts['edge2'] = {'skipped': 'not reached'}
    for name in ('web5', 'web6', 'db1', 'edge1'):
        hosts[name].setdefault('left_out', []).append({'url': 'https://mirror.gcr.io', 'reason': 'A login to Docker Hub is on the host.'})
    return report({'probes': probes, 'hosts': hosts})


def large(hosts: int = 500, mirrors: int = 20, apart: bool = True) -> dict[str, t.Any]:
    """A fleet in which each host probed for itself (``apart``), or ten sites did, with all the history that is kept."""
    chance = random.Random(7)
    candidates = [(f'https://mirror-{number:02}.example.com', number / mirrors / 2, 5.0 + 20 * number) for number in range(mirrors)]
    names = [f'node-{number:03}.dc{number % 7}.example.net' for number in range(hosts)]
    places = [(name, name) for name in names] if apart else [(names[number], f'site-{number}') for number in range(10)]
    probes = [probe('docker.io', host, site, candidates, chance, 2 if apart else 30) for host, site in places]
    urls = [f'{url}/' for url, dummy, dummy in candidates]
    facts = {
        name: {
            'engine': f'Docker {chance.choice(["20.10.24", "26.1.5", "28.5.2"])}',
            'before': urls[:number % 4],
            'after': urls,
            'plan': {'action': chance.choice(['none', 'reload', 'restart'])},
            'apply': {'applied': 'reload', 'proof': {'ok': True}} if number % 9 else {'pending': True, 'pending_because': [f'Reason {number % 5}.']},
            'drift': ['daemon.json is not as it was left.'] if number % 20 == 0 else [],
            'warnings': ['The clock is off.'] if number % 3 == 0 else [],
        }
        for number, name in enumerate(names)
    }
    return report({'probes': probes, 'hosts': facts})


EVIL = [
    '</script><script>window.harm = 1</script>',
    '<img src=x onerror="window.harm = 2">',
    '<!-- <script> --!> ]]>',
    '\u2028window.harm = 3\u2029',
    '"><svg onload=window.harm=4>',
    "javascript:window.harm=5//'",
    '\u202egnol\x07\x1b[31m\x00',
    '{{ lookup("pipe", "id") }}{% raw %}@@DATA@@',
    '\ud800 | `code` | **bold** [x](http://evil.example) \\',
    '__proto__',
    'constructor',
]


def evil() -> dict[str, t.Any]:
    """Everything that comes from outside is one of EVIL."""
    probes = [
        {
            'upstream': 'docker.io' if number % 2 else bad, 'host': bad, 'site': bad, 'elapsed': 1,
            'results': [{'url': f'https://m.example.com/{bad}', 'ok': False, 'state': bad, 'failed_at': bad, 'reason': bad, 'notes': [bad], 'warnings': [bad]}],
        }
        for number, bad in enumerate(EVIL)
    ]  # fmt: skip
    hosts = {
        bad: {
            'engine': bad, 'before': [bad], 'after': [f'https://{bad}'], 'plan': {'action': bad, 'reasons': [bad]},
            'apply': {'failed': True, 'msg': bad, 'pending': True, 'pending_because': [bad]}, 'left_out': [{'url': bad, 'reason': bad}],
            'warnings': [bad], 'logins': [bad], 'drift': [bad], 'refresh': {'checked_at': bad, 'because': bad, 'mirrors': {bad: [bad]}},
            'upstreams': [{'engine': bad, 'upstream': bad, 'before': [bad], 'after': [bad], 'proof': bad}],
            'engines': [engine(bad, bad, bad, False, [bad]), engine(bad)],
        }
        for bad in EVIL
    }  # fmt: skip
    return report({'probes': probes, 'hosts': hosts})


def worse() -> dict[str, t.Any]:
    """The same with figures that the schema would refuse."""
    made = evil()
    for number, one in enumerate(made['probes']):
        one['mirrors'][0].update(latency_ms='5', throughput_bps=EVIL[number])
    return made
