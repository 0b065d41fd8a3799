# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _systemd

WORDS: list[tuple[str, list[str]]] = [
    ('a  b\tc', ['a', 'b', 'c']),
    ('"a b" \'c d\'', ['a b', 'c d']),
    ('a"b c"d', ['ab cd']),
    ('"" x', ['', 'x']),
    (r'a\x20b \"q\" \\', ['a b', '"q"', '\\']),
    (r'a\sb\tc', ['a b\tc']),
    (r'\101\u00e9', ['A\u00e9']),
    (r'\q', ['\\q']),
    ('"open end', ['open end']),
    ('', []),
]


@pytest.mark.parametrize('text, words', WORDS)
def test_split_words(text: str, words: list[str]) -> None:
    assert _systemd.split_words(text) == words


ENVIRONMENT_FILES: list[tuple[str, dict[str, str]]] = [
    ('A=1\nB=2\n', {'A': '1', 'B': '2'}),
    ('# A=1\n; B=2\n  # C=3\nD=4', {'D': '4'}),
    ('A="x y"  \nB=\'x "y"\'\n', {'A': 'x y', 'B': 'x "y"'}),
    ('A=x y  \n', {'A': 'x y'}),
    ('A="x"\'y\'z\n', {'A': 'xyz'}),
    ('A=--label "a b"\n', {'A': '--label "a b"'}),
    ('A=x\\\ny\n', {'A': 'xy'}),
    ('A="x\\\ny"\n', {'A': 'xy'}),
    ('A="x\\"\\$\\n"\n', {'A': 'x"$\\n'}),
    ("A='x\\y'\n", {'A': 'x\\y'}),
    ('A=x\\ \n', {'A': 'x '}),
    ('export A=1\nB\nC=\n', {'C': ''}),
    ('A=1\nA=2\n', {'A': '2'}),
    ('A=$HOME\r\n', {'A': '$HOME'}),
    ('DOCKER_OPTS="--registry-mirror=http://a:1 --registry-mirror=http://b:2"\n', {'DOCKER_OPTS': '--registry-mirror=http://a:1 --registry-mirror=http://b:2'}),
    ('A="multi\nline"\n', {'A': 'multi\nline'}),
]


@pytest.mark.parametrize('text, found', ENVIRONMENT_FILES)
def test_read_environment_file(text: str, found: dict[str, str]) -> None:
    assert _systemd.read_environment_file(text) == found


PRINTABLE = st.text(st.characters(min_codepoint=0x20, exclude_characters='\x7f', exclude_categories=['Cs']))


@given(PRINTABLE)
def test_a_quoted_assignment_is_read_back_by_systemds_rules(value: str) -> None:
    words = _systemd.split_words(_systemd.quote_assignment('HTTP_PROXY', value))
    assert [_systemd.expand_specifiers(word, 'docker.service') for word in words] == ['HTTP_PROXY=' + value]


@pytest.mark.parametrize('value', ['a\nb', 'a\0b', '\x7f'])
def test_control_characters_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match='control character'):
        _systemd.quote_assignment('A', value)


@given(st.text())
def test_readers_take_any_text(text: str) -> None:
    _systemd.split_words(text)
    _systemd.read_environment_file(text)
    _systemd.read_unit(text)


def test_read_unit_joins_continued_lines_and_passes_over_comments() -> None:
    text = '[Service]\nExecStart=/usr/bin/dockerd \\\n# not this\n  -H fd:// \\\n  --debug\n;no\nUser = root\n'
    assert _systemd.read_unit(text) == [('Service', 'ExecStart', '/usr/bin/dockerd    -H fd://    --debug'), ('Service', 'User', 'root')]


def files_below(root: Path, files: t.Mapping[str, str]) -> str:
    for name, text in files.items():
        path = root / name.lstrip('/')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')
    return str(root)


UNIT = '[Service]\nEnvironmentFile=-/etc/default/docker\nExecStart=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS --label=${WHERE}x $$HOME\n'


def words(files: _systemd.UnitFiles) -> list[tuple[str, str]]:
    return [(word.text, word.origin.source) for word in files.exec_start]


def test_variables_come_from_the_environment_file(tmp_path: Path) -> None:
    root = files_below(
        tmp_path,
        {
            '/lib/systemd/system/docker.service': UNIT,
            '/etc/default/docker': 'DOCKER_OPTS=--debug --label "a b"\nWHERE=here\n',
        },
    )
    assert words(_systemd.unit_files('docker.service', root=root)) == [
        ('/usr/sbin/dockerd', 'unit'),
        ('-H', 'unit'),
        ('fd://', 'unit'),
        ('--debug', 'EnvironmentFile'),
        ('--label', 'EnvironmentFile'),
        ('a b', 'EnvironmentFile'),
        ('--label=herex', 'EnvironmentFile'),
        ('$HOME', 'unit'),
    ]


def test_undefined_variables_vanish(tmp_path: Path) -> None:
    root = files_below(tmp_path, {'/lib/systemd/system/docker.service': UNIT})
    assert [word for word, _source in words(_systemd.unit_files('docker.service', root=root))][3:] == ['--label=x', '$HOME']


