# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Letting containerd's CRI look for hosts.toml files: the one key in config.toml, who asked for it, and what was there before."""

from __future__ import annotations

import contextlib
import json
import os
import typing as t
from dataclasses import asdict, dataclass, field, replace

from ansible_collections.quickpull.registry.plugins.module_utils import _containerd_config, _io, _service_facts
from ansible_collections.quickpull.registry.plugins.module_utils._engines import containerd
from ansible_collections.quickpull.registry.plugins.module_utils._engines.containerd import Containerd, Host
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._io import FileState
from ansible_collections.quickpull.registry.plugins.module_utils._plan import Plan
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

KEY = 'config_path'
# What containerd itself says since 2.2 where nobody says anything, and what `containerd config default` writes.
DEFAULT_LIST = '/etc/containerd/certs.d:/etc/docker/certs.d'
# Since then the CRI pulls through the transfer service, which takes a list for the name of one directory and so finds nothing, without a word
# (containerd#12808, not mended yet in September 2026; measured on 2.1.9).
NO_LISTS_SINCE = (2, 1)

_KIND = 'containerd-config'
_FORMAT = 1


@dataclass(frozen=True)
class Record:
    """What we did to config.toml.

    :ivar owners: who asked for the key. ``directory``: its value.
    :ivar before: the file's text before, None for no file; ``after`` with the key; ``value_before``: the key's source text, None for no key.
    :ivar proved: the start of containerd (boot id and ticks) that was proved to have the key.
    """

    path: str = ''
    owners: tuple[str, ...] = ()
    directory: str = ''
    before: str | None = field(default=None, repr=False)
    after: str = field(default='', repr=False)
    value_before: str | None = None
    made_dirs: tuple[str, ...] = ()
    proved: str = ''

    @property
    def ours(self) -> bool:
        return bool(self.owners)


@dataclass(frozen=True)
class Change:
    """config.toml before and after; ``after`` is None for no file. ``record`` is what the record says then."""

    file: FileState = field(repr=False)
    after: str | None = field(repr=False)
    record: Record = field(repr=False)

    @property
    def before(self) -> str | None:
        return None if self.file.data is None else self.file.data.decode('utf-8')

    @property
    def changed(self) -> bool:
        return self.after != self.before


def load(state: State) -> Record:
    """Raises ConfigError when the record cannot be understood."""
    place = state.files(_KIND)
    data = _io.read_file(place).data
    if data is None:
        return Record()
    try:
        raw = json.loads(data)
        if raw.pop('format') != _FORMAT:
            raise ValueError('format')
        return Record(**{**raw, 'owners': tuple(raw['owners']), 'made_dirs': tuple(raw['made_dirs'])})
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ConfigError(f'The record {place} cannot be understood. Remove it, and config_path in config.toml counts as not ours.', path=place) from exc


def save(state: State, record: Record) -> None:
    place = state.files(_KIND)
    if not record.ours:
        _io.delete_file(place)
        return
    _io.write_private(place, (json.dumps({'format': _FORMAT, **asdict(record)}, indent=1) + '\n').encode(), root=state.root)


def directories(config_path: str | None) -> list[str]:
    """The directories in a value of config_path, spelled alike."""
    return [os.path.normpath(part) for part in (config_path or '').split(':') if part]


def list_unread(found: Containerd) -> bool:
    """Whether config_path is a list, of which this containerd reads nothing."""
    registry = found.registry
    late = (found.version_tuple or ()) >= NO_LISTS_SINCE
    return registry is not None and late and not registry.pulls_locally and len(directories(registry.config_path)) > 1


def looked_in(found: Containerd) -> list[str]:
    """The directories in which a pull through the CRI looks, once containerd has read its configuration."""
    return [] if list_unread(found) else directories(found.registry.config_path if found.registry else '')


def directory_of(found: Containerd, default: str) -> str:
    """Where hosts.toml files have to lie: in the directory that containerd already looks in, else in the default one."""
    known = directories(found.registry.config_path if found.registry else '')
    return default if default in known or not known else known[0]


