#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: docker_daemon_info
short_description: Say what the running Docker daemon has in force
version_added: 0.1.0
description:
  - Asks the running daemon which mirrors, insecure registries and proxies it uses, which image store it has and whether containers
    survive its restart. That is what counts; the configuration file only says what may come into force one day.
  - The Docker SDK for Python is used where it is present and works. Otherwise the API is asked over its socket, with Python's
    standard library alone.
  - A daemon that does not run is no error. It is not started either.
  - Users and passwords in URLs are masked, as dockerd does itself.
extends_documentation_fragment:
  - quickpull.registry.attributes
  - quickpull.registry.attributes.info_module
options: {}
seealso:
  - module: quickpull.registry.container_engine_info
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Ask the daemon
  quickpull.registry.docker_daemon_info:
  become: true
  register: docker

- name: Show the mirrors in force
  ansible.builtin.debug:
    var: docker.mirrors

- name: Make sure that the team's cache is in force
  ansible.builtin.assert:
    that: not docker.running or 'http://cache.lan:5000/' in docker.mirrors
    fail_msg: The daemon does not use the cache.
  ignore_errors: "{{ ansible_check_mode }}"
"""

RETURN = r"""
installed:
  description: Whether there is a Docker daemon on this host.
  returned: always
  type: bool
  sample: true
flavour:
  description: V(native), V(snap), V(rootless), or V(podman-docker) where the command C(docker) is Podman.
  returned: always
  type: str
  sample: native
running:
  description: Whether the daemon runs. What only a running daemon can tell is null when it does not.
  returned: always
  type: bool
  sample: true
version:
  description: Version of the running daemon, or of the binary where the daemon does not run.
  returned: always
  type: str
  sample: 28.5.2+dfsg1
via:
  description: Whether the daemon was asked through the Docker SDK (V(sdk)) or directly (V(socket)); empty when it was not asked.
  returned: always
  type: str
  sample: socket
mirrors:
  description: Mirrors in force, in the order in which they are tried. Docker ends each with a slash.
  returned: always
  type: list
  elements: str
  sample: ["http://cache.lan:5000/"]
insecure_registries:
  description: Address ranges and names that may be reached without TLS, including the loopback range that Docker adds itself.
  returned: always
  type: list
  elements: str
  sample: ["127.0.0.0/8", "cache.lan:5000"]
proxies:
  description: Proxies that the daemon uses itself.
  returned: always
  type: dict
  contains:
    http_proxy:
      description: For plain URLs; empty for none.
      returned: always
      type: str
      sample: http://xxxxx:xxxxx@proxy.lan:7890
    https_proxy:
      description: For TLS; empty for none.
      returned: always
      type: str
      sample: http://xxxxx:xxxxx@proxy.lan:7890
    no_proxy:
      description: What is reached directly, as one comma-separated text.
      returned: always
      type: str
      sample: localhost,10.0.0.0/8
image_store:
  description: V(graphdriver) or V(containerd).
  returned: always
  type: str
  sample: graphdriver
storage_driver:
  description: Storage driver in use.
  returned: always
  type: str
  sample: overlay2
data_root:
  description: Where the daemon keeps its data.
  returned: always
  type: str
  sample: /var/lib/docker
live_restore:
  description: Whether containers survive a restart of the daemon.
  returned: always
  type: bool
  sample: true
swarm_active:
  description: Whether the host is part of a Swarm.
  returned: always
  type: bool
  sample: false
containers_running:
  description: How many containers run.
  returned: always
  type: int
  sample: 3
service:
  description: The systemd unit and the process, as M(quickpull.registry.container_engine_info) returns it.
  returned: always
  type: dict
  sample:
    unit: docker.service
    active_state: active
    sub_state: running
    unit_file_state: enabled
    need_daemon_reload: false
    main_pid: 812
    started_at: 1763990000.12
config_path:
  description: The file that the daemon reads.
  returned: always
  type: str
  sample: /etc/docker/daemon.json
config:
  description: Content of that file, secrets masked. Empty where there is no such file, null where it does not hold a JSON object.
  returned: always
  type: dict
  sample:
    registry-mirrors: ["http://cache.lan:5000"]
notes:
  description: Sentences about what an operator should know, for example why a running daemon did not answer.
  returned: always
  type: list
  elements: str
  sample: []
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _docker_report
from ansible_collections.quickpull.registry.plugins.module_utils._engines import docker


def facts(host: docker.Host) -> dict[str, t.Any]:
    """What this module returns."""
    daemon = docker.inspect(with_containers=False, with_logins=False, host=host)
    return dict(_docker_report.daemon_info(daemon, host.root), notes=_docker_report.notes(daemon))


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    module.exit_json(changed=False, **facts(docker.Host()))


if __name__ == '__main__':
    main()
