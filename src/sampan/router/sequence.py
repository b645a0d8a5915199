"""Sequence: one step after the other.

KServe, router. A step is given the node's request, or with `data: $response` the answer before it.
A condition is asked of the answer before; where it finds nothing, that answer is the node's, with
status 200. A `Hard` step that fails ends the node; any other failure is an answer like any other.
"""

from __future__ import annotations

import orjson

from sampan.gjson.find import exists
from sampan.gjson.path import Path
from sampan.router.body import Body, text_of
from sampan.router.graph import Node, Step
from sampan.router.mapping import make_given
from sampan.router.steps import Aside, Call, Go, Outcome, RouterError, Walk, Way


def sequence(node: Node, body: Body, walk: Walk, go: Go) -> Way:
    """Return the outcome of the last step that was taken."""
    last, end = Outcome(200, b""), node.end
    before = body
    for index, step in enumerate(node.steps):
        given = body if step.plain_body else make_given(step, body, before)
        if step.condition is not None and not _holds(step, step.condition, last.body):
            return Outcome(200, last.body)
        if step.direct:  # most steps: a way of its own would only pass the call on
            last = yield Call(step, given, walk.ends and index == end)
        elif step.options.mirror:
            yield Aside(Call(step, given), walk.gate)
            continue
        else:
            last = yield from go(step, given, walk if index == end else walk.middle)
        before = last.body
        if step.hard and not last.is_success:
            return last
    return last


def _holds(step: Step, condition: Path, answer: Body) -> bool:
    try:
        return exists(orjson.loads(text_of(answer)), condition)
    except ValueError:
        raise RouterError("invalid response", step=step) from None
