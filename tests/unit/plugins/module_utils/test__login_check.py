# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import threading
import typing as t
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _login_check as login_check
from ansible_collections.quickpull.registry.plugins.module_utils._auth_file import Secret, parse_registry
from ansible_collections.quickpull.registry.plugins.module_utils._login_check import REFUSED, UNPROVED, UNREACHABLE, VERIFIED, Question, Settings, Verdict
from ansible_collections.quickpull.registry.tests.unit.plugins.small_registry import Answer, Asked, Handler, Server, make_certificate

ACME = Secret('acme', 'right')
BASIC = 'Basic ' + base64.b64encode(b'acme:right').decode()
TOKEN = Secret(identity_token='refresh-me')


@pytest.fixture
def start() -> t.Iterator[t.Callable[[Handler], Server]]:
    """Start servers that end with the test."""
    servers: list[Server] = []

    def begin(handler: Handler) -> Server:
        servers.append(Server(handler))
        return servers[-1]

    yield begin
    for server in servers:
        server.close()


Start = t.Callable[[Handler], Server]


def ask(server: Server, secret: Secret = ACME, *, offline: bool = False, deadline: float = 5) -> Verdict:
    return login_check.check(Question(parse_registry(server.url), secret, offline=offline), Settings(deadline=deadline))


