"""The values that decisions are made of and made into.

`Snapshot` is everything a decision may know; `Plan` is what should run and who gets which share.
A plan names workloads and routes, never revisions, processes or Deployments: each platform
resolves those. All are frozen; objects inside them are JSON and are not changed by anyone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from sampan.api.config import Config
from sampan.plan.mesh_settings import MeshSettings
from sampan.plan.observed import Observed
from sampan.plan.revision import History, RolledBack, Rollout
from sampan.plan.scaling import Scale, Scaling

PodTemplate: TypeAlias = Mapping[str, Any]
"""A Kubernetes PodTemplateSpec (`metadata`, `spec`), lossless."""


class Component(StrEnum):
    """The parts of an InferenceService, and the one part of an InferenceGraph."""

    PREDICTOR = "predictor"
    TRANSFORMER = "transformer"
    EXPLAINER = "explainer"
    ROUTER = "router"


GRAPH_SUFFIX = ".graph"
"""Tells graphs from services of the same name; no name of an object of ours holds a dot."""


MESH_SUFFIX = ".modelmesh"
"""Tells a multi-model runtime's own processes, which the services of ModelMesh mode share."""


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """Which InferenceService, which InferenceGraph (`graph_key`), or whose shared processes
    (`mesh_key`).
    """

    namespace: str
    name: str

    @property
    def kind(self) -> str:
        """The kind of the object."""
        if self.name.endswith(MESH_SUFFIX):
            return "ServingRuntime"
        return "InferenceGraph" if self.name.endswith(GRAPH_SUFFIX) else "InferenceService"

    @property
    def object_name(self) -> str:
        """The name of the object."""
        if self.name.endswith(MESH_SUFFIX):
            return self.name.removesuffix(MESH_SUFFIX)
        return self.name.removesuffix(GRAPH_SUFFIX)

    @property
    def spoken(self) -> str:
        """What a person types for it on the command line."""
        if self.kind == "ServingRuntime":
            return f"servingruntime/{self.object_name}"
        return f"ig/{self.object_name}" if self.kind == "InferenceGraph" else self.name


def graph_key(namespace: str, name: str) -> ServiceKey:
    """Return which InferenceGraph this is."""
    return ServiceKey(namespace, f"{name}{GRAPH_SUFFIX}")


def mesh_key(namespace: str, runtime: str) -> ServiceKey:
    """Return whose processes hold the models of a runtime in a namespace."""
    return ServiceKey(namespace, f"{runtime}{MESH_SUFFIX}")


@dataclass(frozen=True, slots=True)
class Gateway:
    """How clients reach the front door of this platform: `http://{host}:{port}`, and its domain."""

    port: int = 8080
    domain: str = "localhost"
    scheme: str = "http"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a decision about one InferenceService may know.

    `service` is the stored (defaulted, validated) object. `runtimes` are the ServingRuntimes of
    its namespace, `cluster_runtimes` the ClusterServingRuntimes, `storage_containers` the
    ClusterStorageContainers, None where they are not known. `now` is seconds since the epoch.
    `scales` is what autoscalers decided, by workload; where one is absent its fields decide.
    `history` holds the service's revisions, None where the platform makes revisions by itself;
    `verdicts` tell which components' newest revisions have just been found to fail.
    """

    service: Mapping[str, Any]
    runtimes: tuple[Mapping[str, Any], ...]
    cluster_runtimes: tuple[Mapping[str, Any], ...]
    config: Config
    gateway: Gateway
    observed: Observed
    now: float
    storage_containers: tuple[Mapping[str, Any], ...] | None = None
    scales: Mapping[str, Scale] = field(default_factory=dict)
    history: History | None = None
    verdicts: Mapping[Component, RolledBack] = field(default_factory=dict)
    storage_entries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The entries of the Secret `storage-config`, where a service of ModelMesh mode names one."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why a decision cannot go on. The words become the condition, the event and `sampan why`.

    `model_status` is the failure reason and transition of `status.modelStatus` when the block is
    about the predictor's model or runtime (KServe, FailureReason).
    """

    reason: str
    message: str
    component: Component = Component.PREDICTOR
    transition: str = "InvalidSpec"


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a component's model comes from and where its container expects it.

    `uri` as the user wrote it; `path` is the mount path (`/mnt/models`). `trusted`: the operator
    allows artefacts that run code when loaded (annotation `serving.sampan.dev/trust: "true"`).
    """

    uri: str
    path: str = "/mnt/models"
    trusted: bool = False


class Role(StrEnum):
    """What a workload is for: it answers for its component as the newest revision, is another
    revision beside that, takes a share as a canary of `spec.canary`, or helps a head.
    """

    STABLE = "stable"
    REVISION = "revision"
    CANARY = "canary"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Workload:
    """What should run for one component.

    `name` is the object name (`iris-predictor`), `template` the merged pod template.
    `template_hash` is stable over everything that must restart replicas when it changes, and
    starts with the hash version (`v1-...`), so that a new Sampan re-stamps instead of restarting.
    `model_name` is the name under which the server answers (the service's name unless a
    `--model_name` argument says otherwise); `protocol` is `v1`, `v2`, `grpc-v1` or `grpc-v2`.
    `deployment_strategy` is the user's, None where none is given. `share` is a canary's percent of
    the traffic; `canary_percent` that of the newest revision in Knative mode. `behind_agent`:
    requests pass through the pod's agent (logger, batcher) first. `scale` is what an autoscaler
    decided, None where the service's own fields say how many replicas run. `base` is the name of
    the component's object where that is another ("": it is `name`). `prefetch`: while it sleeps,
    its model is kept at hand.
    """

    component: Component
    name: str
    template: PodTemplate
    template_hash: str
    replicas: int
    model_name: str
    models: tuple[ModelSource, ...] = ()
    protocol: str = "v1"
    runtime_name: str = ""
    strategy: str = "RollingUpdate"
    timeout_seconds: int | None = None
    container_concurrency: int | None = None
    scaling: Scaling = Scaling()
    deployment_strategy: Mapping[str, Any] | None = None
    role: Role = Role.STABLE
    share: int = 0
    canary_percent: int | None = None
    behind_agent: bool = False
    scale: Scale | None = None
    base: str = ""
    prefetch: bool = False

    @property
    def object_name(self) -> str:
        """The name of the component's object, which its revisions share."""
        return self.base or self.name

    @property
    def required(self) -> int:
        """How many replicas must serve before the component is ready: what an autoscaler adds
        beyond its minimum is more than that.
        """
        if self.scale is None:
            return self.replicas
        return min(self.replicas, max(1, self.scaling.minimum or 1))

    @property
    def idle(self) -> bool:
        """Whether it sleeps: nothing runs, and a request that comes wakes it."""
        return self.replicas == 0 and self.scale is not None and self.scale.held


