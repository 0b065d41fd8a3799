# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pull-through cache of one's own: what it is told, before any file is made of it.

A *cache* is a host. It runs an *instance* of the distribution registry for each upstream, on the loopback, and a *front* (nginx) that clients talk to.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ansible_collections.quickpull.registry.plugins.module_utils._cache_store import ON_THE_HOST, Store
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._hosts_toml import SERVERS, check_upstream
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import check_url
from ansible_collections.quickpull.registry.plugins.module_utils._plain import type_name
from ansible_collections.quickpull.registry.plugins.module_utils._probe_options import parse_proxies

#: Whom the instances and the workers of the front run as. The role makes it.
USER = 'quickpull-cache'
CONFIG_DIR = '/etc/quickpull-cache'
STORAGE_DIR = '/var/lib/quickpull-cache'
FRONT_DIR = '/var/cache/quickpull-cache'

#: systemd's template of an instance, and the front.
INSTANCE_UNIT = 'quickpull-cache@{}.service'
FRONT_UNIT = 'quickpull-cache-front.service'
EVICT_TIMER = 'quickpull-cache-evict.timer'

#: While this is there the front stores nothing, because the disk is full. The program that evicts makes it.
FULL_FLAG = '/run/quickpull-cache/full'

#: Where the front says that it is well, and below it each instance, by the name of its upstream.
HEALTH_PATH = '/-/health'
#: Below it each instance tells its figures.
METRICS_PATH = '/-/metrics'

#: What the role's variables are where the inventory says nothing of them.
DEFAULT_PORT = 5000
DEFAULT_UPSTREAMS = ('docker.io',)

FIRST_PORT = 5101
#: What is added to the port of an instance for its metrics.
METRICS_OFFSET = 100

_KEYS = ('name', 'url', 'username', 'password', 'proxy', 'ca_path', 'port', 'redis_db')
_SIZE = re.compile(r'([1-9][0-9]*)([kmgt]?)\Z', re.IGNORECASE)
_DURATION = re.compile(r'(0|[1-9][0-9]*(?=[mhd]))([mhd]?)\Z')
_FACTORS = {'': 1, 'k': 1 << 10, 'm': 1 << 20, 'g': 1 << 30, 't': 1 << 40}


@dataclass(frozen=True)
class Upstream:
    """One instance: of which registry, where that is, and with which login it is asked. ``port`` 0: one that is free.

    :ivar redis_db: the number of its database, where there is a Redis.
    """

    name: str
    url: str
    username: str = ''
    password: str = field(default='', repr=False)
    proxy: str = field(default='', repr=False)
    ca_path: str = ''
    port: int = 0
    redis_db: int = 0

    @property
    def id(self) -> str:
        """The name of its files, directories and unit: systemd takes a colon in a directory's name for something else."""
        return self.name.replace(':', '_')

    @property
    def unit(self) -> str:
        return INSTANCE_UNIT.format(self.id)

    @property
    def metrics_port(self) -> int:
        return self.port + METRICS_OFFSET


@dataclass(frozen=True)
class Replica:
    """Another cache, by the URL of its front. ``ca_path``: a file with the authorities of its certificate. ``addresses``: of its name, as they are now."""

    scheme: str
    host: str
    port: int
    ca_path: str = ''
    addresses: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        return f'{f"[{self.host}]" if ":" in self.host else self.host}:{self.port}'


