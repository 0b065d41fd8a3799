# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _auth_file
from ansible_collections.quickpull.registry.plugins.module_utils._auth_file import CONTAINERS, DOCKER, HUB_DOCKER_KEY, Registry, Secret, parse_registry
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError

PATH = '/root/.docker/config.json'
ACME = Secret('acme', 'pass')


def parse(value: t.Any, *, indent: t.Any = '\t') -> _auth_file.Document:
    return _auth_file.parse(json.dumps(value, indent=indent).encode(), PATH)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    'text', ['docker.io', 'index.docker.io', 'registry-1.docker.io', 'https://index.docker.io/v1/', 'DOCKER.IO', 'https://docker.io/', 'docker.io:443']
)
def test_docker_hub_has_many_names_and_one_key(text: str) -> None:
    assert parse_registry(text).key(DOCKER) == HUB_DOCKER_KEY
    assert parse_registry(text, CONTAINERS).key(CONTAINERS) == 'docker.io'


@pytest.mark.parametrize(
    'text, form, key',
    [
        ('quay.io', DOCKER, 'quay.io'),
        ('https://Registry.Example.com:5000/v2/', DOCKER, 'registry.example.com:5000'),
        ('http://10.0.0.1:5000', DOCKER, '10.0.0.1:5000'),
        ('[2001:db8::1]:5000', DOCKER, '[2001:db8::1]:5000'),
        ('localhost', CONTAINERS, 'localhost'),
        ('quay.io/team/app', CONTAINERS, 'quay.io/team/app'),
        ('https://docker.io/acme', CONTAINERS, 'docker.io/acme'),
    ],
)
def test_keys(text: str, form: str, key: str) -> None:
    assert parse_registry(text, form).key(form) == key


def test_plain_http_is_said_by_the_url() -> None:
    assert parse_registry('http://cache.lan:5000').plain_http
    assert not parse_registry('cache.lan:5000').plain_http


@pytest.mark.parametrize('text', ['', 'https://', 'a b', 'user:secret@host', 'host/UPPER', 'host?x=1', 'ho_st-.io', 'ftp://x/y', 'x' * 300 + '/..', '-x.io'])
def test_what_is_no_registry(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_registry(text, CONTAINERS)
    assert 'secret' not in str(caught.value)


def test_docker_knows_no_part_of_a_registry() -> None:
    with pytest.raises(ConfigError, match='format containers'):
        parse_registry('quay.io/team')


@pytest.mark.parametrize(
    'key, registry, form, expected',
    [
        ('https://quay.io/v1/', 'quay.io', DOCKER, True),
        ('http://quay.io', 'quay.io', DOCKER, True),
        ('quay.io:443', 'quay.io', DOCKER, False),
        ('quay.io/team', 'quay.io', DOCKER, False),
        ('quay.io/v2/', 'quay.io', DOCKER, True),
        ('https://index.docker.io/v1/', 'docker.io', DOCKER, True),
        ('index.docker.io', 'docker.io', DOCKER, True),
        ('https://index.docker.io/v1/access-token', 'docker.io', DOCKER, False),
        ('quay.io/team', 'quay.io', CONTAINERS, False),
        ('quay.io/team', 'quay.io/team', CONTAINERS, True),
        ('quay.io', 'quay.io/team', CONTAINERS, False),
        ('https://quay.io/v2/', 'quay.io', CONTAINERS, True),
        ('https://index.docker.io/v1/', 'docker.io', CONTAINERS, True),
    ],
)
def test_which_keys_mean_a_registry(key: str, registry: str, form: str, expected: bool) -> None:
    assert _auth_file.means(key, parse_registry(registry, form), form) is expected


@pytest.mark.parametrize(
    'entry, expected',
    [
        ({'auth': encoded('a:b')}, Secret('a', 'b')),
        ({'auth': encoded('a:b:c')}, Secret('a', 'b:c')),
        ({'auth': encoded('a:b\x00\x00')}, Secret('a', 'b')),
        ({'auth': encoded('a:'), 'identitytoken': 'tok'}, Secret('a', '', 'tok')),
        ({'identitytoken': 'tok'}, Secret(identity_token='tok')),
        ({'username': 'a', 'password': 'b'}, Secret('a', 'b')),
        ({'auth': 'not base64'}, None),
        ({'auth': encoded('no colon')}, None),
        ({'auth': 7}, None),
        ({}, None),
        (None, None),
        ('text', None),
    ],
)
def test_entries_of_every_kind_are_read(entry: t.Any, expected: Secret | None) -> None:
    assert _auth_file.read_entry(entry) == expected


def test_a_secret_is_in_no_repr() -> None:
    assert 'pass' not in repr(ACME)
    assert 'tok' not in repr(Secret('a', identity_token='tok'))


def test_an_older_spelling_is_replaced_and_not_doubled() -> None:
    quay = parse_registry('quay.io')
    document = parse({'auths': {'https://quay.io/v1/': ACME.entry(), 'ghcr.io': {'auth': 'eDp5'}}})
    after = _auth_file.put_login(document, quay, DOCKER, ACME).value
    assert after == {'auths': {'ghcr.io': {'auth': 'eDp5'}, 'quay.io': ACME.entry()}}
    assert list(_auth_file.take_away(document, quay, DOCKER).value['auths']) == ['ghcr.io']


def test_what_another_tool_keeps_in_an_entry_stays() -> None:
    document = parse({'auths': {'quay.io': {'auth': encoded('old:old'), 'email': 'a@b', 'identitytoken': 'x'}}})
    after = _auth_file.put_login(document, parse_registry('quay.io'), DOCKER, ACME)
    assert after.value['auths']['quay.io'] == {**ACME.entry(), 'email': 'a@b'}


@pytest.mark.parametrize(
    'found, wanted, keep, expected',
    [
        (ACME, ACME, True, True),
        (Secret('acme', 'other'), ACME, True, False),
        (Secret('acme', '', 'tok'), ACME, True, True),
        (Secret('acme', '', 'tok'), ACME, False, False),
        (Secret('other', '', 'tok'), ACME, True, False),
        (Secret('', '', 'tok'), Secret(identity_token='tok'), True, True),
        (Secret('acme', '', 'tok'), Secret('other', identity_token='tok'), True, False),
        (ACME, Secret('acme', identity_token='tok'), True, False),
        (None, ACME, True, False),
    ],
)
def test_which_login_does(found: Secret | None, wanted: Secret, keep: bool, expected: bool) -> None:
    assert _auth_file.satisfies(found, wanted, keep_token=keep) is expected


@pytest.mark.parametrize(
    'text',
    ['[]', '{"auths": []}', '{"auths": "x"}', '{"credHelpers": 1}', '{"proxies": []}', '{"auths": {', '\ufeff{}', '{"a": 1, "a": 2}', 'nonsense', '\x00'],
)
def test_a_file_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r'/root/\.docker/config\.json'):
        _auth_file.parse(text.encode(), PATH)


