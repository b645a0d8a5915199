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


def render_replicas(workload: Workload, observed: Observed) -> str:
    """Return the replicas that answer and those that are wanted, or that it sleeps."""
    if workload.idle:
        return "0 (idle)"
    seen = (w for w in observed.workloads if w.name == workload.name)
    ready = sum(r.running and r.ready and not r.draining for w in seen for r in w.replicas)
    return f"{ready}/{workload.replicas}"


def derive_scaling(plan: Plan) -> tuple[Condition, ...]:
    """Return the condition of the autoscalers; none where the machine holds what they want."""
    limited = [w.scale.limited for w in plan.workloads if w.scale and w.scale.limited]
    if not limited:
        return ()
    text = "; ".join(limited)
    return (Condition(SCALING_LIMITED, ConditionStatus.TRUE, INSUFFICIENT_MEMORY, text),)
