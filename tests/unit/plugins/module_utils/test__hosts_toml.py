# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import string
import typing as t
from pathlib import Path

import pytest
import tomllib
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _hosts_toml as hosts_toml
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._hosts_toml import TheirCertificates
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, Place, place_of


def parsed(*mirrors: Mirror, upstream: str = 'docker.io', **how: t.Any) -> dict[str, t.Any]:
    content = hosts_toml.render(upstream, mirrors, **how)
    assert content is not None
    return tomllib.loads(content.text)


@pytest.mark.parametrize(
    'mirror, host, expected',
    [
        (Mirror('https://m.example'), 'https://m.example', {'capabilities': ['pull', 'resolve']}),
        (Mirror('https://M.example:443/'), 'https://m.example', {'capabilities': ['pull', 'resolve']}),
        (Mirror('http://m.lan:5000', trust='content'), 'http://m.lan:5000', {'capabilities': ['pull']}),
        (Mirror('http://m.lan', insecure=True, ca_path='/x'), 'http://m.lan', {'capabilities': ['pull', 'resolve']}),
        (Mirror('https://m.lan', insecure=True), 'https://m.lan', {'capabilities': ['pull', 'resolve'], 'skip_verify': True}),
        (Mirror('https://m.lan', ca_path='/etc/"ca'), 'https://m.lan', {'capabilities': ['pull', 'resolve'], 'ca': '/etc/"ca'}),
        (Mirror('https://m.lan', client_cert='/c', client_key='/k'), 'https://m.lan', {'capabilities': ['pull', 'resolve'], 'client': [['/c', '/k']]}),
        (Mirror('https://m.lan', client_cert='/c'), 'https://m.lan', {'capabilities': ['pull', 'resolve'], 'client': '/c'}),
        (Mirror('https://m.lan/hub/'), 'https://m.lan/hub/v2', {'capabilities': ['pull', 'resolve'], 'override_path': True}),
        (Mirror('https://m.lan/v2/hub'), 'https://m.lan/v2/hub', {'capabilities': ['pull', 'resolve'], 'override_path': True}),
        (Mirror('https://m.lan/v2/'), 'https://m.lan', {'capabilities': ['pull', 'resolve']}),
        (Mirror('https://m.lan', headers={'X-A': 'b"'}), 'https://m.lan', {'capabilities': ['pull', 'resolve'], 'header': {'X-A': 'b"'}}),
    ],
)
def test_a_mirror(mirror: Mirror, host: str, expected: dict[str, t.Any]) -> None:
    assert parsed(mirror) == {'server': 'https://registry-1.docker.io', 'host': {host: expected}}


def test_the_upstream_comes_last_and_mirrors_keep_their_order() -> None:
    found = parsed(Mirror('https://b.lan'), Mirror('https://a.lan'), upstream='quay.io', dial_timeout=2.5)
    assert found['server'] == 'https://quay.io'
    assert list(found['host']) == ['https://b.lan', 'https://a.lan']
    assert {host['dial_timeout'] for host in found['host'].values()} == {'2.5s'}
    assert hosts_toml.render('quay.io', []) is None


def test_certificates_beside_it_are_named(tmp_path: Path) -> None:
    folder = tmp_path / 'reg.lan:5000'
    folder.mkdir()
    for name in ('b.crt', 'a.crt', 'me.cert', 'me.key', 'other.cert'):
        (folder / name).touch()
    theirs = hosts_toml.their_certificates(str(tmp_path), 'reg.lan:5000')
    assert theirs == TheirCertificates((f'{folder}/a.crt', f'{folder}/b.crt'), ((f'{folder}/me.cert', f'{folder}/me.key'),))
    found = parsed(Mirror('https://m.lan'), upstream='reg.lan:5000', theirs=theirs)
    assert found['ca'] == [f'{folder}/a.crt', f'{folder}/b.crt']
    assert found['client'] == [[f'{folder}/me.cert', f'{folder}/me.key']]


def test_header_values_are_not_shown() -> None:
    mirror = Mirror('https://m.lan', headers={'Authorization': 'Basic c2VjcmV0', 'X = y': 'also="secret"'})
    content = hosts_toml.render('docker.io', [mirror, Mirror('https://n.lan', ca_path='/ca')])
    assert content is not None
    assert content.secret
    assert content.mode == 0o600
    shown = hosts_toml.shown(content.text)
    assert 'secret' not in shown
    assert 'c2VjcmV0' not in shown
    assert 'ca = "/ca"' in shown
    assert set(tomllib.loads(shown)['host']) == {'https://m.lan', 'https://n.lan'}
    assert hosts_toml.shown('') == ''
    assert hosts_toml.shown('server = "x"\nheader = {a = "secret"}\n[host."x"]\nheader.b = "secret"\n').count('***') == 2
    assert hosts_toml.shown('header = "secret') == '(a file that is no valid TOML)\n'


def test_what_others_took_out_by_a_number_sign_is_not_shown_either() -> None:
    text = '# header.a = "s3cret"\nserver = "x" # a=s3cret\n# why\n[host."https://u:s3cret@y"]\n#b="s3cret"\nca = "#c=1"\n# last="s3cret"'
    expected = '# ***\nserver = "x" # ***\n# why\n[host."https://xxxxx:xxxxx@y"]\n# ***\nca = "#c=1"\n# ***'
    assert hosts_toml.shown(text) == expected
    assert hosts_toml.shown('# a=s3cret') == '# ***'


