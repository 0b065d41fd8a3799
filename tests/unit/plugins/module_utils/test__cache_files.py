# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a cache; what nginx and the registry make of them is tried on the lab."""

from __future__ import annotations

import dataclasses
import re
import string
import typing as t

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _cache_front, _cache_registry, _systemd
from ansible_collections.quickpull.registry.plugins.module_utils._cache_model import Front, Upstream
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError

HUB = Upstream('docker.io', 'https://registry-1.docker.io', port=5101)
OWN = Upstream('registry.lan:5000', 'http://10.0.0.9:5000', port=5102, proxy='http://u:p@proxy.lan:3128', ca_path='/ca.pem')
FRONT = Front('0.0.0.0', 5000, 1 << 30)


def test_the_registry_reads_yaml() -> None:
    text = _cache_registry.config(OWN).text
    tree = yaml.safe_load(text)
    assert (tree['proxy'], tree['http']['addr'], tree['storage']['delete']) == ({'remoteurl': OWN.url}, '127.0.0.1:5102', {'enabled': True})
    assert tree['storage']['filesystem']['rootdirectory'] == '/var/lib/quickpull-cache/registry.lan_5000'
    assert 'cache' not in tree['storage']
    assert _cache_registry.port_in(text) == 5102
    assert _cache_registry.port_in('version: 0.1\n') is None


@given(st.text(min_size=1).filter(lambda text: '\x00' not in text), st.text(min_size=1).filter(lambda text: '\x00' not in text))
def test_a_login_reaches_the_registry_as_it_was_given(username: str, password: str) -> None:
    """systemd reads the file, and the registry parses each value as YAML."""
    content = _cache_registry.environment(Upstream('a.lan', 'https://a.lan', username, password, port=1))
    assert content.secret
    variables = _systemd.read_environment_file(content.text)
    assert yaml.safe_load(variables['REGISTRY_PROXY_USERNAME']) == username
    assert yaml.safe_load(variables['REGISTRY_PROXY_PASSWORD']) == password


def test_without_a_login_none_is_set() -> None:
    variables = _systemd.read_environment_file(_cache_registry.environment(OWN).text)
    assert variables == {
        'HTTP_PROXY': 'http://u:p@proxy.lan:3128', 'HTTPS_PROXY': 'http://u:p@proxy.lan:3128', 'NO_PROXY': 'localhost,127.0.0.1',
        'SSL_CERT_DIR': '/etc/quickpull-cache/ca/registry.lan_5000:/etc/ssl/certs',
    }  # fmt: skip
    assert _systemd.read_environment_file(_cache_registry.environment(HUB).text) == {}


def test_the_front_tells_where_it_listens() -> None:
    for address in ('0.0.0.0', '::'):
        for certificate in ('', '/a.crt'):
            front = Front(address, 5000, 1, certificate=certificate, key=certificate and '/a.key')
            assert _cache_front.listens_in(_cache_front.config([HUB, OWN], front).text) == (address, 5000)
    assert _cache_front.listens_in('server { listen 80; }') is None


def test_what_is_asked_for_only() -> None:
    plain = _cache_front.config([HUB], FRONT).text
    assert 'ssl' not in plain and 'auth_basic_user_file' not in plain
    full = _cache_front.config([HUB], Front('0.0.0.0', 5000, 1, certificate='/a.crt', key='/a.key', htpasswd='/h')).text
    assert 'listen 0.0.0.0:5000 ssl;' in full and 'ssl_certificate_key "/a.key";' in full and 'auth_basic_user_file "/h";' in full


CLIENTS = st.lists(st.fixed_dictionaries({'username': st.text(string.ascii_lowercase, min_size=1, max_size=6), 'password': st.text(min_size=1)}),
                   max_size=4, unique_by=lambda one: str(one['username']))


