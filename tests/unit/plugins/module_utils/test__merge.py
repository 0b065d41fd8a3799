# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Merging into daemon.json and taking out again, with the record of who owns what."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._json_text import ABSENT, Document, pointer
from ansible_collections.quickpull.registry.plugins.module_utils._merge import (
    INSECURE,
    LISTS,
    MIRRORS,
    NO_PROXY,
    Daemon,
    Request,
    Result,
    clear,
    entry_name,
    leaves_of,
    merge,
    read_list,
)
from ansible_collections.quickpull.registry.plugins.module_utils._ownership import Record, either, encode

PATH = '/etc/docker/daemon.json'
RUNNING = Daemon(running=True, holds=frozenset({MIRRORS, INSECURE, '/debug', '/live-restore', '/labels'}))
STOPPED = Daemon()


@dataclass
class Host:
    """A file and its record, with the writes in the order in which the module does them."""

    data: bytes | None
    record: Record = field(default_factory=lambda: Record(PATH))
    daemon: Daemon = STOPPED

    def run(self, request: Request, crash: str = '') -> Result:
        result = merge(self.data, PATH, self.record, request, self.daemon)
        before = self.record
        self.record = either(before, result.record)
        if crash == 'before the file':
            return result
        self.data = result.data
        if crash == 'after the file':
            return result
        self.record = result.record
        return result

    def ask(self, owner: str = 'me', **wanted: t.Any) -> Result:
        return self.run(asking(owner, **wanted))

    def leave(self, owner: str = 'me', crash: str = '') -> Result:
        return self.run(leaving(owner), crash)

    @property
    def value(self) -> t.Any:
        return None if self.data is None else Document.parse(self.data, PATH).value

    @property
    def mirrors(self) -> t.Any:
        return self.value.get('registry-mirrors')


def asking(owner: str = 'me', *, exclusive: bool = False, settings: t.Any = None, proxies: t.Any = None, **lists: t.Sequence[str]) -> Request:
    names = {'mirrors': MIRRORS, 'insecure': INSECURE, 'no_proxy': NO_PROXY}
    leaves = {**leaves_of(settings or {}), **leaves_of({'proxies': proxies or {}})}
    wanted = {names[name]: tuple(entries) for name, entries in lists.items()}
    return Request(owner, wanted, leaves, settings is not None, proxies is not None, exclusive)


def leaving(owner: str) -> Request:
    return Request(owner, dict.fromkeys(LISTS, ()), {}, True, True)


def host(value: t.Any = None, daemon: Daemon = STOPPED) -> Host:
    return Host(None if value is None else json.dumps(value, indent=2).encode(), daemon=daemon)


# (in the file, asked, in the file then)
PLACES = [
    pytest.param(None, ['https://a', 'https://b'], ['https://a', 'https://b'], id='no key'),
    pytest.param(['https://f/'], ['https://a'], ['https://a', 'https://f/'], id='foreign ones behind'),
    pytest.param(['https://f', 'https://g'], ['https://a', 'https://g'], ['https://a', 'https://g', 'https://f'], id='foreign one asked for'),
    pytest.param(['HTTPS://A:443', 'https://f'], ['https://a/'], ['HTTPS://A:443', 'https://f'], id='another spelling stays'),
    pytest.param(['https://a', 'https://a/'], ['https://a'], ['https://a', 'https://a/'], id='a foreign duplicate stays'),
    pytest.param([], ['https://a', 'https://A/'], ['https://a'], id='asked twice'),
]


@pytest.mark.parametrize(('there', 'asked', 'then'), PLACES)
def test_where_mirrors_go(there: list[str] | None, asked: list[str], then: list[str]) -> None:
    one = host({} if there is None else {'registry-mirrors': there})
    original = one.data
    one.ask(mirrors=asked)
    assert one.mirrors == then
    one.leave()
    assert one.data == original


