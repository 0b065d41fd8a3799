# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instances as containers, where a distribution has no package of the registry: the image is there before the service is switched."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _systemd
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text

ENGINES = ('docker', 'podman')

_PULL_SECONDS = 900.0
_TAG = re.compile(r':v?([0-9]+)(?:[.-][^:/]*)?\Z')


def check_version(image: str, version: int) -> None:
    """Raises ConfigError for an image whose tag says another version of the registry than the files would be written for."""
    found = _TAG.search(image.partition('@')[0])
    if found and int(found.group(1)) in (2, 3) and int(found.group(1)) != version:
        raise ConfigError(
            f'container_image: {image} is version {found.group(1)} of the registry, and registry_version is {version}; write the same in both.',
            key='registry_version',
        )  # fmt: skip


def have_image(engine: str, image: str, run: _systemd.Runner, check_mode: bool = False) -> str:
    """Pull the image where it is not there yet. Returns in check mode a sentence when it would be, else an empty string.

    :raises ConfigError: for an engine that is not on this host, or does not run, and for an image that cannot be had.
    """
    program = f'/usr/bin/{engine}'  # which the units run, whatever is first on a path
    told = run((program, 'image', 'inspect', '--format', '{{.Id}}', image), 30.0)
    if told.rc == 0:
        return ''
    if told.rc == _systemd.RC_ABSENT:
        raise ConfigError(f'container_engine: there is no {program} on this host.', key='container_engine')
    if 'daemon running' in told.stderr:
        raise ConfigError(f'container_engine: {program} does not reach its daemon; start it first: {_last_line(told)}', key='container_engine')
    if check_mode:
        return f'The image {image} is not on this host yet, and would be pulled.'
    pulled = run((program, 'pull', '--quiet', image), _PULL_SECONDS)
    if pulled.rc != 0:
        raise ConfigError(f'container_image: {engine} cannot pull {image}: {_last_line(pulled)}', key='container_image')
    return ''


def _last_line(told: _systemd.Result) -> str:
    lines = [line for line in (told.stderr or told.stdout).splitlines() if line.strip()]
    return mask_text(lines[-1].strip())[:400] if lines else f'exit code {told.rc}'


def version_of(program: str, run: _systemd.Runner) -> t.Optional[int]:
    """The first number of the version of a registry's program; None when it does not tell."""
    told = run((program, '--version'), 15.0)
    found = re.search(r'\bv?([0-9]+)\.[0-9]+', told.stdout) if told.rc == 0 else None
    return int(found.group(1)) if found else None
