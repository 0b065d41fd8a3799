#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: access_record
short_description: Tell what this collection has on record on a host, and take the record away once nothing is on it
version_added: 0.1.0
description:
  - The modules of this collection keep in C(/var/lib/quickpull.registry) what was there before them, what is theirs, and for which owner. This module tells
    all that is on record, whoever owns it.
  - With O(state=absent) it takes that directory away, with the backups and refused files in it, once nothing is on record any more. It does not give back
    what the other modules wrote into the configuration of engines that are here. The role R(quickpull.registry.registry_access,
    ansible_collections.quickpull.registry.registry_access_role) does that, and the playbook C(quickpull.registry.remove) does both.
  - Files that are wholly of this collection, and still on record for O(owner), are those of an engine that is not on the host any more. They go with
    O(state=absent), and what was there before comes back.
  - Logins are on no record. The files of users are kept on record in their homes; the host's record has the names of these users.
extends_documentation_fragment:
  - quickpull.registry.attributes
attributes:
  check_mode:
    support: full
    details:
      - All that O(owner) has on record counts as given back, since check mode gives nothing back. What could not be given back shows at the run alone.
  diff_mode:
    support: none
    details:
      - Files that go may hold secrets. RV(files) has their paths.
  idempotent:
    support: full
options:
  owner:
    description:
      - Whose files go with O(state=absent), as far as their engines are gone.
    type: str
    default: registry_access
  state:
    description:
      - V(absent) takes the directory away, unless something is on record, or O(waits) says why not.
      - V(present) only tells.
    type: str
    choices: [absent, present]
    default: present
  waits:
    description:
      - Why the record has to stay, one sentence each, such as a restart that is not done yet. The roll-back of that restart needs what is on record. None by
        default, because the module does not ask the engines.
    type: list
    elements: str
    default: []
seealso:
  - module: quickpull.registry.docker_daemon_config
  - module: quickpull.registry.hosts_toml
  - module: quickpull.registry.registries_conf
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Look what is on record
  quickpull.registry.access_record:
  become: true
  register: record

- name: Tell for whom
  ansible.builtin.debug:
    msg: "{{ record.left | map(attribute='owners') | flatten | unique }}"

- name: Take the record away, where nothing is on it any more
  quickpull.registry.access_record:
    state: absent
  become: true
"""

RETURN = r"""
left:
  description: What is on record still.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file that it is about. Of a user with files, the record.
      returned: always
      type: str
      sample: /etc/docker/daemon.json
    kind:
      description: Which record it is.
      returned: always
      type: str
      sample: ownership
    owners:
      description: For whom. Empty for what is nobody's any more and waits to be finished, and for users with files.
      returned: always
      type: list
      elements: str
      sample: [other_team]
    because:
      description: Why it is there, where it has no owner.
      returned: always
      type: str
      sample: A running daemon has yet to forget what was taken away.
gone:
  description: Whether the directory is gone, or would be.
  returned: success
  type: bool
  sample: false
files:
  description: Files of engines that are gone, which were taken away or would be.
  returned: success
  type: list
  elements: str
  sample: [/etc/containerd/certs.d/docker.io/hosts.toml]
logins:
  description:
    - Logins that runs of this collection wrote and that are there still, with O(state=absent). They are on no record, so they stay; the journal of the last ten
      runs knows of them.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      returned: always
      type: str
      sample: /root/.docker/config.json
    user:
      description: Whose file it is.
      returned: always
      type: str
      sample: root
    registries:
      description: The registries that the logins are for.
      returned: always
      type: list
      elements: str
      sample: [docker.io]
unknown:
  description:
    - Files in the directory that are none of this collection's, as far as it knows, and those that keep what somebody edited in a file that is gone. They stay,
      and so does the directory.
  returned: success
  type: list
  elements: str
  sample: []
told:
  description:
    - Why the directory stays, what is left though it is gone, and which files stay because somebody replaced them, one sentence each. Empty with
      O(state=present).
  returned: success
  type: list
  elements: str
  sample: [/etc/docker/daemon.json has something of other_team on record.]
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _io, _records
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


def result_of(outcome: _records.Outcome, told: t.Sequence[str] = (), logins: t.Sequence[_records.Logins] = ()) -> dict[str, t.Any]:
    """What the module returns."""
    return {
        'changed': outcome.changed,
        'gone': outcome.gone,
        'files': outcome.files,
        'left': [{**dataclasses.asdict(entry), 'owners': list(entry.owners)} for entry in outcome.left],
        'logins': [{**dataclasses.asdict(one), 'registries': list(one.registries)} for one in logins],
        'unknown': outcome.unknown,
        'told': list(told),
    }


def run(module: AnsibleModule, state: State, root: str = '/') -> dict[str, t.Any]:
    """Look, and with state absent forget."""
    params = module.params
    if params['state'] == 'present':
        found = _records.look(state, root)
        return result_of(_records.Outcome(left=list(found.entries), unknown=list(found.unknown)))
    logins = _records.logins_left(state)
    if module.check_mode or not _records.is_there(state):
        outcome = _records.forget(state, params['owner'], params['waits'], module.check_mode, root)
    else:
        with _io.locked(state, journal=False):  # which would lie in what is about to go
            outcome = _records.forget(state, params['owner'], params['waits'], False, root)
    waits = [] if outcome.gone else [f'The record of this host stays as long as a change waits: {one}' for one in params['waits']]
    return result_of(outcome, [*waits, *_records.sentences(outcome)], logins)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            'owner': {'type': 'str', 'default': 'registry_access'},
            'state': {'type': 'str', 'choices': ['absent', 'present'], 'default': 'present'},
            'waits': {'type': 'list', 'elements': 'str', 'default': []},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module, State())
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == '__main__':
    main()
