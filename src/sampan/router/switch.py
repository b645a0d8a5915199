"""Switch: the first step whose condition finds something in the request.

KServe, router. A step without condition is never taken, and where none is, the answer is a 404;
here a step may have the option `default`, and takes the rest.
"""

from __future__ import annotations

import orjson

from sampan.gjson.find import exists
from sampan.router.body import Body, text_of
from sampan.router.graph import Node, Step
from sampan.router.mapping import make_given
from sampan.router.steps import Go, RouterError, Walk, Way

NO_MATCH = "None of the routes matched with the switch condition"


def switch(node: Node, body: Body, walk: Walk, go: Go) -> Way:
    """Return the outcome of the step that is taken."""
    step = select_step(node, body)
    if step is None:
        raise RouterError(NO_MATCH, status=404, node=node.name)
    given = make_given(step, body, body) if step.options.body else body
    return (yield from go(step, given, walk))


def select_step(node: Node, body: Body) -> Step | None:
    """Return the step that takes a request, else the default, else None.

    A body that is no JSON fits no condition.
    """
    default = next((s for s in node.steps if s.options.default), None)
    try:
        value = orjson.loads(text_of(body))
    except ValueError:
        return default
    fitting = (s for s in node.steps if s.condition is not None and exists(value, s.condition))
    return next(fitting, default)
