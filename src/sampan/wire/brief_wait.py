"""Waiting awake, for a moment, for what was just asked.

A process that sleeps until its answer comes is woken late and finds its caches cold: between two
processes of one machine that takes as long as the answer itself. So after a call the loop looks
whether anything is ready, for some microseconds, before it sleeps. Whatever comes ends the wait, so
nobody is kept waiting by it; and where answers take longer it is hardly ever tried, so that a slow
service, or a busy machine, costs no processor time.
"""

from __future__ import annotations

import asyncio
import select
from time import perf_counter

SECONDS = 50e-6  # a process beside this one answers in 20 to 40 us, if it has little to do
MOST_SKIPPED = 1023


class Tries:
    """When to try again: at each call while it helps; after each try in vain, half as often."""

    __slots__ = ("_left", "_skipped")

    def __init__(self) -> None:
        self._left = 0
        self._skipped = 0

    def is_due(self) -> bool:
        """Whether this call is one to try with."""
        if self._left:
            self._left -= 1
            return False
        return True

    def helped(self) -> None:
        """Try at each call."""
        self._skipped = 0

    def was_in_vain(self) -> None:
        """Try less often."""
        self._left = self._skipped = min(MOST_SKIPPED, 2 * self._skipped + 1)


class BriefWait:
    """The waits of one loop. Used on its thread; where a loop cannot tell, it does nothing."""

    __slots__ = ("_loop", "_pending", "_poll", "tries")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.tries = Tries()
        self._loop = loop
        self._poll = make_poll(loop)
        self._pending = False

    def asked(self) -> None:
        """Wait a moment at the end of this turn of the loop, if that is worth it."""
        if self._pending or self._poll is None or not self.tries.is_due():
            return
        self._pending = True
        self._loop.call_soon(self._wait, self._poll)

    def _wait(self, poll: select.poll) -> None:
        self._pending = False
        end = perf_counter() + SECONDS
        while not poll.poll(0):
            if perf_counter() > end:
                self.tries.was_in_vain()
                return
        self.tries.helped()


def make_poll(loop: asyncio.AbstractEventLoop) -> select.poll | None:
    """Return what tells whether anything is ready for a loop: its epoll can be polled itself.

    None for a loop that is not uvloop, or a system without `poll`.
    """
    find = getattr(loop, "_get_backend_id", None)
    if find is None or not hasattr(select, "poll"):
        return None
    poll = select.poll()
    poll.register(find(), select.POLLIN)
    return poll
