"""Which InferenceGraphs are allowed, by KServe's rules and in their order.

Upstream: `inference_graph_validation.go`. What KServe lets through is let through here: a
`nodeName` that leads nowhere, nodes that lead back to themselves, a Switch without conditions.
The router answers for those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from sampan.api.admission import Mistake, judged, together, unreadable
from sampan.api.schema.definitions import schema_of
from sampan.api.schema.fields import completed_object
from sampan.api.schema.violations import violations
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject

ROOT = "root"
TARGETS = ("nodeName", "serviceName", "serviceUrl")

_NAME = "[a-z]([-a-z0-9]*[a-z0-9])?"

Rule: TypeAlias = Callable[[JsonObject], Iterator[Mistake]]


def has_a_fitting_name(graph: JsonObject) -> Iterator[Mistake]:
    """The name becomes part of host names, so it is a DNS label that starts with a letter."""
    if not re.fullmatch(_NAME, _name(graph)):
        yield Mistake(
            "metadata.name",
            f'The InferenceGraph "{_name(graph)}" is invalid: a InferenceGraph name must consist '
            "of lower case alphanumeric characters or '-', and must start with alphabetical "
            'character. (e.g. "my-name" or "abc-123", regex used for validation is '
            f"'{_NAME}')",
        )


def has_a_root(graph: JsonObject) -> Iterator[Mistake]:
    """A request enters at the node `root`."""
    if ROOT not in _nodes(graph):
        yield Mistake(
            "spec.nodes",
            "root node not found, InferenceGraph needs a node with name 'root' as the root node "
            "of the graph",
        )


def names_steps_once(graph: JsonObject) -> Iterator[Mistake]:
    """Steps of a node that have names have different ones."""
    for node, index, step in _steps(graph):
        earlier = (_nodes(graph)[node].get("steps") or [])[:index]
        name = step.get("name")
        if name and name in [other.get("name") for other in earlier]:
            text = (
                f'Node "{node}" of InferenceGraph "{_name(graph)}" contains more than one step '
                f'with name "{name}"'
            )
            yield Mistake(f"{_path(node, index)}.name", text)


def asks_one_target_a_step(graph: JsonObject) -> Iterator[Mistake]:
    """A step goes to a node, a service or an address: to exactly one."""
    for node, index, step in _steps(graph):
        given = sum(bool(step.get(target)) for target in TARGETS)
        if given != 1:
            what = (
                f"specifies more than one of {', '.join(TARGETS)}"
                if given
                else "does not specify an inference target"
            )
            text = (
                f'Step {index} ("{step.get("name", "")}") in node "{node}" of InferenceGraph '
                f'"{_name(graph)}" {what}'
            )
            yield Mistake(_path(node, index), text)


def splits_everything(graph: JsonObject) -> Iterator[Mistake]:
    """The weights of a Splitter are all there and make up 100."""
    for name, node in _nodes(graph).items():
        if node.get("routerType") == "Splitter":
            yield from _weights(_name(graph), name, node.get("steps") or [])


def _weights(graph: str, node: str, steps: list[JsonObject]) -> Iterator[Mistake]:
    label = f"InferenceGraph[{graph}] Node[{node}]"
    missing = [(i, s) for i, s in enumerate(steps) if s.get("weight") is None]
    for index, step in missing:
        text = f"{label} Route[{step.get('serviceName', '')}] missing the 'Weight'"
        yield Mistake(f"{_path(node, index)}.weight", text)
    if not missing and sum(step["weight"] for step in steps) != 100:
        text = (
            f"{label} splitter node: the sum of traffic weights for all routing targets should "
            "be 100"
        )
        yield Mistake(f"spec.nodes.{node}.steps", text)


RULES: tuple[Rule, ...] = (
    has_a_fitting_name,
    has_a_root,
    names_steps_once,
    asks_one_target_a_step,
    splits_everything,
)
"""Everything that is checked, in the order in which upstream looks."""


def admit(obj: JsonObject, old: JsonObject | None, context: AdmissionContext) -> Admitted:
    """Check a graph against its schema (422) and its rules (403)."""
    del old, context  # no rule compares with what was, or reads the configuration
    schema = schema_of("InferenceGraph")
    shaped = completed_object(schema, obj)
    broken = violations(schema, shaped)
    if unreadable(broken):
        return Admitted(shaped, errors=tuple(broken))
    mistakes = [mistake for rule in RULES for mistake in rule(shaped)]
    if broken:
        return Admitted(shaped, errors=together(broken, mistakes))
    return judged(shaped, mistakes)


def _name(graph: JsonObject) -> str:
    metadata = graph["metadata"]
    return str(metadata.get("name") or metadata.get("generateName", ""))


def _nodes(graph: JsonObject) -> JsonObject:
    nodes: JsonObject = graph.get("spec", {}).get("nodes", {})
    return nodes


def _steps(graph: JsonObject) -> Iterator[tuple[str, int, JsonObject]]:
    for name, node in _nodes(graph).items():
        for index, step in enumerate(node.get("steps") or []):
            yield name, index, step


def _path(node: str, index: int) -> str:
    return f"spec.nodes.{node}.steps[{index}]"
