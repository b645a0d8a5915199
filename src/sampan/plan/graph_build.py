"""What should run for one InferenceGraph: a router that is told where each step leads.

stopped? -> shape -> addresses of the steps -> router -> route
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sampan.api.condition_set import ConditionStatus
from sampan.api.config import Config
from sampan.api.inferenceservice.conditions import READY
from sampan.machinery.registry import JsonObject
from sampan.plan.component import make_template_hash
from sampan.plan.conditions import condition_status
from sampan.plan.graph import GRAPH_KIND, STEP_NOT_READY, make_resolved_nodes
from sampan.plan.graph_fuse import Fused, asks_to_fuse, fuse
from sampan.plan.graph_json import make_graph_json
from sampan.plan.observed import Observed
from sampan.plan.routes import make_plain_route, make_url
from sampan.plan.scaling import Scale, Scaling, make_scaling
from sampan.plan.service import annotations_of, is_stopped, labels_of
from sampan.plan.types import Blocked, Component, Gateway, Plan, Workload, graph_key
from sampan.router.annotation import with_options
from sampan.router.option_rules import EXTENSION
from sampan.router.shape import find_cycle, find_dangling, find_overflow

INVALID_GRAPH = "InvalidGraph"
NAME_TAKEN = "NameTaken"
ROUTER_IMAGE = "kserve/router:latest"

_FOLDER, _FILE = "/etc/sampan/graph", "graph.json"
ROUTER_CONTAINER: Mapping[str, Any] = {
    "image": ROUTER_IMAGE,
    "args": ["--graph-file", f"{_FOLDER}/{_FILE}"],
}
_GRAPH = "serving.sampan.dev/graph"
_POD_FIELDS = ("affinity", "tolerations", "nodeSelector", "nodeName", "serviceAccountName")


@dataclass(frozen=True, slots=True)
class GraphSnapshot:
    """All that a decision about one InferenceGraph may know.

    `graph` is the stored object; `services` are the InferenceServices of its namespace, `runtimes`
    those that they may name, and `graphs` the InferenceGraphs that its steps may enter, each by
    name. `now` is seconds since the epoch.
    """

    graph: Mapping[str, Any]
    services: Mapping[str, JsonObject]
    runtimes: Mapping[str, JsonObject]
    config: Config
    gateway: Gateway
    observed: Observed
    now: float
    scales: Mapping[str, Scale] = field(default_factory=dict)
    graphs: Mapping[str, JsonObject] = field(default_factory=dict)

    def named(self, name: str) -> JsonObject | None:
        """Return the service, or the graph, that a step names."""
        return self.services.get(name) or self.graphs.get(name)


def build_graph_plan(snapshot: GraphSnapshot) -> Plan:
    """Return what should run. `blocked` names the first decision that cannot be taken."""
    graph, name = snapshot.graph, str(snapshot.graph["metadata"]["name"])
    namespace = str(graph["metadata"].get("namespace") or "default")
    url = make_url(name, namespace, snapshot.gateway)
    plan = Plan(service=graph_key(namespace, name), url=url)
    if is_stopped(graph):
        return replace(plan, stopped=True)
    blocked = _find_block(snapshot, name)
    if blocked:
        return replace(plan, blocked=blocked)
    nodes = make_resolved_nodes(graph, snapshot.named, snapshot.runtimes.get)
    if isinstance(nodes, Blocked):
        return replace(plan, blocked=replace(nodes, component=Component.ROUTER))
    routing = make_plain_route(graph, name, snapshot.gateway, snapshot.config)
    if routing.blocked:
        return replace(plan, blocked=replace(routing.blocked, component=Component.ROUTER))
    fused = fuse(nodes, snapshot.named) if asks_to_fuse(graph) else None
    if isinstance(fused, Blocked):
        return replace(plan, blocked=fused)
    router = _make_router(snapshot, name, nodes, fused)
    return replace(plan, workloads=(router,), route=routing.route, labels=labels_of(graph))


def service_names(graph: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the InferenceServices that a graph's steps name, each once."""
    return tuple(dict.fromkeys(str(s["serviceName"]) for s in _steps(graph) if _is_named(s)))


def find_unready(snapshot: GraphSnapshot) -> tuple[str, str, str] | None:
    """Return the first service or graph of a step that is not Ready, its reason, and its kind."""
    for name in service_names(snapshot.graph):
        found = snapshot.named(name) or {}
        status = found.get("status") or {}
        if condition_status(status, READY) is not ConditionStatus.TRUE:
            conditions = status.get("conditions") or ()
            reason = next((c.get("reason") for c in conditions if c.get("type") == READY), "")
            return name, str(reason or ""), str(found.get("kind") or "InferenceService")
    return None


def _find_block(snapshot: GraphSnapshot, name: str) -> Blocked | None:
    if name in snapshot.services:
        text = (
            f'InferenceService "{name}" answers at the same address as this graph would; '
            "give one of them another name"
        )
        return Blocked(NAME_TAKEN, text, Component.ROUTER)
    looks: tuple[Callable[[Mapping[str, Any]], Any], ...] = (
        find_dangling, find_cycle, find_overflow,
    )  # fmt: skip
    nodes = with_options(snapshot.graph)
    problem = next(filter(None, (look(nodes) for look in looks)), None)
    text = problem.text if problem else _find_circle(snapshot, name)
    return Blocked(INVALID_GRAPH, text, Component.ROUTER) if text else None


