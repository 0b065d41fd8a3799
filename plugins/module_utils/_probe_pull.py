# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people do by hand to see whether a mirror works: `docker pull MIRROR/library/nginx`, through the daemon of this host."""

from __future__ import annotations

import ipaddress
import re
import threading
import time
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._docker_api import DockerApiError, DockerUnavailable, PullTimeout
from ansible_collections.quickpull.registry.plugins.module_utils._http import Deadline, host_port, origin_of
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, has_path, host_in_image
from ansible_collections.quickpull.registry.plugins.module_utils._no_proxy import parse_ip
from ansible_collections.quickpull.registry.plugins.module_utils._registry import Image

# The words of dockerd and of containerd, which it passes on, and what they mean.
_WORDS = (
    (r'toomanyrequests|too many requests|\b429\b', 'rate_limited'),
    (r'x509|tls:|certificate|server gave HTTP response', 'tls_error'),
    (r'i/o timeout|deadline exceeded|request canceled|TLS handshake timeout', 'timeout'),
    (r'no such host|connection refused|no route|unreachable', 'unreachable'),
    (r'unauthorized|authentication required|no basic auth', 'auth_failed'),
    (r'denied|forbidden|\b403\b', 'denied'),
    (r'manifest.*(unknown|not found)|repository.*not found|name unknown', 'missing'),
    (r'digest|unexpected (size|commit)|filesystem layer verification failed', 'corrupt'),
    (r'\b50\d\b|internal server error', 'server_error'),
)


class Docker(t.Protocol):
    """The part of DockerApi that a pull needs."""

    def image_exists(self, ref: str) -> bool: ...

    def remove_image(self, ref: str) -> None: ...

    def pull(self, ref: str, deadline: float) -> None: ...


class Puller:
    """Pulls one at a time: the daemon would fetch layers that two pulls have in common once, from one mirror, for both.

    *connect* gives the daemon's API and its insecure registries (names and CIDRs), or raises DockerUnavailable. It is called once.
    """

    def __init__(self, connect: t.Callable[[], tuple[Docker, tuple[str, ...]]]) -> None:
        self._connect = connect
        self._known: tuple[Docker, tuple[str, ...]] | None = None
        self._turn = threading.Lock()

    def __call__(self, mirror: Mirror, image: Image, deadline: Deadline) -> dict[str, t.Any]:
        """The outcome: `state` (ok, failed, not_applicable), `seconds`, `reason`, and for a failed one `verdict`, a state of a mirror."""
        if not self._turn.acquire(timeout=deadline.remaining()):
            return _outcome('failed', 'The pulls from other mirrors took all the time there was.', verdict='timeout')
        try:
            return self._pull(mirror, image, deadline)
        except DockerUnavailable as exc:
            return _outcome('not_applicable', mask_text(str(exc)))
        finally:
            self._turn.release()

    def _pull(self, mirror: Mirror, image: Image, deadline: Deadline) -> dict[str, t.Any]:
        if self._known is None:
            self._known = self._connect()
        api, insecure = self._known
        why_not = obstacle(mirror, insecure)
        if why_not:
            return _outcome('not_applicable', why_not)
        ref = reference(mirror, image)
        there_before = api.image_exists(ref)
        started = time.monotonic()
        try:
            api.pull(ref, max(0.1, deadline.remaining()))
        except PullTimeout:
            return _outcome('failed', f'docker pull {ref} did not end in time.', verdict='timeout')
        except DockerApiError as exc:
            return _outcome('failed', f'docker pull {ref} failed: {mask_text(str(exc))}', verdict=_verdict(str(exc)))
        seconds = round(time.monotonic() - started, 3)
        if not there_before:
            try:
                api.remove_image(ref)
            except DockerApiError as exc:
                return {**_outcome('ok', f'The image was pulled, but {ref} could not be removed again: {mask_text(str(exc))}'), 'seconds': seconds}
        return {**_outcome('ok', 'The daemon pulled the image from the mirror.'), 'seconds': seconds}


def reference(mirror: Mirror, image: Image) -> str:
    """The image's name as it is pulled from the mirror itself."""
    return f'{host_in_image(mirror.url)}/{image.repository}' + (f'@{image.digest}' if image.digest else f':{image.tag}')


def obstacle(mirror: Mirror, insecure_registries: t.Sequence[str]) -> str:
    """Why a mirror that works as a mirror cannot be pulled from by its name; empty when nothing is known to stand in the way."""
    scheme, host, port = origin_of(mirror.url)
    if has_path(mirror.url):
        return 'The mirror has a path, and an image pulled by name has its path behind /v2/ instead of before it.'
    if ':' in host:
        return 'The mirror is an IPv6 address, which the name of an image cannot hold in every version of Docker.'
    if mirror.headers:
        return 'The mirror wants headers, which the daemon does not send for an image pulled by name.'
    if mirror.ca_path or mirror.client_cert:
        return "The mirror wants its own certificates, which the daemon would take from /etc/docker/certs.d and not from the mirror's options."
    if (scheme == 'http' or mirror.insecure) and not _is_insecure(host, port, insecure_registries):
        return 'The mirror has no trusted TLS, which is fine for a mirror over http, but pulling by name needs it in insecure-registries.'
    return ''


def _is_insecure(host: str, port: int, listed: t.Sequence[str]) -> bool:
    """Whether the daemon pulls from it without TLS (moby, registry/config.go: isSecureIndex); names are not resolved here."""
    address = parse_ip(host)
    if host == 'localhost' or (address is not None and address.is_loopback):
        return True
    for entry in listed:
        if entry.lower() in (host, host_port(host, port)):
            return True
        try:
            if address is not None and address in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            continue
    return False


def _outcome(state: str, reason: str, verdict: str = '') -> dict[str, t.Any]:
    outcome: dict[str, t.Any] = {'state': state, 'seconds': None, 'reason': reason if reason.endswith('.') else reason + '.'}
    if verdict:
        outcome['verdict'] = verdict
    return outcome


def _verdict(words: str) -> str:
    return next((state for pattern, state in _WORDS if re.search(pattern, words[:4096], re.IGNORECASE)), 'blob_unreachable')
