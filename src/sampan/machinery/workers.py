"""Workers that call a function for each key of a queue until it succeeds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from sampan.machinery.clock import Clock
from sampan.machinery.errors import Conflict
from sampan.machinery.store import Key
from sampan.machinery.workqueue import DEFAULT_PACE, Pace, QueueClosed, WorkQueue

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What a reconcile asks for: to be called again at `wake_at`, in seconds since the epoch."""

    wake_at: float | None = None


Reconcile: TypeAlias = Callable[[Key], Awaitable[Result]]
"""Brings one object closer to what it should be; called again while it raises or asks for it."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How many keys are worked on at once, and how failures are retried."""

    workers: int = 4
    pace: Pace = DEFAULT_PACE


DEFAULT_OPTIONS = WorkerOptions()


class Workers:
    """A queue of keys and who works on it. No key is worked on by two at a time."""

    def __init__(
        self, clock: Clock, reconcile: Reconcile, options: WorkerOptions = DEFAULT_OPTIONS
    ) -> None:
        self._reconcile = reconcile
        self._count = options.workers
        self.queue: WorkQueue[Key] = WorkQueue(clock, options.pace)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._count):
                    group.create_task(self._work())
        finally:
            self.queue.close()

    async def _work(self) -> None:
        while True:
            try:
                key = await self.queue.get()
            except QueueClosed:
                return
            try:
                await self._reconcile_once(key)
            finally:
                self.queue.done(key)
            # A reconcile that finds nothing to do waits for nothing. Without this, 5,000 of them in
            # a row (15 s) keep the loop from renewing a lease: it is lost, and all begins anew.
            await asyncio.sleep(0)

    async def _reconcile_once(self, key: Key) -> None:
        queue = self.queue
        try:
            result = await self._reconcile(key)
        except Conflict as conflict:
            # Someone else wrote first: ordinary, and mended by reading again.
            log.debug("%s: %s", _named(key), conflict)
            queue.add_after_failure(key)
        except Exception:
            delay = queue.add_after_failure(key)
            log.exception(
                "reconcile of %s: error %d in a row, next try in %.3g s",
                _named(key),
                queue.failures(key),
                delay,
            )
        else:
            queue.forget(key)
            if result.wake_at is not None:
                queue.add_at(key, result.wake_at)


def _named(key: Key) -> str:
    place = f"{key.namespace}/{key.name}" if key.namespace else key.name
    return f'{key.resource} "{place}"'
