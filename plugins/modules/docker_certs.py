#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: docker_certs
short_description: Give Docker the certificates of its registry-mirrors
version_added: 0.1.0
description:
  - Copies the authorities and client certificates of mirrors to where Docker looks for them, C(/etc/docker/certs.d/HOST:PORT). Without that, Docker passes
    over a mirror whose authority the host does not trust, and says nothing.
  - Docker reads them at each pull, so nothing has to be reloaded. The mirrors themselves are written by M(quickpull.registry.docker_daemon_config).
  - With the containerd image store Docker does not look there for its registry-mirrors. A warning says so. Give such mirrors to
    M(quickpull.registry.hosts_toml) with O(quickpull.registry.hosts_toml#module:engine=docker) then, as mirrors of V(docker.io).
  - Podman, Buildah and Skopeo look there as well, after C(/etc/containers/certs.d).
  - Where the host trusts the authority of a mirror already, nothing is needed.
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
  mirrors:
    description:
      - The mirrors that Docker has. Each is a URL, or a dictionary as M(quickpull.registry.docker_daemon_config) takes it, of which C(ca_path),
        C(client_cert) and C(client_key) count here. They are paths of PEM files on the host.
      - These are all that this O(owner) wants. What it wrote for a mirror that is not named any more is taken away; an empty list takes away all.
      - Required with O(state=present).
    type: list
    elements: raw
  owner:
    description:
      - Who asks. What one owner wrote is neither changed nor taken away by another.
    type: str
    default: registry_access
  directory:
    description:
      - Where the directories of the hosts are. Docker looks in no other place than the default.
    type: path
    default: /etc/docker/certs.d
  overwrite:
    description:
      - Whether a file that somebody else put there may be replaced. It comes back when ours goes. Otherwise all files of that mirror are left as they
        are, and it is told in RV(left_out). One that holds just the same is no obstacle, and stays when ours go.
    type: bool
    default: false
  state:
    description: Whether the certificates should be there.
    type: str
    choices: [absent, present]
    default: present
seealso:
  - module: quickpull.registry.docker_daemon_config
  - module: quickpull.registry.hosts_toml
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Give Docker the authority of a mirror, before the mirror is written
  quickpull.registry.docker_certs:
    mirrors:
      - url: https://cache.lan:5000
        ca_path: /etc/ssl/certs/ca-certificates.crt
  become: true
  register: certs

- name: Say what was left out
  ansible.builtin.debug:
    msg: "{{ certs.left_out | map(attribute='because') }}"

- name: Take all of it away
  quickpull.registry.docker_certs:
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
      sample: /etc/docker/certs.d/cache.lan:5000/ca.crt
    mirror:
      description: URL of the mirror that it is for; empty for one that goes.
      returned: always
      type: str
      sample: https://cache.lan:5000
    changed:
      description: Whether it was written or taken away.
      returned: always
      type: bool
      sample: true
left_out:
  description: Mirrors whose certificates were not written.
  returned: success
  type: list
  elements: dict
  contains:
    mirror:
      description: URL of the mirror.
      returned: always
      type: str
      sample: https://cache.lan:5000
    path:
      description: The file that is in the way.
      returned: always
      type: str
      sample: /etc/docker/certs.d/cache.lan:5000/ca.crt
    because:
      description: The reason as a sentence, and the way out.
      returned: always
      type: str
      sample: >-
        The certificates of https://cache.lan:5000 are left out: /etc/docker/certs.d/cache.lan:5000/ca.crt was not written by this collection and holds
        something else; move it away, or allow with overwrite.
"""

import contextlib
import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _certs_dir, _docker_certs, _io, _owned_files
from ansible_collections.quickpull.registry.plugins.module_utils._engines import docker
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import header_secrets, parse_mirrors, shown_url
from ansible_collections.quickpull.registry.plugins.module_utils._plain import plain
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


def run(module: AnsibleModule, state: State, host: docker.Host) -> dict[str, t.Any]:
    """Read, compare, write."""
    params = module.params
    # With no_log the call is kept out of the system log. From here on only what is secret is cut out of the results.
    module.no_log_values = header_secrets(params['mirrors'])
    mirrors = parse_mirrors(plain(params['mirrors'] or []), key='mirrors') if params['state'] == 'present' else []
    with contextlib.nullcontext() if module.check_mode else _io.locked(state):
        record = _owned_files.load(state, _docker_certs.KIND)
        wanted = _docker_certs.plan(record, params['owner'], params['directory'].rstrip('/'), mirrors, overwrite=params['overwrite'])
        if not module.check_mode:
            _owned_files.apply(state, _docker_certs.KIND, wanted.files)
    for sentence in [*(one.because for one in wanted.left_out), *(one.because for one in wanted.files.left), *_owned_files.edits(state, wanted.files)]:
        module.warn(sentence)
    concerned = [shown_url(mirror.url) for mirror in mirrors if _certs_dir.has_certs(mirror)]
    if concerned and _docker_certs.not_read(docker.inspect(with_containers=False, with_logins=False, host=host)):
        module.warn(
            f'With the containerd image store this Docker looks for no certificates of its registry-mirrors, and will pass over {", ".join(concerned)}; '
            'give them to hosts_toml with engine docker, as mirrors of docker.io, or put their authority into the trust of the host and restart Docker.'
        )
    changed = {change.path for change in wanted.files.changes}
    return {
        'changed': bool(changed),
        'files': [{'path': path, 'mirror': wanted.mirrors.get(path, ''), 'changed': path in changed} for path in sorted(changed | {*wanted.files.kept})],
        'left_out': [dataclasses.asdict(left) for left in wanted.left_out],
        'diff': [_certs_dir.diff_of(change) for change in wanted.files.changes],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            'mirrors': {'type': 'list', 'elements': 'raw', 'no_log': True},
            'owner': {'type': 'str', 'default': 'registry_access'},
            'directory': {'type': 'path', 'default': _docker_certs.DIRECTORY},
            'overwrite': {'type': 'bool', 'default': False},
            'state': {'type': 'str', 'choices': ['absent', 'present'], 'default': 'present'},
        },
        required_if=[('state', 'present', ('mirrors',))],
        supports_check_mode=True,
    )
    try:
        result = run(module, State(), docker.Host())
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == '__main__':
    main()
