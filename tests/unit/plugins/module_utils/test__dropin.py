# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _dropin
from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DROPIN_MARKER, DockerDaemon
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._systemd import UnitFiles, unit_files

PATH = _dropin.default_path()
FOLDER = '/etc/systemd/system/docker.service.d'
PROXY = 'http://user:p%40ss@proxy.lan:3128'


def daemon(environ: t.Mapping[str, str] | None = None, pid: int = 7) -> DockerDaemon:
    return DockerDaemon(installed=True, unit='docker.service', active_state='active', main_pid=pid, environ=environ or {})


def files_of(root: Path, **drop_ins: str) -> UnitFiles:
    for name, text in drop_ins.items():
        path = root / FOLDER.lstrip('/') / f'{name}.conf'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('[Service]\n' + text)
    return unit_files('docker.service', root=str(root), ignore=PATH)


def test_a_per_cent_sign_is_written_twice() -> None:
    text = _dropin.render({'HTTP_PROXY': PROXY, 'NO_PROXY': 'a,*.cn'})
    assert 'Environment="HTTP_PROXY=http://user:p%%40ss@proxy.lan:3128"\n' in text
    assert f'Environment="{DROPIN_MARKER}=HTTP_PROXY,NO_PROXY"\n' in text


VALUES = st.text(st.characters(min_codepoint=0x20, exclude_characters='\x7f', exclude_categories=['Cs']), max_size=30)


@given(st.dictionaries(st.sampled_from(_dropin.NAMES), VALUES), st.booleans())
def test_what_is_written_is_read_back(variables: t.Dict[str, str], made: bool) -> None:
    text = _dropin.render(variables, made_directory=made)
    assert _dropin.parse(text) == variables
    assert _dropin.made_directory(text) is (made and bool(variables))
    assert bool(text) is bool(variables)


def test_wanted_variables_leave_out_what_is_empty() -> None:
    assert _dropin.wanted_variables('', None, []) == {}
    assert _dropin.wanted_variables(PROXY, '', ['a', ' b,a ']) == {'HTTP_PROXY': PROXY, 'NO_PROXY': 'a,b'}


@pytest.mark.parametrize('proxy', ['ftp://p:1', 'http://', 'http://p :1', 'http://p\x01:1', 'http://user:s3cret@'])
def test_a_proxy_that_nobody_can_use_is_refused(proxy: str) -> None:
    with pytest.raises(ConfigError, match=r'proxies\.https_proxy') as caught:
        _dropin.wanted_variables(None, proxy, None)
    assert 's3cret' not in str(caught.value)


def test_masks() -> None:
    assert _dropin.masked({'HTTP_PROXY': PROXY, 'NO_PROXY': 'a'}) == {'HTTP_PROXY': 'http://xxxxx:xxxxx@proxy.lan:3128', 'NO_PROXY': 'a'}
    assert _dropin.has_secret({'HTTP_PROXY': PROXY})
    assert not _dropin.has_secret({'HTTP_PROXY': 'http://proxy.lan:3128', 'NO_PROXY': 'a'})
    assert _dropin.secrets([PROXY, 'http://p', None]) == {PROXY}


def test_a_variable_that_somebody_else_sets_is_theirs(tmp_path: Path) -> None:
    theirs = files_of(tmp_path, proxy='Environment=HTTP_PROXY=http://theirs "NO_PROXY=a,b,c" https_proxy=http://theirs\n')
    found = _dropin.desired({'HTTP_PROXY': 'http://ours', 'HTTPS_PROXY': 'http://ours', 'NO_PROXY': 'c,a'}, PATH, theirs)
    assert found.variables == {}
    assert [(one.variable, one.path) for one in found.conflicts] == [('HTTP_PROXY', f'{FOLDER}/proxy.conf'), ('HTTPS_PROXY', f'{FOLDER}/proxy.conf')]
    assert found.satisfied == ('NO_PROXY',)


