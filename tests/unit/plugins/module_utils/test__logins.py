# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import json
import os
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _logins
from ansible_collections.quickpull.registry.plugins.module_utils._as_user import Account
from ansible_collections.quickpull.registry.plugins.module_utils._auth_file import CONTAINERS, DOCKER, Secret, parse_registry
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._logins import Target, Wanted

ACME = Secret('acme', 'pass')
# Keeps what it is told in a file of its name; `fails` fails at the verb in that file's place.
HELPER = r"""import json, os, sys
place = os.path.join(os.environ['HOME'], os.path.basename(sys.argv[0]) + '.json')
kept = json.load(open(place)) if os.path.exists(place) else {}
verb, said = sys.argv[1], sys.stdin.read().strip()
if verb == 'store':
    if 'fails' in place:
        sys.exit(print('disk is full') or 2)
    new = json.loads(said)
    kept[new['ServerURL']] = new
elif said not in kept:
    sys.exit(print('credentials not found in native keychain') or 1)
elif verb == 'erase':
    del kept[said]
else:
    print(json.dumps(kept[said]))
json.dump(kept, open(place, 'w'))
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the helpers `works` and `fails` on the way."""
    programs = tmp_path / 'bin'
    programs.mkdir()
    for name in ('works', 'fails'):
        (programs / f'docker-credential-{name}').write_text(f'#!{sys.executable} -IS\n{HELPER}')
        (programs / f'docker-credential-{name}').chmod(0o755)
    monkeypatch.setenv('PATH', f'{programs}:{os.environ["PATH"]}')
    (tmp_path / 'home').mkdir()
    return tmp_path / 'home'


def target(home: Path, *logins: Wanted, form: str = DOCKER, **more: t.Any) -> Target:
    me = Account('me', os.geteuid(), os.getegid(), str(home))
    return dataclasses.replace(_logins.target_of(me, form, None), logins=logins, **more)


def wanted(name: str, secret: Secret | None = ACME, *, form: str = DOCKER, helper: str | None = None) -> Wanted:
    return Wanted(parse_registry(name, form), secret, helper)


def put(home: Path, value: t.Any) -> Path:
    path = home / '.docker' / 'config.json'
    path.parent.mkdir(mode=0o700)
    path.write_text(json.dumps(value))
    path.chmod(0o600)
    return path


def kept(home: Path, name: str = 'works') -> t.Any:
    path = home / f'docker-credential-{name}.json'
    return json.loads(path.read_text()) if path.exists() else {}


def test_a_look_writes_nothing_and_tells_what_a_run_does(home: Path) -> None:
    told = _logins.work(target(home, wanted('quay.io')), write=False)
    assert told['changed']
    assert list(home.iterdir()) == []
    done = _logins.work(target(home, wanted('quay.io')), write=True)
    assert done == told
    assert not _logins.work(target(home, wanted('quay.io')), write=True)['changed']
    assert 'pass' not in json.dumps({name: value for name, value in done.items() if name != 'path'}).replace('a password', '')


def test_what_was_stored_before_a_failure_is_told(home: Path) -> None:
    path = put(home, {'credHelpers': {'one.io': 'works', 'two.io': 'fails'}})
    before = path.read_text()
    with pytest.raises(ConfigError, match=r'failed to store.*disk is full.*was not written\. Stored with helpers before that: one\.io'):
        _logins.work(target(home, wanted('one.io'), wanted('two.io')), write=True)
    assert path.read_text() == before


def test_exclusive_reaches_what_helpers_keep(home: Path) -> None:
    put(home, {'credHelpers': {'one.io': 'works', 'two.io': 'works'}})
    _logins.work(target(home, wanted('one.io'), wanted('two.io')), write=True)
    assert sorted(kept(home)) == ['one.io', 'two.io']
    assert _logins.work(target(home, wanted('one.io'), exclusive=True), write=True)['changed']
    assert list(kept(home)) == ['one.io']
    assert not _logins.work(target(home, wanted('one.io'), exclusive=True), write=True)['changed']


