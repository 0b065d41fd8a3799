#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: hosts_toml
short_description: Give containerd, or Docker with the containerd image store, mirrors of any registry
version_added: 0.1.0
description:
  - Writes one C(hosts.toml) for each upstream, which is where containerd looks for the mirrors of a registry. Docker 28.0 and later looks there
    as well where it uses the containerd image store. All upstreams take one execution.
  - For containerd it also sees to it that the CRI looks there at all (C(config_path) in C(config.toml)), which it does not by default.
    That one key is written into the file, all else in it stays, and containerd itself is asked before whether it would make anything else of it.
  - A change of C(hosts.toml) needs no restart. C(config_path) needs one, once. It is not done here. RV(plan) says whether it is
    needed, and M(quickpull.registry.engine_apply) does it.
  - Each mirror is told what it may do. One that is trusted with O(upstreams) C(trust=resolve) may say which image a tag means; one with
    C(trust=content) only serves what a digest verifies. None may be pushed to.
extends_documentation_fragment:
  - quickpull.registry.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Values of headers are not shown, and of C(config.toml) only the lines that change.
  idempotent:
    support: full
options:
  engine:
    description:
      - Who is to read the files. V(docker) does so as of 28.0, and with the containerd image store alone. On another Docker the files are
        written, and a warning says that nobody reads them.
    type: str
    choices: [containerd, docker]
    default: containerd
  upstreams:
    description:
      - The mirrors of each upstream, by the upstream's host, such as V(quay.io) or V(registry.example.com:5000), in the order in which they are tried.
        The upstream itself is always tried last.
      - A mirror is a URL, or a dict with C(url) and any of C(trust) (V(resolve), the default, or V(content)), C(ca_path), C(client_cert), C(client_key),
        C(headers), C(insecure) and C(third_party).
      - A URL with a path such as V(https://mirror.lan/hub) is a mirror whose API begins at C(/hub/v2/). One whose path begins with C(/v2/), such as
        V(https://harbor.lan/v2/hub), has images whose names begin with C(hub/).
      - An upstream that is not named is left alone. An empty list takes away what this O(owner) wrote for it, and an empty dict all of it.
      - Required with O(state=present).
    type: dict
  owner:
    description:
      - Whose files these are, so that two plays with upstreams of their own do not take away each other's.
    type: str
    default: registry_access
  state:
    description:
      - With V(absent) everything that this O(owner) wrote is taken away, and what was there before comes back.
    type: str
    choices: [absent, present]
    default: present
  directory:
    description:
      - Where the files go, an absolute path without a colon. By default it is the directory that containerd looks in already, else
        C(/etc/containerd/certs.d); for Docker it is C(/etc/docker/certs.d).
    type: path
  overwrite:
    description:
      - Whether a C(hosts.toml) that somebody else wrote may be replaced. It comes back when ours goes. By default it is left alone, and
        reported in RV(left_out).
    type: bool
    default: false
  set_config_path:
    description:
      - Whether C(config_path) is set in containerd's C(config.toml) where it is missing. It has no meaning for Docker.
      - It is not set where the CRI plugin is disabled, and where the file holds mirrors in tables of its own, with which the CRI would not start.
        Where C(config_path) names other directories, it stays as well. RV(config.because) then says so.
      - From 2.1 on, containerd reads nothing of a list of directories when it pulls for the CRI (containerd#12808), and from 2.2 on such a list is
        its default. That one becomes one directory. A list of somebody's own stays and is told.
    type: bool
    default: true
  dial_timeout:
    description:
      - Seconds that connecting to a mirror may take before the next one is tried. It is written for containerd 2.1 and later, which know it.
        Earlier ones wait 30 seconds for a mirror that drops packets. V(0) leaves it out, and V(3600) is the most.
    type: float
    default: 5
seealso:
  - module: quickpull.registry.engine_apply
  - module: quickpull.registry.registry_mirror_probe
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Give containerd mirrors of two registries
  quickpull.registry.hosts_toml:
    upstreams:
      docker.io:
        - http://cache.lan:5000
        - url: https://mirror.example.com
          trust: content
      quay.io:
        - https://harbor.lan/v2/quay
  become: true
  register: mirrors

- name: Restart containerd where that is needed and safe
  quickpull.registry.engine_apply:
    engine: containerd
  become: true
  when: mirrors.plan.action != 'none'

- name: Give Docker 28 with the containerd image store a mirror of quay.io
  quickpull.registry.hosts_toml:
    engine: docker
    upstreams:
      quay.io: [http://cache.lan:5001]
  become: true

- name: Take the mirrors of quay.io away again
  quickpull.registry.hosts_toml:
    upstreams:
      quay.io: []
  become: true

- name: Take everything away again
  quickpull.registry.hosts_toml:
    state: absent
  become: true
"""

RETURN = r"""
directory:
  description: Where the files are.
  returned: success
  type: str
  sample: /etc/containerd/certs.d
files:
  description: One entry for each upstream that has a file, or had one.
  returned: success
  type: list
  elements: dict
  contains:
    upstream:
      description: The upstream.
      returned: always
      type: str
      sample: docker.io
    path:
      description: Its file.
      returned: always
      type: str
      sample: /etc/containerd/certs.d/docker.io/hosts.toml
    mirrors:
      description: URLs of the mirrors in the order in which they are tried; empty for a file that goes.
      returned: always
      type: list
      elements: str
      sample: ["http://cache.lan:5000"]
    changed:
      description: Whether it changed.
      returned: always
      type: bool
      sample: true
left_out:
  description: A sentence for each file that was left as it is.
  returned: success
  type: list
  elements: str
  sample: ["/etc/containerd/certs.d/quay.io/hosts.toml was not written by this collection and is left alone; move it away, or allow with
    overwrite that it is replaced."]
tags_from_upstream:
  description: Upstreams none of whose mirrors may say which image a tag means, so that the upstream itself has to be reachable for that.
  returned: success
  type: list
  elements: str
  sample: [docker.io]
config:
  description: What became of C(config_path). Empty for Docker, and with O(set_config_path=false).
  returned: success
  type: dict
  contains:
    path:
      description: containerd's configuration file.
      returned: always
      type: str
      sample: /etc/containerd/config.toml
    changed:
      description: Whether it changed.
      returned: always
      type: bool
      sample: true
    because:
      description: Why the key was left out; empty where it is there, or is not needed.
      returned: always
      type: str
      sample: ''
plan:
  description: What the running containerd needs, in the form of RV(quickpull.registry.docker_daemon_config#module:plan). Docker needs nothing.
  returned: success
  type: dict
  sample:
    action: restart
    restart_keys: [config_path]
    reasons: ["containerd reads config_path only when it starts."]
    blockers: []
    blocked_because: []
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _hosts_toml_work
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._hosts_toml_work import Hosts
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import header_secrets
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


def run(module: AnsibleModule, state: State, hosts: Hosts) -> dict[str, t.Any]:
    """Have it done, and tell the warnings."""
    # With no_log the call is kept out of the system log. From here on only what is secret is cut out of the results.
    module.no_log_values = header_secrets(module.params['upstreams'])
    result = _hosts_toml_work.run(module.params, module.check_mode, state, hosts)
    for sentence in result.pop('warnings'):
        module.warn(sentence)
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            'engine': {'type': 'str', 'choices': ['containerd', 'docker'], 'default': 'containerd'},
            'upstreams': {'type': 'dict', 'no_log': True},
            'owner': {'type': 'str', 'default': 'registry_access'},
            'state': {'type': 'str', 'choices': ['absent', 'present'], 'default': 'present'},
            'directory': {'type': 'path'},
            'overwrite': {'type': 'bool', 'default': False},
            'set_config_path': {'type': 'bool', 'default': True},
            'dial_timeout': {'type': 'float', 'default': 5},
        },
        required_if=[('state', 'present', ('upstreams',))],
        supports_check_mode=True,
    )
    try:
        result = run(module, State(), Hosts())
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == '__main__':
    main()
