# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _probe_options
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._no_proxy import ProxyConfig
from ansible_collections.quickpull.registry.plugins.module_utils._probe import MAX_CONCURRENCY, Job
from ansible_collections.quickpull.registry.plugins.module_utils._probe_options import make_job, parse_duration, parse_proxies, secrets_of

DIGEST = 'sha256:' + 'a' * 64
DEFAULTS: dict[str, t.Any] = {
    'mirrors': ['https://m.lan'],
    'upstream': 'docker.io',
    'images': ['nginx'],
    'depth': 'blob',
    'deadline': 20.0,
    'concurrency': None,
    'proxy': None,
    'no_proxy': [],
    'prefer_direct': False,
    'ca_path': None,
    'expected_digests': {},
    'stale_after': '24h',
    'platform': None,
    'check_upstream': True,
    'upstream_url': None,
    'allow_lapsed': False,
}


def job(check_mode: bool = False, **params: t.Any) -> tuple[Job, list[str]]:
    return make_job({**DEFAULTS, **params}, check_mode=check_mode, pull=None)


def test_defaults() -> None:
    made, warnings = job()
    assert [mirror.url for mirror in made.mirrors] == ['https://m.lan']
    assert [image.repository for image in made.settings.images] == ['library/nginx']
    assert (made.deadline, made.concurrency, made.stale_after, made.settings.depth) == (20.0, MAX_CONCURRENCY, 86400.0, 'blob')
    assert made.upstream == 'https://registry-1.docker.io'
    assert made.settings.platform.os == 'linux'
    assert warnings == []


@pytest.mark.parametrize(
    'params, upstream',
    [
        ({'upstream': 'quay.io', 'images': ['a/b']}, 'https://quay.io'),
        ({'upstream': 'Index.docker.io'}, 'https://registry-1.docker.io'),
        ({'upstream_url': 'http://hub.lan:5000'}, 'http://hub.lan:5000'),
        ({'check_upstream': False}, None),
    ],
)
def test_upstream(params: dict[str, t.Any], upstream: str | None) -> None:
    assert job(**params)[0].upstream == upstream


def test_a_pull_in_check_mode_is_a_blob() -> None:
    assert job(depth='pull')[0].settings.depth == 'pull'
    assert job(depth='pull', check_mode=True)[0].settings.depth == 'blob'
    assert job(depth='ping', check_mode=True)[0].settings.depth == 'ping'


def test_an_image_named_twice_is_asked_once() -> None:
    assert [image.name for image in job(images=['nginx', 'docker.io/library/nginx:latest', 'redis'])[0].settings.images] == ['nginx', 'redis']


def test_expected_digests_match_however_the_image_is_written() -> None:
    made, warnings = job(expected_digests={'library/nginx:latest': DIGEST, 'redis': DIGEST})
    assert made.expected == {'nginx': DIGEST}
    assert len(warnings) == 1
    assert 'redis' in warnings[0]


@pytest.mark.parametrize(
    'params, word',
    [
        ({'mirrors': ['m.lan']}, r'mirrors\[0\]'),
        ({'mirrors': ['https://m.lan', {'url': 'https://x', 'speed': 1}]}, r'mirrors\[1\].*speed'),
        ({'mirrors': [7]}, r'mirrors\[0\]'),
        ({'upstream': 'https://docker.io'}, 'upstream'),
        ({'upstream_url': 'hub.lan'}, 'upstream_url'),
        ({'images': ['NGINX']}, 'images'),
        ({'deadline': 0.0}, 'deadline'),
        ({'concurrency': 0}, 'concurrency'),
        ({'platform': 'amd64'}, 'platform'),
        ({'stale_after': 'soon'}, 'stale_after'),
        ({'expected_digests': {'nginx': 'latest'}}, 'expected_digests'),
        ({'proxy': 'socks4://p:1'}, 'socks4'),
        ({'proxy': {'http': 'http://p'}}, 'unknown key'),
        ({'proxy': {'http_proxy': 7}}, 'http_proxy'),
        ({'proxy': ['http://p']}, 'proxy'),
    ],
)
def test_bad_input(params: dict[str, t.Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        job(**params)


@pytest.mark.parametrize('text, seconds', [('90', 90.0), (90, 90.0), ('0', 0.0), ('1.5h', 5400.0), ('30m', 1800.0), (' 7 d ', 604800.0), ('2w', 1209600.0)])
def test_parse_duration(text: object, seconds: float) -> None:
    assert parse_duration(text, 'x') == seconds


@pytest.mark.parametrize(
    'proxy, no_proxy, config',
    [
        (None, [], ProxyConfig()),
        ('', [], ProxyConfig()),
        ('http://p:1', ['a,b', 'A'], ProxyConfig('http://p:1', 'http://p:1', ('a', 'b'))),
        ({'https_proxy': 'http://p:1', 'http_proxy': None, 'no_proxy': ['c']}, ['d'], ProxyConfig('', 'http://p:1', ('c', 'd'))),
        ({'http_proxy': 'p:1', 'no_proxy': 'c,d'}, [], ProxyConfig('p:1', '', ('c', 'd'))),
    ],
)
def test_parse_proxies(proxy: object, no_proxy: list[str], config: ProxyConfig) -> None:
    assert parse_proxies(proxy, no_proxy) == config


def test_what_the_catalogue_says_is_a_warning_and_a_lapsed_domain_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_probe_options, 'catalog_warnings', lambda urls, upstream: [f'{urls[0]} is thought gone.'])
    assert job()[1] == ['https://m.lan is thought gone.']
    monkeypatch.setattr(_probe_options, 'refused', lambda urls, upstream: [{'url': urls[0], 'reason': 'The domain has lapsed.'}])
    with pytest.raises(ConfigError, match=r'lapsed.*allow_lapsed'):
        job()
    assert job(allow_lapsed=True)[1] == ['https://m.lan is thought gone.']


def test_secrets() -> None:
    params = {
        'proxy': {'http_proxy': 'http://user:pa%3Ass@p', 'https_proxy': 'user:hidden@p:1'},
        'mirrors': ['https://u:forgotten@m', {'url': 'https://m', 'headers': {'X-Key': 'token', 'X-No': '1'}}, 7, {'headers': 'x'}],
    }
    assert secrets_of(params) >= {'pa%3Ass', 'pa:ss', 'hidden', 'token', 'forgotten'}
    assert '1' not in secrets_of(params)
    assert secrets_of({}) == set()
    assert secrets_of({'proxy': 'http://u:secret[@p'}) == {'secret['}
