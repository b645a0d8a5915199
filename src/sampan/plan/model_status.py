"""`status.modelStatus`: whether the model of the newest template is loaded, and what last failed.

KServe, modelStatus: Pending and Loading are InProgress, Loaded is UpToDate, FailedToLoad is
BlockedByFailedLoad; a decision that blocks is InvalidSpec. `activeModelState` keeps the last Loaded
and `lastFailureInfo` the last failure, overcome or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.machinery.timestamps import rfc3339
from sampan.plan.chain import (
    ChainLink,
    derive_component_chain,
    find_workload,
    first_open,
    is_plain,
)
from sampan.plan.observed import LinkState, Observed
from sampan.plan.types import Blocked, Plan

PENDING, LOADING, LOADED, FAILED_TO_LOAD = "Pending", "Loading", "Loaded", "FailedToLoad"

_TRANSITIONS = {
    PENDING: "InProgress",
    LOADING: "InProgress",
    LOADED: "UpToDate",
    FAILED_TO_LOAD: "BlockedByFailedLoad",
}
# The words that `lastFailureInfo.reason` may hold for a block (an enum of the CRD).
_BLOCK_REASONS = frozenset(
    {"RuntimeDisabled", "NoSupportingRuntime", "RuntimeNotRecognized", "InvalidPredictorSpec"}
)
# What the first open link says of the model, by link and state; Pending where nothing is said.
_STATES = {
    ("download", LinkState.RUNNING): LOADING,
    ("download", LinkState.FAILED): FAILED_TO_LOAD,
    ("environment", LinkState.FAILED): FAILED_TO_LOAD,
    ("process", LinkState.FAILED): FAILED_TO_LOAD,
    ("load", LinkState.RUNNING): LOADING,
    ("load", LinkState.FAILED): FAILED_TO_LOAD,
}
# As much of a log as Kubernetes keeps of a terminated container.
_MESSAGE_LENGTH = 2048


def derive_model_status(
    before: Mapping[str, Any], plan: Plan, observed: Observed, now: float
) -> JsonObject:
    """Return `modelStatus`; `before` is the one last written, `now` seconds since the epoch."""
    if plan.stopped:
        return {"transitionStatus": ""}
    if plan.blocked:
        return _blocked(before, plan.blocked, now)
    opened = first_open(derive_component_chain(plan.workloads[0], observed))
    state = _derive_state(before, opened)
    active = LOADED if state == LOADED else (before.get("states") or {}).get("activeModelState", "")
    status: JsonObject = {
        "transitionStatus": _TRANSITIONS[state],
        "states": {"activeModelState": active, "targetModelState": state},
        "copies": _derive_copies(plan, observed),
    }
    failure = before.get("lastFailureInfo")
    if opened and opened.state is LinkState.FAILED:
        failure = _dated(_derive_failure(opened), failure, opened.link.since, now)
    return {**status, "lastFailureInfo": failure} if failure else status


def _derive_state(before: Mapping[str, Any], opened: ChainLink | None) -> str:
    """A replica that has failed and starts again has not loaded; it stays failed until it has."""
    if opened is None:
        return LOADED
    failed = (before.get("states") or {}).get("targetModelState") == FAILED_TO_LOAD
    again = before.get("transitionStatus") == _TRANSITIONS[FAILED_TO_LOAD] and failed
    if again and opened.exit is not None and opened.state is LinkState.RUNNING:
        return FAILED_TO_LOAD
    return _STATES.get((opened.name, opened.state), PENDING)


def _blocked(before: Mapping[str, Any], blocked: Blocked, now: float) -> JsonObject:
    """The reason is told in the words of the CRD's enum, the message in full."""
    reason = blocked.reason if blocked.reason in _BLOCK_REASONS else "InvalidPredictorSpec"
    info = {"reason": reason, "message": blocked.message}
    active = (before.get("states") or {}).get("activeModelState", "")
    status: JsonObject = {
        "transitionStatus": blocked.transition,
        "states": {"activeModelState": active, "targetModelState": FAILED_TO_LOAD},
        "lastFailureInfo": _dated(info, before.get("lastFailureInfo"), 0.0, now),
    }
    return {**status, "copies": before["copies"]} if before.get("copies") else status


def _derive_failure(opened: ChainLink) -> JsonObject:
    reason = "RuntimeUnhealthy" if opened.name == "environment" else "ModelLoadFailed"
    info: JsonObject = {"reason": reason, "message": opened.link.message[:_MESSAGE_LENGTH]}
    ended = opened.exit
    if ended is not None and ended.code is not None:
        info["exitCode"] = ended.code
    if ended is not None and is_plain(ended) and ended.last_lines:
        info["message"] = "\n".join(ended.last_lines)[-_MESSAGE_LENGTH:]
    if opened.replica:
        info["location"] = opened.replica
    return info


def _dated(
    info: JsonObject, before: Mapping[str, Any] | None, since: float, now: float
) -> JsonObject:
    """Date a failure: by when it happened, or where that is not known by when it was first told."""
    if since:
        return {**info, "time": rfc3339(since)}
    known = before and {k: v for k, v in before.items() if k != "time"} == info
    stamp = (before or {}).get("time") if known else None
    return {**info, "time": stamp or rfc3339(now)}


def _derive_copies(plan: Plan, observed: Observed) -> JsonObject:
    seen = find_workload(observed, plan.workloads[0].name) if plan.workloads else None
    replicas = [r for r in seen.replicas if not r.draining] if seen else []
    failed = [r for r in replicas if not r.running and r.last_exit]
    ready = sum(r.running and r.ready for r in replicas)
    return {"failedCopies": len(failed)} | ({"totalCopies": ready} if ready else {})
