"""The whole status of an InferenceService on a cluster.

The same conditions and mechanics as everywhere (`sampan.plan.conditions`); what they say comes from
the objects of the cluster. Deriving twice gives the same status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sampan.api.condition_set import Condition, ConditionStatus
from sampan.api.inferenceservice.conditions import (
    CANARY_PREDICTOR_READY,
    COMPONENT_READY,
    CONFIGURATION_READY,
    INGRESS_READY,
    LATEST_DEPLOYMENT_READY,
    REASON_STOPPED,
    ROUTE_READY,
    ROUTES_READY,
    SERVICE_CONDITIONS,
    STOPPED,
)
from sampan.machinery.registry import JsonObject
from sampan.plan.conditions import condition_status, derive_conditions
from sampan.plan.model_status import derive_model_status
from sampan.plan.observed import NOTHING
from sampan.plan.replicas import REPLICAS
from sampan.plan.service import component_name, components_of, deployment_mode, is_stopped
from sampan.plan.types import Component, Role, RuntimeScope, Workload
from sampan.platforms.kubernetes.hosts import make_host
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS, KNATIVE_SERVICES
from sampan.platforms.kubernetes.source import Source
from sampan.platforms.kubernetes.status.ingress import derive_ingress
from sampan.platforms.kubernetes.status.observed import ClusterObserved
from sampan.platforms.kubernetes.status.pods import derive_pod_model_status
from sampan.platforms.kubernetes.status.revisions import derive_revisions
from sampan.platforms.kubernetes.status.serverless import (
    is_asleep,
    is_looked_after,
    render_replicas,
)
from sampan.platforms.kubernetes.status.urls import make_urls, select_front, with_scheme
from sampan.platforms.kubernetes.status.workloads import (
    KNATIVE,
    derive_component,
    derive_knative_parts,
)

_TRUE, _FALSE, _UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
_RUNTIME_FIELDS = {
    RuntimeScope.NAMESPACE: "servingRuntimeName",
    RuntimeScope.CLUSTER: "clusterServingRuntimeName",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """What a status is derived from: the plan among its settings, what is there, and the time."""

    source: Source
    observed: ClusterObserved
    now: float

    @property
    def mode(self) -> str:
        """The deployment mode."""
        return deployment_mode(self.source.service, self.source.config.default_deployment_mode)

    @property
    def before(self) -> Mapping[str, Any]:
        """The status last written."""
        return self.source.service.get("status") or {}


def derive_service_status(scene: Scene) -> JsonObject:
    """Return the whole status to write."""
    source, before, plan = scene.source, scene.before, scene.source.plan
    status: JsonObject = {
        "observedGeneration": int(source.service["metadata"].get("generation") or 0),
        "deploymentMode": scene.mode,
        "conditions": derive_conditions(before.get("conditions") or (), _wanted(scene), scene.now),
        **_runtime(before, scene),
    }
    status["modelStatus"] = _model_status(scene, status)
    if plan.stopped:
        return status | _canaries(scene)
    if not plan.blocked or before.get("components"):
        status["components"] = _components(scene, status)
    status |= _canaries(scene) | _notes(scene)
    if condition_status(status, INGRESS_READY) is _TRUE:
        return status | make_urls(source, scene.observed, status, scene.mode)
    return status | {k: before[k] for k in ("url", "address") if before.get(k)}


def make_first_status(mode: str, now: float) -> JsonObject:
    """Return the status of a service that another controller runs (KServe, ModelMesh mode)."""
    conditions = SERVICE_CONDITIONS.initialise((), now)
    return {
        "conditions": [condition.encode() for condition in conditions],
        "deploymentMode": mode,
        "modelStatus": {"transitionStatus": ""},
    }


def _wanted(scene: Scene) -> tuple[Condition, ...]:
    """From cause to effect; where both are False, Ready repeats the ingress's words (KServe)."""
    source, plan = scene.source, scene.source.plan
    present = components_of(source.service)
    if plan.stopped:
        names = (*(COMPONENT_READY[c.value] for c in present), INGRESS_READY)
        stopped = tuple(Condition(name, _FALSE, REASON_STOPPED) for name in names)
        return (*stopped, *_canary_condition(scene), Condition(STOPPED, _TRUE))
    if plan.blocked:
        return _blocked(scene)
    components = tuple(_component(scene, c) for c in present)
    told = tuple(c for c in components if c.type == COMPONENT_READY["predictor"] or _says(c))
    ingress = derive_ingress(source, scene.observed, components, scene.mode)
    failed = components[0].reason if _is_failed(scene, components[0]) else ""
    first = (*told, ingress) if failed else (ingress, *told)
    running = Condition(STOPPED, _FALSE)
    return (*first, *_knative_conditions(scene), *_canary_condition(scene), running)


