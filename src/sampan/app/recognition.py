"""`sampan run MODEL`: the format of a file or folder, why, and the InferenceService for it.

The service names the format; which runtime serves it is decided as for any other. What cannot be
served as it lies is told with what would mend it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from sampan.app.bento_folder import gather_bento_annotations, gather_bento_name
from sampan.app.file_signs import Sign, gather_sign
from sampan.app.folder_signs import gather_folder_signs
from sampan.machinery.registry import JsonObject

FORMATS = (
    "sklearn", "xgboost", "lightgbm", "catboost", "pmml", "mlflow", "onnx", "tensorflow", "pytorch",
    "triton", "paddle", "huggingface", "mlserver", "autogluon", "bentoml",
)  # fmt: skip
"""What is recognised and has a service."""

_V2 = frozenset({"onnx", "triton", "mlserver"})
"""Formats whose runtimes speak V2 only."""
_AS_FOLDER = frozenset({"mlserver"})
_MLSERVER_IMAGE = "docker.io/seldonio/mlserver:1.7.1"

_MENDS = {
    "mar": (
        "TorchServe serves a folder: put the archive into FOLDER/model-store and "
        "config.properties into FOLDER/config, and run FOLDER"
    ),
    "torchscript": (
        "put it into a Triton repository as FOLDER/MODEL/1/model.pt and run FOLDER, or serve it "
        "alone: sampan serve --runtime=pytorch --model_dir={path}"
    ),
    "torch-weights": (
        "it holds weights, no program: save the whole model with torch.jit.save or torch.export, "
        "or archive it with torch-model-archiver"
    ),
}
"""What is recognised and is no model that a runtime takes as it lies."""


class Unrecognised(Exception):
    """A path that no service can be made for; says what was looked at and what would mend it."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A model: its format, why it is that, and the objects that serve it."""

    sign: Sign
    objects: tuple[JsonObject, ...] = field(default=())


def recognise(path: Path, name: str = "") -> Recognised:
    """Return what a file or folder is, and objects to serve it; Unrecognised, OSError."""
    signs = gather_folder_signs(path) if path.is_dir() else _of_file(path)
    if not signs:
        known = ", ".join(FORMATS)
        raise Unrecognised(
            f'"{path}" is no model of a format that is known by its content ({known}); write an '
            "InferenceService that names its format"
        )
    if len(signs) > 1:
        listed = "; ".join(f"{sign.format}, because {sign.why}" for sign in signs)
        raise Unrecognised(
            f'"{path}" holds models of several formats ({listed}); name the file of one'
        )
    (sign,) = signs
    if sign.format in _MENDS:
        mend = _MENDS[sign.format].format(path=path)
        raise Unrecognised(f'"{path}" is {sign.why}; {mend}')
    annotations: Mapping[str, str] = {}
    if sign.format == "bentoml":
        annotations = gather_bento_annotations(path)
        name = name or make_name(Path(gather_bento_name(path) or path))
    objects = make_objects(sign.format, path, name or make_name(path), annotations)
    return Recognised(sign, tuple(objects))


def _of_file(path: Path) -> list[Sign]:
    sign = gather_sign(path)
    if sign is None and path.name.endswith(".pdmodel"):
        sign = Sign("paddle", "Paddle's older form of a program")
    return [] if sign is None else [sign]


def make_name(path: Path) -> str:
    """Return a service's name of a path: lower case letters, digits and hyphens, a letter first."""
    stem = path.resolve().name if path.is_dir() else path.name.partition(".")[0]
    if stem in {"model", "models", "model-repository"} and path.resolve().parent.name:
        stem = path.resolve().parent.name  # everybody's model is called "model"
    plain = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
    plain = re.sub(r"^[^a-z]+", "", plain)[:40].rstrip("-")
    return plain or "model"


def make_objects(
    format_name: str, path: Path, name: str, annotations: Mapping[str, str] = MappingProxyType({})
) -> list[JsonObject]:
    """Return the InferenceService of a model, and the runtime that it needs where none is there."""
    model: JsonObject = {"modelFormat": {"name": format_name}}
    if format_name in _V2:
        model["protocolVersion"] = "v2"
    if format_name == "mlserver":
        model["runtime"] = "mlserver"
    model["storageUri"] = f"file://{_stored(format_name, path)}"
    metadata: JsonObject = {"name": name}
    if annotations:
        metadata["annotations"] = dict(annotations)
    service: JsonObject = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": {"predictor": {"model": model}},
    }
    return [_make_mlserver(), service] if format_name == "mlserver" else [service]


def _stored(format_name: str, path: Path) -> Path:
    """Return what is to be stored: of formats of several files, the folder."""
    several = format_name == "paddle" or format_name in _AS_FOLDER
    return path.resolve().parent if several and path.is_file() else path.resolve()


def _make_mlserver() -> JsonObject:
    """Return a runtime for MLServer's projects: KServe's own names three formats of tables."""
    env = {
        "MLSERVER_MODELS_DIR": "/mnt/models",
        "MLSERVER_HTTP_PORT": "8080",
        "MLSERVER_GRPC_PORT": "9000",
    }
    container = {
        "name": "kserve-container",
        "image": _MLSERVER_IMAGE,
        "env": [{"name": key, "value": value} for key, value in env.items()],
    }
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": "mlserver"},
        "spec": {
            "supportedModelFormats": [{"name": "mlserver"}],
            "protocolVersions": ["v2"],
            "containers": [container],
        },
    }
