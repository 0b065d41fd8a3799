# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own bridge: internal, so that nothing leaves the machine, and no port of it is published."""
from __future__ import annotations

import ipaddress
import json
import os
import shutil

from lab.config import LabError, Place
from lab.process import docker, run

SERVICES = 10       # last part of the addresses
FIRST_HOST = 21
NOBODY = 250        # never given to anything: "no such host on the network"


def address(subnet: str, last: int) -> str:
    return str(ipaddress.ip_network(subnet)[last])


def ensure(place: Place) -> str:
    """Make the network unless it is there; returns its subnet."""
    subnet = existing(place)
    if subnet:
        return subnet
    wanted = os.environ.get('QUICKPULL_LAB_SUBNET', '')
    candidates = [wanted] if wanted else [f'10.213.{third}.0/24' for third in range(77, 120)]
    taken = _taken()
    for candidate in candidates:
        network = ipaddress.ip_network(candidate)
        if network.prefixlen != 24:
            raise LabError(f'QUICKPULL_LAB_SUBNET={candidate}: it has to be a /24.')
        if any(network.overlaps(other) for other in taken):
            continue
        made = docker('network', 'create', '--internal', '--subnet', candidate, '--label', place.label,
                      '--opt', f'com.docker.network.bridge.name={place.bridge}', place.network, check=False)
        if made.returncode == 0:
            return candidate
        if 'overlap' not in made.stderr:
            raise LabError(f'The network {place.network} could not be made: {made.stderr.strip()}')
    raise LabError(f'No free subnet among {candidates[0]} to {candidates[-1]}: set QUICKPULL_LAB_SUBNET to a free /24.')


def existing(place: Place) -> str:
    """Subnet of this lab's network, '' when there is none."""
    done = docker('network', 'inspect', '--format', '{{range .IPAM.Config}}{{.Subnet}}{{end}}', place.network, check=False)
    return done.stdout.strip() if done.returncode == 0 else ''


def _taken() -> list[ipaddress.IPv4Network]:
    """Networks this machine has a route to (Docker's own are among them, except the default route)."""
    routes = json.loads(run(['ip', '-j', '-4', 'route', 'show', 'table', 'all']).stdout or '[]')
    return [ipaddress.IPv4Network(route['dst'], strict=False) for route in routes if route['dst'] != 'default']


def remove(place: Place) -> None:
    if existing(place):
        docker('network', 'rm', place.network)
    shut(place)


# Where the kernel's br_netfilter is loaded, packets from one port of a bridge to another pass the machine's FORWARD chain. A dockerd sets that
# chain's policy to DROP and names its own networks in it; killed, it leaves the policy, and the lab's dockerd writes no rules (machine.py).
def open_up(place: Place) -> list[str]:
    """Let packets through from the lab's bridge to the lab's bridge, before any other rule; returns the programs of iptables that took it."""
    return [program for program in _iptables() if run([program, '-w', '-I', *_rule(place)], check=False).returncode == 0]


def shut(place: Place) -> None:
    """Take back what open_up did. Docker takes its own rule of the same form with the network."""
    for program in _iptables():
        while _has_rule(program, place):
            run([program, '-w', '-D', *_rule(place)])


def _iptables() -> list[str]:
    """One for each of the kernel's two rule sets, as far as the machine has them."""
    return [name for name in ('iptables-nft', 'iptables-legacy') if shutil.which(name)] or [name for name in ('iptables',) if shutil.which(name)]


def _rule(place: Place) -> list[str]:
    return ['FORWARD', '-i', place.bridge, '-o', place.bridge, '-j', 'ACCEPT']


def _has_rule(program: str, place: Place) -> bool:
    return run([program, '-w', '-C', *_rule(place)], check=False).returncode == 0
