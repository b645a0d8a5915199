"""`status.modelStatus`, read from the newest pod of the predictor (KServe, modelStatus)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.machinery.timestamps import rfc3339
from sampan.plan.model_status import FAILED_TO_LOAD, LOADED, LOADING, PENDING
from sampan.plan.service import MAIN_CONTAINER

INITIALIZER = "storage-initializer"
_TRANSITIONS = {
    PENDING: "InProgress",
    LOADING: "InProgress",
    LOADED: "UpToDate",
    FAILED_TO_LOAD: "BlockedByFailedLoad",
}
CRASH_LOOP = "CrashLoopBackOff"
OUT_OF_MEMORY = "OOMKilled"


def keep_of_pod(pod: Mapping[str, Any]) -> JsonObject:
    """Return what of a pod its service's status is read from: a tenth of it."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    kept = ("name", "namespace", "labels", "creationTimestamp", "deletionTimestamp")
    told = ("phase", "conditions", "containerStatuses", "initContainerStatuses")
    return {
        "metadata": {k: metadata[k] for k in kept if k in metadata},
        "status": {k: status[k] for k in told if k in status},
    }


def derive_pod_model_status(
    before: Mapping[str, Any],
    pods: tuple[JsonObject, ...],
    now: float,
    *,
    ready: bool,
    asleep: bool = False,
) -> JsonObject:
    """Return `modelStatus`; `pods` are the predictor's, newest first, `now` seconds.

    `ready`: the predictor takes requests with its newest template; `asleep`: without a pod.
    """
    failure = _failure(pods[0]) if pods else None
    state = _state(pods[0] if pods else None, failure, ready=ready)
    if asleep and ready and not pods:
        state = LOADED
    active = LOADED if state == LOADED else (before.get("states") or {}).get("activeModelState", "")
    copies = sum(_is_ready(pod) for pod in pods)
    status: JsonObject = {
        "transitionStatus": _TRANSITIONS[state],
        "states": {"activeModelState": active, "targetModelState": state},
        "copies": {"failedCopies": 0, **({"totalCopies": copies} if copies else {})},
    }
    known = before.get("lastFailureInfo")
    if failure is not None and state == FAILED_TO_LOAD:
        known = _dated(failure, known, now)
    return {**status, "lastFailureInfo": known} if known else status


def _state(pod: Mapping[str, Any] | None, failure: JsonObject | None, *, ready: bool) -> str:
    if pod is None:
        return PENDING
    if failure is not None and failure["container"] == INITIALIZER:
        return FAILED_TO_LOAD
    if _state_of(pod, "initContainerStatuses", INITIALIZER).get("running"):
        return LOADING
    if ready:
        return LOADED
    return FAILED_TO_LOAD if failure is not None else PENDING


def _failure(pod: Mapping[str, Any]) -> JsonObject | None:
    """What ended badly in a pod: the fetching of the model, else the server."""
    for field, name in (
        ("initContainerStatuses", INITIALIZER),
        ("containerStatuses", MAIN_CONTAINER),
    ):
        status = _container(pod, field, name)
        ended = _bad_end(status)
        if ended is not None:
            return {
                "container": name,
                "reason": "ModelLoadFailed",
                "message": str(ended.get("message") or ""),
                "exitCode": int(ended.get("exitCode") or 0),
            }
    return None


def _bad_end(status: Mapping[str, Any]) -> Mapping[str, Any] | None:
    state = status.get("state") or {}
    ended: Mapping[str, Any] = state.get("terminated") or {}
    if ended.get("reason") in {"Error", OUT_OF_MEMORY}:
        return ended
    if (state.get("waiting") or {}).get("reason") == CRASH_LOOP:
        return (status.get("lastState") or {}).get("terminated") or {}
    return None


def _dated(failure: JsonObject, before: Mapping[str, Any] | None, now: float) -> JsonObject:
    info = {k: v for k, v in failure.items() if k != "container" and v not in ("", 0)}
    known = {k: v for k, v in (before or {}).items() if k != "time"}
    stamp = (before or {}).get("time") if known == info else None
    return {**info, "time": stamp or rfc3339(now)}


def _container(pod: Mapping[str, Any], field: str, name: str) -> Mapping[str, Any]:
    statuses = (pod.get("status") or {}).get(field) or ()
    return next((s for s in statuses if s.get("name") == name), {})


def _state_of(pod: Mapping[str, Any], field: str, name: str) -> Mapping[str, Any]:
    return _container(pod, field, name).get("state") or {}


def _is_ready(pod: Mapping[str, Any]) -> bool:
    status = pod.get("status") or {}
    conditions = {c.get("type"): c.get("status") for c in status.get("conditions") or ()}
    gone = pod["metadata"].get("deletionTimestamp")
    return status.get("phase") == "Running" and conditions.get("Ready") == "True" and not gone
