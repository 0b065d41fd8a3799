# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a running dockerd needs so that daemon.json comes into force: nothing, a reload, or a restart."""

from __future__ import annotations

import ipaddress
import os
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.quickpull.registry.plugins.module_utils._daemon_keys import KNOWN_KEYS
from ansible_collections.quickpull.registry.plugins.module_utils._in_force import (
    DIFFERS,
    SAME,
    UNKNOWN,
    InForce,
    flatten,
)
from ansible_collections.quickpull.registry.plugins.module_utils._json_text import pointer, pointer_parts
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_url
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import normalise_url

if t.TYPE_CHECKING:
    from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DockerDaemon, Reported

NONE = 'none'
RELOAD = 'reload'
RESTART = 'restart'

# After a restart with another value, images or containers are not found where they were.
DISRUPTIVE = frozenset({'/data-root', '/graph', '/storage-driver', '/features/containerd-snapshotter', '/userns-remap'})

# dockerd keeps the value in force when a reload finds the key gone (moby#36632), except for these, which it sets back to
# their defaults (daemon/reload.go, the same from 20.10 to 29).
_RESET_BY_RELOAD = frozenset({'features', 'max-concurrent-downloads', 'max-concurrent-uploads', 'max-download-attempts', 'network-diagnostic-port'})

# The ranges that dockerd takes for insecure without being asked (registry/config.go).
IMPLICIT_INSECURE = frozenset({'127.0.0.0/8', '::1/128'})

# Name that stands for our systemd drop-in among the keys of a plan.
DROPIN = 'proxies (drop-in)'

# What else `GET /info` tells, under its name there: enough to know of a key in the file whether it is in force.
_ALSO_TOLD = {'/debug': 'Debug', '/default-runtime': 'DefaultRuntime', '/labels': 'Labels', '/log-driver': 'LoggingDriver'}

PROXY_KEYS = {'http-proxy': 'HTTP_PROXY', 'https-proxy': 'HTTPS_PROXY', 'no-proxy': 'NO_PROXY'}


@dataclass(frozen=True)
class Plan:
    """What is needed, and what stands in the way.

    Keys are named as a person would: ``registry-mirrors``, ``proxies.https-proxy``, ``features.containerd-snapshotter``.

    :ivar action: ``none``, ``reload`` or ``restart``.
    :ivar reload_keys: ours, waiting for a reload.
    :ivar restart_keys: ours, waiting for a restart.
    :ivar disruptive_keys: those of ``restart_keys`` after which containers or images are not found where they were.
    :ivar unknown_keys: in the file, and nobody can say whether they are in force; never a reason to act.
    :ivar also_activates: not ours, written by somebody and not in force: the action brings them into force too. With
        action ``none``: what the next reload or restart by anybody will bring into force.
    :ivar reasons: one sentence each, without secrets.
    :ivar blockers: why a restart is not safe: ``unreachable``, ``swarm``, ``dependents``, ``binary_replaced``, ``live_restore``,
        ``live_restore_off``, ``disruptive``.
    :ivar blocked_because: a sentence for each of ``blockers``.
    :ivar interrupted: an earlier run died while it applied a change, so docker_daemon_apply has to look, whatever the action is.
    """

    action: str = NONE
    reload_keys: tuple[str, ...] = ()
    restart_keys: tuple[str, ...] = ()
    disruptive_keys: tuple[str, ...] = ()
    unknown_keys: tuple[str, ...] = ()
    also_activates: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    blockers: tuple[str, ...] = ()
    blocked_because: tuple[str, ...] = ()
    interrupted: bool = False


@dataclass(frozen=True)
class _Difference:
    where: str
    state: str
    present: bool
    by_reload: bool

    @property
    def name(self) -> str:
        return '.'.join(pointer_parts(self.where))


