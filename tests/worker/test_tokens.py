# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Challenges and tokens: passed on to the client, or fetched by the Worker itself."""

from __future__ import annotations

import json
import re
import urllib.parse

import pytest
from lab.server import Request

from worker.conftest import Start
from worker.internet import Hub, Internet
from worker.runtime import Worker
from worker.test_routes import LATEST, basic

BUSYBOX = f'/v2/library/busybox/{LATEST}'


def token(worker: Worker, *scopes: str, path: str = '/-/token/docker.io', login: str = '', **more: str) -> str:
    """As a client fetches one."""
    query = urllib.parse.urlencode([('service', 'registry.docker.io'), *(('scope', one) for one in scopes), *more.items()])
    answer = worker.ask(f'{path}?{query}', **({'Authorization': login} if login else {}))
    assert answer.status == 200, answer
    told = json.loads(answer.body)
    assert told['token'] == told['access_token'] and told['expires_in'] == 300 and answer.header('Cache-Control') == 'no-store'
    return f'Bearer {told["token"]}'


def asked_scopes(internet: Internet) -> list[str]:
    return urllib.parse.parse_qs(internet.asked('auth.docker.io')[-1].path.partition('?')[2]).get('scope', [])


# --- passed on ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('path, scope', [
    ('/v2/', ''),
    (BUSYBOX, ',scope="repository:library/busybox:pull"'),
    (f'/v2/busybox/{LATEST}', ',scope="repository:library/busybox:pull"'),
    (f'/v2/library/busybox/blobs/sha256:{"0" * 64}', ',scope="repository:library/busybox:pull"'),
    ('/v2/library/busybox/tags/list', ',scope="repository:library/busybox:pull"'),
])  # fmt: skip
def test_a_challenge_names_the_workers_own_token_endpoint(passing: Worker, path: str, scope: str) -> None:
    """Not the upstream's, which the client may be cut off from; for a manifest too, where containerd looks."""
    for method in ('GET', 'HEAD'):
        answer = passing.ask(path, method if path != '/v2/' else 'GET', host='docker.example.com')
        assert answer.status == 401
        challenge = answer.header('WWW-Authenticate')
        assert challenge == f'Bearer realm="http://docker.example.com/-/token/docker.io",service="registry.docker.io"{scope}'
        assert method == 'HEAD' or path == '/v2/' or answer.codes() == ['UNAUTHORIZED']


def test_with_the_token_that_it_leads_to_everything_is_there(passing: Worker, internet: Internet) -> None:
    held = token(passing, 'repository:library/busybox:pull')
    assert passing.ask('/v2/', Authorization=held).status == 200
    assert passing.ask(BUSYBOX, Authorization=held).status == 200
    assert passing.ask(f'/v2/busybox/{LATEST}', 'HEAD', Authorization=held).status == 200
    assert internet.asked('auth.docker.io')[0].headers.get('Authorization') is None


@pytest.mark.parametrize('asked, sent', [
    (['repository:busybox:pull'], ['repository:library/busybox:pull']),
    (['repository:library/busybox:pull', 'repository:busybox:pull'], ['repository:library/busybox:pull']),
    (['repository:library/busybox:pull repository:team/app:pull'], ['repository:library/busybox:pull', 'repository:team/app:pull']),
    (['repository:docker.io/busybox:pull'], ['repository:library/busybox:pull']),
    (['repository:library/busybox:pull,push'], ['repository:library/busybox:pull']),
    (['repository:library/busybox:*'], ['repository:library/busybox:pull']),
    (['repository(plugin):library/busybox:pull'], ['repository:library/busybox:pull']),
    (['repository:library/busybox:push', 'registry:catalog:*', 'nonsense'], []),
    ([], []),
])  # fmt: skip
def test_scopes_are_completed_and_for_pulling_alone(passing: Worker, internet: Internet, asked: list[str], sent: list[str]) -> None:
    token(passing, *asked)
    assert asked_scopes(internet) == sent


@pytest.mark.parametrize('name', ['../../admin/x?y=z#', 'library/../acme/private', 'UPPER/x', 'a//b', '/a', f'{"a" * 256}', 'bad.example/../../admin'])
def test_a_scope_that_names_no_repository_is_left_out(start: Start, passing: Worker, internet: Internet, name: str) -> None:
    internet.hosts['bad.example'] = lambda request, path: request.answer(200)
    query = urllib.parse.urlencode({'scope': f'repository:{name}:pull'})
    assert passing.ask(f'/-/token/bad.example?{query}').status == 200
    assert {one.path for one in internet.seen} == {'/v2/'}
    token(passing, f'repository:{name}:pull', 'repository:busybox:pull')
    assert asked_scopes(internet) == ['repository:library/busybox:pull']


