"""A real Envoy whose route is held, a real activator beside it, and servers that can come up."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from sampan.activator.activator import Activator, Refusal, World
from sampan.activator.listener import serve
from sampan.activator.phases import Start
from sampan.gateway.listener import Gateway
from sampan.gateway.settings import GatewaySettings
from sampan.gateway.table import Cluster, Endpoint, RouteTable, Share, TableRoute
from sampan.wire.listener import Listener

WORKLOAD = "default/iris-predictor"
PATH = "/serving/default/iris"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """Answers every request with its body, after `delay`; notes the most it had at once."""

    delay: float = 0.0
    port: int = 0
    seen: list[bytes] = field(default_factory=list)
    busy: int = 0
    most: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [
                    int(line.partition(b":")[2])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                ]
                body = await reader.readexactly(lengths[0]) if lengths else b""
                if b" /health " not in head:
                    await self._work(body)
                answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _work(self, body: bytes) -> None:
        self.seen.append(body)
        self.busy += 1
        self.most = max(self.most, self.busy)
        await asyncio.sleep(self.delay)
        self.busy -= 1


@dataclass
class Bench:
    """The gateway and the activator; what was woken is in `woken`.

    `starts` tells how a workload came up, `refusals` why it cannot be started; `note` is told of
    each cold start that is over.
    """

    gateway: Gateway
    client: httpx.AsyncClient
    woken: list[str]
    limit: int = 10_000
    starts: dict[str, Start] = field(default_factory=dict)
    note: Callable[[str, tuple[float, ...], str], None] = lambda _, __, ___: None
    refusals: dict[str, Refusal] = field(default_factory=dict)
    activator: Activator = field(init=False)
    listener: Listener = field(init=False)

    async def start(self) -> None:
        """Begin an activator's life; it knows nothing of one before."""

        async def reason(workload: str) -> str:
            return f"{workload} will not"

        world = World(
            self.woken.append,
            self.gateway.active,
            reason,
            self.starts.get,
            self._started,
            self.refusals.get,
        )
        self.gateway.follower = self.activator = Activator(world, self.limit)
        self.listener = await serve(self.activator, self.gateway.activator_socket)

    def _started(self, workload: str, phases: tuple[float, ...], caller: str) -> None:
        self.note(workload, phases, caller)

    async def die(self) -> None:
        """End the activator as a kill does: its connections are cut, nobody is told anything."""
        await self.listener.drain(0)

    async def hold(self, **fields: object) -> None:
        """Hold the route; nothing can be reached behind it."""
        await self.gateway.apply(make_table(held=WORKLOAD, **fields))

    async def open(self, *servers: Server, concurrency: int = 0, held: str = "") -> None:
        """Bring servers up behind the route."""
        endpoints = tuple(Endpoint("127.0.0.1", server.port) for server in servers)
        await self.gateway.apply(make_table(endpoints, held=held, concurrency=concurrency))

    async def post(self, body: bytes = b"x", path: str = PATH, **given: object) -> httpx.Response:
        return await self.client.post(path, content=body, **given)  # type: ignore[arg-type]

    async def until_waiting(self, count: int) -> None:
        async with asyncio.timeout(20):
            while self.activator.waiting(WORKLOAD) != count:  # noqa: ASYNC110 (no word of it comes)
                await asyncio.sleep(0.005)


def make_table(
    endpoints: tuple[Endpoint, ...] = (),
    *,
    held: str = "",
    concurrency: int = 0,
    timeout_seconds: int | None = None,
) -> RouteTable:
    share = Share(WORKLOAD, 100, held)
    route = TableRoute("default/iris", (), PATH, (share,), timeout_seconds)
    return RouteTable((route,), (Cluster(WORKLOAD, endpoints, "/health", concurrency=concurrency),))


@pytest.fixture
def limit() -> int:
    """How many requests may wait."""
    return 10_000


@pytest.fixture
async def bench(limit: int) -> AsyncIterator[Bench]:
    # A short name: the path of a socket may have 103 bytes.
    with tempfile.TemporaryDirectory(prefix="sampan-") as folder:
        settings = GatewaySettings(port=free_port(), workers=1)
        gateway = Gateway(Path(folder) / "g", settings)
        await gateway.start()
        url = f"http://127.0.0.1:{settings.port}"
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits) as client:
            bench = Bench(gateway, client, [], limit)
            await bench.start()
            yield bench
        await bench.listener.drain(0)
        await bench.activator.close()
        await gateway.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    listening.close()
