# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which proxy a URL goes through, by the rules of Go's golang.org/x/net/http/httpproxy, which every engine here uses."""

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_url

if t.TYPE_CHECKING:
    Address = t.Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
    Network = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

PROXY_SCHEMES = ('http', 'https', 'socks5')
_DEFAULT_PORTS = {'http': '80', 'https': '443', 'socks5': '1080'}
_BAD_ESCAPE = re.compile(r'%(?![0-9A-Fa-f]{2})')
# net/url, validUserinfo. An @ inside passes there and is masked all the same.
_USERINFO = re.compile(r"^[A-Za-z0-9._:~!$&'()*+,;=%@-]*$")
_LABELS = re.compile(r'^[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?$')
# net/url, parseHost and shouldEscape: an escape stands for a byte that is not ASCII, or for the % of a zone in brackets.
_HOST = re.compile(r"^(\[.*\](:[0-9]*)?|([A-Za-z0-9._~!$&'()*+,;=:<>\"-]|[^\x00-\x7f]|%[89A-Fa-f])*)\Z", re.DOTALL)
_DIGITS_AND_DOTS = re.compile(r'^[0-9.]+$')
# Names under which nobody can be reached from the internet: the ones people write CIDRs for.
_INTERNAL_NAME = re.compile(r'^([^.]+|.*\.(lan|local|localdomain|internal|intern|intra|intranet|corp|home|private|home\.arpa))\.?$')


@dataclass(frozen=True)
class ProxyConfig:
    """The three values that Go reads, as given: URLs (or `host:port`) and the entries of no_proxy."""

    http_proxy: str = ''
    https_proxy: str = ''
    no_proxy: tuple[str, ...] = ()

    def proxy_for(self, url: str) -> str | None:
        """The proxy's URL (with its user and password) for *url*, or None when it is reached directly.

        As in Go there is no proxy for `localhost` and for loopback addresses, whatever is configured.
        """
        parts = urlsplit(url)
        proxy = {'http': self.http_proxy, 'https': self.https_proxy}.get(parts.scheme, '')
        if not proxy:
            return None
        host = to_ascii(parts.hostname or '')
        port = str(parts.port) if parts.port is not None else _DEFAULT_PORTS[parts.scheme]
        if bypasses(self.no_proxy, host, port):
            return None
        return proxy_url(proxy)


@dataclass(frozen=True)
class _Entry:
    """One parsed entry of no_proxy. Exactly one of everything, network, address, domain is set."""

    everything: bool = False
    network: Network | None = None
    address: Address | None = None
    domain: str = ''  # with a leading dot
    domain_itself: bool = False  # `foo.com` also matches foo.com, `.foo.com` does not
    port: str = ''

    def matches(self, host: str, port: str, address: Address | None) -> bool:
        if self.everything:
            return True
        if self.network is not None:
            return address is not None and address.version == self.network.version and address in self.network
        if self.port not in ('', port):
            return False
        if self.address is not None:
            return address == self.address
        return host.endswith(self.domain) or (self.domain_itself and host == self.domain[1:])


def bypasses(no_proxy: t.Iterable[str], host: str, port: str) -> bool:
    """Whether Go goes to *host* (no brackets) and *port* directly, although a proxy is set for the scheme."""
    host = host.strip().lower()
    address = parse_ip(host)
    if host == 'localhost' or (address is not None and address.is_loopback):
        return True
    return any(entry.matches(host, port, address) for entry in _parse(no_proxy))


def proxy_url(proxy: str) -> str:
    """A proxy's setting as a URL: `host:port` and unknown schemes get `http://` in front, as Go does."""
    scheme, separator, _rest = proxy.partition('://')
    if separator and scheme.lower() in PROXY_SCHEMES:
        return scheme.lower() + proxy[len(scheme) :]
    return 'http://' + proxy


