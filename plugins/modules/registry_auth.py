#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: registry_auth
short_description: Log users of a host in to container registries, checked, and without a trace of a password
version_added: 0.1.0
description:
  - Writes logins where the clients of containers look for them, which is C(config.json) for Docker, and C(auth.json) for Podman, Buildah, Skopeo
    and CRI-O. All registries and all users of a host take one execution. Neither a running daemon nor a client is needed.
  - Asks the registry whether it takes the login before anything is written, by the registry's own protocol. A login counts as proved only
    when the registry would not have said the same to anybody.
  - Everything else in the file stays as it is, with its order, its indentation, other logins, credential helpers, C(HttpHeaders) and C(proxies).
    A file that is no valid JSON is refused, and is never rewritten; an empty one counts as an empty object. A symlink stays one. Writes are atomic, and
    the file becomes 0600, whatever its mode was.
  - In a user's home the work is done by a process that is that user and nobody else. Root never follows a path that another user controls.
  - Passwords reach neither the results, nor differences, nor the arguments of a process. They stand in the file, or in the credential helper, alone.
extends_documentation_fragment:
  - quickpull.registry.attributes
attributes:
  check_mode:
    support: full
    details:
      - Nothing is written. Registries are asked in check mode only with O(verify_in_check_mode=true). Without it, a wrong password is not noticed there.
  diff_mode:
    support: full
    details:
      - Shows of each login the registry, the user's name, and whether the file or which helper keeps it, never a secret. Helpers are asked about the logins
        in O(auths), and about those that O(exclusive) removes.
  idempotent:
    support: full
    details:
      - A login that is there is left as it is, whoever wrote it. An identity token that the registry gave to the same user at an earlier
        login stands for the password, as long as the registry takes it.
