# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs and manifests: redirects, ranges, errors, and who is given what is cached."""

from __future__ import annotations

import dataclasses
import gzip
import http.client
import json
import secrets
import socket
import time
import typing as t
from pathlib import Path

import pytest
from lab.server import Request

from worker.conftest import Start
from worker.internet import CDN, MANIFEST, Hub, Images, Internet, digest_of, send_blob
from worker.runtime import Worker
from worker.test_routes import basic
from worker.test_tokens import BUSYBOX, token

ACME = {'docker.io': {'username': 'acme', 'password': 'hub-secret'}}


@pytest.fixture
def fresh(own: Worker) -> Worker:
    """As ``own``, asked by a name under which nothing is cached: quicker than another workerd."""
    return dataclasses.replace(own, host=f'{secrets.token_hex(8)}.account.workers.dev')


def layer_of(images: Images, repository: str = 'library/busybox') -> str:
    return f'/v2/{repository}/blobs/{digest_of(images.layer)}'


def bad(internet: Internet, handler: t.Callable[[Request, str], None]) -> str:
    """A blob of a registry that does what ``handler`` does; its path."""
    internet.hosts['bad.example'] = handler
    return f'/v2/bad.example/some/thing/blobs/sha256:{"a" * 64}'


# --- redirects ----------------------------------------------------------------------------------------------------


def test_a_blob_is_brought_from_where_the_registry_sends_us(fresh: Worker, internet: Internet, hub: Hub) -> None:
    """The client sees no redirect, the store no Authorization, which it would refuse."""
    answer = fresh.ask(layer_of(hub.images))
    assert (answer.status, answer.body) == (200, hub.images.layer)
    assert [one.headers.get('Authorization') for one in internet.asked(CDN)] == [None]
    assert internet.asked('registry-1')[-1].headers['Authorization'].startswith('Bearer ')
    assert answer.header('Docker-Content-Digest') == digest_of(hub.images.layer)
    assert int(answer.header('Content-Length')) == len(hub.images.layer) and not answer.header('Transfer-Encoding')


def test_a_redirect_on_the_same_host_keeps_the_authorization(fresh: Worker, internet: Internet) -> None:
    def moved(request: Request, path: str) -> None:
        if '/moved/' in path:
            send_blob(request, request.headers.get('Authorization', '').encode())
        elif request.headers.get('Authorization'):
            request.answer(301, b'', {'Location': '/v2/moved/blobs/x'})
        else:
            request.error(401, 'UNAUTHORIZED', {'WWW-Authenticate': 'Bearer realm="https://auth.docker.io/token"'})
    assert fresh.ask(bad(internet, moved)).body.startswith(b'Bearer token-')


@pytest.mark.parametrize('status', [301, 302, 303, 307, 308])
def test_every_kind_of_redirect_is_followed(fresh: Worker, internet: Internet, status: int) -> None:
    internet.hosts['store.example'] = lambda request, path: send_blob(request, path.encode())
    path = bad(internet, lambda request, path: request.answer(status, b'moved', {'Location': 'https://store.example/a?b=%2F'}))
    assert fresh.ask(path).body == b'/a?b=%2F'


@pytest.mark.parametrize('location, why', [
    ('http://store.example/a', 'without TLS'),
    ('ftp://store.example/a', 'without TLS'),
    ('https://127.0.0.1/a', 'does not follow'),
    ('https://0x7f.1/a', 'does not follow'),
    ('https://2130706433/a', 'does not follow'),
    ('https://169.254.169.254/latest/meta-data', 'does not follow'),
    ('https://[fe80::1]/a', 'does not follow'),
    ('https://[::ffff:10.0.0.1]/a', 'does not follow'),
    ('https://localhost/a', 'does not follow'),
    ('https://metadata.google.internal/a', 'does not follow'),
    ('https://nas.lan./a', 'does not follow'),
    ('https://user:pass@store.example/a', 'does not follow'),
    ('https://', 'nowhere'),
    ('', 'nowhere'),
])  # fmt: skip
def test_redirects_to_where_no_registry_sends_anybody(fresh: Worker, internet: Internet, location: str, why: str) -> None:
    answer = fresh.ask(bad(internet, lambda request, path: request.answer(307, b'', {'Location': location} if location else {})))
    assert (answer.status, answer.codes()) == (502, ['UNKNOWN']) and why in answer.body.decode()
    assert {one.host for one in internet.seen} == {'bad.example'}


