# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that choose among probed mirrors."""

from __future__ import annotations

import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._plain import plain
from ansible_collections.quickpull.registry.plugins.module_utils._query import apply_jmespath
from ansible_collections.quickpull.registry.plugins.module_utils._select import Selection, parse_policy, select
from ansible_collections.quickpull.registry.plugins.module_utils._sharing import mirror_urls, mirrors_for_daemon, results_of
from ansible_collections.quickpull.registry.plugins.module_utils._via_mirror import via_mirror
from ansible_collections.quickpull.registry.plugins.plugin_utils._filter import as_filter


def select_mirrors(results: t.Any, current: t.Any = None, policy: t.Any = None, jmespath: t.Any = '') -> list[str]:
    """The URLs to use, in order."""
    return [one.url for one in _selection(results, current, policy, jmespath).chosen]


def explain_selection(results: t.Any, current: t.Any = None, policy: t.Any = None, jmespath: t.Any = '') -> dict[str, t.Any]:
    """The same choice with a sentence on every mirror."""
    selection = _selection(results, current, policy, jmespath)
    return {
        'chosen': [{'url': one.url, 'why': one.why, 'kept': one.kept, 'cost_ms': one.cost_ms} for one in selection.chosen],
        'left_out': [{'url': one.url, 'reason': one.reason} for one in selection.left_out],
    }


def _selection(results: t.Any, current: t.Any, policy: t.Any, jmespath: t.Any) -> Selection:
    rules = parse_policy(plain(policy))
    probed = apply_jmespath(results_of(results), plain(jmespath) or '')
    return select(probed, plain(current) or [], rules)


def image_via_mirror(image: t.Any, mirrors: t.Any = None) -> str:
    """An image's name on a mirror of its registry."""
    return via_mirror(str(image), plain(mirrors))


class FilterModule:
    """Filters that choose among probed mirrors."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Their names in playbooks."""
        return {
            'explain_selection': as_filter(explain_selection),
            'mirror_urls': as_filter(mirror_urls),
            'mirrors_for_daemon': as_filter(mirrors_for_daemon),
            'select_mirrors': as_filter(select_mirrors),
            'via_mirror': as_filter(image_via_mirror),
        }
