#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: cloudflare_worker
short_description: Deploy a mirror of container registries as a Worker at Cloudflare
version_added: 0.1.0
description:
  - Uploads the modules of a Worker with its settings and secrets, and lets host names lead to it, by the official Python SDK of Cloudflare. It runs on the
    controller, or on any host from which Cloudflare's API can be reached.
  - Everything is read and checked before anything is written. A Worker, a custom domain, a route or a DNS record that somebody else made is an error that says
    what to do, and nothing is changed.
  - Code, settings and secrets come into force together, in one request. The Worker that was there serves until then, and goes on serving when the upload is
    refused. Host names are added after that, and those that are no longer wanted are taken away at the end. Until they are gone they stand for their
    registry, and a last upload forgets them. When a step fails, the error says what was done before it, and the next run goes on from there.
  - A hash decides whether there is anything to upload. It is kept in C(QUICKPULL), a binding of the Worker's own, together with the host names that are ours.
    Settings, bindings, and records of routes that were changed in the dashboard are seen and put right; code that was changed there is not seen, because the
    hash stays.
  - Secrets cannot be read back from Cloudflare. The binding holds a salted scrypt hash of each in place of them, which shows a changed password.
    Whoever may read the settings of the account's Workers can use it to try passwords at a tenth of a second and 32 MiB each, all logins of a secret
    together. So choose passwords that cannot be guessed. The hash does not depend on the API token, so a new token changes nothing.
  - The API token needs C(Workers Scripts - Edit) of the account. With O(hosts) or O(domain) it also needs C(Zone - Read), C(DNS - Read) and
    C(Workers Routes - Read) of the zones, and with V(route) C(DNS - Edit) and C(Workers Routes - Edit) in place of the last two. Errors name what is missing.
  - No account was at hand. The module was tried against a stand-in of the API alone, which was made after Cloudflare's documentation and its SDK.
extends_documentation_fragment:
  - quickpull.registry.attributes
attributes:
  check_mode:
    support: full
    details:
      - Reads and checks as in a run. What only Cloudflare can say to a write, such as an error in the code, shows at the run alone.
  diff_mode:
    support: full
    details:
      - Shows the settings, the hash of each module, the names of the secrets, and what leads to the Worker.
  idempotent:
    support: full
requirements:
  - cloudflare >= 5.9, < 6 (Python)
