"""What the defaulting webhook of LLMInferenceServices fills in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sampan.machinery.registry import JsonObject

ROUTING_GROUP = "serving.kserve.io/routing-group"
"""The label that says which group a service is of."""

_PODS = (
    ("template",),
    ("worker",),
    ("prefill", "template"),
    ("prefill", "worker"),
    ("router", "scheduler", "template"),
)


def default_service(service: JsonObject) -> JsonObject:
    """Return the service with its model's name, the label of its group, and lists of containers."""
    metadata = service["metadata"]
    spec = service.get("spec") or {}
    model = spec.get("model") or {}
    # Go writes the empty address too, so a service without a model is stored with this one.
    named = {"uri": "", **model, "name": model.get("name") or metadata.get("name", "")}
    filled = _with_containers({**spec, "model": named})
    return {**service, "metadata": _labelled(metadata, filled), "spec": filled}


def _labelled(metadata: JsonObject, spec: JsonObject) -> JsonObject:
    group = ((spec.get("router") or {}).get("route") or {}).get("group")
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != ROUTING_GROUP}
    if group:
        labels[ROUTING_GROUP] = group
    others = {k: v for k, v in metadata.items() if k != "labels"}
    return {**others, "labels": labels} if labels else others


def _with_containers(spec: JsonObject) -> JsonObject:
    """Go writes the list of a pod's containers even where there are none."""
    for path in _PODS:
        spec = _changed(spec, path, lambda pod: {**pod, "containers": pod.get("containers") or []})
    return spec


def _changed(obj: JsonObject, path: tuple[str, ...], change: Callable[[Any], Any]) -> JsonObject:
    """Return the object with the part at a path changed, itself where there is none."""
    inner = obj.get(path[0])
    if not isinstance(inner, dict):
        return obj
    new = change(inner) if len(path) == 1 else _changed(inner, path[1:], change)
    return {**obj, path[0]: new}
