"""Graphs, what their services answer, and what the graph answers then: one table for every way in
which a graph is run. KServe, router; its end-to-end scenarios and its unit cases.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DOWN = (0, None)
"""A service whose connections are refused."""

OK = {"predictions": [1, 1]}
NOT_FOUND = {"error": "Model with name sklearn-iris-x does not exist."}
IRIS = {"instances": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]}
FAILED = "Failed to process request"


@dataclass(frozen=True)
class Case:
    """`asked`: which services were asked, in order, and with what (None: whatever)."""

    nodes: dict[str, Any]
    services: dict[str, tuple[int, Any]]
    request: Any
    status: int
    answer: Any
    asked: list[tuple[str, Any]] | None = None
    draw: int = 0
    headers: dict[str, str] = field(default_factory=dict)


def node(router_type: str, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"routerType": router_type, "steps": list(steps)}


def ask(service: str, **fields: Any) -> dict[str, Any]:
    return {"serviceUrl": f"svc://{service}", **fields}


def enter(target: str, **fields: Any) -> dict[str, Any]:
    return {"nodeName": target, **fields}


def failure(cause: str, **more: Any) -> dict[str, Any]:
    return {"error": FAILED, "cause": cause, **more}


GOOD_AND_BAD = {"good": (200, OK), "bad": (404, NOT_FOUND)}
LABEL = '[@this].#(source=="client")'

SCENARIOS: dict[str, Case] = {
    "1: of two soft steps in sequence the last answers, though it fails": Case(
        {"root": node("Sequence", ask("good"), ask("bad"))},
        GOOD_AND_BAD, IRIS, 404, NOT_FOUND, [("good", IRIS), ("bad", IRIS)],
    ),
    "2: a failed soft step is followed by the next": Case(
        {"root": node("Sequence", ask("bad", dependency="Soft"), ask("good", dependency="Soft"))},
        GOOD_AND_BAD, IRIS, 200, OK, [("bad", IRIS), ("good", IRIS)],
    ),
    "3: a failed hard step ends the sequence with its answer": Case(
        {"root": node("Sequence", ask("bad", dependency="Hard"), ask("good"))},
        GOOD_AND_BAD, IRIS, 404, NOT_FOUND, [("bad", IRIS)],
    ),
    "4: a switch takes the step whose condition holds, and answers as it does": Case(
        {"root": node("Switch", ask("good", condition='[@this].#(x=="1")'),
                      ask("bad", condition=LABEL))},
        GOOD_AND_BAD, {"source": "client"}, 404, NOT_FOUND, [("bad", {"source": "client"})],
    ),
    "5: a node that fails in a soft step is followed by the next": Case(
        {"root": node("Sequence", enter("choice", dependency="Soft"), ask("good")),
         "choice": node("Switch", ask("bad", condition=LABEL))},
        GOOD_AND_BAD, {"source": "client"}, 200, OK,
        [("bad", {"source": "client"}), ("good", {"source": "client"})],
    ),
    "6: a node that fails in a hard step ends the sequence": Case(
        {"root": node("Sequence", enter("choice", dependency="Hard"), ask("good")),
         "choice": node("Switch", ask("bad", condition=LABEL))},
        GOOD_AND_BAD, {"source": "client"}, 404, NOT_FOUND, [("bad", {"source": "client"})],
    ),
    "7: an ensemble of soft steps merges failures like successes": Case(
        {"root": node("Ensemble", ask("good", name="rootStep1"), ask("bad", name="rootStep2"))},
        GOOD_AND_BAD, IRIS, 200, {"rootStep1": OK, "rootStep2": NOT_FOUND},
    ),
    "8: a failed hard step is the ensemble's answer": Case(
        {"root": node("Ensemble", ask("good", name="a"), ask("bad", name="b", dependency="Hard"))},
        GOOD_AND_BAD, IRIS, 404, NOT_FOUND,
    ),
    "9: an ensemble that fails in a soft step is followed by the next": Case(
        {"root": node("Sequence", enter("both", dependency="Soft"), ask("good")),
         "both": node("Ensemble", ask("good"), ask("bad", dependency="Hard"))},
        GOOD_AND_BAD, IRIS, 200, OK,
    ),
    "10: an ensemble that fails in a hard step ends the sequence": Case(
        {"root": node("Sequence", enter("both", dependency="Hard"), ask("good")),
         "both": node("Ensemble", ask("bad", dependency="Hard"), ask("good"))},
        GOOD_AND_BAD, IRIS, 404, NOT_FOUND,
    ),
}  # fmt: skip
"""Upstream's end-to-end scenarios, by what they show."""

