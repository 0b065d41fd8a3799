# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the mirrors behave: a good registry, and one small class for each way of being bad. Runs in the services container."""
from __future__ import annotations

import json
import re
import secrets
import time
import typing as t
import urllib.parse
from dataclasses import dataclass, field

from lab.mirrors import CDN, DEAD_PORT, Mirror
from lab.server import Request

BACKEND = 5000          # the distribution registry that holds all images
PULL_THROUGH = 5001     # the one that pulls through from the Hub
MANIFEST = re.compile(r'/v2/(?P<repo>.+)/manifests/(?P<ref>[^/]+)')
BLOB = re.compile(r'/v2/(?P<repo>.+)/blobs/(?P<ref>[^/]+)')
PATIENCE = 30           # seconds after which even what is endless ends: dockerd would read it into memory for ever


@dataclass
class Shared:
    """What the servers know in common."""

    images: dict[str, t.Any] = field(default_factory=dict)      # repository -> what content.py pushed there
    configs: set[str] = field(default_factory=set)              # digests of config blobs
    tokens: dict[str, str] = field(default_factory=dict)        # token -> its scopes
    accounts: dict[str, str] = field(default_factory=dict)      # user -> password, at the Hub


class Registry:
    """A good one: everything comes from the distribution registry behind it."""

    backend = BACKEND
    pace = 0

    def __init__(self, row: Mirror, shared: Shared) -> None:
        self.row = row
        self.shared = shared

    def handle(self, request: Request) -> None:
        path = request.path.partition('?')[0]
        prefix = self.row.path.rstrip('/')
        if not path.startswith(f'{prefix}/v2/'):
            request.error(404, 'NOT_FOUND')
            return
        path = path[len(prefix):]
        manifest, blob = MANIFEST.fullmatch(path), BLOB.fullmatch(path)
        if manifest:
            self.manifest(request, manifest['repo'], manifest['ref'])
        elif blob:
            self.blob(request, blob['repo'], blob['ref'])
        elif path == '/v2/':
            self.ping(request)
        else:
            request.forward(path, self.backend)

    def ping(self, request: Request) -> None:
        request.answer(200, b'{}', {'Content-Type': 'application/json', 'Docker-Distribution-Api-Version': 'registry/2.0'})

    def manifest(self, request: Request, repo: str, ref: str) -> None:
        request.forward(f'/v2/{repo}/manifests/{ref}', self.backend, pace=self.pace)

    def blob(self, request: Request, repo: str, digest: str) -> None:
        request.forward(f'/v2/{repo}/blobs/{digest}', self.backend, pace=self.pace)


class Project(Registry):
    """Its images' names begin with the path behind /v2/ of its URL."""

    def handle(self, request: Request) -> None:
        project = self.row.path.removeprefix('/v2')
        path = request.path.partition('?')[0]
        if path == '/v2/':
            self.ping(request)
            return
        found = MANIFEST.fullmatch(path.replace(project, '', 1)) or BLOB.fullmatch(path.replace(project, '', 1))
        if not path.startswith(f'/v2{project}/') or not found:
            request.error(404, 'NAME_UNKNOWN')
        elif '/manifests/' in path:
            self.manifest(request, found['repo'], found['ref'])
        else:
            self.blob(request, found['repo'], found['ref'])


class PullThrough(Registry):
    backend = PULL_THROUGH


class Slow(Registry):
    pace = 200_000


class BusyOnce(Registry):
    def __init__(self, row: Mirror, shared: Shared) -> None:
        super().__init__(row, shared)
        self.asked: dict[tuple[str, str, str], int] = {}

    def manifest(self, request: Request, repo: str, ref: str) -> None:
        key = (request.client_address[0], request.command, request.path)
        self.asked[key] = self.asked.get(key, 0) + 1
        if self.asked[key] % 2:
            request.error(429, 'TOOMANYREQUESTS', {'Retry-After': '1'})
        else:
            super().manifest(request, repo, ref)


class NoRange(Registry):
    def blob(self, request: Request, repo: str, digest: str) -> None:
        del request.headers['Range']
        super().blob(request, repo, digest)


# Tokens

