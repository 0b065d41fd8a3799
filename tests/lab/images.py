# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of the lab's containers: one recipe each, built once, kept by a hash of the recipe.

Two sources: ``mmdebstrap`` needs Debian, root and a Debian archive; ``official`` needs a registry that serves debian:SUITE.
"""
from __future__ import annotations

import concurrent.futures
import hashlib
import os
import shutil
import subprocess
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from lab.config import CODE, LabError, image_cache, locked
from lab.process import docker, run, say

HOST_PACKAGES = ('systemd', 'systemd-sysv', 'docker.io', 'containerd', 'openssh-server', 'python3', 'iptables', 'ca-certificates', 'openssl',
                 'iproute2', 'procps', 'curl', 'mount')
CONTAINERS_TOOLS = ('podman', 'skopeo')
HELPERS = '/usr/lib/docker-credential-helpers'  # credential helpers, where no client looks

# Units that cannot run in a container, or that would disturb a test.
MASKED = ('systemd-udevd.service', 'systemd-udev-trigger.service', 'systemd-logind.service', 'console-getty.service', 'getty@.service', 'getty.target',
          'systemd-modules-load.service', 'systemd-sysctl.service', 'systemd-resolved.service', 'systemd-networkd.service', 'systemd-networkd.socket',
          'systemd-timesyncd.service',
          'systemd-firstboot.service', 'modprobe@.service', 'sys-kernel-debug.mount', 'sys-kernel-tracing.mount', 'sys-kernel-config.mount',
          'sys-fs-fuse-connections.mount', 'dev-hugepages.mount', 'dev-mqueue.mount', 'proc-sys-fs-binfmt_misc.automount', 'apt-daily.timer',
          'apt-daily-upgrade.timer', 'dpkg-db-backup.timer', 'e2scrub_all.timer', 'fstrim.timer', 'systemd-tmpfiles-clean.timer')


@dataclass(frozen=True)
class Recipe:
    """One image: a Debian suite and the packages in it."""

    name: str
    suite: str
    packages: tuple[str, ...]
    host: bool = True       # a systemd host, or else plain userland

    @property
    def script(self) -> str:
        """What is done in the new root besides unpacking packages."""
        lines = ['set -e', 'rm -f /etc/resolv.conf /etc/hostname']
        if self.host:
            lines += ['systemctl mask ' + ' '.join(MASKED), 'systemctl set-default multi-user.target', 'systemctl enable ssh.service docker.service']
        if 'docker-registry' in self.packages and self.host:
            # The registry's own configuration lies among Docker's, where tests look for what is left.
            lines += ['systemctl disable nginx.service docker-registry.service', 'rm -r /etc/docker/registry']
        if 'golang-docker-credential-helpers' in self.packages:
            # Docker's client takes one that it finds on its PATH without being told to.
            lines += [f'mkdir -p {HELPERS}', f'mv /usr/bin/docker-credential-* {HELPERS}/']
        return '\n'.join(lines)

    def digest(self, source: str) -> str:
        """Key of the built image: changes when the recipe does."""
        init = (CODE / 'files' / 'lab-init').read_text() if self.host else ''
        return hashlib.sha256(repr((self, self.script, init, source)).encode()).hexdigest()[:12]

    def tag(self, source: str) -> str:
        return f'quickpull-lab/{self.name}:{self.digest(source)}'


RECIPES = (
    # The first two are also the hosts that become pull-through caches.
    Recipe('bookworm', 'bookworm', HOST_PACKAGES + CONTAINERS_TOOLS + ('python3-docker', 'docker-registry', 'nginx')),
    # docker-cli is only recommended from trixie on. No SDK here: the collection has to do without it.
    Recipe('trixie', 'trixie', HOST_PACKAGES + CONTAINERS_TOOLS + ('docker-cli', 'docker-registry', 'nginx')),
    Recipe('forky', 'forky', HOST_PACKAGES + CONTAINERS_TOOLS + (
        'docker-cli', 'docker-buildx', 'buildah', 'python3-docker', 'golang-docker-credential-helpers', 'pass',
    )),
    Recipe('services', 'bookworm', (
        'python3', 'docker-registry', 'squid', 'redis-server', 'iptables', 'iproute2', 'ca-certificates', 'openssl', 'busybox-static',
    ), host=False),
)


def choose_source() -> str:
    """``mmdebstrap`` or ``official``; raises LabError when neither way is open."""
    wanted = os.environ.get('QUICKPULL_LAB_SOURCE', '')
    if wanted not in ('', 'mmdebstrap', 'official'):
        raise LabError(f'QUICKPULL_LAB_SOURCE={wanted}: choose mmdebstrap or official.')
    if wanted:
        return wanted
    if os.geteuid() == 0 and (shutil.which('mmdebstrap') or shutil.which('apt-get')):
        return 'mmdebstrap'
    if docker('info', check=False).returncode == 0:
        return 'official'
    raise LabError('The lab finds no way to make its hosts: it needs either root on Debian or Ubuntu (mmdebstrap), '
                   'or a Docker that you may use and that can pull debian:bookworm (QUICKPULL_LAB_SOURCE=official).')


def ensure(source: str) -> dict[str, str]:
    """Build and import what is missing, two at a time; returns recipe name -> image tag."""
    if not _missing(source):
        return tags(source)
    with locked(image_cache() / 'lock'), concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for unfinished in image_cache().glob('*.part'):     # of a run that was killed
            unfinished.unlink()
        for done in concurrent.futures.as_completed([pool.submit(_make, recipe, source) for recipe in _missing(source)]):
            done.result()
    return tags(source)


def tags(source: str) -> dict[str, str]:
    return {recipe.name: recipe.tag(source) for recipe in RECIPES}


def _missing(source: str) -> list[Recipe]:
    return [recipe for recipe in RECIPES if docker('image', 'inspect', recipe.tag(source), check=False).returncode != 0]


def _make(recipe: Recipe, source: str) -> None:
    if source == 'official':
        _build_official(recipe)
        return
    archive = image_cache() / f'{recipe.name}-{recipe.digest(source)}.tar.zst'
    if not archive.exists():
        say(f'building the image of {recipe.name} (Debian {recipe.suite}), about a minute')
        _bootstrap(recipe, archive)
    say(f'importing {archive.name}')
    with subprocess.Popen(['zstd', '-dcq', str(archive)], stdout=subprocess.PIPE) as unpack:
        docker('import', '-', recipe.tag(source), stdin=unpack.stdout)
    if unpack.returncode != 0:
        docker('image', 'rm', recipe.tag(source), check=False)
        archive.unlink()
        raise LabError(f'{archive} was damaged and has been removed: run the command again.')


def _bootstrap(recipe: Recipe, archive: Path) -> None:
    """mmdebstrap into a compressed tar; an unfinished one never gets the final name."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_suffix(f'.{os.getpid()}.part')
    command = ['mmdebstrap', '--quiet', '--variant=apt', '--include=' + ','.join(recipe.packages),
               # The index of a testing suite may be past its date on a mirror; signatures are checked all the same.
               '--aptopt=Acquire::Check-Valid-Until "false"',
               '--dpkgopt=path-exclude=/usr/share/man/*', '--dpkgopt=path-exclude=/usr/share/locale/*', '--dpkgopt=path-exclude=/usr/share/doc/*']
    if recipe.host:
        command += [f'--customize-hook=upload {CODE}/files/lab-init /sbin/lab-init', '--customize-hook=chroot "$1" chmod 0755 /sbin/lab-init']
    command += [f'--customize-hook=chroot "$1" sh -c \'{recipe.script}\'', recipe.suite, '-']
    try:
        with unfinished.open('wb') as out, tempfile.TemporaryFile() as errors:
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as bootstrap:
                run(['zstd', '-q', '-T0', '-3'], stdin=bootstrap.stdout, stdout=out)
            if bootstrap.returncode != 0:
                errors.seek(0)
                raise LabError(f'mmdebstrap failed for {recipe.name}:\n' + errors.read().decode(errors='replace')[-3000:])
        unfinished.rename(archive)
    finally:
        unfinished.unlink(missing_ok=True)
    for old in archive.parent.glob(f'{recipe.name}-*.tar.zst'):
        if old != archive:
            old.unlink(missing_ok=True)


