# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _drift, _report
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import REPLACED

DONE = {'__registry_access_audit': {'done': True}}
DAEMON_JSON = '/etc/docker/daemon.json'
HOSTS_TOML = '/etc/containerd/certs.d/docker.io/hosts.toml'
DROPIN = '/etc/containers/registries.conf.d/500-quickpull-docker.io.conf'
CONFIG = '/root/.docker/config.json'


def found(probes: t.Mapping[str, t.Any] | None = None, **left: t.Any) -> list[tuple[str, str, str, str]]:
    """The findings of a host that was looked at to the end; the names without what they all begin with."""
    variables = {f'__registry_access_{name}': value for name, value in left.items()}
    return [(one.kind, one.engine, one.where, one.sentence) for one in _drift.findings({**DONE, **variables}, probes or {})]


def diff(path: str, before: t.Any, after: t.Any) -> dict[str, str]:
    texts = [value if isinstance(value, str) else json.dumps(value) for value in (before, after)]
    return {'before_header': path, 'after_header': path, 'before': texts[0], 'after': texts[1]}


def config(before: t.Any, after: t.Any, *, foreign: t.Sequence[str] = (), **plan: t.Any) -> dict[str, t.Any]:
    """As docker_daemon_config returns it."""
    changed = before != after
    return {
        'path': DAEMON_JSON,
        'changed': changed,
        'diff': diff(DAEMON_JSON, before, after),
        'foreign_changes': list(foreign),
        'plan': {'action': 'none', 'reload_keys': [], 'restart_keys': [], 'also_activates': [], 'reasons': [], 'interrupted': False, **plan},
    }


SAME = {'registry-mirrors': ['http://a.lan']}
QUIET = config(SAME, SAME)


def test_a_host_as_it_is_wanted_has_no_drift() -> None:
    kept = {'changed': False, 'files': [{'path': HOSTS_TOML, 'changed': False}], 'diff': [], 'plan': {'action': 'none', 'reasons': []}, 'left_out': []}
    logins = {'logins': [{'registry': 'quay.io', 'path': CONFIG, 'changed': False, 'verified': 'verified'}], 'files': [{'path': CONFIG, 'changed': False}]}
    assert found(config=QUIET, containerd_written=kept, podman_written=kept, logins=logins, dropin={'skipped': True, 'changed': False}) == []


@pytest.mark.parametrize(
    'before, after, sentences',
    [
        ('', SAME, ['/etc/docker/daemon.json is not there.']),
        (SAME, '', ['/etc/docker/daemon.json is there, and is not wanted any more.']),
        ({'registry-mirrors': ['http://b.lan']}, {'registry-mirrors': ['http://a.lan', 'http://b.lan']}, ['registry-mirrors lacks http://a.lan.']),
        (
            {'registry-mirrors': ['http://x.lan']},
            {'registry-mirrors': ['http://a.lan']},
            ['registry-mirrors lacks http://a.lan and has http://x.lan, which is not wanted any more.'],
        ),
        ({'registry-mirrors': ['b', 'a']}, {'registry-mirrors': ['a', 'b']}, ['registry-mirrors is in another order than wanted.']),
        ({'mtu': 1}, {'mtu': True, 'debug': True}, ['mtu differs from what is wanted.', 'debug is not there.']),
        ({'mtu': 1, 'debug': True}, {'mtu': 1}, ['debug is there, and is not wanted any more.']),
        (
            '{"proxies": {}}\n',
            '{"proxies": {}}\n// A secret in it changes, which is not shown.\n',
            ['a secret in it differs from what is wanted.'],
        ),
        ('{', '{}', ['it differs from what is wanted.']),
    ],
)
def test_daemon_json_is_told_by_its_keys(before: t.Any, after: t.Any, sentences: list[str]) -> None:
    told = found(config=config(before, after))
    assert [one[:3] for one in told] == [('file', 'docker', DAEMON_JSON)] * len(sentences)
    assert [one[3].removeprefix(f'{DAEMON_JSON}: ') for one in told] == sentences


