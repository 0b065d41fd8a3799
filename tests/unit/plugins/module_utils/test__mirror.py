# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import (
    Mirror,
    check_docker_mirror,
    check_url,
    has_path,
    header_secrets,
    host_of,
    hostport_of,
    normalise_url,
    parse_mirror,
    parse_mirrors,
    same_mirror,
    shown_url,
)

NORMALISED: list[tuple[str, str]] = [
    ('https://Mirror.Example.COM', 'https://mirror.example.com/'),
    ('HTTPS://mirror.example.com/', 'https://mirror.example.com/'),
    ('https://mirror.example.com///', 'https://mirror.example.com/'),
    ('https://mirror.example.com:443', 'https://mirror.example.com/'),
    ('https://mirror.example.com:0443', 'https://mirror.example.com/'),
    ('https://mirror.example.com:', 'https://mirror.example.com/'),
    ('http://mirror.example.com:443', 'http://mirror.example.com:443/'),
    ('http://cache.lan:80/', 'http://cache.lan/'),
    ('http://cache.lan:5000', 'http://cache.lan:5000/'),
    ('https://mirror.example.com/Hub/Proxy', 'https://mirror.example.com/Hub/Proxy/'),
    ('http://[2001:DB8::1]:5000', 'http://[2001:db8::1]:5000/'),
    ('http://[2001:db8:0:0:0:0:0:1]', 'http://[2001:db8::1]/'),
    ('https://[::1]:443/', 'https://[::1]/'),
    ('http://[fe80::1%25eth0]:5000', 'http://[fe80::1%25eth0]:5000/'),
    # Other people's configuration: left as it is, and never an error.
    ('mirror.example.com:5000', 'mirror.example.com:5000'),
    ('', ''),
    ('http://', 'http:///'),
    ('https://host:port', 'https://host:port/'),
]


@pytest.mark.parametrize(('url', 'expected'), NORMALISED)
def test_normalise_url(url: str, expected: str) -> None:
    assert normalise_url(url) == expected


urls = st.one_of(
    st.text(max_size=40),
    st.builds(
        '{0}://{1}{2}{3}{4}'.format,
        st.sampled_from(['http', 'https', 'HTTP', 'Https', 'ftp', '']),
        st.sampled_from(['a.example', 'A.Example', '[::1]', '[0:0::1]', '[x', 'u:p@a.example', 'bü.example', 'İ.example', '10.0.0.1', '']),
        st.sampled_from(['', ':', ':80', ':443', ':0080', ':5000', ':x', ':٣']),
        st.sampled_from(['', '/', '//', '/a', '/a/', '/A//', '/ a']),
        st.sampled_from(['', '?', '?x=/', '#', '#f', '\n']),
    ),
)


@given(urls)
def test_normalise_is_idempotent(url: str) -> None:
    once = normalise_url(url)
    assert normalise_url(once) == once


@given(urls, urls, urls)
def test_same_mirror_is_an_equivalence(one: str, two: str, three: str) -> None:
    assert same_mirror(one, one)
    there, back = same_mirror(one, two), same_mirror(two, one)
    assert there == back
    if there and same_mirror(two, three):
        assert same_mirror(one, three)


@given(urls)
def test_a_url_that_is_accepted_is_accepted_normalised(url: str) -> None:
    try:
        check_url(url)
    except ConfigError:
        return
    check_url(normalise_url(url))
    assert same_mirror(url, normalise_url(url))
    assert host_of(url)


HOSTS: list[tuple[str, str, str]] = [
    ('https://Mirror.example.com/x', 'mirror.example.com', 'mirror.example.com'),
    ('http://10.0.0.1:5000', '10.0.0.1', '10.0.0.1:5000'),
    ('http://cache.lan:80', 'cache.lan', 'cache.lan'),
    ('http://[2001:DB8::1]:5000/', '2001:db8::1', '[2001:db8::1]:5000'),
    ('https://u:p@mirror.example.com:8443', 'mirror.example.com', 'mirror.example.com:8443'),
    ('mirror.example.com', '', ''),
]


