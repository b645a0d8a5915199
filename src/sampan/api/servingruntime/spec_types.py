"""The spec that ServingRuntime and ClusterServingRuntime share."""

from __future__ import annotations

from typing import Annotated

from sampan.api.view import Core, Inline, View, facts
from sampan.machinery.registry import JsonObject

_POD_FIELDS = frozenset(
    {
        "affinity",
        "containers",
        "hostIPC",
        "imagePullSecrets",
        "resourceClaims",
        "schedulerName",
        "tolerations",
        "volumes",
    }
)


class SupportedModelFormat(View):
    """A model format that the runtime serves."""

    name: str
    """Name of the format."""
    version: str | None = None
    """Version of the format; absent: any."""
    auto_select: bool | None = None
    """Whether the runtime may be selected for models that name no runtime."""
    priority: Annotated[int | None, facts(format="int32", minimum=1)] = None
    """Rank among the runtimes that could be selected for this format; higher goes first."""


class StorageHelper(View):
    """ModelMesh's puller of models."""

    disabled: bool | None = None
    """Whether it is left out of the runtime's pods."""


class BuiltInAdapter(View):
    """ModelMesh's adapter for a known model server."""

    server_type: str | None = None
    """Kind of server: `triton`, `mlserver`, `ovms`, `torchserve`."""
    runtime_management_port: int | None = None
    """Port of the server's management interface."""
    mem_buffer_bytes: int | None = None
    """Memory kept free for the server itself, in bytes."""
    model_loading_timeout_millis: int | None = None
    """Longest time for loading a model, in milliseconds."""
    env: list[Annotated[JsonObject, Core("EnvVar")]] | None = None
    """Environment of the adapter's container."""


class RuntimePod(View):
    """The part of a pod that a runtime describes."""

    inlines = (Inline("PodSpec", only=_POD_FIELDS),)

    node_selector: dict[str, str] | None = None
    """Labels that a node needs."""
    labels: dict[str, str] | None = None
    """Labels for the pods."""
    annotations: dict[str, str] | None = None
    """Annotations for the pods."""


class RuntimeWorkerSpec(RuntimePod):
    """The further pods of a model that spans several nodes."""

    pipeline_parallel_size: int | None = None
    """Number of nodes, the head included, over which the model's layers are spread."""
    tensor_parallel_size: int | None = None
    """Number of GPUs in each node over which a layer is spread."""


class RuntimeSpec(RuntimePod):
    """Which models the runtime serves, and the pod that serves them."""

    supported_model_formats: list[SupportedModelFormat] | None = None
    """The formats that it serves, with versions and priorities."""
    multi_model: bool | None = None
    """Whether one replica serves many models (ModelMesh)."""
    disabled: bool | None = None
    """Whether the runtime is out of use."""
    protocol_versions: list[str] | None = None
    """Protocols that it speaks: `v1`, `v2`, `grpc-v1`, `grpc-v2`."""
    worker_spec: RuntimeWorkerSpec | None = None
    """The further pods of a model that spans several nodes."""
    grpc_endpoint: str | None = None
    """ModelMesh: management address, `port:8001` or `unix:/tmp/socket`."""
    grpc_data_endpoint: str | None = None
    """ModelMesh: address of gRPC inference, in the same form."""
    http_data_endpoint: str | None = None
    """ModelMesh: address of REST inference, in the same form."""
    replicas: int | None = None
    """ModelMesh: number of pods of this runtime; absent: the operator's default."""
    storage_helper: StorageHelper | None = None
    """ModelMesh: settings of the puller."""
    built_in_adapter: BuiltInAdapter | None = None
    """ModelMesh: settings of the adapter, for servers that it knows."""


class RuntimeStatus(View):
    """Nothing is reported of a runtime."""
