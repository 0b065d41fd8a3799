# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One refresh: probe what is due, choose, give it to the engines, and tell what was seen.

A refresh never restarts anything and never empties a list. When nothing answers, which is what a network that is down looks like, it leaves all as it is.
"""

from __future__ import annotations

import os
import tempfile
import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.quickpull.registry.plugins.module_utils import (
    _engine_facts,
    _io,
    _journal,
    _probe,
    _refresh_choice,
    _refresh_engines,
    _refresh_metrics,
)
from ansible_collections.quickpull.registry.plugins.module_utils import _refresh_report as reports
from ansible_collections.quickpull.registry.plugins.module_utils import _refresh_share as share
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import normalise_url, parse_mirrors
from ansible_collections.quickpull.registry.plugins.module_utils._query import HAS_JMESPATH, apply_jmespath
from ansible_collections.quickpull.registry.plugins.module_utils._refresh_choice import Steady
from ansible_collections.quickpull.registry.plugins.module_utils._refresh_engines import Done, Work
from ansible_collections.quickpull.registry.plugins.module_utils._refresh_settings import Settings, choice_key, job_of, request_key
from ansible_collections.quickpull.registry.plugins.module_utils._stability import further
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

#: Seconds between a probe in which a mirror in use failed and the one that has to confirm it.
CONFIRM_SECONDS = 2.0
#: What the id of a run of the role ends in, be it a removal or not, and for how many seconds after its last change one that does not end is waited for.
ROLE, PATIENCE = ('-site', '-remove'), 900.0
#: Results of another host are taken for so many intervals: of two hosts with one timer the later one must find the earlier one's.
SHARED_FOR = 1.5

Result = t.Dict[str, t.Any]


def _facts(state: State) -> dict[str, t.Any]:
    return _engine_facts.facts(_engine_facts.Hosts(), state)


def busy(state: State) -> str:
    """Why it is not the moment to change anything: a run of the role on this host that has begun to and not come to its end. Empty when it is.

    The role ends with the module registry_mirror_refresh, which notes that. One that died is waited for no longer than :data:`PATIENCE`.
    """
    asked_for = [run for run in _journal.runs(state) if run.id.endswith(ROLE)]
    if not asked_for or asked_for[-1].undone or asked_for[-1].ended:
        return ''
    try:
        recent = abs(time.time() - os.stat(asked_for[-1].folder).st_mtime) < PATIENCE
    except OSError:
        return ''
    return 'A run of the role is under way on this host, so nothing is changed now.' if recent else ''


@dataclass(frozen=True)
class Host:
    """The ways in which a refresh reaches the world. Tests put their own in their place."""

    facts: t.Callable[[State], dict[str, t.Any]] = _facts
    probe: t.Callable[[_probe.Job], dict[str, t.Any]] = _probe.run
    ask: t.Callable[[t.Sequence[str], str, float, float], t.Optional[share.Shared]] = share.ask
    apply: t.Callable[[Work], t.List[Done]] = _refresh_engines.refresh
    pending: t.Callable[[Work], t.Dict[str, str]] = _refresh_engines.pending
    busy: t.Callable[[State], str] = busy
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
        results are), ``results`` (by upstream; ``asked`` in each: epoch seconds), ``engines`` (dicts with ``engine``, ``upstream``, ``before``, ``mirrors``,
        ``changed``, ``because``, ``waits`` and ``last_change``: None, or ``at`` and ``because``), ``waits`` (why nothing was to be changed now), ``goes_by``
        (see :func:`_refresh_settings.choice_key`), ``decided`` (epoch seconds: when the engines were last given what was chosen), ``engines_here``,
        ``pending`` (by engine, why a restart is needed) and ``errors`` (sentences).
    :raises ConfigError: when nothing could be done at all.
    """
    host = host or Host()
    if settings.query and not HAS_JMESPATH:
        raise ConfigError('query: the Python library jmespath is not installed on this host (package python3-jmespath).', key='query')
    facts = host.facts(state)
    steady = _refresh_choice.load(reports.text_of(reports.memory_path(state)), settings.steadiness)
    if settings.query:
        steady.query = lambda results: apply_jmespath(results, settings.query, 'query')
    checked = host.now()
    shared = host.ask(settings.ask, settings.asking.ca_path, settings.interval * SHARED_FOR, checked) if settings.ask else None
    found, errors = _find_all(settings, facts, steady, shared, host)
    last = reports.load(state)
    # A probe takes a while, and others may have been at work meanwhile: what they did is no part of what was decided on.
    now = host.facts(state)
    same = [name for name in found if _refresh_engines.in_force(settings, now, name) == _refresh_engines.in_force(settings, facts, name)]
    fresh = {name: list(one.results) for name, one in found.items() if one.fresh and name in same}
    work = Work(settings, now, fresh, steady, state)
    waits = host.busy(state)
    done = host.apply(work) if fresh and not waits else []
    steady.seen.update({name: max(one.probed, steady.seen.get(name, 0.0)) for name, one in found.items() if name in fresh and not waits})
    report = {**_report(checked, found, done, work, host, last), 'waits': waits, 'goes_by': choice_key(settings)}
    # What stands there of engines that nothing was given to now is the choice of another time, which others may have written over meanwhile.
    report['decided'] = checked if not waits and set(fresh) == set(found) else last.get('decided', 0.0)
    report['errors'] = errors + report['errors']
    _io.write_private(reports.memory_path(state), _refresh_choice.dump(steady).encode(), root=state.root)
    offered = share.dump(report['probed'], {request_key(settings, name): list(one.results) for name, one in found.items()})
    for path, text in ((host.offered, offered), (settings.metrics_path, _refresh_metrics.render(report))):
        if path:
            try:
                _show(path, text)
            except OSError as exc:
                report['errors'].append(f'Cannot write {path}: {exc.strerror or exc}.')
    _io.write_private(reports.report_path(state), reports.dump(report), root=state.root)
    return report


