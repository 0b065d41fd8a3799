# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._no_proxy import (
    ProxyConfig,
    bypasses,
    check_proxy,
    join_no_proxy,
    lint_no_proxy,
    proxy_url,
)

# entry, URL's host, port, direct?
BYPASS_DATA: list[tuple[str, str, str, bool]] = [
    ('foo.com', 'foo.com', '443', True),
    ('foo.com', 'bar.foo.com', '443', True),
    ('foo.com', 'barfoo.com', '443', False),
    ('FOO.com', 'Bar.foo.COM', '443', True),
    ('.foo.com', 'foo.com', '443', False),
    ('.foo.com', 'bar.foo.com', '443', True),
    ('*.foo.com', 'foo.com', '443', False),
    ('*.foo.com', 'bar.foo.com', '443', True),
    ('*.cn', 'docker.nju.edu.cn', '443', True),
    ('a.*.b', 'a.x.b', '443', False),
    ('*foo.com', 'foo.com', '443', False),
    ('*', 'anything', '443', True),
    ('x, *', 'anything', '443', True),
    ('10.0.0.0/8', '10.1.2.3', '443', True),
    ('10.9.9.9/8', '10.1.2.3', '443', True),
    ('10.0.0.0/8', '11.1.2.3', '443', False),
    ('10.0.0.0/255.0.0.0', '10.1.2.3', '443', False),
    ('10.0.0.0/8', 'ten.lan', '443', False),
    ('::ffff:10.0.0.0/104', '10.1.2.3', '443', True),
    ('10.0.0.0/8', '::ffff:10.1.2.3', '443', True),
    ('fd00::/8', 'fd12::1', '443', True),
    ('fd12::1', 'fd12:0::1', '443', True),
    ('[fd12::1]:5000', 'fd12::1', '5000', True),
    ('[fd12::1]:5000', 'fd12::1', '443', False),
    ('[fd12::1]', 'fd12::1', '443', False),
    ('10.1.2.3:5000', '10.1.2.3', '5000', True),
    ('10.1.2.3:5000', '10.1.2.3', '80', False),
    ('foo.com:5000', 'foo.com', '5000', True),
    ('foo.com:5000', 'foo.com', '443', False),
    ('', 'foo.com', '443', False),
    (' , ,', 'foo.com', '443', False),
    (':80', 'foo.com', '80', False),
    ('', 'localhost', '443', True),
    ('', '127.0.0.5', '443', True),
    ('', '::1', '443', True),
    ('', '010.0.0.1', '443', False),
    ('b\u00fccher.de', 'xn--bcher-kva.de', '443', True),
    ('1', '1.1.1.1', '443', True),
    ('1:', '1.1.1.1', '443', True),
    ('192.168', '10.0.192.168', '443', True),
    ('192.168', '192.168.0.1', '443', False),
]


@pytest.mark.parametrize('entry, host, port, direct', BYPASS_DATA)
def test_bypasses(entry: str, host: str, port: str, direct: bool) -> None:
    assert bypasses([entry], host, port) is direct


PROXY_FOR_DATA: list[tuple[ProxyConfig, str, str | None]] = [
    (ProxyConfig(), 'https://a/', None),
    (ProxyConfig(http_proxy='p:1'), 'https://a/', None),
    (ProxyConfig(http_proxy='p:1'), 'http://a/', 'http://p:1'),
    (ProxyConfig(https_proxy='http://u:s@p:1'), 'https://a/', 'http://u:s@p:1'),
    (ProxyConfig(https_proxy='SOCKS5://p:1'), 'https://a/', 'socks5://p:1'),
    (ProxyConfig(https_proxy='p:1', no_proxy=('a',)), 'https://a/', None),
    (ProxyConfig(https_proxy='p:1', no_proxy=('a:443',)), 'https://a/', None),
    (ProxyConfig(https_proxy='p:1', no_proxy=('a:443',)), 'https://a:5000/', 'http://p:1'),
    (ProxyConfig(http_proxy='p:1', no_proxy=('b', 'fd00::/8')), 'http://[fd00::1]:5000/', None),
    (ProxyConfig(http_proxy='p:1'), 'ftp://a/', None),
]


@pytest.mark.parametrize('config, url, proxy', PROXY_FOR_DATA)
def test_proxy_for(config: ProxyConfig, url: str, proxy: str | None) -> None:
    assert config.proxy_for(url) == proxy


def test_proxy_url_as_go_reads_it() -> None:
    assert proxy_url('p:3128') == 'http://p:3128'
    assert proxy_url('HTTPS://p') == 'https://p'