@given(CLIENTS)
def test_a_hash_that_fits_is_kept(clients: list[dict[str, str]]) -> None:
    first = _cache_front.htpasswd(clients).text
    assert _cache_front.htpasswd(clients, first).text == first
    others = [{**one, 'password': one['password'] + 'x'} for one in clients]
    changed = _cache_front.htpasswd(others, first).text
    assert all(line not in first.splitlines() for line in changed.splitlines()[1:])
    assert not any(len(one['password']) > 8 and one['password'] in first.partition('\n')[2] for one in clients)  # below the comment
    broken: t.Any = '\n'.join(f'{one["username"]}:{{SSHA}}%%' for one in clients)
    assert len(_cache_front.htpasswd(clients, broken).text.splitlines()) == len(clients) + 1


def backends(text: str) -> dict[str, str]:
    """By port. What was served is found again by the name of a backend."""
    return {port: name for name, port in re.findall(r'upstream (cache_\S+) { server 127\.0\.0\.1:([0-9]+);', text)}


def test_what_was_served_of_a_registry_is_never_found_as_that_of_another() -> None:
    """Ports are given out again, and a name may come to mean another registry."""
    quay, ghcr = Upstream('quay.io', 'https://quay.io', port=5102), Upstream('ghcr.io', 'https://ghcr.io', port=5102)
    before = backends(_cache_front.config([HUB, quay], FRONT).text)
    after = backends(_cache_front.config([HUB, ghcr], FRONT).text)
    assert before['5101'] == after['5101'] and before['5102'] != after['5102']
    swapped = backends(_cache_front.config([dataclasses.replace(HUB, port=5102), dataclasses.replace(quay, port=5101)], FRONT).text)
    assert (swapped['5101'], swapped['5102']) == (before['5102'], before['5101'])
    moved = backends(_cache_front.config([HUB, dataclasses.replace(quay, url='https://quay.lan')], FRONT).text)
    assert moved['5102'] != before['5102']


def test_the_longer_of_two_names_is_tried_first() -> None:
    text = _cache_front.config([Upstream('quay.io', 'https://a', port=1), Upstream('quay.io.lan', 'https://b', port=2)], FRONT).text
    assert r'(?<quickpull_host_name>quay\.io\.lan|quay\.io)' in text


def test_a_client_without_a_password_is_refused() -> None:
    with pytest.raises(ConfigError, match='ci has no password'):
        _cache_front.htpasswd([{'username': 'ci', 'password': ''}])


def test_names_that_look_alike_are_two() -> None:
    text = _cache_front.config([Upstream('a-b.lan', 'https://a', port=5101), Upstream('a.b.lan', 'https://b', port=5102)], FRONT).text
    assert len(set(re.findall(r'upstream (cache_[0-9a-f]+) ', text))) == 2


def test_a_port_in_a_name_is_known_as_go_writes_it_too() -> None:
    text = _cache_front.config([HUB, OWN], FRONT).text
    backend = backends(text)['5102']
    assert f'"registry.lan:5000" {backend};' in text and f'"registry.lan%3A5000" {backend};' in text


@pytest.mark.parametrize('name', ['', 'a:b', 'a b', '#a', 'a\nroot'])
def test_a_client_with_a_name_that_would_break_the_file_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match='cannot be the name of a client'):
        _cache_front.htpasswd([{'username': name, 'password': 'x'}])


def test_a_proxy_does_not_end_its_line() -> None:
    variables = _systemd.read_environment_file(_cache_registry.environment(Upstream('a.lan', 'https://a', proxy="http://u:p'x@proxy.lan:1")).text)
    assert variables['HTTPS_PROXY'] == 'http://u:p%27x@proxy.lan:1'


@pytest.mark.parametrize('address, certificate, url', [
    ('0.0.0.0', '', 'http://127.0.0.1:5000/-/health'),
    ('::', '/a.crt', 'https://[::1]:5000/-/health'),
    ('10.0.0.5', '', 'http://10.0.0.5:5000/-/health'),
])  # fmt: skip
def test_where_the_host_asks_its_front(address: str, certificate: str, url: str) -> None:
    assert Front(address, 5000, 1, certificate=certificate).health_url == url
