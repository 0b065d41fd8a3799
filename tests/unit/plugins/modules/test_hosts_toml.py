# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import json
import os
import time
import typing as t
from pathlib import Path

import pytest
import tomllib
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.quickpull.registry.plugins.module_utils import _containerd_config, _containerd_registry, _hosts_toml, _systemd
from ansible_collections.quickpull.registry.plugins.module_utils._engines import containerd, docker
from ansible_collections.quickpull.registry.plugins.module_utils._engines.containerd import Containerd
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.modules import hosts_toml
from ansible_collections.quickpull.registry.tests.unit.plugins.fake_module import FakeModule
from ansible_collections.quickpull.registry.tests.unit.plugins.small_containerd import dump_of, printed

MIRROR = 'http://cache.lan:5000'
SECRET = 'Basic c2VjcmV0'
WITH_SECRET = {'url': MIRROR, 'headers': {'authorization': SECRET, 'x-empty': ''}}
DEFAULTS: dict[str, t.Any] = {
    'engine': 'containerd', 'upstreams': None, 'owner': 'registry_access', 'state': 'present', 'directory': None, 'overwrite': False,
    'set_config_path': True, 'dial_timeout': 5.0,
}  # fmt: skip


class Place:
    """A containerd with a config.toml in a folder, a Docker of our choice, and the module's ``run``."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.config = root / 'containerd' / 'config.toml'
        self.config.parent.mkdir()
        self.config.write_text('version = 2\n# password = "s3cret"\n')
        self.certs = root / 'containerd' / 'certs.d'
        self.state = State(str(root / 'state'))
        self.containerd: dict[str, t.Any] = {'version': '2.1.4', 'unit': 'containerd.service', 'kill_mode': 'process'}
        self.docker = docker.DockerDaemon(installed=True, version='28.5.2')
        self.hosts = hosts_toml.Hosts(containerd.Host(run=self.dump), docker.Host(root=str(root)))
        self.module = FakeModule(False, DEFAULTS)
        monkeypatch.setattr(containerd, 'inspect', lambda _host: self.found())
        monkeypatch.setattr(docker, 'inspect', lambda **_options: self.docker)
        monkeypatch.setitem(_hosts_toml.DIRECTORIES, 'containerd', str(self.certs))
        monkeypatch.setitem(_hosts_toml.DIRECTORIES, 'docker', str(root / 'docker' / 'certs.d'))

    def found(self) -> Containerd:
        dump = dump_of(self.config.read_bytes().replace(b'\xff', b'') if self.config.exists() else b'')
        known = {'installed': True, 'binary': '/usr/bin/containerd', 'config_path': str(self.config), 'dump': dump}
        return Containerd(**{**known, 'registry': _containerd_config.registry_of(dump), **self.containerd})

    def dump(self, command: t.Sequence[str], _timeout: float) -> _systemd.Result:
        return _systemd.Result(0, printed(dump_of(Path(command[2]).read_bytes())))

    def running(self, **changes: t.Any) -> None:
        self.containerd.update({'active_state': 'active', 'main_pid': 7, 'start_id': 'boot:1:7', 'started_at': 1.0, **changes})

    def run(self, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        self.module = FakeModule(check, {**DEFAULTS, **params})
        return hosts_toml.run(t.cast(t.Any, self.module), self.state, self.hosts)

    def tree(self) -> dict[str, tuple[bytes, int]]:
        # The journal outlives what it tells of.
        files = (path for path in self.root.rglob('*') if path.is_file() and path.name != 'lock' and 'journal' not in path.parts)
        return {str(path.relative_to(self.root)): (path.read_bytes(), path.stat().st_mode & 0o777) for path in files}

    def hosts_of(self, upstream: str) -> list[str]:
        return list(tomllib.loads((self.certs / upstream / 'hosts.toml').read_text())['host'])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


TWO: dict[str, t.Any] = {'docker.io': [MIRROR], 'quay.io': ['https://a.lan', {'url': 'https://b.lan/v2/quay', 'trust': 'content'}]}


def test_written_once_and_taken_away_again(place: Place) -> None:
    before = place.tree()
    first = place.run(upstreams=TWO)
    assert (first['changed'], first['directory'], first['left_out']) == (True, str(place.certs), [])
    assert [(one['upstream'], one['changed'], len(one['mirrors'])) for one in first['files']] == [('docker.io', True, 1), ('quay.io', True, 2)]
    assert first['config'] == {'path': str(place.config), 'changed': True, 'because': ''}
    assert (place.hosts_of('docker.io'), place.hosts_of('quay.io')) == ([MIRROR], ['https://a.lan', 'https://b.lan/v2/quay'])
    assert place.found().registry == _containerd_config.Registry(config_path=str(place.certs))
    again = place.run(upstreams=TWO)
    assert (again['changed'], again['config']['changed'], again['diff']) == (False, False, [])
    gone = place.run(state='absent')
    assert gone['changed']
    assert [(one['upstream'], one['changed'], one['mirrors']) for one in gone['files']] == [('docker.io', True, []), ('quay.io', True, [])]
    assert place.tree() == before
    assert not place.certs.exists()
    assert not place.run(state='absent')['changed']
    assert place.module.warnings == []


@pytest.mark.parametrize('params', [{'upstreams': TWO}, {'state': 'absent'}, {'upstreams': {'quay.io': []}}, {'upstreams': {}}])
@pytest.mark.parametrize('running', [False, True])
def test_check_mode_says_the_same_and_writes_nothing(place: Place, params: dict[str, t.Any], running: bool) -> None:
    if params.get('upstreams') != TWO:
        place.run(upstreams=TWO)
    if running:
        place.running()
    before = place.tree()
    foreseen = place.run(check=True, **params)
    assert place.tree() == before
    assert place.run(**params) == foreseen


def test_an_upstream_that_is_not_named_is_left_alone(place: Place) -> None:
    place.run(upstreams=TWO)
    place.run(upstreams={'quay.io': []})
    assert sorted(os.listdir(place.certs)) == ['docker.io']
    assert str(place.certs) in place.config.read_text()
    place.run(upstreams={})
    assert not place.certs.exists()
    assert 'config_path' not in place.config.read_text()


def test_two_owners(place: Place) -> None:
    place.run(upstreams={'docker.io': [MIRROR]}, owner='a')
    place.run(upstreams={'quay.io': [MIRROR]}, owner='b')
    left = place.run(upstreams={'quay.io': ['https://other.lan']}, owner='a')
    assert (left['changed'], left['files']) == (False, [])
    assert 'belongs to another owner here, b' in left['left_out'][0]
    place.run(state='absent', owner='a')
    assert (os.listdir(place.certs), 'config_path' in place.config.read_text()) == (['quay.io'], True)
    place.run(state='absent', owner='b')
    assert (place.certs.exists(), 'config_path' in place.config.read_text()) == (False, False)


def test_a_file_of_somebody_else(place: Place) -> None:
    theirs = place.certs / 'quay.io' / 'hosts.toml'
    theirs.parent.mkdir(parents=True)
    theirs.write_text('server = "https://x"\n# authorization = "s3cret"\n[host."https://u:s3cret@y"]\n')
    before = place.tree()
    left = place.run(upstreams={'quay.io': [MIRROR]})
    assert (left['changed'], left['files'], left['config']['changed']) == (False, [], False)
    assert str(theirs) in left['left_out'][0]
    over = place.run(upstreams={'quay.io': [MIRROR]}, overwrite=True)
    assert over['changed']
    assert 's3cret' not in json.dumps(over)
    place.run(state='absent')
    assert place.tree() == before


def test_what_an_earlier_run_wrote_elsewhere_goes_too(place: Place) -> None:
    old, new = place.root / 'old', place.root / 'new'
    place.run(upstreams=TWO, directory=str(old))
    moved = place.run(upstreams={'docker.io': [MIRROR], 'quay.io': []}, directory=str(new))
    assert (os.listdir(old), os.listdir(new)) == (['docker.io'], ['docker.io'])
    assert str(old) in moved['config']['because'], 'config_path stays, and who moves is told'
    place.run(state='absent')
    assert not old.exists()
    assert not new.exists()
    assert 'config_path' not in place.config.read_text()


@pytest.mark.parametrize('spelled', ['{0}', '{0}/', '/no/such:{0}//'])
def test_a_config_path_of_others_is_used_and_stays(place: Place, spelled: str) -> None:
    text = f'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "{spelled.format(place.certs)}"\n'
    place.config.write_text(text)
    place.containerd['version'] = '2.0.5'
    found = place.run(upstreams=TWO)
    assert (found['directory'], found['config']['changed'], place.module.warnings) == (str(place.certs), False, [])
    place.run(state='absent')
    assert place.config.read_text() == text


@pytest.mark.parametrize(
    'text, because',
    [
        ('disabled_plugins = ["cri"]\n', 'disables the CRI plugin'),
        ('version = 2\n[plugins."io.containerd.grpc.v1.cri".registry.mirrors.x]\n', 'mirrors of x'),
    ],
)
def test_where_the_key_is_left_out_it_says_why(place: Place, text: str, because: str) -> None:
    place.config.write_text(text)
    found = place.run(upstreams=TWO)
    assert found['changed']
    assert (found['config']['path'], found['config']['changed']) == (str(place.config), False)
    assert because in found['config']['because']
    assert place.module.warnings == [found['config']['because']]
    assert place.config.read_text() == text


def test_without_the_key(place: Place) -> None:
    found = place.run(upstreams=TWO, set_config_path=False)
    assert (found['changed'], found['config'], 'config_path' in place.config.read_text()) == (True, {}, False)


def test_secrets_are_in_their_file_alone(place: Place) -> None:
    found = place.run(upstreams={'quay.io': [WITH_SECRET]})
    path = place.certs / 'quay.io' / 'hosts.toml'
    assert (path.stat().st_mode & 0o777, SECRET in path.read_text()) == (0o600, True)
    assert 'c2VjcmV0' not in json.dumps(found)
    assert 's3cret' not in json.dumps(found), 'what else stands in config.toml is nobody\'s business'
    assert place.module.no_log_values == {SECRET}
    assert [(one['before'], 'config_path' in one['after']) for one in found['diff']] == [('', False), ('', True)]
    assert SECRET not in json.dumps(place.run(state='absent'))


PLANS: list[tuple[dict[str, t.Any], str, list[str]]] = [
    ({'cri_config_path': ''}, 'restart', []),
    ({'cri_config_path': None}, 'restart', []),
    ({'cri_config_path': '', 'kill_mode': 'mixed'}, 'restart', ['kill_mode']),
]


@pytest.mark.parametrize('changes, action, blockers', PLANS)
def test_plan(place: Place, changes: dict[str, t.Any], action: str, blockers: list[str]) -> None:
    time.sleep(0.05)  # files carry the time of the kernel's last tick
    place.running(started_at=time.time(), **changes)
    time.sleep(0.05)
    for check in (True, False, False):
        plan = place.run(check, upstreams=TWO)['plan']
        assert (plan['action'], plan['blockers']) == (action, blockers), 'also when it was written by an earlier run'
    place.running(cri_config_path=str(place.certs))
    assert place.run(upstreams={'quay.io': [MIRROR]})['plan']['action'] == 'none', 'mirrors alone need no restart'
    assert place.run(state='absent')['plan']['action'] == 'none'


ONE_LINE = 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nregistry = {headers = {}}\n'


def test_a_config_that_cannot_be_changed_keeps_no_hosts_toml_from_coming_or_going(place: Place) -> None:
    place.config.write_text(ONE_LINE)
    found = place.run(upstreams=TWO)
    assert 'in one line' in found['config']['because']
    assert (place.hosts_of('docker.io'), place.config.read_text()) == ([MIRROR], ONE_LINE)
    place.config.write_text('version = 2\n')
    place.run(upstreams=TWO)
    place.config.write_bytes(place.config.read_bytes() + b'\xff\n')
    place.containerd['registry'] = None
    assert 'not UTF-8' in place.run(state='absent')['config']['because']
    assert not place.certs.exists()


def test_a_cri_that_is_dead_already_is_told_and_left(place: Place) -> None:
    text = place.config.read_text()
    place.running(cri_error='It has no CRI.')
    for _turn in range(2):
        found = place.run(upstreams=TWO)
        assert (found['plan']['action'], found['config']['because']) == ('none', 'It has no CRI. config_path is left out until it answers.')
    assert place.config.read_text() == text


def test_a_default_that_counts_no_longer_is_told_once(place: Place) -> None:
    default = place.certs / '_default' / 'hosts.toml'
    default.parent.mkdir(parents=True)
    default.write_text('# theirs\n')
    place.run(upstreams=TWO)
    assert f'{default} no longer counts for docker.io, quay.io, which have files of their own now.' in place.module.warnings
    place.run(upstreams=TWO)
    assert place.module.warnings == []


def test_a_directory_that_is_found_first_is_told(place: Place) -> None:
    (place.certs / 'reg.lan_5000_').mkdir(parents=True)
    for _turn in range(2):
        place.run(upstreams={'reg.lan:5000': [MIRROR], 'quay.io': [MIRROR]})
        assert [text for text in place.module.warnings if 'comes before' in text] == [
            f'{place.certs}/reg.lan_5000_ comes before the file of reg.lan:5000, so containerd does not look at that. Move it away.'
        ]


IMAGES = 'version = 3\n[plugins."io.containerd.cri.v1.images"]\n{more}[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "{value}"\n'


def test_the_list_that_containerd_itself_writes_becomes_one_directory(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    default = f'{place.certs}:/etc/docker/certs.d'
    monkeypatch.setattr(_containerd_registry, 'DEFAULT_LIST', default)
    text = IMAGES.format(more='', value=default)
    place.config.write_text(text)
    done = place.run(upstreams=TWO)
    assert (done['config']['changed'], done['config']['because'], done['directory']) == (True, '', str(place.certs))
    assert place.config.read_text() == IMAGES.format(more='', value=place.certs)
    assert len([text for text in place.module.warnings if 'containerd#12808' in text]) == 1
    assert (place.run(upstreams=TWO)['changed'], place.module.warnings) == (False, [])
    place.run(state='absent')
    assert place.config.read_text() == text


def test_the_list_that_counts_where_nobody_says_anything_becomes_one_directory(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Since containerd 2.2."""
    default = f'{place.certs}:/etc/docker/certs.d'
    monkeypatch.setattr(_containerd_registry, 'DEFAULT_LIST', default)
    as_said = _containerd_config.registry_of

    def registry_of(dump: t.Mapping[str, t.Any]) -> _containerd_config.Registry:
        said = as_said(dump)
        return dataclasses.replace(said, config_path=said.config_path or default)

    monkeypatch.setattr(_containerd_config, 'registry_of', registry_of)
    text = place.config.read_text()
    place.running(version='2.2.1')
    done = place.run(upstreams=TWO)
    assert (done['config']['changed'], done['plan']['action']) == (True, 'restart')
    assert f'config_path = "{place.certs}"' in place.config.read_text()
    place.run(state='absent')
    assert place.config.read_text() == text


