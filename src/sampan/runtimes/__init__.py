"""One file a framework: a Model and a RUNTIME value. Heavy imports happen inside `load()`.

The table below is the only place that lists them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sampan.runtimes.declaration import Runtime

RUNTIMES = {
    "sklearn": "sampan.runtimes.sklearn:RUNTIME",
    "xgboost": "sampan.runtimes.xgboost:RUNTIME",
    "lightgbm": "sampan.runtimes.lightgbm:RUNTIME",
    "catboost": "sampan.runtimes.catboost:RUNTIME",
    "pmml": "sampan.runtimes.pmml:RUNTIME",
    "mlflow": "sampan.runtimes.mlflow:RUNTIME",
    "onnx": "sampan.runtimes.onnx:RUNTIME",
    "pytorch": "sampan.runtimes.pytorch:RUNTIME",
    "huggingface": "sampan.runtimes.huggingface.runtime:RUNTIME",
    "mlserver": "sampan.runtimes.mlserver.runtime:RUNTIME",
    "modelmesh": "sampan.runtimes.modelmesh.runtime:RUNTIME",
    "torchserve": "sampan.runtimes.torchserve.runtime:RUNTIME",
    "triton": "sampan.runtimes.triton.runtime:RUNTIME",
    "tensorflow": "sampan.runtimes.tensorflow.runtime:RUNTIME",
    "paddle": "sampan.runtimes.paddle:RUNTIME",
    "predictive": "sampan.runtimes.predictive:RUNTIME",
    "autogluon": "sampan.runtimes.autogluon:RUNTIME",
    "bentoml": "sampan.runtimes.bentoml.runtime:RUNTIME",
}
"""Runtime by its short name (`--runtime`): where its declaration is."""


def resolve(reference: str) -> Any:
    """Return what `module:attribute` names."""
    module, _, attribute = reference.partition(":")
    return getattr(import_module(module), attribute)


def get_runtime(name: str) -> Runtime:
    """Return a runtime's declaration; ValueError names the known ones."""
    if name not in RUNTIMES:
        raise ValueError(f'no runtime "{name}"; known runtimes: {", ".join(RUNTIMES)}')
    runtime: Runtime = resolve(RUNTIMES[name])
    return runtime


def all_runtimes() -> tuple[Runtime, ...]:
    """Return every declaration, in the order of the table."""
    return tuple(get_runtime(name) for name in RUNTIMES)