@pytest.mark.parametrize('daemon', [STOPPED, RUNNING], ids=['stopped', 'running'])
@pytest.mark.parametrize(
    'text', ['{"registry-mirrors":null}', '{ "insecure-registries" : null, "x": 1 }', '{"proxies": {"no-proxy":null}}', '{"proxies":null}']
)
def test_null_is_put_back_where_it_stood(text: str, daemon: Daemon) -> None:
    one = Host(text.encode(), daemon=daemon)
    one.ask(mirrors=['https://a'], insecure=['r:5000'], no_proxy=['.cn'])
    one.ask('other', mirrors=['https://b'])
    one.leave()
    one.leave('other')
    assert clear(one.data, PATH, one.record, daemon).data == text.encode()


def test_null_is_put_back_in_a_file_that_somebody_changed() -> None:
    one = Host(b'{"registry-mirrors":null,"labels":["a=b"]}')
    one.ask(mirrors=['https://a'])
    one.data = (one.data or b'').replace(b'a=b', b'a=c')
    one.leave()
    assert one.value == {'registry-mirrors': None, 'labels': ['a=c']}


def test_a_new_file_is_as_docker_writes_it_and_vanishes_again() -> None:
    one = host()
    one.ask(mirrors=['https://a'], settings={'log-opts': {'max-size': '10m'}})
    assert one.data == (
        b'{\n    "log-opts": {\n        "max-size": "10m"\n    },\n    "registry-mirrors": [\n        "https://a"\n    ]\n}\n'
    )
    one.leave()
    assert one.data is None
    assert not one.record.busy


def test_a_file_that_dockerd_was_told_to_read_is_emptied_but_not_deleted() -> None:
    one = host(daemon=Daemon(keep_file=True))
    one.ask(settings={'debug': True})
    one.leave()
    assert one.value == {}


def test_left_out_is_unmanaged_and_empty_takes_away() -> None:
    one = host({'debug': False})
    one.ask(mirrors=['https://a'], insecure=['r:5000'], settings={'debug': True}, proxies={'http-proxy': 'http://p'}, no_proxy=['.cn'])
    full = one.value
    one.ask()
    assert one.value == full
    one.ask(mirrors=[])
    assert 'registry-mirrors' not in one.value
    one.ask(settings={})
    assert one.value['debug'] is False
    one.ask(proxies={}, no_proxy=[])
    assert one.value == {'debug': False, 'insecure-registries': ['r:5000']}


def test_settings_are_the_whole_of_what_an_owner_asks() -> None:
    one = host({'log-opts': {'max-size': '1m'}, 'features': {}})
    one.ask(settings={'log-opts': {'max-size': '10m', 'max-file': '3'}, 'features': {'buildkit': True}, 'labels': ['a']})
    one.ask(settings={'log-opts': {'max-file': '3'}, 'features': None, 'labels': ['b']})
    assert one.value == {'log-opts': {'max-size': '1m', 'max-file': '3'}, 'features': {}, 'labels': ['b']}


def test_what_was_there_already_is_never_ours() -> None:
    one = host({'debug': True, 'registry-mirrors': ['https://a/']})
    original = one.data
    one.ask(mirrors=['https://a'], settings={'debug': True})
    assert one.data == original
    assert one.record.keys() == set()
    one.leave()
    assert one.data == original


def test_what_somebody_changed_since_is_left_and_reported() -> None:
    one = host({'debug': False})
    one.ask(settings={'debug': True, 'mtu': 1400})
    one.data = b'{"debug": true, "mtu": 1450}'
    result = one.leave()
    assert one.value == {'debug': False, 'mtu': 1450}
    assert result.foreign_changes == ('mtu was changed by somebody else since; it is left as it is.',)
    assert not one.record.busy


def test_a_changed_value_that_is_still_asked_for_is_set_again_and_given_back_as_last_seen() -> None:
    one = host({'mtu': 1300})
    one.ask(settings={'mtu': 1400})
    one.data = b'{"mtu": 1450}'
    assert one.ask(settings={'mtu': 1400}).foreign_changes == ('mtu was changed by somebody else since; it is set again.',)
    assert one.value == {'mtu': 1400}
    one.leave()
    assert one.value == {'mtu': 1450}


