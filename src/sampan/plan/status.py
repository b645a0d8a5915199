"""The status of an InferenceService, derived from what was decided and what was observed.

One pure function for both platforms (KServe, status and conditions, Standard mode). Ready is True
only while a request through the route passes and enough replicas are ready; replicas of an older
template count while a new one is rolled out. Deriving twice gives the same status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.api.condition_set import Condition, ConditionStatus
from sampan.api.inferenceservice.conditions import (
    COMPONENT_READY,
    INGRESS_READY,
    REASON_NEW_REPLICA_SET_AVAILABLE,
    REASON_STOPPED,
    STOPPED,
)
from sampan.machinery.registry import JsonObject
from sampan.plan.chain import (
    derive_component_chain,
    find_workload,
    first_open,
    stable_workloads,
)
from sampan.plan.conditions import condition_status, derive_conditions
from sampan.plan.idle import derive_idle
from sampan.plan.knative_conditions import as_knative
from sampan.plan.link_words import describe_link
from sampan.plan.model_status import derive_model_status
from sampan.plan.modelmesh import is_modelmesh
from sampan.plan.modelmesh_status import derive_mesh_model, make_mesh_conditions, make_mesh_urls
from sampan.plan.observed import Link, LinkState, Observed
from sampan.plan.replicas import REPLICAS, derive_scaling, render_replicas
from sampan.plan.revision import Rollout
from sampan.plan.rollout_notes import make_notes, make_stopped_notes
from sampan.plan.rollout_status import derive_canaries, derive_failed, derive_revisions
from sampan.plan.routes import make_address, make_url
from sampan.plan.service import component_name, components_of, deployment_mode
from sampan.plan.types import Blocked, Component, Plan, Role, RuntimeScope, Snapshot, Workload

# Kubernetes's default for a rolling update: a quarter of the replicas may be missing.
_MAX_UNAVAILABLE_PERCENT = 25
_RUNTIME_FIELDS = {
    RuntimeScope.NAMESPACE: "servingRuntimeName",
    RuntimeScope.CLUSTER: "clusterServingRuntimeName",
}


def derive_status(snapshot: Snapshot, plan: Plan, observed: Observed) -> JsonObject:
    """Return the whole status to write; `snapshot.service["status"]` is the one last written."""
    before = snapshot.service.get("status") or {}
    meshed = is_modelmesh(snapshot.service, snapshot.config)
    derive_model = derive_mesh_model if meshed else derive_model_status
    status: JsonObject = {
        "observedGeneration": int(snapshot.service["metadata"].get("generation") or 0),
        "deploymentMode": deployment_mode(
            snapshot.service, snapshot.config.default_deployment_mode
        ),
        "modelStatus": derive_model(
            {} if _was_stopped(before) else before.get("modelStatus") or {},
            plan,
            observed,
            snapshot.now,
        ),
        "conditions": derive_conditions(
            before.get("conditions") or (), _make_conditions(snapshot, plan, observed), snapshot.now
        ),
    }
    status |= _make_runtime(before, plan)
    if meshed and not plan.stopped:
        ready = condition_status(status, INGRESS_READY) is ConditionStatus.TRUE
        return status | make_mesh_urls(snapshot, plan, ready=ready)
    if plan.workloads and not plan.stopped:
        replicas = {REPLICAS: render_replicas(plan.workloads[0], observed)}
        status["annotations"] = {**replicas, **make_notes(plan.rollouts)}
    if plan.stopped and (notes := make_stopped_notes(before)):
        status["annotations"] = dict(notes)
    if canaries := derive_canaries(snapshot.service, plan, observed)[0]:
        status["canaryStatuses"] = canaries
    return status if plan.stopped else status | _make_urls(snapshot, before, plan, status)


def _was_stopped(before: Mapping[str, Any]) -> bool:
    return condition_status(before, STOPPED) is ConditionStatus.TRUE


def _make_runtime(before: Mapping[str, Any], plan: Plan) -> JsonObject:
    """A block for want of a runtime keeps the name under which the old replicas still serve."""
    if plan.runtime_scope is not RuntimeScope.NONE:
        return {_RUNTIME_FIELDS[plan.runtime_scope]: plan.runtime_name}
    kept = _RUNTIME_FIELDS.values() if plan.blocked else ()
    return {name: before[name] for name in kept if before.get(name)}


def _make_urls(
    snapshot: Snapshot, before: Mapping[str, Any], plan: Plan, status: Mapping[str, Any]
) -> JsonObject:
    """URLs appear with the first readiness and stay (KServe, URL fields)."""
    rollouts = {r.component: r for r in plan.rollouts}
    components = {
        component.value: _make_component(
            snapshot, before, status, component, rollouts.get(component)
        )
        for component in components_of(snapshot.service)
    }
    urls: JsonObject = {k: before[k] for k in ("url", "address") if before.get(k)}
    if condition_status(status, INGRESS_READY) is ConditionStatus.TRUE:
        urls = {
            "url": plan.url,
            "address": {"url": make_address(plan.service, snapshot.gateway)},
        }
    if plan.blocked and not before.get("components"):
        return urls
    return {**urls, "components": components}


def _make_component(
    snapshot: Snapshot,
    before: Mapping[str, Any],
    status: Mapping[str, Any],
    component: Component,
    rollout: Rollout | None,
) -> JsonObject:
    known = dict((before.get("components") or {}).get(component.value) or {})
    namespace = str(snapshot.service["metadata"].get("namespace") or "default")
    if rollout is not None:
        known |= derive_revisions(rollout, namespace, snapshot.gateway)
    if condition_status(status, COMPONENT_READY[component.value]) is ConditionStatus.TRUE:
        name = component_name(snapshot.service, component)
        known["url"] = make_url(name, namespace, snapshot.gateway)
    return known


def _make_conditions(snapshot: Snapshot, plan: Plan, observed: Observed) -> tuple[Condition, ...]:
    before = snapshot.service.get("status") or {}
    if is_modelmesh(snapshot.service, snapshot.config):
        return make_mesh_conditions(plan, observed)
    canaries = derive_canaries(snapshot.service, plan, observed)[1]
    if plan.stopped:
        present = components_of(snapshot.service)
        stopped = (*(COMPONENT_READY[c.value] for c in present), INGRESS_READY)
        return (
            *(Condition(name, ConditionStatus.FALSE, REASON_STOPPED) for name in stopped),
            *canaries,
            Condition(STOPPED, ConditionStatus.TRUE),
        )
    components = (
        tuple(_derive_blocked(c, plan.blocked, observed) for c in _seen_components(observed))
        if plan.blocked
        else tuple(_derive_component(w, plan, observed) for w in stable_workloads(plan))
    )
    ingress = _derive_ingress(components, observed.route)
    mode = deployment_mode(snapshot.service, snapshot.config.default_deployment_mode)
    if mode == "Knative" and not plan.blocked:
        components, ingress = as_knative(components, ingress, plan, observed)
    if plan.blocked and condition_status(before, STOPPED) is None:
        return (*components, ingress)
    told = (*(canaries or derive_failed(plan.rollouts)), *derive_scaling(plan))
    return (*components, ingress, *told, Condition(STOPPED, ConditionStatus.FALSE))


def _seen_components(observed: Observed) -> tuple[Component, ...]:
    """The predictor, and each other component of which something is there."""
    seen = {w.component for w in observed.workloads}
    others = (c for c in (Component.TRANSFORMER, Component.EXPLAINER) if c.value in seen)
    return (Component.PREDICTOR, *others)


def _derive_blocked(component: Component, blocked: Blocked, observed: Observed) -> Condition:
    """What ran before the block stays, and is as ready as it is."""
    kind = COMPONENT_READY[component.value]
    seen = tuple(w for w in observed.workloads if w.component == component.value)
    wanted = sum(w.replicas_wanted or 1 for w in seen)
    ready = sum(_serving(observed, w.name) for w in seen)
    if wanted and ready >= _least(wanted):
        text = "the replicas of the last valid spec serve"
        return Condition(kind, ConditionStatus.TRUE, "MinimumReplicasAvailable", text)
    status = ConditionStatus.FALSE if wanted else ConditionStatus.UNKNOWN
    return Condition(kind, status, blocked.reason, blocked.message)


def _derive_component(workload: Workload, plan: Plan, observed: Observed) -> Condition:
    """Return the condition of a component, by the workload that answers for it."""
    kind, component = COMPONENT_READY[workload.component.value], workload.component.value
    sleeping = derive_idle(workload, observed)
    if sleeping is not None:
        return sleeping
    if workload.replicas == 0:
        text = (
            f"spec.{component}.minReplicas is 0 and nothing starts a replica; set it to 1 or more"
        )
        return Condition(kind, ConditionStatus.FALSE, "NoReplicas", text)
    opened = first_open(derive_component_chain(workload, observed))
    if opened is None:
        text = f'all replicas of template "{workload.template_hash}" are ready'
        return Condition(kind, ConditionStatus.TRUE, REASON_NEW_REPLICA_SET_AVAILABLE, text)
    older = (w for w in plan.workloads if w.component is workload.component and w is not workload)
    names = (workload.name, *(w.name for w in older if w.role is Role.REVISION))
    if sum(_serving(observed, name) for name in names) >= _least(workload.required):
        text = f'enough replicas serve while template "{workload.template_hash}" is rolled out'
        return Condition(kind, ConditionStatus.TRUE, "MinimumReplicasAvailable", text)
    return Condition(kind, ConditionStatus.FALSE, *describe_link(opened))


def _serving(observed: Observed, name: str) -> int:
    """How many replicas answer, of whichever template."""
    seen = find_workload(observed, name)
    return sum(r.running and r.ready and not r.draining for r in seen.replicas) if seen else 0


def _least(replicas: int) -> int:
    return replicas - replicas * _MAX_UNAVAILABLE_PERCENT // 100


def _derive_ingress(components: tuple[Condition, ...], route: Link) -> Condition:
    """The route is there only while a real request passes, and every component is ready.

    The reason for one that is not is KServe's: `Transformer ingress not created`.
    """
    if components[0].status is ConditionStatus.UNKNOWN:
        return Condition(INGRESS_READY, ConditionStatus.UNKNOWN)
    missing = next((c for c in components if c.status is not ConditionStatus.TRUE), None)
    if missing is not None:
        reason = f"{missing.type.removesuffix('Ready')} ingress not created"
        # Ready repeats this one where it is no predictor that is missing: so it says what is wrong.
        text = missing.message if missing is not components[0] else ""
        return Condition(INGRESS_READY, ConditionStatus.FALSE, reason, text)
    if route.state is LinkState.DONE:
        return Condition(INGRESS_READY, ConditionStatus.TRUE)
    waiting = "the gateway does not pass a request yet"
    return Condition(
        INGRESS_READY,
        ConditionStatus.FALSE,
        route.reason or "RouteNotReady",
        route.message or waiting,
    )
