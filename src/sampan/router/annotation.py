"""Options of a graph's steps as people write them: JSON in an annotation of the graph. Pure.

`serving.sampan.dev/graph-options` holds an object whose keys are places: `node/step` (the step's
name, else its index), or `node`. KServe's controller ignores annotations that it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sampan.machinery.suggest import did_you_mean
from sampan.machinery.web_address import InvalidAddress, parse_step_address
from sampan.router.option_rules import EXTENSION, Misplaced, find_misplaced

GRAPH_OPTIONS = "serving.sampan.dev/graph-options"


def options_text(graph: Mapping[str, Any]) -> str:
    """Return the annotation of a graph, "" where it has none."""
    annotations = (graph.get("metadata") or {}).get("annotations") or {}
    return str(annotations.get(GRAPH_OPTIONS) or "")


def with_options(graph: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nodes of a graph with its options in them.

    What is no option is left out: admission says so.
    """
    return _placed(_nodes(graph), _read(options_text(graph))[0])[0]


def find_option_mistakes(graph: Mapping[str, Any]) -> Iterator[Misplaced]:
    """Yield everything that is wrong with a graph's options; `place` is "" for all of the text."""
    told, problem = _read(options_text(graph))
    if problem:
        yield Misplaced("", problem)
        return
    nodes, misplaced = _placed(_nodes(graph), told)
    yield from misplaced
    yield from find_misplaced(nodes)
    yield from _uncalled(nodes)


def _uncalled(nodes: Mapping[str, Any]) -> Iterator[Misplaced]:
    """Yield fallbacks to addresses that are never called."""
    for place, step in _places(nodes):
        fallback = (step.get(EXTENSION) or {}).get("fallback")
        url = fallback.get("serviceUrl") if isinstance(fallback, Mapping) else None
        try:
            if isinstance(url, str):
                parse_step_address(url)
        except InvalidAddress as error:
            yield Misplaced(f"{place}.fallback", str(error))


def _nodes(graph: Mapping[str, Any]) -> Mapping[str, Any]:
    nodes: Mapping[str, Any] = (graph.get("spec") or {}).get("nodes") or {}
    return nodes


def _read(text: str) -> tuple[Mapping[str, Any], str]:
    """Return the options by place, or why the text holds none."""
    if not text:
        return {}, ""
    try:
        told = json.loads(text, object_pairs_hook=_pairs)
    except json.JSONDecodeError as error:
        return {}, f"is no JSON, line {error.lineno}, column {error.colno}: {error.msg}"
    except (ValueError, RecursionError) as error:
        return {}, str(error) or "is nested too deep"
    if not isinstance(told, dict):
        return {}, 'is no object; write {"node/step": {"timeout": "500ms"}}'
    return told, ""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'"{twice}" is written twice; leave one of them out')
    return made


def _placed(
    nodes: Mapping[str, Any], told: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Misplaced]]:
    """Return the nodes with the options at their places, and those whose place is not there."""
    made: dict[str, Any] = {name: _copied(node) for name, node in nodes.items()}
    places = dict(_places(made))
    problems = []
    for place, options in told.items():
        if place not in places:
            problems.append(Misplaced(place, _unknown(place, list(places))))
        elif not isinstance(options, dict):
            problems.append(Misplaced(place, f"{options!r} is no object of options"))
        else:
            places[place][EXTENSION] = options
    return made, problems


def _unknown(place: str, places: list[str]) -> str:
    hint = did_you_mean(place, places) or f"; there is: {', '.join(places)}"
    return f"the graph has no such node or step{hint}"


def _copied(node: Any) -> Any:
    if not isinstance(node, Mapping):
        return node
    steps = node.get("steps") or []
    return {**node, "steps": [dict(step) for step in steps]} if steps else dict(node)


def _places(nodes: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, node in nodes.items():
        yield name, node
        for index, step in enumerate(node.get("steps") or ()):
            yield f"{name}/{step.get('name') or index}", step
