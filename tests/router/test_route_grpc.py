"""gRPC at the front of a graph, by grpcio: KServe's scenarios, tensors of each kind, errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import orjson
import pytest
from tests.router.conftest import Town
from tests.router.graph_cases import (
    DOWN,
    IRIS,
    NOT_FOUND,
    OK,
    SCENARIOS,
    Case,
    ask,
    enter,
    node,
)
from tests.router.test_route_http import closed_port
from tritonclient.grpc import service_pb2

SERVICE = "/inference.GRPCInferenceService/"
V2 = {
    "model_name": "m",
    "id": "7",
    "outputs": [{"name": "y", "shape": [2], "datatype": "INT64", "data": [1, 1]}],
}


def message(*, source: str = "", raw: bool = True) -> Any:
    """Two flowers as KServe's clients send them; a source is among the parameters."""
    rows = np.asarray(IRIS["instances"], np.float32)
    made = service_pb2.ModelInferRequest(model_name="graph", id="7")
    tensor = made.inputs.add(name="x", datatype="FP32", shape=rows.shape)
    if raw:
        made.raw_input_contents.append(rows.tobytes())
    else:
        tensor.contents.fp32_contents.extend(rows.ravel().tolist())
    if source:
        made.parameters["source"].string_param = source
    return made


@pytest.fixture
async def call(town: Town) -> AsyncIterator[Any]:
    """Return what asks a graph by gRPC, once by its URL."""
    channels: list[grpc.aio.Channel] = []

    async def ask_graph(url: str, request: Any, method: str = "ModelInfer", **options: Any) -> Any:
        channel = grpc.aio.insecure_channel(url.removeprefix("http://"))
        channels.append(channel)
        answer = getattr(service_pb2, f"{method}Response").FromString
        called = channel.unary_unary(
            SERVICE + method,
            type(request).SerializeToString,
            answer,
        )
        return await called(request, timeout=options.pop("timeout", 30), **options)

    yield ask_graph
    for channel in channels:
        await channel.close()


def as_v2(value: Any) -> Any:
    """What a case's service answers, in V2's form."""
    return V2 if value == OK else value


def expected_names(answer: Any) -> list[str]:
    if answer == OK:
        return ["y"]
    return [f"{step}.y" for step, inner in answer.items() if inner == OK]


@pytest.mark.parametrize("case", SCENARIOS.values(), ids=SCENARIOS.keys())
async def test_scenario(town: Town, call: Any, case: Case) -> None:
    town.services.answers = {
        name: (status, as_v2(body)) for name, (status, body) in case.services.items()
    }
    text = orjson.dumps(case.nodes).replace(b"source==", b"parameters.source==")
    url = await town.graph(orjson.loads(text))
    source = "client" if case.request == {"source": "client"} else ""
    if case.status == 200 and NOT_FOUND not in case.answer.values():
        answer = await call(url, message(source=source))
        assert [tensor.name for tensor in answer.outputs] == expected_names(case.answer)
        assert np.frombuffer(answer.raw_output_contents[0], np.int64).tolist() == [1, 1]
    else:
        with pytest.raises(grpc.RpcError) as raised:
            await call(url, message(source=source))
        merged = case.status == 200  # a failure among an Ensemble's answers is no tensor
        code = grpc.StatusCode.INTERNAL if merged else grpc.StatusCode.NOT_FOUND
        assert raised.value.code() is code
        assert merged or raised.value.details() == NOT_FOUND["error"]
    if case.asked is not None:
        asked = [request.target.decode()[1:] for request in town.services.asked]
        assert asked == [name for name, _ in case.asked]
    body = orjson.loads(town.services.asked[0].body)
    assert body["inputs"][0]["shape"] == [2, 4]
    assert np.allclose(np.ravel(body["inputs"][0]["data"]), np.ravel(IRIS["instances"]))


PIPE = {"root": node("Sequence", ask("one"))}


@pytest.mark.parametrize("raw", [True, False], ids=["raw contents", "typed contents"])
async def test_contents_come_back_as_they_came(town: Town, call: Any, raw: bool) -> None:
    town.services.answers = {"one": (200, V2)}
    answer = await call(await town.graph(PIPE), message(raw=raw))
    assert (answer.model_name, answer.id) == ("m", "7")
    [output] = answer.outputs
    assert (output.datatype, list(output.shape)) == ("INT64", [2])
    assert len(answer.raw_output_contents) == int(raw)
    assert list(output.contents.int64_contents) == ([] if raw else [1, 1])