def test_an_upstream_without_tls_may_redirect_to_one_without_tls(start: Start, internet: Internet) -> None:
    internet.hosts['plain.lan'] = lambda request, path: request.redirect('http://10.1.2.3/blob')
    internet.hosts['10.1.2.3'] = lambda request, path: send_blob(request, b'there')
    worker = start({'upstreams': {'plain.lan': {'url': 'http://plain.lan/'}}, 'hosts': {}, 'default': 'plain.lan'})
    assert worker.ask(f'/v2/x/blobs/sha256:{"a" * 64}').body == b'there'


def test_an_upstream_may_lie_below_a_path(start: Start, internet: Internet) -> None:
    internet.hosts['plain.lan'] = lambda request, path: send_blob(request, path.encode())
    worker = start({'upstreams': {'plain.lan': {'url': 'http://plain.lan/some/where/'}}, 'hosts': {}, 'default': 'plain.lan'})
    assert worker.ask(f'/v2/x/blobs/sha256:{"a" * 64}').body == f'/some/where/v2/x/blobs/sha256:{"a" * 64}'.encode()


def test_redirects_end_some_time(fresh: Worker, internet: Internet) -> None:
    answer = fresh.ask(bad(internet, lambda request, path: request.redirect(f'https://bad.example{path}x')))
    assert answer.status == 502 and 'without end' in answer.body.decode()
    assert len(internet.seen) == 6


# --- ranges and conditions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize('cached', [False, True])
@pytest.mark.parametrize('wanted, status, told, first, end', [
    ('bytes=0-9', 206, 'bytes 0-9/120000', 0, 10),
    ('bytes=100-', 206, 'bytes 100-119999/120000', 100, 120_000),
    ('bytes=-5', 206, 'bytes 119995-119999/120000', 119_995, 120_000),
    ('bytes=200000-', 416, '', 0, 0),
])  # fmt: skip
def test_a_range_is_served_as_such(
    ranged: dict[bool, Worker], hub: Hub, cached: bool, wanted: str, status: int, told: str, first: int, end: int,
) -> None:  # fmt: skip
    answer = ranged[cached].ask(layer_of(hub.images), Range=wanted)
    assert answer.status == status and answer.header('X-Cache') == ('HIT' if cached else 'MISS' if status == 206 else '')
    if status == 206:
        assert (answer.header('Content-Range'), answer.body) == (told, hub.images.layer[first:end])
        assert int(answer.header('Content-Length')) == len(answer.body)
    elif not cached:
        assert (answer.header('Content-Range'), answer.codes()) == ('bytes */120000', ['RANGE_INVALID'])


@pytest.fixture(scope='module')
def ranged(own: Worker, hub: Hub) -> dict[bool, Worker]:
    """With the layer cached, and without."""
    workers = {cached: dataclasses.replace(own, host=f'{cached}.account.workers.dev'.lower()) for cached in (False, True)}
    assert workers[True].ask(layer_of(hub.images)).status == 200
    return workers


@pytest.mark.parametrize('cached', [False, True])
def test_a_resumed_download_is_of_the_same_blob(ranged: dict[bool, Worker], internet: Internet, hub: Hub, cached: bool) -> None:
    path, etag = layer_of(hub.images), f'"{digest_of(hub.images.layer)}"'
    same = ranged[cached].ask(path, Range='bytes=10-', If_Range=etag)
    assert (same.status, same.header('ETag'), same.body) == (206, etag, hub.images.layer[10:])
    assert not any('If-Range' in one.headers for one in internet.seen)  # the store has ETags of its own
    other = ranged[True].ask(path, Range='bytes=10-', If_Range='"of-the-store"')
    assert (other.status, other.body) == (200, hub.images.layer)


