# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The logins of a host: which go into which file, and the work on one file, done as the user that it belongs to."""

from __future__ import annotations

import difflib
import os
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.quickpull.registry.plugins.module_utils import _as_user, _auth_file, _io, _login_diff
from ansible_collections.quickpull.registry.plugins.module_utils._as_user import Account
from ansible_collections.quickpull.registry.plugins.module_utils._auth_file import CONTAINERS, DOCKER, FORMATS, Registry, Secret
from ansible_collections.quickpull.registry.plugins.module_utils._credential_helper import Helper, is_name
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._login_diff import Logins
from ansible_collections.quickpull.registry.plugins.module_utils._plain import type_name

_PLACES = {DOCKER: ('.docker', 'config.json'), CONTAINERS: ('.config/containers', 'auth.json')}
_PROGRAM = 'docker-credential-'

_TEXTS = ('registry', 'username', 'password', 'identity_token', 'state', 'user', 'format', 'config_path', 'helper')
_CHOICES = {'state': ('absent', 'present'), 'format': FORMATS}
# What Ansible takes for a boolean.
_BOOLEANS = ('yes', 'on', '1', 'true', 't', 'y', 'no', 'off', '0', 'false', 'f', 'n')


@dataclass(frozen=True)
class Wanted:
    """A login that is to be there, or to be gone (no ``secret``). ``helper``: None leaves it to the file, '' to no helper."""

    registry: Registry
    secret: Secret | None = field(default=None, repr=False)
    helper: str | None = None
    insecure: bool = False
    identity_token: str = field(default='', repr=False)  # what the registry gave in place of the password
    keep_token: bool = True  # one that is in the file stands for the password
    option: str = field(default='auths', compare=False)  # the item, for messages

    @property
    def present(self) -> bool:
        return self.secret is not None


@dataclass(frozen=True)
class Target:
    """A file, who works on it, and what is to be in it. ``proxies``: None leaves them alone."""

    account: Account
    form: str
    path: str
    own_place: bool = True  # the client's own directory, which is for its user alone
    logins: tuple[Wanted, ...] = ()
    exclusive: bool = False
    proxies: t.Mapping[str, t.Any] | None = None


def check_items(auths: t.Any, option: str = 'auths') -> None:
    """Look through the option ``auths`` as a user wrote it, in plain values.

    For the controller: the whole list is secret, so that Ansible censors its own messages about a slip in it.

    :raises ConfigError: naming item and key, and nothing that could be a secret.
    """
    if auths is None:
        return
    if not isinstance(auths, (list, tuple)):
        raise ConfigError(f'{option}: a list of logins is expected, and this is {type_name(auths)}.', key=option)
    for number, raw in enumerate(auths):
        _check_item(raw, f'{option}[{number}]')


def _check_item(raw: t.Any, item: str) -> None:
    if not isinstance(raw, t.Mapping):
        raise ConfigError(f'{item}: a dict with registry, username and password is expected, and this is {type_name(raw)}.', key=item)
    for name in raw:
        _check_key(str(name), item)
    for name in _TEXTS:
        _check_text(raw.get(name), name, f'{item}.{name}')
    insecure = raw.get('insecure')
    if insecure is not None and str(insecure).lower() not in _BOOLEANS:
        raise ConfigError(f'{item}.insecure: true or false is expected, and this is {type_name(insecure)}.', key=f'{item}.insecure')
    read_login(raw, raw.get('format') or CONTAINERS, item)


def _check_key(name: str, item: str) -> None:
    known = (*_TEXTS, 'insecure')
    if name in known:
        return
    # `{password:secret}` in YAML is one key, and it holds the secret.
    shown, colon, dummy = name.partition(':')
    if colon:
        raise ConfigError(f'{item}.{shown}: a space is missing behind the colon.', key=f'{item}.{shown}')
    close = difflib.get_close_matches(name.lower(), known, 1, 0.6)
    hint = f'Did you mean {close[0]}?' if close else f'An item may have {", ".join(known[:-1])} and {known[-1]}.'
    raise ConfigError(f'{item}.{name}: there is no such key. {hint}', key=f'{item}.{name}')


