# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest
import tomllib

from ansible_collections.quickpull.registry.plugins.module_utils._containerd_migration import FIRST_LINE, Migration, migrate, without_tables
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError

PATH, DIRECTORY = '/etc/containerd/config.toml', '/etc/containerd/certs.d'
CRI = 'plugins."io.containerd.grpc.v1.cri"'
TEXT = f'''# mine
version = 2
[{CRI}]
  sandbox_image = "pause:3" # keep
  [{CRI}.registry]
    # why we have these
    [{CRI}.registry.mirrors]
      [{CRI}.registry.mirrors."docker.io"]
        endpoint = [
          "http://a.lan:5000",  # near
          "https://b.lan/v2", "https://c.lan/hub",
        ]
      [{CRI}.registry.mirrors."*"]
        endpoint = ["https://any.lan"]
    [{CRI}.registry.configs."b.lan".tls]
      ca_file = "/ca.pem"
    [{CRI}.registry.configs."b.lan".auth]
      username = "acme"
[debug]
  level = "info"
'''
REST = f'''# mine
version = 2
[{CRI}]
  sandbox_image = "pause:3" # keep
  [{CRI}.registry]
    config_path = "{DIRECTORY}"
    # why we have these
    [{CRI}.registry.configs."b.lan".auth]
      username = "acme"
[debug]
  level = "info"
'''


def of(text: str) -> Migration:
    found = migrate(text, tomllib.loads(text), DIRECTORY, PATH)
    assert found is not None
    return found


def hosts(text: str) -> dict[str, t.Any]:
    return {path.removeprefix(f'{DIRECTORY}/').removesuffix('/hosts.toml'): tomllib.loads(found) for path, found in of(text).files.items()}


BOTH = ['pull', 'resolve']


def test_the_tables_become_files_and_all_else_stays() -> None:
    lines = [line for line in of(TEXT).text.splitlines() if 'quickpull' not in line]
    assert [line.strip() for line in lines] == [line.strip() for line in REST.splitlines()]
    assert hosts(TEXT) == {
        'docker.io': {
            'server': 'https://registry-1.docker.io',
            'host': {
                'http://a.lan:5000': {'capabilities': BOTH},
                'https://b.lan': {'capabilities': BOTH, 'ca': '/ca.pem'},
                'https://c.lan/hub': {'capabilities': BOTH, 'override_path': True},
            },
        },
        '_default': {'host': {'https://any.lan': {'capabilities': BOTH}}},
        'b.lan': {'server': 'https://b.lan', 'ca': '/ca.pem', 'host': {'https://any.lan': {'capabilities': BOTH}}},
    }
    assert list(hosts(TEXT)['docker.io']['host']) == ['http://a.lan:5000', 'https://b.lan', 'https://c.lan/hub']
    assert of(TEXT).endpoints['*'] == ['https://any.lan']
    assert all(text.startswith(FIRST_LINE) for text in of(TEXT).files.values())


def mirror(upstream: str, *urls: str) -> str:
    return f'[{CRI}.registry.mirrors."{upstream}"]\nendpoint = {list(urls)}\n'.replace("'", '"')


def tls(host: str, lines: str) -> str:
    return f'[{CRI}.registry.configs."{host}".tls]\n{lines}\n'


def test_an_endpoint_that_is_the_upstream_itself() -> None:
    found = hosts('version = 2\n' + mirror('reg.lan:5000', 'http://reg.lan:5000'))['reg.lan:5000']
    assert found == {'server': 'http://reg.lan:5000', 'host': {'http://reg.lan:5000': {'capabilities': BOTH}}}


def test_an_upstream_of_its_own_has_no_part_in_those_of_all() -> None:
    found = hosts('version = 2\n' + mirror('*', 'https://any.lan') + mirror('quay.io'))
    assert found['quay.io'] == {'server': 'https://quay.io'}


def test_tls_of_an_upstream_needs_a_file_of_its_own() -> None:
    text = 'version = 2\n' + tls('reg.lan', 'insecure_skip_verify = true\ncert_file = "/c"\nkey_file = "/k"') + mirror('*', 'https://any.lan')
    assert hosts(text)['reg.lan'] == {
        'server': 'https://reg.lan', 'skip_verify': True, 'client': [['/c', '/k']], 'host': {'https://any.lan': {'capabilities': BOTH}},
    }  # fmt: skip
    assert hosts('version = 2\n' + tls('registry-1.docker.io', 'ca_file = "/ca"'))['docker.io'] == {'server': 'https://registry-1.docker.io', 'ca': '/ca'}
    assert hosts('version = 2\n' + tls('reg.lan', 'cert_file = "/c"'))['reg.lan']['client'] == '/c'


def test_a_registry_on_the_host_itself_has_no_tls_unless_it_is_told() -> None:
    for upstream in ('localhost:5000', 'localhost', '127.0.0.1:5000'):
        assert hosts('version = 2\n' + mirror(upstream, 'https://a.lan'))[upstream]['server'] == f'http://{upstream}'


def test_tls_beside_plain_http_is_left_out() -> None:
    found = hosts('version = 2\n' + mirror('quay.io', 'http://a.lan') + tls('a.lan', 'insecure_skip_verify = true'))
    assert found['quay.io']['host'] == {'http://a.lan': {'capabilities': BOTH}}


@pytest.mark.parametrize(
    'text', ['', 'version = 2\n', f'version = 2\n[{CRI}.registry.configs."a".auth]\nusername = "a"\n', f'version = 2\n[{CRI}.registry.mirrors]\n']
)
def test_nothing_to_migrate(text: str) -> None:
    assert migrate(text, tomllib.loads(text), DIRECTORY, PATH) is None


def test_other_spellings() -> None:
    text = f'version = 2\n[{CRI}.registry]\nmirrors = {{"quay.io" = {{endpoint = ["https://a.lan"]}}}} # x\nheaders = {{}}\n'
    assert of(text).text.count('mirrors') == 0
    assert list(hosts(text)) == ['quay.io']
    dotted = f'version = 2\n[{CRI}]\nregistry.mirrors."quay.io".endpoint = ["https://a.lan"]\n'
    assert 'mirrors' not in without_tables(dotted, PATH)
    third = 'version = 3\n[plugins."io.containerd.cri.v1.images".registry.mirrors."quay.io"]\nendpoint = ["https://a.lan"]'
    assert list(hosts(third)) == ['quay.io'] and 'mirrors' not in of(third).text


BAD = [
    ('[{CRI}.registry.mirrors."q.io"]\nendpoint = ["https://a"]\nrewrite = {{x = "y"}}\n', 'rewrite'),
    ('[{CRI}.registry.mirrors."q.io"]\nendpoint = ["ftp://a"]\n', 'ftp://a'),
    ('[{CRI}.registry.mirrors."q.io"]\nendpoint = ["https://u:s3cret@a"]\n', 'is no URL'),
    ('[{CRI}.registry.mirrors]\n"q.io" = 1\n', 'no table'),
    ('[{CRI}.registry.configs."a".tls]\nmin_version = "1"\n', 'min_version'),
    ('[{CRI}]\nregistry = {{mirrors = {{"q.io" = {{endpoint = ["https://a"]}}}}}}\n', 'in one line'),
]


@pytest.mark.parametrize('text, told', BAD)
def test_what_has_no_counterpart_is_refused(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        of('version = 2\n' + text.format(CRI=CRI))
    assert 's3cret' not in str(caught.value)
