# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx in front of the instances: one address for all upstreams, one request to an instance for many clients, and what was served lately on disk.

How a request says which upstream it means, in the order in which that counts: the path (`/v2/quay.io/team/app/...`, as Podman and BuildKit ask a mirror
`cache.lan/quay.io`), the parameter `ns` (containerd, and Docker with hosts.toml), the host's name (`quay.io.cache.lan`), else the first upstream, which
Docker's registry-mirrors get.

Why it keeps blobs itself: the registry (2.8, registry/proxy/proxyblobstore.go) asks the upstream anew for each client that comes while a blob is
on its way, knows no limit of its size, and does not start while the upstream cannot be reached.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._cache_model import (
    FRONT_DIR,
    FULL_FLAG,
    HEALTH_PATH,
    METRICS_PATH,
    USER,
    Front,
    Replica,
    Upstream,
)
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import FIRST_LINE, Content

RUN_DIR = '/run/quickpull-cache-front'

_CACHE = 'quickpull'
# Stands where the front says by which file it works, which is the proof that it has taken one.
_FINGERPRINT = '@FINGERPRINT@'
_CLIENT = re.compile(r'[^\s:#]+\Z')
# When a request goes on to another cache: nothing answered, or what answered could not.
_FAILED = 'proxy_intercept_errors on; error_page 500 502 503 504 ='
# Marks a request that another cache sent on, which is not sent on once more.
_SENT_ON = 'X-Quickpull-Replica'
# A client waits that long for another one to bring a blob before it asks for itself. The registry sends no byte of it meanwhile.
_LOCK_SECONDS = 900
# An upstream that lets packets vanish keeps the registry waiting for good. So long is waited for the next byte of it: what a tag meant last is told then,
# and clients without such an answer go on to their next mirror.
_MANIFEST_SECONDS = 20
_BLOB_SECONDS = 60
# What may be asked for, to its last character (OCI distribution spec, "Pulling manifests"). nginx hands on what it has decoded, so that anything else could
# hold a second request (%0d%0a), whose answer the next client would get.
_REPOSITORY = r'[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*'
_DIGEST = r'[a-z0-9]+:[0-9a-f]+'
_TAG = r'[A-Za-z0-9_][A-Za-z0-9._-]*'
# All formats, whatever a client lists: those of today know them all and list them in any order, so that their lists would only make different answers of one.
_ACCEPT = ', '.join(
    f'application/vnd.{one}+json' for one in (
        'oci.image.index.v1', 'docker.distribution.manifest.list.v2', 'oci.image.manifest.v1', 'docker.distribution.manifest.v2',
    )
)  # fmt: skip


