# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CRI-O's unit: reload and restart, proof and roll-back, with a stand-in (files/crio-stand-in.py), since Debian has no CRI-O.

That its files mean what they should is tried with Podman and Skopeo, which read the same ones by the same code (test_registries_conf.py).
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from lab.api import Host, Lab, PlaybookRun

FILES = Path(__file__).with_name('files')
DROPINS = '/etc/containers/registries.conf.d'
TREE = f'find {DROPINS} /etc/crio /etc/systemd/system/crio.service.d -printf "%p %y %m %s\\n" 2>/dev/null | sort'
PROXY = 'http://proxyuser:lab%3Aproxy%40pass@proxy.lab:3129'


@pytest.fixture(scope='module')
def one(lab: Lab) -> t.Iterator[Lab]:
    """A host with the stand-in."""
    found = lab.only('lab-trixie')
    (host,) = found.hosts.values()
    host.reset()
    host.put('/usr/local/lib/crio-stand-in.py', (FILES / 'crio-stand-in.py').read_text())
    host.run('cp "$(readlink -f /usr/bin/python3)" /usr/local/bin/crio')
    host.put('/etc/systemd/system/crio.service', (FILES / 'crio.service').read_text())
    host.run('mkdir -p /etc/crio/crio.conf.d; systemctl daemon-reload; systemctl start crio')
    yield found
    host.reset()


@pytest.fixture
def host(one: Lab) -> Host:
    """The host, CRI-O with nothing of ours."""
    (found,) = one.hosts.values()
    return found


def site(lab: Lab, *names: str, **more: t.Any) -> PlaybookRun:
    variables = {'registry_access_engines': ['crio'], 'registry_access_probe': False, **more.pop('extra_vars', {})}
    variables.setdefault('registry_access_mirrors', {'quay.io': lab.urls(*names)})
    return lab.playbook('playbooks/site.yml', extra_vars=variables, **more)


def absent(lab: Lab) -> PlaybookRun:
    return site(lab, extra_vars={'registry_access_mirrors': {}, 'registry_access_state': 'absent'}).ok()


def in_force(host: Host) -> dict[str, t.Any]:
    """What the stand-in has read, and by which occasions."""
    told: dict[str, t.Any] = json.loads(host.get('/run/crio/in-force.json'))
    return told


def mirrors(host: Host) -> list[str]:
    return list(in_force(host)['registries'].get('quay.io', []))


def pid(host: Host) -> str:
    return host.out('systemctl show -p MainPID --value crio')


def environ(host: Host) -> dict[str, str]:
    lines = host.out('tr "\\0" "\\n" < /proc/$(systemctl show -p MainPID --value crio)/environ').splitlines()
    return dict(line.split('=', 1) for line in lines if '=' in line)


def test_a_reload_brings_mirrors_and_takes_them_away_again(one: Lab, host: Host) -> None:
    before, process = host.out(TREE), pid(host)
    foreseen, done, again = site(one, 'good-a', check=True).ok(), site(one, 'good-a').ok(), site(one, 'good-a').ok()
    assert foreseen.changed() == done.changed() > 0
    assert again.changed() == 0
    assert mirrors(host) == ['good-a.lab:8101']
    assert 'reloaded, proved' in done.stdout and 'CRI-O 3.' in done.stdout
    assert in_force(host)['read'] == ['start', 'reload']
    assert absent(one).changed() > 0
    assert absent(one).changed() == 0
    assert mirrors(host) == []
    assert (host.out(TREE), pid(host)) == (before, process)


def test_a_file_of_others_that_it_does_not_take_is_told_and_ours_put_back(one: Lab, host: Host) -> None:
    site(one, 'good-a').ok()
    files = host.out(f'cat {DROPINS}/*quickpull*')
    # Podman, which is asked beforehand, is out of the way.
    host.run('chmod 0 /usr/bin/podman')
    host.put(f'{DROPINS}/900-own.conf', '[[registry]\n')
    for _turn in range(2):
        run = site(one, 'good-b')
        assert run.rc != 0
        text = ' '.join(run.stdout.split())
        assert f'{DROPINS}/900-own.conf' in text and 'another file is the cause' in text and 'Put back as before' in text
        assert host.out(f'cat {DROPINS}/*quickpull*') == files
    host.run(f'rm {DROPINS}/900-own.conf')
    site(one, 'good-b').ok()
    assert mirrors(host) == ['good-b.lab:8102']
    host.run('chmod 755 /usr/bin/podman')
    absent(one)


