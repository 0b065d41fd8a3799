# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import dataclasses
import json
import typing as t
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _worker_model as model
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import parse_mirrors
from ansible_collections.quickpull.registry.plugins.module_utils._worker_api import Route
from ansible_collections.quickpull.registry.plugins.module_utils._worker_deploy import attached_by, comment_of, in_the_way, same_secrets, secret_hash

ROLE = Path(model.__file__).resolve().parents[2] / 'roles/registry_worker/defaults/main.yml'
ACCESS = ROLE.parents[2] / 'registry_access/vars/main.yml'
UPSTREAMS = {'docker.io': 'https://registry-1.docker.io', 'quay.io': 'https://quay.io'}
WORKER = model.Worker('0' * 32, 'w', (), {'hosts': {}}, {'worker.js': b'1'}, {'CLIENT_LOGINS': '{"u":"S3CRET"}'})


def test_host_names_below_a_domain() -> None:
    upstreams = [*model.DEFAULT_UPSTREAMS, 'k8s.gcr.io', 'mcr.microsoft.com', 'public.ecr.aws', 'registry.lan:5000']
    assert [one.name for one in model.parse_hosts('Example.com', {}, upstreams)] == [
        'docker.example.com', 'quay.example.com', 'ghcr.example.com', 'gcr.example.com', 'k8s.example.com', 'k8s-gcr.example.com', 'mcr.example.com',
        'ecr.example.com', 'registry.example.com',
    ]  # fmt: skip


def test_named_hosts_stand_before_derived_ones() -> None:
    raw = {'Hub.example.org': 'docker.io', 'q.example.org': {'upstream': 'quay.io', 'attach': 'route', 'zone': 'example.org'}}
    assert model.parse_hosts('example.com', raw, [*UPSTREAMS, 'ghcr.io']) == (
        model.Host('hub.example.org', 'docker.io'), model.Host('q.example.org', 'quay.io', 'route', 'example.org'), model.Host('ghcr.example.com', 'ghcr.io')
    )  # fmt: skip


