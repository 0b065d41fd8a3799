# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""registries_conf against real Podman and Skopeo: what is written is what they pull through."""

from __future__ import annotations

import json
import typing as t

import pytest

from lab.api import Host, Lab

FOLDER = '/etc/containers/registries.conf.d'
HUB = f'{FOLDER}/500-quickpull-docker.io.conf'
IMAGE = 'docker.io/library/busybox'
OTHER = '[[registry]]\nprefix = "docker.io"\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "good-b.lab:8102"\ninsecure = true\n'

Results = t.Dict[str, t.Dict[str, t.Any]]


def set_mirrors(lab: Lab, options: t.Mapping[str, t.Any], *, check: bool = False) -> Results:
    """Run the module on all hosts and return its result on each."""
    play = {'hosts': 'docker_hosts', 'gather_facts': False, 'tasks': [{'quickpull.registry.registries_conf': dict(options)}]}
    run = lab.playbook(json.dumps([play], indent=1), check=check, diff=True).ok()
    return {name: run.result(action='registries_conf', host=name) for name in lab.hosts}


def hub(*mirrors: t.Any) -> dict[str, t.Any]:
    return {'upstreams': {'docker.io': list(mirrors)}}


def pull(lab: Lab, host: Host, image: str = IMAGE, *, servers: t.Sequence[str] = ('good-a', 'good-b', 'good-path', 'good-tls', 'hub')) -> dict[str, list[str]]:
    """Pull with an empty store. Returns what each server was asked and answered with 200: `tag`, `manifest` (by digest), `blob`."""
    host.run('podman rmi -fa')
    since = lab.mark()
    host.run(['podman', 'pull', '-q', image])
    return {name: found for name in servers if (found := served(lab, name, since, host))}


def pull_everywhere(lab: Lab, image: str = IMAGE, **options: t.Any) -> dict[str, dict[str, list[str]]]:
    return lab.everywhere(lambda host: pull(lab, host, image, **options))


def from_(lab: Lab, server: str) -> dict[str, dict[str, list[str]]]:
    """What :func:`pull_everywhere` returns when everything comes from one server."""
    return {name: {server: ['tag', 'manifest', 'blob']} for name in lab.hosts}


def served(lab: Lab, name: str, since: float, host: Host) -> list[str]:
    kinds = []
    for line in lab.access_log(name, since, client=host):
        if line['status'] == 200 and '/library/busybox/' in line['path']:
            kinds.append('blob' if '/blobs/' in line['path'] else 'manifest' if '/manifests/sha256:' in line['path'] else 'tag')
    return list(dict.fromkeys(kinds))


def tree(host: Host) -> str:
    """Everything in /etc/containers: kinds, modes, contents; and that of the users' own files."""
    return host.out("find /etc/containers /root/.config /home -printf '%p %y %m %u %l\\n' 2>/dev/null | sort; "
                    "find /etc/containers /root/.config /home -type f -exec sha256sum {} + 2>/dev/null | sort")


def registries(host: Host) -> dict[str, t.Any]:
    found: dict[str, t.Any] = json.loads(host.out('podman info --format json'))['registries']
    return found


@pytest.fixture(scope='module', autouse=True)
def as_new(lab: Lab) -> t.Iterator[None]:
    """Hosts as new, before and after."""
    lab.everywhere(Host.reset)
    yield
    lab.everywhere(Host.reset)


@pytest.fixture(scope='module', autouse=True)
def shipped(lab: Lab, as_new: None) -> None:
    """What Debian ships, put aside."""
    lab.everywhere(lambda host: host.run('cp -a /etc/containers /root/shipped'))


@pytest.fixture
def clean(lab: Lab) -> t.Iterator[None]:
    """What Debian ships, and nothing of ours or of users, whatever a test left."""
    yield
    lab.everywhere(lambda host: host.run(
        'rm -rf /etc/containers /var/lib/quickpull.registry /root/.config/containers /home/alice; cp -a /root/shipped /etc/containers'))


@pytest.fixture(scope='module')
def story(lab: Lab, shipped: None) -> t.Iterator[dict[str, t.Any]]:
    """Foreseen, written, again: the steps that are looked at below, and the trees before."""
    wanted = hub(lab.mirror('good-a').url, lab.mirror('good-b').url)
    steps: dict[str, t.Any] = {'before': lab.everywhere(tree), 'storage': lab.everywhere(storage)}
    steps['foreseen'] = set_mirrors(lab, wanted, check=True)
    lab.everywhere(lambda host: host.run(f'test ! -e {HUB} && test ! -e /var/lib/quickpull.registry'))
    steps['written'] = set_mirrors(lab, wanted)
    steps['storage after'] = lab.everywhere(storage)
    steps['again'] = set_mirrors(lab, wanted)
    yield steps
    set_mirrors(lab, {'state': 'absent'})


