# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all roles do with the names of their variables."""

from __future__ import annotations

import typing as t

from ansible.utils.display import Display

from ansible_collections.quickpull.registry.plugins.module_utils._misspelt import misspelt
from ansible_collections.quickpull.registry.plugins.module_utils._plain import plain
from ansible_collections.quickpull.registry.plugins.plugin_utils._filter import as_filter


@as_filter
def variables_are_known(names: t.Any, specs: t.Any) -> bool:
    """True, after a warning of each name that differs from a known one by a slip of the pen."""
    known = {str(name) for entry in plain(specs)['argument_specs'].values() for name in entry.get('options', {})}
    for sentence in misspelt(map(str, plain(names)), known):
        Display().warning(sentence)
    return True


class FilterModule:
    """Filters of all roles."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Their names in playbooks."""
        return {'variables_are_known': variables_are_known}
