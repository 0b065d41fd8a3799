# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps what the instances of a pull-through cache store below a limit, and room on the disk: the blobs that were used least recently go first.

The registry knows no limit. It runs on meanwhile: a blob that is gone is fetched from the upstream again when somebody asks for it
(registry/proxy/proxyblobstore.go: what the local store does not have is asked of the remote one).

The front makes room by itself as long as it stores anything. Where that is not enough, because others fill the disk, it is told by a file to store nothing
for now: it would otherwise break off an answer that it cannot write down.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time

CONFIG = '/etc/quickpull-cache/evict.json'
# Below the limit by as much, so that not each new blob is the end of an old one.
ENOUGH = 0.9
# Seconds between two looks for links that lead nowhere, which takes a walk over all repositories.
SWEEP_EVERY = 3600

# Seconds without a byte after which a blob that is on its way is taken for one that broke off.
BROKEN_AFTER = 3600

HEX = re.compile(r'[0-9a-f]{64}\Z')


def blobs(store):
    """Of each blob: when it was used last, its bytes, its directory."""
    for instance in sorted(os.listdir(store)):
        root = os.path.join(store, instance, 'docker/registry/v2/blobs/sha256')
        for folder, _folders, files in os.walk(root):
            if 'data' not in files:
                continue
            try:
                info = os.stat(os.path.join(folder, 'data'))
            except FileNotFoundError:
                continue
            yield max(info.st_atime, info.st_mtime), info.st_size, folder


def uploads(store):
    """Of each blob that is on its way, or that broke off there: when it was written last, its bytes, its directory."""
    for instance in sorted(os.listdir(store)):
        for folder, _folders, files in os.walk(os.path.join(store, instance, 'docker/registry/v2/repositories')):
            if 'data' not in files or os.path.basename(os.path.dirname(folder)) != '_uploads':
                continue
            try:
                info = os.stat(os.path.join(folder, 'data'))
            except FileNotFoundError:
                continue
            yield info.st_mtime, info.st_size, folder


def free(place):
    """Bytes that the file system of a directory has left."""
    stat = os.statvfs(place)
    return stat.f_bavail * stat.f_frsize


def evict(store, limit, missing=0, now=None):
    """Returns the bytes that are left, and how many blobs went. ``missing``: so many bytes have to go at least, as far as there are any.

    Those that broke off on their way are the first to go; those that are on it count, and stay.
    """
    broken = (time.time() if now is None else now) - BROKEN_AFTER
    on_their_way = sorted(uploads(store))
    found = [one for one in on_their_way if one[0] < broken] + sorted(blobs(store))
    total = sum(size for _used, size, _folder in found) + sum(size for written, size, _folder in on_their_way if written >= broken)
    wanted = total - missing
    if total > limit:
        wanted = min(wanted, limit * ENOUGH)
    gone = 0
    for _used, size, folder in found:
        if total <= wanted:
            break
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            total -= size
            gone += 1
    return total, gone


def sweep(store):
    """Take away the links in repositories whose blob is gone, be it by us or by the registry's own time to live, and return how many there were.

    The registry writes a blob before the link to it (registry/storage/blobwriter.go, Commit), so one that is on its way is not taken for one that is gone.
    """
    gone = 0
    for instance in sorted(os.listdir(store)):
        root = os.path.join(store, instance, 'docker/registry/v2')
        for folder, folders, files in os.walk(os.path.join(root, 'repositories')):
            name = os.path.basename(folder)
            if 'link' in files and HEX.match(name) and not os.path.exists(os.path.join(root, 'blobs/sha256', name[:2], name, 'data')):
                shutil.rmtree(folder, ignore_errors=True)
                folders.clear()
                gone += 1
    return gone


def is_time(marker, now):
    """Whether the last sweep was long ago; from now on, this one is the last."""
    try:
        last = os.stat(marker).st_mtime
    except FileNotFoundError:
        last = None
    if last is not None and last <= now < last + SWEEP_EVERY:
        return False
    with open(marker, 'w', encoding='utf-8'):
        pass
    os.utime(marker, (now, now))
    return True


def tell_front(place, reserve, flag):
    """Have the front store nothing while there is far less room than it makes. Returns whether that is so."""
    full = free(place) < reserve / 4
    if full and not os.path.exists(flag):
        with open(flag, 'w', encoding='utf-8'):
            pass
    elif not full and os.path.exists(flag):
        os.remove(flag)
    return full


def main():
    with open(sys.argv[1] if len(sys.argv) > 1 else CONFIG, encoding='utf-8') as file:
        config = json.loads(''.join(line for line in file if not line.startswith('#')))
    left, gone = evict(config['store'], config['limit'], max(0, config['reserve'] - free(config['store'])))
    links = sweep(config['store']) if is_time(os.path.join(os.path.dirname(config['full']), 'swept'), time.time()) else 0
    full = tell_front(config['front'], config['reserve'], config['full'])
    if gone or links or full:  # once a minute is too often for what is always the same
        told = ' The disk is full, so the front stores nothing.' if full else ''
        print(f'{left} bytes of {config["limit"]} are used; {gone} blobs and {links} links were taken away.{told}')


if __name__ == '__main__':
    main()
