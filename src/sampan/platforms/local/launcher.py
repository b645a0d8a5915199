"""The launcher: starts, stops, restarts, probes and adopts replicas as processes of this machine.

One launcher owns a state folder; that only one daemon does so is its caller's affair.

    {state_dir}/replicas/{replica}/   records and the files of a process
    {state_dir}/zygotes/              sockets and outputs of the processes to fork from
    {state_dir}/logs/{ns}/{service}/  logs
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from sampan.machinery.clock import Clock
from sampan.machinery.errors import AlreadyExists, NotFound
from sampan.plan.types import ServiceKey
from sampan.platforms.local import adoption
from sampan.platforms.local.backoff import BackOff
from sampan.platforms.local.expansion import ExpansionTooLarge
from sampan.platforms.local.logs import LogLimits, LogStore
from sampan.platforms.local.memory import OomWatch
from sampan.platforms.local.ports import PortPool
from sampan.platforms.local.process import ProcessSpec, ProcessState
from sampan.platforms.local.records import Record, Records, validate_name
from sampan.platforms.local.replica import Milestones, Replica
from sampan.platforms.local.replica_start import Surroundings
from sampan.platforms.local.zygote import ZygotePool
from sampan.platforms.local.zygote_connection import ZygoteFailed

_LOG = logging.getLogger(__name__)

LAG_SECONDS = 0.5
"""Between the word that a replica shall stop and its SIGTERM. The gateway has lost its endpoint by
then, but a thread of Envoy's that has not run since may yet send a request on a connection that the
server is about to close (Kubernetes has the same race, and `preStop` sleeps for it)."""


@dataclass(frozen=True, slots=True)
class LauncherOptions:
    """What can be set: restarts, ports, logs, and how long an unused zygote lives (seconds)."""

    back_off: BackOff = BackOff()
    first_port: int = 20_000
    last_port: int = 29_999
    logs: LogLimits = LogLimits()
    housekeeping_seconds: float = 2.0
    zygote_idle_seconds: float = 30.0
    most_zygotes: int = 8


class Launcher:
    """Replicas by name. `on_change` is called with a service whenever a state of it has changed.

    All methods belong to one event loop. Call `adopt` once before anything else. `zygotes` may be
    given where some are on their way already; the launcher closes them with itself.
    """

    def __init__(
        self,
        state_dir: Path,
        clock: Clock,
        on_change: Callable[[ServiceKey], None],
        options: LauncherOptions = LauncherOptions(),
        zygotes: ZygotePool | None = None,
    ) -> None:
        state_dir = state_dir.resolve()  # processes are recognised by the paths they hold open
        self.logs = LogStore(state_dir / "logs", options.logs)
        self._around = Surroundings(
            records=Records(state_dir / "replicas"),
            logs=self.logs,
            ports=PortPool(options.first_port, options.last_port),
            zygotes=zygotes
            or ZygotePool(state_dir / "zygotes", options.zygote_idle_seconds, options.most_zygotes),
            memory=OomWatch(),
            clock=clock,
            back_off=options.back_off,
            on_change=on_change,
        )
        self._replicas: dict[str, Replica] = {}
        self._by_service: dict[ServiceKey, dict[str, Replica]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._uncut: set[str] = set()
        self._housekeeping = options.housekeeping_seconds
        self._closed = False

    async def adopt(self) -> tuple[ProcessState, ...]:
        """Take over the replicas of an earlier daemon and return them; begin housekeeping.

        Those that run go on running, `ready` False until probed. Those that ended meanwhile have
        their `last_exit` and restart by the back-off. A stop that was under way goes on. What is
        nobody's any more is ended, and a process that is not ours is never touched.
        """
        for replica in await adoption.adopt(self._around):
            self._keep(replica)
        self._spawn(self._keep_house())
        return self.states()

    async def start(self, spec: ProcessSpec) -> ProcessState:
        """Begin to start a replica and return its first state; progress is announced.

        Starting the same spec again changes nothing. Raises ValueError for a name that is no DNS
        subdomain, AlreadyExists when the replica runs with another spec or is being stopped.
        """
        validate_name(spec.replica)
        present = self._replicas.get(spec.replica)
        if present is not None:
            if present.spec == spec and not present.state.draining:
                return present.state
            raise AlreadyExists(
                f'replica "{spec.replica}" is there already, with another spec or being stopped; '
                "wait until it is gone or choose another name"
            )
        state = ProcessState(spec=spec, created_at=self._around.clock.now())
        replica = Replica(Record(state), self._around)
        replica.begin()
        self._keep(replica)
        return replica.state

    async def stop(self, replica: str, grace_seconds: float) -> None:
        """Begin to stop a replica: SIGTERM in a moment, SIGKILL to all of it after the grace.

        Returns at once. The state shows `draining` until the process is gone; then the replica
        is forgotten with its logs, and that is announced. Unknown replicas are stopped already.
        """
        present = self._replicas.get(replica)
        if present is not None:
            present.stop(grace_seconds, LAG_SECONDS)

    def restamp(self, replica: str, template_hash: str) -> None:
        """Note another hash for the very template that a replica runs; its process goes on."""
        present = self._replicas.get(replica)
        if present is not None:
            present.restamp(template_hash)

    async def wait_stopped(self, replica: str) -> None:
        """Return when a replica that is being stopped is gone, with every process it made."""
        present = self._replicas.get(replica)
        if present is not None:
            await present.stopped()

    def states(self) -> tuple[ProcessState, ...]:
        """Return what is known of every replica, by name."""
        return tuple(self._replicas[name].state for name in sorted(self._replicas))

    def states_of(self, service: ServiceKey) -> tuple[ProcessState, ...]:
        """Return what is known of a service's replicas, by name, whatever others there are."""
        found = self._by_service.get(service, {})
        return tuple(found[name].state for name in sorted(found))

    def state(self, replica: str) -> ProcessState:
        """Return what is known of one replica; raise NotFound."""
        try:
            return self._replicas[replica].state
        except KeyError:
            known = ", ".join(sorted(self._replicas)) or "none"
            raise NotFound(f'no replica "{replica}" is started here; there are: {known}') from None

    def milestones(self, service: ServiceKey, workload: str) -> Milestones | None:
        """Return how the newest ready replica of a workload came up; None where there is none."""
        found = self._by_service.get(service, {}).values()
        told = [r.milestones for r in found if r.spec.workload == workload]
        return max(filter(None, told), key=lambda each: each.ready, default=None)

    def warm(self, spec: ProcessSpec) -> None:
        """Import for such a replica ahead of its start, while its model is still on the way.

        What goes wrong is told by the start itself.
        """
        if spec.zygote is not None:
            self._spawn(self._warm(spec))

    async def close(self, *, stop_all: bool) -> None:
        """Leave every replica running for the next daemon, or stop all and leave nothing behind."""
        if self._closed:
            return
        self._closed = True
        for task in tuple(self._tasks):
            task.cancel()
        replicas = tuple(self._replicas.values())
        if stop_all:
            for replica in replicas:
                replica.stop(replica.spec.grace_seconds)
            await asyncio.gather(*(r.stopped() for r in replicas))
        await asyncio.gather(*(r.leave() for r in replicas))
        await self._around.zygotes.close(retire=stop_all)

    def _keep(self, replica: Replica) -> None:
        self._replicas[replica.spec.replica] = replica
        self._by_service.setdefault(replica.spec.service, {})[replica.spec.replica] = replica
        self._spawn(self._collect(replica))

    async def _collect(self, replica: Replica) -> None:
        await replica.stopped()
        self._uncut.discard(replica.spec.replica)
        if self._replicas.get(replica.spec.replica) is replica:
            del self._replicas[replica.spec.replica]
            siblings = self._by_service[replica.spec.service]
            del siblings[replica.spec.replica]
            if not siblings:
                del self._by_service[replica.spec.service]
            self._around.on_change(replica.spec.service)

    async def _warm(self, spec: ProcessSpec) -> None:
        try:
            await self._around.zygotes.get(spec.zygote, spec.env)
        except (ZygoteFailed, ExpansionTooLarge) as error:
            _LOG.info("%s: not warmed: %s", spec.replica, error)

    async def _keep_house(self) -> None:
        """Rotate logs and count the kernel's kills, from time to time."""
        while True:
            await asyncio.sleep(self._housekeeping)
            self._around.memory.tick()
            for state in self.states():
                await self._rotate(state.spec)

    async def _rotate(self, spec: ProcessSpec) -> None:
        """Keep a log below its cap; where the disk does not let it, say so once and try again."""
        try:
            if self.logs.exceeds(spec.service, spec.replica):
                await asyncio.to_thread(self.logs.rotate, spec.service, spec.replica)
            self._uncut.discard(spec.replica)
        except OSError as error:
            if spec.replica not in self._uncut:
                _LOG.warning("the log of %s is not cut: %s; see to the disk", spec.replica, error)
            self._uncut.add(spec.replica)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
