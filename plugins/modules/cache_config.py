#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: cache_config
short_description: Write the files of a pull-through cache
version_added: 0.1.0
description:
  - Writes what a pull-through cache is made of below C(/etc/quickpull-cache) - a configuration of the distribution registry for each upstream, its secrets in a
    file that only root may read, and the configuration of an nginx of its own in front of them, which is the one address that clients talk to.
  - Everything is checked before anything is written. The ports must be free, the certificate must go with its key, the size must fit the disk, upstreams must
    take their logins, and nginx must understand its file. So a mistake leaves the files, and the service that runs by them, as they were.
  - Neither starts nor restarts anything, which M(quickpull.registry.cache_apply) does. RV(needs) says what it will have to, and RV(stop) what is no longer
    wanted.
extends_documentation_fragment:
  - quickpull.registry.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Files with secrets are shown as changed, not with what is in them.
  idempotent:
    support: full
options:
  upstreams:
    description:
      - Registries to be a cache of, each a name such as V(docker.io), or a dictionary. The first one is what Docker's C(registry-mirrors) get, so C(docker.io)
        belongs there where Docker is a client.
      - A dictionary has C(name), and C(url) where the registry is not found by its name, C(username) and C(password) of a login at it, C(proxy) on the way
        there, C(ca_path) (a file on the host) of an authority, and C(port) of the instance on the loopback. That of its metrics is 100 higher. C(redis_db) is
        the number of its database where there is O(redis).
      - With a login, whoever may pull from the cache gets all that the login may pull, private images as well. See O(clients).
      - Required with O(state=present).
    type: list
    elements: raw
  address:
    description: Where the cache listens. By default on every IPv4 address of the host, because its clients are other hosts.
    type: str
    default: 0.0.0.0
  port:
    description: The port of the cache.
    type: int
    default: 5000
  size:
    description:
      - How much of what was served the front keeps at most, such as V(50g). What was asked for least recently goes first.
    type: str
    default: 50g
  store_size:
    description:
      - How much the instances keep beside it, all together. The role's timer takes away what was used least recently. What is older than a week goes anyhow,
        which the registry 2.8 has built in.
    type: str
    default: 20g
  reserve:
    description:
      - How much of their file systems the front and the instances leave to others. They take away what was used least recently until as much is free.
      - With less than a quarter of it free the front hands on what it gets and stores nothing, until there is room again. The role's timer looks each minute.
    type: str
    default: 1g
  fresh_for:
    description:
      - For how many seconds what a tag means is believed without asking the upstream again. What a digest names never changes and is never asked for again.
      - More spares Docker Hub's limit, less shows a moved tag sooner.
    type: int
    default: 300
  metrics_from:
    description:
      - Addresses and networks that may read the figures of the instances, in Prometheus' format, at C(/-/metrics/NAME) of the cache, where C(NAME) is that of
        the upstream. The host itself may always, and nobody else by default.
      - Whether an instance is well is told to everybody at C(/-/health/NAME).
    type: list
    elements: str
    default: []
  certificate:
    description: A PEM file on the host, with the certificate and those of its authorities. Left out, the cache speaks plain HTTP.
    type: path
  key:
    description: The key of O(certificate).
    type: path
  clients:
    description:
      - Who may pull, each with C(username) and C(password). Kept as salted hashes. Left out, everybody who reaches the cache.
    type: list
    elements: dict
    suboptions:
      username:
        description: Name of the client, without a colon.
        type: str
        required: true
      password:
        description: Its password.
        type: str
        required: true
  s3:
    description:
      - An S3-compatible store in which the instances keep what they have, instead of below C(/var/lib/quickpull-cache). Caches that are told the same bucket
        share it, so that what one of them pulled the others have.
      - A dictionary with C(bucket), C(region) (V(us-east-1) if left out), C(endpoint) such as V(https://s3.lan:9000) (Amazon's own if left out), C(access_key)
        and C(secret_key) (if left out, what the host's role in Amazon's cloud gives), C(prefix) (V(quickpull-cache) if left out), below which each upstream has
        a directory of its own, and C(ca_path), a file on the host with the authority of the endpoint.
      - The bucket is asked with these keys before anything is written, see O(verify_upstreams). O(store_size) says nothing of it. The registry takes away
        what it fetched longer ago than O(keep_for), asked for since or not, as far as the caches that share it remember.
    type: dict
  redis:
    description:
      - A Redis in which the instances remember what is in O(s3), which spares them questions. A dictionary with C(address), such as V(redis.lan:6379), and
        C(password).
      - It does not tell upstreams apart, so each needs a C(redis_db) of its own, the same one on each cache that shares the bucket. Where rules of the bucket
        take files away, Redis goes on to promise them, so use either.
      - Only with O(s3).
    type: dict
  replicas:
    description:
      - URLs of other caches, such as V(http://10.0.0.6:5000), that the front asks in this order where an instance of its own does not answer, or only with an
        error. They need the same upstreams, and the same O(clients) where there are any. A request goes on once at most, so that each may name the others, or
        all of them name all.
    type: list
    elements: str
    default: []
  replicas_ca_path:
    description: A file on the host with the authorities of the certificates of O(replicas). Left out, those that the host trusts.
    type: path
  verify_upstreams:
    description:
      - Whether upstreams are asked before anything is written. A login that is refused is an error. So is an upstream that cannot be reached as it is
        described now while its instance runs, because the registry does not start without. A new one is a warning, and starts as soon as it can be; one whose
        name is unknown is an error all the same.
      - The bucket of O(s3) is asked as well. One that is not there, or does not let its keys in, is an error.
    type: bool
    default: true
  deadline:
    description: Seconds that a question to an upstream may take.
    type: float
    default: 20
  registry_version:
    description:
      - The version of the distribution registry that the files are written for. A program, and the tag of an image, that say another are errors.
    type: int
    choices: [2, 3]
    default: 2
  keep_for:
    description:
      - For how long the instances keep what they fetched, counted from then and used or not, such as V(30d) or V(12h), and V(0) for ever. Left out, that is
        a week, which the registry 2 has built in; only version 3 knows another time.
    type: str
    default: ''
  registry_program:
    description: The program of the registry, which is asked for its version. Left out, or with O(container_engine), it is not asked.
    type: path
  container_engine:
    description:
      - Which engine runs the instances as containers, where there is no package of the registry. Empty for none. The units are the caller's.
    type: str
    choices: ['', docker, podman]
    default: ''
  container_image:
    description: The image that they run then. It is pulled before anything is written, where it is not there yet.
    type: str
    default: ''
  nginx_program:
    description: The nginx that is asked what it makes of its file, and that the front runs. Left out, it is looked for where packages have it.
    type: path
  owner:
    description: Whose files they are. Another owner neither changes them nor takes them away.
    type: str
    default: pull_through_cache
  state:
    description: Whether the files should be there. V(absent) takes away all that this owner wrote; what the cache has stored is left.
    type: str
    choices: [absent, present]
    default: present
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Be a cache of two registries
  quickpull.registry.cache_config:
    upstreams:
      - name: docker.io
        username: acme
        password: "{{ vault_hub_password }}"
      - quay.io
    size: 100g
  become: true
  register: cache
"""

RETURN = r"""
instances:
  description: The instances, one for each upstream.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The upstream.
      returned: always
      type: str
      sample: docker.io
    unit:
      description: The service.
      returned: always
      type: str
      sample: quickpull-cache@docker.io.service
    port:
      description: Where it listens on the loopback.
      returned: always
      type: int
      sample: 5101
    metrics_port:
      description: Where its metrics are, in Prometheus' format, at C(/metrics).
      returned: always
      type: int
      sample: 5201
    changed:
      description: Whether any file of it was written.
      returned: always
      type: bool
      sample: true
needs:
  description:
    - What does not run by its files yet, a sentence each, for M(quickpull.registry.cache_apply). Also what an earlier run left so.
  returned: success
  type: list
  elements: str
  sample: ["quickpull-cache@docker.io.service does not run by the files that are there."]
restart:
  description: Units whose files changed so that they have to be restarted.
  returned: success
  type: list
  elements: str
  sample: [quickpull-cache@docker.io.service]
reload:
  description: Units whose files changed, and which take them by a reload.
  returned: success
  type: list
  elements: str
  sample: [quickpull-cache-front.service]
health_url:
  description: Where the host itself can ask whether the front is well. Empty with O(state=absent).
  returned: success
  type: str
  sample: http://127.0.0.1:5000/-/health
notes:
  description: What whoever runs it should know now, a sentence each. Empty when nothing changed.
  returned: success
  type: list
  elements: str
  sample: ["The cache of docker.io and quay.io listens at http://0.0.0.0:5000. Its clients know once quickpull.registry.site ran."]
stop:
  description: Units that are no longer wanted.
  returned: success
  type: list
  elements: str
  sample: []
"""

import contextlib
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import (
    _cache_apply,
    _cache_front,
    _cache_model,
    _cache_plan,
    _cache_registry,
    _cache_store,
    _io,
    _owned_files,
)
from ansible_collections.quickpull.registry.plugins.module_utils._cache_model import CONFIG_DIR, EVICT_TIMER, FRONT_UNIT, INSTANCE_UNIT, Front, Upstream
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._plain import plain
from ansible_collections.quickpull.registry.plugins.module_utils._state import State


def check(params: t.Mapping[str, t.Any], wanted: _cache_plan.Wanted, changed: t.Collection[str], host: _cache_plan.Host, check_mode: bool) -> list[str]:
    """All that must hold; ``changed``: units whose files change. Returns warnings. Raises ConfigError."""
    _cache_plan.check_certificate(wanted.front)
    _cache_plan.check_addresses(wanted.front, host)
    unseen = _cache_plan.check_program(
        wanted.program, params['registry_program'] or '', params['container_engine'], params['container_image'], host, check_mode
    )
    content = wanted.files[host.path(f'{CONFIG_DIR}/{_cache_plan.FRONT_FILE}')]
    if check_mode and not host.nginx:
        unseen.append('There is no nginx on this host yet, so it was not asked what it makes of the file.')
    elif content is not None:
        _cache_plan.check_front(content, host)
    if not params['verify_upstreams']:
        return unseen
    fresh = [one for one in wanted.upstreams if one.unit in changed]
    return [
        *unseen,
        *_cache_plan.check_store(wanted.program.store, params['deadline']),
        *_cache_plan.check_logins(wanted.upstreams, wanted.program.version, params['deadline']),
        *_cache_plan.check_reached(fresh, _cache_plan.running(host), params['deadline']),
    ]


def diff_of(change: _owned_files.Change) -> dict[str, str]:
    """Before and after; of files with secrets only that they change."""
    before, after = change.texts()
    if change.path.endswith(('.env', _cache_plan.CLIENTS_FILE)):
        before, after = '(hidden)\n' if before else '', '(hidden, changed)\n' if after else ''
    return {'before_header': change.path, 'after_header': change.path, 'before': before, 'after': after}


def unit_of(path: str, host: _cache_plan.Host) -> str:
    """Which service reads a file."""
    name = path[len(host.path(CONFIG_DIR)) + 1 :]
    if name in (_cache_plan.FRONT_FILE, _cache_plan.CLIENTS_FILE):
        return FRONT_UNIT
    if name == _cache_plan.EVICT_FILE:
        return EVICT_TIMER
    return INSTANCE_UNIT.format(name.split('/')[1] if name.startswith('ca/') else name.rpartition('.')[0])


def run(module: AnsibleModule, host: _cache_plan.Host, state: State) -> dict[str, t.Any]:
    """Understand, check, write."""
    params = module.params
    present = params['state'] == 'present'
    upstreams: list[Upstream] = _cache_model.parse_upstreams(plain(params['upstreams'])) if present else []
    clients = None if params['clients'] is None else plain(params['clients'])
    store = _cache_store.parse(plain(params['s3']), plain(params['redis'])) if present else _cache_store.ON_THE_HOST
    # With no_log the call is kept out of the system log. From here on only what is secret is cut out of the results.
    passwords = {one['password'] for one in clients or () if one['password']}
    module.no_log_values = _cache_registry.secrets_of(upstreams) | _cache_store.secrets_of(store) | passwords
    with contextlib.nullcontext() if module.check_mode else _io.locked(state, journal=False):
        record = _owned_files.load(state, _cache_plan.KIND)
        before, listened = _cache_plan.instances(host), _cache_plan.listens(host)
        if present:
            front = Front(
                params['address'], params['port'], _cache_model.parse_size(params['size'], 'size'), params['fresh_for'],
                params['certificate'] or '', params['key'] or '', reserve=_cache_model.parse_size(params['reserve'], 'reserve'),
                metrics_from=tuple(params['metrics_from']),
                replicas=_cache_model.parse_replicas(params['replicas'], params['replicas_ca_path'] or _cache_plan.authorities(host)),
            )  # fmt: skip
            front = _cache_plan.with_addresses(front, host, clients)
            store_size = _cache_model.parse_size(params['store_size'], 'store_size')
            program = _cache_model.parse_program(params['registry_version'], params['keep_for'], store)
            wanted = _cache_plan.wanted(upstreams, front, clients, store_size, program, host)
            files, settled = wanted.files, wanted.upstreams
        else:
            files, settled = _cache_plan.nothing(host, state), ()
        planned = _owned_files.plan(record, params['owner'], files)
        if planned.left:
            raise ConfigError(' '.join(left.because for left in planned.left), path=planned.left[0].path)
        for sentence in _owned_files.edits(state, planned):
            module.warn(sentence)
        changed = {unit_of(change.path, host) for change in planned.changes}
        if present:
            _cache_plan.check_room(front.size, 0 if store.bucket else store_size, front.reserve, host)
            for sentence in check(params, wanted, changed, host, module.check_mode):
                module.warn(sentence)
        gone = not present and not planned.record
        if not module.check_mode:
            if present:
                _cache_plan.make_directory(host)
            _owned_files.apply(state, _cache_plan.KIND, planned)
            if gone:
                _cache_apply.forget(state)
                _cache_plan.leave_directory(host)
    stay = {*(one.unit for one in settled), *((FRONT_UNIT, EVICT_TIMER) if present else ())}
    known = [*map(INSTANCE_UNIT.format, before), *((FRONT_UNIT, EVICT_TIMER) if before else ()), *_cache_plan.enabled(host)]
    stop = [unit for unit in dict.fromkeys(known) if unit not in stay] if present or gone else []
    # On a reload nginx opens its new socket beside the old one, which cannot be where one of the two is every address.
    moved = present and listened not in (None, (params['address'], params['port']))
    again = [unit for unit in (*(one.unit for one in settled), FRONT_UNIT) if unit in changed and unit not in stop]
    needs = {step.service.unit: step.because for step in _cache_apply.plan(host, state)} if present else {}
    if module.check_mode:
        needs = {**{unit: f'{unit} would have to take the new files.' for unit in again}, **needs}
    return {
        'changed': bool(planned.changes),
        'instances': [
            {'name': one.name, 'unit': one.unit, 'port': one.port, 'metrics_port': one.metrics_port, 'changed': one.unit in changed} for one in settled
        ],
        'restart': [unit for unit in again if unit != FRONT_UNIT or moved],
        'reload': [unit for unit in again if unit == FRONT_UNIT and not moved],
        'stop': stop,
        'notes': _cache_front.notes(settled, wanted.front) if present and planned.changes else [],
        'needs': list(needs.values()),
        'health_url': front.health_url if present else '',
        'diff': [diff_of(change) for change in planned.changes],
    }


def main() -> None:
    client = {'username': {'type': 'str', 'required': True}, 'password': {'type': 'str', 'required': True, 'no_log': True}}
    module = AnsibleModule(
        argument_spec={
            'upstreams': {'type': 'list', 'elements': 'raw', 'no_log': True},
            'address': {'type': 'str', 'default': '0.0.0.0'},  # noqa: S104
            'port': {'type': 'int', 'default': 5000},
            'size': {'type': 'str', 'default': '50g'},
            'store_size': {'type': 'str', 'default': '20g'},
            'reserve': {'type': 'str', 'default': '1g'},
            'fresh_for': {'type': 'int', 'default': 300},
            'metrics_from': {'type': 'list', 'elements': 'str', 'default': []},
            'certificate': {'type': 'path'},
            'key': {'type': 'path', 'no_log': False},
            'clients': {'type': 'list', 'elements': 'dict', 'options': client, 'no_log': True},
            's3': {'type': 'dict', 'no_log': True},
            'redis': {'type': 'dict', 'no_log': True},
            'replicas': {'type': 'list', 'elements': 'str', 'default': []},
            'replicas_ca_path': {'type': 'path'},
            'verify_upstreams': {'type': 'bool', 'default': True},
            'deadline': {'type': 'float', 'default': 20},
            'registry_version': {'type': 'int', 'choices': [2, 3], 'default': 2},
            'keep_for': {'type': 'str', 'default': ''},
            'registry_program': {'type': 'path'},
            'container_engine': {'type': 'str', 'choices': ['', 'docker', 'podman'], 'default': ''},
            'container_image': {'type': 'str', 'default': ''},
            'nginx_program': {'type': 'path'},
            'owner': {'type': 'str', 'default': 'pull_through_cache'},
            'state': {'type': 'str', 'choices': ['absent', 'present'], 'default': 'present'},
        },
        required_if=[('state', 'present', ('upstreams',))],
        supports_check_mode=True,
    )
    try:
        result = run(module, _cache_plan.Host(nginx_program=module.params['nginx_program'] or ''), State())
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == '__main__':
    main()
