# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: mirror_catalog
version_added: 0.1.0
short_description: Public mirrors that were reported to work
description:
  - Returns entries of a catalogue of public mirrors. Each entry holds what was reported of it, by whom and when.
  - The catalogue offers candidates, it passes no judgement. Reports contradict each other by date and by the place they were made
    from; M(quickpull.registry.registry_mirror_probe), run on your hosts, decides.
  - The lookup contacts nobody. It is read on the controller from the installed collection.
  - A public mirror is somebody else's machine. It sees which images you pull, and it may be slow, stale or gone tomorrow.
options:
  _terms:
    description:
      - Names of upstreams, such as V(docker.io), V(quay.io), V(ghcr.io), V(gcr.io) or V(registry.k8s.io), and hosts of entries,
        such as V(docker.m.daocloud.io).
      - The other options choose among the entries of an upstream. A host that is named is returned whatever its state, unless
        it is V(lapsed) or V(not_a_mirror), which must be asked for with O(state).
      - Without a term, the entries of all upstreams.
    type: list
    elements: str
  state:
    description:
      - The states of the entries to return.
      - V(candidate) was reported to work, V(restricted) to work for some, V(gone) no longer to work. V(not_a_mirror) serves other
        content, though lists name it. V(lapsed) is a domain whose registration lapsed, so that anybody may own it.
    type: list
    elements: str
    choices: [candidate, gone, lapsed, not_a_mirror, restricted]
    default: [candidate]
  reachable_from:
    description:
      - Where your hosts are. An entry is returned if it is not known to be bound to a place, or is bound to one of these.
      - Left out or empty, the place does not matter.
    type: list
    elements: str
    choices: [alibaba_cloud, elsewhere, mainland, tencent_cloud, ustc_campus]
    default: []
  without:
    description:
      - Restrictions that you cannot live with. V(allow_list) serves some images only, V(rate_limit) few requests a minute,
        V(stale) old images, V(token) nobody without a login.
    type: list
    elements: str
    choices: [allow_list, rate_limit, stale, token]
    default: []
  parameters:
    description:
      - Values for entries that have one host for each account. V(aliyun_id) is the name before C(.mirror.aliyuncs.com).
      - An entry whose parameter is missing is passed over when its upstream is asked for, and an error when it is named.
    type: dict
    default: {}
  trust:
    description:
      - What the mirrors may be asked for.
      - V(content) mirrors serve only what a digest verifies, so they cannot serve anything but the real image. Docker cannot be
        kept from asking the mirrors of C(daemon.json) for tags as well, so M(quickpull.registry.docker_daemon_config) does not
        write V(content) mirrors there.
      - V(resolve) mirrors are asked which image a tag is. B(Such a mirror may name any image it likes for a tag, an old or a
        malicious one), and nothing on the host notices. To use an entry with Docker you have to ask for V(resolve), and
        thereby to accept that. The probe compares tags with what other mirrors and the upstream say, on the day it runs.
    type: str
    choices: [content, resolve]
    default: content
  rows:
    description:
      - Return all that the catalogue holds of each entry in place of a mirror.
    type: bool
    default: false
notes:
  - Use C(query\(\)) or C(wantlist=true), so that a list comes back even if one entry matches.
seealso:
  - module: quickpull.registry.registry_mirror_probe
  - plugin: quickpull.registry.catalog_warnings
    plugin_type: filter
author:
  - quickpull.registry contributors (@quickpull)
"""

EXAMPLES = r"""
---
- name: Show the candidates for Docker Hub as mirrors
  ansible.builtin.debug:
    msg: "{{ query('quickpull.registry.mirror_catalog', 'docker.io', reachable_from=['mainland'], without=['token']) }}"

- name: Show what is known of all mirrors of two upstreams, with the evidence
  ansible.builtin.debug:
    msg: "{{ query('quickpull.registry.mirror_catalog', 'quay.io', 'ghcr.io', state=['candidate', 'restricted'], rows=true) }}"

- name: Show one mirror by its name, with the decision to let it resolve tags
  ansible.builtin.debug:
    msg: "{{ query('quickpull.registry.mirror_catalog', 'docker.m.daocloud.io', trust='resolve') }}"

- name: Show the mirror of one's own account at Alibaba Cloud
  ansible.builtin.debug:
    msg: >-
      {{ query('quickpull.registry.mirror_catalog', 'docker.io', state=['restricted'], reachable_from=['alibaba_cloud'],
               parameters={'aliyun_id': 'a1b2c3d4'}) }}
"""

RETURN = r"""
_raw:
  description:
    - Mirrors, ready for the role's mirrors of an upstream, each with C(url), C(trust) and C(third_party=true).
    - With O(rows=true) dicts with C(host), C(url), C(upstream), C(state), C(reachable_from), C(restrictions), C(parameter) and
      C(evidence), a list of C(source), C(date) and C(text).
  type: list
  elements: dict
"""

import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.quickpull.registry.plugins.module_utils._catalog import as_mirror, as_row, find
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._plain import plain

_OPTIONS = ('parameters', 'reachable_from', 'rows', 'state', 'trust', 'without')


class LookupModule(LookupBase):
    """The lookup; the catalogue lives in module_utils/_catalog.py."""

    def run(self, terms: t.Any, variables: t.Any = None, **kwargs: t.Any) -> list[dict[str, t.Any]]:
        """The entries for ``terms`` as mirrors or rows."""
        unknown = sorted(set(kwargs) - set(_OPTIONS))
        if unknown:
            raise AnsibleLookupError(f'mirror_catalog has no option {", ".join(unknown)}. It has {", ".join(_OPTIONS)}.')
        self.set_options(var_options=variables, direct=kwargs)
        option = {name: plain(self.get_option(name)) for name in _OPTIONS}
        parameters = option['parameters'] or {}
        try:
            entries = find(_flat(plain(terms)), option['state'], option['reachable_from'], option['without'], parameters)
            if option['rows']:
                return [as_row(entry, parameters) for entry in entries]
            # A pattern stands for many hosts; it is in the catalogue to warn, and is nothing that could be used.
            return [as_mirror(entry, parameters, option['trust']) for entry in entries if '*' not in entry.host]
        except ConfigError as exc:
            raise AnsibleLookupError(str(exc)) from None


def _flat(terms: t.Sequence[t.Any]) -> list[str]:
    """The terms, of which each may be a list: a variable with several names is one term to a template."""
    return [str(term) for item in terms for term in (item if isinstance(item, list) else [item])]