def storage(host: Host) -> str:
    """What a run of Podman leaves: its images' and containers' state, and what it notes in /run."""
    return host.out("find /var/lib/containers /run/libpod /run/containers -type f 2>/dev/null | sort")


def test_check_mode_foresees_the_first_run(host: Host, story: dict[str, t.Any]) -> None:
    foreseen, written, again = (story[step][host.name] for step in ('foreseen', 'written', 'again'))
    names = ('changed', 'files', 'left_out', 'hidden_for', 'validated_by', 'diff')
    assert {name: foreseen[name] for name in names} == {name: written[name] for name in names}
    lab_urls = ['http://good-a.lab:8101', 'http://good-b.lab:8102']
    assert (written['changed'], written['files']) == (True, [{'path': HUB, 'upstream': 'docker.io', 'mirrors': lab_urls, 'changed': True}])
    assert (again['changed'], again['diff'], again['validated_by']) == (False, [], 'podman')


def test_podman_was_asked_without_a_trace(host: Host, story: dict[str, t.Any]) -> None:
    assert story['written'][host.name]['validated_by'] == 'podman'
    assert story['storage after'][host.name] == story['storage'][host.name]


def test_podman_understands_what_was_written(lab: Lab, host: Host, story: dict[str, t.Any]) -> None:
    entry = registries(host)['docker.io']
    assert (entry['Location'], entry['Blocked'], entry['MirrorByDigestOnly']) == ('docker.io', False, False)
    assert [(one['Location'], one['Insecure'], one['PullFromMirror']) for one in entry['Mirrors']] == [
        ('good-a.lab:8101', True, 'all'), ('good-b.lab:8102', True, 'all'),
    ]


def test_pulls_come_from_the_first_mirror_alone(lab: Lab, host: Host, story: dict[str, t.Any]) -> None:
    assert pull(lab, host) == {'good-a': ['tag', 'manifest', 'blob']}
    assert pull(lab, host, 'docker.io/library/busybox@' + lab.images['library/busybox']['digest']) == {'good-a': ['manifest', 'blob']}


def test_skopeo_asks_the_first_mirror_too(lab: Lab, host: Host, story: dict[str, t.Any]) -> None:
    since = lab.mark()
    host.run(f'rm -rf /tmp/copy; skopeo copy -q docker://{IMAGE} dir:/tmp/copy')
    assert served(lab, 'good-a', since, host) == ['tag', 'manifest', 'blob']
    assert not lab.access_log('hub', since, client=host)


def test_buildah_asks_the_first_mirror_too(lab: Lab, story: dict[str, t.Any]) -> None:
    host = lab.hosts['lab-forky']
    since = lab.mark()
    host.run(f'buildah pull -q {IMAGE}')
    assert served(lab, 'good-a', since, host) == ['tag', 'manifest', 'blob']
    assert not lab.access_log('hub', since, client=host)
    host.run('buildah rmi -a')


def test_taken_away_as_it_was(lab: Lab, story: dict[str, t.Any]) -> None:
    gone = set_mirrors(lab, {'state': 'absent'})
    again = set_mirrors(lab, {'state': 'absent'})
    assert lab.everywhere(tree) == story['before']
    for name in lab.hosts:
        assert (gone[name]['changed'], again[name]['changed']) == (True, False), name
    assert pull_everywhere(lab) == from_(lab, 'hub')


def test_dead_mirrors_are_passed_over(lab: Lab, clean: None) -> None:
    dead = lab.urls('refused', 'always-500', 'empty')
    set_mirrors(lab, hub(*dead, lab.mirror('good-a').url))
    assert pull_everywhere(lab) == from_(lab, 'good-a')
    set_mirrors(lab, hub(*dead))
    assert pull_everywhere(lab) == from_(lab, 'hub')


def test_a_mirror_of_content_is_asked_for_digests_alone(lab: Lab, clean: None) -> None:
    """All of an image comes from one place: by tag not even the layers come from such a mirror."""
    set_mirrors(lab, hub({'url': lab.mirror('good-a').url, 'trust': 'content'}))
    digest = lab.images['library/busybox']['digest']
    assert pull_everywhere(lab) == from_(lab, 'hub')
    assert pull_everywhere(lab, f'docker.io/library/busybox@{digest}') == {name: {'good-a': ['manifest', 'blob']} for name in lab.hosts}


