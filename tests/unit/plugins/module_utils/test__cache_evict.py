# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that the role pull_through_cache puts on a cache."""

from __future__ import annotations

import importlib.util
import json
import os
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.quickpull.registry.plugins.module_utils import _cache_model

PROGRAM = Path(_cache_model.__file__).resolve().parents[2] / 'roles/pull_through_cache/files/quickpull-cache-evict.py'


@pytest.fixture(scope='module', name='program')
def load() -> t.Any:
    spec = importlib.util.spec_from_file_location('quickpull_cache_evict', PROGRAM)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def put(store: Path, instance: str, name: str, size: int, used: int) -> Path:
    data = store / instance / 'docker/registry/v2/blobs/sha256' / name[:2] / name / 'data'
    data.parent.mkdir(parents=True)
    data.write_bytes(b'x' * size)
    os.utime(data, (used, used))
    return data.parent


def test_what_was_used_least_recently_goes_first(program: t.Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, middle, new = put(tmp_path, 'docker.io', 'aa1', 50, 1), put(tmp_path, 'quay.io', 'aa2', 30, 2), put(tmp_path, 'docker.io', 'bb1', 30, 3)
    (tmp_path / 'docker.io/scheduler-state.json').write_text('{}')
    config = tmp_path / 'evict.json'
    flag = tmp_path / 'full'
    config.write_text(json.dumps({'store': str(tmp_path), 'limit': 100, 'reserve': 0, 'front': str(tmp_path), 'full': str(flag)}))
    program.sys.argv = ['evict', str(config)]
    program.main()
    assert not old.exists() and middle.exists() and new.exists()
    assert capsys.readouterr().out == '60 bytes of 100 are used; 1 blobs and 0 links were taken away.\n'


def put_upload(store: Path, name: str, size: int, written: int) -> Path:
    data = store / 'docker.io/docker/registry/v2/repositories/library/big/_uploads' / name / 'data'
    data.parent.mkdir(parents=True)
    data.write_bytes(b'x' * size)
    os.utime(data, (written, written))
    return data.parent


def test_what_broke_off_on_its_way_goes_first_and_what_is_on_it_counts(program: t.Any, tmp_path: Path) -> None:
    now = 100_000
    old, new = put(tmp_path, 'docker.io', 'aa1', 40, now - 9), put(tmp_path, 'docker.io', 'bb1', 40, now - 8)
    broken, going = put_upload(tmp_path, 'one', 30, now - 3601), put_upload(tmp_path, 'two', 30, now - 5)
    assert program.evict(str(tmp_path), 140, now=now) == (140, 0)
    assert program.evict(str(tmp_path), 130, now=now) == (110, 1)
    assert not broken.exists() and going.exists() and old.exists()
    assert program.evict(str(tmp_path), 100, now=now) == (70, 1)
    assert not old.exists() and new.exists() and going.exists()


@given(sizes=st.lists(st.integers(0, 40), max_size=6), limit=st.integers(0, 120))
def test_the_limit_is_kept_and_no_more_is_taken_than_that_takes(program: t.Any, tmp_path_factory: pytest.TempPathFactory, sizes: list[int], limit: int) -> None:
    store = tmp_path_factory.mktemp('store')
    folders = [put(store, 'one', f'{number:02}', size, number + 1) for number, size in enumerate(sizes)]
    left, gone = program.evict(str(store), limit)
    there = [folder.exists() for folder in folders]
    assert there == sorted(there) and there.count(False) == gone
    assert left == sum(size for size, stays in zip(sizes, there) if stays) <= limit
    if gone:
        assert left + sizes[gone - 1] > limit * program.ENOUGH
    assert program.evict(str(store), limit) == (left, 0)


def link(store: Path, instance: str, place: str) -> Path:
    path = store / instance / 'docker/registry/v2/repositories/team/app' / place / 'link'
    path.parent.mkdir(parents=True)
    path.write_text('sha256:x')
    return path


def test_links_whose_blob_is_gone_go_too(program: t.Any, tmp_path: Path) -> None:
    there, gone = 'a' * 64, 'b' * 64
    put(tmp_path, 'docker.io', there, 1, 1)
    put(tmp_path, 'quay.io', gone, 1, 1)  # of another instance
    kinds = ('_layers/sha256/{}', '_manifests/revisions/sha256/{}', '_manifests/tags/latest/index/sha256/{}')
    stay = [link(tmp_path, 'docker.io', kind.format(there)) for kind in kinds] + [link(tmp_path, 'docker.io', '_manifests/tags/latest/current')]
    lost = [link(tmp_path, 'docker.io', kind.format(gone)) for kind in kinds]
    assert program.sweep(str(tmp_path)) == 3
    assert all(path.exists() for path in stay) and not any(path.exists() for path in lost)
    assert program.sweep(str(tmp_path)) == 0


def test_links_are_looked_for_once_an_hour(program: t.Any, tmp_path: Path) -> None:
    marker = str(tmp_path / 'swept')
    times = (1000, 1001, 1000 + 3599, 1000 + 3600, 1000 + 3601, 10)
    assert [program.is_time(marker, now) for now in times] == [True, False, False, True, False, True]  # at the end the clock was set back


@given(sizes=st.lists(st.integers(1, 40), max_size=6), missing=st.integers(0, 120))
def test_room_is_made_for_others_and_no_more_than_they_lack(program: t.Any, tmp_path_factory: pytest.TempPathFactory, sizes: list[int], missing: int) -> None:
    store = tmp_path_factory.mktemp('store')
    for number, size in enumerate(sizes):
        put(store, 'one', f'{number:02}', size, number + 1)
    left, gone = program.evict(str(store), 1000, missing)
    freed = sum(sizes) - left
    assert freed == sum(sizes[:gone]) and (freed >= missing or left == 0)
    assert not gone or freed - sizes[gone - 1] < missing


def test_a_full_disk_is_told_to_the_front_until_it_is_no_more(program: t.Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, flag, config = tmp_path / 'store', tmp_path / 'full', tmp_path / 'evict.json'
    store.mkdir()
    told = {'store': str(store), 'limit': 100, 'front': str(tmp_path), 'full': str(flag)}
    program.sys.argv = ['evict', str(config)]
    for reserve, full in ((1 << 62, True), (1 << 62, True), (0, False), (0, False)):
        config.write_text(json.dumps({**told, 'reserve': reserve}))
        program.main()
        assert flag.exists() == full
        assert ('The disk is full' in capsys.readouterr().out) == full
