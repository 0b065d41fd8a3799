# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring daemon.json into force in the running dockerd, prove it, and put back what was proved before when that fails.

The order of things is what makes a kill at any moment harmless: the intent is written before the daemon is touched and
removed when all is proved or put back. A run that finds the intent of a dead one finishes its work first.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.quickpull.registry.plugins.module_utils import _in_force, _intent, _proof, _snapshot, _tombstones
from ansible_collections.quickpull.registry.plugins.module_utils._docker_host import DockerHost, refusal_in, reloaded_in
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError
from ansible_collections.quickpull.registry.plugins.module_utils._in_force import ENGINE, InForce, flatten
from ansible_collections.quickpull.registry.plugins.module_utils._io import backup, locked, make_dirs, read_file, write_atomic
from ansible_collections.quickpull.registry.plugins.module_utils._json_text import ABSENT, Document, pointer_parts, same_value
from ansible_collections.quickpull.registry.plugins.module_utils._ownership import owned_keys
from ansible_collections.quickpull.registry.plugins.module_utils._plan import (
    DROPIN,
    NONE,
    RELOAD,
    RESTART,
    Permission,
    Plan,
    by_reload,
    expected_live_restore,
    flag_values,
    foreign_by_reload,
    make_plan,
    reload_loses_insecure,
    restart_allowed,
)
from ansible_collections.quickpull.registry.plugins.module_utils._snapshot import docker_paths
from ansible_collections.quickpull.registry.plugins.module_utils._state import State

if t.TYPE_CHECKING:
    from ansible_collections.quickpull.registry.plugins.module_utils._engines.docker import DockerDaemon

# Seconds: a reload takes milliseconds, so this is generous.
RELOAD_SECONDS = 10.0
# The line "Reloaded configuration" is not written at log level warn and above; a reload that was taken without it is believed after this.
SILENT_SECONDS = 2.0
_POLL = 0.2
# A reload, a restart that it made possible, and one of each in case that somebody writes the file meanwhile.
_ROUNDS = 4

# Snapshot of daemon.json as it is without the live-restore that was switched on for one restart.
_TRANSIENT = 'live_restore'


@dataclasses.dataclass(frozen=True)
class Options:
    """What the operator allows.

    :ivar path: of daemon.json, None for the one that dockerd reads.
    :ivar restart: ``auto``, ``never`` or ``always``.
    :ivar live_restore_first: live-restore may be switched on for the time of a restart.
    :ivar timeout: seconds that the daemon has to come up, each time.
    :ivar start: whether Docker may be started or restarted where something went wrong; without it what takes a start is left to the next run.
    :ivar rollback: put back what was proved when the daemon refuses what is there now.
    :ivar planned: in check mode, the plan for a file that was not written because of it; None when no task made one.
    """

    path: str | None = None
    restart: str = 'auto'
    live_restore_first: bool = False
    timeout: float = 60.0
    rollback: bool = True
    check_mode: bool = False
    planned: Plan | None = None
    start: bool = True


@dataclasses.dataclass
class Outcome:
    """What was done. See the RETURN section of docker_daemon_apply."""

    changed: bool = False
    plan: Plan = dataclasses.field(default_factory=Plan)
    applied: str = NONE
    pending: bool = False
    pending_because: tuple[str, ...] = ()
    proof: _proof.Proof | None = None
    rolled_back: bool = False
    rejected_file: str = ''
    healed: bool = False
    before: DockerDaemon | None = None
    after: DockerDaemon | None = None
    warnings: list[str] = dataclasses.field(default_factory=list)


class ApplyFailed(ConfigError):
    """The daemon does not hold what the file says. ``outcome`` tells what was put back."""

    def __init__(self, message: str, outcome: Outcome) -> None:
        super().__init__(message)
        self.outcome = outcome


