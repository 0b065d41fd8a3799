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

import contextlib
import dataclasses
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _containerd_registry, _hosts_toml, _io, _owned_files
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_config import lines_that_differ
from ansible_collections.quickpull.registry.plugins.module_utils._engines import containerd, docker
from ansible_collections.quickpull.registry.plugins.module_utils._engines.containerd import Containerd
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._hosts_toml import CONTAINERD, DIRECTORIES
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, header_secrets
from ansible_collections.quickpull.registry.plugins.module_utils._plan import Plan, as_dict
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


@dataclasses.dataclass(frozen=True)
class Hosts:
    """The ways to reach the host's engines. Tests put their own in their place."""

    containerd: containerd.Host = dataclasses.field(default_factory=containerd.Host)
    docker: docker.Host = dataclasses.field(default_factory=docker.Host)


@dataclasses.dataclass(frozen=True)
class Target:
    """One upstream's file, and the mirrors in it; none for a file that is to be gone."""

    upstream: str
    path: str
    mirrors: t.Sequence[Mirror] = ()


@dataclasses.dataclass(frozen=True)
class Work:
    """What is to be done. ``config`` is None where config.toml is not this run's business, with ``because`` as the reason."""

    directory: str
    kind: str
    targets: t.Sequence[Target]
    files: _owned_files.Plan
    config: _containerd_registry.Change | None = None
    because: str = ''

    @property
    def changed(self) -> bool:
        return bool(self.files.changes) or bool(self.config and self.config.changed)


def check_options(params: t.Mapping[str, t.Any]) -> None:
    """Refuse what would make a file that no engine reads. Raises ConfigError."""
    directory, seconds = params['directory'], params['dial_timeout']
    if directory is not None and (not os.path.isabs(directory) or ':' in directory or not directory.isprintable()):
        raise ConfigError(f'directory: {directory!r} is no absolute path without a colon, and config_path takes no other.', key='directory')
    if not 0 <= seconds <= 3600:
        raise ConfigError(f'dial_timeout: {seconds:g} is not between 0 and 3600 seconds.', key='dial_timeout')


def targets_of(params: t.Mapping[str, t.Any], record: _owned_files.Record, directory: str) -> list[Target]:
    """The files that this run is about. What is to be gone may also lie in a directory of an earlier run."""
    given = _hosts_toml.parse_upstreams((params['upstreams'] if params['state'] == 'present' else None) or {})
    named = [Target(name, _hosts_toml.path_of(directory, name), _hosts_toml.without_self(name, mirrors)) for name, mirrors in given.items()]
    gone = {one.upstream for one in named if not one.mirrors}
    paths = {one.path for one in named}
    # The record is shared with docker_certs.
    written = [path for path, entry in record.items() if entry.owner == params['owner'] and os.path.basename(path) == _hosts_toml.FILE_NAME]
    ours = [Target(os.path.basename(os.path.dirname(path)), path) for path in written if path not in paths]
    return named + [one for one in ours if one.upstream in gone or not given]


def plan_work(params: t.Mapping[str, t.Any], state: State, found: Containerd | None, hosts: Hosts) -> Work:
    """Compare the host with what is wanted."""
    engine, owner = params['engine'], params['owner']
    default = DIRECTORIES[engine]
    directory = os.path.normpath(params['directory'] or (_containerd_registry.directory_of(found, default) if found else default))
    kind = f'hosts-toml-{engine}'
    record = _owned_files.load(state, kind)
    targets = targets_of(params, record, directory)
    knows = found is not None and (found.version_tuple or ()) >= _hosts_toml.DIAL_TIMEOUT_SINCE
    contents = {
        one.path: _hosts_toml.render(
            one.upstream,
            one.mirrors,
            dial_timeout=params['dial_timeout'] if knows else 0,
            theirs=_hosts_toml.their_certificates(directory, one.upstream),
        )
        for one in targets
    }
    files = _owned_files.plan(record, owner, contents, overwrite=params['overwrite'])
    work = Work(directory, kind, targets, files)
    if found is None or not found.installed or not params['set_config_path']:
        return work
    needed = any(entry.owner == owner for entry in files.record.values())
    try:
        because = _containerd_registry.why_not(found, directory, _containerd_registry.load(state).ours) if needed else ''
        if because:
            return dataclasses.replace(work, because=because)
        if needed:
            return dataclasses.replace(work, config=_containerd_registry.plan_present(state, owner, found, directory, hosts.containerd))
        return dataclasses.replace(work, config=_containerd_registry.plan_absent(state, owner, found, hosts.containerd))
    except ConfigError as exc:
        # What is wrong with config.toml keeps no hosts.toml from coming or going: ctr and nerdctl read those without it.
        return dataclasses.replace(work, because=str(exc))


def write(work: Work, state: State) -> None:
    """The files first: a config_path without files is harmless, and so are files that nobody looks for."""
    _owned_files.apply(state, work.kind, work.files)
    if work.config:
        _containerd_registry.write(state, work.config)


