"""TrainedModels: judged as KServe judges them, and not loaded yet.

A model says whether its service is ready, takes several models and has memory left. Where all of
that holds, `Ready` is False with reason `NotBuiltYet`: nothing loads it into the running server.
"""

from __future__ import annotations

from collections.abc import Mapping

from sampan.api.condition_set import Condition, ConditionStatus
from sampan.api.trainedmodel.conditions import MODEL_CONDITIONS
from sampan.controllers.gather import SERVICES
from sampan.controllers.unbuilt import MESSAGES, REASON_NOT_BUILT_YET
from sampan.machinery.clock import Clock
from sampan.machinery.controller import Controller, Result, Watch, key_of
from sampan.machinery.errors import Conflict, NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, Store
from sampan.plan.trained_model import (
    Judgement,
    derive_judgement,
    derive_orphan,
    derive_refusal,
    merge_labels,
    parent_of,
)

MODELS = "trainedmodels.serving.kserve.io"


class TrainedModels:
    """The models seen so far, to tell which of them another resource touches."""

    def __init__(self) -> None:
        self._seen: dict[Key, str] = {}

    def note(self, model: JsonObject) -> list[Key]:
        """Remember a model; return the others of its service, which share its memory."""
        key, parent = key_of(MODELS, model), parent_of(model)
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
            service = await self._store.get(Key(SERVICES, key.namespace, parent_of(model)))
        except NotFound:
            return derive_orphan(model, now)
        others = (await self._store.list(MODELS, key.namespace)).items
        found = derive_judgement(model, service, others, now)
        if not found.served:
            return found
        text = MESSAGES[model["kind"]](model)
        ready = Condition(MODEL_CONDITIONS.top, ConditionStatus.FALSE, REASON_NOT_BUILT_YET, text)
        return derive_refusal(model, ready, now, found)

    async def _label(self, model: JsonObject, labels: Mapping[str, str]) -> JsonObject:
        after = merge_labels(model, labels)
        if after == (model["metadata"].get("labels") or {}):
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
