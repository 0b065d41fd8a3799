# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A choice that is made again and again: what is remembered from one probe to the next, and how little of it a configuration has to follow.

:mod:`_select` chooses from one probe. Here probes follow each other, as with a timer on a host, and the network is never the same twice. Three things keep
the list of mirrors still: of the last few measurements the second best counts, one that has failed has to serve several times in a row before it is taken
again, and a change that no failure asks for is made only when several probes in a row want the very same one. A mirror in force that fails is passed over at
once. Everything here is a pure function of its arguments.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils._mirror import normalise_url
from ansible_collections.quickpull.registry.plugins.module_utils._select import Policy, Selection, select_with_own

# So many measurements of a mirror are kept. What disturbs one makes it worse, so the second best is nearer to the truth than the median; the best may be luck.
_KEPT = 5
_MEASURED = {'latencies': 'latency_ms', 'throughputs': 'throughput_bps'}
# Of the file that the memory is kept in.
_VERSION = 1


@dataclass(frozen=True)
class Steadiness:
    """How hard it is to change a choice. All are numbers of probes, which a timer makes one after the other.

    :ivar proven: so many in a row a mirror that failed and is not in force has to have served.
    :ivar wanted: so many in a row have to want the same change, unless a mirror in force fails.
    :ivar longest_pause: a candidate that goes on failing is asked at least in every so many of them.
    """

    proven: int = 3
    wanted: int = 3
    longest_pause: int = 16


@dataclass(frozen=True)
class Known:
    """What is remembered of one mirror. Times are in milliseconds, rates in bytes a second; the newest stands last.

    :ivar served: how often in a row it has served, ``failed``: how often in a row it has not. One of both is 0.
    :ivar asked: the number of the probe that asked it last. ``doubtful``: whether it has ever failed.
    """

    served: int = 0
    failed: int = 0
    asked: int = 0
    doubtful: bool = False
    latencies: tuple[float, ...] = ()
    throughputs: tuple[float, ...] = ()


@dataclass(frozen=True)
class Memory:
    """What is remembered between probes: how many there were, each mirror by its normalised URL, and the change that the last ones wanted."""

    probes: int = 0
    mirrors: t.Mapping[str, Known] = field(default_factory=dict)
    change: tuple[str, ...] = ()
    wanted: int = 0


@dataclass(frozen=True)
class Decision:
    """The mirrors to use from now on, in order.

    :ivar changed: whether these are others, or in another order, than those in force.
    :ivar because: a sentence for what changed, or for what is not changed yet; empty where all is as it should be.
    """

    mirrors: tuple[str, ...]
    changed: bool
    because: str
    memory: Memory


def dump(memory: Memory) -> str:
    """The memory as JSON, for the file that it is kept in."""
    return json.dumps({'version': _VERSION, **dataclasses.asdict(memory)}, sort_keys=True)


def load(text: str) -> Memory:
    """The memory of such a file; an empty one where there is none that can be understood, which costs no more than a few probes."""
    try:
        raw = json.loads(text)
        if raw.pop('version') != _VERSION:
            return Memory()
        mirrors = {str(key): Known(**{**one, **{name: tuple(map(float, one[name])) for name in _MEASURED}}) for key, one in raw['mirrors'].items()}
        return Memory(int(raw['probes']), mirrors, tuple(map(str, raw['change'])), int(raw['wanted']))
    except (ValueError, TypeError, KeyError, AttributeError):
        return Memory()


def due(memory: Memory, urls: t.Sequence[str], in_force: t.Collection[str], rules: Steadiness = Steadiness()) -> list[str]:
    """Which of the candidates the next probe is to ask: all but those that have failed lately, which are asked the less the longer they go on failing."""
    held = {normalise_url(url) for url in in_force}
    number = memory.probes + 1
    found = []
    for url in urls:
        known = memory.mirrors.get(normalise_url(url), Known())
        pause = min(2 ** min(known.failed - 1, 10), rules.longest_pause) if known.failed else 1
        if normalise_url(url) in held or number - known.asked >= pause:
            found.append(url)
    return found


