"""The status of an InferenceGraph, and the events of its changes.

Ready is True only while a request through the gateway reaches the router and every service that a
step names is Ready; KServe looks at neither. Deriving twice gives the same status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.api.condition_set import Condition, ConditionStatus, decode_conditions, find
from sampan.api.inferencegraph.conditions import GRAPH_CONDITIONS, READY, STOPPED
from sampan.machinery.registry import JsonObject
from sampan.plan.chain import derive_chain, first_open
from sampan.plan.conditions import condition_status
from sampan.plan.events import NORMAL, WARNING, PlannedEvent
from sampan.plan.graph_build import STEP_NOT_READY, GraphSnapshot, find_unready, make_not_ready
from sampan.plan.observed import LinkState, Observed
from sampan.plan.service import deployment_mode
from sampan.plan.types import Plan

NOT_AVAILABLE = "MinimumReplicasUnavailable"


def derive_graph_status(snapshot: GraphSnapshot, plan: Plan, observed: Observed) -> JsonObject:
    """Return the whole status to write; the snapshot's graph holds the one last written."""
    before = snapshot.graph.get("status") or {}
    stopped = ConditionStatus.TRUE if plan.stopped else ConditionStatus.FALSE
    conditions = decode_conditions(before.get("conditions"))
    # Ready last: it depends on no other, and marking one that is True would make it so.
    for condition in (Condition(STOPPED, stopped), _derive_ready(snapshot, plan, observed)):
        conditions = GRAPH_CONDITIONS.mark(conditions, condition, snapshot.now)
    status: JsonObject = {
        "observedGeneration": int(snapshot.graph["metadata"].get("generation") or 0),
        "deploymentMode": deployment_mode(snapshot.graph, snapshot.config.default_deployment_mode),
        "conditions": [condition.encode() for condition in conditions],
    }
    if plan.stopped:
        return status
    if condition_status(status, READY) is ConditionStatus.TRUE:
        return {**status, "url": plan.url}
    return {**status, "url": before["url"]} if before.get("url") else status


def derive_graph_events(
    name: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> tuple[PlannedEvent, ...]:
    """Return what is new between two statuses; nothing for equal ones."""
    was, now = (find(decode_conditions(s.get("conditions")), READY) for s in (old, new))
    if now is None or (was is not None and (was.status, was.reason) == (now.status, now.reason)):
        return ()
    if now.status is ConditionStatus.TRUE:
        return (PlannedEvent(NORMAL, "InferenceGraphReady", f"InferenceGraph [{name}] is Ready"),)
    found = []
    if was is not None and was.status is ConditionStatus.TRUE:
        text = f"InferenceGraph [{name}] is no longer Ready because of: {now.reason}"
        found.append(PlannedEvent(WARNING, "InferenceGraphNotReady", text))
    if now.message and now.reason != NOT_AVAILABLE:
        found.append(PlannedEvent(WARNING, now.reason, now.message))
    return tuple(found)


def _derive_ready(snapshot: GraphSnapshot, plan: Plan, observed: Observed) -> Condition:
    if plan.stopped:
        return Condition(READY, ConditionStatus.FALSE, "Stopped")
    if plan.blocked:
        return Condition(READY, ConditionStatus.FALSE, plan.blocked.reason, plan.blocked.message)
    unready = find_unready(snapshot)
    if unready:
        return Condition(READY, ConditionStatus.FALSE, STEP_NOT_READY, make_not_ready(*unready))
    opened = first_open(derive_chain(plan, observed))
    if opened is None:
        return Condition(READY, ConditionStatus.TRUE)
    link = opened.link
    if link.state is LinkState.FAILED:
        reason, text = link.reason or NOT_AVAILABLE, f"{opened.name}: {link.message}"
        return Condition(READY, ConditionStatus.FALSE, reason, text)
    doing = f"{link.state.value} ({link.reason})" if link.reason else link.state.value
    return Condition(
        READY, ConditionStatus.FALSE, NOT_AVAILABLE, f"router: {opened.name} is {doing}"
    )
