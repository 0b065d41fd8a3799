# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_daemon_apply on real daemons: what is proved, what is rolled back, and what a kill leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.api import Host, Lab, ModuleResult, PlaybookRun

CONFIG = '/etc/docker/daemon.json'
STATE = '/var/lib/quickpull.registry'
INTENT = f'{STATE}/docker/applying.json'

Results = t.Dict[str, ModuleResult]


def play(lab: Lab, module: str, options: t.Mapping[str, t.Any], **arguments: t.Any) -> PlaybookRun:
    """One task on the hosts."""
    text = json.dumps([{'hosts': 'docker_hosts', 'gather_facts': False, 'tasks': [{f'quickpull.registry.{module}': options}]}])
    return lab.playbook(text + '\n', **arguments)


def results(run: PlaybookRun) -> Results:
    return {each.host: each.result for each in run.tasks}


def configure(lab: Lab, limit: str = '', **options: t.Any) -> Results:
    return results(play(lab, 'docker_daemon_config', options, limit=limit).ok())


def apply(lab: Lab, limit: str = '', *, check: bool = False, fails: bool = False, **options: t.Any) -> Results:
    run = play(lab, 'docker_daemon_apply', options, limit=limit, check=check)
    assert fails or run.rc == 0, run.stdout
    return results(run)


def processes(host: Host) -> tuple[int, dict[str, int]]:
    return host.dockerd_pid(), host.container_pids()


def is_active(host: Host) -> str:
    return host.run('systemctl is-active docker', check=False).stdout.strip()


def content(host: Host) -> dict[str, t.Any]:
    return json.loads(host.get(CONFIG))


def nothing_left(host: Host) -> bool:
    left = host.out(f'ls -A {INTENT} {STATE}/docker/live_restore.snapshot.json /etc/docker/.*quickpull* 2>/dev/null || true')
    return left == ''


@pytest.fixture(scope='module', autouse=True)
def leave_no_trace(lab: Lab) -> t.Iterator[None]:
    yield
    lab.everywhere(Host.reset)


def furnish(host: Host) -> None:
    """As new, with a container that a careless restart would end (and not take ten seconds for it)."""
    host.reset()
    host.load_busybox()
    host.run('docker run -d --name keep --stop-timeout 1 busybox sleep 1d')


@pytest.fixture(autouse=True)
def as_new(lab: Lab) -> None:
    lab.everywhere(furnish)


def test_mirrors_come_and_go_by_reload(lab: Lab) -> None:
    before = lab.everywhere(processes)
    folders = lab.everywhere(lambda host: host.out('ls -A /etc/docker 2>/dev/null || echo none'))
    urls = lab.urls('good-a', 'good-b')
    written = configure(lab, registry_mirrors=urls)
    predicted = apply(lab, check=True)
    assert not any(lab.everywhere(lambda host: host.exists(INTENT)).values())

    done = apply(lab)
    for name, result in done.items():
        assert result['applied'] == 'reload'
        assert result['changed']
        assert result['proof']['ok']
        assert result['proof']['mirrors'] == [f'{url}/' for url in urls]
        assert result['proof']['containers_kept'] == 1
        assert result['plan'] == written[name]['plan'] == predicted[name]['plan']
        assert {key: result[key] for key in ('applied', 'changed', 'pending')} == {key: predicted[name][key] for key in ('applied', 'changed', 'pending')}
    assert lab.everywhere(processes) == before
    assert set(map(tuple, lab.everywhere(Host.mirrors_in_force).values())) == {tuple(f'{url}/' for url in urls)}

    for result in apply(lab).values():
        assert (result['changed'], result['applied'], result['plan']['unknown_keys']) == (False, 'none', [])

    removed = configure(lab, state='absent')
    assert {result['plan']['action'] for result in removed.values()} == {'reload'}
    for result in apply(lab).values():
        assert (result['applied'], result['changed'], result['proof']['mirrors']) == ('reload', True, [])
    assert lab.everywhere(processes) == before
    assert lab.everywhere(lambda host: host.out('ls -A /etc/docker 2>/dev/null || echo none')) == folders
    assert not any(result['changed'] for result in configure(lab, state='absent').values())
    assert not any(result['changed'] for result in apply(lab).values())


