# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about CRI-O as plain data for people."""

from __future__ import annotations

import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _crio_registries, _service_report
from ansible_collections.quickpull.registry.plugins.module_utils._engines.crio import Crio
from ansible_collections.quickpull.registry.plugins.module_utils._plan import NONE
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


def engine(found: Crio, state: State) -> dict[str, t.Any]:
    """Return what container_engine_info says of CRI-O."""
    return {
        **_service_report.service(found),
        'config_path': found.config_path,
        'config_dir': found.config_dir,
        'global_auth_file': found.auth_file.value,
        'global_auth_file_in_force': found.auth_file_in_force,
        'auto_reload_registries': found.auto_reload,
        'registries_read': _crio_registries.plan(found, state).action == NONE if found.running else None,
    }


def notes(found: Crio) -> list[str]:
    """Return a sentence for what an operator should know of it."""
    return [sentence for sentence in (found.config_error, found.error) if sentence]
