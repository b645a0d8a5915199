"""Probing one replica while it runs: startup first, then readiness and liveness beside each other.

The prober decides nothing about the process; it tells its `Observer`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sampan.machinery.clock import Clock, aligned
from sampan.platforms.local.checks import Target, check
from sampan.platforms.local.probes import Probe, ProbeKind, Tally, count, next_wait


class Observer(Protocol):
    """Who is told what the probes found."""

    def ready(self, *, ready: bool) -> None:
        """Readiness has turned."""

    def unready_because(self, finding: str) -> None:
        """The replica is not ready yet; this is the newest finding."""

    def unhealthy(self, kind: ProbeKind, finding: str, grace: float | None) -> None:
        """Liveness or startup is lost: the replica must be ended, within `grace` if given."""


class Together:
    """Several readiness probes as one: all must pass. Tells the observer when that turns."""

    def __init__(self, count: int, observer: Observer) -> None:
        self._passing = [False] * count
        self._ready: bool | None = None
        self._observer = observer

    def turn(self, place: int, *, ready: bool) -> None:
        """Take what one of the probes has found."""
        self._passing[place] = ready
        if self._ready is not all(self._passing):
            self._ready = all(self._passing)
            self._observer.ready(ready=self._ready)


@dataclass(frozen=True, slots=True)
class Prober:
    """The probes of one running process, with where they go and when it was started."""

    probes: Mapping[ProbeKind, Probe]
    target: Target
    started_at: float
    clock: Clock
    observer: Observer
    beside: tuple[Probe, ...] = ()
    """The readiness of the replica's other containers: it is ready when all are."""
    word: asyncio.Event | None = None
    """Set when the replica says that it is up."""

    async def run(self) -> None:
        """Probe until cancelled, or until the replica is found unhealthy."""
        startup = self.probes.get(ProbeKind.STARTUP)
        if startup is not None and not await self._start_up(startup):
            return
        readiness = self.probes.get(ProbeKind.READINESS)
        liveness = self.probes.get(ProbeKind.LIVENESS)
        probes = (*([readiness] if readiness else ()), *self.beside)
        together = Together(len(probes), self.observer)
        async with asyncio.TaskGroup() as group:
            for place, probe in enumerate(probes):
                group.create_task(self._readiness(probe, together, place))
            if not probes:  # Kubernetes: without a probe a started container is ready
                self.observer.ready(ready=True)
            if liveness is not None:
                group.create_task(self._liveness(liveness))

    async def _pause(self, seconds: float) -> None:
        """Wait that long, or until the replica says that it is up."""
        if self.word is None:
            await self.clock.sleep(seconds)
            return
        tasks = {
            asyncio.ensure_future(self.clock.sleep(seconds)),
            asyncio.ensure_future(self.word.wait()),
        }
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.word.clear()

    async def _delay(self, probe: Probe) -> None:
        """Wait out initialDelaySeconds, which counts from the start of the process."""
        await self.clock.sleep(max(0.0, self.started_at + probe.delay - self.clock.now()))

    async def _start_up(self, probe: Probe) -> bool:
        """Return whether the startup probe passed in its time, failureThreshold periods."""
        await self._delay(probe)
        limit = self.started_at + probe.delay + probe.failure * probe.period
        tally, waited = Tally(), 0.0
        while True:
            finding = await check(probe.action, self.target, probe.timeout)
            tally = count(tally, probe, passed=not finding)
            if tally.passing:
                return True
            if finding and self.clock.now() >= limit:
                self.observer.unhealthy(ProbeKind.STARTUP, finding, probe.grace)
                return False
            if finding:
                self.observer.unready_because(finding)
            waited = next_wait(ProbeKind.STARTUP, probe, tally, waited)
            await self.clock.sleep(waited)

    async def _readiness(self, probe: Probe, together: Together, place: int) -> None:
        await self._delay(probe)
        tally, waited = Tally(), 0.0
        while True:
            finding = await check(probe.action, self.target, probe.timeout)
            before, tally = tally.passing, count(tally, probe, passed=not finding)
            if tally.passing is not None and tally.passing != before:
                together.turn(place, ready=tally.passing)
            if finding and not tally.passing:
                self.observer.unready_because(finding)
            if before and not tally.passing:
                waited = 0.0  # it may be back soon: look closely again
            waited = next_wait(ProbeKind.READINESS, probe, tally, waited)
            rests = tally.passing and not tally.failures
            if rests:
                await self.clock.sleep(aligned(self.clock.now(), waited))
            else:
                await self._pause(waited)

    async def _liveness(self, probe: Probe) -> None:
        """Begin one period after the delay: here a process is asked sooner than a pod would be."""
        await self._delay(probe)
        tally = Tally()
        while tally.passing is not False:
            await self.clock.sleep(next_wait(ProbeKind.LIVENESS, probe, tally, 0.0))
            finding = await check(probe.action, self.target, probe.timeout)
            tally = count(tally, probe, passed=not finding)
            if tally.passing is False:
                self.observer.unhealthy(ProbeKind.LIVENESS, finding, probe.grace)
