"""The counters of a real Envoy: in flight, ever, and across a change of endpoints."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sampan.gateway.errors import GatewayError
from sampan.gateway.listener import Gateway
from sampan.gateway.table import RouteTable
from sampan.gateway.traffic import ClusterTraffic, TrafficReader

from .conftest import MakeBackend, table_of

NAME = "default/iris-predictor/v1-a"


async def wait_for(reader: TrafficReader, expected: ClusterTraffic) -> None:
    for _ in range(200):
        if (await reader.read()).get(NAME) == expected:
            return
        await asyncio.sleep(0.05)
    assert (await reader.read()).get(NAME) == expected


async def test_requests_are_counted_while_and_after_they_are_served(
    gateway: Gateway, tmp_path: Path, make_backend: MakeBackend
) -> None:
    reader = TrafficReader(tmp_path / "gateway")
    backend = await make_backend()
    table = table_of(backend)
    await gateway.apply(table)
    assert await reader.read() == {}  # what nobody asked is not told
    backend.delay = 1.0
    asked = [asyncio.create_task(gateway.verify(table.routes[0], "/")) for _ in range(3)]
    await wait_for(reader, ClusterTraffic(3, 3))
    await asyncio.gather(*asked)
    await wait_for(reader, ClusterTraffic(0, 3))


async def test_a_cluster_whose_endpoints_change_goes_on_counting(
    gateway: Gateway, tmp_path: Path, make_backend: MakeBackend
) -> None:
    reader = TrafficReader(tmp_path / "gateway")
    first, second = await make_backend("a"), await make_backend("b")
    table = table_of(first)
    await gateway.apply(table)
    first.delay = 2.0
    slow = asyncio.create_task(gateway.verify(table.routes[0], "/"))
    await wait_for(reader, ClusterTraffic(1, 1))
    both: RouteTable = table_of(first, second)
    await gateway.apply(both)
    # A request on its way to endpoints as they were is still one.
    assert (await reader.read())[NAME] == ClusterTraffic(1, 1)
    assert (await slow).passed
    await gateway.verify(both.routes[0], "/")
    await wait_for(reader, ClusterTraffic(0, 2))


async def test_a_gateway_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="Envoy does not tell its traffic"):
        await TrafficReader(tmp_path).read()
