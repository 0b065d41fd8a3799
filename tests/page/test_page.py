# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's page in a real browser. The screenshots are left in .cache/page, to be looked at."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from page.browser import Seen, Visit, look

Pages = t.Mapping[str, Path]
PHONE, DESK = 390, 1280
NARROWEST, WIDE = 360, 1400
SLOWEST_MS = 2000
SLOWEST_KEY_MS = 1000
NAMES = "[...document.querySelectorAll('#hosts tbody tr:not([hidden]) th')].map(one => one.textContent)"
MIRRORS = "[...document.querySelectorAll('#mirrors-0 tbody tr:not([hidden]) .url')].map(one => one.textContent)"
SORTED = "[...document.querySelectorAll('th[aria-sort]')].map(one => [one.textContent.replace(/[▲▼↕]/g, ''), one.getAttribute('aria-sort')])"
COLUMNS = "[...document.querySelectorAll('#mirrors-0 thead th.cell')].map(one => one.textContent.replace(/[▲▼↕]/g, ''))"
FRAMES = 'new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))'
OPENED = "[...document.querySelectorAll('details')].filter(one => one.open && one.closest('[hidden]') === null).map(one => one.textContent)"
# From a key to the second frame after what it found was drawn.
KEY = """new Promise(done => {
  const begun = performance.now(), input = document.getElementById('search');
  const wait = () => document.documentElement.dataset.searching ? setTimeout(wait, 1)
    : requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begun)));
  input.value = 'timeout';
  input.dispatchEvent(new Event('input', {bubbles: true}));
  wait();
})"""
CELL = """(name, label) => [...document.querySelectorAll('#hosts tbody tr')].find(one => one.querySelector('th').textContent === name)
  .querySelector(`[data-label="${label}"]`).textContent"""
BACKGROUND = 'getComputedStyle(document.body).backgroundColor'


def quiet(seen: Seen) -> None:
    """Nothing went wrong, and nothing was asked for."""
    assert (seen.console, seen.errors, seen.requests) == ([], [], [])


@pytest.fixture(scope='module')
def audited(pages: Pages) -> dict[tuple[int, str, str], Seen]:
    """The small report at each width, in each theme and language, with axe's opinion."""
    kinds = [(width, theme, locale) for width in (PHONE, DESK) for theme in ('light', 'dark') for locale in ('en-US', 'zh-CN')]
    steps = [('ask', 'document.documentElement.lang'), ('ask', BACKGROUND), ('ask', 'document.documentElement.scrollWidth <= innerWidth'),
             ('ask', "document.querySelectorAll('details').forEach(one => one.open = true)")]  # fmt: skip
    visits = [
        Visit(pages['small'], width, theme, locale, steps=steps, axe=True, screenshot=f'{"phone" if width == PHONE else "desk"}-{theme}-{locale}')
        for width, theme, locale in kinds
    ]
    return dict(zip(kinds, look(*visits)))


@pytest.mark.parametrize('width', [PHONE, DESK])
@pytest.mark.parametrize('theme', ['light', 'dark'])
@pytest.mark.parametrize('locale', ['en-US', 'zh-CN'])
def test_axe_finds_nothing_serious(audited: dict[tuple[int, str, str], Seen], width: int, theme: str, locale: str) -> None:
    seen = audited[width, theme, locale]
    quiet(seen)
    assert [one for one in seen.axe if one['impact'] in ('serious', 'critical')] == []
    assert seen.axe_passes > 20
    language, background, fits, dummy = seen.answers
    assert language == {'en-US': 'en', 'zh-CN': 'zh-Hans'}[locale]
    assert background == {'light': 'rgb(246, 247, 248)', 'dark': 'rgb(16, 19, 22)'}[theme]
    assert fits, 'it has to be scrolled sideways'


