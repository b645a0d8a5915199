"""Scale to zero on a cluster without Knative, as users meet it: nothing runs, nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests.operator.played_cluster import conditions_of, is_ready, until
from tests.operator.serverless_cluster import (
    HOME,
    ServerlessCluster,
    make_service,
    serverless_cluster,
)
from tests.operator.test_standard import SERVICES

from sampan.client.grpc import InferenceGRPCClient
from sampan.machinery.store import Key
from sampan.platforms.kubernetes.kinds import LEASES
from sampan.platforms.kubernetes.serverless_table import ACTIVATOR
from sampan.protocol.tensors import InferInput, InferRequest

PATH = "/v1/models/counting:predict"
OTHER, NEXT = "127.0.0.2", "127.0.0.3"
DRAIN = 4.0
NAMES = ("first", "killed", "twice", "rolled", "stuck")

shared = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerlessCluster]:
    """With an operator, two activators, and services that have run and sleep."""
    async with serverless_cluster(tmp_path_factory.mktemp("cluster")) as made:
        await made.played.start_operator(activator=True)
        await asyncio.gather(*(made.start_activator(host, DRAIN) for host in (HOME, OTHER)))
        await made.played.create(*map(make_service, NAMES))
        for replicas in (1, 0):
            for name in NAMES:
                await made.wait_replicas(f"{name}-predictor", replicas)
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


async def told(cluster: ServerlessCluster, name: str, replicas: str) -> Any:
    """A service, once it is Ready and tells of so many replicas."""

    async def look() -> Any:
        found = await cluster.played.get(SERVICES, "ml", name)
        said = (found.get("status") or {}).get("annotations") or {}
        right = said.get("serving.sampan.dev/replicas") == replicas and is_ready(found)
        return found if right else None

    return await until(look, 60, cluster.tell)


@pytest.mark.slow
@shared
async def test_from_none_to_one_whatever_is_asked_is_answered_by_one_start(
    cluster: ServerlessCluster,
) -> None:
    sleeping = await told(cluster, "first", "0 (idle)")
    assert conditions_of(sleeping)["PredictorReady"]["reason"] == "NoTraffic"
    assert sleeping["status"]["modelStatus"]["transitionStatus"] == "UpToDate"
    address = await cluster.address("first-predictor")
    answers, number, parts = await asyncio.gather(
        ask(address, range(100)), call(address, 100), stream(address, 101)
    )
    assert answers == {(200, True): 100}
    assert (number, parts) == (100, 3)
    assert cluster.kubelet.begun["ml/first-predictor"] == 2
    awake = await told(cluster, "first", "1/1")
    assert conditions_of(awake)["Ready"] == conditions_of(sleeping)["Ready"]  # it never was not
    assert set(range(102)) <= set(cluster.counted())
    assert cluster.scaled.refused == []  # its rights are enough


@pytest.mark.slow
@shared
async def test_requests_outlive_the_activator_that_holds_them_and_services_its_envoy(
    cluster: ServerlessCluster,
) -> None:
    name, pod = "killed-predictor", cluster.activators[HOME]
    address = await cluster.address(name)
    assert address.startswith(HOME)
    cluster.kubelet.slow = 3.0
    asking = asyncio.create_task(ask(address, range(1000, 1020)))

    async def is_waking() -> bool:
        return await cluster.replicas(name) == 1

    await until(is_waking, 60, cluster.tell)
    await pod.kill()
    await cluster.start_activator(HOME, DRAIN)
    assert await asking == {(200, True): 20}
    cluster.kubelet.slow = 0.0
    assert (cluster.kubelet.begun[f"ml/{name}"], pod.envoys) == (2, 1)
    assert pod.envoy is not None
    pod.envoy.kill()
    await pod.envoy.wait()
    await until(lambda: _is_led(address), 60, cluster.tell)
    assert await ask(address, range(1020, 1030)) == {(200, True): 10}
    assert pod.envoys == 2


async def _is_led(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    return True


@pytest.mark.slow
@shared
async def test_replicas_follow_the_requests_under_way_and_none_is_lost(
    cluster: ServerlessCluster,
) -> None:
    name = "busy-predictor"
    cluster.kubelet.takes[name] = 0.4
    fields: dict[str, Any] = {"maxReplicas": 3, "scaleTarget": 1}
    await cluster.played.create(make_service("busy", **fields))
    address = await cluster.address(name)
    await cluster.wait_replicas(name, 1)
    stop = asyncio.Event()
    answers: Counter[int] = Counter()

    async def load(number: int) -> None:
        async with httpx.AsyncClient(timeout=120, trust_env=False) as client:
            while not stop.is_set():
                url = f"http://{address}{PATH}"
                answer = await client.post(url, json={"instances": [number]})
                answers[answer.status_code] += 1

    loads = [asyncio.create_task(load(n)) for n in range(2000, 2006)]
    await cluster.wait_replicas(name, 3)
    stop.set()
    await asyncio.gather(*loads)
    assert set(answers) == {200}
    assert len([n for n in cluster.counted() if 2000 <= n < 2006]) == answers[200]
    events = (await cluster.played.store.list("events", "ml")).items
    said = [e["message"] for e in events if e["reason"] == "SuccessfulRescale"]
    assert any(f'New size of "{name}": 3; reason: ' in text for text in said)
    assert {e["involvedObject"]["kind"] for e in events} == {"InferenceService"}


@pytest.mark.slow
@shared
async def test_two_activators_count_and_hold_together_also_without_an_operator(
    cluster: ServerlessCluster,
) -> None:
    name = "twice-predictor"
    addresses = await cluster.addresses(name, 2)
    assert await ask(addresses[0], range(3000, 3001)) == {(200, True): 1}
    await cluster.wait_replicas(name, 1)
    stop = asyncio.Event()
    answers: Counter[tuple[int, object]] = Counter()

    async def keep_asking(address: str) -> None:
        number = 3001
        while not stop.is_set():
            answers.update(await ask(address, range(number, number + 1)))
            number += 1
            await asyncio.sleep(0.2)

    # The one that decides sees nothing of this by itself: nothing may be taken away.
    lease = await cluster.played.store.get(Key(LEASES.id, "kserve", ACTIVATOR))
    leader = lease["spec"]["holderIdentity"].removeprefix("activator-")
    [other] = [address for address in addresses if not address.startswith(f"{leader}:")]
    asking = asyncio.create_task(keep_asking(other))
    await asyncio.sleep(8)
    assert await cluster.replicas(name) == 1
    stop.set()
    await asking
    await cluster.played.stop_operators()
    await cluster.wait_replicas(name, 0)
    numbers = (range(3500, 3520), range(3520, 3540))
    both = await asyncio.gather(*map(ask, addresses, numbers))
    assert sum(both, answers).keys() == {(200, True)}
    assert cluster.kubelet.begun[f"ml/{name}"] == 3
    await cluster.played.start_operator("two", activator=True)


@pytest.mark.slow
@shared
@pytest.mark.timeout(300)
async def test_activators_are_replaced_one_after_the_other_and_nobody_notices(
    cluster: ServerlessCluster,
) -> None:
    name, stuck = "rolled-predictor", "stuck-predictor"
    stop, answers = asyncio.Event(), Counter[object]()
    clients = [asyncio.create_task(_keep_asking(cluster, name, stop, answers)) for _ in range(4)]
    await cluster.wait_replicas(name, 1)
    cluster.kubelet.broken = True
    handed = asyncio.create_task(_ask_raw(await cluster.address(stuck), 4999))
    for old, new in ((HOME, NEXT), (OTHER, HOME)):
        await cluster.start_activator(new, DRAIN)
        await cluster.end_activator(old)
    back = await handed
    assert (back.status_code, back.headers["retry-after"]) == (503, "1")
    cluster.kubelet.broken = False
    await cluster.kubelet.play_deployment(await cluster.deployment(stuck))
    assert await ask(await cluster.address(stuck), range(4998, 4999)) == {(200, True): 1}
    stop.set()
    await asyncio.gather(*clients)
    assert answers.keys() == {200}
    found = await cluster.addresses(name, 2)
    assert [a.partition(":")[0] for a in found] == [HOME, NEXT]


async def _ask_raw(address: str, number: int) -> httpx.Response:
    async with httpx.AsyncClient(timeout=120, trust_env=False) as client:
        return await client.post(f"http://{address}{PATH}", json={"instances": [number]})


async def _keep_asking(
    cluster: ServerlessCluster, name: str, stop: asyncio.Event, answers: Counter[object]
) -> None:
    """Ask over one connection for as long as it is wanted, as behind kube-proxy: a connection stays
    with the activator that it once led to.
    """
    turn = 0
    while not stop.is_set():
        addresses = await cluster.addresses(name)
        address, turn = addresses[turn % len(addresses)], turn + 1
        async with httpx.AsyncClient(timeout=120, trust_env=False) as client:
            last = False
            while not (last or stop.is_set()):
                url = f"http://{address}{PATH}"
                try:
                    answer = await client.post(url, json={"instances": [4000]})
                except httpx.HTTPError as error:
                    answers[f"{type(error).__name__} of {address}"] += 1
                    break
                answers[answer.status_code] += 1
                last = answer.headers.get("connection") == "close"
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), 0.05)


async def test_a_cluster_without_an_activator_says_what_is_missing(tmp_path: Path) -> None:
    async with serverless_cluster(tmp_path) as made:
        await made.played.start_operator()
        await made.played.create(make_service())

        async def said() -> bool:
            found = conditions_of(await made.played.get(SERVICES, "ml", "iris"))
            return "--activators 2" in found.get("PredictorReady", {}).get("message", "")

        await until(said, 60)
        assert await made.played.children("ml") == []
