"""A model's configuration as values, out of the document that `config.pbtxt` holds. Pure.

What Triton would refuse is refused with the field's name; what Triton honours and is not honoured
here is named in `warnings`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.runtimes.tensor_specs import ANY, TensorSpec
from sampan.runtimes.triton.sequence_config import (
    SequenceBatching,
    make_sequence_batching,
)
from sampan.runtimes.triton.sequence_config import make_warnings as make_sequence_warnings
from sampan.server.batching import BatchLimits
from sampan.server.load_failure import LoadFailure

CONFIG_FILE = "config.pbtxt"
PLATFORMS = {
    "onnxruntime_onnx": "onnxruntime",
    "pytorch_libtorch": "pytorch",
    "tensorflow_savedmodel": "tensorflow",
    "tensorflow_graphdef": "tensorflow",
    "tensorrt_plan": "tensorrt",
    "ensemble": "ensemble",
}
"""Backend by the older field `platform`."""

FILES = {
    "onnxruntime": "model.onnx",
    "pytorch": "model.pt",
    "tensorflow": "model.savedmodel",
    "python": "model.py",
    "tensorrt": "model.plan",
}
"""The file of a version by backend (Triton, "Model Repository")."""

_SILENT = {
    "optimization": "the engine's own optimisation is used",
    "batch_input": "inputs are joined as they are",
    "batch_output": "outputs are parted by rows",
    "response_cache": "every request is computed",
    "model_repository_agents": "no agent runs",
    "metric_tags": "metrics carry the model's name",
    "model_metrics": "the server's own buckets are used",
    "cc_model_filenames": "one file serves every device",
}
_SILENT_BATCHING = {
    "priority_levels": "requests are taken in their order",
    "default_priority_level": "requests are taken in their order",
    "default_queue_policy": "--max_queue bounds what waits",
    "priority_queue_policy": "--max_queue bounds what waits",
}


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """Which versions are served: the `latest` so many, or those `specific`; neither: all."""

    latest: int = 1
    specific: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """A step of an ensemble. Maps go from the step model's tensor to the ensemble's."""

    model: str
    version: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What is served of a model. `document` is the whole configuration, as clients are shown it.

    `inputs` and `outputs` have the sizes of one request: the batch's first where it has one.
    """

    name: str
    backend: str
    platform: str
    max_batch_size: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    reshapes: Mapping[str, tuple[int, ...]]
    policy: VersionPolicy
    batching: BatchLimits | None
    instances: int
    file: str
    steps: tuple[Step, ...]
    labels: Mapping[str, str]
    parameters: Mapping[str, str]
    document: JsonObject
    warnings: tuple[str, ...]
    decoupled: bool = False
    sequences: SequenceBatching | None = None

    @property
    def batched(self) -> bool:
        """Whether the first size of each tensor is the batch's."""
        return self.max_batch_size > 0


def make_config(document: JsonObject, folder: str) -> ModelConfig:
    """Return the configuration of the model in a folder; LoadFailure names the field at fault."""
    name = document.get("name") or folder
    if name != folder:
        raise _wrong(folder, f'name is "{name}", and the folder is "{folder}"; give both one name')
    backend = _select_backend(document, folder)
    size = document.get("max_batch_size", 0)
    if size < 0:
        raise _wrong(folder, f"max_batch_size is {size}; give 0 for no batching, or a size")
    sequences = make_sequence_batching(document, size, folder)
    decoupled = bool((document.get("model_transaction_policy") or {}).get("decoupled"))
    if decoupled and backend != "python":
        raise _wrong(folder, f'a decoupled model of the backend "{backend}" is not served here; '
                             "answer each request once, or write it in Python")  # fmt: skip
    if decoupled and sequences is not None:
        raise _wrong(folder, "a decoupled model with sequence_batching is not served here; answer "
                             "each request once, or leave sequences out")  # fmt: skip
    if (document.get("model_operations") or {}).get("op_library_filename"):
        raise _wrong(folder, "model_operations loads native code, which is not done here; export "
                             "the model without operators of its own")  # fmt: skip
    inputs, outputs = document.get("input") or [], document.get("output") or []
    return ModelConfig(
        name=name,
        backend=backend,
        platform=document.get("platform") or _platform(backend),
        max_batch_size=size,
        inputs=tuple(_spec(item, size, folder, "input") for item in inputs),
        outputs=tuple(_spec(item, size, folder, "output") for item in outputs),
        reshapes={
            item["name"]: tuple(item["reshape"].get("shape", ()))
            for item in [*inputs, *outputs]
            if item.get("reshape") is not None
        },
        policy=_policy(document.get("version_policy") or {}, folder),
        batching=None if decoupled else _batching(document, size),
        instances=_instances(document, folder),
        file=_file(document.get("default_model_filename") or FILES.get(backend, ""), folder),
        steps=_steps(document, folder),
        labels={
            item["name"]: _file(item["label_filename"], folder)
            for item in outputs
            if item.get("label_filename")
        },
        parameters={
            key: value.get("string_value", "")
            for key, value in (document.get("parameters") or {}).items()
        },
        document={**document, "name": name, "backend": "" if backend == "ensemble" else backend},
        warnings=tuple(_warnings(document)),
        decoupled=decoupled,
        sequences=sequences,
    )


def _wrong(folder: str, what: str) -> LoadFailure:
    return LoadFailure("ModelIncompatible", f'model "{folder}", {CONFIG_FILE}: {what}')


