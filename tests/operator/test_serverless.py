"""Scale to zero on a cluster without Knative, as users meet it: nothing runs, nothing is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.operator.played_cluster import conditions_of, is_ready, until
from tests.operator.serverless_cluster import (
    HOME,
    ServerlessCluster,
    make_service,
    serverless_cluster,
)
from tests.operator.test_standard import SERVICES

from sampan.client.grpc import InferenceGRPCClient
from sampan.protocol.tensors import InferInput, InferRequest

NAME = "iris-predictor"
PATH = "/v1/models/counting:predict"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[ServerlessCluster]:
    """With an operator and an activator."""
    async with serverless_cluster(tmp_path) as made:
        await made.played.start_operator(activator=True)
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


@pytest.fixture
async def asleep(cluster: ServerlessCluster) -> str:
    """Where a service is asked that has run and sleeps."""
    await cluster.played.create(make_service())
    address = await cluster.address(NAME)
    await cluster.wait_replicas(NAME, 1)
    await cluster.wait_replicas(NAME, 0)
    return address


@pytest.mark.slow
async def test_from_none_to_one_and_back_whatever_is_asked_is_answered_by_one_start(
    cluster: ServerlessCluster, asleep: str
) -> None:
    sleeping = await until(lambda: _told(cluster, "0 (idle)"), 60, cluster.tell)
    answers, number, parts = await asyncio.gather(
        ask(asleep, range(100)), call(asleep, 100), stream(asleep, 101)
    )
    assert answers == {(200, True): 100}
    assert (number, parts) == (100, 3)
    assert cluster.kubelet.started == 2
    await cluster.wait_replicas(NAME, 0)
    still = await until(lambda: _told(cluster, "0 (idle)"), 60, cluster.tell)
    found = conditions_of(still)
    assert found["PredictorReady"]["reason"] == "NoTraffic"
    assert found["Ready"] == conditions_of(sleeping)["Ready"]  # it never was not
    assert still["status"]["modelStatus"]["transitionStatus"] == "UpToDate"
    # The same without an operator.
    await cluster.played.stop_operators()
    assert await ask(asleep, range(200, 300)) == {(200, True): 100}
    await cluster.wait_replicas(NAME, 0)
    assert set(cluster.counted()) == {*range(102), *range(200, 300)}
    assert cluster.scaled.refused == []  # its rights are enough


async def call(address: str, number: int) -> int:
    """Ask over gRPC."""
    given = InferInput("n", [1], "INT64", [number])
    async with InferenceGRPCClient(address, timeout=120) as client:
        answer = await client.infer(InferRequest("counting", [given]))
    return int(answer.outputs[0].data[0])


async def stream(address: str, number: int) -> int:
    """Ask for a stream of events; return how many parts came."""
    url = f"http://{address}/v2/models/counting/generate_stream"
    async with (
        httpx.AsyncClient(timeout=120, trust_env=False) as client,
        client.stream("POST", url, json={"parts": number}) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        return len([line async for line in answer.aiter_lines() if f"{number}/" in line])


async def _told(cluster: ServerlessCluster, replicas: str) -> Any:
    """The service, once it is Ready and tells of so many replicas."""
    found = await cluster.played.get(SERVICES, "ml", "iris")
    told = (found.get("status") or {}).get("annotations") or {}
    right = told.get("serving.sampan.dev/replicas") == replicas and is_ready(found)
    return found if right else None


@pytest.mark.slow
async def test_requests_outlive_the_activator_that_holds_them_and_services_its_envoy(
    cluster: ServerlessCluster, asleep: str
) -> None:
    cluster.kubelet.slow = 3.0
    [first] = cluster.running
    asking = asyncio.create_task(ask(asleep, range(20)))
    await until(lambda: _is_waking(cluster), 60, cluster.tell)
    first.process.kill()
    await first.process.wait()
    await cluster.start_activator()
    assert await asking == {(200, True): 20}
    assert (cluster.kubelet.started, len(cluster.envoys)) == (2, 1)
    cluster.envoys[0].kill()
    await cluster.envoys[0].wait()
    await until(lambda: _is_led(asleep), 60, cluster.tell)
    assert await ask(asleep, range(10)) == {(200, True): 10}
    assert len(cluster.envoys) == 2


async def _is_waking(cluster: ServerlessCluster) -> bool:
    return await cluster.replicas(NAME) == 1


async def _is_led(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    return True


@pytest.mark.slow
async def test_replicas_follow_the_requests_under_way_and_none_is_lost(
    cluster: ServerlessCluster,
) -> None:
    cluster.kubelet.takes = 0.4
    fields: dict[str, Any] = {"maxReplicas": 3, "scaleTarget": 1}
    await cluster.played.create(make_service(**fields))
    address = await cluster.address(NAME)
    await cluster.wait_replicas(NAME, 1)
    stop = asyncio.Event()
    answers: Counter[int] = Counter()

    async def load(number: int) -> None:
        async with httpx.AsyncClient(timeout=120, trust_env=False) as client:
            while not stop.is_set():
                url = f"http://{address}{PATH}"
                answer = await client.post(url, json={"instances": [number]})
                answers[answer.status_code] += 1

    loads = [asyncio.create_task(load(n)) for n in range(6)]
    await cluster.wait_replicas(NAME, 3)
    stop.set()
    await asyncio.gather(*loads)
    await cluster.wait_replicas(NAME, 0)
    assert set(answers) == {200}
    assert len(cluster.counted()) == answers[200]
    events = (await cluster.played.store.list("events", "ml")).items
    told = [e["message"] for e in events if e["reason"] == "SuccessfulRescale"]
    assert any(f'New size of "{NAME}": 3; reason: ' in text for text in told)
    assert {e["involvedObject"]["kind"] for e in events} == {"InferenceService"}


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_two_activators_count_and_hold_together(cluster: ServerlessCluster) -> None:
    await cluster.start_activator("127.0.0.2")
    await cluster.played.create(make_service())
    addresses = await cluster.addresses(NAME, 2)
    await cluster.wait_replicas(NAME, 1)
    stop = asyncio.Event()
    answers: Counter[tuple[int, object]] = Counter()

    async def keep_asking(address: str) -> None:
        number = 0
        while not stop.is_set():
            answers.update(await ask(address, range(number, number + 1)))
            number += 1
            await asyncio.sleep(0.2)

    # The one that decides sees nothing of this by itself: nothing may be taken away.
    asking = asyncio.create_task(keep_asking(addresses[1]))
    await asyncio.sleep(10)
    assert await cluster.replicas(NAME) == 1
    stop.set()
    await asking
    await cluster.wait_replicas(NAME, 0)
    both = await asyncio.gather(*(ask(address, range(20)) for address in addresses))
    assert sum(both, answers).keys() == {(200, True)}
    assert cluster.kubelet.started == 2
    # The one that decided ends: the other does from then on.
    await cluster.wait_replicas(NAME, 0)
    await cluster.end_activator(HOME)
    assert await ask(addresses[1], range(10)) == {(200, True): 10}
    await cluster.wait_replicas(NAME, 0)
    assert await cluster.addresses(NAME) == [addresses[1]]


async def test_a_cluster_without_an_activator_says_what_is_missing(tmp_path: Path) -> None:
    async with serverless_cluster(tmp_path) as made:
        await made.played.start_operator()
        await made.played.create(make_service())

        async def told() -> bool:
            found = conditions_of(await made.played.get(SERVICES, "ml", "iris"))
            return "--activators 2" in found.get("PredictorReady", {}).get("message", "")

        await until(told, 60)
        assert await made.played.children("ml") == []
