# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which mirrors serve an old image: a pure function over what all of them served."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils._probe_verdict import Finding
from ansible_collections.quickpull.registry.plugins.module_utils._registry import Image, parse_created

# Reproducible builds set the date to the epoch, to 1980 (zip's) or to the zero time of Go; the first registry is of 2013.
EARLIEST = 1356998400.0  # 2013-01-01
# Clocks of hosts differ a little; a date further ahead is a lie, or this host's clock is wrong.
CLOCK_SKEW = 300.0


@dataclass(frozen=True)
class Reference:
    """The digest that an image should have. *source*: `expected`, `upstream` or `newest`. *created* as its config tells it."""

    digest: str
    source: str
    platform_digest: str | None = None
    created: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        return {'digest': self.digest, 'source': self.source, 'created': self.created}


def usable(created: str | None, now: float) -> float | None:
    """A date that says something of an image's age, in epoch seconds; else None. *now* likewise."""
    seconds = parse_created(created)
    return seconds if seconds is not None and EARLIEST <= seconds <= now + CLOCK_SKEW else None


def find_references(
    images: t.Sequence[Image], findings: t.Sequence[Finding], upstream: Finding | None, expected: t.Mapping[str, str], now: float
) -> dict[str, Reference]:
    """For each image that goes by a tag its reference: the expected digest, else the upstream's, else the newest that a good mirror serves.

    Never what most of them serve: two old mirrors outvote a fresh one. *expected* goes by the images' names as given.
    """
    found = {}
    for image in images:
        if image.digest:  # what a digest asked for is verified already, and cannot be old
            continue
        served = [facts for facts in (_facts(finding, image) for finding in findings if finding.state == 'ok') if facts]
        official = _facts(upstream, image) if upstream is not None else None
        reference = _given(image, served, official, expected) or _newest(served, now)
        if reference:
            found[image.name] = reference
    return found


def judge_age(finding: Finding, references: t.Mapping[str, Reference], stale_after: float, now: float) -> None:
    """Turn a good finding into a stale one, or add the note `digest_differs`, where it serves something else than the reference.

    *stale_after* in seconds. Without a usable date there is no verdict, only the notes `digest_differs` and `age_unknown`.
    """
    if finding.state != 'ok':
        return
    for name, reference in references.items():
        facts = finding.images.get(name)
        if not facts or not facts.get('digest') or reference.digest in (facts['digest'], facts.get('platform_digest')):
            continue
        _note(finding, 'digest_differs')
        # The same image for this platform under another index: another platform was built anew, or attestations were added.
        if reference.platform_digest and reference.platform_digest == facts.get('platform_digest'):
            continue
        since = usable(reference.created, now)
        own = usable(facts.get('created'), now)
        if since is None or (reference.source == 'newest' and own is None):
            _note(finding, 'age_unknown')
        elif now - since > stale_after and not (reference.source == 'newest' and own is not None and own >= since):
            finding.notes.remove('digest_differs')
            finding.state, finding.failed_at = 'stale', 'manifest'
            finding.reason = _reason(name, facts, reference)
            return


def lacking_dates(references: t.Mapping[str, Reference], findings: t.Iterable[Finding], now: float) -> list[str]:
    """The images for which the upstream should be asked for more than the digest, because somebody differs and the age is not known."""
    good = [finding for finding in findings if finding.state == 'ok']
    return [
        name
        for name, reference in references.items()
        if reference.source == 'upstream'
        and usable(reference.created, now) is None
        and any(finding.images.get(name, {}).get('digest') not in (None, reference.digest) for finding in good)
    ]


def _facts(finding: Finding | None, image: Image) -> dict[str, str | None] | None:
    facts = finding.images.get(image.name) if finding is not None else None
    return facts if facts and facts.get('digest') else None


def _given(image: Image, served: list[dict[str, str | None]], official: dict[str, str | None] | None, expected: t.Mapping[str, str]) -> Reference | None:
    """The reference that somebody named, with what those who serve it know of it."""
    digest, source = expected.get(image.name), 'expected'
    if not digest and official:
        digest, source = official['digest'], 'upstream'
    if not digest:
        return None
    same = [facts for facts in ([official] if official else []) + served if digest in (facts['digest'], facts.get('platform_digest'))]
    platform = next((facts['platform_digest'] for facts in same if facts.get('platform_digest')), None)
    created = next((facts['created'] for facts in same if facts.get('created')), None)
    return Reference(digest, source, platform, created)


def _newest(served: list[dict[str, str | None]], now: float) -> Reference | None:
    best: tuple[float, Reference] | None = None
    for facts in served:
        seconds = usable(facts.get('created'), now)
        if seconds is not None and facts['digest'] and (best is None or seconds > best[0]):
            best = (seconds, Reference(facts['digest'], 'newest', facts.get('platform_digest'), facts.get('created')))
    return best[1] if best else None


def _reason(name: str, facts: t.Mapping[str, str | None], reference: Reference) -> str:
    own = f', created {facts["created"]},' if facts.get('created') else ''
    whose = {'expected': 'the expected image', 'upstream': "the upstream's image", 'newest': 'the newest image served'}[reference.source]
    return f'For {name} it serves {_short(facts["digest"])}{own} while {whose} is {_short(reference.digest)}, created {reference.created}.'


def _short(digest: str | None) -> str:
    return (digest or '')[:19]


def _note(finding: Finding, note: str) -> None:
    if note not in finding.notes:
        finding.notes.append(note)