@pytest.mark.parametrize('domain, raw, words', [
    ('', [], 'a dictionary of host names'),
    ('', {'docker': 'docker.io'}, "'docker' is no host name"),
    ('', {'-a.example.com': 'docker.io'}, 'is no host name'),
    ('exa mple.com', {}, r"'exa mple.com' is no domain"),
    ('', {'a.example.com': 'ghcr.io'}, r'ghcr.io is none of the upstreams \(docker.io, quay.io\)'),
    ('', {'a.example.com': {}}, 'a dictionary with upstream, is expected'),
    ('', {'a.example.com': {'upstream': 'docker.io', 'way': 1}}, 'way is not known; there are upstream, attach and zone'),
    ('', {'a.example.com': {'upstream': 'docker.io', 'attach': 'dns'}}, "'dns' is not known. Write domain or route"),
    ('', {'a.example.com': {'upstream': 'docker.io', 'zone': 'ample.com'}}, 'a.example.com is not in the zone ample.com'),
    ('example.com', {'docker.example.com': 'quay.io'}, 'docker.example.com would stand for quay.io and docker.io'),
])  # fmt: skip
def test_what_is_no_host_name(domain: str, raw: t.Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        model.parse_hosts(domain, raw, UPSTREAMS)


def test_upstreams() -> None:
    assert model.parse_upstreams(['docker.io', {'name': 'registry.lan:5000', 'url': 'http://10.0.0.9:5000/'}]) == {
        'docker.io': 'https://registry-1.docker.io', 'registry.lan:5000': 'http://10.0.0.9:5000'
    }  # fmt: skip


@pytest.mark.parametrize('raw, words', [
    ('docker.io', 'a list of registries'),
    ([], 'a list of registries'),
    ([7], r'upstreams\[0\]: a name'),
    (['quay.io', 'quay.io'], r'upstreams\[1\]: quay.io is named twice'),
    ([{'name': 'quay.io', 'password': 'S3CRET'}], 'password is not known.* Logins go into upstream_logins'),
    ([{'name': 'quay.io', 'url': 'quay.io'}], r'upstreams\[0\].url'),
    (['docker'], 'is not the name of a registry'),
])  # fmt: skip
def test_what_is_no_upstream(raw: t.Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as failed:
        model.parse_upstreams(raw)
    assert 'S3CRET' not in str(failed.value)


@pytest.mark.parametrize('pattern', ['library/*', 'docker.io', 'docker.io/', 'ghcr.io/a', 'docker.io/UPPER', 'docker.io/a b'])
def test_what_is_no_pattern_of_repositories(pattern: str) -> None:
    with pytest.raises(ConfigError, match=r'allow\[1\]'):
        model.parse_settings((), UPSTREAMS, ['docker.io/library/*', pattern], True, '')


def test_a_short_name_of_docker_hub_is_the_one_that_docker_asks_for() -> None:
    given = ['docker.io/busybox', 'docker.io/*', 'docker.io/acme/app', 'docker.io/busy*', 'quay.io/app']
    assert model.parse_settings((), UPSTREAMS, given, True, '')['allow'] == ['docker.io/library/busybox', *given[1:]]


def test_the_default_upstream_is_one_of_them() -> None:
    with pytest.raises(ConfigError, match=r'default_upstream: ghcr\.io is none of'):
        model.parse_settings((), UPSTREAMS, [], True, 'ghcr.io')


def test_secrets() -> None:
    found = model.parse_secrets({'b': 'S3CRET'}, {'docker.io': {'username': 'u', 'password': 'P'}}, UPSTREAMS)
    assert {name: json.loads(text) for name, text in found.items()} == {
        'CLIENT_LOGINS': {'b': 'S3CRET'}, 'UPSTREAM_LOGINS': {'docker.io': {'username': 'u', 'password': 'P'}}
    }  # fmt: skip
    assert model.parse_secrets({}, None, UPSTREAMS) == {}
    assert model.passwords_in({'b': 'S3CRET', 'c': ''}, {'docker.io': {'username': 'u', 'password': 'P'}}) == {'S3CRET', 'P'}
    assert model.passwords_in([], None) == set()


@pytest.mark.parametrize('clients, upstreams, hidden', [
    ({}, {'docker.io': {'user': 'acme', 'pass': 'S3CRET'}}, {'acme', 'S3CRET'}),
    ({}, {'docker.io': 'acme:S3CRET'}, {'acme:S3CRET'}),
    ({}, {'docker.io': {'username': {'x': 'acme'}, 'password': ['S3CRET', 7, True, None]}}, {'acme', 'S3CRET', '7'}),
    ({}, {'docker.io': {'username': 'acme', 'password': 'S3CRET', 'more': 'MORE'}}, {'acme', 'S3CRET', 'MORE'}),
    ({'builder': {'password': 'S3CRET'}}, {}, {'S3CRET'}),
    (['a:S3CRET'], 'S3CRET', {'a:S3CRET', 'S3CRET'}),
])  # fmt: skip
def test_a_login_of_another_form_is_a_secret_as_a_whole(clients: t.Any, upstreams: t.Any, hidden: set[str]) -> None:
    assert model.passwords_in(clients, upstreams) == hidden


@pytest.mark.parametrize('clients, upstreams', [
    ({'a:b': 'S3CRET'}, {}), ({'': 'S3CRET'}, {}), ({'a': ''}, {}), ({'a': 7}, {}), (['S3CRET'], {}), ({}, ['S3CRET']), ({}, {'ghcr.io': {}}),
    ({}, {'quay.io': 'S3CRET'}), ({}, {'quay.io': {'username': 'a'}}), ({}, {'quay.io': {'username': 'a', 'password': 'S3CRET', 'more': 'S3CRET'}}),
])  # fmt: skip
def test_what_is_no_login_is_told_without_it(clients: t.Any, upstreams: t.Any) -> None:
    with pytest.raises(ConfigError, match='logins') as failed:
        model.parse_secrets(clients, upstreams, UPSTREAMS)
    assert 'S3CRET' not in str(failed.value)


def test_no_secret_and_no_code_in_the_text_of_a_worker() -> None:
    assert 'S3CRET' not in repr(WORKER)


MODULES = st.dictionaries(st.sampled_from(['worker.js', 'a.js', 'b.js']), st.binary(max_size=3))


@given(MODULES, st.text(max_size=3), st.sampled_from(['2025-01-01', '2025-02-01']))
def test_the_same_runs_the_same_and_nothing_else(modules: dict[str, bytes], setting: str, date: str) -> None:
    one = dataclasses.replace(WORKER, modules=modules, settings={'default': setting}, compatibility_date=date)
    again = dataclasses.replace(one, modules=dict(reversed(list(modules.items()))), secrets={}, name='other', account_id='1' * 32)
    assert one.fingerprint() == again.fingerprint()
    assert one.fingerprint() != dataclasses.replace(one, modules={**modules, 'c.js': b''}).fingerprint()
    assert one.fingerprint() != dataclasses.replace(one, settings={'default': setting + 'x'}).fingerprint()


LABELS = st.sampled_from(['docker.io', 'quay.io', 'ghcr.io', 'registry.k8s.io'])


@given(st.lists(LABELS, min_size=1, unique=True), st.booleans(), st.booleans())
def test_every_upstream_has_a_mirror_that_engines_take(upstreams: list[str], domain: bool, workers_dev: bool) -> None:
    hosts = model.parse_hosts('example.com' if domain else '', {}, upstreams)
    found = model.mirrors(hosts, upstreams, 'docker.io', 'https://w.acme.workers.dev' if workers_dev else '')
    assert list(found) == (upstreams if domain or workers_dev else [])
    for urls in found.values():
        assert len(parse_mirrors(urls)) == len(urls) == domain + workers_dev


def test_docker_hub_is_at_no_path() -> None:
    assert model.mirrors((), UPSTREAMS, 'quay.io', 'https://w.acme.workers.dev') == {'quay.io': ['https://w.acme.workers.dev']}


def test_mirrors_with_a_login() -> None:
    (mirror,) = model.with_login({'quay.io': ['https://q.example.com']}, {'a': 'A', 'b': 'B:ö'}, 'b')['quay.io']
    assert base64.b64decode(mirror['headers']['Authorization'][6:]).decode() == 'b:B:ö'
    assert parse_mirrors([mirror])
    assert model.with_login({'quay.io': ['u']}, {'a': 'A'})['quay.io'][0]['headers']['Authorization'] == 'Basic ' + base64.b64encode(b'a:A').decode()
    assert model.with_login({'quay.io': ['u']}, {}) == {'quay.io': ['u']}
    with pytest.raises(ConfigError, match="registry_worker_client: 'c' is none of"):
        model.with_login({}, {'a': 'A'}, 'c')


def test_what_does_not_serve() -> None:
    good, bad = {'url': 'https://a', 'ok': True, 'reason': ''}, {'url': 'https://b', 'ok': False, 'reason': 'It answers 403.'}
    assert model.unserved([{'results': [good, bad]}, {'msg': 'no such file'}]).endswith('from here: https://b: It answers 403. no such file')


def test_what_the_variables_of_the_role_are_as_mirrors() -> None:
    assert model.mirrors_of({}) is None
    assert model.mirrors_of({'name': 'x', 'upstreams': ['quay.io'], 'domain': ''}) is None
    assert model.mirrors_of({'domain': 'example.com', 'upstreams': ['docker.io', 'quay.io']}) == {
        'docker.io': ['https://docker.example.com'], 'quay.io': ['https://quay.example.com']
    }  # fmt: skip
    assert model.mirrors_of({'subdomain': 'acme', 'upstreams': ['docker.io', 'quay.io']}) == {
        'docker.io': ['https://quickpull-registry.acme.workers.dev'], 'quay.io': ['https://quickpull-registry.acme.workers.dev/v2/quay.io']
    }  # fmt: skip
    assert model.mirrors_of({'hosts': {'h.example.com': 'docker.io'}, 'state': 'absent'}) == {'docker.io': []}
    logins = {'hosts': {'h.example.com': 'docker.io'}, 'client_logins': {'a': 'A'}}
    assert model.mirrors_of(logins) == {'docker.io': ['https://h.example.com']}
    assert model.mirrors_of({**logins, 'client': 'a'}) == model.with_login({'docker.io': ['https://h.example.com']}, {'a': 'A'})


@pytest.mark.parametrize('workers_dev, served', [(None, False), ('', False), (False, False), (True, True)])
def test_a_worker_with_host_names_is_below_workers_dev_only_when_asked(workers_dev: t.Any, served: bool) -> None:
    found = model.mirrors_of({'domain': 'example.com', 'subdomain': 'acme', 'upstreams': ['docker.io', 'quay.io'], 'workers_dev': workers_dev})
    assert ('https://quickpull-registry.acme.workers.dev' in (found or {})['docker.io']) is served
    assert len((found or {})['quay.io']) == 1 + served
    assert model.mirrors_of({'subdomain': 'acme', 'workers_dev': False}) == {}


def test_where_the_inventory_is_silent_the_role_says_the_same() -> None:
    loaded = yaml.safe_load(ROLE.read_text(encoding='utf-8'))
    defaults = {name.removeprefix('registry_worker_'): value for name, value in loaded.items()}
    taken = yaml.safe_load(ACCESS.read_text(encoding='utf-8'))['__registry_access_worker']
    assert set(taken) - set(defaults) == {'default_upstream', 'workers_dev'}, 'named as the role names them'
    assert all(f'registry_worker_{name} ' in text for name, text in taken.items())
    assert model.mirrors_of({**defaults, 'domain': 'example.com'}) == model.mirrors_of({'domain': 'example.com'})
    assert model.mirrors_of({**defaults, 'subdomain': 'acme'}) == model.mirrors_of({'subdomain': 'acme'})
    assert model.mirrors_of(defaults) is None


@pytest.mark.parametrize('text', ['', '2025-1-1', '2025-13-01', 'today', '2025-01-01T00:00'])
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(ConfigError, match='is no date'):
        model.check_date(text)


@pytest.mark.parametrize('pattern, script, attach, way', [
    ('a.example.com/*', 'site', 'domain', True),
    ('a.example.com/v2/*', 'site', 'route', True),
    ('https://a.example.com/*', 'site', 'route', True),
    ('a.example.com/*', '', 'route', True),
    ('*.example.com/*', 'site', 'domain', True),
    ('*example.com/*', 'site', 'domain', True),
    ('*.example.com/*', 'site', 'route', False),
    ('*.example.com/*', '', 'domain', False),
    ('*.example.org/*', 'site', 'domain', False),
    ('example.com/*', 'site', 'domain', False),
    ('ba.example.com/*', 'site', 'route', False),
])  # fmt: skip
def test_which_routes_are_in_the_way(pattern: str, script: str, attach: str, way: bool) -> None:
    assert in_the_way(Route('1', pattern, script), model.Host('a.example.com', 'docker.io', attach)) is way


@pytest.mark.parametrize('marker', [None, {}, {'hosts': []}, {'hosts': {'a': 'b'}}])
def test_a_marker_that_says_nothing(marker: t.Any) -> None:
    assert attached_by(marker) == {}


def test_a_comment_fits() -> None:
    assert len(comment_of('w' * 63)) <= 100


class Script:
    """Bindings as they are read back."""

    compatibility_date = ''
    bindings: t.ClassVar = {'CLIENT_LOGINS': {'type': 'secret_text'}}


def test_secrets_are_told_apart_by_their_hashes() -> None:
    script = t.cast(t.Any, Script())
    salt = '00' * 16
    good = {'salt': salt, 'secrets': {'CLIENT_LOGINS': secret_hash('x', salt)}}
    assert same_secrets(good, script, {'CLIENT_LOGINS': 'x'})
    assert not same_secrets(good, script, {'CLIENT_LOGINS': 'y'})
    assert not same_secrets(good, script, {})
    assert not same_secrets({**good, 'salt': 'no hex'}, script, {'CLIENT_LOGINS': 'x'})
    assert not same_secrets({'salt': salt}, script, {'CLIENT_LOGINS': 'x'})


@pytest.mark.parametrize('allow, clients, logins, told', [
    ([], {}, {'docker.io': {'username': 'acme', 'password': 'S3CRET'}}, 'what the login at docker.io may pull, private images as well'),
    (['docker.io/library/*'], {}, {'docker.io': {'username': 'acme', 'password': 'S3CRET'}}, ''),
    ([], {'ci': 'x'}, {'docker.io': {'username': 'acme', 'password': 'S3CRET'}}, ''),
    ([], {}, {}, 'may pull by it, on your account at Cloudflare'),
])  # fmt: skip
def test_what_is_open_to_anybody_is_warned_of(allow: list[str], clients: dict[str, str], logins: dict[str, t.Any], told: str) -> None:
    upstreams = model.parse_upstreams(['docker.io'])
    settings = model.parse_settings((), upstreams, allow, True, 'docker.io')
    secrets = model.parse_secrets(clients, logins, upstreams)
    words = model.cautions(model.Worker('a' * 32, 'w', (), settings, secrets=secrets))
    assert bool(words) == bool(told) and 'S3CRET' not in ''.join(words)
    assert told in ''.join(words)


def test_a_login_without_tls_is_warned_of() -> None:
    without = {'registry.lan:5000': 'http://10.0.0.9:5000', 'other.lan:80': 'http://other.lan'}
    upstreams = model.parse_upstreams(['quay.io', *({'name': name, 'url': url} for name, url in without.items())])
    settings = model.parse_settings((), upstreams, [], True, '')
    logins = {name: {'username': 'acme', 'password': 'S3CRET'} for name in ('registry.lan:5000', 'quay.io')}
    secrets = model.parse_secrets({'ci': 'x'}, logins, upstreams)
    (words,) = model.cautions(model.Worker('a' * 32, 'w', (), settings, secrets=secrets))
    assert 'registry.lan:5000' in words and 'http://10.0.0.9:5000' in words
    assert not {'S3CRET', 'acme', 'quay.io', 'other.lan'} & set(words.replace(',', ' ').split())


@pytest.mark.parametrize('make, words', [
    (lambda up: model.parse_settings((), up, ['quay.io/prometheus/*'], True, ''), r'allow\[0\]: quay\.io is none of the upstreams \(docker\.io\)'),
    (lambda up: model.parse_settings((), up, ['docker.io'], True, ''), r"allow\[0\]: 'docker\.io' is not understood"),
    (lambda up: model.parse_secrets({'ci': 12345678}, {}, up), r'a number wants quotes'),
    (lambda up: model.parse_secrets({}, {'docker.io': {'username': 'acme', 'password': ''}}, up), r'both texts that are not empty'),
    (lambda up: model.parse_hosts('https://example.com', {}, up), r"domain: 'https://example\.com' is no domain"),
])  # fmt: skip
def test_a_mistake_is_called_by_its_name(make: t.Callable[[dict[str, str]], t.Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make({'docker.io': 'https://registry-1.docker.io'})
