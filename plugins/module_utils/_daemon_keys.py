# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keys of daemon.json: which dockerd knows them, and of which kind they are.

Read from moby's sources, one release after the other from 19.03 to 29.7 (daemon/config/config.go and config_linux.go for
the keys, cmd/dockerd/config.go and config_unix.go, later daemon/command, for the flags, daemon/reload.go for reloads).

What dockerd calls unknown is decided by its *flags*, not by its keys (``findConfigurationConflicts``): a key passes when
a flag, or an option with a name of its own, is called so, or when it is on a short list of exceptions. Therefore

* the name of a flag passes and does nothing when the key is another: ``registry-mirror`` for ``registry-mirrors``;
* a few keys that the code could read never pass: ``resolv-conf``, ``swarm-raft-election-tick``;
* an object at the top level is looked into, one level deep, and its own name is not looked at at all.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

# The newest release that the table was read from. What a newer one knows is left to `dockerd --validate`.
NEWEST: tuple[int, ...] = (29, 7)

# Kinds of values
STRING = 'a string'
BOOL = 'true or false'
INTEGER = 'a whole number'
# opts.MemBytes has an UnmarshalJSON of its own, which takes neither a number nor null.
SIZE = 'a size in quotes, such as "64m"'
STRINGS = 'a list of strings'
STRING_MAP = 'an object with strings as values'
STRING_MAPS = 'an object of objects with strings as values'
BOOL_MAP = 'an object with true or false as values'
OBJECTS = 'a list of objects'
OBJECT_MAP = 'an object of objects'
OBJECT = 'an object'

Version = t.Tuple[int, ...]


@dataclass(frozen=True)
class Key:
    """One key.

    :ivar kind: what its value must be.
    :ivar since: first version that accepts it.
    :ivar until: first version that does not accept it any more, None when all later ones do.
    :ivar reload: a reload reads it anew.
    :ivar cleared: the value that makes a reload forget it, because deleting it would keep what is in force (moby#36632);
        None when there is no such value.
    :ivar instead: for a name that dockerd lets pass and ignores: the key that was meant.
    """

    kind: str
    since: Version = ()
    until: t.Optional[Version] = None
    reload: bool = False
    cleared: t.Any = None
    instead: str = ''


def _plain(kind: str, names: str) -> dict[str, Key]:
    return {name: Key(kind) for name in names.split()}


_EVERYWHERE: dict[str, Key] = {
    **_plain(
        STRING,
        'bip bridge cgroup-parent containerd data-root default-gateway default-gateway-v6 exec-root fixed-cidr fixed-cidr-v6 group '
        'init-path ip log-driver log-level metrics-addr pidfile seccomp-profile storage-driver swarm-default-advertise-addr '
        'tlscacert tlscert tlskey userland-proxy-path userns-remap',
    ),
    **_plain(
        BOOL,
        'cri-containerd experimental icc init ip-forward ip-masq iptables ipv6 no-new-privileges raw-logs rootless selinux-enabled '
        'tls tlsverify userland-proxy',
    ),
    **_plain(INTEGER, 'cpu-rt-period cpu-rt-runtime mtu network-control-plane-mtu'),
    **_plain(STRINGS, 'dns dns-opts dns-search exec-opts hosts node-generic-resources storage-opts'),
    **_plain(STRING_MAP, 'log-opts'),
    **_plain(OBJECTS, 'default-address-pools'),
    **_plain(OBJECT_MAP, 'default-ulimits'),
    **_plain(OBJECT, 'builder'),
}

_RELOADED: dict[str, Key] = {
    'authorization-plugins': Key(STRINGS, reload=True),
    'debug': Key(BOOL, reload=True, cleared=False),
    'default-cgroupns-mode': Key(STRING, since=(20, 10), reload=True),
    'default-ipc-mode': Key(STRING, reload=True),
    'default-runtime': Key(STRING, reload=True),
    'default-shm-size': Key(SIZE, reload=True),
    'default-stop-timeout': Key(INTEGER, since=(29, 7), reload=True),
    'features': Key(BOOL_MAP, reload=True),
    'insecure-registries': Key(STRINGS, reload=True, cleared=[]),
    'labels': Key(STRINGS, reload=True, cleared=[]),
    'live-restore': Key(BOOL, reload=True, cleared=False),
    'max-concurrent-downloads': Key(INTEGER, reload=True),
    'max-concurrent-uploads': Key(INTEGER, reload=True),
    'max-download-attempts': Key(INTEGER, since=(20, 10), reload=True),
    'network-diagnostic-port': Key(INTEGER, reload=True),
    'nri-opts': Key(OBJECT, since=(29, 2), reload=True),
    'registry-mirrors': Key(STRINGS, reload=True, cleared=[]),
    'runtimes': Key(OBJECT_MAP, reload=True),
    'shutdown-timeout': Key(INTEGER, reload=True),
}

