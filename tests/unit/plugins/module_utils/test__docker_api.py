# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import http.server
import json
import socketserver
import threading
import time
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _docker_api
from ansible_collections.quickpull.registry.plugins.module_utils._docker_api import (
    Container,
    DockerApi,
    DockerApiError,
    DockerUnavailable,
    PullTimeout,
    connect,
    split_ref,
)

Answer = t.Tuple[int, bytes]
ROUTES: dict[str, Answer] = {
    'GET /info': (200, b'{"ServerVersion": "26.1.5"}'),
    'GET /version': (200, b'{"ApiVersion": "1.45"}'),
    'GET /containers/json': (200, b'[{"Id": "b1"}, {"Id": "gone"}, {"Id": "a1"}]'),
    'GET /containers/a1/json': (200, b'{"Name": "/web", "HostConfig": {"RestartPolicy": {"Name": "always"}}, "State": {"Pid": 7}}'),
    'GET /containers/b1/json': (200, b'{"Name": "/job", "HostConfig": {"RestartPolicy": {"Name": ""}, "AutoRemove": true}, "State": {}}'),
    'GET /images/busybox:latest/json': (200, b'{}'),
    'GET /images/quay.io/a/b:1/json': (200, b'{"Id": "sha256:7"}'),
    'POST /images/quay.io/a/b:1/tag?repo=a%2Fc&tag=2': (201, b''),
    'DELETE /images/busybox:latest': (200, b'[]'),
    'GET /images/broken:latest/json': (500, b'{"message": "driver failed"}'),
    'POST /images/create?fromImage=busybox&tag=latest': (200, b'{"status": "Pulling"}\r\n{"status": "Done"}\r\n'),
    'POST /images/create?fromImage=denied&tag=1': (200, b'{"status": "Pulling"}\n{"errorDetail": {"message": "pull access denied"}}\n'),
    'POST /images/create?fromImage=missing&tag=1': (404, b'{"message": "manifest unknown"}'),
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def answer(self) -> None:
        server = t.cast('Server', self.server)
        key = f'{self.command} {self.path}'
        server.seen.append(key)
        server.auth.append(self.headers.get('X-Registry-Auth', ''))
        if 'fromImage=endless' in key:
            self.endless()
            return
        status, body = ROUTES.get(key, (404, b'{"message": "page not found"}'))
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer

    def endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        try:
            while not t.cast('Server', self.server).stopped.wait(0.01):
                self.wfile.write(b'{"status": "Downloading"}\n')
        except OSError:
            t.cast('Server', self.server).broken_off.set()

    def address_string(self) -> str:
        return 'unix'

    def log_message(self, format: str, *args: t.Any) -> None:
        pass


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str) -> None:
        super().__init__(path, Handler)
        self.seen: list[str] = []
        self.auth: list[str] = []
        self.stopped = threading.Event()
        self.broken_off = threading.Event()


@pytest.fixture
def server(tmp_path: Path) -> t.Iterator[Server]:
    with Server(str(tmp_path / 'd.sock')) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        yield found
        found.stopped.set()
        found.shutdown()
        thread.join()


@pytest.fixture
def api(server: Server) -> t.Iterator[DockerApi]:
    found = connect(f'unix://{server.server_address}', 5.0, sdk=False)
    yield found
    found.close()


def test_calls_over_the_socket_have_no_version_in_their_path(api: DockerApi, server: Server) -> None:
    assert api.via == 'socket'
    assert api.info() == {'ServerVersion': '26.1.5'}
    assert api.version() == {'ApiVersion': '1.45'}
    assert server.seen == ['GET /info', 'GET /version']


def test_containers_are_sorted_and_one_that_ended_meanwhile_is_left_out(api: DockerApi) -> None:
    assert api.containers() == [Container('b1', 'job', 'no', True), Container('a1', 'web', 'always', False, 7)]


COMES_BACK = {'always': True, 'unless-stopped': True, 'on-failure': False, 'no': False}


@pytest.mark.parametrize('policy, back', COMES_BACK.items())
def test_who_comes_back(policy: str, back: bool) -> None:
    assert Container('1', 'x', policy, False).comes_back is back
    assert not Container('1', 'x', policy, True).comes_back