@pytest.mark.parametrize('text', [None, '', '  \n', '{}', '{"auths": null}', '{"auths": {}}'])
def test_a_file_without_logins_is_fine(text: str | None) -> None:
    document = _auth_file.parse(text.encode() if text is not None else None, PATH)
    assert _auth_file.put_login(document, Registry('quay.io'), DOCKER, ACME).value['auths'] == {'quay.io': ACME.entry()}


def test_helpers() -> None:
    document = parse({'credHelpers': {'quay.io': 'own', HUB_DOCKER_KEY: 'hub'}, 'credsStore': 'store'})
    assert [_auth_file.helper_of(document, parse_registry(name), DOCKER) for name in ('quay.io', 'docker.io', 'ghcr.io')] == ['own', 'hub', 'store']
    assert _auth_file.helper_of(document, parse_registry('ghcr.io'), CONTAINERS) == ''
    assert _auth_file.set_helper(parse({}), parse_registry('docker.io'), DOCKER, 'pass').value == {'credHelpers': {HUB_DOCKER_KEY: 'pass'}}


@pytest.mark.parametrize('store, left', [('store', {'credHelpers': {'quay.io': ''}, 'credsStore': 'store'}), (None, {'credHelpers': {}})])
def test_no_helper_is_said_as_the_clients_understand_it(store: str | None, left: dict[str, t.Any]) -> None:
    document = parse({'credHelpers': {'quay.io': 'own'}, **({'credsStore': store} if store else {})})
    after = _auth_file.set_helper(document, parse_registry('quay.io'), DOCKER, '')
    assert after.value == left
    assert _auth_file.helper_of(after, parse_registry('quay.io'), DOCKER) == ''
    assert _auth_file.helper_of(document, parse_registry('quay.io/team', CONTAINERS), CONTAINERS) == 'own'
    assert _auth_file.set_helper(parse({'credHelpers': {'quay.io': 'own'}}), parse_registry('quay.io'), CONTAINERS, '').value == {'credHelpers': {}}


def test_proxies_are_set_by_key_and_taken_away() -> None:
    document = parse({'proxies': {'default': {'httpProxy': 'http://old', 'x': 1}, 'tcp://a': {}}})
    after = _auth_file.put_proxies(document, {'https_proxy': 'http://p', 'no_proxy': ['.a', 'b'], 'http_proxy': ''})
    assert after.value['proxies'] == {'default': {'x': 1, 'httpsProxy': 'http://p', 'noProxy': '.a,b'}, 'tcp://a': {}}
    assert _auth_file.put_proxies(after, {'https_proxy': 'http://p'}).text == after.text
    assert _auth_file.put_proxies(after, {}).value['proxies'] == {'default': {'x': 1}, 'tcp://a': {}}
    assert _auth_file.put_proxies(parse({'proxies': {'default': {'httpProxy': 'http://p'}}}), {}).value == {}
    for nothing in ({}, {'proxies': {'default': None}}):
        assert _auth_file.put_proxies(parse(nothing), {'http_proxy': 'http://p'}).value == {'proxies': {'default': {'httpProxy': 'http://p'}}}