async def test_bytes_go_through_as_text(town: Town, call: Any) -> None:
    words = {"name": "w", "shape": [2], "datatype": "BYTES", "data": ["a", "ü"]}
    town.services.answers = {"one": (200, {"outputs": [words]})}
    request = service_pb2.ModelInferRequest(model_name="graph")
    request.inputs.add(name="w", datatype="BYTES", shape=[1]).contents.bytes_contents.append(b"x")
    answer = await call(await town.graph(PIPE), request)
    assert list(answer.outputs[0].contents.bytes_contents) == [b"a", "ü".encode()]
    [asked] = town.services.asked
    assert orjson.loads(asked.body)["inputs"][0]["data"] == ["x"]


async def test_an_ensemble_s_answers_are_one_whose_outputs_say_whose_they_are(
    town: Town, call: Any
) -> None:
    town.services.answers = {"one": (200, V2)}
    nodes = {
        "root": node("Ensemble", ask("one", name="a"), enter("both", name="b")),
        "both": node("Ensemble", ask("one", name="c"), ask("one", name="d")),
    }
    answer = await call(await town.graph(nodes), message())
    assert [output.name for output in answer.outputs] == ["a.y", "b.c.y", "b.d.y"]


CODES = grpc.StatusCode


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        pytest.param(400, {"error": "no"}, CODES.INVALID_ARGUMENT, "no", id="a wrong request"),
        pytest.param(503, {"error": "busy"}, CODES.UNAVAILABLE, "busy", id="a busy step"),
        pytest.param(500, b"oops", CODES.INTERNAL, "HTTP 500", id="an error that is no JSON"),
        pytest.param(200, {"predictions": [1]}, CODES.INTERNAL,
                     'no list "outputs"; over gRPC the steps of a graph answer in V2', id="V1"),
        pytest.param(200, b"plain", CODES.INTERNAL, 'no list "outputs"', id="no JSON"),
    ],
)  # fmt: skip
async def test_what_a_step_answers_becomes_a_status(
    town: Town, call: Any, status: int, body: Any, code: Any, words: str
) -> None:
    town.services.answers = {"one": (status, body)}
    with pytest.raises(grpc.RpcError) as raised:
        await call(await town.graph(PIPE), message())
    assert raised.value.code() is code
    assert words in raised.value.details()


async def test_a_step_that_is_down_is_named(town: Town, call: Any) -> None:
    assert DOWN == (0, None)
    step = {"serviceUrl": f"http://127.0.0.1:{closed_port()}/", "name": "gone"}
    with pytest.raises(grpc.RpcError) as raised:
        await call(await town.graph({"root": node("Sequence", step)}), message())
    assert raised.value.code() is CODES.INTERNAL
    assert 'step "gone" of node "root"' in raised.value.details()


async def test_a_switch_that_fits_nothing_is_not_found(town: Town, call: Any) -> None:
    url = await town.graph({"root": node("Switch", ask("one", condition="nothing"))})
    with pytest.raises(grpc.RpcError) as raised:
        await call(url, message())
    assert raised.value.code() is CODES.NOT_FOUND
    assert raised.value.details() == "None of the routes matched with the switch condition"


async def test_a_deadline_calls_the_steps_off(town: Town, call: Any) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        left.set()

    url = await town.graph({"root": node("Sequence", {"serviceUrl": await town.peer(hang)})})
    with pytest.raises(grpc.RpcError) as raised:
        await call(url, message(), timeout=1)
    assert raised.value.code() is CODES.DEADLINE_EXCEEDED
    await asyncio.wait_for(left.wait(), 20)


async def test_headers_go_on_as_over_http(town: Town, call: Any) -> None:
    town.services.answers = {"one": (200, V2)}
    url = await town.graph(PIPE, headers="X-.*")
    await call(url, message(), metadata=(("x-tenant", "a"), ("other", "b")))
    got = town.services.asked[0].texts()
    assert got["x-tenant"] == "a"
    assert "other" not in got
    assert got["content-type"] == "application/json"


async def test_the_router_tells_that_it_lives_and_is_ready(town: Town, call: Any) -> None:
    url = await town.graph(PIPE)
    live = await call(url, service_pb2.ServerLiveRequest(), "ServerLive")
    ready = await call(url, service_pb2.ServerReadyRequest(), "ServerReady")
    assert (live.live, ready.ready) == (True, True)
    town.fronts[0].stopping = True
    ready = await call(url, service_pb2.ModelReadyRequest(name="graph"), "ModelReady")
    assert ready.ready is False
    assert town.services.asked == []


async def test_other_methods_are_refused(town: Town, call: Any) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        await call(
            await town.graph(PIPE), service_pb2.ModelMetadataRequest(name="m"), "ModelMetadata"
        )
    assert raised.value.code() is CODES.UNIMPLEMENTED


async def test_grpc_and_http_are_counted_together(town: Town, call: Any, client: Any) -> None:
    town.services.answers = {"one": (200, V2)}
    url = await town.graph(PIPE)
    await call(url, message())
    await client.post(url, json=IRIS)
    assert (
        'sampan_graph_requests_total{code="200"} 2.0' in (await client.get(f"{url}/metrics")).text
    )
