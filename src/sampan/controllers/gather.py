"""Gathering a snapshot: the only reading that the InferenceService controller does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sampan.api.config import Config
from sampan.api.named_objects import SHIPPED_SECRET
from sampan.machinery.clock import Clock
from sampan.machinery.errors import NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, Store
from sampan.plan.modelmesh import decode_entry, derive_model_spec
from sampan.plan.observed import NOTHING
from sampan.plan.revision import History, RolledBack
from sampan.plan.scaling import Scale
from sampan.plan.service import service_key
from sampan.plan.types import Component, Gateway, Plan, ServiceKey, Snapshot, Workload
from sampan.platforms.base import Platform

SERVICES = "inferenceservices.serving.kserve.io"
RUNTIMES = "servingruntimes.serving.kserve.io"
CLUSTER_RUNTIMES = "clusterservingruntimes.serving.kserve.io"
STORAGE_CONTAINERS = "clusterstoragecontainers.serving.kserve.io"
CONFIG = Key("configmaps", "kserve", "inferenceservice-config")


class Histories(Protocol):
    """The revisions of services (`sampan.controllers.history.Histories`)."""

    def of(self, service: Mapping[str, Any]) -> History:
        """Return the history of a service, as far as it is known without reading."""

    async def load(self) -> None:
        """Read what earlier daemons recorded."""

    async def read(self, namespace: str, names: Iterable[str]) -> Mapping[str, Workload]:
        """Return what these revisions are made of; those that are gone are absent."""

    async def record(self, service: Mapping[str, Any], plan: Plan, now: float) -> None:
        """Write the revisions of a plan that are new, and delete those that nobody needs."""

    def forget(self, service: Mapping[str, Any]) -> None:
        """Let go of a service that is gone."""


class Guard(Protocol):
    """Who watches over new revisions (`sampan.controllers.guarding.Guard`)."""

    def verdicts(self, service: ServiceKey) -> Mapping[Component, RolledBack]:
        """Return what was found about a service's revisions."""

    def note(self, service: Mapping[str, Any], plan: Plan) -> None:
        """Take note of a plan: watch the revisions of it that have limits and share traffic."""

    async def run(self) -> None:
        """Look and judge until cancelled."""


def no_scales(_: ServiceKey) -> Mapping[str, Scale]:
    """Nothing scales by itself."""
    return {}


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a snapshot comes from. `scales` tells what autoscalers decided, by workload.

    Without `histories` no revisions are kept, and components are updated in place; without a
    `guard` none is taken back by itself.
    """

    store: Store
    platform: Platform[Any, Any]
    clock: Clock
    gateway: Gateway
    parse_config: Callable[[JsonObject | None], Config]
    scales: Callable[[ServiceKey], Mapping[str, Scale]] = no_scales
    histories: Histories | None = None
    guard: Guard | None = None


@dataclass(frozen=True, slots=True)
class Gathered:
    """A service as stored, and the snapshot that decisions about it are made from."""

    service: JsonObject
    snapshot: Snapshot

    @property
    def deleting(self) -> bool:
        """Whether the service is on its way out."""
        return bool(self.service["metadata"].get("deletionTimestamp"))


async def gather(sources: Sources, service: ServiceKey) -> Gathered | None:
    """Return what is known of a service, None where it is gone."""
    try:
        obj = await sources.store.get(Key(SERVICES, service.namespace, service.name))
    except NotFound:
        return None
    snapshot = await gather_for(sources, obj)
    return Gathered(obj, replace(snapshot, observed=await sources.platform.observe(service)))


async def gather_for(sources: Sources, obj: JsonObject) -> Snapshot:
    """Return the snapshot of a service that may not be stored yet, with nothing observed of it."""
    runtimes = await sources.store.list(RUNTIMES, obj["metadata"].get("namespace") or "default")
    cluster_runtimes = await sources.store.list(CLUSTER_RUNTIMES)
    containers = await sources.store.list(STORAGE_CONTAINERS)
    return Snapshot(
        service=obj,
        runtimes=tuple(runtimes.items),
        cluster_runtimes=tuple(cluster_runtimes.items),
        config=await gather_config(sources),
        gateway=sources.gateway,
        observed=NOTHING,
        now=sources.clock.now(),
        storage_containers=tuple(containers.items),
        scales=sources.scales(service_key(obj)),
        history=sources.histories.of(obj) if sources.histories else None,
        verdicts=sources.guard.verdicts(service_key(obj)) if sources.guard else {},
        storage_entries=await _gather_storage(sources, obj),
    )


async def _gather_storage(sources: Sources, obj: JsonObject) -> Mapping[str, Mapping[str, Any]]:
    """Return the entries of a namespace's Secret `storage-config`, where the service names one.

    Only in ModelMesh mode: in any other, such a model is not fetched here. What is no JSON object
    is left out.
    """
    model = derive_model_spec(obj)["spec"].get("predictor", {}).get("model") or {}
    if not (model.get("storage") or {}).get("key"):
        return {}
    namespace = obj["metadata"].get("namespace") or "default"
    try:
        secret = await sources.store.get(Key("secrets", namespace, SHIPPED_SECRET))
    except NotFound:
        return {}
    found = {name: decode_entry(text) for name, text in (secret.get("data") or {}).items()}
    return {name: entry for name, entry in found.items() if entry is not None}


async def gather_config(sources: Sources) -> Config:
    """Return the operator's configuration, the defaults where there is none."""
    try:
        return sources.parse_config(await sources.store.get(CONFIG))
    except NotFound:
        return sources.parse_config(None)
