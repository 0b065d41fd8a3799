# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import fnmatch
import json
import re
import stat
import typing as t
from pathlib import Path

import jsonschema
import pytest
import yaml
from page import sample

from ansible_collections.quickpull.registry.plugins.module_utils import _access, _drift
from ansible_collections.quickpull.registry.plugins.module_utils._report import SCHEMA_VERSION, as_data
from ansible_collections.quickpull.registry.plugins.plugin_utils import _report_files
from ansible_collections.quickpull.registry.plugins.plugin_utils._report_files import ASSETS, files_of, former, now, paths_of

ROOT = Path(__file__).resolve().parents[4]
SCHEMA: dict[str, t.Any] = json.loads((ROOT / 'docs' / 'report.schema.json').read_text(encoding='utf-8'))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
PROBED = {'probes': [{'upstream': 'docker.io', 'host': 'web1', 'site': '', 'elapsed': 1.5, 'results': [{'url': 'http://a.lab', 'ok': True, 'state': 'ok'}]}]}
# What the role leaves on a host that was worked on, on one that was not reached, and on one that failed.
LEFT = {
    'web1': {
        '__registry_access_engines': {'engines': {'docker': {'version': '28.5.2', 'registry_mirrors': []}}},
        '__registry_access_probes': {'key': {'site': '', 'of': 'docker.io', 'elapsed': 2, 'results': PROBED['probes'][0]['results']}},
        '__registry_access_config': {'plan': {'action': 'reload', 'reasons': ['registry-mirrors changed.']}, 'mirrors': ['http://a.lab']},
        '__registry_access_apply': {'applied': 'reload', 'proof': {'ok': True, 'failures': []}},
    },
    'web2': {},
    'web3': {'__registry_access_engines': {'engines': {'docker': {'version': '20.10'}}}, '__registry_access_config': {'failed': True, 'msg': 'No.'}},
}
# What an audit finds on them, and on a host that only it knows of.
LACKS = '/etc/docker/daemon.json: registry-mirrors lacks http://a.lab.'
FOUND: dict[str, list[dict[str, t.Any]]] = {
    'web1': [
        {'kind': 'file', 'engine': 'docker', 'where': '/etc/docker/daemon.json', 'sentence': LACKS, 'counts': True},
        {'kind': 'spare', 'engine': '', 'where': 'http://b.lab', 'sentence': 'http://b.lab does not serve.', 'counts': False},
    ],
    'web2': [],
    'web4': [{'kind': 'unreachable', 'engine': '', 'where': '', 'sentence': 'It could not be reached: No route to host.', 'counts': True}],
}
AUDITED = _drift.merged(as_data(_access.summary(LEFT), now()), FOUND)


@pytest.mark.parametrize('report', [
    as_data({}, now()), as_data(PROBED, now()), sample.small(), sample.fleet(), sample.fleet(check_mode=True), sample.evil(),
    as_data(_access.summary(LEFT), now()), AUDITED, _drift.merged(sample.small(), FOUND),
])  # fmt: skip
def test_reports_are_as_the_schema_says(report: dict[str, t.Any]) -> None:
    VALIDATOR.check_schema(SCHEMA)
    VALIDATOR.validate(report)


@pytest.mark.parametrize('report', [sample.small(), as_data(_access.summary(LEFT), now()), AUDITED, _drift.merged(sample.small(), FOUND)])
def test_the_schema_knows_every_field_that_there_is(report: dict[str, t.Any]) -> None:
    """A closed copy of it, so that no field is added without a word on what it means."""
    closed = copy.deepcopy(SCHEMA)

    def close(node: t.Any) -> None:
        for one in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            close(one)
        if isinstance(node, dict) and isinstance(node.get('properties'), dict):
            node['additionalProperties'] = False

    close(closed)
    jsonschema.Draft202012Validator(closed).validate(report)
    assert SCHEMA['properties']['schema_version'] == {'const': SCHEMA_VERSION}


