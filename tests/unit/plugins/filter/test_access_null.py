# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before ansible-core 2.19 a variable that is null arrives in a filter as an empty text. The filters must not tell the two apart."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.quickpull.registry.plugins.filter import access

CHOOSING: dict[str, t.Any] = {'probed': {}, 'probing': False, 'policy': {}, 'own': None}
PARTS = ['mirrors', 'proxies', 'settings']


@pytest.mark.parametrize('call', [
    lambda nothing: access.access_added_up([nothing, nothing, {'docker.io': ['http://a.lan']}]),
    lambda nothing: access.access_added_up([nothing, nothing]),
    lambda nothing: access.access_candidates(nothing, 'docker.io'),
    access.access_all_candidates,
    lambda nothing: access.access_all_candidates(nothing, [{'upstream': 'docker.io', 'url': 'http://a.lan'}]),
    lambda nothing: access.access_other_upstreams(nothing, ['podman'], {}),
    lambda nothing: access.access_is_managed(nothing, []),
    lambda nothing: access.access_upstreams(nothing, **{**CHOOSING, 'own': nothing}),
    lambda nothing: access.access_upstreams({'docker.io': ['http://a.lan']}, **{**CHOOSING, 'own': nothing}),
    lambda nothing: access.access_choice(['http://a.lan'], {}, {}, probing=False, own=nothing),
    lambda nothing: access.access_wanted(PARTS, 'present', registry_mirrors=nothing, proxies=nothing, settings=nothing, insecure_registries=nothing),
    lambda nothing: access.access_docker_certs(nothing, {'mirror_certs': ['x']}),
    lambda nothing: access.access_worker_mirrors({'state': nothing, 'name': nothing, 'domain': nothing, 'hosts': nothing, 'upstreams': nothing}),
    lambda nothing: access.access_login_leak([], {}, [], nothing),
])  # fmt: skip
def test_an_empty_text_is_what_null_is(call: t.Callable[[t.Any], t.Any]) -> None:
    assert call('') == call(None)
