"""Ensemble: all steps at once with the same request; one object holds their answers.

KServe, router. Every answer must be a JSON object. A `Hard` step that fails is the node's answer,
the first of them in the order of steps; any other failure is merged like a success.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from sampan.router.graph import Node, Step
from sampan.router.steps import JSON, Go, Outcome, RouterError, Together, Walk, Way

_BLANKS = b" \t\r\n"
_KINDS = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}


def ensemble(node: Node, body: bytes, walk: Walk, go: Go) -> Way:
    """Return the answers by the names of their steps, or by their indexes where they have none."""
    steps = node.steps
    ways = tuple(go(step, body, walk.middle) for step in steps)
    outcomes: list[Outcome] = yield Together(
        ways, lambda index, outcome: _is_fatal(steps[index], outcome)
    )
    for step, outcome in zip(steps, outcomes, strict=False):  # a fatal one ends the list
        _validate(step, outcome)
        if _is_fatal(step, outcome):
            return outcome
    keys, bodies = [step.key for step in steps], [outcome.body for outcome in outcomes]
    return Outcome(200, merge(keys, bodies), JSON)


def merge(keys: Sequence[str], bodies: Sequence[bytes]) -> bytes:
    """Return one object of JSON texts, which are not written anew."""
    pairs = (orjson.dumps(key) + b":" + body for key, body in zip(keys, bodies, strict=True))
    return b"{" + b",".join(pairs) + b"}"


def _is_fatal(step: Step, outcome: Outcome) -> bool:
    return step.hard and not outcome.is_success


def _validate(step: Step, outcome: Outcome) -> None:
    try:
        value = orjson.loads(outcome.body)
    except ValueError:
        kind = "no JSON" if outcome.body.strip(_BLANKS) else "nothing"
    else:
        if isinstance(value, dict):
            return
        kind = f"JSON that is {_KINDS.get(type(value), 'a number')}"
    raise RouterError(
        f'step "{step.key}" of node "{step.node}" answered {kind}, and an Ensemble merges objects; '
        "let it answer an object, or take it out of the Ensemble",
        step=step,
        answered=outcome.status,
    )
