"""How conditions change: Knative's living condition set, as pure functions on tuples.

A set has one top condition (`Ready`) and dependents. Marking a dependent recomputes the top; every
other condition is stored with severity `Info` and never reaches it. Conditions are sorted by type,
and `lastTransitionTime` moves whenever anything else in a condition does (knative.dev/pkg/apis,
`condition_set.go`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias

from sampan.machinery.registry import JsonObject
from sampan.machinery.timestamps import rfc3339


class ConditionStatus(StrEnum):
    """The three answers."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Condition:
    """One answer, with a reason in CamelCase and a message for people."""

    type: str
    status: ConditionStatus
    reason: str = ""
    message: str = ""
    severity: str = ""
    last_transition_time: str = ""

    def encode(self) -> JsonObject:
        """Return the JSON form; empty fields are left out, as Kubernetes does."""
        fields = {
            "lastTransitionTime": self.last_transition_time,
            "message": self.message,
            "reason": self.reason,
            "severity": self.severity,
        }
        kept = {name: value for name, value in fields.items() if value}
        return {**kept, "status": str(self.status), "type": self.type}


Conditions: TypeAlias = tuple[Condition, ...]


def decode_conditions(stored: Iterable[Mapping[str, Any]] | None) -> Conditions:
    """Return the conditions of a stored status, sorted by type."""
    return _sorted(
        Condition(
            type=str(c["type"]),
            status=ConditionStatus(c["status"]),
            reason=c.get("reason") or "",
            message=c.get("message") or "",
            severity=c.get("severity") or "",
            last_transition_time=c.get("lastTransitionTime") or "",
        )
        for c in stored or ()
    )


def find(conditions: Conditions, type_: str) -> Condition | None:
    """Return the condition of that type."""
    return next((c for c in conditions if c.type == type_), None)


def _sorted(conditions: Iterable[Condition]) -> Conditions:
    return tuple(sorted(conditions, key=lambda c: c.type))


@dataclass(frozen=True, slots=True)
class ConditionSet:
    """The top condition of a kind and the conditions that it depends on."""

    dependents: tuple[str, ...]
    top: str = "Ready"

    def initialise(self, conditions: Conditions, now: float) -> Conditions:
        """Add the top and the dependents where missing: Unknown, or True below a True top."""
        top = find(conditions, self.top)
        status = ConditionStatus.TRUE if _is(top, ConditionStatus.TRUE) else ConditionStatus.UNKNOWN
        for type_ in (self.top, *self.dependents):
            if find(conditions, type_) is None:
                conditions = self._put(conditions, Condition(type_, status), now)
        return conditions

    def mark(self, conditions: Conditions, condition: Condition, now: float) -> Conditions:
        """Set a condition and recompute the top; `now` is in seconds since the epoch."""
        match condition.status:
            case ConditionStatus.TRUE:
                return self._recompute(self._put(conditions, condition, now), condition.type, now)
            case ConditionStatus.FALSE:
                return self._mark_false(conditions, condition, now)
            case _:
                return self._mark_unknown(conditions, condition, now)

    def mark_true(self, conditions: Conditions, type_: str, now: float) -> Conditions:
        """Set a condition to True, without a reason."""
        return self.mark(conditions, Condition(type_, ConditionStatus.TRUE), now)

    def clear(self, conditions: Conditions, type_: str) -> Conditions:
        """Remove a condition; the top and the dependents stay."""
        if type_ in (self.top, *self.dependents):
            return conditions
        return tuple(c for c in conditions if c.type != type_)

    def _mark_false(self, conditions: Conditions, condition: Condition, now: float) -> Conditions:
        conditions = self._put(conditions, condition, now)
        if condition.type in self.dependents:
            return self._put(conditions, replace(condition, type=self.top), now)
        return conditions

    def _mark_unknown(self, conditions: Conditions, condition: Condition, now: float) -> Conditions:
        conditions = self._put(conditions, condition, now)
        if any(_is(find(conditions, d), ConditionStatus.FALSE) for d in self.dependents):
            if _is(find(conditions, self.top), ConditionStatus.FALSE):
                return conditions
            failed = replace(condition, type=self.top, status=ConditionStatus.FALSE)
            return self._put(conditions, failed, now)
        if condition.type in self.dependents:
            return self._put(conditions, replace(condition, type=self.top), now)
        return conditions

    def _recompute(self, conditions: Conditions, marked: str, now: float) -> Conditions:
        unhappy = self._unhappy_dependent(conditions)
        if unhappy is not None:
            return self._put(conditions, replace(unhappy, type=self.top), now)
        if marked != self.top:
            return self._put(conditions, Condition(self.top, ConditionStatus.TRUE), now)
        return conditions

    def _unhappy_dependent(self, conditions: Conditions) -> Condition | None:
        """Return the newest False dependent, else the newest Unknown one."""
        known = [c for c in conditions if c.type in self.dependents]
        newest_first = sorted(known, key=lambda c: c.last_transition_time, reverse=True)
        for status in (ConditionStatus.FALSE, ConditionStatus.UNKNOWN):
            for condition in newest_first:
                if condition.status is status:
                    return condition
        if len(known) < len(self.dependents):
            return Condition(self.top, ConditionStatus.UNKNOWN)
        return None

    def _put(self, conditions: Conditions, condition: Condition, now: float) -> Conditions:
        severity = "" if condition.type in (self.top, *self.dependents) else "Info"
        old = find(conditions, condition.type)
        new = replace(condition, severity=severity, last_transition_time="")
        if old is not None and replace(old, last_transition_time="") == new:
            return conditions
        others = (c for c in conditions if c.type != condition.type)
        return _sorted((*others, replace(new, last_transition_time=rfc3339(now))))


def _is(condition: Condition | None, status: ConditionStatus) -> bool:
    return condition is not None and condition.status is status
