# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One probe for many hosts: who probes, what makes two probes the same, and where a result is found again."""

from __future__ import annotations

import hashlib
import json
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_url
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import host_of, normalise_url, parse_mirrors
from ansible_collections.quickpull.registry.plugins.module_utils._no_proxy import ProxyConfig, join_no_proxy, parse_ip
from ansible_collections.quickpull.registry.plugins.module_utils._plain import plain, type_name

# Under these names a value is no part of what is asked of a mirror, or may hold a secret.
_NOT_IN_KEY = ('headers', 'client_key')


def results_of(value: t.Any, *, key: str = 'results') -> list[dict[str, t.Any]]:
    """The results of a probe, from their list or from the whole dict that registry_mirror_probe returned.

    Raises ConfigError on anything else.
    """
    found = plain(value)
    if isinstance(found, dict) and 'results' in found:
        found = found['results']
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ConfigError(f'{key}: the results of registry_mirror_probe are expected, a list of dicts, not {type_name(found)}.', key=key)
    return found


def mirror_urls(mirrors: t.Any) -> list[str]:
    """The URLs of mirrors in either form, each mirror once."""
    return [mirror.url for mirror in parse_mirrors(plain(mirrors))]


def mirrors_for_daemon(mirrors: t.Any, urls: t.Sequence[str]) -> list[dict[str, t.Any]]:
    """The mirrors with these URLs, as dicts in the order of the URLs, each with what the user said of it.

    Raises ConfigError for a URL that is none of the mirrors.
    """
    given = plain(mirrors)
    as_dicts: dict[str, dict[str, t.Any]] = {}
    for parsed in parse_mirrors(given):
        as_dicts[normalise_url(parsed.url)] = {'url': parsed.url}
    for raw in reversed(given or []):
        if isinstance(raw, dict):
            as_dicts[normalise_url(raw['url'])] = {name: value for name, value in raw.items() if value is not None}
        else:
            as_dicts[normalise_url(raw)] = {'url': raw}
    wanted = list(dict.fromkeys(normalise_url(url) for url in plain(urls)))
    for key in wanted:
        if key not in as_dicts:
            raise ConfigError(f'{mask_url(key)} is none of the mirrors given. Select among the mirrors that were probed.', key='urls')
    return [as_dicts[key] for key in wanted]


def direct_no_proxy(no_proxy: t.Any, mirrors: t.Any, results: t.Any, proxies: t.Any = None) -> list[str]:
    """The user's entries of no_proxy, and behind them the hosts of mirrors that are reached without the proxy.

    A mirror joins when the probe reached it directly (its result says ``route: direct``), or when its host is a private
    address and the probe did not go through the proxy to it. Nothing joins when no proxy is set for the mirror's scheme, or
    when an entry covers it already.
    """
    given = plain(no_proxy)
    entries = join_no_proxy([given] if isinstance(given, str) else given or [])
    asked = plain(proxies) or {}
    routes = {normalise_url(str(result.get('url'))): result.get('route') for result in results_of(results or [])}
    for url in mirror_urls(mirrors):
        config = ProxyConfig(asked.get('http_proxy') or '', asked.get('https_proxy') or '', tuple(entries))
        if config.proxy_for(url) is None:
            continue
        route = routes.get(normalise_url(url))
        if route == 'direct' or (route is None and _is_private(host_of(url))):
            entries = join_no_proxy(entries, [host_of(url)])
    return entries


def _is_private(host: str) -> bool:
    address = parse_ip(host)
    return address is not None and (address.is_private or address.is_link_local)


def probe_request_key(request: t.Any) -> str:
    """Sixteen hex digits that are equal for requests that ask the same; no secret goes into them.

    A hash of a password could be tried out, so users, passwords and header values are left out.
    """
    asked = plain(request)
    if not isinstance(asked, dict):
        raise ConfigError(f'probe_request_key: a dict is expected, not {type_name(asked)}.', key='request')
    text = json.dumps(_without_secrets(asked), sort_keys=True, ensure_ascii=True, separators=(',', ':'))
    return hashlib.sha256(text.encode('ascii')).hexdigest()[:16]


def _without_secrets(value: t.Any) -> t.Any:
    if isinstance(value, dict):
        return {name: sorted(item) if name in _NOT_IN_KEY and isinstance(item, dict) else _without_secrets(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return mask_url(value) if isinstance(value, str) else value


def shared_probe(hostvars: t.Mapping[str, t.Any], hosts: t.Iterable[str], key: str, variable: str = '__registry_access_probes') -> dict[str, t.Any]:
    """The first usable result with this key that any of the hosts holds in a variable, or an empty dict.

    The variable holds a dict of results by key, or a registered result that names its key (as ``key``, or as the ``item`` of
    a loop). A result that failed, was skipped or found the host unreachable is passed over. ``host`` is added to the answer.
    """
    for host in hosts:
        # Reading hostvars is dear: it templates all that the host has. So no more of them is read than needed.
        held = hostvars[host].get(variable) if host in hostvars else None
        if not held:
            continue
        for result in _held_results(plain(held), key):
            if _is_usable(result):
                return {**result, 'host': str(host)}
    return {}


def shared_probes(
    hostvars: t.Mapping[str, t.Any], hosts: t.Iterable[str], keys: t.Mapping[str, str], variable: str = '__registry_access_probes'
) -> dict[str, dict[str, t.Any]]:
    """For each name in ``keys`` what :func:`shared_probe` finds under its key."""
    names = list(hosts)
    return {str(name): shared_probe(hostvars, names, key, variable) for name, key in plain(keys).items()}


def _held_results(held: t.Any, key: str) -> t.Iterator[dict[str, t.Any]]:
    if not isinstance(held, dict):
        return
    if isinstance(held.get(key), dict):
        yield held[key]
    nested = held.get('results')
    for one in [held, *(nested if isinstance(nested, list) else [])]:
        if isinstance(one, dict) and key in (one.get('key'), _item_key(one.get('item'))):
            yield one


def _item_key(item: t.Any) -> t.Any:
    return item.get('key') if isinstance(item, dict) else item


def _is_usable(result: t.Mapping[str, t.Any]) -> bool:
    if any(result.get(bad) for bad in ('failed', 'skipped', 'unreachable')):
        return False
    found = result.get('results')
    return isinstance(found, list) and all(isinstance(item, dict) and item.get('url') for item in found)


def probe_representative(
    hosts: t.Iterable[str],
    hostvars: t.Mapping[str, t.Any] | None = None,
    site: str = '',
    variable: str = 'registry_access_site',
    skip: t.Iterable[str] = (),
) -> str:
    """The first host of the site that is not to be skipped, or ''. Without ``hostvars`` all hosts are of one site."""
    passed_over = {str(name) for name in skip}
    for host in hosts:
        if str(host) in passed_over:
            continue
        if hostvars is None or _site_of(hostvars, host, variable) == str(site):
            return str(host)
    return ''


def _site_of(hostvars: t.Mapping[str, t.Any], host: str, variable: str) -> str:
    value = hostvars[host].get(variable) if host in hostvars else None
    return '' if value is None else str(value)
