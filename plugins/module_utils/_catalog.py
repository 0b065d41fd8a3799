# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was reported of public mirrors, by whom and when.

Reports contradict each other by date and by where they were made from, so nothing here is a verdict: the catalogue offers
candidates and warns, the probe on a host decides. Only a domain whose registration lapsed is refused, because whoever
registers it next serves what he likes. Every row keeps its sources and dates. The rows stand in ``ENTRIES`` at the end.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._mirror import host_of, normalise_url, shown_url

# candidate: reported to work. restricted: reported to work for some. gone: reported dead. not_a_mirror: serves other content.
# lapsed: the registration of the domain lapsed, anybody may own it.
STATES = ('candidate', 'gone', 'lapsed', 'not_a_mirror', 'restricted')

# Places from which a mirror may be reached only. An entry without any is not known to be bound to a place.
PLACES = ('alibaba_cloud', 'elsewhere', 'mainland', 'tencent_cloud', 'ustc_campus')

# What else limits a mirror.
RESTRICTIONS = ('allow_list', 'rate_limit', 'stale', 'token')

_PARAMETER = re.compile(r'\{([a-z_]+)\}')
_LABEL = r'[a-z0-9](?:[a-z0-9-]*[a-z0-9])?'


@dataclass(frozen=True)
class Evidence:
    """One report. ``date`` is as exact as the source: YYYY, YYYY-MM or YYYY-MM-DD."""

    source: str
    date: str
    text: str


@dataclass(frozen=True)
class Entry:
    """A mirror, or what lists name a mirror.

    ``host`` may hold a parameter in braces (one host for each account), or a ``*`` in a row that only warns.
    """

    host: str
    upstream: str
    state: str
    evidence: tuple[Evidence, ...]
    reachable_from: tuple[str, ...] = ()
    restrictions: tuple[str, ...] = ()

    @property
    def parameter(self) -> str:
        """The name of the host's parameter, or ''."""
        found = _PARAMETER.search(self.host)
        return found.group(1) if found else ''

    def covers(self, host: str) -> bool:
        """Whether a host, in lower case and without port, is this entry."""
        pattern = ''.join(_LABEL if part == '*' or part.startswith('{') else re.escape(part) for part in re.split(r'(\*|\{[a-z_]+\})', self.host))
        return re.fullmatch(pattern, host.rstrip('.')) is not None

    def reached_from(self, places: t.Collection[str]) -> bool:
        """Whether the entry is not known to be out of reach from all of these places."""
        return not self.reachable_from or any(place in self.reachable_from for place in places)

    def url(self, parameters: t.Mapping[str, t.Any]) -> str:
        """The URL, with the parameter filled in. Raises ConfigError when it is missing or is no part of a host name."""
        if not self.parameter:
            return f'https://{self.host}'
        value = parameters.get(self.parameter)
        if value is None:
            raise ConfigError(f'{self.host} is one host for each account. Give parameters: {{{self.parameter}: YOURS}}.', key=self.parameter)
        if not re.fullmatch(_LABEL, str(value).lower()):
            raise ConfigError(f'parameters.{self.parameter}: letters, digits and hyphens are expected, as in the name of a host.', key=self.parameter)
        return f'https://{_PARAMETER.sub(str(value).lower(), self.host)}'


@dataclass(frozen=True)
class Advice:
    """What the catalogue says of a URL: ``kind`` is ok, warn or refuse; ``text`` holds the evidence, '' when it knows nothing."""

    kind: str
    text: str


def advice(url: str, upstream: str = '', entries: t.Sequence[Entry] | None = None) -> Advice:
    """What is known of a mirror that a user lists for an upstream ('' when that is not known)."""
    host = host_of(url)
    known = [entry for entry in (ENTRIES if entries is None else entries) if entry.covers(host)]
    of_upstream = [entry for entry in known if not upstream or entry.upstream == upstream]
    if not known:
        return Advice('ok', '')
    if not of_upstream:
        serves = ' and '.join(sorted({entry.upstream for entry in known}))
        return Advice('warn', f'{shown_url(url)} is known as a mirror of {serves}, not of {upstream}. {_evidence_words(known[0])}')
    entry = of_upstream[0]
    shown = shown_url(url)
    if entry.state == 'lapsed':
        return Advice('refuse', f'{shown}: the registration of this domain lapsed, so whoever owns it now may serve anything. {_evidence_words(entry)}')
    if entry.state == 'not_a_mirror':
        return Advice('warn', f'{shown} is no mirror of {entry.upstream}: it serves its own content. {_evidence_words(entry)}')
    if entry.state == 'gone':
        return Advice('warn', f'{shown} is reported gone. {_evidence_words(entry)}')
    if entry.state == 'restricted':
        return Advice('warn', f'{shown} is reported to work with limits ({_limit_words(entry)}). {_evidence_words(entry)}')
    return Advice('ok', _evidence_words(entry))