BROKEN: dict[str, tuple[str, dict[str, t.Any], str]] = {
    'unknown key': ('', {'settings': {'bogus': 1}}, 'bogus'),
    'flag conflict': ('', {'settings': {'hosts': ['unix:///var/run/docker.sock']}}, 'hosts'),
    'proxies before 23.0': ('lab-bookworm', {'proxies': {'http_proxy': 'http://lab:s3cret@proxy.lab:3128'}}, 'http-proxy'),
    'path of a mirror before 25.0': ('lab-bookworm', {'registry_mirrors': ['http://good-path.lab:8104/hub/']}, 'path'),
}


def test_what_the_daemon_refuses_is_put_back_and_nothing_stops(lab: Lab) -> None:
    configure(lab, registry_mirrors=lab.urls('good-a'))
    apply(lab)
    before, texts = lab.everywhere(processes), lab.everywhere(lambda host: host.get(CONFIG))
    for limit, options, word in BROKEN.values():
        configure(lab, limit, owner='careless', validate='never', **options)
        for host, result in apply(lab, limit, fails=True).items():
            assert result['rolled_back']
            assert not result['pending']
            assert word in result['msg']
            assert 's3cret' not in json.dumps(result)
            assert lab.hosts[host].get(result['rejected_file']) != texts[host]
            assert lab.hosts[host].out(['stat', '-c', '%a', result['rejected_file']]) == '600'
        assert lab.everywhere(processes) == before
        assert lab.everywhere(lambda host: host.get(CONFIG)) == texts
    assert set(lab.everywhere(is_active).values()) == {'active'}
    assert all(lab.everywhere(nothing_left).values())
    # The records were put back with the file: nothing is left to do, and the next start comes up.
    assert not any(result['changed'] or result['pending'] for result in apply(lab).values())
    lab.everywhere(lambda host: host.run('systemctl restart docker'))


def test_a_daemon_that_does_not_come_back_is_rolled_back(lab: Lab) -> None:
    configure(lab, registry_mirrors=lab.urls('good-a'))
    apply(lab)
    texts = lab.everywhere(lambda host: host.get(CONFIG))
    configure(lab, owner='careless', validate='never', settings={'bip': 'nonsense'})
    for result in apply(lab, fails=True, restart='always').values():
        assert 'msg' in result
        assert result['rolled_back']
        assert 'nonsense' in result['msg']
        assert result['daemon']['pid_after'] not in (0, result['daemon']['pid_before'])
    assert lab.everywhere(lambda host: host.get(CONFIG)) == texts
    assert set(lab.everywhere(is_active).values()) == {'active'}
    assert all(lab.everywhere(nothing_left).values())
    assert not any(result['changed'] or result['pending'] for result in apply(lab).values())


def test_a_restart_waits_for_permission(lab: Lab) -> None:
    before = lab.everywhere(processes)
    configure(lab, registry_mirrors=lab.urls('good-a'), settings={'log-level': 'debug'})
    first = apply(lab)
    for result in first.values():
        # What a reload can do is done.
        assert (result['applied'], result['changed'], result['pending']) == ('reload', True, True)
        assert result['plan']['blockers'] == ['live_restore']
    for result in [*apply(lab).values(), *apply(lab, restart='never').values()]:
        assert (result['applied'], result['changed'], result['pending']) == ('none', False, True)
        assert result['pending_because']
        assert result['plan']['restart_keys'] == ['log-level']
    assert lab.everywhere(processes) == before

    predicted = apply(lab, check=True, live_restore_first=True)
    for name, result in apply(lab, live_restore_first=True).items():
        assert (result['applied'], result['changed'], result['pending']) == ('restart', True, False)
        assert predicted[name]['applied'] == 'restart'
        assert predicted[name]['plan'] == result['plan']
        assert result['proof']['containers_kept'] == 1
        assert not result['proof']['live_restore']
        assert result['daemon']['pid_after'] != result['daemon']['pid_before']
    after = lab.everywhere(processes)
    assert {name: pids for name, (_dockerd, pids) in after.items()} == {name: pids for name, (_dockerd, pids) in before.items()}
    assert all('live-restore' not in config for config in lab.everywhere(content).values())
    assert all(lab.everywhere(nothing_left).values())
    assert not any(result['changed'] or result['pending'] for result in apply(lab).values())


