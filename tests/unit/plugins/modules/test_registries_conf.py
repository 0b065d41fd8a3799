# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _owned_files, _registries_work, _toml
from ansible_collections.quickpull.registry.plugins.module_utils._as_user import Account
from ansible_collections.quickpull.registry.plugins.module_utils._engines import crio, podman
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import FIRST_LINE
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.module_utils._systemd import Result
from ansible_collections.quickpull.registry.plugins.modules import registries_conf
from ansible_collections.quickpull.registry.tests.unit.plugins.fake_module import FakeModule

HUB = '500-quickpull-docker.io.conf'
HUB_LAST = 'zz-quickpull-docker.io.conf'
OTHER = '[[registry]]\nprefix = "docker.io"\nlocation = "docker.io"\nblocked = true\n'
PEM = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
KEY = '-----BEGIN PRIVATE KEY-----\nS3CRET\n-----END PRIVATE KEY-----\n'
ONE = {'docker.io': ['http://a.lan:5000']}
MIRRORS = ONE['docker.io']


DEFAULTS: dict[str, t.Any] = {'upstreams': None, 'owner': 'registry_access', 'overwrite': False, 'state': 'present', 'validate': 'auto', 'user': None}


class Place:
    """A host in a folder, and the module's ``run``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = root / 'etc/containers'
        self.dropins = self.base / 'registries.conf.d'
        self.dropins.mkdir(parents=True)
        self.state = State(str(root / 'state'))
        self.answers: list[Result] = []
        self.warnings: list[str] = []
        self.no_log: set[str] = set()

    def runner(self, command: t.Sequence[str], _timeout: float) -> Result:
        return Result(0, 'podman version 5.4.2') if command[-1] == '--version' else self.answers.pop(0)

    def install_podman(self, *answers: Result) -> None:
        binary = self.root / 'usr/bin/podman'
        binary.parent.mkdir(parents=True, exist_ok=True)
        binary.touch(0o755)
        self.answers += answers

    def run(self, upstreams: t.Any = None, *, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        module = FakeModule(check, {**DEFAULTS, 'upstreams': upstreams, 'directory': str(self.dropins), **params})
        host = podman.Host(str(self.root), self.runner)
        try:
            no_crio = crio.Host(str(self.root), lambda _command, _timeout: Result(1))
            return registries_conf.run(t.cast(t.Any, module), registries_conf.Hosts(host, no_crio), self.state)
        finally:
            self.warnings, self.no_log = module.warnings, module.no_log_values

    def put(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def tree(self) -> dict[str, tuple[int, bytes | None]]:
        """Mode and content of everything in /etc/containers."""
        return {
            str(path.relative_to(self.base)): (path.stat().st_mode, path.read_bytes() if path.is_file() else None) for path in sorted(self.base.rglob('*'))
        }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def info(**registries: t.Any) -> Result:
    return Result(0, json.dumps({'registries': {name.replace('_', '.'): {'Mirrors': mirrors} for name, mirrors in registries.items()}}))


def test_written_once_and_taken_away(place: Place) -> None:
    before = place.tree()
    foreseen = place.run(ONE, check=True)
    assert place.tree() == before
    assert not os.path.exists(place.state.root)
    first = place.run(ONE)
    assert foreseen == first
    path = str(place.dropins / HUB)
    assert (first['changed'], first['files']) == (True, [{'path': path, 'upstream': 'docker.io', 'mirrors': MIRRORS, 'changed': True}])
    assert (first['left_out'], first['hidden_for'], first['validated_by']) == ([], [], '')
    assert first['diff'] == [{'before_header': path, 'after_header': path, 'before': '', 'after': (place.dropins / HUB).read_text()}]
    assert (place.dropins / HUB).stat().st_mode & 0o777 == 0o644
    again = place.run(ONE)
    assert (again['changed'], again['files'], again['diff']) == (False, [{'path': path, 'upstream': 'docker.io', 'mirrors': MIRRORS, 'changed': False}], [])
    gone = place.run(state='absent')
    assert (gone['changed'], gone['files']) == (True, [{'path': path, 'upstream': 'docker.io', 'mirrors': [], 'changed': True}])
    assert place.tree() == before
    assert not place.run(state='absent')['changed']
    assert place.warnings == []


@pytest.mark.parametrize('taken_away', [{'upstreams': {}}, {'state': 'absent'}, {'upstreams': {'docker.io': [], 'quay.io': []}},
                                        {'state': 'absent', 'upstreams': {'docker.io': ['http://b.lan'], 'quay.io': None}}])
def test_ways_to_take_all_away(place: Place, taken_away: dict[str, t.Any]) -> None:
    before = place.tree()
    place.run({**ONE, 'quay.io': ['https://q.lan']})
    assert len(place.tree()) == len(before) + 2
    assert place.run(**taken_away)['changed']
    assert place.tree() == before


def test_an_upstream_that_is_not_named_stays(place: Place) -> None:
    place.run({**ONE, 'quay.io': ['https://q.lan']})
    found = place.run({'quay.io': []})
    assert [(file['upstream'], file['changed']) for file in found['files']] == [('quay.io', True)]
    assert [path.name for path in place.dropins.iterdir()] == [HUB]


def test_an_edit_of_ours_is_overwritten_and_told_and_kept_where_ours_goes(place: Place) -> None:
    for wanted in (ONE, {}):
        place.run(ONE)
        path = place.dropins / HUB
        path.write_text(path.read_text() + '# mine\n')
        told = []
        for check in (True, False):
            place.warnings.clear()
            assert place.run(wanted, check=check)['changed']
            told.append(list(place.warnings))
        assert told[0] == told[1]
        assert told[0][0].startswith(f'{path} was edited by somebody since this collection wrote it')
        place.warnings.clear()
        assert (place.run(wanted)['changed'], place.warnings) == (False, [])
    (kept,) = Path(place.state.edited).iterdir()
    assert kept.read_text().endswith('# mine\n')


def test_directories_are_made_and_go_again(place: Place) -> None:
    place.dropins.rmdir()
    place.base.rmdir()
    place.run(ONE)
    assert (place.dropins / HUB).exists()
    place.run({})
    assert not place.base.exists()


def test_owners_do_not_touch_each_other(place: Place) -> None:
    place.run(ONE, owner='one')
    before = place.tree()
    assert not place.run({}, owner='two')['changed']
    found = place.run({'docker.io': ['http://b.lan']}, owner='two', overwrite=True)
    assert (found['changed'], found['left_out'][0]['upstream']) == (False, 'docker.io')
    assert 'belongs to another owner here, one' in found['left_out'][0]['because']
    assert place.tree() == before


@pytest.mark.parametrize('name', ['registries.conf', 'registries.conf.d/400-theirs.conf', 'registries.conf.d/600-theirs.conf', f'registries.conf.d/{HUB}'])
def test_an_entry_of_somebody_else_is_respected(place: Place, name: str) -> None:
    theirs = place.put(f'etc/containers/{name}', OTHER)
    before = place.tree()
    found = place.run({**ONE, 'quay.io': ['https://q.lan']})
    assert [(left['upstream'], left['mirror'], left['path']) for left in found['left_out']] == [('docker.io', '', str(theirs))]
    assert str(theirs) in found['left_out'][0]['because']
    assert place.warnings == [found['left_out'][0]['because']]
    assert [file['upstream'] for file in found['files']] == ['quay.io']
    assert not place.run({**ONE, 'quay.io': ['https://q.lan']})['changed']
    place.run({})
    assert place.tree() == before


@pytest.mark.parametrize('name', ['registries.conf', 'registries.conf.d/400-theirs.conf', 'registries.conf.d/600-theirs.conf', f'registries.conf.d/{HUB}'])
def test_overwrite_makes_ours_count(place: Place, name: str) -> None:
    place.put(f'etc/containers/{name}', OTHER)
    before = place.tree()
    found = place.run(ONE, overwrite=True)
    assert (found['changed'], found['left_out']) == (True, [])
    ours = HUB_LAST if '600' in name else HUB
    assert sorted(path.name for path in place.dropins.glob('*.conf'))[-1] == ours
    assert (place.dropins / ours).read_text().startswith(FIRST_LINE)
    assert not place.run(ONE, overwrite=True)['changed']
    place.run({})
    assert place.tree() == before


def test_ours_moves_behind_a_file_that_came_later(place: Place) -> None:
    place.run(ONE)
    place.put('etc/containers/registries.conf.d/600-theirs.conf', OTHER)
    left = place.run({'docker.io': ['http://b.lan']})
    assert (left['changed'], len(left['left_out'])) == (False, 1)
    assert place.run(ONE, overwrite=True)['changed']
    assert sorted(path.name for path in place.dropins.iterdir()) == ['600-theirs.conf', HUB_LAST]
    (place.dropins / '600-theirs.conf').unlink()
    assert place.run(ONE)['changed']
    assert [path.name for path in place.dropins.iterdir()] == [HUB]


def test_a_file_that_is_read_last_of_all_stays_reported(place: Place) -> None:
    place.put('etc/containers/registries.conf.d/zzz.conf', OTHER)
    found = place.run(ONE, overwrite=True)
    assert (found['changed'], found['left_out'][0]['path']) == (False, str(place.dropins / 'zzz.conf'))


def test_the_old_format_is_an_error(place: Place) -> None:
    theirs = place.put('etc/containers/registries.conf.d/a.conf', '[registries.search]\nregistries = ["a.io"]\n')
    with pytest.raises(ConfigError, match='old format'):
        place.run(ONE)
    assert list(place.dropins.iterdir()) == [theirs]
    assert not place.run({})['changed']
    theirs.rename(place.base / 'registries.conf')  # there it may stand
    assert place.run(ONE)['changed']


def test_a_file_that_is_not_understood_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_toml, 'tomllib', None)
    place.put('etc/containers/registries.conf', 'unqualified-search-registries = 1979-05-27\n')
    assert place.run(ONE)['changed']
    assert 'line 1' in place.warnings[0]
    place.run({})
    assert place.warnings == []


def test_a_part_of_an_upstream_that_others_have_is_told(place: Place) -> None:
    theirs = place.put('etc/containers/registries.conf.d/a.conf', OTHER.replace('prefix = "docker.io', 'prefix = "docker.io/acme'))
    assert place.run(ONE)['left_out'] == []
    assert place.warnings == [f'{theirs} has entries of its own for a part of docker.io, which count there instead of ours: docker.io/acme.']
    assert place.run({'quay.io': ['https://q.lan']})['changed']
    assert place.warnings == []


def test_mirrors_that_cannot_be_had(place: Place) -> None:
    wanted = {'docker.io': [{'url': 'https://h.lan', 'headers': {'Authorization': 'Bearer S3CRET'}}, 'https://p.lan/hub', 'http://a.lan:5000']}
    found = place.run(wanted)
    assert [(left['upstream'], left['mirror']) for left in found['left_out']] == [('docker.io', 'https://h.lan'), ('docker.io', 'https://p.lan/hub')]
    assert place.no_log == {'Bearer S3CRET'}
    assert 'S3CRET' not in json.dumps(found)
    assert (place.dropins / HUB).read_text().count('[[registry.mirror]]') == 1
    only = place.run({'docker.io': wanted['docker.io'][:1]})
    assert (only['changed'], list(place.dropins.iterdir())) == (True, [])


def certificates(place: Place) -> dict[str, str]:
    place.put('pki/both.pem', PEM + KEY)
    return {name: str(place.put(f'pki/{name}', text)) for name, text in (('ca_path', PEM), ('client_cert', PEM + '\n'), ('client_key', KEY))}


def test_certificates_come_and_go_with_their_mirror(place: Place) -> None:
    before = place.tree()
    mirror = {'url': 'https://m.lan:8443', **certificates(place)}
    found = place.run({'docker.io': [mirror], 'quay.io': [mirror]})
    folder = place.base / 'certs.d/m.lan:8443'
    assert {path.name: (path.stat().st_mode & 0o777, path.read_text()) for path in folder.iterdir()} == {
        'ca.crt': (0o644, PEM), 'client.cert': (0o644, PEM + '\n'), 'client.key': (0o600, KEY),
    }
    assert 'S3CRET' not in json.dumps(found)
    assert len(found['files']) == 5
    assert not place.run({'docker.io': [mirror], 'quay.io': [mirror]})['changed']
    place.put('pki/client_key', KEY.replace('S3', 'T4'))
    changed = place.run({'docker.io': [mirror]})
    assert [file['path'] for file in changed['files'] if file['changed']] == [str(folder / 'client.key')]
    assert 'T4' not in json.dumps(changed)
    place.run({'docker.io': []})
    assert len(list(folder.iterdir())) == 3  # quay.io still needs them
    place.run({'quay.io': []})
    assert place.tree() == before


def test_one_file_may_hold_certificate_and_key(place: Place) -> None:
    certificates(place)
    place.run({'docker.io': [{'url': 'https://m.lan', 'client_cert': str(place.root / 'pki/both.pem')}, {'url': 'http://n.lan', 'ca_path': '/nowhere'}]})
    folder = place.base / 'certs.d/m.lan'
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {'client.cert': 0o600, 'client.key': 0o600}


@pytest.mark.parametrize('key', ['ca_path', 'client_cert', 'client_key'])
@pytest.mark.parametrize('text, words', [(None, 'does not exist on this host'), ('no pem', 'in PEM form')])
def test_a_certificate_that_cannot_be_had_is_an_error(place: Place, key: str, text: str | None, words: str) -> None:
    mirror = {'url': 'https://m.lan', **certificates(place)}
    os.unlink(mirror[key])
    if text:
        place.put(f'pki/{key}', text)
    before = place.tree()
    with pytest.raises(ConfigError, match=words) as caught:
        place.run({'docker.io': [mirror]})
    assert str(caught.value).startswith(f'{key}: {mirror[key]}')
    assert place.tree() == before


def test_certificates_of_others_stay(place: Place) -> None:
    mirror = {'url': 'https://m.lan', 'ca_path': certificates(place)['ca_path']}
    place.put('etc/containers/certs.d/m.lan/ca.crt', PEM)
    before = place.tree()
    assert place.run({'docker.io': [mirror]})['left_out'] == []
    place.run({})
    assert place.tree() == before  # the same bytes were there already, so they are not ours
    place.put('etc/containers/certs.d/m.lan/ca.crt', PEM * 2)
    found = place.run({'docker.io': [mirror, 'http://a.lan:5000']})
    assert [(left['mirror'], left['path']) for left in found['left_out']] == [('https://m.lan', str(place.base / 'certs.d/m.lan/ca.crt'))]
    assert (place.base / 'certs.d/m.lan/ca.crt').read_text() == PEM * 2
    place.run({'docker.io': [mirror]}, overwrite=True)
    assert (place.base / 'certs.d/m.lan/ca.crt').read_text() == PEM
    place.run({})
    assert (place.base / 'certs.d/m.lan/ca.crt').read_text() == PEM * 2


def test_two_certificates_for_one_host_are_an_error(place: Place) -> None:
    other = str(place.put('pki/other.pem', PEM * 2))
    wanted = {'docker.io': [{'url': 'https://m.lan', **certificates(place)}], 'quay.io': [{'url': 'https://m.lan', 'ca_path': other}]}
    with pytest.raises(ConfigError, match=r'two different files for .*ca\.crt'):
        place.run(wanted)


def test_users_who_do_not_see_ours_are_told(place: Place) -> None:
    place.put('etc/passwd', 'root:x:0:0::/root:/bin/sh\nalice:x:1:1::/home/alice:/bin/sh\nbob:x:2:2::/home/bob:/bin/sh\n')
    theirs = [
        place.put('home/alice/.config/containers/registries.conf', ''),
        place.put('root/.config/containers/registries.conf.d/1.conf', OTHER),
        place.put('home/bob/.config/containers/registries.conf.d/1.conf', OTHER.replace('docker.io', 'quay.io')),
        place.put('home/bob/.config/containers/registries.conf.d/1.bak', OTHER),
    ]
    os.mkfifo(place.root / 'home/bob/.config/containers/registries.conf.d/2.conf')
    before = [file.read_text() for file in theirs]
    found = place.run(ONE)
    assert found['hidden_for'] == [
        {'user': 'root', 'path': '/root/.config/containers/registries.conf.d/1.conf'},
        {'user': 'alice', 'path': '/home/alice/.config/containers/registries.conf'},
    ]
    assert len(place.warnings) == 2
    assert [file.read_text() for file in theirs] == before
    assert place.run({})['hidden_for'] == []


@pytest.fixture
def alice(place: Place, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a user who is whoever runs the tests, so that no process has to become somebody else."""
    home = place.root / 'home/alice'
    home.mkdir(parents=True)
    place.put('etc/passwd', f'alice:x:{os.geteuid()}:1::/home/alice:/bin/sh\n')
    monkeypatch.setattr(_registries_work, 'account', lambda name: Account(name, os.geteuid(), os.getegid(), str(home)))
    return home