def test_exclusive_means_the_lists_given_and_nothing_else() -> None:
    one = host({'registry-mirrors': ['https://f', 'https://g'], 'insecure-registries': ['i'], 'debug': True})
    original = one.data
    one.ask(mirrors=['https://a', 'https://g'], exclusive=True)
    assert one.value == {'registry-mirrors': ['https://a', 'https://g'], 'insecure-registries': ['i'], 'debug': True}
    one.ask(mirrors=[], exclusive=True)
    assert one.mirrors == []
    one.leave()
    assert one.data == original


def test_owners_do_not_delete_each_others() -> None:
    one = host({'registry-mirrors': ['https://f']})
    one.ask('a', mirrors=['https://a'])
    one.ask('b', mirrors=['https://b', 'https://a'], settings={'debug': True})
    before = one.data
    one.ask('a', mirrors=['https://a'])
    assert one.data == before
    one.leave('a')
    assert one.mirrors == ['https://b', 'https://a', 'https://f'], 'an entry goes only with its last owner'
    one.leave('b')
    assert one.value == {'registry-mirrors': ['https://f']}


def test_the_value_of_the_owner_that_stays_comes_back() -> None:
    one = host({'mtu': 1300})
    one.ask('a', settings={'mtu': 1400})
    result = one.ask('b', settings={'mtu': 1500})
    assert result.foreign_changes == ('mtu is asked for by a too, with another value; that of b is written.',)
    one.leave('a')
    assert one.value == {'mtu': 1500}
    one.leave('b')
    assert one.value == {'mtu': 1300}
    one.ask('a', settings={'mtu': 1400})
    one.ask('b', settings={'mtu': 1500})
    one.leave('b')
    assert one.value == {'mtu': 1400}


def test_a_foreign_entry_in_front_goes_behind_ours() -> None:
    one = host({})
    one.ask(mirrors=['https://a', 'https://b'])
    one.data = json.dumps({'registry-mirrors': ['https://f', 'https://b', 'https://a']}).encode()
    one.ask(mirrors=['https://a', 'https://b'])
    assert one.mirrors == ['https://a', 'https://b', 'https://f']


def test_a_running_daemon_is_made_to_forget_before_the_key_goes() -> None:
    one = host({'debug': True}, RUNNING)
    original = one.data
    one.ask(mirrors=['https://a'], settings={'live-restore': True, 'mtu': 1400})
    one.leave()
    assert one.value == {'debug': True, 'live-restore': False, 'registry-mirrors': []}
    assert sorted(one.record.tombstones) == ['/live-restore', MIRRORS]
    waiting = one.data
    for request in (leaving('me'), asking(mirrors=[]), asking('other', settings={})):
        one.run(request)
        assert one.data == waiting
    result = clear(one.data, PATH, one.record, RUNNING)
    assert result.data == original
    assert not result.record.busy


@pytest.mark.parametrize('wanted', [{'mirrors': ['https://b']}, {'settings': {'debug': False}}, {'settings': {'debug': True}}])
def test_a_key_that_is_asked_for_again_does_not_wait_for_its_end(wanted: t.Any) -> None:
    one = host(daemon=RUNNING)
    one.ask(mirrors=['https://a'], settings={'debug': True})
    one.leave()
    one.ask(**wanted)
    assert len(one.record.tombstones) == 1
    one.daemon = STOPPED
    one.leave()
    assert one.data is None, 'the empty value was ours, not foreign'


def test_a_waiting_key_that_somebody_filled_is_theirs() -> None:
    one = host(daemon=RUNNING)
    one.ask(mirrors=['https://a'])
    one.leave()
    one.data = b'{"registry-mirrors": ["https://f"]}'
    result = clear(one.data, PATH, one.record, RUNNING)
    assert result.value == {'registry-mirrors': ['https://f']}


@pytest.mark.parametrize('value', [{'registry-mirrors': 'https://a'}, {'registry-mirrors': [1]}, {'proxies': {'no-proxy': ['a']}}])
def test_a_list_of_the_wrong_type_is_refused(value: t.Any) -> None:
    with pytest.raises(ConfigError, match='is not a'):
        host(value).ask(mirrors=['https://a'], no_proxy=['b'])


def test_spelling_of_a_foreign_no_proxy_comes_back() -> None:
    one = host({'proxies': {'no-proxy': 'a, .B ,'}})
    original = one.data
    one.ask(no_proxy=['c', 'A'])
    assert one.value == {'proxies': {'no-proxy': 'c,a,.B'}}
    one.leave()
    assert one.data == original


