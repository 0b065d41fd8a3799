# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TOML for Python 3.8: values that any reader understands, and a reader for files of one statement a line.

Where Python has tomllib (3.11), that reads. Elsewhere a strict reader of our own does: tables, arrays of tables, strings, booleans and
arrays of strings on one line. What it does not understand it says; it never guesses.
"""

from __future__ import annotations

import re
import types
import typing as t

tomllib: types.ModuleType | None
try:
    import tomllib
except ImportError:
    tomllib = None

_BASIC = r'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[btnfr"\\]|\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8})*"'
_LITERAL = r"'[^'\x00-\x08\x0a-\x1f\x7f]*'"
_STRING = f'(?:{_BASIC}|{_LITERAL})'
_KEY = f'(?:[A-Za-z0-9_-]+|{_STRING})'
_REST = r'[ \t]*(?:#[^\x00-\x08\x0a-\x1f\x7f]*)?\Z'
_BLANK_LINE = re.compile(_REST)
_HEADER = re.compile(rf'[ \t]*(\[\[?)[ \t]*({_KEY})[ \t]*(?:\.[ \t]*({_KEY})[ \t]*)?(\]\]?){_REST}')
_PAIR = re.compile(rf'[ \t]*({_KEY})[ \t]*=[ \t]*(?:(true|false)|({_STRING})|\[([ \t]*(?:{_STRING}[ \t]*(?:,[ \t]*{_STRING}[ \t]*)*,?[ \t]*)?)\]){_REST}')
_ONE_STRING = re.compile(_STRING)
_ESCAPE = re.compile(r'\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))')
_ESCAPES = {'b': '\b', 't': '\t', 'n': '\n', 'f': '\f', 'r': '\r', '"': '"', '\\': '\\'}
_NEED_ESCAPE = re.compile(r'["\\\x00-\x1f\x7f]')
_SHORT = {char: '\\' + letter for letter, char in _ESCAPES.items()}

Table = t.Dict[str, t.Any]


class NotUnderstoodError(ValueError):
    """The text is no TOML, or more of it than the reader knows. ``str(exc)`` tells where."""


def quote(text: str) -> str:
    """Write a string as a TOML basic string."""
    return '"' + _NEED_ESCAPE.sub(lambda found: _SHORT.get(found.group(), f'\\u{ord(found.group()):04X}'), text) + '"'


def loads(text: str) -> Table:
    """Read TOML.

    :raises NotUnderstoodError: see there.
    """
    if tomllib is None:
        return read_lines(text)
    try:
        found: Table = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        raise NotUnderstoodError(str(exc)) from exc
    return found


def read_lines(text: str) -> Table:
    """Read the part of TOML that the module's text names.

    :raises NotUnderstoodError: for everything else, valid TOML or not.
    """
    root: Table = {}
    arrays: set[str] = set()
    table = root
    for number, line in enumerate(text.replace('\r\n', '\n').split('\n'), 1):
        header, pair = _HEADER.match(line), _PAIR.match(line)
        try:
            if header:
                table = _open(root, arrays, header)
            elif pair:
                _put(table, _unquote(pair.group(1)), _value(pair))
            elif not _BLANK_LINE.match(line):
                raise NotUnderstoodError('this is none of the statements that are understood')
        except NotUnderstoodError as exc:
            raise NotUnderstoodError(f'line {number}: {exc}') from None
    return root


def _open(root: Table, arrays: set[str], header: re.Match[str]) -> Table:
    """Start the table of a header; ``arrays`` are the names of the arrays of tables so far."""
    opening, first, second, closing = header.groups()
    if len(opening) != len(closing):
        raise NotUnderstoodError('the brackets do not match')
    outer, is_array = _unquote(first), opening == '[['
    table: Table = {}
    if second is None and is_array:
        if outer in root and outer not in arrays:
            raise NotUnderstoodError(f'{outer} was something else before')
        arrays.add(outer)
        root.setdefault(outer, []).append(table)
    elif second is None:
        _put(root, outer, table)
    elif is_array:
        _append(root, arrays, outer, _unquote(second), table)
    else:
        around = root.setdefault(outer, {})
        if not isinstance(around, dict):
            raise NotUnderstoodError(f'{outer} is no table')
        _put(around, _unquote(second), table)
    return table


def _append(root: Table, arrays: set[str], outer: str, inner: str, table: Table) -> None:
    """``[[outer.inner]]`` belongs to the last ``[[outer]]``."""
    if outer not in arrays:
        raise NotUnderstoodError(f'there is no [[{outer}]] before it')
    around = root[outer][-1]
    found = around.get(inner, [table])
    # An array that was written as a value may be empty, and takes no tables.
    if not isinstance(found, list) or not found or not isinstance(found[0], dict):
        raise NotUnderstoodError(f'{inner} was something else before')
    if inner in around:
        found.append(table)
    else:
        around[inner] = found


def _put(table: Table, key: str, value: t.Any) -> None:
    if key in table:
        raise NotUnderstoodError(f'{key} is there twice')
    table[key] = value


def _value(pair: re.Match[str]) -> t.Any:
    boolean, string, array = pair.group(2), pair.group(3), pair.group(4)
    if boolean:
        return boolean == 'true'
    if string is not None:
        return _unquote(string)
    return [_unquote(one) for one in _ONE_STRING.findall(array)]


def _unquote(text: str) -> str:
    if text.startswith("'"):
        return text[1:-1]
    return _ESCAPE.sub(_unescape, text[1:-1]) if text.startswith('"') else text


def _unescape(found: re.Match[str]) -> str:
    short, long, letter = found.groups()
    if letter:
        return _ESCAPES[letter]
    number = int(short or long, 16)
    if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        raise NotUnderstoodError(f'\\u{number:X} is no character')
    return chr(number)