def test_a_client_with_a_login_at_the_upstream_pulls_what_it_may(passing: Worker, internet: Internet) -> None:
    path = f'/v2/acme/private/{LATEST}'
    scope = 'repository:acme/private:pull'
    assert passing.ask(path, Authorization=token(passing, scope)).status == 401
    held = token(passing, scope, login=basic('acme', 'hub-secret'), account='acme', offline_token='true')
    assert passing.ask(path, Authorization=held).status == 200
    assert {one.host for one in internet.seen if (one.headers.get('Authorization') or '').startswith('Basic')} == {'auth.docker.io'}
    assert 'offline_token' not in str(internet.asked('auth.docker.io')[-1])  # a refresh token would have to be posted
    assert 'refresh_token' not in held


def test_a_wrong_login_is_told_as_such(passing: Worker) -> None:
    answer = passing.ask('/-/token/docker.io?service=registry.docker.io', Authorization=basic('acme', 'wrong'))
    assert (answer.status, answer.codes()) == (401, ['UNAUTHORIZED'])


def test_a_token_of_another_upstream_by_the_name_that_was_pulled(passing: Worker, internet: Internet) -> None:
    """Docker had its challenge from /v2/, so of the host's own upstream, and asks with the whole name of the image."""
    def quay(request: Request, path: str) -> None:
        if path.startswith('/v2/auth'):
            request.answer(200, b'{"access_token": "of-quay", "expires_in": 300}', {'Content-Type': 'application/json'})
        elif request.headers.get('Authorization') != 'Bearer of-quay':
            request.error(401, 'UNAUTHORIZED', {'WWW-Authenticate': 'Bearer realm="https://quay.io/v2/auth",service="quay.io"'})
        else:
            before(request, path)
    before = internet.hosts['quay.io']
    internet.hosts['quay.io'] = quay
    try:
        login = basic('acme', 'hub-secret')  # which Docker has for the host's name, so for the Hub
        held = token(passing, 'repository:quay.io/team/app:pull', login=login)
        assert held == 'Bearer of-quay'
        assert {one.headers.get('Authorization') for one in internet.asked('quay.io')} == {None}
        assert passing.ask(f'/v2/quay.io/team/app/{LATEST}', Authorization=held).status == 200
        assert 'realm="http://a/-/token/quay.io"' in passing.ask(f'/v2/quay.io/team/app/{LATEST}', host='a').header('WWW-Authenticate')
        assert internet.asked('docker') == []
        internet.seen.clear()
        assert token(passing, 'repository:team/app:pull', path='/-/token/quay.io', login=login) == held
        assert {one.headers.get('Authorization') for one in internet.asked('quay.io')} == {None}
        assert 'repository%3Ateam%2Fapp%3Apull' in str(internet.asked('quay.io', '/v2/auth')[0])
    finally:
        internet.hosts['quay.io'] = before


def test_a_registry_that_wants_no_tokens_is_served_without(passing: Worker) -> None:
    assert passing.ask('/v2/', host='quay.example.com').status == 200
    assert passing.ask(f'/v2/team/app/{LATEST}', host='quay.example.com').status == 200


def test_who_was_challenged_for_another_registry_gets_a_token_that_goes_nowhere(passing: Worker, internet: Internet) -> None:
    answer = passing.ask('/-/token/docker.io?scope=repository:quay.io/team/app:pull', Authorization=basic('acme', 'hub-secret'))
    held = f'Bearer {json.loads(answer.body)["token"]}'
    assert answer.status == 200 and passing.ask(f'/v2/quay.io/team/app/{LATEST}', Authorization=held).status == 200
    assert [one.headers.get('Authorization') for one in internet.seen] == [None] * 3  # the challenge asked for twice, and the manifest


def test_a_registry_that_challenges_for_manifests_alone(passing: Worker, internet: Internet) -> None:
    def late(request: Request, path: str) -> None:
        if path == '/v2/':
            request.answer(200)
        else:
            request.error(401, 'UNAUTHORIZED', {'WWW-Authenticate': 'Bearer service="late", realm="https://auth.docker.io/token"'})
    internet.hosts['bad.example'] = late
    assert passing.ask('/v2/bad.example/').status == 200
    token(passing, 'repository:some/thing:pull', path='/-/token/bad.example')
    assert 'service=late' in str(internet.asked('auth.docker.io')[-1])


def test_the_allowed_repositories_are_those_of_tokens_too(start: Start, internet: Internet) -> None:
    worker = start({'allow': ['docker.io/library/*']})
    answer = worker.ask('/-/token/docker.io?scope=repository:team/app:pull')
    assert (answer.status, answer.codes()) == (403, ['DENIED']) and internet.seen == []
    token(worker, 'repository:busybox:pull')


