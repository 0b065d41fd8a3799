# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import itertools
import re
import socket
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _probe_visit
from ansible_collections.quickpull.registry.plugins.module_utils._http import Deadline, TlsContexts
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror
from ansible_collections.quickpull.registry.plugins.module_utils._no_proxy import ProxyConfig
from ansible_collections.quickpull.registry.plugins.module_utils._probe_verdict import STATES, STEPS, Finding
from ansible_collections.quickpull.registry.plugins.module_utils._probe_visit import Settings, Visit
from ansible_collections.quickpull.registry.plugins.module_utils._registry import Platform, parse_image
from ansible_collections.quickpull.registry.tests.unit.plugins.small_registry import Answer, Asked, Content, Handler, Server, layer, make_certificate, sha256

GOOD = Content((layer(40_000), layer(300, 1)))
BIG = Content((layer(1_500_000), layer(50_000, 1), layer(90, 2)))
FLAT = Content((layer(300),), indexed=False)
DATED = Content((layer(300, 5),), created='2020-01-01T00:00:00Z')
PLATFORM = Platform('linux', 'amd64')
IMAGE = parse_image('nginx', 'docker.io')
SETTINGS = Settings((IMAGE,), PLATFORM)


@pytest.fixture
def start() -> t.Iterator[t.Callable[[Handler], Server]]:
    """Start servers that end with the test."""
    started: list[Server] = []

    def begin(handler: Handler) -> Server:
        started.append(Server(handler))
        return started[-1]

    yield begin
    for server in started:
        server.close()


Start = t.Callable[[Handler], Server]
Rule = t.Tuple[str, t.Union[Answer, t.Callable[[Asked, Content], Answer]]]


def except_for(*rules: Rule, content: Content = GOOD) -> Handler:
    """A good registry, but for requests whose `METHOD /path` a rule's pattern matches."""

    def handler(asked: Asked) -> Answer:
        for pattern, answer in rules:
            if re.search(pattern, f'{asked.method} {asked.path}'):
                return answer if isinstance(answer, Answer) else answer(asked, content)
        return content.serve(asked)

    return handler


def visit(url: str, settings: Settings = SETTINGS, seconds: float = 5.0, **mirror: t.Any) -> Finding:
    finding = Finding(url)
    Visit(Mirror(url=url, **mirror), settings, Deadline(seconds), TlsContexts(), finding).run()
    assert finding.state in STATES
    assert (finding.state == 'ok') is (finding.failed_at == '')
    assert finding.failed_at in ('', *STEPS)
    assert re.match(r'^[A-Z].*\.$', finding.reason)
    return finding


def config(content: Content) -> str:
    return f'/blobs/{sha256(content.config)}'


@pytest.mark.parametrize('content, requests, throughput', [(GOOD, 6, True), (BIG, 7, True), (FLAT, 5, False)])
def test_a_good_mirror(start: Start, content: Content, requests: int, throughput: bool) -> None:
    server = start(content.serve)
    found = visit(server.url)
    assert (found.state, found.notes, found.requests) == ('ok', [], requests)
    assert len(server.log) == requests
    assert found.images == {'nginx': {'digest': content.digest, 'platform_digest': sha256(content.manifest), 'created': content.created}}
    assert min(found.latencies) > 0
    assert (found.throughput is not None) is throughput
    assert all(not asked.header('Authorization') for asked in server.log)


def test_a_project_stands_before_the_names_of_its_images(start: Start) -> None:
    asked_for: list[str] = []

    def project(asked: Asked) -> Answer:
        asked_for.append(asked.path)
        return GOOD.serve(dataclasses.replace(asked, path=asked.path.replace('/v2/hub/', '/v2/', 1)))

    assert visit(start(project).url + '/v2/hub').state == 'ok'
    assert all(path == '/v2/' or path.startswith('/v2/hub/') for path in asked_for)


@pytest.mark.parametrize('url', ['', '/'])
def test_a_path_stands_in_front(start: Start, url: str) -> None:
    def below(asked: Asked) -> Answer:
        assert asked.path.startswith('/hub/v2/')
        return GOOD.serve(dataclasses.replace(asked, path=asked.path[4:]))

    assert visit(start(below).url + '/hub' + url).state == 'ok'


