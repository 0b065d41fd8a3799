# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_daemon_config on three real Dockers, and its table of keys held against what those daemons know."""

from __future__ import annotations

import io
import json
import re
import tarfile
import typing as t

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _daemon_keys as keys
from ansible_collections.quickpull.registry.plugins.module_utils._daemon_json import type_problem
from ansible_collections.quickpull.registry.plugins.module_utils._daemon_keys import KNOWN_KEYS
from ansible_collections.quickpull.registry.plugins.module_utils._version import parse_version
from lab.api import Host, Lab, PlaybookRun

PATH = '/etc/docker/daemon.json'
MODULE = 'docker_daemon_config'
OLD = 'lab-bookworm'    # Docker 20.10: no proxies, no path in a mirror, no --validate


def play(*tasks: t.Mapping[str, t.Any]) -> str:
    """A playbook in which a task that fails does not end the play."""
    steps = [{'ignore_errors': True, **{f'quickpull.registry.{name}': args for name, args in task.items()}} for task in tasks]
    return json.dumps([{'hosts': 'docker_hosts', 'gather_facts': False, 'tasks': steps}], indent=1)


def config(lab: Lab, how: t.Mapping[str, t.Any] | None = None, **asked: t.Any) -> PlaybookRun:
    """Run the module on all hosts."""
    return lab.playbook(play({MODULE: asked}), **(how or {}))


def results(run: PlaybookRun, host: Host) -> list[dict[str, t.Any]]:
    return [each.result for each in run.of(action=MODULE, host=host.name)]


@pytest.fixture(scope='module', autouse=True)
def as_new(lab: Lab) -> t.Iterator[None]:
    """Hosts as new, before and after."""
    lab.everywhere(Host.reset)
    yield
    lab.everywhere(Host.reset)


@pytest.fixture(autouse=True)
def clean(lab: Lab) -> None:
    """Each test begins with a running Docker that has no file."""
    lab.everywhere(lambda host: host.run(f'rm -rf {PATH} /var/lib/quickpull.registry'))


def version(host: Host) -> tuple[int, ...]:
    return parse_version(host.out('docker version -f "{{.Server.Version}}"')) or ()


# The way of a configuration

def test_from_nothing_to_mirrors_in_force_and_back(lab: Lab) -> None:
    lab.everywhere(Host.start_container)
    before = {name: (host.dockerd_pid(), host.container_pids()) for name, host in lab.hosts.items()}
    asked: dict[str, t.Any] = {'registry_mirrors': lab.urls('good-a', 'good-b')}
    said, done, again = config(lab, {'check': True, 'arguments': ['--diff']}, **asked), config(lab, **asked), config(lab, **asked)
    apply = lab.playbook(play({'docker_daemon_apply': {}})).ok()
    for name, host in lab.hosts.items():
        (one,), (two,), (three,) = (results(run, host) for run in (said, done, again))
        assert [one['changed'], two['changed'], three['changed']] == [True, True, False], name
        for what in ('diff', 'plan', 'left_out', 'registry_mirrors'):
            assert one[what] == two[what], f'{name}: check mode foretold another {what}'
        assert two['plan']['action'] == three['plan']['action'] == 'reload', name
        assert host.mirrors_in_force() == [f'{url}/' for url in asked['registry_mirrors']], apply.stdout
        assert (host.dockerd_pid(), host.container_pids()) == before[name], name
        assert host.out(f'stat -c %a {PATH}') == '644'
    gone = config(lab, state='absent')
    waiting = {name: json.loads(host.get(PATH)) for name, host in lab.hosts.items()}
    still = config(lab, state='absent')
    lab.playbook(play({'docker_daemon_apply': {}})).ok()
    for name, host in lab.hosts.items():
        assert [results(run, host)[0]['changed'] for run in (gone, still)] == [True, False], name
        assert waiting[name] == {'registry-mirrors': []}, name
        assert host.mirrors_in_force() == [], name
        assert not host.exists(PATH), name
        assert (host.dockerd_pid(), host.container_pids()) == before[name], name


# (asked, in the error): on all hosts, then on the old one alone
REFUSED: list[tuple[dict[str, t.Any], str]] = [
    ({'settings': {'registry-mirorrs': []}}, 'registry-mirorrs is no key that Docker knows'),
    ({'settings': {'hosts': ['fd://']}}, 'hosts is also given by the flag --host'),
    ({'settings': {'log-opts': {'max-file': 3}}}, 'max-file in quotes'),
]
REFUSED_BY_OLD: list[tuple[dict[str, t.Any], str]] = [
    ({'proxies': {'https_proxy': 'http://u:s3cret@proxy.lab:3128'}}, 'Docker knows proxies since 23.0'),
    ({'registry_mirrors': ['http://good-path.lab:8104/hub/']}, 'which Docker accepts since 25.0'),
]