@pytest.mark.parametrize('challenge, realm, why', [
    ('Bearer realm="http://auth.docker.io/token"', None, 'without TLS'),
    ('Bearer realm="https://127.0.0.1/token"', None, 'does not follow'),
    ('Bearer realm="https://[::1]/token"', None, 'does not follow'),
    ('Bearer realm="https://metadata.google.internal/token"', None, 'does not follow'),
    ('Bearer realm="https://user:pass@auth.docker.io/token"', None, 'does not follow'),
    ('Bearer realm="/token"', None, 'no token server'),
    ('Bearer service="x"', None, 'no token server'),
    ('Negotiate, Bearer realm="https://auth.docker.io/token?a=\\"b",service="x, y=z"', '/token?a=%22b&service=x%2C+y%3Dz', ''),
    ('bearer service=plain,realm="https://auth.docker.io/token"', '/token?service=plain', ''),
    ('Basic realm="x", Bearer realm="https://auth.docker.io/token",service="s"', '/token?service=s', ''),
])  # fmt: skip
def test_challenges_of_all_kinds(passing: Worker, internet: Internet, challenge: str, realm: str | None, why: str) -> None:
    internet.hosts['bad.example'] = lambda request, path: request.error(401, 'UNAUTHORIZED', {'WWW-Authenticate': challenge})
    answer = passing.ask('/-/token/bad.example', host='bad.example.com', Authorization=basic('acme', 'hub-secret'))
    if realm is None:
        assert answer.status == 502 and why in answer.body.decode() and internet.asked('auth') == []
    else:
        assert answer.status == 200 and [one.path for one in internet.asked('auth')] == [realm]


def test_a_token_server_that_redirects_gets_no_login_carried_on(passing: Worker, internet: Internet) -> None:
    def server(request: Request, path: str) -> None:
        if path.startswith('/token'):
            request.redirect('https://auth.docker.io/token')
        else:
            request.error(401, 'UNAUTHORIZED', {'WWW-Authenticate': 'Bearer realm="https://bad.example/token"'})
    internet.hosts['bad.example'] = server
    assert passing.ask('/-/token/bad.example', host='bad.example.com', Authorization=basic('acme', 'hub-secret')).status == 502
    assert internet.asked('auth.docker.io') == []


def test_a_basic_challenge_of_an_upstream_and_the_login_for_it(passing: Worker, internet: Internet) -> None:
    def wants_basic(request: Request, path: str) -> None:
        if request.login() == ('Basic', 'u', 'p'):
            request.answer(200, b'{}', {'Content-Type': 'application/vnd.oci.image.index.v1+json'})
        else:
            request.error(401, 'UNAUTHORIZED', {'WWW-Authenticate': 'Basic realm="Registry"'})
    internet.hosts['bad.example'] = wants_basic
    answer = passing.ask(f'/v2/bad.example/x/{LATEST}')
    assert (answer.status, answer.header('WWW-Authenticate')) == (401, 'Basic realm="Registry"')
    assert passing.ask(f'/v2/x/{LATEST}', host='bad.example.com', Authorization=basic('u', 'p')).status == 200


@pytest.mark.parametrize('path', ['/v2/bad.example/', '/v2/?ns=bad.example', f'/v2/bad.example/x/{LATEST}', f'/v2/x/{LATEST}?ns=bad.example'])
def test_a_login_goes_to_the_upstream_of_the_hosts_name_alone(passing: Worker, internet: Internet, path: str) -> None:
    internet.hosts['bad.example'] = lambda request, path: request.error(401, 'UNAUTHORIZED', {'WWW-Authenticate': 'Basic realm="Registry"'})
    for host in ('docker.example.com', 'name.account.workers.dev'):
        assert passing.ask(path, host=host, Authorization=basic('acme', 'hub-secret')).status == 401
    assert [one.headers.get('Authorization') for one in internet.asked('bad.example')] == [None, None]


# --- fetched by the Worker ----------------------------------------------------------------------------------------


def test_clients_are_not_challenged_and_the_login_is_used(start: Start, internet: Internet) -> None:
    own = start({}, UPSTREAM_LOGINS={'docker.io': {'username': 'acme', 'password': 'hub-secret'}})
    assert own.ask('/v2/').status == 200 and internet.seen == []
    assert own.ask(f'/v2/acme/private/{LATEST}').status == 200
    assert [one.headers.get('Authorization') for one in internet.asked('auth.docker.io')] == [basic('acme', 'hub-secret')]
    assert asked_scopes(internet) == ['repository:acme/private:pull']


