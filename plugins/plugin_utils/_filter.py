# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every filter of the collection does the same way."""

from __future__ import annotations

import functools
import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError

_Result = t.TypeVar('_Result')
_Params = t.ParamSpec('_Params')


def as_filter(function: t.Callable[_Params, _Result]) -> t.Callable[_Params, _Result]:
    """Let a function's ConfigError reach the user as a filter's error: the sentence alone, without a traceback."""

    @functools.wraps(function)
    def wrapper(*args: _Params.args, **kwargs: _Params.kwargs) -> _Result:
        try:
            return function(*args, **kwargs)
        except ConfigError as exc:
            raise AnsibleFilterError(str(exc)) from None

    return wrapper
