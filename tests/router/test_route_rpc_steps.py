"""Steps that are asked by gRPC, with grpcio's own server behind them: scenarios, faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import numpy as np
import orjson
import pytest
from tests.router.conftest import Town
from tests.router.graph_cases import IRIS, NOT_FOUND, OK, SCENARIOS, Case, node
from tests.router.test_route_http import closed_port
from tritonclient.grpc import service_pb2

from sampan.router.blind import is_blind
from sampan.server.graph_rpc import as_request

METHOD = "/inference.GRPCInferenceService/ModelInfer"
V2 = {"inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP32",
                  "data": IRIS["instances"][0] + IRIS["instances"][1]}]}  # fmt: skip
Answer = service_pb2.ModelInferResponse


class Models(grpc.GenericRpcHandler):
    """Models by name: `good` answers two ones, `echo` what it gets, `bad` is not there, ..."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.left = asyncio.Event()
        self.paths: list[str] = []

    def service(self, details: Any) -> Any:
        if not details.method.endswith(METHOD):
            return None
        self.paths.append(details.method)
        return grpc.unary_unary_rpc_method_handler(
            self.infer,
            service_pb2.ModelInferRequest.FromString,
            Answer.SerializeToString,
        )

    async def infer(self, request: Any, context: Any) -> Any:
        headers = dict(context.invocation_metadata())
        self.asked.append((request.model_name, headers))
        if request.model_name == "bad":
            await context.abort(grpc.StatusCode.NOT_FOUND, NOT_FOUND["error"])
        if request.model_name == "busy":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "100 % büsy")
        again = sum(name == request.model_name for name, _ in self.asked) > 1
        if request.model_name == "slow" or (request.model_name == "slow-once" and not again):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.left.set()
                raise
        answer = Answer(model_name=request.model_name, id=request.id)
        if request.model_name == "echo":
            [tensor] = request.inputs
            answer.outputs.add(name="y", datatype=tensor.datatype, shape=tensor.shape)
            answer.raw_output_contents.append(request.raw_input_contents[0])
        else:
            output = answer.outputs.add(name="y", datatype="INT64", shape=[2])
            output.parameters["binary_data_size"].int64_param = 16  # as KServe's server says
            answer.raw_output_contents.append(np.ones(2, np.int64).tobytes())
        return answer


@pytest.fixture
async def models() -> AsyncIterator[tuple[Models, str]]:
    handler = Models()
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield handler, f"grpc://127.0.0.1:{port}"
    await server.stop(0)


def by_grpc(nodes: Any, base: str) -> Any:
    return orjson.loads(orjson.dumps(nodes).replace(b"svc:/", base.encode()))


def plain(value: Any) -> Any:
    """An answer with its tensors by name and numbers only."""
    if isinstance(value, dict) and "outputs" in value:
        return OK if value["outputs"][0]["data"] == [1, 1] else value
    if isinstance(value, dict) and "error" not in value:
        return {key: plain(inner) for key, inner in value.items()}
    return value


@pytest.mark.parametrize("case", SCENARIOS.values(), ids=SCENARIOS.keys())
async def test_scenario(
    town: Town, client: httpx.AsyncClient, models: tuple[Models, str], case: Case
) -> None:
    handler, base = models
    text = orjson.dumps(case.nodes).replace(b"source==", b"parameters.source==")
    url = await town.graph(by_grpc(orjson.loads(text), base))
    source = {"parameters": case.request} if "source" in case.request else {}
    answer = await client.post(url, json={**V2, **source})
    assert answer.status_code == case.status
    assert plain(answer.json()) == case.answer
    if case.asked is not None:
        assert [name for name, _ in handler.asked] == [name for name, _ in case.asked]


def step(base: str, model: str, **fields: Any) -> dict[str, Any]:
    return {"serviceUrl": f"{base}/{model}", **fields}


async def test_what_stands_before_the_model_s_name_stands_before_the_method_s(
    town: Town, client: httpx.AsyncClient, models: tuple[Models, str]
) -> None:
    handler, base = models
    url = await town.graph({"root": node("Sequence", step(f"{base}/serving/default", "good"))})
    assert (await client.post(url, json=V2)).status_code == 200
    assert handler.paths == [f"/serving/default{METHOD}"]
    assert [name for name, _ in handler.asked] == ["good"]


