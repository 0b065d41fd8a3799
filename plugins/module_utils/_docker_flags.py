# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""dockerd's flags: reading a command line as its flag library does, and the names that daemon.json has for them.

Sources: moby ``daemon/command/config.go``, ``config_unix.go`` and ``options.go`` (before 29: ``cmd/dockerd``), and spf13/pflag
``flag.go`` for the spellings: ``--name=value``, ``--name value``, ``--bool``, ``-Hvalue``, ``-H=value``, ``-H value``, ``-DH value``.
"""
from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._mask import MASKED_SECRET, mask_url
from ansible_collections.quickpull.registry.plugins.module_utils._systemd import Origin, Word, split_words

SHORT_FLAGS = {
    'b': 'bridge', 'D': 'debug', 'G': 'group', 'H': 'host', 'h': 'help', 'l': 'log-level', 'p': 'pidfile', 'r': 'restart',
    's': 'storage-driver', 'v': 'version',
}

#: Flags that take no separate value: ``--debug false`` is not ``--debug=false``.
BOOLEAN_FLAGS = frozenset((
    'allow-direct-routing', 'cri-containerd', 'debug', 'disable-legacy-registry', 'experimental', 'firewall-skip', 'help', 'icc', 'init',
    'ip-forward', 'ip-forward-no-drop', 'ip-masq', 'ip6tables', 'iptables', 'ipv6', 'live-restore', 'no-new-privileges', 'raw-logs',
    'restart', 'rootless', 'selinux-enabled', 'tls', 'tlsverify', 'userland-proxy', 'validate', 'version',
))

#: Flags whose key in daemon.json is spelt differently; all others have the same name there.
_KEYS = {
    'add-runtime': 'runtimes',
    'authorization-plugin': 'authorization-plugins',
    'cdi-spec-dir': 'cdi-spec-dirs',
    'cluster-store-opt': 'cluster-store-opts',
    'default-address-pool': 'default-address-pools',
    'default-network-opt': 'default-network-opts',
    'default-ulimit': 'default-ulimits',
    'dns-opt': 'dns-opts',
    'exec-opt': 'exec-opts',
    'feature': 'features',
    'host': 'hosts',
    'http-proxy': 'proxies.http-proxy',
    'https-proxy': 'proxies.https-proxy',
    'insecure-registry': 'insecure-registries',
    'label': 'labels',
    'log-opt': 'log-opts',
    'no-proxy': 'proxies.no-proxy',
    'node-generic-resource': 'node-generic-resources',
    'registry-mirror': 'registry-mirrors',
    'storage-opt': 'storage-opts',
    # These are for the command line alone.
    'config-file': '', 'help': '', 'restart': '', 'validate': '', 'version': '',
}

_SECRET_NAME = re.compile(r'token|secret|passw|credential|access-?key', re.IGNORECASE)
_URL = re.compile(r'://')


@dataclasses.dataclass(frozen=True)
class Flag:
    """A flag of dockerd.

    ``name`` is the long name without dashes (``registry-mirror``), ``key`` the name that daemon.json has for the same thing
    (``registry-mirrors``): the two together keep dockerd from starting. ``--http-proxy``, ``--https-proxy`` and ``--no-proxy`` have
    ``proxies.http-proxy`` and so on, because dockerd compares inside ``proxies``. ``key`` is empty where daemon.json has no such key
    (``config-file``, ``validate``). ``values`` holds each value given, ``('true',)`` for a bare boolean; they may hold secrets.

    ``source`` is ``unit``, ``drop-in``, ``EnvironmentFile`` or ``command line`` (in the running daemon's arguments, but in no file
    that could have put it there); ``path`` is the file, empty for ``command line``. A flag given in two places is two Flags.
    """

    name: str
    key: str
    values: t.Tuple[str, ...] = dataclasses.field(repr=False)
    source: str
    path: str


def key_of(name: str) -> str:
    """Return the daemon.json key of a flag's long name; see :class:`Flag`."""
    return _KEYS.get(name, name)


