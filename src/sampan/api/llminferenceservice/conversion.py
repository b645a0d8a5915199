"""LLMInferenceService and its configurations between v1alpha1 and v1alpha2, without loss.

What only the older version has goes into annotations of the stored object, under upstream's names.
What only the stored version has goes into an annotation of the older object, part by part with
what the part looks like there: an old client that reads, changes and writes back keeps it, and a
part that it changed itself is taken as changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from sampan.api.llminferenceservice.criticality import annotated, restored
from sampan.api.llminferenceservice.parts import NOTHING, part_at, with_part
from sampan.machinery.registry import JsonObject

STORED = "serving.kserve.io/v1alpha2"
OLDER = "serving.kserve.io/v1alpha1"
NEWER_FIELDS = "internal.serving.sampan.dev/newer-fields"
"""The annotation of an older object that holds what its version has no fields for."""

_Change = Callable[[Any], Any]


def is_older(obj: JsonObject) -> bool:
    """Whether an object is of the older version."""
    return obj.get("apiVersion") == OLDER


def make_stored(obj: JsonObject) -> JsonObject:
    """Return an object of the older version in the stored one."""
    kept, plain = _taken(obj)
    new = {**plain, "apiVersion": STORED}
    for path, (_, raise_) in _PARTS.items():
        new = _changed(new, path, raise_)
    for name, stored in kept.items():
        steps = tuple(name.split("."))
        if steps in _PARTS and _lowered(steps, stored) == part_at(plain, steps):
            new = with_part(new, steps, stored)
    return annotated(new)


def make_older(obj: JsonObject) -> JsonObject:
    """Return an object of the stored version in the older one."""
    kept = {}
    new = restored({**obj, "apiVersion": OLDER})
    for path, (lower, raise_) in _PARTS.items():
        stored = part_at(obj, path)
        if stored is NOTHING:
            continue
        lowered = lower(stored)
        new = with_part(new, path, lowered)
        if lowered is NOTHING or raise_(lowered) != stored:
            kept[".".join(path)] = stored
    return _noted(new, kept) if kept else new


def _lowered(path: tuple[str, ...], stored: Any) -> Any:
    return _PARTS[path][0](stored)


def _changed(obj: JsonObject, path: tuple[str, ...], change: _Change) -> JsonObject:
    part = part_at(obj, path)
    return obj if part is NOTHING else with_part(obj, path, change(part))


def _noted(obj: JsonObject, kept: Mapping[str, Any]) -> JsonObject:
    metadata = obj.get("metadata") or {}
    text = json.dumps(kept, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    notes = {**(metadata.get("annotations") or {}), NEWER_FIELDS: text}
    return {**obj, "metadata": {**metadata, "annotations": notes}}


def _taken(obj: JsonObject) -> tuple[Mapping[str, Any], JsonObject]:
    """Return what the annotation holds, and the object without it."""
    metadata = obj.get("metadata") or {}
    notes = dict(metadata.get("annotations") or {})
    text = notes.pop(NEWER_FIELDS, None)
    if text is None:
        return {}, obj
    kept = {k: v for k, v in metadata.items() if k != "annotations"}
    metadata = {**kept, "annotations": notes} if notes else kept
    try:
        found = json.loads(text)
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}, {**obj, "metadata": metadata}


def _gone(_: Any) -> Any:
    return NOTHING


def _same(part: Any) -> Any:
    return part


def _lower_pool(pool: Any) -> Any:
    """Return a pool of the Gateway API inference extension v1 as its v1alpha2 wrote it."""
    if not isinstance(pool, dict):
        return pool
    lowered = {k: v for k, v in pool.items() if k not in _POOL_FIELDS}
    if "selector" in pool:
        lowered["selector"] = (pool["selector"] or {}).get("matchLabels") or {}
    for port in (pool.get("targetPorts") or [])[:1]:
        lowered["targetPortNumber"] = port.get("number")
    picker = pool.get("endpointPickerRef")
    if picker is not None:
        ref = {k: v for k, v in picker.items() if k != "port"}
        port = picker.get("port") or {}
        number = {"portNumber": port["number"]} if "number" in port else {}
        lowered["extensionRef"] = {"failureMode": "FailClose", **ref, **number}
    return lowered


def _raise_pool(pool: Any) -> Any:
    """Return a pool of the Gateway API inference extension v1alpha2 as its v1 writes it."""
    if not isinstance(pool, dict):
        return pool
    raised = {k: v for k, v in pool.items() if k not in _OLD_POOL_FIELDS}
    if "selector" in pool:
        raised["selector"] = {"matchLabels": pool["selector"]}
    if "targetPortNumber" in pool:
        raised["targetPorts"] = [{"number": pool["targetPortNumber"]}]
    ref = pool.get("extensionRef")
    if ref is not None:
        picker = {k: v for k, v in ref.items() if k != "portNumber"}
        port = {"port": {"number": ref["portNumber"]}} if "portNumber" in ref else {}
        raised["endpointPickerRef"] = {**picker, **port}
    return raised


def _lower_addresses(addresses: Any) -> Any:
    """Return addresses without where they come from."""
    return [{k: v for k, v in a.items() if k not in ("origin", "models")} for a in addresses]


_POOL_FIELDS = frozenset({"selector", "targetPorts", "endpointPickerRef", "appProtocol"})
_OLD_POOL_FIELDS = frozenset({"selector", "targetPortNumber", "extensionRef"})
_PARTS: Mapping[tuple[str, ...], tuple[_Change, _Change]] = MappingProxyType(
    {
        ("spec", "kvCacheOffloading"): (_gone, _same),
        ("spec", "prefill", "kvCacheOffloading"): (_gone, _same),
        ("spec", "model", "confidential"): (_gone, _same),
        ("spec", "router", "scheduler", "pool", "spec"): (_lower_pool, _raise_pool),
        ("status", "addresses"): (_lower_addresses, _same),
        ("status", "router", "group"): (_gone, _same),
        ("status", "workloads"): (_gone, _same),
        ("status", "appliedConfigs"): (_gone, _same),
        ("status", "referencedBy"): (_gone, _same),
    }
)
"""Parts that differ, by path: to the older version, and to the stored one."""
