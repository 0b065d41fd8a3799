# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/audit.yml on real hosts: it finds what has drifted, all in one run, and changes nothing."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import typing as t
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from lab.api import Host, Lab, PlaybookRun
from lab.registries import BASIC, LOGINS, OAUTH_USER, TOKEN, TOKEN_LOGINS

ROOT = Path(__file__).resolve().parents[2]
BOOKWORM, TRIXIE, FORKY, GONE = 'lab-bookworm', 'lab-trixie', 'lab-forky', 'lab-gone'
DAEMON_JSON = '/etc/docker/daemon.json'
DROPIN = '/etc/containers/registries.conf.d/500-quickpull-docker.io.conf'
CONFIG = '/root/.docker/config.json'
ACME = {'username': 'acme', 'password': LOGINS['acme']}
# What a host has there, with modes and times to the nanosecond: of the inode as well, which even a chmod to the same mode would show.
TREE = (
    'cd / && find etc home root var/lib/quickpull.registry -path root/.ansible -prune -o -path root -prune -o -printf "%p %y %m %U:%G %s %T@ %C@ %l\\n"'
    ' | sort; find etc home root var/lib/quickpull.registry -path root/.ansible -prune -o -type f -print0 | sort -z | xargs -0 sha256sum'
)
NEW_PASSWORD = """
import crypt, sys
path = '/etc/registry-htpasswd'
lines = open(path, encoding='utf-8').read().splitlines()
new = 'acme:' + crypt.crypt('another-password', crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))
open(path, 'w', encoding='utf-8').write(''.join((new if line.startswith('acme:') else line) + chr(10) for line in lines))
"""


def audit(lab: Lab, *, extra_vars: t.Mapping[str, t.Any] | None = None, **more: t.Any) -> PlaybookRun:
    return lab.playbook('playbooks/audit.yml', extra_vars={**variables(lab), **(extra_vars or {})}, **more)


def variables(lab: Lab) -> dict[str, t.Any]:
    oauth = {'username': OAUTH_USER, 'password': TOKEN_LOGINS[OAUTH_USER]}
    logins = {BOOKWORM: {'registry': TOKEN, **oauth}, TRIXIE: {'registry': BASIC, **ACME}, FORKY: {'registry': TOKEN, **ACME}}
    return {
        'registry_access_mirrors': {'docker.io': lab.urls('good-a', 'good-b', 'html')},
        'registry_access_probe_deadline': 6,
        'lab_logins': logins,
        'registry_access_auths': '{{ [lab_logins[inventory_hostname]] }}',
    }


# Only a restart brings it into force.
SETTINGS = {'registry_access_docker_settings': "{{ {'log-driver': 'local'} if inventory_hostname == '%s' else {} }}" % TRIXIE}


def services(lab: Lab, *command: str, text: str = '') -> None:
    """Run something where the registries and mirrors are."""
    subprocess.run(['docker', 'exec', '-i', lab.facts['services']['container'], *command], input=text.encode(), check=True)


@contextlib.contextmanager
def mirror_is_dead(lab: Lab, name: str, client: Host) -> t.Iterator[None]:
    """For one of its clients."""
    rule = ['INPUT', '-s', client.address, '-p', 'tcp', '--dport', str(lab.mirror(name).port), '-j', 'REJECT', '--reject-with', 'tcp-reset']
    services(lab, 'iptables', '-w', '-I', *rule)
    try:
        yield
    finally:
        services(lab, 'iptables', '-w', '-D', *rule)


@contextlib.contextmanager
def password_is_another(lab: Lab) -> t.Iterator[None]:
    services(lab, 'cp', '-p', '/etc/registry-htpasswd', '/etc/registry-htpasswd.before')
    services(lab, 'python3', '-W', 'ignore', '-', text=NEW_PASSWORD)
    try:
        yield
    finally:
        services(lab, 'sh', '-c', 'cat /etc/registry-htpasswd.before > /etc/registry-htpasswd; rm /etc/registry-htpasswd.before')


def edit(host: Host, path: str, change: t.Callable[[dict[str, t.Any]], None]) -> None:
    config = json.loads(host.get(path))
    change(config)
    host.put(path, json.dumps(config, indent=2))


@dataclass(frozen=True)
class Story:
    """What happened, in order."""

    clean: PlaybookRun
    before_clean: dict[str, str]
    after_clean: dict[str, str]
    in_force: dict[str, list[str]]
    dead: str
    drifted: PlaybookRun
    before: dict[str, str]
    after: dict[str, str]
    report: dict[str, t.Any]
    table: str
    page: str
    markdown: str
    files: list[str]

    def findings(self, host: str, kind: str) -> list[dict[str, t.Any]]:
        return [one for one in self.report['hosts'][host]['findings'] if one['kind'] == kind]


def trees(lab: Lab) -> dict[str, str]:
    return lab.everywhere(lambda host: host.out(TREE))


