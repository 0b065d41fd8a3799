#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: registry_mirror_refresh
short_description: Let a host choose its registry mirrors again and again by itself
version_added: 0.1.0
description:
  - Puts a program on the host that probes the mirrors by a systemd timer, chooses among them, and gives the choice to every engine, without a controller. The
    program is the code of this collection itself, as plain files in C(/usr/local/lib/quickpull.registry), and needs the host's Python alone.
  - It reloads, and never restarts anything. What takes a restart waits and is told. K3s, RKE2 and BuildKit's builders keep what the last run of the role
    gave them, since they read it when they start.
  - A mirror in use that fails is asked a second time, and then passed over at once. Any other change waits until several probes in a row want it, and a
    mirror that failed has to serve several times in a row before it is taken again. Mirrors that go on failing are asked less and less often.
  - When no mirror serves at all, nothing changes. That is what a network that is down looks like.
  - What it saw and did stands in the journal (C(journalctl -u registry_access_refresh)) and, as JSON, in
    C(/var/lib/quickpull.registry/refresh/report.json).
  - The role C(quickpull.registry.registry_access) uses this module with all that it knows of the host (C(registry_access_refresh)). By itself the
    module is of use where hosts are configured in another way.
extends_documentation_fragment:
  - quickpull.registry.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Of the program only the names of its files are shown, and of the settings that they change, since they may hold secrets.
  idempotent:
    support: full