def all_below(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() if path.is_file() else '' for path in sorted(folder.rglob('*'))}


def test_a_user_is_given_them_beside_the_users_own_files(place: Place, alice: Path) -> None:
    place.put('home/alice/.config/containers/registries.conf', 'unqualified-search-registries = ["docker.io"]\n')
    before, system = all_below(alice), place.tree()
    assert [one['user'] for one in place.run(ONE, check=True)['hidden_for']] == ['alice']
    told = place.run(ONE, user='alice', directory=None)
    ours = alice / '.config/containers/registries.conf.d' / HUB
    assert (told['changed'], [one['path'] for one in told['files']], told['hidden_for'], place.warnings) == (True, [str(ours)], [], [])
    assert 'location = "a.lan:5000"' in ours.read_text()
    assert (place.run(ONE, user='alice', directory=None)['changed'], place.tree()) == (False, system)
    assert place.run(ONE)['hidden_for'] == []
    both = {**ONE, 'quay.io': ['http://a.lan:5000']}
    assert [one['user'] for one in place.run(both)['hidden_for']] == ['alice']  # of quay.io, of which alice has none
    place.run({}, state='absent')
    assert place.run({}, user='alice', directory=None, state='absent')['changed']
    assert all_below(alice) == before


def test_what_a_user_says_of_an_upstream_stays(place: Place, alice: Path) -> None:
    theirs = place.put('home/alice/.config/containers/registries.conf.d/600.conf', OTHER)
    told = place.run(ONE, user='alice', directory=None)
    assert (told['changed'], [one['path'] for one in told['left_out']]) == (False, [str(theirs)])
    assert place.run(ONE, user='alice', directory=None, overwrite=True)['changed']
    assert (theirs.parent / HUB_LAST).exists() and theirs.read_text() == OTHER


