# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the OCI distribution specification (1.1) wants of a registry that is pulled from: its endpoints by their numbers there, as a table.

Runs against a registry of our own making (test_conformance.py), and against the distribution registry (tests/lab/test_worker.py).
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass

from worker.runtime import Answer, Worker

TYPES = ', '.join(
    f'application/vnd.{one}+json' for one in (
        'oci.image.index.v1', 'oci.image.manifest.v1', 'docker.distribution.manifest.list.v2', 'docker.distribution.manifest.v2',
    )
)  # fmt: skip
CODES = {
    'BLOB_UNKNOWN', 'BLOB_UPLOAD_INVALID', 'BLOB_UPLOAD_UNKNOWN', 'DIGEST_INVALID', 'MANIFEST_BLOB_UNKNOWN', 'MANIFEST_INVALID', 'MANIFEST_UNKNOWN',
    'NAME_INVALID', 'NAME_UNKNOWN', 'SIZE_INVALID', 'UNAUTHORIZED', 'DENIED', 'UNSUPPORTED', 'TOOMANYREQUESTS',
}  # fmt: skip
NOWHERE = f'sha256:{"0" * 64}'


@dataclass(frozen=True)
class Target:
    """An image behind the Worker, which needs no token."""

    worker: Worker
    repository: str
    index: str  # digests
    manifest: str
    blob: str
    size: int  # of the blob
    newer: bool = True  # knows referrers and pages of tags, as distribution 2.8 does not

    def ask(self, rest: str, method: str = 'GET', **headers: str) -> Answer:
        return self.worker.ask(f'/v2/{self.repository}/{rest}', method, Accept=TYPES, **headers)


def ping(target: Target) -> None:
    assert target.worker.ask('/v2/').status == 200


def get(target: Target, kind: str, reference: str, digest: str, size: int = 0) -> None:
    answer = target.ask(f'{kind}/{reference}')
    assert (answer.status, answer.header('Docker-Content-Digest')) == (200, digest)
    assert f'sha256:{hashlib.sha256(answer.body).hexdigest()}' == digest
    assert int(answer.header('Content-Length')) == len(answer.body) and size in (0, len(answer.body))
    if kind == 'manifests':
        assert answer.header('Content-Type') == json.loads(answer.body)['mediaType']


def head(target: Target, kind: str, reference: str, digest: str, size: int = 0) -> None:
    answer = target.ask(f'{kind}/{reference}', 'HEAD')
    assert (answer.status, answer.body, answer.header('Docker-Content-Digest')) == (200, b'', digest)
    assert int(answer.header('Content-Length')) == (size or len(target.ask(f'{kind}/{reference}').body))


def missing(target: Target, kind: str, reference: str, code: str) -> None:
    answer = target.ask(f'{kind}/{reference}')
    assert (answer.status, answer.codes()) == (404, [code])
    assert answer.header('Content-Type') == 'application/json' and code in CODES
    assert target.ask(f'{kind}/{reference}', 'HEAD').status == 404


def part(target: Target) -> None:
    answer = target.ask(f'blobs/{target.blob}', Range='bytes=1-2')
    assert (answer.status, answer.header('Content-Range'), len(answer.body)) == (206, f'bytes 1-2/{target.size}', 2)
    assert answer.body == target.ask(f'blobs/{target.blob}').body[1:3]
    assert target.ask(f'blobs/{target.blob}', Range=f'bytes={target.size}-').status == 416


def tags(target: Target) -> None:
    told = json.loads(target.ask('tags/list').body)
    assert told['name'].endswith(target.repository) and told['tags'] == sorted(told['tags']) != []


def few_tags(target: Target) -> None:
    first = target.ask('tags/list?n=1')
    assert first.status == 200 and len(json.loads(first.body)['tags']) == 1
    after = json.loads(target.ask(f'tags/list?n=1&last={json.loads(first.body)["tags"][0]}').body)['tags'] or []
    assert not target.newer or not set(after) & set(json.loads(first.body)['tags'])


