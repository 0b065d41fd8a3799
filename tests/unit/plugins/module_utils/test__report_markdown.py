# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st
from page import sample

from ansible_collections.quickpull.registry.plugins.module_utils import _report_markdown
from ansible_collections.quickpull.registry.plugins.module_utils._report import as_data
from ansible_collections.quickpull.registry.plugins.module_utils._report_markdown import escape, render_data

DATA: dict[str, t.Any] = {
    'probes': [
        {
            'site': 'berlin',
            'host': 'web1',
            'upstream': 'docker.io',
            'results': [
                {'url': 'http://old.lab', 'ok': False, 'state': 'stale', 'failed_at': 'manifest', 'latency_ms': 14, 'reason': 'It is `old` | dead.'},
                {'url': 'http://good.lab', 'ok': True, 'state': 'ok', 'latency_ms': 2.1, 'throughput_bps': 85_234_567},
            ],
        }
    ],
    'hosts': {
        'web1': {'engine': 'Docker 28.5.2', 'before': [], 'after': ['http://good.lab/'], 'plan': {'action': 'reload'},
                 'apply': {'applied': 'reload', 'proof': {'ok': True}}, 'drift': ['daemon.json differs.']},
        'web2': {'engine': 'Docker 28.5.2', 'before': [], 'after': ['http://good.lab/'], 'plan': {'action': 'reload'},
                 'apply': {'applied': 'reload', 'proof': {'ok': True}}, 'drift': ['daemon.json differs.']},
        'web3': {'skipped': 'no engine'},
    },
}  # fmt: skip

EXPECTED = """\
## Registry mirrors

1 of 2 mirrors ok, 3 hosts, 2 proved, 1 skipped.

As of 2026-11-29T01:30:00Z.

### Drift

- web1, web2: daemon.json differs.

### Hosts

| Host | Engine | Mirrors | Plan | Proof | Pending | Drift |
| --- | --- | --- | --- | --- | --- | --- |
| web1, web2 | Docker 28.5.2 | none -\\> `http://good.lab` | reload | reloaded, proved |  | 1 |
| web3 |  |  |  | skipped: no engine |  |  |

### Mirrors of docker.io, seen from web1 (site berlin)

| Mirror | Verdict | Latency | Rate | Hosts using it | Notes |
| --- | --- | --- | --- | --- | --- |
| `http://good.lab` | ✓ ok | 2.1 ms | 85.2 MB/s | 2 |  |
| `http://old.lab` | ✗ stale | 14 ms |  |  | at manifest: It is \\`old\\` \\| dead. |
"""


def test_render() -> None:
    assert render_data(as_data(DATA, '2026-11-29T01:30:00Z')) == EXPECTED


def test_the_way_out_of_what_is_pending_is_told() -> None:
    text = render_data(as_data({'hosts': {'web1': {'pending': ['Swarm is active.']}}}))
    assert '- web1: Swarm is active.\n\nThe playbook quickpull.registry.finish finishes it' in text


def test_nothing() -> None:
    assert render_data(as_data({})) == '## Registry mirrors\n\nNothing was probed and nothing was done.\n'


@given(st.text(alphabet=st.sampled_from('|`\\\n\r\x1b\u2028\u202e*_<>[]#a \ud800'), max_size=40))
def test_whatever_a_mirror_said_stays_in_its_cell(said: str) -> None:
    data = {'probes': [{'upstream': said, 'host': said, 'results': [{'url': 'x' + said, 'ok': False, 'state': said, 'reason': said, 'notes': [said]}]}],
            'hosts': {said: {'engine': said, 'warnings': [said]}}}  # fmt: skip
    for line in render_data(as_data(data)).splitlines():
        cells = len(re.findall(r'(?<!\\)(?:\\\\)*\|', line)) - 1
        assert cells in (-1, 6, 7)
        assert line.isprintable()


ZERO = '&#8203;'
LIVE = [
    ('@octocat', f'@{ZERO}octocat'),
    ('mail me@evil.example', f'mail me@{ZERO}evil.example'),
    (':rocket: :+1: :100:', f':{ZERO}rocket: :{ZERO}+1: :{ZERO}100:'),
    ('gh-1 GH-26 high-5', f'gh-{ZERO}1 GH-{ZERO}26 high-5'),
    ('#1 a/b#2', f'\\#{ZERO}1 a/b\\#{ZERO}2'),
    ('!7 ~bug %v1 $3', f'\\!{ZERO}7 \\~{ZERO}bug %{ZERO}v1 \\${ZERO}3'),
    ('See https://evil.example/a?b=c&d=e#f.', 'See `https://evil.example/a?b=c&d=e#f`.'),
    ('(www.evil.example)', '(`www.evil.example`)'),
    ('https://镜像.example:5000/', '`https://镜像.example:5000/`'),
    ('http://[fd00::1]:5000', '`http://[fd00::1]:5000`'),
    ('http://|x http://`x`', f'http:{ZERO}//\\|x http:{ZERO}//\\`x\\`'),
    ('www.|x', f'www{ZERO}.\\|x'),
    ('_www.evil.example_', r'\_`www.evil.example_`'),
    ('[x](http://evil.example)', r'\[x\](`http://evil.example`)'),
    ('10:30:00 web1: a - b', '10:30:00 web1: a - b'),
]


@pytest.mark.parametrize('said, shown', LIVE)
def test_what_a_mirror_said_is_no_link_no_mention_and_no_picture(said: str, shown: str) -> None:
    assert escape(said) == shown


