# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""YAML for hosts that have no library for it: JSON that YAML reads as the same."""

from __future__ import annotations

import json
import re
import typing as t

_ESCAPED = re.compile('[\x7f-\x9f\u2028\u2029\ufeff]')


def dump(value: t.Any, indent: int | None = None) -> str:
    """A value as JSON.

    YAML knows no pairs of surrogates, so what JSON need not escape is not; but for what YAML takes for the end of a line, or does not take at all.
    """
    return _ESCAPED.sub(lambda found: f'\\u{ord(found.group()):04x}', json.dumps(value, indent=indent, ensure_ascii=False))
