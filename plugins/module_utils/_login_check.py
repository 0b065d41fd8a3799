# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a registry takes a login: asked by the registry's own protocol, without a daemon.

A login is proved when the registry, or its token server, would not have said the same to anybody. Many token servers give tokens to
strangers, and some ignore a wrong password, so a token alone proves nothing.

Sources: the token and OAuth2 pages of distribution (docs/spec/auth), moby registry/auth.go (what `docker login` asks), and Docker's page on
pull rate limits.
"""

from __future__ import annotations

import base64
import concurrent.futures
import glob
import json
import os
import re
import secrets
import typing as t
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from ansible_collections.quickpull.registry.plugins.module_utils._auth_file import HUB, Registry, Secret
from ansible_collections.quickpull.registry.plugins.module_utils._http import (
    Client,
    Deadline,
    FetchError,
    Limit,
    Response,
    TlsContexts,
    TlsFiles,
    certificate_refused,
    speaks_no_tls,
)
from ansible_collections.quickpull.registry.plugins.module_utils._no_proxy import ProxyConfig
from ansible_collections.quickpull.registry.plugins.module_utils._registry import Challenge, parse_challenges, parse_token, realm_of, token_query, with_query

VERIFIED = 'verified'
REFUSED = 'refused'
UNREACHABLE = 'unreachable'
UNPROVED = 'unproved'
NOT_CHECKED = 'not_checked'

CLIENT_ID = 'quickpull.registry'
HUB_URL = 'https://registry-1.docker.io'
# An image that Docker keeps for this question; a HEAD of it does not count as a pull.
RATE_LIMIT_IMAGE = 'ratelimitpreview/test'
CERTS_D = '/etc/docker/certs.d'

_BODY = Limit(256 * 1024)
_NOTHING = Limit(16 * 1024)
# No registry has it; some ask for a login at a manifest only.
_SOME_MANIFEST = '/v2/library/quickpull-login-check/manifests/latest'
_LOOPBACK = re.compile(r'^(localhost|127\.[0-9.]+|\[::1\])(:\d+)?$')
_RATE = re.compile(r'^\s*(\d{1,9})\s*(?:;\s*w=(\d{1,9}))?')
_AT_ONCE = 8


@dataclass(frozen=True)
class RateLimit:
    """Docker Hub's pulls: how many in a window of so many seconds, how many are left, and for whom they are counted (an address or an account)."""

    limit: int
    remaining: int
    window_seconds: int
    source: str = ''


@dataclass(frozen=True)
class Verdict:
    """What became of a login. ``identity_token`` is what the registry gave in place of the password, ``way_out`` a sentence on what would help.

    :ivar by_basic: the registry itself takes the login, and no token server of it.
    :ivar unknown: there is no such name.
    """

    outcome: str
    reason: str
    identity_token: str = field(default='', repr=False)
    rate_limit: RateLimit | None = None
    way_out: str = ''
    by_basic: bool = False
    unknown: bool = False


@dataclass(frozen=True)
class Settings:
    """How registries are asked. ``deadline`` in seconds, for each login; ``rate_limit``: ask Docker Hub for the pulls that are left."""

    deadline: float = 20.0
    proxies: ProxyConfig = field(default_factory=ProxyConfig)
    ca_paths: tuple[str, ...] = ()
    rate_limit: bool = True
    certs_d: str = CERTS_D
    contexts: TlsContexts = field(default_factory=TlsContexts)


@dataclass(frozen=True)
class Question:
    """One login at one registry. ``offline``: ask for an identity token, as Docker's clients do. No ``secret``: an anonymous one."""

    registry: Registry
    secret: Secret | None = field(default=None, repr=False)
    insecure: bool = False
    offline: bool = False


