# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the instances of a cache keep what they have: on the host, or in a bucket that several caches share, with Redis beside it.

Sources: distribution 2.8.2 and 3.0.0, registry/storage/driver/s3-aws/s3.go, registry/storage/cache/redis/redis.go, configuration/configuration.go;
Amazon's "Signature Version 4" for the one request that is made here.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
import typing as t
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._http import Client, Deadline, FetchError, Limit, TlsFiles
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import check_url
from ansible_collections.quickpull.registry.plugins.module_utils._plain import type_name

_BUCKET_KEYS = ('bucket', 'region', 'endpoint', 'access_key', 'secret_key', 'prefix', 'ca_path')
_REDIS_KEYS = ('address', 'password')
# What every service of this kind takes (Amazon's rules for names are narrower).
_BUCKET = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{1,254}\Z')
_REGION = re.compile(r'[A-Za-z0-9][A-Za-z0-9-]*\Z')
_PREFIX = re.compile(r'[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*\Z')
_ADDRESS = re.compile(r'(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})\Z')
_EMPTY = hashlib.sha256(b'').hexdigest()


@dataclass(frozen=True)
class Bucket:
    """An S3-compatible store. ``endpoint``: empty for Amazon's own. Without keys, the host's role is what the registry goes by."""

    name: str
    region: str = 'us-east-1'
    endpoint: str = ''
    access_key: str = ''
    secret_key: str = field(default='', repr=False)
    prefix: str = 'quickpull-cache'
    ca_path: str = ''

    @property
    def url(self) -> str:
        """By its path, since a name with dots in it fits no certificate."""
        return f'{self.endpoint or f"https://s3.{self.region}.amazonaws.com"}/{self.name}'

    @property
    def host(self) -> str:
        """That of an endpoint of one's own, which is reached without a proxy; empty for Amazon's."""
        return urlsplit(self.endpoint).hostname or ''


@dataclass(frozen=True)
class Redis:
    """Where descriptors of blobs are remembered. ``address``: host and port."""

    address: str
    password: str = field(default='', repr=False)


@dataclass(frozen=True)
class Store:
    """What the instances keep what they have in. Without a bucket, the host's own directory."""

    bucket: Bucket | None = None
    redis: Redis | None = None


#: What is kept on the host.
ON_THE_HOST = Store()


def parse(s3: t.Any, redis: t.Any) -> Store:
    """The options ``s3`` and ``redis``: dictionaries, or nothing. Raises ConfigError."""
    store = Store(_parse_bucket(s3) if s3 else None, _parse_redis(redis) if redis else None)
    if store.redis and not store.bucket:
        words = 'redis: it goes together with s3. Of what is on the host the eviction takes files away, and Redis would still say that they are there.'
        raise ConfigError(words, key='redis')
    return store


def _given(raw: t.Any, key: str, keys: t.Sequence[str], needed: str) -> dict[str, str]:
    if not isinstance(raw, t.Mapping):
        raise ConfigError(f'{key}: a dictionary with {needed} is expected, not {type_name(raw)}.', key=key)
    unknown = sorted(set(map(str, raw)) - set(keys))
    if unknown:
        raise ConfigError(f'{key}: {", ".join(unknown)} is not known; there are {", ".join(keys)}.', key=key)
    given = {name: str(raw[name]) for name in keys if raw.get(name) not in (None, '')}
    if needed not in given:
        raise ConfigError(f'{key}: {needed} is missing.', key=key)
    return given


def _parse_bucket(raw: t.Any) -> Bucket:
    given = _given(raw, 's3', _BUCKET_KEYS, 'bucket')
    if ('access_key' in given) != ('secret_key' in given):
        raise ConfigError('s3: access_key and secret_key go together.', key='s3')
    given['endpoint'] = given.get('endpoint', '').rstrip('/')
    given['prefix'] = given.get('prefix', Bucket.prefix).strip('/')
    bucket = Bucket(given.pop('bucket'), **given)
    for name, value, form in (('bucket', bucket.name, _BUCKET), ('region', bucket.region, _REGION), ('prefix', bucket.prefix, _PREFIX)):
        if not form.match(value):
            raise ConfigError(f's3.{name}: {value!r} cannot be one; use letters, digits, dots and dashes.', key='s3')
    if bucket.endpoint:
        check_url(bucket.endpoint, key='s3.endpoint')
        if urlsplit(bucket.endpoint).path:
            raise ConfigError(f's3.endpoint: {bucket.endpoint} has a path; the bucket has an option of its own.', key='s3')
    return bucket


def _parse_redis(raw: t.Any) -> Redis:
    given = _given(raw, 'redis', _REDIS_KEYS, 'address')
    found = _ADDRESS.match(given['address'])
    if not found or not 1 <= int(found.group(2)) <= 65535:
        raise ConfigError(f'redis.address: {given["address"]!r} is no host and port, such as redis.lan:6379.', key='redis')
    return Redis(**given)


