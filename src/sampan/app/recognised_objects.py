"""The objects that serve a model that was recognised. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from sampan.app.python_signs import PythonFile
from sampan.machinery.registry import JsonObject
from sampan.platforms.local.own_requirements import ANNOTATION

_V2 = frozenset({"onnx", "triton", "mlserver"})
"""Formats whose runtimes speak V2 only."""
_AS_FOLDER = frozenset({"mlserver", "paddle"})
"""Formats of several files."""
_MLSERVER_IMAGE = "docker.io/seldonio/mlserver:1.7.1"
_OWN_RUNTIMES = frozenset({"mlserver", "torchscript"})
"""Formats that no installed runtime has: KServe's own names three of MLServer's, and for PyTorch
archives."""


def make_objects(
    format_name: str, path: Path, name: str, annotations: Mapping[str, str] = MappingProxyType({})
) -> list[JsonObject]:
    """Return the InferenceService of a model, and the runtime that it needs where none is there."""
    model: JsonObject = {"modelFormat": {"name": format_name}}
    if format_name in _V2:
        model["protocolVersion"] = "v2"
    if format_name in _OWN_RUNTIMES:
        model["runtime"] = format_name
    model["storageUri"] = f"file://{_stored(format_name, path)}"
    service = _make_service(name, {"model": model}, annotations)
    if format_name == "mlserver":
        return [_make_mlserver(), service]
    return [_make_torchscript(), service] if format_name == "torchscript" else [service]


def make_python_objects(file: PythonFile, name: str, packages: Sequence[str]) -> list[JsonObject]:
    """Return the service of a file: of its one class, or of the program that it is."""
    path = file.path.resolve()
    if file.starts:
        image, args = "sampan/program", [str(path), "--http_port=8080"]
    else:
        image = "sampan/modelserver"
        args = [f"{path}:{file.classes[0]}", f"--model_name={name}", "--http_port=8080"]
    container: JsonObject = {"name": "kserve-container", "image": image, "args": args}
    annotations = {ANNOTATION: "\n".join(packages)} if packages else {}
    return [_make_service(name, {"containers": [container]}, annotations)]


def _make_service(name: str, predictor: JsonObject, annotations: Mapping[str, str]) -> JsonObject:
    metadata: JsonObject = {"name": name}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": {"predictor": predictor},
    }


def _stored(format_name: str, path: Path) -> Path:
    """Return what is to be stored: of formats of several files, the folder."""
    return path.resolve().parent if format_name in _AS_FOLDER and path.is_file() else path.resolve()


def _make_mlserver() -> JsonObject:
    """Return a runtime for MLServer's projects."""
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
    return _make_runtime("mlserver", ["v2"], container)


def _make_torchscript() -> JsonObject:
    """Return a runtime for programs of PyTorch, as they lie."""
    container = {
        "name": "kserve-container",
        "image": "sampan/pytorchserver",
        "args": ["--model_name={{.Name}}", "--model_dir=/mnt/models", "--http_port=8080"],
    }
    return _make_runtime("torchscript", ["v1", "v2"], container)


def _make_runtime(name: str, protocols: list[str], container: JsonObject) -> JsonObject:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": name},
        "spec": {
            "supportedModelFormats": [{"name": name}],
            "protocolVersions": protocols,
            "containers": [container],
        },
    }
