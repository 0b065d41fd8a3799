# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one question that containerd's CRI is asked: what its configuration is, as it runs.

systemd calls containerd active while its CRI plugin has failed, so only the CRI itself proves anything. It speaks gRPC, that is HTTP/2, for which
the standard library has nothing; one call on one connection needs little of it. Headers go out as literals (RFC 7541, section 6.2.2), and of the
headers that come back nothing is read: an answer has a message, an error has none.

Sources: RFC 9113 (frames), the page "gRPC over HTTP2", cri-api's api.proto (StatusRequest, StatusResponse).
"""

from __future__ import annotations

import json
import socket
import struct
import time
import typing as t

SOCKET = '/run/containerd/containerd.sock'
_SERVICE = 'runtime.v1.RuntimeService'

_PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_ACK, _END_STREAM, _END_HEADERS, _PADDED = 1, 1, 4, 8
_INITIAL_WINDOW_SIZE = 4
_WINDOW = 2**24
# A server may send no longer frames to a client that did not allow it (RFC 9113, SETTINGS_MAX_FRAME_SIZE).
_LONGEST_FRAME = 2**14
_MOST = 8 * 1024 * 1024


class CriUnavailable(Exception):
    """The CRI did not answer; the text is a sentence that says why."""


def config_in_force(path: str = SOCKET, timeout: float = 10.0) -> dict[str, t.Any]:
    """The configuration of the running CRI plugin (the verbose part of its status).

    :param timeout: seconds in all.
    :returns: such as ``{'registry': {'configPath': '/etc/containerd/certs.d'}}``; names differ between versions, see :func:`config_path_of`.
    :raises CriUnavailable: when nobody answers, or what answers has no CRI.
    """
    message = _call(path, f'/{_SERVICE}/Status', b'\x08\x01', timeout)  # StatusRequest.verbose = true
    for number, value in _fields(message):
        if number != 2 or not isinstance(value, bytes):  # StatusResponse.info, a map
            continue
        pair = {key: inner for key, inner in _fields(value) if isinstance(inner, bytes)}
        if pair.get(1) == b'config':
            try:
                found = json.loads(pair.get(2, b''))
            except (ValueError, RecursionError):
                break
            return found if isinstance(found, dict) else {}
    raise CriUnavailable(f'The CRI at {path} does not tell its configuration.')


def config_path_of(config: t.Mapping[str, t.Any]) -> str | None:
    """Where the running CRI looks for hosts.toml files; empty when nowhere. None: it does not tell, as of containerd 2.0."""
    if 'registry' not in config:
        return None
    registry = config['registry']
    return str(registry.get('configPath') or '') if isinstance(registry, dict) else ''


def _call(path: str, method: str, message: bytes, timeout: float) -> bytes:
    """One unary call."""
    deadline = time.monotonic() + timeout
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(path)
        connection.sendall(_PREFACE + _opening(method, message))
        return _message(_answer(_Frames(connection, deadline)), path)
    except OSError as exc:
        raise CriUnavailable(f'The CRI cannot be asked at {path}: {exc.strerror or exc}.') from exc
    finally:
        connection.close()


def _frame(kind: int, flags: int, stream: int, payload: bytes = b'') -> bytes:
    return struct.pack('>I', len(payload))[1:] + struct.pack('>BBI', kind, flags, stream) + payload


def _opening(method: str, message: bytes) -> bytes:
    headers = [
        (':method', 'POST'), (':scheme', 'http'), (':path', method), (':authority', 'localhost'),
        ('content-type', 'application/grpc'), ('te', 'trailers'), ('user-agent', 'quickpull.registry'),
    ]  # fmt: skip
    block = b''.join(b'\x00' + _literal(name) + _literal(value) for name, value in headers)
    return b''.join((
        _frame(_SETTINGS, 0, 0, struct.pack('>HI', _INITIAL_WINDOW_SIZE, _WINDOW)),
        _frame(_WINDOW_UPDATE, 0, 0, struct.pack('>I', _WINDOW)),
        _frame(_HEADERS, _END_HEADERS, 1, block),
        _frame(_DATA, _END_STREAM, 1, b'\x00' + struct.pack('>I', len(message)) + message),
    ))


def _literal(text: str) -> bytes:
    data = text.encode('ascii')
    if len(data) >= 127:
        raise ValueError(text)
    return bytes([len(data)]) + data


class _Frames:
    """What comes from the server, frame by frame."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self.connection = connection
        self.deadline = deadline

    def _exactly(self, size: int) -> bytes:
        data = b''
        while len(data) < size:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError('it did not answer in time')
            self.connection.settimeout(left)
            more = self.connection.recv(min(size - len(data), 65536))
            if not more:
                raise ConnectionError('it closed the connection')
            data += more
        return data

    def next(self) -> tuple[int, int, int, bytes]:
        """Kind, flags, stream and payload."""
        head = self._exactly(9)
        length = int.from_bytes(head[:3], 'big')
        kind, flags, stream = struct.unpack('>BBI', head[3:])
        if length > _LONGEST_FRAME:
            raise ConnectionError('it does not speak HTTP/2')
        return kind, flags, stream & 0x7FFFFFFF, self._exactly(length)

    def send(self, frame: bytes) -> None:
        self.connection.sendall(frame)


def _answer(frames: _Frames) -> bytes:
    """The data of stream 1 until it ends."""
    data = b''
    while True:
        kind, flags, stream, payload = frames.next()
        if kind == _SETTINGS and not flags & _ACK:
            frames.send(_frame(_SETTINGS, _ACK, 0))
        elif kind == _PING and not flags & _ACK:
            frames.send(_frame(_PING, _ACK, 0, payload))
        elif kind == _GOAWAY or (kind == _RST_STREAM and stream == 1):
            raise ConnectionError('it ended the call')
        elif kind == _DATA and stream == 1:
            data += _unpadded(payload) if flags & _PADDED else payload
            if len(data) > _MOST:
                raise ConnectionError('its answer does not end')
        if stream == 1 and kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            return data


def _unpadded(payload: bytes) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise ConnectionError('it does not speak HTTP/2')
    return payload[1 : len(payload) - payload[0]]


def _message(data: bytes, path: str) -> bytes:
    if len(data) < 5:
        raise CriUnavailable(f'What answers at {path} has no CRI: its plugin is disabled, or has failed. See: ctr plugins ls')
    return data[5 : 5 + struct.unpack('>I', data[1:5])[0]]


def _fields(message: bytes) -> t.Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: number and value; what is not understood ends it."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
        elif wire == 2:
            size, at = _varint(message, at)
            yield number, message[at : at + size]
            at += size
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            return


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends; one that does not end within ten bytes takes all that is left."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    return value, len(data)
