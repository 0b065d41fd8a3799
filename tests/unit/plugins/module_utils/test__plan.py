# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change needs: a table of cases, and laws that hold for all of them."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing as t

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _plan
from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DockerDaemon, Flag, Reported
from ansible_collections.quickpull.registry.plugins.module_utils._in_force import ABSENT, InForce, flatten, hash_value, in_force_from
from ansible_collections.quickpull.registry.plugins.module_utils._plan import DROPIN, Plan, make_plan, restart_allowed
from ansible_collections.quickpull.registry.plugins.modules import docker_daemon_apply, docker_daemon_config, engine_proxy_dropin

KEY = b'k' * 32
LOOPBACK = ('127.0.0.0/8', '::1/128')
EVERYTHING = [
    '/registry-mirrors', '/insecure-registries', '/live-restore', '/proxies', '/log-driver', '/log-opts', '/debug', '/labels', '/features', '/data-root',
]


def reported(**changes: t.Any) -> Reported:
    values: dict[str, t.Any] = {
        'mirrors': (), 'insecure_registries': LOOPBACK, 'http_proxy': '', 'https_proxy': '', 'no_proxy': '', 'live_restore': False,
        'image_store': 'graphdriver', 'registry_config': {}, 'swarm_active': False, 'raw': {},
    }
    return Reported(**{**values, **changes})


def a_daemon(version: str = '26.1.5', said: t.Optional[Reported] = None, **changes: t.Any) -> DockerDaemon:
    values: dict[str, t.Any] = {
        'installed': True, 'version': version, 'unit': 'docker.service', 'active_state': 'active', 'main_pid': 7, 'start_id': 'boot:1:7',
        'started_at': 1000.0, 'reported': said or reported(),
    }
    return DockerDaemon(**{**values, **changes})


def in_force_of(config: dict[str, t.Any], **changes: t.Any) -> InForce:
    return dataclasses.replace(in_force_from(config, KEY), **changes)


def as_reported(config: dict[str, t.Any]) -> Reported:
    """What a daemon reports that was started with the file."""
    proxies = config.get('proxies', {})
    return reported(
        mirrors=_plan.wanted_mirrors(config.get('registry-mirrors', ())),
        insecure_registries=(*sorted(_plan.wanted_insecure(config.get('insecure-registries', ()))), *LOOPBACK),
        live_restore=config.get('live-restore', False),
        **{key.replace('-', '_'): _plan.mask_url(proxies.get(key, '')) for key in _plan.PROXY_KEYS},
    )


@dataclasses.dataclass(frozen=True)
class Case:
    """The file, what is in force, and what the plan must be. ``plan`` names only the fields that matter."""

    name: str
    config: dict[str, t.Any]
    running: dict[str, t.Any]
    plan: dict[str, t.Any]
    owned: t.Sequence[str] = tuple(EVERYTHING)
    daemon: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    known: t.Optional[InForce] = None
    said: dict[str, t.Any] = dataclasses.field(default_factory=dict)


M = 'http://m.lan:5000'
SECRET = 'http://u:one@proxy.lan:3128'

