# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of conformance.py, each case with nothing cached and again when all is."""

from __future__ import annotations

import pytest

from worker.conformance import CASES, Case, Target
from worker.conftest import Start
from worker.internet import Hub, digest_of
from worker.runtime import Worker


@pytest.fixture(scope='module')
def worker(start: Start) -> Worker:
    return start({}, UPSTREAM_LOGINS={'docker.io': {'username': 'acme', 'password': 'hub-secret'}})


@pytest.mark.parametrize('turn', ['cold', 'warm'])
@pytest.mark.parametrize('case', CASES, ids=[f'{number} {name}' for number, name, dummy in CASES])
def test_the_specification(worker: Worker, hub: Hub, case: Case, turn: str) -> None:
    images = hub.images
    case[2](Target(worker, 'library/busybox', digest_of(images.index), digest_of(images.manifest), digest_of(images.layer), len(images.layer)))
