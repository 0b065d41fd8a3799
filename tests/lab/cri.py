# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pulling through a host's CRI, as a kubelet does: gRPC over the host's socket, which SSH brings here."""
from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

import grpc

from lab.api import Host

SOCKET = '/run/containerd/containerd.sock'


def _field(number: int, value: bytes) -> bytes:
    """A length-delimited field of a protobuf message, of less than 128 bytes."""
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


class Cri:
    """The image service of runtime.v1 (cri-api, api.proto)."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel

    def _call(self, service: str, method: str, message: bytes, seconds: float = 100) -> bytes:
        answer: bytes = self.channel.unary_unary(f'/runtime.v1.{service}/{method}')(message, timeout=seconds)
        return answer

    def pull(self, image: str, login: tuple[str, str] | None = None, seconds: float = 100) -> None:
        """Pull an image by its full name, within so many seconds. Raises grpc.RpcError when containerd cannot."""
        auth = _field(2, _field(1, login[0].encode()) + _field(2, login[1].encode())) if login else b''
        self._call('ImageService', 'PullImage', _field(1, _field(1, image.encode())) + auth, seconds)

    def remove(self, image: str) -> None:
        self._call('ImageService', 'RemoveImage', _field(1, _field(1, image.encode())))

    def version(self) -> bytes:
        return self._call('RuntimeService', 'Version', b'')


@contextlib.contextmanager
def connect(host: Host) -> t.Iterator[Cri]:
    """A connection for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix='quickpull-cri-') as folder:
        local = Path(folder) / 'cri.sock'
        command = ['ssh', '-F', str(host.place.ssh / 'config'), '-N', '-L', f'{local}:{SOCKET}', host.name]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as tunnel:
            try:
                end = time.monotonic() + 20
                while not local.exists() and time.monotonic() < end:
                    time.sleep(0.05)
                with grpc.insecure_channel(f'unix:{local}') as channel:
                    yield Cri(channel)
            finally:
                tunnel.terminate()


def cold(host: Host) -> None:
    """Forget every image of the CRI, and what containerd kept of it."""
    host.run(
        'for at in $(ctr -n k8s.io images ls -q); do ctr -n k8s.io images rm --sync "$at" >/dev/null; done; '
        'for at in $(ctr -n k8s.io content ls -q); do ctr -n k8s.io content rm "$at" >/dev/null; done'
    )
