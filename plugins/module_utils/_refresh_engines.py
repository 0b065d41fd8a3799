# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engines of a host given the mirrors that a refresh chose: the same steps as in a run of the role, but for all that takes a restart.

K3s and RKE2 read their mirrors when they start, and BuildKit when a builder is made: both keep what the last run of the role gave them.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.quickpull.registry.plugins.module_utils import (
    _access,
    _daemon_config,
    _docker_apply,
    _docker_certs,
    _hosts_toml_work,
    _io,
    _owned_files,
    _registries_work,
    _service_apply,
)
from ansible_collections.quickpull.registry.plugins.module_utils._containerd_service import ContainerdService
from ansible_collections.quickpull.registry.plugins.module_utils._crio_service import CrioService
from ansible_collections.quickpull.registry.plugins.module_utils._docker_host import DockerHost
from ansible_collections.quickpull.registry.plugins.module_utils._engines import docker
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._k3s_service import K3sService
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, parse_mirrors
from ansible_collections.quickpull.registry.plugins.module_utils._plan import RELOAD, RESTART
from ansible_collections.quickpull.registry.plugins.module_utils._refresh_choice import Steady
from ansible_collections.quickpull.registry.plugins.module_utils._refresh_settings import Settings
from ansible_collections.quickpull.registry.plugins.module_utils._registry import DOCKER_HUB
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

MIRRORS_KEY = 'registry-mirrors'

Facts = t.Mapping[str, t.Any]
#: By upstream; an upstream of which nothing new is known is missing.
Results = t.Mapping[str, t.Sequence[t.Mapping[str, t.Any]]]


@dataclass(frozen=True)
class Done:
    """What became of the mirrors of one upstream in one engine.

    :ivar because: why they changed, or did not; ``error``: what went wrong, a sentence that holds no secret. Both may be empty.
    :ivar waits: why what was chosen is not in force.
    """

    engine: str
    upstream: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    changed: bool = False
    because: str = ''
    waits: str = ''
    error: str = ''


@dataclass(frozen=True)
class Work:
    """What the steps have in common. ``facts``: of the host, as container_engine_info tells them; ``here``: the engines to configure."""

    settings: Settings
    facts: Facts
    results: Results
    steady: Steady = field(repr=False)
    state: State = field(default_factory=State)

    @property
    def engines(self) -> Facts:
        return t.cast('Facts', self.facts['engines'])

    @property
    def here(self) -> list[str]:
        return _access.engines_here(self.settings.engines, self.engines)['configured']

    def listed(self) -> dict[str, t.Sequence[t.Any]]:
        """The candidates of those upstreams of which there are results."""
        return {name: mirrors for name, mirrors in self.settings.mirrors.items() if name in self.results}


def in_force(settings: Settings, facts: Facts, upstream: str) -> dict[str, list[str]]:
    """By each engine that a refresh gives mirrors of an upstream, the candidates that it has. CRI-O reads Podman's files."""
    engines = facts['engines']
    here = _access.engines_here(settings.engines, engines)['configured']
    found = {}
    for engine in dict.fromkeys('podman' if name == 'crio' else name for name in here if name not in ('k3s', 'rke2')):
        known = engines.get(engine) or {}
        if engine == 'docker' and upstream != DOCKER_HUB and not known.get('reads_hosts_toml'):
            continue
        held = known.get('registry_mirrors') if engine == 'docker' and upstream == DOCKER_HUB else (known.get('mirrors') or {}).get(upstream)
        places = {_access.place_for(Mirror(url), engine) for url in held or ()}
        found[engine] = [one.url for one in parse_mirrors(list(settings.mirrors.get(upstream, ()))) if _access.place_for(one, engine) in places - {''}]
    return found


def upstreams(settings: Settings, facts: Facts) -> list[str]:
    """The upstreams that an engine of this host takes mirrors of, and that have candidates."""
    here = _access.engines_here(settings.engines, facts['engines'])['configured']
    takers = [name for name in here if name not in ('k3s', 'rke2')]
    hub = [DOCKER_HUB] if takers and settings.mirrors.get(DOCKER_HUB) else []
    return hub + _access.other_upstreams(settings.mirrors, takers, facts['engines'].get('docker') or {})


