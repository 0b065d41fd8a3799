# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pulling by the name that a mirror has for an image: what is left to a Docker that takes mirrors of Docker Hub alone."""

from __future__ import annotations

import typing as t

import pytest

from lab.api import Host, Lab, PlaybookRun

# Docker reaches the first two with TLS alone.
MIRRORS = ('refused', 'always-404', 'good-tls')
IMAGE = 'quay.io/library/nginx:latest'


@pytest.fixture(scope='module', autouse=True)
def as_new(lab: Lab) -> t.Iterator[None]:
    lab.everywhere(Host.reset)
    yield
    lab.everywhere(Host.reset)


def pull(lab: Lab, *images: str, mirrors: t.Sequence[str] = MIRRORS, check: bool = False, **more: t.Any) -> PlaybookRun:
    variables = {'registry_access_pull_images': list(images), 'registry_access_mirrors': {'quay.io': lab.urls(*mirrors)}, **more}
    return lab.playbook('playbooks/pull.yml', extra_vars={'registry_access_probe_deadline': 6, **variables}, check=check)


def names(host: Host) -> set[str]:
    return set(host.out('docker images --digests --format "{{.Repository}}:{{.Tag}}"').split())


def result(run: PlaybookRun, host: str) -> dict[str, t.Any]:
    return run.result(action='pull_via_mirror', host=host)


def test_every_docker_gets_the_image_from_the_mirror_under_its_own_name(lab: Lab) -> None:
    foreseen = pull(lab, IMAGE, check=True).ok()
    since = lab.mark()
    done = pull(lab, IMAGE).ok()
    for host in lab.hosts.values():
        assert result(foreseen, host.name)['changed']
        assert result(done, host.name)['images'] == [
            {'image': IMAGE, 'changed': True, 'via': lab.mirror('good-tls').url.rstrip('/'), 'failures': []}
        ], host.name
        assert names(host) == {'quay.io/library/nginx:latest'}, host.name
        assert [line for line in lab.access_log('good-tls', since, client=host) if '/blobs/' in line['path']], host.name
        assert host.out(f'docker run --rm {IMAGE} echo runs') == 'runs', host.name
    again = pull(lab, IMAGE).ok()
    assert again.changed() == 0
    assert [result(again, name)['images'][0]['via'] for name in lab.hosts] == [''] * len(lab.hosts)


def test_a_pinned_image_is_pulled_by_its_digest(lab: Lab) -> None:
    digest = lab.images['library/busybox']['digest']
    run = pull(lab, f'quay.io/library/busybox:pinned@{digest}').ok()
    for host in lab.hosts.values():
        assert result(run, host.name)['images'][0]['via'].startswith('https://good-tls'), host.name
        assert 'quay.io/library/busybox:pinned' in names(host), host.name
        assert not [name for name in names(host) if name.startswith('good-tls')], host.name


def test_where_no_mirror_serves_it_comes_from_its_registry(lab: Lab) -> None:
    since = lab.mark()
    run = pull(lab, 'quay.io/library/big:latest', mirrors=('refused', 'always-404')).ok()
    for host in lab.hosts.values():
        assert result(run, host.name)['images'][0]['via'] == 'quay.io', host.name
        assert lab.access_log('hub', since, client=host), host.name


def test_nobody_has_it(lab: Lab) -> None:
    run = pull(lab, 'quay.io/library/no-such:1')
    assert run.rc != 0
    for host in lab.hosts.values():
        assert 'quay.io/library/no-such:1: nobody serves it. quay.io: ' in result(run, host.name)['msg'], host.name
