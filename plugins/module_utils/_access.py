# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The decisions of the role registry_access, taken on the controller: plain functions over plain values."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils import _buildkitd_toml, _catalog, _k3s_registries, _leak_guard
from ansible_collections.quickpull.registry.plugins.module_utils._certs_dir import has_certs
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._hub_logins import is_hub
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, host_of, normalise_url, parse_mirrors, place_of
from ansible_collections.quickpull.registry.plugins.module_utils._plan import NONE, RELOAD, RESTART, Plan, as_dict, restart_allowed
from ansible_collections.quickpull.registry.plugins.module_utils._registries_conf import check_upstream, mirror_entry
from ansible_collections.quickpull.registry.plugins.module_utils._registry import DOCKER_HUB, split_image
from ansible_collections.quickpull.registry.plugins.module_utils._report import HELD_BACK, UNREACHABLE
from ansible_collections.quickpull.registry.plugins.module_utils._select import Policy, Selection, parse_policy, select_with_own
from ansible_collections.quickpull.registry.plugins.module_utils._sharing import direct_no_proxy, mirror_urls, mirrors_for_daemon
from ansible_collections.quickpull.registry.plugins.module_utils._why import why, with_why

# Tags that narrow what a run configures. A run with none of them configures everything. The first three are of the daemon's files.
DAEMON_PARTS = ('mirrors', 'proxies', 'settings')
PARTS = (*DAEMON_PARTS, 'auths')
# It goes with the mirrors, and by itself where a run asks for it.
_REFRESH = 'refresh'

_PART_OF = {'registry_mirrors': 'mirrors', 'insecure_registries': 'mirrors', 'proxies': 'proxies', 'settings': 'settings'}

# Engines that the role configures, in the order in which it does.
ENGINES = ('docker', 'containerd', 'podman', 'crio', 'k3s', 'rke2')

# Names that no other role has: where two loaded roles have a handler of one name, a bare notify reaches the last one.
RELOAD_HANDLER = 'Reload {} for registry_access'
RESTART_HANDLER = 'Restart {} for registry_access'

# How mirrors are chosen: by the upstream, the results of the probe, the mirrors in force, the policy, and the URLs of caches of one's own.
Chooser = t.Callable[[str, t.Sequence[t.Mapping[str, t.Any]], t.Sequence[str], Policy, t.Collection[str]], Selection]


def by_one_probe(
    _upstream: str, results: t.Sequence[t.Mapping[str, t.Any]], current: t.Sequence[str], policy: Policy, own: t.Collection[str]
) -> Selection:
    """What a run of the role goes by; who probes again and again remembers more, see :mod:`_stability`."""
    return select_with_own(results, current, policy, own)


def parts_in_run(run_tags: t.Sequence[str], skip_tags: t.Sequence[str] = ()) -> list[str]:
    """Which of :data:`PARTS` a run with these ``--tags`` and ``--skip-tags`` is about.

    Tags of other people's plays say nothing about ours, so they narrow nothing.
    """
    asked = [part for part in (*PARTS, _REFRESH) if part in run_tags] or list(PARTS)
    return [part for part in asked if part not in skip_tags]


def engines_here(wanted: t.Any, looked: t.Mapping[str, t.Any], state: str = 'present') -> dict[str, list[str]]:
    """Which engines of a host the role configures.

    :param wanted: ``auto``, or names of :data:`ENGINES`. ``auto`` means all that are there, but for a containerd that only Docker uses: nobody pulls
        through it, so it is not worth a restart.
    :param looked: what container_engine_info found, by engine.
    :param state: with ``absent`` all that are there are looked through, whoever uses them by now.
    :returns: ``configured``, and ``absent``, those that are named and not there.
    :raises ConfigError: for an engine that is not known.
    """
    if wanted == 'auto':
        there = [name for name in ENGINES if name in looked and (state == 'absent' or not looked[name].get('for_docker_alone'))]
        return {'configured': there, 'absent': []}
    named = [wanted] if isinstance(wanted, str) else list(wanted or ())
    unknown = [str(name) for name in named if name not in ENGINES]
    if unknown:
        raise ConfigError(f'registry_access_engines: {", ".join(unknown)} is not known; write auto, or a list of {", ".join(ENGINES)}.', key='engines')
    return {'configured': [name for name in ENGINES if name in named and name in looked], 'absent': [name for name in named if name not in looked]}


def added_up(*parts: t.Mapping[str, t.Any] | None) -> dict[str, list[t.Any]] | None:
    """Mirrors from several places, such as those of a host, of its site and of all, the nearest first; None where none says anything.

    An empty dict anywhere says that mirrors are managed; upstreams add up, and a mirror stands where it is named first.
    """
    given = [part for part in parts if part is not None]
    if not given:
        return None
    together: dict[str, list[t.Any]] = {}
    for part in given:
        if not isinstance(part, t.Mapping):
            raise ConfigError("registry_access_mirrors: a dict of upstreams is expected, such as {'docker.io': ['https://mirror.example.com']}.")
        for upstream, mirrors in part.items():
            if isinstance(mirrors, (str, t.Mapping)) or not isinstance(mirrors, t.Sequence):
                raise ConfigError(f'registry_access_mirrors: {upstream} takes a list of mirrors.', key=str(upstream))
            try:
                check_upstream(str(upstream))
            except ConfigError as exc:
                raise ConfigError(str(exc).replace('upstreams:', 'registry_access_mirrors:', 1), key=str(upstream)) from exc
            together.setdefault(str(upstream), []).extend(mirrors)
    return together


def all_candidates(mirrors: t.Mapping[str, t.Any] | None, catalog: t.Sequence[t.Mapping[str, t.Any]] = (), trust: str = 'content') -> dict[str, list[t.Any]]:
    """The candidates of each upstream that this run is about; see :func:`candidates`."""
    names = dict.fromkeys([*(mirrors or {}), *(row['upstream'] for row in catalog if row['url'])])
    return {name: candidates(mirrors, name, catalog, trust) for name in names}


