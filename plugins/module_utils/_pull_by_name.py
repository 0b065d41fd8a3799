# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pulling an image by the name that a mirror has for it, and giving it its own name back."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass

from ansible_collections.quickpull.registry.plugins.module_utils import _as_user, _auth_file, _credential_helper, _io, _logins
from ansible_collections.quickpull.registry.plugins.module_utils._docker_api import DockerApiError
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_text
from ansible_collections.quickpull.registry.plugins.module_utils._via_mirror import Way, Ways

# What dockerd says of a registry that it would have to reach without TLS, or whose certificate nobody vouches for.
_NO_TLS = ('server gave HTTP response to HTTPS client', 'certificate')

Login = t.Callable[[str], t.Optional[t.Mapping[str, str]]]


class Daemon(t.Protocol):
    """What is asked of Docker: see DockerApi."""

    def image_id(self, ref: str) -> str: ...

    def pull(self, ref: str, deadline: float, login: t.Optional[t.Mapping[str, str]] = None) -> None: ...

    def tag(self, ref: str, name: str) -> None: ...

    def remove_image(self, ref: str) -> None: ...


@dataclass(frozen=True)
class Pulled:
    """What became of an image. ``via`` is the mirror's URL, or the upstream's name, that it came from; ``failures`` a sentence for each way before."""

    image: str
    changed: bool
    via: str = ''
    failures: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        return {**asdict(self), 'failures': list(self.failures)}


def pull(daemon: Daemon, wanted: Ways, login: Login, *, again: bool = False, seconds: float = 600.0, check_mode: bool = False) -> Pulled:
    """Have an image, by the first way that works.

    :param login: the login for a registry, None for none.
    :param again: pull it also where it is there.
    :param seconds: for each way.
    :raises ConfigError: when no way works.
    """
    before = daemon.image_id(wanted.image)
    if before and not again:
        return Pulled(wanted.image, False)
    if check_mode:
        return Pulled(wanted.image, not before)
    failures = list(wanted.passed_over)
    for way in wanted.ways:
        had = daemon.image_id(way.name)
        try:
            daemon.pull(way.name, seconds, login(way.registry))
        except DockerApiError as exc:
            failures.append(_failure(way, exc))
            continue
        after = _named_back(daemon, way, wanted.image, bool(had))
        return Pulled(wanted.image, after != before, way.url or way.registry, tuple(failures))
    raise ConfigError(f'{wanted.image}: nobody serves it. ' + ' '.join(failures), key=wanted.image)


def _named_back(daemon: Daemon, way: Way, image: str, had: bool) -> str:
    """Give the image its own name, and take the mirror's away unless it was there before."""
    daemon.tag(way.name, image)
    found = daemon.image_id(image)
    if way.url and not had:
        daemon.remove_image(way.name)
    return found


def _failure(way: Way, exc: DockerApiError) -> str:
    text = mask_text(str(exc)).rstrip('. ')
    said = f'{way.url or way.registry}: {text}.'
    if way.url and any(part in text for part in _NO_TLS):
        said += f' To be pulled from by its name, {way.registry} has to be in registry_access_insecure_registries, or its authority in /etc/docker/certs.d.'
    return said


def logins_of(path: str | None = None) -> Login:
    """The logins that Docker's client has for the user of this process, in its config.json (or ``path``) or in the helper that this names.

    A helper that fails counts as no login: Docker's client then pulls as nobody as well (docker/cli, cli/command/registry.go).
    """
    account = _as_user.account(None)
    place = path or _logins.default_path(account, _auth_file.DOCKER)
    document = _auth_file.parse(_io.read_file(place).data, place)

    def login(registry: str) -> t.Mapping[str, str] | None:
        named = _auth_file.parse_registry(registry)
        helper = _auth_file.helper_of(document, named, _auth_file.DOCKER)
        try:
            secret = (
                _credential_helper.Helper(helper, account.environ()).get(named.key(_auth_file.DOCKER))
                if helper
                else _auth_file.login_of(document, named, _auth_file.DOCKER)
            )
        except ConfigError:
            secret = None
        return None if secret is None else _as_header(secret, named.key(_auth_file.DOCKER))

    return login


def _as_header(secret: _auth_file.Secret, server: str) -> dict[str, str]:
    if secret.identity_token:
        return {'identitytoken': secret.identity_token, 'serveraddress': server}
    return {'username': secret.username, 'password': secret.password, 'serveraddress': server}
