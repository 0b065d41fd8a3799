# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks that end the playbooks write each form of the report, on a controller, with what mirrors said as it is."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SAID = '{{ lookup("pipe", "touch owned") }} {% raw %} {"a": 1}'


def play(folder: Path, *arguments: str, end: str = 'report') -> subprocess.CompletedProcess[str]:
    results = [{'url': 'http://a.lab', 'ok': False, 'state': 'server_error', 'failed_at': 'ping', 'reason': SAID, 'latency_ms': None, 'throughput_bps': None}]
    probes = {'key': {'of': 'docker.io', 'site': '', 'elapsed': 1, 'results': results}}
    # As the probe leaves it: a result, in which nothing is a template.
    (folder / 'probes.json').write_text(json.dumps(probes), encoding='utf-8')
    read = {'name': 'Probe', 'ansible.builtin.set_fact': {'__registry_access_probes': "{{ lookup('ansible.builtin.file', 'probes.json') | from_json }}"}}
    report = {'name': 'Report', 'ansible.builtin.import_tasks': str(ROOT / 'playbooks' / 'tasks' / f'{end}.yml')}
    written = [{'hosts': 'localhost', 'connection': 'local', 'gather_facts': False, 'tasks': [read, report]}]
    (folder / 'play.yml').write_text(yaml.safe_dump(written), encoding='utf-8')
    settings = {'ANSIBLE_LOCALHOST_WARNING': 'false', 'ANSIBLE_NOCOLOR': 'true', 'ANSIBLE_PYTHON_INTERPRETER': sys.executable}
    environment = {**os.environ, **settings, 'PWD': str(folder)}
    command = [sys.executable, '-m', 'ansible', 'playbook', '-i', 'localhost,', 'play.yml', *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_each_run_writes_all_forms_and_carries_history_on(tmp_path: Path) -> None:
    """In check mode too, as it always was: the report says what was seen, and is no change to a host."""
    (tmp_path / 'out').mkdir()
    for number, arguments in enumerate([(), ('--check', '--diff', '-v')], start=1):
        ran = play(tmp_path, '-e', 'registry_access_report_path=out/mirrors.json', *arguments)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert 'changed=0' in ran.stdout
        assert '<!doctype' not in ran.stdout
        report = json.loads((tmp_path / 'out' / 'mirrors.json').read_text(encoding='utf-8'))
        mirror = report['probes'][0]['mirrors'][0]
        assert mirror['reason'] == SAID
        assert report['check_mode'] is ('--check' in arguments)
        assert ('Check mode: nothing was changed' in ran.stdout) is ('--check' in arguments)
        assert len(mirror['history']) == number
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['mirrors.html', 'mirrors.json', 'mirrors.md', 'mirrors.txt']
    assert 'touch owned' in (tmp_path / 'out' / 'mirrors.html').read_text(encoding='utf-8')
    assert not (tmp_path / 'owned').exists()


def audit(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The end of an audit, which found that the mirror in use does not serve."""
    docker = {'registry_mirrors': ['http://a.lab/'], 'version': '28.5.2'}
    left = {'__registry_access_engines': {'engines': {'docker': docker}}, '__registry_access_probe_keys': {'docker.io': 'key'}}
    given = {'registry_access_audit_kinds': 'candidate', 'registry_access_audit_fails': False, '__registry_access_audit': {'done': True}, **left}
    return play(folder, '-e', json.dumps(given), *arguments, end='audit_report')


@pytest.mark.parametrize('path', ['mirrors.json', 'mirrors.html'])
def test_an_audit_writes_all_forms_and_loses_no_history(tmp_path: Path, path: str) -> None:
    given = ('-e', f'registry_access_report_path={path}')
    for ran in (play(tmp_path, *given), audit(tmp_path, *given, '--diff', '-v')):
        assert ran.returncode == 0, ran.stdout + ran.stderr
    assert 'changed=0' in ran.stdout
    assert '<!doctype' not in ran.stdout
    texts = {ending: (tmp_path / f'mirrors.{ending}').read_text(encoding='utf-8') for ending in ('json', 'html', 'md', 'txt')}
    report = json.loads(texts['json'])
    assert report['check_mode'], 'the audit is in check mode, whatever the command line says'
    sentence = report['hosts']['localhost']['drift'][0]
    assert sentence.startswith('http://a.lab, which Docker uses for docker.io, does not serve: server_error at ping.')
    assert SAID in sentence
    (data,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', texts['html'], re.DOTALL)
    assert [host['drift'][0] for host in json.loads(data)['hosts']] == [sentence]
    assert '### Drift' in texts['md']
    # The text is what was printed.
    (printed,) = re.findall(r'TASK \[Print what has drifted\].*?=> (\{.*?\n\})', ran.stdout, re.DOTALL)
    assert '\n'.join(json.loads(printed)['msg']) + '\n' == texts['txt']
    ran = play(tmp_path, *given)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report = json.loads((tmp_path / 'mirrors.json').read_text(encoding='utf-8'))
    assert len(report['probes'][0]['mirrors'][0]['history']) == 3
    assert 'findings' not in report['hosts'].get('localhost', {})
    assert not (tmp_path / 'owned').exists()


def test_a_report_keeps_the_mode_that_somebody_gave_it(tmp_path: Path) -> None:
    given = ('-e', 'registry_access_report_path=mirrors.json')
    former = os.umask(0o077)
    try:
        play(tmp_path, *given)
        paths = {ending: tmp_path / f'mirrors.{ending}' for ending in ('json', 'html', 'md', 'txt')}
        assert {stat.S_IMODE(path.stat().st_mode) for path in paths.values()} == {0o644}
        paths['json'].chmod(0o600)
        paths['html'].chmod(0o640)
        for run in (play, audit):
            ran = run(tmp_path, *given)
            assert ran.returncode == 0, ran.stdout + ran.stderr
            assert {ending: oct(stat.S_IMODE(path.stat().st_mode)) for ending, path in paths.items()} == {
                'json': '0o600', 'html': '0o640', 'md': '0o644', 'txt': '0o644',
            }  # fmt: skip
    finally:
        os.umask(former)


def test_without_a_path_nothing_is_written(tmp_path: Path) -> None:
    ran = play(tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert 'server_error' in ran.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ['play.yml', 'probes.json']


def test_when_it_cannot_be_written_the_reason_is_said_and_not_the_page(tmp_path: Path) -> None:
    ran = play(tmp_path, '-v', '-e', 'registry_access_report_path=nowhere/mirrors.json')
    assert ran.returncode != 0
    assert 'nowhere/mirrors.html' in ran.stdout
    assert 'Destination directory' in ran.stdout
    assert 'doctype' not in ran.stdout + ran.stderr


def test_progress_is_told_when_a_probe_ends(tmp_path: Path) -> None:
    probe = {'name': 'Probe', 'quickpull.registry.registry_mirror_probe': {'mirrors': ['http://127.0.0.1:9'], 'upstream': 'quay.io', 'depth': 'ping'}}
    written = [{'hosts': 'localhost', 'connection': 'local', 'gather_facts': False, 'tasks': [probe]}]
    (tmp_path / 'play.yml').write_text(yaml.safe_dump(written), encoding='utf-8')
    settings = {'ANSIBLE_PYTHON_INTERPRETER': sys.executable, 'ANSIBLE_CALLBACKS_ENABLED': 'quickpull.registry.progress', 'ANSIBLE_NOCOLOR': 'true'}
    command = [sys.executable, '-m', 'ansible', 'playbook', '-i', 'localhost,', 'play.yml']
    ran = subprocess.run(command, env={**os.environ, **settings}, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert '\n  localhost: quay.io http://127.0.0.1:9 unreachable ' in ran.stdout
    assert 'progress' not in ran.stderr, ran.stderr
