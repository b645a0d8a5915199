"""All objects of one InferenceService or InferenceGraph, by its deployment mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.plan.canary import reduce_stable
from sampan.plan.scaling import HPA, KEDA
from sampan.plan.service import deployment_mode
from sampan.plan.types import Component, Role, Workload
from sampan.platforms.kubernetes.deployment import render_deployment
from sampan.platforms.kubernetes.graph import KIND_LABEL, make_router, render_knative_router
from sampan.platforms.kubernetes.hosts import VISIBILITY, is_internal
from sampan.platforms.kubernetes.hpa import render_hpa
from sampan.platforms.kubernetes.httproute import render_httproutes
from sampan.platforms.kubernetes.ingress import render_ingress
from sampan.platforms.kubernetes.knative_service import render_knative_service
from sampan.platforms.kubernetes.modelconfig import render_modelconfig
from sampan.platforms.kubernetes.node_services import render_node_services
from sampan.platforms.kubernetes.opentelemetrycollector import render_collector
from sampan.platforms.kubernetes.protection import render_protection
from sampan.platforms.kubernetes.scaledobject import render_scaledobject
from sampan.platforms.kubernetes.serverless import is_serverless, render_serverless
from sampan.platforms.kubernetes.service import is_served, render_service
from sampan.platforms.kubernetes.source import Source
from sampan.platforms.kubernetes.virtualservice import (
    render_external_service,
    render_virtualservice,
)


def render(source: Source) -> tuple[JsonObject, ...]:
    """Return the objects that should exist, sorted by kind and name; none for ModelMesh.

    In ModelMesh mode the models are run by ModelMesh's own controller. A plan that is blocked has
    no objects, and those that are there must be left alone; one that is stopped has none.
    No two objects share a part, so that one may be changed.
    """
    mode = deployment_mode(source.service, source.config.default_deployment_mode)
    objects = [found for part in _BY_MODE.get(mode, ()) for found in part(source)]
    ordered = sorted(objects, key=lambda o: (o["kind"], o["metadata"]["name"]))
    return tuple(deepcopy(obj) for obj in ordered)


def render_graph(source: Source, nodes: Mapping[str, Any]) -> tuple[JsonObject, ...]:
    """Return the objects of an InferenceGraph, whose `nodes` have their URLs (`sampan.plan.graph`).

    None for a graph that is stopped. `source.service` is the graph, its plan has no workloads.
    """
    router = make_router(source, nodes)
    if router is None:
        return ()
    if KIND_LABEL in router.template["metadata"]["labels"]:
        return tuple(deepcopy(obj) for obj in render_knative_router(source, router))
    objects = [
        render_deployment(source, router),
        render_service(source, router),
        *_render_autoscaler(source, router),
    ]
    return tuple(deepcopy(obj) for obj in sorted(objects, key=lambda o: str(o["kind"])))


def _render_standard(source: Source) -> Iterator[JsonObject]:
    config_map = render_modelconfig(source)
    if config_map is not None:
        yield config_map
    yield from render_node_services(source)
    for workload in _scaled(source):
        if is_serverless(workload):
            yield from render_serverless(source, workload)
            yield from render_protection(source, workload)
            continue
        if is_served(workload):
            yield render_service(source, workload)
        yield render_deployment(source, workload)
        yield from _render_autoscaler(source, workload)
        yield from render_protection(source, workload)


def _scaled(source: Source) -> Iterator[Workload]:
    """The workloads, the stable predictor's minimum less what ready canaries have."""
    ready = sum(canary.replicas for canary in source.ready_canaries())
    for workload in source.plan.workloads:
        stable = workload.component is Component.PREDICTOR and workload.role is Role.STABLE
        yield reduce_stable(workload, ready) if stable else workload


def _render_autoscaler(source: Source, workload: Workload) -> Iterator[JsonObject]:
    if workload.role is Role.WORKER:
        return
    collector = render_collector(source, workload)
    if collector is not None:
        yield collector
    if workload.scaling.autoscaler == HPA:
        yield render_hpa(source, workload)
    elif workload.scaling.autoscaler == KEDA:
        yield render_scaledobject(source, workload)


def _render_standard_routes(source: Source) -> Iterator[JsonObject]:
    hidden = is_internal(source, VISIBILITY) or source.settings.ingress.disable_creation
    if hidden:
        return
    if source.settings.ingress.gateway_api:
        yield from render_httproutes(source)
    elif source.is_open:
        yield render_ingress(source)


def _render_knative(source: Source) -> Iterator[JsonObject]:
    config_map = render_modelconfig(source)
    if config_map is not None:
        yield config_map
    for workload in source.plan.workloads:
        if workload.role is Role.STABLE:
            yield render_knative_service(source, workload)
    if source.plan.workloads and not source.settings.ingress.disable_virtual_host:
        yield render_external_service(source)
        if source.is_open:
            yield render_virtualservice(source)


_BY_MODE: Mapping[str, tuple[Callable[[Source], Iterator[JsonObject]], ...]] = {
    "Standard": (_render_standard, _render_standard_routes),
    "Knative": (_render_knative,),
}