def test_logins_that_nobody_asked_for() -> None:
    document = parse({'auths': {'quay.io': {}, 'https://quay.io/v1/': {}, HUB_DOCKER_KEY: {}, f'{HUB_DOCKER_KEY}access-token': {}, 'ghcr.io': {}}})
    wanted = [parse_registry('quay.io'), parse_registry('docker.io')]
    assert _auth_file.others(document, wanted, DOCKER) == ['ghcr.io']
    assert _auth_file.others(document, wanted[:1], DOCKER) == [HUB_DOCKER_KEY, f'{HUB_DOCKER_KEY}access-token', 'ghcr.io']
    gone = _auth_file.take_away(document, parse_registry('docker.io'), DOCKER)
    assert list(gone.value['auths']) == ['quay.io', 'https://quay.io/v1/', 'ghcr.io']


# Laws, on files as nobody would write them.

_NAMES = st.sampled_from(
    ['quay.io', 'https://quay.io/v1/', 'QUAY.IO', 'docker.io', HUB_DOCKER_KEY, 'quay.io/team', 'http://[::1]:5000/v2/', '', '/', '~', 'a/~1b']
)
_KEYS = st.one_of(_NAMES, st.text(max_size=12))
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
_ENTRY = st.one_of(
    _JSON,
    st.fixed_dictionaries({}, optional={'auth': st.one_of(_JSON, st.just(ACME.entry()['auth'])), 'identitytoken': _JSON, 'email': _JSON, 'password': _JSON}),
)
_FILE = st.fixed_dictionaries(
    {},
    optional={
        'auths': st.one_of(_JSON, st.dictionaries(_KEYS, _ENTRY, max_size=5)),
        'credHelpers': st.one_of(_JSON, st.dictionaries(_KEYS, _JSON, max_size=3)),
        'credsStore': _JSON,
        'proxies': _JSON,
        'HttpHeaders': _JSON,
    },
)
_REGISTRIES = st.sampled_from(
    [('quay.io', DOCKER), ('docker.io', DOCKER), ('quay.io', CONTAINERS), ('quay.io/team', CONTAINERS), ('docker.io', CONTAINERS), ('[::1]:5000', DOCKER)]
)


def understood(data: bytes) -> _auth_file.Document | None:
    """The file; None when it was refused, with a message that names it."""
    told = ''
    try:
        return _auth_file.parse(data, PATH)
    except ConfigError as refused:
        told = str(refused)
    assert told.startswith(PATH)
    return None


@settings(max_examples=settings().max_examples * 3)
@given(_FILE, st.dictionaries(st.text(max_size=6), _JSON, max_size=3), _REGISTRIES, st.sampled_from([None, 2, '\t']))
def test_no_key_is_ever_lost(known: dict[str, t.Any], foreign: dict[str, t.Any], where: tuple[str, str], indent: t.Any) -> None:
    registry, form = parse_registry(*where), where[1]
    whole = {**foreign, **known}
    document = understood(json.dumps(whole, indent=indent).encode())
    if document is None:
        return
    after = _auth_file.put_login(document, registry, form, ACME)
    value = after.value
    assert _auth_file.satisfies(_auth_file.login_of(after, registry, form), ACME)
    assert _auth_file.put_login(after, registry, form, ACME).text == after.text, 'a second run changes nothing'
    assert [key for key in value if key != 'auths'] == [key for key in whole if key != 'auths'], 'order'
    assert all(value[key] == whole[key] for key in whole if key != 'auths')
    before = whole.get('auths') or {}
    kept = [key for key in before if not _auth_file.means(key, registry, form)]
    assert [key for key in value['auths'] if key in kept] == kept
    assert all(value['auths'][key] == before[key] for key in kept)
    gone = _auth_file.take_away(after, registry, form)
    assert _auth_file.login_of(gone, registry, form) is None
    _auth_file.helper_of(gone, registry, form)
    _auth_file.others(gone, [registry], form)


@settings(max_examples=settings().max_examples * 3)
@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode), _FILE.map(lambda value: json.dumps(value).encode()[:-1])))
def test_garbage_is_refused_with_a_message(data: bytes) -> None:
    document = understood(data)
    assert document is None or isinstance(document.value, dict)


@settings(max_examples=settings().max_examples * 2)
@given(st.text(max_size=40), st.text(max_size=40).filter(bool))
def test_what_is_written_is_read_back(username: str, password: str) -> None:
    username = username.replace(':', '') or 'u'
    if '\x00' in password:
        return
    assert _auth_file.read_entry(Secret(username, password).entry()) == Secret(username, password)