PIECES = [*'`|@#:/.w1h-_*\\ ', 'http://', 'www.', '@a', '#1', 'x.y', '镜像']


@given(st.lists(st.sampled_from(PIECES), max_size=20).map(''.join))
def test_outside_of_code_nothing_is_live(said: str) -> None:
    shown = escape(said)
    parts = re.split(r'(?<!\\)(?:\\\\)*`', shown)
    assert len(parts) % 2 == 1, shown
    for text in parts[::2]:
        assert not re.search(r'://|(?<![A-Za-z0-9])www\.|[@#](?=\w)', text.replace(ZERO, '\u200b')), shown
    for code in parts[1::2]:
        assert code and not set(code) & set('`|\\<>')


def test_escape() -> None:
    assert escape('a|b\n`c` <b> \\ \x1b[31m\u202e') == r'a\|b \`c\` \<b\> \\ \[31m'


def test_check_mode_is_told_first() -> None:
    text = render_data(as_data({**DATA, 'check_mode': True}))
    assert text.startswith('## Registry mirrors\n\nCheck mode: nothing was changed; this is what would be done.\n\n')
    assert 'would reload' in text


def test_all_engines_of_a_host_are_shown() -> None:
    k3s = {'engine': 'K3s', 'version': '1.30', 'plan': 'restart', 'applied': 'restart', 'proved': True}
    engines = [{'engine': 'Docker', 'version': '28', 'plan': 'none'}, k3s]
    assert '| a | Docker 28, K3s 1.30 | none | restart | restarted, proved |' in render_data(as_data({'hosts': {'a': {'engines': engines}}}))


def test_of_a_large_fleet_all_that_matters_is_there() -> None:
    report = sample.large()
    text = render_data(report)
    titles = re.findall('^### (.*)$', text, re.M)
    assert titles == ['Pending', 'Drift', 'Warnings', 'Hosts', 'Mirrors of docker.io, seen from 500 places']
    assert len(text.encode()) < 200_000
    assert text.count('mirror-00.example.com` | ✓ ok at 500 of 500 | median ') == 1
    assert re.search(r'mirror-19\.example\.com` \| ✓ ok at \d+ of 500, ✗ \S+ at \d+', text)
    assert 'did not fit' not in text


def test_where_not_all_hosts_have_room_those_that_need_somebody_have() -> None:
    hosts: dict[str, dict[str, t.Any]] = {f'web{number:03}': {'after': [f'http://{number}.lab']} for number in range(300)}
    hosts['web290'].update(apply={'failed': True, 'msg': 'No.'})
    hosts['web280'].update(pending=['Wait.'])
    text = render_data(as_data({'hosts': hosts}))
    rows = [line.split(' | ')[0] for line in text.splitlines() if line.startswith('| web')]
    assert rows[:3] == ['| web290', '| web280', '| web000']
    assert text.endswith('And 100 more.\n')


def test_what_many_places_saw_is_counted() -> None:
    def probe(number: int) -> dict[str, t.Any]:
        good = {'url': 'http://good', 'ok': True, 'state': 'ok', 'latency_ms': number + 1, 'notes': ['slow'] if number == 3 else []}
        bad = {'url': 'http://bad', 'ok': False, 'state': 'stale' if number else 'timeout', 'failed_at': 'manifest', 'reason': 'Its image is old.'}
        return {'upstream': 'docker.io', 'site': f's{number}', 'host': f'h{number}', 'results': [bad, good] if number else [bad]}

    few, many = (render_data(as_data({'probes': [probe(number) for number in range(count)]})) for count in (10, 11))
    assert few.count('### Mirrors of docker.io, seen from') == 10
    assert many.endswith('''\
### Mirrors of docker.io, seen from 11 places

| Mirror | Verdicts | Latency | Hosts using it | Notes |
| --- | --- | --- | --- | --- |
| `http://good` | ✓ ok at 10 of 10 | median 6.5 ms, worst 11 ms |  | s3: slow |
| `http://bad` | ✓ ok at 0 of 11, ✗ stale at 10, ✗ timeout at 1 |  |  | s0, s1, s2 and 8 more: at manifest: Its image is old. |
''')


def test_no_block_takes_the_room_of_all_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_report_markdown, '_BYTES', 20_000)
    hosts = {f'web{number}': {'warnings': [f'{number} ' + 'y' * 900], 'apply': {'failed': True, 'msg': f'{number} ' + 'z' * 900}} for number in range(100)}
    text = render_data(as_data({'hosts': hosts}))
    assert re.findall('^### (.*)$', text, re.M) == ['Failed', 'Warnings', 'Hosts']
    assert len(text.encode()) < 21_000
    assert text.endswith('The page and the JSON have it.\n')


def test_it_fits_a_summary_whatever_the_fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_report_markdown, '_ROWS', 20)
    monkeypatch.setattr(_report_markdown, '_BYTES', 50_000)
    results = [{'url': f'http://{number}.lab', 'ok': False, 'state': 'timeout', 'reason': 'y' * 900} for number in range(30)]
    text = render_data(as_data({'probes': [{'upstream': str(number), 'results': results} for number in range(9)]}))
    assert 30_000 < len(text.encode()) < 51_000
    assert 'And 10 more.' in text
    assert text.endswith('The page and the JSON have it.\n')
    assert len(escape('y' * 9000)) == _report_markdown._LONGEST + 4
