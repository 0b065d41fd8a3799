# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what is at Cloudflare to what is wanted: everything is read and checked first, then the steps are done one by one.

What is ours is told by a binding of the Worker's own, :data:`MARKER`, which its code does not read. It goes up in the same request as the code, so the two
cannot disagree. Secrets cannot be read back. The marker holds a salted scrypt hash of each in place of them, new with each upload: whoever may read the
Worker's settings has to try passwords at that price, against all logins of a binding together.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import hmac
import json
import os
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._worker_api import Api, ApiError, Domain, Record, Route, Script, foreign_record, metadata
from ansible_collections.quickpull.registry.plugins.module_utils._worker_model import (
    DOMAIN,
    Host,
    Worker,
    canonical,
    check_size,
    check_sizes,
    in_zone,
    workers_dev_url,
)

MARKER = 'QUICKPULL'
MADE_BY = 'quickpull.registry'

# About a tenth of a second and 32 MiB for each try.
_SCRYPT: t.Dict[str, int] = {'n': 1 << 15, 'r': 8, 'p': 1, 'maxmem': 64 << 20}


@dataclass(frozen=True)
class Step:
    """Something to do at Cloudflare, in words, and how."""

    text: str
    do: t.Callable[[], None] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Plan:
    """The steps in their order, the settings before and after, the address below workers.dev where it is served there, and what to warn of."""

    steps: t.Tuple[Step, ...]
    before: t.Mapping[str, t.Any]
    after: t.Mapping[str, t.Any]
    workers_dev_url: str = ''
    warnings: t.Tuple[str, ...] = ()


@dataclass(frozen=True)
class Attached:
    """How a host name leads to the Worker by what the marker says.

    ``zone_id`` is where its route and record are, and ``others`` are zones where there may be some of before.
    """

    attach: str
    zone_id: str
    others: t.Tuple[str, ...] = ()


def secret_hash(text: str, salt: str) -> str:
    """A slow hash of a secret."""
    return hashlib.scrypt(text.encode('utf-8'), salt=bytes.fromhex(salt), **_SCRYPT).hex()


def json_of(script: Script | None, name: str) -> t.Any:
    """What a binding of JSON holds; None without it. The SDK's types have been both a value and its text."""
    found = (script.bindings.get(name) or {}).get('json') if script else None
    try:
        return json.loads(found) if isinstance(found, str) else found
    except ValueError:
        return found


def marker_of(script: Script | None) -> t.Mapping[str, t.Any] | None:
    """What an earlier run of ours said of the Worker; None where it is not ours."""
    found = json_of(script, MARKER)
    return found if isinstance(found, dict) and found.get('by') == MADE_BY else None


def attached_by(marker: t.Mapping[str, t.Any] | None) -> dict[str, Attached]:
    """The host names that the marker speaks of."""
    hosts = (marker or {}).get('hosts')
    return {
        str(name): Attached(str(one.get('attach') or DOMAIN), str(one.get('zone_id') or ''), tuple(map(str, one.get('others') or ())))
        for name, one in (hosts if isinstance(hosts, dict) else {}).items()
        if isinstance(one, dict)
    }


def same_secrets(marker: t.Mapping[str, t.Any], script: Script, secrets: t.Mapping[str, str]) -> bool:
    """Whether the Worker has these secrets and no others, as far as hashes tell."""
    there = {name for name, one in script.bindings.items() if one.get('type') == 'secret_text'}
    hashes, salt = marker.get('secrets'), marker.get('salt')
    if there != set(secrets) or not isinstance(hashes, dict) or set(hashes) != set(secrets):
        return False
    try:
        return all(hmac.compare_digest(secret_hash(text, str(salt)), str(hashes[name])) for name, text in secrets.items())
    except ValueError:
        return False


def needs_upload(script: Script | None, worker: Worker) -> str:
    """Why the Worker has to be uploaded, or an empty string."""
    marker = marker_of(script)
    if script is None:
        return 'there is none'
    if marker is None:
        return 'the one of this name is somebody else\'s, and force is set'
    if marker.get('hash') != worker.fingerprint():
        return 'its modules or settings differ'
    # The date that is wanted is part of the hash; what is read here shows that somebody set another one.
    if canonical(json_of(script, 'SETTINGS')) != canonical(worker.settings) or script.compatibility_date not in ('', worker.compatibility_date):
        return 'somebody changed its settings'
    if not same_secrets(marker, script, worker.secrets):
        return 'its secrets differ'
    expected = {'SETTINGS': 'json', MARKER: 'json', **dict.fromkeys(worker.secrets, 'secret_text')}
    if {name: one.get('type') for name, one in script.bindings.items()} != expected:
        return 'somebody changed its bindings'
    return ''


