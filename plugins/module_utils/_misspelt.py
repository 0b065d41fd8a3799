# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables of a role that nobody knows, but for a slip of the pen: Ansible takes them for somebody else's and says nothing."""

from __future__ import annotations

import os
import typing as t

# So many letters too many, too few or wrong. What differs by more, such as registry_access_mirrors_eu, is a variable of the user's own.
_SLIPS = 2
# Of what follows the role's own name. Of fewer letters, two others make another word.
_LONG = 7
# Of what follows the role's own name, too. A name of fewer letters is the beginning of a known one by chance.
_BEGUN = 4

#: What the playbooks know beyond the variables of their role.
OF_PLAYBOOKS = ('registry_access_hosts', 'registry_rollback_run')


def misspelt(names: t.Iterable[str], known: t.Collection[str]) -> list[str]:
    """A sentence for each name that is close to a known one, and is none.

    :param names: of variables. ``known``: those of the role.
    """
    found = []
    prefix = len(os.path.commonprefix(list(known)))  # noqa: RUF071 - these are no paths
    for name in sorted(set(names) - set(known)):
        near = _slip_of(name, known, prefix) or next((one for one in sorted(known) if _differ_in_number(name, one)), '') or _begun(name, known, prefix)
        if near:
            found.append(f'{name} is no variable of this collection, and does nothing. Is {near} meant?')
    return found


def with_playbooks(known: t.Collection[str]) -> set[str]:
    """The variables of a role, with those that the playbooks have beside them under the role's own name."""
    prefix = os.path.commonprefix(list(known))  # noqa: RUF071 - these are no paths
    return {*known, *(name for name in OF_PLAYBOOKS if prefix and name.startswith(prefix))}


def _slip_of(name: str, known: t.Collection[str], prefix: int) -> str:
    near = min(known, key=lambda one: (distance(name, one), one), default='')
    return near if near and distance(name, near) <= (_SLIPS if min(len(name), len(near)) - prefix >= _LONG else 1) else ''


def _differ_in_number(one: str, other: str) -> bool:
    """Whether one is the plural of the other."""
    singular, plural = sorted((one, other), key=len)
    return plural in (f'{singular}s', f'{singular}es') or (singular.endswith('y') and plural == f'{singular[:-1]}ies')


def _begun(name: str, known: t.Collection[str], prefix: int) -> str:
    """The shortest known name that begins with this one."""
    longer = [one for one in known if one.startswith(name)] if len(name) - prefix >= _BEGUN else []
    return min(longer, key=lambda one: (len(one), one), default='')


def distance(one: str, other: str) -> int:
    """How many letters have to be put in, taken out or changed to get from one text to the other; more than :data:`_SLIPS` is not counted on."""
    if abs(len(one) - len(other)) > _SLIPS:
        return _SLIPS + 1
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        before, row[0] = row[0], number
        for place, theirs in enumerate(other, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (letter != theirs))
    return row[-1]
