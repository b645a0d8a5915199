"""Whether a graph looks into what goes through it. One that does not passes bodies on unread."""

from __future__ import annotations

from sampan.router.graph import Graph, Step
from sampan.router.option_rules import RPC

_BLIND = frozenset({"Sequence", "Splitter"})
"""Nodes that pass a body on whatever it is: a Switch and an Ensemble read JSON."""


def is_blind(graph: Graph) -> bool:
    """Tell whether no node reads a body, every step is given its request, and all speak gRPC."""
    kinds = {node.router_type for node in graph.nodes.values()}
    return kinds <= _BLIND and all(map(_passes, graph.steps()))


def _passes(step: Step) -> bool:
    speaks = not step.url or step.url.startswith(RPC)
    unary = not step.options.stream
    return speaks and unary and step.plain_body and step.condition is None
