# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker Engine API, through the Docker SDK where it works and through the standard library where not.

The SDK (``docker`` on PyPI) is asked first, with ``version='auto'``. Whatever goes wrong with it - it is not there, it is too old
for the installed requests or urllib3, it fails in a call - the same question goes over the socket with :mod:`http.client`. There
the path carries no version: the daemon then answers with its own newest API (moby, ``api/server/middleware/version.go``: an empty
version means the default one), so neither the maximum of an old daemon (1.41 for 20.10) nor the minimum of a new one (1.44 for 29)
is ever hit.

Connecting to a socket that systemd listens on *starts* the daemon. So nobody may call :func:`connect` before the service is known
to be active; :func:`_engines.docker.inspect` sees to that.
"""
from __future__ import annotations

import base64
import dataclasses
import http.client
import importlib
import json
import socket
import threading
import time
import typing as t
from urllib.parse import quote, urlencode

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._unix_http import UnixConnection

DEFAULT_BASE = 'unix:///var/run/docker.sock'

#: No answer of the daemon that is read whole may be larger, in bytes.
MAX_BODY = 64 * 1024 * 1024


class DockerUnavailable(ConfigError):
    """The daemon did not answer, neither through the SDK nor over the socket."""


class DockerApiError(ConfigError):
    """The daemon answered, and the answer is an error. ``status`` is the HTTP status, 0 for an error inside a stream."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class PullTimeout(DockerApiError):
    """A pull did not end within the seconds it was given; it was broken off."""


@dataclasses.dataclass(frozen=True)
class Container:
    """A running container.

    ``restart_policy`` is ``no``, ``always``, ``unless-stopped`` or ``on-failure``; ``auto_remove`` is what ``docker run --rm`` sets.
    """

    id: str
    name: str
    restart_policy: str
    auto_remove: bool
    pid: int = 0

    @property
    def comes_back(self) -> bool:
        """Whether it surely runs again after the daemon was restarted without live-restore.

        ``on-failure`` comes back only where the container ends with another code than 0 on SIGTERM, which nobody knows
        beforehand, so it does not count (moby, ``restartmanager/restartmanager.go``, ``ShouldRestart``). ``unless-stopped``
        does: being stopped by the daemon's own shutdown is not being stopped by hand.
        """
        return not self.auto_remove and self.restart_policy in ('always', 'unless-stopped')


class _Http:
    """Requests over the socket; one connection, kept open between calls."""

    def __init__(self, base: str, timeout: float) -> None:
        self._base = base
        self._timeout = timeout
        self._kept: t.Optional[http.client.HTTPConnection] = None

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        scheme, _sep, rest = self._base.partition('://')
        if scheme == 'unix':
            return UnixConnection(rest, timeout)
        if scheme in ('tcp', 'http'):
            return http.client.HTTPConnection(rest.rstrip('/'), timeout=timeout)
        raise DockerUnavailable(f'The Docker API address {self._base} is neither a unix:// nor a plain tcp:// one.')

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def json(self, method: str, path: str) -> t.Any:
        """Return the decoded body. Raises DockerApiError for a status of 400 and more, DockerUnavailable for no answer."""
        try:
            if self._kept is None:
                self._kept = self._connection(self._timeout)
            self._kept.request(method, path)
            response = self._kept.getresponse()
            body = response.read(MAX_BODY + 1)
        except (OSError, http.client.HTTPException) as exc:
            self.close()
            raise _unavailable(self._base, exc) from exc
        if len(body) > MAX_BODY:
            self.close()
            raise DockerUnavailable(f'The Docker daemon at {self._base} sent more than {MAX_BODY} bytes for {path}.')
        if response.status >= 400:
            raise DockerApiError(_message(body), status=response.status)
        return _decode(body, self._base) if body.strip() else None

    def stream(self, method: str, path: str, headers: t.Mapping[str, str], seconds: float) -> t.Iterator[t.Any]:
        """Yield the JSON objects of a streamed answer, within ``seconds`` in all. Raises PullTimeout when they are over."""
        end = time.monotonic() + seconds
        connection = self._connection(seconds)
        try:
            connection.request(method, path, headers=dict(headers))
            sock = connection.sock
            response = connection.getresponse()
            if response.status >= 400:
                raise DockerApiError(_message(response.read(MAX_BODY)), status=response.status)
            while True:
                left = end - time.monotonic()
                if left <= 0:
                    raise PullTimeout(f'The daemon did not finish within {seconds:g} seconds.')
                # The socket stays usable while the response is read: http.client shares its file object.
                sock.settimeout(left)
                line = response.readline(MAX_BODY)
                if not line:
                    return
                if line.strip():
                    yield _decode(line, self._base)
        except socket.timeout as exc:
            raise PullTimeout(f'The daemon did not finish within {seconds:g} seconds.') from exc
        except (OSError, http.client.HTTPException) as exc:
            raise _unavailable(self._base, exc) from exc
        finally:
            connection.close()


