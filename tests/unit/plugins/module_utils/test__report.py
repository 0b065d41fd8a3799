# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils._report import as_data, display_width, proof_words, render, render_data, table, wrap

GOOD = {'url': 'http://good-a.lab:8101', 'ok': True, 'state': 'ok', 'latency_ms': 2.1, 'throughput_bps': 85_234_567, 'reason': 'All is well.'}
SLOW = {
    'url': 'http://slow.lab:8108',
    'ok': True,
    'state': 'ok',
    'latency_ms': 200.4,
    'throughput_bps': 200_345,
    'reason': 'All is well.',
    'notes': ['digest_differs'],
}
STALE = {
    'url': 'http://stale.lab:8110',
    'ok': False,
    'state': 'stale',
    'failed_at': 'manifest',
    'latency_ms': 14,
    'reason': 'Its image is 40 days old.',
    'notes': ['age_unknown'],
}
DATA: dict[str, t.Any] = {
    'probes': [{'site': 'berlin', 'host': 'web1', 'upstream': 'docker.io', 'elapsed': 5.213, 'results': [STALE, GOOD, SLOW]}],
    'hosts': {
        'web1': {
            'engine': 'Docker 20.10.24',
            'before': [],
            'after': ['http://good-a.lab:8101/', 'http://slow.lab:8108/'],
            'plan': {'action': 'reload', 'reasons': ['registry-mirrors changed.']},
            'apply': {'applied': 'reload', 'proof': {'ok': True, 'containers_before': 2, 'containers_kept': 2}},
            'warnings': ['The proxy needs a restart.'],
            'pull_seconds_before': 30.23,
            'pull_seconds_after': 1.1,
        },
        'web2': {
            'engine': 'Docker 26.1.5',
            'before': ['http://old.lab'],
            'after': ['http://good-a.lab:8101'],
            'plan': {'action': 'restart'},
            'apply': {'applied': 'none', 'pending': True, 'pending_because': ['Swarm is active.']},
            'left_out': [{'url': 'https://x.example', 'reason': 'A Hub login is on the host.'}],
            'warnings': ['The proxy needs a restart.'],
            'upstreams': [
                {'engine': 'Podman 5.4.2', 'upstream': 'quay.io', 'before': [], 'after': ['http://q.lab'], 'proof': 'read by podman'},
                {'engine': 'Podman 5.4.2', 'upstream': 'docker.io', 'before': ['http://q.lab'], 'after': ['http://q.lab'], 'proof': 'nothing to do'},
            ],
            'logins': ['acme at quay.io, for root: logged in.'],
        },
        'web3': {'skipped': 'no Docker'},
        'web4': {
            'before': ['http://a.lab'],
            'after': ['http://A.lab:80/'],
            'apply': {'failed': True, 'msg': 'dockerd refused the key foo.', 'rolled_back': True, 'proof': None},
        },
    },
}

EXPECTED = """\
Mirrors of docker.io, seen from web1 (site berlin) in 5.2 s
  MIRROR                  VERDICT  LATENCY        RATE  USED BY
  http://good-a.lab:8101  ok        2.1 ms   85.2 MB/s  2 hosts
  http://slow.lab:8108    ok        200 ms  200.3 KB/s  1 host
      digest differs
  http://stale.lab:8110   stale      14 ms
      at manifest: Its image is 40 days old. age unknown

Hosts
  HOST             MIRRORS                    PLAN     PROOF                   PULL
  web1                none                    reload   reloaded, proved        30.2 s
  Docker 20.10.24  -> http://good-a.lab:8101           2 of 2 containers kept  -> 1.1 s
                      http://slow.lab:8108
  web2                http://old.lab          restart  pending
  Docker 26.1.5    -> http://good-a.lab:8101
  web3             -                          -        skipped: no Docker
  web4             http://A.lab:80            -        FAILED
                                                       rolled back

Mirrors of each registry
  HOST          REGISTRY   MIRRORS          PROOF
  web2          quay.io       none          read by podman
  Podman 5.4.2             -> http://q.lab
  web2          docker.io  http://q.lab     nothing to do
  Podman 5.4.2

Failed
  - web4: dockerd refused the key foo.

Pending
  - web2: Swarm is active.
  The playbook quickpull.registry.finish finishes it, with registry_access_restart=always at any
  cost.

Left out
  - web2: https://x.example: A Hub login is on the host.

Logins
  - web2: acme at quay.io, for root: logged in.

Warnings
  - web1, web2: The proxy needs a restart.

2 of 3 mirrors ok, 4 hosts, 1 proved, 1 pending, 1 failed, 1 skipped."""


