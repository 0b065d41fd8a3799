# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for CRI-O, which Debian does not have: unit, signals, log lines and answers as the real one's, and no containers at all.

As measured on CRI-O 1.30, 1.34 and 1.37: files are read when it starts and at SIGHUP; a file that it does not take leaves the old ones in force and
is told in the log alone, but it does not start with one. It is run by a copy of Python that is called crio, so that the process is what the unit names, and
the version it tells is Python's. What it has in force it writes to /run/crio/in-force.json, for the tests.
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import socketserver
import sys
import threading
import time
from pathlib import Path

import tomllib

SOCKET = '/run/crio/crio.sock'
IN_FORCE = Path('/run/crio/in-force.json')
FAILS = Path('/etc/crio/stand-in-fails')


def say(level: str, text: str) -> None:
    if level == 'info' and settings().get('runtime', {}).get('log_level') in ('warn', 'error'):
        return
    print(f'time="2026-01-01T00:00:00Z" level={level} msg={json.dumps(text)}', file=sys.stderr, flush=True)


def registries() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in [Path('/etc/containers/registries.conf'), *sorted(Path('/etc/containers/registries.conf.d').glob('*.conf')),
                 *sorted(Path('/etc/containers/registries.conf.d').glob('.*.conf'))]:
        if not path.is_file():
            continue
        try:
            tables = tomllib.loads(path.read_text())
        except tomllib.TOMLDecodeError as exc:
            raise ValueError(f'loading registries configuration "{path}": toml: {exc}') from exc
        for one in tables.get('registry', ()):
            mirrors = [mirror['location'] for mirror in one.get('mirror', ())]
            if any('://' in location for location in mirrors):
                raise ValueError(f'loading registries configuration "{path}": invalid location: URI schemes are not supported')
            found[one.get('prefix') or one['location']] = mirrors
    return found


def settings() -> dict[str, dict[str, str]]:
    merged: dict[str, dict[str, str]] = {}
    for path in [Path('/etc/crio/crio.conf'), *sorted(Path('/etc/crio/crio.conf.d').glob('*'))]:
        if path.is_file():
            for table, keys in tomllib.loads(path.read_text()).get('crio', {}).items():
                merged.setdefault(table, {}).update(keys)
    return merged


def keep(found: dict[str, list[str]], why: str) -> None:
    before = json.loads(IN_FORCE.read_text())['read'] if IN_FORCE.exists() else []
    IN_FORCE.write_text(json.dumps({'registries': found, 'read': [*before, why]}))


class Answer(http.server.BaseHTTPRequestHandler):
    auth_file = ''

    def do_GET(self) -> None:
        level = settings().get('runtime', {}).get('log_level', 'info')
        body = f'[crio]\n  [crio.runtime]\n    log_level = "{level}"\n  [crio.image]\n    global_auth_file = "{self.auth_file}"\n'.encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return 'unix'

    def log_message(self, *args: object) -> None:
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def reload(*_args: object) -> None:
    say('info', 'Reloading configuration')
    try:
        found = registries()
    except ValueError as exc:
        say('error', f'Unable to reload configuration: system registries reload failed: {exc}')
        return
    keep(found, 'reload')
    say('info', f'Applied new registry configuration: {found}')


def main() -> None:
    os.makedirs('/run/crio', exist_ok=True)
    Path(SOCKET).unlink(missing_ok=True)
    try:
        if FAILS.exists():
            raise ValueError('told to fail')
        found = registries()
        Answer.auth_file = settings().get('image', {}).get('global_auth_file', '')
    except ValueError as exc:
        say('fatal', f'Invalid config: {exc}')
        sys.exit(1)
    keep(found, 'start')
    signal.signal(signal.SIGHUP, reload)
    with Server(SOCKET, Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        while True:
            time.sleep(0.05)  # signal.pause() would miss one that comes just before it


main()
