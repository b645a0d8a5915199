"""The steps from what is there to what should be: what `diff` gives and `apply` takes.

Each is safe to take twice: taking a step whose effect is there already changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sampan.gateway.table import Cluster, TableRoute
from sampan.plan.types import MeshModel
from sampan.platforms.local.desired import DesiredWorkload


@dataclass(frozen=True, slots=True)
class Fetch:
    """Bring the models of a workload here, in the background."""

    workload: DesiredWorkload


@dataclass(frozen=True, slots=True)
class BuildEnvironment:
    """Make ready what the workload's processes run in, in the background.

    Where the workload has a problem, that becomes the state of its environment.
    """

    workload: DesiredWorkload


@dataclass(frozen=True, slots=True)
class StartReplica:
    """Start a process of a workload that is fetched and built."""

    workload: DesiredWorkload
    replica: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Give the gateway the endpoints of a service; done when Envoy has taken them.

    `route` None: no way in (any more). `keep_route`: only the endpoints change.
    """

    route: TableRoute | None
    clusters: tuple[Cluster, ...]
    keep_route: bool = False


@dataclass(frozen=True, slots=True)
class StopReplica:
    """Let a replica finish what it has, then end it, in the background."""

    replica: str


@dataclass(frozen=True, slots=True)
class Restamp:
    """Give a replica the hash that its template has now, for another Sampan hashed it otherwise."""

    replica: str
    template_hash: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop what was prepared for a workload that no longer is."""

    workload: str


@dataclass(frozen=True, slots=True)
class PlaceModel:
    """Bring a model here, in the background, for processes that others share to load it."""

    model: MeshModel


@dataclass(frozen=True, slots=True)
class ActivateModel:
    """Let the service's name lead to this model, which is loaded; the one before goes."""

    model_id: str


@dataclass(frozen=True, slots=True)
class RemoveModel:
    """Take a service's models out of the processes that others share."""


LocalStep: TypeAlias = (
    Fetch
    | BuildEnvironment
    | StartReplica
    | Publish
    | StopReplica
    | Restamp
    | Forget
    | PlaceModel
    | ActivateModel
    | RemoveModel
)