def _find_circle(snapshot: GraphSnapshot, name: str) -> str:
    """Return how graphs that enter each other lead back to this one ("": they do not)."""
    ways: list[tuple[str, ...]] = [(name, entered) for entered in service_names(snapshot.graph)]
    seen: set[str] = set()
    while ways:
        *way, last = ways.pop()
        if last == name:
            circle = " -> ".join(f'"{one}"' for one in (*way, last))
            return f"graphs lead back to themselves: {circle}; remove one of these steps"
        inner = None if last in snapshot.services else snapshot.graphs.get(last)
        if inner is not None and last not in seen:
            seen.add(last)
            ways += [(*way, last, entered) for entered in service_names(inner)]
    return ""


def _make_router(
    snapshot: GraphSnapshot, name: str, nodes: Mapping[str, Any], fused: Fused | None
) -> Workload:
    """Return the router's workload.

    It is told the graph in a file: as an argument, a path or a port in it would be taken for the
    container's own, and anyone on the machine could read it.
    """
    spec = snapshot.graph["spec"]
    headers = ",".join(snapshot.config.router_headers)
    asked = ROUTER_CONTAINER if fused is None else _make_fused_container(fused)
    container: JsonObject = {
        "name": "kserve-container",
        **asked,
        **({"env": [{"name": "PROPAGATE_HEADERS", "value": headers}]} if headers else {}),
        **({"resources": spec["resources"]} if spec.get("resources") else {}),
        "volumeMounts": [{"name": "graph", "mountPath": _FOLDER, "readOnly": True}],
    }
    item = {"path": _FILE, "fieldRef": {"fieldPath": f"metadata.annotations['{_GRAPH}']"}}
    template = {
        "metadata": {
            "labels": dict(labels_of(snapshot.graph)),
            "annotations": {
                _GRAPH: make_graph_json(snapshot.graph, fused.nodes if fused else nodes)
            },
        },
        "spec": {
            "containers": [container],
            "volumes": [{"name": "graph", "downwardAPI": {"items": [item]}}],
            **{key: spec[key] for key in _POD_FIELDS if spec.get(key)},
        },
    }
    scaling = make_scaling(spec, annotations_of(snapshot.graph))
    return _scaled(
        Workload(
            component=Component.ROUTER,
            name=name,
            template=template,
            template_hash=make_template_hash(template, ()),
            replicas=_replicas(scaling),
            model_name="",
            models=fused.models if fused else (),
            timeout_seconds=int(spec["timeout"]) if spec.get("timeout") is not None else None,
            scaling=scaling,
        ),
        snapshot.scales.get(name),
    )


def _make_fused_container(fused: Fused) -> JsonObject:
    """Return what differs for a router that loads its models: the command, in their image."""
    command = ["python", "-m", "sampan.app.route", "--graph-file", f"{_FOLDER}/{_FILE}"]
    trust = ["--trust"] if any(source.trusted for source in fused.models) else []
    return {
        "image": fused.image,
        "command": command,
        "args": [
            *(f"--model={source.path.rpartition('/')[2]}={source.path}" for source in fused.models),
            f"--runtime={fused.engine.runtime}", "--shutdown-delay=0", "--port=8080", *trust,
        ],
        "ports": [{"containerPort": 8080, "name": "h2c"}],  # HTTP/1.1 and gRPC
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}},
    }  # fmt: skip


def _replicas(scaling: Scaling) -> int:
    return max(1, scaling.minimum or 1)


def _scaled(workload: Workload, scale: Scale | None) -> Workload:
    """Return a workload with as many replicas as an autoscaler decided."""
    if scale is None:
        return workload
    return replace(workload, replicas=scale.replicas, scale=scale)


def _steps(graph: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield every step, and every fallback that one has."""
    for node in with_options(graph).values():
        for step in node.get("steps") or ():
            yield step
            fallback = (step.get(EXTENSION) or {}).get("fallback")
            if isinstance(fallback, Mapping):
                yield fallback


def _is_named(step: Mapping[str, Any]) -> bool:
    return bool(step.get("serviceName")) and not step.get("serviceUrl")


def make_not_ready(name: str, reason: str, kind: str = "InferenceService") -> str:
    """Return the message about a service, or a graph, of a step that is not Ready."""
    why = f" ({reason})" if reason else ""
    target = f"ig/{name}" if kind == GRAPH_KIND else name
    return (
        f'a step names {kind} "{name}", which is not Ready{why}; "sampan why {target}" '
        "tells what it waits for"
    )


__all__ = [
    "INVALID_GRAPH",
    "NAME_TAKEN",
    "STEP_NOT_READY",
    "GraphSnapshot",
    "build_graph_plan",
    "find_unready",
    "make_not_ready",
    "service_names",
]