values = st.none() | st.booleans() | st.integers(-2, 2) | st.lists(st.sampled_from('abc'), max_size=3)
objects = st.dictionaries(st.sampled_from(('mtu', 'debug', 'registry-mirrors', 'dns')), values, max_size=4)


@given(objects, objects)
def test_the_keys_that_are_told_are_those_that_differ(now: dict[str, t.Any], wanted: dict[str, t.Any]) -> None:
    missing = object()
    differ = {key for key in {*now, *wanted} if repr(now.get(key, missing)) != repr(wanted.get(key, missing))}
    told = _drift.keys_that_differ(json.dumps(now), json.dumps(wanted))
    assert set(told) == (differ or {''})
    assert all(sentence.startswith(f'{key} ') for key, sentence in told.items() if key)


def test_foreign_keys_are_no_drift_and_foreign_changes_of_our_keys_are() -> None:
    both = {'labels': ['x=y'], 'mtu': 1400}
    assert found(config=config(both, both)) == []
    again = config({'mtu': 1300}, {'mtu': 1400}, foreign=['mtu was changed by somebody else since; it is set again.'])
    assert found(config=again) == [('file', 'docker', DAEMON_JSON, f'{DAEMON_JSON}: mtu was changed by somebody else since.')]
    left = config(both, both, foreign=['mtu was changed by somebody else since; it is left as it is.'])
    assert found(config=left) == [('file', 'docker', DAEMON_JSON, f'{DAEMON_JSON}: mtu was changed by somebody else since.')]


MIRRORS_WAIT = 'registry-mirrors is not in force yet; a reload is enough.'
PROXY_WAITS = 'proxies.https-proxy is not in force yet, and is read only when the daemon starts.'


def test_what_a_daemon_has_not_taken_from_its_file() -> None:
    plan = {'action': 'restart', 'reload_keys': ['registry-mirrors'], 'restart_keys': ['proxies.https-proxy'], 'reasons': [MIRRORS_WAIT, PROXY_WAITS]}
    told = found(config=config(SAME, SAME, **plan))
    assert told == [('daemon', 'docker', DAEMON_JSON, f'{DAEMON_JSON}: {reason}') for reason in plan['reasons']]
    # What follows from the change of the file is no second finding, and what waited before stays one.
    told = found(config=config({}, SAME, **plan))
    assert [(one[0], one[3].removeprefix(f'{DAEMON_JSON}: ')) for one in told] == [('file', 'registry-mirrors is not there.'), ('daemon', PROXY_WAITS)]
    assert [one[0] for one in found(config=config('', SAME, **plan))] == ['file']


def test_what_somebody_wrote_and_never_applied_is_told_of_the_daemon() -> None:
    told = found(config=config(SAME, SAME, also_activates=['labels'], interrupted=True))
    assert [one[0] for one in told] == ['daemon', 'daemon']
    assert 'labels was changed by somebody and is not in force' in told[0][3]
    assert 'was interrupted' in told[1][3]
    assert found(config=config(SAME, SAME, unknown_keys=['bip'], reasons=['The daemon is not running; it reads the file when it starts.'])) == []


def written(path: str, before: str, after: str, **more: t.Any) -> dict[str, t.Any]:
    """As the modules return it that write a file for each upstream."""
    return {'changed': before != after, 'files': [{'path': path, 'changed': before != after}], 'diff': [diff(path, before, after)], **more}


@pytest.mark.parametrize(
    'before, after, sentence', [('', 'x', 'is not there.'), ('y', 'x', 'differs from what is wanted.'), ('y', '', 'is there, and is not wanted any more.')]
)
def test_whole_files(before: str, after: str, sentence: str) -> None:
    reload = {'action': 'reload', 'reasons': ['CRI-O reads registries.conf.d when it starts or is reloaded.']}
    assert found(podman_written=written(DROPIN, before, after, plan=reload)) == [('file', 'podman', DROPIN, f'{DROPIN} {sentence}')]
    assert found(podman_written=written(DROPIN, 'x', 'x', plan=reload)) == [('daemon', 'crio', '', reload['reasons'][0])]


