# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which upstream is asked, and that nothing else is."""

from __future__ import annotations

import base64
import json
import socket
import time
import typing as t

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _worker_model
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from worker.conftest import SETTINGS, Start
from worker.internet import Hub, Internet, digest_of
from worker.runtime import Worker

LATEST = 'manifests/latest'


@pytest.mark.parametrize('host, path, upstream', [
    ('docker.example.com', f'/v2/library/busybox/{LATEST}', 'registry-1.docker.io/v2/library/busybox'),
    ('DOCKER.example.com', f'/v2/library/busybox/{LATEST}', 'registry-1.docker.io/v2/library/busybox'),
    ('docker.example.com:8443', f'/v2/library/busybox/{LATEST}', 'registry-1.docker.io/v2/library/busybox'),
    ('quay.example.com', f'/v2/team/app/{LATEST}', 'quay.io/v2/team/app'),
    ('name.account.workers.dev', f'/v2/library/busybox/{LATEST}', 'registry-1.docker.io/v2/library/busybox'),
    ('docker.example.com', f'/v2/team/app/{LATEST}?ns=quay.io', 'quay.io/v2/team/app'),
    ('docker.example.com', f'/v2/quay.io/team/app/{LATEST}', 'quay.io/v2/team/app'),
    ('docker.example.com', f'/v2/quay.io/team/app/{LATEST}?ns=docker.io', 'quay.io/v2/team/app'),
    ('quay.example.com', f'/v2/docker.io/busybox/{LATEST}', 'registry-1.docker.io/v2/library/busybox'),
    ('docker.example.com', f'/v2/busybox/{LATEST}', 'registry-1.docker.io/v2/library/busybox'),
    ('docker.example.com', f'/v2/busybox/{LATEST}?ns=docker.io', 'registry-1.docker.io/v2/library/busybox'),
    ('k8s.example.com', f'/v2/pause/{LATEST}', 'us-west2-docker.pkg.dev/v2/images/pause'),
])  # fmt: skip
def test_each_form_of_asking_finds_its_upstream(own: Worker, internet: Internet, host: str, path: str, upstream: str) -> None:
    assert own.ask(path, host=host).status == 200
    asked = internet.seen[-1]
    assert f'{asked.host}{asked.path}' == f'{upstream}/{LATEST}'  # and no ns=, which some registries refuse
    assert asked.scheme == 'https'


def test_a_digest_may_be_escaped(own: Worker, hub: Hub) -> None:
    assert own.ask(f'/v2/library/busybox/blobs/{digest_of(hub.images.config).replace(":", "%3A")}').body == hub.images.config


@pytest.mark.parametrize('path', [
    f'/v2/library/busybox/{LATEST}?ns=evil.example',
    f'/v2/library/busybox/{LATEST}?ns=https://evil.example',
    f'/v2/library/busybox/{LATEST}?ns=__proto__',
    '/v2/?ns=evil.example',
    '/-/token/evil.example',
    '/-/token/',
    '/-/other',
    '/',
    '/token?service=registry.docker.io',
    '/v1/search',
    '/v2/_catalog',
    '/v2/library/busybox',
    '/v2/library/busybox/tags/other',
    '/v2/library/busybox/blobs/uploads/',
    '/https://evil.example/v2/',
])  # fmt: skip
def test_it_is_no_open_proxy(own: Worker, passing: Worker, internet: Internet, path: str) -> None:
    for worker in (own, passing):
        answer = worker.ask(path)
        assert answer.status == 404 and answer.codes() == ['NAME_UNKNOWN']
    assert internet.seen == []


@pytest.mark.parametrize('path', [f'/v2/evil.example/library/busybox/{LATEST}', f'/v2/library/busybox/../../../../v2/evil.example/x/{LATEST}'])
def test_a_strange_prefix_is_the_name_of_a_repository_and_no_host(own: Worker, internet: Internet, path: str) -> None:
    assert own.ask(path).status in (403, 404)
    assert internet.asked('evil') == []


@pytest.mark.parametrize('path, status, code', [
    (f'/v2/UPPER/{LATEST}', 400, 'NAME_INVALID'),
    (f'/v2/a%2Fb/{LATEST}', 400, 'NAME_INVALID'),
    (f'/v2/{"a" * 256}/{LATEST}', 400, 'NAME_INVALID'),
    ('/v2/library/busybox/blobs/sha256:short', 400, 'DIGEST_INVALID'),
    ('/v2/library/busybox/blobs/latest', 400, 'DIGEST_INVALID'),
    ('/v2/library/busybox/manifests/.dot', 404, 'MANIFEST_UNKNOWN'),
    (f'/v2/{"a/" * 3000}b/{LATEST}', 414, 'UNSUPPORTED'),
])  # fmt: skip
def test_what_no_registry_has_is_not_asked_for(own: Worker, internet: Internet, path: str, status: int, code: str) -> None:
    answer = own.ask(path)
    assert (answer.status, answer.codes()) == (status, [code])
    assert internet.seen == []


