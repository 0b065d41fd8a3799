#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: container_engine_info
short_description: Say which container engines a host has, and how they run
version_added: 0.1.0
description:
  - Says for each container engine on the host which version it is, how its service runs, which configuration file it reads,
    which flags are in force and where each of them comes from, and what a restart of it would cost.
  - Docker, containerd, and Podman with what reads the same files (Skopeo, Buildah, CRI-O) are known. Snap packages, rootless Docker and Podman's
    stand-in for the C(docker) command are recognised and named.
  - Where containerd is there for Docker alone, its configuration is not looked at.
  - Nothing is started. A daemon that systemd would start on demand is not asked while it is stopped.
  - Users and passwords in URLs are masked.
extends_documentation_fragment:
  - quickpull.registry.attributes
  - quickpull.registry.attributes.info_module
options:
  users:
    description:
      - Users who have to be there; the task fails where one is not. The role names those whom it is going to give files, so that nothing is written on a host
        that lacks one of them.
    type: list
    elements: str
    default: []
seealso:
  - module: quickpull.registry.docker_daemon_info
  - module: quickpull.registry.engine_proxy_dropin
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Look at the engines of a host
  quickpull.registry.container_engine_info:
  become: true
  register: host

- name: Show which flags would clash with keys in daemon.json
  ansible.builtin.debug:
    msg: "{{ item.key }} is set by {{ item.path or item.source }}"
  loop: "{{ host.engines.docker.flags | default([]) }}"
  loop_control:
    label: "{{ item.name }}"

- name: Stop here where a restart of Docker would end containers
  ansible.builtin.assert:
    that: host.engines.docker.containers_lost_by_restart | default([]) | length == 0
    fail_msg: "These would not come back: {{ host.engines.docker.containers_lost_by_restart | default([]) | join(', ') }}"
"""

RETURN = r"""
installed:
  description: Names of the engines on this host.
  returned: always
  type: list
  elements: str
  sample: [containerd, docker, podman]
