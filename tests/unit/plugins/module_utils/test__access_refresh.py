# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.quickpull.registry.plugins.module_utils import _access_refresh
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError

SETTINGS: dict[str, t.Any] = {'mirrors': {'docker.io': ['https://mirror.example']}, 'interval': '10m', 'asking': {'images': ['library/busybox:latest']}}
STEADINESS = 'registry_access_refresh_steadiness'


@pytest.mark.parametrize('change, told', [
    ({'interval': '5s'}, 'registry_access_refresh_interval: 5 seconds are less than the least, 30.'),
    ({'interval': '10 minutes'}, "registry_access_refresh_interval: '10 minutes' is no duration"),
    ({'steadiness': {'provn': 2}}, f'{STEADINESS}.provn is not known. Known are proven, wanted, longest_pause.'),
    ({'steadiness': {'proven': 0}}, f'{STEADINESS}.proven: a whole number'),
    ({'ask': ['cache1:8377']}, "registry_access_refresh_ask: 'cache1:8377' has no scheme."),
    ({'ask': 'http://cache1:8377'}, 'registry_access_refresh_ask: a list is expected'),
    ({'steadiness': 'much'}, f'{STEADINESS}: a dict is expected'),
    ({'metrics_path': 'x.prom'}, "registry_access_metrics_path: 'x.prom' is no absolute path."),
    ({'metrics_path': '/var/lib/x.txt'}, "registry_access_metrics_path: '/var/lib/x.txt' does not end with .prom"),
    ({'metrics_path': '/tmp/x.prom'}, "registry_access_metrics_path: '/tmp/x.prom': the refresh has a /tmp of its own"),
    ({'asking': {'deadline': 'soon'}}, 'registry_access_probe_deadline: a number of seconds is expected'),
    ({'asking': {'stale_after': 'never'}}, "registry_access_probe_stale_after: 'never' is no duration"),
    ({'asking': {'proxies': {'http': 'x'}}}, "registry_access_proxies: unknown key 'http'"),
    ({'mirrors': {'docker.io': ['ftp://x']}}, 'mirrors.docker.io[0]: '),
    ({'engines': ['dokcer']}, 'registry_access_engines: dokcer is not known'),
])  # fmt: skip
def test_what_the_module_would_refuse_is_refused_in_the_names_of_the_role(change: dict[str, t.Any], told: str) -> None:
    with pytest.raises(ConfigError) as info:
        _access_refresh.check({**SETTINGS, **change})
    assert str(info.value).startswith(told)


@pytest.mark.parametrize('jitter, offer, told', [
    (301, '', 'registry_access_refresh_jitter: 301 seconds are not between 0 and half of the interval, 300.'),
    ('soon', '', "registry_access_refresh_jitter: a number of seconds is expected, not 'soon'."),
    ([], '', 'registry_access_refresh_jitter: a number of seconds is expected, not a list.'),
    (None, '99999', "registry_access_refresh_offer: '99999' is neither a port nor ADDRESS:PORT."),
])  # fmt: skip
def test_how_the_units_are_to_be_is_checked_too(jitter: t.Any, offer: str, told: str) -> None:
    with pytest.raises(ConfigError) as info:
        _access_refresh.check(SETTINGS, jitter, offer)
    assert str(info.value) == told


@pytest.mark.parametrize('jitter, offer', [(None, ''), (300, '8377'), ('60', '[::1]:8377')])
def test_what_makes_sense_passes(jitter: t.Any, offer: str) -> None:
    _access_refresh.check({**SETTINGS, 'ask': ['http://cache.lan:8377'], 'metrics_path': '/var/lib/node-exporter/x.prom'}, jitter, offer)


def test_each_variable_is_one_of_the_role() -> None:
    specs = yaml.safe_load((Path(__file__).parents[4] / 'roles/registry_access/meta/argument_specs.yml').read_text(encoding='utf-8'))
    assert set(_access_refresh._VARIABLES.values()) <= set(specs['argument_specs']['main']['options'])
