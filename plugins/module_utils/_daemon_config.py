# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing a user's wishes into daemon.json: read, merge, check, write, plan."""

from __future__ import annotations

import contextlib
import json
import os
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.quickpull.registry.plugins.module_utils import (
    _dockerd_validate,
    _in_force,
    _intent,
    _io,
    _leak_guard,
    _ownership,
    _snapshot,
    _strangers,
)
from ansible_collections.quickpull.registry.plugins.module_utils._daemon_json import check_config, check_types
from ansible_collections.quickpull.registry.plugins.module_utils._daemon_keys import KNOWN_KEYS
from ansible_collections.quickpull.registry.plugins.module_utils._daemon_secrets import diff, holds_secret
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ChangedMeanwhileError, ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._json_text import Document, pointer
from ansible_collections.quickpull.registry.plugins.module_utils._leak_guard import LeftOut
from ansible_collections.quickpull.registry.plugins.module_utils._merge import (
    INSECURE,
    LISTS,
    MIRRORS,
    NO_PROXY,
    Daemon,
    Request,
    Result,
    leaves_of,
    merge,
)
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import (
    Mirror,
    check_docker_mirror,
    has_path,
    host_of,
    normalise_url,
    parse_mirrors,
    shown_url,
)
from ansible_collections.quickpull.registry.plugins.module_utils._no_proxy import check_proxy, join_no_proxy, lint_no_proxy
from ansible_collections.quickpull.registry.plugins.module_utils._plan import Plan, make_plan, strings_of
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

if t.TYPE_CHECKING:
    from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DockerDaemon

ENGINE = 'docker'

# How often a run begins anew because somebody else wrote the file meanwhile.
_TRIES = 3

_OWN_OPTIONS = {'registry-mirrors': 'registry_mirrors', 'insecure-registries': 'insecure_registries', 'proxies': 'proxies'}


@dataclass(frozen=True)
class Options:
    """The module's options; None for one that was left out. ``path`` is the file, never None here."""

    path: str
    owner: str = 'registry_access'
    present: bool = True
    registry_mirrors: t.Sequence[t.Any] | None = None
    insecure_registries: t.Sequence[str] | None = None
    proxies: t.Mapping[str, t.Any] | None = field(default=None, repr=False)
    settings: t.Mapping[str, t.Any] | None = field(default=None, repr=False)
    exclusive: bool = False
    validate: str = 'auto'
    backup: bool = True
    mirror_login_leak: str = _leak_guard.DROP
    hub_login: bool = False


