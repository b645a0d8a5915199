"""Ending one process politely: SIGTERM once to its group, SIGKILL when the grace is over."""

from __future__ import annotations

import asyncio
import signal

from sampan.machinery.clock import Clock
from sampan.platforms.local.identity import Identity, signal_group


class Termination:
    """The end of one run. `killed` tells whether it came to SIGKILL.

    SIGTERM is sent once, because servers take a second one for impatience and drop what they are
    doing. Asked again, the shortest grace counts.
    """

    def __init__(self, clock: Clock) -> None:
        self.killed = False
        self._clock = clock
        self._kill_at = 0.0
        self._killer: asyncio.Task[None] | None = None

    def begin(self, running: Identity, grace: float) -> None:
        """Signal the process, if it is there still, and go on in the background."""
        kill_at = self._clock.now() + grace
        if self._killer is not None:
            if kill_at >= self._kill_at:
                return
            self._killer.cancel()
        elif not running.pid or not signal_group(running, signal.SIGTERM):
            return
        self._kill_at = kill_at
        self._killer = asyncio.create_task(self._kill_after(grace, running))

    def over(self) -> None:
        """Nothing is left to kill, or another daemon will do it."""
        if self._killer is not None:
            self._killer.cancel()

    async def _kill_after(self, grace: float, running: Identity) -> None:
        await self._clock.sleep(max(0.0, grace))
        self.killed = True
        signal_group(running, signal.SIGKILL)