def test_an_environment_file_counts_as_somebody_else(tmp_path: Path) -> None:
    (tmp_path / 'etc').mkdir()
    (tmp_path / 'etc/proxy.env').write_text(f'HTTP_PROXY="{PROXY}"\n')
    theirs = files_of(tmp_path, env='EnvironmentFile=/etc/proxy.env\n')
    assert _dropin.desired({'HTTP_PROXY': PROXY}, PATH, theirs) == _dropin.Desired({}, (), ('HTTP_PROXY',))
    conflict = _dropin.desired({'HTTP_PROXY': 'http://ours'}, PATH, theirs).conflicts[0]
    assert conflict.path == '/etc/proxy.env'
    assert 'p%40ss' not in conflict.because


def test_files_that_take_away(tmp_path: Path) -> None:
    unset = _dropin.desired({'HTTP_PROXY': 'http://ours'}, PATH, files_of(tmp_path / 'a', zz='UnsetEnvironment=HTTP_PROXY\n'))
    cleared = _dropin.desired({'HTTP_PROXY': 'http://ours'}, PATH, files_of(tmp_path / 'b', zz='Environment=\n'))
    before = _dropin.desired({'HTTP_PROXY': 'http://ours'}, PATH, files_of(tmp_path / 'c', **{'00-a': 'Environment=\n'}))
    assert [len(found.conflicts) for found in (unset, cleared, before)] == [1, 1, 0]
    assert before.variables == {'HTTP_PROXY': 'http://ours'}


def test_our_own_file_is_not_somebody_elses(tmp_path: Path) -> None:
    ours = tmp_path / PATH.lstrip('/')
    ours.parent.mkdir(parents=True)
    ours.write_text(_dropin.render({'HTTP_PROXY': 'http://old'}))
    assert _dropin.desired({'HTTP_PROXY': 'http://new'}, PATH, files_of(tmp_path)).variables == {'HTTP_PROXY': 'http://new'}


def test_a_drop_in_of_somebody_else_that_is_added_later_is_read_after_ours() -> None:
    assert all(name > _dropin.FILE_NAME for name in ('10-proxy.conf', 'http-proxy.conf', 'override.conf', '00-z.conf'))


NOTHING = UnitFiles()
REASONS: list[tuple[str, dict[str, str], dict[str, str], list[str]]] = [
    ('in force', {'HTTP_PROXY': PROXY}, {'HTTP_PROXY': PROXY, DROPIN_MARKER: 'HTTP_PROXY'}, []),
    ('in force, though not from us', {'HTTP_PROXY': PROXY}, {'HTTP_PROXY': PROXY}, []),
    ('new', {'HTTP_PROXY': PROXY}, {}, ['The running daemon has no HTTP_PROXY yet.']),
    ('password changed', {'HTTP_PROXY': PROXY}, {'HTTP_PROXY': PROXY + 'x'}, ['The running daemon has another HTTP_PROXY than the drop-in.']),
    (
        'taken away',
        {},
        {'HTTP_PROXY': PROXY, DROPIN_MARKER: 'HTTP_PROXY'},
        ['The running daemon still has HTTP_PROXY, which the drop-in no longer sets.'],
    ),
    ('never ours', {}, {'HTTP_PROXY': PROXY}, []),
    ('a marker of nonsense', {}, {DROPIN_MARKER: 'PATH,,x', 'PATH': 'y'}, []),
]


@pytest.mark.parametrize('variables, environ, reasons', [row[1:] for row in REASONS], ids=[row[0] for row in REASONS])
def test_restart_reasons(variables: dict[str, str], environ: dict[str, str], reasons: list[str]) -> None:
    running = daemon(environ)
    assert _dropin.restart_reasons(_dropin.expected_environ(variables, running, NOTHING), running) == reasons
    assert _dropin.restart_reasons(variables, daemon(pid=0)) == []


