# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The name under which a mirror itself has an image: what people pull by hand where their engine takes no mirror of a registry."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, host_in_image, parse_mirrors, place_of
from ansible_collections.quickpull.registry.plugins.module_utils._registry import Image, parse_image, split_image


@dataclass(frozen=True)
class Way:
    """One way to an image.

    :ivar registry: the host that is asked, as Docker's client keeps its login; the upstream itself, or a mirror, whose ``url`` is given then.
    :ivar name: what to pull.
    """

    registry: str
    name: str
    url: str = ''


@dataclass(frozen=True)
class Ways:
    """All ways to an image, in order.

    :ivar image: its own name, written out: ``docker.io/library/nginx:1``. It has a tag, which the image is given in the end.
    :ivar passed_over: a sentence for each mirror that is no way.
    """

    image: str
    ways: tuple[Way, ...]
    passed_over: tuple[str, ...] = ()


def via_mirror(image: str, mirrors: t.Any) -> str:
    """The image's name on the first of its upstream's mirrors that can be named; the image itself where there is none.

    :param mirrors: mirrors by upstream, as in registry_access_mirrors, or a list of those of the image's own upstream.
    :raises ConfigError: for what is no image, or no mirror.
    """
    text = image.strip()
    found, listed = _read(text, mirrors)
    return next((_name(where, found) for where in map(_host, listed) if where), text)


def ways_to(image: str, mirrors: t.Any, upstream_too: bool = True) -> Ways:
    """The ways to an image: its upstream's mirrors, then, with ``upstream_too``, the upstream.

    A mirror of ``trust: content`` does not say what a tag means, so it is a way only to an image with a digest.

    :raises ConfigError: for what is no image, or no mirror; and for an image without a tag, since a digest is no name that can be given.
    """
    text = image.strip()
    found, listed = _read(text, mirrors)
    upstream, dummy = split_image(text)
    if not found.tag:
        raise ConfigError(
            f'{text}: is named by its digest alone, and Docker gives no image a digest of another registry. Write NAME:TAG@DIGEST: it is pulled by the '
            'digest and gets the tag.',
            key=text,
        )
    ways, passed_over = [], []
    for mirror in listed:
        where = _host(mirror)
        if not where:
            passed_over.append(f'{mirror.url}: has no name for images, because its API begins below a path.')
        elif mirror.trust == 'content' and not found.digest:
            passed_over.append(f'{mirror.url}: is trusted with content alone, so it serves no image that is named without a digest.')
        else:
            ways.append(Way(host_in_image(mirror.url), _pulled(where, found), mirror.url))
    if upstream_too:
        ways.append(Way(upstream, _pulled(upstream, found)))
    return Ways(f'{upstream}/{found.repository}:{found.tag}', tuple(ways), tuple(passed_over))


def _read(text: str, mirrors: t.Any) -> tuple[Image, list[Mirror]]:
    upstream, dummy = split_image(text)
    listed = (mirrors or {}).get(upstream) if isinstance(mirrors, t.Mapping) or mirrors is None else mirrors
    return parse_image(text, upstream), parse_mirrors(listed, key=f"mirrors['{upstream}']")


def _name(where: str, image: Image) -> str:
    return f'{where}/{image.repository}' + (f':{image.tag}' if image.tag else '') + (f'@{image.digest}' if image.digest else '')


def _pulled(where: str, image: Image) -> str:
    """By the digest where there is one, which Docker then verifies."""
    return f'{where}/{image.repository}' + (f'@{image.digest}' if image.digest else f':{image.tag}')


def _host(mirror: Mirror) -> str:
    """What stands before the repository's name; empty for a mirror that has none, because its API begins below a path."""
    place, host = place_of(mirror.url), host_in_image(mirror.url)
    if place.path or host.startswith('['):
        return ''
    return f'{host}/{place.namespace}' if place.namespace else host
