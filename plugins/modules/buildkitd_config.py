#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: buildkitd_config
short_description: Give BuildKit's own builders mirrors of registries
version_added: 0.1.0
description:
  - Builders of C(docker buildx) with the driver C(docker-container) run a BuildKit of their own, which looks at no C(daemon.json). What they pull through
    stands in a C(buildkitd.toml) that they are given when they are made. This module writes the one that each new builder of a user is given by default.
  - A builder that was made before keeps what it was given. RV(builders) names those, and they are warned of; nothing is done to them, because making one anew
    loses its cache.
  - The default builder of Docker, with the driver C(docker), is Docker itself and pulls through the mirrors of the daemon.
  - Ours is a block between two comments at the end of the file. What else is in the file stays byte for byte, and a table that somebody else wrote for one of
    the registries is left alone and reported in RV(left_out).
  - The file was tried with C(docker buildx) 0.29, which reads it and hands it to a builder. No BuildKit was at hand that would have pulled by it; what it
    makes of the file is known from its sources.
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
  upstreams:
    description:
      - The mirrors of each registry, by the name that images carry, such as V(docker.io) or V(quay.io). A mirror is a URL, or a dictionary with C(url) and,
        where needed, C(ca_path), C(client_cert), C(client_key) (files that the user can read, or the mirror is left out), C(insecure), C(trust) and
        C(third_party).
      - A registry's part, such as V(quay.io/team), cannot have mirrors of its own here and is left out.
      - A mirror of C(trust=content) is left out and reported, because BuildKit lets each mirror say what a tag means. So is one with C(headers), and one
        below a path. Where a registry serves the mirror as a project, as Harbor does, write C(https://HOST/v2/PROJECT).
      - An upstream that is not named is left alone. An empty list takes away what this owner wrote for the upstream, an empty dictionary all that it wrote.
      - Required with O(state=present).
    type: dict
  user:
    description:
      - Whose builders. The file is written into this user's home and as this user. Left out, those of the user whom the task runs as.
    type: str
  path:
    description:
      - The file, as an absolute path, or from the home of the user on with C(~/). Left out, C(~/.docker/buildx/buildkitd.default.toml) of the user.
      - Give it where C(BUILDX_CONFIG) or C(DOCKER_CONFIG) leads the user's buildx elsewhere, or for a C(buildkitd.toml) that you hand to a builder yourself.
    type: str
  owner:
    description:
      - Whose block it is. Another owner has one of its own in the same file. Letters, digits, dots, dashes and underscores.
    type: str
    default: registry_access
  state:
    description: Whether the mirrors should be there. V(absent) takes away all that this owner wrote, and the directories of the file where they are then empty.
    type: str
    choices: [absent, present]
    default: present
seealso:
  - module: quickpull.registry.docker_daemon_config
  - name: Configure BuildKit
    description: Docker's own words on builders and their files.
    link: https://docs.docker.com/build/buildkit/configure/
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Give the builders of a user mirrors of two registries
  quickpull.registry.buildkitd_config:
    user: ci
    upstreams:
      docker.io: [http://cache.lan:5000]
      quay.io: [https://harbor.lan/v2/quay]
  become: true
  register: mirrors

- name: Name the builders that were made before, and pull by other mirrors
  ansible.builtin.debug:
    msg: "{{ mirrors.builders | rejectattr('current') | map(attribute='name') }}"

- name: Take away all that was written
  quickpull.registry.buildkitd_config:
    user: ci
    state: absent
  become: true
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
  sample: /home/ci/.docker/buildx/buildkitd.default.toml
user:
  description: Whose builders are given it.
  returned: success
  type: str
  sample: ci
files:
  description: The file once for each upstream that the run was about, in the form of RV(quickpull.registry.hosts_toml#module:files).
  returned: success
  type: list
  elements: dict
  sample:
    - upstream: docker.io
      path: /home/ci/.docker/buildx/buildkitd.default.toml
      mirrors: ["cache.lan:5000"]
      changed: true
left_out:
  description: What was left out, one sentence each.
  returned: success
  type: list
  elements: str
  sample: []
builders:
  description: The user's builders that run a BuildKit of their own, as far as they can be read.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The builder.
      returned: always
      type: str
      sample: fast
    current:
      description: Whether it was given the mirrors that are in the file now. If not, make it anew.
      returned: always
      type: bool
      sample: true
"""

import contextlib
import dataclasses
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _as_user, _buildkitd_toml, _buildx, _io, _users
from ansible_collections.quickpull.registry.plugins.module_utils._buildkitd_toml import Registries
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._hosts_toml import parse_upstreams, without_self
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import header_secrets
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


@dataclasses.dataclass(frozen=True)
class Task:
    """What is to be done. ``everything``: all of this owner's goes before ``asked`` comes. ``directories``: they go with the file where they are empty."""

    path: str
    owner: str
    asked: _buildkitd_toml.Translated
    everything: bool
    directories: t.Tuple[str, ...]
    write: bool


def without_unreadable(asked: _buildkitd_toml.Translated) -> _buildkitd_toml.Translated:
    """What was asked for, without the mirrors whose certificates this user cannot read: one of those, and buildx makes no builder at all."""
    unreadable = {}
    for host, settings in asked.registries.hosts.items():
        paths = [*settings.get('ca', ()), *(path for pair in settings.get('keypair', ()) for path in pair.values())]
        missing = next((path for path in paths if not os.access(path, os.R_OK)), None)
        if missing:
            unreadable[host] = f'{host} is left out: {missing} is not there, or this user may not read it.'
    mirrors = {
        name: [one for one in listed if one.partition('/')[0] not in unreadable] for name, listed in asked.registries.mirrors.items()
    }  # fmt: skip
    return _buildkitd_toml.Translated(Registries(mirrors, asked.registries.hosts), (*asked.left_out, *unreadable.values()))


def work(task: Task) -> dict[str, t.Any]:
    """Read, compare, write, as the user."""
    if os.geteuid() == 0:
        _as_user.check_hands(task.path)
    asked = without_unreadable(task.asked)
    before = _io.read_file(task.path)
    text = _io.text_of(before)
    parted = _buildkitd_toml.part(text, task.owner, task.path)
    theirs = _buildkitd_toml.tables_of(parted.before + parted.behind, task.path)
    _buildkitd_toml.check_room(parted.before + parted.behind, task.path)
    found = _buildkitd_toml.parse(_buildkitd_toml.tables_of(parted.block, task.path))
    ours = Registries() if task.everything else found
    fitting = _buildkitd_toml.beside(_buildkitd_toml.merged(ours, asked.registries), theirs, task.path)
    after = _buildkitd_toml.put_in(parted, task.owner, _buildkitd_toml.render(fitting.registries))
    tables = _buildkitd_toml.tables_of(after or '', task.path)
    if after != text and task.write:
        _put(task, before, after)
    concerned = found.mirrors if task.everything else asked.registries.mirrors
    told = {name: list(fitting.registries.mirrors.get(name, ())) for name in concerned if name not in theirs}
    return {
        'changed': after != text,
        'has_files': bool(fitting.registries.mirrors),
        'files': [{'upstream': name, 'path': task.path, 'mirrors': mirrors, 'changed': after != text} for name, mirrors in told.items()],
        'left_out': [*asked.left_out, *fitting.left_out],
        'builders': [dataclasses.asdict(one) for one in _buildx.builders(os.path.dirname(task.path), tables)],
        'diff': [{'before_header': task.path, 'after_header': task.path, 'before': mask_text(text or ''), 'after': mask_text(after or '')}],
    }


def _put(task: Task, before: _io.FileState, after: str | None) -> None:
    if after is not None:
        _io.make_dirs(os.path.dirname(task.path), 0o700)
        _io.write_atomic(task.path, after.encode(), like=_io.as_own(before), default_mode=0o644, expect=before)
        return
    _io.delete_file(task.path, expect=before)
    with contextlib.suppress(OSError):
        for one in task.directories:
            os.rmdir(one)


def path_of(given: str, who: _as_user.Account) -> str:
    """The file that was asked for. Raises ConfigError for a path that depends on where the task runs."""
    path = os.path.join(who.home, given[2:]) if given.startswith('~/') else given
    if not os.path.isabs(path):
        raise ConfigError(f'path: {given!r} is neither absolute nor begins with ~/.', key='path')
    return path


def run(module: AnsibleModule, state: State) -> dict[str, t.Any]:
    """Understand, and have it done by a process that is the user."""
    params = module.params
    # With no_log the call is kept out of the system log. From here on only what is secret is cut out of the results.
    module.no_log_values = header_secrets(params['upstreams'])
    raw = (params['upstreams'] if params['state'] == 'present' else None) or {}
    parts = [str(name) for name in raw if '/' in str(name)]
    given = parse_upstreams({name: mirrors for name, mirrors in raw.items() if name not in parts})
    who = _as_user.account(params['user'])
    directory = os.path.join(who.home, _buildx.DIRECTORY)
    task = Task(
        path=path_of(params['path'], who) if params['path'] else os.path.join(directory, _buildx.DEFAULT_FILE),
        owner=params['owner'],
        asked=_buildkitd_toml.translate({name: without_self(name, mirrors) for name, mirrors in given.items()}),
        everything=not raw,
        directories=() if params['path'] else (directory, os.path.dirname(directory)),
        write=not module.check_mode,
    )
    # For the journal; a user without root may not have the lock, nor keep one.
    with _io.locked(state) if task.write and os.geteuid() == 0 else contextlib.nullcontext():
        result: dict[str, t.Any] = _as_user.run_as(who, lambda: work(task))
    result['left_out'] += [f'{name} is a part of a registry, and BuildKit has mirrors of whole ones alone; it is left out.' for name in parts]
    for sentence in result['left_out']:
        module.warn(sentence)
    has_files = result.pop('has_files')
    if not module.check_mode and not params['path']:
        _users.remember(state, _users.BUILDKIT, who.name, has_files)
    for one in result['builders']:
        if not one['current'] and params['state'] == 'present':
            module.warn(
                f'The builder {one["name"]} of {who.name} was made with other mirrors than {task.path} has, and keeps those until it is made anew '
                f'(docker buildx rm {one["name"]}; docker buildx create --name {one["name"]} ...).'
            )
    return {**result, 'path': task.path, 'user': who.name}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            'upstreams': {'type': 'dict', 'no_log': True},
            'user': {'type': 'str'},
            'path': {'type': 'str'},
            'owner': {'type': 'str', 'default': 'registry_access'},
            'state': {'type': 'str', 'choices': ['absent', 'present'], 'default': 'present'},
        },
        required_if=[('state', 'present', ('upstreams',))],
        supports_check_mode=True,
    )
    try:
        result = run(module, State())
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == '__main__':
    main()
