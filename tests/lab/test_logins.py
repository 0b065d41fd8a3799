# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins as the role writes them: with site.yml, beside mirrors, and without a trace of a secret."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import typing as t
import urllib.parse
from pathlib import Path

import pytest

from lab.api import Host, Lab, PlaybookRun
from lab.config import ROOT
from lab.registries import BASIC, LOGINS, TOKEN

CONFIG = '/root/.docker/config.json'
DAEMON_JSON = '/etc/docker/daemon.json'
# Debian 14's smallest system has no useradd.
MAKE_BOB = 'echo bob:x:1234:1234::/home/bob:/bin/sh >> /etc/passwd; echo bob:x:1234: >> /etc/group; mkdir /home/bob; chown bob:bob /home/bob'
ACME = {'username': 'acme', 'password': LOGINS['acme']}


Login = t.Mapping[str, t.Any]


def site(lab: Lab, auths: t.Sequence[Login], *, mirrors: t.Any = None, extra_vars: t.Mapping[str, t.Any] | None = None, **more: t.Any) -> PlaybookRun:
    """Run site.yml with these logins."""
    given = {'registry_access_mirrors': {'docker.io': mirrors}} if mirrors is not None else {}
    variables = {
        'registry_access_auths': list(auths),
        'registry_access_engines': ['docker'],
        'registry_access_probe_deadline': 6,
        **given,
        **(extra_vars or {}),
    }
    return lab.playbook('playbooks/site.yml', extra_vars=variables, **more)


def hub(lab: Lab) -> dict[str, str]:
    login = lab.facts['hub']['login']
    return {'registry': 'docker.io', 'username': login['user'], 'password': login['password']}


@pytest.fixture
def fresh(lab: Lab) -> t.Iterator[Lab]:
    lab.everywhere(Host.reset)
    yield lab
    lab.everywhere(Host.reset)


def leaks(lab: Lab, host: Host) -> bool:
    """Pull with a cold store; whether the stranger's token server got the Hub's login."""
    started = lab.mark()
    host.cold()
    host.run('docker pull -q busybox')
    asked = [line for line in lab.access_log('good-token', started, client=host) if line['path'].startswith('/token')]
    assert asked, 'the stranger was asked for a token'
    return any(line['user'] == lab.facts['hub']['login']['user'] for line in asked)


def test_the_hubs_login_leaks_to_a_stranger_but_for_the_containerd_store(fresh: Lab) -> None:
    """moby#42022, and why there is a guard: written by hand, past the role."""
    lab = fresh
    site(lab, [hub(lab)], extra_vars={'registry_access_auth_verify': 'when_reachable'}).ok()
    for host in lab.hosts.values():
        host.put(DAEMON_JSON, json.dumps({'registry-mirrors': lab.urls('good-token')}))
        host.run('systemctl reload docker')
    assert lab.everywhere(lambda host: leaks(lab, host)) == dict.fromkeys(lab.hosts, True)
    forky = lab.hosts['lab-forky']
    forky.put(DAEMON_JSON, json.dumps({'registry-mirrors': lab.urls('good-token'), 'features': {'containerd-snapshotter': True}}))
    forky.run('systemctl restart docker')
    assert not leaks(lab, forky)


