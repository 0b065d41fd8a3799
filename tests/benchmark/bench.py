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
from dataclasses import dataclass
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from lab import cri
from lab.api import Host, Lab, PlaybookRun

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


BIG = 'docker.io/library/big:latest'


def pull_by_docker(host: Host) -> float:
    host.run('docker image rm -f big >/dev/null 2>&1; true')
    host.cold()
    return seconds(lambda: host.run(['docker', 'pull', '-q', BIG], timeout=600))


def pull_by_cri(host: Host) -> float:
    host.cold()
    cri.cold(host)
    host.run('for at in $(ctr content ls -q); do ctr content rm "$at" >/dev/null; done')
    with cri.connect(host) as client:
        return seconds(lambda: client.pull(BIG, seconds=600))


def pull_by_podman(host: Host) -> float:
    host.run('podman rmi -af >/dev/null 2>&1; true')
    return seconds(lambda: host.run(['podman', 'pull', '-q', BIG], timeout=600))


PULLS: dict[str, t.Callable[[Host], float]] = {'docker': pull_by_docker, 'containerd': pull_by_cri, 'podman': pull_by_podman}


def site(lab: Lab, host: Host, engine: str, *names: str, probe: bool = True) -> PlaybookRun:
    """Without a probe the list is written as it stands, as somebody would by hand."""
    variables = {
        'registry_access_engines': [engine], 'registry_access_probe': probe, 'registry_access_probe_deadline': DEADLINE,
        'registry_access_mirrors': {'docker.io': lab.urls(*names)},
    }  # fmt: skip
    return lab.playbook('playbooks/site.yml', limit=host.name, extra_vars=variables).ok()


@dataclass(frozen=True)
class Medians:
    """Seconds of a pull of 64 MB with a cold store: from the good mirror alone, with two dead ones in front of it, and after the role."""

    alone: float
    before: float
    after: float

    @property
    def met(self) -> bool:
        return self.after <= max(1.1 * self.alone, self.alone + 0.1)


def measure(lab: Lab, host: Host, engine: str, rounds: int, slow_rounds: int) -> Medians:
    """The good mirror alone and the role's choice are measured in turns, so that what else the machine does meets both."""
    pull = PULLS[engine]
    listed = ('dropped', 'dropped-2', 'good-a')
    host.reset()
    site(lab, host, engine, *listed, probe=False)
    before = [pull(host) for _round in range(slow_rounds)]
    alone, after = [], []
    for _round in range(3):
        site(lab, host, engine, 'good-a', probe=False)
        alone += [pull(host) for _one in range(rounds // 3 or 1)]
        site(lab, host, engine, *listed)
        after += [pull(host) for _one in range(rounds // 3 or 1)]
    return Medians(statistics.median(alone), statistics.median(before), statistics.median(after))


CACHE = 'lab-bookworm'
CACHE_PLAY = f'- hosts: {CACHE}\n  gather_facts: false\n  roles: [quickpull.registry.pull_through_cache]\n'


def measure_cache(lab: Lab, rounds: int) -> tuple[float, float]:
    """Bytes a second of a blob that a cache has: from its registry alone, and through the front, asked in turns on the cache itself.

    From another host the network between the two would be measured. One curl asks eight times, so that its start does not count.
    """
    host = lab.hosts[CACHE]
    host.reset()
    given = {'pull_through_cache_packages': [], 'pull_through_cache_size': '2g', 'pull_through_cache_store_size': '1g'}
    lab.playbook(CACHE_PLAY, limit=CACHE, extra_vars=given).ok()
    accept = 'Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json'
    manifest = json.loads(host.out(['curl', '-fs', '--retry', '20', '--retry-all-errors', '--retry-delay', '1', '-H', accept,
                                    'http://127.0.0.1:5000/v2/library/big/manifests/latest']))
    digest = max(manifest['layers'], key=lambda one: int(one['size']))['digest']

    def speed(port: int) -> float:
        url = f'http://127.0.0.1:{port}/v2/library/big/blobs/{digest}'
        told = host.out(['curl', '-fs', *(word for _turn in range(8) for word in ('-o', '/dev/null', url)), '-w', '%{size_download} %{time_total}\\n'])
        answers = [line.split() for line in told.splitlines()]
        return sum(float(size) for size, _time in answers) / sum(float(time) for _size, time in answers)

    for port in (5000, 5101):
        speed(port)  # after which both have it
    time.sleep(2)
    alone, front = zip(*((speed(5101), speed(5000)) for _round in range(rounds)))
    host.reset()
    return statistics.median(alone), statistics.median(front)


def show(what: str, value: str, bound: str) -> None:
    print(f'  {what:<62} {value:>12}   {bound}', flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rounds', type=int, default=15, help='pulls for each median (default 15)')
    parser.add_argument('--slow-rounds', type=int, default=1, help='pulls with two dead mirrors in front, of up to four minutes each (default 1)')
    parser.add_argument('--host', default='lab-trixie', help='on which host of the lab (default lab-trixie)')
    parser.add_argument('--engines', nargs='+', choices=tuple(PULLS), default=list(PULLS), help='whose pulls are measured (default all)')
    asked = parser.parse_args()
    lab = Lab.load()
    host = lab.hosts[asked.host]
    host.reset()
    versions = ', '.join(f'{name} {version}' for name, version in host.facts['versions'].items())
    print(f'On {host.name}: {versions}. Medians of {asked.rounds} where more than one was taken.\n')

    probe = probe_everything(lab, host)
    names = (*DROPPED, *OTHERS)
    by_hand = pull_by_hand(lab, host, names)
    show(f'probe of {len(names)} candidates, 6 of them dropping packets', f'{probe:.1f} s', f'wanted: within {DEADLINE + 1:.0f} s')
    show('a loop of docker pull over the same', f'{by_hand:.1f} s', '')
    show('ratio', f'{by_hand / probe:.1f}', 'wanted: 12 or more')
    met = probe <= DEADLINE + 1 and by_hand / probe >= 12
    for engine in asked.engines:
        medians = measure(lab, host, engine, asked.rounds, asked.slow_rounds)
        print(f'\n  {engine}')
        show('pull of 64 MB, the good mirror alone', f'{medians.alone * 1000:.0f} ms', '')
        show(f'two dead mirrors in front of it ({asked.slow_rounds} pulls)', f'{medians.before * 1000:.0f} ms', '')
        show('after the role', f'{medians.after * 1000:.0f} ms', 'wanted: 1.1 x good alone, or 100 ms more')
        show('ratio to the good one alone', f'{medians.after / medians.alone:.2f}', '')
        met = met and medians.met
    alone, front = measure_cache(lab, asked.rounds)
    print('\n  pull_through_cache')
    show('a cached blob from the registry alone', f'{alone / 1e6:.0f} MB/s', '')
    show('through the front', f'{front / 1e6:.0f} MB/s', '')
    show('ratio', f'{front / alone:.2f}', 'wanted: 0.9 or more')
    met = met and front >= 0.9 * alone
    again = site(lab, host, asked.engines[-1], 'dropped', 'dropped-2', 'good-a')
    executions = len(again.executions(host.name))
    print()
    show('module executions of a run that changes nothing', str(executions), 'wanted: at most 4')
    host.reset()
    met = met and executions <= 4
    print('\nAll wanted figures were met.' if met else '\nNot all wanted figures were met.')
    return 0 if met else 1


if __name__ == '__main__':
    raise SystemExit(main())
