# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users' own files by the role: what docker buildx hands to new builders of a user, and drop-ins beside a user's registries.conf.

docker buildx is real, and reads and keeps the file without a BuildKit, which cannot be had here.
"""

from __future__ import annotations

import typing as t

import pytest

from lab.api import Host, Lab, PlaybookRun

HOME = '/home/ci'
FILE = f'{HOME}/.docker/buildx/buildkitd.default.toml'
THEIRS = '# kept\n[worker.oci]\n  max-parallelism = 4\n'
AS_CI = f'setpriv --reuid 1234 --regid 1234 --groups $(stat -c %g /run/docker.sock) env -i HOME={HOME} PATH=/usr/bin:/bin'


@pytest.fixture(scope='module')
def one(lab: Lab) -> t.Iterator[Lab]:
    """The host with buildx, and a user who has files of their own."""
    found = lab.only('lab-forky')
    (host,) = found.hosts.values()
    host.reset()
    host.run(f'echo ci:x:1234:1234::{HOME}:/bin/sh >> /etc/passwd; echo ci:x:1234: >> /etc/group; mkdir -p {HOME}/.config/containers {HOME}/.docker/buildx')
    host.put(f'{HOME}/.config/containers/registries.conf', 'unqualified-search-registries = ["quay.io"]\n')
    host.put(FILE, THEIRS)
    host.run(f'chown -R 1234:1234 {HOME}; mv /etc/containers/registries.conf.d /root/shipped; mkdir /etc/containers/registries.conf.d')
    yield found
    host.reset()


@pytest.fixture
def host(one: Lab) -> Host:
    (found,) = one.hosts.values()
    return found


def tree(host: Host) -> str:
    return host.out(f"find {HOME} -printf '%p %y %m %U %l\\n' | sort; find {HOME} -type f -exec sha256sum {{}} + | sort")


def site(lab: Lab, mirrors: t.Mapping[str, t.Any], **more: t.Any) -> PlaybookRun:
    variables = {
        'registry_access_engines': ['podman'], 'registry_access_podman_users': ['ci'], 'registry_access_buildkit_users': ['ci'],
        'registry_access_probe_deadline': 6, 'registry_access_probe_images': ['library/busybox:latest', 'quay.io/library/busybox:latest'],
        'registry_access_mirrors': mirrors, **more.pop('extra_vars', {}),
    }  # fmt: skip
    return lab.playbook('playbooks/site.yml', extra_vars=variables, **more)


def words_of(run: PlaybookRun) -> str:
    """What was printed, without its line ends."""
    return ' '.join(run.stdout.split())


def create(host: Host, name: str) -> None:
    host.run(f'cd {HOME}; {AS_CI} docker buildx create --name {name} --driver docker-container')


def test_new_builders_and_a_users_podman_are_given_what_serves(one: Lab, host: Host) -> None:
    before = tree(host)
    mirrors = {'docker.io': one.urls('refused', 'good-a'), 'quay.io': [{'url': one.urls('good-b')[0], 'trust': 'content'}, *one.urls('good-a')]}
    foreseen, done, again = site(one, mirrors, check=True).ok(), site(one, mirrors).ok(), site(one, mirrors).ok()
    assert foreseen.changed() == done.changed() > 0
    assert again.changed() == 0
    words = words_of(done)
    assert 'BuildKit of ci' in words and 'Podman of ci' in words
    assert 'trusted with content alone' in words
    assert 'hides the mirrors' not in words
    text = host.get(FILE)
    assert text.startswith(THEIRS) and text.count('mirrors = ["good-a.lab:8101"]') == 2
    assert 'refused' not in text and 'good-b' not in text
    create(host, 'new')
    assert 'The builder new' not in words_of(site(one, mirrors).ok())
    assert 'The builder new' in words_of(site(one, {'docker.io': one.urls('good-b')}, check=True).ok())
    since = one.mark()
    host.run(f'cd {HOME}; {AS_CI} skopeo copy -q docker://docker.io/library/busybox dir:{HOME}/copy && rm -rf {HOME}/copy {HOME}/.local/share')
    assert one.access_log('good-a', since, client=host) and not one.access_log('hub', since, client=host)
    host.run(f'cd {HOME}; {AS_CI} docker buildx rm new; rm -rf {HOME}/.docker/buildx/[!b]* {HOME}/.docker/buildx/.[!.]* {HOME}/.docker/[!b]*')
    site(one, mirrors, extra_vars={'registry_access_state': 'absent'}).ok()
    assert tree(host) == before


def test_a_builder_of_before_is_told(one: Lab, host: Host) -> None:
    create(host, 'old')
    done = site(one, {'docker.io': one.urls('good-a')}).ok()
    assert 'The builder old of ci was made with other mirrors' in words_of(done)
    assert 'good-a' not in host.out(f'cat {HOME}/.docker/buildx/instances/old | tr -d "\\n"')
    site(one, {}).ok()
    host.run(f'cd {HOME}; {AS_CI} docker buildx rm old')
    assert host.get(FILE) == THEIRS


def test_a_user_who_is_not_there_stops_the_host_before_anything_is_written(one: Lab, host: Host) -> None:
    before = host.out('find /etc/containers -type f | sort')
    run = site(one, {'docker.io': one.urls('good-a')}, extra_vars={'registry_access_buildkit_users': 'nobody-here'})
    assert 'there is no user nobody-here on this host' in words_of(run) and 'registry_access_buildkit_users' in words_of(run)
    assert run.rc != 0
    assert host.out('find /etc/containers -type f | sort') == before


def test_users_who_are_named_no_more_lose_their_files_with_the_rest(one: Lab, host: Host) -> None:
    before = tree(host)
    site(one, {'docker.io': one.urls('good-a')}).ok()
    assert tree(host) != before
    none: dict[str, t.Any] = {'registry_access_buildkit_users': [], 'registry_access_podman_users': []}
    site(one, {}, extra_vars={**none, 'registry_access_state': 'absent'}).ok()
    assert tree(host) == before
