# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host is told for choosing its mirrors by itself: one JSON file, which the role writes and the refresh reads."""

from __future__ import annotations

import contextlib
import json
import math
import typing as t
from dataclasses import dataclass, field, fields

from ansible_collections.quickpull.registry.plugins.module_utils import _access, _leak_guard
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import check_url, parse_mirrors
from ansible_collections.quickpull.registry.plugins.module_utils._plain import type_name
from ansible_collections.quickpull.registry.plugins.module_utils._probe import Job
from ansible_collections.quickpull.registry.plugins.module_utils._probe_options import make_job, parse_duration
from ansible_collections.quickpull.registry.plugins.module_utils._query import HAS_JMESPATH, check_jmespath
from ansible_collections.quickpull.registry.plugins.module_utils._refresh_report import SETTINGS
from ansible_collections.quickpull.registry.plugins.module_utils._select import parse_policy
from ansible_collections.quickpull.registry.plugins.module_utils._sharing import probe_request_key
from ansible_collections.quickpull.registry.plugins.module_utils._stability import Steadiness

PATH = SETTINGS
#: Less would hardly be over before the next one begins.
LEAST_SECONDS = 30.0

Mirrors = t.Mapping[str, t.Sequence[t.Any]]


@dataclass(frozen=True)
class Asking:
    """How mirrors are probed; the options of registry_mirror_probe of the same names. ``proxies``: what it knows as ``proxy``."""

    images: tuple[str, ...] = ()
    depth: str = 'blob'
    deadline: float = 20.0
    proxies: t.Mapping[str, t.Any] = field(default_factory=dict, repr=False)
    ca_path: str = ''
    expected_digests: t.Mapping[str, str] = field(default_factory=dict)
    stale_after: str = '24h'
    check_upstream: bool = True
    allow_lapsed: bool = False


@dataclass(frozen=True)
class Settings:
    """All that a refresh goes by; the role's variables of the same names say what each does.

    :ivar mirrors: the candidates by upstream, as the user writes them; ``own``: those of them that are caches of one's own.
    :ivar interval: seconds from one refresh to the next.
    :ivar ask: URLs where other hosts of the site offer what they found.
    :ivar metrics_path: of the file for node_exporter; empty for none.
    """

    owner: str = 'registry_access'
    engines: t.Any = 'auto'
    mirrors: Mirrors = field(default_factory=dict, repr=False)
    own: Mirrors = field(default_factory=dict, repr=False)
    asking: Asking = field(default_factory=Asking)
    policy: t.Mapping[str, t.Any] = field(default_factory=dict)
    query: str = ''
    leak_policy: str = _leak_guard.DROP
    hub_login: bool = False
    exclusive: bool = False
    overwrite: bool = False
    validate: str = 'auto'
    backup: bool = True
    podman_users: tuple[str, ...] = ()
    apply_timeout: float = 60.0
    interval: float = 600.0
    steadiness: Steadiness = field(default_factory=Steadiness)
    ask: tuple[str, ...] = ()
    metrics_path: str = ''


def parse(raw: t.Any, path: str = PATH) -> Settings:
    """Read the settings, and check all that can be checked without asking anybody. Raises ConfigError, naming the key."""
    given = _known(raw, Settings, '', path)
    given['asking'] = Asking(**_tuples(_numbers(_known(given.get('asking') or {}, Asking, 'asking.', path), 'deadline'), 'images'))
    given['steadiness'] = Steadiness(**_known(given.get('steadiness') or {}, Steadiness, 'steadiness.', path))
    if 'interval' in given:
        given['interval'] = parse_duration(given['interval'], 'interval')
    settings = Settings(**_tuples(_numbers(given, 'apply_timeout'), 'podman_users', 'ask'))
    _check(settings)
    return settings


def load(text: str, path: str = PATH) -> Settings:
    """The settings of a file. Raises ConfigError."""
    try:
        raw = json.loads(text)
    except ValueError as exc:
        raise ConfigError(f'{path} is not JSON: {exc}. Run the role again, which writes it anew.', path=path) from None
    return parse(raw, path)


def _known(raw: t.Any, kind: t.Any, prefix: str, path: str) -> dict[str, t.Any]:
    if not isinstance(raw, t.Mapping):
        raise ConfigError(f'{path}: {prefix.rstrip(".") or "the whole"}: a dict is expected, not {type_name(raw)}.', path=path)
    names = [one.name for one in fields(kind)]
    for name in raw:
        if name not in names:
            raise ConfigError(f'{path}: {prefix}{name} is not known. Known are {", ".join(names)}.', path=path, key=str(name))
    return dict(raw)


def _tuples(given: dict[str, t.Any], *names: str) -> dict[str, t.Any]:
    for name in names:
        if isinstance(given.get(name), str):
            raise ConfigError(f'{name}: a list is expected, not {type_name(given[name])}.', key=name)
    return {**given, **{name: tuple(map(str, given[name] or ())) for name in names if name in given}}


