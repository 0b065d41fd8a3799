# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Worker at Cloudflare is to be: its host names, its settings, its secrets, and the mirrors that it is for others."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._hosts_toml import check_upstream
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import check_url
from ansible_collections.quickpull.registry.plugins.module_utils._plain import type_name
from ansible_collections.quickpull.registry.plugins.module_utils._registry import DOCKER_HUB, upstream_url

DEFAULT_NAME = 'quickpull-registry'
DEFAULT_UPSTREAMS = (DOCKER_HUB, 'quay.io', 'ghcr.io', 'gcr.io', 'registry.k8s.io')
DEFAULT_COMPATIBILITY_DATE = '2025-07-01'
MAIN_MODULE = 'worker.js'

#: How a host name leads to the Worker.
DOMAIN, ROUTE = 'domain', 'route'

#: First labels of host names below a domain, where an upstream's own first label says nothing.
LABELS = {'registry.k8s.io': 'k8s', 'k8s.gcr.io': 'k8s-gcr', 'mcr.microsoft.com': 'mcr', 'public.ecr.aws': 'ecr'}

# Cloudflare's limit of one environment variable, text or secret (Workers, Limits, "Environment variable size").
BINDING_LIMIT = 5 * 1024

CLIENT_LOGINS, UPSTREAM_LOGINS = 'CLIENT_LOGINS', 'UPSTREAM_LOGINS'

# With *.workers.dev the name is a label of DNS.
_NAME = re.compile(r'[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z')
_ACCOUNT = re.compile(r'[0-9a-f]{32}\Z')
_HOST = re.compile(r'([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}\Z')
_REPOSITORIES = re.compile(r'[a-z0-9*]+([._/-]+[a-z0-9*]+)*\Z')


@dataclass(frozen=True)
class Host:
    """A host name of the Worker, the upstream that it stands for, and how it leads to the Worker."""

    name: str
    upstream: str
    attach: str = DOMAIN
    zone: str = ''


@dataclass(frozen=True)
class Worker:
    """All that decides what runs at Cloudflare. ``secrets`` are texts by name of binding."""

    account_id: str
    name: str
    hosts: t.Tuple[Host, ...]
    settings: t.Mapping[str, t.Any]
    modules: t.Mapping[str, bytes] = field(default_factory=dict, repr=False)
    secrets: t.Mapping[str, str] = field(default_factory=dict, repr=False)
    compatibility_date: str = DEFAULT_COMPATIBILITY_DATE
    workers_dev: bool = False

    def digests(self) -> dict[str, str]:
        """The SHA-256 of each module."""
        return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(self.modules.items())}

    def fingerprint(self) -> str:
        """A hash of all but the secrets: what it is the same for runs the same."""
        known = {'modules': self.digests(), 'settings': self.settings, 'compatibility_date': self.compatibility_date, 'main_module': MAIN_MODULE}
        return hashlib.sha256(canonical(known).encode('utf-8')).hexdigest()


def canonical(value: t.Any) -> str:
    """JSON that is the same for the same value."""
    return json.dumps(value, sort_keys=True, separators=(',', ':'), ensure_ascii=False)


def check_name(name: str) -> str:
    """The Worker's name. Raises ConfigError."""
    if not _NAME.match(name):
        raise ConfigError(f'name: {name!r} is no name of a Worker. Write small letters, digits and dashes, 63 at most.', key='name')
    return name


def check_account(account_id: str) -> str:
    """The account's id. Raises ConfigError."""
    if not _ACCOUNT.match(account_id):
        raise ConfigError(
            f'account_id: {account_id!r} is no id of an account, which has 32 digits of 0-9 and a-f. It stands on the overview of Workers in the dashboard.',
            key='account_id',
        )
    return account_id


def label_of(upstream: str) -> str:
    """The first label of an upstream's host name below a domain of one's own: ``docker`` for ``docker.io``."""
    return LABELS.get(upstream, re.sub(r'[^a-z0-9-]', '-', upstream.split('.')[0].lower()))


def parse_upstreams(raw: t.Any) -> dict[str, str]:
    """URLs of upstreams by name, from names or dictionaries with ``name`` and ``url``. Raises ConfigError."""
    if not isinstance(raw, (list, tuple)) or not raw:
        raise ConfigError('upstreams: a list of registries is expected, such as [docker.io, quay.io].', key='upstreams')
    found: dict[str, str] = {}
    for number, one in enumerate(raw):
        key = f'upstreams[{number}]'
        given = {'name': one} if isinstance(one, str) else one
        if not isinstance(given, t.Mapping) or not given.get('name'):
            raise ConfigError(f'{key}: a name, or a dictionary with name, is expected, not {type_name(one)}.', key=key)
        unknown = sorted(set(map(str, given)) - {'name', 'url'})
        if unknown:
            raise ConfigError(f'{key}: {", ".join(unknown)} is not known; there are name and url. Logins go into upstream_logins.', key=key)
        name = check_upstream(str(given['name']))
        if name in found:
            raise ConfigError(f'{key}: {name} is named twice.', key=key)
        url = str(given.get('url') or upstream_url(name)).rstrip('/')
        check_url(url, key=f'{key}.url')
        found[name] = url
    return found


