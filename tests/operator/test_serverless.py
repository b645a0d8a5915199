"""Scale to zero on a cluster without Knative, as users meet it: nothing runs, nothing is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.operator.serverless_cluster import ServerlessCluster, make_service, serverless_cluster

NAME = "iris-predictor"
PATH = "/v1/models/counting:predict"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[ServerlessCluster]:
    """With an operator and an activator."""
    async with serverless_cluster(tmp_path) as made:
        await made.played.start_operator()
        await made.start_activator()
        yield made


async def ask(address: str, numbers: range) -> Counter[tuple[int, object]]:
    """Ask with each number at once; return the answers."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=120, limits=limits, trust_env=False) as client:

        async def one(number: int) -> tuple[int, object]:
            url = f"http://{address}{PATH}"
            answer = await client.post(url, json={"instances": [number]})
            right = answer.status_code == 200 and answer.json() == {"predictions": [number]}
            return answer.status_code, right or answer.text

        return Counter(await asyncio.gather(*map(one, numbers)))


@pytest.mark.slow
async def test_from_none_to_one_and_back_a_hundred_requests_are_answered_by_one_start(
    cluster: ServerlessCluster,
) -> None:
    await cluster.played.create(make_service())
    address = await cluster.address(NAME)
    await cluster.wait_replicas(NAME, 1)
    await cluster.wait_replicas(NAME, 0)
    for times in range(2):
        before = cluster.kubelet.started
        numbers = range(100 * times, 100 * times + 100)
        assert await ask(address, numbers) == {(200, True): 100}
        assert cluster.kubelet.started == before + 1
        await cluster.wait_replicas(NAME, 0)
    assert cluster.counted() == list(range(200))
