"""Conditions of an InferenceService as KServe keeps them.

KServe, condition mechanics: Ready depends on PredictorReady and IngressReady only; every other
condition is information (`severity: Info`) and never moves it. Conditions are sorted by type, and
`lastTransitionTime` moves exactly when something else of that condition does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.machinery.timestamps import rfc3339

READY = "Ready"
PREDICTOR_READY = "PredictorReady"
INGRESS_READY = "IngressReady"
STOPPED = "Stopped"

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"

# In the order in which one fails because of the other: among equally recent, the cause is told.
_DEPENDENTS = (PREDICTOR_READY, INGRESS_READY)


@dataclass(frozen=True, slots=True)
class Condition:
    """What should be said; when it began is found by comparing with what was said before."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


def derive_conditions(
    before: Iterable[Mapping[str, Any]], wanted: Iterable[Condition], now: float
) -> list[JsonObject]:
    """Return the conditions, Ready among them, sorted by type.

    `before` are the conditions as last written, `now` is seconds since the epoch.
    """
    old = {str(c.get("type")): c for c in before}
    written = {c.type: _write(c, old.get(c.type), now) for c in wanted}
    ready = _derive_ready(written)
    written[READY] = _write(ready, old.get(READY), now)
    return [written[name] for name in sorted(written)]


def condition_of(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a condition of a status, empty when it has none of that type."""
    return next((c for c in status.get("conditions") or () if c.get("type") == name), {})


def _derive_ready(written: Mapping[str, Mapping[str, Any]]) -> Condition:
    """False by the dependent that most recently became so, else Unknown likewise, else True."""
    dependents = [written[name] for name in _DEPENDENTS if name in written]
    for status in (FALSE, UNKNOWN):
        those = [c for c in dependents if c["status"] == status]
        if those:
            latest = max(those, key=lambda c: str(c["lastTransitionTime"]))
            return Condition(READY, status, latest.get("reason", ""), latest.get("message", ""))
    return Condition(READY, TRUE if len(dependents) == len(_DEPENDENTS) else UNKNOWN)


def _write(condition: Condition, before: Mapping[str, Any] | None, now: float) -> JsonObject:
    said: JsonObject = {"type": condition.type, "status": condition.status}
    if condition.type not in (READY, *_DEPENDENTS):
        said["severity"] = "Info"
    if condition.reason:
        said["reason"] = condition.reason
    if condition.message:
        said["message"] = condition.message
    began = (before or {}).get("lastTransitionTime")
    same = before is not None and said == {
        k: v for k, v in before.items() if k != "lastTransitionTime" and v != ""
    }
    return {**said, "lastTransitionTime": began if same and began else rfc3339(now)}
