# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What on this host reads registries.conf (Podman, Skopeo, Buildah, CRI-O), and what Podman makes of it."""
from __future__ import annotations

import dataclasses
import json
import os
import tempfile
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _systemd
from ansible_collections.quickpull.registry.plugins.module_utils._registries_conf import DROPIN_DIR, MirrorEntry
from ansible_collections.quickpull.registry.plugins.module_utils._root import below
from ansible_collections.quickpull.registry.plugins.module_utils._version import parse_version

#: The only folder of drop-ins that Podman reads for everybody on the host.
DIRECTORY = '/etc/containers/registries.conf.d'

#: The one in a user's home, which it reads for that user after the system's, or with a registries.conf beside it instead of all of the system's.
USER_DIRECTORY = '.config/containers/registries.conf.d'

_FOLDERS = ('/usr/bin', '/usr/local/bin', '/usr/sbin', '/usr/local/sbin', '/bin', '/opt/bin')
_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
_TIMEOUT = 60.0


@dataclasses.dataclass(frozen=True)
class Host:
    """The ways in which this module reaches the host. Tests put their own in their place."""

    root: str = '/'
    run: _systemd.Runner = _systemd.run

    def path(self, path: str) -> str:
        """Return where ``path`` of the host lies for this process."""
        return below(self.root, path)


@dataclasses.dataclass(frozen=True)
class Tools:
    """Paths of the programs that are there, empty for the others; ``version`` is Podman's, as it says itself."""

    podman: str = ''
    skopeo: str = ''
    buildah: str = ''
    crio: str = ''
    version: str = ''

    @property
    def version_tuple(self) -> t.Optional[t.Tuple[int, ...]]:
        return parse_version(self.version)

    @property
    def any(self) -> bool:
        return bool(self.podman or self.skopeo or self.buildah or self.crio)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What Podman says of the registries.

    :ivar registries: its ``Registries`` by prefix; None when it did not tell.
    :ivar refused: it cannot read the configuration, so it pulls nothing; ``words`` are its own.
    """

    registries: t.Optional[t.Mapping[str, t.Any]] = None
    refused: bool = False
    words: str = ''


def inspect(host: t.Optional[Host] = None) -> Tools:
    """Look at what is installed. Starts nothing but ``podman --version``, and raises for nothing that it finds."""
    host = host or Host()
    found = {name: _binary(host, name) for name in ('podman', 'skopeo', 'buildah', 'crio')}
    return Tools(**found, version=_version(host, found['podman']))


def _binary(host: Host, name: str) -> str:
    paths = (f'{folder}/{name}' for folder in _FOLDERS)
    return next((path for path in paths if os.path.isfile(host.path(path)) and os.access(host.path(path), os.X_OK)), '')


def _version(host: Host, podman: str) -> str:
    if not podman:
        return ''
    result = host.run((host.path(podman), '--version'), 10.0)
    words = result.stdout.split()
    return words[words.index('version') + 1] if result.rc == 0 and 'version' in words[:-1] else ''


def ask(
    tools: Tools, host: t.Optional[Host] = None, candidate: t.Optional[t.Mapping[str, bytes]] = None, directory: str = DIRECTORY
) -> Answer:
    """Let Podman read the system's configuration as a user would who has none of his own; or a ``candidate`` for it, before it is in place.

    ``candidate`` holds registries.conf and ``registries.conf.d/NAME``: as a user's own, they hide the system's. ``directory`` is where its
    drop-ins will be, for messages.

    Nothing of the host's storage is made or changed: everything that Podman keeps goes to a temporary directory. Without ``--tmpdir`` it would
    leave /run/libpod/alive, by which the real Podman after a boot takes its containers' state for fresh.
    """
    host = host or Host()
    with tempfile.TemporaryDirectory(prefix='quickpull-') as folder:
        own = os.path.join(folder, '.config', 'containers')
        for name, data in (candidate or {}).items():
            os.makedirs(os.path.dirname(os.path.join(own, name)), exist_ok=True)
            with open(os.path.join(own, name), 'wb') as file:
                file.write(data)
        command = ['env', '-i', f'PATH={_PATH}', f'HOME={folder}', 'LC_ALL=C', host.path(tools.podman)]
        for option, name in (('--root', 'root'), ('--runroot', 'runroot'), ('--tmpdir', 'tmp'), ('--network-config-dir', 'networks')):
            command += [option, os.path.join(folder, name)]
        answer = understand(host.run([*command, '--storage-driver', 'vfs', 'info', '--format', 'json'], _TIMEOUT))
        words = answer.words.replace(os.path.join(own, DROPIN_DIR), directory).replace(own, os.path.dirname(directory))
        return dataclasses.replace(answer, words=words)


def understand(result: _systemd.Result) -> Answer:
    """Tell apart what Podman says of the registries, that it cannot read them, and that something else is in its way."""
    errors = [line for line in result.stderr.splitlines() if line.startswith('Error:')]
    words = (errors[-1] if errors else result.stderr.strip() or f'exit code {result.rc}').strip()
    if result.rc:
        return Answer(refused=result.rc == 125 and 'registries' in words, words=words)
    try:
        registries = json.loads(result.stdout)['registries'] or {}
        return Answer({prefix: one for prefix, one in registries.items() if isinstance(one, dict)})
    except (ValueError, KeyError, TypeError, AttributeError):
        return Answer(words='its answer has no registries')


def differences(answer: Answer, expected: t.Mapping[str, t.Sequence[MirrorEntry]]) -> t.List[str]:
    """A sentence for each upstream of which Podman has other mirrors than ``expected``."""
    found = []
    for upstream, mirrors in expected.items():
        entry = (answer.registries or {}).get(upstream) or {}
        read = [(str(one.get('Location')).rstrip('/'), bool(one.get('Insecure')), one.get('PullFromMirror') or 'all') for one in entry.get('Mirrors') or ()]
        if read != [(one.location, one.insecure, one.pull_from_mirror) for one in mirrors]:
            shown = ', '.join(location for location, _insecure, _pull in read) or 'none'
            found.append(f'For {upstream} Podman reads other mirrors than those that were written: {shown}.')
    return found
