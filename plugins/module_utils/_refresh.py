# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One refresh: probe what is due, choose, give it to the engines, and tell what was seen.

A refresh never restarts anything and never empties a list. When nothing answers, which is what a network that is down looks like, it leaves all as it is.
"""

from __future__ import annotations

import json
import os
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils import _engine_facts, _io, _probe, _refresh_choice, _refresh_engines, _refresh_metrics
from ansible_collections.quickpull.registry.plugins.module_utils import _refresh_report as reports
from ansible_collections.quickpull.registry.plugins.module_utils import _refresh_share as share
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import normalise_url, parse_mirrors
from ansible_collections.quickpull.registry.plugins.module_utils._query import HAS_JMESPATH, apply_jmespath
from ansible_collections.quickpull.registry.plugins.module_utils._refresh_choice import Steady
from ansible_collections.quickpull.registry.plugins.module_utils._refresh_engines import Done, Work
from ansible_collections.quickpull.registry.plugins.module_utils._refresh_settings import Settings, job_of, request_key
from ansible_collections.quickpull.registry.plugins.module_utils._stability import further
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

#: Seconds between a probe in which a mirror in use failed and the one that has to confirm it.
CONFIRM_SECONDS = 2.0
#: Results of another host are taken for so many intervals: of two hosts with one timer the later one must find the earlier one's.
SHARED_FOR = 1.5

Result = t.Dict[str, t.Any]


def _facts(state: State) -> dict[str, t.Any]:
    return _engine_facts.facts(_engine_facts.Hosts(), state)


@dataclass(frozen=True)
class Host:
    """The ways in which a refresh reaches the world. Tests put their own in their place."""

    facts: t.Callable[[State], dict[str, t.Any]] = _facts
    probe: t.Callable[[_probe.Job], dict[str, t.Any]] = _probe.run
    ask: t.Callable[[t.Sequence[str], str, float, float], t.Optional[share.Shared]] = share.ask
    apply: t.Callable[[Work], t.List[Done]] = _refresh_engines.refresh
    pending: t.Callable[[Work], t.Dict[str, str]] = _refresh_engines.pending
    now: t.Callable[[], float] = time.time
    sleep: t.Callable[[float], None] = time.sleep
    offered: str = share.FILE


@dataclass(frozen=True)
class Found:
    """Results of one upstream. ``source``: empty for this host's own, else the URL of who told. ``fresh``: they were not seen before."""

    results: t.Sequence[Result]
    probed: float
    source: str = ''
    fresh: bool = True


def run(settings: Settings, state: State, host: Host | None = None) -> dict[str, t.Any]:
    """Do it, and return the report, which is also written.

    :returns: ``checked``, ``probed`` and ``chosen`` (epoch seconds: of this refresh, of the results, of the last change), ``source`` (by upstream, whose the
        results are), ``results`` (by upstream), ``engines`` (dicts with ``engine``, ``upstream``, ``before``, ``mirrors``, ``changed``, ``because``,
        ``waits``), ``engines_here``, ``pending`` (by engine, why a restart is needed) and ``errors`` (sentences).
    :raises ConfigError: when nothing could be done at all.
    """
    host = host or Host()
    if settings.query and not HAS_JMESPATH:
        raise ConfigError('query: the Python library jmespath is not installed on this host (package python3-jmespath).', key='query')
    facts = host.facts(state)
    steady = _refresh_choice.load(reports.text_of(reports.memory_path(state)), settings.steadiness)
    checked = host.now()
    shared = host.ask(settings.ask, settings.asking.ca_path, settings.interval * SHARED_FOR, checked) if settings.ask else None
    found = {name: _find(settings, name, facts, steady, shared, host) for name in _refresh_engines.upstreams(settings, facts)}
    steady.seen.update({name: one.probed for name, one in found.items()})
    fresh = {name: apply_jmespath(list(one.results), settings.query, 'query') for name, one in found.items() if one.fresh}
    work = Work(settings, facts, fresh, steady, state)
    done = host.apply(work) if fresh else []
    _io.write_private(reports.memory_path(state), _refresh_choice.dump(steady).encode(), root=state.root)
    report = _report(settings, checked, found, done, work, host, reports.load(state))
    _io.write_private(reports.report_path(state), (json.dumps(report, indent=1, sort_keys=True) + '\n').encode(), root=state.root)
    _show(host.offered, share.dump(report['probed'], {request_key(settings, name): list(one.results) for name, one in found.items()}))
    if settings.metrics_path:
        _show(settings.metrics_path, _refresh_metrics.render(report))
    return report


