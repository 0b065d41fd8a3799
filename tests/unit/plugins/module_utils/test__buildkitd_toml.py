# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import string
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _buildkitd_toml as buildkit
from ansible_collections.quickpull.registry.plugins.module_utils._buildkitd_toml import Registries
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import parse_mirrors

tomllib = pytest.importorskip('tomllib')

PATH = '/home/ci/.docker/buildx/buildkitd.default.toml'
OWNER = 'registry_access'


def translated(**upstreams: t.Any) -> buildkit.Translated:
    return buildkit.translate({name.replace('_', '.'): parse_mirrors(mirrors) for name, mirrors in upstreams.items()})


def test_a_mirror_is_a_host_and_how_it_is_reached_a_table_of_that_host() -> None:
    client = {'url': 'https://c.lan', 'ca_path': '/pki/ca.pem', 'client_cert': '/pki/c.pem', 'client_key': '/pki/c.key', 'insecure': True}
    found = translated(docker_io=['http://a.lan:5000', 'https://harbor.lan/v2/hub', client], quay_io=['http://a.lan:5000'])
    assert found.left_out == ()
    assert tomllib.loads(buildkit.render(buildkit.merged(Registries(), found.registries)))['registry'] == {
        'docker.io': {'mirrors': ['a.lan:5000', 'harbor.lan/hub', 'c.lan']},
        'quay.io': {'mirrors': ['a.lan:5000']},
        'a.lan:5000': {'http': True},
        'c.lan': {'insecure': True, 'ca': ['/pki/ca.pem'], 'keypair': [{'key': '/pki/c.key', 'cert': '/pki/c.pem'}]},
    }


@pytest.mark.parametrize('mirror, words', [
    ({'url': 'https://a.lan', 'trust': 'content'}, 'trusted with content alone'),
    ({'url': 'https://a.lan', 'headers': {'X': 'S3CRET'}}, 'does not send'),
    ('https://a.lan/hub', 'path before /v2/'),
])  # fmt: skip
def test_what_buildkit_cannot_use_is_left_out(mirror: t.Any, words: str) -> None:
    found = translated(docker_io=[mirror, 'https://b.lan'])
    assert list(found.registries.mirrors['docker.io']) == ['b.lan']
    assert words in found.left_out[0] and 'S3CRET' not in found.left_out[0]


def test_one_host_is_reached_in_one_way() -> None:
    with pytest.raises(ConfigError, match=r'a\.lan: mirrors on one host are reached in different ways'):
        translated(docker_io=['https://a.lan'], quay_io=[{'url': 'https://a.lan/v2/quay', 'insecure': True}])


LETTER = st.sampled_from(string.ascii_lowercase)
PORT = st.one_of(st.just(''), st.integers(1, 9999).map(':{}'.format))
HOSTS = st.builds('{}{}{}.lan{}'.format, LETTER, st.text(string.ascii_lowercase + string.digits + '-', max_size=5), LETTER, PORT)
UPSTREAMS = st.dictionaries(HOSTS, st.lists(st.builds('{}://{}'.format, st.sampled_from(('http', 'https')), HOSTS), min_size=1, max_size=3), max_size=3)


@given(UPSTREAMS, UPSTREAMS)
def test_what_is_rendered_is_what_is_read_back(first: dict[str, list[str]], second: dict[str, list[str]]) -> None:
    try:
        one, two = (buildkit.translate({name: parse_mirrors(urls) for name, urls in each.items()}).registries for each in (first, second))
    except ConfigError:
        return
    together = buildkit.merged(one, two)
    text = buildkit.render(together)
    assert buildkit.parse(tomllib.loads(text).get('registry', {})) == together
    assert buildkit.merged(together, Registries()) == together
    assert buildkit.merged(one, Registries(dict.fromkeys(one.mirrors, ()))) == Registries()


# What may stand around a block: no TOML has to be it.
TEXTS = st.text(alphabet=st.sampled_from('ab=[]#" \n'), max_size=30)


@given(st.none() | TEXTS, st.sampled_from(('', '[registry."a.lan"]\n')), st.sampled_from(('', '[registry."b.lan"]\nhttp = true\n')))
def test_without_ours_a_file_is_what_it_was(text: str | None, first: str, second: str) -> None:
    once = buildkit.put_in(buildkit.part(text, OWNER, PATH), OWNER, first)
    twice = buildkit.put_in(buildkit.part(once, OWNER, PATH), OWNER, second)
    assert buildkit.put_in(buildkit.part(once, OWNER, PATH), OWNER, first) == once
    assert buildkit.put_in(buildkit.part(twice, OWNER, PATH), OWNER, '') == text


