# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on the lab, as `make run` shows it: hosts that pull badly, one run of site.yml, hosts that pull well."""
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


def run_site(lab: Lab, report: Path, arguments: t.Sequence[str]) -> int:
    """Run the playbook as an operator would; its output goes to the terminal."""
    variables = {
        'registry_access_mirrors': {'docker.io': lab.urls(*CANDIDATES)},
        'registry_access_probe_deadline': 8,
        'registry_access_report_path': str(report),
    }
    given = report.with_name('mirrors.json')
    given.write_text(json.dumps(variables, indent=2))
    words = ['ansible-playbook', '-i', str(lab.place.inventory), '-e', f'@{given}', *arguments, 'playbooks/site.yml']
    print(f'\n$ {" ".join(words)}\n', flush=True)
    environment = {**os.environ, 'PATH': f'{ROOT}/.cache/venv/bin:{os.environ["PATH"]}', 'ANSIBLE_COLLECTIONS_PATH': str(ROOT / '.cache' / 'collections')}
    return subprocess.run(words, cwd=ROOT, env=environment, check=False).returncode


def main() -> int:
    lab = Lab.load()
    print('Preparing three hosts with dead mirrors in front, and timing a pull on each (this is the slow part) ...', flush=True)
    before = lab.everywhere(prepare)
    running = pids(lab)
    with tempfile.TemporaryDirectory(prefix='quickpull-') as folder:
        report = Path(folder) / 'report.json'
        code = run_site(lab, report, sys.argv[1:])
        if code != 0:
            return code
        told = json.loads(report.read_text())
    after = lab.everywhere(pull)
    for name, host in told['hosts'].items():
        host['pull_seconds_before'], host['pull_seconds_after'] = before[name], after[name]
    print('\n' + _report.render_data(told))
    same = pids(lab) == running
    print('The daemons and the containers run as before: no process was restarted.' if same else 'A daemon or a container was restarted.')
    return 0 if same else 1


if __name__ == '__main__':
    raise SystemExit(main())
