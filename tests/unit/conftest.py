# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How hypothesis behaves in all unit tests."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A busy machine is no reason to fail. Where nobody looks for new counterexamples, every run is to be the same.
settings.register_profile(
    "quickpull",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
    # tests/run.py --fast asks for fewer. A test that wants more or fewer than others takes a multiple of settings().max_examples.
    max_examples=int(os.environ.get("QUICKPULL_EXAMPLES") or 100),
)
settings.load_profile("quickpull")
