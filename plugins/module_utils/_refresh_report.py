# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a refresh saw and did: the file that it leaves, and the same in words."""

from __future__ import annotations

import json
import os
import time
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _io
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._root import below
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

VERSION = 1
#: Of each result, what an audit tells.
_OF_RESULT = ('url', 'ok', 'state', 'failed_at', 'reason')
#: What a refresh goes by.
SETTINGS = '/etc/quickpull.registry/refresh.json'


def memory_path(state: State) -> str:
    """What is remembered from one refresh to the next; it may be lost."""
    return os.path.join(state.root, 'refresh', 'memory.json')


def report_path(state: State) -> str:
    """What the last refresh saw and did."""
    return os.path.join(state.root, 'refresh', 'report.json')


def text_of(path: str) -> str:
    """The text of a file that may be missing, or broken."""
    try:
        return _io.read_text(path) or ''
    except ConfigError:
        return ''


def load(state: State) -> dict[str, t.Any]:
    """The last report, as :func:`_refresh.run` describes it; empty where there is none that can be understood."""
    try:
        last = json.loads(text_of(report_path(state)))
    except ValueError:
        return {}
    return last if isinstance(last, dict) and last.get('version') == VERSION else {}


def facts(state: State, root: str = '') -> dict[str, t.Any]:
    """For container_engine_info: whether the host chooses by itself, and what it last saw."""
    report = load(state)
    engines = report.get('engines', [])
    chosen: dict[str, dict[str, list[str]]] = {}
    served = {name for name, results in report.get('results', {}).items() if any(one.get('ok') for one in results)}
    for one in engines:
        # Where it waits, what it has is not what was chosen; where no mirror served, nothing was.
        if not one['waits'] and one['upstream'] in served:
            chosen.setdefault(one['engine'], {})[one['upstream']] = one['mirrors']
    told = [one['because'] or one['waits'] for one in engines]
    return {
        'installed': os.path.exists(below(root, SETTINGS)),
        'checked_at': _moment(report['checked']) if report else '',
        'because': ' '.join(dict.fromkeys(one for one in told if one)),
        'last_change': _last_change(engines),
        'errors': report.get('errors', []),
        'mirrors': {one['upstream']: one['mirrors'] for one in engines},
        'chosen': chosen,
        'goes_by': report.get('goes_by', ''),
        'age': round(time.time() - report['decided'], 1) if report.get('decided') else None,
        'results': {name: [{key: one.get(key) for key in _OF_RESULT} for one in found] for name, found in report.get('results', {}).items()},
    }


def keep_choice(state: State, chosen: t.Any) -> None:
    """Let the host's choice count no more, until its next refresh, where it is another by now than the one that a run went by.

    A refresh may decide between the run's look at the host and its first write; then the run has overtaken it.

    :param chosen: what :func:`facts` told at the beginning of the run, or empty where that did not stand for the choice of the run.
    """
    report = load(state)
    if report.get('decided') and facts(state)['chosen'] != (chosen or {}):
        _io.write_private(report_path(state), dump({**report, 'decided': 0.0}), root=state.root)


def dump(report: t.Mapping[str, t.Any]) -> bytes:
    """The file of a report."""
    return (json.dumps(report, indent=1, sort_keys=True) + '\n').encode()


def _moment(seconds: float) -> str:
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(seconds))


def _last_change(engines: t.Iterable[t.Mapping[str, t.Any]]) -> str:
    """When a choice last changed, of which upstream and why; empty where none ever did."""
    known = [(one['last_change']['at'], one['upstream'], one['last_change']['because']) for one in engines if one.get('last_change')]
    return '{}, {}: {}'.format(_moment(max(known)[0]), *max(known)[1:]) if known else ''


def _failure(result: t.Mapping[str, t.Any], report: t.Mapping[str, t.Any], upstream: str) -> str:
    state, asked = result.get('state') or 'failed', result.get('asked')
    newest = max((one.get('asked') or 0 for one in report['results'][upstream]), default=0)
    when = f' at {_moment(asked)}, not asked since' if asked and asked < newest else ''
    return f'{result["url"]} ({state}{when})'


def sentences(report: t.Mapping[str, t.Any]) -> list[str]:
    """The report for the journal: a line for each upstream, and one for each change, wait and error."""
    lines = []
    for upstream, results in report['results'].items():
        failed = [_failure(one, report, upstream) for one in results if not one.get('ok')]
        source = f', as {report["source"][upstream]} found' if report['source'].get(upstream) else ''
        but = f'; not: {", ".join(failed)}' if failed else ''
        lines.append(f'{upstream}: {len(results) - len(failed)} of {len(results)} mirrors serve{source}{but}.')
    for one in report['engines']:
        where = f'{one["engine"]}: {one["upstream"]}'
        if one['changed']:
            # Docker tells URLs with a slash that nobody wrote.
            old, new = (', '.join(url.rstrip('/') for url in one[name]) or 'no mirror' for name in ('before', 'mirrors'))
            lines.append(f'{where}: {old} -> {new}. {one["because"]}'.rstrip())
        elif one['because']:
            lines.append(f'{where}: {one["because"]}')
        if one['waits']:
            lines.append(f'{where}: {one["waits"]}')
    if report.get('waits'):
        lines.append(report['waits'])
    lines += [f'{engine}: a restart is needed, which a refresh does not make. {because}'.rstrip() for engine, because in report['pending'].items()]
    return lines + [f'Error: {text}' for text in report['errors']]
