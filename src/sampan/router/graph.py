"""A graph as a value: nodes and steps, with their conditions parsed.

KServe, InferenceGraph, router: it is told the spec as JSON, in which each step leads to a node or
to a URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import orjson

from sampan.gjson.parse import PathError, parse_path
from sampan.gjson.path import Path
from sampan.router.shape import find_cycle, find_dangling, find_overflow

ROOT = "root"
RESPONSE = "$response"
ROUTER_TYPES = ("Sequence", "Splitter", "Ensemble", "Switch")


class InvalidGraph(ValueError):
    """A graph that cannot be run; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: whom to ask, with what, and when.

    `key` is its name, else its index: an Ensemble's answer has it. Exactly one of `node_name` and
    `url` is set. `takes_response`: it is given the answer of the step before, not the request.
    """

    node: str
    key: str
    node_name: str = ""
    url: str = ""
    takes_response: bool = False
    maps_predictions: bool = False
    weight: int = 0
    condition: Path | None = None
    hard: bool = False
    direct: bool = field(init=False, compare=False)
    """Taking it is calling its URL once, and nothing else."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "direct", not self.node_name)


@dataclass(frozen=True, slots=True)
class Node:
    """A router and its steps, in order."""

    name: str
    router_type: str
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the router waits, in seconds: for a request to be read, for an answer to be taken,
    for the next request of a connection, and for the answer of a step (None: as long as it takes).
    """

    server_read: float = 60.0
    server_write: float = 60.0
    server_idle: float = 180.0
    service_client: float | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """All nodes by name; a request enters at `root`."""

    nodes: Mapping[str, Node]
    timeouts: Timeouts = field(default_factory=Timeouts)

    @property
    def root(self) -> Node:
        """The node where a request enters."""
        return self.nodes[ROOT]

    def steps(self) -> tuple[Step, ...]:
        """Return every step of every node."""
        return tuple(step for node in self.nodes.values() for step in node.steps)


def parse_graph(text: str | bytes) -> Graph:
    """Return the graph of a spec as JSON; raise InvalidGraph."""
    try:
        spec = orjson.loads(text)
    except ValueError as error:
        raise InvalidGraph(f"the graph is no JSON ({error}); give the spec of one") from None
    if not isinstance(spec, dict) or not isinstance(spec.get("nodes"), dict):
        raise InvalidGraph('the graph has no object "nodes"; give the spec of an InferenceGraph')
    return make_graph(spec)


def make_graph(spec: Mapping[str, Any]) -> Graph:
    """Return the graph of a spec; raise InvalidGraph."""
    nodes = {name: _make_node(name, node) for name, node in spec["nodes"].items()}
    if ROOT not in nodes:
        raise InvalidGraph(f'the graph has no node "{ROOT}"; a request enters there')
    problem = find_dangling(spec["nodes"]) or find_cycle(spec["nodes"])
    problem = problem or find_overflow(spec["nodes"])
    if problem:
        raise InvalidGraph(problem.text)
    return Graph(MappingProxyType(nodes), _make_timeouts(spec.get("routerTimeouts") or {}))


def _make_node(name: str, node: Any) -> Node:
    if not isinstance(node, Mapping):
        raise InvalidGraph(f'node "{name}" is {_kind(node)}; an object with routerType is needed')
    steps = node.get("steps") or []
    return Node(
        name,
        str(node.get("routerType", "")),
        tuple(_make_step(name, index, step) for index, step in enumerate(steps)),
    )


def _make_step(node: str, index: int, step: Mapping[str, Any]) -> Step:
    key = str(step.get("name") or index)
    target, url = str(step.get("nodeName") or ""), str(step.get("serviceUrl") or "")
    if bool(target) == bool(url):
        raise InvalidGraph(
            f'step "{key}" of node "{node}" needs exactly one of nodeName and serviceUrl'
        )
    return Step(
        node=node,
        key=key,
        node_name=target,
        url=url,
        takes_response=step.get("data") == RESPONSE,
        maps_predictions=bool(step.get("mapPredictionsToInstances")),
        weight=int(step.get("weight") or 0),
        condition=_make_condition(node, key, step.get("condition")),
        hard=step.get("dependency") == "Hard",
    )


def _make_condition(node: str, key: str, text: Any) -> Path | None:
    if not text:
        return None
    try:
        return parse_path(str(text))
    except PathError as error:
        raise InvalidGraph(f'condition of step "{key}" of node "{node}": {error}') from None


def _make_timeouts(told: Mapping[str, Any]) -> Timeouts:
    usual = Timeouts()
    client = told.get("serviceClient")
    return Timeouts(
        server_read=float(told.get("serverRead") or usual.server_read),
        server_write=float(told.get("serverWrite") or usual.server_write),
        server_idle=float(told.get("serverIdle") or usual.server_idle),
        service_client=float(client) if client else None,
    )


def _kind(value: Any) -> str:
    return "null" if value is None else f"a {type(value).__name__}"
