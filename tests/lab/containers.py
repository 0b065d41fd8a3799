# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The containers of the lab: one for all services, and three hosts in which systemd is PID 1."""
from __future__ import annotations

import concurrent.futures
import json
import os
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from lab import mirrors, network
from lab.config import CODE, LabError, Place
from lab.process import docker, docker_exec, say

# No --privileged: a machine whose root lacks CAP_SYS_RESOURCE cannot give it.
CAPABILITIES = ('--cap-add', 'ALL', '--security-opt', 'seccomp=unconfined', '--security-opt', 'apparmor=unconfined')
# There, Docker before 23.0 has to be told; later ones take "ALL" for what the machine has, and refuse to drop what it has not.
WITHHELD = ('--cap-drop', 'SYS_RESOURCE')
VOLUMES = ('/var/lib/docker', '/var/lib/containerd', '/var/lib/containers')     # overlay does not work on overlay
HUB_LOGIN = {'user': 'acme', 'password': 'lab-hub-password'}
PROXY_LOGIN = {'user': 'proxyuser', 'password': 'lab:proxy@pass'}


@dataclass(frozen=True)
class Host:
    """A host and what its Docker has to be able to do, or the tests on it would prove nothing."""

    name: str
    recipe: str
    number: int
    docker: str             # version prefix
    proxies_key: bool       # daemon.json has `proxies`, dockerd has --validate
    containerd_store: bool  # hosts.toml and the containerd image store on request
    sdk: bool               # the Docker SDK for Python is installed


HOSTS = (
    Host('lab-bookworm', 'bookworm', 0, '20.10.', proxies_key=False, containerd_store=False, sdk=True),
    Host('lab-trixie', 'trixie', 1, '26.1.', proxies_key=True, containerd_store=False, sdk=False),
    Host('lab-forky', 'forky', 2, '28.', proxies_key=True, containerd_store=True, sdk=True),
)


def address(host: Host, subnet: str) -> str:
    return network.address(subnet, network.FIRST_HOST + host.number)


def names(subnet: str) -> dict[str, str]:
    """Every name in the lab with its address."""
    found = mirrors.names(network.address(subnet, network.SERVICES), network.address(subnet, network.NOBODY))
    found.update({host.name: address(host, subnet) for host in HOSTS})
    return found


def rights(source: str) -> list[tuple[str, ...]]:
    """The rights a host may get, to be tried in turn: the choice is QUICKPULL_LAB_FLAGS, else what fits the source of the image."""
    wanted = os.environ.get('QUICKPULL_LAB_FLAGS') or ('privileged' if source == 'official' else 'caps')
    if wanted not in ('caps', 'privileged'):
        raise LabError(f'QUICKPULL_LAB_FLAGS={wanted}: choose caps or privileged.')
    return [('--privileged',)] if wanted == 'privileged' else [(*CAPABILITIES, *WITHHELD), CAPABILITIES]


def states(place: Place) -> dict[str, str]:
    """Container name -> state of all containers of this lab."""
    listed = docker('ps', '-a', '--filter', f'label={place.label}', '--format', '{{.Names}} {{.State}}').stdout
    return {name: state for name, dummy, state in (line.partition(' ') for line in listed.splitlines())}


def _image(container: str) -> str:
    return docker('inspect', '-f', '{{.Config.Image}}', container).stdout.strip()


def start_services(place: Place, subnet: str, tag: str) -> None:
    for folder in (place.served, place.logs):
        folder.mkdir(parents=True, exist_ok=True)
    for old in (*place.logs.glob('*.jsonl'), place.served / 'ready'):
        old.unlink(missing_ok=True)
    order = {'names': names(subnet), 'hub_login': HUB_LOGIN, 'proxy_login': PROXY_LOGIN}
    (place.served / 'order.json').write_text(json.dumps(order, indent=1))
    docker('run', '-d', '--name', place.container('services'), '--hostname', 'services', *_common(place, network.address(subnet, network.SERVICES), subnet),
           '--cap-add', 'NET_ADMIN', '-v', f'{place.served}:/lab/state', '-v', f'{place.logs}:/lab/logs', '-v', f'{place.pki}:/lab/pki:ro',
           '-v', f'{CODE}:/opt/lab/lab:ro', '-e', 'PYTHONPATH=/opt/lab', '-e', 'PYTHONDONTWRITEBYTECODE=1', tag, 'python3', '-m', 'lab.serve')


