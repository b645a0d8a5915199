"""The autoscalers of all services: one loop that reads, decides and tells who must act.

There is one timer for all workloads and none each. The traffic of all is one read of the gateway's
counters, less often while nothing moves and not at all while nothing scales by it. Decisions are
made each 2 s from what is remembered; a workload long idle at its minimum is passed over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from sampan.autoscaler.decide import TICK
from sampan.autoscaler.outcome import Outcome, Room, Seen, fit
from sampan.autoscaler.policy import select_policy
from sampan.autoscaler.queries import Asked, Readings
from sampan.autoscaler.resource_scaler import ResourceScaler, Use
from sampan.autoscaler.scaler import RequestScaler
from sampan.autoscaler.settings import Defaults
from sampan.autoscaler.signal import Traffic
from sampan.controllers.scaled_workload import (
    ScaledWorkload,
    make_component,
    make_scaled,
    select_replicas,
    workload_key,
)
from sampan.machinery.clock import Clock, aligned
from sampan.plan.observed import Observed
from sampan.plan.scaling import Scale
from sampan.plan.types import Plan, Role, ServiceKey, Workload

log = logging.getLogger(__name__)

BUSY_SECONDS = 0.25
"""Between two readings while requests come: the shortest panic window is made of four a second."""
QUIET_SECONDS = TICK
"""Between two readings while nothing moves: there is nothing to be decided sooner."""
_CALM_AFTER = 5.0


class Signals(Protocol):
    """What a platform tells an autoscaler. Workloads are named `namespace/name`."""

    async def traffic(self) -> Mapping[str, Traffic] | None:
        """Return the requests of each workload that was ever asked; None: cannot be told now."""

    async def use(self, pids: Sequence[int]) -> Mapping[str, float]:
        """Return what each of these replicas used on average since the last time it was asked for:
        cores of `cpu`, bytes of `memory`; what is not known is absent.
        """

    async def readings(self, asked: Asked) -> Readings:
        """Return what the queries of a workload come to."""

    async def room(self, pids: Sequence[int]) -> Room | None:
        """Return how many replicas like these ready ones there can be; None: not known."""


class Holder(Protocol):
    """Who keeps the requests of a workload without replicas."""

    def is_held(self, workload: str) -> bool:
        """Tell whether the workload's requests are known to wait there."""

    def waiting(self, workload: str) -> int:
        """Return how many of them wait."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the loop works with.

    `notify` has a service decided anew; `announce` records that a workload has another size.
    Without a `holder` one replica is always kept.
    """

    signals: Signals
    clock: Clock
    notify: Callable[[ServiceKey], None]
    announce: Callable[[ScaledWorkload], Awaitable[None]]
    holder: Holder | None = None


