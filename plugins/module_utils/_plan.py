# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a running dockerd needs so that daemon.json comes into force: nothing, a reload, or a restart."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DockerDaemon
    from ansible_collections.quickpull.registry.plugins.module_utils._in_force import InForce

NONE = 'none'
RELOAD = 'reload'
RESTART = 'restart'


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
    :ivar blockers: why a restart is not safe: ``swarm``, ``dependents``, ``binary_replaced``, ``live_restore``, ``disruptive``.
    :ivar blocked_because: a sentence for each of ``blockers``.
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


def make_plan(
    config: t.Mapping[str, t.Any],
    daemon: DockerDaemon,
    in_force: InForce,
    owned: t.Collection[str],
    *,
    dropin_environ: t.Mapping[str, str] | None = None,
) -> Plan:
    """Compare what is in the file with what is in force.

    :param config: daemon.json as it is now (or, in check mode, as it would be).
    :param daemon: the host's dockerd.
    :param in_force: what is known of its values.
    :param owned: JSON pointers or names of the keys that are ours (all owners together).
    :param dropin_environ: the variables that our systemd drop-in sets, None when there is no drop-in of ours.
    """
    raise NotImplementedError


def as_dict(plan: Plan) -> dict[str, t.Any]:
    """The plan as modules return it: plain lists and strings."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(plan).items()}
