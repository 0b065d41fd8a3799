# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils._misspelt import distance, misspelt

KNOWN = ('registry_access_mirrors', 'registry_access_proxies', 'registry_access_site')
TEXT = st.text('abc', max_size=6)


@pytest.mark.parametrize('name, meant', [
    ('registry_access_mirror', 'registry_access_mirrors'),
    ('registry_acess_mirrors', 'registry_access_mirrors'),
    ('registry_access_mirorrs', 'registry_access_mirrors'),
    ('registry_access_proxis', 'registry_access_proxies'),
    ('registry_access_sit', 'registry_access_site'),
])  # fmt: skip
def test_a_slip_of_the_pen(name: str, meant: str) -> None:
    assert misspelt([name, *KNOWN], KNOWN) == [f'{name} is no variable of this role, and does nothing. Is {meant} meant?']


@pytest.mark.parametrize('name', ['registry_access_mirrors_eu', 'registry_access_mirrors', 'registry_access_house', 'registry_access_mine', 'mirrors', ''])
def test_what_is_known_or_the_users_own(name: str) -> None:
    assert misspelt([name], KNOWN) == [] == misspelt([name], ())


@given(TEXT, TEXT, TEXT)
def test_a_distance_is_one(one: str, other: str, third: str) -> None:
    if max(map(len, (one, other, third))) - min(map(len, (one, other, third))) <= 2:
        there, back = (distance(*pair) for pair in ((one, other), (other, one)))
        assert there == back <= distance(one, third) + distance(third, other)
    assert (distance(one, other) == 0) == (one == other)
