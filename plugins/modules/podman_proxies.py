#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: podman_proxies
short_description: Give Podman its proxies
version_added: 0.1.0
description:
  - Writes C(HTTP_PROXY), C(HTTPS_PROXY) and C(NO_PROXY) into a drop-in in C(/etc/containers/containers.conf.d). Podman takes them into its environment at each
    command, unless whoever calls it has set them already.
  - Of the files that say anything of C(env) the last one counts alone. So the drop-in repeats what earlier files set, and a later file that would hide
    the proxies is reported in RV(conflicts), and the variables are left out. So are variables that another file sets to something else.
  - Podman also hands its proxies to containers, unless C(http_proxy) of C([containers]) in containers.conf is false. Skopeo does not read these files. It
    takes proxies from the environment of its caller alone.
  - A user's own C(~/.config/containers/containers.conf) with an C(env) hides these proxies from that user. This is not looked for.
extends_documentation_fragment:
  - quickpull.registry.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - User and password of a proxy are not shown, and neither are the values of other variables.
  idempotent:
    support: full
options:
  proxies:
    description:
      - The proxies. This is all that the drop-in sets by itself; what is left out here is taken out of it.
      - An empty dictionary takes the drop-in away.
      - Required with O(state=present).
    type: dict
    suboptions:
      http_proxy:
        description: Proxy for plain URLs, as C(http://[USER:PASSWORD@]HOST:PORT); C(https) and C(socks5) are possible too.
        type: str
      https_proxy:
        description: Proxy for URLs with TLS, in the same form.
        type: str
      no_proxy:
        description:
          - What is reached directly, as names, C(.domain) or C(*.domain), addresses and CIDRs.
        type: list
        elements: str
  expose_password:
    description:
      - Whether a proxy with a user or a password may be written. Every user of the host can then read it, because a drop-in that a user cannot read fails
        every Podman command of that user.
      - By default such a proxy is left out and reported in RV(conflicts). Give it to whoever pulls in the environment instead.
    type: bool
    default: false
  owner:
    description:
      - Who asks. What one owner wrote is neither changed nor taken away by another.
    type: str
    default: registry_access
  directory:
    description:
      - The folder of the drop-ins. The file C(containers.conf) is expected beside it.
    type: path
    default: /etc/containers/containers.conf.d
  state:
    description: Whether the drop-in should be there.
    type: str
    choices: [absent, present]
    default: present
seealso:
  - module: quickpull.registry.engine_proxy_dropin
  - module: quickpull.registry.registries_conf
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Let Podman pull through a proxy
  quickpull.registry.podman_proxies:
    proxies:
      https_proxy: http://proxy.lan:7890
      no_proxy: [localhost, 10.0.0.0/8, "*.cn"]
  become: true
  register: proxies

- name: Say what was left to other files
  ansible.builtin.debug:
    msg: "{{ proxies.conflicts | map(attribute='because') }}"

- name: Take it away again
  quickpull.registry.podman_proxies:
    state: absent
  become: true
"""

RETURN = r"""
path:
  description: The drop-in.
  returned: success
  type: str
  sample: /etc/containers/containers.conf.d/500-quickpull-proxies.conf
variables:
  description: The proxies that the drop-in sets now, user and password masked. Empty when it is not there.
  returned: success
  type: dict
  sample:
    HTTPS_PROXY: http://proxy.lan:7890
    NO_PROXY: localhost,10.0.0.0/8,*.cn
conflicts:
  description: Variables that were left out.
  returned: success
  type: list
  elements: dict
  contains:
    variable:
      description: Name of the variable.
      returned: always
      type: str
      sample: HTTPS_PROXY
    path:
      description: The file that is the reason; empty where none is.
      returned: always
      type: str
      sample: /etc/containers/containers.conf
    because:
      description: The reason as a sentence.
      returned: always
      type: str
      sample: /etc/containers/containers.conf sets HTTPS_PROXY for Podman to something else; it is left to that file.
"""

import contextlib
import dataclasses
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _dropin, _io, _owned_files, _podman_proxies
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._no_proxy import lint_no_proxy
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


def split(wanted: t.Mapping[str, str], expose_password: bool) -> tuple[dict[str, str], list[_dropin.Conflict]]:
    """What may be written for everybody to read, and what may not."""
    hidden = [name for name, value in wanted.items() if not expose_password and _dropin.has_secret({name: value})]
    because = (
        '{} has a user or a password, and Podman wants a file that every user can read; it is left out. Give it to whoever pulls in the environment, '
        'or allow it with expose_password.'
    )
    kept = {name: value for name, value in wanted.items() if name not in hidden}
    # Without a proxy there is nothing to be gone round.
    return {} if hidden and set(kept) <= {'NO_PROXY'} else kept, [_dropin.Conflict(name, '', because.format(name)) for name in hidden]


def others(directory: str, place: str, record: _owned_files.Record) -> list[_podman_proxies.Env]:
    """What other files say of ``env``."""
    found = []
    for path in _podman_proxies.files(directory):
        text = _io.read_text(path) or ''
        if path != place or not _owned_files.is_ours(text.encode(), record.get(path)):
            found.append(_podman_proxies.read_env(path, text))
    return [one for one in found if one is not None]


def diff_of(change: _owned_files.Change) -> dict[str, str]:
    """The variables before and after. A password that alone changed is told in a line of its own."""
    before, after = map(_podman_proxies.shown, change.texts())
    if before == after and before:
        after += '# A user, a password or a value of somebody else in it changes, which is not shown.\n'
    return {'before_header': change.path, 'after_header': change.path, 'before': before, 'after': after}


def run(module: AnsibleModule, state: State) -> dict[str, t.Any]:
    """Read, compute, compare, write."""
    params = module.params
    proxies = params['proxies'] or {} if params['state'] == 'present' else {}
    # With no_log the call is kept out of the system log. Once that is written, only what is secret is cut out of the results.
    module.no_log_values = set(_dropin.secrets((proxies.get('http_proxy'), proxies.get('https_proxy'))))
    asked = _dropin.wanted_variables(proxies.get('http_proxy'), proxies.get('https_proxy'), proxies.get('no_proxy'))
    wanted, conflicts = split(asked, params['expose_password'])
    directory = params['directory'].rstrip('/')
    place = os.path.join(directory, _podman_proxies.FILE_NAME)
    with contextlib.nullcontext() if module.check_mode else _io.locked(state):
        record = _owned_files.load(state, _podman_proxies.KIND)
        planned = _podman_proxies.plan(wanted, place, others(directory, place, record) if wanted else [])
        files = _owned_files.plan(record, params['owner'], {place: planned.content})
        if not module.check_mode:
            _owned_files.apply(state, _podman_proxies.KIND, files)
    conflicts += planned.conflicts
    told = [*(one.because for one in conflicts), *(one.because for one in files.left), *_owned_files.edits(state, files)]
    for sentence in [*told, *lint_no_proxy(proxies.get('no_proxy') or ())]:
        module.warn(sentence)
    return {
        'changed': bool(files.changes),
        'path': place,
        'variables': {} if files.left else _dropin.masked(planned.ours),
        'conflicts': [dataclasses.asdict(one) for one in conflicts],
        'diff': [diff_of(change) for change in files.changes],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            'proxies': {
                'type': 'dict',
                'no_log': True,
                'options': {
                    'http_proxy': {'type': 'str'},
                    'https_proxy': {'type': 'str'},
                    'no_proxy': {'type': 'list', 'elements': 'str'},
                },
            },
            'expose_password': {'type': 'bool', 'default': False, 'no_log': False},
            'owner': {'type': 'str', 'default': 'registry_access'},
            'directory': {'type': 'path', 'default': _podman_proxies.DIRECTORY},
            'state': {'type': 'str', 'choices': ['absent', 'present'], 'default': 'present'},
        },
        required_if=[('state', 'present', ('proxies',))],
        supports_check_mode=True,
    )
    try:
        result = run(module, State())
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == '__main__':
    main()
