"""What a step is sent: the request, the answer before it, or parts of both."""

from __future__ import annotations

from typing import Any

import orjson

from sampan.router.body import Body, Carried
from sampan.router.body_map import CannotFill, fill
from sampan.router.graph import Step
from sampan.router.steps import RouterError


def make_given(step: Step, request: Body, response: Body) -> Body:
    """Return what a step is sent; raise RouterError.

    `response` is the answer before it, or where there is none the request.
    """
    template = step.options.body
    if template is not None:
        try:
            return fill(template, request, response)
        except CannotFill as problem:
            cause = f'body of step "{step.key}" of node "{step.node}": {problem}'
            raise RouterError(cause, step=step) from None
    given = response if step.takes_response else request
    return map_predictions(given) if step.maps_predictions else given


def map_predictions(body: Body) -> Body:
    """Return the answer of a V1 model as the request of the next.

    KServe, `mapPredictionsToInstances`: all else of the answer is left out, and a body that has no
    predictions stays as it is.
    """
    if isinstance(body, Carried):
        found: Any = body.value.get("predictions") if isinstance(body.value, dict) else None
        there = len(found) > 0 if hasattr(found, "__len__") else found  # an array has no truth
        return body.made({"instances": found}) if there else body
    try:
        value = orjson.loads(body)
    except ValueError:
        return body
    predictions = value.get("predictions") if isinstance(value, dict) else None
    return orjson.dumps({"instances": predictions}) if predictions else body