def test_files_whose_difference_is_secret_or_that_no_upstream_has() -> None:
    secret = {'changed': True, 'files': [{'path': HOSTS_TOML, 'changed': True}], 'diff': []}
    config_toml = written('/etc/containerd/config.toml', 'a', 'b', files=[])
    assert found(containerd_written=secret) == [('file', 'containerd', HOSTS_TOML, f'{HOSTS_TOML} differs from what is wanted.')]
    assert [one[2] for one in found(containerd_written=config_toml)] == ['/etc/containerd/config.toml']
    assert [one[2] for one in found(crio_conf={'changed': True, 'path': '/etc/crio/x', 'diff': []})] == ['/etc/crio/x']


def test_ours_that_somebody_wrote_anew_is_drift_and_what_never_was_ours_is_not() -> None:
    ours = f'{HOSTS_TOML} {REPLACED} and is left alone; move it away, or allow with overwrite that it is replaced.'
    theirs = f'{HOSTS_TOML} was not written by this collection and is left alone; move it away.'
    kept = {'changed': False, 'files': [], 'diff': []}
    assert found(containerd_written={**kept, 'left_out': [ours], 'warnings': [ours]}) == [('file', 'containerd', HOSTS_TOML, ours)]
    assert found(docker_certs={**kept, 'left_out': [{'because': ours}]}) == [('file', 'docker', HOSTS_TOML, ours)]
    assert found(podman_proxies={**kept, 'warnings': [ours]}) == [('file', 'podman', HOSTS_TOML, ours)]
    assert found(containerd_written={**kept, 'left_out': [theirs], 'warnings': [theirs]}) == []


def test_users_files_and_builders() -> None:
    bob, eve = '/home/bob/x.conf', '/home/eve/x.conf'
    loop = {'results': [{**written(bob, '', 'x'), 'user': 'bob'}, {**written(eve, 'x', 'x'), 'user': 'eve'}, {'skipped': True}], 'changed': True}
    assert [one[2] for one in found(podman_written_for_users=loop)] == [bob]
    builders = [{'name': 'old', 'current': False}, {'name': 'new', 'current': True}]
    told = found(buildkit_written={'results': [{**written(bob, 'x', 'x'), 'user': 'bob', 'builders': builders}]})
    assert told == [('daemon', 'buildkit', 'old', 'The builder old of bob was made with other mirrors; make it anew.')]


def test_the_engine_of_registries_yaml_is_the_one_that_is_there() -> None:
    waits = {'changed': False, 'files': [], 'diff': [], 'plan': {'action': 'restart', 'reasons': ['It reads registries.yaml when it starts alone.']}}
    assert [one[:2] for one in found(k3s_written=waits, engines={'engines': {'k3s': {}}})] == [('daemon', 'k3s')]
    assert [one[:2] for one in found(k3s_written=waits, engines={'engines': {'rke2': {}}})] == [('daemon', 'rke2')]


def test_a_run_that_looks_for_what_waits_alone() -> None:
    waits = {'plan': {'action': 'restart', 'reasons': [PROXY_WAITS]}}
    assert found(apply=waits) == [('daemon', 'docker', '', PROXY_WAITS)]
    assert found(apply=waits, config=QUIET) == [], 'the plan of the file tells it'


# Logins


def login(**more: t.Any) -> dict[str, t.Any]:
    told = {'registry': 'quay.io', 'key': 'quay.io', 'username': 'acme', 'user': 'root', 'path': CONFIG, 'state': 'present', 'changed': False}
    return {**told, 'verified': 'verified', 'reason': 'quay.io takes the login of acme.', **more}


def logins(*listed: dict[str, t.Any], before: str = '', **more: t.Any) -> dict[str, t.Any]:
    changed = any(one['changed'] for one in listed)
    return {'logins': list(listed), 'files': [{'path': CONFIG, 'format': 'docker', 'changed': changed}], 'diff': [diff(CONFIG, before, 'x')], **more}


