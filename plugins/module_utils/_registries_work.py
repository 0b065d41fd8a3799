# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module registries_conf does on a host: compare drop-ins with what is wanted, have Podman judge them, and write them."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _certs_dir, _crio_registries, _io, _owned_files, _users
from ansible_collections.quickpull.registry.plugins.module_utils import _registries_conf as conf
from ansible_collections.quickpull.registry.plugins.module_utils import _registries_plan as plans
from ansible_collections.quickpull.registry.plugins.module_utils._as_user import Account, account, check_hands, run_as
from ansible_collections.quickpull.registry.plugins.module_utils._engines import crio, podman
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, parse_mirrors
from ansible_collections.quickpull.registry.plugins.module_utils._plain import plain, type_name
from ansible_collections.quickpull.registry.plugins.module_utils._plan import Plan, as_dict
from ansible_collections.quickpull.registry.plugins.module_utils._registries_conf import check_upstream
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

Upstreams = t.Dict[str, t.List[Mirror]]
Expected = t.Mapping[str, t.Sequence[conf.MirrorEntry]]

_USER_STATE = '.local/state/quickpull.registry'


def read_upstreams(raw: t.Any, state: str) -> Upstreams | None:
    """Understand the option upstreams; None stands for all that this owner wrote, to be taken away."""
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
    return {**told, 'warnings': [*judge.warnings, *_owned_files.edits(state, wanted.files), *told['warnings']]}


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
    state = State(os.path.join(who.home, _USER_STATE))
    _record, wanted = planned(task, state)
    told = report(wanted, '', Plan())  # nobody reloads anything for a user's files
    return {
        'result': {**told, 'warnings': [*_owned_files.edits(state, wanted.files), *told['warnings']]},
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


def task_of(params: t.Mapping[str, t.Any], check_mode: bool, host: podman.Host) -> Task:
    """What was asked for. Raises ConfigError."""
    who = None if params['user'] is None else account(params['user'])
    default = host.path(podman.DIRECTORY) if who is None else os.path.join(who.home, podman.USER_DIRECTORY)
    return Task(
        directory=(params['directory'] or default).rstrip('/'),
        upstreams=read_upstreams(params['upstreams'], params['state']),
        owner=params['owner'],
        overwrite=params['overwrite'],
        validate=params['validate'] == 'auto',
        check_mode=check_mode,
        user=who,
        system=host.path(podman.DIRECTORY) if who and not params['directory'] else '',
    )


def run(params: t.Mapping[str, t.Any], check_mode: bool, hosts: Hosts, state: State) -> dict[str, t.Any]:
    """Do it, as root for everybody, or as a user for that user.

    :param params: the options of the module registries_conf.
    :returns: its results, and ``warnings``, sentences.
    :raises ConfigError: for options and files that cannot be understood, for what Podman refuses, and where something cannot be written.
    """
    task = task_of(params, check_mode, hosts.podman)
    who = task.user
    with contextlib.nullcontext() if check_mode or (who and os.geteuid() != 0) else _io.locked(state):
        result = work_for_user(task, who, hosts) if who else work(task, hosts, state)
    has_files = result.pop('has_files', True)
    if who and not check_mode:
        _users.remember(state, _users.PODMAN, who.name, has_files)
    return result