def test_the_guard_holds_whichever_came_first(fresh: Lab) -> None:
    lab = fresh
    forky = lab.hosts['lab-forky']
    forky.put(DAEMON_JSON, '{"features": {"containerd-snapshotter": true}}')
    forky.run('systemctl restart docker')
    stranger = {'url': lab.urls('good-token')[0], 'third_party': True}
    mirrors = [stranger, lab.urls('good-a')[0]]

    def uses() -> dict[str, bool]:
        return {name: any('good-token' in url for url in found) for name, found in lab.everywhere(Host.mirrors_in_force).items()}

    site(lab, [], mirrors=mirrors).ok()
    assert uses() == dict.fromkeys(lab.hosts, True)
    # The login alone, while the stranger is in use: not written but where it cannot leak.
    alone = site(lab, [hub(lab), {'registry': BASIC, **ACME, 'user': 'root', 'format': 'containers'}], mirrors=mirrors, tags='auths').ok()
    assert site(lab, [hub(lab)], mirrors=mirrors, tags='auths', extra_vars={'registry_access_mirror_login_leak': 'fail'}).rc != 0
    assert '42022' in alone.stdout
    assert lab.everywhere(lambda host: host.exists(CONFIG)) == {**dict.fromkeys(lab.hosts, False), 'lab-forky': True}
    # A run that does not name the mirrors knows the stranger from the run that wrote it.
    forky.run(f'rm {CONFIG}')
    assert '42022' in site(lab, [hub(lab)], tags='auths').ok().stdout
    assert lab.everywhere(lambda host: host.exists(CONFIG)) == {**dict.fromkeys(lab.hosts, False), 'lab-forky': True}
    # Mirrors and login in one run: the stranger goes first. Check mode says so.
    said = site(lab, [hub(lab)], mirrors=mirrors, check=True).ok()
    assert {each.host for each in said.of(action='registry_auth') if each.changed} == {'lab-bookworm', 'lab-trixie'}
    both = site(lab, [hub(lab)], mirrors=mirrors).ok()
    assert uses() == {**dict.fromkeys(lab.hosts, False), 'lab-forky': True}
    assert lab.everywhere(lambda host: host.exists(CONFIG)) == dict.fromkeys(lab.hosts, True)
    order = [each.action.rpartition('.')[2] for each in both.tasks if each.host == 'lab-trixie' and each.status == 'ok']
    assert order.index('docker_daemon_apply') < order.index('registry_auth')
    assert not leaks(lab, forky)
    # The login first: the stranger does not come in.
    assert site(lab, [hub(lab)], mirrors=mirrors).ok().changed() == 0
    site(lab, [hub(lab)], mirrors=mirrors, extra_vars={'registry_access_state': 'absent'}).ok()
    assert not any('auth' in lab.hosts[name].get(CONFIG).replace('auths', '') for name in lab.hosts)


def test_logins_of_users_by_site_yml(fresh: Lab) -> None:
    lab = fresh
    lab.everywhere(lambda host: host.run(MAKE_BOB))
    auths = [{'registry': BASIC, **ACME}, {'registry': TOKEN, **ACME, 'user': 'bob', 'format': 'containers'}]
    said, done, again = (site(lab, auths, check=check, diff=True) for check in (True, False, False))
    assert [run.changed() for run in (said, done, again)] == [3, 3, 0]
    assert 'acme by a password' in said.stdout
    assert LOGINS['acme'] not in said.stdout + done.stdout
    for host in lab.hosts.values():
        assert list(json.loads(host.get('/home/bob/.config/containers/auth.json'))['auths']) == [TOKEN]
        assert [name.rpartition('.')[2] for name in again.executions(host.name)] == ['container_engine_info', 'docker_daemon_config', 'registry_auth']
    assert site(lab, auths, arguments=['--skip-tags', 'auths'], extra_vars={'registry_access_state': 'absent'}).ok().changed() == 0
    assert site(lab, auths, extra_vars={'registry_access_state': 'absent'}).ok().changed() == 3
    assert site(lab, auths, extra_vars={'registry_access_state': 'absent'}).ok().changed() == 0


def test_few_pulls_are_warned_of(fresh: Lab) -> None:
    run = site(fresh, [hub(fresh)], extra_vars={'registry_access_auth_verify': 'when_reachable'}).ok()
    assert 'more pulls' not in run.stdout
    result = run.result(action='registry_auth', host='lab-trixie')
    assert result['rate_limit']['remaining'] == 99


def test_vaulted_passwords(fresh: Lab, tmp_path: Path) -> None:
    key = tmp_path / 'key'
    key.write_text('vault-key')
    vault = str(ROOT / '.cache' / 'venv' / 'bin' / 'ansible-vault')
    command = [vault, 'encrypt_string', '--vault-password-file', str(key), '--name', 'password', LOGINS['acme']]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding='utf-8').stdout
    variables = tmp_path / 'vars.yml'
    inner = '\n'.join(f'    {line}' for line in told.rstrip().splitlines())
    variables.write_text(f'registry_access_auths:\n  - registry: {BASIC}\n    username: acme\n{inner}\n')
    run = fresh.playbook('playbooks/site.yml', arguments=['--vault-password-file', str(key), '-e', f'@{variables}']).ok()
    assert run.changed() == 3
    assert LOGINS['acme'] not in run.stdout


# Secrets

FAILING_HELPER = '#!/bin/sh\ncat\n[ $1 = get ] && { echo credentials not found in native keychain; exit 1; }\nexit 4\n'
SAMPLER = r"""
import glob, time
end = time.time() + 600
while time.time() < end:
    time.sleep(0.01)
    for path in glob.glob('/proc/[0-9]*/cmdline') + glob.glob('/proc/[0-9]*/environ'):
        try:
            data = open(path, 'rb').read()
        except OSError:
            continue
        for secret in open('/lab-needles').read().split('\n'):
            if secret and secret.encode() in data:
                open('/lab-found', 'a').write(path + '\n')
"""
PLACES = '/tmp /var/tmp /root /home /var/lib/quickpull.registry /var/log /run /etc /dev/shm'


