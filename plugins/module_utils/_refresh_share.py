# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hosts of one site tell each other: the results of the last probe, so that one of them asks the mirrors and not each of a thousand.

A host that offers has a file below /run that anybody may read, and a small server that shows it. What is offered are verdicts on mirrors that the others
list themselves: a wrong one makes a host pass over a mirror, and never use one that its operator did not name.
"""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._http import Client, Deadline, FetchError, Limit, TlsFiles

DIRECTORY = '/run/quickpull.registry'
FILE = f'{DIRECTORY}/probes.json'
URL_PATH = '/quickpull.registry/probes.json'

#: So many hosts are answered at one time.
THREADS = 48

_VERSION = 1
_SECONDS = 5.0
_MAX_BYTES = 8 * 1024 * 1024

Results = t.List[t.Dict[str, t.Any]]


@dataclass(frozen=True)
class Shared:
    """What one host found. ``probed_at``: epoch seconds on this host's clock. ``upstreams``: results by the key of what was asked."""

    source: str
    probed_at: float
    upstreams: t.Mapping[str, Results] = field(default_factory=dict)


# What the choice needs. What else a probe tells, such as names of images, is nobody's business.
_NUMBERS, _TEXTS, _MOST = ('latency_ms', 'throughput_bps'), ('url', 'state', 'route'), 2000


def dump(probed_at: float, by_key: t.Mapping[str, Results]) -> str:
    """The file that is offered."""
    told = {key: [{name: one.get(name) for name in ('ok', 'notes', *_NUMBERS, *_TEXTS)} for one in results] for key, results in by_key.items()}
    return json.dumps({'version': _VERSION, 'probed_at': probed_at, 'upstreams': told}, sort_keys=True)


def _result(raw: t.Any) -> dict[str, t.Any]:
    """One result, with nothing in it but what is expected. Raises ValueError, TypeError or KeyError."""
    found: dict[str, t.Any] = {'ok': raw['ok'] is True, 'state': 'ok' if raw['ok'] is True else 'unreachable'}
    for name in _TEXTS:
        text = raw.get(name)
        if isinstance(text, str) and len(text) <= _MOST and text.isprintable():
            found[name] = text
    if found['ok']:
        found['state'] = 'ok'
    found['url'] = found['url'].encode('ascii').decode()
    for name in _NUMBERS:
        value = raw.get(name)
        found[name] = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e15 else None
    notes = raw.get('notes')
    found['notes'] = [one for one in notes if isinstance(one, str) and one.isidentifier()][:20] if isinstance(notes, list) else []
    return found


def load(text: str, source: str, now: float) -> Shared | None:
    """What was offered; None for what cannot be understood. How old it is the one who offers says, so that clocks may differ."""
    try:
        raw = json.loads(text)
        if raw['version'] != _VERSION:
            return None
        age = float(raw['age']) if 'age' in raw else now - float(raw['probed_at'])
        upstreams = {str(key): [_result(one) for one in results[:_MOST]] for key, results in raw['upstreams'].items()}
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    return Shared(source, now - age, upstreams) if age >= -1 else None


def ask(urls: t.Sequence[str], ca_path: str, longest: float, now: float, fetch: t.Callable[[str, str], str] | None = None) -> Shared | None:
    """What the first of these hosts offers that is not older than ``longest`` seconds; None when none does."""
    for url in urls:
        try:
            text = (fetch or _fetch)(url.rstrip('/') + URL_PATH, ca_path)
        except (FetchError, ConfigError):
            continue
        found = load(text, url, now)
        if found is not None and now - found.probed_at <= longest:
            return found
    return None


def _fetch(url: str, ca_path: str) -> str:
    client = Client(url, Deadline(_SECONDS), tls=TlsFiles((ca_path,) if ca_path else ()), direct=True)
    try:
        answer = client.request('GET', url, limit=Limit(_MAX_BYTES))
    finally:
        client.close()
    return answer.body.decode('utf-8', 'replace') if answer.status == 200 and answer.complete else ''


def with_age(text: str, now: float) -> str:
    """The file as it is shown: with its age in seconds. Empty when it is none."""
    try:
        raw = json.loads(text)
        return json.dumps({**raw, 'age': max(0.0, now - float(raw['probed_at']))}, sort_keys=True)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return ''


class _Handler(http.server.BaseHTTPRequestHandler):
    """One file, and nothing else."""

    protocol_version = 'HTTP/1.1'
    timeout = 10
    server_version, sys_version = 'quickpull.registry', ''
    path_of_file = FILE

    def do_GET(self) -> None:
        text = ''
        if self.path == URL_PATH:
            try:
                with open(self.path_of_file, encoding='utf-8') as stream:
                    text = with_age(stream.read(_MAX_BYTES), time.time())
            except OSError:
                text = ''
        body = text.encode() or b'{}'
        self.send_response(200 if text else 404)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.send_header('Connection', 'close')
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002  pylint: disable=redefined-builtin
        """Who asked is not worth a line in the journal."""


class _Server(http.server.ThreadingHTTPServer):
    """A site's hosts may all ask at once: they queue up for :data:`THREADS` threads, since the unit grants no more than 64 tasks."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, *args: t.Any) -> None:
        super().__init__(*args)
        self._free = threading.BoundedSemaphore(THREADS)

    def process_request(self, request: t.Any, client_address: t.Any) -> None:
        self._free.acquire()  # pylint: disable=consider-using-with
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()  # no thread was begun
            raise

    def process_request_thread(self, request: t.Any, client_address: t.Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


class _Server6(_Server):
    address_family = socket.AF_INET6


def parse_address(text: str) -> tuple[str, int]:
    """Address and port of ``PORT``, ``ADDRESS:PORT`` or ``[ADDRESS]:PORT``. Raises ConfigError."""
    address, _colon, port = text.rpartition(':')
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(f'offer: {text!r} is neither a port nor ADDRESS:PORT.', key='offer')
    return address.strip('[]') or '0.0.0.0', int(port)  # noqa: S104


def serve(text: str, path: str = FILE) -> t.NoReturn:
    """Show the file at an address for as long as the process lives. Raises ConfigError when it cannot listen there."""
    address, port = parse_address(text)
    handler = type('Handler', (_Handler,), {'path_of_file': path})
    try:
        server = (_Server6 if ':' in address else _Server)((address, port), handler)
    except OSError as exc:
        raise ConfigError(f'offer: cannot listen at {text}: {exc.strerror or exc}.', key='offer') from exc
    server.serve_forever()
    raise AssertionError