def test_what_would_keep_the_daemon_from_starting_is_refused(lab: Lab) -> None:
    run = lab.playbook(play(*({MODULE: asked} for asked, _message in REFUSED + REFUSED_BY_OLD)), arguments=['-vvv', '--diff'])
    assert 's3cret' not in run.stdout + run.stderr
    for name, host in lab.hosts.items():
        found = results(run, host)
        refused = REFUSED + (REFUSED_BY_OLD if name == OLD else [])
        for (_asked, message), result in zip(refused, found):
            assert message in result['msg'], name
        assert host.exists(PATH) is (name != OLD)
        for result in found[len(refused):]:
            assert result['changed'], name
        if name != OLD:
            assert found[len(REFUSED)]['diff']['before'] == '', 'a refused configuration was written'


def test_what_somebody_else_wrote_is_refused_as_well(lab: Lab) -> None:
    there = '{"unheard-of": 1}'
    lab.everywhere(lambda host: host.put(PATH, there))
    run = config(lab, registry_mirrors=['http://good-a.lab:8101'])
    for name, host in lab.hosts.items():
        (result,) = results(run, host)
        assert 'unheard-of is no key that Docker knows' in result['msg'], name
        assert host.get(PATH) == there, name


def test_dockerd_has_the_last_word_where_it_can_be_asked(lab: Lab) -> None:
    """The table knows nothing of what a search domain must look like."""
    run = config(lab, settings={'dns-search': ['no domain']})
    for name, host in lab.hosts.items():
        (result,) = results(run, host)
        assert host.exists(PATH) is (name == OLD)
        assert name == OLD or 'dockerd would not start with it, so nothing was written. It says: ' in result['msg'], result
        assert host.out('ls -A /run | grep -c quickpull || true') == '0'


def test_flags_of_all_sorts_can_be_passed_to_validate(lab: Lab) -> None:
    options = 'DOCKER_OPTS="--label=room=\'a b\' -l info --insecure-registry=10.1.0.0/16 --log-opt max-size=5m --live-restore -H unix:///run/second.sock"\n'

    def furnish(host: Host) -> None:
        host.put('/etc/default/docker', options)
        host.put('/etc/systemd/system/docker.service.d/lab.conf',
                 '[Service]\nEnvironmentFile=-/etc/default/docker\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS\n')
        host.run('systemctl daemon-reload && systemctl restart docker')

    lab.everywhere(furnish)
    try:
        good = config(lab, registry_mirrors=['http://good-a.lab:8101'])
        bad = config(lab, settings={'log-opts': {'max-size': '1m'}})
        for name, host in lab.hosts.items():
            assert results(good, host)[0]['changed'], name
            assert 'log-opts is also given by the flag --log-opt (EnvironmentFile /etc/default/docker)' in results(bad, host)[0]['msg'], name
    finally:
        undo = 'rm -f /etc/systemd/system/docker.service.d/lab.conf /etc/default/docker; systemctl daemon-reload; '
        lab.everywhere(lambda host: host.run(undo + 'systemctl reset-failed docker docker.socket; systemctl restart docker'))


def test_a_proxy_with_a_password(lab: Lab) -> None:
    def ask(password: str) -> PlaybookRun:
        return config(lab, {'arguments': ['-vvv', '--diff'], 'limit': f'docker_hosts:!{OLD}'}, proxies={
            'https_proxy': f'http://user:{password}@proxy.lab:3128', 'no_proxy': ['.lab', 'a.*.b']})

    first, second, third = ask('s3cret-one'), ask('s3cret-one'), ask('s3cret-two')
    for run in (first, second, third):
        assert 's3cret' not in run.stdout + run.stderr
    assert "'a.*.b' never matches" in first.stderr
    for name, host in lab.hosts.items():
        if name == OLD:
            continue
        assert [results(run, host)[0]['changed'] for run in (first, second, third)] == [True, False, True], name
        assert 's3cret-two' in host.get(PATH)
        assert host.out(f'stat -c %a {PATH}') == '600'
        assert host.run('journalctl --no-pager | grep s3cret', check=False).stdout == '', name
        assert host.out('find /var/lib/quickpull.registry -perm /077') == '', name


def test_a_full_and_a_read_only_file_system(lab: Lab) -> None:
    before = '{"debug": false}'

    def furnish(host: Host) -> None:
        host.run('mount -t tmpfs -o size=16k none /etc/docker')
        host.put(PATH, before)
        host.run('dd if=/dev/zero of=/etc/docker/filler bs=1k 2>/dev/null', check=False)

    lab.everywhere(furnish)
    try:
        full = config(lab, registry_mirrors=['http://good-a.lab:8101'])
        lab.everywhere(lambda host: host.run('mount -o remount,ro /etc/docker'))
        read_only = config(lab, registry_mirrors=['http://good-a.lab:8101'])
        for host in lab.hosts.values():
            assert 'the file system is full' in results(full, host)[0]['msg']
            assert 'the file system is read-only' in results(read_only, host)[0]['msg']
            assert host.get(PATH) == before
            assert host.out('ls -A /etc/docker').split() == ['daemon.json', 'filler']
    finally:
        lab.everywhere(lambda host: host.run('umount /etc/docker'))