def other_upstreams(listed: t.Mapping[str, t.Sequence[t.Any]], engines: t.Collection[str], docker: t.Mapping[str, t.Any]) -> list[str]:
    """Upstreams besides Docker Hub that are to be probed, because an engine of the host takes mirrors of them."""
    takes = bool({'containerd', 'podman', 'crio', 'k3s', 'rke2', 'buildkit'} & set(engines)) or ('docker' in engines and docker.get('reads_hosts_toml', False))
    return [name for name, mirrors in listed.items() if takes and mirrors and name != DOCKER_HUB]


def choose_upstreams(
    listed: t.Mapping[str, t.Sequence[t.Any]] | None,
    results: t.Mapping[str, t.Sequence[t.Mapping[str, t.Any]]] | None,
    current: t.Mapping[str, t.Sequence[str]] | None = None,
    policy: t.Mapping[str, t.Any] | None = None,
    without: t.Collection[str] = (),
    engine: str = '',
    own: t.Mapping[str, t.Sequence[t.Any]] | None = None,
    chooser: Chooser = by_one_probe,
    as_host_chose: t.Mapping[str, t.Sequence[str]] | None = None,
) -> dict[str, t.Any]:
    """What to configure of each upstream, for an engine that takes mirrors of any.

    What the engine cannot use is sorted out before anything is chosen: otherwise a mirror that is never written could take the place of one that
    serves. It is handed on all the same, behind the chosen ones; the module that writes them leaves it out again and says why.

    :param listed: the candidates by upstream; None where mirrors are not this run's business.
    :param results: of the probes, by upstream; None when nothing was probed on purpose: then the lists are taken as they are.
    :param current: mirrors that the engine has, by upstream.
    :param without: upstreams that the engine has its mirrors of in another way.
    :param engine: ``podman``, ``buildkit`` or ``k3s``, which can use some mirrors alone. Podman and BuildKit know them by their location.
    :param own: caches of one's own, by upstream, which come before all others.
    :param as_host_chose: by upstream, what the host chose by itself for this engine, which stands whatever the probe says.
    :returns: ``write`` (whether there is anything to write), ``upstreams`` (mirrors by upstream, in the order to write; an empty list takes ours away;
        an upstream that none of its mirrors serves is missing, so that it stays as it is), ``unserved`` (those) and ``reasons`` (a sentence for
        each candidate that was not chosen).
    """
    if listed is None:
        return {'write': False, 'upstreams': {}, 'unserved': [], 'reasons': []}
    policed = parse_policy(policy, key='registry_access_mirror_policy')
    chosen: dict[str, list[t.Any]] = {}
    unserved: list[str] = []
    reasons: list[str] = []
    mine = {name: mirrors for name, mirrors in listed.items() if name not in without}
    for name, mirrors in mine.items():
        by_host = _named(mirrors, (as_host_chose or {}).get(name) or (), engine)
        if by_host:
            # Those that it cannot use are handed on here too, so that the file has the same of them.
            chosen[name] = mirrors_for_daemon(mirrors, [*by_host, *(one.url for one in parse_mirrors(mirrors) if not place_for(one, engine))])
            continue
        if results is None or not mirrors:
            chosen[name] = mirrors_for_daemon(mirrors, mirror_urls(mirrors))
            continue
        places = {mirror.url: place_for(mirror, engine) for mirror in parse_mirrors(mirrors)}
        if not any(places.values()):  # no probe makes them usable here; the module takes ours away, and says why
            chosen[name] = mirrors_for_daemon(mirrors, mirror_urls(mirrors))
            continue
        urls = {normalise_url(url): url for url, place in places.items() if place}
        now = [url for old in (current or {}).get(name) or [] for url, place in places.items() if place and place == place_for(Mirror(old), engine)]
        usable = [one for one in results.get(name) or () if normalise_url(one['url']) in urls]
        selection = chooser(name, usable, now, policed, mirror_urls((own or {}).get(name) or ()))
        reasons += [f'{name}: {one.url}: {one.reason}' for one in selection.left_out]
        if selection.chosen:
            unusable = [url for url, place in places.items() if not place]
            chosen[name] = mirrors_for_daemon(mirrors, [*(choice.url for choice in selection.chosen), *unusable])
        else:
            unserved.append(name)
    return {'write': bool(chosen) or not listed, 'upstreams': chosen, 'unserved': unserved, 'reasons': reasons}


def _named(mirrors: t.Sequence[t.Any], urls: t.Sequence[str], engine: str = '') -> list[str]:
    """The candidates that an engine knows by these URLs, in the order of those."""
    places = {place_for(mirror, engine): mirror.url for mirror in parse_mirrors(list(mirrors))} if urls else {}
    wanted = [place_for(Mirror(url), engine) for url in urls]
    return [places[place] for place in dict.fromkeys(wanted) if place and place in places]


def place_for(mirror: Mirror, engine: str) -> str:
    """What an engine knows a mirror by, which is the same for one in force and for its candidate; empty for one that it cannot use."""
    try:
        if engine == 'podman':  # its files tell no scheme
            return mirror_entry(mirror).location
        if engine == 'buildkit':
            return _buildkitd_toml.location_of(mirror)
    except ConfigError:
        return ''
    return '' if engine == 'k3s' and _k3s_registries.cannot_use(mirror) else normalise_url(mirror.url)


