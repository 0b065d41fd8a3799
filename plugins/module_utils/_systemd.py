# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd: asking systemctl, and reading unit files, drop-ins and environment files as systemd reads them.

Sources: systemd.syntax(7), systemd.service(5) (COMMAND LINES), systemd.exec(5) (Environment=, EnvironmentFile=), and of the code
``basic/env-file.c`` and ``basic/extract-word.c``.
"""
from __future__ import annotations

import dataclasses
import glob
import os
import re
import subprocess
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._root import below

#: Exit codes of our own, as the shell has them: no such command, time over.
RC_ABSENT = 127
RC_TIMEOUT = 124

#: Where units lie, the most important first (systemd.unit(5), "UNIT FILE LOAD PATH").
UNIT_DIRS = (
    '/etc/systemd/system.control',
    '/run/systemd/system.control',
    '/run/systemd/transient',
    '/etc/systemd/system',
    '/run/systemd/system',
    '/run/systemd/generator',
    '/usr/local/lib/systemd/system',
    '/usr/lib/systemd/system',
    '/lib/systemd/system',
)

_MAX_FILE = 1024 * 1024
_WHITESPACE = ' \t\n\r'
_NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_]*\Z')
_IN_WORD = re.compile(r'\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}')
_SIMPLE_ESCAPES = {'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v', 's': ' '}
_CODED_ESCAPE = re.compile(r'x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})')


@dataclasses.dataclass(frozen=True)
class Result:
    """What a command ended with; output is text, wrong bytes replaced."""

    rc: int
    stdout: str = ''
    stderr: str = ''


Runner = t.Callable[[t.Sequence[str], float], Result]


def run(command: t.Sequence[str], timeout: float) -> Result:
    """Run ``command`` without a shell, English messages, for at most ``timeout`` seconds. Never raises for what it ends with."""
    env = dict(os.environ, LC_ALL='C', SYSTEMD_PAGER='', SYSTEMD_COLORS='0')
    try:
        done = subprocess.run(list(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, env=env, check=False)
    except subprocess.TimeoutExpired:
        return Result(RC_TIMEOUT, '', f'{command[0]} did not finish within {timeout:g} seconds.')
    except OSError as exc:
        return Result(RC_ABSENT, '', f'{command[0]}: {exc.strerror or exc}')
    return Result(done.returncode, done.stdout.decode('utf-8', 'replace'), done.stderr.decode('utf-8', 'replace'))


def systemctl(*args: str, timeout: float = 30.0, runner: Runner = run) -> Result:
    """Run systemctl. ``rc`` is 127 where there is no systemctl and 124 when ``timeout`` seconds are over."""
    return runner(('systemctl', '--no-pager', '--no-ask-password') + args, timeout)


def journal(unit: str, since: float, *, runner: Runner = run) -> t.List[str]:
    """Return what a unit wrote since then (epoch seconds), oldest line first; at most its last thousand lines."""
    told = runner(('journalctl', '--no-pager', '--quiet', f'--since=@{since:.6f}', '--output=cat', '--lines=1000', f'--unit={unit}'), 15.0)
    return [line for line in told.stdout.splitlines() if line.strip()]


def show(unit: str, *props: str, runner: Runner = run) -> t.Dict[str, str]:
    """Return properties of one unit; see :func:`show_many`."""
    return show_many((unit,), props, runner=runner).get(unit, {})


def show_many(units: t.Sequence[str], props: t.Sequence[str], *, runner: Runner = run) -> t.Dict[str, t.Dict[str, str]]:
    """Return properties of several units with one systemctl: ``{unit: {property: text}}``.

    A unit that does not exist has ``LoadState: not-found``. A property that is printed more than once (``EnvironmentFiles``) holds
    its lines joined by a newline. Empty where systemd does not run. Times come as microseconds in UTC where systemctl can
    (248 and later), else as it prints them.
    """
    wanted = ','.join(dict.fromkeys(('Id',) + tuple(props)))
    result = systemctl('show', '--timestamp=us+utc', '--property', wanted, '--', *units, runner=runner)
    if result.rc and not result.stdout and 'timestamp' in result.stderr:
        result = systemctl('show', '--property', wanted, '--', *units, runner=runner)
    blocks = [block for block in re.split(r'\n\s*\n', result.stdout.strip('\n')) if block.strip()]
    if result.rc and len(blocks) != len(units):
        return {}
    return {unit: _properties(block) for unit, block in zip(units, blocks)}


def _properties(block: str) -> t.Dict[str, str]:
    found: t.Dict[str, str] = {}
    for line in block.split('\n'):
        name, sep, value = line.partition('=')
        if sep:
            found[name] = f'{found[name]}\n{value}' if name in found else value
    return found


# -- words, quotes and specifiers


def split_words(text: str) -> t.List[str]:
    """Split as systemd does: at whitespace, ``'`` and ``"`` quote, C escapes are undone everywhere (also inside quotes).

    An escape that systemd does not know is left as it is; an open quote ends with the text.
    """
    words: t.List[str] = []
    current: t.Optional[t.List[str]] = None  # pieces: text that grows by a character takes quadratic time
    quote = ''
    index = 0
    while index < len(text):
        char = text[index]
        index += 1
        if char == '\\':
            piece, index = _unescape(text, index)
            current = _with(current, piece)
        elif quote:
            if char == quote:
                quote = ''
            else:
                current = _with(current, char)
        elif char in '\'"':
            quote = char
            current = current or []
        elif char in _WHITESPACE:
            if current is not None:
                words.append(''.join(current))
            current = None
        else:
            current = _with(current, char)
    if current is not None:
        words.append(''.join(current))
    return words


def _with(pieces: t.Optional[t.List[str]], piece: str) -> t.List[str]:
    pieces = [] if pieces is None else pieces
    pieces.append(piece)
    return pieces


def _unescape(text: str, index: int) -> t.Tuple[str, int]:
    """Undo the escape whose backslash stands before ``index``; return what it means and where to go on."""
    if index >= len(text):
        return '\\', index
    char = text[index]
    if char in _SIMPLE_ESCAPES:
        return _SIMPLE_ESCAPES[char], index + 1
    coded = _CODED_ESCAPE.match(text, index)
    if coded is not None:
        digits = coded.group(4)
        number = int(digits, 8) if digits else int(next(part for part in coded.groups()[:3] if part), 16)
        return (chr(number) if 0 < number < 0x110000 else coded.group(0)), coded.end()
    if char in '\\"\'':
        return char, index + 1
    return '\\' + char, index + 1


def quote_assignment(name: str, value: str) -> str:
    """Return ``"NAME=value"`` for an ``Environment=`` line: quoted, and ``%`` doubled, since systemd expands specifiers there.

    Raises ValueError for a control character, which has no business in an environment variable of ours.
    """
    if not _NAME.match(name) or any(ord(char) < 0x20 or ord(char) == 0x7F for char in value):
        raise ValueError(f'{name} cannot be written into a systemd unit: it holds a control character.')
    safe = value.replace('\\', '\\\\').replace('"', '\\"').replace('%', '%%')
    return f'"{name}={safe}"'


def expand_specifiers(text: str, unit: str) -> str:
    """Expand the ``%`` specifiers whose value does not depend on the machine's state; others stay as they are."""
    stem = unit.rpartition('.')[0] or unit
    prefix, _sep, instance = stem.partition('@')
    known = {
        '%': '%', 'n': unit, 'N': stem, 'p': prefix, 'P': prefix, 'i': instance, 'I': instance, 'j': prefix.rpartition('-')[2],
        't': '/run', 'S': '/var/lib', 'C': '/var/cache', 'L': '/var/log', 'E': '/etc', 'h': '/root', 'u': 'root', 'U': '0', 's': '/bin/sh',
    }
    return re.sub(r'%(.)', lambda match: known.get(match.group(1), match.group(0)), text)