def config(upstreams: t.Sequence[Upstream], front: Front) -> Content:
    """The whole configuration of an nginx of its own."""
    # The longest first: of quay.io and quay.io.lan the shorter one would take the other's host names.
    names = '|'.join(re.escape(name) for name in sorted((one.name for one in upstreams), key=len, reverse=True))
    repository = rf'^/v2/(?:(?:{names})/)?{_REPOSITORY}'
    manifest = (f'proxy_read_timeout {_MANIFEST_SECONDS}s;', f'proxy_cache_lock_timeout {_MANIFEST_SECONDS}s;', f'proxy_cache_lock_age {_MANIFEST_SECONDS}s;')
    further = (f'{_FAILED} @{_replica(0)};',) if front.replicas else ()
    lines = [
        FIRST_LINE,
        f'user {USER};',
        'worker_processes auto;',
        f'pid {RUN_DIR}/nginx.pid;',
        'error_log stderr warn;',
        'daemon off;',
        'events { worker_connections 4096; }',
        'http {',
        '  server_tokens off;',
        '  sendfile on;',
        '  tcp_nopush on;',
        '  client_max_body_size 1;',
        '  access_log off;',
        '  map_hash_bucket_size 512;',  # a name of 47 characters fits no more into what nginx has by itself
        '  map_hash_max_size 8192;',
        *(f'  {kind}_temp_path {RUN_DIR}/{kind};' for kind in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi')),
        f'  proxy_cache_path {FRONT_DIR}/blobs levels=1:2 keys_zone={_CACHE}:64m max_size={front.size} min_free={front.reserve} '
        'inactive=365d use_temp_path=off;',
        *_maps(upstreams, names),
        *(f'  upstream {_backend(one)} {{ server 127.0.0.1:{one.port}; keepalive 16; }}' for one in upstreams),
        *(f'  upstream {_replica(number)} {{ {_servers(one)} keepalive 4; }}' for number, one in enumerate(front.replicas)),
        '  server {',
        f'    listen {_listen(front)};',
        *_tls(front),
        *_auth(front),
        *_proxying(),
        f'    location = {HEALTH_PATH} {{ auth_basic off; default_type text/plain; return 200 "ok {_FINGERPRINT}\\n"; }}',
        *(line for one in upstreams for line in _watching(one, front)),
        '    location = /v2/ { proxy_pass http://$quickpull_backend; proxy_cache_valid 200 10s; proxy_cache_key "$quickpull_backend $request_method ping"; '
        + (f'{_FAILED} @quickpull_ping; ' if front.replicas else '') + '}',
        *_location(rf'{repository}/blobs/{_DIGEST}', '365d', f'proxy_read_timeout {_BLOB_SECONDS}s;', *further),
        *_location(rf'{repository}/manifests/{_DIGEST}', '365d', *manifest, *further),
        *_location(rf'{repository}/(manifests/{_TAG}|tags/list)', f'{front.fresh_for}s', 'proxy_cache_valid 404 10s;', *manifest, *further),
        *_replicas(front),
        '    location / { return 404; }',
        '  }',
        '}',
    ]
    text = '\n'.join(lines) + '\n'
    return Content(text.replace(_FINGERPRINT, hashlib.sha256(text.encode()).hexdigest()[:16], 1))


def htpasswd(clients: t.Sequence[t.Mapping[str, str]], before: str = '') -> Content:
    """Who may pull, as salted hashes (nginx knows {SSHA} everywhere); a hash that still fits is kept, so that nothing changes from run to run.

    :raises ConfigError: for a name that cannot stand in such a file.
    """
    for client in clients:
        if not client['password']:
            raise ConfigError(f'clients: {client["username"]} has no password; everybody could be it. Leave the client out, or give it one.', key='clients')
        if not _CLIENT.match(client['username']):
            raise ConfigError(f'clients: {client["username"]!r} cannot be the name of a client; use no colon, no space and no number sign.', key='clients')
    names = [client['username'] for client in clients]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ConfigError(f'clients: {twice} is named twice; nginx would take the first password alone.', key='clients')
    known = dict(line.split(':', 1) for line in before.splitlines() if ':' in line and not line.startswith('#'))
    lines = []
    for client in clients:
        hashed = known.get(client['username'], '')
        lines.append(f'{client["username"]}:{hashed if _fits(client["password"], hashed) else _hash(client["password"], os.urandom(8))}')
    return Content('\n'.join([FIRST_LINE, *lines]) + '\n', secret=False)


def _hash(password: str, salt: bytes) -> str:
    return '{SSHA}' + base64.b64encode(hashlib.sha1(password.encode() + salt).digest() + salt).decode()  # noqa: S324


def _fits(password: str, hashed: str) -> bool:
    try:
        raw = base64.b64decode(hashed[len('{SSHA}'):], validate=True) if hashed.startswith('{SSHA}') else b''
    except ValueError:
        return False
    return len(raw) > 20 and hmac.compare_digest(_hash(password, raw[20:]), hashed)


def listens_in(text: str) -> tuple[str, int] | None:
    """Address and port in a configuration as :func:`config` writes it; None for another file."""
    found = re.search(r'^ {4}listen (\S+):([0-9]+)(?: ssl)?;$', text, re.MULTILINE) if text.startswith(FIRST_LINE) else None
    return (found.group(1).strip('[]'), int(found.group(2))) if found else None


def notes(upstreams: t.Sequence[Upstream], front: Front) -> list[str]:
    """What whoever runs a cache should know, a sentence each."""
    scheme = 'https' if front.certificate else 'http'
    names = ', '.join(one.name for one in upstreams)
    found = [f'The cache of {names} listens at {scheme}://{front.address}:{front.port}. Its clients know once quickpull.registry.site ran.']
    if front.htpasswd:
        found.append('It asks its clients for a login, which Docker has no way to give a mirror: it is a cache for containerd, Podman and their kin alone.')
    return found


def fingerprint_in(text: str) -> str:
    """What the front says of itself once it works by this file; empty for another file."""
    found = re.search(r'return 200 "ok ([0-9a-f]{16})', text)
    return found.group(1) if found else ''


def certificate_in(text: str) -> tuple[str, ...]:
    """Certificate and key in a configuration as :func:`config` writes it; empty without TLS."""
    return tuple(re.sub(r'\\(.)', r'\1', path) for path in re.findall(r'^ {4}ssl_certificate(?:_key)? "(.*)";$', text, re.MULTILINE))


def health_url_in(text: str) -> str:
    """Where a front with this configuration is asked whether it is well; empty for another file."""
    address, port = listens_in(text) or ('', 0)
    certificate, key = certificate_in(text) or ('', '')
    return Front(address, port, 0, certificate=certificate, key=key).health_url if port else ''


def _backend(upstream: Upstream) -> str:
    """By this name what was served is found again. So it goes with the registry itself, and not with a port, which another one may have next."""
    return f'cache_{hashlib.sha256(f"{upstream.name} {upstream.url}".encode()).hexdigest()[:16]}'


def _maps(upstreams: t.Sequence[Upstream], names: str) -> list[str]:
    first = upstreams[0]
    # nginx leaves a parameter as it came, and Go writes a colon in one as %3A.
    chosen = [f'    "{name}" {_backend(one)};' for one in upstreams for name in dict.fromkeys((one.name, one.name.replace(':', '%3A')))]
    return [
        f'  map $uri $quickpull_by_path {{ default ""; "~^/v2/(?<quickpull_path_name>{names})/." $quickpull_path_name; }}',
        f'  map $host $quickpull_by_host {{ default "{first.name}"; "~^(?<quickpull_host_name>{names})\\." $quickpull_host_name; }}',
        '  map $arg_ns $quickpull_by_ns { default $arg_ns; "" $quickpull_by_host; }',
        '  map $quickpull_by_path $quickpull_name { default $quickpull_by_path; "" $quickpull_by_ns; }',
        '  map $quickpull_name $quickpull_backend {', '    default "";', *chosen, '  }',
        '  map $quickpull_uri $quickpull_tail { default ""; "~^/v2(?<quickpull_below>/.+)$" $quickpull_below; }',
        f'  map $uri $quickpull_uri {{ default $uri; "~^/v2/(?:{names})(?<quickpull_rest>/.+)$" /v2$quickpull_rest; }}',
    ]  # fmt: skip


def _listen(front: Front) -> str:
    address = f'[{front.address}]' if ':' in front.address else front.address
    return f'{address}:{front.port}' + (' ssl' if front.certificate else '')


def _tls(front: Front) -> list[str]:
    if not front.certificate:
        return []
    return [f'    ssl_certificate {_quoted(front.certificate)};', f'    ssl_certificate_key {_quoted(front.key)};', '    ssl_protocols TLSv1.2 TLSv1.3;']


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r'\\\1', text) + '"'