def test_a_drop_in_resets_and_replaces(tmp_path: Path) -> None:
    root = files_below(
        tmp_path,
        {
            '/lib/systemd/system/docker.service': UNIT,
            '/etc/default/docker': 'DOCKER_OPTS=--debug\n',
            '/etc/systemd/system/docker.service.d/10-a.conf': '[Service]\nExecStart=\nExecStart=-/usr/bin/dockerd $MORE\nEnvironment=MORE=--ipv6 "X=a b"\n',
            '/usr/lib/systemd/system/docker.service.d/20-b.conf': '[Service]\nEnvironmentFile=\nEnvironment=MORE=--icc=false\nUnsetEnvironment=X\n',
            '/run/systemd/system/docker.service.d/30-c.conf.off': '[Service]\nExecStart=\n',
        },
    )
    found = _systemd.unit_files('docker.service', root=root)
    assert words(found) == [('/usr/bin/dockerd', 'drop-in'), ('--icc=false', 'drop-in')]
    assert found.exec_start[1].origin.path == '/usr/lib/systemd/system/docker.service.d/20-b.conf'
    assert dict(found.environment) == {'MORE': _systemd.Variable('--icc=false', found.exec_start[1].origin)}
    assert list(found.unset) == ['X']


def test_of_two_drop_ins_with_one_name_that_in_etc_counts(tmp_path: Path) -> None:
    root = files_below(
        tmp_path,
        {
            '/lib/systemd/system/docker.service': UNIT,
            '/usr/lib/systemd/system/docker.service.d/a.conf': '[Service]\nEnvironment=A=lib\n',
            '/etc/systemd/system/docker.service.d/a.conf': '[Service]\nEnvironment=A=etc\n',
            '/etc/systemd/system/service.d/b.conf': '[Service]\nEnvironment=B=all\n',
        },
    )
    found = _systemd.unit_files('docker.service', root=root)
    assert {name: one.value for name, one in found.environment.items()} == {'A': 'etc', 'B': 'all'}
    assert found.drop_ins == ('/etc/systemd/system/docker.service.d/a.conf', '/etc/systemd/system/service.d/b.conf')


@pytest.mark.parametrize('mask', ['/dev/null', 'empty'])
def test_a_masked_drop_in_hides_the_vendors(tmp_path: Path, mask: str) -> None:
    root = files_below(
        tmp_path,
        {'/lib/systemd/system/docker.service': UNIT, '/usr/lib/systemd/system/docker.service.d/a.conf': '[Service]\nEnvironment=A=lib\n'},
    )
    link = tmp_path / 'etc/systemd/system/docker.service.d/a.conf'
    link.parent.mkdir(parents=True)
    if mask == 'empty':
        link.write_text('')
    else:
        link.symlink_to(mask)
    assert not _systemd.unit_files('docker.service', root=root).environment


def test_a_masked_unit_is_seen(tmp_path: Path) -> None:
    root = files_below(tmp_path, {'/lib/systemd/system/docker.service': UNIT})
    link = tmp_path / 'etc/systemd/system/docker.service'
    link.parent.mkdir(parents=True)
    link.symlink_to('/dev/null')
    found = _systemd.unit_files('docker.service', root=root)
    assert found.masked
    assert found.fragment == '/lib/systemd/system/docker.service'


def answer(stdout: str, rc: int = 0, stderr: str = '') -> _systemd.Runner:
    return lambda _command, _timeout: _systemd.Result(rc, stdout, stderr)


def test_show_many_tells_units_apart() -> None:
    stdout = 'Id=a.service\nActiveState=active\nEnvironmentFiles=/a\nEnvironmentFiles=/b\n\nId=b.socket\nActiveState=inactive\n'
    assert _systemd.show_many(['a.service', 'b.socket'], ['ActiveState'], runner=answer(stdout)) == {
        'a.service': {'Id': 'a.service', 'ActiveState': 'active', 'EnvironmentFiles': '/a\n/b'},
        'b.socket': {'Id': 'b.socket', 'ActiveState': 'inactive'},
    }


def test_show_many_without_systemd() -> None:
    assert _systemd.show_many(['a.service'], ['Id'], runner=answer('', 1, 'System has not been booted with systemd as init system')) == {}
    assert _systemd.show('a.service', 'Id', runner=answer('', 127)) == {}


def test_an_old_systemctl_is_asked_again_without_timestamps() -> None:
    asked: list[bool] = []

    def old(command: t.Sequence[str], _timeout: float) -> _systemd.Result:
        asked.append('--timestamp=us+utc' in command)
        return _systemd.Result(1, '', "systemctl: unrecognized option '--timestamp=us+utc'") if asked[-1] else _systemd.Result(0, 'Id=a.service\n')

    assert _systemd.show('a.service', 'Id', runner=old) == {'Id': 'a.service'}
    assert asked == [True, False]


def test_run_tells_what_a_command_ended_with() -> None:
    assert _systemd.run(('sh', '-c', 'echo out; echo err >&2; exit 3'), 5.0) == _systemd.Result(3, 'out\n', 'err\n')
    assert _systemd.run(('/no/such/command',), 5.0).rc == _systemd.RC_ABSENT
    assert _systemd.run(('sleep', '5'), 0.05).rc == _systemd.RC_TIMEOUT


@pytest.mark.parametrize('text', ['a', "'a", 'a=x', 'a="x'])
def test_a_long_word_takes_linear_time(text: str) -> None:
    long = text + text[-1] * 300000
    started = time.process_time()
    _systemd.split_words(long)
    _systemd.read_environment_file(long)
    assert time.process_time() - started < 0.9