@dataclass(frozen=True)
class Front:
    """What clients talk to. ``htpasswd``: a file with who may; empty for everybody.

    :ivar size: in bytes.
    :ivar reserve: bytes of its file system that are left to others.
    :ivar metrics_from: addresses and networks, beside this host, that may read the figures of the instances.
    :ivar fresh_for: seconds for which what a tag means is believed without asking the upstream again.
    :ivar replicas: other caches, which are asked in this order where an instance does not serve.
    """

    address: str
    port: int
    size: int
    fresh_for: int = 300
    certificate: str = ''
    key: str = ''
    htpasswd: str = ''
    reserve: int = 1 << 30
    metrics_from: tuple[str, ...] = ()
    replicas: tuple[Replica, ...] = ()

    @property
    def own_address(self) -> tuple[str, ...]:
        """The address that it listens on, unless that is every one."""
        return () if self.address in ('0.0.0.0', '::') else (self.address,)  # noqa: S104

    @property
    def health_url(self) -> str:
        """Where the host itself asks whether the front is well."""
        here = {'0.0.0.0': '127.0.0.1', '::': '::1'}.get(self.address, self.address)  # noqa: S104
        return f'http{"s" if self.certificate else ""}://{f"[{here}]" if ":" in here else here}:{self.port}{HEALTH_PATH}'


@dataclass(frozen=True)
class Program:
    """What the instances run.

    :ivar version: of the distribution registry, whose form of configuration is written.
    :ivar keep_for: for how long it keeps what it was asked for, as Go writes it; empty for its own default, ``0s`` for ever.
    :ivar store: and where.
    """

    version: int = 2
    keep_for: str = ''
    store: Store = ON_THE_HOST


def parse_program(version: int, keep_for: t.Any, store: Store = ON_THE_HOST) -> Program:
    """The options ``registry_version`` and ``keep_for`` (a number with m, h or d, or 0 for ever). Raises ConfigError."""
    text = str(keep_for or '').strip().lower() if keep_for != 0 else '0'
    if not text:
        return Program(version, store=store)
    found = _DURATION.match(text)
    if not found:
        raise ConfigError(f'keep_for: {keep_for!r} is no time; write a number with m, h or d, such as 30d, or 0 for ever.', key='keep_for')
    if version < 3:
        raise ConfigError('keep_for: the registry 2 has a week built in; leave it out, or run version 3.', key='keep_for')
    number, unit = int(found.group(1)), found.group(2) or 's'
    return Program(version, f'{number * 24}h' if unit == 'd' else f'{number}{unit}', store)


def parse_replicas(urls: t.Sequence[t.Any], ca_path: str) -> tuple[Replica, ...]:
    """The options ``replicas`` and ``replicas_ca_path``. Raises ConfigError."""
    found = []
    for number, url in enumerate(map(str, urls)):
        key = f'replicas[{number}]'
        check_url(url, key=key)
        parts = urlsplit(url)
        if parts.path not in ('', '/'):
            raise ConfigError(f'{key}: {url} has a path; write the address of a cache alone, such as http://10.0.0.6:5000.', key=key)
        found.append(Replica(parts.scheme, parts.hostname or '', parts.port or (443 if parts.scheme == 'https' else 80), ca_path))
    return tuple(dict.fromkeys(found))


def parse_size(text: t.Any, key: str) -> int:
    """Bytes of a size such as ``50g``. Raises ConfigError."""
    found = _SIZE.match(str(text).strip())
    if not found:
        raise ConfigError(f'{key}: {text!r} is no size; write a number with k, m, g or t, such as 50g.', key=key)
    return int(found.group(1)) * _FACTORS[found.group(2).lower()]


