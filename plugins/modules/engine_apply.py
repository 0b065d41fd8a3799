#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: engine_apply
short_description: Reload or restart an engine's service where that is needed and safe, prove it, and undo it when it fails
version_added: 0.1.0
description:
  - Brings into force what M(quickpull.registry.hosts_toml) wrote into containerd's C(config.toml), what M(quickpull.registry.registries_conf) and
    M(quickpull.registry.crio_conf) wrote for CRI-O, what M(quickpull.registry.k3s_registries) wrote for K3s and RKE2, and the proxies that
    M(quickpull.registry.engine_proxy_dropin) gives. Docker has a module of its own, M(quickpull.registry.docker_daemon_apply).
  - Does nothing where everything is in force already, and leaves a service that is stopped as it is.
  - containerd is restarted, never reloaded, since a SIGHUP ends it. Running containers live through that, as long as the unit has
    C(KillMode=process), which it has by default.
  - The proof of that is the answer of the CRI, since systemd calls containerd active while its CRI has failed. Up to 1.7 the CRI also tells
    that C(config_path) is in force. Later ones do not tell; there the proof is that it answers and was started after the file was written.
  - CRI-O is reloaded for mirrors, and restarted for proxies and for another C(global_auth_file). C(systemctl reload) ends well whatever the files hold, so
    the proof of a reload is the line in CRI-O's log that it has applied them. Where its log hides that line (C(log_level), C(log_filter), a file of
    its own), or nobody keeps its log, RV(proved) stays V(false). A restart is proved by what it then says it has in force.
  - K3s and RKE2 are restarted, agents with O(restart=auto) and servers with V(always) alone, since that interrupts the API of their cluster. The proof is
    that the CRI answers and that their containerd was given the mirrors.
  - When the service does not come up as wanted, or does not take what was written, that is put back as it was proved last, and the service is restarted or
    reloaded with that. The task then fails. What was proved before is not put back.
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
  engine:
    description: Whose service it is.
    type: str
    choices: [containerd, crio, k3s, rke2]
    required: true
  planned:
    description:
      - What M(quickpull.registry.hosts_toml), or another module that wrote something, returned as C(plan). In check mode nothing was written that could be
        looked at, so this is what is foreseen then. It has no meaning otherwise.
    type: dict
  restart:
    description:
      - V(auto) restarts only where no container can stop. That means no other active unit stops with the service, the binary on disk is the one that runs,
        and the unit has C(KillMode=process). Otherwise the change is left for a later run, and RV(pending) says why.
      - V(never) does not restart, and V(always) does whatever stops.
    type: str
    choices: [always, auto, never]
    default: auto
  rollback:
    description: Whether to put back what was there before, when the service does not come up as wanted.
    type: bool
    default: true
  timeout:
    description: Seconds that the service has to come up and to answer, once with the new configuration and once more after a roll-back.
    type: int
    default: 60
seealso:
  - module: quickpull.registry.hosts_toml
  - module: quickpull.registry.docker_daemon_apply
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Restart containerd where that is needed and safe
  quickpull.registry.engine_apply:
    engine: containerd
    planned: "{{ mirrors.plan | default(omit) }}"
  become: true

- name: Restart it in a maintenance window, whatever stops
  quickpull.registry.engine_apply:
    engine: containerd
    restart: always
    timeout: 120
  become: true

- name: Let CRI-O read what was written for it
  quickpull.registry.engine_apply:
    engine: crio
  become: true
"""

RETURN = r"""
action:
  description: What was done, V(none), V(reload) or V(restart). In check mode, what would be done.
  returned: success
  type: str
  sample: restart
proved:
  description: Whether something was done, and the service then told, or answered, as wanted. Always V(false) in check mode.
  returned: success
  type: bool
  sample: true
pending:
  description: Why a restart that is needed has to wait, one sentence each. Empty when none waits.
  returned: success
  type: list
  elements: str
  sample: ["containerd.service has KillMode=mixed: a restart would stop the containers. With KillMode=process it would not."]
plan:
  description: What was needed, in the form of RV(quickpull.registry.docker_daemon_config#module:plan).
  returned: success
  type: dict
  sample:
    action: restart
    restart_keys: [config_path]
    reasons: ["containerd reads config_path only when it starts."]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils._containerd_service import ContainerdService
from ansible_collections.quickpull.registry.plugins.module_utils._crio_service import CrioService
from ansible_collections.quickpull.registry.plugins.module_utils._detached import finish_detached
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._k3s_service import K3sService
from ansible_collections.quickpull.registry.plugins.module_utils._plan import from_dict
from ansible_collections.quickpull.registry.plugins.module_utils._service_apply import Options, Service, apply, foresee
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

SERVICES: t.Dict[str, t.Callable[[State], Service]] = {
    'containerd': ContainerdService,
    'crio': CrioService,
    'k3s': lambda state: K3sService('k3s', state),
    'rke2': lambda state: K3sService('rke2', state),
}


def run(module: AnsibleModule, state: State) -> dict[str, t.Any]:
    """Look first; only what changes something is done in a session of its own, which outlives the connection. Raises ConfigError."""
    params = module.params
    service = SERVICES[params['engine']](state)
    options = Options(params['restart'], params['rollback'], params['timeout'])
    if module.check_mode and params['planned']:
        return foresee(from_dict(params['planned']), options).as_dict()
    predicted = apply(service, options, check_mode=True)
    if module.check_mode or not predicted.changed:
        return predicted.as_dict()
    return finish_detached(lambda: apply(service, options, check_mode=False).as_dict(), service.unit)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            'engine': {'type': 'str', 'choices': ['containerd', 'crio', 'k3s', 'rke2'], 'required': True},
            'planned': {'type': 'dict'},
            'restart': {'type': 'str', 'choices': ['always', 'auto', 'never'], 'default': 'auto'},
            'rollback': {'type': 'bool', 'default': True},
            'timeout': {'type': 'int', 'default': 60},
        },
        supports_check_mode=True,
    )
    if module.params['timeout'] < 1:
        module.fail_json(msg='timeout must be 1 or more: seconds that the service has to come up.')
    try:
        result = run(module, State())
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == '__main__':
    main()
