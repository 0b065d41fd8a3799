# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
import tomllib
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _toml as toml
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._toml import NotUnderstoodError

DOCUMENT = r'''
# a comment with a [table]
version = 2
imports = ["/etc/containerd/conf.d/*.toml", # with a comment ]
           '/etc/x.toml',]
[plugins]
  [plugins."io.containerd.grpc.v1.cri"]   # behind it
    sandbox_image = "registry.k8s.io/pause:3.6"
    text = """
[not.a.table]
key = "no" \""" "" """
    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = ""
[debug]
uid = -1
ratio = 1.5e3
big = 1_000
inline = {a.b = 1, c = ["x", {d = true}]}
literal = 'C:\path'
"quoted key" . sub = "\u00e9\t\U0001F600"
[[row]]
a = 1
[row.sub]
x = 1
[[row]]
a = 2
[row.sub]
x = 2
'''


def own(text: str) -> dict[str, t.Any]:
    """What the own parser says."""
    return toml._build(list(toml._Reader(text).statements()))


@pytest.fixture
def own_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toml, 'tomllib', None)


@pytest.mark.usefixtures('own_parser')
@pytest.mark.parametrize('text', [DOCUMENT, DOCUMENT.replace('\n', '\r\n'), '', '\n\n#x', 'a=1', 'a = """x"""', "a = '''y'''''"])
def test_the_own_parser_agrees_with_pythons(text: str) -> None:
    assert toml.read(text) == tomllib.loads(text)


@pytest.mark.usefixtures('own_parser')
@pytest.mark.parametrize(
    'text, said',
    [
        ('a', 'line 1: a key needs a value'),
        ('x = 1\na = ', 'line 2: a value is expected'),
        ('a = "x', 'does not end'),
        ('a = "x\n"', 'does not end'),
        ('a = [1, 2', 'does not end|a value is expected'),
        ('a = {b = 1', 'does not end'),
        ('[a', 'does not end'),
        ('a = 1 b = 2', 'not expected here'),
        ('a = 1\na = 2', 'stands twice'),
        ('[a]\n[a]', 'stands twice'),
        ('a = 1979-05-27', 'not understood'),
        ('a = "\\q"', 'escape'),
        ('a = 1\n[a.b]', 'is no table'),
        ('a = ' + '[' * 100, 'nested too deeply'),
        ('"""a""" = 1', 'several lines'),
    ],
)
def test_what_is_not_understood_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        toml.read(text, '/etc/x.toml')
    assert caught.value.path == '/etc/x.toml'


def test_pythons_parser_names_the_file() -> None:
    with pytest.raises(ConfigError, match=r'/etc/x\.toml is not valid TOML'):
        toml.read('a', '/etc/x.toml')


@given(st.text(alphabet=st.characters(exclude_categories=['Cs'])))
def test_a_quoted_text_is_read_back(text: str) -> None:
    assert tomllib.loads(f'a = {toml.quote(text)}') == {'a': text}
    assert own(f'a = {toml.quote(text)}') == {'a': text}


PIECES = st.sampled_from([
    'a = 1', 'b.c = "x"', 'i = 0x1', '[t]', '[t.u]', '[[r]]', 'x = [1,\n2]', '# c', '', "d = '''\n[x]\n'''", 'e = {f = "}"}',
    '[', '"', 'g = "\\""', '"k 1" = true', ']', 'h = [',
])  # fmt: skip


def never_wrong(text: str) -> None:
    """The own parser may refuse what Python's takes, and never says something else."""
    try:
        found = own(text)
    except NotUnderstoodError:
        return
    try:
        expected = tomllib.loads(text)
    except ValueError:
        return  # more lenient than TOML is harmless: the engine refuses such a file itself
    assert found == expected


@given(st.lists(PIECES, max_size=8).map('\n'.join))
def test_the_own_parser_is_never_wrong(text: str) -> None:
    never_wrong(text)


@given(st.lists(st.tuples(st.sampled_from(['', '[[r]]\n', '[[r.m]]\n', '[t]\n']), st.text('ab"\'\\=#[], \t\nu0', max_size=12)), max_size=6))
def test_nor_on_noise(parts: list[tuple[str, str]]) -> None:
    never_wrong('\n'.join(header + noise for header, noise in parts))


def test_where_statements_stand() -> None:
    found = {one.path: one for one in toml.statements(DOCUMENT) if one.key}
    one = found[('plugins', 'io.containerd.grpc.v1.cri', 'registry', 'config_path')]
    assert DOCUMENT[one.start : one.end] == 'config_path = ""'
    assert DOCUMENT[one.value_start : one.end] == one.value == '""'
    headers = [one.table for one in toml.statements(DOCUMENT) if not one.key]
    assert ('plugins', 'io.containerd.grpc.v1.cri', 'registry') in headers
    assert ('not', 'a', 'table') not in headers
