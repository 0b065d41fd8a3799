# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where hosts have drifted from what is wanted, read out of what the role registered in check mode. Pure functions over plain values.

A run in check mode predicts exactly what a run would change, so what it predicts is what differs. What others wrote and the role leaves alone is no
drift; what they did to something that the role wrote is.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils import _access, _refresh_units, _report
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._login_check import NOT_CHECKED, REFUSED, VERIFIED
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text, mask_url
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, normalise_url
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import REPLACED
from ansible_collections.quickpull.registry.plugins.module_utils._plan import NONE
from ansible_collections.quickpull.registry.plugins.module_utils._registries_conf import mirror_entry
from ansible_collections.quickpull.registry.plugins.module_utils._registry import DOCKER_HUB

WIDTH = _report.WIDTH

FILE = 'file'
DAEMON = 'daemon'
LOGIN = 'login'
CANDIDATE = 'candidate'
SPARE = 'spare'
UNREACHABLE = 'unreachable'

# Each kind with its title in the report, in the order of the report.
KINDS = {
    FILE: 'Files that differ from what is wanted',
    DAEMON: 'Daemons that differ from their files',
    LOGIN: 'Logins',
    CANDIDATE: 'Mirrors that do not serve any more',
    SPARE: 'Mirrors that do not serve, and that nothing uses',
    UNREACHABLE: 'Hosts that could not be looked at to the end',
}
# A host that was not looked at to the end counts whatever the kinds are: of what is behind nobody knows anything.
ALWAYS = (UNREACHABLE,)
# A public mirror dies every month. As long as nothing uses it, no image is pulled the worse for it, so it is told and breaks no pipeline.
COUNTED = (FILE, DAEMON, LOGIN, CANDIDATE, UNREACHABLE)

# What audit.yml itself leaves on each host: the answer to its first question, and how the look at the host ended.
ANSWERED = '__registry_access_answered'
ENDED = '__registry_access_audit'
PROBE_KEYS = '__registry_access_probe_keys'
READ = (*_access.LEFT_BY_ROLE, PROBE_KEYS, ANSWERED, ENDED)

# The engine of each task that writes files.
_WRITERS = {
    '__registry_access_docker_certs': 'docker',
    '__registry_access_dropin': 'docker',
    '__registry_access_config': 'docker',
    '__registry_access_config_proxies': 'docker',
    '__registry_access_config_settings': 'docker',
    '__registry_access_docker_written': 'docker',
    '__registry_access_containerd_written': 'containerd',
    '__registry_access_containerd_dropin': 'containerd',
    '__registry_access_podman_written_for_users': 'podman',
    '__registry_access_podman_written': 'podman',
    '__registry_access_podman_proxies': 'podman',
    '__registry_access_crio_conf': 'crio',
    '__registry_access_crio_dropin': 'crio',
    '__registry_access_k3s_written': 'k3s',
    '__registry_access_buildkit_written': 'buildkit',
}
# Podman has no daemon: it is CRI-O that has to read those files anew.
_DAEMON_OF = {'podman': 'crio'}
_APPLIES = {
    '__registry_access_apply': 'docker',
    '__registry_access_containerd_apply': 'containerd',
    '__registry_access_crio_apply': 'crio',
    '__registry_access_k3s_apply': 'k3s',
}
_LOGINS = '__registry_access_logins'
_REFRESH = '__registry_access_refresh'
_AS_HOST_CHOSE = '__registry_access_as_host_chose'
_NAMES = {'docker': 'Docker', 'containerd': 'containerd', 'podman': 'Podman', 'k3s': 'K3s', 'rke2': 'RKE2'}
_REST = 'What comes behind it was not looked at on this host.'

Variables = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Finding:
    """One thing that has drifted.

    :ivar kind: one of :data:`KINDS`.
    :ivar engine: ``docker``, ``containerd``, ``podman``, ``crio``, ``k3s``, ``rke2`` or ``buildkit``; several with commas, empty where it is none's.
    :ivar where: the path, the registry, or the URL.
    :ivar sentence: for people, whole and without a secret.
    """

    kind: str
    engine: str
    where: str
    sentence: str


