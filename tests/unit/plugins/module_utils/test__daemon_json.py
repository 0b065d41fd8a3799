# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What dockerd would not start with, by version."""

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _daemon_keys
from ansible_collections.quickpull.registry.plugins.module_utils._daemon_json import check_config, check_types, reloadable, shown_version
from ansible_collections.quickpull.registry.plugins.module_utils._daemon_keys import KNOWN_KEYS
from ansible_collections.quickpull.registry.plugins.module_utils._docker_flags import Flag
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError

Version = t.Optional[t.Tuple[int, ...]]
HOST = Flag('host', 'hosts', ('fd://',), 'unit', '/lib/systemd/system/docker.service')
MIRROR = Flag('registry-mirror', 'registry-mirrors', ('https://u:s3cret@m',), 'EnvironmentFile', '/etc/default/docker')
PROXY = Flag('http-proxy', 'proxies.http-proxy', ('http://u:s3cret@p',), 'command line', '')
RUNTIME = Flag('add-runtime', 'runtimes', ('x=/x',), 'drop-in', '/etc/systemd/system/docker.service.d/x.conf')

# (config, version, flags, in the error)
REFUSED: list[t.Any] = [
    ({'registry-mirorrs': []}, (26, 1, 5), [], 'registry-mirorrs is no key that Docker knows, .* Did you mean registry-mirrors?'),
    ({'Debug': True}, (26, 1, 5), [], 'Debug is no key'),
    ({'resolv-conf': '/x'}, (28, 5, 2), [], 'resolv-conf is no key'),
    ({'tlsopts': {'tlsca': 'x'}}, (26, 1, 5), [], 'tlsopts.tlsca is no key'),
    ({'proxies': {'http-proxy': 'http://p'}}, (20, 10, 24), [], 'Docker knows proxies since 23.0, this host runs 20.10.24.*engine_proxy_dropin'),
    ({'proxies': {'httpProxy': 'http://p'}}, (26, 1, 5), [], 'proxies.httpProxy is no key'),
    ({'bip6': '::1'}, (26, 1, 5), [], 'Docker knows bip6 since 28.0, this host runs 26.1.5'),
    ({'graph': '/x'}, (24, 0, 1), [], 'Docker knows graph only before 24.0, this host runs 24.0.1'),
    ({'log-opts': {'max-file': 3}}, (26,), [], 'log-opts must be an object with strings as values; write the value of max-file in quotes'),
    ({'log-opts': {'max-file': True}}, (26,), [], 'max-file'),
    ({'registry-mirrors': 'https://a'}, None, [], 'registry-mirrors must be a list of strings'),
    ({'debug': 'true'}, (26,), [], 'debug must be true or false, without quotes'),
    ({'mtu': True}, (26,), [], 'mtu must be a whole number'),
    ({'mtu': 1500.0}, (26,), [], 'mtu must be a whole number'),
    ({'features': {'buildkit': 'yes'}}, (26,), [], 'features must be an object with true or false as values'),
    ({'default-network-opts': {'bridge': {'mtu': 1}}}, (26,), [], 'default-network-opts must be'),
    ({'default-network-opts': {'bridge': 'x'}}, (26,), [], 'default-network-opts must be'),
    ({'proxies': {'http-proxy': 1}}, (26,), [], 'The values in proxies must be strings'),
    ({'hosts': ['fd://']}, (26,), [HOST], 'hosts is also given by the flag --host .unit /lib/systemd/system/docker.service.*even with the same value'),
    ({'registry-mirrors': []}, None, [MIRROR], 'flag --registry-mirror .EnvironmentFile /etc/default/docker'),
    ({'proxies': {'http-proxy': 'http://p'}}, (26,), [PROXY], 'proxies.http-proxy is also given by .*the command line of the running'),
    ({'registry-mirrors': ['https://m/path']}, (24, 0, 9), [], "'https://m/path' in registry-mirrors has a path, .* since 25.0 .this host runs 24.0.9"),
    ({'registry-mirrors': ['https://u:s3cret@m']}, (28,), [], 'has a user, a query or a fragment'),
    ({'registry-mirrors': ['m:5000']}, (28,), [], 'does not begin with http'),
    ({'registry-mirrors': ['https://[m']}, (28,), [], 'is no URL'),
    ({'default-shm-size': 67108864}, (26,), [], 'default-shm-size must be a size in quotes, such as "64m"'),
    ({'default-shm-size': None}, (20, 10), [], 'default-shm-size must be a size in quotes'),
    ({'default-ulimits': {'nofile': {'Hard': '64000'}}}, (26,), [], 'Hard of nofile in default-ulimits must be a whole number'),
    ({'default-ulimits': {'nofile': {'soft': 1.0}}}, None, [], 'soft of nofile in default-ulimits must be a whole number'),
    ({'default-ulimits': {'nofile': {'Hard': True}}}, (20, 10), [], 'Hard of nofile'),
    ({'default-ulimits': {'nofile': {'Hard': 2**63}}}, (20, 10), [], 'Hard of nofile'),
    ({'default-ulimits': {'nofile': {'Name': 1}}}, (20, 10), [], 'Name of nofile in default-ulimits must be a string'),
    ({'log-level': 'verbose'}, (20, 10, 24), [], 'log-level .* debug, info, warn, error or fatal'),
    ({'labels': ['a=b', 's3cret']}, (20, 10, 24), [], 'label without ='),
    ({'labels': ['io.Docker.s3cret=b']}, (20, 10, 24), [], 'com.docker., io.docker. or org.dockerproject., which are reserved'),
    ({'dns': ['1.1.1.1', 'dns.lan']}, (20, 10, 24), [], "'dns.lan' in dns is no address"),
    ({'dns': ['1.1.1.1:53']}, (20, 10, 24), [], 'no address'),
    ({'max-concurrent-downloads': -1}, (20, 10, 24), [], 'max-concurrent-downloads must not be negative'),
    ({'max-concurrent-uploads': -1}, (19, 3), [], 'max-concurrent-uploads must not be negative'),
    ({'max-download-attempts': 0}, (20, 10, 24), [], 'max-download-attempts must be at least 1'),
    *(({'default-shm-size': size}, (20, 10), [], 'default-shm-size is no size') for size in ('', 'x', '64 mx', '-1', '1.2.3m', '1  m', '\u0661m')),
]