def apply(host: DockerHost, state: State, options: Options) -> Outcome:
    """Do what is needed and allowed.

    :raises ApplyFailed: when the daemon refused it; ``outcome`` tells what was put back.
    :raises ConfigError: when a file cannot be read or written, or another run holds the lock.
    """
    if options.check_mode:
        return _Run(host, state, options).predict()
    # Another run may be waiting for its daemon twice: once to come up, once more to come back.
    with locked(state, timeout=2 * options.timeout + 30):
        return _Run(host, state, options).go()


def _digest(key: bytes, data: bytes | None) -> str:
    return _in_force.hash_value(key, None if data is None else data.hex())


def _switches_live_restore_on(plan: Plan, config: t.Mapping[str, t.Any]) -> bool:
    return 'live-restore' in plan.reload_keys and config.get('live-restore') is True


def _reloaded(known: InForce, config: t.Mapping[str, t.Any]) -> InForce:
    """What is known after a reload was proved: what it reads anew is as in the file, the rest is as it was."""
    leaves, hashes = flatten(config), dict(known.hashes)
    taken = {where for where in {*leaves, *hashes} if by_reload(where, pointer_parts(where)[0] in config)}
    for where in taken:
        hashes[where] = _in_force.hash_value(known.key, leaves[where]) if where in leaves else _in_force.ABSENT
    return dataclasses.replace(known, hashes=hashes, written=known.written - taken)


