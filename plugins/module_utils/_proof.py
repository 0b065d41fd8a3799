# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the running dockerd, read back, holds what its file says, and nothing else of its registries changed."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils._in_force import DIFFERS, InForce
from ansible_collections.quickpull.registry.plugins.module_utils._json_text import pointer_parts
from ansible_collections.quickpull.registry.plugins.module_utils._plan import (
    IMPLICIT_INSECURE,
    PROXY_KEYS,
    RELOAD,
    expected_live_restore,
    strings_of,
    told_by_daemon,
    wanted_insecure,
    wanted_mirrors,
)

if t.TYPE_CHECKING:
    from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DockerDaemon, Reported

# Spoken of by the keys that are compared one by one.
_COMPARED_APART = frozenset({'Mirrors', 'InsecureRegistryCIDRs', 'IndexConfigs'})
_NONDISTRIBUTABLE = ('AllowNondistributableArtifactsCIDRs', 'AllowNondistributableArtifactsHostnames')


@dataclass(frozen=True)
class Proof:
    """What the daemon says after an action.

    :ivar ok: it holds what the file says, and what nobody asked to change did not change.
    :ivar failures: what it does not hold, one sentence each, secrets masked.
    :ivar mirrors: in force, in order.
    :ivar insecure_registries: in force, without the loopback ranges that the daemon adds itself.
    :ivar proxies: in force, masked by the daemon.
    :ivar containers_before: how many ran before the action.
    :ivar containers_kept: how many of them still run as the same process.
    :ivar containers_lost: names of the others.
    """

    ok: bool
    failures: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    proxies: t.Mapping[str, str] = field(default_factory=dict)
    live_restore: bool = False
    containers_before: int = 0
    containers_kept: int = 0
    containers_lost: tuple[str, ...] = ()


def _expected_after_reload(config: t.Mapping[str, t.Any], before: Reported, daemon: DockerDaemon) -> dict[str, t.Any]:
    """What a reload makes of the keys that the daemon tells; it keeps the value of a key that is gone (moby#36632), not of one that is null."""
    mirrors, insecure = (strings_of([] if config.get(key, '') is None else config.get(key)) for key in ('registry-mirrors', 'insecure-registries'))
    live = expected_live_restore(config, daemon) if isinstance(config.get('live-restore'), bool) else before.live_restore
    return {
        'registry-mirrors': wanted_mirrors(before.mirrors if mirrors is None else mirrors),
        'insecure-registries': wanted_insecure(before.insecure_registries if insecure is None else insecure),
        'live-restore': live,
        **{f'proxies.{key}': getattr(before, key.replace('-', '_')) for key in PROXY_KEYS},
    }


def _told(reported: Reported) -> dict[str, t.Any]:
    return {
        'registry-mirrors': wanted_mirrors(reported.mirrors),
        'insecure-registries': wanted_insecure(reported.insecure_registries),
        'live-restore': reported.live_restore,
        **{f'proxies.{key}': getattr(reported, key.replace('-', '_')) for key in PROXY_KEYS},
    }


def _shown(value: t.Any) -> str:
    if isinstance(value, (tuple, frozenset)):
        return ', '.join(value if isinstance(value, tuple) else sorted(value)) or 'none'
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) or 'none'


def _after_reload(config: t.Mapping[str, t.Any], before: Reported, after: Reported, daemon: DockerDaemon) -> list[str]:
    expected, told = _expected_after_reload(config, before, daemon), _told(after)
    return [
        f'{key}: the daemon has {_shown(told[key])} and should have {_shown(value)}.' for key, value in expected.items() if told[key] != value
    ]


def _after_restart(config: t.Mapping[str, t.Any], after: Reported, daemon: DockerDaemon) -> list[str]:
    # An empty record: a password that the daemon masks is then unknown, which is no failure.
    told = told_by_daemon(config, daemon, InForce())
    values = _told(after)
    names = ['.'.join(pointer_parts(where)) for where, state in told.items() if state == DIFFERS]
    return [f'{name}: the daemon has {_shown(values[name])}, which is not what the file says.' for name in names]


def _registries_kept(before: Reported, after: Reported, changed: t.Collection[str]) -> list[str]:
    """What of RegistryConfig changed although nobody asked for it."""
    allowed = set(_COMPARED_APART)
    if 'allow-nondistributable-artifacts' in changed:
        allowed.update(_NONDISTRIBUTABLE)
    old, new = before.registry_config, after.registry_config
    others = sorted({*old, *new} - allowed)
    failures = [f'RegistryConfig.{name} changed, though nobody asked for it.' for name in others if (old.get(name) or None) != (new.get(name) or None)]
    official = (new.get('IndexConfigs') or {}).get('docker.io')
    if official and list(official.get('Mirrors') or []) != list(new.get('Mirrors') or []):
        failures.append('RegistryConfig.IndexConfigs of docker.io names other mirrors than RegistryConfig.Mirrors.')
    return failures


def dropin_failures(daemon: DockerDaemon, dropin_environ: t.Mapping[str, str] | None) -> list[str]:
    """The variables that the running process has otherwise than our systemd drop-in gives them (names only: they hold secrets)."""
    wanted = dropin_environ or {}
    return [f'{name}: the running daemon has another value than the drop-in.' for name in wanted if daemon.environ.get(name, '') != wanted[name]]


def prove(
    config: t.Mapping[str, t.Any],
    before: DockerDaemon,
    after: DockerDaemon,
    action: str,
    changed: t.Collection[str],
    dropin_environ: t.Mapping[str, str] | None = None,
) -> Proof:
    """Compare the daemon after an action with its file, and with itself before.

    :param config: daemon.json as it is now.
    :param before: the daemon before the action; whether it answered then does not matter after a restart.
    :param action: ``reload``, or ``restart`` for anything that started the daemon anew.
    :param changed: names of the keys that the action was to bring into force, those of others included.
    """
    if after.reported is None:
        return Proof(False, (f'The daemon does not answer: {after.api_error or "it is not running."}',))
    if action == RELOAD and before.reported is not None:
        failures = _after_reload(config, before.reported, after.reported, after)
        if before.start_id != after.start_id:
            failures.append('The daemon was to reload and has been started anew instead.')
    else:
        failures = _after_restart(config, after.reported, after) + dropin_failures(after, dropin_environ)
    if before.reported is not None:
        failures += _registries_kept(before.reported, after.reported, changed)
    reported = after.reported
    return Proof(
        ok=not failures,
        failures=tuple(failures),
        mirrors=tuple(reported.mirrors),
        insecure_registries=tuple(name for name in reported.insecure_registries if name not in IMPLICIT_INSECURE),
        proxies={key.replace('-', '_'): getattr(reported, key.replace('-', '_')) for key in PROXY_KEYS},
        live_restore=reported.live_restore,
    )


def as_dict(proof: Proof) -> dict[str, t.Any]:
    """The proof as the module returns it."""
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(proof).items()}
    plain['proxies'] = dict(proof.proxies)
    return plain
