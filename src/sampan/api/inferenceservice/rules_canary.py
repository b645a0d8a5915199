"""Rules about `spec.canary`: further predictors beside the stable one, in Standard mode.

KServe, `inference_service_validation.go`, in its order and words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from sampan.api.admission import Mistake
from sampan.api.inferenceservice.defaults import DEPLOYMENT_MODE
from sampan.api.inferenceservice.implementation import implementations, storage_uri
from sampan.api.inferenceservice.review import Review
from sampan.api.inferenceservice.rules_component import (
    keeps_its_settings_sound,
    one_implementation_text,
)
from sampan.machinery.registry import JsonObject

_STABLE_ONLY = ("maxReplicas", "scaleTarget", "scaleMetric", "autoScaling")
"""Fields of a predictor that a canary, with its fixed replicas, does not have."""


def tries_out_canaries_rightly(review: Review) -> Iterator[Mistake]:
    """Canaries have names of their own, a share of the traffic each, and fixed replicas."""
    canaries = review.service["spec"].get("canary") or []
    if not canaries:
        return
    yield from _stable_side(review)
    taken: set[str] = set()
    for index, canary in enumerate(canaries):
        path, predictor = f"spec.canary[{index}].predictor", canary["predictor"]
        yield from _name(index, predictor.get("name", ""), taken, review.predictor)
        for mistake in _implementation(path, predictor):
            text = f"canary {_shown(predictor)} predictor: {mistake.text}"
            yield Mistake(mistake.path, text)
        yield from _fixed_replicas(path, predictor, review.predictor)
    total = sum(canary["trafficPercent"] for canary in canaries)
    if total > 100:
        text = f"sum of canary trafficPercent values ({total}) must be <= 100"
        yield Mistake("spec.canary", text)


def _stable_side(review: Review) -> Iterator[Mistake]:
    if review.annotations.get(DEPLOYMENT_MODE, "") != "Standard":
        yield Mistake("spec.canary", "canary is only supported in Standard deployment mode")
    stable = review.predictor
    if "model" not in stable and storage_uri("predictor", stable) is None:
        text = (
            "canary requires a stable predictor with a model (multi-model serving is not supported "
            "with canary)"
        )
        yield Mistake("spec.predictor", text)


def _name(index: int, name: str, taken: set[str], stable: JsonObject) -> Iterator[Mistake]:
    path, shown = f"spec.canary[{index}].predictor.name", json.dumps(name)
    if not name:
        yield Mistake(path, f"canary[{index}] predictor.name is required")
        return
    if name in taken:
        yield Mistake(path, f"canary predictor.name {shown} is duplicated")
    if name == stable.get("name", ""):
        text = f"canary predictor.name {shown} conflicts with stable predictor name"
        yield Mistake(path, text)
    taken.add(name)


def _implementation(path: str, predictor: JsonObject) -> Iterator[Mistake]:
    if len(implementations("predictor", predictor)) != 1:
        yield Mistake(path, one_implementation_text("predictor"))
    yield from keeps_its_settings_sound(path, "predictor", predictor)


def _fixed_replicas(path: str, predictor: JsonObject, stable: JsonObject) -> Iterator[Mistake]:
    shown = _shown(predictor)
    if "workerSpec" in predictor:
        text = (
            f"canary {shown} must not set workerSpec (multi-node is not yet supported for canary)"
        )
        yield Mistake(f"{path}.workerSpec", text)
    for field in _STABLE_ONLY:
        if predictor.get(field) is not None and (field != "maxReplicas" or predictor[field] > 0):
            text = f"canary {shown} must not set {field} (canary uses fixed replicas)"
            yield Mistake(f"{path}.{field}", text)
    fewest, most = predictor.get("minReplicas"), stable.get("minReplicas", 1)
    if fewest is not None and fewest > most:
        text = (
            f"canary {shown} minReplicas ({fewest}) must not exceed stable predictor minReplicas "
            f"({most})"
        )
        yield Mistake(f"{path}.minReplicas", text)


def _shown(predictor: JsonObject) -> str:
    return json.dumps(predictor.get("name", ""))
