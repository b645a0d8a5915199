"""Values of a service that the objects of a cluster have no place for, mode by mode.

KServe takes them without a word (its raw deployments keep one replica where 0 is asked for); here
who applies them is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sampan.plan.protection import protection_warnings
from sampan.plan.scaling import AUTOSCALER_CLASS, HPA
from sampan.plan.service import annotations_of, component_spec, components_of
from sampan.plan.types import Component

INITIALIZER_USER = "serving.kserve.io/storage-initializer-uid"
WHOLE = r"[+-]?[0-9]{1,9}"
"""A scale as Knative reads it, into 32 bits."""
_INITIAL_SCALE = "autoscaling.knative.dev/initial-scale"
_KEDA = f"{AUTOSCALER_CLASS}: keda"
_BY_REQUESTS = ("concurrency", "rps")


def cluster_silences(
    service: Mapping[str, Any], mode: str, *, gateway_api: bool
) -> Iterator[tuple[str, str]]:
    """Yield `(path, sentence)` for each. `gateway_api`: routes are those of the Gateway API."""
    yield from protection_warnings(service, mode)
    yield from _by_user(service)
    for component in components_of(service):
        spec, root = component_spec(service, component), f"spec.{component.value}"
        if mode == "ModelMesh" and component is not Component.PREDICTOR:
            text = "is not run in ModelMesh mode, whose own controller runs models alone; give it "
            yield root, text + "an InferenceService of its own, and ask it instead"
        elif mode == "Knative":
            yield from _by_knative(service, spec, root)
        elif mode == "Standard":
            yield from _by_hpa(service, spec, root)
            if spec.get("timeout") is not None and not gateway_api:
                text = "a plain Ingress has no place for it; routes of the Gateway API have"
                yield f"{root}.timeout", text


def read_user(text: str) -> int | None:
    """Return the user id that an annotation says; None where it says none."""
    return int(text) if re.fullmatch("[0-9]{1,10}", text) else None


def _by_user(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    user = annotations_of(service).get(INITIALIZER_USER, "0")
    if read_user(user) is None:
        text = f'"{user}" is no user id, so the image\'s own counts; write a number such as 1337'
        yield f'metadata.annotations["{INITIALIZER_USER}"]', text


def _by_knative(
    service: Mapping[str, Any], spec: Mapping[str, Any], root: str
) -> Iterator[tuple[str, str]]:
    given = {**annotations_of(service), **(spec.get("annotations") or {})}
    scale = str(given.get(_INITIAL_SCALE, "1"))
    if not re.fullmatch(WHOLE, scale):
        text = f'of {root} is "{scale}", which is no whole number, and is left out'
        yield f'metadata.annotations["{_INITIAL_SCALE}"]', text
    if spec.get("autoScaling"):
        text = "is not read in Knative mode; write scaleMetric and scaleTarget"
        yield f"{root}.autoScaling", text


def _by_hpa(
    service: Mapping[str, Any], spec: Mapping[str, Any], root: str
) -> Iterator[tuple[str, str]]:
    annotations = {**annotations_of(service), **(spec.get("annotations") or {})}
    if annotations.get(AUTOSCALER_CLASS, HPA) != HPA:
        return
    if spec.get("minReplicas") == 0:
        yield f"{root}.minReplicas", f'an HPA keeps one replica; annotate it "{_KEDA}"'
    if spec.get("scaleMetric") in _BY_REQUESTS:
        text = f'an HPA does not know "{spec["scaleMetric"]}"; Knative mode does'
        yield f"{root}.scaleMetric", text
    if (spec.get("autoScaling") or {}).get("behavior"):
        text = f'an HPA is made without it, as KServe makes it; annotate the service "{_KEDA}"'
        yield f"{root}.autoScaling.behavior", text
