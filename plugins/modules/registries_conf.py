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

import base64
import contextlib
import dataclasses
import json
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _certs_dir, _crio_registries, _io, _owned_files, _users
from ansible_collections.quickpull.registry.plugins.module_utils import _registries_conf as conf
from ansible_collections.quickpull.registry.plugins.module_utils import _registries_plan as plans
from ansible_collections.quickpull.registry.plugins.module_utils._as_user import Account, account, check_hands, run_as
from ansible_collections.quickpull.registry.plugins.module_utils._engines import crio, podman
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, header_secrets, parse_mirrors
from ansible_collections.quickpull.registry.plugins.module_utils._plain import plain, type_name
from ansible_collections.quickpull.registry.plugins.module_utils._plan import Plan, as_dict
from ansible_collections.quickpull.registry.plugins.module_utils._registries_conf import check_upstream
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

Upstreams = t.Dict[str, t.List[Mirror]]
Expected = t.Mapping[str, t.Sequence[conf.MirrorEntry]]

_USER_STATE = '.local/state/quickpull.registry'


def read_upstreams(raw: t.Any, state: str) -> Upstreams | None:
    """Understand O(upstreams); None stands for all that this owner wrote, to be taken away."""
    if not raw:
        return None
    found: Upstreams = {}
    for upstream, mirrors in plain(raw).items():
        check_upstream(upstream)
        if mirrors is None and state == 'present':
            raise ConfigError(f'upstreams.{upstream}: a list of mirrors is expected, not {type_name(mirrors)}; write [] to take ours away.', key='upstreams')
        found[upstream] = parse_mirrors(mirrors, key=f'upstreams.{upstream}') if state == 'present' else []
    return found


@dataclasses.dataclass(frozen=True)
class Task:
    """What is to be done, as far as the parameters say. ``user``: for whom, in files of their own; None for everybody.

    ``system``: the directory of everybody's drop-ins, which are read before a user's; empty where ``directory`` is not read beside it.
    """

    directory: str
    upstreams: Upstreams | None
    owner: str
    overwrite: bool
    validate: bool
    check_mode: bool
    user: Account | None = None
    system: str = ''


@dataclasses.dataclass(frozen=True)
class Judge:
    """Podman, where it is installed and may be asked."""

    host: podman.Host
    tools: podman.Tools
    directory: str
    warnings: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def of(cls, task: Task, host: podman.Host) -> Judge:
        return cls(host, podman.inspect(host) if task.validate else podman.Tools(), task.directory)

    def judge(self, expected: Expected, candidate: t.Mapping[str, bytes] | None = None) -> str:
        """Who vouches for the files: for those in place, or for a candidate. Raises ConfigError for what Podman refuses."""
        if not self.tools.podman:
            return ''
        answer = podman.ask(self.tools, self.host, candidate, self.directory)
        if answer.refused and expected:
            raise ConfigError(f'Podman cannot read the configuration: {answer.words}')
        if answer.registries is None:
            # Taking ours away is not held up by what somebody else broke.
            self.warnings.append(f'Podman {"cannot read the configuration" if answer.refused else "could not be asked what it reads"}: {answer.words}')
            return ''
        different = podman.differences(answer, expected)
        if different:
            raise ConfigError(' '.join(different))
        return 'podman'


def dropins_change(wanted: plans.Wanted) -> bool:
    """Whether anything changes that CRI-O reads when it is reloaded; certificates are read at each pull."""
    return any(change.path.endswith('.conf') for change in wanted.files.changes)


def write(judge: Judge, task: Task, state: State, record: _owned_files.Record, wanted: plans.Wanted, reader: crio.Crio) -> str:
    """Have the files judged, write them, and have them judged in their place; returns who vouches for them."""
    validated_by = judge.judge(wanted.expected, plans.candidate(judge.directory, wanted))
    if task.check_mode:
        return validated_by
    if dropins_change(wanted):
        _crio_registries.keep_proved(state, reader, [change.path for change in wanted.files.changes if change.path.endswith('.conf')])
    _owned_files.apply(state, plans.KIND, wanted.files)
    if not wanted.files.changes or judge.directory != judge.host.path(podman.DIRECTORY):
        return validated_by
    try:
        return judge.judge(wanted.expected)
    except ConfigError as exc:
        _owned_files.undo(state, plans.KIND, wanted.files, record)
        raise ConfigError(f'{exc} What was there before this run was put back.') from exc


@dataclasses.dataclass(frozen=True)
class Hosts:
    """The ways to reach the host's tools. Tests put their own in their place."""

    podman: podman.Host = dataclasses.field(default_factory=podman.Host)
    crio: crio.Host = dataclasses.field(default_factory=crio.Host)


def planned(task: Task, state: State) -> tuple[_owned_files.Record, plans.Wanted]:
    """The record, and what is to be."""
    record = _owned_files.load(state, plans.KIND)
    return record, plans.plan(record, task.owner, task.directory, task.upstreams, overwrite=task.overwrite, system=task.system)


def work(task: Task, hosts: Hosts, state: State) -> dict[str, t.Any]:
    """Read, compute, compare, write, prove. Returns the results, the warnings among them."""
    host = hosts.podman
    record, wanted = planned(task, state)
    reader = crio.inspect(hosts.crio) if task.directory == host.path(podman.DIRECTORY) else crio.Crio(installed=False)
    judge = Judge.of(task, host)
    validated_by = write(judge, task, state, record, wanted, reader)
    plan = _crio_registries.predicted_plan(reader) if task.check_mode and dropins_change(wanted) else _crio_registries.plan(reader, state)
    hidden = plans.hidden_for(wanted.expected, host.root) if wanted.expected and task.user is None else []
    told = report(wanted, validated_by, plan, hidden)
    return {**told, 'warnings': [*judge.warnings, *told['warnings']]}