def check_databases(store: Store, databases: t.Mapping[str, int]) -> None:
    """Raises ConfigError where two upstreams would have one database of Redis: its keys do not tell them apart, so that one would promise what the other has.

    :param databases: of each upstream.
    """
    owners: dict[int, str] = {}
    for name, number in databases.items() if store.redis else ():
        if number in owners:
            raise ConfigError(
                f'upstreams: {owners[number]} and {name} would both have the database {number} of Redis, which cannot tell them apart; '
                'give each a redis_db of its own, the same one on each cache.',
                key='upstreams',
            )  # fmt: skip
        owners[number] = name


def storage(store: Store, version: int, directory: str, name: str) -> dict[str, t.Any]:
    """The driver's part of ``storage``, and what goes with it.

    :param directory: on the host. ``name``: of the instance, below the prefix of a bucket.
    """
    if not store.bucket:
        return {'filesystem': {'rootdirectory': directory}}
    bucket = store.bucket
    driver: dict[str, t.Any] = {'region': bucket.region, 'bucket': bucket.name, 'rootdirectory': f'/{bucket.prefix}/{name}'}
    if bucket.endpoint:
        # Version 2 takes the bucket into the path of any endpoint, 3 into its name unless it is told not to.
        driver.update(regionendpoint=bucket.endpoint, **({'forcepathstyle': True} if version >= 3 else {}))
    tree: dict[str, t.Any] = {'s3': driver, 'redirect': {'disable': True}}  # the front keeps what it hands on; of a redirect there would be nothing to keep
    return {**tree, 'cache': {'blobdescriptor': 'redis'}} if store.redis else tree


def redis_tree(redis: Redis, version: int, database: int) -> dict[str, t.Any]:
    """The part ``redis`` of the configuration, without the password."""
    return {'addrs': [redis.address], 'db': database} if version >= 3 else {'addr': redis.address, 'db': database}


def secret_variables(store: Store, version: int) -> dict[str, str]:
    """What the registry takes from its environment, each a plain text still."""
    found: dict[str, str] = {}
    if store.bucket and store.bucket.access_key:
        found.update(REGISTRY_STORAGE_S3_ACCESSKEY=store.bucket.access_key, REGISTRY_STORAGE_S3_SECRETKEY=store.bucket.secret_key)
    if store.redis and store.redis.password:
        # Version 3 has the library's own options in a structure of that name, which a file does not show.
        found['REGISTRY_REDIS_OPTIONS_PASSWORD' if version >= 3 else 'REGISTRY_REDIS_PASSWORD'] = store.redis.password
    return found


def secrets_of(store: Store) -> set[str]:
    """What of it must not be shown."""
    return {text for text in (store.bucket and store.bucket.secret_key, store.redis and store.redis.password) if text}


# --- whether the bucket is there --------------------------------------------------------------------------------------


def check_bucket(bucket: Bucket, deadline: float, now: datetime.datetime | None = None) -> str:
    """Ask for the bucket with its keys. Returns a sentence where it could not be asked.

    :raises ConfigError: for one that is not there, or does not let these keys in.
    """
    if not bucket.access_key:
        return ''
    client = Client(bucket.url, Deadline(deadline), tls=TlsFiles(ca_paths=(bucket.ca_path,) if bucket.ca_path else ()), direct=True)
    headers = signed_headers(bucket, now or datetime.datetime.now(datetime.timezone.utc))
    try:
        answer = client.request('HEAD', bucket.url, limit=Limit(1024), headers=headers, authorization=headers.pop('Authorization'))
    except FetchError as exc:
        return f'The bucket {bucket.url} could not be asked: {exc}.'
    finally:
        client.close()
    reasons = {
        403: f'does not let access_key {bucket.access_key} in; look at both keys and at what they may do',
        404: 'is not there; make it first, or look at its name and endpoint',
        301: f'is not in the region {bucket.region} but in {answer.header("x-amz-bucket-region") or "another one"}',
    }
    if answer.status in reasons or answer.status == 400:
        raise ConfigError(f's3: the bucket {bucket.url} {reasons.get(answer.status, "refuses the request; look at region and endpoint")}.', key='s3')
    return '' if answer.status == 200 else f'The bucket {bucket.url} answered {answer.status}.'


def signed_headers(bucket: Bucket, now: datetime.datetime) -> dict[str, str]:
    """Those of a HEAD for the bucket, signed by its keys."""
    parts = urlsplit(bucket.url)
    stamp = now.strftime('%Y%m%dT%H%M%SZ')
    scope = f'{stamp[:8]}/{bucket.region}/s3/aws4_request'
    signed = {'host': parts.netloc, 'x-amz-content-sha256': _EMPTY, 'x-amz-date': stamp}
    names = ';'.join(signed)
    request = '\n'.join(['HEAD', quote(parts.path), '', *(f'{name}:{value}' for name, value in signed.items()), '', names, _EMPTY])
    text = '\n'.join(['AWS4-HMAC-SHA256', stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f'AWS4{bucket.secret_key}'.encode()
    for word in scope.split('/'):
        key = hmac.new(key, word.encode(), 'sha256').digest()
    signature = hmac.new(key, text.encode(), 'sha256').hexdigest()
    authorization = f'AWS4-HMAC-SHA256 Credential={bucket.access_key}/{scope}, SignedHeaders={names}, Signature={signature}'
    return {'X-Amz-Content-SHA256': _EMPTY, 'X-Amz-Date': stamp, 'Authorization': authorization}
