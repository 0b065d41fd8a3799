# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils._plain import plain, type_name


class Tagged(str):
    """Stands for a tagged string of ansible-core 2.19."""


class Lazy(t.List[t.Any]):
    """Stands for a list whose items are made when they are read, as those of ansible-core 2.19 are."""

    def __iter__(self) -> t.Iterator[t.Any]:
        return (f'templated {item}' for item in range(len(self)))


def test_plain_makes_exact_types() -> None:
    made = plain({Tagged('k'): (Tagged('v'), True, None, 1.5), 2: {3}})
    assert made == {'k': ['v', True, None, 1.5], '2': [3]}
    assert {type(text) for text in (*made, made['k'][0])} == {str}


def test_plain_reads_lazy_items() -> None:
    assert plain(Lazy(['raw', 'raw'])) == ['templated 0', 'templated 1']


def test_plain_writes_dates_out() -> None:
    assert plain([datetime.date(2026, 1, 2)]) == ['2026-01-02']


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values)
def test_plain_leaves_json_alone(value: t.Any) -> None:
    assert plain(value) == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    ('value', 'name'), [(None, 'null'), (True, 'a boolean'), ('', 'a string'), (1, 'a number'), (1.5, 'a number'), ({}, 'a dict'), ([], 'a list')]
)
def test_type_name(value: t.Any, name: str) -> None:
    assert type_name(value) == name