@pytest.mark.parametrize(
    'step, sentences',
    [
        (logins(login(changed=True)), ['The login of acme at quay.io for root (/root/.docker/config.json) is not there.']),
        (logins(login(changed=True), before='quay.io: no login\n'), ['The login of acme at quay.io for root (/root/.docker/config.json) is not there.']),
        (
            logins(login(changed=True), before='quay.io: acme by a password\n'),
            ['The login of acme at quay.io for root (/root/.docker/config.json) is another one than is wanted, or one that expired.'],
        ),
        (
            logins(login(changed=True, state='absent', username='', verified='not_checked')),
            ['The login at quay.io of root (/root/.docker/config.json) is there, and is not wanted any more.'],
        ),
        (logins(login(verified='refused', reason='quay.io refuses the login of acme.'), failed=True), ['quay.io refuses the login of acme.']),
        (logins(login(verified='unreachable', reason='quay.io did not answer.'), failed=True), ['quay.io did not answer.']),
        (logins(login(verified='unreachable', reason='quay.io did not answer.')), []),
        (logins(login(verified='not_checked')), []),
    ],
)
def test_logins(step: dict[str, t.Any], sentences: list[str]) -> None:
    assert found(logins=step) == [('login', 'docker', 'quay.io', sentence) for sentence in sentences]


def test_a_refused_login_hides_none_that_is_missing() -> None:
    step = logins(login(changed=True), login(registry='a.lan', verified='refused', reason='a.lan refuses the login of acme.'), failed=True)
    assert [one[2] for one in found(logins=step)] == ['quay.io', 'a.lan']
    assert found(logins={'failed': True, 'msg': 'a.crt cannot be read.\nb.crt neither.'}) == [
        ('login', '', '', 'a.crt cannot be read.'),
        ('login', '', '', 'b.crt neither.'),
    ]
    unread = logins(login(changed=True, verified='not_checked'), failed=True, msg='a.crt cannot be read.')
    assert {one[3] for one in found(logins=unread)} >= {'a.crt cannot be read.'}


def test_what_else_changes_in_a_file_of_logins() -> None:
    proxies = {'logins': [], 'files': [{'path': CONFIG, 'format': 'docker', 'changed': True}], 'diff': []}
    assert found(logins=proxies) == [('file', 'docker', CONFIG, f'{CONFIG} differs from what is wanted.')]
    held = 'The login to Docker Hub is not written.'
    assert found(login_waits={'msg': held}) == [('login', 'docker', 'docker.io', held)]
    assert found(login_waits={'msg': held, 'skipped': True}) == []


# Mirrors


def probed(*results: tuple[str, bool], upstream: str = 'docker.io') -> dict[str, t.Any]:
    """The probes of all hosts, of one upstream."""
    bad = {'state': 'not_a_registry', 'failed_at': 'ping', 'reason': 'A web page answers /v2/, not a registry.'}
    return {upstream: {'results': [{'url': url, 'ok': ok, **({} if ok else bad)} for url, ok in results]}}


def engines(**facts: t.Any) -> dict[str, t.Any]:
    return {'engines': {'engines': facts}, 'probe_keys': {'docker.io': 'docker.io'}}


WHY = 'does not serve: not_a_registry at ping. A web page answers /v2/, not a registry.'