def parse_argv(argv: t.Sequence[str]) -> t.List[t.Tuple[str, str, int]]:
    """Return ``(long name, value, index of the word)`` for each flag in a command line whose first word is the program.

    Words that are no flag are passed over, as are flags without their value; everything behind ``--`` is no flag.
    """
    found: t.List[t.Tuple[str, str, int]] = []
    index = 1
    while index < len(argv):
        word, at = argv[index], index
        index += 1
        if word == '--':
            break
        if word.startswith('--'):
            names, value = _long(word)
        elif word.startswith('-') and word != '-':
            names, value = _short(word)
        else:
            continue
        for name in names[:-1]:
            found.append((name, 'true', at))
        last = names[-1]
        if value is None and last in BOOLEAN_FLAGS:
            value = 'true'
        elif value is None:
            if index >= len(argv):
                break
            value = argv[index]
            index += 1
        found.append((last, value, at))
    return found


def _long(word: str) -> t.Tuple[t.List[str], t.Optional[str]]:
    name, sep, value = word[2:].partition('=')
    return [name], (value if sep else None)


def _short(word: str) -> t.Tuple[t.List[str], t.Optional[str]]:
    """Take ``-DH=value`` apart: booleans may stand in front, the last one may have its value attached."""
    letters = word[1:]
    names: t.List[str] = []
    while letters:
        name = SHORT_FLAGS.get(letters[0], letters[0])
        names.append(name)
        letters = letters[1:]
        if letters.startswith('='):
            return names, letters[1:]
        if letters and name not in BOOLEAN_FLAGS:
            return names, letters
    return names, None


def flags_of_unit(words: t.Sequence[Word]) -> t.List[Flag]:
    """Return the flags that a unit's command line gives dockerd, each with the file it comes from."""
    words = _of_dockerd(words)
    return _grouped((name, value, words[at].origin) for name, value, at in parse_argv([word.text for word in words]))


def flags_in_force(argv: t.Sequence[str], unit: t.Sequence[Flag]) -> t.List[Flag]:
    """Return the flags of a running daemon. What the files say only tells where a flag comes from, never that it is there."""
    homes: t.Dict[t.Tuple[str, str], t.List[Origin]] = {}
    for flag in unit:
        for value in flag.values:
            homes.setdefault((flag.name, value), []).append(Origin(flag.source, flag.path))
    return _grouped((name, value, _next(homes, name, value)) for name, value, _at in parse_argv(argv))


def _next(homes: t.Dict[t.Tuple[str, str], t.List[Origin]], name: str, value: str) -> Origin:
    waiting = homes.get((name, value))
    return waiting.pop(0) if waiting else Origin('command line', '')


def _grouped(found: t.Iterable[t.Tuple[str, str, Origin]]) -> t.List[Flag]:
    values: t.Dict[t.Tuple[str, Origin], t.List[str]] = {}
    for name, value, origin in found:
        values.setdefault((name, origin), []).append(value)
    return [Flag(name, key_of(name), tuple(given), origin.source, origin.path) for (name, origin), given in values.items()]


def is_dockerd(word: str) -> bool:
    """Whether a word of a command line is the program dockerd."""
    return os.path.basename(word).startswith('dockerd')


def _of_dockerd(words: t.Sequence[Word]) -> t.List[Word]:
    """Return the part of a command line that starts with dockerd, which may stand behind, or inside of, a wrapper's words.

    ``/bin/sh -c "exec dockerd -H fd://"`` is such a wrapper.
    """
    if words and not is_dockerd(words[0].text):
        words = [Word(part, word.origin) for word in words for part in _parts(word.text)]
    for index, word in enumerate(words):
        if is_dockerd(word.text):
            return list(words[index:])
    return list(words[:1]) if words else []


def _parts(text: str) -> t.List[str]:
    return split_words(text) if ' ' in text else [text]


def masked_values(flag: Flag) -> t.List[str]:
    """Return a flag's values as people may see them: no user and password in a URL, no token in a log option."""
    return [_masked(value) for value in flag.values]


def is_secret_name(name: str) -> bool:
    """Whether the value of an option of this name is nobody's business (``splunk-token``, ``fluentd-password``)."""
    return _SECRET_NAME.search(name) is not None


def _masked(value: str) -> str:
    name, sep, _rest = value.partition('=')
    if sep and not _URL.search(name) and is_secret_name(name):
        return f'{name}={MASKED_SECRET}'
    if sep and _URL.search(value) and not _URL.search(name):
        return f'{name}={mask_url(value[len(name) + 1:])}'
    return mask_url(value)