@dataclass(frozen=True)
class Wish:
    """What the options come to on this host. ``mirrors`` are all that the options name, also those that are left out."""

    request: Request
    mirrors: tuple[Mirror, ...] = ()
    asked: t.Mapping[str, t.Any] = field(default_factory=dict, repr=False)
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What a run did, or would do in check mode."""

    changed: bool
    diff: dict[str, str]
    plan: Plan
    mirrors: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    foreign_changes: tuple[str, ...]
    warnings: tuple[str, ...]
    backup_file: str = ''


def wish(options: Options, daemon: DockerDaemon) -> Wish:
    """Read the options.

    :raises ConfigError: for what no version of Docker takes, and for mirrors that this one does not take.
    """
    if not options.owner:
        raise ConfigError('owner: a name is needed, under which the host remembers what is yours.', key='owner')
    if not options.present:
        return Wish(Request(options.owner, dict.fromkeys(LISTS, ()), {}, True, True))
    mirrors, left_out, warnings = _mirrors(options, daemon)
    lists: dict[str, t.Sequence[str]] = {}
    if options.registry_mirrors is not None:
        lists[MIRRORS] = tuple(mirror.url for mirror in mirrors)
    if options.insecure_registries is not None:
        lists[INSECURE] = _insecure(options.insecure_registries)
    settings = _settings(options.settings)
    proxies, no_proxy = _proxies(options.proxies)
    if options.proxies is not None:
        lists[NO_PROXY] = no_proxy
        warnings += lint_no_proxy(no_proxy, {host_of(mirror.url): () for mirror in mirrors})
    leaves = {**leaves_of(settings), **leaves_of({'proxies': proxies})}
    request = Request(options.owner, lists, leaves, options.settings is not None, options.proxies is not None, options.exclusive)
    asked = {**settings, **({'proxies': proxies} if proxies or no_proxy else {})}
    named = parse_mirrors(options.registry_mirrors, key='registry_mirrors')
    return Wish(request, tuple(named), asked, tuple(left_out), tuple(warnings))


def _mirrors(options: Options, daemon: DockerDaemon) -> tuple[list[Mirror], list[LeftOut], list[str]]:
    mirrors = parse_mirrors(options.registry_mirrors, key='registry_mirrors')
    warnings: list[str] = []
    version = daemon.version_tuple
    for mirror in mirrors:
        if options.validate != 'never':
            check_docker_mirror(mirror.url, version, key='registry_mirrors')
        if version is None and has_path(mirror.url):
            warnings.append(f'registry_mirrors: {shown_url(mirror.url)} has a path, which Docker accepts since 25.0 only; its version here is not known.')
        unused = [name for name in ('ca_path', 'client_cert', 'headers') if getattr(mirror, name)]
        if unused:
            warnings.append(
                f'registry_mirrors: {shown_url(mirror.url)}: daemon.json has no place for {", ".join(unused)}; '
                'Docker looks for certificates in /etc/docker/certs.d/HOST and sends no headers of its own.'
            )
    store = daemon.reported.image_store if daemon.reported else ''
    found = _leak_guard.sort_out(mirrors, store, daemon.hub_logins, options.hub_login, options.mirror_login_leak)
    return list(found.kept), list(found.left_out), [*warnings, *found.warnings]


def _insecure(entries: t.Sequence[str]) -> tuple[str, ...]:
    for entry in entries:
        if not entry or any(letter.isspace() for letter in entry) or '://' in entry or ',' in entry:
            raise ConfigError(f'insecure_registries: {entry!r} is no registry; write HOST, HOST:PORT or a CIDR.', key='insecure_registries')
    return tuple(entries)


def _settings(settings: t.Mapping[str, t.Any] | None) -> dict[str, t.Any]:
    given = _without_null(settings or {})
    for key in given:
        if key in _OWN_OPTIONS:
            raise ConfigError(f'settings: {key} has an option of its own, {_OWN_OPTIONS[key]}; move it there.', key=f'settings.{key}')
    try:
        json.dumps(given, allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise ConfigError(f'settings: a value cannot be written as JSON: {exc}.', key='settings') from exc
    check_types(given, where='settings')
    return given


def _without_null(value: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {str(key): _without_null(one) if isinstance(one, dict) else one for key, one in value.items() if one is not None}


def _proxies(proxies: t.Mapping[str, t.Any] | None) -> tuple[dict[str, str], list[str]]:
    given = proxies or {}
    urls = {}
    for option, key in (('http_proxy', 'http-proxy'), ('https_proxy', 'https-proxy')):
        if given.get(option):
            check_proxy(given[option], f'proxies.{option}')
            urls[key] = given[option]
    return urls, join_no_proxy(given.get('no_proxy') or [])


def reads(daemon: DockerDaemon, path: str) -> bool:
    """Whether the file is the one that the daemon reads."""
    return daemon.installed and os.path.realpath(daemon.daemon_config_path) == os.path.realpath(path)


def _clears(daemon: DockerDaemon) -> frozenset[str]:
    """Keys whose value in force a reload would keep when they were simply deleted."""
    keys = {pointer(key) for key, known in KNOWN_KEYS.items() if known.cleared is not None}
    if daemon.reported is not None:
        told = {'/registry-mirrors': daemon.reported.mirrors, '/live-restore': daemon.reported.live_restore}
        keys -= {where for where, value in told.items() if not value}
    return frozenset(keys)


def merge_daemon(daemon: DockerDaemon, path: str) -> Daemon:
    """What the merge needs to know of the daemon."""
    named = any(flag.name == 'config-file' for flag in (*daemon.flags, *daemon.unit_flags))
    if not reads(daemon, path):
        return Daemon()
    running = daemon.start_id is not None
    return Daemon(running=running, holds=_clears(daemon) if running else frozenset(), keep_file=named)


class Run:
    """One run over one file."""

    def __init__(self, options: Options, state: State, daemon: DockerDaemon, *, check_mode: bool) -> None:
        self.options = options
        self.path = options.path
        self.state = state
        self.daemon = daemon
        self.check_mode = check_mode
        self.wish = wish(options, daemon)
        self.warnings = list(self.wish.warnings)

    def run(self) -> Outcome:
        """Do it, or in check mode work out what would be done.

        :raises ConfigError: when anything is wrong; nothing was written then.
        """
        with contextlib.nullcontext() if self.check_mode else _io.locked(self.state):
            for left in reversed(range(_TRIES)):
                self.warnings = list(self.wish.warnings)
                try:
                    return self.once()
                except ChangedMeanwhileError:
                    if not left:
                        raise
        raise AssertionError('unreachable')

    def once(self) -> Outcome:
        current = _io.read_file(self.path)
        record = _ownership.load(self.state, self.path)
        result = merge(current.data, self.path, record, self.wish.request, merge_daemon(self.daemon, self.path))
        changed = result.data != current.data
        self.check(result, changed)
        known = None
        backup_file = ''
        old = Document.parse(current.data, self.path).value if current.data is not None else None
        if not self.check_mode:
            self.remember_strangers(old, result.value)
            known, backup_file = self.write(current, old, record, result)
        self.describe(current, result)
        mirrors = result.value.get('registry-mirrors') or []
        return Outcome(
            changed=changed,
            diff=diff(self.path, current.data, result.data),
            plan=self.plan(old, result, known, changed),
            mirrors=tuple(mirrors),
            left_out=self.wish.left_out,
            foreign_changes=result.foreign_changes,
            warnings=tuple(self.warnings),
            backup_file=backup_file,
        )

    # Checks

    def check(self, result: Result, changed: bool) -> None:
        """Refuse what dockerd would not start with. Taking ours out is never refused: it makes nothing worse."""
        if self.options.validate == 'never' or result.data is None:
            return
        try:
            self.ask_table(result)
            if changed or self.options.validate == 'always':
                self.ask_dockerd(result.data)
        except ConfigError as exc:
            if self.options.present:
                raise
            self.warnings.append(str(exc))

    def ask_table(self, result: Result) -> None:
        ours = reads(self.daemon, self.path) or not self.daemon.installed
        flags = (*self.daemon.flags, *self.daemon.unit_flags) if ours else ()
        self.warnings += check_config(result.value, self.daemon.version_tuple, flags, asked=self.wish.asked, path=self.path)

    def ask_dockerd(self, data: bytes) -> None:
        try:
            _dockerd_validate.validate(self.daemon, data, self.path)
        except _dockerd_validate.CannotValidateError as exc:
            if self.options.validate == 'always':
                raise ConfigError(f'{self.path} cannot be validated (validate: always): {exc}.', path=self.path) from exc

    # Writing

    def write(
        self, current: _io.FileState, old: dict[str, t.Any] | None, record: _ownership.Record, result: Result
    ) -> tuple[_in_force.InForce | None, str]:
        new_record = result.record
        _io.clean_temps(current.target)
        if result.data == current.data:
            if result.data is None:
                _ownership.remove_dirs(new_record)
            _ownership.save(self.state, new_record)
            return None, ''
        paths = _snapshot.docker_paths(self.state, self.path, self.daemon.unit)
        _snapshot.save_once(self.state, ENGINE, _snapshot.ORIGINAL, paths)
        known = None
        if reads(self.daemon, self.path):
            new = None if result.data is None else result.value
            known = _in_force.before_write(self.state, self.daemon, self.path, old, new, paths)
        backup_file = (_io.backup(self.path, self.state) or '') if self.options.backup else ''
        folder = os.path.dirname(current.target)
        if result.data is not None and not os.path.isdir(folder):
            new_record.made_dirs = _io.missing_dirs(folder)
        _ownership.save(self.state, _ownership.either(record, new_record))
        self.replace(current, result, folder)
        _ownership.save(self.state, new_record)
        return known, backup_file

    def remember_strangers(self, old: dict[str, t.Any] | None, new: t.Mapping[str, t.Any]) -> None:
        """Also those of before: they are in force until the apply, and come back when it fails."""
        there = [url for value in (new, old or {}) for url in strings_of(value.get('registry-mirrors')) or ()]
        in_force = self.daemon.reported.mirrors if self.daemon.reported else ()
        _strangers.remember(self.state, self.wish.mirrors, [*there, *in_force])

    def replace(self, current: _io.FileState, result: Result, folder: str) -> None:
        """The file itself; the record for before and after is on disk already."""
        if result.data is not None:
            _io.make_dirs(folder)
            like = replace(current, mode=0o600) if self.tightens(current, result) else current
            mode = 0o600 if holds_secret(result.value) else 0o644
            _io.write_atomic(self.path, result.data, like=like, default_mode=mode, expect=current)
            return
        _io.delete_file(self.path, expect=current)
        _ownership.remove_dirs(result.record)

    def tightens(self, current: _io.FileState, result: Result) -> bool:
        """Whether a file that we made, and nobody gave another mode since, gets its first secret. Other files keep their mode."""
        return current.exists and result.record.busy and result.record.original is None and current.mode == 0o644 and holds_secret(result.value)

    # What to tell

    def plan(self, old: dict[str, t.Any] | None, result: Result, known: _in_force.InForce | None, changed: bool) -> Plan:
        if not reads(self.daemon, self.path):
            if self.daemon.installed and self.daemon.start_id is not None:
                return Plan(reasons=(f'The running daemon does not read this file, but {self.daemon.daemon_config_path}.',))
            return Plan()
        if known is None and changed:
            new = None if result.data is None else result.value
            known = _in_force.in_force_after_write(self.state, self.daemon, self.path, old, new)
        elif known is None:
            known = _in_force.in_force(self.state, self.daemon, self.path, result.value)
        plan = make_plan(result.value, self.daemon, known, result.record.keys())
        return replace(plan, interrupted=_intent.interrupted(self.state, ENGINE))

    def describe(self, current: _io.FileState, result: Result) -> None:
        """Warnings about what was found, apart from what the checks said."""
        daemon = self.daemon
        if not daemon.installed:
            named = f' ({daemon.flavour})' if daemon.flavour != 'native' else ''
            self.warnings.append(f'There is no Docker daemon of the system on this host{named}; {self.path} is written all the same.')
        elif not reads(daemon, self.path):
            self.warnings.append(f'Docker on this host reads {daemon.daemon_config_path}, not {self.path}.')
        there = {normalise_url(url) for url in strings_of(result.value.get('registry-mirrors')) or ()}
        for one in self.wish.left_out:
            if normalise_url(one.url) in there:
                where = f'{shown_url(one.url)} is in {self.path} all the same, because somebody else put it there.'
                self.warnings.append(f'{where} {one.reason} Take it out by hand.')
        readable = current.exists and current.mode & 0o077 and (result.data == current.data or not self.tightens(current, result))
        if readable and result.data is not None and holds_secret(result.value):
            self.warnings.append(f'{self.path} holds a password or token and can be read by others (mode {current.mode:04o}); make it 0600.')


def configure(options: Options, state: State, daemon: DockerDaemon, *, check_mode: bool) -> Outcome:
    """Bring the options into the file.

    :raises ConfigError: when anything is wrong; nothing was written then.
    """
    return Run(options, state, daemon, check_mode=check_mode).run()


def with_path(options: Options, daemon: DockerDaemon) -> Options:
    """The options with an absolute path: the one that was given, else that of the daemon's own file."""
    return replace(options, path=os.path.abspath(options.path or daemon.daemon_config_path))
