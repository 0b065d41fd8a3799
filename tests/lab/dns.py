# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A name server that knows the lab's names and, of everything else, that it does not exist. Runs in the services container.

Without it a name that does not exist would be asked of the machine's own resolver, and leave the machine.
"""
from __future__ import annotations

import ipaddress
import socket
import struct
import typing as t

NO_SUCH_NAME = 3


def answer(query: bytes, names: t.Mapping[str, str]) -> bytes:
    """The reply to one question (RFC 1035, 4.1): an A record of a known name, nothing for its other types, NXDOMAIN for the rest."""
    labels, position = [], 12
    while query[position]:
        labels.append(query[position + 1:position + 1 + query[position]].decode('ascii', 'replace'))
        position += 1 + query[position]
    question = query[12:position + 5]
    address = names.get('.'.join(labels).lower())
    wants_address = question[-4:-2] == b'\x00\x01'
    record = b''
    if address and wants_address:
        record = b'\xc0\x0c' + struct.pack('!HHIH', 1, 1, 60, 4) + ipaddress.IPv4Address(address).packed
    flags = 0x8580 | (0 if address else NO_SUCH_NAME)
    return query[:2] + struct.pack('!HHHHH', flags, 1, 1 if record else 0, 0, 0) + question + record


def serve(names: t.Mapping[str, str], listen: str = '0.0.0.0') -> t.NoReturn:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((listen, 53))
        while True:
            query, client = server.recvfrom(4096)
            try:
                server.sendto(answer(query, names), client)
            except (IndexError, OSError):
                continue
