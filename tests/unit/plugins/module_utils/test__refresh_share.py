# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import http.client
import json
import selectors
import socket
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _refresh_share as share
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._http import FetchError

RESULTS = [{'url': 'https://a.example', 'ok': True, 'state': 'ok', 'route': 'direct', 'latency_ms': 5.0, 'throughput_bps': None, 'notes': ['late_challenge']}]
NOW = 1_800_000_000.0


def test_what_is_offered_is_read_with_its_age() -> None:
    text = share.with_age(share.dump(NOW - 40, {'key': RESULTS}), NOW)
    found = share.load(text, 'http://leader.lan', NOW + 7200)  # another clock
    assert found is not None
    assert (found.probed_at, found.upstreams, found.source) == (NOW + 7200 - 40, {'key': RESULTS}, 'http://leader.lan')


def test_no_more_is_shown_than_the_choice_needs() -> None:
    text = share.dump(NOW, {'key': [{**RESULTS[0], 'reason': 'secret/image:tag', 'images': {'secret/image:tag': {}}}]})
    assert 'secret' not in text


@pytest.mark.parametrize('change, left', [
    ({'latency_ms': 10**400}, {'latency_ms': None}), ({'latency_ms': -1}, {'latency_ms': None}), ({'latency_ms': True}, {'latency_ms': None}),
    ({'state': 'x' * 5000, 'ok': 1}, {'ok': False, 'state': 'unreachable'}), ({'notes': ['a b', 3, 'fine']}, {'notes': ['fine']}),
    ({'more': 'x', 'route': 'a\nb'}, {}),
])  # fmt: skip
def test_what_is_not_expected_is_left_out(change: dict[str, t.Any], left: dict[str, t.Any]) -> None:
    found = share.load(json.dumps({'version': 1, 'age': 1, 'upstreams': {'key': [{**RESULTS[0], **change}]}}), 'x', NOW)
    assert found is not None
    (one,) = found.upstreams['key']
    assert {name: one[name] for name in left} == left
    assert set(one) <= set(RESULTS[0])
    assert one.get('route') in (None, 'direct')


@pytest.mark.parametrize('text', [
    '[' * 100_000, '{"version": 1, "age": 1' + '0' * 400 + ', "upstreams": {}}',
    '{"version": 1, "age": 1, "upstreams": {"key": [{"ok": true, "url": "http://\\ud800"}]}}',
    '{"version": 1, "age": 1, "upstreams": {"key": [{"ok": true, "url": "http://a\\nb"}]}}', '{"version": 1, "age": 1, "upstreams": {"key": [7]}}',
    '', '[]', '{', '{"version": 2, "probed_at": 1, "upstreams": {}}', '{"version": 1, "probed_at": "x", "upstreams": {}}',
    '{"version": 1, "probed_at": 1, "upstreams": {"key": [{"ok": true}]}}', '{"version": 1, "age": -100, "upstreams": {}}',
    '{"version": 1, "probed_at": 1, "upstreams": []}',
])  # fmt: skip
def test_what_cannot_be_understood_is_nothing(text: str) -> None:
    assert share.load(text, 'http://leader.lan', NOW) is None


def test_the_first_host_with_results_that_are_new_enough_is_believed() -> None:
    answers = {'http://old.lan': 900.0, 'http://new.lan': 30.0, 'http://newer.lan': 1.0}

    def fetch(url: str, _ca_path: str) -> str:
        host = url[: -len(share.URL_PATH)]
        if host not in answers:
            raise FetchError('connect', 'refused')
        return share.with_age(share.dump(NOW - answers[host], {}), NOW)

    found = share.ask(['http://gone.lan', 'http://old.lan/', 'http://new.lan', 'http://newer.lan'], '', 600, NOW, fetch)
    assert found is not None
    assert (found.source, found.probed_at) == ('http://new.lan', NOW - 30)
    assert share.ask(['http://gone.lan', 'http://old.lan'], '', 600, NOW, fetch) is None


@pytest.mark.parametrize('text, address', [
    ('8377', ('0.0.0.0', 8377)), ('10.0.0.1:80', ('10.0.0.1', 80)), ('[fd00::1]:8377', ('fd00::1', 8377)),
])  # fmt: skip
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert share.parse_address(text) == address


@pytest.mark.parametrize('text', ['', 'x', '0', '65536', 'host:', 'host:x'])
def test_no_addresses(text: str) -> None:
    with pytest.raises(ConfigError, match='neither a port nor ADDRESS:PORT'):
        share.parse_address(text)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[tuple[Path, int]]:
    """The file, and the port where it is shown."""
    made: list[t.Any] = []

    class Kept(share._Server):
        def __init__(self, *args: t.Any) -> None:
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(share, '_Server', Kept)
    monkeypatch.setattr(share, 'parse_address', lambda _text: ('127.0.0.1', 0))
    path = tmp_path / 'probes.json'

    def run() -> None:
        with pytest.raises(AssertionError):
            share.serve('0', str(path))

    thread = threading.Thread(target=run)
    thread.start()
    while not made:
        time.sleep(0.01)
    yield path, made[0].server_address[1]
    made[0].shutdown()
    thread.join()
    made[0].server_close()


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=5)
    connection.request('GET', path)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


def test_the_file_is_shown_and_nothing_else(server: tuple[Path, int]) -> None:
    path, port = server
    assert get(port, share.URL_PATH) == (404, '{}')
    path.write_text(share.dump(time.time() - 5, {'key': RESULTS}))
    status, text = get(port, share.URL_PATH)
    assert status == 200
    assert 4 < json.loads(text)['age'] < 60
    found = share.ask([f'http://127.0.0.1:{port}/'], '', 600, time.time())
    assert found is not None
    assert found.upstreams == {'key': RESULTS}
    for other in ('/', '/etc/passwd', f'{share.URL_PATH}/..', '//etc/passwd'):
        assert get(port, other)[0] == 404


def test_a_thousand_hosts_that_ask_at_once_are_all_answered_by_a_few_threads(server: tuple[Path, int]) -> None:
    path, port = server
    path.write_text(share.dump(time.time(), {'key': RESULTS}))
    before, most, answered = threading.active_count(), 0, 0
    waiting = selectors.DefaultSelector()
    for _number in range(1000):
        sock = socket.socket()
        sock.setblocking(False)
        assert sock.connect_ex(('127.0.0.1', port)) in (0, errno.EINPROGRESS)
        waiting.register(sock, selectors.EVENT_WRITE)
    until = time.monotonic() + 20
    while waiting.get_map() and time.monotonic() < until:
        for key, events in waiting.select(1):
            sock = t.cast('socket.socket', key.fileobj)
            if events & selectors.EVENT_WRITE:
                sock.send(f'GET {share.URL_PATH} HTTP/1.1\r\nHost: x\r\n\r\n'.encode())
                waiting.modify(sock, selectors.EVENT_READ)
            else:
                answered += sock.recv(4096).startswith(b'HTTP/1.1 200 ')
                waiting.unregister(sock)
                sock.close()
        most = max(most, threading.active_count() - before)
    waiting.close()
    assert answered == 1000
    assert most <= share.THREADS
