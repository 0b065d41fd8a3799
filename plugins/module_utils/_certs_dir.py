# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificates of mirrors as Docker, and Podman and its kin, look for them: one directory for each host and port."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _io
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import Change, Content

CA, CERT, KEY = 'ca.crt', 'client.cert', 'client.key'

_PRIVATE_KEY = 'PRIVATE KEY-----'

Files = t.Dict[str, Content]


def has_certs(mirror: Mirror) -> bool:
    """Whether there is anything to copy for this mirror. Without TLS nobody looks."""
    return bool(mirror.ca_path or mirror.client_cert) and not mirror.url.lower().startswith('http://')


def certs_of(folder: str, mirror: Mirror) -> Files:
    """Copies of a mirror's certificates in the directory of its host. Raises ConfigError where one is missing, or is none."""
    if not has_certs(mirror):
        return {}
    # The client wants a key for each certificate; one file may hold both.
    sources = ((CA, 'ca_path', mirror.ca_path), (CERT, 'client_cert', mirror.client_cert), (KEY, 'client_key', mirror.client_key or mirror.client_cert))
    return {os.path.join(folder, name): _pem(key, path, is_key=name == KEY) for name, key, path in sources if path}


def _pem(key: str, path: str, is_key: bool) -> Content:
    text = _io.read_text(path)
    if text is None:
        raise ConfigError(f'{key}: {path} does not exist on this host; put the file there first, or name another.', path=path, key=key)
    if '-----BEGIN ' not in text or (is_key and _PRIVATE_KEY not in text):
        raise ConfigError(f'{key}: {path} holds no {"private key" if is_key else "certificate"} in PEM form; name another file.', path=path, key=key)
    return Content(text, secret=_PRIVATE_KEY in text)


def diff_of(change: Change) -> t.Dict[str, str]:
    """A file before and after, a private key hidden."""
    before, after = ('(a private key, not shown)\n' if _PRIVATE_KEY in text else text for text in change.texts())
    if before == after and before:
        after = '(another private key, not shown)\n'
    return {'before_header': change.path, 'after_header': change.path, 'before': before, 'after': after}
