# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as tests use it: hosts to run things on, access logs to prove things with, playbooks whose results are data.

    lab = Lab.load()
    host = lab.hosts['lab-trixie']
    since = lab.mark()
    host.run('docker pull busybox')
    assert lab.access_log('good-a', since, client=host)
"""
from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
import typing as t
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path

from lab import containers, mirrors
from lab.config import CODE, ROOT, LabError, Place, facts, locked, place
from lab.process import NOT_ENTERED

Command = t.Union[str, t.Sequence[str]]
# Actions that do their work on the controller: nothing is executed on a host.
CONTROLLER_ACTIONS = frozenset(('add_host', 'assert', 'debug', 'fail', 'group_by', 'import_role', 'include_role', 'include_tasks', 'include_vars', 'meta',
                                'pause', 'set_fact', 'set_stats', 'validate_argument_spec'))
ModuleResult = t.Dict[str, t.Any]


def bin_of_ansible() -> Path:
    """Whose ansible-playbook is run: of the virtual environment ``.cache/venv``, or of the one that ``QUICKPULL_LAB_CORE`` names."""
    return ROOT / '.cache' / os.environ.get('QUICKPULL_LAB_CORE', 'venv') / 'bin'


@dataclass(frozen=True)
class Host:
    """One host of the lab. Commands go through `docker exec`, which is quicker than SSH and survives a broken sshd."""

    name: str
    address: str
    container: str
    facts: t.Mapping[str, t.Any] = field(repr=False)    # lab.json: docker, proxies_key, containerd_store, sdk, versions
    place: Place = field(repr=False)

    def run(self, command: Command, *, check: bool = True, timeout: float = 120, stdin: str | bytes = b'') -> subprocess.CompletedProcess[str]:
        """Run a shell script (text) or a program (a list) as root.

        Returns stdout, stderr and returncode; raises LabError on another exit code than 0 unless ``check`` is false, and
        subprocess.TimeoutExpired after ``timeout`` seconds.
        """
        words = ['sh', '-c', command] if isinstance(command, str) else list(command)
        given = stdin.encode() if isinstance(stdin, str) else stdin
        for turn in range(3):
            done = subprocess.run(['docker', 'exec', '-i', self.container, *words], input=given, capture_output=True, timeout=timeout, check=False)
            if done.returncode != 126 or NOT_ENTERED not in done.stderr.decode(errors='replace'):
                break
            time.sleep(0.5 * (turn + 1))
        result = subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(errors='replace'), done.stderr.decode(errors='replace'))
        if check and result.returncode != 0:
            raise LabError(f'{self.name}: {command}: exit code {result.returncode}\n{result.stdout[-2000:]}{result.stderr[-2000:]}')
        return result

    def out(self, command: Command, *, timeout: float = 120) -> str:
        """Stripped standard output of a command that has to succeed."""
        return self.run(command, timeout=timeout).stdout.strip()

    def ssh(self, command: str, *, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a shell command over SSH, as Ansible would."""
        done = subprocess.run(['ssh', '-F', str(self.place.ssh / 'config'), self.name, command], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=timeout, check=False, encoding='utf-8', errors='replace')
        if check and done.returncode != 0:
            raise LabError(f'{self.name}: {command}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}')
        return done

    def put(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """Write a file (and its folder), exactly these bytes."""
        quoted = shlex.quote(path)
        self.run(f'mkdir -p "$(dirname {quoted})" && cat > {quoted} && chmod {mode:o} {quoted}', stdin=content)

    def get(self, path: str) -> str:
        """Text of a file; raises LabError when there is none."""
        return self.run(['cat', path]).stdout

    def exists(self, path: str) -> bool:
        return self.run(['test', '-e', path], check=False).returncode == 0

    def reset(self) -> None:
        """As new, within seconds: the container is made again, so nothing of before is left."""
        told = facts(self.place)
        host = next(each for each in containers.HOSTS if each.name == self.name)
        with locked(self.place.state / f'lock-{self.name}'):
            containers.reset(self.place, host, told['subnet'], told['tags'][host.recipe], told['source'])

    def dockerd_pid(self) -> int:
        """Process number of the running daemon, 0 when it does not run."""
        return int(self.out('systemctl show -p MainPID --value docker'))

    def container_pids(self) -> dict[str, int]:
        """Name -> process number of each running container."""
        lines = self.out('ids=$(docker ps -q); [ -z "$ids" ] || docker inspect -f "{{.Name}} {{.State.Pid}}" $ids').splitlines()
        return {name.lstrip('/'): int(pid) for name, dummy, pid in (line.partition(' ') for line in lines)}

    def mirrors_in_force(self) -> list[str]:
        """What the running daemon says its mirrors are."""
        told: list[str] | None = json.loads(self.out("docker info --format '{{json .RegistryConfig.Mirrors}}'"))
        return told or []

    def cold(self) -> None:
        """Forget every image that no container uses, and the manifests that Docker keeps by digest beside them: the next pull asks the network."""
        self.run('docker image prune -af >/dev/null; '
                 'for at in $(ctr -n moby content ls -q); do ctr -n moby content rm "$at" >/dev/null; done')

    def load_busybox(self) -> None:
        """Put busybox:latest into the image store without a pull."""
        self.run(['docker', 'load', '-q'], stdin=containers.busybox_archive(self.place).read_bytes())

    def start_container(self, name: str = 'keep', restart: str = 'always', command: str = 'sleep 1d') -> None:
        """A running container without any pull. Its command does not look at SIGTERM, for which Docker would wait ten seconds whenever it stops."""
        if self.run(['docker', 'image', 'inspect', 'busybox'], check=False).returncode != 0:
            self.load_busybox()
        self.run(['docker', 'run', '-d', '--name', name, f'--restart={restart}', '--stop-timeout=1', 'busybox', *command.split()])


@dataclass(frozen=True)
class TaskResult:
    """What one task did on one host. ``status`` is ok, failed, skipped or unreachable."""

    host: str
    task: str
    action: str
    status: str
    changed: bool
    result: ModuleResult


@dataclass(frozen=True)
class PlaybookRun:
    """A finished ansible-playbook."""

    rc: int
    stdout: str
    stderr: str
    tasks: list[TaskResult]
    stats: dict[str, dict[str, int]]    # host -> ok, changed, failures, unreachable, skipped, rescued, ignored

    def of(self, *, action: str = '', task: str = '', host: str = '') -> list[TaskResult]:
        """Results in the order in which they came, narrowed by the last part of the module's name, part of the task's name, host."""
        return [each for each in self.tasks
                if (not action or each.action.rpartition('.')[2] == action.rpartition('.')[2]) and task in each.task and host in ('', each.host)]

    def result(self, *, action: str = '', task: str = '', host: str = '') -> ModuleResult:
        """The result of the only such task that was not skipped; raises LabError when there is none or more than one."""
        found = [each for each in self.of(action=action, task=task, host=host) if each.status != 'skipped']
        if len(found) != 1:
            raise LabError(f'{len(found)} results of {action or task or "any task"} on {host or "any host"}:\n{self.stdout[-3000:]}')
        return found[0].result

    def changed(self, host: str = '') -> int:
        """How many tasks changed something (on one host, or on all)."""
        return sum(stats['changed'] for name, stats in self.stats.items() if host in ('', name))

    def executions(self, host: str) -> list[str]:
        """Modules that ran on a host, in order: what a run costs."""
        return [each.action for each in self.tasks if each.host == host and each.status in ('ok', 'failed')
                and each.action.removeprefix('ansible.builtin.') not in CONTROLLER_ACTIONS]

    def ok(self) -> PlaybookRun:
        """Itself; raises LabError with the output when the playbook failed."""
        if self.rc != 0:
            raise LabError(f'ansible-playbook ended with {self.rc}:\n{self.stdout[-6000:]}{self.stderr[-3000:]}')
        return self


@dataclass(frozen=True)
class Lab:
    """A lab that is up."""

    place: Place
    facts: t.Mapping[str, t.Any] = field(repr=False)
    hosts: t.Mapping[str, Host]

    expected: t.ClassVar[tuple[mirrors.Mirror, ...]] = mirrors.MIRRORS

    @classmethod
    def load(cls, here: Place | None = None) -> Lab:
        """The lab of this clone; raises LabError when it is down."""
        here = here or place()
        told = facts(here)
        hosts = {name: Host(name, row['address'], row['container'], row, here) for name, row in told['hosts'].items()}
        return cls(here, told, hosts)

    def only(self, *names: str) -> Lab:
        """The same lab with some of its hosts: playbooks are limited to these."""
        return replace(self, hosts={name: self.hosts[name] for name in names})

    @property
    def images(self) -> t.Mapping[str, t.Any]:
        """Repository (`library/busybox`, `old/library/busybox`, ...) -> digest, media_type, platforms {digest, config, created, layers}."""
        images: t.Mapping[str, t.Any] = self.facts['images']
        return images

    @staticmethod
    def mirror(name: str) -> mirrors.Mirror:
        """A row of the table; its URL is ``.url``."""
        return mirrors.BY_NAME[name]

    @staticmethod
    def urls(*names: str) -> list[str]:
        return [mirrors.BY_NAME[name].url for name in names]

    def everywhere(self, action: t.Callable[[Host], t.Any]) -> dict[str, t.Any]:
        """Do something on all hosts side by side; what it returned by name."""
        with concurrent.futures.ThreadPoolExecutor(len(self.hosts)) as pool:
            return dict(zip(self.hosts, pool.map(action, self.hosts.values())))

    def mark(self) -> float:
        """Now, as `access_log` understands it."""
        return time.time() - 0.001

    def access_log(self, name: str, since: float = 0, client: Host | None = None) -> list[dict[str, t.Any]]:
        """Requests that a mirror, `hub`, `cdn` or `proxy` has answered.

        Each is a dict with time, client, method, path, status, bytes and, except at the proxy, authorization (bool), scheme, user,
        host, agent, range.
        """
        time.sleep(0.05)    # a line is written after the last byte has gone out
        try:
            text = (self.place.logs / f'{name}.jsonl').read_text()
        except FileNotFoundError:
            return []
        lines = [json.loads(line) for line in text.splitlines()]
        return [line for line in lines if line['time'] >= since and (client is None or line['client'] == client.address)]

    def clear_logs(self) -> None:
        for log in self.place.logs.glob('*.jsonl'):
            os.truncate(log, 0)

    def playbook(self, playbook: str | Path, *, inventory: str | Path | None = None, limit: str = '', extra_vars: t.Mapping[str, t.Any] | None = None,
                 check: bool = False, diff: bool = False, tags: str = '', arguments: t.Sequence[str] = (), env: t.Mapping[str, str] | None = None,
                 timeout: float = 300, before_wait: t.Callable[[subprocess.Popen[bytes]], None] | None = None) -> PlaybookRun:
        """Run a playbook, given as its path or its text, on the lab with this clone's ansible-playbook.

        ``before_wait`` gets the running process, to disturb it. The hosts are those of the lab's inventory unless another is given.
        """
        with tempfile.TemporaryDirectory(prefix='quickpull-') as folder:
            path = self._as_file(playbook, Path(folder))
            results = Path(folder) / 'results.jsonl'
            words = [str(bin_of_ansible() / 'ansible-playbook'), '-i', str(inventory or self.place.inventory), *arguments]
            limit = limit or (','.join(self.hosts) if len(self.hosts) < len(self.facts['hosts']) else '')
            words += ['--limit', limit] if limit else []
            words += (['--check'] if check else []) + (['--diff'] if diff else []) + (['--tags', tags] if tags else [])
            if extra_vars:
                (Path(folder) / 'vars.json').write_text(json.dumps(extra_vars))
                words += ['-e', f'@{folder}/vars.json']
            with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
                with subprocess.Popen([*words, str(path)], stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=ROOT,
                                      env={**self._environment(results), **(env or {})}) as process:
                    if before_wait:
                        before_wait(process)
                    try:
                        process.wait(timeout)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        raise
                out.seek(0)
                err.seek(0)
                return _finished(process.returncode, out.read().decode(errors='replace'), err.read().decode(errors='replace'), results)

    @staticmethod
    def _as_file(playbook: str | Path, folder: Path) -> Path:
        if isinstance(playbook, Path) or '\n' not in playbook:
            return ROOT / playbook
        path = folder / 'playbook.yml'
        path.write_text(playbook)
        return path

    def _environment(self, results: Path) -> dict[str, str]:
        bin_dir = bin_of_ansible()
        kept = {name: value for name, value in os.environ.items() if not name.startswith('ANSIBLE_')}
        return {**kept, 'PATH': f'{bin_dir}:{os.environ["PATH"]}', 'ANSIBLE_COLLECTIONS_PATH': str(ROOT / '.cache' / 'collections'),
                'ANSIBLE_HOME': str(ROOT / '.cache' / 'ansible-home'), 'ANSIBLE_NOCOLOR': '1', 'ANSIBLE_PIPELINING': '1', 'ANSIBLE_RETRY_FILES_ENABLED': '0',
                # A socket's path is at most 108 bytes, which a deep clone would use up.
                'ANSIBLE_SSH_CONTROL_PATH_DIR': f'/tmp/quickpull-{self.place.suffix}',
                'ANSIBLE_CALLBACK_PLUGINS': str(CODE / 'callback'), 'ANSIBLE_CALLBACKS_ENABLED': 'lab_results',
                'LAB_RESULTS': str(results), 'LAB_PAYLOADS': str(_payloads())}


def _payloads() -> Path:
    """Where packed modules are kept between runs: a folder for each state of the plugins, of which those of yesterday go."""
    folder = ROOT / '.cache' / 'payloads'
    stats = [(str(path), path.stat()) for path in sorted((ROOT / 'plugins').rglob('*.py'))]
    state = repr((metadata.version('ansible-core'), [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]))
    current = folder / hashlib.sha256(state.encode()).hexdigest()[:16]
    for old in folder.glob('*'):
        if old != current and time.time() - old.stat().st_mtime > 86400:
            shutil.rmtree(old, ignore_errors=True)
    return current


def _finished(rc: int, stdout: str, stderr: str, results: Path) -> PlaybookRun:
    tasks: list[TaskResult] = []
    stats: dict[str, dict[str, int]] = {}
    for line in results.read_text().splitlines() if results.exists() else ():
        row = json.loads(line)
        if 'stats' in row:
            stats = row['stats']
        else:
            tasks.append(TaskResult(**row))
    return PlaybookRun(rc, stdout, stderr, tasks, stats)