CASES = [
    Case('nothing changed', {'registry-mirrors': [M], 'debug': True}, {'registry-mirrors': [M + '/'], 'debug': True}, {'action': 'none'}),
    Case('mirrors', {'registry-mirrors': [M]}, {}, {'action': 'reload', 'reload_keys': ('registry-mirrors',), 'restart_keys': ()}),
    Case('order of mirrors', {'registry-mirrors': ['http://b', 'http://a']}, {'registry-mirrors': ['http://a', 'http://b']}, {'action': 'reload'}),
    Case('spelling of mirrors', {'registry-mirrors': ['HTTP://M.lan:80/', 'http://m.lan']}, {'registry-mirrors': ['http://m.lan/']}, {'action': 'none'}),
    Case('emptied list', {'registry-mirrors': []}, {'registry-mirrors': [M]}, {'action': 'reload', 'reload_keys': ('registry-mirrors',)}),
    Case('emptied list in force', {'registry-mirrors': []}, {}, {'action': 'none'}),
    Case('our key gone without being emptied', {}, {'registry-mirrors': [M]}, {'action': 'restart', 'restart_keys': ('registry-mirrors',)}),
    Case('foreign key gone', {}, {'registry-mirrors': [M]}, {'action': 'none', 'also_activates': ('registry-mirrors',)}, owned=()),
    Case(
        'order of insecure registries', {'insecure-registries': ['b:5000', '10.1.2.3/8']}, {'insecure-registries': ['10.0.0.0/8', 'B:5000']},
        {'action': 'none'},
    ),
    Case('insecure registries', {'insecure-registries': ['b:5000']}, {}, {'action': 'reload', 'reload_keys': ('insecure-registries',)}),
    Case('live-restore', {'live-restore': True}, {}, {'action': 'reload', 'reload_keys': ('live-restore',)}),
    Case('live-restore gone', {}, {'live-restore': True}, {'action': 'restart', 'restart_keys': ('live-restore',)}),
    Case('labels', {'labels': ['a=b']}, {}, {'action': 'reload', 'reload_keys': ('labels',)}),
    Case('a feature gone', {'features': {'buildkit': True}}, {'features': {'buildkit': True, 'x': True}}, {'action': 'reload', 'reload_keys': ('features.x',)}),
    Case('all features gone', {}, {'features': {'x': True}}, {'action': 'reload', 'reload_keys': ('features.x',)}),
    Case('empty object says nothing', {'features': {}, 'log-opts': {}}, {}, {'action': 'none', 'unknown_keys': ()}),
    Case(
        'image store', {'features': {'containerd-snapshotter': True}}, {},
        {'action': 'restart', 'disruptive_keys': ('features.containerd-snapshotter',), 'blockers': ('disruptive',)},
    ),
    Case('log options', {'log-opts': {'max-size': '9m'}}, {'log-opts': {'max-size': '1m'}}, {'action': 'restart', 'restart_keys': ('log-opts.max-size',)}),
    Case('true is not 1', {'debug': 1}, {'debug': True}, {'action': 'reload'}),
    Case('unknown key', {'bogus': 1}, {}, {'action': 'restart', 'restart_keys': ('bogus',)}, owned=['bogus']),
    Case(
        'both kinds', {'registry-mirrors': [M], 'log-driver': 'local'}, {},
        {'action': 'restart', 'reload_keys': ('registry-mirrors',), 'restart_keys': ('log-driver',)},
    ),
    Case(
        'reload takes foreign keys along', {'registry-mirrors': [M], 'labels': ['x=y'], 'log-driver': 'local'}, {},
        {'action': 'reload', 'also_activates': ('labels',)}, owned=['/registry-mirrors'],
    ),
    Case(
        'restart takes all foreign keys along', {'labels': ['x=y'], 'log-driver': 'local', 'bip': '10.9.0.1/24'}, {},
        {'action': 'restart', 'restart_keys': ('log-driver',), 'also_activates': ('bip', 'labels')}, owned=['/log-driver'],
    ),
    Case('only foreign keys', {'labels': ['x=y'], 'bip': '10.9.0.1/24'}, {}, {'action': 'none', 'also_activates': ('bip', 'labels')}, owned=()),
    Case(
        'foreign disruptive key blocks', {'log-driver': 'local', 'data-root': '/x'}, {},
        {'action': 'restart', 'disruptive_keys': (), 'blockers': ('disruptive',)}, owned=['/log-driver'],
    ),
    Case(
        'nothing known', {'log-driver': 'local', 'registry-mirrors': [M]}, {},
        {'action': 'reload', 'reload_keys': ('registry-mirrors',), 'unknown_keys': ('log-driver',)}, known=InForce(key=KEY),
    ),
    Case(
        'we took it away, nobody owns it now', {}, {},
        {'action': 'restart', 'restart_keys': ('log-driver',)}, owned=(),
        known=InForce({'/log-driver': hash_value(KEY, 'local')}, False, frozenset({'/log-driver'}), KEY),
    ),
    Case(
        'we added it, nothing else known', {'log-driver': 'local'}, {},
        {'action': 'restart', 'restart_keys': ('log-driver',)}, owned=(),
        known=InForce({'/log-driver': ABSENT}, False, frozenset({'/log-driver'}), KEY),
    ),
    Case('proxy', {'proxies': {'https-proxy': 'http://p:1'}}, {}, {'action': 'restart', 'restart_keys': ('proxies.https-proxy',)}),
    Case('proxy in force', {'proxies': {'https-proxy': SECRET}}, {'proxies': {'https-proxy': SECRET}}, {'action': 'none'}),
    Case('other password', {'proxies': {'https-proxy': SECRET}}, {'proxies': {'https-proxy': 'http://u:two@proxy.lan:3128'}}, {'action': 'restart'}),
    Case(
        'password not known', {'proxies': {'https-proxy': SECRET}}, {'proxies': {'https-proxy': SECRET}},
        {'action': 'none', 'unknown_keys': ('proxies.https-proxy',)}, known=InForce(key=KEY),
    ),
    Case(
        'without a password the daemon says it all', {'proxies': {'http-proxy': 'http://p:1', 'no-proxy': 'a,b'}},
        {'proxies': {'http-proxy': 'http://p:1', 'no-proxy': 'a,b'}},
        {'action': 'none', 'unknown_keys': ()}, known=InForce(key=KEY),
    ),
    Case(
        'proxy from the environment', {}, {}, {'action': 'none'},
        daemon={'environ': {'http_proxy': SECRET}}, said={'http_proxy': 'http://xxxxx:xxxxx@proxy.lan:3128'},
    ),
    Case(
        'proxy of the file gone, environment takes over', {}, {'proxies': {'http-proxy': 'http://p:1'}}, {'action': 'restart'},
        daemon={'environ': {'HTTP_PROXY': 'http://q:1'}},
    ),
    Case('proxies before 23', {'proxies': {'http-proxy': 'http://p:1'}}, {}, {'action': 'restart'}, daemon={'version': '20.10.24'}),
    Case(
        'mirrors by flag', {}, {}, {'action': 'none', 'also_activates': ()},
        daemon={'flags': (Flag('registry-mirror', 'registry-mirrors', (M,), 'unit', '/u'),)}, said={'mirrors': (M + '/',)},
    ),
    Case(
        'live-restore by flag', {}, {}, {'action': 'none', 'also_activates': ()},
        daemon={'flags': (Flag('live-restore', 'live-restore', ('true',), 'unit', '/u'),)}, said={'live_restore': True},
    ),
    Case(
        'moby#45552', {'registry-mirrors': [M], 'insecure-registries': ['b:5000']}, {'insecure-registries': ['b:5000']},
        {'action': 'restart', 'reload_keys': (), 'restart_keys': ('registry-mirrors',)}, daemon={'version': '23.0.6'},
    ),
    Case('moby#45552 spares ranges', {'registry-mirrors': [M], 'insecure-registries': ['10.0.0.0/8']}, {}, {'action': 'reload'}, daemon={'version': '24.0.0'}),
    Case('moby#45552 is mended', {'registry-mirrors': [M], 'insecure-registries': ['b:5000']}, {}, {'action': 'reload'}, daemon={'version': '23.0.7'}),
    Case('moby#45552 came with 23', {'registry-mirrors': [M], 'insecure-registries': ['b:5000']}, {}, {'action': 'reload'}, daemon={'version': '20.10.24'}),
    Case(
        'what the daemon tells beyond that', {'labels': ['a=b'], 'debug': False, 'log-driver': 'local', 'default-runtime': 'runc', 'mtu': 9}, {},
        {'reload_keys': ('labels',), 'restart_keys': ('log-driver',), 'unknown_keys': ('mtu',)}, known=InForce(key=KEY),
        said={'raw': {'Labels': [], 'Debug': False, 'LoggingDriver': 'json-file', 'DefaultRuntime': 'runc'}},
    ),
    Case('not running', {'registry-mirrors': [M]}, {}, {'action': 'none', 'reload_keys': ()}, daemon={'start_id': None, 'main_pid': 0}),
    Case('another file', {'registry-mirrors': [M]}, {}, {'action': 'none'}, daemon={'config_path': '/x.json'}),
    Case('swarm', {'log-driver': 'local'}, {}, {'blockers': ('swarm',)}, said={'swarm_active': True}),
    Case('dependents', {'log-driver': 'local'}, {}, {'blockers': ('dependents',)}, daemon={'dependents': ('app.service',)}),
    Case('upgraded', {'log-driver': 'local'}, {}, {'blockers': ('binary_replaced',)}, daemon={'binary_replaced': True}),
    Case('containers', {'log-driver': 'local'}, {}, {'blockers': ('live_restore',)}, daemon={'containers_running': 2, 'containers_lost': ('a',)}),
    Case('containers, live-restore', {'log-driver': 'local', 'live-restore': True}, {'live-restore': True}, {'blockers': ()}, daemon={'containers_running': 2}),
    Case(
        'live-restore switched off in the same change', {'log-driver': 'local', 'live-restore': False}, {'live-restore': True},
        {'blockers': ('live_restore_off',)}, daemon={'containers_running': 2}, said={'live_restore': True},
    ),
    Case('blockers are for restarts', {'registry-mirrors': [M]}, {}, {'blockers': ()}, daemon={'containers_running': 2, 'binary_replaced': True}),
]


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_cases(case: Case) -> None:
    said = dataclasses.replace(as_reported(case.running), **case.said)
    daemon = a_daemon(**{'said': said, **case.daemon})
    known = case.known if case.known is not None else in_force_of(case.running)

    plan = make_plan(case.config, daemon, known, case.owned)

    assert {name: getattr(plan, name) for name in case.plan} == case.plan
    assert 'u:one' not in ' '.join(plan.reasons + plan.blocked_because)
    assert len(plan.blockers) == len(plan.blocked_because)


