"""What is served under which name: the flags of one model, or a `models.config` of several. Pure
but for `gather_config`, which reads that file.

(TensorFlow Serving, "Serving Configuration".)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from sampan.machinery.registry import JsonObject
from sampan.runtimes.tensorflow.schema import TEXT_TABLES
from sampan.runtimes.triton import pbtxt
from sampan.runtimes.triton.config import VersionPolicy
from sampan.server.batching import BatchLimits

_MOUNT = PurePosixPath("/mnt/models")
"""Where KServe puts a model into a container; here it is the folder of the file."""

_LARGEST_BATCH = 1000  # TensorFlow Serving's own, where the file says nothing


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A model: name, base path, which of its versions, and names for some of those."""

    name: str
    base: Path
    policy: VersionPolicy = VersionPolicy()
    labels: Mapping[str, int] = field(default_factory=dict)


def gather_config(path: Path) -> tuple[ModelConfig, ...]:
    """Return the models of a `models.config`; ValueError names the file and what is wrong."""
    try:
        document = pbtxt.parse(path.read_text("utf-8"), "ModelServerConfig", TEXT_TABLES)
        return make_configs(document, path.parent)
    except (pbtxt.PbtxtError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f'"{path.name}": {error}') from None


def make_configs(document: JsonObject, root: Path) -> tuple[ModelConfig, ...]:
    """Return the models of a ModelServerConfig, each in the folder `root`; ValueError else."""
    if "custom_model_config" in document:
        raise ValueError("custom_model_config is not served; list models in model_config_list")
    configs = tuple(
        make_config(one, root) for one in document.get("model_config_list", {}).get("config", ())
    )
    names = [config.name for config in configs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f'two models are named "{twice}"; rename one')
    return configs


def make_config(document: JsonObject, root: Path) -> ModelConfig:
    """Return one ModelConfig; ValueError names the field at fault."""
    name, base = document.get("name", ""), document.get("base_path", "")
    if not name or not base:
        missing = "base_path" if name else "name"
        raise ValueError(f'a model without {missing}; give each "name" and "base_path"')
    platform = document.get("model_platform") or "tensorflow"
    if platform != "tensorflow":
        raise ValueError(
            f'model "{name}" has model_platform "{platform}"; only "tensorflow" is served'
        )
    return ModelConfig(
        name,
        _locate(name, base, root),
        _make_policy(name, document.get("model_version_policy", {})),
        dict(document.get("version_labels") or {}),
    )


def _locate(name: str, base: str, root: Path) -> Path:
    """Return a base path in the folder of the models: `/mnt/models` stands for that."""
    path = PurePosixPath(base)
    if path.is_relative_to(_MOUNT) and not root.is_relative_to(_MOUNT):
        path = path.relative_to(_MOUNT)
    made = (root / path).resolve()
    if not made.is_relative_to(root.resolve()):
        raise ValueError(
            f'model "{name}" has base_path "{base}", which lies outside of "{root}"; put it there'
        )
    return made


def _make_policy(name: str, document: JsonObject) -> VersionPolicy:
    if "specific" in document:
        versions = tuple(document["specific"].get("versions") or ())
        if not versions:
            raise ValueError(f'model "{name}" has a specific version policy without versions')
        return VersionPolicy(latest=0, specific=versions)
    if "all" in document:
        return VersionPolicy(latest=0)
    return VersionPolicy(latest=document.get("latest", {}).get("num_versions", 0) or 1)


def from_wire(document: JsonObject) -> JsonObject:
    """Return a ModelServerConfig of gRPC as its text would be read: maps are maps."""
    models = document.get("model_config_list")
    if models is None:
        return document
    made = [
        {**one, "version_labels": {e["key"]: e["value"] for e in one.get("version_labels", ())}}
        for one in models["config"]
    ]
    return {**document, "model_config_list": {"config": made}}


def gather_limits(path: Path | None) -> tuple[BatchLimits, tuple[str, ...]]:
    """Return batch limits of a batching parameters file, and a sentence for each without effect."""
    if path is None:
        return BatchLimits(max_size=_LARGEST_BATCH), ()
    try:
        document = pbtxt.parse(path.read_text("utf-8"), "BatchingParameters", TEXT_TABLES)
    except (pbtxt.PbtxtError, UnicodeDecodeError) as error:
        raise ValueError(f'"{path.name}": {error}') from None
    limits = BatchLimits(
        max_size=document.get("max_batch_size", {}).get("value", _LARGEST_BATCH),
        max_latency=document.get("batch_timeout_micros", {}).get("value", 0) / 1e6,
    )
    if limits.max_size < 1:
        raise ValueError(f'"{path.name}": max_batch_size is {limits.max_size}; give 1 or more')
    reasons = {
        "max_enqueued_batches": "--max_queue bounds what waits",
        "num_batch_threads": "a model answers one batch at a time",
        "allowed_batch_sizes": "batches are not padded: they are as large as what waits",
        "pad_variable_length_inputs": "only inputs of equal shape are joined",
    }
    unused = (f'"{n}" of "{path.name}" is not honoured: {why}' for n, why in reasons.items()
              if n in document)  # fmt: skip
    return limits, tuple(unused)
