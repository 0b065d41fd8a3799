# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A strict JSON object as text, with edits that leave every other byte alone.

Order, indentation, inline arrays, the spelling of numbers and strings, line ends, a byte-order mark and the presence or
absence of a last line end survive, because an edit replaces only the span of what it changes.

Stricter than dockerd where that saves somebody from a surprise: a key that stands twice (Go takes the last one) is refused.
Accepted as dockerd accepts them: an empty file, one of white space only, and a UTF-8 byte-order mark.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError

# Docker's documentation indents daemon.json by four spaces.
DEFAULT_INDENT = '    '

_BOM = '\ufeff'
# Far beyond any daemon.json, and far below Python's recursion limit.
_MAX_DEPTH = 100

_SPACE = re.compile(r'[ \t\r\n]*')
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_NUMBER = re.compile(r'-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?')
_WORD = re.compile(r'[A-Za-z_]+')
_CONSTANTS = {'true': True, 'false': False, 'null': None}


class _Absent:
    """Stands for "there is no such key", which JSON's null does not."""

    def __repr__(self) -> str:
        return 'ABSENT'


ABSENT: t.Any = _Absent()


@dataclass(frozen=True)
class Node:
    """A value and where it stands: ``text[start:end]``."""

    start: int
    end: int
    value: t.Any
    members: tuple[Member, ...] = ()
    items: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Member:
    """A key of an object and its value; ``start`` is where the key's string begins, ``key_end`` where it ends."""

    key: str
    start: int
    key_end: int
    node: Node


def same_value(one: t.Any, other: t.Any) -> bool:
    """Whether two JSON values are the same; other than in Python, true is not 1 and 1 is not 1.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_value(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(same_value(a, b) for a, b in zip(one, other))
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    return type(one) is type(other) and one == other


def pointer(*parts: str) -> str:
    """JSON pointer (RFC 6901) of a path of keys."""
    return ''.join('/' + part.replace('~', '~0').replace('/', '~1') for part in parts)


def pointer_parts(text: str) -> tuple[str, ...]:
    """The path of keys that a JSON pointer names."""
    return tuple(part.replace('~1', '/').replace('~0', '~') for part in text.split('/')[1:])


def dumps(value: t.Any) -> str:
    """A value on one line; characters stand for themselves, except lone surrogates, which UTF-8 cannot write."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode('utf-8')
    except UnicodeEncodeError:
        return json.dumps(value)
    return text


