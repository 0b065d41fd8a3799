#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: registry_rollback
short_description: Put back the files that a run of this collection changed on a host
version_added: 0.1.0
description:
  - Puts back what was there before a run, such as yesterday's C(site.yml), in every file that the run changed. That is content, mode and owner; what the
    run made goes, with its directories, and what it removed comes back.
  - The modules of this collection keep a journal of what they change, below C(/var/lib/quickpull.registry/journal), readable by root alone since it holds
    former contents. The last ten runs are kept, and what a host's own refresh changed since; refreshes with no other run in between are one run, which
    began with the first of them. A run of the role R(quickpull.registry.registry_access, ansible_collections.quickpull.registry.registry_access_role), also
    one that takes all away, is one run on all of its hosts. Each module that is used without the role is a run of its own, unless
    C(QUICKPULL_REGISTRY_RUN) in the task's C(environment) gives several of them one name. With V(none) there, no journal is kept, and neither is one by a
    module that does not run as root.
  - A run is taken back together with all that came after it on the host, since that was built upon it.
  - A file is put back where it still holds what the run wrote. What somebody else edited since survives and is listed in RV(left). From a JSON file, such as
    C(daemon.json) or C(config.json), only what the run changed is taken out then, key by key. Any other file that was edited is left as it is.
  - The records of what belongs to this collection are put back with the files, so that a later run of the role, also one that takes its traces away, works
    as it would have before.
  - Nothing is reloaded or restarted here. RV(engines) tells what each engine needs, for M(quickpull.registry.docker_daemon_apply) and
    M(quickpull.registry.engine_apply). Until Docker has forgotten a setting that a reload would keep, its key stays in C(daemon.json) with an empty value.
  - The playbook C(quickpull.registry.rollback) does all of that on all hosts.
  - Logins that a credential helper keeps are not in a file and are not put back. Neither are pull-through caches, which have
    a role of their own.
extends_documentation_fragment:
  - quickpull.registry.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Passwords are masked. Of files that only their owner may read, and that are no C(daemon.json) or logins, it says alone that they change.
      - The program of M(quickpull.registry.registry_mirror_refresh) is told in one line.
  idempotent:
    support: full
    details:
      - Taking the same run back again changes nothing, and does not go further back.
options:
  run:
    description:
      - The id of the first run to take back, as RV(runs) tells it. All that came after it on the host is taken back with it. Where the run was taken
        back before, what came since is left alone.
      - On a host that does not remember such a run nothing is done.
    type: str
  since:
    description:
      - A moment in UTC, such as V(2026-11-29T01:30:00Z). All runs that began then or later are taken back.
    type: str
  count:
    description:
      - How many runs to take back, counted from the last one, those included that were taken back before.
      - Without any of O(run), O(since) and O(count), it is one. With V(0) nothing is taken back, and RV(runs) is all that is of interest.
    type: int
seealso:
  - module: quickpull.registry.docker_daemon_apply
  - module: quickpull.registry.engine_apply
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: See which runs this host remembers
  quickpull.registry.registry_rollback:
    count: 0
  become: true
  register: remembered

- name: Put back what was there before the last run
  quickpull.registry.registry_rollback:
  become: true
  register: rolled_back

- name: Let Docker use it
  quickpull.registry.docker_daemon_apply:
  become: true
  environment:
    QUICKPULL_REGISTRY_RUN: none
  when: "'docker' in rolled_back.engines"

- name: Put back what was there before half past one
  quickpull.registry.registry_rollback:
    since: "2026-11-29T01:30:00Z"
  become: true
"""

RETURN = r"""
rolled_back:
  description: Ids of the runs that are taken back, the newest first. Empty where there is nothing to take back.
  returned: success
  type: list
  elements: str
  sample: [20261129T013000.123456Z-site]
stays:
  description:
    - Ids of later runs that are not taken back, the newest first, since O(run) names one that was taken back before. What they wrote stays.
    - To go further back, name one of them, or an earlier one of RV(runs).
  returned: success
  type: list
  elements: str
  sample: []
put_back:
  description: The files that were put back, or would be in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      returned: success
      type: str
      sample: /etc/docker/daemon.json
    action:
      description: V(restored) to what it was, V(removed) since there was none, or V(merged), where what was ours went and edits of others stay.
      returned: success
      type: str
      sample: restored
left:
  description: What others edited since, and what stays because of it.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file or directory.
      returned: success
      type: str
      sample: /etc/containerd/certs.d/quay.io/hosts.toml
    because:
      description: Why, in a sentence.
      returned: success
      type: str
      sample: /etc/containerd/certs.d/quay.io/hosts.toml was edited by somebody else since, and is left as it is.