def test_what_would_break_every_pull_never_lands(lab: Lab, clean: None) -> None:
    """A path before /v2/ is never asked, and a location that is no image's name fails all pulls of the upstream: both are left out."""
    bad = [lab.mirror('good-path').url, 'http://good-a.lab:8101/v2/Hub', 'http://good_a.lab:8101', 'http://[fd00::1]:5000']
    found = set_mirrors(lab, hub(*bad, {'url': lab.mirror('good-tls').url, 'headers': {'X': 'S3CRET-of-a-header'}}, lab.mirror('good-b').url))
    for name in lab.hosts:
        assert len(found[name]['left_out']) == 5, name
        assert 'S3CRET' not in json.dumps(found[name]), name
    assert pull_everywhere(lab) == from_(lab, 'good-b')
    # What is refused is real.
    for location in ('good-a.lab:8101/Hub', 'good_a.lab:8101', '[fd00::1]:5000', 'good-a'):
        text = OTHER.replace('good-b.lab:8102', location)
        lab.everywhere(lambda host, text=text: host.put(HUB, text))  # type: ignore[misc]
        ended = lab.everywhere(lambda host: host.run(f'podman rmi -fa; podman pull -q {IMAGE}', check=False).returncode)
        assert ended == dict.fromkeys(lab.hosts, 125), location


def test_a_project_of_a_registry_is_asked_behind_v2(lab: Lab, clean: None) -> None:
    """old/ is such a project of the lab's registries: its images are other ones."""
    set_mirrors(lab, hub(lab.mirror('good-a').url + '/v2/old'))
    since = lab.mark()
    assert pull_everywhere(lab) == from_(lab, 'good-a')
    for name, host in lab.hosts.items():
        assert all('/library/' not in line['path'] or line['path'].startswith('/v2/old/library/busybox/')
                   for line in lab.access_log('good-a', since, client=host)), name


def test_a_mirror_with_tls_and_a_certificate_of_its_own(lab: Lab, clean: None) -> None:
    """Self-signed: without the copy in certs.d the mirror would be passed over."""
    before = lab.everywhere(tree)
    mirror = lab.mirror('self-signed')
    certificate = (lab.place.pki / 'self-signed.crt').read_text()
    lab.everywhere(lambda host: host.put('/root/self-signed.crt', certificate))
    found = set_mirrors(lab, hub({'url': mirror.url, 'ca_path': '/root/self-signed.crt'}))
    for name in lab.hosts:
        assert [file['path'] for file in found[name]['files']] == [f'/etc/containers/certs.d/self-signed.lab:{mirror.port}/ca.crt', HUB], name
    assert pull_everywhere(lab, servers=('self-signed', 'hub')) == from_(lab, 'self-signed')
    set_mirrors(lab, hub())
    assert lab.everywhere(tree) == before


def test_files_of_others_are_reported_and_kept(lab: Lab, clean: None) -> None:
    """One earlier, one later, and that of a user; each is byte-equal at the end."""
    lab.everywhere(lambda host: host.put('/root/.config/containers/registries.conf.d/own.conf', OTHER))
    lab.everywhere(lambda host: host.run('grep -q ^alice: /etc/passwd || echo alice:x:4321:4321::/home/alice:/bin/sh >> /etc/passwd'))
    lab.everywhere(lambda host: host.put('/home/alice/.config/containers/registries.conf', ''))
    for theirs in (f'{FOLDER}/400-theirs.conf', f'{FOLDER}/600-theirs.conf'):
        lab.everywhere(lambda host, theirs=theirs: host.put(theirs, OTHER))  # type: ignore[misc]
        before = lab.everywhere(tree)
        left = set_mirrors(lab, hub(lab.mirror('good-a').url))
        assert lab.everywhere(tree) == before
        for name in lab.hosts:
            assert (left[name]['changed'], [one['path'] for one in left[name]['left_out']]) == (False, [theirs]), name
        taken = set_mirrors(lab, {**hub(lab.mirror('good-a').url), 'overwrite': True})
        for name in lab.hosts:
            assert (taken[name]['left_out'], taken[name]['validated_by']) == ([], 'podman'), name
            assert [one['user'] for one in taken[name]['hidden_for']] == ['root', 'alice'], name
        assert pull_everywhere(lab) == from_(lab, 'good-b')  # root's own drop-in still counts for root
        lab.everywhere(lambda host: host.run('mv /root/.config/containers /root/away'))
        assert pull_everywhere(lab) == from_(lab, 'good-a')
        lab.everywhere(lambda host: host.run('mv /root/away /root/.config/containers'))
        set_mirrors(lab, {'state': 'absent'})
        assert lab.everywhere(tree) == before


def copy_as_alice(lab: Lab, host: Host) -> dict[str, list[str]]:
    """What each server was asked when a user without root fetches the image. Rootless Podman needs more of a host than the lab's have."""
    since = lab.mark()
    as_alice = 'setpriv --reuid 4321 --regid 4321 --clear-groups env -i HOME=/home/alice XDG_RUNTIME_DIR=/home/alice PATH=/usr/bin:/bin'
    host.run(f'cd /; {as_alice} skopeo copy -q docker://{IMAGE} dir:/home/alice/copy && rm -rf /home/alice/copy /home/alice/.local/share; '
             'rmdir --ignore-fail-on-non-empty /home/alice/.local')
    return {name: found for name in ('good-a', 'good-b', 'hub') if (found := served(lab, name, since, host))}


