"""A port for each route: whatever is asked there is that route's, through a real Envoy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.gateway.conftest import free_port

from sampan.gateway.ask import Address, ask
from sampan.gateway.doors import HEADER
from sampan.gateway.listener import Gateway
from sampan.gateway.settings import GatewaySettings
from sampan.gateway.table import Cluster, RouteTable, Share, TableRoute

MakeBackend = Callable[..., Awaitable]


def make_way(name: str, door: int) -> TableRoute:
    shares = (Share(f"ml/{name}"),)
    return TableRoute(f"ml/{name}", (), f"/serving/ml/{name}", shares, door=door)


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Gateway]:
    gateway = Gateway(tmp_path, GatewaySettings(port=free_port(), door_host="127.0.0.1"))
    await gateway.start()
    yield gateway
    await gateway.close()


async def test_whatever_host_and_path_is_asked_at_a_door_is_asked_of_its_route(
    doors: Gateway, make_backend: MakeBackend
) -> None:
    ports = {"iris": free_port(), "wine": free_port()}
    backends = {name: await make_backend(name) for name in ports}
    clusters = tuple(Cluster(f"ml/{n}", (b.endpoint,), "/health") for n, b in backends.items())
    refused = await doors.apply(
        RouteTable(tuple(make_way(n, p) for n, p in ports.items()), clusters)
    )
    assert refused == ()
    for name, port in ports.items():
        for host in ("iris.ml", "wine", "example.com", "127.0.0.1"):
            answer = await ask(Address(port=port), "/serving/ml/wine/x", host, 20)
            assert (answer.status, bytes(answer.body).decode()) == (
                200,
                f"{name} /serving/ml/wine/x",
            )
    head = backends["iris"].seen[-1]
    assert b"/serving/ml/wine/x" in head
    assert HEADER.encode() not in head.lower()


async def test_a_door_s_header_that_a_client_writes_leads_nowhere_else(
    doors: Gateway, make_backend: MakeBackend
) -> None:
    port = free_port()
    iris = await make_backend("iris")
    cluster = Cluster("ml/iris", (iris.endpoint,), "/health")
    await doors.apply(RouteTable((make_way("iris", port),), (cluster,)))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET / HTTP/1.1\r\nHost: a\r\n{HEADER}: wine.ml\r\n\r\n".encode())
    assert b"200" in await reader.readline()
    writer.close()


async def test_a_connection_at_a_door_lives_on_while_its_route_changes(
    doors: Gateway, make_backend: MakeBackend
) -> None:
    port = free_port()
    one, two = [await make_backend(name) for name in ("one", "two")]
    reader, writer = await asyncio.open_connection("127.0.0.1", await _shown(doors, port, one))
    for backend in (one, two, one):
        await _shown(doors, port, backend)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert b"connection: close" not in head
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        assert (await reader.readexactly(length)).decode() == f"{backend.name} /"
    writer.close()


async def _shown(doors: Gateway, port: int, backend) -> int:
    cluster = Cluster("ml/iris", (backend.endpoint,), "/health")
    await doors.apply(RouteTable((make_way("iris", port),), (cluster,)))
    return port
