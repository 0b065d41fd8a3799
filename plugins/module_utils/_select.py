# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the probed mirrors are used, and in which order.

Two measurements of the same thing differ, and a configuration that follows every difference is rewritten at every run.
So a mirror that is in force keeps its place until another one is *clearly better*: by a share, by an absolute time, and by
more than the noise of the measurements explains. Everything here is a pure function of its arguments.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass, fields

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import normalise_url
from ansible_collections.quickpull.registry.plugins.module_utils._plain import type_name

ORDERS = ('estimated', 'latency', 'listed', 'throughput')

# Times are reported in whole milliseconds: a rounded value may be off by half of one on either side.
_ROUNDING_MS = 1.0


@dataclass(frozen=True)
class Policy:
    """What the operator asks of a selection.

    ``max``: how many mirrors at most, None for no limit. ``max_latency_ms`` and ``min_throughput_bps`` (bytes a second):
    a mirror that measured worse is left out. ``order_by``: see ``ORDERS``; ``estimated`` is the latency plus the time for a
    layer of ``layer_bytes``. ``challenger_margin`` (a share) and ``challenger_margin_ms``: by how much a challenger must be
    better. ``noise``: how far, as a share, a measurement may lie off the truth. ``fast_enough_bps``: a mirror in force that
    serves this many bytes a second does not lose its place over its rate.
    """

    max: int | None = 3
    order_by: str = 'estimated'
    max_latency_ms: float | None = None
    min_throughput_bps: float | None = None
    challenger_margin: float = 0.30
    challenger_margin_ms: float = 50.0
    noise: float = 0.20
    # Measured on a LAN: a busy host got a sample of 1 MiB at anything from 3 to 400 MB/s from the very same mirrors.
    fast_enough_bps: float = 3_000_000.0
    layer_bytes: int = 8 * 1024 * 1024


@dataclass(frozen=True)
class Choice:
    """A mirror that is used. ``kept``: it was in force before. ``cost_ms`` is what it was ordered by, None under ``listed``."""

    url: str
    why: str
    kept: bool
    cost_ms: float | None


@dataclass(frozen=True)
class LeftOut:
    """A probed mirror that is not used."""

    url: str
    reason: str


