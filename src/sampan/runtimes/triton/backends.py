"""The backends that run a version's file, as a table. One that is not here is named as such."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from sampan.runtimes.tensor_specs import Specs
from sampan.runtimes.triton.config import ModelConfig
from sampan.server.load_failure import LoadFailure


class Backend(Protocol):
    """A loaded version. `inputs` and `outputs` are None where only the configuration knows them."""

    inputs: Specs | None
    outputs: Specs | None
    quick: bool

    def run(self, given: Mapping[str, Any], outputs: Sequence[str]) -> Mapping[str, Any]:
        """Return arrays by name. Several threads may ask at once."""

    def close(self) -> None:
        """Release what was loaded."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a backend is made of. `infer` asks another model of the repository, by name."""

    path: Path
    version: int
    config: ModelConfig
    trust: bool
    infer: Callable[[str, str, Mapping[str, Any], Sequence[str]], Mapping[str, Any]]


BACKENDS = {
    "onnxruntime": "sampan.runtimes.triton.backend_onnx:OnnxBackend",
    "pytorch": "sampan.runtimes.triton.backend_pytorch:PytorchBackend",
    "tensorflow": "sampan.runtimes.triton.backend_tensorflow:TensorflowBackend",
    "python": "sampan.runtimes.triton.backend_python:PythonBackend",
}


def make_backend(source: Source) -> Backend:
    """Return the loaded version; LoadFailure tells what is wrong with it."""
    name = source.config.backend
    if name not in BACKENDS:
        raise LoadFailure(
            "RuntimeUnavailable",
            f'model "{source.config.name}" wants the backend "{name}", which is not here; the '
            f"backends are {', '.join(BACKENDS)} and ensemble, others need a cluster's Triton",
        )
    module, _, attribute = BACKENDS[name].partition(":")
    backend: Backend = getattr(import_module(module), attribute)(source)
    return backend
