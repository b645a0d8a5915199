"""How urgent a model's requests are: a field in v1alpha1, an annotation since (KServe's own)."""

from __future__ import annotations

import json
from typing import Any

from sampan.api.llminferenceservice.parts import NOTHING, part_at, with_part
from sampan.machinery.registry import JsonObject

MODEL = "internal.serving.kserve.io/model-criticality"
ADAPTERS = "internal.serving.kserve.io/lora-criticalities"

LEVELS = ("Critical", "Standard", "Sheddable")
_MODEL_PATH = ("spec", "model")
_ADAPTERS_PATH = ("spec", "model", "lora", "adapters")


def annotated(obj: JsonObject) -> JsonObject:
    """Return an object whose fields of criticality are annotations."""
    notes = {}
    model = part_at(obj, _MODEL_PATH)
    if isinstance(model, dict) and model.get("criticality") in LEVELS:
        notes[MODEL] = model["criticality"]
        obj = with_part(obj, (*_MODEL_PATH, "criticality"), NOTHING)
    adapters = part_at(obj, _ADAPTERS_PATH)
    levels = {str(i): a["criticality"] for i, a in enumerate(_adapters(adapters))
              if a.get("criticality") in LEVELS}  # fmt: skip
    if levels:
        notes[ADAPTERS] = _text(levels)
        plain = [_without(a) if str(i) in levels else a for i, a in enumerate(adapters)]
        obj = with_part(obj, _ADAPTERS_PATH, plain)
    return _with_notes(obj, notes)


def restored(obj: JsonObject) -> JsonObject:
    """Return an object whose annotations of criticality are fields, where they can be read."""
    notes = (obj.get("metadata") or {}).get("annotations") or {}
    taken = []
    if notes.get(MODEL) in LEVELS and isinstance(part_at(obj, _MODEL_PATH), dict):
        obj = with_part(obj, (*_MODEL_PATH, "criticality"), notes[MODEL])
        taken.append(MODEL)
    adapters = part_at(obj, _ADAPTERS_PATH)
    levels = _levels(notes.get(ADAPTERS), len(_adapters(adapters)))
    if levels:
        given = [{**a, "criticality": levels[str(i)]} if str(i) in levels else a
                 for i, a in enumerate(adapters)]  # fmt: skip
        obj = with_part(obj, _ADAPTERS_PATH, given)
        taken.append(ADAPTERS)
    return _without_notes(obj, taken)


def _adapters(adapters: Any) -> list[JsonObject]:
    """Return the adapters; none where the free field holds anything else."""
    if isinstance(adapters, list) and all(isinstance(a, dict) for a in adapters):
        return adapters
    return []


def _without(adapter: JsonObject) -> JsonObject:
    return {k: v for k, v in adapter.items() if k != "criticality"}


def _text(levels: dict[str, str]) -> str:
    return json.dumps(levels, separators=(",", ":"), sort_keys=True)


def _levels(text: Any, count: int) -> dict[str, str]:
    """Return the levels by index; none where the text is not what `annotated` would write."""
    try:
        levels = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}
    if not isinstance(levels, dict) or not all(level in LEVELS for level in levels.values()):
        return {}
    known = {str(i) for i in range(count)}
    return levels if levels.keys() <= known and _text(levels) == text else {}


def _with_notes(obj: JsonObject, notes: dict[str, str]) -> JsonObject:
    if not notes:
        return obj
    metadata = obj.get("metadata") or {}
    merged = {**(metadata.get("annotations") or {}), **notes}
    return {**obj, "metadata": {**metadata, "annotations": merged}}


def _without_notes(obj: JsonObject, names: list[str]) -> JsonObject:
    if not names:
        return obj
    metadata = {k: v for k, v in obj["metadata"].items() if k != "annotations"}
    left = {k: v for k, v in obj["metadata"]["annotations"].items() if k not in names}
    return {**obj, "metadata": {**metadata, "annotations": left} if left else metadata}
