# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Edits of JSON text: what they change, and that they change nothing else."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._json_text import ABSENT, Document, pointer, pointer_parts, same_value

PATH = '/etc/docker/daemon.json'

SPACED = b"""{
  "debug": true,
  "registry-mirrors": ["https://a.example/"],
  "log-opts": {
    "max-size": "10m"
  },
  "mtu": 1.50e3
}
"""


def doc(text: str | bytes) -> Document:
    return Document.parse(text.encode() if isinstance(text, str) else text, PATH)


# (text, what the error must say)
BAD = [
    pytest.param(b'{"a": 1', 'line 1, column 8: the file ends where a comma or } is expected', id='cut off'),
    pytest.param(b'{"a": 1,\n}', 'line 1, column 8: there is a comma too many before }', id='trailing comma'),
    pytest.param(b'{"a": [1,]}', 'a comma too many before ]', id='trailing comma in a list'),
    pytest.param(b'[]', 'the file holds a list', id='list'),
    pytest.param(b'"text"', 'an object ({...}) is expected', id='string'),
    pytest.param(b'null', 'an object ({...}) is expected', id='null'),
    pytest.param(b'{"a": 1, "b": 2, "a": 3}', 'line 1, column 18: the key "a" stands twice', id='duplicate'),
    pytest.param(b'{\n "a": {"b": 1,\n  "b": 1}}', 'line 3, column 3: the key "b" stands twice', id='duplicate deep inside'),
    pytest.param(b'{"a": 1, "\\u0061": 3}', 'stands twice', id='duplicate in another spelling'),
    pytest.param(b'// mirrors\n{}', 'line 1, column 1: comments are not allowed', id='//'),
    pytest.param(b'{"a": 1, # why\n "b": 2}', 'column 10: comments are not allowed', id='#'),
    pytest.param(b'{"a": /* why */ 1}', 'comments are not allowed', id='/* */'),
    pytest.param(b'{} # end', 'comments are not allowed', id='comment behind'),
    pytest.param(b'{"a": NaN}', 'a value is expected', id='NaN'),
    pytest.param(b'{"a": -Infinity}', 'a value is expected', id='Infinity'),
    pytest.param(b'{"a": 01}', 'not well-formed', id='leading zero'),
    pytest.param(b'{"a": 1.}', 'not well-formed', id='no digits behind the point'),
    pytest.param(b'{"a": tru}', 'a value is expected', id='cut word'),
    pytest.param(b"{'a': 1}", 'a key in double quotes is expected', id='single quotes'),
    pytest.param(b'{"a" 1}', 'a colon is expected', id='no colon'),
    pytest.param(b'{"a": "x\ny"}', 'a string is not closed', id='line end in a string'),
    pytest.param(b'{"a": "\\x41"}', 'an escape that JSON does not have', id='bad escape'),
    pytest.param(b'{"a": 1} {"b": 2}', 'the end of the file is expected', id='two objects'),
    pytest.param(b'{"a": "\xff"}', 'is not UTF-8 (line 1, byte 7)', id='latin-1'),
    pytest.param('\ufeff{}'.encode('utf-16-le'), 'is not UTF-8', id='utf-16'),
    pytest.param(b'{"a":' * 200 + b'1' + b'}' * 200, 'levels of nesting', id='too deep'),
    pytest.param(b'{"a":' * 100_000, 'levels of nesting', id='far too deep'),
    pytest.param(b'{"a": ' + b'9' * 5000 + b'}', 'far too long', id='huge number'),
]