@dataclass(frozen=True)
class Permission:
    """Whether a restart may be done.

    :ivar because: what forbids it, one sentence each.
    :ivar live_restore_first: allowed, once live-restore was switched on by a reload.
    """

    allowed: bool
    because: tuple[str, ...] = ()
    live_restore_first: bool = False


def reload_loses_insecure(version: tuple[int, ...] | None) -> bool:
    """Whether a reload with both lists set forgets insecure registries (moby#45552; 23.0.0 to 23.0.6, and 24.0.0)."""
    return version is not None and ((23, 0) <= version[:3] < (23, 0, 7) or (24, 0) <= version[:3] < (24, 0, 1))


def wanted_mirrors(value: t.Iterable[str]) -> tuple[str, ...]:
    """``registry-mirrors`` as the daemon reports them: normalised, each once, in order."""
    return tuple(dict.fromkeys(normalise_url(url) for url in value))


def wanted_insecure(value: t.Iterable[str]) -> frozenset[str]:
    """``insecure-registries`` as the daemon reports them, less the ranges that it adds itself."""
    return frozenset(_insecure_name(entry) for entry in value) - IMPLICIT_INSECURE


def _insecure_name(entry: str) -> str:
    entry = entry.strip().lower()
    for scheme in ('http://', 'https://'):  # accepted with a warning (registry/config.go, loadInsecureRegistries)
        if entry.startswith(scheme):
            entry = entry[len(scheme):]
    try:
        # Go's ParseCIDR drops the host's bits; only something with a slash is a range for it.
        return str(ipaddress.ip_network(entry, strict=False)) if '/' in entry else entry
    except ValueError:
        return entry


def strings_of(value: t.Any) -> list[str] | None:
    """A list of strings as such, None for anything else."""
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return list(value)
    return None


def flag_values(daemon: DockerDaemon, key: str) -> tuple[str, ...]:
    """What the running daemon's flags say for a key of daemon.json."""
    return tuple(value for flag in daemon.flags if flag.key == key for value in flag.values)


def has_proxies_key(daemon: DockerDaemon) -> bool:
    """Whether this Docker knows ``proxies`` in daemon.json (since 23.0)."""
    return daemon.version_tuple is None or daemon.version_tuple >= (23,)


def expected_proxy(config: t.Mapping[str, t.Any], daemon: DockerDaemon, key: str) -> str:
    """The proxy setting that the daemon should have: of the file, else of its flags, else of its environment."""
    proxies = config.get('proxies')
    value = proxies.get(key) if isinstance(proxies, dict) else None
    if isinstance(value, str) and value:
        return value
    flagged = flag_values(daemon, 'proxies.' + key)
    if flagged:
        return flagged[-1]
    variable = PROXY_KEYS[key]
    return daemon.environ.get(variable) or daemon.environ.get(variable.lower()) or ''


def expected_live_restore(config: t.Mapping[str, t.Any], daemon: DockerDaemon) -> bool:
    """What ``live-restore`` should be: of the file, else of the flags."""
    value = config.get('live-restore')
    if isinstance(value, bool):
        return value
    flagged = flag_values(daemon, 'live-restore')
    return bool(flagged) and flagged[-1].lower() not in ('false', '0', 'f')


def _told_lists(config: t.Mapping[str, t.Any], daemon: DockerDaemon, reported: Reported) -> dict[str, str]:
    told: dict[str, str] = {}
    mirrors = strings_of(config.get('registry-mirrors', list(flag_values(daemon, 'registry-mirrors'))))
    if mirrors is not None:
        told['/registry-mirrors'] = SAME if wanted_mirrors(mirrors) == wanted_mirrors(reported.mirrors) else DIFFERS
    insecure = strings_of(config.get('insecure-registries', list(flag_values(daemon, 'insecure-registries'))))
    if insecure is not None:
        same = wanted_insecure(insecure) == wanted_insecure(reported.insecure_registries)
        told['/insecure-registries'] = SAME if same else DIFFERS
    return told


