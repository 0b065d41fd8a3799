#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: cache_apply
short_description: Have a pull-through cache run by its files, prove it, and undo it when it fails
version_added: 0.1.0
description:
  - Brings into force what M(quickpull.registry.cache_config) wrote below C(/etc/quickpull-cache), and the units of the role
    P(quickpull.registry.pull_through_cache#role). Instances are restarted, the front is reloaded where a reload will do. A reload ends nothing that is on
    its way.
  - Does nothing where every service runs by its files. What each one read is on record, so this also finishes what an earlier run did not come to, and has
    the front take a certificate that was renewed.
  - The proof is that each instance answers, and that the front answers with the fingerprint of its file.
  - An instance does not start without its upstream. Where that cannot be reached, its files stay, RV(waiting) says so, and systemd tries again and again. The
    front serves what it has meanwhile. An instance that runs is not restarted then, and goes on by its old files.
  - When a service does not come up, all files and units are put back as they were proved last, and the services are started with those. The task then fails.
extends_documentation_fragment:
  - quickpull.registry.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details:
      - No file is written, unless something has to be put back.
  idempotent:
    support: full
options:
  planned_restart:
    description:
      - What M(quickpull.registry.cache_config) returned as C(restart). In check mode nothing was written that could be looked at, so this is
        what is foreseen then. It has no meaning otherwise.
    type: list
    elements: str
    default: []
  planned_reload:
    description: What M(quickpull.registry.cache_config) returned as C(reload), likewise.
    type: list
    elements: str
    default: []
  written_units:
    description:
      - Names of the unit files that the caller has written, or in check mode would write, such as V(quickpull-cache-front.service). What runs by them is
        foreseen to be restarted. It has no meaning otherwise.
    type: list
    elements: str
    default: []
  rollback:
    description: Whether to put back what was proved last, when a service does not come up.
    type: bool
    default: true
  timeout:
    description: Seconds that the services have to come up and to answer, and as many again after a roll-back.
    type: int
    default: 30
seealso:
  - module: quickpull.registry.cache_config
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Have the cache run by its files
  quickpull.registry.cache_apply:
  become: true
"""

RETURN = r"""
restarted:
  description: Units that were started, or restarted. In check mode, those that would be.
  returned: success
  type: list
  elements: str
  sample: [quickpull-cache@docker.io.service]
reloaded:
  description: Units that were reloaded. In check mode, those that would be.
  returned: success
  type: list
  elements: str
  sample: [quickpull-cache-front.service]
waiting:
  description: Why an instance does not run by its files yet, a sentence each. Also a warning.
  returned: success
  type: list
  elements: str
  sample: []
reasons:
  description: Why anything was done, a sentence each.
  returned: success
  type: list
  elements: str
  sample: ["quickpull-cache@docker.io.service does not run by the files that are there."]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _cache_apply, _cache_plan
from ansible_collections.quickpull.registry.plugins.module_utils._detached import finish_detached
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._plan import RELOAD, RESTART
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


def run(module: AnsibleModule, host: _cache_plan.Host, state: State) -> t.Dict[str, t.Any]:
    """Look first; only what changes something is done in a session of its own, which outlives the connection. Raises ConfigError."""
    params = module.params
    if module.check_mode:
        steps = _cache_apply.plan(host, state)
        found = {action: [one.service.unit for one in steps if one.action == action] for action in (RESTART, RELOAD)}
        known = [*found[RESTART], *params['planned_restart']]
        restarted = list(dict.fromkeys([*known, *_cache_apply.units_by(params['written_units'], known, host)]))
        reloaded = [unit for unit in dict.fromkeys([*found[RELOAD], *params['planned_reload']]) if unit not in restarted]
        return {
            'changed': bool(restarted or reloaded), 'restarted': restarted, 'reloaded': reloaded, 'waiting': [], 'reasons': [one.because for one in steps],
        }  # fmt: skip
    if not _cache_apply.plan(host, state):
        return vars(_cache_apply.Outcome())
    outcome = finish_detached(lambda: vars(_cache_apply.apply(host, state, timeout=params['timeout'], rollback=params['rollback'])), 'the cache')
    for sentence in outcome['waiting']:
        module.warn(sentence)
    return outcome


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            'planned_restart': {'type': 'list', 'elements': 'str', 'default': []},
            'planned_reload': {'type': 'list', 'elements': 'str', 'default': []},
            'written_units': {'type': 'list', 'elements': 'str', 'default': []},
            'rollback': {'type': 'bool', 'default': True},
            'timeout': {'type': 'int', 'default': 30},
        },
        supports_check_mode=True,
    )
    if module.params['timeout'] < 1:
        module.fail_json(msg='timeout must be 1 or more: seconds that the services have to come up.')
    try:
        result = run(module, _cache_plan.Host(), State())
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == '__main__':
    main()
