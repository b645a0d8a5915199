"""What an InferenceService gets where it says nothing, in upstream's order.

Each step changes a copy that `default_service` owns (KServe, `inference_service_defaults.go`).
Local model caches are not served here, so their labels are never set.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from sampan.api.config import LEGACY_MODES, Config, Resources
from sampan.api.inferenceservice.implementation import (
    CUSTOM,
    FORMATS,
    MAIN_CONTAINER,
    components,
    implementation,
)
from sampan.machinery.registry import JsonObject

DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
MODEL_FORMAT = "modelFormat"

_V2_FORMATS = frozenset({"triton", "onnx", "huggingface"})
"""Short forms whose protocol is v2 where none is given."""

_V2_MODELS = frozenset({"triton", "vLLM"})
"""Formats of `model` whose protocol is v2 where none is given."""

_Step: TypeAlias = Callable[[JsonObject, Config], None]


def default_service(obj: JsonObject, config: Config) -> JsonObject:
    """Return the service with defaults. Defaulting the result again changes nothing."""
    service = copy.deepcopy(obj)
    for step in STEPS:
        step(service, config)
    return service


def _rename_legacy_mode(service: JsonObject, _: Config) -> None:
    annotations = service["metadata"].get("annotations", {})
    mode = annotations.get(DEPLOYMENT_MODE)
    if mode in LEGACY_MODES:
        annotations[DEPLOYMENT_MODE] = LEGACY_MODES[mode]


def _write_default_mode(service: JsonObject, config: Config) -> None:
    # Knative is not written: the annotation stays absent, and absent means Knative's rules.
    if config.default_deployment_mode != "Knative":
        _annotate(service, DEPLOYMENT_MODE, config.default_deployment_mode)


def _annotate(service: JsonObject, name: str, value: str) -> None:
    service["metadata"].setdefault("annotations", {}).setdefault(name, value)


def _convert_short_form(service: JsonObject, _: Config) -> None:
    """Turn the first of `sklearn`, `tensorflow`... into `model`; a second one stays, to be found.

    A `model` beside it is replaced, as upstream does.
    """
    predictor = service["spec"]["predictor"]
    if _is_modelmesh(service):
        return
    for name in FORMATS:
        if name in predictor:
            extension = predictor.pop(name)
            if name in _V2_FORMATS:
                extension.setdefault("protocolVersion", "v2")
            predictor["model"] = {**extension, "modelFormat": {"name": name}}
            return


def _is_modelmesh(service: JsonObject) -> bool:
    return bool(service["metadata"].get("annotations", {}).get(DEPLOYMENT_MODE) == "ModelMesh")


def _default_model(service: JsonObject, _: Config) -> None:
    model = service["spec"]["predictor"].get("model")
    if model is None or _is_modelmesh(service):
        return
    name = model.get("modelFormat", {}).get("name", "")
    if name in _V2_MODELS:
        model.setdefault("protocolVersion", "v2")
    _annotate(service, MODEL_FORMAT, name)


def _default_components(service: JsonObject, config: Config) -> None:
    for name, component in components(service):
        if name == "predictor" and _is_modelmesh(service):
            continue
        found = implementation(name, component)
        if found == CUSTOM:
            _default_containers(name, component["containers"], config.resources)
        elif found == "art":
            _default_art(component["art"], config)


def _default_containers(name: str, containers: list[JsonObject], resources: Resources) -> None:
    """Name the first container and give it resources; those of a predictor may keep their names."""
    first = containers[0]
    if name != "predictor" or len(containers) == 1 or not first.get("name"):
        first["name"] = MAIN_CONTAINER
    _default_resources(first, resources)


def _default_art(art: JsonObject, config: Config) -> None:
    art["name"] = MAIN_CONTAINER
    art.setdefault("runtimeVersion", config.art_version)
    _default_resources(art, config.resources)


def _default_resources(container: JsonObject, resources: Resources) -> None:
    given = container.setdefault("resources", {})
    amounts: Mapping[str, dict[str, Any]] = {
        "requests": {"cpu": resources.cpu_request, "memory": resources.memory_request},
        "limits": {"cpu": resources.cpu_limit, "memory": resources.memory_limit},
    }
    for kind, wanted in amounts.items():
        missing = {name: amount for name, amount in wanted.items() if amount}
        if missing:
            given[kind] = {**missing, **given.get(kind, {})}


def _withhold_service_account_token(service: JsonObject, config: Config) -> None:
    if not config.auto_mount_service_account_token:
        for _, component in components(service):
            component.setdefault("automountServiceAccountToken", False)


STEPS: tuple[_Step, ...] = (
    _rename_legacy_mode,  # RawDeployment and Serverless are the old words
    _write_default_mode,  # the operator's mode, unless it is Knative
    _convert_short_form,  # sklearn: {...} becomes model: {modelFormat: {name: sklearn}, ...}
    _default_model,  # protocol by format; the format as an annotation
    _default_components,  # container names and resources
    _withhold_service_account_token,  # unless the operator allows it
)
"""The order matters: each step sees what those before it wrote."""
