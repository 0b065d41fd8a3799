# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of one instance of the distribution registry: its configuration, and its secrets, which systemd reads as root.

Source: docker/distribution 2.8, configuration/configuration.go (the file, and that a variable's value is YAML too) and registry/proxy.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _cache_store, _systemd, _yaml
from ansible_collections.quickpull.registry.plugins.module_utils._cache_model import STORAGE_DIR, Program, Upstream
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import FIRST_LINE, Content
from ansible_collections.quickpull.registry.plugins.module_utils._probe_options import proxy_secrets

CA_DIR = '/etc/quickpull-cache/ca'


def config(upstream: Upstream, program: Program = Program()) -> Content:  # noqa: B008 - it is frozen
    """The configuration, as JSON below a comment, which is YAML as well: hosts need not have a library for that.

    Version 3 reads the same file (configuration/configuration.go: still ``version: 0.1``), and a time to live beside it.

    A cache of descriptors is configured with a bucket alone: of the host's own files it would promise those that the eviction has taken away.
    """
    tree = {
        'version': '0.1',
        'log': {'level': 'info', 'fields': {'upstream': upstream.name}},
        'storage': {
            **_cache_store.storage(program.store, program.version, f'{STORAGE_DIR}/{upstream.id}', upstream.id),
            'delete': {'enabled': True},
            'maintenance': {'uploadpurging': {'enabled': True, 'age': '24h', 'interval': '1h', 'dryrun': False}},
        },
        'http': {
            'addr': f'127.0.0.1:{upstream.port}',
            'draintimeout': '10s',
            'debug': {'addr': f'127.0.0.1:{upstream.metrics_port}', 'prometheus': {'enabled': True, 'path': '/metrics'}},
        },
        'proxy': {'remoteurl': upstream.url, **({'ttl': program.keep_for} if program.keep_for else {})},
        'health': {'storagedriver': {'enabled': True, 'interval': '10s', 'threshold': 3}},
    }
    if program.store.redis:
        tree['redis'] = _cache_store.redis_tree(program.store.redis, program.version, upstream.redis_db)
    return Content(f'{FIRST_LINE}\n{_yaml.dump(tree, indent=2)}\n')


def environment(upstream: Upstream, program: Program = Program()) -> Content:  # noqa: B008
    """An EnvironmentFile for systemd: the login at the upstream, the proxy on the way there, and where else authorities are. A shell reads the same of it."""
    # Version 3 would send traces to whoever listens on a port of this host, and log that nobody does.
    variables: dict[str, str] = {} if program.version < 3 else {'OTEL_TRACES_EXPORTER': 'none'}
    if upstream.username:
        variables['REGISTRY_PROXY_USERNAME'] = _value(upstream.username)
        variables['REGISTRY_PROXY_PASSWORD'] = _value(upstream.password)
    variables.update((name, _value(text)) for name, text in _cache_store.secret_variables(program.store, program.version).items())
    bucket = program.store.bucket
    direct = ['localhost', '127.0.0.1', *([bucket.host] if bucket and bucket.host else [])]
    if upstream.proxy:
        proxy = upstream.proxy.replace("'", '%27')  # which is the same in a URL, and does not end the value
        variables.update(dict.fromkeys(('HTTP_PROXY', 'HTTPS_PROXY'), proxy), NO_PROXY=','.join(direct))
    if upstream.ca_path or (bucket and bucket.ca_path):
        variables['SSL_CERT_DIR'] = f'{CA_DIR}/{upstream.id}:/etc/ssl/certs'
    lines = [f"{name}='{value}'" for name, value in variables.items()]
    return Content('\n'.join([FIRST_LINE, *lines]) + '\n', secret=True)


def _value(text: str) -> str:
    """The registry parses a variable's value as YAML, and systemd ends it at the next single quote."""
    return _yaml.dump(text).replace("'", '\\u0027')


def port_in(text: str) -> int | None:
    """The port in a configuration as :func:`config` writes it; None for another file."""
    try:
        return int(str((_tree(text) or {})['http']['addr']).rpartition(':')[2])
    except (ValueError, KeyError, TypeError):
        return None


def _tree(text: str) -> dict[str, t.Any] | None:
    body = '\n'.join(line for line in text.splitlines() if not line.startswith('#'))
    try:
        tree = json.loads(body)
    except ValueError:
        return None
    return tree if isinstance(tree, dict) else None


def upstream_in(name: str, text: str, environment_text: str) -> Upstream:
    """The upstream of an instance, from its files as :func:`config` and :func:`environment` write them.

    :param name: the :attr:`Upstream.id` of the instance.
    """
    tree = _tree(text) or {}
    variables = _systemd.read_environment_file(environment_text)
    return Upstream(
        str(tree.get('log', {}).get('fields', {}).get('upstream', name)), str(tree.get('proxy', {}).get('remoteurl', '')), port=port_in(text) or 0,
        proxy=variables.get('HTTPS_PROXY', ''), ca_path=f'{CA_DIR}/{name}/ca.crt' if 'SSL_CERT_DIR' in variables else '',
    )  # fmt: skip


def secrets_of(upstreams: t.Iterable[Upstream]) -> set[str]:
    """What of the upstreams must not be shown."""
    found: set[str] = set()
    for upstream in upstreams:
        found |= {upstream.password} if upstream.password else set()
        found |= proxy_secrets(upstream.proxy or None)
    return found
