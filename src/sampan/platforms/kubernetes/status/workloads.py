"""Whether a component is ready, in the words of what runs it (KServe, Standard readiness)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sampan.api.condition_set import Condition, ConditionStatus
from sampan.api.inferenceservice.conditions import (
    COMPONENT_READY,
    CONFIGURATION_READY,
    REASON_NEW_REPLICA_SET_AVAILABLE,
    REASON_RECONCILE_FAILED,
    ROUTE_READY,
)
from sampan.machinery.registry import JsonObject
from sampan.plan.pod_metadata import APP_LABEL
from sampan.plan.types import Component, Plan, Role, Workload
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS, KNATIVE_SERVICES
from sampan.platforms.kubernetes.status.observed import ClusterObserved
from sampan.platforms.kubernetes.status.serverless import derive_serverless

KNATIVE = "Knative"
_TRUE, _FALSE, _UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


def select_ready(plan: Plan, observed: ClusterObserved, mode: str) -> frozenset[str]:
    """Return the names of the workloads that can take requests now."""
    return frozenset(w.name for w in plan.workloads if _is_ready(w, observed, mode))


def _is_ready(workload: Workload, observed: ClusterObserved, mode: str) -> bool:
    if workload.role is Role.CANARY:
        found = observed.find(DEPLOYMENTS, workload.name) or {}
        return int((found.get("status") or {}).get("availableReplicas") or 0) > 0
    names = (workload.name,)
    return derive_component(workload.component, names, observed, mode).status is _TRUE


def derive_component(
    component: Component, names: tuple[str, ...], observed: ClusterObserved, mode: str
) -> Condition:
    """Return the condition of a component that runs as the objects of these names."""
    kind = COMPONENT_READY[component.value]
    failure = next((f for name in names if (f := observed.failure_of(name))), None)
    if failure is not None:
        reason = failure.reason or REASON_RECONCILE_FAILED
        return Condition(kind, _FALSE, reason, failure.message)
    if mode == KNATIVE:
        found = observed.find(KNATIVE_SERVICES, names[0])
        return _knative(kind, found, "Ready") or Condition(kind, _UNKNOWN)
    told = [_looked_after(kind, name, observed) for name in names]
    return _worst(told)


def _looked_after(kind: str, name: str, observed: ClusterObserved) -> Condition:
    deployment = observed.find(DEPLOYMENTS, name)
    pods = [p for p in observed.pods if _bears(p, f"isvc.{name}")]
    return derive_serverless(kind, deployment, pods) or _deployment(kind, deployment)


def _bears(pod: Mapping[str, Any], app: str) -> bool:
    return (pod["metadata"].get("labels") or {}).get(APP_LABEL) == app


def derive_knative_parts(
    component: Component, name: str, observed: ClusterObserved
) -> Iterator[Condition]:
    """Yield whether a component's route passes traffic, and whether its revision is ready."""
    found = observed.find(KNATIVE_SERVICES, name)
    for kinds, theirs in (
        (CONFIGURATION_READY, "ConfigurationsReady"),
        (ROUTE_READY, "RoutesReady"),
    ):
        condition = _knative(kinds[component.value], found, theirs)
        if condition is not None:
            yield condition


def _worst(told: list[Condition]) -> Condition:
    """Of a head and its workers the one that is not ready speaks, by its container's name."""
    if len(told) == 1:
        return told[0]
    names = ("predictor-container", "worker-container")
    named = [
        replace(c, message=f"{name}: {c.message}") if c.message else c
        for name, c in zip(names, told, strict=True)
    ]
    return next((c for c in named if c.status is not _TRUE), named[0])


def _deployment(kind: str, deployment: Mapping[str, Any] | None) -> Condition:
    """The rules in their order; a later one goes before an earlier."""
    conditions = _conditions(deployment)
    available, progressing = conditions.get("Available", {}), conditions.get("Progressing", {})
    found = Condition(kind, _FALSE)
    if available.get("status") == "True":
        found = _told(kind, _TRUE, available)
    if progressing.get("status") == "False" and progressing.get("message"):
        found = _told(kind, _FALSE, progressing)
    elif progressing.get("status") == "True":
        if progressing.get("reason") == REASON_NEW_REPLICA_SET_AVAILABLE:
            found = _told(kind, _TRUE, progressing)
        elif available.get("status") != "True":
            found = _told(kind, _UNKNOWN, progressing)
    if available.get("status") == "False":
        found = _told(kind, _FALSE, available)
    failure = conditions.get("ReplicaFailure", {})
    return _told(kind, _FALSE, failure) if failure.get("status") == "True" else found


def _knative(kind: str, obj: Mapping[str, Any] | None, theirs: str) -> Condition | None:
    found = _conditions(obj).get(theirs)
    if found is None:
        return None
    return _told(kind, ConditionStatus(found["status"]), found)


def _told(kind: str, status: ConditionStatus, source: Mapping[str, Any]) -> Condition:
    return Condition(
        kind, status, str(source.get("reason") or ""), str(source.get("message") or "")
    )


def _conditions(obj: Mapping[str, Any] | None) -> dict[str, JsonObject]:
    status = (obj or {}).get("status") or {}
    return {str(c["type"]): c for c in status.get("conditions") or ()}