SEQUENCE: dict[str, Case] = {
    "a single step is a pipe": Case(
        {"root": node("Sequence", ask("one"))}, {"one": (200, OK)}, IRIS, 200, OK, [("one", IRIS)]
    ),
    "the next step is given the request, not the answer": Case(
        {"root": node("Sequence", ask("one"), ask("two", data="$request"))},
        {"one": (200, {"a": 1}), "two": (200, {"b": 2})}, IRIS, 200, {"b": 2},
        [("one", IRIS), ("two", IRIS)],
    ),
    "with $response it is given the answer": Case(
        {"root": node("Sequence", ask("one"), ask("two", data="$response"))},
        {"one": (200, {"a": 1}), "two": (200, {"b": 2})}, IRIS, 200, {"b": 2},
        [("one", IRIS), ("two", {"a": 1})],
    ),
    "$response in the first step is the request": Case(
        {"root": node("Sequence", ask("one", data="$response"))},
        {"one": (200, OK)}, IRIS, 200, OK, [("one", IRIS)],
    ),
    "any other data is the request": Case(
        {"root": node("Sequence", ask("one"), ask("two", data="$response.predictions"))},
        {"one": (200, {"a": 1}), "two": (200, OK)}, IRIS, 200, OK, [("one", IRIS), ("two", IRIS)],
    ),
    "predictions become instances, and all else of the answer is left out": Case(
        {"root": node("Sequence", ask("one"),
                      ask("two", data="$response", mapPredictionsToInstances=True))},
        {"one": (200, {"predictions": [[1], [2]], "id": 7}), "two": (200, OK)}, IRIS, 200, OK,
        [("one", IRIS), ("two", {"instances": [[1], [2]]})],
    ),
    "an answer without predictions is passed on as it is": Case(
        {"root": node("Sequence", ask("one"),
                      ask("two", data="$response", mapPredictionsToInstances=True))},
        {"one": (200, {"predictions": []}), "two": (200, OK)}, IRIS, 200, OK,
        [("one", IRIS), ("two", {"predictions": []})],
    ),
    "an answer that is no JSON is passed on as it is, too": Case(
        {"root": node("Sequence", ask("one"),
                      ask("two", data="$response", mapPredictionsToInstances=True))},
        {"one": (200, b"plain"), "two": (200, OK)}, IRIS, 200, OK,
        [("one", IRIS), ("two", b"plain")],
    ),
    "a condition is asked of the answer before": Case(
        {"root": node("Sequence", ask("one"),
                      ask("two", condition='predictions.#(label=="dog")'))},
        {"one": (200, {"predictions": [{"label": "dog"}]}), "two": (200, OK)}, IRIS, 200, OK,
        [("one", IRIS), ("two", IRIS)],
    ),
    "a condition that finds nothing ends the sequence with the answer before": Case(
        {"root": node("Sequence", ask("one"),
                      ask("two", condition='predictions.#(label=="dog")'), ask("three"))},
        {"one": (200, {"predictions": [{"label": "cat"}]}), "two": (200, OK), "three": (200, OK)},
        IRIS, 200, {"predictions": [{"label": "cat"}]}, [("one", IRIS)],
    ),
    "it ends with status 200 even after a failure": Case(
        {"root": node("Sequence", ask("bad"), ask("two", condition="predictions"))},
        {"bad": (503, {"error": "busy"}), "two": (200, OK)}, IRIS, 200, {"error": "busy"},
    ),
    "a condition on an answer that is no JSON is an error": Case(
        {"root": node("Sequence", ask("one"), ask("two", condition="a"))},
        {"one": (200, b"plain"), "two": (200, OK)}, IRIS, 500,
        failure("invalid response", node="root", step="1", url="svc://two"),
    ),
    "a condition on the first step always fails": Case(
        {"root": node("Sequence", ask("one", condition="instances"))},
        {"one": (200, OK)}, IRIS, 500,
        failure("invalid response", node="root", step="0", url="svc://one"), [],
    ),
    "a hard step that succeeds is followed": Case(
        {"root": node("Sequence", ask("one", dependency="Hard"), ask("two"))},
        {"one": (201, {"a": 1}), "two": (200, OK)}, IRIS, 200, OK,
    ),
    "the last step's status is the node's": Case(
        {"root": node("Sequence", ask("one"))}, {"one": (202, OK)}, IRIS, 202, OK
    ),
    "bodies need not be JSON": Case(
        {"root": node("Sequence", ask("one"), ask("two", data="$response"))},
        {"one": (200, b"\x00\xff"), "two": (200, b"fine")}, b"\x01\x02", 200, b"fine",
        [("one", b"\x01\x02"), ("two", b"\x00\xff")],
    ),
    "a step that is down aborts the graph, however soft it is": Case(
        {"root": node("Sequence", ask("gone", name="a", dependency="Soft"), ask("good"))},
        {"gone": DOWN, "good": (200, OK)}, IRIS, 500,
        failure("*takes no connection*", node="root", step="a", url="svc://gone"), [],
    ),
    "a redirect is an answer like any other": Case(
        {"root": node("Sequence", ask("one", dependency="Hard"), ask("two"))},
        {"one": (302, {"moved": True}), "two": (200, OK)}, IRIS, 302, {"moved": True},
    ),
}  # fmt: skip

