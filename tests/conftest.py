# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes ``ansible_collections.quickpull.registry`` importable from a clone that lies in any folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLLECTIONS = ROOT / ".cache" / "collections"


def link_collection() -> None:
    """Place the link ``.cache/collections/ansible_collections/quickpull/registry`` that points at the clone.

    Several test processes may do this at once: each makes a link of its own and renames it into place.
    """
    link = COLLECTIONS / "ansible_collections" / "quickpull" / "registry"
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink() and os.path.realpath(link) == str(ROOT):
        return
    fresh = link.with_name(f".registry-{os.getpid()}")
    fresh.symlink_to(ROOT)
    fresh.replace(link)


link_collection()
if str(COLLECTIONS) not in sys.path:
    sys.path.insert(0, str(COLLECTIONS))

# For tests that start ansible-playbook, or load plugins by their full name.
os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(COLLECTIONS)
os.environ.setdefault("ANSIBLE_HOME", str(ROOT / ".cache" / "ansible"))
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(ROOT / ".cache" / "hypothesis"))