def _check_text(value: t.Any, name: str, where: str) -> None:
    number = isinstance(value, int) and not isinstance(value, bool)
    if value is None or (name == 'user' and number):
        return
    if not isinstance(value, str):
        # Of 0123 or 1e5, YAML has made another number already.
        way_out = '' if isinstance(value, (t.Mapping, list, tuple)) else '; put it into quotes'
        raise ConfigError(f'{where}: a text is expected, and this is {type_name(value)}{way_out}.', key=where)
    if name in _CHOICES and value not in _CHOICES[name]:
        raise ConfigError(f'{where}: {value!r} is none of {" and ".join(_CHOICES[name])}.', key=where)


def read_login(raw: t.Mapping[str, t.Any], form: str, option: str) -> Wanted:
    """One item of the option ``auths``, which messages call ``option``.

    :raises ConfigError: naming the item, when something is missing or cannot be said to a registry.
    """
    if raw.get('registry') is None:
        raise ConfigError(f'{option}.registry: this is missing; write the host of the registry, such as docker.io.', key=f'{option}.registry')
    registry = _auth_file.parse_registry(raw['registry'], form, option=f'{option}.registry')
    if raw.get('helper'):
        _check_helper(str(raw['helper']), f'{option}.helper')
    if raw.get('state') == 'absent':
        return Wanted(registry, option=option)
    secret = _read_secret(raw, f'{option} ({registry.name})', option)
    return Wanted(registry, secret, raw.get('helper'), bool(raw.get('insecure')), option=option)


def _read_secret(raw: t.Mapping[str, t.Any], about: str, option: str) -> Secret:
    username, password, token = (str(raw[name]) if raw.get(name) is not None else '' for name in ('username', 'password', 'identity_token'))
    if bool(password) == bool(token):
        raise ConfigError(f'{about}: give either a password or an identity_token{", not both" if token else ""}.', key=option)
    if password and not username:
        raise ConfigError(f'{about}: a username is missing. Where a token is the password, the registry says which name goes with it.', key=option)
    if ':' in username:
        raise ConfigError(f'{about}: a username cannot hold a colon, which separates it from the password.', key=option)
    for name, value in (('username', username), ('password', password), ('identity_token', token)):
        if '\x00' in value or not _sayable(value):
            raise ConfigError(f'{about}: the {name} holds a character that cannot be sent (NUL, or one that UTF-8 does not know).', key=option)
    return Secret(username, password, token)


def _check_helper(name: str, option: str) -> None:
    program = name.rpartition('/')[2]
    short = program[len(_PROGRAM) :] if program.startswith(_PROGRAM) else ''
    if is_name(short):
        raise ConfigError(f'{option}: {name!r} is the name of the program; write {short}, which is how the clients call it.', key=option)
    if not is_name(name):
        raise ConfigError(f'{option}: {name!r} is no name of a credential helper; write what stands behind {_PROGRAM}, as in pass or ecr-login.', key=option)


def _sayable(text: str) -> bool:
    try:
        text.encode('utf-8')
    except UnicodeEncodeError:
        return False
    return True


def default_path(who: Account, form: str) -> str:
    """Where the clients of a user look; the one of Podman's two places that outlives a reboot."""
    return os.path.join(who.home, *_PLACES[form])


def make_targets(items: t.Sequence[tuple[Account, str, str | None, Wanted]]) -> list[Target]:
    """The files, each once, from (user, format, path or None, login).

    :raises ConfigError: when two items contradict each other.
    """
    found: dict[tuple[int, str], Target] = {}
    for who, form, path, wanted in items:
        target = target_of(who, form, path)
        known = found.get((who.uid, target.path), target)
        if known.form != form:
            raise ConfigError(f'auths: {target.path} is to be written in the format {known.form}, and in {form}. One file has one format.', path=target.path)
        same = next((one for one in known.logins if one.registry.name == wanted.registry.name), None)
        if same and same != wanted:
            both = f'{same.option} and {wanted.option}'
            raise ConfigError(f'{both}: two different logins are given for {wanted.registry.name} in {target.path}. A file has one of each.', key='auths')
        found[(who.uid, target.path)] = known if same else replace(known, logins=(*known.logins, wanted))
    return list(found.values())


