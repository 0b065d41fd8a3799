#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: docker_daemon_apply
short_description: Bring Docker's daemon.json into force, prove it, or put back what was proved before
version_added: 0.1.0
description:
  - Reloads or restarts Docker through systemd, when M(quickpull.registry.docker_daemon_config) or
    M(quickpull.registry.engine_proxy_dropin) changed something that is not in force, no matter in which run they did.
  - Reloads where a reload is enough, which leaves daemon and containers running as the same processes. A restart happens only as
    O(restart) allows it, and otherwise stays pending.
  - Afterwards it reads the running daemon back. C(systemctl reload) ends with success even when Docker refuses its file, so only
    what the daemon itself says is a proof.
  - Before a restart, and once for what stays pending, the running daemon is made to read its file by a reload. So most of what would
    keep it from starting is found while everything still runs. What stays pending is not tried as long as that reload would bring into
    force what other people wrote.
  - When Docker refuses its configuration, or does not come back, the configuration that was proved last is put back and brought
    into force, and the module fails with Docker's own words. The refused file is kept.
  - A run that was killed, or whose connection died, goes on on the host. One that was killed there is finished by the next run.
  - What other people wrote and never applied is no reason to act. It is listed in RV(plan.also_activates), because a reload or
    restart brings it into force as well.
  - A daemon that is not running stays stopped. It reads its file when it starts.
extends_documentation_fragment:
  - quickpull.registry.attributes