def test_search_narrows_every_table(pages: Pages) -> None:
    status = "document.getElementById('found').textContent"
    told = "[...document.querySelectorAll('.notes li:not([hidden])')].map(one => one.textContent)"
    steps = [('fill', '#search', 'DB2'), ('ask', NAMES), ('ask', status), ('ask', told),
             ('fill', '#search', 'tls error'), ('ask', MIRRORS),
             ('fill', '#search', 'tokyo'), ('ask', COLUMNS),
             ('fill', '#search', 'nowhere'), ('ask', NAMES), ('ask', status),
             ('fill', '#search', ''), ('ask', f'{NAMES}.length'), ('ask', status)]  # fmt: skip
    (seen,) = look(Visit(pages['small'], steps=steps))
    quiet(seen)
    names, found, notes, mirrors, columns, none, nothing, everyone, silent = seen.answers
    assert names == ['db2']
    assert found.endswith('rows match')
    assert notes == ['db2: dockerd refused the key foo.']
    assert mirrors == ['https://hub.example.com/a/rather/long/path/to/a/proxy', 'https://dead.example.com']
    assert columns == ['tokyo']
    assert (none, nothing) == ([], 'Nothing matches.')
    assert (everyone, silent) == (10, '')


SOUGHT: list[tuple[str, str, list[str], list[str]]] = [
    ('en-US', 'digest differs', [], ['https://b.example']),
    ('en-US', 'B.example  site-03', [], ['https://b.example']),
    ('en-US', 'a.example expired', [], []),
    ('en-US', 'at manifest', [], ['https://b.example']),
    ('en-US', 'team/my_app:1', [], ['https://b.example']),
    ('en-US', '1.0 s MB/s', [], ['https://a.example']),
    ('en-US', 'median 1.3', [], ['https://a.example']),
    ('en-US', 'registry-mirrors changed', ['all1'], []),
    ('en-US', 'm4 slow', ['all1'], []),
    ('en-US', 'containers kept', ['all1'], []),
    ('en-US', 'skipped', ['none1'], []),
    ('en-US', 'containerd restart not', ['all1'], []),
    ('en-US', 'rolled back', ['broke2'], []),
    ('en-US', 'ann buildkit', ['cri1'], []),
    ('zh-CN', '重启', ['all1', 'cri1', 'k3s1', 'wait1'], []),
    ('zh-CN', '已跳过', ['none1'], []),
    ('zh-CN', '暂缓', ['held1', 'held2'], []),
    ('zh-CN', '取清单', [], ['https://b.example']),
    ('zh-CN', '超时 site-00', [], ['https://b.example']),
    ('zh-CN', 'rolled back', [], []),
]  # fmt: skip


@pytest.fixture(scope='module')
def sought(pages: Pages) -> dict[tuple[str, str], t.Any]:
    """By language and words, the hosts and mirrors that are found."""
    locales = ('en-US', 'zh-CN')
    asked = {locale: [words for spoken, words, dummy, dummy in SOUGHT if spoken == locale] for locale in locales}
    visits = look(*[
        Visit(pages['fleet'], locale=locale, steps=[step for words in asked[locale] for step in (('fill', '#search', words), ('ask', f'[{NAMES}, {MIRRORS}]'))])
        for locale in locales
    ])
    return {(locale, words): found for locale, seen in zip(locales, visits) for words, found in zip(asked[locale], seen.answers)}


@pytest.mark.parametrize('locale, words, hosts, mirrors', SOUGHT)
def test_search_finds_what_is_drawn(sought: dict[tuple[str, str], t.Any], locale: str, words: str, hosts: list[str], mirrors: list[str]) -> None:
    assert sought[locale, words] == [hosts, mirrors]


def test_search_finds_a_kind_of_notes_and_two_sites(pages: Pages) -> None:
    told = "[...document.querySelectorAll('.notes li:not([hidden]) .hosts')].map(one => one.textContent)"
    links = "[...document.querySelectorAll('.jump a:not([hidden])')].map(one => one.textContent + one.getAttribute('href'))"
    steps = [('fill', '#search', '警告'), ('ask', told), ('ask', NAMES), ('ask', links), ('fill', '#search', 'site-04 probe1'), ('ask', COLUMNS)]
    (seen,) = look(Visit(pages['fleet'], locale='zh-CN', steps=steps))
    quiet(seen)
    assert seen.answers == [['lost1'], [], ['说明#at-notes'], ['site-01', 'site-04']]
    (seen,) = look(Visit(pages['small'], steps=[('fill', '#search', 'harbor.lan'), ('ask', links)]))
    assert seen.answers == [['Mirrors#at-mirrors-1', 'Hosts#at-hosts']]