def candidates(mirrors: t.Mapping[str, t.Any] | None, upstream: str, catalog: t.Sequence[t.Mapping[str, t.Any]] = (), trust: str = 'content') -> list[t.Any]:
    """The mirrors of one upstream as the user wrote them, those from the catalogue behind.

    :param catalog: rows of the catalogue that the user named, of any upstream.
    :param trust: how far those are trusted.
    :raises ConfigError: on a mirror that no engine takes; here, on the controller, so that a slip of the pen is told
        before any host is asked to do anything.
    """
    if mirrors is not None and not isinstance(mirrors, t.Mapping):
        raise ConfigError("registry_access_mirrors: a dict of upstreams is expected, such as {'docker.io': ['https://mirror.example.com']}.")
    given = (mirrors or {}).get(upstream)
    if given is not None and (isinstance(given, (str, t.Mapping)) or not isinstance(given, t.Sequence)):
        raise ConfigError(f'registry_access_mirrors: {upstream} takes a list of mirrors.', key=upstream)
    named = [{'url': row['url'], 'trust': trust, 'third_party': True} for row in catalog if row['upstream'] == upstream and row['url']]
    listed = [*(given or ()), *named]
    parse_mirrors(listed, key=f"registry_access_mirrors['{upstream}']")
    return listed


def is_managed(mirrors: t.Mapping[str, t.Any] | None, listed: t.Sequence[t.Any], upstream: str = DOCKER_HUB) -> bool:
    """Whether the mirrors of ``upstream`` are this run's business: it has candidates, or an empty list or dict takes ours away."""
    return bool(listed) or (mirrors is not None and (not mirrors or upstream in mirrors))


def images_of(images: t.Sequence[str], upstream: str) -> list[str]:
    """The images to ask of an upstream's mirrors, without the upstream's name."""
    return [name for registry, name in map(split_image, images) if registry == upstream]


def registries_of(images: t.Sequence[str]) -> list[str]:
    """The registries that these images are of, each once."""
    return list(dict.fromkeys(registry for registry, _name in map(split_image, images)))


@dataclass(frozen=True)
class Limits:
    """What the Docker of a host cannot take as a mirror, whoever serves well.

    ``paths``: it takes mirrors with a path. ``image_store``, ``hub_logins``, ``hub_login`` and ``leak_policy`` are what
    :func:`_leak_guard.sort_out` asks for.
    """

    paths: bool = True
    image_store: str = ''
    hub_logins: tuple[str, ...] = ()
    hub_login: bool = False
    leak_policy: str = _leak_guard.DROP


def limits_of(docker: t.Mapping[str, t.Any], leak_policy: str = _leak_guard.DROP, hub_login: bool = False) -> Limits:
    """From what container_engine_info says of Docker."""
    logins = tuple(docker.get('hub_logins') or ())
    return Limits(docker.get('mirror_paths', True), docker.get('image_store') or '', logins, hub_login, leak_policy)


def choose(
    listed: t.Sequence[t.Any],
    results: t.Sequence[t.Mapping[str, t.Any]] | None,
    current: t.Sequence[str] = (),
    policy: t.Mapping[str, t.Any] | None = None,
    limits: Limits | None = None,
    own: t.Sequence[t.Any] = (),
    chooser: Chooser = by_one_probe,
    as_host_chose: t.Sequence[str] = (),
) -> dict[str, t.Any]:
    """What to configure of the ``listed`` mirrors.

    What this Docker cannot take is sorted out before anything is chosen: otherwise a mirror that is never written could take
    the place of one that serves. It is handed to docker_daemon_config all the same, behind the chosen ones; the module leaves it out
    again and says why.

    :param results: of the probe; None when nothing was probed on purpose: then the list is taken as it is.
    :param current: mirrors in force.
    :param own: caches of one's own, which come before all others.
    :param as_host_chose: what the host chose by itself, which stands whatever the probe says, but for what this Docker cannot take.
    :returns: ``mirrors`` (dicts in the order to write), ``alive`` (False when there are candidates and none serves: then the
        host's mirrors are left as they are), ``reasons`` (a sentence for each candidate that was not chosen) and ``unusable`` (one for
        each that this Docker cannot take).
    :raises ConfigError: on a policy that makes no sense, and for a leak of logins under the policy ``fail``.
    """
    bounds = limits or Limits()
    headed = [raw for raw in listed if isinstance(raw, t.Mapping) and raw.get('headers')]
    rooted = [raw for raw in listed if raw not in headed and not place_of(_url(raw)).namespace]
    fitting = [raw for raw in rooted if bounds.paths or not place_of(_url(raw)).path]
    guard = _leak_guard.sort_out(parse_mirrors(fitting), bounds.image_store, bounds.hub_logins, bounds.hub_login, bounds.leak_policy)
    usable = {normalise_url(mirror.url) for mirror in guard.kept}
    unusable = [f'{_url(raw)}: wants headers, such as a login of its own, which Docker sends no registry-mirror.' for raw in headed]
    unusable += [f'{_url(raw)}: is a project of its registry, which no Docker can use as a registry-mirror.' for raw in listed if raw not in rooted + headed]
    unusable += [f'{_url(raw)}: has a path, which Docker takes since 25.0 only.' for raw in rooted if raw not in fitting]
    unusable += [f'{one.url}: {one.reason}' for one in guard.left_out]
    guarded = [one.url for one in guard.left_out]
    by_host = [url for url in _named(fitting, as_host_chose) if normalise_url(url) in usable]
    if by_host:
        return {'mirrors': mirrors_for_daemon(fitting, by_host + guarded), 'alive': True, 'reasons': [], 'unusable': unusable}
    if bounds.image_store != _leak_guard.CONTAINERD:
        late = [result['url'] for result in results or () if 'late_challenge' in (result.get('notes') or ())]
        usable -= {normalise_url(url) for url in late}
        unusable += [f'{url}: asks for a token at the manifest and not at /v2/, which Docker can answer with the containerd image store alone.' for url in late]
    if results is None or not listed:
        return {'mirrors': mirrors_for_daemon(fitting, mirror_urls(fitting)), 'alive': bool(usable or not listed), 'reasons': [], 'unusable': unusable}
    # The order in which the user lists mirrors counts among equals, so that check mode and the run choose the same.
    policed = parse_policy(policy, key='registry_access_mirror_policy')
    selection = chooser(DOCKER_HUB, [result for result in results if normalise_url(result['url']) in usable], current, policed, mirror_urls(own))
    reasons = [f'{one.url}: {one.reason}' for one in selection.left_out]
    if not results:
        reasons = ['There is no result to choose from: the probe was not run, or registry_access_mirror_query left none.']
    urls = [choice.url for choice in selection.chosen]
    if not urls:
        # docker_daemon_config, which says this otherwise, is not asked about mirrors then.
        reasons += guard.warnings
    return {'mirrors': mirrors_for_daemon(fitting, urls + guarded), 'alive': bool(urls), 'reasons': reasons, 'unusable': unusable}


