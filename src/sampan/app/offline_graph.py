"""The objects of an InferenceGraph from files alone, where its services may not be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sampan.machinery.registry import JsonObject
from sampan.plan.graph import make_resolved_nodes
from sampan.plan.service import component_name, deployment_mode
from sampan.plan.types import Blocked, Component, Plan, ServiceKey
from sampan.platforms.kubernetes.hosts import CLUSTER_DOMAIN
from sampan.platforms.kubernetes.render import render_graph
from sampan.platforms.kubernetes.source import Source


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The services and runtimes among the files; `assumed` is told of each that is not there."""

    services: tuple[JsonObject, ...]
    runtimes: tuple[JsonObject, ...]
    assumed: Callable[[str], None]


def render_offline_graph(
    source: Source, neighbours: Neighbours
) -> tuple[JsonObject, ...] | Blocked:
    """Return the objects of a graph (`source.service`).

    A service is taken to be ready, and to be a plain one that speaks V1 if it is not in the files.
    """
    graph = source.service
    key = ServiceKey(graph["metadata"]["namespace"], graph["metadata"]["name"])
    services = _by_name(s for s in neighbours.services if _namespace(s) == key.namespace)
    runtimes = _by_name(neighbours.runtimes)

    def service(name: str) -> JsonObject:
        if name not in services:
            neighbours.assumed(name)
        found = services.get(name) or _plain_service(name, key.namespace)
        described = found if name in services else graph
        mode = deployment_mode(described, source.config.default_deployment_mode)
        return _with_address(found, mode)

    nodes = make_resolved_nodes(graph, service, runtimes.get)
    if isinstance(nodes, Blocked):
        return nodes
    settled = Source(graph, Plan(key), source.config, source.settings)
    return render_graph(settled, nodes)


def _by_name(objects: Iterable[JsonObject]) -> dict[str, JsonObject]:
    return {o["metadata"]["name"]: o for o in objects}


def _namespace(obj: JsonObject) -> str:
    return str(obj["metadata"].get("namespace", ""))


def _plain_service(name: str, namespace: str) -> JsonObject:
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"predictor": {"model": {"storageUri": "unknown"}}},
    }


def _with_address(service: JsonObject, mode: str) -> JsonObject:
    """The service with the address that it has once it is ready."""
    name, namespace = service["metadata"]["name"], _namespace(service)
    front = Component.TRANSFORMER if service["spec"].get("transformer") else Component.PREDICTOR
    host = name if mode == "Knative" else component_name(service, front)
    url = f"http://{host}.{namespace}.{CLUSTER_DOMAIN}"
    return {"status": {"address": {"url": url}}, **service}