def test_a_run_that_ended_before_the_reload_is_finished_by_the_next(one: Lab, host: Host) -> None:
    site(one, 'good-a', tags='mirrors', extra_vars={'registry_access_apply': 'end_of_play'}).ok()
    write = '- hosts: docker_hosts\n  gather_facts: false\n  tasks:\n    - quickpull.registry.registries_conf:\n        %s\n'
    one.playbook(write % 'upstreams: {quay.io: ["http://good-b.lab:8102"]}').ok()
    assert mirrors(host) == ['good-a.lab:8101']
    assert site(one, 'good-b').ok().changed() > 0
    assert mirrors(host) == ['good-b.lab:8102']
    one.playbook(write % 'state: absent').ok()
    assert site(one, extra_vars={'registry_access_mirrors': {}}).ok().changed() > 0
    assert mirrors(host) == []
    assert absent(one).changed() == 0


def test_one_that_was_started_since_has_read_them(one: Lab, host: Host) -> None:
    site(one, 'good-a').ok()
    host.run('systemctl restart crio')
    assert site(one, 'good-a').ok().changed() == 0
    absent(one)
    assert mirrors(host) == []


def test_a_quiet_log_proves_nothing(one: Lab, host: Host) -> None:
    host.put('/etc/crio/crio.conf.d/10-quiet.conf', '[crio.runtime]\nlog_level = "warn"\n')
    run = site(one, 'good-a').ok()
    assert mirrors(host) == ['good-a.lab:8101']
    assert 'reloaded, proved' not in run.stdout and 'a reload' in run.stdout
    assert site(one, 'good-a').ok().changed() == 0
    absent(one)
    host.run('rm /etc/crio/crio.conf.d/10-quiet.conf')


def test_proxies_and_the_file_of_logins_need_a_restart(one: Lab, host: Host) -> None:
    before, process = host.out(TREE), pid(host)
    given: dict[str, t.Any] = {
        'registry_access_proxies': {'https_proxy': PROXY, 'no_proxy': ['10.0.0.0/8']},
        'registry_access_crio_auth_file': '/etc/crio/auth.json',
    }
    waits = site(one, 'good-a', extra_vars={**given, 'registry_access_restart': 'never'}).ok()
    assert '1 pending' in waits.stdout
    assert (pid(host), mirrors(host)) == (process, ['good-a.lab:8101']), 'what a reload can do is done'
    assert site(one, 'good-a', extra_vars={**given, 'registry_access_restart': 'never'}).ok().changed() == 0
    foreseen, done, again = (site(one, 'good-a', extra_vars=given, check=check).ok() for check in (True, False, False))
    assert foreseen.changed() == done.changed() > 0
    assert again.changed() == 0
    assert 'lab%3Aproxy' not in done.stdout
    assert '%%3A' in host.get('/etc/systemd/system/crio.service.d/00-quickpull-proxy.conf')
    assert environ(host)['HTTPS_PROXY'] == PROXY
    assert set(environ(host)['NO_PROXY'].split(',')) == {'10.0.0.0/8'}
    assert 'global_auth_file = "/etc/crio/auth.json"' in host.out('curl -s --unix-socket /run/crio/crio.sock http://x/config')
    absent(one)
    assert host.out(TREE) == before
    assert 'HTTPS_PROXY' not in environ(host)
    assert 'global_auth_file = ""' in host.out('curl -s --unix-socket /run/crio/crio.sock http://x/config')


def test_one_that_does_not_come_up_is_put_back(one: Lab, host: Host) -> None:
    before = host.out(TREE)
    host.put('/etc/crio/stand-in-fails', '')
    run = site(one, extra_vars={'registry_access_mirrors': {}, 'registry_access_crio_auth_file': '/etc/crio/auth.json', 'registry_access_apply_timeout': 5})
    assert run.rc != 0
    assert 'told to fail' in run.stdout and '50-quickpull.conf' in run.stdout
    host.run('rm /etc/crio/stand-in-fails; systemctl restart crio')
    assert host.out(TREE) == before
    assert site(one, extra_vars={'registry_access_mirrors': {}, 'registry_access_crio_auth_file': ''}).ok().changed() == 0


def test_what_others_say_of_the_file_of_logins_is_theirs(one: Lab, host: Host) -> None:
    host.put('/etc/crio/crio.conf.d/10-site.conf', '[crio.image]\nglobal_auth_file = "/etc/site.json"\n')
    run = site(one, extra_vars={'registry_access_mirrors': {}, 'registry_access_crio_auth_file': '/etc/crio/auth.json'}).ok()
    assert run.changed() == 0
    assert '10-site.conf already sets global_auth_file' in ' '.join(run.stdout.split())
    host.run('rm /etc/crio/crio.conf.d/10-site.conf')