def _told_proxy(config: t.Mapping[str, t.Any], daemon: DockerDaemon, reported: Reported, in_force: InForce, key: str) -> str:
    want = expected_proxy(config, daemon, key)
    masked = mask_url(want)
    if masked != getattr(reported, key.replace('-', '_')):
        return DIFFERS
    proxies = config.get('proxies')
    if masked == want or not isinstance(proxies, dict) or key not in proxies:
        return SAME
    # The daemon shows `xxxxx:xxxxx`, whatever user and password are.
    return in_force.state_of(pointer('proxies', key), True, want)


def told_by_daemon(config: t.Mapping[str, t.Any], daemon: DockerDaemon, in_force: InForce) -> dict[str, str]:
    """What ``GET /info`` says of the leaves that it speaks of: same, differs or unknown, by JSON pointer."""
    if daemon.reported is None:
        return {}
    told = _told_lists(config, daemon, daemon.reported)
    if isinstance(config.get('live-restore', False), bool):
        same = expected_live_restore(config, daemon) == daemon.reported.live_restore
        told['/live-restore'] = SAME if same else DIFFERS
    if has_proxies_key(daemon):
        for key in PROXY_KEYS:
            told[pointer('proxies', key)] = _told_proxy(config, daemon, daemon.reported, in_force, key)
    return told


def _also_told(where: str, value: t.Any, daemon: DockerDaemon) -> str:
    name = _ALSO_TOLD.get(where, '')
    if daemon.reported is None or daemon.reported.raw.get(name) is None:
        return UNKNOWN
    return SAME if daemon.reported.raw[name] == value else DIFFERS


def by_reload(where: str, present: bool) -> bool:
    """Whether a reload brings the leaf into force; ``present``: its top-level key is in the file."""
    if where in DISRUPTIVE:
        return False
    top = pointer_parts(where)[0]
    known = KNOWN_KEYS.get(top)
    return known is not None and known.reload and (present or top in _RESET_BY_RELOAD)


def _differences(config: t.Mapping[str, t.Any], daemon: DockerDaemon, in_force: InForce) -> list[_Difference]:
    leaves = flatten(config)
    told = told_by_daemon(config, daemon, in_force)
    found = []
    for where in sorted({*leaves, *told, *in_force.hashes}):
        present = where in leaves
        state = told.get(where) or in_force.state_of(where, present, leaves.get(where))
        if state == UNKNOWN and present:
            state = _also_told(where, leaves[where], daemon)
        # An object is one key for a reload: when one leaf of it is gone, the rest is still there and is read anew.
        still_there = present or pointer_parts(where)[0] in config
        if state != SAME:
            found.append(_Difference(where, state, present, by_reload(where, still_there)))
    return found


def is_ours(where: str, owned: t.Collection[str]) -> bool:
    """Whether a leaf belongs to what we own: itself, an object around it, or something inside it."""
    parts = pointer_parts(where)
    for one in owned:
        other = pointer_parts(one) if one.startswith('/') else tuple(one.split('.'))
        common = min(len(parts), len(other))
        if parts[:common] == other[:common]:
            return True
    return False


def _sorted_out(
    config: t.Mapping[str, t.Any], daemon: DockerDaemon, in_force: InForce, owned: t.Collection[str]
) -> tuple[list[_Difference], list[_Difference], list[_Difference]]:
    """What is not in force: ours, other people's, and what nobody knows of."""
    differences = _differences(config, daemon, in_force)
    known = [one for one in differences if one.state == DIFFERS]
    ours = [one for one in known if one.where in in_force.written or is_ours(one.where, owned)]
    return ours, [one for one in known if one not in ours], [one for one in differences if one.state == UNKNOWN]


def foreign_by_reload(config: t.Mapping[str, t.Any], daemon: DockerDaemon, in_force: InForce, owned: t.Collection[str]) -> tuple[str, ...]:
    """Other people's keys that a reload would, or might, bring into force; parameters as for :func:`make_plan`."""
    _ours, foreign, unknown = _sorted_out(config, daemon, in_force, owned)
    return _names(one for one in (*foreign, *unknown) if one.by_reload and not (one in unknown and is_ours(one.where, owned)))


