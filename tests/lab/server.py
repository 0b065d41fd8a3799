# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small HTTP server, one thread a connection, that leaves the answer to a behaviour and keeps a log of what was asked.

Runs in the services container.
"""
from __future__ import annotations

import base64
import binascii
import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHUNK = 64 * 1024
PASSED_ON = ('Content-Type', 'Content-Length', 'Content-Range', 'Accept-Ranges', 'Docker-Content-Digest', 'Etag',
             'Docker-Distribution-Api-Version', 'WWW-Authenticate')


class Request(BaseHTTPRequestHandler):
    """One request, with the few ways of answering that behaviours need."""

    protocol_version = 'HTTP/1.1'
    server_version = 'lab'
    sys_version = ''
    timeout = 120
    server: Server

    def setup(self) -> None:
        self.sent = 0
        self.status = 0
        self.logged = False
        if self.server.tls:
            # Here and not in the listener: a client that is slow to shake hands must not keep the others out.
            self.request.settimeout(20)
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle_one_request(self) -> None:
        self.sent, self.status, self.logged, self.command, self.path = 0, 0, False, '', ''
        self.raw_requestline = b''
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True
        if self.raw_requestline and not self.logged:
            self.log()

    def _any(self) -> None:
        try:
            self.server.behaviour.handle(self)
        except OSError:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any

    def log_message(self, format: str, *args: t.Any) -> None:
        """No text log: `log` writes the one that counts."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class calls for garbage, such as TLS on a plain port."""
        self.close_connection = True
        self.answer(code, b'bad request\n', {'Content-Type': 'text/plain', 'Connection': 'close'})

    def login(self) -> tuple[str, str, str]:
        """Scheme, user and secret of the Authorization header; empty strings where there is none."""
        scheme, dummy, value = (self.headers.get('Authorization') or '').partition(' ') if getattr(self, 'headers', None) else ('', '', '')
        if scheme.lower() != 'basic':
            return scheme, '', value
        try:
            user, dummy, password = base64.b64decode(value).decode().partition(':')
        except (binascii.Error, UnicodeDecodeError):
            return scheme, '', value
        return scheme, user, password

    def log(self) -> None:
        """Write the request's line now. Behaviours that never end do so before they begin."""
        self.logged = True
        scheme, user, dummy = self.login()
        headers: t.Any = getattr(self, 'headers', None) or {}
        self.server.write_log({'time': round(time.time(), 3), 'client': self.client_address[0], 'method': self.command or '', 'path': self.path,
                               'status': self.status, 'bytes': self.sent, 'authorization': bool(scheme), 'scheme': scheme, 'user': user,
                               'host': headers.get('Host', ''), 'agent': headers.get('User-Agent', ''), 'range': headers.get('Range', '')})

    def head(self, status: int, headers: t.Mapping[str, str]) -> None:
        self.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def body(self, data: bytes) -> None:
        if self.command != 'HEAD':
            self.wfile.write(data)
            self.sent += len(data)

    def answer(self, status: int, body: bytes = b'', headers: t.Mapping[str, str] | None = None) -> None:
        self.head(status, {'Content-Length': str(len(body)), **(headers or {})})
        self.body(body)

    def error(self, status: int, code: str, headers: t.Mapping[str, str] | None = None) -> None:
        """An error in the form of the distribution specification."""
        body = json.dumps({'errors': [{'code': code, 'message': code.lower().replace('_', ' '), 'detail': None}]}).encode()
        self.answer(status, body, {'Content-Type': 'application/json', **(headers or {})})

    def redirect(self, url: str) -> None:
        self.answer(307, b'', {'Location': url})

    def forward(self, path: str, port: int, *, headers: t.Mapping[str, str] | None = None, pace: int = 0,
                change: t.Callable[[bytes], bytes] = bytes, only_if: t.Callable[[int], bool] = lambda status: True) -> bool:
        """Send the request to the registry on a local port and its answer back.

        ``pace`` in bytes a second, ``change`` alters each piece of the body, ``headers`` replace the answer's own.
        Returns False, with nothing answered, when ``only_if`` refuses the status.
        """
        backend = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
        try:
            backend.putrequest(self.command, path, skip_accept_encoding=True)
            for name in ('Accept', 'Range', 'If-None-Match'):
                for value in self.headers.get_all(name) or ():
                    backend.putheader(name, value)
            backend.endheaders()
            response = backend.getresponse()
            if not only_if(response.status):
                return False
            passed = {name: response.headers[name] for name in PASSED_ON if name in response.headers}
            self.head(response.status, {**passed, **(headers or {})})
            self._copy(response, pace, change)
            return True
        finally:
            backend.close()

    def _copy(self, response: http.client.HTTPResponse, pace: int, change: t.Callable[[bytes], bytes]) -> None:
        piece = min(CHUNK, pace // 10) if pace else CHUNK
        while data := response.read(piece):
            self.body(change(data))
            if pace:
                time.sleep(len(data) / pace)


class Behaviour(t.Protocol):
    def handle(self, request: Request) -> None:
        """Answer one request."""


class Server(ThreadingHTTPServer):
    """One listening port."""

    request_queue_size = 128

    def __init__(self, port: int, behaviour: Behaviour, log: Path, certificate: tuple[Path, Path] | None = None) -> None:
        self.behaviour = behaviour
        self.log_path = log
        self.log_lock = threading.Lock()
        self.tls: ssl.SSLContext | None = None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*map(str, certificate))
        super().__init__(('0.0.0.0', port), Request)

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, kwargs={'poll_interval': 3600}, daemon=True).start()

    def write_log(self, line: t.Mapping[str, t.Any]) -> None:
        # Opened anew each time: whoever reads may truncate or remove the file.
        with self.log_lock, self.log_path.open('a') as log:
            log.write(json.dumps(line) + '\n')

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """A client that gave up, or did not like the certificate."""
        self.write_log({'time': round(time.time(), 3), 'client': client_address[0], 'method': '', 'path': '', 'status': 0, 'bytes': 0,
                        'authorization': False, 'scheme': '', 'user': '', 'host': '', 'agent': '', 'range': ''})

    def shutdown_request(self, request: t.Any) -> None:
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_WR)
        self.close_request(request)
