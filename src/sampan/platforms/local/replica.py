"""One replica, supervised: start, watch, probe, end, back off, start again.

A replica's life is one task. Whatever happens to the daemon, the record on disk tells the next one
how far things were (`records`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sampan.plan.observed import Exit, Link, LinkState
from sampan.platforms.local import exits, identity, ready_word, zygote_child
from sampan.platforms.local.checks import Target
from sampan.platforms.local.expansion import ExpansionTooLarge, expand_command
from sampan.platforms.local.identity import Identity
from sampan.platforms.local.memory_limit import wait_exceeded
from sampan.platforms.local.ports import NoFreePort, is_free
from sampan.platforms.local.prober import Prober
from sampan.platforms.local.probes import BadProbe, ProbeKind, make_probe
from sampan.platforms.local.process import ProcessSpec, ProcessState
from sampan.platforms.local.records import Record
from sampan.platforms.local.replica_start import (
    LAST_LINES,
    Stopped,
    Surroundings,
    choose_zygote,
    make_env,
    make_failed_start,
    make_probes,
    take_ports,
)
from sampan.platforms.local.termination import Termination
from sampan.platforms.local.zygote_connection import Connection, Refused, ZygoteFailed

_LOG = logging.getLogger(__name__)

_REAP_SECONDS = 2.0  # a zygote that is alive reaps within milliseconds; past this it is stuck


@dataclass(frozen=True, slots=True)
class Milestones:
    """When a replica was asked for, forked, said that it is up (0: never), and was found ready.

    In seconds since the epoch.
    """

    asked: float
    forked: float
    said: float
    ready: float


class Replica:
    """A replica from its start or adoption until it is stopped. The `Observer` of its probes."""

    def __init__(self, record: Record, around: Surroundings) -> None:
        self.record = record
        self._around = around
        self._parent: Connection | None = None
        self._stop = asyncio.Event()
        self._termination = Termination(around.clock)
        self._killed_for = self._over_memory = ""
        self._was_ready = False
        self._hearing = ExitStack()
        self._word: ready_word.Word | None = None
        self._said_at = 0.0
        self._life: asyncio.Task[None] | None = None

    @property
    def spec(self) -> ProcessSpec:
        """What was asked for."""
        return self.record.state.spec

    @property
    def state(self) -> ProcessState:
        """What is known."""
        return self.record.state

    @property
    def milestones(self) -> Milestones | None:
        """When it came up; None while it is not ready, and where an earlier daemon started it."""
        state = self.state
        if not state.ready or not state.started_at:
            return None
        return Milestones(state.created_at, state.started_at, self._said_at, state.load.since)

    @property
    def folder(self) -> Path:
        """The replica's folder of records."""
        return self._around.folder(self.record)

    def begin(self) -> None:
        """Start the process and supervise it."""
        self._life = asyncio.create_task(self._live(None))

    def resume(self, found: Identity, parent: Connection | None) -> None:
        """Supervise a process that runs already; `parent` is the zygote that will reap it."""
        self._parent = parent
        load = Link(LinkState.RUNNING, "Adopted", since=self._around.clock.now())
        self._change(pid=found.pid, start_ticks=found.ticks, running=True, ready=False, load=load)
        self._life = asyncio.create_task(self._live(found))

    def resume_ended(self, ended: Exit | None) -> None:
        """Go on with the back-off after an end; None: it has been noted already."""
        if ended is not None:
            self._note_end(ended)
        self._life = asyncio.create_task(self._live(None, ended=True))

    def stop(self, grace: float, lag: float = 0.0) -> None:
        """Begin to stop: SIGTERM, SIGKILL after the grace; the shortest grace asked counts.

        One that is ready gets its SIGTERM `lag` seconds later: requests may be on their way.
        """
        lag = lag if self.state.ready else 0.0
        now = self._around.clock.now()
        at = min(now + lag + grace, self.record.stop_at or now + lag + grace)
        self.record = replace(self.record, stop_at=at)
        self._change(draining=True, ready=False)
        self._save()
        self._stop.set()
        if lag:
            asyncio.get_running_loop().call_later(lag, self._terminate, at - now - lag)
        else:
            self._terminate(at - now)

    def restamp(self, template_hash: str) -> None:
        """Note another hash for the template that runs here."""
        self._change(spec=replace(self.spec, template_hash=template_hash))
        self._save()

    async def stopped(self) -> None:
        """Wait until the replica is gone and forgotten."""
        if self._life is not None:
            await asyncio.wait({self._life})

    async def leave(self) -> None:
        """Stop supervising; the process goes on."""
        self._termination.over()
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    # Observer of the prober

    def ready(self, *, ready: bool) -> None:
        """Readiness has turned."""
        if ready and not self._was_ready:
            self._was_ready = True
            self._said_at = self._word.first_at if self._word else 0.0
            self._change(load=Link(LinkState.DONE, since=self._around.clock.now()), announce=False)
        self._change(ready=ready and not self._stop.is_set())

    def unready_because(self, finding: str) -> None:
        """Show the newest finding while the replica loads. Not announced: it changes often."""
        if not self._was_ready:
            load = replace(self.state.load, reason="NotReady", message=finding)
            self._change(load=load, announce=False)

    def unhealthy(self, kind: ProbeKind, finding: str, grace: float | None) -> None:
        """End the process, which starts again by the back-off."""
        self._killed_for = f"the {kind} probe is lost: {finding}"
        self._terminate(self.spec.grace_seconds if grace is None else grace)

    # The life

    async def _live(self, found: Identity | None, *, ended: bool = False) -> None:
        """Run the process and, until stopped, run it again. `ended`: begin with the back-off."""
        if found is not None or not (ended or self._stop.is_set()):
            await self._run_once(found)
        while not self._stop.is_set():
            await self._back_off()
            if not self._stop.is_set():
                self._change(restarts=self.state.restarts + 1, announce=False)
                await self._run_once(None)
        self._forget()

    async def _run_once(self, found: Identity | None) -> None:
        """Start the process, unless one is found, and see it to its end."""
        try:
            running = found or await self._start()
            if isinstance(running, Identity):
                ended = await self._watch(running)
            else:
                # A zygote that died before it answered may have forked.
                await self._end_stragglers(0)
                ended = running
        except Exception as error:  # noqa: BLE001 # a replica must not be lost by a mistake
            _LOG.exception("%s: a mistake of ours; the replica is ended", self.spec.replica)
            await self._end_stragglers(self.state.pid)
            message = f"{type(error).__name__}: {error}; this is a mistake of Sampan's, see its log"
            ended = make_failed_start("InternalError", message, self._around.clock.now())
        finally:
            self._word = None
            self._hearing.close()
        self._note_end(ended)

    async def _start(self) -> Identity | Exit:
        """Start the process; return it, or the exit that stands for a start that failed."""
        now = self._around.clock.now()
        try:
            self._prepare(now)
            self._word = self._hearing.enter_context(
                ready_word.hear(self.folder, self._around.clock)
            )
            connection, fork = await self._until_stop(choose_zygote(self.record, self._around))
            pid, ticks = await connection.fork(fork)
        except ZygoteFailed as error:
            return make_failed_start(error.reason, error.message, now, error.lines)
        except (Refused, NoFreePort, BadProbe, ExpansionTooLarge, OSError) as error:
            return make_failed_start("StartError", str(error), now)
        self._parent = connection
        started = self._around.clock.now()
        load = Link(LinkState.RUNNING, "Loading", since=started)
        self._change(
            pid=pid, start_ticks=ticks, started_at=started, running=True, load=load, announce=False
        )
        self._save()
        self._announce()
        return Identity(pid, ticks)

    def _prepare(self, now: float) -> None:
        """Choose ports and write down the intent, so that a crash from here on leaves a trace."""
        self._termination = Termination(self._around.clock)
        self._killed_for, self._over_memory, self._was_ready = "", "", False
        make_probes(self.spec)  # a bad one is found before anything is started
        ports = take_ports(self.spec, self.state.ports, self._around.ports)
        self._change(ports=ports, announce=False)
        self.record = replace(self.record, uid=secrets.token_hex(16), boot_id=identity.boot_id())
        load = Link(LinkState.RUNNING, "Starting", since=now)
        self._change(pid=0, start_ticks=0, started_at=0.0, back_off_until=0.0, load=load)
        for name in (zygote_child.TERMINATION, zygote_child.EXIT):
            (self.folder / name).unlink(missing_ok=True)
        self._around.records.write(self.record)
        self._around.logs.begin(self.spec.service, self.spec.replica)

    async def _watch(self, running: Identity) -> Exit:
        """Probe the process until it has ended; clean up after it; return how it ended."""
        if self._stop.is_set():
            self._terminate(self.record.stop_at - self._around.clock.now())
        watching = (
            asyncio.create_task(self._prober().run()),
            asyncio.create_task(self._keep_memory_limit(running)),
        )
        try:
            await exits.wait_gone(running)
        finally:
            for task in watching:
                await _end_quietly(task)
        self._termination.over()
        out_of_memory = self._around.memory.killed_lately() and not self._termination.killed
        finished = self._around.clock.now()
        await self._end_stragglers(running.pid)
        status = await self._reaped()
        spec = self.spec
        return exits.make_exit(
            exits.Ending(
                status=status,
                started_at=self.state.started_at,
                finished_at=finished,
                killed_for=self._killed_for,
                over_memory=self._over_memory,
                out_of_memory=out_of_memory
                and status == signal.SIGKILL
                and not self._termination.killed,
                termination=exits.read_termination(self.folder),
                last_lines=self._around.logs.last_lines(spec.service, spec.replica, LAST_LINES),
            )
        )

    async def _keep_memory_limit(self, running: Identity) -> None:
        """End the process at once when it uses more than its limit, as the kernel would."""
        if self.spec.memory_limit:
            clock = self._around.clock
            told = await wait_exceeded(running.pid, self.spec.memory_limit, clock)
            self._over_memory = told
            identity.signal_group(running, signal.SIGKILL)

    async def _end_stragglers(self, session: int) -> None:
        """Kill whatever is left of the run, and so give its lock back."""
        await asyncio.to_thread(identity.kill_stragglers, session, self.record.uid, self.folder)

    def _prober(self) -> Prober:
        env = make_env(self.spec, self.record.uid, self.folder)
        command = expand_command((), env, self.state.ports)
        return Prober(
            probes=make_probes(self.spec),
            target=Target(self.state.ports, command.env, self.spec.cwd),
            started_at=self.state.started_at,
            clock=self._around.clock,
            observer=self,
            beside=tuple(make_probe(spec) for spec in self.spec.beside),
            word=self._word,
        )

    async def _reaped(self) -> int | None:
        """Return the wait status that the zygote leaves; None when there is no zygote to do it."""
        waited = 0.0
        while (found := exits.read_exit(self.folder, self.record.uid)) is None:
            if self._parent is None or not self._parent.alive or waited >= _REAP_SECONDS:
                return None
            await asyncio.sleep(0.005)
            waited += 0.005
        return found[0]

    def _note_end(self, ended: Exit) -> None:
        ran = ended.finished_at - ended.started_at
        crashes = self.record.crashes
        if not self._port_was_taken():
            crashes = self._around.back_off.crashes(crashes, ran)
        delay = self._around.back_off.delay(crashes)
        until = ended.finished_at + delay if delay and not self._stop.is_set() else 0.0
        load = Link(
            LinkState.FAILED, ended.reason, ended.message, since=ended.finished_at, retry_at=until
        )
        self.record = replace(self.record, crashes=crashes)
        self._change(
            pid=0, start_ticks=0, running=False, ready=False, load=load, last_exit=ended,
            back_off_until=until, announce=False,
        )  # fmt: skip
        self._save()
        self._announce()

    def _port_was_taken(self) -> bool:
        """Return whether a stranger has a port of ours, so that the next start takes another."""
        return not self._was_ready and not all(map(is_free, self.state.ports.values()))

    async def _back_off(self) -> None:
        pause = self.state.back_off_until - self._around.clock.now()
        if pause > 0:
            with suppress(Stopped):
                await self._until_stop(self._around.clock.sleep(pause))

    async def _until_stop(self, work: Any) -> Any:
        """Return the result of the work, or raise `Stopped` when the replica is stopped first."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set():
                raise Stopped("Stopped", "stopped before it was started")
            return task.result()
        finally:
            task.cancel()
            stop.cancel()

    def _terminate(self, grace: float) -> None:
        running = Identity(self.state.pid, self.state.start_ticks)
        self._termination.begin(running, grace)

    def _forget(self) -> None:
        spec, around = self.spec, self._around
        around.ports.release(self.state.ports.values())
        around.logs.remove(spec.service, spec.replica)
        around.records.remove(spec.replica)

    def _change(self, *, announce: bool = True, **changes: Any) -> None:
        before = self.record.state
        self.record = replace(self.record, state=replace(before, **changes))
        if announce and self.record.state != before:
            self._announce()

    def _announce(self) -> None:
        self._around.on_change(self.spec.service)

    def _save(self) -> None:
        """Write the record. A full disk does not end a replica: its lock and intent are there."""
        try:
            self._around.records.write(self.record)
        except OSError as error:
            _LOG.warning("%s: its record is out of date: %s", self.spec.replica, error)


async def _end_quietly(watching: asyncio.Task[None]) -> None:
    """Cancel a task; what it raised before is a mistake of ours, and is told."""
    watching.cancel()
    (outcome,) = await asyncio.gather(watching, return_exceptions=True)
    if isinstance(outcome, Exception):
        _LOG.error("watching a replica ended by itself", exc_info=outcome)