engines:
  description: One entry for each engine in RV(installed).
  returned: always
  type: dict
  contains:
    docker:
      description: Docker.
      returned: when Docker is installed
      type: dict
      contains:
        flavour:
          description:
            - V(native) for an ordinary Docker, V(snap) for the snap package.
            - V(rootless) where only users run a Docker of their own.
          returned: always
          type: str
          sample: native
        version:
          description: Version of the running daemon, or of the binary where the daemon does not run.
          returned: always
          type: str
          sample: 26.1.5+dfsg1
        binary:
          description: Path of dockerd.
          returned: always
          type: str
          sample: /usr/sbin/dockerd
        binary_version:
          description: Version of the binary on disk, which the next start will run.
          returned: always
          type: str
          sample: 26.1.5+dfsg1
        binary_replaced:
          description: Whether the binary on disk is another one than the one that runs, for example after an upgrade.
          returned: always
          type: bool
          sample: false
        running:
          description: Whether the daemon runs.
          returned: always
          type: bool
          sample: true
        service:
          description: The systemd unit and the process.
          returned: always
          type: dict
          contains:
            unit:
              description: Name of the unit; empty when the daemon does not run under systemd.
              returned: always
              type: str
              sample: docker.service
            active_state:
              description: What systemd calls ActiveState.
              returned: always
              type: str
              sample: active
            sub_state:
              description: What systemd calls SubState.
              returned: always
              type: str
              sample: running
            unit_file_state:
              description: What systemd calls UnitFileState, for example V(enabled) or V(masked).
              returned: always
              type: str
              sample: enabled
            need_daemon_reload:
              description: Whether unit files on disk are newer than what systemd has loaded.
              returned: always
              type: bool
              sample: false
            main_pid:
              description: Process of the daemon, V(0) when it does not run.
              returned: always
              type: int
              sample: 812
            started_at:
              description: When the daemon was started, in seconds since 1970.
              returned: always
              type: float
              sample: 1763990000.12
        config_path:
          description: The file that the daemon reads; C(--config-file) is taken into account.
          returned: always
          type: str
          sample: /etc/docker/daemon.json
        proxies_in_config:
          description:
            - Whether this version takes proxies from daemon.json (23.0 and later). Where it does not, a systemd drop-in is the way.
          returned: always
          type: bool
          sample: true
        proxies:
          description: The proxies that the running daemon uses, user and password masked; empty when it does not run.
          returned: always
          type: dict
          sample:
            http_proxy: ""
            https_proxy: http://xxxxx:xxxxx@proxy.lan:7890
            no_proxy: 10.0.0.0/8,cache.lan
        proxy_dropin:
          description:
            - The systemd drop-in that M(quickpull.registry.engine_proxy_dropin) wrote for the service; empty when there is none.
            - On a host that was upgraded to 23.0 or later it is a leftover, because proxies in daemon.json win over it.
          returned: always
          type: str
          sample: /etc/systemd/system/docker.service.d/00-quickpull-proxy.conf
        mirror_paths:
          description: Whether this version of Docker takes mirrors with a path, which it does since 25.0.
          returned: always
          type: bool
          sample: true
        registry_mirrors:
          description: Mirrors that the running daemon has in force; empty also when it does not run or does not answer.
          returned: always
          type: list
          elements: str
          sample: ["http://cache.lan:5000/"]
        reads_hosts_toml:
          description: Whether this Docker takes mirrors of any registry from C(hosts.toml), which it does as of 28.0 with the containerd image store.
          returned: always
          type: bool
          sample: false
        mirrors:
          description: What C(hosts.toml) files below C(/etc/docker/certs.d) say, by upstream, whether they are read or not.
          returned: always
          type: dict
          sample: {quay.io: ["http://cache.lan:5001"]}
        third_party_mirrors:
          description: Those of Docker's mirrors that this collection wrote and that belong to third parties, as the run that wrote them said.
          returned: always
          type: list
          elements: str
          sample: ["https://mirror.example.com/"]
        mirror_certs:
          description: Certificates of Docker's mirrors that M(quickpull.registry.docker_certs) wrote. Root alone can see them.
          returned: always
          type: list
          elements: str
          sample: ["/etc/docker/certs.d/cache.lan:5000/ca.crt"]
        flags:
          description:
            - Flags in force. For a running daemon these are its real arguments, else those that the unit would give it.
            - A key of daemon.json that is also a flag keeps the daemon from starting.
          returned: always
          type: list
          elements: dict
          contains:
            name:
              description: Long name of the flag.
              returned: always
              type: str
              sample: registry-mirror
            key:
              description: Name of the same setting in daemon.json; empty where there is none.
              returned: always
              type: str
              sample: registry-mirrors
            values:
              description: The values given, secrets masked.
              returned: always
              type: list
              elements: str
              sample: ["http://cache.lan:5000"]
            source:
              description:
                - V(unit), V(drop-in) or V(EnvironmentFile).
                - V(command line) for a flag that the running daemon has but that stands in none of these files.
              returned: always
              type: str
              sample: EnvironmentFile
            path:
              description: The file that holds it; empty for V(command line).
              returned: always
              type: str
              sample: /etc/default/docker
        flags_at_next_start:
          description: The flags that the unit will give the daemon when it is started next, in the form of RV(engines.docker.flags).
          returned: always
          type: list
          elements: dict
          sample:
            - name: host
              key: hosts
              values: ["fd://"]
              source: unit
              path: /usr/lib/systemd/system/docker.service
        image_store:
          description: V(graphdriver) or V(containerd); null when the daemon does not answer.
          returned: always
          type: str
          sample: graphdriver
        live_restore:
          description: Whether containers survive a restart of the daemon; null when it does not answer.
          returned: always
          type: bool
          sample: true
        swarm_active:
          description: Whether the host is part of a Swarm; null when the daemon does not answer.
          returned: always
          type: bool
          sample: false
        containers_running:
          description: How many containers run.
          returned: always
          type: int
          sample: 3
        containers_lost_by_restart:
          description:
            - Names of the running containers that would not surely come back after a restart without live-restore.
            - These are the ones without a restart policy, with C(--rm), and with V(on-failure), which does not restart what ends cleanly.
          returned: always
          type: list
          elements: str
          sample: [adhoc]
        dependents:
          description: Active units that would stop or restart together with Docker.
          returned: always
          type: list
          elements: str
          sample: [billing.service]
        hub_logins:
          description: Client configuration files of root and other users that hold a login to Docker Hub.
          returned: always
          type: list
          elements: str
          sample: [/root/.docker/config.json]
        via:
          description: Whether the daemon was asked through the Docker SDK (V(sdk)) or directly (V(socket)); empty when it was not asked.
          returned: always
          type: str
          sample: sdk
    containerd:
      description: containerd.
      returned: when containerd is installed
      type: dict
      contains:
        version:
          description: Version of the binary.
          returned: always
          type: str
          sample: 1.7.24
        binary:
          description: Path of containerd.
          returned: always
          type: str
          sample: /usr/bin/containerd
        binary_replaced:
          description: Whether the binary on disk is not the one that runs, as after an upgrade.
          returned: always
          type: bool
          sample: false
        running:
          description: Whether it runs.
          returned: always
          type: bool
          sample: true
        service:
          description: What systemd says of its unit. C(unit) is empty when no unit of its own runs it.
          returned: always
          type: dict
          sample:
            unit: containerd.service
            active_state: active
            sub_state: running
            unit_file_state: enabled
            main_pid: 512
            started_at: 1764000000.5
            kill_mode: process
        config_path:
          description: Its configuration file.
          returned: always
          type: str
          sample: /etc/containerd/config.toml
        proxies:
          description: The proxy variables that the running containerd was started with, user and password masked.
          returned: always
          type: dict
          sample: {HTTPS_PROXY: "http://xxxxx:xxxxx@proxy.lan:7890"}
        no_proxy:
          description: What it reaches directly; empty when nothing is said of that.
          returned: always
          type: str
          sample: 10.0.0.0/8,cache.lan
        hosts_directory:
          description: Where C(hosts.toml) files have to lie.
          returned: always
          type: str
          sample: /etc/containerd/certs.d
        mirrors:
          description: What the C(hosts.toml) files there say, by upstream.
          returned: always
          type: dict
          sample: {docker.io: ["http://cache.lan:5000"]}
        cri_enabled:
          description: Whether the CRI plugin is not disabled; null when that is not known.
          returned: always
          type: bool
          sample: true
        cri_reads:
          description: C(config_path) of the CRI at its next start; empty when it looks nowhere, null when that is not known.
          returned: always
          type: str
          sample: /etc/containerd/certs.d
        cri_error:
          description: Why the running CRI did not answer; empty when it did, or was not asked.
          returned: always
          type: str
          sample: ''
        used_by:
          description: Who uses containerd on this host, among V(crictl), V(docker), V(kubelet) and V(nerdctl).
          returned: always
          type: list
          elements: str
          sample: [kubelet]
        for_docker_alone:
          description: Whether it is there only because Docker needs it.
          returned: always
          type: bool
          sample: false
        dependents:
          description: Active units that would stop or restart together with it.
          returned: always
          type: list
          elements: str
          sample: []
    crio:
      description: CRI-O. Its mirrors are those of the files that Podman reads.
      returned: when CRI-O is installed
      type: dict
      contains:
        version:
          description: Version of the binary.
          returned: always
          type: str
          sample: 1.34.1
        binary:
          description: Path of CRI-O.
          returned: always
          type: str
          sample: /usr/bin/crio
        binary_replaced:
          description: Whether the binary on disk is not the one that runs, as after an upgrade.
          returned: always
          type: bool
          sample: false
        running:
          description: Whether it runs.
          returned: always
          type: bool
          sample: true
        service:
          description: What systemd says of its unit. C(unit) is empty when no unit of its own runs it.
          returned: always
          type: dict
          sample:
            unit: crio.service
            active_state: active
            sub_state: running
            unit_file_state: enabled
            main_pid: 512
            started_at: 1764000000.5
            kill_mode: process
        proxies:
          description: The proxy variables that the running containerd was started with, user and password masked.
          returned: always
          type: dict
          sample: {HTTPS_PROXY: "http://xxxxx:xxxxx@proxy.lan:7890"}
        no_proxy:
          description: What it reaches directly; empty when nothing is said of that.
          returned: always
          type: str
          sample: 10.0.0.0/8,cache.lan
        config_path:
          description: Its main file.
          returned: always
          type: str
          sample: /etc/crio/crio.conf
        config_dir:
          description: Where its drop-ins are.
          returned: always
          type: str
          sample: /etc/crio/crio.conf.d
        global_auth_file:
          description: The file of logins that its configuration names; empty for none.
          returned: always
          type: str
          sample: /etc/crio/auth.json
        global_auth_file_in_force:
          description: The one that the running CRI-O uses; null when it did not tell.
          returned: always
          type: str
          sample: /etc/crio/auth.json
        auto_reload_registries:
          description: Whether it reads drop-ins for registries by itself when they change.
          returned: always
          type: bool
          sample: false
        registries_read:
          description:
            - Whether the running CRI-O has read the drop-ins of M(quickpull.registry.registries_conf) as they are, as far as its log tells. Null when it
              does not run.
          returned: always
          type: bool
          sample: true
        dependents:
          description: Active units that would stop or restart together with it.
          returned: always
          type: list
          elements: str
          sample: []
    podman:
      description: Podman, Skopeo, Buildah and CRI-O, which read the same files.
      returned: when any of them is installed
      type: dict
      contains:
        version:
          description: Podman's version; empty when Podman is not among them.
          returned: always
          type: str
          sample: 5.4.2
        tools:
          description: Paths of the programs that are there.
          returned: always
          type: dict
          sample: {podman: /usr/bin/podman, skopeo: /usr/bin/skopeo}
        mirrors:
          description: What the drop-ins of M(quickpull.registry.registries_conf) say, by upstream.
          returned: always
          type: dict
          sample: {docker.io: ["http://cache.lan:5000"]}
    k3s:
      description: K3s, which brings a containerd of its own. C(role) is V(server) or V(agent). Other keys are those of C(crio).
      returned: when K3s is installed
      type: dict
      sample: {role: server, version: 1.33.4+k3s1, running: true, registries_path: /etc/rancher/k3s/registries.yaml, mirrors: {}}
    rke2:
      description: RKE2, in the same form.
      returned: when RKE2 is installed
      type: dict
      sample: {role: agent, version: 1.33.4+rke2r1, running: true, registries_path: /etc/rancher/rke2/registries.yaml, mirrors: {}}
