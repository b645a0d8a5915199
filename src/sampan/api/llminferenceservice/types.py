"""LLMInferenceService: the whole object, in the version that is stored (v1alpha2)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from sampan.api.inferenceservice.storage_types import Confidential
from sampan.api.llminferenceservice.router_types import LLMRouter
from sampan.api.llminferenceservice.status_types import LLMInferenceServiceStatus
from sampan.api.llminferenceservice.workload_types import (
    LLMKVCacheOffloading,
    LLMPrefill,
    LLMWorkload,
)
from sampan.api.view import Core, ObjectMeta, View, facts
from sampan.machinery.registry import JsonObject

_Count = Annotated[int | None, facts(format="int32", minimum=1)]


class LLMLoRA(View):
    """Adapters that are served beside the model itself."""

    adapters: Annotated[Any, facts(x_kubernetes_preserve_unknown_fields=True)] = None
    """Adapters, each with `uri` and `name`, as `spec.model` has them."""
    max_rank: _Count = None
    """Highest rank of an adapter."""
    max_adapters: _Count = None
    """Most adapters on the device at a time."""
    max_cpu_adapters: _Count = None
    """Most adapters in memory at a time."""


class LLMModelBase(View):
    """Which model."""

    uri: str
    """Where it lies: `hf://`, `s3://`, `pvc://` or `oci://`."""
    name: str | None = None
    """Name that clients ask for; absent: that of the service."""
    lora: LLMLoRA | None = None
    """Adapters that are served beside it."""


class LLMModel(LLMModelBase):
    """Which model, and whether it is encrypted."""

    confidential: Confidential | None = None
    """How it is decrypted."""


class LLMStorageInitializer(View):
    """Who fetches the model."""

    enabled: bool | None = None
    """Whether it is fetched before the server starts; `false`: the server fetches it itself."""


class LLMTracing(View):
    """Where traces go."""

    exporter: str | None = None
    """How they are sent."""
    exporter_endpoint: str | None = None
    """Where they are sent."""
    sampler: str | None = None
    """Which requests are traced."""
    sampler_arg: str | None = None
    """The sampler's setting, such as a share."""


class LLMSources(View):
    """What a service is made from, besides its model."""

    storage_initializer: LLMStorageInitializer | None = None
    """Who fetches the model."""
    tracing: LLMTracing | None = None
    """Where traces go."""
    base_refs: list[Annotated[JsonObject, Core("LocalObjectReference")]] | None = None
    """LLMInferenceServiceConfigs that are merged in order, before this spec."""


class LLMInferenceServiceSpec(LLMWorkload, LLMSources):
    """What is wanted: a model, what runs it, and how requests reach it."""

    model: LLMModel | None = None
    """Which model."""
    router: LLMRouter | None = None
    """How requests reach it; absent: over its Service only."""
    prefill: LLMPrefill | None = None
    """What reads prompts, where that is apart from what writes answers."""
    kv_cache_offloading: LLMKVCacheOffloading | None = None
    """Where keys and values go that have no room on the device."""


class LLMInferenceService(View):
    """A language model, served."""

    api_version: str
    """Version of the schema: `serving.kserve.io/v1alpha2`."""
    kind: str
    """`LLMInferenceService`."""
    metadata: ObjectMeta = Field(default_factory=dict)
    """Name, namespace, labels and annotations."""
    spec: LLMInferenceServiceSpec | None = None
    """What is wanted."""
    status: LLMInferenceServiceStatus | None = None
    """What is known."""