# -- files


def read_unit(text: str) -> t.List[t.Tuple[str, str, str]]:
    """Return a unit file's assignments in order as ``(section, key, value)``; a line continued with ``\\`` is one line."""
    assignments: t.List[t.Tuple[str, str, str]] = []
    section = ''
    pending = ''
    for raw in re.split(r'\r?\n|\r', text):  # not splitlines(), which also splits at characters that may stand in a value
        line = raw.lstrip()
        if line[:1] in ('#', ';'):
            continue  # also between the parts of a continued line
        if raw.endswith('\\'):
            pending += raw[:-1] + ' '
            continue
        line = (pending + raw).strip()
        pending = ''
        if line.startswith('[') and line.endswith(']'):
            section = line[1:-1]
        elif '=' in line:
            key, _sep, value = line.partition('=')
            assignments.append((section, key.strip(), value.strip()))
    return assignments


def read_environment_file(text: str) -> t.Dict[str, str]:
    """Parse the text of an ``EnvironmentFile=`` with systemd's rules, which are not the shell's.

    Quotes count only where a value begins (or right after a closing quote); ``$`` is never expanded; ``\\`` escapes any character
    outside quotes, and inside double quotes only ``"``, ``\\``, a backquote and ``$``; ``export NAME=`` is no assignment.
    """
    return _EnvironmentFile(text).parse()