@pytest.mark.parametrize(
    'facts, users',
    [
        ({'docker': {'registry_mirrors': ['http://dead.lan:5000/']}}, 'docker'),
        ({'containerd': {'mirrors': {'docker.io': ['http://dead.lan:5000']}}}, 'containerd'),
        ({'podman': {'mirrors': {'docker.io': ['http://dead.lan:5000']}}}, 'podman'),
        ({'k3s': {'mirrors': {'docker.io': ['http://dead.lan:5000']}}}, 'k3s'),
        ({'docker': {'registry_mirrors': ['http://dead.lan:5000/']}, 'podman': {'mirrors': {'docker.io': ['http://dead.lan:5000']}}}, 'docker,podman'),
        ({'docker': {'mirrors': {'docker.io': ['http://dead.lan:5000']}, 'reads_hosts_toml': False}}, ''),
        ({'docker': {'registry_mirrors': ['http://other.lan:5000/']}}, ''),
        ({'containerd': {'mirrors': {'quay.io': ['http://dead.lan:5000']}}}, ''),
        ({'containerd': {'mirrors': {'docker.io': ['http://dead.lan:5000']}, 'for_docker_alone': True}}, ''),
        ({'crio': {}}, ''),
    ],
)
def test_a_mirror_that_is_gone_counts_where_something_uses_it(facts: dict[str, t.Any], users: str) -> None:
    told = found(probed(('http://dead.lan:5000', False), ('http://good.lan', True)), **engines(**facts))
    assert [one[:3] for one in told] == [('candidate' if users else 'spare', users, 'http://dead.lan:5000')]
    assert told[0][3].endswith(WHY)


def test_where_none_of_the_mirrors_serves_that_counts() -> None:
    told = found(probed(('http://dead.lan:5000', False)), **engines(docker={}))
    assert [one[0] for one in told] == ['candidate', 'spare']
    assert told[0][3] == 'None of the mirrors that are listed for docker.io serves.'
    assert found(probed(), **engines(docker={})) == []
    assert found(probed(('http://dead.lan:5000', False)), engines={'engines': {'docker': {}}}) == [], 'it was not this host that asked'


def test_a_host_whose_own_choice_stands_goes_by_what_it_saw_itself() -> None:
    facts = engines(docker={'registry_mirrors': ['http://dead.lan:5000/']})
    saw = [{'url': 'http://dead.lan:5000', 'ok': True}, {'url': 'http://good.lan', 'ok': False, 'state': 'unreachable', 'failed_at': 'connect', 'reason': 'R.'}]
    facts['engines']['refresh'] = {'installed': True, 'results': {'docker.io': saw}}
    shared = probed(('http://dead.lan:5000', False), ('http://good.lan', True))
    assert [one[:3] for one in found(shared, **facts, as_host_chose={})] == [('candidate', 'docker', 'http://dead.lan:5000')]
    told = found(shared, **facts, as_host_chose={'of': 'x', 'engines': {'docker': {}}})
    assert [one[:3] for one in told] == [('spare', '', 'http://good.lan')]


# Hosts that could not be looked at


def test_hosts_that_could_not_be_looked_at() -> None:
    def told(**left: t.Any) -> list[tuple[str, str]]:
        variables = {f'__registry_access_{name}': value for name, value in left.items()}
        return [(one.kind, one.sentence) for one in _drift.findings(variables, {})]

    assert told(answered={'unreachable': True, 'msg': 'No route to host'}) == [('unreachable', 'It could not be reached: No route to host.')]
    assert told(audit={'failed': 'There is no user bob.'}) == [('unreachable', 'It could not be looked at to the end: There is no user bob.')]
    assert told(answered={'ping': 'pong'}, config=QUIET) == [('unreachable', 'It was lost while it was looked at.')]
    assert told() == [('unreachable', 'It was lost while it was looked at.')]


@pytest.mark.parametrize(
    'name, kinds',
    [
        ('config', ['unreachable']),
        ('podman_written_for_users', ['unreachable']),
        ('apply', ['unreachable']),
        ('login_leak', ['login', 'unreachable']),
        ('none_serves', ['candidate', 'unreachable']),
        ('refresh', ['unreachable']),
    ],
)
def test_of_a_host_where_a_task_fails_it_is_told_that_nobody_saw_the_rest(name: str, kinds: list[str]) -> None:
    msg = ['daemon.json is not valid JSON.', 'Correct it.']
    failed = {'failed': True, 'msg': msg}
    step = {'failed': True, 'msg': 'One or more items failed', 'results': [failed]} if name.endswith('users') else failed
    variables: dict[str, t.Any] = {name: step, 'audit': {'failed': msg}}
    told = found(**variables)
    assert [one[0] for one in told] == kinds
    assert told[0][3].startswith('daemon.json is not valid JSON. Correct it.')
    assert told[-1][3].endswith('What comes behind it was not looked at on this host.')
    host = {f'__registry_access_{key}': value for key, value in variables.items()}
    for counted in (['daemon'], []):
        audited = _drift.audit({'a': host}, counted)
        assert _drift.drifted(audited['a']) != [], 'an audit must not pass over what it did not see'
        assert _drift.summary(audited)['hosts_without_drift'] == 0


