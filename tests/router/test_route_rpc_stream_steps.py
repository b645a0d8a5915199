"""Steps that answer by gRPC streams, with grpcio's own server behind them: events and messages."""

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
from tests.router.graph_cases import ask, node
from tests.router.test_route_grpc import V2 as ANSWER
from tests.router.test_route_grpc import message
from tests.router.test_route_rpc_streams import STREAM, streaming
from tritonclient.grpc import service_pb2

from sampan.router.annotation import find_option_mistakes
from sampan.router.blind import is_blind
from sampan.router.graph import InvalidGraph, make_graph

V2 = {"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1.5, 2.5]}]}
Said = service_pb2.ModelStreamInferResponse


def said(number: int, values: int = 2) -> Any:
    answer = Said()
    answer.infer_response.model_name = "m"
    answer.infer_response.outputs.add(name="y", datatype="INT64", shape=[values])
    contents = np.full(values, number, np.int64).tobytes()
    answer.infer_response.raw_output_contents.append(contents)
    return answer


class Streamers(grpc.GenericRpcHandler):
    """Models by name: `three` says three messages, each after a word of the test, ..."""

    def __init__(self) -> None:
        self.gate = asyncio.Semaphore(0)
        self.came, self.left = asyncio.Event(), asyncio.Event()
        self.asked: list[Any] = []
        self.sent = 0

    def service(self, details: Any) -> Any:
        if details.method.removeprefix("/serving") != STREAM:
            return None
        kinds = service_pb2.ModelInferRequest.FromString, Said.SerializeToString
        return grpc.stream_stream_rpc_method_handler(self.infer, *kinds)

    async def infer(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        asked = [request async for request in requests]
        self.asked += asked
        self.came.set()
        try:
            async for one in self.answer(asked[0].model_name, context):
                yield one
                self.sent += 1
        except (asyncio.CancelledError, GeneratorExit):
            self.left.set()
            raise

    async def answer(self, name: str, context: Any) -> AsyncIterator[Any]:
        if name == "gone":
            await context.abort(grpc.StatusCode.NOT_FOUND, "Model with name gone does not exist.")
        elif name == "refuses":
            yield Said(error_message="the image is no image")
        elif name == "large":
            for number in range(200):
                yield said(number, 16_384)
        elif name == "one":
            yield said(1)
        elif name != "nothing":
            for number in range(1, 4):
                await self.gate.acquire()
                yield said(number)
            if name == "breaks":
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "out of memory")


@pytest.fixture
async def streamers() -> AsyncIterator[tuple[Streamers, str]]:
    handler = Streamers()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield handler, f"grpc://127.0.0.1:{port}"
    await server.stop(0)


def step(base: str, model: str, **options: Any) -> dict[str, Any]:
    return {"serviceUrl": f"{base}/{model}", "sampan": {"stream": True, **options}}


def pipe(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"root": node("Sequence", *steps)}


def numbers(event: bytes) -> Any:
    return orjson.loads(event.removeprefix(b"data: "))["outputs"][0]["data"]


async def test_a_message_of_the_last_step_is_an_event_before_the_next_is_said(
    town: Town, client: httpx.AsyncClient, streamers: tuple[Streamers, str]
) -> None:
    handler, base = streamers
    town.services.answers = {"first": (200, V2)}
    url = await town.graph(pipe(ask("first"), step(base, "three")))
    handler.gate.release()
    async with client.stream("POST", url, json=V2) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = answer.aiter_text()
        for number in (1, 2, 3):
            assert numbers((await anext(events)).encode()) == [number, number]
            handler.gate.release()
        assert await anext(events, None) is None
    [asked] = handler.asked
    assert asked.model_name == "three"
    assert asked.raw_input_contents == [np.array([1.5, 2.5], np.float32).tobytes()]


async def test_by_grpc_at_the_front_each_is_a_message_before_the_next_is_said(
    town: Town, streamers: tuple[Streamers, str]
) -> None:
    handler, base = streamers
    async with streaming(await town.graph(pipe(step(base, "three")))) as stream:
        for _ in range(2):
            await stream.write(message())
            for number in (1, 2, 3):
                handler.gate.release()
                answer = await stream.read()
                assert answer.error_message == ""
                assert answer.infer_response.raw_output_contents[0][:8] == number.to_bytes(
                    8, "little"
                )
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF


async def test_what_stands_before_the_model_s_name_stands_before_the_method_s(
    town: Town, client: httpx.AsyncClient, streamers: tuple[Streamers, str]
) -> None:
    _, base = streamers
    url = await town.graph(pipe(step(f"{base}/serving", "one")))
    assert numbers((await client.post(url, json=V2)).content) == [1, 1]


async def test_a_client_that_leaves_calls_the_stream_off(
    town: Town, client: httpx.AsyncClient, streamers: tuple[Streamers, str]
) -> None:
    handler, base = streamers
    url = await town.graph(pipe(step(base, "three")))
    handler.gate.release()
    async with client.stream("POST", url, json=V2) as answer:
        await anext(answer.aiter_text())
    await asyncio.wait_for(handler.left.wait(), 20)


async def test_a_client_that_leaves_before_the_first_message_calls_the_stream_off(
    town: Town, streamers: tuple[Streamers, str]
) -> None:
    handler, base = streamers
    url = await town.graph(pipe(step(base, "three")))
    async with httpx.AsyncClient(trust_env=False) as client:
        asking = asyncio.create_task(client.post(url, json=V2, timeout=60))
        await asyncio.wait_for(handler.came.wait(), 20)
        asking.cancel()
        await asyncio.wait_for(handler.left.wait(), 20)


async def test_a_client_that_reads_slowly_is_sent_no_more_than_it_takes(
    town: Town, client: httpx.AsyncClient, streamers: tuple[Streamers, str]
) -> None:
    handler, base = streamers
    url = await town.graph(pipe(step(base, "large")))
    async with client.stream("POST", url, json=V2) as answer:
        pieces = answer.aiter_bytes()
        got = await anext(pieces)
        before = -1
        async with asyncio.timeout(60):
            while handler.sent != before:  # it stops by itself
                before = handler.sent
                await asyncio.sleep(1)
        assert before < 200
        got += b"".join([piece async for piece in pieces])
    said_ = [numbers(one) for one in got.split(b"\n\n") if one]
    assert [one[0] for one in said_] == list(range(200))
    assert {len(one) for one in said_} == {16_384}


@pytest.mark.parametrize(
    ("model", "status", "text"),
    [
        pytest.param("gone", 404, "Model with name gone does not exist.", id="a status"),
        pytest.param("refuses", 500, "the image is no image", id="an error message"),
        pytest.param("nothing", 500, "ended without a message", id="nothing"),
    ],
)
async def test_what_goes_wrong_before_the_first_message_has_its_status(  # a row's parts
    model: str,
    status: int,
    text: str,
    town: Town,
    client: httpx.AsyncClient,
    streamers: tuple[Streamers, str],
) -> None:
    url = await town.graph(pipe(step(streamers[1], model)))
    answer = await client.post(url, json=V2)
    assert answer.status_code == status
    assert text in answer.text


async def test_what_goes_wrong_after_it_is_the_last_event_and_the_last_message(
    town: Town, client: httpx.AsyncClient, streamers: tuple[Streamers, str]
) -> None:
    handler, base = streamers
    url = await town.graph(pipe(step(base, "breaks")))
    for _ in range(6):
        handler.gate.release()
    answer = await client.post(url, json=V2)
    *good, last = answer.content.rstrip().split(b"\n\n")
    assert [numbers(one)[0] for one in good] == [1, 2, 3]
    assert last == b'data: {"error":"out of memory"}'
    async with streaming(url) as stream:
        await stream.write(message())
        told = [await stream.read() for _ in range(4)]
        assert [one.error_message for one in told] == ["", "", "", "out of memory"]


async def test_a_step_that_is_not_the_last_is_to_answer_by_one_message(
    town: Town, client: httpx.AsyncClient, streamers: tuple[Streamers, str]
) -> None:
    handler, base = streamers
    town.services.answers = {"last": (200, ANSWER)}
    url = await town.graph(pipe(step(base, "one"), ask("last", data="$response")))
    assert (await client.post(url, json=V2)).json() == ANSWER
    assert orjson.loads(town.services.asked[0].body)["outputs"][0]["data"] == [1, 1]
    url = await town.graph(pipe(step(base, "three"), ask("last")))
    for _ in range(3):
        handler.gate.release()
    answer = await client.post(url, json=V2)
    assert answer.status_code == 500
    assert "answers by several messages" in answer.json()["cause"]


async def test_a_first_message_that_does_not_come_in_time_is_not_waited_for(
    town: Town, client: httpx.AsyncClient, streamers: tuple[Streamers, str]
) -> None:
    handler, base = streamers
    url = await town.graph(pipe(step(base, "three", timeout="300ms")))
    answer = await client.post(url, json=V2)
    assert answer.status_code == 500
    assert "did not answer within 0.3 seconds" in answer.json()["cause"]
    await asyncio.wait_for(handler.left.wait(), 20)


async def test_a_server_that_does_not_stream_is_told_of(
    town: Town, client: httpx.AsyncClient
) -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    url = await town.graph(pipe(step(f"grpc://127.0.0.1:{port}", "m")))
    answer = await client.post(url, json=V2)
    assert answer.status_code == 501
    await server.stop(0)


def test_messages_are_not_passed_on_unread_to_who_streams() -> None:
    graph = make_graph({"nodes": pipe(step("grpc://h:1", "m"))})
    assert not is_blind(graph)


def test_the_option_is_refused_where_a_step_is_asked_by_http() -> None:
    with pytest.raises(InvalidGraph, match="is asked by HTTP, where a step streams of itself"):
        make_graph({"nodes": pipe(step("http://h", "m"))})
    graph = {
        "metadata": {
            "annotations": {"serving.sampan.dev/graph-options": '{"root/0": {"stream": 1}}'}
        },
        "spec": {"nodes": pipe({"serviceName": "m"})},
    }
    assert [one.text for one in find_option_mistakes(graph)] == ["1 is neither true nor false"]
