"""Predictor, transformer and explainer: a pod, what every component has, and its own fields."""

from __future__ import annotations

from typing import Annotated

from sampan.api.inferenceservice.scaling_types import AutoScaling, MetricType, ScaleMetric
from sampan.api.inferenceservice.storage_types import (
    Batcher,
    Confidential,
    Logger,
    StorageSpec,
    StorageUris,
)
from sampan.api.view import Core, Inline, Int32, Int64, View, facts, zero
from sampan.machinery.registry import JsonObject

# KServe has its own copy of PodSpec: containers may be left out, what came to core later is
# missing, and its components, unlike canaries and workers, know no ephemeral containers.
_LATER = frozenset({"evictionResponders", "schedulingGroup"})
_OPTIONAL = frozenset({"containers"})
POD = Inline("PodSpec", without=_LATER, optional=_OPTIONAL)
COMPONENT_POD = Inline("PodSpec", without=_LATER | {"ephemeralContainers"}, optional=_OPTIONAL)
CONTAINER = Inline("Container", optional=frozenset({"name"}))


class Component(View):
    """What every component has besides its pod."""

    min_replicas: Int32 | None = None
    """Fewest replicas, 1 where absent; 0 lets the component scale to zero."""
    max_replicas: Int32 | None = None
    """Most replicas; 0 or absent: no limit in Knative mode, `minReplicas` in Standard mode."""
    scale_target: Int32 | None = None
    """Value of `scaleMetric` that scaling aims at, per replica."""
    scale_metric: ScaleMetric = None
    """What scaling watches: `cpu`, `memory`, `concurrency` or `rps`."""
    scale_metric_type: MetricType = None
    """How `scaleTarget` is read; accepted for compatibility."""
    auto_scaling: AutoScaling | None = None
    """Several metrics at once, and the speed of scaling."""
    container_concurrency: Int64 | None = None
    """Most requests that one replica handles at a time; 0 or absent: no limit."""
    timeout: Int64 | None = None
    """Longest time for a request, in seconds."""
    canary_traffic_percent: Int64 | None = None
    """Share of the traffic for the latest revision, in percent; the rest goes to the one before."""
    logger: Logger | None = None
    """Copies of requests and responses for a sink."""
    batcher: Batcher | None = None
    """Joins single requests into batches."""
    labels: dict[str, str] | None = None
    """Labels for the component's pods."""
    annotations: dict[str, str] | None = None
    """Annotations for the component's pods."""
    deployment_strategy: Annotated[JsonObject | None, Core("DeploymentStrategy")] = None
    """How new replicas take the place of old ones, in Standard mode."""


class PredictorExtension(View):
    """A model server: its container and its model."""

    inlines = (CONTAINER,)

    storage_uri: str | None = None
    """Where the model lies, with its scheme."""
    runtime_version: str | None = None
    """Version of the runtime: the tag of its image."""
    protocol_version: str | None = None
    """Protocol that clients speak: `v1`, `v2`, `grpc-v1` or `grpc-v2`."""
    storage: StorageSpec | None = None
    """The model by an entry of the storage Secret, instead of `storageUri`."""
    confidential: Confidential | None = None
    """Set for an encrypted model."""


class ModelFormat(View):
    """The format in which a model is stored."""

    name: Annotated[str, zero("")] = ""
    """Name of the format, as runtimes list it: `sklearn`, `onnx`, `huggingface` and so on."""
    version: str | None = None
    """Version of the format, compared as text; absent: any."""


class Model(PredictorExtension):
    """A model whose runtime is selected by its format, or named."""

    model_format: Annotated[ModelFormat | None, zero({}, required=False)] = None
    """The model's format; a runtime that supports it is selected."""
    runtime: str | None = None
    """Name of the ServingRuntime or ClusterServingRuntime; absent: selected by format."""


class WorkerSpec(View):
    """The further pods of a model that spans several nodes."""

    inlines = (POD,)

    pipeline_parallel_size: int | None = None
    """Number of nodes, the head included, over which the model's layers are spread."""
    tensor_parallel_size: int | None = None
    """Number of GPUs in each node over which a layer is spread."""


class Predictor(Component):
    """Serves the model: one model format field, or containers of one's own."""

    inlines = (COMPONENT_POD,)

    name: Annotated[str | None, facts(pattern="^[a-z]([-a-z0-9]*[a-z0-9])?$")] = None
    """Name of this variant of the model, part of the names of what runs."""
    sklearn: PredictorExtension | None = None
    """scikit-learn; short for `model` with that format."""
    xgboost: PredictorExtension | None = None
    """XGBoost; short for `model` with that format."""
    tensorflow: PredictorExtension | None = None
    """TensorFlow; short for `model` with that format."""
    pytorch: PredictorExtension | None = None
    """PyTorch; short for `model` with that format."""
    triton: PredictorExtension | None = None
    """Triton's model repository; short for `model` with that format and protocol v2."""
    onnx: PredictorExtension | None = None
    """ONNX; short for `model` with that format and protocol v2."""
    huggingface: PredictorExtension | None = None
    """Hugging Face; short for `model` with that format and protocol v2."""
    pmml: PredictorExtension | None = None
    """PMML; short for `model` with that format."""
    lightgbm: PredictorExtension | None = None
    """LightGBM; short for `model` with that format."""
    paddle: PredictorExtension | None = None
    """Paddle; short for `model` with that format."""
    model: Model | None = None
    """The model and how it is served."""
    storage_uris: StorageUris = None
    """Several models, each in a folder of its own, instead of one `storageUri`."""
    storage_container_name: str | None = None
    """Name of the ClusterStorageContainer that fetches the model; absent: the first that can."""
    worker_spec: WorkerSpec | None = None
    """The further pods of a model that spans several nodes."""


class Transformer(Component):
    """Prepares requests and finishes responses, before and after the predictor."""

    inlines = (COMPONENT_POD,)

    storage_uris: StorageUris = None
    """Files that the transformer needs, each in a folder of its own."""


class ArtExplainer(View):
    """An explainer of the Adversarial Robustness Toolbox."""

    inlines = (CONTAINER,)

    type: str | None = None
    """Kind of explainer: `SquareAttack`."""
    storage_uri: str | None = None
    """Where the explainer's own model lies."""
    runtime_version: str | None = None
    """Version of the explainer: the tag of its image."""
    config: dict[str, str] | None = None
    """Arguments of the explainer, by name."""
    storage: StorageSpec | None = None
    """The model by an entry of the storage Secret, instead of `storageUri`."""


class Explainer(Component):
    """Explains predictions: a built-in explainer, or containers of one's own."""

    inlines = (COMPONENT_POD,)

    art: ArtExplainer | None = None
    """An explainer of the Adversarial Robustness Toolbox."""
    storage_uris: StorageUris = None
    """Files that the explainer needs, each in a folder of its own."""


class CanaryPredictor(Predictor):
    """Serves the model that is tried out."""

    inlines = (POD,)


class Canary(View):
    """A second predictor that gets a share of the traffic (Standard mode)."""

    predictor: CanaryPredictor
    """The predictor that is tried out; its `name` is required."""
    traffic_percent: Annotated[int, facts(format="int32", minimum=0, maximum=100)]
    """Its share of the traffic, in percent."""
