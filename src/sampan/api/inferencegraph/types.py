"""InferenceGraph: the whole object."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sampan.api.inferenceservice.scaling_types import ScaleMetric
from sampan.api.inferenceservice.status_types import Condition
from sampan.api.view import Core, Int32, Int64, ObjectMeta, View, facts
from sampan.machinery.registry import JsonObject

_ROUTER_TYPES = ["Sequence", "Splitter", "Ensemble", "Switch"]


class GraphStep(View):
    """One step of a node: whom to ask, with what, and when."""

    name: str | None = None
    """Name of the step, unique in its node; an Ensemble's answer has it as a key."""
    node_name: str | None = None
    """The node that answers."""
    service_name: str | None = None
    """The InferenceService that answers, in the graph's namespace."""
    service_url: str | None = None
    """The address that answers, where it is no InferenceService."""
    data: str | None = None
    """What is sent: `$request`, `$response` of the step before, or its `$response.predictions`."""
    map_predictions_to_instances: bool | None = None
    """Whether the `predictions` of the step before are sent as `instances`."""
    weight: Int64 | None = None
    """Share of a Splitter's requests, in percent."""
    condition: str | None = None
    """When the step is taken: a GJSON path that must exist in the request."""
    dependency: Annotated[str | None, facts(enum=["Soft", "Hard"])] = None
    """`Hard`: when the step fails, so does the node; `Soft`: the node goes on."""


class GraphNode(View):
    """A router and its steps."""

    router_type: Annotated[str, facts(enum=_ROUTER_TYPES)]
    """How steps are taken: `Sequence`, `Splitter`, `Ensemble` or `Switch`."""
    steps: list[GraphStep] | None = None
    """The steps, in order."""


class RouterTimeouts(View):
    """How long the router waits, in seconds."""

    server_read: Int64 | None = None
    """For a request to be read; absent: 60."""
    server_write: Int64 | None = None
    """For a response to be written; absent: 60."""
    server_idle: Int64 | None = None
    """For the next request of a connection; absent: 180."""
    service_client: Int64 | None = None
    """For the answer of a step; absent: no limit."""


class GraphSpec(View):
    """The nodes of a graph, and the pod of the router that walks them."""

    nodes: dict[str, GraphNode]
    """The nodes by name; a request enters at `root`."""
    resources: Annotated[JsonObject | None, Core("ResourceRequirements")] = None
    """What the router's container needs; absent: the operator's default."""
    affinity: Annotated[JsonObject | None, Core("Affinity")] = None
    """Where the router's pods should run."""
    timeout: Int64 | None = None
    """Longest time for a request, in seconds."""
    router_timeouts: RouterTimeouts | None = None
    """How long the router waits for clients and for steps."""
    min_replicas: Int32 | None = None
    """Fewest routers; absent: 1."""
    max_replicas: Int32 | None = None
    """Most routers."""
    scale_target: Int32 | None = None
    """Value of `scaleMetric` that scaling aims at, per router."""
    scale_metric: ScaleMetric = None
    """What scaling watches: `cpu`, `memory`, `concurrency` or `rps`."""
    tolerations: list[Annotated[JsonObject, Core("Toleration")]] | None = None
    """Taints of nodes that the router's pods accept."""
    node_selector: dict[str, str] | None = None
    """Labels that the routers' nodes must have."""
    node_name: str | None = None
    """The node that the router's pods run on."""
    service_account_name: str | None = None
    """The ServiceAccount that the router runs as."""


class GraphStatus(View):
    """What is known of the graph."""

    observed_generation: Int64 | None = None
    """Generation of the spec that this status is about."""
    conditions: list[Condition] | None = None
    """Answers about the graph, sorted by type."""
    annotations: dict[str, str] | None = None
    """Further notes for tools."""
    url: str | None = None
    """Where clients reach the graph."""
    deployment_mode: str | None = None
    """`Standard` or `Knative`."""


class InferenceGraph(View):
    """Several services behind one address, and how a request goes through them."""

    api_version: str
    """Version of the schema: `serving.kserve.io/v1alpha1`."""
    kind: str
    """`InferenceGraph`."""
    metadata: ObjectMeta = Field(default_factory=dict)
    """Name, namespace, labels and annotations."""
    spec: GraphSpec | None = None
    """What is wanted."""
    status: GraphStatus | None = None
    """What is known."""
