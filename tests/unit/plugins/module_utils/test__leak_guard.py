# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Docker Hub's login is not handed to a stranger."""

from __future__ import annotations

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._leak_guard import sort_out
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror

OWN = Mirror('https://cache.lan')
STRANGER = Mirror('https://stranger.example', third_party=True)
CONTENT = Mirror('https://content.example', trust='content')
LOGIN = ['/root/.docker/config.json']


@pytest.mark.parametrize(
    ('store', 'logins', 'hub_login', 'kept'),
    [
        ('graphdriver', LOGIN, False, [OWN]),
        ('graphdriver', [], True, [OWN]),
        ('', LOGIN, False, [OWN]),
        ('containerd', LOGIN, True, [STRANGER, OWN]),
        ('graphdriver', [], False, [STRANGER, OWN]),
        ('', [], False, [STRANGER, OWN]),
    ],
)
def test_where_a_login_could_leak_strangers_are_left_out(store: str, logins: list[str], hub_login: bool, kept: list[Mirror]) -> None:
    found = sort_out([STRANGER, OWN], store, logins, hub_login, 'drop')
    assert list(found.kept) == kept
    assert [one.url for one in found.left_out] == [one.url for one in [STRANGER] if one not in kept]
    assert len(found.warnings) == len(found.left_out)


def test_the_warning_shows_the_three_ways_out() -> None:
    (warning,) = sort_out([STRANGER], 'graphdriver', LOGIN, False, 'drop').warnings
    for part in ('moby#42022', LOGIN[0], STRANGER.url, 'containerd-snapshotter', 'remove the login', 'login_leak: allow', 'a cache of your own'):
        assert part in warning


def test_fail_refuses_and_allow_warns() -> None:
    with pytest.raises(ConfigError, match=r'https://stranger\.example.*Three ways out'):
        sort_out([OWN, STRANGER], 'graphdriver', LOGIN, False, 'fail')
    assert sort_out([OWN], 'graphdriver', LOGIN, False, 'fail').kept == (OWN,)
    found = sort_out([OWN, STRANGER], 'graphdriver', LOGIN, False, 'allow')
    assert found.kept == (OWN, STRANGER)
    assert STRANGER.url in found.warnings[0]


def test_a_mirror_trusted_for_content_only_is_never_written() -> None:
    found = sort_out([CONTENT, OWN], 'containerd', [], False, 'allow')
    assert found.kept == (OWN,)
    assert [one.url for one in found.left_out] == [CONTENT.url]
    assert 'tag' in found.left_out[0].reason
    assert found.warnings == ()
