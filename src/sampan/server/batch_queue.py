"""Natural batching: while a model is busy requests gather, when it is free it takes them together.

An idle server adds no wait: the first request is taken as soon as the loop has read what has
arrived at the same moment. A quick model runs on the loop, any other on a thread, one call at a
time. Used on the loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from time import perf_counter, thread_time
from typing import Any, TypeAlias

from sampan.protocol.errors import ClientLeft
from sampan.protocol.tensors import InferRequest
from sampan.server.batch_run import BatchModel, run_jobs
from sampan.server.batching import BatchLimits
from sampan.server.job import Job
from sampan.server.model_exits import make_exit_error
from sampan.server.pace import Pace, charge
from sampan.server.workers import Workers

logger = logging.getLogger("sampan.server")

Gathered: TypeAlias = Callable[[int, list[float]], None]
"""Told of each predict: how many requests it takes, and how long each has waited in seconds."""
Settle: TypeAlias = Callable[[Job], None]
"""Takes a job whose `outcome` is there: counts it and answers."""


class BatchQueue:
    """The waiting requests of one model."""

    def __init__(
        self,
        batches: BatchModel,
        pace: Pace,
        limits: BatchLimits,
        workers: Workers,
        ends: tuple[Settle, Gathered],
    ) -> None:
        self._batches = batches
        self._pace = pace
        self._limits = limits
        self._workers = workers
        self._settle, self._gathered = ends
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Job] = []
        self._armed = False  # a take is scheduled, or the model is busy and takes when it is free
        self._rows = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def length(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def put(self, job: Job) -> None:
        """Take a request in; it is settled later."""
        if self._limits.max_latency and not self._decode(job):
            return
        self._waiting.append(job)
        if not self._armed:
            self._arm()
        elif self._timer is not None and self._rows >= self._limits.max_size:
            self._timer.cancel()
            self._timer = None
            self._loop.call_soon(self._take)

    def _arm(self) -> None:
        self._armed = True
        if self._limits.max_latency and self._rows < self._limits.max_size:
            self._timer = self._loop.call_later(self._limits.max_latency, self._take)
        else:
            self._loop.call_soon(self._take)

    def _decode(self, job: Job) -> bool:
        """Decode early to count rows, so that a full batch does not wait on."""
        try:
            job.payload = job.inference.decode()
        except Exception as error:  # noqa: BLE001  # becomes the answer
            job.outcome = error
            self._settle(job)
            return False
        job.decoded = True
        self._rows += _rows_of(job.payload)
        return True

    def _take(self) -> None:
        """Run what has gathered."""
        self._timer = None
        size = self._limits.max_size
        jobs, self._waiting = self._waiting[:size], self._waiting[size:]
        if self._limits.max_latency:
            self._rows = sum(_rows_of(job.payload) for job in self._waiting)
        now = perf_counter()
        self._gathered(len(jobs), [now - job.begun for job in jobs])
        if self._pace.inline:
            try:
                self._run_here(jobs)
            except Exception as error:
                logger.exception("a batch broke outside its model")
                self._fail(jobs, error)
            self._go_on()
        else:
            self._workers.submit(partial(self._work, jobs), partial(self._ended, jobs))

    def _go_on(self) -> None:
        if self._waiting:
            self._arm()
        else:
            self._armed = False

    def _run_here(self, jobs: list[Job]) -> None:
        wall, cpu = perf_counter(), thread_time()
        for settled in run_jobs(self._batches, jobs, self._limits):
            for job in settled:
                self._settle(job)
        self._pace.observe(charge(perf_counter() - wall, thread_time() - cpu))
        self._pace.doubt = False  # of who else runs the model here, and does not ask for its time

    def _work(self, jobs: list[Job]) -> float:
        """Run on a thread; return the seconds that the loop would have lost."""
        wall, cpu = perf_counter(), thread_time()
        for settled in run_jobs(self._batches, jobs, self._limits):
            self._loop.call_soon_threadsafe(self._settle_all, settled)
        return charge(perf_counter() - wall, thread_time() - cpu)

    def _settle_all(self, jobs: list[Job]) -> None:
        for job in jobs:
            self._settle(job)

    def _ended(self, jobs: list[Job], outcome: Any) -> None:
        """Go on with what came in meanwhile, less what nobody waits for any more."""
        if isinstance(outcome, BaseException):  # most of all SystemExit in predict
            self._fail(jobs, outcome)
        elif self._batches.model.quick:
            self._pace.observe(outcome)
        self._waiting = [job for job in self._waiting if not self._left(job)]
        self._go_on()

    def _fail(self, jobs: list[Job], error: BaseException) -> None:
        """Answer what is still open after something broke that is no error of a request."""
        for job in jobs:
            if not job.settled:
                job.outcome = make_exit_error(error)
                self._settle(job)

    def _left(self, job: Job) -> bool:
        if not job.settled and not job.inference.gone():
            return False
        job.outcome = ClientLeft()
        self._settle(job)  # of one that has timed out, its place is given back
        return True


def _rows_of(payload: Any) -> int:
    """Return the rows that a decoded payload brings, as far as it can be told beforehand."""
    if isinstance(payload, InferRequest):
        shapes = [tensor.shape for tensor in payload.inputs]
        return shapes[0][0] if shapes and shapes[0] else 1
    instances = payload.get("instances") if isinstance(payload, dict) else None
    return len(instances) if isinstance(instances, list) else 1
