"""The gateway, with a count of the requests that the platform itself sends through it.

A route is tried now and then with a real request. Those are nobody's load: without this count a
service that is asked by nobody else would never be idle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sampan.gateway.health import Health
from sampan.gateway.listener import Verdict
from sampan.gateway.table import RouteTable, TableRoute
from sampan.gateway.validation import Refusal
from sampan.platforms.local.publishing import Door

_NOWHERE = 503
"""The gateway's own answer where there is no endpoint: the request went to none."""


@dataclass(slots=True)
class OwnRequests:
    """Requests of our own to one workload: on their way, and all that went there."""

    active: int = 0
    total: int = 0


class CountedDoor:
    """Implements `publishing.Door` over another; `own` counts by cluster.

    Of a route that several clusters share, the greatest one is taken to have answered.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._own: dict[str, OwnRequests] = {}

    @property
    def own(self) -> Mapping[str, OwnRequests]:
        """Our own requests, by cluster."""
        return self._own

    async def apply(self, table: RouteTable) -> tuple[Refusal, ...]:
        """Serve the table."""
        return await self._door.apply(table)

    async def verify(self, route: TableRoute, path: str, timeout_seconds: float = 5.0) -> Verdict:
        """Send a real request through the gateway, counted."""
        share = max(route.shares, key=lambda share: share.weight, default=None)
        own = self._own.setdefault(share.cluster if share else "", OwnRequests())
        own.active += 1
        own.total += 1
        try:
            verdict = await self._door.verify(route, path, timeout_seconds)
        finally:
            own.active -= 1
        if verdict.status == _NOWHERE:
            own.total -= 1
        return verdict

    async def health(self) -> Health:
        """Return the gateway's view of every endpoint."""
        return await self._door.health()

    async def answers(self) -> bool:
        """Tell whether the front door answers; no workload is asked."""
        return await self._door.answers()

    def cpu_ticks(self) -> int:
        """Return the CPU time that the gateway has used."""
        return self._door.cpu_ticks()