@pytest.mark.parametrize(
    'version, more, told',
    [('2.1.4', '', True), ('2.3.0', 'use_local_image_pull = false\n', True), ('2.1.4', 'use_local_image_pull = true\n', False), ('2.0.5', '', False)],
)
def test_a_list_of_others_is_told_where_containerd_reads_none(place: Place, version: str, more: str, told: bool) -> None:
    text = IMAGES.format(more=more, value=f'{place.certs}:/etc/own')
    place.config.write_text(text)
    place.containerd['version'] = version
    found = place.run(upstreams=TWO)
    assert ('containerd#12808' in found['config']['because']) is told
    assert place.config.read_text() == text


TIMES: list[tuple[str | None, float, str]] = [
    ('2.1.4', 2.5, '"2.5s"'),
    ('2.1.0-rc.1', 1200, '"1200s"'),
    ('2.1.4', 3600, '"3600s"'),
    ('2.0.7', 5, ''),
    (None, 5, ''),
    ('2.1.4', 0, ''),
]


@pytest.mark.parametrize('version, seconds, line', TIMES)
def test_dial_timeout(place: Place, version: str | None, seconds: float, line: str) -> None:
    place.containerd['version'] = version
    place.run(upstreams={'quay.io': [MIRROR]}, dial_timeout=seconds)
    text = (place.certs / 'quay.io' / 'hosts.toml').read_text()
    assert f'dial_timeout = {line}' in text if line else 'dial_timeout' not in text


