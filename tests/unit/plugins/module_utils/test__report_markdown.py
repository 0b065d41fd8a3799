# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

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

### Mirrors of docker.io, seen from web1 (site berlin)

| Mirror | Verdict | Latency | Rate | Hosts using it | Notes |
| --- | --- | --- | --- | --- | --- |
| http://good.lab | ✓ ok | 2.1 ms | 85.2 MB/s | 2 |  |
| http://old.lab | ✗ stale | 14 ms |  |  | at manifest: It is \\`old\\` \\| dead. |

### Hosts

| Host | Engine | Mirrors | Plan | Proof | Pending | Drift |
| --- | --- | --- | --- | --- | --- | --- |
| web1, web2 | Docker 28.5.2 | none -\\> http://good.lab | reload | reloaded, proved |  | 1 |
| web3 |  |  |  | skipped: no engine |  |  |

### Drift

- web1, web2: daemon.json differs.
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


def test_escape() -> None:
    assert escape('a|b\n`c` <b> \\ \x1b[31m\u202e') == r'a\|b \`c\` \<b\> \\ \[31m'


def test_it_fits_a_summary_whatever_the_fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_report_markdown, '_ROWS', 20)
    monkeypatch.setattr(_report_markdown, '_BYTES', 50_000)
    results = [{'url': f'http://{number}.lab', 'ok': False, 'state': 'timeout', 'reason': 'y' * 900} for number in range(30)]
    text = render_data(as_data({'probes': [{'upstream': str(number), 'results': results} for number in range(9)]}))
    assert 30_000 < len(text.encode()) < 51_000
    assert 'And 10 more.' in text
    assert text.endswith('The page and the JSON have it.\n')
    assert len(escape('y' * 9000)) == _report_markdown._LONGEST + 4