@pytest.mark.parametrize('spoil', [
    lambda report: report.pop('generated_at'),
    lambda report: report.update(schema_version=2),
    lambda report: report['hosts']['web1'].pop('drift'),
    lambda report: report['probes'][0]['mirrors'][0].update(latency_ms='5'),
    lambda report: report['probes'][0]['mirrors'][0].update(history=report['probes'][0]['mirrors'][0]['history'] * 9),
])  # fmt: skip
def test_the_schema_refuses_what_is_otherwise(spoil: t.Callable[[dict[str, t.Any]], t.Any]) -> None:
    report = sample.small()
    spoil(report)
    assert not VALIDATOR.is_valid(report)


def test_each_form_has_its_file(tmp_path: Path) -> None:
    written = {Path(one['path']).name: one['content'] for one in files_of(PROBED, str(tmp_path / 'mirrors.json'))}
    assert list(written) == ['mirrors.json', 'mirrors.txt', 'mirrors.md', 'mirrors.html']
    report = json.loads(written['mirrors.json'])
    VALIDATOR.validate(report)
    assert written['mirrors.txt'].startswith('Mirrors of docker.io')
    assert written['mirrors.md'].startswith('## Registry mirrors')
    assert written['mirrors.html'].startswith('<!doctype html>')
    assert all(report['generated_at'] in text for name, text in written.items() if name != 'mirrors.txt')


PATHS = [('r.json', 'r.json'), ('a.b/r', 'a.b/r'), ('r.out', 'r.out'), ('r.html', 'r.json'), ('r.md', 'r.json'), ('r.txt', 'r.json')]


@pytest.mark.parametrize('path, json_path', PATHS)
def test_no_form_is_written_over_another(path: str, json_path: str) -> None:
    paths = paths_of(path)
    assert paths['.json'] == json_path
    assert len(set(paths.values())) == 4


def test_the_file_that_is_there_is_carried_on(tmp_path: Path) -> None:
    path = tmp_path / 'r.json'
    report = as_data(PROBED, '2026-11-28T00:00:00Z')
    point = {'time': report['generated_at'], 'state': 'ok', 'latency_ms': 9, 'throughput_bps': None}
    report['probes'][0]['mirrors'][0]['history'] = [point]
    path.write_text(json.dumps(report), encoding='utf-8')
    told = json.loads(files_of(PROBED, str(path))[0]['content'])
    history = told['probes'][0]['mirrors'][0]['history']
    assert history[0] == point
    assert len(history) == 2


