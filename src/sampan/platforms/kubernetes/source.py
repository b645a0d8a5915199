"""What the objects of one InferenceService are rendered from, and what each of them starts with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sampan.api.config import Config
from sampan.machinery.registry import JsonObject
from sampan.plan.types import Component, Plan, Role, Workload
from sampan.platforms.kubernetes.pods.surroundings import Surroundings
from sampan.platforms.kubernetes.settings import ClusterSettings


@dataclass(frozen=True, slots=True)
class Source:
    """A service, what should run for it, and how the cluster is set up.

    `ready` are the names of the workloads that can take requests now, `routed` of those that routes
    lead to already: a route is made once its component is ready, and stays when it is not any more.
    `opened`: the service's own route is there. `starts_at_zero`: Knative is configured to let a
    revision begin without a pod. `around` is what models and their credentials are
    read from where they are part of a workload's template.
    """

    service: Mapping[str, Any]
    plan: Plan
    config: Config
    settings: ClusterSettings
    ready: frozenset[str] = frozenset()
    around: Surroundings = Surroundings()
    routed: frozenset[str] = frozenset()
    opened: bool = False
    starts_at_zero: bool = False

    @property
    def name(self) -> str:
        """The service's name."""
        return self.plan.service.name

    @property
    def namespace(self) -> str:
        """The service's namespace."""
        return self.plan.service.namespace

    def workload(self, component: Component) -> Workload | None:
        """Return the workload of a component that answers for it by name."""
        return next(
            (w for w in self.plan.workloads if w.component is component and w.role is Role.STABLE),
            None,
        )

    def ready_canaries(self) -> Iterator[Workload]:
        """Yield the canaries that take their share now."""
        for workload in self.plan.workloads:
            if workload.role is Role.CANARY and workload.name in self.ready:
                yield workload

    def routable(self, component: Component) -> Workload | None:
        """Return the workload of a component that routes may lead to."""
        workload = self.workload(component)
        known = self.ready | self.routed
        return workload if workload is not None and workload.name in known else None

    @property
    def is_open(self) -> bool:
        """Whether the service's own host leads to it: first once every component is ready.

        A component that is added later does not take the host away from the others.
        """
        stable = {w.name for w in self.plan.workloads if w.role is Role.STABLE}
        return self.front is not None and (self.opened or stable <= self.ready)

    @property
    def front(self) -> Workload | None:
        """The workload that answers all but explanations: the transformer, else the predictor."""
        return self.routable(Component.TRANSFORMER) or self.routable(Component.PREDICTOR)


def make_metadata(
    source: Source, name: str, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> JsonObject:
    """Return the metadata of an object that belongs to the service; empty maps are left out."""
    return {
        "name": name,
        "namespace": source.namespace,
        **({"labels": dict(labels)} if labels else {}),
        **({"annotations": dict(annotations)} if annotations else {}),
        "ownerReferences": [make_owner(source.service)],
    }


def make_workload_metadata(source: Source, workload: Workload) -> JsonObject:
    """Return the metadata of a workload's object: its pods' labels and annotations (KServe)."""
    metadata = workload.template["metadata"]
    return make_metadata(source, workload.name, metadata["labels"], metadata["annotations"])


def make_owner(owner: Mapping[str, Any]) -> JsonObject:
    """Return the reference of an object to its controller; uid where the owner has one."""
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        **({"uid": metadata["uid"]} if metadata.get("uid") else {}),
        "controller": True,
        "blockOwnerDeletion": True,
    }
