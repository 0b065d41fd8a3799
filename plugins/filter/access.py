# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The decisions of the role registry_access, so that its tasks need no logic in Jinja. They live in module_utils/_access.py."""

from __future__ import annotations

import contextlib
import typing as t

from ansible.module_utils.common.validation import check_type_dict, check_type_list

from ansible_collections.quickpull.registry.plugins.module_utils import _access, _access_refresh, _cache_clients, _logins, _refresh_settings, _worker_model
from ansible_collections.quickpull.registry.plugins.module_utils._plain import given, plain
from ansible_collections.quickpull.registry.plugins.module_utils._query import apply_jmespath, check_jmespath
from ansible_collections.quickpull.registry.plugins.module_utils._select import parse_policy
from ansible_collections.quickpull.registry.plugins.module_utils._why import why
from ansible_collections.quickpull.registry.plugins.plugin_utils._filter import as_filter
from ansible_collections.quickpull.registry.plugins.plugin_utils._run import run_id

# What the user of the role knows the JMESPath expression by.
_QUERY = 'registry_access_mirror_query'
# A text on the command line is a list or a dict where registry_mirror_refresh has one, and null is what the module takes by itself.
_REFRESH_TYPES: dict[str, t.Callable[[t.Any], t.Any]] = {'ask': check_type_list, 'steadiness': check_type_dict, 'metrics_path': str, 'query': str}


@as_filter
def access_parts(run_tags: t.Any, skip_tags: t.Any = ()) -> list[str]:
    """What a run with these tags configures."""
    return _access.parts_in_run(plain(run_tags), plain(skip_tags))


@as_filter
def access_candidates(mirrors: t.Any, upstream: str, catalog: t.Any = (), trust: str = 'content') -> list[t.Any]:
    """The mirrors of one upstream, those from the catalogue behind."""
    return _access.candidates(given(mirrors), str(upstream), plain(catalog), str(trust))


@as_filter
def access_engines(wanted: t.Any, looked: t.Any, state: str = 'present') -> dict[str, list[str]]:
    """Which engines of a host the role configures."""
    return _access.engines_here(plain(wanted), plain(looked), str(state))


@as_filter
def access_added_up(parts: t.Any) -> dict[str, t.Any] | None:
    """Mirrors of the host, of its site and of all, in one dict."""
    return _access.added_up(*map(given, parts))


@as_filter
def access_cache_mirrors(hostvars: t.Any, hosts: t.Any) -> dict[str, t.Any] | None:
    """The mirrors that the caches of the inventory are."""
    names = [str(host) for host in hosts if host in hostvars]
    return _cache_clients.mirrors({name: {key: plain(hostvars[name][key]) for key in _cache_clients.VARIABLES if key in hostvars[name]} for name in names})


@as_filter
def access_worker_mirrors(variables: t.Any) -> dict[str, t.Any] | None:
    """The mirrors that a Worker at Cloudflare is, by the variables of its role."""
    return _worker_model.mirrors_of({name: given(variables[name]) for name in variables})


@as_filter
def worker_with_login(mirrors: t.Any, logins: t.Any, user: str = '') -> dict[str, t.Any]:
    """The mirrors of a Worker with the header of a login."""
    return _worker_model.with_login(plain(mirrors), plain(logins), str(user))


@as_filter
def worker_unserved(results: t.Any) -> str:
    """What of a Worker does not serve."""
    return _worker_model.unserved(plain(results))


@as_filter
def access_all_candidates(mirrors: t.Any, catalog: t.Any = (), trust: str = 'content') -> dict[str, t.Any] | None:
    """The candidates of each upstream; None where they are not this run's business."""
    listed, rows = given(mirrors), plain(catalog)
    return _access.all_candidates(listed, rows, str(trust)) if listed is not None or rows else None


@as_filter
def access_other_upstreams(candidates: t.Any, engines: t.Any, docker: t.Any = None) -> list[str]:
    """Upstreams besides Docker Hub that are to be probed."""
    return _access.other_upstreams(given(candidates) or {}, plain(engines), plain(docker) or {})


@as_filter
def access_upstreams(
    candidates: t.Any,
    probed: t.Any = None,
    current: t.Any = None,
    probing: bool = True,
    policy: t.Any = None,
    jmespath: str = '',
    without: t.Any = (),
    engine: str = '',
    own: t.Any = None,
    as_host_chose: t.Any = None,
) -> dict[str, t.Any]:
    """What to configure of each upstream."""
    results = {name: apply_jmespath(probe.get('results', []), str(jmespath), _QUERY) for name, probe in plain(probed).items()} if probing else None
    return _access.choose_upstreams(
        given(candidates), results, plain(current), plain(policy), plain(without), str(engine), given(own), as_host_chose=given(as_host_chose)
    )


