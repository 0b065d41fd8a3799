# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images that the lab's registries serve, made by hand and pushed over the registry's own API. Runs in the services container.

Each image exists twice: the current one, made three days ago, and under ``old/`` the one of two years ago that the stale mirror serves.
library/fresh was made an hour ago: of it a mirror may still have the old one without being stale.
"""
from __future__ import annotations

import datetime
import gzip
import hashlib
import http.client
import io
import json
import platform
import random
import subprocess
import tarfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

BUSYBOX = '/bin/busybox'
MEGABYTE = 1 << 20
# A mirror with other content counts as stale only when the right image has been out for more than a day.
NEW = datetime.timedelta(days=3)
FRESH = datetime.timedelta(hours=1)
OLD = datetime.timedelta(days=730)
ARCHITECTURES = {'x86_64': 'amd64', 'aarch64': 'arm64'}

DOCKER = {'index': 'application/vnd.docker.distribution.manifest.list.v2+json', 'manifest': 'application/vnd.docker.distribution.manifest.v2+json',
          'config': 'application/vnd.docker.container.image.v1+json', 'layer': 'application/vnd.docker.image.rootfs.diff.tar.gzip'}
OCI = {'index': 'application/vnd.oci.image.index.v1+json', 'manifest': 'application/vnd.oci.image.manifest.v1+json',
       'config': 'application/vnd.oci.image.config.v1+json', 'layer': 'application/vnd.oci.image.layer.v1.tar+gzip'}


def _date(moment: datetime.datetime) -> str:
    return moment.strftime('%Y-%m-%dT%H:%M:%SZ')


def digest_of(data: bytes) -> str:
    return 'sha256:' + hashlib.sha256(data).hexdigest()


def _compact(document: t.Any) -> bytes:
    return json.dumps(document, separators=(',', ':')).encode()


@dataclass(frozen=True)
class Layer:
    """One layer: its uncompressed tar and what travels."""

    tar: bytes
    blob: bytes


@dataclass(frozen=True)
class Image:
    """One image for one platform."""

    config: bytes
    manifest: bytes
    media_type: str
    layers: tuple[Layer, ...]
    platform: str


def make_layer(files: t.Mapping[str, bytes | str], level: int = 6) -> Layer:
    """A layer of files (bytes), symbolic links (text) and folders (a name with a slash at its end); the same bytes each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w', format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.rstrip('/'))
            entry.mode = 0o1777 if name == 'tmp/' else 0o755
            if name.endswith('/'):
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
            elif isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    tar = buffer.getvalue()
    return Layer(tar=tar, blob=gzip.compress(tar, level, mtime=0))


