# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a bucket and a Redis, and what becomes of it; the registry with both of them is tried on the lab."""

from __future__ import annotations

import contextlib
import datetime
import typing as t

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _cache_registry, _cache_store, _systemd
from ansible_collections.quickpull.registry.plugins.module_utils._cache_model import Program, Upstream, parse_upstreams
from ansible_collections.quickpull.registry.plugins.module_utils._cache_store import Bucket, Redis, Store
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.tests.unit.plugins.small_registry import Answer, Asked, Server

Start = t.Callable[..., Server]


@pytest.fixture
def start() -> t.Iterator[Start]:
    """Start servers that end with the test."""
    with contextlib.ExitStack() as servers:
        yield lambda answer: servers.enter_context(contextlib.closing(Server(answer if callable(answer) else lambda _asked: answer)))


S3 = {'bucket': 'images', 'endpoint': 'https://s3.lan:9000/', 'access_key': 'AKEXAMPLE', 'secret_key': 'se/cret+key', 'region': 'eu-central-1'}
REDIS = {'address': 'redis.lan:6379', 'password': "p'w: x"}
HUB = Upstream('docker.io', 'https://registry-1.docker.io', port=5101, redis_db=3)


def program(version: int = 2, s3: t.Any = None, redis: t.Any = None) -> Program:
    return Program(version, store=_cache_store.parse(S3 if s3 is None else s3, redis))


def test_without_any_it_is_kept_on_the_host() -> None:
    assert _cache_store.parse(None, None) == _cache_store.parse({}, {}) == _cache_store.ON_THE_HOST
    assert yaml.safe_load(_cache_registry.config(HUB).text)['storage']['filesystem'] == {'rootdirectory': '/var/lib/quickpull-cache/docker.io'}


@pytest.mark.parametrize('version, more', [(2, {}), (3, {'forcepathstyle': True})])
def test_a_bucket(version: int, more: dict[str, bool]) -> None:
    tree = yaml.safe_load(_cache_registry.config(HUB, program(version)).text)
    assert tree['storage']['s3'] == {
        'region': 'eu-central-1', 'bucket': 'images', 'rootdirectory': '/quickpull-cache/docker.io', 'regionendpoint': 'https://s3.lan:9000',
        **more,
    }  # fmt: skip
    # A redirect to the bucket would leave the front with nothing to keep, and send clients where they may not be let in.
    assert tree['storage']['redirect'] == {'disable': True}
    assert 'filesystem' not in tree['storage'] and 'cache' not in tree['storage'] and 'redis' not in tree
    amazons = yaml.safe_load(_cache_registry.config(HUB, program(version, {'bucket': 'images'})).text)['storage']['s3']
    assert not {'regionendpoint', 'forcepathstyle'} & set(amazons)


@pytest.mark.parametrize('version, tree, variable', [
    (2, {'addr': 'redis.lan:6379', 'db': 3}, 'REGISTRY_REDIS_PASSWORD'),
    (3, {'addrs': ['redis.lan:6379'], 'db': 3}, 'REGISTRY_REDIS_OPTIONS_PASSWORD'),
])  # fmt: skip
def test_a_redis_in_the_form_of_each_version(version: int, tree: dict[str, t.Any], variable: str) -> None:
    found = yaml.safe_load(_cache_registry.config(HUB, program(version, redis=REDIS)).text)
    assert found['redis'] == tree and found['storage']['cache'] == {'blobdescriptor': 'redis'}
    variables = _systemd.read_environment_file(_cache_registry.environment(HUB, program(version, redis=REDIS)).text)
    assert yaml.safe_load(variables[variable]) == REDIS['password']


TEXT = st.text(min_size=1).filter(lambda text: '\x00' not in text)


@given(TEXT, TEXT)
def test_keys_reach_the_registry_as_they_were_given_and_stand_in_no_file_that_others_read(access: str, secret: str) -> None:
    told = program(s3={**S3, 'access_key': access, 'secret_key': f'S3CRET{secret}'})
    variables = _systemd.read_environment_file(_cache_registry.environment(HUB, told).text)
    assert yaml.safe_load(variables['REGISTRY_STORAGE_S3_ACCESSKEY']) == access
    assert yaml.safe_load(variables['REGISTRY_STORAGE_S3_SECRETKEY']) == f'S3CRET{secret}'
    assert 'S3CRET' not in _cache_registry.config(HUB, told).text
    assert 'S3CRET' not in repr(told)
    assert _cache_store.secrets_of(told.store) == {f'S3CRET{secret}'}


def test_the_way_to_an_endpoint_of_ones_own_is_none_through_the_proxy_of_an_upstream() -> None:
    proxied = Upstream('docker.io', 'https://registry-1.docker.io', port=5101, proxy='http://proxy.lan:3128')
    for s3, direct in ((S3, 'localhost,127.0.0.1,s3.lan'), ({'bucket': 'images'}, 'localhost,127.0.0.1')):
        assert _systemd.read_environment_file(_cache_registry.environment(proxied, program(s3=s3)).text)['NO_PROXY'] == direct


