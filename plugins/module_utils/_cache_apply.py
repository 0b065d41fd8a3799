# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cache's services brought to run by the files that are there, with a proof, and with the way back to those that did so last.

What each service read when it was proved is on record, so a run that dies between writing and restarting is made good by the next, and a certificate that
somebody renewed is taken.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils import (
    _cache_front,
    _cache_plan,
    _cache_registry,
    _http_local,
    _in_force,
    _io,
    _owned_files,
    _service_facts,
    _snapshot,
    _systemd,
)
from ansible_collections.quickpull.registry.plugins.module_utils._cache_model import CONFIG_DIR, EVICT_TIMER, FRONT_UNIT, INSTANCE_UNIT, Upstream
from ansible_collections.quickpull.registry.plugins.module_utils._cache_plan import CLIENTS_FILE, FRONT_FILE, KIND, Host
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text
from ansible_collections.quickpull.registry.plugins.module_utils._plan import NONE, RELOAD, RESTART
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

UNIT_DIR = '/etc/systemd/system'
#: The unit files that the role writes.
UNIT_FILES = (INSTANCE_UNIT.format(''), FRONT_UNIT, EVICT_TIMER.replace('.timer', '.service'), EVICT_TIMER)

_PAUSE = 0.2
# An instance that is not up by then is asked for the reason: without its upstream it ends, and systemd starts it again and again.
_PATIENCE = 4.0
# So long a process has to last before an answer on its port is taken for its own, where the unit is a new one.
_SETTLED = 1.5
_SAID = ('level=fatal', 'level=error', 'configuration error', 'panic', '[emerg]', '[error]', 'failed')


@dataclass(frozen=True)
class Service:
    """One unit of a cache.

    :ivar start: files that are read by a start alone; ``reload``: those for which a reload will do.
    :ivar upstream: of an instance. ``url``: where it answers, empty for a timer; ``answer``: what is in the answer then, empty for anything.
    :ivar facts: what else a start alone reads. ``certificate``: the file of the one that it then shows, empty without TLS.
    """

    unit: str
    start: tuple[str, ...]
    reload: tuple[str, ...] = ()
    url: str = ''
    answer: str = ''
    facts: str = ''
    certificate: str = ''
    upstream: Upstream | None = None


@dataclass(frozen=True)
class Step:
    """What one service needs. ``because`` is a full sentence. ``files``: what stood in its files then, as the record has it."""

    service: Service
    action: str
    because: str
    files: t.Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reach:
    """Time, and how services and upstreams are asked. Tests put their own in their place.

    :ivar ask: status and body of what answers at a URL of this host; None for nothing. ``shown``: the certificate that it shows, in PEM form.
    :ivar unreachable: why an upstream cannot be reached, in a sentence; empty when it can.
    """

    monotonic: t.Callable[[], float] = time.monotonic
    now: t.Callable[[], float] = time.time
    sleep: t.Callable[[float], None] = time.sleep
    ask: t.Callable[[str], t.Optional[t.Tuple[int, str]]] = _http_local.ask
    shown: t.Callable[[str], str] = _http_local.certificate
    unreachable: t.Callable[[Upstream], str] = _cache_plan.unreachable


@dataclass
class Outcome:
    """What was done. ``waiting``: why an instance does not run yet though its files are right, a sentence each."""

    changed: bool = False
    restarted: list[str] = field(default_factory=list)
    reloaded: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


# --- what is needed ---------------------------------------------------------------------------------------------------


def services(host: Host) -> list[Service]:
    """The units that the files ask for; none without a front."""
    front = _io.read_text(host.path(f'{CONFIG_DIR}/{FRONT_FILE}'))
    if front is None:
        return []
    found = [_instance(name, host) for name in _cache_plan.instances(host)]
    certificate = _cache_front.certificate_in(front)
    return [
        *found,
        Service(
            FRONT_UNIT, (f'{UNIT_DIR}/{FRONT_UNIT}',), (f'{CONFIG_DIR}/{FRONT_FILE}', f'{CONFIG_DIR}/{CLIENTS_FILE}', *certificate),
            url=_cache_front.health_url_in(front), answer=_cache_front.fingerprint_in(front),
            # On a reload nginx opens its new socket beside the old one, which cannot be where one of the two is every address.
            facts=str(_cache_front.listens_in(front)), certificate=certificate[0] if certificate else '',
        ),
        Service(EVICT_TIMER, tuple(f'{UNIT_DIR}/{name}' for name in UNIT_FILES[2:])),
    ]  # fmt: skip