def test_silent_daemon_blocks_a_restart() -> None:
    daemon = dataclasses.replace(a_daemon(), reported=None)
    plan = make_plan({'log-driver': 'local'}, daemon, in_force_of({}), ['log-driver'])
    assert (plan.action, plan.blockers) == ('restart', ('unreachable',))


@pytest.mark.parametrize(
    ('environ', 'dropin', 'action'),
    [
        ({}, None, 'none'),
        ({}, {}, 'none'),
        ({}, {'HTTP_PROXY': 'http://p:1'}, 'restart'),
        ({'HTTP_PROXY': 'http://p:1'}, {'HTTP_PROXY': 'http://p:1'}, 'none'),
        ({'HTTP_PROXY': 'http://u:a@p:1'}, {'HTTP_PROXY': 'http://u:b@p:1'}, 'restart'),
        ({'HTTP_PROXY': 'http://p:1'}, {'HTTP_PROXY': ''}, 'restart'),
        ({}, {'HTTP_PROXY': ''}, 'none'),
    ],
)
def test_dropin(environ: dict[str, str], dropin: t.Optional[dict[str, str]], action: str) -> None:
    plan = make_plan({}, a_daemon('20.10.24', environ=environ), in_force_of({}), [], dropin_environ=dropin)
    assert plan.action == action
    assert plan.restart_keys == ((DROPIN,) if action == 'restart' else ())


