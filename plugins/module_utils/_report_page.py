# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as one HTML file that needs nothing else: style, script and data are in it, and its own policy forbids it the network.

What it looks like is in playbooks/files/report/: page.html, page.css, words.js (all strings, in each language) and page.js. The script draws from the
data alone and sets text, never markup, so that what a mirror said stays text. Without a script the report is there as plain text.
"""

from __future__ import annotations

import base64
import collections
import hashlib
import html
import json
import re
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._report import best_first, notes_by_kind, proof_words, render_data, sentence

ASSETS = ('page.html', 'page.css', 'words.js', 'page.js')
_PLAIN_MIRRORS = 2000  # with more results than this the page without a script has the sentence alone
_PLACE = re.compile(r'@@([A-Z]+)@@')


def page(report: t.Mapping[str, t.Any], assets: t.Mapping[str, str]) -> str:
    """What :func:`_report.as_data` made, as the text of an HTML file.

    :param assets: the texts of :data:`ASSETS` by name.
    """
    # The policy allows what has these very hashes, so nothing that might get into the page besides can run.
    style, script = (f'\n{text}' for text in (assets['page.css'], assets['words.js'] + assets['page.js']))
    policy = {
        'default-src': "'none'",
        'style-src': f"'sha256-{_sha256(style)}'",
        'script-src': f"'sha256-{_sha256(script)}'",
        'img-src': 'data:',
        'base-uri': "'none'",
        'form-action': "'none'",
    }
    parts = {
        'POLICY': html.escape('; '.join(f'{name} {value}' for name, value in policy.items())),
        'STYLE': style,
        'SCRIPT': script,
        'DATA': json_for_script(model(report)),
        'SUMMARY': html.escape(_text(sentence(report['summary']))),
        'TIME': html.escape(_text(report.get('generated_at') or '')),
        'PLAIN': html.escape(_text(_plain(report))),
    }
    # In one pass: what is put in is not looked through again.
    return _PLACE.sub(lambda found: parts[found.group(1)], assets['page.html'])


def json_for_script(value: t.Any) -> str:
    """JSON that may stand in a script element: no ``<``, so no end tag and no comment; pure ASCII, so no U+2028."""
    text = json.dumps(value, ensure_ascii=True, separators=(',', ':'), allow_nan=False)
    return text.replace('<', '\\u003c').replace('>', '\\u003e').replace('&', '\\u0026')


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')


def _text(text: str) -> str:
    """Without what cannot be encoded, and without control characters but the line break."""
    clean = str(text).encode('utf-8', 'replace').decode('utf-8')
    return re.sub(r'[\x00-\x09\x0b-\x1f\x7f-\x9f]', ' ', clean)


def _plain(report: t.Mapping[str, t.Any]) -> str:
    return render_data(report) if report['summary']['mirrors'] <= _PLAIN_MIRRORS else ''


# ---- what the script gets. What is empty is left out: a large fleet has tens of thousands of results.


def model(report: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The report as the page's script wants it: a matrix for each upstream, hosts, notes."""
    return {
        'time': report.get('generated_at') or '',
        'check_mode': bool(report.get('check_mode')),
        'summary': {**report['summary'], 'hosts_drift': sum(bool(host['drift']) for host in report['hosts'].values())},
        'upstreams': _upstreams(report['probes']),
        'hosts': [_host(name, host) for name, host in report['hosts'].items()],
        'notes': [
            {'kind': kind, 'text': text, 'hosts': names} for kind, said in notes_by_kind(report['hosts']) for text, names in said.items()
        ],
    }


def _upstreams(probes: t.Sequence[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """For each upstream its sites, and its mirrors with a cell for each site (0: not probed from there)."""
    found: dict[str, list[t.Mapping[str, t.Any]]] = {}
    for probe in probes:
        found.setdefault(str(probe['upstream'] or ''), []).append(probe)
    return [_matrix(upstream, of_it) for upstream, of_it in found.items()]


def _matrix(upstream: str, probes: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    labels = [str(probe['site'] or probe['host'] or '?') for probe in probes]
    often = collections.Counter(labels)
    sites: list[dict[str, str]] = []
    rows: dict[str, dict[str, t.Any]] = {}
    for at, (label, probe) in enumerate(zip(labels, probes)):
        # Hosts of one site that go by different proxies probe apart.
        host = str(probe['host'] or '')
        sites.append({'name': f'{label} ({host})' if often[label] > 1 and host else label, 'from': host})
        for mirror in best_first(probe['mirrors']):
            row = rows.setdefault(mirror['url'], {'url': mirror['url'], 'used': 0, 'cells': {}})
            row['used'] = max(row['used'], mirror['hosts_using_it'])
            row['cells'][at] = _cell(mirror)
    for row in rows.values():
        row['cells'] = [row['cells'].get(at, 0) for at in range(len(sites))]
    return {'name': upstream, 'sites': sites, 'mirrors': list(rows.values())}


def _cell(mirror: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    good = mirror['ok'] is True
    cell = {
        'state': str(mirror['state'] or ('ok' if good else '?')),
        'ok': 1 if good else 0,
        'ms': mirror['latency_ms'],
        'bps': mirror['throughput_bps'],
        'at': '' if good else mirror['failed_at'],
        'why': '' if good else mirror['reason'],
        'notes': [*mirror['notes'], *mirror['warnings']],
        # What is drawn of each run: milliseconds, 0 where they were not measured, None where it did not serve.
        'past': [(point['latency_ms'] or 0) if point['state'] == 'ok' else None for point in mirror.get('history') or []],
    }
    return _without_blanks(cell)


def _host(name: str, host: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    kept = [host['containers_kept'], host['containers_before']] if host['containers_before'] else None
    shown = {
        'proof': [] if host['skipped'] else proof_words(host),
        'kept': kept,
        'name': name,
        'engines': [_without_blanks(one) for one in host['engines']],
        **{key: host[key] for key in ('engine', 'before', 'after', 'plan', 'plan_reasons', 'failures', 'pending', 'drift', 'refresh', 'upstreams', 'skipped')},
        'failed': 1 if host['failed'] else 0,
    }
    return _without_blanks(shown)


def _without_blanks(facts: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {key: value for key, value in facts.items() if value not in (None, '', [], {}) or key == 'ok'}
