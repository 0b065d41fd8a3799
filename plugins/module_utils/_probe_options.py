# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what the user of a probe writes to what the probe does. Everything raises ConfigError for what it cannot take."""

from __future__ import annotations

import re
import typing as t
from urllib.parse import unquote, urlsplit

from ansible_collections.quickpull.registry.plugins.module_utils._catalog import catalog_warnings, refused
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._http import CONNECT_SECONDS
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import check_url, parse_mirror
from ansible_collections.quickpull.registry.plugins.module_utils._no_proxy import ProxyConfig, check_proxy, join_no_proxy, proxy_url
from ansible_collections.quickpull.registry.plugins.module_utils._probe import MAX_CONCURRENCY, Job
from ansible_collections.quickpull.registry.plugins.module_utils._probe_visit import Pull, Settings
from ansible_collections.quickpull.registry.plugins.module_utils._registry import (
    Image,
    host_platform,
    is_digest,
    parse_image,
    parse_platform,
    upstream_url,
)

_UNITS = {'': 1, 's': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}
# Shorter ones are no secrets, and hiding them would hide half of the output.
_SECRET_LENGTH = 4


def make_job(params: t.Mapping[str, t.Any], *, check_mode: bool, pull: Pull | None) -> tuple[Job, list[str]]:
    """The probe that the module's parameters ask for, and warnings. In check mode the depth `pull` counts as `blob`."""
    upstream = _upstream(params['upstream'])
    images = _images(params['images'], upstream)
    expected, warnings = _expected(params['expected_digests'] or {}, images, upstream)
    if params['deadline'] <= 0:
        raise ConfigError('deadline: a positive number of seconds is expected.', key='deadline')
    if params['concurrency'] is not None and params['concurrency'] < 1:
        raise ConfigError('concurrency: at least 1 is expected.', key='concurrency')
    asked_of = params['upstream_url'] or upstream_url(upstream)
    check_url(asked_of, key='upstream_url')
    mirrors = tuple(parse_mirror(raw, key=f'mirrors[{position}]') for position, raw in enumerate(params['mirrors']))
    warnings += _known_of([mirror.url for mirror in mirrors], upstream, allow_lapsed=params['allow_lapsed'])
    settings = Settings(
        images=images,
        platform=parse_platform(params['platform']) if params['platform'] else host_platform(),
        depth='blob' if params['depth'] == 'pull' and check_mode else params['depth'],
        proxies=parse_proxies(params['proxy'], params['no_proxy'] or []),
        prefer_direct=params['prefer_direct'],
        ca_paths=(params['ca_path'],) if params['ca_path'] else (),
        pull=pull,
        # A mirror that takes most of a short deadline to accept a connection is of no use either.
        connect_seconds=min(CONNECT_SECONDS, max(1.0, 0.75 * params['deadline'])),
    )
    job = Job(
        mirrors=mirrors,
        settings=settings,
        deadline=params['deadline'],
        concurrency=params['concurrency'] or MAX_CONCURRENCY,
        upstream=asked_of if params['check_upstream'] else None,
        expected=expected,
        stale_after=parse_duration(params['stale_after'], 'stale_after'),
    )
    return job, warnings


def _known_of(urls: t.Sequence[str], upstream: str, *, allow_lapsed: bool) -> list[str]:
    """What the catalogue has against these mirrors. Only a lapsed domain is refused; all else the probe decides."""
    lapsed = [] if allow_lapsed else refused(urls, upstream=upstream)
    if lapsed:
        raise ConfigError(f'mirrors: {lapsed[0]["reason"]} Take it out, or set allow_lapsed if you know who owns it.', key='mirrors')
    return catalog_warnings(urls, upstream)


def parse_duration(text: t.Any, key: str) -> float:
    """Seconds from a number, or from a number with one of the units s, m, h, d, w."""
    match = re.match(r'^\s*(\d+(?:\.\d+)?)\s*([smhdw]?)\s*$', str(text))
    if not match:
        raise ConfigError(f'{key}: {text!r} is no duration; write seconds, or a number with a unit, such as 90m, 24h or 7d.', key=key)
    return float(match.group(1)) * _UNITS[match.group(2)]


