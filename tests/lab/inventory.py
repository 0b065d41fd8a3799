# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab tells others: an SSH configuration, an Ansible inventory and lab.json."""
from __future__ import annotations

import json
import typing as t
from dataclasses import asdict

from lab import containers, mirrors, network
from lab.config import ROOT, Place
from lab.process import run


def ensure_key(place: Place) -> None:
    place.ssh.mkdir(parents=True, exist_ok=True)
    place.ssh.chmod(0o700)
    if not (place.ssh / 'id_ed25519').exists():
        run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'quickpull-lab', '-f', str(place.ssh / 'id_ed25519')])


def _ssh_options(place: Place) -> list[str]:
    return [f'IdentityFile={place.ssh}/id_ed25519', 'IdentitiesOnly=yes', f'UserKnownHostsFile={place.ssh}/known_hosts', 'GlobalKnownHostsFile=/dev/null',
            'StrictHostKeyChecking=yes', 'ServerAliveInterval=5', 'ServerAliveCountMax=3', 'LogLevel=ERROR']


def write_known_hosts(place: Place, subnet: str) -> None:
    lines = []
    for host in containers.HOSTS:
        keys = containers.inside(place, host.name, 'cat /etc/ssh/ssh_host_*_key.pub').splitlines()
        lines += [f'{host.name},{containers.address(host, subnet)} {" ".join(key.split()[:2])}' for key in keys]
    (place.ssh / 'known_hosts').write_text('\n'.join(lines) + '\n')


def write_ssh_config(place: Place, subnet: str) -> None:
    blocks = []
    for host in containers.HOSTS:
        blocks.append(f'Host {host.name}\n    HostName {containers.address(host, subnet)}')
    options = '\n'.join('    ' + option.replace('=', ' ', 1) for option in _ssh_options(place))
    blocks.append(f'Host lab-*\n    User root\n{options}')
    (place.ssh / 'config').write_text('\n'.join(blocks) + '\n')


def write_inventory(place: Place, subnet: str) -> None:
    """YAML by hand, so that the lab needs no library: JSON strings are YAML strings."""
    arguments = json.dumps(' '.join(f'-o {option}' for option in _ssh_options(place)))
    lines = ['---', 'docker_hosts:', '  hosts:']
    for host in containers.HOSTS:
        lines += [f'    {host.name}:', f'      ansible_host: {containers.address(host, subnet)}']
    lines += ['  vars:', '    ansible_user: root', '    ansible_python_interpreter: /usr/bin/python3', f'    ansible_ssh_common_args: {arguments}']
    place.inventory.write_text('\n'.join(lines) + '\n')


def write_lab_json(place: Place, subnet: str, source: str, tags: t.Mapping[str, str],
                   versions: t.Mapping[str, t.Mapping[str, str]]) -> None:
    services = network.address(subnet, network.SERVICES)
    login = containers.PROXY_LOGIN
    facts = {
        'suffix': place.suffix, 'source': source, 'tags': dict(tags), 'subnet': subnet, 'network': place.network, 'root': str(ROOT), 'state': str(place.state),
        'inventory': str(place.inventory), 'ssh_config': str(place.ssh / 'config'), 'ssh_key': str(place.ssh / 'id_ed25519'), 'logs': str(place.logs),
        'ca': str(place.pki / 'ca.crt'), 'busybox_archive': str(containers.busybox_archive(place)),
        'services': {'address': services, 'container': place.container('services')},
        'hosts': {host.name: {'address': containers.address(host, subnet), 'container': place.container(host.name), **asdict(host),
                              'versions': dict(versions[host.name])} for host in containers.HOSTS},
        'mirrors': [{**asdict(mirror), 'url': mirror.url, 'good': mirror in mirrors.GOOD} for mirror in mirrors.MIRRORS],
        'hub': {'url': 'https://registry-1.docker.io', 'login': containers.HUB_LOGIN},
        'proxy': {'url': f'http://proxy.lab:{mirrors.PROXY_PORT}', 'login_url': f'http://proxy.lab:{mirrors.PROXY_LOGIN_PORT}', 'login': login},
        'images': json.loads((place.served / 'images.json').read_text()),
    }
    place.json.write_text(json.dumps(facts, indent=1) + '\n')
