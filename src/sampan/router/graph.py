"""A graph as a value: nodes and steps, with their conditions parsed.

KServe, InferenceGraph, router: it is told the spec as JSON, in which each step leads to a node or
to a URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import orjson

from sampan.gjson.parse import PathError, parse_path
from sampan.gjson.path import Path
from sampan.router.option_rules import EXTENSION, find_misplaced
from sampan.router.options import NO_OPTIONS, Options, parse_options
from sampan.router.shape import find_cycle, find_dangling, find_overflow

ROOT = "root"
RESPONSE = "$response"
FALLBACK = "!"
"""Ends the key of a fallback's step, so that it is told from its step in metrics and errors."""
ROUTER_TYPES = ("Sequence", "Splitter", "Ensemble", "Switch")


Place: TypeAlias = tuple[str, str]
"""Where a step stands: its node, and its key."""


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
    options: Options = NO_OPTIONS
    fallback: Step | None = None
    direct: bool = field(init=False, compare=False)
    """Taking it is calling its URL once, and nothing else."""
    plain_body: bool = field(init=False, compare=False)
    """It is sent its node's request as it is."""

    def __post_init__(self) -> None:
        told = self.options
        plain = not (told.repeats or told.mirror or self.fallback)
        object.__setattr__(self, "direct", bool(self.url) and plain)
        as_it_is = not (self.takes_response or self.maps_predictions or told.body)
        object.__setattr__(self, "plain_body", as_it_is)

    @property
    def place(self) -> Place:
        """Where it stands."""
        return (self.node, self.key)


@dataclass(frozen=True, slots=True)
class Node:
    """A router and its steps, in order. `collapses`: equal calls are made once."""

    name: str
    router_type: str
    steps: tuple[Step, ...] = ()
    collapses: bool = False
    end: int = field(init=False, compare=False)
    """The index of the last step whose answer counts, -1 where none does."""

    def __post_init__(self) -> None:
        counting = [i for i, step in enumerate(self.steps) if not step.options.mirror]
        object.__setattr__(self, "end", counting[-1] if counting else -1)


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
        """Return every step of every node, and every fallback."""
        own = [step for node in self.nodes.values() for step in node.steps]
        return (*own, *(step.fallback for step in own if step.fallback))


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
    misplaced = next(find_misplaced(spec["nodes"]), None)
    if misplaced:
        raise InvalidGraph(f"{misplaced.place}: {misplaced.text}")
    return Graph(MappingProxyType(nodes), _make_timeouts(spec.get("routerTimeouts") or {}))


def _make_node(name: str, node: Any) -> Node:
    if not isinstance(node, Mapping):
        raise InvalidGraph(f'node "{name}" is {_kind(node)}; an object with routerType is needed')
    steps = node.get("steps") or []
    return Node(
        name,
        str(node.get("routerType", "")),
        tuple(_make_step(name, index, step) for index, step in enumerate(steps)),
        collapses=bool((node.get(EXTENSION) or {}).get("collapse")),
    )


def _make_step(node: str, index: int, step: Mapping[str, Any]) -> Step:
    key = str(step.get("name") or index)
    target, url = str(step.get("nodeName") or ""), str(step.get("serviceUrl") or "")
    if bool(target) == bool(url):
        raise InvalidGraph(
            f'step "{key}" of node "{node}" needs exactly one of nodeName and serviceUrl'
        )
    options = _make_options(node, key, step.get(EXTENSION) or {})
    return Step(
        node=node,
        key=key,
        node_name=target,
        url=_with_path(url, options.path) if options.path else url,
        options=options,
        fallback=_make_fallback(node, key, options) if options.fallback else None,
        takes_response=step.get("data") == RESPONSE,
        maps_predictions=bool(step.get("mapPredictionsToInstances")),
        weight=int(step.get("weight") or 0),
        condition=_make_condition(node, key, step.get("condition")),
        hard=step.get("dependency") == "Hard",
    )


def _make_options(node: str, key: str, told: Mapping[str, Any]) -> Options:
    options, problems = parse_options(told)
    if problems:
        name, text = problems[0]
        raise InvalidGraph(f'option "{name}" of step "{key}" of node "{node}": {text}')
    return options


def _make_fallback(node: str, key: str, options: Options) -> Step:
    kind, target = options.fallback or ("", "")
    if kind == "serviceName":
        raise InvalidGraph(
            f'fallback of step "{key}" of node "{node}" needs a nodeName or serviceUrl; '
            "a router alone knows no services"
        )
    inner, url = (target, "") if kind == "nodeName" else ("", target)
    return Step(node=node, key=f"{key}{FALLBACK}", node_name=inner, url=url)


def _with_path(url: str, path: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, *urlsplit(path)[2:4], ""))


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
