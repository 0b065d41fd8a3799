# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logins in the files of container clients: Docker's config.json and the auth.json of Podman, Buildah, Skopeo and CRI-O.

Pure: texts and values in, texts and values out. Who may touch a file, and what a registry says of a login, is told elsewhere.

Sources: docker/cli, cli/config/configfile/file.go and cli/config/credentials (keys, `auth`, `identitytoken`, credential helpers);
containers/image, docs/containers-auth.json.5.md and pkg/docker/config/config.go (namespaced keys, normalizeAuthFileKey).
"""

from __future__ import annotations

import base64
import binascii
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._json_text import ABSENT, Document, pointer, same_value
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_url
from ansible_collections.quickpull.registry.plugins.module_utils._plain import type_name

DOCKER = 'docker'
CONTAINERS = 'containers'
FORMATS = (DOCKER, CONTAINERS)

HUB = 'docker.io'
HUB_DOCKER_KEY = 'https://index.docker.io/v1/'
_HUB_HOSTS = frozenset(('docker.io', 'index.docker.io', 'registry-1.docker.io'))
# Where `docker login` without a password (since 27.2) keeps its own tokens; docker/cli, internal/oauth/manager.
_HUB_TOKEN_KEYS = (f'{HUB_DOCKER_KEY}access-token', f'{HUB_DOCKER_KEY}refresh-token')

_SCHEME = re.compile(r'^(https?)://', re.IGNORECASE)
_HOST = re.compile(r'^(?:[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?$')
_COMPONENT = re.compile(r'^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$')
_API = re.compile(r'^v[12]$')

_SECRETS = ('auth', 'identitytoken', 'registrytoken', 'username', 'password')

PROXY_KEYS = {
    'http_proxy': 'httpProxy',
    'https_proxy': 'httpsProxy',
    'no_proxy': 'noProxy',
    'ftp_proxy': 'ftpProxy',
    'all_proxy': 'allProxy',
}


@dataclass(frozen=True)
class Registry:
    """What a login is for: ``host`` is docker.io, or host[:port]; ``namespace`` is empty, or as in quay.io/team."""

    host: str
    namespace: str = ''
    plain_http: bool = False

    @property
    def name(self) -> str:
        """As people call it, and as containers' files have it."""
        return f'{self.host}/{self.namespace}' if self.namespace else self.host

    def key(self, form: str) -> str:
        """The key in ``auths`` and ``credHelpers`` that the clients of this format write."""
        return HUB_DOCKER_KEY if form == DOCKER and self.host == HUB else self.name


def parse_registry(text: t.Any, form: str = DOCKER, *, option: str = 'registry') -> Registry:
    """Read a registry as people write it: a host, a URL, one of the Hub's names, and for containers a namespace.

    :raises ConfigError: when no client could use it.
    """
    given = str(text).strip()
    scheme = _SCHEME.match(given)
    rest = given[scheme.end() :] if scheme else given
    host, dummy, path = rest.partition('/')
    host = host.lower()
    parts = [part for part in path.split('/') if part]
    if parts and _API.match(parts[0]):
        parts = []
    if '@' in host or not _HOST.match(host) or not all(_COMPONENT.match(part) for part in parts):
        raise ConfigError(
            f'{option}: {mask_url(given)!r} is no registry; write its host, with a port where it has one, such as docker.io or registry.example.com:5000.',
            key=option,
        )
    if host in _HUB_HOSTS or (host.endswith(':443') and host[: -len(':443')] in _HUB_HOSTS):
        host = HUB
    namespace = '/'.join(parts)
    if namespace and form == DOCKER:
        raise ConfigError(
            f"{option}: {given!r} names a part of a registry. Docker knows one login for each registry: write {host!r}, "
            'or use the format containers, whose clients know logins for a part.',
            key=option,
        )
    return Registry(host, namespace, bool(scheme and scheme.group(1).lower() == 'http'))


def _host_of_key(key: str) -> str:
    host = _SCHEME.sub('', key.strip()).partition('/')[0].lower()
    return HUB if host in _HUB_HOSTS else host


def means(key: str, registry: Registry, form: str) -> bool:
    """Whether a key of a file is for this registry, in today's spelling or in an older one."""
    if form == DOCKER:
        # Without a scheme, what stands behind the host is a part of the registry, which Podman knows in this file too.
        path = '' if _SCHEME.match(key) else key.partition('/')[2].strip('/')
        return key not in _HUB_TOKEN_KEYS and (not path or bool(_API.match(path))) and _host_of_key(key) == registry.host
    if registry.namespace or (not _SCHEME.match(key) and '/' in key):
        return key == registry.name
    return _host_of_key(key) == registry.host


