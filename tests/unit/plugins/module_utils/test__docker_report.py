# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _docker_report
from ansible_collections.quickpull.registry.plugins.module_utils._docker_flags import Flag
from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DockerDaemon, reported

SECRET = 's3cret'
RUNNING = DockerDaemon(
    installed=True,
    version='26.1.5',
    active_state='active',
    main_pid=7,
    flags=(Flag('http-proxy', 'proxies.http-proxy', (f'http://u:{SECRET}@p:1',), 'unit', '/x'),),
    environ={'HTTP_PROXY': f'http://u:{SECRET}@p:1', 'no_proxy': 'a'},
    reported=reported({'HttpProxy': 'http://xxxxx:xxxxx@p:1', 'Driver': 'overlay2'}),
)


def test_a_running_daemon(tmp_path: Path) -> None:
    (tmp_path / 'etc/docker').mkdir(parents=True)
    (tmp_path / 'etc/docker/daemon.json').write_text(
        json.dumps(
            {
                'proxies': {'http-proxy': f'http://u:{SECRET}@p:1'},
                'log-opts': {'splunk-token': SECRET},
                'registry-mirrors': ['http://a'],
                'labels': [f'url=http://u:{SECRET}@x'],
                'debug': True,
            }
        )
    )
    found = {**_docker_report.daemon_info(RUNNING, str(tmp_path)), 'engine': _docker_report.engine(RUNNING)}
    assert SECRET not in json.dumps(found)
    assert found['config']['registry-mirrors'] == ['http://a']
    assert found['config']['debug'] is True
    assert found['proxies'] == {'http_proxy': 'http://xxxxx:xxxxx@p:1', 'https_proxy': '', 'no_proxy': ''}
    assert (found['running'], found['storage_driver']) == (True, 'overlay2')


def test_a_stopped_daemon(tmp_path: Path) -> None:
    found = _docker_report.daemon_info(DockerDaemon(installed=True, active_state='inactive'), str(tmp_path))
    assert found['running'] is False
    assert [found[name] for name in ('mirrors', 'proxies', 'image_store', 'live_restore')] == [None, None, None, None]
    assert found['config'] == {}


def test_proxies_of_a_daemon_that_does_not_answer() -> None:
    silent = DockerDaemon(installed=True, active_state='active', main_pid=7, environ=RUNNING.environ, api_error='It did not answer.')
    assert _docker_report.proxies(silent) == {'http_proxy': 'http://xxxxx:xxxxx@p:1', 'https_proxy': '', 'no_proxy': 'a'}
    assert _docker_report.notes(silent) == ['It did not answer.']


@pytest.mark.parametrize('flavour, word', [('snap', 'snap'), ('podman-docker', 'Podman'), ('rootless', 'rootless')])
def test_unusual_dockers_are_named(flavour: str, word: str) -> None:
    assert word in _docker_report.notes(DockerDaemon(installed=True, flavour=flavour))[0]


@pytest.mark.parametrize('content, config', [('', {}), ('\ufeff{}', {}), (' \n', {}), ('[]', None), ('{', None)])
def test_read_config(tmp_path: Path, content: str, config: t.Any) -> None:
    (tmp_path / 'd.json').write_text(content)
    assert _docker_report.read_config('/d.json', str(tmp_path)) == config