def target_of(who: Account, form: str, path: str | None) -> Target:
    """The file of a user, at a given path or in the client's own place."""
    if path is None:
        return Target(who, form, default_path(who, form))
    if not path.startswith('/'):
        raise ConfigError(f'config_path: {path!r} is not absolute.', key='config_path')
    return Target(who, form, path, own_place=False)


def work(target: Target, *, write: bool) -> dict[str, t.Any]:
    """Compare a file with what is wanted, as its user, and write it.

    :returns: ``path``, ``user``, ``format``, ``changed``, ``logins`` (registry, key, username, state, changed, helper), ``before`` and
        ``after`` (lines without secrets), ``warnings``, and ``tokens``: by registry, the identity tokens that stand for a password. They are secret.
    :raises ConfigError: when the file cannot be understood, read or written; then it is as it was.
    """
    try:
        result: dict[str, t.Any] = _as_user.run_as(target.account, lambda: _Work(target).run(write=write))
    except ConfigError as exc:
        if target.account.uid == os.geteuid() or 'permission denied' not in str(exc):
            raise
        folder = os.path.dirname(target.path)
        who = target.account.name
        raise ConfigError(
            f"{exc.path or target.path} is not {who}'s to change, and this is done as {who}. "
            f'Where root left it (sudo docker login), give it back: chown -R {who} {folder}',
            path=exc.path,
        ) from exc
    return result


