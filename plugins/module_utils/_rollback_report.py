# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people read of a roll-back: differences without secrets, which run of a fleet was the last, and the report over all hosts."""

from __future__ import annotations

import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _daemon_secrets, _refresh_units
from ansible_collections.quickpull.registry.plugins.module_utils._auth_file import CONTAINERS, DOCKER
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._journal import FILE, KEEP, Look
from ansible_collections.quickpull.registry.plugins.module_utils._json_text import ABSENT, Document, pointer
from ansible_collections.quickpull.registry.plugins.module_utils._login_diff import Logins
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text
from ansible_collections.quickpull.registry.plugins.module_utils._rollback import REMOVAL, ROLE, Item

_HIDDEN = '(only its owner may read it, so it is not shown)\n'
_LOGINS = ('/config.json', '/auth.json')
_OF_ROLE = (f'-{ROLE}', f'-{REMOVAL}')


def diff_of(item: Item, is_daemon_json: bool = False) -> dict[str, str]:
    """One file before and after, without a secret.

    :param is_daemon_json: it is Docker's file, whatever its name; of that alone it is known which keys hold secrets.
    """
    looks = (item.now, item.target)
    holds_logins = item.path.endswith(_LOGINS) or any(_holds_logins(item.path, look) for look in looks)
    texts = [_shown(item.path, look, is_daemon_json, holds_logins) for look in looks]
    if texts[0] == texts[1]:
        texts[1] += '(something changes that is not shown)\n'
    return {'before_header': item.path, 'after_header': item.path, 'before': texts[0], 'after': texts[1]}


def _holds_logins(path: str, look: Look) -> bool:
    """Whether it is a file of logins by what is in it: CRI-O's may have any name."""
    if look.kind != FILE:
        return False
    try:
        document = Document.parse(look.data, path)
    except ConfigError:
        return False
    return any(document.get(pointer(key)) is not ABSENT for key in ('auths', 'credHelpers', 'credsStore'))


def _shown(path: str, look: Look, is_daemon_json: bool, holds_logins: bool) -> str:
    if look.kind != FILE:
        return ''
    try:
        if is_daemon_json:
            return _daemon_secrets.masked_text(Document.parse(look.data, path))
        if holds_logins:
            form = DOCKER if path.endswith('/config.json') else CONTAINERS
            return ''.join(f'{line}\n' for line in Logins(Document.parse(look.data, path), form).lines())
    except ConfigError:
        return _HIDDEN
    return mask_text(look.data.decode('utf-8', 'replace')) if look.mode & 0o044 else _HIDDEN


def diffs_of(items: t.Sequence[Item], daemon_jsons: t.Collection[str] = ()) -> list[dict[str, str]]:
    """All of them, the refresh's program in one.

    :param daemon_jsons: paths of Docker's files.
    """
    program = [item for item in items if _refresh_units.is_program(item.path)]
    found = [diff_of(item, item.path in daemon_jsons) for item in items if item not in program]
    if program:
        texts = _refresh_units.program_diff(sum(item.now.kind == FILE for item in program), sum(item.target.kind == FILE for item in program))
        found.append({'before_header': _refresh_units.DIRECTORY, 'after_header': _refresh_units.DIRECTORY, **texts})
    return found


def last_run(hosts: t.Mapping[str, t.Mapping[str, t.Any]], run: str = '') -> str:
    """The id of the newest run of the role that any of the hosts remembers; empty where none does.

    :param hosts: by host, what registry_rollback returned.
    :param run: the id of a run, of whatever kind; then this one, where any host remembers it.
    """
    ids = [str(one.get('id', '')) for told in hosts.values() for one in told.get('runs') or ()]
    if run:
        return run if run in ids else ''
    return max((ident for ident in ids if ident.endswith(_OF_ROLE)), default='')


def report(hosts: t.Mapping[str, t.Mapping[str, t.Any]], run: str, check_mode: bool = False) -> list[str]:
    """The lines of the report.

    :param hosts: by host, a dict with ``result`` of registry_rollback, ``applied`` of what applies (a list of module results) and ``failed``, a sentence.
    :param check_mode: nothing was done, and it is told what would be.
    """
    lines = [_first_line(hosts, run, check_mode)]
    for host, told in hosts.items():
        lines += [f'{host}:', *(f'  {line}' for line in _of_host(told, run, check_mode))]
    return lines