def _url(raw: t.Any) -> str:
    return str(raw['url'] if isinstance(raw, t.Mapping) else raw)


def proxies_with_direct(
    proxies: t.Mapping[str, t.Any],
    listed: t.Sequence[t.Any] = (),
    results: t.Sequence[t.Mapping[str, t.Any]] = (),
    in_force: str = '',
) -> dict[str, t.Any]:
    """The daemon's proxies as the user gave them, with the mirrors that are reached without the proxy in ``no_proxy``.

    Without them the daemon would ask the proxy for a mirror that the probe found without it. All candidates join, not just the
    chosen ones, and one that does not answer now keeps its place: a change of ``no_proxy`` takes a restart of the daemon, which
    neither another choice of mirrors nor an outage is worth.

    :param in_force: ``no_proxy`` of the running daemon.
    :returns: an empty dict for an empty one, which takes ours away.
    """
    if not proxies:
        return {}
    held = {entry.strip() for entry in in_force.split(',')}
    routes = {result['url']: result.get('route') for result in results if result.get('ok')}
    seen = [{'url': url, 'route': routes.get(url, 'direct' if host_of(url) in held else 'proxy' if results else None)} for url in mirror_urls(listed)]
    no_proxy = direct_no_proxy(proxies.get('no_proxy'), listed, seen, proxies)
    return {**proxies, 'no_proxy': no_proxy} if no_proxy else dict(proxies)


def wanted(parts: t.Collection[str], state: str, **given: t.Any) -> dict[str, t.Any]:
    """The options of docker_daemon_config for a run that is about these parts; what is None was left out by the user.

    :param given: ``registry_mirrors``, ``insecure_registries``, ``proxies``, ``settings``.
    :returns: ``state``, and of the options those that this run manages.
    """
    if state == 'absent':
        if set(parts) >= set(DAEMON_PARTS):
            return {'state': 'absent'}
        given = {'registry_mirrors': [], 'insecure_registries': [], 'proxies': {}, 'settings': {}}
    return {'state': 'present', **{name: value for name, value in given.items() if value is not None and _PART_OF[name] in parts}}


def docker_certs(mirrors: t.Sequence[t.Any] | None, docker: t.Mapping[str, t.Any], state: str = 'present') -> dict[str, t.Any]:
    """What docker_certs is to do; most hosts have no such mirrors, and are not worth an execution.

    :param mirrors: those that are written for Docker; None where they are left as they are, and so are their certificates.
    :param docker: what container_engine_info said of Docker.
    :returns: ``write`` (whether there is anything to do) and ``mirrors``.
    """
    listed = [] if state == 'absent' else list(mirrors or ())
    managed = state == 'absent' or mirrors is not None
    needed = any(has_certs(mirror) for mirror in parse_mirrors(listed))
    return {'write': managed and (needed or bool(docker.get('mirror_certs'))), 'mirrors': listed}


def next_step(
    written: t.Sequence[t.Mapping[str, t.Any]], restart: str = 'auto', live_restore_first: bool = False, engine: str = 'Docker'
) -> dict[str, t.Any]:
    """Which handler a host needs for what was written.

    :param written: results of docker_daemon_config and, before Docker 23.0, of engine_proxy_dropin; or of hosts_toml. A task that was skipped, or
        that the tags of the run left out, has no plan.
    :param engine: as the handlers name it.
    :returns: ``handler`` (its name, or '' when nothing is to be done, or nothing that may be done), ``reasons`` and
        ``pending`` (why a restart has to wait), one sentence each, and ``plan``, the plans in one.
    """
    plans = [result['plan'] for result in written if isinstance(result.get('plan'), t.Mapping)]
    if not plans:
        return _step('', [])
    reasons = [reason for plan in plans for reason in plan.get('reasons', ())]
    together = _together(plans)
    needed = {plan.get('action', NONE) for plan in plans}
    if any(plan.get('interrupted') for plan in plans):
        return _step(RESTART_HANDLER.format(engine), ['An earlier run was interrupted while it applied a change; it is finished now.', *reasons], plan=together)
    if needed == {NONE}:
        return _step('', reasons, plan=together)
    if RESTART not in needed:
        return _step(RELOAD_HANDLER.format(engine), reasons, plan=together)
    permission = restart_allowed(together, restart, live_restore_first)
    if permission.allowed:
        return _step(RESTART_HANDLER.format(engine), reasons, plan=together)
    return _step(RELOAD_HANDLER.format(engine) if together.reload_keys else '', reasons, permission.because, together)


def _step(handler: str, reasons: t.Sequence[str], pending: t.Sequence[str] = (), plan: Plan | None = None) -> dict[str, t.Any]:
    return {'handler': handler, 'reasons': list(reasons), 'pending': list(pending), 'plan': as_dict(plan or Plan())}


def _together(plans: t.Sequence[t.Mapping[str, t.Any]]) -> Plan:
    """One plan for one daemon, whichever files were written."""
    blockers: dict[str, str] = {}
    for plan in plans:
        blockers.update(zip(plan.get('blockers', ()), plan.get('blocked_because', ())))
    needed = {plan.get('action', NONE) for plan in plans}
    merged: dict[str, t.Any] = {
        name: tuple(dict.fromkeys(value for plan in plans for value in plan.get(name, ())))
        for name in ('reload_keys', 'restart_keys', 'disruptive_keys', 'unknown_keys', 'also_activates', 'reasons')
    }
    action = next((one for one in (RESTART, RELOAD) if one in needed), NONE)
    return Plan(action=action, blockers=tuple(blockers), blocked_because=tuple(blockers.values()), **merged)


