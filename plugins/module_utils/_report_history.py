# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What former runs saw of each mirror, carried from one report to the next.

A point is a dict of ``time`` (ISO 8601), ``state``, ``latency_ms`` and ``throughput_bps`` (bytes a second). A series has the points of one mirror
of one upstream as one site sees it, the oldest first. The series of what this run probed stand with its mirrors (``history``), the others in the
report's ``earlier``, so that a run with ``--limit`` forgets nothing.
"""

from __future__ import annotations

import json
import math
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._mirror import normalise_url

POINTS = 30  # of a series
# Of all series together, about 5 MB of JSON. On a fleet with more than a thousand series each keeps fewer points.
POINTS_IN_ALL = 30_000

Point = t.Dict[str, t.Any]
Key = t.Tuple[str, str, str]


def carried(report: t.Mapping[str, t.Any], former: str = '') -> dict[str, t.Any]:
    """The report with what is known from earlier: at each mirror its ``history`` with this run's point at the end, and ``earlier``.

    :param report: as :func:`_report.as_data` returns it, with ``generated_at``.
    :param former: the text of the report that stood at the same path before. One that is broken, or of another version, is as good as none.
    """
    series = _series_of(_read(former, report.get('schema_version')))
    now = str(report.get('generated_at') or '')
    seen: dict[Key, list[Point]] = {}
    for key, mirror in _mirrors(report):
        point = {'time': now, **{name: mirror.get(name) for name in ('state', 'latency_ms', 'throughput_bps')}}
        seen[key] = points_of([*series.get(key, []), *(mirror.get('history') or []), *([point] if now and mirror.get('state') else [])])
    others = sorted(((key, points) for key, points in series.items() if key not in seen and points), key=lambda one: one[1][-1]['time'], reverse=True)
    each = max(1, min(POINTS, POINTS_IN_ALL // max(1, len(seen))))
    seen = {key: points[-each:] for key, points in seen.items()}
    probes = [
        {**probe, 'mirrors': [{**mirror, 'history': seen[_key(probe, mirror['url'])]} for mirror in probe['mirrors']]} for probe in report.get('probes') or []
    ]
    return {**report, 'probes': probes, 'earlier': _earlier(others, each, POINTS_IN_ALL - sum(map(len, seen.values())))}


def points_of(value: t.Any) -> list[Point]:
    """The well-formed points of a list, in the order of their time and one for each, at most :data:`POINTS`, the last ones."""
    points: dict[str, Point] = {}
    for one in value if isinstance(value, list) else []:
        if isinstance(one, dict) and isinstance(one.get('time'), str) and isinstance(one.get('state'), str):
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


def _series_of(report: t.Mapping[str, t.Any]) -> dict[Key, list[Point]]:
    """All series of a former report. Nothing is taken for granted: whoever can write the file may have written anything."""
    found: dict[Key, list[Point]] = {}
    for one in _dicts(report.get('earlier')):
        found[_key(one, one.get('url'))] = points_of(one.get('history'))
    for key, mirror in _mirrors(report):
        found[key] = points_of(mirror.get('history'))
    return found


def _mirrors(report: t.Mapping[str, t.Any]) -> t.Iterator[tuple[Key, dict[str, t.Any]]]:
    for probe in _dicts(report.get('probes')):
        for mirror in _dicts(probe.get('mirrors')):
            yield _key(probe, mirror.get('url')), mirror


def _dicts(value: t.Any) -> list[dict[str, t.Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _key(where: t.Mapping[str, t.Any], url: t.Any) -> Key:
    # Without a site one host probes for all, and which one may change: it is no part of the key.
    return str(where.get('upstream') or 'docker.io'), str(where.get('site') or ''), normalise_url(str(url or ''))


def _earlier(series: t.Sequence[tuple[Key, list[Point]]], each: int, room: int) -> list[dict[str, t.Any]]:
    """What was not probed by this run, the latest first, as far as there is room."""
    kept = []
    for (upstream, site, url), points in series:
        last = points[-each:]
        room -= len(last)
        if room < 0:
            break
        kept.append({'upstream': upstream, 'site': site, 'url': url, 'history': last})
    return kept
