# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a change of logins looks like to people: lines before and after, and notes on what lines cannot show, without a secret."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils import _auth_file
from ansible_collections.quickpull.registry.plugins.module_utils._auth_file import CONTAINERS, Registry, Secret
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._json_text import Document
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text, mask_url


@dataclass(frozen=True)
class Logins:
    """A file, and what helpers keep beside it: by helper and key, as far as they were asked."""

    document: Document
    form: str
    kept: t.Mapping[tuple[str, str], Secret | None] = field(default_factory=dict, repr=False)

    def lines(self) -> list[str]:
        """A line for each login, for each registry that has a helper of its own, and for each proxy."""
        logins = [line for lines in self.by_key().values() for line in lines]
        return [*logins, *self.helpers().values(), *(f'{name}: {mask_url(value)}' for name, value in self.proxies().items())]

    def by_key(self) -> dict[str, list[str]]:
        """The lines of logins, by the key that they are kept under."""
        lines: dict[str, list[str]] = {}
        shown: set[tuple[str, str]] = set()

        def add(key: str, text: str) -> None:
            lines.setdefault(key, []).append(f'{mask_text(key)}: {text}')

        for key, entry in _object(self.document, 'auths').items():
            found = _auth_file.read_entry(entry)
            place = self._place(key)
            if found:
                add(key, _in_file(found))
            elif not place[0] or (place in self.kept and not self.kept[place]):
                add(key, 'no login')
            elif place not in self.kept and place not in shown:
                shown.add(place)
                add(place[1], f'kept by the helper {place[0]}')
            if place not in shown and self.kept.get(place):
                shown.add(place)
                add(place[1], _in_helper(self.kept[place], place[0]))
        for place, secret in self.kept.items():
            if secret and place not in shown:
                add(place[1], _in_helper(secret, place[0]))
        return lines

    def _place(self, key: str) -> tuple[str, str]:
        """The helper that clients ask instead of an entry, empty without one, and the key that they ask for."""
        try:
            registry = _auth_file.parse_registry(key, CONTAINERS)
        except ConfigError:
            registry = Registry('')
        if not registry.host:
            return '', key
        return _auth_file.helper_of(self.document, registry, self.form), registry.key(self.form)

    def helpers(self) -> dict[str, str]:
        """The lines of credHelpers, by its keys."""
        named = _object(self.document, 'credHelpers')
        return {key: f'{mask_text(key)} goes to {f"the helper {name}" if name else "no helper"}' for key, name in named.items() if isinstance(name, str)}

    def proxies(self) -> dict[str, str]:
        """The proxies for builds and containers. They may hold passwords."""
        default = _object(self.document, 'proxies').get('default')
        known = _auth_file.PROXY_KEYS.values()
        return {name: value for name, value in default.items() if name in known and isinstance(value, str)} if isinstance(default, dict) else {}


def notes(before: Logins, after: Logins, changed_keys: t.Sequence[str]) -> list[str]:
    """What changes without a line that shows it. ``changed_keys``: the keys of logins that change."""
    found = []
    lines = [(one.by_key(), one.helpers()) for one in (before, after)]
    secrets = [key for key in changed_keys if all(old.get(key) == new.get(key) for old, new in zip(*lines))]
    if secrets:
        found.append(f'(a secret changes: {", ".join(mask_text(key) for key in secrets)})')
    proxies = after.proxies()
    if any(name in proxies and proxies[name] != value and mask_url(proxies[name]) == mask_url(value) for name, value in before.proxies().items()):
        found.append('(a password in a proxy changes)')
    if not found and before.document.text != after.document.text and before.lines() == after.lines():
        found.append('(what stands beside the logins changes)')
    return found


def _object(document: Document, name: str) -> dict[str, t.Any]:
    value = document.value.get(name)
    return value if isinstance(value, dict) else {}


def _name(secret: Secret) -> str:
    """In one line, and in characters that any output takes."""
    return ' '.join(secret.username.encode('utf-8', 'replace').decode().split())


def _in_file(secret: Secret) -> str:
    how = 'an identity token' if secret.identity_token else 'a password'
    return f'{_name(secret)} by {how}' if secret.username else how


def _in_helper(secret: Secret | None, helper: str) -> str:
    whose = 'an identity token' if secret is None or secret.identity_token else _name(secret) or 'a password'
    return f'{whose}, kept by the helper {helper}'