def _instance(name: str, host: Host) -> Service:
    config, environment = f'{CONFIG_DIR}/{name}.yml', f'{CONFIG_DIR}/{name}.env'
    upstream = _cache_registry.upstream_in(name, _io.read_text(host.path(config)) or '', _io.read_text(host.path(environment)) or '')
    authority = f'{_cache_registry.CA_DIR}/{name}/ca.crt'
    files = (f'{UNIT_DIR}/{INSTANCE_UNIT.format("")}', config, environment, authority)
    return Service(INSTANCE_UNIT.format(name), files, url=f'http://127.0.0.1:{upstream.port}/v2/', upstream=upstream)


def units_by(names: t.Collection[str], more: t.Iterable[str], host: Host) -> list[str]:
    """The units that run by these unit files.

    :param names: some of :data:`UNIT_FILES`.
    :param more: units that are to be, beside those that the files ask for.
    """
    units = dict.fromkeys([*(one.unit for one in services(host)), *more, FRONT_UNIT, EVICT_TIMER])
    file_of = {FRONT_UNIT: {FRONT_UNIT}, EVICT_TIMER: set(UNIT_FILES[2:])}
    return [unit for unit in units if file_of.get(unit, {UNIT_FILES[0]}) & set(names)]


def plan(host: Host, state: State, *, create_key: bool = False) -> list[Step]:
    """What each service needs to run by its files. Raises ConfigError for a state directory that cannot be used."""
    wanted = services(host)
    if not wanted:
        return []
    key, known = _in_force.hash_key(state, create=create_key), _load(state)
    active = _systemd.show_many([one.unit for one in wanted], ('ActiveState', 'UnitFileState'), runner=host.run)
    return [step for step in (_step(one, host, key, known.get(one.unit), active.get(one.unit, {})) for one in wanted) if step.action != NONE]


def _step(service: Service, host: Host, key: bytes, known: t.Mapping[str, str] | None, facts: t.Mapping[str, str]) -> Step:
    files = {'start': _hash(key, service.start, host, service.facts), 'reload': _hash(key, service.reload, host)}
    told, runs = dict(known or {}), facts.get('ActiveState') in ('active', 'reloading')
    if facts.get('UnitFileState') != 'enabled':
        return Step(service, RESTART, f'{service.unit} is not enabled.', files)
    # Between two trials a container is taken away, which is "deactivating".
    if not runs and not (facts.get('ActiveState') in ('activating', 'deactivating') and told == {**files, 'waiting': 'yes'}):
        return Step(service, RESTART, f'{service.unit} does not run.', files)
    if told.get('start') != files['start']:
        return Step(service, RESTART, f'{service.unit} does not run by the files that are there.', files)
    if told.get('reload') != files['reload']:
        return Step(service, RELOAD, f'{service.unit} has not read the files that are there.', files)
    return Step(service, NONE, '', files)


def _hash(key: bytes, paths: t.Iterable[str], host: Host, facts: str = '') -> str:
    """Keyed, because some of the files hold secrets."""
    digest = hmac.new(key, facts.encode(), 'sha256')
    for path in paths:
        data = _io.read_file(host.path(path)).data  # a certificate may have a comment in any encoding
        digest.update(json.dumps([path, None if data is None else hashlib.sha256(data).hexdigest()]).encode())
    return digest.hexdigest()


def _text(path: str, host: Host) -> str:
    """Of a file that is not ours."""
    return (_io.read_file(host.path(path)).data or b'').decode('utf-8', 'replace')


def _load(state: State) -> dict[str, dict[str, str]]:
    try:
        raw = json.loads(_io.read_text(state.applied(KIND)) or '{}')
    except ValueError:
        return {}
    return {str(unit): dict(one) for unit, one in raw.items() if isinstance(one, dict)} if isinstance(raw, dict) else {}


def _proved(host: Host, state: State, steps: t.Sequence[Step], waiting: t.Collection[str], left: t.Collection[str]) -> None:
    """Remember what the services read, and put the files aside as those to come back to, but for those of instances that are not up by them.

    :param waiting: units that start once their upstream is there. ``left``: units that still run by their old files.
    """
    record = {unit: one for unit, one in _load(state).items() if unit in {each.unit for each in services(host)}}
    for step in steps:
        unit = step.service.unit
        if unit not in left:
            record[unit] = {**step.files, **({'waiting': 'yes'} if unit in waiting else {})}
    _io.write_private(state.applied(KIND), (json.dumps(record, indent=1, sort_keys=True) + '\n').encode(), root=state.root)
    files = _files(host, state)
    unproved = {path for step in steps if step.service.unit in {*waiting, *left} for path in map(host.path, step.service.start) if CONFIG_DIR in path}
    _snapshot.save(state, KIND, _snapshot.PROVED, [*files, state.files(KIND)], keep=unproved)