def spellings(secret: str, user: str) -> set[str]:
    """How a secret could look in a log."""
    raw = f'{user}:{secret}'.encode()
    return {secret, base64.b64encode(secret.encode()).decode().rstrip('='), base64.b64encode(raw).decode().rstrip('='), urllib.parse.quote(secret, safe='')}


def test_no_secret_is_seen_anywhere_but_in_its_file(fresh: Lab, tmp_path: Path) -> None:
    lab = fresh
    user = 'acme'
    unique = {name: f'{name}-{secrets.token_hex(8)}/+=' for name in ('wrong', 'never', 'helper', 'token', 'typo', 'proxy')}
    needles = sorted({spelling for secret in (*unique.values(), LOGINS['acme']) for spelling in spellings(secret, user)})
    for host in lab.hosts.values():
        host.put('/usr/local/bin/docker-credential-bad', FAILING_HELPER, 0o755)
        host.put('/lab-needles', '\n'.join(needles), 0o600)
        host.put('/lab-sampler.py', SAMPLER)
        host.run(f'{MAKE_BOB}; nohup python3 /lab-sampler.py >/dev/null 2>&1 &')
    dump = tmp_path / 'dump.jsonl'
    callback = tmp_path / 'callback'
    callback.mkdir()
    (callback / 'dump_all.py').write_text(DUMP.format(path=str(dump)))
    how: dict[str, t.Any] = {
        'arguments': ['-vvvv', '--diff'],
        'env': {
            'ANSIBLE_CALLBACK_PLUGINS': f'{ROOT}/tests/lab/callback:{callback}',
            'ANSIBLE_CALLBACKS_ENABLED': 'lab_results,dump_all',
            'ANSIBLE_PIPELINING': '0',
        },
    }
    proxy = f'http://u:{urllib.parse.quote(unique["proxy"], safe="")}@p:1'
    never = {'registry': 'never.example', 'username': user, 'password': unique['never']}
    cases: list[tuple[list[dict[str, t.Any]], dict[str, t.Any], bool]] = [
        ([{'registry': BASIC, **ACME}], {}, True),
        ([{'registry': TOKEN, 'username': user, 'password': unique['wrong']}], {}, False),
        ([{'registry': TOKEN, 'username': user, 'identity_token': unique['token']}], {}, False),
        ([never, {**never, 'user': 'bob', 'format': 'containers'}], {'registry_access_auth_verify': 'never'}, True),
        ([{**never, 'registry': 'two.example', 'password': unique['helper'], 'helper': 'bad'}], {'registry_access_auth_verify': 'never'}, False),
        ([{**never, 'pasword': unique['typo']}], {'registry_access_auth_verify': 'never'}, False),
        ([never], {'registry_access_auth_verify': 'never', 'registry_access_client_proxies': {'http_proxy': proxy}}, True),
    ]
    shown = []
    for auths, more, fine in cases:
        run = site(lab, auths, extra_vars=more, **how)
        assert (run.rc == 0) is fine, run.stdout[-3000:]
        shown.append(run.stdout + run.stderr)
    text = '\n'.join(shown) + dump.read_text()
    assert text.count('registry_auth') > 20
    found = [needle for needle in needles if needle in text]
    assert not found, 'in what Ansible shows'
    for host in lab.hosts.values():
        host.run('pkill -f "python3 .lab-sample[r]"; rm /lab-sampler.py')
        assert not host.exists('/lab-found'), host.get('/lab-found')
        holds = host.run(f'grep -rlFf /lab-needles {PLACES} 2>/dev/null', check=False).stdout.split()
        assert sorted(holds) == ['/home/bob/.config/containers/auth.json', CONFIG], host.name
        assert host.run('journalctl -o export --no-pager | grep -cFf /lab-needles', check=False).stdout.strip() == '0'
    # The lab's own password stands in the tests' source, which may lie in a clone under /tmp.
    local_needles = sorted({spelling for secret in unique.values() for spelling in spellings(secret, user)})
    search = ['grep', '-rlFf', '-', '/tmp', str(Path.home() / '.ansible')]
    local = subprocess.run(search, input='\n'.join(local_needles), stdout=subprocess.PIPE, encoding='utf-8', check=False)
    assert [path for path in local.stdout.split() if 'pytest' not in path] == [], 'on the controller'


DUMP = '''
import json
from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "dump_all"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result):
        with open("{path}", "a") as out:
            out.write(json.dumps(result._result, default=str) + "\\n")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.v2_runner_on_ok(result)

    v2_runner_on_skipped = v2_runner_on_ok
'''
