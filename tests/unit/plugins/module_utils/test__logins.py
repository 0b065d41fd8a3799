# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
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
# Keeps what it is told in a file of its name; one whose name ends like a verb fails at that.
HELPER = r"""import json, os, sys
place = os.path.join(os.environ['HOME'], os.path.basename(sys.argv[0]) + '.json')
kept = json.load(open(place)) if os.path.exists(place) else {}
verb, said = sys.argv[1], sys.stdin.read().strip()
if sys.argv[0].endswith(verb):
    sys.exit(print('Try "disk init".') or 2)
if verb == 'store':
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
    """A home with helpers on the way."""
    programs = tmp_path / 'bin'
    programs.mkdir()
    for name in ('works', 'other', 'bad-store', 'bad-get', 'bad-erase'):
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
    path = put(home, {'credHelpers': {'one.io': 'works', 'two.io': 'bad-store'}})
    before = path.read_text()
    with pytest.raises(ConfigError, match=r'failed to store.*disk init".*was not written\. Stored with helpers before that: one\.io'):
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


def test_the_helper_that_a_login_leaves_forgets_it(home: Path) -> None:
    path = put(home, {'credsStore': 'works'})
    _logins.work(target(home, wanted('one.io')), write=True)
    for helper in ('other', 'works', ''):
        moved = target(home, wanted('one.io', helper=helper))
        said = _logins.work(moved, write=False)
        assert sorted([*kept(home), *kept(home, 'other')]) == ['one.io'], 'a look erases nothing'
        assert _logins.work(moved, write=True) == said
        assert said['logins'][0]['changed']
        assert [list(kept(home, name)) for name in ('works', 'other')] == [['one.io'] if helper == name else [] for name in ('works', 'other')]
        assert not _logins.work(moved, write=True)['changed']
    assert json.loads(path.read_text())['auths'] == {'one.io': ACME.entry()}


def test_a_helper_that_does_not_erase_is_told_of_when_the_login_has_moved(home: Path) -> None:
    path = put(home, {'credHelpers': {'one.io': 'bad-erase', 'two.io': 'bad-erase'}})
    _logins.work(target(home, wanted('one.io'), wanted('two.io')), write=True)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match=r'bad-erase failed to erase the login of one\.io') as caught:
        _logins.work(target(home, wanted('one.io', helper=''), wanted('two.io', helper='works')), write=True)
    told = str(caught.value)
    assert f'The login is in its new place by now, {path}.' in told
    assert 'The login is in its new place by now, the helper works.' in told
    assert 'echo two.io | docker-credential-bad-erase erase' in told
    assert 'not written' not in told
    assert json.loads(path.read_text())['auths']['one.io'] == ACME.entry()
    assert kept(home)['two.io']['Secret'] == 'pass'
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_helper_that_is_broken_or_gone_can_be_left(home: Path) -> None:
    put(home, {'credHelpers': {'one.io': 'bad-get', 'two.io': 'gone'}})
    told = _logins.work(target(home, wanted('one.io', helper=''), wanted('two.io', helper='')), write=True)
    assert [login['helper'] for login in told['logins']] == ['', '']
    assert len(told['warnings']) == 1
    assert 'bad-get may still keep the login of one.io' in told['warnings'][0]
    assert 'echo one.io | docker-credential-bad-get erase' in told['warnings'][0]
    again = _logins.work(target(home, wanted('one.io', helper=''), wanted('two.io', helper='')), write=True)
    assert (again['changed'], again['warnings']) == (False, [])


@pytest.mark.parametrize(
    'file, helper, told',
    [
        ({}, 'gone', ['gone, named by auths[4].helper, was not found', "Install it, or name another one, or say helper: ''"]),
        ({'credsStore': 'gone'}, None, ['named by credsStore in /', 'take it out of credsStore', "helper: '' in auths[4]"]),
        ({'credHelpers': {'one.io': 'gone'}, 'credsStore': 'works'}, None, ['named by credHelpers in /', 'take it out of credHelpers']),
        ({'credHelpers': {'one.io': 'gone'}}, 'gone', ['named by auths[4].helper']),
        ({'credsStore': '../gone'}, None, ["'../gone', named by credsStore in /"]),
        ({}, 'bad-get', ['named by auths[4].helper, failed to get', 'exit code 2): Try "disk init". Mend it, or name another one']),
    ],
)
def test_a_helper_that_does_not_work_is_told_by_where_its_name_stands(home: Path, file: t.Any, helper: str | None, told: list[str]) -> None:
    put(home, file)
    login = dataclasses.replace(wanted('one.io', helper=helper), option='auths[4]')
    with pytest.raises(ConfigError) as caught:
        _logins.work(target(home, login), write=False)
    assert [text for text in told if text not in str(caught.value)] == [], str(caught.value)
    with pytest.raises(ConfigError) as caught:
        _logins.work(target(home, wanted('one.io', None)), write=False) if not helper else _logins.work(target(home, login), write=True)
    assert helper or "helper: ''" not in str(caught.value), 'a login that is to be gone has no use for it'


def shown(told: t.Mapping[str, t.Any]) -> tuple[list[str], list[str]]:
    return told['before'], told['after']


def test_lines_of_what_a_helper_keeps(home: Path) -> None:
    put(home, {'credHelpers': {'one.io': 'works'}})
    goes = 'one.io goes to the helper works'
    kept_there = ['one.io: acme, kept by the helper works', goes]
    assert shown(_logins.work(target(home, wanted('one.io')), write=True)) == ([goes], kept_there)
    assert shown(_logins.work(target(home, wanted('one.io')), write=True)) == (kept_there, kept_there)
    changed = _logins.work(target(home, wanted('one.io', Secret('acme', 'new'))), write=True)
    assert shown(changed) == (kept_there, [*kept_there, '(a secret changes: one.io)'])
    token = ['one.io: an identity token, kept by the helper works', goes]
    assert shown(_logins.work(target(home, wanted('one.io', Secret('acme', identity_token='tok'))), write=True)) == (kept_there, token)
    assert shown(_logins.work(target(home, wanted('one.io', helper='')), write=True)) == (token, ['one.io: acme by a password'])
    moved = _logins.work(target(home, wanted('one.io', helper='other')), write=True)
    other = ['one.io: acme, kept by the helper other', 'one.io goes to the helper other']
    assert shown(moved) == (['one.io: acme by a password'], other)
    assert shown(_logins.work(target(home, wanted('one.io', None)), write=True)) == (other, other[1:])


def test_lines_of_logins_that_exclusive_takes_from_helpers(home: Path) -> None:
    put(home, {'credHelpers': {'one.io': 'works'}, 'credsStore': 'works'})
    _logins.work(target(home, wanted('one.io'), wanted('two.io')), write=True)
    before, after = shown(_logins.work(target(home, wanted('one.io'), exclusive=True), write=True))
    assert before == ['one.io: acme, kept by the helper works', 'two.io: acme, kept by the helper works', 'one.io goes to the helper works']
    assert after == [before[0], before[2]]


def test_lines_of_what_was_not_asked_for(home: Path) -> None:
    """Helpers are asked about the logins of the task alone."""
    auths = {'two.io': {}, 'three.io': {'identitytoken': 'x'}, 'four.io': None}
    put(home, {'auths': auths, 'credHelpers': {'two.io': 'gone', 'four.io': ''}, 'credsStore': ''})
    before, after = shown(_logins.work(target(home, wanted('one.io')), write=True))
    assert before == [
        'two.io: kept by the helper gone', 'three.io: an identity token', 'four.io: no login', 'two.io goes to the helper gone', 'four.io goes to no helper',
    ]  # fmt: skip
    assert after == [*before[:3], 'one.io: acme by a password', *before[3:]]


def test_lines_of_containers_files(home: Path) -> None:
    given: dict[str, t.Any] = {'form': CONTAINERS}
    _logins.work(target(home, wanted('quay.io/team', **given), wanted('one.io', **given), **given), write=True)
    told = _logins.work(target(home, wanted('one.io', helper='works', **given), **given), write=True)
    assert told['before'] == ['quay.io/team: acme by a password', 'one.io: acme by a password']
    assert told['after'] == ['quay.io/team: acme by a password', 'one.io: acme, kept by the helper works', 'one.io goes to the helper works']


def test_notes_on_what_no_line_shows(home: Path) -> None:
    hub, quay = 'https://index.docker.io/v1/', 'quay.io'
    path = put(home, {'auths': {hub: ACME.entry(), quay: ACME.entry()}, 'proxies': {'default': {'httpProxy': 'http://a:b@proxy:1'}}})
    new = Secret('acme', 'new')
    both = target(home, wanted('docker.io', new), wanted('quay.io', Secret('bob', 'new')), proxies={'http_proxy': 'http://a:c@proxy:1'})
    before, after = shown(_logins.work(both, write=True))
    assert after == [before[0], 'quay.io: bob by a password', before[2], f'(a secret changes: {hub})', '(a password in a proxy changes)']
    assert shown(_logins.work(both, write=True))[1] == after[:3]
    path.chmod(0o644)
    assert shown(_logins.work(both, write=True)) == (after[:3], [*after[:3], '(the mode changes: 0644 to 0600)'])
    path.parent.chmod(0o755)
    assert _logins.work(both, write=True)['after'] == [*after[:3], f'(the mode of {path.parent} changes: 0755 to 0700)']
    put_back = {'auths': {quay: ACME.entry()}, 'proxies': {}}
    path.write_text(json.dumps(put_back))
    assert _logins.work(target(home, proxies={}), write=True)['after'] == ['quay.io: acme by a password', '(what stands beside the logins changes)']


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
        _logins.read_login({'registry': 'quay.io', **raw}, DOCKER, 'auths[3]')
    assert 'auths[3] (quay.io)' in str(caught.value)
    assert 's3cret' not in str(caught.value)
    with pytest.raises(ConfigError, match=told) as caught:
        _logins.check_items([{'registry': 'quay.io', **LOGIN}, {'registry': 'quay.io', **raw}], option='registry_access_auths')
    assert 'registry_access_auths[1] (quay.io)' in str(caught.value)
    assert 's3cret' not in str(caught.value)


LOGIN = {'username': 'acme', 'password': 's3cret'}


@pytest.mark.parametrize(
    'helper, told',
    [
        ('docker-credential-pass', "auths[3].helper: 'docker-credential-pass' is the name of the program; write pass,"),
        ('/usr/bin/docker-credential-ecr-login', 'write ecr-login,'),
        ('a b', "auths[3].helper: 'a b' is no name of a credential helper"),
    ],
)
def test_helpers_are_written_by_their_short_name(helper: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _logins.read_login({'registry': 'quay.io', **LOGIN, 'helper': helper}, DOCKER, 'auths[3]')
    assert told in str(caught.value)


def test_a_registry_of_null_is_none() -> None:
    with pytest.raises(ConfigError, match=r'auths\[3\]\.registry: this is missing'):
        _logins.read_login({'registry': None, **LOGIN}, DOCKER, 'auths[3]')


@pytest.mark.parametrize(
    'auths',
    [
        None,
        [],
        [{'registry': 'docker.io', **LOGIN}],
        [{'registry': 'quay.io/team', 'identity_token': 'tok', 'user': 1000, 'insecure': 'yes', 'state': None, 'format': 'containers', 'helper': None}],
        [{'registry': 'quay.io/team', 'state': 'absent'}, {'registry': 'quay.io', 'state': 'absent', **LOGIN, 'helper': '', 'config_path': '~/x'}],
    ],
)
def test_items_as_they_may_be_written(auths: t.Any) -> None:
    _logins.check_items(auths)


@pytest.mark.parametrize(
    'item, told',
    [
        ('s3cret', 'auths[2]: a dict with registry, username and password is expected, and this is a string.'),
        (None, 'auths[2]: a dict with registry, username and password is expected, and this is null.'),
        ({'pasword': 's3cret'}, 'auths[2].pasword: there is no such key. Did you mean password?'),
        ({'User_Name': 'acme'}, 'auths[2].User_Name: there is no such key. Did you mean username?'),
        ({'zzz': 's3cret'}, 'auths[2].zzz: there is no such key. An item may have registry, username,'),
        ({'password:s3cret': None}, 'auths[2].password: a space is missing behind the colon.'),
        ({'registry': None}, 'auths[2].registry: this is missing'),
        ({'registry': ''}, "auths[2].registry: '' is no registry"),
        ({'registry': 'user:s3cret@quay.io'}, 'auths[2].registry: '),
        ({'registry': ['quay.io']}, 'auths[2].registry: a text is expected, and this is a list.'),
        ({'state': 'gone'}, "auths[2].state: 'gone' is none of absent and present."),
        ({'format': 'podman'}, "auths[2].format: 'podman' is none of docker and containers."),
        ({'format': 'docker', 'registry': 'quay.io/team'}, 'use the format containers'),
        ({'password': 815}, 'auths[2].password: a text is expected, and this is a number; put it into quotes.'),
        ({'password': {'s3cret': 1}}, 'auths[2].password: a text is expected, and this is a dict.'),
        ({'username': True}, 'auths[2].username: a text is expected, and this is a boolean; put it into quotes.'),
        ({'user': False}, 'auths[2].user: a text is expected'),
        ({'insecure': 's3cret'}, 'auths[2].insecure: true or false is expected, and this is a string.'),
        ({'helper': 'docker-credential-pass'}, 'auths[2].helper: '),
        ({'identity_token': 's3cret'}, 'auths[2] (quay.io): give either a password or an identity_token, not both.'),
        ({'password': None}, 'auths[2] (quay.io): give either a password or an identity_token.'),
        ({'username': ''}, 'auths[2] (quay.io): a username is missing.'),
    ],
)
def test_slips_in_items_are_told_without_a_secret(item: t.Any, told: str) -> None:
    good = {'registry': 'quay.io', **LOGIN}
    with pytest.raises(ConfigError) as caught:
        _logins.check_items([good, good, {**good, **item} if isinstance(item, dict) else item])
    assert told in str(caught.value)
    assert 's3cret' not in str(caught.value)
    assert '815' not in str(caught.value)


def test_what_is_no_list_of_items() -> None:
    for value in ('s3cret', {'registry': 's3cret'}, 7):
        with pytest.raises(ConfigError, match=r'^registry_access_auths: a list of logins is expected, and this is a') as caught:
            _logins.check_items(value, option='registry_access_auths')
        assert 's3cret' not in str(caught.value)


def test_items_are_checked_on_a_controller_as_well() -> None:
    """Which may be no Linux."""
    strip = "import os; [delattr(os, name) for name in ('geteuid', 'setresuid', 'setresgid', 'getgrouplist') if hasattr(os, name)]"
    work = f"{strip}; from {_logins.__name__} import check_items; check_items([{{'registry': 'quay.io', 'state': 'absent'}}])"
    subprocess.run([sys.executable, '-c', work], check=True, env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)})


def test_the_kubelets_file_is_written_like_any_other(home: Path) -> None:
    """Passwords in `auths`, as the kubelet reads them; what else is in the file stays, and so does its directory."""
    path = home / 'kubelet' / 'config.json'
    path.parent.mkdir(mode=0o755)
    path.write_text(json.dumps({'auths': {'theirs.io': {'auth': 'eDp5'}}, 'x': 1}))
    me = Account('me', os.geteuid(), os.getegid(), str(home))

    def run(secret: Secret | None) -> bool:
        logins = (wanted('docker.io', secret), wanted('a.io:5000', secret))
        return bool(_logins.work(dataclasses.replace(_logins.target_of(me, DOCKER, str(path)), logins=logins), write=True)['changed'])

    assert (run(ACME), run(ACME)) == (True, False)
    auth = {'auth': 'YWNtZTpwYXNz'}
    assert json.loads(path.read_text()) == {'auths': {'theirs.io': {'auth': 'eDp5'}, 'https://index.docker.io/v1/': auth, 'a.io:5000': auth}, 'x': 1}
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o755)
    assert run(None)
    assert json.loads(path.read_text()) == {'auths': {'theirs.io': {'auth': 'eDp5'}}, 'x': 1}
    assert not (home / '.docker').exists()