@pytest.mark.parametrize(('url', 'host', 'hostport'), HOSTS)
def test_hosts(url: str, host: str, hostport: str) -> None:
    assert host_of(url) == host
    assert hostport_of(url) == hostport


ACCEPTED = [
    'https://mirror.example.com',
    'HTTPS://Mirror.Example.Com/',
    'http://cache.lan:5000',
    'http://cache',
    'http://under_score.lan',
    'http://192.168.0.10:65535/',
    'http://[2001:db8::1]:5000',
    'https://xn--bcher-kva.example/',
    'https://mirror.example.com./',
    'https://mirror.example.com/hub/my%20proxy',
]


@pytest.mark.parametrize('url', ACCEPTED)
def test_accepted(url: str) -> None:
    check_url(url)


REFUSED: list[tuple[t.Any, str]] = [
    ('', 'is empty'),
    ('mirror.example.com', 'Write https://mirror.example.com,'),
    ('mirror.example.com:5000', 'Write https://mirror.example.com:5000,'),
    ('//mirror.example.com', 'Write https://mirror.example.com,'),
    ('http:/mirror.example.com', 'Write https://mirror.example.com,'),
    ('bob:s3cret@mirror.example.com', 'Write https://mirror.example.com,'),
    ('://mirror.example.com', 'has no scheme'),
    ('ftp://mirror.example.com', "scheme 'ftp'"),
    ('socks5://mirror.example.com', 'https:// or http:// only'),
    ('https://bob:s3cret@mirror.example.com', 'user or password'),
    ('https://bob:s3/cr?e#t@mirror.example.com', 'Remove it'),
    ('https://bob@mirror.example.com', 'user or password'),
    ('https://mirror.example.com?token=s3cret', 'query or a fragment'),
    ('https://mirror.example.com/#s3cret', 'query or a fragment'),
    ('https://mirror.example.com/?a=b@s3cret', 'query or a fragment'),
    (' https://mirror.example.com', 'a space or a control character'),
    ('https://mirror.example.com\n', 'a space or a control character'),
    ('https://mirror example.com', 'a space or a control character'),
    ('https://mirror.example.com/a b', 'write it as %20'),
    ('https://mirror.example.com\u00a0', 'a space or a control character'),
    ('https://bücher.example', 'xn--bcher-kva.example'),
    ('https://镜像.example:5000/', 'xn--'),
    ('https://' + 'ü' * 70 + '.example', 'Write its punycode spelling (xn--'),
    ('http://2001:db8::1:5000', 'in brackets'),
    ('http://2001:db8::1', 'in brackets'),
    ('http://[2001:db8::1', 'in brackets'),
    ('http://[2001:db8::1]5000', 'in brackets'),
    ('http://[2001:db8::zz]:5000', 'IPv6 address'),
    ('http://[fe80::1%25eth0]', 'without a zone'),
    ('https://', 'names no host'),
    ('https:///path', 'names no host'),
    ('https://:5000', 'names no host'),
    ('https://-bad.example', 'host name'),
    ('https://a..b', 'host name'),
    ('https://{id}.mirror.aliyuncs.com', 'host name'),
    ('https://mirror.example.com:0', 'between 1 and 65535'),
    ('https://mirror.example.com:65536', 'between 1 and 65535'),
    ('https://mirror.example.com:', 'between 1 and 65535'),
    ('https://mirror.example.com:http', 'between 1 and 65535'),
    ('https://mirror.example.com:٣', 'between 1 and 65535'),
    ('https://mirror.example.com/镜像', 'percent-encoded'),
    (None, 'not null'),
    (5000, 'not a number'),
]


