# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils._misspelt import OF_PLAYBOOKS, distance, misspelt, with_playbooks

KNOWN = (
    'registry_access_canaries', 'registry_access_hosts', 'registry_access_live_restore_first', 'registry_access_mirror_policy', 'registry_access_mirrors',
    'registry_access_proxies', 'registry_access_report_path', 'registry_access_restart', 'registry_access_site',
)  # fmt: skip
TEXT = st.text('abc', max_size=6)


@pytest.mark.parametrize('name, meant', [
    ('registry_access_mirror', 'registry_access_mirrors'),
    ('registry_acess_mirrors', 'registry_access_mirrors'),
    ('registry_access_mirorrs', 'registry_access_mirrors'),
    ('registry_access_proxis', 'registry_access_proxies'),
    ('registry_access_sit', 'registry_access_site'),
    ('registry_access_host', 'registry_access_hosts'),
    ('registry_access_restrat', 'registry_access_restart'),
    ('registry_access_canary', 'registry_access_canaries'),
    ('registry_access_proxy', 'registry_access_proxies'),
    ('registry_access_mirror_policies', 'registry_access_mirror_policy'),
    ('registry_access_report', 'registry_access_report_path'),
    ('registry_access_live_restore', 'registry_access_live_restore_first'),
])  # fmt: skip
def test_a_slip_of_the_pen(name: str, meant: str) -> None:
    assert misspelt([name, *KNOWN], KNOWN) == [f'{name} is no variable of this collection, and does nothing. Is {meant} meant?']


@pytest.mark.parametrize('name', [
    'registry_access_mirrors_eu', 'registry_access_mirrors', 'registry_access_house', 'registry_access_mine', 'registry_access_re', 'registry_access',
    'mirrors', '',
])  # fmt: skip
def test_what_is_known_or_the_users_own(name: str) -> None:
    assert misspelt([name], KNOWN) == [] == misspelt([name], ())


def test_playbooks_have_variables_beside_those_of_their_role() -> None:
    assert with_playbooks(KNOWN[2:]) == {*KNOWN[2:], 'registry_access_hosts'}
    assert with_playbooks(['registry_worker_name', 'registry_worker_state']) == {'registry_worker_name', 'registry_worker_state'}
    assert with_playbooks([]) == set()
    (alone,) = set(OF_PLAYBOOKS) - with_playbooks(KNOWN)
    for name in ('registry_rollback_rn', 'registry_rolback_run', 'registry_rollback_runs'):
        assert misspelt([name], (alone,)) == [f'{name} is no variable of this collection, and does nothing. Is registry_rollback_run meant?']
    assert misspelt(['registry_rollback_of_mine', 'registry_rollback', alone], (alone,)) == []


@given(TEXT, TEXT, TEXT)
def test_a_distance_is_one(one: str, other: str, third: str) -> None:
    if max(map(len, (one, other, third))) - min(map(len, (one, other, third))) <= 2:
        there, back = (distance(*pair) for pair in ((one, other), (other, one)))
        assert there == back <= distance(one, third) + distance(third, other)
    assert (distance(one, other) == 0) == (one == other)
