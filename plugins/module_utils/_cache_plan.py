# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which files a cache is made of, and what must hold before any of them is written, so that the old service keeps running when it does not."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import errno
import glob
import ipaddress
import json
import os
import pwd
import socket
import ssl
import tempfile
import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils import (
    _as_user,
    _auth_file,
    _cache_container,
    _cache_front,
    _cache_registry,
    _cache_store,
    _io,
    _login_check,
    _owned_files,
    _systemd,
)
from ansible_collections.quickpull.registry.plugins.module_utils._auth_file import Secret
from ansible_collections.quickpull.registry.plugins.module_utils._cache_model import (
    CONFIG_DIR,
    EVICT_TIMER,
    FRONT_DIR,
    FRONT_UNIT,
    FULL_FLAG,
    INSTANCE_UNIT,
    STORAGE_DIR,
    USER,
    Front,
    Program,
    Upstream,
    with_ports,
)
from ansible_collections.quickpull.registry.plugins.module_utils._cache_store import Store
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import Content
from ansible_collections.quickpull.registry.plugins.module_utils._probe_options import parse_proxies
from ansible_collections.quickpull.registry.plugins.module_utils._root import below
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

KIND = 'cache'
FRONT_FILE = 'front.conf'
CLIENTS_FILE = 'clients.htpasswd'
EVICT_FILE = 'evict.json'

_NGINX = ('/usr/sbin/nginx', '/usr/local/sbin/nginx', '/usr/bin/nginx')


def _resolve(name: str) -> t.Sequence[str]:
    return sorted({str(found[4][0]) for found in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)})


@dataclass(frozen=True)
class Host:
    """The ways in which this reaches the host. Tests put their own in their place.

    :ivar nginx_program: empty to look where packages have it.
    :ivar resolve: addresses of a name; raises OSError where there are none.
    """

    root: str = '/'
    run: _systemd.Runner = _systemd.run
    nginx_program: str = ''
    resolve: t.Callable[[str], t.Sequence[str]] = _resolve

    def path(self, path: str) -> str:
        return below(self.root, path)

    @property
    def nginx(self) -> str:
        return next((path for path in ([self.nginx_program] if self.nginx_program else _NGINX) if os.access(self.path(path), os.X_OK)), '')


@dataclass(frozen=True)
class Wanted:
    """What is to be: the instances with their ports, and every file by its path; None for one that goes."""

    upstreams: tuple[Upstream, ...]
    front: Front
    program: Program
    files: t.Mapping[str, Content | None]


def instances(host: Host) -> dict[str, int]:
    """The ports of the instances that have a configuration, by :attr:`Upstream.id`."""
    found = {}
    for path in sorted(glob.glob(host.path(f'{CONFIG_DIR}/*.yml'))):
        port = _cache_registry.port_in(_io.read_text(path) or '')
        if port:
            found[os.path.basename(path)[: -len('.yml')]] = port
    return found


def running(host: Host) -> set[str]:
    """The instances that run, by :attr:`Upstream.id`; one that waits for its upstream does not."""
    units = {INSTANCE_UNIT.format(name): name for name in instances(host)}
    found = _systemd.show_many(list(units), ('ActiveState',), runner=host.run) if units else {}
    return {name for unit, name in units.items() if found.get(unit, {}).get('ActiveState') == 'active'}


def enabled(host: Host) -> list[str]:
    """The units of a cache that systemd starts: those that somebody has to stop, also where a run died after their files went."""
    names = (INSTANCE_UNIT.format('*'), FRONT_UNIT, EVICT_TIMER)
    return sorted({os.path.basename(link) for name in names for link in glob.glob(host.path(f'/etc/systemd/system/*.wants/{name}'))})