def test_a_user_with_files_of_their_own_is_given_them_too(lab: Lab, clean: None) -> None:
    """That user's registries.conf hides the system's drop-ins from them."""
    lab.everywhere(lambda host: host.run(
        'grep -q ^alice: /etc/passwd || echo alice:x:4321:4321::/home/alice:/bin/sh >> /etc/passwd; '
        'mkdir -p /home/alice/.config/containers; echo \'unqualified-search-registries = ["quay.io"]\' > /home/alice/.config/containers/registries.conf; '
        'chown -R 4321:4321 /home/alice'
    ))
    before = lab.everywhere(tree)
    hidden = set_mirrors(lab, hub(lab.mirror('good-a').url))
    for name in lab.hosts:
        assert [one['user'] for one in hidden[name]['hidden_for']] == ['alice'], name
    assert lab.everywhere(lambda host: copy_as_alice(lab, host)) == from_(lab, 'hub')
    asked = {**hub(lab.mirror('good-b').url), 'user': 'alice'}
    check, given, again = set_mirrors(lab, asked, check=True), set_mirrors(lab, asked), set_mirrors(lab, asked)
    for name in lab.hosts:
        assert (check[name]['changed'], given[name]['changed'], again[name]['changed']) == (True, True, False), name
        assert given[name]['files'] == check[name]['files'], name
    assert lab.everywhere(lambda host: copy_as_alice(lab, host)) == from_(lab, 'good-b')
    assert pull_everywhere(lab) == from_(lab, 'good-a')
    assert set(lab.everywhere(lambda host: host.out('find /home/alice ! -user 4321')).values()) == {''}
    for mirror, users in (('good-a', ['alice']), ('good-b', [])):  # the first is not what alice has
        told = set_mirrors(lab, hub(lab.mirror(mirror).url))
        for name in lab.hosts:
            assert [one['user'] for one in told[name]['hidden_for']] == users, name
    set_mirrors(lab, {'state': 'absent', 'user': 'alice'})
    set_mirrors(lab, {'state': 'absent'})
    assert lab.everywhere(tree) == before


def failures(lab: Lab, *, check: bool = False) -> dict[str, str]:
    """Messages of the hosts on which the module fails to write good-a."""
    play = {'hosts': 'docker_hosts', 'gather_facts': False, 'tasks': [{'quickpull.registry.registries_conf': hub(lab.mirror('good-a').url)}]}
    run = lab.playbook(json.dumps([play], indent=1), check=check)
    return {task.host: task.result['msg'] for task in run.of(action='registries_conf') if task.status == 'failed'}


@pytest.mark.parametrize('text, words', [('a = = 1\n', 'Podman cannot read'), ('[registries.search]\nregistries = ["docker.io"]\n', 'old format')])
def test_nothing_is_written_beside_what_podman_cannot_read(lab: Lab, clean: None, text: str, words: str) -> None:
    """It would not count, nor would any other file."""
    theirs = f'{FOLDER}/600-theirs.conf'
    lab.everywhere(lambda host: host.put(theirs, text))
    before = lab.everywhere(tree)
    for check in (True, False):
        failed = failures(lab, check=check)
        assert sorted(failed) == sorted(lab.hosts)
        assert all(words in message and theirs in message for message in failed.values()), failed
        assert lab.everywhere(tree) == before


def test_what_podman_refuses_in_its_place_is_put_back(lab: Lab, clean: None) -> None:
    """A link to nowhere, which Podman 4.3 alone cannot read, is seen only once ours is written."""
    lab.everywhere(lambda host: host.run(f'ln -s /nowhere {FOLDER}/600-theirs.conf'))
    before = lab.everywhere(tree)
    failed = failures(lab)
    assert list(failed) == ['lab-bookworm']
    assert 'no such file' in failed['lab-bookworm'] and failed['lab-bookworm'].endswith('What was there before this run was put back.')
    after = lab.everywhere(tree)
    assert {name: after[name] == before[name] for name in lab.hosts} == {'lab-bookworm': True, 'lab-trixie': False, 'lab-forky': False}
    set_mirrors(lab, {'state': 'absent', 'validate': 'never'})
    assert lab.everywhere(tree) == before


def test_the_old_format_may_stand_in_the_main_file(lab: Lab, clean: None) -> None:
    lab.everywhere(lambda host: host.put('/etc/containers/registries.conf', '[registries.search]\nregistries = ["docker.io"]\n'))
    set_mirrors(lab, hub(lab.mirror('good-a').url))
    assert pull_everywhere(lab) == from_(lab, 'good-a')
