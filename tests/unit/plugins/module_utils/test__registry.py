# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime
import hashlib
import json
import time
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _registry
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._registry import (
    BadManifest,
    Challenge,
    Descriptor,
    Index,
    Manifest,
    Platform,
    choose,
    digest_of,
    host_platform,
    parse_challenges,
    parse_config_created,
    parse_created,
    parse_image,
    parse_manifest,
    parse_platform,
    parse_retry_after,
    parse_token,
    token_url,
    upstream_url,
)

DIGEST = 'sha256:' + 'a' * 64

IMAGE_DATA: list[tuple[str, str, str, str, str]] = [
    ('nginx', 'docker.io', 'library/nginx', 'latest', ''),
    ('nginx:1.27', 'docker.io', 'library/nginx', '1.27', ''),
    ('library/nginx', 'docker.io', 'library/nginx', 'latest', ''),
    ('docker.io/nginx', 'docker.io', 'library/nginx', 'latest', ''),
    ('index.docker.io/library/nginx:1', 'docker.io', 'library/nginx', '1', ''),
    (f'nginx@{DIGEST}', 'docker.io', 'library/nginx', '', DIGEST),
    (f'nginx:1@{DIGEST}', 'docker.io', 'library/nginx', '1', DIGEST),
    ('acme/app_one/x-y', 'docker.io', 'acme/app_one/x-y', 'latest', ''),
    ('prometheus/node-exporter:v1', 'quay.io', 'prometheus/node-exporter', 'v1', ''),
    ('quay.io/prometheus/node-exporter', 'quay.io', 'prometheus/node-exporter', 'latest', ''),
    ('pause:3.9', 'registry.k8s.io', 'pause', '3.9', ''),
    ('reg.lan:5000/x', 'reg.lan:5000', 'x', 'latest', ''),
]


@pytest.mark.parametrize('text, upstream, repository, tag, digest', IMAGE_DATA)
def test_parse_image(text: str, upstream: str, repository: str, tag: str, digest: str) -> None:
    image = parse_image(text, upstream)
    assert (image.name, image.repository, image.tag, image.digest) == (text, repository, tag, digest)
    assert image.reference == (digest or tag)