def _says(condition: Condition) -> bool:
    """Whether anything is known: of a new Knative Service nothing is, and KServe says nothing."""
    return condition.status is not _UNKNOWN or bool(condition.reason)


def _is_failed(scene: Scene, predictor: Condition) -> bool:
    name = component_name(scene.source.service, Component.PREDICTOR)
    return predictor.status is _FALSE and scene.observed.failure_of(name) is not None


def _component(scene: Scene, component: Component) -> Condition:
    plan = scene.source.plan
    names = tuple(
        w.name
        for w in plan.workloads
        if w.component is component and w.role in (Role.STABLE, Role.WORKER)
    )
    return derive_component(component, names, scene.observed, scene.mode)


def _blocked(scene: Scene) -> tuple[Condition, ...]:
    """What ran before the block stays, and is as ready as it is."""
    source, blocked = scene.source, scene.source.plan.blocked
    if blocked is None:
        return ()
    found = []
    for component in components_of(source.service):
        name = component_name(source.service, component)
        told = derive_component(component, (name,), scene.observed, scene.mode)
        speaks = component is blocked.component or component is Component.PREDICTOR
        if told.status is _TRUE:
            found.append(told)
        elif speaks:
            kind = COMPONENT_READY[component.value]
            status = _FALSE if scene.observed.children else _UNKNOWN
            found.append(Condition(kind, status, blocked.reason, blocked.message))
    opened = scene.observed.is_open(source.name)
    ingress = Condition(INGRESS_READY, _TRUE if opened else _UNKNOWN)
    if condition_status(scene.before, STOPPED) is None:
        return (*found, ingress)
    parts = _knative_conditions(scene) if opened else ()
    return (*found, ingress, *parts, Condition(STOPPED, _FALSE))


def _knative_conditions(scene: Scene) -> tuple[Condition, ...]:
    if scene.mode != KNATIVE:
        return ()
    found: dict[str, Condition] = {}
    present = components_of(scene.source.service)
    for component in present:
        name = component_name(scene.source.service, component)
        found |= {c.type: c for c in derive_knative_parts(component, name, scene.observed)}
    both = (
        _all_of(LATEST_DEPLOYMENT_READY, [CONFIGURATION_READY[c.value] for c in present], found),
        _all_of(ROUTES_READY, [ROUTE_READY[c.value] for c in present], found),
    )
    return (*found.values(), *both)


def _all_of(kind: str, names: list[str], found: Mapping[str, Condition]) -> Condition:
    """True where all are; else the last that is not gives the reason (KServe)."""
    result = Condition(kind, _TRUE)
    for name in names:
        told = found.get(name) or Condition(name, _UNKNOWN)
        if told.status is not _TRUE:
            result = Condition(kind, told.status, f"{name} not ready")
    return result


def _runtime(before: Mapping[str, Any], scene: Scene) -> JsonObject:
    plan = scene.source.plan
    if plan.runtime_scope is not RuntimeScope.NONE:
        return {_RUNTIME_FIELDS[plan.runtime_scope]: plan.runtime_name}
    kept = _RUNTIME_FIELDS.values() if plan.blocked else ()
    return {name: before[name] for name in kept if before.get(name)}


