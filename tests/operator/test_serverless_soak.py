"""Two hundred cold starts by a cluster's activators, while these and the operator are killed."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

import pytest
from tests.operator.serverless_cluster import (
    HOME,
    ServerlessCluster,
    make_service,
    serverless_cluster,
)
from tests.operator.test_serverless import OTHER, ask, call, stream

from sampan.operator.operator import Operator

SERVICES = 10
ROUNDS = int(os.environ.get("SAMPAN_SOAK_ROUNDS", "20"))
"""Each of as many cold starts as there are services."""


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_whoever_wakes_a_service_is_answered_whatever_is_killed(tmp_path: Path) -> None:
    chance = random.Random(ROUNDS)
    async with serverless_cluster(tmp_path) as cluster:
        operator = await cluster.played.start_operator(activator=True)
        for host in (HOME, OTHER):
            await cluster.start_activator(host)
        names = [f"soak-{number}" for number in range(SERVICES)]
        await cluster.played.create(*map(make_service, names))
        wrong: list[str] = []
        for turn in range(ROUNDS):
            for name in names:
                await cluster.wait_replicas(f"{name}-predictor", 0, 300)
            first = 1 + turn * SERVICES
            asking = [
                asyncio.create_task(_ask(cluster, name, number, chance.random() < 0.5))
                for number, name in enumerate(names, first)
            ]
            await asyncio.sleep(chance.uniform(0, 1.5))
            operator = await _kill_one(cluster, operator, chance)
            wrong += filter(None, await asyncio.gather(*asking))
        assert wrong == []
        asked = range(1, 1 + ROUNDS * SERVICES)
        assert Counter(cluster.counted()) == Counter(asked)


async def _ask(cluster: ServerlessCluster, name: str, number: int, other: bool) -> str:
    """Ask as one of three kinds of clients; return what was wrong with the answer."""
    addresses = await cluster.addresses(f"{name}-predictor", 2)
    address = addresses[other]
    try:
        match number % 3:
            case 0:
                right = await ask(address, range(number, number + 1)) == {(200, True): 1}
            case 1:
                right = await call(address, number) == number
            case _:
                right = await stream(address, number) == 3
    except Exception as error:  # noqa: BLE001  # whatever was lost is told of at the end
        return f"{number} of {name} at {address}: {error!r}"
    return "" if right else f"{number} of {name} at {address}"


async def _kill_one(
    cluster: ServerlessCluster, operator: Operator, chance: random.Random
) -> Operator:
    """Kill an activator (its Envoy lives on) or the operator, and start it again; or none."""
    victim = chance.choice((HOME, OTHER, "operator", ""))
    if victim == "operator":
        await cluster.played.kill_operator(operator)
        return await cluster.played.start_operator(f"one-{chance.random()}", activator=True)
    if victim:
        await cluster.activators[victim].kill()
        await cluster.start_activator(victim)
    return operator
