# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What former runs saw of each mirror, carried from one report to the next.

A point is a dict of ``time`` (ISO 8601), ``state``, ``latency_ms`` and ``throughput_bps`` (bytes a second). A series has the points of one mirror
of one upstream as one site sees it by one way (``view``), the oldest first. The series of what this run probed stand with its mirrors (``history``), the
others in the report's ``earlier``, so that a run with ``--limit`` forgets nothing.
"""

from __future__ import annotations

import datetime
import json
import math
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._mirror import normalise_url

POINTS = 30  # of a series
# Of all series together, about 5 MB of JSON. On a fleet with more than a thousand series each keeps fewer points.
POINTS_IN_ALL = 30_000
_TIME = '%Y-%m-%dT%H:%M:%SZ'
# A clock may have been set back by so much since a former run. What is later than that would push out the present at each run to come.
_GRACE = datetime.timedelta(minutes=10)

Point = t.Dict[str, t.Any]
# Upstream, site, view (None in a file of before there were views) and URL.
Key = t.Tuple[str, str, t.Optional[str], str]


def carried(report: t.Mapping[str, t.Any], former: str = '') -> dict[str, t.Any]:
    """The report with what is known from earlier: at each mirror its ``history`` with this run's point at the end, and ``earlier``.

    :param report: as :func:`_report.as_data` returns it, with ``generated_at``.
    :param former: the text of the report that stood at the same path before. One that is broken, or of another version, is as good as none.
    """
    now = str(report.get('generated_at') or '')
    last = latest(now)
    series = _series_of(_read(former, report.get('schema_version')), last)
    report = {**report, 'probes': _told_apart(report.get('probes') or [], {key[:3] for key in series})}
    seen: dict[Key, list[Point]] = {}
    for key, mirror in _mirrors(report):
        point = {'time': now, **{name: mirror.get(name) for name in ('state', 'latency_ms', 'throughput_bps')}}
        upstream, site, _view, url = key
        past = series[key] if key in series else series.pop((upstream, site, None, url), [])
        seen[key] = points_of([*past, *(mirror.get('history') or []), *([point] if now and mirror.get('state') else [])], last)
    others = sorted(((key, points) for key, points in series.items() if key not in seen and points), key=lambda one: one[1][-1]['time'], reverse=True)
    each = max(1, min(POINTS, POINTS_IN_ALL // max(1, len(seen))))
    seen = {key: points[-each:] for key, points in seen.items()}
    probes = [{**probe, 'mirrors': [{**mirror, 'history': seen[_key(probe, mirror['url'])]} for mirror in probe['mirrors']]} for probe in report['probes']]
    return {**report, 'probes': probes, 'earlier': _earlier(others, each, POINTS_IN_ALL - sum(map(len, seen.values())))}


def _told_apart(probes: t.Sequence[t.Mapping[str, t.Any]], known: t.Collection[tuple[str, str, str | None]]) -> list[dict[str, t.Any]]:
    """The probes, those of one site that went by the same way with who probed in their ``view``.

    The first one needs no such name, so that another host may probe in its place; one that former runs knew by such a name keeps it.

    :param known: upstream, site and view of the series that there are.
    """
    taken: set[tuple[str, str, str | None]] = set()
    found = []
    for probe in probes:
        upstream, site, view, _url = _key(probe, '')
        own = f'{view}@{probe.get("host") or ""}'
        if (upstream, site, own) in known or (upstream, site, view) in taken:
            view = own
        taken.add((upstream, site, view))
        found.append({**probe, 'view': view})
    return found


def latest(now: str) -> str:
    """The latest time that a point may have in a report of this time; empty where that is no time of ours."""
    try:
        return (datetime.datetime.strptime(now, _TIME) + _GRACE).strftime(_TIME)
    except (ValueError, OverflowError):
        return ''


def points_of(value: t.Any, last: str = '') -> list[Point]:
    """The well-formed points of a list, in the order of their time and one for each, at most :data:`POINTS`, the last ones.

    :param last: the latest time that one may have; empty for any.
    """
    points: dict[str, Point] = {}
    for one in value if isinstance(value, list) else []:
        if isinstance(one, dict) and isinstance(one.get('time'), str) and isinstance(one.get('state'), str):
            if last and one['time'] > last:
                continue
            numbers = {name: finite(one.get(name)) for name in ('latency_ms', 'throughput_bps')}
            points[one['time']] = {'time': one['time'], 'state': one['state'], **numbers}
    return [points[time] for time in sorted(points)][-POINTS:]


def finite(value: t.Any) -> float | None:
    """A number that JSON and a plot can take."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15 and math.isfinite(value)
    return value if good else None


def _read(text: str, version: t.Any) -> dict[str, t.Any]:
    try:
        loaded = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) and loaded.get('schema_version') == version else {}


def _series_of(report: t.Mapping[str, t.Any], last: str) -> dict[Key, list[Point]]:
    """All series of a former report. Nothing is taken for granted: whoever can write the file may have written anything."""
    found: dict[Key, list[Point]] = {}
    for one in _dicts(report.get('earlier')):
        found[_key(one, one.get('url'))] = points_of(one.get('history'), last)
    for key, mirror in _mirrors(report):
        found[key] = points_of(mirror.get('history'), last)
    return found


def _mirrors(report: t.Mapping[str, t.Any]) -> t.Iterator[tuple[Key, dict[str, t.Any]]]:
    for probe in _dicts(report.get('probes')):
        for mirror in _dicts(probe.get('mirrors')):
            yield _key(probe, mirror.get('url')), mirror


def _dicts(value: t.Any) -> list[dict[str, t.Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _key(where: t.Mapping[str, t.Any], url: t.Any) -> Key:
    # Which host probes for others may change: it is no part of the key.
    view = str(where['view'] or '') if 'view' in where else None
    return str(where.get('upstream') or 'docker.io'), str(where.get('site') or ''), view, normalise_url(str(url or ''))


def _earlier(series: t.Sequence[tuple[Key, list[Point]]], each: int, room: int) -> list[dict[str, t.Any]]:
    """What was not probed by this run, the latest first, as far as there is room."""
    kept = []
    for (upstream, site, view, url), points in series:
        last = points[-each:]
        room -= len(last)
        if room < 0:
            break
        kept.append({'upstream': upstream, 'site': site, **({} if view is None else {'view': view}), 'url': url, 'history': last})
    return kept
