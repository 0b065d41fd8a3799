# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import itertools
import socket
import subprocess
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _http
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._http import Client, Deadline, FetchError, Limit, TlsContexts, TlsFiles
from ansible_collections.quickpull.registry.plugins.module_utils._no_proxy import ProxyConfig
from ansible_collections.quickpull.registry.tests.unit.plugins.small_registry import Answer, Asked, Handler, Server, make_certificate, relay

SMALL = Limit(1000)
Start = t.Callable[..., Server]


@pytest.fixture
def start() -> t.Iterator[Start]:
    """Start servers that end with the test."""
    started: list[Server] = []

    def begin(handler: Handler | Answer, certificate: str = '') -> Server:
        started.append(Server(handler if callable(handler) else lambda asked: handler, certificate))
        return started[-1]

    yield begin
    for server in started:
        server.close()


@pytest.fixture(scope='module')
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_certificate(tmp_path_factory.mktemp('tls'))


def client(server: Server | str, seconds: float = 3.0, **more: t.Any) -> Client:
    return Client(origin=server if isinstance(server, str) else server.url, deadline=Deadline(seconds), **more)


def failure(server: Server, path: str = '/', limit: Limit = SMALL, **more: t.Any) -> tuple[str, str]:
    """Kind and phase of the error that a GET ends with, which is to come in time."""
    one = client(server, **more)
    with pytest.raises(FetchError) as caught:
        one.request('GET', server.url + path, limit=limit)
    assert one.deadline.remaining() > 0 or caught.value.kind == 'timeout'
    return caught.value.kind, caught.value.phase


def test_a_connection_is_used_again(start: Start) -> None:
    server = start(Answer(200, b'hello', {'X-Y': 'z'}))
    one = client(server)
    for _turn in range(2):
        answer = one.request('GET', server.url + '/a?b=c#d', limit=SMALL)
        assert (answer.status, answer.body, answer.complete, answer.header('x-y')) == (200, b'hello', True, 'z')
        assert 0 < answer.first_byte <= answer.seconds
    assert server.paths() == ['GET /a?b=c', 'GET /a?b=c']
    assert one.sent == 2
    assert server.log[0].header('Host') == f'127.0.0.1:{server.port}'
    assert server.log[0].header('Accept-Encoding') == 'identity'


def test_a_kept_connection_that_was_closed_is_opened_again(start: Start) -> None:
    server = start(Answer(200, b'x', close=True))  # closes without saying so
    one = client(server)
    for _turn in range(3):
        assert one.request('GET', server.url + '/', limit=SMALL).status == 200