options:
  settings:
    description:
      - What the refresh goes by. It is written to C(/etc/quickpull.registry/refresh.json), which root alone may read.
      - Required with O(state=present).
    type: dict
    suboptions:
      mirrors:
        description:
          - The candidates, by the upstream that they serve. A mirror is a URL or a dictionary, as M(quickpull.registry.registry_mirror_probe) takes it.
        type: dict
        required: true
      own:
        description: Those of the mirrors that are caches of one's own, by upstream. They come before all others that serve.
        type: dict
        default: {}
      engines:
        description: V(auto) for every engine that is found, or a list of V(docker), V(containerd), V(podman) and V(crio).
        type: raw
        default: auto
      interval:
        description: From one refresh to the next at the longest, in seconds, or with a unit, such as V(10m) or V(1h). At least V(30s).
        type: str
        default: 10m
      owner:
        description: In whose name mirrors are written. Give the owner of the tasks that wrote them first, or they count as somebody else's.
        type: str
        default: registry_access
      asking:
        description:
          - How mirrors are probed. A dictionary with C(images), C(depth), C(deadline), C(proxies), C(ca_path), C(expected_digests), C(stale_after),
            C(check_upstream) and C(allow_lapsed), which are options of M(quickpull.registry.registry_mirror_probe) (C(proxies) is its C(proxy)).
          - Images are named with their registry, such as V(quay.io/team/app:tag); without one they are Docker Hub's. Mirrors of a registry of which no image
            is named are asked only whether they answer.
        type: dict
        default: {}
      policy:
        description: The rules of the choice, as P(quickpull.registry.select_mirrors#filter) takes them.
        type: dict
        default: {}
      query:
        description:
          - A JMESPath expression that narrows or orders the results of the probe, as P(quickpull.registry.select_mirrors#filter) takes it. The host then
            needs jmespath (the package C(python3-jmespath)).
        type: str
        default: ''
      steadiness:
        description:
          - How hard it is to change a choice, in numbers of probes. C(proven) (3) is how often in a row a mirror that failed has to serve before it is taken
            again, C(wanted) (3) how often in a row a change that no failure asks for has to be wanted, C(longest_pause) (16) how many probes a mirror that
            goes on failing is left out of at the most.
        type: dict
        default: {}
      ask:
        description:
          - URLs of other hosts that offer what they found (O(offer)), such as V(http://cache.lan:8377). The first that has asked the same of the same
            mirrors, not longer ago than one and a half intervals, is believed, and this host asks no mirror itself. Otherwise it does.
        type: list
        elements: str
        default: []
      metrics_path:
        description:
          - A file for node_exporter's textfile collector, such as V(/var/lib/prometheus/node-exporter/quickpull_registry.prom). It is not written when empty.
          - The name has to end with C(.prom), and the file cannot lie below C(/tmp), C(/var/tmp), C(/usr) or C(/boot), nor below C(/home), C(/root) or
            C(/run/user) without O(settings.podman_users), since the unit keeps the refresh out of there.
        type: str
        default: ''
      leak_policy:
        description: O(quickpull.registry.docker_daemon_config#module:mirror_login_leak).
        type: str
        choices: [allow, drop, fail]
        default: drop
      hub_login:
        description: O(quickpull.registry.docker_daemon_config#module:hub_login).
        type: bool
        default: false
      exclusive:
        description: O(quickpull.registry.docker_daemon_config#module:exclusive).
        type: bool
        default: false
      overwrite:
        description: O(quickpull.registry.hosts_toml#module:overwrite), for all engines whose mirrors are files for each upstream.
        type: bool
        default: false
      validate:
        description: O(quickpull.registry.docker_daemon_config#module:validate), and that of M(quickpull.registry.registries_conf).
        type: str
        choices: [always, auto, never]
        default: auto
      backup:
        description: O(quickpull.registry.docker_daemon_config#module:backup).
        type: bool
        default: true
      podman_users:
        description: Users who are given files of their own, see O(quickpull.registry.registries_conf#module:user).
        type: list
        elements: str
        default: []
      apply_timeout:
        description: Seconds that a reload may take to show.
        type: float
        default: 60
  jitter:
    description:
      - By how many seconds a refresh may come earlier than O(settings.interval) says, by chance, so that the hosts of a fleet do not all ask at once. At most
        half of the interval.
      - Left out, a fifth of the interval.
    type: float
  offer:
    description:
      - Where this host shows others what it found, as V(PORT) or V(ADDRESS:PORT). A small service of its own then listens there, by HTTP, to
        anybody. It tells URLs of mirrors and how they did, and no secrets.
      - When empty, nothing listens.
    type: str
    default: ''
  chosen:
    description:
      - The host's own choice that the tasks before this one went by, as C(refresh.chosen) of M(quickpull.registry.container_engine_info) told it;
        empty where they went by a probe.
      - Where the host has chosen otherwise meanwhile, those tasks have overtaken it, and its choice is not taken for what is wanted until its next refresh.
      - By default nothing is compared.
    type: dict
  owner:
    description: Who put the refresh there. Another owner neither changes nor removes it.
    type: str
    default: registry_access
  state:
    description: Whether the host is to choose by itself. V(absent) takes away the program, its units, its settings and what it remembered.
    type: str
    choices: [absent, present]
    default: present
seealso:
  - module: quickpull.registry.registry_mirror_probe
  - plugin: quickpull.registry.select_mirrors
    plugin_type: filter
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Let the host choose among three mirrors every ten minutes
  quickpull.registry.registry_mirror_refresh:
    settings:
      mirrors:
        docker.io:
          - http://cache.lan:5000
          - url: https://docker.m.daocloud.io
            third_party: true
          - https://mirror.example.com
      asking:
        images: [library/busybox:latest]
  become: true

- name: Believe what the cache of the site found, and write metrics
  quickpull.registry.registry_mirror_refresh:
    settings:
      mirrors:
        docker.io: [http://cache.lan:5000, https://mirror.example.com]
      ask: [http://cache.lan:8377]
      metrics_path: /var/lib/prometheus/node-exporter/quickpull_registry.prom
  become: true

- name: Choose by hand again
  quickpull.registry.registry_mirror_refresh:
    state: absent
  become: true
"""

RETURN = r"""
files:
  description: Files that changed, or would change in check mode.
  returned: success
  type: list
  elements: str
  sample: [/etc/quickpull.registry/refresh.json, /etc/systemd/system/registry_access_refresh.timer]
did:
  description: What was done about the units, or would be in check mode, one sentence each.
  returned: success
  type: list
  elements: str
  sample: [registry_access_refresh.timer is enabled and started.]
"""

import os
import sys
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.quickpull.registry.plugins.module_utils import _journal, _owned_files, _refresh_install, _refresh_report, _refresh_settings
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import header_secrets
from ansible_collections.quickpull.registry.plugins.module_utils._plain import plain
from ansible_collections.quickpull.registry.plugins.module_utils._probe_options import proxy_secrets
from ansible_collections.quickpull.registry.plugins.module_utils._refresh_units import DIRECTORY, program_diff
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


def secrets_of(settings: t.Mapping[str, t.Any] | None) -> set[str]:
    """What of the settings must not be shown."""
    asking = (settings or {}).get('asking') or {}
    proxies = asking.get('proxies') if isinstance(asking, dict) else None
    return header_secrets((settings or {}).get('mirrors')) | {one for one in proxy_secrets(proxies) if one}


def diff_of(change: _owned_files.Change) -> dict[str, str]:
    """Units as they are; of the settings only that they change."""
    before, after = change.texts()
    if change.path.endswith('.json'):
        before, after = '(not shown)\n' if before else '', '(not shown, changed)\n' if after else ''
    return {'before_header': change.path, 'after_header': change.path, 'before': before, 'after': after}


def diffs_of(changes: t.Sequence[_owned_files.Change], host: _refresh_install.Host) -> list[dict[str, str]]:
    """Of all files, the program in one."""
    program = [change for change in changes if change.path.startswith(host.path(DIRECTORY) + '/')]
    found = [diff_of(change) for change in changes if change not in program]
    if program:
        counts = sum(change.before.exists for change in program), sum(change.after is not None for change in program)
        found.insert(0, {'before_header': DIRECTORY, 'after_header': DIRECTORY, **program_diff(*counts)})
    return found


def wish_of(params: t.Mapping[str, t.Any], host: _refresh_install.Host) -> _refresh_install.Wish:
    """What the options ask for. Raises ConfigError."""
    if params['state'] == 'absent':
        return _refresh_install.Wish(params['owner'], None)
    settings = plain(params['settings'])
    jitter = params['jitter']
    if jitter is None:
        jitter = _refresh_settings.default_jitter(settings['interval'])
    return _refresh_install.Wish(params['owner'], settings, jitter, params['offer'], _refresh_install.interpreter(sys.executable, host))


def run(module: AnsibleModule, state: State, host: _refresh_install.Host) -> dict[str, t.Any]:
    """Check, and have it done."""
    # With no_log the call is kept out of the system log. From here on only what is secret is cut out of the results.
    module.no_log_values = secrets_of(module.params['settings'])
    wish = wish_of(module.params, host)
    if wish.settings is not None:
        _refresh_settings.parse(wish.settings)
    if wish.settings is not None and wish.settings['query'] and not _refresh_install.can_query(wish.python, host):
        module.fail_json(msg=missing_required_lib('jmespath', reason=f'for settings.query, by {wish.python}'))
    outcome = _refresh_install.install(wish, state, host, check_mode=module.check_mode)
    for sentence in _owned_files.edits(state, outcome.files):
        module.warn(sentence)
    if not module.check_mode:
        if wish.settings is not None and module.params['chosen'] is not None:
            _refresh_report.keep_choice(state, plain(module.params['chosen']))
        _journal.mark_ended(state, os.environ.get(_journal.ENVIRON, ''))
    return {
        'changed': outcome.changed,
        'files': sorted(change.path for change in outcome.files.changes),
        'did': list(outcome.did),
        'diff': diffs_of(outcome.files.changes, host),
    }


def main() -> None:
    settings = {
        'mirrors': {'type': 'dict', 'required': True},
        'own': {'type': 'dict', 'default': {}},
        'engines': {'type': 'raw', 'default': 'auto'},
        'interval': {'type': 'str', 'default': '10m'},
        'owner': {'type': 'str', 'default': 'registry_access'},
        'asking': {'type': 'dict', 'default': {}},
        'policy': {'type': 'dict', 'default': {}},
        'query': {'type': 'str', 'default': ''},
        'steadiness': {'type': 'dict', 'default': {}},
        'ask': {'type': 'list', 'elements': 'str', 'default': []},
        'metrics_path': {'type': 'str', 'default': ''},
        'leak_policy': {'type': 'str', 'choices': ['allow', 'drop', 'fail'], 'default': 'drop'},
        'hub_login': {'type': 'bool', 'default': False},
        'exclusive': {'type': 'bool', 'default': False},
        'overwrite': {'type': 'bool', 'default': False},
        'validate': {'type': 'str', 'choices': ['always', 'auto', 'never'], 'default': 'auto'},
        'backup': {'type': 'bool', 'default': True},
        'podman_users': {'type': 'list', 'elements': 'str', 'default': []},
        'apply_timeout': {'type': 'float', 'default': 60},
    }
    module = AnsibleModule(
        argument_spec={
            'settings': {'type': 'dict', 'options': settings, 'no_log': True},
            'jitter': {'type': 'float'},
            'offer': {'type': 'str', 'default': ''},
            'chosen': {'type': 'dict'},
            'owner': {'type': 'str', 'default': 'registry_access'},
            'state': {'type': 'str', 'choices': ['absent', 'present'], 'default': 'present'},
        },
        required_if=[('state', 'present', ('settings',))],
        supports_check_mode=True,
    )
    try:
        result = run(module, State(), _refresh_install.Host())
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == '__main__':
    main()