@pytest.mark.parametrize('cached', [False, True])
@pytest.mark.parametrize('wanted', ['bytes=0-1,4-5', 'bytes=abc', 'items=0-1', 'bytes=5-2', 'bytes=-', 'bytes=', 'x'])
def test_what_is_no_range_of_one_part_is_ignored(ranged: dict[bool, Worker], internet: Internet, hub: Hub, cached: bool, wanted: str) -> None:
    answer = (ranged[True] if cached else dataclasses.replace(ranged[False], host=f'{secrets.token_hex(8)}.account.workers.dev')).ask(
        layer_of(hub.images), Range=wanted)
    assert (answer.status, answer.body, answer.header('X-Cache')) == (200, hub.images.layer, 'HIT' if cached else 'MISS')
    assert not any('Range' in one.headers for one in internet.seen)


def test_a_part_is_not_cached_as_the_whole(fresh: Worker, hub: Hub) -> None:
    assert fresh.ask(layer_of(hub.images), Range='bytes=0-9').body == hub.images.layer[:10]
    assert fresh.ask(layer_of(hub.images)).body == hub.images.layer


@pytest.mark.parametrize('kind', ['blob', 'tag', 'digest'])
def test_what_the_client_has_already_is_not_sent(fresh: Worker, hub: Hub, kind: str) -> None:
    digest = {'blob': digest_of(hub.images.layer), 'tag': digest_of(hub.images.index), 'digest': digest_of(hub.images.manifest)}[kind]
    path = layer_of(hub.images) if kind == 'blob' else BUSYBOX if kind == 'tag' else f'/v2/library/busybox/manifests/{digest}'
    for dummy in ('upstream', 'cache'):
        answer = fresh.ask(path, If_None_Match=f'"other", W/"{digest}"' if kind != 'tag' else f'"{digest}"')
        assert (answer.status, answer.body, answer.header('ETag')) == (304, b'', f'"{digest}"')
        full = fresh.ask(path, If_None_Match='"other"')
        assert full.status == 200 and full.body


@pytest.mark.parametrize('cached', [False, True])
def test_head_tells_all_but_the_bytes(fresh: Worker, internet: Internet, hub: Hub, cached: bool) -> None:
    worker = fresh
    for path, data in ((layer_of(hub.images), hub.images.layer), (f'/v2/library/busybox/manifests/{digest_of(hub.images.manifest)}', hub.images.manifest)):
        if cached:
            worker.ask(path)
            internet.seen.clear()
        answer = worker.ask(path, 'HEAD')
        assert (answer.status, answer.body, answer.header('Content-Length')) == (200, b'', str(len(data)))
        assert answer.header('Docker-Content-Digest') == digest_of(data)
        assert {one.method for one in internet.seen if 'token' not in one.path} == (set() if cached else {'HEAD'})
    missing = worker.ask('/v2/library/busybox/manifests/nothing', 'HEAD')
    assert (missing.status, missing.body) == (404, b'')


def test_what_a_client_accepts_is_asked_for(fresh: Worker, internet: Internet) -> None:
    fresh.ask(BUSYBOX, Accept=f'{MANIFEST}, text/x')
    assert internet.asked('registry-1')[-1].headers['Accept'] == f'{MANIFEST}, text/x'
    assert internet.asked('registry-1')[-1].headers['Accept-Encoding'] == 'identity'


def test_a_blob_is_never_a_page_of_ours(fresh: Worker, internet: Internet) -> None:
    path = bad(internet, lambda request, path: send_blob(request, b'<script>', {'Content-Type': 'image/svg+xml', 'Set-Cookie': 'a=b'}))
    answer = fresh.ask(path)
    assert (answer.header('Content-Type'), answer.header('X-Content-Type-Options')) == ('application/octet-stream', 'nosniff')
    assert not answer.header('Set-Cookie')
    page = fresh.ask(path.replace('blobs', 'manifests'))
    assert page.status == 200 and 'sandbox' in page.header('Content-Security-Policy')