@pytest.mark.parametrize(('url', 'words'), REFUSED)
def test_refused(url: t.Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_url(url, key='registry_mirrors[3]')
    text = str(caught.value)
    assert words in text
    assert text.startswith('registry_mirrors[3]')
    assert caught.value.key == 'registry_mirrors[3]'
    for secret in ('s3cret', 'bob', 's3/cr', 'e#t'):
        assert secret not in text


SECRET = 'pässw0rd'


SECRET_URLS = ['https://bob:%s@h.example/', 'bob:%s@h.example', 'https://h.example/?t=%s', 'https://h.example/#%s']


@given(st.sampled_from(SECRET_URLS), st.text('/?#@:%[] ', max_size=4))
def test_no_secret_is_ever_shown(form: str, noise: str) -> None:
    url = form % (noise + SECRET)
    assert SECRET not in shown_url(url)
    with pytest.raises(ConfigError) as caught:
        check_url(url)
    assert SECRET not in str(caught.value)


def test_shown_url_keeps_what_is_no_secret() -> None:
    assert shown_url('https://h.example:5000/p') == 'https://h.example:5000/p'
    assert shown_url('https://u:p@h.example/p') == 'https://xxxxx:xxxxx@h.example/p'


# The rules of moby's ValidateMirror in 20.10, 24.0, 25.0 and 28.0; all that check_url refuses is refused on each.
DOCKER: list[tuple[str, t.Optional[tuple[int, ...]], bool]] = [
    ('https://mirror.example.com/hub', (20, 10, 24), False),
    ('https://mirror.example.com//', (20, 10, 24), False),
    ('https://mirror.example.com/hub/', (24, 0, 9), False),
    ('https://mirror.example.com/hub', (25, 0, 0), True),
    ('https://mirror.example.com/hub', (26, 1, 5), True),
    ('https://mirror.example.com/hub', (29,), True),
    ('https://mirror.example.com/hub', None, True),
    ('https://mirror.example.com', (20, 10), True),
    ('https://mirror.example.com/', (20, 10), True),
    ('https://u:p@mirror.example.com', (28, 0, 0), False),
    ('https://mirror.example.com?x', (28, 0, 0), False),
    ('ftp://mirror.example.com', None, False),
]


@pytest.mark.parametrize(('url', 'version', 'accepted'), DOCKER)
def test_docker_mirror(url: str, version: tuple[int, ...] | None, accepted: bool) -> None:
    if accepted:
        check_docker_mirror(url, version)
        return
    with pytest.raises(ConfigError, match='registry-mirrors: '):
        check_docker_mirror(url, version)


def test_docker_takes_no_project_of_a_registry() -> None:
    check_docker_mirror('https://mirror.example.com/v2', None)
    with pytest.raises(ConfigError, match='is a project of its registry'):
        check_docker_mirror('https://mirror.example.com/v2/hub', (28,))


def test_docker_path_says_the_version_and_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r'since 25\.0 only; this host runs 20\.10\.24.*upgrade Docker'):
        check_docker_mirror('https://mirror.example.com/hub', (20, 10, 24))


def test_has_path() -> None:
    assert has_path('https://h.example/hub')
    assert not has_path('https://h.example/')
    assert not has_path('h.example/hub')


FULL: dict[str, t.Any] = {
    'url': 'https://mirror.example.com',
    'trust': 'content',
    'third_party': True,
    'ca_path': '/etc/ssl/mirror.pem',
    'client_cert': '/etc/ssl/client.pem',
    'client_key': '/etc/ssl/client.key',
    'headers': {'X-Token': 's3cret'},
    'insecure': True,
}


def test_parse_mirror_short_form() -> None:
    assert parse_mirror('http://cache.lan:5000') == Mirror(url='http://cache.lan:5000', trust='resolve', third_party=False)


def test_parse_mirror_full_form() -> None:
    assert parse_mirror(FULL) == Mirror(**FULL)
    assert 's3cret' not in repr(parse_mirror(FULL))
    assert hash(parse_mirror(FULL)) == hash(parse_mirror(dict(FULL)))


