# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import tomllib
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _toml_lines
from ansible_collections.quickpull.registry.plugins.module_utils._toml_lines import NotUnderstoodError, loads, quote, read_lines

CHARACTERS = st.characters(codec='utf-8')
# Pieces of registries.conf, right and wrong, that are put together at random.
LINES = st.sampled_from((
    '', '# a comment', '  \t', '[[registry]]', '[[registry.mirror]]', '[[ registry . mirror ]] # x', '[registry]', '[registries.search]', '[registries]',
    '[aliases]', '["aliases"]', 'prefix = "docker.io"', "location='a'", '"location" = "b" # c', 'insecure = true', 'blocked=false', 'mirror = []',
    'registries = ["a", \'b\',]', 'registries = [ ]', 'registries = ["a"', ']', 'x = 5', 'x.y = "z"', 'a = "\\u00e4\\t\\U0001F600"', 'a = "\\ud800"',
    'b = "\\x41"', 'c = """x"""', "d = ''''", 'e = "tab\there"', 'f = "bell\x07"', '= "a"', 'mirror = "x"', '[[registry.mirror]', '[registry.mirror]',
    '[[a.b.c]]', 'registry = []', 'g = true false', 'h = "a" "b"', 'i = truefalse', '"" = "empty"', '\x0c', 'prefix = "docker.io"\r',
    '\ufeff', 'a = [",", "]"]',
))


@given(st.text(CHARACTERS))
@example('\x7f\x00\x1f"\\\n\r\t\b\f')
def test_what_is_quoted_is_read_back(text: str) -> None:
    line = f'a = {quote(text)}\n'
    assert tomllib.loads(line) == {'a': text}
    assert read_lines(line) == {'a': text}


@given(st.lists(LINES, max_size=12))
@example(['mirror = []', '[[registry]]', 'mirror = []', '[[registry.mirror]]'])
@example(['[registries]', '[registries.search]'])
def test_our_reader_agrees_with_tomllib_or_says_nothing(lines: list[str]) -> None:
    text = '\n'.join(lines)
    try:
        found = read_lines(text)
    except NotUnderstoodError:
        return
    assert found == tomllib.loads(text)


@given(st.lists(st.tuples(st.sampled_from(('', '[[registry]]\n', '[[registry.mirror]]\n')), st.text('ab"\'\\=#[], \t\nu0', max_size=12)), max_size=6))
def test_it_agrees_on_noise_too(parts: list[tuple[str, str]]) -> None:
    text = '\n'.join(header + noise for header, noise in parts)
    try:
        found = read_lines(text)
    except NotUnderstoodError:
        return
    assert found == tomllib.loads(text)


def test_it_reads_what_hosts_have() -> None:
    text = """\
# What Debian ships.
unqualified-search-registries = ["docker.io", 'quay.io']
short-name-mode="enforcing"
[[registry]]
prefix = "docker.io"
[[registry.mirror]]
location = "one.lan:5000"
insecure = true
[[registry.mirror]]
location = "two.lan"
[[registry]]
location = "quay.io"
blocked = true
[aliases]
  "almalinux" = "docker.io/library/almalinux"
"""
    assert read_lines(text) == tomllib.loads(text)


@pytest.mark.parametrize(
    'text, where',
    [
        ('[[registry.mirror]]\n', 'line 1: there is no [[registry]] before it'),
        ('\n[[registry]\n', 'line 2: the brackets do not match'),
        ('a = "x"\na = "y"\n', 'line 2: a is there twice'),
        ('a = [\n"b"]\n', 'line 1: this is none of the statements that are understood'),
        ('a = "\\uDFFF"', 'line 1: \\uDFFF is no character'),
        ('a = "x"\n[[a]]', 'line 2: a was something else before'),
        ('[[a]]\n[a.b]', 'line 2: a is no table'),
    ],
)
def test_it_says_where_it_stopped(text: str, where: str) -> None:
    with pytest.raises(NotUnderstoodError) as caught:
        read_lines(text)
    assert str(caught.value) == where


def test_tomllib_reads_where_python_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loads('a = 1') == {'a': 1}
    with pytest.raises(NotUnderstoodError, match='line 1'):
        loads('a = = 1')
    monkeypatch.setattr(_toml_lines, 'tomllib', None)
    with pytest.raises(NotUnderstoodError, match='line 1'):
        loads('a = 1')