@dataclass(frozen=True, slots=True)
class Backend:
    """A share of a route: `weight` in percent; the weights of a route sum to 100.

    `tag` and `hosts` lead to it alone. `mirror` is the percent of the requests of which it gets
    copies.
    """

    workload: str
    weight: int = 100
    tag: str = ""
    hosts: tuple[str, ...] = ()
    mirror: int = 0


@dataclass(frozen=True, slots=True)
class Way:
    """How a request finds its share. `tagged`: a header or a cookie may name its tag. `sticky`: a
    client stays with its share, by the header of this name or by a `cookie` ("": it does not).
    """

    tagged: bool = False
    sticky: str = ""


@dataclass(frozen=True, slots=True)
class ComponentRoute:
    """Who answers for the names of one component of a service that has several."""

    component: Component
    hosts: tuple[str, ...]
    backends: tuple[Backend, ...]
    timeout_seconds: int | None = None
    way: Way = Way()


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers for which names.

    `hosts` without port (`iris.default.localhost`); `path_prefix` is the form that needs no name
    resolution (`/serving/default/iris`), stripped before the request goes on. `components` has a
    route for each component where there are several, none where the predictor is alone; an
    explainer among them also takes the service's own `:explain`.
    """

    hosts: tuple[str, ...]
    path_prefix: str
    backends: tuple[Backend, ...]
    timeout_seconds: int | None = None
    components: tuple[ComponentRoute, ...] = ()
    way: Way = Way()


@dataclass(frozen=True, slots=True)
class MeshModel:
    """A service's model among those that a runtime's shared processes hold (ModelMesh mode).

    `host` is whose processes, `workload` what runs there. `id` changes with the content of the
    spec: another model, which takes the place of the present one once it is loaded.
    """

    host: ServiceKey
    workload: Workload
    id: str
    format: str
    uri: str
    trusted: bool = False
    settings: MeshSettings = MeshSettings()
    annotations: Mapping[str, str] = field(default_factory=dict)
    """What a pod would be told of the entry of a storage Secret that it is fetched with."""


class RuntimeScope(StrEnum):
    """Whether the selected runtime is namespaced."""

    NONE = ""
    NAMESPACE = "ServingRuntime"
    CLUSTER = "ClusterServingRuntime"


@dataclass(frozen=True, slots=True)
class Plan:
    """What should run for one InferenceService. With `blocked`, running workloads stay as they are.

    `stopped`: the annotation `serving.kserve.io/stop` is true; no workload and no route.
    `warnings` are fields that this mode does not honour, as `(path, sentence)`. `labels` are the
    service's, and what its runtime's type adds to them. `rollouts` tell of each component how far
    its newest revision has got, where there are revisions.
    """

    service: ServiceKey
    workloads: tuple[Workload, ...] = ()
    route: Route | None = None
    runtime_name: str = ""
    runtime_scope: RuntimeScope = RuntimeScope.NONE
    blocked: Blocked | None = None
    stopped: bool = False
    url: str = ""
    warnings: tuple[tuple[str, str], ...] = field(default=())
    labels: Mapping[str, str] = field(default_factory=dict)
    rollouts: tuple[Rollout, ...] = ()
    mesh: MeshModel | None = None
    """In ModelMesh mode: its model, which processes hold that others share. It has no workloads."""