def test_the_documentation_names_every_blocker() -> None:
    made = set(re.findall(r"found\['(\w+)'\]", inspect.getsource(_plan._blockers)))
    assert len(made) >= 7
    told = re.search(r':ivar blockers:(.*?):ivar', _plan.Plan.__doc__ or '', re.S)
    assert told is not None
    assert set(re.findall(r'``(\w+)``', told.group(1))) == made
    for module in (docker_daemon_apply, docker_daemon_config, engine_proxy_dropin):
        sentences = yaml.safe_load(module.RETURN)['plan']['contains']['blockers']['description']
        assert set(re.findall(r'V\((\w+)\)', ' '.join(sentences))) == made, module.__name__


WAITING = {'HTTP_PROXY': 'http://p:1'}
BUSY: dict[str, t.Any] = {'containers_running': 2, 'dependents': ('billing.service',)}


def test_a_dropin_says_what_stands_in_the_way() -> None:
    config = {'log-level': 'debug', 'data-root': '/x', 'labels': ['a=b'], 'registry-mirrors': ['http://a']}
    daemon = a_daemon('20.10.24', **BUSY)
    plan = _plan.dropin_plan(config, daemon, in_force_of({}), ['log-level'], WAITING, ['It waits.'])
    assert (plan.action, plan.restart_keys, plan.reload_keys, plan.reasons) == ('restart', (DROPIN,), (), ('It waits.',))
    assert plan.blockers == ('dependents', 'live_restore', 'disruptive')
    assert plan.blockers == make_plan(config, daemon, in_force_of({}), ['log-level'], dropin_environ=WAITING).blockers
    assert 'labels' in plan.also_activates


def test_a_dropin_in_force_needs_nothing_whatever_else_waits() -> None:
    daemon = a_daemon('20.10.24', environ=WAITING, **BUSY)
    assert _plan.dropin_plan({'log-level': 'debug'}, daemon, in_force_of({}), ['log-level'], WAITING, []) == Plan()


