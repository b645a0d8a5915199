"""Splitter: one step, by the shares that the steps' weights give them. KServe, router."""

from __future__ import annotations

from sampan.router.body import Body
from sampan.router.graph import Node, Step
from sampan.router.mapping import make_given
from sampan.router.steps import Go, RouterError, Walk, Way

NO_ROUTE = "no route was selected by the splitter"


def splitter(node: Node, body: Body, walk: Walk, go: Go) -> Way:
    """Return the outcome of the step that is drawn."""
    step = select_step(node, walk.draw())
    if step is None:
        raise RouterError(NO_ROUTE, node=node.name)
    given = make_given(step, body, body) if step.options.body else body
    return (yield from go(step, given, walk))


def select_step(node: Node, drawn: int) -> Step | None:
    """Return the step on which a number from 0 to 99 falls; None where the weights end before."""
    reached = 0
    for step in node.steps:
        reached += step.weight
        if drawn < reached:
            return step
    return None
