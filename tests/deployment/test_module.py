# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module with the real SDK, against a stand-in of the API."""

from __future__ import annotations

import json
import re
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _worker_api
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.modules import cloudflare_worker
from ansible_collections.quickpull.registry.tests.unit.plugins.fake_module import FakeModule
from deployment import small_cloudflare
from deployment.small_cloudflare import ACCOUNT, DOMAINS_ONLY, TOKEN, Cloud, Failure

DEFAULTS: dict[str, t.Any] = {
    'account_id': ACCOUNT, 'api_token': TOKEN, 'name': 'mirror', 'upstreams': ['docker.io', 'quay.io'], 'domain': '', 'hosts': {}, 'attach': 'domain',
    'workers_dev': None, 'default_upstream': None, 'allow': [], 'cache_blobs': True, 'client_logins': {}, 'upstream_logins': {},
    'compatibility_date': '2025-07-01', 'force': False, 'state': 'present',
}  # fmt: skip
HUB_LOGIN = {'docker.io': {'username': 'acme-hub', 'password': 'HUB-S3CRET'}}
ZONE = 'a' * 32
COMMENT = 'quickpull.registry: the Worker mirror'


class Place:
    """A folder with modules, and Cloudflare."""

    def __init__(self, folder: Path, cloud: Cloud, url: str) -> None:
        self.folder, self.cloud, self.url = folder, cloud, url
        self.module = FakeModule(False, {})

    def run(self, *, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        self.cloud.asked.clear()
        self.module = FakeModule(check, {**DEFAULTS, 'modules_path': str(self.folder), 'api_url': self.url, **params})
        return cloudflare_worker.run(t.cast(t.Any, self.module), _worker_api.connect)

    def marker(self) -> t.Any:
        return next(one['json'] for one in self.cloud.scripts['mirror']['bindings'] if one['name'] == 'QUICKPULL')

    def settings(self) -> t.Any:
        return next(one['json'] for one in self.cloud.scripts['mirror']['bindings'] if one['name'] == 'SETTINGS')

    def steady(self, **params: t.Any) -> None:
        """A further run changes nothing."""
        again = self.run(**params)
        assert (again['changed'], again['steps'], self.cloud.writes()) == (False, [], [])
        assert again['diff']['before'] == again['diff']['after']


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Place]:
    for name in ('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'all_proxy'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr('cloudflare._base_client.INITIAL_RETRY_DELAY', 0.01)
    (tmp_path / 'worker.js').write_text("import { x } from './routes.js'; export default { fetch() { return new Response(x); } };\n")
    (tmp_path / 'routes.js').write_text('export const x = 1;\n')
    (tmp_path / 'README.md').write_text('no module')
    cloud = Cloud()
    with small_cloudflare.serving(cloud) as url:
        yield Place(tmp_path, cloud, url)


def test_custom_domains_from_nothing_to_nothing(place: Place) -> None:
    params: dict[str, t.Any] = {'domain': 'example.com', 'upstream_logins': HUB_LOGIN, 'allow': ['docker.io/library/*']}
    before = place.cloud.kept()
    predicted = place.run(check=True, **params)
    assert place.cloud.kept() == before
    assert place.cloud.writes() == []

    done = place.run(**params)
    assert {**predicted, 'diff': 0} == {**done, 'diff': 0}
    assert predicted['diff'] == done['diff']
    assert done['steps'] == [
        'upload the Worker mirror, since there is none',
        'make docker.example.com a custom domain of it',
        'make quay.example.com a custom domain of it',
        'serve it nowhere below workers.dev',
    ]
    assert done['mirrors'] == {'docker.io': ['https://docker.example.com'], 'quay.io': ['https://quay.example.com']}
    assert done['urls'] == ['https://docker.example.com', 'https://quay.example.com']
    script = place.cloud.scripts['mirror']
    assert sorted(script['modules']) == ['routes.js', 'worker.js']
    bindings = {one['name']: one for one in script['bindings']}
    assert bindings['SETTINGS']['json'] == {
        'hosts': {'docker.example.com': 'docker.io', 'quay.example.com': 'quay.io'},
        'upstreams': {'docker.io': {'url': 'https://registry-1.docker.io'}, 'quay.io': {'url': 'https://quay.io'}},
        'allow': ['docker.io/library/*'], 'cache_blobs': True, 'default': '',
    }  # fmt: skip
    assert json.loads(bindings['UPSTREAM_LOGINS']['text']) == HUB_LOGIN
    assert 'CLIENT_LOGINS' not in bindings
    assert [(one['hostname'], one['service'], one['zone_id']) for one in place.cloud.domains] == [
        ('docker.example.com', 'mirror', ZONE), ('quay.example.com', 'mirror', ZONE)
    ]  # fmt: skip
    assert (script['enabled'], script['previews']) == (False, False)
    place.steady(**params)

    predicted = place.run(check=True, state='absent', **params)
    assert place.cloud.writes() == []
    gone = place.run(state='absent', **params)
    assert gone['steps'] == predicted['steps']
    assert gone['steps'][-1] == 'delete the Worker mirror'
    assert place.cloud.kept() == [{}, [], {}, {ZONE: []}]
    assert gone['mirrors'] == {}
    place.steady(state='absent', **params)


def test_routes_with_records_of_their_own(place: Place) -> None:
    params: dict[str, t.Any] = {'hosts': {'hub.example.com': 'docker.io'}, 'attach': 'route', 'workers_dev': True}
    done = place.run(**params)
    assert done['steps'] == [
        'upload the Worker mirror, since there is none',
        'make a DNS record hub.example.com',
        'make a route hub.example.com/*',
        'serve it at https://mirror.acme.workers.dev',
    ]
    assert done['mirrors'] == {
        'docker.io': ['https://hub.example.com', 'https://mirror.acme.workers.dev'], 'quay.io': ['https://mirror.acme.workers.dev/v2/quay.io']
    }  # fmt: skip
    (record,) = place.cloud.records[ZONE]
    assert (record['type'], record['content'], record['proxied'], record['comment']) == ('AAAA', '100::', True, COMMENT)
    assert [(one['pattern'], one['script']) for one in place.cloud.routes[ZONE]] == [('hub.example.com/*', 'mirror')]
    place.steady(**params)
    # Without the list of hosts: the Worker itself knows what is its own.
    place.run(state='absent')
    assert place.cloud.kept() == [{}, [], {ZONE: []}, {ZONE: []}]


def test_below_workers_dev_alone_nothing_of_zones_is_asked(place: Place) -> None:
    place.cloud.permissions = frozenset({'scripts:edit'})
    done = place.run()
    assert done['urls'] == ['https://mirror.acme.workers.dev']
    assert place.settings()['default'] == 'docker.io'
    place.steady()
    assert not [line for line in place.cloud.asked if '/zones' in line]
    place.cloud.scripts['mirror']['previews'] = True
    assert place.run()['steps'] == ['serve it at https://mirror.acme.workers.dev']
    place.run(state='absent')
    assert place.cloud.scripts == {}


def test_custom_domains_need_to_edit_no_zone(place: Place) -> None:
    place.cloud.permissions = DOMAINS_ONLY
    place.run(domain='example.com')
    place.steady(domain='example.com')
    place.run(domain='example.com', state='absent')
    assert place.cloud.scripts == {}


def test_what_changes_is_uploaded_and_nothing_else(place: Place) -> None:
    params: dict[str, t.Any] = {'client_logins': {'builder': 'PULL-S3CRET'}}
    place.run(**params)
    place.steady(**params)
    salt = place.marker()['salt']

    other = place.run(client_logins={'builder': 'OTHER-S3CRET'})
    assert other['steps'] == ['upload the Worker mirror, since its secrets differ']
    assert place.marker()['salt'] != salt
    assert 'CLIENT_LOGINS (changed)' in other['diff']['after']
    place.steady(client_logins={'builder': 'OTHER-S3CRET'})

    (place.folder / 'routes.js').write_text('export const x = 2;\n')
    assert place.run(client_logins={'builder': 'OTHER-S3CRET'})['steps'] == ['upload the Worker mirror, since its modules or settings differ']
    assert place.run(client_logins={})['steps'] == ['upload the Worker mirror, since its secrets differ']
    assert [one['name'] for one in place.cloud.scripts['mirror']['bindings']] == ['SETTINGS', 'QUICKPULL']

    place.cloud.scripts['mirror']['bindings'][0]['json']['allow'] = ['docker.io/*']
    put_right = place.run()
    assert put_right['steps'] == ['upload the Worker mirror, since somebody changed its settings']
    assert '"docker.io/*"' in put_right['diff']['before']
    place.steady()


def test_no_secret_in_what_is_told(place: Place) -> None:
    done = place.run(client_logins={'builder': 'PULL-S3CRET'}, upstream_logins=HUB_LOGIN)
    told = json.dumps(done)
    assert not [word for word in ('S3CRET', TOKEN, 'builder') if word in told]
    assert place.module.no_log_values == {TOKEN, 'PULL-S3CRET', 'HUB-S3CRET'}
    assert 'S3CRET' not in json.dumps(place.marker())


@pytest.mark.parametrize('logins', [
    {'upstream_logins': {'docker.io': {'user': 'acme', 'pass': 'S3CRET'}}}, {'upstream_logins': {'docker.io': 'acme:S3CRET'}},
    {'client_logins': {'builder': {'password': 'S3CRET'}}},
])  # fmt: skip
def test_a_login_that_is_misspelt_is_cut_out_of_the_results_too(place: Place, logins: dict[str, t.Any]) -> None:
    with pytest.raises(ConfigError, match='login'):
        place.run(**logins)
    assert any('S3CRET' in value for value in place.module.no_log_values)


def test_hosts_come_and_go_and_change_their_way(place: Place) -> None:
    place.run(hosts={'a.example.com': 'docker.io', 'b.example.com': {'upstream': 'quay.io', 'attach': 'route'}})
    place.cloud.add_record('example.com', 'c.example.com', 'TXT', 'theirs')
    swapped = {'a.example.com': {'upstream': 'docker.io', 'attach': 'route'}, 'b.example.com': {'upstream': 'quay.io', 'attach': 'domain'}}
    done = place.run(hosts=swapped)
    assert done['steps'] == [
        'upload the Worker mirror, since it does not know a.example.com, b.example.com as its own',
        'take the custom domain a.example.com away', 'make a DNS record a.example.com', 'make a route a.example.com/*',
        'take the route b.example.com/* away', 'take the DNS record b.example.com away', 'make b.example.com a custom domain of it',
    ]  # fmt: skip
    place.steady(hosts=swapped)

    fewer = {'c.example.com': 'docker.io'}
    done = place.run(hosts=fewer)
    assert done['steps'][0] == 'upload the Worker mirror, since its modules or settings differ'
    assert done['steps'][1] == 'make c.example.com a custom domain of it'
    assert done['steps'][2:] == [
        'take the route a.example.com/* away', 'take the DNS record a.example.com away', 'take the custom domain b.example.com away',
        'upload the Worker mirror, since it can forget a.example.com, b.example.com',
    ]  # fmt: skip
    place.steady(hosts=fewer)
    place.run(state='absent')
    assert [one['name'] for one in place.cloud.records[ZONE]] == ['c.example.com']


def test_a_host_name_that_somebody_gave_the_worker_stays_until_it_is_ours(place: Place) -> None:
    place.run()
    place.cloud.put_domain(json.dumps({'hostname': 'theirs.example.com', 'service': 'mirror', 'zone_id': ZONE}).encode())
    place.steady()
    for hosts in ({}, {'other.example.com': 'docker.io'}):
        with pytest.raises(ConfigError, match=r'theirs.example.com also leads to the Worker mirror, .* set force'):
            place.run(state='absent', hosts=hosts)
    assert place.cloud.writes() == []
    place.run(state='absent', force=True)
    assert (place.cloud.domains, place.cloud.scripts) == ([], {})


def test_a_route_that_could_not_be_taken_away_before_is_taken_away_with_its_host_name(place: Place) -> None:
    hosts: dict[str, t.Any] = {'a.example.com': 'docker.io', 'b.example.com': {'upstream': 'quay.io', 'attach': 'route'}}
    place.run(hosts=hosts)
    made = place.cloud.kept()
    for then in ({'hosts': {'a.example.com': 'docker.io'}}, {'state': 'absent'}):
        place.cloud.scripts, place.cloud.domains, place.cloud.routes, place.cloud.records = json.loads(json.dumps(made))
        place.cloud.failures.append(Failure('DELETE', '/workers/routes/', 500, 'busy', {}, 3))
        with pytest.raises(ConfigError, match=r'taking the route b.example.com/\* away'):
            place.run(hosts={**hosts, 'b.example.com': 'quay.io'})
        place.run(**then)
        assert place.cloud.routes[ZONE] == []
        assert 'b.example.com' not in [one['name'] for one in place.cloud.records[ZONE]]


@pytest.mark.parametrize('attach', ['domain', 'route'])
def test_a_zone_that_is_gone_stops_no_removal(place: Place, attach: str) -> None:
    hosts = {'a.example.com': 'docker.io', 'b.other.example': 'quay.io'}
    place.run(hosts=hosts, attach=attach)
    place.cloud.permissions = frozenset(one for one in small_cloudflare.ALL if not one.startswith('routes:'))
    with pytest.raises(ConfigError, match='"Workers Routes: Read" of the zone'):
        place.run(state='absent')
    place.cloud.permissions = small_cloudflare.ALL

    # With a zone Cloudflare takes all that belongs to it.
    del place.cloud.zones['other.example']
    place.cloud.domains = [one for one in place.cloud.domains if one['zone_name'] != 'other.example']
    place.cloud.routes.pop('b' * 32, None)
    place.cloud.records.pop('b' * 32, None)
    before = place.cloud.kept()
    place.run(hosts={'a.example.com': 'docker.io'}, attach=attach, allow=['docker.io/*'])
    assert 'b.other.example' not in str(place.marker())
    assert len(place.module.warnings) == 1
    assert 'The zone of b.other.example' in place.module.warnings[0]
    place.steady(hosts={'a.example.com': 'docker.io'}, attach=attach, allow=['docker.io/*'])
    assert place.module.warnings == []

    place.cloud.scripts, place.cloud.domains, place.cloud.routes, place.cloud.records = before
    place.run(hosts=hosts, attach=attach, state='absent')
    assert len(place.module.warnings) == 1
    assert (place.cloud.scripts, place.cloud.domains, place.cloud.routes.get(ZONE, []), place.cloud.records[ZONE]) == ({}, [], [], [])
    place.steady(hosts=hosts, attach=attach, state='absent')


def foreign_script(cloud: Cloud) -> None:
    cloud.add_script('mirror')


def foreign_domain(cloud: Cloud) -> None:
    cloud.add_script('site')
    cloud.put_domain(json.dumps({'hostname': 'docker.example.com', 'service': 'site', 'zone_id': ZONE}).encode())


def foreign_route(cloud: Cloud) -> None:
    cloud.add_route('example.com', 'docker.example.com/*', 'site')


def foreign_wildcard(cloud: Cloud) -> None:
    cloud.add_route('example.com', '*.example.com/*', 'site')


def foreign_record(cloud: Cloud) -> None:
    for number in range(4):
        cloud.add_record('example.com', 'docker.example.com', 'TXT', f'text {number}')
    cloud.add_record('example.com', 'docker.example.com', 'CNAME', 'host.example.net')


FOREIGN: list[tuple[t.Callable[[Cloud], None], str]] = [
    (foreign_script, r'there is a Worker mirror that this module did not make.*set force'),
    (foreign_domain, r'hosts.docker.example.com: this is a custom domain of the Worker site'),
    (foreign_route, r'the route docker.example.com/\* leads to site. Take it away'),
    (foreign_wildcard, r'the route \*.example.com/\* leads to site'),
    (foreign_record, r'a DNS record \(CNAME host.example.net\) of this name that somebody else made. Delete it'),
]


@pytest.mark.parametrize('make, words', FOREIGN, ids=lambda one: getattr(one, '__name__', ''))
@pytest.mark.parametrize('check', [False, True])
def test_what_is_somebody_elses_is_left(place: Place, make: t.Callable[[Cloud], None], words: str, check: bool) -> None:
    make(place.cloud)
    before = place.cloud.kept()
    with pytest.raises(ConfigError, match=words):
        place.run(check=check, domain='example.com')
    assert place.cloud.kept() == before
    assert place.cloud.writes() == []


def test_what_is_in_nobodys_way(place: Place) -> None:
    place.cloud.add_route('example.com', '*.example.com/*', 'site')
    place.cloud.add_route('example.com', 'https://www.example.com/*', 'site')
    place.cloud.add_record('example.com', 'docker.example.com', 'TXT', 'theirs')
    place.cloud.add_record('example.com', 'www.example.com')
    before = place.cloud.kept()
    place.run(domain='example.com', upstreams=['quay.io'], attach='route')
    place.steady(domain='example.com', upstreams=['quay.io'], attach='route')
    place.run(state='absent')
    assert place.cloud.kept() == before


def test_force_replaces_a_worker_and_takes_one_away(place: Place) -> None:
    place.cloud.add_script('mirror')
    done = place.run(force=True)
    assert done['steps'][0] == "upload the Worker mirror, since the one of this name is somebody else's, and force is set"
    assert done['diff']['before'] != done['diff']['after']
    place.steady()
    place.cloud.scripts.clear()
    place.cloud.add_script('mirror')
    with pytest.raises(ConfigError, match='set force'):
        place.run(state='absent')
    place.run(state='absent', force=True)
    assert place.cloud.scripts == {}


@pytest.mark.parametrize('missing, words', [
    ('scripts:edit', '"Workers Scripts: Edit" of the account'),
    ('zone:read', r'no zone of hub.example.com, or the API token may not see it \("Zone: Read"\). It sees: none'),
    ('dns:', '"DNS: Read" of the zone'),
    ('routes:', '"Workers Routes: Read" of the zone'),
])  # fmt: skip
def test_an_error_names_the_permission(place: Place, missing: str, words: str) -> None:
    place.cloud.permissions = frozenset(one for one in place.cloud.permissions if not one.startswith(missing))
    with pytest.raises(ConfigError, match=words):
        place.run(hosts={'hub.example.com': 'docker.io'}, attach='route')
    assert place.cloud.writes() == []


def test_a_failure_in_the_middle_says_what_was_done_and_is_gone_on_from(place: Place) -> None:
    params: dict[str, t.Any] = {'hosts': {'hub.example.com': 'docker.io'}, 'attach': 'route'}
    place.cloud.permissions = DOMAINS_ONLY
    with pytest.raises(ConfigError) as failed:
        place.run(**params)
    assert '"DNS: Edit" of the zone' in str(failed.value)
    assert 'This was to make a DNS record hub.example.com. Done before that: upload the Worker mirror, since there is none.' in str(failed.value)
    place.cloud.permissions = small_cloudflare.ALL
    # The account may serve a new Worker below workers.dev by itself.
    assert place.run(**params)['steps'] == ['make a DNS record hub.example.com', 'make a route hub.example.com/*', 'serve it nowhere below workers.dev']
    place.steady(**params)


def test_a_host_name_that_could_not_be_taken_away_is_not_forgotten(place: Place) -> None:
    hosts = {'a.example.com': 'docker.io', 'b.example.com': 'quay.io'}
    place.run(hosts=hosts)
    place.cloud.failures.append(Failure('DELETE', '/domains/', 500, 'busy', {}, 3))
    fewer: dict[str, t.Any] = {'hosts': {'a.example.com': 'docker.io'}, 'upstreams': ['docker.io']}
    with pytest.raises(ConfigError, match=r'fails at taking the custom domain b.example.com away.*Done before that: upload the Worker mirror'):
        place.run(**fewer, allow=['docker.io/library/*'])
    # As long as it leads to the Worker it stands for its own registry: another one's image by the same name would be another image.
    settings = place.settings()
    assert settings['hosts'] == hosts
    assert settings['upstreams']['quay.io'] == {'url': 'https://quay.io'}
    assert (settings['allow'], settings['default']) == (['docker.io/library/*'], '')
    told = place.run(**fewer, allow=['docker.io/library/*'])
    assert told['steps'] == [
        'take the custom domain b.example.com away', 'upload the Worker mirror, since it can forget b.example.com',
    ]  # fmt: skip
    assert (place.settings()['hosts'], list(place.settings()['upstreams'])) == (fewer['hosts'], ['docker.io'])
    place.steady(**fewer, allow=['docker.io/library/*'])


def test_a_host_name_that_was_taken_away_is_no_longer_ours(place: Place) -> None:
    place.run(hosts={'a.example.com': 'docker.io', 'b.example.com': 'quay.io'})
    place.run(hosts={'a.example.com': 'docker.io'})
    place.cloud.put_domain(json.dumps({'hostname': 'b.example.com', 'service': 'mirror', 'zone_id': ZONE}).encode())
    place.steady(hosts={'a.example.com': 'docker.io'})
    with pytest.raises(ConfigError, match=r'b\.example\.com also leads to the Worker mirror'):
        place.run(state='absent')


def test_a_host_name_that_somebody_took_away_is_forgotten(place: Place) -> None:
    place.run(hosts={'a.example.com': 'docker.io', 'b.example.com': 'quay.io'})
    place.cloud.delete_domain(place.cloud.domains[1]['id'])
    done = place.run(hosts={'a.example.com': 'docker.io'})
    assert done['steps'] == ['upload the Worker mirror, since its modules or settings differ']
    place.steady(hosts={'a.example.com': 'docker.io'})


def test_a_route_in_another_zone_than_before(place: Place) -> None:
    place.cloud.zones['lab.example.com'] = 'c' * 32
    params: dict[str, t.Any] = {'attach': 'route'}
    old = {'q.lab.example.com': {'upstream': 'docker.io', 'zone': 'example.com'}}
    place.run(hosts=old, **params)
    new = {'q.lab.example.com': 'docker.io'}
    place.cloud.failures.append(Failure('DELETE', '/workers/routes/', 500, 'busy', {}, 3))
    with pytest.raises(ConfigError, match=r'taking the route q.lab.example.com/\* away'):
        place.run(hosts=new, **params)
    done = place.run(hosts=new, **params)
    assert '"q.lab.example.com": "route and route in another zone"' in done['diff']['before']
    assert done['steps'] == [
        'take the route q.lab.example.com/* away', 'take the DNS record q.lab.example.com away',
        'upload the Worker mirror, since it can forget the former zone of q.lab.example.com',
    ]  # fmt: skip
    assert (place.cloud.routes[ZONE], place.cloud.records[ZONE]) == ([], [])
    place.steady(hosts=new, **params)
    place.run(hosts=old, **params)
    place.steady(hosts=old, **params)
    place.cloud.failures.append(Failure('DELETE', '/workers/routes/', 500, 'busy', {}, 3))
    with pytest.raises(ConfigError, match=r'taking the route q.lab.example.com/\* away'):
        place.run(hosts=new, **params)
    place.run(state='absent')
    assert place.cloud.kept() == [{}, [], {ZONE: [], 'c' * 32: []}, {ZONE: [], 'c' * 32: []}]


def test_code_that_is_refused_leaves_the_worker_that_was_there(place: Place) -> None:
    place.run()
    before = place.cloud.kept()
    (place.folder / 'worker.js').write_text('SYNTAX ERROR')
    with pytest.raises(ConfigError, match=r'answered uploading the Worker mirror with an error: Uncaught SyntaxError(.|\n)*what served before still does'):
        place.run()
    assert place.cloud.kept() == before


def test_an_answer_that_is_lost_says_nothing_of_what_was_done(place: Place) -> None:
    place.run()
    (place.folder / 'routes.js').write_text('export const x = 2;\n')
    place.cloud.failures.append(Failure('PUT', '/scripts/mirror$', 500, 'busy', {}, 3, done=True))
    with pytest.raises(ConfigError, match=r'This was to upload the Worker mirror.* It may have been done all the same\. The next run'):
        place.run()
    assert place.cloud.uploads == 4
    place.steady()


@pytest.mark.parametrize('method, path', [('POST', '/workers/routes$'), ('POST', '/dns_records$')])
def test_what_was_made_though_its_answer_was_lost_is_ours(place: Place, method: str, path: str) -> None:
    params: dict[str, t.Any] = {'hosts': {'hub.example.com': 'docker.io'}, 'attach': 'route'}
    place.cloud.failures.append(Failure(method, path, 500, 'busy', done=True))
    place.run(**params)
    assert len([line for line in place.cloud.writes() if re.search(f'^{method} .*{path}', line)]) > 1
    place.steady(**params)


@pytest.mark.parametrize('path', ['/workers/routes/', '/dns_records/', '/domains/', '/scripts/mirror$'])
def test_what_was_taken_away_though_its_answer_was_lost_is_gone(place: Place, path: str) -> None:
    place.run(hosts={'a.example.com': 'docker.io', 'b.example.com': {'upstream': 'quay.io', 'attach': 'route'}})
    place.cloud.failures.append(Failure('DELETE', path, 500, 'busy', done=True))
    place.run(state='absent')
    assert place.cloud.kept() == [{}, [], {ZONE: []}, {ZONE: []}]


@pytest.mark.parametrize('path, answer, words', [
    ('/workers/routes$', (409, 10020, 'A route with the same pattern already exists.'), r'making the route hub.*\(code 10020\)'),
    ('/dns_records$', (400, 81058, 'An identical record already exists.'), r'making the DNS record hub.*\(code 81058\)'),
])  # fmt: skip
def test_what_somebody_else_made_meanwhile_is_not_ours(place: Place, path: str, answer: tuple[int, int, str], words: str) -> None:
    status, code, text = answer
    place.cloud.failures.append(Failure('POST', path, status, errors(code, text), times=9))
    with pytest.raises(ConfigError, match=words):
        place.run(hosts={'hub.example.com': 'docker.io'}, attach='route')


@pytest.mark.parametrize('change', [{'proxied': False}, {'content': '2001:db8::1'}, {'type': 'A', 'content': '192.0.2.1'}])
def test_a_record_of_ours_that_somebody_changed_is_put_right(place: Place, change: dict[str, t.Any]) -> None:
    params: dict[str, t.Any] = {'hosts': {'hub.example.com': 'docker.io'}, 'attach': 'route'}
    place.run(**params)
    (record,) = place.cloud.records[ZONE]
    record.update(change)
    done = place.run(**params)
    assert done['steps'] == ['take the DNS record hub.example.com away', 'make a DNS record hub.example.com']
    assert '"hub.example.com": "route with a record that somebody changed"' in done['diff']['before']
    assert '"hub.example.com": "route"' in done['diff']['after']
    (record,) = place.cloud.records[ZONE]
    assert (record['type'], record['content'], record['proxied']) == ('AAAA', '100::', True)
    place.steady(**params)


def test_bindings_that_somebody_added_are_taken_away(place: Place) -> None:
    place.run()
    place.cloud.scripts['mirror']['bindings'].append({'type': 'plain_text', 'name': 'CLIENT_LOGINS', 'text': '{"them": "x"}'})
    done = place.run()
    assert done['steps'] == ['upload the Worker mirror, since somebody changed its bindings']
    assert 'CLIENT_LOGINS (plain_text)' in done['diff']['before']
    assert 'CLIENT_LOGINS' not in done['diff']['after']
    place.steady()


def test_the_diff_shows_what_leads_to_the_worker(place: Place) -> None:
    hosts: dict[str, t.Any] = {'a.example.com': 'docker.io', 'b.example.com': {'upstream': 'quay.io', 'attach': 'route'}}
    place.run(hosts=hosts)
    place.cloud.domains.clear()
    place.cloud.records[ZONE] = [one for one in place.cloud.records[ZONE] if not one.get('meta')]
    place.cloud.routes[ZONE].clear()
    place.cloud.scripts['mirror'].update(enabled=True, previews=True)
    done = place.run(hosts=hosts)
    before, after = (json.loads(done['diff'][one]) for one in ('before', 'after'))
    assert (before['hosts'], after['hosts']) == ({'a.example.com': '', 'b.example.com': 'record'}, {'a.example.com': 'domain', 'b.example.com': 'route'})
    assert (before['workers_dev'], after['workers_dev']) == ('served, with its previews', 'not served')
    fewer = place.run(hosts={}, state='absent')
    assert json.loads(fewer['diff']['before'])['hosts'] == after['hosts']
    assert fewer['diff']['after'] == ''


SETTINGS = r'/scripts/mirror/settings'
HOLD = {'Retry-After': '600', 'x-should-retry': 'false'}


def errors(code: int, message: str) -> t.Any:
    return {'success': False, 'errors': [{'code': code, 'message': message}], 'messages': [], 'result': None}


@pytest.mark.parametrize('failure, words', [
    (Failure('GET', SETTINGS, 429, errors(10013, 'slow down'), HOLD, 1), r'slow down \(code 10013\). .*600 seconds'),
    (Failure('GET', SETTINGS, 502, '<html>bad gateway</html>', {}, 9), r'reading the Worker mirror, also when asked again: HTTP 502. Try again later'),
    (Failure('GET', SETTINGS, 400, errors(6003, 'Invalid request headers'), {}, 1), 'not in the form of a token; check api_token'),
    (Failure('GET', SETTINGS, 404, errors(7003, 'Could not route to /accounts'), {}, 1), 'Check account_id'),
    (Failure('GET', SETTINGS, 400, errors(10001, 'Unsupported content'), {}, 1), r'answered reading the Worker mirror with an error: Unsupported content'),
    (Failure('GET', SETTINGS, 403, '', {}, 1), 'lacks the permission "Workers Scripts: Edit"'),
    (Failure('GET', SETTINGS, 400, {'errors': 'odd'}, {}, 1), 'HTTP 400'),
    (Failure('GET', SETTINGS, 400, {'errors': ['odd', {'code': 'x'}]}, {}, 1), 'answered reading the Worker mirror with an error'),
])  # fmt: skip
def test_what_goes_wrong_with_the_api_is_a_sentence(place: Place, failure: Failure, words: str) -> None:
    place.cloud.failures.append(failure)
    with pytest.raises(ConfigError, match=words):
        place.run()
    assert place.cloud.writes() == []


def test_what_passes_is_asked_again(place: Place) -> None:
    place.cloud.failures += [Failure('GET', SETTINGS, 503, 'busy'), Failure('GET', SETTINGS, 429, errors(10013, 'slow down'), {'Retry-After': '0.01'})]
    place.run()
    assert place.cloud.uploads == 1


def test_an_api_that_is_not_there(place: Place) -> None:
    with pytest.raises(ConfigError, match=r'cannot be reached for reading the Worker mirror: .*Check the network, the proxy'):
        place.run(api_url='http://127.0.0.1:1/client/v4')


def test_a_token_of_somebody_else_and_no_token(place: Place) -> None:
    with pytest.raises(ConfigError, match=r'Invalid access token \(code 9109\)') as failed:
        place.run(api_token='W' * 40)
    assert 'WWWW' not in str(failed.value)
    for text in ('', ' ', None, 'two words', 'line\nbreak'):
        with pytest.raises(ConfigError, match='CLOUDFLARE_API_TOKEN'):
            place.run(api_token=text)
    place.run(api_token=f'{TOKEN}\n')


def test_no_name_below_workers_dev_yet(place: Place) -> None:
    place.cloud.subdomain = ''
    with pytest.raises(ConfigError, match=r'the account has no name below workers\.dev yet'):
        place.run()
    assert place.cloud.writes() == []
    place.cloud.failures.append(Failure('GET', '/workers/subdomain', 200, {'success': True, 'errors': [], 'messages': [], 'result': None}))
    with pytest.raises(ConfigError, match=r'the account has no name below workers\.dev yet'):
        place.run()
    place.run(domain='example.com')
    place.steady(domain='example.com')


def test_the_longest_zone_that_fits_on_any_page(place: Place) -> None:
    place.cloud.zones = {**{f'zone{number}.example': f'{number:032x}' for number in range(5)}, 'example.com': ZONE, 'lab.example.com': 'c' * 32}
    place.run(hosts={'hub.lab.example.com': 'docker.io', 'q.lab.example.com': {'upstream': 'quay.io', 'zone': 'example.com'}})
    assert [one['zone_id'] for one in place.cloud.domains] == ['c' * 32, ZONE]
    assert place.cloud.asked.count('GET /zones') == 5


def test_settings_that_are_told_as_text_are_the_same(place: Place) -> None:
    place.run()
    script = place.cloud.scripts['mirror']
    for one in script['bindings']:
        one['json'] = json.dumps(one['json'], indent=1)
    script['compatibility_date'] = ''
    assert place.run()['steps'] == []
    script['compatibility_date'] = '2024-01-01'
    assert place.run()['steps'] == ['upload the Worker mirror, since somebody changed its settings']
    place.cloud.scripts['mirror']['bindings'][0] = {'type': 'json', 'name': 'SETTINGS', 'json': 'no JSON'}
    assert place.run()['changed']


def test_more_host_names_than_the_worker_can_remember(place: Place) -> None:
    with pytest.raises(ConfigError, match=r'QUICKPULL has .* bytes, .* Name fewer hosts'):
        place.run(hosts={f'{number}.example.com': 'docker.io' for number in range(60)})
    assert place.cloud.writes() == []


def test_only_the_token_is_sent(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK finds older kinds of credentials in the environment, which may do more than the token may."""
    for name, value in {'API_KEY': 'k' * 37, 'EMAIL': 'me@example.com', 'API_USER_SERVICE_KEY': 'v1.0-x'}.items():
        monkeypatch.setenv(f'CLOUDFLARE_{name}', value)
    place.run()
    assert place.cloud.other_credentials == 0


@pytest.mark.parametrize('params, words', [
    ({'modules_path': '/nowhere'}, r'modules_path: /nowhere has no worker.js, .*no file \*.js'),
    ({'account_id': 'me'}, "account_id: 'me' is no id"),
    ({'name': 'Under_score'}, 'small letters, digits and dashes'),
    ({'compatibility_date': '2025-02-30'}, 'is no date'),
    ({'allow': ['docker.io/library/' + 'x' * 6000]}, 'SETTINGS has 6... bytes, and Cloudflare takes 5120'),
    ({'client_logins': {'u': 'S3CRET' * 1000}}, 'CLIENT_LOGINS has .* Leave logins out'),
])  # fmt: skip
def test_what_is_wrong_is_told_before_cloudflare_is_asked(place: Place, params: dict[str, t.Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        place.run(**params)
    assert place.cloud.asked == []


def test_an_sdk_that_is_too_old(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('cloudflare.__version__', '4.3.1')
    with pytest.raises(ConfigError, match=r'cloudflare 4.3.1 is too old; 5.9 or newer is needed: pip install'):
        place.run()
    assert place.cloud.asked == []


class Ended(Exception):
    """What a module ends with."""


def test_without_the_sdk(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    class Module(FakeModule):
        def __init__(self, **_spec: t.Any) -> None:
            super().__init__(False, {**DEFAULTS, 'modules_path': str(place.folder), 'api_url': ''})

        def fail_json(self, **result: t.Any) -> t.NoReturn:
            raise Ended(result['msg'])

    monkeypatch.setattr(cloudflare_worker, 'AnsibleModule', Module)
    monkeypatch.setitem(sys.modules, 'cloudflare', None)
    with pytest.raises(Ended, match=r'required Python library \(cloudflare\)'):
        cloudflare_worker.main()


def test_what_is_open_or_served_nowhere_is_warned_of(place: Place) -> None:
    place.run(hosts={}, workers_dev=False)
    assert [words.partition(' ')[0] for words in place.module.warnings] == ['Anybody', 'There']
    place.run(state='absent')
    assert place.module.warnings == []


def test_the_way_out_of_a_wildcard_is_a_route_of_ones_own(place: Place) -> None:
    foreign_wildcard(place.cloud)
    with pytest.raises(ConfigError, match=r'\*\.example\.com/\* leads to site\. With attach: route this name has a route of its own'):
        place.run(domain='example.com')
    assert place.run(domain='example.com', attach='route')['changed']