def _select_backend(document: JsonObject, folder: str) -> str:
    if document.get("ensemble_scheduling") is not None:
        return "ensemble"
    backend, platform = document.get("backend", ""), document.get("platform", "")
    if not backend and platform not in PLATFORMS:
        known = ", ".join(PLATFORMS)
        what = f'platform is "{platform}"; use one of {known}' if platform else "backend is missing"
        mend = "" if platform else f"; name one of {', '.join(FILES)}"
        raise _wrong(folder, what + mend)
    chosen: str = backend or PLATFORMS[platform]
    return chosen


def _platform(backend: str) -> str:
    """Return the platform that Triton shows for a backend: of newer ones the backend itself."""
    return next((name for name, of in PLATFORMS.items() if of == backend), backend)


def _spec(item: JsonObject, size: int, folder: str, what: str) -> TensorSpec:
    name, data_type = item.get("name", ""), item.get("data_type", "TYPE_INVALID")
    if not name:
        raise _wrong(folder, f"an {what} has no name; give it the one that the model has")
    datatype = "BYTES" if data_type == "TYPE_STRING" else data_type.removeprefix("TYPE_")
    if datatype in {"INVALID", "BF16"}:
        raise _wrong(folder, f'{what} "{name}" has data_type {data_type}, which is not served; '
                             "give another")  # fmt: skip
    dims = tuple(item.get("dims") or ())
    if not dims or any(size < ANY or size == 0 for size in dims):
        raise _wrong(folder, f'{what} "{name}" has dims {list(dims)}; give sizes from 1, or -1')
    optional = bool(item.get("optional"))
    return TensorSpec(name, datatype, (ANY, *dims) if size else dims, optional)


def _policy(policy: JsonObject, folder: str) -> VersionPolicy:
    if "specific" in policy:
        versions = tuple(policy["specific"].get("versions") or ())
        if not versions:
            raise _wrong(folder, "version_policy.specific names no versions; name some")
        return VersionPolicy(0, versions)
    if "all" in policy:
        return VersionPolicy(0)
    return VersionPolicy((policy.get("latest") or {}).get("num_versions", 0) or 1)


def select_versions(found: list[int], policy: VersionPolicy) -> list[int]:
    """Return the versions to serve of those found, in their order; the last is the default."""
    if policy.specific:
        return [version for version in sorted(found) if version in policy.specific]
    return sorted(found)[-policy.latest :] if policy.latest else sorted(found)


def _batching(document: JsonObject, size: int) -> BatchLimits | None:
    batching = document.get("dynamic_batching")
    if batching is None or size < 2:
        return None
    return BatchLimits(
        max_size=size,
        max_latency=batching.get("max_queue_delay_microseconds", 0) / 1e6,
        preferred=tuple(n for n in batching.get("preferred_batch_size") or () if n <= size),
    )


def _instances(document: JsonObject, folder: str) -> int:
    groups = document.get("instance_group") or []
    counts = [group.get("count", 1) for group in groups]
    if any(count < 1 for count in counts):
        raise _wrong(folder, f"instance_group has count {min(counts)}; give one or more")
    return sum(counts) or 1


def _file(name: str, folder: str) -> str:
    """Return a file's name; one that leaves its folder is refused."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise LoadFailure(
            "ModelUntrusted",
            f'model "{folder}", {CONFIG_FILE}: "{name}" leaves the model\'s folder; name a '
            "file in it",
        )
    return name


def _steps(document: JsonObject, folder: str) -> tuple[Step, ...]:
    scheduling = document.get("ensemble_scheduling")
    if scheduling is None:
        return ()
    steps = []
    for number, item in enumerate(scheduling.get("step") or ()):
        if not item.get("model_name") or not item.get("output_map"):
            raise _wrong(folder, f"step {number} needs model_name, input_map and output_map")
        version = item.get("model_version", ANY)
        steps.append(
            Step(
                item["model_name"],
                "" if version == ANY else str(version),
                item.get("input_map") or {},
                item["output_map"],
            )
        )
    if not steps:
        raise _wrong(folder, "ensemble_scheduling has no step; give one or more")
    return tuple(steps)


def _warnings(document: JsonObject) -> Iterator[str]:
    """Yield a sentence for each field that is set and not honoured."""
    for name, instead in _SILENT.items():
        if document.get(name):
            yield f"{name} is not honoured: {instead}"
    yield from make_sequence_warnings(document)
    batching: Mapping[str, Any] = document.get("dynamic_batching") or {}
    for name, instead in _SILENT_BATCHING.items():
        if batching.get(name):
            yield f"dynamic_batching.{name} is not honoured: {instead}"
    for number, group in enumerate(document.get("instance_group") or ()):
        if group.get("kind") == "KIND_GPU":
            place = f"instance_group[{number}].kind"
            yield f"{place} is KIND_GPU: whatever device the engine finds is used"
        for name in ("rate_limiter", "secondary_devices", "profile", "passive", "host_policy"):
            if group.get(name):
                yield f"instance_group[{number}].{name} is not honoured: instances are alike"
    for item in document.get("input") or ():
        for name in ("allow_ragged_batch", "is_shape_tensor", "is_non_linear_format_io"):
            if item.get(name):
                yield f'{name} of input "{item.get("name")}" is not honoured: it is a tensor as any'
