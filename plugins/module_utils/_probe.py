# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All mirrors at once, within one deadline, and what they served compared with each other."""

from __future__ import annotations

import copy
import dataclasses
import threading
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.quickpull.registry.plugins.module_utils._http import Deadline, TlsContexts
from ansible_collections.quickpull.registry.plugins.module_utils._mask import mask_url
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import Mirror, normalise_url
from ansible_collections.quickpull.registry.plugins.module_utils._probe_freshness import find_references, judge_age, lacking_dates
from ansible_collections.quickpull.registry.plugins.module_utils._probe_verdict import Finding
from ansible_collections.quickpull.registry.plugins.module_utils._probe_visit import Settings, Visit, tls_files

MAX_CONCURRENCY = 64
# A visit ends by itself at the deadline and then knows best what it waited for; this is how long it gets to say so.
GRACE_SECONDS = 0.25
# On a blocked site the upstream does not answer at all: nobody waits for it much longer than for the mirrors.
UPSTREAM_SECONDS = 3.0


@dataclass(frozen=True)
class Job:
    """A whole probe. *expected*: digests by the images' names as given. *upstream*: its URL, None to leave it alone."""

    mirrors: tuple[Mirror, ...]
    settings: Settings
    deadline: float = 20.0
    concurrency: int = MAX_CONCURRENCY
    upstream: str | None = None
    expected: t.Mapping[str, str] = field(default_factory=dict)
    stale_after: float = 86400.0


@dataclass
class _Crew:
    """Visits under way in threads of their own. All are daemons: one that hangs in a look-up of a name must not hold up the exit."""

    contexts: TlsContexts
    deadline: Deadline
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def send(self, visits: t.Sequence[tuple[Mirror, Settings]], concurrency: int) -> _Party:
        """Start the visits, *concurrency* at a time; each gets its fair share of the time that is left."""
        party = _Party([Finding(mask_url(mirror.url)) for mirror, _settings in visits], set(), self._changed)
        at_once = max(1, min(concurrency, MAX_CONCURRENCY, len(visits)))
        share = self.deadline.remaining() / max(1, -(-len(visits) // at_once))
        waiting = iter(list(enumerate(visits)))

        def work() -> None:
            while True:
                with self._changed:
                    position, (mirror, settings) = next(waiting, (-1, (None, None)))
                if mirror is None or settings is None:
                    return
                self._visit(mirror, settings, self.deadline.within(share), party, position)

        for _number in range(at_once if visits else 0):
            threading.Thread(target=work, name='probe', daemon=True).start()
        return party

    def _visit(self, mirror: Mirror, settings: Settings, deadline: Deadline, party: _Party, position: int) -> None:
        finding = party.findings[position]
        try:
            Visit(mirror, settings, deadline, self.contexts, finding).run()
        except Exception as exc:  # noqa: BLE001  pylint: disable=broad-except
            # A fault of ours with one mirror must not cost the verdicts on all others.
            finding.state, finding.failed_at = 'not_a_registry', finding.step
            finding.reason = f'The probe could not make sense of its answers ({type(exc).__name__}).'
        with self._changed:
            party.done.add(position)
            self._changed.notify_all()


@dataclass
class _Party:
    findings: list[Finding]
    done: set[int]
    changed: threading.Condition

    def wait(self, seconds: float) -> bool:
        """Wait until all are done, *seconds* at most; whether they are."""
        with self.changed:
            return self.changed.wait_for(lambda: len(self.done) == len(self.findings), max(0.0, seconds))

    def results(self, deadline: float) -> list[Finding]:
        """The findings as they are now; what is not done counts as timed out, at the step where it is."""
        with self.changed:
            done = set(self.done)
        return [one if position in done else _unfinished(one, deadline) for position, one in enumerate(self.findings)]


def run(job: Job, *, contexts: TlsContexts | None = None, now: t.Callable[[], float] = time.time) -> dict[str, t.Any]:
    """Probe, and return what the module returns. Raises ConfigError for certificates on this host that cannot be used.

    Ends within the deadline and GRACE_SECONDS, whatever the mirrors do.
    """
    contexts = contexts or TlsContexts()
    for mirror in job.mirrors:
        if mirror.url.lower().startswith('https:') or mirror.ca_path or mirror.client_cert:
            contexts.get(tls_files(mirror, job.settings.ca_paths))
    deadline = Deadline(job.deadline)
    started = time.monotonic()
    crew = _Crew(contexts, deadline)
    unique = {normalise_url(mirror.url): mirror for mirror in reversed(job.mirrors)}
    asked = list(unique)
    upstream = _Upstream(job, crew)
    party = crew.send([(unique[key], job.settings) for key in asked], job.concurrency)
    party.wait(deadline.remaining() + GRACE_SECONDS)
    findings = party.results(job.deadline)
    references = upstream.references(findings, now())
    for finding in findings:
        judge_age(finding, references, job.stale_after, now())
    results = [{**findings[asked.index(normalise_url(mirror.url))].as_dict(), 'url': mask_url(mirror.url)} for mirror in job.mirrors]
    return {
        'results': results,
        'reference': {name: reference.as_dict() for name, reference in references.items()},
        'upstream': upstream.as_dict(),
        'elapsed': round(time.monotonic() - started, 3),
    }


class _Upstream:
    """The upstream itself: a HEAD tells the digest and is free; more, which counts as a pull, is asked only when it decides something."""

    def __init__(self, job: Job, crew: _Crew) -> None:
        self._job = job
        self._crew = crew
        images = tuple(image for image in job.settings.images if not image.digest and image.name not in job.expected)
        self._settings = dataclasses.replace(job.settings, depth='digest', images=images, prefer_direct=False)
        self._party = self._send(self._settings) if job.upstream and images and job.settings.reaches('digest') else None
        self._finding: Finding | None = None

    def _send(self, settings: Settings) -> _Party:
        return self._crew.send([(Mirror(url=str(self._job.upstream)), settings)], 1)

    def _await(self, party: _Party) -> Finding:
        party.wait(min(UPSTREAM_SECONDS, self._crew.deadline.remaining()))
        return party.results(self._job.deadline)[0]

    def references(self, findings: t.Sequence[Finding], now: float) -> dict[str, t.Any]:
        job = self._job
        self._finding = self._await(self._party) if self._party else None
        references = find_references(job.settings.images, findings, self._finding, job.expected, now)
        doubtful = lacking_dates(references, findings, now)
        if self._finding is None or not doubtful:
            return references
        images = tuple(image for image in job.settings.images if image.name in doubtful)
        more = self._await(self._send(dataclasses.replace(self._settings, depth='config', images=images)))
        self._finding.requests += more.requests
        for name, facts in more.images.items():
            if facts.get('digest'):
                self._finding.images[name] = facts
        return find_references(job.settings.images, findings, self._finding, job.expected, now)

    def as_dict(self) -> dict[str, t.Any] | None:
        return self._finding.as_dict() if self._finding else None


def _unfinished(finding: Finding, seconds: float) -> Finding:
    """A copy that its thread cannot change any more, with the verdict `timeout`."""
    found = copy.copy(finding)
    found.images, found.notes, found.latencies = dict(finding.images), list(finding.notes), list(finding.latencies)
    found.state, found.failed_at = 'timeout', found.step
    found.reason = f'The mirror was still at the step {found.step} when the deadline of {seconds:g} s was over.'
    return found
