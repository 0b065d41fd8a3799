# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private registries of the lab that take logins: real distribution registries with TLS, one with htpasswd, one with a token server.

Runs in the services container, apart from the tables.
"""
from __future__ import annotations

import base64
import json
import secrets
import subprocess
import time
import typing as t
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from lab import distribution
from lab.server import Request, Server

BASIC_PORT, TOKEN_PORT, TOKENS_PORT, OPEN_PORT, ANYBODY_PORT = 8301, 8302, 8303, 8304, 8305
BASIC = f'registry-basic.lab:{BASIC_PORT}'      # user and password in each request
TOKEN = f'registry-token.lab:{TOKEN_PORT}'      # tokens from tokens.lab
OPEN = f'registry-open.lab:{OPEN_PORT}'         # asks nobody for a login
ANYBODY = f'registry-anybody.lab:{ANYBODY_PORT}'    # its token server gives tokens to anybody, whatever the password
CERTIFICATE = 'registries'
# bcrypt looks at 72 bytes, so the long one is for the token server alone.
LOGINS = {
    'acme': 'lab-registry-password',
    'team+robot': 'rob:ot+pass/word=',
    'robot$ci': 'Zm9v$bar"\'\\',
    'ünï': 'pässwörd ✓',
    '_json_key': '{"type": "service_account", "private_key": "-----BEGIN-----\\nabc\\n"}',
}
# The token server gives this one an identity token in place of the password.
OAUTH_USER = 'oauth'
TOKEN_LOGINS = {**LOGINS, 'long': 'x' * 6000, OAUTH_USER: 'lab-oauth-password'}
SERVICE, ISSUER = 'lab-registry', 'lab-tokens'


@dataclass(frozen=True)
class Keys:
    """The certificate of all these servers, and its key."""

    folder: Path

    @property
    def cert(self) -> Path:
        return self.folder / f'{CERTIFICATE}.crt'

    @property
    def key(self) -> Path:
        return self.folder / f'{CERTIFICATE}.key'


def start(pki: Path, logs: Path) -> None:
    """Start all of them."""
    keys = Keys(pki)
    passwords = Path('/etc/registry-htpasswd')
    passwords.write_text(''.join(f'{user}:{_bcrypt(password)}\n' for user, password in LOGINS.items()))
    for port, behaviour, name in ((TOKENS_PORT, Tokens(keys), 'tokens'), (ANYBODY_PORT, Anybody(), 'registry-anybody')):
        Server(port, behaviour, logs / f'{name}.jsonl', (keys.cert, keys.key)).start()
    token = f'token: {{realm: "https://tokens.lab:{TOKENS_PORT}/token", service: {SERVICE}, issuer: {ISSUER}, rootcertbundle: {keys.cert}}}'
    for port, auth in ((BASIC_PORT, f'htpasswd: {{realm: lab, path: {passwords}}}'), (TOKEN_PORT, token), (OPEN_PORT, '')):
        distribution.start(port, certificate=(keys.cert, keys.key), extra=f'auth:\n  {auth}\n' if auth else '')


def _bcrypt(password: str) -> str:
    import crypt  # gone from Python 3.13 on; the services run on Debian 12

    return crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))


def _segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip('=')


class Tokens:
    """A token server as the registry's own documents describe it: GET with Basic, POST with a refresh token (OAuth2)."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.refresh = {f'refresh-{secrets.token_hex(16)}': OAUTH_USER}

    def handle(self, request: Request) -> None:
        if request.command == 'POST':
            self.oauth(request)
            return
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
        scheme, user, password = request.login()
        if scheme and TOKEN_LOGINS.get(user) != password:
            request.answer(401, b'{"errors":[{"code":"UNAUTHORIZED"}]}', {'Content-Type': 'application/json'})
            return
        said = {'token': self.token(user, asked.get('scope', []))}
        if user == OAUTH_USER and asked.get('offline_token') == ['true']:
            said['refresh_token'] = next(iter(self.refresh))
        self.answer(request, said)

    def oauth(self, request: Request) -> None:
        body = request.rfile.read(int(request.headers.get('Content-Length') or 0)).decode()
        asked = {name: values[0] for name, values in urllib.parse.parse_qs(body).items()}
        user = self.refresh.get(asked.get('refresh_token', '')) if asked.get('grant_type') == 'refresh_token' else None
        if asked.get('grant_type') == 'password' and TOKEN_LOGINS.get(asked.get('username', '')) == asked.get('password'):
            user = asked['username']
        if not user:
            request.answer(401, b'{"errors":[{"code":"UNAUTHORIZED"}]}', {'Content-Type': 'application/json'})
            return
        self.answer(request, {'access_token': self.token(user, asked.get('scope', '').split()), 'scope': asked.get('scope', '')})

    @staticmethod
    def answer(request: Request, said: t.Mapping[str, t.Any]) -> None:
        request.answer(200, json.dumps({**said, 'expires_in': 300}).encode(), {'Content-Type': 'application/json'})

    def token(self, user: str, scopes: t.Sequence[str]) -> str:
        now = int(time.time())
        access = []
        for scope in scopes if user else ():
            kind, dummy, rest = scope.partition(':')
            name, dummy, actions = rest.rpartition(':')
            access.append({'type': kind, 'name': name, 'actions': actions.split(',')})
        claims = {'iss': ISSUER, 'sub': user, 'aud': SERVICE, 'exp': now + 300, 'nbf': now - 10, 'iat': now, 'jti': secrets.token_hex(8), 'access': access}
        certificate = ''.join(self.keys.cert.read_text().splitlines()[1:-1])
        signed = f'{_segment(json.dumps({"typ": "JWT", "alg": "ES256", "x5c": [certificate]}).encode())}.{_segment(json.dumps(claims).encode())}'
        done = subprocess.run(['openssl', 'dgst', '-sha256', '-sign', str(self.keys.key)], input=signed.encode(), stdout=subprocess.PIPE, check=True)
        return f'{signed}.{_segment(_raw_signature(done.stdout))}'


def _raw_signature(der: bytes) -> bytes:
    """r and s, 32 bytes each (RFC 7518, section 3.4), out of the DER that OpenSSL writes."""
    first = der[3]
    r, s = der[4:4 + first], der[6 + first:]
    return b''.join(int.from_bytes(number, 'big').to_bytes(32, 'big') for number in (r, s))


class Anybody:
    """A registry whose token server is not interested in passwords."""

    def handle(self, request: Request) -> None:
        if request.path.startswith('/token'):
            request.answer(200, json.dumps({'token': secrets.token_urlsafe(16)}).encode(), {'Content-Type': 'application/json'})
        elif request.login()[0].lower() == 'bearer':
            request.answer(200, b'{}', {'Content-Type': 'application/json'})
        else:
            request.error(401, 'UNAUTHORIZED', {'WWW-Authenticate': f'Bearer realm="https://{ANYBODY}/token",service="anybody"'})
