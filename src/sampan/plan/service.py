"""Reading an InferenceService: the few questions that every decision asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.api.config import LEGACY_MODES, MODES
from sampan.plan.types import Component, ServiceKey

MAIN_CONTAINER = "kserve-container"
TRANSFORMER_CONTAINER = "transformer-container"
DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
STOP = "serving.kserve.io/stop"


def service_key(service: Mapping[str, Any]) -> ServiceKey:
    """Return which service this is."""
    metadata = service["metadata"]
    return ServiceKey(str(metadata.get("namespace") or "default"), str(metadata["name"]))


def annotations_of(service: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the service's annotations."""
    return service["metadata"].get("annotations") or {}


def labels_of(service: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the service's labels."""
    return service["metadata"].get("labels") or {}


def component_spec(service: Mapping[str, Any], component: Component) -> Mapping[str, Any]:
    """Return the spec of a component, empty when the service has none."""
    return service["spec"].get(component.value) or {}


def components_of(service: Mapping[str, Any]) -> tuple[Component, ...]:
    """Return the components that a service has, the predictor first."""
    return (
        Component.PREDICTOR,
        *(
            component
            for component in (Component.TRANSFORMER, Component.EXPLAINER)
            if service["spec"].get(component.value) is not None
        ),
    )


def predictor(service: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `spec.predictor`."""
    return component_spec(service, Component.PREDICTOR)


def model(service: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return `spec.predictor.model`, None for a custom predictor."""
    found = predictor(service).get("model")
    return found if isinstance(found, Mapping) else None


def is_stopped(service: Mapping[str, Any]) -> bool:
    """Return whether the stop annotation is true, in any letter case (KServe, stop and resume)."""
    return str(annotations_of(service).get(STOP, "")).lower() == "true"


def deployment_mode(service: Mapping[str, Any], default: str) -> str:
    """Return `Standard`, `Knative` or `ModelMesh`: status first, then annotation, then `default`.

    Status wins because the mode of an existing service never changes (KServe, mode resolution).
    """
    status = service.get("status") or {}
    for word in (status.get("deploymentMode"), annotations_of(service).get(DEPLOYMENT_MODE)):
        mode = LEGACY_MODES.get(str(word), str(word))
        if mode in MODES:
            return mode
    return LEGACY_MODES.get(default, default) or "Standard"


def component_name(service: Mapping[str, Any], component: Component) -> str:
    """Return the object name of a component: `{service}-predictor`, or with `predictor.name` in
    between."""
    name = str(service["metadata"]["name"])
    variant = component_spec(service, component).get("name")
    if component is Component.PREDICTOR and variant:
        return f"{name}-{variant}-{component.value}"
    return f"{name}-{component.value}"
