"""The gateway's view of endpoints, and whether a gateway that does not tell it hangs.

To tell of a thousand services on a busy machine takes its time, and requests have threads of their
own: to take that for a gateway that hangs would write a thousand statuses in vain.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from sampan.gateway.errors import GatewayError
from sampan.gateway.health import Health
from sampan.machinery.clock import Clock

_SECONDS = 0.5
"""How long the gateway may take to tell its view, and then its front door to answer at all; one
that hangs is seen in about a second."""
_BUSY_SECONDS = 5.0
"""How long a gateway that is late though it works is taken to be kept from working: on a machine
that is full, whoever asks waits, and is answered in the end."""
_LATE = GatewayError(
    "GatewayNotAnswering",
    f"the gateway does not answer within {_SECONDS:g} s; it may hang",
)


class Watched(Protocol):
    """What is needed of a gateway (`sampan.gateway.listener.Gateway`)."""

    async def health(self) -> Health:
        """Return the gateway's view of every endpoint."""

    async def answers(self) -> bool:
        """Tell whether the front door answers a request at all; waits until it does."""

    def cpu_ticks(self) -> int:
        """Return the CPU time that the gateway has used, in clock ticks."""


class GatewayView:
    """Asks one gateway for its view, one question at a time."""

    def __init__(self, door: Watched, clock: Clock) -> None:
        self._door = door
        self._clock = clock
        self._asked: asyncio.Task[Health] | None = None
        self._ticks = 0
        self._late_since: float | None = None

    async def look(self) -> Health | None:
        """Return the view; None where it is late and the gateway serves. Raise GatewayError."""
        asked = self._asked or asyncio.create_task(self._door.health(), name="gateway health")
        self._asked = asked  # who is late is not asked again: the answer is on its way
        await asyncio.wait({asked}, timeout=_SECONDS)
        error = _LATE
        if asked.done():
            self._asked = None
            try:
                health = asked.result()
            except GatewayError as told:
                error = told
            else:
                self._late_since, self._ticks = None, self._door.cpu_ticks()
                return health
        if await self._serves():
            return None
        raise error

    def close(self) -> tuple[asyncio.Task[Health], ...]:
        """End the question under way; returns it, to be waited for."""
        asked, self._asked = self._asked, None
        if asked is None:
            return ()
        asked.cancel()
        return (asked,)

    async def _serves(self) -> bool:
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._door.answers()
        except TimeoutError:
            return self._is_busy()

    def _is_busy(self) -> bool:
        """Tell whether a gateway that does not answer works, and has not been late for long."""
        ticks, before = self._door.cpu_ticks(), self._ticks
        now, self._ticks = self._clock.now(), ticks
        self._late_since = now if self._late_since is None else self._late_since
        return ticks > before and now - self._late_since < _BUSY_SECONDS