def logins_wanted(auths: t.Sequence[t.Mapping[str, t.Any]], state: str = 'present', held_back: str = '') -> list[dict[str, t.Any]]:
    """The logins for registry_auth; with the role's state ``absent`` all of them are to be gone.

    :param held_back: why a login to Docker Hub has to wait; when there is a reason, it is not among them.
    """
    wanted = [{**auth, 'state': 'absent'} if state == 'absent' else dict(auth) for auth in auths]
    return [auth for auth in wanted if not (held_back and gives_hub_login([auth]))]


def client_proxies_wanted(proxies: t.Mapping[str, t.Any], state: str = 'present') -> dict[str, t.Any]:
    """The proxies for what runs in containers; with the role's state ``absent`` each of those named is to be gone, and no other."""
    if state != 'absent':
        return dict(proxies)
    return {name: [] if name == 'no_proxy' else '' for name in proxies}


def mirrors_by_now(written: t.Sequence[t.Mapping[str, t.Any]], applied: t.Mapping[str, t.Any], check_mode: bool) -> list[str] | None:
    """The mirrors in force after this run's apply, or, in check mode, those that it would bring; None when it applied nothing.

    :param written: results of docker_daemon_config.
    :param applied: of docker_daemon_apply.
    """
    proved = (applied.get('proof') or {}).get('mirrors')
    if proved is not None:
        return list(proved)
    told = [result['registry_mirrors'] for result in written if result.get('registry_mirrors') is not None]
    return list(told[-1]) if check_mode and applied and told else None


def login_leak(
    auths: t.Sequence[t.Mapping[str, t.Any]], docker: t.Mapping[str, t.Any], listed: t.Sequence[t.Any], in_force: t.Sequence[str] | None, policy: str
) -> str:
    """Why a login to Docker Hub is not to be written now; empty when nothing speaks against it.

    It comes after the mirrors: strangers are taken out by then. Where they could not be, because the change waits, or the run is not about
    mirrors, the login has to wait as well (moby#42022).

    :param auths: the logins that are to be written.
    :param docker: what container_engine_info said of Docker before the run; empty without one.
    :param listed: the candidates, which tell who is a stranger.
    :param in_force: the mirrors that the apply proved, None when nothing was applied.
    """
    if not docker or policy == _leak_guard.ALLOW or not _leak_guard.leaks(docker.get('image_store') or '', (), gives_hub_login(auths)):
        return ''
    known = {normalise_url(mirror.url): mirror.third_party for mirror in parse_mirrors(list(listed))}
    now = docker.get('registry_mirrors') or [] if in_force is None else in_force
    remembered = set(docker.get('third_party_mirrors') or ())

    def is_strangers(url: str) -> bool:
        """One that this run does not list is known from the run that wrote it, or by the catalogue."""
        return normalise_url(url) in remembered or any(entry.covers(host_of(url)) for entry in _catalog.ENTRIES)

    found = [url for url in now if known.get(normalise_url(url), is_strangers(url))]
    if not found:
        return ''
    return (
        f"The login to Docker Hub is not written: Docker uses the stranger's mirror {', '.join(found)}, and would hand it the login (moby#42022). "
        f'{_leak_guard.ways_out(policy)}'
    )


# A fleet behind one address, or with one account, shares what Docker Hub allows it.
_FEW_PULLS_A_HOST = 5