@pytest.mark.parametrize(
    'proxy, word',
    [
        ('socks4://u:hush@p:1', 'socks4'),
        ('http://', 'names no host'),
        ('http://u:hush@p:notaport', 'is no URL'),
        ('http://u:hu sh@p', 'white space'),
        ('http://u:50%hush@p:1', 'percent-encoded'),
        ('http://p%zz:1', 'percent-encoded'),
        ('http://u:hush%2@p:1', 'percent-encoded'),
        ('http://u:"hush"@p:1', 'percent-encoded'),
        ('http://u:hüsh@p:1', 'percent-encoded'),
        ('http://u:hush#1@p:1', 'is no URL'),
        ('http://u:12/hush@p:1', 'percent-encoded'),
        ('http://u:hush[@p:1', 'percent-encoded'),
        ('http://u:hush@p^q:1', 'percent-encoded'),
        ('http://u:hush@p%41:1', 'percent-encoded'),
        ('http://u:hush\x01@p:1', 'white space'),
        ('u:hush@p:3128', 'http://'),
        ('hush@p', 'http://'),
    ],
)
def test_check_proxy_refuses(proxy: str, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_proxy(proxy, 'https_proxy')
    assert word in str(caught.value)
    assert 'https_proxy' in str(caught.value)
    assert 'hush' not in str(caught.value)


@pytest.mark.parametrize(
    'proxy',
    [
        'p:3128',
        'http://u:p@p:1',
        'socks5://p',
        'https://[::1]:1',
        'HTTP://u:50%25@p:1',
        'http://u:p@[fe80::1%25eth0]:1',
        'http://b\u00fccher.de',
        'http://b%C3%BCcher.de:1',
        'http://p:1/a%2Fb',
        "http://u:-._~!$&'()*+,;=:@p:1/",
    ],
)
def test_check_proxy_accepts(proxy: str) -> None:
    check_proxy(proxy)


def test_join_no_proxy() -> None:
    assert join_no_proxy(['a', 'b, c'], ['B', 'd', ''], []) == ['a', 'b', 'c', 'd']


@pytest.mark.parametrize(
    'entry, word',
    [
        ('a.*.b', 'star'),
        ('*foo.com', 'star'),
        ('*.foo.*', 'star'),
        ('10.*', 'star'),
        ('http://foo.com', 'scheme'),
        ('foo.com bar.com', 'white space'),
        ('<local>', 'Windows'),
        ('[fd00::1]', 'brackets'),
        ('10.0.0.0/33', 'no CIDR'),
        ('10.0.0.0/8:5000', 'no CIDR'),
        ('10.0.0.0/255.0.0.0', 'no CIDR'),
        ('lan.example/24', 'name has no CIDR'),
        ('foo.com/', 'path'),
        ('foo.com:https', 'number'),
        ('10.', '10.0.0.0/8'),
        ('192.168', '192.168.0.0/16'),
        ('300.1', '10.0.0.0/8'),
        ('a..b', 'neither'),
    ],
)
def test_lint_finds(entry: str, word: str) -> None:
    found = lint_no_proxy(['ok.com', entry])
    assert len(found) == 1
    assert repr(entry) in found[0]
    assert word in found[0]


@pytest.mark.parametrize(
    'entry',
    [
        '*',
        '*.cn',
        '.cn',
        'foo.com',
        'foo.com:5000',
        '10.0.0.0/8',
        '10.0.0.1',
        '10.0.0.1:80',
        'fd00::/8',
        'fd00::1',
        '[fd00::1]:80',
        'cache',
        '::ffff:10.0.0.0/104',
    ],
)
def test_lint_accepts(entry: str) -> None:
    assert lint_no_proxy([entry]) == []


@pytest.mark.parametrize('entry', ['1', '1:', '192.168', '192.168:443'])
def test_the_beginning_of_an_address_matches_what_ends_with_it(entry: str) -> None:
    found = lint_no_proxy([entry])
    assert len(found) == 1
    assert 'end with' in found[0]
    assert 'never matches' not in found[0]


@given(st.text('ab1.*:/[]@ ', min_size=1, max_size=9), st.sampled_from(['a', 'a.b', 'b.a.b', '1.1.1.1', '11.1.1.1', 'a1']))
def test_what_lint_calls_dead_never_matches(entry: str, host: str) -> None:
    if any('never matches' in sentence for sentence in lint_no_proxy([entry])):
        assert not bypasses([entry], host, '80')


@given(st.lists(st.text('ab.*', max_size=5), max_size=4), st.sampled_from(['a', 'b.a', 'a.b.a']))
def test_joining_keeps_what_is_matched(entries: list[str], host: str) -> None:
    assert bypasses(join_no_proxy(entries, entries), host, '80') == bypasses(entries, host, '80')


NAMES_DATA: list[tuple[list[str], dict[str, list[str]], str]] = [
    (['10.0.0.0/8'], {'hub.example.com': ['10.1.1.1']}, 'hub.example.com'),
    (['10.0.0.0/8'], {'hub.example.com': ['1.1.1.1']}, ''),
    (['10.0.0.0/8'], {'hub.example.com': []}, ''),
    (['10.0.0.0/8'], {'cache.lan': []}, 'cache.lan'),
    (['127.0.0.0/8'], {'cache.lan': []}, ''),
    (['10.0.0.0/8', '.lan'], {'cache.lan': ['10.1.1.1']}, ''),
    (['10.0.0.0/8'], {'10.1.1.1': []}, ''),
]


@pytest.mark.parametrize('entries, names, word', NAMES_DATA)
def test_a_cidr_meant_for_a_name(entries: list[str], names: dict[str, list[str]], word: str) -> None:
    found = lint_no_proxy(entries, names)
    assert len(found) == (1 if word else 0)
    assert word in ''.join(found)
