# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was probed and done, as a table for people and as data for machines. Pure rendering, no decisions.

The input is a dict: ``check_mode`` (whether nothing was changed); ``probes``, a list of dicts with ``host``, ``site``, ``view`` (what tells it from
other probes of its site, from run to run), ``upstream``, ``results`` (as registry_mirror_probe returns them) and ``elapsed`` (seconds); and ``hosts``, by
name a dict with ``engine``, ``before`` and ``after`` (URLs), ``plan`` and ``apply`` (as the modules return them), ``left_out`` (dicts with ``url`` and
``reason``), ``pending``, ``logins`` and ``warnings`` (sentences), ``upstreams`` (dicts with ``engine``, ``upstream``, ``before``, ``after`` and
``proof``), ``engines`` (dicts with ``engine``, ``version``, ``plan`` and ``applied`` (none, reload or restart), ``proved``, ``pending`` and ``reasons``;
without them ``engine``, ``plan`` and ``apply`` tell of one), ``skipped`` (why nothing was done), ``pull_seconds_before`` and ``pull_seconds_after``.
``in_force``, of a host and of one of ``upstreams``, has the URLs that are in use at the end, where these are not ``after``. Whatever is missing is left
blank.

What other playbooks know may stand there too: in a host ``drift`` (sentences, what is not as it was left) and ``refresh`` (the last choice that the
host made by itself: ``checked_at``, ``because`` and ``mirrors``, by upstream URLs); in a probe ``history``, by mirror the points of
:mod:`_report_history`.
"""

from __future__ import annotations

import re
import typing as t
import unicodedata

from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text, mask_url
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import normalise_url
from ansible_collections.quickpull.registry.plugins.module_utils._report_history import finite, latest, points_of
from ansible_collections.quickpull.registry.plugins.module_utils._select import Policy, select_urls

# Why nothing was done on a host, where that is counted by itself.
UNREACHABLE = 'unreachable'
HELD_BACK = 'held back, since hosts of an earlier wave failed'

# At the head of a report in words.
DRY_RUN = 'Check mode: nothing was changed; this is what would be done.'

WIDTH = 100
SCHEMA_VERSION = 1  # of docs/report.schema.json; whoever changes what a field means raises it
# The way out of what is pending.
FINISH = 'The playbook quickpull.registry.finish finishes it, with registry_access_restart=always at any cost.'
_GAP = '  '
_LEAST = 8  # no column gets narrower than this
_ROW_EACH = 20  # so many hosts have a row each
# What is told of mirrors in files that no daemon had to take.
_WRITTEN = ('read by podman', 'written', 'would be written')
# What could move the cursor, end the line, or turn the direction of what stands behind it. Those that join letters or keep them apart (U+200C, U+200D) stay:
# Persian and some pictures are spelt with them, and they change nothing but the letters beside them.
_CONTROL = re.compile(r'[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb]')

Row = t.Sequence[str]


def render(data: t.Mapping[str, t.Any], width: int = WIDTH) -> str:
    """The report as text of at most ``width`` columns."""
    return render_data(as_data(data), width)


def render_data(report: t.Mapping[str, t.Any], width: int = WIDTH) -> str:
    """What :func:`as_data` made, as text."""
    blocks = [DRY_RUN] if report.get('check_mode') else []
    blocks += [_probe_block(probe, width) for probe in report['probes']]
    if report['hosts']:
        blocks.append(_host_block(report['hosts'], width))
        blocks.append(_upstream_block(report['hosts'], width))
    blocks += _notes(report['hosts'], width)
    blocks.append(sentence(report['summary']))
    return '\n\n'.join(block for block in blocks if block)


def as_data(data: t.Mapping[str, t.Any], generated_at: str = '') -> dict[str, t.Any]:
    """The report as plain dicts and lists, as docs/report.schema.json has it: ``probes``, ``hosts`` and a ``summary`` in numbers.

    :param generated_at: when, in ISO 8601 with a zone.
    """
    check_mode = bool(data.get('check_mode'))
    hosts = {str(name): _host(facts or {}, check_mode) for name, facts in (data.get('hosts') or {}).items()}
    used: dict[tuple[str, str], set[str]] = {}
    for name, facts in (data.get('hosts') or {}).items():
        for upstream, one in [('docker.io', facts or {}), *((str(one.get('upstream') or ''), one) for one in (facts or {}).get('upstreams') or [])]:
            # What would be brought is in force nowhere.
            for url in one.get('before' if check_mode else 'in_force' if 'in_force' in one else 'after') or []:
                used.setdefault((upstream, normalise_url(str(url))), set()).add(str(name))
    probes = [_probe(probe, used, latest(generated_at)) for probe in data.get('probes') or []]
    return {
        'schema_version': SCHEMA_VERSION,
        'generated_at': generated_at,
        'check_mode': check_mode,
        'probes': probes,
        'hosts': hosts,
        'summary': _summary(probes, hosts),
    }


def _probe(probe: t.Mapping[str, t.Any], used: t.Mapping[tuple[str, str], set[str]], last: str) -> dict[str, t.Any]:
    mirrors = []
    history = {normalise_url(str(url)): points for url, points in (probe.get('history') or {}).items()}
    for result in probe.get('results') or []:
        url = str(result.get('url', ''))
        mirrors.append({
            'url': mask_url(url),
            'ok': _bool(result.get('ok')),
            **{name: _text(result.get(name)) for name in ('state', 'failed_at')},
            'reason': mask_text(str(result.get('reason') or '')),
            **{name: finite(result.get(name)) for name in ('latency_ms', 'throughput_bps')},
            'notes': _sentences(result.get('notes')),
            'warnings': _sentences(result.get('warnings')),
            'hosts_using_it': len(used.get((str(probe.get('upstream') or 'docker.io'), normalise_url(url)), ())),
            'history': points_of(history.get(normalise_url(url)), last),
        })
    return {
        **{name: _text(probe.get(name)) for name in ('upstream', 'host', 'site')},
        'view': str(probe.get('view') or ''),
        'elapsed': finite(probe.get('elapsed')),
        'mirrors': mirrors,
    }


# What a host returns is believed to be of the right type nowhere: one odd value of one host would take the report from all.


def _bool(value: t.Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: t.Any) -> str | None:
    return None if value is None else str(value)


def _count_of(value: t.Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1e9 else None


def _host(facts: t.Mapping[str, t.Any], check_mode: bool) -> dict[str, t.Any]:
    plan, apply = facts.get('plan') or {}, facts.get('apply') or {}
    proof = apply.get('proof') or {}
    pending = _sentences(facts.get('pending')) or _sentences(apply.get('pending_because'))
    if apply.get('pending') and not pending:
        pending = ['It is not said why.']
    name, _blank, version = str(facts.get('engine') or '').partition(' ')
    own = {'engine': name, 'version': version, 'plan': plan.get('action'), 'applied': apply.get('applied'), 'proved': proof.get('ok'), 'pending': pending}
    engines = [_engine(one, check_mode) for one in facts.get('engines') or [own]]
    reasons = [reason for one in (plan, *(facts.get('engines') or ())) for reason in _sentences(one.get('reasons'))]
    return {
        'engine': str(facts.get('engine') or ''),
        'engines': [one for one in engines if one['engine']],
        'before': [mask_url(str(url)) for url in facts.get('before') or []],
        'after': [mask_url(str(url)) for url in facts.get('after') or []],
        'plan': _gravest(engines, 'plan'),
        'plan_reasons': list(dict.fromkeys(reasons)),
        'applied': _gravest(engines, 'applied'),
        'would_apply': _gravest(engines, 'would_apply'),
        'proved': _all_proved(engines),
        'failures': _sentences(proof.get('failures')) or _sentences(apply.get('msg') if apply.get('failed') else None),
        'rolled_back': bool(apply.get('rolled_back')),
        'failed': bool(apply.get('failed')),
        'containers_before': _count_of(proof.get('containers_before')),
        'containers_kept': _count_of(proof.get('containers_kept')),
        'pending': pending,
        'left_out': [{'url': mask_url(str(one.get('url', ''))), 'reason': mask_text(str(one.get('reason') or ''))} for one in facts.get('left_out') or []],
        'upstreams': [_upstream(one) for one in facts.get('upstreams') or []],
        'logins': _sentences(facts.get('logins')),
        'warnings': _sentences(facts.get('warnings')),
        'drift': _sentences(facts.get('drift')),
        'refresh': _refresh(facts.get('refresh')),
        'skipped': str(facts.get('skipped') or ''),
        'pull_seconds_before': finite(facts.get('pull_seconds_before')),
        'pull_seconds_after': finite(facts.get('pull_seconds_after')),
    }


def _engine(one: t.Mapping[str, t.Any], check_mode: bool) -> dict[str, t.Any]:
    plan, applied = (str(one.get(name) or '') for name in ('plan', 'applied'))
    pending = _sentences(one.get('pending'))
    return {
        'engine': str(one.get('engine') or ''),
        'version': str(one.get('version') or ''),
        'plan': plan,
        'applied': '' if check_mode else applied,
        # Modules say what they would do as if it were done. Where a later failure kept one from being asked, the plan tells.
        'would_apply': (applied or ('' if pending else plan)) if check_mode else '',
        'proved': None if check_mode else _bool(one.get('proved')),
        'pending': pending,
    }


def _gravest(engines: t.Sequence[t.Mapping[str, t.Any]], name: str) -> str:
    said = [one[name] for one in engines if one[name]]
    return next((word for word in ('restart', 'reload', 'none') if word in said), said[0] if said else '')


def _all_proved(engines: t.Sequence[t.Mapping[str, t.Any]]) -> bool | None:
    """Whether every engine that something was done to holds it; None where nothing was done to any."""
    told = [one['proved'] for one in engines if one['proved'] is not None or one['applied'] in ('reload', 'restart')]
    return False if False in told else True if told and None not in told else None


def _upstream(one: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    urls = {name: [mask_url(str(url)) for url in one.get(name) or []] for name in ('before', 'after')}
    return {**{name: str(one.get(name) or '') for name in ('engine', 'upstream', 'proof')}, **urls}


def _refresh(value: t.Any) -> dict[str, t.Any] | None:
    """The last choice that a host made by itself; None where it makes none."""
    if not isinstance(value, dict) or not value:
        return None
    mirrors = {str(upstream): [mask_url(str(url)) for url in urls or []] for upstream, urls in (value.get('mirrors') or {}).items()}
    return {'checked_at': str(value.get('checked_at') or ''), 'because': mask_text(str(value.get('because') or '')), 'mirrors': mirrors}


def _sentences(value: t.Any) -> list[str]:
    """A sentence, several, or none, as a list. True and False say something happened, but not what."""
    if isinstance(value, str):
        return [mask_text(value)] if value.strip() else []
    return [mask_text(str(item)) for item in value] if isinstance(value, (list, tuple)) else []


def _summary(probes: t.Sequence[t.Mapping[str, t.Any]], hosts: t.Mapping[str, t.Mapping[str, t.Any]]) -> dict[str, int]:
    mirrors = [mirror for probe in probes for mirror in probe['mirrors']]
    return {
        'mirrors': len(mirrors),
        'mirrors_ok': sum(mirror['ok'] is True for mirror in mirrors),
        'hosts': len(hosts),
        'hosts_proved': sum(host['proved'] is True and not host['failed'] for host in hosts.values()),
        'hosts_pending': sum(bool(host['pending']) for host in hosts.values()),
        'hosts_failed': sum(host['failed'] for host in hosts.values()),
        'hosts_skipped': sum(host['skipped'] not in ('', UNREACHABLE, HELD_BACK) for host in hosts.values()),
        'hosts_unreachable': sum(host['skipped'] == UNREACHABLE for host in hosts.values()),
        'hosts_held_back': sum(host['skipped'] == HELD_BACK for host in hosts.values()),
        'hosts_drifted': sum(bool(host['drift']) for host in hosts.values()),
    }


def sentence(summary: t.Mapping[str, int]) -> str:
    """The numbers of a summary in one sentence."""
    parts = []
    if summary['mirrors']:
        parts.append(f'{summary["mirrors_ok"]} of {_count(summary["mirrors"], "mirror")} ok')
    if summary['hosts']:
        parts.append(_count(summary['hosts'], 'host'))
        words = ('proved', 'pending', 'failed', 'skipped', 'unreachable', 'held_back')
        parts += [f'{summary["hosts_" + word]} {word.replace("_", " ")}' for word in words if summary['hosts_' + word]]
    return ', '.join(parts) + '.' if parts else 'Nothing was probed and nothing was done.'


def _count(number: int, noun: str) -> str:
    return f'{number} {noun}' if number == 1 else f'{number} {noun}s'


def _probe_block(probe: t.Mapping[str, t.Any], width: int) -> str:
    title = f'Mirrors of {probe["upstream"] or "an upstream"}'
    title += f', seen from {probe["host"]}' if probe['host'] else ''
    title += f' (site {probe["site"]})' if probe['site'] else ''
    title += f' in {probe["elapsed"]:.1f} s' if _is_number(probe['elapsed']) else ''
    title = _CONTROL.sub(' ', title)
    mirrors = best_first(probe['mirrors'])
    if not mirrors:
        return f'{title}: none listed.'
    rows = [
        (
            mirror['url'],
            str(mirror['state'] or ('ok' if mirror['ok'] else '?')),
            latency(mirror['latency_ms']),
            rate(mirror['throughput_bps']),
            _count(mirror['hosts_using_it'], 'host') if mirror['hosts_using_it'] else '',
        )
        for mirror in mirrors
    ]
    notes = [why(mirror) for mirror in mirrors]
    return '\n'.join([title, table(('MIRROR', 'VERDICT', 'LATENCY', 'RATE', 'USED BY'), rows, width, right=(2, 3), notes=notes)])


def best_first(mirrors: t.Sequence[t.Mapping[str, t.Any]]) -> list[t.Mapping[str, t.Any]]:
    """Those that serve in the order in which a first selection takes them, the others behind as they were listed."""
    order = {url: number for number, url in enumerate(select_urls(mirrors, policy=Policy(max=None)))}
    return sorted(mirrors, key=lambda mirror: order.get(mirror['url'], len(order)))


def why(mirror: t.Mapping[str, t.Any]) -> str:
    """What is wrong with a mirror, or what was noted of a good one; that it is good is said by its verdict."""
    notes = '. '.join([note.replace('_', ' ') for note in mirror['notes']] + mirror['warnings'])
    if mirror['ok'] is True:
        return notes
    place = f'at {mirror["failed_at"]}: ' if mirror['failed_at'] else ''
    return ' '.join(part for part in (place + str(mirror['reason'] or ''), notes) if part)


def _is_number(value: t.Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def latency(value: t.Any) -> str:
    """Milliseconds in words, '' for none."""
    if not _is_number(value):
        return ''
    return f'{value:.0f} ms' if value >= 9.95 else f'{value:.1f} ms'


def rate(value: t.Any) -> str:
    """Bytes a second in words, '' for none."""
    if not _is_number(value):
        return ''
    for unit, size in (('GB/s', 1e9), ('MB/s', 1e6), ('KB/s', 1e3)):
        if value >= size:
            return f'{value / size:.1f} {unit}'
    return f'{value:.0f} B/s'


def _host_block(hosts: t.Mapping[str, t.Mapping[str, t.Any]], width: int) -> str:
    header = ['HOST', 'MIRRORS', 'PLAN', 'PROOF', 'PULL']
    named: dict[tuple[str, ...], list[str]] = {}
    for name, host in hosts.items():
        cells = ('-', '-', f'skipped: {host["skipped"]}', '')
        if not host['skipped']:
            cells = (_change(host['before'], host['after']) if has_own_mirrors(host) else '-', host['plan'] or '-', _proof(host), _pull(host))
        # On a large fleet hosts of which the same is true share a row.
        apart = name if len(hosts) <= _ROW_EACH else ''
        named.setdefault((apart, '\n'.join(engine_names(host)), *cells), []).append(name)
    rows = [[some_names(names, 0) + (f'\n{engines}' if engines else ''), *cells] for (_apart, engines, *cells), names in named.items()]
    # Nobody times pulls outside a demonstration.
    if not any(row[-1] for row in rows):
        header, rows = header[:-1], [row[:-1] for row in rows]
    return '\n'.join(['Hosts', table(header, rows, width)])


def engine_names(host: t.Mapping[str, t.Any]) -> list[str]:
    """Each engine of a host with its version."""
    return [f'{one["engine"]} {one["version"]}'.strip() for one in host['engines']]


def has_own_mirrors(host: t.Mapping[str, t.Any]) -> bool:
    """Whether a host has mirrors of Docker Hub, or a Docker that might; those of the other engines are told for each upstream."""
    return bool(host['before'] or host['after'] or not host['engines'] or any(one['engine'] == 'Docker' for one in host['engines']))


def _upstream_block(hosts: t.Mapping[str, t.Mapping[str, t.Any]], width: int) -> str:
    """The engines whose mirrors are files for each upstream; hosts of which the same is true share a row."""
    named: dict[tuple[str, ...], list[str]] = {}
    for name, host in hosts.items():
        for one in host['upstreams']:
            named.setdefault((one['engine'], one['upstream'], _change(one['before'], one['after']), one['proof']), []).append(name)
    if not named:
        return ''
    rows = [(f'{some_names(names, len(hosts))}\n{engine}', *cells) for (engine, *cells), names in named.items()]
    return '\n'.join(['Mirrors of each registry', table(('HOST', 'REGISTRY', 'MIRRORS', 'PROOF'), rows, width)])


def _change(before: t.Sequence[str], after: t.Sequence[str]) -> str:
    """Before -> after, one below the other; the list alone where nothing changed."""
    old, new = ([url.rstrip('/') for url in urls] or ['none'] for urls in (before, after))
    if [normalise_url(url) for url in old] == [normalise_url(url) for url in new]:
        return '\n'.join(new)
    return '\n'.join(['   ' + url for url in old] + ['-> ' + new[0]] + ['   ' + url for url in new[1:]])


def _proof(host: t.Mapping[str, t.Any]) -> str:
    words = proof_words(host)
    if host['containers_before']:
        words.append(f'{host["containers_kept"]} of {_count(host["containers_before"], "container")} kept')
    return '\n'.join(words)


def proof_words(host: t.Mapping[str, t.Any]) -> list[str]:
    """What became of a host that was not skipped, the worst first."""
    words = []
    if host['failed']:
        words.append('FAILED')
    if host['rolled_back']:
        words.append('rolled back')
    if host['proved'] is True:  # of one that failed: before that
        words.append({'reload': 'reloaded, proved', 'restart': 'restarted, proved'}.get(host['applied'], 'proved'))
    if host['proved'] is False and not host['failed']:
        # As a CRI-O whose log is quiet.
        words.append(f'a {_gravest([one for one in host["engines"] if one["proved"] is False], "applied") or "change"}, not proved')
    if host['would_apply'] in ('reload', 'restart') and not host['failed']:
        words.append(f'would {host["would_apply"]}')
    if host['pending']:
        words.append('pending')
    if not words:
        written = [one['proof'] for one in host['upstreams'] if one['proof'] in _WRITTEN and one['before'] != one['after']]
        words.append(written[0] if written else 'nothing to do' if host['plan'] in ('', 'none') else 'not applied')
    return words


def _pull(host: t.Mapping[str, t.Any]) -> str:
    before, after = host['pull_seconds_before'], host['pull_seconds_after']
    if not _is_number(after):
        return f'{before:.1f} s' if _is_number(before) else ''
    return f'{before:.1f} s\n-> {after:.1f} s' if _is_number(before) else f'{after:.1f} s'


def _notes(hosts: t.Mapping[str, t.Mapping[str, t.Any]], width: int) -> list[str]:
    """What needs a sentence: each said once, with the hosts it is true of."""
    ways = {'Pending': [FINISH]}
    return [
        '\n'.join([_said_block(title, said, len(hosts), width), *('  ' + line for way in ways.get(title, ()) for line in wrap(way, width - 2))])
        for title, said in notes_by_kind(hosts)
    ]


def notes_by_kind(hosts: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[tuple[str, dict[str, list[str]]]]:
    """By kind what needs a sentence, and for each sentence the names of the hosts it is true of; a kind of which there is nothing is left out."""
    kinds: list[tuple[str, t.Callable[[t.Mapping[str, t.Any]], list[str]]]] = [
        ('Failed', lambda host: host['failures']),
        ('Pending', lambda host: host['pending']),
        ('Drift', lambda host: host['drift']),
        ('Left out', lambda host: [f'{one["url"]}: {one["reason"]}' for one in host['left_out']]),
        ('Logins', lambda host: host['logins']),
        ('Warnings', lambda host: host['warnings']),
    ]
    found = [(title, said_of({name: sentences(host) for name, host in hosts.items()})) for title, sentences in kinds]
    return [(title, said) for title, said in found if said]


def said_of(sentences: t.Mapping[str, t.Sequence[str]]) -> dict[str, list[str]]:
    """Each sentence with the hosts that it is true of. ``sentences``: by host."""
    said: dict[str, list[str]] = {}
    for name, listed in sentences.items():
        for text in dict.fromkeys(listed):
            said.setdefault(text, []).append(name)
    return said


def sentences_block(title: str, sentences: t.Mapping[str, t.Sequence[str]], width: int = WIDTH) -> str:
    """A title, and each sentence once with the hosts that it is true of; empty where there is none.

    :param sentences: by host, of all hosts.
    """
    return _said_block(title, said_of(sentences), len(sentences), width)


def _said_block(title: str, said: t.Mapping[str, t.Sequence[str]], total: int, width: int) -> str:
    lines = [line for text, names in said.items() for line in _bullet(f'{some_names(names, total)}: {text}', width)]
    return '\n'.join([title, *lines]) if lines else ''


def some_names(names: t.Sequence[str], total: int) -> str:
    """A few of the names, or that it is all of ``total``."""
    if len(names) == total and total > 1:
        return f'all {total} hosts'
    return ', '.join(names) if len(names) <= 4 else f'{", ".join(names[:3])} and {len(names) - 3} more'


def _bullet(text: str, width: int) -> list[str]:
    lines = wrap(text, width - 4)
    return [('  - ' if number == 0 else '    ') + line for number, line in enumerate(lines)]


# ---- text that keeps its columns


def display_width(text: str) -> int:
    """How many columns a terminal gives the text: two for wide letters, none for combining ones."""
    return sum(0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in 'WF' else 1 for letter in text)


def wrap(text: str, width: int) -> list[str]:
    """The lines of a text, each at most ``width`` columns; line breaks and what a line is indented by stay.

    Control characters become spaces: what a mirror said must not move the cursor of whoever reads it, nor turn the direction of writing.
    """
    lines: list[str] = []
    for paragraph in text.split('\n'):
        clean = _CONTROL.sub(' ', paragraph)
        indent = ' ' * min(len(clean) - len(clean.lstrip(' ')), width // 2)
        lines += [(indent + line).rstrip() for line in _fill(clean.split(), width - len(indent))]
    return lines


def _fill(words: t.Sequence[str], width: int) -> list[str]:
    lines = ['']
    for piece in (piece for word in words for piece in _cut(word, width)):
        if lines[-1] and display_width(lines[-1]) + 1 + display_width(piece) <= width:
            lines[-1] += ' ' + piece
        elif lines[-1]:
            lines.append(piece)
        else:
            lines[-1] = piece
    return lines


def _cut(line: str, width: int) -> list[str]:
    pieces, piece, used = [], '', 0
    for letter in line:
        size = display_width(letter)
        if piece and used + size > width:
            pieces.append(piece)
            piece, used = '', 0
        piece += letter
        used += size
    return [*pieces, piece]


def table(header: Row, rows: t.Sequence[Row], width: int = WIDTH, right: t.Collection[int] = (), notes: t.Sequence[str] = ()) -> str:
    """Rows under a header, in columns as wide as need be and no line wider than ``width``; long cells take several lines.

    ``right``: the columns that are set flush right. ``notes``: for each row what stands below it, '' for nothing.
    """
    widths = _widths([header, *rows], width - 2)
    lines = _row_lines(header, widths, right)
    for number, row in enumerate(rows):
        lines += _row_lines(row, widths, right)
        note = notes[number] if notes else ''
        lines += ['      ' + line for line in wrap(note, width - 6)] if note else []
    return '\n'.join(lines)


def _row_lines(row: Row, widths: t.Sequence[int], right: t.Collection[int]) -> list[str]:
    cells = [wrap(cell, widths[number]) for number, cell in enumerate(row)]
    lines = []
    for level in range(max(len(cell) for cell in cells)):
        parts = [_pad(cell[level] if level < len(cell) else '', widths[number], number in right) for number, cell in enumerate(cells)]
        lines.append(('  ' + _GAP.join(parts)).rstrip())
    return lines


def _widths(rows: t.Sequence[Row], width: int) -> list[int]:
    """As wide as the widest line of each column; while that is too much together, the widest column gives way."""
    wanted = [max(display_width(line) for row in rows for line in row[number].split('\n')) for number in range(len(rows[0]))]
    while sum(wanted) + len(_GAP) * (len(wanted) - 1) > width and max(wanted) > _LEAST:
        wanted[wanted.index(max(wanted))] -= 1
    return wanted


def _pad(text: str, width: int, right: bool) -> str:
    blanks = ' ' * (width - display_width(text))
    return blanks + text if right else text + blanks
