# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _cache_container
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._systemd import RC_ABSENT, Result


@pytest.mark.parametrize('image, says', [
    ('registry:2', 2), ('registry:2.8.3', 2), ('docker.io/library/registry:3.0.0-alpine', 3), ('cache.lan:5000/registry:3', 3), ('registry:v3@sha256:ab', 3),
    ('registry', None), ('cache.lan:3/registry', None), ('registry:latest', None), ('registry@sha256:2', None), ('registry:20260101', None),
])  # fmt: skip
def test_an_image_that_says_another_version_is_an_error(image: str, says: int | None) -> None:
    for version in (2, 3):
        if says in (None, version):
            _cache_container.check_version(image, version)
        else:
            with pytest.raises(ConfigError, match=f'is version {says} of the registry, and registry_version is {version}'):
                _cache_container.check_version(image, version)


class Engine:
    def __init__(self, *images: str, absent: bool = False) -> None:
        self.images, self.absent = set(images), absent
        self.pulled: list[str] = []

    def run(self, command: t.Sequence[str], _timeout: float) -> Result:
        if self.absent:
            return Result(RC_ABSENT, '', 'docker: not found')
        if command[1] == 'image':
            return Result(0 if command[-1] in self.images else 1)
        self.pulled.append(command[-1])
        return Result(0) if 'good' in command[-1] else Result(1, '', 'Trying ...\nError: http://u:S3CRET@proxy refuses\n')


def test_an_image_is_pulled_once_and_never_in_check_mode() -> None:
    engine = Engine('there:2')
    assert _cache_container.have_image('docker', 'there:2', engine.run) == ''
    assert _cache_container.have_image('docker', 'good:2', engine.run, check_mode=True).startswith('The image good:2 is not on this host yet')
    assert engine.pulled == []
    assert _cache_container.have_image('docker', 'good:2', engine.run) == '' and engine.pulled == ['good:2']


def test_what_cannot_be_had_is_an_error_without_a_secret() -> None:
    with pytest.raises(ConfigError, match=r'docker cannot pull bad:2: Error: .*refuses') as told:
        _cache_container.have_image('docker', 'bad:2', Engine().run)
    assert 'S3CRET' not in str(told.value)
    with pytest.raises(ConfigError, match='there is no /usr/bin/podman on this host'):
        _cache_container.have_image('podman', 'bad:2', Engine(absent=True).run)


def test_an_engine_that_does_not_run_is_no_image_that_is_missing() -> None:
    said = Result(1, '', 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n')
    for check_mode in (True, False):
        with pytest.raises(ConfigError, match='/usr/bin/docker does not reach its daemon'):
            _cache_container.have_image('docker', 'good:2', lambda _command, _timeout: said, check_mode)


@pytest.mark.parametrize('stdout, version', [
    ('/usr/bin/docker-registry github.com/docker/distribution v2.8.2+ds1\n', 2), ('registry github.com/distribution/distribution/v3 3.0.0\n', 3),
    ('registry github.com/distribution/distribution/v3 v3.0.0+unknown\n', 3), ('unknown\n', None),
])  # fmt: skip
def test_a_program_tells_its_version(stdout: str, version: int | None) -> None:
    assert _cache_container.version_of('/r', lambda _command, _timeout: Result(0, stdout)) == version
    assert _cache_container.version_of('/r', lambda _command, _timeout: Result(1, stdout)) is None