_COME_AND_GONE: dict[str, Key] = {
    'allow-direct-routing': Key(BOOL, since=(28, 2)),
    # Not read since 28.1, and still let pass.
    'allow-nondistributable-artifacts': Key(STRINGS, reload=True),
    'api-cors-header': Key(STRING, until=(29,)),
    'bip6': Key(STRING, since=(28,)),
    'bridge-accept-fwmark': Key(STRING, since=(29,)),
    'cdi-spec-dirs': Key(STRINGS, since=(25,)),
    'cluster-advertise': Key(STRING, until=(24,)),
    'cluster-store': Key(STRING, until=(24,)),
    'cluster-store-opts': Key(STRING_MAP, until=(24,)),
    'containerd-namespace': Key(STRING, since=(19, 3, 6)),
    'default-network-opts': Key(STRING_MAPS, since=(24,)),
    'deprecated-key-path': Key(STRING),
    'firewall-backend': Key(STRING, since=(29,)),
    'graph': Key(STRING, until=(24,)),
    'host-gateway-ip': Key(STRING, since=(20, 10)),
    'host-gateway-ips': Key(STRINGS, since=(28,)),
    'ip-forward-no-drop': Key(BOOL, since=(28,)),
    'ip6tables': Key(BOOL, since=(20, 10)),
    'log-format': Key(STRING, since=(25,)),
    'min-api-version': Key(STRING, since=(29,)),
    'oom-score-adjust': Key(INTEGER, until=(26,)),
    'proxies': Key(OBJECT, since=(23,)),
}


def _flag(instead: str, since: Version = (), until: t.Optional[Version] = None) -> Key:
    return Key('', since=since, until=until, instead=instead)


_FLAG_NAMES: dict[str, Key] = {
    'add-runtime': _flag('runtimes'),
    'authorization-plugin': _flag('authorization-plugins'),
    'cdi-spec-dir': _flag('cdi-spec-dirs', since=(25,)),
    'cluster-store-opt': _flag('cluster-store-opts', until=(24,)),
    'config-file': _flag('the flag --config-file'),
    'containerd-plugins-namespace': _flag('the flag --containerd-plugins-namespace', since=(19, 3, 6)),
    'default-address-pool': _flag('default-address-pools'),
    'default-network-opt': _flag('default-network-opts', since=(24,)),
    'default-ulimit': _flag('default-ulimits'),
    'dns-opt': _flag('dns-opts'),
    'exec-opt': _flag('exec-opts'),
    'feature': _flag('features', since=(27, 3)),
    'help': _flag('the flag --help'),
    'host': _flag('hosts'),
    'http-proxy': _flag('http-proxy inside proxies', since=(23,)),
    'https-proxy': _flag('https-proxy inside proxies', since=(23,)),
    'insecure-registry': _flag('insecure-registries'),
    'label': _flag('labels'),
    'log-opt': _flag('log-opts'),
    'no-proxy': _flag('no-proxy inside proxies', since=(23,)),
    'node-generic-resource': _flag('node-generic-resources'),
    'registry-mirror': _flag('registry-mirrors'),
    'restart': _flag('the flag --restart'),
    'storage-opt': _flag('storage-opts'),
    'validate': _flag('the flag --validate', since=(23,)),
    'version': _flag('the flag --version'),
}

KNOWN_KEYS: dict[str, Key] = {**_EVERYWHERE, **_RELOADED, **_COME_AND_GONE, **_FLAG_NAMES}

# Objects that dockerd takes as a whole (`flatOptions`). It looks for unknown names inside all others.
TAKEN_WHOLE = frozenset({'builder', 'cluster-store-opts', 'default-network-opts', 'default-ulimits', 'features', 'log-opts', 'nri-opts', 'runtimes'})

# Keys that may stand in the file and be given as a flag (`skipDuplicates`).
MAY_BE_FLAG_TOO = frozenset({'runtimes'})

# The keys inside `proxies`.
PROXY_KEYS = ('http-proxy', 'https-proxy', 'no-proxy')
