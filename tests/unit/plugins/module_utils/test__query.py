# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _query
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._query import apply_jmespath, check_jmespath

RESULTS: list[dict[str, t.Any]] = [
    {'url': 'https://a.example', 'ok': True, 'latency_ms': 30, 'throughput_bps': 2_000_000},
    {'url': 'https://b.example/', 'ok': True, 'latency_ms': 20, 'throughput_bps': None},
    {'url': 'https://c.example', 'ok': False, 'latency_ms': 10, 'throughput_bps': 1_000_000},
]

EXPRESSIONS: list[tuple[str, str]] = [
    ('', 'abc'),
    ('  \n', 'abc'),
    ('@', 'abc'),
    ('[?ok]', 'ab'),
    ('[?throughput_bps >= `1500000`]', 'a'),
    ("[?contains(url, 'b.ex')]", 'b'),
    ('sort_by(@, &latency_ms)', 'cba'),
    ('reverse(@)[].url', 'cba'),
    ('[].{url: url}', 'abc'),
    ('[`"https://B.example:443"`]', 'b'),
    ('[?url == `"nothing"`]', ''),
]


@pytest.mark.parametrize(('expression', 'hosts'), EXPRESSIONS)
def test_expressions(expression: str, hosts: str) -> None:
    found = apply_jmespath(RESULTS, expression)
    assert ''.join(result['url'][len('https://')] for result in found) == hosts
    assert all(result in RESULTS for result in found)


def test_the_name_is_the_one_that_the_user_wrote() -> None:
    with pytest.raises(ConfigError, match=r'^registry_access_mirror_query: the expression does not parse'):
        check_jmespath('[?ok ==', 'registry_access_mirror_query')
    with pytest.raises(ConfigError, match=r'^registry_access_mirror_query: the expression must return a list'):
        apply_jmespath(RESULTS, 'length(@)', 'registry_access_mirror_query')


ERRORS: list[tuple[t.Any, str]] = [
    ('[?ok ==', 'jmespath: the expression does not parse. At character 8 it ends too early:\n[?ok ==\n       ^'),
    ('[?a] | ]x', "At character 8 ']' is not expected:\n[?a] | ]x\n       ^"),
    ('[?ok] |\n  [?latency_ms <\n  `100` ]]', 'is not expected:\n  `100` ]]\n'),
    ('[?ok == "x]', 'At character 9'),
    ('nope(@)', 'the expression failed on the results: Unknown function: nope()\nThe expression: nope(@)'),
    ('sort_by(@, &throughput_bps)', 'the expression failed on the results'),
    ('length(@)', 'must return a list of results or of URLs, not a number.\nThe expression: length(@)'),
    ('[0]', 'not a dict'),
    ('missing', 'not null'),
    ('[].latency_ms', 'returned a number without a url'),
    ('[].{u: url}', 'returned a dict without a url'),
    ('[`"https://bob:s3cret@z.example"`]', "returned 'https://xxxxx:xxxxx@z.example', which is none of the results"),
    (3, 'jmespath: a string is expected, not a number'),
]


@pytest.mark.parametrize(('expression', 'words'), ERRORS)
def test_errors_show_the_expression_and_the_place(expression: t.Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        apply_jmespath(RESULTS, expression)
    assert words in str(caught.value)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_query, 'HAS_JMESPATH', False)
    assert apply_jmespath(RESULTS, '') == RESULTS
    with pytest.raises(ConfigError, match='library jmespath is not installed on the controller'):
        apply_jmespath(RESULTS, '[?ok]')
