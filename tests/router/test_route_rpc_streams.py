"""ModelStreamInfer at the front of a graph, by grpcio: message by message, event by event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import orjson
import pytest
from tests.router.conftest import Town
from tests.router.graph_cases import ask, node
from tests.router.test_route_grpc import V2, message
from tests.router.test_route_http import closed_port
from tests.router.test_route_rpc_steps import METHOD, Models, models  # noqa: F401  # a fixture
from tests.router.test_route_streams import HEAD, chunk
from tritonclient.grpc import service_pb2

STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
PIPE = {"root": node("Sequence", ask("one"))}


@asynccontextmanager
async def streaming(url: str, **options: Any) -> AsyncIterator[Any]:
    """A stream to a graph."""
    async with grpc.aio.insecure_channel(url.removeprefix("http://")) as channel:
        kinds = service_pb2.ModelInferRequest, service_pb2.ModelStreamInferResponse
        open_ = channel.stream_stream(STREAM, kinds[0].SerializeToString, kinds[1].FromString)
        yield open_(timeout=options.pop("timeout", 30), **options)


def saying(*numbers: int, gate: asyncio.Event | None = None) -> Callable[..., Awaitable[None]]:
    """A step that says a V2 answer an event; after the first it waits for a gate."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"inputs")
            writer.write(HEAD)
            for index, number in enumerate(numbers):
                if index and gate is not None:
                    await gate.wait()
                said = {"id": str(number), "model_name": "m", "outputs": V2["outputs"]}
                writer.write(chunk(b": a comment\nevent: x\ndata: " + orjson.dumps(said) + b"\n\n"))
                await writer.drain()
            writer.write(b"0\r\n\r\n")

    return serve


async def test_each_message_goes_through_the_graph_in_order(town: Town) -> None:
    town.services.answers = {"one": (200, V2)}
    async with streaming(await town.graph(PIPE)) as stream:
        for _ in range(3):
            await stream.write(message())
            answer = await stream.read()
            assert answer.error_message == ""
            assert [output.name for output in answer.infer_response.outputs] == ["y"]
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK
    assert len(town.services.asked) == 3


async def test_a_request_that_goes_wrong_is_told_and_the_stream_goes_on(town: Town) -> None:
    gone = {"serviceUrl": f"http://127.0.0.1:{closed_port()}/", "condition": "parameters.source"}
    town.services.answers = {"one": (200, V2)}
    url = await town.graph({"root": node("Switch", gone, ask("one", condition="inputs"))})
    async with streaming(url) as stream:
        await stream.write(message(source="x"))
        assert "takes no connection" in (await stream.read()).error_message
        await stream.write(message())
        assert (await stream.read()).infer_response.model_name == "m"


async def test_an_event_of_the_last_step_is_an_answer_before_the_next_is_said(town: Town) -> None:
    gate = asyncio.Event()
    town.services.answers = {"one": (200, V2)}
    last = {"serviceUrl": await town.peer(saying(1, 2, 3, gate=gate))}
    async with streaming(await town.graph({"root": node("Sequence", ask("one"), last)})) as stream:
        for _ in range(2):  # and its connection is used again
            gate.clear()
            await stream.write(message())
            assert (await stream.read()).infer_response.id == "1"
            gate.set()
            assert [(await stream.read()).infer_response.id for _ in range(2)] == ["2", "3"]


async def test_what_breaks_off_is_told_in_the_stream(town: Town) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"inputs")
        writer.write(HEAD + chunk(b"data: " + orjson.dumps(V2) + b"\n\n"))
        await writer.drain()

    step = {"serviceUrl": await town.peer(serve)}
    async with streaming(await town.graph({"root": node("Sequence", step)})) as stream:
        await stream.write(message())
        assert (await stream.read()).infer_response.id == "7"
        assert "in the middle of its answer" in (await stream.read()).error_message


async def test_an_event_that_is_no_v2_answer_is_told(town: Town) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"inputs")
        writer.write(HEAD + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        await writer.drain()
        await reader.read()

    step = {"serviceUrl": await town.peer(serve)}
    async with streaming(await town.graph({"root": node("Sequence", step)})) as stream:
        await stream.write(message())
        assert 'no list "outputs"' in (await stream.read()).error_message


@pytest.mark.parametrize("leave", ["cancel", "deadline"])
async def test_a_client_that_leaves_calls_the_steps_off(town: Town, leave: str) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"inputs")
        asked.set()
        writer.write(HEAD + chunk(b"data: " + orjson.dumps(V2) + b"\n\n"))
        try:
            await reader.read(1)
            while await reader.read(65536):
                pass
        finally:
            left.set()

    step = {"serviceUrl": await town.peer(serve)}
    url = await town.graph({"root": node("Sequence", step)})
    async with streaming(url, timeout=5 if leave == "deadline" else 30) as stream:
        await stream.write(message())
        await asyncio.wait_for(asked.wait(), 20)
        if leave == "cancel":
            await stream.read()
            stream.cancel()
        else:
            await stream.read()
            with pytest.raises(grpc.RpcError, match="Deadline"):
                await stream.read()
        await asyncio.wait_for(left.wait(), 20)


async def test_a_graph_that_looks_into_nothing_passes_messages_on_unread(
    town: Town,
    models: tuple[Models, str],  # noqa: F811  # the fixture
) -> None:
    handler, base = models
    assert METHOD
    url = await town.graph({"root": node("Sequence", {"serviceUrl": f"{base}/echo"})})
    async with streaming(url) as stream:
        for _ in range(2):
            await stream.write(message())
            answer = (await stream.read()).infer_response
            assert answer.raw_output_contents[0] == message().raw_input_contents[0]
    assert [name for name, _ in handler.asked] == ["echo"] * 2
