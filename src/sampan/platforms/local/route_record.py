"""What is published, on disk: a new daemon goes on from there, so that no route is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import orjson

from sampan.gateway.table import (
    Cluster,
    ComponentRoute,
    Endpoint,
    Mirror,
    Share,
    Steering,
    TableRoute,
    Tag,
)
from sampan.plan.types import ServiceKey
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.private_file import write_private_file

Published: TypeAlias = tuple[TableRoute | None, tuple[Cluster, ...]]


class RouteRecord:
    """The record of a publisher: what is still the same value as when it was last written is joined
    as it was encoded then, so that one service's change costs little among a thousand.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._encoded: dict[ServiceKey, tuple[Published, bytes]] = {}

    def write(self, routes: Mapping[ServiceKey, Published]) -> None:
        """Record what is published for each service, in one rename."""
        self._encoded = {s: self._encode(s, published) for s, published in routes.items()}
        told = b",".join(text for _, text in self._encoded.values())
        write_private_file(self._layout.routes, b"[%b]" % told)

    def _encode(self, service: ServiceKey, published: Published) -> tuple[Published, bytes]:
        known = self._encoded.get(service)
        route, clusters = published
        if known and known[0][0] is route and known[0][1] is clusters:
            return known
        name = {"namespace": service.namespace, "name": service.name}
        return published, orjson.dumps({**name, "route": route, "clusters": clusters})


def read_routes(layout: Layout) -> dict[ServiceKey, Published]:
    """Return what was recorded; nothing where there is no record that can be read."""
    try:
        told = orjson.loads(layout.routes.read_bytes())
        return {ServiceKey(t["namespace"], t["name"]): _decode(t) for t in told}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def select_served_ports(routes: Mapping[ServiceKey, Published]) -> frozenset[int]:
    """Return the ports at which components answer each other. Pure."""
    return frozenset(
        component.port for route, _ in routes.values() if route for component in route.components
    )


def _decode(told: Mapping[str, Any]) -> Published:
    clusters = tuple(
        Cluster(**{**c, "endpoints": tuple(Endpoint(**e) for e in c["endpoints"])})
        for c in told["clusters"]
    )
    route = told["route"]
    if route is None:
        return None, clusters
    parts = tuple(ComponentRoute(**_decode_part(c)) for c in route.get("components") or ())
    return TableRoute(**{**_decode_part(route), "components": parts}), clusters


def _decode_part(route: Mapping[str, Any]) -> dict[str, Any]:
    shares = {k: tuple(Share(**s) for s in route[k]) for k in ("shares", "grpc_shares")}
    steering = _decode_steering(route.get("steering") or {})
    return {**route, "hosts": tuple(route["hosts"]), **shares, "steering": steering}


def _decode_steering(told: Mapping[str, Any]) -> Steering:
    tags = tuple(Tag(**{**t, "hosts": tuple(t["hosts"])}) for t in told.get("tags", ()))
    mirrors = tuple(Mirror(**m) for m in told.get("mirrors", ()))
    return Steering(tags, mirrors, str(told.get("sticky", "")))