options:
  auths:
    description:
      - The logins that are to be there, or to be gone.
      - In logs and in the results, all of it is kept secret until the module knows what in it is.
    type: list
    elements: dict
    default: []
    suboptions:
      registry:
        description:
          - The registry's host, with a port where it has one. Docker Hub goes by V(docker.io), V(index.docker.io), V(registry-1.docker.io) or
            V(https://index.docker.io/v1/), which all mean the same.
          - With O(auths[].format=containers) it may name a part of a registry, such as V(quay.io/team).
          - A URL with V(http://) says that the registry has no TLS.
          - An entry under an older spelling of the same registry is replaced, so that there are never two.
        type: str
        required: true
      username:
        description:
          - The user's name. Robot accounts with C($) and C(+) in their names are fine.
          - For gcr.io and Artifact Registry with a service account's key it is V(_json_key), and the key is the password.
        type: str
      password:
        description:
          - The password, or the access token that the registry takes in its place. C(docker login) names it the same way.
        type: str
      identity_token:
        description:
          - An OAuth2 refresh token, where you have that in place of a password.
        type: str
      state:
        description:
          - Whether the login is to be there. V(absent) also erases it from its credential helper. An entry in C(credHelpers) stays.
        type: str
        choices: [absent, present]
        default: present
      user:
        description:
          - Whose login it is, a name or a number. The default is that of O(user).
        type: str
      format:
        description:
          - For which clients. The default is that of O(format).
        type: str
        choices: [containers, docker]
      config_path:
        description:
          - The file. The default is that of O(config_path).
        type: path
      helper:
        description:
          - The credential helper that keeps this login from now on, such as V(pass) for C(docker-credential-pass). It is entered into
            C(credHelpers). A password that stood in the file is taken out of it, and one that another helper kept until now is erased there, where that
            is installed.
          - Without it, the C(credHelpers) and the C(credsStore) that the file names are used.
          - An empty text says that no helper is to keep it. The file does then.
        type: str
      insecure:
        description:
          - Whether the registry may have a certificate that nobody vouches for, or no TLS at all. Such a one is asked over https first, as Docker does.
          - This says how the registry is asked here. Docker itself needs it among its insecure registries.
        type: bool
        default: false
  user:
    description:
      - Whose logins they are, where an item does not say. Without it they are those of the user that the module runs as, which is root with
        C(become).
      - For another user than that, the module has to run as root.
    type: str
  format:
    description:
      - For which clients, where an item does not say. V(docker) is for Docker, and is the default because Podman reads that file as well.
      - V(containers) is for Podman, Buildah, Skopeo and CRI-O.
    type: str
    choices: [containers, docker]
    default: docker
  config_path:
    description:
      - The file, where an item does not say. The default is the place where the clients look, which is C(~/.docker/config.json) for V(docker) and
        C(~/.config/containers/auth.json) for V(containers). That is the one of Podman's places that outlives a reboot. A login that C(podman login) left in the
        other one (C(auth.json) below C(/run)) is asked first, until the reboot or C(podman logout). The directory of a default
        place becomes 0700.
      - Root refuses a path that somebody else could turn into another one. Name the user with O(user) then.
    type: path
  verify:
    description:
      - Whether the registry is asked about each login.
      - V(always) writes nothing unless the registry has proved every login. It is the default, since a wrong password is best found here. A registry that
        is down fails the task, also where the login is there already.
      - V(when_reachable) writes a login with a warning when the registry cannot be asked, or lets in anybody. A login that is refused fails all the same.
      - V(never) asks nobody.
    type: str
    choices: [always, never, when_reachable]
    default: always
  verify_in_check_mode:
    description:
      - Whether registries are asked in check mode too. It is off by default, since a login is something that a registry counts and logs.
    type: bool
    default: false
  exclusive:
    description:
      - Whether logins that are not in O(auths) are removed from the files that O(auths) names, and from their credential helpers.
      - Without O(auths) it does nothing, unless O(user) or O(config_path) is given. Then it means that file, and logs out of everything there.
      - Of what the helper in C(credsStore) keeps, it finds only the logins that the file lists, as Docker's client does with each that it stores.
      - It means logins alone. Other keys of the file are never touched, C(credHelpers) among them.
    type: bool
    default: false
  client_proxies:
    description:
      - The proxies that Docker's client hands to builds and new containers (C(proxies.default) in C(config.json)). They are not those of the daemon.
      - Left out, they are left alone. An empty dict, or one with nothing in its keys, takes all five away. Of any other dict, only its keys are touched.
      - They go into each of Docker's files that O(auths) names. Where it names none, because it is empty or all of it is for V(containers), they go into
        Docker's file of O(user), which is O(config_path) with O(format=docker).
    type: dict
    suboptions:
      http_proxy:
        description: [The proxy for http. An empty text takes it away.]
        type: str
      https_proxy:
        description: [The proxy for https. An empty text takes it away.]
        type: str
      no_proxy:
        description: [What is reached without a proxy. An empty list takes it away.]
        type: list
        elements: str
      ftp_proxy:
        description: [The proxy for ftp. An empty text takes it away.]
        type: str
      all_proxy:
        description: [The proxy for the rest. An empty text takes it away.]
        type: str
  proxy:
    description:
      - The proxy through which registries are asked, a URL for both schemes, or a dict with C(http_proxy) and C(https_proxy). The proxies of the
        environment are ignored.
    type: raw
  no_proxy:
    description:
      - What is reached without O(proxy), by the rules of Go.
    type: list
    elements: str
    default: []
  ca_path:
    description:
      - A file on the host with further CA certificates (PEM). What Docker keeps for a registry in C(/etc/docker/certs.d) is used as well.
    type: path
  deadline:
    description:
      - How long a registry may take for each login, in seconds.
    type: float
    default: 20
  rate_limit:
    description:
      - Whether Docker Hub is asked how many pulls it will still allow. It costs no pull.
      - V(auto) asks for each login to Docker Hub that is verified. V(always) also asks for this address without a login, when no login to
        Docker Hub is given. V(never) does not ask.
    type: str
    choices: [always, auto, never]
    default: auto
author:
  - quickpull.registry contributors (@quickpull)
seealso:
  - module: quickpull.registry.container_engine_info
"""

EXAMPLES = r"""
---
- name: Log root in to Docker Hub, for Docker
  quickpull.registry.registry_auth:
    auths:
      - registry: docker.io
        username: acme
        password: "{{ vault_hub_token }}"

- name: Log a build user in to two registries, for Podman
  quickpull.registry.registry_auth:
    user: builder
    format: containers
    auths:
      - registry: ghcr.io
        username: acme
        password: "{{ vault_ghcr_token }}"
      - registry: quay.io/team
        username: team+robot
        password: "{{ vault_quay_token }}"

- name: Log the kubelet in, for images of all pods (with verify it would be handed an identity token where the registry gives one, which it does not know)
  quickpull.registry.registry_auth:
    config_path: /var/lib/kubelet/config.json
    verify: never
    auths:
      - registry: registry.example.com:5000
        username: acme
        password: "{{ vault_registry_password }}"

- name: Log in to Google's registry with a service account's key, where the network may be down
  quickpull.registry.registry_auth:
    verify: when_reachable
    auths:
      - registry: gcr.io
        username: _json_key
        password: "{{ lookup('ansible.builtin.file', 'key.json') }}"

- name: Log out everywhere but from one registry
  quickpull.registry.registry_auth:
    exclusive: true
    auths:
      - registry: registry.example.com:5000
        username: acme
        password: "{{ vault_registry_password }}"

- name: Let a credential helper keep the login
  quickpull.registry.registry_auth:
    auths:
      - registry: registry.example.com:5000
        username: acme
        password: "{{ vault_registry_password }}"
        helper: pass

- name: Give builds and containers a proxy
  quickpull.registry.registry_auth:
    client_proxies:
      https_proxy: http://proxy.lan:3128
      no_proxy: [.lan, 10.0.0.0/8]
"""

RETURN = r"""
logins:
  description:
    - One entry for each of O(auths).
    - Where the task fails for what a registry said, RV(logins[].verified) and RV(logins[].reason) tell of each login what that was, and RV(logins[].changed)
      whether it would have changed.
  returned: success, and when a login may not be written
  type: list
  elements: dict
  contains:
    registry:
      description: The registry's name.
      returned: always
      type: str
      sample: docker.io
    key:
      description: The key that it has in the file.
      returned: always
      type: str
      sample: https://index.docker.io/v1/
    username:
      description: The user's name at the registry.
      returned: always
      type: str
      sample: acme
    user:
      description: The user of the host.
      returned: always
      type: str
      sample: root
    path:
      description: The file.
      returned: always
      type: str
      sample: /root/.docker/config.json
    state:
      description: V(present) or V(absent).
      returned: always
      type: str
      sample: present
    changed:
      description: Whether this login changed.
      returned: always
      type: bool
      sample: true
    helper:
      description: The credential helper that keeps it; empty when the file does.
      returned: always
      type: str
      sample: ''
    verified:
      description:
        - V(verified), V(refused), V(unproved) where the registry says the same to anybody, V(unreachable), or V(not_checked).
      returned: always
      type: str
      sample: verified
    reason:
      description: A sentence on what the registry said.
      returned: always
      type: str
      sample: docker.io takes the login of acme.
    rate_limit:
      description: The pulls that Docker Hub still allows this login, null where it did not say.
      returned: always
      type: dict
      sample: {limit: 200, remaining: 187, window_seconds: 21600, source: 7f1d3c9e-8f2c-4bb6-9c39-3a5d8f0f8f11}
files:
  description: The files.
  returned: success, and when a login may not be written
  type: list
  elements: dict
  contains:
    path:
      description: Where it is.
      returned: always
      type: str
      sample: /root/.docker/config.json
    user:
      description: Whose it is.
      returned: always
      type: str
      sample: root
    format:
      description: For which clients.
      returned: always
      type: str
      sample: docker
    changed:
      description: Whether it, or what its credential helpers keep, changed.
      returned: always
      type: bool
      sample: true
rate_limit:
  description:
    - The smallest number of pulls that Docker Hub still allows, among all logins to it, or to this address without one. Null where it did not say.
  returned: success
  type: dict
  sample: {limit: 100, remaining: 76, window_seconds: 21600, source: 192.0.2.7}
"""

import base64
import contextlib
import dataclasses
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _io, _login_check, _logins
from ansible_collections.quickpull.registry.plugins.module_utils._as_user import account
from ansible_collections.quickpull.registry.plugins.module_utils._auth_file import DOCKER, HUB, Secret
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._login_check import Question, Verdict
from ansible_collections.quickpull.registry.plugins.module_utils._logins import Target, Wanted
from ansible_collections.quickpull.registry.plugins.module_utils._no_proxy import lint_no_proxy
from ansible_collections.quickpull.registry.plugins.module_utils._probe_options import parse_proxies, proxy_secrets
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

_NOT_CHECKED = Verdict(_login_check.NOT_CHECKED, 'The registry was not asked.')


def secrets_of(params: t.Mapping[str, t.Any]) -> set[str]:
    """All strings in the parameters that must not be shown, in the spellings that they could have. Never raises."""
    found: set[str] = set()
    for raw in params.get('auths') or []:
        for name in ('password', 'identity_token'):
            secret = str(raw.get(name) or '')
            if not secret:
                continue
            pair = f'{raw.get("username") or ""}:{secret}'
            found |= {secret, secret.strip(), base64.b64encode(pair.encode('utf-8', 'replace')).decode()}
    proxies = params.get('client_proxies') or {}
    for proxy in (params.get('proxy'), {name: proxies.get(name) for name in proxies if name != 'no_proxy'}):
        found |= proxy_secrets(proxy)
    return {secret for secret in found if secret}


def targets_of(params: t.Mapping[str, t.Any]) -> list[Target]:
    """The files and what is to be in them."""
    items = []
    for number, raw in enumerate(params['auths']):
        form = raw['format'] or params['format']
        wanted = _logins.read_login(raw, form, f'auths[{number}]')
        items.append((account(raw['user'] or params['user']), form, raw['config_path'] or params['config_path'], wanted))
    targets = _logins.make_targets(items)
    named = params['user'] is not None or params['config_path'] is not None
    if not targets and params['exclusive'] and named:
        targets = [_logins.target_of(account(params['user']), params['format'], params['config_path'])]
    targets = [dataclasses.replace(one, exclusive=params['exclusive']) for one in targets]
    proxies = params['client_proxies']
    if proxies is None:
        return targets
    if not any(_is_dockers(one) for one in targets):
        targets.append(_dockers_own(params, targets))
    # Ansible fills an empty dict up with nulls, so one of nulls alone is an empty one.
    proxies = {name: value for name, value in proxies.items() if value is not None}
    return [dataclasses.replace(one, proxies=proxies) if _is_dockers(one) else one for one in targets]


def _is_dockers(target: Target) -> bool:
    """Whether Docker's client reads the file; Podman can be told to use Docker's own."""
    return target.form == DOCKER or target.path == _logins.default_path(target.account, DOCKER)


def _dockers_own(params: t.Mapping[str, t.Any], taken: t.Sequence[Target]) -> Target:
    """Docker's file of the module's user."""
    who = account(params['user'])
    own = _logins.target_of(who, DOCKER, params['config_path'] if params['format'] == DOCKER else None)
    return _logins.target_of(who, DOCKER, None) if any(one.path == own.path for one in taken) else own


def question_of(target: Target, wanted: Wanted) -> Question:
    """What a registry is to be asked of a login."""
    # Podman's clients keep the password, whatever a registry offers in its place.
    return Question(wanted.registry, wanted.secret, wanted.insecure, offline=target.form == DOCKER and bool(wanted.secret and wanted.secret.password))


class Verified:
    """What registries said of the logins."""

    def __init__(self, settings: _login_check.Settings, policy: str) -> None:
        self.settings = settings
        self.policy = policy
        self.verdicts: dict[Question, Verdict] = {}
        self.warnings: list[str] = []

    def ask(self, questions: t.Iterable[Question]) -> None:
        """Ask about logins that were not asked about yet. Raises ConfigError, with all that is wrong, when one may not be written."""
        new = [one for one in dict.fromkeys(questions) if one not in self.verdicts]
        if self.policy == 'never':
            return
        self.verdicts.update(zip(new, _login_check.check_all(new, self.settings)))
        bad = [advice for advice in (_login_check.advise(self.verdicts[one], self.policy) for one in new) if advice]
        if bad:
            raise ConfigError('\n'.join(dict.fromkeys(bad)), key='auths')
        for one in new:
            if self.verdicts[one].outcome != _login_check.VERIFIED:
                self.warnings.append(f'{self.verdicts[one].reason} The login is written all the same (verify: {self.policy}).')

    def of(self, question: Question) -> Verdict:
        return self.verdicts.get(question, _NOT_CHECKED)

    def settled(self, target: Target, found: t.Mapping[str, t.Any]) -> Target:
        """The target with what the registries gave, and without the tokens in the file that they no longer take."""
        logins = []
        for wanted in target.logins:
            token = found['tokens'].get(wanted.registry.name, '')
            given = self.of(question_of(target, wanted)).identity_token
            logins.append(dataclasses.replace(wanted, identity_token=given, keep_token=not token or self._takes_token(wanted, token)))
        return dataclasses.replace(target, logins=tuple(logins))

    def _takes_token(self, wanted: Wanted, token: str) -> bool:
        if self.policy == 'never':
            return True
        return _login_check.check(Question(wanted.registry, Secret(identity_token=token), wanted.insecure), self.settings).outcome != _login_check.REFUSED


def report(targets: t.Sequence[Target], results: t.Sequence[t.Mapping[str, t.Any]], verified: Verified) -> dict[str, t.Any]:
    """The results, without a secret."""
    logins = []
    for target, result in zip(targets, results):
        for wanted, told in zip(target.logins, result['logins']):
            verdict = verified.of(question_of(target, wanted)) if wanted.present else _NOT_CHECKED
            limit = dataclasses.asdict(verdict.rate_limit) if verdict.rate_limit else None
            where = {'user': result['user'], 'path': result['path']}
            logins.append({**told, **where, 'verified': verdict.outcome, 'reason': verdict.reason, 'rate_limit': limit})
    limits = [one['rate_limit'] for one in logins if one['rate_limit']]
    return {
        'changed': any(result['changed'] for result in results),
        'logins': logins,
        'files': [{name: result[name] for name in ('path', 'user', 'format', 'changed')} for result in results],
        'rate_limit': min(limits, key=lambda limit: int(limit['remaining'])) if limits else None,
        'diff': [
            {
                'before_header': result['path'],
                'after_header': result['path'],
                'before': ''.join(f'{line}\n' for line in result['before']),
                'after': ''.join(f'{line}\n' for line in result['after']),
            }
            for result in results
        ],
    }


def work_on(targets: t.Sequence[Target], *, write: bool) -> list[dict[str, t.Any]]:
    """Work on one file after the other. Each is written whole or not at all, so the error of a later one names those that were written."""
    results: list[dict[str, t.Any]] = []
    for target in targets:
        try:
            results.append(_logins.work(target, write=write))
        except ConfigError as exc:
            written = [result['path'] for result in results if result['changed']] if write else []
            told = f' Written before that: {", ".join(written)}.' if written else ''
            raise ConfigError(f'{exc}{told}', path=exc.path, key=exc.key) from exc
    return results


def run(module: AnsibleModule, state: State) -> dict[str, t.Any]:
    """Look, ask, write."""
    params = module.params
    # With no_log on the whole of `auths`, a slip in it is not shown by Ansible's own messages. Now that it is understood, only what is secret is cut out.
    module.no_log_values = secrets_of(params)
    targets = targets_of(params)
    ask = params['verify'] != 'never' and (not module.check_mode or params['verify_in_check_mode'])
    proxies = parse_proxies(params['proxy'], params['no_proxy'])
    settings = _login_check.Settings(
        deadline=params['deadline'],
        proxies=proxies,
        ca_paths=(params['ca_path'],) if params['ca_path'] else (),
        rate_limit=params['rate_limit'] != 'never',
    )
    verified = Verified(settings, params['verify'] if ask else 'never')
    serial = os.geteuid() == 0 and not module.check_mode
    # All files are understood, and all registries asked, before the first one is written.
    found = [_logins.work(target, write=False) for target in targets]
    try:
        verified.ask(question_of(target, wanted) for target in targets for wanted in target.logins if wanted.present)
    except ConfigError as exc:
        module.fail_json(msg=str(exc), **{**report(targets, found, verified), 'changed': False})
    targets = [verified.settled(target, one) for target, one in zip(targets, found)]
    alone = params['rate_limit'] == 'always' and not any(one.registry.host == HUB for target in targets for one in target.logins)
    limit = _login_check.rate_limit(settings) if alone and (not module.check_mode or params['verify_in_check_mode']) else None
    with _io.locked(state) if serial else contextlib.nullcontext():
        results = work_on(targets, write=not module.check_mode)
    left = [sentence for one in results for sentence in one['warnings']]
    for sentence in [*verified.warnings, *left, *lint_no_proxy(params['no_proxy'])]:
        module.warn(sentence)
    result = report(targets, results, verified)
    if alone:
        result['rate_limit'] = dataclasses.asdict(limit) if limit else None
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            'auths': {
                'type': 'list',
                'elements': 'dict',
                'default': [],
                'no_log': True,
                'options': {
                    'registry': {'type': 'str', 'required': True},
                    'username': {'type': 'str'},
                    'password': {'type': 'str', 'no_log': True},
                    'identity_token': {'type': 'str', 'no_log': True},
                    'state': {'type': 'str', 'choices': ['absent', 'present'], 'default': 'present'},
                    'user': {'type': 'str'},
                    'format': {'type': 'str', 'choices': ['containers', 'docker']},
                    'config_path': {'type': 'path'},
                    'helper': {'type': 'str'},
                    'insecure': {'type': 'bool', 'default': False},
                },
            },
            'user': {'type': 'str'},
            'format': {'type': 'str', 'choices': ['containers', 'docker'], 'default': 'docker'},
            'config_path': {'type': 'path'},
            'verify': {'type': 'str', 'choices': ['always', 'never', 'when_reachable'], 'default': 'always'},
            'verify_in_check_mode': {'type': 'bool', 'default': False},
            'exclusive': {'type': 'bool', 'default': False},
            'client_proxies': {
                'type': 'dict',
                'no_log': True,
                'options': {
                    'http_proxy': {'type': 'str'},
                    'https_proxy': {'type': 'str'},
                    'no_proxy': {'type': 'list', 'elements': 'str'},
                    'ftp_proxy': {'type': 'str'},
                    'all_proxy': {'type': 'str'},
                },
            },
            'proxy': {'type': 'raw', 'no_log': True},
            'no_proxy': {'type': 'list', 'elements': 'str', 'default': []},
            'ca_path': {'type': 'path'},
            'deadline': {'type': 'float', 'default': 20},
            'rate_limit': {'type': 'str', 'choices': ['always', 'auto', 'never'], 'default': 'auto'},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module, State())
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == '__main__':
    main()
