"""Changes that overtake each other on their way to the operator, and time that does not add up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from tests.operator.conftest import CONFIG, IRIS, RUNTIME, config_map
from tests.operator.played_cluster import conditions_of, is_ready
from tests.operator.virtual_cluster import VirtualCluster, virtual_cluster
from tests.operator.virtual_time import in_virtual_time

from sampan.apiserver.messages import Reply, Request, make_error
from sampan.machinery.errors import Expired, NotFound
from sampan.machinery.store import Key
from sampan.operator.cluster import RESOURCES
from sampan.operator.operator import Operator
from sampan.platforms.kubernetes.kinds import HTTP_ROUTES
from sampan.platforms.kubernetes.kinds import SERVICES as KUBERNETES_SERVICES

SERVICES = RESOURCES.get("inferenceservices.serving.kserve.io")
IRIS_KEY = Key(SERVICES.id, "ml", "iris")
CHILDREN = 5


@asynccontextmanager
async def acting() -> AsyncIterator[tuple[VirtualCluster, Operator]]:
    """A cluster in which one operator acts."""
    async with virtual_cluster() as cluster:
        await cluster.create(config_map(CONFIG), RUNTIME)
        operator = await cluster.start_operator()
        await asyncio.sleep(5)
        assert operator.election.leading
        yield cluster, operator


def late(*marks: str) -> tuple[Callable[[Request], Awaitable[None]], asyncio.Event]:
    """Answers of writes whose path has all of these marks come 5 s late; the first is told of."""
    began = asyncio.Event()

    async def wait(request: Request) -> None:
        if request.method in ("PATCH", "PUT") and all(m in request.path for m in marks):
            began.set()
            await asyncio.sleep(5)

    return wait, began


@in_virtual_time
async def test_an_object_that_goes_while_the_answer_of_its_apply_is_on_its_way_is_made_again():
    async with acting() as (cluster, operator):
        cluster.wires[operator].after, began = late("/services/")
        await cluster.create(IRIS)
        await began.wait()
        await asyncio.sleep(1)
        await cluster.store.delete(Key(KUBERNETES_SERVICES.id, "ml", "iris-predictor"))
        await cluster.settle()
        assert len(await cluster.children("ml")) == CHILDREN


@in_virtual_time
async def test_a_service_that_goes_while_the_answer_of_its_status_is_on_its_way_leaves_nothing():
    async with acting() as (cluster, operator):
        cluster.wires[operator].after, began = late("/inferenceservices/iris/status")
        await cluster.create(IRIS)
        await began.wait()
        await asyncio.sleep(1)
        found = await cluster.store.get(IRIS_KEY)
        found["metadata"]["finalizers"] = []
        await cluster.store.update(SERVICES.id, found)
        await cluster.store.delete(IRIS_KEY)
        await cluster.settle()
        cluster.door.forget()
        operator.work.add_all()
        await cluster.settle()
        assert not cluster.door.log
        assert not await cluster.children("ml")
        assert len(operator.cluster.own["inferenceservices"]) == 0


@in_virtual_time
async def test_what_goes_while_watches_are_broken_and_too_old_is_missed_by_the_list():
    async with acting() as (cluster, operator):
        cluster.wires[operator].after, began = late("/services/")
        await cluster.create(IRIS)
        await began.wait()

        async def refused(request: Request) -> Reply | None:
            if request.query.get("watch"):
                return make_error(Expired("too old resource version"))
            return None

        cluster.door.fault = refused
        cluster.wires[operator].cut()
        await cluster.store.delete(Key(KUBERNETES_SERVICES.id, "ml", "iris-predictor"))
        await asyncio.sleep(10)
        cluster.door.fault = None
        await cluster.settle()
        assert len(await cluster.children("ml")) == CHILDREN


@in_virtual_time
async def test_watches_that_break_after_every_event_miss_none():
    async with acting() as (cluster, operator):
        cluster.wires[operator].lines = 1
        cluster.wires[operator].cut()
        for number in range(3):
            made = {**IRIS, "metadata": {"name": f"iris-{number}", "namespace": "ml"}}
            await cluster.create(made)
        await asyncio.sleep(600)
        services = (await cluster.store.list(SERVICES.id, "ml")).items
        assert [is_ready(service) for service in services] == [True] * 3
        await cluster.store.delete(Key(SERVICES.id, "ml", "iris-0"))
        await asyncio.sleep(600)
        assert len(await cluster.children("ml")) == 2 * CHILDREN
        assert sorted(operator.cluster.own["inferenceservices"].places()) == [
            ("ml", "iris-1"),
            ("ml", "iris-2"),
        ]


@pytest.mark.parametrize("told", [True, False], ids=["and watches tell", "and nobody tells"])
@in_virtual_time
async def test_objects_that_went_with_their_definition_are_made_again_with_it(told: bool):
    async with acting() as (cluster, _):
        await cluster.create(IRIS)
        await cluster.settle()
        cluster.door.missing = {HTTP_ROUTES.id}
        cluster.cut_connections()
        await asyncio.sleep(0 if told else 1)
        for name in ("iris", "iris-predictor"):
            await cluster.store.delete(Key(HTTP_ROUTES.id, "ml", name))
        await cluster.settle()
        condition = conditions_of(await cluster.store.get(IRIS_KEY))["IngressReady"]
        assert condition["reason"] == "KindNotInstalled"
        cluster.door.missing = set()
        await cluster.settle()
        assert is_ready(await cluster.store.get(IRIS_KEY))
        assert len(await cluster.children("ml")) == CHILDREN


@in_virtual_time
async def test_who_gets_no_answer_stops_acting_before_another_begins():
    async with acting() as (cluster, one):
        two = await cluster.start_operator("two")

        async def silent(_request: Request) -> None:
            await asyncio.Event().wait()

        cluster.wires[one].before = silent
        seen = set()
        for _ in range(300):
            await asyncio.sleep(0.1)
            seen.add((one.election.leading, two.election.leading))
        assert seen == {(True, False), (False, False), (False, True)}


@pytest.mark.parametrize(
    ("shift", "jump"),
    [
        pytest.param(7200.0, 0.0, id="the other's clock is two hours ahead"),
        pytest.param(-7200.0, 0.0, id="the other's clock is two hours behind"),
        pytest.param(0.0, 7200.0, id="both clocks are set two hours ahead"),
        pytest.param(0.0, -7200.0, id="both clocks are set two hours back"),
    ],
)
@in_virtual_time
async def test_clocks_do_not_decide_who_acts(shift: float, jump: float):
    async with acting() as (cluster, one):
        two = await cluster.start_operator("two", shift=shift)
        await asyncio.sleep(5)
        for operator in (one, two):
            cluster.clocks[operator].shift += jump
        for _ in range(300):
            await asyncio.sleep(0.1)
            assert (one.election.leading, two.election.leading) == (True, False)
        await cluster.kill_operator(one)
        await asyncio.sleep(20)
        assert two.election.leading


@in_virtual_time
async def test_what_is_gone_is_not_remembered():
    async with acting() as (cluster, operator):
        for number in range(5):
            made = {**IRIS, "metadata": {"name": f"iris-{number}", "namespace": "ml"}}
            await cluster.create(made)
        await cluster.settle()
        for number in range(5):
            await cluster.store.delete(Key(SERVICES.id, "ml", f"iris-{number}"))
        await cluster.settle()
        with pytest.raises(NotFound):
            await cluster.store.get(IRIS_KEY)
        known = [len(cache) for cache in operator.cluster.sources()]
        assert sum(known) == 2, "the runtime and the configuration are left"
        assert not operator.work.remembered
