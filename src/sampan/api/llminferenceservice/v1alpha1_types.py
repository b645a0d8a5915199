"""LLMInferenceService in its older version, v1alpha1: what differs from the stored one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sampan.api.inferenceservice.status_types import Address
from sampan.api.llminferenceservice.names import GroupName, KindName, ObjectName, Port
from sampan.api.llminferenceservice.router_types import LLMRouterBase, LLMSchedulerBase
from sampan.api.llminferenceservice.status_types import (
    LLMObservedRouterBase,
    LLMStatusBase,
)
from sampan.api.llminferenceservice.types import LLMModelBase, LLMSources
from sampan.api.llminferenceservice.workload_types import LLMWorkload
from sampan.api.view import Core, Int32, ObjectMeta, View, facts
from sampan.machinery.registry import JsonObject


class LLMModelV1alpha1(LLMModelBase):
    """Which model, and how urgent its requests are."""

    criticality: Annotated[str | None, facts(enum=["Critical", "Standard", "Sheddable"])] = None
    """How urgent; later versions keep it in an annotation."""


class InferencePoolExtensionRef(View):
    """Who picks a replica for each request."""

    group: GroupName | None = None
    """Its API group."""
    kind: KindName | None = None
    """Its kind."""
    name: ObjectName
    """Its name."""
    port_number: Port | None = None
    """Its port."""
    failure_mode: Annotated[str, facts(enum=["FailOpen", "FailClose"])]
    """What happens while it does not answer: any replica is taken, or none."""


class InferencePoolSpecV1alpha2(View):
    """Replicas that a scheduler picks from (Gateway API inference extension v1alpha2)."""

    selector: dict[str, Annotated[str, facts(minLength=0, maxLength=63)]]
    """Labels of their pods."""
    target_port_number: Int32
    """Their port."""
    extension_ref: InferencePoolExtensionRef | None = None
    """Who picks."""


class LLMPoolV1alpha1(View):
    """Replicas that the scheduler picks from: a pool that is there, or one that is made."""

    spec: InferencePoolSpecV1alpha2 | None = None
    """The InferencePool that is made."""
    ref: Annotated[JsonObject | None, Core("LocalObjectReference")] = None
    """The InferencePool that is there already."""


class LLMSchedulerV1alpha1(LLMSchedulerBase):
    """What picks a replica for each request, and from which."""

    pool: LLMPoolV1alpha1 | None = None
    """Replicas that it picks from."""


class LLMRouterV1alpha1(LLMRouterBase):
    """How requests reach the model, and who picks a replica."""

    scheduler: LLMSchedulerV1alpha1 | None = None
    """Who picks."""


class LLMInferenceServiceSpecV1alpha1(LLMWorkload, LLMSources):
    """What is wanted: a model, what runs it, and how requests reach it."""

    model: LLMModelV1alpha1 | None = None
    """Which model."""
    router: LLMRouterV1alpha1 | None = None
    """How requests reach it; absent: over its Service only."""
    prefill: LLMWorkload | None = None
    """What reads prompts, where that is apart from what writes answers."""


class LLMInferenceServiceStatusV1alpha1(LLMStatusBase):
    """What is known of the service."""

    url: str | None = None
    """Where clients reach the model."""
    address: Address | None = None
    """Where the model is reached; kept for old clients, see `addresses`."""
    addresses: list[Address] | None = None
    """Everywhere the model is reached."""
    router: LLMObservedRouterBase | None = None
    """How requests reach it."""


class LLMInferenceServiceV1alpha1(View):
    """A language model, served."""

    api_version: str
    """Version of the schema: `serving.kserve.io/v1alpha1`."""
    kind: str
    """`LLMInferenceService`."""
    metadata: ObjectMeta = Field(default_factory=dict)
    """Name, namespace, labels and annotations."""
    spec: LLMInferenceServiceSpecV1alpha1 | None = None
    """What is wanted."""
    status: LLMInferenceServiceStatusV1alpha1 | None = None
    """What is known."""
