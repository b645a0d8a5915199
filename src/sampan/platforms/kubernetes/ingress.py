"""Ingresses: who answers for which host, through an ingress controller.

KServe, Standard mode without the Gateway API: one Ingress a service, a rule for its host and one
for each component's. An Ingress knows no weights, so canaries get no share by it.
"""

from __future__ import annotations

from collections.abc import Iterator

from sampan.machinery.registry import JsonObject
from sampan.plan.service import annotations_of
from sampan.plan.types import Component, Workload
from sampan.platforms.kubernetes.hosts import component_route_name, make_host
from sampan.platforms.kubernetes.service import SERVICE_PORT
from sampan.platforms.kubernetes.source import Source, make_metadata

# After the service's own host, in KServe's order.
_ORDER = (Component.EXPLAINER, Component.TRANSFORMER, Component.PREDICTOR)


def render_ingress(source: Source) -> JsonObject:
    """Return the Ingress of a service whose components are ready."""
    settings = source.settings.ingress
    name = {"ingressClassName": settings.ingress_class} if settings.ingress_class else {}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        # All annotations: what an ingress controller is told is written there.
        "metadata": make_metadata(source, source.name, {}, annotations_of(source.service)),
        "spec": {**name, "rules": list(_rules(source))},
    }


def _rules(source: Source) -> Iterator[JsonObject]:
    front = source.workload(Component.TRANSFORMER) or source.workload(Component.PREDICTOR)
    if front is not None:
        yield _rule(make_host(source, source.name), front)
    for component in _ORDER:
        workload = source.workload(component)
        if workload is not None:
            yield _rule(make_host(source, component_route_name(source, component)), workload)


def _rule(host: str, workload: Workload) -> JsonObject:
    backend = {"service": {"name": workload.name, "port": {"number": SERVICE_PORT}}}
    return {
        "host": host,
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
    }