@pytest.mark.parametrize('seconds, line', [(5, '"5s"'), (0.25, '"0.25s"'), (1_000_000, '"1000000s"'), (1 / 3, '"0.333s"'), (600, '"600s"')])
def test_durations_as_go_reads_them(seconds: float, line: str) -> None:
    content = hosts_toml.render('quay.io', [Mirror('https://m.lan')], dial_timeout=seconds)
    assert content is not None
    assert f'dial_timeout = {line}\n' in content.text


@pytest.mark.parametrize('name', ['', 'quay', 'Quay.io', 'a/b.io', '../x', 'a..b', '.io', 'quay.io:', 'x y.io', 'quay.io:99999999', '_default'])
def test_what_is_no_registry(name: str) -> None:
    with pytest.raises(ConfigError, match='is not the name of a registry'):
        hosts_toml.parse_upstreams({name: []})


def test_registries() -> None:
    names = ['docker.io', 'quay.io', 'localhost', 'localhost:5000', 'cache:5000', 'registry.k8s.io', '10.0.0.1:5000']
    assert list(hosts_toml.parse_upstreams({name: ['https://m.lan'] for name in names})) == names


@pytest.mark.parametrize(
    'url, place, api',
    [
        ('https://m.lan', Place('https://m.lan'), 'https://m.lan/v2'),
        ('https://m.lan/a/b/', Place('https://m.lan', '/a/b'), 'https://m.lan/a/b/v2'),
        ('http://m.lan:80/v2/a/b', Place('http://m.lan', '', 'a/b'), 'http://m.lan/v2/a/b'),
        ('https://[2001:DB8::1]:5000/v2', Place('https://[2001:db8::1]:5000'), 'https://[2001:db8::1]:5000/v2'),
        ('https://m.lan/v2x', Place('https://m.lan', '/v2x'), 'https://m.lan/v2x/v2'),
    ],
)
def test_places(url: str, place: Place, api: str) -> None:
    assert place_of(url) == place
    assert place.api == api


def test_the_upstream_is_no_mirror_of_itself() -> None:
    mirrors = [Mirror('https://registry-1.docker.io/'), Mirror('https://m.lan')]
    assert hosts_toml.without_self('docker.io', mirrors) == mirrors[1:]


LINE = st.text(alphabet=st.characters(exclude_categories=['Cs'], exclude_characters='\r\n\0'), min_size=1)


@given(st.dictionaries(st.text(string.ascii_letters + string.digits + '-', min_size=1, max_size=20), LINE, min_size=1), LINE)
def test_whatever_is_written_is_read_back(headers: dict[str, str], ca_path: str) -> None:
    mirror = Mirror('https://m.lan', headers=headers, ca_path=ca_path)
    assert parsed(mirror)['host']['https://m.lan'] == {'capabilities': ['pull', 'resolve'], 'ca': ca_path, 'header': headers}
    content = hosts_toml.render('docker.io', [mirror])
    assert content is not None
    assert tomllib.loads(hosts_toml.shown(content.text))['host']['https://m.lan']['header'].keys() <= headers.keys()


def test_what_the_files_of_a_host_say(tmp_path: Path) -> None:
    mirrors = [Mirror('http://b.lan:5000'), Mirror('https://a.lan/hub'), Mirror('https://a.lan/v2/hub')]
    for upstream, text in (('docker.io', hosts_toml.render('docker.io', mirrors)), ('quay.io', None), ('broken.io', None)):
        (tmp_path / upstream).mkdir()
        if text:
            (tmp_path / upstream / 'hosts.toml').write_text(text.text)
    (tmp_path / 'broken.io' / 'hosts.toml').write_text('[')
    (tmp_path / 'quay.io' / 'hosts.toml').write_text('[host."https://u:s3cret@m.lan"]\n')
    found = {'docker.io': [mirror.url for mirror in mirrors], 'quay.io': ['https://xxxxx:xxxxx@m.lan']}
    assert hosts_toml.mirrors_in(str(tmp_path)) == found
    assert hosts_toml.mirrors_in(str(tmp_path / 'none')) == {}


@pytest.mark.parametrize(
    'made, upstream, shadow',
    [
        ([], 'quay.io', ''),
        (['b/_default', 'b/quay.io_443_', 'c/quay.io'], 'quay.io', ''),
        (['a/_default'], 'quay.io', 'a/_default'),
        (['a/quay.io', 'a/_default'], 'quay.io', 'a/quay.io'),
        (['b/reg.lan_5000_'], 'reg.lan:5000', 'b/reg.lan_5000_'),
        (['a/reg.lan'], 'reg.lan:5000', ''),
    ],
)
def test_what_is_found_first(tmp_path: Path, made: list[str], upstream: str, shadow: str) -> None:
    for name in made:
        (tmp_path / name).mkdir(parents=True)
    found = hosts_toml.shadow([str(tmp_path / name) for name in 'abc'], str(tmp_path / 'b'), upstream)
    assert found == (str(tmp_path / shadow) if shadow else '')
    assert hosts_toml.shadow([], str(tmp_path / 'b'), upstream) == ''