def why_not(found: Containerd, directory: str, ours: bool) -> str:
    """Why the key cannot be set to a directory here, in a sentence; empty where it can, or need not.

    :param ours: the key is there, and by this collection.
    """
    registry = found.registry
    if registry is None:
        return found.config_error
    if not registry.enabled:
        return f'{found.config_path} disables the CRI plugin, so nobody pulls through it and config_path is left out.'
    if found.cri_error and not ours:
        # A restart would prove nothing, and be done, and undone, in each run.
        return f'{found.cri_error} config_path is left out until it answers.'
    if list_unread(found) and registry.config_path != DEFAULT_LIST:
        return (
            f'{found.config_path} has config_path = "{registry.config_path}", which stays. containerd {found.version} reads nothing of a list of directories '
            'when it pulls for the CRI (containerd#12808), so no file in any of them counts. Name one directory alone, or set use_local_image_pull = true.'
        )
    if registry.config_path and not list_unread(found):
        if directory in directories(registry.config_path):
            return ''
        return (
            f'{found.config_path} already has config_path = "{registry.config_path}", which stays, so nobody reads the files in {directory}. Leave directory '
            'out, or add it to config_path by hand. What this collection wrote there goes with state: absent.'
        )
    if not (registry.mirrors or registry.configs):
        return ''
    tables = [f'{kind} of {", ".join(names)}' for kind, names in (('mirrors', registry.mirrors), ('TLS', registry.configs)) if names]
    return (
        f'{found.config_path} holds registry {" and ".join(tables)}, with which config_path does not go together: the CRI would not start. '
        'Turn them into hosts.toml files with the playbook quickpull.registry.migrate_containerd (module containerd_migrate), and run again. Or write those '
        'mirrors into registry_access_mirrors (or upstreams), and take the tables out of the file.'
    )


def plan_present(state: State, owner: str, found: Containerd, directory: str, host: Host | None = None) -> Change:
    """Compute the key's way into config.toml; no change where it is there, whoever wrote it.

    :raises ConfigError: where containerd would make anything else of the file than that key.
    """
    record, file = load(state), _io.read_file(found.config_path)
    text = _io.text_of(file)
    if directory in looked_in(found):
        mine = record.ours and record.directory == directory
        owners = tuple(dict.fromkeys([*record.owners, owner])) if mine else record.owners
        return Change(file, text, replace(record, owners=owners))
    # Where the version is not known, what both understand.
    start = text if text is not None else _containerd_config.new_file((found.version_tuple or (1,))[0])
    after = _containerd_config.with_config_path(start, directory, found.config_path)
    check(found, after, directory, host)
    made = tuple(_io.missing_dirs(os.path.dirname(found.config_path)))
    value = _containerd_config.value_before(start, found.config_path)
    owners = tuple(dict.fromkeys([*(record.owners if record.directory == directory else ()), owner]))
    return Change(file, after, Record(found.config_path, owners, directory, text, after, value, made))


def plan_absent(state: State, owner: str, found: Containerd, host: Host | None = None) -> Change:
    """Compute the key's way out again, once nobody asks for it any more."""
    record = load(state)
    owners = tuple(one for one in record.owners if one != owner)
    if not record.ours or owners:
        file = _io.read_file(record.path or found.config_path)
        return Change(file, _io.text_of(file), replace(record, owners=owners))
    change = plan_back(record, found)
    if change.changed and change.after is not None and change.after != record.before and change.file.path == found.config_path:
        check(found, change.after, '', host)
    return change


def plan_back(record: Record, found: Containerd) -> Change:
    """The file without our key: as it was before us, or, where somebody edited it since, without our lines."""
    file = _io.read_file(record.path or found.config_path)
    text = _io.text_of(file)
    if text is None:
        return Change(file, None, Record())
    if text == record.after:
        return Change(file, record.before, Record(made_dirs=record.made_dirs))
    return Change(file, _containerd_config.without_ours(text, record.directory, record.value_before, record.path), Record())