@pytest.mark.parametrize(('data', 'message'), BAD)
def test_bad_text_is_refused_with_its_place(data: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Document.parse(data, PATH)
    assert message in str(caught.value)
    assert PATH in str(caught.value)


@pytest.mark.parametrize('data', [b'', b' \r\n\t\n', b'\xef\xbb\xbf', b'{}', b'\xef\xbb\xbf{ }\n'])
def test_what_dockerd_takes_for_empty_is_empty(data: bytes) -> None:
    parsed = Document.parse(data, PATH)
    assert parsed.value == {}
    assert parsed.to_bytes() == data


# (before, pointer, value, after)
EDITS: list[tuple[str, str, t.Any, str]] = [
    # a new file is indented as Docker's documentation does it
    ('', '/a', [1], '{\n    "a": [\n        1\n    ]\n}\n'),
    ('\n', '/a/b', 'x', '{\n    "a": {\n        "b": "x"\n    }\n}\n'),
    ('{}', '/a', 1, '{\n    "a": 1\n}'),
    ('{}\r\n', '/a', 1, '{\r\n    "a": 1\r\n}\r\n'),
    # the file's own style
    ('{"a":1}', '/b', [1, 2], '{"a":1,"b":[1,2]}'),
    ('{"a": 1}', '/b', [1, 2], '{"a": 1, "b": [1, 2]}'),
    ('{ "a" : 1 }\n', '/b', {'c': 2}, '{ "a" : 1, "b" : {"c" : 2} }\n'),
    ('{\n\t"a": 1\n}', '/b', {'c': [2]}, '{\n\t"a": 1,\n\t"b": {\n\t\t"c": [\n\t\t\t2\n\t\t]\n\t}\n}'),
    ('{\r\n  "a": 1\r\n}', '/b', [], '{\r\n  "a": 1,\r\n  "b": []\r\n}'),
    ('{\n  "o": {"x": 1}\n}', '/o/y', [2], '{\n  "o": {"x": 1, "y": [2]}\n}'),
    ('{\n  "o": {}\n}', '/o/y', 2, '{\n  "o": {\n    "y": 2\n  }\n}'),
    # a list keeps its shape, its items their spelling
    ('{\n  "l": ["https:\\/\\/a"]\n}', '/l', ['https://a', 'b'], '{\n  "l": ["https:\\/\\/a", "b"]\n}'),
    ('{\n  "l": [\n    1,\n    2\n  ]\n}', '/l', [3, 1], '{\n  "l": [\n    3,\n    1\n  ]\n}'),
    ('{\n  "l": [\n    1\n  ]\n}', '/l', [], '{\n  "l": []\n}'),
    ('{"l":[1,2]}', '/l', [2, 1, 3], '{"l":[2,1,3]}'),
    ('{\n  "l": []\n}', '/l', [1], '{\n  "l": [\n    1\n  ]\n}'),
    # values
    ('{\n  "a": 1,\n  "b": 2\n}', '/a', None, '{\n  "a": null,\n  "b": 2\n}'),
    ('{"a": {"b": 1}}', '/a', 3, '{"a": 3}'),
    ('{"a": 1}', '/a', True, '{"a": true}'),
    ('{"a": 1}', '/ä~1~0', '漢"', '{"a": 1, "ä/~": "漢\\""}'),
]


@pytest.mark.parametrize(('before', 'where', 'value', 'after'), EDITS)
def test_set(before: str, where: str, value: t.Any, after: str) -> None:
    assert doc(before).set(where, value).text == after


# (before, pointer, after)
REMOVALS = [
    ('{"a": 1, "b": 2, "c": 3}', '/a', '{"b": 2, "c": 3}'),
    ('{"a": 1, "b": 2, "c": 3}', '/b', '{"a": 1, "c": 3}'),
    ('{"a": 1, "b": 2, "c": 3}', '/c', '{"a": 1, "b": 2}'),
    ('{"a": 1}', '/a', '{}'),
    ('{\n  "a": 1,\n  "b": 2\n}\n', '/a', '{\n  "b": 2\n}\n'),
    ('{\n  "a": 1,\n  "b": 2\n}\n', '/b', '{\n  "a": 1\n}\n'),
    ('{\n  "a": 1\n}\n', '/a', '{}\n'),
    ('{"a": {"b": 1}}', '/a/b', '{"a": {}}'),
    ('{"a": 1}', '/x', '{"a": 1}'),
    ('{"a": 1}', '/a/b', '{"a": 1}'),
    ('', '/a', ''),
]


@pytest.mark.parametrize(('before', 'where', 'after'), REMOVALS)
def test_remove(before: str, where: str, after: str) -> None:
    assert doc(before).remove(where).text == after


def test_nothing_is_set_inside_what_is_no_object() -> None:
    with pytest.raises(ConfigError, match='log-opts is not an object'):
        doc('{"log-opts": "x"}').set('/log-opts/max-size', '1m')


def test_byte_order_mark_and_bytes_around_an_edit_survive() -> None:
    data = b'\xef\xbb\xbf' + SPACED.replace(b'\n', b'\r\n')
    edited = Document.parse(data, PATH).set('/log-opts/max-file', '3').to_bytes()
    assert edited == data.replace(b'"10m"\r\n', b'"10m",\r\n    "max-file": "3"\r\n')


def test_source_text_is_written_as_given() -> None:
    assert doc('{"a": 1}').set('/b', 1500.0, '1.50e3').text == '{"a": 1, "b": 1.50e3}'
    assert doc('{}').set('/b', 1500.0, '1.50e3').text == '{\n    "b": 1.50e3\n}'
    assert doc(SPACED).source('/mtu') == '1.50e3'


@pytest.mark.parametrize(('one', 'other', 'same'), [(1, True, False), (0, False, False), (1, 1.0, False), ([1], [True], False), ({'a': [1]}, {'a': [1]}, True)])
def test_values_are_compared_as_json(one: t.Any, other: t.Any, same: bool) -> None:
    assert same_value(one, other) is same


# Laws, over documents in random dress

KEYS = st.one_of(st.sampled_from(['a', 'b', 'registry-mirrors', 'log-opts', 'x/y', '~', 'é']), st.text(max_size=4))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8))
VALUES = st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)), max_leaves=8)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)