SWITCH: dict[str, Case] = {
    "the first step that fits is taken": Case(
        {"root": node("Switch", ask("one", condition='instances.#(modelId=="1")'),
                      ask("two", condition="instances"))},
        {"one": (200, {"by": "one"}), "two": (200, {"by": "two"})},
        {"instances": [{"modelId": "1"}]}, 200, {"by": "one"}, [("one", None)],
    ),
    "what fits no step is a 404": Case(
        {"root": node("Switch", ask("one", condition='instances.#(modelId=="1")'))},
        {"one": (200, OK)}, {"instances": [{"modelId": "9"}]}, 404,
        failure("None of the routes matched with the switch condition", node="root"), [],
    ),
    "a request that is no JSON fits none": Case(
        {"root": node("Switch", ask("one", condition="instances"))},
        {"one": (200, OK)}, b"{", 404,
        failure("None of the routes matched with the switch condition", node="root"), [],
    ),
    "a step without a condition is never taken": Case(
        {"root": node("Switch", ask("one"))}, {"one": (200, OK)}, IRIS, 404,
        failure("None of the routes matched with the switch condition", node="root"), [],
    ),
    "below the root the same is a 500": Case(
        {"root": node("Sequence", enter("choice", dependency="Soft"), ask("one")),
         "choice": node("Switch", ask("one", condition="x"))},
        {"one": (200, OK)}, IRIS, 500,
        failure("None of the routes matched with the switch condition", node="choice"), [],
    ),
    "dependency means nothing in a switch": Case(
        {"root": node("Switch", ask("bad", condition="instances", dependency="Hard"))},
        {"bad": (503, {"error": "busy"})}, IRIS, 503, {"error": "busy"},
    ),
    "a condition that only looks like two is two": Case(
        {"root": node("Switch", ask("upper", condition="[@this].#(instances.0.data>0.9)"),
                      ask("lower", condition="[@this].#(instances.0.data<=0.5)"),
                      enter("middle", condition="[@this].#(instances.0.data>0.5 && "
                                                "instances.0.data<=0.9)")),
         "middle": node("Sequence", ask("between"))},
        {name: (200, {"by": name}) for name in ("upper", "lower", "between")},
        {"instances": [{"data": 0.7}]}, 200, {"by": "between"},
    ),
}  # fmt: skip