def report(wanted: plans.Wanted, validated_by: str, plan: Plan, hidden: t.Sequence[plans.Hidden] = ()) -> dict[str, t.Any]:
    """The results of the module."""
    changed = {change.path for change in wanted.files.changes}
    paths = sorted(changed | {*wanted.files.kept})
    return {
        'changed': bool(changed),
        'files': [
            {'path': path, 'upstream': wanted.upstreams.get(path, ''), 'mirrors': plans.mirrors_at(wanted, path), 'changed': path in changed} for path in paths
        ],
        'left_out': [dataclasses.asdict(left) for left in wanted.left_out],
        'hidden_for': [dataclasses.asdict(one) for one in hidden],
        'validated_by': validated_by,
        'plan': as_dict(plan),
        'diff': [_certs_dir.diff_of(change) for change in wanted.files.changes],
        'warnings': [
            *wanted.notes,
            *(left.because for left in wanted.left_out),
            *(f'{one.path} hides the mirrors that are written here from {one.user}, and is left as it is; the option user (in the role, '
              f'registry_access_podman_users) writes them for {one.user} as well.'
              for one in hidden),
        ],
    }  # fmt: skip


def work_for_user(task: Task, who: Account, hosts: Hosts) -> dict[str, t.Any]:
    """As :func:`work`, by processes that are the user. What it keeps lies in the user's home, and goes when nothing is left to be known.

    Podman is asked by this process, which is root and shows it the user's files as somebody's: asked by the user it would leave a process behind.
    """
    foreseen = run_as(who, lambda: _look(task, who))
    judge = Judge.of(task, hosts.podman)
    expected = {name: tuple(conf.MirrorEntry(*one) for one in entries) for name, entries in foreseen['expected'].items()}
    candidate = {name: base64.b64decode(data) for name, data in foreseen['candidate'].items()}
    validated_by = judge.judge(expected, candidate)
    result: dict[str, t.Any] = foreseen['result']
    if not task.check_mode:
        result = run_as(who, lambda: _write(dataclasses.replace(task, validate=False), who, hosts))
    return {**result, 'validated_by': validated_by, 'warnings': [*judge.warnings, *result['warnings']]}


def _look(task: Task, who: Account) -> dict[str, t.Any]:
    """What a user's files are to be, in a form that one process can hand to another."""
    check_hands_of_root(task)
    _record, wanted = planned(task, State(os.path.join(who.home, _USER_STATE)))
    return {
        'result': report(wanted, '', Plan()),  # nobody reloads anything for a user's files
        'expected': {name: [dataclasses.astuple(one) for one in entries] for name, entries in wanted.expected.items()},
        'candidate': {name: base64.b64encode(data).decode() for name, data in plans.candidate(task.directory, wanted).items()},
    }


def _write(task: Task, who: Account, hosts: Hosts) -> dict[str, t.Any]:
    check_hands_of_root(task)
    state = State(os.path.join(who.home, _USER_STATE))
    made = os.path.join(state.root, 'made')
    if not os.path.isdir(state.root):
        _io.write_private(made, json.dumps(_io.missing_dirs(state.root)).encode(), root=state.root)
    result = work(task, hosts, state)
    has_files = os.path.exists(state.files(plans.KIND))
    if not has_files:
        _forget(state, made)
    return {**result, 'has_files': has_files}


def _forget(state: State, made: str) -> None:
    """Take the state away, and of the directories above it those that were made for it and are empty."""
    try:
        above = json.loads(_io.read_file(made).data or b'[]')
    except ValueError:
        above = []
    _io.delete_file(made)
    for folder in (os.path.dirname(state.files(plans.KIND)), state.root, *reversed(above)):
        with contextlib.suppress(OSError):  # not there, or somebody else's by now
            os.rmdir(folder)


def check_hands_of_root(task: Task) -> None:
    """Raises ConfigError where root would follow what somebody else can turn into a link."""
    if os.geteuid() == 0:
        check_hands(os.path.join(task.directory, plans.CERTS_DIR))


def task_of(module: AnsibleModule, host: podman.Host) -> Task:
    """What was asked for. Raises ConfigError."""
    params = module.params
    who = None if params['user'] is None else account(params['user'])
    default = host.path(podman.DIRECTORY) if who is None else os.path.join(who.home, podman.USER_DIRECTORY)
    return Task(
        directory=(params['directory'] or default).rstrip('/'),
        upstreams=read_upstreams(params['upstreams'], params['state']),
        owner=params['owner'],
        overwrite=params['overwrite'],
        validate=params['validate'] == 'auto',
        check_mode=module.check_mode,
        user=who,
        system=host.path(podman.DIRECTORY) if who and not params['directory'] else '',
    )


def run(module: AnsibleModule, hosts: Hosts, state: State) -> dict[str, t.Any]:
    """Do it, as root for everybody, or as a user for that user."""
    # With no_log the call is kept out of the system log. Once that is written, only what is secret is cut out of the results.
    module.no_log_values = header_secrets(module.params['upstreams'])
    task = task_of(module, hosts.podman)
    who = task.user
    with contextlib.nullcontext() if module.check_mode or (who and os.geteuid() != 0) else _io.locked(state):
        result = work_for_user(task, who, hosts) if who else work(task, hosts, state)
    has_files = result.pop('has_files', True)
    if who and not module.check_mode:
        _users.remember(state, _users.PODMAN, who.name, has_files)
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