@pytest.mark.parametrize('method', ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
@pytest.mark.parametrize('path', ['/v2/', '/v2/library/busybox/blobs/uploads/', f'/v2/library/busybox/{LATEST}', '/-/token/docker.io', '/-/health', '/x'])
def test_nothing_is_pushed(own: Worker, internet: Internet, method: str, path: str) -> None:
    answer = own.ask(path, method, body='x')
    assert (answer.status, answer.codes(), answer.header('Allow')) == (405, ['UNSUPPORTED'], 'GET, HEAD')
    assert internet.seen == []


def test_a_request_with_a_body_is_refused(own: Worker, internet: Internet) -> None:
    answer = own.ask('/v2/', body='x')
    assert (answer.status, answer.codes()) == (413, ['SIZE_INVALID'])
    with socket.create_connection((own.address, own.port), timeout=20) as connection:
        connection.sendall(b'GET /v2/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n')
        assert connection.recv(100).startswith(b'HTTP/1.1 413 ')
    assert internet.seen == []


def test_a_host_of_no_map_without_a_default_is_none(start: Start, internet: Internet) -> None:
    worker = start({'default': ''}, UPSTREAM_LOGINS={'quay.io': {'username': 'a', 'password': 'b'}})
    for path in ('/v2/', f'/v2/library/busybox/{LATEST}'):
        answer = worker.ask(path, host='name.account.workers.dev')
        assert (answer.status, answer.codes()) == (404, ['NAME_UNKNOWN'])
    assert internet.seen == []
    assert worker.ask(f'/v2/quay.io/team/app/{LATEST}', host='name.account.workers.dev').status == 200
    assert worker.ask('/v2/quay.io/', host='name.account.workers.dev').status == 200


@pytest.mark.parametrize('host', ['gone.example.com', 'workers.dev', 'workers.dev.example.com', 'notworkers.dev', '127.0.0.1'])
def test_a_host_of_no_map_is_given_no_other_registrys_images(own: Worker, passing: Worker, internet: Internet, host: str) -> None:
    for worker in (own, passing):
        for path in (f'/v2/library/busybox/{LATEST}', f'/v2/library/busybox/blobs/sha256:{"0" * 64}'):
            answer = worker.ask(path, host=host)
            assert (answer.status, answer.codes()) == (404, ['NAME_UNKNOWN'])
    assert internet.seen == []


ALLOW = ['docker.io/library/*', 'quay.io/team/app', 'quay.io/a+b']


@pytest.fixture(scope='module')
def narrow(start: Start) -> Worker:
    return start({'allow': ALLOW}, UPSTREAM_LOGINS={'docker.io': {'username': 'acme', 'password': 'hub-secret'}})


@pytest.mark.parametrize('path, status', [
    (f'/v2/library/busybox/{LATEST}', 200),
    (f'/v2/busybox/{LATEST}', 200),
    (f'/v2/quay.io/team/app/{LATEST}', 200),
    (f'/v2/team/app/{LATEST}', 403),
    (f'/v2/acme/private/{LATEST}', 403),
    (f'/v2/quay.io/team/app2/{LATEST}', 403),
    (f'/v2/quay.io/team/{LATEST}', 403),
    (f'/v2/quay.io/aab/{LATEST}', 403),
    (f'/v2/quay.io/library/busybox/{LATEST}', 403),
    ('/v2/team/app/tags/list', 403),
    (f'/v2/team/app/blobs/sha256:{"0" * 64}', 403),
])  # fmt: skip
def test_repositories_that_are_not_allowed_are_not_asked_for(narrow: Worker, internet: Internet, path: str, status: int) -> None:
    answer = narrow.ask(path)
    assert answer.status == status
    if status == 403:
        assert answer.codes() == ['DENIED'] and internet.seen == []


@pytest.mark.parametrize('pattern, name, status', [
    ('*' + 'a*' * 12 + 'b', 'a' * 121, 403), ('*a*b*c', 'xaxbxc', 200), ('*a*b*c', 'xbxaxc', 403), ('*team/app*', 'team/app', 200),
    ('*aba*aba', 'aba/aba', 200), ('*aba*aba', 'ababa', 403), ('*', 'a', 200), ('*/a**/b', 'a/c/b', 403), ('*/a**/b', 'x/a/c/b', 200), ('a.c', 'abc', 403),
])  # fmt: skip
def test_stars_stand_for_anything_and_cost_nothing(start: Start, internet: Internet, pattern: str, name: str, status: int) -> None:
    internet.hosts['bad.example'] = lambda request, path: request.answer(200, b'{}', {'Content-Type': 'application/vnd.oci.image.index.v1+json'})
    began = time.monotonic()
    worker = start({'allow': [f'bad.example/{pattern}']})
    assert worker.ask(f'/v2/bad.example/{name}/{LATEST}').status == status
    assert time.monotonic() - began < 15


def test_a_pattern_is_read_in_no_time() -> None:
    began = time.monotonic()
    with pytest.raises(ConfigError):
        _worker_model.parse_settings((), {'docker.io': 'https://registry-1.docker.io'}, ['docker.io/' + '*' * 60 + '!'], True, 'docker.io')
    assert time.monotonic() - began < 1


def test_health_needs_nobody_and_tells_nothing(locked: Worker, internet: Internet) -> None:
    answer = locked.ask('/-/health')
    assert answer.status == 200 and json.loads(answer.body)['status'] == 'ok'
    assert 'docker' not in answer.body.decode() and internet.seen == []


@pytest.mark.parametrize('secrets', [{'CLIENT_LOGINS': 'no json'}, {'CLIENT_LOGINS': ''}, {'CLIENT_LOGINS': '[]'}, {'UPSTREAM_LOGINS': 'nor this'}])
def test_a_broken_secret_lets_nobody_in(start: Start, internet: Internet, secrets: t.Mapping[str, str]) -> None:
    answer = start({}, **secrets).ask(f'/v2/library/busybox/{LATEST}')
    assert answer.status == 500 and next(iter(secrets)) in answer.body.decode() and 'json' not in answer.body.decode()
    assert internet.seen == []


def test_a_map_that_points_to_nothing_is_told(start: Start) -> None:
    answer = start({'hosts': {'a.example': 'nobody.example'}, 'upstreams': SETTINGS['upstreams']}).ask('/v2/')
    assert answer.status == 500 and 'nobody.example' in answer.body.decode()


def basic(user: str, password: str) -> str:
    return 'Basic ' + base64.b64encode(f'{user}:{password}'.encode()).decode()


@pytest.mark.parametrize('authorization', [
    '', 'Basic', 'Basic !!!', 'Basic ' + base64.b64encode(b'\xff:x').decode(), 'Bearer abc', basic('ci', 'wrong'), basic('nobody', ''), basic('ci', ''),
    basic('', ''), basic('ci', 'x'), basic('toString', 'x'), basic('__proto__', 'x'), 'Basic ' + base64.b64encode(b'ci').decode(),
])  # fmt: skip
def test_without_a_login_of_its_own_nobody_is_served(locked: Worker, internet: Internet, authorization: str) -> None:
    for path in ('/v2/', f'/v2/library/busybox/{LATEST}', '/-/token/docker.io'):
        answer = locked.ask(path, **({'Authorization': authorization} if authorization else {}))
        assert (answer.status, answer.codes()) == (401, ['UNAUTHORIZED'])
        assert answer.header('WWW-Authenticate').startswith('Basic realm="')
    assert internet.seen == []


@pytest.mark.parametrize('path', ['/v2/?ns=evil.example', '/v2/quay.io', '/-/token/evil.example', '/v2/UPPER/manifests/latest', '/x'])
def test_without_a_login_nobody_learns_what_is_served(locked: Worker, path: str) -> None:
    assert locked.ask(path).status == 401


def test_at_cloudflare_nobody_is_served_without_tls(passing: Worker, own: Worker, locked: Worker, internet: Internet) -> None:
    for worker in (passing, own, locked):
        for path in ('/v2/', f'/v2/library/busybox/{LATEST}', '/-/token/docker.io'):
            answer = worker.ask(path, CF_Visitor='{"scheme":"http"}')
            assert (answer.status, answer.codes(), answer.header('WWW-Authenticate')) == (403, ['DENIED'], '')
    assert internet.seen == []
    assert own.ask('/v2/', CF_Visitor='{"scheme":"https"}').status == 200


def test_with_one_it_is_and_the_login_stays_here(locked: Worker, internet: Internet) -> None:
    login = basic('ci', 'pässwörd:with colon')
    assert locked.ask('/v2/', Authorization=login).status == 200
    assert locked.ask(f'/v2/library/busybox/{LATEST}', Authorization=login.replace('Basic', 'basic')).status == 200
    assert internet.seen
    sent = [one.headers.get('Authorization') or '' for one in internet.seen]
    assert not any(login[6:] in one or one.lower().startswith('basic') for one in sent)
