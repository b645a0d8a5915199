"""What a graph has to do in this turn of its loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter

from sampan.server.pace import SLOW_SECONDS


class Agenda:
    """Work that is done in one turn of the loop, with what follows from it.

    Requests that came together go all of their steps in one turn. What arrives meanwhile is read
    after it, and is more than it would be if the loop read between two steps: fewer predicts, of
    more rows. A turn ends all the same once it has taken long, and others are read.
    """

    __slots__ = ("_due", "_going", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due: deque[Callable[[], None]] = deque()
        self._going = False
        self._loop = loop

    def add(self, work: Callable[[], None]) -> None:
        """Have something done: in this turn where one is under way, else in the next."""
        self._due.append(work)
        if not self._going:
            self._go()

    def _run(self) -> None:
        ends = perf_counter() + SLOW_SECONDS
        due = self._due
        try:
            while due and perf_counter() < ends:
                due.popleft()()
        finally:
            self._going = False
            if due:
                self._go()

    def _go(self) -> None:
        self._going = True
        self._loop.call_soon(self._run)
