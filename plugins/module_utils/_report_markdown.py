# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as Markdown with tables, fit for the summary of a CI job, which takes a megabyte at most, and for a comment."""

from __future__ import annotations

import collections
import math
import re
import statistics
import typing as t
import unicodedata

from ansible_collections.quickpull.registry.plugins.module_utils._mirror import normalise_url
from ansible_collections.quickpull.registry.plugins.module_utils._report import (
    DRY_RUN,
    FINISH,
    best_first,
    engine_names,
    has_own_mirrors,
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
_NOTES = 3  # of a mirror that many places saw
_PROBES_EACH = 10  # so many probes of an upstream have a table each; more are counted in one
# What makes a link, a mention, a reference or a picture of a text, at GitHub, GitLab and others. A URL is shown as code, which is none of these, if it has
# nothing that could end the code or a cell. The others are broken by a letter of no width: a backslash or an entity would not do, since mentions are
# looked for in the text as it is shown.
_LIVE = re.compile(
    r"(?P<url>(?:[A-Za-z][A-Za-z0-9+.-]{0,20}://|(?<![A-Za-z0-9])www\.)[\w.~:/?#\[\]@!$&'()+,;=%-]*[\w/=&+%~\]-])"
    r'|(?P<broken>@(?=\w)|:(?=//)|:(?=(?:100|1234|[\w+-]*[A-Za-z+-][\w+-]*):)|(?<![A-Za-z0-9])(?:[Gg][Hh]-(?=\d)|[Ww]{3}(?=\.))|[#!~%$&^](?=\w))'
    r'|(?P<mark>[\\`*_{}\[\]<>#|~!&$])'
)
_NO_WIDTH = '&#8203;'


class _Block(t.NamedTuple):
    """A part of the report: what stands at its head, and rows of a table or a list, of which some may have no room."""

    head: str
    rows: t.Sequence[str] = ()


def render_data(report: t.Mapping[str, t.Any]) -> str:
    """What :func:`_report.as_data` made, as Markdown: what needs somebody first, then the hosts, then what was probed."""
    hosts = report['hosts']
    blocks = [_Block('## Registry mirrors')]
    if report.get('check_mode'):
        blocks.append(_Block(escape(DRY_RUN)))
    blocks.append(_Block(escape(sentence(report['summary']))))
    if report.get('generated_at'):
        blocks.append(_Block(f'As of {escape(report["generated_at"])}.'))
    for title, said in notes_by_kind(hosts):
        blocks.append(_Block(f'### {title}\n', [f'- {escape(f"{some_names(names, len(hosts))}: {text}")}' for text, names in said.items()]))
        blocks += [_Block(FINISH)] if title == 'Pending' else []
    if hosts:
        blocks.append(_table('Hosts', ('Host', 'Engine', 'Mirrors', 'Plan', 'Proof', 'Pending', 'Drift'), _host_rows(hosts)))
    by_upstream: dict[str, list[t.Mapping[str, t.Any]]] = {}
    for probe in report['probes']:
        by_upstream.setdefault(str(probe['upstream'] or ''), []).append(probe)
    for probes in by_upstream.values():
        blocks += [_counted(probes)] if len(probes) > _PROBES_EACH else [_probe(probe) for probe in probes]
    return '\n\n'.join(_fitting(blocks)) + '\n'


def _fitting(blocks: t.Sequence[_Block]) -> t.Iterator[str]:
    """The texts of the blocks, with the rows that there is room for. Each may take half of what is left, so that none takes all from those behind it."""
    room, whole = _BYTES, True
    for block in blocks:
        left = room // 2 - len(block.head.encode('utf-8'))
        kept: list[str] = []
        for row in block.rows[:_ROWS]:
            left -= len(row.encode('utf-8')) + 1
            if left < 0:
                whole = False
                break
            kept.append(row)
        if left < 0 and not kept:
            whole = False
            continue
        hidden = len(block.rows) - len(kept)
        text = '\n'.join([block.head, *kept]) + (f'\n\nAnd {hidden} more.' if hidden else '')
        room -= len(text.encode('utf-8')) + 2
        yield text
    if not whole:
        yield 'This is not all: the rest did not fit. The page and the JSON have it.'


def escape(text: str) -> str:
    """Text that Markdown shows as it is, in one line. Control characters, those that turn the direction of writing too, become spaces."""
    clean = ''.join(' ' if unicodedata.category(letter) in ('Cc', 'Cf', 'Zl', 'Zp', 'Cs') else letter for letter in str(text)[: 2 * _LONGEST])
    short = ' '.join(clean.split())
    return _LIVE.sub(_tamed, short if len(short) <= _LONGEST else short[:_LONGEST] + ' ...')


def _tamed(found: re.Match[str]) -> str:
    if found['url']:
        return f'`{found["url"]}`'
    if found['broken']:
        return (f'\\{found["broken"]}' if found['broken'] in '#!~$&' else found['broken']) + _NO_WIDTH
    return f'\\{found["mark"]}'


def _probe(probe: t.Mapping[str, t.Any]) -> _Block:
    title = f'Mirrors of {probe["upstream"] or "an upstream"}'
    title += f', seen from {probe["host"]}' if probe['host'] else ''
    title += f' (site {probe["site"]})' if probe['site'] else ''
    rows = [
        (
            mirror['url'],
            _verdict(mirror),
            latency(mirror['latency_ms']),
            rate(mirror['throughput_bps']),
            str(mirror['hosts_using_it'] or ''),
            why(mirror),
        )
        for mirror in best_first(probe['mirrors'])
    ]
    return _table(title, ('Mirror', 'Verdict', 'Latency', 'Rate', 'Hosts using it', 'Notes'), rows) if rows else _Block(f'### {escape(title)}\n\nNone listed.')


def _counted(probes: t.Sequence[t.Mapping[str, t.Any]]) -> _Block:
    """What many places saw of the mirrors of an upstream, a row for each mirror; those that serve most places first."""
    seen: dict[str, list[tuple[str, t.Mapping[str, t.Any]]]] = {}
    for probe in probes:
        place = str(probe['site'] or probe['host'] or '?')
        for mirror in probe['mirrors']:
            seen.setdefault(mirror['url'], []).append((place, mirror))
    rows = []
    for url, results in seen.items():
        good = [mirror for _place, mirror in results if mirror['ok'] is True]
        times = sorted(mirror['latency_ms'] for mirror in good if mirror['latency_ms'] is not None)
        middle = statistics.median(times) if times else None
        bad = collections.Counter(_verdict(mirror) for _place, mirror in results if mirror['ok'] is not True)
        verdicts = [f'✓ ok at {len(good)} of {len(results)}', *(f'{verdict} at {count}' for verdict, count in bad.most_common())]
        places: dict[str, list[str]] = {}
        for place, mirror in results:
            if why(mirror):
                places.setdefault(why(mirror), []).append(place)
        often = sorted(places.items(), key=lambda said: len(said[1]), reverse=True)
        notes = [f'{some_names(names, 0)}: {said}' for said, names in often[:_NOTES]] + ([f'and {len(often) - _NOTES} more'] if len(often) > _NOTES else [])
        used = str(max(mirror['hosts_using_it'] for _place, mirror in results) or '')
        spread = f'median {latency(middle)}, worst {latency(times[-1])}' if times else ''
        rows.append((-len(good), math.inf if middle is None else middle, (url, ', '.join(verdicts), spread, used, '; '.join(notes))))
    rows.sort(key=lambda row: row[:2])
    title = f'Mirrors of {probes[0]["upstream"] or "an upstream"}, seen from {len(probes)} places'
    return _table(title, ('Mirror', 'Verdicts', 'Latency', 'Hosts using it', 'Notes'), [row[2] for row in rows])


def _verdict(mirror: t.Mapping[str, t.Any]) -> str:
    good = mirror['ok'] is True
    return f'{"✓" if good else "✗"} {mirror["state"] or ("ok" if good else "?")}'


def _host_rows(hosts: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[tuple[str, ...]]:
    """Hosts of which the same is true share a row. Where not all rows have room, those that need somebody come first."""
    named: dict[tuple[str, ...], list[str]] = {}
    calm: dict[tuple[str, ...], int] = {}
    for name, host in hosts.items():
        cells = ('', '', '', f'skipped: {host["skipped"]}', '', str(len(host['drift']) or ''))
        if not host['skipped']:
            mirrors = _change('', host['before'], host['after']) if has_own_mirrors(host) else []
            mirrors += [line for one in host['upstreams'] for line in _change(f'{one["engine"]}, {one["upstream"]}: ', one['before'], one['after'])]
            counts = (str(len(host[kind]) or '') for kind in ('pending', 'drift'))
            cells = (', '.join(engine_names(host)), '; '.join(mirrors), host['plan'], ', '.join(proof_words(host)), *counts)
        named.setdefault(cells, []).append(name)
        calm[cells] = 0 if host['failed'] else 1 if host['pending'] or host['drift'] else 2
    order = sorted(named, key=lambda cells: calm[cells]) if len(named) > _ROWS else list(named)
    return [(some_names(named[cells], 0), *cells) for cells in order]


def _change(head: str, before: t.Sequence[str], after: t.Sequence[str]) -> list[str]:
    old, new = (', '.join(url.rstrip('/') for url in urls) or 'none' for urls in (before, after))
    same = [normalise_url(url) for url in before] == [normalise_url(url) for url in after]
    return [head + (new if same else f'{old} -> {new}')]


def _table(title: str, header: t.Sequence[str], rows: t.Sequence[t.Sequence[str]]) -> _Block:
    head, *lines = (f'| {" | ".join(line)} |' for line in [header, *([escape(cell) for cell in row] for row in rows)])
    return _Block(f'### {escape(title)}\n\n{head}\n| {" | ".join(["---"] * len(header))} |', lines)
