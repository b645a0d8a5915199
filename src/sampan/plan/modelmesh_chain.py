"""The way of a model to Ready in processes that are shared, and what `modelStatus` says of it.

The links are those of any service: the download is the model's own, environment, process and ready
are the shared processes', the load is theirs until they serve and the model's from then on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.machinery.timestamps import rfc3339
from sampan.plan.chain import LOAD_FAILED, ChainLink, derive_mesh_chain
from sampan.plan.observed import LinkState, MeshCopy, Observed
from sampan.plan.types import Plan

PENDING, STANDBY, LOADING = "Pending", "Standby", "Loading"
LOADED, FAILED_TO_LOAD = "Loaded", "FailedToLoad"

_MESSAGE_LENGTH = 2048


def is_answered(observed: Observed) -> bool:
    """Return whether a model of the service answers, perhaps that of an older spec."""
    active = observed.mesh.active if observed.mesh else None
    return active is not None and active.state in (LOADED, STANDBY, LOADING)


def derive_mesh_model_status(
    before: Mapping[str, Any], plan: Plan, observed: Observed, now: float
) -> JsonObject:
    """Return `modelStatus` (ModelMesh, predictor status): the old model's state is the active one
    until the new one, the target, has taken its place.
    """
    seen = observed.mesh
    opened = next((o for o in derive_mesh_chain(plan, observed) if o.state is not LinkState.DONE),
                  None)  # fmt: skip
    target = _target_state(opened, seen.target if seen else MeshCopy(""))
    active = seen.active if seen else None
    states = {"activeModelState": active.state if active else "", "targetModelState": target}
    status: JsonObject = {
        "transitionStatus": _transition(states, changing=active is None or active.id != _id(seen)),
        "states": states,
    }
    copy = seen.target if seen else MeshCopy("")
    status["copies"] = {"failedCopies": copy.failed, **({"totalCopies": copy.copies} if copy.copies
                                                        else {})}  # fmt: skip
    failure = before.get("lastFailureInfo")
    if opened is not None and opened.state is LinkState.FAILED and opened.name != "route":
        failure = _failure(opened, copy, now, failure)
    return {**status, "lastFailureInfo": failure} if failure else status


def _id(seen: Any) -> str:
    return str(seen.target.id) if seen else ""


def _target_state(opened: ChainLink | None, copy: MeshCopy) -> str:
    if opened is None or opened.name in ("ready", "route"):
        return copy.state or PENDING
    if opened.state is LinkState.FAILED:
        return FAILED_TO_LOAD
    if opened.name == "load" and copy.state:
        return copy.state
    return LOADING if opened.name == "download" and opened.state is LinkState.RUNNING else PENDING


def _transition(states: Mapping[str, str], *, changing: bool) -> str:
    if states["targetModelState"] == FAILED_TO_LOAD:
        return "BlockedByFailedLoad"
    settled = states["targetModelState"] in (LOADED, STANDBY) and not changing
    return "UpToDate" if settled or not changing else "InProgress"


def _failure(
    opened: ChainLink, copy: MeshCopy, now: float, before: Mapping[str, Any] | None
) -> JsonObject:
    """Name the model and the process that it did not load in, as ModelMesh does."""
    reason = "RuntimeUnhealthy" if opened.name in ("environment", "process") else LOAD_FAILED
    info: JsonObject = {
        "reason": reason,
        "message": opened.link.message[:_MESSAGE_LENGTH],
        "modelRevisionName": copy.id,
    }
    location = copy.location or opened.replica
    if location:
        info["location"] = location
    if opened.link.since:
        return {**info, "time": rfc3339(opened.link.since)}
    known = before and {k: v for k, v in before.items() if k != "time"} == info
    stamp = (before or {}).get("time") if known else None
    return {**info, "time": stamp or rfc3339(now)}
