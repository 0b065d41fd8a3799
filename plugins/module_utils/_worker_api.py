# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cloudflare's API as far as a Worker needs it, by the official SDK: each call says which permission it needs when it is refused."""

from __future__ import annotations

import contextlib
import importlib
import json
import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._version import parse_version
from ansible_collections.quickpull.registry.plugins.module_utils._worker_model import MAIN_MODULE

SCRIPTS_EDIT = '"Workers Scripts: Edit" of the account'
ROUTES_READ, ROUTES_EDIT = '"Workers Routes: Read" of the zone', '"Workers Routes: Edit" of the zone'
DNS_READ, DNS_EDIT = '"DNS: Read" of the zone', '"DNS: Edit" of the zone'
ZONE_READ = '"Zone: Read" of the zone'

# The first one that this was tried with. Those before 5 want other parameters of a custom domain.
OLDEST_SDK = (5, 9)

# What Cloudflare calls them (Workers, x-cfLinkErrors of the script's answers, and what its users were shown).
_NO_SUCH_SCRIPT, _NO_ROUTE, _FOREIGN_RECORD = 10007, 7003, 100117
_REFUSED = (9106, 9109, 10000, 10023)
_NO_TOKEN = (6003, 6111)
_ROUTE_IS_THERE, _RECORD_IS_THERE = (10020,), (81053, 81057, 81058)

# A route runs before any server is asked, so the address of its record is one that leads nowhere (RFC 6666, the discard prefix).
NOWHERE = '100::'


