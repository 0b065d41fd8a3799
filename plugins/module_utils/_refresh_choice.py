# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The choice of a host that probes again and again: :mod:`_stability` for each engine and upstream, and what they remember as one file."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils import _stability
from ansible_collections.quickpull.registry.plugins.module_utils._access import Chooser
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import normalise_url
from ansible_collections.quickpull.registry.plugins.module_utils._select import Choice, Policy, Selection
from ansible_collections.quickpull.registry.plugins.module_utils._stability import Memory, Steadiness

_VERSION = 1

Place = t.Tuple[str, str]


@dataclass
class Steady:
    """Chooses for engines, and remembers.

    :ivar memories: by engine and upstream. ``because``: what the last choice of each said.
    :ivar query: narrows and orders results. Those that it leaves out are remembered all the same, or each of its whims would be a change.
    :ivar seen: by upstream, when the results were found that counted last (epoch seconds): what two hosts tell of one probe counts once.
    """

    rules: Steadiness = field(default_factory=Steadiness)
    memories: dict[Place, Memory] = field(default_factory=dict)
    because: dict[Place, str] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    query: t.Callable[[list[dict[str, t.Any]]], t.Sequence[t.Mapping[str, t.Any]]] | None = None

    def chooser(self, engine: str) -> Chooser:
        """How this engine's mirrors are chosen."""

        def choose(upstream: str, results: t.Sequence[t.Mapping[str, t.Any]], current: t.Sequence[str], policy: Policy, own: t.Collection[str]) -> Selection:
            asked = {normalise_url(one['url']): str(one['url']) for one in results}
            # What the engine has and cannot use, or what others put there, is no part of the choice.
            in_force = [asked[normalise_url(url)] for url in current if normalise_url(url) in asked]
            place = (engine, upstream)
            eligible = None
            if self.query:
                wanted = [normalise_url(str(one['url'])) for one in self.query([dict(one) for one in results])]
                eligible = set(wanted)
                rank = {key: number for number, key in enumerate(wanted)}
                results = sorted(results, key=lambda one: rank.get(normalise_url(str(one['url'])), len(rank)))
            decision = _stability.decide(self.memories.get(place, Memory()), results, in_force, policy, self.rules, own, eligible)
            self.memories[place], self.because[place] = decision.memory, decision.because
            return Selection(tuple(Choice(url, decision.because, url in in_force, None) for url in decision.mirrors), ())

        return choose

    def due(self, upstream: str, urls: t.Sequence[str], in_force: t.Mapping[str, t.Collection[str]]) -> list[str]:
        """Which candidates of an upstream any of the engines wants asked. ``in_force``: by engine, the URLs in use."""
        memories = [(self.memories.get((engine, upstream), Memory()), held) for engine, held in in_force.items()]
        wanted = {url for _memory, held in memories for url in urls if url in held}
        for url in urls:
            # One that an engine cannot use it never hears of, so it has no say about that.
            knowing = [memory for memory, _held in memories if normalise_url(url) in memory.mirrors]
            if not knowing or any(_stability.due(memory, [url], (), self.rules) for memory in knowing):
                wanted.add(url)
        return [url for url in urls if url in wanted]


def dump(steady: Steady) -> str:
    """What is remembered, as JSON."""
    memories = [{'engine': engine, 'upstream': upstream, 'memory': _stability.dump(one)} for (engine, upstream), one in sorted(steady.memories.items())]
    return json.dumps({'version': _VERSION, 'memories': memories, 'seen': steady.seen}, indent=1, sort_keys=True) + '\n'


def load(text: str, rules: Steadiness) -> Steady:
    """What such a file remembers; nothing where it cannot be understood, which costs no more than a few probes."""
    try:
        raw = json.loads(text)
        if raw['version'] != _VERSION:
            return Steady(rules)
        memories = {(str(one['engine']), str(one['upstream'])): _stability.load(one['memory']) for one in raw['memories']}
        return Steady(rules, memories, seen={str(name): float(when) for name, when in raw['seen'].items()})
    except (ValueError, TypeError, KeyError, AttributeError):
        return Steady(rules)