@dataclass(frozen=True)
class Secret:
    """Who logs in, and by what. Either ``password`` or ``identity_token`` is set."""

    username: str = ''
    password: str = field(default='', repr=False)
    identity_token: str = field(default='', repr=False)

    def entry(self, old: t.Any = None) -> dict[str, t.Any]:
        """The value in ``auths``; what another tool keeps in the old one stays."""
        kept = {name: value for name, value in old.items() if name not in _SECRETS} if isinstance(old, dict) else {}
        if self.identity_token:
            # As the CLI writes it: the name with an empty password beside the token.
            named = {'auth': _encode(self.username, '')} if self.username else {}
            return {**named, 'identitytoken': self.identity_token, **kept}
        return {'auth': _encode(self.username, self.password), **kept}


def _encode(username: str, password: str) -> str:
    return base64.b64encode(f'{username}:{password}'.encode('utf-8', 'surrogateescape')).decode()


def read_entry(entry: t.Any) -> Secret | None:
    """What an entry of ``auths`` holds; None when it holds no login, or none that a client could read."""
    if not isinstance(entry, dict):
        return None
    username, password = (_text(entry.get(name)) for name in ('username', 'password'))
    encoded = _text(entry.get('auth'))
    if encoded:
        try:
            decoded = base64.b64decode(encoded, validate=True).decode('utf-8', 'surrogateescape')
        except (binascii.Error, ValueError):
            return None
        username, colon, password = decoded.partition(':')
        if not colon:
            return None
        password = password.strip('\x00')  # as the CLI reads it
    token = _text(entry.get('identitytoken'))
    if not token and not (username and password):
        return None
    return Secret(username, '' if token else password, token)


def _text(value: t.Any) -> str:
    return value if isinstance(value, str) else ''


def satisfies(found: Secret | None, wanted: Secret, *, keep_token: bool = True) -> bool:
    """Whether the login that is there is the one that is wanted.

    A token that the registry itself gave to this user at an earlier login stands for the password, unless ``keep_token`` is False.
    """
    if found is None:
        return False
    if wanted.identity_token:
        return found.identity_token == wanted.identity_token and (not wanted.username or found.username == wanted.username)
    if found.identity_token:
        return keep_token and found.username == wanted.username
    return (found.username, found.password) == (wanted.username, wanted.password)


# --- the file ------------------------------------------------------------------------------------------------------


def parse(data: bytes | None, path: str) -> Document:
    """The file's text. No file, and an empty one, count as an empty object.

    :raises ConfigError: when it is no JSON object, or one of the parts that are edited has another shape than the clients know.
    """
    if data and data.startswith(b'\xef\xbb\xbf'):
        raise ConfigError(f'{path} begins with a byte-order mark, which no client reads. Nothing was changed; save it without one and run again.', path=path)
    document = Document.parse(data or b'', path)
    for name in ('auths', 'credHelpers', 'proxies'):
        part = document.get(pointer(name))
        if part is not ABSENT and part is not None and not isinstance(part, dict):
            raise ConfigError(f'{path}: {name!r} is {type_name(part)} where an object is expected. Nothing was changed; correct it and run again.', path=path)
    return document


def _part(document: Document, name: str) -> dict[str, t.Any]:
    part = document.get(pointer(name))
    return part if isinstance(part, dict) else {}


def _settled(document: Document, name: str) -> Document:
    """A key that is null becomes an object, so that something can be put into it."""
    return document.set(pointer(name), {}) if document.get(pointer(name)) is None else document


def helper_of(document: Document, registry: Registry, form: str) -> str:
    """The credential helper that keeps the login of a registry, '' when the file itself does.

    ``credHelpers`` beats ``credsStore``, which only Docker's clients know; there an empty name in ``credHelpers`` means the file. Containers' clients ask
    helpers for whole registries alone.
    """
    named = _named_helper(document, registry, form)
    if named is not None:
        return named
    store = document.get(pointer('credsStore')) if form == DOCKER else ABSENT
    return store if isinstance(store, str) else ''


