"""What KServe lets through without a word although it cannot mean what it says.

Each is still allowed, because YAML that works with KServe works here; whoever applies it is told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sampan.api.config import LEGACY_MODES, MODES
from sampan.api.inferenceservice.defaults import DEPLOYMENT_MODE
from sampan.api.inferenceservice.implementation import FORMATS, components
from sampan.machinery.registry import JsonObject

PROTOCOLS = ("v1", "v2", "grpc-v1", "grpc-v2")
EXPLAINERS = ("SquareAttack",)

# Of a component: the least and the most that means something.
_BOUNDS: dict[str, tuple[int, int | None]] = {
    "timeout": (1, None),
    "scaleTarget": (1, None),
    "canaryTrafficPercent": (0, 100),
}


def silence_warnings(sent: JsonObject) -> Iterator[str]:
    """Yield a sentence for each, about a service as it was sent: defaulting hides the first."""
    yield from _mode((sent["metadata"].get("annotations") or {}).get(DEPLOYMENT_MODE))
    for name, component in components(sent):
        yield from _bounds(f"spec.{name}", component)
    predictor = (sent.get("spec") or {}).get("predictor") or {}
    yield from _replaced(predictor)
    for field in (*FORMATS, "model"):
        protocol = (predictor.get(field) or {}).get("protocolVersion")
        if protocol and protocol not in PROTOCOLS:
            yield _unknown(f"spec.predictor.{field}.protocolVersion", protocol, PROTOCOLS)
    kind = (((sent.get("spec") or {}).get("explainer") or {}).get("art") or {}).get("type")
    if kind and kind not in EXPLAINERS:
        yield _unknown("spec.explainer.art.type", kind, EXPLAINERS)


def _mode(mode: str | None) -> Iterator[str]:
    if mode is not None and mode not in (*MODES, *LEGACY_MODES):
        names = ", ".join(f'"{name}"' for name in MODES)
        yield (
            f"metadata.annotations.{DEPLOYMENT_MODE}: {json.dumps(mode)} is no mode, so that of "
            f"inferenceservice-config counts; write one of {names}"
        )


def _bounds(path: str, component: JsonObject) -> Iterator[str]:
    for field, (least, most) in _BOUNDS.items():
        value = component.get(field)
        if isinstance(value, int) and (value < least or (most is not None and value > most)):
            wanted = f"{least} to {most}" if most is not None else f"{least} or more"
            yield f"{path}.{field}: {value} has no meaning; write {wanted}, or leave it out"


def _replaced(predictor: JsonObject) -> Iterator[str]:
    """A format's own field becomes `model`, over one that is there already."""
    legacy = next((field for field in FORMATS if field in predictor), None)
    if legacy and "model" in predictor:
        yield (
            f"spec.predictor.model: spec.predictor.{legacy} takes its place, and all that it says "
            "is dropped; remove one of them"
        )


def _unknown(path: str, value: Any, known: tuple[str, ...]) -> str:
    names = ", ".join(f'"{name}"' for name in known)
    return f"{path}: {json.dumps(value)} is not known to any runtime; write one of {names}"
