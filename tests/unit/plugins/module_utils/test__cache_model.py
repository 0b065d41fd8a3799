# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import string
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _cache_model as model
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError


@pytest.mark.parametrize('text, size', [('50g', 50 << 30), ('1T', 1 << 40), ('10k', 10240), (' 7 ', 7), (1024, 1024)])
def test_sizes(text: t.Any, size: int) -> None:
    assert model.parse_size(text, 'size') == size


@pytest.mark.parametrize('text', ['', '0', '-1g', '1.5g', '5gb', 'much', None])
def test_what_is_no_size(text: t.Any) -> None:
    with pytest.raises(ConfigError, match='is no size'):
        model.parse_size(text, 'size')


def test_upstreams_in_both_forms() -> None:
    hub, quay, own = model.parse_upstreams(
        ['docker.io', {'name': 'quay.io', 'username': 'u', 'password': 'S3CRET', 'port': '6000'}, {'name': 'registry.lan:5000', 'url': 'http://10.0.0.9:5000/'}]
    )
    assert (hub.url, hub.port, hub.unit) == ('https://registry-1.docker.io', 0, 'quickpull-cache@docker.io.service')
    assert (quay.url, quay.username, quay.port, quay.metrics_port) == ('https://quay.io', 'u', 6000, 6100)
    assert (own.url, own.id) == ('http://10.0.0.9:5000', 'registry.lan_5000')
    assert 'S3CRET' not in repr(quay)


@pytest.mark.parametrize('raw, words', [
    ([], 'a list of registries is expected'),
    ('docker.io', 'a list of registries is expected'),
    (['docker.io', {'name': 'docker.io'}], 'docker.io is named twice'),
    ([7], r'upstreams\[0\]: a name, or a dictionary'),
    ([{'url': 'https://a.lan'}], r'upstreams\[0\]: a name, or a dictionary'),
    ([{'name': 'a.lan', 'usrname': 'x'}], 'usrname is not known'),
    ([{'name': 'a.lan', 'username': 'x'}], 'username and password go together'),
    ([{'name': 'a.lan', 'url': 'a.lan'}], r'upstreams\[0\].url'),
    ([{'name': 'a.lan', 'port': 70000}], '70000 is no port'),
    ([{'name': 'a.lan', 'port': 'x'}], "'x' is no port"),
    (['dockerio'], 'is not the name of a registry'),
])  # fmt: skip
def test_what_cannot_be_an_upstream(raw: t.Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        model.parse_upstreams(raw)


NAME = st.text(string.ascii_lowercase, min_size=1, max_size=4).map('{}.lan'.format)
NAMES = st.lists(NAME, min_size=1, max_size=6, unique=True)


@given(NAMES, st.dictionaries(NAME, st.integers(5101, 5105), max_size=4), st.sets(st.integers(5101, 5210)))
def test_each_has_a_port_of_its_own_and_keeps_it(names: list[str], known: dict[str, int], taken: set[int]) -> None:
    found = model.with_ports(model.parse_upstreams(names), known, taken.__contains__)
    ports = [port for one in found for port in (one.port, one.metrics_port)]
    assert len(set(ports)) == len(ports)
    assert all(one.port == known.get(one.id) or not {one.port, one.metrics_port} & taken for one in found)
    assert model.with_ports(model.parse_upstreams(names), {one.id: one.port for one in found}, taken.__contains__) == found


def test_ports_that_cannot_be() -> None:
    two = model.parse_upstreams([{'name': 'a.lan', 'port': 6000}, {'name': 'b.lan', 'port': 6100}])
    with pytest.raises(ConfigError, match=r'b\.lan and a\.lan would both listen on port 6100'):
        model.with_ports(two, {})
    with pytest.raises(ConfigError, match=r'port 6000 of a\.lan is taken by another program'):
        model.with_ports(two[:1], {}, lambda port: port == 6000)
    assert model.with_ports(two[:1], {'a.lan': 6000}, lambda port: port == 6000)[0].port == 6000


@pytest.mark.parametrize('text, goes', [('', ''), ('0', '0s'), (0, '0s'), ('30d', '720h'), ('12h', '12h'), ('90M', '90m')])
def test_how_long_is_kept(text: t.Any, goes: str) -> None:
    assert model.parse_program(3, text) == model.Program(3, goes)


@pytest.mark.parametrize('text', ['d', '1', '-1d', '1.5h', '1w', 'for ever'])
def test_what_is_no_time_to_keep(text: str) -> None:
    with pytest.raises(ConfigError, match='is no time'):
        model.parse_program(3, text)