def test_a_login_that_a_registry_refuses_is_no_reason_to_doubt_the_rest() -> None:
    refused = logins(login(verified='refused', reason='quay.io refuses the login of acme.'), failed=True)
    told = found(logins=refused, audit={'failed': 'refused'})
    assert [one[0] for one in told] == ['login']
    # But for the refresh, which comes behind it.
    told = found(logins=refused, audit={'failed': 'refused'}, engines={'engines': {}, 'refresh': {'installed': True}})
    assert [one[0] for one in told] == ['login', 'unreachable']
    unread = {'failed': True, 'msg': 'config.json cannot be read.'}
    assert [one[0] for one in found(logins=unread, audit={'failed': unread['msg']})] == ['login', 'unreachable']


def test_the_refresh_of_a_host() -> None:
    timer, settings = '/etc/systemd/system/registry_access_refresh.timer', '/etc/quickpull.registry/refresh.json'
    program = '/usr/local/lib/quickpull.registry'
    step = {
        'changed': True,
        'files': [f'{program}/refresh.py', f'{program}/x.py', settings, timer],
        'did': ['registry_access_refresh.timer is enabled and started.', 'registry_access_refresh_offer.service is started anew.'],
        'diff': [
            diff(timer, '', '[Timer]'),
            diff(settings, '(not shown)', '(not shown, changed)'),
            *(diff(f'{program}/{name}.py', '', '(not shown, changed)') for name in ('refresh', 'x')),
        ],
    }
    assert found(refresh=step) == [
        ('file', '', settings, f'{settings} differs from what is wanted.'),
        ('file', '', timer, f'{timer} is not there.'),
        ('file', '', program, f'The program of the refresh in {program} differs from what is wanted.'),
        (
            'daemon',
            '',
            'registry_access_refresh.timer',
            'registry_access_refresh.timer is not as it is wanted; after a run, registry_access_refresh.timer is enabled and started.',
        ),
    ]
    quiet = {'changed': False, 'files': [], 'did': [], 'diff': []}
    assert found(refresh=quiet) == found(refresh={'skipped': True, 'changed': False}) == []


# All hosts


def left(**findings: t.Any) -> dict[str, t.Any]:
    return {**DONE, **{f'__registry_access_{name}': value for name, value in findings.items()}}


FLEET = {
    'web1': left(config=config({}, SAME), **engines(docker={}), probes={'docker.io': probed(('http://dead.lan', False), ('http://a.lan', True))['docker.io']}),
    'web2': left(config=config({}, SAME)),
    'web3': left(config=QUIET, **engines(docker={})),
    'web4': {'__registry_access_answered': {'unreachable': True, 'msg': 'No route to host'}},
}


@given(st.lists(st.sampled_from(list(_drift.KINDS)), unique=True))
def test_what_counts_is_chosen_and_all_is_told(kinds: list[str]) -> None:
    told = _drift.audit(FLEET, kinds)
    assert [(one['kind'], one['counts']) for here in told.values() for one in here] == [
        (one['kind'], one['kind'] in (*kinds, 'unreachable')) for here in _drift.audit(FLEET).values() for one in here
    ]
    for here in told.values():
        assert set(_drift.drifted(here)) == {one['sentence'] for one in here if one['kind'] in (*kinds, 'unreachable')}
    numbers = _drift.summary(told)
    assert numbers['hosts_without_drift'] == sum(not _drift.drifted(here) and all(one['kind'] != 'unreachable' for one in here) for here in told.values())