@pytest.mark.parametrize(
    'answer, body, complete',
    [
        (Answer(200, b'x' * 1000), 1000, True),
        (Answer(200, b'x' * 1001), 0, False),
        (Answer(raw=[b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', b'3\r\nabc\r\n0\r\n\r\n']), 3, True),
        (Answer(raw=[b'HTTP/1.0 200 OK\r\n\r\n', b'abc']), 3, True),
        (Answer(raw=itertools.chain([b'HTTP/1.1 200 OK\r\n\r\n'], itertools.repeat(b'x' * 5000))), 1000, False),
        (Answer(raw=itertools.chain([b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'], itertools.repeat(b'2\r\nab\r\n'))), 1000, False),
        (Answer(raw=[b'HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n' + b'x' * 1001], hang=True), 0, False),
    ],
)
def test_a_body_is_read_up_to_the_limit(start: Start, answer: Answer, body: int, complete: bool) -> None:
    server = start(answer)
    found = client(server).request('GET', server.url + '/', limit=SMALL)
    assert (len(found.body), found.complete) == (body, complete)


def test_a_sample_ends_after_its_time(start: Start) -> None:
    server = start(Answer(200, b'x' * 1000, trickle=0.01))
    found = client(server).request('GET', server.url + '/', limit=Limit(1000, 0.1, 2))
    assert 2 <= len(found.body) < 100
    assert not found.complete


@pytest.mark.parametrize(
    'answer, kind',
    [
        (Answer(raw=[b'']), 'dropped'),
        (Answer(raw=[b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc']), 'dropped'),
        (Answer(raw=[b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab']), 'dropped'),
        (Answer(raw=[b'\x15\x03\x01\x00\x02\x02\x16']), 'protocol'),
        (Answer(raw=[b'SSH-2.0-OpenSSH_9.2\r\n']), 'protocol'),
        (Answer(raw=[b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n']), 'dropped'),
        (Answer(raw=itertools.chain([b'HTTP/1.1 200 OK\r\n'], itertools.repeat(b'X: ' + b'y' * 100 + b'\r\n'))), 'endless'),
        (Answer(raw=itertools.chain([b'HTTP/1.1 200 OK\r\nX: '], itertools.repeat(b'y' * 1000))), 'endless'),
        (Answer(raw=itertools.chain(itertools.repeat(b'HTTP/1.1 100 Continue\r\n\r\n'))), 'endless'),
        (Answer(302, b'', {'Location': '/again'}), 'loop'),
        (Answer(302, b'', {'Location': 'ftp://127.0.0.1/'}), 'loop'),
        (Answer(302, b'', {'Location': 'http://[bad'}), 'loop'),
        (Answer(302, b'', {'Location': 'http://'}), 'loop'),
    ],
)
def test_what_is_no_answer(start: Start, answer: Answer, kind: str) -> None:
    assert failure(start(answer)) == (kind, 'request')


@pytest.mark.parametrize(
    'answer',
    [
        Answer(raw=[b''], hang=True),
        Answer(raw=[b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'], hang=True),
        Answer(raw=[b'HTTP/1.1 200 OK\r\n' * 100], trickle=0.05),
        Answer(200, b'x' * 100, trickle=0.05),
    ],
)
def test_nobody_is_waited_for_longer_than_the_deadline(start: Start, answer: Answer) -> None:
    server = start(answer)
    begun = time.monotonic()
    assert failure(server, seconds=0.3) == ('timeout', 'request')
    assert 0.25 < time.monotonic() - begun < 0.8


def test_a_silent_name_server_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, 'getaddrinfo', lambda *args, **kwargs: release.wait(10))
    begun = time.monotonic()
    with pytest.raises(FetchError) as caught:
        client('http://slow.test', 0.3).request('GET', 'http://slow.test/', limit=SMALL)
    release.set()
    assert (caught.value.kind, caught.value.phase) == ('timeout', 'resolve')
    assert time.monotonic() - begun < 0.8


def test_names_and_ports_where_nobody_is() -> None:
    with socket.create_server(('127.0.0.1', 0)) as gone:
        port = gone.getsockname()[1]
    for url, expected in (('http://no-such-name.invalid/', ('resolve', 'resolve')), (f'http://127.0.0.1:{port}/', ('connect', 'connect'))):
        with pytest.raises(FetchError) as caught:
            client(url).request('GET', url, limit=SMALL)
        assert (caught.value.kind, caught.value.phase) == expected


def test_the_next_address_is_tried_while_the_first_is_silent(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start(Answer(200))
    # TEST-NET-1 (RFC 5737): nobody answers there, or the kernel has no route; either way the second address has to win.
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (address, server.port)) for address in ('192.0.2.1', '127.0.0.1')]
    monkeypatch.setattr(socket, 'getaddrinfo', lambda *args, **kwargs: found)
    url = f'http://two.test:{server.port}'
    begun = time.monotonic()
    assert client(url).request('GET', url + '/', limit=SMALL).status == 200
    assert time.monotonic() - begun < 1


def test_families_take_turns() -> None:
    mixed = _http._families_in_turn([(6, 'a'), (6, 'b'), (6, 'c'), (4, 'd')])
    assert [address for _family, address in mixed] == ['a', 'd', 'b', 'c']


def test_the_budget_is_kept(start: Start) -> None:
    server = start(lambda asked: Answer(302, b'', {'Location': '/b'}) if asked.path == '/a' else Answer(200))
    one = client(server, budget=3)
    one.request('GET', server.url + '/a', limit=SMALL)
    assert (one.sent, one.budget) == (2, 1)
    with pytest.raises(FetchError) as caught:
        one.request('GET', server.url + '/a', limit=SMALL)
    assert caught.value.kind == 'budget'
    assert len(server.log) == 3


def test_secrets_stay_with_whom_they_are_for(start: Start) -> None:
    """Headers of a mirror and tokens are not carried to another host by a redirect, nor sent anywhere but to the origin."""
    other = start(Answer(200))
    mirror = start(lambda asked: Answer(302, b'', {'Location': f'http://u:p@127.0.0.1:{other.port}/x'}) if asked.path == '/out' else Answer(200))
    one = client(mirror, headers={'X-Key': 'secret'})
    for path in ('/in', '/out'):
        one.request('GET', mirror.url + path, limit=SMALL, authorization='Bearer token')
    one.request('GET', other.url + '/token', limit=SMALL)
    assert [(asked.header('X-Key'), asked.header('Authorization')) for asked in mirror.log] == [('secret', 'Bearer token')] * 2
    assert [(asked.header('X-Key'), asked.header('Authorization')) for asked in other.log] == [('', '')] * 2
    assert one.sent == 2


@pytest.mark.parametrize(
    'origin, url, same',
    [
        ('http://m', 'http://m:80/x', True),
        ('http://m', 'https://M/x', True),
        ('https://m', 'http://m/x', False),
        ('http://m:5000', 'https://m/x', False),
        ('http://m', 'https://m:5000/x', False),
        ('http://m', 'https://n/x', False),
    ],
)
def test_only_its_own_https_is_the_same_server(origin: str, url: str, same: bool) -> None:
    assert client(origin).is_origin(url) is same


def test_the_environment_is_ignored(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('http_proxy', 'HTTP_PROXY', 'ALL_PROXY'):
        monkeypatch.setenv(name, 'http://127.0.0.1:1')
    server = start(Answer(200))
    assert client(server).request('GET', server.url + '/', limit=SMALL).status == 200


# TLS


def test_certificates(start: Start, certificate: str) -> None:
    server = start(Answer(200, b'x' * 40000), certificate)
    assert failure(server) == ('tls', 'tls')
    for files in (TlsFiles((certificate,)), TlsFiles(insecure=True)):
        answer = client(server, tls=files).request('GET', server.url + '/', limit=Limit(40000))
        assert (len(answer.body), answer.complete) == (40000, True)


def test_a_certificate_for_another_name(start: Start, certificate: str) -> None:
    server = start(Answer(200), certificate)
    # The common name says localhost, but only subjectAltName counts, as in Go.
    url = f'https://localhost:{server.port}'
    with pytest.raises(FetchError, match='not accepted') as caught:
        client(url, tls=TlsFiles((certificate,))).request('GET', url + '/', limit=SMALL)
    assert caught.value.kind == 'tls'


def test_tls_where_there_is_none() -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:

        def refuse() -> None:
            connection, _address = listener.accept()
            with connection:
                connection.recv(10000)
                connection.sendall(b'HTTP/1.0 400 Bad Request\r\n\r\n')

        threading.Thread(target=refuse, daemon=True).start()
        url = f'https://127.0.0.1:{listener.getsockname()[1]}'
        with pytest.raises(FetchError, match='does not speak TLS') as caught:
            client(url).request('GET', url, limit=SMALL)
    assert (caught.value.kind, caught.value.phase) == ('tls', 'tls')


def test_plain_http_where_there_is_tls(start: Start, certificate: str) -> None:
    url = start(Answer(200), certificate).url.replace('https:', 'http:')
    with pytest.raises(FetchError) as caught:
        client(url).request('GET', url, limit=SMALL)
    assert caught.value.kind in ('dropped', 'protocol')


def test_a_handshake_that_hangs() -> None:
    with socket.create_server(('127.0.0.1', 0)) as silent:
        url = f'https://127.0.0.1:{silent.getsockname()[1]}'
        with pytest.raises(FetchError) as caught:
            client(url, 0.3).request('GET', url, limit=SMALL)
    assert (caught.value.kind, caught.value.phase) == ('timeout', 'tls')


@pytest.mark.parametrize(
    'files, word',
    [
        (TlsFiles(('/no/such.pem',)), 'ca_path: /no/such.pem'),
        (TlsFiles((__file__,)), 'ca_path'),
        (TlsFiles(client_cert='/no/such.pem'), 'client_cert: /no/such.pem'),
    ],
)
def test_files_that_cannot_be_used(files: TlsFiles, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        TlsContexts().get(files)


def test_a_key_with_a_passphrase_does_not_ask_on_the_terminal(certificate: str, tmp_path: Path) -> None:
    locked = tmp_path / 'locked.pem'
    subprocess.run(['openssl', 'ec', '-aes128', '-passout', 'pass:x', '-in', certificate, '-out', str(locked)], check=True, capture_output=True)
    with pytest.raises(ConfigError, match='passphrase'):
        TlsContexts().get(TlsFiles(client_cert=certificate, client_key=str(locked)))


# Proxies


def through(proxy: Server | str, url: str, **more: t.Any) -> Client:
    where = proxy if isinstance(proxy, str) else proxy.url.replace('http://', 'http://us%40er:pa%3Ass@')
    return client(url, proxies=ProxyConfig(where, where), **more)


def test_plain_http_through_a_proxy(start: Start) -> None:
    proxy = start(Answer(200, b'ok'))
    one = through(proxy, 'http://mirror.test')
    for _turn in range(2):
        assert one.request('GET', 'http://mirror.test/v2/?a=b', limit=SMALL).body == b'ok'
    assert proxy.paths() == ['GET http://mirror.test/v2/?a=b'] * 2
    assert {asked.header('Proxy-Authorization') for asked in proxy.log} == {'Basic dXNAZXI6cGE6c3M='}
    assert proxy.log[0].header('Host') == 'mirror.test'


def test_tls_through_a_proxy(start: Start, certificate: str) -> None:
    mirror = start(Answer(200, b'ok'), certificate)
    proxy = start(Answer(200))
    url = f'https://mirror.test:{mirror.port}'
    assert through(proxy, url, tls=TlsFiles((certificate,))).request('GET', url + '/', limit=SMALL).body == b'ok'
    assert proxy.paths() == [f'CONNECT mirror.test:{mirror.port}']
    assert proxy.log[0].header('Proxy-Authorization') == 'Basic dXNAZXI6cGE6c3M='
    assert mirror.log[0].header('Proxy-Authorization') == ''


def test_tls_through_a_proxy_that_speaks_tls_itself(start: Start, certificate: str) -> None:
    mirror = start(Answer(200, b'ok'), certificate)
    proxy = start(Answer(200), certificate)
    url = f'https://mirror.test:{mirror.port}'
    with pytest.raises(FetchError, match='certificate') as caught:
        through(proxy.url, url).request('GET', url + '/', limit=SMALL)
    assert caught.value.kind == 'proxy'
    one = through(proxy.url, url, tls=TlsFiles((certificate,)))
    assert one.request('GET', url + '/', limit=SMALL).body == b'ok'


@pytest.mark.parametrize(
    'answer, word',
    [
        (Answer(407), 'user and password'),
        (Answer(403), '403'),
        (Answer(503, b'', {'X-Squid-Error': 'ERR_DNS_FAIL 0'}), '503'),
    ],
)
@pytest.mark.parametrize('scheme', ['http', 'https'])
def test_a_proxy_that_does_not_get_there(start: Start, answer: Answer, word: str, scheme: str) -> None:
    if scheme == 'http' and answer.status == 403:
        answer = Answer(403, b'', {'X-Squid-Error': 'ERR_ACCESS_DENIED 0'})  # without it this is the mirror's own 403
    with pytest.raises(FetchError, match=word) as caught:
        through(start(answer), f'{scheme}://mirror.test').request('GET', f'{scheme}://mirror.test/', limit=SMALL)
    assert caught.value.kind == 'proxy'
    assert 'pa:ss' not in str(caught.value)


def test_a_proxy_that_is_not_there() -> None:
    with socket.create_server(('127.0.0.1', 0)) as gone:
        port = gone.getsockname()[1]
    for proxy, kind in ((f'http://127.0.0.1:{port}', 'proxy'), ('http://no-such-proxy.invalid', 'resolve')):
        with pytest.raises(FetchError, match='the proxy') as caught:
            through(proxy, 'http://mirror.test').request('GET', 'http://mirror.test/', limit=SMALL)
        assert caught.value.kind == kind


def test_no_proxy_counts_for_a_redirect_too(start: Start) -> None:
    elsewhere = start(Answer(200, b'direct'))
    proxy = start(Answer(302, b'', {'Location': f'{elsewhere.url}/x'}))
    assert through(proxy, 'http://mirror.test').request('GET', 'http://mirror.test/', limit=SMALL).body == b'direct'
    assert elsewhere.paths() == ['GET /x']


class Socks:
    """A SOCKS 5 proxy for one connection; *login* is what it wants, *code* what it answers to CONNECT."""

    def __init__(self, target: int, login: bytes = b'', code: int = 0) -> None:
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.url = f'socks5://user:word@127.0.0.1:{self.listener.getsockname()[1]}'
        self.asked = b''
        self.target, self.login, self.code = target, login, code
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        connection, _address = self.listener.accept()
        with connection, self.listener:
            connection.recv(100)
            connection.sendall(b'\x05\x02' if self.login else b'\x05\x00')
            if self.login:
                accepted = connection.recv(100) == self.login
                connection.sendall(b'\x01\x00' if accepted else b'\x01\x01')
                if not accepted:
                    return
            self.asked = connection.recv(100)
            connection.sendall(b'\x05' + bytes([self.code]) + b'\x00\x01' + b'\0' * 6)
            if not self.code:
                with socket.create_connection(('127.0.0.1', self.target)) as onward:
                    relay(connection, onward)


@pytest.mark.parametrize('login', [b'', b'\x01\x04user\x04word'])
def test_socks(start: Start, login: bytes) -> None:
    mirror = start(Answer(200, b'ok'))
    proxy = Socks(mirror.port, login)
    assert through(proxy.url, 'http://mirror.test:81').request('GET', 'http://mirror.test:81/', limit=SMALL).body == b'ok'
    assert proxy.asked == b'\x05\x01\x00\x03\x0bmirror.test\x00\x51'
    assert mirror.paths() == ['GET /']


@pytest.mark.parametrize('login, code, word', [(b'\x01\x04user\x05other', 0, 'refuses'), (b'', 5, 'SOCKS error 5')])
def test_socks_that_refuses(login: bytes, code: int, word: str) -> None:
    proxy = Socks(1, login, code)
    with pytest.raises(FetchError, match=word) as caught:
        through(proxy.url, 'http://mirror.test').request('GET', 'http://mirror.test/', limit=SMALL)
    assert caught.value.kind == 'proxy'


def test_asked_tells_headers_in_any_case() -> None:
    assert Asked('GET', '/', {'x-y': 'z'}).header('X-Y') == 'z'