@pytest.mark.parametrize('there', [(), ('.local/state',), ('.config/containers', '.local')])
def test_a_home_is_left_as_it_was(place: Place, alice: Path, there: tuple[str, ...]) -> None:
    for folder in there:
        (alice / folder).mkdir(parents=True)
    before = all_below(alice)
    for _round in range(2):
        place.run(ONE, user='alice', directory=None)
    place.run({}, user='alice', directory=None, state='absent')
    assert alice.is_dir() and all_below(alice) == before


def test_what_the_system_says_of_an_upstream_stays_for_a_user_who_reads_it(place: Place, alice: Path) -> None:
    theirs = place.put('etc/containers/registries.conf.d/50-corp.conf', OTHER)
    told = place.run(ONE, user='alice', directory=None)
    assert (told['changed'], [one['path'] for one in told['left_out']]) == (False, [str(theirs)])
    place.put('home/alice/.config/containers/registries.conf', '')  # hides it
    assert place.run(ONE, user='alice', directory=None)['changed']


def test_a_users_drop_in_of_ours_that_does_not_count_hides_the_systems(place: Place, alice: Path) -> None:
    place.put('home/alice/.config/containers/registries.conf', '')
    place.run(ONE, user='alice', directory=None)
    assert place.run(ONE)['hidden_for'] == []
    changed = place.run({'docker.io': ['http://b.lan:5000']})
    assert [one['path'] for one in changed['hidden_for']] == [f'/home/alice/.config/containers/registries.conf.d/{HUB}']
    place.run(ONE)
    place.put('home/alice/.config/containers/registries.conf.d/600.conf', OTHER)
    assert [one['path'] for one in place.run(ONE)['hidden_for']] == ['/home/alice/.config/containers/registries.conf.d/600.conf']