def parse_hosts(domain: str, raw: t.Any, upstreams: t.Iterable[str], attach: str = DOMAIN) -> tuple[Host, ...]:
    """The host names: one for each upstream below ``domain``, and those that are named. What is named stands before what is derived.

    :param domain: a domain of one's own, or an empty string for none.
    :param raw: by host name the upstream, or a dictionary with ``upstream``, ``attach`` and ``zone``.
    :raises ConfigError: for what is no host name, and for an upstream that is not among ``upstreams``.
    """
    if not isinstance(raw, t.Mapping):
        raise ConfigError(f'hosts: a dictionary of host names and upstreams is expected, not {type_name(raw)}.', key='hosts')
    known = list(upstreams)
    found = {str(name).lower(): _parse_host(str(name).lower(), one, known, attach) for name, one in raw.items()}
    if domain and not _HOST.match(f'x.{domain.lower()}'):
        raise ConfigError(f'domain: {domain!r} is no domain. Write the name alone, such as example.com.', key='domain')
    if domain:
        taken = {one.upstream for one in found.values()}
        for upstream in known:
            name = f'{label_of(upstream)}.{domain.lower()}'
            if upstream not in taken:
                if name in found:
                    raise ConfigError(f'hosts: {name} would stand for {found[name].upstream} and {upstream}. Name a host for {upstream} in hosts.', key='hosts')
                found[name] = _parse_host(name, upstream, known, attach)
    return tuple(found.values())


def _parse_host(name: str, raw: t.Any, upstreams: t.Collection[str], attach: str) -> Host:
    key = f'hosts.{name}'
    if not _HOST.match(name):
        raise ConfigError(f'hosts: {name!r} is no host name. Write one such as docker.example.com.', key=key)
    given = {'upstream': raw} if isinstance(raw, str) else raw
    if not isinstance(given, t.Mapping) or not given.get('upstream'):
        raise ConfigError(f'{key}: an upstream, or a dictionary with upstream, is expected, not {type_name(raw)}.', key=key)
    unknown = sorted(set(map(str, given)) - {'upstream', 'attach', 'zone'})
    if unknown:
        raise ConfigError(f'{key}: {", ".join(unknown)} is not known; there are upstream, attach and zone.', key=key)
    host = Host(name, str(given['upstream']), str(given.get('attach') or attach), str(given.get('zone') or '').lower())
    if host.upstream not in upstreams:
        raise ConfigError(f'{key}: {host.upstream} is none of the upstreams ({", ".join(upstreams)}). Name it there too.', key=key)
    if host.attach not in (DOMAIN, ROUTE):
        raise ConfigError(f'{key}.attach: {host.attach!r} is not known. Write {DOMAIN} or {ROUTE}.', key=key)
    if host.zone and not in_zone(name, host.zone):
        raise ConfigError(f'{key}.zone: {name} is not in the zone {host.zone}.', key=key)
    return host


def in_zone(name: str, zone: str) -> bool:
    """Whether a host name lies in a zone."""
    return name == zone or name.endswith(f'.{zone}')


def parse_settings(
    hosts: t.Sequence[Host], upstreams: t.Mapping[str, str], allow: t.Sequence[t.Any], cache_blobs: bool, default: str, workers_dev: bool = True
) -> dict[str, t.Any]:
    """The binding SETTINGS, which the Worker reads. Raises ConfigError.

    :param default: what the name below workers.dev stands for. The Worker goes by it for any host name that it does not know, so without ``workers_dev`` it
        is left out: a custom domain that is not ours must not serve another registry.
    """
    if default and default not in upstreams:
        raise ConfigError(f'default_upstream: {default} is none of the upstreams ({", ".join(upstreams)}).', key='default_upstream')
    for number, pattern in enumerate(allow):
        upstream, slash, repositories = str(pattern).partition('/')
        if slash and upstream not in upstreams:
            words = f'{upstream} is none of the upstreams ({", ".join(upstreams)}). Name it there too, or drop {pattern}'
            raise ConfigError(f'allow[{number}]: {words}.', key='allow')
        if upstream not in upstreams or not _REPOSITORIES.match(repositories):
            raise ConfigError(
                f'allow[{number}]: {pattern!r} is not understood. Write an upstream of the list and a repository, * for any: docker.io/library/*.', key='allow'
            )
    return {
        'hosts': {host.name: host.upstream for host in hosts},
        'upstreams': {name: {'url': url} for name, url in upstreams.items()},
        'allow': [_complete(str(pattern)) for pattern in allow],
        'cache_blobs': cache_blobs,
        'default': default if workers_dev else '',
    }