def helper_key(document: Document, registry: Registry, form: str) -> str:
    """The key that :func:`helper_of` found the helper under."""
    return 'credsStore' if _named_helper(document, registry, form) is None else 'credHelpers'


def _named_helper(document: Document, registry: Registry, form: str) -> str | None:
    named = _part(document, 'credHelpers').get(registry.key(form) if form == DOCKER else registry.host)
    return named if isinstance(named, str) else None


def set_helper(document: Document, registry: Registry, form: str, name: str) -> Document:
    """Let a helper keep the login of a registry; an empty name lets the file do so."""
    where = pointer('credHelpers', registry.key(form))
    if not name and not (form == DOCKER and isinstance(document.get(pointer('credsStore')), str)):
        return document.remove(where)
    return _settled(document, 'credHelpers').set(where, name)


def keys_of(document: Document, registry: Registry, form: str) -> list[str]:
    """The keys in ``auths`` that are for this registry, the one that clients write today first."""
    found = [key for key in _part(document, 'auths') if means(key, registry, form)]
    return sorted(found, key=lambda key: key != registry.key(form))


def login_of(document: Document, registry: Registry, form: str) -> Secret | None:
    """The login of a registry in the file, under whichever key."""
    auths = _part(document, 'auths')
    found = (read_entry(auths[key]) for key in keys_of(document, registry, form))
    return next((one for one in found if one), None)


def put(document: Document, registry: Registry, form: str, entry: t.Mapping[str, t.Any]) -> Document:
    """Write an entry under today's key, and take away the older spellings, which a client would read as well."""
    key = registry.key(form)
    for old in keys_of(document, registry, form):
        if old != key:
            document = document.remove(pointer('auths', old))
    where = pointer('auths', key)
    if same_value(document.get(where), dict(entry)):
        return document
    return _settled(document, 'auths').set(where, dict(entry))


def put_login(document: Document, registry: Registry, form: str, secret: Secret, *, keep_token: bool = True) -> Document:
    """Write a login, unless it is there already."""
    keys = keys_of(document, registry, form)
    old = _part(document, 'auths')[keys[0]] if keys else None
    if isinstance(old, dict) and satisfies(read_entry(old), secret, keep_token=keep_token):
        return put(document, registry, form, old)
    return put(document, registry, form, secret.entry(old))


def take_away(document: Document, registry: Registry, form: str) -> Document:
    """Remove a login in every spelling, and what a login by browser left beside it."""
    keys = keys_of(document, registry, form)
    if form == DOCKER and registry.host == HUB:
        keys += [key for key in _HUB_TOKEN_KEYS if key in _part(document, 'auths')]
    for key in keys:
        document = document.remove(pointer('auths', key))
    return document


def others(document: Document, wanted: t.Iterable[Registry], form: str) -> list[str]:
    """Keys of ``auths`` for registries that are not among the wanted ones."""
    known = list(wanted)
    hub = form == DOCKER and any(one.host == HUB for one in known)
    return [key for key in _part(document, 'auths') if not any(means(key, one, form) for one in known) and not (hub and key in _HUB_TOKEN_KEYS)]


def remove_keys(document: Document, keys: t.Iterable[str]) -> Document:
    """Remove entries of ``auths`` by their keys."""
    for key in keys:
        document = document.remove(pointer('auths', key))
    return document


# --- proxies for what runs in containers -----------------------------------------------------------------------------


def put_proxies(document: Document, proxies: t.Mapping[str, t.Any]) -> Document:
    """Set ``proxies.default``, which the Docker client hands to builds and new containers; an empty dict takes it away.

    Only the keys that are named in ``proxies`` are touched; a proxy of an empty text, or None, is taken away.
    """
    proxies = proxies or dict.fromkeys(PROXY_KEYS)
    for option, key in PROXY_KEYS.items():
        if option not in proxies:
            continue
        value = proxies[option]
        text = ','.join(str(entry) for entry in value) if isinstance(value, (list, tuple)) else value
        where = pointer('proxies', 'default', key)
        if text:
            if document.get(where) != text:
                document = _settled(document, 'proxies')
                if document.get(pointer('proxies', 'default')) is None:
                    document = document.set(pointer('proxies', 'default'), {})
                document = document.set(where, text)
        else:
            document = document.remove(where)
    for where in (pointer('proxies', 'default'), pointer('proxies')):
        document = document.remove(where) if document.get(where) == {} else document
    return document