def check_proxy(proxy: str, key: str = 'proxy') -> None:
    """Raise ConfigError for a proxy that no engine could use. *key* is the option's name, for the message."""
    shown = mask_url(proxy)
    scheme, separator, _rest = proxy.partition('://')
    if separator and scheme.lower() not in PROXY_SCHEMES:
        raise ConfigError(f'{key}: {shown} has the scheme {scheme!r}; Docker can use http://, https:// and socks5:// proxies only.', key=key)
    if re.search(r'[\s\x00-\x1f\x7f]', proxy):
        raise ConfigError(f'{key}: {shown!r} contains white space or a control character; write it percent-encoded (%20).', key=key)
    if not separator and '@' in proxy:
        # Go takes `user` for the scheme, so dockerd finds no password to mask.
        raise ConfigError(f'{key}: a proxy with a user is written as a whole URL, http://USER:PASSWORD@HOST:PORT; put http:// in front.', key=key)
    try:
        parts = urlsplit(proxy_url(proxy))
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(f'{key}: {shown} is no URL; write it as http://HOST:PORT, with user and password percent-encoded.', key=key) from None
    if not _parsed_by_go(proxy, parts):
        # dockerd would show the whole value instead of masking it.
        raise ConfigError(
            f'{key}: user, password or host hold a character that must be percent-encoded, or a % that begins no escape: write % as %25, '
            '@ as %40, / as %2F, and so on.',
            key=key,
        )
    if not host:
        raise ConfigError(f'{key}: {shown} names no host; write it as http://HOST:PORT.', key=key)


def _parsed_by_go(proxy: str, parts: SplitResult) -> bool:
    """Whether Go's url.Parse takes the URL, and finds the same user in it."""
    userinfo, _at_sign, host = parts.netloc.rpartition('@')
    found_elsewhere = '@' in parts.path + parts.query + parts.fragment
    return not (found_elsewhere or _BAD_ESCAPE.search(proxy)) and bool(_USERINFO.match(userinfo) and _HOST.match(host))


def join_no_proxy(*lists: t.Iterable[str]) -> list[str]:
    """The lists' entries (each may itself be a comma list) as one list: order kept, white space and repeated entries dropped."""
    seen: dict[str, str] = {}
    for entry in _split(entry for one in lists for entry in one):
        seen.setdefault(entry.lower(), entry)
    return list(seen.values())


def lint_no_proxy(entries: t.Iterable[str], names: t.Mapping[str, t.Sequence[str]] | None = None) -> list[str]:
    """One sentence for each entry that Go never matches, or matches with something else than was meant: why, and what to write instead.

    *names* are the hosts that the caller means to reach, each with its addresses where they are known. A host that one of the CIDRs
    covers by its address, but no entry covers by its name, gets a sentence too: Go compares CIDRs with addresses written in the URL only.
    """
    given = list(_split(entries))
    judged = ((entry, _never_matches(entry) or _matches_otherwise(entry)) for entry in given)
    return [f'no_proxy: {entry!r} {why}' for entry, why in judged if why] + _names_meant_by_cidr(given, names or {})


def parse_ip(text: str) -> Address | None:
    """As Go's net.ParseIP: no zone, no leading zeros; an IPv4 address in IPv6 spelling is that IPv4 address. None for anything else."""
    if '%' in text or ('.' in text and re.search(r'(^|[.:])0[0-9]', text)):
        return None  # ipaddress before Python 3.9.5 took leading zeros
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, 'ipv4_mapped', None)
    return t.cast('Address', mapped or address)


def to_ascii(host: str) -> str:
    """A host name as DNS and Go compare it: lower case, international names in punycode. Never raises."""
    host = host.lower()
    try:
        return host if host.isascii() else host.encode('idna').decode('ascii')
    except UnicodeError:
        return host


def _split(entries: t.Iterable[str]) -> t.Iterator[str]:
    for entry in entries:
        for part in str(entry).split(','):
            if part.strip():
                yield part.strip()


def _parse(entries: t.Iterable[str]) -> list[_Entry]:
    parsed = []
    for text in _split(entries):
        if text == '*':
            return [_Entry(everything=True)]
        entry = _parse_entry(text.lower())
        if entry is not None:
            parsed.append(entry)
    return parsed


def _parse_entry(text: str) -> _Entry | None:
    network = _parse_cidr(text)
    if network is not None:
        return _Entry(network=network)
    host, port = _split_port(text)
    if not host:
        return None
    address = parse_ip(host)
    if address is not None:
        return _Entry(address=address, port=port)
    if host.startswith('*.'):
        host = host[1:]
    itself = not host.startswith('.')
    return _Entry(domain='.' + to_ascii(host if itself else host[1:]), domain_itself=itself, port=port)


def _parse_cidr(text: str) -> Network | None:
    """As Go's net.ParseCIDR: an address and a number of bits; ipaddress would take a netmask, too."""
    address_text, slash, bits_text = text.partition('/')
    address = parse_ip(address_text)
    if not slash or address is None or not re.match(r'^[0-9]{1,3}$', bits_text):
        return None
    bits = int(bits_text)
    if address.version == 4 and ':' in address_text:
        bits -= 96
    try:
        return ipaddress.ip_network(f'{address}/{bits}', strict=False)
    except ValueError:
        return None


