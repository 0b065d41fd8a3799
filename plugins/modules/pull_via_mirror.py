#!/usr/bin/python
# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pull_via_mirror
short_description: Pull images for Docker by the names that a mirror has for them, and name them as they are called
version_added: 0.1.0
description:
  - Does what people do by hand where Docker takes no mirror of a registry, which is so for any but Docker Hub before Docker 28.0, and with
    the older image store. The image is pulled by the name that a mirror has for it (P(quickpull.registry.via_mirror#filter) tells that name), gets its own
    name, and the mirror's name is taken away again.
  - The mirrors are tried in their order, then the registry itself. Give it mirrors that are known to serve, as the playbook
    C(quickpull.registry.pull) does, since each dead one costs the time that the daemon takes to give it up.
  - An image that is there under its name is left as it is.
  - The daemon is asked through the Docker SDK for Python where the host has it, and otherwise directly.
extends_documentation_fragment:
  - quickpull.registry.attributes
attributes:
  check_mode:
    support: partial
    details:
      - Nothing is pulled. What O(refresh) would bring is not known beforehand, so an image that is there counts as unchanged.
  diff_mode:
    support: N/A
    details:
      - No file is written.
  idempotent:
    support: full
options:
  images:
    description:
      - The images by their own names, such as V(quay.io/prometheus/node-exporter:v1.9.0). One without a registry is of Docker Hub, and one without
        a tag is C(latest).
      - V(NAME:TAG@DIGEST) is pulled by the digest, which Docker verifies, and gets the tag. V(NAME@DIGEST) is refused, since no image can be given a digest of
        another registry.
    type: list
    elements: str
    required: true
  mirrors:
    description:
      - The mirrors of each registry, as in the variable C(registry_access_mirrors) of the role.
      - A mirror with O(ignore:trust=content) is asked only for images with a digest. One whose API begins below a path has no name for images and is
        passed over.
      - A mirror that Docker has to reach without TLS must be among its insecure registries.
    type: dict
    required: true
  upstream:
    description:
      - Whether the registry itself is asked where no mirror serves an image. It is the default because every engine falls back so.
    type: bool
    default: true
  refresh:
    description:
      - Whether an image that is there is pulled again, because its tag may mean another one by now.
    type: bool
    default: false
  config_path:
    description:
      - The C(config.json) with the logins for mirrors and registries. The default is that of the user that the module runs as, which is root with C(become).
    type: path
  timeout:
    description:
      - Seconds for each attempt to pull an image.
    type: int
    default: 600
seealso:
  - plugin: quickpull.registry.via_mirror
    plugin_type: filter
  - module: quickpull.registry.registry_mirror_probe
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Pull an image of quay.io through a cache
  quickpull.registry.pull_via_mirror:
    images: [quay.io/prometheus/node-exporter:v1.9.0]
    mirrors:
      quay.io: [https://cache.lan:5001]
  become: true

- name: Look every night whether the tag means another image by now
  quickpull.registry.pull_via_mirror:
    images: [ghcr.io/acme/app:stable]
    mirrors:
      ghcr.io: [https://harbor.lan/v2/ghcr]
    refresh: true
  become: true
"""

RETURN = r"""
images:
  description: What became of each image.
  returned: success
  type: list
  elements: dict
  contains:
    image:
      description: Its own name, written out.
      returned: always
      type: str
      sample: quay.io/prometheus/node-exporter:v1.9.0
    changed:
      description: Whether the host has another image under this name than before.
      returned: always
      type: bool
      sample: true
    via:
      description: The mirror, or the registry, that it came from; empty when it was not pulled.
      returned: always
      type: str
      sample: https://cache.lan:5001
    failures:
      description: Why it did not come from those before, a sentence each.
      returned: always
      type: list
      elements: str
      sample: []
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quickpull.registry.plugins.module_utils import _docker_api
from ansible_collections.quickpull.registry.plugins.module_utils._engines import docker
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import header_secrets
from ansible_collections.quickpull.registry.plugins.module_utils._pull_by_name import logins_of, pull
from ansible_collections.quickpull.registry.plugins.module_utils._via_mirror import ways_to


def run(params: t.Mapping[str, t.Any], check_mode: bool) -> dict[str, t.Any]:
    """Raises ConfigError; every name is understood before anything is pulled."""
    wanted = [ways_to(image, params['mirrors'], params['upstream']) for image in params['images']]
    login = logins_of(params['config_path'])
    daemon = docker.inspect(with_containers=False, with_logins=False)
    if not daemon.running:
        raise ConfigError(f'Docker does not run on this host ({daemon.unit or docker.UNIT}), so nothing can be pulled. Start it, and run again.')
    api = _docker_api.connect(daemon.api_base)
    done = [
        pull(api, one, login, again=params['refresh'], seconds=params['timeout'], check_mode=check_mode).as_dict() for one in wanted
    ]
    return {'changed': any(one['changed'] for one in done), 'images': done}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            'images': {'type': 'list', 'elements': 'str', 'required': True},
            'mirrors': {'type': 'dict', 'required': True, 'no_log': True},
            'upstream': {'type': 'bool', 'default': True},
            'refresh': {'type': 'bool', 'default': False},
            'config_path': {'type': 'path'},
            'timeout': {'type': 'int', 'default': 600},
        },
        supports_check_mode=True,
    )
    # With no_log the call is kept out of the system log. From here on only what is secret is cut out of the results.
    module.no_log_values = header_secrets(module.params['mirrors'])
    if module.params['timeout'] < 1:
        module.fail_json(msg='timeout must be 1 or more: seconds for each attempt to pull an image.')
    try:
        result = run(module.params, module.check_mode)
    except ConfigError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == '__main__':
    main()