class _Parser:
    def __init__(self, text: str, path: str) -> None:
        self.text = text
        self.path = path

    def problem(self, position: int, problem: str) -> ConfigError:
        before = self.text[:position]
        line = before.count('\n') + 1
        column = position - (before.rfind('\n') + 1) + 1
        return ConfigError(
            f'{self.path} is not valid JSON, line {line}, column {column}: {problem}. Nothing was changed; correct the file and run again.',
            path=self.path,
        )

    def skip(self, position: int) -> int:
        match = _SPACE.match(self.text, position)
        return match.end() if match else position

    def unexpected(self, position: int, expected: str) -> ConfigError:
        rest = self.text[position:position + 2]
        if rest[:1] == '#' or rest in ('//', '/*'):
            return self.problem(position, 'comments are not allowed in JSON')
        if not rest:
            return self.problem(position, f'the file ends where {expected} is expected')
        return self.problem(position, f'{expected} is expected')

    def document(self) -> Node:
        start = self.skip(0)
        if self.text[start:start + 1] != '{':
            if self.text[start:start + 1] == '[':
                raise self.problem(start, 'the file holds a list, and an object ({...}) is expected')
            raise self.unexpected(start, 'an object ({...})')
        node = self.value(start, 0)
        end = self.skip(node.end)
        if end != len(self.text):
            raise self.unexpected(end, 'the end of the file')
        return node

    def value(self, position: int, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            raise self.problem(position, f'more than {_MAX_DEPTH} levels of nesting')
        head = self.text[position:position + 1]
        if head == '{':
            return self.object(position, depth)
        if head == '[':
            return self.array(position, depth)
        if head == '"':
            end, value = self.string(position)
            return Node(position, end, value)
        number = _NUMBER.match(self.text, position)
        if number:
            return self.number(number)
        word = _WORD.match(self.text, position)
        if word and word.group() in _CONSTANTS:
            return Node(position, word.end(), _CONSTANTS[word.group()])
        raise self.unexpected(position, 'a value')

    def number(self, match: re.Match[str]) -> Node:
        spelling = match.group()
        if re.match(r'[0-9.A-Za-z_+-]', self.text[match.end():match.end() + 1]):
            raise self.problem(match.start(), 'a number is not well-formed')
        if len(spelling) > 400:
            raise self.problem(match.start(), 'a number is far too long')
        value = float(spelling) if re.search(r'[.eE]', spelling) else int(spelling)
        return Node(match.start(), match.end(), value)

    def string(self, position: int) -> tuple[int, str]:
        match = _STRING.match(self.text, position)
        if not match:
            raise self.problem(position, 'a string is not closed on its line, or holds an escape that JSON does not have')
        return match.end(), json.loads(match.group())

    def object(self, start: int, depth: int) -> Node:
        members: dict[str, Member] = {}
        position = self.skip(start + 1)
        if self.text[position:position + 1] == '}':
            return Node(start, position + 1, {})
        while True:
            member = self.member(position, depth, members)
            members[member.key] = member
            position = self.skip(member.node.end)
            if self.text[position:position + 1] == '}':
                value = {key: one.node.value for key, one in members.items()}
                return Node(start, position + 1, value, members=tuple(members.values()))
            position = self.comma(position, '}')

    def member(self, position: int, depth: int, known: t.Mapping[str, Member]) -> Member:
        if self.text[position:position + 1] != '"':
            raise self.unexpected(position, 'a key in double quotes')
        key_end, key = self.string(position)
        if key in known:
            raise self.problem(position, f'the key {json.dumps(key)} stands twice; keep one of them')
        colon = self.skip(key_end)
        if self.text[colon:colon + 1] != ':':
            raise self.unexpected(colon, 'a colon')
        node = self.value(self.skip(colon + 1), depth + 1)
        return Member(key, position, key_end, node)

    def comma(self, position: int, closing: str) -> int:
        if self.text[position:position + 1] != ',':
            raise self.unexpected(position, f'a comma or {closing}')
        following = self.skip(position + 1)
        if self.text[following:following + 1] == closing:
            raise self.problem(position, f'there is a comma too many before {closing}')
        return following

    def array(self, start: int, depth: int) -> Node:
        items: list[Node] = []
        position = self.skip(start + 1)
        if self.text[position:position + 1] == ']':
            return Node(start, position + 1, [])
        while True:
            item = self.value(position, depth + 1)
            items.append(item)
            position = self.skip(item.end)
            if self.text[position:position + 1] == ']':
                return Node(start, position + 1, [one.value for one in items], items=tuple(items))
            position = self.comma(position, ']')


@dataclass(frozen=True)
class Document:
    """A parsed file. Edits return a new document; an edit that changes no value returns the same one.

    :ivar text: without the byte-order mark.
    :ivar bom: whether the file begins with one.
    :ivar root: None for a file that is empty or holds white space only, which means the same as ``{}``.
    """

    path: str
    text: str
    bom: bool = False
    root: Node | None = field(default=None, compare=False, repr=False)

    @classmethod
    def parse(cls, data: bytes, path: str) -> Document:
        """Read the bytes of a file.

        :raises ConfigError: naming line and column; nothing is ever repaired.
        """
        try:
            text = data.decode('utf-8')
        except UnicodeDecodeError as exc:
            line = data[:exc.start].count(b'\n') + 1
            raise ConfigError(
                f'{path} is not UTF-8 (line {line}, byte {exc.start}). Nothing was changed; save the file as UTF-8 and run again.', path=path
            ) from exc
        bom = text.startswith(_BOM)
        return cls._of(path, text[1:] if bom else text, bom)

    @classmethod
    def _of(cls, path: str, text: str, bom: bool) -> Document:
        parser = _Parser(text, path)
        empty = parser.skip(0) == len(text)
        return cls(path, text, bom, None if empty else parser.document())

    @property
    def value(self) -> dict[str, t.Any]:
        """The whole as Python objects, keys in the order of the file."""
        return self.root.value if self.root else {}

    def to_bytes(self) -> bytes:
        return ((_BOM if self.bom else '') + self.text).encode('utf-8')

    def node(self, where: str) -> Node | None:
        """The value that a JSON pointer of object keys names."""
        node = self.root
        for part in pointer_parts(where):
            found = [member.node for member in node.members if member.key == part] if node else []
            node = found[0] if found else None
        return node

    def get(self, where: str) -> t.Any:
        """The value at a JSON pointer, or :data:`ABSENT`."""
        node = self.node(where)
        return ABSENT if node is None else node.value

    def source(self, where: str) -> str | None:
        """The text of the value at a JSON pointer, None when there is none."""
        node = self.node(where)
        return None if node is None else self.text[node.start:node.end]

    def set(self, where: str, value: t.Any, source: str | None = None) -> Document:
        """Give a key a value; objects on the way are made.

        :param source: write the value with this text (which must mean the same).
        :raises ConfigError: when something on the way is there and is no object.
        """
        parts = pointer_parts(where)
        node = self.node(where)
        if node is not None:
            if same_value(node.value, value):
                return self
            text = source or self._render_over(node, value, len(parts))
            return self._splice(node.start, node.end, text)
        parent = self._deepest(parts)
        if not isinstance(parent[1].value if parent[1] else {}, dict):
            raise ConfigError(f'{self.path}: {".".join(parts[:parent[0]])} is not an object, so {parts[parent[0]]} cannot be set in it.', path=self.path)
        for part in reversed(parts[parent[0] + 1:]):
            value, source = {part: value}, None
        return self._insert(parent[1], parts[parent[0]], value, parent[0], source)

    def remove(self, where: str) -> Document:
        """Take a key away; that it is not there is fine. The object around it stays, even when it is empty now."""
        parts = pointer_parts(where)
        parent = self.node(pointer(*parts[:-1]))
        members = parent.members if parent else ()
        index = next((number for number, member in enumerate(members) if member.key == parts[-1]), None)
        if index is None or parent is None:
            return self
        if len(members) == 1:
            return self._splice(parent.start + 1, parent.end - 1, '')
        if index + 1 < len(members):
            return self._splice(members[index].start, members[index + 1].start, '')
        return self._splice(members[index - 1].node.end, members[index].node.end, '')

    def _splice(self, start: int, end: int, text: str) -> Document:
        return self._of(self.path, self.text[:start] + text + self.text[end:], self.bom)

    def _deepest(self, parts: tuple[str, ...]) -> tuple[int, Node | None]:
        """How many of the parts are there, and the last of them."""
        node, depth = self.root, 0
        for part in parts:
            found = [member.node for member in node.members if member.key == part] if node else []
            if not found:
                break
            node, depth = found[0], depth + 1
        return depth, node

    # The style of the file

    @property
    def _newline(self) -> str:
        """The line end in use; none for a file on one line."""
        if self.root is None or not (self.root.members or self.root.items):
            return '\r\n' if '\r\n' in self.text else '\n'
        inside = self.text[self.root.start:self.root.end]
        return '\r\n' if '\r\n' in inside else '\n' if '\n' in inside else ''

    @property
    def _indent(self) -> str:
        if self.root and self.root.members:
            lead = self.text[self.root.start + 1:self.root.members[0].start]
            if '\n' in lead:
                return lead[lead.rfind('\n') + 1:] or DEFAULT_INDENT
        return DEFAULT_INDENT

    @property
    def _colon(self) -> str:
        """What stands between a key and its value, as the first key of the file has it."""
        if self.root and self.root.members:
            first = self.root.members[0]
            between = self.text[first.key_end:first.node.start]
            if '\n' not in between:
                return between
        return ': '

    def _render(self, value: t.Any, depth: int, inline: bool = False) -> str:
        """Text of a value that stands ``depth`` levels deep."""
        newline = '' if inline else self._newline
        return _render(value, depth, newline, self._indent, self._colon)

    def _render_over(self, node: Node, value: t.Any, depth: int) -> str:
        """Text of a value in place of another: a list keeps its shape, and the items that stay keep their spelling."""
        if not (isinstance(value, list) and node.items and value):
            return self._render(value, depth, inline=bool(node.items or node.members) and '\n' not in self.text[node.start:node.end])
        lead = self.text[node.start + 1:node.items[0].start]
        tail = self.text[node.items[-1].end:node.end - 1]
        between = lead
        if len(node.items) > 1:
            between = re.sub(r'^[ \t\r\n]*,', '', self.text[node.items[0].end:node.items[1].start])
        elif '\n' not in lead:
            between = ' ' if self._colon.endswith(' ') else ''
        spellings = [(item.value, self.text[item.start:item.end]) for item in node.items]
        texts = [self._spelling(item, spellings, depth + 1, '\n' not in lead) for item in value]
        return '[' + lead + (',' + between).join(texts) + tail + ']'

    def _spelling(self, item: t.Any, spellings: list[tuple[t.Any, str]], depth: int, inline: bool) -> str:
        for known, text in spellings:
            if same_value(known, item):
                return text
        return self._render(item, depth, inline)

    def _insert(self, parent: Node | None, key: str, value: t.Any, depth: int, source: str | None) -> Document:
        """Add a key at the end of an object that stands ``depth`` levels deep (0: the file itself)."""
        if parent is None:
            fresh = Document(self.path, '', self.bom, None)
            text = fresh._render({key: value}, 0) if source is None else fresh._around(key, source)
            return self._of(self.path, text + '\n', self.bom)
        if not parent.members:
            text = self._render({key: value}, depth) if source is None else self._around(key, source, depth)
            return self._splice(parent.start, parent.end, text)
        last = parent.members[-1]
        lead = self._lead(parent)
        inline = '\n' not in lead
        shown = source if source is not None else self._render(value, depth + 1, inline)
        colon = self.text[last.key_end:last.node.start]
        return self._splice(last.node.end, last.node.end, f',{lead}{dumps(key)}{colon if chr(10) not in colon else self._colon}{shown}')

    def _lead(self, parent: Node) -> str:
        """White space before a further key of an object that has some."""
        members = parent.members
        first = self.text[parent.start + 1:members[0].start]
        if len(members) == 1:
            return first if '\n' in first else ' ' if self._colon.endswith(' ') else ''
        return self.text[self.text.index(',', self._after(members[-2].node.end)) + 1:members[-1].start]

    def _after(self, position: int) -> int:
        return _Parser(self.text, self.path).skip(position)

    def _around(self, key: str, source: str, depth: int = 0) -> str:
        """An object of one key whose value's text is given."""
        shape = self._render({key: 0}, depth)
        end = shape.rindex('0')
        return shape[:end] + source + shape[end + 1:]


def _render(value: t.Any, depth: int, newline: str, indent: str, colon: str) -> str:
    if isinstance(value, dict) and value:
        parts = [dumps(str(key)) + colon + _render(one, depth + 1, newline, indent, colon) for key, one in value.items()]
        brackets = '{}'
    elif isinstance(value, (list, tuple)) and value:
        parts = [_render(one, depth + 1, newline, indent, colon) for one in value]
        brackets = '[]'
    else:
        return dumps(value)
    if not newline:
        return brackets[0] + (', ' if colon.endswith(' ') else ',').join(parts) + brackets[1]
    inner = newline + indent * (depth + 1)
    return brackets[0] + inner + (',' + inner).join(parts) + newline + indent * depth + brackets[1]
