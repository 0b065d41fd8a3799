# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's own lines out of a journal that others write to as well."""

from __future__ import annotations

import pathlib
import shlex
import typing as t

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _docker_host
from ansible_collections.quickpull.registry.plugins.module_utils._docker_host import DockerHost, refusal_in
from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DockerDaemon

REFUSED = 'time="x" level=error msg="failed to start daemon: bogus"'


class Journal:
    """A journalctl that knows matches on fields, and writes down how it was called."""

    def __init__(self, root: pathlib.Path) -> None:
        self.program = root / 'bin' / 'journalctl'
        self.program.parent.mkdir()
        self.asked = root / 'asked'
        self.body = ''

    def install(self, body: str) -> None:
        self.program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {shlex.quote(str(self.asked))}\n{body}\n')
        self.program.chmod(0o755)

    def arguments(self) -> list[str]:
        return self.asked.read_text().splitlines()


@pytest.fixture
def journal(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    made = Journal(tmp_path)
    monkeypatch.setenv('PATH', f'{made.program.parent}:/usr/bin:/bin')
    return made


def read(**daemon: t.Any) -> list[str]:
    return DockerHost().journal(DockerDaemon(True, **daemon), 12.5)


def test_only_what_the_daemon_itself_writes_is_asked_for(journal: Journal) -> None:
    journal.install(f"echo '{REFUSED}'")
    assert refusal_in(read(unit='snap.docker.dockerd.service')) == 'failed to start daemon: bogus.'
    asked = journal.arguments()
    # dockerd sends what containers print as _TRANSPORT=journal, under its own unit.
    assert {'_SYSTEMD_UNIT=snap.docker.dockerd.service', '_TRANSPORT=stdout', '--since=@12.500000'} <= set(asked)
    assert not [one for one in asked if one.startswith(('--unit', '-u', '--lines', '-n'))]


def test_the_unit_of_a_daemon_without_one(journal: Journal) -> None:
    journal.install('')
    assert read(unit='') == []
    assert '_SYSTEMD_UNIT=docker.service' in journal.arguments()


def test_a_daemon_that_writes_a_lot_is_read_to_the_line_that_counts(journal: Journal) -> None:
    journal.install(f"seq 5000; echo '{REFUSED}'; seq 5000")
    assert refusal_in(read()) == 'failed to start daemon: bogus.'


def test_what_is_read_has_an_end(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_docker_host, 'JOURNAL_BYTES', 1000)
    journal.install('exec yes 123456789')
    assert read() == ['123456789'] * 100


def test_a_journal_that_hangs_is_left(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_docker_host, 'JOURNAL_SECONDS', 0.2)
    journal.install('echo one; exec sleep 60')
    assert read() == ['one']


def test_no_journal_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv('PATH', str(tmp_path))
    assert read() == []


def test_secrets_are_masked(journal: Journal) -> None:
    journal.install("echo 'msg=\"proxy http://u:s3cret@p:1 is bad\"'")
    assert 's3cret' not in ''.join(read())
