# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PID 1 of the services container: fills the Hub, then runs the Hub, the mirrors, the proxy and the name server.

Usage: python3 -m lab.serve. Reads /lab/state/order.json, writes /lab/state/images.json and, when all is up, /lab/state/ready.
"""
from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

from lab import content, distribution, dns, misbehave, registries
from lab.mirrors import CDN, HUB, MIRRORS, PROXY_LOGIN_PORT, PROXY_PORT, REDIS_PASSWORD, REDIS_PORT, Mirror
from lab.server import Server

STATE = Path('/lab/state')
LOGS = Path('/lab/logs')
PKI = Path('/lab/pki')
SQUID_CONFIG = f"""\
http_port {PROXY_PORT}
http_port {PROXY_LOGIN_PORT}
hosts_file /etc/hosts
auth_param basic program /usr/lib/squid/basic_ncsa_auth /etc/squid/passwd
auth_param basic realm lab
acl with_login localport {PROXY_LOGIN_PORT}
acl known proxy_auth REQUIRED
http_access deny with_login !known
http_access allow all
cache deny all
via off
shutdown_lifetime 0 seconds
pid_filename none
logformat lab {{"time":%ts.%03tu,"client":"%>a","method":"%rm","path":"%ru","status":%>Hs,"bytes":%<st,"user":"%[un","port":%>lp}}
access_log stdio:/lab/logs/proxy.jsonl lab
cache_log /dev/null
"""


def start_proxy(login: t.Mapping[str, str]) -> None:
    hashed = subprocess.run(['openssl', 'passwd', '-apr1', login['password']], check=True, stdout=subprocess.PIPE, encoding='utf-8').stdout
    Path('/etc/squid/passwd').write_text(f'{login["user"]}:{hashed}')
    Path('/etc/squid/squid.conf').write_text(SQUID_CONFIG)
    (LOGS / 'proxy.jsonl').touch()
    (LOGS / 'proxy.jsonl').chmod(0o666)
    subprocess.Popen(['squid', '-N'])


def keep_redis() -> None:
    """For caches that share a bucket. One that is told to shut down (SHUTDOWN NOSAVE) comes back and has forgotten everything."""
    command = ['redis-server', '--port', str(REDIS_PORT), '--bind', '0.0.0.0', '--save', '', '--requirepass', REDIS_PASSWORD, '--logfile', '/dev/null']
    while True:
        subprocess.run(command, check=False)
        time.sleep(1)


def start_server(row: Mirror, shared: misbehave.Shared) -> None:
    behaviour = getattr(misbehave, row.behaviour)(row, shared)
    certificate = (PKI / f'{row.certificate}.crt', PKI / f'{row.certificate}.key') if row.certificate else None
    Server(row.port, behaviour, LOGS / f'{row.name}.jsonl', certificate).start()


def drop_packets() -> None:
    ports = ','.join(str(row.port) for row in MIRRORS if row.name.startswith('dropped'))
    subprocess.run(['iptables', '-w', '-A', 'INPUT', '-p', 'tcp', '-m', 'multiport', '--dports', ports, '-j', 'DROP'], check=True)


def main() -> None:
    # Docker 20.10 gives even an internal network a default route. Nothing may leave the machine, whatever that machine forwards.
    subprocess.run(['ip', 'route', 'del', 'default'], check=False, stderr=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    order = json.loads((STATE / 'order.json').read_text())
    with Path('/etc/ssl/certs/ca-certificates.crt').open('a') as bundle:
        bundle.write((PKI / 'ca.crt').read_text())
    threading.Thread(target=dns.serve, args=(order['names'],), daemon=True).start()
    drop_packets()
    start_proxy(order['proxy_login'])
    threading.Thread(target=keep_redis, daemon=True).start()
    shared = misbehave.Shared(accounts={order['hub_login']['user']: order['hub_login']['password']})
    distribution.start(misbehave.BACKEND)
    known = content.fill(misbehave.BACKEND, datetime.datetime.now(datetime.timezone.utc), STATE / 'busybox.tar')
    shared.images.update(known)
    shared.configs.update(each['config'] for image in known.values() for each in image['platforms'].values())
    for row in (HUB, CDN, *MIRRORS):
        if row.behaviour:
            start_server(row, shared)
    registries.start(PKI, LOGS)
    distribution.start(misbehave.PULL_THROUGH, extra='proxy: {remoteurl: "https://registry-1.docker.io"}\n')
    (STATE / 'images.json').write_text(json.dumps(known, indent=1))
    for log in LOGS.glob('*.jsonl'):
        log.unlink() if log.name != 'proxy.jsonl' else None
    (STATE / 'ready').write_text('yes\n')
    sys.stdout.flush()
    while True:     # as PID 1, bury the dead
        try:
            os.wait()
        except ChildProcessError:
            time.sleep(1)


if __name__ == '__main__':
    main()
