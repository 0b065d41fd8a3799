# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.plugin_utils._report_files import page_of
from page import browser, sample

Pages = t.Mapping[str, Path]


@pytest.fixture(scope='session', autouse=True)
def chromium() -> str:
    """Without a browser nothing is tested here, and nothing counts as passed."""
    try:
        return browser.chromium()
    except browser.Missing as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope='session')
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """The pages of the reports in sample.py, as files."""
    folder = tmp_path_factory.mktemp('pages')
    made = {'small': sample.small(), 'fleet': sample.fleet(), 'check': sample.fleet(check_mode=True), 'evil': sample.worse(), 'hosts': sample.large(),
            'sites': sample.large(apart=False), 'five': sample.five(), 'nothing': sample.report({})}  # fmt: skip
    for name, report in made.items():
        (folder / f'{name}.html').write_bytes(page_of(report).encode('utf-8', 'replace'))
    # A page that cannot be drawn.
    whole = (folder / 'fleet.html').read_text(encoding='utf-8')
    (folder / 'broken.html').write_text(whole.replace('"upstreams":[', '"upstreams":{},"former":['), encoding='utf-8')
    return {**{name: folder / f'{name}.html' for name in made}, 'broken': folder / 'broken.html'}
