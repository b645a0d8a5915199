"""What should run for one InferenceService: every decision in its order.

stopped? -> runtime -> what is not built -> model -> pod -> workload -> route
"""

from __future__ import annotations

from dataclasses import replace

from sampan.plan.component import make_predictor
from sampan.plan.merge import make_pod_spec
from sampan.plan.model import has_storage, make_model_location
from sampan.plan.routes import make_route, make_url
from sampan.plan.select import Selection, select_runtime
from sampan.plan.server_type import ModelFacts, RuntimeDefaults, default_for_runtime
from sampan.plan.service import is_stopped, model, service_key
from sampan.plan.types import Plan, Snapshot
from sampan.plan.unbuilt import make_warnings, select_unbuilt


def build_plan(snapshot: Snapshot) -> Plan:
    """Return what should run. `blocked` names the first decision that cannot be taken."""
    service, mode = snapshot.service, snapshot.config.default_deployment_mode
    key = service_key(service)
    selection = select_runtime(service, snapshot.runtimes, snapshot.cluster_runtimes)
    plan = Plan(
        service=key,
        runtime_name=selection.name,
        runtime_scope=selection.scope,
        url=make_url(key.name, key.namespace, snapshot.gateway),
        warnings=make_warnings(service, mode),
    )
    if is_stopped(service):
        return replace(plan, stopped=True)
    defaults = _make_defaults(snapshot, selection)
    location = make_model_location(service)
    blocked = selection.blocked or select_unbuilt(service, mode) or location.blocked
    pod = None if blocked else make_pod_spec(service, selection, defaults)
    blocked = blocked or (pod.blocked if pod else None)
    if blocked or pod is None:
        return replace(plan, blocked=blocked)
    predictor = make_predictor(service, selection, defaults, pod.spec, location.sources)
    route = make_route(service, predictor.name, snapshot.gateway, snapshot.config)
    return replace(plan, workloads=(predictor,), route=route)


def _make_defaults(snapshot: Snapshot, selection: Selection) -> RuntimeDefaults:
    wanted = model(snapshot.service)
    if wanted is None or not selection.runtime:
        return RuntimeDefaults()
    facts = ModelFacts(
        service=str(snapshot.service["metadata"]["name"]),
        format=str((wanted.get("modelFormat") or {}).get("name") or ""),
        protocol=str(wanted.get("protocolVersion") or ""),
        has_storage=has_storage(snapshot.service),
    )
    return default_for_runtime(selection.runtime, facts)
