"""Half a minute of killed Envoys, daemons that change and endpoints that move, under load."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sampan.gateway.ask import Address, ask
from sampan.gateway.listener import Gateway
from sampan.gateway.process import observe_identity
from sampan.gateway.settings import GatewaySettings
from sampan.gateway.table import RouteTable

SECONDS = 30.0
HOST = "iris.default.localhost"


@pytest.mark.soak
async def test_whatever_dies_the_door_is_open_again_within_a_second_and_never_lies(
    tmp_path: Path,
    settings: GatewaySettings,
    make_backend: Callable[..., Awaitable],
    make_table: Callable[..., RouteTable],
) -> None:
    backends = [await make_backend(name) for name in "abc"]
    gateway = Gateway(tmp_path / "gateway", settings)
    await gateway.start()
    await gateway.apply(make_table(*backends))
    end = time.monotonic() + SECONDS
    outages: list[float] = []
    statuses: set[int] = set()
    pids = {gateway.pid}

    async def load() -> None:
        shut_since = 0.0
        while time.monotonic() < end:
            try:
                answer = await ask(Address(port=settings.port), "/x", HOST, 2)
            except OSError:
                shut_since = shut_since or time.monotonic()
                await asyncio.sleep(0.01)
                continue
            statuses.add(answer.status)
            if shut_since:
                outages.append(time.monotonic() - shut_since)
                shut_since = 0.0

    clients = [asyncio.create_task(load()) for _ in range(4)]
    kills = 0
    while time.monotonic() < end:
        await asyncio.sleep(random.uniform(0.05, 0.6))
        event = random.choice(["kill", "move", "move", "adopt"])
        if event == "kill" and gateway.pid:
            kills += 1
            os.kill(gateway.pid, signal.SIGKILL)
        elif event == "move":
            await gateway.apply(make_table(*random.sample(backends, random.randint(1, 3))))
        elif event == "adopt" and gateway.pid:
            await gateway.detach()
            gateway = Gateway(tmp_path / "gateway", settings)
            await gateway.start()
        pids.add(gateway.pid)
    await asyncio.gather(*clients)
    await gateway.close()
    assert kills > 3
    # 503 from a daemon that found Envoy dead: the new one does not know its services yet.
    assert {200} <= statuses <= {200, 503}
    # The gateway waits up to two seconds before it starts an Envoy that keeps ending.
    assert max(outages, default=0) < 3
    assert all(observe_identity(pid) is None for pid in pids - {0})