ENSEMBLE: dict[str, Case] = {
    "steps without names are numbered": Case(
        {"root": node("Ensemble", ask("one"), ask("two", name="b"))},
        {"one": (200, {"a": 1}), "two": (200, {"a": 2})}, IRIS, 200, {"0": {"a": 1}, "b": {"a": 2}},
    ),
    "every step is given the same request": Case(
        {"root": node("Ensemble", ask("one"), ask("two", data="$response"))},
        {"one": (200, {"a": 1}), "two": (200, {"a": 2})}, IRIS, 200, {"0": {"a": 1}, "1": {"a": 2}},
        [("one", IRIS), ("two", IRIS)],
    ),
    "the first of several failed hard steps answers": Case(
        {"root": node("Ensemble", ask("good"), ask("x", dependency="Hard"),
                      ask("y", dependency="Hard"))},
        {"good": (200, OK), "x": (418, {"by": "x"}), "y": (503, {"by": "y"})}, IRIS, 418,
        {"by": "x"},
    ),
    "an array is no answer of an ensemble": Case(
        {"root": node("Ensemble", ask("one", name="a"))}, {"one": (200, [1, 2])}, IRIS, 500,
        failure("*answered JSON that is an array*", node="root", step="a", url="svc://one",
                status=200),
    ),
    "nor is a number": Case(
        {"root": node("Ensemble", ask("one"))}, {"one": (200, 7)}, IRIS, 500,
        failure("*answered JSON that is a number*", node="root", step="0", url="svc://one",
                status=200),
    ),
    "nor what is no JSON": Case(
        {"root": node("Ensemble", ask("one"))}, {"one": (502, b"<html>")}, IRIS, 500,
        failure("*answered no JSON*", node="root", step="0", url="svc://one", status=502),
    ),
    "nor nothing": Case(
        {"root": node("Ensemble", ask("one"))}, {"one": (204, b"")}, IRIS, 500,
        failure("*answered nothing*", node="root", step="0", url="svc://one", status=204),
    ),
    "a step that is down aborts it": Case(
        {"root": node("Ensemble", ask("one"), ask("gone"))}, {"one": (200, OK), "gone": DOWN},
        IRIS, 500, failure("*takes no connection*", node="root", step="1", url="svc://gone"),
    ),
    "nodes are merged like services": Case(
        {"root": node("Ensemble", enter("pipe", name="p"), ask("one", name="o")),
         "pipe": node("Sequence", ask("one"), ask("two", data="$response"))},
        {"one": (200, {"a": 1}), "two": (200, {"b": 2})}, IRIS, 200, {"p": {"b": 2}, "o": {"a": 1}},
    ),
    "an ensemble of nothing answers an empty object": Case(
        {"root": node("Ensemble")}, {}, IRIS, 200, {}
    ),
}  # fmt: skip

SPLITTER: dict[str, Case] = {
    f"of 20 and 80 percent, {drawn} falls on {name}": Case(
        {"root": node("Splitter", ask("one", weight=20), ask("two", weight=80))},
        {"one": (200, {"by": "one"}), "two": (200, {"by": "two"})}, IRIS, 200, {"by": name},
        draw=drawn,
    )
    for drawn, name in ((0, "one"), (19, "one"), (20, "two"), (99, "two"))
} | {
    "weights that end before 100 leave some without a route": Case(
        {"root": node("Splitter", ask("one", weight=20))}, {"one": (200, OK)}, IRIS, 500,
        failure("no route was selected by the splitter", node="root"), [], draw=20,
    ),
    "the drawn step's status is the node's": Case(
        {"root": node("Splitter", ask("bad", weight=100, dependency="Hard"))},
        {"bad": (400, {"error": "no"})}, IRIS, 400, {"error": "no"},
    ),
}  # fmt: skip

OTHERS: dict[str, Case] = {
    "an unknown type of router is an error of the request": Case(
        {"root": node("Merge", ask("one"))}, {"one": (200, OK)}, IRIS, 500,
        failure("invalid route type: Merge"), [],
    ),
    "nodes hold nodes": Case(
        {"root": node("Sequence", enter("a")), "a": node("Splitter", enter("b", weight=100)),
         "b": node("Switch", enter("c", condition="instances")),
         "c": node("Ensemble", ask("one", name="x"))},
        {"one": (200, OK)}, IRIS, 200, {"x": OK},
    ),
    "a node may be entered twice": Case(
        {"root": node("Sequence", enter("a"), enter("a", data="$response")),
         "a": node("Sequence", ask("one"))},
        {"one": (200, OK)}, IRIS, 200, OK, [("one", IRIS), ("one", OK)],
    ),
}  # fmt: skip

