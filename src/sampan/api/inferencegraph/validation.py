"""Which InferenceGraphs are allowed: KServe's rules in their order, then ours.

Upstream: `inference_graph_validation.go`. Ours refuse what can never work: nodes that lead back to
themselves, a condition that is none, an address that is never called. What may yet become right is
let through with a warning: a `nodeName` that leads nowhere, a Switch that takes no step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from sampan.api.admission import Mistake, judged, together, unreadable
from sampan.api.schema.definitions import schema_of
from sampan.api.schema.fields import completed_object
from sampan.api.schema.violations import violations
from sampan.gjson.parse import PathError, parse_path
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject
from sampan.machinery.web_address import InvalidAddress, parse_step_address
from sampan.router.annotation import GRAPH_OPTIONS, find_option_mistakes, with_options
from sampan.router.option_rules import EXTENSION
from sampan.router.shape import find_cycle, find_dangling, find_overflow

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


def comes_to_an_end(graph: JsonObject) -> Iterator[Mistake]:
    """No node holds itself, however far down, and no request makes thousands of calls.

    KServe's router follows a circle until it breaks.
    """
    nodes = with_options(graph)
    problem = find_cycle(nodes) or find_overflow(nodes)
    if problem:
        yield Mistake(f"{_path(problem.node, problem.step)}.nodeName", problem.text)


def has_conditions_that_can_be_read(graph: JsonObject) -> Iterator[Mistake]:
    """A condition is a gjson path. KServe's router finds nothing by one that is none."""
    for node, index, step in _steps(graph):
        try:
            parse_path(str(step.get("condition") or ""))
        except PathError as error:
            text = f"{error}; write a gjson path, such as instances.#(id==1)"
            yield Mistake(f"{_path(node, index)}.condition", text)


def asks_addresses_that_are_called(graph: JsonObject) -> Iterator[Mistake]:
    """A serviceUrl is http or https, and no address of the machine's own credentials."""
    for node, index, step in _steps(graph):
        url = step.get("serviceUrl")
        try:
            if url:
                parse_step_address(str(url))
        except InvalidAddress as error:
            yield Mistake(f"{_path(node, index)}.serviceUrl", str(error))


def has_options_that_can_be_kept(graph: JsonObject) -> Iterator[Mistake]:
    """The annotation of options says what the router knows, at places that are there."""
    annotation = f'metadata.annotations["{GRAPH_OPTIONS}"]'
    for mistake in find_option_mistakes(graph):
        place = f"{mistake.place}: " if mistake.place else ""
        yield Mistake(annotation, f"{place}{mistake.text}")


RULES: tuple[Rule, ...] = (
    has_a_fitting_name,
    has_a_root,
    names_steps_once,
    asks_one_target_a_step,
    splits_everything,
    comes_to_an_end,
    has_conditions_that_can_be_read,
    asks_addresses_that_are_called,
    has_options_that_can_be_kept,
)
"""Everything that is checked: what upstream looks at, in its order, then the rest."""


def make_warnings(graph: JsonObject) -> Iterator[str]:
    """Yield a sentence for each thing that is allowed and cannot be meant."""
    nodes = with_options(graph)
    problem = find_dangling(nodes)
    if problem:
        yield f"{_path(problem.node, problem.step)}.nodeName: {problem.text}"
    for node, index, step in _steps(graph):
        kind, path = _nodes(graph)[node].get("routerType"), _path(node, index)
        takes_the_rest = (nodes[node]["steps"][index].get(EXTENSION) or {}).get("default")
        if kind == "Switch" and not step.get("condition") and not takes_the_rest:
            yield (
                f"{path}.condition: a step of a Switch without a condition is never taken; write "
                'one, such as "@this" for the step that takes all the rest'
            )
        elif kind == "Sequence" and index == 0 and step.get("condition"):
            yield (
                f"{path}.condition: it is asked of the answer before, and the first step of a "
                "Sequence has none, so that every request fails; move it to the next step"
            )
        elif kind in {"Ensemble", "Splitter"} and step.get("condition"):
            yield f"{path}.condition: it has no effect in a node of type {kind}"


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
    return judged(shaped, mistakes, make_warnings(shaped))


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
