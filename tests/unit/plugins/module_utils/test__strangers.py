# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.module_utils._strangers import recall, remember

OWN, FOREIGN = 'https://own.example/', 'https://stranger.example/'


def test_a_stranger_is_known_until_it_is_gone_or_said_to_be_none(tmp_path: Path) -> None:
    state = State(str(tmp_path / 'state'))
    assert recall(state) == []
    remember(state, [Mirror(OWN), Mirror(FOREIGN, third_party=True)], [OWN, FOREIGN])
    assert recall(state) == [FOREIGN]
    remember(state, [], [FOREIGN.upper().replace('HTTPS', 'https'), OWN])
    assert recall(state) == [FOREIGN]
    remember(state, [Mirror(FOREIGN)], [FOREIGN])
    assert recall(state) == []
    remember(state, [Mirror(FOREIGN, third_party=True)], [FOREIGN])
    remember(state, [], [OWN])
    assert recall(state) == []
    assert not Path(state.strangers('docker')).exists()


def test_a_record_that_is_broken_tells_nothing(tmp_path: Path) -> None:
    state = State(str(tmp_path))
    for text in ('[', '{}', '[1]'):
        Path(state.strangers('docker')).parent.mkdir(exist_ok=True)
        Path(state.strangers('docker')).write_text(text)
        assert recall(state) == []
