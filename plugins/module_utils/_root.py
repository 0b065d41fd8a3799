# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's paths, also where the host is a folder, as in tests."""

from __future__ import annotations


def below(root: str, path: str) -> str:
    """Return where ``path`` of the host lies for this process; ``root`` is ``/`` for the host itself."""
    return path if root in ('', '/') else root.rstrip('/') + path
