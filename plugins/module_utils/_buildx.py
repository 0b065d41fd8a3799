# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What docker buildx keeps of a user's builders: the configuration that each was made with, which it keeps until it is made anew.

Source: docker/buildx, util/confutil/config.go (the default file), util/confutil/container.go (what is kept of it) and store/nodegroup.go.
"""

from __future__ import annotations

import base64
import json
import os
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils import _buildkitd_toml, _hub_logins
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError

#: In a user's home. BUILDX_CONFIG and DOCKER_CONFIG in the user's environment lead buildx elsewhere, which nobody but that environment knows.
DIRECTORY = '.docker/buildx'
#: What a new builder is given that is made without --buildkitd-config.
DEFAULT_FILE = 'buildkitd.default.toml'

_DRIVERS = ('docker-container', 'kubernetes')
_CONFIG = 'buildkitd.toml'
# What buildx calls a builder. Another file there is none of its own, and its name may be meant for whoever reads it in a terminal.
_NAME = re.compile(r'[A-Za-z][A-Za-z0-9._-]*\Z')


@dataclass(frozen=True)
class Builder:
    """``current``: whether all of its nodes have the mirrors that the file has."""

    name: str
    current: bool


def builders(directory: str, tables: t.Mapping[str, t.Any]) -> t.List[Builder]:
    """The builders below a user's ``directory``, as far as they can be read, compared with the ``tables`` of the file."""
    folder = os.path.join(directory, 'instances')
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    wanted = _compared(tables)
    found = []
    for name in names:
        nodes = _nodes(os.path.join(folder, name)) if _NAME.match(name) else None
        if nodes is not None:
            found.append(Builder(name, all(_compared(one) == wanted for one in nodes)))
    return found


def _nodes(path: str) -> t.Optional[t.List[t.Mapping[str, t.Any]]]:
    """The tables of each node; None for what is no builder with a configuration of its own, or not understood."""
    data = _hub_logins.read_regular(path)
    try:
        told = json.loads(data or b'')
        if told['Driver'] not in _DRIVERS:
            return None
        kept = [(node.get('Files') or {}).get(_CONFIG, '') for node in told['Nodes']]
        return [_buildkitd_toml.tables_of(base64.b64decode(one).decode('utf-8')) for one in kept]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ConfigError):
        return None


def _compared(tables: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """Mirrors, and how hosts are reached. Certificates are copied into the builder, so that their paths are others there."""
    found = {}
    for name, table in tables.items():
        kept = {key: table[key] for key in ('mirrors', 'http', 'insecure') if isinstance(table, dict) and table.get(key)}
        if kept:
            found[name] = kept
    return found
