"""The request log: events wait here until workers have delivered them. Serving never waits for it.

KServe, request logger, blocks requests once a hundred events wait; here what goes beyond the
limits is dropped, counted and told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sampan.agent.events import Event

logger = logging.getLogger("sampan.agent")

_MOST_BYTES = 64 * 1024 * 1024  # of payloads that wait: as much as one request may have
_MOST_EVENTS = 10_000
_BATCH_BYTES, _BATCH_EVENTS = _MOST_BYTES // 4, _MOST_EVENTS // 4
"""What makes a batch full whatever size is asked for: one that gathers more than may wait is never
delivered, and nothing after it is taken.
"""
_PAUSES = (0.2, 1.0, None)
"""Seconds before a batch is delivered again; after the last it is dropped."""
_TELL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why events were not delivered. `lasts`: to deliver them again would not help."""

    text: str
    lasts: bool = False


Deliver: TypeAlias = Callable[[Sequence[Event]], Awaitable[Trouble | None]]
"""Delivers a batch of events; None: it has arrived."""


@dataclass(frozen=True, slots=True)
class Batching:
    """How many events are delivered together, and after how many seconds the first of them waits
    no longer; 0: until there are enough (KServe, `--log-batch-size`, `--log-batch-interval`).
    """

    size: int = 1
    interval: float = 0.0


class Log:
    """Delivers events. Made and used on its loop's thread; `start` begins the work."""

    def __init__(self, deliver: Deliver, workers: int, batching: Batching | None = None) -> None:
        self._deliver = deliver
        self._workers = workers
        self._batching = batching or Batching()
        self._batch: list[Event] = []
        self._batch_bytes = 0
        self._most = min(self._batching.size, _BATCH_EVENTS)
        self._timer: asyncio.TimerHandle | None = None
        self._ready: deque[Sequence[Event]] = deque()
        self._came = asyncio.Semaphore(0)
        self._left = 0  # events that wait or are being delivered
        self._bytes = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._dropped = 0
        self._told_at = -_TELL_SECONDS
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to deliver."""
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._workers)]

    def add(self, event: Event) -> None:
        """Take an event."""
        size = _size(event)
        if self._left >= _MOST_EVENTS or self._bytes + size > _MOST_BYTES:
            self._drop(1, f"{self._left} events wait already")
            return
        self._bytes += size
        self._left += 1
        self._empty.clear()
        self._batch.append(event)
        self._batch_bytes += size
        if len(self._batch) >= self._most or self._batch_bytes >= _BATCH_BYTES:
            self._flush()
        elif self._timer is None and self._batching.interval > 0:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._batching.interval, self._flush)

    def hurry(self) -> None:
        """Deliver each event by itself from now on: the end may come before a batch is full."""
        self._most = 1
        self._flush()

    async def close(self, seconds: float) -> None:
        """Deliver what waits, for so long at most."""
        self._flush()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._left:
            logger.warning("%s events were not delivered before the end", self._left)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._batch:
            self._ready.append(self._batch)
            self._batch, self._batch_bytes = [], 0
            self._came.release()

    async def _work(self) -> None:
        while True:
            await self._came.acquire()
            events = self._ready.popleft()
            try:
                await self._try(events)
            except Exception as error:
                logger.exception("the log broke on a batch")
                self._drop(len(events), f"{type(error).__name__}; see above")
            self._bytes -= sum(map(_size, events))
            self._left -= len(events)
            if not self._left:
                self._empty.set()

    async def _try(self, events: Sequence[Event]) -> None:
        for pause in _PAUSES:
            trouble = await self._deliver(events)
            if trouble is None:
                return
            if pause is None or trouble.lasts:
                self._drop(len(events), trouble.text)
                return
            await asyncio.sleep(pause)

    def _drop(self, count: int, why: str) -> None:
        """Count events that nobody gets, and tell it now and then."""
        self._dropped += count
        now = time.monotonic()
        if now - self._told_at >= _TELL_SECONDS:
            self._told_at = now
            logger.warning("%s events of the log were dropped so far: %s", self._dropped, why)


def _size(event: Event) -> int:
    """Return what an event takes of the memory: its payload, and what its client said beside it."""
    return len(event.body) + len(event.metadata) + len(event.id)