def _limit_words(entry: Entry) -> str:
    places = ' or '.join(place.replace('_', ' ') for place in entry.reachable_from)
    words = [f'from {places} only'] if places else []
    return ', '.join(words + [restriction.replace('_', ' ') for restriction in entry.restrictions])


def _evidence_words(entry: Entry) -> str:
    """The reports in the order of their dates: the newest last, where the eye rests."""
    reports = sorted(entry.evidence, key=lambda one: one.date)
    return ' '.join(f'[{one.date}, {one.source}] {one.text}.' for one in reports)


def catalog_warnings(urls: t.Iterable[str], upstream: str = '', entries: t.Sequence[Entry] | None = None) -> list[str]:
    """A sentence for each URL that the catalogue has doubts about."""
    found = (advice(url, upstream, entries) for url in urls)
    return [one.text for one in found if one.kind == 'warn']


def refused(urls: t.Iterable[str], allow: t.Iterable[str] = (), upstream: str = '', entries: t.Sequence[Entry] | None = None) -> list[dict[str, str]]:
    """The URLs on lapsed domains, each with the reason. ``allow`` names URLs or hosts that are wanted all the same."""
    allowed = {item for text in allow for item in (normalise_url(text), text.lower())}
    refusals = []
    for url in urls:
        one = advice(url, upstream, entries)
        if one.kind == 'refuse' and normalise_url(url) not in allowed and host_of(url) not in allowed:
            refusals.append({'url': url, 'reason': one.text})
    return refusals


def find(
    terms: t.Sequence[str],
    states: t.Collection[str] = ('candidate',),
    reachable_from: t.Collection[str] = (),
    without: t.Collection[str] = (),
    parameters: t.Mapping[str, t.Any] | None = None,
    entries: t.Sequence[Entry] | None = None,
) -> list[Entry]:
    """The entries of upstreams and the entries named, in the order of the catalogue.

    ``terms``: names of upstreams, to which the filters apply, and hosts, which are taken as they are named, lapsed ones and those
    that are no mirror excepted. No term means every upstream. ``reachable_from``: places that the hosts are in; empty means
    anywhere. ``without``: restrictions that cannot be lived with. An entry with a parameter that is not given is passed over
    when its upstream is asked for.

    Raises ConfigError on a term that is neither an upstream nor a host of the catalogue, and on one that is refused.
    """
    rows = ENTRIES if entries is None else entries
    upstreams = {entry.upstream for entry in rows}
    given = set(parameters or {})
    named = {host_of(term) or term.lower() for term in terms if term not in upstreams}
    asked = {term for term in terms if term in upstreams} if terms else upstreams
    _check_terms(named, rows, states)
    _check_parameters(given, rows)

    def fits(entry: Entry) -> bool:
        if entry.upstream not in asked or entry.state not in states:
            return False
        if entry.parameter and entry.parameter not in given:
            return False
        return (not reachable_from or entry.reached_from(reachable_from)) and not set(without) & set(entry.restrictions)

    return [entry for entry in rows if entry.host in named or fits(entry)]


def _check_terms(named: t.Collection[str], rows: t.Sequence[Entry], states: t.Collection[str]) -> None:
    by_host = {entry.host: entry for entry in rows}
    for name in sorted(named):
        if name not in by_host:
            known = ', '.join(sorted({entry.upstream for entry in rows}))
            raise ConfigError(f'{shown_url(name)!r} is not in the catalogue. Name one of its hosts, or an upstream: {known}.', key='_terms')
        state = by_host[name].state
        if state in ('lapsed', 'not_a_mirror') and state not in states:
            raise ConfigError(f'{advice("https://" + name, entries=rows).text} Add {state} to state to get it all the same.', key='_terms')


