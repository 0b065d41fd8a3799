# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _docker_certs, _hosts_toml, _owned_files
from ansible_collections.quickpull.registry.plugins.module_utils._engines import docker
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import Content
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.modules import docker_certs
from ansible_collections.quickpull.registry.tests.unit.plugins.fake_module import FakeModule

PEM = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
OTHER_PEM = PEM.replace('AAAA', 'BBBB')
KEY = '-----BEGIN PRIVATE KEY-----\nS3CRET\n-----END PRIVATE KEY-----\n'
DEFAULTS: dict[str, t.Any] = {'mirrors': None, 'owner': 'registry_access', 'overwrite': False, 'state': 'present'}


class Place:
    """A host in a folder, and the module's ``run``."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.etc = root / 'docker'
        self.etc.mkdir()
        self.certs = self.etc / 'certs.d'
        self.state = State(str(root / 'state'))
        self.daemon = docker.DockerDaemon(installed=True, version='26.1.5')
        self.warnings: list[str] = []
        for name, text in (('ca.pem', PEM), ('other.pem', OTHER_PEM), ('cert.pem', PEM), ('key.pem', KEY)):
            (root / name).write_text(text)
        monkeypatch.setattr(docker, 'inspect', lambda **_options: self.daemon)

    def mirror(self, url: str = 'https://m.lan:5000', ca: str = 'ca.pem', **more: str) -> dict[str, str]:
        return {'url': url, 'ca_path': str(self.root / ca), **{name: str(self.root / file) for name, file in more.items()}}

    def run(self, *mirrors: t.Any, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        module = FakeModule(check, {**DEFAULTS, 'mirrors': list(mirrors), 'directory': str(self.certs), **params})
        try:
            return docker_certs.run(t.cast(t.Any, module), self.state, docker.Host())
        finally:
            self.warnings = module.warnings

    def tree(self) -> dict[str, tuple[int, str | None]]:
        return {str(at.relative_to(self.etc)): (at.stat().st_mode, at.read_text() if at.is_file() else None) for at in sorted(self.etc.rglob('*'))}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_written_once_and_taken_away(place: Place) -> None:
    mirror = place.mirror(client_cert='cert.pem', client_key='key.pem')
    foreseen = place.run(mirror, check=True)
    assert place.tree() == {}
    first = place.run(mirror)
    assert foreseen == first
    assert first['changed']
    folder = place.certs / 'm.lan:5000'
    assert {path.name: (path.stat().st_mode & 0o777, path.read_text()) for path in folder.iterdir()} == {
        'ca.crt': (0o644, PEM), 'client.cert': (0o644, PEM), 'client.key': (0o600, KEY),
    }  # fmt: skip
    assert [(file['mirror'], file['changed']) for file in first['files']] == [('https://m.lan:5000', True)] * 3
    assert 'S3CRET' not in json.dumps(first)
    again = place.run(mirror)
    assert (again['changed'], again['diff'], len(again['files'])) == (False, [], 3)
    assert _docker_certs.all_written(place.state) == [str(folder / name) for name in ('ca.crt', 'client.cert', 'client.key')]
    assert place.run(state='absent')['changed']
    assert place.tree() == {}
    assert _docker_certs.all_written(place.state) == []
    assert not place.run(state='absent')['changed']
    assert place.warnings == []


def test_one_mirror_goes_and_the_other_stays(place: Place) -> None:
    place.run(place.mirror(), place.mirror('https://n.lan', 'other.pem'))
    assert sorted(path.name for path in place.certs.iterdir()) == ['m.lan:5000', 'n.lan']
    found = place.run(place.mirror('https://n.lan/', 'other.pem'), 'http://plain.lan')
    assert [(file['mirror'], file['changed']) for file in found['files']] == [('', True), ('https://n.lan/', False)]
    assert [path.name for path in place.certs.iterdir()] == ['n.lan']


def test_what_has_no_tls_or_no_certificates_needs_nothing(place: Place) -> None:
    assert not place.run(place.mirror('http://m.lan:5000'), 'https://n.lan', {'url': 'https://o.lan', 'insecure': True})['changed']
    assert place.tree() == {}


def test_another_certificate_at_the_source_is_written(place: Place) -> None:
    place.run(place.mirror())
    (place.root / 'ca.pem').write_text(OTHER_PEM)
    assert place.run(place.mirror())['changed']
    assert (place.certs / 'm.lan:5000/ca.crt').read_text() == OTHER_PEM


def theirs(place: Place, text: str) -> Path:
    file = place.certs / 'm.lan:5000' / 'ca.crt'
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def test_what_somebody_else_put_there_stays(place: Place) -> None:
    file = theirs(place, OTHER_PEM)
    before = place.tree()
    found = place.run(place.mirror(client_cert='cert.pem', client_key='key.pem'))
    assert (found['changed'], found['files'], [left['path'] for left in found['left_out']]) == (False, [], [str(file)])
    assert place.warnings == [found['left_out'][0]['because']]
    assert place.tree() == before
    assert place.run(place.mirror(), overwrite=True)['changed']
    assert file.read_text() == PEM
    place.run()
    assert place.tree() == before


def test_the_same_content_is_no_obstacle_and_not_ours(place: Place) -> None:
    theirs(place, PEM)
    before = place.tree()
    found = place.run(place.mirror())
    assert (found['changed'], found['left_out']) == (False, [])
    assert not place.run(state='absent')['changed']
    assert place.tree() == before


def test_one_that_somebody_replaced_stays_with_all_of_its_mirror(place: Place) -> None:
    mirror = place.mirror(client_cert='cert.pem', client_key='key.pem')
    place.run(mirror)
    (place.certs / 'm.lan:5000/ca.crt').write_text(OTHER_PEM)
    before = place.tree()
    assert not place.run(mirror)['changed']
    assert place.tree() == before


def test_owners_do_not_touch_each_other(place: Place) -> None:
    place.run(place.mirror(), owner='one')
    before = place.tree()
    assert not place.run(owner='two')['changed']
    found = place.run(place.mirror(ca='other.pem'), owner='two', overwrite=True)
    assert 'belongs to another owner here, one' in found['left_out'][0]['because']
    assert place.tree() == before


@pytest.mark.parametrize('first', ['certs', 'hosts'])
@pytest.mark.parametrize('gone_first', ['certs', 'hosts'])
def test_directories_shared_with_hosts_toml_go_with_whichever_goes_last(place: Place, first: str, gone_first: str) -> None:
    path = str(place.certs / 'm.lan:5000' / _hosts_toml.FILE_NAME)

    def hosts(content: Content | None) -> None:
        _owned_files.apply(place.state, _docker_certs.KIND, _owned_files.plan(_owned_files.load(place.state, _docker_certs.KIND), 'x', {path: content}))

    steps: dict[str, t.Callable[[], t.Any]] = {'certs': lambda: place.run(place.mirror()), 'hosts': lambda: hosts(Content('#\n'))}
    away: dict[str, t.Callable[[], t.Any]] = {'certs': place.run, 'hosts': lambda: hosts(None)}
    for name in (first, *({'certs', 'hosts'} - {first})):
        steps[name]()
    assert len(place.tree()) == 4
    away.pop(gone_first)()
    assert len(place.tree()) == 3
    away.popitem()[1]()
    assert place.tree() == {}


@pytest.mark.parametrize('mirrors, words', [
    ([('https://m.lan', 'ca.pem'), ('https://m.lan/hub', 'other.pem')], 'two different files'),
    ([('https://m.lan', 'missing.pem')], 'does not exist on this host'),
    ([('https://m.lan', 'key.pem'), ('ftp://m.lan', 'ca.pem')], 'ftp'),
])
def test_errors_name_what_is_wrong(place: Place, mirrors: list[tuple[str, str]], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        place.run(*(place.mirror(url, ca) for url, ca in mirrors))
    assert place.tree() == {}


def test_a_docker_that_does_not_look_there_is_told(place: Place) -> None:
    place.daemon = docker.DockerDaemon(installed=True, version='28.5.2', reported=t.cast(t.Any, type('Said', (), {'image_store': 'containerd'})()))
    place.run('https://n.lan')
    assert place.warnings == []
    place.run(place.mirror())
    assert len(place.warnings) == 1 and 'https://m.lan:5000' in place.warnings[0] and 'hosts_toml' in place.warnings[0]
