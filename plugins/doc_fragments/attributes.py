# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the attributes of this collection's modules mean."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragments for ``extends_documentation_fragment: quickpull.registry.attributes``."""

    # A module adds `support` (full, partial, none or N/A) to each of the three.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: In check mode the module says exactly what a run would change, and changes nothing.
  diff_mode:
    description: In diff mode the module shows what changes, or would change in check mode, with secrets masked.
  idempotent:
    description:
      - A second run straight after the first reports no change, because there is nothing left to change.
      - This assumes that nobody else changed the host in between.
"""

    # For modules that only look: nothing to add in the module itself.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This module changes nothing, so it runs the same way in check mode.
  diff_mode:
    support: N/A
    details:
      - This module changes nothing, so there is no difference to show.
  idempotent:
    support: full
    details:
      - This module changes nothing.
"""
