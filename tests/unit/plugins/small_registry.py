# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small registry in this process, on 127.0.0.1, that a test can make misbehave."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import io
import json
import random
import re
import select
import socket
import ssl
import subprocess
import tarfile
import threading
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

INDEX = 'application/vnd.oci.image.index.v1+json'
MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
CONFIG = 'application/vnd.oci.image.config.v1+json'
LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'


def sha256(data: bytes) -> str:
    return 'sha256:' + hashlib.sha256(data).hexdigest()


@dataclass
class Answer:
    """What the server sends. *raw* is sent as it is, in place of all else; *trickle* seconds lie between its bytes; then it may *hang*."""

    status: int = 200
    body: bytes = b''
    headers: dict[str, str] = field(default_factory=dict)
    raw: t.Iterable[bytes] | None = None
    trickle: float = 0.0
    hang: bool = False
    close: bool = False


@dataclass
class Asked:
    """A request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b''

    def header(self, name: str) -> str:
        return self.headers.get(name.lower(), '')


Handler = t.Callable[[Asked], Answer]


class Server:
    """Answers each request with what *handler* returns; keeps what was asked in `log`."""

    def __init__(self, handler: Handler, certificate: str = '') -> None:
        self.handler = handler
        self.log: list[Asked] = []
        self.tunnel_port = 0  # where CONNECT leads to; 0: to the port that is asked for
        self._stop = threading.Event()
        self._listener = socket.create_server(('127.0.0.1', 0))
        self._context: ssl.SSLContext | None = None
        if certificate:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f'{"https" if self._context else "http"}://127.0.0.1:{self.port}'

    def paths(self) -> list[str]:
        return [f'{asked.method} {asked.path}' for asked in self.log]

    def close(self) -> None:
        self._stop.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _address = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            stream = connection.makefile('rb')
            while self._one(connection, stream):
                pass

    def _one(self, connection: socket.socket, stream: t.Any) -> bool:
        line = stream.readline(65536).decode('latin-1').split()
        if len(line) != 3:
            return False
        headers = {name.lower(): value for name, value in http.client.parse_headers(stream).items()}
        asked = Asked(line[0], line[1], headers, stream.read(int(headers.get('content-length', 0))))
        self.log.append(asked)
        if asked.method == 'CONNECT':
            self._tunnel(connection, asked)
            return False
        answer = self.handler(asked)
        for part in answer.raw if answer.raw is not None else [self._render(asked, answer)]:
            for piece in (part[at : at + 1] for at in range(len(part))) if answer.trickle else [part]:
                connection.sendall(piece)
                if answer.trickle and self._stop.wait(answer.trickle):
                    return False
        if answer.hang:
            self._stop.wait()
        return not answer.close and answer.raw is None

    def _render(self, asked: Asked, answer: Answer) -> bytes:
        headers = {'Content-Length': str(len(answer.body)), **answer.headers}
        head = [f'HTTP/1.1 {answer.status} {http.client.responses.get(answer.status, "Odd")}'] + [f'{name}: {value}' for name, value in headers.items()]
        return ('\r\n'.join(head) + '\r\n\r\n').encode() + (b'' if asked.method == 'HEAD' else answer.body)

    def _tunnel(self, connection: socket.socket, asked: Asked) -> None:
        """CONNECT: the handler's answer; with 200 bytes are carried to a port of this machine."""
        answer = self.handler(asked)
        connection.sendall(self._render(Asked('HEAD', '', {}), Answer(answer.status)))
        if answer.status == 200:
            with socket.create_connection(('127.0.0.1', self.tunnel_port or int(asked.path.rpartition(':')[2]))) as target:
                relay(connection, target)


def relay(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until one side closes."""
    while True:
        # What TLS has unpacked already does not show on the socket.
        ready: list[socket.socket] = [each for each in (one, other) if isinstance(each, ssl.SSLSocket) and each.pending()]
        ready = ready or select.select([one, other], [], [], 5)[0]
        if not ready:
            return
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            (other if source is one else one).sendall(data)


def make_certificate(folder: Path) -> str:
    """A self-signed certificate and its key in one PEM file, for 127.0.0.1 and mirror.test; as a CA it verifies itself."""
    made = ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost',
            '-addext', 'subjectAltName=DNS:mirror.test,IP:127.0.0.1', '-keyout', 'key.pem', '-out', 'cert.pem']  # fmt: skip
    subprocess.run(made, cwd=folder, check=True, capture_output=True)
    both = folder / 'both.pem'
    both.write_text((folder / 'key.pem').read_text() + (folder / 'cert.pem').read_text())
    return str(both)


def layer(size: int, seed: int = 0) -> bytes:
    """A layer whose archive holds one file of *size* bytes that do not compress."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as archive:
        entry = tarfile.TarInfo('bin/file')
        entry.size = size
        archive.addfile(entry, io.BytesIO(random.Random(seed).randbytes(size)))
    return gzip.compress(buffer.getvalue(), 1, mtime=0)


@dataclass
class Content:
    """An image: its index, manifest, configuration and layers, by what a registry serves them under."""

    layers: tuple[bytes, ...]
    created: str = '2024-05-01T10:00:00Z'
    indexed: bool = True

    def __post_init__(self) -> None:
        self.config = json.dumps({'architecture': 'amd64', 'os': 'linux', 'created': self.created}).encode()
        self.manifest = json.dumps(
            {
                'schemaVersion': 2,
                'mediaType': MANIFEST,
                'config': {'mediaType': CONFIG, 'digest': sha256(self.config), 'size': len(self.config)},
                'layers': [{'mediaType': LAYER, 'digest': sha256(blob), 'size': len(blob)} for blob in self.layers],
            }
        ).encode()
        entries = [
            {'mediaType': MANIFEST, 'digest': sha256(b'other'), 'size': 5, 'platform': {'os': 'linux', 'architecture': 's390x'}},
            {'mediaType': MANIFEST, 'digest': sha256(self.manifest), 'size': len(self.manifest), 'platform': {'os': 'linux', 'architecture': 'amd64'}},
        ]
        self.index = json.dumps({'schemaVersion': 2, 'mediaType': INDEX, 'manifests': entries}).encode() if self.indexed else self.manifest

    @property
    def digest(self) -> str:
        return sha256(self.index)

    def serve(self, asked: Asked) -> Answer:
        """What a good registry answers, for any repository and the tag `latest`."""
        path = re.sub(r'^http://[^/]+', '', asked.path).partition('?')[0]
        if path == '/v2/':
            return Answer(200, b'{}', {'Docker-Distribution-Api-Version': 'registry/2.0', 'Content-Type': 'application/json'})
        kind, _slash, name = path.rpartition('/')
        if kind.endswith('/manifests'):
            return self._document(name)
        blob = {sha256(data): data for data in (self.config, *self.layers)}.get(name)
        if blob is None:
            return Answer(404, b'{"errors":[]}')
        span = re.match(r'bytes=0-(\d+)$', asked.header('Range'))
        if span:
            part = blob[: int(span.group(1)) + 1]
            return Answer(206, part, {'Content-Range': f'bytes 0-{len(part) - 1}/{len(blob)}'})
        return Answer(200, blob)

    def _document(self, name: str) -> Answer:
        data = {'latest': self.index, self.digest: self.index, sha256(self.manifest): self.manifest}.get(name)
        if data is None:
            return Answer(404, b'{"errors":[]}')
        return Answer(200, data, {'Content-Type': str(json.loads(data)['mediaType']), 'Docker-Content-Digest': sha256(data)})
