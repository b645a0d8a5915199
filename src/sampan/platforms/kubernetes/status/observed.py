"""What was seen of a service in a cluster, and what its routes and workloads say of themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sampan.machinery.registry import JsonObject, Resource
from sampan.platforms.kubernetes.children import ChildKey
from sampan.platforms.kubernetes.kinds import (
    HTTP_ROUTES,
    INGRESSES,
    SERVICES,
    VIRTUAL_SERVICES,
)

ROUTES = (HTTP_ROUTES, INGRESSES, VIRTUAL_SERVICES)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an object could not be made what it should be; the words become a condition."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ClusterObserved:
    """The objects of a service by key, its predictor's pods (newest first), and what could not be
    applied, by the key of the object.
    """

    children: Mapping[ChildKey, JsonObject] = field(default_factory=dict)
    pods: tuple[JsonObject, ...] = ()
    failures: Mapping[ChildKey, Failure] = field(default_factory=dict)

    def find(self, kind: Resource, name: str) -> JsonObject | None:
        """Return the object of a kind by its name."""
        return self.children.get((kind.api_version, kind.kind, name))

    def failure_of(self, name: str) -> Failure | None:
        """Return why a workload of this name, or what belongs to it, could not be applied."""
        return next(
            (f for k, f in self.failures.items() if k[2] == name and not _is_route(k)), None
        )

    def route_failure(self, name: str) -> Failure | None:
        """Return why a route, or the Service `name` of the whole, could not be applied."""
        return next((f for k, f in self.failures.items() if k[2] == name or _is_route(k)), None)

    def service_address(self, name: str) -> Mapping[str, Any]:
        """Return the spec of a Service, empty where there is none."""
        return (self.find(SERVICES, name) or {}).get("spec") or {}

    def routed(self) -> frozenset[str]:
        """Return the names of the Services that routes lead to."""
        return frozenset(name for route in self._routes() for name in _targets(route))

    def is_open(self, name: str) -> bool:
        """Return whether the service's own route is there."""
        return any(route["metadata"]["name"] == name for route in self._routes())

    def _routes(self) -> Iterator[JsonObject]:
        for key, obj in self.children.items():
            if _is_route(key):
                yield obj


def _is_route(key: ChildKey) -> bool:
    return any(key[:2] == (kind.api_version, kind.kind) for kind in ROUTES)


def _targets(route: Mapping[str, Any]) -> Iterator[str]:
    spec = route.get("spec") or {}
    for rule in spec.get("rules") or ():
        for backend in rule.get("backendRefs") or ():
            yield str(backend.get("name"))
        for path in (rule.get("http") or {}).get("paths") or ():
            yield str((path["backend"].get("service") or {}).get("name"))
    for rule in spec.get("http") or ():
        headers = ((rule.get("headers") or {}).get("request") or {}).get("set") or {}
        yield str(headers.get("Host", "")).partition(".")[0]
