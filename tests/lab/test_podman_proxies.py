# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxies for Podman 4.3, 5.4 and 5.8 by the role: proved by the proxy's access log."""

from __future__ import annotations

import typing as t

import pytest

from lab.api import Host, Lab, PlaybookRun

FOLDER = '/etc/containers/containers.conf.d'
FILE = f'{FOLDER}/500-quickpull-proxies.conf'
PROXY = 'http://proxy.lab:3128'
WITH_PASSWORD = 'http://proxyuser:lab%3Aproxy%40pass@proxy.lab:3129'
TREE = 'cd /etc/containers; find . -printf "%p %y %m %U %G %s\\n" | sort; find . -type f -exec sha256sum {} + | sort'


@pytest.fixture(scope='module', autouse=True)
def clean(lab: Lab) -> t.Iterator[None]:
    """Nothing else of these hosts is touched, so that making them anew is not worth its time."""
    yield
    lab.everywhere(lambda host: host.run(f'rm -rf {FOLDER} /var/lib/quickpull.registry; podman rmi -fa'))


def site(lab: Lab, *, check: bool = False, **more: t.Any) -> PlaybookRun:
    variables = {'registry_access_engines': ['podman'], 'registry_access_probe': False, **more}
    return lab.playbook('playbooks/site.yml', check=check, diff=True, extra_vars=variables)


def pull(lab: Lab, host: Host) -> tuple[bool, bool]:
    """Whether a pull from an empty store asked for the registry through the proxy, and whether the registry saw the host itself."""
    host.run('podman rmi -fa')
    since = lab.mark()
    host.run('podman pull -q docker.io/library/busybox')
    proxied = any('registry-1.docker.io' in line['path'] for line in lab.access_log('proxy', since, client=host))
    return proxied, any('/library/busybox/' in line['path'] for line in lab.access_log('hub', since, client=host))


def everywhere(lab: Lab, proxied: bool) -> bool:
    return lab.everywhere(lambda host: pull(lab, host)) == dict.fromkeys(lab.hosts, (proxied, not proxied))


def test_podman_pulls_through_the_proxy_and_directly_what_is_to_be(lab: Lab) -> None:
    lab.everywhere(lambda host: host.put(f'{FOLDER}/100-theirs.conf', '[engine]\nenv = ["THEIRS=kept"]\n'))
    before = lab.everywhere(lambda host: host.out(TREE))
    proxies: dict[str, t.Any] = {'registry_access_proxies': {'https_proxy': PROXY, 'no_proxy': ['good-a.lab']}}
    foreseen, done, again = (site(lab, check=check, **proxies).ok() for check in (True, False, False))
    assert foreseen.changed() == done.changed() == len(lab.hosts)
    assert again.changed() == 0
    assert everywhere(lab, proxied=True)
    # What runs in a container gets them too, and what others set.
    shown = "podman create docker.io/library/busybox env >/tmp/id; " \
            "podman inspect --format '{{.Config.Env}}' $(cat /tmp/id); podman rm -f $(cat /tmp/id) >/dev/null"
    assert all(f'HTTPS_PROXY={PROXY}' in text for text in lab.everywhere(lambda host: host.out(shown)).values())
    assert all('THEIRS=kept' in text for text in lab.everywhere(lambda host: host.get(FILE)).values())
    site(lab, registry_access_proxies={'https_proxy': PROXY, 'no_proxy': ['.docker.io']}).ok()
    assert everywhere(lab, proxied=False)
    foreseen, done, again = (site(lab, check=check, registry_access_state='absent').ok() for check in (True, False, False))
    assert foreseen.changed() == done.changed() == len(lab.hosts)
    assert again.changed() == 0
    assert lab.everywhere(lambda host: host.out(TREE)) == before


def test_a_password_is_written_only_where_that_is_allowed(lab: Lab) -> None:
    proxies: dict[str, t.Any] = {'registry_access_proxies': {'https_proxy': WITH_PASSWORD}}
    told = site(lab, **proxies).ok()
    assert told.changed() == 0
    assert 'expose_password' in told.stdout[told.stdout.index('Warnings'):]
    allowed = site(lab, registry_access_podman_expose_password=True, **proxies).ok()
    assert 'lab%3Aproxy' not in told.stdout + allowed.stdout
    assert everywhere(lab, proxied=True)
    site(lab, registry_access_state='absent').ok()
    assert lab.everywhere(lambda host: host.exists(FILE)) == dict.fromkeys(lab.hosts, False)