def wanted(
    upstreams: t.Sequence[Upstream], front: Front, clients: t.Sequence[t.Mapping[str, str]] | None, store_size: int, program: Program, host: Host
) -> Wanted:
    """All files. Raises ConfigError, see :func:`with_ports`, and for an authority that cannot be read."""
    known = instances(host)
    settled = with_ports(upstreams, known, port_taken, front.port)
    _cache_store.check_databases(program.store, {one.name: one.redis_db for one in settled})
    clients_path = f'{CONFIG_DIR}/{CLIENTS_FILE}'
    files: dict[str, Content | None] = {clients_path: None}
    if clients is not None:
        files[clients_path] = _cache_front.htpasswd(clients, _io.read_text(host.path(clients_path)) or '')
        front = dataclasses.replace(front, htpasswd=clients_path)
    names = [*known, *(one.id for one in settled)]
    for name in names:
        files.update(dict.fromkeys((f'{CONFIG_DIR}/{name}.yml', f'{CONFIG_DIR}/{name}.env', f'{_cache_registry.CA_DIR}/{name}/ca.crt')))
    for one in settled:
        files[f'{CONFIG_DIR}/{one.id}.yml'] = _cache_registry.config(one, program)
        files[f'{CONFIG_DIR}/{one.id}.env'] = _cache_registry.environment(one, program)
        authorities = [path for path in (one.ca_path, program.store.bucket and program.store.bucket.ca_path) if path]
        if authorities:
            text = '\n'.join(_authority(host.path(path)) for path in dict.fromkeys(authorities))
            files[f'{_cache_registry.CA_DIR}/{one.id}/ca.crt'] = Content(f'{_owned_files.FIRST_LINE}\n{text}')
    limits = {'store': STORAGE_DIR, 'limit': store_size, 'reserve': front.reserve, 'front': FRONT_DIR, 'full': FULL_FLAG}
    files[f'{CONFIG_DIR}/{EVICT_FILE}'] = Content(f'{_owned_files.FIRST_LINE}\n{json.dumps(limits)}\n')
    files[f'{CONFIG_DIR}/{FRONT_FILE}'] = _cache_front.config(settled, front)
    return Wanted(tuple(settled), front, program, {host.path(path): content for path, content in files.items()})


def nothing(host: Host, state: State) -> dict[str, Content | None]:
    """All files of a cache, to be taken away."""
    paths = [path for path in _owned_files.load(state, KIND) if path.startswith(host.path(CONFIG_DIR))]
    return dict.fromkeys(paths)


def _authority(path: str) -> str:
    text = _io.read_text(path)
    if text is None:
        raise ConfigError(f'ca_path: there is no file {path} on this host.', path=path, key='ca_path')
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError) as exc:
        raise ConfigError(f'ca_path: {path} holds no certificate in PEM form ({exc}).', path=path, key='ca_path') from exc
    return text


# --- what must hold before anything is written ------------------------------------------------------------------------


def check_certificate(front: Front) -> None:
    """Raises ConfigError for a certificate that does not go with its key, or cannot be read."""
    if bool(front.certificate) != bool(front.key):
        raise ConfigError('certificate and key go together; give both, or none for plain HTTP.', key='certificate')
    if not front.certificate:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(front.certificate, front.key, password='')
    except (OSError, ssl.SSLError, ValueError) as exc:
        reason = getattr(exc, 'reason', None) or getattr(exc, 'strerror', None) or str(exc)
        reason = 'the key does not belong to the certificate' if reason == 'KEY_VALUES_MISMATCH' else reason
        words = f'certificate: {front.certificate} with the key {front.key} cannot be used: {reason}.'
        raise ConfigError(words, path=front.certificate, key='certificate') from exc


def authorities(host: Host) -> str:
    """The file of those that the host trusts, where Debian's kind has it or Fedora's."""
    places = ('/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt')
    return next((path for path in places if os.path.exists(host.path(path))), places[0])


def with_addresses(front: Front, host: Host, clients: t.Any = None) -> Front:
    """The front with the addresses of its replicas: nginx would not start while a name of theirs is unknown, be it for lack of a name server.

    :raises ConfigError: for a name that is unknown now, and where logins of ``clients`` would be sent on as everybody can read them.
    """
    found = []
    for number, one in enumerate(front.replicas):
        if front.certificate and clients and one.scheme != 'https':
            words = f'replicas[{number}]: http://{one.place} would be sent the logins of the clients as everybody on the way can read them; write https.'
            raise ConfigError(words, key='replicas')
        try:
            found.append(dataclasses.replace(one, addresses=tuple(host.resolve(one.host))))
        except OSError as exc:
            raise ConfigError(f'replicas[{number}]: {one.host} has no address here ({exc.strerror or exc}).', key='replicas') from exc
    return dataclasses.replace(front, replicas=tuple(found))


