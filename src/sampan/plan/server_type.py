"""What a runtime's server type adds to a service: protocol, labels, environment, arguments.

Keyed by the runtime's annotation `serving.kserve.io/server-type`, else by the well-known names of
KServe's own runtimes (KServe, runtime defaults). Each entry is a pure function in one table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sampan.plan.candidates import lowest_protocol

SERVER_TYPE = "serving.kserve.io/server-type"

_BY_NAME = {
    "kserve-mlserver": "mlserver",
    "kserve-torchserve": "torchserve",
    "kserve-tritonserver": "tritonserver",
    "kserve-tensorflow-serving": "tensorflow-serving",
    "kserve-huggingfaceserver": "huggingfaceserver",
    "kserve-vllmserver": "vllmserver",
}
_MLSERVER_CLASSES = {
    "sklearn": "mlserver_sklearn.SKLearnModel",
    "xgboost": "mlserver_xgboost.XGBoostModel",
    "lightgbm": "mlserver_lightgbm.LightGBMModel",
    "mlflow": "mlserver_mlflow.MLflowRuntime",
}


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the defaults depend on. `protocol` is empty when the model names none."""

    service: str
    format: str
    protocol: str
    has_storage: bool


@dataclass(frozen=True, slots=True)
class RuntimeDefaults:
    """What is added. `env` only where the service does not set the name itself."""

    protocol: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    args: tuple[str, ...] = ()


Defaulting: TypeAlias = Callable[[ModelFacts], RuntimeDefaults]
"""Facts in, additions out."""


def server_type(runtime: Mapping[str, Any]) -> str:
    """Return the server type of a runtime, empty when it has none."""
    metadata = runtime["metadata"]
    declared = (metadata.get("annotations") or {}).get(SERVER_TYPE)
    return str(declared or _BY_NAME.get(str(metadata["name"]), ""))


def default_for_runtime(runtime: Mapping[str, Any], facts: ModelFacts) -> RuntimeDefaults:
    """Return what the runtime's server type adds; the protocol ends as the runtime's lowest."""
    added = _DEFAULTS.get(server_type(runtime), _nothing)(facts)
    protocol = facts.protocol or added.protocol or lowest_protocol(runtime)
    return RuntimeDefaults(protocol, added.labels, added.env, added.args)


def _nothing(_: ModelFacts) -> RuntimeDefaults:
    return RuntimeDefaults()


def _mlserver(facts: ModelFacts) -> RuntimeDefaults:
    loading = (
        {"MLSERVER_MODEL_NAME": facts.service, "MLSERVER_MODEL_URI": "/mnt/models"}
        if facts.has_storage
        else {"MLSERVER_LOAD_MODELS_AT_STARTUP": "false"}
    )
    model_class = _MLSERVER_CLASSES.get(facts.format, _MLSERVER_CLASSES["sklearn"])
    return RuntimeDefaults("v2", {"modelClass": model_class}, loading)


def _torchserve(facts: ModelFacts) -> RuntimeDefaults:
    protocol = facts.protocol or "v1"
    envelope = "kservev2" if protocol in ("v2", "grpc-v2") else "kserve"
    return RuntimeDefaults("v1", {"serviceEnvelope": envelope}, {"PROTOCOL_VERSION": protocol})


def _tritonserver(facts: ModelFacts) -> RuntimeDefaults:
    args = () if facts.has_storage else ("--model-control-mode=explicit",)
    return RuntimeDefaults("v2", args=args)


_DEFAULTS: Mapping[str, Defaulting] = {
    "mlserver": _mlserver,
    "torchserve": _torchserve,
    "tritonserver": _tritonserver,
}
