"""Bodies and errors that fuzzing found: each had no answer, or a wrong one, once."""

from __future__ import annotations

import gzip
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


@pytest.mark.parametrize("path", ["/v1/models/echo:predict", "/v2/models/echo/infer"])
async def test_a_compressed_body_is_refused_by_its_encoding(serve, echo, path):
    server = await serve(echo)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await server.ask("POST", path, gzip.compress(b'{"instances": []}'), headers)
    told = 'content-encoding "gzip" is not served; send the body as it is'
    assert (answer.status, answer.json) == (415, {"error": told})


async def test_a_body_that_reads_as_it_is_needs_no_encoding(serve, echo):
    server = await serve(echo)
    headers = {"Content-Type": "application/json", "Content-Encoding": "identity"}
    answer = await server.ask("POST", "/v1/models/echo:predict", '{"instances": 1}', headers)
    assert answer.status == 400


async def test_tensors_after_a_length_are_read_whatever_the_type_says(serve, echo):
    """MLServer's client sends `application/json` with binary tensors."""
    server = await serve(echo)
    size = {"binary_data_size": 4}
    tensor = {"name": "x", "shape": [1], "datatype": "INT32", "parameters": size}
    head = json.dumps({"inputs": [tensor]})
    headers = {
        "Content-Type": "application/json",
        "Inference-Header-Content-Length": str(len(head)),
    }
    body = head.encode() + b"\x07\0\0\0"
    answer = await server.ask("POST", "/v2/models/echo/infer", body, headers)
    assert answer.json["outputs"][0]["data"] == [7]


@pytest.mark.parametrize("kind", [None, "application/x-www-form-urlencoded"])
async def test_v2_json_of_no_said_type_is_read_and_what_is_none_is_told_as_kserve_tells(
    serve, echo, kind
):
    """tritonclient sends no type with JSON."""
    server = await serve(echo)
    headers = {"Content-Type": kind} if kind else {}
    tensor = {"name": "x", "shape": [1], "datatype": "INT32", "data": [7]}
    body = json.dumps({"inputs": [tensor]})
    answer = await server.ask("POST", "/v2/models/echo/infer", body, headers)
    assert answer.json["outputs"][0]["data"] == [7]
    answer = await server.ask("POST", "/v2/models/echo/infer", b"\xff", headers)
    told = "received byte inputs, but the'inference-header-content-length' header is missing."
    assert (answer.status, answer.json) == (400, {"error": told})
