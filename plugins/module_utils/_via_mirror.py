# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The name under which a mirror itself has an image: what people pull by hand where their engine takes no mirror of a registry."""

from __future__ import annotations

import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, host_in_image, parse_mirrors, place_of
from ansible_collections.quickpull.registry.plugins.module_utils._registry import parse_image, split_image


def via_mirror(image: str, mirrors: t.Any) -> str:
    """The image's name on the first of its upstream's mirrors that can be named; the image itself where there is none.

    :param mirrors: mirrors by upstream, as in registry_access_mirrors, or a list of those of the image's own upstream.
    :raises ConfigError: for what is no image, or no mirror.
    """
    text = image.strip()
    upstream, _name = split_image(text)
    listed = (mirrors or {}).get(upstream) if isinstance(mirrors, t.Mapping) or mirrors is None else mirrors
    found = parse_image(text, upstream)
    for mirror in parse_mirrors(listed, key=f"mirrors['{upstream}']"):
        where = _host(mirror)
        if where:
            return f'{where}/{found.repository}' + (f':{found.tag}' if found.tag else '') + (f'@{found.digest}' if found.digest else '')
    return text


def _host(mirror: Mirror) -> str:
    """What stands before the repository's name; empty for a mirror that has none, because its API begins below a path."""
    place, host = place_of(mirror.url), host_in_image(mirror.url)
    if place.path or host.startswith('['):
        return ''
    return f'{host}/{place.namespace}' if place.namespace else host
