"""A listener on a real socket, and a client that speaks raw bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
import uvloop

from sampan.wire.limits import Limits
from sampan.wire.listener import Listener
from sampan.wire.message import Reply, Request, Response


@dataclass
class Peer:
    """One client connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def rest(self, seconds: float = 5.0) -> bytes:
        """Return everything until the server closes; fails when it does not close in time."""
        return await asyncio.wait_for(self.reader.read(-1), seconds)

    async def response(self, seconds: float = 5.0) -> tuple[int, dict[str, str], bytes]:
        """Return the next response: status, headers, body by its length."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), seconds)
        lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        body = await asyncio.wait_for(
            self.reader.readexactly(int(headers.get("content-length", 0))), seconds
        )
        return int(lines[0].split()[1]), headers, body


@dataclass
class Wire:
    """A running listener whose application records requests."""

    listener: Listener
    requests: list[Request] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)

    async def connect(self) -> Peer:
        """Open a connection."""
        return Peer(*await asyncio.open_connection(*self.listener.address))

    async def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110  # any condition, not one event
                await asyncio.sleep(0.005)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test on the loop that serves and on the one that takes its place without it."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


Start = Callable[..., Awaitable[Wire]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start listeners. `held=True`: the test answers through `wire.replies`; else body echoes."""
    wires: list[Wire] = []

    async def starter(limits: Limits | None = None, *, held: bool = False) -> Wire:
        def submit(request: Request, reply: Reply) -> None:
            wire.requests.append(request)
            if held:
                wire.replies.append(reply)
            else:
                reply(Response(200, request.target + b"|" + request.body, b"text/plain"))

        listener = Listener(submit, limits)
        wire = Wire(listener)
        await listener.listen("127.0.0.1", 0)
        wires.append(wire)
        return wire

    yield starter
    for wire in wires:
        await wire.listener.drain(0)