def _unavailable(base: str, exc: BaseException) -> DockerUnavailable:
    return DockerUnavailable(f'The Docker daemon did not answer at {base}: {str(exc) or type(exc).__name__}.')


def _decode(body: bytes, base: str) -> t.Any:
    try:
        return json.loads(body.decode('utf-8', 'replace'))
    except ValueError as exc:
        raise DockerUnavailable(f'What answered at {base} does not speak JSON, so it is no Docker daemon.') from exc


def _message(body: bytes) -> str:
    text = body.decode('utf-8', 'replace').strip()
    try:
        return str(json.loads(text)['message'])
    except (ValueError, KeyError, TypeError):
        return text[:500]


def split_ref(ref: str) -> t.Tuple[str, str]:
    """Split an image reference into name and tag or digest: ``host:5000/a/b:1`` -> ``('host:5000/a/b', '1')``.

    Without either the tag is ``latest``, as for ``docker pull``; the API would otherwise fetch every tag.
    """
    name, sep, digest = ref.partition('@')
    if sep:
        return name, digest
    head, slash, last = ref.rpartition('/')
    leaf, sep, tag = last.partition(':')
    return head + slash + leaf, (tag if sep else 'latest')


class DockerApi:
    """The calls that this collection needs. ``via`` is ``sdk`` or ``socket``: what the last successful call went through."""

    def __init__(self, sdk: t.Any, over_socket: _Http) -> None:
        self._sdk = sdk
        self._http = over_socket

    @property
    def via(self) -> str:
        return 'socket' if self._sdk is None else 'sdk'

    def close(self) -> None:
        """Close the connections. The object can still be used; it connects again."""
        self._http.close()
        close = getattr(self._sdk, 'close', None)
        if close is not None:
            close()

    def _ask(self, with_sdk: t.Callable[[t.Any], t.Any], over_socket: t.Callable[[_Http], t.Any]) -> t.Any:
        if self._sdk is not None:
            try:
                return with_sdk(self._sdk)
            except Exception as exc:  # pylint: disable=broad-except
                answer = _answer_of(exc)
                if answer is not None:
                    raise answer from exc
                # Whatever the SDK's trouble is, the daemon's own answer decides; and the SDK is not tried again.
                self._sdk = None
        return over_socket(self._http)

    def info(self) -> t.Dict[str, t.Any]:
        """``GET /info``. Raises DockerUnavailable or DockerApiError, as all calls do."""
        return _as_dict(self._ask(lambda sdk: sdk.info(), lambda over: over.json('GET', '/info')), '/info')

    def version(self) -> t.Dict[str, t.Any]:
        """``GET /version``."""
        return _as_dict(self._ask(lambda sdk: sdk.version(), lambda over: over.json('GET', '/version')), '/version')

    def containers(self) -> t.List[Container]:
        """The running containers (paused and restarting ones too), sorted by name."""
        listed = self._ask(lambda sdk: sdk.containers(), lambda over: over.json('GET', '/containers/json')) or []
        found = [self._container(str(entry['Id'])) for entry in listed]
        return sorted((one for one in found if one is not None), key=lambda one: one.name)

    def _container(self, ident: str) -> t.Optional[Container]:
        try:
            data = self._ask(lambda sdk: sdk.inspect_container(ident), lambda over: over.json('GET', f'/containers/{ident}/json'))
        except DockerApiError as exc:
            if exc.status == 404:  # it ended since it was listed
                return None
            raise
        host = data.get('HostConfig') or {}
        return Container(
            id=ident,
            name=str(data.get('Name') or ident[:12]).lstrip('/'),
            restart_policy=(host.get('RestartPolicy') or {}).get('Name') or 'no',
            auto_remove=bool(host.get('AutoRemove')),
            pid=int((data.get('State') or {}).get('Pid') or 0),
        )

    def image_id(self, ref: str) -> str:
        """The id of the image ``ref`` (name with tag or digest), empty when the daemon has none of that name."""
        path = f'/images/{quote(_full(ref), safe="/:@")}/json'
        try:
            found = self._ask(lambda sdk: sdk.inspect_image(_full(ref)), lambda over: over.json('GET', path))
        except DockerApiError as exc:
            if exc.status == 404:
                return ''
            raise
        return str(_as_dict(found, path).get('Id') or 'unknown')

    def image_exists(self, ref: str) -> bool:
        """Whether the daemon has the image ``ref`` (name with tag or digest)."""
        return bool(self.image_id(ref))

    def tag(self, ref: str, name: str) -> None:
        """Give the image ``ref`` another name as well, with a tag."""
        repository, tag = split_ref(name)
        path = f'/images/{quote(_full(ref), safe="/:@")}/tag?{urlencode({"repo": repository, "tag": tag})}'
        self._ask(lambda sdk: sdk.tag(_full(ref), repository, tag), lambda over: over.json('POST', path))

    def remove_image(self, ref: str) -> None:
        """Remove the image's name, and its layers where no other image holds them. An image that is not there is no error."""
        path = f'/images/{quote(_full(ref), safe="/:@")}'
        try:
            self._ask(lambda sdk: sdk.remove_image(_full(ref)), lambda over: over.json('DELETE', path))
        except DockerApiError as exc:
            if exc.status != 404:
                raise

    def pull(self, ref: str, deadline: float, login: t.Optional[t.Mapping[str, str]] = None) -> None:
        """Pull ``ref`` as ``docker pull`` does, within ``deadline`` seconds from now.

        ``login`` is handed to the daemon for the image's registry, as the client does (moby, ``api/types/registry/authconfig.go``):
        ``username`` and ``password``, or ``identitytoken``. Without it, none is.

        Raises DockerApiError with the daemon's own words when it fails, PullTimeout when the time is over (the connection is
        closed, upon which the daemon breaks the pull off) and DockerUnavailable when the daemon does not answer.
        """
        name, tag = split_ref(ref)
        if self._sdk is not None:
            end = time.monotonic() + deadline
            if _sdk_pull(self._sdk, name, tag, deadline, dict(login or {})):
                return
            self._sdk = None
            deadline = max(0.1, end - time.monotonic())
        query = urlencode({'fromImage': name, 'tag': tag})
        headers = {'X-Registry-Auth': base64.urlsafe_b64encode(json.dumps(dict(login or {})).encode()).decode('ascii')}
        for event in self._http.stream('POST', f'/images/create?{query}', headers, deadline):
            _raise_event(event)


