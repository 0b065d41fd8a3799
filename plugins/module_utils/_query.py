# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JMESPath where its library is there, as on the controller: a filter or another order for the results of a probe."""

from __future__ import annotations

import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import normalise_url, shown_url
from ansible_collections.quickpull.registry.plugins.module_utils._plain import type_name

try:
    import jmespath
    from jmespath.exceptions import JMESPathError, ParseError
except ImportError:
    HAS_JMESPATH = False
else:
    HAS_JMESPATH = True


def apply_jmespath(results: list[dict[str, t.Any]], expression: str, key: str = 'jmespath') -> list[dict[str, t.Any]]:
    """The results that the expression returns, in its order; an empty expression returns them all.

    The expression sees the list of plain results and returns a list of results (anything with their ``url``) or of URLs.

    ``key`` is what the user knows the expression by.

    Raises ConfigError, showing the expression and where it goes wrong.
    """
    compiled = check_jmespath(expression, key)
    if compiled is None:
        return results
    try:
        answer = compiled.search(results)
    except JMESPathError as exc:
        raise ConfigError(f'{key}: the expression failed on the results: {exc}\nThe expression: {expression}', key=key) from None
    return _known_results(answer, results, expression, key)


def check_jmespath(expression: str, key: str = 'jmespath') -> t.Any:
    """The expression compiled, None for an empty one. Raises ConfigError as :func:`apply_jmespath` does, but for what only results can tell."""
    if not isinstance(expression, str):
        raise ConfigError(f'{key}: a string is expected, not {type_name(expression)}.', key=key)
    if not expression.strip():
        return None
    if not HAS_JMESPATH:
        raise ConfigError(
            f'{key}: the Python library jmespath is not installed on the controller. '
            'Install it into the environment of ansible-core, or leave the expression out.',
            key=key,
        )
    try:
        return jmespath.compile(expression)
    except ParseError as exc:
        raise ConfigError(f'{key}: the expression does not parse. {_parse_error(expression, exc)}', key=key) from None


def _parse_error(expression: str, exc: t.Any) -> str:
    """What is wrong and the line of the expression with a caret under the place."""
    position = min(max(int(exc.lex_position), 0), len(expression))
    start = expression.rfind('\n', 0, position) + 1
    line = expression[start:].split('\n', 1)[0]
    token = 'it ends too early' if position >= len(expression) else f'{exc.token_value!r} is not expected'
    caret = ' ' * (position - start) + '^'
    return f'At character {position + 1} {token}:\n{line}\n{caret}'


def _known_results(answer: t.Any, results: list[dict[str, t.Any]], expression: str, key: str) -> list[dict[str, t.Any]]:
    def wrong(what: str) -> ConfigError:
        return ConfigError(f'{key}: the expression {what}\nThe expression: {expression}', key=key)

    if not isinstance(answer, list):
        raise wrong(f'must return a list of results or of URLs, not {type_name(answer)}.')
    by_url = {normalise_url(str(result.get('url'))): result for result in reversed(results)}
    known = []
    for item in answer:
        url = item.get('url') if isinstance(item, dict) else item
        if not isinstance(url, str):
            raise wrong(f'returned {type_name(item)} without a url, where results or URLs are expected.')
        if normalise_url(url) not in by_url:
            raise wrong(f'returned {shown_url(url)!r}, which is none of the results.')
        known.append(by_url[normalise_url(url)])
    return known
