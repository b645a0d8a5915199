"""`--workers N`: processes forked from one that has loaded the model, so that they share it.

The parent stays single-threaded and runs no loop: it waits for signals, starts a worker anew when
one dies or gives no sign of life, and ends them all when it is told to stop. All accept from one
inherited socket, so a worker that dies loses no connection that it has not accepted.
"""

from __future__ import annotations

import logging
import mmap
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

logger = logging.getLogger("sampan.serve")

_BEAT = struct.Struct("d")
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_WATCHED = {*_SIGNALS, signal.SIGCHLD}
_LOOK_SECONDS = 1.0
_BACKOFF_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
_STEADY_SECONDS = 30.0  # a worker that lived this long died of something new
_STARTING_SECONDS = 30.0  # until the first sign of life
_LAST_SECONDS = 5.0  # over the grace period, for the workers' own ending


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker is told: which of how many it is, and how to show that it lives."""

    index: int
    count: int
    beats: mmap.mmap
    parent: int
    """A pipe that ends when the parent does."""

    def beat(self) -> None:
        """Say that the loop turns."""
        _BEAT.pack_into(self.beats, self.index * _BEAT.size, time.monotonic())


Serve: TypeAlias = Callable[[Place], int]
"""Serves in a worker until it is told to stop; returns the exit code."""


@dataclass(slots=True)
class _Worker:
    pid: int = 0
    started: float = 0.0
    failures: int = 0
    due: float = 0.0


@dataclass(slots=True)
class Supervisor:
    """Keeps `count` workers alive. `timeout` 0: only death counts."""

    serve: Serve
    count: int
    timeout: float
    grace: float
    _workers: list[_Worker] = field(default_factory=list)
    _beats: mmap.mmap = field(init=False)
    _pipe: tuple[int, int] = field(init=False)

    def run(self) -> int:
        """Run until a signal says to stop; return 0, or a worker's code if none can be served."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        self._beats = mmap.mmap(-1, max(mmap.PAGESIZE, self.count * _BEAT.size))
        self._pipe = os.pipe()
        self._workers = [_Worker() for _ in range(self.count)]
        while True:
            for index, worker in enumerate(self._workers):
                if not worker.pid and time.monotonic() >= worker.due:
                    self._start(index, worker)
            told = signal.sigtimedwait(_WATCHED, _LOOK_SECONDS)
            if told is not None and told.si_signo in _SIGNALS:
                return self._stop()
            self._reap()
            self._replace_silent()

    def _start(self, index: int, worker: _Worker) -> None:
        worker.started = time.monotonic()
        _BEAT.pack_into(self._beats, index * _BEAT.size, 0.0)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            worker.pid = pid
            return
        code = 70  # EX_SOFTWARE: what is left when the worker itself is broken
        try:
            os.close(self._pipe[1])
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
            code = self.serve(Place(index, self.count, self._beats, self._pipe[0]))
        except BaseException:
            logger.exception("worker %s broke", index)
        finally:
            sys.stderr.flush()
            os._exit(code)  # never back into the parent's stack

    def _reap(self) -> None:
        for index, worker in enumerate(self._workers):
            if not worker.pid:
                continue
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                self._ended(index, worker, os.waitstatus_to_exitcode(status))

    def _ended(self, index: int, worker: _Worker, code: int) -> None:
        now = time.monotonic()
        worker.failures = 0 if now - worker.started > _STEADY_SECONDS else worker.failures + 1
        wait = _BACKOFF_SECONDS[min(max(worker.failures - 1, 0), len(_BACKOFF_SECONDS) - 1)]
        what = f"signal {-code}" if code < 0 else f"code {code}"
        logger.error("worker %s (%s) ended with %s; started again", index, worker.pid, what)
        worker.pid, worker.due = 0, now + wait

    def _replace_silent(self) -> None:
        """Kill what has not turned its loop for too long: its end is then seen like any other."""
        now = time.monotonic()
        for index, worker in enumerate(self._workers):
            if not worker.pid or not self.timeout:
                continue
            (beat,) = _BEAT.unpack_from(self._beats, index * _BEAT.size)
            silent = now - (beat or worker.started)
            limit = self.timeout if beat else max(self.timeout, _STARTING_SECONDS)
            if silent > limit:
                logger.error("worker %s gave no sign of life for %.0f s; killed", index, silent)
                os.kill(worker.pid, signal.SIGKILL)

    def _stop(self) -> int:
        """Have all workers drain; what is left after the grace period is killed."""
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, signal.SIGTERM)
        deadline = time.monotonic() + self.grace + _LAST_SECONDS
        while any(worker.pid for worker in self._workers):
            for worker in self._workers:
                if worker.pid and os.waitpid(worker.pid, os.WNOHANG)[0]:
                    worker.pid = 0
            if time.monotonic() > deadline:
                for worker in self._workers:
                    if worker.pid:
                        os.kill(worker.pid, signal.SIGKILL)
            signal.sigtimedwait({signal.SIGCHLD}, 0.1)
        return 0