async def test_tensors_of_megabytes_go_and_come_whole(
    town: Town, client: httpx.AsyncClient, models: tuple[Models, str]
) -> None:
    _, base = models
    url = await town.graph({"root": node("Sequence", step(base, "echo"))})
    data = list(range(150_000))  # more than a window
    tensor = {"name": "x", "shape": [len(data)], "datatype": "INT64", "data": data}
    for _ in range(2):  # windows are opened again
        sent = [client.post(url, json={"inputs": [tensor]}) for _ in range(2)]
        for answer in await asyncio.gather(*sent):
            assert answer.json()["outputs"][0]["data"] == data


@pytest.mark.parametrize(
    ("body", "request_"),
    [
        pytest.param(b'{"id":"7","model_name":"m","outputs":[{"name":"inputs"}]}',
                     b'{"inputs":[{"name":"inputs"}],"id":"7"}', id="an answer"),
        pytest.param(b'{"outputs":[]}', b'{"inputs":[]}', id="an answer without an id"),
        pytest.param(b'{"inputs":[],"outputs":[{"name":"y"}]}',
                     b'{"inputs":[],"outputs":[{"name":"y"}]}', id="a request that names outputs"),
        pytest.param(b'{"outputs":{}}', b'{"outputs":{}}', id="outputs that are no list"),
        pytest.param(b'["outputs"]', b'["outputs"]', id="a list"),
        pytest.param(b'{"outputs"', b'{"outputs"', id="no JSON"),
    ],
)  # fmt: skip
def test_an_answer_is_a_request_to_the_next_step(body: bytes, request_: bytes) -> None:
    assert as_request(body) == request_