def test_tags_from_upstream(place: Place) -> None:
    content = {'url': MIRROR, 'trust': 'content'}
    found = place.run(upstreams={'quay.io': [content], 'docker.io': [content, 'https://a.lan'], 'ghcr.io': []})
    assert found['tags_from_upstream'] == ['quay.io']


def test_no_containerd(place: Place) -> None:
    place.containerd['installed'] = False
    found = place.run(upstreams=TWO)
    assert (found['changed'], found['config'], found['plan']['action']) == (True, {}, 'none')
    assert 'no containerd on this host' in place.module.warnings[0]
    place.run(state='absent')
    assert place.module.warnings == []


DOCKERS: list[tuple[docker.DockerDaemon, str]] = [
    (docker.DockerDaemon(installed=True, version='28.5.2'), ''),
    (docker.DockerDaemon(installed=True, version='27.1.0'), 'that came with 28.0'),
    (docker.DockerDaemon(installed=False), 'no Docker on this host'),
]


@pytest.mark.parametrize('daemon, warning', DOCKERS)
def test_docker(place: Place, daemon: docker.DockerDaemon, warning: str) -> None:
    place.docker = daemon
    text = place.config.read_text()
    found = place.run(engine='docker', upstreams=TWO)
    assert (found['changed'], found['config'], found['plan']['action']) == (True, {}, 'none')
    assert (place.root / 'docker' / 'certs.d' / 'quay.io' / 'hosts.toml').exists()
    assert place.config.read_text() == text
    assert warning in ''.join(place.module.warnings)
    assert bool(place.module.warnings) is bool(warning)
    place.run(engine='docker', state='absent')
    assert (place.module.warnings, (place.root / 'docker').exists()) == ([], False)


