# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook that deploys a Worker, run for real: against a stand-in of Cloudflare's API, and a registry in place of the Worker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.quickpull.registry.tests.unit.plugins.small_registry import Answer, Asked, Content, Server, layer, make_certificate
from deployment import small_cloudflare
from deployment.small_cloudflare import ACCOUNT, TOKEN, Cloud

ROOT = Path(__file__).resolve().parents[2]
BASIC = 'Basic YnVpbGRlcjpQVUxMLVMzQ1JFVA=='
SECRETS = ('S3CRET', BASIC[6:], TOKEN)
UNASKED = ('-e', 'registry_worker_probe=false')
SHOW_MIRRORS = """
- hosts: web1
  gather_facts: false
  vars_files: [{root}/roles/registry_access/defaults/main.yml, {root}/roles/registry_access/vars/main.yml]
  tasks:
    - ansible.builtin.debug:
        msg: "{{{{ __registry_access_mirrors | to_json }}}}"
"""


class Place:
    """An inventory, Cloudflare, and what stands in for the Worker."""

    def __init__(self, folder: Path, cloud: Cloud, url: str) -> None:
        self.folder, self.cloud = folder, cloud
        certificate = make_certificate(folder)
        self.status = 200
        content = Content((layer(40_000),))

        def serve(asked: Asked) -> Answer:
            if asked.header('authorization') != BASIC:
                return Answer(401, headers={'WWW-Authenticate': 'Basic realm="mirror"'})
            return content.serve(asked) if self.status == 200 else Answer(self.status)

        self.worker = Server(serve, certificate)
        self.proxy = Server(lambda _asked: Answer(200))
        self.proxy.tunnel_port = self.worker.port
        (folder / 'code').mkdir()
        (folder / 'code/worker.js').write_text('export default { fetch() { return new Response("1"); } };\n')
        (folder / 'hosts.ini').write_text('web1 ansible_connection=local\n')
        (folder / 'group_vars').mkdir()
        variables = {
            'account_id': ACCOUNT, 'hosts': {'mirror.test': 'docker.io'}, 'attach': 'route', 'upstreams': ['docker.io'],
            'client_logins': {'builder': 'PULL-S3CRET'}, 'client': 'builder', 'upstream_logins': {'docker.io': {'username': 'acme', 'password': 'HUB-S3CRET'}},
            'modules_path': str(folder / 'code'), 'api_url': url, 'probe_proxy': {'https_proxy': self.proxy.url},
            'probe_ca_path': str(folder / 'cert.pem'), 'probe_tries': 2, 'probe_wait': 1,
        }  # fmt: skip
        text = yaml.safe_dump({f'registry_worker_{name}': value for name, value in variables.items()})
        (folder / 'group_vars/all.yml').write_text(text, encoding='utf-8')

    def play(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith('_proxy')}
        environment = {
            **kept, 'ANSIBLE_STDOUT_CALLBACK': 'ansible.builtin.default', 'ANSIBLE_LOCALHOST_WARNING': 'false', 'ANSIBLE_NOCOLOR': 'true',
            'ANSIBLE_INVENTORY_UNPARSED_WARNING': 'false', 'CLOUDFLARE_API_TOKEN': TOKEN,
        }  # fmt: skip
        command = [sys.executable, '-m', 'ansible', 'playbook', '-i', 'hosts.ini', 'quickpull.registry.worker', *arguments]
        ran = subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True, check=False)
        assert not [secret for secret in SECRETS if secret in ran.stdout + ran.stderr], ran.stdout + ran.stderr
        return ran

    def good(self, changed: int, *arguments: str) -> str:
        ran = self.play(*arguments)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert f' changed={changed} ' in ran.stdout, ran.stdout
        return ran.stdout

    def bad(self, words: str, *arguments: str) -> None:
        ran = self.play(*arguments)
        assert ran.returncode == 2
        assert re.search(words, ran.stdout + ran.stderr), ran.stdout + ran.stderr


@pytest.fixture
def place(tmp_path: Path) -> t.Iterator[Place]:
    cloud = Cloud(zones={'test': 'd' * 32, 'example.com': 'a' * 32})
    with small_cloudflare.serving(cloud) as url:
        here = Place(tmp_path, cloud, url)
        yield here
        here.worker.close()
        here.proxy.close()


def test_the_playbook_from_nothing_to_nothing(place: Place) -> None:
    nothing = place.cloud.kept()
    predicted = place.good(1, '--check', '--diff', '-vvv')
    assert '"default": ""' in predicted
    assert place.cloud.kept() == nothing
    assert place.worker.log == []

    done = place.good(1, '--diff', '-vvv')
    assert place.cloud.uploads == 1
    assert re.search(r'"mirrors": \{\s*"docker.io": \[\s*"https://mirror.test"\s*\]\s*\}', done.rpartition('TASK')[0])
    assert '.workers.dev alone' not in done
    assert any('/blobs/' in path for path in place.worker.paths()), 'the smoke test goes as far as a blob'
    steps = re.compile(r'"steps": \[.*?\]', re.DOTALL)
    found = [steps.search(text) for text in (predicted, done)]
    assert found[0] and found[1] and found[0].group() == found[1].group()

    before = place.cloud.kept()
    place.good(0, '--diff', *UNASKED)
    assert place.cloud.kept() == before

    # What hosts of the role registry_access make of the same variables, without asking Cloudflare.
    (place.folder / 'show.yml').write_text(SHOW_MIRRORS.format(root=ROOT))
    shown = subprocess.run(
        [sys.executable, '-m', 'ansible', 'playbook', '-i', 'hosts.ini', 'show.yml'], cwd=place.folder, capture_output=True, text=True, check=False
    ).stdout
    assert 'https://mirror.test' in shown
    assert BASIC in shown

    place.status = 403
    password = '{"registry_worker_upstream_logins": {"docker.io": {"username": "acme", "password": "NEW-S3CRET"}}}'
    place.bad(r'The Worker was deployed, and does not serve from here: https://mirror.test: .*403', '-e', password)
    assert place.cloud.uploads == 2, 'the new password was seen, and what was deployed stays'
    place.bad(r'and does not serve from here: https://mirror.test: .*403', '-e', password, '-e', 'registry_worker_probe_tries=1')

    place.good(1, '-e', 'registry_worker_state=absent')
    assert place.cloud.scripts == {}
    assert not any(place.cloud.records.values())
    assert not any(place.cloud.routes.values())


def test_what_stops_the_playbook_changes_nothing(place: Place) -> None:
    place.cloud.add_record('test', 'mirror.test', 'A', '192.0.2.7')
    before = place.cloud.kept()
    place.bad(r'hosts.mirror.test: there is a DNS record \(A 192.0.2.7\) of this name that somebody else made')
    assert place.cloud.kept() == before
    place.bad(r'registry_worker_client: .*nobody.* is none of registry_worker_client_logins', '-e', 'registry_worker_client=nobody')
    assert place.cloud.kept() == before
