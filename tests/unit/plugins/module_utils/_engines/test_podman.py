# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils._engines import podman
from ansible_collections.quickpull.registry.plugins.module_utils._engines.podman import Answer, Host, Tools
from ansible_collections.quickpull.registry.plugins.module_utils._registries_conf import MirrorEntry
from ansible_collections.quickpull.registry.plugins.module_utils._systemd import Result

INFO = json.dumps({'host': {}, 'registries': {
    'docker.io': {'Prefix': 'docker.io', 'Location': 'docker.io', 'Mirrors': [{'Location': 'a.lan:1', 'Insecure': True, 'PullFromMirror': 'all'}]},
    'search': ['docker.io'],
}})
OURS = MirrorEntry('a.lan:1', True, 'all')


class Commands:
    """A runner that answers with what it is given, and keeps what was run."""

    def __init__(self, *results: Result) -> None:
        self.results = list(results)
        self.run: list[list[str]] = []

    def __call__(self, command: t.Sequence[str], _timeout: float) -> Result:
        self.run.append(list(command))
        return self.results.pop(0)


def install(root: Path, *paths: str) -> None:
    for path in paths:
        file = root / path.lstrip('/')
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(0o755)


def test_what_is_installed(tmp_path: Path) -> None:
    install(tmp_path, '/usr/bin/podman', '/usr/bin/skopeo', '/usr/local/bin/crio')
    commands = Commands(Result(0, 'podman version 5.4.2\n'))
    tools = podman.inspect(Host(str(tmp_path), commands))
    assert tools == Tools('/usr/bin/podman', '/usr/bin/skopeo', '', '/usr/local/bin/crio', '5.4.2')
    assert (tools.version_tuple, tools.any) == ((5, 4, 2), True)
    assert commands.run == [[f'{tmp_path}/usr/bin/podman', '--version']]


def test_nothing_is_installed(tmp_path: Path) -> None:
    (tmp_path / 'usr/bin/podman').mkdir(parents=True)
    tools = podman.inspect(Host(str(tmp_path), Commands()))
    assert (tools, tools.any, tools.version_tuple) == (Tools(), False, None)


@pytest.mark.parametrize('result', [Result(127, '', 'no such file'), Result(0, 'odd'), Result(0, 'podman version')])
def test_a_podman_that_tells_no_version(tmp_path: Path, result: Result) -> None:
    install(tmp_path, '/usr/bin/podman')
    assert podman.inspect(Host(str(tmp_path), Commands(result))) == Tools('/usr/bin/podman')


def test_podman_is_asked_beside_the_host_s_storage() -> None:
    commands = Commands(Result(0, INFO))
    answer = podman.ask(Tools('/usr/bin/podman'), Host(run=commands))
    assert podman.differences(answer, {'docker.io': [OURS]}) == []
    words = commands.run[0]
    assert words[:2] == ['env', '-i']
    assert '/usr/bin/podman' in words
    for option in ('--root', '--runroot', '--tmpdir', '--network-config-dir'):
        folder = words[words.index(option) + 1]
        assert folder.startswith(tempfile.gettempdir())
        assert not os.path.exists(os.path.dirname(folder))


def test_podman_is_asked_about_a_candidate_as_if_it_were_a_user_s_own() -> None:
    seen: dict[str, bytes] = {}

    def runner(command: t.Sequence[str], _timeout: float) -> Result:
        home = Path(next(word for word in command if word.startswith('HOME='))[5:])
        own = home / '.config/containers'
        seen.update({str(path.relative_to(own)): path.read_bytes() for path in own.rglob('*') if path.is_file()})
        return Result(125, '', f'Error: getting registries: loading "{own}/registries.conf.d/a.conf": bad')

    candidate = {'registries.conf': b'', 'registries.conf.d/a.conf': b'\xff'}
    answer = podman.ask(Tools('/usr/bin/podman'), Host(run=runner), candidate)
    assert seen == candidate
    assert answer == Answer(refused=True, words='Error: getting registries: loading "/etc/containers/registries.conf.d/a.conf": bad')


@pytest.mark.parametrize(
    'result, answer',
    [
        (Result(0, '{"registries": {}}'), Answer({})),
        (Result(0, '{"registries": null}'), Answer({})),
        (Result(0, '{"registries": []}'), Answer({})),
        (Result(0, '{}'), Answer(words='its answer has no registries')),
        (Result(0, 'x'), Answer(words='its answer has no registries')),
        (Result(0, '[]'), Answer(words='its answer has no registries')),
        (
            Result(125, '', 'time="x" level=warning msg="y"\nError: getting registries: loading drop-in registries configuration "/a": toml: z\n'),
            Answer(refused=True, words='Error: getting registries: loading drop-in registries configuration "/a": toml: z'),
        ),
        (Result(125, '', 'Error: unknown flag: --root\n'), Answer(words='Error: unknown flag: --root')),
        (Result(124, '', 'podman did not finish within 60 seconds.'), Answer(words='podman did not finish within 60 seconds.')),
        (Result(1), Answer(words='exit code 1')),
    ],
)
def test_what_podman_answers(result: Result, answer: Answer) -> None:
    assert podman.understand(result) == answer


@pytest.mark.parametrize(
    'mirrors, shown',
    [
        ([], 'none'),
        (None, 'none'),
        ([{'Location': 'b.lan', 'Insecure': True, 'PullFromMirror': 'all'}], 'b.lan'),
        ([{'Location': 'a.lan:1', 'Insecure': False, 'PullFromMirror': 'all'}], 'a.lan:1'),
        ([{'Location': 'a.lan:1', 'Insecure': True, 'PullFromMirror': 'digest-only'}], 'a.lan:1'),
    ],
)
def test_other_mirrors_than_ours(mirrors: t.Any, shown: str) -> None:
    answer = Answer({'docker.io': {'Mirrors': mirrors}})
    assert podman.differences(answer, {'docker.io': [OURS]}) == [f'For docker.io Podman reads other mirrors than those that were written: {shown}.']


def test_an_upstream_that_podman_does_not_know() -> None:
    assert podman.differences(Answer({}), {'docker.io': [OURS]})
    assert podman.differences(Answer({}), {}) == []