@as_filter
def access_is_managed(mirrors: t.Any, candidates: t.Any) -> bool:
    """Whether this run is to touch the mirrors of Docker Hub."""
    return _access.is_managed(given(mirrors), plain(candidates))


@as_filter
def access_images(images: t.Any, upstream: str) -> list[str]:
    """The images to ask of an upstream's mirrors."""
    return _access.images_of(plain(images), str(upstream))


@as_filter
def access_registries(images: t.Any) -> list[str]:
    """The registries that images are of."""
    return _access.registries_of(plain(images))


@as_filter
def access_rules_hold(policy: t.Any, jmespath: str = '') -> bool:
    """True when the rules of the choice make sense; an error says what does not, before any mirror is asked."""
    parse_policy(plain(policy), key='registry_access_mirror_policy')
    check_jmespath(str(jmespath), _QUERY)
    return True


@as_filter
def access_auths_hold(auths: t.Any, state: str = 'present') -> bool:
    """True when the logins can be understood; an error names the item that cannot, before anything is done, and no secret."""
    items = plain(auths)
    # With all of them to be gone, nobody has to know a password any more.
    if str(state) == 'absent' and isinstance(items, list):
        items = [{**item, 'state': 'absent'} if isinstance(item, dict) else item for item in items]
    _logins.check_items(items, option='registry_access_auths')
    return True


@as_filter
def access_refresh_holds(settings: t.Any, jitter: t.Any = None, offer: str = '') -> bool:
    """True when a host can choose by itself by these settings; an error names the variable that is wrong, before any host is changed."""
    _access_refresh.check(_as_the_module_takes(settings), given(jitter), str(offer))
    return True


def _as_the_module_takes(settings: t.Any) -> dict[str, t.Any]:
    """The settings of a refresh with lists and dicts in place of texts, as the command line gives them and registry_mirror_refresh takes them."""
    typed = {name: value for name, value in plain(settings).items() if name not in _REFRESH_TYPES or value is not None}
    for name in _REFRESH_TYPES.keys() & typed.keys():
        with contextlib.suppress(TypeError):  # the check says what is wrong
            typed[name] = _REFRESH_TYPES[name](typed[name])
    return typed


@as_filter
def access_choice(
    candidates: t.Any,
    probed: t.Any,
    docker: t.Any = None,
    probing: bool = True,
    policy: t.Any = None,
    jmespath: str = '',
    leak_policy: str = 'drop',
    hub_login: bool = False,
    own: t.Any = None,
    as_host_chose: t.Any = None,
) -> dict[str, t.Any]:
    """What to configure of the candidates."""
    facts = plain(docker) or {}
    results = apply_jmespath(plain(probed).get('results', []), str(jmespath), _QUERY) if probing else None
    limits = _access.limits_of(facts, str(leak_policy), bool(hub_login))
    caches, by_host = ((given(one) or {}).get('docker.io', ()) for one in (own, as_host_chose))
    return _access.choose(plain(candidates), results, facts.get('registry_mirrors') or [], plain(policy), limits, caches, as_host_chose=by_host)


@as_filter
def access_as_host_chose(told: t.Any, settings: t.Any, jitter: t.Any = None) -> dict[str, t.Any]:
    """The choice that a host made by itself, where it stands for that of the run."""
    return _refresh_settings.standing(given(told) or {}, _as_the_module_takes(settings), given(jitter))


@as_filter
def access_wanted(
    parts: t.Any, state: str, registry_mirrors: t.Any = None, insecure_registries: t.Any = None, proxies: t.Any = None, settings: t.Any = None
) -> dict[str, t.Any]:
    """The options of docker_daemon_config that this run manages."""
    options = {'registry_mirrors': registry_mirrors, 'insecure_registries': insecure_registries, 'proxies': proxies, 'settings': settings}
    return _access.wanted(plain(parts), str(state), **{name: given(value) for name, value in options.items()})


@as_filter
def access_proxies(proxies: t.Any, candidates: t.Any = (), results: t.Any = (), in_force: str = '') -> dict[str, t.Any]:
    """The daemon's proxies, with the mirrors that are reached directly in no_proxy."""
    return _access.proxies_with_direct(plain(proxies), plain(candidates), plain(results), str(in_force))


