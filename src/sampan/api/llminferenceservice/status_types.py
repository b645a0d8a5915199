"""What is known of a language model's service: conditions, addresses, what was made for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from sampan.api.inferenceservice.status_types import Address, Condition
from sampan.api.llminferenceservice.filter_types import HTTPBackendObject
from sampan.api.llminferenceservice.names import (
    GroupName,
    KindName,
    Namespace,
    ObjectName,
    SectionName,
)
from sampan.api.view import Int32, Int64, View, facts

_ATOMIC = facts(x_kubernetes_list_type="atomic")


class LLMStatusBase(View):
    """What every status has."""

    observed_generation: Int64 | None = None
    """Generation of the spec that this status is about."""
    conditions: list[Condition] | None = None
    """Answers, sorted by type."""
    annotations: dict[str, str] | None = None
    """Further notes for tools."""


class LLMObservedObject(View):
    """An object that was found or made."""

    group: GroupName
    """Its API group."""
    kind: KindName
    """Its kind."""
    name: ObjectName
    """Its name."""
    namespace: Namespace | None = None
    """Its namespace."""


class LLMObservedGateway(LLMObservedObject):
    """A gateway that takes requests, and the routes through it."""

    listeners: Annotated[list[SectionName] | None, _ATOMIC] = None
    """Its listeners."""
    http_routes: Annotated[list[LLMObservedObject] | None, _ATOMIC] = None
    """Routes through it."""


class LLMObservedScheduler(View):
    """What the scheduler picks from, and where it is asked."""

    inference_pool: LLMObservedObject | None = None
    """Its InferencePool."""
    service: LLMObservedObject | None = None
    """Its Service."""


class LLMServedName(View):
    """A name under which a model answers."""

    name: str
    """The name."""


class LLMAddress(Address):
    """Where the model is reached, and through what."""

    origin: LLMObservedObject | None = None
    """The object that gives the address."""
    models: list[LLMServedName] | None = None
    """Models that answer there."""


class LLMGroupMember(View):
    """A service of a group."""

    name: str
    """Its name."""
    weight: Int32
    """Its share, in proportion to the sum of all weights."""
    stopped: bool | None = None
    """Whether it is stopped, and so gets nothing."""
    backend_ref: HTTPBackendObject | None = None
    """Who answers for it."""


class LLMGroup(View):
    """Services that share requests."""

    name: str
    """Name of the group."""
    members: Annotated[
        list[LLMGroupMember] | None,
        facts(x_kubernetes_list_type="map", x_kubernetes_list_map_keys=["name"]),
    ] = None
    """Its services."""


class LLMObservedRouterBase(View):
    """How requests reach the model."""

    gateways: Annotated[list[LLMObservedGateway] | None, _ATOMIC] = None
    """Gateways."""
    scheduler: LLMObservedScheduler | None = None
    """The scheduler."""


class LLMObservedRouter(LLMObservedRouterBase):
    """How requests reach the model, alone and in its group."""

    group: LLMGroup | None = None
    """The group."""


class LLMWorkloadObject(View):
    """An object that runs something, or leads to it."""

    schema_facts: ClassVar[Mapping[str, Any]] = {"x-kubernetes-map-type": "atomic"}
    api_group: str | None = None
    """Its API group."""
    kind: str
    """Its kind."""
    name: str
    """Its name."""


class LLMObservedWorkload(LLMWorkloadObject):
    """An object that runs replicas."""

    ready_replicas: Int32 | None = None
    """How many of them are ready."""


class LLMObservedWorkloads(View):
    """What runs."""

    primary: LLMObservedWorkload | None = None
    """What writes answers."""
    prefill: LLMObservedWorkload | None = None
    """What reads prompts, where that is apart."""
    service: LLMWorkloadObject | None = None
    """The Service before them."""
    scheduler: LLMObservedWorkload | None = None
    """What picks a replica."""


class LLMAppliedConfig(View):
    """An LLMInferenceServiceConfig that the service was made with."""

    name: ObjectName
    """Its name."""
    namespace: Namespace
    """Its namespace."""
    source: Annotated[str, facts(enum=["Preset", "UserRef"])]
    """Whether it is a preset, or named in `spec.baseRefs`."""


class LLMInferenceServiceStatus(LLMStatusBase):
    """What is known of the service."""

    url: str | None = None
    """Where clients reach the model."""
    address: Address | None = None
    """Where the model is reached; kept for old clients, see `addresses`."""
    addresses: Annotated[list[LLMAddress] | None, _ATOMIC] = None
    """Everywhere the model is reached."""
    router: LLMObservedRouter | None = None
    """How requests reach it."""
    workloads: LLMObservedWorkloads | None = None
    """What runs."""
    applied_configs: Annotated[list[LLMAppliedConfig] | None, _ATOMIC] = None
    """Presets and configurations that it was made with."""