def _complete(pattern: str) -> str:
    """A repository of Docker Hub by its full name, which is what clients ask for."""
    upstream, _slash, repositories = pattern.partition('/')
    return f'{upstream}/library/{repositories}' if upstream == DOCKER_HUB and not set('/*') & set(repositories) else pattern


def parse_secrets(client_logins: t.Any, upstream_logins: t.Any, upstreams: t.Collection[str]) -> dict[str, str]:
    """The secrets by name of binding, as the Worker reads them; none for logins that are not given. Raises ConfigError, which shows no password."""
    found = {}
    for user, password in _mapping(client_logins, 'client_logins').items():
        if not user or ':' in str(user) or not isinstance(password, str) or not password:
            words = 'needs a name without a colon, and a password, which is a text (a number wants quotes)'
            raise ConfigError(f'client_logins: the login {user!r} {words}.', key='client_logins')
    for upstream, login in _mapping(upstream_logins, 'upstream_logins').items():
        if upstream not in upstreams:
            raise ConfigError(f'upstream_logins: {upstream} is none of the upstreams ({", ".join(upstreams)}).', key='upstream_logins')
        if not _is_login(login):
            words = 'username and password are expected, both texts that are not empty, and nothing else'
            raise ConfigError(f'upstream_logins.{upstream}: {words}.', key='upstream_logins')
    for name, logins in ((CLIENT_LOGINS, client_logins), (UPSTREAM_LOGINS, upstream_logins)):
        if logins:
            found[name] = canonical(logins)
    return found


def _mapping(raw: t.Any, key: str) -> t.Mapping[t.Any, t.Any]:
    if raw is None:
        return {}
    if not isinstance(raw, t.Mapping):
        raise ConfigError(f'{key}: a dictionary is expected.', key=key)
    return raw


def passwords_in(client_logins: t.Any, upstream_logins: t.Any) -> set[str]:
    """What may appear nowhere. Never raises. Of what is no login as it should be everything counts, since nobody knows where the password is."""
    logins = list(upstream_logins.values()) if isinstance(upstream_logins, t.Mapping) else [upstream_logins]
    return set(_texts([client_logins, *(login['password'] if _is_login(login) else login for login in logins)]))


def _is_login(raw: t.Any) -> bool:
    return isinstance(raw, t.Mapping) and set(raw) == {'username', 'password'} and all(isinstance(one, str) and one for one in raw.values())


def _texts(value: t.Any) -> t.Iterator[str]:
    """All that a value holds, without the keys."""
    if isinstance(value, (t.Mapping, list, tuple)):
        for one in value.values() if isinstance(value, t.Mapping) else value:
            yield from _texts(one)
    elif value and not isinstance(value, bool):
        yield str(value)


def cautions(worker: Worker) -> list[str]:
    """What whoever deploys this should know, a sentence each."""
    names = list(json.loads(worker.secrets[UPSTREAM_LOGINS])) if UPSTREAM_LOGINS in worker.secrets else []
    urls = {name: worker.settings['upstreams'][name]['url'] for name in names}
    said = [
        f'The login at {name} goes over the network in clear, since its URL is {url}. Whoever is on the way can read it. Use https:// for it.'
        for name, url in urls.items()
        if url.lower().startswith('http://')
    ]
    if CLIENT_LOGINS not in worker.secrets and not worker.settings['allow']:
        what = f'what the login at {", ".join(names)} may pull, private images as well' if names else 'by it, on your account at Cloudflare'
        said.append(f'Anybody who finds this Worker may pull {what}. Name repositories in allow, or ask for a login in client_logins.')
    return said


def check_size(name: str, text: str, way_out: str) -> None:
    """Whether Cloudflare takes a variable of this size. Raises ConfigError."""
    size = len(text.encode('utf-8'))
    if size > BINDING_LIMIT:
        raise ConfigError(f'{name} has {size} bytes, and Cloudflare takes {BINDING_LIMIT} of one variable. {way_out}', key=name)


def check_sizes(worker: Worker) -> None:
    """Whether Cloudflare takes settings and secrets of this size. Raises ConfigError."""
    check_size('SETTINGS', canonical(worker.settings), 'Shorten allow by patterns, or leave upstreams out.')
    for name, text in worker.secrets.items():
        check_size(name, text, 'Leave logins out.')