def jwt(subject: str | None) -> str:
    def part(value: t.Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip('=')

    return f'{part({"alg": "none"})}.{part({} if subject is None else {"sub": subject})}.c2ln'


class TokenServer:
    """A registry with a token server of its own. ``give``: what it gives to (authorization header), None for nothing."""

    def __init__(self, start: Start, give: t.Callable[[str], str | None], **more: t.Any) -> None:
        self.give = give
        self.more = more
        self.forms: list[dict[str, list[str]]] = []
        self.server = start(self.handle)

    def handle(self, asked: Asked) -> Answer:
        if not asked.path.startswith('/token'):
            if asked.header('Authorization').startswith('Bearer '):
                return Answer(self.more.get('registry', 200), b'{}')
            realm = self.more.get('realm') or f'{self.server.url}/token'
            return Answer(401, b'', {'WWW-Authenticate': f'Bearer realm="{realm}",service="s"'})
        if asked.method == 'POST':
            self.forms.append(parse_qs(asked.body.decode()))
            token = self.give(self.forms[-1].get('refresh_token', [''])[0])
        else:
            token = self.give(asked.header('Authorization'))
        if token is None:
            return Answer(self.more.get('no', 401), self.more.get('error', b''))
        said = {'access_token' if asked.method == 'POST' else 'token': token}
        if 'offline_token=true' in asked.path:
            said['refresh_token'] = 'for-later'
        return Answer(200, json.dumps(said).encode())


def test_basic(start: Start) -> None:
    server = start(lambda asked: Answer(200 if asked.header('Authorization') == BASIC else 401, b'{}', {'WWW-Authenticate': 'Basic realm="x"'}))
    assert ask(server).outcome == VERIFIED and ask(server).by_basic
    refused = ask(server, Secret('acme', 'wrong\n'))
    assert refused.outcome == REFUSED
    assert 'acme' in refused.reason
    assert 'line break' in refused.reason
    assert 'wrong' not in refused.reason
    assert ask(server, TOKEN).outcome == REFUSED


@pytest.mark.parametrize(
    'give, outcome',
    [
        pytest.param(lambda who: jwt('acme') if who == BASIC else None, VERIFIED, id='tells whom it is for'),
        pytest.param(lambda who: jwt('acme' if who == BASIC else ''), VERIFIED, id='strangers get one for nobody'),
        pytest.param(lambda who: jwt(''), UNPROVED, id='a token for nobody'),
        pytest.param(lambda who: jwt('(anonymous)'), UNPROVED, id='a token for the same one, whoever asks'),
        pytest.param(lambda who: 'opaque' if who == BASIC else None, VERIFIED, id='opaque, strangers get none'),
        pytest.param(lambda who: 'same', UNPROVED, id='opaque, the same for anybody'),
        pytest.param(lambda who: f'token{len(who)}', UNPROVED, id='opaque, another each time, for anybody'),
        pytest.param(lambda who: 'opaque' if who == BASIC else 'anonymous' if not who else None, VERIFIED, id='opaque, strangers get another, liars none'),
        pytest.param(lambda who: jwt(None) if who == BASIC else None, VERIFIED, id='a token that does not say whom it is for'),
        pytest.param(lambda who: None, REFUSED, id='none'),
        pytest.param(lambda who: '', UNREACHABLE, id='an empty token'),
    ],
)
def test_what_a_token_proves(start: Start, give: t.Callable[[str], str | None], outcome: str) -> None:
    assert ask(TokenServer(start, give).server).outcome == outcome


@pytest.mark.parametrize(
    'more, outcome',
    [
        ({'no': 403}, REFUSED),
        ({'no': 400}, REFUSED),
        ({'no': 429}, UNREACHABLE),
        ({'no': 503}, UNREACHABLE),
        ({'no': 404}, UNREACHABLE),
        ({'realm': 'http://127.0.0.1:1/token'}, UNREACHABLE),
        ({'realm': 'ftp://x/token'}, UNREACHABLE),
    ],
)
def test_what_a_token_server_may_answer(start: Start, more: dict[str, t.Any], outcome: str) -> None:
    assert ask(TokenServer(start, lambda who: None, **more).server).outcome == outcome


def test_a_token_that_the_registry_does_not_take(start: Start) -> None:
    assert ask(TokenServer(start, lambda who: 'x' if who else None, registry=401).server).outcome == REFUSED


def test_the_identity_token_that_comes_with_it(start: Start) -> None:
    tokens = TokenServer(start, lambda who: jwt('acme') if who in (BASIC, 'for-later') else None)
    assert ask(tokens.server, offline=True).identity_token == 'for-later'
    assert ask(TokenServer(start, lambda who: jwt('acme') if who == BASIC else None).server, offline=True).identity_token == '', 'one that is no good'
    assert ask(tokens.server).identity_token == ''
    query = parse_qs(urlsplit(next(asked.path for asked in tokens.server.log if asked.path.startswith('/token'))).query)
    assert query == {'service': ['s'], 'account': ['acme'], 'client_id': ['quickpull.registry'], 'offline_token': ['true']}


def test_identity_tokens(start: Start) -> None:
    tokens = TokenServer(start, lambda token: 'access' if token == 'refresh-me' else None)
    assert ask(tokens.server, TOKEN).outcome == VERIFIED
    assert tokens.forms == [{'grant_type': ['refresh_token'], 'client_id': ['quickpull.registry'], 'refresh_token': ['refresh-me'], 'service': ['s']}]
    assert ask(tokens.server, Secret(identity_token='other')).outcome == REFUSED
    assert ask(TokenServer(start, lambda token: None, no=405).server, TOKEN).outcome == REFUSED


@pytest.mark.parametrize('status', [400, 404, 405, 302])
@pytest.mark.parametrize('scheme', ['Basic realm="x"', 'Bearer'])
def test_an_answer_to_the_login_that_proves_nothing(start: Start, status: int, scheme: str) -> None:
    """Amazon's registry says 400 to a token of another region (aws-cli#5317)."""

    def handle(asked: Asked) -> Answer:
        if asked.path.startswith('/token'):
            return Answer(200 if asked.header('Authorization') == BASIC else 401, json.dumps({'token': jwt('acme')}).encode())
        challenge = scheme if 'Basic' in scheme else f'Bearer realm="{server.url}/token"'
        return Answer(status if asked.header('Authorization') else 401, b'', {'WWW-Authenticate': challenge})

    server = start(handle)
    assert ask(server).outcome == (REFUSED if status == 400 else UNREACHABLE)


@pytest.mark.parametrize(
    'error, outcome',
    [
        (b'{"error": "invalid_grant"}', REFUSED),
        (b'{"error": "invalid_scope"}', UNPROVED),
        (b'{"error": "invalid_request"}', UNPROVED),
        (b'{"errors": [{"code": "UNAUTHORIZED"}]}', REFUSED),
        (b'["invalid_scope"]', REFUSED),
    ],
)
def test_a_token_server_that_dislikes_the_question(start: Start, error: bytes, outcome: str) -> None:
    assert ask(TokenServer(start, lambda who: None, no=400, error=error).server, TOKEN).outcome == outcome


def test_an_identity_token_that_anybody_could_make_up(start: Start) -> None:
    assert ask(TokenServer(start, lambda token: jwt('')).server, TOKEN).outcome == UNPROVED
    assert ask(TokenServer(start, lambda token: 'x' + token[:3] if token else 'none').server, TOKEN).outcome == UNPROVED


@pytest.mark.parametrize('status', [401, 403])
def test_a_login_that_may_not_see_what_it_is_tried_on(start: Start, status: int) -> None:
    def handle(asked: Asked) -> Answer:
        if asked.path == '/v2/':
            return Answer(200, b'{}')
        challenge = 'Basic realm="x"' + (', Bearer error="insufficient_scope"' if asked.header('Authorization') else '')
        return Answer(status if asked.header('Authorization') else 401, b'', {'WWW-Authenticate': challenge})

    assert ask(start(handle)).outcome in (UNPROVED, UNREACHABLE)


def test_a_registry_that_lets_anybody_in(start: Start) -> None:
    assert ask(start(lambda asked: Answer(200, b'{}'))).outcome == UNPROVED
    strict = start(lambda asked: Answer(401 if asked.header('Authorization') not in ('', BASIC) else 200, b'{}'))
    assert ask(strict, Secret('acme', 'wrong')).outcome == REFUSED
    assert ask(strict).outcome == UNPROVED


def test_a_registry_that_asks_at_the_manifest(start: Start) -> None:
    def handle(asked: Asked) -> Answer:
        if asked.path == '/v2/':
            return Answer(200, b'{}')
        return Answer(404 if asked.header('Authorization') == BASIC else 401, b'', {'WWW-Authenticate': 'Basic realm="x"'})

    assert ask(start(handle)).outcome == VERIFIED
    assert ask(start(handle), Secret('acme', 'wrong')).outcome == REFUSED


@pytest.mark.parametrize('status', [404, 403, 429, 500, 503])
def test_what_is_no_answer_to_a_login(start: Start, status: int) -> None:
    assert ask(start(lambda asked: Answer(status))).outcome == UNREACHABLE


def test_nobody_there_and_nobody_answering(start: Start) -> None:
    gone = Question(parse_registry('http://127.0.0.1:9'), ACME)
    assert login_check.check(gone, Settings(deadline=5)).outcome == UNREACHABLE
    assert ask(start(lambda asked: Answer(200, hang=True, raw=[b''])), deadline=0.5).outcome == UNREACHABLE


def told_over_https(port: int, **settings: t.Any) -> str:
    """What is told when a registry is asked over https that proves nothing."""
    address = f'127.0.0.1:{port}'
    verdict = login_check.check(Question(parse_registry(address), ACME), Settings(deadline=5, **settings))
    assert verdict.outcome == UNREACHABLE
    return login_check.advise(verdict, 'always').replace(address, 'HOST')


@pytest.fixture
def no_tls() -> t.Iterator[int]:
    """The port of a server that answers a TLS handshake as web servers without TLS do."""
    with socket.create_server(('127.0.0.1', 0)) as listener:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection = listener.accept()[0]
                    connection.recv(4096)
                    connection.sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n')
                    connection.close()

        threading.Thread(target=answer, daemon=True).start()
        yield listener.getsockname()[1]


def test_ways_out_where_tls_fails(no_tls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_check, '_LOOPBACK', re.compile('^$'))
    assert 'write http:// before its name, as in registry: http://HOST.' in told_over_https(no_tls)
    realm = f'https://127.0.0.1:{no_tls}/token'
    server = Server(lambda asked: Answer(401, b'', {'WWW-Authenticate': f'Bearer realm="{realm}"'}), make_certificate(tmp_path))
    try:
        told = told_over_https(server.port)
        for text in ('/etc/docker/certs.d/HOST/ca.crt on the host', 'ca_path (registry_access_probe_ca_path in the role)', 'insecure: true for this item'):
            assert text in told
        assert 'http://' not in told
        told = told_over_https(server.port, ca_paths=(str(tmp_path / 'cert.pem'),))
        assert 'does not speak TLS' in told
        assert 'http://' not in told, 'it is the token server that has none'
    finally:
        server.close()


def test_what_the_role_calls_it_is_told() -> None:
    told = login_check.advise(Verdict(UNPROVED, 'Because.'), 'always')
    assert told.startswith('Because. Nothing was written. With verify: when_reachable (registry_access_auth_verify in the role) it is written with a warning')


@pytest.mark.parametrize('scheme', ['Negotiate', 'Digest realm="x"', ''])
def test_a_challenge_that_clients_do_not_know(start: Start, scheme: str) -> None:
    assert ask(start(lambda asked: Answer(401, b'', {'WWW-Authenticate': scheme} if scheme else {}))).outcome == UNPROVED


def test_a_redirect_does_not_carry_the_password_away(start: Start) -> None:
    thief = start(lambda asked: Answer(200, b'{"token": "x"}'))
    ask(TokenServer(start, lambda who: None, realm=f'{thief.url}/token').server)
    taken = [asked for asked in thief.log if asked.header('Authorization')]
    assert taken, 'a realm elsewhere is how token servers are named'
    thief.log.clear()
    bounced = start(
        lambda asked: Answer(307, b'', {'Location': f'{thief.url}/v2/'}) if asked.header('Authorization') else Answer(401, b'', {'WWW-Authenticate': 'Basic'})
    )
    ask(bounced)
    assert thief.log
    assert not any(asked.header('Authorization') for asked in thief.log)
    refresh = TokenServer(start, lambda who: None)
    refresh.handle = lambda asked: (  # type: ignore[method-assign]
        Answer(307, b'', {'Location': f'{thief.url}/token'})
        if asked.method == 'POST'
        else Answer(401, b'', {'WWW-Authenticate': f'Bearer realm="{moved.url}/token"'})
    )
    moved = start(refresh.handle)
    thief.log.clear()
    assert ask(moved, TOKEN).outcome != VERIFIED
    assert not thief.log


def test_all_are_asked_in_order(start: Start) -> None:
    server = start(lambda asked: Answer(200 if asked.header('Authorization') == BASIC else 401, b'{}', {'WWW-Authenticate': 'Basic realm="x"'}))
    registry = parse_registry(server.url)
    questions = [Question(registry, Secret('acme', word)) for word in ('right', 'wrong', 'right')]
    assert [verdict.outcome for verdict in login_check.check_all(questions, Settings())] == [VERIFIED, REFUSED, VERIFIED]
    assert login_check.check_all([], Settings()) == []


@pytest.mark.parametrize(
    'outcome, policy, stops',
    [
        (VERIFIED, 'always', False),
        (REFUSED, 'always', True),
        (REFUSED, 'when_reachable', True),
        (UNREACHABLE, 'always', True),
        (UNREACHABLE, 'when_reachable', False),
        (UNPROVED, 'always', True),
        (UNPROVED, 'when_reachable', False),
    ],
)
def test_what_stops_a_login(outcome: str, policy: str, stops: bool) -> None:
    assert bool(login_check.advise(Verdict(outcome, 'Because.'), policy)) is stops


@pytest.mark.parametrize(
    'headers, expected',
    [
        ({'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '76;w=21600', 'docker-ratelimit-source': '192.0.2.7'}, (100, 76, 21600, '192.0.2.7')),
        ({'ratelimit-limit': '200', 'ratelimit-remaining': '0'}, (200, 0, 0, '')),
        ({'ratelimit-limit': 'many', 'ratelimit-remaining': '1'}, None),
        ({}, None),
    ],
)
def test_rate_limits(start: Start, headers: dict[str, str], expected: t.Any) -> None:
    server = start(lambda asked: Answer(200, b'', headers))
    answer = login_check.Client(server.url, login_check.Deadline(5)).request('HEAD', server.url, limit=login_check.Limit(0))
    found = login_check.parse_rate_limit(answer)
    assert (found and (found.limit, found.remaining, found.window_seconds, found.source)) == expected
