# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollout in waves: which hosts go together, and which of them failed. Plain functions over plain values, on the controller."""

from __future__ import annotations

import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._plain import type_name
from ansible_collections.quickpull.registry.plugins.module_utils._why import why

_WAVES = 'registry_access_waves'
_CANARIES = 'registry_access_canaries'


def waves_of(
    hosts: t.Sequence[str], sizes: t.Any = (), canaries: t.Any = (), groups: t.Mapping[str, t.Sequence[str]] | None = None
) -> list[list[str]]:
    """The hosts in the waves in which they go; each host is in one of them.

    :param hosts: all hosts of the rollout, in order.
    :param sizes: a number of hosts, a share of all hosts (``10%``), or a list of them, as Ansible's ``serial`` takes it. The last one is repeated until
        no host is left. Nothing makes one wave of all.
    :param canaries: names of hosts and groups, or one of them, that go first, in a wave of their own. Those that are no hosts of the rollout are passed
        over, so that a run with ``--limit`` needs no other variables.
    :param groups: the inventory's groups, ``all`` among them.
    :raises ConfigError: for a size below 1, and for a canary that is not in the inventory.
    """
    first = _canaries(hosts, canaries, groups or {})
    rest = [host for host in hosts if host not in set(first)]
    waves = [first] if first else []
    counts = [_count(size, len(hosts)) for size in _listed(sizes)]
    while rest:
        count = (counts.pop(0) if len(counts) > 1 else counts[0]) if counts else len(rest)
        waves.append(rest[:count])
        rest = rest[count:]
    return waves


def _listed(value: t.Any) -> list[t.Any]:
    if value is None or value == '':
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _canaries(hosts: t.Sequence[str], canaries: t.Any, groups: t.Mapping[str, t.Sequence[str]]) -> list[str]:
    named: set[str] = set()
    for name in _listed(canaries):
        if name in groups:
            named.update(groups[name])
        elif name in groups.get('all', ()) or name in hosts:
            named.add(name)
        else:
            raise ConfigError(f'{_CANARIES}: {name!r} is neither a host nor a group of the inventory. Correct it, or leave it out.', key=_CANARIES)
    return [host for host in hosts if host in named]


def _count(size: t.Any, hosts: int) -> int:
    """How many hosts that is, at least one."""
    text = size.strip() if isinstance(size, str) else size
    if isinstance(text, str) and text.endswith('%'):
        share = text[:-1].strip()
        if share.isdigit() and int(share) > 0:
            return max(1, int(share) * hosts // 100)
    elif not isinstance(text, bool) and str(text).isdigit() and int(text) > 0:
        return int(text)
    shown = repr(size) if isinstance(size, (str, int, float)) else type_name(size)
    raise ConfigError(f"{_WAVES}: {shown} is no size of a wave; write a number of hosts of 1 or more, or a share such as '10%'.", key=_WAVES)


def planned(plans: t.Iterable[t.Mapping[str, t.Any]], hosts: t.Collection[str]) -> list[list[str]]:
    """The waves of the newest plan, and of those the hosts that are meant; nothing where no plan was made.

    :param plans: what the hosts have as their plan: ``made``, a moment, and ``waves``.
    """
    newest = max(plans, key=lambda plan: float(plan['made']), default=None)
    waves = newest['waves'] if newest else []
    meant = [[host for host in wave if host in hosts] for wave in waves]
    return [wave for wave in meant if wave]


def before(waves: t.Sequence[t.Sequence[str]], host: str) -> list[str]:
    """The hosts of all waves that come before that of this host."""
    number = next((index for index, wave in enumerate(waves) if host in wave), 0)
    return [one for wave in waves[:number] for one in wave]


def failure_of(variables: t.Mapping[str, t.Any]) -> str:
    """Why a host counts as failed, by what the role left in its variables and what the playbook kept of a failure; empty when it does not."""
    lost = next((one for one in variables.values() if isinstance(one, t.Mapping) and one.get('unreachable')), None)
    if lost is not None:
        return f'The host could not be reached: {_text(lost.get("msg"))}'
    failed = variables.get('__registry_access_failed') or {}
    if not failed.get('failed'):
        return ''
    return _text(why(failed)) or _said_by_handler(variables) or 'It is not said why.'


def _said_by_handler(variables: t.Mapping[str, t.Any]) -> str:
    """Before ansible-core 2.19 a rescue is not told what failed where that was a handler."""
    applied = [one for name, one in variables.items() if name.endswith('apply') and isinstance(one, t.Mapping) and one.get('failed')]
    return _text(why(applied[0])) if applied else ''


def _text(said: t.Any) -> str:
    return ' '.join(map(str, said)) if isinstance(said, (list, tuple)) else str(said or '').strip()