def test_render() -> None:
    assert render(DATA) == EXPECTED


def test_data_is_plain_and_counts() -> None:
    data = as_data(DATA)
    assert json.loads(json.dumps(data)) == data
    assert data['summary'] == {
        'mirrors': 3,
        'mirrors_ok': 2,
        'hosts': 4,
        'hosts_proved': 1,
        'hosts_pending': 1,
        'hosts_failed': 1,
        'hosts_skipped': 1,
        'hosts_unreachable': 0,
        'hosts_held_back': 0,
        'hosts_drifted': 0,
    }
    assert [mirror['hosts_using_it'] for mirror in data['probes'][0]['mirrors']] == [0, 2, 1]
    assert data['hosts']['web1']['plan_reasons'] == ['registry-mirrors changed.']


@pytest.mark.parametrize('data', [{}, {'probes': None, 'hosts': None}, {'probes': [], 'hosts': {}}])
def test_nothing(data: dict[str, t.Any]) -> None:
    assert render(data) == 'Nothing was probed and nothing was done.'


def test_no_candidates_and_a_host_without_facts() -> None:
    text = render({'probes': [{'upstream': 'quay.io', 'results': []}], 'hosts': {'web1': None}})
    assert text.startswith('Mirrors of quay.io: none listed.')
    assert 'nothing to do' in text


def host_row(**facts: t.Any) -> str:
    return render({'hosts': {'web1': facts}})


def test_what_became_of_a_plan() -> None:
    assert 'not applied' in host_row(plan={'action': 'reload'})
    assert 'nothing to do' in host_row(plan={'action': 'none'})
    assert 'restarted, proved' in host_row(plan={'action': 'restart'}, apply={'applied': 'restart', 'proof': {'ok': True}})
    assert 'It is not said why.' in host_row(apply={'pending': True})
    assert 'Pending\n  - web1: Wait.' in host_row(pending='Wait.')
    assert 'PULL' not in host_row(before=['http://a'])
    assert '1.5 s' in host_row(pull_seconds_after=1.5)


def engine(name: str, **told: t.Any) -> dict[str, t.Any]:
    return {'engine': name, 'version': '1.2', 'plan': '', 'applied': '', 'proved': None, 'pending': [], **told}


RELOADED = {'plan': 'reload', 'applied': 'reload', 'proved': True}
RESTARTED = {'plan': 'restart', 'applied': 'restart', 'proved': True}


@pytest.mark.parametrize(
    'engines, plan, applied, proved, words',
    [
        ([engine('containerd', **RESTARTED)], 'restart', 'restart', True, 'restarted, proved'),
        ([engine('Docker', **RELOADED), engine('containerd', **RESTARTED), engine('Podman')], 'restart', 'restart', True, 'restarted, proved'),
        ([engine('Docker', **RELOADED), engine('CRI-O', **{**RELOADED, 'proved': False})], 'reload', 'reload', False, 'a reload, not proved'),
        ([engine('Docker', plan='none', applied='none'), engine('K3s', plan='restart', applied='none', pending=['Wait.'])], 'restart', 'none', None, 'pending'),
        ([engine('Docker', plan='none', applied='none'), engine('Podman')], 'none', 'none', None, 'nothing to do'),
        ([engine('Podman')], '', '', None, 'nothing to do'),
    ],
)
def test_a_host_is_told_by_the_gravest_of_its_engines(engines: list[dict[str, t.Any]], plan: str, applied: str, proved: t.Any, words: str) -> None:
    facts = {'engines': engines, 'pending': [sentence for one in engines for sentence in one['pending']]}
    host = as_data({'hosts': {'web1': facts}})['hosts']['web1']
    assert (host['plan'], host['applied'], host['proved'], proof_words(host)) == (plan, applied, proved, [words])
    text = host_row(**facts)
    assert all(f'{one["engine"]} 1.2' in text for one in engines)
    assert words in text