def bindings_of(worker: Worker, hosts: t.Mapping[str, Attached]) -> list[dict[str, t.Any]]:
    """All bindings of an upload, the marker among them, with a new salt. Raises ConfigError for one that is too large."""
    salt = os.urandom(16).hex()
    marker = {
        'by': MADE_BY,
        'hash': worker.fingerprint(),
        'modules': worker.digests(),
        'salt': salt,
        'secrets': {name: secret_hash(text, salt) for name, text in worker.secrets.items()},
        'hosts': {
            name: {'attach': one.attach, 'zone_id': one.zone_id, **({'others': list(one.others)} if one.others else {})} for name, one in sorted(hosts.items())
        },
    }
    check_size(MARKER, canonical(marker), 'Name fewer hosts.')
    return [
        {'type': 'json', 'name': 'SETTINGS', 'json': worker.settings},
        {'type': 'json', 'name': MARKER, 'json': marker},
        *({'type': 'secret_text', 'name': name, 'text': text} for name, text in worker.secrets.items()),
    ]


def pattern_of(hostname: str) -> str:
    """The route that takes all of a host name."""
    return f'{hostname}/*'


def comment_of(name: str) -> str:
    """How a DNS record says that it is ours: records have no other place for it."""
    return f'{MADE_BY}: the Worker {name}'


def in_the_way(route: Route, host: Host) -> bool:
    """Whether a route of another Worker takes requests for a host name before ours would.

    Every route that fits runs before a custom domain does (Workers, Custom Domains, "Interaction with Routes"). Of two routes the one that says more wins,
    so that a pattern with a wildcard leaves ours alone.
    """
    name = route.pattern.partition('://')[2] or route.pattern
    name = name.partition('/')[0]
    if name == host.name:
        return True
    return host.attach == DOMAIN and bool(route.script) and name.startswith('*') and host.name.endswith(name[1:])


