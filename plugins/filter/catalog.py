# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that hold a user's mirrors against the catalogue."""

from __future__ import annotations

import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _catalog
from ansible_collections.quickpull.registry.plugins.module_utils._plain import plain
from ansible_collections.quickpull.registry.plugins.module_utils._sharing import mirror_urls
from ansible_collections.quickpull.registry.plugins.plugin_utils._filter import as_filter


def catalog_warnings(mirrors: t.Any, upstream: str = '') -> list[str]:
    """A sentence for each mirror that the catalogue has doubts about."""
    return _catalog.catalog_warnings(mirror_urls(mirrors), str(upstream))


def refused_mirrors(mirrors: t.Any, allow: t.Any = None, upstream: str = '') -> list[dict[str, str]]:
    """The mirrors on lapsed domains that are not allowed all the same."""
    return _catalog.refused(mirror_urls(mirrors), plain(allow) or [], str(upstream))


class FilterModule:
    """Filters that hold a user's mirrors against the catalogue."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Their names in playbooks."""
        return {'catalog_warnings': as_filter(catalog_warnings), 'refused_mirrors': as_filter(refused_mirrors)}