def _as_dict(value: t.Any, path: str) -> t.Dict[str, t.Any]:
    if not isinstance(value, dict):
        raise DockerUnavailable(f'The Docker daemon answered {path} with something that is not a JSON object.')
    return value


def _full(ref: str) -> str:
    name, tag = split_ref(ref)
    return f'{name}@{tag}' if '@' in ref else f'{name}:{tag}'


def _raise_event(event: t.Any) -> None:
    """Raise DockerApiError when an event of a pull's stream is an error."""
    if isinstance(event, dict) and (event.get('error') or event.get('errorDetail')):
        detail = event.get('errorDetail')
        text = detail.get('message') if isinstance(detail, dict) else None
        raise DockerApiError(str(event.get('error') or text or detail))


def _answer_of(error: Exception) -> t.Optional[DockerApiError]:
    """Return the daemon's own error answer in an exception of the SDK; None when the trouble is the SDK's.

    That the daemon does not speak the SDK's version of the API is the SDK's trouble.
    """
    status = getattr(getattr(error, 'response', None), 'status_code', None)
    if not isinstance(status, int) or status < 400 or 'client version' in str(error):
        return None
    return DockerApiError(str(getattr(error, 'explanation', None) or error), status=status)


def _sdk_pull(sdk: t.Any, name: str, tag: str, seconds: float, login: t.Mapping[str, str]) -> bool:
    """Pull with the SDK. True: done; False: the SDK is in trouble. Raises DockerApiError, PullTimeout.

    The SDK gives a pull no time limit at all, so it runs in a thread that is left behind when the time is over; that the process
    ends then closes its connection. An ``auth_config``, also an empty one, keeps the SDK from sending what is in root's client config.
    """
    outcome: t.List[t.Any] = []

    def run() -> None:
        try:
            for event in sdk.pull(name, tag=tag, stream=True, decode=True, auth_config=dict(login)):
                _raise_event(event)
            outcome.append(None)
        except Exception as exc:  # noqa: BLE001  # pylint: disable=broad-except
            outcome.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise PullTimeout(f'The daemon did not finish within {seconds:g} seconds.')
    error = outcome[0]
    if error is None:
        return True
    if isinstance(error, DockerApiError):
        raise error
    answer = _answer_of(error)
    if answer is not None:
        raise answer
    return False


def _sdk_client(base: str, timeout: float) -> t.Any:
    """Return a client of the SDK that has already spoken with the daemon, or None."""
    try:
        docker = importlib.import_module('docker')
        return docker.APIClient(base_url=base, version='auto', timeout=timeout)
    except Exception:  # noqa: BLE001  # pylint: disable=broad-except
        return None  # not installed, or broken in one of a dozen known ways


def connect(base: str = DEFAULT_BASE, timeout: float = 10.0, *, sdk: bool = True) -> DockerApi:
    """Return a :class:`DockerApi` for ``base`` (``unix:///path`` or plain ``tcp://host:port``), ``timeout`` in seconds per answer.

    Does not raise: where nothing listens, the first call raises DockerUnavailable. ``sdk=False`` leaves the SDK aside. The caller
    makes sure that the service is active, because connecting starts a daemon that systemd would start on demand.
    """
    return DockerApi(_sdk_client(base, timeout) if sdk else None, _Http(base, timeout))
