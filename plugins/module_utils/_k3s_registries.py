# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""registries.yaml of K3s and RKE2, as far as it is ours: mirrors and their TLS.

It is written as JSON below a comment, which is YAML as well, since hosts need not have a library for that.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils import _yaml
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, place_of
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import FIRST_LINE, Content

Tls = t.Dict[str, t.Any]


@dataclass(frozen=True)
class Registries:
    """``endpoints`` by upstream, in order; ``tls`` by host and port."""

    endpoints: t.Mapping[str, t.Sequence[str]] = field(default_factory=dict)
    tls: t.Mapping[str, Tls] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not self.endpoints


@dataclass(frozen=True)
class Translated:
    """What the mirrors are in a registries.yaml, and a sentence for each that cannot be there."""

    registries: Registries
    left_out: t.Tuple[str, ...] = ()


def translate(upstreams: t.Mapping[str, t.Sequence[Mirror]]) -> Translated:
    """Mirrors as K3s has them. Upstreams without mirrors stay, with none.

    :raises ConfigError: where two mirrors on one host want different TLS.
    """
    endpoints: t.Dict[str, t.List[str]] = {}
    tls: t.Dict[str, Tls] = {}
    left_out = []
    for upstream, mirrors in upstreams.items():
        listed = endpoints.setdefault(upstream, [])
        for mirror in mirrors:
            because = cannot_use(mirror)
            if because:
                left_out.append(f'{mirror.url} (of {upstream}): {because}')
                continue
            url = _endpoint(mirror)
            listed.append(url)
            _add_tls(tls, url, mirror)
    return Translated(Registries(endpoints, tls), tuple(left_out))


def cannot_use(mirror: Mirror) -> str:
    """Why K3s cannot have a mirror, in a sentence; empty where it can."""
    if mirror.trust == 'content':
        return 'K3s lets each of its endpoints say what a tag means, and this one is trusted with content alone.'
    if mirror.headers:
        return 'K3s sends no headers of your own.'
    return ''


def _endpoint(mirror: Mirror) -> str:
    place = place_of(mirror.url)
    return place.api if place.path or place.namespace else place.base


def host_of(url: str) -> str:
    """The host and port by which K3s looks up TLS."""
    return url.partition('://')[2].partition('/')[0]


def _add_tls(tls: t.Dict[str, Tls], url: str, mirror: Mirror) -> None:
    if not url.startswith('https:'):
        return
    pairs = {'ca_file': mirror.ca_path, 'cert_file': mirror.client_cert, 'key_file': mirror.client_key, 'insecure_skip_verify': mirror.insecure}
    wanted: Tls = {key: value for key, value in pairs.items() if value}
    known = tls.setdefault(host_of(url), wanted)
    if known != wanted:
        raise ConfigError(f'{host_of(url)}: mirrors on one host have different certificates, and K3s has room for one set alone.', key=host_of(url))


def merged(before: Registries, after: Registries) -> Registries:
    """What is to be in the file: ``after``, and of ``before`` the upstreams that it does not name; one without mirrors goes."""
    endpoints = {**before.endpoints, **after.endpoints}
    endpoints = {upstream: list(urls) for upstream, urls in endpoints.items() if urls}
    hosts = [host_of(url) for urls in endpoints.values() for url in urls]
    tls = {host: {**before.tls, **after.tls}.get(host, {}) for host in dict.fromkeys(hosts)}
    return Registries(endpoints, {host: found for host, found in tls.items() if found})


def render(registries: Registries) -> Content | None:
    """The file; None for none."""
    if registries.empty:
        return None
    tree: t.Dict[str, t.Any] = {'mirrors': {upstream: {'endpoint': list(urls)} for upstream, urls in registries.endpoints.items()}}
    if registries.tls:
        tree['configs'] = {host: {'tls': dict(tls)} for host, tls in registries.tls.items()}
    return Content(f'{FIRST_LINE}\n{_yaml.dump(tree, indent=2)}\n')


def parse_ours(text: str) -> Registries:
    """Read back what :func:`render` wrote; nothing of what somebody changed in it so that it is no JSON any more."""
    body = '\n'.join(line for line in text.splitlines() if not line.lstrip().startswith('#'))
    try:
        tree = json.loads(body or '{}')
        endpoints = {str(name): [str(url) for url in one['endpoint']] for name, one in tree.get('mirrors', {}).items()}
        return Registries(endpoints, {str(host): dict(one['tls']) for host, one in tree.get('configs', {}).items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        return Registries()