def _files(host: Host, state: State) -> list[str]:
    """Our own files; what others keep beside them, such as a certificate, is theirs."""
    units = [host.path(f'{UNIT_DIR}/{name}') for name in UNIT_FILES]
    return sorted(path for path in (*_owned_files.load(state, KIND), *units) if os.path.isfile(path))


def forget(state: State) -> None:
    """For a cache that is no more."""
    _io.delete_file(state.applied(KIND))
    _snapshot.drop(state, KIND, _snapshot.PROVED)


# --- what is done -----------------------------------------------------------------------------------------------------


def apply(host: Host, state: State, *, timeout: float, rollback: bool = True, reach: Reach | None = None) -> Outcome:
    """Have each service run by its files.

    :param timeout: seconds for all of them to come up and to answer, and as many again after a roll-back.
    :raises ConfigError: when one did not. It names what was put back, and whether that runs.
    """
    reach = reach or Reach()
    with _io.locked(state, journal=False):
        steps = plan(host, state, create_key=True)
        left = _better_left(steps, host, reach)
        now = [one for one in steps if one.service.unit not in left]
        if now:
            waiting: dict[str, str] = {}
            since = reach.now()
            failures = _bring_up(now, host, timeout, reach, waiting)
            if failures:
                _roll_back(failures, now, host, state, timeout, rollback, reach, since)
            _proved(host, state, steps, waiting, left)
            left = {**left, **waiting}
    return Outcome(
        bool(now), [one.service.unit for one in now if one.action == RESTART], [one.service.unit for one in now if one.action == RELOAD], list(left.values()),
        [one.because for one in now],
    )  # fmt: skip


def _better_left(steps: t.Sequence[Step], host: Host, reach: Reach) -> dict[str, str]:
    """Instances that run, and would not any more after a restart because their upstream is away: a sentence for each unit."""
    found = {}
    for step in steps:
        unit, upstream = step.service.unit, step.service.upstream
        if upstream and _service_facts.start_id(host, unit):
            reason = reach.unreachable(upstream)
            if reason:
                found[unit] = f'{unit} runs on by its old files, because it would not start again without its upstream. {reason}'
    return found


def _stop_rewritten(steps: t.Sequence[Step], host: Host) -> list[str]:
    """Stop the instances whose unit is another now, while systemd still knows how the former one ends, and return them.

    A container that is left over has the port, and would answer in the place of what is to be proved.
    """
    instances = [step.service.unit for step in steps if step.action == RESTART and step.service.upstream]
    found = _systemd.show_many(instances, ('NeedDaemonReload',), runner=host.run) if instances else {}
    rewritten = [unit for unit in instances if found.get(unit, {}).get('NeedDaemonReload') == 'yes']
    if rewritten:
        _systemd.systemctl('stop', *rewritten, timeout=90, runner=host.run)
    return rewritten


def _bring_up(steps: t.Sequence[Step], host: Host, timeout: float, reach: Reach, waiting: dict[str, str]) -> dict[str, str]:
    """Restart, reload, and look until all is well. Returns a sentence for each unit with which it is not; ``waiting`` is given one for each that has to."""
    before = {step.service.unit: _service_facts.start_id(host, step.service.unit) for step in steps}
    lasting = _Lasting(_stop_rewritten(steps, host), host, reach)
    failures = _order(steps, host)
    began, open_steps = reach.monotonic(), [step for step in steps if step.service.unit not in failures]
    asked: set[str] = set()
    while open_steps:
        wrong = {step.service.unit: _wrong(step, host, before[step.service.unit], reach) or lasting.wrong(step.service.unit) for step in open_steps}
        open_steps = [step for step in open_steps if wrong[step.service.unit]]
        late = reach.monotonic() - began
        for step in list(open_steps):
            upstream = step.service.upstream
            if upstream and late >= min(_PATIENCE, timeout) and upstream.name not in asked:
                asked.add(upstream.name)
                reason = reach.unreachable(upstream)
                if reason:
                    unit = step.service.unit
                    waiting[unit] = f'{unit} starts as soon as its upstream can be reached; systemd tries again and again. {reason}'
                    open_steps.remove(step)
        if open_steps and late >= timeout:
            return {**failures, **{step.service.unit: wrong[step.service.unit] for step in open_steps}}
        if open_steps:
            reach.sleep(_PAUSE)
    return failures


