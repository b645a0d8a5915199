"""What should run for one InferenceService: every decision in its order.

stopped? -> runtime -> what is not built -> model -> pod -> workloads -> route
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from sampan.api.config import Config
from sampan.plan.canary import make_canaries, make_canary_workload
from sampan.plan.component import Parts, make_predictor
from sampan.plan.merge import make_pod_spec
from sampan.plan.model import has_storage, make_model_location
from sampan.plan.modelmesh import build_mesh_plan, is_modelmesh
from sampan.plan.multinode import is_multi_node, make_nodes
from sampan.plan.prefetch import prefetch_warnings
from sampan.plan.rollback import rollback_warnings
from sampan.plan.rollout_build import resolve_rollouts, route_with
from sampan.plan.rollout_settings import rollout_warnings
from sampan.plan.rollout_status import first_rollout_warnings
from sampan.plan.routes import make_route, make_url
from sampan.plan.scaling import Scale
from sampan.plan.select import Selection, select_runtime
from sampan.plan.server_type import ModelFacts, RuntimeDefaults, default_for_runtime
from sampan.plan.service import is_stopped, labels_of, model, service_key
from sampan.plan.transformer import make_explainer, make_transformer
from sampan.plan.types import Blocked, Component, Plan, Snapshot, Workload
from sampan.plan.unbuilt import make_warnings, select_unbuilt
from sampan.plan.warm import warm_warnings

Unbuilt: TypeAlias = Callable[[Mapping[str, Any], Config], Blocked | None]
"""Why a platform cannot run a service rightly, None when it can."""


def build_plan(snapshot: Snapshot, unbuilt: Unbuilt = select_unbuilt) -> Plan:
    """Return what should run. `blocked` names the first decision that cannot be taken.

    On a cluster, where nothing is unbuilt, ModelMesh's own controller runs what is in its mode.
    """
    service, config = snapshot.service, snapshot.config
    if unbuilt is select_unbuilt and is_modelmesh(service, config):
        return build_mesh_plan(snapshot, make_warnings(service, config))
    return _build_own(snapshot, unbuilt)


def _build_own(snapshot: Snapshot, unbuilt: Unbuilt) -> Plan:
    """Return what should run of a service that has its own workloads."""
    service, config = snapshot.service, snapshot.config
    key = service_key(service)
    selection = select_runtime(service, snapshot.runtimes, snapshot.cluster_runtimes)
    plan = Plan(
        service=key,
        runtime_name=selection.name,
        runtime_scope=selection.scope,
        url=make_url(key.name, key.namespace, snapshot.gateway),
        warnings=make_warnings(service, config),
    )
    if is_stopped(service):
        return replace(plan, stopped=True)
    blocked = selection.blocked or unbuilt(service, config)
    if blocked:
        return replace(plan, blocked=blocked)
    parts = _make_parts(snapshot, service, selection)
    if isinstance(parts, Blocked):
        return replace(plan, blocked=parts)
    predictors = make_nodes(parts) if is_multi_node(service) else (make_predictor(parts),)
    if isinstance(predictors, Blocked):
        return replace(plan, blocked=predictors)
    routing = make_route(service, predictors[0].name, snapshot.gateway, config)
    if routing.blocked:
        return replace(plan, blocked=routing.blocked)
    canaries = _make_canary_workloads(snapshot)
    if isinstance(canaries, Blocked):
        return replace(plan, blocked=canaries)
    others = _make_others(parts)
    labels = {**labels_of(service), **parts.defaults.labels}
    planned = (*predictors, *canaries, *others)
    plan = replace(plan, route=routing.route, labels=labels)
    if snapshot.history is None:
        workloads = tuple(_scaled(w, snapshot.scales.get(w.name)) for w in planned)
        return replace(plan, workloads=workloads)
    return _with_rollouts(plan, snapshot, planned)


def nothing_unbuilt(_: Mapping[str, Any], __: Config) -> Blocked | None:
    """The platform runs whatever can be planned."""
    return None


def _with_rollouts(plan: Plan, snapshot: Snapshot, planned: tuple[Workload, ...]) -> Plan:
    """Return the plan with the revisions that run, and each one's share of the route."""
    found = resolve_rollouts(snapshot, planned)
    route = plan.route and route_with(plan.route, snapshot.service, found.backends)
    warnings = (
        *plan.warnings,
        *rollout_warnings(snapshot.service),
        *rollback_warnings(snapshot.service),
        *warm_warnings(snapshot.service),
        *prefetch_warnings(snapshot.service),
    )
    return replace(
        plan,
        workloads=found.workloads,
        route=route,
        rollouts=found.rollouts,
        warnings=(*warnings, *first_rollout_warnings(found.rollouts, planned)),
    )


def _scaled(workload: Workload, scale: Scale | None) -> Workload:
    """Return a workload with as many replicas as an autoscaler decided."""
    if scale is None:
        return workload
    return replace(workload, replicas=scale.replicas, scale=scale)


def _make_parts(
    snapshot: Snapshot, service: Mapping[str, Any], selection: Selection
) -> Parts | Blocked:
    """Decide what the workload of a predictor is made of: the service's own, or a canary's."""
    location = make_model_location(service, snapshot.storage_containers)
    if location.blocked:
        return location.blocked
    defaults = _make_defaults(service, selection)
    pod = make_pod_spec(service, selection, defaults)
    if pod.blocked:
        return pod.blocked
    return Parts(service, snapshot.config, selection, defaults, pod.spec, location.sources)


def _make_canary_workloads(snapshot: Snapshot) -> tuple[Workload, ...] | Blocked:
    found = []
    for canary in make_canaries(snapshot.service):
        selection = select_runtime(canary.service, snapshot.runtimes, snapshot.cluster_runtimes)
        parts = selection.blocked or _make_parts(snapshot, canary.service, selection)
        if isinstance(parts, Blocked):
            return parts
        found.append(make_canary_workload(make_predictor(parts), canary))
    return tuple(found)


def _make_others(parts: Parts) -> tuple[Workload, ...]:
    spec = parts.service["spec"]
    makers = {Component.TRANSFORMER: make_transformer, Component.EXPLAINER: make_explainer}
    return tuple(make(parts) for name, make in makers.items() if spec.get(name.value) is not None)


def _make_defaults(service: Mapping[str, Any], selection: Selection) -> RuntimeDefaults:
    wanted = model(service)
    if wanted is None or not selection.runtime:
        return RuntimeDefaults()
    facts = ModelFacts(
        service=str(service["metadata"]["name"]),
        format=str((wanted.get("modelFormat") or {}).get("name") or ""),
        protocol=str(wanted.get("protocolVersion") or ""),
        has_storage=has_storage(service),
    )
    return default_for_runtime(selection.runtime, facts)