def _build_official(recipe: Recipe) -> None:
    """FROM debian:SUITE plus the same packages, for machines where a registry can be reached."""
    lines = [f'FROM debian:{recipe.suite}',
             'RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends '
             + ' '.join(recipe.packages) + ' && rm -rf /var/lib/apt/lists/*']
    if recipe.host:
        lines += ['COPY lab-init /sbin/lab-init', 'RUN chmod 0755 /sbin/lab-init']
    # /etc/resolv.conf and /etc/hostname are the builder's mounts: they cannot be removed there, and need not be.
    lines += [f'RUN {line}' for line in recipe.script.splitlines() if line.startswith('systemctl')]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / 'Dockerfile').write_text('\n'.join(lines) + '\n')
        shutil.copy(CODE / 'files' / 'lab-init', folder)
        done = docker('build', '-t', recipe.tag('official'), folder, check=False)
        if done.returncode != 0:
            raise LabError(f'The official image debian:{recipe.suite} could not be made into a lab host:\n{done.stderr[-3000:]}')


def remove_all(keep: t.Collection[str] = ()) -> None:
    """Take every lab image out of the Docker of this machine (not out of the cache)."""
    for tag in docker('image', 'ls', '--format', '{{.Repository}}:{{.Tag}}', '--filter', 'reference=quickpull-lab/*').stdout.split():
        if tag not in keep:
            docker('image', 'rm', tag, check=False)
