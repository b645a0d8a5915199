"""The activator's shell: requests join, the gateway tells what can be reached, requests go.

Which may go is `queue`'s decision. Word that a workload can be reached comes from the gateway once
Envoy has its endpoints, never before, so that no request is let go into nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeAlias

from sampan.activator.phases import Start, make_phases
from sampan.activator.queue import QUEUE_DEPTH, Queue, select_count
from sampan.gateway.errors import GatewayError
from sampan.gateway.table import RouteTable, select_shares
from sampan.machinery.clock import Clock, SystemClock

PACE_SECONDS = 0.02
"""How often the requests under way are counted while a workload of limited concurrency has more
waiting than it takes."""

LAG_SECONDS = 0.5
"""Until who was let go is on the way. On a busy machine a thread of Envoy that waits for its turn
learns of an endpoint's end before it reads an answer that was given earlier."""

DEFAULT_TIMEOUT = 300.0
"""How long a request waits where its service gives no timeout (Knative's timeoutSeconds)."""

_STOPPING = "the platform is being stopped; try again when it is up"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a held request: it goes (`status` 0), or is answered with a status and why.

    `waited` is in seconds, and so are its `phases` (of `sampan.activator.phases.PHASES`). One that
    is answered 503 may be tried `again` after so many.
    """

    status: int
    message: str = ""
    waited: float = 0.0
    phases: tuple[float, ...] = ()
    again: int = 1


Answer: TypeAlias = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a workload cannot be started now, in a sentence, and in how many seconds it is tried."""

    message: str
    again: float


@dataclass(frozen=True, slots=True)
class World:
    """Whom the activator tells and asks, always about a workload as `namespace/name`.

    `wake`: somebody waits and nothing can be reached. `busy`: how many requests are under way.
    `reason`: why it is not up yet, in a sentence. `start`: how its newest replica that is ready
    came up. `started`: a cold start is over, with the phases of the request that waited longest,
    and its `traceparent` ("": it has none). `refusal`: why it cannot be started now; None: it can,
    as far as is known.
    """

    wake: Callable[[str], None]
    busy: Callable[[str], Awaitable[int]]
    reason: Callable[[str], Awaitable[str]]
    start: Callable[[str], Start | None] = lambda _: None
    started: Callable[[str, tuple[float, ...], str], None] = lambda _, __, ___: None
    refusal: Callable[[str], Refusal | None] = lambda _: None


@dataclass(frozen=True, slots=True)
class _Reach:
    """What Envoy can reach of a workload."""

    endpoints: int = 0
    concurrency: int = 0


@dataclass(eq=False, slots=True)
class _Waiter:
    answer: Answer
    since: float
    arrived: float
    caller: str = ""
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class _Hold:
    queue: Queue[_Waiter]
    pacing: asyncio.Task[None] | None = field(default=None)


