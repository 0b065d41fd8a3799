# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is shown of secrets in daemon.json, and what is cut out of results."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils._daemon_secrets import diff, holds_secret, mask_value, masked_text, secrets_of
from ansible_collections.quickpull.registry.plugins.module_utils._json_text import Document

PATH = '/etc/docker/daemon.json'


@pytest.mark.parametrize(
    ('name', 'value', 'shown'),
    [
        ('http-proxy', 'http://u:pw@p:1', 'http://xxxxx:xxxxx@p:1'),
        ('http-proxy', 'http://p:1', 'http://p:1'),
        ('splunk-token', 'abc', '***'),
        ('labels', 'token=abc', 'token=***'),
        ('labels', 'room=1', 'room=1'),
        ('x', 'url=http://u:pw@h', 'url=http://xxxxx:xxxxx@h'),
        ('no-proxy', '.cn,10.0.0.0/8', '.cn,10.0.0.0/8'),
        ('tlskey', '/etc/docker/key.pem', '/etc/docker/key.pem'),
    ],
)
def test_how_a_value_is_shown(name: str, value: str, shown: str) -> None:
    assert mask_value(name, value) == shown


def test_a_text_keeps_its_shape() -> None:
    text = '{ "log-opts" : {"splunk-token":"s3cret", "a-password": {"x": ["s3cret", 3]}},\n\t"labels": ["a=1","secret=s3cret"], "mtu": 1.50e3}'
    shown = masked_text(Document.parse(text.encode(), PATH))
    assert shown == '{ "log-opts" : {"splunk-token":"***", "a-password": {"x": ["***", "***"]}},\n\t"labels": ["a=1","secret=***"], "mtu": 1.50e3}'


def test_a_changed_password_shows_that_something_changes() -> None:
    texts = [f'{{"proxies": {{"http-proxy": "http://u:{password}@p"}}}}\n'.encode() for password in ('old-pw', 'new-pw')]
    found = diff(PATH, texts[0], texts[1])
    assert found['before'] != found['after']
    assert 'old-pw' not in json.dumps(found)
    assert 'new-pw' not in json.dumps(found)
    assert diff(PATH, texts[0], texts[0])['before'] == diff(PATH, texts[0], texts[0])['after']
    assert diff(PATH, None, None) == {'before_header': PATH, 'after_header': PATH, 'before': '', 'after': ''}


def test_strings_that_are_cut_out_of_results() -> None:
    asked: dict[str, t.Any] = {
        'proxies': {'http_proxy': 'http://u:p%40ss@p:1', 'https_proxy': 'http://plain:1', 'no_proxy': ['a']},
        'registry_mirrors': ['https://m', {'url': 'https://n', 'headers': {'Authorization': 'Bearer abc'}}],
        'settings': {'log-opts': {'splunk-token': 'tok-tok', 'max-size': '10m'}, 'labels': ['a-secret=1']},
    }
    assert secrets_of(asked) == {'http://u:p%40ss@p:1', 'u:p%40ss', 'u:p@ss', 'Bearer abc', 'tok-tok', 'a-secret=1'}


@given(st.text(alphabet='abcdefgh123%-._~!', min_size=4), st.sampled_from(['http', 'https', 'socks5']))
def test_no_password_is_ever_shown(password: str, scheme: str) -> None:
    url = f'{scheme}://user:{password}@proxy.lan:3128'
    data = json.dumps({'proxies': {'http-proxy': url}, 'registry-mirrors': [url]}).encode()
    assert f':{password}@' not in json.dumps(diff(PATH, None, data))
    assert {url, f'user:{password}'} <= secrets_of({'proxies': {'http_proxy': url}})
    assert holds_secret({'proxies': {'http-proxy': url}})


@pytest.mark.parametrize('value', [{}, {'proxies': None}, {'proxies': {'http-proxy': 'http://p', 'no-proxy': 'a'}}, {'proxies': {'http-proxy': 1}}])
def test_no_secret(value: dict[str, t.Any]) -> None:
    assert not holds_secret(value)
