"""Time as a part that tests can replace. Pure code takes `now` as an argument instead."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time and sleep."""

    def now(self) -> float:
        """Return seconds since the epoch."""

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await asyncio.sleep(seconds)


def aligned(now: float, wait: float) -> float:
    """Return the time until the next whole multiple of `wait`, at most `wait`. Pure.

    Those who look each second look together then: a process that rests is woken once a second and
    not once for each of them, which halves what ten idle services cost.
    """
    return wait - now % wait