def test_what_is_found_behind_something_is_shown(pages: Pages) -> None:
    steps = [('ask', OPENED), ('fill', '#search', '40 days'), ('ask', OPENED), ('fill', '#search', 'm0.example'), ('ask', NAMES), ('ask', OPENED),
             ('fill', '#search', 'all1'), ('ask', OPENED)]  # fmt: skip
    (seen,) = look(Visit(pages['fleet'], steps=steps))
    quiet(seen)
    closed, reasons, names, behind, again = seen.answers
    assert closed == again == []
    assert len(reasons) == 1 and 'Its image is 40 days old.' in reasons[0] and reasons[0].startswith('and 4 more')
    assert names == ['all1', 'cri1', 'wait1', 'broke2'], 'where it can be seen at once nothing need be opened'
    assert behind == []


def test_columns_are_sorted_by_mouse_and_by_keyboard(pages: Pages) -> None:
    latency, name = '#mirrors-0 thead th:nth-child(3) button', '#hosts thead th:nth-child(1) button'
    steps = [('ask', SORTED), ('click', latency), ('ask', SORTED), ('ask', MIRRORS), ('click', latency), ('ask', SORTED), ('ask', MIRRORS),
             ('press', name, 'Enter'), ('ask', NAMES), ('press', name, 'Space'), ('ask', NAMES), ('ask', SORTED),
             ('click', '#language'), ('ask', SORTED), ('ask', NAMES),
             ('click', '#mirrors-0 thead th:nth-child(4) button'), ('ask', SORTED)]  # fmt: skip
    (seen,) = look(Visit(pages['small'], steps=steps, screenshot='sorted', full=False))
    quiet(seen)
    at_first, up, fast_first, down, slow_first, by_name, backwards, both, spoken, still, most = seen.answers
    assert at_first == []
    assert [one[1] for one in up] == ['ascending']
    assert up[0][0].startswith('Latency')
    assert [one[1] for one in down] == ['descending']
    assert fast_first[0] == 'http://cache.lan:5000'
    # What was not measured stays at the end, whichever way.
    assert fast_first[-1] == slow_first[-1] == 'https://dead.example.com'
    assert slow_first[:-1] == fast_first[:-1][::-1]
    assert by_name == ['db1', 'db2', 'edge1', 'edge2', 'web1', 'web2', 'web3', 'web4', 'web5', 'web6']
    assert backwards == by_name[::-1] == still
    assert len(both) == len(spoken) == 2
    assert spoken[1][0] == '主机'
    # Of throughput more is better, and comes first.
    assert most[0][1] == 'descending'


def test_the_buttons_change_language_and_theme(pages: Pages) -> None:
    focus = 'document.activeElement.id'
    title = "document.querySelector('h1').textContent"
    label = "document.getElementById('theme').textContent"
    steps = [('ask', BACKGROUND), ('ask', title), ('click', '#theme'), ('ask', BACKGROUND), ('fill', '#search', 'web2'),
             ('press', '#language', 'Enter'), ('ask', title), ('ask', focus), ('ask', NAMES), ('ask', BACKGROUND), ('ask', label),
             ('click', '#theme'), ('ask', BACKGROUND)]  # fmt: skip
    (seen,) = look(Visit(pages['small'], steps=steps))
    quiet(seen)
    light, english, dark, chinese, focused, searched, still, button, again = seen.answers
    assert light == again != dark == still
    assert (english, chinese) == ('Registry mirrors', '镜像加速一览')
    assert (focused, searched, button) == ('language', ['web2'], '浅色')