def test_the_gravest_counts_as_proved() -> None:
    unproved = engine('CRI-O', **{**RELOADED, 'proved': False})
    hosts = {'a': {'engines': [engine('containerd', **RESTARTED)]}, 'b': {'engines': [engine('Docker', **RELOADED), unproved]}}
    assert as_data({'hosts': hosts})['summary']['hosts_proved'] == 1


def test_one_engine_is_told_as_docker_alone_was() -> None:
    host = as_data(DATA)['hosts']['web1']
    docker = {'engine': 'Docker', 'version': '20.10.24', 'plan': 'reload', 'applied': 'reload', 'would_apply': '', 'proved': True, 'pending': []}
    assert host['engines'] == [docker]
    assert as_data(DATA)['hosts']['web2']['engines'][0]['pending'] == ['Swarm is active.']


def test_a_host_without_docker_has_no_mirrors_of_docker() -> None:
    assert 'none' not in host_row(engines=[engine('containerd')])
    assert 'none' in host_row(engines=[engine('Docker')])


def test_files_that_no_daemon_has_to_take_are_told_as_written() -> None:
    row = {'engine': 'Podman 5', 'upstream': 'quay.io', 'before': [], 'after': ['http://a'], 'proof': 'read by podman'}
    host = as_data({'hosts': {'a': {'engines': [engine('Podman')], 'upstreams': [row]}}})['hosts']['a']
    assert proof_words(host) == ['read by podman']


def test_in_check_mode_nothing_counts_as_done() -> None:
    would = [engine('Docker', plan='reload', applied='reload'), engine('containerd', plan='restart', applied='none', pending=['Not now.'])]
    kept_from_it = [engine('Docker', plan='restart')]
    rows = [{'engine': 'containerd 1.2', 'upstream': 'quay.io', 'before': ['http://b'], 'after': ['http://a'], 'proof': 'would be written'}]
    mirrors = {'before': ['http://b'], 'after': ['http://a']}
    probes = [{'upstream': upstream, 'results': [{'url': 'http://a', 'ok': True}, {'url': 'http://b', 'ok': True}]} for upstream in ('docker.io', 'quay.io')]
    data = {'check_mode': True, 'probes': probes, 'hosts': {'a': {'engines': would, **mirrors, 'upstreams': rows}, 'b': {'engines': kept_from_it, **mirrors}}}
    report = as_data(data)
    a, b = report['hosts'].values()
    assert report['check_mode'] is True
    assert (a['applied'], a['would_apply'], a['proved'], b['would_apply']) == ('', 'reload', None, 'restart')
    assert [one['applied'] for one in a['engines']] == ['', '']
    assert [mirror['hosts_using_it'] for probe in report['probes'] for mirror in probe['mirrors']] == [0, 2, 0, 1]
    text = render(data)
    assert text.startswith('Check mode: nothing was changed; this is what would be done.\n\n')
    assert 'would reload' in text and 'would restart' in text
    assert as_data({})['check_mode'] is False
    assert 'Check mode' not in render({})


def test_a_mirror_that_waits_is_not_in_use() -> None:
    rows = [{'engine': 'K3s 1', 'upstream': 'quay.io', 'before': [], 'after': ['http://a'], 'in_force': []}]
    probes = [{'upstream': upstream, 'results': [{'url': 'http://a', 'ok': True}]} for upstream in ('docker.io', 'quay.io')]
    report = as_data({'probes': probes, 'hosts': {'a': {'after': ['http://a'], 'in_force': [], 'upstreams': rows}}})
    assert [probe['mirrors'][0]['hosts_using_it'] for probe in report['probes']] == [0, 0]