class Deployment:
    """One Worker at Cloudflare, read once."""

    def __init__(self, api: Api, worker: Worker, force: bool = False) -> None:
        self.api, self.worker, self.force = api, worker, force
        self.script = api.script(worker.name)
        self.marker = marker_of(self.script)
        self.ours = attached_by(self.marker)
        if self.script is not None and self.marker is None and not force:
            raise ConfigError(
                f'name: there is a Worker {worker.name} that this module did not make. It is left as it is. Choose another name, or set force to replace it '
                'or take it away.',
                key='name',
            )
        self.domains: t.List[Domain] = api.domains() if worker.hosts or self.script else []
        self.zone_ids: t.Dict[str, str] = {}
        self._routes: t.Dict[str, t.List[Route]] = {}
        self._records: t.Dict[t.Tuple[str, str], t.List[Record]] = {}
        self._zones: t.Dict[str, str] | None = None
        self.warnings: t.List[str] = []

    def zones(self) -> dict[str, str]:
        """The zones of the account, asked for once."""
        if self._zones is None:
            self._zones = self.api.zones()
        return self._zones

    def zone_of(self, host: Host) -> str:
        """The id of the zone of a host name; empty without one that is seen."""
        fitting = [zone for zone in self.zones() if zone == host.zone or (not host.zone and in_zone(host.name, zone))]
        return self.zones()[max(fitting, key=len)] if fitting else ''

    def find_zones(self, hosts: t.Sequence[Host]) -> None:
        """Find the zones of host names. Raises ConfigError."""
        for host in hosts:
            self.zone_ids[host.name] = self.zone_of(host)
            if not self.zone_ids[host.name]:
                missing = host.zone or f'of {host.name}'
                seen = ', '.join(sorted(self.zones())) or 'none'
                raise ConfigError(
                    f'hosts.{host.name}: the account has no zone {missing}, or the API token may not see it ("Zone: Read"). It sees: {seen}.', key='hosts'
                )

    def routes(self, zone_id: str) -> list[Route]:
        """The routes of a zone, asked for once."""
        if zone_id not in self._routes:
            self._routes[zone_id] = self.api.routes(zone_id)
        return self._routes[zone_id]

    def records(self, zone_id: str, hostname: str) -> list[Record]:
        """The records of a host name, asked for once."""
        if (zone_id, hostname) not in self._records:
            self._records[zone_id, hostname] = self.api.records(zone_id, hostname)
        return self._records[zone_id, hostname]

    # --- what is there

    def domain(self, hostname: str) -> Domain | None:
        """The custom domain of this name."""
        return next((one for one in self.domains if one.hostname == hostname), None)

    def has_domain(self, hostname: str) -> bool:
        """Whether the host name is a custom domain of the Worker."""
        found = self.domain(hostname)
        return found is not None and found.service == self.worker.name

    def route(self, zone_id: str, hostname: str) -> Route | None:
        """The route that takes all of a host name, whoever it leads to."""
        return next((one for one in self.routes(zone_id) if one.pattern == pattern_of(hostname)), None)

    def check(self, host: Host) -> None:
        """Whether the host name is free, or ours. Raises ConfigError."""
        domain, zone_id = self.domain(host.name), self.zone_ids[host.name]
        if domain is not None and domain.service != self.worker.name:
            raise ConfigError(
                f'hosts.{host.name}: this is a custom domain of the Worker {domain.service}. Take it away there, or choose another host name.', key='hosts'
            )
        for route in self.routes(zone_id):
            if route.script != self.worker.name and in_the_way(route, host):
                target = route.script or 'no Worker'
                way_out = 'Take it away, or choose another host name.'
                if route.pattern.startswith('*'):  # which others may need
                    way_out = 'With attach: route this name has a route of its own, which goes before that one. Or choose another host name.'
                raise ConfigError(f'hosts.{host.name}: the route {route.pattern} leads to {target}. {way_out}', key='hosts')
        # The record of a custom domain is Cloudflare's own, and cannot be changed.
        foreign = next((one for one in self.records(zone_id, host.name) if one.comment != comment_of(self.worker.name)), None) if domain is None else None
        if foreign is not None:
            raise ConfigError(foreign_record(host.name, foreign), key='hosts')

    # --- what is to be done

    def add(self, host: Host) -> t.Iterator[Step]:
        """What lets a host name lead to the Worker, the other way taken back before."""
        name, zone_id = host.name, self.zone_ids[host.name]
        if host.attach == DOMAIN:
            if not self.has_domain(name):
                yield from self.drop_route(name, zone_id)
                yield Step(f'make {name} a custom domain of it', lambda: self.api.add_domain(name, self.worker.name, zone_id))
            return
        switched = self.has_domain(name)
        yield from self.drop_domain(name)
        # The record that the listing shows beside a custom domain goes with it.
        there = [] if switched else self.records(zone_id, name)
        for record in there:
            if not record.leads():
                yield self.drop_record(name, zone_id, record)
        if not any(record.leads() for record in there):
            yield Step(f'make a DNS record {name}', lambda: self.api.add_record(zone_id, name, comment_of(self.worker.name)))
        if self.route(zone_id, name) is None:
            yield Step(f'make a route {pattern_of(name)}', lambda: self.api.add_route(zone_id, pattern_of(name), self.worker.name))

    def drop_domain(self, hostname: str) -> t.Iterator[Step]:
        """Take a custom domain of the Worker away."""
        found = self.domain(hostname)
        if found is not None and found.service == self.worker.name:
            taken: Domain = found
            yield Step(f'take the custom domain {hostname} away', lambda: self.api.delete_domain(taken))

    def drop_route(self, hostname: str, zone_id: str) -> t.Iterator[Step]:
        """Take a route to the Worker away, and the record that we made for it."""
        found = self.route(zone_id, hostname)
        if found is not None and found.script == self.worker.name:
            route: Route = found
            yield Step(f'take the route {pattern_of(hostname)} away', lambda: self.api.delete_route(zone_id, route))
        for record in self.records(zone_id, hostname):
            if record.comment == comment_of(self.worker.name):
                yield self.drop_record(hostname, zone_id, record)

    def drop_record(self, hostname: str, zone_id: str, record: Record) -> Step:
        """Take a DNS record away."""
        return Step(f'take the DNS record {hostname} away', functools.partial(self.api.delete_record, zone_id, hostname, record))

    def drop(self, hostname: str, attached: Attached) -> t.Iterator[Step]:
        """Take away what lets a host name lead to the Worker, as far as it is ours: either way, since a change from one to the other may have broken off."""
        yield from self.drop_domain(hostname)
        for zone_id in (attached.zone_id, *attached.others):
            yield from self.drop_reached(hostname, zone_id)

    def drop_reached(self, hostname: str, zone_id: str) -> t.Iterator[Step]:
        """Take away a route and its record, unless the zone is gone."""
        if zone_id and self.reaches(zone_id, hostname):
            yield from self.drop_route(hostname, zone_id)

    def until_dropped(self, hosts: t.Collection[str]) -> Worker:
        """What is wanted, where host names that are to be taken away still stand for what they stood for.

        They lead to the Worker until they are gone, and must not lead to another registry meanwhile.
        """
        before = json_of(self.script, 'SETTINGS')
        stood, urls = (before.get('hosts') or {}, before.get('upstreams') or {}) if isinstance(before, dict) else ({}, {})
        kept = {name: stood[name] for name in hosts if stood.get(name) in urls}
        settings = {
            **self.worker.settings,
            'hosts': {**kept, **self.worker.settings['hosts']},
            'upstreams': {**{one: urls[one] for one in kept.values()}, **self.worker.settings['upstreams']},
        }
        return dataclasses.replace(self.worker, settings=settings)

    def reaches(self, zone_id: str, hostname: str) -> bool:
        """Whether a zone still is the account's. Raises ConfigError for one that is, and that the token may not read."""
        try:
            self.routes(zone_id)
        except ApiError as exc:
            if exc.status not in (403, 404) or zone_id in self.zones().values():
                raise
            self.warnings.append(
                f'The zone of {hostname} is not in the account any more, or the API token may not see it. What was made for the Worker there is not looked at.'
            )
            return False
        return True

    def shown(self, hosts: t.Mapping[str, Attached], served: tuple[bool, bool]) -> dict[str, t.Any]:
        """What is there, for the diff. Of zones only what was read anyway."""
        ways = {name: self.way(name, one) for name, one in sorted(hosts.items())}
        if self.script is None:
            return {'hosts': ways} if any(ways.values()) else {}
        types = {name: one.get('type') for name, one in sorted(self.script.bindings.items())}
        others = [f'{name} ({kind})' for name, kind in types.items() if kind != 'secret_text' and (name, kind) not in (('SETTINGS', 'json'), (MARKER, 'json'))]
        return {
            'settings': json_of(self.script, 'SETTINGS'),
            'compatibility_date': self.script.compatibility_date,
            'modules': (self.marker or {}).get('modules') or {},
            'secrets': [name for name, kind in types.items() if kind == 'secret_text'],
            'hosts': ways,
            'workers_dev': said_of_workers_dev(*served),
            **({'other_bindings': others} if others else {}),
        }

    def way(self, hostname: str, attached: Attached) -> str:
        """How a host name leads to the Worker."""
        found = ['domain'] if self.has_domain(hostname) else []
        zones = attached.others if found else (attached.zone_id, *attached.others)
        for zone_id in zones:
            if zone_id in self._routes:
                place = '' if zone_id == attached.zone_id else ' in another zone'
                route = self.route(zone_id, hostname)
                records = [one.leads() for one in self.records(zone_id, hostname) if one.comment == comment_of(self.worker.name)]
                if route is not None and route.script == self.worker.name:
                    lack = '' if records and all(records) else ' with a record that somebody changed' if records else ' without a record'
                    found.append(f'route{lack}{place}')
                elif records:
                    found.append(f'record{place}')
        return ' and '.join(found)


