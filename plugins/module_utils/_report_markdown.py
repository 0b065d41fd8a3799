# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as Markdown with tables, fit for the summary of a CI job, which takes a megabyte at most."""

from __future__ import annotations

import re
import typing as t
import unicodedata

from ansible_collections.quickpull.registry.plugins.module_utils._mirror import normalise_url
from ansible_collections.quickpull.registry.plugins.module_utils._report import (
    FINISH,
    best_first,
    latency,
    notes_by_kind,
    proof_words,
    rate,
    sentence,
    some_names,
    why,
)

_ROWS = 200  # of a table; the page and the JSON have all
_BYTES = 900_000  # in all
_LONGEST = 2000  # of a cell; what a mirror said may be long
_MARKUP = re.compile(r'([\\`*_{}\[\]<>#|~!&$])')


def render_data(report: t.Mapping[str, t.Any]) -> str:
    """What :func:`_report.as_data` made, as Markdown."""
    blocks = ['## Registry mirrors', escape(sentence(report['summary']))]
    if report.get('generated_at'):
        blocks.append(f'As of {escape(report["generated_at"])}.')
    for probe in report['probes']:
        blocks += _probe(probe)
    if report['hosts']:
        blocks += ['### Hosts', _table(('Host', 'Engine', 'Mirrors', 'Plan', 'Proof', 'Pending', 'Drift'), _host_rows(report['hosts']))]
    for title, said in notes_by_kind(report['hosts']):
        blocks += [f'### {title}', _list([f'{some_names(names, len(report["hosts"]))}: {text}' for text, names in said.items()])]
        blocks += [FINISH] if title == 'Pending' else []
    return '\n\n'.join(_fitting(blocks)) + '\n'


def _fitting(blocks: t.Sequence[str]) -> t.Iterator[str]:
    """The blocks that there is room for."""
    room = _BYTES
    for block in blocks:
        room -= len(block.encode('utf-8')) + 2
        if room < 0:
            yield 'This is not all: the rest did not fit. The page and the JSON have it.'
            return
        yield block


def escape(text: str) -> str:
    """Text that Markdown shows as it is, in one line. Control characters, those that turn the direction of writing too, become spaces."""
    clean = ''.join(' ' if unicodedata.category(letter) in ('Cc', 'Cf', 'Zl', 'Zp', 'Cs') else letter for letter in str(text)[: 2 * _LONGEST])
    short = ' '.join(clean.split())
    return _MARKUP.sub(r'\\\1', short if len(short) <= _LONGEST else short[:_LONGEST] + ' ...')


def _probe(probe: t.Mapping[str, t.Any]) -> list[str]:
    title = f'Mirrors of {probe["upstream"] or "an upstream"}'
    title += f', seen from {probe["host"]}' if probe['host'] else ''
    title += f' (site {probe["site"]})' if probe['site'] else ''
    rows = [
        (
            mirror['url'],
            _verdict(mirror['ok'] is True, str(mirror['state'] or ('ok' if mirror['ok'] else '?'))),
            latency(mirror['latency_ms']),
            rate(mirror['throughput_bps']),
            str(mirror['hosts_using_it'] or ''),
            why(mirror),
        )
        for mirror in best_first(probe['mirrors'])
    ]
    header = ('Mirror', 'Verdict', 'Latency', 'Rate', 'Hosts using it', 'Notes')
    return [f'### {escape(title)}', _table(header, rows) if rows else 'None listed.']


def _verdict(good: bool, state: str) -> str:
    return f'{"✓" if good else "✗"} {state}'


def _host_rows(hosts: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[tuple[str, ...]]:
    """Hosts of which the same is true share a row."""
    named: dict[tuple[str, ...], list[str]] = {}
    for name, host in hosts.items():
        cells = ('', '', '', f'skipped: {host["skipped"]}', '', str(len(host['drift']) or ''))
        if not host['skipped']:
            mirrors = _change('', host['before'], host['after']) if host['before'] or host['after'] or not host['upstreams'] else []
            mirrors += [line for one in host['upstreams'] for line in _change(f'{one["engine"]}, {one["upstream"]}: ', one['before'], one['after'])]
            counts = (str(len(host[kind]) or '') for kind in ('pending', 'drift'))
            cells = (host['engine'], '; '.join(mirrors), host['plan'], ', '.join(proof_words(host)), *counts)
        named.setdefault(cells, []).append(name)
    return [(some_names(names, 0), *cells) for cells, names in named.items()]


def _change(head: str, before: t.Sequence[str], after: t.Sequence[str]) -> list[str]:
    old, new = (', '.join(url.rstrip('/') for url in urls) or 'none' for urls in (before, after))
    same = [normalise_url(url) for url in before] == [normalise_url(url) for url in after]
    return [head + (new if same else f'{old} -> {new}')]


def _table(header: t.Sequence[str], rows: t.Sequence[t.Sequence[str]]) -> str:
    lines = [header, ['---'] * len(header), *([escape(cell) for cell in row] for row in rows[:_ROWS])]
    text = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
    return text + _more(rows)


def _list(sentences: t.Sequence[str]) -> str:
    return '\n'.join(f'- {escape(one)}' for one in sentences[:_ROWS]) + _more(sentences)


def _more(rows: t.Sequence[t.Any]) -> str:
    return f'\n\nAnd {len(rows) - _ROWS} more.' if len(rows) > _ROWS else ''