def test_a_manifest_that_comes_compressed_has_no_length_but_its_own(fresh: Worker, internet: Internet) -> None:
    data = b'{"a": "' + b'x' * 5000 + b'"}'
    coded = {'Content-Type': MANIFEST, 'Content-Encoding': 'gzip'}
    bad(internet, lambda request, path: request.answer(200, gzip.compress(data), coded))
    path = f'/v2/bad.example/x/manifests/{digest_of(data)}'
    head, whole = fresh.ask(path, 'HEAD'), fresh.ask(path)
    assert (head.status, head.header('Content-Length'), whole.body) == (200, '', data)
    assert whole.header('Content-Length') in ('', str(len(data)))


def test_how_much_is_left_is_not_cached(fresh: Worker, hub: Hub) -> None:
    path = f'/v2/library/busybox/manifests/{digest_of(hub.images.manifest)}'
    assert fresh.ask(path).header('RateLimit-Remaining') == '99;w=21600'
    wait_for_hits(fresh, [path])
    assert not fresh.ask(path).header('RateLimit-Remaining')


@pytest.mark.parametrize('told, expected', [
    ('</v2/x/tags/list?last=a>; rel="next"', 'last=a'),
    ('</v2/x/tags/list?last=a>; rel=next', 'last=a'),
    ('<https://bad.example/first>; rel="first", </v2/x/tags/list?last=b>; title="x, y"; rel="next", <https://bad.example/z>; rel="last"', 'last=b'),
    ('<https://bad.example/first>; rel="first"', None),
    ('</v2/x/tags/list?last=a>', None),
    ('<http://>; rel="next"', None),
    ('nonsense', None),
])  # fmt: skip
def test_of_links_the_next_page_alone_is_told(fresh: Worker, internet: Internet, told: str, expected: str | None) -> None:
    bad(internet, lambda request, path: request.answer(200, b'{"tags": ["a"]}', {'Content-Type': 'application/json', 'Link': told}))
    path = '/v2/bad.example/x/tags/list'
    assert fresh.ask(path).header('Link') == (f'<{path}?{expected}>; rel="next"' if expected else '')


def test_every_answer_says_that_it_is_a_registry(own: Worker, passing: Worker, locked: Worker, hub: Hub) -> None:
    paths = ('/v2/', BUSYBOX, layer_of(hub.images), '/v2/library/busybox/tags/list', '/v2/library/busybox/manifests/nothing', '/')
    for worker in (own, passing, locked):
        for path in paths:
            assert worker.ask(path).header('Docker-Distribution-Api-Version') == 'registry/2.0', path


def test_lists_lead_on_by_the_name_that_the_client_knows(own: Worker, internet: Internet) -> None:
    for path, more in (('/v2/busybox/tags/list', ''), ('/v2/docker.io/busybox/tags/list', ''), ('/v2/library/busybox/tags/list', '&ns=docker.io')):
        first = own.ask(f'{path}?n=1{more}')
        assert json.loads(first.body)['tags'] == ['a']
        assert first.header('Link') == f'<{path}?n=1&last=a{more}>; rel="next"'
        then = own.ask(first.header('Link')[1:].partition('>')[0])
        assert json.loads(then.body)['tags'] == ['z'] and not then.header('Link')
        assert 'ns=' not in internet.seen[-1].path


# --- errors -------------------------------------------------------------------------------------------------------


def page(status: int, **headers: str) -> t.Callable[[Request, str], None]:
    told = {name.replace('_', '-'): value for name, value in headers.items()}
    return lambda request, path: request.answer(status, b'<html>secret of a page</html>', {'Content-Type': 'text/html', **told})


