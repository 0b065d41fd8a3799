# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as a template hands them over, made plain: what a JSON round trip would leave."""

from __future__ import annotations

import typing as t


def plain(value: t.Any) -> t.Any:
    """The value made of nothing but dict, list, str, int, float, bool and None.

    ansible-core 2.19 hands filters tagged strings and lists whose items are templated when they are read.
    ``json.dumps`` reads a list past its ``__iter__`` and would meet the untemplated items, and jmespath's functions
    compare types exactly; so everything is walked and rebuilt. Dates become text.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, t.Mapping):
        return {str(key): plain(value[key]) for key in value}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return str(value)


def given(value: t.Any) -> t.Any:
    """The value as :func:`plain` makes it, and None where nobody gave one: before ansible-core 2.19 a variable that is null arrives as an empty text."""
    return None if isinstance(value, str) and not value else plain(value)


def type_name(value: t.Any) -> str:
    """What a message calls the type of a plain value."""
    if value is None:
        return 'null'
    if isinstance(value, bool):
        return 'a boolean'
    if isinstance(value, str):
        return 'a string'
    if isinstance(value, (int, float)):
        return 'a number'
    return 'a dict' if isinstance(value, t.Mapping) else 'a list'