def _auth(front: Front) -> list[str]:
    return ['    auth_basic "quickpull-cache";', f'    auth_basic_user_file {_quoted(front.htpasswd)};'] if front.htpasswd else []


def _proxying() -> list[str]:
    """What all locations share."""
    return [
        '    if ($request_method !~ ^(GET|HEAD)$) { return 405; }',
        '    if ($quickpull_backend = "") { return 404; }',
        # What cannot be written down would break off on its way to the client as well.
        '    set $quickpull_full "";',
        f'    if (-f {FULL_FLAG}) {{ set $quickpull_full 1; }}',
        '    proxy_no_cache $quickpull_full;',
        '    proxy_http_version 1.1;',
        '    proxy_set_header Connection "";',
        '    proxy_set_header Host $http_host;',
        '    proxy_set_header X-Forwarded-Proto $scheme;',
        '    proxy_set_header Authorization "";',
        f'    proxy_set_header Accept "{_ACCEPT}";',
        '    proxy_connect_timeout 2s;',
        '    recursive_error_pages on;',
        f'    proxy_read_timeout {_LOCK_SECONDS}s;',
        '    proxy_max_temp_file_size 0;',
        # Of what it does not have yet the registry sends all, whatever range was asked for.
        '    proxy_force_ranges on;',
        f'    proxy_cache {_CACHE};',
        '    proxy_cache_lock on;',
        f'    proxy_cache_lock_timeout {_LOCK_SECONDS}s;',
        f'    proxy_cache_lock_age {_LOCK_SECONDS}s;',
        '    proxy_cache_convert_head off;',
        '    proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;',
        '    proxy_cache_use_stale error timeout invalid_header updating http_500 http_502 http_503 http_504 http_429;',
        '    add_header X-Cache $upstream_cache_status always;',
    ]


