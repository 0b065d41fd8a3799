# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module cloudflare_worker deploys is what the Worker understands."""

from __future__ import annotations

import base64
import datetime
import re

import pytest
import yaml

from ansible_collections.quickpull.registry.plugins.module_utils import _worker_model
from worker import runtime
from worker.conftest import Start
from worker.internet import Hub, Internet

ROLE = runtime.CODE.parents[1]
UPSTREAMS = _worker_model.parse_upstreams(['docker.io', 'quay.io', 'registry.k8s.io'])
HOSTS = _worker_model.parse_hosts('example.com', {}, UPSTREAMS)
SETTINGS = _worker_model.parse_settings(HOSTS, UPSTREAMS, ['docker.io/library/*', 'quay.io/*'], True, 'docker.io')
SECRETS = _worker_model.parse_secrets({'ci': 'pass:word'}, {'docker.io': {'username': 'acme', 'password': 'hub-secret'}}, UPSTREAMS)


def test_settings_and_secrets_are_understood(start: Start, internet: Internet, hub: Hub) -> None:
    worker = start(SETTINGS, **SECRETS)
    login = {'Authorization': f'Basic {base64.b64encode(b"ci:pass:word").decode()}'}
    assert worker.ask('/v2/library/busybox/manifests/latest', host='docker.example.com').status == 401
    for host, path, upstream in (
        ('docker.example.com', 'library/busybox', 'registry-1.docker.io'),
        ('quay.example.com', 'team/app', 'quay.io'),
        ('name.account.workers.dev', 'quay.io/team/app', 'quay.io'),
    ):
        assert worker.ask(f'/v2/{path}/manifests/latest', host=host, **login).status == 200
        assert internet.seen[-1].host == upstream
    assert worker.ask('/v2/team/app/manifests/latest', host='docker.example.com', **login).status in (403, 404)  # which allow does not name


def test_all_modules_are_there_that_are_imported() -> None:
    modules = {path.name: path.read_bytes() for path in runtime.CODE.glob('*.js')}
    assert _worker_model.check_modules(modules, str(runtime.CODE))
    imported = {name for content in modules.values() for name in re.findall(r"from '\./([^']+)'", content.decode())}
    assert imported | {_worker_model.MAIN_MODULE} == set(modules)


def test_the_date_is_the_one_that_was_tried() -> None:
    tried = re.search(r"compatibilityDate: '([^']+)'", (runtime.HERE / 'run.mjs').read_text())
    assert tried and tried.group(1) == _worker_model.DEFAULT_COMPATIBILITY_DATE
    assert yaml.safe_load((ROLE / 'defaults/main.yml').read_text())['registry_worker_compatibility_date'] == tried.group(1)
    assert datetime.date.fromisoformat(tried.group(1))


@pytest.mark.parametrize('logins', [{'ci': 'a'}, {}])
def test_no_login_of_clients_lets_in_everybody_and_one_nobody_else(start: Start, hub: Hub, logins: dict[str, str]) -> None:
    secrets = _worker_model.parse_secrets(logins, {}, UPSTREAMS)
    assert start(SETTINGS, **secrets).ask('/v2/', host='quay.example.com').status == (401 if logins else 200)