def refresh(work: Work) -> list[Done]:
    """Let each engine of the host have what is chosen for it. What goes wrong with one does not keep the others from theirs."""
    steps: dict[str, t.Callable[[Work, list[Done]], None]] = {'docker': _docker, 'containerd': _containerd, 'podman': _podman}
    done: list[Done] = []
    here = {'podman' if name == 'crio' else name for name in work.here}
    for engine, step in steps.items():
        if engine in here:
            try:
                step(work, done)
            except (ConfigError, OSError) as exc:
                done.append(Done(engine, '', error=str(exc)))
            except Exception as exc:  # noqa: BLE001  pylint: disable=broad-except
                # A fault of ours with one engine must not cost the others their mirrors.
                done.append(Done(engine, '', error=f'{type(exc).__name__}: {exc}'))
    return done


def pending(work: Work) -> dict[str, str]:
    """Engines that a restart is needed for, which a refresh never makes: by engine, why."""
    plans: dict[str, t.Callable[[], t.Any]] = {
        'docker': lambda: _daemon(work)[1].plan,
        'containerd': lambda: ContainerdService(work.state).plan(),
        'crio': lambda: CrioService(work.state).plan(),
        'k3s': lambda: K3sService('k3s', work.state).plan(),
        'rke2': lambda: K3sService('rke2', work.state).plan(),
    }
    found = {}
    for engine in work.here:
        try:
            plan = plans[engine]() if engine in plans else None
        except (ConfigError, OSError):
            continue  # told where the engine was refreshed
        if plan is not None and plan.action == RESTART:
            found[engine] = ' '.join(plan.reasons)
    return found


# -- Docker


def _docker(work: Work, done: list[Done]) -> None:
    facts = work.engines['docker']
    if facts.get('reads_hosts_toml'):
        done += _hosts_toml(work, 'docker', facts.get('mirrors') or {}, without=(DOCKER_HUB,))
    if DOCKER_HUB in work.results and work.settings.mirrors.get(DOCKER_HUB):
        done.append(_hub(work))


def _hub(work: Work) -> Done:
    settings, facts = work.settings, work.engines['docker']
    before = tuple(facts.get('registry_mirrors') or ())
    if docker.inspect(str(facts.get('config_path') or '') or None, with_logins=False).reported is None:
        # It has not said which mirrors it has, so there is nothing to compare with; it may only be busy.
        return Done('docker', DOCKER_HUB, before, before, waits='Docker does not run or does not answer, so its mirrors are left as they are.')
    choice = _access.choose(
        settings.mirrors[DOCKER_HUB], work.results[DOCKER_HUB], before, settings.policy,
        _access.limits_of(facts, settings.leak_policy, settings.hub_login), settings.own.get(DOCKER_HUB, ()), work.steady.chooser('docker'),
    )  # fmt: skip
    done = Done('docker', DOCKER_HUB, before, before, because=work.steady.because.get(('docker', DOCKER_HUB), ''))
    if not choice['alive']:
        return done
    options, foreseen = _daemon(work, choice['mirrors'])
    if MIRRORS_KEY in foreseen.plan.restart_keys:
        # A change of the file that a reload would not bring into force would wait there for whoever restarts Docker.
        return replace(done, waits='This Docker takes other mirrors by a restart alone.')
    if foreseen.changed or foreseen.plan.interrupted or MIRRORS_KEY in foreseen.plan.reload_keys:
        _certificates(work, choice['mirrors'])
        daemon = docker.inspect(options.path)
        outcome = _daemon_config.configure(options, work.state, daemon, check_mode=False)
        if outcome.plan.interrupted or MIRRORS_KEY in outcome.plan.reload_keys:
            allowed = _docker_apply.Options(options.path, restart='never', start=False, timeout=settings.apply_timeout)
            _docker_apply.apply(DockerHost(options.path), work.state, allowed)
    return replace(done, after=foreseen.mirrors, changed=foreseen.changed)


