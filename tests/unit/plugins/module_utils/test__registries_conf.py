# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest
import tomllib
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _toml
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import FIRST_LINE
from ansible_collections.quickpull.registry.plugins.module_utils._registries_conf import (
    Conf,
    MirrorEntry,
    Place,
    check_formats,
    check_upstream,
    file_name,
    mirror_entry,
    mirrors_of,
    place,
    read_conf,
    render,
    upstream_of,
)

CHARACTERS = st.characters(codec='utf-8')
ENTRIES = st.builds(MirrorEntry, location=st.text(CHARACTERS), insecure=st.booleans(), pull_from_mirror=st.sampled_from(('all', 'digest-only')))


def as_toml(entry: MirrorEntry) -> dict[str, t.Any]:
    return {'location': entry.location, **({'insecure': True} if entry.insecure else {}), 'pull-from-mirror': entry.pull_from_mirror}


@given(st.text(CHARACTERS), st.lists(ENTRIES, max_size=4))
def test_what_is_written_is_read_back_equal(upstream: str, mirrors: list[MirrorEntry]) -> None:
    """Whatever the values hold, for a real TOML parser and for the reader of old Pythons."""
    text = render(upstream, mirrors)
    registry: dict[str, t.Any] = {'prefix': upstream, 'location': upstream}
    if mirrors:
        registry['mirror'] = [as_toml(mirror) for mirror in mirrors]
    assert tomllib.loads(text) == {'registry': [registry]}
    assert _toml._build(list(_toml._Reader(text).statements())) == {'registry': [registry]}


def test_a_drop_in() -> None:
    text = render('docker.io', [MirrorEntry('cache.lan:5000', True, 'all'), MirrorEntry('m.example.com', False, 'digest-only')])
    assert text == FIRST_LINE + """
[[registry]]
prefix = "docker.io"
location = "docker.io"

[[registry.mirror]]
location = "cache.lan:5000"
insecure = true
pull-from-mirror = "all"

[[registry.mirror]]
location = "m.example.com"
pull-from-mirror = "digest-only"
"""


@pytest.mark.parametrize(
    'mirror, expected',
    [
        (Mirror('http://cache.lan:5000'), MirrorEntry('cache.lan:5000', True, 'all')),
        (Mirror('http://cache.lan:5000/'), MirrorEntry('cache.lan:5000', True, 'all')),
        (Mirror('HTTPS://M.Example.com/', trust='content'), MirrorEntry('m.example.com', False, 'digest-only')),
        (Mirror('https://m.example.com:8443', insecure=True), MirrorEntry('m.example.com:8443', True, 'all')),
        # Port 80 is named, or else the client would try 443 first.
        (Mirror('http://cache.lan'), MirrorEntry('cache.lan:80', True, 'all')),
        (Mirror('http://cache.lan:443'), MirrorEntry('cache.lan:443', True, 'all')),
        # A lone name would be taken for a part of the image's name.
        (Mirror('https://cache'), MirrorEntry('cache:443', False, 'all')),
        (Mirror('http://10.0.0.1:5000'), MirrorEntry('10.0.0.1:5000', True, 'all')),
        (Mirror('https://harbor.lan/v2/hub/'), MirrorEntry('harbor.lan/hub', False, 'all')),
        (Mirror('https://harbor.lan/v2/hub/a-b_c'), MirrorEntry('harbor.lan/hub/a-b_c', False, 'all')),
    ],
)
def test_a_mirror_as_it_is_written(mirror: Mirror, expected: MirrorEntry) -> None:
    assert mirror_entry(mirror) == expected