def referrers(target: Target, query: str = '') -> None:
    answer = target.ask(f'referrers/{target.manifest}{query}')
    if not target.newer:
        assert answer.status == 404  # clients then look for the tag that stands in for them
        return
    assert (answer.status, answer.header('Content-Type')) == (200, 'application/vnd.oci.image.index.v1+json')
    assert json.loads(answer.body)['manifests'] == []
    assert not query or answer.header('OCI-Filters-Applied') == 'artifactType'


def refused(target: Target, method: str, rest: str) -> None:
    answer = target.worker.ask(f'/v2/{target.repository}/{rest}', method, body='x')
    assert (answer.status, answer.codes()) == (405, ['UNSUPPORTED'])


def invalid(target: Target, rest: str, code: str) -> None:
    answer = target.ask(rest)
    assert 400 <= answer.status < 500 and answer.codes() == [code] and code in CODES


Case = t.Tuple[str, str, t.Callable[[Target], None]]

#: Number in the specification, what is tried, how.
CASES: tuple[Case, ...] = (
    ('end-1', 'ping', ping),
    ('end-2', 'GET blob', lambda at: get(at, 'blobs', at.blob, at.blob, at.size)),
    ('end-2', 'HEAD blob', lambda at: head(at, 'blobs', at.blob, at.blob, at.size)),
    ('end-2', 'no such blob', lambda at: missing(at, 'blobs', NOWHERE, 'BLOB_UNKNOWN')),
    ('end-2', 'a digest that is none', lambda at: invalid(at, 'blobs/sha256:x', 'DIGEST_INVALID')),
    ('end-2', 'a range of a blob', part),
    ('end-3', 'GET manifest by tag', lambda at: get(at, 'manifests', 'latest', at.index)),
    ('end-3', 'GET manifest by digest', lambda at: get(at, 'manifests', at.manifest, at.manifest)),
    ('end-3', 'HEAD manifest by tag', lambda at: head(at, 'manifests', 'latest', at.index)),
    ('end-3', 'HEAD manifest by digest', lambda at: head(at, 'manifests', at.manifest, at.manifest)),
    ('end-3', 'no such tag', lambda at: missing(at, 'manifests', 'nothing', 'MANIFEST_UNKNOWN')),
    ('end-3', 'no such digest', lambda at: missing(at, 'manifests', NOWHERE, 'MANIFEST_UNKNOWN')),
    ('end-3', 'a tag that is none', lambda at: missing(at, 'manifests', '.INVALID_MANIFEST_NAME', 'MANIFEST_UNKNOWN')),
    ('end-8a', 'tags', tags),
    ('end-8b', 'some of the tags', few_tags),
    ('end-12a', 'referrers', referrers),
    ('end-12b', 'referrers of a type', lambda at: referrers(at, '?artifactType=a%2Fb')),
    ('end-4a', 'POST upload', lambda at: refused(at, 'POST', 'blobs/uploads/')),
    ('end-4b', 'POST upload whole', lambda at: refused(at, 'POST', f'blobs/uploads/?digest={NOWHERE}')),
    ('end-5', 'PATCH upload', lambda at: refused(at, 'PATCH', 'blobs/uploads/x')),
    ('end-6', 'PUT upload', lambda at: refused(at, 'PUT', f'blobs/uploads/x?digest={NOWHERE}')),
    ('end-7', 'PUT manifest', lambda at: refused(at, 'PUT', 'manifests/latest')),
    ('end-9', 'DELETE manifest', lambda at: refused(at, 'DELETE', 'manifests/latest')),
    ('end-10', 'DELETE blob', lambda at: refused(at, 'DELETE', f'blobs/{at.blob}')),
    ('end-11', 'POST mount', lambda at: refused(at, 'POST', f'blobs/uploads/?mount={NOWHERE}&from=other')),
)
