"""The one loop of all autoscalers, over signals that a test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from sampan.autoscaler.outcome import Room
from sampan.autoscaler.queries import Asked, Readings
from sampan.autoscaler.settings import Defaults
from sampan.autoscaler.signal import Traffic
from sampan.controllers.autoscaling import Autoscaling, Tools
from sampan.controllers.scaled_workload import ScaledWorkload
from sampan.plan.observed import Link, LinkState, Observed, ObservedReplica, ObservedWorkload
from sampan.plan.scaling import AUTOSCALER_CLASS, Unread, make_scaling
from sampan.plan.types import Blocked, Component, Plan, ServiceKey, Workload

IRIS = ServiceKey("default", "iris")
NAME = "iris-predictor"
KEY = f"default/{NAME}"


@dataclass
class World:
    """The clock, the signals and the platform, all at once."""

    time: float = 1000.0
    active: int = 0
    total: int = 0
    told: bool = True
    used: dict[str, float] = field(default_factory=dict)
    fitting: Room | None = None
    reads: int = 0
    asked: list[Asked] = field(default_factory=list)
    readable: Readings = field(default_factory=Readings)
    answer: asyncio.Event = field(default_factory=asyncio.Event)
    notified: list[ServiceKey] = field(default_factory=list)
    announced: list[int] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds

    async def traffic(self) -> Mapping[str, Traffic] | None:
        self.reads += 1
        return {KEY: Traffic(self.active, self.total)} if self.told else None

    async def use(self, pids: Sequence[int]) -> Mapping[str, float]:  # noqa: ARG002 (Signals')
        return self.used

    async def readings(self, asked: Asked) -> Readings:
        self.asked.append(asked)
        await self.answer.wait()
        return self.readable

    async def room(self, pids: Sequence[int]) -> Room | None:  # noqa: ARG002 (Signals')
        return self.fitting

    async def announce(self, workload: ScaledWorkload) -> None:
        self.announced.append(workload.scale.replicas)


def workload(spec: dict[str, Any], annotations: dict[str, str] | None = None) -> Workload:
    given = annotations or {}
    return Workload(
        component=Component.PREDICTOR,
        name=NAME,
        template={
            "metadata": {"annotations": {"prometheus.io/path": "stats"}},
            "spec": {"containers": [
                {"name": "kserve-container", "resources": {"requests": {"cpu": "500m"}}},
            ]},
        },
        template_hash="v1-a",
        replicas=1,
        model_name="iris",
        scaling=make_scaling(spec, given),
    )  # fmt: skip


def observed(ready: int, loading: int = 0) -> Observed:
    replicas = tuple(
        ObservedReplica(
            f"r{n}", NAME, "v1-a", running=True, ready=n < ready, pid=n + 2, created_at=1000.0,
            address="127.0.0.1:9", load=Link(LinkState.DONE if n < ready else LinkState.RUNNING),
        )
        for n in range(ready + loading)
    )  # fmt: skip
    link = Link(LinkState.DONE)
    return Observed((ObservedWorkload(NAME, "predictor", "v1-a", link, link, replicas),))


BY_REQUESTS = {"scaleMetric": "concurrency", "scaleTarget": 10, "maxReplicas": 5}
BY_CPU = {"maxReplicas": 4}


class Service:
    """A service whose replicas serve as soon as they are wanted."""

    def __init__(self, spec: dict[str, Any], annotations: dict[str, str] | None = None) -> None:
        self.world = World()
        self.plan = Plan(IRIS, (workload(spec, annotations),))
        self.autoscaling = Autoscaling(
            Tools(self.world, self.world, self.world.notified.append, self.world.announce)
        )

    @property
    def size(self) -> int:
        return self.autoscaling.scales(IRIS)[NAME].replicas

    def note(self, seen: Observed) -> None:
        self.autoscaling.note(self.plan, seen, "Standard")

    async def run(self, seconds: int) -> int:
        for _ in range(seconds):
            self.world.time += 1.0
            await self.autoscaling.tick()
            if NAME in self.autoscaling.scales(IRIS):
                self.note(observed(self.size))
        return self.autoscaling.scales(IRIS)[NAME].replicas


async def test_load_makes_replicas_and_its_end_takes_them_away() -> None:
    service = Service(BY_REQUESTS)
    service.note(observed(1))
    service.world.active = 20
    assert await service.run(10) == 3
    service.world.active = 0
    assert await service.run(100) == 1
    assert service.world.announced[-1] == 1
    assert set(service.world.notified) == {IRIS}


async def test_a_new_daemon_keeps_what_runs() -> None:
    service = Service(BY_REQUESTS)
    service.note(observed(4))
    assert service.size == 4
    assert await service.run(50) == 4
    assert await service.run(60) == 1


async def test_nothing_is_taken_away_while_a_replica_loads() -> None:
    service = Service(BY_REQUESTS)
    service.note(observed(2, loading=1))
    assert service.size == 3
    for _ in range(120):
        service.world.time += 1
        await service.autoscaling.tick()
    assert service.size == 3


async def test_a_replica_that_loads_for_ever_holds_nothing_up() -> None:
    service = Service(BY_REQUESTS)
    service.note(observed(2, loading=1))
    service.world.time += 700
    for _ in range(120):
        service.world.time += 1
        await service.autoscaling.tick()
    assert service.size == 1


async def test_a_machine_that_is_full_is_said_once_and_the_rest_serves() -> None:
    service = Service(BY_REQUESTS)
    service.note(observed(1))
    service.world.active, service.world.fitting = 40, Room(2, "one takes 1.0 GiB")
    assert await service.run(10) == 2
    limited = service.autoscaling.scales(IRIS)[NAME].limited
    assert limited.endswith("and 2 fit: one takes 1.0 GiB")
    told = len(service.world.notified)
    service.world.fitting = Room(2, "one takes 1.1 GiB")
    await service.run(10)
    assert len(service.world.notified) == told
    service.world.fitting = Room(9, "")
    assert await service.run(10) == 5
    assert service.autoscaling.scales(IRIS)[NAME].limited == ""


async def test_a_gateway_that_does_not_answer_changes_nothing() -> None:
    service = Service(BY_REQUESTS)
    service.note(observed(1))
    service.world.active = 20
    await service.run(10)
    service.world.told = False
    assert await service.run(10) == 3


async def test_what_is_fixed_is_never_read() -> None:
    service = Service({"minReplicas": 2})
    service.note(observed(2))
    assert service.autoscaling.scales(IRIS) == {}
    service.world.time += 2
    await service.autoscaling.tick()
    assert service.world.reads == 0


async def test_cpu_decides_in_standard_mode() -> None:
    service = Service(BY_CPU)
    service.note(observed(1))
    service.world.used = {"cpu": 0.8}
    assert await service.run(40) == 4
    assert service.world.reads == 0
    service.world.used = {"cpu": 0.01}
    assert await service.run(60) == 4
    assert await service.run(400) == 1


async def test_a_policy_that_changes_keeps_the_size_that_runs() -> None:
    service = Service(BY_REQUESTS)
    service.note(observed(3))
    service.plan = Plan(IRIS, (workload({**BY_REQUESTS, "scaleTarget": 100}),))
    service.note(observed(3))
    assert service.size == 3


async def test_the_cluster_s_defaults_count_when_a_service_is_noted_again() -> None:
    service = Service({"scaleMetric": "concurrency", "maxReplicas": 5})
    service.note(observed(1))
    service.world.active = 20
    assert await service.run(10) == 1
    service.autoscaling.configure(Defaults(concurrency_target=10))
    assert await service.run(10) == 3


@pytest.mark.parametrize(
    ("plan", "left"),
    [
        pytest.param(Plan(IRIS, stopped=True), {}, id="a stopped service has no autoscaler"),
        pytest.param(
            Plan(IRIS, blocked=Blocked("X", "x")), {NAME: 3}, id="a blocked one keeps its size"
        ),
        pytest.param(
            Plan(replace(IRIS, name="other")), {NAME: 3}, id="another service's touches nothing"
        ),
    ],
)
async def test_a_plan_that_is_noted(plan: Plan, left: dict[str, int]) -> None:
    service = Service(BY_REQUESTS)
    service.note(observed(3))
    service.autoscaling.note(plan, Observed(), "Standard")
    assert {n: s.replicas for n, s in service.autoscaling.scales(IRIS).items()} == left


BY_QUERY = {
    "maxReplicas": 5,
    "autoScaling": {
        "metrics": [
            {
                "type": "PodMetric",
                "podmetric": {
                    "metric": {"backend": "opentelemetry", "query": "queued"},
                    "target": {"type": "Value", "value": "2"},
                },
            }
        ]
    },
}


async def test_a_query_decides_and_its_answer_holds_up_nobody() -> None:
    service = Service(BY_QUERY, {AUTOSCALER_CLASS: "keda"})
    service.note(observed(1))
    for _ in range(40):  # nobody answers, and nothing waits for it
        service.world.time += 1
        await service.autoscaling.tick()
        await asyncio.sleep(0)
    (asked,) = service.world.asked
    assert (asked.workload, asked.path, len(asked.replicas)) == (KEY, "/stats", 1)
    service.world.readable = Readings({asked.queries[0]: 6.0})
    service.world.answer.set()
    for _ in range(3):
        await asyncio.sleep(0)
    service.world.time += 1
    await service.autoscaling.tick()
    assert service.size == 3
    assert service.autoscaling.scales(IRIS)[NAME].reason.startswith("3 replicas: queued at 6 of 2")
    service.world.readable = Readings(unread=Unread("FailedGetPodsMetric", "gone"))
    service.note(observed(3))
    for _ in range(40):
        service.world.time += 1
        await asyncio.sleep(0)
        await service.autoscaling.tick()
    scale = service.autoscaling.scales(IRIS)[NAME]
    assert (scale.replicas, scale.unread) == (3, Unread("FailedGetPodsMetric", "gone"))