def _needs_restart_instead(config: t.Mapping[str, t.Any], daemon: DockerDaemon) -> bool:
    if not reload_loses_insecure(daemon.version_tuple) or 'registry-mirrors' not in config:
        return False
    names = wanted_insecure(strings_of(config.get('insecure-registries')) or [])
    if daemon.reported is not None:
        names |= wanted_insecure(daemon.reported.insecure_registries)
    return any('/' not in name for name in names)  # ranges survive


def _dropin_differs(daemon: DockerDaemon, dropin_environ: t.Mapping[str, str]) -> bool:
    return any(daemon.environ.get(name, '') != value for name, value in dropin_environ.items())


def _blockers(daemon: DockerDaemon, disruptive: t.Sequence[str], *, live_restore_after: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    reported = daemon.reported
    if reported is None:
        found['unreachable'] = 'The daemon does not answer, so what a restart would stop is not known.'
    elif reported.swarm_active:
        found['swarm'] = 'The host is in a Swarm: live-restore does not work there, and services would move.'
    if daemon.dependents:
        found['dependents'] = f'Active units stop together with {daemon.unit}: {", ".join(daemon.dependents)}.'
    if daemon.binary_replaced:
        found['binary_replaced'] = 'The dockerd on disk is not the one that runs: a restart would be an upgrade.'
    if reported is not None and not reported.live_restore and daemon.containers_running:
        lost = f' ({len(daemon.containers_lost)} would not come back)' if daemon.containers_lost else ''
        found['live_restore'] = f'live-restore is off and {daemon.containers_running} container(s) run{lost}: a restart stops them.'
    elif reported is not None and daemon.containers_running and not live_restore_after:
        # Measured on 20.10, 26.1 and 28.5: the new daemon stops them as if by hand, so that not even unless-stopped brings them back.
        found['live_restore_off'] = f'live-restore is in force, but the next start will be without it: {daemon.containers_running} container(s) would stop.'
    if disruptive:
        found['disruptive'] = f'After a change of {", ".join(disruptive)}, images and containers are not found where they were.'
    return found


def _reasons(reload_keys: t.Sequence[str], restart_keys: t.Sequence[str], gone: t.Collection[str]) -> list[str]:
    reasons = [f'{key} is not in force yet; a reload is enough.' for key in reload_keys]
    for key in restart_keys:
        if key in gone:
            reasons.append(f'{key} was taken out of the file, which only a restart brings into force.')
        else:
            reasons.append(f'{key} is not in force yet, and is read only when the daemon starts.')
    return reasons


def _names(differences: t.Iterable[_Difference]) -> tuple[str, ...]:
    return tuple(one.name for one in differences)


def _activated(action: str, foreign: t.Sequence[_Difference]) -> tuple[str, ...]:
    return _names(one for one in foreign if action != RELOAD or one.by_reload)


def make_plan(
    config: t.Mapping[str, t.Any],
    daemon: DockerDaemon,
    in_force: InForce,
    owned: t.Collection[str],
    *,
    dropin_environ: t.Mapping[str, str] | None = None,
) -> Plan:
    """Compare what is in the file with what is in force.

    What ``GET /info`` tells outranks the record. A daemon that is not running needs nothing: it reads the file when it
    starts. Only keys that are ours, or that we changed and that were not proved since, are a reason to act.

    :param config: daemon.json as it is now (or, in check mode, as it would be).
    :param daemon: the host's dockerd.
    :param in_force: what is known of its values.
    :param owned: JSON pointers or dotted names of the keys that are ours (all owners together).
    :param dropin_environ: the variables that our systemd drop-in gives (empty text for one that it used to give), None when
        we have none and had none.
    """
    if os.path.realpath(daemon.config_path) != os.path.realpath(daemon.daemon_config_path):
        return Plan(reasons=(f'dockerd reads {daemon.daemon_config_path}, not {daemon.config_path}.',))
    if daemon.start_id is None:
        return Plan(reasons=('The daemon is not running; it reads the file when it starts.',) if daemon.installed else ())
    ours, foreign, unknown = _sorted_out(config, daemon, in_force, owned)
    instead = _needs_restart_instead(config, daemon)
    reload_keys = _names(one for one in ours if one.by_reload and not instead)
    restarting = [one for one in ours if not one.by_reload or instead]
    restart_keys = _names(restarting)
    if dropin_environ is not None and _dropin_differs(daemon, dropin_environ):
        restart_keys += (DROPIN,)
    disruptive = _names(one for one in restarting if one.where in DISRUPTIVE)
    action = RESTART if restart_keys else RELOAD if reload_keys else NONE
    reasons = _reasons(reload_keys, restart_keys, _names(one for one in restarting if not one.present))
    if instead and any(one.by_reload for one in ours):
        reasons.append(f'Docker {daemon.version} forgets insecure registries when it reloads with mirrors set (moby#45552), so it takes a restart.')
    also = _activated(action, foreign)
    disruptive_also = _names(one for one in foreign if one.where in DISRUPTIVE)
    blocked = _blockers(daemon, (*disruptive, *disruptive_also), live_restore_after=expected_live_restore(config, daemon)) if action == RESTART else {}
    return Plan(
        action=action,
        reload_keys=reload_keys,
        restart_keys=restart_keys,
        disruptive_keys=disruptive,
        unknown_keys=_names(unknown),
        also_activates=also,
        reasons=tuple(reasons),
        blockers=tuple(blocked),
        blocked_because=tuple(blocked.values()),
    )


def dropin_plan(
    config: t.Mapping[str, t.Any],
    daemon: DockerDaemon,
    in_force: InForce,
    owned: t.Collection[str],
    dropin_environ: t.Mapping[str, str],
    reasons: t.Sequence[str],
) -> Plan:
    """What our systemd drop-in alone needs, whatever waits in daemon.json; that counts only for what a restart would do with it.

    :param reasons: why it is not in force, one sentence each; none when it is.
    """
    plan = make_plan(config, daemon, in_force, owned, dropin_environ=dropin_environ)
    if not reasons or DROPIN not in plan.restart_keys:
        return Plan()
    return replace(plan, reload_keys=(), restart_keys=(DROPIN,), disruptive_keys=(), reasons=tuple(reasons))


def restart_allowed(plan: Plan, restart: str, live_restore_first: bool = False) -> Permission:
    """Whether the operator's ``restart`` option lets this plan's restart happen.

    :param restart: ``auto`` (only when nothing can be lost), ``never`` or ``always``.
    :param live_restore_first: live-restore may be switched on by a reload before, where only that is missing.
    """
    if restart == 'always':
        return Permission(True, live_restore_first=live_restore_first and 'live_restore' in plan.blockers and 'swarm' not in plan.blockers)
    if restart == 'never':
        return Permission(False, ('Restarts are not allowed (restart: never).',))
    if not plan.blockers:
        return Permission(True)
    if live_restore_first and plan.blockers == ('live_restore',):
        return Permission(True, live_restore_first=True)
    return Permission(False, plan.blocked_because)


def as_dict(plan: Plan) -> dict[str, t.Any]:
    """The plan as modules return it: plain lists and strings."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(plan).items()}


def from_dict(raw: t.Mapping[str, t.Any]) -> Plan:
    """The plan that :func:`as_dict` made plain; keys that are none of a plan's are passed over."""
    values: dict[str, t.Any] = {}
    for name in Plan.__dataclass_fields__:
        if name in raw:
            values[name] = tuple(raw[name]) if isinstance(raw[name], list) else raw[name]
    return Plan(**values)