def test_an_audit_is_told_in_all_forms(tmp_path: Path) -> None:
    written = {Path(one['path']).name: one['content'] for one in files_of(_access.summary(LEFT), str(tmp_path / 'audit.html'), FOUND)}
    assert list(written) == ['audit.json', 'audit.txt', 'audit.md', 'audit.html']
    report = json.loads(written['audit.json'])
    VALIDATOR.validate(report)
    assert report['hosts']['web1']['drift'] == [LACKS]
    assert report['hosts']['web1']['findings'] == FOUND['web1']
    assert (report['summary']['hosts_drifted'], report['hosts']['web4']['drift']) == (2, [FOUND['web4'][0]['sentence']])
    assert written['audit.txt'] == _drift.render(FOUND) + '\n', 'as the audit prints it'
    (data,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', written['audit.html'], re.DOTALL)
    assert [host.get('drift') for host in json.loads(data)['hosts'] if host['name'] == 'web1'] == [[LACKS]]
    assert '### Drift' in written['audit.md']


def test_where_an_audit_found_nothing_it_is_an_audit_all_the_same(tmp_path: Path) -> None:
    written = {Path(one['path']).suffix: one['content'] for one in files_of({}, str(tmp_path / 'r.json'), {})}
    assert json.loads(written['.json'])['summary']['hosts_drifted'] == 0
    assert written['.txt'] == 'No host was looked at.\n'


@pytest.mark.parametrize('name', ['r.json', 'r.html'])
def test_an_audit_between_two_runs_loses_no_history(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(data: dict[str, t.Any], hour: int, found: t.Any = None) -> dict[str, t.Any]:
        monkeypatch.setattr(_report_files, 'now', lambda: f'2026-11-28T{hour:02}:00:00Z')
        for one in files_of(data, str(tmp_path / name), found):
            Path(one['path']).write_text(one['content'], encoding='utf-8')
        told: dict[str, t.Any] = json.loads((tmp_path / 'r.json').read_text(encoding='utf-8'))
        return told

    other = {'probes': [{**PROBED['probes'][0], 'upstream': 'quay.io'}]}
    write(other, 1)
    write(PROBED, 2)
    between = write({}, 3, FOUND)
    assert [one['upstream'] for one in between['earlier']] == ['docker.io', 'quay.io']
    write(PROBED, 4, FOUND)  # an audit that probed
    last = write(PROBED, 5)
    assert [point['time'][11:13] for point in last['probes'][0]['mirrors'][0]['history']] == ['02', '04', '05']
    assert [(one['upstream'], len(one['history'])) for one in last['earlier']] == [('quay.io', 1)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ['r.html', 'r.json', 'r.md', 'r.txt']
    assert (tmp_path / 'r.html').read_text(encoding='utf-8').startswith('<!doctype html>')


def test_a_file_keeps_the_mode_that_somebody_gave_it(tmp_path: Path) -> None:
    """A new one can be read by all, whatever the umask: who writes it is often not who reads it."""
    for ending, mode in (('.json', 0o600), ('.html', 0o2640)):
        path = tmp_path / f'r{ending}'
        path.touch()
        path.chmod(mode)
        assert stat.S_IMODE(path.stat().st_mode) == mode
    (tmp_path / 'r.md').mkdir()
    (tmp_path / 'r.txt').symlink_to(tmp_path / 'nowhere')
    modes = {Path(one['path']).suffix: one['mode'] for one in files_of(PROBED, str(tmp_path / 'r.json'))}
    assert modes == {'.json': '0600', '.html': '02640', '.md': '0644', '.txt': '0644'}


def test_a_file_that_cannot_be_read_is_no_error(tmp_path: Path) -> None:
    (tmp_path / 'bytes').write_bytes(b'\xff\xfe\x00{')
    assert [former(str(path)) for path in (tmp_path, tmp_path / 'bytes', tmp_path / 'none', '\x00', '')] == [''] * 5


def test_what_cannot_be_encoded_is_written_all_the_same(tmp_path: Path) -> None:
    said = {'url': '\ud800', 'ok': False, 'state': 'x', 'reason': '\udfff'}
    for one in files_of({'probes': [{'upstream': 'docker.io', 'results': [said]}]}, str(tmp_path / 'r')):
        one['content'].encode('utf-8')


@pytest.mark.parametrize('odd', [float('nan'), '5', 10**400, [1], {}, True], ids=range(6))
def test_one_odd_value_of_one_host_takes_no_form_from_all(tmp_path: Path, odd: t.Any) -> None:
    result = dict.fromkeys(('ok', 'state', 'failed_at', 'reason', 'latency_ms', 'throughput_bps', 'notes', 'warnings'), odd)
    host = {'engine': odd, 'plan': {'action': odd}, 'apply': {'applied': odd, 'failed': odd, 'proof': {'ok': odd, 'containers_before': odd}}, 'skipped': odd}
    data = {'probes': [{'upstream': odd, 'host': odd, 'site': odd, 'elapsed': odd, 'results': [{'url': 'http://a', **result}]}], 'hosts': {'a': host}}
    written = files_of(data, str(tmp_path / 'r'))
    assert len(written) == 4
    VALIDATOR.validate(json.loads(written[0]['content'], parse_constant=pytest.fail))


def test_what_the_filters_read_and_users_need_is_in_what_is_published() -> None:
    ignored = yaml.safe_load((ROOT / 'galaxy.yml').read_text(encoding='utf-8'))['build_ignore']
    needed = [str(path.relative_to(ROOT)) for path in ASSETS.iterdir()] + ['docs/report.schema.json']
    assert [name for name in needed if any(fnmatch.fnmatch(name, pattern) for pattern in ignored)] == []
    # And a report that somebody has written beside a clone is not.
    for name in ('mirrors.json', 'd.json', 'do.json', 'doc.json', 'docs.json', 'reports/docs.json'):
        assert any(fnmatch.fnmatch(name, pattern) for pattern in ignored), name