def parse_proxies(proxy: t.Any, no_proxy: t.Sequence[t.Any]) -> ProxyConfig:
    """The option proxy, a URL for both schemes or a dict with http_proxy and https_proxy, and no_proxy."""
    if proxy is None or isinstance(proxy, str):
        given: dict[str, t.Any] = {'http_proxy': proxy, 'https_proxy': proxy}
    elif isinstance(proxy, t.Mapping):
        given = dict(proxy)
    else:
        raise ConfigError('proxy: a URL, or a dict with http_proxy and https_proxy, is expected.', key='proxy')
    unknown = sorted(str(key) for key in given if key not in ('http_proxy', 'https_proxy', 'no_proxy'))
    if unknown:
        raise ConfigError(f'proxy: unknown key {unknown[0]!r}. Known are http_proxy, https_proxy and no_proxy.', key='proxy')
    for name in ('http_proxy', 'https_proxy'):
        value = given.get(name)
        if value is not None and not isinstance(value, str):
            raise ConfigError(f'proxy: {name} is to be a URL.', key=name)
        if value:
            check_proxy(value, f'proxy: {name}')
    more = given.get('no_proxy') or []
    entries = join_no_proxy([more] if isinstance(more, str) else more, [str(entry) for entry in no_proxy])
    return ProxyConfig(given.get('http_proxy') or '', given.get('https_proxy') or '', tuple(entries))


def secrets_of(params: t.Mapping[str, t.Any]) -> set[str]:
    """The strings in the parameters that must not be shown: passwords of proxies and the mirrors' headers. Never raises."""
    found = proxy_secrets(params.get('proxy'))
    for mirror in params.get('mirrors') or []:
        headers = mirror.get('headers') if isinstance(mirror, dict) else None
        found |= {str(value) for value in headers.values()} if isinstance(headers, dict) else set()
        found |= _userinfo(str(mirror.get('url') if isinstance(mirror, dict) else mirror))
    return {text for text in found if len(text) >= _SECRET_LENGTH}


def proxy_secrets(proxy: t.Any) -> set[str]:
    """The passwords in the option proxy, a URL or a dict of them. Never raises."""
    urls = proxy.values() if isinstance(proxy, dict) else [proxy]
    return {secret for url in urls if isinstance(url, str) for secret in _userinfo(url) if secret}


def _userinfo(url: str) -> set[str]:
    try:
        password = urlsplit(proxy_url(url)).password or ''
    except ValueError:
        password = url.rpartition('@')[0].rpartition(':')[2]
    return {password, unquote(password)}


def _upstream(text: str) -> str:
    name = text.strip().lower()
    if not re.match(r'^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$', name):
        raise ConfigError(f'upstream: {text!r} is no name of a registry; write for example docker.io or quay.io.', key='upstream')
    return 'docker.io' if name in ('index.docker.io', 'registry-1.docker.io') else name


def _images(given: t.Sequence[str], upstream: str) -> tuple[Image, ...]:
    images: dict[tuple[str, str], Image] = {}
    for text in given:
        image = parse_image(text, upstream)
        images.setdefault((image.repository, image.reference), image)
    return tuple(images.values())


def _expected(given: t.Mapping[str, t.Any], images: t.Sequence[Image], upstream: str) -> tuple[dict[str, str], list[str]]:
    """The expected digests by the names that *images* have; an image may be written in another way in both places."""
    names = {(image.repository, image.reference): image.name for image in images}
    expected, warnings = {}, []
    for text, digest in given.items():
        if not is_digest(str(digest)):
            raise ConfigError(f'expected_digests: {text}: {digest!r} is no digest; write sha256: and 64 hexadecimal digits.', key='expected_digests')
        image = parse_image(text, upstream)
        name = names.get((image.repository, image.reference))
        if name is None:
            warnings.append(f'expected_digests: {text} is not among the images that are asked for, so its digest is not compared.')
        else:
            expected[name] = str(digest)
    return expected, warnings