def audit(left: t.Mapping[str, Variables], kinds: t.Sequence[str] | str = COUNTED) -> dict[str, list[dict[str, t.Any]]]:
    """The findings of each host, as dicts of :class:`Finding` with ``counts``: whether it is drift.

    :param left: by host, those of the variables :data:`READ` that are defined. A host without any was not looked at.
    :param kinds: the kinds that count, a text with commas as the command line gives it, or a list; the others are told all the same, and those of
        :data:`ALWAYS` count whether they are named or not.
    :raises ConfigError: for a kind that is not known.
    """
    kinds = [kind.strip() for kind in kinds.split(',') if kind.strip()] if isinstance(kinds, str) else list(kinds)
    unknown = [str(kind) for kind in kinds if kind not in KINDS]
    if unknown:
        raise ConfigError(f'registry_access_audit_kinds: {", ".join(unknown)} is not known; name some of {", ".join(KINDS)}.', key='kinds')
    probes = {key: probe for variables in left.values() for key, probe in variables.get('__registry_access_probes', {}).items() if 'results' in probe}
    return {host: [{**vars(one), 'counts': one.kind in (*kinds, *ALWAYS)} for one in findings(variables, probes)] for host, variables in left.items()}


def findings(variables: Variables, probes: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[Finding]:
    """What has drifted on one host, in the order of :data:`KINDS`.

    :param probes: of all hosts, by the key that hosts with the same probe share.
    """
    answered, ended = variables.get(ANSWERED, {}), variables.get(ENDED, {})
    if answered.get('unreachable'):
        return [_finding(UNREACHABLE, '', '', f'It could not be reached: {_text(answered.get("msg"))}')]
    found = [*_written(variables), *_refresh(variables), *_applied(variables), *_logins(variables), *_mirrors(variables, probes)]
    told = [step for step in (_failed(variables.get(name, {})) for name in (*_WRITERS, *_APPLIES, *_STOPS, _LOGINS, _REFRESH)) if step]
    lost = next((one for step in variables.values() if isinstance(step, t.Mapping) for one in (*_each(step), step) if one.get('unreachable')), None)
    if lost:
        found.append(_finding(UNREACHABLE, '', '', f'It was lost while it was looked at: {_text(lost.get("msg"))}'))
    elif ended.get('failed') and not told:
        found.append(_finding(UNREACHABLE, '', '', f'It could not be looked at to the end: {_text(ended["failed"])}'))
    elif ended.get('failed') and all(one.kind != UNREACHABLE for one in found) and not _ended_by_a_registry(variables):
        found.append(_finding(UNREACHABLE, '', '', f'It was looked at no further than that. {_REST}'))
    elif not ended:
        found.append(_finding(UNREACHABLE, '', '', 'It was lost while it was looked at.'))
    order = list(KINDS)
    return sorted(dict.fromkeys(found), key=lambda one: order.index(one.kind))


def _finding(kind: str, engine: str, where: str, sentence: str) -> Finding:
    text = mask_text(' '.join(sentence.split()))
    return Finding(kind, engine, where, text if text.endswith(('.', '!', '?')) else f'{text}.')


def _text(message: t.Any) -> str:
    """What a task said, in one line."""
    return ' '.join(map(str, message)) if isinstance(message, (list, tuple)) else str(message or 'it is not said why')


def _each(step: Variables) -> list[Variables]:
    """The results of a task: one, or of a loop each; none where it was skipped."""
    results = step.get('results') if isinstance(step.get('results'), (list, tuple)) else [step]
    return [one for one in results or () if one and not one.get('skipped')]


def _failed(step: Variables) -> Variables:
    """The result that failed; empty when none did."""
    return next((one for one in _each(step) if one.get('failed')), step if step.get('failed') else {})


# ---- files, and the daemons that read them


def _written(variables: Variables) -> list[Finding]:
    found: list[Finding] = []
    rancher = 'rke2' if 'rke2' in variables.get('__registry_access_engines', {}).get('engines', {}) else 'k3s'
    for name, writer in _WRITERS.items():
        engine = rancher if writer == 'k3s' else writer
        step = variables.get(name, {})
        for one in _each(step):
            if one.get('failed'):
                found.append(_finding(UNREACHABLE, engine, str(one.get('path') or ''), f'{_text(one.get("msg"))} {_REST}'))
                continue
            found += _files(engine, one)
            found += _daemon(_DAEMON_OF.get(engine, engine), one)
            found += [
                _finding(DAEMON, engine, str(builder['name']), f'The builder {builder["name"]} of {one["user"]} was made with other mirrors; make it anew.')
                for builder in one.get('builders') or ()
                if not builder['current'] and not one.get('changed')
            ]
        # ansible-core 2.19 gathers the warnings of a loop's results beside them.
        said = [sentence for one in (step, *_each(step)) for sentence in (*(one.get('left_out') or ()), *(one.get('warnings') or ()))]
        sentences = [str(one.get('because') or '') if isinstance(one, t.Mapping) else str(one) for one in said]
        found += [_finding(FILE, engine, one.partition(f' {REPLACED}')[0], one) for one in sentences if REPLACED in one]
    return found


def _refresh(variables: Variables) -> list[Finding]:
    """What of the host's own refresh is not as wanted: its files, and the units that run it."""
    step = variables.get(_REFRESH, {})
    if step.get('skipped'):
        return []
    if step.get('failed'):
        return [_finding(UNREACHABLE, '', '', f'{_text(step.get("msg"))} {_REST}')]
    paths, program = [str(path) for path in step.get('files') or ()], f'{_refresh_units.DIRECTORY}/'
    found = _files('', {'files': [{'path': path, 'changed': True} for path in paths if not path.startswith(program)], 'diff': step.get('diff') or ()})
    # That has dozens of files, and nobody mends one of them.
    found = [one for one in found if not one.where.startswith(program)]
    if any(path.startswith(program) for path in paths):
        found.append(_finding(FILE, '', _refresh_units.DIRECTORY, f'The program of the refresh in {_refresh_units.DIRECTORY} differs from what is wanted.'))
    for sentence in map(str, step.get('did') or ()):
        if not sentence.endswith(' is started anew.'):  # that follows from its file
            unit = sentence.partition(' ')[0]
            found.append(_finding(DAEMON, '', unit, f'{unit} is not as it is wanted; after a run, {sentence}'))
    return found


def _files(engine: str, result: Variables) -> list[Finding]:
    """The files that a run would change."""
    texts = {path: texts for path, texts in _diffs(result).items() if texts[0] != texts[1]}
    paths = [*(str(one['path']) for one in result.get('files') or () if one.get('changed')), *texts]
    if result.get('changed') and not paths:
        paths = [str(result.get('path') or '')]
    foreign = [_foreign(sentence) for sentence in result.get('foreign_changes') or ()]
    found = [_finding(FILE, engine, str(result.get('path') or ''), f'{result.get("path")}: {sentence}') for sentence in foreign]
    for path in dict.fromkeys(paths):
        before, after = texts.get(path, (None, None))
        if 'foreign_changes' in result and before and after:
            differ = keys_that_differ(before, after)
            told = {key for key in differ if any(one.startswith((f'{key}.', f'{key} ')) for one in foreign)}
            found += [_finding(FILE, engine, path, f'{path}: {part}') for key, part in differ.items() if key not in told]
        elif before is not None and not before.strip():
            found.append(_finding(FILE, engine, path, f'{path} is not there.'))
        elif after is not None and not after.strip():
            found.append(_finding(FILE, engine, path, f'{path} is there, and is not wanted any more.'))
        else:
            found.append(_finding(FILE, engine, path, f'{path} differs from what is wanted.'))
    return found


def _foreign(sentence: str) -> str:
    """What somebody did to a key of ours, without what a run would do about it."""
    return f'{sentence.partition(";")[0]}.'


def _diffs(result: Variables) -> dict[str, tuple[str, str]]:
    raw = result.get('diff') or ()
    listed = [raw] if isinstance(raw, t.Mapping) else raw
    return {str(one['before_header']): (str(one.get('before') or ''), str(one.get('after') or '')) for one in listed if one.get('before_header')}


def keys_that_differ(before: str, after: str) -> dict[str, str]:
    """How each key of a JSON object differs from what is wanted, by key, in words. Values are told of lists alone, which hold no secrets.

    :param before: the text as it is; ``after``: as it is wanted. Lines that begin with ``//`` are passed over.
    """
    try:
        now, wanted = (json.loads('\n'.join(line for line in text.splitlines() if not line.startswith('//'))) for text in (before, after))
    except ValueError:
        return {'': 'it differs from what is wanted.'}
    found = {}
    for key in dict.fromkeys([*wanted, *now]):
        if key not in wanted:
            found[key] = f'{key} is there, and is not wanted any more.'
        elif key not in now:
            found[key] = f'{key} is not there.'
        elif json.dumps(now[key]) != json.dumps(wanted[key]):
            found[key] = _how_it_differs(key, now[key], wanted[key])
    return found or {'': 'a secret in it differs from what is wanted.'}


def _how_it_differs(key: str, now: t.Any, wanted: t.Any) -> str:
    if not all(isinstance(value, list) and all(isinstance(entry, str) for entry in value) for value in (now, wanted)):
        return f'{key} differs from what is wanted.'
    lacks = [mask_url(entry) for entry in wanted if entry not in now]
    spare = [mask_url(entry) for entry in now if entry not in wanted]
    parts = [f'lacks {", ".join(lacks)}'] * bool(lacks) + [f'has {", ".join(spare)}, which is not wanted any more'] * bool(spare)
    return f'{key} {" and ".join(parts) or "is in another order than wanted"}.'


def _daemon(engine: str, result: Variables) -> list[Finding]:
    """What the running daemon has not taken from its file yet. Where the file itself is to change, what follows from that is no second finding."""
    plan = result.get('plan') or {}
    path = str(result.get('path') or '') if 'foreign_changes' in result else ''
    found = [
        f'{key} was changed by somebody and is not in force; the next reload or restart, whoever asks for it, brings it into force.'
        for key in plan.get('also_activates') or ()
    ]
    if plan.get('interrupted'):
        found.append('An earlier run was interrupted while it applied a change, and nobody has looked since.')
    if plan.get('action', NONE) != NONE:
        found += _reasons(plan, result)
    return [_finding(DAEMON, engine, str(result.get('path') or ''), f'{path}: {sentence}' if path else sentence) for sentence in found]


def _reasons(plan: t.Mapping[str, t.Any], result: Variables) -> list[str]:
    reasons = list(plan.get('reasons') or ())
    if not result.get('changed'):
        return reasons
    changed = {key for texts in _diffs(result).values() for key in keys_that_differ(*texts)}
    if 'foreign_changes' not in result or not changed or '' in changed:
        return []
    keys = [*(plan.get('reload_keys') or ()), *(plan.get('restart_keys') or ())]
    waiting = tuple(f'{key} ' for key in keys if key.partition('.')[0] not in changed)
    return [reason for reason in reasons if waiting and reason.startswith(waiting)]


def _applied(variables: Variables) -> list[Finding]:
    """What waits, in a run that looks for that alone (``--tags apply``), and what an apply says that it cannot do."""
    found = []
    for name, engine in _APPLIES.items():
        step = variables.get(name, {})
        if step.get('failed'):
            found.append(_finding(UNREACHABLE, engine, '', f'{_text(step.get("msg"))} {_REST}'))
        elif not any('plan' in one for writer, of in _WRITERS.items() if of in (engine, 'podman') for one in _each(variables.get(writer, {}))):
            found += _daemon(engine, {'plan': step.get('plan')})
    return found


# ---- logins


def _logins(variables: Variables) -> list[Finding]:
    step = variables.get(_LOGINS, {})
    found = [_finding(LOGIN, 'docker', DOCKER_HUB, sentence) for name in _HELD_BACK for sentence in _said(variables.get(name, {}))]
    forms = {one['path']: one.get('format') for one in step.get('files') or ()}
    for one in step.get('logins') or ():
        engine = 'podman' if forms.get(one['path']) == 'containers' else 'docker'
        sentences = _of_login(one, _lines(step, one['path']), bool(step.get('failed')))
        found += [_finding(LOGIN, engine, str(one['registry']), sentence) for sentence in sentences]
    if step.get('failed') and not any(one.get('verified') not in (VERIFIED, NOT_CHECKED) for one in step.get('logins') or ()):
        found += [_finding(LOGIN, '', '', line) for line in _text(step.get('msg')).splitlines()]
    moved = {one['path'] for one in step.get('logins') or () if one.get('changed')}
    found += [
        _finding(FILE, 'podman' if one.get('format') == 'containers' else 'docker', one['path'], f'{one["path"]} differs from what is wanted.')
        for one in step.get('files') or ()
        if one.get('changed') and one['path'] not in moved
    ]
    return found


def _ended_by_a_registry(variables: Variables) -> bool:
    """Whether nothing but a registry's word on a login ended the look at a host that has no refresh, which alone comes behind the logins."""
    step = variables.get(_LOGINS, {})
    refused = step.get('failed') and any(one.get('verified') not in (VERIFIED, NOT_CHECKED) for one in step.get('logins') or ())
    return bool(refused) and not _host_refresh(variables).get('installed')


def _of_login(one: t.Mapping[str, t.Any], lines: t.Sequence[str] | None, failed: bool) -> list[str]:
    """What is wrong with one login.

    :param lines: what the file says of its logins; None where that is not known.
    :param failed: the task ended for what a registry said.
    """
    whose = f'{one.get("user") or "root"} ({one["path"]})'
    found = []
    if one.get('verified') == REFUSED or (failed and one.get('verified') not in (VERIFIED, NOT_CHECKED)):
        found.append(str(one.get('reason') or f'{one["registry"]} does not take the login.'))
    if one.get('changed') and one.get('state') == 'absent':
        found.append(f'The login at {one["registry"]} of {whose} is there, and is not wanted any more.')
    elif one.get('changed'):
        there = lines is None or any(line.startswith(f'{mask_text(str(one["key"]))}: ') and not line.endswith(': no login') for line in lines)
        how = 'is another one than is wanted, or one that expired' if there else 'is not there'
        found.append(f'The login of {one.get("username") or "a token"} at {one["registry"]} for {whose} {how}.')
    return found


def _lines(step: Variables, path: str) -> list[str] | None:
    texts = _diffs(step).get(path)
    return None if texts is None else texts[0].splitlines()


# What tasks say when they stop a host, or hold something back, for a reason that is none of the host's.
_HELD_BACK = ('__registry_access_login_leak', '__registry_access_login_waits')
_NONE_SERVES = (
    '__registry_access_none_serves',
    '__registry_access_docker_none_serves',
    '__registry_access_containerd_none_serves',
    '__registry_access_podman_none_serves',
    '__registry_access_k3s_none_serves',
    '__registry_access_buildkit_none_serves',
)
_STOPS = (*_HELD_BACK, *_NONE_SERVES)


def _said(step: Variables) -> list[str]:
    return [_text(step['msg'])] if step.get('msg') and not step.get('skipped') else []


# ---- mirrors


def _mirrors(variables: Variables, probes: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[Finding]:
    """The mirrors that the probe says do not serve: those that an engine uses, and those that none does."""
    found = [_finding(CANDIDATE, '', '', sentence) for name in _NONE_SERVES for sentence in _said(variables.get(name, {}))]
    used = _in_force(variables.get('__registry_access_engines', {}).get('engines', {}))
    # A host whose own choice stands knows better than the host that probed for all.
    own = _host_refresh(variables).get('results') or {} if variables.get(_AS_HOST_CHOSE) else {}
    for upstream, key in variables.get(PROBE_KEYS, {}).items():
        results = own.get(upstream) or probes.get(key, {}).get('results') or ()
        for result in results:
            if result.get('ok'):
                continue
            url = mask_url(str(result['url']))
            engines = [engine for engine, mirrors in used.items() if _place(str(result['url']), engine) in mirrors.get(upstream, ())]
            users = f'which {" and ".join(_NAMES[engine] for engine in engines)} {"uses" if len(engines) == 1 else "use"} for {upstream}'
            kind, what = (CANDIDATE, users) if engines else (SPARE, f'a mirror of {upstream} that nothing here uses')
            found.append(_finding(kind, ','.join(engines), url, f'{url}, {what}, does not serve: {_why(result)}'))
        if results and not any(result.get('ok') for result in results):
            found.append(_finding(CANDIDATE, '', str(upstream), f'None of the mirrors that are listed for {upstream} serves.'))
    return found


def _host_refresh(variables: Variables) -> t.Mapping[str, t.Any]:
    """What the host told of its own refresh."""
    return variables.get('__registry_access_engines', {}).get('refresh') or {}


def _why(result: t.Mapping[str, t.Any]) -> str:
    place = f' at {result["failed_at"]}' if result.get('failed_at') else ''
    return f'{result.get("state") or "no answer"}{place}. {result.get("reason") or ""}'


def _in_force(engines: t.Mapping[str, t.Any]) -> dict[str, dict[str, set[str]]]:
    """The mirrors that each engine uses, by upstream."""
    listed: dict[str, dict[str, t.Sequence[str]]] = {}
    for engine, facts in engines.items():
        if engine not in _NAMES or facts.get('for_docker_alone'):
            continue
        files = (facts.get('mirrors') or {}) if engine != 'docker' or facts.get('reads_hosts_toml') else {}
        listed[engine] = {**files, **({DOCKER_HUB: facts.get('registry_mirrors') or ()} if engine == 'docker' else {})}
    return {engine: {upstream: {_place(str(url), engine) for url in urls} - {''} for upstream, urls in mirrors.items()} for engine, mirrors in listed.items()}


def _place(url: str, engine: str) -> str:
    """What an engine knows a mirror by; Podman's files tell no scheme. Empty for one that it cannot use."""
    try:
        return mirror_entry(Mirror(url)).location if engine == 'podman' else normalise_url(url)
    except ValueError:
        return ''


# ---- telling it


def drifted(found: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """The sentences of a host's findings that count, each once."""
    return list(dict.fromkeys(str(one['sentence']) for one in found if one['counts']))


def summary(found: t.Mapping[str, t.Sequence[t.Mapping[str, t.Any]]]) -> dict[str, int]:
    """Numbers: of hosts ``drifted``, ``unseen`` (not looked at to the end) and ``without_drift``."""
    drift = {host for host, listed in found.items() if drifted(listed)}
    unseen = {host for host, listed in found.items() if any(one['kind'] == UNREACHABLE for one in listed)}
    return {'hosts': len(found), 'hosts_drifted': len(drift), 'hosts_unseen': len(unseen), 'hosts_without_drift': len(set(found) - drift - unseen)}


def render(found: t.Mapping[str, t.Sequence[t.Mapping[str, t.Any]]], width: int = WIDTH) -> str:
    """The report of an audit as text: each sentence once, with the hosts that it is true of."""
    blocks = []
    for kind, title in KINDS.items():
        listed = {host: [one for one in here if one['kind'] == kind] for host, here in found.items()}
        counts = any(one['counts'] for here in listed.values() for one in here)
        said = {host: [str(one['sentence']) for one in here] for host, here in listed.items()}
        blocks.append(_report.sentences_block(title if counts else f'{title} (told, and no drift)', said, width))
    return '\n\n'.join([*filter(None, blocks), _verdict(summary(found))])


def _verdict(numbers: t.Mapping[str, int]) -> str:
    hosts, drift, unseen, fine = (numbers[name] for name in ('hosts', 'hosts_drifted', 'hosts_unseen', 'hosts_without_drift'))
    if not hosts:
        return 'No host was looked at.'
    parts = [f'drift on {drift} of {_hosts(hosts)}'] if drift else []
    parts += [f'{_hosts(unseen)} not looked at to the end'] if unseen else []
    parts += [f'no drift on {_hosts(fine)}'] if fine else []
    text = '; '.join(parts)
    return f'{text[:1].upper()}{text[1:]}.'


def _hosts(number: int) -> str:
    return f'{number} host' if number == 1 else f'{number} hosts'


def merged(report: t.Mapping[str, t.Any], found: t.Mapping[str, t.Sequence[t.Mapping[str, t.Any]]]) -> dict[str, t.Any]:
    """What :func:`_report.as_data` made, with ``drift`` (the sentences that count) and ``findings`` of each host, and their numbers in ``summary``."""
    missing = _report.as_data({'hosts': {host: {'skipped': 'not reached'} for host in found if host not in report['hosts']}})['hosts']
    hosts = {
        host: {**facts, 'applied': '', 'drift': drifted(found.get(host, ())), 'findings': list(found.get(host, ()))}
        for host, facts in {**report['hosts'], **missing}.items()
    }
    return {**report, 'hosts': hosts, 'summary': {**report['summary'], **summary(found)}}