def check_date(text: str) -> str:
    """A date of compatibility. Raises ConfigError."""
    try:
        if re.match(r'\d{4}-\d\d-\d\d\Z', text):
            datetime.date(*map(int, text.split('-')))
            return text
    except ValueError:
        pass
    raise ConfigError(f'compatibility_date: {text!r} is no date. Write one such as {DEFAULT_COMPATIBILITY_DATE}.', key='compatibility_date')


def check_modules(modules: t.Mapping[str, bytes], folder: str) -> t.Mapping[str, bytes]:
    """Whether there is something to run. Raises ConfigError."""
    if MAIN_MODULE not in modules:
        found = ', '.join(sorted(modules)) or 'no file *.js'
        raise ConfigError(f'modules_path: {folder} has no {MAIN_MODULE}, with which the Worker begins; there is {found}.', path=folder, key='modules_path')
    return modules


def mirrors(hosts: t.Sequence[Host], upstreams: t.Iterable[str], default: str = '', workers_dev_url: str = '') -> dict[str, list[str]]:
    """What the Worker is as a mirror, by upstream, in the form of registry_access_mirrors.

    At its own host name an upstream is served at the root. At the name below workers.dev that is the default upstream; the others are below `/v2/NAME`.
    """
    found: dict[str, list[str]] = {upstream: [f'https://{host.name}' for host in hosts if host.upstream == upstream] for upstream in upstreams}
    if workers_dev_url:
        for upstream, urls in found.items():
            # Docker asks no mirror below a path, so that its Hub is at the root or nowhere.
            if upstream == default:
                urls.append(workers_dev_url)
            elif upstream != DOCKER_HUB:
                urls.append(f'{workers_dev_url}/v2/{upstream}')
    return {upstream: urls for upstream, urls in found.items() if urls}


def workers_dev_url(name: str, subdomain: str) -> str:
    """The Worker's address below workers.dev."""
    return f'https://{name}.{subdomain}.workers.dev'


def with_login(found: t.Mapping[str, t.Sequence[str]], client_logins: t.Mapping[str, str] | None, user: str = '') -> dict[str, list[t.Any]]:
    """The same mirrors with the header of a login that the Worker asks its clients for; as they are where it asks for none.

    :param user: which of the logins; the first one where it is empty.
    :raises ConfigError: for a login that is not among them.
    """
    if not client_logins:
        return {upstream: list(urls) for upstream, urls in found.items()}
    chosen = user or next(iter(client_logins))
    if chosen not in client_logins:
        raise ConfigError(f'registry_worker_client: {chosen!r} is none of registry_worker_client_logins.', key='registry_worker_client')
    token = base64.b64encode(f'{chosen}:{client_logins[chosen]}'.encode()).decode('ascii')
    return {upstream: [{'url': url, 'headers': {'Authorization': f'Basic {token}'}} for url in urls] for upstream, urls in found.items()}


def unserved(results: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """What the probe of each upstream said of mirrors that do not serve, or why there was no probe, in one text; empty where all of them serve."""
    found = [f'{one["url"]}: {one["reason"]}' for probe in results for one in probe.get('results', ()) if not one['ok']]
    found += [str(probe.get('msg')) for probe in results if 'results' not in probe]
    return f'The Worker was deployed, and does not serve from here: {" ".join(found)}' if found else ''


def mirrors_of(variables: t.Mapping[str, t.Any]) -> dict[str, list[t.Any]] | None:
    """The mirrors that the role's variables describe, without asking Cloudflare; None where they describe no Worker.

    A Worker that is to be no more leaves its upstreams, with no mirror of it, so that clients forget it. With logins of clients the mirrors carry one only
    where registry_worker_client says which, because such a mirror is of no use to Docker and Podman.

    :param variables: by their names without `registry_worker_`; null is as good as left out.
    """
    given = {name: value for name, value in variables.items() if value not in (None, '', {})}
    if not {'domain', 'hosts', 'subdomain'} & set(given):
        return None
    upstreams = parse_upstreams(given.get('upstreams') or list(DEFAULT_UPSTREAMS))
    hosts = parse_hosts(str(given.get('domain', '')), given.get('hosts', {}), upstreams)
    served = 'subdomain' in given and given.get('workers_dev', not hosts)
    url = workers_dev_url(check_name(str(given.get('name', DEFAULT_NAME))), str(given['subdomain'])) if served else ''
    default = variables.get('default_upstream')
    found = mirrors(hosts, upstreams, DOCKER_HUB if default is None else str(default), url)
    if given.get('state', 'present') != 'present':
        return {upstream: [] for upstream in found}
    return with_login(found, given.get('client_logins') if 'client' in given else None, str(given.get('client', '')))
