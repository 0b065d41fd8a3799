# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that choose their mirrors again by themselves: a mirror that dies, one that comes back, a network that is down, one host that probes for all, and
what the role and an audit make of it.

The timer is tried with its least interval, everything else by starting the service, which is what the timer does.
"""

from __future__ import annotations

import json
import time
import typing as t

import pytest

from lab.api import Host, Lab, PlaybookRun

INTERVAL, JITTER = 30, 6
UPSTREAMS = ('docker.io', 'quay.io')
NEW_DOCKER = 'lab-forky'  # has hosts.toml
SERVICE, TIMER, OFFER = 'registry_access_refresh.service', 'registry_access_refresh.timer', 'registry_access_refresh_offer.service'
METRICS = '/var/lib/node-exporter/quickpull_registry.prom'
REPORT = '/var/lib/quickpull.registry/refresh/report.json'
FILES = '/etc/docker /etc/containerd/certs.d /etc/containers'
TREE = f'find {FILES} -type f -printf "%p %m %s %T@ %C@\\n" | sort; find {FILES} -type f | sort | xargs sha256sum'
ENGINES = ('docker', 'containerd')
PIDS = f'for one in {" ".join(ENGINES)}; do systemctl show -p MainPID --value $one; done'


def site(lab: Lab, *, mirrors: t.Any = None, playbook: str = 'playbooks/site.yml', **more: t.Any) -> PlaybookRun:
    variables = {
        'registry_access_engines': [*ENGINES, 'podman'],
        'registry_access_mirrors': mirrors or {upstream: lab.urls('good-a', 'good-b', 'slow') for upstream in UPSTREAMS},
        'registry_access_mirror_policy': {'max': 2, 'order_by': 'listed'},
        'registry_access_probe_images': ['library/busybox:latest', 'quay.io/library/busybox:latest'],
        'registry_access_probe_deadline': 6,
        'registry_access_refresh': True,
        'registry_access_refresh_interval': INTERVAL,
        'registry_access_refresh_jitter': JITTER,
        'registry_access_metrics_path': METRICS,
        **more.pop('extra_vars', {}),
    }
    return lab.playbook(playbook, extra_vars=variables, **more)


def audit(lab: Lab, **more: t.Any) -> PlaybookRun:
    return site(lab, playbook='playbooks/audit.yml', **more)


def kill(host: Host, *ports: int, how: str = 'REJECT --reject-with tcp-reset') -> None:
    for port in ports:
        host.run(f'iptables -w -I OUTPUT -p tcp --dport {port} -j {how}')


def revive(host: Host) -> None:
    host.run('iptables -w -F OUTPUT')


def hold(host: Host) -> None:
    """No refresh from now on but those that a test starts: one that the timer began has come to its end, or a test would take it for its own."""
    host.run(f'systemctl stop {TIMER}; while systemctl is-active {SERVICE} | grep -q activating; do sleep 0.2; done')


def refresh(host: Host, code: int = 0) -> dict[str, t.Any]:
    """One refresh, as the timer starts it."""
    assert host.run(['systemctl', 'start', SERVICE], check=False).returncode == code, host.run(f'journalctl -u {SERVICE} -n 40').stdout
    told: dict[str, t.Any] = json.loads(host.get(REPORT))
    return told


def mirrors_of(host: Host) -> dict[str, list[str]]:
    """By engine and upstream, as the engines have them."""
    found = {'docker': [url.rstrip('/') for url in host.mirrors_in_force()]}
    for upstream in UPSTREAMS:
        text = host.get(f'/etc/containerd/certs.d/{upstream}/hosts.toml')
        found[f'containerd {upstream}'] = [line.split('"')[1] for line in text.splitlines() if line.startswith('[host."')]
        told = json.loads(host.out("podman info --format '{{json .Registries}}'"))
        found[f'podman {upstream}'] = [f'http://{one["Location"].partition("/")[0]}' for one in told[upstream]['Mirrors']]
    return found


def all_are(lab: Lab, *names: str) -> bool:
    wanted = lab.urls(*names)
    return all(mirrors == wanted for host in lab.hosts.values() for mirrors in mirrors_of(host).values())


@pytest.fixture(scope='module', autouse=True)
def story(lab: Lab) -> t.Iterator[dict[str, t.Any]]:
    """Hosts with containers, and the refresh on them; its timer stands still but where a test wants it."""
    lab.everywhere(Host.reset)
    lab.everywhere(Host.start_container)
    told: dict[str, t.Any] = {'before': lab.everywhere(lambda host: host.out('find /etc/systemd /usr/local /etc/docker /etc/containers | sort'))}
    told['foreseen'] = site(lab, check=True).ok()
    told['done'] = site(lab).ok()
    told['again'] = site(lab).ok()
    told['pids'] = lab.everywhere(lambda host: (host.out(PIDS), host.container_pids()))
    yield told
    lab.everywhere(Host.reset)


@pytest.fixture(autouse=True)
def as_configured(lab: Lab) -> t.Iterator[None]:
    """Each test begins with the first two mirrors in force, and with nothing remembered."""
    for host in lab.hosts.values():
        hold(host)
        host.run('rm -rf /var/lib/quickpull.registry/refresh')
    yield
    lab.everywhere(revive)


def test_check_mode_foresees_it_and_a_second_run_changes_nothing(lab: Lab, story: dict[str, t.Any]) -> None:
    for host in lab.hosts:
        foreseen, done = (story[step].result(action='registry_mirror_refresh', host=host) for step in ('foreseen', 'done'))
        assert (foreseen['files'], foreseen['did']) == (done['files'], done['did'])
        assert done['did'] == [f'{TIMER} is enabled and started.']
    assert story['again'].changed() == 0
    assert all_are(lab, 'good-a', 'good-b')


def test_what_lies_on_the_host_is_roots_and_the_unit_is_hardened(lab: Lab) -> None:
    for host in lab.hosts.values():
        assert host.out('stat -c "%a %U" /etc/quickpull.registry/refresh.json') == '600 root'
        assert host.out(f'systemctl is-enabled {TIMER}') == 'enabled'
        exposure = float(host.out(f'systemd-analyze security {SERVICE} --no-pager | tail -1').split()[-3])
        assert exposure < 4
        assert host.out('find /usr/local/lib/quickpull.registry -name "*.pyc"') == ''


def test_a_refresh_of_mirrors_that_serve_changes_nothing(lab: Lab) -> None:
    before = lab.everywhere(lambda host: host.out(TREE))
    reports = lab.everywhere(refresh)
    assert lab.everywhere(lambda host: host.out(TREE)) == before
    for report in reports.values():
        assert [one for one in report['engines'] if one['changed']] == []
        assert [one['ok'] for one in report['results']['docker.io']] == [True] * 3


def test_within_one_interval_every_host_uses_the_next_mirror(lab: Lab, story: dict[str, t.Any]) -> None:
    lab.everywhere(lambda host: host.run(f'systemctl start {TIMER}'))
    time.sleep(5)
    began = time.monotonic()
    lab.everywhere(lambda host: kill(host, 8101))
    took = None
    while time.monotonic() - began < INTERVAL + 30 and took is None:
        if all_are(lab, 'good-b', 'slow'):
            took = time.monotonic() - began
        time.sleep(1)
    # A refresh that is under way when the mirror dies, and the time that the next one takes, come on top of the interval.
    assert took is not None and took <= INTERVAL + 12, mirrors_of(lab.hosts[NEW_DOCKER])
    assert lab.everywhere(lambda host: (host.out(PIDS), host.container_pids())) == story['pids']


def test_a_pull_is_as_quick_as_by_the_good_mirror_alone_once_the_dead_one_is_out_of_use(lab: Lab) -> None:
    host = lab.hosts['lab-trixie']
    kill(host, 8101, how='DROP')
    refresh(host)
    assert mirrors_of(host)['docker'] == lab.urls('good-b', 'slow')

    def pull() -> float:
        host.cold()
        began = time.monotonic()
        host.run('docker pull -q nginx', timeout=100)
        return time.monotonic() - began

    alone = '{"registry-mirrors": ["%s"]}' % lab.mirror('good-b').url
    chosen = host.get('/etc/docker/daemon.json')
    times: dict[str, list[float]] = {'alone': [], 'chosen': []}
    for _turn in range(9):
        for name, text in (('alone', alone), ('chosen', chosen)):
            host.put('/etc/docker/daemon.json', text)
            host.run('systemctl reload docker; sleep 0.3')
            times[name].append(pull())
    median = {name: sorted(values)[len(values) // 2] for name, values in times.items()}
    assert median['chosen'] <= 1.1 * median['alone'] + 0.1, times
    # With the dead one still in use a pull waits half a minute for it.
    assert max(times['chosen']) < 10, times


def test_one_that_comes_back_is_taken_again_without_flapping(lab: Lab) -> None:
    host = lab.hosts[NEW_DOCKER]
    site(lab, limit=NEW_DOCKER).ok()
    hold(host)
    kill(host, 8101)
    refresh(host)
    assert mirrors_of(host)['docker'] == lab.urls('good-b', 'slow')
    revive(host)
    changes = []
    for number in range(9):
        report = refresh(host)
        changes += [number for one in report['engines'] if one['changed'] and one['engine'] == 'docker']
    # It was left out of a probe or two, has to serve in three, and to be wanted in three; then it stays.
    assert len(changes) == 1 and changes[0] >= 4, changes
    assert set(map(tuple, mirrors_of(host).values())) == {tuple(lab.urls('good-a', 'good-b'))}


def test_the_role_and_the_audit_go_by_what_the_host_chose_by_itself(lab: Lab) -> None:
    """Another host probes for it, as by default, and finds that all mirrors serve."""
    host = lab.hosts[NEW_DOCKER]
    other = lab.hosts['lab-trixie']
    # So long that the timer, which an audit wants to run and site.yml starts, does not come in between.
    calm = {'registry_access_refresh_interval': '10m', 'registry_access_refresh_jitter': 0}

    def run(playbook: t.Callable[..., PlaybookRun] = site, **more: t.Any) -> PlaybookRun:
        return playbook(lab, limit=f'{other.name},{host.name}', extra_vars=calm, **more)

    run().ok()
    kill(host, 8101)
    refresh(host)
    assert mirrors_of(host)['docker'] == lab.urls('good-b', 'slow')
    tree = host.out(TREE)
    audited = run(audit).ok()
    assert 'No drift on 2 hosts.' in audited.stdout
    assert run().ok().changed(host.name) == 0
    # It is back, and the refresh waits for it to prove itself.
    revive(host)
    waits = refresh(host)
    assert [one['ok'] for one in waits['results']['docker.io']] == [True] * 3
    assert 'No drift on 2 hosts.' in run(audit).ok().stdout
    assert host.out(TREE) == tree
    # What somebody did to the file is drift all the same.
    text = host.get('/etc/docker/daemon.json')
    host.put('/etc/docker/daemon.json', json.dumps({'registry-mirrors': lab.urls('good-a', 'good-b')}))
    drifted = run(audit)
    assert drifted.rc != 0
    said = ' '.join(drifted.result(task='Fail where there is drift', host=host.name)['msg'])
    assert f'registry-mirrors lacks {lab.mirror("slow").url}.' in said
    host.put('/etc/docker/daemon.json', text)
    for _round in range(6):
        refresh(host)
    assert set(map(tuple, mirrors_of(host).values())) == {tuple(lab.urls('good-a', 'good-b'))}
    # Other candidates are no matter of waiting.
    run(mirrors={upstream: lab.urls('slow', 'good-b') for upstream in UPSTREAMS}).ok()
    assert set(map(tuple, mirrors_of(host).values())) == {tuple(lab.urls('slow', 'good-b'))}


def test_an_outage_of_three_intervals_changes_no_file(lab: Lab) -> None:
    site(lab).ok()
    lab.everywhere(hold)
    before = lab.everywhere(lambda host: host.out(TREE))
    lab.everywhere(lambda host: host.run('iptables -w -I OUTPUT -p tcp --dport 8000:9000 -j DROP; iptables -w -I OUTPUT -p tcp --dport 443 -j DROP'))
    for _round in range(3):
        reports = lab.everywhere(refresh)
        assert all(one['because'] in ('', 'No mirror serves, so the choice stays as it is.') for report in reports.values() for one in report['engines'])
    assert lab.everywhere(lambda host: host.out(TREE)) == before
    assert 'quickpull_registry_mirror_up{upstream="docker.io",mirror="http://good-a.lab:8101"} 0' in lab.hosts[NEW_DOCKER].get(METRICS)
    lab.everywhere(revive)
    reports = lab.everywhere(refresh)
    assert lab.everywhere(lambda host: host.out(TREE)) == before
    assert not any(one['changed'] for report in reports.values() for one in report['engines'])


def test_what_others_wrote_stays_and_what_they_never_applied_is_no_reason_to_act(lab: Lab) -> None:
    host = lab.hosts['lab-trixie']
    text = host.get('/etc/docker/daemon.json')
    config = {**json.loads(text), 'debug': True, 'max-concurrent-downloads': 5}
    host.put('/etc/docker/daemon.json', json.dumps(config, indent=4))
    pid = host.dockerd_pid()
    refresh(host)
    assert json.loads(host.get('/etc/docker/daemon.json')) == config
    kill(host, 8101)
    refresh(host)
    after = json.loads(host.get('/etc/docker/daemon.json'))
    assert after.pop('registry-mirrors') == lab.urls('good-b', 'slow')
    assert after == {name: value for name, value in config.items() if name != 'registry-mirrors'}
    assert host.dockerd_pid() == pid
    host.put('/etc/docker/daemon.json', json.dumps({'registry-mirrors': lab.urls('good-b', 'slow')}, indent=4))
    host.run('systemctl reload docker')


def test_one_host_of_a_site_probes_for_the_others(lab: Lab) -> None:
    leader, *others = lab.hosts.values()
    offer = {'registry_access_refresh_offer': 8377}
    ask = {'registry_access_refresh_ask': [f'http://{leader.address}:8377']}
    site(lab, limit=leader.name, extra_vars=offer).ok()
    site(lab, limit=','.join(host.name for host in others), extra_vars=ask).ok()
    lab.everywhere(hold)
    lab.everywhere(lambda host: host.run('rm -rf /var/lib/quickpull.registry/refresh'))
    refresh(leader)
    since = lab.mark()
    reports = {host.name: refresh(host) for host in others}
    for host in others:
        assert reports[host.name]['source']['docker.io'] == f'http://{leader.address}:8377'
        assert not any(lab.access_log(name, since, client=host) for name in ('good-a', 'good-b', 'slow'))
    # The same results again are no second probe, and too old ones are none.
    assert [one for one in refresh(others[0])['engines'] if one['changed']] == []
    leader.run(f'systemctl stop {OFFER}')
    assert refresh(others[0])['source']['docker.io'] == ''
    assert lab.access_log('good-a', since, client=others[0])
    leader.run(f'systemctl start {OFFER}')
    assert leader.out(f'ps -o user= -p $(systemctl show -p MainPID --value {OFFER})') != 'root'


def test_mistakes_are_told_before_anything_is_written(lab: Lab) -> None:
    name = NEW_DOCKER
    before = lab.hosts[name].out('find /etc/systemd /etc/quickpull.registry /usr/local | sort; cat /etc/quickpull.registry/refresh.json')
    run = site(lab, limit=name, extra_vars={'registry_access_refresh_interval': '5s'})
    assert run.rc != 0
    assert 'registry_access_refresh_interval: 5 seconds are less than the least, 30.' in ' '.join(run.stdout.split())
    assert lab.hosts[name].out('find /etc/systemd /etc/quickpull.registry /usr/local | sort; cat /etc/quickpull.registry/refresh.json') == before


def test_switched_off_nothing_of_it_is_left(lab: Lab, story: dict[str, t.Any]) -> None:
    off = {'registry_access_refresh': False}
    lab.everywhere(lambda host: host.run(f'systemctl start {TIMER} {SERVICE}'))
    foreseen, done, again = site(lab, extra_vars=off, check=True).ok(), site(lab, extra_vars=off).ok(), site(lab, extra_vars=off).ok()
    for name in lab.hosts:
        assert foreseen.result(action='registry_mirror_refresh', host=name)['did'] == done.result(action='registry_mirror_refresh', host=name)['did'] != []
    assert again.changed() == 0
    for host in lab.hosts.values():
        left = f'/usr/local/lib/quickpull* /etc/quickpull* {REPORT} /run/quickpull* /var/cache/quickpull* {METRICS}'
        gone = f'systemctl list-unit-files "registry_access_refresh*" --no-legend; ls -d {left}'
        assert host.run(f'{gone} 2>/dev/null', check=False).stdout == ''
    site(lab, mirrors={}, extra_vars={**off, 'registry_access_state': 'absent'}).ok()
    assert lab.everywhere(lambda host: host.out('find /etc/systemd /usr/local /etc/docker /etc/containers | sort')) == story['before']