def test_entries_that_were_moved_or_taken_come_back_in_their_order() -> None:
    one = host({'registry-mirrors': ['https://f', 'https://g', 'https://h']})
    original = one.data
    one.ask(mirrors=['https://h'], exclusive=True)
    one.ask(mirrors=['https://a'])
    assert one.mirrors == ['https://a', 'https://f', 'https://g', 'https://h']
    one.leave()
    assert one.data == original


def test_a_crash_over_a_waiting_key_leaves_it_waiting() -> None:
    one = host(daemon=RUNNING)
    one.ask(settings={'live-restore': True})
    one.leave()
    one.run(asking(settings={'live-restore': True, 'mtu': 1}), crash='before the file')
    one.ask()
    assert one.record.tombstones == ['/live-restore']
    assert clear(one.data, PATH, one.record, RUNNING).data is None


# Laws over random files and sequences of runs

MIRROR = st.sampled_from(['https://a', 'https://a/', 'HTTPS://b', 'http://c:5000', 'https://d/x', 'https://e'])
HOST = st.sampled_from(['a:5000', '10.0.0.0/8', 'B', 'b', 'c'])
ENTRIES = {MIRRORS: MIRROR, INSECURE: HOST, NO_PROXY: st.sampled_from(['.cn', '*.cn', '10.0.0.0/8', 'x'])}
LEAVES = {
    '/debug': st.booleans(),
    '/live-restore': st.booleans(),
    '/mtu': st.sampled_from([1400, 1500, 1.5e3]),
    '/labels': st.lists(st.sampled_from(['x=1', 'y=2']), max_size=2),
    '/log-opts/max-size': st.sampled_from(['10m', '20m']),
    '/log-opts/max-file': st.sampled_from(['3', '5']),
    '/features/buildkit': st.booleans(),
    '/default-network-opts/bridge/mtu': st.sampled_from(['1', '2']),
    '/proxies/http-proxy': st.sampled_from(['http://p:1', 'http://u:pw@p:1']),
}
OWNERS = st.sampled_from(['a', 'b', 'c'])


@st.composite
def files(draw: st.DrawFn) -> bytes | None:
    if draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from([None, b'', b'{ }\n', b'\xef\xbb\xbf{}']))
    document = Document.parse(b'{}', PATH)
    for where, values in draw(st.permutations(sorted(LEAVES.items(), key=lambda item: item[0]))):
        if draw(st.booleans()):
            document = document.set(where, draw(values))
    for where, entries in ENTRIES.items():
        if draw(st.booleans()):
            found = draw(st.lists(entries, max_size=4))
            document = document.set(where, ', '.join(found) if where == NO_PROXY else found)
    value = document.set('/foreign', {'x': [1]}).value if draw(st.booleans()) else document.value
    return (json.dumps(value, indent=draw(st.sampled_from([None, 2, '\t']))) + draw(st.sampled_from(['', '\n']))).encode()


@st.composite
def requests(draw: st.DrawFn) -> Request:
    owner = draw(OWNERS)
    if draw(st.integers(0, 5)) == 0:
        return leaving(owner)
    lists = {where: tuple(draw(st.lists(entries, max_size=3))) for where, entries in ENTRIES.items() if draw(st.booleans())}
    leaves = {where: draw(values) for where, values in LEAVES.items() if draw(st.integers(0, 2)) == 0}
    settings_, proxies = draw(st.booleans()), draw(st.booleans())
    leaves = {where: value for where, value in leaves.items() if (proxies if where.startswith('/proxies') else settings_)}
    return Request(owner, lists, leaves, settings_, proxies, draw(st.integers(0, 3)) == 0)


CRASHES = st.sampled_from(['', '', '', 'before the file', 'after the file'])


def in_order(where: str, asked: t.Sequence[str], there: t.Sequence[str]) -> bool:
    names = [entry_name(where, entry) for entry in there]
    rest = iter(names)
    return all(entry_name(where, entry) in rest for entry in dict.fromkeys(asked) if entry_name(where, entry) in set(names)) or len(
        {entry_name(where, entry) for entry in asked}
    ) < len(asked)