def dump_of_text(found: Containerd, text: str, host: Host) -> dict[str, t.Any]:
    """What containerd would make of its config.toml with this text. Raises ConfigError with its own words when it would refuse it."""
    target = host.path(found.config_path)
    # Beside the file, since imports may be relative to it. A run that was killed here may have left one, with all that is in the file.
    _io.clean_temps(target)
    try:
        fd, temp = _io.make_temp(target)
    except OSError as exc:
        raise _io.explain(exc, found.config_path, 'write beside') from exc
    try:
        with os.fdopen(fd, 'wb') as stream:
            stream.write(text.encode())
        shown = temp if host.root in ('', '/') else '/' + os.path.relpath(temp, host.root)
        return containerd.dump_of(found, shown, host)
    except OSError as exc:
        raise _io.explain(exc, found.config_path, 'write beside') from exc
    except ConfigError as exc:
        raise ConfigError(str(exc).replace(temp, found.config_path), path=found.config_path) from exc
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temp)


def check(found: Containerd, text: str, directory: str, host: Host | None = None) -> None:
    """Ask containerd what it would make of the text: what it makes of the file as it is, and ``directory`` beside, nothing else.

    :raises ConfigError: when it would not.
    """
    host = host or Host()
    if not os.path.isdir(os.path.dirname(host.path(found.config_path))):
        return  # nothing is there that could be lost
    dump = dump_of_text(found, text, host)
    registry = _containerd_config.registry_of(dump)
    same = _containerd_config.without_config_path(dump) == _containerd_config.without_config_path(found.dump)
    if not same or (directory and registry.config_path != directory):
        change, way_out = 'config_path alone', 'Take config_path out by hand, and run again.'
        if directory:
            change = f'config_path = "{directory}" alone'
            way_out = 'Add that line by hand to the registry table of the CRI plugin, and run again.'
        raise ConfigError(
            f'{found.config_path}: containerd {found.version} would make something else of the file than {change}, so it was not written. {way_out}',
            path=found.config_path,
        )


def write(state: State, change: Change) -> None:
    """Write the record, then the file. Raises ConfigError; then the file is as it was."""
    path, before = change.file.path, load(state)
    if change.record != before and change.record.ours:
        save(state, change.record)
    if change.changed and change.after is None:
        _io.delete_file(path, expect=change.file)
        for made in reversed(before.made_dirs):
            with contextlib.suppress(OSError):
                os.rmdir(made)
    elif change.changed:
        _io.make_dirs(os.path.dirname(path))
        _io.write_atomic(path, (change.after or '').encode(), like=change.file, expect=change.file)
    if change.record != before and not change.record.ours:
        save(state, change.record)


def in_force(found: Containerd, directory: str, record: Record) -> bool:
    """Whether the running CRI looks for hosts.toml files in a directory."""
    if found.cri_config_path is not None:
        return directory in directories(found.cri_config_path)
    if record.proved and record.proved == found.start_id:
        return True
    try:
        # The CRI of 2.0 and later does not tell; a file that is older than the process was read by it.
        return found.started_at is not None and os.stat(found.config_path).st_ctime < found.started_at
    except OSError:
        return False


def make_plan(found: Containerd, directory: str, record: Record) -> Plan:
    """What the running containerd needs for config_path to be in force; what is not there, or does not run, needs nothing."""
    if not found.running or found.registry is None or not found.registry.enabled or directory not in looked_in(found):
        return Plan()
    if found.cri_config_path is None and not record.ours:
        return Plan()  # of what others wrote nobody can say whether it is in force, and that is no reason to restart
    if in_force(found, directory, record) and not found.cri_error:
        return Plan()
    return predicted_plan(found, directory)


def predicted_plan(found: Containerd, directory: str) -> Plan:
    """What a running containerd needs once config_path is in its file, but not in force."""
    if not found.running or directory in directories(found.cri_config_path):
        return Plan()
    reason = f'containerd reads {KEY} only when it starts.'
    if found.cri_error:
        reason = f'{found.cri_error} {reason}'
    return _service_facts.restart_plan(found, 'containerd', (KEY,), (reason,))
