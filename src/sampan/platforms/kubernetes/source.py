"""What the objects of one InferenceService are rendered from, and what each of them starts with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sampan.api.config import Config
from sampan.machinery.registry import JsonObject
from sampan.plan.types import Component, Plan, Role, Workload
from sampan.platforms.kubernetes.settings import ClusterSettings


@dataclass(frozen=True, slots=True)
class Source:
    """A service, what should run for it, and how the cluster is set up.

    `ready` are the names of the workloads that can take requests: routes follow readiness.
    """

    service: Mapping[str, Any]
    plan: Plan
    config: Config
    settings: ClusterSettings
    ready: frozenset[str] = frozenset()

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

    @property
    def all_ready(self) -> bool:
        """Whether every component answers, so that routes to them may be made."""
        stable = {w.name for w in self.plan.workloads if w.role is Role.STABLE}
        return bool(stable) and stable <= self.ready


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