def make_image(layers: t.Sequence[Layer], created: str, command: t.Sequence[str], kinds: t.Mapping[str, str], architecture: str) -> Image:
    config = _compact({
        'architecture': architecture, 'os': 'linux', 'created': created,
        'config': {'Cmd': list(command), 'Env': ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin']},
        'rootfs': {'type': 'layers', 'diff_ids': [digest_of(layer.tar) for layer in layers]},
        'history': [{'created': created, 'created_by': 'quickpull lab'} for dummy in layers]})
    manifest = _compact({
        'schemaVersion': 2, 'mediaType': kinds['manifest'],
        'config': {'mediaType': kinds['config'], 'size': len(config), 'digest': digest_of(config)},
        'layers': [{'mediaType': kinds['layer'], 'size': len(layer.blob), 'digest': digest_of(layer.blob)} for layer in layers]})
    return Image(config, manifest, kinds['manifest'], tuple(layers), f'linux/{architecture}')


class Pusher:
    """Writes to a distribution registry on this machine."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection('127.0.0.1', port, timeout=60)

    def _ask(self, method: str, path: str, body: bytes = b'', content_type: str = 'application/octet-stream') -> http.client.HTTPResponse:
        self.connection.request(method, path, body, {'Content-Type': content_type})
        response = self.connection.getresponse()
        said = response.read()
        if response.status >= 400 and response.status != 404:
            raise RuntimeError(f'{method} {path}: {response.status} {said.decode(errors="replace")}')
        return response

    def blob(self, repo: str, data: bytes) -> None:
        digest = digest_of(data)
        if self._ask('HEAD', f'/v2/{repo}/blobs/{digest}').status == 200:
            return
        location = self._ask('POST', f'/v2/{repo}/blobs/uploads/').headers['Location']
        path = location.partition('/v2/')[2]
        self._ask('PUT', f'/v2/{path}&digest={digest}', data)

    def manifest(self, repo: str, reference: str, data: bytes, media_type: str) -> None:
        self._ask('PUT', f'/v2/{repo}/manifests/{reference}', data, media_type)

    def image(self, repo: str, image: Image, reference: str) -> None:
        for data in (*(layer.blob for layer in image.layers), image.config):
            self.blob(repo, data)
        self.manifest(repo, reference, image.manifest, image.media_type)

    def index(self, repo: str, tag: str, images: t.Sequence[Image], kinds: t.Mapping[str, str]) -> dict[str, t.Any]:
        """Push an image for several platforms; returns what to expect of it."""
        for image in images:
            self.image(repo, image, digest_of(image.manifest))
        index = _compact({'schemaVersion': 2, 'mediaType': kinds['index'], 'manifests': [
            {'mediaType': image.media_type, 'size': len(image.manifest), 'digest': digest_of(image.manifest),
             'platform': {'os': 'linux', 'architecture': image.platform.partition('/')[2]}} for image in images]})
        self.manifest(repo, tag, index, kinds['index'])
        return _described(digest_of(index), kinds['index'], images)

    def single(self, repo: str, tag: str, image: Image) -> dict[str, t.Any]:
        self.image(repo, image, tag)
        return _described(digest_of(image.manifest), image.media_type, [image])


def _described(digest: str, media_type: str, images: t.Sequence[Image]) -> dict[str, t.Any]:
    return {'digest': digest, 'media_type': media_type,
            'platforms': {image.platform: {'digest': digest_of(image.manifest), 'config': digest_of(image.config),
                                           'created': json.loads(image.config)['created'],
                                           'layers': [{'digest': digest_of(layer.blob), 'size': len(layer.blob)} for layer in image.layers]}
                          for image in images}}


def _busybox(version: str) -> Layer:
    applets = subprocess.run([BUSYBOX, '--list'], stdout=subprocess.PIPE, check=True, encoding='utf-8').stdout.split()
    files: dict[str, bytes | str] = {f'{folder}/': b'' for folder in ('bin', 'dev', 'etc', 'proc', 'root', 'sys', 'tmp', 'usr', 'var', 'www')}
    files['bin/busybox'] = Path(BUSYBOX).read_bytes()
    files.update({f'bin/{applet}': 'busybox' for applet in applets if applet != 'busybox'})
    files['etc/passwd'] = b'root:x:0:0:root:/root:/bin/sh\n'
    files['etc/group'] = b'root:x:0:\n'
    files['etc/lab-version'] = version.encode() + b'\n'
    return make_layer(files)


def _random_layer(seed: int, size: int) -> Layer:
    # Stored, not compressed: random bytes would not get smaller.
    return make_layer({'data/': b'', f'data/{seed}': random.Random(seed).randbytes(size)}, level=0)


def fill(port: int, now: datetime.datetime, archive: Path) -> dict[str, t.Any]:
    """Push everything; write ``docker save``-like busybox to ``archive``. Returns repository -> digests to expect."""
    push = Pusher(port)
    here = ARCHITECTURES.get(platform.machine(), 'amd64')
    platforms = (here, 'arm64' if here == 'amd64' else 'amd64')
    big = [_random_layer(seed, 32 * MEGABYTE) for seed in (1, 2)]
    known: dict[str, t.Any] = {}
    for prefix, version, age in (('', 'new', NEW), ('old/', 'old', OLD)):
        created = _date(now - age)
        base = _busybox(version)
        page = make_layer({'www/': b'', 'www/index.html': f'<!doctype html><title>lab</title><p>{version}\n'.encode()})
        shell = [make_image([base], created, ['sh'], DOCKER, name) for name in platforms]
        web = [make_image([base, page], created, ['httpd', '-f', '-p', '80', '-h', '/www'], OCI, name) for name in platforms]
        known[f'{prefix}library/busybox'] = push.index(f'{prefix}library/busybox', 'latest', shell, DOCKER)
        known[f'{prefix}library/nginx'] = push.index(f'{prefix}library/nginx', 'latest', web, OCI)
        fresh = [make_image([base, page], created if version == 'old' else _date(now - FRESH), ['sh'], OCI, here)]
        known[f'{prefix}library/fresh'] = push.index(f'{prefix}library/fresh', 'latest', fresh, OCI)
        known[f'{prefix}library/big'] = push.single(f'{prefix}library/big', 'latest', make_image([base, *big], created, ['sh'], DOCKER, here))
        if version == 'new':
            _save(shell[0], 'busybox:latest', archive)
    return known


def _save(image: Image, tag: str, archive: Path) -> None:
    """What ``docker load`` takes."""
    config = hashlib.sha256(image.config).hexdigest() + '.json'
    files: dict[str, bytes | str] = {config: image.config}
    for number, layer in enumerate(image.layers):
        files[f'{number}.tar'] = layer.tar
    files['manifest.json'] = _compact([{'Config': config, 'RepoTags': [tag], 'Layers': [f'{number}.tar' for number in range(len(image.layers))]}])
    archive.write_bytes(make_layer(files, level=0).tar)