def test_each_thing_is_on_the_page(pages: Pages) -> None:
    row = "[...document.querySelectorAll('#hosts tbody tr')].find(one => one.querySelector('th').textContent === name)"
    cell = f'(name, label) => {row}.querySelector(`[data-label="${{label}}"]`)'
    told = [('web2', 'Plan'), ('web2', 'Proof'), ('web3', 'Drift'), ('web4', 'Own refresh'), ('web1', 'Own refresh'), ('db1', 'Pending'), ('db2', 'Proof'),
            ('edge1', 'Engine'), ('edge1', 'Mirrors'), ('edge2', 'Proof')]  # fmt: skip
    steps = [('ask', "document.querySelectorAll('details').forEach(one => one.open = true)"),
             ('ask', "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"),
             *(('ask', f'({cell})("{name}", "{label}").textContent') for name, label in told),
             ('ask', "[...document.querySelectorAll('svg[role=img]')].map(one => one.getAttribute('aria-label'))"),
             ('ask', "[...document.querySelectorAll('.numbers > div')].map(one => one.textContent)"),
             ('ask', "document.querySelector('time').textContent")]  # fmt: skip
    (seen,) = look(Visit(pages['small'], steps=steps))
    quiet(seen)
    said = dict(zip(told, seen.answers[2:]))
    assert said['web2', 'Plan'] == 'reloadregistry-mirrors changed.'
    assert said['web2', 'Proof'] == 'reloaded, proved4 of 4 containers kept'
    assert said['web3', 'Drift'].endswith('registry-mirrors has one entry more.')
    assert 'failed three times' in said['web4', 'Own refresh']
    assert said['web1', 'Own refresh'] == ''
    assert said['db1', 'Pending'] == '1Swarm is active, so a restart would stop its services.'
    assert said['db2', 'Proof'] == 'failedrolled backwhydockerd refused the key foo.'
    assert said['edge1', 'Engine'] == 'containerd 1.7.24Podman 5.4.2'
    assert 'was none' in said['edge1', 'Mirrors']
    assert said['edge2', 'Proof'] == 'skipped: not reached'
    plots, numbers, time = seen.answers[-3:]
    assert sum(label.startswith('Latency: ') for label in plots) == 6
    assert sum('runs, ' in label for label in plots) == 17
    assert numbers[:2] == ['Mirrors × sites that serve11 of 17', 'Hosts10']
    assert '2026' in time


def test_each_engine_is_on_the_page(pages: Pages) -> None:
    told = [('all1', 'Engine'), ('all1', 'Plan'), ('all1', 'Proof'), ('cri1', 'Engine'), ('cri1', 'Proof'), ('k3s1', 'Engine'), ('k3s1', 'Plan'),
            ('wait1', 'Proof'), ('broke1', 'Mirrors'), ('lost1', 'Proof'), ('held1', 'Proof'), ('none1', 'Proof')]  # fmt: skip
    (seen,) = look(Visit(pages['fleet'], steps=[('ask', f'({CELL})("{name}", "{label}")') for name, label in told]))
    quiet(seen)
    said = dict(zip(told, seen.answers))
    assert said['all1', 'Engine'] == 'Docker 26.1.5containerd 1.7.24Podman 5.4.2'
    assert said['all1', 'Plan'].startswith('restart') and said['all1', 'Plan'].endswith('Docker: reloadcontainerd: restart')
    assert said['all1', 'Proof'] == (
        'a restart, not provedDocker: reloaded, provedcontainerd: a restart, not provedPodman: nothing to do4 of 4 containers kept'
    )
    assert said['cri1', 'Engine'] == 'Podman 5.4.2CRI-O 1.30.4BuildKit of ann'
    assert said['cri1', 'Proof'] == 'reloaded, provedPodman: nothing to doCRI-O: reloaded, proved'
    assert said['k3s1', 'Engine'] == 'K3s v1.30.4+k3s1'
    assert said['k3s1', 'Plan'] == 'restart'
    assert said['wait1', 'Proof'] == 'pendingDocker: pendingRKE2: reloaded, proved'
    assert said['broke1', 'Mirrors'] == '', 'nobody looked'
    assert said['lost1', 'Proof'] == 'unreachable'
    assert said['held1', 'Proof'] == 'held back, since hosts of an earlier wave failed'
    assert said['none1', 'Proof'] == 'skipped: no engine'


