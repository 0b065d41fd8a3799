# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""engine_proxy_dropin against real systemd and a real proxy with a password."""

from __future__ import annotations

import json
import typing as t

import pytest

from lab.api import Host, Lab

PATH = '/etc/systemd/system/docker.service.d/00-quickpull-proxy.conf'
PROXY = 'http://proxyuser:lab%3Aproxy%40pass@proxy.lab:3129'
SECRET = 'lab%3Aproxy%40pass'

Results = t.Dict[str, t.Dict[str, t.Any]]


def set_proxies(lab: Lab, options: t.Mapping[str, t.Any], *, check: bool = False) -> Results:
    """Run the module on all hosts as loudly as Ansible can, and see to it that the password is in nothing it prints."""
    play = {'hosts': 'docker_hosts', 'gather_facts': False, 'tasks': [{'quickpull.registry.engine_proxy_dropin': dict(options)}]}
    run = lab.playbook(json.dumps([play], indent=1), check=check, diff=True, arguments=['-vvvv']).ok()
    assert SECRET not in run.stdout
    assert SECRET not in run.stderr
    return {name: run.result(action='engine_proxy_dropin', host=name) for name in lab.hosts}


def restart(host: Host) -> None:
    host.run('systemctl reset-failed docker.service docker.socket; systemctl daemon-reload; systemctl restart docker')


def environment(host: Host) -> dict[str, str]:
    """What the running daemon was started with."""
    lines = host.out(f'tr "\\0" "\\n" < /proc/{host.dockerd_pid()}/environ').splitlines()
    return dict(line.split('=', 1) for line in lines if '=' in line)


@pytest.fixture(scope='module', autouse=True)
def as_new(lab: Lab) -> t.Iterator[None]:
    """Hosts as new, before and after."""
    lab.everywhere(Host.reset)
    yield
    lab.everywhere(Host.reset)


@pytest.fixture(scope='module')
def story(lab: Lab) -> dict[str, Results]:
    """Foreseen, written, again, in force after a restart, another password: the steps that are looked at below."""
    proxies = {'http_proxy': PROXY, 'https_proxy': PROXY, 'no_proxy': ['localhost', '10.0.0.0/8']}
    steps = {'foreseen': set_proxies(lab, {'proxies': proxies}, check=True)}
    lab.everywhere(lambda host: host.run(f'test ! -e {PATH} && test ! -e /var/lib/quickpull.registry'))
    steps['written'] = set_proxies(lab, {'proxies': proxies})
    steps['again'] = set_proxies(lab, {'proxies': proxies})
    lab.everywhere(restart)
    steps['in force'] = set_proxies(lab, {'proxies': proxies})
    return steps


def test_check_mode_foresees_the_first_run(host: Host, story: dict[str, Results]) -> None:
    foreseen, written = story['foreseen'][host.name], story['written'][host.name]
    names = ('changed', 'path', 'variables', 'conflicts', 'plan', 'daemon_reload', 'diff')
    assert {name: foreseen[name] for name in names} == {name: written[name] for name in names}
    assert (written['changed'], written['path']) == (True, PATH)


def test_the_plan_stays_until_the_daemon_has_it(host: Host, story: dict[str, Results]) -> None:
    again, in_force = story['again'][host.name], story['in force'][host.name]
    assert (again['changed'], again['plan']['action'], again['daemon_reload']) == (False, 'restart', True)
    assert (in_force['changed'], in_force['plan']['action'], in_force['plan']['reasons'], in_force['daemon_reload']) == (False, 'none', [], False)


def test_systemd_understands_what_was_written(host: Host, story: dict[str, Results]) -> None:
    assert host.out(f'stat -c %a {PATH}') == '600'
    assert {name: value for name, value in environment(host).items() if name.endswith('_PROXY')} == {
        'HTTP_PROXY': PROXY,
        'HTTPS_PROXY': PROXY,
        'NO_PROXY': 'localhost,10.0.0.0/8',
        'QUICKPULL_REGISTRY_PROXY': 'HTTP_PROXY,HTTPS_PROXY,NO_PROXY',
    }


def test_pulls_go_through_the_proxy(lab: Lab, host: Host, story: dict[str, Results]) -> None:
    since = lab.mark()
    host.cold()
    host.run('docker pull -q busybox')
    assert lab.access_log('proxy', since, client=host)


def test_the_password_is_in_no_log_of_the_host(host: Host, story: dict[str, Results]) -> None:
    host.run('journalctl --sync')
    assert host.run(f'journalctl --no-pager | grep -F {SECRET}', check=False).stdout == ''
    assert host.run(f'grep -rlF {SECRET} /root/.ansible /tmp /var/tmp', check=False).stdout == ''


def test_another_password_is_seen_and_a_user_s_own_drop_in_respected(lab: Lab, story: dict[str, Results]) -> None:
    changed = set_proxies(lab, {'proxies': {'http_proxy': PROXY + '/', 'https_proxy': PROXY.replace('%40', '%41')}})
    for name in lab.hosts:
        found = changed[name]
        assert (found['changed'], found['plan']['action'], len(found['plan']['reasons'])) == (True, 'restart', 3), name
        assert found['variables']['HTTPS_PROXY'] == 'http://xxxxx:xxxxx@proxy.lab:3129', name
    own = '[Service]\nEnvironment=HTTP_PROXY=http://own.lab:3128\n'
    lab.everywhere(lambda host: host.put('/etc/systemd/system/docker.service.d/http-proxy.conf', own))
    found = set_proxies(lab, {'proxies': {'http_proxy': PROXY, 'https_proxy': PROXY}})
    lab.everywhere(restart)
    for name, host in lab.hosts.items():
        assert [(one['variable'], one['path']) for one in found[name]['conflicts']] == [
            ('HTTP_PROXY', '/etc/systemd/system/docker.service.d/http-proxy.conf')
        ], name
        assert (environment(host)['HTTP_PROXY'], environment(host)['HTTPS_PROXY']) == ('http://own.lab:3128', PROXY), name
        assert host.get('/etc/systemd/system/docker.service.d/http-proxy.conf') == own, name


def test_taken_away_and_still_told_until_the_daemon_has_lost_it(lab: Lab, story: dict[str, Results]) -> None:
    lab.everywhere(lambda host: host.run('rm /etc/systemd/system/docker.service.d/http-proxy.conf'))
    gone = set_proxies(lab, {'state': 'absent'})
    again = set_proxies(lab, {'state': 'absent'})
    lab.everywhere(restart)
    after = set_proxies(lab, {'state': 'absent'})
    for name, host in lab.hosts.items():
        assert (gone[name]['changed'], gone[name]['plan']['action']) == (True, 'restart'), name
        assert (again[name]['changed'], again[name]['plan']['action']) == (False, 'restart'), name
        assert (after[name]['changed'], after[name]['plan']['action']) == (False, 'none'), name
        assert not host.exists('/etc/systemd/system/docker.service.d'), name
        assert not any('PROXY' in variable for variable in environment(host)), name