def plan_after(work: Work, found: Containerd | None, check_mode: bool, state: State, hosts: Hosts) -> Plan:
    """What the running containerd needs once the work is done."""
    if found is None or not work.config or work.config.after is None:
        return Plan()
    if not work.config.changed:
        return _containerd_registry.make_plan(found, work.directory, _containerd_registry.load(state))
    if not check_mode:
        found = containerd.inspect(hosts.containerd)
        return _containerd_registry.make_plan(found, work.directory, work.config.record)
    return _containerd_registry.predicted_plan(found, work.directory) if work.config.record.ours else Plan()


def warnings_for(work: Work, params: t.Mapping[str, t.Any], found: Containerd | None, hosts: Hosts) -> list[str]:
    """Sentences that an operator should read."""
    told = [work.because] if work.because else []
    if not any(one.mirrors for one in work.targets):
        return told
    if found is not None and not found.installed:
        told.append('There is no containerd on this host that would read these files.')
    told += [
        f'None of the mirrors of {one.upstream} may say which image a tag means (trust: content), so tags are asked of {one.upstream} itself, '
        'which has to be reachable for that.'
        for one in work.targets
        if one.mirrors and not _hosts_toml.resolves(one.mirrors)
    ]
    default = os.path.join(work.directory, '_default', _hosts_toml.FILE_NAME)
    new = sorted(os.path.basename(os.path.dirname(change.path)) for change in work.files.changes if not change.before.exists)
    if new and os.path.exists(default):
        told.append(f'{default} no longer counts for {", ".join(new)}, which have files of their own now.')
    if found is not None and work.config and work.config.changed and _containerd_registry.list_unread(found):
        told.append(
            f'config_path was a list of directories, of which containerd {found.version} reads nothing when it pulls for the CRI (containerd#12808). It is '
            f'{work.directory} alone now.'
        )
    known = _containerd_registry.looked_in(found) if found else []
    hidden = {one.upstream: _hosts_toml.shadow(known or [work.directory], work.directory, one.upstream) for one in work.targets if one.mirrors}
    told += [f'{path} comes before the file of {name}, so containerd does not look at that. Move it away.' for name, path in hidden.items() if path]
    strangers = sorted({mirror.url for one in work.targets for mirror in one.mirrors if mirror.third_party})
    if strangers and found is not None and {'kubelet', 'crictl'} & set(found.used_by):
        told.append(
            f'A pull secret that a pod gives for an image is handed to the mirrors that serve it, also to those of third parties: {", ".join(strangers)}. '
            'Leave them out where pods have pull secrets for these registries.'
        )
    if params['engine'] == 'docker':
        reason = _hosts_toml.docker_reads_not(docker.inspect(with_containers=False, with_logins=False, host=hosts.docker))
        told += [reason] if reason else []
    return told


def run(module: AnsibleModule, state: State, hosts: Hosts) -> dict[str, t.Any]:
    """Look, compare, write."""
    params = module.params
    # With no_log the call is kept out of the system log. From here on only what is secret is cut out of the results.
    module.no_log_values = header_secrets(params['upstreams'])
    check_options(params)
    with contextlib.nullcontext() if module.check_mode else _io.locked(state):
        found = containerd.inspect(hosts.containerd) if params['engine'] == CONTAINERD else None
        work = plan_work(params, state, found, hosts)
        if not module.check_mode:
            write(work, state)
    for sentence in warnings_for(work, params, found, hosts):
        module.warn(sentence)
    return report(work, found, plan_after(work, found, module.check_mode, state, hosts))


def report(work: Work, found: Containerd | None, plan: Plan) -> dict[str, t.Any]:
    """The results."""
    changed = {change.path for change in work.files.changes}
    left = {one.path for one in work.files.left}
    texts = [(change.path, *map(_hosts_toml.shown, change.texts())) for change in work.files.changes]
    config: dict[str, t.Any] = {}
    if found and (work.config or work.because):
        path = work.config.file.path if work.config else found.config_path
        config = {'path': path, 'changed': bool(work.config and work.config.changed), 'because': work.because}
    if work.config and work.config.changed:
        texts.append((work.config.file.path, *lines_that_differ(work.config.before or '', work.config.after or '')))
    return {
        'changed': work.changed,
        'directory': work.directory,
        'files': [
            {'upstream': one.upstream, 'path': one.path, 'mirrors': [mirror.url for mirror in one.mirrors], 'changed': one.path in changed}
            for one in work.targets
            if one.path not in left
        ],
        'left_out': [one.because for one in work.files.left],
        'tags_from_upstream': [one.upstream for one in work.targets if one.mirrors and not _hosts_toml.resolves(one.mirrors)],
        'config': config,
        'plan': as_dict(plan),
        'diff': [{'before_header': path, 'after_header': path, 'before': before, 'after': after} for path, before, after in texts],
    }


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