@pytest.mark.parametrize('odd', [float('nan'), float('inf'), '5', True, 10**400, [5], {}], ids=range(7))
def test_what_is_no_number_is_none(odd: t.Any) -> None:
    result = {'url': 'http://a', 'ok': odd, 'state': odd, 'failed_at': odd, 'latency_ms': odd, 'throughput_bps': odd, 'reason': odd, 'notes': odd}
    host = {
        'plan': {'action': odd, 'reasons': odd}, 'apply': {'applied': odd, 'proof': {'ok': odd, 'containers_before': odd, 'containers_kept': odd}},
        'pull_seconds_before': odd, 'pull_seconds_after': odd,
    }  # fmt: skip
    report = as_data({'probes': [{'upstream': 'docker.io', 'elapsed': odd, 'results': [result, GOOD]}], 'hosts': {'a': host}})
    probe, facts = report['probes'][0], report['hosts']['a']
    assert (probe['elapsed'], probe['mirrors'][0]['latency_ms'], probe['mirrors'][0]['throughput_bps']) == (None, None, None)
    numbers = [facts[name] for name in ('pull_seconds_before', 'pull_seconds_after', 'containers_before', 'containers_kept')]
    assert numbers == [None] * 4
    assert (probe['mirrors'][0]['ok'], facts['proved']) == ((True, True) if odd is True else (None, None))
    assert probe['mirrors'][1]['latency_ms'] == 2.1
    json.dumps(report, allow_nan=False)
    render_data(report)


def test_no_password_is_shown() -> None:
    url = 'https://bob:s3cret@m.example'
    text = render(
        {
            'probes': [{'results': [{'url': url, 'ok': False, 'reason': f'{url} did not answer'}]}],
            'hosts': {'web1': {'before': [url], 'after': [], 'left_out': [{'url': url, 'reason': f'{url} is odd'}], 'warnings': [f'See {url}.']}},
        }
    )
    assert 's3cret' not in text
    assert text.count('xxxxx:xxxxx@m.example') == 6


def test_hosts_of_a_large_fleet_share_rows() -> None:
    fleet = {f'web{number:03}': {'engine': 'Docker 28', 'after': ['http://a.lab'], 'warnings': ['Same.']} for number in range(100)}
    text = render({'hosts': fleet})
    assert 'web000, web001, web002 and 97 more' in ' '.join(text.split())
    assert 'all 100 hosts: Same.' in text
    assert len(text.splitlines()) < 12


def test_a_remark_in_wide_letters_and_with_control_characters() -> None:
    odd = {'url': 'https://镜像.example', 'ok': False, 'state': 'timeout', 'reason': '没有回答\x1b[2J' + '字' * 90}
    text = render({'probes': [{'results': [odd, GOOD]}]})
    assert '\x1b' not in text
    assert max(display_width(line) for line in text.splitlines()) <= 100
    good, wide = (line for line in text.splitlines() if line.startswith('  http'))
    assert display_width(good[: good.index('ok')]) == display_width(wide[: wide.index('timeout')])


# What turns the direction of writing, in either way, and what some programs take for the end of a line.
TURNING = '\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069'


def test_nothing_turns_the_direction_of_writing() -> None:
    odd = {'url': 'http://a\u202e', 'ok': False, 'state': 'x\u2066', 'reason': f'a{TURNING}b'}
    text = render({'probes': [{'upstream': 'a\u202e\nb', 'host': 'c\u2067', 'site': 'd\x1b', 'results': [odd]}], 'hosts': {'e\u200f': {'warnings': [TURNING]}}})
    assert not set(text) & {*TURNING, '\x1b'}
    assert text.startswith('Mirrors of a  b, seen from c  (site d )\n')
    assert wrap('می\u200cخواهم 👩\u200d💻', 60) == ['می\u200cخواهم 👩\u200d💻']


texts = st.text(st.characters(codec='utf-8'), max_size=60)


@given(texts, st.integers(8, 120))
def test_wrap_keeps_the_width_and_the_words(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(display_width(line) <= width for line in lines)
    assert not any(letter < ' ' or '\x7f' <= letter < '\xa0' or letter in TURNING for line in lines for letter in line)


@given(st.lists(st.tuples(texts, texts, texts), max_size=4), st.integers(60, 120))
def test_a_table_keeps_the_width(rows: list[tuple[str, str, str]], width: int) -> None:
    text = table(('ONE', 'TWO', 'THREE'), rows, width, right=(1,), notes=[row[0] for row in rows])
    assert all(display_width(line) <= width for line in text.split('\n'))
    assert text.startswith('  ONE')
