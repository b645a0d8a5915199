"""What is published, on disk: a new daemon goes on from there, so that no route is lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
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

_SPARE_LINES = 100
"""Lines of the past that a short record may have: a few services may change often."""


class RouteRecord:
    """The record of a publisher: a line a service, the last of which counts.

    What changed is appended, so that one service's change costs the same beside a thousand others;
    the file is written anew, in one rename, once most of its lines are of the past.
    """

    def __init__(self, layout: Layout) -> None:
        self._path = layout.routes
        self._is_true = False
        self._lines = self._services = 0

    def write(
        self,
        changed: Mapping[ServiceKey, Published | None],
        everything: Callable[[], Mapping[ServiceKey, Published]],
    ) -> None:
        """Record what changed, None of what is gone; `everything` tells all that is published."""
        is_true, self._is_true = self._is_true, False  # unknown again if the disk fails half-way
        if not is_true or self._lines > 2 * self._services + _SPARE_LINES:
            routes = everything()
            lines = [_encode(service, published) for service, published in routes.items()]
            write_private_file(self._path, b"".join(lines))
            self._lines, self._services = 0, len(routes)
        else:
            lines = [_encode(service, published) for service, published in changed.items()]
            if lines:
                _append(self._path, b"".join(lines))
        self._lines += len(lines)
        self._is_true = True


def _encode(service: ServiceKey, published: Published | None) -> bytes:
    told: dict[str, Any] = {"namespace": service.namespace, "name": service.name}
    if published is not None:
        told |= {"route": published[0], "clusters": published[1]}
    return orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)


def _append(path: Path, text: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(text)


def read_routes(layout: Layout) -> dict[ServiceKey, Published]:
    """Return what was recorded; nothing where there is no record, or one that cannot be read.

    A last line that was cut short is of a change that nobody was told of. Earlier versions wrote
    one array of all services.
    """
    try:
        text = layout.routes.read_bytes()
        lines = text.split(b"\n")[:-1]
        all_told = orjson.loads(text) if text.startswith(b"[") else map(orjson.loads, lines)
        told = {ServiceKey(t["namespace"], t["name"]): t for t in all_told}
        return {service: _decode(t) for service, t in told.items() if "clusters" in t}
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