class _Work:
    """On one file, by a process that is the file's user."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.environ = target.account.environ()
        if os.geteuid() == 0:
            _as_user.check_hands(target.path)
        self.file = _io.read_file(target.path)
        self.before = _auth_file.parse(self.file.data, target.path)
        self.document = self.before
        self.stored: list[str] = []
        self.errands: list[t.Callable[[], None]] = []
        # What is for the time when the file is written: a helper that is to forget a login, its key there, and where the login is by then.
        self.farewells: list[tuple[Helper, str, str]] = []
        # By helper and key, what was found there, and what is there after this.
        self.kept: dict[tuple[str, str], Secret | None] = {}
        self.kept_after: dict[tuple[str, str], Secret | None] = {}
        self.warnings: list[str] = []
        self.told: list[dict[str, t.Any]] = []
        self.tokens: dict[str, str] = {}

    def run(self, *, write: bool) -> dict[str, t.Any]:
        for wanted in self.target.logins:
            self._present(wanted) if wanted.present else self._absent(wanted.registry, told=True)
        if self.target.exclusive:
            self._alone()
        if self.target.proxies is not None:
            self.document = _auth_file.put_proxies(self.document, self.target.proxies)
        changed = self._steps() > 0 or self.document.text != self.before.text or self._too_open() != []
        before, after = Logins(self.before, self.target.form, self.kept), Logins(self.document, self.target.form, self.kept_after)
        notes = [*_login_diff.notes(before, after, [one['key'] for one in self.told if one['changed']]), *self._modes()]
        if changed:
            self._check_home()
        if changed and write:
            self._write()
        return {
            'path': self.target.path,
            'user': self.target.account.name,
            'format': self.target.form,
            'changed': changed,
            'logins': self.told,
            'before': before.lines(),
            'after': after.lines() + notes,
            'warnings': self.warnings,
            'tokens': self.tokens,
        }

    def _steps(self) -> int:
        return len(self.errands) + len(self.farewells)

    def _helper(self, registry: Registry, wanted: Wanted | None = None) -> Helper | None:
        name = _auth_file.helper_of(self.document, registry, self.target.form)
        if not name:
            return None
        if wanted and wanted.helper:
            way_out = "name another one, or say helper: '' there, so that the file keeps the login"
            return Helper(name, self.environ, f'{wanted.option}.helper', way_out)
        key = _auth_file.helper_key(self.document, registry, self.target.form)
        way_out = f'take it out of {key}'
        if wanted:
            way_out += f", or say helper: '' in {wanted.option}, so that the file keeps the login"
        return Helper(name, self.environ, f'{key} in {self.target.path}', way_out)

    def _ask(self, helper: Helper, key: str) -> Secret | None:
        place = (helper.name, key)
        if place not in self.kept:
            self.kept[place] = self.kept_after[place] = helper.get(key)
        return self.kept_after[place]

    def _present(self, wanted: Wanted) -> None:
        registry, form, secret = wanted.registry, self.target.form, t.cast(Secret, wanted.secret)
        start, steps = self.document, self._steps()
        if wanted.helper and registry.namespace:
            raise ConfigError(
                f'{wanted.option}: {registry.name} has a helper, but clients ask helpers for whole registries alone. Name {registry.host}, or no helper.',
                key='helper',
            )
        old = self._helper(registry)
        if wanted.helper is not None:
            self.document = _auth_file.set_helper(self.document, registry, form, wanted.helper)
        helper = self._helper(registry, wanted)
        if helper and registry.namespace:
            raise ConfigError(
                f'{self.target.path}: clients ask the helper {helper.name} for all of {registry.host}, so a login for {registry.name} would never be used. '
                f'Log in to {registry.host}, or take the helper out of credHelpers.',
                path=self.target.path,
            )
        if helper:
            self._in_helper(helper, registry, secret)
        else:
            # As `docker login` does: what the registry gave in place of the password is kept, and the password is not.
            kept = Secret(secret.username, identity_token=wanted.identity_token) if wanted.identity_token else secret
            found = _auth_file.login_of(self.document, registry, form)
            there = _auth_file.satisfies(found, secret, keep_token=wanted.keep_token)
            self._note_token(wanted, found if there else None)
            self.document = _auth_file.put_login(self.document, registry, form, secret if there else kept, keep_token=wanted.keep_token)
        if old and (helper is None or helper.name != old.name):
            self._leave(replace(old, named_by='', way_out=''), registry.key(form), f'the helper {helper.name}' if helper else self.target.path)
        changed = self.document.text != start.text or self._steps() > steps
        self._tell(registry, 'present', changed, secret.username, helper.name if helper else '')

    def _note_token(self, wanted: Wanted, found: Secret | None) -> None:
        if found and found.identity_token and t.cast(Secret, wanted.secret).password:
            self.tokens[wanted.registry.name] = found.identity_token

    def _leave(self, old: Helper, key: str, new_place: str) -> None:
        """Let the helper that kept the login until now forget it. It may be broken, and be left for that."""
        if not old.installed:
            return
        try:
            had = self._ask(old, key)
        except ConfigError as exc:
            self.warnings.append(f'{self.target.path}: the helper {old.name} may still keep the login of {key} that leaves it. {exc} {_by_hand(old, key)}')
            return
        if had:
            self.farewells.append((old, key, new_place))
            self.kept_after[old.name, key] = None

    def _in_helper(self, helper: Helper, registry: Registry, secret: Secret) -> None:
        key = registry.key(self.target.form)
        # A token in a helper does not say whose it is, so it never stands for a password.
        if not _auth_file.satisfies(self._ask(helper, key), _nameless(secret), keep_token=False):
            self.errands.append(lambda: self._store(helper, key, secret))
            self.kept_after[helper.name, key] = _nameless(secret)
        # The secret is not kept twice. Docker's client leaves an empty entry beside a helper, the others leave none.
        if self.target.form == DOCKER:
            self.document = _auth_file.put(self.document, registry, DOCKER, {})
        else:
            self.document = _auth_file.take_away(self.document, registry, CONTAINERS)

    def _store(self, helper: Helper, key: str, secret: Secret) -> None:
        helper.store(key, secret)
        self.stored.append(key)
        if not _auth_file.satisfies(helper.get(key), _nameless(secret)):
            raise ConfigError(f'The credential helper {helper.program} took the login of {key} and gives another one back.', key=helper.name)

    def _absent(self, registry: Registry, *, told: bool) -> None:
        start, steps = self.document, self._steps()
        helper, key = self._helper(registry), registry.key(self.target.form)
        if helper and self._ask(helper, key):
            self.errands.append(lambda: helper.erase(key))
            self.kept_after[helper.name, key] = None
        self.document = _auth_file.take_away(self.document, registry, self.target.form)
        if told:
            self._tell(registry, 'absent', self.document.text != start.text or self._steps() > steps, '', helper.name if helper else '')

    def _alone(self) -> None:
        """Take away the logins that nobody asked for."""
        form = self.target.form
        wanted = [one.registry for one in self.target.logins]
        helped = [key for key in self.document.value.get('credHelpers') or {} if not any(_auth_file.means(key, one, form) for one in wanted)]
        for key in dict.fromkeys([*_auth_file.others(self.document, wanted, form), *helped]):
            try:
                registry = _auth_file.parse_registry(key, CONTAINERS)
            except ConfigError:
                registry = Registry('')
            helper = self._helper(registry)
            # What no client of this user could read either is passed over.
            if registry.host and registry.key(form) == key and (helper is None or helper.installed):
                self._absent(registry, told=False)
            self.document = _auth_file.remove_keys(self.document, [key])

    def _tell(self, registry: Registry, state: str, changed: bool, username: str, helper: str) -> None:
        self.told.append(
            {'registry': registry.name, 'key': registry.key(self.target.form), 'username': username, 'state': state, 'changed': changed, 'helper': helper}
        )

    def _too_open(self) -> list[str]:
        """What others may look into: the file, and the client's own directory."""
        found = []
        if self.file.exists and self.file.mode & 0o077:
            found.append(self.file.target)
        folder = os.path.dirname(self.target.path)
        if self.target.own_place and (self.file.exists or self.document.text) and os.path.isdir(folder) and os.stat(folder).st_mode & 0o077:
            found.append(folder)
        return found

    def _modes(self) -> list[str]:
        """Notes on the modes that change."""
        found, folder = [], os.path.dirname(self.target.path)
        open_to_others = self._too_open()
        rewritten = self.document.text != self.before.text
        if self.file.exists and self.file.mode != 0o600 and (rewritten or self.file.target in open_to_others):
            found.append(f'(the mode changes: {self.file.mode:04o} to 0600)')
        if folder in open_to_others:
            found.append(f'(the mode of {folder} changes: {os.stat(folder).st_mode & 0o7777:04o} to 0700)')
        return found

    def _check_home(self) -> None:
        if self.target.own_place and not os.path.isdir(self.target.account.home):
            raise ConfigError(f'{self.target.account.name} has no home directory ({self.target.account.home}); name a config_path.', key='config_path')

    def _write(self) -> None:
        folder = os.path.dirname(self.target.path)
        if self.document.text != self.before.text:
            _io.make_dirs(folder, 0o700)
            if os.geteuid() == 0:
                _as_user.check_hands(folder)  # what was not there before could be made by somebody else meanwhile
        for errand in self.errands:
            try:
                errand()
            except ConfigError as exc:
                done = f' Stored with helpers before that: {", ".join(self.stored)}.' if self.stored else ''
                raise ConfigError(f'{exc} {self.target.path} was not written.{done}', path=exc.path, key=exc.key) from None
        foreign = self.file.exists and os.geteuid() not in (0, self.file.uid)
        if self.document.text != self.before.text or (foreign and self.file.target in self._too_open()):
            # A file that somebody else left in a user's home becomes the user's.
            owner = (self.file.uid, self.file.gid) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
            like = replace(self.file, mode=0o600, uid=owner[0], gid=owner[1]) if self.file.exists else None
            _io.write_atomic(self.target.path, self.document.to_bytes(), like=like, default_mode=0o600, expect=self.file)
        told = self._say_farewell()
        for path in self._too_open():
            if path == self.file.target and os.stat(path).st_mode & 0o077 == 0:
                continue  # replaced above
            _io.set_mode(path, 0o700 if os.path.isdir(path) else 0o600)
        if told:
            raise ConfigError('\n'.join(told), path=self.target.path)

    def _say_farewell(self) -> list[str]:
        told = []
        for helper, key, new_place in self.farewells:
            try:
                helper.erase(key)
            except ConfigError as exc:
                told.append(f'{exc} The login is in its new place by now, {new_place}. {_by_hand(helper, key)}')
        return told


def _by_hand(helper: Helper, key: str) -> str:
    return f'Erase what it has by hand, as the same user: echo {key} | {helper.program} erase'


def _nameless(secret: Secret) -> Secret:
    """As a helper gives it back."""
    return Secret(identity_token=secret.identity_token) if secret.identity_token else secret
