# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a registry speaks: names of images, challenges and tokens, manifests, platforms, digests.

Sources: the OCI distribution and image specifications 1.1, and the token authentication page of distribution. Nothing here talks to
anybody; `_probe.py` does.
"""

from __future__ import annotations

import hashlib
import json
import platform as host
import re
import typing as t
from calendar import timegm
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from urllib.parse import urlencode, urlsplit

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError

INDEX_TYPES = ('application/vnd.oci.image.index.v1+json', 'application/vnd.docker.distribution.manifest.list.v2+json')
MANIFEST_TYPES = ('application/vnd.oci.image.manifest.v1+json', 'application/vnd.docker.distribution.manifest.v2+json')
ACCEPT_MANIFESTS = ', '.join(INDEX_TYPES + MANIFEST_TYPES)
# distribution takes manifests of up to 4 MiB (registry/handlers/manifests.go); the largest ones in the wild have a tenth of this, and
# dozens of mirrors may send something endless at the same time.
MAX_MANIFEST_BYTES = 2 * 1024 * 1024
MAX_TOKEN_BYTES = 64 * 1024

UPSTREAM_URLS = {'docker.io': 'https://registry-1.docker.io'}
DOCKER_HUB = 'docker.io'
_HUB_NAMES = (DOCKER_HUB, 'index.docker.io', 'registry-1.docker.io')

_COMPONENT = r'[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*'
_REPOSITORY = re.compile(rf'^{_COMPONENT}(?:/{_COMPONENT})*$')
# What `docker pull` takes for a registry and not for a part of the name: it holds a dot or a port.
_REGISTRY_HOST = re.compile(r'^(?=.*[.:])[A-Za-z0-9][A-Za-z0-9.-]*(:\d+)?$')
_TAG = re.compile(r'^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$')
_DIGEST = re.compile(r'^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$')
_RFC3339 = re.compile(r'^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)$')
# These are fed by strangers, so none may take more than linear time: a quoted text without an end ends with the header, and a name is
# looked for at its beginning only.
_QUOTED = re.compile(r'"(?:[^"\\]|\\.?)*"?', re.DOTALL)
_PARAMETER = re.compile(r'(?<![A-Za-z0-9_-])([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.?)*)"?|([^\s,"]+))', re.DOTALL)
# What is longer is nothing that an engine could use either: the longest in use have a few hundred characters.
_MAX_CHALLENGE = 4096
_MAX_DATE = 64
_MAX_DIGITS = 20
_SCHEME = re.compile(r'(?:^|,)\s*([A-Za-z][A-Za-z0-9_-]*)(?:\s+(?=[A-Za-z0-9_-]+\s*=)|\s*(?=,|$))')


class BadManifest(ValueError):
    """A document that is no manifest that an engine of today takes. `str()` is half a sentence."""


@dataclass(frozen=True)
class Image:
    """An image of the upstream, without the upstream's name: `library/nginx`, and a tag or a digest."""

    name: str
    repository: str
    tag: str = ''
    digest: str = ''

    @property
    def reference(self) -> str:
        """What stands behind `/manifests/`."""
        return self.digest or self.tag


@dataclass(frozen=True)
class Platform:
    os: str
    architecture: str
    variant: str = ''

    def __str__(self) -> str:
        return '/'.join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True)
class Descriptor:
    digest: str
    size: int
    media_type: str = ''


@dataclass(frozen=True)
class Manifest:
    """An image's manifest for one platform."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True)
class Index:
    """A list of manifests, one for each platform."""

    entries: tuple[tuple[Platform, Descriptor], ...]


@dataclass(frozen=True)
class Challenge:
    """One challenge of a `WWW-Authenticate` header; the scheme and the parameters' names in lower case."""

    scheme: str
    parameters: t.Mapping[str, str]


def upstream_url(upstream: str) -> str:
    """Where an upstream's own registry answers."""
    return UPSTREAM_URLS.get(upstream, f'https://{upstream}')


