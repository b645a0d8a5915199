"""The conditions of an InferenceService, made anew from what is and keeping their times.

The mechanics are KServe's (`sampan.api.condition_set`); here they are run from nothing each time,
so that a condition nobody makes any more vanishes, and what did not change keeps its
`lastTransitionTime`: deriving twice gives the same conditions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sampan.api.condition_set import Condition, ConditionStatus, decode_conditions, find
from sampan.api.inferenceservice.conditions import SERVICE_CONDITIONS
from sampan.machinery.registry import JsonObject


def derive_conditions(
    before: Sequence[Mapping[str, Any]], wanted: Sequence[Condition], now: float
) -> list[JsonObject]:
    """Return the conditions, Ready among them, sorted by type.

    `before` are the conditions last written, `now` is seconds since the epoch. `wanted` goes from
    cause to effect: where several are False, Ready repeats the first.
    """
    made = SERVICE_CONDITIONS.initialise((), now)
    for condition in reversed(wanted):
        made = SERVICE_CONDITIONS.mark(made, condition, now)
    old = decode_conditions(before)
    return [_dated(condition, find(old, condition.type)).encode() for condition in made]


def _dated(condition: Condition, before: Condition | None) -> Condition:
    if before is None or not before.last_transition_time:
        return condition
    kept = replace(condition, last_transition_time=before.last_transition_time)
    return kept if kept == before else condition


def condition_status(status: Mapping[str, Any], name: str) -> ConditionStatus | None:
    """Return what a status says of a condition, None when it does not speak of it."""
    found = find(decode_conditions(status.get("conditions")), name)
    return found.status if found else None