class _Said(Exception):
    """The verdict, from wherever it became clear."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.verdict = Verdict(outcome, reason)


def check_all(questions: t.Sequence[Question], settings: Settings) -> list[Verdict]:
    """The verdicts in the order of the questions; registries are asked at the same time.

    :raises ConfigError: for a CA file that cannot be used.
    """
    if not questions:
        return []
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda question: check(question, settings), questions))


def check(question: Question, settings: Settings) -> Verdict:
    """Ask a registry about one login."""
    deadline = Deadline(settings.deadline)
    verdict = Verdict(UNREACHABLE, '')
    for base in _bases(question):
        visit = _Visit(base, question, settings, deadline)
        try:
            return visit.verdict()
        except _Said as said:
            return said.verdict
        except FetchError as exc:
            way_out = _way_out(exc, question.registry.host, visit.client.is_origin(exc.url))
            verdict = Verdict(UNREACHABLE, f'{base} could not be asked: {exc}.', way_out=way_out, unknown=exc.kind == 'resolve')
            if exc.kind not in ('tls', 'connect', 'protocol'):
                break
        finally:
            visit.client.close()
    return verdict


def _way_out(exc: FetchError, host: str, at_the_registry: bool) -> str:
    """What helps where TLS fails; its token server may be another host than the registry."""
    if certificate_refused(exc):
        if host == HUB:
            return 'Let the host trust its authority, or name a file with it in ca_path (registry_access_probe_ca_path in the role).'
        return (
            f'Put its authority into {CERTS_D}/{host}/ca.crt on the host, where Docker and Podman look as well, or name a file with it in ca_path '
            '(registry_access_probe_ca_path in the role), or say insecure: true for this item.'
        )
    if speaks_no_tls(exc) and at_the_registry:
        return f'If it has no TLS, write http:// before its name, as in registry: http://{host}.'
    return ''


def rate_limit(settings: Settings) -> RateLimit | None:
    """Docker Hub's pulls that are left for this address without a login; None when the Hub does not say."""
    visit = _Visit(HUB_URL, Question(Registry(HUB)), settings, Deadline(settings.deadline))
    try:
        return visit.rate_limit()
    finally:
        visit.client.close()


def _bases(question: Question) -> list[str]:
    """Where a registry answers. Docker asks one that it takes for insecure over https first, then without."""
    host = question.registry.host
    if host == HUB:
        return [HUB_URL]
    if question.registry.plain_http:
        return [f'http://{host}']
    return [f'https://{host}'] + ([f'http://{host}'] if question.insecure or _LOOPBACK.match(host) else [])


def _tls_files(question: Question, settings: Settings) -> TlsFiles:
    """The authorities given, and what Docker keeps for this registry (/etc/docker/certs.d/HOST)."""
    folder = os.path.join(settings.certs_d, glob.escape(question.registry.host))
    own = tuple(sorted(glob.glob(f'{folder}/*.crt')))
    pairs = [(cert, f'{cert[:-5]}.key') for cert in sorted(glob.glob(f'{folder}/*.cert')) if os.path.exists(f'{cert[:-5]}.key')]
    cert, key = pairs[0] if pairs else (None, None)
    insecure = question.insecure or bool(_LOOPBACK.match(question.registry.host))
    return TlsFiles(settings.ca_paths + own, cert, key, insecure)