def test_check_mode_is_told(pages: Pages) -> None:
    banner = "[...document.querySelectorAll('.banner')].map(one => one.textContent.trim())"
    real, check = look(Visit(pages['fleet'], steps=[('ask', banner)]),
                       Visit(pages['check'], steps=[('ask', banner), ('ask', f'({CELL})("all1", "Proof")')], screenshot='check'))  # fmt: skip
    assert real.answers == [[]]
    assert check.answers[0] == ['Check mode: nothing was changed. This is what a run would do.']
    assert check.answers[1].startswith('would restartDocker: would reloadcontainerd: would restartPodman: nothing to do')


def test_hosts_that_were_lost_are_counted_and_stand_with_those_that_failed(pages: Pages) -> None:
    numbers = "[...document.querySelectorAll('.numbers > div')].map(one => [one.textContent, one.querySelector('.state')?.className])"
    (seen,) = look(Visit(pages['fleet'], steps=[('ask', numbers), ('click', '#hosts thead th:nth-child(5) button'), ('ask', NAMES)]))
    quiet(seen)
    boxes, names = seen.answers
    for box in (['Unreachable1', 'state bad'], ['Held back2', 'state wait'], ['Drifted1', 'state wait'], ['Skipped1', 'state soft']):
        assert box in boxes
    assert set(names[:3]) == {'broke1', 'broke2', 'lost1'}
    assert set(names[3:7]) >= {'held1', 'held2', 'wait1'}
    assert names[-1] == 'none1'


def test_reasons_beyond_the_first_can_be_opened(pages: Pages) -> None:
    why = "document.querySelector('#mirrors-0 tbody tr:last-child .why').textContent"
    steps = [('ask', why), ('click', '#mirrors-0 tbody tr:last-child .why summary'), ('ask', FRAMES), ('ask', why),
             ('click', '#hosts tbody tr:first-child .mirrors details:last-of-type summary'), ('ask', FRAMES), ('ask', OPENED)]  # fmt: skip
    (seen,) = look(Visit(pages['fleet'], steps=steps, screenshot='reasons'))
    quiet(seen)
    closed, dummy, opened, dummy, lists = seen.answers
    assert 'site-05' not in closed and closed.endswith('and 4 more')
    assert opened.endswith('site-05: at manifest: Its image is 40 days old.')
    assert 'site-02: at blob its requests were used up: team/my_app:1' in opened
    assert len(lists) == 2


def test_figures_reach_the_next_unit_by_rounding(pages: Pages) -> None:
    figures = "[...document.querySelectorAll('#mirrors-0 tbody tr:first-child td.cell small')].map(one => one.textContent)"
    labels = "[...document.querySelectorAll('#mirrors-0 tbody tr:first-child svg[role=img]')].map(one => one.getAttribute('aria-label'))"
    (seen,) = look(Visit(pages['fleet'], steps=[('ask', figures), ('ask', labels)]))
    assert seen.answers[0][0] == '1.0 s · 1.0 MB/s'
    assert seen.answers[1] == ['Latency: median 1.3 s of 6 sites, from 1.0 s to 1.5 s', 'Throughput: median 1.0 MB/s of 6 sites, from 1.0 MB/s to 1.0 MB/s']


def test_what_is_open_stays_open_in_the_other_language(pages: Pages) -> None:
    plan = '#hosts tbody tr:first-child td:nth-child(4) summary'
    steps = [('click', plan), ('click', '#mirrors-0 tbody tr:last-child .why summary'), ('click', '#language'), ('ask', FRAMES), ('ask', OPENED)]
    (seen,) = look(Visit(pages['fleet'], steps=steps))
    quiet(seen)
    reasons, plans = seen.answers[-1]
    assert reasons.startswith('另有 4 个') and 'Its image is 40 days old.' in reasons
    assert plans == '重启registry-mirrors changed.'