engines:
  description:
    - What each engine whose files changed needs now, by its name, in the form of RV(quickpull.registry.docker_daemon_config#module:plan).
  returned: success
  type: dict
  sample: {docker: {action: reload, reload_keys: [registry-mirrors]}}
runs:
  description: The runs that the host remembered before, the newest first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Its id. Runs of the role end in C(-site), or where they take all away in C(-remove); those of a module alone end in C(-alone).
      returned: success
      type: str
      sample: 20261129T013000.123456Z-site
    began:
      description: When it began, in UTC. Empty for an id that does not tell.
      returned: success
      type: str
      sample: "2026-11-29T01:30:00Z"
    files:
      description: How many files it changed here.
      returned: success
      type: int
      sample: 4
    rolled_back:
      description: Whether it was taken back already.
      returned: success
      type: bool
      sample: false
"""

import contextlib
import re
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _io, _journal, _refresh_units, _rollback, _rollback_engines
from ansible_collections.quickpull.registry.plugins.module_utils._docker_host import DockerHost
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._rollback_engines import DaemonJson, Hosts
from ansible_collections.quickpull.registry.plugins.module_utils._rollback_report import diffs_of
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

_MOMENT = re.compile(r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$')


def chosen_runs(params: t.Mapping[str, t.Any], state: State) -> list[_journal.Run]:
    """The runs that were asked for, the newest first. Raises ConfigError."""
    if params['since'] and not _MOMENT.match(params['since']):
        raise ConfigError(f'since: {params["since"]!r} is no moment in UTC; write it as 2026-11-29T01:30:00Z.', key='since')
    count = 1 if params['count'] is None else params['count']
    if count < 0:
        raise ConfigError('count: a number of runs, 0 or more.', key='count')
    return _rollback.choose(_journal.runs(state), run=params['run'] or '', since=params['since'] or '', count=count)


def daemon_jsons(state: State, planned: _rollback.Plan, concerned: _rollback_engines.Concerned, hosts: Hosts) -> list[DaemonJson]:
    """daemon.json with what a running dockerd has to be told to forget. Raises ConfigError."""
    records = {item.path: item for item in planned.records}
    found = []
    for item in concerned.daemon_json:
        if item.stays or (item.left and not item.changed):
            continue
        record = records.get(_rollback_engines.record_path(state, item.path))
        found.append(_rollback_engines.daemon_json(state, item, record.target if record else None, hosts.docker))
    return found


def write(state: State, planned: _rollback.Plan, concerned: _rollback_engines.Concerned, special: t.Sequence[DaemonJson], hosts: Hosts) -> None:
    """Write all of it. Raises ConfigError."""
    _rollback_engines.put_aside(state, concerned, hosts)
    for one in special:
        # What holds somebody's edits is never counted as ours: taking it back once more would take those away.
        if one.item.changed and one.item.target.kind == _journal.FILE and not one.item.left:
            _journal.also_wrote(planned.runs, one.item.path, one.item.target)
        _rollback_engines.write_daemon_json(state, one)
    apart = {one.item.path for one in special} | {_rollback_engines.record_path(state, one.item.path) for one in special}
    of_refresh = [item for item in planned.files if item.changed and _refresh_units.is_ours(item.path)]
    units = _refresh_units.Host()
    metrics = _refresh_units.before_files_go(units, [item.path for item in of_refresh if item.target.kind == _journal.NOTHING])
    _rollback.write([item for item in (*planned.files, *planned.records) if item.path not in apart])
    if of_refresh:
        _refresh_units.after_files_came(units, metrics)
    for run in planned.runs:
        if not run.undone:
            _journal.mark_undone(run)


def run(module: AnsibleModule, state: State, hosts: Hosts, docker_host: DockerHost) -> dict[str, t.Any]:
    """Look, compare, write, and ask the engines."""
    with contextlib.nullcontext() if module.check_mode or module.params['count'] == 0 else _io.locked(state, journal=False):
        known = _rollback.known_runs(state)
        chosen = chosen_runs(module.params, state)
        stays = _rollback.later(_journal.runs(state), chosen)
        planned = _rollback.plan(chosen, stays)
        concerned = _rollback_engines.sort_out(state, planned)
        special = daemon_jsons(state, planned, concerned, hosts)
        by_path = {one.item.path: one.item for one in special}
        items = [by_path.get(item.path, item) for item in planned.files]
        apart = {_rollback_engines.record_path(state, path) for path in by_path}
        waiting = [one.item.path for one in special if one.item.target.kind == _journal.FILE]
        sure = [*items, *(one for one in planned.records if one.path not in apart)]
        changed = any(item.changed and (is_file(item) or not any(path.startswith(item.path + '/') for path in waiting)) for item in sure)
        left = [{'path': item.path, 'because': item.left} for item in planned.files if item.left]
        if module.check_mode or not planned.runs:
            engines = _rollback_engines.foreseen(state, concerned, special, hosts) if planned.runs else {}
        else:
            write(state, planned, concerned, special, hosts)
            engines = _rollback_engines.plans(state, concerned, hosts, docker_host)
    return {
        'changed': changed,
        'rolled_back': list(dict.fromkeys(one.id for one in planned.runs)),
        'stays': list(dict.fromkeys(one.id for one in stays)),
        'put_back': [{'path': item.path, 'action': action_of(item)} for item in planned.files if is_file(item) and by_path.get(item.path, item).changed],
        'left': left,
        'engines': engines,
        'runs': known,
        'diff': diffs_of([item for item in items if item.changed and is_file(item)], by_path),
    }


def is_file(item: _rollback.Item) -> bool:
    return _journal.DIRECTORY not in (item.now.kind, item.target.kind)


def action_of(item: _rollback.Item) -> str:
    """What is done with a file, in a word."""
    if item.left:
        return 'merged'
    return 'removed' if item.target.kind == _journal.NOTHING else 'restored'


def main() -> None:
    module = AnsibleModule(
        argument_spec={'run': {'type': 'str'}, 'since': {'type': 'str'}, 'count': {'type': 'int'}},
        mutually_exclusive=[('run', 'since', 'count')],
        supports_check_mode=True,
    )
    try:
        result = run(module, State(), Hosts(), DockerHost())
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == '__main__':
    main()