ANSWER = {"predictions": [{"label": "dog", "p": 0.9}], "id": "7"}
SPARE = {"by": "spare"}

OPTIONS: dict[str, Case] = {
    "a default takes what fits no other step": Case(
        {"root": node("Switch", ask("one", sampan={"default": True}), ask("two", condition="x"))},
        {"one": (200, {"by": "one"}), "two": (200, OK)}, IRIS, 200, {"by": "one"}, [("one", IRIS)],
    ),
    "a step that fits goes before the default": Case(
        {"root": node("Switch", ask("one", sampan={"default": True}), ask("two", condition="x"))},
        {"one": (200, OK), "two": (200, {"by": "two"})}, {"x": 1}, 200, {"by": "two"},
    ),
    "a default takes what is no JSON": Case(
        {"root": node("Switch", ask("one", sampan={"default": True}))},
        {"one": (200, OK)}, b"{", 200, OK, [("one", b"{")],
    ),
    "a body is put together from the request and the answer before": Case(
        {"root": node("Sequence", ask("one"), ask("two", sampan={"body": {
            "instances": "$response.predictions.#.label", "of": ["$response.id", "$$1"],
            "all": "$request", "n": 3}}))},
        {"one": (200, ANSWER), "two": (200, OK)}, {"a": 1}, 200, OK,
        [("one", {"a": 1}),
         ("two", {"instances": ["dog"], "of": ["7", "$1"], "all": {"a": 1}, "n": 3})],
    ),
    "a body may be put together for the only step of a switch": Case(
        {"root": node("Switch", ask("one", condition="a", sampan={"body": {"b": "$request.a"}}))},
        {"one": (200, OK)}, {"a": [1]}, 200, OK, [("one", {"b": [1]})],
    ),
    "what a body asks for and is not there is an error": Case(
        {"root": node("Sequence", ask("one"), ask("two", sampan={"body": "$response.gone"}))},
        {"one": (200, ANSWER), "two": (200, OK)}, {}, 500,
        failure('*"$response.gone" finds nothing*', node="root", step="1", url="svc://two"),
        [("one", {})],
    ),
    "parts of what is no JSON are an error": Case(
        {"root": node("Sequence", ask("one", sampan={"body": "$request.a"}))},
        {"one": (200, OK)}, b"{", 500,
        failure('*"$request" is no JSON*', node="root", step="0", url="svc://one"), [],
    ),
    "a fallback answers for a step that is down": Case(
        {"root": node("Sequence", ask("gone", sampan={"fallback": {"serviceUrl": "svc://spare"}}))},
        {"gone": DOWN, "spare": (200, SPARE)}, IRIS, 200, SPARE, [("spare", IRIS)],
    ),
    "a fallback answers for a step that fails": Case(
        {"root": node("Sequence", ask("bad", sampan={"fallback": {"nodeName": "other"}})),
         "other": node("Sequence", ask("spare"))},
        {"bad": (500, {}), "spare": (200, SPARE)}, IRIS, 200, SPARE,
        [("bad", IRIS), ("spare", IRIS)],
    ),
    "a fallback answers for a whole node": Case(
        {"root": node("Sequence", enter("main", sampan={"fallback": {"nodeName": "other"}})),
         "main": node("Switch", ask("one", condition="x")),
         "other": node("Sequence", ask("spare"))},
        {"one": (200, OK), "spare": (200, SPARE)}, IRIS, 200, SPARE, [("spare", IRIS)],
    ),
    "a fallback is not asked for what the client did wrong": Case(
        {"root": node("Sequence", ask("bad", sampan={"fallback": {"serviceUrl": "svc://spare"}}))},
        {"bad": (400, {"error": "no"}), "spare": (200, SPARE)}, IRIS, 400, {"error": "no"},
        [("bad", IRIS)],
    ),
    "a fallback that fails too is the answer": Case(
        {"root": node("Sequence", ask("bad", sampan={"fallback": {"serviceUrl": "svc://gone"}}))},
        {"bad": (500, {}), "gone": DOWN}, IRIS, 500,
        failure("*takes no connection*", node="root", step="0!", url="svc://gone"),
    ),
    "a step is asked again while it is not there, so many times": Case(
        {"root": node("Sequence", ask("busy", sampan={"attempts": 3}))},
        {"busy": (503, {"error": "busy"})}, IRIS, 503, {"error": "busy"}, [("busy", IRIS)] * 3,
    ),
    "a step that cannot be reached is asked again, too": Case(
        {"root": node("Sequence", ask("gone", sampan={"attempts": 2}))},
        {"gone": DOWN}, IRIS, 500,
        failure("*takes no connection*", node="root", step="0", url="svc://gone"),
    ),
    "a step that failed is not asked again": Case(
        {"root": node("Sequence", ask("bad", sampan={"attempts": 3}))},
        {"bad": (500, {"error": "broken"})}, IRIS, 500, {"error": "broken"}, [("bad", IRIS)],
    ),
    "attempts come before the fallback": Case(
        {"root": node("Sequence", ask("busy", sampan={"attempts": 2, "fallback": {
            "serviceUrl": "svc://spare"}}))},
        {"busy": (503, {}), "spare": (200, SPARE)}, IRIS, 200, SPARE,
        [("busy", IRIS), ("busy", IRIS), ("spare", IRIS)],
    ),
    "a mirrored step is asked, and nobody looks at its answer": Case(
        {"root": node("Sequence", ask("one"), ask("shadow", sampan={"mirror": True}),
                      ask("two", data="$response"))},
        {"one": (200, {"a": 1}), "shadow": (500, b"?"), "two": (200, OK)}, IRIS, 200, OK,
        [("one", IRIS), ("shadow", IRIS), ("two", {"a": 1})],
    ),
    "a mirrored last step leaves the answer before it": Case(
        {"root": node("Sequence", ask("one"),
                      ask("shadow", data="$response", sampan={"mirror": True}))},
        {"one": (201, {"a": 1}), "shadow": (200, OK)}, IRIS, 201, {"a": 1},
        [("one", IRIS), ("shadow", {"a": 1})],
    ),
    "a mirrored step that is down hurts nobody": Case(
        {"root": node("Sequence", ask("gone", sampan={"mirror": True}), ask("one"))},
        {"gone": DOWN, "one": (200, OK)}, IRIS, 200, OK,
    ),
    "a mirrored step is not merged": Case(
        {"root": node("Ensemble", ask("one"), ask("shadow", sampan={"mirror": True}), ask("two"))},
        {"one": (200, {"a": 1}), "shadow": (200, OK), "two": (200, {"b": 2})}, IRIS, 200,
        {"0": {"a": 1}, "2": {"b": 2}},
    ),
    "equal calls of an ensemble that collapses are made once": Case(
        {"root": {**node("Ensemble", ask("one", name="a"), ask("two", name="b"),
                         ask("one", name="c")), "sampan": {"collapse": True}}},
        {"one": (200, {"a": 1}), "two": (200, {"b": 2})}, IRIS, 200,
        {"a": {"a": 1}, "b": {"b": 2}, "c": {"a": 1}}, [("one", IRIS), ("two", IRIS)],
    ),
    "calls with different bodies are not equal": Case(
        {"root": {**node("Ensemble", ask("one"), ask("one", sampan={"body": {"x": 1}})),
                  "sampan": {"collapse": True}}},
        {"one": (200, {"a": 1})}, IRIS, 200, {"0": {"a": 1}, "1": {"a": 1}},
        [("one", IRIS), ("one", {"x": 1})],
    ),
    "a hard step among equal ones is still hard": Case(
        {"root": {**node("Ensemble", ask("bad"), ask("bad", dependency="Hard")),
                  "sampan": {"collapse": True}}},
        {"bad": (418, {"by": "bad"})}, IRIS, 418, {"by": "bad"}, [("bad", IRIS)],
    ),
    "without collapse equal calls are made each": Case(
        {"root": node("Ensemble", ask("one"), ask("one"))},
        {"one": (200, {"a": 1})}, IRIS, 200, {"0": {"a": 1}, "1": {"a": 1}},
        [("one", IRIS), ("one", IRIS)],
    ),
}  # fmt: skip
"""What KServe's router does not know."""

CASES = {**SCENARIOS, **SEQUENCE, **SWITCH, **ENSEMBLE, **SPLITTER, **OTHERS, **OPTIONS}