@as_filter
def access_docker_certs(mirrors: t.Any, docker: t.Any = None, state: str = 'present') -> dict[str, t.Any]:
    """The certificates that Docker needs for its mirrors."""
    return _access.docker_certs(given(mirrors), plain(docker) or {}, str(state))


@as_filter
def access_step(written: t.Any, restart: str = 'auto', live_restore_first: bool = False, engine: str = 'Docker') -> dict[str, t.Any]:
    """The handler that a host needs for what was written."""
    return _access.next_step(plain(written), str(restart), bool(live_restore_first), str(engine))


@as_filter
def access_logins(auths: t.Any, state: str = 'present', held_back: str = '') -> list[dict[str, t.Any]]:
    """The logins for registry_auth."""
    return _access.logins_wanted(plain(auths), str(state), str(held_back))


@as_filter
def access_client_proxies(proxies: t.Any, state: str = 'present') -> dict[str, t.Any]:
    """The proxies for what runs in containers."""
    return _access.client_proxies_wanted(plain(proxies), str(state))


@as_filter
def access_mirrors_by_now(written: t.Any, applied: t.Any = None, check_mode: bool = False) -> list[str] | None:
    """The mirrors in force after this run's apply."""
    return _access.mirrors_by_now(plain(written), plain(applied) or {}, bool(check_mode))


@as_filter
def access_login_leak(auths: t.Any, docker: t.Any = None, candidates: t.Any = (), in_force: t.Any = None, policy: str = 'drop') -> str:
    """Why a login to Docker Hub has to wait."""
    return _access.login_leak(plain(auths), plain(docker) or {}, plain(candidates), given(in_force), str(policy))


@as_filter
def access_few_pulls(rate_limit: t.Any, hosts: t.Any = 1) -> str:
    """A warning when Docker Hub allows few more pulls for so many hosts."""
    return _access.rate_limit_warning(plain(rate_limit), int(hosts))


@as_filter
def access_hub_login(auths: t.Any) -> bool:
    """Whether a Docker Hub login is among the logins of a host."""
    return _access.gives_hub_login(plain(auths))


@as_filter
def access_run(kind: str) -> str:
    """The id of this run of Ansible, under which hosts remember what it changes."""
    return run_id(str(kind))


@as_filter
def access_summary(hostvars: t.Any, hosts: t.Any, check_mode: bool = False) -> dict[str, t.Any]:
    """What the role left in the variables of these hosts, in the shape that access_report takes."""
    return _access.summary({str(host): _left(hostvars[host]) for host in hosts if host in hostvars}, bool(check_mode))


@as_filter
def access_why(result: t.Any) -> t.Any:
    """Why a task failed, by its result."""
    return why(plain(result))


def _left(variables: t.Any) -> dict[str, t.Any]:
    """Only the role's own results are read: other variables may be secret, or fail to template."""
    return {name: plain(variables[name]) for name in _access.LEFT_BY_ROLE if name in variables}


class FilterModule:
    """Filters of the role registry_access."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Their names in playbooks."""
        return {
            'access_added_up': access_added_up,
            'access_cache_mirrors': access_cache_mirrors,
            'access_all_candidates': access_all_candidates,
            'access_as_host_chose': access_as_host_chose,
            'access_auths_hold': access_auths_hold,
            'access_candidates': access_candidates,
            'access_choice': access_choice,
            'access_client_proxies': access_client_proxies,
            'access_docker_certs': access_docker_certs,
            'access_engines': access_engines,
            'access_few_pulls': access_few_pulls,
            'access_hub_login': access_hub_login,
            'access_images': access_images,
            'access_is_managed': access_is_managed,
            'access_login_leak': access_login_leak,
            'access_logins': access_logins,
            'access_mirrors_by_now': access_mirrors_by_now,
            'access_other_upstreams': access_other_upstreams,
            'access_parts': access_parts,
            'access_proxies': access_proxies,
            'access_refresh_holds': access_refresh_holds,
            'access_registries': access_registries,
            'access_rules_hold': access_rules_hold,
            'access_run': access_run,
            'access_step': access_step,
            'access_summary': access_summary,
            'access_upstreams': access_upstreams,
            'access_wanted': access_wanted,
            'access_worker_mirrors': access_worker_mirrors,
            'access_why': access_why,
            'worker_unserved': worker_unserved,
            'worker_with_login': worker_with_login,
        }
