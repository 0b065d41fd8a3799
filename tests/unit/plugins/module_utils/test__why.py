# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _access, _rollout
from ansible_collections.quickpull.registry.plugins.module_utils._why import why, with_why

SAID = 'Module result deserialization failed: No start of json char found'
SUDO = 'alice is not in the sudoers file.'
NO_SUDO = {'failed': True, 'msg': SAID, 'module_stdout': '', 'module_stderr': f'Warning: none\n{SUDO}\n\n'}


@pytest.mark.parametrize('out, err, told', [
    ('', f'Warning: none\n{SUDO}\n\n', SUDO),
    # With a terminal all that sudo says comes as output, and ssh says good-bye.
    (f'\r\n{SUDO}\r\n', 'Shared connection to 10.0.0.1 closed.\r\n', SUDO),
    ('', 'Killed\nConnection to web1 closed.\n', 'Killed'),
    ('', 'cannot reach http://me:s3cret@proxy.lan:3128', 'cannot reach http://xxxxx:xxxxx@proxy.lan:3128'),
    ('', 'x' * 201, 'x' * 199 + '…'),
    ('', 'x' * 200, 'x' * 200),
    ('', 'http://me:' + 's3cret' * 40 + '@proxy.lan is far away', 'http://xxxxx:xxxxx@proxy.lan is far away'),
    ('{"changed": false, "password": "s3cret', SUDO, SUDO),
])  # fmt: skip
def test_where_there_was_no_answer_the_last_line_of_what_came_is_told(out: str, err: str, told: str) -> None:
    assert why({'msg': SAID, 'module_stdout': out, 'module_stderr': err}) == f'{SAID}: {told}'


@pytest.mark.parametrize('result', [
    {'msg': 'No.'}, {'msg': ['No.', 'Never.']}, {}, {'msg': 'No.', 'stdout': 'x', 'stderr': 'y'},
    {'msg': SAID, 'module_stdout': '', 'module_stderr': '\n'}, {'msg': f'{SAID}: {SUDO}', 'module_stderr': SUDO},
])  # fmt: skip
def test_else_it_is_what_the_result_says(result: dict[str, t.Any]) -> None:
    assert why(result) == result.get('msg')
    assert with_why(result) == result


def test_before_ansible_core_2_19_it_is_another_sentence() -> None:
    result = {'msg': 'MODULE FAILURE\nSee stdout/stderr for the exact error', 'module_stdout': '', 'module_stderr': SUDO}
    assert why(result) == f'MODULE FAILURE See stdout/stderr for the exact error: {SUDO}'


@pytest.mark.parametrize('left', [
    {'__registry_access_engines': NO_SUDO},
    {'__registry_access_engines': {'engines': {'docker': {'version': '28'}}}, '__registry_access_config': NO_SUDO},
    {'__registry_access_failed': NO_SUDO},
])  # fmt: skip
def test_the_report_tells_it(left: dict[str, t.Any]) -> None:
    assert _access.summary({'web1': left})['hosts']['web1']['apply']['msg'] == f'{SAID}: {SUDO}'


def test_the_report_tells_it_of_one_user_too() -> None:
    loop = {'failed': True, 'msg': 'One or more items failed', 'results': [{**NO_SUDO, 'ansible_loop_var': 'item', 'item': 'me'}]}
    left = {'__registry_access_engines': {'engines': {'docker': {'version': '28'}}}, '__registry_access_buildkit_written': loop}
    assert _access.summary({'web1': left})['hosts']['web1']['apply']['msg'] == f'me: {SAID}: {SUDO}'


def test_the_host_fails_with_it() -> None:
    assert _rollout.failure_of({'__registry_access_failed': NO_SUDO}) == f'{SAID}: {SUDO}'
    handler = {'__registry_access_failed': {'failed': True, 'msg': ''}, '__registry_access_apply': NO_SUDO}
    assert _rollout.failure_of(handler) == f'{SAID}: {SUDO}'