@pytest.mark.parametrize(('config', 'version', 'flags', 'message'), REFUSED)
def test_refused(config: dict[str, t.Any], version: Version, flags: list[Flag], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check_config(config, version, flags, path='/x/daemon.json')
    assert str(caught.value).startswith('/x/daemon.json: ')
    assert 's3cret' not in str(caught.value)


ACCEPTED: list[t.Any] = [
    ({}, (20, 10), []),
    ({'proxies': {}}, (20, 10), []),
    ({'proxies': {'http-proxy': 'http://p'}}, (23,), []),
    ({'proxies': {'http-proxy': None}, 'debug': None, 'log-opts': {'max-size': None}}, (26,), []),
    ({'graph': '/x', 'cluster-store-opts': {'a': 'b'}}, (23, 0, 1), []),
    ({'default-shm-size': '64M'}, (26,), []),
    ({'default-ulimits': {'nofile': {'Name': 'nofile', 'Hard': 64000, 'soft': 1, 'other': 'x'}, 'x': None, 'y': {'Hard': None}}}, (26,), []),
    ({'labels': ['a=b', '=', 'com.docker=x'], 'dns': [' 1.1.1.1', '008.8.8.8', '::1', '::ffff:01.2.3.4'], 'log-level': 'Warning'}, (20, 10, 24), []),
    ({'labels': ['com.docker.x=y']}, (19, 3, 15), []),
    ({'log-level': '', 'max-concurrent-downloads': 0, 'max-concurrent-uploads': 0, 'max-download-attempts': 1, 'mtu': -1}, (20, 10), []),
    ({'log-level': 'trace', 'dns': None, 'labels': [None], 'max-download-attempts': None}, (20, 10), []),
    *(({'default-shm-size': size}, (20, 10), []) for size in ('0', '64M', '64 MiB', '1.5g', '64mib', '5b')),
    ({'labels': ['x'], 'dns': ['x'], 'log-level': 'x', 'max-concurrent-downloads': -1, 'default-shm-size': 'x'}, (23,), []),
    ({'labels': ['x'], 'dns': ['x'], 'log-level': 'x', 'max-concurrent-downloads': -1, 'default-shm-size': 'x'}, None, []),
    ({'runtimes': {'x': {'path': '/x'}}}, (26,), [RUNTIME, HOST]),
    ({'builder': {'gc': {'enabled': True}}, 'features': {'anything': True}}, (20, 10), []),
    ({'registry-mirrors': ['https://m/path']}, (25, 0), [HOST]),
    ({'registry-mirrors': ['https://m']}, (20, 10), []),
]


@pytest.mark.parametrize(('config', 'version', 'flags'), ACCEPTED)
def test_accepted_without_a_word(config: dict[str, t.Any], version: Version, flags: list[Flag]) -> None:
    assert check_config(config, version, flags) == []


# (config, version, in the warning)
WARNED: list[t.Any] = [
    ({'registry-mirror': ['https://m']}, (26,), 'dockerd accepts registry-mirror and ignores it; what it reads is registry-mirrors'),
    ({'http-proxy': 'http://p'}, (26,), 'http-proxy inside proxies'),
    ({'proxies': {'debug': 'x'}}, (26,), 'dockerd ignores proxies.debug'),
    ({'tlsopts': {'tlscacert': 'x'}}, (26,), 'tlsopts is no key that Docker knows; dockerd ignores this object'),
    ({'brand-new': 1}, (99, 1), 'brand-new is no key .*left to dockerd --validate'),
    ({'brand-new': 1}, None, 'brand-new is no key .*which version of Docker will read it is not known'),
    ({'registry-mirrors': ['ftp://m']}, None, 'does not begin with http'),
]


@pytest.mark.parametrize(('config', 'version', 'message'), WARNED)
def test_warned(config: dict[str, t.Any], version: Version, message: str) -> None:
    assert re.search(message, ' '.join(check_config(config, version)))


@pytest.mark.parametrize('config', [{'registry-mirror': ['https://m']}, {'tlsopts': {'tlscacert': 'x'}}])
def test_what_dockerd_would_ignore_is_refused_when_it_is_asked_for(config: dict[str, t.Any]) -> None:
    with pytest.raises(ConfigError):
        check_config(config, (26,), asked=config)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        check_config({'a': 1, 'b': 2, 'debug': 3}, (26,))
    assert [f'{key} ' in str(caught.value) for key in ('a', 'b', 'debug')] == [True] * 3


def test_types_of_options_are_checked_without_a_version() -> None:
    check_types({'log-opts': {'max-file': '3'}, 'unheard-of': 1, 'default-shm-size': None}, where='settings')  # null asks for nothing
    with pytest.raises(ConfigError, match=r'settings: log-opts must be .* settings: debug must be'):
        check_types({'log-opts': {'max-file': 3}, 'debug': 1}, where='settings')


def test_what_a_reload_reads() -> None:
    assert reloadable('registry-mirrors', (20, 10))
    assert reloadable('registry-mirrors', None)
    assert not reloadable('proxies', (28,))
    assert not reloadable('unheard-of', (28,))
    assert not reloadable('max-download-attempts', (19, 3, 15))


def test_the_table_is_of_one_piece() -> None:
    kinds = {value for name, value in vars(_daemon_keys).items() if name.isupper() and isinstance(value, str)}
    for name, key in KNOWN_KEYS.items():
        assert (key.kind in kinds) is not bool(key.instead), name
        assert key.until is None or key.since < key.until, name
        assert key.cleared is None or key.reload, name
    assert KNOWN_KEYS.keys() >= _daemon_keys.TAKEN_WHOLE | _daemon_keys.MAY_BE_FLAG_TOO | set(_daemon_keys.PROXY_KEYS)


@pytest.mark.parametrize(('version', 'shown'), [((23,), '23.0'), ((20, 10, 24), '20.10.24')])
def test_versions_are_shown_as_docker_writes_them(version: Version, shown: str) -> None:
    assert shown_version(version) == shown
