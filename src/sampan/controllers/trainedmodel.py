"""TrainedModels: judged as KServe judges them, and not loaded yet.

A model says whether its service is ready, takes several models and has memory left. Where all of
that holds, `Ready` is False with reason `NotBuiltYet`: nothing loads it into the running server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.api.condition_set import Condition, ConditionStatus, decode_conditions
from sampan.api.trainedmodel.conditions import INFERENCE_SERVICE_READY, MODEL_CONDITIONS
from sampan.controllers.gather import SERVICES
from sampan.controllers.unbuilt import MESSAGES, REASON_NOT_BUILT_YET
from sampan.machinery.clock import Clock
from sampan.machinery.controller import Controller, Result, Watch, key_of
from sampan.machinery.errors import Conflict, NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, Store
from sampan.plan.trained_model import (
    ALLOCATED_LABEL,
    PARENT_LABEL,
    Judgement,
    derive_judgement,
    keep_times,
)

MODELS = "trainedmodels.serving.kserve.io"
_OURS = (PARENT_LABEL, ALLOCATED_LABEL)


class TrainedModels:
    """The models seen so far, to tell which of them another resource touches."""

    def __init__(self) -> None:
        self._seen: dict[Key, str] = {}

    def note(self, model: JsonObject) -> list[Key]:
        """Remember a model; return the others of its service, which share its memory."""
        key, parent = key_of(MODELS, model), _parent(model)
        self._seen[key] = parent
        return [other for other in self._of(key.namespace, parent) if other != key]

    def of(self, service: JsonObject) -> list[Key]:
        """Return the models of a service."""
        return self._of(service["metadata"]["namespace"], service["metadata"]["name"])

    def _of(self, namespace: str, parent: str) -> list[Key]:
        return [k for k, name in self._seen.items() if k.namespace == namespace and name == parent]


class TrainedModelController:
    """Keeps labels and status of models."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def reconcile(self, key: Key) -> Result:
        """Write the labels and the status of one model where they say something else."""
        try:
            model = await self._store.get(key)
            judgement = await self._judge(key, model)
            model = await self._label(model, judgement.labels)
            status = judgement.status | {"observedGeneration": model["metadata"]["generation"]}
            if status != model.get("status"):
                await self._store.update_status(MODELS, {**model, "status": status})
        except (Conflict, NotFound):
            pass  # changed or deleted meanwhile: that change is reconciled next
        return Result()

    async def _judge(self, key: Key, model: JsonObject) -> Judgement:
        now = self._clock.now()
        try:
            service = await self._store.get(Key(SERVICES, key.namespace, _parent(model)))
        except NotFound:
            return Judgement(_told(model, {}, _missing(_parent(model)), now), {}, served=False)
        others = (await self._store.list(MODELS, key.namespace)).items
        found = derive_judgement(model, service, others, now)
        if not found.served:
            return found
        text = MESSAGES[model["kind"]](model)
        ready = Condition(MODEL_CONDITIONS.top, ConditionStatus.FALSE, REASON_NOT_BUILT_YET, text)
        return Judgement(_told(model, found.status, ready, now), found.labels, served=False)

    async def _label(self, model: JsonObject, labels: Mapping[str, str]) -> JsonObject:
        before = model["metadata"].get("labels") or {}
        after = {k: v for k, v in before.items() if k not in _OURS} | dict(labels)
        if after == before:
            return model
        return await self._store.update(
            MODELS, {**model, "metadata": {**model["metadata"], "labels": after}}
        )


def make_model_controller(store: Store, clock: Clock) -> Controller:
    """Return what looks at each model, whenever it, its service or one beside it changes."""
    models = TrainedModels()
    watches = (Watch(MODELS, models.note), Watch(SERVICES, models.of))
    reconcile = TrainedModelController(store, clock).reconcile
    return Controller(store, clock, MODELS, reconcile, watches=watches)


def _parent(model: Mapping[str, Any]) -> str:
    return str((model.get("spec") or {}).get("inferenceService", ""))


def _missing(parent: str) -> Condition:
    text = f'InferenceService "{parent}" does not exist; apply it, or name another one'
    return Condition(
        INFERENCE_SERVICE_READY, ConditionStatus.FALSE, "InferenceServiceNotReady", text
    )


def _told(
    model: JsonObject, status: Mapping[str, Any], condition: Condition, now: float
) -> JsonObject:
    """Return the status with one condition more, without an address at which nobody answers."""
    before = decode_conditions((model.get("status") or {}).get("conditions"))
    found = decode_conditions(status.get("conditions")) or before
    marked = keep_times(before, MODEL_CONDITIONS.mark(found, condition, now))
    return {"conditions": [c.encode() for c in marked]}