class ApiError(ConfigError):
    """What Cloudflare answered, as a sentence. ``codes`` are those of Cloudflare's own."""

    def __init__(self, message: str, status: int = 0, codes: t.Sequence[int] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.codes = tuple(codes)


@dataclass(frozen=True)
class Script:
    """A Worker that is there: its bindings by name, as they can be read, and the date that it was written for."""

    bindings: t.Mapping[str, t.Mapping[str, t.Any]]
    compatibility_date: str


@dataclass(frozen=True)
class Domain:
    """A custom domain of an account."""

    id: str
    hostname: str
    service: str


@dataclass(frozen=True)
class Route:
    """A route of a zone; ``script`` is empty where it turns Workers off."""

    id: str
    pattern: str
    script: str


@dataclass(frozen=True)
class Record:
    """A DNS record."""

    id: str
    type: str
    content: str
    comment: str
    proxied: bool = True

    def leads(self) -> bool:
        """Whether it is as add_record makes one."""
        return (self.type, self.content, self.proxied) == ('AAAA', NOWHERE, True)


def connect(api_token: str, api_url: str = '', timeout: float = 30.0) -> t.Any:
    """The SDK's client. Raises ImportError where there is no SDK, and ConfigError where it is too old.

    The SDK itself tries thrice, waits as long as Retry-After says where that is a minute at most, and goes by the proxies of the environment.
    """
    # By name, so that mypy does not read all of its types.
    sdk = importlib.import_module('cloudflare')
    version = str(sdk.__version__)
    if (parse_version(version) or OLDEST_SDK) < OLDEST_SDK:
        raise ConfigError(f'The Python library cloudflare {version} is too old; 5.9 or newer is needed: pip install "cloudflare>=5.9,<6".')
    options = {'base_url': api_url} if api_url else {}
    client = sdk.Cloudflare(api_token=api_token, timeout=timeout, **options)
    # Where the environment has older kinds of credentials, the SDK sends one of those instead (seen with 5.9: CLOUDFLARE_EMAIL goes before the token).
    client.api_key = client.api_email = client.user_service_key = None
    return client


class Api:
    """Questions and orders about one account, in sentences when they go wrong."""

    def __init__(self, client: t.Any, account_id: str) -> None:
        self._client, self._account = client, account_id

    # --- the script

    def script(self, name: str) -> Script | None:
        """The Worker of this name, or None."""
        with _said(f'reading the Worker {name}', SCRIPTS_EDIT):
            try:
                found = self._client.workers.scripts.script_and_version_settings.get(name, account_id=self._account)
            except Exception as exc:
                if _NO_SUCH_SCRIPT in _codes(exc):
                    return None
                raise
        told = found.to_dict()
        return Script({one['name']: one for one in told.get('bindings') or ()}, str(told.get('compatibility_date') or ''))

    def upload(self, name: str, modules: t.Mapping[str, bytes], metadata: t.Mapping[str, t.Any]) -> None:
        """Put modules, settings and secrets in force, all at once.

        Written by hand, since the SDK's own method names each part "files", while Cloudflare's page on these uploads says that main_module is the name of a
        part: here part and file both have the module's name, which is right by either reading.
        """
        described = json.dumps(metadata).encode('utf-8')
        parts: list[tuple[str, tuple[str | None, bytes, str]]] = [('metadata', (None, described, 'application/json'))]
        parts += [(one, (one, content, 'application/javascript+module')) for one, content in sorted(modules.items())]
        with _said(f'uploading the Worker {name}', SCRIPTS_EDIT):
            self._client.put(
                f'/accounts/{self._account}/workers/scripts/{name}', cast_to=object, files=parts, options={'headers': {'Content-Type': 'multipart/form-data'}}
            )

    def delete(self, name: str) -> None:
        """Take the Worker away."""
        with _gone(), _said(f'deleting the Worker {name}', SCRIPTS_EDIT):
            self._client.workers.scripts.delete(name, account_id=self._account)

    # --- its name below workers.dev

    def subdomain(self) -> str:
        """The account's name below workers.dev. Raises ApiError, with the way out where it has none yet."""
        try:
            with _said('reading the name of the account below workers.dev', SCRIPTS_EDIT):
                told = self._client.workers.subdomains.get(account_id=self._account)
        except ApiError as exc:
            if exc.status != 404:
                raise
            told = None
        found = told.subdomain if told else ''
        if not found:
            raise ApiError('workers_dev: the account has no name below workers.dev yet. Choose one on the page of Workers in the dashboard, or set hosts.', 404)
        return str(found)

    def on_workers_dev(self, name: str) -> tuple[bool, bool]:
        """Whether the Worker is served below workers.dev, and whether its previews are."""
        with _said(f'reading whether {name} is served below workers.dev', SCRIPTS_EDIT):
            found = self._client.workers.scripts.subdomain.get(name, account_id=self._account)
        return bool(found.enabled), bool(found.previews_enabled)

    def set_workers_dev(self, name: str, enabled: bool) -> None:
        """Serve the Worker below workers.dev, or not, and never its previews."""
        with _said(f'setting whether {name} is served below workers.dev', SCRIPTS_EDIT):
            self._client.workers.scripts.subdomain.create(name, account_id=self._account, enabled=enabled, previews_enabled=False)

    # --- host names

    def zones(self) -> dict[str, str]:
        """The ids of the account's zones that the token may see, by name."""
        with _said('listing the zones of the account', ZONE_READ):
            return {zone.name: zone.id for zone in self._client.zones.list(account={'id': self._account}, per_page=50)}

    def domains(self) -> list[Domain]:
        """The custom domains of the account."""
        with _said('listing the custom domains of the account', SCRIPTS_EDIT):
            found = self._client.workers.domains.list(account_id=self._account)
            return [Domain(one.id, one.hostname, one.service or '') for one in found]

    def add_domain(self, hostname: str, service: str, zone_id: str) -> None:
        """Let a host name lead to a Worker; Cloudflare makes the record and the certificate."""
        try:
            with _said(f'making {hostname} a custom domain of {service}', SCRIPTS_EDIT):
                self._client.workers.domains.update(account_id=self._account, hostname=hostname, service=service, zone_id=zone_id)
        except ApiError as exc:
            if _FOREIGN_RECORD in exc.codes:
                raise ApiError(_taken_by_record(hostname, 'record'), exc.status, exc.codes) from exc
            raise

    def delete_domain(self, domain: Domain) -> None:
        """Let a host name lead to no Worker any more."""
        with _gone(), _said(f'taking the custom domain {domain.hostname} away', SCRIPTS_EDIT):
            self._client.workers.domains.delete(domain.id, account_id=self._account)

    def routes(self, zone_id: str) -> list[Route]:
        """The routes of a zone."""
        with _said('listing the routes of Workers', ROUTES_READ):
            return [Route(one.id, one.pattern, one.script or '') for one in self._client.workers.routes.list(zone_id=zone_id)]

    def add_route(self, zone_id: str, pattern: str, script: str) -> None:
        """Let what matches a pattern lead to a Worker."""
        try:
            with _said(f'making the route {pattern}', ROUTES_EDIT):
                self._client.workers.routes.create(zone_id=zone_id, pattern=pattern, script=script)
        except ApiError as exc:
            # The SDK asks again when an answer is lost, and then finds what it made.
            if not set(exc.codes) & set(_ROUTE_IS_THERE) or not any((one.pattern, one.script) == (pattern, script) for one in self.routes(zone_id)):
                raise

    def delete_route(self, zone_id: str, route: Route) -> None:
        """Take a route away."""
        with _gone(), _said(f'taking the route {route.pattern} away', ROUTES_EDIT):
            self._client.workers.routes.delete(route.id, zone_id=zone_id)

    def records(self, zone_id: str, hostname: str) -> list[Record]:
        """The DNS records of a host name that say where it is: others, such as TXT, are nobody's business."""
        with _said(f'listing the DNS records of {hostname}', DNS_READ):
            found = self._client.dns.records.list(zone_id=zone_id, name={'exact': hostname}, per_page=100)
            told = [Record(one.id, one.type, getattr(one, 'content', '') or '', one.comment or '', bool(one.proxied)) for one in found]
        return [one for one in told if one.type in ('A', 'AAAA', 'CNAME')]

    def add_record(self, zone_id: str, hostname: str, comment: str) -> None:
        """Have a host name answered by Cloudflare, so that a route is looked for."""
        try:
            with _said(f'making the DNS record {hostname}', DNS_EDIT):
                self._client.dns.records.create(zone_id=zone_id, name=hostname, type='AAAA', content=NOWHERE, proxied=True, ttl=1, comment=comment)
        except ApiError as exc:
            if not set(exc.codes) & set(_RECORD_IS_THERE) or not any(one.comment == comment and one.leads() for one in self.records(zone_id, hostname)):
                raise

    def delete_record(self, zone_id: str, hostname: str, record: Record) -> None:
        """Take a DNS record away."""
        with _gone(), _said(f'taking the DNS record {hostname} away', DNS_EDIT):
            self._client.dns.records.delete(record.id, zone_id=zone_id)


def metadata(bindings: t.Sequence[t.Mapping[str, t.Any]], compatibility_date: str) -> dict[str, t.Any]:
    """What goes before the modules of an upload. Bindings that it does not name are gone with it."""
    return {'main_module': MAIN_MODULE, 'compatibility_date': compatibility_date, 'bindings': list(bindings)}


def _taken_by_record(hostname: str, kind: str) -> str:
    return f'hosts.{hostname}: there is a DNS {kind} of this name that somebody else made. Delete it in the zone, or choose another host name.'


def foreign_record(hostname: str, record: Record) -> str:
    """Why a host name cannot be taken."""
    return _taken_by_record(hostname, f'record ({record.type} {record.content})')


@contextlib.contextmanager
def _said(what: str, permission: str) -> t.Iterator[None]:
    """Turn what the SDK raises into a sentence that names the permission. Everything else goes by."""
    try:
        yield
    except Exception as exc:
        if not type(exc).__module__.startswith('cloudflare'):
            raise
        raise _sentence(exc, what, permission) from exc


@contextlib.contextmanager
def _gone() -> t.Iterator[None]:
    """Let by that something to delete is not there: it was listed, so somebody was faster, or this is the second time after an answer that was lost."""
    try:
        yield
    except ApiError as exc:
        if exc.status != 404 or _NO_ROUTE in exc.codes:
            raise


def _errors(exc: BaseException) -> list[tuple[int, str]]:
    """Cloudflare's own codes and words, from the body of an answer."""
    body = getattr(exc, 'body', None)
    listed = body.get('errors') if isinstance(body, dict) else None
    found = []
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict):
            found.append((one['code'] if isinstance(one.get('code'), int) else 0, str(one.get('message') or '')))
            chain = one.get('error_chain')
            found += [(more['code'], str(more.get('message') or '')) for more in chain or () if isinstance(more, dict) and isinstance(more.get('code'), int)]
    return found


