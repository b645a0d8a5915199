"""The table of graphs in V2's words, for gRPC: a body's keys are tensors, conditions look at them.

What has no such form is named here with the reason, and nothing else is left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
from tests.router.graph_cases import CASES, IRIS, Case

NO_MESSAGE = "its request is no JSON object, and so no ModelInferRequest"
V1_FIELDS = "it is about V1's predictions and instances, which V2 does not have"
LEFT_OUT = {
    "bodies need not be JSON": NO_MESSAGE,
    "a request that is no JSON fits none": NO_MESSAGE,
    "a default takes what is no JSON": NO_MESSAGE,
    "parts of what is no JSON are an error": NO_MESSAGE,
    "predictions become instances, and all else of the answer is left out": V1_FIELDS,
    "an answer without predictions is passed on as it is": V1_FIELDS,
    "an answer that is no JSON is passed on as it is, too": V1_FIELDS,
    "a body is put together from the request and the answer before": V1_FIELDS,
    "a body may be put together for the only step of a switch": V1_FIELDS,
    "what a body asks for and is not there is an error": V1_FIELDS,
    "calls with different bodies are not equal": V1_FIELDS,
}

_CONDITIONS = {
    "instances": 'inputs.#(name=="instances")',
    "x": 'inputs.#(name=="x")',
    "predictions": "outputs",
    'predictions.#(label=="dog")': 'outputs.#(data.0%"*dog*")',
    'instances.#(modelId=="1")': 'inputs.#(data.0%"*modelId*1*")',
    '[@this].#(source=="client")': 'inputs.#(data.0=="client")',
    '[@this].#(x=="1")': 'inputs.#(name=="x")',
}
"""V1's conditions, and what finds the same in V2; a comparison of numbers is rewritten by path."""


def tensors(value: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tensors that stand for an object: one a key."""
    if value == IRIS:
        rows = [number for row in IRIS["instances"] for number in row]
        return [{"name": "instances", "shape": [2, 4], "datatype": "FP64", "data": rows}]
    if value == {"instances": [{"data": 0.7}]}:
        return [{"name": "instances", "shape": [1], "datatype": "FP64", "data": [0.7]}]
    texts = {
        key: told if isinstance(told, str) else orjson.dumps(told).decode()
        for key, told in value.items()
    }
    return [
        {"name": key, "shape": [1], "datatype": "BYTES", "data": [text]}
        for key, text in texts.items()
    ]


def names(answer: Any) -> list[str] | None:
    """Return the names of the tensors that an answer becomes; None where it becomes none."""
    if not isinstance(answer, dict) or not answer or "error" in answer:
        return None
    merged = [inner for inner in answer.values() if isinstance(inner, dict)]
    if not merged:
        return list(answer)
    found = {step: names(inner) for step, inner in answer.items()}
    if any(inner is None for inner in found.values()):
        return None
    return [f"{step}.{name}" for step, inner in found.items() for name in inner or ()]


def _translate(nodes: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = orjson.loads(orjson.dumps(nodes))
    for node in made.values():
        for step in node["steps"]:
            if told := step.get("condition"):
                told = _CONDITIONS.get(told, told)
                step["condition"] = told.replace("instances.0.data", "inputs.0.data.0")
    return made


GRPC_CASES: dict[str, Case] = {
    name: replace(case, nodes=_translate(case.nodes))
    for name, case in CASES.items()
    if name not in LEFT_OUT
}
"""The rest of the table, with conditions on tensors; requests and answers by `tensors`."""