def _first_line(hosts: t.Mapping[str, t.Mapping[str, t.Any]], run: str, check_mode: bool) -> str:
    if not run:
        return 'No host remembers a run that could be rolled back.'
    results = {host: told.get('result') or {} for host, told in hosts.items()}
    if not any(result.get('rolled_back') for result in results.values()) and not last_run(results, run):
        if any(told.get('failed') for told in hosts.values()):
            return f'No host was rolled back to what was there before {run}.'
        return f'No host remembers the run {run}, so nothing was rolled back.'
    again = [result for result in results.values() if _was_taken_back(result, run)]
    concerned = [result for result in results.values() if result.get('rolled_back')]
    nothing = not any(result.get('put_back') for result in results.values())
    if concerned and nothing and len(again) == len(concerned):
        if any(result.get('stays') for result in again):
            return f'{run} was taken back before; what later runs wrote stays. {_further_back(again)}'.rstrip()
        return f'{run} was taken back before already.'
    what = f'before the removal {run}' if run.endswith(f'-{REMOVAL}') else f'before {run}'
    return f'{"Would be rolled" if check_mode else "Rolled"} back to what was there {what}.'


def _was_taken_back(result: t.Mapping[str, t.Any], run: str) -> bool:
    """Whether an earlier roll-back took this run back on a host."""
    return any(one.get('id') == run and one.get('rolled_back') for one in result.get('runs') or ())


def _further_back(results: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """Which runs there are to name, the newest first; those of the role, which all hosts share, where there are any."""
    ids = {str(one.get('id', '')) for result in results for one in result.get('runs') or () if not one.get('rolled_back')}
    named = sorted([ident for ident in ids if ident.endswith(_OF_ROLE)] or ids, reverse=True)[:KEEP]
    return f'To go further back name one of: {", ".join(named)}.' if named else ''


def _of_host(told: t.Mapping[str, t.Any], run: str, check_mode: bool) -> list[str]:
    result = told.get('result') or {}
    failed = str(told.get('failed') or '')
    put_back, left = result.get('put_back') or [], result.get('left') or []
    would = 'would be ' if check_mode else ''
    lines = [f'{would}{action}: {what}' for action, what in _without_program(put_back)]
    lines += [f'{would}left: {one["because"]}' for one in left]
    for one in told.get('applied') or []:
        action, engine = one.get('applied') or one.get('action'), one.get('engine', 'docker')
        if action and action != 'none':
            lines.append(f'{engine}: would need a {action}' if check_mode else f'{engine}: {action}, {"proved" if _proved(one) else "not proved"}')
        waiting = one.get('pending_because') or (one.get('pending') if isinstance(one.get('pending'), list) else [])
        lines += [f'pending ({engine}): {because}' for because in waiting]
    if failed:
        lines.append(f'FAILED: {failed}')
    elif not put_back and not left:
        lines.append(f'nothing is to be rolled back: {_why_nothing(result, run)}')
    elif not put_back and result.get('stays'):
        lines.append('it was taken back here before, and what later runs wrote stays.')
    return lines


def _without_program(put_back: t.Sequence[t.Mapping[str, t.Any]]) -> list[tuple[str, str]]:
    """What was done with which file, the refresh's program in one line for each action."""
    lines = {}
    program = [str(one['action']) for one in put_back if _refresh_units.is_program(str(one['path']))]
    for one in put_back:
        action, path = str(one['action']), str(one['path'])
        lines[action, _refresh_units.program_in_words(program.count(action)) if _refresh_units.is_program(path) else path] = True
    return list(lines)


def _why_nothing(result: t.Mapping[str, t.Any], run: str) -> str:
    ids = [str(one.get('id', '')) for one in result.get('runs') or ()]
    if result.get('stays'):
        return 'it was taken back here before, and what later runs wrote stays.'
    if result.get('rolled_back'):
        return 'all is as it was before already.'
    if run and len(ids) >= KEEP and run < min(ids):
        return 'this host does not remember runs that are so old.'
    return 'the run changed nothing here.'


def _proved(one: t.Mapping[str, t.Any]) -> bool:
    proof = one.get('proof')
    return bool(proof.get('ok')) if isinstance(proof, dict) else bool(one.get('proved'))
