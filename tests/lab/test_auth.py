# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""registry_auth held against real clients, real registries, and users who lay traps."""

from __future__ import annotations

import base64
import json
import typing as t

import pytest

from lab import registries
from lab.api import Host, Lab, PlaybookRun
from lab.images import HELPERS
from lab.registries import ANYBODY, BASIC, LOGINS, OAUTH_USER, OPEN, TOKEN, TOKEN_LOGINS

MODULE = 'registry_auth'
CONFIG = '/root/.docker/config.json'
AUTH = '/root/.config/containers/auth.json'
HUB_KEY = 'https://index.docker.io/v1/'
PODMAN_HOST = 'lab-trixie'
ACME = {'username': 'acme', 'password': LOGINS['acme']}


def play(*tasks: t.Mapping[str, t.Any]) -> str:
    """A playbook in which a task that fails does not end the play."""
    steps = [{'ignore_errors': True, f'quickpull.registry.{MODULE}': args} for args in tasks]
    return json.dumps([{'hosts': 'docker_hosts', 'gather_facts': False, 'tasks': steps}], indent=1)


def auth(lab: Lab, *auths: t.Mapping[str, t.Any], how: t.Mapping[str, t.Any] | None = None, **asked: t.Any) -> PlaybookRun:
    """Run the module on all hosts, or as ``how`` says."""
    return lab.playbook(play({'auths': list(auths), **asked}), **(how or {}))


def one(lab: Lab, host: Host, *auths: t.Mapping[str, t.Any], **asked: t.Any) -> dict[str, t.Any]:
    """The result on one host."""
    how = {**asked.pop('how', {}), 'limit': host.name}
    return result_of(auth(lab, *auths, how=how, **asked), host)


