# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text, mask_url

MASK_URL_DATA: list[tuple[str, str]] = [
    ('http://proxy.lan:3128', 'http://proxy.lan:3128'),
    ('http://user:secret@proxy.lan:3128', 'http://xxxxx:xxxxx@proxy.lan:3128'),
    ('http://user@proxy.lan', 'http://xxxxx:xxxxx@proxy.lan'),
    ('https://u:p@[2001:db8::1]:443/x', 'https://xxxxx:xxxxx@[2001:db8::1]:443/x'),
    ('https://[2001:db8::1]:443/a@b', 'https://[2001:db8::1]:443/a@b'),
    ('http://u:p@ss@host/', 'http://xxxxx:xxxxx@host/'),
    ('http://u:pa/ss@host/', 'http://xxxxx:xxxxx@host/'),
    ('http://u:pa#ss@host/', 'http://xxxxx:xxxxx@host/'),
    ('HTTP://user:secret@proxy.lan:3128', 'http://xxxxx:xxxxx@proxy.lan:3128'),  # as Go writes a URL that it has parsed
    ('HTTP://proxy.lan:3128', 'HTTP://proxy.lan:3128'),
    ('http://u:p@b\u00fccher.de/\u00fc', 'http://xxxxx:xxxxx@b%C3%BCcher.de/%C3%BC'),
    ('u:p@proxy:3128', 'xxxxx:xxxxx@proxy:3128'),
    ('proxy:3128', 'proxy:3128'),
    ('https://mirror/library/x@sha256:00', 'https://mirror/library/x@sha256:00'),
    ('', ''),
]


@pytest.mark.parametrize('url, masked', MASK_URL_DATA)
def test_mask_url(url: str, masked: str) -> None:
    assert mask_url(url) == masked


@given(st.sampled_from(['http', 'https', 'socks5']), st.text('abc:@%1', max_size=8), st.sampled_from(['h', 'h:80', '[::1]:80']))
def test_no_password_survives_and_masking_twice_is_masking_once(scheme: str, user: str, host: str) -> None:
    masked = mask_url(f'{scheme}://{user}SECRET@{host}/')
    assert 'SECRET' not in masked
    assert mask_url(masked) == masked


def test_mask_text() -> None:
    text = 'proxy http://u:p@h:1 said "no" to http://h2/, token abcdef, (http://h3/x)'
    assert mask_text(text, ['abc', 'abcdef', '']) == 'proxy http://xxxxx:xxxxx@h:1 said "no" to http://h2/, token ***, (http://h3/x)'


def test_a_long_text_takes_no_long_time() -> None:
    started = time.process_time()
    assert mask_text('a' * 100000) == 'a' * 100000
    assert time.process_time() - started < 1