def test_live_restore_asked_for_makes_the_restart_safe(lab: Lab) -> None:
    before = lab.everywhere(Host.container_pids)
    configure(lab, settings={'log-level': 'debug', 'live-restore': True})
    predicted = apply(lab, check=True)
    for name, result in apply(lab).items():
        assert predicted[name]['applied'] == result['applied'] == 'restart'
        assert not result['pending']
        assert result['proof']['live_restore']
        assert result['proof']['containers_kept'] == 1
    assert lab.everywhere(Host.container_pids) == before


def test_a_password_that_changed_is_seen(lab: Lab) -> None:
    newer = ':'.join(name for name, host in lab.hosts.items() if host.facts['proxies_key'])
    assert newer.count(':') == 1

    def proxies(password: str) -> dict[str, t.Any]:
        return {'proxies': {'https_proxy': f'http://lab:{password}@proxy.lab:3129', 'no_proxy': ['.lab']}}

    lab.everywhere(lambda host: host.run('docker rm -f keep'))
    configure(lab, newer, **proxies('first'))
    for result in apply(lab, newer).values():
        assert result['applied'] == 'restart'
        assert result['proof']['proxies']['https_proxy'] == 'http://xxxxx:xxxxx@proxy.lab:3129'
    again = configure(lab, newer, **proxies('first'))
    assert not any(result['changed'] or result['plan']['action'] != 'none' for result in again.values())
    assert not any(result['changed'] or result['plan']['unknown_keys'] for result in apply(lab, newer).values())

    changed = configure(lab, newer, **proxies('second'))
    assert all(result['changed'] and result['plan']['restart_keys'] == ['proxies.https-proxy'] for result in changed.values())
    assert all(result['applied'] == 'restart' for result in apply(lab, newer).values())
    # Also after somebody else's restart, when the record counts no more.
    lab.everywhere(lambda host: host.run('systemctl reset-failed docker; systemctl restart docker'))
    assert not any(result['changed'] or result['plan']['unknown_keys'] for result in apply(lab, newer).values())


def test_a_stopped_daemon_stays_stopped(lab: Lab) -> None:
    lab.everywhere(lambda host: host.run('systemctl stop docker.socket docker'))
    configure(lab, registry_mirrors=lab.urls('good-a'), settings={'log-level': 'debug'})
    for result in apply(lab, restart='always').values():
        assert (result['changed'], result['applied'], result['pending']) == (False, 'none', False)
    assert set(lab.everywhere(is_active).values()) == {'inactive'}
    lab.everywhere(lambda host: host.run('systemctl start docker'))
    assert not any(result['changed'] or result['plan']['unknown_keys'] for result in apply(lab).values())
    assert set(map(tuple, lab.everywhere(Host.mirrors_in_force).values())) == {tuple(f'{url}/' for url in lab.urls('good-a'))}


