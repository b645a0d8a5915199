"""Word that something observed of a service changed, coalesced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from sampan.plan.types import ServiceKey


class Changes:
    """A set of changed services with one reader. A service told twice before it is read is one."""

    def __init__(self) -> None:
        self._changed: dict[ServiceKey, None] = {}
        self._there = asyncio.Event()

    def notify(self, service: ServiceKey) -> None:
        """Tell that something of this service changed. Call it on the event loop's thread."""
        self._changed[service] = None
        self._there.set()

    async def __aiter__(self) -> AsyncIterator[ServiceKey]:
        while True:
            await self._there.wait()
            while self._changed:
                service = next(iter(self._changed))
                del self._changed[service]
                yield service
                await asyncio.sleep(0)  # a reader that changes what it reads must not starve others
            self._there.clear()