def further(urls: t.Sequence[str], results: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """Which candidates to ask as well before anything is decided: all others, where none that was asked serves."""
    if any(one.get('ok') for one in results):
        return []
    return [url for url in urls if not _holds(url, [one['url'] for one in results])]


def decide(
    memory: Memory,
    results: t.Sequence[t.Mapping[str, t.Any]],
    in_force: t.Sequence[str],
    policy: Policy | None = None,
    rules: Steadiness = Steadiness(),
    own: t.Collection[str] = (),
    eligible: t.Collection[str] | None = None,
) -> Decision:
    """What one more probe makes of the choice.

    :param results: of the probe, as registry_mirror_probe returns them, of the candidates that were :func:`due`, and of those :func:`further` ones.
    :param in_force: the mirrors in use, in order.
    :param own: caches of one's own, which come before all others.
    :param eligible: those that may be chosen, by their normalised URLs; None for all. One in force that is none of them leaves as for a better one.
    """
    serving = {normalise_url(one['url']) for one in results if one.get('ok')}
    if not serving:
        # The network is down, or whoever asks is cut off: that says nothing of any mirror, and never empties a configuration.
        return Decision(tuple(in_force), False, 'No mirror serves, so the choice stays as it is.', memory)
    learned = _learn(memory, results)
    unasked = [url for url in in_force if not _holds(url, [one['url'] for one in results])]
    if unasked:
        return Decision(tuple(in_force), False, f'{", ".join(unasked)} was not asked, so the choice stays as it is.', learned)
    held = [url for url in in_force if normalise_url(url) in serving]
    fit = [one for one in results if one.get('ok') and (_holds(one['url'], held) or _proven(learned, one['url'], rules) or not held)]
    priced = [_smoothed(one, learned) for one in fit]
    allowed = [one for one in priced if eligible is None or normalise_url(one['url']) in eligible]
    lost = [url for url in in_force if url not in held]
    want = _urls(select_with_own(allowed, [url for url in held if _holds(url, [one['url'] for one in allowed])], policy, own))
    keep = _filled(held, allowed, policy, own)
    if not want:
        return Decision(tuple(in_force), False, 'No mirror that serves may be chosen by the policy, so the choice stays as it is.', learned)
    if want == keep or not held:
        return _decision(want, in_force, lost, Memory(learned.probes, learned.mirrors))
    wanted = memory.wanted + 1 if memory.change == want else 1
    if wanted >= rules.wanted:
        return _decision(want, in_force, lost, Memory(learned.probes, learned.mirrors))
    decision = _decision(keep, in_force, lost, Memory(learned.probes, learned.mirrors, want, wanted))
    if decision.changed:
        return decision
    because = f'{wanted} of {rules.wanted} probes in a row found that {", ".join(want)} would be better.'
    return Decision(decision.mirrors, False, because, decision.memory)


def _learn(memory: Memory, results: t.Sequence[t.Mapping[str, t.Any]]) -> Memory:
    number = memory.probes + 1
    mirrors = dict(memory.mirrors)
    for one in results:
        key = normalise_url(one['url'])
        known = mirrors.get(key, Known())
        if one.get('ok'):
            measured = (_longer(getattr(known, name), one.get(value)) for name, value in _MEASURED.items())
            mirrors[key] = Known(known.served + 1, 0, number, known.doubtful, *measured)
        else:
            # What it measured before it failed says nothing of how it will be.
            mirrors[key] = Known(0, known.failed + 1, number, True)
    return Memory(number, mirrors, memory.change, memory.wanted)


def _longer(values: tuple[float, ...], value: t.Any) -> tuple[float, ...]:
    return (*values, float(value))[-_KEPT:] if isinstance(value, (int, float)) and not isinstance(value, bool) else values


def _smoothed(result: t.Mapping[str, t.Any], memory: Memory) -> dict[str, t.Any]:
    known = memory.mirrors[normalise_url(result['url'])]
    measured = {'latency_ms': sorted(known.latencies), 'throughput_bps': sorted(known.throughputs, reverse=True)}
    return {**result, **{name: values[:2][-1] for name, values in measured.items() if values}}


def _holds(url: str, urls: t.Sequence[str]) -> bool:
    return normalise_url(url) in {normalise_url(one) for one in urls}


def _proven(memory: Memory, url: str, rules: Steadiness) -> bool:
    known = memory.mirrors[normalise_url(url)]
    return not known.doubtful or known.served >= rules.proven


def _urls(selection: Selection) -> tuple[str, ...]:
    return tuple(one.url for one in selection.chosen)


def _filled(held: t.Sequence[str], results: t.Sequence[t.Mapping[str, t.Any]], policy: Policy | None, own: t.Collection[str]) -> tuple[str, ...]:
    """Those that are held in their order, and behind them the best others for the places that are free."""
    room = (policy or Policy()).max
    others = [one for one in results if not _holds(one['url'], held)]
    ranked = _urls(select_with_own(others, (), policy, own))
    filled = (*held, *ranked)
    return filled if room is None else filled[: max(room, len(held))]


def _decision(mirrors: tuple[str, ...], in_force: t.Sequence[str], lost: t.Sequence[str], memory: Memory) -> Decision:
    changed = [normalise_url(url) for url in mirrors] != [normalise_url(url) for url in in_force]
    because = ''
    if lost:
        because = f'{", ".join(lost)} {"does" if len(lost) == 1 else "do"} not serve any more.'
    elif changed:
        because = f'{", ".join(mirrors)} are the better choice by now.' if in_force else f'{", ".join(mirrors)} serve.'
    return Decision(mirrors, changed, because, memory)