def test_parse_mirror_takes_null_for_left_out() -> None:
    assert parse_mirror({'url': 'https://m.example', 'ca_path': None, 'trust': None}) == Mirror('https://m.example')


BAD_DICTS: list[tuple[t.Any, str]] = [
    ({'trust': 'content'}, r'm\[0\]: the mirror has no url'),
    ({}, 'has no url'),
    ({'url': 'https://m.example', 'tust': 'content'}, "unknown key 'tust'.*Known are url, trust, third_party"),
    ({'url': 'https://m.example', 1: 2}, "unknown key '1'"),
    ({'url': 'm.example'}, r'm\[0\]\.url: .* has no scheme'),
    ({'url': ['https://m.example']}, r'm\[0\]\.url: .*not a list'),
    ({'url': 'https://m.example', 'trust': 'full'}, r'm\[0\]\.trust: .*content or resolve'),
    ({'url': 'https://m.example', 'trust': ['content']}, 'content or resolve'),
    ({'url': 'https://m.example', 'third_party': 'yes'}, r'm\[0\]\.third_party: true or false'),
    ({'url': 'https://m.example', 'insecure': 1}, 'not a number'),
    ({'url': 'https://m.example', 'ca_path': 'ca.pem'}, 'absolute path'),
    ({'url': 'https://m.example', 'ca_path': 3}, 'a path is expected'),
    ({'url': 'https://m.example', 'client_key': '/k.pem'}, 'client_key without client_cert'),
    ({'url': 'https://m.example', 'headers': ['X']}, 'a dict of header names'),
    ({'url': 'https://m.example', 'headers': {'X Y': '1'}}, 'name of an HTTP header'),
    ({'url': 'https://m.example', 'headers': {'X': 's3cret\r\nY: 1'}}, 'the value of X must be a string on one line'),
    ({'url': 'https://m.example', 'headers': {'X': 1}}, 'the value of X'),
    (None, 'not null'),
    (True, 'not a boolean'),
    (['https://m.example'], 'not a list'),
]


@pytest.mark.parametrize(('raw', 'words'), BAD_DICTS)
def test_parse_mirror_refuses(raw: t.Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse_mirror(raw, key='m[0]')
    assert 's3cret' not in str(caught.value)


def test_parse_mirrors_keeps_order_and_the_first_of_two() -> None:
    mirrors = parse_mirrors(['https://b.example', {'url': 'https://a.example', 'trust': 'content'}, 'https://A.example:443/'])
    assert [mirror.url for mirror in mirrors] == ['https://b.example', 'https://a.example']
    assert mirrors[1].trust == 'content'
    assert parse_mirrors(None) == []


@pytest.mark.parametrize('raws', ['https://a.example', {'url': 'https://a.example'}, 3])
def test_parse_mirrors_wants_a_list(raws: t.Any) -> None:
    with pytest.raises(ConfigError, match='a list of mirrors is expected'):
        parse_mirrors(raws)


def test_parse_mirrors_names_the_entry() -> None:
    with pytest.raises(ConfigError, match=r'registry_mirrors\[1\]: '):
        parse_mirrors(['https://a.example', 'nope'], key='registry_mirrors')


NONSENSE: list[t.Any] = [None, {}, {'x': 1}, {'x': 'y'}, {'x': [None, 1, 'z', {}, {'headers': []}, {'headers': {'a': None}}]}]


@pytest.mark.parametrize('raw', NONSENSE)
def test_nonsense_has_no_secrets(raw: t.Any) -> None:
    assert header_secrets(raw) == set()


def test_values_of_headers_are_secrets_wherever_they_stand() -> None:
    mirrors = [{'url': 'x', 'headers': {'A': 's1', 'B': ''}}, 'y', {'headers': 1}]
    assert header_secrets(mirrors) == header_secrets({'quay.io': mirrors}) == {'s1'}
