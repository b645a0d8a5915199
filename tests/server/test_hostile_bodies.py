"""Bodies and errors that fuzzing found: each had no answer, or a wrong one, once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sampan.server.model import Model

SURROGATE = "\\ud800"
DEEP = "[" * 2000 + "]" * 2000


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(f'{{"inputs": ["{SURROGATE}"]}}', 422, id="half a letter where a tensor goes"),
        pytest.param(
            f'{{"id": "{SURROGATE}", "inputs": [{{"name": "x", "shape": [1], "datatype": "INT32",'
            ' "data": [1]}]}',
            422,
            id="half a letter in the id",
        ),
        pytest.param('{"inputs": [1' + "0" * 40 + "]}", 422, id="a number above 64 bits"),
        pytest.param(f'{{"inputs": {DEEP}}}', 422, id="a nest that is too deep"),
        pytest.param('{"inputs": [NaN]}', 422, id="NaN where a tensor goes"),
    ],
)
async def test_what_json_cannot_repeat_is_refused_all_the_same(serve, echo, body, status):
    server = await serve(echo)
    headers = {"Content-Type": "application/json"}
    answer = await server.ask("POST", "/v2/models/echo/infer", body, headers)
    assert (answer.status, bool(answer.json["detail"])) == (status, True)


class Wordless(RuntimeError):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_an_error_without_a_text_is_answered_by_its_class(serve, asynchronous):
    class Breaking(Model):
        def predict(self, payload: Any, headers: Any = None) -> Any:  # noqa: ARG002  # KServe's names
            raise Wordless

    class BreakingLater(Model):
        async def predict(self, payload: Any, headers: Any = None) -> Any:  # noqa: ARG002  # KServe's names
            raise Wordless

    model = BreakingLater("m") if asynchronous else Breaking("m")
    model.load()
    server = await serve(model)
    answer = await server.ask("POST", "/v1/models/m:predict", '{"instances": []}')
    assert (answer.status, answer.json) == (500, {"error": "Wordless : without a text"})


async def test_an_empty_list_of_outputs_means_all_and_holds_up_nobody(serve, iris):
    server = await serve(iris)
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [6.8, 2.8, 4.8, 1.4]}
    headers = {"Content-Type": "application/json"}
    for inline in (False, True):
        server.dataplane.repository.get("sk").pace.inline = inline
        for asked in ({"outputs": []}, {}):
            body = json.dumps({"inputs": [tensor], **asked})
            answer = await server.ask("POST", "/v2/models/sk/infer", body, headers)
            assert answer.json["outputs"][0]["data"] == [1]
