# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the main job costs and what it brings, measured on the lab in one run. Ratios are what to quote: machines differ."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import typing as t
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from lab.api import Host, Lab

DROPPED = ('dropped', 'dropped-2', 'dropped-3', 'dropped-4', 'dropped-5', 'dropped-6')
OTHERS = (
    'good-a', 'good-b', 'good-tls', 'good-token', 'good-redirect', 'slow', 'refused', 'no-name', 'html', 'always-401', 'always-403', 'always-404',
    'always-429', 'always-500', 'stale', 'liar', 'empty', 'blob-404',
)
DEADLINE = 5.0


def seconds(action: t.Callable[[], t.Any]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def probe_everything(lab: Lab, host: Host) -> float:
    """One probe of 24 candidates, 6 of which drop packets; the module's own time, so without Ansible's start."""
    mirrors = json.dumps(lab.urls(*DROPPED, *OTHERS))
    play = f"""
- hosts: {host.name}
  gather_facts: false
  tasks:
    - quickpull.registry.registry_mirror_probe:
        mirrors: {mirrors}
        images: [library/busybox:latest]
        deadline: {DEADLINE}
"""
    return float(lab.playbook(play).ok().result(action='registry_mirror_probe', host=host.name)['elapsed'])


def pull_by_hand(lab: Lab, host: Host, names: t.Sequence[str]) -> float:
    """What people do by hand: each candidate as the only mirror, then a pull. Returns the sum of the seconds of the pulls."""
    total = 0.0
    for name in names:
        host.put('/etc/docker/daemon.json', json.dumps({'registry-mirrors': [lab.mirror(name).url.rstrip('/')]}))
        host.run('systemctl reload docker; docker image rm -f busybox >/dev/null 2>&1; true')
        host.cold()
        total += seconds(lambda: host.run(['docker', 'pull', '-q', 'busybox'], check=False, timeout=120))
    return total


def pulls(host: Host, rounds: int) -> list[float]:
    """Seconds of pulls of a 64 MB image with a cold store."""
    found = []
    for _round in range(rounds):
        host.run('docker image rm -f big >/dev/null 2>&1; true')
        host.cold()
        found.append(seconds(lambda: host.run(['docker', 'pull', '-q', 'big'])))
    return found


def with_mirrors(lab: Lab, host: Host, *names: str) -> None:
    host.put('/etc/docker/daemon.json', json.dumps({'registry-mirrors': lab.urls(*names)}))
    host.run('systemctl reload docker')


def show(what: str, value: str, bound: str) -> None:
    print(f'  {what:<62} {value:>12}   {bound}', flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rounds', type=int, default=15, help='pulls for each median (default 15)')
    parser.add_argument('--host', default='lab-trixie', help='on which host of the lab (default lab-trixie)')
    asked = parser.parse_args()
    lab = Lab.load()
    host = lab.hosts[asked.host]
    host.reset()
    print(f'On {host.name}, Docker {host.facts["docker"]}; medians of {asked.rounds} where more than one was taken.\n')

    probe = probe_everything(lab, host)
    names = (*DROPPED, *(name for name in OTHERS))
    by_hand = pull_by_hand(lab, host, names)
    show(f'probe of {len(names)} candidates, 6 of them dropping packets', f'{probe:.1f} s', f'wanted: within {DEADLINE + 1:.0f} s')
    show('a loop of docker pull over the same', f'{by_hand:.1f} s', '')
    show('ratio', f'{by_hand / probe:.1f}', 'wanted: 12 or more')

    host.reset()
    with_mirrors(lab, host, 'good-a')
    alone = statistics.median(pulls(host, asked.rounds))
    with_mirrors(lab, host, 'dropped', 'dropped-2', 'good-a')
    before = statistics.median(pulls(host, 3))
    site = {'registry_access_mirrors': {'docker.io': lab.urls('dropped', 'dropped-2', 'good-a')}, 'registry_access_probe_deadline': DEADLINE}
    lab.playbook('playbooks/site.yml', limit=host.name, extra_vars=site).ok()
    after = statistics.median(pulls(host, asked.rounds))
    again = lab.playbook('playbooks/site.yml', limit=host.name, extra_vars=site).ok()
    show('pull of 64 MB, the good mirror alone', f'{alone * 1000:.0f} ms', '')
    show('two dead mirrors in front of it (3 pulls)', f'{before * 1000:.0f} ms', '')
    show('after the role', f'{after * 1000:.0f} ms', 'wanted: 1.1 x good alone, or 100 ms more')
    show('ratio to the good one alone', f'{after / alone:.2f}', '')
    show('module executions of a run that changes nothing', str(len(again.executions(host.name))), 'wanted: at most 4')
    host.reset()
    met = probe <= DEADLINE + 1 and by_hand / probe >= 12 and after <= max(1.1 * alone, alone + 0.1) and len(again.executions(host.name)) <= 4
    print('\nAll wanted figures were met.' if met else '\nNot all wanted figures were met.')
    return 0 if met else 1


if __name__ == '__main__':
    raise SystemExit(main())