def test_too_many_requests_stays_that_so_that_clients_go_elsewhere(own: Worker, passing: Worker, internet: Internet) -> None:
    for worker in (own, passing):
        for handler in (page(429, Retry_After='60', RateLimit_Remaining='0;w=21600'), lambda request, path: request.error(429, 'TOOMANYREQUESTS', {
                'Retry-After': '60', 'RateLimit-Remaining': '0;w=21600'})):
            answer = worker.ask(bad(internet, handler))
            assert (answer.status, answer.codes(), answer.header('Retry-After')) == (429, ['TOOMANYREQUESTS'], '60')
            assert answer.header('RateLimit-Remaining') == '0;w=21600' and 'page' not in answer.body.decode()
        assert passing.ask('/v2/bad.example/').status == 429


@pytest.mark.parametrize('size, told', [(60_000, True), (70_000, False), (1 << 26, False)])
def test_a_long_error_of_unknown_length_is_not_read_to_its_end(own: Worker, internet: Internet, size: int, told: bool) -> None:
    sent: list[int] = []

    def chunked(request: Request, path: str) -> None:
        request.head(404, {'Transfer-Encoding': 'chunked', 'Content-Type': 'application/json'})
        text = b'{"errors": [{"code": "OF_ITS_OWN", "message": "' + b'x' * size + b'"}]}'
        for at in range(0, len(text), 10_000):
            part = text[at:at + 10_000]
            request.wfile.write(b'%x\r\n%s\r\n' % (len(part), part))
            sent.append(len(part))
        request.wfile.write(b'0\r\n\r\n')
    answer = own.ask(bad(internet, chunked))
    assert (answer.status, answer.codes()) == (404, ['OF_ITS_OWN' if told else 'BLOB_UNKNOWN'])
    assert sum(sent) < 1 << 25


@pytest.mark.parametrize('where', ['auth.docker.io', 'registry-1.docker.io'])
def test_too_many_tokens_too(start: Start, internet: Internet, where: str) -> None:
    before = internet.hosts[where]
    internet.hosts[where] = page(429, Retry_After='7')
    try:
        own, passing = start({}, UPSTREAM_LOGINS=ACME), start({})
        answers = [own.ask(BUSYBOX), passing.ask('/-/token/docker.io?scope=repository:library/busybox:pull')]
    finally:
        internet.hosts[where] = before
    for answer in answers:
        assert (answer.status, answer.codes(), answer.header('Retry-After')) == (429, ['TOOMANYREQUESTS'], '7')


@pytest.mark.parametrize('path, code', [
    ('/v2/library/busybox/manifests/nothing', 'MANIFEST_UNKNOWN'),
    (f'/v2/library/busybox/manifests/sha256:{"0" * 64}', 'MANIFEST_UNKNOWN'),
    (f'/v2/library/busybox/blobs/sha256:{"0" * 64}', 'BLOB_UNKNOWN'),
    ('/v2/library/nothing/tags/list', 'NAME_UNKNOWN'),
])  # fmt: skip
def test_what_is_not_there(own: Worker, path: str, code: str) -> None:
    answer = own.ask(path)
    assert (answer.status, answer.codes()) == (404, [code])


@pytest.mark.parametrize('status, answered, code', [
    (404, 404, 'BLOB_UNKNOWN'), (403, 403, 'DENIED'), (500, 500, 'UNKNOWN'), (503, 503, 'UNKNOWN'), (200, 502, 'UNKNOWN'), (201, 502, 'UNKNOWN'),
])  # fmt: skip
def test_a_page_of_whoever_is_in_between_is_not_passed_on(own: Worker, internet: Internet, status: int, answered: int, code: str) -> None:
    for dummy in range(2):  # nor cached
        answer = own.ask(bad(internet, page(status)))
        assert (answer.status, answer.codes()) == (answered, [code]) and 'secret' not in answer.body.decode()


@pytest.mark.parametrize('kind', ['blobs', 'manifests'])
@pytest.mark.parametrize('status', [201, 204, 205, 206, 300])
def test_what_is_no_answer_of_a_registry_is_an_error(own: Worker, internet: Internet, kind: str, status: int) -> None:
    body = b'' if status in (204, 205) else b'{"errors": [{"code": "X"}]}'
    path = bad(internet, lambda request, path: request.answer(status, body, {'Content-Type': 'application/json'})).replace('blobs', kind)
    answer = own.ask(path)
    assert (answer.status, answer.codes()) == (502, ['X' if body else 'UNKNOWN'])


