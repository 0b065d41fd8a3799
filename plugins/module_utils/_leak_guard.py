# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which mirrors do not go into daemon.json, and why."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror

DROP = 'drop'
FAIL = 'fail'
ALLOW = 'allow'

CONTAINERD = 'containerd'


@dataclass(frozen=True)
class LeftOut:
    """A mirror that is not written, and a sentence that says why."""

    url: str
    reason: str


@dataclass(frozen=True)
class Sorted:
    """What :func:`sort_out` found."""

    kept: tuple[Mirror, ...]
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[str, ...] = ()


def ways_out(policy: str) -> str:
    """What an operator can do about it, one sentence."""
    third = 'use a cache of your own in front of them'
    if policy != ALLOW:
        third = f'accept it with registry_access_mirror_login_leak: allow (mirror_login_leak of the module), or {third}'
    return (
        'Three ways out: switch this host to the containerd image store (features: containerd-snapshotter: true; '
        'images have to be pulled again); remove the login, or use an account for it that may be lost; '
        f'{third}.'
    )


def leaks(image_store: str, logins: t.Sequence[str], hub_login: bool) -> bool:
    """Whether a mirror could get hold of the Docker Hub login of this host.

    With the graph-driver image store dockerd sends the Hub's login to whatever token server a mirror names (moby#42022). The
    containerd image store compares hosts first. A store that is not known counts as the former.

    :param image_store: ``graphdriver``, ``containerd``, or empty when not known.
    :param logins: client configuration files with a login to Docker Hub.
    :param hub_login: a login will be given to this host.
    """
    return image_store != CONTAINERD and (bool(logins) or hub_login)


def sort_out(mirrors: t.Iterable[Mirror], image_store: str, logins: t.Sequence[str], hub_login: bool, policy: str) -> Sorted:
    """Part the mirrors that may be written into ``registry-mirrors`` from those that may not.

    :param policy: what happens to mirrors of third parties where they could get hold of a login: ``drop`` leaves them out,
        ``fail`` refuses, ``allow`` writes them; ``drop`` and ``allow`` warn.
    :raises ConfigError: under the policy ``fail``.
    """
    mirrors = list(mirrors)
    left_out = [LeftOut(mirror.url, _CONTENT) for mirror in mirrors if mirror.trust == 'content']
    kept = [mirror for mirror in mirrors if mirror.trust != 'content']
    strangers = [mirror.url for mirror in kept if mirror.third_party] if leaks(image_store, logins, hub_login) else []
    if not strangers:
        return Sorted(tuple(kept), tuple(left_out))
    place = f'in {", ".join(logins)}' if logins else 'that this host is to be given'
    fact = (
        f'Docker on this host hands its Docker Hub login ({place}) to any mirror that asks for it, '
        'because it uses the graph-driver image store (moby#42022)'
    )
    if policy == FAIL:
        raise ConfigError(f'{fact}, and these mirrors belong to third parties: {", ".join(strangers)}. {ways_out(policy)}', key='registry_mirrors')
    if policy == ALLOW:
        return Sorted(tuple(kept), tuple(left_out), (f'{fact}. Allowed all the same: {", ".join(strangers)}. {ways_out(policy)}',))
    warning = f'{fact}. Left out on this host, because they belong to third parties: {", ".join(strangers)}. {ways_out(policy)}'
    left_out += [LeftOut(url, 'It belongs to a third party, and could get hold of the Docker Hub login of this host.') for url in strangers]
    return Sorted(tuple(mirror for mirror in kept if mirror.url not in strangers), tuple(left_out), (warning,))


_CONTENT = 'It is trusted for content only, and Docker asks each of its registry-mirrors what a tag means (trust: resolve).'
