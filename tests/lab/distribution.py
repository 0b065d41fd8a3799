# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real distribution registries (docker-registry). Runs in the services container."""
from __future__ import annotations

import http.client
import ssl
import subprocess
import time
from pathlib import Path

CONFIG = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: /var/lib/registry-{port}}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http: {{addr: "{address}:{port}", secret: lab{tls}}}
"""


def start(port: int, *, certificate: tuple[Path, Path] | None = None, extra: str = '') -> None:
    """Start one and wait until it answers: for this container alone, or, with a certificate and its key, for all of the lab.

    ``extra`` is more of its configuration.
    """
    config = Path(f'/etc/registry-{port}.yml')
    tls = ', tls: {{certificate: {}, key: {}}}'.format(*certificate) if certificate else ''
    config.write_text(CONFIG.format(address='' if certificate else '127.0.0.1', port=port, tls=tls) + extra)
    with Path(f'/var/log/registry-{port}.log').open('ab') as log:     # it reports every blob it is asked for and has not
        subprocess.Popen(['docker-registry', 'serve', str(config)], stdout=log, stderr=log)
    for dummy in range(200):
        try:
            connection = _connect(port, tls=bool(certificate))
            connection.request('GET', '/v2/')
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f'the registry on port {port} did not come up')


def _connect(port: int, *, tls: bool) -> http.client.HTTPConnection:
    if not tls:
        return http.client.HTTPConnection('127.0.0.1', port, timeout=5)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection('127.0.0.1', port, timeout=5, context=context)
