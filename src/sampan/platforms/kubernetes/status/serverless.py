"""What a workload says that the activator looks after: that sleeps or wakes, and is Ready still.

Its Deployment has fewer pods than it asks for each time that it is woken. That is no failure while
requests wait and are answered; a pod that fails is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sampan.api.condition_set import Condition, ConditionStatus
from sampan.api.inferenceservice.conditions import REASON_NEW_REPLICA_SET_AVAILABLE
from sampan.machinery.registry import JsonObject
from sampan.plan.idle import IDLE_TEXT, NO_TRAFFIC
from sampan.platforms.kubernetes.children import AUTOSCALER

_STARTING = frozenset({"ContainerCreating", "PodInitializing"})


def is_looked_after(deployment: Mapping[str, Any] | None) -> bool:
    """Return whether the activator looks after a Deployment."""
    labels = ((deployment or {}).get("metadata") or {}).get("labels") or {}
    return AUTOSCALER in labels


def is_asleep(deployment: Mapping[str, Any] | None) -> bool:
    """Return whether a Deployment has no replica because nobody needs one."""
    spec = (deployment or {}).get("spec") or {}
    return is_looked_after(deployment) and spec.get("replicas") == 0


def derive_serverless(
    kind: str, deployment: Mapping[str, Any] | None, pods: Iterable[Mapping[str, Any]]
) -> Condition | None:
    """Return the condition of a workload that sleeps or wakes; None where its Deployment speaks.

    Only of a template that has been complete before: one that never ran has to prove itself.
    `pods` are those that are known of it, newest first.
    """
    if deployment is None or not is_looked_after(deployment):
        return None
    conditions = {c["type"]: c for c in (deployment.get("status") or {}).get("conditions") or ()}
    progressing, failure = conditions.get("Progressing", {}), conditions.get("ReplicaFailure", {})
    proven = progressing.get("reason") == REASON_NEW_REPLICA_SET_AVAILABLE
    if not proven or failure.get("status") == "True":
        return None
    if is_asleep(deployment):
        return Condition(kind, ConditionStatus.TRUE, NO_TRAFFIC, IDLE_TEXT)
    if any(map(_is_failing, pods)):
        return None
    return Condition(kind, ConditionStatus.TRUE, REASON_NEW_REPLICA_SET_AVAILABLE)


def render_replicas(deployment: Mapping[str, Any]) -> str:
    """Return the replicas that are ready and those that are asked for, or that it sleeps."""
    if is_asleep(deployment):
        return "0 (idle)"
    ready = int((deployment.get("status") or {}).get("readyReplicas") or 0)
    return f"{ready}/{deployment['spec'].get('replicas', 1)}"


def _is_failing(pod: Mapping[str, Any]) -> bool:
    """Whether a container ended badly, or cannot start; or no node has room for the pod."""
    status = pod.get("status") or {}
    if any(_is_unschedulable(condition) for condition in status.get("conditions") or ()):
        return True
    fields = ("initContainerStatuses", "containerStatuses")
    states = [one.get("state") or {} for field in fields for one in status.get(field) or ()]
    return any(map(_is_bad, states))


def _is_unschedulable(condition: Mapping[str, Any]) -> bool:
    return (condition.get("type"), condition.get("status")) == ("PodScheduled", "False")


def _is_bad(state: JsonObject) -> bool:
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
    return (
        bool(ended.get("exitCode")) or waiting.get("reason", "ContainerCreating") not in _STARTING
    )
