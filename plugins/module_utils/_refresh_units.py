# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The units of a refresh: what is to be done about them when their files come, change or go."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils import _refresh_metrics, _refresh_report, _systemd
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._root import below

DIRECTORY = '/usr/local/lib/quickpull.registry'
UNIT_DIR = '/etc/systemd/system'
NAME = 'registry_access_refresh'
SERVICE, TIMER, OFFER = f'{NAME}.service', f'{NAME}.timer', f'{NAME}_offer.service'
#: What systemd makes for the service: what it shows other hosts, and what Python makes of its sources.
MADE = ('/run/quickpull.registry', '/var/cache/quickpull.registry')

Step = t.Tuple[t.Tuple[str, ...], str]


@dataclass(frozen=True)
class Host:
    """Where the files lie, and who runs commands."""

    root: str = ''
    run: _systemd.Runner = _systemd.run

    def path(self, path: str) -> str:
        return below(self.root, path) if self.root else path

    def systemctl(self, *args: str) -> _systemd.Result:
        return _systemd.systemctl(*args, runner=self.run)


def steps(host: Host, present: bool, offer: bool, changed: t.Collection[str], code: bool) -> list[Step]:
    """What is to be done about the units, in order: words for systemctl, and a sentence.

    :param changed: names of units whose files change; ``code``: whether the program does.
    :raises ConfigError: where there is no systemd, or a unit is masked.
    """
    found: list[Step] = []
    for unit, wanted, again in ((TIMER, present, TIMER in changed), (OFFER, present and offer, OFFER in changed or code)):
        there = host.systemctl('show', '--property=LoadState,ActiveState,UnitFileState', unit)
        if there.rc != 0:
            raise ConfigError('There is no systemd on this host that could run the refresh; run ansible-pull by another timer instead.')
        facts = dict(line.partition('=')[::2] for line in there.stdout.splitlines())
        if facts.get('LoadState') == 'masked' and not wanted:
            continue
        if facts.get('LoadState') == 'masked':
            raise ConfigError(f'{unit} is masked: run `systemctl unmask {unit}` first.')
        runs = facts.get('ActiveState') in ('active', 'activating', 'reloading')
        enabled = facts.get('UnitFileState') == 'enabled'
        if wanted and not (runs and enabled):
            found.append((('enable', '--now', unit), f'{unit} is enabled and started.'))
        if wanted and runs and again:
            found.append((('restart', unit), f'{unit} is started anew.'))
        if not wanted and (runs or enabled):
            found.append((('disable', '--now', unit), f'{unit} is stopped and disabled.'))
    return found


def stop_service(host: Host) -> None:
    """End a refresh that is under way, which would go on by what it has read. Raises ConfigError."""
    do(host, ('stop', SERVICE), 'its files change')


def do(host: Host, args: t.Sequence[str], because: str) -> None:
    """Run systemctl. Raises ConfigError with its words."""
    done = host.systemctl(*args)
    if done.rc != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise ConfigError(f'systemctl {" ".join(args)} failed ({because}): {words[-1] if words else done.rc}')


def is_ours(path: str) -> bool:
    """Whether a file is of the refresh, so that its units have to follow when it is put back or taken away."""
    return path.startswith((f'{DIRECTORY}/', f'{UNIT_DIR}/{NAME}', '/etc/quickpull.registry/'))


def is_program(path: str) -> bool:
    """Whether a file is of the refresh's program, which is told in one line: nobody wants to read of a hundred files."""
    return path.startswith(f'{DIRECTORY}/')


def program_in_words(files: int) -> str:
    """The program in place of its files: ``the refresh's program, 98 files below /usr/local/lib/quickpull.registry``."""
    return f"the refresh's program, {files} file{'' if files == 1 else 's'} below {DIRECTORY}"


def program_diff(before: int, after: int) -> dict[str, str]:
    """The program before and after, by how many of its files there were and are to be; only those that change."""
    return {
        'before': f'({program_in_words(before)})\n' if before else '',
        'after': f'({program_in_words(after)}, not shown, changed)\n' if after else '',
    }


def before_files_go(host: Host, going: t.Collection[str]) -> str:
    """Stop the units whose files are about to go by somebody else's hand than that of the refresh's own module. Raises ConfigError.

    :returns: where the refresh that is there writes its metrics, for :func:`after_files_came`.
    """
    metrics = metrics_path(host)
    for unit in (TIMER, OFFER):
        if f'{UNIT_DIR}/{unit}' in going:
            do(host, ('disable', '--now', unit), 'its file goes')
    if os.path.exists(host.path(f'{UNIT_DIR}/{SERVICE}')):
        stop_service(host)
    if f'{UNIT_DIR}/{SERVICE}' in going:
        clear(host)
    return metrics


def after_files_came(host: Host, metrics: str = '') -> None:
    """Let units run by the files that are there now, and take away metrics that none of them writes any more. Raises ConfigError.

    :param metrics: what :func:`before_files_go` returned.
    """
    if metrics and metrics != metrics_path(host):
        forget_metrics(host.path(metrics))
    do(host, ('daemon-reload',), 'read the units')
    there = {unit for unit in (TIMER, OFFER) if os.path.exists(host.path(f'{UNIT_DIR}/{unit}'))}
    for args, because in steps(host, TIMER in there, OFFER in there, there, False):
        do(host, args, because)


def metrics_path(host: Host) -> str:
    """Where the refresh that is there writes its metrics; empty for none."""
    try:
        return str(json.loads(_refresh_report.text_of(host.path(_refresh_report.SETTINGS)))['metrics_path'])
    except (ValueError, KeyError, TypeError):
        return ''


def forget_metrics(path: str) -> None:
    """Take the file away where it is ours, or node_exporter would tell for ever what was true once."""
    with contextlib.suppress(OSError):
        with open(path, encoding='utf-8') as stream:
            ours = stream.readline().startswith(f'# HELP {_refresh_metrics.PREFIX}')
        if ours:
            os.unlink(path)


def clear(host: Host) -> None:
    """Take away what systemd made for the service."""
    for folder in MADE:
        shutil.rmtree(host.path(folder), ignore_errors=True)