def _numbers(given: dict[str, t.Any], *names: str) -> dict[str, t.Any]:
    """Before ansible-core 2.19 a number that a template made is a text."""
    for name in names:
        if isinstance(given.get(name), str):
            with contextlib.suppress(ValueError):
                number = float(given[name])
                given = {**given, name: number if math.isfinite(number) else given[name]}
    return given


def _check(settings: Settings) -> None:
    if settings.interval < LEAST_SECONDS:
        raise ConfigError(f'interval: {settings.interval:g} seconds are less than the least, {LEAST_SECONDS:g}.', key='interval')
    parse_policy(settings.policy, key='policy')
    _access.added_up(settings.mirrors)
    _access.engines_here(settings.engines, {})
    if isinstance(settings.asking.deadline, bool) or not isinstance(settings.asking.deadline, (int, float)):
        raise ConfigError(f'asking.deadline: a number of seconds is expected, not {type_name(settings.asking.deadline)}.', key='deadline')
    if settings.query and HAS_JMESPATH:
        check_jmespath(settings.query, 'query')
    for upstream, mirrors in settings.mirrors.items():
        parse_mirrors(list(mirrors), key=f'mirrors.{upstream}')
        job_of(settings, upstream, mirrors)
    for url in settings.ask:
        check_url(url, key='ask')
    if settings.metrics_path and not settings.metrics_path.startswith('/'):
        raise ConfigError(f'metrics_path: {settings.metrics_path!r} is no absolute path.', key='metrics_path')
    if settings.metrics_path and not settings.metrics_path.endswith('.prom'):
        raise ConfigError(f'metrics_path: {settings.metrics_path!r} does not end with .prom, and node_exporter reads no other file.', key='metrics_path')
    for name in ('proven', 'wanted', 'longest_pause'):
        value = getattr(settings.steadiness, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f'steadiness.{name}: a whole number of at least 1 is expected, not {value!r}.', key=name)


def _options(settings: Settings, upstream: str, mirrors: t.Sequence[t.Any]) -> dict[str, t.Any]:
    asking = settings.asking
    images = _access.images_of(asking.images, upstream)
    return {
        'upstream': upstream,
        'mirrors': list(mirrors),
        'images': images,
        'depth': asking.depth if images else 'ping',
        'deadline': asking.deadline,
        'proxy': dict(asking.proxies),
        'ca_path': asking.ca_path,
        'expected_digests': dict(asking.expected_digests),
        'stale_after': asking.stale_after,
        'check_upstream': asking.check_upstream,
        'allow_lapsed': asking.allow_lapsed,
    }


def job_of(settings: Settings, upstream: str, mirrors: t.Sequence[t.Any]) -> Job:
    """The probe of these mirrors. The depth ``pull`` counts as ``blob``, since an image is not pulled every few minutes. Raises ConfigError."""
    more = {'prefer_direct': True, 'no_proxy': [], 'concurrency': None, 'platform': None, 'upstream_url': None}
    job, _warnings = make_job({**_options(settings, upstream, mirrors), **more}, check_mode=True, pull=None)
    return job


def request_key(settings: Settings, upstream: str) -> str:
    """Equal on hosts that would ask the same of the same mirrors; see :func:`_sharing.probe_request_key`."""
    return probe_request_key(_options(settings, upstream, settings.mirrors.get(upstream, ())))


def choice_key(settings: Settings) -> str:
    """Equal for settings by which a host would choose the same: of these candidates, asked in this way, by this policy. No secret goes into it."""
    listed = {name: _options(settings, name, mirrors) for name, mirrors in settings.mirrors.items()}
    rules = {name: getattr(settings, name) for name in ('own', 'policy', 'query', 'leak_policy', 'hub_login')}
    return probe_request_key({'listed': listed, **rules})


def default_jitter(interval: t.Any) -> float:
    """By how many seconds a refresh may come earlier where nobody says: a fifth of the interval. Raises ConfigError."""
    return round(parse_duration(interval, 'interval') / 5)


def standing(told: t.Mapping[str, t.Any], raw: t.Any, jitter: t.Any = None) -> dict[str, t.Any]:
    """The choice that a host made by itself, where it stands for that of a run of the role; empty where the role's probe is to decide.

    It stands where it was made by these very candidates and this policy, lately, and without an error.

    :param told: of the refresh, by container_engine_info.
    :param raw: the settings that the role would give the host, as :func:`parse` takes them. What makes no sense is told by the module that installs them.
    :param jitter: seconds, as the role is given it; None for the default.
    :returns: ``of`` (when the host looked) and ``engines`` (by engine and upstream, the URLs in order).
    """
    age = told.get('age')
    if not told.get('installed') or age is None or told.get('errors') or not told.get('chosen'):
        return {}
    try:
        settings = parse(raw)
        late = default_jitter(settings.interval) if jitter is None else float(jitter)
    except (ConfigError, TypeError, ValueError):
        return {}
    if told.get('goes_by') != choice_key(settings) or not 0 <= float(age) <= 2 * settings.interval + late:
        return {}
    return {'of': told['checked_at'], 'engines': told['chosen']}
