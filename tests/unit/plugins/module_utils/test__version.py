# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils._version import parse_version

VERSIONS: list[tuple[str | None, tuple[int, ...] | None]] = [
    ('20.10.24+dfsg1', (20, 10, 24)),
    ('26.1.5+dfsg1', (26, 1, 5)),
    ('v2.1.9', (2, 1, 9)),
    ('5:28.5.2-1~debian.13~trixie', (28, 5, 2)),
    ('29.0.0-rc.1', (29, 0, 0)),
    (' 19.03.15', (19, 3, 15)),
    ('28', (28,)),
    ('dev', None),
    ('', None),
    (None, None),
]


@pytest.mark.parametrize('text, version', VERSIONS)
def test_parse_version(text: str | None, version: tuple[int, ...] | None) -> None:
    assert parse_version(text) == version


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=5), st.sampled_from(['', '+dfsg1', '-ce', '~rc1', ' (x)']))
def test_numbers_come_back(parts: t.List[int], suffix: str) -> None:
    assert parse_version('.'.join(map(str, parts)) + suffix) == tuple(parts)