options:
  account_id:
    description: The id of the account at Cloudflare, 32 digits of 0-9 and a-f.
    type: str
    required: true
  api_token:
    description:
      - The API token. Without it, E(CLOUDFLARE_API_TOKEN) of the environment of the host that the module runs on.
      - The environment is where Cloudflare's own tools look too.
    type: str
  name:
    description: The Worker's name. It is also its first label below C(workers.dev).
    type: str
    default: quickpull-registry
  modules_path:
    description:
      - A folder with the Worker's modules, on the host that the module runs on. Each file C(*.js) in it is uploaded under its own name, and C(worker.js)
        is the one it begins with.
      - Required with O(state=present).
    type: path
  upstreams:
    description:
      - The registries that the Worker may be a mirror of, each a name, or a dictionary with C(name) and C(url). No other is ever asked.
    type: list
    elements: raw
    default: [docker.io, quay.io, ghcr.io, gcr.io, registry.k8s.io]
  domain:
    description:
      - A domain of the account in which each upstream gets a host name, such as C(docker.example.com), C(quay.example.com), C(ghcr.example.com),
        C(gcr.example.com) and C(k8s.example.com) for the default list.
    type: str
    default: ''
  hosts:
    description:
      - Host names of your own choice, each with its upstream. An upstream that has one here gets none below O(domain).
      - In place of the upstream's name a dictionary may stand, with C(upstream), C(attach) as O(attach), and C(zone), where the longest zone of the account
        that fits is not the right one.
      - The list is the whole one. A host name that an earlier run added and that is no longer wanted is taken away.
    type: dict
    default: {}
  attach:
    description:
      - How host names lead to the Worker.
      - V(domain) is a custom domain. Cloudflare makes the DNS record and a certificate, also for names of several labels below the zone.
      - V(route) is a route with a DNS record (C(AAAA), C(100::), proxied) that the module makes. It uses the certificate of the zone, which by default covers
        one label below it.
    type: str
    choices: [domain, route]
    default: domain
  workers_dev:
    description:
      - Whether the Worker is served at C(NAME.SUBDOMAIN.workers.dev). By default where there is no host name, because then it is the only way to it.
      - The addresses of previews are always turned off, since they would be another way in.
    type: bool
  default_upstream:
    description:
      - Which upstream the name below C(workers.dev) means. Empty for none. Without O(workers_dev) it is not used, and a host name that is none of O(hosts)
        and O(domain) is answered with an error, so that nobody gets the image of another registry.
      - The default is V(docker.io) where that is among O(upstreams), and none otherwise. It is what Docker's C(registry-mirrors) ask for.
    type: str
  allow:
    description:
      - Which repositories are served, such as V(docker.io/library/*). Empty for all of the upstreams. V(docker.io/busybox) is C(docker.io/library/busybox).
      - Name them where no login is asked for, or the whole world pulls on your account.
    type: list
    elements: str
    default: []
  cache_blobs:
    description: Whether the Worker keeps layers in Cloudflare's cache, by their digests.
    type: bool
    default: true
  client_logins:
    description: Who may pull, passwords by name. Empty for everybody.
    type: dict
    default: {}
  upstream_logins:
    description:
      - Logins of the Worker at upstreams, by name of the upstream, each with C(username) and C(password).
      - With a login, whoever may pull from the Worker gets all that the login may pull, private images as well.
    type: dict
    default: {}
  compatibility_date:
    description: The date whose behaviour of Cloudflare's runtime the code is written for. It changes with the code, so leave it unless the code is your own.
    type: str
    default: '2025-07-01'
  force:
    description: Whether a Worker of this name that somebody else made is replaced, or taken away.
    type: bool
    default: false
  state:
    description:
      - Whether there should be a Worker. V(absent) takes it away, with the custom domains, routes and DNS records that are ours.
    type: str
    choices: [absent, present]
    default: present
  api_url:
    description: Where the API is, for a gateway before it. Empty for E(CLOUDFLARE_BASE_URL) of the environment, or else Cloudflare's own address.
    type: str
    default: ''
seealso:
  - module: quickpull.registry.registry_mirror_probe
  - name: Workers, create an API token
    description: Where tokens are made, and what their permissions mean.
    link: https://developers.cloudflare.com/fundamentals/api/get-started/create-token/
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Deploy a mirror below a domain of one's own
  quickpull.registry.cloudflare_worker:
    account_id: 023e105f4ecef8ad9ca31a8372d0c353
    api_token: "{{ vault_cloudflare_token }}"
    modules_path: files/worker
    domain: example.com
    allow: [docker.io/library/*, quay.io/prometheus/*]
    upstream_logins:
      docker.io:
        username: acme
        password: "{{ vault_hub_token }}"
  delegate_to: localhost
  register: worker

- name: Show what it is for the mirror list
  ansible.builtin.debug:
    var: worker.mirrors

- name: Deploy a mirror of Docker Hub below workers.dev, with a login
  quickpull.registry.cloudflare_worker:
    account_id: 023e105f4ecef8ad9ca31a8372d0c353
    name: hub
    modules_path: files/worker
    upstreams: [docker.io]
    client_logins:
      builder: "{{ vault_mirror_password }}"
  delegate_to: localhost

- name: Take the mirror away with all that leads to it
  quickpull.registry.cloudflare_worker:
    account_id: 023e105f4ecef8ad9ca31a8372d0c353
    state: absent
  delegate_to: localhost
"""

RETURN = r"""
mirrors:
  description: What the Worker is as a mirror, by upstream, in the form of C(registry_access_mirrors). Empty with O(state=absent).
  returned: success
  type: dict
  sample: {docker.io: ["https://docker.example.com"], quay.io: ["https://quay.example.com"]}
urls:
  description: The addresses of the Worker. Each answers C(/-/health).
  returned: success
  type: list
  elements: str
  sample: ["https://docker.example.com", "https://quay.example.com"]
steps:
  description: What was done, in its order, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: ["upload the Worker quickpull-registry, since there is none", "make docker.example.com a custom domain of it"]
hash:
  description: The hash of modules and settings, without the secrets. Empty with O(state=absent).
  returned: success
  type: str
  sample: 3b7f2c1f5b0c4f1e9f3a6d9c0e3b7a55f5b0d9f7f7a1c2f64dbb1ce1a8a0c6de
"""

import json
import re
import traceback
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib

from ansible_collections.quickpull.registry.plugins.module_utils import _worker_api, _worker_deploy, _worker_model
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._plain import plain
from ansible_collections.quickpull.registry.plugins.module_utils._registry import DOCKER_HUB


def read_modules(folder: str) -> t.Mapping[str, bytes]:
    """The files of the Worker. Raises ConfigError."""
    try:
        found = {path.name: path.read_bytes() for path in Path(folder).glob('*.js') if path.is_file()}
    except OSError as exc:
        raise ConfigError(f'modules_path: {exc.filename or folder} cannot be read: {exc.strerror}.', path=folder, key='modules_path') from exc
    return _worker_model.check_modules(found, folder)


def worker_of(params: t.Mapping[str, t.Any]) -> _worker_model.Worker:
    """What is wanted. Raises ConfigError."""
    present = params['state'] == 'present'
    upstreams = _worker_model.parse_upstreams(params['upstreams'])
    hosts = _worker_model.parse_hosts(params['domain'], params['hosts'], upstreams, params['attach'])
    default = params['default_upstream']
    if default is None:
        default = DOCKER_HUB if DOCKER_HUB in upstreams else ''
    workers_dev = not hosts if params['workers_dev'] is None else params['workers_dev']
    worker = _worker_model.Worker(
        account_id=_worker_model.check_account(params['account_id']),
        name=_worker_model.check_name(params['name']),
        hosts=hosts,
        settings=_worker_model.parse_settings(hosts, upstreams, params['allow'], params['cache_blobs'], default, workers_dev),
        modules=read_modules(params['modules_path']) if present else {},
        secrets=_worker_model.parse_secrets(params['client_logins'], params['upstream_logins'], upstreams) if present else {},
        compatibility_date=_worker_model.check_date(params['compatibility_date']),
        workers_dev=workers_dev,
    )
    _worker_model.check_sizes(worker)
    return worker


def check_token(token: str | None) -> str:
    """The API token. Raises ConfigError, which does not show it."""
    text = (token or '').strip()
    if not text or re.search(r'[^\x21-\x7e]', text):
        raise ConfigError('api_token: an API token is needed, in one word. Set it, or CLOUDFLARE_API_TOKEN in the environment.', key='api_token')
    return text


def run(module: AnsibleModule, connect: t.Callable[[str, str], t.Any]) -> dict[str, t.Any]:
    """Understand, read, check, do."""
    params = {name: plain(value) for name, value in module.params.items()}
    token = check_token(params['api_token'])
    # With no_log the call is kept out of the system log. From here on only what is secret is cut out of the results.
    module.no_log_values = {token} | _worker_model.passwords_in(params['client_logins'], params['upstream_logins'])
    worker = worker_of(params)
    present = params['state'] == 'present'
    for sentence in _worker_model.cautions(worker) if present else ():
        module.warn(sentence)
    api = _worker_api.Api(connect(token, params['api_url']), worker.account_id)
    plan = (_worker_deploy.plan_present if present else _worker_deploy.plan_absent)(api, worker, params['force'])
    for sentence in plan.warnings:
        module.warn(sentence)
    if not module.check_mode:
        _worker_deploy.apply(plan)
    if present and not worker.hosts and not plan.workers_dev_url:
        module.warn('There is no host name, and workers_dev is off: the Worker is there, and served nowhere.')
    urls = [f'https://{host.name}' for host in worker.hosts] + ([plan.workers_dev_url] if plan.workers_dev_url else [])
    default = worker.settings['default']
    return {
        'changed': bool(plan.steps),
        'mirrors': _worker_model.mirrors(worker.hosts, worker.settings['upstreams'], default, plan.workers_dev_url) if present else {},
        'urls': urls if present else [],
        'steps': [step.text for step in plan.steps],
        'hash': worker.fingerprint() if present else '',
        'diff': {
            'before_header': f'Worker {worker.name}', 'after_header': f'Worker {worker.name}', 'before': shown(plan.before), 'after': shown(plan.after),
        },
    }  # fmt: skip


def shown(value: t.Mapping[str, t.Any]) -> str:
    """A text for the diff."""
    return json.dumps(value, indent=2, sort_keys=True) + '\n' if value else ''


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            'account_id': {'type': 'str', 'required': True},
            'api_token': {'type': 'str', 'no_log': True, 'fallback': (env_fallback, ['CLOUDFLARE_API_TOKEN'])},
            'name': {'type': 'str', 'default': _worker_model.DEFAULT_NAME},
            'modules_path': {'type': 'path'},
            'upstreams': {'type': 'list', 'elements': 'raw', 'default': list(_worker_model.DEFAULT_UPSTREAMS)},
            'domain': {'type': 'str', 'default': ''},
            'hosts': {'type': 'dict', 'default': {}},
            'attach': {'type': 'str', 'choices': [_worker_model.DOMAIN, _worker_model.ROUTE], 'default': _worker_model.DOMAIN},
            'workers_dev': {'type': 'bool'},
            'default_upstream': {'type': 'str'},
            'allow': {'type': 'list', 'elements': 'str', 'default': []},
            'cache_blobs': {'type': 'bool', 'default': True},
            'client_logins': {'type': 'dict', 'default': {}, 'no_log': True},
            'upstream_logins': {'type': 'dict', 'default': {}, 'no_log': True},
            'compatibility_date': {'type': 'str', 'default': _worker_model.DEFAULT_COMPATIBILITY_DATE},
            'force': {'type': 'bool', 'default': False},
            'state': {'type': 'str', 'choices': ['absent', 'present'], 'default': 'present'},
            'api_url': {'type': 'str', 'default': ''},
        },
        required_if=[('state', 'present', ('modules_path',))],
        supports_check_mode=True,
    )
    try:
        result = run(module, _worker_api.connect)
    except ImportError:
        words = 'It belongs to the Python that runs Ansible: pip install "cloudflare>=5.9,<6".'
        module.fail_json(msg=f'{missing_required_lib("cloudflare")} {words}', exception=traceback.format_exc())
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == '__main__':
    main()