def _watching(upstream: Upstream, front: Front) -> list[str]:
    """Whether an instance is well, for everybody, and its figures, for this host and whoever else was named."""
    allowed = [f'allow {one};' for one in dict.fromkeys(('127.0.0.1', '::1', *front.own_address, *front.metrics_from))]
    own, port = 'proxy_cache off; proxy_read_timeout 5s; auth_basic off;', f'http://127.0.0.1:{upstream.metrics_port}'
    return [
        f'    location = {HEALTH_PATH}/{upstream.name} {{ {own} proxy_pass {port}/debug/health; }}',
        f'    location = {METRICS_PATH}/{upstream.name} {{ {own} {" ".join(allowed)} deny all; proxy_pass {port}/metrics; }}',
    ]


def _replica(number: int) -> str:
    return f'quickpull_replica_{number + 1}'


def _servers(replica: Replica) -> str:
    places = replica.addresses or (replica.host,)
    return ' '.join(f'server {f"[{one}]" if ":" in one else one}:{replica.port};' for one in places)


def _replicas(front: Front) -> list[str]:
    """Other caches, one after the other. Nothing of theirs is stored here: each has a store of its own, and this one's instance comes back."""
    lines = []
    for number, one in enumerate(front.replicas):
        lines += [
            f'    location @{_replica(number)} {{',
            # nginx takes none of the headers above where there is one here.
            f'      if ($http_{_SENT_ON.lower().replace("-", "_")}) {{ return 502; }}',
            '      proxy_cache off;',
            f'      proxy_read_timeout {_BLOB_SECONDS}s;',
            f'      proxy_set_header Host "{one.place}";',
            '      proxy_set_header Connection "";',
            '      proxy_set_header Authorization $http_authorization;',
            f'      proxy_set_header Accept "{_ACCEPT}";',
            f'      proxy_set_header {_SENT_ON} 1;',
            *(f'      {line}' for line in _replica_tls(one)),
            *([f'      {_FAILED} @{_replica(number + 1)};'] if number + 1 < len(front.replicas) else []),
            f'      proxy_pass {one.scheme}://{_replica(number)}/v2/$quickpull_name$quickpull_tail;',
            '    }',
        ]
    # Whether an image can be had is seen when one is asked for.
    ping = 'default_type application/json; add_header Docker-Distribution-Api-Version registry/2.0; return 200 "{}";'
    return [*lines, f'    location @quickpull_ping {{ {ping} }}'] if lines else []


def _replica_tls(replica: Replica) -> list[str]:
    if replica.scheme != 'https':
        return []
    verify = ['proxy_ssl_verify on;', 'proxy_ssl_verify_depth 5;', f'proxy_ssl_trusted_certificate {_quoted(replica.ca_path)};']
    return [*verify, 'proxy_ssl_server_name on;', f'proxy_ssl_name "{replica.host}";']


def _location(match: str, keep: str, *more: str) -> list[str]:
    return [
        f'    location ~ {match}\\z {{',
        f'      proxy_cache_valid 200 {keep};',
        '      proxy_cache_key "$quickpull_backend $request_method $quickpull_uri";',
        '      proxy_pass http://$quickpull_backend$quickpull_uri;',
        *(f'      {one}' for one in more),
        '    }',
    ]