REFUSED: list[tuple[dict[str, t.Any], str]] = [
    ({'upstreams': {'quay': []}}, 'is not the name of a registry'),
    ({'upstreams': {'quay.io': MIRROR}}, 'a list of mirrors is expected'),
    ({'upstreams': {'quay.io': ['https://u:s3cret@x.lan']}}, 'holds a user or password'),
    ({'upstreams': TWO, 'directory': 'certs.d'}, 'no absolute path'),
    ({'upstreams': TWO, 'directory': '/a:/b'}, 'without a colon'),
    ({'upstreams': TWO, 'directory': '/a\nb'}, 'no absolute path'),
    *(({'upstreams': TWO, 'dial_timeout': seconds}, 'is not between 0 and 3600') for seconds in (-1.0, 3601.0, float('nan'), float('inf'))),
]


@pytest.mark.parametrize('params, told', REFUSED)
def test_what_makes_no_sense_is_refused_before_anything_is_written(place: Place, params: dict[str, t.Any], told: str) -> None:
    before = place.tree()
    with pytest.raises(ConfigError, match=told) as info:
        place.run(**params)
    assert 's3cret' not in str(info.value)
    assert place.tree() == before


def test_what_is_returned_is_documented(place: Place) -> None:
    documented = yaml.safe_load(hosts_toml.RETURN)
    found = place.run(upstreams=TWO)
    assert set(found) - {'changed', 'diff'} == set(documented)
    assert set(found['files'][0]) == set(documented['files']['contains'])
    assert set(found['config']) == set(documented['config']['contains'])


def test_lines_that_differ() -> None:
    assert _containerd_config.lines_that_differ('a\nb\nc\n', 'a\nx\ny\nc\nd') == ('b\n', 'x\ny\nd')
    assert _containerd_config.lines_that_differ('a\n', 'a\n') == ('', '')


@pytest.mark.parametrize(
    'given, told',
    [({}, 'state is present but all of the following are missing: upstreams'), ({'upstreams': {}, 'directory': 'x:y'}, 'no absolute path')],
)
def test_main_fails_with_a_sentence(given: dict[str, t.Any], told: str, capfd: pytest.CaptureFixture[str]) -> None:
    with patch_module_args({'_ansible_check_mode': True, **given}), pytest.raises(SystemExit):
        hosts_toml.main()
    result = json.loads(capfd.readouterr().out)
    assert (result['failed'], told in result['msg']) == (True, True), result['msg']
