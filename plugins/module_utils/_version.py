# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Version numbers as engines and packages spell them."""
from __future__ import annotations

import re
import typing as t

_LEADING_NUMBERS = re.compile(r'\s*v?(?:\d+:)?(\d+(?:\.\d+)*)')


def parse_version(text: str | None) -> t.Optional[t.Tuple[int, ...]]:
    """Return the leading dotted numbers of ``text`` as a tuple of int.

    ``26.1.5+dfsg1`` gives ``(26, 1, 5)``, ``v2.1.9`` gives ``(2, 1, 9)``, ``5:28.5.2-1~debian.13`` (a Debian
    epoch) gives ``(28, 5, 2)``. ``None`` when ``text`` is empty or does not begin with a number: a caller must
    then warn rather than apply a version rule.
    """
    match = _LEADING_NUMBERS.match(text or '')
    if match is None:
        return None
    return tuple(int(part) for part in match.group(1).split('.'))
