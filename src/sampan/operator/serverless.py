"""What the activator of a cluster follows and writes: Deployments with terms, and EndpointSlices.

It follows nothing else, and writes the number of replicas and its own slices only, so that it goes
on while no operator runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from sampan.machinery.clock import Clock
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, Preconditions
from sampan.operator.cache import Cache, make_trim
from sampan.operator.cluster_store import ClusterStore
from sampan.operator.following import Followed, Following
from sampan.plan.scaling import SAMPAN
from sampan.platforms.kubernetes.children import AUTOSCALER
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS, ENDPOINT_SLICES
from sampan.platforms.kubernetes.serverless import Terms
from sampan.platforms.kubernetes.serverless_table import (
    SERVICE_NAME,
    Served,
    keep_of_deployment,
    select_served,
    select_terms,
)

MANAGER = "sampan-autoscaler"
"""Whose the number of replicas is, in `managedFields`."""

_SELECTOR = f"{AUTOSCALER}={SAMPAN}"
SELECTORS = {DEPLOYMENTS.id: _SELECTOR, ENDPOINT_SLICES.id: _SELECTOR}
"""What is asked for of these resources."""


def _nobody(_: JsonObject) -> str:
    return ""


def _service_of(one: JsonObject) -> str:
    """Return whose slice it is, as `namespace/service`."""
    metadata = one["metadata"]
    return f"{metadata['namespace']}/{(metadata.get('labels') or {}).get(SERVICE_NAME, '')}"


class ServerlessCluster:
    """Caches of what is followed; `changed` is called whenever anything of it has changed."""

    def __init__(self, store: ClusterStore, clock: Clock, changed: Callable[[], None]) -> None:
        self.store = store
        self._deployments = Cache(make_trim(keep_of_deployment, _nobody))
        self._slices = Cache(make_trim(lambda one: one, _service_of))
        self._terms: Mapping[str, Terms] = {}
        self.unread: tuple[str, ...] = ()
        """Workloads, by key, whose terms could not be read when they were looked at last."""
        caches = ((DEPLOYMENTS, self._deployments), (ENDPOINT_SLICES, self._slices))
        self._followings = [
            Following(store, clock, Followed(resource, cache, lambda _: changed()))
            for resource, cache in caches
        ]

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            for following in self._followings:
                group.create_task(following.run())

    async def synced(self) -> None:
        """Wait until everything has been listed once."""
        for following in self._followings:
            await following.known.wait()

    def served(self) -> tuple[Served, ...]:
        """Return the workloads that are to be looked after."""
        deployments = list(_all(self._deployments))
        self._terms, self.unread = select_terms(deployments, self._terms)
        return select_served(deployments, self.slices(), self._terms)

    def slices(self) -> list[JsonObject]:
        """Return every slice that is known: of pods, of activators, and those written here."""
        return list(_all(self._slices))

    def slices_of(self, namespace: str, service: str) -> list[JsonObject]:
        """Return the slices of one Service: no others are read for it, of thousands."""
        return list(self._slices.indexed(f"{namespace}/{service}"))

    async def write_scale(self, served: Served, replicas: int, *, as_seen: bool) -> None:
        """Say how many replicas a workload has; raise ApiError.

        `as_seen`: only if nobody has changed its Deployment since (Conflict).
        """
        key = Key(DEPLOYMENTS.id, served.namespace, served.name)
        await self.store.scale(key, replicas, MANAGER, served.version if as_seen else "")

    async def write_slice(self, one: JsonObject) -> None:
        """Make a slice what it should be; raise ApiError."""
        self._slices.assume(await self.store.apply(ENDPOINT_SLICES.id, one, MANAGER))

    async def delete_slice(self, one: JsonObject) -> None:
        """Delete a slice; raise ApiError."""
        metadata = one["metadata"]
        key = Key(ENDPOINT_SLICES.id, metadata["namespace"], metadata["name"])
        await self.store.delete(key, Preconditions(metadata.get("uid")))


def _all(cache: Cache) -> Iterable[JsonObject]:
    found = (cache.get(*place) for place in sorted(cache.places()))
    return (obj for obj in found if obj is not None)
