"""A graph on a real listener, its services on another, and peers that misbehave on sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest

from sampan.router.graph import make_graph
from sampan.router.headers import parse_patterns
from sampan.server.graph_calls import Caller
from sampan.server.graph_front import GraphFront
from sampan.server.graph_grpc import GraphGrpc
from sampan.server.graph_tracing import GraphTracing
from sampan.wire.limits import Limits
from sampan.wire.listener import Listener
from sampan.wire.message import Reply, Request, Response
from sampan.wire.upstream import Upstreams
from sampan.wire.upstream_answer import UpstreamLimits

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Services:
    """Services by the first word of their path: `/{name}`. `asked` is what came."""

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)

    def submit(self, request: Request, reply: Reply) -> None:
        self.asked.append(request)
        status, body = self.answers[request.target.decode().split("/")[1]]
        encoded = body if isinstance(body, bytes) else orjson.dumps(body)
        reply(Response(status, encoded, b"" if isinstance(body, bytes) else b"application/json"))


@dataclass
class Town:
    """What stands on loopback in a test."""

    services: Services
    base: str
    limits: UpstreamLimits = UpstreamLimits()
    listeners: list[Listener] = field(default_factory=list)
    servers: list[asyncio.Server] = field(default_factory=list)
    upstreams: list[Upstreams] = field(default_factory=list)
    fronts: list[GraphFront] = field(default_factory=list)
    fused: bool = False
    """Whether services are asked in the router's own process."""
    tracing: GraphTracing | None = None

    async def graph(
        self, nodes: dict[str, Any], *, headers: str = "", draw: int = 0, **spec: Any
    ) -> str:
        """Serve a graph; return its URL. `svc://name` is a service of the town."""
        base = "local:/" if self.fused else f"{self.base}/"
        text = orjson.dumps({"nodes": nodes, **spec}).replace(b"svc://", base.encode())
        graph = make_graph(orjson.loads(text))
        upstreams = Upstreams(asyncio.get_running_loop(), self.limits)
        front = GraphFront(
            graph,
            Caller(graph, upstreams, self.services.submit if self.fused else None),
            parse_patterns(headers)[0],
            lambda: draw,
            self.tracing,
        )
        most = 32 * 1024 * 1024
        listener = Listener(front.submit, Limits(body_bytes=most), GraphGrpc(front, most))
        await listener.listen("127.0.0.1", 0)
        self.upstreams.append(upstreams)
        self.listeners.append(listener)
        self.fronts.append(front)
        return "http://{}:{}".format(*listener.address)

    async def peer(self, serve: Serve) -> str:
        """Serve each connection by a function; return the URL."""

        async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await serve(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(guarded, "127.0.0.1", 0)
        self.servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    services = Services()
    backend = Listener(services.submit, Limits(body_bytes=32 * 1024 * 1024))
    await backend.listen("127.0.0.1", 0)
    made = Town(services, "http://{}:{}".format(*backend.address), listeners=[backend])
    yield made
    for upstreams in made.upstreams:
        upstreams.close()
    for server in made.servers:
        server.close()
    for listener in made.listeners:
        await listener.drain(0.0)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    # Without TLS here, a certificate store is not worth the 20 ms that it takes to load.
    async with httpx.AsyncClient(trust_env=False, timeout=20, verify=False) as made:  # noqa: S501  # plain HTTP
        yield made