def test_an_upstream_that_hangs_up_is_no_crash(own: Worker, internet: Internet) -> None:
    def hang_up(request: Request, path: str) -> None:
        request.log()
        request.connection.shutdown(socket.SHUT_RDWR)
        request.close_connection = True
    answer = own.ask(bad(internet, hang_up))
    assert (answer.status, answer.codes()) == (502, ['UNKNOWN'])


# --- the cache ----------------------------------------------------------------------------------------------------


def test_a_second_pull_asks_the_upstream_for_no_bytes(fresh: Worker, internet: Internet, hub: Hub) -> None:
    paths = [layer_of(hub.images), f'/v2/library/busybox/manifests/{digest_of(hub.images.manifest)}']
    first = [fresh.ask(path) for path in paths]
    wait_for_hits(fresh, paths)
    internet.seen.clear()
    again = [fresh.ask(path) for path in paths]
    assert [one.header('X-Cache') for one in [*first, *again]] == ['MISS', 'MISS', 'HIT', 'HIT']
    assert [one.body for one in first] == [one.body for one in again] == [hub.images.layer, hub.images.manifest]
    assert [one.header('Content-Type') for one in first] == [one.header('Content-Type') for one in again]
    assert internet.seen == []


def wait_for_hits(worker: Worker, paths: t.Sequence[str], **headers: str) -> None:
    end = time.monotonic() + 10
    while not all(worker.ask(path, 'HEAD', **headers).header('X-Cache') == 'HIT' for path in paths):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_tag_is_asked_for_each_time(fresh: Worker, internet: Internet) -> None:
    for dummy in range(3):
        internet.seen.clear()
        answer = fresh.ask(BUSYBOX)
        assert answer.status == 200 and not answer.header('X-Cache') and internet.asked('registry-1', 'latest')


def test_without_the_cache_each_is_asked_for(start: Start, internet: Internet, hub: Hub) -> None:
    worker = start({'cache_blobs': False}, UPSTREAM_LOGINS=ACME)
    for dummy in range(3):
        answer = worker.ask(layer_of(hub.images))
        assert answer.status == 200 and not answer.header('X-Cache')
    assert len(internet.asked(CDN)) == 3


def test_a_cached_blob_is_for_those_alone_who_could_pull_it(start: Start, internet: Internet, hub: Hub) -> None:
    """The registry is asked with the client's own token, and says no to the others."""
    worker = start({})
    path, scope = layer_of(hub.images, 'acme/private'), 'repository:acme/private:pull'
    good = token(worker, scope, login=basic('acme', 'hub-secret'))
    assert worker.ask(path, Authorization=good).body == hub.images.layer
    wait_for_hits(worker, [path], Authorization=good)
    internet.seen.clear()
    assert worker.ask(path, Authorization=good).body == hub.images.layer
    assert [(one.method, one.host, one.headers.get('Range')) for one in internet.seen] == [
        ('HEAD', 'registry-1.docker.io', None), ('GET', 'registry-1.docker.io', 'bytes=0-0'), ('GET', CDN, 'bytes=0-0')]
    for authorization in ('', 'Bearer wrong', token(worker, scope), token(worker, 'repository:library/busybox:pull'), basic('acme', 'hub-secret')):
        for method in ('GET', 'HEAD'):
            answer = worker.ask(path, method, **({'Authorization': authorization} if authorization else {}))
            assert answer.status == 401 and hub.images.layer not in answer.body and '/-/token/docker.io' in answer.header('WWW-Authenticate')
    hub.tokens.clear()
    assert worker.ask(path, Authorization=good).status == 401