# -- what serves


def _find_all(
    settings: Settings, facts: t.Mapping[str, t.Any], steady: Steady, shared: share.Shared | None, host: Host
) -> tuple[dict[str, Found], list[str]]:
    """What is known of each upstream, and a sentence for each of which nothing is: a mistake or a fault with one is no reason to pass over the others."""
    found, errors = {}, []
    for name in _refresh_engines.upstreams(settings, facts):
        try:
            found[name] = _find(settings, name, facts, steady, shared, host)
        except ConfigError as exc:
            errors.append(f'{name}: {exc}')
        except Exception as exc:  # noqa: BLE001  pylint: disable=broad-except
            errors.append(f'{name}: {type(exc).__name__}: {exc}')
    return found, errors


def _find(settings: Settings, upstream: str, facts: t.Mapping[str, t.Any], steady: Steady, shared: share.Shared | None, host: Host) -> Found:
    """What is known of the mirrors of one upstream: what another host told, if it asked the same, or what they say themselves."""
    urls = [one.url for one in parse_mirrors(list(settings.mirrors[upstream]))]
    by_engine = _refresh_engines.in_force(settings, facts, upstream)
    held = [url for url in urls if any(url in mirrors for mirrors in by_engine.values())]
    told = _told(settings, upstream, urls, steady, shared, host)
    if shared and told:
        known = {normalise_url(str(one['url'])) for one in told.results}
        more = [url for url in held if normalise_url(url) not in known]
        return replace(told, results=[*told.results, *(_probe_some(settings, upstream, more, host) if more else [])])
    results = _probe_some(settings, upstream, steady.due(upstream, urls, by_engine), host)
    more = further(urls, results)
    if more:
        results += _probe_some(settings, upstream, more, host)
    return Found(_confirmed(settings, upstream, results, held, host), host.now())


def _told(settings: Settings, upstream: str, urls: t.Sequence[str], steady: Steady, shared: share.Shared | None, host: Host) -> Found | None:
    """What another host found, where it is worth anything here: nothing of mirrors that are not listed, and nothing where none serves or nothing is new."""
    listed = {normalise_url(url) for url in urls}
    results = [one for one in (shared.upstreams.get(request_key(settings, upstream), ()) if shared else ()) if normalise_url(str(one['url'])) in listed]
    if shared is None or not any(one['ok'] for one in results):
        return None
    # The clocks of two hosts, and the way of the answer, make a difference of less than this.
    fresh = shared.probed_at - steady.seen.get(upstream, 0.0) > 1.0
    if not fresh and host.now() - shared.probed_at > settings.interval:
        return None
    return Found(results, shared.probed_at, shared.source, fresh)


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
    checked: float,
    found: t.Mapping[str, Found],
    done: t.Sequence[Done],
    work: Work,
    host: Host,
    last: t.Mapping[str, t.Any],
) -> dict[str, t.Any]:
    former = {(one['engine'], one['upstream']): one.get('last_change') for one in last.get('engines', ())}
    kept = [one for one in last.get('engines', ()) if (one['engine'], one['upstream']) not in {(two.engine, two.upstream) for two in done}]
    engines = [
        {
            'engine': one.engine, 'upstream': one.upstream, 'before': list(one.before), 'mirrors': list(one.after), 'changed': one.changed,
            'because': one.because, 'waits': one.waits,
            'last_change': {'at': checked, 'because': one.because} if one.changed else former.get((one.engine, one.upstream)),
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
        # Of those that were not asked, since they go on failing, what was seen when they last were.
        'results': {name: _with_unasked(work.settings, name, one, last) for name, one in found.items()},
        # What nothing new is known of is as it was.
        'engines': engines + [{**one, 'changed': False, 'because': ''} for one in kept if one['engine'] in work.here and one['upstream'] in found],
        'engines_here': work.here,
        'pending': host.pending(work),
        'errors': [f'{one.engine}: {one.error}' for one in done if one.error],
    }


def _with_unasked(settings: Settings, upstream: str, found: Found, last: t.Mapping[str, t.Any]) -> list[Result]:
    """Each result with ``asked``, when that was (epoch seconds)."""
    results = [{**one, 'asked': found.probed} for one in found.results]
    asked = {normalise_url(str(one['url'])) for one in results}
    listed = {normalise_url(one.url) for one in parse_mirrors(list(settings.mirrors[upstream]))} - asked
    return [*results, *(one for one in last.get('results', {}).get(upstream, ()) if normalise_url(str(one['url'])) in listed)]


def _show(path: str, text: str) -> None:
    """A file that anybody may read. A link that somebody put in its place is replaced, and not followed: the directory may be another user's.

    :raises OSError: when it cannot be written.
    """
    folder = os.path.dirname(path)
    os.makedirs(folder, 0o755, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix='.quickpull-', dir=folder)
    try:
        with os.fdopen(descriptor, 'w', encoding='utf-8', errors='replace') as stream:
            stream.write(text)
        os.chmod(name, 0o644)
        os.rename(name, path)
    except BaseException:
        os.unlink(name)
        raise