def elsewhere(before: Attached | None, wanted: Attached) -> tuple[str, ...]:
    """The zones in which a host name had, or may have had, a route of ours, and is to have none."""
    return tuple(sorted({before.zone_id, *before.others} - {wanted.zone_id, ''})) if before else ()


def said_of_workers_dev(enabled: bool, previews: bool) -> str:
    """Whether the Worker is served there, for the diff."""
    return ('served' if enabled else 'not served') + (', with its previews' if previews else '')


def upload_step(api: Api, worker: Worker, hosts: t.Mapping[str, Attached], reason: str) -> Step:
    """An upload. Raises ConfigError for settings that are too large."""
    check_sizes(worker)
    told = metadata(bindings_of(worker, hosts), worker.compatibility_date)
    return Step(f'upload the Worker {worker.name}, since {reason}', lambda: api.upload(worker.name, worker.modules, told))


def plan_present(api: Api, worker: Worker, force: bool = False) -> Plan:
    """Read, check and plan. Raises ConfigError before anything is done."""
    now = Deployment(api, worker, force)
    now.find_zones(worker.hosts)
    for host in worker.hosts:
        now.check(host)
    url = workers_dev_url(worker.name, api.subdomain()) if worker.workers_dev else ''
    wanted = {host.name: Attached(host.attach, now.zone_ids[host.name]) for host in worker.hosts}
    dropped = {name: one for name, one in now.ours.items() if name not in wanted}
    moved = {name: others for name, one in wanted.items() for others in [elsewhere(now.ours.get(name), one)] if others}
    looked_at = {**dropped, **{name: dataclasses.replace(one, others=moved.get(name, ())) for name, one in wanted.items()}}
    drops = [step for name, one in dropped.items() for step in now.drop(name, one)]
    drops += [step for name, others in moved.items() for zone_id in others for step in now.drop_reached(name, zone_id)]
    # What is dropped at the end is known until it is gone: a crash in between leaves nothing that is nobody's.
    first, known = worker, wanted
    if drops:
        first = now.until_dropped(dropped)
        known = looked_at
    reason = needs_upload(now.script, first)
    unknown = [name for name, one in known.items() if now.ours.get(name) != one]
    if not reason and unknown:
        reason = f'it does not know {", ".join(unknown)} as its own'
    if not reason and not drops and dropped:
        reason = f'it can forget {", ".join(dropped)}'
    steps: list[Step] = [upload_step(api, first, known, reason)] if reason else []
    for host in worker.hosts:
        steps += now.add(host)
    # Whether a new Worker is served there is the account's to say, so it is said once.
    served = (False, False) if now.script is None else api.on_workers_dev(worker.name)
    if now.script is None or served != (worker.workers_dev, False):
        text = f'serve it at {url}' if worker.workers_dev else 'serve it nowhere below workers.dev'
        steps.append(Step(text, lambda: api.set_workers_dev(worker.name, worker.workers_dev)))
    steps += drops
    if drops:
        forgotten = [*dropped, *(f'the former zone of {name}' for name in moved)]
        steps.append(upload_step(api, worker, wanted, f'it can forget {", ".join(forgotten)}'))
    after = {
        'settings': worker.settings,
        'compatibility_date': worker.compatibility_date,
        'modules': worker.digests(),
        'secrets': sorted(name + (' (changed)' if reason == 'its secrets differ' else '') for name in worker.secrets),
        'hosts': {name: one.attach for name, one in sorted(wanted.items())},
        'workers_dev': said_of_workers_dev(worker.workers_dev, False),
    }
    return Plan(tuple(steps), now.shown(looked_at, served), after, url, tuple(now.warnings))


