"""The status of an InferenceGraph on a cluster: what its router's own object says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sampan.api.condition_set import Condition, ConditionStatus, decode_conditions
from sampan.api.inferencegraph.conditions import GRAPH_CONDITIONS, READY, STOPPED
from sampan.machinery.registry import JsonObject
from sampan.plan.graph_build import STEP_NOT_READY, GraphSnapshot, find_unready, make_not_ready
from sampan.plan.service import deployment_mode
from sampan.plan.types import Component
from sampan.platforms.kubernetes.hosts import make_host
from sampan.platforms.kubernetes.kinds import KNATIVE_SERVICES
from sampan.platforms.kubernetes.source import Source
from sampan.platforms.kubernetes.status.observed import ClusterObserved
from sampan.platforms.kubernetes.status.workloads import KNATIVE, derive_component


def derive_cluster_graph_status(
    source: Source, snapshot: GraphSnapshot, observed: ClusterObserved
) -> JsonObject:
    """Return the whole status; Ready is True while the router and every named service are."""
    graph, before = source.service, source.service.get("status") or {}
    mode = deployment_mode(graph, source.config.default_deployment_mode)
    conditions = decode_conditions(before.get("conditions"))
    if source.plan.stopped:  # of a router that is gone nothing is told
        conditions = tuple(c for c in conditions if c.type in (READY, STOPPED))
    stopped = ConditionStatus.TRUE if source.plan.stopped else ConditionStatus.FALSE
    ready = _ready(source, snapshot, observed, mode)
    for condition in (Condition(STOPPED, stopped), *_parts(source, observed), ready):
        conditions = GRAPH_CONDITIONS.mark(conditions, condition, snapshot.now)
    status: JsonObject = {
        "observedGeneration": int(graph["metadata"].get("generation") or 0),
        "deploymentMode": mode,
        "conditions": [condition.encode() for condition in conditions],
    }
    if source.plan.stopped:
        return status
    if ready.status is ConditionStatus.TRUE:
        return {**status, "url": _url(source, observed, mode)}
    return {**status, "url": before["url"]} if before.get("url") else status


def _ready(
    source: Source, snapshot: GraphSnapshot, observed: ClusterObserved, mode: str
) -> Condition:
    plan = source.plan
    if plan.stopped:
        return Condition(READY, ConditionStatus.FALSE, "Stopped")
    if plan.blocked:
        return Condition(READY, ConditionStatus.FALSE, plan.blocked.reason, plan.blocked.message)
    unready = find_unready(snapshot)
    if unready:
        return Condition(READY, ConditionStatus.FALSE, STEP_NOT_READY, make_not_ready(*unready))
    # A router is told apart from no other component: its condition is the graph's own.
    told = derive_component(Component.PREDICTOR, (source.name,), observed, mode)
    if told.status is ConditionStatus.TRUE:
        return Condition(READY, ConditionStatus.TRUE)
    return Condition(READY, told.status, told.reason, told.message)


def _parts(source: Source, observed: ClusterObserved) -> Iterator[Condition]:
    """Yield what a Knative Service says of its revision and its route (KServe)."""
    found: Mapping[str, Any] = observed.find(KNATIVE_SERVICES, source.name) or {}
    for told in (found.get("status") or {}).get("conditions") or ():
        if told["type"] != READY and not source.plan.stopped:
            status, reason = ConditionStatus(told["status"]), str(told.get("reason") or "")
            yield Condition(str(told["type"]), status, reason, str(told.get("message") or ""))


def _url(source: Source, observed: ClusterObserved, mode: str) -> str:
    if mode == KNATIVE:
        found: Mapping[str, Any] = observed.find(KNATIVE_SERVICES, source.name) or {}
        return str((found.get("status") or {}).get("url") or "")
    return f"http://{make_host(source, source.name)}"