def test_the_chinese_page_says_what_is_english(pages: Pages) -> None:
    english = "[...document.querySelectorAll('#body [lang=en]')].map(one => one.textContent)"
    steps = [('ask', "document.querySelectorAll('details').forEach(one => one.open = true)"), ('ask', FRAMES), ('ask', english),
             ('ask', f'({CELL})("cri1", "引擎")'), ('ask', "document.getElementById('body').textContent")]  # fmt: skip
    chinese, other = look(Visit(pages['fleet'], WIDE, 'dark', 'zh-CN', steps=steps, screenshot='fleet-zh'), Visit(pages['fleet'], steps=[('ask', english)]))
    quiet(chinese)
    assert other.answers == [[]]
    dummy, dummy, said, engine, text = chinese.answers
    assert {'Its certificate has expired.', 'registry-mirrors changed.', 'dockerd refused the key foo.', 'daemon.json is not as it was left.', 'm4 was slow.',
            'It is a mirror of a_friend.', 'Unreachable: Connection refused'} <= set(said)  # fmt: skip
    assert engine.endswith('ann 的 BuildKit')
    for word in ('written', 'read by', 'digest', 'held back', 'no engine', 'nothing to do', 'not proved', 'unreachable', 'budget'):
        assert word not in text
    # A name is no sentence, and keeps its letters.
    assert 'team/my_app:1' in text


def test_what_cannot_be_drawn_is_there_as_text(pages: Pages) -> None:
    (seen,) = look(Visit(pages['broken'], steps=[('ask', "document.getElementById('body').textContent")], axe=True, screenshot='broken'))
    assert seen.errors == seen.requests == []
    assert 'could not be drawn' in seen.answers[0] and 'broke2: dockerd refused the key foo.\n' in seen.answers[0]
    assert len(seen.console) == 1
    assert [one for one in seen.axe if one['impact'] in ('serious', 'critical')] == []


@pytest.mark.parametrize('width, least, buttons', [(NARROWEST, 36, 4), (WIDE, 24, 12)])
def test_a_long_page_can_be_jumped_through(pages: Pages, width: int, least: int, buttons: int) -> None:
    top = "document.getElementById('at-hosts').getBoundingClientRect().top"
    sizes = "[...document.querySelectorAll('summary')].slice(0, 40).map(one => one.getBoundingClientRect().height)"
    seen_buttons = "[...document.querySelectorAll('#mirrors-0 thead th.cell button')].filter(one => one.offsetParent).length"
    steps = [('ask', "[...document.querySelectorAll('.jump a')].map(one => one.textContent)"), ('ask', top), ('click', '.jump a[href="#at-hosts"]'),
             ('ask', FRAMES), ('ask', top), ('ask', f'Math.min(...{sizes})'), ('ask', seen_buttons),
             ('ask', 'document.documentElement.scrollWidth <= innerWidth')]  # fmt: skip
    (seen,) = look(Visit(pages['hosts'], width, steps=steps, screenshot=f'jump-{width}', full=False))
    quiet(seen)
    links, before, dummy, after, smallest, sorts, fits = seen.answers
    assert links == ['Mirrors', 'Hosts', 'Notes']
    assert before > 900
    assert 0 <= after < 100
    assert smallest >= least
    assert sorts == buttons
    assert fits


@pytest.mark.parametrize('name, width, theme', [('fleet', NARROWEST, 'light'), ('fleet', WIDE, 'dark'), ('hosts', NARROWEST, 'dark')])
def test_axe_finds_nothing_serious_on_other_fleets(pages: Pages, name: str, width: int, theme: str) -> None:
    fits = ('ask', 'document.documentElement.scrollWidth <= innerWidth')
    (seen,) = look(Visit(pages[name], width, theme, steps=[fits], axe=True, screenshot=f'{name}-{width}-{theme}', full=name == 'fleet'))
    quiet(seen)
    assert seen.answers == [True]
    assert [one for one in seen.axe if one['impact'] in ('serious', 'critical')] == []
    assert seen.axe_passes > 20