def _check_parameters(given: t.Collection[str], rows: t.Sequence[Entry]) -> None:
    known = {entry.parameter for entry in rows if entry.parameter}
    for name in sorted(given):
        if name not in known:
            raise ConfigError(f'parameters: {name!r} is no parameter of the catalogue. Known: {", ".join(sorted(known)) or "none"}.', key='parameters')


def as_mirror(entry: Entry, parameters: t.Mapping[str, t.Any] | None = None, trust: str = 'content') -> dict[str, t.Any]:
    """The entry as a mirror for a role or module."""
    return {'url': entry.url(parameters or {}), 'trust': trust, 'third_party': True}


def as_row(entry: Entry, parameters: t.Mapping[str, t.Any] | None = None) -> dict[str, t.Any]:
    """All that the catalogue holds of the entry; ``url`` is '' while the parameter is missing, and for a pattern."""
    incomplete = '*' in entry.host or (entry.parameter and entry.parameter not in (parameters or {}))
    return {
        'host': entry.host,
        'url': '' if incomplete else entry.url(parameters or {}),
        'upstream': entry.upstream,
        'state': entry.state,
        'reachable_from': list(entry.reachable_from),
        'restrictions': list(entry.restrictions),
        'parameter': entry.parameter,
        'evidence': [{'source': one.source, 'date': one.date, 'text': one.text} for one in entry.evidence],
    }


def _said(source: str, date: str) -> t.Callable[[str], Evidence]:
    """A source that speaks of several mirrors."""
    return lambda text: Evidence(source, date, text)


_ARTICLE = _said('a list published in an article', '2023-09')
_DONGYUBIN = _said('github.com/dongyubin/DockerHub', '2026-06-13')
_PRACTICE = _said('docker_practice', '2026-07-10')
_SURVEY = _said('survey for this catalogue', '2026-08')
_DAOCLOUD_README = _said('github.com/DaoCloud/public-image-mirror, README', '2026-08-07')
_DAOCLOUD_LIMITS = _said('github.com/DaoCloud/public-image-mirror', '2026-08-21')
_GOOGLE = _said('cloud.google.com, Artifact Registry, Pull cached Docker Hub images', '2026')

_HUB = 'docker.io'


def _daocloud(host: str, upstream: str, *more: Evidence) -> Entry:
    """A host of DaoCloud's mirror. Each pair of host and upstream was checked against the table in DaoCloud's own README."""
    limits = _DAOCLOUD_LIMITS('live; allow-list of images, 20 requests a minute for each address, tags cached for an hour')
    documented = _DAOCLOUD_README(f'documents {host} in the place of {upstream}, and that it serves no other upstream')
    return Entry(host, upstream, 'restricted', (*more, documented, limits), restrictions=('allow_list', 'rate_limit'))


def _gone(host: str, *evidence: Evidence) -> Entry:
    return Entry(host, _HUB, 'gone', evidence)


