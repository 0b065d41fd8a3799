# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An upstream's hosts.toml, for containerd and for Docker with the containerd image store: the text, and where it lies.

Source: containerd, core/remotes/docker/config/hosts.go. Its traps: a host without `capabilities` may do everything, also be pushed to; an
http host that has `ca` or `skip_verify` is asked over https first; and where hosts.toml is, certificates beside it (Docker's layout) are no
longer looked for, so those are named in it.
"""

from __future__ import annotations

import glob
import os
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils import _io
from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DockerDaemon
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text, mask_url
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, normalise_url, parse_mirrors, place_of
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import FIRST_LINE, Content
from ansible_collections.quickpull.registry.plugins.module_utils._toml import quote, read, statements

CONTAINERD = 'containerd'
DOCKER = 'docker'
DIRECTORIES = {CONTAINERD: '/etc/containerd/certs.d', DOCKER: '/etc/docker/certs.d'}
FILE_NAME = 'hosts.toml'
DEFAULT_DIRECTORY = '_default'

# containerd 2.1 is the first to know the key; before, it is ignored.
DIAL_TIMEOUT_SINCE = (2, 1)

# moby 28.0; with the containerd image store alone.
DOCKER_SINCE = (28,)

_CAPABILITIES = {'content': ('pull',), 'resolve': ('pull', 'resolve')}
_COMMENT = re.compile(r'#[^\n]*=[^\n]*')
SERVERS = {'docker.io': 'https://registry-1.docker.io'}
_UPSTREAM = re.compile(r'\A(?=.{1,253}\Z)[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?\Z')


@dataclass(frozen=True)
class TheirCertificates:
    """Certificates for an upstream itself that lie beside its hosts.toml: authorities, and pairs of client certificate and key."""

    authorities: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()


def check_upstream(upstream: str) -> str:
    """Refuse what is no name of a registry. Returns it. Raises ConfigError."""
    if not _UPSTREAM.match(upstream) or ('.' not in upstream and ':' not in upstream and upstream != 'localhost') or '..' in upstream:
        raise ConfigError(f'upstreams: {upstream!r} is not the name of a registry; write its host, such as quay.io or registry.example.com:5000.', key=upstream)
    return upstream


def parse_upstreams(raw: t.Mapping[str, t.Any]) -> dict[str, list[Mirror]]:
    """The option ``upstreams``: mirrors by upstream. Raises ConfigError for a name or a mirror that no engine takes."""
    return {check_upstream(str(name)): parse_mirrors(mirrors, key=f"upstreams['{name}']") for name, mirrors in raw.items()}


def path_of(directory: str, upstream: str) -> str:
    return os.path.join(directory, upstream, FILE_NAME)


def shadow(directories: t.Sequence[str], directory: str, upstream: str) -> str:
    """What containerd finds before an upstream's file in ``directory``, one of the ``directories`` of its config_path; empty for nothing.

    It looks for HOST_PORT_, HOST and _default in each in turn, and is content with the first, whatever is in it (core/remotes/docker/config,
    hosts_unix.go: hostPaths; the CRI's hostDirFromRoots).
    """
    host, colon, port = upstream.rpartition(':')
    names = ([f'{host}_{port}_'] if colon else []) + [upstream, DEFAULT_DIRECTORY]
    places = [os.path.join(one, name) for one in directories for name in names]
    own = os.path.join(directory, upstream)
    before = places[: places.index(own)] if own in places else []
    return next((place for place in before if os.path.isdir(place)), '')


def their_certificates(directory: str, upstream: str) -> TheirCertificates:
    """What lies beside an upstream's hosts.toml in Docker's layout (\\*.crt; \\*.cert with its \\*.key)."""
    folder = os.path.join(directory, glob.escape(upstream))
    authorities = tuple(sorted(glob.glob(f'{folder}/*.crt')))
    certs = sorted(glob.glob(f'{folder}/*.cert'))
    return TheirCertificates(authorities, tuple((cert, f'{cert[:-5]}.key') for cert in certs if os.path.exists(f'{cert[:-5]}.key')))


def render(upstream: str, mirrors: t.Sequence[Mirror], *, dial_timeout: float = 0, theirs: TheirCertificates | None = None) -> Content | None:
    """The file of one upstream; None without mirrors, for no file.

    :param dial_timeout: seconds that connecting to a mirror may take, 0 to say nothing of it.
    """
    if not mirrors:
        return None
    beside = theirs or TheirCertificates()
    lines = [FIRST_LINE, f'server = {quote(SERVERS.get(upstream, f"https://{upstream}"))}']
    if beside.authorities:
        lines.append(f'ca = [{", ".join(map(quote, beside.authorities))}]')
    if beside.pairs:
        lines.append(f'client = [{", ".join(f"[{quote(cert)}, {quote(key)}]" for cert, key in beside.pairs)}]')
    for mirror in mirrors:
        lines += ['', *_host(mirror, dial_timeout)]
    return Content('\n'.join(lines) + '\n', secret=any(mirror.headers for mirror in mirrors))


def _host(mirror: Mirror, dial_timeout: float) -> list[str]:
    place = place_of(mirror.url)
    own_path = bool(place.path or place.namespace)
    name = f'host.{quote(place.api if own_path else place.base)}'
    capabilities = ', '.join(map(quote, _CAPABILITIES[mirror.trust]))
    lines = [f'[{name}]', f'  capabilities = [{capabilities}]']
    if own_path:
        lines.append('  override_path = true')
    if place.base.startswith('https:'):
        if mirror.ca_path:
            lines.append(f'  ca = {quote(mirror.ca_path)}')
        if mirror.client_cert:
            cert = quote(mirror.client_cert)
            lines.append(f'  client = [[{cert}, {quote(mirror.client_key)}]]' if mirror.client_key else f'  client = {cert}')
        if mirror.insecure:
            lines.append('  skip_verify = true')
    if dial_timeout:
        lines.append(f'  dial_timeout = "{_seconds(dial_timeout)}s"')
    if mirror.headers:
        lines.append(f'  [{name}.header]')
        lines += [f'    {quote(key)} = {quote(value)}' for key, value in mirror.headers.items()]
    return lines


def mirrors_in(directory: str) -> dict[str, list[str]]:
    """What the files below a directory say, whoever wrote them: URLs of mirrors in their order, by upstream. What is not understood is left out."""
    found: dict[str, list[str]] = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(directory), '*', FILE_NAME))):
        try:
            hosts = read(_io.read_text(path) or '', path).get('host')
        except ConfigError:
            continue
        if isinstance(hosts, dict) and hosts:
            found[os.path.basename(os.path.dirname(path))] = [_url_of(url, host) for url, host in hosts.items()]
    return found


def _url_of(url: str, host: t.Any) -> str:
    """The URL of a mirror as an operator writes it, from that of its API; without a password, which somebody may have put there."""
    own_path = isinstance(host, dict) and host.get('override_path') is True
    return mask_url(url[: -len('/v2')] if own_path and url.endswith('/v2') else url)


def _seconds(number: float) -> str:
    """As Go reads it: no exponent."""
    return f'{number:.3f}'.rstrip('0').rstrip('.')


def shown(text: str) -> str:
    """The text of a hosts.toml as it may be seen: without the values of headers, and nothing at all of one that is not understood.

    What somebody took out by a number sign counts as secret as well.
    """
    try:
        found = statements(text)
    except ConfigError:
        return '(a file that is no valid TOML)\n'
    behind = len(text)
    for one in reversed(found):
        text = text[: one.end] + _COMMENT.sub('# ***', text[one.end : behind]) + text[behind:]
        behind = one.start
        if one.key and ('header' in one.path or 'header' in one.value):
            text = text[: one.value_start] + quote('***') + text[one.end :]
    return mask_text(_COMMENT.sub('# ***', text[:behind]) + text[behind:])


def resolves(mirrors: t.Iterable[Mirror]) -> bool:
    """Whether any of the mirrors may say which image a tag means. If none may, tags are asked of the upstream itself."""
    return any(mirror.trust == 'resolve' for mirror in mirrors)


def without_self(upstream: str, mirrors: t.Iterable[Mirror]) -> list[Mirror]:
    """The mirrors without the upstream itself, which is asked last anyway."""
    own = normalise_url(SERVERS.get(upstream, f'https://{upstream}'))
    return [mirror for mirror in mirrors if normalise_url(mirror.url) != own]


def docker_reads_not(daemon: DockerDaemon) -> str:
    """Why this Docker does not read the files, in a sentence; empty when it does."""
    if not daemon.installed:
        return 'There is no Docker on this host that would read these files.'
    version = daemon.version_tuple
    if version is not None and version < DOCKER_SINCE:
        return f'Docker {daemon.version} does not read hosts.toml: that came with 28.0.'
    if daemon.reported is not None and daemon.reported.image_store != 'containerd':
        return f'Docker {daemon.version} does not read hosts.toml here: it uses the older image store, not that of containerd.'
    return ''
