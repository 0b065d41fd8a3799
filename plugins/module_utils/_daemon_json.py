# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether dockerd would start with a daemon.json, told from what is known of its versions."""

from __future__ import annotations

import difflib
import ipaddress
import re
import typing as t
import urllib.parse

from ansible_collections.quickpull.registry.plugins.module_utils import _daemon_keys as keys
from ansible_collections.quickpull.registry.plugins.module_utils._daemon_keys import KNOWN_KEYS, MAY_BE_FLAG_TOO, NEWEST, TAKEN_WHOLE, Key
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import DOCKER_MIRROR_PATH_SINCE, has_path, shown_url

if t.TYPE_CHECKING:
    from ansible_collections.quickpull.registry.plugins.module_utils._docker_flags import Flag

Version = t.Optional[t.Tuple[int, ...]]


def shown_version(version: Version) -> str:
    """``23.0`` for (23,)."""
    numbers = version or ()
    return '.'.join(str(number) for number in (numbers if len(numbers) > 1 else (*numbers, 0)))


def reloadable(key: str, version: Version) -> bool:
    """Whether a reload makes dockerd of this version read the top-level key anew."""
    known = KNOWN_KEYS.get(key)
    return known is not None and known.reload and (version is None or version >= known.since)


def _all(value: t.Any, kind: type) -> bool:
    """Whether all entries are of a kind; null leaves Go's zero value, so it is always right."""
    return all(entry is None or (isinstance(entry, kind) and not (kind is int and isinstance(entry, bool))) for entry in value)


