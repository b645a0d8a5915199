"""Threads for what would hold up the loop: predict, load, large bodies.

Leaner than an executor, because it stands in the way of every request: no future, no lock of our
own; a job is a call, its outcome is called back on the loop's thread. The threads start with the
first job, so a process that forks before serving forks none.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeAlias

Done: TypeAlias = Callable[[Any], None]
_Job: TypeAlias = "tuple[contextvars.Context, Callable[[], Any], Done]"


def default_thread_count() -> int:
    """Return KServe's default for `--max_asyncio_workers`: CPUs + 4, at most 32."""
    return min(32, (os.cpu_count() or 1) + 4)


class Workers:
    """A fixed number of daemon threads, started as they are needed.

    Daemon, because a predict that never returns must not keep a drained process alive.
    """

    def __init__(self, count: int | None = None) -> None:
        self._count = count or default_thread_count()
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._threads = 0
        self._unfinished = 0

    def submit(self, call: Callable[[], Any], done: Done) -> None:
        """Run `call` on a thread; `done` gets what it returned or the exception it raised.

        Called on the loop's thread. Context variables are those of the caller.
        """
        self._unfinished += 1
        if self._unfinished > self._threads < self._count:
            self._start_thread()
        self._jobs.put((contextvars.copy_context(), call, done))

    async def run(self, call: Callable[[], Any]) -> Any:
        """Run `call` on a thread and wait; raises what it raises."""
        future = asyncio.get_running_loop().create_future()

        def settle(outcome: Any) -> None:
            if future.done():
                return
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        self.submit(call, settle)
        return await future

    def _start_thread(self) -> None:
        self._threads += 1
        loop = asyncio.get_running_loop()
        threading.Thread(
            target=self._work, args=(loop,), name=f"predict-{self._threads}", daemon=True
        ).start()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            context, call, done = self._jobs.get()
            try:
                outcome = context.run(call)
            except BaseException as error:  # noqa: BLE001  # handed over, whatever it is
                outcome = error
            try:
                loop.call_soon_threadsafe(self._finish, done, outcome)
            except RuntimeError:  # the loop closed while predict ran: nobody waits any more
                return
            del call, done, outcome, context  # a request's memory is not kept until the next

    def _finish(self, done: Done, outcome: Any) -> None:
        self._unfinished -= 1
        done(outcome)
