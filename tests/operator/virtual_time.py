"""An event loop whose clock jumps: when nothing is left to do now, it is later at once.

Minutes of a cluster's life take milliseconds, and the same things happen in the same order each
time. Nothing in such a loop may wait for another thread, process or socket.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")
EPOCH = 1_800_000_000.0


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time is what timers made of it."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.elapsed


class _Jumping(selectors.DefaultSelector):
    """Asked to wait, it lets that time pass without waiting."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everything waits for something that no timer brings about")
        self._loop.elapsed += max(timeout, 0.0)
        return super().select(0)


class VirtualClock:
    """A wall clock over the loop's time, which may be set by hand: `shift` seconds beside it."""

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift

    def now(self) -> float:
        return EPOCH + asyncio.get_running_loop().time() + self.shift

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_virtually(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to the end in a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Make a test of an asynchronous function: it is run in a loop of its own."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_virtually(test(*args, **kwargs))

    return run
