"""Of several operators one acts; another goes on where it stopped or died."""

from __future__ import annotations

import asyncio

from tests.operator.played_cluster import PlayedCluster, is_ready, rested, until

from sampan.machinery.clock import SystemClock
from sampan.machinery.store import Key
from sampan.operator.cluster import RESOURCES
from sampan.operator.election import (
    Election,
    ElectionTimes,
    Sight,
    look_at,
    make_held,
    make_released,
    may_take,
)
from sampan.operator.operator import LEASE
from sampan.platforms.kubernetes.kinds import LEASES

SERVICES = RESOURCES.get("inferenceservices.serving.kserve.io")
TIMES = ElectionTimes()
LEASE_KEY = Key(LEASES.id, "kserve", LEASE)
EMPTY = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}}


def seen(lease, now):
    return look_at(lease, Sight(), now)


def test_a_lease_of_nobody_may_be_taken():
    lease = make_released(EMPTY, 100.0)
    assert may_take(lease, seen(lease, 100.0), "one", 100.0)


def test_a_lease_of_another_may_not_be_taken_before_its_time():
    lease = make_held(EMPTY, "one", 100.0, TIMES)
    sight = seen(lease, 100.0)
    assert not may_take(lease, sight, "two", 114.9)
    assert may_take(lease, sight, "two", 115.0)


def test_time_is_the_watcher_s_own_whatever_the_clock_of_the_holder_says():
    lease = make_held(EMPTY, "one", -1e6, TIMES)  # a clock far behind
    assert not may_take(lease, seen(lease, 100.0), "two", 101.0)


def test_a_renewal_starts_the_time_anew():
    lease = make_held(EMPTY, "one", 100.0, TIMES)
    renewed = make_held(lease, "one", 102.0, TIMES)
    sight = look_at(renewed, seen(lease, 100.0), 110.0)
    assert not may_take(renewed, sight, "two", 124.9)


def test_who_takes_a_lease_counts_the_change_and_who_renews_it_does_not():
    first = make_held(EMPTY, "one", 100.0, TIMES)
    again = make_held(first, "one", 105.0, TIMES)
    other = make_held(again, "two", 130.0, TIMES)
    changes = [lease["spec"]["leaseTransitions"] for lease in (first, again, other)]
    assert changes == [1, 1, 2]
    assert again["spec"]["acquireTime"] == first["spec"]["acquireTime"]


async def holder(cluster: PlayedCluster) -> str:
    return str((await cluster.store.get(LEASE_KEY))["spec"].get("holderIdentity"))


async def test_of_two_operators_one_acts_and_the_other_follows(cluster, make_service):
    one = await cluster.start_operator("one")
    await until(lambda: asyncio.sleep(0, one.election.leading))
    two = await cluster.start_operator("two")
    await cluster.create(make_service())

    async def ready():
        return is_ready(await cluster.get(SERVICES, "ml", "iris"))

    await until(ready)
    assert (one.election.leading, two.election.leading) == (True, False)
    applied = [path for method, path in cluster.door.log if method == "PATCH"]
    assert len(applied) == len(set(applied)) == 5


async def test_who_is_stopped_gives_the_lease_back_at_once(cluster):
    long = ElectionTimes(lease=600.0, deadline=500.0, retry=0.1)
    one = await cluster.start_operator("one", long)
    await until(lambda: asyncio.sleep(0, one.election.leading))
    two = await cluster.start_operator("two", long)
    await cluster.stop_operator(one)
    await until(lambda: asyncio.sleep(0, two.election.leading))
    assert await holder(cluster) == "two"


async def test_the_lease_of_one_that_died_runs_out(cluster, make_service):
    one = await cluster.start_operator("one")
    await until(lambda: asyncio.sleep(0, one.election.leading))
    await cluster.kill_operator(one)
    assert await holder(cluster) == "one"
    await cluster.start_operator("two")
    await cluster.create(make_service())

    async def ready():
        return is_ready(await cluster.get(SERVICES, "ml", "iris"))

    await until(ready)
    assert await holder(cluster) == "two"


async def test_who_loses_the_lease_stops_acting(cluster, make_service):
    one = await cluster.start_operator("one")
    await until(lambda: asyncio.sleep(0, one.election.leading))
    lease = await cluster.store.get(LEASE_KEY)
    taken = make_held(lease, "stranger", 4e9, ElectionTimes(lease=600.0))
    taken["metadata"].pop("resourceVersion")
    await cluster.store.update(LEASES.id, taken)
    await until(lambda: asyncio.sleep(0, not one.election.leading))
    cluster.door.forget()
    await cluster.create(make_service())
    await rested(cluster)
    assert not cluster.door.writes


async def test_who_is_stopped_while_it_stops_acting_ends(cluster):
    working, stopping, stopped = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        working.set()
        try:
            await asyncio.sleep(3600)
        finally:
            stopping.set()
            await stopped.wait()

    quick = ElectionTimes(lease=600.0, deadline=500.0, retry=0.05)
    election = Election(cluster.store, SystemClock(), LEASE_KEY, "one", quick)
    running = asyncio.create_task(election.run(work))
    await working.wait()
    taken = make_held(await cluster.store.get(LEASE_KEY), "stranger", 4e9, quick)
    taken["metadata"].pop("resourceVersion")
    await cluster.store.update(LEASES.id, taken)
    await stopping.wait()
    running.cancel()
    await asyncio.sleep(0)
    stopped.set()
    await asyncio.wait((running,), timeout=20)
    assert running.cancelled()