# -- what serves


def _find(settings: Settings, upstream: str, facts: t.Mapping[str, t.Any], steady: Steady, shared: share.Shared | None, host: Host) -> Found:
    """What is known of the mirrors of one upstream: what another host told, if it asked the same, or what they say themselves."""
    urls = [one.url for one in parse_mirrors(list(settings.mirrors[upstream]))]
    by_engine = _refresh_engines.in_force(settings, facts, upstream)
    held = [url for url in urls if any(url in mirrors for mirrors in by_engine.values())]
    told = list(shared.upstreams.get(request_key(settings, upstream), ())) if shared else []
    known = {normalise_url(str(one['url'])) for one in told}
    if shared and told:
        more = [url for url in held if normalise_url(url) not in known]
        results = told + (_probe_some(settings, upstream, more, host) if more else [])
        # The clocks of two hosts, and the way of the answer, make a difference of less than this.
        return Found(results, shared.probed_at, shared.source, shared.probed_at - steady.seen.get(upstream, 0.0) > 1.0)
    results = _probe_some(settings, upstream, steady.due(upstream, urls, by_engine), host)
    more = further(urls, results)
    if more:
        results += _probe_some(settings, upstream, more, host)
    return Found(_confirmed(settings, upstream, results, held, host), host.now())


def _probe_some(settings: Settings, upstream: str, urls: t.Sequence[str], host: Host) -> list[Result]:
    wanted = {normalise_url(url) for url in urls}
    mirrors = [raw for raw in settings.mirrors[upstream] if normalise_url(parse_mirrors([raw])[0].url) in wanted]
    return list(host.probe(job_of(settings, upstream, mirrors))['results'])


def _confirmed(settings: Settings, upstream: str, results: t.Sequence[Result], held: t.Sequence[str], host: Host) -> list[Result]:
    """The results, those of mirrors in use that failed replaced by a second look: one lost packet is not worth a change of configuration."""
    in_use = {normalise_url(url) for url in held}
    failed = [str(one['url']) for one in results if not one['ok'] and normalise_url(str(one['url'])) in in_use]
    if not failed or not any(one['ok'] for one in results):
        return list(results)
    host.sleep(CONFIRM_SECONDS)
    again = {normalise_url(str(one['url'])): one for one in _probe_some(settings, upstream, failed, host)}
    return [again.get(normalise_url(str(one['url'])), one) for one in results]


# -- what is told


def _report(
    settings: Settings,
    checked: float,
    found: t.Mapping[str, Found],
    done: t.Sequence[Done],
    work: Work,
    host: Host,
    last: t.Mapping[str, t.Any],
) -> dict[str, t.Any]:
    kept = [one for one in last.get('engines', ()) if (one['engine'], one['upstream']) not in {(two.engine, two.upstream) for two in done}]
    engines = [
        {
            'engine': one.engine, 'upstream': one.upstream, 'before': list(one.before), 'mirrors': list(one.after), 'changed': one.changed,
            'because': one.because, 'waits': one.waits,
        }
        for one in done
        if one.upstream
    ]  # fmt: skip
    return {
        'version': reports.VERSION,
        'checked': checked,
        'probed': min((one.probed for one in found.values()), default=0.0),
        'chosen': checked if any(one.changed for one in done) else last.get('chosen', 0.0),
        'source': {name: one.source for name, one in found.items()},
        'results': {name: list(one.results) for name, one in found.items()},
        # What nothing new is known of is as it was.
        'engines': engines + [{**one, 'changed': False, 'because': ''} for one in kept if one['engine'] in work.here and one['upstream'] in found],
        'engines_here': work.here,
        'pending': host.pending(work),
        'errors': [f'{one.engine}: {one.error}' for one in done if one.error],
    }


def _show(path: str, text: str) -> None:
    """A file that anybody may read, in a directory of its own or of others."""
    _io.make_dirs(os.path.dirname(path))
    _io.write_atomic(path, text.encode(), default_mode=0o644)
