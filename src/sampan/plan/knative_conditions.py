"""The conditions of a service in Knative mode, where its newest revision counts. Pure.

Knative says Unknown of a configuration whose newest revision is on its way and False of one whose
newest failed, whatever an older one still answers, and KServe passes that on: who applies a change
and waits for Ready waits for that change. The way in stays True while requests pass.
"""

from __future__ import annotations

from dataclasses import replace

from sampan.api.condition_set import Condition, ConditionStatus
from sampan.plan.chain import derive_component_chain, first_open, stable_workloads
from sampan.plan.idle import derive_idle
from sampan.plan.link_words import describe_link
from sampan.plan.observed import LinkState, Observed
from sampan.plan.types import Plan, Workload


def as_knative(
    components: tuple[Condition, ...], ingress: Condition, plan: Plan, observed: Observed
) -> tuple[tuple[Condition, ...], Condition]:
    """Return the conditions of components and ingress in Knative's words.

    `components` are those of `stable_workloads(plan)`, as any mode has them.
    """
    pairs = tuple(zip(components, stable_workloads(plan), strict=True))
    told = tuple(_newest(condition, workload, observed) for condition, workload in pairs)
    missing = [
        new for new, old in zip(told, components, strict=True) if old.status != ConditionStatus.TRUE
    ]
    if missing and missing[0].status is ConditionStatus.UNKNOWN:
        ingress = replace(ingress, status=ConditionStatus.UNKNOWN)
    return told, ingress


def _newest(condition: Condition, workload: Workload, observed: Observed) -> Condition:
    """What is told of a component by its newest template alone; one that rests stays as it is."""
    opened = first_open(derive_component_chain(workload, observed))
    if opened is None or workload.replicas == 0 or derive_idle(workload, observed) is not None:
        return condition
    failed = opened.state is LinkState.FAILED
    status = ConditionStatus.FALSE if failed else ConditionStatus.UNKNOWN
    return Condition(condition.type, status, *describe_link(opened))
