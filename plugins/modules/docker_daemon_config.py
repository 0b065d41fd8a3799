#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: docker_daemon_config
short_description: Merge mirrors, proxies and other keys into Docker's daemon.json
version_added: 0.1.0
description:
  - Brings what you ask for into C(daemon.json) and leaves every other byte of it as it is, with its order and its indentation.
  - Remembers on the host what was there before and what is yours, for each O(owner), so that it can be taken out again and so that
    two tasks with different keys do not delete each other's.
  - Refuses, before anything is written, what this host's Docker would not start with. Such are keys that this version does not know
    (whoever wrote them), values of the wrong type, mirrors that it does not take, and keys that are also given to C(dockerd) as a
    flag. Where C(dockerd --validate) exists (since 23.0) it has the last word.
  - It restarts nothing and reloads nothing. RV(plan) says what the running daemon needs, and
    M(quickpull.registry.docker_daemon_apply) does it.
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
  backup:
    description:
      - Whether to keep a copy of the file before it is changed. The last five are kept under
        C(/var/lib/quickpull.registry/backups/), readable by root alone.
    type: bool
    default: true
  exclusive:
    description:
      - Whether the lists that are given become exactly what is given. Lists are O(registry_mirrors), O(insecure_registries) and
        O(proxies.no_proxy); no other key is touched.
      - What is taken away by this is given back once it is no longer asked for.
    type: bool
    default: false
  hub_login:
    description:
      - Set this when the host will be given a login to Docker Hub that is not there yet, so that O(mirror_login_leak) counts it.
    type: bool
    default: false
  insecure_registries:
    description:
      - Registries that Docker may reach without TLS, or with a certificate that it cannot verify, as C(HOST), C(HOST:PORT) or CIDR.
      - Merged like O(registry_mirrors).
    type: list
    elements: str
  mirror_login_leak:
    description:
      - What to do with mirrors that are marked C(third_party) on a host where they could get hold of a Docker Hub login. With the
        graph-driver image store, Docker hands that login to whatever token server a mirror names
        (U(https://github.com/moby/moby/issues/42022)).
      - V(drop) leaves them out and warns.
      - V(fail) refuses.
      - V(allow) writes them and warns.
    type: str
    choices: [allow, drop, fail]
    default: drop
  owner:
    description:
      - The name under which the host remembers what this task brought.
    type: str
    default: registry_access
  path:
    description:
      - The file. By default it is the one that the daemon reads, which is C(/etc/docker/daemon.json) as a rule.
      - A symlink stays, and its target is written. A file that is there keeps its owner and mode. A new one is C(0644), or C(0600)
        when it holds a password or token.
    type: path
  proxies:
    description:
      - Proxies of the daemon itself, since Docker 23.0. For older ones use M(quickpull.registry.engine_proxy_dropin).
      - The dictionary is the whole of what this owner asks for. What it no longer holds is given back, so an empty one takes all
        of yours away.
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
          - What is reached directly, as names, C(.domain) or C(*.domain), addresses and CIDRs. Entries that are there already stay,
            behind these.
        type: list
        elements: str
  registry_mirrors:
    description:
      - Mirrors of Docker Hub, in the order in which Docker shall ask them. Each is a URL, or a dictionary with C(url) and what else
        is known of it (C(trust), C(third_party), C(ca_path), C(client_cert), C(client_key), C(headers), C(insecure)).
      - They go in front of those that are there already. One that is there already is moved to its place, and stays when yours
        are taken away. URLs are compared without regard to a trailing slash, the case of the host and the default port.
      - A mirror with C(trust=content) is left out, because Docker asks each of its mirrors what a tag means.
      - An empty list takes yours away. On a running daemon the key then stays as C([]) until
        M(quickpull.registry.docker_daemon_apply) has proved that the daemon forgot them, because a reload without the key keeps
        the old ones.
    type: list
    elements: raw
  settings:
    description:
      - Any other keys of C(daemon.json), as a nested dictionary. Objects are merged key by key, everything else replaces what is there.
      - It is the whole of what this owner asks for. What it no longer holds, or holds as null, is given back. The value from before
        comes back, unless somebody changed it since.
    type: dict
  state:
    description:
      - With V(absent) all that this owner brought is taken out again, and the other options do not count.
    type: str
    choices: [absent, present]
    default: present
  validate:
    description:
      - V(auto) checks the result against what is known of this Docker version and its flags, and with C(dockerd --validate) where
        that exists.
      - V(always) fails where C(dockerd --validate) cannot be had, and calls it even when nothing changes.
      - V(never) checks only that the file is valid JSON, and the form of these options.
    type: str
    choices: [always, auto, never]
    default: auto
seealso:
  - module: quickpull.registry.docker_daemon_apply
  - module: quickpull.registry.docker_daemon_info
  - module: quickpull.registry.engine_proxy_dropin
  - name: Docker's documentation of daemon.json
    description: All keys and their values.
    link: https://docs.docker.com/reference/cli/dockerd/
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Pull through a cache of our own, then through a mirror of somebody else
  quickpull.registry.docker_daemon_config:
    registry_mirrors:
      - http://cache.lan:5000
      - url: https://docker.m.daocloud.io
        third_party: true
  become: true
  register: config

- name: Bring it into force, without stopping a container
  quickpull.registry.docker_daemon_apply:
  become: true
  when: config.plan.action != 'none'

- name: Rotate logs and keep containers alive while the daemon restarts
  quickpull.registry.docker_daemon_config:
    owner: logging
    settings:
      live-restore: true
      log-opts:
        max-size: 10m
        max-file: "3"
  become: true

- name: Give the daemon a proxy with a password
  quickpull.registry.docker_daemon_config:
    proxies:
      https_proxy: "http://acme:{{ vault_proxy_password | default('secret') | urlencode }}@proxy.lan:7890"
      no_proxy: [localhost, 10.0.0.0/8, "*.cn"]
  become: true

- name: Take all of it out again
  quickpull.registry.docker_daemon_config:
    state: absent
  become: true
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
  sample: /etc/docker/daemon.json
plan:
  description: What the running daemon needs so that the file comes into force, also what an earlier run wrote.
  returned: success
  type: dict
  contains:
    action:
      description: V(none), V(reload) or V(restart). A daemon that does not run needs nothing.
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
      sample: []
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
      sample: []
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
registry_mirrors:
  description: Mirrors in the file now, foreign ones included.
  returned: success
  type: list
  elements: str
  sample: ["http://cache.lan:5000"]
left_out:
  description: Mirrors that were asked for and not written.
  returned: success
  type: list
  elements: dict
  contains:
    url:
      description: The mirror.
      returned: always
      type: str
      sample: https://docker.m.daocloud.io
    reason:
      description: Why, as a sentence.
      returned: always
      type: str
      sample: It belongs to a third party, and could get hold of the Docker Hub login of this host.
foreign_changes:
  description: What somebody else changed of what this module had written, one sentence each, without values.
  returned: success
  type: list
  elements: str
  sample: [mtu was changed by somebody else since; it is left as it is.]
backup_file:
  description: Copy of the file from before. Empty when none was made.
  returned: success
  type: str
  sample: /var/lib/quickpull.registry/backups/%2Fetc%2Fdocker%2Fdaemon.json.20260102T030405.123456789
daemon:
  description: The daemon that was found.
  returned: success
  type: dict
  contains:
    version:
      description: Its version, empty when it is not known.
      returned: always
      type: str
      sample: 28.5.2
    running:
      description: Whether it runs.
      returned: always
      type: bool
      sample: true
    image_store:
      description: V(graphdriver) or V(containerd). Empty when the daemon does not answer.
      returned: always
      type: str
      sample: graphdriver
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils._daemon_config import Options, Outcome, configure, with_path
from ansible_collections.quickpull.registry.plugins.module_utils._daemon_secrets import secrets_of
from ansible_collections.quickpull.registry.plugins.module_utils._engines import docker
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._plan import as_dict
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


def argument_spec() -> dict[str, t.Any]:
    """Options that may hold a secret are no_log, so that Ansible keeps them out of the system log; see :func:`narrow_no_log`."""
    return {
        'backup': {'type': 'bool', 'default': True},
        'exclusive': {'type': 'bool', 'default': False},
        'hub_login': {'type': 'bool', 'default': False},
        'insecure_registries': {'type': 'list', 'elements': 'str'},
        'mirror_login_leak': {'type': 'str', 'choices': ['allow', 'drop', 'fail'], 'default': 'drop'},
        'owner': {'type': 'str', 'default': 'registry_access'},
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
        'registry_mirrors': {'type': 'list', 'elements': 'raw', 'no_log': True},
        'settings': {'type': 'dict', 'no_log': True},
        'state': {'type': 'str', 'choices': ['absent', 'present'], 'default': 'present'},
        'validate': {'type': 'str', 'choices': ['always', 'auto', 'never'], 'default': 'auto'},
    }


def narrow_no_log(module: AnsibleModule) -> None:
    """Once the call is logged, hide what is secret in those options, and not the mirrors and proxies that are none.

    Ansible cuts each no_log value out of all results, so that a plain mirror's URL would show as asterisks everywhere.
    """
    asked = {name: module.params[name] for name in ('proxies', 'registry_mirrors', 'settings')}
    module.no_log_values = secrets_of(asked)


def options_of(params: t.Mapping[str, t.Any]) -> Options:
    """The module's parameters as options."""
    given = {name: value for name, value in params.items() if name != 'state'}
    return Options(**{**given, 'path': params['path'] or '', 'present': params['state'] == 'present'})


def as_result(path: str, outcome: Outcome, daemon: docker.DockerDaemon) -> dict[str, t.Any]:
    """The outcome as the module returns it."""
    return {
        'changed': outcome.changed,
        'path': path,
        'diff': outcome.diff,
        'plan': as_dict(outcome.plan),
        'registry_mirrors': list(outcome.mirrors),
        'left_out': [vars(one) for one in outcome.left_out],
        'foreign_changes': list(outcome.foreign_changes),
        'backup_file': outcome.backup_file,
        'daemon': {
            'version': daemon.version or '',
            'running': daemon.start_id is not None,
            'image_store': daemon.reported.image_store if daemon.reported else '',
        },
    }


def run(module: AnsibleModule, host: docker.Host, state: State) -> dict[str, t.Any]:
    """Look at the host, bring the options into the file, tell what came of it."""
    options = options_of(module.params)
    daemon = docker.inspect(options.path or None, host=host)
    options = with_path(options, daemon)
    outcome = configure(options, state, daemon, check_mode=module.check_mode)
    for warning in outcome.warnings:
        module.warn(warning)
    for sentence in outcome.foreign_changes:
        module.warn(f'{options.path}: {sentence}')
    return as_result(options.path, outcome, daemon)


def main() -> t.NoReturn:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    narrow_no_log(module)
    try:
        result = run(module, docker.Host(), State())
    except (ConfigError, OSError) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == '__main__':
    main()
