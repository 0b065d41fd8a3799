# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all roles do with the names of their variables."""

from __future__ import annotations

import typing as t
from pathlib import Path

import yaml
from ansible.utils.display import Display

from ansible_collections.quickpull.registry.plugins.module_utils._misspelt import OF_PLAYBOOKS, misspelt, with_playbooks
from ansible_collections.quickpull.registry.plugins.module_utils._plain import plain
from ansible_collections.quickpull.registry.plugins.plugin_utils._filter import as_filter

# By its place, because a playbook that another one imports knows no path of its own.
_ACCESS = Path(__file__).resolve().parents[2] / 'roles/registry_access/meta/argument_specs.yml'


@as_filter
def variables_are_known(names: t.Any, specs: t.Any = None) -> bool:
    """True, after a warning of each name that differs from a known one by a slip of the pen."""
    described = plain(specs) if specs else yaml.safe_load(_ACCESS.read_text(encoding='utf-8'))
    known = with_playbooks({str(name) for entry in described['argument_specs'].values() for name in entry.get('options', {})})
    given = [str(name) for name in plain(names)]
    sentences = misspelt(given, known)
    if not specs:
        for name in set(OF_PLAYBOOKS) - known:
            sentences += misspelt(given, (name,))
    for sentence in sentences:
        Display().warning(sentence)
    return True


class FilterModule:
    """Filters of all roles."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Their names in playbooks."""
        return {'variables_are_known': variables_are_known}
