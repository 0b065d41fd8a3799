# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleError, AnsibleLookupError

from ansible_collections.quickpull.registry.plugins.lookup import mirror_catalog
from ansible_collections.quickpull.registry.plugins.module_utils import _catalog
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import TRUST_LEVELS, parse_mirrors

NAME = 'quickpull.registry.mirror_catalog'
OPTIONS = yaml.safe_load(mirror_catalog.DOCUMENTATION)['options']


def catalog(*terms: t.Any, **options: t.Any) -> list[dict[str, t.Any]]:
    constants.config.initialize_plugin_configuration_definitions('lookup', NAME, OPTIONS)
    plugin = mirror_catalog.LookupModule()
    plugin._load_name = NAME  # what the plugin loader does
    found: list[dict[str, t.Any]] = plugin.run(list(terms), {}, **options)
    return found


def test_candidates_are_mirrors_that_may_not_resolve() -> None:
    found = catalog('docker.io')
    assert {'url': 'https://docker.1ms.run', 'trust': 'content', 'third_party': True} in found
    assert len(parse_mirrors(found)) == len(found)


def test_terms_may_come_as_a_list() -> None:
    assert catalog(['quay.io', 'ghcr.io'], state=['restricted']) == catalog('quay.io', 'ghcr.io', state=['restricted'])


def test_options() -> None:
    assert catalog('docker.m.daocloud.io', trust='resolve') == [{'url': 'https://docker.m.daocloud.io', 'trust': 'resolve', 'third_party': True}]
    urls = [one['url'] for one in catalog('docker.io', state=['restricted'], reachable_from=['alibaba_cloud'], parameters={'aliyun_id': 'a1'})]
    assert urls == ['https://docker.m.daocloud.io', 'https://a1.mirror.aliyuncs.com']
    assert catalog('docker.io', state=['restricted'], without=['allow_list', 'stale'], rows=True)[0]['host'] == 'mirror.gcr.io'


def test_a_pattern_is_a_row_and_never_a_mirror() -> None:
    assert [one['url'] for one in catalog('docker.io', state=['not_a_mirror'])] == ['https://gcr.io']
    assert len(catalog('docker.io', state=['not_a_mirror'], rows=True)) == 2


def test_errors() -> None:
    with pytest.raises(AnsibleLookupError, match='is not in the catalogue'):
        catalog('cache.lan')
    with pytest.raises(AnsibleLookupError, match='one host for each account'):
        catalog('{aliyun_id}.mirror.aliyuncs.com')
    with pytest.raises(AnsibleError, match='alive'):
        catalog('docker.io', state=['alive'])
    with pytest.raises(AnsibleError, match=r'has no option statee\. It has parameters'):
        catalog('docker.io', statee=['gone'])


def test_the_documented_choices_are_those_of_the_catalogue() -> None:
    assert OPTIONS['state']['choices'] == list(_catalog.STATES)
    assert OPTIONS['reachable_from']['choices'] == list(_catalog.PLACES)
    assert OPTIONS['without']['choices'] == list(_catalog.RESTRICTIONS)
    assert OPTIONS['trust']['choices'] == list(TRUST_LEVELS)
