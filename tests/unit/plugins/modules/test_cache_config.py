# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.quickpull.registry.plugins.module_utils import _cache_plan, _cache_store, _login_check
from ansible_collections.quickpull.registry.plugins.module_utils._cache_model import Front
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._login_check import Verdict
from ansible_collections.quickpull.registry.plugins.module_utils._state import State
from ansible_collections.quickpull.registry.plugins.module_utils._systemd import Result
from ansible_collections.quickpull.registry.plugins.modules import cache_config
from ansible_collections.quickpull.registry.tests.unit.plugins.fake_module import FakeModule

DEFAULTS: dict[str, t.Any] = {
    'upstreams': ['docker.io', 'quay.io'], 'address': '0.0.0.0', 'port': 5000, 'size': '1m', 'store_size': '1m', 'reserve': '1g',
    'fresh_for': 300, 'metrics_from': [], 'certificate': None, 'key': None, 'clients': None,
    'verify_upstreams': True, 'nginx_program': None, 's3': None, 'redis': None, 'replicas': [], 'replicas_ca_path': None,
    'registry_version': 2, 'keep_for': '', 'registry_program': None, 'container_engine': '', 'container_image': '',
    'deadline': 5.0, 'owner': 'pull_through_cache', 'state': 'present',
}  # fmt: skip
# The passphrase is "secret", and is asked for by nobody.
ENCRYPTED_CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBbzCCARWgAwIBAgIUeP/PJuN1Tjy3uLLG+mrBpSUwNC8wCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBYTAgFw0yNjExMjgxNzE4NTJaGA8yMTI2MTEwNDE3MTg1Mlow
DDEKMAgGA1UEAwwBYTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABN1tTCbSrrRP
bdV2zce7dvueA8oIkBHxjSTS7mebxEFv5NYGo1/NUm3TCknjkYwQYoymwt+E2c4L
k6ZmGU/bGtOjUzBRMB0GA1UdDgQWBBTlwbmHzx2TZfz4DkV7AyuvRlwo9TAfBgNV
HSMEGDAWgBTlwbmHzx2TZfz4DkV7AyuvRlwo9TAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0gAMEUCIB1+6OW3KgqXrthUnlO3siGrJEG3rmwOAxacY9cqhIPC
AiEArL88FEvy5L/KS5Bxuec0WQwOENWyVQ6nOmUO8R06Zaw=
-----END CERTIFICATE-----
"""
ENCRYPTED_KEY = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHjME4GCSqGSIb3DQEFDTBBMCkGCSqGSIb3DQEFDDAcBAgaMcNV9lrvywICCAAw
DAYIKoZIhvcNAgkFADAUBggqhkiG9w0DBwQIYWKPRMi2l6wEgZDGb9fHY6CnFIs1
p9tftrBrZb3hzz+JF2tvTd768aClW4WEtaK/KMKxSn7RqA9lFQ6dUWAlsuwiOLBo
FIoqeFvy0BjtW3nPZByQuK+cOvhi8woW48eOLiF04WgyOI0DNOsn8rZ5hSme6rWz
L54kDbsO8zHX5okHWCgma9b36nwuHrTZDonXl4NaxetRzsOAWGU=
-----END ENCRYPTED PRIVATE KEY-----
"""
LOGIN = {'name': 'docker.io', 'username': 'acme', 'password': 'S3CRET'}


