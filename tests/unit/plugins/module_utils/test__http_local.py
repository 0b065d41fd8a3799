# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import http.server
import threading
import typing as t

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _http_local


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if self.path == '/ill' else 200)
        self.end_headers()
        self.wfile.write(b'ok ' + b'x' * 5000)

    def log_message(self, *_args: t.Any) -> None:
        """Be quiet."""


def test_status_and_the_beginning_of_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('http_proxy', 'http://127.0.0.1:1')
    server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f'http://127.0.0.1:{server.server_port}'
    try:
        assert _http_local.ask(url) == (200, 'ok ' + 'x' * 1021)
        told = _http_local.ask(f'{url}/ill')
        assert told and told[0] == 503
        assert _http_local.ask(url.replace('http:', 'https:')) is None
    finally:
        server.shutdown()
        server.server_close()
    assert _http_local.ask(url) is None
