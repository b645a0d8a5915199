"""Ensemble: all steps at once with the same request; one object holds their answers.

KServe, router. Every answer must be a JSON object. A `Hard` step that fails is the node's answer,
the first of them in the order of steps; any other failure is merged like a success.

Steps that are told to mirror are asked and not merged. Where the node collapses, steps that ask the
same address the same share one call.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import orjson

from sampan.router.body import Body, Carried, text_of
from sampan.router.graph import Node, Step
from sampan.router.mapping import make_given
from sampan.router.steps import JSON, Aside, Call, Go, Outcome, RouterError, Together, Walk, Way

_BLANKS = b" \t\r\n"
_KINDS = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}


def ensemble(node: Node, body: Body, walk: Walk, go: Go) -> Way:
    """Return the answers by the names of their steps, or by their indexes where they have none."""
    groups: dict[Hashable, list[int]] = {}
    ways = []
    for index, step in enumerate(node.steps):
        given = make_given(step, body, body) if step.options.body else body
        if step.options.mirror:
            yield Aside(Call(step, given), walk.gate)
            continue
        shares = node.collapses and step.direct
        same = (step.url, step.options.headers, step.options.timeout, given) if shares else index
        group = groups.setdefault(same, [])
        if not group:
            ways.append(go(step, given, walk.middle))
        group.append(index)
    asked = [tuple(node.steps[index] for index in group) for group in groups.values()]
    outcomes: list[Outcome] = yield Together(
        tuple(ways), lambda number, outcome: any(_is_fatal(step, outcome) for step in asked[number])
    )
    return _merged(node, tuple(groups.values()), outcomes)


def merge(keys: Sequence[str], bodies: Sequence[bytes]) -> bytes:
    """Return one object of JSON texts, which are not written anew."""
    pairs = (orjson.dumps(key) + b":" + body for key, body in zip(keys, bodies, strict=True))
    return b"{" + b",".join(pairs) + b"}"


def _merged(node: Node, groups: Sequence[list[int]], outcomes: list[Outcome]) -> Outcome:
    """Return the node's outcome. `groups` are indexes of steps, an outcome a group."""
    bodies: dict[int, bytes] = {}
    for group, outcome in zip(groups, outcomes, strict=False):  # a fatal one ends the list
        for index in group:
            _validate(node.steps[index], outcome)
            if _is_fatal(node.steps[index], outcome):
                return outcome
            bodies[index] = text_of(outcome.body)
    order = sorted(bodies)
    keys = [node.steps[index].key for index in order]
    return Outcome(200, merge(keys, [bodies[index] for index in order]), JSON)


def _is_fatal(step: Step, outcome: Outcome) -> bool:
    return step.hard and not outcome.is_success


def _validate(step: Step, outcome: Outcome) -> None:
    body = outcome.body
    try:
        value = body.value if isinstance(body, Carried) else orjson.loads(body)
    except ValueError:
        kind = "no JSON" if text_of(body).strip(_BLANKS) else "nothing"
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
