"""Replicas whose start was refused, and until when: no ConfigMap, no device, no memory left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sampan.machinery.clock import Clock
from sampan.plan.observed import Link, LinkState, ObservedReplica
from sampan.plan.replicas import INSUFFICIENT_MEMORY
from sampan.plan.types import ServiceKey
from sampan.platforms.local.desired import DesiredWorkload
from sampan.platforms.local.devices import INSUFFICIENT

AGAIN_SECONDS = 10.0
"""When a start that was refused is tried again, as kubelet's sync does."""

NO_ROOM = frozenset({INSUFFICIENT, INSUFFICIENT_MEMORY})
"""Reasons that say of the machine that it is full, and nothing of the service."""


@dataclass(frozen=True, slots=True)
class _Refused:
    workload: DesiredWorkload
    replica: str
    load: Link
    created_at: float


class Refusals:
    """What was refused, by replica; in memory alone, for a new daemon tries again at once."""

    def __init__(self, clock: Clock, notify: Callable[[ServiceKey], None]) -> None:
        self._clock = clock
        self._notify = notify
        self._refused: dict[str, _Refused] = {}

    def add(self, workload: DesiredWorkload, replica: str, reason: str, message: str) -> None:
        """Note that a replica's start was refused."""
        now = self._clock.now()
        before = self._refused.get(replica)
        load = Link(LinkState.FAILED, reason, message, now, retry_at=now + AGAIN_SECONDS)
        created_at = before.created_at if before else now
        self._refused[replica] = _Refused(workload, replica, load, created_at)
        self._notify(workload.service)

    def drop(self, replica: str) -> bool:
        """Forget a replica; tell whether it was refused."""
        return self._refused.pop(replica, None) is not None

    def services(self) -> set[ServiceKey]:
        """Return the services of which something was refused."""
        return {refused.workload.service for refused in self._refused.values()}

    def replicas(self, service: ServiceKey) -> list[ObservedReplica]:
        """Return a service's refused replicas as observed."""
        return [
            ObservedReplica(
                r.replica, r.workload.name, r.workload.template_hash, running=False, ready=False,
                created_at=r.created_at, load=r.load,
            )
            for r in self._refused.values()
            if r.workload.service == service
        ]  # fmt: skip

    def no_room(self, service: ServiceKey, workload: str) -> Link | None:
        """Return why this machine has no room for a replica of a workload; None: it has."""
        found = (
            r.load
            for r in self._refused.values()
            if r.workload.service == service and r.workload.name == workload
        )
        return next((load for load in found if load.reason in NO_ROOM), None)
