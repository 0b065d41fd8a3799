# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _podman_proxies, _toml
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._podman_proxies import Env
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.modules import podman_proxies
from ansible_collections.quickpull.registry.tests.unit.plugins.fake_module import FakeModule

PROXY = 'http://proxy.lan:3128'
SECRET = 'http://acme:S3CRET@proxy.lan:3128'
ONE = {'https_proxy': PROXY, 'no_proxy': ['a.lan', '.b.lan']}
OURS = ['HTTPS_PROXY=http://proxy.lan:3128', 'NO_PROXY=a.lan,.b.lan']
DEFAULTS: dict[str, t.Any] = {'proxies': None, 'expose_password': False, 'owner': 'registry_access', 'state': 'present'}


class Place:
    """A host in a folder, and the module's ``run``."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.etc = root / 'etc'
        self.etc.mkdir()
        self.dropins = self.etc / 'containers.conf.d'
        self.file = self.dropins / _podman_proxies.FILE_NAME
        self.shipped = root / 'shipped.conf'
        self.state = State(str(root / 'state'))
        self.warnings: list[str] = []
        monkeypatch.setattr(_podman_proxies.files, '__defaults__', (str(self.shipped),))

    def run(self, proxies: t.Any = None, *, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        module = FakeModule(check, {**DEFAULTS, 'proxies': proxies, 'directory': str(self.dropins), **params})
        try:
            return podman_proxies.run(t.cast(t.Any, module), self.state)
        finally:
            self.warnings = module.warnings

    def put(self, name: str, text: str) -> Path:
        path = self.etc / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def env(self) -> list[str]:
        found: list[str] = _toml.loads(self.file.read_text())['engine']['env']
        return found

    def tree(self) -> dict[str, str | None]:
        return {str(at.relative_to(self.etc)): at.read_text() if at.is_file() else None for at in sorted(self.etc.rglob('*'))}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def env(*values: str, append: bool = False) -> str:
    return '[engine]\nenv = [' + ', '.join([*(json.dumps(one) for one in values), *(['{append=true}'] if append else [])]) + ']\n'


def test_written_once_and_taken_away(place: Place) -> None:
    foreseen = place.run(ONE, check=True)
    assert place.tree() == {}
    first = place.run(ONE)
    assert foreseen == first
    assert (first['changed'], first['path']) == (True, str(place.file))
    assert first['variables'] == {'HTTPS_PROXY': PROXY, 'NO_PROXY': 'a.lan,.b.lan'}
    assert (place.env(), place.file.stat().st_mode & 0o777) == (OURS, 0o644)
    assert (first['diff'][0]['before'], first['diff'][0]['after']) == ('', '\n'.join(OURS) + '\n')
    again = place.run(ONE)
    assert (again['changed'], again['diff'], again['variables']) == (False, [], first['variables'])
    assert place.run({'https_proxy': PROXY})['changed']
    assert place.env() == OURS[:1]
    assert place.run(state='absent')['changed']
    assert place.tree() == {}
    assert not place.run({})['changed']
    assert place.warnings == []


def test_a_password_is_left_out_unless_it_may_be_seen(place: Place) -> None:
    found = place.run({'http_proxy': PROXY, 'https_proxy': SECRET})
    assert [(one['variable'], one['path']) for one in found['conflicts']] == [('HTTPS_PROXY', '')]
    assert 'expose_password' in place.warnings[0]
    assert place.env() == ['HTTP_PROXY=http://proxy.lan:3128']
    assert place.run({'https_proxy': SECRET, 'no_proxy': ['a.lan']})['variables'] == {}
    told = place.run({'https_proxy': SECRET}, expose_password=True)
    assert place.env() == [f'HTTPS_PROXY={SECRET}']
    other = place.run({'https_proxy': SECRET.replace('S3', 'T4')}, expose_password=True)
    assert 'which is not shown' in other['diff'][0]['after']
    assert 'CRET' not in json.dumps([found, told, other]) + str(place.warnings)


@pytest.mark.parametrize('name', ['containers.conf', 'containers.conf.d/100-theirs.conf'])
def test_what_an_earlier_file_sets_is_repeated(place: Place, name: str) -> None:
    place.put(name, env('TOKEN=secret-of-theirs', 'TMPDIR=/x'))
    before = place.tree()
    found = place.run(ONE)
    assert place.env() == ['TOKEN=secret-of-theirs', 'TMPDIR=/x', *OURS]
    assert 'secret-of-theirs' not in json.dumps(found)
    assert not place.run(ONE)['changed']
    place.put(name, env('TMPDIR=/y'))
    assert place.run(ONE)['changed']
    assert place.env() == ['TMPDIR=/y', *OURS]
    place.put(name, env('TOKEN=secret-of-theirs', 'TMPDIR=/x'))
    place.run({})
    assert place.tree() == before


def test_what_is_shipped_counts_too(place: Place) -> None:
    place.shipped.write_text(env('A=b'))
    place.put('containers.conf', env('C=d', append=True))
    place.run(ONE)
    assert place.env() == ['A=b', 'C=d', *OURS]
    place.put('containers.conf', env('C=d'))
    place.run(ONE)
    assert place.env() == ['C=d', *OURS]


@pytest.mark.parametrize('name', ['containers.conf', 'containers.conf.d/100-theirs.conf', 'containers.conf.d/900-theirs.conf'])
def test_what_others_set_is_left_to_them(place: Place, name: str) -> None:
    theirs = place.put(name, env('https_proxy=http://other.lan:1', 'NO_PROXY=.b.lan,a.lan,c.lan'))
    before = place.tree()
    found = place.run(ONE)
    assert [(one['variable'], one['path']) for one in found['conflicts']] == [('HTTPS_PROXY', str(theirs))]
    assert (found['changed'], place.tree()) == (False, before)
    assert len(place.warnings) == 1


def test_a_later_file_that_would_hide_ours_is_told(place: Place) -> None:
    place.run(ONE)
    theirs = place.put('containers.conf.d/900-theirs.conf', env('A=b'))
    found = place.run(ONE)
    assert {one['path'] for one in found['conflicts']} == {str(theirs)}
    assert found['changed'] and not place.file.exists()
    place.put('containers.conf.d/900-theirs.conf', env('A=b', append=True))
    found = place.run(ONE)
    assert (found['conflicts'], place.env()) == ([], OURS)


def test_a_file_of_somebody_else_in_our_place(place: Place) -> None:
    place.put(f'containers.conf.d/{_podman_proxies.FILE_NAME}', '[containers]\n')
    before = place.tree()
    found = place.run(ONE)
    assert (found['changed'], found['variables']) == (False, {})
    assert 'was not written by this collection' in place.warnings[0]
    assert place.tree() == before


def test_what_podman_cannot_read_is_an_error_but_not_for_taking_ours_away(place: Place) -> None:
    place.run(ONE)
    broken = place.put('containers.conf', '[engine\n')
    with pytest.raises(ConfigError, match=str(broken)):
        place.run(ONE)
    assert place.run({})['changed']
    with pytest.raises(ConfigError, match=r'proxies\.https_proxy'):
        place.run({'https_proxy': 'gopher://x'})


def test_texts_without_env(place: Place) -> None:
    assert _podman_proxies.read_env('x', 'engine = 1\n') is None
    assert _podman_proxies.shown('[engine\n') == '(a file that is no valid TOML)\n'
    assert _podman_proxies.shown('[containers]\n') == '(a file without env)\n'


def podman_reads(envs: t.Sequence[Env]) -> dict[str, str]:
    """As measured: in order, a whole list replaces the one before."""
    found: list[str] = []
    for one in envs:
        found = [*(found if one.appends else []), *one.variables]
    return dict(text.partition('=')[::2] for text in found)


NAMES = st.sampled_from(['A=1', 'A=2', 'B=1', 'HTTPS_PROXY=http://x:1', 'NO_PROXY=a'])
PATHS = ['/e/containers.conf', '/e/d/1.conf', '/e/d/4.conf', '/e/d/6.conf', '/e/d/9.conf']


SAID = st.tuples(st.lists(NAMES, max_size=3, unique_by=lambda one: one[:2]), st.booleans())


@example([(['A=2'], False), (['A=1'], True), (['A=2'], True), ([], False), ([], False)], [True, True, True, False, False])
@given(st.lists(SAID, min_size=5, max_size=5), st.lists(st.booleans(), min_size=5, max_size=5))
def test_nothing_of_others_is_lost_and_what_is_ours_counts(said: list[tuple[list[str], bool]], there: list[bool]) -> None:
    others = [Env(path, tuple(values), appends) for path, (values, appends), here in zip(PATHS, said, there) if here]
    planned = _podman_proxies.plan({'HTTPS_PROXY': 'http://p:1', 'HTTP_PROXY': 'http://p:2'}, '/e/d/5.conf', others)
    before = podman_reads(others)
    if planned.content is None:
        return
    mine = _podman_proxies.read_env('/e/d/5.conf', planned.content.text)
    assert mine is not None
    after = podman_reads(sorted([*others, mine], key=lambda one: (one.path != PATHS[0], one.path)))
    assert after == {**before, **planned.ours}
