# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The old tables of config.toml on containerd 1.6, 1.7 and 2.1: pulls through the CRI ask the same mirrors before and after."""

from __future__ import annotations

import typing as t

import pytest

from lab import cri
from lab.api import Host, Lab, PlaybookRun

CONFIG = '/etc/containerd/config.toml'
CERTS_D = '/etc/containerd/certs.d'
CRI = {'lab-bookworm': 'io.containerd.grpc.v1.cri', 'lab-trixie': 'io.containerd.grpc.v1.cri', 'lab-forky': 'io.containerd.cri.v1.images'}


def tables(lab: Lab, host: Host) -> str:
    """An old one in front that refuses, two that serve, one for all others, and TLS by a CA that the host need not trust."""
    version, name = ('3' if host.name == 'lab-forky' else '2'), f'plugins."{CRI[host.name]}".registry'
    refused, near, tls = (url.rstrip('/') for url in lab.urls('refused', 'good-a', 'good-tls'))
    return (
        f'version = {version}\n# ours since 2021\n[{name}.mirrors."docker.io"]\n  endpoint = ["{refused}", "{near}"] # near\n'
        f'[{name}.mirrors."*"]\n  endpoint = ["{tls}"]\n[{name}.configs."{tls.partition("://")[2]}".tls]\n  ca_file = "/etc/ssl/certs/ca-certificates.crt"\n'
        '[debug]\n  level = "info"\n'
    )


@pytest.fixture
def old(lab: Lab) -> t.Iterator[Lab]:
    """All hosts with such tables in force."""
    def make(host: Host) -> None:
        host.reset()
        host.put(CONFIG, tables(lab, host))
        host.run('systemctl restart containerd')

    lab.everywhere(make)
    yield lab
    lab.everywhere(Host.reset)


def migrate(lab: Lab, **more: t.Any) -> PlaybookRun:
    return lab.playbook('playbooks/migrate_containerd.yml', **more)


def served(lab: Lab, host: Host, image: str) -> set[str]:
    """Which mirrors answer a pull through the CRI with a cold store."""
    host.cold()
    cri.cold(host)
    since = lab.mark()
    with cri.connect(host) as client:
        client.pull(image)
    return {name for name in ('good-a', 'good-tls', 'hub') if [one for one in lab.access_log(name, since, client=host) if '/blobs/' in one['path']]}


IMAGES = {'docker.io/library/busybox:latest': {'good-a'}, 'quay.io/library/nginx:latest': {'good-tls'}}


def test_pulls_ask_the_same_mirrors_before_and_after(old: Lab) -> None:
    before = old.everywhere(lambda host: {image: served(old, host, image) for image in IMAGES})
    assert before == dict.fromkeys(old.hosts, IMAGES)
    texts = old.everywhere(lambda host: host.get(CONFIG))
    foreseen = migrate(old, check=True, diff=True).ok()
    assert old.everywhere(lambda host: (host.get(CONFIG), host.exists(CERTS_D))) == {name: (text, False) for name, text in texts.items()}
    done, again = migrate(old).ok(), migrate(old).ok()
    assert foreseen.changed() == done.changed() == len(old.hosts)
    assert again.changed() == 0
    for host in old.hosts.values():
        result = done.result(action='containerd_migrate', host=host.name)
        assert (result['action'], result['proved']) == ('restart', True), host.name
        text = host.get(CONFIG)
        assert 'mirrors' not in text and 'tls' not in text and '# ours since 2021' in text and '[debug]\n  level = "info"' in text
    assert old.everywhere(lambda host: {image: served(old, host, image) for image in IMAGES}) == before
    # From here on the role goes on as on any host.
    variables = {'registry_access_engines': ['containerd'], 'registry_access_mirrors': {'quay.io': old.urls('good-a')}, 'registry_access_probe': False}
    old.playbook('playbooks/site.yml', extra_vars=variables).ok()
    assert old.everywhere(lambda host: served(old, host, 'quay.io/library/nginx:latest')) == {name: {'good-a'} for name in old.hosts}


def test_where_a_restart_is_not_allowed_nothing_is_done(old: Lab) -> None:
    one = old.only('lab-trixie')
    (host,) = one.hosts.values()
    text = host.get(CONFIG)
    run = migrate(one, extra_vars={'registry_access_restart': 'never'}).ok()
    assert run.changed() == 0 and 'Nothing was done' in run.stdout
    assert (host.get(CONFIG), host.exists(CERTS_D)) == (text, False)


def test_what_does_not_come_up_is_put_back(old: Lab) -> None:
    """A drop-in of the unit that lets no CRI come up with the new file stands for whatever may go wrong."""
    one = old.only('lab-bookworm', 'lab-forky')
    texts = one.everywhere(lambda host: host.get(CONFIG))

    def spoil(host: Host) -> None:
        check = f'[Service]\nExecStartPre=/bin/sh -c "! grep -q config_path {CONFIG}"\n'
        host.put('/etc/systemd/system/containerd.service.d/spoil.conf', check)
        host.run('systemctl daemon-reload')

    one.everywhere(spoil)
    run = migrate(one, extra_vars={'registry_access_apply_timeout': 8})
    assert run.rc != 0
    for host in one.hosts.values():
        told = run.result(action='containerd_migrate', host=host.name)['msg']
        assert f'Put back as before: {CONFIG}' in told and 'It runs again' in told, told
        assert (host.get(CONFIG), host.exists(CERTS_D)) == (texts[host.name], False)
        assert served(one, host, 'docker.io/library/busybox:latest') == {'good-a'}


def test_tables_that_an_import_holds_are_named(old: Lab) -> None:
    one = old.only('lab-forky')
    (host,) = one.hosts.values()
    text = 'imports = ["/etc/containerd/conf.d/*.toml"]\n' + host.get(CONFIG)
    host.put('/etc/containerd/conf.d/old.toml', f'version = 3\n[plugins."{CRI[host.name]}".registry.mirrors."ghcr.io"]\n  endpoint = ["http://x.lab"]\n')
    host.put(CONFIG, text)
    run = migrate(one)
    assert run.rc != 0 and 'too: ghcr.io (/etc/containerd/conf.d/*.toml)' in ' '.join(run.stdout.split())
    assert (host.get(CONFIG), host.exists(CERTS_D)) == (text, False)
