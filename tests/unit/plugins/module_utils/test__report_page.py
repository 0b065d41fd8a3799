# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the page. How it looks and behaves in a browser is seen in tests/page."""

from __future__ import annotations

import ast
import base64
import hashlib
import html.parser
import itertools
import json
import re
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from page import sample

from ansible_collections.quickpull.registry.plugins.module_utils import _access, _plan, _probe_freshness, _probe_verdict, _probe_visit, _report
from ansible_collections.quickpull.registry.plugins.module_utils._report import as_data
from ansible_collections.quickpull.registry.plugins.module_utils._report_page import json_for_script, model
from ansible_collections.quickpull.registry.plugins.plugin_utils._report_files import ASSETS, page_of


class Reader(html.parser.HTMLParser):
    """The elements of a page with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.raw: list[str] = []
        self.text = ''
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or '' for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] in ('script', 'style') and self.cdata_elem:
            self.raw.append(data)
        else:
            self.text += data


def tags(text: str) -> list[str]:
    return [tag for tag, dummy in Reader(text).elements]


@pytest.fixture(scope='module')
def evil() -> str:
    return page_of(sample.evil())


def test_the_policy_allows_what_the_page_has_and_nothing_else(evil: str) -> None:
    found = Reader(evil)
    policy = next(attributes['content'] for tag, attributes in found.elements if attributes.get('http-equiv') == 'Content-Security-Policy')
    hashes = [base64.b64encode(hashlib.sha256(raw.encode()).digest()).decode() for raw in found.raw]
    style, dummy, script = hashes
    assert policy == f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; img-src data:; base-uri 'none'; form-action 'none'"


def test_nothing_is_fetched_from_anywhere(evil: str) -> None:
    links = [value for dummy, attributes in Reader(evil).elements for name, value in attributes.items() if name in ('src', 'href', 'action', 'srcset')]
    assert [link[:5] for link in links] == ['data:']
    assert not re.search(r'@import|url\(', (ASSETS / 'page.css').read_text(encoding='utf-8'))


def test_what_a_mirror_said_makes_no_element(evil: str) -> None:
    assert tags(evil) == tags(page_of(as_data({})))
    assert evil.count('<!--') == 1  # the licence
    assert '\u2028' not in evil.partition('id="data">')[2].partition('</script>')[0]
    # A place for something else is not filled in either.
    assert '@@DATA@@' in Reader(evil).text


def test_without_a_script_the_report_is_there_as_text() -> None:
    text = Reader(page_of(sample.small())).text
    assert '11 of 17 mirrors ok, 10 hosts, 1 proved, 1 pending, 1 failed, 1 skipped.' in text
    assert 'db2: dockerd refused the key foo.' in text


def test_on_a_large_fleet_the_sentence_stays() -> None:
    results = [{'url': f'http://{number}.lab', 'ok': True, 'state': 'ok'} for number in range(2001)]
    text = Reader(page_of(as_data({'probes': [{'upstream': 'docker.io', 'results': results}]}))).text
    assert '2001 of 2001 mirrors ok.' in text
    assert len(text) < 1000


@given(st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_json_for_a_script_is_json_and_ends_no_element(value: t.Any) -> None:
    text = json_for_script(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert not set('<>&') & set(text)


def test_the_model_has_a_cell_for_each_site() -> None:
    bad = {'ok': False, 'state': 'timeout', 'failed_at': 'ping', 'reason': 'Nothing came.'}
    probes = [
        {'upstream': 'docker.io', 'site': 'berlin', 'host': 'web1', 'results': [{'url': 'http://a', 'ok': True, 'state': 'ok', 'latency_ms': 3}]},
        {'upstream': 'docker.io', 'site': 'tokyo', 'host': 'db1', 'results': [{'url': 'http://a', **bad}, {'url': 'http://b', 'ok': True, 'state': 'ok'}]},
        {'upstream': 'quay.io', 'site': '', 'host': 'web1', 'results': []},
    ]
    hub, quay = model(as_data({'probes': probes, 'hosts': {'web1': {'after': ['http://a/']}}}))['upstreams']
    assert [site['name'] for site in hub['sites']] == ['berlin', 'tokyo']
    assert hub['mirrors'] == [
        {'url': 'http://a', 'used': 1, 'cells': [{'state': 'ok', 'ok': 1, 'ms': 3}, {'state': 'timeout', 'ok': 0, 'at': 'ping', 'why': 'Nothing came.'}]},
        {'url': 'http://b', 'used': 0, 'cells': [0, {'state': 'ok', 'ok': 1}]},
    ]
    assert quay == {'name': 'quay.io', 'sites': [{'name': 'web1', 'from': 'web1'}], 'mirrors': []}


def test_each_probe_of_a_site_has_a_column() -> None:
    def probe(site: str, host: str, ms: int) -> dict[str, t.Any]:
        return {'upstream': 'docker.io', 'site': site, 'host': host, 'results': [{'url': 'http://a', 'ok': True, 'state': 'ok', 'latency_ms': ms}]}

    probes = [probe('berlin', 'h1', 1), probe('berlin', 'h2', 2), probe('tokyo', 'h3', 3), probe('', 'h4', 4), probe('', 'h5', 5)]
    found = model(as_data({'probes': probes}))['upstreams'][0]
    assert [site['name'] for site in found['sites']] == ['berlin (h1)', 'berlin (h2)', 'tokyo', 'h4', 'h5']
    assert [cell['ms'] for cell in found['mirrors'][0]['cells']] == [1, 2, 3, 4, 5]


def test_notes_are_said_once_with_their_hosts() -> None:
    hosts = {'a': {'warnings': ['W.', 'W.'], 'drift': ['D.']}, 'b': {'warnings': ['W.'], 'refresh': {'checked_at': 'x', 'mirrors': None}}}
    found = model(as_data({'hosts': hosts}))
    assert found['notes'] == [{'kind': 'Drift', 'text': 'D.', 'hosts': ['a']}, {'kind': 'Warnings', 'text': 'W.', 'hosts': ['a', 'b']}]
    assert found['summary']['hosts_drift'] == 1
    assert [host.get('refresh') for host in found['hosts']] == [None, {'checked_at': 'x', 'because': '', 'mirrors': {}}]


def test_both_languages_have_the_same_strings() -> None:
    text = (ASSETS / 'words.js').read_text(encoding='utf-8')
    english, chinese = text.split('  zh: {')
    # The inner tables may be empty in English, where a name is its own word.
    keys = [re.findall(r'^    ([a-z_0-9]+):', part, re.M) for part in (english, chinese)]
    assert keys[0] == keys[1]
    assert len(keys[0]) > 40
    used = set(re.findall(r"\bsay\(\(?'([a-z_0-9]+)'", (ASSETS / 'page.js').read_text(encoding='utf-8')))
    assert used <= set(keys[0])


def literals(module: t.Any, found: t.Callable[[ast.AST], t.Sequence[ast.AST]]) -> set[str]:
    """The strings in parts of a module's source; of an f-string without names its parts, joined."""
    tree = ast.parse(Path(module.__file__).read_text(encoding='utf-8'))
    parts = [inner for node in ast.walk(tree) for part in found(node) for inner in ast.walk(part)]
    return {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def called_with(name: str) -> t.Callable[[ast.AST], t.Sequence[ast.AST]]:
    """The last argument of each call of a name."""

    def found(node: ast.AST) -> t.Sequence[ast.AST]:
        return node.args[-1:] if isinstance(node, ast.Call) and ast.unparse(node.func) == name else []

    return found


def skipped(node: ast.AST) -> t.Sequence[ast.AST]:
    """Why a host was skipped, where it is written out."""
    pairs = zip(node.keys, node.values) if isinstance(node, ast.Dict) else ()
    return [value for key, value in pairs if isinstance(key, ast.Constant) and key.value == 'skipped' and isinstance(value, ast.Constant)]


def chinese(table: str) -> set[str]:
    """The names that the Chinese page has words for."""
    text = (ASSETS / 'words.js').read_text(encoding='utf-8').split('  zh: {')[1]
    inside = re.search(rf'^    {table}: {{(.*?)}},$', text, re.M | re.S)
    assert inside, table
    return {quoted or name for quoted, name in re.findall(r"(?:'([^']+)'|\b(\w+)): '", inside.group(1))}


def proofs() -> set[str]:
    """Every word for what became of a host or of a file."""
    said, actions = set(), ('none', 'reload', 'restart')
    for check_mode, failed, rolled_back, pending, proved in itertools.product((False, True), (False, True), (False, True), ([], ['P.']), (None, False, True)):
        for plan, applied in itertools.product(actions, ('', *actions)):
            if applied == 'none' and proved is False:
                continue  # nothing was done that could be proved
            facts = {'engine': 'K3s', 'plan': plan, 'applied': applied, 'proved': proved, 'pending': pending}
            host = {'engines': [facts], 'pending': pending, 'apply': {'failed': failed, 'rolled_back': rolled_back}}
            said.update(_report.proof_words(as_data({'check_mode': check_mode, 'hosts': {'a': host}})['hosts']['a']))
            said.add(_access._state_of({'failed': failed, 'changed': plan != 'none', 'action': plan, 'proved': proved}, check_mode))
        for by, engine in itertools.product(('podman', ''), ('podman', 'containerd')):
            said.add(_access._proof_of(engine, {'validated_by': by}, {'changed': failed}, check_mode))
    return said - {''}


@pytest.mark.parametrize('table, names', [
    ('states', set(_probe_verdict.STATES)),
    ('steps', set(_probe_verdict.STEPS)),
    ('plans', {_plan.NONE, _plan.RELOAD, _plan.RESTART}),
    ('skips', {_report.UNREACHABLE, _report.HELD_BACK, *literals(_access, skipped)}),
    ('remarks', literals(_probe_freshness, called_with('_note')) | {
        note for note in literals(_probe_visit, called_with('self.finding.notes.append')) if not note.startswith(('budget_spent_at_', ': '))}),
    ('kinds', {title for title, dummy in _report.notes_by_kind({'a': {
        'failures': ['F.'], 'pending': ['P.'], 'drift': ['D.'], 'left_out': [{'url': 'u', 'reason': 'r'}], 'logins': ['L.'], 'warnings': ['W.']}})}),
    ('proofs', proofs()),
    ('sentences', {as_data({'hosts': {'a': {'apply': {'pending': True}}}})['hosts']['a']['pending'][0]}),
])  # fmt: skip
def test_what_is_the_collections_own_has_a_chinese_word(table: str, names: set[str]) -> None:
    assert names, 'nothing was found in the source'
    assert names - chinese(table) == set()


def test_the_names_are_found_in_the_source() -> None:
    assert {'written', 'read by podman', 'nothing to do', 'rolled back', 'not applied', 'reloaded, proved', 'a restart', 'would reload'} <= proofs()
    assert literals(_access, skipped) >= {'no engine', 'not reached'}
    assert literals(_probe_visit, called_with('self.finding.notes.append')) >= {'ping_odd', 'head_differs', 'budget_spent_at_'}


def test_the_page_knows_the_hosts_that_were_lost() -> None:
    script = (ASSETS / 'page.js').read_text(encoding='utf-8')
    assert f"{_report.UNREACHABLE}: ['bad'" in script
    assert f"'{_report.HELD_BACK}': ['wait'" in script


def test_the_model_has_the_engines_and_says_whether_it_is_check_mode() -> None:
    report = sample.fleet(check_mode=True)
    made = model(report)
    assert made['check_mode'] is True
    (host,) = [one for one in made['hosts'] if one['name'] == 'k3s1']
    assert host['engines'] == [{'engine': 'K3s', 'version': 'v1.30.4+k3s1', 'plan': 'restart', 'pending': ['It is a server.']}]
    (host,) = [one for one in made['hosts'] if one['name'] == 'cri1']
    assert host['engines'][1] == {'engine': 'CRI-O', 'version': '1.30.4', 'plan': 'reload', 'would_apply': 'reload'}
    assert model(as_data({}))['check_mode'] is False


def test_of_former_runs_the_model_has_what_is_drawn() -> None:
    runs = [('ok', 5), ('ok', None), ('timeout', 7)]
    points = [{'time': f'2026-11-0{day}T00:00:00Z', 'state': state, 'latency_ms': ms} for day, (state, ms) in enumerate(runs, 1)]
    probe = {'upstream': 'docker.io', 'host': 'a', 'results': [{'url': 'http://a', 'ok': True, 'state': 'ok'}], 'history': {'http://a': points}}
    (upstream,) = model(as_data({'probes': [probe]}))['upstreams']
    assert upstream['mirrors'][0]['cells'][0]['past'] == [5, 0, None]