# No report says of any of these domains that its registration lapsed, so no row is `lapsed`: that a mirror stopped is no such
# report. Whoever adds such a row names a source that looked at the registration.
ENTRIES: tuple[Entry, ...] = (
    Entry(
        'docker.1ms.run',
        _HUB,
        'candidate',
        (Evidence('report of one user', '2025-09-27', 'failed'), _DONGYUBIN('works')),
    ),
    Entry('docker.1panel.live', _HUB, 'candidate', (_DONGYUBIN('works, for addresses in mainland China only'),), reachable_from=('mainland',)),
    Entry('docker.xuanyuan.me', _HUB, 'candidate', (_DONGYUBIN('works'),)),
    Entry('dockerproxy.net', _HUB, 'candidate', (_DONGYUBIN('works'),)),
    Entry('dockerproxy.link', _HUB, 'candidate', (_DONGYUBIN('works'),)),
    Entry('proxy.vvvv.ee', _HUB, 'candidate', (_DONGYUBIN('works'),)),
    Entry('docker.jiaxin.site', _HUB, 'candidate', (_DONGYUBIN('works'),)),
    Entry('registry.cyou', _HUB, 'candidate', (_DONGYUBIN('works'),)),
    Entry('free.hubfast.cn', _HUB, 'candidate', (_DONGYUBIN('works'),)),
    Entry('mirror.houlang.cloud', _HUB, 'candidate', (_DONGYUBIN('works, needs a registered token'),), restrictions=('token',)),
    _daocloud('docker.m.daocloud.io', _HUB, _ARTICLE('works')),
    _daocloud('quay.m.daocloud.io', 'quay.io'),
    _daocloud('ghcr.m.daocloud.io', 'ghcr.io'),
    _daocloud('gcr.m.daocloud.io', 'gcr.io'),
    _daocloud('k8s.m.daocloud.io', 'registry.k8s.io'),
    Entry(
        'mirror.gcr.io',
        _HUB,
        'restricted',
        (
            _GOOGLE('caches frequently used public images of Docker Hub, documented as a registry mirror of Docker'),
            _SURVEY('a real cache of Docker Hub, blocked in mainland China'),
        ),
        reachable_from=('elsewhere',),
    ),
    Entry(
        '{aliyun_id}.mirror.aliyuncs.com',
        _HUB,
        'restricted',
        (
            Evidence('users of Alibaba Cloud', '2022', 'serves stale images'),
            _ARTICLE('works'),
            Evidence('Alibaba Cloud', '2024-07-02', 'from machines in Alibaba Cloud only'),
            Evidence('github.com/Snailclimb/JavaGuide/issues/2893', '2026-08-05', 'status 403 elsewhere, images are no longer updated'),
        ),
        reachable_from=('alibaba_cloud',),
        restrictions=('stale',),
    ),
    Entry(
        'mirror.ccs.tencentyun.com',
        _HUB,
        'restricted',
        (_ARTICLE('dead'), _DONGYUBIN('works inside Tencent Cloud only'), _PRACTICE('works inside Tencent Cloud only')),
        reachable_from=('tencent_cloud',),
    ),
    Entry(
        'docker.mirrors.ustc.edu.cn',
        _HUB,
        'restricted',
        (Evidence('mirrors.ustc.edu.cn', '2022-08-24', 'status 403 off campus, no plan to restore it'), _ARTICLE('dead')),
        reachable_from=('ustc_campus',),
    ),
    _gone('dockerproxy.com', _ARTICLE('works'), _SURVEY('in no list of 2026, likely gone; dockerproxy.net is another service')),
    _gone('mirror.baidubce.com', _ARTICLE('works'), Evidence('report of a user', '2024-12-13', 'no such host'), _PRACTICE('stopped')),
    _gone('docker.nju.edu.cn', _ARTICLE('works'), Evidence('report of a user', '2024-06-13', 'dead'), _SURVEY('in no list of 2026')),
    _gone('docker.mirrors.sjtug.sjtu.edu.cn', _ARTICLE('works'), Evidence('sjtug.org', '2024-06-06', 'taken down')),
    _gone('hub-mirror.c.163.com', _ARTICLE('dead'), _PRACTICE('closed')),
    _gone('dockerhub.azk8s.cn', _ARTICLE('dead'), _PRACTICE('private')),
    _gone(
        'reg-mirror.qiniu.com',
        Evidence('github.com/docker-practice/docker-registry-cn-mirror-test/issues/3', '2020-05-30', 'stopped'),
        _ARTICLE('dead'),
    ),
    _gone('registry.docker-cn.com', Evidence('github.com/docker/docs/issues/8793', '2019-05', 'dead'), _ARTICLE('dead')),
    _gone('hub.atomgit.com', _PRACTICE('dead')),
    _gone('atomhub.openatom.cn', _DONGYUBIN('dead, closed on 2024-12-30')),
    _gone('hub.rat.dev', _DONGYUBIN('dead')),
    _gone('dockerpull.org', _DONGYUBIN('dead')),
    _gone('docker.rainbond.cc', _DONGYUBIN('dead')),
    _gone('dhub.kubesre.xyz', _DONGYUBIN('dead')),
    _gone('docker.unsee.tech', _DONGYUBIN('dead')),
    Entry('registry.cn-*.aliyuncs.com', _HUB, 'not_a_mirror', (_SURVEY('serves images that its own users pushed; lists name it as a mirror'),)),
    Entry('gcr.io', _HUB, 'not_a_mirror', (_SURVEY('serves its own content; the cache of Docker Hub is mirror.gcr.io'),)),
)
