"""The API server as the Service `kubernetes`, as every cluster shows its own; read-only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from sampan.machinery.registry import Column, JsonObject, Resource
from sampan.machinery.timestamps import rfc3339

SERVICES = Resource(
    group="",
    version="v1",
    kind="Service",
    plural="services",
    singular="service",
    short_names=("svc",),
    categories=("all",),
    generation=False,
    columns=(
        Column("Type", ".spec.type"),
        Column("Cluster-IP", ".spec.clusterIP"),
        Column("Port(s)", ".spec.ports[*].port"),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
    read_only=True,
)


class OwnService:
    """The source of the view of services: this server, once it listens."""

    def __init__(self) -> None:
        self._service: JsonObject | None = None

    def listen(self, address: str, port: int, now: float) -> None:
        """Say where the server listens since when."""
        self._service = make_service(address, port, now)

    async def objects(self) -> Iterable[JsonObject]:
        """Return the one service, none before the server listens."""
        return [self._service] if self._service else []

    async def changes(self) -> AsyncIterator[object]:
        """Yield nothing: a server listens before anyone can ask."""
        await asyncio.Event().wait()
        yield None


def make_service(address: str, port: int, now: float) -> JsonObject:
    """Return the Service of an API server at an address. Pure."""
    labels = {"component": "apiserver", "provider": "kubernetes"}
    meta = {"name": "kubernetes", "namespace": "default", "labels": labels}
    ports = [{"name": "https", "port": port, "targetPort": port, "protocol": "TCP"}]
    spec = {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ports": ports}
    return {"metadata": {**meta, "creationTimestamp": rfc3339(now)}, "spec": spec}
