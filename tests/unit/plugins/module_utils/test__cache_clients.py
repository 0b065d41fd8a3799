# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.quickpull.registry.plugins.module_utils import _cache_clients, _cache_model
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError

ROLE = Path(_cache_clients.__file__).resolve().parents[2] / 'roles/pull_through_cache/defaults/main.yml'


def test_a_cache_is_a_mirror_of_what_it_is_a_cache_of() -> None:
    caches: dict[str, dict[str, t.Any]] = {
        'c1': {'ansible_host': '10.0.0.5', 'pull_through_cache_upstreams': ['docker.io', {'name': 'quay.io', 'username': 'u', 'password': 'p'}]},
        'c2.lan': {'pull_through_cache_certificate': '/a.crt', 'pull_through_cache_port': 443},
        'c3': {'pull_through_cache_url': 'https://cache.lan/', 'pull_through_cache_upstreams': ['ghcr.io', 'docker.io']},
        'c4': {'ansible_host': 'fd00::1', 'pull_through_cache_state': 'absent'},
        'c5': {'ansible_host': 'fd00::1'},
        'c6': {'ansible_host': '10.0.0.6', 'pull_through_cache_certificate': '/a.crt', 'pull_through_cache_client_ca_path': '/etc/ssl/team.pem'},
        'c7': {'ansible_host': '10.0.0.7', 'pull_through_cache_client_ca_path': '/etc/ssl/team.pem'},  # which plain HTTP has no use for
    }
    assert _cache_clients.mirrors(caches) == {
        'docker.io': [
            'http://10.0.0.5:5000', 'https://c2.lan:443', 'http://[fd00::1]:5000', {'url': 'https://10.0.0.6:5000', 'ca_path': '/etc/ssl/team.pem'},
            'http://10.0.0.7:5000',
        ],
        'quay.io': ['http://10.0.0.5:5000/v2/quay.io'],
        'ghcr.io': ['https://cache.lan'],
    }


def test_no_cache_says_nothing() -> None:
    assert _cache_clients.mirrors({}) is None
    assert _cache_clients.mirrors({'c': {'pull_through_cache_state': 'absent'}}) == {'docker.io': []}, 'which clients are to forget'
    with pytest.raises(ConfigError, match='upstreams'):
        _cache_clients.mirrors({'c': {'pull_through_cache_upstreams': 'docker.io'}})


def test_where_the_inventory_is_silent_the_role_says_the_same() -> None:
    defaults = yaml.safe_load(ROLE.read_text())
    assert defaults['pull_through_cache_port'] == _cache_model.DEFAULT_PORT
    assert tuple(defaults['pull_through_cache_upstreams']) == _cache_model.DEFAULT_UPSTREAMS
