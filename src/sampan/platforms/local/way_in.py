"""One service's way in through the gateway: what is published of it, and what is known of it.

Who publishes and asks is `publishing`; what an answer means is decided here. Pure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

from sampan.gateway.health import Health
from sampan.gateway.listener import Verdict
from sampan.gateway.table import Cluster, Endpoint, TableRoute
from sampan.plan.observed import Link
from sampan.plan.types import ServiceKey

_BACKEND_MISSING = frozenset({502, 503, 504})


@dataclass(slots=True)
class WayIn:
    """What is published for one service, and what is known of its way in."""

    service: ServiceKey
    route: TableRoute | None
    clusters: tuple[Cluster, ...]
    link: Link = Link()
    healthy: frozenset[Endpoint] = frozenset()
    verified: frozenset[Endpoint] = frozenset()
    verified_at: float = 0.0
    held: bool = False
    changed_at: float = 0.0
    verifying: asyncio.Task[None] | None = field(default=None, compare=False)

    @property
    def place(self) -> tuple[str, str]:
        """Where it stands in the table."""
        return self.service.namespace, self.service.name

    def endpoints(self) -> frozenset[Endpoint]:
        """All that requests may be sent to."""
        return frozenset(e for c in self.clusters for e in c.endpoints)

    def front(self) -> tuple[Cluster, ...]:
        """The clusters that answer for the service's own names."""
        names = {share.cluster for share in self.route.shares} if self.route else set()
        return tuple(c for c in self.clusters if c.name in names)


def passes(verdict: Verdict, path: str) -> bool:
    """Tell whether a request got through. Pure.

    A server with a health path must answer it well; of one without, nothing is known but that
    whatever it says came from it and not from the gateway.
    """
    if path:
        return verdict.passed
    return bool(verdict.status) and verdict.status not in _BACKEND_MISSING


def select_changed(before: Health, now: Health) -> frozenset[str]:
    """Return the clusters of which the gateway says something else than before. Pure."""
    if before is now:
        return frozenset()
    told = (name for name, seen in now.items() if before.get(name) != seen)
    return frozenset((*told, *(before.keys() - now.keys())))


def select_healthy(clusters: Collection[Cluster], health: Health) -> frozenset[Endpoint]:
    """Return the endpoints of these clusters that the gateway finds healthy. Pure."""
    return frozenset(
        seen.endpoint
        for cluster in clusters
        for seen in health.get(cluster.name, ())
        if seen.healthy and seen.endpoint in cluster.endpoints
    )


def select_unhealthy(clusters: Collection[Cluster], health: Health) -> tuple[str, ...]:
    """Return the clusters with endpoints of which the gateway finds none healthy. Pure.

    Of one that has just been published the gateway's last word may know nothing: then nothing is
    said of it.
    """
    healthy = select_healthy(clusters, health)
    known = {seen.endpoint for c in clusters for seen in health.get(c.name, ())}
    return tuple(
        c.name
        for c in clusters
        if c.endpoints and not healthy.intersection(c.endpoints) and known.intersection(c.endpoints)
    )
