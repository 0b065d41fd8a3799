# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TOML as container engines use it: read, quoted, and found in a text that somebody else wrote.

Python has a parser since 3.11. Before, :func:`read` parses what engines' configurations are made of, and refuses the rest (dates, numbers in odd
spellings) rather than to guess. :func:`statements` tells where each line of meaning stands, so that one of them can be changed and all else stay.

Source: TOML 1.0.0.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError

try:
    import tomllib
except ImportError:  # Python 3.10 and older
    tomllib = None  # type: ignore[assignment]

Path = t.Tuple[str, ...]


class NotUnderstoodError(ValueError):
    """The text is no TOML, or more of it than the own parser knows. ``str(exc)`` tells where."""


_BARE = re.compile(r'[A-Za-z0-9_-]+')
_NUMBER = re.compile(r'[+-]?(0|[1-9](_?[0-9])*)(\.[0-9](_?[0-9])*)?([eE][+-]?[0-9]+)?\Z')
_ESCAPES = {'b': '\b', 't': '\t', 'n': '\n', 'f': '\f', 'r': '\r', '"': '"', '\\': '\\'}
_ESCAPED = re.compile(r'\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.)|\s*\n\s*)', re.DOTALL)
_CONTROL = re.compile(r'[\x00-\x08\x0a-\x1f\x7f"\\]')
_DEEPEST = 50
# Nowhere in a document, not in a comment either.
_FORBIDDEN = re.compile(r'[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)')


@dataclass(frozen=True)
class Statement:
    """One header, or one key with its value.

    :ivar table: the table that it stands in; for a header, the table that it opens.
    :ivar key: the key, in parts; empty for a header.
    :ivar value: the value's source text; empty for a header.
    :ivar start: index of its first character in the text, and ``end`` of the one behind its last; ``value_start`` of the value's.
    :ivar array: a header in double brackets.
    """

    table: Path
    key: Path
    value: str
    start: int
    end: int
    value_start: int = 0
    array: bool = False

    @property
    def path(self) -> Path:
        return self.table + self.key


def quote(text: str) -> str:
    """A basic string."""
    return '"' + _CONTROL.sub(lambda found: {'"': '\\"', '\\': '\\\\'}.get(found.group(), f'\\u{ord(found.group()):04X}'), text) + '"'


def loads(text: str) -> dict[str, t.Any]:
    """Parse a document. Raises NotUnderstoodError."""
    if tomllib is None:
        return _build(list(_Reader(text).statements()))
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        raise NotUnderstoodError(str(exc)) from exc


def read(text: str, path: str = '') -> dict[str, t.Any]:
    """Parse the document that a file holds. Raises ConfigError, naming the file, when it is not understood."""
    try:
        return loads(text)
    except NotUnderstoodError as exc:
        raise ConfigError(f'{path} is not valid TOML: {exc}.', path=path) from exc


def statements(text: str, path: str = '') -> list[Statement]:
    """The statements of a document, in their order. Raises ConfigError where the text cannot be understood."""
    try:
        return list(_Reader(text).statements())
    except NotUnderstoodError as exc:
        raise ConfigError(f'{path} is not valid TOML: {exc}.', path=path) from exc


