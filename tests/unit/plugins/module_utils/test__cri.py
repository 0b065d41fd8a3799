# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CRI's client against a server that speaks canned HTTP/2 frames; what a real containerd says is tested in tests/lab/test_hosts_toml.py."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _cri
from ansible_collections.quickpull.registry.plugins.module_utils._cri import CriUnavailable

CONFIG = {'registry': {'configPath': '/etc/containerd/certs.d'}, 'more': 'x' * 300}


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b'', length: int | None = None) -> bytes:
    return struct.pack('>I', len(payload) if length is None else length)[1:] + struct.pack('>BBI', kind, flags, stream) + payload


def varint(number: int) -> bytes:
    data = b''
    while number > 127:
        data, number = data + bytes([number & 127 | 128]), number >> 7
    return data + bytes([number])


def text(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def status(config: bytes, key: bytes = b'config') -> bytes:
    """A StatusResponse: a status that nobody reads, numbers of all widths, and two entries of the map."""
    numbers = b'\x18\x96\x01' + b'\x21' + bytes(8) + b'\x2d' + bytes(4)
    return text(1, b'\x0a\x02ok') + numbers + text(2, text(1, b'other') + text(2, b'{}')) + text(2, text(1, key) + text(2, config))


def grpc(message: bytes) -> bytes:
    return b'\0' + struct.pack('>I', len(message)) + message


def data(payload: bytes, flags: int = 0, stream: int = 1) -> bytes:
    return frame(0, flags, stream, payload)


def data_of(message: bytes) -> list[bytes]:
    return [data(message[start : start + 2**14]) for start in range(0, len(message), 2**14)]


GOOD = grpc(status(json.dumps(CONFIG).encode()))
SETTINGS, PING, GOAWAY, RESET = frame(4, 0, 0, b'\0\4\0\0\1\0'), frame(6, 0, 0, b'12345678'), frame(7, 0, 0, bytes(8)), frame(3, 0, 1, bytes(4))
HEADERS, TRAILERS = frame(1, 4, 1, b'\x88'), frame(1, 5, 1, b'\x88')
WHOLE = SETTINGS + HEADERS + data(GOOD) + TRAILERS


class Server(threading.Thread):
    """Sends the pieces as they are to whoever asks; then closes, or stays silent until the client goes."""

    def __init__(self, path: str, pieces: t.Sequence[bytes], *, closes: bool = True) -> None:
        super().__init__(daemon=True)
        self.pieces, self.closes = pieces, closes
        self.got = b''
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(1)

    def run(self) -> None:
        connection, _address = self.listener.accept()
        connection.settimeout(5)
        with connection, contextlib.suppress(OSError):
            while b'\x08\x01' not in self.got:
                self.got += connection.recv(65536)
            for piece in self.pieces:
                connection.sendall(piece)
            if self.closes:
                connection.shutdown(socket.SHUT_WR)
            while more := connection.recv(65536):
                self.got += more


def ask(*pieces: bytes, closes: bool = True, timeout: float = 5) -> tuple[dict[str, t.Any], Server]:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(f'{folder}/s', pieces, closes=closes)
        server.start()
        try:
            return _cri.config_in_force(f'{folder}/s', timeout), server
        finally:
            server.join(5)
            server.listener.close()
            assert not server.is_alive()


ANSWERS = {
    'at once': [WHOLE],
    'byte by byte': [bytes([byte]) for byte in WHOLE],
    'two messages of data': [HEADERS, data(GOOD[:7]), PING, data(GOOD[7:]), SETTINGS, TRAILERS],
    'data with the end': [SETTINGS, HEADERS, data(GOOD, 1)],
    'padded': [HEADERS, data(b'\3' + GOOD[:9] + b'pad', 8), data(b'\0' + GOOD[9:], 8), TRAILERS],
    'other streams': [frame(0, 1, 3, b'other'), frame(3, 0, 3, bytes(4)), frame(99, 1, 1, b'?'), frame(8, 0, 0, b'\0\0\1\0'), WHOLE],
    'acknowledged': [frame(4, 1), frame(6, 1, 0, bytes(8)), WHOLE],
    'reserved bit': [HEADERS, frame(0, 1, 1 | 1 << 31, GOOD)],
}


@pytest.mark.parametrize('pieces', ANSWERS.values(), ids=ANSWERS)
def test_an_answer(pieces: list[bytes]) -> None:
    found, _server = ask(*pieces, closes=False)
    assert found == CONFIG
    assert _cri.config_path_of(found) == '/etc/containerd/certs.d'


def test_it_asks_one_question_and_answers_what_a_server_asks() -> None:
    _found, server = ask(SETTINGS, PING, WHOLE)
    assert server.got.startswith(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    assert b'/runtime.v1.RuntimeService/Status' in server.got
    assert server.got.endswith(frame(4, 1) + frame(6, 1, 0, b'12345678') + frame(4, 1))


REFUSALS: dict[str, tuple[list[bytes], str]] = {
    'closes': ([], 'closed the connection'),
    'closes in the middle': ([WHOLE[:-3]], 'closed the connection'),
    'error without data': ([SETTINGS, TRAILERS], 'has no CRI'),
    'four bytes': ([HEADERS, data(b'\0\0\0\0', 1)], 'has no CRI'),
    'goaway': ([SETTINGS, GOAWAY], 'ended the call'),
    'reset': ([HEADERS, data(GOOD[:9]), RESET], 'ended the call'),
    'a frame that is too long': ([frame(0, 0, 1, length=2**24 - 1)], 'does not speak HTTP/2'),
    'another protocol': ([b'HTTP/1.1 400 Bad Request\r\n\r\n'], 'does not speak HTTP/2'),
    'padded with nothing': ([frame(0, 8, 1)], 'does not speak HTTP/2'),
    'padded with too much': ([data(b'\x0a' + bytes(9), 8)], 'does not speak HTTP/2'),
    'no end': ([data(bytes(2**14))] * 513, 'does not end'),
    'nothing in it': ([data(grpc(b''), 1)], 'does not tell'),
    'other keys': ([data(grpc(status(b'{}', b'else')), 1)], 'does not tell'),
    'no JSON': ([data(grpc(status(b'{')), 1)], 'does not tell'),
    'no UTF-8': ([data(grpc(status(b'"\xff"')), 1)], 'does not tell'),
    'JSON of the deep': ([*data_of(grpc(status(b'[' * 200_000))), TRAILERS], 'does not tell'),
    'a number that does not end': ([*data_of(grpc(b'\xff' * 2**20)), TRAILERS], 'does not tell'),
    'a length of more than there is': ([data(grpc(b'\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f'), 1)], 'does not tell'),
    'a group': ([data(grpc(b'\x0b' + status(b'{}')), 1)], 'does not tell'),
}


@pytest.mark.parametrize('name', REFUSALS)
def test_what_is_no_answer(name: str) -> None:
    pieces, because = REFUSALS[name]
    began = time.monotonic()
    with pytest.raises(CriUnavailable, match=because):
        ask(*pieces)
    assert time.monotonic() - began < 4


@pytest.mark.parametrize('pieces', [[], [SETTINGS, HEADERS, data(GOOD[:7])]])
def test_one_that_never_answers(pieces: list[bytes]) -> None:
    began = time.monotonic()
    with pytest.raises(CriUnavailable, match=r'in time|timed out'):
        ask(*pieces, closes=False, timeout=0.2)
    assert time.monotonic() - began < 2


def test_one_that_talks_without_an_end() -> None:
    began = time.monotonic()
    with pytest.raises(CriUnavailable, match=r'in time|timed out'):
        ask(*[frame(8, 0, 0, b'\0\0\0\1')] * 300_000, closes=False, timeout=0.2)
    assert time.monotonic() - began < 4


@pytest.mark.parametrize('name', ['absent', 'a' * 200, 'file'])
def test_nobody_listens(tmp_path: Path, name: str) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(CriUnavailable, match='cannot be asked at'):
        _cri.config_in_force(str(tmp_path / name), 0.5)


@pytest.mark.parametrize(
    'config, path',
    [
        ({}, None),
        ({'registry': None}, ''),
        ({'registry': {}}, ''),
        ({'registry': {'configPath': None}}, ''),
        ({'registry': {'configPath': '/a:/b'}}, '/a:/b'),
        ({'registry': ['?']}, ''),
    ],
)
def test_config_path(config: dict[str, t.Any], path: str | None) -> None:
    assert _cri.config_path_of(config) == path


@given(st.lists(st.integers(1, len(WHOLE)), max_size=6))
def test_however_it_is_cut_into_pieces(cuts: list[int]) -> None:
    ends = sorted({*cuts, len(WHOLE)})
    found, _server = ask(*(WHOLE[start:end] for start, end in zip([0, *ends], ends)))
    assert found == CONFIG


@given(st.binary(max_size=60), st.booleans())
def test_whatever_comes_it_answers_or_says_why_not(junk: bytes, framed: bool) -> None:
    with contextlib.suppress(CriUnavailable):
        found, _server = ask(SETTINGS, data(grpc(junk), 1) if framed else junk)
        assert isinstance(found, dict)