def _is_integer(value: t.Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_KINDS: dict[str, t.Callable[[t.Any], bool]] = {
    keys.STRING: lambda value: isinstance(value, str),
    keys.BOOL: lambda value: isinstance(value, bool),
    keys.INTEGER: _is_integer,
    keys.SIZE: lambda value: isinstance(value, str),
    keys.STRINGS: lambda value: isinstance(value, list) and _all(value, str),
    keys.STRING_MAP: lambda value: isinstance(value, dict) and _all(value.values(), str),
    keys.STRING_MAPS: lambda value: isinstance(value, dict) and _all(value.values(), dict) and all(_all((one or {}).values(), str) for one in value.values()),
    keys.BOOL_MAP: lambda value: isinstance(value, dict) and _all(value.values(), bool),
    keys.OBJECTS: lambda value: isinstance(value, list) and _all(value, dict),
    keys.OBJECT_MAP: lambda value: isinstance(value, dict) and _all(value.values(), dict),
    keys.OBJECT: lambda value: isinstance(value, dict),
}


def type_problem(key: str, value: t.Any) -> str:
    """What is wrong with the type of a top-level key's value; empty when nothing is, or when nothing is known of the key.

    The value itself is not shown: it may be a secret.
    """
    known = KNOWN_KEYS.get(key)
    if known is None or not known.kind or (value is None and known.kind != keys.SIZE):
        return ''
    if not _KINDS[known.kind](value):
        return f'{key} must be {known.kind}{_hint(known.kind, value)}.'
    if key == 'proxies' and not _all(value.values(), str):
        return 'The values in proxies must be strings.'
    return _ulimits_problem(value) if key == 'default-ulimits' else ''


def _ulimits_problem(value: t.Mapping[str, t.Any]) -> str:
    """go-units, Ulimit: Name string, Hard and Soft int64. Go takes the names in any case, and ignores others."""
    for limit, entries in value.items():
        for name, entry in (entries or {}).items():
            if name.lower() in ('hard', 'soft') and entry is not None and not (_is_integer(entry) and -(2**63) <= entry < 2**63):
                return f'{name} of {limit} in default-ulimits must be a whole number, without quotes.'
            if name.lower() == 'name' and entry is not None and not isinstance(entry, str):
                return f'{name} of {limit} in default-ulimits must be a string.'
    return ''


def _hint(kind: str, value: t.Any) -> str:
    """For the mistake that is made most: ``max-file: 3`` where dockerd wants ``"3"``."""
    if kind == keys.STRING_MAP and isinstance(value, dict):
        wrong = [name for name, entry in value.items() if not isinstance(entry, str) and entry is not None]
        return f'; write the value of {", ".join(wrong)} in quotes'
    if kind == keys.BOOL and isinstance(value, str):
        return ', without quotes'
    return ''


def flat_names(config: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The names that dockerd compares with its flags, each with where it stands (``proxies.http-proxy``)."""
    names: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, dict) and key not in TAKEN_WHOLE:
            names.update({inner: f'{key}.{inner}' for inner in value})
        else:
            names[key] = key
    return names


# Since this version `dockerd --validate` looks at the values; below it, what is certain is looked at here.
_VALIDATES_ITSELF = (23,)
# logrus, ParseLevel (in lower case).
_LOG_LEVELS = ('', 'panic', 'fatal', 'error', 'warn', 'warning', 'info', 'debug', 'trace')
# opts.ValidateLabel; the namespaces since 20.10.
_RESERVED_LABELS = ('com.docker.', 'io.docker.', 'org.dockerproject.')
# go-units, sizeRegex and strconv.ParseFloat.
_SIZE = re.compile(r'^[0-9]+(\.[0-9]+)? ?[kKmMgGtTpP]?[iI]?[bB]?\Z')


def _log_level(value: t.Any, _version: tuple[int, ...]) -> str:
    return '' if value.lower() in _LOG_LEVELS else 'log-level must be one of debug, info, warn, error or fatal'


def _labels(value: t.Any, version: tuple[int, ...]) -> str:
    for label in filter(None, value):
        if '=' not in label:
            return 'labels holds a label without ='
        if version >= (20, 10) and label.lower().startswith(_RESERVED_LABELS):
            return 'labels holds one that begins with com.docker., io.docker. or org.dockerproject., which are reserved for Docker'
    return ''


def _dns(value: t.Any, _version: tuple[int, ...]) -> str:
    """opts.ValidateIPAddress. Go before 1.17 takes leading zeros, and so does this, and an IPv6 address with dots is left alone."""
    for address in filter(None, value):
        text = address.strip()
        try:
            if not (':' in text and '.' in text and text.count(':') > 1):
                ipaddress.ip_address(text if ':' in text else re.sub(r'(^|\.)0+(?=[0-9])', r'\1', text))
        except ValueError:
            return f'{address!r} in dns is no address'
    return ''


def _not_negative(key: str) -> t.Callable[[t.Any, tuple[int, ...]], str]:
    return lambda value, _version: f'{key} must not be negative' if value < 0 else ''


# moby 20.10: daemon/config/config.go, Validate, and cmd/dockerd/daemon.go, configureDaemonLogs. Values have the right type and are not null.
_VALUES: dict[str, t.Callable[[t.Any, tuple[int, ...]], str]] = {
    'default-shm-size': lambda value, _version: '' if _SIZE.match(value) else 'default-shm-size is no size; write it like "64m"',
    'dns': _dns,
    'labels': _labels,
    'log-level': _log_level,
    'max-concurrent-downloads': _not_negative('max-concurrent-downloads'),
    'max-concurrent-uploads': _not_negative('max-concurrent-uploads'),
    'max-download-attempts': lambda value, _version: '' if value > 0 else 'max-download-attempts must be at least 1',
}


class _Check:
    def __init__(self, version: Version, asked: t.Collection[str], path: str) -> None:
        self.version = version
        self.asked = asked
        self.path = path
        self.errors: list[str] = []
        self.warnings: list[str] = []

    @property
    def newer_than_table(self) -> bool:
        return self.version is not None and self.version[:2] > NEWEST

    def lax(self, sentence: str, certain: bool = True) -> None:
        """An error, or a warning where the version is not known (well enough)."""
        if self.version is None or not certain:
            version = 'which version of Docker will read it is not known' if self.version is None else 'left to dockerd --validate'
            self.warnings.append(f'{sentence.rstrip(".")} ({version}).')
        else:
            self.errors.append(sentence)

    def keys(self, config: t.Mapping[str, t.Any]) -> None:
        for key, value in config.items():
            known = KNOWN_KEYS.get(key)
            is_object = isinstance(value, dict) and key not in TAKEN_WHOLE
            if is_object and key != 'proxies' and (known is None or known.instead):
                self.stray_object(key, value)
            elif is_object and key == 'proxies':
                self.proxies(value)
            else:
                self.name(key, key)

    def name(self, name: str, shown: str) -> None:
        """One name as dockerd compares it."""
        known = KNOWN_KEYS.get(name)
        if known is None:
            close = difflib.get_close_matches(name, [one for one, key in KNOWN_KEYS.items() if not key.instead], 1, 0.8)
            hint = f' Did you mean {close[0]}?' if close else ''
            self.lax(
                f'{self.path}: {shown} is no key that Docker knows, and dockerd would not start with it. Take it out of {self.source(shown)}.{hint}',
                certain=not self.newer_than_table,
            )
        elif self.version is not None and self.version < known.since:
            self.too_old(shown, known)
        elif self.version is not None and known.until is not None and self.version >= known.until:
            self.errors.append(
                f'{self.path}: Docker knows {shown} only before {shown_version(known.until)}, this host runs {shown_version(self.version)}, '
                f'and dockerd would not start with it. Take it out of {self.source(shown)}.'
            )
        elif known.instead:
            self.inert(shown, known.instead)

    def too_old(self, shown: str, known: Key) -> None:
        way_out = f'Take it out of {self.source(shown)}, or upgrade Docker.'
        if shown.startswith('proxies'):
            way_out = 'Use the module quickpull.registry.engine_proxy_dropin on this host instead, or upgrade Docker.'
        self.errors.append(
            f'{self.path}: Docker knows {shown} since {shown_version(known.since)}, this host runs {shown_version(self.version)}, '
            f'and dockerd would not start with it. {way_out}'
        )

    def source(self, shown: str) -> str:
        return 'settings' if shown.split('.')[0] in self.asked else 'the file'

    def inert(self, shown: str, instead: str) -> None:
        sentence = f'{self.path}: dockerd accepts {shown} and ignores it; what it reads is {instead}.'
        if shown.split('.')[0] in self.asked:
            self.errors.append(sentence)
        else:
            self.warnings.append(sentence)

    def stray_object(self, key: str, value: t.Mapping[str, t.Any]) -> None:
        """dockerd does not look at the name of such an object, only at the names in it, and then ignores it."""
        if key in self.asked:
            self.name(key, key)
            return
        for inner in value:
            self.name(inner, f'{key}.{inner}')
        self.warnings.append(f'{self.path}: {key} is no key that Docker knows; dockerd ignores this object.')

    def proxies(self, value: t.Mapping[str, t.Any]) -> None:
        if self.version is not None and self.version < KNOWN_KEYS['proxies'].since:
            if value or 'proxies' in self.asked:
                self.too_old('proxies', KNOWN_KEYS['proxies'])
            return
        for inner in value:
            if inner not in keys.PROXY_KEYS:
                self.name(inner, f'proxies.{inner}') if inner not in KNOWN_KEYS else self.warnings.append(
                    f'{self.path}: dockerd ignores proxies.{inner}.'
                )

    def types(self, config: t.Mapping[str, t.Any]) -> None:
        for key, value in config.items():
            problem = type_problem(key, value)
            if problem:
                self.errors.append(f'{self.path}: {problem}')

    def values(self, config: t.Mapping[str, t.Any]) -> None:
        """What an old dockerd, which cannot be asked with --validate, surely refuses."""
        if self.version is None or self.version >= _VALIDATES_ITSELF:
            return
        for key, problem_of in _VALUES.items():
            value = config.get(key)
            problem = problem_of(value, self.version) if value is not None and not type_problem(key, value) else ''
            if problem:
                self.errors.append(f'{self.path}: {problem}, and dockerd would not start with it. Correct it in {self.source(key)}.')

    def flags(self, config: t.Mapping[str, t.Any], flags: t.Iterable[Flag]) -> None:
        names = flat_names(config)
        seen: set[tuple[str, str]] = set()
        for flag in flags:
            name = flag.key.rsplit('.', 1)[-1]
            if not name or name in MAY_BE_FLAG_TOO or name not in names or (name, flag.path) in seen:
                continue
            seen.add((name, flag.path))
            place = f'{flag.source} {flag.path}' if flag.path else 'the command line of the running daemon'
            way_out = f'Take --{flag.name} out there (and restart Docker), or leave {names[name]} out of {self.path}.'
            self.errors.append(
                f'{self.path}: {names[name]} is also given by the flag --{flag.name} ({place}), '
                f'and dockerd does not start when a key is in both, even with the same value. {way_out}'
            )

    def mirrors(self, config: t.Mapping[str, t.Any]) -> None:
        """What dockerd refuses of a list that is not, or not all, ours; ours were checked more closely before."""
        mirrors = config.get('registry-mirrors')
        for url in mirrors if isinstance(mirrors, list) else ():
            problem = self.mirror_problem(url) if isinstance(url, str) else ''
            if problem:
                self.lax(f'{self.path}: {shown_url(url)!r} in registry-mirrors {problem}, and dockerd would not start with it. Take it out.')

    def mirror_problem(self, url: str) -> str:
        """After moby's registry/config.go, ValidateMirror."""
        try:
            parts = urllib.parse.urlsplit(url)
        except ValueError:
            return 'is no URL'
        if parts.scheme not in ('http', 'https'):
            return 'does not begin with http:// or https://'
        if parts.query or parts.fragment or '@' in parts.netloc:
            return 'has a user, a query or a fragment'
        if self.version is not None and self.version < DOCKER_MIRROR_PATH_SINCE and has_path(url):
            return f'has a path, which Docker accepts since {shown_version(DOCKER_MIRROR_PATH_SINCE)} (this host runs {shown_version(self.version)})'
        return ''


def check_config(
    config: t.Mapping[str, t.Any],
    version: Version,
    flags: t.Iterable[Flag] = (),
    *,
    asked: t.Collection[str] = (),
    path: str = '/etc/docker/daemon.json',
) -> list[str]:
    """Refuse a configuration that dockerd would not start with, whoever wrote the part that is wrong.

    :param config: the whole content of the file as it will be.
    :param version: of the dockerd that will read it. None when unknown: rules of versions are then warnings.
    :param flags: all flags in force and those of the next start.
    :param asked: the top-level keys that the caller sets; a name that dockerd would ignore is refused in these.
    :returns: warnings, one sentence each.
    :raises ConfigError: with one sentence for each thing that is wrong.
    """
    check = _Check(version, asked, path)
    check.types(config)
    check.values(config)
    check.keys(config)
    check.flags(config, flags)
    check.mirrors(config)
    if check.errors:
        raise ConfigError(' '.join(check.errors), path=path)
    return check.warnings


def check_types(config: t.Mapping[str, t.Any], *, where: str) -> None:
    """Refuse values of a wrong type among what a caller asks for.

    :raises ConfigError: with one sentence for each.
    """
    problems = [problem for problem in (type_problem(key, value) for key, value in config.items() if value is not None) if problem]
    if problems:
        raise ConfigError(' '.join(f'{where}: {problem}' for problem in problems))
