# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for K3s: it makes hosts.toml files of registries.yaml when it starts, as K3s does by its sources, and does no more.

The containerd of the host stands in for the one inside. It is run by a copy of Python that is called k3s.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

REGISTRIES = Path('/etc/rancher/k3s/registries.yaml')
CERTS_D = Path('/var/lib/rancher/k3s/agent/etc/containerd/certs.d')
SOCKET = Path('/run/k3s/containerd/containerd.sock')


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_args: sys.exit(0))
    shutil.rmtree(CERTS_D, ignore_errors=True)
    text = REGISTRIES.read_text() if REGISTRIES.exists() else '{}'
    try:
        tree = json.loads('\n'.join(line for line in text.splitlines() if not line.startswith('#')))
    except ValueError as exc:
        print(f'level=fatal msg="Error: yaml: {exc}"', file=sys.stderr, flush=True)
        sys.exit(1)
    if Path('/etc/rancher/k3s/stand-in-fails').exists():
        print('level=fatal msg="told to fail"', file=sys.stderr, flush=True)
        sys.exit(1)
    for upstream, mirror in tree.get('mirrors', {}).items():
        (CERTS_D / upstream).mkdir(parents=True)
        hosts = '\n'.join(f'[host."{url}/v2"]\n  capabilities = ["pull", "resolve"]' for url in mirror['endpoint'])
        (CERTS_D / upstream / 'hosts.toml').write_text(hosts)
    SOCKET.parent.mkdir(parents=True, exist_ok=True)
    SOCKET.unlink(missing_ok=True)
    os.symlink('/run/containerd/containerd.sock', SOCKET)
    while True:
        time.sleep(1)


main()
