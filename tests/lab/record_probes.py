# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes the lab's good mirrors many times and prints what each probe measured, as the tests of a choice over many probes replay it.

    PYTHONPATH=tests python3 tests/lab/record_probes.py > tests/unit/plugins/module_utils/recorded_probes.json

What is recorded is the noise of real sockets on a machine that does other work: let something run beside it.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
import typing as t
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from ansible_collections.quickpull.registry.plugins.module_utils import _probe
from ansible_collections.quickpull.registry.plugins.module_utils._refresh_settings import job_of, parse
from lab.api import Lab

NAMES = ('good-a', 'good-b', 'good-tls', 'good-token', 'good-redirect', 'pull-through', 'busy-once')


def resolve_as_the_hosts_do(services: str) -> None:
    """The lab's names are known to its hosts alone."""
    look_up = socket.getaddrinfo

    def patched(host: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        return look_up(services if str(host).endswith('.lab') else host, *args, **more)

    socket.getaddrinfo = patched


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0] if __doc__ else '')
    parser.add_argument('--rounds', type=int, default=1000)
    parser.add_argument('--pause', type=float, default=0.2, help='seconds between two probes')
    given = parser.parse_args()
    lab = Lab.load()
    resolve_as_the_hosts_do(str(lab.facts['services']['address']))
    urls = lab.urls(*NAMES)
    asking = {'images': ['library/busybox:latest'], 'ca_path': str(lab.place.pki / 'ca.crt'), 'check_upstream': False, 'deadline': 10}
    settings = parse({'engines': ['docker'], 'mirrors': {'docker.io': urls}, 'asking': asking, 'interval': '10m'})
    rounds = []
    for _number in range(given.rounds):
        found = {one['url'].rstrip('/'): one for one in _probe.run(job_of(settings, 'docker.io', urls))['results']}
        rounds.append([[found[url]['latency_ms'], found[url]['throughput_bps']] if found[url]['ok'] else None for url in urls])
        time.sleep(given.pause)
    lines = ',\n'.join(json.dumps(one, separators=(',', ':')) for one in rounds)
    print(f'{{"mirrors": {json.dumps(NAMES)},\n"rounds": [\n{lines}\n]}}')


if __name__ == '__main__':
    main()