def _order(steps: t.Sequence[Step], host: Host) -> dict[str, str]:
    """Have systemd begin with all of it. Returns a sentence for each unit with which it does not."""
    failures: dict[str, str] = {}
    _systemd.systemctl('daemon-reload', timeout=90, runner=host.run)
    for step in steps:
        unit = step.service.unit
        if step.action == RESTART:
            _systemd.systemctl('enable', unit, runner=host.run)
            _systemd.systemctl('reset-failed', unit, runner=host.run)
        told = _systemd.systemctl('--no-block', step.action, unit, runner=host.run)
        if told.rc:
            failures[unit] = f'systemctl did not {step.action} {unit}: {(told.stderr or told.stdout).strip()}'
    return failures


class _Lasting:
    """Whether processes last. While one starts again and again, it may be another that answers on its port."""

    def __init__(self, units: t.Collection[str], host: Host, reach: Reach) -> None:
        self.units, self.host, self.reach = units, host, reach
        self.seen: dict[str, tuple[str | None, float]] = {}

    def wrong(self, unit: str) -> str:
        """A sentence until the process of one of the units is the same for a while; empty for other units."""
        if unit not in self.units:
            return ''
        start, now = _service_facts.start_id(self.host, unit), self.reach.monotonic()
        if self.seen.setdefault(unit, (start, now))[0] != start:
            self.seen[unit] = (start, now)
        return '' if now - self.seen[unit][1] >= _SETTLED else f'{unit} starts again and again.'


def _wrong(step: Step, host: Host, before: str | None, reach: Reach) -> str:
    """What is not as it should be with a service, in a sentence; empty when nothing is."""
    service = step.service
    if not service.url:
        active = _systemd.show(service.unit, 'ActiveState', runner=host.run).get('ActiveState')
        return '' if active == 'active' else f'{service.unit} is {active}.'
    if step.action == RESTART and _service_facts.start_id(host, service.unit) in (None, before):
        return f'{service.unit} has not started.'
    told = reach.ask(service.url)
    if told is None or told[0] not in (200, 401):
        return f'{service.unit} does not answer at {service.url}' + (f' but with {told[0]}.' if told else '.')
    if service.answer not in told[1]:
        return f'{service.unit} still works by its old files.'
    if service.certificate and reach.shown(service.url) != _http_local.first_certificate(_text(service.certificate, host)):
        return f'{service.unit} still shows another certificate than that in {service.certificate}.'
    return ''


def _of_others(tried: t.Sequence[Step], host: Host) -> set[str]:
    """Files of instances that nothing was tried with: one whose upstream was away at first has none among those that were proved, and runs by them since."""
    units = {step.service.unit for step in tried}
    return {host.path(path) for one in services(host) if one.upstream and one.unit not in units for path in one.start}


def _roll_back(
    failures: t.Mapping[str, str], tried: t.Sequence[Step], host: Host, state: State, timeout: float, rollback: bool, reach: Reach, since: float
) -> t.NoReturn:
    said = [line for unit in failures for line in _systemd.journal(unit, since, runner=host.run) if any(word in line for word in _SAID)]
    what = ' '.join(failures.values()) + (f' The last thing that was said: {mask_text(said[-1])[:600]}' if said else '')
    snapshot = _snapshot.load(state, KIND, _snapshot.PROVED)
    if not rollback or snapshot is None:
        why = 'rollback: false' if not rollback else 'no files were proved before'
        raise ConfigError(f'{what} Nothing was put back ({why}).', key=next(iter(failures)))
    try:
        kept = _of_others(tried, host)
        for path in _files(host, state):
            if snapshot.file(path) is None and path not in kept:
                _io.delete_file(path)
        paths = ', '.join(_snapshot.restore(snapshot))
    except ConfigError as exc:
        paths = f'not all of it: {exc}'
    now = {one.unit: one for one in services(host)}
    # Those that took the new files, and those that ended by them, are all to have the old ones.
    steps = [Step(now[step.service.unit], step.action, '') for step in tried if step.service.unit in now]
    steps += [step for step in plan(host, state) if step.service.unit not in {one.service.unit for one in steps}]
    failed = _bring_up(steps, host, timeout, reach, {})
    for step in tried:
        if step.service.unit not in now:
            _systemd.systemctl('disable', '--now', step.service.unit, runner=host.run)
    state_now = f'It does not run even so: {" ".join(failed.values())}' if failed else 'The cache runs as before.'
    raise ConfigError(f'{what} Put back as before: {paths}. {state_now}', key=next(iter(failures)))
