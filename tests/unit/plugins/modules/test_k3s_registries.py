# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module, and the service that brings its file into force, on a folder with a K3s that is what we say."""

from __future__ import annotations

import dataclasses
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _cri, _service_facts, _snapshot
from ansible_collections.quickpull.registry.plugins.module_utils._engines import k3s
from ansible_collections.quickpull.registry.plugins.module_utils._engines.k3s import K3s
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._k3s_service import K3sService
from ansible_collections.quickpull.registry.plugins.module_utils._plan import Plan
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.module_utils._systemd import Result
from ansible_collections.quickpull.registry.plugins.modules import k3s_registries
from ansible_collections.quickpull.registry.tests.unit.plugins.fake_module import FakeModule

MIRROR = 'http://cache.lan:5000'
CRI = {'config': '{}'}


class Place:
    """A host with K3s; it runs since 1970 unless it is said otherwise."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.state = root, State(str(root / 'state'))
        self.path = root / 'etc/rancher/k3s/registries.yaml'
        self.found = K3s(
            True, '1.33.4+k3s1', unit='k3s-agent.service', role='agent', kill_mode='process', active_state='active', main_pid=7, start_id='2', started_at=1.0
        )
        self.journal, self.cri_fails = '', ''
        self.host = k3s.Host(str(root), lambda _command, _timeout: Result(0, self.journal), self.ask)
        self.service = K3sService('k3s', self.state, self.host)
        monkeypatch.setattr(k3s, 'inspect', lambda name, _host: dataclasses.replace(self.found, name=name))
        monkeypatch.setattr(_service_facts, 'start_id', lambda _host, _unit: self.found.start_id)

    def ask(self, _socket: str) -> dict[str, t.Any]:
        if self.cri_fails:
            raise _cri.CriUnavailable(self.cri_fails)
        return {}

    def now(self, **changes: t.Any) -> None:
        self.found = dataclasses.replace(self.found, **changes)

    def run(self, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        defaults = {'engine': 'k3s', 'upstreams': None, 'owner': 'a', 'overwrite': False, 'state': 'present'}
        self.module = FakeModule(check, {**defaults, **params})
        return k3s_registries.run(t.cast(t.Any, self.module), self.host, self.state)

    def give(self, text: str) -> None:
        """As K3s does when it starts."""
        place = self.root / 'var/lib/rancher/k3s/agent/etc/containerd/certs.d/docker.io/hosts.toml'
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_written_once_and_taken_away(place: Place) -> None:
    foreseen, done, again = (place.run(check, upstreams={'docker.io': [MIRROR]}) for check in (True, False, False))
    assert foreseen == done
    assert (done['changed'], done['plan']['action'], done['plan']['blockers']) == (True, 'restart', [])
    assert (again['changed'], again['plan']['action']) == (False, 'restart'), 'it has not been restarted yet'
    place.service.proved()
    assert place.run(upstreams={'docker.io': [MIRROR]})['plan']['action'] == 'none'
    assert place.run(upstreams={'quay.io': [MIRROR]})['files'][0]['upstream'] == 'quay.io'
    assert 'docker.io' in place.path.read_text()
    gone = place.run(state='absent')
    assert (gone['changed'], gone['plan']['action'], place.path.exists()) == (True, 'restart', False)
    assert not place.run(state='absent')['changed']


def test_one_that_was_started_since_needs_nothing(place: Place) -> None:
    place.run(upstreams={'docker.io': [MIRROR]})
    place.now(started_at=2e9)
    assert place.run(upstreams={'docker.io': [MIRROR]})['plan']['action'] == 'none'
    place.now(active_state='inactive', main_pid=0)
    assert place.run(upstreams={'docker.io': []})['plan'] == {**place.run(state='absent')['plan'], 'action': 'none'}


def test_a_server_is_not_restarted_unasked(place: Place) -> None:
    place.now(unit='k3s.service', role='server')
    plan = place.run(upstreams={'docker.io': [MIRROR]})['plan']
    assert plan['blockers'] == ['server'] and 'API of the cluster' in plan['blocked_because'][0]


def test_files_of_others_stay(place: Place) -> None:
    place.path.parent.mkdir(parents=True)
    place.path.write_text('mirrors: {}\n')
    found = place.run(upstreams={'docker.io': [MIRROR, {'url': 'https://c.lan', 'trust': 'content'}]})
    assert (found['changed'], found['files'], len(found['left_out'])) == (False, [], 2)
    assert place.module.warnings == found['left_out']
    assert place.run(upstreams={'docker.io': [MIRROR]}, overwrite=True)['changed']
    assert not place.run(upstreams={'docker.io': ['http://other.lan']}, owner='b')['changed']
    place.run(state='absent')
    assert place.path.read_text() == 'mirrors: {}\n'


def test_it_is_not_there(place: Place) -> None:
    place.now(installed=False, active_state='inactive', main_pid=0)
    assert 'There is no k3s' in place.run(upstreams={'docker.io': [MIRROR]})['left_out'][0]


FAILURES: list[tuple[dict[str, t.Any], str, str, str]] = [
    ({}, MIRROR, '', ''),
    ({'start_id': '1'}, MIRROR, '', 'It has not started.'),
    ({}, MIRROR, 'No CRI.', 'No CRI.'),
    ({}, 'http://other.lan', '', f'It gave its containerd nothing of {MIRROR}.'),
]


@pytest.mark.parametrize('changes, given, cri, told', FAILURES)
def test_a_start_is_proved_by_what_its_containerd_was_given(place: Place, changes: dict[str, t.Any], given: str, cri: str, told: str) -> None:
    place.run(upstreams={'docker.io': [MIRROR]})
    place.now(**changes)
    place.give(f'[host."{given}"]\n')
    place.cri_fails = cri
    assert place.service.failures('1') == ([told] if told else [])
    assert place.service.alive() is not bool(cri)


def test_put_back_as_it_was_at_the_last_start(place: Place) -> None:
    place.run(upstreams={'docker.io': [MIRROR]})
    place.service.proved()
    text = place.path.read_text()
    for url in ('http://b.lan', 'http://c.lan'):
        place.run(upstreams={'docker.io': [url]})
    assert place.service.put_back() == [str(place.path)]
    assert place.path.read_text() == text
    assert _snapshot.load(place.state, 'k3s', 'proved') is None
    assert place.service.plan() == Plan()


def test_its_last_words(place: Place) -> None:
    place.journal = 'level=info msg=x\nlevel=fatal msg="bad http://u:s3cret@h"\n'
    assert place.service.says(0).startswith('level=fatal') and 's3cret' not in place.service.says(0)
    place.journal = ''
    assert place.service.says(0) == ''


def test_a_secret_in_headers_is_known_for_one(place: Place) -> None:
    found = place.run(upstreams={'docker.io': [{'url': 'https://d.lan', 'headers': {'authorization': 's3cret'}}]})
    assert place.module.no_log_values == {'s3cret'}
    assert 's3cret' not in str(found)


def test_what_is_asked_wrongly(place: Place) -> None:
    with pytest.raises(ConfigError, match='is not the name of a registry'):
        place.run(upstreams={'docker': [MIRROR]})
    assert os.listdir(place.root) in ([], ['state'])
