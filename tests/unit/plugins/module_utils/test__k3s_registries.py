# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import string

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _k3s_registries as registries
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._k3s_registries import Registries
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import FIRST_LINE

PLAIN, PROJECT, BELOW = Mirror('http://a.lan:5000'), Mirror('https://h.lan/v2/quay'), Mirror('https://b.lan/hub')
SECURE = Mirror('https://s.lan', ca_path='/ca', client_cert='/c', client_key='/k')


def test_mirrors_become_endpoints_in_order() -> None:
    found = registries.translate({'docker.io': [PLAIN, BELOW], 'quay.io': [PROJECT, SECURE], 'ghcr.io': []})
    assert found.left_out == ()
    assert found.registries.endpoints == {
        'docker.io': ['http://a.lan:5000', 'https://b.lan/hub/v2'], 'quay.io': ['https://h.lan/v2/quay', 'https://s.lan'], 'ghcr.io': [],
    }  # fmt: skip
    assert registries.merged(Registries(), found.registries).tls == {'s.lan': {'ca_file': '/ca', 'cert_file': '/c', 'key_file': '/k'}}


def test_what_cannot_be_had_is_told() -> None:
    found = registries.translate({'docker.io': [Mirror('https://c.lan', trust='content'), Mirror('https://d.lan', headers={'a': 's3cret'}), PLAIN]})
    assert found.registries.endpoints == {'docker.io': ['http://a.lan:5000']}
    assert len(found.left_out) == 2 and 's3cret' not in str(found.left_out)


def test_one_host_has_one_set_of_certificates() -> None:
    other = Mirror('https://s.lan/v2/x', insecure=True)
    with pytest.raises(ConfigError, match=r's\.lan'):
        registries.translate({'docker.io': [SECURE], 'quay.io': [other]})
    assert registries.translate({'docker.io': [Mirror('http://s.lan', insecure=True)]}).registries.tls == {}


def test_an_upstream_that_is_not_named_stays_with_its_certificates() -> None:
    before = registries.translate({'docker.io': [SECURE], 'quay.io': [PLAIN]}).registries
    after = registries.merged(before, registries.translate({'quay.io': []}).registries)
    assert (dict(after.endpoints), list(after.tls)) == ({'docker.io': ['https://s.lan']}, ['s.lan'])
    gone = registries.merged(after, registries.translate({'docker.io': []}).registries)
    assert (gone.empty, gone.tls, registries.render(gone)) == (True, {}, None)


def test_what_is_written_is_yaml() -> None:
    content = registries.render(registries.merged(Registries(), registries.translate({'docker.io': [SECURE]}).registries))
    assert content is not None and content.text.startswith(FIRST_LINE)
    assert yaml.safe_load(content.text) == {
        'mirrors': {'docker.io': {'endpoint': ['https://s.lan']}},
        'configs': {'s.lan': {'tls': {'ca_file': '/ca', 'cert_file': '/c', 'key_file': '/k'}}},
    }


# The parser in C is the older brother of the one that K3s has, and much quicker; not every PyYAML has it.
YAML = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
NAMES = st.text(string.ascii_lowercase + string.digits + '.-', min_size=1, max_size=20)
PATHS = st.text(st.characters(codec='utf-8', exclude_categories=['C']), min_size=1)


@given(st.dictionaries(NAMES, st.lists(NAMES, min_size=1)), PATHS)
def test_whatever_is_written_is_read_back(upstreams: dict[str, list[str]], ca_path: str) -> None:
    mirrors = {name: [Mirror(f'https://{host}', ca_path=ca_path) for host in hosts] for name, hosts in upstreams.items()}
    wanted = registries.merged(Registries(), registries.translate(mirrors).registries)
    content = registries.render(wanted)
    if content is None:
        assert not upstreams
        return
    assert registries.parse_ours(content.text) == wanted
    assert yaml.load(content.text, YAML) == json.loads(content.text.partition('\n')[2])


@pytest.mark.parametrize('text', ['', 'mirrors:\n  x: 1\n', '[]', '{"mirrors": []}', '{"mirrors": {"a": {}}}', '{"configs": {"a": {"auth": {}}}}', '# x\n'])
def test_what_is_not_ours_any_more_is_nothing(text: str) -> None:
    assert registries.parse_ours(text).empty