@dataclass(frozen=True)
class Selection:
    """The mirrors to use, in order, and all others with the reason."""

    chosen: tuple[Choice, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class _Candidate:
    """A mirror that the probe found ok. The cost has two parts since the noise of either works the other way round."""

    url: str
    key: str
    index: int
    latency_ms: float | None
    throughput_bps: float | None
    wait_ms: float = 0.0
    transfer_ms: float = 0.0

    @property
    def cost(self) -> float:
        return self.wait_ms + self.transfer_ms

    @property
    def rank(self) -> tuple[float, int, str]:
        return (self.cost, self.index, self.key)


def parse_policy(raw: t.Any, *, key: str = 'policy') -> Policy:
    """Read a policy from a dict; None and an empty dict are the defaults, as is a null of any key but the limits.

    Raises ConfigError on unknown keys, wrong types and values that make no sense.
    """
    if raw is None:
        return Policy()
    if not isinstance(raw, t.Mapping):
        raise ConfigError(f'{key}: a dict is expected, not {type_name(raw)}.', key=key)
    known = [field.name for field in fields(Policy)]
    unknown = sorted(str(name) for name in raw if name not in known)
    if unknown:
        raise ConfigError(f'{key}: unknown key {", ".join(map(repr, unknown))}. Known are {", ".join(known)}.', key=key)
    values = {}
    for name, value in raw.items():
        if value is None and name not in ('max', 'max_latency_ms', 'min_throughput_bps'):
            continue
        values[name] = _policy_value(name, value, f'{key}.{name}')
    return Policy(**values)


def _policy_value(name: str, value: t.Any, key: str) -> t.Any:
    if name == 'order_by':
        if not isinstance(value, str) or value not in ORDERS:
            raise ConfigError(f'{key}: {value!r} is not known. Write one of {", ".join(ORDERS)}.', key=key)
        return str(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigError(f'{key}: a number is expected, not {type_name(value)}.', key=key)
    if name in ('max', 'layer_bytes', 'fast_enough_bps'):
        if int(value) != value or value < 1:
            raise ConfigError(f'{key}: a whole number of at least 1 is expected, not {value}.', key=key)
        return int(value)
    if name in ('challenger_margin', 'noise') and not 0 <= value < 1:
        raise ConfigError(f'{key}: a share from 0 to below 1 is expected (0.3 means 30 %), not {value}.', key=key)
    if value < 0:
        raise ConfigError(f'{key}: a number of at least 0 is expected, not {value}.', key=key)
    return float(value)


def select(
    results: t.Sequence[t.Mapping[str, t.Any]], current: t.Sequence[str] = (), policy: Policy | None = None, *, by_list: bool = False
) -> Selection:
    """Choose among the results of a probe.

    ``results``: as registry_mirror_probe returns them, in the order listed (``url``, ``ok``, ``state``, ``reason``,
    ``latency_ms``, ``throughput_bps``). ``current``: the URLs in force, in order; those that were not probed are passed over.

    Without a mirror in force the best ones are taken. Otherwise those in force that are still ok stay, free places go to the
    best of the others, and then a challenger takes the place of the most expensive one chosen, or passes the one in front of
    it, only if it is clearly better than that very one. With ``by_list`` a mirror that is not in force has to be clearly better
    as well to come before one listed earlier, so that two probes in a row lead to the same list before any is in force. "Clearly
    better" is not transitive, so the list is never sorted by
    it: neighbours are compared until nothing moves, which always ends at the same list for the same input.
    """
    rules = policy or Policy()
    candidates, left_out = _candidates(results)
    in_force = dict.fromkeys(normalise_url(url) for url in current)
    candidates, unfit = _within_limits(_with_costs(candidates, rules), set(in_force), rules)
    by_key = {one.key: one for one in candidates}
    incumbents = [by_key[key] for key in in_force if key in by_key]
    if rules.order_by == 'listed':
        chosen = sorted(candidates, key=lambda one: one.index)[: rules.max]
    else:
        newcomers = [one for one in candidates if one not in incumbents] if by_list else []
        chosen = _choose(candidates, incumbents + newcomers, rules)
    taken = {one.key for one in chosen}
    held = {one.key for one in incumbents}
    left_out += unfit + [LeftOut(one.url, _not_chosen_because(one, held, rules)) for one in candidates if one.key not in taken]
    return Selection(tuple(_choice(one, held, rules) for one in chosen), tuple(left_out))


def select_with_own(
    results: t.Sequence[t.Mapping[str, t.Any]], current: t.Sequence[str], policy: Policy | None, own: t.Collection[str]
) -> Selection:
    """Choose by list, with mirrors of one's ``own`` (URLs) before all others: those that serve come first, whatever they measured: a cold one is slow."""
    keys = {normalise_url(url) for url in own}
    rules = policy or Policy()

    def part(mine: bool) -> Selection:
        return select(
            [one for one in results if (normalise_url(one['url']) in keys) == mine],
            [url for url in current if (normalise_url(url) in keys) == mine], rules, by_list=True,
        )  # fmt: skip

    first, rest = part(True), part(False)
    chosen = (*first.chosen, *rest.chosen)
    cut = chosen[rules.max :] if rules.max is not None else ()
    left_out = [LeftOut(one.url, f'caches of your own come first, and max is {rules.max}') for one in cut]
    return Selection(chosen[: len(chosen) - len(cut)], (*first.left_out, *rest.left_out, *left_out))


def _candidates(results: t.Sequence[t.Mapping[str, t.Any]]) -> tuple[list[_Candidate], list[LeftOut]]:
    found: dict[str, _Candidate] = {}
    left_out = []
    for index, result in enumerate(results):
        url = result.get('url') if isinstance(result, t.Mapping) else None
        if not isinstance(url, str) or not url:
            raise ConfigError(f'results[{index}]: a result of registry_mirror_probe, a dict with url, is expected.', key='results')
        key = normalise_url(url)
        state = result.get('state', 'ok')
        if result.get('ok') is not True or state != 'ok':
            left_out.append(LeftOut(url, str(result.get('reason') or f'the probe says {state}')))
        elif key not in found:
            found[key] = _Candidate(url, key, index, _measure(result.get('latency_ms'), 0.0), _measure(result.get('throughput_bps'), 1.0))
    return list(found.values()), left_out


def _measure(value: t.Any, least: float) -> float | None:
    """A measured value, or None for anything that measures nothing."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < least:
        return None
    return float(value)


def _within_limits(candidates: t.Sequence[_Candidate], in_force: set[str], rules: Policy) -> tuple[list[_Candidate], list[LeftOut]]:
    """Apply the limits; an unknown measurement is not held against a mirror.

    Beside mirrors in force the noise counts: one in force leaves when it is surely worse than the limit, a newcomer joins when
    it is surely better. Otherwise a mirror near the limit would come and go.
    """
    stay = {one.key for one in candidates if one.key in in_force and not _beyond_limit(one, rules, rules.noise)}
    fit, unfit = [], []
    for one in candidates:
        if one.key in in_force:
            reason = '' if one.key in stay else _beyond_limit(one, rules, rules.noise)
        else:
            reason = _beyond_limit(one, rules, -rules.noise if stay else 0.0)
            if reason and not _beyond_limit(one, rules, 0.0):
                reason += f', which a newcomer must keep clear of by the {rules.noise:.0%} that measurements vary'
        if reason:
            unfit.append(LeftOut(one.url, reason))
        else:
            fit.append(one)
    return fit, unfit


def _beyond_limit(one: _Candidate, rules: Policy, slack: float) -> str:
    """Why the mirror misses a limit that is widened by ``slack`` (a share, narrowed when negative); '' when it does not."""
    rounding = math.copysign(_ROUNDING_MS / 2, slack) if slack else 0.0
    if rules.max_latency_ms is not None and one.latency_ms is not None and one.latency_ms > rules.max_latency_ms * (1 + slack) + rounding:
        return f'its latency is {one.latency_ms:.0f} ms, max_latency_ms is {rules.max_latency_ms:.0f}'
    slowest = 0.0 if rules.min_throughput_bps is None else rules.min_throughput_bps * (1 - slack) - 2 * rounding
    if one.throughput_bps is not None and one.throughput_bps < slowest:
        return f'its throughput is {one.throughput_bps:.0f} bytes/s, min_throughput_bps is {rules.min_throughput_bps:.0f}'
    return ''


def _with_costs(candidates: t.Sequence[_Candidate], rules: Policy) -> list[_Candidate]:
    """An unknown measurement counts as the worst one known: not measured is no reason to be first."""
    latencies = [one.latency_ms for one in candidates if one.latency_ms is not None]
    rates = [one.throughput_bps for one in candidates if one.throughput_bps is not None]
    priced = []
    for one in candidates:
        latency = max(latencies, default=0.0) if one.latency_ms is None else one.latency_ms
        rate = min(rates, default=math.inf) if one.throughput_bps is None else one.throughput_bps
        wait = latency if rules.order_by in ('estimated', 'latency') else 0.0
        transfer = rules.layer_bytes * 1000.0 / rate if rules.order_by in ('estimated', 'throughput') else 0.0
        priced.append(_Candidate(one.url, one.key, one.index, one.latency_ms, one.throughput_bps, wait, transfer))
    return priced


def _clearly_better(challenger: _Candidate, holder: _Candidate, rules: Policy) -> bool:
    """Whether the challenger is better by both margins, and would be if both measurements were off as far as they may be.

    A measured time lies within 1 +- noise of the true one, a rate likewise; so a true waiting time lies between
    measured / (1 + noise) and measured / (1 - noise), and a true transfer time between measured x (1 - noise) and
    measured x (1 + noise). Hence noise alone never makes a mirror overtake one that is truly as good.
    """
    quick, slow = _transfers(challenger, holder, rules)
    cost, held_cost = challenger.wait_ms + quick, holder.wait_ms + slow
    if cost >= held_cost * (1 - rules.challenger_margin) or held_cost - cost <= rules.challenger_margin_ms:
        return False
    at_worst = challenger.wait_ms / (1 - rules.noise) + quick * (1 + rules.noise)
    at_best = holder.wait_ms / (1 + rules.noise) + slow * (1 - rules.noise)
    rounding = _ROUNDING_MS + sum(_rounding_of_rate(transfer, rules) for transfer in (quick, slow))
    return rules.noise == 0 or at_worst < at_best - rounding


def _rounding_of_rate(transfer_ms: float, rules: Policy) -> float:
    """By how many milliseconds a transfer time may be off because a rate is reported in whole bytes a second."""
    return transfer_ms * transfer_ms / (rules.layer_bytes * 1000.0)


def _transfers(challenger: _Candidate, holder: _Candidate, rules: Policy) -> tuple[float, float]:
    """The transfer times to compare, in which only what is missing to fast enough speaks for a quicker challenger.

    Never better for the challenger than the measured ones, or the law about noise would not hold.
    """
    enough = rules.layer_bytes * 1000.0 / rules.fast_enough_bps
    if holder.transfer_ms <= challenger.transfer_ms:
        return challenger.transfer_ms, holder.transfer_ms
    if holder.transfer_ms <= enough:
        return challenger.transfer_ms, challenger.transfer_ms
    return max(challenger.transfer_ms, enough), holder.transfer_ms


def _choose(candidates: t.Sequence[_Candidate], incumbents: t.Sequence[_Candidate], rules: Policy) -> list[_Candidate]:
    chosen = _settle(incumbents, rules)[: rules.max]
    held = {one.key for one in chosen}
    challengers = sorted((one for one in candidates if one.key not in held), key=lambda one: one.rank)
    free = len(challengers) if rules.max is None else rules.max - len(chosen)
    chosen += challengers[:free]
    challengers = challengers[free:]
    if not incumbents:
        return chosen
    while True:
        swap = _replacement(chosen, challengers, rules)
        if swap is None:
            return _settle(chosen, rules)
        chosen.remove(swap[0])
        chosen.append(swap[1])
        challengers.remove(swap[1])


def _replacement(chosen: t.Sequence[_Candidate], challengers: t.Sequence[_Candidate], rules: Policy) -> tuple[_Candidate, _Candidate] | None:
    """The most expensive chosen mirror with the best challenger that is clearly better. Each swap lowers the sum of costs."""
    if not chosen:
        return None
    dearest = max(chosen, key=lambda one: one.rank)
    for challenger in challengers:
        if _clearly_better(challenger, dearest, rules):
            return dearest, challenger
    return None


def _settle(mirrors: t.Sequence[_Candidate], rules: Policy) -> list[_Candidate]:
    """Let each mirror pass the one in front of it while it is clearly better than that one."""
    settled: list[_Candidate] = []
    for one in mirrors:
        place = len(settled)
        while place and _clearly_better(one, settled[place - 1], rules):
            place -= 1
        settled.insert(place, one)
    return settled


def _choice(one: _Candidate, held: set[str], rules: Policy) -> Choice:
    kept = one.key in held
    if rules.order_by == 'listed':
        return Choice(one.url, 'ok, in the order listed', kept, None)
    why = 'in force and still ok' if kept else 'new beside those in force' if held else 'among the best'
    return Choice(one.url, f'{why}: {_cost_words(one, rules)}', kept, round(one.cost, 1))


def _not_chosen_because(one: _Candidate, held: set[str], rules: Policy) -> str:
    if rules.order_by == 'listed':
        return f'ok, but behind the first {rules.max} listed'
    if one.key in held:
        return f'ok, but others are clearly better: {_cost_words(one, rules)}'
    return f'ok, but not clearly better than the ones chosen (at most {rules.max}): {_cost_words(one, rules)}'


def _cost_words(one: _Candidate, rules: Policy) -> str:
    if rules.order_by == 'latency':
        return f'{one.cost:.0f} ms latency'
    return f'{one.cost:.0f} ms for a layer of {rules.layer_bytes / 1048576:.3g} MiB'


def select_urls(results: t.Sequence[t.Mapping[str, t.Any]], current: t.Sequence[str] = (), policy: Policy | None = None) -> list[str]:
    """The chosen URLs only, in order."""
    return [one.url for one in select(results, current, policy).chosen]
