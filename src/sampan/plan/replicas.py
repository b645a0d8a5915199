"""How many replicas a service has, as people read it, and whether its machine holds them all."""

from __future__ import annotations

from sampan.api.condition_set import Condition, ConditionStatus
from sampan.plan.observed import Observed
from sampan.plan.types import Plan, Workload

REPLICAS = "serving.sampan.dev/replicas"
"""The note in `status.annotations`: ready and wanted replicas of the predictor, as `1/3`."""

SCALING_LIMITED = "ScalingLimited"
"""A condition of Kubernetes's horizontal autoscaler: more replicas are wanted than there may be."""

INSUFFICIENT_MEMORY = "InsufficientMemory"

SCALING_ACTIVE = "ScalingActive"
"""A condition of Kubernetes's horizontal autoscaler: False while a metric cannot be read."""


def render_replicas(workload: Workload, observed: Observed) -> str:
    """Return the replicas that answer and those that are wanted, or that it sleeps."""
    if workload.idle:
        return "0 (idle)"
    seen = (w for w in observed.workloads if w.name == workload.name)
    ready = sum(r.running and r.ready and not r.draining for w in seen for r in w.replicas)
    return f"{ready}/{workload.replicas}"


def derive_scaling(plan: Plan) -> tuple[Condition, ...]:
    """Return the conditions of the autoscalers; none where they can act as they should."""
    scales = [w.scale for w in plan.workloads if w.scale]
    limited = "; ".join(scale.limited for scale in scales if scale.limited)
    unread = [scale.unread for scale in scales if scale.unread]
    found = []
    if limited:
        true = ConditionStatus.TRUE
        found.append(Condition(SCALING_LIMITED, true, INSUFFICIENT_MEMORY, limited))
    if unread:
        text = "; ".join(one.message for one in unread)
        found.append(Condition(SCALING_ACTIVE, ConditionStatus.FALSE, unread[0].reason, text))
    return tuple(found)
