# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import fnmatch
import json
import os
import re
import typing as t
from pathlib import Path

import jsonschema
import pytest
import yaml
from page import sample

from ansible_collections.quickpull.registry.plugins.module_utils import _access
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._report import SCHEMA_VERSION, as_data
from ansible_collections.quickpull.registry.plugins.plugin_utils._report_files import ASSETS, check_path, files_of, former, now, paths_of

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


@pytest.mark.parametrize('report', [as_data({}, now()), as_data(PROBED, now()), sample.small(), sample.evil(), as_data(_access.summary(LEFT), now())])
def test_reports_are_as_the_schema_says(report: dict[str, t.Any]) -> None:
    VALIDATOR.check_schema(SCHEMA)
    VALIDATOR.validate(report)


def test_the_schema_knows_every_field_that_there_is() -> None:
    """A closed copy of it, so that no field is added without a word on what it means."""
    closed = copy.deepcopy(SCHEMA)

    def close(node: t.Any) -> None:
        for one in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            close(one)
        if isinstance(node, dict) and isinstance(node.get('properties'), dict):
            node['additionalProperties'] = False

    close(closed)
    jsonschema.Draft202012Validator(closed).validate(sample.small())
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


def test_a_file_that_cannot_be_read_is_no_error(tmp_path: Path) -> None:
    (tmp_path / 'bytes').write_bytes(b'\xff\xfe\x00{')
    assert [former(str(path)) for path in (tmp_path, tmp_path / 'bytes', tmp_path / 'none', '\x00', '')] == [''] * 5


def test_what_cannot_be_encoded_is_written_all_the_same(tmp_path: Path) -> None:
    said = {'url': '\ud800', 'ok': False, 'state': 'x', 'reason': '\udfff'}
    for one in files_of({'probes': [{'upstream': 'docker.io', 'results': [said]}]}, str(tmp_path / 'r')):
        one['content'].encode('utf-8')


def test_what_the_filters_read_and_users_need_is_in_what_is_published() -> None:
    ignored = yaml.safe_load((ROOT / 'galaxy.yml').read_text(encoding='utf-8'))['build_ignore']
    needed = [str(path.relative_to(ROOT)) for path in ASSETS.iterdir()] + ['docs/report.schema.json']
    assert [name for name in needed if any(fnmatch.fnmatch(name, pattern) for pattern in ignored)] == []
    # And a report that somebody has written beside a clone is not.
    for name in ('mirrors.json', 'd.json', 'do.json', 'doc.json', 'docs.json', 'reports/docs.json'):
        assert any(fnmatch.fnmatch(name, pattern) for pattern in ignored), name


@pytest.mark.parametrize('path, told', [
    ('nowhere/mirrors.json', 'the directory {here}/nowhere does not exist on the controller'),
    ('/nowhere/mirrors.json', 'the directory /nowhere does not exist'),
    ('nowhere/', 'the directory {here}/nowhere does not exist'),
    ('file/mirrors.json', 'the directory {here}/file is no directory'),
    ('out', '{here}/out is a directory'),
    ('out/', '{here}/out/ is a directory'),
    ('mirrors.json', '{here}/mirrors.html is a directory'),
])  # fmt: skip
def test_a_path_where_no_report_can_be_is_told(tmp_path: Path, path: str, told: str) -> None:
    for name in ('out', 'mirrors.html'):
        (tmp_path / name).mkdir()
    (tmp_path / 'file').touch()
    with pytest.raises(ConfigError, match='^registry_access_report_path: .*' + re.escape(told.format(here=tmp_path))):
        check_path(path, str(tmp_path))


def test_a_directory_that_cannot_be_written_into_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, 'access', lambda _path, mode: not mode & os.W_OK)
    with pytest.raises(ConfigError, match=f'^registry_access_report_path: .*nothing can be written into {tmp_path} '):
        check_path('mirrors.json', str(tmp_path))


def test_a_path_where_a_report_can_be_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'mirrors.json').touch()
    monkeypatch.chdir(tmp_path)
    for path, start in (('mirrors.json', ''), ('mirrors.json', str(tmp_path)), (str(tmp_path / 'other'), '/nowhere')):
        check_path(path, start)
    assert [one.name for one in tmp_path.iterdir()] == ['mirrors.json']
