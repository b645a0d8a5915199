"""How many inferences run at once, how many may wait, and for how long.

The limit is the InferenceService's `containerConcurrency`, of the whole server as there; what
waits beyond it is bounded, and what is beyond that is told to come again (503, `Retry-After`).
Used on the loop's thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from sampan.protocol.errors import ClientLeft, Overloaded, RequestTimeout
from sampan.server.job import Job

Start: TypeAlias = Callable[[], None]
QUEUE_FACTOR = 10
"""Knative's queue-proxy lets ten times the concurrency wait."""


class Admission:
    """Starts jobs within the limits. `limit` 0 is none; `timeout` 0 waits for ever.

    `reply` answers a job that was given an error here.
    """

    def __init__(
        self,
        reply: Callable[[Job], None],
        *,
        limit: int = 0,
        queue: int | None = None,
        timeout: float = 0.0,
    ) -> None:
        self._reply = reply
        self._limit = limit
        self._queue = limit * QUEUE_FACTOR if queue is None else queue
        self._timeout = timeout
        self._running: set[Job] = set()
        self._waiting: deque[tuple[Job, Start]] = deque()
        self._deadlines: deque[tuple[float, Job]] = deque()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def admit(self, job: Job, start: Start) -> None:
        """Start a job now or when one ends; raise Overloaded where too many wait."""
        if self._limit and len(self._running) >= self._limit:
            self._forget_left()
            if len(self._waiting) >= self._queue:
                raise Overloaded(self._limit, len(self._waiting))
            self._waiting.append((job, start))
            self._watch(job)
            return
        self._watch(job)
        self._running.add(job)
        start()

    def release(self, job: Job) -> None:
        """Take a job as ended: the next one begins.

        A job that timed out while its model worked keeps its place until the model is done.
        """
        if job in self._running:
            self._running.discard(job)
            self._begin()

    def _begin(self) -> None:
        while self._waiting and len(self._running) < self._limit:
            job, start = self._waiting.popleft()
            if job.settled:
                continue
            if job.inference.gone():
                self._end(job, ClientLeft())
                continue
            self._running.add(job)
            start()

    def _forget_left(self) -> None:
        """Make room: who has left, or was answered already, waits no more."""
        if len(self._waiting) < self._queue:
            return
        kept: deque[tuple[Job, Start]] = deque()
        for job, start in self._waiting:
            if not job.settled and job.inference.gone():
                self._end(job, ClientLeft())
            if not job.settled:
                kept.append((job, start))
        self._waiting = kept

    def _end(self, job: Job, error: Exception) -> None:
        job.outcome = error
        self._reply(job)

    def _watch(self, job: Job) -> None:
        """Note a deadline. All wait equally long, so the first noted is the first due."""
        if self._timeout:
            self._deadlines.append((self._loop.time() + self._timeout, job))
            if self._timer is None:
                self._timer = self._loop.call_later(self._timeout, self._expire)

    def _expire(self) -> None:
        now = self._loop.time()
        while self._deadlines and (self._deadlines[0][1].settled or self._deadlines[0][0] <= now):
            _, job = self._deadlines.popleft()
            if not job.settled:
                self._end(job, RequestTimeout(self._timeout))
        self._timer = None
        if self._deadlines:
            self._timer = self._loop.call_at(self._deadlines[0][0], self._expire)
