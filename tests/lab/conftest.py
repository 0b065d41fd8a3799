# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.api import Host, Lab

HOSTS = ('lab-bookworm', 'lab-trixie', 'lab-forky')


@pytest.fixture(scope='session')
def lab() -> Lab:
    """The lab of this clone; it must be up."""
    found = Lab.load()
    assert tuple(found.hosts) == HOSTS
    return found


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest, lab: Lab) -> Host:
    """Each host in turn."""
    return lab.hosts[request.param]
