# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import json
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _as_user, _users
from ansible_collections.quickpull.registry.plugins.module_utils._as_user import Account
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.modules import buildkitd_config
from ansible_collections.quickpull.registry.tests.unit.plugins.fake_module import FakeModule

ONE = {'docker.io': ['http://a.lan:5000']}
THEIRS = '# ours\n[worker.oci]\n  gc = false\n[registry."ghcr.io"]\n  mirrors = ["x.lan"]\n'


class Home:
    """The home of whoever runs the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.buildx = folder / '.docker/buildx'
        self.file = self.buildx / 'buildkitd.default.toml'
        self.state = State(str(folder.parent / 'state'))
        self.warnings: list[str] = []
        self.no_log: set[str] = set()

    def run(self, upstreams: t.Any = None, *, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        defaults = {'upstreams': upstreams, 'user': 'ci', 'path': None, 'owner': 'registry_access', 'state': 'present'}
        module = FakeModule(check, {**defaults, **params})
        try:
            return buildkitd_config.run(t.cast(t.Any, module), self.state)
        finally:
            self.warnings, self.no_log = module.warnings, module.no_log_values

    def builder(self, name: str, config: str | None, driver: str = 'docker-container') -> None:
        files = None if config is None else {'buildkitd.toml': base64.b64encode(config.encode()).decode()}
        place = self.buildx / 'instances' / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps({'Name': name, 'Driver': driver, 'Nodes': [{'Name': f'{name}0', 'Files': files}]}))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setattr(_as_user, 'account', lambda name: Account('ci', os.geteuid(), os.getegid(), str(tmp_path / 'home')))
    (tmp_path / 'home').mkdir()
    return Home(tmp_path / 'home')


def test_written_once_and_taken_away_without_a_trace(home: Home) -> None:
    predicted, first, second = home.run(ONE, check=True), home.run(ONE), home.run(ONE)
    assert (predicted['changed'], first['changed'], second['changed']) == (True, True, False)
    assert predicted['files'] == first['files'] == [{'upstream': 'docker.io', 'path': str(home.file), 'mirrors': ['a.lan:5000'], 'changed': True}]
    assert predicted['diff'] == first['diff'] and first['diff'][0]['after'] == home.file.read_text()
    assert (first['user'], first['path'], first['left_out'], first['builders']) == ('ci', str(home.file), [], [])
    assert home.run(state='absent')['changed'] and not home.run(state='absent')['changed']
    assert list(home.folder.iterdir()) == []


@pytest.mark.parametrize('text', ['', THEIRS, THEIRS.rstrip('\n')])
def test_what_others_wrote_stays(home: Home, text: str) -> None:
    home.buildx.mkdir(parents=True)
    home.file.write_text(text)
    home.file.chmod(0o640)
    home.run(ONE)
    assert home.file.read_text().startswith(text) and home.file.stat().st_mode & 0o777 == 0o640
    assert not home.run(ONE)['changed']
    home.run({})
    assert home.file.read_text() == text


def test_upstreams_that_are_not_named_stay(home: Home) -> None:
    home.run({**ONE, 'quay.io': ['https://q.lan']})
    home.run({'docker.io': ['https://b.lan']})
    assert 'mirrors = ["b.lan"]' in home.file.read_text() and 'mirrors = ["q.lan"]' in home.file.read_text()
    assert 'a.lan' not in home.file.read_text()
    home.run({'docker.io': []})
    assert 'b.lan' not in home.file.read_text() and 'q.lan' in home.file.read_text()


def test_a_table_of_somebody_else_is_left_and_told(home: Home) -> None:
    home.buildx.mkdir(parents=True)
    home.file.write_text(THEIRS)
    told = home.run({'ghcr.io': ['https://g.lan'], **ONE})
    assert [one['upstream'] for one in told['files']] == ['docker.io']
    assert told['left_out'] == home.warnings and 'has a table of somebody else for ghcr.io' in told['left_out'][0]
    assert 'g.lan' not in home.file.read_text()


@pytest.mark.parametrize('text, words', [('a = = 1\n', 'not valid TOML'), ('registry = {}\n', 'table in braces')])
def test_a_file_that_cannot_be_added_to_is_left(home: Home, text: str, words: str) -> None:
    home.buildx.mkdir(parents=True)
    home.file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        home.run(ONE)
    assert home.file.read_text() == text


def test_builders_that_were_made_with_other_mirrors_are_told(home: Home) -> None:
    home.run(ONE)
    home.builder('new', home.file.read_text() + '[registry."c.lan"]\nca = ["/etc/buildkit/certs/c.lan/ca.pem"]\n')
    home.builder('old', None)
    home.builder('daemon', None, driver='docker')
    home.builder('odd', 'a = = 1')
    (home.buildx / 'instances/broken').write_text('{')
    os.mkfifo(home.buildx / 'instances/pipe')
    told = home.run(ONE)
    assert told['builders'] == [{'name': 'new', 'current': True}, {'name': 'old', 'current': False}]
    assert len(home.warnings) == 1 and 'The builder old of ci' in home.warnings[0]
    home.run({'docker.io': ['http://b.lan:5000']})
    assert ['builder new' in words for words in home.warnings] == [True, False]
    assert [one['current'] for one in home.run(state='absent')['builders']] == [False, True]
    assert home.warnings == []  # there is nothing to make them anew by


def test_headers_stay_secret(home: Home) -> None:
    told = home.run({'docker.io': [{'url': 'https://a.lan', 'headers': {'Authorization': 'Bearer S3CRET'}}]})
    assert 'S3CRET' not in json.dumps(told) and 'Bearer S3CRET' in home.no_log


def test_a_path_of_ones_own(home: Home, tmp_path: Path) -> None:
    place = tmp_path / 'mine/buildkitd.toml'
    told = home.run(ONE, path=str(place))
    assert told['path'] == str(place) and place.exists() and not home.file.exists()
    home.run(state='absent', path=str(place))
    assert not place.exists() and place.parent.exists()


def test_a_path_that_depends_on_where_the_task_runs_is_refused(home: Home) -> None:
    with pytest.raises(ConfigError, match='neither absolute nor begins with ~/'):
        home.run(ONE, path='buildkitd.toml')
    assert home.run(ONE, path='~/own.toml')['path'] == str(home.folder / 'own.toml')


def test_a_mirror_whose_authority_cannot_be_read_is_left_out(home: Home, tmp_path: Path) -> None:
    authority = tmp_path / 'ca.pem'
    authority.write_text('x')
    told = home.run({'docker.io': [{'url': 'https://a.lan', 'ca_path': '/nope/ca.pem'}, {'url': 'https://b.lan', 'ca_path': str(authority)}]})
    assert told['files'][0]['mirrors'] == ['b.lan']
    assert 'a.lan is left out: /nope/ca.pem is not there' in told['left_out'][0]
    assert 'a.lan' not in home.file.read_text()


def test_a_part_of_a_registry_is_left_out(home: Home) -> None:
    told = home.run({**ONE, 'quay.io/team': ['https://q.lan']})
    assert [one['upstream'] for one in told['files']] == ['docker.io']
    assert 'quay.io/team is a part of a registry' in told['left_out'][0]
    assert not home.run({'quay.io/team': ['https://q.lan']})['changed']  # which is not to take everything away


def test_what_is_taken_away_is_told(home: Home) -> None:
    home.run({**ONE, 'quay.io': ['https://q.lan']})
    told = home.run(state='absent')
    assert [(one['upstream'], one['mirrors'], one['changed']) for one in told['files']] == [('docker.io', [], True), ('quay.io', [], True)]


def test_builders_with_odd_names_or_contents_are_nobodys(home: Home) -> None:
    home.run(ONE)
    home.builder('deep', None)
    (home.buildx / 'instances/deep').write_text('[' * 200000)
    home.builder('a\x1b[31m; rm -rf ~', None)
    assert home.run(ONE)['builders'] == [] and home.warnings == []


def test_root_does_not_follow_a_users_links(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise ConfigError(f'looked at {path}')

    monkeypatch.setattr(_as_user, 'check_hands', refuse)
    monkeypatch.setattr(os, 'geteuid', lambda: 0)
    with pytest.raises(ConfigError, match='looked at /some/where'):
        home.run(ONE, path='/some/where', user='root')
    monkeypatch.setattr(os, 'geteuid', lambda: 1234)
    assert home.run(ONE)['changed']


def test_root_remembers_who_was_given_files(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_as_user, 'check_hands', lambda _path: None)
    monkeypatch.setattr(os, 'geteuid', lambda: 0)
    home.run(ONE, check=True)
    assert _users.recall(home.state) == {}
    home.run(ONE)
    _users.remember(home.state, _users.PODMAN, 'alice', has_files=True)
    assert _users.recall(home.state) == {'buildkit': ['ci'], 'podman': ['alice']}
    home.run(state='absent')
    assert _users.recall(home.state) == {'podman': ['alice']}
    _users.remember(home.state, _users.PODMAN, 'alice', has_files=False)
    assert not os.path.exists(home.state.users)
    Path(home.state.users).write_text('[1')
    assert _users.recall(home.state) == {}