class TokenRegistry(Registry):
    """Wants a bearer token, from a realm of its own on the same port."""

    service = 'lab'

    def realm(self) -> str:
        return f'{self.row.scheme}://{self.row.host}:{self.row.port}/token'

    def handle(self, request: Request) -> None:
        if request.path.startswith('/token'):
            self.token(request)
        elif self.admitted(request):
            super().handle(request)

    def token(self, request: Request) -> None:
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
        scheme, user, password = request.login()
        if scheme and self.shared.accounts.get(user) != password:
            request.answer(401, b'{"details":"incorrect username or password"}', {'Content-Type': 'application/json'})
            return
        token = secrets.token_urlsafe(24)
        self.shared.tokens[token] = ' '.join(asked.get('scope', []))
        body = json.dumps({'token': token, 'access_token': token, 'expires_in': 300, 'issued_at': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())})
        request.answer(200, body.encode(), {'Content-Type': 'application/json'})

    def admitted(self, request: Request) -> bool:
        """Whether the request may pass; otherwise it has been answered with a challenge."""
        found = MANIFEST.fullmatch(request.path) or BLOB.fullmatch(request.path)
        scope = f'repository:{found["repo"]}:pull' if found else ''
        scheme, dummy, token = request.login()
        granted = self.shared.tokens.get(token)
        if scheme.lower() == 'bearer' and granted is not None and (not found or f'repository:{found["repo"]}:' in granted):
            return True
        challenge = f'Bearer realm="{self.realm()}",service="{self.service}"' + (f',scope="{scope}"' if scope else '')
        request.error(401, 'UNAUTHORIZED', {'WWW-Authenticate': challenge, 'Docker-Distribution-Api-Version': 'registry/2.0'})
        return False


class LateToken(TokenRegistry):
    def admitted(self, request: Request) -> bool:
        return request.path == '/v2/' or super().admitted(request)