@pytest.mark.parametrize('depth, last', [('ping', '/v2/'), ('digest', 'manifests/latest'), ('manifest', sha256(GOOD.manifest)), ('config', config(GOOD))])
def test_depth(start: Start, depth: str, last: str) -> None:
    server = start(GOOD.serve)
    found = visit(server.url, dataclasses.replace(SETTINGS, depth=depth))
    assert found.state == 'ok'
    assert found.latencies
    assert server.log[-1].path.endswith(last)
    assert found.throughput is None


def test_a_mirror_that_wants_user_and_password_is_not_well_where_no_image_is_asked_for(start: Start) -> None:
    for challenge, state in (('Basic realm="x"', 'auth_failed'), ('Bearer realm="https://a.lan/token"', 'ok'), ('', 'auth_failed')):
        server = start(except_for(('', Answer(401, b'{}', {'WWW-Authenticate': challenge} if challenge else {}))))
        assert visit(server.url, dataclasses.replace(SETTINGS, depth='ping')).state == state, challenge
    # One that asks at /v2/ alone serves all the same.
    server = start(except_for((r'/v2/$', Answer(401, b'{}', {'WWW-Authenticate': 'Basic realm="x"'}))))
    assert visit(server.url, SETTINGS).state == 'ok'


def wrong(asked: Asked, content: Content) -> Answer:
    """Other bytes, as many, under the same headers."""
    good = content.serve(asked)
    return dataclasses.replace(good, body=bytes(byte ^ 0x20 for byte in good.body))


def liar(asked: Asked, content: Content) -> Answer:
    return Answer(200, DATED.index, {**content.serve(asked).headers, 'Content-Length': str(len(DATED.index))})


ENDLESS = itertools.repeat(b'x' * 65536)
HTML = Answer(200, b'<!DOCTYPE html><html>hello</html>', {'Content-Type': 'text/html; charset=utf-8'})
BIGGEST = sha256(BIG.layers[0])

