"""An event stream goes through the last step as it comes; before it, it is like other answers."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from tests.router.conftest import Serve, Town
from tests.router.graph_cases import OK, ask, enter, node

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Talker:
    """Says one event, and the next when it is told to."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.left = asyncio.Event()
        self.breaks = False
        self.requests: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await reader.readexactly(2)
            writer.write(HEAD + chunk(b"data: 1\n\n"))
            gone = asyncio.ensure_future(reader.read(1))
            told = asyncio.ensure_future(self.go_on.wait())
            await asyncio.wait({gone, told}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                self.left.set()
                return
            gone.cancel()
            if self.breaks:
                return
            writer.write(chunk(b"data: 2\n\n") + b"0\r\n\r\n")
            await writer.drain()


def through(url: str) -> dict[str, dict[str, Any]]:
    """Graphs whose last step is the talker."""
    step = {"serviceUrl": url}
    return {
        "a single step": {"root": node("Sequence", step)},
        "the last of a sequence": {"root": node("Sequence", ask("good"), step)},
        "a switch": {"root": node("Switch", {**step, "condition": "@this"})},
        "a splitter": {"root": node("Splitter", {**step, "weight": 100})},
        "the last step of the last node": {
            "root": node("Sequence", ask("good"), enter("inner")),
            "inner": node("Sequence", ask("good"), step),
        },
    }


@pytest.mark.parametrize("place", list(through("")))
async def test_an_event_is_there_before_the_next_is_said(
    town: Town, client: httpx.AsyncClient, place: str
) -> None:
    talker = Talker()
    town.services.answers = {"good": (200, OK)}
    url = await town.graph(through(await town.peer(talker.serve))[place])
    for _ in range(2):  # the connection is used again after a stream
        talker.go_on.clear()
        async with client.stream("POST", url, content=b"{}") as answer:
            events = answer.aiter_bytes()
            assert await anext(events) == b"data: 1\n\n"
            assert answer.headers["content-type"] == "text/event-stream"
            talker.go_on.set()
            assert b"".join([event async for event in events]) == b"data: 2\n\n"
    assert len(talker.requests) == 2


async def test_a_step_before_the_last_is_waited_for(town: Town, client: httpx.AsyncClient) -> None:
    talker = Talker()
    talker.go_on.set()
    town.services.answers = {"good": (200, OK)}
    steps = ({"serviceUrl": await town.peer(talker.serve)}, ask("good", data="$response"))
    answer = await client.post(await town.graph({"root": node("Sequence", *steps)}), content=b"{}")
    assert answer.json() == OK
    assert [r.body for r in town.services.asked] == [b"data: 1\n\ndata: 2\n\n"]


async def test_a_client_that_leaves_ends_the_stream_at_its_source(town: Town) -> None:
    talker = Talker()
    url = await town.graph(through(await town.peer(talker.serve))["a single step"])
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
    await asyncio.wait_for(reader.readuntil(b"data: 1\n\n"), 20)
    writer.close()
    await asyncio.wait_for(talker.left.wait(), 20)


async def test_a_stream_that_breaks_off_does_not_look_whole(
    town: Town, client: httpx.AsyncClient
) -> None:
    talker = Talker()
    talker.breaks = True
    talker.go_on.set()
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # it is told there
    url = await town.graph(through(await town.peer(talker.serve))["a single step"])
    with pytest.raises(httpx.RemoteProtocolError):
        await client.post(url, content=b"{}")


def flood(total: int, sent: list[int]) -> Serve:
    """Send so many bytes of an event stream as quickly as they are taken."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        for _ in range(total // 65536):
            writer.write(chunk(b"x" * 65536))
            await writer.drain()
            sent[0] += 65536
        writer.write(b"0\r\n\r\n")

    return serve


async def test_a_client_that_does_not_read_keeps_the_source_waiting(
    town: Town, client: httpx.AsyncClient
) -> None:
    total, sent = 64 * 1024 * 1024, [0]
    url = await town.graph(through(await town.peer(flood(total, sent)))["a single step"])
    async with client.stream("POST", url, content=b"{}") as answer:
        before = -1
        while sent[0] != before:  # until it goes no further
            before = sent[0]
            await asyncio.sleep(0.5)
        assert 0 < sent[0] < total / 2
        size = 0
        async for piece in answer.aiter_bytes():
            size += len(piece)
    assert size == total
