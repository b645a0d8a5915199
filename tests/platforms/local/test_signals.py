"""What this machine tells an autoscaler."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

from sampan.autoscaler.signal import Traffic
from sampan.gateway.errors import GatewayError
from sampan.gateway.health import Health
from sampan.gateway.listener import Verdict
from sampan.gateway.table import RouteTable, Share, TableRoute
from sampan.gateway.traffic import ClusterTraffic, make_traffic
from sampan.gateway.validation import Refusal
from sampan.machinery.clock import SystemClock
from sampan.platforms.local.counted_door import CountedDoor, OwnRequests
from sampan.platforms.local.device_metrics import NvidiaMetrics
from sampan.platforms.local.metric_readings import MetricReadings
from sampan.platforms.local.replica_metrics import ReplicaMetrics
from sampan.platforms.local.room import (
    LEAST_RESERVE,
    Memory,
    count_fitting,
    observe_memory,
    parse_cgroup,
    parse_meminfo,
    select_tightest,
)
from sampan.platforms.local.signals import LocalSignals, make_workload_traffic

KEY = "default/iris-predictor"
READINGS = MetricReadings(ReplicaMetrics(NvidiaMetrics()), SystemClock())
GIB = 1 << 30


def stat(name: str, value: int) -> dict[str, object]:
    return {"name": f"cluster.{KEY}.{name}", "value": value}


def test_the_counters_of_envoy_are_read_by_cluster() -> None:
    answer = {
        "stats": [
            stat("upstream_rq_active", 3),
            stat("upstream_rq_pending_active", 2),
            stat("upstream_rq_total", 9),
            {"name": "cluster.a/b.with.dots/grpc.upstream_rq_total", "value": 4},
            {"histograms": {}},
        ]
    }
    assert make_traffic(answer) == {
        KEY: ClusterTraffic(5, 9),
        "a/b.with.dots/grpc": ClusterTraffic(0, 4),
    }
    assert make_traffic({}) == {}


def test_rest_and_grpc_are_one_workload_s_traffic() -> None:
    clusters = {KEY: ClusterTraffic(1, 5), f"{KEY}/grpc": ClusterTraffic(2, 7)}
    assert make_workload_traffic(clusters) == {KEY: Traffic(3, 12)}


class Reader:
    """An Envoy whose counters a test sets; None: it does not answer."""

    def __init__(self) -> None:
        self.told: ClusterTraffic | None = ClusterTraffic()

    async def read(self) -> Mapping[str, ClusterTraffic]:
        if self.told is None:
            raise GatewayError("AdminUnreachable", "gone")
        return {KEY: self.told}


async def test_our_own_requests_are_nobody_s_load() -> None:
    reader, own = Reader(), {KEY: OwnRequests(active=1, total=4)}
    signals = LocalSignals(reader, own, SystemClock(), READINGS)
    reader.told = ClusterTraffic(1, 4)
    assert await signals.traffic() == {KEY: Traffic(0, 0)}
    reader.told = ClusterTraffic(3, 10)
    assert await signals.traffic() == {KEY: Traffic(2, 6)}


async def test_an_envoy_that_began_anew_goes_on_counting() -> None:
    reader = Reader()
    signals = LocalSignals(reader, {}, SystemClock(), READINGS)
    for told, total in ((10, 10), (12, 12), (1, 13), (3, 15)):
        reader.told = ClusterTraffic(0, told)
        assert await signals.traffic() == {KEY: Traffic(0, total)}
    reader.told = None
    assert await signals.traffic() is None


class Door:
    """A gateway that gives every request the same answer."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.under_way: list[int] = []
        self.counted: CountedDoor | None = None

    async def apply(self, table: RouteTable) -> tuple[Refusal, ...]:  # noqa: ARG002 (Door's)
        return ()

    async def verify(self, *_: object) -> Verdict:
        assert self.counted is not None
        self.under_way.append(self.counted.own["b"].active)
        return Verdict(self.status == 200, self.status, "")

    async def health(self) -> Health:
        return {}

    async def answers(self) -> bool:
        return True

    def cpu_ticks(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("status", "total"),
    [
        pytest.param(200, 1, id="a request that came through counts"),
        pytest.param(500, 1, id="one that the server refused as well"),
        pytest.param(503, 0, id="one that found no endpoint does not"),
    ],
)
async def test_the_requests_of_the_platform_are_counted(status: int, total: int) -> None:
    door = Door(status)
    counted = door.counted = CountedDoor(door)
    route = TableRoute("default/iris", (), "", (Share("a", 20), Share("b", 80)))
    await counted.verify(route, "/")
    assert door.under_way == [1]
    assert (counted.own["b"].active, counted.own["b"].total) == (0, total)


async def test_use_is_told_from_the_second_look_on() -> None:
    now = [1000.0]

    class Clock(SystemClock):
        def now(self) -> float:
            return now[0]

    signals = LocalSignals(Reader(), {}, Clock(), READINGS)
    first = await signals.use([os.getpid()])
    assert set(first) == {"memory"}
    assert first["memory"] > 1 << 20
    now[0] += 10
    second = await signals.use([os.getpid()])
    assert 0 <= second["cpu"] < 10
    assert await signals.use([2**22 + 1]) == {}


async def test_this_machine_has_room_for_what_runs() -> None:
    room = await LocalSignals(Reader(), {}, SystemClock(), READINGS).room([os.getpid()])
    assert room is not None
    assert room.replicas >= 1
    assert room.because.startswith("one takes ")


async def test_a_system_that_tells_no_memory_bounds_a_flood_by_its_cores() -> None:
    signals = LocalSignals(Reader(), {}, SystemClock(), READINGS, lambda: None)
    room = await signals.room([])
    assert room is not None
    assert room.replicas == 2 * (os.cpu_count() or 1)
    assert "set maxReplicas" in room.because


async def test_of_replicas_that_have_just_ended_nothing_is_known() -> None:
    assert await LocalSignals(Reader(), {}, SystemClock(), READINGS).room([2**22 + 1]) is None


FITTING = {
    "the reserve stays free": (Memory(10 * GIB, GIB), GIB // 4, 1, 1 + 2),
    "a small machine keeps 128 MiB": (Memory(GIB, LEAST_RESERVE + 10), 10, 1, 2),
    "none more fits": (Memory(10 * GIB, GIB // 4), GIB, 3, 3),
}


@pytest.mark.parametrize("row", FITTING)
def test_how_many_fit(row: str) -> None:
    memory, each, ready, expected = FITTING[row]
    assert count_fitting(memory, each, ready) == expected


def test_the_machine_and_its_container_are_both_asked() -> None:
    meminfo = "MemTotal:  100 kB\nMemFree: 1 kB\nMemAvailable:  50 kB\n"
    assert parse_meminfo(meminfo) == Memory(102_400, 51_200)
    assert parse_meminfo("") is None
    assert parse_cgroup("max\n", "5", "") is None
    group = parse_cgroup("1000\n", "900\n", "anon 5\ninactive_file 300\n")
    assert group == Memory(1000, 400)
    assert select_tightest(None, group, Memory(10, 401)) == group
    assert select_tightest(None, None) is None
    assert observe_memory() is not None
