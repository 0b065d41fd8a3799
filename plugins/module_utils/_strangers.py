# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of Docker's mirrors belong to third parties, kept on the host.

daemon.json has no place for it, and a later run that only brings a login does not know who is behind the mirrors of an earlier one.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _io
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, normalise_url
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

_ENGINE = 'docker'


def recall(state: State) -> list[str]:
    """Their URLs, normalised. What cannot be read counts as none: the catalogue and the run's own list still tell."""
    try:
        found = json.loads(_io.read_file(state.strangers(_ENGINE)).data or b'[]')
    except (ConfigError, ValueError):
        return []
    return [url for url in found if isinstance(url, str)] if isinstance(found, list) else []


def remember(state: State, mirrors: t.Iterable[Mirror], written: t.Iterable[str]) -> None:
    """Keep which of the mirrors ``written`` are strangers': as these ``mirrors`` say, else as it was known before.

    :raises ConfigError: when it cannot be written.
    """
    said = {normalise_url(mirror.url): mirror.third_party for mirror in mirrors}
    before = recall(state)
    after = [url for url in dict.fromkeys(map(normalise_url, written)) if said.get(url, url in before)]
    if after == before:
        return
    if after:
        _io.write_private(state.strangers(_ENGINE), (json.dumps(after) + '\n').encode(), root=state.root)
    else:
        _io.delete_file(state.strangers(_ENGINE))
