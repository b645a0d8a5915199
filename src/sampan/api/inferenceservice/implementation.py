"""Which server implements a component: a model format, a built-in explainer, or containers.

Exactly one is wanted (KServe, `predictor.go`, `transformer.go`, `explainer.go`). Containers beside
a model are sidecars, unless one of them is called `kserve-container`.
"""

from __future__ import annotations

from typing import Any

from sampan.machinery.registry import JsonObject

MAIN_CONTAINER = "kserve-container"
TRANSFORMER_CONTAINER = "transformer-container"

FORMATS = (
    "sklearn",
    "tensorflow",
    "xgboost",
    "pytorch",
    "triton",
    "onnx",
    "huggingface",
    "pmml",
    "lightgbm",
    "paddle",
)
"""Fields of a predictor that stand for `model` with that format, in the order of conversion."""

COMPONENTS = ("predictor", "transformer", "explainer")

CUSTOM = "containers"
"""The name of the implementation that consists of containers."""


def components(obj: JsonObject) -> list[tuple[str, JsonObject]]:
    """Return the components of a service that are there, by name, in upstream's order."""
    spec = obj.get("spec", {})
    return [(name, spec[name]) for name in COMPONENTS if name in spec]


def implementations(name: str, component: JsonObject) -> list[str]:
    """Return the fields that implement a component; valid is exactly one."""
    builtin = {"predictor": (*FORMATS, "model"), "explainer": ("art",)}.get(name, ())
    found = [field for field in builtin if field in component]
    containers: list[JsonObject] = component.get("containers") or []
    if name != "predictor":
        return [*found, CUSTOM] if containers else found
    found += [CUSTOM for container in containers if container.get("name") == MAIN_CONTAINER]
    return found or ([CUSTOM] if containers else [])


def implementation(name: str, component: JsonObject) -> str | None:
    """Return the one implementation; None where there is none or more than one."""
    found = implementations(name, component)
    return found[0] if len(found) == 1 else None


def storage_uri(name: str, component: JsonObject) -> str | None:
    """Return the model's URI: the implementation's, or `STORAGE_URI` of the main container."""
    found = implementations(name, component)
    if not found:
        return None
    if found[0] != CUSTOM:
        uri: str | None = component[found[0]].get("storageUri")
        return uri
    for container in component["containers"]:
        if container.get("name") == MAIN_CONTAINER:
            return env_value(container, "STORAGE_URI")
    return None


def env_value(container: JsonObject, name: str) -> str | None:
    """Return the value of a container's environment variable; None where it is not set."""
    for variable in container.get("env") or []:
        if variable.get("name") == name:
            value: Any = variable.get("value", "")
            return str(value)
    return None