def _codes(exc: BaseException) -> list[int]:
    return [code for code, _message in _errors(exc)]


def _sentence(exc: BaseException, what: str, permission: str) -> ApiError:
    status = int(getattr(exc, 'status_code', 0) or 0)
    errors = _errors(exc)
    codes = [code for code, _message in errors]
    words = '; '.join(f'{message} (code {code})' for code, message in errors) or f'HTTP {status}'
    if not status:
        return ApiError(f'Cloudflare cannot be reached for {what}: {exc.__cause__ or exc}. Check the network, the proxy in the environment and api_url.')
    if set(codes) & set(_NO_TOKEN):
        text = f'Cloudflare does not take the API token for {what}: {words}. It is not in the form of a token; check api_token.'
    elif status in (401, 403) or set(codes) & set(_REFUSED):
        reasons = f'has expired or been withdrawn, is not for this account_id, or lacks the permission {permission}'
        text = f'Cloudflare refuses {what}: {words}. The API token {reasons}.'
    elif _NO_ROUTE in codes:
        text = f'Cloudflare knows no such account or zone for {what}: {words}. Check account_id.'
    elif status == 429:
        wait = t.cast(t.Any, exc).response.headers.get('retry-after')
        after = f' It asks to wait {wait} seconds.' if wait else ''
        text = f'Cloudflare limits how much is asked of its API, and did so for {what}: {words}.{after} Try again later.'
    elif status >= 500:
        text = f'Cloudflare fails at {what}, also when asked again: {words}. Try again later.'
    else:
        text = f'Cloudflare answered {what} with an error: {words}.'
    return ApiError(text, status, codes)