@pytest.mark.parametrize(
    'mirror, words',
    [
        (Mirror('https://m.lan', headers={'X-Token': 's3cret'}), 'https://m.lan wants headers'),
        (Mirror('https://m.lan/hub'), 'a path before /v2/'),
        (Mirror('https://m.lan/v2'), 'a path before /v2/'),
        (Mirror('https://m.lan/v2/Hub'), 'the path /Hub'),
        (Mirror('https://m.lan/v2/a%20b'), 'the path /a%20b'),
        (Mirror('https://m.lan/v2//a'), 'the path //a'),
        (Mirror('https://a_b.lan'), 'the host a_b.lan'),
        (Mirror('https://m.lan.'), 'the host m.lan.'),
        (Mirror('http://[2001:db8::1]:5000'), r'the host \[2001:db8::1\]:5000'),
    ],
)
def test_a_mirror_that_cannot_be_had(mirror: Mirror, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        mirror_entry(mirror)
    assert 's3cret' not in str(caught.value)
    assert str(caught.value).endswith('.')


@given(st.from_regex(r'https?://[a-zA-Z0-9._:-]{1,20}(/[a-zA-Z0-9._%/-]{0,20})?', fullmatch=True), st.sampled_from(('content', 'resolve')))
def test_every_location_can_stand_in_front_of_an_image(url: str, trust: str) -> None:
    try:
        entry = mirror_entry(Mirror(url, trust=trust))
    except ConfigError:
        return
    host, slash, path = entry.location.partition('/')
    assert '://' not in entry.location and not entry.location.endswith('/')
    assert ('.' in host or ':' in host) and '_' not in host
    assert path == path.lower() and bool(slash) == bool(path)


@pytest.mark.parametrize('upstream', ['docker.io', 'registry.k8s.io', 'quay.io/team', 'localhost', 'localhost:5000', 'registry:5000', '10.0.0.1'])
def test_an_upstream(upstream: str) -> None:
    check_upstream(upstream)


@pytest.mark.parametrize('upstream', ['', 'https://docker.io', 'Docker.io', 'docker.io/', 'library', '*.example.com', 'a.io/../b', 'a.io/B', 'a b.io'])
def test_what_is_no_upstream(upstream: str) -> None:
    with pytest.raises(ConfigError, match='is no registry') as caught:
        check_upstream(upstream)
    assert caught.value.key == 'upstreams'


def test_the_hub_has_one_name() -> None:
    with pytest.raises(ConfigError, match=r'write docker\.io'):
        check_upstream('index.docker.io')
    with pytest.raises(ConfigError, match='too long'):
        check_upstream('a.io/' + 'b' * 200)


@given(st.from_regex(r'[a-z0-9.-]{1,20}(:[0-9]{1,5})?(/[a-z0-9._-]{1,10}){0,2}', fullmatch=True), st.booleans())
def test_a_name_stands_for_one_upstream(upstream: str, last: bool) -> None:
    name = file_name(upstream, last=last)
    assert upstream_of(name) == upstream
    assert '/' not in name and not name.startswith('.') and name.endswith('.conf')


def test_names() -> None:
    assert file_name('docker.io') == '500-quickpull-docker.io.conf'
    assert file_name('registry.lan:5000/a', last=True) == 'zz-quickpull-registry.lan%3A5000%2Fa.conf'
    assert [upstream_of(name) for name in ('shortnames.conf', '500-quickpull-docker.io.conf~', '500-other.conf')] == ['', '', '']


@pytest.mark.parametrize(
    'text, expected',
    [
        ('', Conf('f')),
        ('[aliases]\n"a" = "docker.io/a"\n', Conf('f')),
        ('[[registry]]\nprefix = "docker.io/"\nlocation = "x"\n[[registry]]\nlocation = "quay.io"\nblocked = true\n', Conf('f', ('docker.io', 'quay.io'))),
        ('[[Registry]]\nLocation = "a.io"\n[[Registry.Mirror]]\nLocation = "m.lan:5/x/"\n', Conf('f', ('a.io',), ('m.lan:5',))),
        ('[registries.search]\nregistries = ["a.io"]\n[registries.block]\nregistries = ["b.io"]\n', Conf('f', ('b.io',), old_format=True)),
        ('[registries.insecure]\nregistries = ["c.io/"]\n', Conf('f', ('c.io',), old_format=True)),
        ('[[registry]]\nprefix = "a"\n', Conf('f', ('a',))),
        ('[[registry]]\nlocation = true\n', Conf('f', problem='an entry has no location, or something else than a text as its location or prefix')),
        ('[[registry]]\n', Conf('f', problem='an entry has no location, or something else than a text as its location or prefix')),
        ('registry = "a"\n', Conf('f', problem='an entry has no location, or something else than a text as its location or prefix')),
    ],
)
@pytest.mark.parametrize('old_python', [False, True])
def test_what_others_wrote(text: str, expected: Conf, old_python: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if old_python:
        monkeypatch.setattr(_toml, 'tomllib', None)
    assert read_conf('f', text.encode()) == expected


def test_what_is_not_understood() -> None:
    assert read_conf('f', b'a = = 1').problem
    assert read_conf('f', b'a\xff').problem == 'byte 1 is no UTF-8'


@given(st.binary(max_size=60))
def test_reading_never_raises(data: bytes) -> None:
    read_conf('f', data)


def conf(name: str, upstream: str = 'docker.io') -> Conf:
    return Conf(f'/d/{name}', (upstream,))


@pytest.mark.parametrize(
    'main, names, overwrite, expected',
    [
        (None, [], False, '500-quickpull-docker.io.conf'),
        (None, ['400-a.conf'], False, 'has an entry for docker.io already'),
        (None, ['400-a.conf'], True, '500-quickpull-docker.io.conf'),
        (None, ['.hidden.conf'], False, 'has an entry for docker.io already'),
        (conf('registries.conf'), [], False, 'registries.conf has an entry for docker.io already'),
        (conf('registries.conf'), [], True, '500-quickpull-docker.io.conf'),
        (conf('registries.conf', 'quay.io'), [], False, '500-quickpull-docker.io.conf'),
        (None, ['600-a.conf'], False, '600-a.conf has an entry for docker.io too and is read after ours'),
        (None, ['600-a.conf'], True, 'zz-quickpull-docker.io.conf'),
        (None, ['400-a.conf', '600-a.conf'], False, '600-a.conf has'),
        (None, ['a.conf', 'zzz.conf'], True, 'zzz.conf has an entry for docker.io and is read even after zz-quickpull-docker.io.conf'),
        (None, ['\udcff.conf'], True, 'is read even after'),
    ],
)
def test_where_a_drop_in_goes(main: Conf | None, names: list[str], overwrite: bool, expected: str) -> None:
    others = [*map(conf, names), conf('650-b.conf', 'quay.io')]
    found = place('docker.io', [main] if main else [], others, overwrite)
    if expected.endswith('docker.io.conf') and ' ' not in expected:
        assert found == Place(expected)
    else:
        assert found.name == ''
        assert expected in found.because
        assert found.path in found.because


@given(st.lists(st.text('am59z.-', min_size=1, max_size=4).map(lambda text: f'{text}.conf'), unique=True, max_size=4), st.booleans(), st.booleans())
def test_ours_always_counts_and_replaces_nobody_unasked(names: list[str], main: bool, overwrite: bool) -> None:
    found = place('docker.io', [conf('registries.conf')] if main else [], [conf(name) for name in names], overwrite)
    if found.name:
        assert sorted([*names, found.name], key=str.encode)[-1] == found.name
        assert overwrite or not (names or main)


def test_the_old_format() -> None:
    check_formats([conf('a.conf')])
    with pytest.raises(ConfigError, match=r'/d/b\.conf is in the old format') as caught:
        check_formats([conf('a.conf'), Conf('/d/b.conf', old_format=True)])
    assert caught.value.path == '/d/b.conf'


def test_the_mirrors_of_a_dropin_are_told_as_they_were_given() -> None:
    urls = ['http://a.lan:5000', 'https://b.lan/v2/hub', 'https://c.lan']
    text = render('docker.io', [mirror_entry(Mirror(url, insecure=url.endswith('c.lan'))) for url in urls])
    assert [url.replace(':443', '') for url in mirrors_of(text)] == urls
    assert mirrors_of('[') == mirrors_of('registry = 1') == mirrors_of('') == []