def wait_for_services(place: Place, timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while not (place.served / 'ready').exists():
        name = place.container('services')
        if states(place).get(name) != 'running' or time.monotonic() > end:
            raise LabError(f'The services did not come up:\n{docker("logs", "--tail", "30", name, check=False)}')
        time.sleep(0.1)


def _common(place: Place, ip: str, subnet: str) -> list[str]:
    words = ['--label', place.label, '--network', place.network, '--ip', ip]
    for name, at in names(subnet).items():
        words += ['--add-host', f'{name}:{at}']
    return words


def start(place: Place, host: Host, subnet: str, tag: str, source: str) -> None:
    """Run a host's container; its systemd and dockerd come up behind our back."""
    resolv = place.state / 'resolv.conf'
    resolv.write_text(f'nameserver {network.address(subnet, network.SERVICES)}\noptions timeout:2 attempts:1\n')
    command = ['--name', place.container(host.name), '--hostname', host.name, *_common(place, address(host, subnet), subnet),
               '--stop-signal', 'SIGRTMIN+3', '--cgroupns', 'private', '--tmpfs', '/run', '--tmpfs', '/run/lock', '--tmpfs', '/tmp:exec']
    for volume in VOLUMES:
        command += ['-v', volume]
    command += ['-v', f'{resolv}:/etc/resolv.conf:ro', '-v', f'{place.pki}/ca.crt:/usr/local/share/ca-certificates/quickpull-lab.crt:ro',
                '-e', f'LAB_AUTHORIZED_KEY={(place.ssh / "id_ed25519.pub").read_text().strip()}', tag, '/sbin/lab-init']
    first, *others = rights(source)
    try:
        docker('run', '-d', *first, *command)
    except LabError as exc:
        if 'invalid CapDrop' not in str(exc) or not others:
            raise
        docker('run', '-d', *others[0], *command)


def inside(place: Place, name: str, script: str, timeout: float = 120) -> str:
    """Run a shell script in a container and return what it printed."""
    return docker_exec(place.container(name), 'sh', '-c', script, timeout=timeout).stdout


READY = '[ "$(systemctl is-active docker ssh | sort -u)" = active ] && docker version >/dev/null 2>&1'
READY_SECONDS = 90.0
WHY_NOT = 'systemctl --failed --no-pager; journalctl -u docker --no-pager | tail -20'
FEATURES = r"""
printf '%s\n' "$(docker version --format '{{.Server.Version}}')"
printf '%s\n' "$(/lib/systemd/systemd --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"
printf '%s\n' "$(containerd --version | cut -d' ' -f3)"
printf '%s\n' "$(python3 -c 'import platform; print(platform.python_version())')"
printf '{"proxies": {"no-proxy": "localhost"}}' > /tmp/proxies.json
dockerd --validate --config-file /tmp/proxies.json >/dev/null 2>&1 && echo yes || echo no
ctr plugins ls | grep -q 'snapshotter.*overlayfs.*ok' && echo yes || echo no
python3 -c 'import docker' 2>/dev/null && echo yes || echo no
rm -f /tmp/proxies.json
"""


def _wait_for_daemons(place: Place, host: Host) -> None:
    """Ask again and again from outside: a process that was sent into a container while its systemd comes up may be refused, or killed (137)."""
    end = time.monotonic() + READY_SECONDS
    container = place.container(host.name)
    while docker('exec', container, 'sh', '-c', READY, check=False).returncode != 0:
        if time.monotonic() > end:
            told = docker('exec', container, 'sh', '-c', WHY_NOT, check=False)
            raise LabError(f'{host.name} did not come up in {READY_SECONDS:.0f} s.\n{told.stdout[-3000:]}{told.stderr[-1000:]}')
        time.sleep(0.1)


def wait_until_ready(place: Place, host: Host) -> dict[str, str]:
    """Wait for systemd, sshd and dockerd, then look at what is there. Raises LabError when the host is not what it has to be."""
    _wait_for_daemons(place, host)
    version, systemd, containerd, python, proxies, store, sdk = inside(place, host.name, FEATURES).splitlines()
    found = {'docker': version, 'systemd': systemd, 'containerd': containerd, 'python': python, 'proxies_key': proxies, 'sdk': sdk}
    wanted = {'proxies_key': 'yes' if host.proxies_key else 'no', 'sdk': 'yes' if host.sdk else 'no'}
    wrong = [f'{key} is {found[key]}, expected {value}' for key, value in wanted.items() if found[key] != value]
    if not version.startswith(host.docker):
        wrong.append(f'Docker is {version}, expected {host.docker}*')
    if host.containerd_store and (store != 'yes' or int(version.split('.')[0]) < 28):
        wrong.append('no containerd image store that reads hosts.toml: that takes Docker 28 and the overlayfs snapshotter')
    if wrong:
        raise LabError(f'{host.name} lacks what the tests need of it: ' + '; '.join(wrong))
    return found


def apart(place: Place, subnet: str) -> list[str]:
    """The hosts that do not reach the services: an address of the bridge, so a firewall of this machine is in between."""
    script = f'python3 -c \'import socket; socket.create_connection(("{network.address(subnet, network.SERVICES)}", 443), 3)\''
    asked = {host.name: docker('exec', place.container(host.name), 'sh', '-c', script, check=False) for host in HOSTS}
    return [name for name, done in asked.items() if done.returncode != 0]


def start_all(place: Place, subnet: str, tags: t.Mapping[str, str], source: str) -> dict[str, dict[str, str]]:
    """Start what does not run, or was made from an image of before, all at once; returns host name -> versions."""
    current = {place.container('services'): tags['services'], **{place.container(host.name): tags[host.recipe] for host in HOSTS}}
    running = {name for name, state in states(place).items() if state == 'running' and _image(name) == current.get(name)}
    for name in set(states(place)) - running:
        docker('rm', '-f', '-v', name)
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        jobs = []
        if place.container('services') not in running:
            jobs.append(pool.submit(start_services, place, subnet, tags['services']))
        jobs += [pool.submit(start, place, host, subnet, tags[host.recipe], source) for host in HOSTS if place.container(host.name) not in running]
        for job in jobs:
            job.result()
        wait_for_services(place)
        return dict(zip((host.name for host in HOSTS), pool.map(lambda host: wait_until_ready(place, host), HOSTS)))


def reset(place: Place, host: Host, subnet: str, tag: str, source: str) -> dict[str, str]:
    """As new: the container is thrown away and made again, which is quicker and surer than cleaning it."""
    docker('rm', '-f', '-v', place.container(host.name), check=False)
    start(place, host, subnet, tag, source)
    return wait_until_ready(place, host)


def remove_all(place: Place) -> None:
    found = list(states(place))
    if found:
        say('removing ' + ' '.join(found))
        docker('rm', '-f', '-v', *found)


def busybox_archive(place: Place) -> Path:
    return place.served / 'busybox.tar'
