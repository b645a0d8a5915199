"""A request's way through a graph. Pure: each kind of node has a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from sampan.router.attempts import attempt
from sampan.router.body import Body
from sampan.router.ensemble import ensemble
from sampan.router.graph import Node, Step
from sampan.router.sequence import sequence
from sampan.router.splitter import splitter
from sampan.router.steps import Call, Go, Outcome, RouterError, Walk, Way
from sampan.router.switch import switch

Router: TypeAlias = Callable[[Node, Body, Walk, Go], Way]

ROUTERS: Mapping[str, Router] = MappingProxyType(
    {"Sequence": sequence, "Switch": switch, "Ensemble": ensemble, "Splitter": splitter}
)
"""By routerType: how a node's steps are taken."""


def execute(walk: Walk, body: Body) -> Way:
    """Return the way of a request through the whole graph."""
    return _enter(walk.graph.root, body, walk)


def _enter(node: Node, body: Body, walk: Walk) -> Way:
    return ROUTERS.get(node.router_type, _unknown)(node, body, walk, _go)


def _unknown(node: Node, body: Body, walk: Walk, go: Go) -> Way:
    """Fail: KServe's router answers so, whatever the request."""
    del body, walk, go
    yield from ()  # a way, so that it is told like any other failure
    raise RouterError(f"invalid route type: {node.router_type}")


def _go(step: Step, body: Body, walk: Walk) -> Way:
    """Take one step.

    What is a 404 of the root is a 500 of any node below it (KServe, router).
    """
    if step.options.repeats or step.fallback:
        return (yield from attempt(step, body, walk, _take))
    return (yield from _take(step, body, walk))


def _take(step: Step, body: Body, walk: Walk) -> Way:
    """Ask the step's service, or enter its node."""
    if not step.node_name:
        answer: Outcome = yield Call(step, body, walk.ends)
        return answer
    try:
        return (yield from _enter(walk.graph.nodes[step.node_name], body, walk))
    except RouterError as error:
        error.status = 500
        raise
