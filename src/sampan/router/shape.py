"""Where the nodes of a graph lead: to nodes that are there, never back, and to an end soon.

Of the spec as JSON, so that admission and the router ask the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST_NODES_DEEP = 32
"""Nodes inside nodes. KServe knows no limit; a graph that is drawn on a page has less than ten."""

MOST_CALLS = 1000
"""Calls that one request can make. Nodes that name each other twice double at every level."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a graph's shape. `node` and `step` (an index) say where."""

    node: str
    step: int
    text: str


def find_dangling(nodes: Mapping[str, Any]) -> Problem | None:
    """Return the first step that leads to a node which is not there."""
    for name, node in nodes.items():
        for index, target in _targets(node):
            if target not in nodes:
                text = (
                    f'step {index} of node "{name}" leads to node "{target}", which the graph does '
                    "not have; add the node, or correct the step's nodeName"
                )
                return Problem(name, index, text)
    return None


def find_cycle(nodes: Mapping[str, Any]) -> Problem | None:
    """Return a step that leads back to a node on its own way: such a request never ends."""
    done: set[str] = set()
    for start in nodes:
        found = _walk(nodes, start, [], done)
        if found:
            return found
    return None


def find_overflow(nodes: Mapping[str, Any]) -> Problem | None:
    """Return what is too deep, or makes too many calls. The nodes have no cycle."""
    counts: dict[str, tuple[int, int]] = {}
    for name in nodes:
        calls, depth = _count(nodes, name, counts)
        if depth > MOST_NODES_DEEP:
            text = f'node "{name}" holds {depth} levels of nodes, and {MOST_NODES_DEEP} are allowed'
            return Problem(name, 0, f"{text}; merge some")
        if calls > MOST_CALLS:
            text = f'a request to node "{name}" can make {calls} calls, and {MOST_CALLS} are'
            return Problem(name, 0, f"{text} allowed; name fewer nodes twice")
    return None


def _walk(nodes: Mapping[str, Any], start: str, way: list[str], done: set[str]) -> Problem | None:
    """Go down from a node without recursion: the nodes come from whoever writes YAML."""
    stack: list[tuple[str, Iterator[tuple[int, str]]]] = []
    if start not in done:
        stack.append((start, _targets(nodes[start])))
        way.append(start)
    while stack:
        name, targets = stack[-1]
        index, target = next(targets, (-1, ""))
        if index < 0:
            stack.pop()
            done.add(way.pop())
        elif target in way:
            circle = " -> ".join(f'"{n}"' for n in (*way[way.index(target) :], target))
            text = f"nodes lead back to themselves: {circle}; a request would never end"
            return Problem(name, index, f"{text}, so remove one of these steps")
        elif target in nodes and target not in done:
            stack.append((target, _targets(nodes[target])))
            way.append(target)
    return None


def _count(
    nodes: Mapping[str, Any], start: str, counts: dict[str, tuple[int, int]]
) -> tuple[int, int]:
    """Return how many calls a node can make, and how many levels it holds."""
    stack = [start]
    while stack:
        name = stack[-1]
        inner = [target for _, target in _targets(nodes.get(name))]
        missing = [target for target in inner if target not in counts]
        if missing:
            stack += missing
            continue
        stack.pop()
        own = _own_calls(nodes.get(name))
        calls = own + sum(counts[target][0] for target in inner)
        depth = 1 + max((counts[target][1] for target in inner), default=0)
        counts[name] = (calls, depth)
    return counts[start]


def _own_calls(node: Any) -> int:
    """Return how many services a node's steps can ask, attempts included."""
    total = 0
    for step in (node or {}).get("steps") or ():
        told = step.get("sampan") or {}
        attempts = told.get("attempts")
        most = attempts if isinstance(attempts, int) and attempts > 0 else 1
        fallback = told.get("fallback")
        elsewhere = isinstance(fallback, Mapping) and not fallback.get("nodeName")
        total += (0 if step.get("nodeName") else most * (2 if told.get("hedge") else 1)) + elsewhere
    return total


def _targets(node: Any) -> Iterator[tuple[int, str]]:
    for index, step in enumerate((node or {}).get("steps") or ()):
        fallback = (step.get("sampan") or {}).get("fallback")
        for target in (step, fallback):
            if isinstance(target, Mapping) and target.get("nodeName"):
                yield index, str(target["nodeName"])
