# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calling dockerd --validate: when, how, and what is left behind."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _dockerd_validate
from ansible_collections.quickpull.registry.plugins.module_utils._docker_flags import Flag
from ansible_collections.quickpull.registry.plugins.module_utils._dockerd_validate import CannotValidateError, command, validate, why_not
from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DockerDaemon
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError

PATH = '/etc/docker/daemon.json'
DATA = b'{"proxies": {"http-proxy": "http://u:s3cret@p"}}'


def daemon(binary: str | Path = '/usr/bin/dockerd', **how: t.Any) -> DockerDaemon:
    return DockerDaemon(**{'installed': True, 'binary': str(binary), 'version': '26.1.5', 'binary_version': '26.1.5', **how})


@pytest.mark.parametrize(
    ('one', 'reason'),
    [
        (daemon(), ''),
        (daemon(flavour='rootless'), ''),
        (daemon(installed=False), 'there is no dockerd'),
        (DockerDaemon(installed=True), 'there is no dockerd'),
        (daemon(flavour='snap'), 'snap package'),
        (daemon(binary_version='20.10.24+dfsg1'), 'has no --validate yet'),
        (daemon(binary_version='HEAD', version=None), 'not known'),
        (daemon(binary_version='HEAD'), 'not known'),
    ],
)
def test_when_dockerd_can_be_asked(one: DockerDaemon, reason: str) -> None:
    assert reason in why_not(one)
    assert bool(reason) is bool(why_not(one))
    if reason:
        with pytest.raises(CannotValidateError):
            validate(one, DATA, PATH)


def test_flags_in_force_are_passed_on_but_no_proxy() -> None:
    flags = (
        Flag('host', 'hosts', ('fd://', 'tcp://[::1]:1'), 'unit', '/u'),
        Flag('config-file', '', ('/etc/docker/daemon.json',), 'unit', '/u'),
        Flag('http-proxy', 'proxies.http-proxy', ('http://u:s3cret@p',), 'unit', '/u'),
        Flag('debug', 'debug', ('true',), 'unit', '/u'),
    )
    assert command(daemon(flags=flags), '/run/x') == [
        '/usr/bin/dockerd', '--validate', '--config-file=/run/x', '--host=fd://', '--host=tcp://[::1]:1', '--debug=true',
    ]


def script(folder: Path, body: str) -> Path:
    path = folder / 'dockerd'
    path.write_text(f'#!/bin/sh\nfile=${{2#--config-file=}}\n{body}\n')
    path.chmod(0o755)
    return path


def test_what_dockerd_says_is_told_without_secrets(tmp_path: Path) -> None:
    folder = tmp_path / 'run'
    folder.mkdir()
    refusing = script(tmp_path, 'stat -c %a "$file"; echo "unable to configure with file $file: http://u:s3cret@p is bad" >&2; exit 1')
    with pytest.raises(ConfigError) as caught:
        validate(daemon(refusing), DATA, PATH, folders=[str(folder)])
    assert f'600 unable to configure with file {PATH}: http://xxxxx:xxxxx@p is bad' in str(caught.value)
    assert os.listdir(folder) == []


def test_dockerd_reads_the_very_bytes(tmp_path: Path) -> None:
    accepting = script(tmp_path, f'cp "$file" {tmp_path}/seen')
    (tmp_path / 'run').mkdir()
    validate(daemon(accepting), DATA, PATH, folders=[str(tmp_path / 'missing'), str(tmp_path / 'run')])
    assert (tmp_path / 'seen').read_bytes() == DATA
    assert os.listdir(tmp_path / 'run') == []


def test_a_dockerd_that_does_not_run_or_does_not_end_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_dockerd_validate, 'TIMEOUT', 0.05)
    for binary in (tmp_path / 'missing', script(tmp_path, 'exec sleep 5')):
        with pytest.raises(CannotValidateError, match='did not run'):
            validate(daemon(binary), DATA, PATH, folders=[str(tmp_path)])
    assert os.listdir(tmp_path) == ['dockerd']


def test_nowhere_to_write_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(CannotValidateError, match='temporary file'):
        validate(daemon(script(tmp_path, 'true')), DATA, PATH, folders=[str(tmp_path / 'missing')])
