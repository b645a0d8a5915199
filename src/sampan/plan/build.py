"""What should run for one InferenceService: every decision in its order.

stopped? -> runtime -> what is not built -> model -> pod -> workload -> route
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sampan.plan.component import Parts, make_predictor
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
    location = make_model_location(service)
    blocked = selection.blocked or select_unbuilt(service, config) or location.blocked
    if blocked:
        return replace(plan, blocked=blocked)
    defaults = _make_defaults(service, selection)
    pod = make_pod_spec(service, selection, defaults)
    if pod.blocked:
        return replace(plan, blocked=pod.blocked)
    parts = Parts(service, config, selection, defaults, pod.spec, location.sources)
    predictor = make_predictor(parts)
    routing = make_route(service, predictor.name, snapshot.gateway, config)
    if routing.blocked:
        return replace(plan, blocked=routing.blocked)
    return replace(plan, workloads=(predictor,), route=routing.route)


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