# The table of keys

SAMPLES: dict[str, t.Any] = {
    keys.STRING: 'x', keys.BOOL: True, keys.INTEGER: 1, keys.SIZE: '64m', keys.STRINGS: ['x'], keys.STRING_MAP: {'x': 'y'},
    keys.STRING_MAPS: {'x': {'y': 'z'}}, keys.BOOL_MAP: {'x': True}, keys.OBJECTS: [{}], keys.OBJECT_MAP: {'x': {}}, keys.OBJECT: {}, '': None,
}
# dockerd accepts these and looks at nothing in them (any more), so it cannot tell of which kind they are.
NOT_READ = {'deprecated-key-path', 'allow-nondistributable-artifacts'}


def known_at(host: Host) -> dict[str, keys.Key]:
    now = version(host)
    return {name: key for name, key in KNOWN_KEYS.items() if now >= key.since and (key.until is None or now < key.until)}


def ask_dockerd(host: Host, configs: t.Mapping[str, t.Any]) -> dict[str, str]:
    """What dockerd says of each configuration; it never starts.

    It validates where it can. An older one ends at the latest when it finds the process number of the daemon that runs.
    """
    host.run('rm -rf /tmp/keys && mkdir /tmp/keys')
    host.run('cd /tmp/keys && tar x', stdin=_tar({f'{name}.json': json.dumps(value) for name, value in configs.items()}))
    validate = '--validate' if version(host) >= (23,) else '--pidfile=/run/docker.pid --data-root=/tmp/keys/root --exec-root=/tmp/keys/exec'
    script = (f'cd /tmp/keys; for file in *.json; do echo "=== ${{file%.json}}"; timeout 10 dockerd {validate} --config-file=/tmp/keys/$file 2>&1; '
              'echo "exit $?"; done; rm -rf /tmp/keys')
    said = host.run(['sh', '-c', script], timeout=300).stdout
    return dict(re.findall(r'^=== (\S+)\n(.*?exit \d+)$', said, re.MULTILINE | re.DOTALL))


def _tar(files: t.Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def test_the_table_knows_just_the_keys_that_dockerd_knows(host: Host) -> None:
    """dockerd compares all names first and tells all that it does not know in one line."""
    everything = {**dict.fromkeys(KNOWN_KEYS), 'no-such-key': None, 'resolv-conf': None, 'swarm-raft-election-tick': None, 'containerd-plugin-namespace': None}
    everything['proxies'] = {'http-proxy': None}
    said = ask_dockerd(host, {'all': everything})['all']
    found = re.search(r"directives don't match any configuration option: ([a-z0-9, -]+)", said)
    assert found, said
    unknown = set(found.group(1).replace(' ', '').split(','))
    assert unknown - KNOWN_KEYS.keys() == {'no-such-key', 'resolv-conf', 'swarm-raft-election-tick', 'containerd-plugin-namespace'}
    assert unknown & KNOWN_KEYS.keys() == KNOWN_KEYS.keys() - known_at(host).keys() - {'proxies'}


def test_the_table_knows_the_kinds_of_values(host: Host) -> None:
    known = {name: key for name, key in known_at(host).items() if key.kind and name not in NOT_READ}
    if version(host) < (23,):
        # These name what dockerd is told on its command line here.
        known = {name: key for name, key in known.items() if name not in ('pidfile', 'data-root', 'exec-root', 'graph')}
    right = {f'right.{name}': {name: SAMPLES[key.kind]} for name, key in known.items()}
    wrong = {f'wrong.{name}': {name: 1 if key.kind in (keys.STRING, keys.STRINGS) else 'x'} for name, key in known.items() if key.kind != keys.SIZE}
    for name, value in wrong.items():
        assert type_problem(name.partition('.')[2], next(iter(value.values())))
    said = ask_dockerd(host, {**right, **wrong})
    assert said.keys() == {*right, *wrong}
    unlike = re.compile(r"cannot unmarshal|don't match|specified both as a flag")
    assert {name: text for name, text in said.items() if name.startswith('right.') and unlike.search(text)} == {}
    # Not each of them by the same words: a pool and a size parse themselves.
    assert {name: text for name, text in said.items() if name.startswith('wrong.') and 'exit 1' not in text} == {}


@pytest.mark.parametrize('name', ['registry-mirror', 'http-proxy', 'label'])
def test_the_name_of_a_flag_is_accepted_and_does_nothing(lab: Lab, name: str) -> None:
    host = lab.hosts['lab-trixie']
    said = ask_dockerd(host, {'one': {name: ['x=y'] if name == 'label' else 'https://m'}})['one']
    assert 'configuration OK' in said
    assert KNOWN_KEYS[name].instead