class _EnvironmentFile:
    """A small state machine: one method a state, each takes a character."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._key: t.List[str] = []
        self._value: t.List[str] = []
        self._keep = 0  # so many pieces of the value are not trailing whitespace
        self.found: t.Dict[str, str] = {}

    def parse(self) -> t.Dict[str, str]:
        state: t.Callable[[str], t.Any] = self._before_key
        for char in self._text.replace('\r\n', '\n').replace('\r', '\n'):
            state = state(char)
        if state not in (self._before_key, self._in_key, self._in_comment):
            self._store()
        return self.found

    def _store(self) -> None:
        key = ''.join(self._key).rstrip(_WHITESPACE)
        value = ''.join(self._value[:self._keep]) + ''.join(self._value[self._keep:]).rstrip(_WHITESPACE)
        if _NAME.match(key):
            self.found[key] = value
        self._key, self._value, self._keep = [], [], 0

    def _add(self, text: str, *, quoted: bool) -> None:
        self._value.append(text)
        if quoted:
            self._keep = len(self._value)

    def _before_key(self, char: str) -> t.Any:
        if char in '#;':
            return self._in_comment
        if char in _WHITESPACE:
            return self._before_key
        self._key = [char]
        return self._in_key

    def _in_key(self, char: str) -> t.Any:
        if char == '\n':
            self._key = []
            return self._before_key
        if char == '=':
            return self._before_value
        self._key.append(char)
        return self._in_key

    def _before_value(self, char: str) -> t.Any:
        if char == '\n':
            self._store()
            return self._before_key
        if char in '\'"':
            return self._single if char == "'" else self._double
        if char == '\\':
            return self._escape
        if char in _WHITESPACE:
            return self._before_value
        self._add(char, quoted=False)
        return self._in_value

    def _in_value(self, char: str) -> t.Any:
        if char == '\n':
            self._store()
            return self._before_key
        if char == '\\':
            return self._escape
        self._add(char, quoted=False)
        return self._in_value

    def _escape(self, char: str) -> t.Any:
        if char != '\n':  # an escaped end of line just goes
            self._add(char, quoted=True)
        return self._in_value

    def _single(self, char: str) -> t.Any:
        if char == "'":
            return self._before_value
        self._add(char, quoted=True)
        return self._single

    def _double(self, char: str) -> t.Any:
        if char == '"':
            return self._before_value
        if char == '\\':
            return self._double_escape
        self._add(char, quoted=True)
        return self._double

    def _double_escape(self, char: str) -> t.Any:
        if char in '"\\`$':
            self._add(char, quoted=True)
        elif char != '\n':
            self._add('\\' + char, quoted=True)
        return self._double

    def _in_comment(self, char: str) -> t.Any:
        return self._before_key if char == '\n' else self._in_comment


def read_small(path: str) -> t.Optional[str]:
    """Return the text of a regular file, at most 1 MiB of it; None when it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(fd, 'rb') as file:
        try:
            return file.read(_MAX_FILE).decode('utf-8', 'replace')
        except OSError:  # a directory
            return None


