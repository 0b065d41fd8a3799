#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: registry_mirror_probe
short_description: Find out which registry mirrors really serve, how fast, and what is wrong with the others
version_added: 0.1.0
description:
  - Asks every mirror at once for what a container engine would ask it for, as this host sees it. That is C(/v2/), the token that the
    manifest's own challenge asks for, the manifest by HEAD and by GET, the manifest for this host's platform, the image configuration,
    and the first bytes of a layer. All digests are computed and compared, and redirects are followed.
  - A mirror is known by what it serves, not by its name. A mirror that answers C(/v2/) may still refuse the image, deny the layers, lie
    about the digest, or serve an image of last year. Docker installs from a stale or lying mirror without a word.
  - Whatever a mirror does, the module ends within O(deadline) and a second, and in bounded memory. The time it takes is that of the
    slowest mirror, not the sum.
  - No credentials are ever sent, apart from the C(headers) that you give a mirror in O(mirrors), which go to that mirror's address alone.
    Tokens are anonymous and are not forwarded to another host. The proxies of the environment are ignored.
  - A mirror gets at most 8 requests for the first image, 3 for each further one, and 16 in all. When it answers 429 with a
    C(Retry-After) header, the module waits as asked if O(deadline) leaves room for it.
  - Mirrors that fail are results and no failure of the module. It fails for options that it cannot take.
extends_documentation_fragment:
  - quickpull.registry.attributes
attributes:
  check_mode:
    support: full
    details:
      - The module changes nothing, so it runs the same way in check mode. With O(depth=pull) no image is pulled in check mode; it then
        counts as V(blob).
  diff_mode:
    support: N/A
    details:
      - The module changes nothing, so there is no difference to show.
  idempotent:
    support: full
    details:
      - The module changes nothing. With O(depth=pull) it removes what it pulled.
