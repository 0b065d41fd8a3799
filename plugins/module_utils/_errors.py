# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one error that a module shows its user as a sentence."""

from __future__ import annotations


class ConfigError(ValueError):
    """Something that the user can put right.

    ``str(exc)`` is the full sentence: it names file, key and value (never a secret) and the way out.

    :ivar path: the file it is about, or an empty string.
    :ivar key: the key or option it is about, or an empty string.
    """

    def __init__(self, message: str, *, path: str = '', key: str = '') -> None:
        super().__init__(message)
        self.path = path
        self.key = key


class ChangedMeanwhileError(ConfigError):
    """The file is no longer the one that was read: somebody else wrote it in between."""
