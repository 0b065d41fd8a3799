# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTP client for servers that nobody trusts.

Every wait ends at a deadline, whatever the server does: a name server that is silent, packets that are dropped, one byte a second,
headers or a body without an end. Memory is bounded as well. Neither the environment's proxies nor any credentials are used.

The standard library's own client knows a timeout for each read only, so a server that trickles holds it for ever. Here the parsing of
http.client sits on streams of our own (plain, or TLS over memory buffers), which ask the deadline before each read.
"""

from __future__ import annotations

import base64
import errno
import http.client
import io
import os
import selectors
import socket
import ssl
import threading
import time
import typing as t
from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_url
from ansible_collections.quickpull.registry.plugins.module_utils._no_proxy import ProxyConfig, to_ascii

USER_AGENT = 'quickpull.registry (Ansible)'
DEFAULT_PORTS = {'http': 80, 'https': 443, 'socks5': 1080}
MAX_HEADER_BYTES = 128 * 1024
MAX_REDIRECTS = 5
# After 5 s a client has sent three SYNs (at 0, 1 and 3 s): nobody is there, and no operator wants such a mirror.
CONNECT_SECONDS = 5.0
# RFC 8305, section 5: the next address is tried when the one before has not answered for so long.
NEXT_ADDRESS_SECONDS = 0.25
REDIRECT_STATUSES = (301, 302, 303, 307, 308)
_CHUNK = 16 * 1024
# What OpenSSL says of an answer that is no TLS.
_NO_TLS = ('WRONG_VERSION_NUMBER', 'HTTP_REQUEST', 'RECORD_LAYER_FAILURE', 'PACKET_LENGTH_TOO_LONG', 'HTTPS_PROXY_REQUEST')


class FetchError(Exception):
    """A request that got no usable answer.

    *kind*: `resolve` (no such name), `connect` (refused, unreachable), `tls`, `timeout`, `dropped` (closed too early), `protocol`
    (not HTTP), `endless` (headers without an end), `loop` (redirects without an end, or to no usable URL), `proxy` (the proxy's fault),
    `budget` (this request was not allowed any more). *phase*: how far it came: `resolve`, `connect`, `tls` or `request`.
    *url*: the URL it happened at, which after a redirect is not the one asked for. `str()` is half a sentence without secrets.
    """

    def __init__(self, kind: str, detail: str, *, phase: str = 'request', url: str = '') -> None:
        super().__init__(detail)
        self.kind = kind
        self.phase = phase
        self.url = url


class Deadline:
    """A moment on the monotonic clock."""

    def __init__(self, seconds: float, *, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.at = clock() + seconds

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - self._clock())

    def within(self, seconds: float) -> Deadline:
        """A deadline in *seconds*, or this one if that is sooner."""
        return Deadline(min(seconds, self.remaining()), clock=self._clock)


@dataclass(frozen=True)
class TlsFiles:
    """What a mirror's TLS asks for: paths of PEM files on this host, and whether certificates are checked at all."""

    ca_paths: tuple[str, ...] = ()
    client_cert: str | None = None
    client_key: str | None = None
    insecure: bool = False


class TlsContexts:
    """One ssl context for each kind of TLS: loading the system's authorities takes 10 ms and more, too much to do it per mirror."""

    def __init__(self) -> None:
        self._made: dict[TlsFiles, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def get(self, files: TlsFiles) -> ssl.SSLContext:
        """Raises ConfigError when one of the files cannot be used."""
        with self._lock:
            if files not in self._made:
                self._made[files] = _make_context(files)
            return self._made[files]


@dataclass(frozen=True)
class Response:
    """An answer. Times are in seconds from the moment the request was sent."""

    url: str
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    complete: bool  # the whole body is here
    first_byte: float
    seconds: float

    def header(self, name: str) -> str:
        return str(self.headers.get(name) or '').strip()


@dataclass(frozen=True)
class Limit:
    """How much of a body is read: at most *size* bytes; after *seconds* it is enough once *enough* bytes are here."""

    size: int
    seconds: float | None = None
    enough: int = 0


@dataclass(frozen=True)
class _Ask:
    """One request, to one URL."""

    method: str
    url: str
    headers: t.Mapping[str, str]
    body: bytes = field(default=b'', repr=False)


@dataclass
class Client:
    """Requests to one server (*origin*, a URL) and to where it redirects. Not for several threads at once.

    *headers* are for the origin alone. *budget* is how many more requests the origin may get; *sent* how many it got. *direct* switches
    the proxies off. *seen* is called with `resolve`, `connect`, `tls` and `request` as a request proceeds.
    """

    origin: str
    deadline: Deadline
    contexts: TlsContexts = field(default_factory=TlsContexts)
    tls: TlsFiles = field(default_factory=TlsFiles)
    proxies: ProxyConfig = field(default_factory=ProxyConfig)
    headers: t.Mapping[str, str] = field(default_factory=dict)
    budget: int = 16
    sent: int = 0
    direct: bool = False
    connect_seconds: float = CONNECT_SECONDS
    seen: t.Callable[[str], None] = lambda phase: None
    _connections: dict[tuple[str, str, int, str], _Connection] = field(default_factory=dict)

    def request(
        self,
        method: str,
        url: str,
        *,
        limit: Limit,
        headers: t.Mapping[str, str] | None = None,
        authorization: str = '',
        body: bytes = b'',
        deadline: Deadline | None = None,
    ) -> Response:
        """Send a request and follow redirects. *authorization* goes to the origin of *url* alone and is dropped at the first redirect elsewhere.

        A *body* is sent once: a redirect is then the answer, since what it holds is not for another server.

        Raises FetchError.
        """
        until = deadline or self.deadline
        asked = origin_of(url)
        for _hop in range(MAX_REDIRECTS + 1):
            own = dict(headers or {})
            if authorization and _same_server(asked, origin_of(url)):
                own['Authorization'] = authorization
            response = self._once(_Ask(method, url, own, body), limit, until)
            target = response.header('Location')
            if response.status not in REDIRECT_STATUSES or not target or body:
                return response
            url = _redirect_target(response.url, target)
            if not _same_server(asked, origin_of(url)):
                authorization = ''
        raise FetchError('loop', f'more than {MAX_REDIRECTS} redirects, the last one to {mask_url(url)}', url=url)

    def is_origin(self, url: str) -> bool:
        return _same_server(origin_of(self.origin), origin_of(url))

    def proxy_for(self, url: str) -> str | None:
        return None if self.direct else self.proxies.proxy_for(url)

    def connect(self, url: str, deadline: Deadline | None = None) -> None:
        """Open the connection that the next request to *url* will use. Raises FetchError."""
        self._connection(url, deadline or self.deadline)

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _once(self, ask: _Ask, limit: Limit, deadline: Deadline) -> Response:
        url = ask.url
        if self.is_origin(url):
            ask = replace(ask, headers={**ask.headers, **self.headers})
        self._spend(url)
        reused = self._connection(url, deadline)
        try:
            return self._exchange(ask, limit, deadline)
        except FetchError as exc:
            # A kept connection that the server closed meanwhile says nothing about it (RFC 9112, section 9.3.1).
            if not reused or exc.kind != 'dropped':
                raise
        self._spend(url)
        return self._exchange(ask, limit, deadline)

    def _spend(self, url: str) -> None:
        if not self.is_origin(url):
            return
        if self.budget <= 0:
            raise FetchError('budget', 'the number of requests that a mirror may get is used up', url=url)
        self.budget -= 1
        self.sent += 1

    def _connection(self, url: str, deadline: Deadline) -> bool:
        """Make sure that there is a connection for *url*; True when it was there already."""
        key = self._key(url)
        if key in self._connections:
            return True
        tls = self.tls if self.is_origin(url) else TlsFiles(self.tls.ca_paths, insecure=self.tls.insecure)
        self._connections[key] = _open(url, key[3], self.contexts, tls, deadline, self.connect_seconds, self.seen)
        return False

    def _key(self, url: str) -> tuple[str, str, int, str]:
        scheme, host, port = origin_of(url)
        return scheme, host, port, self.proxy_for(url) or ''

    def _exchange(self, ask: _Ask, limit: Limit, deadline: Deadline) -> Response:
        self._connection(ask.url, deadline)
        key = self._key(ask.url)
        connection = self._connections[key]
        self.seen('request')
        try:
            response, keep = connection.exchange(ask, limit, deadline)
        except BaseException:
            self._connections.pop(key).close()
            raise
        if not keep:
            self._connections.pop(key).close()
        return response


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host (lower case, punycode, no brackets) and port of an http or https URL. Raises FetchError (`loop`) for any other."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise FetchError('loop', f'{mask_url(url)} is no URL', url=url) from None
    host = to_ascii(parts.hostname or '')
    if parts.scheme not in ('http', 'https') or not host or any(char.isspace() for char in host):
        raise FetchError('loop', f'{mask_url(url)} is no http or https URL', url=url)
    return parts.scheme, host, DEFAULT_PORTS[parts.scheme] if port is None else port


def _same_server(asked: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    """Whether *other* is the server that was asked: the same origin, or what a host sends its plain http to, its own https."""
    return asked == other or (asked[1] == other[1] and (asked[0], asked[2], other[0], other[2]) == ('http', 80, 'https', 443))


def host_port(host: str, port: int) -> str:
    return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'


def resolve(host: str, port: int, deadline: Deadline) -> list[tuple[int, t.Any]]:
    """Address families and socket addresses of *host*, families in turn. Raises FetchError (`resolve`, or `timeout`).

    getaddrinfo knows no timeout of its own (resolv.conf decides, often 10 s and more), so it runs in a thread that is left behind.
    """
    answer: list[t.Any] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            answer.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as exc:
            answer.append(exc)
        done.set()

    threading.Thread(target=look_up, name='resolve', daemon=True).start()
    if not done.wait(deadline.remaining()):
        raise FetchError('timeout', f'the name {host} was not resolved in time', phase='resolve')
    found = answer[0]
    if isinstance(found, Exception) or not found:
        raise FetchError('resolve', f'the name {host} does not resolve ({_os_error(found)})', phase='resolve')
    return _families_in_turn([(entry[0], entry[4]) for entry in found])


def _families_in_turn(addresses: list[tuple[int, t.Any]]) -> list[tuple[int, t.Any]]:
    first = [one for one in addresses if one[0] == addresses[0][0]]
    other = [one for one in addresses if one[0] != addresses[0][0]]
    mixed: list[tuple[int, t.Any]] = []
    while first or other:
        mixed += first[:1] + other[:1]
        first, other = first[1:], other[1:]
    return mixed


def _os_error(exc: t.Any) -> str:
    if isinstance(exc, OSError):
        return (exc.strerror or str(exc) or type(exc).__name__).lower()
    return str(exc) or type(exc).__name__


def _redirect_target(base: str, location: str) -> str:
    try:
        target = urljoin(base, location)
        parts = urlsplit(target)
    except ValueError:
        raise FetchError('loop', 'a redirect to something that is no URL', url=base) from None
    # A fragment is never sent; user and password from a stranger are not used.
    target = urlunsplit((parts.scheme, parts.netloc.rpartition('@')[2], parts.path or '/', parts.query, ''))
    if not target.isascii() or any(ord(char) <= 32 for char in target):
        raise FetchError('loop', 'a redirect to something that is no URL', url=base)
    origin_of(target)
    return target


def _make_context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context()
    # As in Go, names are looked for in subjectAltName alone, and a certificate without key identifiers is fine; Python 3.13 became
    # stricter than the engines whose view is asked for here.
    context.hostname_checks_common_name = False
    context.verify_flags &= ~getattr(ssl, 'VERIFY_X509_STRICT', 0)
    for path in files.ca_paths:
        try:
            context.load_verify_locations(cafile=path)
        except (OSError, ssl.SSLError) as exc:
            raise ConfigError(f'ca_path: {path} cannot be used: {_os_error(exc)}. Name a PEM file with CA certificates.', path=path, key='ca_path') from exc
    if files.client_cert:
        _load_client_cert(context, files.client_cert, files.client_key)
    if files.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load_client_cert(context: ssl.SSLContext, cert: str, key: str | None) -> None:
    try:
        # Without the password argument OpenSSL would ask for one on the terminal, and wait.
        context.load_cert_chain(cert, key, password=lambda: b'')
    except (OSError, ssl.SSLError) as exc:
        raise ConfigError(
            f'client_cert: {cert} with the key in {key or cert} cannot be used: {_os_error(exc)}. '
            'Name a PEM certificate and the key that belongs to it, without a passphrase.',
            path=cert,
            key='client_cert',
        ) from exc


class _Stream(t.Protocol):
    def receive(self, size: int, deadline: Deadline) -> bytes: ...

    def send(self, data: bytes, deadline: Deadline) -> None: ...

    def close(self) -> None: ...


class _Plain:
    """A connected socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def receive(self, size: int, deadline: Deadline) -> bytes:
        self._arm(deadline)
        return self._sock.recv(size)

    def send(self, data: bytes, deadline: Deadline) -> None:
        self._arm(deadline)
        self._sock.sendall(data)

    def close(self) -> None:
        self._sock.close()

    def _arm(self, deadline: Deadline) -> None:
        left = deadline.remaining()
        if left <= 0:  # settimeout(0) would mean non-blocking
            raise socket.timeout('timed out')
        self._sock.settimeout(left)


class _Tls:
    """TLS over any other stream, so over TLS to a proxy as well, which ssl's own sockets cannot do."""

    def __init__(self, inner: _Stream, context: ssl.SSLContext, host: str, deadline: Deadline) -> None:
        self._inner = inner
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._run(self._tls.do_handshake, deadline)

    def receive(self, size: int, deadline: Deadline) -> bytes:
        try:
            return t.cast(bytes, self._run(lambda: self._tls.read(size), deadline))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b''  # many servers close without saying so; a body that is cut is found by its length

    def send(self, data: bytes, deadline: Deadline) -> None:
        self._run(lambda: self._tls.write(data), deadline)

    def close(self) -> None:
        self._inner.close()

    def _run(self, step: t.Callable[[], t.Any], deadline: Deadline) -> t.Any:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush(deadline)
                data = self._inner.receive(_CHUNK, deadline)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
                continue
            self._flush(deadline)
            return result

    def _flush(self, deadline: Deadline) -> None:
        data = self._outgoing.read()
        if data:
            self._inner.send(data, deadline)


class _Wire(io.RawIOBase):
    """What http.client reads a response from: the stream, with a deadline, a limit for the headers and a clock for the first byte."""

    def __init__(self, stream: _Stream, deadline: Deadline) -> None:
        super().__init__()
        self._stream = stream
        self._deadline = deadline
        self.header_bytes: int | None = MAX_HEADER_BYTES
        self.first_byte_at: float | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        data = self._stream.receive(len(buffer), self._deadline)
        if self.first_byte_at is None:
            self.first_byte_at = time.monotonic()
        if self.header_bytes is not None:
            self.header_bytes -= len(data)
            if self.header_bytes < 0:
                raise FetchError('endless', 'its headers have no end')
        buffer[: len(data)] = data
        return len(data)


class _Adapter:
    """The two methods of a socket that http.client uses."""

    def __init__(self, stream: _Stream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline
        self.wire = _Wire(stream, deadline)

    def makefile(self, *_args: t.Any, **_kwargs: t.Any) -> io.BufferedReader:
        return io.BufferedReader(self.wire, 8192)

    def sendall(self, data: bytes) -> None:
        self._stream.send(data, self._deadline)

    def close(self) -> None:
        """The connection is closed by its owner."""


class _Connection:
    """A connection to a server, or to the proxy that plain http goes through."""

    def __init__(self, stream: _Stream, *, absolute: bool = False, proxy_authorization: str = '') -> None:
        self._stream = stream
        self._absolute = absolute
        self._proxy_authorization = proxy_authorization

    def close(self) -> None:
        try:
            self._stream.close()
        except OSError:
            pass

    def exchange(self, ask: _Ask, limit: Limit, deadline: Deadline) -> tuple[Response, bool]:
        """The response, and whether the connection can be used again. Raises FetchError."""
        try:
            return self._exchange(ask, limit, deadline)
        except FetchError as exc:
            exc.url = exc.url or ask.url
            raise
        except (http.client.HTTPException, OSError, ValueError) as exc:
            raise _request_error(exc, ask.url) from exc

    def _exchange(self, ask: _Ask, limit: Limit, deadline: Deadline) -> tuple[Response, bool]:
        adapter = _Adapter(self._stream, deadline)
        started = time.monotonic()
        adapter.sendall(self._head(ask) + ask.body)
        answer = http.client.HTTPResponse(t.cast(socket.socket, adapter), method=ask.method)
        try:
            answer.begin()
            adapter.wire.header_bytes = None
            self._check_proxy_answer(answer)
            body, complete = _read(answer, limit, time.monotonic)
            ended = time.monotonic()
            response = Response(ask.url, answer.status, answer.headers, body, complete, (adapter.wire.first_byte_at or ended) - started, ended - started)
            return response, complete and not answer.will_close
        finally:
            answer.close()

    def _head(self, ask: _Ask) -> bytes:
        parts = urlsplit(ask.url)
        scheme, host, port = origin_of(ask.url)
        shown = host_port(host, port) if port != DEFAULT_PORTS[scheme] else (f'[{host}]' if ':' in host else host)
        target = urlunsplit((scheme, shown, parts.path or '/', parts.query, '')) if self._absolute else urlunsplit(('', '', parts.path or '/', parts.query, ''))
        # `identity`: digests are of the bytes as they are, and nothing can blow up on unpacking.
        fields = {'Host': shown, 'User-Agent': USER_AGENT, 'Accept': '*/*', 'Accept-Encoding': 'identity'}
        fields.update(ask.headers)
        if ask.body:
            fields['Content-Length'] = str(len(ask.body))
        if self._absolute and self._proxy_authorization:
            fields['Proxy-Authorization'] = self._proxy_authorization
        lines = [f'{ask.method} {target} HTTP/1.1'] + [f'{name}: {value}' for name, value in fields.items()]
        return ('\r\n'.join(lines) + '\r\n\r\n').encode('latin-1', 'replace')

    def _check_proxy_answer(self, answer: http.client.HTTPResponse) -> None:
        if not self._absolute:
            return
        # squid names its own errors in a header; any other proxy's 5xx cannot be told from the server's.
        error = answer.headers.get('X-Squid-Error')
        if answer.status == 407:
            raise FetchError('proxy', 'the proxy asks for a user and password (407)', phase='connect')
        if error:
            raise FetchError('proxy', f'the proxy could not reach it ({answer.status}, {str(error).split()[0]})', phase='connect')


def _read(answer: http.client.HTTPResponse, limit: Limit, clock: t.Callable[[], float]) -> tuple[bytes, bool]:
    """At most *limit* of the body, and whether that is all of it."""
    if limit.seconds is None and answer.length is not None and answer.length > limit.size:
        return b'', False  # it says itself that it is too long, and of no use in part
    started = clock()
    body = bytearray()
    # One byte more than allowed tells a body that just fits from one that is too long.
    while len(body) <= limit.size:
        data = answer.read1(min(_CHUNK * 4, limit.size + 1 - len(body)))
        if not data:
            if answer.length:
                raise http.client.IncompleteRead(b'', answer.length)
            return bytes(body), True
        body += data
        if limit.seconds is not None and len(body) >= limit.enough and clock() - started >= limit.seconds:
            break
    complete = answer.length == 0 and len(body) <= limit.size
    del body[limit.size :]
    return bytes(body), complete


def _request_error(exc: Exception, url: str) -> FetchError:
    if isinstance(exc, socket.timeout):
        return FetchError('timeout', 'it did not answer in time', url=url)
    if isinstance(exc, (http.client.RemoteDisconnected, http.client.IncompleteRead, ConnectionError, ssl.SSLError)):
        return FetchError('dropped', 'it closed the connection in the middle', url=url)
    if isinstance(exc, OSError):
        return FetchError('dropped', f'the connection broke ({_os_error(exc)})', url=url)
    if isinstance(exc, http.client.LineTooLong) or 'got more than' in str(exc):
        return FetchError('endless', 'its headers have no end', url=url)
    return FetchError('protocol', 'what it answers is not HTTP', url=url)


def _open(url: str, proxy: str, contexts: TlsContexts, tls: TlsFiles, deadline: Deadline, connect_seconds: float, seen: t.Callable[[str], None]) -> _Connection:
    """Connect to *url*, through *proxy* where one is given. Raises FetchError."""
    scheme, host, port = origin_of(url)
    phase = 'resolve'

    def enter(name: str) -> None:
        nonlocal phase
        phase = name
        seen(name)

    try:
        enter('resolve')
        if proxy:
            route = _Route(scheme, host, port, deadline.within(connect_seconds), enter)
            stream, absolute, authorization = _through_proxy(proxy, route, contexts.get(TlsFiles(tls.ca_paths)))
        else:
            stream, absolute, authorization = _Plain(_connect(host, port, deadline, connect_seconds, enter)), False, ''
        if scheme == 'https':
            enter('tls')
            stream = _handshake(stream, contexts.get(tls), host, deadline)
        return _Connection(stream, absolute=absolute, proxy_authorization=authorization)
    except FetchError as exc:
        exc.url, exc.phase = exc.url or url, phase
        raise
    except socket.timeout as exc:
        raise FetchError('timeout', f'no answer from {host_port(host, port)} in time', phase=phase, url=url) from exc
    except (OSError, ValueError) as exc:
        kind = 'tls' if phase == 'tls' else 'connect'
        text = f'no TLS with {host_port(host, port)}: {_tls_error(exc)}' if kind == 'tls' else f'no connection to {host_port(host, port)}: {_os_error(exc)}'
        raise FetchError(kind, text, phase=phase, url=url) from exc


def _handshake(stream: _Stream, context: ssl.SSLContext, host: str, deadline: Deadline) -> _Stream:
    try:
        return _Tls(stream, context, host, deadline)
    except BaseException:
        stream.close()
        raise


def certificate_refused(exc: FetchError) -> bool:
    """Whether it ended at a certificate that nobody vouches for."""
    return exc.kind == 'tls' and isinstance(exc.__cause__, ssl.SSLCertVerificationError)


def speaks_no_tls(exc: FetchError) -> bool:
    """Whether something else than TLS came back."""
    return exc.kind == 'tls' and isinstance(exc.__cause__, ssl.SSLError) and exc.__cause__.reason in _NO_TLS


def _tls_error(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f'its certificate is not accepted ({exc.verify_message.rstrip(".").lower() or "verification failed"})'
    if isinstance(exc, ssl.SSLError):
        if exc.reason in _NO_TLS:
            return 'it does not speak TLS on this port'
        return f'the TLS handshake failed ({(exc.reason or str(exc)).replace("_", " ").lower()})'
    return f'the connection broke during the TLS handshake ({_os_error(exc)})'


def _connect(host: str, port: int, deadline: Deadline, connect_seconds: float, enter: t.Callable[[str], None]) -> socket.socket:
    addresses = resolve(host, port, deadline)
    enter('connect')
    sock = _first_connected(addresses, deadline.within(connect_seconds))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _first_connected(addresses: list[tuple[int, t.Any]], deadline: Deadline) -> socket.socket:
    """The first socket that connects: addresses are tried in turn, each a moment after the one before (RFC 8305). Raises OSError."""
    waiting = list(addresses)
    failure: OSError = OSError(errno.EHOSTUNREACH, 'no address to connect to')
    with selectors.DefaultSelector() as selector:
        try:
            while True:
                if waiting:
                    failure = _begin_connect(selector, *waiting.pop(0)) or failure
                if not selector.get_map() and not waiting:
                    raise failure
                events = selector.select(min(NEXT_ADDRESS_SECONDS, deadline.remaining()) if waiting else deadline.remaining())
                for key, _mask in events:
                    sock = t.cast(socket.socket, key.fileobj)
                    selector.unregister(sock)
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if code == 0:
                        return sock
                    sock.close()
                    failure = OSError(code, os.strerror(code))
                if not events and deadline.remaining() <= 0:
                    raise socket.timeout('timed out')
        finally:
            for key in list(selector.get_map().values()):
                t.cast(socket.socket, key.fileobj).close()


def _begin_connect(selector: selectors.BaseSelector, family: int, address: t.Any) -> OSError | None:
    """Start to connect and register the socket; the error when it cannot even be started."""
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as exc:
        return exc
    sock.setblocking(False)
    code = sock.connect_ex(address)
    if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
        sock.close()
        return OSError(code, os.strerror(code))
    selector.register(sock, selectors.EVENT_WRITE)
    return None


@dataclass(frozen=True)
class _Route:
    """Where a proxy is to lead to, until when, and who wants to know how far it is."""

    scheme: str
    host: str
    port: int
    deadline: Deadline
    enter: t.Callable[[str], None]


def _through_proxy(proxy: str, route: _Route, context: ssl.SSLContext) -> tuple[_Stream, bool, str]:
    """A stream towards the server, whether requests on it carry the absolute URL, and the proxy's authorization for those."""
    parts = urlsplit(proxy)
    host, port = to_ascii(parts.hostname or ''), parts.port or DEFAULT_PORTS[parts.scheme]
    login = (unquote(parts.username or ''), unquote(parts.password or ''))
    authorization = 'Basic ' + base64.b64encode(':'.join(login).encode()).decode() if parts.username else ''
    try:
        stream: _Stream = _Plain(_connect(host, port, route.deadline, route.deadline.remaining(), route.enter))
        if parts.scheme == 'https':
            stream = _handshake(stream, context, host, route.deadline)
        if parts.scheme == 'socks5':
            _socks5(stream, route, *login)
        elif route.scheme == 'https':
            _http_tunnel(stream, host_port(route.host, route.port), authorization, route.deadline)
    except FetchError as exc:
        kind = exc.kind if exc.kind in ('timeout', 'resolve') else 'proxy'
        raise FetchError(kind, f'the proxy {host_port(host, port)}: {exc}', phase=exc.phase) from exc
    except socket.timeout as exc:
        raise FetchError('timeout', f'the proxy {host_port(host, port)} did not get through in time') from exc
    except (OSError, ValueError, http.client.HTTPException) as exc:
        text = _tls_error(exc) if isinstance(exc, ssl.SSLError) else _os_error(exc)
        raise FetchError('proxy', f'the proxy {host_port(host, port)} cannot be used: {text}') from exc
    return stream, parts.scheme != 'socks5' and route.scheme == 'http', authorization


def _http_tunnel(stream: _Stream, target: str, authorization: str, deadline: Deadline) -> None:
    lines = [f'CONNECT {target} HTTP/1.1', f'Host: {target}', f'User-Agent: {USER_AGENT}']
    if authorization:
        lines.append(f'Proxy-Authorization: {authorization}')
    adapter = _Adapter(stream, deadline)
    adapter.sendall(('\r\n'.join(lines) + '\r\n\r\n').encode('latin-1', 'replace'))
    answer = http.client.HTTPResponse(t.cast(socket.socket, adapter), method='CONNECT')
    try:
        answer.begin()
        if answer.status == 407:
            raise FetchError('proxy', 'it asks for a user and password (407)')
        if answer.status != 200:
            error = str(answer.headers.get('X-Squid-Error') or '').split()
            raise FetchError('proxy', f'it does not connect to {target} ({" ".join([str(answer.status)] + error[:1])})')
    finally:
        answer.close()  # left to the garbage collector, it complains there from Python 3.13 on


def _socks5(stream: _Stream, route: _Route, user: str, password: str) -> None:
    """RFC 1928 and 1929; the proxy looks the name up, as with Go."""
    deadline = route.deadline
    methods = b'\x00\x02' if user else b'\x00'
    stream.send(b'\x05' + bytes([len(methods)]) + methods, deadline)
    version, method = _exactly(stream, 2, deadline)
    if version != 5 or method not in methods:
        raise FetchError('proxy', 'it does not speak SOCKS 5, or asks for another way to log in')
    if method == 2:
        name, secret = user.encode()[:255], password.encode()[:255]
        stream.send(b'\x01' + bytes([len(name)]) + name + bytes([len(secret)]) + secret, deadline)
        if _exactly(stream, 2, deadline)[1] != 0:
            raise FetchError('proxy', 'it refuses the user and password')
    target = route.host.encode('ascii', 'replace')[:255]
    stream.send(b'\x05\x01\x00\x03' + bytes([len(target)]) + target + route.port.to_bytes(2, 'big'), deadline)
    _version, code, _reserved, kind = _exactly(stream, 4, deadline)
    if code != 0:
        raise FetchError('proxy', f'it cannot reach {host_port(route.host, route.port)} (SOCKS error {code})')
    length = {1: 4, 4: 16}.get(kind) or _exactly(stream, 1, deadline)[0]
    _exactly(stream, length + 2, deadline)


def _exactly(stream: _Stream, size: int, deadline: Deadline) -> bytes:
    data = b''
    while len(data) < size:
        more = stream.receive(size - len(data), deadline)
        if not more:
            raise FetchError('proxy', 'it closed the connection')
        data += more
    return data