def spoil(lab: Lab) -> None:
    """Another thing on each host, as somebody would do it by hand."""
    bookworm, trixie, forky = (lab.hosts[name] for name in (BOOKWORM, TRIXIE, FORKY))
    edit(bookworm, DAEMON_JSON, lambda config: config['registry-mirrors'].pop())
    edit(bookworm, CONFIG, lambda config: config['auths'][TOKEN].update(identitytoken='expired'))
    bookworm.run(f'echo "[[registry]]\nlocation = \\"docker.io\\"" > {DROPIN}')
    restart = {**variables(lab), **SETTINGS, 'registry_access_restart': 'never'}
    lab.playbook('playbooks/site.yml', limit=TRIXIE, tags='settings', extra_vars=restart).ok()
    edit(trixie, DAEMON_JSON, lambda config: config.update(labels=['rack=7']))
    edit(forky, DAEMON_JSON, lambda config: config['registry-mirrors'].append('http://somebodys.lab:5000'))
    forky.run(['rm', DROPIN])
    edit(forky, CONFIG, lambda config: config['auths'].clear())


@pytest.fixture(scope='module')
def story(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Story]:
    lab.everywhere(Host.reset)
    folder = tmp_path_factory.mktemp('audit')
    gone = folder / 'gone.ini'
    gone.write_text(f'{GONE} ansible_host=127.0.0.1 ansible_port=9\n')
    lab.playbook('playbooks/site.yml', extra_vars=variables(lab)).ok()
    lab.everywhere(lambda host: host.put('/home/somebodys', 'own\n'))
    before_clean = trees(lab)
    clean = audit(lab)
    after_clean = trees(lab)
    in_force = lab.everywhere(Host.mirrors_in_force)
    [dead] = [mirror.name for mirror in lab.expected if f'{mirror.url}/' == in_force[BOOKWORM][0]]
    spoil(lab)
    with mirror_is_dead(lab, dead, lab.hosts[BOOKWORM]), password_is_another(lab):
        before = trees(lab)
        how: dict[str, t.Any] = {'arguments': ['-vvv', '-i', str(gone)], 'diff': True}
        more = {**SETTINGS, 'registry_access_report_path': str(folder / 'audit.json'), 'registry_access_probe_scope': 'host'}
        drifted = audit(lab, extra_vars=more, **how)
        after = trees(lab)
    report = json.loads((folder / 'audit.json').read_text())
    table = ' '.join((folder / 'audit.txt').read_text().split())
    page, markdown = ((folder / f'audit.{ending}').read_text(encoding='utf-8') for ending in ('html', 'md'))
    files = sorted(path.name for path in folder.glob('audit.*'))
    yield Story(clean, before_clean, after_clean, in_force, dead, drifted, before, after, report, table, page, markdown, files)
    lab.everywhere(Host.reset)


def test_right_after_site_there_is_no_drift(story: Story) -> None:
    assert story.clean.rc == 0, story.clean.stdout[-3000:]
    assert story.clean.changed() == 0
    assert 'No drift on 3 hosts.' in story.clean.stdout
    assert 'told, and no drift' in story.clean.stdout, 'a mirror that nobody uses is told all the same'


def test_nothing_changes_not_even_a_time(story: Story) -> None:
    assert 'var/lib/quickpull.registry/' in story.before_clean[TRIXIE]
    assert DAEMON_JSON.lstrip('/') in story.before_clean[TRIXIE]
    assert story.after_clean == story.before_clean
    assert story.after == story.before


def test_daemons_are_left_as_they_are(lab: Lab, story: Story) -> None:
    assert lab.everywhere(Host.mirrors_in_force) == story.in_force


def test_drift_is_an_exit_code(story: Story) -> None:
    assert story.drifted.rc != 0
    assert {name: stats['failures'] for name, stats in story.drifted.stats.items()} == dict.fromkeys((BOOKWORM, TRIXIE, FORKY, GONE), 1)


def test_files_that_somebody_edited_or_removed(story: Story) -> None:
    last = story.in_force[BOOKWORM][-1].rstrip('/')
    config, replaced = story.findings(BOOKWORM, 'file')[0], story.findings(BOOKWORM, 'file')[-1]
    assert (config['engine'], config['where']) == ('docker', DAEMON_JSON)
    assert 'registry-mirrors' in config['sentence']
    assert last in config['sentence']
    assert (replaced['engine'], replaced['where']) == ('podman', DROPIN)
    assert 'replaced by somebody' in replaced['sentence']
    assert f'{DROPIN} is not there.' in [one['sentence'] for one in story.findings(FORKY, 'file')]


def test_daemons_that_have_not_taken_what_their_files_say(story: Story) -> None:
    told = {name: [(one['engine'], one['where'], one['sentence']) for one in story.findings(name, 'daemon')] for name in (BOOKWORM, TRIXIE, FORKY)}
    in_file = f'{DAEMON_JSON}: '
    assert told[BOOKWORM] == [], 'that the file was edited is told of the file'
    assert {one[:2] for one in told[TRIXIE] + told[FORKY]} == {('docker', DAEMON_JSON)}
    foreign, pending = (sentence.removeprefix(in_file) for *_where, sentence in told[TRIXIE])
    assert foreign.startswith('labels was changed by somebody and is not in force; ')
    assert pending == 'log-driver is not in force yet, and is read only when the daemon starts.'
    assert [one[2].removeprefix(in_file) for one in told[FORKY]] == ['registry-mirrors is not in force yet; a reload is enough.']
    # What somebody added beside ours is no drift of the file.
    assert not any(one['where'] == DAEMON_JSON for name in (TRIXIE, FORKY) for one in story.findings(name, 'file'))


