# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people read of a roll-back: differences without secrets, which run of a fleet was the last, and the report over all hosts."""

from __future__ import annotations

import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _daemon_secrets
from ansible_collections.quickpull.registry.plugins.module_utils._auth_file import CONTAINERS, DOCKER
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._journal import FILE, KEEP, Look
from ansible_collections.quickpull.registry.plugins.module_utils._json_text import ABSENT, Document, pointer
from ansible_collections.quickpull.registry.plugins.module_utils._login_diff import Logins
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text
from ansible_collections.quickpull.registry.plugins.module_utils._rollback import ROLE, Item

_HIDDEN = '(only its owner may read it, so it is not shown)\n'
_LOGINS = ('/config.json', '/auth.json')


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


def last_run(hosts: t.Mapping[str, t.Mapping[str, t.Any]], run: str = '') -> str:
    """The id of the newest run of the role that any of the hosts remembers; empty where none does.

    :param hosts: by host, what registry_rollback returned.
    :param run: the id of a run, of whatever kind; then this one, where any host remembers it.
    """
    ids = [str(one.get('id', '')) for told in hosts.values() for one in told.get('runs') or ()]
    if run:
        return run if run in ids else ''
    return max((ident for ident in ids if ident.endswith(f'-{ROLE}')), default='')


def report(hosts: t.Mapping[str, t.Mapping[str, t.Any]], run: str) -> list[str]:
    """The lines of the report.

    :param hosts: by host, a dict with ``result`` of registry_rollback, ``applied`` of what applies (a list of module results) and ``failed``, a sentence.
    """
    told_by = {host: {**told, 'run': run} for host, told in hosts.items()}
    lines = [_first_line(hosts, run)]
    for host, told in told_by.items():
        lines += [f'{host}:', *(f'  {line}' for line in _of_host(told))]
    return lines


def _first_line(hosts: t.Mapping[str, t.Mapping[str, t.Any]], run: str) -> str:
    if not run:
        return 'No host remembers a run that could be rolled back.'
    results = {host: told.get('result') or {} for host, told in hosts.items()}
    if any(result.get('rolled_back') for result in results.values()) or last_run(results, run):
        return f'Rolled back to what was there before {run}.'
    return f'No host remembers the run {run}, so nothing was rolled back.'


def _of_host(told: t.Mapping[str, t.Any]) -> list[str]:
    result = told.get('result') or {}
    failed = str(told.get('failed') or '')
    put_back, left = result.get('put_back') or [], result.get('left') or []
    lines = [f'{one["action"]}: {one["path"]}' for one in put_back]
    lines += [f'left: {one["because"]}' for one in left]
    for one in told.get('applied') or []:
        action = one.get('applied') or one.get('action')
        if action and action != 'none':
            lines.append(f'{one.get("engine", "docker")}: {action}, {"proved" if _proved(one) else "not proved"}')
        waiting = one.get('pending_because') or (one.get('pending') if isinstance(one.get('pending'), list) else [])
        lines += [f'pending ({one.get("engine", "docker")}): {because}' for because in waiting]
    if failed:
        lines.append(f'FAILED: {failed}')
    elif not put_back and not left:
        lines.append(f'nothing is to be rolled back: {_why_nothing(result, str(told.get("run") or ""))}')
    return lines


def _why_nothing(result: t.Mapping[str, t.Any], run: str) -> str:
    ids = [str(one.get('id', '')) for one in result.get('runs') or ()]
    if result.get('rolled_back'):
        return 'all is as it was before already.'
    if run and len(ids) >= KEEP and run < min(ids):
        return 'this host does not remember runs that are so old.'
    return 'the run changed nothing here.'


def _proved(one: t.Mapping[str, t.Any]) -> bool:
    proof = one.get('proof')
    return bool(proof.get('ok')) if isinstance(proof, dict) else bool(one.get('proved'))