options:
  mirrors:
    description:
      - The mirrors to probe, each a URL or a dict.
      - A dict takes C(url), C(trust), C(third_party), C(ca_path), C(client_cert), C(client_key), C(headers) and C(insecure), and nothing else.
        Paths are on the host that the module runs on. C(trust) and C(third_party) do not matter to the probe.
      - The certificates of C(ca_path) and the permission of C(insecure) also hold for where the mirror redirects to, as they do with Docker;
        the client certificate and the headers go to the mirror alone.
    type: list
    elements: raw
    required: true
  upstream:
    description:
      - The registry whose images the mirrors serve.
      - Docker Hub is the default, because it is the only one that Docker's own C(registry-mirrors) can mirror.
    type: str
    default: docker.io
  images:
    description:
      - The images to ask for, as one writes them for C(docker pull), with a tag or a digest. For V(docker.io) C(nginx) means
        C(library/nginx).
      - The first one decides about speed and gets the layer sample. The further ones are checked down to the image configuration.
      - Name images that your hosts use. Mirrors with an allow-list serve some images and deny others, and no other image can tell.
      - The default is small, official, and rebuilt every few weeks, so that its age tells something about the mirror.
      - With an empty list only C(/v2/) is asked.
    type: list
    elements: str
    default: [library/alpine:latest]
  depth:
    description:
      - How deep to look.
      - V(ping) asks for C(/v2/) alone, which half of all dead mirrors still answer.
      - V(manifest) goes down to the manifest for this platform, and verifies it.
      - V(blob) goes on to the image configuration and some bytes of a layer. It is the default, because it is the first depth at which a
        mirror has shown that it serves, and the first that can tell an old image and measure a throughput.
      - V(pull) adds what people do by hand, C(docker pull MIRROR/library/nginx), for the first image and through the daemon of this host. The
        image is removed afterwards, unless it was there before. Where this cannot work although the mirror can, for instance with plain
        http or with a path in the URL, RV(results[].pull) says V(not_applicable).
    type: str
    choices: [blob, manifest, ping, pull]
    default: blob
  deadline:
    description:
      - Seconds for the whole module, however many mirrors there are.
      - A mirror that does not even accept a connection is given up after 5 seconds, or sooner when the deadline is short. The default leaves
        the rest to pull-through caches, which fetch an image from far away when they are asked for it the first time.
    type: float
    default: 20
  concurrency:
    description:
      - How many mirrors are probed at the same time, 64 at most.
      - Without it all are, up to 64. When there are more mirrors than that, each gets its share of O(deadline).
    type: int
  proxy:
    description:
      - The proxy to use, a URL for both schemes, or a dict with C(http_proxy) and C(https_proxy). C(http), C(https) and C(socks5) are known.
      - Give the proxies that the container engine uses, so that the probe sees what the engine will see. That is why the proxies of the
        environment are ignored.
      - A user and password in it go to the proxy alone, and are masked everywhere.
    type: raw
  no_proxy:
    description:
      - What is reached without O(proxy), by the rules of Go, which all container engines use. It is applied to each URL and each redirect.
      - An entry that Go never matches gets a warning that says why.
    type: list
    elements: str
    default: []
  prefer_direct:
    description:
      - Whether a mirror in the local network is tried without the proxy first. That is one whose addresses, as this host resolves them, are
        all private, loopback, link-local or unique local. When it cannot be connected to, it is tried through the proxy.
      - RV(results[].route) tells which way it was. The container engine goes the same way only when its own C(no_proxy) names the mirror.
      - It is off by default, because then the probe goes exactly the way that the engine goes.
    type: bool
    default: false
  ca_path:
    description:
      - A file on the host with further CA certificates (PEM) that are accepted for all mirrors and for the upstream.
      - The authorities of the host are always accepted. Without it they are the only ones.
    type: path
  expected_digests:
    description:
      - Digests that images should have, as a dict of image and digest. They take the place of the upstream's answer.
      - Use it where the upstream is out of reach and you know what a tag should be.
    type: dict
    default: {}
  stale_after:
    description:
      - How long a mirror may go on serving the image before the newest one, in seconds or with one of the units V(s), V(m), V(h), V(d), V(w).
      - A mirror that serves another digest than the reference is V(stale) when the reference was created longer ago than this. The reference
        is the expected digest, else the upstream's, else the one with the newest date among those that are served; what most mirrors serve
        does not count.
      - Pull-through caches keep a tag for some hours, so the default gives them a day.
    type: str
    default: 24h
  platform:
    description:
      - The platform to ask for, as C(os/architecture) or C(os/architecture/variant).
      - Without it this host's own, because that is what its engine will pull.
    type: str
  check_upstream:
    description:
      - Whether the upstream is asked which digests the images have, in parallel with the mirrors.
      - A HEAD request is enough for that, which Docker Hub does not count as a pull. Only when a mirror serves something else, and nobody
        else knows how old the upstream's image is, the upstream is asked for more.
      - That it does not answer is no failure; it is not waited for more than 3 seconds longer than for the mirrors.
    type: bool
    default: true
  allow_lapsed:
    description:
      - Whether a mirror is probed though the registration of its domain is known to have lapsed, so that anybody may own it now.
      - By default that is an error. All other doubts of the collection's catalogue, such as a mirror reported gone, are told as
        warnings, and the probe decides.
    type: bool
    default: false
  upstream_url:
    description:
      - Where the upstream answers.
      - Without it C(https://registry-1.docker.io) for V(docker.io), and the upstream's own name with C(https) for any other.
    type: str
seealso:
  - plugin: quickpull.registry.select_mirrors
    plugin_type: filter
  - module: quickpull.registry.docker_daemon_config
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Probe some mirrors of Docker Hub from this host
  quickpull.registry.registry_mirror_probe:
    mirrors:
      - http://cache.lan:5000
      - url: https://mirror.example.com
        ca_path: /etc/ssl/certs/ca-certificates.crt
    images:
      - library/nginx:latest
      - library/redis:7
    deadline: 10
  register: probe

- name: Show what is wrong with those that do not serve
  ansible.builtin.debug:
    msg: "{{ item.url }} is {{ item.state }}: {{ item.reason }}"
  loop: "{{ probe.results | rejectattr('ok') }}"
  loop_control:
    label: "{{ item.url }}"

- name: Show which mirrors would be chosen, in order
  ansible.builtin.debug:
    msg: "{{ probe.results | quickpull.registry.select_mirrors }}"

- name: Probe mirrors of another upstream the way that the engine reaches them
  quickpull.registry.registry_mirror_probe:
    upstream: quay.io
    images: ["prometheus/node-exporter:latest"]
    mirrors: ["https://quay.mirror.example.com"]
    proxy: http://proxy.lan:3128
    no_proxy: [.lan, 10.0.0.0/8]
    deadline: 10

- name: Only see whether anything answers, without asking the upstream
  quickpull.registry.registry_mirror_probe:
    mirrors: ["http://cache.lan:5000"]
    depth: ping
    check_upstream: false
    deadline: 3
"""

RETURN = r"""
results:
  description: One entry for each of O(mirrors), in the order given.
  returned: success
  type: list
  elements: dict
  contains:
    url:
      description: The mirror's URL, as given.
      returned: always
      type: str
      sample: https://mirror.example.com
    ok:
      description: Whether the mirror serves, as far as O(depth) looked.
      returned: always
      type: bool
      sample: false
    state:
      description:
        - What the mirror is. The first step that failed decides.
        - V(unreachable) has no address, refuses the connection or breaks it off; V(timeout) did not answer in time.
        - V(tls_error) has a certificate that is not accepted, or speaks no TLS.
        - V(not_a_registry) serves web pages, redirects in a circle, or sends what has no end; V(server_error) answers 5xx.
        - V(auth_failed) wants a login, or a token that could not be had; V(denied) answers 403; V(rate_limited) answers 429.
        - V(missing) does not have the image, or not for this platform.
        - V(corrupt) serves bytes that do not match their digest; V(stale) serves an old image.
        - V(blob_unreachable) serves the manifest, but not the configuration or the layers.
      returned: always
      type: str
      sample: stale
    failed_at:
      description:
        - The step that failed, null when none did. It is one of V(resolve), V(connect), V(tls), V(ping), V(token), V(manifest), V(platform),
          V(config), V(blob) and V(pull).
      returned: always
      type: str
      sample: manifest
    reason:
      description: One sentence that says what happened.
      returned: always
      type: str
      sample: "For library/alpine:latest it serves sha256:51b67269f354, created 2023-09-28T21:19:27Z, while the upstream's image is sha256:4b7ce07002c6."
    latency_ms:
      description:
        - The shortest time from a request for a manifest or the configuration to the first byte of the answer, on an open connection, in
          milliseconds. With O(depth=ping) it is that of C(/v2/).
        - The shortest one is taken because it is the least disturbed by other work on the host, and by a cache that fetches first.
      returned: always
      type: float
      sample: 41.7
    throughput_bps:
      description:
        - Bytes a second, measured over the first megabyte of the largest layer, or as much of it as came in 1.5 seconds.
        - It is null when it was not measured, or when the layer is smaller than 32 KiB.
      returned: always
      type: int
      sample: 5242880
    digest:
      description: The digest of the first image, as computed from what was served.
      returned: always
      type: str
      sample: sha256:51b67269f354137895d43f3b3d810bfacd3945438e94dc5ac55fdac340352f48
    images:
      description: What was served for each image that was asked for, by its name as given in O(images).
      returned: always
      type: dict
      sample:
        library/alpine:latest:
          digest: sha256:51b67269f354137895d43f3b3d810bfacd3945438e94dc5ac55fdac340352f48
          platform_digest: sha256:13b7e62e8df80264dbb747995705a986aa530415763a6c58f84a3ca8af9a5bcd
          created: '2023-09-28T21:19:27.801479409Z'
    requests:
      description: How many requests the mirror itself got. Those to a token server, or to where it redirects, are not counted.
      returned: always
      type: int
      sample: 6
    route:
      description: Whether the mirror was reached V(direct) or through the V(proxy).
      returned: always
      type: str
      sample: direct
    notes:
      description:
        - What is remarkable and yet no fault.
        - V(digest_differs) serves another digest than the reference, which is not old enough to call the mirror stale; V(age_unknown) says
          that no usable date could tell.
        - V(head_differs) tells another digest by HEAD than by GET. V(ping_odd) serves images, though what it answers to C(/v2/) is not what a
          registry answers. V(no_layers) means that the image has none to sample, V(config_too_large) that its configuration is too large to look at.
        - V(late_challenge) answers C(/v2/) without more ado and asks for a token at the manifest. The containerd image store manages; Docker's
          graph-driver store takes its challenge from C(/v2/) alone, and passes over such a mirror.
        - V(budget_spent_at_STEP) with the image's name says that the mirror had its number of requests before the image was through.
      returned: always
      type: list
      elements: str
      sample: [digest_differs]
    pull:
      description: The pull through the daemon, with O(depth=pull) and when all before it was fine.
      returned: when an image was to be pulled
      type: dict
      contains:
        state:
          description: V(ok), V(failed), or V(not_applicable) where a pull by name cannot work though the mirror can.
          returned: always
          type: str
          sample: not_applicable
        seconds:
          description: How long it took, null when there was no successful pull.
          returned: always
          type: float
          sample: 2.417
        reason:
          description: One sentence that says what happened.
          returned: always
          type: str
          sample: The mirror has a path, and an image pulled by name has its path behind /v2/ instead of before it.
    warnings:
      description: What the operator should know about this mirror.
      returned: always
      type: list
      elements: str
      sample: []
reference:
  description: For each image that goes by a tag, and for which there is one, the digest that the mirrors were compared with.
  returned: success
  type: dict
  sample:
    library/alpine:latest:
      digest: sha256:4b7ce07002c69e8f3d704a9c5d6fd3053be500b7f1c69fc0d80990c2ad8dd412
      source: upstream
      created: '2025-10-08T11:04:56Z'
upstream:
  description: What the upstream answered, in the same form as an entry of RV(results); null when it was not asked.
  returned: success
  type: dict
  sample:
    url: https://registry-1.docker.io
    ok: true
    state: ok
    digest: sha256:4b7ce07002c69e8f3d704a9c5d6fd3053be500b7f1c69fc0d80990c2ad8dd412
elapsed:
  description: How many seconds the probe took.
  returned: success
  type: float
  sample: 1.308
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _docker_api
from ansible_collections.quickpull.registry.plugins.module_utils._engines import docker
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._no_proxy import lint_no_proxy
from ansible_collections.quickpull.registry.plugins.module_utils._probe import run
from ansible_collections.quickpull.registry.plugins.module_utils._probe_options import make_job, secrets_of
from ansible_collections.quickpull.registry.plugins.module_utils._probe_pull import Docker, Puller


class ProbeModule(AnsibleModule):
    """A module whose parameters hold secrets inside of values that must be shown, so that no_log on a whole option will not do."""

    def _log_invocation(self) -> None:
        # The constructor calls this before anything else sees the parameters; syslog is the first place where they would show up.
        self.no_log_values.update(secrets_of(self.params))
        super()._log_invocation()


def connect_docker() -> tuple[Docker, tuple[str, ...]]:
    """The daemon of this host and its insecure registries. Raises DockerUnavailable; a daemon that does not run is not started."""
    daemon = docker.inspect(with_containers=False, with_logins=False)
    if daemon.reported is None:
        raise _docker_api.DockerUnavailable('Docker does not run on this host, or does not answer.')
    return _docker_api.connect(), daemon.reported.insecure_registries


def main() -> t.NoReturn:
    module = ProbeModule(
        argument_spec={
            'mirrors': {'type': 'list', 'elements': 'raw', 'required': True},
            'upstream': {'type': 'str', 'default': 'docker.io'},
            'images': {'type': 'list', 'elements': 'str', 'default': ['library/alpine:latest']},
            'depth': {'type': 'str', 'choices': ['blob', 'manifest', 'ping', 'pull'], 'default': 'blob'},
            'deadline': {'type': 'float', 'default': 20},
            'concurrency': {'type': 'int'},
            'proxy': {'type': 'raw'},
            'no_proxy': {'type': 'list', 'elements': 'str', 'default': []},
            'prefer_direct': {'type': 'bool', 'default': False},
            'ca_path': {'type': 'path'},
            'expected_digests': {'type': 'dict', 'default': {}},
            'stale_after': {'type': 'str', 'default': '24h'},
            'platform': {'type': 'str'},
            'check_upstream': {'type': 'bool', 'default': True},
            'upstream_url': {'type': 'str'},
            'allow_lapsed': {'type': 'bool', 'default': False},
        },
        supports_check_mode=True,
    )
    try:
        job, warnings = make_job(module.params, check_mode=module.check_mode, pull=Puller(connect_docker))
        for warning in warnings + lint_no_proxy(job.settings.proxies.no_proxy):
            module.warn(warning)
        if not module.params['images'] and module.params['depth'] != 'ping':
            module.warn(
                f'No image of {module.params["upstream"]} is named, so its mirrors were asked only whether they answer, not whether they serve. Name one that '
                f'your hosts use in images (in the role, in registry_access_probe_images), such as {module.params["upstream"]}/team/app:tag.'
            )
        found = run(job)
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(changed=False, **found)


if __name__ == '__main__':
    main()
