#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: containerd_migrate
short_description: Turn the tables of mirrors in containerd's config.toml into hosts.toml files
version_added: 0.1.0
description:
  - The tables C(mirrors) and C(configs.HOST.tls) of the CRI plugin are the old way. They do not go together with C(config_path), which
    M(quickpull.registry.hosts_toml) needs, so as long as they are there that module leaves C(config.toml) alone.
  - This writes a C(hosts.toml) for each registry in them, and C(_default/hosts.toml) for C(*), which mean the same, takes the tables out of the file, and
    sets C(config_path). The endpoints keep their order and their paths. Logins (C(configs.HOST.auth)) and all else in the file stay as they are.
  - The files are yours from then on. No module of this collection takes them away, and M(quickpull.registry.hosts_toml) replaces one only with
    O(quickpull.registry.hosts_toml#module:overwrite=true).
  - containerd is asked beforehand what it makes of the new text, by C(containerd config dump). What cannot be translated is refused with its name, and
    nothing is written then.
  - containerd is restarted where that is safe, and the CRI has to answer. If it does not, everything is put back as it was, containerd is started with
    that, and the task fails. Where a restart is not allowed, nothing is written.
extends_documentation_fragment:
  - quickpull.registry.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Of C(config.toml) only the lines that change are shown.
  idempotent:
    support: full
options:
  directory:
    description:
      - Where the files go, and what C(config_path) is set to.
    type: path
    default: /etc/containerd/certs.d
  restart:
    description:
      - V(auto) restarts containerd only where no container can stop, as M(quickpull.registry.engine_apply) does. V(never) does not, so that nothing is
        done while containerd runs. V(always) restarts whatever stops.
    type: str
    choices: [always, auto, never]
    default: auto
  timeout:
    description: Seconds that containerd has to come up and to answer, once with the new configuration and once more after a roll-back.
    type: int
    default: 60
seealso:
  - module: quickpull.registry.hosts_toml
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Show what would become of the tables
  quickpull.registry.containerd_migrate:
  become: true
  check_mode: true
  diff: true

- name: Turn them into hosts.toml files
  quickpull.registry.containerd_migrate:
  become: true
"""

RETURN = r"""
endpoints:
  description: The mirrors that the tables held, by registry. Empty when there were no tables.
  returned: success
  type: dict
  sample: {docker.io: ["https://mirror.example.com"]}
files:
  description: The files for them.
  returned: success
  type: list
  elements: str
  sample: [/etc/containerd/certs.d/docker.io/hosts.toml]
kept:
  description: Files that M(quickpull.registry.hosts_toml) wrote for the same registries before. They stay, and count from now on instead of the tables.
  returned: success
  type: list
  elements: str
  sample: []
action:
  description: V(restart) where containerd was restarted, or in check mode would be, else V(none).
  returned: success
  type: str
  sample: restart
proved:
  description: Whether containerd was restarted, and its CRI then answered. Always V(false) in check mode.
  returned: success
  type: bool
  sample: true
pending:
  description: Why nothing was done, because a restart is not allowed, one sentence each.
  returned: success
  type: list
  elements: str
  sample: []
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _containerd_migrate_service as migrating
from ansible_collections.quickpull.registry.plugins.module_utils import _io, _snapshot
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_config import lines_that_differ
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_migration import Migration
from ansible_collections.quickpull.registry.plugins.module_utils._detached import finish_detached
from ansible_collections.quickpull.registry.plugins.module_utils._engines import containerd
from ansible_collections.quickpull.registry.plugins.module_utils._engines.containerd import Containerd, Host
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._service_apply import Options, Outcome, apply, foresee
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


def diff_of(found: Containerd, migration: Migration, host: Host) -> list[dict[str, str]]:
    """The new files, and the lines of config.toml that change."""
    old, new = lines_that_differ(_io.read_text(host.path(found.config_path)) or '', migration.text)
    texts = [(path, _io.read_text(host.path(path)) or '', text) for path, text in migration.files.items()] + [(found.config_path, old, new)]
    return [{'before_header': path, 'after_header': path, 'before': before, 'after': after} for path, before, after in texts]


def run(params: t.Mapping[str, t.Any], check_mode: bool, host: Host, state: State) -> dict[str, t.Any]:
    """Look, ask, write, restart, prove. Raises ConfigError."""
    found = containerd.inspect(host)
    service = migrating.MigrationService(state, params['directory'], host)
    options = Options(params['restart'], True, params['timeout'])
    migration = migrating.plan(found, params['directory'], host) if found.installed else None
    # An earlier run may have died between writing and the restart.
    unfinished = found.installed and _snapshot.load(state, migrating.SET, _snapshot.PROVED) is not None
    outcome = foresee(service.plan(), options) if migration or unfinished else Outcome()
    if unfinished and not migration and outcome.action == 'none' and not outcome.pending:
        # It has come into force by itself since.
        unfinished = False
        if not check_mode:
            service.proved()
    result: dict[str, t.Any] = {
        'changed': bool(migration or unfinished) and not outcome.pending,
        'endpoints': {upstream: list(urls) for upstream, urls in migration.endpoints.items()} if migration else {},
        'files': sorted(migration.files) if migration else [],
        'kept': sorted(migration.kept) if migration else [],
        'action': outcome.action,
        'proved': False,
        'pending': outcome.pending,
        'diff': diff_of(found, migration, host) if migration else [],
    }
    if check_mode or not result['changed']:
        return result
    if migration:
        migrating.write(state, found, migration, host)
    if outcome.action == 'none':  # it does not run, and reads the new files when it starts
        service.proved()
        return result
    # In a session of its own, which outlives the connection.
    return {**result, 'proved': finish_detached(lambda: apply(service, options).as_dict(), service.unit)['proved']}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            'directory': {'type': 'path', 'default': '/etc/containerd/certs.d'},
            'restart': {'type': 'str', 'choices': ['always', 'auto', 'never'], 'default': 'auto'},
            'timeout': {'type': 'int', 'default': 60},
        },
        supports_check_mode=True,
    )
    if module.params['timeout'] < 1:
        module.fail_json(msg='timeout must be 1 or more: seconds that containerd has to come up.')
    try:
        result = run(module.params, module.check_mode, Host(), State())
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    for path in result['kept']:
        module.warn(f'{path} was written by this collection before. It stays as it is, and counts from now on instead of the table of its registry.')
    module.exit_json(**result)


if __name__ == '__main__':
    main()
