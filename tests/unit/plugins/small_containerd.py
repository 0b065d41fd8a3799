# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a containerd makes of a config.toml, as far as these tests need it."""

from __future__ import annotations

import json
import typing as t

import tomllib


def dump_of(data: bytes) -> dict[str, t.Any]:
    """What a containerd 1.x makes of a file: the first version's names are renamed, and defaults are put in."""
    dump: dict[str, t.Any] = {**tomllib.loads(data.decode().replace('\r\n', '\n')), 'version': 2}
    plugins = dump.setdefault('plugins', {})
    plugins.setdefault('io.containerd.grpc.v1.cri', {}).update(plugins.pop('cri', {}))
    plugins['io.containerd.grpc.v1.cri'].setdefault('registry', {}).setdefault('config_path', '')
    return dump


def printed(table: t.Mapping[str, t.Any], name: str = '') -> str:
    keys = ''.join(f'{key} = {json.dumps(value)}\n' for key, value in table.items() if not isinstance(value, dict))
    inner = ((name + json.dumps(key), value) for key, value in table.items() if isinstance(value, dict))
    return keys + ''.join(f'[{path}]\n{printed(value, path + ".")}' for path, value in inner)