def check_room(size: int, store_size: int, reserve: int, host: Host) -> None:
    """Raises ConfigError where the front and the stores are to have more than their file systems are large, what is left to others counted in."""
    wanted_of: dict[int, int] = {}
    places: dict[int, str] = {}
    for directory, bytes_there in ((FRONT_DIR, size), (STORAGE_DIR, store_size)):
        place = host.path(directory)
        while not os.path.isdir(place):
            place = os.path.dirname(place)
        device = os.stat(place).st_dev
        wanted_of[device] = wanted_of.get(device, 0) + bytes_there
        places[device] = place
    for device, number in wanted_of.items():
        stat = os.statvfs(places[device])
        whole = stat.f_blocks * stat.f_frsize
        if number > whole * 0.9 or number + reserve > whole:
            raise ConfigError(
                f'size and store_size: {_human(number)} is more than 90 % of the file system of {places[device]}, which has {_human(whole)}, or leaves less '
                f'than the reserve of {_human(reserve)} there; choose less, or mount a larger one.',
                key='size',
            )


def _human(number: int) -> str:
    return f'{number / (1 << 30):.1f} GiB'


def make_directory(host: Host) -> None:
    """Where the files are: only root, and what runs as the cache's user, may look. One that is there is left as it is."""
    place = host.path(CONFIG_DIR)
    if os.path.isdir(place):
        return
    _io.make_dirs(place, 0o750)
    if not _as_user.missing_users([USER]):
        os.chown(place, 0, pwd.getpwnam(USER).pw_gid)


def leave_directory(host: Host) -> None:
    """Take it away, unless somebody keeps something else there."""
    with contextlib.suppress(OSError):
        os.rmdir(host.path(CONFIG_DIR))


def listens(host: Host) -> tuple[str, int] | None:
    """Address and port of the front that is configured; None without one."""
    return _cache_front.listens_in(_io.read_text(host.path(f'{CONFIG_DIR}/{FRONT_FILE}')) or '')


def check_program(program: Program, path: str, engine: str, image: str, host: Host, check_mode: bool) -> list[str]:
    """What the instances run: a program of the host, or an image, which is pulled if need be. Returns a sentence for what a run would still have to do.

    :raises ConfigError: for another version than the files are written for, and for an image that cannot be had.
    """
    if engine:
        if not image:
            words = 'container_image: an image of the registry is needed with container_engine, such as docker.io/library/registry:3.'
            raise ConfigError(words, key='container_image')
        _cache_container.check_version(image, program.version)
        told = _cache_container.have_image(engine, image, host.run, check_mode)
        return [told] if told else []
    found = _cache_container.version_of(host.path(path), host.run) if path else None
    if found is not None and found != program.version:
        raise ConfigError(f'registry_version: {path} is version {found}, and not {program.version}; write {found}.', key='registry_version')
    return []


def check_addresses(front: Front, host: Host) -> None:
    """Raises ConfigError for what is no address, and when another program listens where the front is to listen."""
    if not 1 <= front.port <= 65535:
        raise ConfigError(f'port: {front.port} is no port; write one from 1 to 65535.', key='port')
    try:
        ipaddress.ip_address(front.address)
    except ValueError:
        raise ConfigError(f'address: {front.address!r} is no IP address; write one of this host, or 0.0.0.0 for all.', key='address') from None
    for one in front.metrics_from:
        try:
            ipaddress.ip_network(one, strict=False)
        except ValueError:
            raise ConfigError(f'metrics_from: {one!r} is no address and no network; write 10.0.0.9 or 10.0.0.0/24.', key='metrics_from') from None
    before = listens(host)
    ours = before is not None and before[1] == front.port and _systemd.systemctl('is-active', '--quiet', FRONT_UNIT, runner=host.run).rc == 0
    if not ours and port_taken(front.port, front.address):
        raise ConfigError(f'port: another program listens on {front.address}:{front.port}; choose another port, or stop that program.', key='port')


def port_taken(port: int, address: str = '127.0.0.1') -> bool:
    """Whether nothing can listen there because something does."""
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as nginx does
        try:
            trial.bind((address, port))
        except OSError as exc:
            if exc.errno == errno.EADDRNOTAVAIL:
                raise ConfigError(f'address: {address} is none of this host; write one of its own, or 0.0.0.0 for all.', key='address') from exc
            return True
    return False


def check_store(store: Store, deadline: float) -> list[str]:
    """Ask for the bucket, where there is one. Raises ConfigError for one that cannot be used; returns a sentence where it could not be asked."""
    told = _cache_store.check_bucket(store.bucket, deadline) if store.bucket else ''
    return [told] if told else []