class Hub(TokenRegistry):
    """registry-1.docker.io and auth.docker.io on one address."""

    service = 'registry.docker.io'

    def realm(self) -> str:
        return 'https://auth.docker.io/token'

    def manifest(self, request: Request, repo: str, ref: str) -> None:
        request.forward(f'/v2/{repo}/manifests/{ref}', self.backend, headers={'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '99;w=21600'})


class DeadRealm(TokenRegistry):
    def realm(self) -> str:
        return f'http://realm.lab:{DEAD_PORT}/token'


class RefusedToken(TokenRegistry):
    def token(self, request: Request) -> None:
        request.answer(403, b'{"details":"not for you"}', {'Content-Type': 'application/json'})


class BasicManifest(Registry):
    def manifest(self, request: Request, repo: str, ref: str) -> None:
        request.error(401, 'UNAUTHORIZED', {'WWW-Authenticate': 'Basic realm="Registry"'})


# Blobs that live elsewhere

class RedirectToCdn(Registry):
    def blob(self, request: Request, repo: str, digest: str) -> None:
        request.redirect(f'http://{CDN.host}:{CDN.port}/data/{repo}/{digest}?signature=lab')


class Cdn(Registry):
    def handle(self, request: Request) -> None:
        repo, dummy, digest = request.path.partition('?')[0].removeprefix('/data/').rpartition('/')
        request.forward(f'/v2/{repo}/blobs/{digest}', self.backend)


class RedirectToDeath(Registry):
    def blob(self, request: Request, repo: str, digest: str) -> None:
        request.redirect(f'http://{CDN.host}:{DEAD_PORT}/data/{repo}/{digest}')


# Old and wrong content

class Stale(Registry):
    """Two years old, but of one piece: a tag is the old one, and digests are what they say."""

    def manifest(self, request: Request, repo: str, ref: str) -> None:
        self.old_or_new(request, repo, f'manifests/{ref}')

    def blob(self, request: Request, repo: str, digest: str) -> None:
        self.old_or_new(request, repo, f'blobs/{digest}')

    def old_or_new(self, request: Request, repo: str, rest: str) -> None:
        if not request.forward(f'/v2/old/{repo}/{rest}', self.backend, only_if=lambda status: status != 404):
            request.forward(f'/v2/{repo}/{rest}', self.backend)


class Liar(Stale):
    def manifest(self, request: Request, repo: str, ref: str) -> None:
        right = self.shared.images.get(repo, {}).get('digest')
        if not right or ref not in ('latest', right):
            super().manifest(request, repo, ref)
            return
        request.forward(f'/v2/old/{repo}/manifests/latest', self.backend, headers={'Docker-Content-Digest': right, 'Etag': f'"{right}"'})


def _wrong(data: bytes) -> bytes:
    """Other bytes, as many."""
    return bytes(byte ^ 0x20 for byte in data) if len(data) < 4096 else bytes(byte ^ 0x20 for byte in data[:4096]) + data[4096:]


class CorruptConfig(Registry):
    def blob(self, request: Request, repo: str, digest: str) -> None:
        request.forward(f'/v2/{repo}/blobs/{digest}', self.backend, change=_wrong if digest in self.shared.configs else bytes)


class CorruptLayer(Registry):
    def blob(self, request: Request, repo: str, digest: str) -> None:
        request.forward(f'/v2/{repo}/blobs/{digest}', self.backend, change=bytes if digest in self.shared.configs else _wrong)


class NoImages(Registry):
    def manifest(self, request: Request, repo: str, ref: str) -> None:
        request.error(404, 'MANIFEST_UNKNOWN')


# Refusals

class _BlobRefused(Registry):
    status, code = 0, ''
    layers_only = False

    def blob(self, request: Request, repo: str, digest: str) -> None:
        if self.layers_only and digest in self.shared.configs:
            super().blob(request, repo, digest)
        else:
            request.error(self.status, self.code)


class Blob403(_BlobRefused):
    status, code = 403, 'DENIED'


class Layer403(Blob403):
    layers_only = True


class Blob404(_BlobRefused):
    status, code = 404, 'BLOB_UNKNOWN'


class Blob500(_BlobRefused):
    status, code = 500, 'UNKNOWN'


class _Always(Registry):
    status, code = 0, ''
    headers: t.Mapping[str, str] = {}

    def handle(self, request: Request) -> None:
        request.error(self.status, self.code, self.headers)


class Always401(_Always):
    status, code = 401, 'UNAUTHORIZED'


class Always403(_Always):
    status, code = 403, 'DENIED'


class Always404(_Always):
    def handle(self, request: Request) -> None:
        request.answer(404, b'404 page not found\n', {'Content-Type': 'text/plain'})


class Always429(_Always):
    status, code, headers = 429, 'TOOMANYREQUESTS', {'Retry-After': '60'}


class Always500(_Always):
    status, code = 500, 'UNKNOWN'


class Html(_Always):
    def handle(self, request: Request) -> None:
        request.answer(200, b'<!doctype html><title>Welcome</title><p>Sign in to the network.\n', {'Content-Type': 'text/html; charset=utf-8'})


class RedirectLoop(_Always):
    def handle(self, request: Request) -> None:
        turn = int((re.findall(r'turn=(\d+)', request.path) or ['0'])[0]) + 1
        request.redirect(f'http://{self.row.host}:{self.row.port}{request.path.partition("?")[0]}?turn={turn}')


# What never ends

def _hang(request: Request) -> None:
    request.log()
    request.connection.settimeout(600)
    request.rfile.read(1)       # returns when the client gives up
    request.close_connection = True


class Hang(_Always):
    def handle(self, request: Request) -> None:
        _hang(request)


class BlobHang(Registry):
    def blob(self, request: Request, repo: str, digest: str) -> None:
        _hang(request)


class Trickle(_Always):
    def handle(self, request: Request) -> None:
        request.log()
        request.close_connection = True
        for byte in b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 600\r\n\r\n' + b' ' * 600:
            request.connection.sendall(bytes([byte]))
            time.sleep(1)


class EndlessHeaders(_Always):
    def handle(self, request: Request) -> None:
        request.log()
        request.close_connection = True
        request.connection.sendall(b'HTTP/1.1 200 OK\r\n')
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            request.connection.sendall(b'X-More: ' + b'a' * 1000 + b'\r\n')
            time.sleep(0.001)


class EndlessBody(Registry):
    def manifest(self, request: Request, repo: str, ref: str) -> None:
        request.head(200, {'Content-Type': 'application/vnd.docker.distribution.manifest.v2+json', 'Connection': 'close'})
        request.log()
        request.close_connection = True
        end = time.monotonic() + PATIENCE
        request.body(b'{"schemaVersion": 2, "more": "')
        while request.command != 'HEAD' and time.monotonic() < end:
            request.body(b'a' * 65536)
            time.sleep(0.004)
