# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mirrors of the lab, good and bad: what each does and what a probe has to say of it.

Steps of a probe, in the order in which they can fail: ``resolve`` (the name), ``connect``, ``tls``, ``ping`` (/v2/), ``token``,
``manifest`` (of the tag), ``platform`` (the manifest of one platform), ``config`` (the first blob), ``blob`` (some bytes of a layer).
"""
from __future__ import annotations

from dataclasses import dataclass

DEAD_PORT = 8999        # nothing listens there
CDN_PORT = 8190         # the other host that blobs are redirected to
HUB_NAMES = ('registry-1.docker.io', 'auth.docker.io', 'index.docker.io')
OTHER_UPSTREAMS = ('quay.io',)  # the Hub's server answers for them, with the Hub's images; its log tells which host was asked
REGISTRY_NAMES = ('registry-basic.lab', 'registry-token.lab', 'registry-open.lab', 'registry-anybody.lab', 'tokens.lab')  # registries.py
WORKER_NAMES = ('docker.worker.lab', 'quay.worker.lab')      # test_worker.py, which runs it on the machine itself
PROXY_PORT = 3128
PROXY_LOGIN_PORT = 3129
REDIS_PORT = 6379
REDIS_PASSWORD = 'lab\'s redis: "word"'    # which a file of environment variables, and YAML, may take for something else


@dataclass(frozen=True)
class Mirror:
    """One row. ``behaviour`` is a class in misbehave.py; '' when no program answers at all."""

    name: str
    port: int
    state: str
    failed_at: str
    behaviour: str
    does: str
    scheme: str = 'http'
    path: str = ''
    certificate: str = ''

    @property
    def host(self) -> str:
        return f'{self.name}.lab'

    @property
    def url(self) -> str:
        return f'{self.scheme}://{self.host}:{self.port}{self.path}'


GOOD = (
    Mirror('good-a', 8101, 'ok', '', 'Registry', 'serves everything'),
    Mirror('good-b', 8102, 'ok', '', 'Registry', 'serves everything'),
    Mirror('good-tls', 8103, 'ok', '', 'Registry', 'serves everything over TLS, certificate by the lab\'s CA', scheme='https', certificate='good-tls'),
    Mirror('good-path', 8104, 'ok', '', 'Registry', 'serves everything below a path', path='/hub/'),
    Mirror('good-project', 8112, 'ok', '', 'Project', 'serves everything as a project of its registry, so below /v2/hub/', path='/v2/hub'),
    Mirror('good-token', 8105, 'ok', '', 'TokenRegistry', 'wants a token from a realm of its own'),
    Mirror('good-redirect', 8106, 'ok', '', 'RedirectToCdn', 'sends blobs to another host and port, which serves them'),
    Mirror('pull-through', 8107, 'ok', '', 'PullThrough', 'is a distribution registry that pulls through from the Hub'),
    Mirror('slow', 8108, 'ok', '', 'Slow', 'serves everything at 200 KB/s'),
    Mirror('late-token', 8110, 'ok', '', 'LateToken', 'answers the ping without more ado and wants a token for the manifest'),
    Mirror('no-range', 8111, 'ok', '', 'NoRange', 'serves everything and always whole blobs, whatever range is asked'),
    Mirror('busy-once', 8109, 'ok', '', 'BusyOnce', 'answers every other manifest request with 429 and Retry-After: 1, then serves it'),
)

BAD = (
    # Nobody there.
    Mirror('refused', DEAD_PORT, 'unreachable', 'connect', '', 'refuses the connection'),
    Mirror('no-name', 8200, 'unreachable', 'resolve', '', 'has a name that does not exist'),
    Mirror('no-host', 8200, 'unreachable', 'connect', '', 'has an address in the network that nobody answers for'),
    Mirror('dropped', 8201, 'timeout', 'connect', '', 'drops every packet'),
    Mirror('dropped-2', 8202, 'timeout', 'connect', '', 'drops every packet'),
    Mirror('dropped-3', 8203, 'timeout', 'connect', '', 'drops every packet'),
    Mirror('dropped-4', 8204, 'timeout', 'connect', '', 'drops every packet'),
    Mirror('dropped-5', 8205, 'timeout', 'connect', '', 'drops every packet'),
    Mirror('dropped-6', 8206, 'timeout', 'connect', '', 'drops every packet'),
    Mirror('hang', 8207, 'timeout', 'ping', 'Hang', 'accepts the connection and never answers'),
    Mirror('trickle', 8208, 'timeout', 'ping', 'Trickle', 'answers one byte a second'),
    # TLS.
    Mirror('https-on-http', 8211, 'tls_error', 'tls', 'Registry', 'speaks plain http on the port of an https URL', scheme='https'),
    Mirror('self-signed', 8212, 'tls_error', 'tls', 'Registry', 'has a self-signed certificate', scheme='https', certificate='self-signed'),
    Mirror('expired', 8213, 'tls_error', 'tls', 'Registry', 'has a certificate of the lab\'s CA that has expired', scheme='https', certificate='expired'),
    Mirror('wrong-name', 8214, 'tls_error', 'tls', 'Registry', 'has a certificate for another name', scheme='https', certificate='wrong-name'),
    # One answer to everything.
    Mirror('always-401', 8221, 'auth_failed', 'ping', 'Always401', 'answers 401 to everything, without any challenge'),
    Mirror('always-403', 8222, 'denied', 'ping', 'Always403', 'answers 403 to everything'),
    Mirror('always-404', 8223, 'not_a_registry', 'ping', 'Always404', 'answers 404 to everything, /v2/ too'),
    Mirror('always-429', 8224, 'rate_limited', 'ping', 'Always429', 'answers 429 with Retry-After: 60 to everything'),
    Mirror('always-500', 8225, 'server_error', 'ping', 'Always500', 'answers 500 to everything'),
    Mirror('html', 8226, 'not_a_registry', 'ping', 'Html', 'answers 200 and a web page to everything'),
    Mirror('redirect-loop', 8227, 'not_a_registry', 'ping', 'RedirectLoop', 'redirects to itself for ever'),
    Mirror('endless-headers', 8228, 'not_a_registry', 'ping', 'EndlessHeaders', 'sends headers without end'),
    # The ping is fine.
    Mirror('dead-realm', 8231, 'auth_failed', 'token', 'DeadRealm', 'wants a token from a realm that refuses connections'),
    Mirror('refused-token', 8232, 'auth_failed', 'token', 'RefusedToken', 'wants a token and its realm refuses to give one'),
    Mirror('basic-401', 8233, 'auth_failed', 'manifest', 'BasicManifest', 'answers the manifest with 401 and a Basic challenge'),
    Mirror('empty', 8234, 'missing', 'manifest', 'NoImages', 'has no images: the manifest is 404'),
    Mirror('endless-body', 8235, 'not_a_registry', 'manifest', 'EndlessBody', 'sends a manifest without end'),
    Mirror('liar', 8236, 'corrupt', 'manifest', 'Liar', 'sends the old manifest under the digest header of the right one'),
    Mirror('stale', 8237, 'stale', 'manifest', 'Stale', 'serves the images of two years ago, in themselves consistent'),
    # The manifest is fine.
    Mirror('blob-403', 8241, 'denied', 'config', 'Blob403', 'answers 403 to every blob'),
    Mirror('blob-404', 8242, 'blob_unreachable', 'config', 'Blob404', 'answers 404 to every blob'),
    Mirror('blob-500', 8243, 'blob_unreachable', 'config', 'Blob500', 'answers 500 to every blob'),
    Mirror('dead-redirect', 8244, 'blob_unreachable', 'config', 'RedirectToDeath', 'sends every blob to a host that refuses connections'),
    Mirror('corrupt-config', 8245, 'corrupt', 'config', 'CorruptConfig', 'sends config blobs with wrong bytes'),
    Mirror('corrupt-blob', 8246, 'corrupt', 'blob', 'CorruptLayer', 'sends layers with wrong bytes, of the right length'),
    Mirror('blob-hang', 8248, 'timeout', 'config', 'BlobHang', 'never answers when asked for a blob'),
    Mirror('layer-403', 8247, 'denied', 'blob', 'Layer403', 'gives config blobs and answers 403 to layers'),
)

MIRRORS = GOOD + BAD
BY_NAME = {mirror.name: mirror for mirror in MIRRORS}

# Not mirrors, but they keep a log as well.
CDN = Mirror('cdn', CDN_PORT, '', '', 'Cdn', 'serves the blobs that good-redirect sends on')
HUB = Mirror('hub', 443, '', '', 'Hub', 'the private Docker Hub and its token server', scheme='https', certificate='upstreams')


def names(services: str, nobody: str) -> dict[str, str]:
    """Every name of the lab and its address; ``no-name`` has none."""
    found = {mirror.host: services for mirror in (*MIRRORS, CDN) if mirror.name != 'no-name'}
    found['no-host.lab'] = nobody
    found.update(dict.fromkeys((*HUB_NAMES, *OTHER_UPSTREAMS, *REGISTRY_NAMES, 'proxy.lab', 'realm.lab', 'redis.lab'), services))
    return found
