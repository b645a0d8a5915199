"""Real servers on loopback, and a gateway with a real Envoy in front of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sampan.gateway.listener import Gateway
from sampan.gateway.settings import GatewaySettings
from sampan.gateway.table import Cluster, Endpoint, RouteTable, Share, TableRoute


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Backend:
    """A small HTTP/1.1 server. `/health` is never counted; `hang` stops every answer, `unready`
    makes every one a 503 in the server's own words."""

    name: str
    port: int = 0
    seen: list[bytes] = field(default_factory=list)
    hang: bool = False
    unready: bool = False
    delay: float = 0.0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> Backend:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await self._answer(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        path = head.split(b" ", 2)[1]
        while self.hang:  # noqa: ASYNC110 (a hung server waits for nothing)
            await asyncio.sleep(0.05)
        if path != b"/health":
            self.seen.append(head)
            await asyncio.sleep(self.delay)
        if path == b"/stream":
            await self._stream(writer)
            return
        status = b"503 Busy" if self.unready else b"200 OK"
        body = self.name.encode() + b" " + path
        head = b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
        writer.write(head + body)
        await writer.drain()

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        kind = b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\n" + kind)
        for number in range(4):
            event = b"data: %d\n\n" % number
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()
            await asyncio.sleep(0.4)
        writer.write(b"0\r\n\r\n")


MakeBackend = Callable[..., Awaitable[Backend]]


@pytest.fixture
async def make_backend() -> AsyncIterator[MakeBackend]:
    backends: list[Backend] = []

    async def make(name: str = "a", port: int = 0) -> Backend:
        backends.append(await Backend(name, port).start())
        return backends[-1]

    yield make
    for backend in backends:
        backend.hang = False
        await backend.stop()


@pytest.fixture
def settings() -> GatewaySettings:
    return GatewaySettings(port=free_port(), workers=1)


@pytest.fixture
async def gateway(tmp_path: Path, settings: GatewaySettings) -> AsyncIterator[Gateway]:
    gateway = Gateway(tmp_path / "gateway", settings)
    await gateway.start()
    yield gateway
    await gateway.close()


def iris(*shares: Share, **fields: object) -> TableRoute:
    return TableRoute(  # type: ignore[arg-type]
        name="default/iris",
        hosts=("iris.default.localhost", "iris.default.example.com"),
        path_prefix="/serving/default/iris",
        shares=shares,
        **fields,
    )


def table_of(*backends: Backend, **fields: object) -> RouteTable:
    """One service `default/iris` with one cluster of these backends."""
    endpoints = tuple(backend.endpoint for backend in backends)
    cluster = Cluster("default/iris-predictor/v1-a", endpoints, "/health")
    return RouteTable((iris(Share(cluster.name), **fields),), (cluster,))


@pytest.fixture
def make_table() -> Callable[..., RouteTable]:
    return table_of


@pytest.fixture
def make_iris() -> Callable[..., TableRoute]:
    return iris