def test_images(api: DockerApi, server: Server) -> None:
    assert api.image_exists('busybox')
    assert not api.image_exists('quay.io/none/such@sha256:ab')
    api.remove_image('busybox')
    api.remove_image('none')
    assert server.seen[1:] == ['GET /images/quay.io/none/such@sha256:ab/json', 'DELETE /images/busybox:latest', 'DELETE /images/none:latest']
    with pytest.raises(DockerApiError, match='driver failed') as caught:
        api.image_exists('broken')
    assert caught.value.status == 500


def test_an_image_gets_another_name(api: DockerApi, server: Server) -> None:
    assert (api.image_id('quay.io/a/b:1'), api.image_id('none')) == ('sha256:7', '')
    api.tag('quay.io/a/b:1', 'a/c:2')
    assert server.seen[-1] == 'POST /images/quay.io/a/b:1/tag?repo=a%2Fc&tag=2'
    with pytest.raises(DockerApiError, match='page not found'):
        api.tag('none', 'a/c:2')


def test_a_pull_with_a_login_hands_it_over(api: DockerApi, server: Server) -> None:
    api.pull('busybox', 5, {'username': 'acme', 'password': 'pÄss'})
    assert json.loads(base64.urlsafe_b64decode(server.auth[0])) == {'username': 'acme', 'password': 'pÄss'}


def test_a_pull_sends_no_credentials(api: DockerApi, server: Server) -> None:
    api.pull('busybox', 5)
    assert server.auth == ['e30=']  # {}


@pytest.mark.parametrize('ref, words', [('denied:1', 'pull access denied'), ('missing:1', 'manifest unknown')])
def test_a_pull_fails_with_the_daemons_words(api: DockerApi, ref: str, words: str) -> None:
    with pytest.raises(DockerApiError, match=words):
        api.pull(ref, 5)


def test_an_endless_pull_ends_in_time_and_is_broken_off(api: DockerApi, server: Server) -> None:
    start = time.monotonic()
    with pytest.raises(PullTimeout, match=r'within 0\.2 seconds'):
        api.pull('endless', 0.2)
    assert time.monotonic() - start < 2
    assert server.broken_off.wait(5)


def test_nobody_answers(tmp_path: Path) -> None:
    found = connect(f'unix://{tmp_path}/none.sock', 1.0, sdk=False)
    with pytest.raises(DockerUnavailable, match=r'did not answer at unix://.*none\.sock'):
        found.info()
    with pytest.raises(DockerUnavailable):
        found.pull('busybox', 1)
    with pytest.raises(DockerUnavailable, match='ssh://x'):
        connect('ssh://x', sdk=False).info()


