"""What becomes of a TrainedModel: its conditions, its addresses, and its entry for the agent.

KServe, `trainedmodel` controller: the service must be ready, must be one that takes several models,
and must have memory left. A model that has its share of the memory keeps it, ready or not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from sampan.api.condition_set import Condition, Conditions, ConditionStatus, decode_conditions, find
from sampan.api.inferenceservice.conditions import READY
from sampan.api.trainedmodel.conditions import (
    INFERENCE_SERVICE_READY,
    IS_MMS_PREDICTOR,
    MEMORY_RESOURCE_AVAILABLE,
    MODEL_CONDITIONS,
)
from sampan.machinery.quantity import parse_quantity
from sampan.machinery.registry import JsonObject
from sampan.plan.model import modelconfig_name
from sampan.plan.service import model as model_of
from sampan.plan.service import predictor

PARENT_LABEL = "inferenceservice"
ALLOCATED_LABEL = "serving.kserve.io/trainedmodel-allocated"
FINALIZER = "trainedmodel.finalizer"
"""KServe's own name, so that either controller can finish what the other began."""
_OURS = (PARENT_LABEL, ALLOCATED_LABEL)

_PATHS = {"v1": "/v1/models/{}:predict", "v2": "/v2/models/{}/infer"}
_NOT_READY = Condition(
    INFERENCE_SERVICE_READY, ConditionStatus.FALSE, "InferenceServiceNotReady",
    "Inference Service needs to be ready before Trained Model can be ready",
)  # fmt: skip
_ONE_MODEL = Condition(
    IS_MMS_PREDICTOR, ConditionStatus.FALSE, "IsNotMMSPredictor",
    "Inference Service predictor is not configured for multi-model serving",
)  # fmt: skip
_NO_MEMORY = Condition(
    MEMORY_RESOURCE_AVAILABLE, ConditionStatus.FALSE, "MemoryResourceNotAvailable",
    "Inference Service does not have enough memory resources for Trained Model",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of a model: its status to write, and the labels that it gets."""

    status: JsonObject
    labels: Mapping[str, str]
    served: bool
    """Whether its entry belongs in the list of the agent."""


def derive_judgement(
    model: Mapping[str, Any], service: Mapping[str, Any], others: Iterable[JsonObject], now: float
) -> Judgement:
    """Judge a model by its service; `others` are all models of the namespace, itself included.

    `now` is in seconds since the epoch.
    """
    name = service["metadata"]["name"]
    fits = _has_memory_left(model, service, others)
    found = before = decode_conditions((model.get("status") or {}).get("conditions"))
    for condition in (
        _said(_is_ready(service), _NOT_READY),
        _said(bool(modelconfig_name(service)), _ONE_MODEL),
        _said(fits, _NO_MEMORY),
    ):
        found = MODEL_CONDITIONS.mark(found, condition, now)
    labels = {PARENT_LABEL: name, **({ALLOCATED_LABEL: name} if fits else {})}
    served = not _failed(found)
    status: JsonObject = {"conditions": [c.encode() for c in keep_times(before, found)]}
    if served:
        status |= _addresses(model["metadata"]["name"], service)
    return Judgement(status, labels, served)


def keep_times(before: Conditions, after: Conditions) -> Conditions:
    """Return the conditions of `after`; those that say the same as before have the same time.

    `Ready` may have said something else in between, when one condition after another was marked.
    """
    return tuple(_kept(find(before, new.type), new) for new in after)


def _kept(old: Condition | None, new: Condition) -> Condition:
    if old is None or replace(new, last_transition_time=old.last_transition_time) != old:
        return new
    return old


def derive_refusal(
    model: Mapping[str, Any], condition: Condition, now: float, found: Judgement | None = None
) -> Judgement:
    """Return what is known of a model that is not served for a reason besides those of `found`.

    It has no address, for nobody answers there; its share of the memory it keeps.
    """
    before = decode_conditions((model.get("status") or {}).get("conditions"))
    judged = decode_conditions(found.status["conditions"]) if found else before
    told = keep_times(before, MODEL_CONDITIONS.mark(judged, condition, now))
    status = {"conditions": [c.encode() for c in told]}
    return Judgement(status, found.labels if found else {}, served=False)


def derive_orphan(model: Mapping[str, Any], now: float) -> Judgement:
    """Return what is known of a model whose service does not exist."""
    text = f'InferenceService "{parent_of(model)}" does not exist; apply it, or name another one'
    false = ConditionStatus.FALSE
    missing = Condition(INFERENCE_SERVICE_READY, false, "InferenceServiceNotReady", text)
    return derive_refusal(model, missing, now)


def judge_together(
    models: Iterable[JsonObject], service: Mapping[str, Any], now: float
) -> tuple[tuple[JsonObject, Judgement], ...]:
    """Judge all models of a service: who has a share of its memory keeps it, then the oldest comes.

    Judged one by one they could be given the same memory twice.
    """
    seen = {str(m["metadata"]["name"]): m for m in sorted(models, key=_age)}
    judged: list[tuple[JsonObject, Judgement]] = []
    for name, model in tuple(seen.items()):
        found = derive_judgement(model, service, seen.values(), now)
        labels = merge_labels(model, found.labels)
        seen[name] = {**model, "metadata": {**model["metadata"], "labels": labels}}
        judged.append((model, found))
    return tuple(judged)


def merge_labels(model: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Return a model's labels with those that a judgement gives it, and no older ones of those."""
    before = model["metadata"].get("labels") or {}
    return {k: v for k, v in before.items() if k not in _OURS} | dict(given)


def parent_of(model: Mapping[str, Any]) -> str:
    """Return the name of the service that a model is for."""
    return str((model.get("spec") or {}).get("inferenceService", ""))


def derive_model_list(known: str, judged: Iterable[tuple[JsonObject, Judgement]]) -> str:
    """Return the list that the agent follows (`models.json`), from what it says now.

    A model that is not served any more, because its service is not ready for a while, stays as it
    is listed (KServe): taken out it would be unloaded, and loaded again. One that is gone goes.
    """
    before = _read_entries(known)
    wanted = {
        str(model["metadata"]["name"]): _entry(model["spec"]["model"]) if found.served else None
        for model, found in judged
    }
    after = {name: entry or before.get(name) for name, entry in wanted.items()}
    listed = {name: entry for name, entry in after.items() if entry is not None}
    if listed == before:
        return known
    entries = [{"modelName": name, "modelSpec": listed[name]} for name in sorted(listed)]
    return json.dumps(entries, separators=(",", ":"))


def _read_entries(text: str) -> dict[str, JsonObject]:
    """Return the entries of a list by name; what nobody can read is written anew."""
    try:
        found = json.loads(text or "[]")
        return {str(e["modelName"]): dict(e["modelSpec"]) for e in found}
    except (ValueError, TypeError, KeyError):
        return {}


def _entry(source: Mapping[str, Any]) -> JsonObject:
    return {field: source[field] for field in ("storageUri", "framework", "memory")}


def _said(holds: bool, otherwise: Condition) -> Condition:
    return Condition(otherwise.type, ConditionStatus.TRUE) if holds else otherwise


def _failed(conditions: Conditions) -> bool:
    ready = find(conditions, MODEL_CONDITIONS.top)
    return ready is None or ready.status is not ConditionStatus.TRUE


def _is_ready(service: Mapping[str, Any]) -> bool:
    ready = find(decode_conditions((service.get("status") or {}).get("conditions")), READY)
    return ready is not None and ready.status is ConditionStatus.TRUE


def _has_memory_left(
    model: Mapping[str, Any], service: Mapping[str, Any], others: Iterable[JsonObject]
) -> bool:
    """Whether the limit of the predictor's container holds this model beside those that have it."""
    name = service["metadata"]["name"]
    taken = sum(
        (_memory(o) for o in others if _has_share(o, name) and not _same(o, model)), Decimal(0)
    )
    return taken + _memory(model) <= _limit(service)


def _has_share(model: Mapping[str, Any], service: str) -> bool:
    labels = model["metadata"].get("labels") or {}
    return bool(labels.get(ALLOCATED_LABEL) == service)


def _age(model: Mapping[str, Any]) -> tuple[str, str]:
    metadata = model["metadata"]
    return str(metadata.get("creationTimestamp", "")), str(metadata["name"])


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(one["metadata"]["name"] == other["metadata"]["name"])


def _memory(model: Mapping[str, Any]) -> Decimal:
    return parse_quantity(model["spec"]["model"]["memory"]).value


def _limit(service: Mapping[str, Any]) -> Decimal:
    containers = predictor(service).get("containers") or [{}]
    container = model_of(service) or containers[0]
    limits = (container.get("resources") or {}).get("limits") or {}
    return parse_quantity(limits.get("memory", "0")).value


def _addresses(name: str, service: Mapping[str, Any]) -> JsonObject:
    """Return where the model is asked: the service's own addresses, and its protocol's path."""
    status = service.get("status") or {}
    path = _PATHS["v2" if _protocol(service) == "v2" else "v1"].format(name)
    found: JsonObject = {}
    if status.get("url"):
        found["url"] = f"{status['url']}{path}"
    if (status.get("address") or {}).get("url"):
        found["address"] = {"url": f"{status['address']['url']}{path}"}
    return found


def _protocol(service: Mapping[str, Any]) -> str:
    wanted = model_of(service)
    if wanted is not None:
        return str(wanted.get("protocolVersion") or "v1")
    first = (predictor(service).get("containers") or [{}])[0]
    env = {str(e.get("name")): str(e.get("value", "")) for e in first.get("env") or ()}
    return env.get("PROTOCOL", "v1")