# Rules, content, state, failed_at
BAD_DATA: list[tuple[list[Rule], Content, str, str]] = [
    ([('', Answer(500))], GOOD, 'server_error', 'ping'),
    ([('', Answer(503))], GOOD, 'server_error', 'ping'),
    ([('', HTML)], GOOD, 'not_a_registry', 'ping'),
    ([('', Answer(404, HTML.body, HTML.headers))], GOOD, 'not_a_registry', 'ping'),
    ([('', Answer(404))], GOOD, 'not_a_registry', 'ping'),
    ([('', Answer(400))], GOOD, 'not_a_registry', 'ping'),
    ([('', Answer(204, b'', {'Location': '/'}))], GOOD, 'not_a_registry', 'manifest'),
    ([('', Answer(403))], GOOD, 'denied', 'ping'),
    ([('', Answer(403, HTML.body * 5000, HTML.headers))], GOOD, 'denied', 'ping'),
    ([('', Answer(401))], GOOD, 'auth_failed', 'ping'),
    ([('', Answer(429))], GOOD, 'rate_limited', 'ping'),
    ([('', Answer(429, b'', {'Retry-After': '60'}))], GOOD, 'rate_limited', 'ping'),
    ([('', Answer(429, b'', {'Retry-After': '0'}))], GOOD, 'rate_limited', 'ping'),
    ([('', Answer(302, b'', {'Location': '/v2/'}))], GOOD, 'not_a_registry', 'ping'),
    ([('', Answer(raw=itertools.chain([b'HTTP/1.1 200 OK\r\n\r\n'], ENDLESS)))], GOOD, 'not_a_registry', 'ping'),
    ([('', Answer(raw=itertools.chain([b'HTTP/1.1 200 OK\r\nX: '], ENDLESS)))], GOOD, 'not_a_registry', 'ping'),
    ([('', Answer(raw=[b'SSH-2.0-x\r\n']))], GOOD, 'not_a_registry', 'ping'),
    ([('', Answer(raw=[b'']))], GOOD, 'unreachable', 'ping'),
    # The ping is fine.
    ([('manifests', Answer(401, b'', {'WWW-Authenticate': 'Basic realm="x"'}))], GOOD, 'auth_failed', 'manifest'),
    ([('manifests', Answer(403))], GOOD, 'denied', 'manifest'),
    ([('manifests', Answer(404))], GOOD, 'missing', 'manifest'),
    ([('manifests', Answer(500))], GOOD, 'server_error', 'manifest'),
    ([('manifests', Answer(429))], GOOD, 'rate_limited', 'manifest'),
    ([('manifests', HTML)], GOOD, 'not_a_registry', 'manifest'),
    ([('manifests', Answer(200, b'{}'))], GOOD, 'not_a_registry', 'manifest'),
    ([('manifests', Answer(200, b'{"schemaVersion":1}'))], GOOD, 'not_a_registry', 'manifest'),
    ([('manifests', Answer(302, b'', {'Location': 'http://127.0.0.1:1/'}))], GOOD, 'unreachable', 'manifest'),
    ([('GET .*manifests', Answer(raw=itertools.chain([b'HTTP/1.1 200 OK\r\n\r\n'], ENDLESS)))], GOOD, 'not_a_registry', 'manifest'),
    ([('GET .*manifests', Answer(raw=[b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{']))], GOOD, 'unreachable', 'manifest'),
    ([('manifests/latest', liar)], GOOD, 'corrupt', 'manifest'),
    ([('GET .*manifests/latest', Answer(200, DATED.index))], GOOD, 'corrupt', 'manifest'),
    ([('manifests/sha256', Answer(404))], GOOD, 'missing', 'platform'),
    ([('manifests/sha256', wrong)], GOOD, 'corrupt', 'platform'),
    ([('blobs', Answer(403))], GOOD, 'denied', 'config'),
    ([('blobs', Answer(404))], GOOD, 'blob_unreachable', 'config'),
    ([('blobs', Answer(500))], GOOD, 'blob_unreachable', 'config'),
    ([('blobs', Answer(401))], GOOD, 'auth_failed', 'config'),
    ([('blobs', Answer(429))], GOOD, 'rate_limited', 'config'),
    ([('blobs', Answer(302, b'', {'Location': 'http://127.0.0.1:1/'}))], GOOD, 'blob_unreachable', 'config'),
    ([('blobs', Answer(302, b'', {'Location': 'http://no-such-name.invalid/'}))], GOOD, 'blob_unreachable', 'config'),
    ([('blobs', Answer(raw=[b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{']))], GOOD, 'blob_unreachable', 'config'),
    ([('blobs', HTML)], GOOD, 'corrupt', 'config'),
    ([(config(GOOD), wrong)], GOOD, 'corrupt', 'config'),
    ([(sha256(GOOD.layers[0]), wrong)], GOOD, 'corrupt', 'blob'),
    ([(sha256(GOOD.layers[0]), Answer(200, GOOD.layers[0][:-1]))], GOOD, 'corrupt', 'blob'),
    ([(sha256(GOOD.layers[0]), Answer(200, GOOD.layers[0] + b'x'))], GOOD, 'corrupt', 'blob'),
    ([(sha256(GOOD.layers[0]), Answer(403))], GOOD, 'denied', 'blob'),
    ([(sha256(GOOD.layers[0]), Answer(416))], GOOD, 'blob_unreachable', 'blob'),
    # Large layers: the sample cannot be verified by its digest, but what it begins with tells, and a small layer is fetched whole.
    ([(BIGGEST, wrong)], BIG, 'corrupt', 'blob'),
    ([(BIGGEST, Answer(206, BIG.layers[1]))], BIG, 'corrupt', 'blob'),
    ([(sha256(BIG.layers[1]), lambda asked, content: Answer(200, BIG.layers[1][:-1] + b'!'))], BIG, 'corrupt', 'blob'),
]


@pytest.mark.parametrize('rules, content, state, failed_at', BAD_DATA)
def test_a_bad_mirror(start: Start, rules: list[Rule], content: Content, state: str, failed_at: str) -> None:
    server = start(except_for(*rules, content=content))
    found = visit(server.url)
    assert (found.state, found.failed_at) == (state, failed_at)
    assert found.requests == len(server.log) <= _probe_visit.BUDGET_FIRST_IMAGE


WAITING_DATA: list[tuple[str, str]] = [
    ('/v2/$', 'ping'),
    ('HEAD', 'manifest'),
    ('GET .*manifests/latest', 'manifest'),
    ('manifests/sha256', 'platform'),
    (config(GOOD), 'config'),
    (sha256(GOOD.layers[0]), 'blob'),
]


@pytest.mark.parametrize('answer', [Answer(raw=[b''], hang=True), Answer(200, b'x' * 100, trickle=0.1)], ids=['silent', 'trickle'])
def test_a_mirror_that_keeps_one_waiting(start: Start, answer: Answer) -> None:
    urls = [start(except_for((pattern, answer))).url for pattern, _step in WAITING_DATA]
    with ThreadPoolExecutor(len(urls)) as pool:
        found = list(pool.map(lambda url: visit(url, seconds=1.0), urls))
    assert [(one.state, one.failed_at) for one in found] == [('timeout', step) for _pattern, step in WAITING_DATA]


@pytest.mark.parametrize(
    'rules, note',
    [
        # What dockerd does not mind either.
        ([('/v2/$', Answer(404))], 'ping_odd'),
        ([('/v2/$', Answer(200, b'It works'))], 'ping_odd'),
        ([('HEAD', Answer(405))], ''),
        ([('HEAD', Answer(200, b'', {'Docker-Content-Digest': DATED.digest}))], 'head_differs'),
        ([('/v2/$', Answer(301, b'', {'Location': '/v2/?x'}))], ''),
        ([('blobs', lambda asked, content: dataclasses.replace(content.serve(dataclasses.replace(asked, headers={}))))], ''),
    ],
)
def test_a_mirror_that_is_odd_and_good(start: Start, rules: list[Rule], note: str) -> None:
    found = visit(start(except_for(*rules, content=BIG)).url)
    assert (found.state, found.notes) == ('ok', [note] if note else [])


def test_an_image_that_is_not_there_for_this_platform(start: Start) -> None:
    found = visit(start(GOOD.serve).url, dataclasses.replace(SETTINGS, platform=Platform('linux', 'riscv64')))
    assert (found.state, found.failed_at) == ('missing', 'platform')
    assert 'linux/riscv64' in found.reason


def test_an_image_by_digest(start: Start) -> None:
    image = parse_image(f'nginx@{GOOD.digest}', 'docker.io')
    assert visit(start(GOOD.serve).url, Settings((image,), PLATFORM)).state == 'ok'
    other = start(except_for(('manifests', Answer(200, DATED.index))))
    found = visit(other.url, Settings((image,), PLATFORM))
    assert (found.state, found.failed_at) == ('corrupt', 'manifest')


def test_retry_after_is_waited_for(start: Start) -> None:
    seen: set[str] = set()

    def busy(asked: Asked) -> Answer:
        key = f'{asked.method} {asked.path}'
        if 'manifests' in key and key not in seen:
            seen.add(key)
            return Answer(429, b'', {'Retry-After': '0'})
        return GOOD.serve(asked)

    server = start(busy)
    found = visit(server.url)
    assert (found.state, found.requests, len(server.log)) == ('ok', 8, 8)


def test_redirects_are_followed_and_only_the_mirrors_own_requests_count(start: Start) -> None:
    cdn = start(lambda asked: GOOD.serve(dataclasses.replace(asked, path=f'/v2/x/blobs{asked.path}')))
    server = start(except_for(('blobs', lambda asked, content: Answer(307, b'', {'Location': f'{cdn.url}/{asked.path.rpartition("/")[2]}'}))))
    found = visit(server.url, headers={'X-Key': 'secret'})
    assert (found.state, found.requests, len(cdn.log)) == ('ok', 6, 2)
    assert [asked.header('X-Key') for asked in server.log] == ['secret'] * 6
    assert [asked.header('X-Key') for asked in cdn.log] == ['', '']


def test_a_mirror_that_redirects_to_itself_keeps_within_its_budget(start: Start) -> None:
    def twice(asked: Asked) -> Answer:
        if asked.path.startswith('/real'):
            return GOOD.serve(dataclasses.replace(asked, path=asked.path[5:]))
        return Answer(307, b'', {'Location': f'/real{asked.path}'})

    server = start(twice)
    found = visit(server.url)
    assert (found.state, found.notes) == ('ok', ['budget_spent_at_config: nginx'])
    assert found.requests == len(server.log) == 8


def test_a_mirror_that_sends_all_of_its_http_to_its_https(start: Start, tmp_path: Path) -> None:
    """Ports 80 and 443 cannot be had here, so both are reached through a proxy."""
    secured = Server(GOOD.serve, make_certificate(tmp_path))
    proxy = start(lambda asked: Answer(200) if asked.method == 'CONNECT' else Answer(301, b'', {'Location': 'https://mirror.test/v2/'}))
    proxy.tunnel_port = secured.port
    settings = dataclasses.replace(SETTINGS, proxies=ProxyConfig(proxy.url, proxy.url))
    found = visit('http://mirror.test', settings, insecure=True, headers={'X-Key': 'secret'})
    secured.close()
    assert (found.state, found.requests, found.notes) == ('ok', 7, [])
    assert proxy.paths() == ['GET http://mirror.test/v2/', 'CONNECT mirror.test:443']
    assert {asked.header('X-Key') for asked in secured.log} == {'secret'}


# Tokens


class Tokens:
    """A registry that wants a token for the manifest's repository, given by itself or by another server."""

    def __init__(self, start: Start, *, realm: str = '', answer: Answer | None = None, prefix: str = '', late: bool = False) -> None:
        self.prefix = prefix
        self.late = late
        self.answer = answer
        self.asked: list[str] = []
        self.server = start(self.handle)
        self.realm = realm or f'{self.server.url}/token'

    def handle(self, asked: Asked) -> Answer:
        if asked.path.startswith('/token'):
            self.asked.append(asked.path)
            return self.answer or Answer(200, b'{"token":"for%s"}' % asked.path.partition('scope=')[2].encode())
        if asked.path == '/v2/' and self.late:
            return Answer(200, b'{}')
        if asked.path == '/v2/':
            return Answer(401, b'', {'WWW-Authenticate': 'Bearer realm="http://127.0.0.1:1/blocked",service="other"'})
        repository = asked.path.split('/manifests/')[0].split('/blobs/')[0][4:]
        scope = f'repository:{self.prefix}{repository}:pull'
        if asked.header('Authorization') != f'Bearer for{scope}'.replace(':', '%3A', 5).replace('Bearer for%3A', 'Bearer for').replace('/', '%2F'):
            return Answer(401, b'', {'WWW-Authenticate': f'Bearer realm="{self.realm}",service="s",scope="{scope}"'})
        return BIG.serve(asked)


def test_the_manifests_own_challenge_counts(start: Start) -> None:
    tokens = Tokens(start)
    found = visit(tokens.server.url)
    assert (found.state, found.requests) == ('ok', 8)
    assert tokens.asked == ['/token?service=s&scope=repository%3Alibrary%2Fnginx%3Apull']


@pytest.mark.parametrize('late', [True, False])
def test_a_challenge_that_comes_after_the_ping_is_noted(start: Start, late: bool) -> None:
    """Docker's graph-driver store takes its challenge from the ping alone."""
    tokens = Tokens(start, late=late)
    found = visit(tokens.server.url)
    assert found.state == 'ok'
    assert found.notes == (['late_challenge'] if late else [])


def test_further_images_ask_for_their_token_first(start: Start) -> None:
    tokens = Tokens(start, prefix='hub/')
    images = tuple(parse_image(name, 'docker.io') for name in ('nginx', 'redis', 'acme/app', 'd', 'e'))
    found = visit(tokens.server.url, Settings(images, PLATFORM))
    assert tokens.asked[1:3] == [
        '/token?service=s&scope=repository%3Ahub%2Flibrary%2Fredis%3Apull',
        '/token?service=s&scope=repository%3Ahub%2Facme%2Fapp%3Apull',
    ]
    assert found.state == 'ok'
    assert found.requests == len(tokens.server.log) == 16
    assert [found.images[name]['digest'] for name in ('redis', 'acme/app')] == [BIG.digest] * 2
    assert 'budget_spent_at_config: redis' in found.notes
    assert [note for note in found.notes if note.endswith(': e')] == ['budget_spent_at_token: e']


def test_further_images_cost_three_requests(start: Start) -> None:
    server = start(BIG.serve)
    images = tuple(parse_image(name, 'docker.io') for name in ('nginx', 'redis', 'acme/app'))
    found = visit(server.url, Settings(images, PLATFORM))
    assert (found.state, found.requests) == ('ok', 13)
    assert {facts['created'] for facts in found.images.values()} == {BIG.created}


@pytest.mark.parametrize(
    'realm, answer',
    [
        ('http://127.0.0.1:1/token', None),
        ('http://no-such-name.invalid/token', None),
        ('/token', None),
        ('', Answer(403)),
        ('', Answer(500)),
        ('', Answer(200, b'{}')),
        ('', Answer(200, b'<html>')),
        ('', Answer(200, b'"' * 100_000)),
        ('', Answer(302, b'', {'Location': '/token'})),
        ('', Answer(raw=[b''], hang=True)),
    ],
)
def test_a_token_that_cannot_be_had(start: Start, realm: str, answer: Answer | None) -> None:
    found = visit(Tokens(start, realm=realm, answer=answer).server.url, seconds=0.5)
    assert (found.state, found.failed_at) == ('auth_failed', 'token')


def test_a_token_that_does_not_help(start: Start) -> None:
    found = visit(Tokens(start, answer=Answer(200, b'{"token":"useless"}')).server.url)
    assert (found.state, found.failed_at) == ('auth_failed', 'manifest')


def test_a_token_does_not_follow_a_redirect(start: Start) -> None:
    cdn = start(lambda asked: BIG.serve(dataclasses.replace(asked, path=f'/v2/x/blobs{asked.path}')))
    tokens = Tokens(start)
    plain = tokens.handle

    def redirecting(asked: Asked) -> Answer:
        answer = plain(asked)
        if '/blobs/' in asked.path and answer.status < 400:
            return Answer(307, b'', {'Location': f'{cdn.url}/{asked.path.rpartition("/")[2]}'})
        return answer

    tokens.server.handler = redirecting
    assert visit(tokens.server.url).state == 'ok'
    assert cdn.log
    assert all(not asked.header('Authorization') for asked in cdn.log)


def test_the_operators_own_header_is_used_instead_of_a_token(start: Start) -> None:
    def private(asked: Asked) -> Answer:
        if asked.header('Authorization') == 'Basic eDp5':
            return GOOD.serve(asked)
        return Answer(401, b'', {'WWW-Authenticate': 'Bearer realm="http://127.0.0.1:1/"'})

    server = start(private)
    assert visit(server.url, headers={'authorization': 'Basic eDp5'}).state == 'ok'
    found = visit(server.url, headers={'Authorization': 'Basic wrong'})
    assert (found.state, found.failed_at) == ('auth_failed', 'manifest')


# Routes


def proxied(proxy: Server, url: str, monkeypatch: pytest.MonkeyPatch, address: str, port: int = 80) -> Finding:
    """A visit with a proxy and `prefer_direct`, where every name has *address*."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (address, port))]
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, 'getaddrinfo', lambda host, *more, **kw: found if host.endswith('.test') else real(host, *more, **kw))
    settings = dataclasses.replace(SETTINGS, proxies=ProxyConfig(proxy.url, proxy.url), prefer_direct=True, connect_seconds=0.3)
    return visit(url, settings)


def test_a_near_mirror_is_reached_directly(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server, proxy = start(GOOD.serve), start(GOOD.serve)
    found = proxied(proxy, f'http://near.test:{server.port}', monkeypatch, '127.0.0.1', server.port)
    assert (found.state, found.route, proxy.log) == ('ok', 'direct', [])


@pytest.mark.parametrize('address', ['127.0.0.1', '1.1.1.1'])
def test_any_other_mirror_goes_through_the_proxy(start: Start, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    proxy = start(GOOD.serve)
    with socket.create_server(('127.0.0.1', 0)) as gone:
        port = gone.getsockname()[1]
    found = proxied(proxy, f'http://far.test:{port}', monkeypatch, address, port)
    assert (found.state, found.route) == ('ok', 'proxy')
    assert proxy.log[0].path == f'http://far.test:{port}/v2/'
