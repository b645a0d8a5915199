"""The status of an InferenceService of ModelMesh mode. Pure, and derived once, as any other's.

ModelMesh writes `url`, `restUrl` and `grpcUrl` once the model is available; it is available while
a model of the service answers, that of an older spec among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sampan.api.condition_set import Condition, ConditionStatus
from sampan.api.inferenceservice.conditions import INGRESS_READY, REASON_STOPPED, STOPPED
from sampan.machinery.registry import JsonObject
from sampan.plan.chain import derive_mesh_chain, first_open
from sampan.plan.link_words import describe_link
from sampan.plan.model_status import derive_model_status
from sampan.plan.modelmesh_chain import derive_mesh_model_status, is_answered
from sampan.plan.observed import LinkState, Observed
from sampan.plan.routes import make_address, make_url
from sampan.plan.types import Plan, Snapshot

PREDICTOR_READY = "PredictorReady"


def make_mesh_conditions(plan: Plan, observed: Observed) -> tuple[Condition, ...]:
    """Return the conditions, from cause to effect."""
    if plan.stopped:
        return (
            *(
                Condition(name, ConditionStatus.FALSE, REASON_STOPPED)
                for name in (PREDICTOR_READY, INGRESS_READY)
            ),
            Condition(STOPPED, ConditionStatus.TRUE),
        )
    running = Condition(STOPPED, ConditionStatus.FALSE)
    return (_predictor(plan, observed), _ingress(plan, observed), running)


def _predictor(plan: Plan, observed: Observed) -> Condition:
    """A model that answers is ready though another is on its way, or did not load."""
    chain = [one for one in derive_mesh_chain(plan, observed) if one.name != "route"]
    shared = [one for one in chain if one.name in ("environment", "process", "ready")]
    answers = is_answered(observed) and first_open(tuple(shared)) is None
    if plan.blocked is not None and not answers:
        return Condition(
            PREDICTOR_READY, ConditionStatus.UNKNOWN, plan.blocked.reason, plan.blocked.message
        )
    opened = first_open(tuple(chain))
    if answers or (opened is None and chain):
        reason = "" if opened is None and plan.blocked is None else "OlderModelServes"
        text = "the model of the last spec that loaded answers" if reason else ""
        return Condition(PREDICTOR_READY, ConditionStatus.TRUE, reason, text)
    if opened is None:  # planned for a cluster: there ModelMesh's own controller says how it is
        return Condition(PREDICTOR_READY, ConditionStatus.UNKNOWN)
    return Condition(PREDICTOR_READY, ConditionStatus.FALSE, *describe_link(opened))


def _ingress(plan: Plan, observed: Observed) -> Condition:
    predictor = _predictor(plan, observed)
    if predictor.status is ConditionStatus.UNKNOWN:
        return Condition(INGRESS_READY, ConditionStatus.UNKNOWN)
    if predictor.status is not ConditionStatus.TRUE:
        return Condition(INGRESS_READY, ConditionStatus.FALSE, "Predictor ingress not created")
    route = observed.route
    if route.state is LinkState.DONE:
        return Condition(INGRESS_READY, ConditionStatus.TRUE)
    text = route.message or "the gateway does not pass a request yet"
    return Condition(INGRESS_READY, ConditionStatus.FALSE, route.reason or "RouteNotReady", text)


def derive_mesh_model(
    before: Mapping[str, Any], plan: Plan, observed: Observed, now: float
) -> JsonObject:
    """Return `modelStatus`; of a plan that is stopped or blocked as in any other mode."""
    if plan.mesh is not None:
        return derive_mesh_model_status(before, plan, observed, now)
    status = derive_model_status(before, plan, observed, now)
    active = observed.mesh.active if observed.mesh else None
    if active is not None and "states" in status:
        status["states"] = {**status["states"], "activeModelState": active.state}
    return status


def make_mesh_urls(snapshot: Snapshot, plan: Plan, *, ready: bool) -> JsonObject:
    """Return the addresses; those written before stay (KServe, URL fields)."""
    before = snapshot.service.get("status") or {}
    if not ready:
        kept = ("url", "address", "components")
        return {name: before[name] for name in kept if before.get(name)}
    key, gateway = plan.service, snapshot.gateway
    rest = make_url(key.name, key.namespace, gateway)
    grpc = make_url(key.name, key.namespace, replace(gateway, scheme="grpc"))
    urls = {"url": grpc, "restUrl": rest, "grpcUrl": grpc}
    return {
        "url": grpc,
        "address": {"url": make_address(key, gateway)},
        "components": {"predictor": urls},
    }
