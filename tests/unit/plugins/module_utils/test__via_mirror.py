# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._via_mirror import Way, via_mirror, ways_to

DIGEST = 'sha256:' + 'a' * 64
MIRRORS: dict[str, t.Any] = {
    'docker.io': ['http://cache.lan:5000', 'https://other.example'],
    'quay.io': ['https://far.example/hub', {'url': 'https://harbor.lan/v2/quay', 'third_party': True}],
    'ghcr.io': ['https://far.example/hub', 'https://[2001:db8::1]'],
    'reg.lan:5000': ['http://cache.lan'],
}


@pytest.mark.parametrize(
    'image, name',
    [
        ('nginx', 'cache.lan:5000/library/nginx:latest'),
        ('nginx:1.27', 'cache.lan:5000/library/nginx:1.27'),
        ('docker.io/team/app@' + DIGEST, f'cache.lan:5000/team/app@{DIGEST}'),
        (f'team/app:1@{DIGEST}', f'cache.lan:5000/team/app:1@{DIGEST}'),
        ('index.docker.io/library/nginx', 'cache.lan:5000/library/nginx:latest'),
        ('quay.io/x/y:t', 'harbor.lan/quay/x/y:t'),
        ('reg.lan:5000/a/b', 'cache.lan:80/a/b:latest'),
        ('ghcr.io/x/y:t', 'ghcr.io/x/y:t'),
        ('gcr.io/x/y', 'gcr.io/x/y'),
    ],
)
def test_the_name_on_the_mirror(image: str, name: str) -> None:
    assert via_mirror(image, MIRRORS) == name


def test_a_list_is_of_the_images_own_upstream() -> None:
    assert via_mirror('quay.io/x/y:t', ['https://m.example']) == 'm.example/x/y:t'
    assert via_mirror('nginx', ['https://m']) == 'm:443/library/nginx:latest'
    assert via_mirror('nginx', None) == via_mirror('nginx', []) == 'nginx'


@pytest.mark.parametrize('image, mirrors', [('UPPER', {}), ('nginx', ['ftp://x'])])
def test_what_makes_no_sense(image: str, mirrors: t.Any) -> None:
    with pytest.raises(ConfigError):
        via_mirror(image, mirrors)


def test_the_ways_to_an_image_end_at_its_registry() -> None:
    found = ways_to('quay.io/x/y', MIRRORS)
    assert found.image == 'quay.io/x/y:latest'
    assert found.ways == (Way('harbor.lan', 'harbor.lan/quay/x/y:latest', 'https://harbor.lan/v2/quay'), Way('quay.io', 'quay.io/x/y:latest'))
    assert [text.partition(': ')[0] for text in found.passed_over] == ['https://far.example/hub']
    assert ways_to('nginx', MIRRORS, upstream_too=False).ways[-1] == Way('other.example', 'other.example/library/nginx:latest', 'https://other.example')
    assert ways_to('nginx', {}).ways == (Way('docker.io', 'docker.io/library/nginx:latest'),)


def test_an_image_with_a_digest_is_pulled_by_it() -> None:
    found = ways_to(f'reg.lan:5000/a/b:2@{DIGEST}', MIRRORS)
    assert found.image == 'reg.lan:5000/a/b:2'
    assert [way.name for way in found.ways] == [f'cache.lan:80/a/b@{DIGEST}', f'reg.lan:5000/a/b@{DIGEST}']
    with pytest.raises(ConfigError, match='NAME:TAG@DIGEST'):
        ways_to(f'nginx@{DIGEST}', MIRRORS)


def test_a_mirror_of_content_says_nothing_of_tags() -> None:
    mirrors = {'docker.io': [{'url': 'https://m.example', 'trust': 'content'}]}
    tagged, pinned = ways_to('nginx:1', mirrors, upstream_too=False), ways_to(f'nginx:1@{DIGEST}', mirrors, upstream_too=False)
    assert (tagged.ways, len(tagged.passed_over)) == ((), 1)
    assert (len(pinned.ways), pinned.passed_over) == (1, ())