@st.composite
def dressed(draw: st.DrawFn) -> bytes:
    """An object as somebody might have written it."""
    value = draw(OBJECTS)
    indent = draw(st.sampled_from([None, 1, 2, 4, '\t']))
    separators = draw(st.sampled_from([(',', ':'), (', ', ': '), (' ,', ' : '), (',\n', ': ')]))
    text = json.dumps(value, indent=indent, separators=separators, ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()):
        text = text.replace('\n', '\r\n')
    text = draw(st.sampled_from(['', '\n', ' \t'])) + text + draw(st.sampled_from(['', '\n', '\r\n\r\n']))
    return (draw(st.sampled_from(['', '\ufeff'])) + text).encode('utf-8', 'surrogatepass')


def model_set(value: t.Any, parts: tuple[str, ...], new: t.Any) -> t.Any:
    inner = value.get(parts[0], {}) if isinstance(value, dict) else {}
    return {**value, parts[0]: model_set(inner, parts[1:], new) if len(parts) > 1 else new}


def spans(document: Document) -> dict[str, str]:
    """The source text of every value that is no object."""
    found: dict[str, str] = {}

    def walk(parts: tuple[str, ...], value: t.Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk((*parts, key), inner)
        else:
            found[pointer(*parts)] = document.source(pointer(*parts)) or ''

    walk((), document.value)
    return found


@settings(max_examples=settings().max_examples // 2)
@given(dressed(), st.lists(KEYS, min_size=1, max_size=3), VALUES)
def test_set_does_what_it_says_and_touches_nothing_else(data: bytes, parts: list[str], value: t.Any) -> None:
    before = Document.parse(data, PATH)
    where = pointer(*parts)
    inner: t.Any = before.value
    for depth, _part in enumerate(parts[:-1]):
        inner = before.get(pointer(*parts[:depth + 1]))
        if inner is not ABSENT and not isinstance(inner, dict):
            with pytest.raises(ConfigError):
                before.set(where, value)
            return
    after = before.set(where, value)
    assert same_value(after.value, model_set(before.value, tuple(parts), value))
    assert list(after.value)[:len(before.value)] == list(before.value)
    assert same_value(Document.parse(after.to_bytes(), PATH).value, after.value)
    untouched = {one: text for one, text in spans(before).items() if one != where and not one.startswith(where + '/')}
    assert untouched.items() <= spans(after).items()
    assert after.set(where, value) is after


@settings(max_examples=settings().max_examples // 2)
@given(dressed(), st.lists(KEYS, min_size=1, max_size=3), VALUES)
def test_a_key_that_was_set_and_removed_leaves_no_trace(data: bytes, parts: list[str], value: t.Any) -> None:
    before = Document.parse(data, PATH)
    parent = before.get(pointer(*parts[:-1]))
    if before.get(pointer(*parts)) is ABSENT and isinstance(parent, dict) and parent:
        assert before.set(pointer(*parts), value).remove(pointer(*parts)).to_bytes() == data


@settings(max_examples=settings().max_examples // 2)
@given(dressed())
def test_each_key_can_be_removed_and_the_others_stay(data: bytes) -> None:
    before = Document.parse(data, PATH)
    for key in before.value:
        after = before.remove(pointer(key))
        assert list(after.value) == [one for one in before.value if one != key]
        kept = {one: text for one, text in spans(before).items() if pointer_parts(one)[0] != key}
        assert spans(after) == kept
        assert after.bom == before.bom


@settings(max_examples=settings().max_examples // 2)
@given(dressed())
def test_setting_what_is_there_is_the_identity(data: bytes) -> None:
    before = Document.parse(data, PATH)
    assert before.to_bytes() == data
    for key, value in before.value.items():
        assert before.set(pointer(key), value) is before


@settings(max_examples=settings().max_examples // 2)
@given(dressed(), st.lists(VALUES, max_size=4))
def test_items_that_stay_in_a_list_keep_their_spelling(data: bytes, extra: list[t.Any]) -> None:
    before = Document.parse(data, PATH)
    for key, value in before.value.items():
        if isinstance(value, list):
            wanted = [*extra, *reversed(value)]
            after = before.set(pointer(key), wanted)
            assert same_value(after.get(pointer(key)), wanted)
            node = before.node(pointer(key))
            assert node is not None
            for item in node.items:
                assert before.text[item.start:item.end] in (after.source(pointer(key)) or '')


@given(st.lists(st.text(max_size=5), max_size=4))
def test_pointers_round_trip(parts: list[str]) -> None:
    assert list(pointer_parts(pointer(*parts))) == parts
