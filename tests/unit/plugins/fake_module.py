# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module's ``run`` needs of an AnsibleModule."""

from __future__ import annotations

import typing as t


class FakeModule:
    """Parameters, check mode, and what was said."""

    def __init__(self, check: bool, params: t.Mapping[str, t.Any]) -> None:
        self.params = dict(params)
        self.check_mode = check
        self.no_log_values: set[str] = set()
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)
