"""A workload that sleeps is well: nothing runs, and the request that comes next starts a replica.

Knative Serving: a revision at zero keeps its service Ready; only its `Active` is False, for the
reason `NoTraffic`.
"""

from __future__ import annotations

from sampan.api.condition_set import Condition, ConditionStatus
from sampan.api.inferenceservice.conditions import COMPONENT_READY
from sampan.plan.observed import Link, LinkState, Observed
from sampan.plan.types import Workload

NO_TRAFFIC = "NoTraffic"
IDLE_TEXT = "idle: no request comes, so no replica runs; the next request starts one"


def make_idle_link(workload: Workload) -> Link:
    """Return what stands for each link of a replica that nobody needs."""
    reason = workload.scale.reason if workload.scale else ""
    return Link(LinkState.DONE, NO_TRAFFIC, reason or IDLE_TEXT)


def derive_idle(workload: Workload, observed: Observed) -> Condition | None:
    """Return the condition of a workload that sleeps or wakes, None where it does neither.

    Waking it stays as it was, Ready, for requests wait and are answered; a start that fails tells.
    """
    scale = workload.scale
    if scale is None or not (workload.idle or scale.waking) or _has_failed(workload, observed):
        return None
    kind = COMPONENT_READY[workload.component.value]
    return Condition(kind, ConditionStatus.TRUE, NO_TRAFFIC, IDLE_TEXT)


def _has_failed(workload: Workload, observed: Observed) -> bool:
    seen = next((w for w in observed.workloads if w.name == workload.name), None)
    if seen is None or workload.idle:
        return False
    links = (seen.download, seen.environment, *(r.load for r in seen.replicas))
    return any(link.state is LinkState.FAILED for link in links)