attributes:
  check_mode:
    support: full
    details:
      - Whether Docker will accept its configuration is known only to a real run.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  live_restore_first:
    description:
      - When a restart is not safe only because live-restore is off and containers run, switch it on by a reload before the restart,
        and off again after it.
      - Containers then stay alive without the daemon for the second that the restart takes.
    type: bool
    default: false
  path:
    description:
      - The configuration file. By default it is the one that the daemon reads.
    type: path
  planned:
    description:
      - The RV(quickpull.registry.docker_daemon_config#module:plan) of the task that writes the file.
      - Only check mode looks at it. There the file was not written, so this is how the module can tell what it would do.
      - An empty dictionary counts as none, so that the file as it lies there is looked at.
    type: dict
  restart:
    description:
      - When the daemon may be restarted for what a reload does not bring into force.
      - V(auto) restarts only when nothing can be lost. Swarm is inactive, no active unit stops together with Docker, the dockerd on
        disk is the one that runs, and either live-restore is in force or no container runs.
      - V(always) restarts in any case, also for the keys after which images and containers are not found where they were
        (C(data-root), C(storage-driver), C(features.containerd-snapshotter), C(userns-remap)).
      - V(never) leaves every restart pending.
    type: str
    choices: [always, auto, never]
    default: auto
  rollback:
    description:
      - Whether to put back what was proved last when Docker refuses its configuration.
    type: bool
    default: true
  timeout:
    description:
      - Seconds that the daemon has to come up, once with the new configuration and once more after a roll-back.
    type: int
    default: 60
seealso:
  - module: quickpull.registry.docker_daemon_config
  - module: quickpull.registry.docker_daemon_info
  - module: quickpull.registry.engine_proxy_dropin
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Write a mirror into daemon.json
  quickpull.registry.docker_daemon_config:
    registry_mirrors:
      - http://cache.lan:5000
  become: true

- name: Bring it into force, without stopping a container
  quickpull.registry.docker_daemon_apply:
  become: true
  register: applied

- name: Say what still waits for a restart
  ansible.builtin.debug:
    msg: "{{ applied.pending_because | join(' ') }}"
  when: applied.pending

- name: Restart in the maintenance window, come what may
  quickpull.registry.docker_daemon_apply:
    restart: always
    timeout: 180
  become: true

- name: Restart, and keep containers alive meanwhile
  quickpull.registry.docker_daemon_apply:
    live_restore_first: true
  become: true
"""

RETURN = r"""
plan:
  description: What was needed when the module began.
  returned: always
  type: dict
  contains:
    action:
      description: V(none), V(reload) or V(restart).
      returned: always
      type: str
      sample: reload
    reload_keys:
      description: Keys of ours that a reload brings into force.
      returned: always
      type: list
      elements: str
      sample: [registry-mirrors]
    restart_keys:
      description: Keys of ours that only a restart brings into force.
      returned: always
      type: list
      elements: str
      sample: [proxies.https-proxy]
    disruptive_keys:
      description: Those of them after which images and containers are not found where they were.
      returned: always
      type: list
      elements: str
      sample: []
    unknown_keys:
      description: Keys of which nobody can say whether they are in force. Never a reason to act.
      returned: always
      type: list
      elements: str
      sample: []
    also_activates:
      description: Keys that somebody else changed and that are not in force. The action activates them too.
      returned: always
      type: list
      elements: str
      sample: [labels]
    reasons:
      description: One sentence for each key that is not in force.
      returned: always
      type: list
      elements: str
      sample: [registry-mirrors is not in force yet; a reload is enough.]
    blockers:
      description:
        - Why a restart would not be safe, among V(binary_replaced), V(dependents), V(disruptive), V(live_restore),
          V(live_restore_off), V(swarm) and V(unreachable).
      returned: always
      type: list
      elements: str
      sample: []
    blocked_because:
      description: A sentence for each of RV(plan.blockers).
      returned: always
      type: list
      elements: str
      sample: []
    interrupted:
      description:
        - Whether an earlier run died while it applied a change. M(quickpull.registry.docker_daemon_apply) then has to look, whatever
          the action is.
      returned: always
      type: bool
      sample: false
applied:
  description: What was done, or would be done in check mode. V(none), V(reload) or V(restart).
  returned: always
  type: str
  sample: reload
pending:
  description: Whether a restart is needed and was not allowed. That alone is no change.
  returned: always
  type: bool
  sample: false
pending_because:
  description: What forbids it, one sentence each.
  returned: always
  type: list
  elements: str
  sample: [Restarts are not allowed (restart: never).]
proof:
  description: What the running daemon says after a reload or restart. Empty when there was none.
  returned: always
  type: dict
  contains:
    ok:
      description: It holds what the file says, and what nobody asked to change did not change.
      returned: when something was applied
      type: bool
      sample: true
    failures:
      description: What it does not hold, one sentence each.
      returned: when something was applied
      type: list
      elements: str
      sample: []
    mirrors:
      description: Mirrors in force, in order.
      returned: when something was applied
      type: list
      elements: str
      sample: ["http://cache.lan:5000/"]
    insecure_registries:
      description: Insecure registries in force, without the loopback ranges that Docker adds itself.
      returned: when something was applied
      type: list
      elements: str
      sample: []
    proxies:
      description: Proxies in force, user and password masked by Docker.
      returned: when something was applied
      type: dict
      sample: {http_proxy: "", https_proxy: "http://xxxxx:xxxxx@proxy.lan:7890", no_proxy: "10.0.0.0/8"}
    live_restore:
      description: Whether containers outlive the daemon.
      returned: when something was applied
      type: bool
      sample: true
    containers_before:
      description: How many containers ran before.
      returned: when something was applied
      type: int
      sample: 3
    containers_kept:
      description: How many of them still run as the same process.
      returned: when something was applied
      type: int
      sample: 3
    containers_lost:
      description: Names of the others. They may have been started again.
      returned: when something was applied
      type: list
      elements: str
      sample: []
rolled_back:
  description: Whether the configuration that was proved last was put back and is in force.
  returned: always
  type: bool
  sample: false
rejected_file:
  description: Where the refused configuration is kept (mode 0600). Empty when none was refused.
  returned: always
  type: str
  sample: ""
healed:
  description: Whether the work of a killed run was finished.
  returned: always
  type: bool
  sample: false
daemon:
  description: The daemon before and after.
  returned: always
  type: dict
  contains:
    pid_before:
      description: Process of dockerd before, 0 when it did not run.
      returned: always
      type: int
      sample: 812
    pid_after:
      description: Process of dockerd after.
      returned: always
      type: int
      sample: 812
    start_id:
      description: Changes if and only if dockerd was started anew. Empty when it does not run.
      returned: always
      type: str
      sample: 5a0c0e5e-2f6d-4b0e-9a51-0f4d2a5c1a11:1234:812
    version:
      description: Version of Docker, empty when it is not known.
      returned: always
      type: str
      sample: 28.5.2
via:
  description: How the daemon was asked, V(sdk) or V(socket). Empty when it was not.
  returned: always
  type: str
  sample: socket
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils._detached import DetachedError, run_detached
from ansible_collections.quickpull.registry.plugins.module_utils._docker_apply import ApplyFailed, Options, Outcome, apply
from ansible_collections.quickpull.registry.plugins.module_utils._docker_host import DockerHost
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._plan import as_dict as plan_as_dict
from ansible_collections.quickpull.registry.plugins.module_utils._plan import from_dict as plan_from_dict
from ansible_collections.quickpull.registry.plugins.module_utils._proof import as_dict as proof_as_dict
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


def as_result(outcome: Outcome) -> dict[str, t.Any]:
    """The outcome as the module returns it."""
    before, after = outcome.before, outcome.after
    return {
        'changed': outcome.changed,
        'plan': plan_as_dict(outcome.plan),
        'applied': outcome.applied,
        'pending': outcome.pending,
        'pending_because': list(outcome.pending_because),
        'proof': proof_as_dict(outcome.proof) if outcome.proof else {},
        'rolled_back': outcome.rolled_back,
        'rejected_file': outcome.rejected_file,
        'healed': outcome.healed,
        'daemon': {
            'pid_before': before.main_pid if before else 0,
            'pid_after': after.main_pid if after else 0,
            'start_id': (after.start_id if after else None) or '',
            'version': (after.version if after else None) or '',
        },
        'via': after.via if after else '',
    }


def run(host: DockerHost, state: State, options: Options) -> dict[str, t.Any]:
    """Apply; an error of ours comes back as ``msg``."""
    try:
        outcome = apply(host, state, options)
    except ApplyFailed as exc:
        return {**as_result(exc.outcome), 'warnings': exc.outcome.warnings, 'msg': str(exc)}
    except ConfigError as exc:
        return {'warnings': [], 'msg': str(exc)}
    return {**as_result(outcome), 'warnings': outcome.warnings}


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            'live_restore_first': {'type': 'bool', 'default': False},
            'path': {'type': 'path'},
            'planned': {'type': 'dict'},
            'restart': {'type': 'str', 'choices': ['always', 'auto', 'never'], 'default': 'auto'},
            'rollback': {'type': 'bool', 'default': True},
            'timeout': {'type': 'int', 'default': 60},
        },
        supports_check_mode=True,
    )
    if module.params['timeout'] < 1:
        module.fail_json(msg='timeout must be 1 or more: seconds that the daemon has to come up.')
    planned = module.params.pop('planned')
    options = Options(check_mode=module.check_mode, planned=plan_from_dict(planned) if planned else None, **module.params)
    host = DockerHost(options.path)
    try:
        # In check mode nothing can be interrupted half-way.
        result = run(host, State(), options) if options.check_mode else run_detached(lambda: run(host, State(), options))
    except DetachedError as exc:
        module.fail_json(msg=f'The process that applies the configuration did not finish: {exc}. Run again: the next run puts it right.')
    for warning in result.pop('warnings'):
        module.warn(warning)
    if 'msg' in result:
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == '__main__':
    main()
