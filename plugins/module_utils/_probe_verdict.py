# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mirror's answers mean: from an error or a status to one state, the step that failed, and a sentence."""

from __future__ import annotations

import re
import typing as t
import zlib
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils._http import FetchError, Response
from ansible_collections.quickpull.registry.plugins.module_utils._registry import parse_challenges

STATES = (
    'ok',
    'unreachable',
    'timeout',
    'tls_error',
    'not_a_registry',
    'server_error',
    'auth_failed',
    'denied',
    'rate_limited',
    'missing',
    'corrupt',
    'stale',
    'blob_unreachable',
)
# In the order in which a mirror goes through them.
STEPS = ('resolve', 'connect', 'tls', 'ping', 'token', 'manifest', 'platform', 'config', 'blob', 'pull')

_BY_KIND = {
    'resolve': 'unreachable',
    'connect': 'unreachable',
    'proxy': 'unreachable',
    'dropped': 'unreachable',
    'timeout': 'timeout',
    'tls': 'tls_error',
    'protocol': 'not_a_registry',
    'endless': 'not_a_registry',
    'loop': 'not_a_registry',
}
_TAR_BLOCK = 512


class Stop(Exception):
    """The verdict on a mirror that failed: `state`, `failed_at` and the reason, one sentence without secrets."""

    def __init__(self, state: str, failed_at: str, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.failed_at = failed_at


@dataclass
class Finding:
    """What is known of one mirror. Its own thread fills it; `step` is where that thread is."""

    url: str
    state: str = ''
    failed_at: str = ''
    reason: str = ''
    step: str = 'resolve'
    route: str = 'direct'
    requests: int = 0
    latencies: list[float] = field(default_factory=list)  # seconds
    throughput: float | None = None  # bytes a second
    images: dict[str, dict[str, str | None]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    pull: dict[str, t.Any] | None = None

    def as_dict(self) -> dict[str, t.Any]:
        first = next(iter(self.images.values()), {})
        result: dict[str, t.Any] = {
            'url': self.url,
            'ok': self.state == 'ok',
            'state': self.state,
            'failed_at': self.failed_at or None,
            'reason': self.reason,
            'latency_ms': round(min(self.latencies) * 1000, 1) if self.latencies else None,
            'throughput_bps': None if self.throughput is None else int(self.throughput),
            'digest': first.get('digest'),
            'images': {name: dict(facts) for name, facts in self.images.items()},
            'requests': self.requests,
            'route': self.route,
            'notes': list(self.notes),
            'warnings': list(self.warnings),
        }
        if self.pull is not None:
            result['pull'] = dict(self.pull)
        return result


def blame(step: str, error: FetchError, *, own: bool) -> Stop:
    """The verdict for a request at *step* that got no answer. *own*: it happened at the mirror itself, not where it redirects to."""
    text = str(error)
    where = '' if own else ' (not the mirror itself, but where it sends its clients)'
    if step == 'token':
        return Stop('auth_failed', step, f'No token could be had: {text}.')
    if step in ('config', 'blob'):
        state = 'timeout' if own and error.kind == 'timeout' else 'blob_unreachable'
        return Stop(state, step, f'The {"image configuration" if step == "config" else "layer"} could not be fetched: {text}{where}.')
    # Before the first answer the way to the mirror is what failed; after it the same error is a fault of the step.
    failed_at = error.phase if own and step == 'ping' and error.phase != 'request' else step
    about = '' if failed_at in ('resolve', 'connect', 'tls') else f'The {_asked(step)} failed: '
    return Stop(_BY_KIND.get(error.kind, 'not_a_registry'), failed_at, _sentence(f'{about}{text}{where}'))


def judge_ping(answer: Response) -> tuple[Stop | None, Stop | None]:
    """What the answer to /v2/ says: a verdict, and a doubt.

    A doubt becomes the verdict only when the manifest fails as well: dockerd goes on after almost any answer to its ping, so a mirror
    that serves images is good whatever its /v2/ says.
    """
    status = answer.status
    if status >= 500:
        return Stop('server_error', 'ping', f'The mirror answers {status} to /v2/.'), None
    if 200 <= status < 300:
        if looks_like_html(answer):
            return Stop('not_a_registry', 'ping', 'A web page answers /v2/, not a registry.'), None
        if not answer.complete:
            return Stop('not_a_registry', 'ping', 'The answer to /v2/ has no end.'), None
        known = answer.header('Docker-Distribution-Api-Version') or not answer.body.strip() or answer.body.strip()[:1] in (b'{', b'[', b'"', b't')
        return None, None if known else Stop('not_a_registry', 'ping', 'What answers /v2/ is no registry.')
    if status == 401:
        schemes = {challenge.scheme for challenge in parse_challenges(answer.headers.get_all('WWW-Authenticate') or [])}
        if not schemes:
            return None, Stop('auth_failed', 'ping', 'The mirror answers 401 to /v2/ without saying how to log in.')
        # A token is given to anonymous clients as well; user and password are nothing that a probe could make up.
        return None, None if 'bearer' in schemes else Stop('auth_failed', 'ping', 'The mirror asks for a login with user and password, and was given none.')
    if status == 403:
        return None, Stop('denied', 'ping', 'The mirror answers 403 to /v2/.')
    return None, Stop('not_a_registry', 'ping', f'The mirror answers {status} to /v2/, which a registry does not.')


def judge_manifest(step: str, name: str, answer: Response) -> Stop | None:
    """The verdict for a manifest's status and shape; None when its bytes can be looked at."""
    what = f'the manifest of {name}'
    if answer.status == 401:
        return Stop('auth_failed', step, f'The mirror answers 401 for {what}, and an anonymous client cannot get further.')
    if answer.status == 403:
        return Stop('denied', step, f'The mirror answers 403 for {what}: this image, or this client, is not admitted.')
    if answer.status == 404:
        return Stop('missing', step, f'The mirror does not have {what} (404).')
    if answer.status >= 500:
        return Stop('server_error', step, f'The mirror answers {answer.status} for {what}.')
    if answer.status != 200:
        return Stop('not_a_registry', step, f'The mirror answers {answer.status} for {what}, which a registry does not.')
    if looks_like_html(answer):
        return Stop('not_a_registry', step, f'A web page is served as {what}.')
    if not answer.complete:
        return Stop('not_a_registry', step, f'What is served as {what} has no end, or is larger than any manifest may be.')
    return None


def judge_blob(step: str, answer: Response) -> Stop | None:
    """The verdict for a blob's status; None when its bytes can be looked at."""
    what = 'the image configuration' if step == 'config' else 'a layer'
    if answer.status == 401:
        return Stop('auth_failed', step, f'The mirror answers 401 for {what}, and an anonymous client cannot get further.')
    if answer.status == 403:
        return Stop('denied', step, f'The manifest is served, but {what} is denied (403).')
    if answer.status not in (200, 206):
        return Stop('blob_unreachable', step, f'The manifest is served, but {what} is not ({answer.status}).')
    return None


def looks_like_html(answer: Response) -> bool:
    kind = answer.header('Content-Type').partition(';')[0].strip().lower()
    return kind in ('text/html', 'application/xhtml+xml') or answer.body[:64].lstrip().lower().startswith((b'<!doctype html', b'<html'))


def layer_problem(sample: bytes, media_type: str) -> str:
    """Why the first bytes of a layer cannot be those of a layer; empty when nothing speaks against it.

    The digest of a large layer cannot be checked by a part of it. But what is compressed has to unpack, and a layer is a tar archive,
    whose first header carries a checksum.
    """
    if media_type.endswith('encrypted') or not re.search(r'\.tar(\.|\+|$)', media_type):
        return ''
    if sample[:4] == b'\x28\xb5\x2f\xfd':  # zstd, which the standard library cannot unpack before Python 3.14
        return ''
    head = sample
    if sample[:2] == b'\x1f\x8b':
        try:
            # 31: a gzip header is expected. The length is bounded, so nothing can blow up.
            head = zlib.decompressobj(31).decompress(sample[:65536], 65536)
        except zlib.error:
            return 'its first bytes do not unpack'
    elif 'gzip' in media_type:
        return 'its first bytes are not those of a gzip file'
    return '' if _is_tar(head[:_TAR_BLOCK]) else 'its first bytes are not those of a tar archive'


def _is_tar(block: bytes) -> bool:
    if len(block) < _TAR_BLOCK or not block.strip(b'\0'):
        return True  # too little to tell; an archive without files begins with zeros
    try:
        stored = int(block[148:156].strip(b'\0 ') or b'0', 8)
    except ValueError:
        return False
    blanked = block[:148] + b' ' * 8 + block[156:]
    # Some old writers summed signed bytes (POSIX pax, "chksum").
    return stored in (sum(blanked), sum(byte - 256 if byte > 127 else byte for byte in blanked))


def _asked(step: str) -> str:
    return {'ping': 'request for /v2/', 'platform': "request for this platform's manifest"}.get(step, f'request for the {step}')


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith('.') else text + '.'