def split_image(image: str) -> tuple[str, str]:
    """Which registry an image belongs to, and its name there, from the name as it is pulled.

    A name whose first part holds a dot or a colon, or is ``localhost``, names its registry; any other is Docker Hub's
    (distribution/reference, splitDockerDomain).
    """
    first, slash, rest = image.partition('/')
    if not slash or not ('.' in first or ':' in first or first == 'localhost'):
        return DOCKER_HUB, image
    return (DOCKER_HUB if first in _HUB_NAMES else first), rest


def parse_image(text: str, upstream: str) -> Image:
    """Read an image as people write it for `docker pull`. Raises ConfigError.

    `nginx`, `nginx:1`, `library/nginx@sha256:…`, with or without the upstream's own name in front. The image's `name` stays as written.
    """
    rest, at_sign, digest = str(text).strip().partition('@')
    if at_sign and not is_digest(digest):
        raise ConfigError(f'images: {text!r} has {digest!r} where a digest (sha256: and 64 hexadecimal digits) is expected.', key='images')
    first, slash, _more = rest.partition('/')
    if slash and (first in _HUB_NAMES if upstream == 'docker.io' else first == upstream):
        rest = rest[len(first) + 1 :]
    elif slash and (first == 'localhost' or _REGISTRY_HOST.match(first)):
        raise ConfigError(
            f'images: {text!r} belongs to the registry {first}, but the mirrors are asked for images of {upstream}. '
            f'Set upstream to {first}, or name an image of {upstream}.',
            key='images',
        )
    head, slash, last = rest.rpartition('/')
    leaf, colon, tag = last.partition(':')
    repository = head + slash + leaf
    if upstream == 'docker.io' and '/' not in repository:
        repository = f'library/{repository}'
    if not _REPOSITORY.match(repository) or (colon and not _TAG.match(tag)):
        raise ConfigError(f'images: {text!r} is no name of an image; write it as for docker pull, for example library/nginx:latest.', key='images')
    return Image(str(text), repository, tag or ('' if digest else 'latest'), digest)


def _whole_number(digits: str) -> int:
    """For json: Python before 3.11 takes quadratic time for a number of a million digits."""
    if len(digits) > _MAX_DIGITS:
        raise ValueError('a number with too many digits')
    return int(digits)


def is_digest(text: str) -> bool:
    return bool(_DIGEST.match(text))


def digest_of(data: bytes, like: str = 'sha256:') -> str:
    """The digest of *data*, by the algorithm of the digest *like*."""
    algorithm = 'sha512' if like.startswith('sha512:') else 'sha256'
    return f'{algorithm}:{hashlib.new(algorithm, data).hexdigest()}'


def parse_challenges(headers: t.Iterable[str]) -> list[Challenge]:
    """The challenges of `WWW-Authenticate` headers (RFC 9110, section 11.6.1): several in one header are allowed. Never raises.

    One that is longer than 4 KiB is none that we understand.
    """
    found: list[Challenge] = []
    for text in headers:
        if len(text) > _MAX_CHALLENGE:
            continue
        # Quoted texts may hold commas and what looks like a scheme, so they are blanked out for finding where challenges begin.
        blank = _QUOTED.sub(lambda quoted: '"' + 'x' * (len(quoted.group(0)) - 1), text)
        starts = list(_SCHEME.finditer(blank))
        for position, start in enumerate(starts):
            end = starts[position + 1].start() if position + 1 < len(starts) else len(text)
            parameters = {
                name.lower(): re.sub(r'\\(.)', r'\1', quoted) if quoted else token for name, quoted, token in _PARAMETER.findall(text[start.end() : end])
            }
            found.append(Challenge(start.group(1).lower(), parameters))
    return found


def realm_of(challenge: Challenge) -> str:
    """The URL of the token server that a Bearer challenge names; empty when it names no usable one."""
    realm = challenge.parameters.get('realm', '')
    try:
        parts = urlsplit(realm)
    except ValueError:
        return ''
    if parts.scheme not in ('http', 'https') or not parts.hostname or parts.username is not None or not realm.isascii() or re.search(r'\s', realm):
        return ''
    return realm


