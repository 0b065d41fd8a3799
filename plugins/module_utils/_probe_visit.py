# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One mirror, step by step: what a client of it does when it pulls, and not one request more than it needs."""

from __future__ import annotations

import threading
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils._http import (
    CONNECT_SECONDS,
    Client,
    Deadline,
    FetchError,
    Limit,
    Response,
    TlsContexts,
    TlsFiles,
    origin_of,
    resolve,
)
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, place_of
from ansible_collections.quickpull.registry.plugins.module_utils._no_proxy import ProxyConfig, parse_ip
from ansible_collections.quickpull.registry.plugins.module_utils._probe_verdict import (
    Finding,
    Stop,
    blame,
    judge_blob,
    judge_manifest,
    judge_ping,
    layer_problem,
)
from ansible_collections.quickpull.registry.plugins.module_utils._registry import (
    ACCEPT_MANIFESTS,
    MAX_MANIFEST_BYTES,
    MAX_TOKEN_BYTES,
    BadManifest,
    Challenge,
    Descriptor,
    Image,
    Index,
    Manifest,
    Platform,
    choose,
    digest_of,
    is_digest,
    parse_challenges,
    parse_config_created,
    parse_manifest,
    parse_retry_after,
    parse_token,
    token_url,
)

# How deep a visit goes. `digest` and `config` are for the upstream, of which only the digest and the date are wanted.
DEPTHS = ('ping', 'digest', 'manifest', 'config', 'blob', 'pull')

BUDGET_FIRST_IMAGE = 8
BUDGET_FURTHER_IMAGE = 3
BUDGET_IN_ALL = 16
# 1 MiB tells 200 KB/s from 20 MB/s, and stays below what public mirrors ration (about 1 MiB a second and client).
SAMPLE_BYTES = 1024 * 1024
SAMPLE_SECONDS = 1.5
SAMPLE_ENOUGH = 16 * 1024
# Less than this is a burst of the network's buffers, not a throughput.
MEASURABLE_BYTES = 32 * 1024
WHOLE_LAYER_BYTES = 256 * 1024
MAX_CONFIG_BYTES = 2 * 1024 * 1024
MAX_PING_BYTES = 64 * 1024
MAX_WAITS = 3  # for each image

Pull = t.Callable[[Mirror, Image, Deadline], t.Dict[str, t.Any]]


@dataclass(frozen=True)
class Settings:
    """What is asked of every mirror. *ca_paths*: further authorities. *pull*: the pull through the daemon, for the depth `pull`."""

    images: tuple[Image, ...]
    platform: Platform
    depth: str = 'blob'
    proxies: ProxyConfig = field(default_factory=ProxyConfig)
    prefer_direct: bool = False
    ca_paths: tuple[str, ...] = ()
    pull: Pull | None = None
    connect_seconds: float = CONNECT_SECONDS

    def reaches(self, depth: str) -> bool:
        return DEPTHS.index(self.depth) >= DEPTHS.index(depth)


def tls_files(mirror: Mirror, ca_paths: tuple[str, ...]) -> TlsFiles:
    own = (mirror.ca_path,) if mirror.ca_path else ()
    return TlsFiles(ca_paths + own, mirror.client_cert, mirror.client_key, mirror.insecure)


