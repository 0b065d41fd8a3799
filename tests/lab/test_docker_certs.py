# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mirror with an authority that no host trusts, for Docker 20.10, 26.1 and 28.5, by the role: proved by the mirror's access log."""

from __future__ import annotations

import typing as t

import pytest

from lab.api import Host, Lab, PlaybookRun

CA = '/root/self-signed.crt'
TREE = 'cd /etc/docker; find . -printf "%p %y %m %U %G %s\\n" | sort; cat daemon.json 2>/dev/null || true'


@pytest.fixture(scope='module', autouse=True)
def as_new(lab: Lab) -> t.Iterator[None]:
    lab.everywhere(Host.reset)
    certificate = (lab.place.pki / 'self-signed.crt').read_text()
    lab.everywhere(lambda host: host.put(CA, certificate))
    yield
    lab.everywhere(Host.reset)


def site(lab: Lab, mirrors: t.Mapping[str, t.Any] | None, *, check: bool = False, limit: str = '', **more: t.Any) -> PlaybookRun:
    given = {} if mirrors is None else {'registry_access_mirrors': mirrors}
    variables = {'registry_access_engines': ['docker'], 'registry_access_probe': False, **given, **more}
    return lab.playbook('playbooks/site.yml', check=check, diff=True, extra_vars=variables, limit=limit)


def blobs(lab: Lab, host: Host) -> list[str]:
    """What a pull from a cold store got from the mirror."""
    host.cold()
    since = lab.mark()
    host.run('docker pull -q busybox')
    return [line['path'] for line in lab.access_log('self-signed', since, client=host) if '/blobs/' in line['path'] and line['status'] == 200]


def test_docker_pulls_from_a_mirror_with_an_authority_of_its_own(lab: Lab) -> None:
    url = lab.mirror('self-signed').url
    folder = '/etc/docker/certs.d/' + url.partition('://')[2]
    before = lab.everywhere(lambda host: host.out(TREE))
    # Without the certificate the same mirror is passed over.
    site(lab, {'docker.io': [url]}).ok()
    assert lab.everywhere(lambda host: blobs(lab, host)) == {name: [] for name in lab.hosts}
    mirrors = {'docker.io': [{'url': url, 'ca_path': CA}]}
    foreseen, done, again = (site(lab, mirrors, check=check).ok() for check in (True, False, False))
    assert foreseen.changed() == done.changed() == len(lab.hosts)
    assert again.changed() == 0
    assert all(lab.everywhere(lambda host: host.out(f'ls {folder}') == 'ca.crt' and bool(blobs(lab, host))).values())
    # Another mirror: the certificate and its directories go, also at a run that says nothing else of them.
    site(lab, {'docker.io': lab.urls('good-a')}).ok()
    assert lab.everywhere(lambda host: host.exists('/etc/docker/certs.d')) == dict.fromkeys(lab.hosts, False)
    site(lab, mirrors).ok()
    foreseen, done, again = (site(lab, None, check=check, registry_access_state='absent').ok() for check in (True, False, False))
    assert foreseen.changed() == done.changed() > 0
    assert again.changed() == 0
    assert lab.everywhere(lambda host: host.out(TREE)) == before


def test_a_certificate_of_somebody_else_stays_and_is_told(lab: Lab) -> None:
    host, mirror = lab.hosts['lab-bookworm'], lab.mirror('self-signed')
    theirs = f'/etc/docker/certs.d/self-signed.lab:{mirror.port}/ca.crt'
    text = (lab.place.pki / 'ca.crt').read_text()
    host.put(theirs, text)
    run = site(lab, {'docker.io': [{'url': mirror.url, 'ca_path': CA}]}, limit=host.name).ok()
    assert host.get(theirs) == text
    assert theirs in run.stdout[run.stdout.index('Warnings'):].replace('\n', ' ')
    site(lab, None, limit=host.name, registry_access_state='absent').ok()
    assert host.get(theirs) == text