class _Visit:
    """The requests about one login. Raises FetchError where there is no answer, and _Said."""

    def __init__(self, base: str, question: Question, settings: Settings, deadline: Deadline) -> None:
        self.base = base
        self.question = question
        self.settings = settings
        self.client = Client(base, deadline, settings.contexts, _tls_files(question, settings), settings.proxies)

    @property
    def secret(self) -> Secret:
        return self.question.secret or Secret()

    def verdict(self) -> Verdict:
        place, challenges = self._challenges()
        bearer = next((one for one in challenges if one.scheme == 'bearer'), None)
        if bearer:
            return self._with_limit(self._bearer(place, bearer))
        if any(one.scheme == 'basic' for one in challenges):
            return self._basic(place)
        raise _Said(UNPROVED, f'{self.base} asks for a login in a way that container clients do not know.')

    def _challenges(self) -> tuple[str, list[Challenge]]:
        """Where the registry asks for a login, and how."""
        for path in ('/v2/', _SOME_MANIFEST):
            url = self.base + path
            answer = self._ask('GET', url)
            if answer.status == 401:
                return url, parse_challenges(answer.headers.get_all('WWW-Authenticate') or [])
            self._no_verdict(answer)
            if path == '/v2/':
                self._ping(answer)
        raise _Said(UNPROVED, f'{self.base} serves anybody and never asks for a login, so nothing is known of this one.')

    def _ping(self, answer: Response) -> None:
        """An answer to /v2/ without a challenge: a registry that asks later, or none at all."""
        if answer.status != 200:
            raise _Said(UNREACHABLE, f'{self.base} is no registry that this login could be tried on: it answers {answer.status} to /v2/.')
        if self.secret.password and self._ask('GET', f'{self.base}/v2/', self._basic_header()).status == 401:
            raise self._refused()

    def _no_verdict(self, answer: Response) -> None:
        if answer.status == 429:
            raise _Said(UNREACHABLE, f'{answer.url.partition("?")[0]} admits no more requests for now (429).')
        if answer.status >= 500:
            raise _Said(UNREACHABLE, f'{answer.url.partition("?")[0]} answers {answer.status}.')

    def _refused(self, detail: str = '') -> _Said:
        hint = ' The password ends with a line break, which may not belong to it.' if self.secret.password.endswith(('\n', '\r')) else ''
        whose = f'the login of {self.secret.username}' if self.secret.username else 'this identity token'
        return _Said(REFUSED, f'{self.question.registry.name} refuses {whose}{detail}.{hint}')

    def _basic_header(self, secret: Secret | None = None) -> str:
        login = secret or self.secret
        return 'Basic ' + base64.b64encode(f'{login.username}:{login.password}'.encode('utf-8', 'surrogateescape')).decode()

    def _ask(self, method: str, url: str, authorization: str = '', body: bytes = b'', limit: Limit = _NOTHING) -> Response:
        headers = {'Content-Type': 'application/x-www-form-urlencoded'} if body else {}
        return self.client.request(method, url, limit=limit, authorization=authorization, body=body, headers=headers)

    def _basic(self, place: str) -> Verdict:
        if self.secret.identity_token:
            raise _Said(REFUSED, f'{self.question.registry.name} takes user and password (Basic), and knows no identity tokens.')
        self._accepted(place, self._ask('GET', place, self._basic_header()))
        return Verdict(VERIFIED, f'{self.question.registry.name} takes the login of {self.secret.username}.', by_basic=True)

    def _accepted(self, place: str, answer: Response, detail: str = '') -> None:
        """Whether the registry takes a request with the login. Raises _Said when it does not, or does not say."""
        at_manifest = place.endswith(_SOME_MANIFEST)
        if answer.status == 200 or (answer.status == 404 and at_manifest):
            return
        limited = answer.status == 403 or 'insufficient_scope' in ' '.join(answer.headers.get_all('WWW-Authenticate') or [])
        if at_manifest and answer.status in (401, 403) and limited:
            whose = self.secret.username or 'this token'
            raise _Said(UNPROVED, f'{self.question.registry.name} shows nothing to {whose} that the login could be tried on ({answer.status}).')
        # Amazon's registry answers 400 to a token that it does not take.
        if answer.status in (400, 401, 403):
            raise self._refused(f'{detail} ({answer.status})' if detail or answer.status != 401 else '')
        self._no_verdict(answer)
        raise _Said(UNREACHABLE, f'{place} answers {answer.status}, which says nothing of the login.')

    # Token servers

    def _is_good(self, token: str) -> bool:
        return check(replace(self.question, secret=Secret(identity_token=token), offline=False), replace(self.settings, rate_limit=False)).outcome == VERIFIED

    def _bearer(self, place: str, challenge: Challenge) -> Verdict:
        realm = self._realm(challenge)
        token, given = self._refresh(realm, challenge) if self.secret.identity_token else self._token(realm, challenge)
        self._accepted(place, self._ask('GET', place, f'Bearer {token}'), ': its token server gives a token, and the registry does not take that')
        self._prove(token, realm, challenge)
        if given and not self._is_good(given):
            given = ''  # some give one that they take back from nobody
        whose = f'the login of {self.secret.username}' if self.secret.username else 'the identity token'
        return Verdict(VERIFIED, f'{self.question.registry.name} takes {whose}.', given)

    def _realm(self, challenge: Challenge) -> str:
        realm = realm_of(challenge)
        if not realm:
            raise _Said(UNREACHABLE, f'{self.base} wants a token, but names no usable address to get one from.')
        if self.base.startswith('https:') and not realm.startswith('https:'):
            raise _Said(UNPROVED, f'{self.base} sends its clients to {realm.partition("?")[0]} for a token, without TLS: the password is not sent there.')
        return realm

    def _token(self, realm: str, challenge: Challenge, scope: str = '', secret: Secret | None = None) -> tuple[str, str]:
        """A token for user and password, and the identity token that came with it."""
        login = secret or self.secret
        query = {**token_query(challenge, scope), 'account': login.username, 'client_id': CLIENT_ID}
        if self.question.offline:
            query['offline_token'] = 'true'
        answer = self._ask('GET', with_query(realm, query), self._basic_header(login), limit=_BODY)
        if answer.status in (400, 401, 403):
            raise self._refused('' if answer.status == 401 else f' ({answer.status})')
        return self._read_token(realm, answer)

    def _read_token(self, realm: str, answer: Response) -> tuple[str, str]:
        self._no_verdict(answer)
        token = parse_token(answer.body) if answer.status == 200 and answer.complete else ''
        if not token:
            raise _Said(UNREACHABLE, f'The token server {realm.partition("?")[0]} answers {answer.status} without a token.')
        return token, _identity_token(answer.body)

    def _refresh(self, realm: str, challenge: Challenge, scope: str = '', secret: Secret | None = None) -> tuple[str, str]:
        """A token for an identity token (OAuth2, RFC 6749, section 6)."""
        form = {'grant_type': 'refresh_token', 'client_id': CLIENT_ID, 'refresh_token': (secret or self.secret).identity_token, **token_query(challenge, scope)}
        answer = self._ask('POST', realm, body=urlencode(form).encode(), limit=_BODY)
        other = _other_oauth_error(answer)
        if other:
            raise _Said(UNPROVED, f'The token server {realm.partition("?")[0]} dislikes the question rather than the identity token ({other}).')
        if answer.status in (400, 401, 403):
            raise self._refused('' if answer.status == 401 else f' ({answer.status})')
        if answer.status in (404, 405):
            raise _Said(REFUSED, f'The token server {realm.partition("?")[0]} of {self.question.registry.name} knows no identity tokens ({answer.status}).')
        return self._read_token(realm, answer)[0], ''

    def _prove(self, token: str, realm: str, challenge: Challenge) -> None:
        """Make sure that the token was given for the login. Raises _Said where anybody gets one."""
        anybody = _Said(UNPROVED, f'The token server of {self.question.registry.name} gives the same to anybody, so nothing is known of this login.')
        subject = _subject(token)
        if subject == '':
            raise anybody
        # Whom a stranger gets none, or one for somebody else, it was the login that helped.
        answer = self._ask('GET', with_query(realm, token_query(challenge)), limit=_BODY)
        anonymous = parse_token(answer.body) if answer.status == 200 and answer.complete else ''
        if not anonymous:
            return
        if anonymous == token:
            raise anybody
        if subject is not None and _subject(anonymous) is not None:
            if subject != _subject(anonymous):
                return
            raise anybody
        # Nothing can be read in them. A user that nobody has is refused where the server does look at logins; no account of anybody's is locked by it.
        nobody = Secret(f'nobody-{secrets.token_hex(8)}', secrets.token_hex(8))
        try:
            if self.secret.identity_token:
                self._refresh(realm, challenge, secret=Secret(identity_token=secrets.token_hex(16)))
            else:
                self._token(realm, challenge, secret=nobody)
        except _Said as said:
            if said.verdict.outcome == REFUSED:
                return
            raise
        raise anybody

    # Docker Hub

    def _with_limit(self, verdict: Verdict) -> Verdict:
        if verdict.outcome != VERIFIED or self.question.registry.host != HUB or not self.settings.rate_limit:
            return verdict
        return replace(verdict, rate_limit=self.rate_limit())

    def rate_limit(self) -> RateLimit | None:
        """What the Hub's headers say. That it says nothing (accounts without a limit) is no error."""
        url = f'{HUB_URL}/v2/{RATE_LIMIT_IMAGE}/manifests/latest'
        scope = f'repository:{RATE_LIMIT_IMAGE}:pull'
        try:
            challenge = next(one for one in parse_challenges(self._ask('HEAD', url).headers.get_all('WWW-Authenticate') or []) if one.scheme == 'bearer')
            realm = self._realm(challenge)
            if self.secret.identity_token:
                token = self._refresh(realm, challenge, scope)[0]
            elif self.secret.password:
                token = self._token(realm, challenge, scope)[0]
            else:
                token = self._read_token(realm, self._ask('GET', with_query(realm, token_query(challenge, scope)), limit=_BODY))[0]
            return parse_rate_limit(self._ask('HEAD', url, f'Bearer {token}'))
        except (FetchError, _Said, StopIteration):
            return None


