"""Ingresses: who answers for which host, through an ingress controller.

KServe, Standard mode without the Gateway API: one Ingress a service, a rule for its host and one
for each component's. An Ingress knows no weights, so canaries get no share by it.
"""

from __future__ import annotations

from collections.abc import Iterator

from sampan.machinery.registry import JsonObject
from sampan.plan.service import annotations_of
from sampan.plan.types import Component, Workload
from sampan.platforms.kubernetes.hosts import make_host
from sampan.platforms.kubernetes.service import SERVICE_PORT
from sampan.platforms.kubernetes.source import Source, make_metadata

_ORDER = (Component.EXPLAINER, Component.TRANSFORMER, Component.PREDICTOR)


def render_ingress(source: Source) -> JsonObject:
    """Return the Ingress of a service, with the components that are ready."""
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
    """The service's own host first; after the explainer's where there is a transformer (KServe)."""
    found = [w for w in map(source.routable, _ORDER) if w is not None]
    rules = [_rule(make_host(source, w.name), w) for w in found]
    own = [_rule(make_host(source, source.name), source.front)] if source.front else []
    first = 1 if len(found) == len(_ORDER) else 0
    yield from (*rules[:first], *own, *rules[first:])


def _rule(host: str, workload: Workload) -> JsonObject:
    backend = {"service": {"name": workload.name, "port": {"number": SERVICE_PORT}}}
    return {
        "host": host,
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
    }
