"""Falling asleep and waking: the loop of the autoscalers with an activator to hold requests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sampan.autoscaler.outcome import Room
from sampan.autoscaler.queries import Asked, Readings
from sampan.autoscaler.signal import Traffic
from sampan.controllers.autoscaling import Autoscaling, Tools
from sampan.controllers.scaled_workload import ScaledWorkload
from sampan.plan.observed import Link, LinkState, Observed, ObservedReplica, ObservedWorkload
from sampan.plan.scaling import AUTOSCALER_CLASS, Scale, Scaling, make_scaling
from sampan.plan.types import Component, Plan, ServiceKey, Workload

IRIS = ServiceKey("default", "iris")
NAME = "iris-predictor"
KEY = f"default/{NAME}"
DONE = Link(LinkState.DONE)


@dataclass
class World:
    """Clock, signals and activator; requests `wait` at it while the route is `held`."""

    time: float = 1000.0
    active: int = 0
    total: int = 0
    wait: int = 0
    held: bool = False
    told: float = 0.0
    asked: list[Asked] = field(default_factory=list)
    notified: list[ServiceKey] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds

    async def traffic(self) -> Mapping[str, Traffic] | None:
        return {KEY: Traffic(self.active, self.total)}

    async def use(self, pids: Sequence[int]) -> Mapping[str, float]:
        del pids
        return {}

    async def readings(self, asked: Asked) -> Readings:
        self.asked.append(asked)
        return Readings(dict.fromkeys(asked.queries, self.told))

    async def room(self, pids: Sequence[int]) -> Room | None:
        del pids
        return None

    async def announce(self, workload: ScaledWorkload) -> None:
        """Nobody asks for events."""

    def is_held(self, workload: str) -> bool:
        return self.held and workload == KEY

    def waiting(self, workload: str) -> int:
        return self.wait if workload == KEY else 0


class Service:
    """A service with `minReplicas: 0`, noted after each decision as a controller does."""

    def __init__(self, held: bool = False, scaling: Scaling | None = None) -> None:
        self.world = World(held=held)
        self.workload = Workload(
            component=Component.PREDICTOR,
            name=NAME,
            template={"metadata": {"annotations": {}}, "spec": {"containers": [{}]}},
            template_hash="v1-a",
            replicas=1,
            model_name="iris",
            scaling=scaling or make_scaling({"minReplicas": 0}, {}),
        )
        world = self.world
        self.autoscaling = Autoscaling(
            Tools(world, world, world.notified.append, world.announce, world)
        )
        self.ready = 0
        self.note()

    @property
    def scale(self) -> Scale:
        return self.autoscaling.scales(IRIS)[NAME]

    def note(self) -> None:
        """Let what is decided be so: a route that should be held is."""
        replicas = tuple(
            ObservedReplica(
                f"r{n}",
                NAME,
                self.workload.template_hash,
                running=True,
                ready=True,
                load=DONE,
                address="127.0.0.1:9",
            )
            for n in range(self.ready)
        )
        seen = ObservedWorkload(NAME, "predictor", "v1-a", DONE, DONE, replicas)
        held = frozenset({NAME} if self.world.held else ())
        plan = Plan(IRIS, (self.workload,))
        self.autoscaling.note(plan, Observed((seen,), held=held), "Standard")
        self.world.held = self.scale.held

    async def run(self, seconds: float) -> None:
        """Let time pass with replicas that are ready as soon as they are wanted."""
        for _ in range(int(seconds)):
            self.world.time += 1.0
            await self.autoscaling.tick()
            await asyncio.sleep(0)  # an answer that was asked for comes
            await asyncio.sleep(0)
            self.ready = self.scale.replicas
            self.note()

    async def at_once(self) -> None:
        """Let what must be decided now be decided; no time passes."""
        await self.autoscaling.tick()
        self.note()


async def test_a_service_that_nobody_asks_falls_asleep_after_a_window() -> None:
    service = Service()
    await service.run(10)
    assert service.scale.replicas == 1
    await service.run(80)
    assert (service.scale.replicas, service.scale.held) == (0, True)


async def test_the_route_is_held_before_the_last_replica_is_given_up() -> None:
    service, seen = Service(), []
    for _ in range(90):
        await service.run(1)
        if not seen or seen[-1] != (service.scale.replicas, service.scale.held):
            seen.append((service.scale.replicas, service.scale.held))
    assert seen[-3:] == [(1, False), (1, True), (0, True)]


async def test_a_request_keeps_it_awake() -> None:
    service = Service()
    for _ in range(20):
        service.world.total += 1
        await service.run(10)
    assert service.scale.replicas == 1


async def asleep() -> Service:
    service = Service()
    await service.run(90)
    assert service.scale.replicas == 0
    return service


async def test_a_request_that_waits_wakes_it_at_once() -> None:
    service = await asleep()
    service.world.wait = 1
    service.autoscaling.wake(KEY)
    await service.at_once()
    assert (service.scale.replicas, service.scale.held, service.scale.waking) == (1, True, True)


async def test_a_hundred_requests_wake_one_replica() -> None:
    service = await asleep()
    service.world.wait = 50
    for _ in range(50):
        service.autoscaling.wake(KEY)
    await service.at_once()
    assert service.scale.replicas == 1


async def test_the_route_opens_as_soon_as_the_replica_is_ready() -> None:
    service = await asleep()
    service.autoscaling.wake(KEY)
    await service.at_once()
    service.ready = 1
    service.note()
    await service.at_once()
    assert service.scale == replace(service.scale, replicas=1, held=False, waking=False)


async def test_the_route_stays_held_while_requests_wait_for_a_free_place() -> None:
    service = await asleep()
    service.world.wait = 5
    service.autoscaling.wake(KEY)
    await service.at_once()
    service.ready = 1
    service.note()
    await service.at_once()
    assert service.scale.held
    service.world.wait = 0
    await service.run(3)
    assert not service.scale.held


async def test_a_new_daemon_lets_it_sleep_on() -> None:
    service = Service(held=True)
    assert (service.scale.replicas, service.scale.held) == (0, True)
    await service.run(100)
    assert service.scale.replicas == 0
    service.autoscaling.wake(KEY)
    await service.at_once()
    assert (service.scale.replicas, service.scale.waking) == (1, True)


async def test_requests_that_wait_already_when_a_daemon_starts_wake_it() -> None:
    service = Service(held=True)
    service.world.wait = 3
    service.note()
    await service.at_once()
    assert service.scale.replicas == 1


async def test_an_updated_template_is_tried_though_nobody_asks() -> None:
    service = await asleep()
    service.workload = replace(service.workload, template_hash="v1-b")
    service.note()
    await service.at_once()
    assert (service.scale.replicas, service.scale.waking) == (1, False)
    await service.run(90)
    assert service.scale.replicas == 0


def by_metric(server: str = "") -> Scaling:
    """What may sleep, and else has a replica for each two of a metric."""
    metric = {"backend": "prometheus", "query": "sum(queued)", "serverAddress": server}
    target = {"type": "Value", "value": "2"}
    listed = [{"type": "External", "external": {"metric": metric, "target": target}}]
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    automatic = {"metrics": listed, "behavior": behavior}
    spec = {"minReplicas": 0, "maxReplicas": 5, "autoScaling": automatic}
    return make_scaling(spec, {AUTOSCALER_CLASS: "keda"})


async def test_metrics_say_how_many_and_requests_whether_there_are_any() -> None:
    service = Service(scaling=by_metric())
    service.world.active, service.world.told = 1, 7.0
    await service.run(60)
    assert service.scale.replicas == 4
    assert service.scale.reason.startswith("4 replicas: sum(queued) at")
    service.world.told = 3.0
    await service.run(30)
    assert service.scale.replicas == 2
    service.world.active, service.world.told = 0, 0.0
    await service.run(120)
    assert (service.scale.replicas, service.scale.held) == (0, True)
    asked = len(service.world.asked)
    await service.run(60)
    assert len(service.world.asked) == asked  # nobody is there who could tell
    service.world.wait = 1
    service.autoscaling.wake(KEY)
    await service.at_once()
    assert service.scale.replicas == 1


async def test_work_without_a_request_keeps_it_awake() -> None:
    service = Service(scaling=by_metric())
    service.world.told = 1.0
    await service.run(300)
    assert (service.scale.replicas, service.scale.held) == (1, False)


async def test_a_server_s_metric_wakes_what_sleeps() -> None:
    service = Service(scaling=by_metric("http://prometheus:9090"))
    await service.run(150)
    assert (service.scale.replicas, service.scale.held) == (0, True)
    service.world.told = 5.0
    await service.run(60)
    assert service.scale.replicas == 3
    assert not service.scale.held
