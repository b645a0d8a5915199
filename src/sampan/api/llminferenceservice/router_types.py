"""How requests reach a language model: gateway, route, and the scheduler that picks a replica."""

from __future__ import annotations

from typing import Annotated, Any

from sampan.api.llminferenceservice.names import (
    GroupName,
    KindName,
    Namespace,
    ObjectName,
    Port,
    SectionName,
    ruled,
    rules,
)
from sampan.api.llminferenceservice.route_types import HTTPRouteSpec
from sampan.api.llminferenceservice.workload_types import LLMPod, LLMWholePod
from sampan.api.view import Core, Int32, View, facts
from sampan.machinery.registry import JsonObject


class LLMGatewayRef(View):
    """A Gateway, or a listener of it."""

    name: ObjectName | None = None
    """Its name."""
    namespace: Namespace | None = None
    """Its namespace."""
    section_name: SectionName | None = None
    """The listener; absent: all of them."""


class LLMGateway(View):
    """Gateways that take requests."""

    refs: list[LLMGatewayRef] | None = None
    """Those that are there already; none: the cluster's."""


class LLMObjectRef(View):
    """An object by name and namespace."""

    name: ObjectName | None = None
    """Its name."""
    namespace: Namespace | None = None
    """Its namespace."""


class LLMIngress(View):
    """Ingresses that take requests."""

    refs: list[LLMObjectRef] | None = None
    """Those that are there already."""


class LLMHTTPRoute(View):
    """Routes to the model: some that are there, or one that is made."""

    refs: list[Annotated[JsonObject, Core("LocalObjectReference")]] | None = None
    """HTTPRoutes that are there already."""
    spec: HTTPRouteSpec | None = None
    """The HTTPRoute that is made."""


class LLMRoute(View):
    """Routes to the model, and its share of a group's requests."""

    http: LLMHTTPRoute | None = None
    """Routes; empty: one is made."""
    group: Annotated[
        str | None,
        facts(minLength=1, maxLength=63, pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"),
    ] = None
    """A group of services that share requests."""
    weight: Annotated[int | None, facts(format="int32", minimum=0, maximum=1_000_000)] = None
    """The service's share in its group, in proportion to the sum of all weights."""


class InferencePoolPort(View):
    """A port by number."""

    number: Port
    """The number."""


class InferencePoolSelector(View):
    """Pods by their labels."""

    match_labels: Annotated[
        dict[
            str,
            Annotated[
                str,
                facts(
                    minLength=0,
                    maxLength=63,
                    pattern="^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
                ),
            ],
        ],
        facts(minProperties=1, maxProperties=64),
    ]
    """Labels that they all have."""


class EndpointPickerRef(View):
    """Who picks a replica for each request."""

    schema_facts = ruled(
        (
            "port is required when kind is 'Service' or unspecified (defaults to 'Service')",
            "self.kind != 'Service' || has(self.port)",
        )
    )
    group: Annotated[GroupName | None, facts(minLength=0, default="")] = None
    """Its API group."""
    kind: Annotated[KindName | None, facts(default="Service")] = None
    """Its kind."""
    name: ObjectName
    """Its name."""
    port: InferencePoolPort | None = None
    """Its port; a Service needs one."""
    failure_mode: Annotated[
        str | None, facts(enum=["FailOpen", "FailClose"], default="FailClose")
    ] = None
    """What happens while it does not answer: any replica is taken, or none."""


class InferencePoolSpec(View):
    """Replicas that a scheduler picks from (Gateway API inference extension v1)."""

    selector: InferencePoolSelector
    """Which pods they are."""
    target_ports: Annotated[
        list[InferencePoolPort],
        facts(
            minItems=1,
            maxItems=8,
            x_kubernetes_list_type="atomic",
            x_kubernetes_validations=rules(
                (
                    (
                        "port number must be unique",
                        "self.all(p1, self.exists_one(p2, p1.number==p2.number))",
                    ),
                )
            ),
        ),
    ]
    """Their ports."""
    app_protocol: Annotated[
        str | None, facts(enum=["http", "kubernetes.io/h2c"], default="http")
    ] = None
    """What they speak."""
    endpoint_picker_ref: EndpointPickerRef
    """Who picks."""


class LLMPool(View):
    """Replicas that the scheduler picks from: a pool that is there, or one that is made."""

    spec: InferencePoolSpec | None = None
    """The InferencePool that is made."""
    ref: Annotated[JsonObject | None, Core("LocalObjectReference")] = None
    """The InferencePool that is there already."""


class LLMSchedulerConfig(View):
    """How the scheduler picks."""

    inline: Annotated[dict[str, Any] | None, facts(x_kubernetes_preserve_unknown_fields=True)] = (
        None
    )
    """Its configuration."""
    ref: Annotated[JsonObject | None, Core("ConfigMapKeySelector")] = None
    """A key of a ConfigMap that holds its configuration."""


class LLMTokenizer(View):
    """Turns text into tokens for the scheduler."""

    template: LLMWholePod | None = None
    """Its pod."""


class LLMSchedulerBase(View):
    """What picks a replica for each request."""

    replicas: Int32 | None = None
    """How many of it run."""
    labels: dict[str, str] | None = None
    """Labels for its pods."""
    annotations: dict[str, str] | None = None
    """Annotations for its pods."""
    template: LLMPod | None = None
    """Its pod."""
    config: LLMSchedulerConfig | None = None
    """How it picks."""
    tokenizer: LLMTokenizer | None = None
    """Turns text into tokens for it."""


class LLMScheduler(LLMSchedulerBase):
    """What picks a replica for each request, and from which."""

    pool: LLMPool | None = None
    """Replicas that it picks from."""


class LLMRouterBase(View):
    """How requests reach the model; empty parts are made as presets say."""

    route: LLMRoute | None = None
    """Routes."""
    gateway: LLMGateway | None = None
    """Gateways."""
    ingress: LLMIngress | None = None
    """Ingresses, instead of gateways."""


class LLMRouter(LLMRouterBase):
    """How requests reach the model, and who picks a replica."""

    scheduler: LLMScheduler | None = None
    """Who picks."""
