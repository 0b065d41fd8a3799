# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the caches of an inventory are for their clients: mirrors, which nobody has to write a second time."""

from __future__ import annotations

import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._cache_model import DEFAULT_PORT, DEFAULT_UPSTREAMS, parse_upstreams
from ansible_collections.quickpull.registry.plugins.module_utils._registry import DOCKER_HUB

#: The variables of a cache that its clients go by.
VARIABLES = (
    'ansible_host', 'pull_through_cache_state', 'pull_through_cache_url', 'pull_through_cache_port', 'pull_through_cache_certificate',
    'pull_through_cache_client_ca_path', 'pull_through_cache_upstreams',
)  # fmt: skip


def mirrors(caches: t.Mapping[str, t.Mapping[str, t.Any]]) -> dict[str, list[t.Any]] | None:
    """The mirrors by upstream; None without caches. A cache that is to be no more leaves its upstreams, with no mirror of it, so that clients forget it.

    The first upstream of a cache is what it serves at its root, where Docker's registry-mirrors ask. The others are below `/v2/NAME`, a form that each
    engine has a way to ask for.

    :param caches: :data:`VARIABLES` of each cache, as far as they are defined, by the host's name in the inventory.
    :raises ConfigError: for upstreams that no cache takes.
    """
    found: dict[str, list[t.Any]] = {}
    for host, variables in caches.items():
        present = variables.get('pull_through_cache_state', 'present') == 'present'
        url = _url(host, variables)
        upstreams = parse_upstreams(variables.get('pull_through_cache_upstreams') or list(DEFAULT_UPSTREAMS))
        for number, upstream in enumerate(upstreams):
            # Docker asks no mirror below a path, so that its Hub is at the root or nowhere.
            at_root = number == 0
            if at_root or upstream.name != DOCKER_HUB:
                found.setdefault(upstream.name, []).extend([_mirror(url if at_root else f'{url}/v2/{upstream.name}', variables)] if present else [])
    return found or None


def _mirror(url: str, variables: t.Mapping[str, t.Any]) -> str | dict[str, str]:
    """A mirror as ``registry_access_mirrors`` has it."""
    authority = variables.get('pull_through_cache_client_ca_path')
    return {'url': url, 'ca_path': str(authority)} if authority and url.startswith('https:') else url


def _url(host: str, variables: t.Mapping[str, t.Any]) -> str:
    given = variables.get('pull_through_cache_url')
    if given:
        return str(given).rstrip('/')
    scheme = 'https' if variables.get('pull_through_cache_certificate') else 'http'
    address = str(variables.get('ansible_host') or host)
    return f'{scheme}://{f"[{address}]" if ":" in address else address}:{variables.get("pull_through_cache_port") or DEFAULT_PORT}'
