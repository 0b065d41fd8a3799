# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a cache's files into force, with a systemd in memory; the real one is asked on the lab."""

from __future__ import annotations

import ssl
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import (
    _cache_apply,
    _cache_front,
    _cache_plan,
    _cache_registry,
    _login_check,
    _owned_files,
)
from ansible_collections.quickpull.registry.plugins.module_utils._cache_apply import Reach
from ansible_collections.quickpull.registry.plugins.module_utils._cache_model import Front, Upstream
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._owned_files import Content
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.module_utils._systemd import Result
from ansible_collections.quickpull.registry.plugins.modules import cache_apply
from ansible_collections.quickpull.registry.tests.unit.plugins.fake_module import FakeModule

HUB, QUAY, FRONT, TIMER = 'quickpull-cache@docker.io.service', 'quickpull-cache@quay.io.service', 'quickpull-cache-front.service', 'quickpull-cache-evict.timer'
PORTS = {'docker.io': 5101, 'quay.io': 5102}


class Machine:
    """Files below a folder, and units that start unless their files hold the word BAD."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.host = _cache_plan.Host(str(root), self.systemd)
        self.state = State(str(root / 'state'))
        self.pids: dict[str, int] = {}
        self.read: dict[str, str] = {}
        self.enabled: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.away: set[str] = set()
        self.time = 0.0
        self.certificate = ''
        self.between = 'activating'  # what a unit is that starts again and again
        self.rewritten: set[str] = set()
        self.flaps = False
        for unit in ('quickpull-cache@.service', FRONT, TIMER, 'quickpull-cache-evict.service'):
            self.put(f'etc/systemd/system/{unit}', f'# {unit}\n')
        self.write()

    def put(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def write(self, names: t.Sequence[str] = ('docker.io', 'quay.io'), *, fresh_for: int = 300, address: str = '0.0.0.0', bad: str = '') -> None:
        upstreams = [Upstream(name, f'https://{name}', port=PORTS[name]) for name in names]
        folder, wanted = self.root / 'etc/quickpull-cache', dict.fromkeys(_owned_files.load(self.state, 'cache'), t.cast('Content | None', None))
        for one in upstreams:
            wanted[str(folder / f'{one.id}.yml')] = _cache_registry.config(one)
            wanted[str(folder / f'{one.id}.env')] = _cache_registry.environment(one)
        text = _cache_front.config(upstreams, Front(address, 5000, 1, fresh_for)).text
        wanted[str(folder / 'front.conf')] = Content(text + ('# BAD' if bad == 'front' else ''))
        for path in wanted:
            Path(path).unlink(missing_ok=True)  # also what a test has made of it
        _owned_files.apply(self.state, 'cache', _owned_files.plan(_owned_files.load(self.state, 'cache'), 'pull_through_cache', wanted))

    def files_of(self, unit: str) -> str:
        instance = unit.partition('@')[2].rpartition('.')[0]
        names = [f'{instance}.yml', f'{instance}.env'] if instance else ['front.conf'] if unit == FRONT else []
        paths = [self.root / 'etc/quickpull-cache' / name for name in names]
        return ''.join(path.read_text() if path.exists() else 'BAD' for path in paths)

    def systemd(self, command: t.Sequence[str], _timeout: float) -> Result:
        if command[0] == 'journalctl':
            return Result(0, 'level=fatal msg="a bad file"\n')
        words = [word for word in command[1:] if not word.startswith('--')]
        verb, units = words[0], words[1:]
        if verb == 'show':
            return Result(0, '\n\n'.join(self.show(unit) for unit in command[command.index('--') + 1 :]))
        self.calls += [(verb, unit) for unit in units] or [(verb, '')]
        if verb == 'daemon-reload':
            self.rewritten.clear()
        for unit in units:
            self.act(verb, unit)
        return Result(0)

    def show(self, unit: str) -> str:
        pid = self.pids.get(unit, 0)
        active = 'active' if pid else self.between if self.read.get(unit) else 'inactive'
        reload = 'yes' if unit in self.rewritten else 'no'
        return f'Id={unit}\nActiveState={active}\nMainPID={pid}\nUnitFileState={"enabled" if unit in self.enabled else "disabled"}\nNeedDaemonReload={reload}'

    def act(self, verb: str, unit: str) -> None:
        text = self.files_of(unit)
        if verb == 'enable':
            self.enabled.add(unit)
        elif verb == 'disable':
            self.pids.pop(unit, None)
        elif verb == 'restart':
            dead = 'BAD' in text or any(f'remoteurl": "https://{name}"' in text for name in self.away)
            self.pids[unit] = 0 if dead else max([100, *self.pids.values()]) + 1
            if not dead:
                self.stat(self.pids[unit])
            self.read[unit] = text
        elif verb == 'reload' and 'BAD' not in text:
            self.read[unit] = text

    def stat(self, pid: int) -> None:
        self.put(f'proc/{pid}/stat', f'{pid} (x) S ' + ' '.join(str(number) for number in range(4, 22)) + f' {pid} 0 0\n')

    def ask(self, url: str) -> tuple[int, str] | None:
        for unit, port in ((HUB, 5101), (QUAY, 5102), (FRONT, 5000)):
            if f':{port}/' in url and self.pids.get(unit):
                return 200, f'ok {_cache_front.fingerprint_in(self.read[unit])}' if unit == FRONT else '{}'
        return None

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        if self.flaps:
            self.act('restart', HUB)

    def apply(self, **options: t.Any) -> _cache_apply.Outcome:
        self.calls.clear()
        reach = Reach(
            monotonic=lambda: self.time, now=lambda: self.time, sleep=self.sleep, ask=self.ask, shown=lambda _url: self.certificate,
            unreachable=lambda one: 'It is away.' if one.name in self.away else '',
        )  # fmt: skip
        return _cache_apply.apply(self.host, self.state, timeout=10, reach=reach, **options)

    def done(self) -> list[tuple[str, str]]:
        return [call for call in self.calls if call[0] in ('restart', 'reload')]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_all_is_started_once(machine: Machine) -> None:
    first, second = machine.apply(), machine.apply()
    assert (first.restarted, first.reloaded, first.waiting) == ([HUB, QUAY, FRONT, TIMER], [], [])
    assert machine.enabled == {HUB, QUAY, FRONT, TIMER}
    assert not second.changed and machine.calls == []


def test_each_change_reaches_whom_it_concerns(machine: Machine) -> None:
    machine.apply()
    machine.write(fresh_for=10)
    assert machine.apply().reloaded == [FRONT] and machine.done() == [('reload', FRONT)]
    machine.put('etc/quickpull-cache/quay.io.env', 'NO_PROXY=a\n')
    assert machine.apply().restarted == [QUAY]
    machine.write(address='10.0.0.5')
    assert machine.apply().restarted == [QUAY, FRONT]
    machine.put('etc/systemd/system/quickpull-cache@.service', '# another\n')
    assert machine.apply().restarted == [HUB, QUAY]
    machine.put('etc/systemd/system/quickpull-cache-evict.service', '# another\n')
    assert machine.apply().restarted == [TIMER]
    machine.pids[HUB] = 0
    assert machine.apply().restarted == [HUB]


def test_what_a_run_that_died_has_written_is_brought_into_force_by_the_next(machine: Machine) -> None:
    machine.apply()
    machine.write(['docker.io'])
    machine.put('etc/quickpull-cache/docker.io.env', 'NO_PROXY=a\n')
    assert [step.because for step in _cache_apply.plan(machine.host, machine.state)] == [
        f'{HUB} does not run by the files that are there.', f'{FRONT} has not read the files that are there.',
    ]  # fmt: skip
    assert machine.apply().changed and not machine.apply().changed


@pytest.mark.parametrize('bad, failed', [('docker.io', HUB), ('front', FRONT)])
def test_a_service_that_does_not_come_up_has_all_files_put_back(machine: Machine, bad: str, failed: str) -> None:
    machine.apply()
    before = {path: path.read_text() for path in (machine.root / 'etc').rglob('*') if path.is_file()}
    machine.write(fresh_for=10, bad=bad)
    machine.put('etc/quickpull-cache/quay.io.env', 'NO_PROXY=a\n')
    machine.put('etc/quickpull-cache/docker.io.env', 'BAD\n' if bad == 'docker.io' else (machine.root / 'etc/quickpull-cache/docker.io.env').read_text())
    with pytest.raises(ConfigError, match=rf'(?s){failed}.*a bad file.*Put back as before: .*The cache runs as before\.'):
        machine.apply()
    assert {path: path.read_text() for path in (machine.root / 'etc').rglob('*') if path.is_file()} == before
    assert all(machine.pids[unit] for unit in (HUB, QUAY, FRONT))
    assert machine.read[QUAY] == machine.files_of(QUAY) and machine.read[FRONT] == machine.files_of(FRONT)
    assert not machine.apply().changed


def test_a_new_upstream_that_does_not_come_up_goes_again(machine: Machine) -> None:
    machine.write(['docker.io'])
    machine.apply()
    machine.write()
    machine.put('etc/quickpull-cache/quay.io.env', 'BAD\n')
    with pytest.raises(ConfigError, match=r'The cache runs as before'):
        machine.apply()
    assert not (machine.root / 'etc/quickpull-cache/quay.io.yml').exists() and ('disable', QUAY) in machine.calls
    assert not machine.apply().changed


def test_nothing_is_put_back_on_request_or_where_nothing_was_proved(machine: Machine) -> None:
    machine.write(bad='front')
    with pytest.raises(ConfigError, match=r'Nothing was put back \(no files were proved before\)'):
        machine.apply()
    machine.write()
    machine.apply()
    machine.write(fresh_for=10, bad='front')
    with pytest.raises(ConfigError, match=r'Nothing was put back \(rollback: false\)'):
        machine.apply(rollback=False)
    assert '# BAD' in (machine.root / 'etc/quickpull-cache/front.conf').read_text()


def test_an_instance_without_its_upstream_is_waited_for_by_systemd(machine: Machine) -> None:
    machine.away = {'quay.io'}
    told = machine.apply()
    assert len(told.waiting) == 1 and QUAY in told.waiting[0] and told.waiting[0].endswith('It is away.')
    assert machine.time < 10
    assert not machine.apply().changed  # it still does not run, and is not started anew in each run
    machine.put('etc/quickpull-cache/quay.io.env', 'NO_PROXY=a\n')
    assert machine.apply().restarted == [QUAY]
    machine.between = 'deactivating'  # a container's is, while its remains are taken away
    assert not machine.apply().changed
    machine.away = set()
    machine.act('restart', QUAY)  # as systemd does
    assert not machine.apply().changed


def test_one_that_waited_keeps_the_files_that_it_runs_by_when_others_are_put_back(machine: Machine) -> None:
    machine.away = {'quay.io'}
    assert machine.apply().waiting
    machine.away = set()
    machine.act('restart', QUAY)
    before = machine.files_of(QUAY)
    machine.write(fresh_for=10, bad='front')
    with pytest.raises(ConfigError, match='Put back as before'):
        machine.apply()
    assert machine.files_of(QUAY) == before and machine.pids[QUAY]
    assert not machine.apply().changed


def test_what_was_not_proved_is_not_what_is_put_back(machine: Machine) -> None:
    machine.apply()
    before = machine.files_of(QUAY)
    machine.pids[QUAY] = 0
    machine.away = {'quay.io'}
    machine.put('etc/quickpull-cache/quay.io.env', 'NO_PROXY=a wrong one\n')
    assert machine.apply().waiting
    machine.away = set()
    machine.put('etc/quickpull-cache/docker.io.env', 'BAD\n')
    with pytest.raises(ConfigError, match='Put back as before'):
        machine.apply()
    assert machine.files_of(QUAY) == before


def test_an_instance_that_runs_is_not_stopped_while_its_upstream_is_away(machine: Machine) -> None:
    machine.apply()
    pid, machine.away = machine.pids[HUB], {'docker.io'}
    machine.put('etc/systemd/system/quickpull-cache@.service', '# another\n')
    told = machine.apply()
    assert told.restarted == [QUAY] and machine.pids[HUB] == pid
    assert told.waiting == [f'{HUB} runs on by its old files, because it would not start again without its upstream. It is away.']
    assert not machine.apply().changed
    machine.away = set()
    assert machine.apply().restarted == [HUB] and not machine.apply().changed


def test_files_of_others_are_neither_put_back_nor_taken_away(machine: Machine) -> None:
    machine.put('etc/quickpull-cache/tls.crt', 'old')
    machine.apply()
    machine.put('etc/quickpull-cache/tls.crt', 'renewed')
    machine.put('etc/quickpull-cache/tls.key', 'theirs')
    machine.write(fresh_for=10, bad='front')
    with pytest.raises(ConfigError, match='Put back as before'):
        machine.apply()
    assert [(machine.root / f'etc/quickpull-cache/tls.{kind}').read_text() for kind in ('crt', 'key')] == ['renewed', 'theirs']
    snapshot = (machine.root / 'state/cache/proved.snapshot.json').read_text()
    assert 'tls.' not in snapshot


def test_what_changes_while_a_service_starts_is_not_taken_for_what_it_read(machine: Machine) -> None:
    ask = machine.ask

    def meanwhile(url: str) -> tuple[int, str] | None:
        machine.put('etc/quickpull-cache/quay.io.env', 'NO_PROXY=a\n')
        return ask(url)

    machine.ask = meanwhile  # type: ignore[method-assign]
    machine.apply()
    assert machine.apply().restarted == [QUAY]


def test_a_certificate_that_was_renewed_is_taken(machine: Machine) -> None:
    crt, key = machine.root / 'tls "a".crt', machine.root / 'tls.key'
    machine.put('front.crt', '')
    upstream = [Upstream('docker.io', 'https://docker.io', port=5101)]
    front = Front('0.0.0.0', 5000, 1, certificate=f'/{crt.name}', key=f'/{key.name}')
    one, two = (ssl.DER_cert_to_PEM_cert(text).strip() for text in (b'one', b'two'))
    crt.write_text(f'a comment\n{one}\n{two}\n')
    key.write_text('one')
    text = _cache_front.config(upstream, front).text
    machine.put('etc/quickpull-cache/front.conf', text)
    assert _cache_front.certificate_in(text) == (front.certificate, front.key)
    assert _cache_front.health_url_in(text) == front.health_url
    machine.certificate = one
    machine.apply()
    crt.write_text(two)
    with pytest.raises(ConfigError, match='still shows another certificate than that in'):
        machine.apply()
    machine.certificate = two
    assert machine.apply().reloaded == [FRONT]


def test_nothing_where_there_is_no_cache(tmp_path: Path) -> None:
    assert _cache_apply.plan(_cache_plan.Host(str(tmp_path)), State(str(tmp_path / 'state'))) == []


def test_a_record_that_cannot_be_understood_costs_a_restart(machine: Machine) -> None:
    machine.apply()
    for text in ('{', '[]', '{"a": 1}'):
        (machine.root / 'state/cache/applied.json').write_text(text)
        assert machine.apply().restarted == [HUB, QUAY, FRONT, TIMER]


def test_check_mode_foresees(machine: Machine) -> None:
    def run(check: bool, restart: t.Sequence[str] = (), reload: t.Sequence[str] = (), *written: str) -> dict[str, t.Any]:
        params = {'planned_restart': list(restart), 'planned_reload': list(reload), 'written_units': list(written), 'rollback': True, 'timeout': 5}
        return cache_apply.run(t.cast(t.Any, FakeModule(check, params)), machine.host, machine.state)

    told = run(True, [HUB, 'other.service'], [FRONT])
    assert told['changed'] and told['restarted'] == [HUB, QUAY, FRONT, TIMER, 'other.service'] and told['reloaded'] == [] and machine.calls == []
    machine.apply()
    assert not run(True)['changed'] and run(False)['changed'] is False
    told = run(True, [], [FRONT])
    assert (told['changed'], told['restarted'], told['reloaded']) == (True, [], [FRONT])
    new = 'quickpull-cache@ghcr.io.service'
    for unit_file, units in (
        ('quickpull-cache@.service', [new, HUB, QUAY]), (FRONT, [new, FRONT]), (TIMER, [new, TIMER]), ('quickpull-cache-evict.service', [new, TIMER]),
    ):  # fmt: skip
        told = run(True, [new], [FRONT], unit_file)
        assert (told['restarted'], told['reloaded']) == (units, [] if unit_file == FRONT else [FRONT])


def test_an_upstream_is_read_from_the_files_of_its_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Upstream('registry.lan:5000', 'http://10.0.0.9:5000', port=5102, proxy='http://u:p@proxy.lan:3128', ca_path='/ca.pem')
    found = _cache_registry.upstream_in(one.id, _cache_registry.config(one).text, _cache_registry.environment(one).text)
    assert (found.name, found.url, found.port, found.proxy) == (one.name, one.url, one.port, one.proxy)
    assert found.ca_path == '/etc/quickpull-cache/ca/registry.lan_5000/ca.crt'
    assert _cache_registry.upstream_in('x', '[]', '').url == ''
    questions: list[t.Any] = []
    verdicts = [_login_check.Verdict(_login_check.UNREACHABLE, 'Away.'), _login_check.Verdict(_login_check.REFUSED, 'No.')]

    def check(question: t.Any, settings: t.Any) -> t.Any:
        questions.append((question, settings))
        return verdicts.pop(0)

    monkeypatch.setattr(_login_check, 'check', check)
    assert _cache_plan.unreachable(found) == 'Away.'
    assert _cache_plan.unreachable(found) == ''
    assert questions[0][0].insecure and questions[0][0].secret is None


def test_a_unit_that_is_another_now_ends_as_the_former_one_and_has_to_last(machine: Machine) -> None:
    machine.apply()
    machine.put('etc/systemd/system/quickpull-cache@.service', '# a container\n')
    machine.rewritten = {HUB, QUAY}
    assert machine.apply().restarted == [HUB, QUAY]
    assert machine.calls.index(('stop', HUB)) < machine.calls.index(('daemon-reload', '')) < machine.calls.index(('restart', HUB))
    # What is left of the former one answers, while the new one starts again and again.
    machine.put('etc/systemd/system/quickpull-cache@.service', '# another one\n')
    machine.rewritten, machine.flaps = {HUB, QUAY}, True
    with pytest.raises(ConfigError, match=rf'{HUB} starts again and again'):
        machine.apply(rollback=False)


def test_a_certificate_may_have_a_comment_in_any_encoding(machine: Machine) -> None:
    front = Front('0.0.0.0', 5000, 1, certificate='/tls.crt', key='/tls.key')
    machine.certificate = ssl.DER_cert_to_PEM_cert(b'one').strip()
    (machine.root / 'tls.crt').write_bytes('subject=O=Müller\n'.encode('latin-1') + machine.certificate.encode())
    machine.put('etc/quickpull-cache/front.conf', _cache_front.config([Upstream('docker.io', 'https://docker.io', port=5101)], front).text)
    assert machine.apply().changed and not machine.apply().changed