def rate_limit_warning(limit: t.Mapping[str, t.Any] | None, hosts: int) -> str:
    """A sentence when the pulls that Docker Hub still allows are few for so many hosts; empty when they are enough, or not known."""
    if not limit:
        return ''
    left, window = int(limit['remaining']), int(limit['window_seconds'])
    if left > max(_FEW_PULLS_A_HOST * hosts, int(limit['limit']) // 10):
        return ''
    whom = f' for {limit["source"]}' if limit.get('source') else ''
    return (
        f'Docker Hub allows {left} more pulls of {limit["limit"]} in {window // 3600} hours{whom}, which is few for {hosts} host{"s" if hosts != 1 else ""}. '
        'Log in with an account that may pull more, or let the hosts pull through a cache of your own.'
    )


def gives_hub_login(auths: t.Sequence[t.Mapping[str, t.Any]]) -> bool:
    """Whether a Docker Hub login is among the logins that a host is given, where Docker's client hands it to the daemon."""
    return any(
        is_hub(str(auth.get('registry', DOCKER_HUB))) and auth.get('state', 'present') == 'present' and auth.get('format') != 'containers' for auth in auths
    )


# What the tasks that write register.
WRITTEN = ('__registry_access_config', '__registry_access_config_proxies', '__registry_access_config_settings', '__registry_access_dropin')

# What the tasks of the role register. The order is that of a host's way through them.
LEFT_BY_ROLE = (
    '__registry_access_engines',
    '__registry_access_as_host_chose',
    '__registry_access_probes',
    '__registry_access_none_serves',
    '__registry_access_kept',
    '__registry_access_unusable',
    '__registry_access_docker_certs',
    '__registry_access_dropin',
    '__registry_access_config',
    '__registry_access_config_proxies',
    '__registry_access_config_settings',
    '__registry_access_pending',
    '__registry_access_apply',
    '__registry_access_docker_none_serves',
    '__registry_access_docker_unserved',
    '__registry_access_docker_written',
    '__registry_access_containerd_none_serves',
    '__registry_access_containerd_unserved',
    '__registry_access_containerd_written',
    '__registry_access_containerd_dropin',
    '__registry_access_containerd_pending',
    '__registry_access_containerd_apply',
    '__registry_access_podman_none_serves',
    '__registry_access_podman_unserved',
    '__registry_access_podman_written_for_users',
    '__registry_access_podman_written',
    '__registry_access_podman_proxies',
    '__registry_access_crio_conf',
    '__registry_access_crio_dropin',
    '__registry_access_crio_pending',
    '__registry_access_crio_apply',
    '__registry_access_k3s_none_serves',
    '__registry_access_k3s_unserved',
    '__registry_access_k3s_written',
    '__registry_access_k3s_pending',
    '__registry_access_k3s_apply',
    '__registry_access_buildkit_none_serves',
    '__registry_access_buildkit_unserved',
    '__registry_access_buildkit_written',
    '__registry_access_login_leak',
    '__registry_access_login_waits',
    '__registry_access_logins',
    '__registry_access_few_pulls',
    '__registry_access_refresh',
    '__registry_access_not_here',
    '__registry_access_record',
    # Of the playbooks that go out in waves: why the host failed, and why it was not begun.
    '__registry_access_failed',
    '__registry_access_held_back',
)


def summary(left: t.Mapping[str, t.Mapping[str, t.Any]], check_mode: bool = False) -> dict[str, t.Any]:
    """What the role left in the variables of each host, in the shape that :func:`_report.as_data` takes.

    :param left: by host, the variables of :data:`LEFT_BY_ROLE` that are defined.
    :param check_mode: whether they are of a run that changed nothing.
    """
    probes = [
        {'host': host, 'upstream': probe['of'], 'view': probe.get('view', ''), **{name: probe[name] for name in ('site', 'results', 'elapsed')}}
        for host, variables in left.items()
        for probe in variables.get('__registry_access_probes', {}).values()
        if 'results' in probe
    ]
    if not any('__registry_access_engines' in variables for variables in left.values()):
        # Of hosts that nobody looked at, as when they are only probed on, those alone have something to tell.
        left = {host: here for host, here in left.items() if here.get('__registry_access_failed') or here.get('__registry_access_held_back')}
    return {'check_mode': check_mode, 'probes': probes, 'hosts': {host: _host_summary(variables, check_mode) for host, variables in left.items()}}


# By engine, what the tasks that write the mirrors of each upstream register.
_WRITTEN_BY_ENGINE = {
    'docker': '__registry_access_docker_written',
    'containerd': '__registry_access_containerd_written',
    'podman': '__registry_access_podman_written',
    'k3s': '__registry_access_k3s_written',
}
# The same, by tasks that go from user to user.
_WRITTEN_BY_USER = {'Podman': '__registry_access_podman_written_for_users', 'BuildKit': '__registry_access_buildkit_written'}
# CRI-O has the mirrors of Podman's files. It was configured where its tasks left something.
_CRIO = ('__registry_access_crio_conf', '__registry_access_crio_dropin', '__registry_access_crio_pending', '__registry_access_crio_apply')
_APPLIES = {'containerd': '__registry_access_containerd_apply', 'crio': '__registry_access_crio_apply', 'k3s': '__registry_access_k3s_apply'}
# By engine whose daemon is told of it, what the tasks that write for it register.
_WRITTEN_FOR = {
    'docker': WRITTEN,
    'containerd': ('__registry_access_containerd_written', '__registry_access_containerd_dropin'),
    'crio': ('__registry_access_podman_written', *_CRIO[:2]),
    'k3s': ('__registry_access_k3s_written',),
}
_NAMES = {'docker': 'Docker', 'containerd': 'containerd', 'podman': 'Podman', 'crio': 'CRI-O', 'k3s': 'K3s', 'rke2': 'RKE2'}


def _host_summary(variables: t.Mapping[str, t.Any], check_mode: bool) -> dict[str, t.Any]:
    looked = variables.get('__registry_access_engines', {})
    if 'engines' not in looked:
        return _not_begun(looked, variables)
    docker = looked['engines'].get('docker')
    upstreams = _upstreams_summary(looked['engines'], variables, check_mode)
    steps = [variables[name] for name in LEFT_BY_ROLE if name in variables and name != '__registry_access_probes']
    stopped = _stopped_by(steps)
    elsewhere = ('__registry_access_logins', '__registry_access_buildkit_written')  # what is given to users, whatever engines there are
    if not looked['engines'] and not stopped and not any(name in variables for name in elsewhere):
        return {'skipped': 'no engine'}
    written = [variables.get(name, {}) for name in WRITTEN]
    by_engine = [variables.get(name, {}) for name in _WRITTEN_BY_ENGINE.values()]
    for name in _WRITTEN_BY_USER.values():
        # ansible-core 2.19 gathers the warnings of a loop's results beside them.
        by_engine += [*_by_user(variables, name).values(), {'warnings': variables.get(name, {}).get('warnings', [])}]
    others = [
        variables.get(name, {})
        for name in ('__registry_access_docker_certs', '__registry_access_containerd_dropin', '__registry_access_podman_proxies', *_CRIO[:2])
    ]
    logins = variables.get('__registry_access_logins', {})
    applied = _apply_of('docker', variables)
    # What failed behind it takes nothing back from Docker.
    applied_well = applied.get('applied') in (RELOAD, RESTART) and not applied.get('failed')
    apply = {**(applied if applied_well else {}), **stopped} if stopped else applied
    before = (docker or {}).get('registry_mirrors') or []
    after = _mirrors_after(before, written, applied if applied_well else apply)
    # Where nothing was to be written, the apply has found the plan.
    plan = _together([one['plan'] for one in written if 'plan' in one] or [one['plan'] for one in [apply] if 'plan' in one])
    return {
        'engine': f'Docker {docker.get("version")}' if docker else '',
        'engines': _engines_summary(looked['engines'], variables),
        'before': before,
        'after': after,
        'in_force': after if plan.action == NONE or apply.get('applied') in (RELOAD, RESTART) else before,
        'upstreams': upstreams,
        'plan': as_dict(plan),
        'apply': apply,
        'logins': _logins_summary(logins, check_mode),
        'refresh': _refresh_summary(looked.get('refresh') or {}, variables.get('__registry_access_as_host_chose') or {}),
        'left_out': [one for result in written for one in result.get('left_out', [])],
        'pending': [one for engine in ('docker', *_APPLIES) for one in _pending_of(engine, variables, looked['engines'])],
        'warnings': [
            *_said(variables, '__registry_access_not_here'),
            *_said(variables, '__registry_access_kept'),
            *_said(variables, '__registry_access_unusable'),
            *_said(variables, '__registry_access_docker_unserved'),
            *_said(variables, '__registry_access_containerd_unserved'),
            *_said(variables, '__registry_access_podman_unserved'),
            *_said(variables, '__registry_access_k3s_unserved'),
            *_said(variables, '__registry_access_buildkit_unserved'),
            *(warning for result in [*written, *by_engine, *others, logins] for warning in result.get('warnings', [])),
            *(_sentence_of(one) for result in by_engine for one in result.get('left_out', [])),
            *_said(variables, '__registry_access_login_waits'),
            *_said(variables, '__registry_access_few_pulls'),
            *variables.get('__registry_access_record', {}).get('told', []),
            *_logins_that_stay(variables.get('__registry_access_record', {}), logins),
        ],
    }


def _not_begun(looked: t.Mapping[str, t.Any], variables: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Of a host that nobody has looked at: why."""
    failed = variables.get('__registry_access_failed') or {}
    lost = looked if looked.get('unreachable') else failed
    if lost.get('unreachable'):
        told = str(lost.get('msg') or '').strip()
        return {'skipped': UNREACHABLE, 'warnings': [f'Unreachable: {told}'] if told else []}
    if variables.get('__registry_access_held_back'):
        return {'skipped': HELD_BACK}
    stopped = looked if looked.get('failed') else failed
    return {'apply': with_why(stopped)} if stopped.get('failed') else {'skipped': 'not reached'}


def _stopped_by(steps: t.Iterable[t.Mapping[str, t.Any]]) -> t.Mapping[str, t.Any] | None:
    """The step at which a host failed, or was lost."""
    for step in steps:
        if step.get('failed'):
            return with_why(_failed_one(step))
        if step.get('unreachable'):
            return {**step, 'failed': True, 'msg': f'The host could not be reached any more: {step.get("msg", "")}'}
    return None


def _sentence_of(left: t.Any) -> str:
    return str(left['because']) if isinstance(left, t.Mapping) else str(left)


def _engines_summary(engines: t.Mapping[str, t.Any], variables: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """What each engine of a host needed, and what became of it: those that were found, and those that something was applied to."""
    found = []
    tasks_of = {'docker': 'docker', 'containerd': 'containerd', 'crio': 'crio', _k3s_name(engines): 'k3s'}
    for engine in ENGINES:
        tasks = tasks_of.get(engine, '')
        facts, apply = engines.get(engine) or {}, _apply_of(tasks, variables)
        plans = [one['plan'] for name in _WRITTEN_FOR.get(tasks, ()) for one in [variables.get(name, {})] if isinstance(one.get('plan'), t.Mapping)]
        plans = plans or [one['plan'] for one in [apply] if isinstance(one.get('plan'), t.Mapping)]
        # A containerd that only Docker uses, and a Podman of which there are files alone, which CRI-O reads, are nobody's engine.
        aside = facts.get('for_docker_alone') or (engine == 'podman' and not facts.get('version') and 'crio' in engines)
        if not apply and (engine not in engines or (aside and not plans)):
            continue
        together = _together(plans)
        found.append({
            'engine': _NAMES[engine],
            'version': str(facts.get('version') or ''),
            'plan': together.action if plans else '',
            'reasons': list(together.reasons),
            'applied': str(apply.get('applied' if engine == 'docker' else 'action') or ''),
            'proved': _proved(engine, apply),
            'pending': _pending_of(tasks, variables, engines) if tasks else [],
        })
    return found


def _k3s_name(engines: t.Collection[str]) -> str:
    """K3s and RKE2 share their tasks; a host has one of the two."""
    return 'rke2' if 'rke2' in engines else 'k3s'


def _apply_of(engine: str, variables: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    """What the apply of an engine returned; empty where there was none."""
    apply = variables.get('__registry_access_apply' if engine == 'docker' else _APPLIES.get(engine, ''), {})
    return {} if apply.get('skipped') else apply


def _proved(engine: str, apply: t.Mapping[str, t.Any]) -> bool | None:
    """Whether what was applied is in force; None where nothing was applied."""
    if apply.get('failed') or apply.get('unreachable'):
        return False
    if engine == 'docker':
        return (apply.get('proof') or {}).get('ok')
    return bool(apply.get('proved')) if apply.get('action') in (RELOAD, RESTART) else None


def _upstreams_summary(engines: t.Mapping[str, t.Any], variables: t.Mapping[str, t.Any], check_mode: bool) -> list[dict[str, t.Any]]:
    """A row for each engine and upstream whose mirrors were written as files: before and after."""
    rows = []
    crio = {'crio': _WRITTEN_BY_ENGINE['podman']} if any(name in variables for name in _CRIO) else {}
    for engine, name in {**_WRITTEN_BY_ENGINE, **crio}.items():
        result = variables.get(name, {})
        engine_here = _k3s_name(engines) if engine == 'k3s' else engine
        facts = engines.get(engine_here) or {}
        if engine == 'podman' and not facts.get('version') and crio:
            continue  # nobody but CRI-O reads the files here
        before = (engines.get('podman' if engine == 'crio' else engine_here) or {}).get('mirrors') or {}
        apply = variables.get(_APPLIES.get(engine, ''), {})
        state = _state_of(apply, check_mode)
        # Podman and Docker read these files at each pull, whatever a plan for CRI-O says.
        waits = engine in _APPLIES and (result.get('plan') or {}).get('action', NONE) != NONE and not (apply.get('changed') and not apply.get('failed'))
        by_upstream = {one['upstream']: one for one in result.get('files') or () if one.get('upstream') and one.get('mirrors') is not None}
        for upstream, one in by_upstream.items():
            rows.append({
                'engine': f'{_NAMES[engine_here]} {facts.get("version") or ""}'.strip(),
                'upstream': upstream,
                'before': list(before.get(upstream) or []),
                'after': list(one['mirrors']),
                'proof': state or _proof_of(engine, result, one, check_mode),
                **({'in_force': list(before.get(upstream) or [])} if waits else {}),
            })
    for engine, name in _WRITTEN_BY_USER.items():
        for user, result in _by_user(variables, name).items():
            for one in result.get('files') or ():
                if one.get('upstream') and one.get('mirrors') is not None:
                    after = list(one['mirrors'])
                    before = [] if one['changed'] else after  # nobody looked into users' homes beforehand
                    row = {'engine': f'{engine} of {user}', 'upstream': one['upstream'], 'before': before, 'after': after}
                    rows.append({**row, 'proof': _proof_of('podman', result, one, check_mode)})
    return rows


def _pending_of(engine: str, variables: t.Mapping[str, t.Any], engines: t.Collection[str]) -> list[str]:
    """Why an engine has to wait: as it was told, else as its apply found it where nobody told it, as in tasks/finish.yml."""
    name = '__registry_access' if engine == 'docker' else f'__registry_access_{engine}'
    apply = variables.get(f'{name}_apply', {})
    found = apply.get('pending_because' if engine == 'docker' else 'pending') or ()
    return _said(variables, f'{name}_pending') or [f'{_NAMES[_k3s_name(engines) if engine == "k3s" else engine]}: {sentence}' for sentence in found]


def _failed_one(step: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    """The step, or of one that goes from user to user the first user's that failed: the whole says only that one did."""
    one = next((one for one in step.get('results') or () if one.get('failed')), None)
    return {**one, 'msg': f'{one.get(one.get("ansible_loop_var", "item"))}: {why(one) or ""}'} if one else step


def _by_user(variables: t.Mapping[str, t.Any], name: str) -> dict[str, t.Mapping[str, t.Any]]:
    """The results of a task that goes from user to user, by user."""
    results = variables.get(name, {}).get('results') or ()
    return {str(one.get(one.get('ansible_loop_var', 'item'))): one for one in results if not one.get('skipped')}


def _state_of(apply: t.Mapping[str, t.Any], check_mode: bool) -> str:
    """What became of an apply by engine_apply, in a word; empty where there was none, or nothing to apply."""
    if apply.get('failed'):
        return 'FAILED'
    if not apply.get('changed'):
        return ''
    if check_mode:
        return f'would {apply.get("action")}'
    done = {'reload': 'reloaded', 'restart': 'restarted'}.get(str(apply.get('action')), '')
    if apply.get('proved'):
        return f'{done}, proved'
    # A CRI-O whose log is quiet says nothing of a reload.
    return f'a {apply.get("action")}'


def _proof_of(engine: str, result: t.Mapping[str, t.Any], one: t.Mapping[str, t.Any], check_mode: bool) -> str:
    if check_mode:
        return 'would be written' if one.get('changed') else 'nothing to do'
    if engine == 'podman' and result.get('validated_by') == 'podman':
        return 'read by podman'
    return 'written' if one.get('changed') else 'nothing to do'


def _logins_summary(logins: t.Mapping[str, t.Any], check_mode: bool) -> list[str]:
    """A sentence for each login that was written or taken away; none where the task failed, which wrote nothing."""
    found = []
    done = {'present': 'would be logged in', 'absent': 'would be logged out'} if check_mode else {'present': 'logged in', 'absent': 'logged out'}
    for one in logins.get('logins') or () if not logins.get('failed') else ():
        who = f'{one["username"]} at {one["registry"]}' if one.get('username') else one['registry']
        what = done[one['state']] if one.get('changed') else 'as it was'
        found.append(f'{who}, for {one.get("user") or "root"}: {what}.')
    return found


def _logins_that_stay(record: t.Mapping[str, t.Any], logins: t.Mapping[str, t.Any]) -> list[str]:
    """A sentence for each file in which a removal leaves logins that runs of the role wrote, since the variables name them no more."""
    named = {(one.get('user') or 'root', one['registry']) for one in logins.get('logins') or () if one['state'] == 'absent'}
    found = []
    for one in record.get('logins') or ():
        stay = [registry for registry in one['registries'] if (one['user'], registry) not in named]  # in check mode those named are there still
        if stay:
            many = len(stay) > 1
            found.append(
                f'The login{"s" if many else ""} at {", ".join(stay)} of {one["user"]} stay{"" if many else "s"} in {one["path"]}: a removal takes away those '
                'alone that registry_access_auths names.'
            )
    return found


def _refresh_summary(told: t.Mapping[str, t.Any], standing: t.Mapping[str, t.Any] | None = None) -> dict[str, t.Any]:
    """What the host saw when it last chose by itself, and whether that stood for the choice of the run; empty where it does not choose."""
    if not told.get('installed') or not told.get('checked_at'):
        return {}
    engines = ', '.join(standing.get('engines') or ()) if standing else ''
    stands = [f'The mirrors of {engines} are the choice that this host made by itself at {standing["of"]}.'] if standing and engines else []
    because = ' '.join([*stands, told['because'] or told.get('last_change', '')]).strip()
    return {'checked_at': told['checked_at'], 'because': because, 'mirrors': told['mirrors']}


def _mirrors_after(before: list[str], written: t.Sequence[t.Mapping[str, t.Any]], apply: t.Mapping[str, t.Any]) -> list[str]:
    """What is in force at the end; without a proof, what was written."""
    if apply.get('failed'):
        return before
    proved = (apply.get('proof') or {}).get('mirrors')
    if proved is not None:
        return list(proved)
    told = [result['registry_mirrors'] for result in written if result.get('registry_mirrors') is not None]
    return list(told[-1]) if told else before


def _said(variables: t.Mapping[str, t.Any], name: str) -> list[str]:
    """The sentences of a task that tells something, none when it had nothing to tell."""
    told = variables.get(name, {})
    said = [] if told.get('skipped') or told.get('failed') else told.get('msg', [])
    return [said] if isinstance(said, str) else list(said)
