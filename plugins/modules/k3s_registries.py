#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_registries
short_description: Give K3s or RKE2 mirrors of registries
version_added: 0.1.0
description:
  - Writes C(registries.yaml) with the mirrors of each registry, in the order in which they are tried. The registry itself is asked last, as always.
  - K3s and RKE2 read the file when they start alone. That is not done here. RV(plan) says whether a restart is needed, also for what an earlier run wrote,
    and M(quickpull.registry.engine_apply) does it.
  - A file that somebody else wrote is left alone and reported, unless O(overwrite=true). It is not merged with, because hosts need not have a library
    that understands YAML. What is written is JSON below a comment, which YAML is as well.
  - The file was tried with a stand-in for K3s alone, which takes it as the sources of K3s say. No K3s and no RKE2 was at hand.
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
    description: Which of the two.
    type: str
    choices: [k3s, rke2]
    required: true
  upstreams:
    description:
      - The mirrors of each registry, by the name that images carry, such as V(docker.io) or V(quay.io). A mirror is a URL, or a dictionary with C(url) and,
        where needed, C(ca_path), C(client_cert), C(client_key) (paths on the host), C(insecure), C(trust) and C(third_party).
      - A mirror of C(trust=content), or with C(headers), cannot be had here, since K3s lets each endpoint say what a tag means and sends no headers. It is left
        out and reported.
      - An upstream that is not named is left alone. An empty list takes away what this owner wrote for the upstream, an empty dictionary all that it wrote.
      - Required with O(state=present).
    type: dict
  owner:
    description:
      - Whose file it is. Another owner neither changes it nor takes it away.
    type: str
    default: registry_access
  overwrite:
    description:
      - Whether a file that somebody else wrote may be replaced. It comes back when ours goes.
    type: bool
    default: false
  state:
    description: Whether the mirrors should be there. V(absent) takes away all that this owner wrote.
    type: str
    choices: [absent, present]
    default: present
seealso:
  - module: quickpull.registry.engine_apply
  - module: quickpull.registry.hosts_toml
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Give K3s mirrors of two registries
  quickpull.registry.k3s_registries:
    engine: k3s
    upstreams:
      docker.io: [http://cache.lan:5000]
      quay.io: [https://harbor.lan/v2/quay]
  become: true
  register: mirrors

- name: Restart it in a maintenance window
  quickpull.registry.engine_apply:
    engine: k3s
    planned: "{{ mirrors.plan }}"
    restart: always
  become: true
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
  sample: /etc/rancher/k3s/registries.yaml
files:
  description: The file once for each upstream that the run was about, in the form of RV(quickpull.registry.hosts_toml#module:files).
  returned: success
  type: list
  elements: dict
  sample:
    - upstream: docker.io
      path: /etc/rancher/k3s/registries.yaml
      mirrors: ["http://cache.lan:5000"]
      changed: true
left_out:
  description: What was left out, one sentence each, whether a mirror that cannot be had or the whole file.
  returned: success
  type: list
  elements: str
  sample: []
plan:
  description: What the running service needs, in the form of RV(quickpull.registry.docker_daemon_config#module:plan).
  returned: success
  type: dict
  sample:
    action: restart
    restart_keys: [registries.yaml]
    reasons: ["k3s reads registries.yaml when it starts alone."]
"""

import contextlib
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _io, _k3s_registries, _k3s_service, _owned_files
from ansible_collections.quickpull.registry.plugins.module_utils._engines import k3s
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._hosts_toml import parse_upstreams, without_self
from ansible_collections.quickpull.registry.plugins.module_utils._k3s_registries import Registries, Translated
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import header_secrets
from ansible_collections.quickpull.registry.plugins.module_utils._plan import as_dict
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


def wanted_of(params: t.Mapping[str, t.Any], record: _owned_files.Record, path: str) -> tuple[Translated, Registries]:
    """What was asked for, and what is then to be in the file. Raises ConfigError."""
    given = parse_upstreams((params['upstreams'] if params['state'] == 'present' else None) or {})
    asked = _k3s_registries.translate({name: without_self(name, mirrors) for name, mirrors in given.items()})
    entry = record.get(path)
    text = _io.read_text(path) or ''
    ours = entry is not None and entry.owner == params['owner'] and text.startswith(_owned_files.FIRST_LINE)
    before = _k3s_registries.parse_ours(text) if ours and given else Registries()
    return asked, _k3s_registries.merged(before, asked.registries)


def run(module: AnsibleModule, host: k3s.Host, state: State) -> dict[str, t.Any]:
    """Look, compare, write."""
    params = module.params
    # With no_log the call is kept out of the system log. From here on only what is secret is cut out of the results.
    module.no_log_values = header_secrets(params['upstreams'])
    found = k3s.inspect(params['engine'], host)
    path, kind = host.path(found.registries_path), f'registries-{found.name}'
    with contextlib.nullcontext() if module.check_mode else _io.locked(state):
        record = _owned_files.load(state, kind)
        asked, registries = wanted_of(params, record, path)
        files = _owned_files.plan(record, params['owner'], {path: _k3s_registries.render(registries)}, overwrite=params['overwrite'])
        if files.changes and not module.check_mode:
            _k3s_service.keep(state, found, host)
            _owned_files.apply(state, kind, files)
    changed = bool(files.changes)
    left_out = [*asked.left_out, *(left.because for left in files.left)]
    if registries.endpoints and not found.installed:
        left_out.append(f'There is no {found.name} on this host that would read this file.')
    for sentence in [*_owned_files.edits(state, files), *left_out]:
        module.warn(sentence)
    plan = _k3s_service.predicted_plan(found) if module.check_mode and changed else _k3s_service.plan(state, found)
    told = {} if files.left else asked.registries.endpoints
    return {
        'changed': changed,
        'path': path,
        'files': [{'upstream': name, 'path': path, 'mirrors': list(urls), 'changed': changed} for name, urls in told.items()],
        'left_out': left_out,
        'plan': as_dict(plan),
        'diff': [dict(zip(('before_header', 'after_header', 'before', 'after'), (path, path, *change.texts()))) for change in files.changes],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            'engine': {'type': 'str', 'choices': ['k3s', 'rke2'], 'required': True},
            'upstreams': {'type': 'dict', 'no_log': True},
            'owner': {'type': 'str', 'default': 'registry_access'},
            'overwrite': {'type': 'bool', 'default': False},
            'state': {'type': 'str', 'choices': ['absent', 'present'], 'default': 'present'},
        },
        required_if=[('state', 'present', ('upstreams',))],
        supports_check_mode=True,
    )
    try:
        result = run(module, k3s.Host(), State())
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == '__main__':
    main()
