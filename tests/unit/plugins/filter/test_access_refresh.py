# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a variable on the command line is, the module turns into its types; so does the check beforehand."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.quickpull.registry.plugins.filter.access import access_as_host_chose, access_refresh_holds
from ansible_collections.quickpull.registry.plugins.module_utils._refresh_settings import choice_key, parse

SETTINGS: dict[str, t.Any] = {'mirrors': {'docker.io': ['https://mirror.example']}, 'interval': '10m'}
STEADINESS = 'registry_access_refresh_steadiness'


@pytest.mark.parametrize('change', [
    {'ask': 'http://cache1.lan:8377,http://cache2.lan:8377'}, {'ask': None}, {'steadiness': '{"proven": 2}'}, {'steadiness': None}, {'metrics_path': None},
])  # fmt: skip
def test_what_the_module_turns_into_its_types_passes(change: dict[str, t.Any]) -> None:
    assert access_refresh_holds({**SETTINGS, **change})


@pytest.mark.parametrize('jitter', [None, '', '60', 300])
def test_a_jitter_may_be_left_out_or_a_text(jitter: t.Any) -> None:
    assert access_refresh_holds(SETTINGS, jitter, '8377')


@pytest.mark.parametrize('change, told', [
    ({'ask': 'cache1:8377'}, "registry_access_refresh_ask: 'cache1:8377' has no scheme."),
    ({'steadiness': 'much'}, f'{STEADINESS}: a dict is expected'),
    ({'steadiness': '{"provn": 2}'}, f'{STEADINESS}.provn is not known.'),
    ({'metrics_path': 5}, "registry_access_metrics_path: '5' is no absolute path."),
])  # fmt: skip
def test_what_is_wrong_is_told(change: dict[str, t.Any], told: str) -> None:
    with pytest.raises(AnsibleFilterError) as info:
        access_refresh_holds({**SETTINGS, **change})
    assert told in str(info.value)


@pytest.mark.parametrize('change', [{}, {'ask': 'http://cache1.lan:8377'}, {'steadiness': '{"proven": 2}'}, {'query': None}, {'metrics_path': None}])
def test_a_hosts_own_choice_stands_whatever_form_its_settings_are_given_in(change: dict[str, t.Any]) -> None:
    chosen = {'docker': {'docker.io': ['https://mirror.example']}}
    told = {'installed': True, 'age': 5, 'errors': [], 'chosen': chosen, 'goes_by': choice_key(parse(SETTINGS)), 'checked_at': '2026-11-29T02:00:00Z'}
    assert access_as_host_chose(told, {**SETTINGS, **change}) == {'of': '2026-11-29T02:00:00Z', 'engines': chosen}
