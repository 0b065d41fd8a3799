# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils._report import as_data, display_width, render, table, wrap

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


texts = st.text(st.characters(codec='utf-8'), max_size=60)


@given(texts, st.integers(8, 120))
def test_wrap_keeps_the_width_and_the_words(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(display_width(line) <= width for line in lines)
    assert not any(letter < ' ' or '\x7f' <= letter < '\xa0' for line in lines for letter in line)


@given(st.lists(st.tuples(texts, texts, texts), max_size=4), st.integers(60, 120))
def test_a_table_keeps_the_width(rows: list[tuple[str, str, str]], width: int) -> None:
    text = table(('ONE', 'TWO', 'THREE'), rows, width, right=(1,), notes=[row[0] for row in rows])
    assert all(display_width(line) <= width for line in text.split('\n'))
    assert text.startswith('  ONE')