def plan_absent(api: Api, worker: Worker, force: bool = False) -> Plan:
    """Plan to take the Worker away with all that leads to it and is ours. ``worker`` has the name, and the host names as far as they are known."""
    now = Deployment(api, worker, force)
    unknown = {host.name: Attached(host.attach, now.zone_of(host)) for host in worker.hosts if host.name not in now.ours}
    # A host name without a zone was never made.
    known = {**now.ours, **{name: one for name, one in unknown.items() if one.zone_id}}
    others = [one.hostname for one in now.domains if one.service == worker.name and one.hostname not in known]
    if others and not force:
        named = ', '.join(others)
        raise ConfigError(f'{named} also leads to the Worker {worker.name}, as a custom domain that this module did not make. Take it away, or set force.')
    steps: list[Step] = []
    for name, one in known.items():
        steps += now.drop(name, one)
    for name in others:
        steps += now.drop_domain(name)
    if now.script is not None:
        steps.append(Step(f'delete the Worker {worker.name}', lambda: api.delete(worker.name)))
    served = (False, False) if now.script is None else api.on_workers_dev(worker.name)
    return Plan(tuple(steps), now.shown({**known, **{name: Attached(DOMAIN, '') for name in others}}, served), {}, warnings=tuple(now.warnings))


def apply(plan: Plan) -> None:
    """Do the steps. Raises ConfigError, which says what was done and what was not."""
    for number, step in enumerate(plan.steps):
        try:
            step.do()
        except ConfigError as exc:
            done = '; '.join(one.text for one in plan.steps[:number])
            # After an answer that was lost, or that blames Cloudflare itself, the step may stand.
            unsure = isinstance(exc, ApiError) and not 400 <= exc.status < 500
            before = [f'Done before that: {done}.'] if done else []
            before += ['It may have been done all the same.'] if unsure else []
            before += ['The next run goes on from there.'] if before else ['Nothing was changed; what served before still does.']
            raise ConfigError(f'{exc} This was to {step.text}. {" ".join(before)}') from exc