def foreign_entries(one: Host, where: str) -> list[str]:
    """What nobody brought and nobody took, by the record."""
    entries = one.record.lists.get(where)
    there = read_list(Document.parse(one.data or b'', PATH), where) or []
    ours = {entry_name(where, entry) for claim in (entries.owners.values() if entries else ()) for entry in claim.ours}
    return [entry for entry in there if entry_name(where, entry) not in ours]


@given(files(), st.lists(st.tuples(requests(), CRASHES), max_size=6), st.booleans())
def test_laws_without_foreign_edits(data: bytes | None, runs: list[tuple[Request, str]], running: bool) -> None:
    one = Host(data, daemon=RUNNING if running else STOPPED)
    for request, crash in runs:
        foreign = {where: foreign_entries(one, where) for where in LISTS}
        one.run(request, crash)
        if crash:
            event(crash)
            continue
        document = Document.parse(one.data or b'', PATH)
        for where, value in request.leaves.items():
            assert document.get(where) == value
        for where, asked in request.lists.items():
            there = read_list(document, where) or []
            names = {entry_name(where, entry) for entry in there}
            assert {entry_name(where, entry) for entry in asked} <= names
            assert in_order(where, asked, there)
            if request.exclusive:
                assert {entry_name(where, entry) for entry in asked} == names
        for where, entries in foreign.items():
            if not (request.exclusive and where in request.lists):
                there = read_list(document, where) or []
                lost = {entry_name(where, entry) for entry in entries} - {entry_name(where, entry) for entry in there}
                assert not lost, 'a foreign entry was lost'
        after, record = one.data, encode(one.record)
        result = merge(after, PATH, one.record, request, one.daemon)
        assert result.data == after, 'a second run changed the file'
        assert encode(result.record) == record, 'a second run changed the record'
    # Everybody leaves, twice where a run crashed, and the file is as it was found.
    for owner in sorted(one.record.owners):
        one.leave(owner)
    if one.record.busy:
        result = clear(one.data, PATH, one.record, one.daemon)
        one.data, one.record = result.data, result.record
    assert one.data == data
    assert not one.record.busy


EDITS = st.sampled_from([*LEAVES, MIRRORS, INSECURE])


@st.composite
def edits(draw: st.DrawFn) -> tuple[str, t.Any]:
    where = draw(EDITS)
    if where in ENTRIES:
        return where, draw(st.lists(ENTRIES[where], max_size=3))
    return where, draw(st.one_of(LEAVES[where], st.just(ABSENT)))


@given(files(), st.lists(st.one_of(st.tuples(requests(), CRASHES), edits()), max_size=8), st.booleans())
def test_laws_with_foreign_edits(data: bytes | None, steps: list[t.Any], running: bool) -> None:
    one = Host(data, daemon=RUNNING if running else STOPPED)
    for what, how in steps:
        if isinstance(what, Request):
            one.run(what, how)
            if not how:
                again = merge(one.data, PATH, one.record, what, one.daemon)
                assert again.data == one.data, 'a second run changed the file'
                assert encode(again.record) == encode(one.record)
                assert again.foreign_changes == () or not what.leaves
            continue
        document = Document.parse(one.data or b'', PATH)
        edited = document.remove(what) if how is ABSENT else document.set(what, how)
        one.data = edited.to_bytes() if (one.data is not None or edited.value) else None
    # A key that nobody asked for is never touched, and what is left at the end parses.
    for owner in sorted(one.record.owners):
        one.leave(owner)
        assert owner not in one.record.owners
    final = Document.parse(one.data or b'', PATH)
    original = Document.parse(data or b'', PATH)
    assert final.get('/foreign') == original.get('/foreign')


@given(files(), requests())
def test_a_run_changes_only_what_it_asks_for(data: bytes | None, request: Request) -> None:
    result = merge(data, PATH, Record(PATH), request, STOPPED)
    before, after = Document.parse(data or b'', PATH), Document.parse(result.data or b'', PATH)
    touched = {*request.lists, *request.leaves}
    for where in {*LEAVES, *ENTRIES, pointer('foreign')} - touched:
        assert before.source(where) == after.source(where)