def parse_upstreams(raw: t.Any) -> list[Upstream]:
    """The option ``upstreams``: names, or dictionaries with :data:`_KEYS`. Raises ConfigError."""
    if not isinstance(raw, (list, tuple)) or not raw:
        raise ConfigError('upstreams: a list of registries is expected, such as [docker.io, quay.io].', key='upstreams')
    found = [_parse_upstream(one, f'upstreams[{number}]') for number, one in enumerate(raw)]
    names = [one.name for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ConfigError(f'upstreams: {twice} is named twice; one instance serves all of a registry.', key='upstreams')
    return found


def _parse_upstream(raw: t.Any, key: str) -> Upstream:
    if isinstance(raw, str):
        raw = {'name': raw}
    if not isinstance(raw, t.Mapping) or 'name' not in raw:
        raise ConfigError(f'{key}: a name, or a dictionary with name, is expected, not {type_name(raw)}.', key=key)
    unknown = sorted(set(map(str, raw)) - set(_KEYS))
    if unknown:
        raise ConfigError(f'{key}: {", ".join(unknown)} is not known; there are {", ".join(_KEYS)}.', key=key)
    given = {name: raw[name] for name in _KEYS if raw.get(name) not in (None, '')}
    name = check_upstream(str(given.pop('name')))
    url = str(given.pop('url', SERVERS.get(name, f'https://{name}'))).rstrip('/')
    check_url(url, key=f'{key}.url')
    if urlsplit(url).path:
        raise ConfigError(f'{key}.url: {url} has a path, which the registry drops on its way to the upstream; leave it out.', key=key)
    if ('username' in given) != ('password' in given):
        raise ConfigError(f'{key}: username and password go together.', key=key)
    port, database = (_number(given.pop(one, 0)) for one in ('port', 'redis_db'))
    if database < 0:
        raise ConfigError(f'{key}.redis_db: {raw.get("redis_db")!r} is no number of a database, which are 0, 1, 2 and so on.', key=key)
    if port and not 1024 <= port <= 65535 - METRICS_OFFSET:
        raise ConfigError(
            f'{key}.port: {raw.get("port")!r} is no port of an instance; write one from 1024, which it may listen on without being root, to '
            f'{65535 - METRICS_OFFSET}, since that of its metrics is {METRICS_OFFSET} higher.',
            key=key,
        )  # fmt: skip
    parse_proxies(given.get('proxy'), [])
    return Upstream(name, url, port=port, redis_db=database, **{name: str(value) for name, value in given.items()})


def _number(value: t.Any) -> int:
    """-1 for what is none."""
    try:
        return -1 if isinstance(value, bool) else int(value)
    except (TypeError, ValueError):
        return -1


def with_ports(
    upstreams: t.Sequence[Upstream], known: t.Mapping[str, int], taken: t.Callable[[int], bool] = lambda _port: False, front_port: int = 0
) -> list[Upstream]:
    """Each with a port of its own: the one that was asked for, the one that it had before, or the next that is free.

    :param known: ports of the instances that are there, by :attr:`Upstream.id`.
    :param taken: whether somebody else listens on a port.
    :param front_port: that of the front.
    :raises ConfigError: for a port that two would have, and for one that was asked for and is somebody else's.
    """
    ports = _Ports(front_port)
    for one in upstreams:
        if one.port:
            ports.use(one.port, one.name)
            busy = next((port for port in (one.port, one.metrics_port) if taken(port)), None) if known.get(one.id) != one.port else None
            if busy:
                what = f'port {busy} of {one.name}' + ('' if busy == one.port else f', which its metrics would have beside port {one.port},')
                raise ConfigError(f'upstreams: {what} is taken by another program; choose another, or leave it out.', key='upstreams')
    for one in upstreams:
        if not one.port and ports.free(known.get(one.id, 0)):
            ports.use(known[one.id], one.name)
    for one in upstreams:
        if one.name not in ports.of:
            port = next(port for port in range(FIRST_PORT, 65000) if ports.free(port) and not taken(port) and not taken(port + METRICS_OFFSET))
            ports.use(port, one.name)
    return [dataclasses.replace(one, port=ports.of[one.name]) for one in upstreams]


class _Ports:
    """Who listens where: each instance on its port and on that of its metrics."""

    def __init__(self, front_port: int) -> None:
        self.of: dict[str, int] = {}
        self.used: dict[int, str] = {front_port: 'the front'} if front_port else {}

    def free(self, port: int) -> bool:
        return bool(port) and not {port, port + METRICS_OFFSET} & set(self.used)

    def use(self, port: int, name: str) -> None:
        for one in (port, port + METRICS_OFFSET):
            if one in self.used:
                raise ConfigError(f'upstreams: {name} and {self.used[one]} would both listen on port {one}.', key='upstreams')
            self.used[one] = name
        self.of[name] = port
