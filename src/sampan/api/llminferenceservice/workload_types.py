"""What runs for a language model: replicas, how the model is spread over devices, their pods."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from sampan.api.llminferenceservice.names import Port, ruled
from sampan.api.llminferenceservice.scaling_types import LLMScaling
from sampan.api.view import Core, Inline, Quantity, View, facts
from sampan.machinery.registry import JsonObject

_Count = Annotated[int | None, facts(format="int32", minimum=1)]
_IntOrString = Annotated[int | str | None, Core("IntOrString")]


_BY_NAME = ("name",)
# Both came to core after the version that KServe has.
_LATER = frozenset({"evictionResponders", "schedulingGroup"})
_POD = Inline(
    "PodSpec",
    without=_LATER,
    lists=(
        ("containers", _BY_NAME),
        ("ephemeralContainers", _BY_NAME),
        ("hostAliases", ("ip",)),
        ("imagePullSecrets", _BY_NAME),
        ("initContainers", _BY_NAME),
        ("readinessGates", ()),
        ("tolerations", ()),
        ("volumes", _BY_NAME),
    ),
)


class LLMPod(View):
    """A pod, whose containers may be left to a preset."""

    inlines = (replace(_POD, optional=frozenset({"containers"})),)


class LLMWholePod(View):
    """A pod with all its containers."""

    inlines = (_POD,)


class LLMParallelism(View):
    """How one copy of the model is spread over devices and nodes."""

    tensor: _Count = None
    """Devices that share each layer."""
    pipeline: _Count = None
    """Groups of layers, one after the other."""
    data: _Count = None
    """Copies of the model that share the requests."""
    data_local: _Count = None
    """How many of these run on one node."""
    data_rpc_port: Port | None = Field(default=None, alias="dataRPCPort")
    """Port over which copies talk."""
    expert: bool | None = None
    """Whether experts are spread over devices."""


class LLMRolloutStrategy(View):
    """How new replicas take the place of old ones."""

    max_unavailable: _IntOrString = None
    """Replicas that may be missing: a number, or a share in percent."""
    max_surge: _IntOrString = None
    """Replicas that there may be too many of: a number, or a share in percent."""


class LLMEmptyDirTier(View):
    """A folder that goes with the pod."""

    size: Quantity
    """Most bytes in it."""


class LLMClaimRef(View):
    """A PersistentVolumeClaim that is there already."""

    name: str
    """Its name."""
    path: str | None = None
    """Folder in it."""


class LLMClaimTier(View):
    """A PersistentVolumeClaim: one that is there, or one that is made."""

    spec: Annotated[JsonObject | None, Core("PersistentVolumeClaimSpec")] = None
    """The claim that is made."""
    ref: LLMClaimRef | None = None
    """The claim that is there."""


class LLMFileSystemTier(View):
    """A folder that holds the cache: of the pod, or of a volume."""

    empty_dir: LLMEmptyDirTier | None = None
    """A folder that goes with the pod."""
    pvc: LLMClaimTier | None = None
    """A volume."""


class LLMSecondaryTier(View):
    """A slower place for the cache."""

    file_system: LLMFileSystemTier | None = None
    """A folder."""


class LLMKVCacheOffloading(View):
    """Where keys and values go that have no room on the device."""

    cpu: Quantity
    """Memory for them."""
    eviction_policy: Annotated[str | None, facts(enum=["lru", "arc"], default="lru")] = None
    """Which go first where that is full."""
    secondary: list[LLMSecondaryTier] | None = None
    """Slower places, in order."""


class LLMWorkload(View):
    """What runs: replicas and their pods."""

    schema_facts = ruled(
        (
            (
                "replicas and scaling are mutually exclusive; use scaling for autoscaled "
                "deployments or replicas for static deployments"
            ),
            "!(has(self.replicas) && has(self.scaling))",
        )
    )
    replicas: Annotated[int | None, facts(format="int32", minimum=0)] = None
    """How many copies run."""
    scaling: LLMScaling | None = None
    """Copies that follow the load, instead of `replicas`."""
    parallelism: LLMParallelism | None = None
    """How one copy is spread over devices and nodes."""
    labels: dict[str, str] | None = None
    """Labels for the pods."""
    annotations: dict[str, str] | None = None
    """Annotations for the pods."""
    template: LLMPod | None = None
    """The pod, or the first one of a copy that spans nodes."""
    worker: LLMPod | None = None
    """The further pods of a copy that spans nodes."""
    rollout_strategy: LLMRolloutStrategy | None = None
    """How new replicas take the place of old ones."""


class LLMPrefill(LLMWorkload):
    """What reads prompts, where that is apart from what writes answers."""

    kv_cache_offloading: LLMKVCacheOffloading | None = None
    """Where keys and values go that have no room on the device."""
