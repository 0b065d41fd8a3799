# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab by hand: real systemd hosts with Docker, a private Docker Hub, mirrors good and bad, on this machine alone. See README.md."""
from __future__ import annotations

import argparse
import concurrent.futures
import shutil
import sys
import time
from pathlib import Path

# As a script this folder is first on the path, where lab.py would hide the package `lab`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from lab import containers, images, inventory, machine, network, pki
from lab.config import LabError, Place, facts, image_cache, locked, place
from lab.process import docker, say


def up(here: Place, arguments: argparse.Namespace) -> None:
    """Bring everything up; what already runs is left alone."""
    began = time.monotonic()
    source = images.choose_source()
    machine.install_missing(source)
    with machine.in_use():
        version = machine.ensure_docker()
        machine.raise_limits()
        say(f'Docker {version} on this machine, cgroup {machine.cgroups()}, hosts from {source}')
        tags = images.ensure(source)
        pki.ensure(here.pki)
        inventory.ensure_key(here)
        subnet = network.ensure(here)
        versions = containers.start_all(here, subnet, tags, source)
        connect(here, subnet)
    inventory.write_known_hosts(here, subnet)
    inventory.write_ssh_config(here, subnet)
    inventory.write_inventory(here, subnet)
    inventory.write_lab_json(here, subnet, source, tags, versions)
    for name, found in versions.items():
        say(f'{name} {network_address(here, name)}: ' + ', '.join(f'{key} {value}' for key, value in found.items()))
    say(f'up in {time.monotonic() - began:.1f} s on {subnet}')


def connect(here: Place, subnet: str) -> None:
    """Make sure that hosts and services reach each other, whatever firewall this machine has."""
    if not containers.apart(here, subnet):
        return
    programs = network.open_up(here)
    left = containers.apart(here, subnet)
    if left:
        tried = f'A rule by {" and ".join(programs)} did not help' if programs else 'There is no iptables to write a rule with'
        raise LabError(f'{", ".join(left)} cannot reach the services at {network.address(subnet, network.SERVICES)} over the bridge {here.bridge} of this '
                       f'machine: its firewall drops that. {tried}: let packets through that come in and go out by that bridge.')
    say(f'this machine drops what goes over its bridges: let through on {here.bridge} alone, by {" and ".join(programs)}, until the lab is down')


def network_address(here: Place, name: str) -> str:
    return next(containers.address(host, network.existing(here)) for host in containers.HOSTS if host.name == name)


def down(here: Place, arguments: argparse.Namespace) -> None:
    """Take everything down and leave the machine as it was found."""
    if machine.docker_answers() is None:
        return
    containers.remove_all(here)
    network.remove(here)
    here.json.unlink(missing_ok=True)
    here.inventory.unlink(missing_ok=True)
    shutil.rmtree(f'/tmp/quickpull-{here.suffix}', ignore_errors=True)     # sockets of Ansible's SSH connections
    with machine.alone() as nobody_else:
        if nobody_else and not docker('ps', '-aq', '--filter', 'label=quickpull.lab').stdout.strip():
            if machine.stop_docker():
                say('dockerd stopped')
            restored = machine.restore_limits()
            if restored:
                say('put back: ' + ' '.join(restored))
    say('down')


def clean(here: Place, arguments: argparse.Namespace) -> None:
    """Down, and the images and their cache as well."""
    if machine.docker_answers() is not None:
        containers.remove_all(here)
        network.remove(here)
        images.remove_all()
    down(here, arguments)
    for archive in image_cache().glob('*.tar.zst'):
        archive.unlink()
    shutil.rmtree(here.state)


def reset(here: Place, arguments: argparse.Namespace) -> None:
    """Make hosts as new."""
    if 'services' in arguments.hosts:   # new images, so new digests
        docker('rm', '-f', '-v', here.container('services'))
        up(here, arguments)
    told = facts(here)
    wanted = [host for host in containers.HOSTS if arguments.all or host.name in arguments.hosts]
    if not wanted and 'services' not in arguments.hosts:
        raise LabError('Which host? ' + ' '.join(host.name for host in containers.HOSTS) + ' services, or --all hosts')
    tags = told['tags']
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda host: containers.reset(here, host, told['subnet'], tags[host.recipe], told['source']), wanted))


def load(here: Place, arguments: argparse.Namespace) -> None:
    """Put busybox:latest into a host's image store without a pull."""
    for name in arguments.hosts:
        with containers.busybox_archive(here).open('rb') as archive:
            docker('exec', '-i', here.container(name), 'docker', 'load', '-q', stdin=archive)


def status(here: Place, arguments: argparse.Namespace) -> None:
    """What runs."""
    if machine.docker_answers() is None or not containers.states(here):
        print('down')
        raise SystemExit(1)
    for name, state in sorted(containers.states(here).items()):
        print(f'{name}  {state}')


def mirrors_table(here: Place, arguments: argparse.Namespace) -> None:
    """The mirrors and what they do."""
    for mirror in facts(here)['mirrors']:
        print(f'{mirror["url"]:34} {mirror["state"]:16} {mirror["failed_at"]:9} {mirror["does"]}')


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    for name, function in (('up', up), ('down', down), ('clean', clean), ('status', status), ('mirrors', mirrors_table)):
        commands.add_parser(name, help=function.__doc__).set_defaults(function=function)
    for name, function in (('reset', reset), ('load', load)):
        command = commands.add_parser(name, help=function.__doc__)
        command.add_argument('hosts', nargs='*')
        command.add_argument('--all', action='store_true')
        command.set_defaults(function=function)
    arguments = parser.parse_args()
    here = place()
    try:
        with locked(here.state / 'lock'):
            arguments.function(here, arguments)
    except LabError as exc:
        print(f'lab: {exc}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