def test_a_redirect_is_no_permission(passing: Worker, internet: Internet) -> None:
    """It may lead to a page for logging in."""
    data = b'for those who have a token'
    path = f'/v2/bad.example/some/thing/blobs/{digest_of(data)}'

    def serve(request: Request, path: str) -> None:
        if request.headers.get('Authorization') == 'Bearer good':
            send_blob(request, data)
        else:
            request.redirect(f'https://login.example/{path.partition("=")[2]}')
    internet.hosts['bad.example'] = serve
    assert passing.ask(path, Authorization='Bearer good').body == data
    wait_for_hits(passing, [path], Authorization='Bearer good')
    for status, content_type, answered in ((200, 'text/html', 502), (403, 'text/html', 403), (401, 'text/html', 403), (404, 'application/json', 404)):
        told = (status, b'{}', {'Content-Type': content_type})
        internet.hosts['login.example'] = lambda request, path, told=told: request.answer(*told)  # type: ignore[misc]
        answer = passing.ask(path)
        assert answer.status == answered and data not in answer.body and answer.header('X-Cache') != 'HIT'
    internet.hosts['login.example'] = lambda request, path: send_blob(request, data)
    assert passing.ask(path).header('X-Cache') == 'HIT'


@pytest.mark.parametrize('status', [405, 501])
def test_an_upstream_that_knows_no_head_is_asked_for_the_whole(passing: Worker, internet: Internet, status: int) -> None:
    data = f'without HEAD {status}'.encode()
    path = f'/v2/bad.example/some/thing/blobs/{digest_of(data)}'
    bad(internet, lambda request, path: send_blob(request, data) if request.command == 'GET' else request.error(status, 'UNSUPPORTED'))
    for dummy in range(3):
        answer = passing.ask(path)
        assert (answer.status, answer.body, answer.header('X-Cache')) == (200, data, 'MISS')
        time.sleep(0.2)


def test_a_cached_blob_is_of_its_repository(start: Start, internet: Internet, hub: Hub) -> None:
    """The same layer of a repository that the Worker's own login may not pull from."""
    worker = start({}, CLIENT_LOGINS={'a': 'b'})
    login = basic('a', 'b')
    path = layer_of(hub.images)
    assert worker.ask(path, Authorization=login).status == 200
    wait_for_hits(worker, [path], Authorization=login)
    assert worker.ask(layer_of(hub.images, 'acme/private'), Authorization=login).status == 403
    assert worker.ask(path).status == 401


def test_a_revoked_blob_is_gone_for_clients_with_tokens_of_their_own(start: Start, internet: Internet, hub: Hub) -> None:
    worker = start({})
    path = layer_of(hub.images)
    held = token(worker, 'repository:library/busybox:pull')
    worker.ask(path, Authorization=held)
    wait_for_hits(worker, [path], Authorization=held)
    layer = hub.images.blobs.pop(digest_of(hub.images.layer))
    try:
        answer = worker.ask(path, Authorization=held)
    finally:
        hub.images.blobs[digest_of(layer)] = layer
    assert (answer.status, answer.codes()) == (404, ['BLOB_UNKNOWN'])


def test_a_blob_that_breaks_off_is_not_cached(fresh: Worker, internet: Internet) -> None:
    def breaks(request: Request, path: str) -> None:
        request.head(200, {'Content-Length': '200000', 'Content-Type': 'application/octet-stream'})
        request.body(b'x' * 100_000)
        request.connection.shutdown(socket.SHUT_RDWR)
        request.close_connection = True
    path = bad(internet, breaks)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        fresh.ask(path)
    internet.hosts['bad.example'] = lambda request, path: send_blob(request, b'y' * 200_000)
    time.sleep(0.3)
    answer = fresh.ask(path)
    assert (answer.header('X-Cache'), answer.body) == ('MISS', b'y' * 200_000)


