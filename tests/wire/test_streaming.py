"""Answers that come piece by piece: framing, back-pressure, and peers that leave."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from sampan.wire.limits import Limits
from sampan.wire.listener import Listener
from sampan.wire.message import Reply, Request, Response, Submit

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Pieces:
    """Chunks that remember how they ended."""

    def __init__(self, *pieces: bytes, then: BaseException | None = None, hang: bool = False):
        self.pieces = list(pieces)
        self.then = then
        self.hang = hang
        self.taken = 0
        self.closed = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self.taken < len(self.pieces):
            self.taken += 1
            return self.pieces[self.taken - 1]
        if self.hang:
            await asyncio.Event().wait()
        if self.then is not None:
            raise self.then
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed.set()


class Wire:
    """A listener in front of an application."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener

    async def connect(self) -> Peer:
        return Peer(*await asyncio.open_connection(*self.listener.address))


class Peer:
    """One client connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(-1), 5)


@pytest.fixture
async def listen():
    """Serve applications."""
    listeners: list[Listener] = []

    async def starter(application: Submit, limits: Limits | None = None) -> Wire:
        listener = Listener(application, limits)
        await listener.listen("127.0.0.1", 0)
        listeners.append(listener)
        return Wire(listener)

    yield starter
    for listener in listeners:
        await listener.drain(0)


def answering(*streams: Pieces):
    """Return an application that answers each request with the next of these."""
    left = iter(streams)

    def submit(request: Request, reply: Reply) -> None:
        reply(Response(200, content_type=b"text/plain", chunks=next(left)))

    return submit


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # any condition, not one event
            await asyncio.sleep(0.005)


async def test_pieces_arrive_as_chunks_and_the_connection_goes_on(listen):
    wire = await listen(answering(Pieces(b"one", b"", b"three"), Pieces(b"again")))
    peer = await wire.connect()
    await peer.send(GET + GET)
    await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    first = await peer.reader.readuntil(b"0\r\n\r\n")
    assert b"transfer-encoding: chunked\r\n" in first
    assert b"content-length" not in first
    assert first.endswith(b"\r\n\r\n3\r\none\r\n5\r\nthree\r\n0\r\n\r\n")
    assert (await peer.reader.readuntil(b"0\r\n\r\n")).endswith(b"5\r\nagain\r\n0\r\n\r\n")


async def test_http_1_0_gets_plain_bytes_and_a_closed_connection(listen):
    wire = await listen(answering(Pieces(b"one", b"two")))
    peer = await wire.connect()
    await peer.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    head, _, body = (await peer.rest()).partition(b"\r\n\r\n")
    assert body == b"onetwo"
    assert b"chunked" not in head
    assert b"connection: close" in head


async def test_head_gets_no_body_and_the_pieces_are_closed(listen):
    stream = Pieces(b"one")
    wire = await listen(answering(stream))
    peer = await wire.connect()
    await peer.send(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert (await peer.rest()).endswith(b"\r\n\r\n")
    await asyncio.wait_for(stream.closed.wait(), 2)
    assert stream.taken == 0


async def test_a_stream_that_breaks_off_never_looks_complete(listen):
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    wire = await listen(answering(Pieces(b"one", then=ValueError("broken"))))
    peer = await wire.connect()
    await peer.send(GET)
    try:
        answer = await peer.rest()
    except ConnectionResetError:
        answer = b""
    assert not answer.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("leave", ["close", "reset", "half_close"])
async def test_a_peer_that_leaves_ends_the_work_at_once(listen, leave):
    stream = Pieces(b"one", hang=True)
    wire = await listen(answering(stream))
    peer = await wire.connect()
    await peer.send(GET)
    await peer.reader.readuntil(b"one\r\n")
    if leave == "reset":
        peer.reset()
    elif leave == "close":
        peer.writer.close()
    else:
        peer.writer.write_eof()
    await asyncio.wait_for(stream.closed.wait(), 2)


async def test_a_peer_that_left_before_the_first_piece_gets_none(listen):
    replies: list[Reply] = []
    wire = await listen(lambda _, reply: replies.append(reply))
    peer = await wire.connect()
    await peer.send(GET)
    await until(lambda: bool(replies))
    peer.reset()
    await until(lambda: not wire.listener._connections)
    stream = Pieces(b"one")
    replies[0](Response(200, chunks=stream))
    await asyncio.wait_for(stream.closed.wait(), 2)
    assert stream.taken == 0


async def test_pieces_wait_while_the_peer_does_not_read_and_a_deaf_one_is_cut_off(listen):
    stream = Pieces(*[b"x" * 65536] * 2000)
    wire = await listen(answering(stream), Limits(write_seconds=0.3))
    peer = await wire.connect()
    peer.writer.transport.pause_reading()
    await peer.send(GET)
    await asyncio.wait_for(stream.closed.wait(), 5)
    assert stream.taken < 1000


async def test_a_drain_waits_for_the_end_of_the_stream(listen):
    go = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        await go.wait()
        yield b"two"

    wire = await listen(lambda _, reply: reply(Response(200, chunks=pieces())))
    peer = await wire.connect()
    await peer.send(GET)
    await peer.reader.readuntil(b"one\r\n")
    draining = asyncio.ensure_future(wire.listener.drain(5))
    await asyncio.sleep(0.05)
    assert not draining.done()
    go.set()
    assert await draining == 0
    assert (await peer.rest()).endswith(b"two\r\n0\r\n\r\n")