async def test_many_calls_share_a_connection(
    town: Town, client: httpx.AsyncClient, models: tuple[Models, str]
) -> None:
    handler, base = models
    url = await town.graph({"root": node("Ensemble", *[step(base, "good")] * 8)})
    answers = await asyncio.gather(*(client.post(url, json=V2) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(handler.asked) == 160


async def test_a_status_becomes_its_http_status_with_the_message(
    town: Town, client: httpx.AsyncClient, models: tuple[Models, str]
) -> None:
    _, base = models
    url = await town.graph({"root": node("Sequence", step(base, "busy"))})
    answer = await client.post(url, json=V2)
    assert (answer.status_code, answer.json()) == (503, {"error": "100 % büsy"})


async def test_a_busy_step_is_asked_again(
    town: Town, client: httpx.AsyncClient, models: tuple[Models, str]
) -> None:
    handler, base = models
    options = {"attempts": 3, "fallback": {"serviceUrl": f"{base}/good"}}
    url = await town.graph({"root": node("Sequence", step(base, "busy", sampan=options))})
    assert plain((await client.post(url, json=V2)).json()) == OK
    assert [name for name, _ in handler.asked] == ["busy"] * 3 + ["good"]


async def test_a_request_that_is_no_v2_is_refused_as_its_server_would(
    town: Town, client: httpx.AsyncClient, models: tuple[Models, str]
) -> None:
    handler, base = models
    url = await town.graph({"root": node("Sequence", step(base, "good"))})
    answer = await client.post(url, json=IRIS)
    assert answer.status_code == 422
    assert handler.asked == []


async def test_headers_go_on_as_metadata(
    town: Town, client: httpx.AsyncClient, models: tuple[Models, str]
) -> None:
    handler, base = models
    own = {"headers": {"x-own": "1"}}
    url = await town.graph({"root": node("Sequence", step(base, "good", sampan=own))}, headers="X")
    await client.post(url, json=V2, headers={"X-Tenant": "a"})
    [(_, headers)] = handler.asked
    assert (headers["x-tenant"], headers["x-own"]) == ("a", "1")


async def test_a_slow_step_is_called_off_at_its_time_limit(
    town: Town, client: httpx.AsyncClient, models: tuple[Models, str]
) -> None:
    handler, base = models
    steps = step(base, "slow", sampan={"timeout": "300ms"})
    url = await town.graph({"root": node("Sequence", steps)})
    answer = await client.post(url, json=V2)
    assert answer.status_code == 500
    assert "did not answer within 0.3 seconds" in answer.json()["cause"]
    await asyncio.wait_for(handler.left.wait(), 20)
    url = await town.graph({"root": node("Sequence", step(base, "good"))})
    assert (await client.post(url, json=V2)).status_code == 200


async def test_a_step_that_is_down_and_comes_back(town: Town, client: httpx.AsyncClient) -> None:
    port = closed_port()
    url = await town.graph({"root": node("Sequence", step(f"grpc://127.0.0.1:{port}", "good"))})
    answer = await client.post(url, json=V2)
    assert "takes no connection" in answer.json()["cause"]
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Models(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    assert (await client.post(url, json=V2)).status_code == 200
    await server.stop(0)
    answer = await client.post(url, json=V2)
    assert answer.status_code == 500


SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # an empty frame of them

FAULTS = {
    "closes": (b"", "closed the connection before it answered"),
    "speaks HTTP/1.1": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "did not answer in HTTP/2"),
    "gives the call up": (
        SETTINGS + b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x02",
        "gave the call up (HTTP/2 error 2)",
    ),
    "answers without a gRPC status": (
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88",
        "did not answer in gRPC (HTTP 200)",
    ),
    "sends no header block": (
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\x00\x00\x01\x01\x05\x00\x00\x00\x01\xff",
        "did not answer in HTTP/2 (header block",
    ),
    "ends without a status": (
        SETTINGS + b"\x00\x00\x0f\x01\x05\x00\x00\x00\x01" + b"\x00\x0bgrpc-status\x010",
        "did not answer in HTTP/2 (an answer without a status)",
    ),
    "goes away": (
        SETTINGS + b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + b"\x00" * 8,
        "takes no more calls on this connection",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_step_that(town: Town, client: httpx.AsyncClient, fault: str) -> None:
    sent, words = FAULTS[fault]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        await reader.readuntil(b"ModelInfer")
        writer.write(sent)
        await writer.drain()
        if sent:
            await reader.read()

    base = (await town.peer(serve)).replace("http:", "grpc:")
    url = await town.graph({"root": node("Sequence", step(base, "m"))})
    answer = await client.post(url, json=V2)
    assert answer.status_code == 500
    assert words in answer.json()["cause"]
    assert answer.json()["step"] == "0"


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param((("x-tenant", "a"),), id="a header that goes on"),
        pytest.param((("x-other", "a"),), id="a header that does not"),
        pytest.param((), id="no header"),
    ],
)
async def test_calls_with_the_same_head_are_answered_the_same(
    town: Town, models: tuple[Models, str], metadata: Any
) -> None:
    """A head is known from the second call on, or the third, where HPACK has it in its table."""
    handler, base = models
    nodes = {"root": node("Sequence", step(base, "echo"), step(base, "echo"))}
    url = await town.graph(nodes, headers="X-Tenant")
    request = service_pb2.ModelInferRequest(model_name="graph")
    request.inputs.add(name="x", datatype="UINT8", shape=[1])
    request.raw_input_contents.append(b"\x07")
    told = []
    async with grpc.aio.insecure_channel(url.removeprefix("http://")) as channel:
        packed = {"compression": grpc.Compression.Gzip}
        call = channel.unary_unary(METHOD, type(request).SerializeToString, Answer.FromString)
        for options in ({}, {}, {}, {}, {"timeout": 30}, {"timeout": 30}, packed, packed, {}):
            answer = await call(request, metadata=metadata, **options)
            told.append(answer.raw_output_contents[0])
    assert told == [b"\x07"] * 9
    sent = {headers.get("x-tenant") for _, headers in handler.asked}
    assert sent == {dict(metadata).get("x-tenant")}
    assert len(handler.asked) == 18


async def test_a_deadline_is_kept_whatever_calls_came_before(
    town: Town, models: tuple[Models, str]
) -> None:
    handler, base = models
    url = await town.graph({"root": node("Sequence", step(base, "slow"))})
    async with grpc.aio.insecure_channel(url.removeprefix("http://")) as channel:
        call = channel.unary_unary(METHOD)
        for _ in range(3):
            handler.left.clear()
            with pytest.raises(grpc.RpcError) as raised:
                await call(b"", timeout=0.2)
            assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            await asyncio.wait_for(handler.left.wait(), 20)


@pytest.mark.parametrize("looks", [False, True], ids=["passed on unread", "by way of JSON"])
async def test_grpc_at_the_front_and_behind(
    town: Town, models: tuple[Models, str], looks: bool
) -> None:
    handler, base = models
    last = step(base, "echo", **({"condition": "outputs"} if looks else {}))
    url = await town.graph({"root": node("Sequence", step(base, "good"), last)})
    assert is_blind(town.fronts[0].graph) is not looks
    request = service_pb2.ModelInferRequest(model_name="graph", id="7")
    request.inputs.add(name="x", datatype="FP32", shape=[3])
    request.raw_input_contents.append(np.arange(3, dtype=np.float32).tobytes())
    async with grpc.aio.insecure_channel(url.removeprefix("http://")) as channel:
        call = channel.unary_unary(METHOD, type(request).SerializeToString, Answer.FromString)
        answer = await call(request, timeout=30)
    assert (answer.model_name, answer.id) == ("echo", "7")
    assert np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() == [0, 1, 2]
    assert [name for name, _ in handler.asked] == ["good", "echo"]


OPTIONS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "a slow call is made again and the first answer taken": (
        "slow-once", {"hedge": "50ms"}, ["slow-once", "slow-once"],
    ),
    "a step has a time limit, and a fallback after it": (
        "slow", {"timeout": "200ms", "fallback": "good"}, ["slow", "good"],
    ),
    "a busy step is asked again, and then its fallback": (
        "busy", {"attempts": 3, "fallback": "good"}, ["busy", "busy", "busy", "good"],
    ),
    "a path is another model's": ("bad", {"path": "/good"}, ["good"]),
    "a header is the step's own": ("good", {"headers": {"x-own": "1"}}, ["good"]),
}  # fmt: skip


@pytest.mark.parametrize("looks", [False, True], ids=["passed on unread", "by way of JSON"])
@pytest.mark.parametrize("option", OPTIONS)
async def test_with_grpc_at_the_front(
    town: Town, models: tuple[Models, str], option: str, looks: bool
) -> None:
    handler, base = models
    model, told, asked = OPTIONS[option]
    if "fallback" in told:
        told = {**told, "fallback": {"serviceUrl": f"{base}/{told['fallback']}"}}
    first = [step(base, "good"), step(base, "good", condition="outputs")] if looks else []
    url = await town.graph({"root": node("Sequence", *first, step(base, model, sampan=told))})
    assert is_blind(town.fronts[0].graph) is not looks
    request = service_pb2.ModelInferRequest(model_name="graph", id="7")
    request.inputs.add(name="x", datatype="UINT8", shape=[1])
    request.raw_input_contents.append(b"\x07")
    async with grpc.aio.insecure_channel(url.removeprefix("http://")) as channel:
        call = channel.unary_unary(METHOD, type(request).SerializeToString, Answer.FromString)
        answer = await call(request, timeout=60)
    assert np.frombuffer(answer.raw_output_contents[0], np.int64).tolist() == [1, 1]
    assert [name for name, _ in handler.asked] == ["good"] * len(first) + asked
    assert handler.asked[-1][1].get("x-own") == told.get("headers", {}).get("x-own")
    if model.startswith("slow"):
        await asyncio.wait_for(handler.left.wait(), 20)  # the slow one is called off


async def test_an_error_of_a_step_is_passed_on(town: Town, models: tuple[Models, str]) -> None:
    _, base = models
    nodes = {"root": node("Sequence", step(base, "busy"))}
    url = await town.graph(nodes)
    async with grpc.aio.insecure_channel(url.removeprefix("http://")) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            await channel.unary_unary(METHOD)(b"", timeout=30)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert raised.value.details() == "100 % büsy"