@given(TEXTS, st.text(alphabet=st.sampled_from('ab=[]#" \n'), min_size=1, max_size=30))
def test_what_is_written_behind_ours_stays(text: str, later: str) -> None:
    """Only the line end that ours began with remains, where it holds two parts of somebody's apart."""
    ours = buildkit.put_in(buildkit.part(text, OWNER, PATH), OWNER, '[registry."a.lan"]\n')
    parted = buildkit.part(f'{ours}{later}', OWNER, PATH)
    assert parted.behind == later
    assert parted.theirs == text + ('\n' if text and not text.endswith('\n') else '') + later


@given(st.none() | TEXTS.filter(bool), st.permutations(('one', 'two', 'one.two')), st.permutations(('one', 'two', 'one.two')))
def test_owners_come_and_go_in_any_order(text: str | None, coming: list[str], going: list[str]) -> None:
    now = text
    for owner in coming:
        now = buildkit.put_in(buildkit.part(now, owner, PATH), owner, f'[registry."{owner}.lan"]\n')
    assert now is not None and all(f'[registry."{owner}.lan"]' in now for owner in coming)
    for owner in going:
        now = buildkit.put_in(buildkit.part(now, owner, PATH), owner, '')
    assert now == text or (text is not None and now == text + '\n' and not text.endswith('\n'))


@pytest.mark.parametrize('owner', ['', 'a b', 'a\nb', 'x:y'])
def test_an_owner_that_would_break_the_comment_is_refused(owner: str) -> None:
    with pytest.raises(ConfigError, match='owner'):
        buildkit.part('', owner, PATH)


def test_a_block_of_which_a_line_was_lost_is_refused() -> None:
    whole = buildkit.put_in(buildkit.part('a = 1\n', OWNER, PATH), OWNER, '[registry."a.lan"]\n') or ''
    lines = whole.splitlines(keepends=True)
    for broken in (lines[:-1], [line for line in lines if 'Begin' not in line]):
        with pytest.raises(ConfigError, match='one is missing'):
            buildkit.part(''.join(broken), OWNER, PATH)


def test_tables_of_somebody_else_stay_theirs() -> None:
    ours = translated(docker_io=['http://a.lan:5000'], quay_io=['http://a.lan:5000', 'http://b.lan:5000', 'https://c.lan']).registries
    theirs: dict[str, dict[str, t.Any]] = {'docker.io': {'mirrors': ['x.lan']}, 'a.lan:5000': {'http': True, 'tlsconfigdir': ['/x']}, 'b.lan:5000': {}}
    found = buildkit.beside(ours, theirs, PATH)
    assert found.registries == Registries({'quay.io': ['a.lan:5000', 'c.lan']}, {})
    assert [words.split(' ')[0] for words in found.left_out] == [PATH, 'b.lan:5000']


@pytest.mark.parametrize('text', ['registry = { "a.lan" = { http = true } }\n'])
def test_a_table_in_braces_has_no_room(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for parser in (tomllib, None):
        monkeypatch.setattr(buildkit._toml, 'tomllib', parser)
        with pytest.raises(ConfigError, match='table in braces'):
            buildkit.check_room(text, PATH)
        buildkit.check_room('registry."a.lan".http = true\n[registry."b.lan"]\nmirrors = ["registry"]\n', PATH)


@pytest.mark.parametrize('text', ['[[registry]]\nhttp = true\n', 'registry = 1\n', '[registry]\nx = 1\n'])
def test_registry_has_to_be_tables(text: str) -> None:
    with pytest.raises(ConfigError, match='expected to be a table for each host'):
        buildkit.tables_of(text, PATH)


def test_go_reads_capitals() -> None:
    assert buildkit.tables_of('[Registry."a.lan"]\nHTTP = true\n') == {'a.lan': {'http': True}}


def test_one_host_is_reached_in_one_way_over_several_runs() -> None:
    plain = translated(docker_io=['http://c.lan:5000']).registries
    with pytest.raises(ConfigError, match=r'c\.lan:5000 is a mirror of docker\.io too'):
        buildkit.merged(plain, translated(quay_io=['https://c.lan:5000']).registries)
    assert buildkit.merged(plain, translated(docker_io=['https://c.lan:5000']).registries).hosts == {}


def test_what_somebody_made_of_ours_is_read_with_care() -> None:
    tables: dict[str, dict[str, t.Any]] = {'a.lan': {'mirrors': 'b.lan', 'ca': '/x', 'keypair': [{'key': 'k'}], 'http': 'yes'}, 'c.lan': {'mirrors': ['d.lan']}}
    assert buildkit.parse(tables) == Registries({'c.lan': ['d.lan']}, {})
