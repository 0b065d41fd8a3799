# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a task failed, by its result."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text

_LONGEST = 200
# What ssh says at the end of each connection, where there is a terminal.
_FAREWELL = re.compile(r'^(Shared c|C)onnection to \S+ closed\.$')


def why(result: t.Mapping[str, t.Any]) -> t.Any:
    """What the result says, as it stands; behind it, where something else came in place of a module's answer, the last line of that.

    Ansible itself says no more then than that there was no JSON, also where sudo said why.
    """
    said, came = result.get('msg'), _last_line(result)
    if not came or not isinstance(said, str):
        return said
    return f'{" ".join(said.split()).rstrip(".:")}: {came}' if came not in said else said


def with_why(result: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    """The result with :func:`why` as its ``msg``."""
    return {**result, 'msg': why(result)} if 'msg' in result else result


def _last_line(result: t.Mapping[str, t.Any]) -> str:
    for name in ('module_stdout', 'module_stderr'):
        lines = [line.strip() for line in str(result.get(name) or '').splitlines()]
        # A part of an answer may hold anything.
        found = [line for line in lines if line and not _FAREWELL.match(line) and not line.startswith(('{', '['))]
        if found:
            line = mask_text(found[-1])
            return line if len(line) <= _LONGEST else f'{line[: _LONGEST - 1]}…'
    return ''