# -- what a unit would run


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where something was written: ``source`` is ``unit``, ``drop-in`` or ``EnvironmentFile``; ``path`` the file."""

    source: str
    path: str


@dataclasses.dataclass(frozen=True)
class Word:
    """A word of a command line, and the file it comes from (for a variable: the file that sets the variable)."""

    text: str
    origin: Origin


@dataclasses.dataclass(frozen=True)
class Variable:
    """An environment variable that unit files set."""

    value: str
    origin: Origin


@dataclasses.dataclass(frozen=True)
class UnitFiles:
    """A service as its files on disk describe it, so what its next start after a daemon-reload would be.

    ``fragment`` is the unit file (empty: there is none), ``drop_ins`` those in force in order, ``environment`` what ``Environment=``
    and ``EnvironmentFile=`` give (the latter wins), ``unset`` the names of ``UnsetEnvironment=``, ``exec_start`` the command with
    variables put in, ``resets`` the files with an ``Environment=`` that clears what was set before, ``masked`` whether the unit
    file is a link to /dev/null.
    """

    fragment: str = ''
    drop_ins: t.Tuple[str, ...] = ()
    environment: t.Mapping[str, Variable] = dataclasses.field(default_factory=dict, repr=False)
    unset: t.Mapping[str, Origin] = dataclasses.field(default_factory=dict)
    exec_start: t.Tuple[Word, ...] = dataclasses.field(default=(), repr=False)
    resets: t.Tuple[str, ...] = ()
    masked: bool = False


def unit_files(unit: str, *, fragment: str = '', drop_ins: t.Iterable[str] = (), root: str = '/', ignore: str = '') -> UnitFiles:
    """Read a service's files below ``root``.

    ``fragment`` and ``drop_ins`` are what systemd says it has loaded (``FragmentPath``, ``DropInPaths``), where it runs; the files
    are looked for on disk as well, because systemd does not know yet what was written since its last daemon-reload.
    ``ignore`` is a drop-in that is treated as if it were not there.
    """
    masked = _is_masked(unit, root)
    if not fragment or not os.path.exists(below(root, fragment)):
        fragment = _find_fragment(unit, root)
    names = [path for path in _find_drop_ins(unit, drop_ins, root) if path != ignore]
    reading = _Reading(unit, root)
    if fragment:
        reading.read(Origin('unit', fragment))
    for path in names:
        reading.read(Origin('drop-in', path))
    return UnitFiles(
        fragment=fragment,
        drop_ins=tuple(names),
        environment=reading.whole_environment(),
        unset=reading.unset,
        exec_start=tuple(reading.command()),
        resets=tuple(reading.resets),
        masked=masked,
    )


def _is_masked(unit: str, root: str) -> bool:
    for folder in UNIT_DIRS:
        path = below(root, f'{folder}/{unit}')
        if os.path.lexists(path):
            return os.path.islink(path) and os.readlink(path) == '/dev/null'
    return False


def _find_fragment(unit: str, root: str) -> str:
    for folder in UNIT_DIRS:
        if os.path.isfile(below(root, f'{folder}/{unit}')):
            return f'{folder}/{unit}'
    return ''


def _find_drop_ins(unit: str, loaded: t.Iterable[str], root: str) -> t.List[str]:
    """Drop-ins in the order in which they are read: by file name; of two with one name the more important directory's counts.

    Those of the unit hide those for all services (``service.d``), whatever directory they lie in.
    """
    by_name: t.Dict[str, str] = {}
    folders = [f'{folder}/{unit}.d' for folder in UNIT_DIRS] + [f'{folder}/service.d' for folder in UNIT_DIRS]
    for folder in folders:
        try:
            names = os.listdir(below(root, folder))
        except OSError:
            continue
        for name in names:
            if name.endswith('.conf') and not name.startswith('.'):
                by_name.setdefault(name, f'{folder}/{name}')
    for path in loaded:
        if path.startswith('/') and os.path.exists(below(root, path)):
            by_name.setdefault(os.path.basename(path), path)
    return [by_name[name] for name in sorted(by_name) if os.path.isfile(below(root, by_name[name]))]


class _Reading:
    """Collects the assignments that matter over the unit file and its drop-ins, with systemd's resets (an empty value)."""

    def __init__(self, unit: str, root: str) -> None:
        self._unit = unit
        self._root = root
        self._environment: t.Dict[str, Variable] = {}
        self._files: t.List[t.Tuple[str, Origin]] = []
        self._command: t.Optional[t.Tuple[str, Origin]] = None
        self.unset: t.Dict[str, Origin] = {}
        self.resets: t.List[str] = []

    def read(self, origin: Origin) -> None:
        text = read_small(below(self._root, origin.path))
        for section, key, value in read_unit(text or ''):
            if section == 'Service':
                self._take(key, value, origin)

    def _take(self, key: str, value: str, origin: Origin) -> None:
        if key == 'ExecStart':
            if not value:
                self._command = None
            elif self._command is None:  # a second command is an error unless the service is a oneshot
                self._command = (value, origin)
        elif key == 'Environment':
            self._take_environment(value, origin)
        elif key == 'EnvironmentFile':
            self._files = self._files + [(value, origin)] if value else []
        elif key == 'UnsetEnvironment':
            self.unset = dict(self.unset, **{word.partition('=')[0]: origin for word in split_words(value)}) if value else {}

    def _take_environment(self, value: str, origin: Origin) -> None:
        if not value:
            self._environment = {}
            self.resets.append(origin.path)
        for word in split_words(value):
            name, sep, content = expand_specifiers(word, self._unit).partition('=')
            if sep and _NAME.match(name):
                self._environment[name] = Variable(content, origin)

    def whole_environment(self) -> t.Dict[str, Variable]:
        found = dict(self._environment)
        for pattern, _origin in self._files:
            path = expand_specifiers(pattern.lstrip('-'), self._unit)
            for name in sorted(glob.glob(below(self._root, path))):
                own = name if self._root in ('', '/') else name[len(self._root.rstrip('/')):]
                for key, value in read_environment_file(read_small(name) or '').items():
                    found[key] = Variable(value, Origin('EnvironmentFile', own))
        return {name: value for name, value in found.items() if name not in self.unset}

    def command(self) -> t.List[Word]:
        if self._command is None:
            return []
        value, origin = self._command
        prefix = re.match(r'[-@:+!|]*', value)
        marks = prefix.group(0) if prefix else ''
        words = [expand_specifiers(word, self._unit) for word in split_words(value[len(marks):])]
        if '@' in marks:
            del words[1:2]  # it is argv[0]
        if ':' in marks:
            return [Word(word, origin) for word in words]
        environment = self.whole_environment()
        return words_with_variables(words, origin, environment)


def words_with_variables(words: t.Iterable[str], origin: Origin, environment: t.Mapping[str, Variable]) -> t.List[Word]:
    """Put variables into the words of a command line, as systemd does.

    ``$NAME`` as a word of its own becomes as many words as the value has, its quotes respected; ``${NAME}`` anywhere in a word
    becomes the value as it is; ``$$`` is a dollar sign; ``$NAME`` inside a word stays.
    """
    result: t.List[Word] = []
    for word in words:
        alone = word[1:] if word.startswith('$') else ''
        if _NAME.match(alone):
            variable = environment.get(alone)
            if variable is not None:
                result.extend(Word(part, variable.origin) for part in split_words(variable.value))
            continue
        names = [name for name in _IN_WORD.findall(word) if name in environment]
        text = _IN_WORD.sub(lambda match: _variable_text(match, environment), word)
        result.append(Word(text, environment[names[0]].origin if names else origin))
    return result


def _variable_text(match: t.Match[str], environment: t.Mapping[str, Variable]) -> str:
    if match.group(0) == '$$':
        return '$'
    variable = environment.get(match.group(1))
    return variable.value if variable is not None else ''