notes:
  description: Sentences about what an operator should know of the engines found.
  returned: always
  type: list
  elements: str
  sample: ["The command docker is Podman on this host; there is no Docker daemon."]
users_with_files:
  description:
    - Users of this host who were given files in their homes, by what reads those, V(podman) or V(buildkit). Known to root alone, from the records of
      M(quickpull.registry.registries_conf) and M(quickpull.registry.buildkitd_config).
  returned: always
  type: dict
  sample: {podman: [alice], buildkit: [ci]}
refresh:
  description: Whether the host chooses its mirrors by itself (M(quickpull.registry.registry_mirror_refresh)), and what it saw when it last did.
  returned: always
  type: dict
  contains:
    installed:
      description: Whether it does. The other keys are empty until it did for the first time.
      returned: always
      type: bool
      sample: true
    checked_at:
      description: When, in UTC.
      returned: always
      type: str
      sample: "2026-11-29T02:00:00Z"
    because:
      description: Why mirrors changed, or what keeps them from changing. Empty where all is as it should be.
      returned: always
      type: str
      sample: http://cache.lan:5000 does not serve any more.
    last_change:
      description: When a choice last changed, of which upstream and why. Empty while none ever did.
      returned: always
      type: str
      sample: "2026-11-29T01:40:00Z, docker.io: http://cache.lan:5000 does not serve any more."
    errors:
      description: What went wrong, one sentence each.
      returned: always
      type: list
      elements: str
      sample: []
    mirrors:
      description: The mirrors that were chosen, by upstream.
      returned: always
      type: dict
      sample: {docker.io: ["http://cache.lan:5000"]}
    chosen:
      description: The same for each engine that the host gave them to, by engine and upstream. One whose mirrors wait for something is left out.
      returned: always
      type: dict
      sample: {docker: {docker.io: ["http://cache.lan:5000"]}}
    goes_by:
      description: Equal on hosts that choose among the same mirrors, asked in the same way, by the same policy.
      returned: always
      type: str
      sample: 5f0c1b6f0f0b4a55
    age:
      description: How many seconds ago the engines were last given what was chosen, by the host's own clock. None where they never were.
      returned: always
      type: float
      sample: 212.5
    results:
      description: What each mirror did when it was last asked, by upstream. The keys are those of M(quickpull.registry.registry_mirror_probe).
      returned: always
      type: dict
      sample: {docker.io: [{url: "http://cache.lan:5000", ok: true, state: ok, failed_at: "", reason: ""}]}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _as_user
from ansible_collections.quickpull.registry.plugins.module_utils._engine_facts import Hosts, facts
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


def main() -> None:
    module = AnsibleModule(argument_spec={'users': {'type': 'list', 'elements': 'str', 'default': []}}, supports_check_mode=True)
    missing = _as_user.missing_users(module.params['users'])
    if missing:
        module.fail_json(
            msg=f'users: there is no user {", ".join(missing)} on this host. Take the name out for this host (in the role, out of registry_access_podman_users '
            'or registry_access_buildkit_users), or make the user first.'
        )
    module.exit_json(changed=False, **facts(Hosts(), State()))


if __name__ == '__main__':
    main()
