# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon that is a dict stands in for Docker."""

from __future__ import annotations

import base64
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils._docker_api import DockerApiError, DockerUnavailable
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._pull_by_name import Pulled, logins_of, pull
from ansible_collections.quickpull.registry.plugins.module_utils._via_mirror import ways_to

MIRRORS = {'quay.io': ['https://dead.lan', 'https://cache.lan:5001']}
IMAGE = 'quay.io/x/y:t'


class Docker:
    """``images``: id by name; ``serves``: what may be pulled, the same way, or the error."""

    def __init__(self, serves: t.Mapping[str, t.Any], images: t.Mapping[str, str] | None = None) -> None:
        self.serves = serves
        self.images = dict(images or {})
        self.asked: list[tuple[str, t.Any]] = []

    def image_id(self, ref: str) -> str:
        return self.images.get(ref, '')

    def pull(self, ref: str, deadline: float, login: t.Mapping[str, str] | None = None) -> None:
        self.asked.append((ref, login))
        found = self.serves.get(ref, DockerApiError('manifest unknown'))
        if isinstance(found, Exception):
            raise found
        self.images[ref] = found

    def tag(self, ref: str, name: str) -> None:
        self.images[name] = self.images[ref]

    def remove_image(self, ref: str) -> None:
        del self.images[ref]


def nobody(registry: str) -> None:
    return None


def test_the_first_that_serves_and_only_its_own_name_stays() -> None:
    docker = Docker({'cache.lan:5001/x/y:t': 'sha256:1'})
    done = pull(docker, ways_to(IMAGE, MIRRORS), nobody)
    assert (done.changed, done.via) == (True, 'https://cache.lan:5001')
    assert done.failures == ('https://dead.lan: manifest unknown.',)
    assert docker.images == {IMAGE: 'sha256:1'}
    assert pull(docker, ways_to(IMAGE, MIRRORS), nobody) == Pulled(IMAGE, False)
    assert len(docker.asked) == 2


def test_a_name_of_the_mirror_that_was_there_stays() -> None:
    docker = Docker({'cache.lan:5001/x/y:t': 'sha256:1'}, {'cache.lan:5001/x/y:t': 'sha256:0'})
    pull(docker, ways_to(IMAGE, MIRRORS), nobody)
    assert docker.images == {IMAGE: 'sha256:1', 'cache.lan:5001/x/y:t': 'sha256:1'}


def test_the_registry_itself_comes_last_and_keeps_its_name() -> None:
    docker = Docker({IMAGE: 'sha256:1'})
    assert pull(docker, ways_to(IMAGE, MIRRORS), nobody).via == 'quay.io'
    assert docker.images == {IMAGE: 'sha256:1'}


@pytest.mark.parametrize('now, changed', [('sha256:1', False), ('sha256:2', True)])
def test_pulled_again_it_changed_where_it_is_another(now: str, changed: bool) -> None:
    docker = Docker({'cache.lan:5001/x/y:t': now}, {IMAGE: 'sha256:1'})
    assert pull(docker, ways_to(IMAGE, MIRRORS), nobody, again=True).changed is changed
    assert docker.images == {IMAGE: now}


@pytest.mark.parametrize('there, again, changed', [(False, False, True), (True, False, False), (True, True, False)])
def test_check_mode_pulls_nothing(there: bool, again: bool, changed: bool) -> None:
    docker = Docker({}, {IMAGE: 'sha256:1'} if there else {})
    assert pull(docker, ways_to(IMAGE, MIRRORS), nobody, again=again, check_mode=True).changed is changed
    assert docker.asked == []


def test_nobody_serves() -> None:
    refused = DockerApiError('http: server gave HTTP response to HTTPS client')
    with pytest.raises(ConfigError) as caught:
        pull(Docker({'dead.lan:443/x/y:t': refused, 'dead.lan/x/y:t': refused}), ways_to(IMAGE, MIRRORS, upstream_too=False), nobody)
    assert str(caught.value).startswith('quay.io/x/y:t: nobody serves it. https://dead.lan: ')
    assert 'registry_access_insecure_registries' in str(caught.value)
    with pytest.raises(DockerUnavailable):
        pull(Docker({'dead.lan/x/y:t': DockerUnavailable('gone')}), ways_to(IMAGE, MIRRORS), nobody)


def test_each_registry_gets_its_own_login_alone(tmp_path: Path) -> None:
    place = tmp_path / 'config.json'
    auth = base64.b64encode(b'acme:secret').decode()
    place.write_text(json.dumps({'auths': {'cache.lan:5001': {'auth': auth}, 'https://index.docker.io/v1/': {'auth': auth, 'identitytoken': 'tok'}}}))
    login = logins_of(str(place))
    docker = Docker({'cache.lan:5001/x/y:t': 'sha256:1'})
    pull(docker, ways_to(IMAGE, MIRRORS), login)
    assert docker.asked == [
        ('dead.lan/x/y:t', None),
        ('cache.lan:5001/x/y:t', {'username': 'acme', 'password': 'secret', 'serveraddress': 'cache.lan:5001'}),
    ]
    assert login('docker.io') == {'identitytoken': 'tok', 'serveraddress': 'https://index.docker.io/v1/'}


def test_a_helper_that_is_not_there_is_no_login(tmp_path: Path) -> None:
    place = tmp_path / 'config.json'
    place.write_text('{"credsStore": "no-such-helper"}')
    assert logins_of(str(place))('quay.io') is None
    assert logins_of(str(tmp_path / 'none'))('quay.io') is None
    place.write_text('[]')
    with pytest.raises(ConfigError, match=r'config\.json'):
        logins_of(str(place))
