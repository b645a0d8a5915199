"""What is known of a service: conditions, addresses, and how its model is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from sampan.api.view import Int32, Int64, View, facts

_MODEL_STATES = ["", "Pending", "Standby", "Loading", "Loaded", "FailedToLoad"]
_TRANSITIONS = ["", "UpToDate", "InProgress", "BlockedByFailedLoad", "InvalidSpec"]
_FAILURES = [
    "ModelLoadFailed",
    "RuntimeUnhealthy",
    "RuntimeDisabled",
    "NoSupportingRuntime",
    "RuntimeNotRecognized",
    "InvalidPredictorSpec",
]


class Condition(View):
    """One answer about the service: True, False or Unknown, and why."""

    type: str
    """What is asked: `Ready`, `PredictorReady` and so on."""
    status: str
    """`True`, `False` or `Unknown`."""
    severity: str | None = None
    """Empty for conditions that `Ready` depends on, else `Info`."""
    last_transition_time: str | None = None
    """When the condition last changed."""
    reason: str | None = None
    """Why, in one CamelCase word."""
    message: str | None = None
    """Why, for people."""


class Address(View):
    """Where something is reached."""

    name: str | None = None
    """Name of the address, where there are several."""
    url: str | None = None
    """The URL."""
    ca_certs: str | None = Field(default=None, alias="CACerts")
    """Certificates of the authority that signed the server's, as PEM."""
    audience: str | None = None
    """Audience of the OpenID Connect tokens that are expected."""


class TrafficTarget(View):
    """A revision and its share of the traffic."""

    tag: str | None = None
    """Name under which the revision alone is reached."""
    revision_name: str | None = None
    """The revision."""
    configuration_name: str | None = None
    """The configuration whose latest revision is meant."""
    latest_revision: bool | None = None
    """Whether the share follows the latest revision."""
    percent: Int64 | None = None
    """The share, in percent."""
    url: str | None = None
    """Where the revision alone is reached."""


class ComponentStatus(View):
    """Addresses and revisions of one component."""

    latest_ready_revision: str | None = None
    """The newest revision that became ready."""
    latest_created_revision: str | None = None
    """The newest revision."""
    previous_rolledout_revision: str | None = None
    """The revision that had all traffic before the latest one."""
    latest_rolledout_revision: str | None = None
    """The last revision that had all traffic."""
    traffic: list[TrafficTarget] | None = None
    """How traffic is shared among revisions."""
    url: str | None = None
    """Where clients reach the component."""
    rest_url: str | None = None
    """Its REST address; written in ModelMesh mode only."""
    grpc_url: str | None = None
    """Its gRPC address; written in ModelMesh mode only."""
    address: Address | None = None
    """Where the component is reached from inside the cluster."""


class ModelStates(View):
    """What is served, and what is on its way."""

    active_model_state: Annotated[str, facts(enum=_MODEL_STATES, default="Pending")]
    """State of the model that answers requests."""
    target_model_state: Annotated[str | None, facts(enum=_MODEL_STATES, default="")] = None
    """State of the model that is to take its place."""


class FailureInfo(View):
    """The last failure of a model."""

    location: str | None = None
    """Which part failed; often the pod."""
    reason: Annotated[str | None, facts(enum=_FAILURES)] = None
    """What kind of failure."""
    message: str | None = None
    """Its text."""
    model_revision_name: str | None = None
    """Which revision of the model."""
    time: Annotated[str | None, facts(format="date-time")] = None
    """When."""
    exit_code: Int32 | None = None
    """Exit code of the container."""


class ModelCopies(View):
    """How many copies of the model there are."""

    failed_copies: Annotated[int, facts(default=0)]
    """Copies that failed in this transition."""
    total_copies: int | None = None
    """Copies that run and are ready."""


class ModelStatus(View):
    """How the predictor's model is."""

    transition_status: Annotated[str, facts(enum=_TRANSITIONS, default="UpToDate")]
    """Whether the model that answers is the one that the spec asks for."""
    states: ModelStates | None = None
    """States of the active and of the target model."""
    last_failure_info: FailureInfo | None = None
    """The last failure, kept after recovery."""
    copies: ModelCopies | None = None
    """How many copies of the model there are."""


class CanaryStatus(View):
    """How one canary is."""

    name: str
    """Its predictor's name."""
    ready: bool
    """Whether it is ready."""
    traffic_percent: Int32
    """Its share of the traffic, in percent."""
    model_status: ModelStatus | None = None
    """How its model is."""


class Status(View):
    """What is known of the service."""

    schema_facts: ClassVar[Mapping[str, Any]] = {"x-kubernetes-preserve-unknown-fields": True}

    observed_generation: Int64 | None = None
    """Generation of the spec that this status is about."""
    conditions: list[Condition] | None = None
    """Answers about the service, sorted by type."""
    annotations: dict[str, str] | None = None
    """Further notes for tools."""
    address: Address | None = None
    """Where the service is reached from inside the cluster."""
    url: str | None = None
    """Where clients reach the service."""
    components: dict[str, ComponentStatus] | None = None
    """Addresses and revisions of predictor, transformer and explainer."""
    model_status: ModelStatus | None = None
    """How the predictor's model is."""
    canary_statuses: Annotated[
        list[CanaryStatus] | None, facts(x_kubernetes_list_type="atomic")
    ] = None
    """How the canaries are."""
    deployment_mode: str | None = None
    """`Standard`, `Knative` or `ModelMesh`; fixed once it is set."""
    serving_runtime_name: str | None = None
    """The ServingRuntime in use."""
    cluster_serving_runtime_name: str | None = None
    """The ClusterServingRuntime in use."""
