"""Rules about a component's containers: environment, sidecars, several nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator

from sampan.api.admission import Mistake
from sampan.api.gpu import gpu_types, unknown_resource
from sampan.api.inferenceservice.implementation import (
    FORMATS,
    TRANSFORMER_CONTAINER,
    components,
    env_value,
)
from sampan.api.inferenceservice.review import Review
from sampan.machinery.registry import JsonObject

AUTOSCALER_CLASS = "serving.kserve.io/autoscalerClass"

BLOCKED_VARIABLES = frozenset({"PYTHONPATH"})
"""Variables that would let a service replace the code of its runtime."""

PARALLEL_VARIABLES = ("PIPELINE_PARALLEL_SIZE", "TENSOR_PARALLEL_SIZE")
"""Variables that `workerSpec` sets."""

_MULTI_NODE_SCHEMES = ("pvc", "oci")


def sets_no_blocked_variable(review: Review) -> Iterator[Mistake]:
    """No container may set a variable that changes which code runs."""
    for path, container in _all_containers(review):
        for index, variable in enumerate(container.get("env") or []):
            if variable.get("name") in BLOCKED_VARIABLES:
                text = blocked_variable_text(variable["name"], container.get("name", ""))
                yield review.invalid(f"{path}.env[{index}]", text)


def blocked_variable_text(variable: str, container: str) -> str:
    """Return upstream's sentence about a blocked variable."""
    shown = json.dumps(container)
    return f"setting {variable} in container {shown} is not allowed for security reasons"


def _all_containers(review: Review) -> Iterator[tuple[str, JsonObject]]:
    for name, component in components(review.service):
        path = f"spec.{name}"
        yield from _pod_containers(path, component)
        for field in (*FORMATS, "model", "art"):
            if field in component:
                yield f"{path}.{field}", component[field]
        if "workerSpec" in component:
            yield from _pod_containers(f"{path}.workerSpec", component["workerSpec"])


def _pod_containers(path: str, pod: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    for field in ("containers", "initContainers"):
        for index, container in enumerate(pod.get(field) or []):
            yield f"{path}.{field}[{index}]", container


def spreads_over_nodes_rightly(review: Review) -> Iterator[Mistake]:
    """What `workerSpec` demands of the model, of its workers and of scaling."""
    worker = review.predictor.get("workerSpec")
    if worker is None:
        return
    path = "spec.predictor.workerSpec"
    if len(worker.get("containers") or []) > 1:
        text = "setting multiple containers in workerSpec is not allowed"
        yield review.invalid(f"{path}.containers", text)
    if "model" in review.predictor:
        yield from _multi_node_model(review, review.predictor["model"])
    for field, label in (
        ("pipelineParallelSize", "PipelineParallelSize"),
        ("tensorParallelSize", "TensorParallelSize"),
    ):
        size = worker.get(field)
        if size is not None and size < 1:
            text = f"WorkerSpec.{label} cannot be less than 1({size})"
            yield review.invalid(f"{path}.{field}", text)
    for index, container in enumerate(worker.get("containers") or []):
        yield from _known_gpus(review, f"{path}.containers[{index}]", container)


def _multi_node_model(review: Review, model: JsonObject) -> Iterator[Mistake]:
    path = "spec.predictor.model"
    for variable in PARALLEL_VARIABLES:
        if env_value(model, variable) is not None:
            text = f"setting {variable} in environment variables is not allowed"
            yield review.invalid(f"{path}.env", text)
    yield from _known_gpus(review, path, model)
    uri = model.get("storageUri")
    if uri is None:
        yield review.invalid(f"{path}.storageUri", "StorageURI must be set for multinode enabled")
    elif (scheme := uri.split("://")[0]) not in _MULTI_NODE_SCHEMES:
        text = f"Multinode only supports 'pvc' and 'oci' Storage Protocol({scheme})"
        yield review.invalid(f"{path}.storageUri", text)
    scaler = review.annotations.get(AUTOSCALER_CLASS, "")
    if scaler != "none":
        text = f"Multinode only supports 'none' autoscaler({scaler})"
        yield review.invalid(f"metadata.annotations.{AUTOSCALER_CLASS}", text)


def _known_gpus(review: Review, path: str, container: JsonObject) -> Iterator[Mistake]:
    try:
        types = gpu_types(review.annotations, review.config.custom_gpu_resource_types)
    except ValueError as broken:
        yield review.invalid("metadata.annotations", str(broken))
        return
    if unknown_resource(container, types):
        yield review.invalid(
            f"{path}.resources",
            "Unknown GPU resource type. Set 'serving.kserve.io/gpu-resource-types' annotation to "
            "use custom gpu resource type",
        )


def keeps_model_out_of_transformer(review: Review) -> Iterator[Mistake]:
    """A transformer beside the predictor's container gets no model of its own."""
    for index, container in enumerate(review.predictor.get("containers") or []):
        if container.get("name") == TRANSFORMER_CONTAINER:
            if env_value(container, "STORAGE_URI") is not None:
                text = "storage uri should not be specified in transformer container"
                yield Mistake(f"spec.predictor.containers[{index}].env", text)
            return


def names_no_standard_predictor(review: Review) -> Iterator[Mistake]:
    """The container of a model server is named by KServe."""
    for field in (*FORMATS, "model"):
        if review.predictor.get(field, {}).get("name"):
            text = "the 'name' field is not allowed in standard predictor"
            yield Mistake(f"spec.predictor.{field}.name", text)