def test_root_does_not_follow_a_users_links(place: Place, alice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise ConfigError(f'looked at {path}')

    monkeypatch.setattr(_registries_work, 'check_hands', refuse)
    monkeypatch.setattr(os, 'geteuid', lambda: 0)
    with pytest.raises(ConfigError, match='looked at'):
        place.run(ONE, user='root', directory=None)


def test_podman_is_asked_for_a_user_with_that_users_files(place: Place, alice: Path) -> None:
    place.put('home/alice/.config/containers/registries.conf', '')
    place.install_podman(GOOD, REFUSED)
    assert place.run(ONE, user='alice', directory=None)['validated_by'] == 'podman'
    before = all_below(alice)
    with pytest.raises(ConfigError, match='Podman cannot read the configuration'):
        place.run({'docker.io': ['http://b.lan']}, user='alice', directory=None)
    assert all_below(alice) == before


GOOD = info(docker_io=[{'Location': 'a.lan:5000', 'Insecure': True, 'PullFromMirror': 'all'}])
REFUSED = Result(125, '', 'Error: getting registries: toml: bad\n')
BAD = [(REFUSED, 'getting registries: toml: bad'), (info(docker_io=[]), r'For docker\.io Podman reads other mirrors')]


def test_podman_reads_what_is_to_be_written_and_what_was(place: Place) -> None:
    place.install_podman(GOOD, GOOD, GOOD, GOOD, GOOD, info(), info())
    assert place.run(ONE, check=True)['validated_by'] == 'podman'
    assert place.run(ONE)['validated_by'] == 'podman'
    assert place.run(ONE, check=True)['validated_by'] == 'podman'
    assert place.run(ONE)['validated_by'] == 'podman'
    assert place.run(ONE, validate='never')['validated_by'] == ''
    assert place.run({})['validated_by'] == 'podman'
    assert place.answers == []


def test_the_candidate_is_all_that_a_client_would_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put('etc/containers/registries.conf', 'a = "main"\n')
    place.put('etc/containers/registries.conf.d/400-theirs.conf', OTHER)
    place.put('etc/containers/registries.conf.d/README', '')
    place.run({'quay.io': ['https://q.lan']})
    read: list[dict[str, bytes]] = []

    def ask(_tools: podman.Tools, _host: podman.Host, candidate: t.Any, _directory: str) -> podman.Answer:
        read.append(candidate)
        return podman.understand(GOOD)

    place.install_podman()
    monkeypatch.setattr(podman, 'ask', ask)
    place.run({**ONE, 'quay.io': []}, overwrite=True, check=True)
    names = ['registries.conf', 'registries.conf.d/400-theirs.conf', f'registries.conf.d/{HUB}']
    assert (len(read), sorted(read[0])) == (1, names)
    assert read[0]['registries.conf.d/400-theirs.conf'] == OTHER.encode()
    place.run({**ONE, 'quay.io': []}, overwrite=True)
    assert read[1:] == [read[0], None]
    place.run({**ONE, 'quay.io': []}, overwrite=True, directory=f'{place.base}/elsewhere')
    assert [sorted(one) for one in read[3:]] == [['registries.conf', f'registries.conf.d/{HUB}']]


@pytest.mark.parametrize('answer, words', BAD)
@pytest.mark.parametrize('check', [False, True])
def test_what_podman_would_refuse_is_never_written(place: Place, answer: Result, words: str, check: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    place.install_podman(answer)
    before = place.tree()
    monkeypatch.setattr(_owned_files, 'apply', None)
    with pytest.raises(ConfigError, match=words) as caught:
        place.run(ONE, check=check)
    assert 'put back' not in str(caught.value)
    assert place.tree() == before


@pytest.mark.parametrize('answer, words', BAD)
def test_what_podman_refuses_in_its_place_does_not_stay(place: Place, answer: Result, words: str) -> None:
    place.install_podman(GOOD, answer)
    before = place.tree()
    with pytest.raises(ConfigError, match=f'{words}.*was put back'):
        place.run(ONE)
    assert place.tree() == before
    place.install_podman(GOOD, GOOD)
    place.run(ONE)
    before = place.tree()
    place.answers[:] = [answer]
    with pytest.raises(ConfigError, match=words) as caught:
        place.run(ONE)
    assert 'put back' not in str(caught.value)
    assert place.tree() == before


def test_what_was_there_comes_back_whatever_the_run_was_about(place: Place) -> None:
    place.install_podman(GOOD, GOOD)
    place.run(ONE)
    before = place.tree()
    for wanted in ({'docker.io': [], 'quay.io': ['https://q.lan']}, {'quay.io': ['https://q.lan']}, {'docker.io': ['https://q.lan']}):
        mirrors = [{'Location': 'q.lan', 'PullFromMirror': 'all'}]
        place.install_podman(info(docker_io=mirrors, quay_io=mirrors), REFUSED)
        with pytest.raises(ConfigError, match='was put back'):
            place.run(wanted)
        assert place.tree() == before


def test_ours_can_be_taken_away_whatever_others_broke(place: Place) -> None:
    before = place.tree()
    place.install_podman(GOOD, GOOD, REFUSED, REFUSED)
    place.run(ONE)
    assert place.run({})['changed']
    assert place.tree() == before
    assert 'Podman cannot read the configuration: Error: getting registries: toml: bad' in place.warnings
    assert place.answers == []


def test_a_podman_that_cannot_be_asked_is_a_warning(place: Place) -> None:
    place.install_podman(*[Result(125, '', 'Error: unknown flag: --root\n')] * 2)
    assert place.run(ONE)['validated_by'] == ''
    assert 'unknown flag' in place.warnings[0]


@pytest.mark.parametrize(
    'upstreams, words',
    [
        ({'https://docker.io': []}, 'is no registry'),
        ({'docker.io': 'http://a.lan'}, r'upstreams\.docker\.io: a list of mirrors is expected'),
        ({'docker.io': None}, r'upstreams\.docker\.io: a list of mirrors is expected, not null'),
        ({'docker.io': ['a.lan']}, r'upstreams\.docker\.io\[0\]'),
        ({'docker.io': [{'url': 'http://a.lan', 'x': 1, 'headers': {'X': 'S3CRET'}}]}, "unknown key 'x'"),
    ],
)
def test_what_is_asked_wrongly(place: Place, upstreams: t.Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        place.run(upstreams)
    assert list(place.dropins.iterdir()) == []
    # Of all that was given only what is secret is cut out of the message.
    assert place.no_log == ({'S3CRET'} if 'S3CRET' in str(upstreams) else set())