def token_query(challenge: Challenge, scope: str = '') -> dict[str, str]:
    """What a token server is told of the challenge; *scope* counts where the challenge names none.

    A scope is the challenge's own first: only the registry knows what it calls the repository.
    """
    asked = {'service': challenge.parameters.get('service', ''), 'scope': challenge.parameters.get('scope') or scope}
    return {name: value for name, value in asked.items() if value}


def with_query(url: str, query: t.Mapping[str, str]) -> str:
    """A URL with these parameters behind those that it has."""
    return f'{url}{"&" if urlsplit(url).query else "?"}{urlencode(query)}' if query else url


def token_url(challenge: Challenge, repository: str) -> str:
    """The URL to ask for an anonymous token to pull *repository*; empty when the challenge names no usable realm."""
    realm = realm_of(challenge)
    return with_query(realm, token_query(challenge, f'repository:{repository}:pull')) if realm else ''


def parse_token(body: bytes) -> str:
    """The token in a token server's answer; empty when there is none that could stand in a header."""
    try:
        answer = json.loads(body, parse_int=_whole_number)
    except (ValueError, RecursionError):
        return ''
    token = (answer.get('token') or answer.get('access_token')) if isinstance(answer, dict) else None
    return token if isinstance(token, str) and re.match(r'^[\x21-\x7e]+$', token) else ''


def parse_retry_after(value: str, now: float) -> float | None:
    """Seconds to wait by a `Retry-After` header, which holds seconds or a date; None when it holds neither. *now* in epoch seconds."""
    if re.match(r'^\d{1,9}$', value):
        return float(value)
    date = parsedate_tz(value) if len(value) <= _MAX_DATE else None
    try:
        return max(0.0, mktime_tz(date) - now) if date else None
    except (ValueError, OverflowError):
        return None


def parse_manifest(body: bytes, content_type: str = '') -> Manifest | Index:
    """Read a manifest or an index. Raises BadManifest.

    The document's own mediaType counts more than the header, as the digest covers it.
    """
    try:
        data = json.loads(body, parse_int=_whole_number)
    except (ValueError, RecursionError):
        raise BadManifest('it is not JSON') from None
    if not isinstance(data, dict):
        raise BadManifest('it is not a JSON object')
    if data.get('schemaVersion') == 1:
        raise BadManifest('it is a manifest of schema 1, which engines of today refuse')
    media_type = data.get('mediaType') or content_type.partition(';')[0].strip()
    if media_type in INDEX_TYPES or (media_type not in MANIFEST_TYPES and isinstance(data.get('manifests'), list)):
        return Index(tuple(_entries(data.get('manifests'))))
    if not isinstance(data.get('config'), dict) or not isinstance(data.get('layers'), list):
        raise BadManifest('it has no config or no layers')
    return Manifest(_descriptor(data['config']), tuple(_descriptor(layer) for layer in data['layers']))


def parse_platform(text: str) -> Platform:
    """Read `os/architecture[/variant]`. Raises ConfigError."""
    parts = str(text).strip().lower().split('/')
    if not 2 <= len(parts) <= 3 or not all(re.match(r'^[a-z0-9._-]+$', part) for part in parts):
        raise ConfigError(f'platform: {text!r} is no platform; write it as os/architecture or os/architecture/variant, such as linux/amd64.', key='platform')
    return _normal(Platform(*parts))


def host_platform(machine: str | None = None) -> Platform:
    """The platform of this host as Docker names it; the engines run Linux images."""
    machine = (machine if machine is not None else host.machine()).lower()
    known = {
        'x86_64': ('amd64', ''),
        'amd64': ('amd64', ''),
        'i386': ('386', ''),
        'i686': ('386', ''),
        'aarch64': ('arm64', 'v8'),
        'arm64': ('arm64', 'v8'),
        'armv5tel': ('arm', 'v5'),
        'armv6l': ('arm', 'v6'),
        'armv7l': ('arm', 'v7'),
        'armv8l': ('arm', 'v7'),
        'ppc64le': ('ppc64le', ''),
        's390x': ('s390x', ''),
        'riscv64': ('riscv64', ''),
        'loongarch64': ('loong64', ''),
        'mips64': ('mips64le', ''),
    }
    architecture, variant = known.get(machine, (machine, ''))
    return Platform('linux', architecture, variant)