def several(lab: Lab, host: Host, *tasks: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """The results of tasks in one play on one host."""
    run = lab.playbook(play(*tasks), limit=host.name)
    return [{'msg': '', **found.result, 'failed': found.status == 'failed'} for found in run.of(action=MODULE, host=host.name)]


def result_of(run: PlaybookRun, host: Host) -> dict[str, t.Any]:
    """The result of the only task on a host, and whether it failed."""
    (found,) = run.of(action=MODULE, host=host.name)
    return {'msg': '', **found.result, 'failed': found.status == 'failed'}


def entry(user: str, password: str) -> dict[str, str]:
    return {'auth': base64.b64encode(f'{user}:{password}'.encode()).decode()}


def config_of(host: Host, path: str = CONFIG) -> t.Any:
    return json.loads(host.get(path))


def mode(host: Host, path: str) -> str:
    return host.out(['stat', '-c', '%a %U', path])


@pytest.fixture(scope='module', autouse=True)
def as_new(lab: Lab) -> t.Iterator[None]:
    lab.everywhere(Host.reset)
    lab.everywhere(Host.load_busybox)
    yield
    lab.everywhere(Host.reset)


@pytest.fixture(autouse=True)
def clean(lab: Lab) -> None:
    """Each test begins with nobody logged in."""
    left = '/root/.docker /root/.config/containers /run/containers/0 /usr/local/bin/docker-credential-*'
    lab.everywhere(lambda host: host.run(f'userdel -rf bob 2>/dev/null; rm -rf {left}'))


@pytest.fixture
def bob(lab: Lab) -> Host:
    """A host with a user bob."""
    host = lab.hosts[PODMAN_HOST]
    host.run('useradd -m -s /bin/sh bob')
    return host


# The logins are used by the real clients

@pytest.mark.parametrize('registry', [BASIC, TOKEN])
def test_docker_pushes_and_pulls_with_it(lab: Lab, registry: str) -> None:
    login = {'registry': registry, **ACME}
    image = f'{registry}/acme/busybox:1'
    push = f'docker tag busybox {image} && docker push -q {image}'
    assert all(lab.everywhere(lambda host: host.run(push, check=False).returncode).values()), 'without a login it is refused'
    said, done, again = (auth(lab, login, how={'check': check}) for check in (True, False, False))
    assert [run.changed() for run in (said, done, again)] == [3, 3, 0]
    for host in lab.hosts.values():
        assert done.result(action=MODULE, host=host.name)['logins'][0]['verified'] == 'verified'
        assert mode(host, CONFIG) == '600 root'
        assert mode(host, '/root/.docker') == '700 root'
        host.run(push)
        host.run(f'docker rmi {image} && docker pull -q {image}')
    assert auth(lab, login, how={'check': True}).changed() == 0
    gone = auth(lab, {'registry': registry, 'state': 'absent'})
    assert gone.changed() == 3
    assert all(lab.everywhere(lambda host: host.run(f'docker pull {image}', check=False).returncode).values())


@pytest.mark.parametrize('registry, user', [(BASIC, 'acme'), (TOKEN, 'acme'), (TOKEN, OAUTH_USER)])
def test_what_dockers_client_wrote_is_left(lab: Lab, registry: str, user: str) -> None:
    password = TOKEN_LOGINS[user]
    lab.everywhere(lambda host: host.run(f'docker login -u {user} --password-stdin {registry}', stdin=password))
    before = lab.everywhere(lambda host: host.get(CONFIG))
    assert auth(lab, {'registry': registry, 'username': user, 'password': password}).ok().changed() == 0
    assert lab.everywhere(lambda host: host.get(CONFIG)) == before
    if user == OAUTH_USER:
        assert all('identitytoken' in text for text in before.values())


def test_an_identity_token_is_kept_as_docker_keeps_it(lab: Lab) -> None:
    login = {'registry': TOKEN, 'username': OAUTH_USER, 'password': TOKEN_LOGINS[OAUTH_USER]}
    auth(lab, login).ok()
    image = f'{TOKEN}/oauth/busybox:1'
    for host in lab.hosts.values():
        stored = config_of(host)['auths'][TOKEN]
        assert stored['identitytoken'].startswith('refresh-')
        assert base64.b64decode(stored['auth']).decode() == f'{OAUTH_USER}:'
        host.run(f'docker tag busybox {image} && docker push -q {image}')
        host.put(CONFIG, json.dumps({'auths': {TOKEN: {'identitytoken': stored['identitytoken']}}}), 0o600)
    assert auth(lab, login).changed() == 3, 'an entry of a token alone says nothing of its user'
    assert auth(lab, login).changed() == 0
    lab.everywhere(lambda host: host.put(CONFIG, json.dumps({'auths': {TOKEN: {'auth': stored['auth'], 'identitytoken': 'worn-out'}}}), 0o600))
    assert auth(lab, login).changed() == 3, 'a token that the registry no longer takes is replaced'
    token = config_of(lab.hosts[PODMAN_HOST])['auths'][TOKEN]['identitytoken']
    assert token != 'worn-out'
    assert auth(lab, {'registry': TOKEN, 'username': OAUTH_USER, 'identity_token': token}).ok().changed() == 0
    refused = one(lab, lab.hosts[PODMAN_HOST], {'registry': TOKEN, 'identity_token': 'worn-out'})
    assert refused['failed']
    assert 'refuses this identity token' in refused['msg']


@pytest.mark.parametrize('registry', [BASIC, TOKEN])
def test_podman_and_skopeo_push_and_pull_with_it(lab: Lab, registry: str) -> None:
    host = lab.hosts[PODMAN_HOST]
    host.run('docker save busybox | podman load -q')
    image = f'{registry}/acme/by-podman:1'
    for login in ({'registry': registry}, {'registry': f'{registry}/acme'}):
        assert one(lab, host, {**login, **ACME}, format='containers')['changed']
        assert not one(lab, host, {**login, **ACME}, format='containers')['changed']
        assert mode(host, AUTH) == '600 root'
        host.run(f'podman tag docker.io/library/busybox {image} && podman push -q {image} && podman rmi {image} && podman pull -q {image}')
        host.run(f'skopeo copy -q docker://{image} docker://{registry}/acme/by-skopeo:1 && skopeo inspect docker://{registry}/acme/by-skopeo:1')
        assert one(lab, host, {**login, 'state': 'absent'}, format='containers')['changed']
        assert host.run(f'podman pull {image}', check=False).returncode != 0


@pytest.mark.parametrize('client', ['podman', 'skopeo'])
def test_what_podman_and_skopeo_wrote_is_left(lab: Lab, client: str) -> None:
    host = lab.hosts[PODMAN_HOST]
    path = '/run/containers/0/auth.json'
    for registry in (BASIC, TOKEN):
        host.run(f'{client} login -u acme --password-stdin {registry}', stdin=LOGINS['acme'])
    before = host.get(path)
    logins = [{'registry': registry, **ACME} for registry in (BASIC, TOKEN)]
    assert not one(lab, host, *logins, format='containers', config_path=path)['changed']
    assert host.get(path) == before
    assert one(lab, host, *({**login, 'state': 'absent'} for login in logins), format='containers', config_path=path)['changed']
    assert host.run(f'{client} login --get-login {TOKEN}', check=False).returncode != 0


@pytest.mark.parametrize('registry', [BASIC, TOKEN])
def test_names_and_passwords_of_every_kind(lab: Lab, registry: str) -> None:
    host = lab.hosts['lab-bookworm']
    known = LOGINS if registry == BASIC else TOKEN_LOGINS
    host.run(f'docker login -u acme --password-stdin {registry} && docker tag busybox {registry}/acme/busybox:1 && docker push -q {registry}/acme/busybox:1',
             stdin=LOGINS['acme'])
    asked = [{'auths': [{'registry': registry, 'username': user, 'password': password}], 'config_path': f'/root/of/{number}/config.json'}
             for number, (user, password) in enumerate(known.items())]
    first, second = (several(lab, host, *asked) for dummy in range(2))
    for number, user in enumerate(known):
        assert first[number]['logins'][0]['verified'] == 'verified', user
        assert (first[number]['changed'], second[number]['changed']) == (True, False), user
        host.run(f'docker --config /root/of/{number} pull {registry}/acme/busybox:1')
    host.run('rm -r /root/of')


# What a registry says

def test_a_wrong_password_writes_nothing(lab: Lab) -> None:
    right = {'registry': BASIC, **ACME}
    for registry in (BASIC, TOKEN):
        run = auth(lab, right if registry == TOKEN else {**right, 'registry': TOKEN}, {'registry': registry, 'username': 'acme', 'password': 'wr0ng-secret'})
        for host in lab.hosts.values():
            result = result_of(run, host)
            assert result['failed']
            assert f'{registry} refuses the login of acme' in result['msg']
            assert not host.exists(CONFIG)
        assert 'wr0ng-secret' not in run.stdout + run.stderr


def test_the_life_of_two_logins(lab: Lab) -> None:
    """What community.docker's tests of docker_login ask, and both servers side by side."""
    host = lab.hosts['lab-bookworm']
    asking = {'verify_in_check_mode': True}
    for registry in (BASIC, TOKEN):
        right, out = {'registry': registry, **ACME}, {'registry': registry, 'state': 'absent'}
        wrong = {**right, 'password': '1234'}

        def step(login: dict[str, t.Any], check: bool, **asked: t.Any) -> bool | None:
            """Whether it changed something, None when it failed."""
            result = one(lab, host, login, how={'check': check}, **asked)
            return None if result['failed'] else bool(result['changed'])

        assert step({**right, 'state': 'absent'}, False) is False, 'out, with a user and password that do not matter'
        assert [step(wrong, True, **asking), step(wrong, False)] == [None, None]
        assert [step(right, True, **asking), step(right, False), step(right, False), step(right, True, **asking)] == [True, True, False, False]
        before = host.get(CONFIG)
        assert [step(wrong, True, **asking), step(wrong, False)] == [None, None]
        assert host.get(CONFIG) == before
        assert [step(out, True), step(out, False), step(out, False), step(out, True)] == [True, True, False, False]
        assert step(right, False) is True
    assert sorted(config_of(host)['auths']) == sorted([BASIC, TOKEN])


@pytest.mark.parametrize(
    'registry, outcome',
    [
        (OPEN, 'unproved'),
        (ANYBODY, 'unproved'),
        ('registry-basic.lab:8999', 'unreachable'),
        ('no-such-name.lab', 'unreachable'),
        ('always-500.lab:8225', 'unreachable'),
    ],
)
def test_a_registry_that_proves_nothing(lab: Lab, registry: str, outcome: str) -> None:
    host = lab.hosts['lab-forky']
    login = {'registry': f'http://{registry}' if registry.startswith('always') else registry, **ACME}
    result = one(lab, host, login)
    assert result['failed']
    assert 'when_reachable' in result['msg']
    assert not host.exists(CONFIG)
    run = auth(lab, login, verify='when_reachable', how={'limit': host.name}).ok()
    assert run.result(action=MODULE)['logins'][0]['verified'] == outcome
    assert 'is written all the same' in run.stdout + run.stderr
    assert config_of(host)['auths'] == {registry: entry('acme', LOGINS['acme'])}
    host.run(['rm', CONFIG])
    assert one(lab, host, login, verify='never')['logins'][0]['verified'] == 'not_checked'


def test_through_a_proxy_and_by_a_ca_of_ones_own(lab: Lab) -> None:
    host = lab.hosts['lab-bookworm']
    started = lab.mark()
    assert one(lab, host, {'registry': TOKEN, **ACME}, proxy='http://proxy.lab:3128')['changed']
    assert {'registry-token.lab:8302', 'tokens.lab:8303'} <= {line['path'] for line in lab.access_log('proxy', started)}
    host.run('cp /usr/local/share/ca-certificates/quickpull-lab.crt /root/own.crt && rm -rf /etc/ssl/certs/*')
    try:
        told = one(lab, host, {'registry': TOKEN, **ACME})['msg']
        assert 'certificate is not accepted' in told
        own = f'/etc/docker/certs.d/{TOKEN}'
        assert f'{own}/ca.crt on the host' in told
        host.run(f'mkdir -p {own} && cp /root/own.crt {own}/ca.crt')
        assert one(lab, host, {'registry': TOKEN, **ACME}, config_path='/root/of/config.json')['changed'], 'that is a way out'
        host.run(f'rm -r {own} /root/of')
        assert one(lab, host, {'registry': TOKEN, **ACME}, ca_path='/root/own.crt')['logins'][0]['verified'] == 'verified'
        assert one(lab, host, {'registry': BASIC, **ACME, 'insecure': True})['logins'][0]['verified'] == 'verified'
    finally:
        host.reset()
        host.load_busybox()


def test_docker_hub_and_what_it_still_allows(lab: Lab) -> None:
    login = lab.facts['hub']['login']
    host = lab.hosts['lab-bookworm']
    hub = {'username': login['user'], 'password': login['password']}
    for spelling in ('docker.io', 'index.docker.io', 'registry-1.docker.io', 'https://index.docker.io/v1/'):
        result = one(lab, host, {'registry': spelling, **hub}, verify='when_reachable')
        assert result['logins'][0]['key'] == HUB_KEY
        assert result['changed'] is (spelling == 'docker.io')
        assert result['rate_limit'] == {'limit': 100, 'remaining': 99, 'window_seconds': 21600, 'source': ''}
    assert list(config_of(host)['auths']) == [HUB_KEY]
    assert one(lab, host, {'registry': 'docker.io', **hub}, verify='when_reachable', format='containers')['logins'][0]['key'] == 'docker.io'
    assert one(lab, host, {'registry': 'docker.io', 'username': hub['username'], 'password': 'wrong'}, verify='when_reachable')['failed']
    assert one(lab, host, rate_limit='always')['rate_limit']['remaining'] == 99


# The file

def test_a_broken_file_is_refused_and_left(lab: Lab) -> None:
    host = lab.hosts['lab-bookworm']
    for text in ('{"auths": {', '[]', '{"auths": []}', '{"auths": {}} // no', '{"auths": {}, "auths": {}}', '\ufeff{}', 'null'):
        host.put(CONFIG, text, 0o600)
        result = one(lab, host, {'registry': BASIC, **ACME})
        assert result['failed'], text
        assert CONFIG in result['msg'], text
        assert host.get(CONFIG) == text


def test_everything_else_in_the_file_survives(lab: Lab) -> None:
    host = lab.hosts['lab-bookworm']
    foreign: dict[str, t.Any] = {
        'HttpHeaders': {'X-Team': 'infra'},
        'auths': {'quay.io': entry('a', 'b'), f'https://{BASIC}/v1/': entry('old', 'old'), 'ghcr.io': {'identitytoken': 'tok'}, 'odd.example': None},
        'detachKeys': 'ctrl-e,e',
        'credHelpers': {'gcr.io': 'gcloud'},
        'proxies': {'default': {'httpProxy': 'http://p:1'}, 'tcp://remote': {'noProxy': '*'}},
        'plugins': {'x': {'n': 1.0}},
    }
    text = json.dumps(foreign, indent='\t')
    host.put('/srv/real.json', text, 0o644)
    host.run('mkdir -p -m 755 /root/.docker && ln -s /srv/real.json /root/.docker/config.json')
    result = one(lab, host, {'registry': BASIC, **ACME}, how={'diff': True})
    assert result['changed']
    assert host.out(['readlink', CONFIG]) == '/srv/real.json'
    assert mode(host, '/srv/real.json') == '600 root'
    assert mode(host, '/root/.docker') == '700 root'
    expected = {**foreign, 'auths': {key: value for key, value in foreign['auths'].items() if '/v1/' not in key}}
    expected['auths'][BASIC] = entry('acme', LOGINS['acme'])
    after = host.get(CONFIG)
    assert json.loads(after) == expected
    assert list(json.loads(after)) == list(foreign)
    assert '\n\t"HttpHeaders": {\n\t\t"X-Team"' in after
    assert one(lab, host, {'registry': BASIC, **ACME})['changed'] is False
    alone = one(lab, host, {'registry': BASIC, **ACME}, exclusive=True)
    assert alone['changed']
    assert list(config_of(host)['auths']) == [BASIC]
    assert config_of(host)['credHelpers'] == foreign['credHelpers']


def test_a_file_that_others_can_read_is_closed(lab: Lab) -> None:
    host = lab.hosts['lab-bookworm']
    host.put(CONFIG, json.dumps({'auths': {BASIC: entry('acme', LOGINS['acme'])}}), 0o644)
    assert one(lab, host, {'registry': BASIC, **ACME})['changed']
    assert mode(host, CONFIG) == '600 root'
    assert not one(lab, host, {'registry': BASIC, **ACME})['changed']


def test_proxies_for_builds_and_containers(lab: Lab) -> None:
    given = {'client_proxies': {'https_proxy': 'http://proxy.lab:3128', 'no_proxy': ['.lab', '10.0.0.0/8']}}
    assert [auth(lab, **given).changed() for dummy in range(2)] == [3, 0]
    for host in lab.hosts.values():
        assert host.out('docker run --rm busybox env | grep -i ^https_proxy | sort').splitlines() == [
            'HTTPS_PROXY=http://proxy.lab:3128', 'https_proxy=http://proxy.lab:3128',
        ]
    assert auth(lab, client_proxies={}).changed() == 3
    assert config_of(lab.hosts['lab-forky']) == {}


def test_proxies_and_exclusive_without_logins_leave_logins_alone(lab: Lab) -> None:
    """With the logins for Podman alone, the proxies go where Docker's client looks."""
    host = lab.hosts[PODMAN_HOST]
    login = {'registry': BASIC, **ACME}
    one(lab, host, login)
    assert not one(lab, host, exclusive=True)['changed']
    assert one(lab, host, exclusive=True, client_proxies={'https_proxy': 'http://proxy.lab:3128'})['changed']
    assert config_of(host) == {'auths': {BASIC: entry('acme', LOGINS['acme'])}, 'proxies': {'default': {'httpsProxy': 'http://proxy.lab:3128'}}}
    one(lab, host, {**login, 'format': 'containers'}, client_proxies={'https_proxy': ''})
    assert config_of(host) == {'auths': {BASIC: entry('acme', LOGINS['acme'])}}
    assert list(config_of(host, AUTH)['auths']) == [BASIC]
    assert one(lab, host, exclusive=True, user='root')['changed']
    assert config_of(host) == {'auths': {}}
    assert list(config_of(host, AUTH)['auths']) == [BASIC]


# Users

def test_the_work_in_a_home_is_the_users(lab: Lab, bob: Host) -> None:
    assert one(lab, bob, {'registry': BASIC, **ACME}, user='bob')['changed']
    assert mode(bob, '/home/bob/.docker/config.json') == '600 bob'
    assert mode(bob, '/home/bob/.docker') == '700 bob'
    assert not bob.exists(CONFIG)
    both = [{'registry': BASIC, **ACME, 'user': 'bob', 'format': 'containers'}, {'registry': TOKEN, **ACME}]
    result = one(lab, bob, *both)
    assert [login['path'] for login in result['logins']] == ['/home/bob/.config/containers/auth.json', CONFIG]
    bob.run(f'su bob -c "mkdir ~/run; XDG_RUNTIME_DIR=~/run skopeo login --get-login {BASIC}"')
    assert 'no user mallory' in one(lab, bob, {'registry': BASIC, **ACME}, user='mallory')['msg']


@pytest.mark.parametrize(
    'trap',
    [
        'mkdir .docker; ln -s /etc/docker/daemon.json .docker/config.json',
        'mkdir .docker; ln -s /etc/shadow .docker/config.json',
        'mkdir .docker; ln /etc/docker/daemon.json .docker/config.json 2>/dev/null || ln -s /etc/docker/daemon.json .docker/config.json',
        'ln -s /etc/docker .docker',
        'ln -s /root .docker',
        'mkdir .docker; mkfifo .docker/config.json',
        'mkdir .docker; ln -s /dev/zero .docker/config.json',
        'mkdir .docker; ln -s config.json .docker/config.json',
        'mkdir -p .docker/config.json',
        'mkdir .docker; ln -s /new-file .docker/config.json',
    ],
)
def test_root_steps_into_no_trap(lab: Lab, bob: Host, trap: str) -> None:
    bob.put('/etc/docker/daemon.json', '{}')
    bob.put('/root/config.json', '{"auths": {}}', 0o600)
    files = '/etc/docker/daemon.json /root/config.json'
    watched = f'stat -c "%n %a %u %g %i %s %Y" {files} /etc/docker /etc/shadow /root / && cat {files}'
    bob.run(['su', 'bob', '-c', f'cd; {trap}'])
    before = bob.out(watched)
    login = {'auths': [{'registry': BASIC, **ACME}]}
    for result in several(lab, bob, {**login, 'user': 'bob'}, {**login, 'config_path': '/home/bob/.docker/config.json'}):
        assert result['failed']
        assert '/home/bob/.docker' in result['msg'] or '/etc/docker' in result['msg'], result['msg']
    assert bob.out(watched) == before
    assert not bob.exists('/new-file')


def test_root_refuses_a_path_in_other_hands(lab: Lab, bob: Host) -> None:
    result = one(lab, bob, {'registry': BASIC, **ACME}, config_path='/home/bob/.docker/config.json')
    assert 'user: bob' in result['msg']
    assert one(lab, bob, {'registry': BASIC, **ACME}, config_path='/home/bob/.docker/config.json', user='bob')['changed']
    bob.run('mkdir -p /srv/shared && chmod 777 /srv/shared')
    assert 'can be written by others' in one(lab, bob, {'registry': BASIC, **ACME}, config_path='/srv/shared/config.json')['msg']
    bob.run('chmod 755 /srv/shared')
    assert one(lab, bob, {'registry': BASIC, **ACME}, config_path='/srv/shared/config.json')['changed']


# Credential helpers

HELPER = r"""#!/usr/bin/python3
import json, os, sys
place = os.path.expanduser('~/.helper.json')
kept = json.load(open(place)) if os.path.exists(place) else {}
verb, said = sys.argv[1], sys.stdin.read()
if verb == 'store':
    new = json.loads(said)
    kept[new['ServerURL']] = new
elif said.strip() not in kept:
    sys.exit(print('credentials not found in native keychain') or 1)
elif verb == 'erase':
    del kept[said.strip()]
else:
    print(json.dumps(kept[said.strip()]))
with open(place, 'w') as out:
    json.dump(kept, out)
"""


@pytest.fixture
def helper(bob: Host) -> Host:
    bob.put('/usr/local/bin/docker-credential-lab', HELPER, 0o755)
    bob.run('rm -f /root/.helper.json')
    return bob


@pytest.mark.parametrize('user', ['root', 'bob'])
def test_a_helper_keeps_the_secret(lab: Lab, helper: Host, user: str) -> None:
    home = '/root' if user == 'root' else '/home/bob'
    helper.run(['su', user, '-c', f'mkdir -p ~/.docker; echo \'{{"credHelpers": {{"{BASIC}": "lab"}}}}\' > ~/.docker/config.json'])
    login = {'registry': BASIC, **ACME}
    said, done, again = (one(lab, helper, login, user=user, how={'check': check}) for check in (True, False, False))
    assert [each['changed'] for each in (said, done, again)] == [True, True, False]
    assert done['logins'][0]['helper'] == 'lab'
    assert config_of(helper, f'{home}/.docker/config.json') == {'credHelpers': {BASIC: 'lab'}, 'auths': {BASIC: {}}}
    assert config_of(helper, f'{home}/.helper.json')[BASIC]['Secret'] == LOGINS['acme']
    assert mode(helper, f'{home}/.helper.json').endswith(user)
    helper.run(['su', user, '-c', f'docker login {BASIC} </dev/null' if user == 'root' else 'true'])
    assert one(lab, helper, {**login, 'state': 'absent'}, user=user)['changed']
    assert config_of(helper, f'{home}/.helper.json') == {}
    assert not one(lab, helper, {**login, 'state': 'absent'}, user=user)['changed']


def test_a_login_moves_into_a_helper_and_out_again(lab: Lab, helper: Host) -> None:
    login = {'registry': BASIC, **ACME}
    one(lab, helper, login)
    assert one(lab, helper, {**login, 'helper': 'lab'})['changed']
    assert config_of(helper)['auths'] == {BASIC: {}}
    helper.run(f'docker pull {BASIC}/acme/busybox:1')
    assert not one(lab, helper, login)['changed']
    assert config_of(helper, '/root/.helper.json')[BASIC]['Secret'] == LOGINS['acme']
    said, done, again = (one(lab, helper, {**login, 'helper': ''}, how={'check': check, 'diff': True}) for check in (True, False, False))
    assert [each['changed'] for each in (said, done, again)] == [True, True, False]
    assert said['diff'] == done['diff']
    (diff,) = done['diff']
    assert diff['before'] == f'{BASIC}: acme, kept by the helper lab\n{BASIC} goes to the helper lab\n'
    assert diff['after'] == f'{BASIC}: acme by a password\n'
    assert config_of(helper)['auths'] == {BASIC: entry('acme', LOGINS['acme'])}
    assert config_of(helper, '/root/.helper.json') == {}
    helper.run(f'docker pull {BASIC}/acme/busybox:1')


@pytest.mark.parametrize(
    'program, told',
    [
        (None, 'was not found'),
        ('#!/bin/sh\necho "no keychain: $1"; exit 3\n', 'failed to get'),
        ('#!/bin/sh\n[ $1 = get ] && { echo credentials not found in native keychain; exit 1; }; cat >/dev/null; exit 0\n', 'gives another one back'),
        ('#!/bin/sh\n[ $1 = get ] && { echo credentials not found in native keychain; exit 1; }; cat; exit 4\n', 'failed to store'),
        ('not a program', 'cannot be run'),
    ],
)
def test_a_helper_that_is_absent_or_fails(lab: Lab, bob: Host, program: str | None, told: str) -> None:
    if program:
        bob.put('/usr/local/bin/docker-credential-bad', program, 0o755)
    text = '{"credsStore": "bad"}'
    bob.put(CONFIG, text, 0o600)
    run = auth(lab, {'registry': BASIC, **ACME}, how={'limit': bob.name, 'arguments': ['-vvvv']})
    result = result_of(run, bob)
    assert result['failed']
    assert told in result['msg']
    assert 'docker-credential-bad' in result['msg']
    assert f'credsStore in {CONFIG}' in result['msg'] or 'another one back' in result['msg']
    assert bob.get(CONFIG) == text
    assert LOGINS['acme'] not in run.stdout + run.stderr


def test_what_was_written_before_a_helper_failed_is_told(lab: Lab, bob: Host) -> None:
    bob.put('/usr/local/bin/docker-credential-bad', '#!/bin/sh\ncat >/dev/null\n[ $1 = get ] && echo credentials not found in native keychain\nexit 1\n', 0o755)
    result = one(lab, bob, {'registry': BASIC, **ACME}, {'registry': BASIC, **ACME, 'user': 'bob', 'helper': 'bad'})
    assert '/home/bob/.docker/config.json was not written' in result['msg']
    assert f'Written before that: {CONFIG}.' in result['msg']
    assert not bob.exists('/home/bob/.docker/config.json')
    assert config_of(bob)['auths'] == {BASIC: entry('acme', LOGINS['acme'])}


KEY = """
%no-protection
Key-Type: eddsa
Key-Curve: ed25519
Subkey-Type: ecdh
Subkey-Curve: cv25519
Name-Real: Lab
Name-Email: lab@example.test
Expire-Date: 0
%commit
"""


def test_pass_as_a_helper(lab: Lab) -> None:
    """A helper that people use, and Docker's own client beside: either reads what the other one left."""
    host = lab.hosts['lab-forky']
    host.run(f'rm -rf /root/.gnupg /root/.password-store; ln -s {HELPERS}/docker-credential-pass /usr/local/bin/')
    uninitialised = one(lab, host, {'registry': BASIC, **ACME, 'helper': 'pass'})
    assert f'docker-credential-pass, named by auths[0].helper, failed to store the login of {BASIC}' in uninitialised['msg']
    assert 'pass init' in uninitialised['msg']
    assert '..' not in uninitialised['msg']
    assert 'write pass' in one(lab, host, {'registry': BASIC, **ACME, 'helper': 'docker-credential-pass'})['msg']
    host.run('gpg --batch --quiet --gen-key && pass init lab@example.test', stdin=KEY)
    login = {'registry': BASIC, **ACME, 'helper': 'pass'}
    assert one(lab, host, login)['changed']
    assert config_of(host) == {'credHelpers': {BASIC: 'pass'}, 'auths': {BASIC: {}}}
    assert not one(lab, host, login)['changed']
    host.run(f'docker tag busybox {BASIC}/acme/busybox:1 && docker push -q {BASIC}/acme/busybox:1')
    host.run(f'docker logout {BASIC}')
    assert one(lab, host, login)['changed']
    host.run(f'docker logout {BASIC} && docker login -u acme --password-stdin {BASIC}', stdin=LOGINS['acme'])
    assert not one(lab, host, login)['changed']
    assert one(lab, host, {**login, 'state': 'absent'})['changed']
    assert BASIC not in json.loads(host.out('docker-credential-pass list') or '{}')
    assert one(lab, host, login)['changed']
    assert one(lab, host, {**login, 'helper': ''})['changed']
    assert BASIC not in json.loads(host.out('docker-credential-pass list') or '{}')
    assert config_of(host)['auths'] == {BASIC: entry('acme', LOGINS['acme'])}
    assert one(lab, host, {**login, 'state': 'absent'})['changed']
    assert not one(lab, host, {**login, 'state': 'absent'})['changed']


def test_registries_of_the_lab_are_what_they_are_meant_to_be(lab: Lab) -> None:
    """Otherwise much above would prove nothing."""
    host = lab.hosts[PODMAN_HOST]
    for registry, status in ((BASIC, '401'), (TOKEN, '401'), (OPEN, '200'), (ANYBODY, '401')):
        assert host.out(f'curl -s -o /dev/null -w "%{{http_code}}" https://{registry}/v2/') == status
    assert registries.OAUTH_USER in TOKEN_LOGINS