class Place:
    """A host in a folder, with an nginx that says what it is told to say."""

    def __init__(self, root: Path) -> None:
        self.root, self.files = root, root / 'etc/quickpull-cache'
        self.nginx = Result(0)
        self.front_runs = False
        self.waiting: set[str] = set()
        self.known = {'10.0.0.6': ['10.0.0.6'], 'cache-2.lan': ['10.0.0.7', 'fd00::7']}
        self.has_image = False
        self.asked: list[str] = []
        self.state = State(str(root / 'state'))
        self.warnings: list[str] = []
        binary = root / 'usr/sbin/nginx'
        binary.parent.mkdir(parents=True)
        binary.touch(0o755)

    def runner(self, command: t.Sequence[str], _timeout: float) -> Result:
        if command[-1] == '--version':
            return Result(0, f'{command[0]} github.com/docker/distribution v2.8.2+ds1\n')
        if command[0] in ('/usr/bin/docker', '/usr/bin/podman'):
            self.asked.append(' '.join(command[:2]).rpartition('/')[2])
            return Result(0 if command[1] != 'image' or self.has_image else 1)
        if command[0] == 'systemctl' and 'ActiveState' in ' '.join(command):
            units = command[command.index('--') + 1 :]
            return Result(0, '\n\n'.join(f'Id={unit}\nActiveState={"activating" if unit in self.waiting else "active"}' for unit in units))
        if command[0] == 'systemctl':
            return Result(0 if self.front_runs else 3)
        return self.nginx

    def resolve(self, name: str) -> list[str]:
        if name not in self.known:
            raise OSError(-2, 'Name or service not known')
        return self.known[name]

    def run(self, *, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        module = FakeModule(check, {**DEFAULTS, **params})
        try:
            host = _cache_plan.Host(str(self.root), self.runner, module.params['nginx_program'] or '', self.resolve)
            return cache_config.run(t.cast(t.Any, module), host, self.state)
        finally:
            self.warnings = module.warnings

    def tree(self) -> dict[str, tuple[int, str]]:
        return {str(path.relative_to(self.root)): (path.stat().st_mode & 0o777, path.read_text()) for path in self.files.rglob('*') if path.is_file()}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(_cache_plan, 'port_taken', lambda _port, _address='127.0.0.1': False)
    monkeypatch.setattr(_login_check, 'check', lambda _question, _settings: Verdict(_login_check.VERIFIED, ''))
    return Place(tmp_path)


def test_written_once_and_taken_away(place: Place) -> None:
    predicted, first, second = place.run(check=True), place.run(), place.run()
    assert {**predicted, 'needs': first['needs']} == first and len(predicted['needs']) == 3 and (first['changed'], second['changed']) == (True, False)
    assert [(one['name'], one['port'], one['metrics_port'], one['changed']) for one in first['instances']] == [
        ('docker.io', 5101, 5201, True), ('quay.io', 5102, 5202, True),
    ]  # fmt: skip
    assert (first['restart'], first['reload']) == (['quickpull-cache@docker.io.service', 'quickpull-cache@quay.io.service'], ['quickpull-cache-front.service'])
    assert (second['restart'], second['reload'], second['stop']) == ([], [], [])
    assert sorted(path.name for path in place.files.iterdir()) == ['docker.io.env', 'docker.io.yml', 'evict.json', 'front.conf', 'quay.io.env', 'quay.io.yml']
    gone = place.run(state='absent')
    assert gone['stop'] == [
        'quickpull-cache@docker.io.service', 'quickpull-cache@quay.io.service', 'quickpull-cache-front.service', 'quickpull-cache-evict.timer',
    ]  # fmt: skip
    assert not place.files.exists() and not place.run(state='absent')['changed']


def test_an_instance_keeps_its_port_and_one_that_is_not_named_goes(place: Place) -> None:
    place.run()
    told = place.run(upstreams=['ghcr.io', 'quay.io'])
    assert {one['name']: one['port'] for one in told['instances']} == {'ghcr.io': 5101, 'quay.io': 5102}
    assert told['stop'] == ['quickpull-cache@docker.io.service']
    assert (told['restart'], told['reload']) == (['quickpull-cache@ghcr.io.service'], ['quickpull-cache-front.service'])


def test_secrets_are_for_root_and_for_nobody_who_looks(place: Place) -> None:
    told = place.run(upstreams=[LOGIN], clients=[{'username': 'ci', 'password': 'S3CRET-too'}])
    tree = place.tree()
    assert tree['etc/quickpull-cache/docker.io.env'][0] == 0o600
    assert 'S3CRET' in tree['etc/quickpull-cache/docker.io.env'][1]
    assert all('S3CRET' not in text for name, (_mode, text) in tree.items() if not name.endswith('.env'))
    assert 'S3CRET' not in json.dumps(told)
    assert 'auth_basic_user_file' in tree['etc/quickpull-cache/front.conf'][1]
    assert not place.run(upstreams=[LOGIN], clients=[{'username': 'ci', 'password': 'S3CRET-too'}])['changed']
    changed = place.run(upstreams=[{**LOGIN, 'password': 'other'}])
    assert changed['restart'] == ['quickpull-cache@docker.io.service']
    assert changed['reload'] == ['quickpull-cache-front.service']  # since clients need no login any more


@pytest.mark.parametrize('params, words', [
    ({'size': '9000t'}, 'is more than 90 % of the file system'),
    ({'store_size': '0'}, 'store_size'),
    ({'address': 'cache.lan'}, "'cache.lan' is no IP address"),
    ({'port': 70000}, '70000 is no port'),
    ({'port': 5101, 'upstreams': [{'name': 'docker.io', 'port': 5101}]}, 'docker.io and the front would both listen on port 5101'),
    ({'clients': [{'username': 'ci', 'password': 'a'}, {'username': 'ci', 'password': 'b'}]}, 'ci is named twice'),
    ({'nginx_program': '/opt/nginx'}, r'There is no nginx on this host \(/opt/nginx\)'),
    ({'keep_for': '30d'}, 'the registry 2 has a week built in'),
    ({'keep_for': 'long', 'registry_version': 3}, "'long' is no time"),
    ({'container_engine': 'docker'}, 'an image of the registry is needed'),
    ({'container_engine': 'docker', 'container_image': 'registry:3'}, 'is version 3 of the registry, and registry_version is 2'),
    ({'metrics_from': ['prometheus.lan']}, "'prometheus.lan' is no address and no network"),
    ({'certificate': '/a.crt'}, 'certificate and key go together'),
    ({'certificate': '/nope.crt', 'key': '/nope.key'}, 'cannot be used'),
    ({'upstreams': [{'name': 'docker.io', 'ca_path': '/nope.pem'}]}, 'ca_path: there is no file'),
    ({'s3': {'bucket': 'images', 'endpoint': 'http://nowhere.lan', 'ca_path': '/nope.pem'}}, 'ca_path: there is no file'),
    ({'s3': {'bucket': 'images'}, 'redis': {'address': 'redis.lan:6379'}}, 'docker.io and quay.io would both have the database 0 of Redis'),
    ({'redis': {'address': 'redis.lan:6379'}}, 'redis: it goes together with s3'),
    ({'replicas': ['10.0.0.6:5000']}, r'replicas\[0\]'),
    ({'replicas': ['http://nowhere.lan:5000']}, r'replicas\[0\]: nowhere\.lan has no address here \(Name or service not known\)'),
    ({'upstreams': [{'name': 'hub.lan', 'url': 'https://harbor.lan/hub/'}]}, r'https://harbor\.lan/hub has a path, which the registry drops'),
    ({'upstreams': [{'name': 'docker.io', 'port': 443}]}, '443 is no port of an instance; write one from 1024'),
    ({'upstreams': [{'name': 'docker.io', 'port': True}]}, 'True is no port of an instance'),
    ({'clients': [{'username': 'ci', 'password': ''}]}, 'ci has no password'),
    ({'reserve': '9000t'}, 'or leaves less than the reserve of'),
    ({'replicas': ['http://10.0.0.6:5000', 'http://10.0.0.7:5000/v2/']}, r'replicas\[1\]: http://10\.0\.0\.7:5000/v2/ has a path'),
])  # fmt: skip
def test_a_mistake_leaves_the_files(place: Place, params: dict[str, t.Any], words: str) -> None:
    place.run()
    before = place.tree()
    with pytest.raises(ConfigError, match=words):
        place.run(**params)
    assert place.tree() == before


def test_what_nginx_refuses_is_not_written(place: Place) -> None:
    place.nginx = Result(1, '', 'nginx: [emerg] unknown directive in /tmp/x\n')
    with pytest.raises(ConfigError, match=r'nginx refuses what would be written: .*unknown directive'):
        place.run()
    (place.root / 'usr/sbin/nginx').unlink()
    with pytest.raises(ConfigError, match='There is no nginx on this host'):
        place.run()
    assert not place.files.exists()


def test_a_login_that_is_refused_is_an_error_and_one_that_nobody_answers_a_warning(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = Verdict(_login_check.REFUSED, 'It says no.')
    monkeypatch.setattr(_login_check, 'check', lambda _question, _settings: verdict)
    with pytest.raises(ConfigError, match=r'docker\.io: It says no\.'):
        place.run(upstreams=[LOGIN])
    assert not place.files.exists()
    verdict = Verdict(_login_check.UNREACHABLE, 'Nobody answers.')
    assert place.run(upstreams=[LOGIN])['changed']
    assert place.warnings == ['The login at docker.io was not verified: Nobody answers.']


def test_a_new_upstream_whose_name_is_unknown_is_an_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = Verdict(_login_check.UNREACHABLE, 'The name does not resolve.', unknown=True)
    monkeypatch.setattr(_login_check, 'check', lambda _question, _settings: verdict)
    with pytest.raises(ConfigError, match=r'qay\.io is no name of a registry that this host knows\. The name does not resolve\. Mend it'):
        place.run(upstreams=['qay.io'])
    assert place.run(upstreams=['qay.io'], verify_upstreams=False)['changed']


def test_a_login_that_this_version_of_the_registry_never_gives_is_an_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = Verdict(_login_check.VERIFIED, '', by_basic=True)
    monkeypatch.setattr(_login_check, 'check', lambda _question, _settings: verdict)
    with pytest.raises(ConfigError, match=r'docker\.io takes a login by Basic alone, which the registry 2 never gives'):
        place.run(upstreams=[LOGIN])
    assert place.run(upstreams=[LOGIN], registry_version=3)['changed']


def test_an_upstream_that_would_keep_a_running_instance_from_starting_is_an_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.run()
    verdict = Verdict(_login_check.UNREACHABLE, 'Nobody answers.')
    monkeypatch.setattr(_login_check, 'check', lambda _question, _settings: verdict)
    assert not place.run()['changed'] and place.warnings == []  # nothing of it would be restarted
    before = place.tree()
    wrong = {'name': 'quay.io', 'proxy': 'http://nowhere.lan:1'}
    with pytest.raises(ConfigError, match=r'quay\.io cannot be reached as it is described now, so its instance, which runs, would not .* Nobody answers\.'):
        place.run(upstreams=['docker.io', wrong])
    assert place.tree() == before
    assert place.run(upstreams=['docker.io', 'quay.io', 'ghcr.io'])['changed']
    assert place.warnings == ['The instance of ghcr.io starts as soon as its upstream can be reached. Nobody answers.']
    place.waiting = {'quickpull-cache@quay.io.service'}  # for its upstream, so that there is nothing to lose
    assert place.run(upstreams=['docker.io', {**wrong, 'proxy': 'http://elsewhere.lan:1'}, 'ghcr.io'])['changed']
    place.waiting = set()
    assert place.run(upstreams=['docker.io', wrong, 'ghcr.io'], verify_upstreams=False)['changed']


def test_a_port_of_somebody_else(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cache_plan, 'port_taken', lambda port, address='127.0.0.1': (port, address) == (5000, '0.0.0.0'))
    with pytest.raises(ConfigError, match=r'another program listens on 0\.0\.0\.0:5000'):
        place.run()
    assert place.run(port=5001)['changed']
    monkeypatch.setattr(_cache_plan, 'port_taken', lambda _port, _address='127.0.0.1': True)
    place.front_runs = True  # it is the front that listens, and the instances on theirs
    assert not place.run(port=5001)['changed']


def test_what_a_run_that_died_left_running_is_stopped_by_the_next(place: Place) -> None:
    place.run()
    wants = place.root / 'etc/systemd/system/multi-user.target.wants'
    wants.mkdir(parents=True)
    for unit in ('quickpull-cache@docker.io.service', 'quickpull-cache@gone.lan.service', 'quickpull-cache-front.service'):
        (wants / unit).symlink_to('/nowhere')
    assert place.run()['stop'] == ['quickpull-cache@gone.lan.service']
    place.run(state='absent')  # and dies before anything is stopped
    again = place.run(state='absent')
    assert not again['changed']
    assert again['stop'] == ['quickpull-cache-front.service', 'quickpull-cache@docker.io.service', 'quickpull-cache@gone.lan.service']


def test_check_mode_needs_no_nginx_and_no_user(place: Place) -> None:
    (place.root / 'usr/sbin/nginx').unlink()
    assert place.run(check=True)['changed']
    assert place.warnings == ['There is no nginx on this host yet, so it was not asked what it makes of the file.']


def test_diffs_show_what_is_no_secret(place: Place) -> None:
    told = place.run(upstreams=[LOGIN], clients=[{'username': 'a', 'password': 'b'}])
    shown = {diff['after_header'].rpartition('/')[2]: diff['after'] for diff in told['diff']}
    assert shown['docker.io.env'] == shown['clients.htpasswd'] == '(hidden, changed)\n'
    assert 'remoteurl' in shown['docker.io.yml'] and 'listen' in shown['front.conf'] and 'limit' in shown['evict.json']


def test_another_address_takes_a_restart_of_the_front(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.run()
    place.front_runs = True  # and listens on every address, so that nobody else can on this one
    monkeypatch.setattr(_cache_plan, 'port_taken', lambda port, address='127.0.0.1': port == 5000)
    told = place.run(address='10.0.0.5')
    assert (told['restart'], told['reload']) == (['quickpull-cache-front.service'], [])
    assert place.run(address='10.0.0.5', fresh_for=10)['reload'] == ['quickpull-cache-front.service']


def test_units_of_somebody_else_with_such_a_name_stay(place: Place) -> None:
    wants = place.root / 'etc/systemd/system/timers.target.wants'
    wants.mkdir(parents=True)
    (wants / 'quickpull-cache-backup.timer').symlink_to('/nowhere')
    place.run()
    assert 'quickpull-cache-backup.timer' not in place.run(state='absent')['stop']


def test_logins_are_not_sent_on_in_clear(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cache_plan, 'check_certificate', lambda _front: None)
    ask: dict[str, t.Any] = {'clients': [{'username': 'ci', 'password': 'S3CRET'}], 'replicas': ['http://10.0.0.6:5000']}
    assert place.run(**ask)['changed']  # as the clients send them anyway
    with pytest.raises(ConfigError, match=r'replicas\[0\]: http://10\.0\.0\.6:5000 would be sent the logins of the clients'):
        place.run(certificate='/a.crt', key='/a.key', **ask)


def test_what_others_keep_beside_the_files_stays(place: Place) -> None:
    place.run()
    (place.files / 'tls.key').write_text('theirs')
    place.run(state='absent')
    assert [path.name for path in place.files.iterdir()] == ['tls.key']


def test_another_owner_takes_nothing_away_and_stops_nothing(place: Place) -> None:
    place.run()
    before = place.tree()
    told = place.run(state='absent', owner='somebody')
    assert (told['changed'], told['stop'], place.tree()) == (False, [], before)


def test_an_address_of_another_host_is_told_as_such() -> None:
    with pytest.raises(ConfigError, match=r'192\.0\.2\.1 is none of this host'):
        _cache_plan.port_taken(5000, '192.0.2.1')


def test_a_key_with_a_passphrase_is_an_error_and_no_question(tmp_path: Path) -> None:
    certificate, key = tmp_path / 'a.crt', tmp_path / 'a.key'
    certificate.write_text(ENCRYPTED_CERTIFICATE)
    key.write_text(ENCRYPTED_KEY)
    with pytest.raises(ConfigError, match='cannot be used'):
        _cache_plan.check_certificate(Front('0.0.0.0', 5000, 1, certificate=str(certificate), key=str(key)))


def test_the_program_is_asked_for_its_version(place: Place) -> None:
    assert place.run(registry_program='/usr/bin/docker-registry')['changed']
    with pytest.raises(ConfigError, match=r'registry_version: /usr/bin/docker-registry is version 2, and not 3; write 2\.'):
        place.run(registry_program='/usr/bin/docker-registry', registry_version=3)


def test_an_image_is_there_before_anything_is_written(place: Place) -> None:
    wanted: dict[str, t.Any] = {'container_engine': 'podman', 'container_image': 'docker.io/library/registry:3', 'registry_version': 3, 'keep_for': '30d'}
    place.run(check=True, **wanted)
    assert place.asked == ['podman image'] and any('would be pulled' in told for told in place.warnings)
    place.run(**wanted)
    assert place.asked[1:] == ['podman image', 'podman pull']
    tree = place.tree()
    assert '"ttl": "720h"' in tree['etc/quickpull-cache/docker.io.yml'][1]
    assert "OTEL_TRACES_EXPORTER='none'" in tree['etc/quickpull-cache/docker.io.env'][1]
    place.has_image = True
    assert not place.run(**wanted)['changed'] and place.asked[3:] == ['podman image']


BUCKET = {'bucket': 'images', 'endpoint': 'http://s3.lan:9000', 'access_key': 'AKEXAMPLE', 'secret_key': 'S3CRET-key'}


def test_a_bucket_is_asked_before_anything_is_written(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(bucket: _cache_store.Bucket, _deadline: float) -> str:
        raise ConfigError(f's3: the bucket {bucket.url} is not there.')

    monkeypatch.setattr(_cache_store, 'check_bucket', refuse)
    with pytest.raises(ConfigError, match=r'the bucket http://s3\.lan:9000/images is not there'):
        place.run(s3=BUCKET)
    assert not place.files.exists()
    monkeypatch.setattr(_cache_store, 'check_bucket', lambda _bucket, _deadline: 'The bucket could not be asked.')
    # What would not fit the disk need not: there is a bucket for it.
    told = place.run(s3=BUCKET, store_size='9000t')
    assert place.warnings == ['The bucket could not be asked.']
    assert 'S3CRET' not in json.dumps(told)
    assert all('S3CRET' not in text for name, (_mode, text) in place.tree().items() if not name.endswith('.env'))
    assert not place.run(s3=BUCKET, store_size='9000t')['changed']
    assert place.run(s3={**BUCKET, 'secret_key': 'S3CRET-new'}, store_size='9000t')['restart'] == [
        'quickpull-cache@docker.io.service', 'quickpull-cache@quay.io.service',
    ]  # fmt: skip


def test_the_authorities_of_an_upstream_and_of_the_bucket_stand_in_one_file(place: Place) -> None:
    pem = {name: ENCRYPTED_CERTIFICATE.replace('\n', f'\n{" " * number}', 1) for number, name in enumerate(('upstream.pem', 'bucket.pem'))}
    for name, text in pem.items():
        (place.root / name).write_text(text)
    place.run(upstreams=[{'name': 'docker.io', 'ca_path': '/upstream.pem'}, 'quay.io'], s3={'bucket': 'images', 'ca_path': '/bucket.pem'})
    tree = place.tree()
    assert tree['etc/quickpull-cache/ca/docker.io/ca.crt'][1].count('BEGIN CERTIFICATE') == 2
    assert tree['etc/quickpull-cache/ca/quay.io/ca.crt'][1].count('BEGIN CERTIFICATE') == 1


def test_other_caches_are_asked_in_their_order(place: Place) -> None:
    place.run()
    told = place.run(replicas=['http://10.0.0.6:5000/', 'https://cache-2.lan', 'http://10.0.0.6:5000'], replicas_ca_path='/etc/ssl/team.pem')
    text = place.tree()['etc/quickpull-cache/front.conf'][1]
    assert told['reload'] == ['quickpull-cache-front.service'] and told['restart'] == []
    assert 'upstream quickpull_replica_1 { server 10.0.0.6:5000; ' in text
    assert 'upstream quickpull_replica_2 { server 10.0.0.7:443; server [fd00::7]:443; ' in text
    assert 'quickpull_replica_3' not in text
    assert 'proxy_ssl_trusted_certificate "/etc/ssl/team.pem";' in text and 'proxy_ssl_name "cache-2.lan";' in text
    assert text.count('= @quickpull_replica_1;') == 3 and text.count('= @quickpull_replica_2;') == 1
