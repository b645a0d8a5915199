"""A queue of keys: each at most once, never by two workers at a time, later when told so.

The rules are client-go's (`workqueue`): a key added while it is being worked on comes again when
that is done; failures back off exponentially per key; a bucket limits retries over all keys.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from sampan.machinery.clock import Clock

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Pace:
    """How failures are retried: from `first` seconds doubling to `longest`, per key.

    Over all keys at most `burst` retries at once, then `per_second` (client-go's defaults).
    """

    first: float = 0.005
    longest: float = 300.0
    per_second: float = 10.0
    burst: int = 100


DEFAULT_PACE = Pace()


class WorkQueue(Generic[Item]):
    """Keys that wait to be worked on. Belongs to one event loop."""

    def __init__(self, clock: Clock, pace: Pace = DEFAULT_PACE) -> None:
        self._clock = clock
        self._pace = pace
        self._ready: deque[Item] = deque()
        self._dirty: set[Item] = set()
        self._working: set[Item] = set()
        self._due: dict[Item, float] = {}
        self._timers: dict[Item, asyncio.Task[None]] = {}
        self._failures: dict[Item, int] = {}
        self._bucket_free_at = 0.0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, item: Item) -> None:
        """Queue a key, unless it waits already."""
        if self._closed or item in self._dirty:
            return
        self._dirty.add(item)
        if item not in self._working:
            self._ready.append(item)
            self._wake_one()

    def add_at(self, item: Item, when: float) -> None:
        """Queue a key at that time (seconds since the epoch). The earliest of several counts."""
        if self._closed:
            return
        if when <= self._clock.now():
            self.add(item)
        elif when < self._due.get(item, float("inf")):
            self._cancel_timer(item)
            self._due[item] = when
            self._timers[item] = asyncio.create_task(self._ring(item, when))

    def add_after_failure(self, item: Item) -> float:
        """Queue a key again after its back-off; return the delay in seconds."""
        failures = self._failures.get(item, 0)
        self._failures[item] = failures + 1
        # 2^64 is past any cap, and a larger exponent would overflow a float.
        delay = min(self._pace.first * 2.0 ** min(failures, 64), self._pace.longest)
        delay = max(delay, self._reserve())
        self.add_at(item, self._clock.now() + delay)
        return delay

    def failures(self, item: Item) -> int:
        """Return how often in a row a key failed."""
        return self._failures.get(item, 0)

    def forget(self, item: Item) -> None:
        """Start its back-off anew: it succeeded."""
        self._failures.pop(item, None)

    async def get(self) -> Item:
        """Take the next key, waiting for one. Raises QueueClosed after `close`."""
        while not self._ready:
            if self._closed:
                raise QueueClosed
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                self._give_up(waiter)
                raise
        item = self._ready.popleft()
        self._dirty.discard(item)
        self._working.add(item)
        self._cancel_timer(item)  # who works on it now decides anew when it is due again
        return item

    def done(self, item: Item) -> None:
        """End the work on a key. What was added meanwhile is queued now."""
        self._working.discard(item)
        if item in self._dirty:
            self._ready.append(item)
            self._wake_one()

    def close(self) -> None:
        """Take nothing more; wake all who wait."""
        self._closed = True
        for item in list(self._timers):
            self._cancel_timer(item)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _ring(self, item: Item, when: float) -> None:
        await self._clock.sleep(max(when - self._clock.now(), 0.0))
        self._timers.pop(item, None)
        self._due.pop(item, None)
        self.add(item)

    def _cancel_timer(self, item: Item) -> None:
        self._due.pop(item, None)
        timer = self._timers.pop(item, None)
        if timer is not None:
            timer.cancel()

    def _reserve(self) -> float:
        """Take a place in the bucket; return how long until it is free."""
        now, each = self._clock.now(), 1.0 / self._pace.per_second
        earliest = now - each * self._pace.burst
        # Nobody waits for more than those before it: wall time that was set back delays no retry.
        latest = now + each * len(self._timers)
        self._bucket_free_at = min(max(self._bucket_free_at, earliest), latest) + each
        return max(self._bucket_free_at - now, 0.0)

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _give_up(self, waiter: asyncio.Future[None]) -> None:
        """Leave the line; a wake-up that came too late goes to the next."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        elif self._ready:
            self._wake_one()


class QueueClosed(Exception):
    """The queue takes and gives no more."""