class _Reader:
    """Walks through a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        forbidden = _FORBIDDEN.search(text)
        if forbidden:
            self.at = forbidden.start()
            raise self.fail('a control character is not allowed here')

    def fail(self, what: str) -> NotUnderstoodError:
        number = self.text.count('\n', 0, self.at) + 1
        return NotUnderstoodError(f'line {number}: {what}')

    def peek(self, size: int = 1) -> str:
        return self.text[self.at : self.at + size]

    def skip(self, characters: str = ' \t\r') -> None:
        while self.at < len(self.text):
            if self.text[self.at] == '#' and '\n' in characters:
                self.at = _or_end(self.text.find('\n', self.at), self.text)
            elif self.text[self.at] in characters:
                self.at += 1
            else:
                return

    def end_of_line(self) -> None:
        self.skip()
        if self.peek() == '#':
            self.at = _or_end(self.text.find('\n', self.at), self.text)
        if self.peek() not in ('', '\n'):
            raise self.fail(f'{self.peek()!r} is not expected here')

    def statements(self) -> t.Iterator[Statement]:
        table: Path = ()
        while True:
            self.skip(' \t\r\n')
            if self.at >= len(self.text):
                return
            start = self.at
            if self.peek() == '[':
                array = self.peek(2) == '[['
                table = self.header(array)
                yield Statement(table, (), '', start, self.at, array=array)
            else:
                key = self.key()
                if self.peek() != '=':
                    raise self.fail('a key needs a value')
                self.at += 1
                self.skip()
                value_start = self.at
                self.value(0)
                yield Statement(table, key, self.text[value_start : self.at], start, self.at, value_start)
            self.end_of_line()

    def header(self, array: bool) -> Path:
        closing = ']]' if array else ']'
        self.at += len(closing)
        self.skip()
        table = self.key()
        if self.peek(len(closing)) != closing:
            raise self.fail('the header of a table does not end')
        self.at += len(closing)
        return table

    def key(self) -> Path:
        parts = []
        while True:
            if self.peek() in ('"', "'"):
                if self.peek(3) in ('"""', "'''"):
                    raise self.fail('a key cannot be a text of several lines')
                parts.append(self.string())
            else:
                found = _BARE.match(self.text, self.at)
                if not found:
                    raise self.fail('a key is expected')
                parts.append(found.group())
                self.at = found.end()
            self.skip()
            if self.peek() != '.':
                return tuple(parts)
            self.at += 1
            self.skip()

    def value(self, depth: int) -> t.Any:
        if depth > _DEEPEST:
            raise self.fail('it is nested too deeply')
        char = self.peek()
        if char in ('"', "'"):
            return self.string()
        if char == '[':
            return self.array(depth)
        if char == '{':
            return self.inline(depth)
        found = re.compile(r'[^\s,\]}#]+').match(self.text, self.at)
        if not found:
            raise self.fail('a value is expected')
        self.at = found.end()
        return self.scalar(found.group())

    def scalar(self, word: str) -> t.Any:
        if word in ('true', 'false'):
            return word == 'true'
        if not _NUMBER.match(word):
            raise self.fail(f'the value {word[:40]!r} is not understood')
        plain = word.replace('_', '')
        return float(plain) if any(mark in plain for mark in '.eE') else int(plain)

    def string(self) -> str:
        mark = self.peek()
        delimiter = mark * 3 if self.peek(3) == mark * 3 else mark
        begin = self.at + len(delimiter)
        end = begin
        while True:
            end = self.text.find(delimiter, end)
            line = self.text.find('\n', begin)
            if end < 0 or (len(delimiter) == 1 and 0 <= line < end):
                raise self.fail('a text in quotes does not end')
            slashes = len(self.text[begin:end]) - len(self.text[begin:end].rstrip('\\'))
            if mark == "'" or slashes % 2 == 0:
                break
            end += 1
        if len(delimiter) == 3:  # up to two quotes may stand right before the closing ones
            while self.text[end + 3 : end + 4] == mark:
                end += 1
        inner = self.text[begin:end]
        if len(delimiter) == 3:
            inner = inner.replace('\r\n', '\n')
            inner = inner[1:] if inner.startswith('\n') else inner
        self.at = end + len(delimiter)
        return inner if mark == "'" else _ESCAPED.sub(self._unescape, inner)

    def _unescape(self, found: t.Match[str]) -> str:
        code = found.group(1) or found.group(2)
        if code:
            number = int(code, 16)
            if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
                raise self.fail('an escape in a text is not understood')
            return chr(number)
        letter = found.group(3)
        if letter is None:
            return ''
        if letter not in _ESCAPES:
            raise self.fail('an escape in a text is not understood')
        return _ESCAPES[letter]

    def array(self, depth: int) -> list[t.Any]:
        self.at += 1
        values: list[t.Any] = []
        while True:
            self.skip(' \t\r\n')
            if self.peek() == ']':
                self.at += 1
                return values
            values.append(self.value(depth + 1))
            self.skip(' \t\r\n')
            if self.peek() == ',':
                self.at += 1
            elif self.peek() != ']':
                raise self.fail('an array does not end')

    def inline(self, depth: int) -> dict[str, t.Any]:
        self.at += 1
        values: dict[str, t.Any] = {}
        while True:
            self.skip()
            if self.peek() == '}':
                self.at += 1
                return values
            key = self.key()
            if self.peek() != '=':
                raise self.fail('a key needs a value')
            self.at += 1
            self.skip()
            _put(values, key, self.value(depth + 1), self.fail)
            self.skip()
            if self.peek() == ',':
                self.at += 1
            elif self.peek() != '}':
                raise self.fail('a table in braces does not end')


def _or_end(index: int, text: str) -> int:
    return len(text) if index < 0 else index


def _put(table: dict[str, t.Any], key: Path, value: t.Any, fail: t.Callable[[str], Exception]) -> None:
    for part in key[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise fail(f'{".".join(key)} is no table')
    if key[-1] in table:
        raise fail(f'{".".join(key)} stands twice')
    table[key[-1]] = value


def _build(found: t.Sequence[Statement]) -> dict[str, t.Any]:
    """The document from its statements."""
    root: dict[str, t.Any] = {}
    current = root
    opened: set[Path] = set()
    for one in found:
        if one.key:
            _put(current, one.key, _Reader(one.value).value(0), NotUnderstoodError)
            continue
        if not one.array and one.table in opened:
            raise NotUnderstoodError(f'the table {".".join(one.table)} stands twice')
        opened.add(one.table)
        if one.array:  # its inner tables begin anew
            opened = {path for path in opened if path[: len(one.table)] != one.table}
        current = _open(root, one)
    return root


def _open(root: dict[str, t.Any], header: Statement) -> dict[str, t.Any]:
    table = root
    for part in header.table[:-1]:
        inner = table.setdefault(part, {})
        table = inner[-1] if isinstance(inner, list) and inner and isinstance(inner[-1], dict) else inner
        if not isinstance(table, dict):
            raise NotUnderstoodError(f'{".".join(header.table)} is no table')
    name = header.table[-1]
    if header.array:
        rows = table.setdefault(name, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise NotUnderstoodError(f'{".".join(header.table)} is no array of tables')
        rows.append({})
        return t.cast('dict[str, t.Any]', rows[-1])
    inner = table.setdefault(name, {})
    if not isinstance(inner, dict):
        raise NotUnderstoodError(f'{".".join(header.table)} is no table')
    return inner
