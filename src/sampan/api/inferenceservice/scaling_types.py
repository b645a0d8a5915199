"""How many replicas a component has: metrics, targets and behaviour."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sampan.api.view import Core, Int32, Quantity, View, facts, zero
from sampan.machinery.registry import JsonObject

MetricType = Annotated[str | None, facts(enum=["Utilization", "Value", "AverageValue"])]
ScaleMetric = Annotated[str | None, facts(enum=["cpu", "memory", "concurrency", "rps"])]


class MetricTarget(View):
    """The value that scaling aims at; which field counts is told by `type`."""

    type: MetricType = None
    """`Utilization`, `Value` or `AverageValue`."""
    value: Quantity | None = None
    """Target of the metric as a whole."""
    average_value: Quantity | None = None
    """Target of the metric's mean over all replicas."""
    average_utilization: Int32 | None = None
    """Target of the mean use in percent of what the replicas request."""


class ResourceMetric(View):
    """Processor or memory use of the replicas."""

    name: Annotated[str, facts(enum=["cpu", "memory"])]
    """`cpu` or `memory`."""
    target: Annotated[MetricTarget, zero({})] = Field(default_factory=MetricTarget)
    """What scaling aims at."""


class ExternalMetricSource(View):
    """A query to a metrics server."""

    backend: Annotated[str | None, facts(enum=["prometheus", "graphite"])] = None
    """Kind of server: `prometheus` or `graphite`."""
    server_address: str | None = None
    """Address of the server."""
    query: str | None = None
    """The query, in the server's own language."""
    namespace: str | None = None
    """Namespace for servers with many tenants."""


class AuthenticationName(View):
    """A KEDA TriggerAuthentication by name."""

    name: Annotated[str, zero("")] = ""
    """Its name."""


class AuthenticationRef(View):
    """How the metrics server is told who asks."""

    authentication_ref: Annotated[AuthenticationName, zero({})] = Field(
        default_factory=AuthenticationName
    )
    """The KEDA TriggerAuthentication that holds the credentials."""
    auth_modes: str | None = None
    """How they are sent: `bearer`, `basic`, `tls`."""


class ExternalMetric(View):
    """A metric that a metrics server outside the cluster's own holds."""

    metric: Annotated[ExternalMetricSource, zero({})] = Field(default_factory=ExternalMetricSource)
    """Where the value comes from."""
    authentication_ref: AuthenticationRef | None = None
    """Credentials for the metrics server."""
    target: Annotated[MetricTarget, zero({})] = Field(default_factory=MetricTarget)
    """What scaling aims at."""


class PodMetricSource(View):
    """Metrics that the replicas themselves expose, gathered by a collector."""

    backend: Annotated[str | None, facts(enum=["opentelemetry"])] = None
    """Kind of collector: `opentelemetry`."""
    server_address: str | None = None
    """Address of the collector."""
    metric_names: list[str] | None = None
    """Names of the metrics to gather."""
    query: str | None = None
    """Query over the gathered metrics."""
    operation_over_time: str | None = None
    """How values of a time window become one: `avg`, `max`, `rate` and so on."""


class PodMetric(View):
    """A metric of the replicas themselves."""

    metric: Annotated[PodMetricSource, zero({})] = Field(default_factory=PodMetricSource)
    """Where the value comes from."""
    target: Annotated[MetricTarget, zero({})] = Field(default_factory=MetricTarget)
    """What scaling aims at."""


class Metric(View):
    """One signal of scaling; `type` names the field that is set."""

    type: Annotated[str, facts(enum=["Resource", "External", "PodMetric"])]
    """`Resource`, `External` or `PodMetric`."""
    resource: ResourceMetric | None = None
    """Processor or memory use."""
    external: ExternalMetric | None = None
    """A metrics server's answer."""
    podmetric: PodMetric | None = None
    """A metric that the replicas expose."""


class AutoScaling(View):
    """Several metrics, and how fast scaling goes up and down."""

    metrics: list[Metric] | None = None
    """The signals; the one that asks for most replicas wins."""
    behavior: Annotated[JsonObject | None, Core("HorizontalPodAutoscalerBehavior")] = None
    """Speed of scaling up and down, as in HorizontalPodAutoscaler v2."""