@pytest.mark.parametrize(
    'text, word',
    [
        ('', 'no name'),
        ('Nginx', 'no name'),
        ('nginx:', 'no name'),
        ('nginx:a/b:c', 'no name'),
        ('a//b', 'no name'),
        ('../x', 'no name'),
        ('nginx@sha256:12', 'digest'),
        ('ghcr.io/x/y', 'ghcr.io'),
        ('localhost/x', 'localhost'),
    ],
)
def test_parse_image_refuses(text: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        parse_image(text, 'docker.io')


def test_upstream_url() -> None:
    assert upstream_url('docker.io') == 'https://registry-1.docker.io'
    assert upstream_url('quay.io') == 'https://quay.io'


CHALLENGE_DATA: list[tuple[list[str], list[tuple[str, dict[str, str]]]]] = [
    (
        ['Bearer realm="https://a/t",service="s",scope="repository:x:pull,push"'],
        [('bearer', {'realm': 'https://a/t', 'service': 's', 'scope': 'repository:x:pull,push'})],
    ),
    (['bearer realm = "https://a/t" , SERVICE=s'], [('bearer', {'realm': 'https://a/t', 'service': 's'})]),
    (['Basic realm="x, Bearer realm=y"'], [('basic', {'realm': 'x, Bearer realm=y'})]),
    (['Basic realm="a", Bearer realm="https://b"'], [('basic', {'realm': 'a'}), ('bearer', {'realm': 'https://b'})]),
    (['Negotiate, Basic realm="a"'], [('negotiate', {}), ('basic', {'realm': 'a'})]),
    (['Basic realm="a"', 'Bearer realm="https://b"'], [('basic', {'realm': 'a'}), ('bearer', {'realm': 'https://b'})]),
    (['Bearer realm="a\\"b"'], [('bearer', {'realm': 'a"b'})]),
    ([''], []),
    ([], []),
]


@pytest.mark.parametrize('headers, expected', CHALLENGE_DATA)
def test_parse_challenges(headers: list[str], expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(one.scheme, dict(one.parameters)) for one in parse_challenges(headers)] == expected


HOSTILE = ['Bearer realm="' + '\\"' * 32000, 'a' * 64000, 'Bearer a' + ' ' * 64000 + 'b', ',' * 64000, 'Bearer ' + 'a=' * 32000, '"' * 64000]


@pytest.mark.parametrize('header', HOSTILE, ids=lambda header: header[:16])
def test_a_hostile_header_takes_no_time_and_is_no_challenge(header: str) -> None:
    started = time.process_time()
    assert parse_challenges([header]) == []
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize('header', HOSTILE, ids=lambda header: header[:16])
def test_without_the_limit_it_takes_linear_time(header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_registry, '_MAX_CHALLENGE', 1 << 20)
    started = time.process_time()
    parse_challenges([header])
    assert time.process_time() - started < 1


def test_the_longest_header_that_is_read() -> None:
    header = 'Bearer realm="https://a/' + 'x' * 5000
    assert parse_challenges([header[:4095] + '"'])[0].parameters['realm'] == header[14:4095]
    assert parse_challenges([header[:4096] + '"']) == []


@pytest.mark.parametrize('parse', [parse_manifest, parse_config_created])
def test_a_number_without_an_end_is_no_json(parse: t.Callable[[bytes], object]) -> None:
    started = time.process_time()
    with pytest.raises(BadManifest, match='not JSON'):
        parse(b'{"created":' + b'1' * 2000000 + b'}')
    assert time.process_time() - started < 1


def test_dates_without_an_end_are_none() -> None:
    assert parse_retry_after('Thu, 01 Jan 1970 00:16:50 GMT' + ' ' * 60000, now=1000.0) is None
    assert parse_created('2024-01-01T00:00:00.' + '1' * 60000 + 'Z') is None


@given(st.lists(st.text('Bearl ="\\,x:/', max_size=40), max_size=3))
def test_no_header_breaks_parse_challenges(headers: list[str]) -> None:
    for challenge in parse_challenges(headers):
        assert challenge.scheme == challenge.scheme.lower()


@pytest.mark.parametrize(
    'parameters, url',
    [
        ({'realm': 'https://a/t', 'service': 's', 'scope': 'repository:hub/x:pull'}, 'https://a/t?service=s&scope=repository%3Ahub%2Fx%3Apull'),
        ({'realm': 'https://a/t?k=1'}, 'https://a/t?k=1&scope=repository%3Ax%3Apull'),
        ({'realm': '/token'}, ''),
        ({'realm': 'ftp://a/'}, ''),
        ({'realm': 'https://u:p@a/'}, ''),
        ({'realm': 'https://a/ b'}, ''),
        ({'realm': 'https://[a/'}, ''),
        ({}, ''),
    ],
)
def test_token_url(parameters: dict[str, str], url: str) -> None:
    assert token_url(Challenge('bearer', parameters), 'x') == url


@pytest.mark.parametrize(
    'body, token',
    [
        (b'{"token":"abc"}', 'abc'),
        (b'{"access_token":"abc"}', 'abc'),
        (b'{"token":"a\\r\\nX: y"}', ''),
        (b'{"token":7}', ''),
        (b'{"token":""}', ''),
        (b'[]', ''),
        (b'<html>', ''),
        (b'[' * 100000, ''),
        (b'\xff', ''),
    ],
)
def test_parse_token(body: bytes, token: str) -> None:
    assert parse_token(body) == token


@pytest.mark.parametrize(
    'value, seconds',
    [
        ('0', 0.0),
        ('17', 17.0),
        ('-1', None),
        ('', None),
        ('soon', None),
        ('1e9', None),
        ('Thu, 01 Jan 1970 00:16:50 GMT', 10.0),
        ('Thu, 01 Jan 1970 00:00:00 GMT', 0.0),
    ],
)
def test_parse_retry_after(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, now=1000.0) == seconds


def manifest(**changes: object) -> bytes:
    return json.dumps({'schemaVersion': 2, 'config': {'digest': DIGEST, 'size': 1}, 'layers': [{'digest': DIGEST, 'size': 2}], **changes}).encode()


def test_parse_manifest() -> None:
    assert parse_manifest(manifest()) == Manifest(Descriptor(DIGEST, 1), (Descriptor(DIGEST, 2),))


def test_parse_index_leaves_entries_without_platform_out() -> None:
    entries = [{'digest': DIGEST, 'size': 1, 'platform': {'os': 'linux', 'architecture': 'arm', 'variant': 'v7'}}, {'digest': DIGEST, 'size': 1}]
    body = json.dumps({'schemaVersion': 2, 'manifests': entries}).encode()
    assert parse_manifest(body) == Index(((Platform('linux', 'arm', 'v7'), Descriptor(DIGEST, 1)),))


@pytest.mark.parametrize(
    'body',
    [
        b'',
        b'<html>',
        b'[]',
        b'\xff\xfe',
        b'[' * 100000,
        b'{}',
        manifest(schemaVersion=1),
        manifest(config=None),
        manifest(layers={}),
        manifest(layers=[None]),
        manifest(config={'digest': 'sha256:zz', 'size': 1}),
        manifest(config={'digest': DIGEST, 'size': -1}),
        manifest(config={'digest': DIGEST, 'size': True}),
        json.dumps({'mediaType': _registry.INDEX_TYPES[0], 'manifests': 3}).encode(),
    ],
)
def test_parse_manifest_refuses(body: bytes) -> None:
    with pytest.raises(BadManifest):
        parse_manifest(body)


def entry(text: str) -> tuple[Platform, Descriptor]:
    return parse_platform(text), Descriptor('sha256:' + hashlib.sha256(text.encode()).hexdigest(), 1)


CHOOSE_DATA: list[tuple[list[str], str, str]] = [
    (['linux/arm64', 'linux/amd64'], 'linux/amd64', 'linux/amd64'),
    (['linux/amd64'], 'linux/arm64', ''),
    (['windows/amd64'], 'linux/amd64', ''),
    (['linux/arm/v5', 'linux/arm/v6', 'linux/arm/v7'], 'linux/arm/v7', 'linux/arm/v7'),
    (['linux/arm/v7', 'linux/arm/v5'], 'linux/arm/v6', 'linux/arm/v5'),
    (['linux/arm/v7'], 'linux/arm/v6', ''),
    (['linux/arm64/v8'], 'linux/arm64', 'linux/arm64/v8'),
    (['linux/arm64'], 'linux/arm64/v8', 'linux/arm64'),
    (['linux/amd64/v3', 'linux/amd64'], 'linux/amd64', 'linux/amd64'),
    (['linux/amd64/v2', 'linux/amd64'], 'linux/amd64/v3', 'linux/amd64/v2'),
    (['linux/aarch64'], 'linux/arm64', 'linux/aarch64'),
]


@pytest.mark.parametrize('offered, wanted, chosen', CHOOSE_DATA)
def test_choose(offered: list[str], wanted: str, chosen: str) -> None:
    found = choose(Index(tuple(entry(text) for text in offered)), parse_platform(wanted))
    assert found == (entry(chosen)[1] if chosen else None)


@pytest.mark.parametrize(
    'machine, platform',
    [
        ('x86_64', 'linux/amd64'),
        ('aarch64', 'linux/arm64/v8'),
        ('armv7l', 'linux/arm/v7'),
        ('s390x', 'linux/s390x'),
        ('zap', 'linux/zap'),
    ],
)
def test_host_platform(machine: str, platform: str) -> None:
    assert str(host_platform(machine)) == platform


@pytest.mark.parametrize('text', ['linux', 'linux/', 'a/b/c/d', 'linux/amd 64', ''])
def test_parse_platform_refuses(text: str) -> None:
    with pytest.raises(ConfigError, match='platform'):
        parse_platform(text)


@pytest.mark.parametrize(
    'text, seconds',
    [
        ('1970-01-01T00:00:00Z', 0.0),
        ('1970-01-01T01:00:01.5+01:00', 1.5),
        ('1969-12-31t23:00:00-01:00', 0.0),
        ('2024-05-01T10:00:00.123456789Z', 1714557600.123456789),
        ('2024-05-01', None),
        ('2024-13-01T00:00:00Z', None),
        ('0000-01-01T00:00:00Z', None),
        (None, None),
        (5, None),
    ],
)
def test_parse_created(text: object, seconds: float | None) -> None:
    assert parse_created(text) == (pytest.approx(seconds) if seconds is not None else None)


@given(st.datetimes(datetime.datetime(1, 1, 2), datetime.datetime(9999, 12, 30), timezones=st.just(datetime.timezone.utc)))
def test_parse_created_reads_what_datetime_writes(moment: datetime.datetime) -> None:
    assert parse_created(moment.isoformat()) == pytest.approx(moment.timestamp(), rel=0, abs=1e-3)


def test_parse_config_created() -> None:
    assert parse_config_created(b'{"created":"x"}') == 'x'
    assert parse_config_created(b'{"created":7}') is None
    assert parse_config_created(b'{}') is None
    with pytest.raises(BadManifest):
        parse_config_created(b'[]')


def test_digest_of() -> None:
    assert digest_of(b'') == 'sha256:' + hashlib.sha256().hexdigest()
    assert digest_of(b'', 'sha512:00') == 'sha512:' + hashlib.sha512().hexdigest()