def _split_port(text: str) -> tuple[str, str]:
    """As Go's net.SplitHostPort, which fails, and so leaves the text whole, for anything but `host:port` and `[v6]:port`."""
    bracketed = re.match(r'^\[([^\[\]]*)\]:([^:\[\]]*)$', text)
    if bracketed:
        return bracketed.group(1), bracketed.group(2)
    if text.count(':') == 1 and '[' not in text and ']' not in text:
        host, _colon, port = text.partition(':')
        return host, port
    return text, ''


def _never_matches(entry: str) -> str:
    """That and why Go never matches *entry*; empty when it can match something."""
    text = entry.lower()
    if text == '*' or _parse_cidr(text) is not None:
        return ''
    for applies, why in _NEVER:
        if applies(text):
            return f'never matches: {why}'
    host, port = _split_port(text)
    if port and not port.isdigit():
        return 'never matches: a port must be a number.'
    if parse_ip(host) is not None or _DIGITS_AND_DOTS.match(host):
        return ''
    name = to_ascii(host[2:] if host.startswith('*.') else host[1:] if host.startswith('.') else host)
    if not _LABELS.match(name):
        return 'never matches: it is neither a host name, nor an address, nor a CIDR.'
    return ''


def _matches_otherwise(entry: str) -> str:
    """Go compares addresses in the URL with domains as well (httpproxy, useProxy), so `192.168` matches 10.0.192.168."""
    host, _port = _split_port(entry)
    if parse_ip(host) is not None or not _DIGITS_AND_DOTS.match(host):
        return ''
    return f'stands for no range of addresses: Go matches it with hosts that end with it, not with those that begin so; write {_as_cidr(host)}.'


def _as_cidr(text: str) -> str:
    """The range that somebody means who writes `10.` or `192.168`."""
    numbers = [part for part in text.split('.') if part][:3]
    if not numbers or any(int(part) > 255 for part in numbers):
        return '10.0.0.0/8'
    return '.'.join((numbers + ['0'] * 4)[:4]) + f'/{8 * len(numbers)}'


_NEVER: tuple[tuple[t.Callable[[str], bool], str], ...] = (
    (lambda text: '://' in text, 'an entry is a host, an address or a CIDR, not a URL; leave the scheme away.'),
    (lambda text: bool(re.search(r'\s', text)), 'entries are separated by commas, not by white space.'),
    (lambda text: text in ('<local>', '<-loopback>'), 'this word is known to Windows only; list the names instead.'),
    (lambda text: text.startswith('[') and text.endswith(']'), 'an IPv6 address without a port is written without brackets.'),
    (
        lambda text: bool(re.match(r'^([0-9.]+|[0-9a-f.]*:[0-9a-f.:]*)/[0-9.:]*$', text)),
        'it is no CIDR that Go understands; write ADDRESS/BITS, without a port and without a netmask.',
    ),
    (lambda text: '/' in text, 'a path cannot be given, and a name has no CIDR; write the host alone.'),
    (
        lambda text: '*' in (text[2:] if text.startswith('*.') else text),
        'a star stands alone or as the first label (*.example.com) only; write the domain, which covers all names below it.',
    ),
)


def _names_meant_by_cidr(entries: list[str], names: t.Mapping[str, t.Sequence[str]]) -> list[str]:
    cidrs = [(entry, network) for entry, network in ((entry, _parse_cidr(entry.lower())) for entry in entries) if network is not None]
    found = []
    for name, addresses in names.items():
        host = to_ascii(name)
        if parse_ip(host) is not None or any(bypasses(entries, host, port) for port in ('80', '443')):
            continue
        covering = _covering(cidrs, host, addresses)
        if covering:
            found.append(
                f'no_proxy: {covering!r} does not cover {name}, because Go compares a CIDR with an address that is written in the URL'
                f' and does not look names up; add {name} to no_proxy if it is to be reached directly.'
            )
    return found


def _covering(cidrs: list[tuple[str, Network]], host: str, addresses: t.Sequence[str]) -> str:
    """The CIDR that is meant for *host*: one that holds an address of it, or, where none is known, any private one for an internal name."""
    known = [address for address in (parse_ip(one) for one in addresses) if address is not None]
    for entry, network in cidrs:
        if any(address.version == network.version and address in network for address in known):
            return entry
        if not known and network.is_private and not network.is_loopback and _INTERNAL_NAME.match(host):
            return entry
    return ''
