#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: crio_conf
short_description: Tell CRI-O which file has its logins
version_added: 0.1.0
description:
  - Sets C(global_auth_file) for CRI-O by a drop-in of its own, C(50-quickpull.conf) in C(/etc/crio/crio.conf.d) or wherever CRI-O is told to look.
  - CRI-O runs as root and, by its sources, finds C(/root/.config/containers/auth.json) by itself. That is where M(quickpull.registry.registry_auth) writes
    the logins of root for O(quickpull.registry.registry_auth#module:format=containers). So this is needed only for another file.
  - CRI-O takes the path when it starts. That is not done here. RV(plan) says what is needed, and M(quickpull.registry.engine_apply) does it. The file
    itself is read at each pull. As long as it holds broken JSON, each pull fails, and a login in it that is wrong is passed over without a word.
extends_documentation_fragment:
  - quickpull.registry.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  global_auth_file:
    description:
      - The file with the logins, as an absolute path. It need not exist yet.
      - Where another file of the configuration, or the command line of CRI-O, sets it to something else, that stays, and RV(left_out) says so.
    type: path
  owner:
    description:
      - Whose drop-in it is. Only this owner takes it away again.
    type: str
    default: registry_access
  state:
    description:
      - V(absent) takes away what this owner wrote.
    type: str
    choices: [absent, present]
    default: present
seealso:
  - module: quickpull.registry.registry_auth
  - module: quickpull.registry.engine_apply
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Let CRI-O pull with the logins of a file of its own
  quickpull.registry.crio_conf:
    global_auth_file: /etc/crio/auth.json
  become: true
  register: crio

- name: Restart CRI-O where that is needed and safe
  quickpull.registry.engine_apply:
    engine: crio
    planned: "{{ crio.plan }}"
  become: true

- name: Take it away again
  quickpull.registry.crio_conf:
    state: absent
  become: true
"""

RETURN = r"""
path:
  description: The drop-in.
  returned: success
  type: str
  sample: /etc/crio/crio.conf.d/50-quickpull.conf
left_out:
  description: Why C(global_auth_file) was left to others, one sentence each. Empty when it was not.
  returned: success
  type: list
  elements: str
  sample: ['/etc/crio/crio.conf.d/10-site.conf already sets global_auth_file = "/etc/site.json"; it is left to that file.']
plan:
  description: What the running CRI-O needs, in the form of RV(quickpull.registry.docker_daemon_config#module:plan).
  returned: success
  type: dict
  sample:
    action: restart
    restart_keys: [global_auth_file]
    reasons: ["CRI-O reads global_auth_file when it starts alone."]
"""

import contextlib
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _crio_conf, _io, _owned_files, _service_facts
from ansible_collections.quickpull.registry.plugins.module_utils._crio_service import keep_for_start
from ansible_collections.quickpull.registry.plugins.module_utils._engines import crio
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._plan import as_dict
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


def run(module: AnsibleModule, host: crio.Host, state: State) -> dict[str, t.Any]:
    """Look, compare, write."""
    params = module.params
    auth_file = (params['global_auth_file'] or '') if params['state'] == 'present' else ''
    found = crio.inspect(host)
    with contextlib.nullcontext() if module.check_mode else _io.locked(state):
        record = _owned_files.load(state, _crio_conf.KIND)
        wanted = _crio_conf.plan(record, params['owner'], found, auth_file, host)
        changed = bool(wanted.files.changes)
        edits = _owned_files.edits(state, wanted.files)
        if changed and not module.check_mode:
            keep_for_start(state, host, found, [wanted.path])
            _owned_files.apply(state, _crio_conf.KIND, wanted.files)
    if auth_file and found.error:
        module.warn(f'{found.error} So it is not known whether it needs a restart for {_crio_conf.KEY}.')
    if auth_file and not found.installed:
        module.warn('There is no CRI-O on this host that would read this drop-in.')
    left_out = [sentence for sentence in (wanted.left, *(left.because for left in wanted.files.left)) if sentence]
    for sentence in [*edits, *left_out]:
        module.warn(sentence)
    reasons = _crio_conf.predicted_reasons(found, wanted) if module.check_mode and changed else _crio_conf.restart_reasons(crio.inspect(host), state)
    texts = [change.texts() for change in wanted.files.changes]
    return {
        'changed': changed,
        'path': wanted.path,
        'left_out': left_out,
        'plan': as_dict(_service_facts.restart_plan(found, 'CRI-O', (_crio_conf.KEY,) if reasons else (), reasons)),
        'diff': [{'before_header': wanted.path, 'after_header': wanted.path, 'before': before, 'after': after} for before, after in texts],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            'global_auth_file': {'type': 'path'},
            'owner': {'type': 'str', 'default': 'registry_access'},
            'state': {'type': 'str', 'choices': ['absent', 'present'], 'default': 'present'},
        },
        required_if=[('state', 'present', ('global_auth_file',))],
        supports_check_mode=True,
    )
    try:
        result = run(module, crio.Host(), State())
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == '__main__':
    main()
