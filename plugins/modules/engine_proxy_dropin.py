#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: engine_proxy_dropin
short_description: Give a container engine its proxies through a systemd drop-in
version_added: 0.1.0
description:
  - Writes a systemd drop-in with C(HTTP_PROXY), C(HTTPS_PROXY) and C(NO_PROXY) for the service of a container engine.
  - This is the only way for Docker before 23.0. Later ones take proxies from daemon.json, which
    M(quickpull.registry.docker_daemon_config) writes and which wins over the environment.
  - What another file of the service says about one of these variables is respected. The variable is then left out and reported in
    RV(conflicts), unless the other file says just what was asked.
  - It restarts nothing. RV(plan) says whether the running daemon needs a restart, after C(systemctl daemon-reload).
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
  engine:
    description:
      - The engine whose service gets the proxies. containerd and CRI-O (V(crio)) have no other way at all; M(quickpull.registry.engine_apply) then brings
        them into force.
    type: str
    choices: [containerd, crio, docker]
    default: docker
  path:
    description:
      - The drop-in to write.
      - By default this is C(00-quickpull-proxy.conf) in the service's directory below C(/etc/systemd/system). The name sorts to the
        front, so that a drop-in that somebody adds later wins.
      - A file there that this module did not write is left alone, and is an error.
      - For containerd and CRI-O it cannot be chosen, because M(quickpull.registry.engine_apply) looks in that place alone.
    type: path
  proxies:
    description:
      - The proxies. This is all that the drop-in will hold; what is left out here is taken out of it.
      - An empty dictionary takes away the drop-in.
      - Required with O(state=present).
    type: dict
    suboptions:
      http_proxy:
        description:
          - Proxy for plain URLs, as C(http://[USER:PASSWORD@]HOST:PORT); C(https) and C(socks5) are possible too.
          - User and password are percent-encoded, as everywhere in a URL.
        type: str
      https_proxy:
        description: Proxy for URLs with TLS, in the same form.
        type: str
      no_proxy:
        description:
          - What is reached directly, as names, C(.domain) or C(*.domain), addresses and CIDRs.
          - A CIDR matches only where a URL holds an address instead of a name.
        type: list
        elements: str
  state:
    description: Whether the drop-in should be there.
    type: str
    choices: [absent, present]
    default: present
seealso:
  - module: quickpull.registry.container_engine_info
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Let Docker pull through a proxy
  quickpull.registry.engine_proxy_dropin:
    proxies:
      https_proxy: http://proxy.lan:7890
      no_proxy: [localhost, 10.0.0.0/8, "*.cn"]
  become: true
  register: dropin

- name: Say what is needed for it to come into force
  ansible.builtin.debug:
    msg: "{{ dropin.plan.action }}: {{ dropin.plan.reasons | join(' ') }}"

- name: Use a proxy with a password
  quickpull.registry.engine_proxy_dropin:
    proxies:
      http_proxy: "http://acme:{{ vault_proxy_password | default('secret') | urlencode }}@proxy.lan:7890"
      https_proxy: "http://acme:{{ vault_proxy_password | default('secret') | urlencode }}@proxy.lan:7890"
  become: true
  no_log: true

- name: Let containerd pull through a proxy, and restart it where that is needed and safe
  quickpull.registry.engine_proxy_dropin:
    engine: containerd
    proxies:
      https_proxy: http://proxy.lan:7890
      no_proxy: [localhost, 10.0.0.0/8]
  become: true

- name: Bring it into force
  quickpull.registry.engine_apply:
    engine: containerd
  become: true

- name: Take it away again
  quickpull.registry.engine_proxy_dropin:
    state: absent
  become: true
"""

RETURN = r"""
path:
  description: The drop-in.
  returned: success
  type: str
  sample: /etc/systemd/system/docker.service.d/00-quickpull-proxy.conf
variables:
  description: What the drop-in holds now, user and password masked. Empty when it is not there.
  returned: success
  type: dict
  sample:
    HTTPS_PROXY: http://xxxxx:xxxxx@proxy.lan:7890
    NO_PROXY: localhost,10.0.0.0/8,*.cn
conflicts:
  description: Variables that were left to another file, because it says something else.
  returned: success
  type: list
  elements: dict
  contains:
    variable:
      description: Name of the variable.
      returned: always
      type: str
      sample: NO_PROXY
    path:
      description: The file that rules over it.
      returned: always
      type: str
      sample: /etc/systemd/system/docker.service.d/http-proxy.conf
    because:
      description: The reason as a sentence.
      returned: always
      type: str
      sample: /etc/systemd/system/docker.service.d/http-proxy.conf sets NO_PROXY to something else; it is left to that file.
plan:
  description: What the running daemon needs for the drop-in to come into force, also when it was written by an earlier run.
  returned: success
  type: dict
  contains:
    action:
      description: V(none) or V(restart). A daemon that does not run needs nothing.
      returned: always
      type: str
      sample: restart
    reload_keys:
      description: Always empty, because a reload does not bring a drop-in into force.
      returned: always
      type: list
      elements: str
      sample: []
    restart_keys:
      description: V(proxies (drop-in\)) when the drop-in is not in force.
      returned: always
      type: list
      elements: str
      sample: [proxies (drop-in)]
    disruptive_keys:
      description: Always empty, because a drop-in of this module costs neither images nor containers.
      returned: always
      type: list
      elements: str
      sample: []
    unknown_keys:
      description: Keys of daemon.json of which nobody can say whether they are in force, when a restart is needed.
      returned: always
      type: list
      elements: str
      sample: []
    also_activates:
      description: Keys of daemon.json that somebody else changed and that are not in force. The restart activates them too.
      returned: always
      type: list
      elements: str
      sample: []
    reasons:
      description: One sentence for each variable that is not in force.
      returned: always
      type: list
      elements: str
      sample: [The running daemon has no HTTPS_PROXY yet.]
    blockers:
      description:
        - Why a restart would not be safe, among V(binary_replaced), V(dependents), V(disruptive), V(live_restore),
          V(live_restore_off), V(swarm) and V(unreachable).
      returned: always
      type: list
      elements: str
      sample: [live_restore]
    blocked_because:
      description: A sentence for each of RV(plan.blockers).
      returned: always
      type: list
      elements: str
      sample: ["live-restore is off and 2 container(s) run: a restart stops them."]
    interrupted:
      description:
        - Whether an earlier run died while it applied a change. M(quickpull.registry.docker_daemon_apply) then has to look, whatever
          the action is.
      returned: always
      type: bool
      sample: false
daemon_reload:
  description: Whether systemd has to read its files again (C(systemctl daemon-reload)) before the service is started next.
  returned: success
  type: bool
  sample: true
"""

import contextlib
import dataclasses
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _dropin, _in_force, _intent, _io, _service_facts
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_service import ContainerdService
from ansible_collections.quickpull.registry.plugins.module_utils._crio_service import keep_for_start
from ansible_collections.quickpull.registry.plugins.module_utils._engines import containerd, crio, docker
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._in_force import ENGINE
from ansible_collections.quickpull.registry.plugins.module_utils._json_text import Document
from ansible_collections.quickpull.registry.plugins.module_utils._no_proxy import lint_no_proxy
from ansible_collections.quickpull.registry.plugins.module_utils._ownership import owned_keys
from ansible_collections.quickpull.registry.plugins.module_utils._plan import Plan, as_dict, dropin_plan
from ansible_collections.quickpull.registry.plugins.module_utils._snapshot import ORIGINAL, PROVED, docker_paths, drop, save_once
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

NAMES = {'containerd': 'containerd', 'crio': 'CRI-O', 'docker': 'Docker'}
Service = t.Union[docker.DockerDaemon, containerd.Containerd, crio.Crio]


@dataclasses.dataclass(frozen=True)
class Change:
    """The drop-in before and after; an empty text stands for no file. Both may hold secrets."""

    path: str
    before: _io.FileState
    text_before: str = dataclasses.field(repr=False)
    text_after: str = dataclasses.field(repr=False)
    desired: _dropin.Desired

    @property
    def mode(self) -> int:
        """0600 where a password is in it. Otherwise 0644 for a new file, and what the operator chose for one that is there."""
        if _dropin.has_secret(self.desired.variables):
            return 0o600
        return self.before.mode if self.before.exists and not _dropin.has_secret(_dropin.parse(self.text_before)) else 0o644

    @property
    def changed(self) -> bool:
        return self.text_after != self.text_before or bool(self.text_after and self.mode != self.before.mode)

    def diff(self) -> dict[str, str]:
        """Both texts with masked values. A password that alone changed is told in a line of its own."""
        masked = [_dropin.render(_dropin.masked(_dropin.parse(text))) for text in (self.text_before, self.text_after)]
        if masked[0] == masked[1] and self.text_before != self.text_after:
            masked[1] += '# A user or password in it changes, which is not shown.\n'
        return {'before_header': self.path, 'after_header': self.path, 'before': masked[0], 'after': masked[1]}


def plan_change(path: str, wanted: t.Mapping[str, str], service: _dropin.Engine, root: str = '/') -> tuple[Change, dict[str, str]]:
    """Compute the change, and what the environment of the engine's process must then hold."""
    theirs = _dropin.others(path, service, root)
    text_before = _dropin.read(path)
    before = _io.read_file(path)
    desired = _dropin.desired(wanted, path, theirs)
    new_directory = not os.path.isdir(os.path.dirname(path)) or _dropin.made_directory(text_before)
    text_after = _dropin.render(desired.variables, made_directory=new_directory)
    change = Change(path, before, text_before, text_after, desired)
    return change, _dropin.expected_environ(desired.variables, service, theirs)


def keep_for_rollback(change: Change, state: State, daemon: docker.DockerDaemon) -> None:
    """Keep what was there before our first write, and what was proved last."""
    save_once(state, ENGINE, ORIGINAL, [change.path])
    config = daemon.daemon_config_path
    _in_force.keep_proved(state, daemon, config, [*docker_paths(state, config, daemon.unit), change.path])


def apply_change(change: Change) -> None:
    """Write or remove the file."""
    if change.text_after:
        _io.make_dirs(os.path.dirname(change.path))
        like = dataclasses.replace(change.before, mode=change.mode) if change.before.exists else change.before
        _io.write_atomic(change.path, change.text_after.encode(), like=like, default_mode=change.mode, expect=change.before)
        return
    _io.delete_file(change.path, expect=change.before)
    _dropin.leave_directory(change.path, change.text_before)


def make_plan(expected: t.Mapping[str, str], daemon: docker.DockerDaemon, state: State) -> Plan:
    """What the running daemon needs for its environment to be as expected."""
    path = daemon.daemon_config_path
    try:
        data = _io.read_file(path).data
        config = Document.parse(data, path).value if data is not None else {}
    except ConfigError:  # docker_daemon_config and docker_daemon_apply say so; it is not what this module is about
        config = {}
    known = _in_force.in_force(state, daemon, path, config)
    plan = dropin_plan(config, daemon, known, owned_keys(state, path), expected, _dropin.restart_reasons(expected, daemon))
    return dataclasses.replace(plan, interrupted=_intent.interrupted(state, ENGINE))


def warnings_for(service: Service, change: Change, no_proxy: t.Sequence[str]) -> list[str]:
    """Sentences that an operator should read."""
    found = [conflict.because for conflict in change.desired.conflicts] + lint_no_proxy(no_proxy)
    if not isinstance(service, docker.DockerDaemon):
        name = 'CRI-O' if isinstance(service, crio.Crio) else 'containerd'
        return found + ([] if service.installed else [f'There is no {name} on this host that would read this drop-in.'])
    version = service.version_tuple
    if change.text_after and version is not None and version >= (23,):
        found.append(
            f'Docker {service.version} takes proxies from daemon.json, and those win over the environment; '
            'prefer the option proxies of quickpull.registry.docker_daemon_config.'
        )
    if not service.installed or service.flavour == 'rootless':
        found.append('There is no Docker daemon of the system on this host that would read this drop-in.')
    return found


@dataclasses.dataclass(frozen=True)
class Hosts:
    """The ways to reach the host's engines. Tests put their own in their place."""

    docker: docker.Host = dataclasses.field(default_factory=docker.Host)
    containerd: containerd.Host = dataclasses.field(default_factory=containerd.Host)
    crio: crio.Host = dataclasses.field(default_factory=crio.Host)


def look_at(engine: str, hosts: Hosts) -> tuple[Service, str, str]:
    """The engine, below which root its host lies, and the unit that it has when it has none yet."""
    if engine == 'containerd':
        return containerd.inspect(hosts.containerd), hosts.containerd.root, containerd.UNIT
    if engine == 'crio':
        return crio.inspect(hosts.crio), hosts.crio.root, crio.UNIT
    return docker.inspect(with_logins=False, host=hosts.docker), hosts.docker.root, docker.UNIT


def run(module: AnsibleModule, hosts: Hosts, state: State) -> dict[str, t.Any]:
    """Read, compute, compare, write."""
    proxies = module.params['proxies'] or {} if module.params['state'] == 'present' else {}
    # With no_log the call is kept out of the system log. Once that is written, only what is secret is cut out of the results, so that
    # plain proxies stay to be seen.
    module.no_log_values = set(_dropin.secrets((proxies.get('http_proxy'), proxies.get('https_proxy'))))
    no_proxy = list(proxies.get('no_proxy') or ())
    wanted = _dropin.wanted_variables(proxies.get('http_proxy'), proxies.get('https_proxy'), no_proxy)
    engine = module.params['engine']
    service, root, unit = look_at(engine, hosts)
    if engine != 'docker' and module.params['path']:
        raise ConfigError(f'path: engine_apply looks for the drop-in of {NAMES[engine]} in its own place alone; leave path out.', key='path')
    if not service.unit:
        service = dataclasses.replace(service, unit=unit)
    path = module.params['path'] or _dropin.default_path(service.unit)
    with contextlib.nullcontext() if module.check_mode else _io.locked(state):
        change, expected = plan_change(path, wanted, service, root)
        if change.changed and not module.check_mode:
            if isinstance(service, docker.DockerDaemon):
                keep_for_rollback(change, state, service)
            elif isinstance(service, crio.Crio):
                keep_for_start(state, hosts.crio, service, [change.path])
            elif service.running:
                if ContainerdService(state, hosts.containerd).plan().action == 'none':
                    drop(state, containerd.ENGINE, PROVED)  # it has come into force since, by a start of its own
                save_once(state, containerd.ENGINE, PROVED, [change.path])
            apply_change(change)
    for sentence in warnings_for(service, change, no_proxy):
        module.warn(sentence)
    if isinstance(service, docker.DockerDaemon):
        plan = make_plan(expected, service, state)
    else:
        plan = _service_facts.proxies_plan(service, NAMES[engine], _dropin.restart_reasons(expected, service))
    return {
        'changed': change.changed,
        'path': path,
        'variables': _dropin.masked(change.desired.variables),
        'conflicts': [dataclasses.asdict(conflict) for conflict in change.desired.conflicts],
        'plan': as_dict(plan),
        'daemon_reload': change.changed or service.need_daemon_reload,
        'diff': change.diff(),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            'engine': {'type': 'str', 'choices': ['containerd', 'crio', 'docker'], 'default': 'docker'},
            'path': {'type': 'path'},
            'proxies': {
                'type': 'dict',
                'no_log': True,
                'options': {
                    'http_proxy': {'type': 'str'},
                    'https_proxy': {'type': 'str'},
                    'no_proxy': {'type': 'list', 'elements': 'str'},
                },
            },
            'state': {'type': 'str', 'choices': ['absent', 'present'], 'default': 'present'},
        },
        required_if=[('state', 'present', ('proxies',))],
        supports_check_mode=True,
    )
    try:
        result = run(module, Hosts(), State())
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == '__main__':
    main()
