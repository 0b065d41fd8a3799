# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A mirror: what the user may write, and when two URLs mean the same mirror.

Two levels of strictness live here on purpose. ``parse_mirror`` and
``check_docker_mirror`` judge what *we* would write, and refuse. ``normalise_url``,
``same_mirror``, ``host_of`` and ``hostport_of`` also meet what other people wrote
into a configuration, so they accept any text and never raise.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._plain import type_name

TRUST_LEVELS = ('content', 'resolve')

# moby 25.0 is the first whose ValidateMirror lets a path stand.
DOCKER_MIRROR_PATH_SINCE = (25, 0)

_DEFAULT_PORTS = {'http': 80, 'https': 443}
_URL = re.compile(r'\A([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(.*)\Z', re.DOTALL)
_LABEL = re.compile(r'\A[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z')
_HEADER_NAME = re.compile(r"\A[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
# Everything str.isspace() knows, and all control characters.
_BLANK = re.compile(r'[\s\x00-\x20\x7f-\x9f]')
_ASCII_UPPER = {upper: upper + 32 for upper in range(ord('A'), ord('Z') + 1)}


@dataclass(frozen=True)
class Mirror:
    """One mirror as the user described it.

    ``trust`` is ``content`` (serves only what a digest verifies) or ``resolve`` (may
    also say which digest a tag is). ``headers`` may hold secrets and therefore stays
    out of ``repr()``.
    """

    url: str
    trust: str = 'resolve'
    third_party: bool = False
    ca_path: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    headers: t.Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    insecure: bool = False


@dataclass(frozen=True)
class _Parts:
    scheme: str
    userinfo: str | None
    host: str  # without brackets, in the user's spelling
    bracketed: bool
    port: str | None  # the digits after the colon, '' when nothing follows the colon
    path: str
    rest: str  # query and fragment with their '?' and '#'


def _split(url: str) -> _Parts | None:
    match = _URL.match(url)
    if not match:
        return None
    scheme, authority, path, rest = match.groups()
    userinfo, at_sign, hostport = authority.rpartition('@')
    bracketed, host, port = _split_hostport(hostport)
    return _Parts(scheme.lower(), userinfo if at_sign else None, host, bracketed, port, path, rest)


def _split_hostport(hostport: str) -> tuple[bool, str, str | None]:
    if hostport.startswith('['):
        host, closing, after = hostport[1:].partition(']')
        if closing and after[:1] in ('', ':'):
            return True, host, after[1:] if after else None
        return False, hostport, None
    host, colon, port = hostport.rpartition(':')
    if not colon:
        return False, hostport, None
    return False, host, port


def shown_url(url: str) -> str:
    """The URL as it may stand in a message: without user, password, query and fragment.

    A password that was not percent-encoded may hold any of ``/?#@``; then nobody can tell
    where it ends, and rather too much is hidden than too little.
    """
    text = str(url)
    scheme, separator, rest = text.partition('://')
    if not separator:
        scheme, rest = '', text
    before, at_sign, after = rest.rpartition('@')
    hidden = 'xxxxx:xxxxx@' if at_sign else ''
    shown = after if at_sign else rest
    if at_sign and ('?' in before or '#' in before):
        return scheme + separator + hidden + '...'
    for mark in '?#':
        head, found, _dummy = shown.partition(mark)
        if found:
            shown = head + mark + 'xxxxx'
            break
    return scheme + separator + hidden + shown


def _port_number(port: str | None) -> int | None:
    if port and len(port) <= 8 and port.isascii() and port.isdigit():
        return int(port)
    return None


def _host_key(parts: _Parts) -> str:
    host = parts.host.translate(_ASCII_UPPER)
    if not parts.bracketed:
        return host
    try:
        return f'[{ipaddress.IPv6Address(host).compressed}]'
    except ValueError:
        return f'[{host}]'


def _hostport_key(parts: _Parts) -> str:
    number = _port_number(parts.port)
    if not parts.port or number == _DEFAULT_PORTS.get(parts.scheme):
        return _host_key(parts)
    return f'{_host_key(parts)}:{parts.port if number is None else number}'


def normalise_url(url: str) -> str:
    """The spelling under which mirrors are compared.

    Scheme and host in lower case, the scheme's default port dropped, an IPv6 address in
    its short form and in brackets, exactly one trailing slash after the path. Text that is
    no URL comes back unchanged. Never raises.
    """
    return _normalised(str(url))


@functools.lru_cache(maxsize=4096)  # whoever compares lists of mirrors asks for the same few again and again
def _normalised(text: str) -> str:
    parts = _split(text)
    if parts is None:
        return text
    user = '' if parts.userinfo is None else parts.userinfo + '@'
    path = parts.path.rstrip('/') + '/'
    return f'{parts.scheme}://{user}{_hostport_key(parts)}{path}{parts.rest}'


def same_mirror(a: str, b: str) -> bool:
    """Whether two URLs mean the same mirror."""
    return normalise_url(a) == normalise_url(b)


def host_of(url: str) -> str:
    """The host in lower case, without port and brackets; '' for text that is no URL."""
    parts = _split(str(url))
    return '' if parts is None else _host_key(parts).strip('[]')


def hostport_of(url: str) -> str:
    """``host`` or ``host:port`` (IPv6 in brackets, default port dropped); '' for no URL."""
    parts = _split(str(url))
    return '' if parts is None else _hostport_key(parts)


def has_path(url: str) -> bool:
    """Whether the URL has a path besides a lone slash."""
    parts = _split(str(url))
    return parts is not None and parts.path not in ('', '/')


@dataclass(frozen=True)
class Place:
    """Where a mirror's API lies.

    :ivar base: scheme, host and port, without a slash at the end.
    :ivar path: of the API's root without `/v2`: empty for a mirror at the root of its host.
    :ivar namespace: what stands before a repository's name on the mirror. `https://harbor.lan/v2/hub` is one whose images
        have names that begin with `hub/` (Harbor's proxy projects); `https://mirror.lan/hub` is one with an API of its own below `/hub/v2/`.
    """

    base: str
    path: str = ''
    namespace: str = ''

    @property
    def api(self) -> str:
        """What a repository's name is appended to, behind a slash."""
        return f'{self.base}{self.path}/v2' + (f'/{self.namespace}' if self.namespace else '')


def place_of(url: str) -> Place:
    """Take a mirror's URL apart. For text that is no URL, ``base`` is the text."""
    parts = _split(str(url))
    if parts is None:
        return Place(str(url))
    base = f'{parts.scheme}://{_hostport_key(parts)}'
    path = parts.path.strip('/')
    if path == 'v2' or path.startswith('v2/'):
        return Place(base, '', path[3:])
    return Place(base, f'/{path}' if path else '')


def host_in_image(url: str) -> str:
    """The mirror's host as it stands in the name of an image that is pulled from the mirror itself.

    Engines take a first part without dot and port for a user of Docker Hub, and try port 443 first where none is given: so the port that was
    meant is named.
    """
    scheme, _colon, host = place_of(url).base.partition('://')
    if re.search(r':\d+\Z', host) or (scheme == 'https' and ('.' in host or host.startswith('['))):
        return host
    return f'{host}:{_DEFAULT_PORTS.get(scheme, 443)}'


def check_url(url: t.Any, *, key: str = 'mirror') -> None:
    """Refuse a URL that no engine takes as a mirror.

    The order of the checks is moby's (registry/config.go, ValidateMirror), the rules are a
    little stricter: moby lets spaces in a path, empty hosts and non-ASCII hosts pass and
    fails at the first pull.

    Raises ConfigError; the text shows neither user, password, query nor fragment.
    """
    if not isinstance(url, str):
        raise ConfigError(f'{key}: the URL of a mirror must be a string, not {type_name(url)}.', key=key)
    shown = shown_url(url)
    if not url:
        raise ConfigError(f'{key}: the URL of the mirror is empty. Write for example https://mirror.example.com.', key=key)
    if _BLANK.search(url):
        raise ConfigError(f'{key}: {shown!r} holds a space or a control character. Remove it, or write it as %20 if it belongs to the path.', key=key)
    parts = _split(url)
    if parts is None:
        rest = re.sub(r'\A(https?:)?/*(.*@)?', '', shown) or 'mirror.example.com'
        raise ConfigError(f'{key}: {shown!r} has no scheme. Write https://{rest}, or http:// for a mirror without TLS.', key=key)
    problem = _scheme_problem(parts) or _extras_problem(parts) or _host_problem(parts) or _port_problem(parts) or _path_problem(parts)
    if problem:
        raise ConfigError(f'{key}: {shown!r} {problem}', key=key)


def _scheme_problem(parts: _Parts) -> str:
    if parts.scheme in _DEFAULT_PORTS:
        return ''
    return f'has the scheme {parts.scheme!r}. A mirror is reached by https:// or http:// only.'


def _extras_problem(parts: _Parts) -> str:
    if parts.rest:
        return "has a query or a fragment (from '?' or '#' on), which engines refuse. Remove it."
    if parts.userinfo is not None:
        return 'holds a user or password, which engines refuse in a mirror. Remove it; a mirror that asks for a login needs it in the auth file.'
    return ''


def _host_problem(parts: _Parts) -> str:
    host = parts.host
    if not host:
        return 'names no host.'
    if parts.bracketed:
        return _ipv6_problem(host)
    if ':' in host or '[' in host or ']' in host:
        return 'has a host that reads like an IPv6 address. Write it in brackets, as in http://[2001:db8::1]:5000.'
    if not host.isascii():
        return _idn_problem(host)
    labels = (host[:-1] if host.endswith('.') else host).split('.')
    if len(host) > 253 or not all(_LABEL.match(label) for label in labels):
        return f'has {host!r} where a host name or an IP address is expected.'
    return ''


def _ipv6_problem(host: str) -> str:
    # A zone (%25eth0) means nothing outside the one host, and only Python 3.9 and later parse it.
    try:
        if '%' not in host:
            ipaddress.IPv6Address(host)
            return ''
    except ValueError:
        pass
    return f'has [{host}] where an IPv6 address without a zone is expected.'


def _idn_problem(host: str) -> str:
    try:
        punycode = host.encode('idna').decode('ascii')
    except UnicodeError:
        return 'has a host with letters outside ASCII, which engines do not translate. Write its punycode spelling (xn--...).'
    return f'has a host with letters outside ASCII, which engines do not translate. Write its punycode spelling: {punycode}'


def _port_problem(parts: _Parts) -> str:
    if parts.port is None:
        return ''
    number = _port_number(parts.port)
    if number is None or not 1 <= number <= 65535:
        return f'has {parts.port!r} where a port between 1 and 65535 is expected.'
    return ''


def _path_problem(parts: _Parts) -> str:
    if parts.path.isascii():
        return ''
    return 'has letters outside ASCII in its path. Write them percent-encoded.'


def check_docker_mirror(url: str, version: tuple[int, ...] | None, *, key: str = 'registry-mirrors') -> None:
    """Refuse what this version of dockerd refuses in ``registry-mirrors``.

    Source: moby, registry/config.go, ValidateMirror. 20.10 to 24.0 refuse any path but
    ``/``; from 25.0 on a path is accepted and kept. The other rules are the same in all of
    them (28.0 only words them differently). With an unknown ``version`` (None) the rule on
    the path is left out, see ``has_path``.

    Raises ConfigError.
    """
    check_url(url, key=key)
    if place_of(url).namespace:
        raise ConfigError(
            f'{key}: {shown_url(url)!r} is a project of its registry (its path begins with /v2/), and Docker asks a registry-mirror for /v2/ below '
            'the path. Serve the mirror at the root of a host name or port of its own, or use it for containerd and Podman alone.',
            key=key,
        )
    if version is not None and tuple(version[:2]) < DOCKER_MIRROR_PATH_SINCE and has_path(url):
        running = '.'.join(str(number) for number in version)
        raise ConfigError(
            f'{key}: {shown_url(url)!r} has a path, which Docker accepts since 25.0 only; this host runs {running}. '
            'Serve the mirror at the root of a host name or port of its own, leave it out on this host, or upgrade Docker.',
            key=key,
        )


def parse_mirror(raw: str | t.Mapping[str, t.Any], *, key: str = 'mirror') -> Mirror:
    """Read a mirror in its short form (the URL) or as a dict; ``key`` names it in errors.

    Raises ConfigError on an unknown key, a wrong type or a URL that no engine takes.
    """
    if isinstance(raw, str):
        check_url(raw, key=key)
        return Mirror(url=str(raw))
    if not isinstance(raw, t.Mapping):
        raise ConfigError(f'{key}: a mirror is a URL or a dict with url, not {type_name(raw)}.', key=key)
    known = Mirror.__dataclass_fields__
    unknown = sorted(str(name) for name in raw if name not in known)
    if unknown:
        names = ', '.join(repr(name) for name in unknown)
        raise ConfigError(f'{key}: unknown key {names} in a mirror. Known are {", ".join(known)}.', key=key)
    if raw.get('url') is None:
        raise ConfigError(f'{key}: the mirror has no url.', key=key)
    check_url(raw['url'], key=f'{key}.url')
    values: dict[str, t.Any] = {}
    for name, value in raw.items():
        if name != 'url' and value is not None:
            values[name] = _READERS[name](value, f'{key}.{name}')
    if values.get('client_key') and not values.get('client_cert'):
        raise ConfigError(f'{key}: client_key without client_cert. Name the certificate that belongs to the key.', key=key)
    return Mirror(url=str(raw['url']), **values)


def header_secrets(raw: t.Any) -> set[str]:
    """Values of headers wherever they stand in mirrors as somebody wrote them: texts that may appear nowhere. Never raises."""
    if isinstance(raw, t.Mapping):
        headers = raw.get('headers')
        found = {str(value) for value in headers.values() if value} if isinstance(headers, t.Mapping) else set()
        return found.union(*(header_secrets(value) for value in raw.values()))
    return set().union(*(header_secrets(one) for one in raw)) if isinstance(raw, (list, tuple)) else set()


def parse_mirrors(raws: t.Any, *, key: str = 'mirrors') -> list[Mirror]:
    """Read a list of mirrors. Of two entries for the same mirror the first one stands.

    Raises ConfigError, naming the entry by its index.
    """
    if raws is None:
        return []
    if isinstance(raws, (str, t.Mapping)) or not isinstance(raws, t.Sequence):
        raise ConfigError(f'{key}: a list of mirrors is expected, not {type_name(raws)}.', key=key)
    found: dict[str, Mirror] = {}
    for index, raw in enumerate(raws):
        mirror = parse_mirror(raw, key=f'{key}[{index}]')
        found.setdefault(normalise_url(mirror.url), mirror)
    return list(found.values())


def _read_bool(value: t.Any, key: str) -> bool:
    if isinstance(value, bool):
        return value
    raise ConfigError(f'{key}: true or false is expected, not {type_name(value)}.', key=key)


def _read_trust(value: t.Any, key: str) -> str:
    if isinstance(value, str) and value in TRUST_LEVELS:
        return str(value)
    raise ConfigError(f'{key}: {value!r} is not a trust level. Write content or resolve.', key=key)


def _read_path(value: t.Any, key: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f'{key}: a path is expected, not {type_name(value)}.', key=key)
    if not value.startswith('/') or '\0' in value:
        raise ConfigError(f'{key}: {value!r} is not an absolute path on the host.', key=key)
    return str(value)


def _read_headers(value: t.Any, key: str) -> dict[str, str]:
    if not isinstance(value, t.Mapping):
        raise ConfigError(f'{key}: a dict of header names and values is expected, not {type_name(value)}.', key=key)
    for name, text in value.items():
        if not isinstance(name, str) or not _HEADER_NAME.match(name):
            raise ConfigError(f'{key}: {name!r} is not the name of an HTTP header.', key=key)
        # The value may be a secret, so it is not shown.
        if not isinstance(text, str) or re.search(r'[\r\n\0]', text):
            raise ConfigError(f'{key}: the value of {name} must be a string on one line.', key=key)
    return {str(name): str(text) for name, text in value.items()}


_READERS: dict[str, t.Callable[[t.Any, str], t.Any]] = {
    'trust': _read_trust,
    'third_party': _read_bool,
    'ca_path': _read_path,
    'client_cert': _read_path,
    'client_key': _read_path,
    'headers': _read_headers,
    'insecure': _read_bool,
}
