"""Kinds that are kept but not acted on yet: each says so, when it is applied and while it is there.

Applying one gives a warning. One whose clients wait for `Ready` also gets that condition, `False`
with reason `NotBuiltYet`, so that nobody waits for what will not come. A kind leaves this table
when its controller is built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from sampan.api.condition_set import (
    Condition,
    ConditionSet,
    ConditionStatus,
    decode_conditions,
)
from sampan.api.llminferenceservice.conditions import LLM_CONDITIONS
from sampan.api.llminferenceserviceconfig.conditions import CONFIG_CONDITIONS
from sampan.machinery.clock import Clock
from sampan.machinery.controller import Result
from sampan.machinery.errors import Conflict, NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, Store

REASON_NOT_BUILT_YET = "NotBuiltYet"


def _model_message(model: Mapping[str, Any]) -> str:
    spec = model.get("spec") or {}
    uri = (spec.get("model") or {}).get("storageUri", "")
    return (
        "no model is loaded into a running service yet, so "
        f'"{spec.get("inferenceService", "")}" does not get this one; give the model an '
        f'InferenceService of its own, with storageUri "{uri}"'
    )


def _storage_message(container: Mapping[str, Any]) -> str:
    formats = (container.get("spec") or {}).get("supportedUriFormats") or []
    uris = ", ".join(f'"{f.get("prefix") or f.get("regex") or ""}"' for f in formats)
    return (
        f"no storage container runs yet, so it fetches nothing for {uris or 'any URI'}; services "
        "may name it, and their models are fetched by the built-in fetcher, which wants a "
        "storageUri that it knows"
    )


def _cache_message(cache: Mapping[str, Any]) -> str:
    uri = (cache.get("spec") or {}).get("sourceModelUri", "")
    return (
        f'nothing is downloaded ahead yet, so "{uri}" is not here before it is used; a service '
        "fetches its model when it starts, and the model is kept on this machine from then on"
    )


def _node_message(_: Mapping[str, Any]) -> str:
    return (
        "no node keeps models yet, so this has no effect; each model is kept on this machine once "
        "a service has fetched it"
    )


def _llm_message(service: Mapping[str, Any]) -> str:
    spec = service.get("spec") or {}
    model = spec.get("model") or {}
    parts = [
        name for name in ("router", "prefill", "worker", "scaling", "baseRefs") if spec.get(name)
    ]
    without = f", nor do its {', '.join(parts)}" if parts else ""
    return (
        f'no engine runs for an LLMInferenceService yet, so model "{model.get("name", "")}" of '
        f'"{model.get("uri", "")}" has no address{without}; serve it as an InferenceService of '
        "modelFormat huggingface"
    )


def _llm_config_message(_: Mapping[str, Any]) -> str:
    return (
        "no LLMInferenceService is made from it yet, so it has no effect; write its settings into "
        "an InferenceService"
    )


MESSAGES: Mapping[str, Callable[[Mapping[str, Any]], str]] = MappingProxyType(
    {
        "TrainedModel": _model_message,
        "ClusterStorageContainer": _storage_message,
        "LocalModelCache": _cache_message,
        "LocalModelNamespaceCache": _cache_message,
        "LocalModelNodeGroup": _node_message,
        "LocalModelNode": _node_message,
        "LLMInferenceService": _llm_message,
        "LLMInferenceServiceConfig": _llm_config_message,
    }
)
"""By kind: what does not run for an object, and what to do instead."""

CONDITIONS: Mapping[str, ConditionSet] = MappingProxyType(
    {
        "llminferenceservices.serving.kserve.io": LLM_CONDITIONS,
        "llminferenceserviceconfigs.serving.kserve.io": CONFIG_CONDITIONS,
    }
)
"""By resource: the conditions of those among them that have any (`trainedmodel` tells its own)."""


def make_unbuilt_warnings(obj: Mapping[str, Any]) -> list[str]:
    """Return what to tell someone who applies an object of such a kind; nothing for others. Pure.

    One that is stored disabled asks for nothing, so nothing is missing.
    """
    message = MESSAGES.get(str(obj.get("kind")))
    if message is None or obj.get("disabled"):
        return []
    return [f"{obj['kind']} {REASON_NOT_BUILT_YET}: {message(obj)}"]


def derive_unbuilt_status(obj: JsonObject, conditions: ConditionSet, now: float) -> JsonObject:
    """Return the object's status with `Ready` False; `now` is in seconds since the epoch. Pure."""
    before = obj.get("status") or {}
    message = MESSAGES[obj["kind"]](obj)
    ready = Condition(conditions.top, ConditionStatus.FALSE, REASON_NOT_BUILT_YET, message)
    known = decode_conditions(before.get("conditions"))
    return {
        **before,
        "observedGeneration": obj["metadata"]["generation"],
        "conditions": [c.encode() for c in conditions.mark(known, ready, now)],
    }


class UnbuiltController:
    """Keeps the status of objects that nothing acts on yet."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def reconcile(self, key: Key) -> Result:
        """Write the status of one object where it says something else."""
        try:
            obj = await self._store.get(key)
        except NotFound:
            return Result()
        status = derive_unbuilt_status(obj, CONDITIONS[key.resource], self._clock.now())
        if status != obj.get("status"):
            try:
                await self._store.update_status(key.resource, {**obj, "status": status})
            except (Conflict, NotFound):
                return Result()  # changed meanwhile: that change is reconciled next
        return Result()
