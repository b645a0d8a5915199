"""Rules about `spec.canary`: further predictors beside the stable one, in Standard mode."""

from __future__ import annotations

from collections.abc import Iterator

from sampan.api.admission import Mistake
from sampan.api.inferenceservice.defaults import DEPLOYMENT_MODE
from sampan.api.inferenceservice.implementation import implementations, storage_uri
from sampan.api.inferenceservice.review import Review
from sampan.api.inferenceservice.rules_component import one_implementation_text
from sampan.machinery.registry import JsonObject

_STABLE_ONLY = ("workerSpec", "maxReplicas", "scaleTarget", "scaleMetric", "autoScaling")
"""Fields of a predictor that a canary, with its fixed replicas, does not have."""


def tries_out_canaries_rightly(review: Review) -> Iterator[Mistake]:
    """Canaries have names of their own, a share of the traffic each, and fixed replicas."""
    canaries = review.service["spec"].get("canary") or []
    if not canaries:
        return
    yield from _stable_side(review)
    total = sum(canary["trafficPercent"] for canary in canaries)
    if total > 100:
        text = f"trafficPercent of all canaries is {total}; the sum must be 100 or less"
        yield Mistake("spec.canary", text)
    taken = {str(review.predictor.get("name", ""))}
    for index, canary in enumerate(canaries):
        path = f"spec.canary[{index}].predictor"
        yield from _name(path, canary["predictor"].get("name", ""), taken)
        yield from _predictor(path, canary["predictor"], review.predictor)


def _stable_side(review: Review) -> Iterator[Mistake]:
    mode = review.annotations.get(DEPLOYMENT_MODE, "")
    if mode != "Standard":
        text = f'canary is not supported in deploymentMode "{mode}"; set it to "Standard"'
        yield Mistake("spec.canary", text)
    stable = review.predictor
    if "model" not in stable and not storage_uri("predictor", stable):
        text = "canary needs a stable predictor with model or storageUri; set one of them"
        yield Mistake("spec.predictor", text)


def _name(path: str, name: str, taken: set[str]) -> Iterator[Mistake]:
    if not name:
        yield Mistake(f"{path}.name", "predictor.name is required in a canary")
    elif name in taken:
        text = f'predictor.name "{name}" is taken; give each predictor a name of its own'
        yield Mistake(f"{path}.name", text)
    taken.add(name)


def _predictor(path: str, predictor: JsonObject, stable: JsonObject) -> Iterator[Mistake]:
    if len(implementations("predictor", predictor)) != 1:
        yield Mistake(path, one_implementation_text("predictor"))
    for field in _STABLE_ONLY:
        if field in predictor:
            yield Mistake(f"{path}.{field}", f'"{field}" is not supported in a canary; remove it')
    fewest, most = predictor.get("minReplicas", 1), stable.get("minReplicas", 1)
    if fewest > most:
        text = f"minReplicas {fewest} of a canary is greater than the stable predictor's {most}"
        yield Mistake(f"{path}.minReplicas", text)