@pytest.mark.parametrize(
    ('blockers', 'restart', 'first', 'allowed', 'live'),
    [
        ((), 'auto', False, True, False),
        ((), 'never', True, False, False),
        (('swarm', 'disruptive'), 'always', False, True, False),
        (('live_restore',), 'auto', False, False, False),
        (('live_restore',), 'auto', True, True, True),
        (('live_restore',), 'always', True, True, True),
        (('swarm', 'live_restore'), 'auto', True, False, False),
        (('disruptive',), 'auto', True, False, False),
    ],
)
def test_permission(blockers: tuple[str, ...], restart: str, first: bool, allowed: bool, live: bool) -> None:
    plan = Plan(action='restart', blockers=blockers, blocked_because=tuple(f'{name}.' for name in blockers))
    permission = restart_allowed(plan, restart, first)
    assert (permission.allowed, permission.live_restore_first) == (allowed, live)
    assert bool(permission.because) is not allowed


def test_plan_as_dict_is_plain() -> None:
    plain = _plan.as_dict(Plan(action='reload', reload_keys=('a',)))
    assert plain['reload_keys'] == ['a']
    assert set(plain) == {field.name for field in dataclasses.fields(Plan)}
    assert not any(isinstance(value, tuple) for value in plain.values())


# -- laws

configs = st.fixed_dictionaries(
    {},
    optional={
        'registry-mirrors': st.lists(st.sampled_from(['http://a', 'http://b/', 'https://c:5000'])),
        'insecure-registries': st.lists(st.sampled_from(['a:5000', '10.0.0.0/8', 'b'])),
        'live-restore': st.booleans(),
        'debug': st.booleans(),
        'labels': st.lists(st.sampled_from(['a=1', 'b=2'])),
        'log-driver': st.sampled_from(['local', 'json-file']),
        'log-opts': st.dictionaries(st.sampled_from(['max-size', 'max-file']), st.sampled_from(['1', '2'])),
        'features': st.dictionaries(st.sampled_from(['buildkit', 'containerd-snapshotter']), st.booleans()),
        'proxies': st.fixed_dictionaries({}, optional={'http-proxy': st.sampled_from(['http://p:1', SECRET]), 'no-proxy': st.just('a,b')}),
        'data-root': st.sampled_from(['/a', '/b']),
        'bogus': st.integers(0, 2),
    },
)
owners = st.sets(st.sampled_from([*EVERYTHING, '/bogus', '/log-opts/max-size']))
versions = st.sampled_from(['20.10.24', '23.0.6', '26.1.5', '28.5.2', 'unknown'])


@given(config=configs, owned=owners, version=versions)
def test_what_is_in_force_needs_nothing(config: dict[str, t.Any], owned: set[str], version: str) -> None:
    plan = make_plan(config, a_daemon(version, as_reported(config)), in_force_of(config), owned)
    assert plan == Plan()


@given(config=configs, running=configs, owned=owners, version=versions)
def test_laws(config: dict[str, t.Any], running: dict[str, t.Any], owned: set[str], version: str) -> None:
    plan = make_plan(config, a_daemon(version, as_reported(running)), in_force_of(running), owned)
    mine, theirs = {*plan.reload_keys, *plan.restart_keys}, {*plan.also_activates}
    assert not {*plan.reload_keys} & {*plan.restart_keys}
    assert not mine & theirs
    assert {*plan.disruptive_keys} <= {*plan.restart_keys}
    assert plan.action == ('restart' if plan.restart_keys else 'reload' if plan.reload_keys else 'none')
    assert all(any(name.startswith(one[1:].split('/')[0]) for one in owned) for name in mine)
    assert plan.unknown_keys == ()  # all is known here
    if not owned:
        assert plan.action == 'none'


@given(config=configs, owned=owners, version=versions)
def test_what_nobody_knows_is_no_reason_to_restart(config: dict[str, t.Any], owned: set[str], version: str) -> None:
    plan = make_plan(config, a_daemon(version, as_reported(config)), InForce(key=KEY), owned)
    assert plan.action == 'none'
    assert {*plan.unknown_keys} <= {'.'.join(where[1:].split('/')) for where in flatten(config)}


@given(before=configs, after=configs)
def test_there_and_back_needs_nothing(before: dict[str, t.Any], after: dict[str, t.Any]) -> None:
    """A change that was undone before it was applied leaves nothing to do, although we wrote the keys."""
    written = frozenset(flatten(before)) | frozenset(flatten(after))
    plan = make_plan(before, a_daemon(said=as_reported(before)), in_force_of(before, written=written), ())
    assert plan == Plan()
