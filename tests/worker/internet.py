# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An internet of registries in this process: workerd asks it for every name, as it would ask a proxy, so that names, TLS and redirects are as outside."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import secrets
import threading
import typing as t
import urllib.parse
from email.message import Message
from pathlib import Path

from lab.server import Request, Server

INDEX = 'application/vnd.oci.image.index.v1+json'
MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
CONTENT = re.compile(r'/v2/(?P<repo>.+)/(?P<kind>manifests|blobs|tags|referrers)/(?P<ref>[^/]+)')
CDN = 'production.cloudflare.docker.com'

Handler = t.Callable[['Request', str], None]


@dataclasses.dataclass(frozen=True)
class Seen:
    """One request that reached the internet."""

    scheme: str
    host: str
    method: str
    path: str
    headers: Message

    def __str__(self) -> str:
        return f'{self.method} {self.host}{self.path}'


class _Local(Server):
    def server_bind(self) -> None:
        self.server_address = ('127.0.0.1', self.server_address[1])
        super().server_bind()


class Internet:
    """``hosts`` says who answers under which name; ``seen`` is what was asked of anybody."""

    def __init__(self, folder: Path) -> None:
        self.hosts: dict[str, Handler] = {}
        self.seen: list[Seen] = []
        self.lock = threading.Lock()
        self.server = _Local(0, self, folder / 'internet.jsonl')
        self.server.start()
        self.address = f'127.0.0.1:{self.server.server_address[1]}'

    def close(self) -> None:
        self.server.server_close()

    def handle(self, request: Request) -> None:
        url = urllib.parse.urlsplit(request.path)
        path = urllib.parse.urlunsplit(('', '', url.path, url.query, ''))
        with self.lock:
            self.seen.append(Seen(url.scheme, url.netloc, request.command, path, request.headers))
        handler = self.hosts.get(url.netloc)
        if handler:
            handler(request, path)
        else:
            request.answer(502, b'no such host')

    def asked(self, host: str = '', what: str = '') -> list[Seen]:
        return [one for one in self.seen if host in one.host and what in one.path]


def digest_of(data: bytes) -> str:
    return f'sha256:{hashlib.sha256(data).hexdigest()}'


class Images:
    """Repositories with one image each."""

    def __init__(self, *names: str, layer: bytes = b'layer ' * 20_000) -> None:
        self.layer, self.config = layer, b'{"architecture": "amd64"}'
        described = [{'digest': digest_of(one), 'size': len(one)} for one in (self.config, self.layer)]
        self.manifest = json.dumps({'schemaVersion': 2, 'mediaType': MANIFEST, 'config': described[0], 'layers': described[1:]}).encode()
        self.index = json.dumps({'schemaVersion': 2, 'mediaType': INDEX, 'manifests': [{'mediaType': MANIFEST, 'digest': digest_of(self.manifest)}]}).encode()
        self.blobs = {digest_of(one): one for one in (self.layer, self.config)}
        self.manifests = {'latest': self.index, digest_of(self.index): self.index, digest_of(self.manifest): self.manifest}
        self.names = names

    def serve(self, request: Request, path: str, blob: Handler | None = None) -> None:
        """As a registry does. ``blob`` is who serves the bytes, if not this one."""
        found = CONTENT.fullmatch(path.partition('?')[0])
        if path == '/v2/':
            request.answer(200, b'{}', {'Content-Type': 'application/json'})
        elif not found or found['repo'] not in self.names:
            request.error(404, 'NAME_UNKNOWN')
        elif found['kind'] == 'blobs':
            self.blob(request, found['ref'], blob)
        elif found['kind'] == 'manifests':
            self.send_manifest(request, found['ref'])
        else:
            self.list(request, found, urllib.parse.parse_qs(path.partition('?')[2]))

    def blob(self, request: Request, digest: str, elsewhere: Handler | None) -> None:
        if digest not in self.blobs:
            request.error(404, 'BLOB_UNKNOWN')
        elif elsewhere:
            elsewhere(request, digest)
        else:
            send_blob(request, self.blobs[digest], {'Docker-Content-Digest': digest})

    def send_manifest(self, request: Request, reference: str) -> None:
        data = self.manifests.get(reference)
        if data is None:
            request.error(404, 'MANIFEST_UNKNOWN')
            return
        etag = f'"{digest_of(data)}"'
        headers = {'Content-Type': json.loads(data)['mediaType'], 'Docker-Content-Digest': digest_of(data), 'ETag': etag, 'ratelimit-remaining': '99;w=21600'}
        if request.headers.get('If-None-Match') == etag:
            request.answer(304, b'', headers)
        else:
            request.answer(200, data, headers)

    @staticmethod
    def list(request: Request, found: re.Match[str], query: t.Mapping[str, t.Sequence[str]]) -> None:
        if found['kind'] == 'referrers':
            body = json.dumps({'schemaVersion': 2, 'mediaType': INDEX, 'manifests': [], 'annotations': query}).encode()
            request.answer(200, body, {'Content-Type': INDEX, 'OCI-Filters-Applied': ','.join(query)})
            return
        more = {} if 'last' in query else {'Link': f'</v2/{found["repo"]}/tags/list?n=1&last=a>; rel="next"'}
        body = json.dumps({'name': found['repo'], 'tags': ['z'] if 'last' in query else ['a']}).encode()
        request.answer(200, body, {'Content-Type': 'application/json', **more})