def parse_rate_limit(answer: Response) -> RateLimit | None:
    """Docker Hub's `ratelimit-limit: 100;w=21600`, `ratelimit-remaining` and `docker-ratelimit-source`."""
    limit, remaining = _RATE.match(answer.header('ratelimit-limit')), _RATE.match(answer.header('ratelimit-remaining'))
    if not limit or not remaining:
        return None
    window = int(limit.group(2) or remaining.group(2) or 0)
    return RateLimit(int(limit.group(1)), int(remaining.group(1)), window, answer.header('docker-ratelimit-source')[:100])


def _other_oauth_error(answer: Response) -> str:
    """An OAuth2 error that is about something else than the token (RFC 6749, section 5.2), such as a scope that is missing; else empty."""
    try:
        error = json.loads(answer.body).get('error') if answer.status == 400 else ''
    except (ValueError, AttributeError, RecursionError):
        return ''
    return error if error in ('invalid_request', 'invalid_scope') else ''


def _identity_token(body: bytes) -> str:
    """The refresh token in a token server's answer, which clients keep as `identitytoken`."""
    try:
        token = json.loads(body).get('refresh_token')
    except (ValueError, AttributeError, RecursionError):
        return ''
    return token if isinstance(token, str) else ''


def _subject(token: str) -> str | None:
    """Whom a token (a JWT) was given to; empty for nobody, None when it does not say."""
    parts = token.split('.')
    if len(parts) != 3:
        return None
    try:
        payload = json.loads(base64.urlsafe_b64decode(parts[1] + '=' * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    subject = payload.get('sub') if isinstance(payload, dict) else None
    return subject if isinstance(subject, str) else None


def advise(verdict: Verdict, policy: str) -> str:
    """What keeps a login from being written under ``verify: always|when_reachable``; empty when nothing does."""
    if verdict.outcome in (VERIFIED, NOT_CHECKED) or (verdict.outcome != REFUSED and policy == 'when_reachable'):
        return ''
    if verdict.outcome == REFUSED:
        return f'{verdict.reason} Nothing was written. Correct user and password, or look whether the account may log in with a password.'
    way_out = f'{verdict.way_out} ' if verdict.way_out else ''
    return (
        f'{verdict.reason} Nothing was written. {way_out}With verify: when_reachable (registry_access_auth_verify in the role) it is written with a warning, '
        'with verify: never without being asked.'
    )