def choose(index: Index, wanted: Platform) -> Descriptor | None:
    """The entry that an engine on *wanted* takes (containerd, platforms/compare.go): its own variant, else the next lower one."""
    best: tuple[int, Descriptor] | None = None
    for found, descriptor in index.entries:
        rank = _rank(_normal(found), _normal(wanted))
        if rank is not None and (best is None or rank > best[0]):
            best = (rank, descriptor)
    return best[1] if best else None


def parse_created(text: t.Any) -> float | None:
    """A config's `created` (RFC 3339) in epoch seconds; None when it is missing or no date."""
    match = _RFC3339.match(text) if isinstance(text, str) and len(text) <= _MAX_DATE else None
    if not match:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= 31 and year >= 1):
        return None
    seconds = float(timegm((year, month, day, hour, minute, second))) + float(match.group(7) or 0)
    zone = match.group(8)
    if zone in ('Z', 'z'):
        return seconds
    shift = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
    return seconds - shift if zone[0] == '+' else seconds + shift


def parse_config_created(body: bytes) -> str | None:
    """The text of `created` in a config blob; None when it has none. Raises BadManifest when the blob is no JSON object."""
    try:
        data = json.loads(body, parse_int=_whole_number)
    except (ValueError, RecursionError):
        raise BadManifest('it is not JSON') from None
    if not isinstance(data, dict):
        raise BadManifest('it is not a JSON object')
    created = data.get('created')
    return created if isinstance(created, str) else None


def _entries(listed: t.Any) -> t.Iterator[tuple[Platform, Descriptor]]:
    if not isinstance(listed, list):
        raise BadManifest('its list of manifests is no list')
    for entry in listed:
        descriptor = _descriptor(entry)
        where = entry.get('platform')
        if isinstance(where, dict):
            yield Platform(str(where.get('os') or ''), str(where.get('architecture') or ''), str(where.get('variant') or '')), descriptor


def _descriptor(data: t.Any) -> Descriptor:
    digest = data.get('digest') if isinstance(data, dict) else None
    size = data.get('size') if isinstance(data, dict) else None
    if not isinstance(digest, str) or not is_digest(digest) or isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise BadManifest('one of its entries has no proper digest and size')
    return Descriptor(digest, size, str(data.get('mediaType') or ''))


def _normal(found: Platform) -> Platform:
    variant = found.variant.lower()
    architecture = {'x86_64': 'amd64', 'x86-64': 'amd64', 'aarch64': 'arm64', 'armhf': 'arm', 'i386': '386'}.get(found.architecture, found.architecture)
    if (architecture == 'arm64' and variant in ('8', 'v8')) or (architecture == 'amd64' and variant == 'v1'):
        variant = ''
    elif architecture == 'arm':
        variant = {'': 'v7', '5': 'v5', '6': 'v6', '7': 'v7', '8': 'v8'}.get(variant, variant)
    return Platform(found.os, architecture, variant)


def _rank(found: Platform, wanted: Platform) -> int | None:
    """How well *found* fits, the more the better; None when it does not run on *wanted*."""
    if (found.os, found.architecture) != (wanted.os, wanted.architecture):
        return None
    have, want = _level(found.variant), _level(wanted.variant)
    if have is None or want is None:
        return 0 if found.variant == wanted.variant else None
    return have if have <= want else None


def _level(variant: str) -> int | None:
    """`v7` as 7, no variant as 0; None for a variant that is no number."""
    number = variant[1:] if variant.startswith('v') else variant
    if not variant:
        return 0
    return int(number) if number.isdigit() and len(number) < 4 else None