@pytest.mark.parametrize('kind', ['blobs', 'manifests'])
@pytest.mark.parametrize('content_type', ['application/json', 'application/octet-stream'])
def test_what_is_not_what_its_digest_says_is_not_cached(fresh: Worker, internet: Internet, kind: str, content_type: str) -> None:
    data = b'the one that is meant'
    path = f'/v2/bad.example/some/thing/{kind}/{digest_of(data)}'
    for told in (b'{"message": "please try again"}', b'x' * len(data)):
        bad(internet, lambda request, path, told=told: request.answer(200, told, {'Content-Type': content_type}))  # type: ignore[misc]
        for dummy in range(2):
            answer = fresh.ask(path)
            assert (answer.header('X-Cache'), answer.body) == ('MISS', told)
            time.sleep(0.2)
    bad(internet, lambda request, path: request.answer(200, data, {'Content-Type': content_type}))
    assert fresh.ask(path).body == data
    wait_for_hits(fresh, [path])
    assert fresh.ask(path).body == data
    assert 'was not cached' in ''.join(fresh.logged)


@pytest.mark.parametrize('content_type, cached', [('application/octet-stream', True), ('application/json', False), ('text/plain; charset=utf-8', False)])
def test_what_is_too_large_to_be_hashed_is_cached_unless_it_is_text(fresh: Worker, internet: Internet, content_type: str, cached: bool) -> None:
    path = bad(internet, lambda request, path: send_blob(request, b'x' * (9 << 20), {'Content-Type': content_type}))
    assert fresh.ask(path).status == 200
    time.sleep(0.5)
    assert fresh.ask(path, 'HEAD').header('X-Cache') == ('HIT' if cached else 'MISS')


def test_a_client_that_goes_away_spoils_nothing(fresh: Worker, internet: Internet) -> None:
    def slow(request: Request, path: str) -> None:
        request.head(200, {'Content-Length': '400000', 'Content-Type': 'application/octet-stream'})
        for dummy in range(4):
            request.body(b'z' * 100_000)
            time.sleep(0.1)
    path = bad(internet, slow)
    with socket.create_connection((fresh.address, fresh.port)) as connection:
        connection.sendall(f'GET {path} HTTP/1.1\r\nHost: a\r\n\r\n'.encode())
        assert connection.recv(100)
    answer = fresh.ask(path)
    assert (answer.status, answer.body) == (200, b'z' * 400_000)


def test_a_blob_of_unknown_length_is_served_and_not_cached(fresh: Worker, internet: Internet) -> None:
    def chunked(request: Request, path: str) -> None:
        request.head(200, {'Transfer-Encoding': 'chunked', 'Content-Type': 'application/octet-stream'})
        request.wfile.write(b'3\r\nabc\r\n0\r\n\r\n')
    path = bad(internet, chunked)
    for dummy in range(2):
        answer = fresh.ask(path)
        assert (answer.body, answer.header('X-Cache')) == (b'abc', 'MISS')
        time.sleep(0.1)


def workerd_memory(worker: Worker) -> int:
    """Megabytes of the processes that Node started."""
    total = 0
    for status in Path('/proc').glob('[0-9]*/status'):
        try:
            told = dict(line.split(':', 1) for line in status.read_text().splitlines() if ':' in line)
        except OSError:
            continue
        if told['Name'].strip() == 'workerd' and int(told['PPid']) == worker.process.pid:
            total += int(told.get('VmRSS', '0 kB').split()[0]) // 1024
    return total


def test_a_slow_client_piles_up_nothing_in_memory(fresh: Worker, internet: Internet) -> None:
    """A Worker has 128 MB. This blob has 256, of which the client takes a little and then waits."""
    piece, pieces = b'm' * (1 << 20), 256
    sent: list[int] = []

    def huge(request: Request, path: str) -> None:
        request.head(200, {'Content-Length': str(len(piece) * pieces), 'Content-Type': 'application/octet-stream'})
        for number in range(pieces):
            request.body(piece)
            sent.append(number)
    before = workerd_memory(fresh)
    assert before > 0
    with socket.create_connection((fresh.address, fresh.port)) as connection:
        connection.sendall(f'GET {bad(internet, huge)} HTTP/1.1\r\nHost: a\r\n\r\n'.encode())
        assert connection.recv(1000)
        time.sleep(1.5)
        assert len(sent) < 100
        assert workerd_memory(fresh) - before < 80
