# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself, on a machine that is not as tidy as one would like."""
from __future__ import annotations

import shutil
import subprocess
import sys
import typing as t

import pytest

from lab.api import Lab
from lab.config import ROOT


def rules() -> list[str]:
    """This machine's FORWARD chain."""
    return subprocess.run(['iptables', '-w', '-S', 'FORWARD'], check=True, capture_output=True, encoding='utf-8').stdout.splitlines()


@pytest.fixture
def bridge_is_dropped(lab: Lab) -> t.Iterator[str]:
    """What a dockerd leaves behind that was killed: nothing may go over a bridge that no rule of its own names. On the lab's bridge alone."""
    bridge = lab.place.bridge
    if not shutil.which('iptables'):
        pytest.skip('no iptables on this machine, so no such firewall either')
    rule = ['FORWARD', '-i', bridge, '-o', bridge, '-j', 'DROP']
    before = rules()
    subprocess.run(['iptables', '-w', '-I', *rule], check=True)
    yield bridge
    subprocess.run(['iptables', '-w', '-D', *rule], check=True)
    for dummy in range(len(rules()) - len(before)):     # the first is the newest
        subprocess.run(['iptables', '-w', '-D', *rule[:-1], 'ACCEPT'], check=True)
    assert rules() == before


def test_hosts_reach_the_services_although_this_machine_drops_what_goes_over_bridges(lab: Lab, bridge_is_dropped: str) -> None:
    up = [sys.executable, str(ROOT / 'tests' / 'lab' / 'lab.py'), 'up']
    done = subprocess.run(up, stdin=subprocess.DEVNULL, capture_output=True, encoding='utf-8', check=False)
    assert done.returncode == 0, done.stderr
    for host in lab.hosts.values():
        host.run("python3 -c 'import socket; socket.create_connection((\"registry-1.docker.io\", 443), 5)'")
    # Nobody else's traffic is let through.
    allowed = [rule for rule in rules() if bridge_is_dropped in rule and rule.endswith('ACCEPT')]
    assert all(f'-i {bridge_is_dropped} -o {bridge_is_dropped} ' in rule for rule in allowed), allowed