class Autoscaling:
    """The autoscaler of each workload that has one; `run` drives them."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self.defaults = Defaults()
        """What `config-autoscaler` says."""
        self._workloads: dict[str, ScaledWorkload] = {}
        self._named: dict[ServiceKey, set[str]] = {}
        self._decided_at = self._busy_at = float("-inf")
        self._totals: dict[str, int] = {}
        self._woken: set[str] = set()
        self._hurried: set[str] = set()
        self._wake = asyncio.Event()

    def configure(self, defaults: Defaults) -> None:
        """Take what `config-autoscaler` says now; a service follows when it is noted again."""
        self.defaults = defaults

    def scales(self, service: ServiceKey) -> Mapping[str, Scale]:
        """Return what is decided for each workload of a service that scales."""
        return {w.name: w.scale for w in self._of(service)}

    def note(self, plan: Plan, observed: Observed, mode: str) -> Mapping[str, Scale]:
        """Take note of a plan and of what runs of it; return what is decided for its workloads.

        A workload that is new here keeps the replicas that it has. A blocked plan changes nothing.
        """
        if plan.blocked is None:
            named = {w.name for w in plan.workloads}
            for gone in [w.key for w in self._of(plan.service) if w.name not in named]:
                self._forget(plan.service, gone)
        for workload in plan.workloads:
            if workload.role in (Role.STABLE, Role.REVISION):
                self._note_workload(plan.service, workload, observed, mode)
        return self.scales(plan.service)

    def wake(self, workload: str) -> None:
        """Decide about a workload at once: a request waits for it and nothing can answer."""
        self._woken.add(workload)
        self._wake.set()

    async def run(self) -> None:
        """Read and decide until cancelled."""
        while True:
            await self._pause()
            try:
                await self.tick()
            except Exception:
                log.exception("autoscaling goes on after an error")

    async def tick(self) -> None:
        """Take one reading, and each 2 s the decisions."""
        now = self._tools.clock.now()
        if any(isinstance(w.scaler, RequestScaler) for w in self._workloads.values()):
            await self._read(now)
        woken, self._woken = self._woken, set()
        hurried, self._hurried = self._hurried | woken, set()
        due = now - self._decided_at >= TICK - 0.05  # a timer that fires a hair early counts
        if due:
            self._decided_at = now
        for key, workload in tuple(self._workloads.items()):
            if key in woken and isinstance(workload.scaler, RequestScaler):
                workload.scaler.poke(now)
            if due or key in hurried:
                await self._decide(workload, now)

    def _of(self, service: ServiceKey) -> Iterator[ScaledWorkload]:
        return (self._workloads[key] for key in sorted(self._named.get(service, ())))

    def _forget(self, service: ServiceKey, key: str) -> None:
        self._totals.pop(key, None)
        if self._workloads.pop(key, None) is not None:
            self._named[service].discard(key)
            if not self._named[service]:
                del self._named[service]

    def _note_workload(
        self, service: ServiceKey, workload: Workload, observed: Observed, mode: str
    ) -> None:
        key = workload_key(service, workload.name)
        policy = select_policy(make_component(workload, mode), self.defaults)
        replicas = select_replicas(observed, workload.name)
        known = self._workloads.get(key)
        if policy is None:
            self._forget(service, key)
        elif known is None or known.policy != policy:
            now = self._tools.clock.now()
            held = workload.name in observed.held
            made = make_scaled(service, workload, policy, replicas, now, held=held)
            made.proven = known.proven if known else workload.template_hash if held else ""
            self._workloads[key] = made
            self._named.setdefault(service, set()).add(key)
        else:
            known.replicas, known.template_hash = replicas, workload.template_hash
        if key in self._workloads:
            self._note_sleep(self._workloads[key])

    def _note_sleep(self, workload: ScaledWorkload) -> None:
        """Look at once at one that sleeps and must not, or need not be held any more."""
        if any(r.template_hash == workload.template_hash for r in workload.ready()):
            workload.proven = workload.template_hash
        if not workload.scale.held:
            return
        holder, asleep = self._tools.holder, workload.scale.replicas == 0
        # A template that never ran is tried before anybody asks for it (Knative's initial scale).
        wanted = workload.proven != workload.template_hash or (
            holder is not None and holder.waiting(workload.key)
        )
        if asleep and wanted:
            self.wake(workload.key)
        elif not asleep and workload.ready():
            self._hurry(workload.key)

    async def _pause(self) -> None:
        now = self._tools.clock.now()
        moving = now - self._busy_at < _CALM_AFTER
        pause = aligned(now, BUSY_SECONDS if moving else QUIET_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._wake.wait()
        self._wake.clear()

    async def _read(self, now: float) -> None:
        traffic = await self._tools.signals.traffic()
        if traffic is None:
            return
        holder = self._tools.holder
        for key, workload in self._workloads.items():
            if isinstance(workload.scaler, RequestScaler):
                told = traffic.get(key, Traffic(0, 0))
                waiting = holder.waiting(key) if holder else 0
                told = replace(told, active=told.active + waiting)
                if self._has_moved(key, told):
                    self._busy_at = now
                workload.scaler.add(now, told)

    def _has_moved(self, key: str, told: Traffic) -> bool:
        """Tell whether requests are under way, or came since the last reading.

        Our own are taken off a moment before or after the gateway counts them, so that a total may
        seem to go back.
        """
        before = self._totals.get(key, told.total)
        self._totals[key] = max(before, told.total)
        return told.active > 0 or told.total > before

    async def _decide(self, workload: ScaledWorkload, now: float) -> None:
        holder, scaler = self._tools.holder, workload.scaler
        held = holder is not None and holder.is_held(workload.key)
        seen = workload.seen(now, held=held, can_hold=holder is not None)
        if isinstance(scaler, ResourceScaler):
            decided = await self._by_use(workload, scaler, now, seen)
            if decided is None:
                return
            outcome = decided
        else:
            await self._look_beside(workload, now, seen)
            if scaler.is_quiet(now):
                return
            outcome = workload.raised(scaler.decide(now, seen))
        if outcome.replicas > scaler.current and seen.ready:
            room = await self._tools.signals.room([r.pid for r in workload.ready()])
            outcome = fit(outcome, room, scaler.current)
        await self._take(workload, outcome)

    async def _by_use(
        self, workload: ScaledWorkload, scaler: ResourceScaler, now: float, seen: Seen
    ) -> Outcome | None:
        """Return what use and metrics say, None where it is not the time or nothing is there."""
        if not scaler.is_due(now) or not (seen.ready or workload.beside):
            return None
        readings = self._ask(workload)
        if readings is None:
            return None
        workload.busy = any(value > 0 for value in readings.told.values())
        if not seen.ready:
            scaler.wait(now)
            return None
        used = await self._tools.signals.use([r.pid for r in workload.ready()])
        return scaler.decide(now, seen, Use(used, workload.requested, readings))

    async def _look_beside(self, workload: ScaledWorkload, now: float, seen: Seen) -> None:
        """See how many replicas the metrics want of one that requests wake, and so do metrics."""
        beside, scaler = workload.beside, workload.scaler
        if beside is None or not isinstance(scaler, RequestScaler):
            return
        advised = await self._by_use(workload, beside, now, seen)
        if advised is not None:
            beside.take(advised)
            workload.advised = advised
        if not seen.ready:
            workload.advised = None
        if workload.busy:
            scaler.poke(now)

    def _ask(self, workload: ScaledWorkload) -> Readings | None:
        """Return what was asked for; None while an answer is waited for, which holds up nobody."""
        asked = workload.asked()
        if asked is None:
            return Readings()
        if workload.reading is None:
            workload.reading = asyncio.ensure_future(self._tools.signals.readings(asked))
            workload.reading.add_done_callback(lambda _: self._hurry(workload.key))
        if not workload.reading.done():
            return None
        reading, workload.reading = workload.reading, None
        return reading.result()

    def _hurry(self, key: str) -> None:
        """Decide about a workload at once."""
        self._hurried.add(key)
        self._wake.set()

    async def _take(self, workload: ScaledWorkload, outcome: Outcome) -> None:
        """Note a decision, and have it acted upon where it changes anything but its words."""
        before = workload.scale
        workload.scaler.take(outcome)
        limited = before.limited if before.limited and outcome.limited else outcome.limited
        held = outcome.hold or self._queues(workload)
        waking = held and outcome.replicas > 0 and workload.proven == workload.template_hash
        workload.scale = Scale(
            outcome.replicas, held, outcome.reason, limited, waking, outcome.unread
        )
        if replace(before, reason="") != replace(workload.scale, reason=""):
            self._tools.notify(workload.service)
        if before.replicas != outcome.replicas:
            await self._tools.announce(workload)

    def _queues(self, workload: ScaledWorkload) -> bool:
        """Tell whether requests that came while it slept wait still: later ones stand behind."""
        holder = self._tools.holder
        return workload.scale.held and holder is not None and holder.waiting(workload.key) > 0