def check_logins(upstreams: t.Sequence[Upstream], version: int, deadline: float) -> list[str]:
    """Ask each upstream about its login. Returns a sentence for each that could not be asked.

    :param version: of the registry that would log in.
    :raises ConfigError: for a login that is refused, and for one that this version has no way to give (distribution, issue 3153).
    """
    told = []
    for one in upstreams:
        if not one.username:
            continue
        verdict = _ask(one, Secret(one.username, one.password), deadline)
        if verdict.outcome == _login_check.REFUSED:
            raise ConfigError(f'upstreams: {one.name}: {verdict.reason}', key='upstreams')
        if verdict.by_basic and version < 3:
            words = f'upstreams: {one.name} takes a login by Basic alone, which the registry 2 never gives an upstream; run version 3, or leave the login out.'
            raise ConfigError(words, key='upstreams')
        if verdict.outcome != _login_check.VERIFIED:
            told.append(f'The login at {one.name} was not verified: {verdict.reason}')
    return told


def check_reached(upstreams: t.Sequence[Upstream], running: t.Collection[str], deadline: float) -> list[str]:
    """Ask each of these upstreams whether it is there: without it the registry does not start.

    :param running: instances, by :attr:`Upstream.id`, that would be restarted.
    :returns: a sentence for each new one that will have to wait.
    :raises ConfigError: for one whose instance runs, and would not any more, and for one whose name is unknown.
    """
    told = []
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(lambda one: _ask(one, None, deadline), upstreams))
    for one, verdict in zip(upstreams, verdicts):
        reason = _away(verdict)
        if verdict.unknown and one.id not in running:
            words = f'upstreams: {one.name} is no name of a registry that this host knows. {reason} Mend it, or go on with verify_upstreams: false.'
            raise ConfigError(words, key='upstreams')
        if reason and one.id in running:
            raise ConfigError(
                f'upstreams: {one.name} cannot be reached as it is described now, so its instance, which runs, would not start again. {reason} '
                'Mend that, or go on with verify_upstreams: false.',
                key='upstreams',
            )  # fmt: skip
        if reason and not one.username:  # of a login that was said already
            told.append(f'The instance of {one.name} starts as soon as its upstream can be reached. {reason}')
    return told


def unreachable(upstream: Upstream, deadline: float = 5.0) -> str:
    """Why an upstream cannot be reached, in a sentence; empty when it answers, whatever it says."""
    return _away(_ask(upstream, None, deadline))


def _away(verdict: _login_check.Verdict) -> str:
    return verdict.reason if verdict.outcome == _login_check.UNREACHABLE else ''


def _ask(upstream: Upstream, secret: Secret | None, deadline: float) -> _login_check.Verdict:
    place = upstream.url.partition('://')[2].partition('/')[0]
    registry = _auth_file.parse_registry('docker.io' if upstream.name == 'docker.io' and place == 'registry-1.docker.io' else place)
    ca_paths = (upstream.ca_path,) if upstream.ca_path else ()
    settings = _login_check.Settings(deadline=deadline, proxies=parse_proxies(upstream.proxy or None, []), ca_paths=ca_paths, rate_limit=False)
    return _login_check.check(_login_check.Question(registry, secret, insecure=upstream.url.startswith('http:')), settings)


def check_front(content: Content, host: Host) -> None:
    """Let nginx read the configuration before it is in place. Raises ConfigError with its words."""
    if not host.nginx:
        where = host.nginx_program or ', '.join(_NGINX)
        raise ConfigError(f'There is no nginx on this host ({where}); install it, or let the role do so.', key='nginx_program')
    with tempfile.TemporaryDirectory(prefix='quickpull-') as folder:
        place = os.path.join(folder, FRONT_FILE)
        text = content.text.replace(_cache_front.RUN_DIR, folder).replace(FRONT_DIR, folder)
        if _as_user.missing_users([USER]):  # in check mode the role has not made it
            text = text.replace(f'user {USER};\n', '')
        with open(place, 'w', encoding='utf-8') as file:
            file.write(text)
        result = host.run((host.path(host.nginx), '-t', '-q', '-e', 'stderr', '-c', place), 30.0)
    if result.rc != 0:
        words = ' '.join(line for line in result.stderr.splitlines() if '[emerg]' in line or '[error]' in line) or result.stderr.strip()
        raise ConfigError(f'nginx refuses what would be written: {words.replace(folder, CONFIG_DIR)}')
