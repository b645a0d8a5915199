"""Which of several operators acts: the holder of a Lease (Kubernetes, coordination.k8s.io).

The rules are client-go's: a lease that did not change for its whole duration, by the watcher's own
clock, is free, so that clocks need not agree; who cannot renew in time, or gets no answer, stops
acting before another may begin; who stops on purpose gives the lease back at once.

Durations are of the loop's clock, which nobody sets; what stands in a lease is wall time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sampan.machinery.clock import Clock
from sampan.machinery.ending import end_task
from sampan.machinery.errors import AlreadyExists, ApiError, Conflict, NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.operator.cluster_store import ClusterStore
from sampan.platforms.kubernetes.kinds import LEASES

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ElectionTimes:
    """Seconds: how long a lease lasts, after how long without renewal its holder stops, and how
    often it is looked at. client-go's defaults.
    """

    lease: float = 15.0
    deadline: float = 10.0
    retry: float = 2.0


@dataclass(frozen=True, slots=True)
class Sight:
    """A lease as it was last seen to change, and when by the own clock."""

    record: tuple[str, str] = ("", "")
    at: float = 0.0


def look_at(lease: Mapping[str, Any], sight: Sight, now: float) -> Sight:
    """Return the sight of a lease: an unchanged one stays as old as it was. Pure."""
    spec = lease.get("spec") or {}
    record = str(spec.get("holderIdentity") or ""), str(spec.get("renewTime") or "")
    return sight if record == sight.record and sight.at else Sight(record, now)


def may_take(lease: Mapping[str, Any], sight: Sight, identity: str, now: float) -> bool:
    """Return whether one may hold a lease now: it is one's own, nobody's, or out of time. Pure."""
    holder = sight.record[0]
    duration = float((lease.get("spec") or {}).get("leaseDurationSeconds") or 0)
    return holder in ("", identity) or now >= sight.at + duration


def make_held(
    lease: Mapping[str, Any], identity: str, now: float, times: ElectionTimes
) -> JsonObject:
    """Return the lease as held by `identity` since or still. Pure."""
    spec = lease.get("spec") or {}
    before = str(spec.get("holderIdentity") or "")
    stamp = _micro_time(now)
    taken = spec.get("acquireTime") if before == identity else stamp
    changes = int(spec.get("leaseTransitions") or 0) + (before != identity)
    held = {
        "holderIdentity": identity,
        "leaseDurationSeconds": int(times.lease),
        "acquireTime": taken or stamp,
        "renewTime": stamp,
        "leaseTransitions": changes,
    }
    return {**lease, "spec": {**spec, **held}}


def make_released(lease: Mapping[str, Any], now: float) -> JsonObject:
    """Return the lease as given back: nobody's, for the next to take at once. Pure."""
    spec = lease.get("spec") or {}
    given = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro_time(now)}
    return {**lease, "spec": {**spec, **given}}


class Election:
    """Runs work while it holds the lease, again and again, until cancelled."""

    def __init__(
        self,
        store: ClusterStore,
        clock: Clock,
        key: Key,
        identity: str,
        times: ElectionTimes | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._key = key
        self._identity = identity
        self._times = times or ElectionTimes()
        self._sight = Sight()
        self._renewed = 0.0
        self.leading = False

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait for the lease, work while holding it, and give it back when cancelled."""
        try:
            while True:
                if await self._try():
                    await self._lead(work)
                await self._clock.sleep(self._times.retry)
        finally:
            if self.leading:
                self.leading = False
                await self._release()

    async def _lead(self, work: Callable[[], Awaitable[None]]) -> None:
        log.info('"%s" holds lease "%s" and acts', self._identity, self._key.name)
        self.leading = True
        task = asyncio.ensure_future(work())
        try:
            while not task.done():
                await asyncio.wait((task,), timeout=self._times.retry)
                if task.done() or not await self._hold():
                    break
        finally:
            await end_task(task)
        self.leading = False
        log.warning('"%s" lost lease "%s" and waits', self._identity, self._key.name)

    async def _hold(self) -> bool:
        """Renew; a failure counts once the deadline has passed, waiting for an answer included."""
        deadline = self._renewed + self._times.deadline
        try:
            async with asyncio.timeout_at(deadline):
                if await self._try():
                    return True
        except TimeoutError:
            return False
        taken = self._sight.record[0] not in ("", self._identity)
        return not taken and _monotonic() < deadline

    async def _try(self) -> bool:
        """Take or renew the lease; False where it is another's or cannot be written now."""
        try:
            lease = await self._read()
            now = _monotonic()
            self._sight = look_at(lease, self._sight, now)
            if not may_take(lease, self._sight, self._identity, now):
                return False
            held = make_held(lease, self._identity, self._clock.now(), self._times)
            made = await self._store.update(LEASES.id, held)
        except (Conflict, AlreadyExists, NotFound):
            return False
        except ApiError as error:
            log.warning("lease %s cannot be written now: %s", self._key.name, error.message)
            return False
        self._sight, self._renewed = look_at(made, self._sight, now), now
        return True

    async def _read(self) -> JsonObject:
        try:
            return await self._store.get(self._key)
        except NotFound:
            metadata = {"name": self._key.name, "namespace": self._key.namespace}
            lease = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata}
            empty = make_released(lease, self._clock.now())
            return await self._store.create(LEASES.id, empty)

    async def _release(self) -> None:
        with suppress(ApiError):  # it runs out by itself
            lease = await self._store.get(self._key)
            if lease["spec"].get("holderIdentity") == self._identity:
                await self._store.update(LEASES.id, make_released(lease, self._clock.now()))


def _monotonic() -> float:
    return asyncio.get_running_loop().time()


def _micro_time(now: float) -> str:
    """The form of Kubernetes's MicroTime."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