def test_what_a_mirror_said_stays_text(pages: Pages) -> None:
    made = """document.querySelectorAll('img, iframe, a:not([href^="#at-"]), script:not([type])').length"""
    steps = [('ask', f"[typeof window.harm, {made}, document.body.textContent.includes('<img src=x')]"),
             ('ask', "[...document.querySelectorAll('thead button, #language, #theme')].forEach(one => one.click())"), ('fill', '#search', '<img'),
             ('ask', "document.querySelectorAll('details').forEach(one => one.open = true)"), ('ask', 'typeof window.harm'),
             ('ask', r"/[\u202e\u2028\u0007\u001b]/.test(document.querySelector('#body').textContent.replace(/[\u2028]/g, ''))")]  # fmt: skip
    seen, without = look(Visit(pages['evil'], steps=steps, screenshot='evil'), Visit(pages['evil'], script=False, screenshot='evil-without-script'))
    quiet(seen)
    quiet(without)
    assert seen.answers[0] == ['undefined', 1, True]
    assert seen.answers[-2:] == ['undefined', False]


def test_the_policy_stops_what_might_get_in_all_the_same(pages: Pages) -> None:
    tried = """new Promise(done => {
      const stopped = [];
      addEventListener('securitypolicyviolation', event => stopped.push(event.effectiveDirective));
      const add = (tag, set) => document.body.append(Object.assign(document.createElement(tag), set));
      add('img', {src: 'http://127.0.0.1:9/x.png'});
      add('script', {textContent: 'window.harm = 1'});
      add('style', {textContent: 'body { display: none }'});
      fetch('http://127.0.0.1:9/').catch(() => setTimeout(() => done([stopped.sort(), typeof window.harm]), 200));
    })"""
    (seen,) = look(Visit(pages['small'], steps=[('ask', tried)]))
    assert seen.answers == [[['connect-src', 'img-src', 'script-src-elem', 'style-src-elem'], 'undefined']]
    assert seen.requests == []


def test_without_a_script_there_is_the_table(pages: Pages) -> None:
    (seen,) = look(Visit(pages['small'], script=False, steps=[('ask', "document.querySelector('noscript').textContent")], screenshot='without-script'))
    quiet(seen)
    assert 'MIRROR' in seen.answers[0] and 'db2: dockerd refused the key foo.' in seen.answers[0]


def test_a_report_of_nothing_says_so(pages: Pages) -> None:
    (seen,) = look(Visit(pages['nothing'], axe=True, steps=[('ask', "document.querySelector('main').textContent")]))
    quiet(seen)
    assert seen.answers == ['Nothing was probed and nothing was done.']
    assert [one for one in seen.axe if one['impact'] in ('serious', 'critical')] == []


@pytest.mark.parametrize('name', ['hosts', 'sites', 'five'])
def test_five_hundred_hosts_and_twenty_mirrors_open_in_two_seconds(pages: Pages, name: str, record_property: t.Callable[[str, object], None]) -> None:
    """The best of three, because other work on the machine is no fault of the page; all three are told."""
    steps = [('ask', f'[{NAMES}.length, {MIRRORS}.length]'), ('ask', COLUMNS), ('fill', '#search', 'node-499'), ('ask', NAMES), ('ask', KEY)]
    dummy, *seen = look(Visit(pages['nothing']), *[Visit(pages[name], steps=steps, screenshot=f'large-{name}', full=False)] * 3)
    for one in seen:
        quiet(one)
        assert one.answers[0] == [500, 20]
        assert len(one.answers[1]) == (10 if name == 'sites' else 12)
        assert one.answers[2] == ['node-499.dc2.example.net']
    record_property('opened_ms', [round(one.opened_ms) for one in seen])
    print('opened in', [round(one.opened_ms) for one in seen], 'ms')
    assert min(one.opened_ms for one in seen) < SLOWEST_MS
    print('a key took', [round(one.answers[3]) for one in seen], 'ms')
    assert min(one.answers[3] for one in seen) < SLOWEST_KEY_MS