def send_blob(request: Request, data: bytes, headers: t.Mapping[str, str] | None = None) -> None:
    """The whole, or one range of it."""
    told = {'Content-Type': 'application/octet-stream', 'Accept-Ranges': 'bytes', **(headers or {})}
    found = re.fullmatch(r'bytes=([0-9]*)-([0-9]*)', request.headers.get('Range') or '')
    if not found:
        request.answer(200, data, told)
        return
    start = int(found[1]) if found[1] else len(data) - int(found[2])
    end = int(found[2]) if found[1] and found[2] else len(data) - 1
    if start >= len(data):
        request.answer(416, b'', {**told, 'Content-Range': f'bytes */{len(data)}'})
        return
    request.answer(206, data[start:end + 1], {**told, 'Content-Range': f'bytes {start}-{end}/{len(data)}'})


class Hub:
    """Docker Hub as its clients see it: registry, token server, and a store elsewhere to which it sends them for blobs."""

    registry, tokens_at, service = 'registry-1.docker.io', 'auth.docker.io', 'registry.docker.io'
    logins: t.ClassVar[dict[str, str]] = {'acme': 'hub-secret'}
    private = 'acme/private'

    def __init__(self, internet: Internet, *names: str) -> None:
        self.images = Images(*names, self.private)
        self.tokens: dict[str, tuple[str, list[str]]] = {}
        self.lifetime = 300
        internet.hosts.update({self.registry: self.answer, self.tokens_at: self.token, CDN: self.store})

    def token(self, request: Request, path: str) -> None:
        query = urllib.parse.parse_qs(path.partition('?')[2])
        scheme, user, password = request.login()
        if scheme and self.logins.get(user) != password:
            request.answer(401, b'{"details": "incorrect username or password"}', {'Content-Type': 'application/json'})
            return
        token = f'token-{secrets.token_hex(8)}'
        self.tokens[token] = (user, query.get('scope', []))
        request.answer(200, json.dumps({'token': token, 'access_token': token, 'expires_in': self.lifetime}).encode(), {'Content-Type': 'application/json'})

    def answer(self, request: Request, path: str) -> None:
        found = CONTENT.fullmatch(path.partition('?')[0])
        scheme, dummy, token = request.login()
        user, scopes = self.tokens.get(token, ('', [])) if scheme.lower() == 'bearer' else ('', [])
        needed = f'repository:{found["repo"]}:pull' if found else ''
        if token not in self.tokens or (needed and (needed not in scopes or (found and found['repo'] == self.private and not user))):
            scope = f',scope="{needed}"' if needed else ''
            challenge = f'Bearer realm="https://{self.tokens_at}/token",service="{self.service}"{scope}'
            request.error(401, 'UNAUTHORIZED', {'WWW-Authenticate': challenge})
            return
        self.images.serve(request, path, lambda asked, digest: asked.redirect(f'https://{CDN}/registry-v2/blobs/{digest}/data?verify=signed'))

    def store(self, request: Request, path: str) -> None:
        """As stores with signed addresses do: an Authorization beside the signature is an error."""
        if request.headers.get('Authorization'):
            request.answer(400, b'<Error>InvalidArgument: only one auth mechanism allowed</Error>', {'Content-Type': 'application/xml'})
        else:
            send_blob(request, self.images.blobs[path.split('/')[3]], {'Content-Type': 'binary/octet-stream', 'ETag': '"of-the-store"'})
