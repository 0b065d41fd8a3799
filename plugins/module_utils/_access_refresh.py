# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role would have a host go by when it chooses by itself, checked before any host is changed, in the names of the role's variables."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _refresh_install, _refresh_settings
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._plain import type_name

# What registry_mirror_refresh calls it, and the role. Mirrors come from several variables.
_VARIABLES = {
    'engines': 'registry_access_engines',
    'interval': 'registry_access_refresh_interval',
    'jitter': 'registry_access_refresh_jitter',
    'offer': 'registry_access_refresh_offer',
    'ask': 'registry_access_refresh_ask',
    'steadiness': 'registry_access_refresh_steadiness',
    'metrics_path': 'registry_access_metrics_path',
    'policy': 'registry_access_mirror_policy',
    'query': 'registry_access_mirror_query',
    'proxy': 'registry_access_proxies',
    'deadline': 'registry_access_probe_deadline',
    'stale_after': 'registry_access_probe_stale_after',
    'expected_digests': 'registry_access_probe_expected_digests',
}
_BEGINNING = re.compile(rf'^(?:{re.escape(_refresh_settings.PATH)}: )?(?:asking\.)?(\w+)')


def check(settings: t.Any, jitter: t.Any = None, offer: str = '') -> None:
    """Raise what the module would, with a ConfigError that names the role's variable.

    :param settings: as the module takes them. ``jitter``: seconds, or None for what the module takes by itself. ``offer``: as the module takes it.
    """
    try:
        _refresh_install.check(_refresh_install.Wish('', settings, _seconds(jitter), offer))
    except ConfigError as exc:
        raise ConfigError(_BEGINNING.sub(_named, str(exc), count=1), key=_VARIABLES.get(exc.key, exc.key)) from None


def _seconds(jitter: t.Any) -> float:
    if jitter is None:
        return 0.0
    try:
        return float(jitter)
    except (TypeError, ValueError):
        shown = repr(jitter) if isinstance(jitter, str) else type_name(jitter)
        raise ConfigError(f'jitter: a number of seconds is expected, not {shown}.', key='jitter') from None


def _named(found: re.Match[str]) -> str:
    return _VARIABLES.get(found.group(1), found.group(0))
