# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.quickpull.registry.plugins.callback.progress import lines

PROBED = {
    'invocation': {'module_args': {'upstream': 'quay.io'}},
    'results': [
        {'url': 'http://me:secret@good.lab', 'ok': True, 'state': 'ok', 'reason': 'All is well.', 'latency_ms': 2.1, 'throughput_bps': 85_234_567},
        {'url': 'http://bad.lab', 'ok': False, 'state': 'timeout', 'reason': 'Nothing came from http://me:secret@x.lab.\x1b[2J\n', 'latency_ms': None},
    ],
}


def test_a_line_for_each_mirror() -> None:
    assert lines('quickpull.registry.registry_mirror_probe', 'web1', PROBED) == [
        '  web1: quay.io http://xxxxx:xxxxx@good.lab ok 2.1 ms 85.2 MB/s',
        '  web1: quay.io http://bad.lab timeout Nothing came from http://xxxxx:xxxxx@x.lab. [2J',
    ]


@pytest.mark.parametrize('action, said, told', [
    ('docker_daemon_apply', {'applied': 'reload', 'proof': {'ok': True}}, ['  web1: reload, proved']),
    ('engine_apply', {'applied': 'restart', 'proof': {'ok': None}}, ['  web1: restart']),
    ('docker_daemon_apply', {'applied': 'none', 'proof': {'ok': True}}, []),
    ('registry_mirror_probe', {}, []),
    ('docker_daemon_config', {'results': [{'url': 'http://a.lab'}], 'applied': 'reload'}, []),
])  # fmt: skip
def test_what_is_told_of_other_results(action: str, said: dict[str, t.Any], told: list[str]) -> None:
    assert lines(f'quickpull.registry.{action}', 'web1', said) == told


def test_tasks_of_others_are_none_of_its_business() -> None:
    assert lines('somebody.else.registry_mirror_probe', 'web1', PROBED) == []