def test_a_token_in_a_helper_may_be_anybodys(home: Path) -> None:
    put(home, {'credHelpers': {'one.io': 'works'}})
    _logins.work(target(home, wanted('one.io', Secret('alice', identity_token='tok'))), write=True)
    assert kept(home)['one.io']['Username'] == '<token>'
    assert _logins.work(target(home, wanted('one.io', Secret('bob', 'pw'))), write=True)['changed']
    assert kept(home)['one.io'] == {'ServerURL': 'one.io', 'Username': 'bob', 'Secret': 'pw'}
    assert not _logins.work(target(home, wanted('one.io', Secret('bob', 'pw'))), write=True)['changed']


def test_no_helper_takes_the_login_back_into_the_file(home: Path) -> None:
    path = put(home, {'credsStore': 'works'})
    _logins.work(target(home, wanted('one.io')), write=True)
    assert _logins.work(target(home, wanted('one.io', helper='')), write=True)['changed']
    assert json.loads(path.read_text()) == {'credsStore': 'works', 'auths': {'one.io': ACME.entry()}, 'credHelpers': {'one.io': ''}}


def test_helpers_are_for_whole_registries(home: Path) -> None:
    team = wanted('quay.io/team', form=CONTAINERS, helper='works')
    with pytest.raises(ConfigError, match='whole registries'):
        _logins.work(target(home, team, form=CONTAINERS), write=True)
    _logins.work(target(home, wanted('quay.io', form=CONTAINERS, helper='works'), form=CONTAINERS), write=True)
    with pytest.raises(ConfigError, match='would never be used'):
        _logins.work(target(home, wanted('quay.io/team', form=CONTAINERS), form=CONTAINERS), write=True)


def test_a_proxys_password_is_not_shown(home: Path) -> None:
    put(home, {'proxies': {'default': {'httpProxy': 'bob:s3cret@proxy:3128', 'odd': 's3cret', 'httpsProxy': 'http://bob:s3cret@proxy:3128'}}})
    told = _logins.work(target(home, proxies={'no_proxy': ['a']}), write=False)
    assert 's3cret' not in json.dumps(told)


def test_a_user_without_a_home_is_told_of_before_the_run(home: Path) -> None:
    for write in (False, True):
        with pytest.raises(ConfigError, match='no home directory'):
            _logins.work(target(home / 'nowhere', wanted('quay.io')), write=write)


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can become somebody else')
def test_what_root_left_in_a_home_is_told_of(home: Path) -> None:
    home.parent.chmod(0o755)
    home.parent.parent.chmod(0o755)
    path = put(home, {'auths': {}})
    path.parent.chmod(0o755)
    nobody = Account('nobody', 65534, 65534, str(home))
    with pytest.raises(ConfigError, match=r'chown -R nobody .*/\.docker'):
        _logins.work(dataclasses.replace(target(home, wanted('quay.io')), account=nobody), write=False)


def test_items_that_contradict_each_other() -> None:
    me = Account('me', 1, 1, '/home/me')
    one = wanted('quay.io')
    assert len(_logins.make_targets([(me, DOCKER, None, one), (me, DOCKER, None, one), (me, CONTAINERS, None, one)])) == 2
    with pytest.raises(ConfigError, match='two different logins'):
        _logins.make_targets([(me, DOCKER, None, one), (me, DOCKER, None, wanted('quay.io', Secret('x', 'y')))])
    with pytest.raises(ConfigError, match='One file has one format'):
        _logins.make_targets([(me, DOCKER, '/a', one), (me, CONTAINERS, '/a', one)])
    with pytest.raises(ConfigError, match='not absolute'):
        _logins.make_targets([(me, DOCKER, 'a', one)])


@pytest.mark.parametrize(
    'raw, told',
    [
        ({'username': 'a'}, 'either a password or an identity_token'),
        ({'username': 'a', 'password': 's3cret', 'identity_token': 's3cret'}, 'not both'),
        ({'password': 's3cret'}, 'username is missing'),
        ({'username': 'a:b', 'password': 's3cret'}, 'colon'),
        ({'username': 'a', 'password': 's3cret\x00'}, 'cannot be sent'),
        ({'username': 'a', 'password': 's3cret\ud800'}, 'cannot be sent'),
    ],
)
def test_items_that_no_registry_could_be_told(raw: dict[str, t.Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        _logins.read_login({'registry': 'quay.io', **raw}, DOCKER, 3)
    assert 'auths[3] (quay.io)' in str(caught.value)
    assert 's3cret' not in str(caught.value)