def _daemon(work: Work, mirrors: t.Sequence[t.Any] | None = None) -> tuple[_daemon_config.Options, _daemon_config.Outcome]:
    """What writing these mirrors would do; without mirrors, what the daemon needs as it is."""
    settings = work.settings
    options = _daemon_config.Options(
        str(work.engines['docker'].get('config_path') or ''), settings.owner, registry_mirrors=mirrors, exclusive=settings.exclusive,
        validate=settings.validate, backup=settings.backup, mirror_login_leak=settings.leak_policy, hub_login=settings.hub_login,
    )  # fmt: skip
    daemon = docker.inspect(options.path or None)
    options = _daemon_config.with_path(options, daemon)
    return options, _daemon_config.configure(options, work.state, daemon, check_mode=True)


def _certificates(work: Work, mirrors: t.Sequence[t.Any]) -> None:
    """Before the mirrors, as in the role."""
    if not _access.docker_certs(mirrors, work.engines['docker'])['write']:
        return
    with _io.locked(work.state):
        record = _owned_files.load(work.state, _docker_certs.KIND)
        wanted = _docker_certs.plan(record, work.settings.owner, _docker_certs.DIRECTORY, parse_mirrors(list(mirrors)), overwrite=work.settings.overwrite)
        _owned_files.apply(work.state, _docker_certs.KIND, wanted.files)


# -- engines whose mirrors are files for each upstream


def _containerd(work: Work, done: list[Done]) -> None:
    done += _hosts_toml(work, 'containerd', work.engines['containerd'].get('mirrors') or {})


def _chosen(work: Work, engine: str, current: t.Mapping[str, t.Sequence[str]], without: t.Collection[str] = ()) -> dict[str, t.Any]:
    settings = work.settings
    # Only Podman knows its mirrors by another name than the URL.
    kind = engine if engine == 'podman' else ''
    return _access.choose_upstreams(work.listed(), work.results, current, settings.policy, without, kind, settings.own, work.steady.chooser(engine))


def _hosts_toml(work: Work, engine: str, current: t.Mapping[str, t.Sequence[str]], without: t.Collection[str] = ()) -> list[Done]:
    choice = _chosen(work, engine, current, without)
    if not choice['upstreams']:
        return []
    params = {
        'engine': engine,
        'upstreams': choice['upstreams'],
        'owner': work.settings.owner,
        'state': 'present',
        'directory': None,
        'overwrite': work.settings.overwrite,
        'set_config_path': False,  # config.toml is read at a start alone
        'dial_timeout': 5.0,
    }
    told = _hosts_toml_work.run(params, False, work.state, _hosts_toml_work.Hosts())
    return _done(work, engine, current, told)


def _podman(work: Work, done: list[Done]) -> None:
    current = (work.engines.get('podman') or {}).get('mirrors') or {}
    choice = _chosen(work, 'podman', current)
    if not choice['upstreams']:
        return
    params = {
        'upstreams': choice['upstreams'],
        'owner': work.settings.owner,
        'state': 'present',
        'directory': None,
        'overwrite': work.settings.overwrite,
        'validate': 'never' if work.settings.validate == 'never' else 'auto',
    }
    for user in work.settings.podman_users:
        try:
            _registries_work.run({**params, 'user': user}, False, _registries_work.Hosts(), work.state)
        except (ConfigError, OSError) as exc:  # of one user, who may be gone
            done.append(Done('podman', '', error=f'{user}: {exc}'))
    told = _registries_work.run({**params, 'user': None}, False, _registries_work.Hosts(), work.state)
    done += _done(work, 'podman', current, told)
    if told['plan']['action'] == RELOAD:
        _service_apply.apply(CrioService(work.state), _service_apply.Options('never', True, work.settings.apply_timeout))


def _done(work: Work, engine: str, current: t.Mapping[str, t.Sequence[str]], told: t.Mapping[str, t.Any]) -> list[Done]:
    """A line for each upstream that has a file."""
    files = {one['upstream']: one for one in told['files'] if one['upstream'] and one['mirrors'] is not None}
    found = []
    for name, one in files.items():
        because = work.steady.because.get((engine, name), '')
        if one['changed']:
            edited = [text for text in told['warnings'] if text.startswith(f'{one["path"]} {_owned_files.EDITED}')]
            because = ' '.join([because, *edited]).strip() or f'{one["path"]} was not as this collection writes it.'
        found.append(Done(engine, name, tuple(current.get(name) or ()), tuple(one['mirrors']), one['changed'], because))
    return found
