# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on the lab, as `make run` shows it: hosts that pull badly, a cache of one's own, one run of site.yml, hosts that pull well."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from lab.api import Host, Lab
from lab.config import ROOT

sys.path.insert(0, str(ROOT / '.cache' / 'collections'))

from ansible_collections.quickpull.registry.plugins.module_utils import _report

# What a host is found with: somebody's settings, and mirrors in front that have died since.
FOUND = {
    'log-driver': 'json-file',
    'log-opts': {'max-size': '10m'},
    'registry-mirrors': ['http://dropped.lab:8201', 'http://html.lab:8226'],
}
CANDIDATES = (
    'dropped', 'refused', 'no-name', 'html', 'always-403', 'always-429', 'self-signed', 'dead-realm', 'stale', 'liar', 'corrupt-blob', 'layer-403',
    'dead-redirect', 'redirect-loop', 'slow', 'good-token', 'good-a', 'good-b',
)
# The host that becomes a pull-through cache for all three. Its packages are in the lab's image.
CACHE = 'lab-bookworm'
CACHES = {'registry_caches': {
    'hosts': {CACHE: {}}, 'vars': {'pull_through_cache_packages': [], 'pull_through_cache_size': '2g', 'pull_through_cache_store_size': '1g'},
}}  # fmt: skip


def prepare(host: Host) -> float:
    """A host as operators know it; how long it takes there to pull a small image, in seconds."""
    host.reset()
    host.put('/etc/docker/daemon.json', json.dumps(FOUND, indent=2) + '\n')
    host.run('systemctl reload docker')
    host.start_container()
    return pull(host)


def pull(host: Host) -> float:
    """Seconds that a pull takes with a cold store."""
    host.run('docker image rm -f nginx >/dev/null 2>&1; true')
    host.cold()
    began = time.monotonic()
    host.run(['docker', 'pull', '-q', 'nginx'])
    return time.monotonic() - began


def pids(lab: Lab) -> dict[str, tuple[int, dict[str, int]]]:
    return {name: (host.dockerd_pid(), host.container_pids()) for name, host in lab.hosts.items()}


def run_playbook(name: str, inventory: Path, variables: Path, arguments: t.Sequence[str] = ()) -> int:
    """Run a playbook as an operator would; its output goes to the terminal."""
    words = ['ansible-playbook', '-i', str(inventory), '-e', f'@{variables}', *arguments, f'playbooks/{name}.yml']
    print(f'\n$ {" ".join(words)}\n', flush=True)
    environment = {**os.environ, 'PATH': f'{ROOT}/.cache/venv/bin:{os.environ["PATH"]}', 'ANSIBLE_COLLECTIONS_PATH': str(ROOT / '.cache' / 'collections')}
    return subprocess.run(words, cwd=ROOT, env=environment, check=False).returncode


def run_playbooks(lab: Lab, report: Path, arguments: t.Sequence[str]) -> int:
    """A cache, and then every host as its client."""
    variables = {
        'registry_access_mirrors': {'docker.io': lab.urls(*CANDIDATES)},
        'registry_access_probe_deadline': 8,
        'registry_access_report_path': str(report),
    }
    given = report.with_name('mirrors.json')
    given.write_text(json.dumps(variables, indent=2))
    inventory = report.with_name('hosts.yml')
    inventory.write_text(f'{lab.place.inventory.read_text()}{json.dumps(CACHES)[1:-1]}\n')
    shown = json.dumps(CACHES['registry_caches']['vars'])
    print(f'\nFirst, {CACHE} becomes a pull-through cache for all three. Variables of the group registry_caches: {shown}')
    return run_playbook('caches', inventory, given) or run_playbook('site', inventory, given, arguments)


def hub_hears(lab: Lab, since: float) -> str:
    """Who asked Docker Hub for anything, as its own log has it."""
    names = {host.address: name for name, host in lab.hosts.items()}
    askers = [names.get(line['client'], line['client']) for line in lab.access_log('hub', since)]
    return f'{len(askers)} requests, by {", ".join(sorted(set(askers)))}' if askers else 'nothing'


def main() -> int:
    lab = Lab.load()
    print('Preparing three hosts with dead mirrors in front, and timing a pull on each (this is the slow part) ...', flush=True)
    before = lab.everywhere(prepare)
    running = pids(lab)
    with tempfile.TemporaryDirectory(prefix='quickpull-') as folder:
        report = Path(folder) / 'report.json'
        code = run_playbooks(lab, report, sys.argv[1:])
        if code != 0:
            return code
        told = json.loads(report.read_text())
    since = lab.mark()
    after = lab.everywhere(pull)
    first = hub_hears(lab, since)
    since = lab.mark()
    lab.everywhere(pull)
    second = hub_hears(lab, since)
    for name, host in told['hosts'].items():
        host['pull_seconds_before'], host['pull_seconds_after'] = before[name], after[name]
    print('\n' + _report.render_data(told))
    print(f'Three pulls of an image that the cache on {CACHE} did not have: Docker Hub heard {first}.\nThe same three pulls again: it heard {second}.')
    same = pids(lab) == running
    print('The daemons and the containers run as before: no process was restarted.' if same else 'A daemon or a container was restarted.')
    return 0 if same and second == 'nothing' else 1


if __name__ == '__main__':
    raise SystemExit(main())