@pytest.mark.parametrize('body', [b'<html>', b'[]', b'\xff'])
def test_something_else_answers(api: DockerApi, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    monkeypatch.setitem(ROUTES, 'GET /info', (200, body))
    with pytest.raises(DockerUnavailable):
        api.info()


def test_an_endless_answer_is_bounded(api: DockerApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_docker_api, 'MAX_BODY', 10)
    with pytest.raises(DockerUnavailable, match='more than 10 bytes'):
        api.info()


class FakeSdk:
    """Does as it is told: returns a value, or raises it."""

    def __init__(self, **answers: t.Any) -> None:
        self._answers = answers
        self.asked: list[t.Any] = []

    def __getattr__(self, name: str) -> t.Callable[..., t.Any]:
        def call(*args: t.Any, **kwargs: t.Any) -> t.Any:
            self.asked.append((name, args, kwargs))
            found = self._answers.get(name)
            if isinstance(found, Exception):
                raise found
            return found

        return call


def with_sdk(sdk: FakeSdk, server: Server) -> DockerApi:
    return DockerApi(sdk, _docker_api._Http(f'unix://{server.server_address}', 5.0))


def test_the_sdk_is_asked_first(server: Server) -> None:
    found = with_sdk(FakeSdk(info={'ServerVersion': '1'}), server)
    assert (found.info(), found.via) == ({'ServerVersion': '1'}, 'sdk')
    assert server.seen == []


def test_a_failing_sdk_is_left_aside_for_good(server: Server) -> None:
    sdk = FakeSdk(info=TypeError('unexpected keyword'), version={'ApiVersion': 'wrong'})
    found = with_sdk(sdk, server)
    assert found.info() == {'ServerVersion': '26.1.5'}
    assert found.via == 'socket'
    assert found.version() == {'ApiVersion': '1.45'}
    assert [name for name, _args, _kwargs in sdk.asked] == ['info']


def test_a_pull_through_the_sdk_sends_no_credentials(server: Server) -> None:
    sdk = FakeSdk(pull=[{'status': 'Done'}])
    with_sdk(sdk, server).pull('quay.io/a/b:1', 5)
    assert sdk.asked == [('pull', ('quay.io/a/b',), {'tag': '1', 'stream': True, 'decode': True, 'auth_config': {}})]


class AnswerError(Exception):
    """Like docker.errors.APIError."""

    def __init__(self, status: int, explanation: str) -> None:
        super().__init__(explanation)
        self.response = type('Response', (), {'status_code': status})()
        self.explanation = explanation


def test_an_error_in_the_sdks_stream_or_answer_is_the_daemons(server: Server) -> None:
    for answer in ([{'error': 'no basic auth credentials'}], AnswerError(404, 'no basic auth credentials')):
        with pytest.raises(DockerApiError, match='no basic auth credentials'):
            with_sdk(FakeSdk(pull=answer), server).pull('denied:1', 5)
    assert server.seen == []


def test_an_image_that_the_sdk_does_not_find_is_no_trouble_of_the_sdk(server: Server) -> None:
    missing = AnswerError(404, 'No such image')
    found = with_sdk(FakeSdk(inspect_image=missing, remove_image=missing), server)
    assert not found.image_exists('none')
    found.remove_image('none')
    assert (found.via, server.seen) == ('sdk', [])


@pytest.mark.parametrize('trouble', [TypeError('x'), AnswerError(400, 'client version 1.20 is too old')])
def test_other_trouble_of_the_sdk_with_a_pull_goes_to_the_socket(server: Server, trouble: Exception) -> None:
    found = with_sdk(FakeSdk(pull=trouble), server)
    found.pull('busybox', 5)
    assert found.via == 'socket'
    assert server.seen == ['POST /images/create?fromImage=busybox&tag=latest']


def test_a_pull_of_the_sdk_that_hangs_is_left_behind(server: Server) -> None:
    release = threading.Event()

    def hang() -> t.Iterator[t.Any]:
        release.wait(10)
        yield from ()

    try:
        with pytest.raises(PullTimeout):
            with_sdk(FakeSdk(pull=hang()), server).pull('busybox', 0.05)
    finally:
        release.set()


@pytest.mark.parametrize('module', [None, type('Docker', (), {'APIClient': None})])
def test_an_sdk_that_is_missing_or_broken(module: t.Any, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(_name: str) -> t.Any:
        if module is None:
            raise ImportError
        return module

    monkeypatch.setattr('importlib.import_module', import_module)
    assert connect(f'unix://{server.server_address}').via == 'socket'


REFS: list[tuple[str, tuple[str, str]]] = [
    ('busybox', ('busybox', 'latest')),
    ('busybox:1', ('busybox', '1')),
    ('host:5000/a/b', ('host:5000/a/b', 'latest')),
    ('host:5000/a/b:1', ('host:5000/a/b', '1')),
    ('[::1]:5000/a', ('[::1]:5000/a', 'latest')),
    ('a/b@sha256:ff', ('a/b', 'sha256:ff')),
]


@pytest.mark.parametrize('ref, parts', REFS)
def test_split_ref(ref: str, parts: tuple[str, str]) -> None:
    assert split_ref(ref) == parts


NAMES = st.from_regex(r'\A([a-z0-9]{1,8}(:[0-9]{1,4})?/)?[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,2}\Z')


@given(NAMES, st.from_regex(r'\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}\Z'))
def test_a_tag_is_found_behind_any_name(name: str, tag: str) -> None:
    assert split_ref(f'{name}:{tag}') == (name, tag)


def test_messages_are_taken_from_json() -> None:
    assert _docker_api._message(json.dumps({'message': 'x'}).encode()) == 'x'
    assert _docker_api._message(b'plain ') == 'plain'