class _Run:
    """One run, in order: look, heal, then reload or restart, prove, settle."""

    def __init__(self, host: DockerHost, state: State, options: Options) -> None:
        self.host = host
        self.state = state
        self.options = options
        self.daemon = host.look(whole=True)
        self.path = self.daemon.config_path
        self.out = Outcome(before=self.daemon, after=self.daemon)
        self.known = InForce()
        self.interrupted = False

    # -- what is there

    def config(self) -> dict[str, t.Any]:
        """What the file holds now. Raises ConfigError when dockerd could not read it either."""
        data = read_file(self.path).data
        return {} if data is None else Document.parse(data, self.path).value

    def paths(self) -> list[str]:
        return docker_paths(self.state, self.path, self.daemon.unit)

    def make_plan(self, config: t.Mapping[str, t.Any]) -> Plan:
        self.known = _in_force.in_force(self.state, self.daemon, self.path, config)
        owned, environ = owned_keys(self.state, self.path), self.host.dropin_environ(self.daemon)
        return dataclasses.replace(make_plan(config, self.daemon, self.known, owned, dropin_environ=environ), interrupted=self.interrupted)

    def permission(self, plan: Plan, config: t.Mapping[str, t.Any]) -> Permission:
        """Whether the restart of a plan may be done; a reload that switches live-restore on comes first and counts."""
        if not self.daemon.unit:
            return Permission(False, ('dockerd is not run by systemd: restart it the way it is started.',))
        if self.daemon.unit_file_state == 'masked':
            return Permission(False, (f'{self.daemon.unit} is masked, so it would not start again: run `systemctl unmask {self.daemon.unit}`.',))
        if _switches_live_restore_on(plan, config):
            rest = [(name, text) for name, text in zip(plan.blockers, plan.blocked_because) if name != 'live_restore']
            plan = dataclasses.replace(plan, blockers=tuple(name for name, _text in rest), blocked_because=tuple(text for _name, text in rest))
        return restart_allowed(plan, self.options.restart, self.options.live_restore_first)

    # -- the two ways through

    def predict(self) -> Outcome:
        """What :meth:`go` would do."""
        intent = _intent.load(self.state, ENGINE)
        self.interrupted = intent is not None and not intent.alive
        if intent is not None and self.interrupted and intent.was_active and not self.daemon.running:
            self.out.changed = self.out.healed = True
            self.out.applied = RESTART
            return self.out
        config = self.config()
        plan = self.out.plan = self.options.planned or self.make_plan(config)
        if self.options.planned and 'live-restore' in plan.reload_keys and self.daemon.reported is not None:
            # The file does not say it yet; what changes can only change to the other value.
            config = {**config, 'live-restore': not self.daemon.reported.live_restore}
        if plan.action != NONE:
            permission = self.permission(plan, config)
            if plan.action == RESTART and permission.allowed:
                self.out.applied = RESTART
            else:
                self.out.applied = RELOAD if plan.reload_keys else NONE
                self.out.pending = plan.action == RESTART
                self.out.pending_because = permission.because if self.out.pending else ()
        left = plan if self.out.pending else Plan()
        self.out.changed = self.out.applied != NONE or self.may_finish_tombstones(left)
        return self.out

    def go(self) -> Outcome:
        self.heal()
        self.take_back_live_restore()
        config = self.config()
        plan = self.out.plan = self.make_plan(config)
        for _round in range(_ROUNDS):
            if plan.action == NONE:
                break
            permission = self.permission(plan, config)
            if plan.action == RESTART and permission.allowed and not _switches_live_restore_on(plan, config):
                self.restart(plan, permission)
            elif plan.reload_keys:
                self.reload(plan)
            else:
                self.out.pending, self.out.pending_because = True, permission.because
                self.try_out(config)
                break
            config = self.config()
            plan = self.make_plan(config)
        else:
            if plan.action != NONE:
                self.out.warnings.append(f'{", ".join((*plan.reload_keys, *plan.restart_keys))}: still not in force; somebody else may be writing {self.path}.')
        self.settle(plan)
        return self.out

    # -- reload

    def declare(self, what: str) -> None:
        key = _in_force.hash_key(self.state, create=True)
        _intent.declare(
            self.state,
            ENGINE,
            _intent.Intent(
                what=what,
                config_path=self.path,
                was_active=self.daemon.running,
                start_id=self.daemon.start_id or '',
                content=_digest(key, read_file(self.path).data),
            ),
        )

    def reload(self, plan: Plan) -> None:
        before, running, config = self.daemon, self.host.containers(self.daemon), self.config()
        self.declare(_intent.RELOADING)
        proof = self.hangup(config, before, (*plan.reload_keys, *plan.also_activates))
        if not proof.ok:
            self.roll_back(before, proof.failures)
        self.took(RELOAD, proof, running)
        _in_force.record(self.state, self.daemon, self.path, dataclasses.replace(_reloaded(self.known, config), accepted=self.content()))

    def hangup(
        self, config: t.Mapping[str, t.Any], before: DockerDaemon, changed: t.Collection[str], patience: float = RELOAD_SECONDS
    ) -> _proof.Proof:
        """Let the daemon read its file, and wait until it holds it or says why not. Sets ``self.daemon``."""
        since, start = self.host.now(), self.host.monotonic()
        problem = self.host.hangup(before)
        if problem:
            return _proof.Proof(False, (problem,))
        while True:
            self.daemon = self.host.look()
            lines = self.host.journal(before, since)
            refusal = refusal_in(lines)
            if refusal:
                return _proof.Proof(False, (refusal,))
            proof = _proof.prove(config, before, self.daemon, RELOAD, changed)
            waited = self.host.monotonic() - start
            if proof.ok and (reloaded_in(lines) or waited >= SILENT_SECONDS):
                return proof
            if waited >= min(patience, self.options.timeout):
                return proof
            self.host.sleep(_POLL)

    # -- restart

    def restart(self, plan: Plan, permission: Permission) -> None:
        running = self.host.containers(self.daemon)
        if permission.live_restore_first:
            self.switch_live_restore_on()
        before = self.daemon
        self.declare(_intent.RESTARTING)
        if DROPIN in plan.restart_keys:
            self.host.daemon_reload()
        config = self.config()
        refusal = self.refused_without_harm(config, before)
        if refusal:
            self.roll_back(before, (refusal,))
        proof = self.start('restart', config, before, (*plan.reload_keys, *plan.restart_keys, *plan.also_activates))
        if not proof.ok:
            self.roll_back(before, proof.failures)
        key = _in_force.hash_key(self.state, create=True)
        _in_force.record(self.state, self.daemon, self.path, _in_force.in_force_from(config, key))
        self.take_back_live_restore()
        self.took(RESTART, proof, running)

    def try_out(self, config: t.Mapping[str, t.Any]) -> None:
        """What waits for a restart must not be something that the daemon would refuse one day; asked once for each content.

        Not where that reload would bring into force what other people wrote: nothing is applied here, so that would be told nowhere.
        """
        digest = self.content()
        if self.known.accepted == digest or (reload_loses_insecure(self.daemon.version_tuple) and 'registry-mirrors' in config):
            return
        if foreign_by_reload(config, self.daemon, self.known, owned_keys(self.state, self.path)):
            return
        before = self.daemon
        self.declare(_intent.RELOADING)
        refusal = self.refused_without_harm(config, before)
        if refusal:
            self.roll_back(before, (refusal,))
        self.daemon = before
        _in_force.record(self.state, before, self.path, dataclasses.replace(_reloaded(self.known, config), accepted=digest))

    def refused_without_harm(self, config: t.Mapping[str, t.Any], before: DockerDaemon) -> str:
        """Let the running daemon read the file before it is stopped; returns its own words when it does not like it.

        A reload looks at the whole file with all flags, in every version, so most of what would keep dockerd from starting is
        found while everything still runs. That the rest of the proof fails is no matter: the restart is still to come.
        """
        if not before.running:
            return ''
        since = self.host.now()
        self.hangup(config, before, (), patience=SILENT_SECONDS)
        return refusal_in(self.host.journal(before, since))

    def start(self, verb: str, config: t.Mapping[str, t.Any], before: DockerDaemon, changed: t.Collection[str]) -> _proof.Proof:
        """Start the daemon anew and wait until it answers or fails. Sets ``self.daemon``."""
        since, old = self.host.now(), self.daemon.start_id
        problem = self.host.start(before, verb)
        if problem:
            return _proof.Proof(False, (problem,))
        self.daemon = self.wait_for_start(old, since)
        # What was asked for before the restart is compared with the file, not with a daemon that has read another one.
        proof = _proof.prove(config, before, self.daemon, RESTART, changed, self.host.dropin_environ(self.daemon))
        if proof.ok:
            return proof
        refusal = refusal_in(self.host.journal(before, since))
        return dataclasses.replace(proof, failures=(refusal,)) if refusal else proof

    def wait_for_start(self, old: str | None, since: float) -> DockerDaemon:
        """The daemon once it is another process than ``old`` and answers; as it is when it failed or the time is over."""
        until = self.host.monotonic() + self.options.timeout
        while True:
            daemon = self.host.look()
            if daemon.running and daemon.start_id != old and daemon.reported is not None:
                return daemon
            if daemon.active_state == 'failed' or self.host.monotonic() >= until:
                return daemon
            # dockerd that does not like its file ends at once; systemd would try two more times, in vain.
            if daemon.sub_state.startswith('auto-restart') and refusal_in(self.host.journal(daemon, since)):
                return daemon
            self.host.sleep(_POLL)

    def took(self, action: str, proof: _proof.Proof, running: t.Mapping[str, tuple[str, int]]) -> None:
        """Note a proved action, with what became of the containers."""
        self.daemon = self.host.look(whole=True)
        now = self.host.containers(self.daemon)
        lost = tuple(sorted(name for ident, (name, pid) in running.items() if now.get(ident, ('', 0))[1] != pid))
        kept = len(running) - len(lost)
        live = self.daemon.reported.live_restore if self.daemon.reported is not None else proof.live_restore
        self.out.proof = dataclasses.replace(
            proof, live_restore=live, containers_before=len(running), containers_kept=kept, containers_lost=lost
        )
        self.out.applied = RESTART if RESTART in (action, self.out.applied) else action
        self.out.changed = True
        self.out.after = self.daemon

    # -- live-restore for one restart

    def switch_live_restore_on(self) -> None:
        """By a reload; the file is put aside first, so that a killed run does not leave it on."""
        before, current = self.daemon, read_file(self.path)
        _snapshot.save(self.state, ENGINE, _TRANSIENT, [self.path])
        make_dirs(os.path.dirname(current.target))
        document = Document.parse(current.data or b'', self.path).set('/live-restore', True)
        write_atomic(self.path, document.to_bytes(), expect=current)
        self.declare(_intent.RELOADING)
        proof = self.hangup(document.value, before, ('live-restore',))
        if not proof.ok:
            self.take_back_live_restore()
            _intent.clear(self.state, ENGINE)
            raise ApplyFailed(f'live-restore could not be switched on before the restart: {" ".join(proof.failures)} Nothing was restarted.', self.out)

    def take_back_live_restore(self) -> None:
        """Undo :meth:`switch_live_restore_on`, also that of a killed run."""
        saved = _snapshot.load(self.state, ENGINE, _TRANSIENT)
        if saved is None:
            return
        entry = saved.file(self.path)
        current = read_file(self.path)
        document = Document.parse(current.data or b'', self.path)
        original = Document.parse((entry.data if entry else None) or b'', self.path)
        value = original.get('/live-restore')
        # Somebody may have asked for it since a run was killed: then it is theirs.
        if not same_value(document.get('/live-restore'), value) and '/live-restore' not in owned_keys(self.state, self.path):
            if self.daemon.running:
                self.switch_live_restore_off(document)
            if entry is not None and document.set('/live-restore', True).to_bytes() == original.set('/live-restore', True).to_bytes():
                _snapshot.restore(saved)
            else:
                undone = document.remove('/live-restore') if value is ABSENT else document.set('/live-restore', value)
                write_atomic(self.path, undone.to_bytes())
            self.forget(['/live-restore'], value)
        _snapshot.drop(self.state, ENGINE, _TRANSIENT)

    def switch_live_restore_off(self, document: Document) -> None:
        """Taking the key away would leave it on (moby#36632), so it is written first."""
        before, off = self.daemon, document.set('/live-restore', False)
        write_atomic(self.path, off.to_bytes())
        proof = self.hangup(off.value, before, ('live-restore',))
        if not proof.ok:
            self.out.warnings.append(f'live-restore was switched on for the restart and could not be switched off: {" ".join(proof.failures)}')

    def forget(self, pointers: t.Iterable[str], value: t.Any = ABSENT) -> None:
        """Set what is known to be in force for keys that were taken out of the file after they were proved empty."""
        config = self.config()
        known = _in_force.in_force(self.state, self.daemon, self.path, config)
        hashes = dict(known.hashes)
        key = _in_force.hash_key(self.state, create=True)
        for where in pointers:
            hashes[where] = _in_force.ABSENT if value is ABSENT else _in_force.hash_value(key, value)
        if self.daemon.start_id is not None:
            _in_force.record(self.state, self.daemon, self.path, dataclasses.replace(known, hashes=hashes, key=key))

    # -- when it went wrong

    def roll_back(self, before: DockerDaemon, failures: t.Sequence[str]) -> t.NoReturn:
        """Put back what was proved last and say why.

        :raises ApplyFailed: always.
        """
        self.out.pending, self.out.pending_because = False, ()
        cause = f'Docker did not take its configuration: {" ".join(failures)}'
        if not self.options.start and self.host.look().start_id != before.start_id:
            # Whoever restarted or stopped it meanwhile made it read the file: there is nothing to take back, and nothing to start.
            _intent.clear(self.state, ENGINE)
            raise ApplyFailed(f'Docker was restarted or stopped by somebody while it was reloaded, and is left as it is: {" ".join(failures)}', self.out)
        if not self.options.rollback:
            _intent.clear(self.state, ENGINE)
            raise ApplyFailed(f'{cause} Nothing was put back (rollback: false).', self.out)
        self.declare_rollback(before)
        snapshot = self.best_snapshot()
        if snapshot is None:
            raise ApplyFailed(f'{cause} No earlier configuration is known, so nothing was put back; {self.by_hand()}', self.out)
        self.out.rejected_file = backup(self.path, self.state) or ''
        troubles = self.put_back(snapshot, before)
        self.out.after = self.daemon
        kept = f' The refused file is kept as {self.out.rejected_file}.' if self.out.rejected_file else ''
        name = 'that was proved last' if snapshot.name == _snapshot.PROVED else 'from before the first write of this collection'
        if troubles:
            raise ApplyFailed(
                f'{cause} The configuration {name} was put back at {self.path}, and the daemon does not hold that either: '
                f'{" ".join(troubles)}{kept} {self.by_hand()}',
                self.out,
            )
        self.out.rolled_back = self.out.changed = True
        _intent.clear(self.state, ENGINE)
        raise ApplyFailed(f'{cause} The configuration {name} was put back at {self.path} and is in force.{kept}', self.out)

    def by_hand(self) -> str:
        unit = self.daemon.unit or 'docker.service'
        return f'Look at `journalctl -u {unit}`, put {self.path} right, then run `systemctl reset-failed {unit}` and `systemctl start {unit}`.'

    def declare_rollback(self, before: DockerDaemon) -> None:
        _intent.declare(
            self.state, ENGINE, _intent.Intent(_intent.ROLLING_BACK, self.path, was_active=True, start_id=before.start_id or '')
        )

    def best_snapshot(self) -> _snapshot.Snapshot | None:
        """What to put back: of each file what was proved last, else what was there before our first write; None when nothing is known."""
        proved = _snapshot.load(self.state, ENGINE, _snapshot.PROVED)
        original = _snapshot.load(self.state, ENGINE, _snapshot.ORIGINAL)
        entries = []
        for path in self.paths():
            entry = (proved.file(path) if proved else None) or (original.file(path) if original else None)
            if entry is not None:
                entries.append(entry)
        if not entries:
            return None
        known = proved is not None and proved.file(self.path) is not None
        return _snapshot.Snapshot(_snapshot.PROVED if known else _snapshot.ORIGINAL, tuple(entries))

    def put_back(self, snapshot: _snapshot.Snapshot, before: DockerDaemon) -> tuple[str, ...]:
        """Restore the files, and bring them into force. Returns what is not as it was; nothing when all is."""
        restored = _snapshot.restore(snapshot)
        if any(path.endswith('.conf') for path in restored):
            self.host.daemon_reload()
        self.daemon = self.host.look()
        if self.daemon.running and self.daemon.start_id == before.start_id:
            return self.put_back_by_reload(snapshot, before)
        if not self.options.start:
            return ('Docker was restarted or stopped by somebody meanwhile, and is left as it is.',)
        return self.put_back_by_start(before)

    def put_back_by_reload(self, snapshot: _snapshot.Snapshot, before: DockerDaemon) -> tuple[str, ...]:
        config = self.config()
        emptied = [key for key in ('registry-mirrors', 'insecure-registries') if key not in config and self.changed_lists(before, key)]
        if emptied:
            # A reload that failed half-way may have taken the lists; without the key it would keep them (moby#36632).
            document = Document.parse(read_file(self.path).data or b'', self.path)
            for key in emptied:
                document = document.set(f'/{key}', list(flag_values(before, key)))
            write_atomic(self.path, document.to_bytes())
            self.hangup(document.value, before, tuple(emptied))
            _snapshot.restore(snapshot)
        proof = self.hangup(config, before, ())
        return proof.failures

    def changed_lists(self, before: DockerDaemon, key: str) -> bool:
        name = key.replace('registry-mirrors', 'mirrors').replace('-', '_')
        if before.reported is None or self.daemon.reported is None:
            return False
        return getattr(before.reported, name) != getattr(self.daemon.reported, name)

    def put_back_by_start(self, before: DockerDaemon) -> tuple[str, ...]:
        config = self.config()
        if before.reported is not None and before.reported.live_restore and not expected_live_restore(config, before):
            # Containers outlived the daemon; one that starts without live-restore would stop them.
            current = read_file(self.path)
            _snapshot.save(self.state, ENGINE, _TRANSIENT, [self.path])
            config = {**config, 'live-restore': True}
            write_atomic(self.path, Document.parse(current.data or b'', self.path).set('/live-restore', True).to_bytes())
        proof = self.start('restart', config, dataclasses.replace(before, reported=None), ())
        if not proof.ok:
            return proof.failures
        key = _in_force.hash_key(self.state, create=True)
        _in_force.record(self.state, self.daemon, self.path, _in_force.in_force_from(config, key))
        self.take_back_live_restore()
        return ()

    # -- after a killed run

    def heal(self) -> None:
        """Finish what a killed run began: a daemon that ran before must run, with a file that it takes."""
        intent = _intent.load(self.state, ENGINE)
        if intent is None:
            return
        self.interrupted = True
        self.settle_down()
        if not self.options.start and (intent.what == _intent.ROLLING_BACK or not self.daemon.running):
            raise ConfigError('An earlier run was interrupted while it applied a change. Run the role again: it may start Docker, and finishes that.')
        if intent.what == _intent.ROLLING_BACK:
            self.finish_rollback(intent)
        elif intent.was_active and not self.daemon.running:
            self.start_again()
        elif self.daemon.start_id != intent.start_id and intent.content == self.content():
            # The restart went through, and nobody has written the file since.
            key = _in_force.hash_key(self.state, create=True)
            if self.daemon.start_id is not None:
                _in_force.record(self.state, self.daemon, self.path, _in_force.in_force_from(self.config(), key))
        _intent.clear(self.state, ENGINE)
        self.daemon = self.host.look(whole=True)
        self.out.after = self.daemon

    def content(self) -> str:
        return _digest(_in_force.hash_key(self.state, create=False), read_file(self.path).data)

    def settle_down(self) -> None:
        """Wait while systemd is still at work for the killed run."""
        until = self.host.monotonic() + self.options.timeout
        while self.daemon.active_state in ('activating', 'deactivating') and self.host.monotonic() < until:
            if self.daemon.sub_state.startswith('auto-restart'):
                break
            self.host.sleep(_POLL)
            self.daemon = self.host.look()

    def start_again(self) -> None:
        self.out.healed = self.out.changed = True
        self.out.applied = RESTART
        self.out.warnings.append('An earlier run was killed while it restarted Docker; Docker was down and is started again.')
        before = self.daemon
        if before.need_daemon_reload:
            self.host.daemon_reload()
        try:
            config = self.config()
        except ConfigError as exc:
            self.roll_back(before, (str(exc),))
        proof = self.start('restart', config, before, ())
        if not proof.ok:
            self.roll_back(before, proof.failures)
        self.out.proof = proof
        key = _in_force.hash_key(self.state, create=True)
        _in_force.record(self.state, self.daemon, self.path, _in_force.in_force_from(config, key))

    def finish_rollback(self, intent: _intent.Intent) -> None:
        snapshot = self.best_snapshot()
        if snapshot is None:
            return
        self.out.healed = self.out.changed = self.out.rolled_back = True
        self.out.warnings.append('An earlier run was killed while it put the configuration back that was proved last; that is finished now.')
        troubles = self.put_back(snapshot, dataclasses.replace(self.daemon, start_id=intent.start_id or None, reported=self.daemon.reported))
        if troubles:
            raise ApplyFailed(f'The roll-back of an earlier run could not be finished: {" ".join(troubles)} {self.by_hand()}', self.out)

    # -- the end

    def may_finish_tombstones(self, left: Plan) -> bool:
        """Whether keys wait to be deleted, and what is left to do is about none of them."""
        names = {where[1:] for where in _tombstones.waiting(self.state, self.path)}
        return bool(names) and not names & {*left.reload_keys, *left.restart_keys}

    def settle(self, left: Plan) -> None:
        """Take away what was left in the file only to empty a list, and put the proved files aside."""
        if self.may_finish_tombstones(left):
            keep_file = any(flag.name == 'config-file' for flag in (*self.daemon.flags, *self.daemon.unit_flags))
            self.forget(_tombstones.finish(self.state, self.path, keep_file=keep_file))
            self.out.changed = True
        if self.daemon.running and self.out.changed and left.action == NONE and not left.also_activates:
            _snapshot.save(self.state, ENGINE, _snapshot.PROVED, self.paths())
        _intent.clear(self.state, ENGINE)
