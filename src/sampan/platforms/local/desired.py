"""What should exist on this machine for one service: the value between `render` and `diff`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sampan.gateway.table import TableRoute
from sampan.plan.types import MeshModel, ModelSource, ServiceKey
from sampan.platforms.local.images import LocalCommand


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a workload cannot run on this machine. Reason and message become its condition."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class DesiredWorkload:
    """One workload: what to prepare for it, and what `make_process` needs to start a replica.

    `requirements` is None where no environment is needed: then `program` is looked up on PATH.
    `health_path` answers 200 while a replica can take requests ("" where only a connection tells).
    """

    service: ServiceKey
    name: str
    component: str
    template_hash: str
    replicas: int
    strategy: str = "RollingUpdate"
    models: tuple[ModelSource, ...] = ()
    requirements: tuple[str, ...] | None = None
    program: str = ""
    health_path: str = ""
    problem: Problem | None = None
    template: Mapping[str, Any] = field(default_factory=dict)
    command: LocalCommand | None = None
    model_name: str = ""
    capacity: Mapping[str, str] = field(default_factory=dict)
    """What `LocalCommand.capacity_arguments` speak of, as far as the service sets it."""
    hosts: Mapping[str, str] = field(default_factory=dict)
    """Addresses (`host:port`) of the service's components, by their names in a cluster."""
    beside: tuple[DesiredWorkload, ...] = ()
    """The other containers of its pods, as workloads of one container each: a collocated
    transformer's predictor. They share ports and folder of the replica."""
    prefetch: bool = False
    """Whether its model is kept at hand while nothing runs."""

    @property
    def concurrency(self) -> int:
        """How many requests a replica takes at once, 0: as many as come."""
        return int(self.capacity.get("containerConcurrency", 0))


@dataclass(frozen=True, slots=True)
class Desired:
    """What should exist for a service. `hold`: a decision is blocked, leave workloads as they are.

    `route` is None where the service has no way in. The names of its shares are those of workloads
    with the namespace before them, which are the names of clusters.
    """

    service: ServiceKey
    workloads: tuple[DesiredWorkload, ...] = ()
    route: TableRoute | None = None
    hold: bool = False
    mesh: MeshModel | None = None
    """Its model in processes that others share; then it has no workloads of its own."""


def cluster_name(service: ServiceKey, workload: str) -> str:
    """Return the gateway's name for the endpoints of a workload."""
    return f"{service.namespace}/{workload}"


def grpc_cluster_name(service: ServiceKey, workload: str) -> str:
    """Return the gateway's name for the same endpoints, spoken to in HTTP/2."""
    return f"{cluster_name(service, workload)}/grpc"