def test_what_others_left_unapplied_is_told(lab: Lab) -> None:
    foreign = {'labels': ['owner=somebody'], 'log-level': 'debug', 'insecure-registries': ['cache.lab:5000']}
    lab.everywhere(lambda host: host.put(CONFIG, json.dumps(foreign)))
    # Nothing of ours: not our business. The daemon itself tells of two of the three.
    for result in apply(lab).values():
        assert (result['changed'], result['applied'], result['plan']['action']) == (False, 'none', 'none')
        assert result['plan']['also_activates'] == ['insecure-registries', 'labels']
        assert result['plan']['unknown_keys'] == ['log-level']
    configure(lab, registry_mirrors=lab.urls('good-a'))
    for result in apply(lab).values():
        assert (result['applied'], result['pending']) == ('reload', False)
        assert result['plan']['also_activates'] == ['insecure-registries', 'labels']
        assert result['proof']['insecure_registries'] == ['cache.lab:5000']
    assert all(config.items() >= foreign.items() for config in lab.everywhere(content).values())

    # What a restart would take along is known once there is a record of what was in force.
    lab.everywhere(lambda host: host.run('docker rm -f keep; systemctl restart docker'))
    configure(lab, settings={'mtu': 1400}, owner='another')
    lab.everywhere(lambda host: host.put(CONFIG, json.dumps({**content(host), 'bip': '10.99.0.1/24'})))
    for result in apply(lab, restart='never').values():
        assert (result['pending'], result['plan']['restart_keys']) == (True, ['mtu'])
        assert (result['plan']['also_activates'], result['plan']['unknown_keys']) == (['bip'], [])


def test_a_proxy_drop_in_comes_and_goes(lab: Lab) -> None:
    """Before 23.0 this is the only way to give dockerd a proxy."""
    host = lab.hosts['lab-bookworm']
    host.run('docker rm -f keep')
    proxies = {'https_proxy': 'http://lab:pa%25ss@proxy.lab:3129', 'no_proxy': ['.lab']}
    play(lab, 'engine_proxy_dropin', {'proxies': proxies}, limit=host.name).ok()
    result = apply(lab, host.name)[host.name]
    assert (result['applied'], result['plan']['restart_keys']) == ('restart', ['proxies (drop-in)'])
    assert 'pa%25ss' in host.out(f'tr "\\0" "\\n" < /proc/{host.dockerd_pid()}/environ')
    assert not apply(lab, host.name)[host.name]['changed']
    play(lab, 'engine_proxy_dropin', {'state': 'absent'}, limit=host.name).ok()
    assert apply(lab, host.name)[host.name]['applied'] == 'restart'
    assert 'PROXY' not in host.out(f'tr "\\0" "\\n" < /proc/{host.dockerd_pid()}/environ')
    assert not apply(lab, host.name)[host.name]['changed']


# -- kills

# On a host: waits for the intent, then kills the process that it names, or the module that waits for that one.
KILLER = """
import json, os, signal, sys, time
path, delay, parent = sys.argv[1], float(sys.argv[2]), sys.argv[3] == 'parent'
until = time.monotonic() + 60
while time.monotonic() < until:
    try:
        pid = json.load(open(path))['pid']
        break
    except (OSError, ValueError):
        time.sleep(0.002)
else:
    sys.exit('there was no intent')
time.sleep(delay)
if parent:
    pid = int(open('/proc/%d/stat' % pid).read().rpartition(')')[2].split()[1])
try:
    os.kill(pid, signal.SIGKILL)
    print('killed')
except ProcessLookupError:
    print('too late')
"""


def restart_and_kill(lab: Lab, delay: float, victim: str, **options: t.Any) -> dict[str, str]:
    """Apply on all hosts, and kill on each at its own moment."""
    with ThreadPoolExecutor(len(lab.hosts)) as pool:
        killers = {
            name: pool.submit(host.out, ['python3', '-c', KILLER, INTENT, str(delay + 0.33 * number), victim])
            for number, (name, host) in enumerate(lab.hosts.items())
        }
        apply(lab, fails=True, **options)
        return {name: killer.result() for name, killer in killers.items()}