def test_the_authority_of_the_bucket_is_one_of_the_registry() -> None:
    variables = _systemd.read_environment_file(_cache_registry.environment(HUB, program(s3={**S3, 'ca_path': '/ca.pem'})).text)
    assert variables['SSL_CERT_DIR'] == '/etc/quickpull-cache/ca/docker.io:/etc/ssl/certs'


@pytest.mark.parametrize('s3, redis, words', [
    ('images', None, 's3: a dictionary with bucket is expected, not a string'),
    ({'region': 'x'}, None, 's3: bucket is missing'),
    ({**S3, 'buckt': 'x'}, None, 's3: buckt is not known; there are bucket, region'),
    ({'bucket': 'images', 'access_key': 'x'}, None, 's3: access_key and secret_key go together'),
    ({'bucket': 'a/b'}, None, "s3.bucket: 'a/b' cannot be one"),
    ({'bucket': 'images', 'region': 'a b'}, None, "s3.region: 'a b' cannot be one"),
    ({'bucket': 'images', 'prefix': 'a//b'}, None, "s3.prefix: 'a//b' cannot be one"),
    ({'bucket': 'images', 'endpoint': 's3.lan'}, None, 's3.endpoint'),
    ({'bucket': 'images', 'endpoint': 'https://s3.lan/images'}, None, 'https://s3.lan/images has a path'),
    (None, REDIS, 'redis: it goes together with s3'),
    (S3, 'redis.lan:6379', 'redis: a dictionary with address is expected, not a string'),
    (S3, {'password': 'x'}, 'redis: address is missing'),
    (S3, {'address': 'redis.lan'}, "redis.address: 'redis.lan' is no host and port"),
    (S3, {'address': 'redis.lan:66000'}, 'is no host and port'),
])  # fmt: skip
def test_mistakes(s3: t.Any, redis: t.Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _cache_store.parse(s3, redis)
    assert words in str(caught.value)


def test_two_upstreams_do_not_share_a_database() -> None:
    """A key of Redis says which repository has a blob, and not of which registry."""
    store = Store(Bucket('images'), Redis('redis.lan:6379'))
    _cache_store.check_databases(store, {'docker.io': 0, 'quay.io': 1})
    _cache_store.check_databases(Store(Bucket('images')), {'docker.io': 0, 'quay.io': 0})
    with pytest.raises(ConfigError, match=r'docker\.io and quay\.io would both have the database 0'):
        _cache_store.check_databases(store, {'docker.io': 0, 'quay.io': 0})
    with pytest.raises(ConfigError, match='is no number of a database'):
        parse_upstreams([{'name': 'docker.io', 'redis_db': 'one'}])


def test_a_request_is_signed_as_amazons_own_library_signs_it() -> None:
    """botocore 1.44.8, S3SigV4Auth, made it of the same request."""
    bucket = _cache_store.parse(S3, None).bucket
    assert bucket
    headers = _cache_store.signed_headers(bucket, datetime.datetime(2026, 11, 28, 12, 0, 0, tzinfo=datetime.timezone.utc))
    assert headers['Authorization'] == (
        'AWS4-HMAC-SHA256 Credential=AKEXAMPLE/20261128/eu-central-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, '
        'Signature=947124d7444fc1c2bec449a1e5b297698fd0e2887f3e346063ff55af0249380f'
    )


@pytest.mark.parametrize('status, headers, words', [
    (403, {}, 'does not let access_key AKEXAMPLE in'),
    (404, {}, 'is not there; make it first'),
    (301, {'x-amz-bucket-region': 'eu-west-1'}, 'is not in the region eu-central-1 but in eu-west-1'),
    (400, {}, 'refuses the request'),
])  # fmt: skip
def test_a_bucket_that_cannot_be_used(start: Start, status: int, headers: dict[str, str], words: str) -> None:
    server = start(Answer(status, b'', headers))
    with pytest.raises(ConfigError) as caught:
        _cache_store.check_bucket(Bucket('images', 'eu-central-1', server.url, 'AKEXAMPLE', 'S3CRET'), 5)
    assert words in str(caught.value) and 'S3CRET' not in str(caught.value)


def test_a_bucket_that_is_there_and_one_that_cannot_be_asked(start: Start) -> None:
    def answer(asked: Asked) -> Answer:
        assert asked.header('Authorization').startswith('AWS4-HMAC-SHA256 Credential=AKEXAMPLE/')
        return Answer(200)

    server = start(answer)
    bucket = Bucket('images', 'us-east-1', server.url, 'AKEXAMPLE', 'S3CRET')
    assert _cache_store.check_bucket(bucket, 5) == ''
    assert server.paths() == ['HEAD /images']
    assert 'answered 503' in _cache_store.check_bucket(Bucket('images', 'us-east-1', start(Answer(503)).url, 'a', 'b'), 5)
    assert 'could not be asked' in _cache_store.check_bucket(Bucket('images', 'us-east-1', 'http://127.0.0.1:1', 'a', 'b'), 5)
    # Without keys the registry goes by the role of the host, which nobody here can try.
    assert _cache_store.check_bucket(Bucket('images', 'us-east-1', 'http://127.0.0.1:1'), 5) == ''
