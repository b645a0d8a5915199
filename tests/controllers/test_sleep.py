"""Falling asleep and waking: the loop of the autoscalers with an activator to hold requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sampan.autoscaler.outcome import Room
from sampan.autoscaler.queries import Asked, Readings
from sampan.autoscaler.signal import Traffic
from sampan.controllers.autoscaling import Autoscaling, Tools
from sampan.controllers.scaled_workload import ScaledWorkload
from sampan.plan.observed import Link, LinkState, Observed, ObservedReplica, ObservedWorkload
from sampan.plan.scaling import Scale, make_scaling
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

    async def readings(self, asked: Asked) -> Readings:  # noqa: ARG002 (Signals')
        return Readings()

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

    def __init__(self, held: bool = False) -> None:
        self.world = World(held=held)
        self.workload = Workload(
            component=Component.PREDICTOR,
            name=NAME,
            template={"metadata": {"annotations": {}}, "spec": {"containers": [{}]}},
            template_hash="v1-a",
            replicas=1,
            model_name="iris",
            scaling=make_scaling({"minReplicas": 0}, {}),
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
                f"r{n}", NAME, self.workload.template_hash, running=True, ready=True, load=DONE
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
