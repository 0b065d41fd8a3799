# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Letting dockerd itself say whether it would start with a configuration (``dockerd --validate``, since 23.0)."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._io import clean_temps, make_temp
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text
from ansible_collections.quickpull.registry.plugins.module_utils._version import parse_version

if t.TYPE_CHECKING:
    from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DockerDaemon

SINCE = (23,)
TIMEOUT = 30.0

# Not passed on: what names the file or ends dockerd at once, and what may hold a password, which has no business on a second
# command line (that a proxy is given both ways is found without dockerd).
_LEFT_OUT = frozenset({'config-file', 'validate', 'version', 'help', 'http-proxy', 'https-proxy', 'no-proxy'})


class CannotValidateError(Exception):
    """dockerd was not asked; the text says why."""


def why_not(daemon: DockerDaemon) -> str:
    """Why this host's dockerd cannot be asked, in half a sentence; empty when it can."""
    if not daemon.installed or not daemon.binary:
        return 'there is no dockerd on this host'
    if daemon.flavour not in ('native', 'rootless'):
        return f'the dockerd of a {daemon.flavour} package cannot be called from outside'
    version = parse_version(daemon.binary_version or daemon.version)
    if version is None:
        return 'the version of dockerd is not known'
    if version < SINCE:
        return f'dockerd {daemon.binary_version or daemon.version} has no --validate yet (since 23.0)'
    return ''


def command(daemon: DockerDaemon, config_file: str) -> list[str]:
    """The call: dockerd with the file, and with the flags in force, because a key that is given both ways is an error."""
    flags = [f'--{flag.name}={value}' for flag in daemon.flags if flag.name not in _LEFT_OUT for value in flag.values]
    return [daemon.binary or 'dockerd', '--validate', f'--config-file={config_file}', *flags]


def _temp(data: bytes, folders: t.Iterable[str]) -> str:
    problem = ''
    for folder in folders:
        target = os.path.join(folder, 'daemon.json')
        clean_temps(target)
        temp = ''
        try:
            fd, temp = make_temp(target)
            with os.fdopen(fd, 'wb') as handle:
                handle.write(data)
            return temp
        except OSError as exc:
            problem = str(exc)
            if temp:
                with contextlib.suppress(OSError):
                    os.unlink(temp)
    raise CannotValidateError(f'a temporary file could not be written: {problem}')


def validate(daemon: DockerDaemon, data: bytes, path: str, *, folders: t.Sequence[str] = ()) -> None:
    """Ask dockerd.

    :param data: what the file will hold; it is shown to dockerd in a temporary file (0600) that is removed.
    :param path: of the file, for the error.
    :param folders: where the temporary file may be; by default /run, else the usual place.
    :raises CannotValidateError: when dockerd could not be asked.
    :raises ConfigError: with dockerd's own words when it refuses.
    """
    problem = why_not(daemon)
    if problem:
        raise CannotValidateError(problem)
    temp = _temp(data, folders or ('/run', tempfile.gettempdir()))
    try:
        ran = subprocess.run(
            command(daemon, temp), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise CannotValidateError(f'dockerd --validate did not run: {type(exc).__name__}') from exc
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temp)
    if ran.returncode != 0:
        said = ' '.join(mask_text(ran.stdout.decode('utf-8', 'replace')).replace(temp, path).split())
        raise ConfigError(f'{path}: dockerd would not start with it, so nothing was written. It says: {said[-1500:]}', path=path)
