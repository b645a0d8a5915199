"""From a plan's route to the gateway's: the names of workloads become those of clusters. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sampan.gateway.table import ComponentRoute, Mirror, Share, Steering, TableRoute, Tag
from sampan.plan import types as plan
from sampan.plan.types import Backend, Component, Route, ServiceKey
from sampan.platforms.local.desired import cluster_name, grpc_cluster_name


@dataclass(frozen=True, slots=True)
class Routing:
    """What is known of a service's workloads: those that speak HTTP/2, and their ports.

    `ports` are those at which components answer each other, by the names of their objects;
    `objects` tells the object of a workload that is one revision among several.
    """

    service: ServiceKey
    speakers: frozenset[str] = frozenset()
    ports: Mapping[str, int] = field(default_factory=dict)
    objects: Mapping[str, str] = field(default_factory=dict)

    def port(self, workload: str) -> int:
        """Return the port at which a workload's component is asked by the others (0: none)."""
        return self.ports.get(self.objects.get(workload, workload), 0)


def make_route(routing: Routing, route: Route | None) -> TableRoute | None:
    """Return the gateway's form of a route."""
    if route is None:
        return None
    service = routing.service
    name = f"{service.namespace}/{service.name}"
    return TableRoute(
        name=name,
        hosts=route.hosts,
        path_prefix=route.path_prefix,
        shares=_make_shares(routing, route.backends),
        grpc_shares=_make_grpc_shares(routing, route.backends),
        timeout_seconds=route.timeout_seconds,
        unavailable=f'{service.kind} "{service.namespace}/{service.object_name}" has no replica '
        f'that is ready; "sampan why {service.spoken} -n {service.namespace}" tells what it waits '
        "for",
        components=tuple(_make_component(routing, c) for c in route.components),
        steering=_make_steering(route),
    )


def _make_component(routing: Routing, route: plan.ComponentRoute) -> ComponentRoute:
    ports = (routing.port(backend.workload) for backend in route.backends)
    return ComponentRoute(
        name=route.component.value,
        hosts=route.hosts,
        shares=_make_shares(routing, route.backends),
        grpc_shares=_make_grpc_shares(routing, route.backends),
        timeout_seconds=route.timeout_seconds,
        port=next(filter(None, ports), 0),
        explains=route.component is Component.EXPLAINER,
        steering=_make_steering(route),
    )


def _make_steering(route: Route | plan.ComponentRoute) -> Steering:
    """Shares are in the order of the backends, for REST and for gRPC."""
    places = list(enumerate(route.backends))
    return Steering(
        tags=tuple(Tag(b.tag, n, b.hosts, route.way.tagged) for n, b in places if b.tag),
        mirrors=tuple(Mirror(n, b.mirror) for n, b in places if b.mirror),
        sticky=route.way.sticky,
    )


def _make_shares(routing: Routing, backends: tuple[Backend, ...]) -> tuple[Share, ...]:
    return tuple(Share(cluster_name(routing.service, b.workload), b.weight) for b in backends)


def _make_grpc_shares(routing: Routing, backends: tuple[Backend, ...]) -> tuple[Share, ...]:
    """gRPC needs HTTP/2 all the way, so it goes to clusters of its own; REST stays on HTTP/1.1."""
    if not all(backend.workload in routing.speakers for backend in backends):
        return ()
    return tuple(Share(grpc_cluster_name(routing.service, b.workload), b.weight) for b in backends)
