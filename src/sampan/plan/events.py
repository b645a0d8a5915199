"""Events to record for an InferenceService when its status changes.

The texts of becoming Ready and ceasing to be are KServe's. A block, a failed link of the chain and
a field that is not acted on each give a Warning in the very words of the plan or the link.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sampan.api.condition_set import ConditionStatus, decode_conditions, find
from sampan.api.inferenceservice.conditions import COMPONENT_READY, INGRESS_READY, READY
from sampan.plan.chain import ChainLink, derive_chain, first_open
from sampan.plan.conditions import condition_status
from sampan.plan.observed import LinkState, Observed
from sampan.plan.rollout_notes import read_notes
from sampan.plan.types import Component, Plan

NORMAL, WARNING = "Normal", "Warning"


@dataclass(frozen=True, slots=True)
class PlannedEvent:
    """An event to record: `type` is `Normal` or `Warning`, `reason` is CamelCase."""

    type: str
    reason: str
    message: str


def derive_events(
    old_status: Mapping[str, Any],
    new_status: Mapping[str, Any],
    plan: Plan,
    observed: Observed,
    warnings: Iterable[tuple[str, str]] = (),
) -> tuple[PlannedEvent, ...]:
    """Return what is new between two statuses; nothing for equal ones.

    `warnings` are the platform's, beside those of the plan and of what was observed.
    """
    said = dict.fromkeys((*plan.warnings, *observed.warnings, *warnings))
    return (
        *_readiness(old_status, new_status, plan.service.name),
        *_failures(old_status, new_status, plan, observed),
        *_rolled_back(old_status, plan),
        *_unhonoured(old_status, new_status, said),
    )


def _readiness(
    old: Mapping[str, Any], new: Mapping[str, Any], name: str
) -> tuple[PlannedEvent, ...]:
    was, now = condition_status(old, READY), condition_status(new, READY)
    if now is ConditionStatus.TRUE and was is not ConditionStatus.TRUE:
        text = f"InferenceService [{name}] is Ready"
        return (PlannedEvent(NORMAL, "InferenceServiceReady", text),)
    if was is ConditionStatus.TRUE and now is ConditionStatus.FALSE:
        types = ", ".join(
            c["type"] for c in new["conditions"] if c["status"] == ConditionStatus.FALSE
        )
        text = f"InferenceService [{name}] is no longer Ready because of: {types}"
        return (PlannedEvent(WARNING, "InferenceServiceNotReady", text),)
    return ()


def _failures(
    old: Mapping[str, Any], new: Mapping[str, Any], plan: Plan, observed: Observed
) -> tuple[PlannedEvent, ...]:
    """The first failed link of each part in its own words, when they are not those told before."""
    if plan.blocked:
        told = plan.blocked.reason, plan.blocked.message
        return () if _same_failure(old, new) else (PlannedEvent(WARNING, *told),)
    return tuple(
        PlannedEvent(WARNING, opened.link.reason, opened.link.message)
        for opened in _open_links(derive_chain(plan, observed))
        if opened.state is LinkState.FAILED and not _is_told(old, new, opened)
    )


def _rolled_back(old: Mapping[str, Any], plan: Plan) -> tuple[PlannedEvent, ...]:
    """Each revision that is taken back, once, with the numbers that made it so."""
    return tuple(
        PlannedEvent(WARNING, rollout.failed.reason, f"{rollout.failed.message}; rolled back")
        for rollout in plan.rollouts
        if rollout.failed and read_notes(old, rollout.component).failed != rollout.failed
    )


def _open_links(chain: tuple[ChainLink, ...]) -> tuple[ChainLink, ...]:
    """The first link of each component that is not done: one may have failed while another is
    still on its way. The route's, where all components are there."""
    parts = [
        tuple(one for one in chain if one.name != "route" and one.component is component)
        for component in Component
    ]
    opened = tuple(one for part in parts if (one := first_open(part)) is not None)
    return opened or tuple(one for one in chain if one.state is not LinkState.DONE)


def _same_failure(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether it is the failure told before, its time included."""
    before, model = old.get("modelStatus") or {}, new.get("modelStatus") or {}
    return all(before.get(k) == model.get(k) for k in ("lastFailureInfo", "transitionStatus"))


def _is_told(old: Mapping[str, Any], new: Mapping[str, Any], opened: ChainLink) -> bool:
    """Whether a failed link is as it was told before; a model's failures are dated."""
    if opened.name == "route":
        return _same_condition(old, new, INGRESS_READY)
    if opened.component is Component.PREDICTOR:
        return _same_failure(old, new)
    return _same_condition(old, new, COMPONENT_READY[opened.component.value])


def _same_condition(old: Mapping[str, Any], new: Mapping[str, Any], name: str) -> bool:
    before, now = (find(decode_conditions(s.get("conditions")), name) for s in (old, new))
    return before == now


def _unhonoured(
    old: Mapping[str, Any], new: Mapping[str, Any], warnings: Iterable[tuple[str, str]]
) -> tuple[PlannedEvent, ...]:
    """Each field once per generation of the object."""
    if old.get("observedGeneration") == new.get("observedGeneration"):
        return ()
    return tuple(
        PlannedEvent(WARNING, "FieldNotHonoured", f"{path}: {sentence}")
        for path, sentence in warnings
    )
