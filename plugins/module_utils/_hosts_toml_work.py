# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module hosts_toml does on a host: compare the files of each upstream with what is wanted, and write them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _containerd_registry, _hosts_toml, _io, _owned_files
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_config import lines_that_differ
from ansible_collections.quickpull.registry.plugins.module_utils._engines import containerd, docker
from ansible_collections.quickpull.registry.plugins.module_utils._engines.containerd import Containerd
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._hosts_toml import CONTAINERD, DIRECTORIES
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror
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


def run(params: t.Mapping[str, t.Any], check_mode: bool, state: State, hosts: Hosts) -> dict[str, t.Any]:
    """Look, compare, write.

    :param params: the options of the module hosts_toml.
    :returns: its results, and ``warnings``, sentences.
    :raises ConfigError: for options and files that cannot be understood, and where something cannot be written.
    """
    check_options(params)
    with contextlib.nullcontext() if check_mode else _io.locked(state):
        found = containerd.inspect(hosts.containerd) if params['engine'] == CONTAINERD else None
        work = plan_work(params, state, found, hosts)
        if not check_mode:
            write(work, state)
    warnings = [*_owned_files.edits(state, work.files), *warnings_for(work, params, found, hosts)]
    return {**report(work, found, plan_after(work, found, check_mode, state, hosts)), 'warnings': warnings}


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