def test_what_somebody_else_took_over(tmp_path: Path) -> None:
    theirs = files_of(tmp_path, zz='Environment=HTTP_PROXY=http://theirs\n')
    ours_still = daemon({'HTTP_PROXY': 'http://ours', DROPIN_MARKER: 'HTTP_PROXY'})
    assert _dropin.expected_environ({}, ours_still, theirs) == {'HTTP_PROXY': 'http://theirs'}
    same = daemon({'HTTP_PROXY': 'http://theirs', DROPIN_MARKER: 'HTTP_PROXY'})
    assert _dropin.expected_environ({}, same, theirs) == {}


def test_in_force_is_read_from_the_disk(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert _dropin.dropin_in_force(PATH, daemon(), root)
    path = tmp_path / PATH.lstrip('/')
    path.parent.mkdir(parents=True)
    path.write_text(_dropin.render({'HTTP_PROXY': PROXY}))
    assert not _dropin.dropin_in_force(PATH, daemon(), root)
    assert _dropin.dropin_in_force(PATH, daemon({'HTTP_PROXY': PROXY}), root)
    assert _dropin.dropin_environ(PATH, daemon(), root) == {'HTTP_PROXY': PROXY}


def test_a_file_of_somebody_else_at_our_path_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'x.conf'
    assert _dropin.read(str(path)) == ''
    path.write_text('[Service]\nEnvironment=HTTP_PROXY=http://u:s3cret@p\n')
    with pytest.raises(ConfigError, match=r'x\.conf was not written by quickpull\.registry') as caught:
        _dropin.read(str(path))
    assert 's3cret' not in str(caught.value)
    path.unlink()
    path.symlink_to('/dev/null')
    with pytest.raises(ConfigError, match='masked'):
        _dropin.read(str(path))


@pytest.mark.parametrize(
    ('variables', 'environ', 'expected'),
    [
        ({}, {}, True),
        ({}, {'HTTPS_PROXY': 'http://theirs'}, True),
        ({}, {'HTTPS_PROXY': 'http://p:1', DROPIN_MARKER: 'HTTPS_PROXY'}, False),
        ({'HTTPS_PROXY': 'http://p:1'}, {}, False),
        ({'HTTPS_PROXY': 'http://p:1'}, {'HTTPS_PROXY': 'http://p:1'}, False),
        ({'HTTPS_PROXY': 'http://p:1'}, {'HTTPS_PROXY': 'http://p:1', DROPIN_MARKER: 'HTTPS_PROXY'}, True),
        ({'HTTPS_PROXY': 'http://p:1'}, {'HTTPS_PROXY': 'http://p:2', DROPIN_MARKER: 'HTTPS_PROXY'}, False),
        ({'HTTPS_PROXY': 'http://p:1'}, {'HTTPS_PROXY': 'http://p:1', 'NO_PROXY': 'a', DROPIN_MARKER: 'HTTPS_PROXY,NO_PROXY'}, False),
    ],
)
def test_what_the_daemon_was_started_with(variables: dict[str, str], environ: dict[str, str], expected: bool) -> None:
    assert _dropin.held(_dropin.render(variables), DockerDaemon(True, environ=environ)) is expected


def test_ours_is_found_and_that_of_others_is_not(tmp_path: Path) -> None:
    path = _dropin.default_path('snap.docker.dockerd.service')
    full = tmp_path / path[1:]
    full.parent.mkdir(parents=True)
    assert _dropin.found_at('snap.docker.dockerd.service', str(tmp_path)) == ''
    full.write_text(_dropin.render({'HTTPS_PROXY': 'http://p:1'}))
    assert _dropin.found_at('snap.docker.dockerd.service', str(tmp_path)) == path
    assert _dropin.found_at('', str(tmp_path)) == ''
    full.write_text('[Service]\n')
    assert _dropin.found_at('snap.docker.dockerd.service', str(tmp_path)) == ''