@pytest.mark.parametrize('delay', [0.0, 1.0])
def test_the_run_after_a_kill_heals(lab: Lab, delay: float) -> None:
    configure(lab, registry_mirrors=lab.urls('good-a'))
    apply(lab)
    configure(lab, registry_mirrors=lab.urls('good-b'), settings={'log-level': 'debug'})
    killed = restart_and_kill(lab, delay, 'worker', restart='always')
    assert 'killed' in killed.values()

    for result in apply(lab, restart='always').values():
        assert not result['pending']
    assert set(lab.everywhere(is_active).values()) == {'active'}
    assert set(map(tuple, lab.everywhere(Host.mirrors_in_force).values())) == {tuple(f'{url}/' for url in lab.urls('good-b'))}
    assert all(lab.everywhere(nothing_left).values())
    for result in apply(lab).values():
        assert (result['changed'], result['applied'], result['pending'], result['plan']['unknown_keys']) == (False, 'none', False, [])


@pytest.mark.parametrize('delay', [0.2])
def test_a_kill_while_a_bad_file_is_tried_heals(lab: Lab, delay: float) -> None:
    configure(lab, registry_mirrors=lab.urls('good-a'))
    apply(lab)
    texts = lab.everywhere(lambda host: host.get(CONFIG))
    configure(lab, owner='careless', validate='never', settings={'bip': 'nonsense'})
    lab.everywhere(lambda host: host.run('docker rm -f keep'))
    restart_and_kill(lab, delay, 'worker', restart='always')
    for _again in range(2):
        apply(lab, fails=True, restart='always')
    assert lab.everywhere(lambda host: host.get(CONFIG)) == texts
    assert set(lab.everywhere(is_active).values()) == {'active'}
    assert all(lab.everywhere(nothing_left).values())
    assert not any(result['changed'] or result['pending'] for result in apply(lab).values())


def test_the_work_goes_on_without_the_module(lab: Lab) -> None:
    configure(lab, settings={'log-level': 'debug'})
    assert set(restart_and_kill(lab, 0.3, 'parent', restart='always').values()) == {'killed'}
    wait_until_done(lab)
    for result in apply(lab).values():
        assert (result['changed'], result['applied'], result['pending'], result['plan']['unknown_keys']) == (False, 'none', False, [])


def wait_until_done(lab: Lab) -> None:
    until = time.monotonic() + 60
    while any(lab.everywhere(lambda host: host.exists(INTENT)).values()):
        assert time.monotonic() < until, 'the work did not go on'
        time.sleep(0.2)
    assert set(lab.everywhere(is_active).values()) == {'active'}


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    parents: dict[int, list[int]] = {}
    for entry in Path('/proc').iterdir():
        if entry.name.isdigit():
            try:
                parents.setdefault(int((entry / 'stat').read_text().rpartition(')')[2].split()[1]), []).append(int(entry.name))
            except (OSError, ValueError):
                continue
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


@pytest.mark.parametrize('pipelining', ['1', '0'])
def test_the_work_goes_on_without_the_connection(lab: Lab, pipelining: str) -> None:
    """Without pipelining ssh is given a terminal, whose end sends a SIGHUP."""
    configure(lab, settings={'log-level': 'debug'})

    def cut(process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + 60
        while not all(lab.everywhere(lambda host: host.exists(INTENT)).values()) and time.monotonic() < until:
            time.sleep(0.02)
        for pid in family(process.pid):
            os.kill(pid, signal.SIGKILL)

    env = {'ANSIBLE_PIPELINING': pipelining, 'ANSIBLE_SSH_ARGS': '-o ControlMaster=no -o ControlPath=none'}
    play(lab, 'docker_daemon_apply', {'restart': 'always'}, env=env, before_wait=cut)
    wait_until_done(lab)
    for result in apply(lab).values():
        assert (result['changed'], result['applied'], result['pending'], result['plan']['unknown_keys']) == (False, 'none', False, [])