def _model_status(scene: Scene, status: JsonObject) -> JsonObject:
    plan, before = scene.source.plan, scene.before
    stopped_before = condition_status(before, STOPPED) is _TRUE
    known = {} if stopped_before else before.get("modelStatus") or {}
    if plan.stopped or plan.blocked:
        return derive_model_status(known, plan, NOTHING, scene.now)
    ready = condition_status(status, COMPONENT_READY["predictor"]) is _TRUE
    return derive_pod_model_status(
        known,
        scene.observed.pods,
        scene.now,
        ready=ready and _is_newest(scene),
        asleep=is_asleep(_predictor(scene)),
    )


def _predictor(scene: Scene) -> JsonObject | None:
    """The predictor's Deployment."""
    name = component_name(scene.source.service, Component.PREDICTOR)
    return scene.observed.find(DEPLOYMENTS, name)


def _notes(scene: Scene) -> JsonObject:
    """How many replicas there are of a predictor that the activator looks after."""
    deployment = _predictor(scene)
    if deployment is None or not is_looked_after(deployment):
        return {}
    return {"annotations": {REPLICAS: render_replicas(deployment)}}


def _is_newest(scene: Scene) -> bool:
    """In Knative mode a predictor may be ready with the revision of before."""
    name = component_name(scene.source.service, Component.PREDICTOR)
    found = scene.observed.find(KNATIVE_SERVICES, name) if scene.mode == KNATIVE else None
    told = (found or {}).get("status") or {}
    return told.get("latestCreatedRevisionName") == told.get("latestReadyRevisionName")


def _components(scene: Scene, status: JsonObject) -> JsonObject:
    known = scene.before.get("components") or {}
    return {
        c.value: _component_status(scene, c, known.get(c.value) or {}, status)
        for c in components_of(scene.source.service)
    }


def _component_status(
    scene: Scene, component: Component, known: Mapping[str, Any], status: JsonObject
) -> JsonObject:
    source = scene.source
    workload = source.workload(component)
    name = component_name(source.service, component)
    if scene.mode == KNATIVE:
        found = scene.observed.find(KNATIVE_SERVICES, name)
        if not found or not workload:
            return dict(known)
        revisions = derive_revisions(known, found, workload)
        if component is select_front(source) and revisions.get("url"):
            revisions["url"] = with_scheme(source, str(revisions["url"]))
        return revisions
    if condition_status(status, COMPONENT_READY[component.value]) is not _TRUE:
        return dict(known)
    return {**known, "url": f"http://{make_host(source, name)}"}


def _canary_workloads(scene: Scene) -> tuple[Workload, ...]:
    return tuple(w for w in scene.source.plan.workloads if w.role is Role.CANARY)


def _canary_condition(scene: Scene) -> tuple[Condition, ...]:
    if is_stopped(scene.source.service):
        stopped = Condition(CANARY_PREDICTOR_READY, _FALSE, REASON_STOPPED)
        return (stopped,) if _has_stopped_canaries(scene) else ()
    canaries = _canary_workloads(scene)
    if not canaries:
        return ()
    whole = all(w.name in scene.source.ready for w in canaries)
    reason = "AllCanariesReady" if whole else "CanariesNotReady"
    return (Condition(CANARY_PREDICTOR_READY, _TRUE if whole else _FALSE, reason),)


def _canaries(scene: Scene) -> JsonObject:
    entries = scene.source.service["spec"].get("canary") or ()
    workloads = _canary_workloads(scene)
    if _has_stopped_canaries(scene):
        told = [_canary(e, ready=False, share=e.get("trafficPercent", 0)) for e in entries]
    else:
        pairs = zip(entries, workloads, strict=True) if workloads else ()
        ready = scene.source.ready
        told = [_canary(e, ready=w.name in ready, share=w.share) for e, w in pairs]
    return {"canaryStatuses": told} if told else {}


def _canary(entry: Mapping[str, Any], *, ready: bool, share: int | None) -> JsonObject:
    return {
        "name": str(entry["predictor"]["name"]),
        "ready": ready,
        "trafficPercent": share,
        "modelStatus": {"transitionStatus": ""},
    }


def _has_stopped_canaries(scene: Scene) -> bool:
    service = scene.source.service
    return scene.mode != KNATIVE and is_stopped(service) and bool(service["spec"].get("canary"))
