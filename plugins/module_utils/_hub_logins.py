# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who on this host has a login to Docker Hub.

It matters because dockerd with the graph-driver image store hands that login to whatever token server a mirror names (moby#42022).
Only whether there is one is looked at; no secret is kept. The files belong to users, and root reads them here: a user can put a
device, a pipe or an endless file in that place, so nothing but a regular file is opened, and only so much of it is read.
"""
from __future__ import annotations

import glob
import json
import os
import stat
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._root import below
from ansible_collections.quickpull.registry.plugins.module_utils._systemd import read_environment_file, read_small

_HUB_HOSTS = frozenset(('docker.io', 'index.docker.io', 'registry-1.docker.io', 'registry.docker.io', 'hub.docker.com', 'registry.hub.docker.com'))
_SECRET_FIELDS = ('auth', 'identitytoken', 'registrytoken', 'password', 'username')
_MAX_FILE = 1024 * 1024
_NO_HOMES = frozenset(('', '/', '/nonexistent', '/dev/null', '/bin', '/sbin', '/usr/sbin', '/proc', '/dev'))


def is_hub(key: str) -> bool:
    """Whether a key of ``auths`` or ``credHelpers`` means Docker Hub: bare, or a URL such as ``https://index.docker.io/v1/``."""
    rest = key.strip().lower()
    for scheme in ('https://', 'http://'):
        if rest.startswith(scheme):
            rest = rest[len(scheme):]
    host = rest.split('/', 1)[0]
    return (host[:-len(':443')] if host.endswith(':443') else host) in _HUB_HOSTS


def has_hub_login(config: t.Any) -> bool:
    """Whether a decoded client config holds a login to Docker Hub.

    A ``credsStore`` counts, since it is asked for every registry and its content cannot be seen from outside; so does an entry of ``credHelpers``
    for the Hub. An entry of ``auths`` counts when there is something in it: ``{}`` is what the client leaves beside a store.
    """
    if not isinstance(config, dict):
        return False
    if config.get('credsStore'):
        return True
    helpers = config.get('credHelpers')
    if isinstance(helpers, dict) and any(is_hub(str(key)) and value for key, value in helpers.items()):
        return True
    auths = config.get('auths')
    if not isinstance(auths, dict):
        return False
    return any(is_hub(str(key)) and _has_secret(value) for key, value in auths.items())


def _has_secret(entry: t.Any) -> bool:
    return isinstance(entry, dict) and any(entry.get(field) for field in _SECRET_FIELDS)


def find_hub_logins(root: str = '/', docker_config: t.Optional[str] = None) -> t.List[str]:
    """Return the paths of client config files with a login to Docker Hub, sorted: root's, and those of every home.

    Homes are those in /etc/passwd, and what lies in /home (users of a directory service are in no file). ``docker_config`` is the
    value of DOCKER_CONFIG that this process has; the one in /etc/environment counts as well. What cannot be read or parsed holds no login.
    """
    found = []
    for path in sorted(set(_candidates(root, docker_config))):
        data = read_regular(below(root, path))
        if data is not None and has_hub_login(_decode(data)):
            found.append(path)
    return found


def _candidates(root: str, docker_config: t.Optional[str]) -> t.Iterator[str]:
    for home in homes(root):
        yield f'{home}/.docker/config.json'
        yield f'{home}/snap/docker/current/.docker/config.json'
    everyone = read_environment_file(read_small(below(root, '/etc/environment')) or '').get('DOCKER_CONFIG')
    for folder in (docker_config, everyone):
        if folder and folder.startswith('/'):
            yield os.path.join(folder, 'config.json')


def homes(root: str = '/') -> t.List[str]:
    """Return the home directories on this host, /root first, each once."""
    found = ['/root']
    for line in (read_small(below(root, '/etc/passwd')) or '').splitlines():
        fields = line.split(':')
        if len(fields) >= 7 and fields[5].startswith('/'):
            found.append(fields[5].rstrip('/'))
    prefix = below(root, '/home')
    found.extend('/home' + path[len(prefix):] for path in sorted(glob.glob(f'{glob.escape(prefix)}/*')))
    return [home for home in dict.fromkeys(found) if home not in _NO_HOMES]


def read_regular(path: str) -> t.Optional[bytes]:
    """Return at most 1 MiB of a regular file, links followed as the client follows them; None for anything else.

    O_PATH opens nothing in the sense of a driver, so a device in that place notices nothing; what was looked at is then what is read.
    """
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        with open(f'/proc/self/fd/{handle}', 'rb') as file:
            return file.read(_MAX_FILE + 1)
    except OSError:
        return None
    finally:
        os.close(handle)


def _decode(data: bytes) -> t.Any:
    if len(data) > _MAX_FILE:
        return None
    try:
        return json.loads(data.decode('utf-8-sig'))
    except (ValueError, RecursionError):
        return None