def test_logins_that_are_refused_or_expired_or_gone(story: Story) -> None:
    (refused,), (expired,), (gone,) = (story.findings(name, 'login') for name in (TRIXIE, BOOKWORM, FORKY))
    assert (refused['where'], refused['sentence']) == (BASIC, f'{BASIC} refuses the login of acme.')
    assert expired['where'] == gone['where'] == TOKEN
    assert expired['sentence'].endswith('is another one than is wanted, or one that expired.')
    assert gone['sentence'] == f'The login of acme at {TOKEN} for root ({CONFIG}) is not there.'


def test_a_dead_mirror_counts_where_it_is_used(lab: Lab, story: Story) -> None:
    (dead,) = story.findings(BOOKWORM, 'candidate')
    assert (dead['where'], dead['counts']) == (lab.mirror(story.dead).url, True)
    assert 'docker.io, does not serve: unreachable at connect' in dead['sentence']
    assert story.findings(TRIXIE, 'candidate') == story.findings(FORKY, 'candidate') == []
    for name in (BOOKWORM, TRIXIE, FORKY):
        (spare,) = story.findings(name, 'spare')
        assert (spare['where'], spare['counts']) == (lab.mirror('html').url, False)
        assert spare['sentence'] not in story.report['hosts'][name]['drift']


def test_a_host_that_cannot_be_reached_is_told_and_stops_no_other(story: Story) -> None:
    (gone,) = story.findings(GONE, 'unreachable')
    assert gone['sentence'].startswith('It could not be reached: ')
    assert story.report['hosts'][GONE]['skipped'] == 'not reached'
    assert not any(story.findings(name, 'unreachable') for name in (BOOKWORM, TRIXIE, FORKY))
    assert [task.host for task in story.drifted.of(action='ping') if task.status == 'ok'] != []


def test_the_report_and_the_data_say_the_same(story: Story) -> None:
    assert story.report['summary'] == {**story.report['summary'], 'hosts': 4, 'hosts_drifted': 4, 'hosts_unseen': 1, 'hosts_without_drift': 0}
    for host, facts in story.report['hosts'].items():
        assert facts['drift'] == list(dict.fromkeys(one['sentence'] for one in facts['findings'] if one['counts'])), host
        assert facts['applied'] == ''
        for sentence in facts['drift']:
            assert ' '.join(sentence.split()) in story.table
    assert 'Drift on 4 of 4 hosts; 1 host not looked at to the end.' in story.table


def test_the_page_and_markdown_say_it_too(story: Story) -> None:
    assert story.files == ['audit.html', 'audit.json', 'audit.md', 'audit.txt']
    jsonschema.validate(story.report, json.loads((ROOT / 'docs' / 'report.schema.json').read_text()), jsonschema.Draft202012Validator)
    (data,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', story.page, re.DOTALL)
    assert {host['name']: host.get('drift') for host in json.loads(data)['hosts']} == {name: host['drift'] for name, host in story.report['hosts'].items()}
    assert '### Drift' in story.markdown
    assert f'{BASIC} refuses the login of acme' in story.markdown.replace('\\', '')
    assert all(mirror['history'] for probe in story.report['probes'] for mirror in probe['mirrors'])


def test_no_password_is_shown(story: Story) -> None:
    shown = [story.clean.stdout, story.clean.stderr, story.drifted.stdout, story.drifted.stderr]
    shown += [json.dumps(story.report), story.table, story.page, story.markdown]
    assert 'registry_auth' in story.drifted.stdout
    for secret in (LOGINS['acme'], TOKEN_LOGINS[OAUTH_USER]):
        assert not any(secret in text for text in shown)


def test_drift_may_be_told_alone(lab: Lab, story: Story) -> None:
    run = audit(lab, limit=BOOKWORM, extra_vars={'registry_access_audit_fails': False, 'registry_access_engines': ['docker']})
    assert run.rc == 0
    assert 'Drift on 1 of 1 host.' in run.stdout


@pytest.mark.parametrize('hosts, told', [('nobody', 'No host was looked at.'), (GONE, 'Drift on 1 of 1 host; 1 host not looked at to the end.')])
@pytest.mark.parametrize('kinds', [['file', 'daemon', 'login', 'candidate', 'unreachable'], ['daemon']])
def test_where_no_host_can_be_looked_at_that_is_no_success(lab: Lab, tmp_path: Path, hosts: str, told: str, kinds: list[str]) -> None:
    inventory = tmp_path / 'gone.ini'
    inventory.write_text(f'{GONE} ansible_host=127.0.0.1 ansible_port=9\n')
    run = lab.playbook('playbooks/audit.yml', inventory=inventory, extra_vars={'registry_access_hosts': hosts, 'registry_access_audit_kinds': kinds})
    assert run.rc != 0
    assert told in run.stdout
