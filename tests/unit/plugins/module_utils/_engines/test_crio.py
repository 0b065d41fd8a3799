# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CRI-O below a folder of our own: its unit is what an imitated systemctl says, its answers what an imitated socket does."""

from __future__ import annotations

import http.server
import socketserver
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils._engines import crio
from ansible_collections.quickpull.registry.plugins.module_utils._engines.crio import Setting
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._systemd import Result

Answers = t.Dict[str, t.Any]


class Place:
    """A host with CRI-O's binary and unit."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.unit = {'LoadState': 'loaded', 'ActiveState': 'active', 'MainPID': '7', 'KillMode': 'process'}
        self.name = 'crio.service'
        self.fails = ''
        self.answer: Answers = {'crio': {'image': {'global_auth_file': '/run/auth.json'}, 'runtime': {'log_level': 'info'}}}
        self.put('usr/bin/crio', '')
        self.put('etc/systemd/system/crio.service', '[Service]\nExecStart=/usr/bin/crio\n')

    def put(self, path: str, text: str) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def run(self, command: t.Sequence[str], _timeout: float) -> Result:
        if '--version' in command:
            return Result(0, 'crio version 1.30.4\n   GitCommit: unknown\n')
        lines = {'Id': self.name, **self.unit} if self.name in command else {'Id': command[-1], 'LoadState': 'not-found'}
        return Result(0, '\n'.join(f'{key}={value}' for key, value in lines.items()) + '\n')

    def ask(self, socket: str) -> Answers:
        self.asked = socket
        if self.fails:
            raise ConfigError(self.fails)
        return self.answer

    @property
    def host(self) -> crio.Host:
        return crio.Host(str(self.root), self.run, self.ask)

    def inspect(self) -> crio.Crio:
        return crio.inspect(self.host)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_what_runs_and_what_it_has_in_force(place: Place) -> None:
    found = place.inspect()
    assert (found.version_tuple, found.unit, found.running, found.kill_mode) == ((1, 30, 4), 'crio.service', True, 'process')
    assert (found.auth_file_in_force, found.quiet, found.error) == ('/run/auth.json', False, '')
    assert place.asked == str(place.root / 'var/run/crio/crio.sock')


def test_the_last_file_has_the_last_word(place: Place) -> None:
    place.put('etc/crio/crio.conf', '[crio.image]\nglobal_auth_file = "/a"\n[crio.api]\nlisten = "/run/own.sock"\n')
    place.put('etc/crio/crio.conf.d/10-a.conf', '[crio.image]\nglobal_auth_file = "/b"\n')
    place.put('etc/crio/crio.conf.d/20-b', '[crio.image]\nglobal_auth_file = "/c"\n[crio.runtime]\nlog_level = "WARN"\n')
    place.answer = {'crio': {}}
    found = place.inspect()
    assert (found.auth_file, found.socket, found.quiet) == (Setting('/c', '/etc/crio/crio.conf.d/20-b'), '/run/own.sock', True)
    said = crio.settings_in(found, place.host, without='/etc/crio/crio.conf.d/20-b')
    assert said['image']['global_auth_file'] == Setting('/b', '/etc/crio/crio.conf.d/10-a.conf')


@pytest.mark.parametrize('text', ['crio = 1\n', '[crio]\nimage = 1\n', '[crio.image]\nglobal_auth_file = 1\n', ''])
def test_odd_files(place: Place, text: str) -> None:
    place.put('etc/crio/crio.conf', text)
    assert place.inspect().auth_file == Setting()


def test_a_broken_file_is_told(place: Place) -> None:
    place.put('etc/crio/crio.conf.d/x.conf', '[')
    assert '/etc/crio/crio.conf.d/x.conf' in place.inspect().config_error


def test_a_flag_wins_over_files(place: Place) -> None:
    place.put('etc/systemd/system/crio.service', '[Service]\nExecStart=/usr/bin/crio --global-auth-file=/f --config-dir /etc/own\n')
    found = place.inspect()
    assert (found.auth_file, found.config_dir) == (Setting('/f'), '/etc/own')


QUIET: list[tuple[dict[str, str], str, bool]] = [
    ({'log_level': 'info'}, '', False),
    ({'log_level': 'Error'}, '', True),
    ({'log_level': 'debug', 'log_filter': 'x'}, '', True),
    ({'log_level': 'info', 'log_filter': ''}, ' --log=/var/log/crio.log', True),
    ({}, ' --log-level info', False),
    ({}, ' --log-level info --log-level=warn', True),
    ({}, ' --log-filter x', True),
    ({}, ' -l error', True),
]


@pytest.mark.parametrize('runtime, flags, quiet', QUIET)
def test_whether_the_journal_tells_of_what_went_well(place: Place, runtime: dict[str, str], flags: str, quiet: bool) -> None:
    place.put('etc/systemd/system/crio.service', f'[Service]\nExecStart=/usr/bin/crio{flags}\n')
    place.answer = {'crio': {'runtime': runtime}}
    assert place.inspect().quiet is quiet


def test_variables_and_flags_beat_files(place: Place) -> None:
    place.put('etc/crio/crio.conf', '[crio.image]\nglobal_auth_file = "/a"\nauto_reload_registries = true\n[crio.api]\nlisten = "/run/a.sock"\n')
    assert (place.inspect().auto_reload, place.inspect().socket) == (True, '/run/a.sock')
    place.put(
        'etc/systemd/system/crio.service',
        '[Service]\nEnvironment=CONTAINER_GLOBAL_AUTH_FILE=/v CONTAINER_LISTEN=/run/v.sock CONTAINER_CONFIG_DIR=/etc/v\nExecStart=/usr/bin/crio\n',
    )
    found = place.inspect()
    assert (found.auth_file, found.socket, found.config_dir) == (Setting('/v'), '/run/v.sock', '/etc/v')
    place.put(
        'etc/systemd/system/crio.service', '[Service]\nEnvironment=CONTAINER_LISTEN=/run/v.sock\nExecStart=/usr/bin/crio --listen=/run/f.sock -d /etc/f\n'
    )
    assert (place.inspect().socket, place.inspect().config_dir) == ('/run/f.sock', '/etc/f')


def test_drop_ins_are_read_as_go_walks_them(place: Place) -> None:
    for name in ('a.conf', 'a-b.conf', 'a/x.conf'):
        place.put(f'etc/crio/crio.conf.d/{name}', f'[crio.image]\nglobal_auth_file = "/{name}"\n')
    assert place.inspect().auth_file.value == '/a.conf'
    place.put('etc/crio/crio.conf.d/z/0', '[crio.image]\nglobal_auth_file = "/z"\n')
    assert place.inspect().auth_file.value == '/z'


def test_a_link_to_a_directory_is_none_for_crio(place: Place) -> None:
    place.put('etc/other/x.conf', '[crio.image]\nglobal_auth_file = "/x"\n')
    (place.root / 'etc/crio/crio.conf.d').mkdir(parents=True)
    (place.root / 'etc/crio/crio.conf.d/link').symlink_to(place.root / 'etc/other')
    assert '/etc/crio/crio.conf.d/link' in place.inspect().config_error


def test_it_does_not_answer(place: Place) -> None:
    place.fails = 'gone'
    found = place.inspect()
    assert (found.error, found.auth_file_in_force) == ('gone', None)
    place.unit.update(ActiveState='inactive', MainPID='0')
    assert (place.inspect().error, place.inspect().running) == ('', False)


def test_the_other_name_of_its_unit(place: Place) -> None:
    (place.root / 'etc/systemd/system/crio.service').unlink()
    place.name = 'cri-o.service'
    assert place.inspect().unit == 'cri-o.service'
    (place.root / 'usr/bin/crio').unlink()
    assert not place.inspect().installed


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.mark.parametrize('status, body, told', [(200, b'[crio.image]\nx = 1\n', ''), (404, b'', 'answers 404'), (200, b'<html>', '/config')])
def test_its_socket(tmp_path: Path, status: int, body: bytes, told: str) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == '/config'
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return 'unix'

        def log_message(self, format: str, *args: t.Any) -> None:
            pass

    path = str(tmp_path / 's')
    with Server(path, Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        if told:
            with pytest.raises(ConfigError, match=told):
                crio.ask(path)
        else:
            assert crio.ask(path) == {'crio': {'image': {'x': 1}}}
        server.shutdown()
    with pytest.raises(ConfigError, match='does not answer'):
        crio.ask(str(tmp_path / 'none'))