def test_hosts_share_what_one_of_them_probed() -> None:
    told = _drift.audit(FLEET)
    assert [one['kind'] for one in told['web3']] == ['spare']
    assert _drift.drifted(told['web3']) == []


def test_a_kind_that_is_not_known_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r'registry_access_audit_kinds: files is not known; name some of file, daemon'):
        _drift.audit({}, ['files'])


def test_kinds_may_be_given_as_the_command_line_gives_them() -> None:
    assert _drift.audit(FLEET, 'file, login') == _drift.audit(FLEET, ['file', 'login'])


def test_the_report_says_each_sentence_once_and_how_it_ended() -> None:
    text = _drift.render(_drift.audit(FLEET), 200)
    assert text.count('registry-mirrors is not there.') == 1
    assert '  - web1, web2: /etc/docker/daemon.json: registry-mirrors is not there.' in text
    assert 'Mirrors that do not serve, and that nothing uses (told, and no drift)\n  - web1, web3: http://dead.lan, ' in text
    assert '  - web4: It could not be reached: No route to host.' in text
    assert text.endswith('\n\nDrift on 3 of 4 hosts; 1 host not looked at to the end; no drift on 1 host.')


@pytest.mark.parametrize(
    'fleet, kinds, sentence',
    [
        ({}, _drift.COUNTED, 'No host was looked at.'),
        ({'a': DONE}, _drift.COUNTED, 'No drift on 1 host.'),
        ({'a': DONE, 'b': {}}, [], 'Drift on 1 of 2 hosts; 1 host not looked at to the end; no drift on 1 host.'),
        ({'a': {}}, _drift.COUNTED, 'Drift on 1 of 1 host; 1 host not looked at to the end.'),
    ],
)
def test_a_host_that_was_not_looked_at_never_has_no_drift(fleet: dict[str, t.Any], kinds: list[str], sentence: str) -> None:
    assert _drift.render(_drift.audit(fleet, kinds)).splitlines()[-1] == sentence


def test_the_data_of_the_report_has_the_sentences_and_the_findings() -> None:
    told = _drift.audit(FLEET)
    report = _report.as_data({'hosts': {name: {'engine': 'Docker 28', 'apply': {'applied': 'reload'}} for name in ('web1', 'web2', 'web3')}})
    data = _drift.merged(report, told)
    assert data['hosts']['web2'] == {
        **report['hosts']['web2'],
        'applied': '',
        'drift': [f'{DAEMON_JSON}: registry-mirrors is not there.'],
        'findings': told['web2'],
    }
    assert data['hosts']['web3']['drift'] == []
    assert (data['hosts']['web4']['skipped'], data['hosts']['web4']['drift']) == ('not reached', ['It could not be reached: No route to host.'])
    assert data['summary'] == {**report['summary'], 'hosts': 4, 'hosts_drifted': 3, 'hosts_unseen': 1, 'hosts_without_drift': 1}
    assert json.loads(json.dumps(data)) == data


@pytest.mark.parametrize('step', [{'unreachable': True, 'msg': 'Timed out.'}, {'results': [{'changed': False}, {'unreachable': True, 'msg': 'Timed out.'}]}])
@pytest.mark.parametrize('ended', [{'done': True}, {'failed': 'Timed out.'}])
def test_a_host_that_was_lost_on_the_way_was_not_looked_at(step: dict[str, t.Any], ended: dict[str, t.Any]) -> None:
    lost = {'__registry_access_engines': {'engines': {}}, '__registry_access_config': step, '__registry_access_audit': ended}
    (one,) = _drift.audit({'web1': lost})['web1']
    assert (one['kind'], one['sentence']) == ('unreachable', 'It was lost while it was looked at: Timed out.')


def test_no_sentence_holds_a_password() -> None:
    secret = 'http://user:secret@proxy.lan'
    step = {'failed': True, 'msg': f'{secret} was refused'}
    told = [*found(config=step), *found(config=config({'x': [secret]}, {'x': []})), *found(probed((secret, False)), **engines(docker={}))]
    assert len(told) == 4
    assert 'secret@' not in json.dumps(told)
