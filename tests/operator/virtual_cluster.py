"""A played cluster without sockets, in virtual time: the operator's HTTP client speaks to the API
server's own handler.

Between them stands a wire that can be cut, slow or silent, and that counts every call, so that an
operator can be made to die at any of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx2
from tests.operator.played_cluster import (
    TOKEN,
    Counted,
    PlayedCluster,
    Players,
    make_registry,
)
from tests.operator.virtual_time import VirtualClock

from sampan.apiserver.listener import Listener
from sampan.apiserver.messages import Reply, Request
from sampan.apiserver.server import ApiServer, Settings
from sampan.app.cluster_effects import cluster_warnings
from sampan.machinery.collector import Collector
from sampan.machinery.store_memory import MemoryStore
from sampan.operator.cluster import RESOURCES, SELECTORS, Cluster
from sampan.operator.cluster_store import ClusterStore
from sampan.operator.connection import Connection
from sampan.operator.election import ElectionTimes
from sampan.operator.operator import Operator, OperatorOptions

USUAL = ElectionTimes()

Step = Callable[[Request], Awaitable[None]]


async def nothing(_request: Request) -> None:
    """Let a call pass."""


@dataclass
class Wire(httpx2.AsyncBaseTransport):
    """The way of one operator to the API server.

    `before` and `after` are called around each call; `dead` means that the operator's process is
    gone: nothing passes any more, either way.
    """

    door: Counted
    before: Step = nothing
    after: Step = nothing
    dead: bool = False
    delay: Callable[[], float] = float
    """Seconds that each way of a call takes."""
    lines: int = 0
    """After how many a watch breaks; 0: never."""
    _open: set[asyncio.Event] = field(default_factory=set)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        cut = asyncio.Event()
        self._open.add(cut)
        try:
            asked = await _received(request)
            timeout = request.extensions["timeout"]["read"]
            reply = await _unless(cut, self._exchange(asked), timeout, request)
        except BaseException:
            self._open.discard(cut)
            raise
        headers = [("content-type", reply.media_type), *reply.headers]
        if reply.stream is None:
            self._open.discard(cut)
            return httpx2.Response(reply.code, headers=headers, content=reply.body)
        stream = _Stream(self, cut, reply.stream, timeout, request)
        return httpx2.Response(reply.code, headers=headers, stream=stream)

    async def _exchange(self, asked: Request) -> Reply:
        await asyncio.sleep(self.delay())
        await self._living()
        await self.before(asked)
        await self._living()
        reply = await self.door.handle(asked)
        await self.after(asked)
        await asyncio.sleep(self.delay())
        await self._living()
        return reply

    async def _living(self) -> None:
        if self.dead:
            await asyncio.Event().wait()  # nobody is there who could go on

    def cut(self) -> None:
        """Break everything that is under way."""
        for each in self._open:
            each.set()
        self._open.clear()

    def forget(self, cut: asyncio.Event) -> None:
        self._open.discard(cut)


@dataclass
class _Stream(httpx2.AsyncByteStream):
    """The lines of a watch, until it ends, is cut or brings nothing for too long."""

    wire: Wire
    cut: asyncio.Event
    lines: AsyncIterator[bytes]
    timeout: float | None
    request: httpx2.Request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for number in count(1):
            if self.wire.dead:
                return
            if 0 < self.wire.lines < number:
                raise httpx2.ReadError("connection reset", request=self.request)
            try:
                line = anext(self.lines)
                yield await _unless(self.cut, line, self.timeout, self.request)
            except StopAsyncIteration:
                return

    async def aclose(self) -> None:
        self.wire.forget(self.cut)
        await self.lines.aclose()  # type: ignore[attr-defined]  # the server's are generators


async def _received(request: httpx2.Request) -> Request:
    body = await request.aread()
    path = request.url.raw_path.decode().partition("?")[0]
    headers = {k.lower(): v for k, v in request.headers.items()}
    return Request(request.method, path, dict(request.url.params), headers, body)


async def _unless(cut, work, seconds, request):  # type: ignore[no-untyped-def]  # any result
    """Await work, unless the connection is cut or silent before: then raise as httpx does."""
    task, broken = asyncio.ensure_future(work), asyncio.ensure_future(cut.wait())
    try:
        await asyncio.wait((task, broken), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if broken.done():
            raise httpx2.ReadError("connection reset", request=request)
        raise httpx2.ReadTimeout("no answer in time", request=request)
    finally:
        for each in (task, broken):
            each.cancel()
        await asyncio.gather(task, broken, return_exceptions=True)


@dataclass
class VirtualCluster(PlayedCluster):
    """A played cluster whose operators come over wires of their own."""

    wires: dict[Operator, Wire] = field(default_factory=dict)
    clocks: dict[Operator, VirtualClock] = field(default_factory=dict)
    delay: Callable[[], float] = float

    def cut_connections(self) -> None:
        for wire in self.wires.values():
            wire.cut()

    async def start_operator(
        self, identity: str = "one", times: ElectionTimes = USUAL, shift: float = 0.0
    ) -> Operator:
        """Start an operator; its wall clock is `shift` seconds beside the others'."""
        wire, clock = Wire(self.door, delay=self.delay), VirtualClock(shift)
        headers = {"user-agent": "sampan-operator", "authorization": f"Bearer {TOKEN}"}
        client = httpx2.AsyncClient(
            transport=wire, base_url="http://127.0.0.1", headers=headers, timeout=30.0
        )
        cluster = Cluster(ClusterStore(Connection(client), RESOURCES, SELECTORS))
        options = OperatorOptions(identity, times=times)
        operator = Operator(cluster, clock, options, cluster_warnings)
        self.wires[operator], self.clocks[operator] = wire, clock
        self._running[operator] = asyncio.create_task(operator.run())
        return operator

    async def kill_operator(self, operator: Operator) -> None:
        """End it as kill -9 does: what it sent is sent, and nothing more comes of it."""
        wire = self.wires.pop(operator)
        wire.dead = True
        task = self._running.pop(operator)
        wire.cut()
        task.cancel()
        await asyncio.wait((task,), timeout=0)
        wire.cut()
        await asyncio.gather(task, return_exceptions=True)

    async def settle(self, seconds: float = 120.0) -> None:
        """Let time pass until nothing is asked any more for a while."""
        end = asyncio.get_running_loop().time() + seconds
        before = -1
        while before != len(self.door.log) and asyncio.get_running_loop().time() < end:
            before = len(self.door.log)
            await asyncio.sleep(20.0)


@contextlib.asynccontextmanager
async def virtual_cluster(
    *, make_players: Callable[[MemoryStore], Players] = Players
) -> AsyncIterator[VirtualCluster]:
    """Run a cluster until the end of the block; in a virtual loop."""
    registry, clock = make_registry(), VirtualClock()
    store = MemoryStore(registry, clock)
    server = ApiServer(store, registry, TOKEN, settings=Settings(clock=clock))
    door = Counted(server)
    players = make_players(store)
    unused = Path("no-kubeconfig"), registry, Listener(door.handle)
    cluster = VirtualCluster(door, store, players, *unused)
    collecting = asyncio.create_task(Collector(store, clock, registry).run())
    players.start()
    try:
        yield cluster
    finally:
        await cluster.stop_operators()
        await players.stop()
        server.stop()
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)
        await store.close()
