# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in of Cloudflare's API in this process, on 127.0.0.1, as far as a Worker needs it.

It follows the documentation of the API (developers.cloudflare.com/api, and the page on the metadata of uploads), and the codes of errors that users of the
real one were shown. It takes no more than that: what it does not know is an error in the API's own shape.
"""

from __future__ import annotations

import contextlib
import datetime
import email.parser
import email.policy
import http.server
import ipaddress
import json
import re
import threading
import typing as t
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

ACCOUNT = '0123456789abcdef0123456789abcdef'
TOKEN = 'T0KEN-of-the-account_1234567890'
ALL = frozenset({'scripts:edit', 'zone:read', 'dns:read', 'dns:edit', 'routes:read', 'routes:edit'})
DOMAINS_ONLY = frozenset({'scripts:edit', 'zone:read', 'dns:read', 'routes:read'})

_BINDINGS = {'json': {'type', 'name', 'json'}, 'secret_text': {'type', 'name', 'text'}, 'plain_text': {'type', 'name', 'text'}}
_LIMIT = 5 * 1024

Item = t.Dict[str, t.Any]


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: int, message: str, **more: t.Any) -> None:
        super().__init__(message)
        self.status = status
        self.error = {'code': code, 'message': message, **more}


@dataclass
class Failure:
    """What the next matching requests get instead."""

    method: str
    path: str
    status: int
    body: t.Any
    headers: t.Mapping[str, str] = field(default_factory=dict)
    times: int = 1
    done: bool = False  # whether the request is done all the same, as when its answer is lost on the way


@dataclass
class Cloud:
    """What is at Cloudflare. Tests put foreign things in, and look at what was made."""

    zones: t.Dict[str, str] = field(default_factory=lambda: {'example.com': 'a' * 32, 'other.example': 'b' * 32})
    subdomain: str = 'acme'
    permissions: t.AbstractSet[str] = ALL
    page_size: int = 2
    scripts: t.Dict[str, Item] = field(default_factory=dict)
    domains: t.List[Item] = field(default_factory=list)
    routes: t.Dict[str, t.List[Item]] = field(default_factory=dict)
    records: t.Dict[str, t.List[Item]] = field(default_factory=dict)
    failures: t.List[Failure] = field(default_factory=list)
    asked: t.List[str] = field(default_factory=list)
    uploads: int = 0
    other_credentials: int = 0
    _ids: int = 0

    def new_id(self) -> str:
        self._ids += 1
        return f'{self._ids:032x}'

    def writes(self) -> list[str]:
        """The requests that were no GET."""
        return [line for line in self.asked if not line.startswith('GET ')]

    def kept(self) -> t.Any:
        """All that is there, for comparison; also what cannot be read back."""
        return json.loads(json.dumps([self.scripts, self.domains, self.routes, self.records]))

    def add_record(self, zone: str, name: str, kind: str = 'A', content: str = '192.0.2.1', **more: t.Any) -> None:
        """A record that somebody made."""
        self.records.setdefault(self.zones[zone], []).append({'id': self.new_id(), 'name': name, 'type': kind, 'content': content, **more})

    def add_route(self, zone: str, pattern: str, script: str | None) -> None:
        """A route that somebody made."""
        self.routes.setdefault(self.zones[zone], []).append({'id': self.new_id(), 'pattern': pattern, **({'script': script} if script else {})})

    def add_script(self, name: str) -> None:
        """A Worker that somebody made."""
        self.scripts[name] = {'modules': {'index.js': 'theirs'}, 'bindings': [], 'compatibility_date': '2024-01-01', 'enabled': True, 'previews': True}

    # --- requests

    def answer(self, method: str, path: str, query: t.Mapping[str, str], headers: t.Any, body: bytes) -> tuple[t.Any, Item]:
        """The result, and what goes beside it. Raises Refused."""
        self.other_credentials += sum(name in headers for name in ('X-Auth-Key', 'X-Auth-Email', 'X-Auth-User-Service-Key'))
        self._check_token(headers.get('Authorization', ''))
        for pattern, methods in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method in methods:
                if found.groupdict().get('account', ACCOUNT) != ACCOUNT:
                    raise Refused(403, 10000, 'Authentication error')
                return t.cast('tuple[t.Any, Item]', getattr(self, methods[method])(query=query, headers=headers, body=body, **found.groupdict()))
        raise Refused(404, 7003, f'Could not route to {path}, perhaps your object identifier is invalid?')

    def _check_token(self, header: str) -> None:
        scheme, _space, token = header.partition(' ')
        if scheme != 'Bearer' or not re.fullmatch(r'[A-Za-z0-9_-]{20,}', token):
            chain = [{'code': 6111, 'message': 'Invalid format for Authorization header'}]
            raise Refused(400, 6003, 'Invalid request headers', error_chain=chain)
        if token != TOKEN:
            raise Refused(403, 9109, 'Invalid access token')

    def _needs(self, permission: str) -> None:
        if not {permission, permission.replace(':read', ':edit')} & self.permissions:
            raise Refused(403, 10000, 'Authentication error')

    def _script(self, name: str) -> Item:
        if name not in self.scripts:
            raise Refused(404, 10007, 'This Worker does not exist on your account.')
        return self.scripts[name]

    def get_settings(self, name: str, **_more: t.Any) -> t.Any:
        self._needs('scripts:edit')
        script = self._script(name)
        # A secret is named and not told.
        bindings = [{key: value for key, value in one.items() if one['type'] != 'secret_text' or key != 'text'} for one in script['bindings']]
        return {'bindings': bindings, 'compatibility_date': script['compatibility_date'], 'compatibility_flags': [], 'usage_model': 'standard'}, {}

    def put_script(self, name: str, headers: t.Any, body: bytes, **_more: t.Any) -> t.Any:
        self._needs('scripts:edit')
        parts = _multipart(headers.get('Content-Type', ''), body)
        if 'metadata' not in parts:
            raise Refused(400, 10021, 'could not read content for part metadata')
        meta = json.loads(parts.pop('metadata')[1])
        self._check_metadata(meta, parts)
        before = self.scripts.get(name, {})
        self.scripts[name] = {
            'modules': {part: content for part, (_kind, content) in parts.items()},
            'bindings': meta['bindings'],
            'compatibility_date': meta['compatibility_date'],
            'enabled': before.get('enabled', False),
            'previews': before.get('previews', True),
        }
        self.uploads += 1
        return {'id': name, 'etag': f'{self.uploads:064x}', 'startup_time_ms': 3}, {}

    def _check_metadata(self, meta: Item, parts: t.Mapping[str, tuple[str, str]]) -> None:
        unknown = set(meta) - {'main_module', 'bindings', 'compatibility_date'}
        if unknown:
            raise Refused(400, 10021, f'unknown metadata {sorted(unknown)}')
        if meta.get('main_module') not in parts:
            raise Refused(400, 10021, f'main_module {meta.get("main_module")} is no part of the upload')
        for part, (kind, content) in parts.items():
            if kind != 'application/javascript+module':
                raise Refused(400, 10021, f'module {part} has unsupported Content-Type {kind}')
            if 'SYNTAX ERROR' in content:
                raise Refused(400, 10021, f"Uncaught SyntaxError: Unexpected identifier 'ERROR'\n  at {part}:1")
        if datetime.date.fromisoformat(meta['compatibility_date']) > datetime.date.today():
            raise Refused(400, 10021, "Can't set compatibility date in the future")
        self._check_bindings(meta)

    def _check_bindings(self, meta: Item) -> None:
        for one in meta['bindings']:
            if set(one) != _BINDINGS[one['type']]:
                raise Refused(400, 10021, f'binding {one["name"]} has {sorted(one)}')
            if len((one['text'] if 'text' in one else json.dumps(one['json'], separators=(',', ':'))).encode()) > _LIMIT:
                raise Refused(400, 10021, f'binding {one["name"]} is too large')
        if len({one['name'] for one in meta['bindings']}) != len(meta['bindings']):
            raise Refused(400, 10021, 'a binding is named twice')

    def delete_script(self, name: str, **_more: t.Any) -> t.Any:
        self._needs('scripts:edit')
        self._script(name)
        if any(one['service'] == name for one in self.domains) or any(one.get('script') == name for routes in self.routes.values() for one in routes):
            raise Refused(400, 10064, 'something still leads to this Worker')
        del self.scripts[name]
        return None, {}

    def get_enabled(self, name: str, **_more: t.Any) -> t.Any:
        self._needs('scripts:edit')
        script = self._script(name)
        return {'enabled': script['enabled'], 'previews_enabled': script['previews']}, {}

    def set_enabled(self, name: str, body: bytes, **_more: t.Any) -> t.Any:
        self._needs('scripts:edit')
        script, given = self._script(name), json.loads(body)
        if set(given) != {'enabled', 'previews_enabled'} or not all(isinstance(one, bool) for one in given.values()):
            raise Refused(400, 10001, 'Unsupported content')
        if given['enabled'] and not self.subdomain:
            raise Refused(400, 10063, 'You need a workers.dev subdomain in order to proceed.')
        script.update(enabled=given['enabled'], previews=given['previews_enabled'])
        return given, {}

    def get_subdomain(self, **_more: t.Any) -> t.Any:
        self._needs('scripts:edit')
        if not self.subdomain:
            raise Refused(404, 10007, "You don't have a workers.dev subdomain yet.")
        return {'subdomain': self.subdomain}, {}

    def get_domains(self, query: t.Mapping[str, str], **_more: t.Any) -> t.Any:
        self._needs('scripts:edit')
        _only(query, {'hostname', 'service', 'zone_id', 'zone_name', 'environment'})
        return [one for one in self.domains if all(one[key] == value for key, value in query.items())], {}

    def put_domain(self, body: bytes, **_more: t.Any) -> t.Any:
        self._needs('scripts:edit')
        given = json.loads(body)
        if set(given) != {'hostname', 'service', 'zone_id'}:
            raise Refused(400, 10004, f'unexpected {sorted(given)}')
        self._script(given['service'])
        zone = next((name for name, one in self.zones.items() if one == given['zone_id']), '')
        if not zone or not given['hostname'].endswith(zone):
            raise Refused(400, 100112, 'the host name is not in the zone')
        records = self.records.setdefault(given['zone_id'], [])
        if any(one['name'] == given['hostname'] and one['type'] in ('A', 'AAAA', 'CNAME') and not one.get('meta') for one in records):
            text = f"Hostname '{given['hostname']}' already has externally managed DNS records (A, CNAME, etc). Delete them first or try a different hostname."
            raise Refused(409, 100117, text)
        self.domains = [one for one in self.domains if one['hostname'] != given['hostname']]
        found = {**given, 'id': self.new_id(), 'zone_name': zone, 'environment': 'production', 'cert_id': self.new_id()}
        self.domains.append(found)
        records.append({'id': self.new_id(), 'name': given['hostname'], 'type': 'AAAA', 'content': '100::', 'proxied': True, 'meta': {'read_only': True}})
        return found, {}

    def delete_domain(self, id: str, **_more: t.Any) -> t.Any:
        self._needs('scripts:edit')
        found = next((one for one in self.domains if one['id'] == id), None)
        if found is None:
            raise Refused(404, 100114, 'no such domain')
        self.domains.remove(found)
        zone = self.records[found['zone_id']]
        zone[:] = [one for one in zone if not (one['name'] == found['hostname'] and one.get('meta'))]
        return None, {}

    def get_zones(self, query: t.Mapping[str, str], **_more: t.Any) -> t.Any:
        _only(query, {'account.id', 'page', 'per_page', 'name'})
        if query.get('account.id') not in (None, ACCOUNT):
            return self._page([], query)
        # A token sees the zones that it has any permission of.
        seen = [{'id': one, 'name': name, 'status': 'active'} for name, one in self.zones.items()] if 'zone:read' in self.permissions else []
        return self._page(seen, query)

    def _zone(self, zone: str, permission: str) -> None:
        self._needs(permission)
        if zone not in self.zones.values():
            raise Refused(403, 10000, 'Authentication error')

    def get_routes(self, zone: str, query: t.Mapping[str, str], **_more: t.Any) -> t.Any:
        self._zone(zone, 'routes:read')
        _only(query, set())
        return self.routes.get(zone, []), {}

    def post_route(self, zone: str, body: bytes, **_more: t.Any) -> t.Any:
        self._needs('routes:edit')
        given = json.loads(body)
        if set(given) != {'pattern', 'script'}:
            raise Refused(400, 10004, f'unexpected {sorted(given)}')
        self._script(given['script'])
        if any(one['pattern'] == given['pattern'] for one in self.routes.get(zone, [])):
            raise Refused(409, 10020, 'A route with the same pattern already exists.')
        found = {**given, 'id': self.new_id()}
        self.routes.setdefault(zone, []).append(found)
        return found, {}

    def delete_route(self, zone: str, id: str, **_more: t.Any) -> t.Any:
        self._needs('routes:edit')
        return self._take(self.routes.get(zone, []), id), {}

    def get_records(self, zone: str, query: t.Mapping[str, str], **_more: t.Any) -> t.Any:
        self._zone(zone, 'dns:read')
        _only(query, {'name.exact', 'page', 'per_page'})
        return self._page([one for one in self.records.get(zone, []) if query.get('name.exact') in (None, one['name'])], query)

    def post_record(self, zone: str, body: bytes, **_more: t.Any) -> t.Any:
        self._needs('dns:edit')
        given = json.loads(body)
        if set(given) != {'name', 'type', 'content', 'proxied', 'ttl', 'comment'} or given['type'] != 'AAAA' or given['ttl'] != 1:
            raise Refused(400, 9207, f'unexpected {given}')
        ipaddress.IPv6Address(given['content'])
        if len(given['comment']) > 100:
            raise Refused(400, 9313, 'Record comment is too long.')
        if any(one['name'] == given['name'] for one in self.records.get(zone, [])):
            raise Refused(400, 81058, 'An identical record already exists.')
        found = {**given, 'id': self.new_id()}
        self.records.setdefault(zone, []).append(found)
        return found, {}

    def delete_record(self, zone: str, id: str, **_more: t.Any) -> t.Any:
        self._needs('dns:edit')
        if any(one['id'] == id and one.get('meta') for one in self.records.get(zone, [])):
            raise Refused(400, 1043, 'This DNS record is managed by Workers.')
        return self._take(self.records.get(zone, []), id), {}

    def _take(self, items: list[Item], wanted: str) -> Item:
        found = next((one for one in items if one['id'] == wanted), None)
        if found is None:
            raise Refused(404, 10007, 'not found')
        items.remove(found)
        return {'id': wanted}

    def _page(self, items: list[Item], query: t.Mapping[str, str]) -> tuple[list[Item], Item]:
        number, size = int(query.get('page', '1')), min(int(query.get('per_page', '20')), self.page_size)
        some = items[(number - 1) * size : number * size]
        return some, {'result_info': {'page': number, 'per_page': size, 'count': len(some), 'total_count': len(items)}}


_A, _Z = r'/accounts/(?P<account>[^/]+)', r'/zones/(?P<zone>[^/]+)'
_ROUTES: t.Tuple[t.Tuple[str, t.Dict[str, str]], ...] = (
    (_A + r'/workers/scripts/(?P<name>[^/]+)/settings', {'GET': 'get_settings'}),
    (_A + r'/workers/scripts/(?P<name>[^/]+)/subdomain', {'GET': 'get_enabled', 'POST': 'set_enabled'}),
    (_A + r'/workers/scripts/(?P<name>[^/]+)', {'PUT': 'put_script', 'DELETE': 'delete_script'}),
    (_A + r'/workers/subdomain', {'GET': 'get_subdomain'}),
    (_A + r'/workers/domains', {'GET': 'get_domains', 'PUT': 'put_domain'}),
    (_A + r'/workers/domains/(?P<id>[^/]+)', {'DELETE': 'delete_domain'}),
    (r'/zones', {'GET': 'get_zones'}),
    (_Z + r'/workers/routes', {'GET': 'get_routes', 'POST': 'post_route'}),
    (_Z + r'/workers/routes/(?P<id>[^/]+)', {'DELETE': 'delete_route'}),
    (_Z + r'/dns_records', {'GET': 'get_records', 'POST': 'post_record'}),
    (_Z + r'/dns_records/(?P<id>[^/]+)', {'DELETE': 'delete_record'}),
)


def _only(query: t.Mapping[str, str], known: t.AbstractSet[str]) -> None:
    if set(query) - known:
        raise Refused(400, 10004, f'unexpected {sorted(set(query) - known)}')


def _multipart(content_type: str, body: bytes) -> dict[str, tuple[str, str]]:
    """Type and text of each part, by its name, which is also the name of its file where it has one."""
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(b'Content-Type: ' + content_type.encode() + b'\r\n\r\n' + body)
    found: dict[str, tuple[str, str]] = {}
    for part in message.iter_parts():
        name, file = part.get_param('name', header='content-disposition'), part.get_filename()
        if not isinstance(name, str) or name in found or (file is not None and file != name):
            raise Refused(400, 10021, f'part {name} of file {file}')
        payload = part.get_payload(decode=True)
        found[name] = (part.get_content_type(), payload.decode() if isinstance(payload, bytes) else '')
    if not found:
        raise Refused(400, 10001, 'Unsupported or unexpected Content Type')
    return found


@contextlib.contextmanager
def serving(cloud: Cloud) -> t.Iterator[str]:
    """The URL of the API while it is up."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: t.Any) -> None:
            pass

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
            parts = urlsplit(self.path)
            path = parts.path.removeprefix('/client/v4')
            cloud.asked.append(f'{self.command} {path}')
            failure = next((one for one in cloud.failures if one.times and one.method == self.command and re.search(one.path, path)), None)
            if failure:
                failure.times -= 1
                if failure.done:
                    cloud.answer(self.command, path, {}, self.headers, body)
                self.send(failure.status, failure.body, failure.headers)
                return
            try:
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                result, more = cloud.answer(self.command, path, query, self.headers, body)
                self.send(200, {'success': True, 'errors': [], 'messages': [], 'result': result, **more}, {})
            except Refused as exc:
                self.send(exc.status, {'success': False, 'errors': [exc.error], 'messages': [], 'result': None}, {})

        def send(self, status: int, body: t.Any, headers: t.Mapping[str, str]) -> None:
            text = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            kind = 'text/html' if isinstance(body, str) else 'application/json'
            for name, value in {'Content-Type': kind, 'Content-Length': str(len(text)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_POST = do_DELETE = handle_any

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True)
    thread.start()
    try:
        yield f'http://127.0.0.1:{server.server_address[1]}/client/v4'
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
