#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: registries_conf
short_description: Give Podman, Buildah, Skopeo and CRI-O mirrors of registries
version_added: 0.1.0
description:
  - Writes a drop-in for each upstream into C(/etc/containers/registries.conf.d), with its mirrors in the order in which they are tried.
    The registry itself is asked last, as always.
  - A drop-in replaces whatever an earlier file says of the same upstream. So an upstream of which another file has an entry is left alone
    and reported in RV(left_out), unless O(overwrite=true).
  - The certificates of a mirror are copied to where these clients look for them, C(/etc/containers/certs.d/HOST:PORT).
  - Where Podman is installed, it is asked what it makes of the files, before they are written and once they are in place. When it
    cannot read them, or reads something else, everything stays as it was.
  - Podman, Buildah and Skopeo read the files at each pull. CRI-O reads them when it starts or is reloaded. That is not done here. RV(plan) says whether it
    is needed, also for what an earlier run wrote, and M(quickpull.registry.engine_apply) does it.
  - A mirror with O(upstreams) trust V(content) is asked only for images that are named by digest. These clients take all of an image from
    one place, so a pull by tag passes such a mirror over, also for the layers.
extends_documentation_fragment:
  - quickpull.registry.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Private keys are not shown.
  idempotent:
    support: full
options:
  upstreams:
    description:
      - The mirrors of each registry, by the name that images carry, such as V(docker.io) or V(quay.io). A part of a registry
        (V(quay.io/team)) is possible too.
      - A mirror is a URL, or a dictionary with C(url) and, where needed, C(trust) (V(resolve), the default, or V(content)), C(ca_path),
        C(client_cert), C(client_key) (paths of PEM files on the host), C(insecure) and C(third_party).
      - A mirror that wants C(headers) cannot be had with these clients, and neither can one below a path, because they put the path of a
        mirror behind C(/v2/). Only where the registry serves the mirror as a project, as Harbor does, write
        C(https://HOST/v2/PROJECT). What cannot be had is left out and reported.
      - An upstream that is not named is left alone. An empty list takes away what this owner wrote for the upstream, an empty dictionary all
        that it wrote.
      - Required with O(state=present). With O(state=absent) only the names count; left out, all that this owner wrote is taken away.
    type: dict
  owner:
    description:
      - Who asks. What one owner wrote is neither changed nor taken away by another.
    type: str
    default: registry_access
  directory:
    description:
      - The folder of the drop-ins. The file C(registries.conf) and the folder C(certs.d) are expected beside it.
      - Left out, C(/etc/containers/registries.conf.d), or with O(user) that user's C(~/.config/containers/registries.conf.d).
      - With another one than that of everybody, Podman is asked only before the files are written.
    type: path
  user:
    description:
      - Write the files for this user alone, into the user's home and as that user. CRI-O does not read those.
      - Certificates of mirrors have to be files that this user can read.
      - Needed for a user with a C(registries.conf) of their own, since that hides from them all that lies below C(/etc/containers). It is not changed.
        RV(hidden_for) names such users.
      - A user who is not named any more keeps what was written, until a run with O(state=absent) for that user.
      - What the module has to remember then lies in C(~/.local/state/quickpull.registry), and goes when O(state=absent) has taken all away.
      - Left out, the files are those of everybody on the host.
    type: str
  overwrite:
    description:
      - Whether ours may count instead of what other files say of an upstream. Their files stay as they are; the name of ours then begins
        with C(zz-quickpull-) where one of them is read later.
      - A file that has the very name of one of ours is replaced, and comes back when ours is taken away.
    type: bool
    default: false
  state:
    description: Whether the mirrors should be there.
    type: str
    choices: [absent, present]
    default: present
  validate:
    description: V(auto) asks Podman where it is installed; V(never) asks nobody.
    type: str
    choices: [auto, never]
    default: auto
seealso:
  - module: quickpull.registry.docker_daemon_config
  - module: quickpull.registry.registry_mirror_probe
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Pull through a cache of one's own, and through a public mirror where that is down
  quickpull.registry.registries_conf:
    upstreams:
      docker.io:
        - http://cache.lan:5000
        - https://docker.m.daocloud.io
      quay.io:
        - https://quay.m.daocloud.io
  become: true
  register: mirrors

- name: Say what was left out
  ansible.builtin.debug:
    msg: "{{ mirrors.left_out | map(attribute='because') }}"

- name: Trust a mirror only with images that are named by digest
  quickpull.registry.registries_conf:
    upstreams:
      ghcr.io:
        - url: https://ghcr.m.daocloud.io
          trust: content
          third_party: true
  become: true

- name: Let ours count whatever other files say of Docker Hub
  quickpull.registry.registries_conf:
    upstreams:
      docker.io: [http://cache.lan:5000]
    overwrite: true
  become: true

- name: Give them to a user too whose own registries.conf hides the system's
  quickpull.registry.registries_conf:
    user: alice
    upstreams:
      docker.io: [http://cache.lan:5000]
  become: true

- name: Take away the mirrors of one registry
  quickpull.registry.registries_conf:
    upstreams:
      quay.io: []
  become: true

- name: Take away everything
  quickpull.registry.registries_conf:
    state: absent
  become: true
"""

RETURN = r"""
files:
  description: The files of this owner that the run was about, those included that it takes away.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      returned: always
      type: str
      sample: /etc/containers/registries.conf.d/500-quickpull-docker.io.conf
    upstream:
      description: The registry that it is for. A certificate that several need is named for the first one; for one that nobody needs any more it is empty.
      returned: always
      type: str
      sample: docker.io
    mirrors:
      description: URLs of the mirrors in a drop-in, in the order in which they are tried; empty for one that goes, null for a certificate.
      returned: always
      type: list
      elements: str
      sample: ["http://cache.lan:5000"]
    changed:
      description: Whether it was written or taken away.
      returned: always
      type: bool
      sample: true
left_out:
  description: What was asked for and not written.
  returned: success
  type: list
  elements: dict
  contains:
    upstream:
      description: The registry.
      returned: always
      type: str
      sample: docker.io
    mirror:
      description: URL of the mirror. Empty where the whole upstream was left alone.
      returned: always
      type: str
      sample: https://mirror.example.com/hub
    path:
      description: The file that is in the way, if one is.
      returned: always
      type: str
      sample: ""
    because:
      description: The reason as a sentence, and the way out.
      returned: always
      type: str
      sample: >-
        https://mirror.example.com/hub has a path before /v2/, where these clients never ask; it is left out.
        For a mirror that is a project of its registry write http(s)://HOST/v2/PROJECT.
hidden_for:
  description:
    - Users whose own files hide ours from them, unless the module wrote them for those users too, by O(user). These files are never touched. With root
      among them, it is so for root's pulls and for CRI-O. Always empty with O(user).
  returned: success
  type: list
  elements: dict
  contains:
    user:
      description: Name of the user.
      returned: always
      type: str
      sample: alice
    path:
      description: The user's own file.
      returned: always
      type: str
      sample: /home/alice/.config/containers/registries.conf
validated_by:
  description: V(podman) where Podman read back what was asked for, else empty.
  returned: success
  type: str
  sample: podman
plan:
  description: What a running CRI-O needs to read the drop-ins, in the form of RV(quickpull.registry.docker_daemon_config#module:plan). Others need nothing.
  returned: success
  type: dict
  sample:
    action: reload
    reload_keys: [registries]
    reasons: ["CRI-O reads registries.conf.d when it starts or is reloaded."]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _registries_work
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import header_secrets
from ansible_collections.quickpull.registry.plugins.module_utils._registries_work import Hosts
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


def run(module: AnsibleModule, hosts: Hosts, state: State) -> dict[str, t.Any]:
    """Have it done, and tell the warnings."""
    # With no_log the call is kept out of the system log. Once that is written, only what is secret is cut out of the results.
    module.no_log_values = header_secrets(module.params['upstreams'])
    result = _registries_work.run(module.params, module.check_mode, hosts, state)
    for sentence in result.pop('warnings'):
        module.warn(sentence)
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            'upstreams': {'type': 'dict', 'no_log': True},
            'owner': {'type': 'str', 'default': 'registry_access'},
            'directory': {'type': 'path'},
            'user': {'type': 'str'},
            'overwrite': {'type': 'bool', 'default': False},
            'state': {'type': 'str', 'choices': ['absent', 'present'], 'default': 'present'},
            'validate': {'type': 'str', 'choices': ['auto', 'never'], 'default': 'auto'},
        },
        required_if=[('state', 'present', ('upstreams',))],
        supports_check_mode=True,
    )
    try:
        result = run(module, Hosts(), State())
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == '__main__':
    main()