def test_a_token_serves_until_it_ends(start: Start, internet: Internet, hub: Hub) -> None:
    own = start({'cache_blobs': False}, CLIENT_LOGINS={'a': 'b'})
    login = basic('a', 'b')
    hub.lifetime = 11  # of which the last ten seconds are not used
    try:
        for dummy in range(3):
            assert own.ask(BUSYBOX, Authorization=login).status == 200
        assert len(internet.asked('auth.docker.io')) == 1
        hub.tokens.clear()  # as a registry that restarts
        assert own.ask(BUSYBOX, Authorization=login).status == 200
        assert len(internet.asked('auth.docker.io')) == 2
        assert own.ask(f'/v2/team/app/{LATEST}', Authorization=login).status == 200
        assert len(internet.asked('auth.docker.io')) == 3
    finally:
        hub.lifetime = 300


def test_what_a_client_brings_is_not_passed_on(own: Worker, internet: Internet) -> None:
    for authorization in (basic('acme', 'hub-secret'), 'Bearer something'):
        assert own.ask(f'/v2/team/app/{LATEST}', Authorization=authorization, Cookie='a=b', X_Forwarded_For='10.1.2.3').status == 200
        assert own.ask('/-/token/docker.io', Authorization=authorization).status == 404
    told = [one.headers for one in internet.asked('registry-1.docker.io')]
    assert not any((one.get('Authorization') or '') in (basic('acme', 'hub-secret'), 'Bearer something') for one in told)
    assert not any(name in one for one in told for name in ('Cookie', 'X-Forwarded-For'))


def test_what_the_upstream_refuses_is_no_challenge(locked: Worker) -> None:
    answer = locked.ask(f'/v2/acme/private/{LATEST}', Authorization=basic('other', 'x'))
    assert (answer.status, answer.codes()) == (403, ['DENIED']) and not answer.header('WWW-Authenticate')


def test_a_login_that_the_upstream_does_not_take_is_told(start: Start) -> None:
    worker = start({}, UPSTREAM_LOGINS={'docker.io': {'username': 'acme', 'password': 'WR0NG'}})
    answer = worker.ask(BUSYBOX)
    assert answer.status == 502 and 'refused the login' in answer.body.decode()
    assert 'WR0NG' not in answer.body.decode() + ''.join(worker.logged)


@pytest.mark.parametrize('login', [True, False])
@pytest.mark.parametrize('status', [401, 403])
def test_a_token_server_that_refuses_a_repository_is_no_fault(start: Start, internet: Internet, login: bool, status: int) -> None:
    before = internet.hosts['auth.docker.io']
    internet.hosts['auth.docker.io'] = lambda request, path: request.error(status, 'DENIED')
    try:
        secrets = {'UPSTREAM_LOGINS': {'docker.io': {'username': 'acme', 'password': 'hub-secret'}}} if login else {'CLIENT_LOGINS': {'a': 'b'}}
        answer = start({}, **secrets).ask(BUSYBOX, **({} if login else {'Authorization': basic('a', 'b')}))
    finally:
        internet.hosts['auth.docker.io'] = before
    if login and status == 401:
        assert answer.status == 502 and 'refused the login' in answer.body.decode()
    else:
        assert (answer.status, answer.codes()) == (403, ['DENIED']) and 'login' not in answer.body.decode()


def test_an_upstream_with_a_basic_challenge_gets_the_login(start: Start, internet: Internet) -> None:
    def wants_basic(request: Request, path: str) -> None:
        if request.login() == ('Basic', 'ü', 'p:w'):
            request.answer(200, b'{}', {'Content-Type': 'application/vnd.oci.image.index.v1+json'})
        else:
            request.error(401, 'UNAUTHORIZED', {'WWW-Authenticate': 'Basic realm="Registry"'})
    internet.hosts['bad.example'] = wants_basic
    assert start({}, UPSTREAM_LOGINS={'bad.example': {'username': 'ü', 'password': 'p:w'}}).ask(f'/v2/bad.example/x/{LATEST}').status == 200


def test_a_login_is_not_given_to_who_the_upstream_redirects_to(start: Start, internet: Internet) -> None:
    internet.hosts['bad.example'] = lambda request, path: request.redirect('https://thief.example/v2/x/manifests/latest')
    internet.hosts['thief.example'] = lambda request, path: request.error(401, 'UNAUTHORIZED', {
        'WWW-Authenticate': 'Basic realm="a", Bearer realm="https://thief.example/token"'})
    answer = start({}, UPSTREAM_LOGINS={'bad.example': {'username': 'u', 'password': 'p'}}).ask(f'/v2/bad.example/x/{LATEST}')
    assert answer.status == 403
    assert [one.headers.get('Authorization') for one in internet.asked('thief.example')] == [None]


SECRET = re.compile(r'hub-secret|aHViLXNlY3JldA|token-[0-9a-f]{16}|verify=signed')


def test_no_secret_is_in_the_log(own: Worker, passing: Worker, locked: Worker) -> None:
    for worker in (own, passing, locked):
        assert not SECRET.search(''.join(worker.logged)), worker.logged