class Activator:
    """Holds requests by workload. Made and used on its loop's thread."""

    def __init__(self, world: World, limit: int = QUEUE_DEPTH, clock: Clock | None = None) -> None:
        self._world = world
        self._limit = limit
        self._clock = clock or SystemClock()
        self._told: dict[str, Start] = {}
        """The newest start of each workload that `started` was told of."""
        self._reach: Mapping[str, _Reach] = {}
        self._held: frozenset[str] = frozenset()
        self._holds: dict[str, _Hold] = {}
        self._went: dict[str, float] = {}
        """When the last one was let go to a workload, by the loop's clock."""
        self._tasks: set[asyncio.Task[None]] = set()

    def waiting(self, workload: str) -> int:
        """Return how many requests wait for a workload."""
        hold = self._holds.get(workload)
        return len(hold.queue) if hold else 0

    def leaving(self, table: RouteTable) -> float:
        """Take note of what Envoy is about to lose: nobody is let go to it any more.

        Return for how many seconds Envoy should keep it, for those who have just been let go.
        """
        coming = make_reach(table)
        kept = self._select_lag(coming)
        self._reach = {
            workload: reach if coming.get(workload) is reach else _less(reach, coming.get(workload))
            for workload, reach in self._reach.items()
        }
        return kept

    def reached(self, table: RouteTable) -> None:
        """Take note that Envoy has the endpoints of this table, and let go who may go."""
        self._reach = make_reach(table)
        for workload in tuple(self._holds):
            self._release(workload)

    def routed(self, table: RouteTable) -> None:
        """Take note of which routes Envoy holds from now on."""
        shares = (share for route in table.routes for share in select_shares(route))
        self._held = frozenset(share.held for share in shares if share.held)

    def is_held(self, workload: str) -> bool:
        """Tell whether requests for a workload come here first."""
        return workload in self._held

    def refuse(self, workload: str) -> None:
        """Answer 503 to all who wait for a workload that its world refuses to start.

        So is who comes later (`hold`): nobody waits out a timeout for what has no room.
        """
        hold, refusal = self._holds.get(workload), self._world.refusal(workload)
        if hold is None or refusal is None:
            return
        for waiter in hold.queue.take(len(hold.queue)):
            self._settle(waiter, make_refused(workload, refusal))
        self._forget_empty(workload)

    def hold(
        self, workload: str, answer: Answer, timeout: float = DEFAULT_TIMEOUT, caller: str = ""
    ) -> Callable[[], None] | None:
        """Hold a request until it may go; return what to call when its client leaves.

        It is answered once: at once where nothing needs waiting for (then None is returned), or
        later; 503 where too many wait or it cannot be started, 504 after `timeout` seconds.
        `caller` is its `traceparent`.
        """
        hold = self._holds.get(workload)
        reach = self._reach.get(workload, _Reach())
        loop = asyncio.get_running_loop()
        if hold is None and reach.endpoints and not reach.concurrency:
            self._went[workload] = loop.time()
            answer(Outcome(0))
            return None
        if not reach.endpoints and (refusal := self._world.refusal(workload)):
            answer(make_refused(workload, refusal))
            return None
        hold = self._holds.setdefault(workload, hold or _Hold(Queue(self._limit)))
        waiter = _Waiter(answer, loop.time(), self._clock.now(), caller)
        if not hold.queue.join(waiter):
            answer(Outcome(503, _full(workload, self._limit)))
            return None
        waiter.timer = loop.call_later(timeout, self._expire, workload, waiter, timeout)
        if not reach.endpoints and len(hold.queue) == 1:
            self._world.wake(workload)
        self._release(workload)
        return lambda: self._leave(workload, waiter)

    def _select_lag(self, coming: Mapping[str, _Reach]) -> float:
        """Return for how many seconds somebody may still go to what is coming to nothing."""
        went = [
            self._went.pop(workload, -math.inf)
            for workload, reach in self._reach.items()
            if reach.endpoints and not coming.get(workload, _Reach()).endpoints
        ]
        now = asyncio.get_running_loop().time()
        return max(0.0, max(went, default=-math.inf) + LAG_SECONDS - now)

    async def close(self) -> None:
        """Refuse all that wait: nobody will wake what they wait for."""
        for hold in self._holds.values():
            for waiter in hold.queue.take(len(hold.queue)):
                self._settle(waiter, Outcome(503, _STOPPING))
            if hold.pacing is not None:
                hold.pacing.cancel()
        self._holds.clear()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _release(self, workload: str) -> None:
        """Let go who may go: all at once, or at the pace of a limited concurrency."""
        hold, reach = self._holds[workload], self._reach.get(workload, _Reach())
        if reach.endpoints and reach.concurrency:
            if hold.pacing is None:
                hold.pacing = self._spawn(self._pace(workload))
            return
        self._let_go(workload, select_count(reach.endpoints, 0, 0, len(hold.queue)))
        self._forget_empty(workload)

    def _let_go(self, workload: str, count: int) -> None:
        """Let so many go, those first who have waited longest."""
        waiters = self._holds[workload].queue.take(count)
        if not waiters:
            return
        self._went[workload] = asyncio.get_running_loop().time()
        start = self._world.start(workload)
        for waiter in waiters:
            phases = make_phases(waiter.arrived, self._clock.now(), start)
            if phases and start is not None and self._told.get(workload) != start:
                self._told[workload] = start
                self._world.started(workload, phases, waiter.caller)
            self._settle(waiter, Outcome(0, phases=phases))

    async def _pace(self, workload: str) -> None:
        """Let requests go as places become free; those just let go count until they are seen."""
        hold = self._holds[workload]
        while hold.queue and (reach := self._reach.get(workload, _Reach())).endpoints:
            with suppress(GatewayError):  # nobody goes while what is under way cannot be told
                busy = await self._world.busy(workload)
                count = select_count(reach.endpoints, reach.concurrency, busy, len(hold.queue))
                self._let_go(workload, count)
            await asyncio.sleep(PACE_SECONDS)
        hold.pacing = None
        if hold.queue:
            self._world.wake(workload)
        self._forget_empty(workload)

    def _expire(self, workload: str, waiter: _Waiter, timeout: float) -> None:
        if self._holds[workload].queue.leave(waiter):
            self._forget_empty(workload)
            late = f'"{workload}" was not up within {timeout:g} s'
            self._spawn(self._tell_late(workload, waiter, late))

    async def _tell_late(self, workload: str, waiter: _Waiter, late: str) -> None:
        self._settle(waiter, Outcome(504, f"{late}: {await self._world.reason(workload)}"))

    def _leave(self, workload: str, waiter: _Waiter) -> None:
        if waiter.timer is not None:
            waiter.timer.cancel()
        hold = self._holds.get(workload)
        if hold is not None and hold.queue.leave(waiter):
            self._forget_empty(workload)

    @staticmethod
    def _settle(waiter: _Waiter, outcome: Outcome) -> None:
        """Answer who waits, and tell how long."""
        if waiter.timer is not None:
            waiter.timer.cancel()
        waited = asyncio.get_running_loop().time() - waiter.since
        waiter.answer(replace(outcome, waited=waited))

    def _forget_empty(self, workload: str) -> None:
        hold = self._holds.get(workload)
        if hold is not None and not hold.queue and hold.pacing is None:
            del self._holds[workload]

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def make_reach(table: RouteTable) -> Mapping[str, _Reach]:
    """Return what can be reached by a table, by cluster. Pure."""
    return {c.name: _find_reach(len(c.endpoints), c.concurrency) for c in table.clusters}


_find_reach = lru_cache(1024)(_Reach)
"""One value for all who are alike: of a thousand workloads, most are, and stay so."""


def _less(reach: _Reach, coming: _Reach | None) -> _Reach:
    """Return the one of the two with fewer endpoints. Pure."""
    return min(reach, coming or _Reach(), key=lambda r: r.endpoints)


def make_refused(workload: str, refusal: Refusal) -> Outcome:
    """Return what is answered for a workload that cannot be started now. Pure."""
    message = f'no replica of "{workload}" can be started now: {refusal.message}'
    return Outcome(503, message, again=max(1, math.ceil(refusal.again)))


def _full(workload: str, limit: int) -> str:
    return f'{limit} requests wait for "{workload}" already; try again in a second'
