# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""K3s's registries.yaml, its restart, proof and roll-back, with a stand-in (files/k3s-stand-in.py): no K3s can be had here."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from lab.api import Host, Lab, PlaybookRun

FILES = Path(__file__).with_name('files')
YAML = '/etc/rancher/k3s/registries.yaml'
GIVEN = '/var/lib/rancher/k3s/agent/etc/containerd/certs.d'
UNIT = '[Service]\nExecStart=/usr/local/bin/k3s /usr/local/lib/k3s-stand-in.py\nKillMode=process\n'


@pytest.fixture(scope='module')
def one(lab: Lab) -> t.Iterator[Lab]:
    """A host with the stand-in, as an agent."""
    found = lab.only('lab-trixie')
    (host,) = found.hosts.values()
    host.reset()
    host.put('/usr/local/lib/k3s-stand-in.py', (FILES / 'k3s-stand-in.py').read_text())
    host.run('cp "$(readlink -f /usr/bin/python3)" /usr/local/bin/k3s; mkdir -p /etc/rancher/k3s')
    host.put('/etc/systemd/system/k3s-agent.service', UNIT)
    host.run('systemctl daemon-reload; systemctl start k3s-agent')
    yield found
    host.reset()


@pytest.fixture
def host(one: Lab) -> Host:
    (found,) = one.hosts.values()
    return found


def site(lab: Lab, *names: str, **more: t.Any) -> PlaybookRun:
    variables = {
        'registry_access_engines': ['k3s'], 'registry_access_probe': False, 'registry_access_mirrors': {'quay.io': lab.urls(*names)} if names else {},
        **more.pop('extra_vars', {}),
    }  # fmt: skip
    return lab.playbook('playbooks/site.yml', extra_vars=variables, **more)


def given(host: Host) -> str:
    """What the stand-in gave its containerd."""
    return host.out(f'cat {GIVEN}/*/hosts.toml 2>/dev/null || true')


def test_an_agent_is_restarted_and_gives_its_containerd_the_mirrors(one: Lab, host: Host) -> None:
    foreseen, done, again = site(one, 'good-a', 'good-b', check=True).ok(), site(one, 'good-a', 'good-b').ok(), site(one, 'good-a', 'good-b').ok()
    assert foreseen.changed() == done.changed() > 0
    assert again.changed() == 0
    assert 'restarted, proved' in done.stdout
    text = given(host)
    assert 0 < text.index('good-a.lab') < text.index('good-b.lab')
    assert site(one, extra_vars={'registry_access_state': 'absent'}).ok().changed() > 0
    assert (host.exists(YAML), given(host)) == (False, '')
    assert site(one, extra_vars={'registry_access_state': 'absent'}).ok().changed() == 0


def test_a_server_waits_for_permission(one: Lab, host: Host) -> None:
    host.run('systemctl stop k3s-agent; mv /etc/systemd/system/k3s-agent.service /etc/systemd/system/k3s.service; systemctl daemon-reload; systemctl start k3s')
    waits, again = site(one, 'good-a').ok(), site(one, 'good-a').ok()
    assert again.changed() == 0
    for run in (waits, again):
        assert '1 pending' in run.stdout and 'is a server' in ' '.join(run.stdout.split())
    assert given(host) == ''
    site(one, 'good-a', tags='apply', extra_vars={'registry_access_restart': 'always'}).ok()
    assert 'good-a.lab' in given(host)
    assert site(one, 'good-a').ok().changed() == 0


def test_one_that_does_not_come_up_is_put_back(one: Lab, host: Host) -> None:
    before = host.get(YAML)
    host.put('/etc/rancher/k3s/stand-in-fails', '')
    run = site(one, 'good-b', extra_vars={'registry_access_restart': 'always', 'registry_access_apply_timeout': 8})
    assert run.rc != 0 and 'told to fail' in run.stdout and f'Put back as before: {YAML}' in ' '.join(run.stdout.split())
    assert host.get(YAML) == before
    host.run('rm /etc/rancher/k3s/stand-in-fails; systemctl restart k3s')


def test_a_file_of_others_stays(one: Lab, host: Host) -> None:
    site(one, extra_vars={'registry_access_state': 'absent', 'registry_access_restart': 'always'}).ok()
    theirs = 'mirrors:\n  docker.io:\n    endpoint: ["https://their.lan"]\n'
    host.put(YAML, theirs)
    run = site(one, 'good-a').ok()
    assert run.changed() == 0 and host.get(YAML) == theirs
    assert YAML in run.stdout[run.stdout.index('Warnings'):]
    host.run(f'rm {YAML}')