class Visit:
    """A visit to one mirror, which fills *finding*. Its own thread calls `run`, once."""

    def __init__(self, mirror: Mirror, settings: Settings, deadline: Deadline, contexts: TlsContexts, finding: Finding) -> None:
        self.mirror = mirror
        self.settings = settings
        self.deadline = deadline
        self.finding = finding
        place = place_of(mirror.url)
        self.base = place.base + place.path
        self.namespace = f'{place.namespace}/' if place.namespace else ''
        self.client = Client(
            origin=mirror.url,
            deadline=deadline,
            contexts=contexts,
            tls=tls_files(mirror, settings.ca_paths),
            proxies=settings.proxies,
            headers=mirror.headers,
            budget=BUDGET_FIRST_IMAGE,
            connect_seconds=settings.connect_seconds,
            seen=self._seen,
        )
        self._step = 'ping'
        self._doubt: Stop | None = None  # what the ping made us suspect
        self._pinged = 0  # the status that /v2/ answered with
        self._challenge: Challenge | None = None
        self._challenged: Image | None = None  # the image that the challenge's scope is for
        self._token = ''
        self._waits = 0

    def run(self) -> None:
        """Go through the steps. Afterwards the finding has a state; nothing is raised for anything that a mirror does."""
        finding = self.finding
        try:
            self._steps()
            finding.state, finding.reason = 'ok', self._praise()
        except Stop as stop:
            finding.state, finding.failed_at, finding.reason = stop.state, stop.failed_at, str(stop)
        finally:
            finding.requests = self.client.sent
            self.client.close()

    def _praise(self) -> str:
        served = {'ping': 'The mirror answers', 'digest': 'The digest is known', 'manifest': 'The manifests are served and verified'}
        return served.get(self.settings.depth, 'Manifests, configuration and layers are served and verified') + '.'

    def _steps(self) -> None:
        self._arrive()
        self._ping()
        if not self.settings.reaches('digest'):
            if self._doubt:
                raise self._doubt
            return
        for position, image in enumerate(self.settings.images):
            allowed = BUDGET_FURTHER_IMAGE if position else BUDGET_FIRST_IMAGE - self.client.sent
            self.client.budget = max(0, min(allowed, BUDGET_IN_ALL - self.client.sent))
            self._token, self._waits = '', 0
            self._image(image, first=position == 0)
        if self.settings.reaches('pull') and self.settings.pull is not None:
            self._pull(self.settings.pull)

    def _enter(self, step: str) -> None:
        self._step = step
        self.finding.step = step
        self.finding.requests = self.client.sent

    def _seen(self, phase: str) -> None:
        # Only on the way to the first answer is the phase a step of its own; later it is part of a redirect or a new connection.
        if self._step == 'ping':
            self.finding.step = 'ping' if phase == 'request' else phase

    # The way there

    def _arrive(self) -> None:
        url = self.mirror.url
        if self.settings.prefer_direct and self.client.proxy_for(url) and self._is_near():
            self.client.direct = True
            try:
                self.client.connect(url, self.deadline.within(min(self.settings.connect_seconds, self.deadline.remaining() / 3)))
            except FetchError as exc:
                if exc.phase == 'tls':
                    raise blame('ping', exc, own=True) from exc
                self.client.direct = False
        self.finding.route = 'proxy' if self.client.proxy_for(url) else 'direct'
        try:
            self.client.connect(url)
        except FetchError as exc:
            raise blame('ping', exc, own=True) from exc

    def _is_near(self) -> bool:
        """Whether every address of the mirror, as this host resolves it, is a private, loopback or link-local one."""
        _scheme, host, port = origin_of(self.mirror.url)
        try:
            found = resolve(host, port, self.deadline.within(self.deadline.remaining() / 3))
        except FetchError:
            return False
        addresses = [parse_ip(str(address[0]).partition('%')[0]) for _family, address in found]
        return all(address is not None and (address.is_private or address.is_link_local) for address in addresses)

    # Requests

    def _ask(self, method: str, url: str, limit: Limit, headers: t.Mapping[str, str] | None = None, *, with_token: bool = True) -> Response:
        """One answer other than 429, for which Retry-After is waited when that fits. Raises Stop."""
        while True:
            authorization = f'Bearer {self._token}' if self._token and with_token else ''
            try:
                answer = self.client.request(method, url, limit=limit, headers=headers, authorization=authorization)
            except FetchError as exc:
                if exc.kind == 'budget':
                    raise _BudgetSpent(self._step) from exc
                raise blame(self._step, exc, own=self.client.is_origin(exc.url or url)) from exc
            if answer.status != 429:
                return answer
            self._wait(answer)
            if self.client.budget == 0:
                raise _BudgetSpent(self._step)
            if method == 'HEAD':
                return answer  # the GET that follows asks the same again, so the budget is kept for it

    def _wait(self, answer: Response) -> None:
        text = answer.header('Retry-After')
        seconds = parse_retry_after(text, time.time())
        if seconds is None or self._waits >= MAX_WAITS or seconds + 0.3 > self.deadline.remaining():
            hint = f', and asks to come back in {seconds:.0f} s' if seconds is not None else ''
            raise Stop('rate_limited', self._step, f'The mirror answers 429: it admits no more requests for now{hint}.')
        self._waits += 1
        threading.Event().wait(seconds)

    def _remember_latency(self, answer: Response) -> None:
        if self.client.is_origin(answer.url):
            self.finding.latencies.append(answer.first_byte)

    # Steps

    def _ping(self) -> None:
        self._enter('ping')
        url = f'{self.base}/v2/'
        answer = self._ask('GET', url, Limit(MAX_PING_BYTES))
        self._pinged = answer.status
        verdict, self._doubt = judge_ping(answer)
        if verdict:
            raise verdict
        if answer.url.partition(':')[2] == url.partition(':')[2]:
            # A host that sends all of its http to its https would do so for each request, and use up the budget.
            self.base = answer.url[: -len('/v2/')]
        if not self.settings.reaches('digest'):
            self._remember_latency(answer)

    def _image(self, image: Image, *, first: bool) -> None:
        facts: dict[str, str | None] = {'digest': None, 'platform_digest': None, 'created': None}
        try:
            self._manifest_and_more(image, facts, first=first)
        except _BudgetSpent as spent:
            if first and not facts['digest']:
                state, does = ('rate_limited', 'answers 429') if self._waits else ('not_a_registry', 'redirects')
                raise Stop(state, spent.failed_at, f'The mirror {does} so often that the requests it may get are used up.') from spent
            # Not the mirror's fault: what was seen so far was good.
            self.finding.notes.append(f'budget_spent_at_{spent.failed_at}: {image.name}')
        except Stop as stop:
            if first and self._doubt and stop.failed_at in ('token', 'manifest'):
                raise self._doubt from stop
            raise
        finally:
            self.finding.images[image.name] = facts
        if first and self._doubt:
            self.finding.notes.append('ping_odd')

    def _manifest_and_more(self, image: Image, facts: dict[str, str | None], *, first: bool) -> None:
        if not first and self._challenge:
            # This mirror wants tokens, one for each repository: asking first would cost a request to be told so.
            self._get_token(self._challenge, image)
        head = self._head(image) if first or self.settings.depth == 'digest' else ''
        if self.settings.depth == 'digest' and head:
            facts['digest'] = head
            return
        body, document = self._manifest(image, head)
        digest = facts['digest'] = digest_of(body, image.digest or head)
        if not self.settings.reaches('manifest'):
            return
        manifest, facts['platform_digest'] = self._platform(image, document, digest)
        if not self.settings.reaches('config'):
            return
        facts['created'] = self._config(image, manifest)
        if first and self.settings.reaches('blob'):
            self._blobs(image, manifest)

    def _manifest_url(self, image: Image, reference: str) -> str:
        return f'{self.base}/v2/{self.namespace}{image.repository}/manifests/{reference}'

    def _head(self, image: Image) -> str:
        """The digest that a HEAD of the manifest tells; empty when it tells none, for which nobody is blamed: the GET decides."""
        self._enter('manifest')
        url, headers = self._manifest_url(image, image.reference), {'Accept': ACCEPT_MANIFESTS}
        answer = self._ask('HEAD', url, Limit(0), headers)
        if answer.status == 401 and self._answer_challenge(answer, image):
            # GET, platform, config and one layer are still to come: rather no HEAD than no layer.
            if self.client.budget < 5 and self.settings.depth != 'digest':
                return ''
            answer = self._ask('HEAD', url, Limit(0), headers)
        if answer.status != 200:
            return ''
        self._remember_latency(answer)
        digest = answer.header('Docker-Content-Digest')
        return digest if is_digest(digest) else ''

    def _manifest(self, image: Image, head: str) -> tuple[bytes, Manifest | Index]:
        self._enter('manifest')
        answer = self._get_manifest(image, image.reference)
        verdict = judge_manifest('manifest', image.name, answer)
        if verdict:
            raise verdict
        self._remember_latency(answer)
        self._check_digests(image, head, answer)
        return answer.body, _parse(answer, 'manifest', image)

    def _check_digests(self, image: Image, head: str, answer: Response) -> None:
        said = answer.header('Docker-Content-Digest')
        for digest, whose in ((image.digest, 'was asked for'), (said if is_digest(said) else '', 'stands in its header')):
            if digest and digest_of(answer.body, digest) != digest:
                raise Stop('corrupt', 'manifest', f'What is served as the manifest of {image.name} has another digest than the one that {whose}.')
        if head and digest_of(answer.body, head) != head:
            if not is_digest(said):
                raise Stop('corrupt', 'manifest', f'A HEAD of the manifest of {image.name} tells another digest than the GET delivers.')
            self.finding.notes.append('head_differs')  # two servers behind one name, or the tag moved just now

    def _get_manifest(self, image: Image, reference: str) -> Response:
        url, limit, headers = self._manifest_url(image, reference), Limit(MAX_MANIFEST_BYTES), {'Accept': ACCEPT_MANIFESTS}
        answer = self._ask('GET', url, limit, headers)
        if answer.status == 401 and not self._token and self._answer_challenge(answer, image):
            answer = self._ask('GET', url, limit, headers)
        return answer

    def _platform(self, image: Image, document: Manifest | Index, digest: str) -> tuple[Manifest, str]:
        if isinstance(document, Manifest):
            return document, digest
        self._enter('platform')
        wanted = choose(document, self.settings.platform)
        if wanted is None:
            raise Stop('missing', 'platform', f'The image {image.name} is there, but not for {self.settings.platform}.')
        answer = self._get_manifest(image, wanted.digest)
        verdict = judge_manifest('platform', f'{image.name} for {self.settings.platform}', answer)
        if verdict:
            raise verdict
        self._remember_latency(answer)
        if digest_of(answer.body, wanted.digest) != wanted.digest:
            raise Stop('corrupt', 'platform', f'The manifest of {image.name} for {self.settings.platform} has another digest than the one asked for.')
        manifest = _parse(answer, 'platform', image)
        if isinstance(manifest, Index):
            raise Stop('corrupt', 'platform', f'The manifest of {image.name} for {self.settings.platform} is once more a list of manifests.')
        return manifest, wanted.digest

    def _config(self, image: Image, manifest: Manifest) -> str | None:
        self._enter('config')
        if manifest.config.size > MAX_CONFIG_BYTES:
            self.finding.notes.append('config_too_large')
            return None
        answer = self._get_blob(image, manifest.config, Limit(manifest.config.size))
        self._remember_latency(answer)
        if not answer.complete or digest_of(answer.body, manifest.config.digest) != manifest.config.digest:
            raise Stop('corrupt', 'config', f'The configuration of {image.name} has another digest than the one asked for.')
        try:
            return parse_config_created(answer.body)
        except BadManifest:
            return None  # an artifact, not an image: it is what its digest says

    def _get_blob(self, image: Image, blob: Descriptor, limit: Limit, headers: t.Mapping[str, str] | None = None) -> Response:
        url = f'{self.base}/v2/{self.namespace}{image.repository}/blobs/{blob.digest}'
        answer = self._ask('GET', url, limit, headers)
        if answer.status == 401 and not self._token and self._answer_challenge(answer, image):
            answer = self._ask('GET', url, limit, headers)
        verdict = judge_blob(self._step, answer)
        if verdict:
            raise verdict
        return answer

    def _blobs(self, image: Image, manifest: Manifest) -> None:
        self._enter('blob')
        # Layers that may not be distributed lie elsewhere.
        layers = [layer for layer in manifest.layers if layer.size > 0 and 'foreign' not in layer.media_type and 'nondistributable' not in layer.media_type]
        if not layers:
            self.finding.notes.append('no_layers')
            return
        biggest = max(layers, key=lambda layer: layer.size)
        self._sample(image, biggest)
        small = [layer for layer in layers if layer.size <= WHOLE_LAYER_BYTES and layer.digest != biggest.digest]
        if small and biggest.size > SAMPLE_BYTES and self.client.budget > 0:
            self._verify(image, max(small, key=lambda layer: layer.size))

    def _sample(self, image: Image, layer: Descriptor) -> None:
        """The first bytes of a layer: how fast they come, and whether they can be those of a layer."""
        whole = layer.size <= SAMPLE_BYTES
        wanted = min(layer.size, SAMPLE_BYTES)
        headers = {} if whole else {'Range': f'bytes=0-{wanted - 1}'}
        answer = self._get_blob(image, layer, Limit(wanted, SAMPLE_SECONDS, min(wanted, SAMPLE_ENOUGH)), headers)
        size = len(answer.body)
        # The wait for the first byte counts as far as it is longer than the mirror's latency: a mirror that fetches first is slow.
        if size >= MEASURABLE_BYTES:
            idle = min([answer.first_byte, *self.finding.latencies])
            self.finding.throughput = size / max(answer.seconds - idle, 0.0005)
        if answer.complete and size < wanted:
            raise Stop('corrupt', 'blob', f'A layer of {image.name} ends after {size} of {layer.size} bytes.')
        if whole and size == layer.size and (digest_of(answer.body, layer.digest) != layer.digest or _too_long(answer, layer.size)):
            raise Stop('corrupt', 'blob', f'A layer of {image.name} has another digest than the one asked for.')
        problem = layer_problem(answer.body, layer.media_type)
        if problem:
            raise Stop('corrupt', 'blob', f'What is served as a layer of {image.name} is none: {problem}.')

    def _verify(self, image: Image, layer: Descriptor) -> None:
        """A small layer, whole, for its digest; left out when this mirror is too slow for it."""
        if self.finding.throughput and layer.size / self.finding.throughput > self.deadline.remaining() / 2:
            return
        answer = self._get_blob(image, layer, Limit(layer.size))
        if not answer.complete or digest_of(answer.body, layer.digest) != layer.digest:
            raise Stop('corrupt', 'blob', f'A layer of {image.name} has another digest than the one asked for.')

    # Tokens

    def _answer_challenge(self, answer: Response, image: Image) -> bool:
        """Get a token for the challenge of a 401, if it is one that can be answered without credentials. Raises Stop."""
        if any(name.lower() == 'authorization' for name in self.client.headers):
            return False  # the operator's own login did not do, and would go in the token's place
        challenges = parse_challenges(answer.headers.get_all('WWW-Authenticate') or [])
        challenge = next((one for one in challenges if one.scheme == 'bearer'), None)
        if challenge is None or not self.client.is_origin(answer.url):
            return False
        if self._challenge is None and self._pinged != 401:
            self.finding.notes.append('late_challenge')
        self._challenge, self._challenged = challenge, image
        self._get_token(challenge, image)
        return True

    def _get_token(self, challenge: Challenge, image: Image) -> None:
        before = self._step
        self._enter('token')
        url = token_url(self._for_image(challenge, image), self.namespace + image.repository)
        if not url:
            raise Stop('auth_failed', 'token', 'The mirror wants a token, but names no usable address to get one from.')
        answer = self._ask('GET', url, Limit(MAX_TOKEN_BYTES), with_token=False)
        _scheme, host, _port = origin_of(url)
        if answer.status != 200:
            raise Stop('auth_failed', 'token', f'The mirror wants a token, but {host} answers {answer.status} instead of giving one.')
        self._token = parse_token(answer.body) if answer.complete else ''
        if not self._token:
            raise Stop('auth_failed', 'token', f'The mirror wants a token, but what {host} answers holds none.')
        self._enter(before)

    def _for_image(self, challenge: Challenge, image: Image) -> Challenge:
        """The challenge of one image turned to another; a mirror may call the repository by a longer name in its scope."""
        first = self._challenged
        if first is None or first.repository == image.repository:
            return challenge
        scope = challenge.parameters.get('scope', '').replace(f'{first.repository}:', f'{image.repository}:')
        return Challenge(challenge.scheme, {**challenge.parameters, 'scope': scope})

    # The pull

    def _pull(self, pull: Pull) -> None:
        self._enter('pull')
        outcome = pull(self.mirror, self.settings.images[0], self.deadline)
        self.finding.pull = outcome
        if outcome['state'] == 'failed':
            raise Stop(outcome.pop('verdict', 'blob_unreachable'), 'pull', outcome['reason'])


class _BudgetSpent(Stop):
    """The mirror may get no more requests."""

    def __init__(self, step: str) -> None:
        super().__init__('ok', step, 'The requests that a mirror may get are used up.')


def _parse(answer: Response, step: str, image: Image) -> Manifest | Index:
    try:
        return parse_manifest(answer.body, answer.header('Content-Type'))
    except BadManifest as exc:
        raise Stop('not_a_registry', step, f'What is served as the manifest of {image.name} is none: {exc}.') from exc


def _too_long(answer: Response, size: int) -> bool:
    length = answer.header('Content-Length')
    return answer.status == 200 and length.isdigit() and int(length) != size
