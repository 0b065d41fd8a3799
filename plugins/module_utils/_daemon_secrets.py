# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets in daemon.json and in what a user asks for: how they are shown, and which strings they are."""

from __future__ import annotations

import typing as t
import urllib.parse

from ansible_collections.quickpull.registry.plugins.module_utils._docker_flags import is_secret_name
from ansible_collections.quickpull.registry.plugins.module_utils._json_text import Document, Node, dumps
from ansible_collections.quickpull.registry.plugins.module_utils._mask import MASKED_SECRET, mask_url

# A short string would be cut out of half of the words that a module returns.
_SHORT = 4


def mask_value(name: str, value: str) -> str:
    """A string value as people may see it.

    :param name: the key that it stands under, or around it; ``splunk-token`` hides all of it.
    """
    if is_secret_name(name) and value:
        return MASKED_SECRET
    head, equals, tail = value.partition('=')
    if equals and '://' not in head and is_secret_name(head):
        return f'{head}={MASKED_SECRET}'
    if equals and '://' not in head and '://' in tail:
        return f'{head}={mask_url(tail)}'
    return mask_url(value)


def masked_text(document: Document) -> str:
    """The file's text with its secrets hidden and all else as it is."""
    found: list[tuple[Node, str]] = []

    def walk(node: Node, name: str) -> None:
        for member in node.members:
            walk(member.node, member.key if not is_secret_name(name) else name)
        for item in node.items:
            walk(item, name)
        if isinstance(node.value, str):
            masked = mask_value(name, node.value)
        else:
            masked = MASKED_SECRET if is_secret_name(name) and isinstance(node.value, (int, float)) else ''
        if masked and masked != node.value:
            found.append((node, masked))

    if document.root:
        walk(document.root, '')
    text = document.text
    for node, masked in sorted(found, key=lambda one: one[0].start, reverse=True):
        text = text[:node.start] + dumps(masked) + text[node.end:]
    return text


def diff(path: str, before: bytes | None, after: bytes | None) -> dict[str, str]:
    """What Ansible shows in diff mode. Where only a secret differs, a line says so."""
    texts = [masked_text(Document.parse(data, path)) if data else '' for data in (before, after)]
    if texts[0] == texts[1] and before != after and before and after:
        texts[1] += '// A secret in it changes, which is not shown.\n'
    return {'before_header': path, 'after_header': path, 'before': texts[0], 'after': texts[1]}


def secrets_of(value: t.Any, name: str = '') -> set[str]:
    """The strings in a module's arguments that must not be shown anywhere: whole URLs with a password, and their user part.

    A bare password is none of them: a short one would be cut out of words that have nothing to do with it, and no result
    holds it alone.
    """
    found: set[str] = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            secret = name if is_secret_name(name) or name == 'headers' else str(key)
            found |= secrets_of(inner, secret)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            found |= secrets_of(inner, name)
    elif isinstance(value, str) and len(value) >= _SHORT and (name == 'headers' or mask_value(name, value) != value):
        found |= {value, *_userinfo(value)}
    return found


def _userinfo(url: str) -> set[str]:
    userinfo = url.partition('://')[2].rpartition('@')[0]
    return {text for text in (userinfo, urllib.parse.unquote(userinfo)) if ':' in text and len(text) >= _SHORT}


def holds_secret(value: t.Mapping[str, t.Any]) -> bool:
    """Whether a configuration holds a password (of a proxy, as a rule) or a token."""
    return bool(secrets_of(value))
